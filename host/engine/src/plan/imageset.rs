//! Decides what an imageset carries: [`content`] splits what images need into new and already shipped.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use oc_mirror_model::ImageRequest;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::images::Images;
use oc_mirror_model::imageset::{ImageEntry, Index, RequiredBlob};
use oc_mirror_model::manifest::{Descriptor, Descriptors};
use oc_mirror_model::media_type;
use oc_mirror_model::metadata::{Chain, ImageRecord, ImagesetRecord, Reason, RecordId};
use oc_mirror_model::reference::{Repository, Source};
use oc_mirror_model::request::provenance::ALSO;
use oc_mirror_model::request::{Destination, kind};
use serde_json::Value;

use super::names::Names;
use super::unchanged::{Records, in_order};

/// What images need, split by who has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// How many manifests are to be carried.
    pub manifests: u64,
    /// How many blobs are to be carried.
    pub blobs: u64,
    /// The bytes of these blobs.
    pub blob_bytes: u64,
    /// All bytes to carry.
    pub bytes: u64,
    /// The bytes that every target at the base has already.
    pub saved_bytes: u64,
}

impl Content {
    /// Answers whether nothing is to be carried.
    pub fn has_nothing_new(&self) -> bool {
        self.manifests + self.blobs == 0
    }
}

/// How many repositories are named that have what is required. A target's record knows all of them, and whoever mounts tries no
/// more.
const MOST_NAMED: usize = 3;

/// Sums up what `images` need, for targets that are at `base` of `chain`.
pub fn content(images: &[ImageEntry], chain: &Chain, base: u64) -> Content {
    let mut content = Content::default();
    for (_, Descriptor { media_type, digest, size, .. }) in each_once(images) {
        match chain.was_carried_by(digest, base) {
            Some(_) => content.saved_bytes += size,
            None if media_type::is_manifest(media_type) => {
                content.manifests += 1;
                content.bytes += size;
            }
            None => {
                content.blobs += 1;
                content.bytes += size;
                content.blob_bytes += size;
            }
        }
    }
    content
}

/// Returns what images need that targets at `base` of `chain` have, in the order of its digests.
pub fn required(images: &[ImageEntry], chain: &Chain, base: u64) -> Vec<RequiredBlob> {
    let there = each_once(images).filter_map(|(_, Descriptor { media_type, digest, size, .. })| {
        let record = chain.was_carried_by(digest, base)?;
        Some(RequiredBlob {
            descriptor: Descriptor::new(media_type, digest.clone(), *size),
            sequence: record.sequence,
            repositories: record.repositories.iter().take(MOST_NAMED).cloned().collect(),
        })
    });
    let mut required: Vec<RequiredBlob> = there.collect();
    required.sort_by(|a, b| a.descriptor.digest.cmp(&b.descriptor.digest));
    required
}

/// Returns what is to be carried to targets that are at `base` of `chain`: manifests and blobs, each once, in the order of their
/// first use, with the image that needs them first.
pub fn carried<'a>(
    images: &'a [ImageEntry],
    chain: &'a Chain,
    base: u64,
) -> impl Iterator<Item = (&'a ImageEntry, &'a Descriptor)> {
    each_once(images).filter(move |(_, content)| chain.was_carried_by(&content.digest, base).is_none())
}

fn each_once(images: &[ImageEntry]) -> impl Iterator<Item = (&ImageEntry, &Descriptor)> {
    let mut seen = HashSet::new();
    let all = images.iter().flat_map(|image| {
        let content = image.manifests.iter().chain(&image.blobs);
        content.map(move |content| (image, content))
    });
    all.filter(move |(_, content)| seen.insert(&content.digest))
}

/// The attribute by which an image says which catalogs offer it, a line each.
pub(super) const CATALOG: &str = "catalog";

/// Two images would be published under one name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{first}` and `{second}` are different images that would both be published as `{repository}:{tag}`", repository = destination.repository, tag = destination.tag)]
pub struct Collision {
    /// The one.
    pub first: String,
    /// The other.
    pub second: String,
    /// Where both would go.
    pub destination: Destination,
}

