//! Publishing what is said to be there already: [`Thorough`] makes a publisher ask for every part of an image, and put back what
//! is gone.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::ImageEntry;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::metadata::Chain;
use oc_mirror_model::reference::{Repository, Selector, Tag};
use oc_mirror_model::request::Destination as Place;

use super::from_disk::Destination;
use crate::content::{BlobStream, ContentError, ContentRead, ContentWrite, TagStore};
use crate::plan::deletion::current;
use crate::transfer::publish::Endpoint;

/// A target whose tags prove nothing: whether all that they lead to is there has to be asked.
struct Thorough {
    inner: Arc<dyn Endpoint>,
    /// Tags that have been given to other images since, with what they once pointed at.
    moved_on: BTreeSet<(Repository, Tag, Digest)>,
}

/// Returns the same target, to be asked for everything. Tags that a later imageset has moved stay where they are.
pub(super) fn thorough(destination: &Destination, chain: Option<&Chain>) -> Destination {
    let mut moved_on = BTreeSet::new();
    if let Some(chain) = chain {
        let current = current(chain);
        for image in chain.images().filter(|image| current.get(&image.destination) != Some(&&image.digest)) {
            let at = image.destination.clone();
            moved_on.insert((at.repository, at.tag, image.digest.clone()));
        }
    }
    let endpoint = Arc::new(Thorough { inner: destination.endpoint.clone(), moved_on });
    Destination { endpoint, ..destination.clone() }
}

/// Returns the images of an imageset that the target is still to have: what was deleted there since is not brought back.
pub(super) fn still_there(
    images: &[ImageEntry],
    chain: &Chain,
    destination: &Destination,
) -> Vec<ImageEntry> {
    let recorded: BTreeSet<(&Repository, &Tag, &Digest)> = chain
        .images()
        .map(|image| (&image.destination.repository, &image.destination.tag, &image.digest))
        .collect();
    let is_recorded = |image: &&ImageEntry| {
        let place = destination.place(&image.destination.repository);
        recorded.contains(&(&place, &image.destination.tag, &image.root.digest))
    };
    images.iter().filter(is_recorded).cloned().collect()
}

/// Returns the images of an imageset whose tags no later one has moved.
pub(super) fn not_moved(images: &[ImageEntry], chain: &Chain, destination: &Destination) -> Vec<ImageEntry> {
    let current = current(chain);
    let is_current = |image: &&ImageEntry| {
        let repository = destination.place(&image.destination.repository);
        let place = Place { repository, tag: image.destination.tag.clone() };
        current.get(&place) == Some(&&image.root.digest)
    };
    images.iter().filter(is_current).cloned().collect()
}

#[async_trait]
impl ContentRead for Thorough {
    fn name(&self) -> String {
        ContentRead::name(self.inner.as_ref())
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<RawManifest, ContentError> {
        self.inner.manifest(repository, selector).await
    }

    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        self.inner.blob(repository, blob, offset).await
    }

    async fn find(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<Option<Descriptor>, ContentError> {
        self.inner.find(repository, selector).await
    }

    fn found_at(&self, repository: &Repository, digest: &Digest) -> Option<String> {
        self.inner.found_at(repository, digest)
    }

    async fn list_referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, ContentError> {
        self.inner.list_referrers(repository, subject).await
    }
}

#[async_trait]
impl ContentWrite for Thorough {
    fn name(&self) -> String {
        ContentWrite::name(self.inner.as_ref())
    }

    async fn has_blob(&self, repository: &Repository, blob: &Descriptor) -> Result<bool, ContentError> {
        self.inner.has_blob(repository, blob).await
    }

    async fn has_manifest(&self, repository: &Repository, digest: &Digest) -> Result<bool, ContentError> {
        self.inner.has_manifest(repository, digest).await
    }

    async fn mount(
        &self,
        repository: &Repository,
        from: &Repository,
        blob: &Descriptor,
    ) -> Result<bool, ContentError> {
        self.inner.mount(repository, from, blob).await
    }

    async fn adopt(&self, repository: &Repository, blob: &Descriptor) -> Result<bool, ContentError> {
        self.inner.adopt(repository, blob).await
    }

    async fn put_blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        body: BlobStream,
    ) -> Result<(), ContentError> {
        self.inner.put_blob(repository, blob, body).await
    }

    async fn begun(&self, repository: &Repository, blob: &Descriptor) -> u64 {
        self.inner.begun(repository, blob).await
    }

    async fn put_rest(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
        body: BlobStream,
    ) -> Result<(), ContentError> {
        self.inner.put_rest(repository, blob, offset, body).await
    }

    async fn put_manifest(
        &self,
        repository: &Repository,
        manifest: &RawManifest,
    ) -> Result<(), ContentError> {
        self.inner.put_manifest(repository, manifest).await
    }
}

#[async_trait]
impl TagStore for Thorough {
    async fn resolve_tag(&self, _: &Repository, _: &Tag) -> Result<Option<Descriptor>, ContentError> {
        Ok(None)
    }

    async fn put_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
        manifest: &RawManifest,
    ) -> Result<(), ContentError> {
        let once = (repository.clone(), tag.clone(), manifest.digest().clone());
        match self.moved_on.contains(&once) {
            true => self.inner.put_manifest(repository, manifest).await,
            false => self.inner.put_tag(repository, tag, manifest).await,
        }
    }

    async fn list_tags(&self, repository: &Repository) -> Result<Vec<Tag>, ContentError> {
        self.inner.list_tags(repository).await
    }
}
