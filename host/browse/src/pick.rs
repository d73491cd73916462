//! [`Pick`]: something was chosen on the page. Pure functions: out of a text and a pick, the text with it.

use oc_mirror_model::config::{
    self, Configuration, Edit, EditAction, Mirror, Operator, Package, ReleaseChannel, ReleaseType,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a configuration begins with where there is none.
const BEGINNING: &str = "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n";

/// Something to have in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(crate) enum Pick {
    /// A package of a catalog, all of it, or a channel.
    Operator {
        catalog: String,
        package: String,
        #[serde(default)]
        channel: Option<String>,
        #[serde(default)]
        min_version: String,
        #[serde(default)]
        max_version: String,
    },
    /// A channel of releases.
    Release {
        channel: String,
        #[serde(default)]
        min_version: String,
        #[serde(default)]
        max_version: String,
        #[serde(default)]
        shortest_path: bool,
        #[serde(default)]
        architecture: Option<String>,
        #[serde(default)]
        okd: bool,
    },
}

/// A text with what was picked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Picked {
    pub(crate) text: String,
    /// Whether comments and order were kept.
    pub(crate) kept: bool,
    /// What the change means beyond what was picked.
    pub(crate) notes: Vec<&'static str>,
}

/// Puts what was picked into a text.
///
/// # Errors
///
/// Fails with everything that is wrong with the text, or would be.
pub(crate) fn pick(text: &str, pick: &Pick) -> Result<Picked, config::ConfigError> {
    let text = if text.trim().is_empty() { BEGINNING } else { text };
    let parsed = config::parse(text)?;
    let (root, mirror) = match &parsed.configuration {
        Configuration::Mirror(found) => ("mirror", &found.mirror),
        Configuration::Delete(found) => ("delete", &found.delete),
    };
    let mut edits = Edits { root, edits: Vec::new(), notes: Vec::new() };
    edits.pick(mirror, pick);
    let patched = config::patch(text, &edits.edits)?;
    Ok(Picked { text: patched.text, kept: patched.kept, notes: edits.notes })
}

/// Tells what a configuration has, as far as the page shows it; nothing if it cannot be read.
pub(crate) fn chosen(text: &str) -> Value {
    let mirror = match config::parse(text).map(|parsed| parsed.configuration) {
        Ok(Configuration::Mirror(found)) => found.mirror,
        Ok(Configuration::Delete(found)) => found.delete,
        Err(_) => return Value::Null,
    };
    json!({
        "operators": mirror.operators,
        "channels": mirror.platform.map(|platform| platform.channels).unwrap_or_default(),
    })
}

struct Edits {
    root: &'static str,
    edits: Vec<Edit>,
    notes: Vec<&'static str>,
}

impl Edits {
    fn pick(&mut self, mirror: &Mirror, pick: &Pick) {
        match pick {
            Pick::Operator { catalog, package, channel, min_version, max_version } => {
                let bounds = bounds(min_version, max_version);
                let mut wanted = json!({ "name": package });
                match channel {
                    None => extend(&mut wanted, bounds.clone()),
                    Some(channel) => {
                        let mut channel = json!({ "name": channel });
                        extend(&mut channel, bounds.clone());
                        wanted["channels"] = json!([channel]);
                    }
                }
                let at = format!("{}.operators", self.root);
                let Some(place) = mirror.operators.iter().position(|found| found.catalog == *catalog) else {
                    return self.append(&at, json!({ "catalog": catalog, "packages": [wanted] }));
                };
                let operator = &mirror.operators[place];
                self.operator(
                    &format!("{at}[{place}]"),
                    operator,
                    package,
                    channel.as_deref(),
                    wanted,
                    &bounds,
                );
            }
            Pick::Release { channel, min_version, max_version, shortest_path, architecture, okd } => {
                let bounds = bounds(min_version, max_version);
                self.release(mirror, channel, &bounds, *shortest_path, *okd);
                if let Some(architecture) = architecture {
                    self.architecture(mirror, architecture);
                }
            }
        }
    }