/// Merges images that are asked for more than once, and finds those that get into each other's way.
///
/// The first request for an image wins. Two requests for one digest differ only in their platforms; what either
/// of them needs is taken.
pub fn merge(mut images: Vec<ImageEntry>) -> Result<Vec<ImageEntry>, Collision> {
    let mut places: HashMap<Destination, usize> = HashMap::new();
    let mut merged = 0;
    for next in 0..images.len() {
        match places.get(&images[next].destination) {
            None => {
                places.insert(images[next].destination.clone(), merged);
                images.swap(merged, next);
                merged += 1;
            }
            Some(&at) => {
                let (before, rest) = images.split_at_mut(next);
                let (first, second) = (&mut before[at], &rest[0]);
                if first.root.digest != second.root.digest {
                    return Err(Collision {
                        first: first.request.origin.clone(),
                        second: second.request.origin.clone(),
                        destination: second.destination.clone(),
                    });
                }
                unite(first, second);
            }
        }
    }
    images.truncate(merged);
    Ok(images)
}

fn unite(into: &mut ImageEntry, other: &ImageEntry) {
    let add = |list: &Descriptors, more: &Descriptors| -> Vec<Descriptor> {
        let have: HashSet<&Digest> = list.iter().map(|d| &d.digest).collect();
        let more = more.iter().filter(|d| !have.contains(&d.digest));
        list.iter().chain(more).cloned().collect()
    };
    let mut manifests = add(&into.manifests, &other.manifests);
    // Manifests that only the other one wanted were added behind the root, which comes last.
    manifests.sort_by_key(|m| m.digest == into.root.digest);
    into.manifests = manifests.into();
    into.blobs = add(&into.blobs, &other.blobs).into();
    into.request.wanted_also(&other.request);
    offered_by(&mut into.request, &other.request);
    known_as(&mut into.request, &other.request);
    into.sparse = into.sparse && other.sparse;
}

/// Notes that an image is offered by the catalogs of another request too.
fn offered_by(into: &mut ImageRequest, other: &ImageRequest) {
    let Some(more) = other.provenance.get(CATALOG).filter(|_| into.kind != kind::CATALOG) else { return };
    for catalog in more.lines() {
        into.provenance.add_line(CATALOG, catalog);
    }
}

/// Notes that an image has the name of another request too: two registries may have it in repositories of one name, and
/// clusters ask for it by either.
fn known_as(into: &mut ImageRequest, other: &ImageRequest) {
    let mut names = also(into).map(|(kind, origin)| format!("{kind} {origin}")).collect::<Vec<_>>();
    for (kind, origin) in std::iter::once((other.kind.as_str(), other.origin.as_str())).chain(also(other)) {
        let name = format!("{kind} {origin}");
        if origin != into.origin && !names.contains(&name) {
            names.push(name);
        }
    }
    if !names.is_empty() {
        into.provenance.insert(ALSO.to_owned(), names.join("\n"));
    }
}

/// Returns kinds and origins that an image was asked for as, besides its own.
fn also(image: &ImageRequest) -> impl Iterator<Item = (&str, &str)> {
    image
        .provenance
        .get(ALSO)
        .into_iter()
        .flat_map(|names| names.lines())
        .filter_map(|name| name.split_once(' '))
}

/// Answers whether an image is one that a catalog offers, given the origin of the catalog.
pub fn is_offered_by(image: &ImageRequest, catalog: &str) -> bool {
    image.provenance.get(CATALOG).is_some_and(|catalogs| catalogs.lines().any(|line| line == catalog))
}

/// Answers whether images and plugins' files are exactly those of an earlier imageset, so that nothing has to be
/// shipped. Images are others if they are somewhere else at the target, or come from somewhere else: clusters are told both.
pub fn is_unchanged(
    images: &[ImageEntry],
    files: &BTreeMap<String, Digest>,
    last: Option<&ImagesetRecord>,
) -> bool {
    let Some(last) = last else { return images.is_empty() && files.is_empty() };
    if *files != last.files {
        return false;
    }
    let before: BTreeSet<_> =
        last.images.iter().map(|i| (&i.destination, &i.digest, repository_of(&i.origin))).collect();
    let now = images.iter().flat_map(|i| {
        origins(&i.request).map(|(_, origin)| (&i.destination, &i.root.digest, repository_of(origin)))
    });
    before == now.collect()
}

