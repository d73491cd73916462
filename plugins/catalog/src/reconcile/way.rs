//! [`find`]: the way of one operator through one catalog.

use std::collections::{BTreeMap, VecDeque};

use semver::Version;
use serde::Serialize;

use super::{Installed, Need};
use crate::blang::VersionRange;
use crate::graph;
use crate::model::{Channel, ChannelEntry, Package};
use crate::nearest::quoted;
use crate::problem::Problem;
use crate::select::SelectedPackage;
use crate::version;

/// The way through a catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// The catalog.
    pub catalog: String,
    /// The channel.
    pub channel: String,
    /// The channel that it has to be switched from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub switch_from: Option<String>,
    /// The updates, in order; none where it is at the head already.
    pub hops: Vec<OperatorHop>,
    /// Which of the offers it is.
    #[serde(skip)]
    pub(crate) offer: usize,
}

/// An update of an operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatorHop {
    /// The bundle to update to.
    pub bundle: String,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The highest minor version of OpenShift that it may run on, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_openshift: Option<String>,
    /// Tells whether the entries, as they were, mirror it.
    pub mirrored: bool,
}

/// Where an operator is.
#[derive(Clone, Debug, Default)]
pub(super) struct Position {
    pub(super) bundle: Option<String>,
    pub(super) version: Option<Version>,
}

/// A way through a channel.
#[derive(Clone, Debug)]
pub(super) struct Leg {
    pub(super) channel: String,
    pub(super) switch_from: Option<String>,
    /// The bundles to update to, in order.
    pub(super) hops: Vec<String>,
    /// Where it ends, also if it begins there.
    pub(super) head: String,
    pub(super) note: Option<String>,
}

impl Position {
    pub(super) fn of(operator: &Installed) -> Self {
        let version = operator.version.as_deref().and_then(version::parse);
        Self { bundle: operator.bundle.clone(), version }
    }

    pub(super) fn at(package: &Package, bundle: &str) -> Self {
        Self { bundle: Some(bundle.to_owned()), version: package.version(bundle).cloned() }
    }

    fn name(&self) -> &str {
        self.bundle.as_deref().unwrap_or_default()
    }
}

impl Stage {
    pub(super) fn of(package: &Package, catalog: &str, offer: usize, leg: &Leg) -> Self {
        let hop = |bundle: &String| OperatorHop {
            bundle: bundle.clone(),
            version: package.version(bundle).map(ToString::to_string),
            max_openshift: package.bundle(bundle).and_then(|bundle| bundle.max_openshift.clone()),
            mirrored: false,
        };
        Self {
            catalog: catalog.to_owned(),
            channel: leg.channel.clone(),
            switch_from: leg.switch_from.clone(),
            hops: leg.hops.iter().map(hop).collect(),
            offer,
        }
    }
}

impl Need {
    /// Returns the bundles of the channel that have to be there: the head, what leads to it, and what is installed.
    pub(super) fn bundles<'a>(&'a self, package: &'a Package) -> impl Iterator<Item = &'a str> {
        let hops = self.leg.hops.iter().map(String::as_str).chain([self.leg.head.as_str()]);
        let there = |name: &&str| self.leg.has(package, name);
        let installed = self.from.bundle.as_deref().filter(|_| self.is_first).filter(there);
        let all: std::collections::BTreeSet<&str> = hops.chain(installed).collect();
        all.into_iter()
    }
}

impl Leg {
    /// Tells whether the catalog has a bundle in the channel.
    fn has(&self, package: &Package, bundle: &str) -> bool {
        let channel = package.channel(&self.channel);
        channel.is_some_and(|channel| channel.entry(bundle).is_some()) && package.bundle(bundle).is_some()
    }
}

/// Finds the way of an operator to the head that is kept of its channel, or would be if the channel were. Where the
/// channel is gone, or ends elsewhere, it is another one that leads on from where the operator is.
pub(super) fn find(
    package: &Package,
    kept: Option<&SelectedPackage>,
    wanted: &[String],
    at: &Position,
) -> Result<Leg, Problem> {
    let default = kept.map_or(package.default_channel.as_str(), |kept| kept.default_channel.as_str());
    let own: Vec<&str> = match wanted {
        [] => vec![default],
        wanted => wanted.iter().map(String::as_str).collect(),
    };
    let mut there: Vec<&Channel> = own.iter().filter_map(|name| package.channel(name)).collect();
    sort_by_head(package, &mut there);
    if let Some(leg) = there.iter().find_map(|channel| through(package, kept, channel, at)) {
        return Ok(leg);
    }
    let mut others: Vec<&Channel> =
        package.channels.iter().filter(|channel| !own.contains(&channel.name.as_str())).collect();
    sort_by_head(package, &mut others);
    others.sort_by_key(|channel| channel.name != default);
    let from = own.first().map(|name| (*name).to_owned());
    if at.bundle.is_some()
        && let Some(leg) = others.iter().find_map(|channel| through(package, kept, channel, at))
    {
        return Ok(Leg { switch_from: from, ..leg });
    }
    Err(no_way(package, &own, &there, at))
}

