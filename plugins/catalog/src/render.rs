//! [`Renderer`]: writes the documents of the smaller catalog, from those of the original.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::model::Catalog;
use crate::parse::{Head, bare};
use crate::problem::Problem;
use crate::select::{KeptEntry, SelectedChannel, SelectedPackage, Selection};

/// Renders the documents that a selection keeps.
#[derive(Debug)]
pub struct Renderer<'a> {
    catalog: &'a Catalog,
    selection: &'a Selection,
    files: HashSet<&'a str>,
}

/// A document of the smaller catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Its file, below the configs root. Several documents share it.
    pub path: String,
    /// One JSON document and a newline.
    pub text: String,
}

impl<'a> Renderer<'a> {
    /// Prepares to render a selection of a catalog.
    pub fn new(catalog: &'a Catalog, selection: &'a Selection) -> Self {
        let mut files = HashSet::new();
        let wanted = |other: &&crate::Other| other.package.is_empty() || selection.whole;
        files.extend(catalog.others.iter().filter(wanted).map(|other| other.file.as_str()));
        for kept in &selection.packages {
            let Some(package) = catalog.package(&kept.name) else { continue };
            let channels = package.channels.iter().filter(|channel| kept.channel(&channel.name).is_some());
            let bundles = package.bundles.iter().filter(|bundle| kept.has(&bundle.name));
            let places = channels.map(|channel| channel.file).chain(bundles.map(|bundle| bundle.file));
            let places = places.chain(package.deprecations.iter().map(|deprecation| deprecation.file));
            files.extend(places.chain([package.file]).map(|place| package.file_name(place)));
            files.extend(package.others.iter().map(|other| other.file.as_str()));
        }
        Self { catalog, selection, files }
    }

    /// Tells whether a file has anything that is kept.
    pub fn is_wanted_file(&self, file: &str) -> bool {
        self.files.contains(bare(file))
    }

    /// Renders a document of the original catalog; none if it is not kept.
    pub fn document(&self, file: &str, json: &str) -> Result<Option<Rendered>, Problem> {
        if !self.is_wanted_file(file) {
            return Ok(None);
        }
        let malformed = |error: serde_json::Error| {
            Problem::new("catalog.malformed", format!("a document is malformed: {error}")).file(file)
        };
        let head = serde_json::from_str::<Option<Head>>(json).map_err(malformed)?.unwrap_or_default();
        let Some(text) = self.text(&head, json).map_err(malformed)? else { return Ok(None) };
        let path = path(head.owner()).map_err(|problem| problem.file(file))?;
        Ok(Some(Rendered { path, text: format!("{text}\n") }))
    }

    fn text<'t>(&self, head: &Head, json: &'t str) -> Result<Option<Cow<'t, str>>, serde_json::Error> {
        let verbatim = || Ok(Some(Cow::Borrowed(json.trim())));
        let (schema, name) = (head.schema.as_deref().unwrap_or(""), head.name.as_deref().unwrap_or(""));
        let Some(kept) = self.selection.package(head.owner()) else {
            return match schema {
                "" | "olm.package" | "olm.channel" | "olm.bundle" | "olm.deprecations" => Ok(None),
                _ if head.owner().is_empty() || self.is_undeclared(head.owner()) => verbatim(),
                _ => Ok(None),
            };
        };
        match schema {
            "" => Ok(None),
            "olm.package" => self.package(kept, json).map(Some),
            "olm.channel" => kept.channel(name).map(|channel| self.channel(kept, channel, json)).transpose(),
            "olm.bundle" if !kept.has(name) => Ok(None),
            "olm.deprecations" => self.deprecations(kept, json).map(Some),
            _ => verbatim(),
        }
    }

    /// Tells whether a document of a package that the catalog does not declare stays.
    fn is_undeclared(&self, package: &str) -> bool {
        self.selection.whole && self.catalog.package(package).is_none()
    }

    fn package<'t>(&self, kept: &SelectedPackage, json: &'t str) -> Result<Cow<'t, str>, serde_json::Error> {
        let before = self.catalog.package(&kept.name).map(|package| package.default_channel.as_str());
        if before == Some(&kept.default_channel) {
            return Ok(Cow::Borrowed(json.trim()));
        }
        let mut members: Members<'_> = serde_json::from_str(json)?;
        members.set("defaultChannel", text(&kept.default_channel)?);
        members.render()
    }

    fn channel<'t>(
        &self,
        kept: &SelectedPackage,
        channel: &SelectedChannel,
        json: &'t str,
    ) -> Result<Cow<'t, str>, serde_json::Error> {
        let original = self.catalog.package(&kept.name).and_then(|package| package.channel(&channel.name));
        let complete = original.is_some_and(|original| original.entries.len() == channel.entries.len());
        if complete && !channel.entries.iter().any(|kept| kept.rewritten) {
            return Ok(Cow::Borrowed(json.trim()));
        }
        let mut members: Members<'_> = serde_json::from_str(json)?;
        let entries = members.filter("entries", |head, json| {
            let name = head.name.as_deref().unwrap_or("");
            channel
                .entries
                .iter()
                .find(|kept| kept.entry.name == name)
                .map(|kept| entry(kept, json))
                .transpose()
        })?;
        members.set("entries", entries);
        members.render()
    }

    fn deprecations<'t>(
        &self,
        kept: &SelectedPackage,
        json: &'t str,
    ) -> Result<Cow<'t, str>, serde_json::Error> {
        #[derive(Deserialize)]
        struct Item {
            #[serde(default)]
            reference: Option<Head>,
        }
        let mut members: Members<'_> = serde_json::from_str(json)?;
        let entries = members.filter("entries", |_, json| {
            let reference = serde_json::from_str::<Item>(json)?.reference.unwrap_or_default();
            let (schema, name) = (reference.schema.unwrap_or_default(), reference.name.unwrap_or_default());
            let stays = kept.deprecations.iter().any(|kept| kept.schema == schema && kept.name == name);
            Ok(stays.then(|| json.to_owned()))
        })?;
        members.set("entries", entries);
        members.render()
    }
}

