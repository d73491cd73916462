//! The content that the suite moves: small, always the same, and with the shapes that matter.

use bytes::Bytes;
use oc_mirror_engine::content::BlobStream;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::media_type;
use oc_mirror_model::reference::{Repository, Tag};

/// Everything that is put into a place during one case.
#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) blobs: Vec<(Descriptor, Vec<u8>)>,
    /// An OCI image, a Docker image and an index of both, in this order.
    pub(crate) manifests: Vec<RawManifest>,
    pub(crate) tags: Vec<Tagged>,
}

/// What a tag is to point at.
#[derive(Clone)]
pub(crate) struct Tagged {
    pub(crate) repository: Repository,
    pub(crate) tag: Tag,
    pub(crate) root: Descriptor,
}

impl Content {
    pub(crate) fn new() -> Self {
        let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
        let layers = [noise(1, 700_000), noise(2, 3), Vec::new()];
        let mut blobs = vec![(Descriptor::of(media_type::OCI_CONFIG, config), config.to_vec())];
        for layer in layers {
            blobs.push((Descriptor::of(media_type::OCI_LAYER_GZIP, &layer), layer));
        }
        // Two images of one configuration; spaces and unknown fields must survive.
        let image = |media_type: &str, layers: &[usize]| {
            let layers: Vec<&Descriptor> = layers.iter().map(|n| &blobs[*n].0).collect();
            let value = serde_json::json!({
                "schemaVersion": 2, "mediaType": media_type, "config": blobs[0].0, "layers": layers,
                "unknown": {"z": 1, "a": [1.0, 2e3]},
            });
            parse(serde_json::to_vec_pretty(&value).expect("plain JSON"))
        };
        let oci = image(media_type::OCI_MANIFEST, &[1, 2, 3]);
        let docker = image(media_type::DOCKER_MANIFEST, &[2]);
        let index = parse(
            serde_json::to_vec(&serde_json::json!({
                "schemaVersion": 2, "mediaType": media_type::OCI_INDEX,
                "manifests": [oci.descriptor(), docker.descriptor()],
            }))
            .expect("plain JSON"),
        );
        let manifests = vec![oci, docker, index];
        let tags = ["oci", "docker", "latest"].iter().zip(&manifests);
        let tags = tags.map(|(tag, manifest)| Tagged {
            repository: repository(),
            tag: tag.parse().expect("a tag"),
            root: manifest.descriptor().clone(),
        });
        let tags = tags.collect();
        Self { blobs, manifests, tags }
    }

    /// The blob that is larger than any piece.
    pub(crate) fn large(&self) -> (&Descriptor, &[u8]) {
        let (descriptor, bytes) = &self.blobs[1];
        (descriptor, bytes)
    }
}

fn parse(bytes: Vec<u8>) -> RawManifest {
    RawManifest::parse(bytes, None).expect("a manifest")
}

pub(crate) fn repository() -> Repository {
    "team/app".parse().expect("valid")
}

pub(crate) fn stranger() -> Descriptor {
    Descriptor::new(media_type::OCI_LAYER_GZIP, Digest::of(b"nobody has this"), 15)
}

/// A stream of a blob in pieces of odd sizes.
pub(crate) fn stream(bytes: &[u8]) -> BlobStream {
    let pieces: Vec<_> = bytes.chunks(30_011).map(|p| Ok(Bytes::copy_from_slice(p))).collect();
    Box::pin(futures_util::stream::iter(pieces))
}

/// Bytes that look random and are always the same.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}
