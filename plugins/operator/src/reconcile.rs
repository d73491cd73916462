//! Answers what the operators on clusters need of the configuration that the plugin was made with: their ways to the heads
//! that it mirrors, what is missing for them, and how to change the configuration.
//!
//! An operator has what [`Installed`] has, and `catalogs`, the images of the catalogs that it comes from, with or
//! without a host; `openshift`, the version that its cluster runs; and `nodes`, the architectures there. The answer has
//! `operators`, `missing`, `edits` and `remarks`.

mod edits;
mod matching;

use std::collections::{BTreeMap, BTreeSet};

use oc_mirror_catalog::{
    Catalog, Entry, Installed, MissingBundle, Offer, OperatorWay, Problem, Reconciled, reconcile,
};
use oc_mirror_plugin_sdk::{Error, explain};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::questions::{open, relevant};
use crate::settings::Settings;
use matching::{Known, matching, original};

/// What is asked.
#[derive(Deserialize)]
pub(crate) struct Asked {
    operators: Vec<OfCluster>,
    #[serde(default)]
    refresh: bool,
    #[serde(default)]
    now: String,
}

/// An operator on a cluster.
#[derive(Clone, Deserialize)]
pub(super) struct OfCluster {
    #[serde(default)]
    catalogs: Vec<String>,
    #[serde(default)]
    openshift: String,
    #[serde(default)]
    nodes: BTreeSet<String>,
    #[serde(flatten)]
    installed: Installed,
}

/// A catalog that operators come from.
struct Source {
    entry: Entry,
    is_new: bool,
    /// What is needed of it; none if it cannot be had, and why.
    catalog: Result<Catalog, String>,
}

/// What became of an operator before its way was looked for.
enum Fate {
    /// It has a way, the next of the answer.
    Found,
    Lost(Box<OperatorWay>),
}

