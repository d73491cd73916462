//! What is checked before and after a selection.

use std::collections::BTreeSet;

use super::{Selection, has_range};
use crate::graph;
use crate::model::{Catalog, Package};
use crate::nearest::quoted;
use crate::problem::{Note, Problem};
use crate::select::SelectedPackage;
use crate::settings::{Entry, PackageEntry, Rules, given};

/// The most missing bundles that a hint names.
const MOST_NAMES: usize = 5;

/// Checks what can be wrong with an entry by itself.
pub(super) fn settings(entry: &Entry, rules: Rules, problems: &mut Vec<Problem>) {
    let mut names = BTreeSet::new();
    for package in entry.listed() {
        if package.name.is_empty() {
            problems.push(Problem::new("operators.no-name", "a package of the configuration has no name"));
        } else if !names.insert(&package.name) {
            let message = "the configuration lists the package twice";
            let hint = "put its channels under one entry";
            problems.push(Problem::new("operators.duplicate", message).package(&package.name).hint(hint));
        }
        channels(package, problems);
        match rules {
            Rules::V1Alpha2 => v1(package, problems),
            Rules::V2Alpha1 => v2(entry, package, problems),
        }
    }
}

fn channels(package: &PackageEntry, problems: &mut Vec<Problem>) {
    let mut names = BTreeSet::new();
    for channel in &package.channels {
        let message = match (channel.name.is_empty(), names.insert(&channel.name)) {
            (true, _) => "a channel of the configuration has no name".to_owned(),
            (false, false) => format!("the configuration lists channel `{}` twice", channel.name),
            (false, true) => continue,
        };
        problems.push(Problem::new("operators.duplicate", message).package(&package.name));
    }
}

fn v1(package: &PackageEntry, problems: &mut Vec<Problem>) {
    let mut both = |min: &Option<String>, max: &Option<String>, bundle: &Option<String>, place: &str| {
        if given(bundle).is_some() && has_range(min, max) {
            let message = format!("minBundle and a range of versions are mutually exclusive{place}");
            problems.push(Problem::new("operators.mixed", message).package(&package.name));
        }
    };
    both(&package.min_version, &package.max_version, &package.min_bundle, "");
    for channel in &package.channels {
        let place = format!(" in channel `{}`", channel.name);
        both(&channel.min_version, &channel.max_version, &channel.min_bundle, &place);
    }
    if !package.bundles.is_empty() {
        let message = "`bundles` is not part of v1alpha2";
        problems.push(
            Problem::new("operators.unsupported", message)
                .package(&package.name)
                .hint("use `minVersion` and `maxVersion`, or v2alpha1"),
        );
    }
}

fn v2(entry: &Entry, package: &PackageEntry, problems: &mut Vec<Problem>) {
    let own = has_range(&package.min_version, &package.max_version);
    let in_channels = package.channels.iter().any(|c| has_range(&c.min_version, &c.max_version));
    let bundles = !package.bundles.is_empty();
    let mixed = [
        (own && in_channels, "versions are given for the package and for its channels"),
        (entry.full && (own || in_channels), "`full: true` cannot be mixed with a range of versions"),
        (entry.full && bundles, "`full: true` cannot be mixed with `bundles`"),
        (bundles && (own || in_channels), "`bundles` cannot be mixed with a range of versions"),
    ];
    for (_, message) in mixed.into_iter().filter(|(wrong, _)| *wrong) {
        let problem = Problem::new("operators.mixed", message).package(&package.name);
        problems.push(problem.hint("remove one of them"));
    }
    let min_bundles = package.channels.iter().map(|channel| &channel.min_bundle).chain([&package.min_bundle]);
    if min_bundles.into_iter().any(|bundle| given(bundle).is_some()) {
        let message = "`minBundle` is not part of v2alpha1";
        problems.push(
            Problem::new("operators.unsupported", message).package(&package.name).hint("use `minVersion`"),
        );
    }
}