/// Renders an entry: as it is, or with the edges that it has now.
fn entry(kept: &KeptEntry, json: &str) -> Result<String, serde_json::Error> {
    if !kept.rewritten {
        return Ok(json.to_owned());
    }
    let mut members: Members<'_> = serde_json::from_str(json)?;
    members.set("replaces", text(&kept.entry.replaces)?);
    members.set("skips", text(&kept.entry.skips)?);
    Ok(members.render()?.into_owned())
}

fn text<T: Serialize + ?Sized>(value: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string(value)
}

/// Returns the file of a package's documents.
fn path(package: &str) -> Result<String, Problem> {
    let unsafe_ = matches!(package, "." | "..") || package.contains(['/', '\\', '\0']);
    match (package, unsafe_) {
        ("", _) => Ok("catalog.json".to_owned()),
        (package, false) => Ok(format!("{package}/catalog.json")),
        (package, true) => {
            let message = "the name of the package cannot be that of a directory";
            let hint = "do not mirror it: no honest catalog has such a name";
            Err(Problem::new("catalog.unsafe-name", message).package(package).hint(hint))
        }
    }
}

/// The members of an object, in their order.
struct Members<'a>(Vec<(String, Cow<'a, str>)>);

impl<'a> Members<'a> {
    fn set(&mut self, key: &str, json: String) {
        let mut found = false;
        for (_, value) in self.0.iter_mut().filter(|(name, _)| name == key) {
            *value = Cow::Owned(json.clone());
            found = true;
        }
        if !found {
            self.0.push((key.to_owned(), Cow::Owned(json)));
        }
    }

    /// Renders a list with the items for which `render` returns something.
    fn filter(
        &self,
        key: &str,
        render: impl Fn(&Head, &str) -> Result<Option<String>, serde_json::Error>,
    ) -> Result<String, serde_json::Error> {
        let list = self.0.iter().rev().find(|(name, _)| name == key).map_or("[]", |(_, value)| value);
        let items: Option<Vec<&RawValue>> = serde_json::from_str(list)?;
        let mut kept = Vec::new();
        for item in items.unwrap_or_default() {
            let head: Head = serde_json::from_str(item.get())?;
            kept.extend(render(&head, item.get())?);
        }
        Ok(format!("[{}]", kept.join(",")))
    }

