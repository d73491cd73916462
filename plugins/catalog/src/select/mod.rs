//! [`select`]: decides what to keep of a catalog.

mod check;
mod defaults;
mod selection;
mod state;
mod upgrade;
mod v1;
mod v2;

use crate::model::{Catalog, Package};
use crate::nearest;
use crate::problem::{Note, Problem, Problems, SelectError};
use crate::settings::{Entry, PackageEntry, Rules, given};
pub use selection::{KeptEntry, Reason, SelectedChannel, SelectedPackage, Selection};
pub use state::{ChannelState, PackageState, State};

/// Decides what to keep of a catalog, by the rules of the configuration's schema.
///
/// Nothing is selected if anything that was asked for is not there, or if the result would not be a valid catalog;
/// the error lists all of it.
pub fn select(
    catalog: &Catalog,
    entry: &Entry,
    rules: Rules,
    state: &State,
) -> Result<Selection, SelectError> {
    let mut problems = Vec::new();
    check::settings(entry, rules, &mut problems);
    Problems::check(std::mem::take(&mut problems))?;
    let name = entry.unique_name();
    let before = state.catalog(&name);
    let mut selection = Selection {
        rules,
        catalog: name,
        untouched: entry.full && entry.listed().is_empty(),
        whole: entry.listed().is_empty(),
        packages: Vec::new(),
        notes: Vec::new(),
        before: before.cloned().unwrap_or_default(),
    };
    match (selection.untouched, rules) {
        (true, _) => keep_all(catalog, &mut selection),
        (false, Rules::V2Alpha1) => v2::select(catalog, entry, &mut selection, &mut problems),
        (false, Rules::V1Alpha2) => v1::select(catalog, entry, before, &mut selection, &mut problems),
    }
    let keep_paths = rules == Rules::V2Alpha1 && entry.keep_upgrade_paths && !selection.untouched;
    if keep_paths && problems.is_empty() {
        upgrade::keep_paths(catalog, &mut selection);
    }
    check::result(catalog, entry, &mut selection, &mut problems);
    Problems::check(problems)?;
    Ok(selection)
}

/// Keeps everything, bundles of no channel too.
fn keep_all(catalog: &Catalog, selection: &mut Selection) {
    for package in &catalog.packages {
        let mut kept = SelectedPackage::new(package, Reason::Selected);
        for channel in &package.channels {
            let entries = channel.entries.iter().map(|entry| KeptEntry::new(package, entry)).collect();
            kept.channels.push(SelectedChannel { name: channel.name.clone(), entries, floor: None });
        }
        kept.bundles = package.bundles.iter().map(|bundle| bundle.name.clone()).collect();
        kept.deprecations = package.deprecations.clone();
        selection.packages.push(kept);
    }
}

/// Finds the packages that are asked for; all if none are listed.
fn wanted<'a>(
    catalog: &'a Catalog,
    entry: &'a Entry,
    problems: &mut Vec<Problem>,
) -> Vec<(&'a Package, Option<&'a PackageEntry>)> {
    if entry.listed().is_empty() {
        return catalog.packages.iter().map(|package| (package, None)).collect();
    }
    let mut wanted = Vec::new();
    for listed in entry.listed() {
        match catalog.package(&listed.name) {
            Some(package) => wanted.push((package, Some(listed))),
            None => {
                let names = catalog.packages.iter().map(|package| package.name.as_str());
                problems.push(
                    Problem::new("operators.unknown-package", "the catalog has no such package")
                        .package(&listed.name)
                        .hint(nearest::hint("packages", &listed.name, names)),
                );
            }
        }
    }
    wanted.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    wanted
}

/// Reports the listed channels that the package does not have.
fn check_channels(package: &Package, listed: &PackageEntry, problems: &mut Vec<Problem>) {
    for filter in listed.channels.iter().filter(|filter| package.channel(&filter.name).is_none()) {
        let names = package.channels.iter().map(|channel| channel.name.as_str());
        let message = format!("there is no channel `{}`", filter.name);
        problems.push(
            Problem::new("operators.unknown-channel", message).package(&package.name).hint(nearest::hint(
                "channels",
                &filter.name,
                names,
            )),
        );
    }
}

/// Reports that nothing is in a range, with the versions next to it.
fn nothing_in_range(package: &Package, channels: &[&crate::model::Channel], range: &crate::Range) -> Problem {
    let entries = || channels.iter().flat_map(|channel| &channel.entries);
    let versions = || entries().filter_map(|entry| package.version(&entry.name));
    let near: Vec<_> = range.neighbours(versions()).iter().map(ToString::to_string).collect();
    let message = match channels {
        [channel] => format!("channel `{}` has no version in the range `{range}`", channel.name),
        _ => format!("no channel has a version in the range `{range}`"),
    };
    let mut hint = match near.is_empty() {
        true => String::new(),
        false => format!("the nearest versions are {}", nearest::quoted(&near)),
    };
    let loose = range.with_prereleases();
    if versions().any(|version| loose.matches(version)) {
        hint.push_str("; a pre-release only matches if `minVersion` or `maxVersion` is one too");
    }
    Problem::new("operators.empty-range", message).package(&package.name).hint(hint)
}

/// Tells whether a range is given.
fn has_range(min: &Option<String>, max: &Option<String>) -> bool {
    given(min).is_some() || given(max).is_some()
}

/// Says that the default channel is another one than in the catalog.
fn note_default(package: &Package, kept: &SelectedPackage, notes: &mut Vec<Note>) {
    if kept.default_channel != package.default_channel {
        let message = format!(
            "the default channel is `{}` instead of `{}`",
            kept.default_channel, package.default_channel
        );
        notes.push(Note::new("default-channel", &package.name, message));
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_v1;
