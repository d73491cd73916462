//! A directory as a registry's content: [`Backend`] for [`Layout`].

use async_trait::async_trait;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Repository, Selector, Tag};

use super::Backend;
use crate::content::{BlobStream, ContentError, ContentRead, TagStore};
use crate::layout::Layout;

#[async_trait]
impl Backend for Layout {
    fn name(&self) -> String {
        ContentRead::name(self)
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<Option<RawManifest>, ContentError> {
        let digest = match selector {
            Selector::Digest(digest) => digest.clone(),
            Selector::Tag(tag) => match self.resolve_tag(repository, tag).await? {
                Some(descriptor) => descriptor.digest,
                None => return Ok(None),
            },
        };
        self.repository_manifest(repository, &digest).await
    }

    async fn blob_size(&self, repository: &Repository, digest: &Digest) -> Result<Option<u64>, ContentError> {
        Layout::blob_size(self, repository, digest).await
    }

    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        ContentRead::blob(self, repository, blob, offset).await
    }

    async fn tags(&self, repository: &Repository) -> Result<Option<Vec<Tag>>, ContentError> {
        Layout::tags(self, repository).await
    }

    async fn repositories(&self) -> Result<Vec<Repository>, ContentError> {
        Ok(Layout::repositories(self).await?.into_iter().collect())
    }

    async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, ContentError> {
        Layout::referrers(self, repository, subject).await
    }

    fn directory(&self) -> Option<&Layout> {
        Some(self)
    }
}
