//! [`Selection`]: what is kept of a catalog, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use semver::Version;

use super::state::{ChannelState, PackageState, State};
use crate::model::{Channel, ChannelEntry, Deprecation, Package};
use crate::problem::Note;
use crate::settings::Rules;

/// What is kept of a catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Which rules decided.
    pub rules: Rules,
    /// What identifies the catalog between runs.
    pub catalog: String,
    /// Whether all of it is kept as it is, so that its image needs no change.
    pub untouched: bool,
    /// Whether packages were not listed, so that documents of packages which the catalog does not declare stay.
    pub whole: bool,
    /// The packages, sorted by name.
    pub packages: Vec<SelectedPackage>,
    /// What a user should know.
    pub notes: Vec<Note>,
    /// What was mirrored of the catalog before.
    pub(crate) before: BTreeMap<String, PackageState>,
}

/// A package that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectedPackage {
    /// Its name.
    pub name: String,
    /// Why it is in; at least one reason.
    pub reasons: Vec<Reason>,
    /// The default channel.
    pub default_channel: String,
    /// The kept channels, in the order of the catalog.
    pub channels: Vec<SelectedChannel>,
    /// The kept bundles that the catalog has, sorted.
    pub bundles: Vec<String>,
    /// The deprecations that stay.
    pub deprecations: Vec<Deprecation>,
}

/// A channel that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectedChannel {
    /// Its name.
    pub name: String,
    /// The kept entries, in the order of the catalog.
    pub entries: Vec<KeptEntry>,
    /// The version from which the next run starts (v1).
    pub floor: Option<Version>,
}

/// An entry that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptEntry {
    /// The entry.
    pub entry: ChannelEntry,
    /// The version of its bundle; none where the catalog does not have the bundle.
    pub version: Option<Version>,
    /// Whether it is not what it is in the catalog.
    pub rewritten: bool,
}

/// Why a package is in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The configuration lists it, or lists no packages.
    Selected,
    /// A bundle needs it.
    RequiredBy {
        /// The bundle.
        bundle: String,
        /// What it needs.
        requirement: String,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Selected => f.write_str("selected"),
            Self::RequiredBy { bundle, requirement } => write!(f, "required by {bundle}: {requirement}"),
        }
    }
}

impl Selection {
    /// Finds a package.
    pub fn package(&self, name: &str) -> Option<&SelectedPackage> {
        let place = self.packages.binary_search_by(|package| package.name.as_str().cmp(name)).ok()?;
        self.packages.get(place)
    }

    /// Returns what to remember of this run: what was remembered before, and what is kept now.
    pub fn state(&self) -> State {
        let mut packages = self.before.clone();
        for package in &self.packages {
            let channels = &mut packages.entry(package.name.clone()).or_default().channels;
            for channel in &package.channels {
                channel.remember(channels.entry(channel.name.clone()).or_default());
            }
        }
        State::of(&self.catalog, packages)
    }
}

impl SelectedPackage {
    /// A package without channels.
    pub(crate) fn new(package: &Package, reason: Reason) -> Self {
        Self {
            name: package.name.clone(),
            reasons: vec![reason],
            default_channel: package.default_channel.clone(),
            channels: Vec::new(),
            bundles: Vec::new(),
            deprecations: Vec::new(),
        }
    }

    /// Finds a channel.
    pub fn channel(&self, name: &str) -> Option<&SelectedChannel> {
        self.channels.iter().find(|channel| channel.name == name)
    }

    /// Tells whether a bundle is kept.
    pub fn has(&self, bundle: &str) -> bool {
        self.bundles.binary_search_by(|kept| kept.as_str().cmp(bundle)).is_ok()
    }

    /// Keeps these entries of a channel, and nothing else of it; none removes it.
    pub(crate) fn keep(&mut self, package: &Package, channel: &Channel, names: &BTreeSet<String>) {
        let old = self.channels.iter().position(|kept| kept.name == channel.name);
        let old = old.map(|place| self.channels.remove(place));
        let kept = |entry: &ChannelEntry| {
            let old =
                old.as_ref().and_then(|old| old.entries.iter().find(|kept| kept.entry.name == entry.name));
            old.cloned().unwrap_or_else(|| KeptEntry::new(package, entry))
        };
        let wanted = channel.entries.iter().filter(|entry| names.contains(&entry.name));
        let entries: Vec<_> = wanted.map(kept).collect();
        if entries.is_empty() {
            return;
        }
        let floor = old.as_ref().and_then(|old| old.floor.clone());
        self.channels.push(SelectedChannel { name: channel.name.clone(), entries, floor });
        let order = |name: &str| package.channels.iter().position(|channel| channel.name == name);
        self.channels.sort_by_key(|channel| order(&channel.name));
    }

    /// Derives the bundles and the deprecations from the channels.
    pub(crate) fn settle(&mut self, package: &Package) {
        let names: BTreeSet<&str> = self.entry_names().collect();
        let bundles = names.into_iter().filter(|name| package.bundle(name).is_some());
        self.bundles = bundles.map(str::to_owned).collect();
        let stays = |deprecation: &&Deprecation| match deprecation.schema.as_str() {
            "olm.bundle" => self.entry_names().any(|name| name == deprecation.name),
            "olm.channel" => self.channel(&deprecation.name).is_some(),
            _ => true,
        };
        self.deprecations = package.deprecations.iter().filter(stays).cloned().collect();
    }

    fn entry_names(&self) -> impl Iterator<Item = &str> {
        self.channels.iter().flat_map(|channel| &channel.entries).map(|kept| kept.entry.name.as_str())
    }

    /// Adds a reason that is not there yet.
    pub(crate) fn because(&mut self, reason: Reason) {
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }
}

impl SelectedChannel {
    /// Returns the names of the kept entries.
    pub fn names(&self) -> BTreeSet<String> {
        self.entries.iter().map(|kept| kept.entry.name.clone()).collect()
    }

    /// Tells whether an entry is kept.
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|kept| kept.entry.name == name)
    }

    /// Returns the entry that no other one replaces or skips, if there is exactly one.
    pub fn head(&self) -> Option<&KeptEntry> {
        let entries: Vec<_> = self.entries.iter().map(|kept| &kept.entry).collect();
        match crate::graph::heads(&entries).as_slice() {
            [head] => self.entries.iter().find(|kept| kept.entry.name == head.name),
            _ => None,
        }
    }

    fn remember(&self, state: &mut ChannelState) {
        let lowest = self.entries.iter().filter_map(|kept| kept.version.as_ref());
        let lowest = lowest.min_by(|a, b| a.cmp_precedence(b));
        if let Some(floor) = self.floor.as_ref().or(lowest) {
            state.floor = Some(floor.clone());
        }
        for kept in &self.entries {
            if let Some(version) = &kept.version {
                state.bundles.insert(kept.entry.name.clone(), version.clone());
            }
        }
    }
}

impl KeptEntry {
    /// An entry as it is in the catalog.
    pub(crate) fn new(package: &Package, entry: &ChannelEntry) -> Self {
        Self { entry: entry.clone(), version: package.version(&entry.name).cloned(), rewritten: false }
    }
}
