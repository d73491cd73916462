//! For tests: an [`ImageView`] of any content, and [`read`].

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Repository, Selector};

use super::verify::{collect, verified};
use super::{BaseImage, BlobStream, ContentError, ContentRead, ImageView};

/// One manifest of a place.
pub(crate) struct View {
    content: Arc<dyn ContentRead>,
    repository: Repository,
    manifest: RawManifest,
}

impl View {
    /// Opens an image.
    pub(crate) async fn open(
        content: Arc<dyn ContentRead>,
        repository: &str,
        digest: &str,
    ) -> Result<Self, ContentError> {
        let repository: Repository = repository.parse().expect("a repository");
        let digest: Digest = digest.parse().expect("a digest");
        let manifest = content.manifest(&repository, &Selector::Digest(digest)).await?;
        Ok(Self { content, repository, manifest })
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
        let digest = child.digest.to_string();
        Ok(Arc::new(Self::open(self.content.clone(), self.repository.as_str(), &digest).await?))
    }

    async fn config(&self) -> Result<Bytes, ContentError> {
        let config = &self.manifest.image().expect("an image").config;
        collect(self.open_blob(config).await?, config).await
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

    async fn open_referrer(&self, digest: &Digest) -> Result<Arc<dyn ImageView>, ContentError> {
        let digest = digest.to_string();
        Ok(Arc::new(Self::open(self.content.clone(), self.repository.as_str(), &digest).await?))
    }

    async fn open_blob(&self, blob: &Descriptor) -> Result<BlobStream, ContentError> {
        let stream = self.content.blob(&self.repository, blob, 0).await?;
        Ok(verified(stream, blob, format!("{}@{}", self.repository, blob.digest)))
    }
}

/// Reads a stream to its end.
pub(crate) async fn read(mut stream: BlobStream) -> Result<Vec<u8>, ContentError> {
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}
