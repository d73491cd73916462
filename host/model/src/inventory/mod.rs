//! [`Inventory`]: which images a chain of imagesets holds, and what belongs to what; as plain data, as [`spdx`] and as
//! [`cyclonedx`].
//!
//! All three are made of the same: equal imagesets and an equal time make equal documents.

pub mod cyclonedx;
pub mod spdx;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::digest::Digest;
use crate::dsse::KeyId;
use crate::imageset::{ImageEntry, Index, QuarantinedImage, RefusedImage};
use crate::metadata::Offer;
use crate::reference::Source;
use crate::request::{Destination, kind, provenance};

/// The images of a chain, as far as its imagesets are at hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inventory {
    /// The chain.
    pub uid: Uuid,
    /// When the inventory was made, RFC 3339.
    pub created: String,
    /// What made it: `oc-mirror 0.1.0`.
    pub created_by: String,
    /// The imagesets that it was made of, by their sequences.
    pub imagesets: Vec<Imageset>,
    /// The images, in the order in which they came into the chain.
    pub images: Vec<Image>,
    /// What belongs to what.
    pub relationships: Vec<Relationship>,
    /// Images that the newest imageset has, and that only imagesets describe which are not at hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<Elsewhere>,
    /// Images that a policy refused when the newest imageset was made; they are not in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedImage>,
    /// Images that were wanted for the newest imageset and could not be had; they are not in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<QuarantinedImage>,
}

/// One imageset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Imageset {
    /// Its place in the chain.
    pub sequence: u64,
    /// What it builds on.
    pub base: u64,
    /// Its identity: the SHA-256 of its index.
    pub index: Digest,
    /// When it was made.
    pub created: String,
    /// The program that made it.
    pub created_by: String,
    /// The keys that it is signed with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<KeyId>,
    /// Those of them that are trusted; their signatures hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verified: Vec<KeyId>,
}

/// One image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// What it is called within this document: letters, digits and dashes.
    pub id: String,
    /// The name users know it by.
    pub name: String,
    /// What it is for.
    pub kind: String,
    /// What its tag points at.
    pub digest: Digest,
    /// The media type of that.
    pub media_type: String,
    /// Its package URL.
    pub purl: String,
    /// Where it goes, below the prefix of the target.
    pub destination: Destination,
    /// Bytes of all its manifests and blobs.
    pub bytes: u64,
    /// The sequence that described it last.
    pub sequence: u64,
    /// Whether the newest imageset has it. What has not is at targets all the same, until it is deleted there.
    pub current: bool,
    /// The version of OpenShift that it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The bundles of operators that it is, or that need it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offers: Vec<Offer>,
}

/// What one image is to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Relationship {
    /// The [`Image::id`] of the one.
    pub from: String,
    /// What it is to the other.
    pub relation: Relation,
    /// The [`Image::id`] of the other.
    pub to: String,
}

/// The ways in which images belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Relation {
    /// A catalog and a bundle that it offers; a release and an image of its payload.
    Contains,
    /// A bundle and an image that it needs.
    DependsOn,
    /// A signature, an attestation or a bill of materials, and the image that it is about.
    IsAbout,
}

/// An image of which only the name is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Elsewhere {
    /// The name users know it by.
    pub name: String,
    /// What it is for.
    pub kind: String,
}

/// An imageset that an inventory is made of.
pub struct Opened<'a> {
    /// Its index.
    pub index: &'a Index,
    /// Its identity.
    pub identity: Digest,
    /// The trusted keys whose signatures hold.
    pub verified: Vec<KeyId>,
    /// The images that it names and does not describe, as other imagesets do.
    pub unchanged: Vec<&'a ImageEntry>,
    /// Those that none does.
    pub elsewhere: Vec<Elsewhere>,
}

