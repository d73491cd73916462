//! How to get from some entries to others, as edits of a configuration.

use std::collections::{BTreeMap, BTreeSet};

use oc_mirror_catalog::{ChannelFilter, Entry, MissingBundle, Offer, PackageEntry, Reconciled};
use serde_json::{Value, json};

use super::OfCluster;

/// Where the section is in a configuration.
const SECTION: &str = "mirror.operators";
/// How many bundles a reason names.
const MOST_NAMES: usize = 3;

fn edit(action: &str, at: &str, value: Value, why: &str) -> Value {
    json!({ "action": action, "at": at, "value": value, "why": why })
}

/// Says how to get from the entries as they were to those that have all. `places` are those in the configuration.
pub(super) fn of_entries(offers: &[Offer<'_>], places: &[usize], found: &Reconciled) -> Vec<Value> {
    let mut edits = Vec::new();
    for ((offer, place), entry) in offers.iter().zip(places).zip(&found.entries) {
        let mut changes =
            Changes { missing: &found.missing, catalog: &offer.entry.catalog, edits: Vec::new() };
        match offer.is_new {
            true if entry.listed().is_empty() => {}
            true => changes.entry(entry),
            false => changes.packages(&format!("{SECTION}[{place}].packages"), &offer.entry, entry),
        }
        edits.append(&mut changes.edits);
    }
    edits
}

struct Changes<'a> {
    missing: &'a [MissingBundle],
    catalog: &'a str,
    edits: Vec<Value>,
}

impl Changes<'_> {
    fn push(&mut self, action: &str, at: &str, value: Value, package: Option<&str>) {
        let why = self.reason(package);
        self.edits.push(edit(action, at, value, &why));
    }

    /// Says for which clusters something of a package, or of the whole catalog, is changed.
    fn reason(&self, package: Option<&str>) -> String {
        let mut of_each: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let own = self.missing.iter().filter(|missing| missing.catalog == self.catalog);
        for missing in own.filter(|missing| package.is_none_or(|package| missing.package == package)) {
            of_each.entry(&missing.bundle).or_default().extend(missing.needed_by.iter().map(String::as_str));
        }
        let mut texts: Vec<String> = of_each
            .iter()
            .take(MOST_NAMES)
            .map(|(bundle, clusters)| {
                let clusters: Vec<&str> = clusters.iter().copied().collect();
                format!("{bundle} for {}", clusters.join(", "))
            })
            .collect();
        if of_each.len() > MOST_NAMES {
            texts.push(format!("and {} more", of_each.len() - MOST_NAMES));
        }
        texts.join("; ")
    }

    fn entry(&mut self, entry: &Entry) {
        let packages: Vec<Value> = entry.listed().iter().map(package).collect();
        let value = json!({ "catalog": entry.catalog, "packages": packages });
        self.push("append", SECTION, value, None);
    }

    fn packages(&mut self, at: &str, before: &Entry, after: &Entry) {
        if before.listed().is_empty() && !after.listed().is_empty() {
            let all: Vec<Value> = after.listed().iter().map(package).collect();
            return self.push("set", at, all.into(), None);
        }
        for (place, (old, new)) in before.listed().iter().zip(after.listed()).enumerate() {
            self.package(&format!("{at}[{place}]"), old, new);
        }
        for new in after.listed().iter().skip(before.listed().len()) {
            self.push("append", at, package(new), Some(&new.name));
        }
    }

    fn package(&mut self, at: &str, old: &PackageEntry, new: &PackageEntry) {
        let name = Some(new.name.as_str());
        self.ends(
            at,
            [
                ("minVersion", &old.min_version, &new.min_version),
                ("maxVersion", &old.max_version, &new.max_version),
                ("minBundle", &old.min_bundle, &new.min_bundle),
                ("defaultChannel", &old.default_channel, &new.default_channel),
            ],
            name,
        );
        let channels = format!("{at}.channels");
        match old.channels.is_empty() && !new.channels.is_empty() {
            true => {
                let all: Vec<Value> = new.channels.iter().map(channel).collect();
                self.push("set", &channels, all.into(), name);
            }
            false => {
                for (place, (old, new)) in old.channels.iter().zip(&new.channels).enumerate() {
                    self.ends(
                        &format!("{channels}[{place}]"),
                        [
                            ("minVersion", &old.min_version, &new.min_version),
                            ("maxVersion", &old.max_version, &new.max_version),
                            ("minBundle", &old.min_bundle, &new.min_bundle),
                        ],
                        name,
                    );
                }
                for new in new.channels.iter().skip(old.channels.len()) {
                    self.push("append", &channels, channel(new), name);
                }
            }
        }
        for bundle in new.bundles.iter().skip(old.bundles.len()) {
            self.push("append", &format!("{at}.bundles"), json!({ "name": bundle.name }), name);
        }
    }

    /// Sets texts that are others than before. An empty text says the same as none.
    fn ends<'a>(
        &mut self,
        at: &str,
        ends: impl IntoIterator<Item = (&'static str, &'a Option<String>, &'a Option<String>)>,
        package: Option<&str>,
    ) {
        for (key, old, new) in ends {
            if old != new {
                let value = new.as_deref().unwrap_or_default();
                self.push("set", &format!("{at}.{key}"), value.into(), package);
            }
        }
    }
}