    fn operator(
        &mut self,
        at: &str,
        operator: &Operator,
        package: &str,
        channel: Option<&str>,
        wanted: Value,
        bounds: &Value,
    ) {
        let Some(place) = operator.packages.iter().position(|found| found.name == package) else {
            if operator.packages.is_empty() {
                self.notes.push("the catalog was wanted with all its packages, and now with this one only");
            }
            return self.append(&format!("{at}.packages"), wanted);
        };
        let found: &Package = &operator.packages[place];
        let at = format!("{at}.packages[{place}]");
        let Some(channel) = channel else { return self.set_bounds(&at, bounds) };
        match found.channels.iter().position(|found| found.name == channel) {
            Some(place) => self.set_bounds(&format!("{at}.channels[{place}]"), bounds),
            None => {
                if found.channels.is_empty() {
                    self.notes
                        .push("the package was wanted with all its channels, and now with this one only");
                }
                self.append(&format!("{at}.channels"), wanted["channels"][0].clone());
            }
        }
    }

    fn release(&mut self, mirror: &Mirror, channel: &str, bounds: &Value, shortest_path: bool, okd: bool) {
        let kind = if okd { ReleaseType::Okd } else { ReleaseType::Ocp };
        let at = format!("{}.platform.channels", self.root);
        let channels: &[ReleaseChannel] =
            mirror.platform.as_ref().map_or(&[], |platform| platform.channels.as_slice());
        match channels.iter().position(|found| found.name == channel && found.kind == kind) {
            None => {
                let mut wanted = json!({ "name": channel });
                extend(&mut wanted, bounds.clone());
                if okd {
                    wanted["type"] = "okd".into();
                }
                if shortest_path {
                    wanted["shortestPath"] = true.into();
                }
                self.append(&at, wanted);
            }
            Some(place) => {
                let at = format!("{at}[{place}]");
                self.set_bounds(&at, bounds);
                if channels[place].shortest_path != shortest_path {
                    self.set(&format!("{at}.shortestPath"), shortest_path.into());
                }
                if channels[place].full && !shortest_path {
                    self.notes
                        .push("the channel is wanted with `full`, so with all releases between the two");
                }
            }
        }
    }

    /// Sees to it that releases of an architecture are mirrored; without a list they are those of `amd64`.
    fn architecture(&mut self, mirror: &Mirror, architecture: &str) {
        let at = format!("{}.platform.architectures", self.root);
        let Some(platform) = &mirror.platform else {
            if architecture != "amd64" {
                self.set(&at, json!([architecture]));
            }
            return;
        };
        if !platform.platforms.is_empty() {
            self.notes
                .push("`platforms` says for which architectures releases are mirrored; it is left as it is");
        } else if platform.architectures.is_empty() {
            if architecture != "amd64" && platform.channels.is_empty() {
                self.set(&at, json!([architecture]));
            } else if architecture != "amd64" {
                self.set(&at, json!(["amd64", architecture]));
            }
        } else if !platform.architectures.iter().any(|found| found == architecture) {
            self.append(&at, architecture.into());
        }
    }

    /// Sets both ends of a range; one that is not given is taken away.
    fn set_bounds(&mut self, at: &str, bounds: &Value) {
        for key in ["minVersion", "maxVersion"] {
            let value = bounds.get(key).cloned().unwrap_or_else(|| "".into());
            self.set(&format!("{at}.{key}"), value);
        }
    }

    fn set(&mut self, at: &str, value: Value) {
        self.edit(EditAction::Set, at, value);
    }

    fn append(&mut self, at: &str, value: Value) {
        self.edit(EditAction::Append, at, value);
    }

    fn edit(&mut self, action: EditAction, at: &str, value: Value) {
        self.edits.push(Edit { action, at: at.to_owned(), value, why: String::new() });
    }
}

/// The ends of a range that are given.
fn bounds(min: &str, max: &str) -> Value {
    let mut bounds = json!({});
    for (key, value) in [("minVersion", min), ("maxVersion", max)] {
        if !value.is_empty() {
            bounds[key] = value.into();
        }
    }
    bounds
}

