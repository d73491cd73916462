//! Answers what there is: the packages of a catalog, the channels of a package, the versions in a channel.
//!
//! | question | arguments | answer |
//! |---|---|---|
//! | `catalog` | `catalog` | `packages`: name, displayName, defaultChannel, channels with name and head |
//! | `package` | `catalog`, `package` | the same of one package |
//! | `channel` | `catalog`, `package`, `channel` | `versions`: name and version of each bundle |
//! | `details` | `catalog`, `package` | everything about one package, see [`details`] |
//! | `exist` | `catalogs` | for each its `digest`, or the `problem` |
//! | `reconcile` | `operators` | see [`reconcile`] |
//! | `select` | `rules`, `entry` | what the entry of a configuration selects |
//!
//! What a reference named when it was last looked up is remembered with the time, `now`, that the question came with.
//! With that and the index in the cache no question needs a network; `refresh` looks the reference up again.

use std::collections::{BTreeMap, BTreeSet};

use oc_mirror_catalog::{Catalog, Entry, PackageFacts, Rules, Selection, State, nearest, select};
use oc_mirror_plugin_sdk::host::cache::{self, Draft};
use oc_mirror_plugin_sdk::host::registry;
use oc_mirror_plugin_sdk::{Error, explain, other, with_hint};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::details;
use crate::index::{self, Index};
use crate::read::CatalogImage;
use crate::reconcile;
use crate::settings::Settings;

/// What is asked about a catalog.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct About {
    catalog: String,
    #[serde(default)]
    package: Option<String>,
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    refresh: bool,
    #[serde(default)]
    now: String,
}

/// What is asked about an entry of a configuration.
#[derive(Deserialize)]
struct Choice {
    rules: Rules,
    entry: Entry,
    #[serde(default)]
    now: String,
}

/// Which catalogs there are.
#[derive(Deserialize)]
struct Candidates {
    catalogs: Vec<String>,
}

/// What a reference named, and when.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LookedUp {
    digest: String,
    looked_up: String,
}

/// Answers a question.
pub(crate) fn answer(settings: &Settings, question: &str, arguments: &str) -> Result<String, Error> {
    let answer = match question {
        "catalog" | "package" | "channel" | "details" => about(question, &parse(arguments)?),
        "exist" => exist(&parse(arguments)?),
        "reconcile" => reconcile::answer(settings, parse(arguments)?),
        "select" => selected(&parse(arguments)?),
        _ => Err(Error::Invalid(format!("there is no question `{question}`"))),
    };
    answer.map(|answer| answer.to_string())
}

fn parse<T: DeserializeOwned>(arguments: &str) -> Result<T, Error> {
    serde_json::from_str(arguments).map_err(|e| Error::Invalid(format!("the arguments cannot be read: {e}")))
}

fn about(question: &str, asked: &About) -> Result<Value, Error> {
    let Opened { looked_up, remembered, mut index } = open(&asked.catalog, asked.refresh, &asked.now)?;
    let head = json!({
        "catalog": asked.catalog,
        "digest": looked_up.digest,
        "lookedUp": looked_up.looked_up,
        "remembered": remembered,
    });
    let rest = match question {
        "catalog" => {
            let packages: Vec<Value> = index.contents.packages.iter().map(facts).collect();
            json!({ "packages": packages })
        }
        "package" => facts(package(&index, asked)?),
        "details" => {
            let facts = package(&index, asked)?.clone();
            details::of(&facts, index, &looked_up.digest)?
        }
        _ => versions(&mut index, asked)?,
    };
    Ok(merged(head, rest))
}

fn merged(mut head: Value, rest: Value) -> Value {
    if let (Value::Object(head), Value::Object(rest)) = (&mut head, rest) {
        head.extend(rest);
    }
    head
}

pub(crate) fn facts(package: &PackageFacts) -> Value {
    let mut channels: Vec<_> = package.channels.iter().collect();
    channels.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let channels: Vec<Value> = channels
        .into_iter()
        .map(|channel| match &channel.note {
            None => json!({ "name": channel.name, "head": channel.head }),
            Some(note) => json!({ "name": channel.name, "head": channel.head, "note": note }),
        })
        .collect();
    json!({
        "name": package.name,
        "displayName": package.display_name,
        "defaultChannel": package.default_channel,
        "channels": channels,
    })
}

fn package<'a>(index: &'a Index, asked: &About) -> Result<&'a PackageFacts, Error> {
    let name = asked.package.as_deref().unwrap_or_default();
    let names = || index.contents.packages.iter().map(|p| p.name.as_str());
    index.contents.package(name).ok_or_else(|| unknown("package", name, &asked.catalog, names()))
}

fn unknown<'a>(what: &str, name: &str, of: &str, names: impl Iterator<Item = &'a str>) -> Error {
    let names: Vec<&str> = names.collect();
    let near = nearest(name, names.iter().copied());
    let shown = if near.is_empty() && names.len() <= 20 { names } else { near };
    let error = Error::NotFound(format!("{of} has no {what} `{name}`"));
    let quoted: Vec<String> = shown.iter().map(|name| format!("`{name}`")).collect();
    match quoted.is_empty() {
        true => error,
        false => with_hint(error, &format!("it has {}", quoted.join(", "))),
    }
}

