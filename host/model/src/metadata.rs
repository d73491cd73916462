//! The record of a chain: [`Chain`], kept in the workspace on the connected side and beside the images at a target.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::ApiVersion;
use crate::digest::Digest;
use crate::imageset::{FORMAT, FormatVersion};
use crate::manifest::Descriptor;
use crate::reference::Repository;
use crate::request::Destination;

/// A chain up to its last sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chain {
    /// The format of this document.
    pub format: FormatVersion,
    /// The chain.
    pub uid: Uuid,
    /// Its imagesets, in ascending order of sequence.
    pub imagesets: Vec<ImagesetRecord>,
    /// Every blob and manifest that the chain carried, by digest.
    pub blobs: BTreeMap<Digest, BlobRecord>,
    /// The repositories at this target whose paths were joined, since it takes no longer ones, and what the paths were.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<Repository, Repository>,
    /// What clusters need besides the images. Kept at targets, and missing from records of before it was.
    #[serde(default, skip_serializing_if = "ForClusters::is_empty")]
    pub for_clusters: ForClusters,
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

/// One imageset of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImagesetRecord {
    /// Its place, from 1.
    pub sequence: u64,
    /// What it built on.
    pub base: u64,
    /// The SHA-256 of its index: its identity. Nothing for a run that copied directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
    /// When it was made, RFC 3339.
    pub created: String,
    /// The images that were wanted then, shipped earlier or not.
    pub images: Vec<ImageRecord>,
    /// State that plugins saved with it, by plugin.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub plugin_state: BTreeMap<String, serde_json::Value>,
    /// Files and cluster resources that plugins added, by their path in the imageset.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, Digest>,
}

/// One image of an imageset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// One blob or manifest that a chain carried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlobRecord {
    /// Its length in bytes.
    pub size: u64,
    /// What it is.
    pub media_type: String,
    /// The first sequence that carried its bytes to every target that is at it or past it.
    pub sequence: u64,
    /// The association: repositories, below the target's prefix, that have it.
    pub repositories: BTreeSet<Repository>,
}

impl Chain {
    /// Starts a chain that has no imageset yet.
    pub fn new(uid: Uuid) -> Self {
        Self {
            format: FORMAT,
            uid,
            imagesets: Vec::new(),
            blobs: BTreeMap::new(),
            names: BTreeMap::new(),
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
            repositories: BTreeSet::new(),
        });
        record.repositories.insert(repository.clone());
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
        let mut bytes = serde_json::to_vec(self).expect("a document of strings and numbers serialises");
        bytes.push(b'\n');
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clusters_need_is_read_back_and_may_be_missing() {
        let uid = Uuid::nil();
        let before = format!(r#"{{"format":"1.0","uid":"{uid}","imagesets":[],"blobs":{{}}}}"#);
        let mut chain: Chain = serde_json::from_str(&before).expect("a record from before it was kept");
        assert_eq!(chain, Chain::new(uid));
        assert_eq!(String::from_utf8(chain.to_bytes()).expect("text").trim_end(), before);

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