/// Sorts channels by the versions of their heads, the highest first.
fn sort_by_head(package: &Package, channels: &mut [&Channel]) {
    let version = |channel: &Channel| head_of(channel).and_then(|head| package.version(&head).cloned());
    channels.sort_by_cached_key(|channel| (std::cmp::Reverse(version(channel)), channel.name.clone()));
}

fn head_of(channel: &Channel) -> Option<String> {
    let entries: Vec<&ChannelEntry> = channel.entries.iter().collect();
    match graph::heads(&entries).as_slice() {
        [head] => Some(head.name.clone()),
        _ => None,
    }
}

/// Finds the way through a channel: with what is kept if that is enough, else with all that it has.
fn through(
    package: &Package,
    kept: Option<&SelectedPackage>,
    channel: &Channel,
    at: &Position,
) -> Option<Leg> {
    let kept = kept.and_then(|kept| kept.channel(&channel.name));
    let head = kept.and_then(|kept| kept.head()).map(|head| head.entry.name.clone());
    let head = head.or_else(|| head_of(channel))?;
    let leg = |hops: Vec<String>, head: String, note| Leg {
        channel: channel.name.clone(),
        switch_from: None,
        hops,
        head,
        note,
    };
    if at.bundle.is_none() {
        return Some(leg(vec![head.clone()], head, None));
    }
    if let Some(kept) = kept {
        let entries: Vec<&ChannelEntry> = kept.entries.iter().map(|kept| &kept.entry).collect();
        if let Some(hops) = path(package, &entries, at, &head) {
            return Some(leg(hops, head, None));
        }
    }
    let all: Vec<&ChannelEntry> = channel.entries.iter().collect();
    if let Some(hops) = path(package, &all, at, &head) {
        return Some(leg(hops, head, None));
    }
    // What is mirrored may end below what is installed.
    channel.entry(at.name())?;
    path(package, &all, &Position::at(package, &head), at.name())?;
    let note = format!("it is above `{head}`, the highest that is mirrored of channel `{}`", channel.name);
    Some(leg(Vec::new(), at.name().to_owned(), Some(note)))
}

/// Finds the shortest way from where an operator is to a bundle.
pub(super) fn path(
    package: &Package,
    entries: &[&ChannelEntry],
    at: &Position,
    head: &str,
) -> Option<Vec<String>> {
    let installed = at.name();
    if installed == head {
        return Some(Vec::new());
    }
    let ranges: Vec<Option<VersionRange>> =
        entries.iter().map(|entry| VersionRange::parse(&entry.skip_range).ok()).collect();
    let mut before: BTreeMap<usize, Option<usize>> = BTreeMap::new();
    let mut queue: VecDeque<Option<usize>> = VecDeque::from([None]);
    while let Some(from) = queue.pop_front() {
        let (name, version) = match from {
            None => (installed, at.version.as_ref()),
            Some(place) => (entries[place].name.as_str(), package.version(&entries[place].name)),
        };
        for (place, entry) in entries.iter().enumerate() {
            let known = before.contains_key(&place) || entry.name == installed;
            if known || package.bundle(&entry.name).is_none() {
                continue;
            }
            let in_range = || version.zip(ranges[place].as_ref()).is_some_and(|(v, range)| range.contains(v));
            if entry.replaces == name || entry.skips.iter().any(|skip| skip == name) || in_range() {
                before.insert(place, from);
                if entry.name == head {
                    return Some(back(entries, &before, place));
                }
                queue.push_back(Some(place));
            }
        }
    }
    None
}

/// Goes back to where a way began.
fn back(entries: &[&ChannelEntry], before: &BTreeMap<usize, Option<usize>>, end: usize) -> Vec<String> {
    let steps = std::iter::successors(Some(end), |place| before.get(place).copied().flatten());
    let mut names: Vec<String> = steps.map(|place| entries[place].name.clone()).collect();
    names.reverse();
    names
}

fn no_way(package: &Package, own: &[&str], there: &[&Channel], at: &Position) -> Problem {
    let names: Vec<&str> = package.channels.iter().map(|channel| channel.name.as_str()).collect();
    let text = match there {
        [] => format!(
            "there is no channel {} any more, and no other leads on from `{}`",
            quoted(own),
            at.name()
        ),
        _ => format!("no channel leads on from `{}`", at.name()),
    };
    let hint = format!(
        "the package has {}: it has to be removed and installed again from one of them, or mirrored from another catalog",
        quoted(&names)
    );
    Problem::new("operators.no-upgrade-path", text).package(&package.name).hint(hint)
}
