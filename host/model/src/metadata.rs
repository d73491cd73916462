//! The record of a chain: [`Chain`], kept in the workspace on the connected side and beside the images at a target.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::checksum::{digest_of_line, len_of_line, write_line};
use crate::config::ApiVersion;
use crate::digest::Digest;
use crate::few::Few;
use crate::images::Images;
use crate::imageset::{FormatVersion, QuarantinedImage};
use crate::manifest::Descriptor;
use crate::media_type::MediaType;
use crate::reference::{Repository, Tag};
use crate::request::{Destination, ImageRequest, kind, provenance};
use crate::shared::Shared;

/// The format of records that are written.
pub const FORMAT: FormatVersion = FormatVersion { major: 1, minor: 2 };

/// A chain up to its last sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chain {
    /// The format that it is written in, whichever it was read from.
    #[serde(deserialize_with = "as_written")]
    pub format: FormatVersion,
    /// The chain.
    pub uid: Uuid,
    /// Its imagesets, in ascending order of sequence.
    #[serde(with = "sequences")]
    pub imagesets: Vec<ImagesetRecord>,
    /// Every blob and manifest that the chain carried, by digest.
    pub blobs: Shared<BTreeMap<Digest, BlobRecord>>,
    /// The repositories at this target whose paths were joined, since it takes no longer ones, and what the paths were.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<Repository, Repository>,
    /// Images that are being deleted at this target: no longer promised, and perhaps still there. Nothing is published
    /// as long as there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deleting: Vec<Doomed>,
    /// Tags of deleted images that the registry could not remove. They keep nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<Leftover>,
    /// What clusters need besides the images. Kept at targets, and missing from records of before it was.
    #[serde(default, skip_serializing_if = "ForClusters::is_empty")]
    pub for_clusters: ForClusters,
}

fn as_written<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FormatVersion, D::Error> {
    FormatVersion::deserialize(deserializer).map(|_| FORMAT)
}

/// What resources for clusters are made of besides the images of a chain, so that its record alone is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ForClusters {
    /// The version of the configuration that the last imageset was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<ApiVersion>,
    /// Signatures of releases in base64, by the digest of the payload and their number. What was signed once is signed
    /// for good, so none is taken back.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub signatures: BTreeMap<Digest, BTreeMap<u32, String>>,
    /// Templates of CatalogSources, by where their catalog is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", with = "by_place")]
    pub templates: BTreeMap<Destination, String>,
}

impl ForClusters {
    /// Answers whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A map by destinations as a list, since keys of JSON are text.
mod by_place {
    use std::borrow::Cow;
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::request::Destination;

