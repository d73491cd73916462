//! The section `platform`: [`ReleasePlatform`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::platform::Platform;

/// Releases of the platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ReleasePlatform {
    /// Whether the data of the update graph is mirrored.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub graph: bool,
    /// An image with the data of the update graph that is mirrored as it is, instead of one that is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph_image: Option<String>,
    /// What the image with the data of the update graph is built on; `registry.access.redhat.com/ubi9/ubi:latest` where
    /// nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph_base: Option<String>,
    /// Where the data of the update graph is, a tar archive; that of OpenShift where nothing is said.
    #[serde(rename = "graphDataURL", skip_serializing_if = "Option::is_none")]
    pub graph_data_url: Option<String>,
    /// Update channels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<ReleaseChannel>,
    /// Architectures of the payloads: `amd64`, `arm64`, `ppc64le`, `s390x`, `multi`. Empty means `amd64`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<String>,
    /// Which images of an index to mirror; not together with `architectures`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
    /// One payload by name; the channels are not asked then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Whether the disk image of the release for KubeVirt is mirrored.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub kube_virt_container: bool,
}

impl ReleasePlatform {
    /// Answers whether nothing is mirrored because of this section.
    pub fn asks_for_nothing(&self) -> bool {
        !self.graph && !self.kube_virt_container && self.channels.is_empty() && self.release.is_none()
    }
}

/// An update channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReleaseChannel {
    /// Its name: `stable-4.20`.
    pub name: String,
    /// Whose releases it lists.
    #[serde(default, rename = "type")]
    pub kind: ReleaseType,
    /// The lowest version wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_version: Option<String>,
    /// The highest version wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_version: Option<String>,
    /// Whether only the versions on the shortest path from the lowest to the highest are wanted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shortest_path: bool,
    /// Whether all versions are wanted instead of the newest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
}

/// Whose releases a channel lists.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ReleaseType {
    /// OpenShift Container Platform.
    #[default]
    Ocp,
    /// OKD, the community's distribution.
    Okd,
}
