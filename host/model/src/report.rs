//! [`RunReport`]: what a run did, as data that is printed, stored as `result.json`, and read by other programs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::audit::PolicyAudit;
use crate::cluster_report::ClusterReport;
use crate::deletion::DeletionReport;
use crate::digest::Digest;
use crate::forecast::Forecast;
use crate::imageset::RefusedImage;
use crate::request::Destination;

/// The exit codes of the program, a bit mask as oc-mirror v2 has it.
///
/// Codes of several kinds of images are combined: 12 is an operator image and an additional one.
pub mod exit {
    /// All went well, or there was nothing to do.
    pub const OK: u8 = 0;
    /// Wrong arguments or configuration, a refused imageset, a registry that cannot be reached, a full disk.
    pub const GENERIC: u8 = 1;
    /// A release image failed.
    pub const RELEASE: u8 = 2;
    /// An operator image or catalog failed.
    pub const OPERATOR: u8 = 4;
    /// An additional image, or one of a custom plugin, failed.
    pub const ADDITIONAL: u8 = 8;
    /// A chart or an image of one failed.
    pub const HELM: u8 = 16;
    /// A cluster could not be asked, or could not be told all that it should be.
    pub const CLUSTER: u8 = 32;
    /// What a cluster was told is not ready though it was waited for.
    pub const NOT_READY: u8 = 64;
    /// Somebody has interrupted it: 128 and the number of SIGINT, as shells have it. No mask of the others.
    pub const INTERRUPTED: u8 = 130;
    /// Somebody has ended it: 128 and the number of SIGTERM.
    pub const TERMINATED: u8 = 143;

    /// Returns the bit of an image's kind.
    pub fn for_kind(kind: &str) -> u8 {
        use crate::request::kind as k;
        match kind {
            k::RELEASE | k::RELEASE_CONTENT | k::GRAPH => RELEASE,
            k::CATALOG | k::BUNDLE | k::RELATED => OPERATOR,
            k::HELM => HELM,
            _ => ADDITIONAL,
        }
    }
}

/// The three ways to mirror, as v2 names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Workflow {
    /// From registries into an imageset.
    MirrorToDisk,
    /// From imagesets into a registry.
    DiskToMirror,
    /// From registries into a registry.
    MirrorToMirror,
}

impl Workflow {
    /// Returns the name in plugins' run information: `mirror-to-disk`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MirrorToDisk => "mirror-to-disk",
            Self::DiskToMirror => "disk-to-mirror",
            Self::MirrorToMirror => "mirror-to-mirror",
        }
    }
}

/// What one run did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunReport {
    /// Which way.
    pub workflow: Workflow,
    /// True if nothing was written because it was only asked what would be.
    pub dry_run: bool,
    /// The chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Uuid>,
    /// The imagesets that were made or published.
    pub imagesets: Vec<ImagesetReport>,
    /// The registries that were published to, and what they were taken for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registries: Vec<RegistryReport>,
    /// The plugins of the user's that were asked, sources before policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<PluginReport>,
    /// Images, in the order of the configuration; those that were found beside them are counted there.
    pub images: Vec<ImageReport>,
    /// What the images are of: releases, operators, other sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contents: Vec<ContentReport>,
    /// Images of registries and layouts that have neither a signature nor any other referrer. Empty where nobody looked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsigned: Vec<String>,
    /// Images that a policy refused.
    pub refused: Vec<RefusedImage>,
    /// Of a dry run, what the run itself would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<Forecast>,
    /// What each policy said, in the order of the configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyAudit>,
    /// Remarks of policies, plugins and registries.
    pub warnings: Vec<String>,
    /// What plugins want known that needs nothing done: why an image is there that nobody listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What could not be had or published and was left out as a whole, since the user asked for that; on the far side also
    /// what was left out when the imageset was made, which adds nothing to the exit code there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<Failure>,
    /// What could not be had or done.
    pub failures: Vec<Failure>,
    /// The clusters that were told of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<ClusterReport>,
    /// What was deleted since it has left the configuration; nothing where that was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned: Option<DeletionReport>,
    /// Bytes and requests.
    pub totals: Totals,
    /// What became of each target, where there are several; the fields above tell of all of them together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetReport>,
}

