//! [`ClusterInventory`]: what clusters run, as a file.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::API_VERSION;

const KIND: &str = "ClusterInventory";

/// What clusters run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterInventory {
    /// What this is.
    #[schemars(extend("const" = "ClusterInventory"))]
    kind: String,
    /// The version of this form.
    #[schemars(extend("const" = "mirror.openshift.io/v2alpha1"))]
    api_version: String,
    /// The clusters that could be read, in the order in which they were named.
    #[serde(default)]
    pub clusters: Vec<InspectedCluster>,
    /// Those that could not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<UnreadCluster>,
}

/// What one cluster runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InspectedCluster {
    /// What it is called here: `cluster-1`, or its context where names are wanted. No two have the same.
    pub name: String,
    /// Its `clusterID`, where it is wanted.
    #[serde(default, rename = "clusterID", skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Its release.
    pub release: ClusterRelease,
    /// Its operators, of OLM v0 and v1, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operators: Vec<InstalledOperator>,
    /// Its catalogs, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub catalogs: Vec<ClusterCatalog>,
}

/// What a ClusterVersion says, and the nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterRelease {
    /// The release that it runs: the last one whose update was completed.
    pub version: String,
    /// The release that it is being updated to, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updating_to: Option<String>,
    /// The channel that it follows, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The architecture of its payload: `amd64`, `arm64`, `ppc64le`, `s390x`, or `multi`.
    pub architecture: String,
    /// The architectures of its nodes, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// The update service that it asks, where it is set and addresses are wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// The releases that it ran, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<ReleaseRecord>,
}

/// A release that a cluster ran, or was to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReleaseRecord {
    /// Its version.
    pub version: String,
    /// `Completed`, or `Partial`.
    pub state: String,
}

/// How an operator is installed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum OperatorKind {
    /// By OLM v0.
    #[default]
    Subscription,
    /// By OLM v1.
    ClusterExtension,
}

/// An operator on a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InstalledOperator {
    /// Its package.
    pub package: String,
    /// How it is installed.
    pub kind: OperatorKind,
    /// The name of its Subscription or ClusterExtension, where names are wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The namespace of its Subscription, where names are wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The channels that it may follow; none is the default channel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// The images of the catalogs that it may come from, as in `catalogs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub catalogs: Vec<String>,
    /// The bundle that is installed: the name of its ClusterServiceVersion. None if nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// The version of that bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The bundle that OLM goes to, where it is not there yet (`status.currentCSV`).
    #[serde(default, rename = "currentCSV", skip_serializing_if = "Option::is_none")]
    pub current_csv: Option<String>,
    /// The bundle that the Subscription began with (`spec.startingCSV`).
    #[serde(default, rename = "startingCSV", skip_serializing_if = "Option::is_none")]
    pub starting_csv: Option<String>,
    /// `Automatic` or `Manual`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install_plan_approval: Option<String>,
    /// The versions that a ClusterExtension is kept within.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_range: Option<String>,
    /// The highest minor version of OpenShift that the bundle may run on, if it says one.
    #[serde(default, rename = "maxOpenShiftVersion", skip_serializing_if = "Option::is_none")]
    pub max_openshift_version: Option<String>,
}

/// Which kind of catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum CatalogKind {
    /// Of OLM v0.
    CatalogSource,
    /// Of OLM v1.
    ClusterCatalog,
}

/// A catalog on a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterCatalog {
    /// Which kind it is.
    pub kind: CatalogKind,
    /// Its image; without the host unless addresses are wanted. None if it is served in another way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Its name, where names are wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The namespace of a CatalogSource, where names are wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A cluster that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnreadCluster {
    /// What it is called here.
    pub name: String,
    /// Why.
    pub reason: UnreadReason,
}

/// Why a cluster could not be read. The details, which may hold addresses, are told on the terminal only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum UnreadReason {
    /// Nobody answered.
    Unreachable,
    /// The credentials were refused.
    Unauthorized,
    /// Something could not be read with them.
    Forbidden,
    /// It has no ClusterVersion.
    NotOpenShift,
    /// Anything else.
    Failed,
}

impl fmt::Display for UnreadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "nobody answered",
            Self::Unauthorized => "the credentials were refused",
            Self::Forbidden => "something could not be read with the credentials",
            Self::NotOpenShift => "it has no ClusterVersion",
            Self::Failed => "reading failed",
        })
    }
}

/// Why a file is no inventory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct InventoryError {
    reason: String,
    /// What to do about it.
    pub hint: String,
}

impl InventoryError {
    fn new(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { reason: reason.into(), hint: hint.into() }
    }
}

impl ClusterInventory {
    /// Makes an inventory.
    pub fn new(clusters: Vec<InspectedCluster>, unread: Vec<UnreadCluster>) -> Self {
        Self { kind: KIND.to_owned(), api_version: API_VERSION.to_owned(), clusters, unread }
    }

    /// Reads an inventory.
    ///
    /// # Errors
    ///
    /// Fails for anything that is not one of this version, and where two clusters have the same name.
    pub fn parse(text: &str) -> Result<Self, InventoryError> {
        const MAKE: &str =
            "`oc-mirror clusters inspect` makes one, `oc-mirror schema clusters` prints its schema";
        let head: Head = serde_saphyr::from_str(text)
            .map_err(|error| InventoryError::new(format!("it cannot be read: {error}"), MAKE))?;
        if head.kind.as_deref() != Some(KIND) {
            let found = head.kind.map_or("no `kind`".to_owned(), |kind| format!("the kind `{kind}`"));
            return Err(InventoryError::new(format!("it has {found}, not `{KIND}`"), MAKE));
        }
        if head.api_version.as_deref() != Some(API_VERSION) {
            let found =
                head.api_version.map_or("no `apiVersion`".to_owned(), |api| format!("`apiVersion: {api}`"));
            let hint = "make it again, or read it with the version of this program that made it";
            return Err(InventoryError::new(format!("it has {found}, and {API_VERSION} is read"), hint));
        }
        let inventory: Self = serde_saphyr::from_str(text)
            .map_err(|error| InventoryError::new(format!("it cannot be read: {error}"), MAKE))?;
        let mut names = BTreeSet::new();
        match inventory.clusters.iter().find(|cluster| !names.insert(&cluster.name)) {
            Some(twice) => Err(InventoryError::new(
                format!("two clusters are called `{}`", twice.name),
                "give each a name of its own",
            )),
            None => Ok(inventory),
        }
    }

    /// Returns the inventory as YAML, the same for the same clusters.
    pub fn to_yaml(&self) -> String {
        serde_saphyr::to_string(self).expect("plain data whose keys are text serialises into memory")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    api_version: Option<String>,
}
