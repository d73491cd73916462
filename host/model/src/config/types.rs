//! The configuration as the program sees it: [`ImageSetConfiguration`] and [`DeleteImageSetConfiguration`].
//!
//! The sections below [`Mirror`] are at the same time the form in which `v2alpha1` is written. What only the older
//! version knows is translated when it is read, or kept in fields that are not written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extensions::{BlockedImage, PluginEntry, PolicyEntry};
use super::operators::Operator;
use super::problem::Position;
use super::releases::ReleasePlatform;
use crate::bucket::BucketUrl;
use crate::platform::Platform;
use crate::reference::{InvalidReference, Reference, Repository, Source, Tag};

/// The size of a chunk where none is given.
const DEFAULT_ARCHIVE_SIZE: u64 = 500 << 30;

/// Which version of the API a file is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ApiVersion {
    /// That of oc-mirror v1.
    #[serde(rename = "mirror.openshift.io/v1alpha2")]
    V1Alpha2,
    /// That of oc-mirror v2.
    #[serde(rename = "mirror.openshift.io/v2alpha1")]
    V2Alpha1,
}

impl ApiVersion {
    /// Returns what stands behind `apiVersion:`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1Alpha2 => "mirror.openshift.io/v1alpha2",
            Self::V2Alpha1 => "mirror.openshift.io/v2alpha1",
        }
    }
}

/// A size in GiB (2^30 bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct GiB(pub u32);

impl GiB {
    /// Returns the size in bytes.
    pub fn bytes(self) -> u64 {
        u64::from(self.0) << 30
    }
}

/// What to mirror, whichever version of the API it was written in.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageSetConfiguration {
    /// The version it was written in.
    pub api: ApiVersion,
    /// The size no chunk exceeds, as written.
    pub archive_size: Option<GiB>,
    /// Where the record of the chain is kept, if not in the workspace.
    pub storage: Option<StorageConfig>,
    /// What to mirror.
    pub mirror: Mirror,
}

impl ImageSetConfiguration {
    /// Returns the size no chunk exceeds: 500 GiB where the file says nothing or 0.
    pub fn archive_size_bytes(&self) -> u64 {
        match self.archive_size {
            Some(GiB(0)) | None => DEFAULT_ARCHIVE_SIZE,
            Some(size) => size.bytes(),
        }
    }
}

/// What to delete from a registry.
#[derive(Clone, Debug, PartialEq)]
pub struct DeleteImageSetConfiguration {
    /// The version it was written in; both are read alike.
    pub api: ApiVersion,
    /// What to delete. It has neither blocked images nor policies.
    pub delete: Mirror,
}

/// Where the record of a chain is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageConfig {
    /// A directory.
    Local {
        /// The directory.
        path: String,
    },
    /// An image in a registry.
    Registry {
        /// The image, without a digest; without a tag, `latest` is meant.
        image: Reference,
        /// Whether the registry's certificate is not checked.
        skip_tls: bool,
    },
    /// An object in a bucket of an S3-compatible store.
    S3 {
        /// The bucket, and the prefix in it.
        bucket: BucketUrl,
        /// The URL of the store, if it is not that of AWS.
        endpoint: Option<String>,
        /// The region.
        region: Option<String>,
        /// Whether the bucket is part of the path, and not of the host's name.
        path_style: bool,
    },
}

/// The sections that say what is wanted and what is refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Mirror {
    /// Releases of the platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<ReleasePlatform>,
    /// Operator catalogs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operators: Vec<Operator>,
    /// Images by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub additional_images: Vec<AdditionalImage>,
    /// Helm charts, for the images they name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub helm: Option<Helm>,
    /// Images to refuse.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blocked_images: Vec<BlockedImage>,
    /// Samples. No version of oc-mirror ever mirrored them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
    /// Further content sources, as components.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<PluginEntry>,
    /// Further policies, as components.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyEntry>,
    /// Where the sections stand in the text.
    #[serde(skip)]
    pub written_at: SectionPositions,
}