/// What a run did at one target of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetReport {
    /// The target: `docker://HOST/PREFIX`.
    pub target: String,
    /// Where its resources for clusters are, below the workspace's directory of them.
    pub directory: String,
    /// The imagesets as they fared there.
    pub imagesets: Vec<ImagesetReport>,
    /// Remarks about it alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What could not be done there.
    pub failures: Vec<Failure>,
    /// What was left out there alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<Failure>,
    /// Bytes and requests.
    pub totals: Totals,
}

impl RunReport {
    /// Starts an empty report.
    pub fn new(workflow: Workflow, dry_run: bool) -> Self {
        Self {
            workflow,
            dry_run,
            uid: None,
            imagesets: Vec::new(),
            registries: Vec::new(),
            plugins: Vec::new(),
            images: Vec::new(),
            contents: Vec::new(),
            unsigned: Vec::new(),
            refused: Vec::new(),
            forecast: None,
            policies: Vec::new(),
            warnings: Vec::new(),
            notes: Vec::new(),
            quarantined: Vec::new(),
            failures: Vec::new(),
            clusters: Vec::new(),
            pruned: None,
            totals: Totals::default(),
            targets: Vec::new(),
        }
    }

    /// Returns the exit code that the failures add up to. What was left out counts: it is not there.
    pub fn exit_code(&self) -> u8 {
        let images = self.failures.iter().chain(&self.quarantined).map(|failure| failure.exit_code);
        images
            .chain(self.clusters.iter().map(ClusterReport::exit_code))
            .fold(exit::OK, |all, code| all | code)
    }
}

/// A plugin that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginReport {
    /// The name it has in the configuration.
    pub name: String,
    /// Where it is: an artifact by its digest, whatever the configuration says.
    pub source: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of the component.
    pub component: Digest,
    /// Who signed it, where a signature was asked for: the SHA-256 of the key in DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<Digest>,
}

/// What a registry was taken for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistryReport {
    /// The registry, `host` or `host:port`.
    pub registry: String,
    /// The name of its profile, as `--registry-profile` takes it.
    pub profile: String,
    /// What made it that: its name, an answer of it, or the user.
    pub because: String,
}

/// One imageset of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImagesetReport {
    /// Its place in the chain.
    pub sequence: u64,
    /// What it builds on.
    pub base: u64,
    /// Its identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
    /// The chunk files.
    pub chunks: Vec<String>,
    /// Bytes of all chunks.
    pub bytes: u64,
    /// Content that it need not carry, since earlier sequences did.
    pub saved_bytes: u64,
    /// `made`, `published`, `already published`, `repaired`, `not needed`, `nothing new`, `planned`, `failed`; `varies` where it is not
    /// the same at all targets.
    pub outcome: String,
}

/// Images of a run that belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContentReport {
    /// `release`, `operator`, `catalog`, or what the images are for.
    pub kind: String,
    /// The release with its architecture, the package of the operator, the catalog; empty for other images.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The catalog that offers the operator.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub catalog: String,
    /// How many images. One that several operators need is that of the first.
    pub images: u64,
    /// Bytes of blobs and manifests that are new, each counted once in the run.
    pub new_bytes: u64,
    /// Bytes of all blobs and manifests, each counted once in the run.
    pub total_bytes: u64,
}

/// One image of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageReport {
    /// The name users know it by.
    pub origin: String,
    /// What it is for.
    pub kind: String,
    /// Where it goes.
    pub destination: Destination,
    /// What its tag points at.
    pub digest: Digest,
    /// Bytes of blobs and manifests that are new.
    pub new_bytes: u64,
    /// Bytes of all its blobs and manifests.
    pub total_bytes: u64,
    /// How many signatures, attestations and the like go with it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub companions: u64,
    /// The mirror that it was read from, where `registries.conf` names one: the image's name there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found_at: Option<String>,
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Something that could not be had or done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The image or plugin.
    pub subject: String,
    /// What the image is for; empty for a plugin.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The cause, with everything that led to it.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The bit it adds to the exit code, see [`exit`].
    pub exit_code: u8,
}

/// Bytes and requests of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Blobs moved.
    pub blobs: u64,
    /// Bytes of them.
    pub blob_bytes: u64,
    /// Blobs that the destination had in place.
    pub skipped_blobs: u64,
    /// Blobs that the destination linked from another of its repositories.
    pub mounted_blobs: u64,
    /// Blobs that had to be fetched from the target, since neither the imageset nor a mount had them.
    pub refetched_blobs: u64,
    /// Manifests put.
    pub manifests: u64,
    /// Anything else worth counting.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub other: BTreeMap<String, u64>,
}
