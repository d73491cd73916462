//! [`CheckReport`]: what a check of imagesets or of a target found, as data that is printed and read by other programs.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::digest::Digest;
use crate::dsse::KeyId;
use crate::reference::{Repository, Tag};
use crate::report::exit;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// What was checked: a directory, the URL of a bucket, or a target.
    pub what: String,
    /// The imagesets there, by their sequences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imagesets: Vec<ImagesetCheck>,
    /// The chains that were published there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chains: Vec<ChainCheck>,
    /// What is worth knowing and no damage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What was found of one imageset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImagesetCheck {
    /// Its place in the chain.
    pub sequence: u64,
    /// The chain; nothing if the index cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Uuid>,
    /// The sequence that it builds on.
    pub base: u64,
    /// Its identity: the SHA-256 of its index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
    /// The identity of the imageset before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// How many images it has.
    pub images: usize,
    /// How many chunks it has.
    pub chunks: usize,
    /// How many entries it has.
    pub entries: usize,
    /// How many bytes its entries have.
    pub bytes: u64,
    /// How many entries could not be checked, since a chunk that they lie in cannot be used.
    #[serde(default)]
    pub unchecked: usize,
    /// The keys that it is signed with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<KeyId>,
    /// Those of them that are trusted; their signatures hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verified: Vec<KeyId>,
    /// What is wrong; empty if nothing is.
    pub damage: Vec<Damage>,
}

/// One thing that is wrong with an imageset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Damage {
    /// The names of the chunk files: of a damaged entry that was split, all that it lies in.
    pub chunks: Vec<String>,
    /// The entry, unless it is the chunk as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// What is wrong with it.
    pub what: String,
    /// The original references of the images that need it.
    pub images: Vec<String>,
    /// What to do about it.
    pub mend: String,
    /// The bits that it adds to the exit code, see [`exit`].
    pub exit_code: u8,
}

/// What was found of a chain at a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainCheck {
    /// The chain.
    pub uid: Uuid,
    /// The sequence that the target is at.
    pub sequence: u64,
    /// How many tags were asked for.
    pub tags: usize,
    /// How many manifests were asked for, each in every repository that is to have it.
    pub manifests: usize,
    /// How many blobs were asked for, in the same way.
    pub blobs: usize,
    /// How many bytes were read and hashed; none unless that was asked for.
    pub bytes: u64,
    /// What is not there, or not as it should be.
    pub missing: Vec<Missing>,
}

/// What a target lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// A name.
    Tag,
    /// A manifest.
    Manifest,
    /// A configuration or layer.
    Blob,
}

/// One thing that is not there, or not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    /// What it is.
    pub part: Part,
    /// The repository, with the target's prefix.
    pub repository: Repository,
    /// Its digest; of a tag, what it is to point at.
    pub digest: Digest,
    /// The tag, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
    /// What is wrong with it: `is not there`.
    pub what: String,
    /// The sequence that brought it; nothing for tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// The original references of the images that need it.
    pub images: Vec<String>,
    /// What to do about it.
    pub mend: String,
    /// The bits that it adds to the exit code, see [`exit`].
    pub exit_code: u8,
}

impl CheckReport {
    /// Starts an empty report.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), imagesets: Vec::new(), chains: Vec::new(), notes: Vec::new() }
    }

    /// Returns how many things are wrong.
    pub fn faults(&self) -> usize {
        let damage: usize = self.imagesets.iter().map(|imageset| imageset.damage.len()).sum();
        damage + self.chains.iter().map(|chain| chain.missing.len()).sum::<usize>()
    }

    /// Returns the exit code: the bits of all images that are touched, and that for anything general where something is wrong
    /// that touches none.
    pub fn exit_code(&self) -> u8 {
        let damage =
            self.imagesets.iter().flat_map(|imageset| &imageset.damage).map(|damage| damage.exit_code);
        let missing = self.chains.iter().flat_map(|chain| &chain.missing).map(|missing| missing.exit_code);
        damage.chain(missing).fold(exit::OK, |all, code| all | code)
    }

    /// Returns what to do about all of it, each thing once.
    pub fn mends(&self) -> Vec<&str> {
        let damage = self.imagesets.iter().flat_map(|imageset| &imageset.damage).map(|damage| &damage.mend);
        let missing = self.chains.iter().flat_map(|chain| &chain.missing).map(|missing| &missing.mend);
        let mut mends: Vec<&str> = Vec::new();
        for mend in damage.chain(missing) {
            if !mends.contains(&mend.as_str()) {
                mends.push(mend);
            }
        }
        mends
    }
}

/// Returns the bits of images of these kinds; that for anything general if there are none.
pub fn exit_code_of<'a>(kinds: impl IntoIterator<Item = &'a str>) -> u8 {
    match kinds.into_iter().fold(exit::OK, |all, kind| all | exit::for_kind(kind)) {
        exit::OK => exit::GENERIC,
        code => code,
    }
}
