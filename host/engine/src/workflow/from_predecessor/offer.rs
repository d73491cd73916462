//! [`Offer`]: an archive of either predecessor, as something to publish.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::reference::Repository;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::predecessors::v2::Missing;
use crate::predecessors::{Contents, Found, Place, PredecessorError, Wanted, v1, v2};

/// The chain of everything that belongs to none: archives of oc-mirror v2, and of v1 without a storage backend. A target has
/// one record of all of them, in the order in which they were published there.
pub(super) const UNCHAINED: Uuid = Uuid::from_u128(0x6f63_2d6d_6972_8f72_8f72_0000_0000_0000);

/// What an archive of oc-mirror v1 is made from, as far as it says. Only the version of it matters.
const V1ALPHA2: &[u8] =
    b"kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v1alpha2\nmirror: {}\n";
const V2ALPHA1: &[u8] =
    b"kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror: {}\n";

/// Which repositories of the target, below its prefix, have what an archive does not.
pub(super) type Elsewhere = Arc<HashMap<Digest, Vec<Repository>>>;

/// An archive that is to be published.
pub(super) enum Offer {
    V1(Box<v1::Imageset>),
    V2(Box<v2::Archive>),
}

/// What an archive asks for.
pub(super) struct Asked {
    /// Images, but for catalogs that have to be built.
    pub(super) wanted: Vec<Wanted>,
    /// What its configuration names and it has not.
    pub(super) missing: Vec<Missing>,
    /// What users should know.
    pub(super) remarks: Vec<String>,
}

/// Returns archives in the order in which they are published.
pub(super) fn offers(found: Found) -> Vec<Offer> {
    match found {
        Found::V1(imagesets) => imagesets.into_iter().map(|set| Offer::V1(Box::new(set))).collect(),
        Found::V2(archive) => vec![Offer::V2(archive)],
    }
}

impl Offer {
    /// Returns its manifests and blobs.
    pub(super) fn contents(&self) -> &Contents {
        match self {
            Self::V1(set) => &set.contents,
            Self::V2(archive) => &archive.contents,
        }
    }

    /// Returns what tells it from any other.
    pub(super) fn identity(&self) -> Digest {
        match self {
            Self::V1(set) => set.metadata.identity(),
            Self::V2(archive) => archive.identity.clone(),
        }
    }

    /// Returns its chain, and its place there; nothing if it belongs to none.
    pub(super) fn chained(&self) -> Option<(Uuid, u64)> {
        match self {
            Self::V1(set) if !set.metadata.single_use => {
                Some((set.metadata.uid, set.metadata.past_mirror.sequence))
            }
            _ => None,
        }
    }

    /// Returns when it was made, if it says so.
    pub(super) fn created(&self) -> String {
        let Self::V1(set) = self else { return String::new() };
        let time = OffsetDateTime::from_unix_timestamp(set.metadata.past_mirror.timestamp).ok();
        time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
    }

    /// Returns the program that made it.
    pub(super) fn maker(&self) -> &'static str {
        match self {
            Self::V1(_) => "oc-mirror v1",
            Self::V2(_) => "oc-mirror v2",
        }
    }

    /// Returns its configuration as it was written, if it has it.
    pub(super) fn written(&self) -> Option<&[u8]> {
        match self {
            Self::V1(_) => None,
            Self::V2(archive) => archive.configuration.as_deref(),
        }
    }

    /// Returns a configuration of the version that it was made from.
    pub(super) fn configuration(&self) -> &[u8] {
        match self {
            Self::V1(_) => V1ALPHA2,
            Self::V2(_) => V2ALPHA1,
        }
    }

    /// Returns charts, by the name of their file.
    pub(super) fn charts(&self) -> &BTreeMap<String, Place> {
        match self {
            Self::V1(set) => &set.charts,
            Self::V2(archive) => &archive.charts,
        }
    }

    /// Returns remarks on what is in it.
    pub(super) fn warnings(&self) -> &[String] {
        match self {
            Self::V1(set) => &set.warnings,
            Self::V2(archive) => &archive.warnings,
        }
    }

    /// Reads the signatures of releases.
    pub(super) fn signatures(&self) -> Result<BTreeMap<Digest, BTreeMap<u32, Vec<u8>>>, PredecessorError> {
        match self {
            Self::V1(set) => set.signatures(),
            Self::V2(archive) => archive.signatures(),
        }
    }

    /// Returns the catalogs that have to be built.
    pub(super) fn catalogs(&self) -> &[v1::Catalog] {
        match self {
            Self::V1(set) => &set.catalogs,
            Self::V2(_) => &[],
        }
    }

    /// Returns the data of an update graph that an image has to be built of.
    pub(super) fn graph(&self) -> Option<Place> {
        match self {
            Self::V1(set) => set.graph,
            Self::V2(_) => None,
        }
    }

    /// Answers whether an image that an index names was mirrored with it into a repository.
    pub(super) fn had(&self, repository: &Repository, digest: &Digest) -> bool {
        match self {
            // All platforms of an image, always.
            Self::V1(_) => true,
            Self::V2(archive) => archive.had(repository, digest) || archive.contents.holds(digest),
        }
    }

    /// Returns which repositories of a target with this prefix have what the archive does not.
    pub(super) fn elsewhere(&self, prefix: Option<&Repository>) -> Elsewhere {
        match self {
            Self::V1(set) => Arc::new(set.elsewhere(prefix)),
            Self::V2(archive) => archive.elsewhere(),
        }
    }

    /// Lists what it asks for.
    pub(super) async fn asked(&self, prefix: Option<&Repository>) -> Result<Asked, PredecessorError> {
        let (wanted, missing, remarks) = match self {
            Self::V1(set) => {
                let (wanted, remarks) = set.images(prefix).await?;
                (wanted, Vec::new(), remarks)
            }
            Self::V2(archive) => archive.wanted().await?,
        };
        Ok(Asked { wanted, missing, remarks })
    }
}