/// Returns where in registries an origin is, whichever of its tags and digests it names. Clusters are not told of directories.
fn repository_of(origin: &str) -> String {
    match origin.parse() {
        Ok(Source::Registry(name)) => format!("{}/{}", name.registry, name.repository),
        _ => String::new(),
    }
}

/// Returns all kinds and origins of an image, its own first.
fn origins(image: &ImageRequest) -> impl Iterator<Item = (&str, &str)> {
    std::iter::once((image.kind.as_str(), image.origin.as_str())).chain(also(image))
}

/// What the record has of an imageset besides its images.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// State that plugins saved, by plugin.
    pub state: BTreeMap<String, Value>,
    /// Files and cluster resources of plugins, by their path in the imageset.
    pub files: BTreeMap<String, Digest>,
}

/// Returns the record of a chain after an imageset, which is the same on either side of the gap.
///
/// `names` tell where repositories are there. Of unchanged images the record says what it said of the sequence before; one that it
/// did not have then is not in it now.
pub fn advance(
    chain: Chain,
    index: &Index,
    identity: Option<&Digest>,
    names: &Names,
    extras: Extras,
) -> Chain {
    let records = image_records(&chain, index, names);
    advanced(chain, index, &index.images, records, identity, names, extras)
}

/// As [`advance`], and lets go of each image once it is in the record: of tens of thousands, both would take much memory.
pub fn advance_over(
    chain: Chain,
    mut index: Index,
    identity: Option<&Digest>,
    names: &Names,
    extras: Extras,
) -> Chain {
    let records = image_records(&chain, &index, names);
    let images = std::mem::take(&mut index.images);
    advanced(chain, &index, images, records, identity, names, extras)
}

/// Returns the record of a chain after an imageset of these images.
fn advanced<I: Borrow<ImageEntry>>(
    chain: Chain,
    index: &Index,
    images: impl IntoIterator<Item = I>,
    records: Vec<ImageRecord>,
    identity: Option<&Digest>,
    names: &Names,
    extras: Extras,
) -> Chain {
    let place = |path: &Repository| names.place(path);
    let mut after = chain;
    if index.base < after.sequence() {
        after.forget_after(index.base);
    }
    for image in images {
        let image = image.borrow();
        let path = &image.destination.repository;
        let repository = place(path);
        // A prefix alone changes no name.
        if !format!("/{repository}").ends_with(&format!("/{path}")) {
            after.names.insert(repository.clone(), path.clone());
        }
        for descriptor in image.manifests.iter().chain(&image.blobs) {
            after.note_blob(descriptor, index.sequence, &repository);
        }
        let content = image.manifests.iter().chain(&image.blobs).map(|d| &d.digest);
        after.note_image(&image.root.digest, content);
    }
    let images = Images::from(records);
    let images = match after.last() {
        Some(last) => images.sharing(&last.images),
        None => images,
    };
    after.imagesets.push(ImagesetRecord {
        sequence: index.sequence,
        base: index.base,
        index: identity.cloned(),
        created: index.created.clone(),
        images,
        plugin_state: extras.state,
        files: extras.files,
        quarantined: index.quarantined.clone(),
    });
    after
}

