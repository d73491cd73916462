//! The media types of images, as the OCI image specification and the Docker registry name them, and [`MediaType`], any of them.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An OCI image configuration.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// An OCI layer, compressed with gzip.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// A Docker manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// A Docker image manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// A Docker layer, compressed with gzip.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// A Docker image manifest, schema 1: carried by nobody any more, recognised to say so.
pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
/// The same, signed.
pub const DOCKER_SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
/// The record of a chain, stored beside the images of a target.
pub const METADATA: &str = "application/vnd.oc-mirror.metadata.v1+json";

/// Manifests that this program asks registries for, in order of preference.
pub const MANIFESTS: [&str; 4] = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST];

/// Answers whether the type names an index (OCI) or a manifest list (Docker).
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, OCI_INDEX | DOCKER_LIST)
}

/// Answers whether the type names any manifest or index.
pub fn is_manifest(media_type: &str) -> bool {
    MANIFESTS.contains(&media_type)
}

/// Answers whether a layer of this type is one that registries need not hold.
///
/// Deprecated by image-spec 1.1, still alive on Windows images: the reference is kept, the bytes are not pushed.
pub fn is_foreign_layer(media_type: &str) -> bool {
    media_type.contains(".nondistributable.") || media_type.contains(".foreign.")
}

/// A media type, whether it is one of these or not. Every blob of a run has one, so that the common ones take no room.
#[derive(Clone)]
pub struct MediaType(Text);

#[derive(Clone)]
enum Text {
    /// The place in [`COMMON`].
    Common(u8),
    /// Behind one word: where there may be none, that takes no room of its own either.
    Other(Arc<Box<str>>),
}

/// What nearly all content has.
const COMMON: [&str; 10] = [
    OCI_MANIFEST,
    OCI_CONFIG,
    OCI_LAYER_GZIP,
    OCI_INDEX,
    DOCKER_MANIFEST,
    DOCKER_LIST,
    DOCKER_LAYER_GZIP,
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+zstd",
];

impl MediaType {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Common(place) => COMMON[usize::from(*place)],
            Text::Other(text) => text,
        }
    }
}

impl From<&str> for MediaType {
    fn from(text: &str) -> Self {
        let common = COMMON.iter().zip(0..).find(|(common, _)| **common == text);
        Self(common.map_or_else(|| Text::Other(Arc::new(text.into())), |(_, place)| Text::Common(place)))
    }
}

impl From<String> for MediaType {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<MediaType> for String {
    fn from(media_type: MediaType) -> Self {
        media_type.as_str().to_owned()
    }
}

impl Deref for MediaType {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for MediaType {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for MediaType {}

impl PartialEq<str> for MediaType {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for MediaType {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<String> for MediaType {
    fn eq(&self, other: &String) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<MediaType> for &str {
    fn eq(&self, other: &MediaType) -> bool {
        *self == other.as_str()
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for MediaType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for MediaType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Borrows where the text can be.
        #[derive(Deserialize)]
        struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);
        Ok(Borrowed::deserialize(deserializer)?.0.as_ref().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_kept_and_the_common_ones_take_no_room() {
        assert_eq!(size_of::<MediaType>(), 16);
        for text in COMMON.into_iter().chain([METADATA, "", "anything"]) {
            let media_type = MediaType::from(text);
            assert_eq!(media_type, text);
            assert_eq!(matches!(media_type.0, Text::Common(_)), COMMON.contains(&text));
            let json = serde_json::to_string(&media_type).expect("text serialises");
            assert_eq!(json, format!("{text:?}"));
            assert_eq!(serde_json::from_str::<MediaType>(&json).expect("what was written"), media_type);
        }
    }
}
