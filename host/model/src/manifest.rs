//! Manifests: [`RawManifest`] is the bytes as received with a parsed view, [`Descriptor`] points at content.
//!
//! What is pushed is what was pulled. The view exists to be read; nothing here can write a manifest back.

use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::attributes::Attributes;
use crate::digest::{Digest, InvalidDigest};
use crate::media_type::{self, MediaType};
use crate::platform::Platform;

/// A manifest above this size is refused before it is parsed: it is what every registry has to take, and what the tools of
/// containers read at the most. See the distribution specification, "Pushing Manifests".
pub const MAX_MANIFEST_BYTES: u64 = 4 << 20;

/// An index that names more manifests is refused. The largest lists, those of referrers, have some hundreds.
pub const MAX_CHILDREN: usize = 10_000;

/// A manifest with more layers is refused. Container runtimes stop at 127; artifacts have one for each of their files.
pub const MAX_LAYERS: usize = 10_000;

/// A pointer to content: digest and size travel together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    pub media_type: MediaType,
    /// Its identity.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What an artifact is, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
    /// What an image of an index is for. Boxed, as few content has one and all content has room for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Box<Platform>>,
    /// Free text, by key.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub annotations: Attributes,
}

impl Descriptor {
    /// Makes a descriptor without platform and annotations.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            artifact_type: None,
            platform: None,
            annotations: Attributes::new(),
        }
    }

    /// Describes bytes that are in memory.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// Answers whether the content is a manifest or an index.
    pub fn is_manifest(&self) -> bool {
        media_type::is_manifest(&self.media_type)
    }
}

/// A list of descriptors that is made once. Whoever copies it shares it: what an image consists of is looked at in many places, and
/// there are many images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptors(Arc<[Descriptor]>);

impl Default for Descriptors {
    fn default() -> Self {
        Self(Arc::new([]))
    }
}

impl Deref for Descriptors {
    type Target = [Descriptor];

    fn deref(&self) -> &[Descriptor] {
        &self.0
    }
}

impl From<Vec<Descriptor>> for Descriptors {
    fn from(list: Vec<Descriptor>) -> Self {
        Self(list.into())
    }
}

impl FromIterator<Descriptor> for Descriptors {
    fn from_iter<I: IntoIterator<Item = Descriptor>>(list: I) -> Self {
        Self(list.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a Descriptors {
    type Item = &'a Descriptor;
    type IntoIter = std::slice::Iter<'a, Descriptor>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl Serialize for Descriptors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl<'de> Deserialize<'de> for Descriptors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}

/// The bytes of a manifest exactly as they came, with what they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawManifest {
    bytes: Vec<u8>,
    descriptor: Descriptor,
    view: Manifest,
}

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// One image (or artifact).
    Image(ImageManifest),
    /// Several images.
    Index(IndexManifest),
}

/// An image: a configuration and layers, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageManifest {
    /// The configuration blob.
    pub config: Descriptor,
    /// The layers, base first.
    pub layers: Vec<Descriptor>,
    /// Annotations of the manifest.
    pub annotations: Attributes,
    /// The manifest that this one is about, for signatures and the like.
    pub subject: Option<Descriptor>,
}

/// An index: manifests, of several platforms as a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexManifest {
    /// The images, or further indexes.
    pub manifests: Vec<Descriptor>,
    /// Annotations of the index.
    pub annotations: Attributes,
    /// The manifest that this one is about.
    pub subject: Option<Descriptor>,
}

