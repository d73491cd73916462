//! [`ScratchLayout`]: the smallest OCI image layout that a generated image can be put into, below the run's scratch
//! directory. It is written once and read by the engine; nothing else is ever looked for in it.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use futures_util::StreamExt;
use oc_mirror_engine::content::verify::verified;
use oc_mirror_engine::content::{BlobStream, ContentError, ContentWrite};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::media_type;
use oc_mirror_model::reference::Repository;
use serde_json::json;
use tokio::io::AsyncWriteExt;

/// A layout that is being filled.
pub(crate) struct ScratchLayout {
    dir: PathBuf,
}

impl ScratchLayout {
    /// Makes an empty layout in a new directory.
    pub(crate) async fn create(dir: &Path) -> std::io::Result<Self> {
        tokio::fs::create_dir_all(dir.join("blobs/sha256")).await?;
        tokio::fs::create_dir_all(dir.join("blobs/sha512")).await?;
        tokio::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).await?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Names the one image of the layout.
    pub(crate) async fn finish(&self, image: &RawManifest) -> std::io::Result<()> {
        let index = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_INDEX,
            "manifests": [image.descriptor()],
        });
        tokio::fs::write(self.dir.join("index.json"), index.to_string()).await
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(digest.layout_path())
    }

    async fn has(&self, digest: &Digest) -> bool {
        tokio::fs::try_exists(self.path(digest)).await.unwrap_or(false)
    }

    async fn write(&self, path: &Path, mut body: BlobStream) -> Result<(), ContentError> {
        let disk = |error| ContentError::disk(path.display().to_string(), "cannot be written", error);
        let partial = path.with_extension("partial");
        let mut file = tokio::fs::File::create(&partial).await.map_err(disk)?;
        while let Some(piece) = body.next().await {
            file.write_all(&piece?).await.map_err(disk)?;
        }
        file.flush().await.map_err(disk)?;
        tokio::fs::rename(&partial, path).await.map_err(disk)
    }
}

#[async_trait]
impl ContentWrite for ScratchLayout {
    fn name(&self) -> String {
        "generated image".to_owned()
    }

    async fn has_blob(&self, _: &Repository, blob: &Descriptor) -> Result<bool, ContentError> {
        Ok(self.has(&blob.digest).await)
    }

    async fn has_manifest(&self, _: &Repository, digest: &Digest) -> Result<bool, ContentError> {
        Ok(self.has(digest).await)
    }

    async fn mount(&self, _: &Repository, _: &Repository, blob: &Descriptor) -> Result<bool, ContentError> {
        Ok(self.has(&blob.digest).await)
    }

    async fn put_blob(
        &self,
        _: &Repository,
        blob: &Descriptor,
        body: BlobStream,
    ) -> Result<(), ContentError> {
        self.write(&self.path(&blob.digest), verified(body, blob, blob.digest.to_string())).await
    }

    async fn put_manifest(&self, _: &Repository, manifest: &RawManifest) -> Result<(), ContentError> {
        let bytes = manifest.bytes().to_vec();
        let body = Box::pin(futures_util::stream::iter([Ok(bytes.into())]));
        self.write(&self.path(manifest.digest()), body).await
    }
}