/// Checks the selected packages, and says what is odd about them.
pub(super) fn result(
    catalog: &Catalog,
    entry: &Entry,
    selection: &mut Selection,
    problems: &mut Vec<Problem>,
) {
    let failed: BTreeSet<String> = problems.iter().filter_map(|problem| problem.package.clone()).collect();
    for kept in &selection.packages {
        let Some(package) = catalog.package(&kept.name) else { continue };
        // One problem with a package is enough; what it leads to would only be noise.
        let graph = match failed.contains(&kept.name) {
            false => validate_package(package, kept),
            true => Vec::new(),
        };
        let note = |problem: Problem| {
            let bare = Problem { package: None, hint: None, ..problem };
            Note::new("catalog-problem", &kept.name, bare.to_string())
        };
        let versions = version_problems(package);
        // What is kept as it is has the catalog's own problems.
        let as_it_is = entry.full && selection.rules == Rules::V2Alpha1 || selection.untouched;
        match as_it_is {
            true => selection.notes.extend(graph.into_iter().map(note)),
            false => problems.extend(graph),
        }
        match selection.untouched {
            true => selection.notes.extend(versions.into_iter().map(note)),
            false => problems.extend(versions),
        }
        if !selection.untouched {
            note_missing(package, kept, &mut selection.notes);
        }
    }
    // What went wrong before may be why.
    if problems.is_empty() {
        problems.extend(no_bundles(selection));
    }
}

/// Reports that nothing is left to mirror, as oc-mirror v2 does.
fn no_bundles(selection: &Selection) -> Option<Problem> {
    let none = selection.packages.iter().all(|kept| kept.bundles.is_empty());
    let entries = || selection.packages.iter().flat_map(|kept| &kept.channels).flat_map(|c| &c.entries);
    let names: BTreeSet<_> = entries().take(MOST_NAMES).map(|kept| kept.entry.name.as_str()).collect();
    let hint = match names.is_empty() {
        true => String::new(),
        false => {
            let names: Vec<_> = names.into_iter().collect();
            format!("the channels name {}, which the catalog does not have", quoted(&names))
        }
    };
    (none && selection.rules == Rules::V2Alpha1 && !selection.untouched)
        .then(|| Problem::new("operators.no-bundles", "no bundle is left").hint(hint))
}

/// Reports the bundles without a version.
fn version_problems(package: &Package) -> Vec<Problem> {
    let faulty = package.bundles.iter().filter_map(|bundle| Some((bundle, bundle.fault.as_ref()?)));
    faulty
        .map(|(bundle, fault)| {
            Problem::new("operators.no-version", format!("the bundle `{}` {fault}", bundle.name))
                .package(&package.name)
                .file(package.file_name(bundle.file))
                .hint("ask whoever publishes the catalog, or leave the package out")
        })
        .collect()
}

/// Checks a package as opm does when it serves a catalog.
fn validate_package(package: &Package, kept: &SelectedPackage) -> Vec<Problem> {
    let problem = |code, message: String| Problem::new(code, message).package(&kept.name);
    let mut problems = Vec::new();
    if kept.channels.is_empty() {
        problems.push(problem("operators.no-channels", "no channel is left".to_owned()));
    } else if kept.channel(&kept.default_channel).is_none() {
        problems.push(missing_default(kept));
    }
    for channel in &kept.channels {
        let entries: Vec<_> = channel.entries.iter().map(|kept| &kept.entry).collect();
        let file = package.channel(&channel.name).map_or("", |channel| package.file_name(channel.file));
        for fault in graph::validate(&entries) {
            let message = format!("channel `{}` {fault}", channel.name);
            problems.push(problem("operators.channel-graph", message).file(file));
        }
    }
    problems
}

fn missing_default(kept: &SelectedPackage) -> Problem {
    let names: Vec<_> = kept.channels.iter().map(|channel| channel.name.as_str()).collect();
    let message = match kept.default_channel.as_str() {
        "" => "there is no default channel".to_owned(),
        name => format!("the default channel `{name}` is not among what is kept"),
    };
    Problem::new("operators.default-channel", message)
        .package(&kept.name)
        .hint(format!("set `defaultChannel` of the package to one of {}", quoted(&names)))
}

fn note_missing(package: &Package, kept: &SelectedPackage, notes: &mut Vec<Note>) {
    let entries = kept.channels.iter().flat_map(|channel| &channel.entries);
    let missing: BTreeSet<_> =
        entries.map(|kept| &kept.entry.name).filter(|name| package.bundle(name).is_none()).collect();
    for name in missing {
        let message = format!("the bundle `{name}` is in a channel, but not in the catalog");
        notes.push(Note::new("missing-bundle", &package.name, message));
    }
}
