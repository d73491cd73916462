//! Reading a layout as one pool of content: [`ContentRead`] for [`Layout`]. Repositories play no part here.

use async_trait::async_trait;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Repository, Selector};

use super::{Layout, blocking};
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
}
