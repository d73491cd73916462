//! Imagesets as a registry that can be read: [`imagesets`].

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Repository, Selector};

use super::WorkflowError;
use super::imagesets::Imagesets;
use crate::archive::Reader;
use crate::content::{BlobStream, ContentError, ContentErrorKind, ContentRead};
use crate::serve::ReadOnly;

/// Returns the images of all imagesets in a directory, or of the one that a chunk file belongs to.
///
/// Images are those of the newest one; their content may lie in any of them. What lies in none is not served.
pub async fn imagesets(from: &Path) -> Result<ReadOnly, WorkflowError> {
    let readers = Imagesets::from(from).open().await?;
    let newest = readers.last().map(|r| r.index().images.clone()).unwrap_or_default();
    let images =
        newest.into_iter().map(|i| (i.destination.repository, Some(i.destination.tag), i.root.digest));
    let together: Arc<dyn ContentRead> = Arc::new(Together { readers });
    Ok(ReadOnly::new(together, images).await?)
}

/// Several imagesets of a chain as one.
struct Together {
    readers: Vec<Reader>,
}

impl Together {
    fn holder(&self, descriptor: &oc_mirror_model::Digest) -> Result<&Reader, ContentError> {
        self.readers
            .iter()
            .rev()
            .find(|r| r.holds(descriptor))
            .ok_or_else(|| ContentError::new(descriptor.to_string(), ContentErrorKind::NotFound))
    }
}

#[async_trait]
impl ContentRead for Together {
    fn name(&self) -> String {
        match self.readers.last() {
            Some(reader) => reader.name(),
            None => "no imageset".to_owned(),
        }
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<RawManifest, ContentError> {
        match selector {
            Selector::Digest(digest) => self.holder(digest)?.manifest(repository, selector).await,
            Selector::Tag(tag) => {
                let newest = self.readers.last().map(|r| &r.index().images);
                let wanted = newest
                    .into_iter()
                    .flatten()
                    .find(|i| i.destination.repository == *repository && i.destination.tag == *tag);
                let Some(image) = wanted else {
                    return Err(ContentError::new(format!("{repository}:{tag}"), ContentErrorKind::NotFound));
                };
                let selector = Selector::Digest(image.root.digest.clone());
                self.holder(&image.root.digest)?.manifest(repository, &selector).await
            }
        }
    }

    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        self.holder(&blob.digest)?.blob(repository, blob, offset).await
    }
}