    #[derive(Serialize, Deserialize)]
    struct Entry<'a> {
        catalog: Cow<'a, Destination>,
        text: Cow<'a, str>,
    }

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<Destination, String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let entry = |(catalog, text)| Entry { catalog: Cow::Borrowed(catalog), text: Cow::Borrowed(text) };
        serializer
            .collect_seq(map.iter().map(|(catalog, text): (_, &String)| entry((catalog, text.as_str()))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Destination, String>, D::Error> {
        let entries = Vec::<Entry<'static>>::deserialize(deserializer)?;
        Ok(entries.into_iter().map(|e| (e.catalog.into_owned(), e.text.into_owned())).collect())
    }
}

/// Imagesets as they are stored, each with what its list of images adds to the one before.
mod sequences {
    use std::borrow::Cow;
    use std::collections::BTreeMap;
    use std::fmt;

    use serde::de::{Error, SeqAccess, Visitor};
    use serde::ser::SerializeSeq;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{ImageRecord, ImagesetRecord};
    use crate::digest::Digest;
    use crate::images::{Images, MOST, Run};
    use crate::imageset::QuarantinedImage;

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Stored<'a> {
        sequence: u64,
        base: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        index: Option<Cow<'a, Digest>>,
        created: Cow<'a, str>,
        /// Runs of images that the imageset before has too; without it `images` is all of them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        kept: Vec<Run>,
        /// The others.
        images: Vec<Cow<'a, ImageRecord>>,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        plugin_state: Cow<'a, BTreeMap<String, serde_json::Value>>,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        files: Cow<'a, BTreeMap<String, Digest>>,
        #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
        quarantined: Cow<'a, [QuarantinedImage]>,
    }

    pub(super) fn serialize<S: Serializer>(
        imagesets: &[ImagesetRecord],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(imagesets.len()))?;
        let mut before = &Images::default();
        for imageset in imagesets {
            let (images, kept) = imageset.images.since(before);
            list.serialize_element(&Stored {
                sequence: imageset.sequence,
                base: imageset.base,
                index: imageset.index.as_ref().map(Cow::Borrowed),
                created: Cow::Borrowed(&imageset.created),
                kept,
                images: images.into_iter().map(Cow::Borrowed).collect(),
                plugin_state: Cow::Borrowed(&imageset.plugin_state),
                files: Cow::Borrowed(&imageset.files),
                quarantined: Cow::Borrowed(&imageset.quarantined),
            })?;
            before = &imageset.images;
        }
        list.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<ImagesetRecord>, D::Error> {
        deserializer.deserialize_seq(Sequences)
    }

    struct Sequences;

    impl<'de> Visitor<'de> for Sequences {
        type Value = Vec<ImagesetRecord>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of imagesets")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut imagesets: Vec<ImagesetRecord> = Vec::new();
            let mut listed = 0;
            while let Some(stored) = list.next_element::<Stored<'static>>()? {
                let none = Images::default();
                let before = imagesets.last().map_or(&none, |last| &last.images);
                let new = stored.images.into_iter().map(Cow::into_owned).collect();
                let images = Images::after(before, new, &stored.kept).ok_or_else(|| {
                    let sequence = stored.sequence;
                    A::Error::custom(format!(
                        "imageset {sequence} has images from the one before that it has not"
                    ))
                })?;
                listed += images.len();
                if listed > MOST {
                    return Err(A::Error::custom(format!("it lists more than {MOST} images")));
                }
                imagesets.push(ImagesetRecord {
                    sequence: stored.sequence,
                    base: stored.base,
                    index: stored.index.map(Cow::into_owned),
                    created: stored.created.into_owned(),
                    images,
                    plugin_state: stored.plugin_state.into_owned(),
                    files: stored.files.into_owned(),
                    quarantined: stored.quarantined.into_owned(),
                });
            }
            Ok(imagesets)
        }
    }
}

/// One imageset of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagesetRecord {
    /// Its place, from 1.
    pub sequence: u64,
    /// What it built on.
    pub base: u64,
    /// The SHA-256 of its index: its identity. Nothing for a run that copied directly.
    pub index: Option<Digest>,
    /// When it was made, RFC 3339.
    pub created: String,
    /// The images that were wanted then, shipped earlier or not.
    pub images: Images,
    /// State that plugins saved with it, by plugin.
    pub plugin_state: BTreeMap<String, serde_json::Value>,
    /// Files and cluster resources that plugins added, by their path in the imageset.
    pub files: BTreeMap<String, Digest>,
    /// Images that were wanted and are not in `images`: they could not be had, or not be published at this target.
    pub quarantined: Vec<QuarantinedImage>,
}

/// One image of an imageset.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageRecord {
    /// The name users know it by.
    pub origin: String,
    /// What it is for.
    pub kind: String,
    /// Where it is at the target.
    pub destination: Destination,
    /// What its tag points at.
    pub digest: Digest,
    /// What it was wanted for; empty in records of versions that did not note it.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "exactly")]
    pub reasons: Vec<Reason>,
}

/// Reads a list that then takes no more room than its items: reading makes room for four, and most lists have one.
pub(crate) fn exactly<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let mut items = Vec::deserialize(deserializer)?;
    items.shrink_to_fit();
    Ok(items)
}

/// What an imageset calls the record of an image by which a target has already: the first 16 hexadecimal digits of a SHA-256.
///
/// It is no digest to be trusted, but a key: it is looked up among records which are those that the connected side has, and is not
/// used where two of them have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecordId(u64);

impl TryFrom<String> for RecordId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match u64::from_str_radix(&text, 16) {
            Ok(id) if text.len() == 16 && text.bytes().all(is_digit) => Ok(Self(id)),
            _ => Err(format!("`{}` is not 16 hexadecimal digits", text.escape_debug())),
        }
    }
}

impl From<RecordId> for String {
    fn from(RecordId(id): RecordId) -> Self {
        format!("{id:016x}")
    }
}

/// What an image was wanted for. An image can go when none of its reasons is left.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// Somebody named it.
    Named {
        /// By which name.
        origin: String,
    },
    /// It is a release, or belongs to one.
    #[serde(rename_all = "camelCase")]
    Release {
        /// The version.
        version: String,
        /// The architecture, as tags of releases have it: `x86_64`.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        architecture: String,
        /// The channels that it was mirrored for.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        channels: Vec<String>,
    },
    /// A bundle is in it, or needs it. Boxed: most reasons are names, and every image has one.
    #[serde(rename_all = "camelCase")]
    Bundle(Box<Offer>),
    /// A chart uses it. Boxed, as it is long and most have none.
    #[serde(rename_all = "camelCase")]
    Chart(Box<ChartUse>),
    /// It is about another manifest.
    Subject {
        /// Which.
        digest: Digest,
    },
}

