//! [`improve`]: changes an entry until all that clusters need of a package is selected.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;

use super::way::path;
use super::{Need, Offer, selected};
use crate::model::{ChannelEntry, Package};
use crate::select::{SelectedChannel, Selection};
use crate::settings::{BundleFilter, ChannelFilter, Entry, PackageEntry, Rules, given};
use crate::version::Range;

/// The lowest and the highest version that is needed of each channel.
type Spans<'a> = BTreeMap<&'a str, (&'a Version, &'a Version)>;

/// Finds the entry that selects what clusters need of a package: of those that miss the least, and leave out the least of
/// what was mirrored, the one that selects the fewest bundles, and of these the one with the fewest changes.
pub(super) fn improve(
    offer: &Offer<'_>,
    entry: Entry,
    rules: Rules,
    package: &str,
    needs: &[&Need],
) -> Entry {
    let Some(package) = offer.catalog.package(package) else { return entry };
    // Most clusters of a fleet are in few places.
    let mut places = BTreeSet::new();
    let distinct: Vec<&Need> = needs.iter().copied().filter(|need| places.insert(need.place())).collect();
    let needs = distinct.as_slice();
    let Ok(before) = selected(offer, &entry, rules) else { return entry };
    let cost = |candidate: &Entry| {
        let selection = selected(offer, candidate, rules).ok()?;
        let lost = lost(&before, &selection, &package.name);
        let unmet = needs.iter().filter(|need| !meets(&selection, package, need)).count();
        let bundles = selection.package(&package.name).map_or(0, |kept| kept.bundles.len());
        Some((unmet, lost, bundles, changes(&entry, candidate)))
    };
    let Some(mut least) = cost(&entry) else { return entry };
    if least.0 == 0 {
        return entry;
    }
    let mut best = entry.clone();
    for candidate in candidates(offer, &entry, package, needs) {
        if let Some(cost) = cost(&candidate).filter(|cost| *cost < least) {
            (least, best) = (cost, candidate);
        }
    }
    best
}

/// Counts what is no longer offered in the channels of a package.
fn lost(before: &Selection, after: &Selection, package: &str) -> usize {
    let Some(old) = before.package(package) else { return 0 };
    let new = after.package(package);
    let of_channel = |channel: &SelectedChannel| {
        let new = new.and_then(|new| new.channel(&channel.name));
        channel.names().iter().filter(|name| !new.is_some_and(|new| new.has(name))).count()
    };
    old.channels.iter().map(of_channel).sum()
}

/// Tells whether what is kept leads an operator from where it is to the head, and has what is installed.
fn meets(selection: &Selection, package: &Package, need: &Need) -> bool {
    let kept = selection.package(&package.name).and_then(|kept| kept.channel(&need.leg.channel));
    let Some((kept, head)) = kept.and_then(|kept| Some((kept, kept.head()?))) else { return false };
    let head = head.entry.name.as_str();
    let entries: Vec<&ChannelEntry> = kept.entries.iter().map(|kept| &kept.entry).collect();
    let leads = need.from.bundle.is_none() || path(package, &entries, &need.from, head).is_some();
    leads && need.is_there(package, |bundle| kept.has(bundle))
}

impl Need {
    /// Returns all of it that decides what is missing.
    fn place(&self) -> (&str, Option<&str>, Option<&Version>, &str, &[String], bool) {
        let (bundle, version) = (self.from.bundle.as_deref(), self.from.version.as_ref());
        (&self.leg.channel, bundle, version, &self.leg.head, &self.leg.hops, self.is_first)
    }

    /// Tells whether what is installed is there, where it could be, and where the way ends.
    fn is_there(&self, package: &Package, has: impl Fn(&str) -> bool) -> bool {
        let installed = self.from.bundle.as_deref().unwrap_or_default();
        self.bundles(package).filter(|name| *name == installed || *name == self.leg.head).all(has)
    }
}

