//! [`Description`]: what an imageset holds, told from its index alone.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::audit::PolicyAudit;
use crate::digest::Digest;
use crate::dsse::KeyId;
use crate::imageset::{FormatVersion, ImageEntry, Index, QuarantinedImage, RefusedImage};
use crate::manifest::Descriptor;
use crate::request::{Destination, kind};

/// What an imageset holds.
///
/// Bytes are those of manifests, configurations and layers, each counted once within whatever they are summed up for. What
/// several groups need is in the sum of each of them, so the sums of groups add up to more than the imageset has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// Its place in the chain.
    pub sequence: u64,
    /// The chain.
    pub uid: Uuid,
    /// Its identity: the SHA-256 of its index.
    pub index: Digest,
    /// The sequence that it builds on; 0 for a full imageset.
    pub base: u64,
    /// The identity of the imageset before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// The format it is written in.
    pub format: FormatVersion,
    /// When it was made, RFC 3339.
    pub created: String,
    /// The program that made it.
    pub created_by: String,
    /// The keys that it is signed with.
    pub signed_by: Vec<KeyId>,
    /// Those of them that are trusted; their signatures hold.
    pub verified: Vec<KeyId>,
    /// Its chunks, in order.
    pub chunks: Vec<Chunk>,
    /// What it needs from earlier sequences.
    pub required: Required,
    /// What `images` need together: `bytes` of which `newBytes` are in here.
    pub total: Sum,
    /// The same for each type of content.
    pub content: Vec<Group>,
    /// The same for each catalog, of the images that it offers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub catalogs: Vec<Catalog>,
    /// Everything else that was put in: configuration, charts, signatures of releases, resources for clusters.
    pub files: Files,
    /// The bytes of the index, of tar headers and of whatever else is no content.
    pub metadata_bytes: u64,
    /// The images that it describes: those that are new, and those that are not as they were.
    pub images: Vec<Image>,
    /// The other images, which are as earlier imagesets describe them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchanged: Vec<Unchanged>,
    /// Images that a policy refused; they are not in it.
    pub refused: Vec<RefusedImage>,
    /// What each policy said, in the order of the configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyAudit>,
    /// Images that are wanted and could not be had; they are not in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<QuarantinedImage>,
}

/// One chunk file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chunk {
    /// The name of the file.
    pub name: String,
    /// The length it is to have. That of a chunk which is not there counts without what it begins with.
    pub bytes: u64,
    /// What is wrong with it: that it is missing, cut off, or of another imageset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// What is needed from earlier sequences.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Required {
    /// How many blobs and manifests.
    pub count: usize,
    /// How many bytes.
    pub bytes: u64,
    /// The sequences that carried them.
    pub sequences: Vec<u64>,
}

/// What images need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sum {
    /// How many images.
    pub images: usize,
    /// All bytes that they need, each blob once.
    pub bytes: u64,
    /// Those of them that are in this imageset.
    pub new_bytes: u64,
    /// Those of the new ones that others need as well, and that are in their sums too.
    pub shared_bytes: u64,
}

/// Images of one type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// `release`, `operator`, `additional`, `helm`, `referrers`, or what a plugin calls it.
    #[serde(rename = "type")]
    pub name: String,
    /// What they need.
    #[serde(flatten)]
    pub sum: Sum,
}

/// What a catalog offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Catalog {
    /// The catalog.
    pub catalog: String,
    /// What its packages need together.
    #[serde(flatten)]
    pub sum: Sum,
    /// The packages.
    pub packages: Vec<Package>,
}

/// An operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    /// Its name.
    pub package: String,
    /// Its bundles.
    pub bundles: Vec<String>,
    /// What they need.
    #[serde(flatten)]
    pub sum: Sum,
}

/// Files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Files {
    /// How many.
    pub count: usize,
    /// How many bytes.
    pub bytes: u64,
}

/// One image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// The name users know it by.
    pub name: String,
    /// What it is for.
    pub kind: String,
    /// What its tag points at.
    pub digest: Digest,
    /// Where it goes, below the prefix of the target.
    pub destination: Destination,
    /// All bytes that it needs.
    pub bytes: u64,
    /// Those of them that are in this imageset.
    pub new_bytes: u64,
}

/// An image that is as an earlier imageset describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unchanged {
    /// The name users know it by.
    pub name: String,
    /// What it is for.
    pub kind: String,
}

/// What a directory says of the imageset besides its index.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The identity.
    pub index: Digest,
    /// The trusted keys whose signatures hold.
    pub verified: Vec<KeyId>,
    /// The chunks.
    pub chunks: Vec<Chunk>,
}