/// A bundle, as a catalog offers it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// The origin of the catalog.
    pub catalog: String,
    /// The package.
    pub package: String,
    /// The name of the bundle.
    pub bundle: String,
    /// Its version; empty if it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The channels that it is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
}

/// A chart that uses an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChartUse {
    /// Where the chart is from, as the configuration has it: the URL of its repository, or its path.
    pub place: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// An image on its way out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Doomed {
    /// The name users know it by.
    pub origin: String,
    /// What it was for.
    pub kind: String,
    /// Where it is.
    pub repository: Repository,
    /// The tag that goes with it; nothing if another image has taken it over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
    /// What the tag pointed at.
    pub digest: Digest,
    /// All its manifests, itself among them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub manifests: BTreeSet<Digest>,
}

/// A tag that is left of a deleted image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Leftover {
    /// The tag.
    pub destination: Destination,
    /// What it points at: a manifest that another image has too.
    pub digest: Digest,
}

/// One blob or manifest that a chain carried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlobRecord {
    /// Its length in bytes.
    pub size: u64,
    /// What it is.
    pub media_type: MediaType,
    /// The first sequence that carried its bytes to every target that is at it or past it.
    pub sequence: u64,
    /// The association: repositories, below the target's prefix, that have it.
    pub repositories: Few<Repository>,
    /// Of an image's manifest: all that the image consists of, but for itself. Empty in records of versions that did not
    /// note it, and for everything else.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub holds: Few<Digest>,
}

impl ImageRecord {
    /// Returns what an imageset calls this record, given the repository of the image below the target's prefix, before it was
    /// joined: the hash of the JSON list of origin, kind, that repository, tag and digest.
    ///
    /// Reasons do not count. They follow from the rest in the record of one sequence, and a program that notes more of them
    /// must not take one image for another.
    pub fn id(&self, path: &Repository) -> RecordId {
        let facts = (&self.origin, &self.kind, path, &self.destination.tag, &self.digest);
        let facts = serde_json::to_vec(&facts).expect("strings serialise");
        let digest = Digest::of(&facts);
        RecordId(u64::from_str_radix(&digest.hex()[..16], 16).expect("a digest is hexadecimal"))
    }
}

impl Reason {
    /// Reads off a request what the image is wanted for. Nothing: it is not known, as of a bundle of nobody's catalog.
    pub fn of(request: &ImageRequest) -> Vec<Self> {
        let fact = |key: &str| request.provenance.get(key).unwrap_or_default();
        let named = |origin: &str| Self::Named { origin: origin.to_owned() };
        let mut reasons: Vec<Self> = request.offers().into_iter().map(Box::new).map(Self::Bundle).collect();
        let charts = request.charts();
        match (request.kind.as_str(), fact(provenance::RELEASE)) {
            (kind::RELEASE | kind::RELEASE_CONTENT, version) if !version.is_empty() => {
                let channels = fact(provenance::CHANNEL).split_whitespace().map(str::to_owned).collect();
                let architecture = fact(provenance::ARCHITECTURE).to_owned();
                reasons.push(Self::Release { version: version.to_owned(), architecture, channels });
            }
            (kind::BUNDLE | kind::RELATED, _) => {}
            (kind::HELM, _) if !charts.is_empty() => {}
            _ if request.is_companion() => {
                reasons.extend(request.subject().map(|digest| Self::Subject { digest }));
            }
            _ => reasons.push(named(&request.origin)),
        }
        reasons.extend(charts.into_iter().map(Box::new).map(Self::Chart));
        reasons.extend(fact(provenance::WANTED).lines().map(named));
        reasons.sort();
        reasons.dedup();
        // A list has room for four from the first one on, and there are many thousands of them.
        reasons.shrink_to_fit();
        reasons
    }
}

impl Chain {
    /// Starts a chain that has no imageset yet.
    pub fn new(uid: Uuid) -> Self {
        Self {
            format: FORMAT,
            uid,
            imagesets: Vec::new(),
            blobs: Shared::default(),
            names: BTreeMap::new(),
            deleting: Vec::new(),
            leftovers: Vec::new(),
            for_clusters: ForClusters::default(),
        }
    }

