//! [`Together`]: what an archive has, what was built of it, and what the target has from earlier ones, as one place to read from.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::ImageEntry;
use oc_mirror_model::manifest::{Descriptor, Manifest, RawManifest};
use oc_mirror_model::reference::{Repository, Selector};

use super::built::Built;
use super::offer::{Elsewhere, Offer};
use crate::content::verify::{collect, verified};
use crate::content::{BaseImage, BlobStream, ContentError, ContentErrorKind, ContentRead, ImageView};
use crate::predecessors::{Contents, Wanted};
use crate::transfer::publish::{Endpoint, Place, PublishImage, Supply};
use crate::workflow::from_disk::Destination;

/// Indexes may name indexes; real ones go two deep.
const MAX_DEPTH: usize = 8;
/// The most manifests below one image.
const MAX_MANIFESTS: usize = 10_000;
/// The largest configuration of an image that is built on.
const MAX_CONFIG: u64 = 8 << 20;

/// Content of an archive, with what is at the target. Clones share it.
#[derive(Clone)]
pub(super) struct Together {
    contents: Contents,
    built: Arc<Built>,
    target: Arc<dyn Endpoint>,
    destination: Arc<Destination>,
    elsewhere: Elsewhere,
}

/// What an image consists of.
#[derive(Default)]
struct Parts {
    seen: BTreeSet<Digest>,
    manifests: Vec<Descriptor>,
    blobs: Vec<Descriptor>,
    sparse: bool,
}

impl Together {
    pub(super) fn new(offer: &Offer, built: Arc<Built>, destination: &Destination) -> Self {
        Self {
            contents: offer.contents().clone(),
            built,
            target: destination.endpoint.clone(),
            elsewhere: offer.elsewhere(destination.target.prefix.as_ref()),
            destination: Arc::new(destination.clone()),
        }
    }

    /// Answers whether content need not come from the target.
    pub(super) fn carries(&self, digest: &Digest) -> bool {
        self.built.holds(digest) || self.contents.holds(digest)
    }

    /// Returns where a repository is at the target.
    pub(super) fn place(&self, path: &Repository) -> Repository {
        self.destination.place(path)
    }

    /// Returns the repositories of the target that should have something which is not carried.
    pub(super) fn places(&self, digest: &Digest) -> impl Iterator<Item = Repository> {
        self.elsewhere.get(digest).into_iter().flatten().map(|path| self.destination.place(path))
    }

    /// Finds out all that an image consists of, and that it can be had.
    pub(super) async fn resolve(&self, offer: &Offer, wanted: &Wanted) -> Result<ImageEntry, ContentError> {
        let request = &wanted.request;
        let destination = request.destination(&wanted.root).map_err(|e| {
            ContentError::new(request.origin.clone(), ContentErrorKind::Invalid(e.to_string()))
        })?;
        let path = &destination.repository;
        let mut parts = Parts::default();
        let root = self.visit(offer, path, &wanted.root, 0, &mut parts).await?;
        let place = self.destination.place(path);
        for blob in parts.blobs.iter().filter(|blob| !self.carries(&blob.digest)) {
            self.expect(&place, blob).await?;
        }
        Ok(ImageEntry {
            plugin: offer.maker().to_owned(),
            request: request.clone(),
            destination,
            root,
            manifests: parts.manifests.into(),
            blobs: parts.blobs.into(),
            sparse: parts.sparse,
        })
    }

    async fn visit(
        &self,
        offer: &Offer,
        path: &Repository,
        digest: &Digest,
        depth: usize,
        parts: &mut Parts,
    ) -> Result<Descriptor, ContentError> {
        if depth > MAX_DEPTH || parts.seen.len() > MAX_MANIFESTS {
            let reason =
                format!("indexes are deeper than {MAX_DEPTH} or name more than {MAX_MANIFESTS} manifests");
            return Err(ContentError::new(format!("{path}@{digest}"), ContentErrorKind::Invalid(reason)));
        }
        let place = self.destination.place(path);
        let manifest = self.manifest(&place, &Selector::Digest(digest.clone())).await?;
        let descriptor = manifest.descriptor().clone();
        if !parts.seen.insert(digest.clone()) {
            return Ok(descriptor);
        }
        match manifest.view() {
            Manifest::Image(image) => {
                for blob in image.blobs() {
                    if parts.seen.insert(blob.digest.clone()) {
                        parts.blobs.push(blob.clone());
                    }
                }
            }
            Manifest::Index(index) => {
                for child in &index.manifests {
                    if offer.had(path, &child.digest) {
                        Box::pin(self.visit(offer, path, &child.digest, depth + 1, parts)).await?;
                    } else {
                        parts.sparse = true;
                    }
                }
            }
        }
        parts.manifests.push(descriptor.clone());
        Ok(descriptor)
    }