fn versions(index: &mut Index, asked: &About) -> Result<Value, Error> {
    let span = package(index, asked)?.span;
    let package = index.package(span)?;
    let name = asked.channel.as_deref().unwrap_or_default();
    let names = package.channels.iter().map(|c| c.name.as_str());
    let channel = package.channel(name).ok_or_else(|| unknown("channel", name, &package.name, names))?;
    let mut entries: Vec<&str> = channel.entries.iter().map(|e| e.name.as_str()).collect();
    entries.sort_unstable();
    let versions: Vec<Value> = entries
        .into_iter()
        .filter_map(|name| Some(json!({ "name": name, "version": package.version(name)?.to_string() })))
        .collect();
    Ok(json!({ "package": package.name, "channel": channel.name, "versions": versions }))
}

/// The index of a catalog, and where it is from.
pub(crate) struct Opened {
    looked_up: LookedUp,
    /// Whether it was known already.
    remembered: bool,
    pub(crate) index: Index,
}

/// Opens the index of a catalog; only where it is not known needs that a network.
pub(crate) fn open(catalog: &str, refresh: bool, now: &str) -> Result<Opened, Error> {
    let known = if refresh { None } else { remembered(catalog) };
    if let Some(looked_up) = known
        && let Some(index) = Index::open(&looked_up.digest)?
    {
        return Ok(Opened { looked_up, remembered: true, index });
    }
    let image = CatalogImage::open(catalog)?;
    index::make(&image)?;
    let looked_up = LookedUp { digest: image.digest, looked_up: now.to_owned() };
    remember(catalog, &looked_up)?;
    let index = Index::open(&looked_up.digest)?;
    let index = index
        .ok_or_else(|| other("operator.cache", "what was found out about the catalog cannot be kept"))?;
    Ok(Opened { looked_up, remembered: false, index })
}

fn key(catalog: &str) -> String {
    format!("reference/{catalog}")
}

fn remembered(catalog: &str) -> Option<LookedUp> {
    let reader = cache::open(&key(catalog)).ok()??;
    serde_json::from_slice(&reader.read(64 << 10).ok()?).ok()
}

fn remember(catalog: &str, looked_up: &LookedUp) -> Result<(), Error> {
    let draft = Draft::new(&key(catalog));
    let text = serde_json::to_vec(looked_up).map_err(|e| other("operator.cache", e.to_string()))?;
    draft.write(&text)?;
    draft.commit()
}

fn exist(asked: &Candidates) -> Result<Value, Error> {
    let answers = registry::resolve(&asked.catalogs);
    let catalogs: Vec<Value> = asked
        .catalogs
        .iter()
        .zip(answers)
        .map(|(catalog, answer)| match answer {
            Ok(found) => json!({ "catalog": catalog, "digest": found.descriptor.digest }),
            Err(error) => json!({ "catalog": catalog, "problem": explain(&error) }),
        })
        .collect();
    Ok(json!({ "catalogs": catalogs }))
}

/// Says what an entry selects, of a catalog that may be mirrored for the first time.
fn selected(asked: &Choice) -> Result<Value, Error> {
    let Opened { index, .. } = open(&asked.entry.catalog, false, &asked.now)?;
    let catalog = relevant(index, &asked.entry, asked.rules, &BTreeSet::new())?;
    Ok(match select(&catalog, &asked.entry, asked.rules, &State::default()) {
        Ok(selection) => described(&selection),
        Err(problems) => json!({
            "error": problems.problems.first().map(|p| p.code),
            "message": problems.to_string(),
        }),
    })
}

/// Reads as much of a catalog as decides about an entry, and more packages where the catalog has them.
pub(crate) fn relevant(
    mut index: Index,
    entry: &Entry,
    rules: Rules,
    more: &BTreeSet<&str>,
) -> Result<Catalog, Error> {
    let listed = entry.packages.as_deref().unwrap_or_default();
    let facts: Option<Vec<_>> = listed.iter().map(|p| index.contents.package(&p.name)).collect();
    let follows = rules == Rules::V1Alpha2 && !entry.skip_dependencies;
    let mut spans: Vec<_> = match facts {
        Some(facts) if !facts.is_empty() && !follows => facts.iter().map(|f| f.span).collect(),
        _ => {
            let whole = index.whole();
            return whole.ok_or_else(|| other("operator.cache", "the index of a catalog is damaged"));
        }
    };
    spans.extend(more.iter().filter_map(|name| Some(index.contents.package(name)?.span)));
    spans.sort_unstable_by_key(|span| span.offset);
    spans.dedup();
    let packages = spans.into_iter().map(|span| index.package(span)).collect::<Result<Vec<_>, _>>()?;
    Ok(Catalog { packages, ..Catalog::default() })
}

fn described(selection: &Selection) -> Value {
    if selection.untouched {
        return json!({ "untouched": true });
    }
    let packages: BTreeMap<&str, Value> = selection
        .packages
        .iter()
        .map(|package| {
            let channels: BTreeMap<&str, _> =
                package.channels.iter().map(|channel| (channel.name.as_str(), channel.names())).collect();
            let described = json!({
                "defaultChannel": package.default_channel,
                "channels": channels,
                "bundles": package.bundles,
            });
            (package.name.as_str(), described)
        })
        .collect();
    json!({ "packages": packages })
}
