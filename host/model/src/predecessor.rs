//! What oc-mirror v1 notes of its work: [`Metadata`], in its archives, and at its targets as `oc-mirror:<uid>`.

use std::collections::BTreeMap;

use serde::Deserialize;
use uuid::Uuid;

use crate::digest::Digest;
use crate::metadata::{Chain, ImageRecord, ImagesetRecord};
use crate::reference::{InvalidReference, Reference, Repository, Tag};
use crate::request::{Destination, kind};

/// Where the document is: in an archive, and in the one layer of the image at a target.
pub const PATH: &str = "publish/.metadata.json";

const KIND: &str = "Metadata";
const API: &str = "mirror.openshift.io/v1alpha2";

/// A chain of oc-mirror v1 up to one of its imagesets.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    kind: String,
    api_version: String,
    /// The chain.
    pub uid: Uuid,
    /// Whether there is no chain: the archive was made without a storage backend.
    #[serde(default)]
    pub single_use: bool,
    /// The last imageset.
    pub past_mirror: PastMirror,
    #[serde(default)]
    past_associations: Option<Vec<Association>>,
}

/// One imageset of such a chain.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PastMirror {
    /// When it was made, in seconds since 1970.
    #[serde(default)]
    pub timestamp: i64,
    /// Its place in the chain, from 1.
    pub sequence: u64,
    #[serde(default)]
    operators: Option<Vec<PastOperator>>,
    #[serde(default)]
    associations: Option<Vec<Association>>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct PastOperator {
    catalog: String,
}

/// One manifest of an imageset, and what it consists of.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Association {
    /// `host/path@digest` of an image, or the digest alone of a manifest that an index names.
    pub name: String,
    /// Its repository below the target's prefix; a whole name where it was copied from registry to registry.
    pub path: String,
    /// The digest of the manifest.
    #[serde(default)]
    pub id: String,
    /// Its tag; empty for what an index names.
    #[serde(default)]
    pub tag_symlink: String,
    /// What it is: `ocpRelease`, `operatorBundle`, `generic`.
    #[serde(default, rename = "type")]
    pub content: String,
    #[serde(default)]
    manifest_digests: Option<Vec<Digest>>,
    #[serde(default)]
    layer_digests: Option<Vec<Digest>>,
}

/// The document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidMetadata {
    /// It is not what it should be.
    #[error("it is not metadata of oc-mirror v1")]
    Json(#[from] serde_json::Error),
    /// It is of another version.
    #[error("it is `{kind}` of `{api}`, and only `{KIND}` of `{API}` can be read")]
    Version {
        /// What it calls itself.
        kind: String,
        /// The version of that.
        api: String,
    },
    /// Imagesets are counted from 1.
    #[error("its sequence is 0")]
    Sequence,
}