    fn render<'t>(&self) -> Result<Cow<'t, str>, serde_json::Error> {
        let mut members = Vec::with_capacity(self.0.len());
        for (name, value) in &self.0 {
            members.push(format!("{}:{value}", text(name)?));
        }
        Ok(Cow::Owned(format!("{{{}}}", members.join(","))))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ordered;
        impl<'de> Visitor<'de> for Ordered {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push((key, Cow::Borrowed(value.get())));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Ordered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{documents, v2};
    use crate::{Builder, Catalog};
    use rstest::rstest;
    use serde_json::{Value, json};

    const P: &str = "p stable: p.v2.0.0>p.v1.0.0 p.v1.0.0\np fast: p.v3.0.0\nq a: q.v1.0.0";

    fn all() -> Vec<(String, Value)> {
        let mut all = documents(P, &[]);
        let entry = |schema: &str, name: &str| json!({"message": "old", "reference": {"schema": schema, "name": name}});
        let entries = [entry("olm.bundle", "p.v1.0.0"), entry("olm.channel", "stable")];
        all.push((
            "p/x.json".into(),
            json!({"schema": "olm.deprecations", "package": "p", "entries": entries}),
        ));
        all.push(("life.json".into(), json!({"schema": "life", "any": [1]})));
        all.push(("life.json".into(), json!({"schema": "life", "package": "p", "entries": 5})));
        all.push(("life.json".into(), json!({"schema": "life", "package": "q"})));
        all
    }

    fn build(documents: &[(String, Value)]) -> Catalog {
        let mut builder = Builder::new();
        documents.iter().for_each(|(file, document)| builder.document(file, &document.to_string()));
        builder.finish().expect("a catalog")
    }

    fn render(settings: Value) -> Vec<(String, Value)> {
        let documents = all();
        let catalog = build(&documents);
        let selection = v2(&catalog, settings).expect("a selection");
        let renderer = Renderer::new(&catalog, &selection);
        let rendered = documents.iter().filter_map(|(file, document)| {
            let rendered = renderer.document(file, &document.to_string()).expect("rendered")?;
            assert!(rendered.text.ends_with("}\n"));
            Some((rendered.path, serde_json::from_str(&rendered.text).expect("JSON")))
        });
        rendered.collect()
    }

    #[test]
    fn only_what_is_kept_is_rendered() {
        let rendered = render(json!({"packages": [{"name": "p", "channels": [{"name": "stable"}]}]}));
        let names: Vec<_> = rendered
            .iter()
            .map(|(path, v)| {
                format!("{path} {} {}", v["schema"].as_str().unwrap_or(""), v["name"].as_str().unwrap_or(""))
            })
            .collect();
        assert_eq!(
            names,
            [
                "p/catalog.json olm.package p",
                "p/catalog.json olm.channel stable",
                "p/catalog.json olm.bundle p.v2.0.0",
                "p/catalog.json olm.deprecations ",
                "catalog.json life ",
                "p/catalog.json life ",
            ]
        );
        assert_eq!(
            rendered[1].1["entries"],
            json!([{"name": "p.v2.0.0", "replaces": "p.v1.0.0", "skips": []}])
        );
        assert_eq!(rendered[3].1["entries"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn what_is_untouched_stays_as_it_is() {
        let mut expected = all();
        expected.iter_mut().for_each(|(file, document)| {
            let package = document["package"].as_str().or(document["name"].as_str());
            *file = package.map_or("catalog.json".into(), |package| format!("{package}/catalog.json"));
        });
        assert_eq!(render(json!({"full": true})), expected);
    }

    #[test]
    fn the_default_channel_changes() {
        let rendered = render(
            json!({"packages": [{"name": "p", "defaultChannel": "fast", "channels": [{"name": "fast"}]}]}),
        );
        assert_eq!(rendered[0].1["defaultChannel"], "fast");
    }

    #[test]
    fn members_keep_their_order() {
        let documents = all();
        let catalog = build(&documents);
        let selection = v2(&catalog, json!({})).expect("a selection");
        let odd = r#" {"name":"stable","entries":[{"skips":[],"x":1,"name":"p.v2.0.0"},{"name":"p.v1.0.0"}],"package":"p","z":[ 1 ],"schema":"olm.channel"} "#;
        let rendered = Renderer::new(&catalog, &selection)
            .document("p/catalog.json", odd)
            .expect("rendered")
            .expect("kept");
        let expected = r#"{"name":"stable","entries":[{"skips":[],"x":1,"name":"p.v2.0.0"}],"package":"p","z":[ 1 ],"schema":"olm.channel"}"#;
        assert_eq!(rendered.text, format!("{expected}\n"));
    }

    #[test]
    fn rewritten_entries_have_their_new_edges() {
        let entry_ = crate::ChannelEntry {
            name: "b".into(),
            replaces: "a".into(),
            skips: vec!["x".into()],
            skip_range: String::new(),
        };
        let kept = KeptEntry { entry: entry_, version: None, rewritten: true };
        let text = entry(&kept, r#"{"replaces":"x","name":"b","skipRange":"<1"}"#).expect("JSON");
        assert_eq!(text, r#"{"replaces":"a","name":"b","skipRange":"<1","skips":["x"]}"#);
    }

    #[test]
    fn files_without_anything_kept_are_skipped() {
        let documents = all();
        let catalog = build(&documents);
        let selection = v2(&catalog, json!({"packages": [{"name": "q"}]})).expect("a selection");
        let renderer = Renderer::new(&catalog, &selection);
        assert!(renderer.is_wanted_file("q/catalog.json") && renderer.is_wanted_file("life.json"));
        assert!(!renderer.is_wanted_file("p/catalog.json") && !renderer.is_wanted_file("other"));
    }

    #[rstest]
    #[case("..")]
    #[case("a/b")]
    #[case("a\\b")]
    fn unsafe_names(#[case] name: &str) {
        assert_eq!(path(name).expect_err("unsafe").code, "catalog.unsafe-name");
    }
}