    /// Fails if a blob is nowhere at the target.
    async fn expect(&self, place: &Repository, blob: &Descriptor) -> Result<(), ContentError> {
        if self.target.has_blob(place, blob).await? {
            return Ok(());
        }
        for other in self.places(&blob.digest) {
            if self.target.has_blob(&other, blob).await? {
                return Ok(());
            }
        }
        Err(self.lacks(&blob.digest))
    }

    fn lacks(&self, digest: &Digest) -> ContentError {
        let target = ContentRead::name(self.target.as_ref());
        let reason = format!("it is neither in the archive nor at {target}");
        ContentError::new(digest.to_string(), ContentErrorKind::Lost(reason))
    }
}

#[async_trait]
impl ContentRead for Together {
    fn name(&self) -> String {
        self.contents.name()
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<RawManifest, ContentError> {
        let Selector::Digest(digest) = selector else {
            return self.target.manifest(repository, selector).await;
        };
        if self.built.holds(digest) {
            return self.built.manifest(repository, selector).await;
        }
        if self.contents.holds(digest) {
            return self.contents.manifest(repository, selector).await;
        }
        for place in std::iter::once(repository.clone()).chain(self.places(digest)) {
            match self.target.manifest(&place, selector).await {
                Err(error) if error.is_not_found() => {}
                found => return found,
            }
        }
        Err(self.lacks(digest))
    }

    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        if self.built.holds(&blob.digest) {
            return self.built.blob(repository, blob, offset).await;
        }
        if self.contents.holds(&blob.digest) {
            return self.contents.blob(repository, blob, offset).await;
        }
        for place in std::iter::once(repository.clone()).chain(self.places(&blob.digest)) {
            match self.target.blob(&place, blob, offset).await {
                Err(error) if error.is_not_found() => {}
                found => return found,
            }
        }
        Err(self.lacks(&blob.digest))
    }
}

/// Supplies what is carried. What is not, a publisher finds at the target.
impl Supply for Together {
    fn supply(&self, image: &PublishImage, content: &Descriptor) -> Option<Place> {
        let reader: Arc<dyn ContentRead> = Arc::new(self.clone());
        self.carries(&content.digest).then(|| (reader, image.repository.clone()))
    }

    fn is_steady(&self) -> bool {
        true
    }
}

/// An image to build on.
#[derive(Clone)]
pub(super) struct View {
    pub(super) from: Together,
    /// Where it is at the target, if it is not carried.
    pub(super) repository: Repository,
    pub(super) manifest: RawManifest,
}

impl View {
    fn missing(&self) -> ContentError {
        ContentError::new(self.reference(), ContentErrorKind::NotFound)
    }
}

#[async_trait]
impl ImageView for View {
    fn reference(&self) -> String {
        format!("{}@{}", self.repository, self.manifest.digest())
    }

    fn manifest(&self) -> &RawManifest {
        &self.manifest
    }

    async fn child(&self, child: &Descriptor) -> Result<Arc<dyn ImageView>, ContentError> {
        let selector = Selector::Digest(child.digest.clone());
        let manifest = self.from.manifest(&self.repository, &selector).await?;
        Ok(Arc::new(Self { manifest, ..self.clone() }))
    }

    async fn config(&self) -> Result<Bytes, ContentError> {
        let image = self.manifest.image().ok_or_else(|| self.missing())?;
        if image.config.size > MAX_CONFIG {
            let reason = "its configuration is too large to be one".to_owned();
            return Err(ContentError::new(self.reference(), ContentErrorKind::Invalid(reason)));
        }
        collect(self.open_blob(&image.config).await?, &image.config).await
    }

    fn is_known(&self, _digest: &Digest) -> bool {
        false
    }

    async fn base_chain(&self) -> Result<Vec<BaseImage>, ContentError> {
        Ok(Vec::new())
    }

    async fn referrers(&self, _artifact_type: Option<&str>) -> Result<Vec<Descriptor>, ContentError> {
        Ok(Vec::new())
    }

    async fn open_referrer(&self, _digest: &Digest) -> Result<Arc<dyn ImageView>, ContentError> {
        Err(self.missing())
    }

    async fn open_blob(&self, blob: &Descriptor) -> Result<BlobStream, ContentError> {
        let stream = self.from.blob(&self.repository, blob, 0).await?;
        Ok(verified(stream, blob, blob.digest.to_string()))
    }
}
