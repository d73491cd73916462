//! The imageset's index, `imageset.json`: what one sequence holds, where each byte of it lies, and what it builds on.
//!
//! An imageset is one or more tar files, *chunks*. The index is the first entry of chunk 0; every other chunk starts
//! with a [`ChunkHeader`] under the same name. All offsets count from the end of that first entry (its padding
//! included), so the index need not know its own length. Where the imageset is signed, the signature lies right behind the
//! index and counts as part of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::checksum::with_checksum;
use crate::digest::Digest;
use crate::dsse::{Envelope, KeyId};
use crate::manifest::Descriptor;
use crate::reference::Repository;
use crate::request::{Destination, ImageRequest};
use crate::tar::{header_len, padded};

/// The format that this program writes. With 1.1 came `quarantined`, whose images would be taken for ones that nobody wants any
/// more, and signatures, an entry between the index and what it speaks of: whoever does not know them reads what is not there.
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
    /// Answers whether this program can read what was written with `self`.
    pub fn is_readable(self) -> bool {
        self.major == FORMAT.major && self.minor <= FORMAT.minor
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
    /// Every image of the configuration, those shipped earlier included.
    pub images: Vec<ImageEntry>,
    /// What images of this sequence need and the target has from earlier sequences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<RequiredBlob>,
    /// Images that a policy refused; they are not in this imageset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedImage>,
    /// The keys that sign this index, in their order. With any, the envelope with their signatures follows the index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<KeyId>,
    /// Images that are wanted and could not be had; they are not in this imageset, and neither is what needs them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<QuarantinedImage>,
}

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
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its name in the OCI image layout that the chunks make together.
    pub path: String,
    /// Its identity; always there, also for files.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What it is; files have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Where its bytes lie: one part, or several where it was split at the end of a chunk.
    pub parts: Vec<Part>,
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
    pub manifests: Vec<Descriptor>,
    /// Every blob that the manifests need, each once.
    pub blobs: Vec<Descriptor>,
    /// True if an index names images which were left out by a platform filter.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sparse: bool,
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
    /// Repositories, below the target's prefix, that have it.
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
        let path = digest.layout_path();
        self.entries.iter().find(|e| e.path == path)
    }

    /// Returns the canonical bytes of this document, which its digest and its signature are over. They begin with a checksum
    /// of their own.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes =
            serde_json::to_vec_pretty(self).expect("a document of strings and numbers serialises");
        bytes.push(b'\n');
        with_checksum(&bytes)
    }
}
