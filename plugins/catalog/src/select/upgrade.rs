//! Keeps paths for clusters that are on a bundle mirrored before.

use std::collections::BTreeSet;

use semver::Version;

use super::Selection;
use crate::blang::VersionRange;
use crate::model::{Catalog, Channel, ChannelEntry, Package};
use crate::problem::Note;

/// Adds what clusters on bundles mirrored before need to reach the kept heads.
pub(super) fn keep_paths(catalog: &Catalog, selection: &mut Selection) {
    let Selection { packages, before, notes, .. } = selection;
    for kept in packages {
        let (Some(package), Some(before)) = (catalog.package(&kept.name), before.get(&kept.name)) else {
            continue;
        };
        for (name, mirrored) in &before.channels {
            let (Some(channel), Some(selected)) = (package.channel(name), kept.channel(name)) else {
                continue;
            };
            let Some(head) = selected.head().map(|head| head.entry.name.clone()) else { continue };
            let mut names = selected.names();
            for (bundle, version) in mirrored.bundles.iter().filter(|(bundle, _)| **bundle != head) {
                let path = path(package, channel, &head, bundle, version);
                notes.extend(add(&kept.name, name, &head, bundle, path, &mut names));
            }
            kept.keep(package, channel, &names);
        }
        kept.settle(package);
    }
}

/// Adds a path to the kept names; notes what that adds.
fn add(
    package: &str,
    channel: &str,
    head: &str,
    from: &str,
    path: Option<Vec<&str>>,
    names: &mut BTreeSet<String>,
) -> Vec<Note> {
    let Some(path) = path else {
        let message = format!(
            "a cluster on `{from}`, mirrored before, cannot be upgraded to `{head}` in channel `{channel}`"
        );
        return vec![Note::new("no-upgrade-path", package, message)];
    };
    let added = path.into_iter().filter(|name| names.insert((*name).to_owned()));
    added
        .map(|name| {
            let message = format!(
                "`{name}` is kept so that a cluster on `{from}` can reach `{head}` in channel `{channel}`"
            );
            Note::new("upgrade-path", package, message)
        })
        .collect()
}

/// Finds the nodes from the head, which comes first, down to the nearest that a bundle can be upgraded to directly.
fn path<'a>(
    package: &Package,
    channel: &'a Channel,
    head: &str,
    from: &str,
    version: &Version,
) -> Option<Vec<&'a str>> {
    let mut path = Vec::new();
    let mut next = channel.entry(head);
    while let Some(entry) = next {
        // A node without a bundle cannot be installed, and a node met before means a cycle.
        if package.bundle(&entry.name).is_none() || path.contains(&entry.name.as_str()) {
            return None;
        }
        path.push(entry.name.as_str());
        if reaches(entry, from, version) {
            return Some(path);
        }
        next = channel.entry(&entry.replaces);
    }
    None
}

/// Tells whether a cluster on a bundle can be upgraded to an entry directly.
pub(crate) fn reaches(entry: &ChannelEntry, from: &str, version: &Version) -> bool {
    let in_range = || VersionRange::parse(&entry.skip_range).is_ok_and(|range| range.contains(version));
    entry.replaces == from || entry.skips.iter().any(|skip| skip == from) || in_range()
}
