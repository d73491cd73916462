//! [`Catalog`]: what is known of a file-based catalog. Only what decisions need; the documents stay where they are.

use semver::Version;
use serde::{Deserialize, Serialize};

/// A catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// The packages, sorted by name.
    pub packages: Vec<Package>,
    /// Documents of unknown schemas that belong to no declared package.
    pub others: Vec<Other>,
    /// The files that an `.indexignore` excludes.
    pub ignored: Vec<String>,
}

impl Catalog {
    /// Finds a package.
    pub fn package(&self, name: &str) -> Option<&Package> {
        let place = self.packages.binary_search_by(|package| package.name.as_str().cmp(name)).ok()?;
        self.packages.get(place)
    }

    /// Tells whether a file is excluded.
    pub fn ignores(&self, file: &str) -> bool {
        self.ignored.binary_search_by(|ignored| ignored.as_str().cmp(file)).is_ok()
    }
}

/// A package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    #[serde(rename = "n")]
    pub name: String,
    /// The display name of its highest bundle.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The default channel; empty where the catalog has none.
    #[serde(rename = "d", default, skip_serializing_if = "String::is_empty")]
    pub default_channel: String,
    /// Its files, sorted.
    #[serde(rename = "f")]
    pub files: Vec<String>,
    /// The file that declares it, a place in `files`.
    #[serde(rename = "p")]
    pub file: u32,
    /// Its channels, in the order of the catalog.
    #[serde(rename = "c", default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<Channel>,
    /// Its bundles, sorted by name.
    #[serde(rename = "b", default, skip_serializing_if = "Vec::is_empty")]
    pub bundles: Vec<Bundle>,
    /// What is deprecated.
    #[serde(rename = "x", default, skip_serializing_if = "Vec::is_empty")]
    pub deprecations: Vec<Deprecation>,
    /// Documents of unknown schemas.
    #[serde(rename = "o", default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Other>,
}

impl Package {
    /// Finds a channel.
    pub fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.name == name)
    }

    /// Finds a bundle.
    pub fn bundle(&self, name: &str) -> Option<&Bundle> {
        let place = self.bundles.binary_search_by(|bundle| bundle.name.as_str().cmp(name)).ok()?;
        self.bundles.get(place)
    }

    /// Finds the version of a bundle.
    pub fn version(&self, bundle: &str) -> Option<&Version> {
        self.bundle(bundle)?.version.as_ref()
    }

    /// Returns the name of one of its files.
    pub fn file_name(&self, place: u32) -> &str {
        usize::try_from(place).ok().and_then(|place| self.files.get(place)).map_or("", String::as_str)
    }
}

/// A channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Its name.
    #[serde(rename = "n")]
    pub name: String,
    /// Its file, a place in the package's files.
    #[serde(rename = "f")]
    pub file: u32,
    /// Its `olm.channel` priority.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// Its entries, in the order of the catalog.
    #[serde(rename = "e", default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<ChannelEntry>,
}

impl Channel {
    /// Finds an entry.
    pub fn entry(&self, name: &str) -> Option<&ChannelEntry> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}

/// A bundle's place in a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelEntry {
    /// The bundle.
    #[serde(rename = "n")]
    pub name: String,
    /// The bundle it replaces; empty if none.
    #[serde(rename = "r", default, skip_serializing_if = "String::is_empty")]
    pub replaces: String,
    /// The bundles it skips.
    #[serde(rename = "s", default, skip_serializing_if = "Vec::is_empty")]
    pub skips: Vec<String>,
    /// The versions it skips; empty if none.
    #[serde(rename = "g", default, skip_serializing_if = "String::is_empty")]
    pub skip_range: String,
}

/// A bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Its name.
    #[serde(rename = "n")]
    pub name: String,
    /// Its file, a place in the package's files.
    #[serde(rename = "f")]
    pub file: u32,
    /// Its version, if it has a proper one.
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Why it has no version.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// The image of the bundle itself; may be empty.
    #[serde(rename = "i", default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// The images it names, in its order.
    #[serde(rename = "m", default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<String>,
    /// The APIs it provides.
    #[serde(rename = "a", default, skip_serializing_if = "Vec::is_empty")]
    pub provides: Vec<Gvk>,
    /// What it needs.
    #[serde(rename = "q", default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requirement>,
    /// The highest minor version of OpenShift that it may run on, as written.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub max_openshift: Option<String>,
}

/// An API.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Gvk {
    /// The API group.
    #[serde(default)]
    pub group: String,
    /// The version of the API.
    #[serde(default)]
    pub version: String,
    /// The kind of resource.
    #[serde(default)]
    pub kind: String,
}

impl std::fmt::Display for Gvk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.group, self.version)
    }
}

/// What a bundle needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// What the bundle's author says about it.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What has to be there.
    #[serde(rename = "k")]
    pub need: Need,
}

/// What has to be there for a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Need {
    /// A package in a range of versions (an empty one is any).
    #[serde(rename = "p")]
    Package(String, String),
    /// An API.
    #[serde(rename = "g")]
    Gvk(Gvk),
    /// Every one of these.
    #[serde(rename = "a")]
    All(Vec<Requirement>),
    /// At least one of these.
    #[serde(rename = "o")]
    Any(Vec<Requirement>),
    /// None of these.
    #[serde(rename = "n")]
    Not(Vec<Requirement>),
    /// Something that cannot be evaluated, such as a CEL expression.
    #[serde(rename = "c")]
    Opaque(String),
}

impl std::fmt::Display for Requirement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |word: &str, parts: &[Requirement]| {
            let parts: Vec<_> = parts.iter().map(ToString::to_string).collect();
            format!("{word} ({})", parts.join(", "))
        };
        match &self.need {
            Need::Package(name, range) if range.is_empty() => write!(f, "package {name}"),
            Need::Package(name, range) => write!(f, "package {name} {range}"),
            Need::Gvk(gvk) => write!(f, "API {gvk}"),
            Need::All(parts) => f.write_str(&list("all of", parts)),
            Need::Any(parts) => f.write_str(&list("any of", parts)),
            Need::Not(parts) => f.write_str(&list("none of", parts)),
            Need::Opaque(text) => write!(f, "{text}"),
        }
    }
}

/// A deprecated thing: a package, a channel or a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Deprecation {
    /// `olm.package`, `olm.channel` or `olm.bundle`.
    #[serde(rename = "s")]
    pub schema: String,
    /// Its name; empty for the package.
    #[serde(rename = "n", default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The file, a place in the package's files.
    #[serde(rename = "f")]
    pub file: u32,
}

/// A document of a schema that is not OLM's.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Other {
    /// Its schema.
    #[serde(rename = "s")]
    pub schema: String,
    /// The package it names; empty if none.
    #[serde(rename = "p", default, skip_serializing_if = "String::is_empty")]
    pub package: String,
    /// Its file.
    #[serde(rename = "f")]
    pub file: String,
}
