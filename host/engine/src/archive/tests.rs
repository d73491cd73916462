//! Tests of writing, killing, resuming, sealing, reading and damaging imagesets on a real disk.

mod every_bit;
mod hostile;
mod layout;
mod resume;
mod round_trip;
mod salvage;
mod signed;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use oc_mirror_model::check::ImagesetCheck;
use oc_mirror_model::dsse::KeyId;
use oc_mirror_model::imageset::{FORMAT, ImageEntry, Index};
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::media_type;
use oc_mirror_model::reference::Repository;
use oc_mirror_model::request::Destination;
use uuid::Uuid;

use super::*;
use crate::content::{BlobStream, CHUNK, ContentWrite};
use crate::plan::layout::{blob, complete, file, order};

/// An imageset's index with everything that belongs into it.
pub(super) struct Sample {
    pub(super) index: Index,
    pub(super) content: BTreeMap<String, Vec<u8>>,
}

/// Bytes that look random and are always the same.
pub(super) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(len);
    bytes
}

pub(super) fn repository() -> Repository {
    "team/app".parse().expect("valid")
}

/// Makes an image of the given layers, in `docker` or OCI types, and adds its content.
pub(super) fn image(
    name: &str,
    layers: &[Vec<u8>],
    docker: bool,
    content: &mut BTreeMap<String, Vec<u8>>,
) -> ImageEntry {
    let types = match docker {
        true => (
            media_type::DOCKER_MANIFEST,
            "application/vnd.docker.container.image.v1+json",
            media_type::DOCKER_LAYER_GZIP,
        ),
        false => (media_type::OCI_MANIFEST, media_type::OCI_CONFIG, media_type::OCI_LAYER_GZIP),
    };
    let diff_ids: Vec<String> = layers.iter().map(|l| oc_mirror_model::Digest::of(l).to_string()).collect();
    let config = serde_json::to_vec(&serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {"Labels": {"name": name}},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }))
    .expect("plain JSON");
    let mut blobs = vec![Descriptor::of(types.1, &config)];
    blobs.extend(layers.iter().map(|l| Descriptor::of(types.2, l)));
    let manifest = serde_json::to_vec(&serde_json::json!({
        "schemaVersion": 2, "mediaType": types.0, "config": blobs[0], "layers": blobs[1..],
    }))
    .expect("plain JSON");
    let root = Descriptor::of(types.0, &manifest);
    for bytes in layers.iter().chain([&config, &manifest]) {
        content.insert(oc_mirror_model::Digest::of(bytes).layout_path(), bytes.clone());
    }
    let origin = format!("quay.io/team/{name}:v1");
    ImageEntry {
        plugin: "additional".to_owned(),
        request: serde_json::from_value(serde_json::json!({
            "source": origin, "origin": origin, "kind": "additional"
        }))
        .expect("a request"),
        destination: Destination { repository: repository(), tag: name.parse().expect("a tag") },
        root: root.clone(),
        manifests: vec![root].into(),
        blobs: blobs.into(),
        sparse: false,
    }
}

/// Completes an index over images and files.
pub(super) fn sample_of(
    images: Vec<ImageEntry>,
    content: BTreeMap<String, Vec<u8>>,
    limit: Option<u64>,
) -> Sample {
    sample_by(images, content, limit, Vec::new())
}

/// The same, to be signed by these keys.
pub(super) fn sample_by(
    images: Vec<ImageEntry>,
    mut content: BTreeMap<String, Vec<u8>>,
    limit: Option<u64>,
    signed_by: Vec<KeyId>,
) -> Sample {
    let (oci_layout, index_json) = layout_documents(&images);
    content.insert("oci-layout".to_owned(), oci_layout);
    content.insert("index.json".to_owned(), index_json);
    content.insert("files/imageset-config.yaml".to_owned(), b"kind: ImageSetConfiguration\n".to_vec());
    let files = content.iter().filter(|(path, _)| !path.starts_with("blobs/"));
    let files = files.map(|(path, bytes)| file(path, bytes)).collect();
    let entries = order(files, &images, |_| true);
    let mut index = Index {
        format: FORMAT,
        uid: Uuid::from_u128(0xabc),
        sequence: 1,
        base: 0,
        previous: None,
        created: "2026-01-02T03:04:05Z".to_owned(),
        created_by: "oc-mirror 0.1.0".to_owned(),
        chunks: Vec::new(),
        entries,
        images,
        unchanged: Vec::new(),
        positions: Vec::new(),
        required: Vec::new(),
        refused: Vec::new(),
        policies: Vec::new(),
        signed_by,
        quarantined: Vec::new(),
    };
    complete(&mut index, limit, false).expect("fits");
    Sample { index, content }
}

/// Two images with a shared base, one of them of Docker's types, one layer large enough for several chunks.
pub(super) fn sample(limit: Option<u64>) -> Sample {
    let mut content = BTreeMap::new();
    let base = noise(1, 300_000);
    let images = vec![
        image("one", &[base.clone(), noise(2, 1_500_000)], false, &mut content),
        image("two", &[base, noise(3, 40), Vec::new()], true, &mut content),
    ];
    sample_of(images, content, limit)
}

pub(super) fn stream(bytes: &[u8], piece: usize) -> BlobStream {
    let pieces: Vec<_> = bytes.chunks(piece).map(|p| Ok(Bytes::copy_from_slice(p))).collect();
    Box::pin(futures_util::stream::iter(pieces))
}

impl Sample {
    /// Puts one entry the way a workflow would.
    pub(super) async fn put(&self, writer: &Writer, path: &str) {
        let bytes = &self.content[path];
        let entry = self.index.entries.iter().find(|e| e.path() == path).expect("planned");
        match entry.media_type.as_deref() {
            None => writer.put_file(path, bytes.clone()).await.expect("put"),
            Some(t) if media_type::is_manifest(t) => {
                let manifest = RawManifest::parse(bytes.clone(), Some(t)).expect("a manifest");
                writer.put_manifest(&repository(), &manifest).await.expect("put");
            }
            Some(t) => {
                let descriptor = Descriptor::of(t, bytes);
                writer.put_blob(&repository(), &descriptor, stream(bytes, 10_000)).await.expect("put");
            }
        }
    }

    pub(super) async fn put_all(&self, writer: &Writer) {
        for entry in &self.index.entries {
            self.put(writer, &entry.path()).await;
        }
    }

    pub(super) async fn written(&self, dir: &Path) -> Vec<std::path::PathBuf> {
        let writer = Writer::create_or_resume(dir, self.index.clone()).expect("created");
        self.put_all(&writer).await;
        writer.seal().await.expect("sealed")
    }
}

/// Checks the one imageset in a directory.
pub(super) async fn checked(dir: &Path) -> Result<ImagesetCheck, ArchiveError> {
    let set = ImagesetChunks::from(&ImagesetFiles::at(dir).expect("there"));
    check(&set, &TrustedKeys::default(), Arc::new(|_| ())).await
}

/// The bytes of every file in a directory, by name.
pub(super) fn snapshot(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(dir)
        .expect("readable")
        .map(|entry| {
            let entry = entry.expect("readable");
            let name = entry.file_name().into_string().expect("text");
            (name, std::fs::read(entry.path()).expect("a file"))
        })
        .collect()
}