/// Answers.
pub(crate) fn answer(settings: &Settings, mut asked: Asked) -> Result<Value, Error> {
    let mut entries: Vec<(Entry, bool)> =
        settings.catalogs.iter().map(|catalog| (catalog.entry.clone(), false)).collect();
    let known: Vec<Known> = entries.iter().map(|(entry, _)| Known::of(entry)).collect();
    let mut lost: Vec<Value> = Vec::new();
    for operator in &mut asked.operators {
        operator.installed.offers = matching(&known, operator);
        if operator.installed.offers.is_empty() {
            operator.installed.offers = add(&mut entries, operator);
        }
    }
    let sources = read(settings, &asked, entries)?;
    let mut fates = Vec::new();
    let mut installed: Vec<Installed> = Vec::new();
    for operator in &asked.operators {
        let fate = fate(&sources, operator);
        if let Fate::Lost(_) = &fate {
            lost.extend(gap(&sources, operator));
        } else {
            installed.push(among(&sources, operator));
        }
        fates.push(fate);
    }
    let empty = Catalog::default();
    let offers: Vec<Offer<'_>> = sources
        .iter()
        .map(|source| Offer {
            catalog: source.catalog.as_ref().unwrap_or(&empty),
            entry: source.entry.clone(),
            is_new: source.is_new,
        })
        .collect();
    // An entry that nobody uses was not read, and needs no change.
    let used: BTreeSet<usize> = installed.iter().flat_map(|operator| &operator.offers).copied().collect();
    let (places, offers): (Vec<usize>, Vec<Offer<'_>>) =
        offers.into_iter().enumerate().filter(|(place, _)| used.contains(place)).unzip();
    for operator in &mut installed {
        let of = |offer: &usize| places.iter().position(|place| place == offer);
        operator.offers = operator.offers.iter().filter_map(of).collect();
    }
    let found = reconcile(&offers, settings.rules, &installed);
    let platforms = edits::platforms(&offers, &places, &asked.operators);
    let changes = edits::of_entries(&offers, &places, &found);
    Ok(put_together(&sources, &used, fates, found, lost, platforms, changes))
}

/// Adds the entry that an operator's catalog would have in a configuration, if its name is known; returns its place.
fn add(entries: &mut Vec<(Entry, bool)>, operator: &OfCluster) -> Vec<usize> {
    let Some(catalog) = operator.catalogs.iter().find_map(|image| original(image)) else { return Vec::new() };
    if let Some(place) = entries.iter().position(|(entry, is_new)| *is_new && entry.catalog == catalog) {
        return vec![place];
    }
    entries.push((Entry { catalog, ..Entry::default() }, true));
    vec![entries.len() - 1]
}

/// Reads what is needed of the catalogs that operators come from. One that the configuration has is an error where it
/// cannot be had; another one is not there for the operators.
fn read(settings: &Settings, asked: &Asked, entries: Vec<(Entry, bool)>) -> Result<Vec<Source>, Error> {
    let mut sources = Vec::with_capacity(entries.len());
    for (place, (entry, is_new)) in entries.into_iter().enumerate() {
        let of_it = asked.operators.iter().filter(|operator| operator.installed.offers.contains(&place));
        let packages: BTreeSet<&str> = of_it.map(|operator| operator.installed.package.as_str()).collect();
        let catalog = match packages.is_empty() {
            true => Ok(Ok(Catalog::default())),
            false => catalog(settings, asked, &entry, is_new, &packages),
        };
        let catalog = match catalog {
            Ok(catalog) => catalog,
            Err(error) if is_new => Err(explain(&error)),
            Err(error) => return Err(error),
        };
        sources.push(Source { entry, is_new, catalog });
    }
    Ok(sources)
}

fn catalog(
    settings: &Settings,
    asked: &Asked,
    entry: &Entry,
    is_new: bool,
    packages: &BTreeSet<&str>,
) -> Result<Result<Catalog, String>, Error> {
    let index = open(&entry.catalog, asked.refresh, &asked.now)?.index;
    if !is_new {
        return relevant(index, entry, settings.rules, packages).map(Ok);
    }
    // Of a catalog that is not in the configuration only these packages matter.
    let there = |name: &&&str| index.contents.package(name).is_some();
    let listed = packages.iter().filter(there).map(|name| oc_mirror_catalog::PackageEntry {
        name: (*name).to_owned(),
        ..oc_mirror_catalog::PackageEntry::default()
    });
    let listed: Vec<_> = listed.collect();
    if listed.is_empty() {
        return Ok(Ok(Catalog::default()));
    }
    let entry = Entry { packages: Some(listed), skip_dependencies: true, ..entry.clone() };
    relevant(index, &entry, settings.rules, &BTreeSet::new()).map(Ok)
}

/// Tells whether a way can be looked for.
fn fate(sources: &[Source], operator: &OfCluster) -> Fate {
    let Installed { cluster, package, bundle, version, offers, .. } = &operator.installed;
    let lost = |text: String, hint: String| {
        let problem = Problem::new("operators.unknown-catalog", text).hint(hint);
        Fate::Lost(Box::new(OperatorWay {
            cluster: cluster.clone(),
            package: package.clone(),
            bundle: bundle.clone(),
            version: version.clone(),
            problem: Some(problem),
            ..OperatorWay::default()
        }))
    };
    if operator.catalogs.is_empty() {
        let hint = "the catalog that its subscription names is not there, or is no image";
        return lost("it is not known which catalog it comes from".to_owned(), hint.to_owned());
    }
    if offers.is_empty() {
        let names: Vec<String> = operator.catalogs.iter().map(|image| format!("`{image}`")).collect();
        let text = format!("its catalog {} is not in the configuration", names.join(", "));
        return lost(text, "add the catalog that it was mirrored from to `mirror.operators`".to_owned());
    }
    let broken = offers.iter().find_map(|offer| {
        let source = sources.get(*offer)?;
        Some((&source.entry.catalog, source.catalog.as_ref().err()?))
    });
    match broken {
        None => Fate::Found,
        Some((catalog, reason)) => {
            let text = format!("its catalog is not in the configuration, and `{catalog}` cannot be read");
            lost(text, reason.clone())
        }
    }
}

/// Says which catalog is missing for an operator, where it is not known how to add it.
fn gap(sources: &[Source], operator: &OfCluster) -> Option<Value> {
    let new = operator.installed.offers.iter().find_map(|offer| sources.get(*offer));
    let name = new.map(|source| &source.entry.catalog).or(operator.catalogs.first())?;
    Some(json!({
        "what": "catalog",
        "name": name,
        "neededBy": [operator.installed.cluster],
        "closed": false,
    }))
}

/// An operator that may come from any catalog of its cluster comes from one that has it.
fn among(sources: &[Source], operator: &OfCluster) -> Installed {
    let mut installed = operator.installed.clone();
    if operator.catalogs.len() > 1 {
        let has = |offer: &usize| {
            let catalog = sources.get(*offer).and_then(|source| source.catalog.as_ref().ok());
            catalog.is_some_and(|catalog| catalog.package(&installed.package).is_some())
        };
        let having: Vec<usize> = installed.offers.iter().copied().filter(has).collect();
        if !having.is_empty() {
            installed.offers = having;
        }
    }
    installed
}

fn put_together(
    sources: &[Source],
    used: &BTreeSet<usize>,
    fates: Vec<Fate>,
    found: Reconciled,
    lost: Vec<Value>,
    platforms: edits::Platforms,
    changes: Vec<Value>,
) -> Value {
    let mut ways = found.ways.into_iter();
    let operators: Vec<Option<OperatorWay>> = fates
        .into_iter()
        .map(|fate| match fate {
            Fate::Found => ways.next(),
            Fate::Lost(way) => Some(*way),
        })
        .collect();
    let mut missing = together(lost);
    missing.extend(found.missing.iter().map(|missing: &MissingBundle| {
        json!({
            "what": missing.what,
            "name": missing.bundle,
            "of": format!("{} of {} in {}", missing.channel, missing.package, missing.catalog),
            "neededBy": missing.needed_by,
            "closed": missing.closed,
        })
    }));
    missing.extend(platforms.missing);
    let mut edits = platforms.edits;
    edits.extend(changes);
    let unused = sources.iter().enumerate().filter(|(place, source)| !source.is_new && !used.contains(place));
    let unused =
        unused.map(|(_, source)| format!("`{}`: no cluster has an operator of it", source.entry.catalog));
    let remarks: Vec<String> = found.remarks.into_iter().chain(unused).collect();
    json!({ "operators": operators, "missing": missing, "edits": edits, "remarks": remarks })
}

/// Makes one of the gaps with the same name.
fn together(gaps: Vec<Value>) -> Vec<Value> {
    let mut of_each: BTreeMap<String, (Value, BTreeSet<String>)> = BTreeMap::new();
    for gap in gaps {
        let name = gap["name"].as_str().unwrap_or_default().to_owned();
        let clusters: Vec<String> = serde_json::from_value(gap["neededBy"].clone()).unwrap_or_default();
        of_each.entry(name).or_insert_with(|| (gap, BTreeSet::new())).1.extend(clusters);
    }
    let gaps = of_each.into_values().map(|(mut gap, clusters)| {
        gap["neededBy"] = json!(clusters);
        gap
    });
    gaps.collect()
}