/// The bytes are not a manifest that can be mirrored.
#[derive(Debug, thiserror::Error)]
pub enum InvalidManifest {
    /// Larger than any registry takes.
    #[error("the manifest has {size} bytes, more than the {MAX_MANIFEST_BYTES} that are allowed")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// The bytes are not JSON, or not of the shape.
    #[error("the manifest cannot be parsed")]
    Syntax(#[from] serde_json::Error),
    /// More parts than any image has.
    #[error("the manifest names {count} {what}, more than the {most} that are allowed")]
    TooMany {
        /// Of what: `layers` or `manifests`.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// Schema 1 has no content addresses for configurations and is refused by every current runtime.
    #[error("Docker image manifests of schema 1 cannot be mirrored")]
    Schema1,
    /// The registry and the body disagree on what this is: a way to smuggle one as the other.
    #[error("the body says `{body}`, the registry said `{header}`")]
    Confused {
        /// `mediaType` in the body.
        body: String,
        /// `Content-Type` of the response.
        header: String,
    },
    /// Neither the body nor the registry named a known type.
    #[error("`{media_type}` is not a media type of a manifest")]
    UnknownType {
        /// The type that was found, or nothing.
        media_type: String,
    },
    /// The body has the fields of both an image and an index, or of neither.
    #[error("the manifest is neither an image nor an index")]
    Ambiguous,
    /// A digest in it cannot be verified.
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
    /// The bytes are not those that were asked for.
    #[error("the content hashes to `{actual}`, not to `{expected}`")]
    WrongDigest {
        /// What was asked for.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default)]
    schema_version: Option<u64>,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    annotations: Option<Attributes>,
    #[serde(default)]
    subject: Option<Descriptor>,
    #[serde(default)]
    fs_layers: Option<serde::de::IgnoredAny>,
}

impl RawManifest {
    /// Reads a manifest. `content_type` is what the registry said it is, if it did; parameters are ignored.
    pub fn parse(bytes: Vec<u8>, content_type: Option<&str>) -> Result<Self, InvalidManifest> {
        let size = bytes.len() as u64;
        if size > MAX_MANIFEST_BYTES {
            return Err(InvalidManifest::TooLarge { size });
        }
        let wire: Wire = serde_json::from_slice(&bytes)?;
        let header = content_type.map(|t| t.split(';').next().unwrap_or_default().trim().to_owned());
        // Generic types are what plain web servers say; only a real claim can contradict the body.
        let header = header.filter(|t| {
            !t.is_empty()
                && t != "application/json"
                && t != "application/octet-stream"
                && !t.starts_with("text/")
        });
        if wire.schema_version == Some(1)
            || wire.fs_layers.is_some()
            || header
                .as_deref()
                .is_some_and(|t| matches!(t, media_type::DOCKER_SCHEMA1 | media_type::DOCKER_SCHEMA1_SIGNED))
        {
            return Err(InvalidManifest::Schema1);
        }
        let media_type = match (&wire.media_type, &header) {
            (Some(body), Some(header)) if body != header => {
                return Err(InvalidManifest::Confused { body: body.clone(), header: header.clone() });
            }
            (Some(body), _) => body.clone(),
            (None, Some(header)) => header.clone(),
            (None, None) if wire.manifests.is_some() => media_type::OCI_INDEX.to_owned(),
            (None, None) => media_type::OCI_MANIFEST.to_owned(),
        };
        if !media_type::is_manifest(&media_type) {
            return Err(InvalidManifest::UnknownType { media_type });
        }
        few_enough("layers", wire.layers.as_deref(), MAX_LAYERS)?;
        few_enough("manifests", wire.manifests.as_deref(), MAX_CHILDREN)?;
        let annotations = wire.annotations.unwrap_or_default();
        let view = match (wire.config, wire.manifests) {
            (Some(config), None) if !media_type::is_index(&media_type) => Manifest::Image(ImageManifest {
                config,
                layers: wire.layers.unwrap_or_default(),
                annotations,
                subject: wire.subject,
            }),
            (None, Some(manifests)) if media_type::is_index(&media_type) && wire.layers.is_none() => {
                Manifest::Index(IndexManifest { manifests, annotations, subject: wire.subject })
            }
            _ => return Err(InvalidManifest::Ambiguous),
        };
        let mut descriptor = Descriptor::of(&media_type, &bytes);
        descriptor.artifact_type = wire.artifact_type.map(MediaType::from);
        Ok(Self { bytes, descriptor, view })
    }

    /// Checks that the bytes are those that were asked for, with the algorithm of the asked digest.
    pub fn verify(self, expected: &Digest) -> Result<Self, InvalidManifest> {
        let actual = Digest::of_with(expected.algorithm(), &self.bytes);
        if actual != *expected {
            return Err(InvalidManifest::WrongDigest { expected: expected.clone(), actual });
        }
        let mut verified = self;
        verified.descriptor.digest = actual;
        Ok(verified)
    }

    /// Returns the bytes as they came.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns what points at this manifest.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Returns the digest of the bytes.
    pub fn digest(&self) -> &Digest {
        &self.descriptor.digest
    }

    /// Returns the media type to push it with.
    pub fn media_type(&self) -> &str {
        &self.descriptor.media_type
    }

    /// Returns what it says.
    pub fn view(&self) -> &Manifest {
        &self.view
    }

    /// Returns the image, unless it is an index.
    pub fn image(&self) -> Option<&ImageManifest> {
        match &self.view {
            Manifest::Image(image) => Some(image),
            Manifest::Index(_) => None,
        }
    }

    /// Returns the index, unless it is an image.
    pub fn index(&self) -> Option<&IndexManifest> {
        match &self.view {
            Manifest::Index(index) => Some(index),
            Manifest::Image(_) => None,
        }
    }
}

fn few_enough(what: &'static str, parts: Option<&[Descriptor]>, most: usize) -> Result<(), InvalidManifest> {
    match parts.map_or(0, <[_]>::len) {
        count if count > most => Err(InvalidManifest::TooMany { what, count, most }),
        _ => Ok(()),
    }
}

impl ImageManifest {
    /// Returns the blobs that must be at a registry for this image: configuration and layers, without foreign layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        std::iter::once(&self.config)
            .chain(self.layers.iter().filter(|l| !media_type::is_foreign_layer(&l.media_type)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn image(media_type: Option<&str>) -> Vec<u8> {
        let config = Descriptor::of(media_type::OCI_CONFIG, b"{}");
        let mut value = serde_json::json!({"schemaVersion": 2, "config": config, "layers": []});
        if let Some(t) = media_type {
            value["mediaType"] = t.into();
        }
        serde_json::to_vec(&value).expect("plain JSON")
    }

    #[test]
    fn the_header_decides_when_the_body_is_silent() {
        let raw = RawManifest::parse(
            image(None),
            Some("application/vnd.docker.distribution.manifest.v2+json; charset=utf-8"),
        );
        assert_eq!(raw.expect("valid").media_type(), media_type::DOCKER_MANIFEST);
        let raw = RawManifest::parse(image(None), None);
        assert_eq!(raw.expect("valid").media_type(), media_type::OCI_MANIFEST);
    }

    #[test]
    fn a_manifest_cannot_pose_as_an_index() {
        assert!(matches!(
            RawManifest::parse(image(None), Some(media_type::OCI_INDEX)),
            Err(InvalidManifest::Ambiguous)
        ));
        assert!(matches!(
            RawManifest::parse(image(Some(media_type::OCI_MANIFEST)), Some(media_type::OCI_INDEX)),
            Err(InvalidManifest::Confused { .. })
        ));
    }

    #[test]
    fn one_byte_too_many_is_too_large() {
        let mut bytes = image(None);
        bytes.resize(MAX_MANIFEST_BYTES as usize, b' ');
        RawManifest::parse(bytes.clone(), None).expect("as large as allowed");
        bytes.push(b' ');
        let error = RawManifest::parse(bytes, None).expect_err("too large");
        assert_eq!(
            error.to_string(),
            "the manifest has 4194305 bytes, more than the 4194304 that are allowed"
        );
    }

    /// What is passed over takes no stack, however deep it is.
    #[test]
    fn depth_in_what_nobody_reads_is_no_matter() {
        let text = String::from_utf8(image(None)).expect("JSON");
        let deep = format!("{}{}", "[".repeat(1 << 20), "]".repeat(1 << 20));
        let bytes = text.replacen('{', &format!("{{\"x\":{deep},"), 1).into_bytes();
        RawManifest::parse(bytes, None).expect("valid");
    }

    #[test]
    fn one_part_too_many_is_refused() {
        let config = Descriptor::of(media_type::OCI_CONFIG, b"{}");
        let of = |field: &str, count: usize| {
            let mut value = serde_json::json!({ "schemaVersion": 2, field: vec![&config; count] });
            if field == "layers" {
                value["config"] = serde_json::json!(config);
            }
            RawManifest::parse(serde_json::to_vec(&value).expect("plain JSON"), None)
        };
        for (field, most) in [("layers", MAX_LAYERS), ("manifests", MAX_CHILDREN)] {
            of(field, most).expect("as many as allowed");
            let error = of(field, most + 1).expect_err("too many").to_string();
            let expected =
                format!("the manifest names {} {field}, more than the {most} that are allowed", most + 1);
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn schema_1_is_named() {
        let bytes = br#"{"schemaVersion":1,"fsLayers":[],"name":"x"}"#.to_vec();
        assert!(matches!(RawManifest::parse(bytes, None), Err(InvalidManifest::Schema1)));
    }

    /// What two readers could take for two things, and what is made to be costly to read.
    #[rstest]
    #[case::two_configurations(|json: &str| json.replacen("\"config\":", "\"config\":{},\"config\":", 1))]
    #[case::two_media_types(|json: &str| json.replacen('{', "{\"mediaType\":\"a\",\"mediaType\":\"b\",", 1))]
    #[case::two_digests(|json: &str| json.replace("\"size\"", "\"digest\":\"sha256:00\",\"size\""))]
    #[case::deep(|_: &str| format!("{{\"annotations\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000)))]
    #[case::negative_size(|json: &str| json.replace("\"size\":2", "\"size\":-2"))]
    #[case::size_beyond_all(|json: &str| json.replace("\"size\":2", "\"size\":18446744073709551616"))]
    #[case::more_behind_it(|json: &str| format!("{json}{json}"))]
    fn what_can_be_read_in_two_ways_is_refused(#[case] forge: fn(&str) -> String) {
        let json = String::from_utf8(image(None)).expect("JSON is text");
        let forged = forge(&json);
        assert_ne!(forged, json);
        let error = RawManifest::parse(forged.into_bytes(), None).expect_err("refused");
        assert!(matches!(error, InvalidManifest::Syntax(_)), "{error}");
    }

    #[test]
    fn a_manifest_above_8_mib_is_not_even_parsed() {
        let largest = usize::try_from(MAX_MANIFEST_BYTES).expect("it is small");
        let padded = |len: usize| {
            let mut bytes = image(None);
            bytes.resize(len, b' ');
            RawManifest::parse(bytes, None)
        };
        assert!(padded(largest).is_ok());
        assert!(matches!(padded(largest + 1), Err(InvalidManifest::TooLarge { .. })));
    }

    #[test]
    fn wrong_bytes_are_found() {
        let raw = RawManifest::parse(image(None), None).expect("valid");
        assert!(matches!(raw.verify(&Digest::of(b"other")), Err(InvalidManifest::WrongDigest { .. })));
    }
}