/// Makes an inventory of imagesets of one chain, in the order of their sequences; nothing if there is none.
pub fn inventory(imagesets: Vec<Opened<'_>>, created: &str, created_by: &str) -> Option<Inventory> {
    let newest = imagesets.last()?.index;
    let mut entries: Vec<(&ImageEntry, u64)> = Vec::new();
    let mut places: HashMap<(&Destination, &Digest), usize> = HashMap::new();
    for set in &imagesets {
        for image in set.index.images.iter().chain(set.unchanged.iter().copied()) {
            let sequence = set.index.sequence;
            let place = *places.entry((&image.destination, &image.root.digest)).or_insert_with(|| {
                entries.push((image, sequence));
                entries.len() - 1
            });
            entries[place] = (image, sequence);
        }
    }
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let images: Vec<Image> = entries
        .iter()
        .map(|(image, sequence)| image_of(image, *sequence, newest.sequence, &mut taken))
        .collect();
    let relationships = relationships(&entries, &images);
    let of = |set: &Opened<'_>| Imageset {
        sequence: set.index.sequence,
        base: set.index.base,
        index: set.identity.clone(),
        created: set.index.created.clone(),
        created_by: set.index.created_by.clone(),
        signed_by: set.index.signed_by.clone(),
        verified: set.verified.clone(),
    };
    Some(Inventory {
        uid: newest.uid,
        created: created.to_owned(),
        created_by: created_by.to_owned(),
        imagesets: imagesets.iter().map(of).collect(),
        images,
        relationships,
        refused: newest.refused.clone(),
        quarantined: newest.quarantined.clone(),
        elsewhere: imagesets.into_iter().next_back().map(|set| set.elsewhere).unwrap_or_default(),
    })
}

fn image_of(image: &ImageEntry, sequence: u64, newest: u64, taken: &mut BTreeMap<String, usize>) -> Image {
    let request = &image.request;
    let word: String =
        request.kind.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let hex = image.root.digest.hex();
    let base = format!("{word}-{}", hex.get(..16).unwrap_or(&hex));
    let count = taken.entry(base.clone()).or_default();
    *count += 1;
    let id = if *count == 1 { base } else { format!("{base}-{count}") };
    Image {
        id,
        name: request.origin.clone(),
        kind: request.kind.clone(),
        digest: image.root.digest.clone(),
        media_type: image.root.media_type.to_string(),
        purl: purl(image),
        destination: image.destination.clone(),
        bytes: image.manifests.iter().chain(&image.blobs).map(|content| content.size).sum(),
        sequence,
        current: sequence == newest,
        release: release_of(image),
        offers: request.offers(),
    }
}

/// Names a release with its architecture.
fn release_of(image: &ImageEntry) -> Option<String> {
    let version = image.request.provenance.get(provenance::RELEASE)?;
    let architecture = image.request.provenance.get(provenance::ARCHITECTURE);
    Some(architecture.map_or_else(|| version.to_owned(), |of| format!("{version} {of}")))
}

/// Finds out what belongs to what.
fn relationships(entries: &[(&ImageEntry, u64)], images: &[Image]) -> Vec<Relationship> {
    let mut found = BTreeSet::new();
    let mut relate = |from: &Image, relation: Relation, to: &Image| {
        if from.id != to.id {
            found.insert(Relationship { from: from.id.clone(), relation, to: to.id.clone() });
        }
    };
    let mut catalogs: HashMap<&str, Vec<&Image>> = HashMap::new();
    let mut bundles: HashMap<(&str, &str, &str), Vec<&Image>> = HashMap::new();
    let mut releases: HashMap<&str, Vec<&Image>> = HashMap::new();
    let mut by_digest: HashMap<&Digest, Vec<&Image>> = HashMap::new();
    for (image, (entry, _)) in images.iter().zip(entries) {
        by_digest.entry(&image.digest).or_default().push(image);
        // What is about an image of an index is about the index as well.
        for manifest in entry.manifests.iter().filter(|manifest| manifest.digest != image.digest) {
            by_digest.entry(&manifest.digest).or_default().push(image);
        }
        match image.kind.as_str() {
            kind::CATALOG => catalogs.entry(&image.name).or_default().push(image),
            kind::BUNDLE => {
                for Offer { catalog, package, bundle, .. } in &image.offers {
                    bundles.entry((catalog, package, bundle)).or_default().push(image);
                }
            }
            kind::RELEASE => {
                image.release.iter().for_each(|of| releases.entry(of).or_default().push(image));
            }
            _ => {}
        }
    }
    for (image, (entry, _)) in images.iter().zip(entries) {
        if let Some(subject) = entry.request.subject().filter(|_| entry.request.is_companion()) {
            let subjects = by_digest.get(&subject).into_iter().flatten();
            subjects.for_each(|about| relate(image, Relation::IsAbout, about));
            continue;
        }
        let release = image.release.as_deref().filter(|_| image.kind != kind::RELEASE);
        for of in release.and_then(|release| releases.get(release)).into_iter().flatten() {
            relate(of, Relation::Contains, image);
        }
        for Offer { catalog, package, bundle, .. } in &image.offers {
            if image.kind == kind::BUNDLE {
                let offering = catalogs.get(catalog.as_str()).into_iter().flatten();
                offering.for_each(|catalog| relate(catalog, Relation::Contains, image));
                continue;
            }
            let key = (catalog.as_str(), package.as_str(), bundle.as_str());
            let needing = bundles.get(&key).into_iter().flatten();
            needing.for_each(|bundle| relate(bundle, Relation::DependsOn, image));
        }
    }
    found.into_iter().collect()
}

