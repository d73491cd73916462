//! Images as plugins see them: [`Images`] resolves and opens, [`ImageView`] is lazy, and nothing is fetched twice.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Reference, Source};
use oc_mirror_model::signer::{Signer, Trust};

use super::{BlobStream, ContentError};

/// A reference with what it points at now.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// What was asked for.
    pub source: Source,
    /// What it points at.
    pub descriptor: Descriptor,
}

/// The images of a run, from whichever place the run reads: registries, layouts, an imageset.
///
/// What has been fetched once is kept for the whole run, so that all plugins see the same.
#[async_trait]
pub trait Images: Send + Sync {
    /// Finds out what a reference points at.
    async fn resolve(&self, source: &Source) -> Result<Resolved, ContentError>;

    /// Lists tags of a repository, in the registry's order, after `after` and at most `limit`.
    async fn tags(
        &self,
        repository: &Reference,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, ContentError>;

    /// Opens an image: its manifest or index is fetched, nothing else.
    async fn open(&self, source: &Source) -> Result<Arc<dyn ImageView>, ContentError>;

    /// Says that blobs which a layout on disk does not have are those of another image, so that an image which is
    /// built on it need not copy them.
    async fn extend(&self, layout: &Path, base: &Source) -> Result<(), ContentError>;
}

/// An image that this one was built on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseImage {
    /// Its name, if one is known.
    pub reference: Option<String>,
    /// Its digest, if one is known.
    pub digest: Option<Digest>,
    /// How it was found: `annotation` or `layer-prefix`.
    pub evidence: &'static str,
    /// How many of its layers are shared.
    pub shared_layers: u32,
}

/// No signature of an image counts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no signature of `{image}` counts: {}", reasons.join("; "))]
pub struct Unverified {
    /// The image.
    pub image: String,
    /// Which kind of reason.
    pub kind: UnverifiedKind,
    /// What is wrong with each signature that there is, or why there is none; never empty.
    pub reasons: Vec<String>,
}

/// The kinds of reasons for which no signature of an image counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnverifiedKind {
    /// There is none.
    Missing,
    /// There are some, and none of them counts.
    NotAccepted,
    /// Those whose signatures would count cannot be made sense of.
    Invalid,
    /// The signatures cannot be read; trying again may help.
    Unavailable,
}

/// One manifest or index, with everything that hangs below it, fetched when asked for.
#[async_trait]
pub trait ImageView: Send + Sync {
    /// Returns the reference it was opened by.
    fn reference(&self) -> String;

    /// Returns the manifest.
    fn manifest(&self) -> &RawManifest;

    /// Opens a manifest that this index names.
    async fn child(&self, child: &Descriptor) -> Result<Arc<dyn ImageView>, ContentError>;

    /// Reads the configuration blob: at most 8 MiB, checked against its digest.
    async fn config(&self) -> Result<Bytes, ContentError>;

    /// Answers whether the destination or an earlier sequence has this blob.
    fn is_known(&self, digest: &Digest) -> bool;

    /// Finds out what the image was built on, from annotations and from layers shared with images of this run.
    async fn base_chain(&self) -> Result<Vec<BaseImage>, ContentError>;

    /// Lists manifests that refer to this one.
    async fn referrers(&self, artifact_type: Option<&str>) -> Result<Vec<Descriptor>, ContentError>;

    /// Opens one of them.
    async fn open_referrer(&self, digest: &Digest) -> Result<Arc<dyn ImageView>, ContentError>;

    /// Returns the signatures that this run demanded of the image, and that hold.
    fn signers(&self) -> Vec<Signer> {
        Vec::new()
    }

    /// Looks for signatures beside the image, and returns those that count: at least one. Where an image has no place, nothing
    /// is beside it.
    async fn verify(&self, trust: &Trust) -> Result<Vec<Signer>, Unverified> {
        let _ = trust;
        let reasons = vec!["there is none".to_owned()];
        Err(Unverified { image: self.reference(), kind: UnverifiedKind::Missing, reasons })
    }

    /// Opens a blob that the manifest names. The stream fails at its end if the bytes are wrong.
    async fn open_blob(&self, blob: &Descriptor) -> Result<BlobStream, ContentError>;

    /// Opens a blob that will be needed again soon: a run that can keep it near does.
    async fn open_kept(&self, blob: &Descriptor) -> Result<BlobStream, ContentError> {
        self.open_blob(blob).await
    }
}
