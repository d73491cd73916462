//! The imageset's index, `imageset.json`: what one sequence holds, where each byte of it lies, and what it builds on.
//!
//! An imageset is one or more tar files, *chunks*. The index is the first entry of chunk 0; every other chunk starts
//! with a [`ChunkHeader`] under the same name. All offsets count from the end of that first entry (its padding
//! included), so the index need not know its own length. Where the imageset is signed, the signature lies right behind the
//! index and counts as part of it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

use crate::audit::PolicyAudit;
use crate::checksum::{Checked, len_with_checksum};
use crate::digest::Digest;
use crate::dsse::{Envelope, KeyId};
use crate::manifest::{Descriptor, Descriptors};
use crate::media_type::MediaType;
use crate::metadata::{RecordId, exactly};
use crate::policy::Stage;
use crate::reference::Repository;
use crate::request::{Destination, ImageRequest};
use crate::shared::Shared;
use crate::tar::{header_len, padded};

/// The format that this program writes. With 1.1 came `quarantined` and `unchanged`, whose images would be taken for ones that
/// nobody wants any more, and signatures, an entry between the index and what it speaks of: whoever does not know them reads what
/// is not there.
pub const FORMAT: FormatVersion = FormatVersion { major: 1, minor: 1 };

/// The name of the index within a chunk.
pub const INDEX_NAME: &str = "imageset.json";

/// The name of the envelope with signatures of the index.
pub const SIGNATURE_NAME: &str = "imageset.json.sig";

/// `major.minor` of a stored format: another major cannot be read, a newer minor is refused and never rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FormatVersion {
    /// Readers of another major cannot make sense of it.
    pub major: u32,
    /// Readers of a lower minor miss something.
    pub minor: u32,
}

impl FormatVersion {
    /// Answers whether this program can read an imageset that was written with `self`.
    pub fn is_readable(self) -> bool {
        self.is_readable_by(FORMAT)
    }

    /// Answers whether who knows a format can read what was written with `self`.
    pub fn is_readable_by(self, known: Self) -> bool {
        self.major == known.major && self.minor <= known.minor
    }
}

impl std::fmt::Display for FormatVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl From<FormatVersion> for String {
    fn from(version: FormatVersion) -> String {
        version.to_string()
    }
}

impl TryFrom<String> for FormatVersion {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed = text.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        let (major, minor) = parsed.ok_or_else(|| format!("`{text}` is not a format version"))?;
        Ok(Self { major, minor })
    }
}

/// The index of an imageset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// The format of this document and of the chunks.
    pub format: FormatVersion,
    /// The chain.
    pub uid: Uuid,
    /// The place in the chain, from 1.
    pub sequence: u64,
    /// The sequence that this one builds on; 0 for a full imageset.
    pub base: u64,
    /// The SHA-256 of the previous imageset's index, which makes the chain a hash chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// When it was planned, RFC 3339 in UTC.
    pub created: String,
    /// The program that wrote it: `oc-mirror 0.1.0`.
    pub created_by: String,
    /// The chunks, in order.
    pub chunks: Vec<ChunkInfo>,
    /// Everything that the chunks hold, in the order in which it lies there.
    pub entries: Vec<Entry>,
    /// The images of the configuration that are new, or are not as they were; all of them in a full imageset.
    pub images: Vec<ImageEntry>,
    /// The other images of the configuration, in its order. Shared, as most are those of the imageset before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchanged: Vec<Shared<UnchangedImage>>,
    /// The place of each of `images` among all, counted from 0; empty where none is unchanged. The places between them are those
    /// of `unchanged`, and then of what is about these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub positions: Vec<usize>,
    /// What `images` need and the target has from earlier sequences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<RequiredBlob>,
    /// Images that a policy refused; they are not in this imageset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedImage>,
    /// What each policy said, in the order of the configuration. Nothing in imagesets from before it was noted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyAudit>,
    /// The keys that sign this index, in their order. With any, the envelope with their signatures follows the index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<KeyId>,
    /// Images that are wanted and could not be had; they are not in this imageset, and neither is what needs them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<QuarantinedImage>,
}