/// Counts what somebody has to write.
fn changes(before: &Entry, after: &Entry) -> usize {
    let count = |entry: &Entry| {
        let of_package = |package: &PackageEntry| {
            let ranges = package.channels.iter().map(|channel| [&channel.min_version, &channel.max_version]);
            let own = [&package.min_version, &package.max_version];
            let given_ends = ranges.chain([own]).flatten().filter(|end| given(end).is_some()).count();
            1 + package.channels.len() + package.bundles.len() + given_ends
        };
        entry.listed().iter().map(of_package).sum::<usize>()
    };
    count(after).abs_diff(count(before))
}

/// Returns the changes that are worth trying.
fn candidates(offer: &Offer<'_>, entry: &Entry, package: &Package, needs: &[&Need]) -> Vec<Entry> {
    let spans = spans(package, needs);
    let place = entry.listed().iter().position(|listed| listed.name == package.name);
    let mut candidates: Vec<Entry> = match place {
        Some(place) => {
            let listed = &entry.listed()[place];
            let with = |changed: PackageEntry| {
                let mut packages = entry.listed().to_vec();
                packages[place] = changed;
                Entry { packages: Some(packages), ..entry.clone() }
            };
            changed(listed, entry.full, package, &spans, needs).into_iter().map(with).collect()
        }
        // All packages are asked for, so all have to be listed with the one that gets a range.
        None if entry.listed().is_empty() && !offer.is_new => {
            let with = |own: &PackageEntry| {
                let bare = |name: &str| PackageEntry { name: name.to_owned(), ..PackageEntry::default() };
                let all = offer.catalog.packages.iter().map(|other| match other.name == package.name {
                    true => own.clone(),
                    false => bare(&other.name),
                });
                Entry { packages: Some(all.collect()), ..entry.clone() }
            };
            let bare = PackageEntry { name: package.name.clone(), ..PackageEntry::default() };
            changed(&bare, false, package, &spans, needs).iter().map(with).collect()
        }
        None => {
            let mut packages = entry.listed().to_vec();
            packages.push(fresh(package, entry.full, &spans));
            vec![Entry { packages: Some(packages), ..entry.clone() }]
        }
    };
    // A pre-release is only in a range of which one end is a pre-release too.
    let with_prereleases: Vec<Entry> = candidates.iter().map(open_to_prereleases).collect();
    candidates.extend(with_prereleases);
    candidates
}

