//! The record of a chain and where it is kept: [`MetadataStore`] with the backends [`local`], [`in_registry`] and
//! [`in_bucket`].
//!
//! The commit point of every run is here, and it is conditional: who finds that somebody else has committed
//! meanwhile is told so and changes nothing.

pub mod in_bucket;
pub mod in_registry;
pub mod local;

use async_trait::async_trait;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::FormatVersion;
use oc_mirror_model::metadata::{Chain, FORMAT};
use oc_mirror_model::predecessor::InvalidMetadata;
use uuid::Uuid;

use crate::content::ContentError;

/// A record above this size is refused: it would be one of some ten million blobs.
const MAX_RECORD_BYTES: u64 = 4 << 30;

/// A record as it was found, with what a later commit compares against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The record.
    pub chain: Chain,
    /// What exactly was found.
    pub revision: Digest,
}

/// Keeps records of chains.
#[async_trait]
pub trait MetadataStore: Send + Sync {
    /// Returns a name for messages.
    fn name(&self) -> String;

    /// Lists the chains that have a record here, in the order of their identities.
    async fn chains(&self) -> Result<Vec<Uuid>, MetadataError>;

    /// Reads the record of a chain; nothing if there is none yet.
    async fn load(&self, uid: Uuid) -> Result<Option<Stored>, MetadataError>;

    /// Returns what a commit compares against: the SHA-256 of the record as it is now. A record is large, and where its hash
    /// can be had for less, this is how.
    async fn revision(&self, uid: Uuid) -> Result<Option<Digest>, MetadataError> {
        Ok(self.load(uid).await?.map(|stored| stored.revision))
    }

    /// Finds out, before any work is done, whether a commit would be safe here. Leaves nothing behind.
    async fn rehearse(&self) -> Result<(), MetadataError> {
        Ok(())
    }

    /// Replaces the record, if its SHA-256 is still the one that was `found`; nothing if there was none.
    async fn commit(&self, chain: &Chain, found: Option<&Digest>) -> Result<(), MetadataError>;
}

/// The record of a chain cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The place cannot be reached or written.
    #[error("the record of the chain at {place} cannot be accessed")]
    Content {
        /// Where.
        place: String,
        /// Why; boxed, as it is much larger than the others.
        #[source]
        source: Box<ContentError>,
    },
    /// A file cannot be read or written.
    #[error("the record of the chain `{path}` cannot be accessed")]
    Disk {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not a record.
    #[error("the record of the chain at {place} is damaged")]
    Damaged {
        /// Where.
        place: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// It is one of oc-mirror v1, and cannot be read.
    #[error("the record of oc-mirror v1 at {place} cannot be used")]
    OfV1 {
        /// Where.
        place: String,
        /// What is wrong with it.
        #[source]
        source: InvalidMetadata,
    },
    /// It was written by a later version of this program.
    #[error("the record of the chain at {place} has format {found}, this program reads {FORMAT}")]
    Newer {
        /// Where.
        place: String,
        /// Its format.
        found: FormatVersion,
    },
    /// It is the record of another chain.
    #[error("the record at {place} is of chain {found}, not of {wanted}")]
    OtherChain {
        /// Where.
        place: String,
        /// The chain that was found.
        found: Uuid,
        /// The chain that was asked for.
        wanted: Uuid,
    },
    /// Somebody else committed meanwhile.
    #[error("the record of the chain at {place} was changed by somebody else during this run")]
    Conflict {
        /// Where.
        place: String,
    },
}

impl MetadataError {
    /// Returns what to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Conflict { .. } => Some("nothing of theirs is lost; run the same command again"),
            Self::Newer { .. } => Some("use the version of oc-mirror that wrote it, or a later one"),
            Self::Damaged { .. } | Self::OfV1 { .. } => {
                Some("restore it from a backup, or publish to a new prefix with a full imageset")
            }
            _ => None,
        }
    }
}

/// Reads of which chain a record is, and nothing else of it.
fn uid_of(bytes: &[u8], place: &str) -> Result<Uuid, MetadataError> {
    #[derive(serde::Deserialize)]
    struct Head {
        uid: Uuid,
    }
    let head: Head = serde_json::from_slice(bytes)
        .map_err(|source| MetadataError::Damaged { place: place.to_owned(), source })?;
    Ok(head.uid)
}

/// Reads a record, refusing formats that are newer before anything else of it is looked at.
fn parse(bytes: &[u8], place: &str, uid: Uuid) -> Result<Stored, MetadataError> {
    #[derive(serde::Deserialize)]
    struct Head {
        format: FormatVersion,
    }
    let damaged = |source| MetadataError::Damaged { place: place.to_owned(), source };
    let head: Head = serde_json::from_slice(bytes).map_err(damaged)?;
    if !head.format.is_readable_by(FORMAT) {
        return Err(MetadataError::Newer { place: place.to_owned(), found: head.format });
    }
    let chain: Chain = serde_json::from_slice(bytes).map_err(damaged)?;
    if chain.uid != uid {
        return Err(MetadataError::OtherChain { place: place.to_owned(), found: chain.uid, wanted: uid });
    }
    Ok(Stored { chain, revision: Digest::of(bytes) })
}

#[cfg(test)]
mod tests;
