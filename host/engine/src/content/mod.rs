//! Where content comes from and goes to: the traits [`ContentRead`], [`ContentWrite`] and [`TagStore`].
//!
//! A registry, an image layout, an imageset and plain memory implement them, so that every direction of
//! mirroring is one code path. This room knows nothing of HTTP or of where anything is stored. What is inside of
//! images is read by [`filesystem`] and made by [`build`]; nothing else here knows of tar. [`documents`] cuts what is in
//! files.

use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Repository, Selector, Tag};

pub mod build;
pub mod documents;
mod error;
pub mod file;
pub mod filesystem;
mod image;
pub mod memory;
pub mod positioned;
#[cfg(test)]
pub(crate) mod testing;
pub mod verify;

pub use error::{ContentError, ContentErrorKind};
pub use image::{BaseImage, ImageView, Images, Resolved, Unverified, UnverifiedKind};

/// The bytes of a blob, piece by piece. A piece is at most a few hundred KiB, whatever the size of the blob.
pub type BlobStream = Pin<Box<dyn Stream<Item = Result<Bytes, ContentError>> + Send>>;

/// The longest piece that a [`BlobStream`] of ours yields.
pub const CHUNK: usize = 256 << 10;

/// Content can be read from here.
#[async_trait]
pub trait ContentRead: Send + Sync {
    /// Returns a name for messages: `registry quay.io`, `imageset 2`.
    fn name(&self) -> String;

    /// Reads a manifest. Its bytes have been checked against the digest, if it was asked for by one.
    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<RawManifest, ContentError>;

    /// Opens a blob from `offset` on. The bytes are **not** checked here: see [`verify`].
    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError>;

    /// Finds out what a tag or digest points at; nothing if there is no such manifest or repository.
    async fn find(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<Option<Descriptor>, ContentError> {
        match self.manifest(repository, selector).await {
            Ok(manifest) => Ok(Some(manifest.descriptor().clone())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns where a manifest was read that lies elsewhere than its name says: in a mirror. Nothing if it was not read, or
    /// came from the place itself.
    fn found_at(&self, _repository: &Repository, _digest: &Digest) -> Option<String> {
        None
    }

    /// Answers whether reading a blob takes nothing from any network, as far as that is known without looking for long.
    fn is_at_hand(&self, _blob: &Descriptor) -> bool {
        false
    }

    /// Lists tags of a repository, at most so many; nothing where that takes more than asking one place.
    async fn some_tags(
        &self,
        _repository: &Repository,
        _limit: usize,
    ) -> Result<Option<Vec<Tag>>, ContentError> {
        Ok(None)
    }

    /// Lists the manifests that have this one as their subject; nothing if no such lists are kept here. A list that cannot
    /// be had is an error.
    async fn list_referrers(
        &self,
        _repository: &Repository,
        _subject: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, ContentError> {
        Ok(None)
    }
}

/// Content can be put here.
#[async_trait]
pub trait ContentWrite: Send + Sync {
    /// Returns a name for messages.
    fn name(&self) -> String;

    /// Answers whether the repository has the blob.
    async fn has_blob(&self, repository: &Repository, blob: &Descriptor) -> Result<bool, ContentError>;

    /// Answers whether the repository has the manifest.
    async fn has_manifest(&self, repository: &Repository, digest: &Digest) -> Result<bool, ContentError>;

    /// Makes a blob of another repository appear in this one without moving bytes. `false`: it must be put.
    async fn mount(
        &self,
        repository: &Repository,
        from: &Repository,
        blob: &Descriptor,
    ) -> Result<bool, ContentError>;

    /// Makes a blob that is anywhere in this place appear in the repository, where that takes no more than asking.
    /// `false`: it must be put.
    async fn adopt(&self, _repository: &Repository, _blob: &Descriptor) -> Result<bool, ContentError> {
        Ok(false)
    }

    /// Puts a blob. The stream ends with an error if the bytes turn out wrong; then nothing may appear.
    async fn put_blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        body: BlobStream,
    ) -> Result<(), ContentError>;

    /// Returns how many bytes of a blob are here from an attempt that was cut off, for [`Self::put_rest`] to go on from.
    async fn begun(&self, _repository: &Repository, _blob: &Descriptor) -> u64 {
        0
    }

    /// Puts what is left of a blob from `offset` on, which [`Self::begun`] has said. The bytes need not have been checked:
    /// that takes what is here, too.
    async fn put_rest(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        _offset: u64,
        body: BlobStream,
    ) -> Result<(), ContentError> {
        self.put_blob(repository, blob, body).await
    }

    /// Puts a manifest under its digest. What it names must be there already.
    async fn put_manifest(&self, repository: &Repository, manifest: &RawManifest)
    -> Result<(), ContentError>;
}

/// Names can be given to manifests here.
#[async_trait]
pub trait TagStore: Send + Sync {
    /// Returns what a tag points at; nothing if there is no such tag or repository.
    async fn resolve_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<Option<Descriptor>, ContentError>;

    /// Makes a tag point at a manifest. This may put the manifest again.
    async fn put_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
        manifest: &RawManifest,
    ) -> Result<(), ContentError>;

    /// Lists the tags of a repository, in order; none if there is no such repository.
    async fn list_tags(&self, repository: &Repository) -> Result<Vec<Tag>, ContentError>;
}

/// Content can be deleted here.
#[async_trait]
pub trait ContentDelete: Send + Sync {
    /// Answers whether manifests of a repository can be deleted. Nothing is.
    async fn can_delete(&self, repository: &Repository) -> Result<bool, ContentError>;

    /// Deletes a manifest, and with it every tag that points at it. `false`: it is not there.
    async fn delete_manifest(&self, repository: &Repository, digest: &Digest) -> Result<bool, ContentError>;

    /// Removes a tag.
    async fn delete_tag(&self, repository: &Repository, tag: &Tag) -> Result<TagRemoval, ContentError>;
}

/// What became of a tag that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagRemoval {
    /// It is gone.
    Removed,
    /// There is no such tag.
    NotThere,
    /// Tags cannot be removed here, only manifests with all their tags.
    Unsupported,
}
