//! Everything about one package: its channels as graphs, its bundles, and what they need.
//!
//! | field | what |
//! |---|---|
//! | `channels` | those of the question `package`, each with `entries` by ascending version: name, version, replaces, skips, skipRange |
//! | `bundles` | name, version, image, `images` that it names, and `requires` in words |
//! | `providers` | for each API that a bundle needs, the packages of the catalog that provide it |
//! | `needs` | the packages that a bundle needs by name |
//!
//! What is deprecated has `deprecated: true`.

use std::collections::{BTreeMap, BTreeSet};

use oc_mirror_catalog::{
    Bundle, Channel, ChannelEntry, Gvk, Need, Package, PackageFacts, Requirement, Version,
};
use oc_mirror_plugin_sdk::{Error, other};
use serde_json::{Value, json};

use crate::index::Index;
use crate::questions::facts;

/// Describes a package. The rest of the catalog is read only if the package needs APIs.
pub(crate) fn of(found: &PackageFacts, mut index: Index, digest: &str) -> Result<Value, Error> {
    let package = index.package(found.span)?;
    let mut needs = Needs::default();
    package.bundles.iter().flat_map(|bundle| &bundle.requires).for_each(|need| needs.collect(need));
    let providers = match needs.apis.is_empty() {
        true => Providers::new(),
        false => {
            let whole = Index::open(digest)?.and_then(Index::whole);
            let whole = whole.ok_or_else(|| other("operator.cache", "the index of a catalog is damaged"))?;
            providers(&needs.apis, &whole.packages)
        }
    };
    Ok(described(found, &package, &needs, &providers))
}

/// The packages that provide an API, by the API.
type Providers = BTreeMap<String, BTreeSet<String>>;

/// What the bundles of a package need.
#[derive(Default)]
struct Needs<'a> {
    packages: BTreeSet<&'a str>,
    apis: BTreeSet<&'a Gvk>,
}

impl<'a> Needs<'a> {
    fn collect(&mut self, requirement: &'a Requirement) {
        match &requirement.need {
            Need::Package(name, _) => drop(self.packages.insert(name)),
            Need::Gvk(api) => drop(self.apis.insert(api)),
            Need::All(parts) | Need::Any(parts) => parts.iter().for_each(|part| self.collect(part)),
            // What must not be there, and what cannot be evaluated, asks for nothing.
            Need::Not(_) | Need::Opaque(_) => {}
        }
    }
}

fn providers(apis: &BTreeSet<&Gvk>, packages: &[Package]) -> Providers {
    let mut found: Providers = apis.iter().map(|api| (api.to_string(), BTreeSet::new())).collect();
    for package in packages {
        for api in package.bundles.iter().flat_map(|bundle| &bundle.provides).filter(|api| apis.contains(api))
        {
            found.entry(api.to_string()).or_default().insert(package.name.clone());
        }
    }
    found
}

fn described(found: &PackageFacts, package: &Package, needs: &Needs<'_>, providers: &Providers) -> Value {
    let mut answer = facts(found);
    let is_deprecated = |schema: &str, name: &str| {
        package.deprecations.iter().any(|told| told.schema == schema && told.name == name)
    };
    for channel in answer["channels"].as_array_mut().into_iter().flatten() {
        let name = channel["name"].as_str().unwrap_or_default();
        if is_deprecated("olm.channel", name) {
            channel["deprecated"] = true.into();
        }
        let name = channel["name"].as_str().unwrap_or_default();
        channel["entries"] = package.channel(name).map(|channel| entries(package, channel)).into();
    }
    let bundles = package.bundles.iter().map(|bundle| {
        let mut told = of_bundle(bundle);
        if is_deprecated("olm.bundle", &bundle.name) {
            told["deprecated"] = true.into();
        }
        told
    });
    answer["bundles"] = bundles.collect();
    answer["needs"] = json!(needs.packages);
    answer["providers"] = json!(providers);
    if is_deprecated("olm.package", "") {
        answer["deprecated"] = true.into();
    }
    answer
}