/// Writes a package as a configuration has it.
fn package(package: &PackageEntry) -> Value {
    let mut value = json!({ "name": package.name });
    for (key, text) in [
        ("defaultChannel", &package.default_channel),
        ("minVersion", &package.min_version),
        ("maxVersion", &package.max_version),
    ] {
        if let Some(text) = text {
            value[key] = text.as_str().into();
        }
    }
    if !package.channels.is_empty() {
        value["channels"] = package.channels.iter().map(channel).collect();
    }
    value
}

fn channel(channel: &ChannelFilter) -> Value {
    let mut value = json!({ "name": channel.name });
    for (key, text) in [("minVersion", &channel.min_version), ("maxVersion", &channel.max_version)] {
        if let Some(text) = text {
            value[key] = text.as_str().into();
        }
    }
    value
}

/// What the architectures of nodes ask for.
#[derive(Default)]
pub(super) struct Platforms {
    pub(super) missing: Vec<Value>,
    pub(super) edits: Vec<Value>,
}

/// Compares the architectures of nodes with the platforms of the entries that have any.
pub(super) fn platforms(offers: &[Offer<'_>], places: &[usize], operators: &[OfCluster]) -> Platforms {
    let mut found = Platforms::default();
    for (offer, place) in offers.iter().zip(places).filter(|(offer, _)| !offer.entry.platforms.is_empty()) {
        let mut nodes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for operator in operators.iter().filter(|operator| operator.installed.offers.contains(place)) {
            for node in &operator.nodes {
                nodes.entry(node).or_default().insert(&operator.installed.cluster);
            }
        }
        for (node, clusters) in nodes {
            if offer.entry.platforms.iter().any(|platform| platform.architecture == node) {
                continue;
            }
            let clusters: Vec<&str> = clusters.into_iter().collect();
            let value = json!({ "os": "linux", "architecture": node });
            let why = format!("the architecture of nodes of {}", clusters.join(", "));
            found.edits.push(edit("append", &format!("{SECTION}[{place}].platforms"), value, &why));
            found.missing.push(json!({
                "what": "platform",
                "name": format!("linux/{node}"),
                "of": offer.entry.catalog,
                "neededBy": clusters,
                "closed": true,
            }));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_mirror_catalog::Catalog;
    use rstest::rstest;

    fn entry(packages: Value) -> Entry {
        serde_json::from_value(json!({ "catalog": "quay.io/x/index:v1", "packages": packages }))
            .expect("an entry")
    }

    #[rstest]
    #[case(json!([{"name": "p"}]), json!([{"name": "p"}]), json!([]))]
    #[case(json!([{"name": "p"}]), json!([{"name": "p", "minVersion": "1.0.0"}]),
        json!([["set", "mirror.operators[3].packages[0].minVersion", "1.0.0"]]))]
    #[case(json!([{"name": "p"}]), json!([{"name": "p"}, {"name": "q", "channels": [{"name": "a", "minVersion": "1.0.0"}]}]),
        json!([["append", "mirror.operators[3].packages", {"name": "q", "channels": [{"name": "a", "minVersion": "1.0.0"}]}]]))]
    #[case(json!([]), json!([{"name": "p", "minVersion": "1.0.0"}, {"name": "q"}]),
        json!([["set", "mirror.operators[3].packages", [{"name": "p", "minVersion": "1.0.0"}, {"name": "q"}]]]))]
    #[case(
        json!([{"name": "p", "minVersion": "1.0.0", "channels": [{"name": "a"}]}]),
        json!([{"name": "p", "channels": [{"name": "a", "minVersion": "1.0.0"}, {"name": "b"}]}]),
        json!([
            ["set", "mirror.operators[3].packages[0].minVersion", ""],
            ["set", "mirror.operators[3].packages[0].channels[0].minVersion", "1.0.0"],
            ["append", "mirror.operators[3].packages[0].channels", {"name": "b"}],
        ]))]
    #[case(json!([{"name": "p", "bundles": [{"name": "p.v1"}]}]), json!([{"name": "p", "bundles": [{"name": "p.v1"}, {"name": "p.v2"}]}]),
        json!([["append", "mirror.operators[3].packages[0].bundles", {"name": "p.v2"}]]))]
    fn edits(#[case] before: Value, #[case] after: Value, #[case] expected: Value) {
        let catalog = Catalog::default();
        let offer = Offer { catalog: &catalog, entry: entry(before), is_new: false };
        let found = Reconciled { entries: vec![entry(after)], ..Reconciled::default() };
        let edits: Vec<Value> = of_entries(&[offer], &[3], &found)
            .iter()
            .map(|edit| json!([edit["action"], edit["at"], edit["value"]]))
            .collect();
        assert_eq!(Value::from(edits), expected);
    }

    #[test]
    fn a_new_entry() {
        let catalog = Catalog::default();
        let offer = Offer { catalog: &catalog, entry: entry(json!([])), is_new: true };
        let found = Reconciled { entries: vec![entry(json!([{"name": "p"}]))], ..Reconciled::default() };
        let value = json!({"catalog": "quay.io/x/index:v1", "packages": [{"name": "p"}]});
        assert_eq!(of_entries(&[offer], &[0], &found), [edit("append", "mirror.operators", value, "")]);
    }
}
