//! What kept bundles need, over several catalogs at once: [`resolve_dependencies`] adds it, [`report_dependencies`] says
//! what is missing.

mod provide;
mod world;

use std::collections::BTreeMap;

use crate::model::{Catalog, Need, Requirement};
use crate::problem::Note;
use crate::select::Selection;
use crate::settings::{Dependencies, Entry, Rules};
use provide::Candidate;
use world::World;

/// The catalogs of a configuration, and what is kept of each.
pub type Selected<'a> = (&'a Catalog, &'a Entry, Selection);

/// A bundle that needs something.
#[derive(Clone, Copy)]
struct Wish<'a> {
    /// The place of its catalog.
    from: usize,
    package: &'a str,
    bundle: &'a str,
    requirement: &'a Requirement,
}

/// Adds what kept bundles need, where an entry's `dependencies` says `resolve`.
///
/// A requirement is met by any kept bundle of any of the catalogs. The highest version that meets it is kept too, with
/// whatever keeps its channel in one piece, and so on until nothing is missing that could be added. v1alpha2 has rules
/// of its own, which were applied before.
pub fn resolve_dependencies(catalogs: &mut [Selected<'_>]) {
    let mut hopeless: Vec<&Need> = Vec::new();
    while let Some(wish) = next_to_resolve(catalogs, &hopeless) {
        if !provide::resolve(catalogs, &wish, &wish.requirement.need) {
            hopeless.push(&wish.requirement.need);
        }
    }
}

/// Finds something missing that is to be added.
fn next_to_resolve<'a>(catalogs: &[Selected<'a>], hopeless: &[&Need]) -> Option<Wish<'a>> {
    let world = World::of(catalogs);
    let wishes = (0..catalogs.len()).filter(|place| mode(&catalogs[*place]) == Dependencies::Resolve);
    wishes.flat_map(|place| wishes_of(catalogs, place)).find(|wish| {
        let missing = world.meets(&wish.requirement.need) == Some(false);
        missing && !hopeless.contains(&&wish.requirement.need)
    })
}

fn mode((_, entry, selection): &Selected<'_>) -> Dependencies {
    match selection.rules {
        Rules::V2Alpha1 => entry.dependencies,
        Rules::V1Alpha2 => Dependencies::Ignore,
    }
}

/// Returns what the kept bundles of a catalog need.
fn wishes_of<'a>(catalogs: &[Selected<'a>], from: usize) -> Vec<Wish<'a>> {
    let (catalog, _, selection) = &catalogs[from];
    let catalog: &'a Catalog = catalog;
    let mut wishes = Vec::new();
    for kept in &selection.packages {
        let Some(package) = catalog.package(&kept.name) else { continue };
        for bundle in kept.bundles.iter().filter_map(|name| package.bundle(name)) {
            let wish = |requirement| Wish { from, package: &package.name, bundle: &bundle.name, requirement };
            wishes.extend(bundle.requires.iter().map(wish));
        }
    }
    wishes
}

/// Notes what kept bundles need and is not kept, where an entry's `dependencies` says `resolve` or `warn`: after all
/// that may add and remove bundles.
pub fn report_dependencies(catalogs: &mut [Selected<'_>]) {
    for place in 0..catalogs.len() {
        if mode(&catalogs[place]) == Dependencies::Ignore {
            continue;
        }
        let world = World::of(catalogs);
        let mut missing: BTreeMap<(&str, String), Vec<Wish<'_>>> = BTreeMap::new();
        for wish in wishes_of(catalogs, place) {
            if world.meets(&wish.requirement.need) != Some(true) {
                missing.entry((wish.package, wish.requirement.to_string())).or_default().push(wish);
            }
        }
        let notes: Vec<_> = missing
            .into_iter()
            .map(|((package, text), wishes)| {
                let (code, message) = describe(catalogs, &world, &text, &wishes);
                Note::new(code, package, message)
            })
            .collect();
        catalogs[place].2.notes.extend(notes);
    }
}

fn describe(
    catalogs: &[Selected<'_>],
    world: &World<'_>,
    text: &str,
    wishes: &[Wish<'_>],
) -> (&'static str, String) {
    let more = match wishes.len() - 1 {
        0 => String::new(),
        1 => " (and another bundle)".to_owned(),
        more => format!(" (and {more} other bundles)"),
    };
    let first = &wishes[0];
    let said = first.requirement.message.as_ref().map(|said| format!(" (\"{said}\")")).unwrap_or_default();
    let needs = format!("`{}`{more} needs {text}{said}", first.bundle);
    if world.meets(&first.requirement.need).is_none() {
        return ("unknown-dependency", format!("{needs}, which cannot be evaluated here"));
    }
    let mut leaves = Vec::new();
    missing_leaves(world, &first.requirement.need, &mut leaves);
    let mut offers: Vec<_> =
        leaves.into_iter().filter_map(|need| offer(catalogs, first.from, need)).collect();
    offers.dedup();
    match offers.is_empty() {
        true => ("missing-dependency", format!("{needs}, which no catalog of the configuration has")),
        false => {
            let offers = offers.join(", or ");
            ("missing-dependency", format!("{needs}, which is not kept; it could be had with {offers}"))
        }
    }
}

/// Finds the simple requirements that are not met.
fn missing_leaves<'a>(world: &World<'_>, need: &'a Need, found: &mut Vec<&'a Need>) {
    match need {
        Need::All(parts) | Need::Any(parts) => {
            parts.iter().for_each(|part| missing_leaves(world, &part.need, found));
        }
        Need::Package(..) | Need::Gvk(_) if world.meets(need) == Some(false) => found.push(need),
        _ => {}
    }
}

fn offer(catalogs: &[Selected<'_>], from: usize, need: &Need) -> Option<String> {
    let Candidate { place, package, channel, version, .. } =
        provide::candidates(catalogs, from, need).into_iter().next()?;
    let catalog = &catalogs[place].1.catalog;
    Some(format!("package `{}` {version} of channel `{}` in `{catalog}`", package.name, channel.name))
}

#[cfg(test)]
mod tests;
