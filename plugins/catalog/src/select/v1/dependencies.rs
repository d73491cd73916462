//! Adds what kept bundles need, breadth first, as far as the catalog has it.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;

use super::{Run, walk};
use crate::blang::VersionRange;
use crate::model::{Bundle, Catalog, Channel, Gvk, Need, Package};
use crate::select::{Reason, SelectedPackage};

/// A bundle in a channel.
type Place<'a> = (&'a Package, &'a Channel, &'a Bundle);

/// Something that is needed, and by which bundle.
struct Wish<'a> {
    need: &'a Need,
    reason: Reason,
}

/// Adds providers, with what leads from them to their channel's head.
pub(super) fn add(run: &mut Run<'_>) {
    let catalog = run.catalog;
    let mut apis: Option<Apis<'_>> = None;
    let mut provided: BTreeSet<(&str, &str, &str)> = BTreeSet::new();
    let mut searched: BTreeSet<(&str, String)> = BTreeSet::new();
    // What is added for one provider, up to its channel's head, may need more.
    loop {
        let mut current = kept_bundles(run);
        current.retain(|key, _| searched.insert(key.clone()));
        if current.is_empty() {
            return;
        }
        let mut found: BTreeMap<(&str, &str, &str), (Place<'_>, Reason)> = BTreeMap::new();
        for wish in current.into_values().flat_map(wishes) {
            let apis = apis.get_or_insert_with(|| Apis::of(catalog));
            let Some(place) = provider(catalog, apis, wish.need) else { continue };
            let key = (place.0.name.as_str(), place.1.name.as_str(), place.2.name.as_str());
            if provided.insert(key) {
                found.insert(key, (place, wish.reason));
            }
        }
        for (place, reason) in found.into_values() {
            keep(run, place, reason);
        }
    }
}

/// Returns the bundles that are kept, by package and name.
fn kept_bundles<'a>(run: &Run<'a>) -> BTreeMap<(&'a str, String), &'a Bundle> {
    let mut bundles = BTreeMap::new();
    for (name, kept) in &run.kept {
        let Some(package) = run.catalog.package(name) else { continue };
        let entries = kept.channels.iter().flat_map(|channel| &channel.entries);
        bundles.extend(
            entries.filter_map(|kept| {
                Some(((*name, kept.entry.name.clone()), package.bundle(&kept.entry.name)?))
            }),
        );
    }
    bundles
}

fn wishes(bundle: &Bundle) -> impl Iterator<Item = Wish<'_>> {
    bundle.requires.iter().map(|requirement| Wish {
        need: &requirement.need,
        reason: Reason::RequiredBy { bundle: bundle.name.clone(), requirement: requirement.to_string() },
    })
}

/// Which bundles provide which API.
struct Apis<'a>(BTreeMap<&'a Gvk, Vec<Place<'a>>>);

impl<'a> Apis<'a> {
    fn of(catalog: &'a Catalog) -> Self {
        let mut apis: BTreeMap<&Gvk, Vec<Place<'a>>> = BTreeMap::new();
        for place in catalog.packages.iter().flat_map(places) {
            place.2.provides.iter().for_each(|gvk| apis.entry(gvk).or_default().push(place));
        }
        Self(apis)
    }
}

/// Returns the bundles of a package in each of their channels, without those that the head skips.
fn places(package: &Package) -> impl Iterator<Item = Place<'_>> {
    package.channels.iter().flat_map(move |channel| {
        let skips = walk::head(package, channel).map(|head| head.skips.as_slice()).unwrap_or_default();
        let entries = channel.entries.iter().filter(move |entry| !skips.contains(&entry.name));
        entries.filter_map(move |entry| Some((package, channel, package.bundle(&entry.name)?)))
    })
}

/// Finds the highest version that has what is needed; of the same in several channels that of the default channel.
fn provider<'a>(catalog: &'a Catalog, apis: &Apis<'a>, need: &Need) -> Option<Place<'a>> {
    match need {
        Need::Gvk(gvk) => best(apis.0.get(gvk)?.iter().copied()),
        Need::Package(name, range) => {
            let range = VersionRange::optional(range).ok()?;
            let fits = |version: &Version| range.as_ref().is_none_or(|range| range.contains(version));
            let places = places(catalog.package(name)?);
            best(places.filter(|(_, _, bundle)| bundle.version.as_ref().is_some_and(fits)))
        }
        // v1 knows no constraints.
        _ => None,
    }
}

fn best<'a>(places: impl Iterator<Item = Place<'a>>) -> Option<Place<'a>> {
    let versioned = places.filter_map(|place| Some((place.2.version.as_ref()?, place)));
    let is_default = |(package, channel, _): &Place<'_>| package.default_channel == channel.name;
    let best = versioned.reduce(|best, next| {
        let order = next.0.cmp_precedence(best.0).then(is_default(&next.1).cmp(&is_default(&best.1)));
        if order.is_gt() { next } else { best }
    });
    best.map(|(_, place)| place)
}

fn keep<'a>(run: &mut Run<'a>, (package, channel, bundle): Place<'a>, reason: Reason) {
    let kept = run.kept.get(package.name.as_str()).and_then(|kept| kept.channel(&channel.name));
    let mut names = kept.map(|kept| kept.names()).unwrap_or_default();
    if names.contains(&bundle.name) {
        return;
    }
    let Some(start) = channel.entry(&bundle.name) else { return };
    match walk::to_head(package, channel, start) {
        Ok(found) => names.extend(found),
        Err(problem) => return run.problems.push(problem),
    }
    let kept = run.kept.entry(&package.name).or_insert_with(|| SelectedPackage::new(package, reason.clone()));
    if kept.reasons != [Reason::Selected] {
        kept.because(reason);
    }
    kept.keep(package, channel, &names);
}
