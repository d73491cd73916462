//! Finds bundles that provide something, and adds them to a selection.

use std::collections::BTreeSet;

use semver::Version;

use super::world::World;
use super::{Selected, Wish};
use crate::blang::VersionRange;
use crate::graph::{self, Graph};
use crate::model::{Bundle, Catalog, Channel, Need, Package};
use crate::problem::Note;
use crate::select::{Reason, SelectedPackage, Selection};
use crate::settings::Rules;

/// A bundle in a channel that provides something.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'a> {
    /// The place of its catalog.
    pub(super) place: usize,
    pub(super) package: &'a Package,
    pub(super) channel: &'a Channel,
    pub(super) bundle: &'a Bundle,
    pub(super) version: &'a Version,
}

/// Adds something towards what is needed; tells whether it did.
pub(super) fn resolve(catalogs: &mut [Selected<'_>], wish: &Wish<'_>, need: &Need) -> bool {
    match need {
        Need::Package(..) | Need::Gvk(_) => {
            let candidates = candidates(catalogs, wish.from, need);
            candidates.iter().any(|candidate| add(&mut catalogs[candidate.place].2, candidate, wish))
        }
        // One part at a time; what is still missing then comes up again.
        Need::All(parts) => {
            let missing = |need: &Need| World::of(catalogs).meets(need) == Some(false);
            let part = parts.iter().find(|part| missing(&part.need));
            part.is_some_and(|part| resolve(catalogs, wish, &part.need))
        }
        Need::Any(parts) => parts.iter().any(|part| resolve(catalogs, wish, &part.need)),
        Need::Not(_) | Need::Opaque(_) => false,
    }
}

/// Finds what provides something: best in the same catalog, of the highest version, in the default channel.
pub(super) fn candidates<'a>(catalogs: &[Selected<'a>], from: usize, need: &Need) -> Vec<Candidate<'a>> {
    let mut found = Vec::new();
    for (place, (catalog, _, selection)) in catalogs.iter().enumerate() {
        if selection.rules == Rules::V1Alpha2 || selection.untouched {
            continue;
        }
        let catalog: &'a Catalog = catalog;
        for package in catalog.packages.iter().filter(|package| may_provide(package, need)) {
            for channel in &package.channels {
                for bundle in channel.entries.iter().filter_map(|entry| package.bundle(&entry.name)) {
                    let Some(version) = bundle.version.as_ref().filter(|v| provides(bundle, v, need)) else {
                        continue;
                    };
                    found.push(Candidate { place, package, channel, bundle, version });
                }
            }
        }
    }
    found.sort_by(|a, b| {
        let same = |candidate: &Candidate<'_>| candidate.place == from;
        let default = |candidate: &Candidate<'_>| candidate.package.default_channel == candidate.channel.name;
        let order = same(b).cmp(&same(a)).then_with(|| b.version.cmp_precedence(a.version));
        order.then_with(|| default(b).cmp(&default(a)))
    });
    found
}

fn may_provide(package: &Package, need: &Need) -> bool {
    !matches!(need, Need::Package(name, _) if *name != package.name)
}

fn provides(bundle: &Bundle, version: &Version, need: &Need) -> bool {
    match need {
        Need::Gvk(gvk) => bundle.provides.contains(gvk),
        Need::Package(_, range) => {
            range.is_empty() || VersionRange::parse(range).is_ok_and(|range| range.contains(version))
        }
        _ => false,
    }
}

/// Keeps a bundle, with what connects it to what is kept of its channel already.
fn add(selection: &mut Selection, candidate: &Candidate<'_>, wish: &Wish<'_>) -> bool {
    let Candidate { package, channel, bundle, .. } = candidate;
    let reason =
        Reason::RequiredBy { bundle: wish.bundle.to_owned(), requirement: wish.requirement.to_string() };
    let old = selection.package(&package.name);
    let mut kept = old.cloned().unwrap_or_else(|| SelectedPackage::new(package, reason.clone()));
    let before = kept.channel(&channel.name).map(|channel| channel.names()).unwrap_or_default();
    let Some(names) = names(channel, &before, &bundle.name) else { return false };
    kept.keep(package, channel, &names);
    let entries = kept.channel(&channel.name).map(|channel| channel.entries.as_slice()).unwrap_or_default();
    let entries: Vec<_> = entries.iter().map(|kept| &kept.entry).collect();
    if !graph::validate(&entries).is_empty() {
        return false;
    }
    if kept.channel(&kept.default_channel).is_none() {
        kept.default_channel.clone_from(&channel.name);
        let message =
            format!("the default channel is `{}` instead of `{}`", channel.name, package.default_channel);
        selection.notes.push(Note::new("default-channel", &package.name, message));
    }
    kept.because(reason.clone());
    kept.settle(package);
    for name in names.difference(&before) {
        let message = format!("`{name}` is added to channel `{}`: {reason}", channel.name);
        selection.notes.push(Note::new("dependency", &package.name, message));
    }
    insert(selection, kept);
    true
}

/// Returns what to keep of a channel so that a bundle is in it.
fn names(channel: &Channel, before: &BTreeSet<String>, add: &str) -> Option<BTreeSet<String>> {
    match (before.is_empty(), before.contains(add)) {
        (true, _) => Some(BTreeSet::from([add.to_owned()])),
        // It is there, and yet what it provides is missing: adding it again would never end.
        (false, true) => None,
        (false, false) => Graph::new(&channel.entries).ok()?.widen(before, add),
    }
}

fn insert(selection: &mut Selection, kept: SelectedPackage) {
    match selection.packages.binary_search_by(|package| package.name.cmp(&kept.name)) {
        Ok(place) => selection.packages[place] = kept,
        Err(place) => selection.packages.insert(place, kept),
    }
}
