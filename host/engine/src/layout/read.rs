//! Reading a layout as one pool of content: [`ContentRead`] for [`Layout`]. Repositories play no part here.

use async_trait::async_trait;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Repository, Selector};

use super::{Layout, as_referrer, blocking, subject_of};
use crate::content::{BlobStream, ContentError, ContentErrorKind, ContentRead, file};

#[async_trait]
impl ContentRead for Layout {
    fn name(&self) -> String {
        format!("image layout {}", self.path().display())
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<RawManifest, ContentError> {
        let descriptor = match selector {
            Selector::Digest(digest) => {
                let index = self.index();
                index.entries().iter().find(|e| e.descriptor.digest == *digest).map(|e| e.descriptor.clone())
            }
            Selector::Tag(tag) => {
                let found = self.index().tag(repository, tag).cloned();
                Some(match found {
                    Some(descriptor) => descriptor,
                    None => self.resolve(Some(tag.as_str()), None).await?,
                })
            }
        };
        let digest = match (selector, &descriptor) {
            (Selector::Tag(_), Some(descriptor)) => descriptor.digest.clone(),
            (Selector::Digest(digest), _) => digest.clone(),
            (Selector::Tag(_), None) => unreachable!("a tag was resolved above"),
        };
        self.load_manifest(&digest, descriptor).await
    }

    async fn blob(
        &self,
        _repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        let inner = self.inner.clone();
        let blob = blob.clone();
        blocking(move || {
            let subject = inner.subject(&blob.digest);
            let Some(blob_file) = inner.blob_file(&blob.digest)? else {
                return Err(ContentError::new(subject, ContentErrorKind::NotFound));
            };
            let metadata = blob_file
                .metadata()
                .map_err(|e| ContentError::disk(subject.clone(), "cannot read the blob's size", e))?;
            if metadata.len() != blob.size {
                let kind = ContentErrorKind::WrongSize { expected: blob.size, actual: metadata.len() };
                return Err(ContentError::new(subject, kind));
            }
            Ok(file::stream(blob_file, offset, blob.size, subject))
        })
        .await
    }

    fn is_at_hand(&self, blob: &Descriptor) -> bool {
        self.inner.blob_file(&blob.digest).is_ok_and(|file| file.is_some())
    }

    async fn find(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<Option<Descriptor>, ContentError> {
        let found = match selector {
            Selector::Tag(tag) => {
                let index = self.index();
                let named = || index.entries().iter().find(|e| e.is_named(tag.as_str()));
                return Ok(index.tag(repository, tag).or_else(|| named().map(|e| &e.descriptor)).cloned());
            }
            Selector::Digest(digest) => self.load_manifest(digest, None).await,
        };
        match found {
            Ok(manifest) => Ok(Some(manifest.descriptor().clone())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Other tools keep no list, so the images of `index.json` are looked through.
    async fn list_referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, ContentError> {
        let mut found = self.referrers(repository, subject).await?;
        for (_, descriptor) in self.images() {
            if !descriptor.is_manifest() || found.iter().any(|known| known.digest == descriptor.digest) {
                continue;
            }
            let manifest = match self.load_manifest(&descriptor.digest.clone(), Some(descriptor)).await {
                Ok(manifest) => manifest,
                // The layout of an imageset names what an earlier one carried.
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error),
            };
            if subject_of(&manifest).is_some_and(|s| s.digest == *subject) {
                found.push(as_referrer(&manifest));
            }
        }
        Ok(Some(found))
    }
}
