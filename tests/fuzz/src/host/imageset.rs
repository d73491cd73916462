//! Imagesets: whatever a chunk holds, what is read out of it hashes to what the index says, and lies where names of the format may.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use oc_mirror_engine::archive::{
    ImagesetChunks, Reader, TrustedKeys, Writer, check as check_bytes, layout_documents,
};
use oc_mirror_engine::content::positioned::ReadAt;
use oc_mirror_engine::content::verify::{collect, verified};
use oc_mirror_engine::content::{BlobStream, ContentError, ContentErrorKind, ContentRead, ContentWrite};
use oc_mirror_engine::plan::layout::{complete, file, order};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::{ImageEntry, Index};
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Repository, Selector};
use oc_mirror_model::{media_type, tar};

use super::aid::{scratch, wait};
use crate::target::{Input, Target};

/// Chunks of an imageset: as they come, with an index that is made up, or good ones with some bytes changed.
pub const IMAGESET: Target = Target { name: "imageset", longest: 64 << 10, memory: 64 << 20, check };

/// A chunk that is in memory.
struct Held(Bytes);

#[async_trait]
impl ReadAt for Held {
    fn name(&self) -> String {
        "held".to_owned()
    }

    async fn size(&self) -> Result<u64, ContentError> {
        Ok(self.0.len() as u64)
    }

    fn is_at_hand(&self) -> bool {
        true
    }

    async fn stream(&self, offset: u64, len: u64) -> Result<BlobStream, ContentError> {
        let end = offset.checked_add(len).filter(|end| *end <= self.0.len() as u64);
        let Some(end) = end else {
            let kind = ContentErrorKind::WrongSize { expected: len, actual: self.0.len() as u64 };
            return Err(ContentError::new("held", kind));
        };
        let piece = self.0.slice(offset as usize..end as usize);
        Ok(Box::pin(futures_util::stream::once(async move { Ok(piece) })))
    }
}

fn check(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() % 3 {
        0 => {
            let mut chunks = Vec::new();
            for _ in 0..input.byte() % 3 {
                let len = input.number();
                chunks.push(input.bytes(len).to_vec());
            }
            chunks.push(input.0.to_vec());
            read(chunks, None);
        }
        1 => {
            let len = input.number();
            let index = with_checksum(input.bytes(len));
            read(vec![chunk_of(&index, input.0)], None);
        }
        _ => {
            let mut chunks = sample().clone();
            let good = chunks.clone();
            while !input.is_empty() {
                let chunk = usize::from(input.byte()) % chunks.len();
                let at = input.number() % chunks[chunk].len();
                chunks[chunk][at] = input.byte();
            }
            let changed: Vec<usize> = (0..chunks.len()).filter(|n| chunks[*n] != good[*n]).collect();
            read(chunks, Some(&changed));
        }
    }
}

/// Reads everything. `changed` says which chunks of a good imageset are not as they were, where it is one.
fn read(chunks: Vec<Vec<u8>>, changed: Option<&[usize]>) {
    let held = |bytes: Vec<u8>| -> Arc<dyn ReadAt> { Arc::new(Held(bytes.into())) };
    let chunks: BTreeMap<u32, Arc<dyn ReadAt>> = (0..).zip(chunks.into_iter().map(held)).collect();
    let set = ImagesetChunks { place: Path::new("/held").to_owned(), sequence: 1, chunks };
    wait(async {
        let trusted = TrustedKeys::default();
        let opened = Reader::open_chunks(&set).await;
        let checked = check_bytes(&set, &trusted, Arc::new(|_| ())).await;
        match changed {
            Some([]) => assert_eq!(checked.expect("a good imageset").damage, []),
            // Every byte counts.
            Some(_) => assert!(checked.is_err() || checked.is_ok_and(|found| !found.damage.is_empty())),
            None => {}
        }
        if let Ok(reader) = opened {
            everything(&reader).await;
        }
    });
}

async fn everything(reader: &Reader) {
    let index = reader.index();
    for entry in reader.files() {
        let path = entry.path().into_owned();
        assert!(tar::is_entry_path(&path) && !path.contains("..") && !path.starts_with('/'), "{path}");
        if let Ok(bytes) = reader.file(&path).await {
            assert_eq!(bytes.len() as u64, entry.size, "{path}");
            assert_eq!(Digest::of_with(entry.digest.algorithm(), &bytes), entry.digest, "{path}");
        }
    }
    for image in index.images.iter().take(64) {
        let repository = &image.destination.repository;
        for manifest in image.manifests.iter().take(64) {
            let selector = Selector::Digest(manifest.digest.clone());
            if let Ok(found) = reader.manifest(repository, &selector).await {
                assert_eq!(Digest::of_with(manifest.digest.algorithm(), found.bytes()), manifest.digest);
            }
        }
        for blob in image.blobs.iter().take(64) {
            let Ok(stream) = reader.blob(repository, blob, 0).await else { continue };
            if let Ok(bytes) = collect(verified(stream, blob, "blob"), blob).await {
                assert_eq!(Digest::of_with(blob.digest.algorithm(), &bytes), blob.digest);
            }
        }
    }
}

