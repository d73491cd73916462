//! [`layout_documents`]: the two documents that make unpacked chunks an OCI image layout.

use oc_mirror_model::imageset::ImageEntry;
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::media_type;
use serde::Serialize;

/// The annotation by which `skopeo` and others find an image in a layout.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LayoutIndex {
    schema_version: u32,
    media_type: &'static str,
    manifests: Vec<Descriptor>,
}

/// Makes the bytes of `oci-layout` and of `index.json`.
///
/// Every image is named by its original reference, so that `skopeo inspect oci:DIR:REFERENCE` finds it.
pub fn layout_documents(images: &[ImageEntry]) -> (Vec<u8>, Vec<u8>) {
    let mut manifests: Vec<Descriptor> = images.iter().map(named).collect();
    let key = |m: &Descriptor| (m.annotations.get(REF_NAME).map(str::to_owned), m.digest.clone());
    manifests.sort_by_cached_key(key);
    manifests.dedup_by(|a, b| key(a) == key(b));
    let index = LayoutIndex { schema_version: 2, media_type: media_type::OCI_INDEX, manifests };
    let mut bytes = serde_json::to_vec(&index).expect("a document of strings and numbers serialises");
    // It has a line for each image, and is held until it is written.
    bytes.shrink_to_fit();
    (br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(), bytes)
}

fn named(image: &ImageEntry) -> Descriptor {
    let mut descriptor = image.root.clone();
    descriptor.annotations.insert(REF_NAME.to_owned(), image.request.origin.clone());
    descriptor
}