fn entries(package: &Package, channel: &Channel) -> Value {
    let mut entries: Vec<_> =
        channel.entries.iter().map(|entry| (package.version(&entry.name), entry)).collect();
    entries.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.name.cmp(&y.name)));
    let entry = |(version, entry): (Option<&Version>, &ChannelEntry)| {
        let mut told = json!({ "name": entry.name, "version": version.map(ToString::to_string) });
        for (key, value) in [("replaces", &entry.replaces), ("skipRange", &entry.skip_range)] {
            if !value.is_empty() {
                told[key] = value.as_str().into();
            }
        }
        if !entry.skips.is_empty() {
            told["skips"] = json!(entry.skips);
        }
        told
    };
    entries.into_iter().map(entry).collect()
}

fn of_bundle(bundle: &Bundle) -> Value {
    json!({
        "name": bundle.name,
        "version": bundle.version.as_ref().map(ToString::to_string),
        "image": bundle.image,
        "images": bundle.related,
        "requires": bundle.requires.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_mirror_catalog::{ChannelFacts, Deprecation, Span};

    fn bundle(name: &str, version: &str, requires: Vec<Requirement>) -> Bundle {
        let version = version.parse().ok();
        Bundle { name: name.to_owned(), version, requires, ..Bundle::default() }
    }

    fn api() -> Gvk {
        Gvk { group: "x.example".to_owned(), version: "v1".to_owned(), kind: "Thing".to_owned() }
    }

    fn needs(need: Need) -> Requirement {
        Requirement { message: None, need }
    }

    #[test]
    fn a_package_is_told_with_its_graph_and_what_it_needs() {
        let either =
            Need::Any(vec![needs(Need::Package("b".to_owned(), String::new())), needs(Need::Gvk(api()))]);
        let none = Need::Not(vec![needs(Need::Package("c".to_owned(), String::new()))]);
        let entry = |name: &str, replaces: &str| ChannelEntry {
            name: name.to_owned(),
            replaces: replaces.to_owned(),
            ..ChannelEntry::default()
        };
        let package = Package {
            name: "a".to_owned(),
            default_channel: "stable".to_owned(),
            channels: vec![Channel {
                name: "stable".to_owned(),
                entries: vec![entry("a.v10", "a.v9"), entry("a.v9", "")],
                ..Channel::default()
            }],
            bundles: vec![
                bundle("a.v10", "10.0.0", vec![needs(either), needs(none)]),
                bundle("a.v9", "9.0.0", vec![]),
            ],
            deprecations: vec![Deprecation {
                schema: "olm.bundle".to_owned(),
                name: "a.v9".to_owned(),
                ..Deprecation::default()
            }],
            ..Package::default()
        };
        let mut provider = bundle("b.v1", "1.0.0", vec![]);
        provider.provides = vec![api()];
        let other = Package { name: "b".to_owned(), bundles: vec![provider], ..Package::default() };
        let found = PackageFacts {
            name: "a".to_owned(),
            display_name: None,
            default_channel: "stable".to_owned(),
            channels: vec![ChannelFacts {
                name: "stable".to_owned(),
                head: Some("a.v10".to_owned()),
                note: None,
            }],
            files: Vec::new(),
            span: Span::default(),
        };
        let mut wanted = Needs::default();
        package.bundles.iter().flat_map(|b| &b.requires).for_each(|need| wanted.collect(need));
        let told = described(&found, &package, &wanted, &providers(&wanted.apis, &[other]));
        let names: Vec<&Value> =
            told["channels"][0]["entries"].as_array().expect("a list").iter().map(|e| &e["name"]).collect();
        assert_eq!(names, ["a.v9", "a.v10"]);
        assert_eq!(told["needs"], json!(["b"]));
        assert_eq!(told["providers"], json!({ "Thing x.example/v1": ["b"] }));
        assert_eq!(told["bundles"][1]["deprecated"], true);
        assert_eq!(
            told["bundles"][0]["requires"],
            json!(["any of (package b, API Thing x.example/v1)", "none of (package c)"])
        );
    }
}
