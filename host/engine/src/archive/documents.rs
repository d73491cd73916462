//! [`layout_documents`]: the two documents that make unpacked chunks an OCI image layout.

use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::ImageEntry;
use oc_mirror_model::media_type;
use serde::{Serialize, Serializer};

/// The annotation by which `skopeo` and others find an image in a layout.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The bytes that an image mostly takes in the document.
const LINE: usize = 300;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LayoutIndex<'a> {
    schema_version: u32,
    media_type: &'static str,
    manifests: Vec<Named<'a>>,
}

/// An image of the document. Its descriptor is made only while it is written: there are many.
struct Named<'a>(&'a ImageEntry);

impl Named<'_> {
    /// Returns what orders images, and tells them from each other.
    fn key(&self) -> (&str, &Digest) {
        (&self.0.request.origin, &self.0.root.digest)
    }
}

impl Serialize for Named<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut descriptor = self.0.root.clone();
        descriptor.annotations.insert(REF_NAME.to_owned(), self.0.request.origin.clone());
        descriptor.serialize(serializer)
    }
}

/// Makes the bytes of `oci-layout` and of `index.json`.
///
/// Every image is named by its original reference, so that `skopeo inspect oci:DIR:REFERENCE` finds it.
pub fn layout_documents(images: &[ImageEntry]) -> (Vec<u8>, Vec<u8>) {
    let mut manifests: Vec<Named<'_>> = images.iter().map(Named).collect();
    manifests.sort_by(|a, b| a.key().cmp(&b.key()));
    manifests.dedup_by(|a, b| a.key() == b.key());
    let index = LayoutIndex { schema_version: 2, media_type: media_type::OCI_INDEX, manifests };
    // It has a line for each image, and is held until it is written: about as much room as it needs, and in the end just that.
    let mut bytes = Vec::with_capacity(images.len() * LINE);
    serde_json::to_writer(&mut bytes, &index).expect("a document of strings and numbers serialises");
    bytes.shrink_to_fit();
    (br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(), bytes)
}
