//! [`State`]: what was mirrored before.

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};

/// What was mirrored before, by the unique names of catalogs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct State {
    catalogs: BTreeMap<String, BTreeMap<String, PackageState>>,
}

/// What was mirrored of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PackageState {
    /// By the names of channels.
    pub channels: BTreeMap<String, ChannelState>,
}

/// What was mirrored of a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelState {
    /// The version from which content is kept. Only v1alpha2 asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Version>,
    /// The bundles and their versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bundles: BTreeMap<String, Version>,
}

impl State {
    /// What is known of one catalog.
    pub(crate) fn of(catalog: &str, packages: BTreeMap<String, PackageState>) -> Self {
        Self { catalogs: BTreeMap::from([(catalog.to_owned(), packages)]) }
    }

    /// Returns what was mirrored of a catalog; none if nothing ever was.
    pub fn catalog(&self, unique_name: &str) -> Option<&BTreeMap<String, PackageState>> {
        self.catalogs.get(unique_name)
    }

    /// Takes over what another run knows; it replaces what is known of the same catalogs.
    pub fn update(&mut self, newer: Self) {
        self.catalogs.extend(newer.catalogs);
    }
}