/// The most chunks of an imageset: their names have six digits.
pub const MAX_CHUNKS: usize = 1_000_000;

/// The first entry of every chunk but the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChunkHeader {
    /// The format of the imageset.
    pub format: FormatVersion,
    /// The chain.
    pub uid: Uuid,
    /// The place in the chain.
    pub sequence: u64,
    /// Which chunk this is, from 0.
    pub chunk: u32,
    /// The SHA-256 of the index, so that chunks of two imagesets of one sequence are told apart. Nothing in imagesets from
    /// before it was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
}

/// One chunk file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkInfo {
    /// Bytes after its first entry, end marker included.
    pub size: u64,
}

/// One thing that an imageset holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenEntry", into = "WrittenEntry")]
pub struct Entry {
    /// Its name in the OCI image layout that the chunks make together.
    pub path: EntryPath,
    /// Its identity; always there, also for files.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What it is; files have none.
    pub media_type: Option<MediaType>,
    /// Where its bytes lie: one part, or several where it was split at the end of a chunk.
    pub parts: Parts,
}

/// An entry as it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenEntry {
    path: String,
    digest: Digest,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<MediaType>,
    parts: Parts,
}

impl From<WrittenEntry> for Entry {
    fn from(written: WrittenEntry) -> Self {
        let WrittenEntry { path, digest, size, media_type, parts } = written;
        Self { path: EntryPath::new(path, &digest), digest, size, media_type, parts }
    }
}

impl From<Entry> for WrittenEntry {
    fn from(entry: Entry) -> Self {
        let path = entry.path().into_owned();
        let Entry { digest, size, media_type, parts, .. } = entry;
        Self { path, digest, size, media_type, parts }
    }
}

/// The name of an entry. That of a blob follows from its digest, and is not kept besides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryPath {
    /// [`Digest::layout_path`] of its digest.
    Blob,
    /// Any other.
    File(Box<str>),
}

impl EntryPath {
    /// Reads the name of an entry with this digest.
    pub fn new(path: impl Into<String>, digest: &Digest) -> Self {
        let path = path.into();
        if path == digest.layout_path() { Self::Blob } else { Self::File(path.into()) }
    }

    /// Returns the name, given the digest.
    pub fn of<'a>(&'a self, digest: &Digest) -> Cow<'a, str> {
        match self {
            Self::Blob => Cow::Owned(digest.layout_path()),
            Self::File(path) => Cow::Borrowed(path),
        }
    }

    /// Answers whether it is that of a blob.
    pub fn is_blob(&self) -> bool {
        matches!(self, Self::Blob)
    }
}

impl Entry {
    /// Returns its name in the OCI image layout that the chunks make together.
    pub fn path(&self) -> Cow<'_, str> {
        self.path.of(&self.digest)
    }

    /// Returns its name if it is not a blob.
    pub fn file(&self) -> Option<&str> {
        match &self.path {
            EntryPath::Blob => None,
            EntryPath::File(path) => Some(path),
        }
    }
}

/// The parts of an entry, in order. Nearly all have one, which takes no room of its own.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Vec<Part>")]
pub enum Parts {
    /// The only one.
    One(Part),
    /// None or several.
    Several(Box<[Part]>),
}

impl Default for Parts {
    /// Returns what an entry has that has no place yet.
    fn default() -> Self {
        Self::Several(Box::default())
    }
}

impl From<Vec<Part>> for Parts {
    fn from(parts: Vec<Part>) -> Self {
        match parts.as_slice() {
            [part] => Self::One(*part),
            _ => Self::Several(parts.into()),
        }
    }
}

impl Deref for Parts {
    type Target = [Part];

    fn deref(&self) -> &[Part] {
        match self {
            Self::One(part) => std::slice::from_ref(part),
            Self::Several(parts) => parts,
        }
    }
}

impl DerefMut for Parts {
    fn deref_mut(&mut self) -> &mut [Part] {
        match self {
            Self::One(part) => std::slice::from_mut(part),
            Self::Several(parts) => parts,
        }
    }
}

