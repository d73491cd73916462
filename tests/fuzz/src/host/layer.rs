//! Layers that are read for what is in them: no path leaves the root, files have the size that was said, and limits hold.

use std::io::Write;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use oc_mirror_engine::content::filesystem::{Filesystem, FilesystemError, Kind, Limits, Walk};
use oc_mirror_engine::content::{BaseImage, BlobStream, ContentError, ContentErrorKind, ImageView};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::media_type;

use super::aid::wait;
use crate::target::{Input, Target};

/// Layers of an image: tar in gzip, zstd or neither, with all that strangers put into tar.
pub const LAYER: Target = Target { name: "layer", longest: 64 << 10, memory: 160 << 20, check };

/// Small enough that inputs of this size reach them.
const LIMITS: Limits = Limits {
    entries: 200,
    name_bytes: 32 << 10,
    path_bytes: 300,
    depth: 16,
    record_bytes: 4 << 10,
    output_bytes: 4 << 20,
    ratio: 200,
    ratio_from: 64 << 10,
};

/// An image whose layers are in memory.
#[derive(Clone)]
struct View {
    manifest: RawManifest,
    blobs: Vec<Bytes>,
}

#[async_trait]
impl ImageView for View {
    fn reference(&self) -> String {
        "fuzzed".to_owned()
    }

    fn manifest(&self) -> &RawManifest {
        &self.manifest
    }

    async fn child(&self, _: &Descriptor) -> Result<Arc<dyn ImageView>, ContentError> {
        Err(ContentError::new("child", ContentErrorKind::NotFound))
    }

    async fn config(&self) -> Result<Bytes, ContentError> {
        Ok(Bytes::from_static(b"{}"))
    }

    fn is_known(&self, _: &Digest) -> bool {
        false
    }

    async fn base_chain(&self) -> Result<Vec<BaseImage>, ContentError> {
        Ok(Vec::new())
    }

    async fn referrers(&self, _: Option<&str>) -> Result<Vec<Descriptor>, ContentError> {
        Ok(Vec::new())
    }

    async fn open_referrer(&self, _: &Digest) -> Result<Arc<dyn ImageView>, ContentError> {
        Err(ContentError::new("referrer", ContentErrorKind::NotFound))
    }

    async fn open_blob(&self, blob: &Descriptor) -> Result<BlobStream, ContentError> {
        let found = self.blobs.iter().find(|bytes| Digest::of(bytes) == blob.digest).cloned();
        let bytes = found.ok_or_else(|| ContentError::new("blob", ContentErrorKind::NotFound))?;
        // In pieces, as they come from a network.
        let pieces: Vec<_> = bytes.chunks(1000).map(|piece| Ok(bytes.slice_ref(piece))).collect();
        Ok(Box::pin(futures_util::stream::iter(pieces)))
    }
}

fn check(data: &[u8]) {
    let mut input = Input(data);
    let kind = input.byte();
    let split = input.number();
    let first = input.bytes(split);
    let layers = [packed(kind % 4, first), packed(kind / 4 % 4, input.0)];
    let blobs: Vec<Descriptor> =
        layers.iter().map(|l| Descriptor::of(media_type::OCI_LAYER_GZIP, l)).collect();
    let manifest = serde_json::json!({ "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": Descriptor::of(media_type::OCI_CONFIG, b"{}"), "layers": blobs });
    let manifest =
        RawManifest::parse(serde_json::to_vec(&manifest).expect("JSON"), None).expect("a manifest");
    let view = View { manifest, blobs: layers.into_iter().map(Bytes::from).collect() };
    wait(async {
        if let Ok(files) = Filesystem::index_within(&view, LIMITS).await {
            of_files(&files, &view).await;
        }
        if let Ok(mut walk) = Walk::start(Arc::new(view.clone()), "/").await {
            let mut count = 0;
            while let Ok(Some(walked)) = walk.next().await {
                is_path(&walked.entry.path, 4096, 256);
                if let Some(content) = walked.content {
                    let _ = content.try_fold(0, |sum, piece| async move { Ok(sum + piece.len()) }).await;
                }
                count += 1;
                // Its limits are those of real images, which are too many for one input.
                if count > 500 {
                    break;
                }
            }
        }
    });
}

/// Compresses in one of several ways, or takes the bytes for what is compressed already.
fn packed(how: u8, tar: &[u8]) -> Vec<u8> {
    match how {
        0 | 1 => tar.to_vec(),
        2 => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(tar).expect("in memory");
            gzip.finish().expect("in memory")
        }
        _ => zstd::stream::encode_all(tar, 1).expect("in memory"),
    }
}

async fn of_files(files: &Filesystem, view: &View) {
    let (mut count, mut names) = (0, 0);
    let mut opened = 0;
    for entry in files.list("") {
        count += 1;
        names += entry.path.len();
        is_path(&entry.path, LIMITS.path_bytes, LIMITS.depth);
        assert!(entry.layer < 2 && entry.mode <= 0o7777, "{entry:?}");
        assert!(files.entry(&entry.path).is_some(), "{entry:?} is listed and not there");
        match files.stat(&entry.path) {
            Ok(found) => assert_ne!(found.kind, Kind::Symlink, "{found:?}"),
            Err(error) => assert!(matches!(error, FilesystemError::NotFound { .. }), "{error}"),
        }
        if entry.kind != Kind::File || opened > 20 {
            continue;
        }
        opened += 1;
        if let Ok(stream) = files.open(view, &entry.path).await {
            let read = stream.try_fold(0, |sum, piece| async move { Ok(sum + piece.len() as u64) }).await;
            if let Ok(len) = read {
                assert_eq!(len, entry.size, "{entry:?}");
            }
        }
    }
    // Directories that are only implied by paths count as the names that they are part of.
    assert!(count <= LIMITS.entries * LIMITS.depth && names <= LIMITS.name_bytes * LIMITS.depth);
}

fn is_path(path: &str, longest: usize, deepest: usize) {
    assert!(path.len() <= longest && path.split('/').count() <= deepest, "{path}");
    assert!(path.is_empty() || path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{path}");
}