impl Metadata {
    /// Reads the document. What follows it is not looked at: oc-mirror v1 overwrites longer ones without cutting them off.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidMetadata> {
        let metadata = Self::deserialize(&mut serde_json::Deserializer::from_slice(bytes))?;
        if (metadata.kind.as_str(), metadata.api_version.as_str()) != (KIND, API) {
            return Err(InvalidMetadata::Version { kind: metadata.kind, api: metadata.api_version });
        }
        if metadata.past_mirror.sequence == 0 {
            return Err(InvalidMetadata::Sequence);
        }
        Ok(metadata)
    }

    /// Returns what tells the imageset from any other, wherever the document was read and in whatever order its lists are.
    pub fn identity(&self) -> Digest {
        let PastMirror { timestamp, sequence, associations, .. } = &self.past_mirror;
        let mut lines: Vec<String> = associations
            .iter()
            .flatten()
            .map(|a| format!("{} {} {} {}", a.name, a.path, a.id, a.tag_symlink))
            .collect();
        lines.sort();
        lines.insert(0, format!("oc-mirror v1 {} {sequence} {timestamp}", self.uid));
        Digest::of(lines.join("\n").as_bytes())
    }

    /// Returns the images that are wanted, those of earlier imagesets included, by where they go.
    pub fn images(&self) -> BTreeMap<(&str, &str), &Association> {
        let images = self.associations().filter(|a| a.is_image());
        images.map(|a| ((a.path.as_str(), a.tag_symlink.as_str()), a)).collect()
    }

    /// Returns every manifest with all that it consists of.
    pub fn associations(&self) -> impl Iterator<Item = &Association> {
        // What an imageset brought itself comes last, and counts.
        let own = self.past_mirror.associations.iter().flatten();
        self.past_associations.iter().flatten().chain(own)
    }

    /// Answers whether a catalog, by the path of its directory, was configured. Directories of others may lie around.
    pub fn wants_catalog(&self, directory: &str) -> bool {
        let Some(operators) = self.past_mirror.operators.as_ref().filter(|o| !o.is_empty()) else {
            return true;
        };
        let Some((path, id)) = directory.rsplit_once('/') else { return false };
        operators.iter().any(|operator| {
            let name = operator.catalog.trim_start_matches('/');
            // A catalog from a directory is named without tag and digest.
            name == path || name == format!("{path}:{id}") || name == format!("{path}@{id}")
        })
    }

    /// Returns what the record of a target would be that has these imagesets. What a blob's size is, and where each is, it does
    /// not know.
    pub fn to_chain(&self, prefix: Option<&Repository>) -> Chain {
        let mut chain = Chain::new(self.uid);
        let record = |association: &Association| {
            Some(ImageRecord {
                origin: association.name.clone(),
                kind: association.kind().to_owned(),
                destination: association
                    .destination(prefix)
                    .ok()
                    .map(|d| Destination { repository: d.repository.under(prefix), tag: d.tag })?,
                digest: association.id.parse().ok()?,
                reasons: Vec::new(),
            })
        };
        let sequence = self.past_mirror.sequence;
        chain.imagesets.push(ImagesetRecord {
            sequence,
            base: sequence - 1,
            index: Some(self.identity()),
            created: String::new(),
            images: self.images().into_values().filter_map(record).collect(),
            plugin_state: BTreeMap::new(),
            files: BTreeMap::new(),
            quarantined: Vec::new(),
        });
        chain
    }
}

impl Association {
    /// Answers whether this is an image, and not a manifest that an index names.
    pub fn is_image(&self) -> bool {
        self.name.parse::<Digest>().is_err()
    }

    /// Returns what it consists of besides itself: manifests of an index, or layers and configuration.
    pub fn content(&self) -> impl Iterator<Item = &Digest> {
        self.manifest_digests.iter().chain(&self.layer_digests).flatten()
    }