impl<'a> IntoIterator for &'a Parts {
    type Item = &'a Part;
    type IntoIter = std::slice::Iter<'a, Part>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Parts {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Parts {}

impl Serialize for Parts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

/// A run of bytes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The chunk, from 0.
    pub chunk: u32,
    /// Where the bytes start, counted from the end of the chunk's first entry.
    pub offset: u64,
    /// How many there are.
    pub size: u64,
}

/// One image as it is to be published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageEntry {
    /// What asked for it.
    pub plugin: String,
    /// The request.
    #[serde(flatten)]
    pub request: ImageRequest,
    /// Where it goes.
    pub destination: Destination,
    /// The manifest or index that the tag points at.
    pub root: Descriptor,
    /// Every manifest that is to be there, children before the indexes that name them, the root last.
    pub manifests: Descriptors,
    /// Every blob that the manifests need, each once.
    pub blobs: Descriptors,
    /// True if an index names images which were left out by a platform filter.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sparse: bool,
}

/// An image that every target which this imageset is for has already, and whose record says of it all that it would say again.
///
/// What it consists of and why it is wanted stands in the records alone: some thousand bytes become two hundred.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnchangedImage {
    /// The name users know it by.
    pub origin: String,
    /// What it is for.
    pub kind: String,
    /// Its records: one for each name that it was asked for by, its own first.
    #[serde(deserialize_with = "exactly")]
    pub records: Vec<RecordId>,
    /// The records of its signatures and of whatever else is about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub about: Vec<RecordId>,
    /// The catalogs among `images` that offer it, by their `positions`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offered_by: Vec<usize>,
}

/// A blob or manifest that is at the target already, if the chain is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequiredBlob {
    /// What it is.
    #[serde(flatten)]
    pub descriptor: Descriptor,
    /// The sequence that carried it.
    pub sequence: u64,
    /// Repositories, below the target's prefix, that have it; some of them, where there are many.
    pub repositories: Vec<Repository>,
}

/// An image that a policy refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedImage {
    /// The name users know it by.
    pub origin: String,
    /// What it was for.
    pub kind: String,
    /// Its digest, if it came so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// When the policy was asked. Nothing in imagesets from before it was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// The policy.
    pub policy: String,
    /// The rule.
    pub code: String,
    /// The reason.
    pub message: String,
    /// Facts behind it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}

/// An image that is wanted and could not be had, or could not be published.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuarantinedImage {
    /// The name users know it by.
    pub origin: String,
    /// What it is for.
    pub kind: String,
    /// What went wrong.
    pub reason: String,
}

impl ChunkHeader {
    /// Returns the bytes that stand in the chunk.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes =
            serde_json::to_vec_pretty(self).expect("a document of strings and numbers serialises");
        bytes.push(b'\n');
        bytes
    }
}

impl Index {
    /// Returns what the given chunk starts with, unless it is chunk 0, which starts with this index. `identity` is the SHA-256
    /// of [`Index::to_bytes`]; whatever it is, the header has the same length.
    pub fn chunk_header(&self, chunk: u32, identity: &Digest) -> ChunkHeader {
        let index = Some(identity.clone());
        ChunkHeader { format: self.format, uid: self.uid, sequence: self.sequence, chunk, index }
    }

    /// Returns the bytes of the entry with the signatures, header and padding included.
    pub fn signature_room(&self) -> u64 {
        match self.signed_by.as_slice() {
            [] => 0,
            keys => {
                let len = Envelope::len_of(keys);
                header_len(SIGNATURE_NAME, len) + padded(len)
            }
        }
    }

    /// Returns the file name of a chunk: `mirror_seqN_NNNNNN.tar`.
    pub fn chunk_name(sequence: u64, chunk: u32) -> String {
        format!("mirror_seq{sequence}_{chunk:06}.tar")
    }

    /// Returns the entry of a digest, as a blob.
    pub fn blob(&self, digest: &Digest) -> Option<&Entry> {
        self.entries.iter().find(|e| e.path.is_blob() && e.digest == *digest)
    }