    /// Returns the last sequence, or 0.
    pub fn sequence(&self) -> u64 {
        self.imagesets.last().map_or(0, |i| i.sequence)
    }

    /// Returns the last imageset.
    pub fn last(&self) -> Option<&ImagesetRecord> {
        self.imagesets.last()
    }

    /// Returns the imageset with that sequence.
    pub fn imageset(&self, sequence: u64) -> Option<&ImagesetRecord> {
        self.imagesets.iter().find(|i| i.sequence == sequence)
    }

    /// Answers whether a target that is at sequence `base` has this content for sure.
    pub fn was_carried_by(&self, digest: &Digest, base: u64) -> Option<&BlobRecord> {
        self.blobs.get(digest).filter(|b| b.sequence <= base)
    }

    /// Notes that a sequence carried this content for a repository.
    ///
    /// Content that an earlier sequence carried keeps that sequence, whatever repositories are added.
    pub fn note_blob(&mut self, descriptor: &Descriptor, sequence: u64, repository: &Repository) {
        let record = self.blobs.entry(descriptor.digest.clone()).or_insert_with(|| BlobRecord {
            size: descriptor.size,
            media_type: descriptor.media_type.clone(),
            sequence,
            repositories: Few::new(),
            holds: Few::new(),
        });
        record.repositories.insert(repository.clone());
    }

    /// Notes what an image consists of, once its content has been noted.
    pub fn note_image<'a>(&mut self, root: &Digest, content: impl Iterator<Item = &'a Digest>) {
        if let Some(record) = self.blobs.get_mut(root) {
            record.holds.extend(content.filter(|digest| *digest != root).cloned());
        }
    }

    /// Returns all that an image consists of, itself included; nothing where the record does not tell.
    pub fn content_of(&self, root: &Digest) -> Option<BTreeSet<Digest>> {
        let holds = &self.blobs.get(root).filter(|record| !record.holds.is_empty())?.holds;
        Some(holds.iter().chain([root]).cloned().collect())
    }

    /// Returns the images of all imagesets. One that is in several comes several times, the newest last.
    pub fn images(&self) -> impl Iterator<Item = &ImageRecord> {
        self.imagesets.iter().flat_map(|imageset| &imageset.images)
    }

    /// Forgets content that only sequences after `base` carried.
    ///
    /// A cumulative imageset is made for targets that may have missed those; what it does not carry again
    /// can no longer be relied on.
    pub fn forget_after(&mut self, base: u64) {
        self.blobs.retain(|_, blob| blob.sequence <= base);
    }

    /// Returns the canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len_of_line(self));
        self.write_to(&mut bytes).expect("memory takes all of it");
        bytes
    }

    /// Returns how many there are.
    pub fn len_bytes(&self) -> u64 {
        len_of_line(self) as u64
    }

    /// Returns up to `len` of them from a place on. All of them are made for that, and the others dropped.
    pub fn piece(&self, at: u64, len: usize) -> Vec<u8> {
        let mut window = Window { before: at, bytes: Vec::with_capacity(len), len };
        // It ends with an error where the piece does.
        let _ = write_line(self, &mut window);
        window.bytes
    }

    /// Writes them without holding them.
    pub fn write_to(&self, to: impl std::io::Write) -> std::io::Result<()> {
        write_line(self, to)
    }

    /// Returns their SHA-256.
    pub fn digest(&self) -> Digest {
        digest_of_line(self)
    }
}

/// Takes a piece of what is written to it, and nothing behind that.
struct Window {
    /// What is still to be passed over.
    before: u64,
    bytes: Vec<u8>,
    len: usize,
}

