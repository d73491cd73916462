//! Small catalogs in a line each, for tests.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::settings::{Entry, Rules};
use crate::{Builder, Catalog, SelectError, Selection, State, select};

/// Makes a catalog of lines such as `p stable: p.v2.0.0>p.v1.0.0!p.v1.5.0 p.v1.0.0`. The first channel of a package
/// is its default channel; the version of a bundle is what follows the first `.v`.
pub(crate) fn catalog(text: &str) -> Catalog {
    with_properties(text, &[])
}

/// The same, with properties of bundles.
pub(crate) fn with_properties(text: &str, more: &[(&str, Value)]) -> Catalog {
    let mut builder = Builder::new();
    for (file, document) in documents(text, more) {
        builder.document(&file, &document.to_string());
    }
    builder.finish().expect("a catalog")
}

/// The documents of such a catalog, with their files.
pub(crate) fn documents(text: &str, more: &[(&str, Value)]) -> Vec<(String, Value)> {
    let mut documents = Vec::new();
    let mut bundles: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in text.lines() {
        let (head, entries) = line.trim().split_once(": ").expect("a colon");
        let (package, channel) = head.split_once(' ').expect("a package and a channel");
        let file = format!("{package}/catalog.json");
        if !bundles.contains_key(package) {
            let package = json!({"schema": "olm.package", "name": package, "defaultChannel": channel});
            documents.push((file.clone(), package));
        }
        let names = bundles.entry(package).or_default();
        let entries: Vec<_> = entries.split_whitespace().map(|word| entry_of(word, names)).collect();
        let channel =
            json!({"schema": "olm.channel", "package": package, "name": channel, "entries": entries});
        documents.push((file, channel));
    }
    for (package, names) in bundles {
        let bundles = names.iter().map(|name| bundle(package, name, more));
        documents.extend(bundles.map(|bundle| (format!("{package}/catalog.json"), bundle)));
    }
    documents
}

fn entry_of<'a>(word: &'a str, names: &mut BTreeSet<&'a str>) -> Value {
    let mut parts = word.split('!');
    let edge = parts.next().unwrap_or_default();
    let (name, replaces) = edge.split_once('>').map_or((edge, None), |(name, below)| (name, Some(below)));
    names.insert(name);
    let skips: Vec<_> = parts.collect();
    json!({"name": name, "replaces": replaces, "skips": skips})
}

fn bundle(package: &str, name: &str, more: &[(&str, Value)]) -> Value {
    let version = name.split_once(".v").map_or(name, |(_, version)| version);
    let mut properties =
        vec![json!({"type": "olm.package", "value": {"packageName": package, "version": version}})];
    properties
        .extend(more.iter().filter(|(bundle, _)| *bundle == name).map(|(_, property)| property.clone()));
    let image = format!("quay.io/{package}/bundle:v{}", version.replace('+', "-"));
    let operator = format!("quay.io/{package}/operator:v{}", version.replace('+', "-"));
    json!({"schema": "olm.bundle", "package": package, "name": name, "image": image, "properties": properties,
        "relatedImages": [{"name": "operator", "image": operator}, {"name": "", "image": image}]})
}

/// Reads an entry without a catalog.
pub(crate) fn entry(mut settings: Value) -> Entry {
    settings["catalog"] = json!("quay.io/x/index:v1");
    serde_json::from_value(settings).expect("an entry")
}

/// Selects by v2alpha1, with nothing mirrored before.
pub(crate) fn v2(catalog: &Catalog, settings: Value) -> Result<Selection, SelectError> {
    select(catalog, &entry(settings), Rules::V2Alpha1, &State::default())
}

/// Writes what is kept as `p/stable=1.0.0,1.1.0 q/fast=2.0.0`.
pub(crate) fn kept(selection: &Selection) -> String {
    let mut channels = Vec::new();
    for package in &selection.packages {
        for channel in &package.channels {
            let mut versions: Vec<_> = channel.entries.iter().map(|kept| &kept.version).collect();
            versions.sort();
            let versions: Vec<_> =
                versions.iter().map(|v| v.as_ref().map_or("?".into(), ToString::to_string)).collect();
            channels.push(format!("{}/{}={}", package.name, channel.name, versions.join(",")));
        }
    }
    channels.sort();
    channels.join(" ")
}