    /// Returns what the image is for, as this program says it.
    pub fn kind(&self) -> &'static str {
        match self.content.as_str() {
            "ocpRelease" => kind::RELEASE,
            "ocpReleaseContent" => kind::RELEASE_CONTENT,
            "cincinnatiGraph" => kind::GRAPH,
            "operatorCatalog" => kind::CATALOG,
            "operatorBundle" => kind::BUNDLE,
            "operatorRelatedImage" => kind::RELATED,
            _ => kind::ADDITIONAL,
        }
    }

    /// Returns the repository that it goes to, below `prefix`.
    pub fn repository(&self, prefix: Option<&Repository>) -> Result<Repository, InvalidReference> {
        if !self.path.contains('@') {
            return self.path.parse();
        }
        // From registry to registry, v1 notes the name at the target.
        let named: Reference = self.path.parse()?;
        let below = prefix.and_then(|prefix| named.repository.as_str().strip_prefix(prefix.as_str()));
        match below.and_then(|path| path.strip_prefix('/')) {
            Some(path) => path.parse(),
            None => Ok(named.repository),
        }
    }

    /// Returns where it goes, below `prefix`.
    pub fn destination(&self, prefix: Option<&Repository>) -> Result<Destination, InvalidReference> {
        let tag: Tag = match self.tag_symlink.as_str() {
            // What v1 calls an image that has no tag.
            "" => format!(
                "oc-mirror{}",
                self.id.rsplit(':').next().unwrap_or_default().get(..6).unwrap_or_default()
            )
            .parse()?,
            tag => tag.parse()?,
        };
        Ok(Destination { repository: self.repository(prefix)?, tag })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn association(name: &str, path: &str, id: &str, tag: &str, more: &str) -> String {
        format!(
            r#"{{"name":"{name}","path":"{path}","id":"{id}","tagSymlink":"{tag}","type":"generic",{more}}}"#
        )
    }

    fn document(sequence: u64, new: &[String], all: &[String]) -> String {
        format!(
            r#"{{"kind":"Metadata","apiVersion":"mirror.openshift.io/v1alpha2",
            "uid":"66024ece-41d2-4e2b-971f-be4ef0672db8","singleUse":false,
            "pastMirror":{{"timestamp":5,"sequence":{sequence},"mirror":{{}},
            "operators":[{{"catalog":"r:5000/cat/idx:v1","imagePin":"","packages":null}},{{"catalog":"/tmp/catalog"}}],"associations":[{}]}},
            "pastAssociations":[{}]}}"#,
            new.join(","),
            all.join(",")
        )
    }

    fn two() -> [String; 2] {
        let layers = format!(r#""layerDigests":["{B}"]"#);
        [
            association(&format!("r/a@{A}"), "a", A, "v1", &layers),
            association(&format!("r/b@{B}"), "b", B, "v1", r#""manifestDigests":null"#),
        ]
    }

    #[test]
    fn order_and_what_follows_change_nothing() {
        let [a, b] = two();
        let one = document(2, &[a.clone(), b.clone()], &[a.clone(), b.clone()]);
        let other = format!("{}{{\"rest\":", document(2, &[b.clone(), a.clone()], std::slice::from_ref(&b)));
        let (one, other) = (Metadata::parse(one.as_bytes()), Metadata::parse(other.as_bytes()));
        let (one, other) = (one.expect("metadata"), other.expect("metadata, with a rest of a longer one"));
        assert_eq!(one.identity(), other.identity());
        assert_eq!(one.images().len(), 2);
        let fewer = Metadata::parse(document(2, std::slice::from_ref(&a), &[a.clone(), b]).as_bytes())
            .expect("metadata");
        assert_ne!(one.identity(), fewer.identity());
        assert_eq!(fewer.images().len(), 2, "what earlier imagesets brought is still wanted");
    }

    #[test]
    fn a_record_has_the_last_imageset() {
        let [a, b] = two();
        let metadata = Metadata::parse(document(2, std::slice::from_ref(&a), &[a.clone(), b]).as_bytes())
            .expect("metadata");
        let prefix: Repository = "far".parse().expect("a repository");
        let chain = metadata.to_chain(Some(&prefix));
        assert_eq!((chain.sequence(), chain.uid), (2, metadata.uid));
        let places: Vec<_> = chain.images().map(|i| i.destination.repository.as_str()).collect();
        assert_eq!(places, ["far/a", "far/b"]);
        assert_eq!(chain.last().and_then(|last| last.index.clone()), Some(metadata.identity()));
    }

    #[rstest]
    #[case("a/b", "v1", "a/b:v1")]
    #[case("a/b", "", "a/b:oc-mirroraaaaaa")]
    #[case("target:5000/far/side/a/b@AAA", "v1", "a/b:v1")]
    #[case("target:5000/elsewhere/b@AAA", "v1", "elsewhere/b:v1")]
    fn where_images_go(#[case] path: &str, #[case] tag: &str, #[case] expected: &str) {
        let text = association("r/a:1", &path.replace("AAA", A), A, tag, r#""layerDigests":[]"#);
        let association: Association = serde_json::from_str(&text).expect("an association");
        let prefix: Repository = "far/side".parse().expect("a repository");
        let found = association.destination(Some(&prefix)).expect("a place");
        assert_eq!(format!("{}:{}", found.repository, found.tag), expected);
    }

    #[rstest]
    #[case("r:5000/cat/idx/v1", true)]
    #[case("r:5000/cat/idx/v2", false)]
    #[case("r:5000/cat/other/v1", false)]
    #[case("tmp/catalog/sha256:aa", true)]
    #[case("tmp/sha256:aa", false)]
    fn only_catalogs_of_the_configuration_are_wanted(#[case] directory: &str, #[case] expected: bool) {
        let metadata = Metadata::parse(document(1, &[], &[]).as_bytes()).expect("metadata");
        assert_eq!(metadata.wants_catalog(directory), expected);
    }

    #[rstest]
    #[case(r#"{"kind":"Metadata"}"#, "it is not metadata of oc-mirror v1")]
    #[case(
        &document(1, &[], &[]).replace("v1alpha2", "v1alpha1"),
        "it is `Metadata` of `mirror.openshift.io/v1alpha1`, and only `Metadata` of `mirror.openshift.io/v1alpha2` can be read"
    )]
    #[case(&document(0, &[], &[]), "its sequence is 0")]
    fn what_cannot_be_used(#[case] text: &str, #[case] why: &str) {
        assert_eq!(Metadata::parse(text.as_bytes()).expect_err("refused").to_string(), why);
    }
}