    /// Takes unchanged images from the imageset before, where that has the same, so that each is in memory once.
    pub fn share(&mut self, before: &Self) {
        let known: HashMap<&UnchangedImage, &Shared<UnchangedImage>> =
            before.unchanged.iter().map(|image| (&**image, image)).collect();
        for image in &mut self.unchanged {
            if let Some(known) = known.get(&**image) {
                *image = (*known).clone();
            }
        }
    }

    /// Returns how many images of the configuration it names.
    pub fn image_count(&self) -> usize {
        self.images.len() + self.unchanged.len()
    }

    /// Answers whether it carries none of the content of images.
    pub fn has_nothing_new(&self) -> bool {
        self.entries.iter().all(|entry| entry.media_type.is_none())
    }

    /// Returns the canonical bytes of this document, which its digest and its signature are over. They begin with a checksum
    /// of their own, and are one line: spaces would make up half of them.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.checked().to_bytes()
    }

    /// Returns what writes these bytes without holding them.
    pub fn checked(&self) -> Checked<'_, Self> {
        Checked::new(self)
    }

    /// Returns how many these bytes are.
    pub fn len_bytes(&self) -> u64 {
        len_with_checksum(self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checksum::{Checksum, check};

    /// An index as the first version wrote it.
    fn of_1_0() -> serde_json::Value {
        let descriptor = |text: &str, media_type: &str| json!({ "mediaType": media_type, "digest": Digest::of(text.as_bytes()), "size": text.len() });
        let root = descriptor("manifest", "application/vnd.oci.image.manifest.v1+json");
        json!({
            "format": "1.0",
            "uid": Uuid::nil(),
            "sequence": 1,
            "base": 0,
            "created": "2026-01-02T03:04:05Z",
            "createdBy": "oc-mirror 0.1.0",
            "chunks": [{ "size": 1024 }],
            "entries": [],
            "images": [{
                "plugin": "additional",
                "source": "r.example/app:v1",
                "origin": "r.example/app:v1",
                "kind": "additional",
                "withReferrers": false,
                "destination": { "repository": "app", "tag": "v1" },
                "root": root,
                "manifests": [root],
                "blobs": [descriptor("layer", "application/vnd.oci.image.layer.v1.tar+gzip")],
            }],
        })
    }

    #[test]
    fn an_index_of_the_first_version_is_read() {
        let text = serde_json::to_string_pretty(&of_1_0()).expect("a value serialises");
        let index: Index = serde_json::from_str(&text).expect("an index");
        assert!(index.format.is_readable() && index.format < FORMAT);
        assert_eq!((index.image_count(), index.unchanged.len(), index.positions.len()), (1, 0, 0));
        assert_eq!(index.images[0].request.origin, "r.example/app:v1");
    }

    #[test]
    fn what_is_written_is_one_line_and_is_read_back() {
        let mut index: Index = serde_json::from_value(of_1_0()).expect("an index");
        let id = |text: &str| serde_json::from_value(json!(text)).expect("an id");
        let unchanged = UnchangedImage {
            origin: "r.example/other:v1".to_owned(),
            kind: "related".to_owned(),
            records: vec![id("0123456789abcdef")],
            about: Vec::new(),
            offered_by: Vec::new(),
        };
        index.unchanged = vec![unchanged.into()];
        index.positions = vec![1];
        let bytes = index.to_bytes();
        assert_eq!(check(&bytes), Checksum::Right);
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
        let text = String::from_utf8(bytes).expect("text");
        let unchanged =
            r#"[{"origin":"r.example/other:v1","kind":"related","records":["0123456789abcdef"]}]"#;
        assert!(text.contains(unchanged), "{text}");
        assert!(!text.contains("withReferrers"), "{text}");
        let mut read: Index = serde_json::from_str(&text).expect("an index");
        assert_eq!(read, index);
        assert_eq!(index.image_count(), 2);

        assert!(!std::ptr::eq(&*read.unchanged[0], &*index.unchanged[0]));
        read.share(&index);
        assert!(std::ptr::eq(&*read.unchanged[0], &*index.unchanged[0]), "it is there once");
        assert_eq!(read, index);
    }
}