/// Returns the records of all images of an imageset, in the order of the configuration.
fn image_records(chain: &Chain, index: &Index, names: &Names) -> Vec<ImageRecord> {
    enum Said<'a> {
        Now(&'a ImageEntry),
        Before(&'a [RecordId]),
    }

    let described = index.images.iter().map(Said::Now);
    let own = index.unchanged.iter().map(|image| Said::Before(&image.records));
    let about = index.unchanged.iter().flat_map(|image| &image.about);
    let about = about.map(|id| Said::Before(std::slice::from_ref(id)));
    let all = in_order(index, described, own.chain(about));
    let before = Records::last(chain, names);
    // Most have one name.
    let mut images = Vec::with_capacity(all.len());
    for said in all {
        match said {
            Said::Now(image) => images.extend(records(image, |path| names.place(path))),
            Said::Before(ids) => images.extend(ids.iter().filter_map(|id| before.get(id)).cloned()),
        }
    }
    images
}

/// Returns one record for each name that an image was asked for by.
pub(super) fn records(image: &ImageEntry, place: impl Fn(&Repository) -> Repository) -> Vec<ImageRecord> {
    let repository = place(&image.destination.repository);
    let reasons = Reason::of(&image.request);
    let record = |(kind, origin): (&str, &str)| ImageRecord {
        origin: origin.to_owned(),
        kind: kind.to_owned(),
        destination: Destination { repository: repository.clone(), tag: image.destination.tag.clone() },
        digest: image.root.digest.clone(),
        reasons: reasons.clone(),
    };
    origins(&image.request).map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_mirror_model::attributes::Attributes;
    use oc_mirror_model::request::ImageRequest;
    use uuid::Uuid;

    fn blob(text: &str) -> Descriptor {
        Descriptor::of(media_type::OCI_LAYER_GZIP, text.as_bytes())
    }

    fn image(name: &str, blobs: &[&str]) -> ImageEntry {
        let origin = format!("r.example/{name}:1");
        let root = Descriptor::of(media_type::OCI_MANIFEST, format!("{name}{blobs:?}").as_bytes());
        let request = ImageRequest {
            source: origin.clone(),
            origin,
            kind: "additional".to_owned(),
            target_repository: None,
            target_tag: None,
            platforms: Vec::new(),
            with_referrers: false,
            provenance: Attributes::new(),
        };
        ImageEntry {
            plugin: "additional".to_owned(),
            destination: request.destination(&root.digest).expect("a destination"),
            request,
            manifests: vec![root.clone()].into(),
            root,
            blobs: blobs.iter().map(|b| blob(b)).collect(),
            sparse: false,
        }
    }

    fn index(sequence: u64, base: u64, images: Vec<ImageEntry>) -> Index {
        Index {
            format: oc_mirror_model::imageset::FORMAT,
            uid: Uuid::nil(),
            sequence,
            base,
            previous: None,
            created: String::new(),
            created_by: String::new(),
            chunks: Vec::new(),
            entries: Vec::new(),
            images,
            unchanged: Vec::new(),
            positions: Vec::new(),
            required: Vec::new(),
            refused: Vec::new(),
            policies: Vec::new(),
            signed_by: Vec::new(),
            quarantined: Vec::new(),
        }
    }

    fn advanced(chain: &Chain, index: &Index) -> Chain {
        let (names, extras) = (Names::default(), Extras::default());
        let after = advance(chain.clone(), index, None, &names, extras.clone());
        assert_eq!(advance_over(chain.clone(), index.clone(), None, &names, extras), after);
        after
    }

    fn carried_blobs(images: &[ImageEntry], chain: &Chain, base: u64) -> Vec<Digest> {
        let all = carried(images, chain, base).filter(|(_, content)| !content.is_manifest());
        all.map(|(_, blob)| blob.digest.clone()).collect()
    }

    #[test]
    fn only_what_is_new_is_carried() {
        let chain = Chain::new(Uuid::nil());
        let first = vec![image("a", &["base", "a"])];
        let full = content(&first, &chain, 0);
        assert_eq!((full.manifests, full.blobs, full.saved_bytes), (1, 2, 0));
        let chain = advanced(&chain, &index(1, 0, first.clone()));

        let second = vec![image("a", &["base", "a"]), image("b", &["base", "b"])];
        let delta = content(&second, &chain, 1);
        assert_eq!(carried_blobs(&second, &chain, 1), [blob("b").digest]);
        let needed = required(&second, &chain, 1);
        assert_eq!(delta.saved_bytes, needed.iter().map(|r| r.descriptor.size).sum::<u64>());
        let base = needed.iter().find(|r| r.descriptor.digest == blob("base").digest).expect("required");
        assert_eq!(base.repositories, ["a".parse().expect("a repository")]);
        let none = BTreeMap::new();
        assert!(is_unchanged(&first, &none, chain.last()) && !is_unchanged(&second, &none, chain.last()));
        let file = BTreeMap::from([("files/a".to_owned(), blob("a").digest)]);
        assert!(!is_unchanged(&first, &file, chain.last()));
    }

    #[test]
    fn a_cumulative_imageset_carries_what_a_lost_one_did() {
        let chain = Chain::new(Uuid::nil());
        let chain = advanced(&chain, &index(1, 0, vec![image("a", &["base"])]));
        let chain = advanced(
            &chain,
            &index(2, 1, vec![image("a", &["base"]), image("b", &["b"]), image("c", &["c"])]),
        );
        // Sequence 2 is lost, and `c` is no longer wanted when the cure is made.
        let cure = vec![image("a", &["base"]), image("b", &["b"])];
        assert_eq!(carried_blobs(&cure, &chain, 1), [blob("b").digest]);
        let chain = advanced(&chain, &index(3, 1, cure));
        // A target that went from 1 to 3 never got `c`; it must be carried when it is wanted again.
        let again = vec![image("a", &["base"]), image("b", &["b"]), image("c", &["c"])];
        assert_eq!(carried_blobs(&again, &chain, 3), [blob("c").digest]);
    }

    #[test]
    fn one_name_is_one_image() {
        let (one, mut two) = (image("a", &["x"]), image("a", &["y"]));
        assert!(merge(vec![one.clone(), one.clone()]).is_ok_and(|m| m.len() == 1));
        two.request.origin = "other.example/a:1".to_owned();
        let collision = merge(vec![one, two]).expect_err("both are `a:1`");
        assert!(collision.to_string().contains("would both be published as `a:1`"), "{collision}");
    }

    #[test]
    fn one_image_of_two_registries_is_recorded_for_both() {
        let one = image("a", &["x"]);
        let from = |registry: &str, kind: &str| {
            let mut other = one.clone();
            (other.request.origin, other.request.kind) = (format!("{registry}/a:1"), kind.to_owned());
            other
        };
        let (two, three) = (from("other.example", "related"), from("third.example", "additional"));
        let merged = merge(vec![one.clone(), two.clone(), one.clone(), three, two]).expect("one image");
        let chain = advanced(&Chain::new(Uuid::nil()), &index(1, 0, merged.clone()));
        let records: Vec<_> =
            chain.imagesets[0].images.iter().map(|i| (i.kind.as_str(), i.origin.as_str())).collect();
        assert_eq!(
            records,
            [
                ("additional", "r.example/a:1"),
                ("related", "other.example/a:1"),
                ("additional", "third.example/a:1")
            ]
        );
        let none = BTreeMap::new();
        assert!(is_unchanged(&merged, &none, chain.last()));
        assert!(!is_unchanged(&[one], &none, chain.last()), "clusters are told of one name less");
    }

    #[test]
    fn another_tag_of_the_same_origin_changes_nothing_and_another_registry_does() {
        let mut image = image("a", &["x"]);
        let chain = advanced(&Chain::new(Uuid::nil()), &index(1, 0, vec![image.clone()]));
        let none = BTreeMap::new();
        image.request.origin = format!("r.example/a:1@{}", image.root.digest);
        assert!(is_unchanged(std::slice::from_ref(&image), &none, chain.last()));
        image.request.origin = "other.example/a:1".to_owned();
        assert!(!is_unchanged(&[image], &none, chain.last()));
    }

    #[test]
    fn an_image_of_two_catalogs_is_offered_by_both() {
        let of = |catalog: &str| {
            let mut image = image("a", &["x"]);
            image.request.provenance.insert(CATALOG.to_owned(), catalog.to_owned());
            image
        };
        let merged = merge(vec![of("index:1"), of("index:2"), of("index:1")]).expect("one image");
        let [image] = merged.as_slice() else { panic!("{merged:?}") };
        let offers = ["index:1", "index:2", "index"].map(|catalog| is_offered_by(&image.request, catalog));
        assert_eq!(offers, [true, true, false]);
    }
}