/// Puts the checksum in front of what follows the brace that an index begins with.
fn with_checksum(index: &[u8]) -> Vec<u8> {
    let Some(rest) = index.strip_prefix(b"{") else { return index.to_vec() };
    let of = |digits: &str| [b"{\"checksum\":\"sha256:", digits.as_bytes(), b"\",", rest].concat();
    let sum = Digest::of(&of(&"0".repeat(64)));
    of(&sum.hex())
}

/// Makes a chunk of an index, and of what is to follow it.
fn chunk_of(index: &[u8], body: &[u8]) -> Vec<u8> {
    #[derive(serde::Deserialize)]
    struct Created {
        created: String,
    }
    let created = serde_json::from_slice(index).ok().and_then(|Created { created }| {
        time::OffsetDateTime::parse(&created, &time::format_description::well_known::Rfc3339).ok()
    });
    let mtime = created.and_then(|at| u64::try_from(at.unix_timestamp()).ok()).unwrap_or(0);
    let mut chunk = tar::header("imageset.json", index.len() as u64, mtime);
    chunk.extend_from_slice(index);
    chunk.resize(chunk.len().next_multiple_of(512), 0);
    chunk.extend_from_slice(body);
    chunk.resize(chunk.len().next_multiple_of(512) + 1024, 0);
    chunk
}

/// The chunks of a small imageset in two parts.
pub(super) fn sample() -> &'static Vec<Vec<u8>> {
    static SAMPLE: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let (index, content) = small();
        let dir = scratch();
        let paths = wait(async {
            let writer = Writer::create_or_resume(dir.path(), index.clone()).expect("a place");
            for entry in &index.entries {
                put(&writer, entry, &content[&*entry.path()]).await.expect("put");
            }
            writer.seal().await.expect("sealed")
        });
        paths.iter().map(|path| std::fs::read(path).expect("there")).collect()
    })
}

async fn put(
    writer: &Writer,
    entry: &oc_mirror_model::imageset::Entry,
    bytes: &[u8],
) -> Result<(), ContentError> {
    let repository = "team/app".parse::<Repository>().expect("a repository");
    match entry.media_type.as_deref() {
        None => writer.put_file(&entry.path(), bytes.to_vec()).await,
        Some(kind) if media_type::is_manifest(kind) => {
            let manifest = RawManifest::parse(bytes.to_vec(), Some(kind)).expect("a manifest");
            writer.put_manifest(&repository, &manifest).await
        }
        Some(kind) => {
            let piece = Ok(Bytes::copy_from_slice(bytes));
            let stream = Box::pin(futures_util::stream::once(async { piece }));
            writer.put_blob(&repository, &Descriptor::of(kind, bytes), stream).await
        }
    }
}

/// The index of a small imageset, and what is in it by name.
pub(super) fn small() -> (Index, BTreeMap<String, Vec<u8>>) {
    let mut content = BTreeMap::new();
    let config =
        br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#.to_vec();
    let layer: Vec<u8> = (0..66_000_u32).map(|n| (n % 251) as u8).collect();
    let blobs =
        [Descriptor::of(media_type::OCI_CONFIG, &config), Descriptor::of(media_type::OCI_LAYER_GZIP, &layer)];
    let manifest = serde_json::json!({ "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": blobs[0], "layers": [blobs[1]] });
    let manifest = serde_json::to_vec(&manifest).expect("plain JSON");
    let root = Descriptor::of(media_type::OCI_MANIFEST, &manifest);
    for bytes in [config, layer, manifest] {
        content.insert(Digest::of(&bytes).layout_path(), bytes);
    }
    let image: ImageEntry = serde_json::from_value(serde_json::json!({
        "plugin": "additional", "source": "r.example/app:v1", "origin": "r.example/app:v1", "kind": "additional",
        "destination": { "repository": "team/app", "tag": "v1" },
        "root": root, "manifests": [root], "blobs": blobs,
    }))
    .expect("an image");
    let (oci_layout, index_json) = layout_documents(std::slice::from_ref(&image));
    content.insert("oci-layout".to_owned(), oci_layout);
    content.insert("index.json".to_owned(), index_json);
    content.insert("files/config.yaml".to_owned(), b"kind: ImageSetConfiguration\n".to_vec());
    let files = content.iter().filter(|(path, _)| !path.starts_with("blobs/"));
    let files = files.map(|(path, bytes)| file(path, bytes)).collect();
    let images = vec![image];
    let entries = order(files, &images, |_| true);
    let mut index: Index = serde_json::from_value(serde_json::json!({
        "format": "1.1", "uid": "00000000-0000-0000-0000-000000000abc", "sequence": 1, "base": 0,
        "created": "2026-01-02T03:04:05Z", "createdBy": "oc-mirror 0.1.0",
        "chunks": [], "entries": entries, "images": images,
    }))
    .expect("an index");
    complete(&mut index, Some(72 << 10), false).expect("it fits");
    (index, content)
}