/// Where the sections of a [`Mirror`] stand. It is no part of what they say: any two are equal.
#[derive(Clone, Debug, Default)]
pub struct SectionPositions(pub(super) Vec<(&'static str, Position)>);

impl PartialEq for SectionPositions {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl SectionPositions {
    /// Returns where a section stands, if the configuration was read from a text.
    pub fn of(&self, section: &str) -> Option<Position> {
        self.0.iter().find(|(name, _)| *name == section).map(|(_, at)| *at)
    }
}

/// A section that asks for something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SectionUse {
    /// Its key: `operators`.
    pub name: &'static str,
    /// The line of its value; 0 if the configuration was not read from a text.
    pub line: u32,
    /// The column of its value; 0 likewise.
    pub column: u32,
}

/// The keys of all sections, in the order in which they are written.
pub(super) const SECTIONS: [&str; 8] =
    ["platform", "operators", "additionalImages", "helm", "blockedImages", "samples", "plugins", "policies"];

/// The sections that ask for content.
pub(super) const SOURCES: [&str; 6] =
    ["platform", "operators", "additionalImages", "helm", "samples", "plugins"];

impl Mirror {
    /// Returns the sections that ask for something; `helm: {}` and `graph: false` do not.
    pub fn sections_in_use(&self) -> Vec<SectionUse> {
        let used = SECTIONS.into_iter().filter(|name| self.asks_in(name));
        used.map(|name| {
            let at = self.written_at.of(name).unwrap_or_default();
            SectionUse { name, line: at.line, column: at.column }
        })
        .collect()
    }

    /// Answers whether any chart is asked for.
    pub fn asks_for_charts(&self) -> bool {
        self.helm.as_ref().is_some_and(|h| !(h.repositories.is_empty() && h.local.is_empty()))
    }

    fn asks_in(&self, section: &str) -> bool {
        match section {
            "platform" => self.platform.as_ref().is_some_and(|p| !p.asks_for_nothing()),
            "operators" => !self.operators.is_empty(),
            "additionalImages" => !self.additional_images.is_empty(),
            "helm" => self.asks_for_charts(),
            "blockedImages" => !self.blocked_images.is_empty(),
            "samples" => !self.samples.is_empty(),
            "plugins" => !self.plugins.is_empty(),
            "policies" => !self.policies.is_empty(),
            _ => false,
        }
    }
}

/// An image by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdditionalImage {
    /// The image: `host/path:tag`, `host/path@sha256:…`, both, or `oci:DIRECTORY`.
    pub name: String,
    /// The repository at the target, in place of the image's own path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "oci-repository"))]
    pub target_repo: Option<Repository>,
    /// The tag at the target, in place of the image's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "oci-tag"))]
    pub target_tag: Option<Tag>,
    /// Which images of an index to mirror; empty mirrors all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
}

impl AdditionalImage {
    /// Returns the parsed name.
    pub fn source(&self) -> Result<Source, InvalidReference> {
        self.name.parse()
    }
}

/// Helm charts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Helm {
    /// Repositories and the charts wanted of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<HelmRepository>,
    /// Charts on this host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub local: Vec<LocalChart>,
}

/// A chart repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HelmRepository {
    /// A name for it.
    pub name: String,
    /// Where it is: the URL that `index.yaml` is below, or `oci://HOST/PATH`.
    pub url: String,
    /// The charts wanted; empty takes every version of every chart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charts: Vec<RepositoryChart>,
}

/// A chart of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RepositoryChart {
    /// Its name in the repository.
    pub name: String,
    /// Its version, or a range of versions of which the newest is taken; the newest of all where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// JSONPath expressions that find images, besides the built-in ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_paths: Vec<String>,
    /// Which images of an index to mirror; empty mirrors all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
    /// Files with values for the chart, the later ones before the earlier ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values_files: Vec<String>,
    /// The version of Kubernetes that the chart is rendered for, in place of the newest that Helm knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube_version: Option<String>,
    /// APIs that clusters have besides those of Kubernetes: `route.openshift.io/v1`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub api_versions: Vec<String>,
}

/// A chart on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalChart {
    /// A name for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The directory or the `.tgz`.
    pub path: String,
    /// JSONPath expressions that find images, besides the built-in ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_paths: Vec<String>,
    /// Which images of an index to mirror; empty mirrors all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
    /// Files with values for the chart, the later ones before the earlier ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values_files: Vec<String>,
    /// The version of Kubernetes that the chart is rendered for, in place of the newest that Helm knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube_version: Option<String>,
    /// APIs that clusters have besides those of Kubernetes: `route.openshift.io/v1`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub api_versions: Vec<String>,
}

/// A sample.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sample {
    /// Its name.
    pub name: String,
}
