//! Heads-only over time: content grows from the head that was mirrored first to the present head.

use std::collections::BTreeMap;

use semver::Version;

use super::filter::{self, Filter, Wanted};
use super::{Run, dependencies};
use crate::model::{Channel, Package};
use crate::problem::Note;
use crate::select::{PackageState, has_range};
use crate::settings::{ChannelFilter, Entry, PackageEntry, given};

/// Selects again from a catalog that was mirrored before.
pub(super) fn select<'a>(
    run: &mut Run<'a>,
    packages: &[(&'a Package, Option<&PackageEntry>)],
    before: &BTreeMap<String, PackageState>,
    entry: &Entry,
) {
    for (package, listed) in packages {
        match before.get(&package.name).filter(|_| !listed.is_some_and(has_versions)) {
            // What a fresh workspace would do. (v1 forgets the versions of the channels here, which is a defect.)
            None => run.first(package, *listed, false),
            Some(past) => again(run, package, *listed, past),
        }
    }
    if !entry.skip_dependencies && run.problems.is_empty() {
        again_for_dependencies(run, before, entry);
    }
}

/// Selects from a package that was mirrored before, each channel from where it began.
fn again<'a>(run: &mut Run<'a>, package: &'a Package, listed: Option<&PackageEntry>, past: &PackageState) {
    let mut wanted = filter::wanted(package, listed, false, &mut run.problems);
    for wanted in &mut wanted {
        let filters = listed.map(|listed| listed.channels.as_slice()).unwrap_or_default();
        let own = filters.iter().find(|filter| filter.name == wanted.channel.name);
        let floor = past.channels.get(&wanted.channel.name).and_then(|channel| channel.floor.as_ref());
        if let Some(floor) = floor.filter(|_| !own.is_some_and(channel_has_versions)) {
            wanted.filter = from_floor(run, package, wanted.channel, floor);
        }
    }
    run.apply(package, &wanted);
}

/// Selects again from packages which others need, as far as they were mirrored before.
fn again_for_dependencies(run: &mut Run<'_>, before: &BTreeMap<String, PackageState>, entry: &Entry) {
    // What is needed may change with what is added, but a package that nobody needs any more goes.
    let catalog = run.catalog;
    let mut trial = Run { catalog, kept: run.kept.clone(), notes: Vec::new(), problems: Vec::new() };
    dependencies::add(&mut trial);
    for (name, kept) in trial.kept {
        let (Some(package), Some(past)) = (catalog.package(name), before.get(name)) else { continue };
        if run.kept.contains_key(name) || entry.listed().iter().any(|listed| listed.name == name) {
            continue;
        }
        let channels = package.channels.iter().filter(|channel| kept.channel(&channel.name).is_some());
        let wanted: Vec<_> = channels
            .filter_map(|channel| {
                let floor = past.channels.get(&channel.name)?.floor.as_ref()?;
                Some(Wanted { channel, filter: from_floor(run, package, channel, floor), own: false })
            })
            .collect();
        if !wanted.is_empty() {
            run.apply(package, &wanted);
            if let Some(again) = run.kept.get_mut(name) {
                again.reasons = kept.reasons;
            }
        }
    }
}

/// Starts where the channel began, or at the next version if that one is gone.
fn from_floor(run: &mut Run<'_>, package: &Package, channel: &Channel, floor: &Version) -> Filter {
    let versions = channel.entries.iter().filter_map(|entry| package.version(&entry.name));
    let next = versions.filter(|v| v.cmp_precedence(floor).is_ge()).min_by(|a, b| {
        // The same version is better than another one of the same precedence.
        a.cmp_precedence(b).then_with(|| (*b == floor).cmp(&(*a == floor)))
    });
    match next {
        Some(next) => Filter::From(next.clone()),
        None => {
            let message = format!(
                "channel `{}` has nothing from {floor} on, where mirroring began; its head is taken",
                channel.name
            );
            run.notes.push(Note::new("floor-gone", &package.name, message));
            Filter::Head
        }
    }
}

fn has_versions(listed: &PackageEntry) -> bool {
    has_range(&listed.min_version, &listed.max_version) || given(&listed.min_bundle).is_some()
}

fn channel_has_versions(filter: &ChannelFilter) -> bool {
    has_range(&filter.min_version, &filter.max_version) || given(&filter.min_bundle).is_some()
}