fn spans<'a>(package: &'a Package, needs: &[&'a Need]) -> Spans<'a> {
    let mut spans: Spans<'a> = BTreeMap::new();
    for need in needs {
        for version in need.bundles(package).filter_map(|bundle| package.version(bundle)) {
            let span = spans.entry(need.leg.channel.as_str()).or_insert((version, version));
            if version.cmp_precedence(span.0).is_lt() {
                span.0 = version;
            }
            if version.cmp_precedence(span.1).is_gt() {
                span.1 = version;
            }
        }
    }
    spans
}

/// A package that was not listed, with the channels that are needed of it.
fn fresh(package: &Package, full: bool, spans: &Spans<'_>) -> PackageEntry {
    let channel = |(name, (low, high)): (&&str, &(&Version, &Version))| {
        let is_head = is_head(package, name, low, high);
        ChannelFilter {
            name: (*name).to_owned(),
            min_version: (!full && !is_head).then(|| low.to_string()),
            ..ChannelFilter::default()
        }
    };
    let default = package.default_channel.as_str();
    let other = spans.keys().next().filter(|_| !spans.contains_key(default));
    PackageEntry {
        name: package.name.clone(),
        default_channel: other.map(|name| (*name).to_owned()),
        channels: spans.iter().map(channel).collect(),
        ..PackageEntry::default()
    }
}

/// Tells whether only a channel's head is needed, which is kept without a range.
fn is_head(package: &Package, channel: &str, low: &Version, high: &Version) -> bool {
    let entries: Vec<&ChannelEntry> =
        package.channel(channel).into_iter().flat_map(|channel| &channel.entries).collect();
    match crate::graph::heads(&entries).as_slice() {
        [head] => low == high && package.version(&head.name) == Some(low),
        _ => false,
    }
}

/// A listed package, with the changes that may give what is needed of it.
fn changed(
    listed: &PackageEntry,
    full: bool,
    package: &Package,
    spans: &Spans<'_>,
    needs: &[&Need],
) -> Vec<PackageEntry> {
    let has_range = given(&listed.min_version).is_some() || given(&listed.max_version).is_some();
    let add_channels = |own: &mut PackageEntry, all: bool, with_ranges: bool| {
        let names = package.channels.iter().map(|channel| channel.name.as_str());
        for name in names.filter(|name| all || spans.contains_key(name)) {
            let known = own.channels.iter().position(|channel| channel.name == name);
            let place = known.unwrap_or_else(|| {
                own.channels.push(ChannelFilter { name: name.to_owned(), ..ChannelFilter::default() });
                own.channels.len() - 1
            });
            if let Some((low, high)) = spans.get(name).filter(|_| with_ranges) {
                let channel = &mut own.channels[place];
                let is_head = is_head(package, name, low, high);
                widen(&mut channel.min_version, &mut channel.max_version, low, high, is_head);
                if channel.min_version.is_some() {
                    channel.min_bundle = None;
                }
            }
        }
    };
    if full {
        let mut own = listed.clone();
        add_channels(&mut own, false, false);
        return vec![own];
    }
    if !listed.bundles.is_empty() {
        let mut own = listed.clone();
        for name in needs.iter().flat_map(|need| need.bundles(package)) {
            if !own.bundles.iter().any(|bundle| bundle.name == name) {
                own.bundles.push(BundleFilter { name: name.to_owned() });
            }
        }
        if !own.channels.is_empty() {
            add_channels(&mut own, false, false);
        }
        return vec![own];
    }
    let of_package = |mut own: PackageEntry| {
        for (low, high) in spans.values() {
            widen(&mut own.min_version, &mut own.max_version, low, high, false);
        }
        own.min_bundle = None;
        own
    };
    if has_range {
        let mut own = of_package(listed.clone());
        if own.channels.is_empty() {
            return vec![own];
        }
        add_channels(&mut own, false, false);
        // By the rules of v1alpha2 a range of the package is none of the channels that are listed.
        let mut moved = listed.clone();
        let range = (moved.min_version.take(), moved.max_version.take());
        for channel in &mut moved.channels {
            (channel.min_version, channel.max_version) = range.clone();
        }
        add_channels(&mut moved, false, true);
        return vec![own, moved];
    }
    if !listed.channels.is_empty() {
        let mut own = listed.clone();
        add_channels(&mut own, false, true);
        own.min_bundle = None;
        return vec![own];
    }
    let mut by_channel = listed.clone();
    by_channel.min_bundle = None;
    add_channels(&mut by_channel, true, true);
    vec![of_package(listed.clone()), by_channel]
}

/// Widens a range to versions. Where there is none, the lowest version becomes its beginning, unless that is the head,
/// which is kept without one.
fn widen(min: &mut Option<String>, max: &mut Option<String>, low: &Version, high: &Version, is_head: bool) {
    // Ends can be partial versions, such as 4.14, so they are asked rather than compared.
    let covers = |min: Option<&str>, max: Option<&str>, version: &Version| {
        let range = Range::new(min, max).ok().flatten();
        range.is_some_and(|range| range.with_prereleases().matches(version))
    };
    let has_range = given(min).is_some() || given(max).is_some();
    match given(min) {
        Some(text) if !covers(Some(text), None, low) => *min = Some(low.to_string()),
        None if !has_range && !is_head => *min = Some(low.to_string()),
        _ => {}
    }
    if given(max).is_some_and(|text| !covers(None, Some(text), high)) {
        *max = Some(high.to_string());
    }
}

/// Makes the beginnings of ranges pre-releases.
fn open_to_prereleases(entry: &Entry) -> Entry {
    let open = |min: &mut Option<String>| {
        if let Some(text) = min.as_mut().filter(|text| !text.contains(['-', '+'])) {
            text.push_str("-0");
        }
    };
    let mut entry = entry.clone();
    for package in entry.packages.iter_mut().flatten() {
        open(&mut package.min_version);
        package.channels.iter_mut().for_each(|channel| open(&mut channel.min_version));
    }
    entry
}