fn extend(value: &mut Value, more: Value) {
    if let (Value::Object(fields), Value::Object(more)) = (value, more) {
        fields.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const HEAD: &str = "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\n";
    const USUAL: &str = "mirror:
  operators:
    # The usual one.
    - catalog: r.example/i:v1
      packages:
        - name: p
          channels:
            - name: stable
              minVersion: 1.0.0
        - name: whole # All of it.
  platform:
    channels:
      - name: stable-4.20
";

    fn put(text: &str, picked: Value) -> Picked {
        let picked: Pick = serde_json::from_value(picked).expect("a pick");
        pick(&format!("{HEAD}{text}"), &picked).expect("a configuration")
    }

    fn operator(package: &str, channel: Option<&str>, min: &str, max: &str) -> Value {
        json!({ "kind": "operator", "catalog": "r.example/i:v1", "package": package, "channel": channel,
            "minVersion": min, "maxVersion": max })
    }

    #[rstest]
    #[case(
        operator("p", Some("stable"), "1.1.0", "2.0.0"),
        "            - name: stable\n              maxVersion: 2.0.0\n              minVersion: 1.1.0\n",
        0
    )]
    #[case(
        operator("p", Some("fast"), "", ""),
        "              minVersion: 1.0.0\n            - name: fast\n",
        0
    )]
    #[case(
        operator("q", Some("fast"), "", "3.0.0"),
        "        - name: whole # All of it.\n        - name: q\n          channels:\n            - name: fast\n              maxVersion: 3.0.0\n",
        0
    )]
    #[case(operator("q", None, "1.0.0", ""), "        - name: q\n          minVersion: 1.0.0\n", 0)]
    #[case(
        operator("whole", Some("a"), "", ""),
        "        - name: whole # All of it.\n          channels:\n            - name: a\n",
        1
    )]
    #[case(json!({ "kind": "operator", "catalog": "r.example/j:v1", "package": "p" }),
        "    - catalog: r.example/j:v1\n      packages:\n        - name: p\n", 0)]
    #[case(json!({ "kind": "release", "channel": "stable-4.20", "minVersion": "4.20.1", "maxVersion": "4.20.9", "shortestPath": true }),
        "      - name: stable-4.20\n        shortestPath: true\n        maxVersion: 4.20.9\n        minVersion: 4.20.1\n", 0)]
    #[case(json!({ "kind": "release", "channel": "eus-4.20", "architecture": "arm64" }),
        "      - name: stable-4.20\n      - name: eus-4.20\n    architectures:\n      - amd64\n      - arm64\n", 0)]
    fn picks_go_where_they_belong(#[case] picked: Value, #[case] expected: &str, #[case] notes: usize) {
        let found = put(USUAL, picked);
        assert!(found.text.contains(expected), "{}", found.text);
        assert!(found.kept && found.text.contains("# The usual one."), "{}", found.text);
        assert_eq!(found.notes.len(), notes, "{:?}", found.notes);
    }

    #[test]
    fn a_configuration_can_begin_with_a_pick() {
        let picked = serde_json::from_value(operator("p", None, "", "")).expect("a pick");
        let found = pick("", &picked).expect("a configuration");
        let operators =
            "mirror:\n  operators:\n    - catalog: r.example/i:v1\n      packages:\n        - name: p\n";
        assert_eq!(found.text, format!("{HEAD}{operators}"));
        let arm = json!({ "kind": "release", "channel": "stable-4.20", "architecture": "arm64" });
        let found = pick("\n", &serde_json::from_value(arm).expect("a pick")).expect("a configuration");
        assert!(found.text.contains("architectures:\n") && !found.text.contains("amd64"), "{}", found.text);
    }

    #[test]
    fn a_catalog_that_was_wanted_whole_is_told_of() {
        let found =
            put("mirror:\n  operators:\n    - catalog: r.example/i:v1\n", operator("p", None, "", ""));
        assert_eq!(found.notes, ["the catalog was wanted with all its packages, and now with this one only"]);
    }

    #[test]
    fn what_cannot_be_read_is_not_changed() {
        let picked = serde_json::from_value(operator("p", None, "", "")).expect("a pick");
        let error = pick("kind: Nothing\n", &picked).expect_err("no configuration");
        assert!(!error.problems.is_empty());
        assert_eq!(chosen("kind: Nothing\n"), Value::Null);
    }
}
