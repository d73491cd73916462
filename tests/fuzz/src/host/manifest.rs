//! Manifests: the bytes stay what they are, and what they say is within limits.

use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{
    Descriptor, MAX_CHILDREN, MAX_LAYERS, MAX_MANIFEST_BYTES, Manifest, RawManifest,
};
use oc_mirror_model::{media_type, referrers};

use crate::target::{Input, Target};

/// Manifests and indexes, with what the registry says they are.
pub const MANIFEST: Target = Target { name: "manifest", longest: 64 << 10, memory: 32 << 20, check };

const TYPES: [Option<&str>; 8] = [
    None,
    Some(media_type::OCI_MANIFEST),
    Some(media_type::OCI_INDEX),
    Some(media_type::DOCKER_MANIFEST),
    Some(media_type::DOCKER_LIST),
    Some("application/json; charset=utf-8"),
    Some(media_type::DOCKER_SCHEMA1_SIGNED),
    Some("text/html"),
];

fn check(data: &[u8]) {
    let mut input = Input(data);
    let said = input.one_of(&TYPES);
    let Ok(manifest) = RawManifest::parse(input.0.to_vec(), said) else { return };
    assert_eq!(manifest.bytes(), input.0);
    assert!(input.0.len() as u64 <= MAX_MANIFEST_BYTES);
    assert_eq!(*manifest.digest(), Digest::of(input.0));
    assert!(media_type::is_manifest(manifest.media_type()));
    manifest.clone().verify(&Digest::of(input.0)).expect("its own digest");
    manifest.clone().verify(&Digest::of(b"other")).expect_err("the digest of something else");
    let again = RawManifest::parse(input.0.to_vec(), Some(manifest.media_type())).expect("as what it is");
    assert_eq!(again, manifest);
    match manifest.view() {
        Manifest::Image(image) => {
            assert!(!media_type::is_index(manifest.media_type()) && image.layers.len() <= MAX_LAYERS);
            assert!(image.blobs().count() <= 1 + image.layers.len());
            image.blobs().for_each(of_descriptor);
        }
        Manifest::Index(index) => {
            assert!(media_type::is_index(manifest.media_type()) && index.manifests.len() <= MAX_CHILDREN);
            index.manifests.iter().for_each(of_descriptor);
            let list =
                referrers::list(index.manifests.clone()).expect("descriptors that were read can be listed");
            let listed = referrers::listed(&list);
            assert!(index.manifests.iter().all(|child| listed.contains(&child.digest)));
            let united = referrers::unite(&manifest, &list).expect("two lists");
            let both = referrers::listed(&united);
            assert!(listed.iter().all(|digest| both.contains(digest)));
        }
    }
}

fn of_descriptor(descriptor: &Descriptor) {
    let written = serde_json::to_string(descriptor).expect("plain data");
    let again: Descriptor = serde_json::from_str(&written).expect("what was written");
    assert_eq!(again, *descriptor);
}