/// The word for the type of content that a kind of image belongs to.
fn type_of(image: &ImageEntry) -> &str {
    if image.request.is_companion() {
        return "referrers";
    }
    match image.request.kind.as_str() {
        kind::RELEASE | kind::RELEASE_CONTENT | kind::GRAPH => "release",
        kind::CATALOG | kind::BUNDLE | kind::RELATED => "operator",
        other => other,
    }
}

fn content(image: &ImageEntry) -> impl Iterator<Item = &Descriptor> {
    image.manifests.iter().chain(&image.blobs)
}

/// Sums up what images need, group by group.
struct Ledger<'a> {
    held: HashSet<&'a Digest>,
}

impl<'a> Ledger<'a> {
    fn sums<K: Ord + Clone>(&self, groups: &BTreeMap<K, Vec<&'a ImageEntry>>) -> BTreeMap<K, Sum> {
        let distinct = |images: &[&'a ImageEntry]| -> HashMap<&'a Digest, u64> {
            images.iter().flat_map(|image| content(image)).map(|d| (&d.digest, d.size)).collect()
        };
        let sets: Vec<(&K, usize, HashMap<&Digest, u64>)> =
            groups.iter().map(|(key, images)| (key, images.len(), distinct(images))).collect();
        let mut users: HashMap<&Digest, usize> = HashMap::new();
        for digest in sets.iter().flat_map(|(_, _, set)| set.keys()) {
            *users.entry(digest).or_default() += 1;
        }
        let sum = |(key, images, set): (&K, usize, HashMap<&Digest, u64>)| {
            let mut sum = Sum { images, ..Sum::default() };
            for (digest, size) in set {
                sum.bytes += size;
                if self.held.contains(digest) {
                    sum.new_bytes += size;
                    sum.shared_bytes += if users[digest] > 1 { size } else { 0 };
                }
            }
            (key.clone(), sum)
        };
        sets.into_iter().map(sum).collect()
    }

    fn of_image(&self, image: &ImageEntry) -> (u64, u64) {
        let of = |only_held: bool| {
            let counted = content(image).filter(|d| !only_held || self.held.contains(&d.digest));
            counted.map(|d| d.size).sum()
        };
        (of(false), of(true))
    }
}

/// Describes an imageset.
pub fn describe(index: &Index, around: Surroundings) -> Description {
    let ledger =
        Ledger { held: index.entries.iter().filter(|e| e.path.is_blob()).map(|e| &e.digest).collect() };
    let mut types: BTreeMap<&str, Vec<&ImageEntry>> = BTreeMap::new();
    let mut packages: BTreeMap<(String, String), Vec<&ImageEntry>> = BTreeMap::new();
    let mut catalogs: BTreeMap<String, Vec<&ImageEntry>> = BTreeMap::new();
    let mut bundles: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for image in &index.images {
        types.entry(type_of(image)).or_default().push(image);
        let mut offered = BTreeSet::new();
        for offer in image.request.offers() {
            let key = (offer.catalog, offer.package);
            bundles.entry(key.clone()).or_default().insert(offer.bundle);
            offered.insert(key);
        }
        for catalog in offered.iter().map(|(catalog, _)| catalog).collect::<BTreeSet<_>>() {
            catalogs.entry(catalog.clone()).or_default().push(image);
        }
        for key in offered {
            packages.entry(key).or_default().push(image);
        }
    }
    let all = BTreeMap::from([((), index.images.iter().collect::<Vec<_>>())]);
    let total = ledger.sums(&all).remove(&()).unwrap_or_default();
    let sums = ledger.sums(&types);
    let package_sums = ledger.sums(&packages);
    let package = |(key, sum): (&(String, String), &Sum)| Package {
        package: key.1.clone(),
        bundles: bundles.get(key).into_iter().flatten().cloned().collect(),
        sum: *sum,
    };
    let catalog = |(name, sum): (String, Sum)| Catalog {
        packages: package_sums.iter().filter(|(key, _)| key.0 == name).map(package).collect(),
        catalog: name,
        sum,
    };
    let files = index.entries.iter().filter(|e| e.file().is_some_and(|path| path.starts_with("files/")));
    let files = Files { count: files.clone().count(), bytes: files.map(|e| e.size).sum() };
    let held: u64 = index.entries.iter().filter(|e| e.path.is_blob()).map(|e| e.size).sum();
    let chunks: u64 = around.chunks.iter().map(|chunk| chunk.bytes).sum();
    Description {
        sequence: index.sequence,
        uid: index.uid,
        index: around.index,
        base: index.base,
        previous: index.previous.clone(),
        format: index.format,
        created: index.created.clone(),
        created_by: index.created_by.clone(),
        signed_by: index.signed_by.clone(),
        verified: around.verified,
        chunks: around.chunks,
        required: Required {
            count: index.required.len(),
            bytes: index.required.iter().map(|r| r.descriptor.size).sum(),
            sequences: index
                .required
                .iter()
                .map(|r| r.sequence)
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
        },
        total,
        content: sums.into_iter().map(|(name, sum)| Group { name: name.to_owned(), sum }).collect(),
        catalogs: ledger.sums(&catalogs).into_iter().map(catalog).collect(),
        files,
        metadata_bytes: chunks.saturating_sub(held + files.bytes),
        images: index
            .images
            .iter()
            .map(|image| {
                let (bytes, new_bytes) = ledger.of_image(image);
                Image {
                    name: image.request.origin.clone(),
                    kind: image.request.kind.clone(),
                    digest: image.root.digest.clone(),
                    destination: image.destination.clone(),
                    bytes,
                    new_bytes,
                }
            })
            .collect(),
        unchanged: index
            .unchanged
            .iter()
            .map(|image| Unchanged { name: image.origin.clone(), kind: image.kind.clone() })
            .collect(),
        refused: index.refused.clone(),
        policies: index.policies.clone(),
        quarantined: index.quarantined.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::Attributes;
    use crate::imageset::{Entry, EntryPath, FORMAT, Part};
    use crate::request::ImageRequest;

    fn blob(n: u8, size: u64) -> Descriptor {
        Descriptor::new("application/vnd.oci.image.layer.v1.tar+gzip", Digest::of(&[n]), size)
    }

    fn image(name: &str, kind: &str, offers: &str, blobs: Vec<Descriptor>) -> ImageEntry {
        let root =
            Descriptor::new("application/vnd.oci.image.manifest.v1+json", Digest::of(name.as_bytes()), 10);
        let provenance = match offers {
            "" => Attributes::new(),
            offers => Attributes::from([("offers".to_owned(), offers.to_owned())]),
        };
        ImageEntry {
            plugin: "test".to_owned(),
            request: ImageRequest {
                source: name.to_owned(),
                origin: name.to_owned(),
                kind: kind.to_owned(),
                target_repository: None,
                target_tag: None,
                platforms: Vec::new(),
                with_referrers: false,
                provenance,
            },
            destination: Destination {
                repository: "a/b".parse().expect("valid"),
                tag: "v1".parse().expect("valid"),
            },
            manifests: vec![root.clone()].into(),
            root,
            blobs: blobs.into(),
            sparse: false,
        }
    }

    #[test]
    fn shared_bytes_are_counted_once_within_a_group() {
        let (base, own, old) = (blob(1, 100), blob(2, 20), blob(3, 3));
        let offers = r#"[["cat","op","op.v1","1.0.0",[]]]"#;
        let images = vec![
            image("one", kind::ADDITIONAL, "", vec![base.clone(), old]),
            image("two", kind::ADDITIONAL, "", vec![base.clone()]),
            image("three", kind::BUNDLE, offers, vec![base.clone(), own.clone()]),
        ];
        let held = images.iter().map(|image| &image.root).chain([&base, &own]);
        let entry = |d: &Descriptor| Entry {
            path: EntryPath::Blob,
            digest: d.digest.clone(),
            size: d.size,
            media_type: None,
            parts: vec![Part { chunk: 0, offset: 0, size: d.size }].into(),
        };
        let index = Index {
            format: FORMAT,
            uid: Uuid::nil(),
            sequence: 1,
            base: 0,
            previous: None,
            created: String::new(),
            created_by: String::new(),
            chunks: Vec::new(),
            entries: held.map(entry).collect(),
            images: images.clone(),
            unchanged: Vec::new(),
            positions: Vec::new(),
            required: Vec::new(),
            refused: Vec::new(),
            policies: Vec::new(),
            signed_by: Vec::new(),
            quarantined: Vec::new(),
        };
        let chunks = vec![Chunk { name: "x".to_owned(), bytes: 1000, fault: None }];
        let around = Surroundings { index: Digest::of(b""), verified: Vec::new(), chunks };
        let found = describe(&index, around);
        assert_eq!(found.total, Sum { images: 3, bytes: 153, new_bytes: 150, shared_bytes: 0 });
        let group = |name: &str| found.content.iter().find(|g| g.name == name).expect("there").sum;
        assert_eq!(group("additional"), Sum { images: 2, bytes: 123, new_bytes: 120, shared_bytes: 100 });
        assert_eq!(group("operator"), Sum { images: 1, bytes: 130, new_bytes: 130, shared_bytes: 100 });
        let operator = &found.catalogs[0].packages[0];
        assert_eq!(
            (operator.package.as_str(), operator.bundles.as_slice()),
            ("op", ["op.v1".to_owned()].as_slice())
        );
        assert_eq!((operator.sum.new_bytes, found.metadata_bytes), (130, 850));
    }
}