/// Returns the package URL of an image: `pkg:oci/NAME@DIGEST?repository_url=…&tag=…`.
///
/// See the type `oci` of <https://github.com/package-url/purl-spec>.
fn purl(image: &ImageEntry) -> String {
    let source = image.request.origin.parse().or_else(|_| image.request.parsed_source());
    let (repository, tag) = match source {
        Ok(Source::Registry(reference)) => (Some(reference.name()), reference.tag.map(|tag| tag.to_string())),
        Ok(Source::Layout(_)) | Err(_) => (None, None),
    };
    let path = repository.clone().unwrap_or_else(|| image.destination.repository.to_string());
    let name = path.rsplit('/').next().unwrap_or(&path).to_lowercase();
    let mut qualifiers = Vec::new();
    qualifiers.extend(repository.map(|repository| format!("repository_url={}", escaped(&repository))));
    qualifiers.extend(tag.map(|tag| format!("tag={}", escaped(&tag))));
    let qualifiers = if qualifiers.is_empty() { String::new() } else { format!("?{}", qualifiers.join("&")) };
    format!("pkg:oci/{}@{}{qualifiers}", escaped(&name), image.root.digest)
}

/// Escapes what has a meaning in a package URL.
fn escaped(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte);
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

impl Inventory {
    /// Returns the newest imageset. There is one in every inventory.
    pub fn newest(&self) -> Option<&Imageset> {
        self.imagesets.last()
    }

    /// Returns what the inventory is called: the chain and the sequence up to which it goes.
    pub fn title(&self) -> String {
        let sequence = self.newest().map_or(0, |set| set.sequence);
        format!("oc-mirror chain {} up to sequence {sequence}", self.uid)
    }

    /// Returns an identity that only an equal inventory has.
    pub fn id(&self) -> Uuid {
        let bytes = serde_json::to_vec(self).expect("plain data serialises");
        let hex = Digest::of(&bytes).hex();
        let mut first = [0; 16];
        for (number, byte) in first.iter_mut().enumerate() {
            let pair = hex.get(2 * number..2 * number + 2).unwrap_or("00");
            *byte = u8::from_str_radix(pair, 16).unwrap_or_default();
        }
        Builder::from_random_bytes(first).into_uuid()
    }

    /// Returns what is not in it, a sentence each.
    pub fn remarks(&self) -> Vec<String> {
        let refused = self.refused.iter().map(|image| {
            format!("refused by {} ({}): {}: {}", image.policy, image.code, image.origin, image.message)
        });
        let quarantined =
            self.quarantined.iter().map(|image| format!("left out: {}: {}", image.origin, image.reason));
        let elsewhere = self.elsewhere.iter().map(|image| {
            format!("described by an imageset that was not at hand: {} ({})", image.name, image.kind)
        });
        refused.chain(quarantined).chain(elsewhere).collect()
    }

    /// Returns images to which none of the others leads.
    fn roots(&self) -> impl Iterator<Item = &Image> {
        let reached: BTreeSet<&str> = self
            .relationships
            .iter()
            .map(|related| match related.relation {
                Relation::Contains | Relation::DependsOn => related.to.as_str(),
                Relation::IsAbout => related.from.as_str(),
            })
            .collect();
        self.images.iter().filter(move |image| !reached.contains(image.id.as_str()))
    }
}

#[cfg(test)]
mod tests;