impl std::io::Write for Window {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let passed = usize::try_from(self.before).unwrap_or(usize::MAX).min(bytes.len());
        self.before -= passed as u64;
        let rest = &bytes[passed..];
        let taken = rest.len().min(self.len - self.bytes.len());
        self.bytes.extend_from_slice(&rest[..taken]);
        match passed + taken {
            0 if !bytes.is_empty() => Err(std::io::ErrorKind::WriteZero.into()),
            written => Ok(written),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_all_of_it() {
        let mut chain = Chain::new(Uuid::nil());
        let repository = "a/b".parse().expect("valid");
        for number in 0..2000_u32 {
            let blob = Descriptor::of("application/octet-stream", &number.to_be_bytes());
            chain.note_blob(&blob, 1, &repository);
        }
        let all = chain.to_bytes();
        assert_eq!(chain.len_bytes(), all.len() as u64);
        for len in [1000, 100_000, all.len(), all.len() + 1] {
            let starts = (0..all.len()).step_by(len).step_by(if len == 1000 { 17 } else { 1 });
            for at in starts {
                assert_eq!(chain.piece(at as u64, len), all[at..all.len().min(at + len)], "{len} at {at}");
            }
        }
        assert!(chain.piece(all.len() as u64, 10).is_empty());
    }

    #[test]
    fn an_imageset_says_what_it_adds_and_older_records_are_read() {
        let image = |number: u32| ImageRecord {
            origin: format!("quay.io/a/b:v{number}"),
            kind: "additional".to_owned(),
            destination: Destination {
                repository: "a/b".parse().expect("a repository"),
                tag: format!("v{number}").parse().expect("a tag"),
            },
            digest: Digest::of(&number.to_be_bytes()),
            reasons: Vec::new(),
        };
        let mut chain = Chain::new(Uuid::nil());
        for sequence in 1..=12_u32 {
            chain.imagesets.push(ImagesetRecord {
                sequence: sequence.into(),
                base: u64::from(sequence) - 1,
                index: None,
                created: "1970-01-01T00:00:00Z".to_owned(),
                images: (sequence..sequence + 100).map(image).collect(),
                plugin_state: BTreeMap::new(),
                files: BTreeMap::new(),
                quarantined: Vec::new(),
            });
        }
        let bytes = chain.to_bytes();
        assert_eq!(serde_json::from_slice::<Chain>(&bytes).expect("what was written"), chain);
        let mut value: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(value["imagesets"][1]["kept"], serde_json::json!([[0, 1, 99]]));
        assert_eq!(value["imagesets"][1]["images"].as_array().map(Vec::len), Some(1));

        // As it was written before: each lists all.
        value["format"] = "1.1".into();
        for (number, imageset) in chain.imagesets.iter().enumerate() {
            let all: Vec<&ImageRecord> = imageset.images.iter().collect();
            value["imagesets"][number]["images"] = serde_json::to_value(all).expect("JSON");
            value["imagesets"][number].as_object_mut().expect("an object").remove("kept");
        }
        let read: Chain = serde_json::from_value(value.clone()).expect("a record of before");
        assert_eq!(read, chain);
        assert_eq!(read.to_bytes(), bytes);
        assert!(std::ptr::eq(&read.imagesets[0].images[1], &read.imagesets[1].images[0]), "it is there once");

        value["imagesets"][1]["kept"] = serde_json::json!([[0, 1, 100]]);
        let error = serde_json::from_value::<Chain>(value).expect_err("too many").to_string();
        assert!(error.contains("imageset 2 has images from the one before"), "{error}");
    }

    #[test]
    fn the_name_of_a_record_is_sixteen_digits() {
        let read = |text: &str| serde_json::from_value::<RecordId>(text.into());
        for text in ["0000000000000000", "00f3456789abcdef", "ffffffffffffffff"] {
            let id = read(text).expect("an id");
            assert_eq!(serde_json::to_value(id).expect("text"), text);
        }
        for text in ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "+123456789abcdef"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_clusters_need_is_read_back_and_may_be_missing() {
        let uid = Uuid::nil();
        let before = format!(r#"{{"format":"1.0","uid":"{uid}","imagesets":[],"blobs":{{}}}}"#);
        let mut chain: Chain = serde_json::from_str(&before).expect("a record from before it was kept");
        assert_eq!(chain, Chain::new(uid));
        let now = before.replace(r#""format":"1.0""#, &format!(r#""format":"{FORMAT}""#));
        assert_eq!(String::from_utf8(chain.to_bytes()).expect("text").trim_end(), now);

        let place =
            Destination { repository: "a/b".parse().expect("valid"), tag: "v1".parse().expect("valid") };
        chain.for_clusters = ForClusters {
            configuration: Some(ApiVersion::V1Alpha2),
            signatures: BTreeMap::from([(Digest::of(b"x"), BTreeMap::from([(1, "AA==".to_owned())]))]),
            templates: BTreeMap::from([(place, "kind: CatalogSource".to_owned())]),
        };
        let text = String::from_utf8(chain.to_bytes()).expect("text");
        let template = r#"[{"catalog":{"repository":"a/b","tag":"v1"},"text":"kind: CatalogSource"}]"#;
        assert!(text.contains(template), "{text}");
        assert_eq!(serde_json::from_str::<Chain>(&text).expect("what was written"), chain);
    }
}
