//! Which images an imageset need not describe, and that records say the same whether it does or not.

use oc_mirror_model::ImageRequest;
use oc_mirror_model::attributes::Attributes;
use oc_mirror_model::imageset::FORMAT;
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::media_type;
use oc_mirror_model::metadata::{ChartUse, Offer, Reason};
use oc_mirror_model::request::Destination;
use proptest::prelude::*;
use rstest::rstest;
use uuid::Uuid;

use super::*;
use crate::plan::imageset::{Extras, advance, carried};

type Files = BTreeMap<String, Digest>;

/// An image of one layer, named by its content, at `r.example/NAME:v1`.
fn image(name: &str, layer: &str) -> ImageEntry {
    let origin = format!("r.example/{name}:v1");
    let root = Descriptor::of(media_type::OCI_MANIFEST, format!("manifest of {layer}").as_bytes());
    let request = ImageRequest {
        source: origin.clone(),
        origin,
        kind: kind::ADDITIONAL.to_owned(),
        target_repository: None,
        target_tag: None,
        platforms: Vec::new(),
        with_referrers: false,
        provenance: Attributes::new(),
    };
    ImageEntry {
        plugin: "test".to_owned(),
        destination: request.destination(&root.digest).expect("a destination"),
        request,
        manifests: vec![root.clone()].into(),
        root,
        blobs: vec![Descriptor::of(media_type::OCI_LAYER_GZIP, layer.as_bytes())].into(),
        sparse: false,
    }
}

fn with(mut image: ImageEntry, kind: &str, facts: &[(&str, &str)]) -> ImageEntry {
    image.request.kind = kind.to_owned();
    let facts = facts.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    image.request.provenance.extend(facts);
    image
}

/// A signature of an image, beside it.
fn signature(of: &ImageEntry, content: &str) -> ImageEntry {
    let mut entry = image("signature", content);
    entry.destination = Destination {
        repository: of.destination.repository.clone(),
        tag: format!("{}.sig", of.root.digest.to_string().replace(':', "-")).parse().expect("a tag"),
    };
    entry.request.origin = format!("r.example/{}:{}", entry.destination.repository, entry.destination.tag);
    let subject = of.root.digest.to_string();
    let facts = [
        (provenance::SUBJECT, subject.as_str()),
        (provenance::SUBJECT_ORIGIN, &of.request.origin),
        (provenance::SUBJECT_KIND, &of.request.kind),
    ];
    with(entry, kind::SIGNATURE, &facts)
}

fn index(sequence: u64, base: u64, split: Split) -> Index {
    Index {
        format: FORMAT,
        uid: Uuid::nil(),
        sequence,
        base,
        previous: None,
        created: String::new(),
        created_by: String::new(),
        chunks: Vec::new(),
        entries: Vec::new(),
        images: split.images,
        unchanged: split.unchanged,
        positions: split.positions,
        required: Vec::new(),
        refused: Vec::new(),
        policies: Vec::new(),
        signed_by: Vec::new(),
        quarantined: Vec::new(),
    }
}

fn full(sequence: u64, base: u64, images: &[ImageEntry]) -> Index {
    index(sequence, base, Split { images: images.to_vec(), ..Split::default() })
}

fn advanced(chain: &Chain, index: &Index, names: &Names, files: &Files) -> Chain {
    advance(chain.clone(), index, None, names, Extras { files: files.clone(), ..Extras::default() })
}

/// A chain of full imagesets.
fn chain(imagesets: &[&[ImageEntry]]) -> Chain {
    at(&Names::default(), imagesets)
}

/// The same at a target with these names.
fn at(names: &Names, imagesets: &[&[ImageEntry]]) -> Chain {
    (1..).zip(imagesets).fold(Chain::new(Uuid::nil()), |chain, (sequence, images)| {
        advanced(&chain, &full(sequence, sequence - 1, images), names, &Files::new())
    })
}

/// The names of what is described, and of what is not.
fn split_names(all: &[ImageEntry], chain: &Chain, base: u64) -> (Vec<String>, Vec<String>) {
    let split = split(all, &Files::new(), chain, base);
    let name = |origin: &str| origin.trim_start_matches("r.example/").trim_end_matches(":v1").to_owned();
    (
        split.images.iter().map(|image| name(&image.request.origin)).collect(),
        split.unchanged.iter().map(|image| name(&image.origin)).collect(),
    )
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn ids_stay_what_they_are() {
    let record = ImageRecord {
        origin: "r.example/team/app:v1".to_owned(),
        kind: kind::ADDITIONAL.to_owned(),
        destination: Destination {
            repository: "far/team/app".parse().expect("a repository"),
            tag: "v1".parse().expect("a tag"),
        },
        digest: Digest::of(b"app"),
        reasons: vec![Reason::Named { origin: "whoever".to_owned() }],
    };
    let path: Repository = "team/app".parse().expect("a repository");
    let id = serde_json::to_string(&record.id(&path)).expect("text");
    // Imagesets that were made name images by this.
    assert_eq!(id, "\"7fd1308abd4470bf\"");
    let other: Repository = "team/other".parse().expect("a repository");
    assert_ne!(record.id(&other), record.id(&path));
}

#[test]
fn what_is_as_it_was_is_named_and_the_rest_described() {
    let (a, b) = (image("a", "1"), image("b", "2"));
    let before = chain(&[&[a.clone(), b.clone()]]);
    assert_eq!(split_names(&[a.clone(), b.clone()], &before, 1), (names(&[]), names(&["a", "b"])));
    assert_eq!(
        split_names(&[a.clone(), b.clone()], &before, 0),
        (names(&["a", "b"]), names(&[])),
        "a full one"
    );
    let new = image("c", "3");
    let all = [a.clone(), new, b.clone()];
    assert_eq!(split_names(&all, &before, 1), (names(&["c"]), names(&["a", "b"])));
    assert_eq!(split(&all, &Files::new(), &before, 1).positions, [1]);
    let moved = image("a", "2");
    assert_eq!(split_names(&[moved, b.clone()], &before, 1), (names(&["a"]), names(&["b"])));
    let mut elsewhere = b.clone();
    elsewhere.destination.repository = "b2".parse().expect("a repository");
    assert_eq!(split_names(&[a.clone(), elsewhere], &before, 1), (names(&["b"]), names(&["a"])));
    let wanted = with(b, kind::ADDITIONAL, &[(provenance::WANTED, "r.example/c:v1")]);
    assert_eq!(
        split_names(&[a.clone(), wanted], &before, 1),
        (names(&["b"]), names(&["a"])),
        "also for another"
    );
    let also = with(a, kind::ADDITIONAL, &[(provenance::ALSO, "additional s.example/a:v1")]);
    assert_eq!(
        split_names(std::slice::from_ref(&also), &before, 1),
        (names(&["a"]), names(&[])),
        "by another name, too"
    );
    let after = chain(&[std::slice::from_ref(&also)]);
    let named = split(&[also], &Files::new(), &after, 1).unchanged;
    assert_eq!(named[0].records.len(), 2);
}

#[test]
fn it_has_to_be_as_it_was_wherever_a_target_may_be() {
    let (a, b, moved) = (image("a", "1"), image("b", "2"), image("a", "3"));
    let all = [a.clone(), b.clone()];
    let before = chain(&[&all, &[moved, b.clone()], &all]);
    assert_eq!(split_names(&all, &before, 3), (names(&[]), names(&["a", "b"])));
    assert_eq!(split_names(&all, &before, 2), (names(&["a"]), names(&["b"])));
    assert_eq!(split_names(&all, &before, 1), (names(&["a"]), names(&["b"])));
    let gone = chain(&[&all, std::slice::from_ref(&b)]);
    assert_eq!(split_names(&all, &gone, 1), (names(&["a"]), names(&["b"])));
    // What no record goes back to, nobody knows.
    let mut cut = before;
    cut.imagesets.remove(0);
    assert_eq!(split_names(&all, &cut, 1), (names(&["a", "b"]), names(&[])));
}

#[test]
fn all_of_it_has_to_be_there() {
    let a = image("a", "1");
    let known = chain(&[std::slice::from_ref(&a)]);
    let layer = &a.blobs[0].digest;
    let mut later = known.clone();
    later.blobs.get_mut(layer).expect("known").sequence = 2;
    let mut elsewhere = known.clone();
    elsewhere.blobs.get_mut(layer).expect("known").repositories =
        ["other".parse().expect("a repository")].into();
    let mut forgotten = known.clone();
    forgotten.blobs.remove(layer);
    let mut silent = known.clone();
    silent.blobs.get_mut(&a.root.digest).expect("known").holds.clear();
    for (number, chain) in [later, elsewhere, forgotten, silent].iter().enumerate() {
        assert_eq!(split_names(std::slice::from_ref(&a), chain, 1).0, names(&["a"]), "{number}");
    }
    assert_eq!(split_names(&[a], &known, 1).1, names(&["a"]));
}

#[test]
fn what_cannot_be_told_apart_is_described() {
    let a = image("a", "1");
    let mut chain = chain(&[std::slice::from_ref(&a)]);
    let twice = chain.imagesets[0].images[0].clone();
    chain.imagesets[0].images.push(twice);
    assert_eq!(split_names(&[a], &chain, 1), (names(&["a"]), names(&[])));
}

#[test]
fn catalogs_are_described_where_their_template_may_be_another() {
    let catalog = with(image("index", "1"), kind::CATALOG, &[]);
    let before = chain(&[std::slice::from_ref(&catalog)]);
    assert_eq!(split_names(std::slice::from_ref(&catalog), &before, 1).1, names(&["index"]));
    let file = Files::from([("files/x".to_owned(), Digest::of(b"x"))]);
    assert_eq!(split(std::slice::from_ref(&catalog), &file, &before, 1).unchanged, []);
    let templated = with(catalog, kind::CATALOG, &[("catalog-source-template", "t.yaml")]);
    let before = chain(&[std::slice::from_ref(&templated)]);
    assert_eq!(split_names(&[templated], &before, 1).1, names(&[]));
}

#[test]
fn a_described_catalog_says_which_named_images_it_offers() {
    let offered = with(image("op", "1"), kind::RELATED, &[("catalog", "r.example/index:v1")]);
    let other = image("a", "2");
    let catalog = |layer| with(image("index", layer), kind::CATALOG, &[]);
    let before = chain(&[&[other.clone(), offered.clone(), catalog("3")]]);
    let all = [other, offered, catalog("4")];
    let split = split(&all, &Files::new(), &before, 1);
    let offers: Vec<_> = split.unchanged.iter().map(|image| image.offered_by.clone()).collect();
    assert_eq!((split.positions, offers), (vec![2], vec![vec![], vec![2]]));
}

#[test]
fn signatures_are_named_with_their_image_and_else_described() {
    let (a, b) = (image("a", "1"), image("b", "2"));
    let (of_a, of_b) = (signature(&a, "sa"), signature(&b, "sb"));
    let all = [a.clone(), b.clone(), of_a.clone(), of_b.clone()];
    let before = chain(&[&all]);
    let named = split(&all, &Files::new(), &before, 1);
    assert_eq!((named.images.len(), named.unchanged.len()), (0, 2));
    assert!(named.unchanged.iter().all(|image| image.about.len() == 1));
    // Signed anew: the image is as it was.
    let anew = signature(&a, "sa2");
    let split = split(&[a, b.clone(), anew.clone(), of_b.clone()], &Files::new(), &before, 1);
    assert_eq!((split.images, split.positions), (vec![anew], vec![2]));
    assert_eq!(split.unchanged.iter().map(|image| image.about.len()).collect::<Vec<_>>(), [0, 1]);
    // A signature of what is described is described.
    let also = with(b, kind::ADDITIONAL, &[(provenance::ALSO, "additional s.example/b:v1")]);
    let split = super::split(&[also, of_b], &Files::new(), &before, 1);
    assert_eq!((split.images.len(), split.unchanged.len()), (2, 0));
}

#[rstest]
#[case::plain(None, None)]
#[case::below_a_prefix(Some("far/away"), None)]
#[case::joined(Some("far"), Some(2))]
fn records_are_the_same_on_either_side(#[case] prefix: Option<&str>, #[case] most: Option<usize>) {
    let there = Names::new(prefix.map(|p| p.parse().expect("a prefix")), most);
    let a = with(image("deep/er/a", "1"), kind::ADDITIONAL, &[(provenance::ALSO, "related s.example/a:v1")]);
    let b = image("deep/b", "2");
    let all = [b.clone(), image("c", "3"), a.clone(), signature(&a, "s")];
    let first = [a.clone(), b, signature(&a, "s")];
    let named = index(2, 1, split(&all, &Files::new(), &chain(&[&first]), 1));
    assert_eq!((named.images.len(), named.unchanged.len()), (1, 2));
    let (before, with_all) = (at(&there, &[&first]), at(&there, &[&first, &all]));
    assert_eq!(advanced(&before, &named, &there, &Files::new()), with_all);
    let here = advanced(&chain(&[&first]), &named, &Names::default(), &Files::new());
    assert_eq!(here, chain(&[&first, &all]));
    // And what is said of the images is what a full imageset says.
    let at_hand = AtHand::default();
    let known = There::new(Some(&before), 1, &there, &at_hand);
    let asked = ask(&named, &known);
    assert_eq!((&*asked.index, asked.lost.len()), (&named, 0));
    let told = |images: &[ImageEntry]| -> Vec<_> {
        let one = |i: &ImageEntry| {
            (i.request.origin.clone(), i.destination.clone(), i.root.clone(), i.blobs.clone())
        };
        images.iter().map(one).collect()
    };
    assert_eq!(told(&whole(&named, &known)), told(&all));
    let mut one_by_one: Vec<ImageEntry> = each(&named, &known).collect();
    one_by_one.sort_by_key(|image| all.iter().position(|other| other.destination == image.destination));
    assert_eq!(told(&one_by_one), told(&all));
}

#[test]
fn what_moved_at_the_target_is_published_again() {
    let a = image("deep/er/a", "1");
    let named =
        index(2, 1, split(std::slice::from_ref(&a), &Files::new(), &chain(&[std::slice::from_ref(&a)]), 1));
    let before = at(&Names::new(None, Some(2)), &[std::slice::from_ref(&a)]);
    let now = Names::new(None, Some(1));
    let asked = ask(&named, &There::new(Some(&before), 1, &now, &AtHand::default()));
    let [entry] = asked.index.images.as_slice() else { panic!("{asked:?}") };
    assert_eq!(entry.destination, a.destination);
    assert!(asked.index.unchanged.is_empty() && asked.lost.is_empty());
    let after = advanced(&before, &asked.index, &now, &Files::new());
    assert_eq!(after.imagesets[1].images, at(&now, &[std::slice::from_ref(&a)]).imagesets[0].images);
}

#[test]
fn what_a_target_lacks_is_looked_for_elsewhere() {
    let (a, b) = (image("a", "1"), image("b", "2"));
    let all = [a.clone(), b.clone()];
    let here = chain(&[&all, &all]);
    let named = index(3, 2, split(&all, &Files::new(), &here, 2));
    assert_eq!(named.unchanged.len(), 2);
    let (names, nothing) = (Names::default(), AtHand::default());
    // It was in quarantine in the second sequence: the first record tells of it.
    let mut there = here.clone();
    drop_image(&mut there, 1, 0);
    let asked = ask(&named, &There::new(Some(&there), 2, &names, &nothing));
    assert_eq!(
        asked.index.images.iter().map(|i| i.destination.clone()).collect::<Vec<_>>(),
        std::slice::from_ref(&a.destination)
    );
    assert_eq!((asked.index.unchanged.len(), asked.lost.len(), &asked.index.positions), (1, 0, &vec![0]));
    let after = advanced(&there, &asked.index, &names, &Files::new());
    assert_eq!(after.imagesets[2].images, here.imagesets[1].images);
    // It is in no record: an imageset at hand tells of it, if it is exactly that.
    drop_image(&mut there, 0, 0);
    let first = full(1, 0, &all);
    let asked = ask(&named, &There::new(Some(&there), 2, &names, &AtHand::of([&first])));
    assert_eq!((&asked.index.images, asked.lost.len()), (&vec![a.clone()], 0));
    let mut elsewhere = a.clone();
    elsewhere.destination.repository = "a2".parse().expect("a repository");
    for other in [image("a", "3"), elsewhere] {
        let other = full(1, 0, &[other]);
        let asked = ask(&named, &There::new(Some(&there), 2, &names, &AtHand::of([&other])));
        assert_eq!(asked.lost.iter().map(|i| i.origin.as_str()).collect::<Vec<_>>(), ["r.example/a:v1"]);
        assert_eq!((asked.index.images.len(), asked.index.unchanged.len()), (0, 1));
    }
    let asked = ask(&named, &There::new(None, 2, &names, &nothing));
    assert_eq!(asked.lost.len(), 2);
}

/// Takes one of the images out of an imageset's record.
fn drop_image(chain: &mut Chain, imageset: usize, place: usize) {
    let images = &mut chain.imagesets[imageset].images;
    *images =
        images.iter().enumerate().filter(|(at, _)| *at != place).map(|(_, image)| image.clone()).collect();
}

#[test]
fn an_image_without_its_signature_is_lost() {
    let a = image("a", "1");
    let all = [a.clone(), signature(&a, "s")];
    let mut there = chain(&[&all]);
    let named = index(2, 1, split(&all, &Files::new(), &there, 1));
    drop_image(&mut there, 0, 1);
    let asked = ask(&named, &There::new(Some(&there), 1, &Names::default(), &AtHand::default()));
    assert_eq!((asked.lost.len(), asked.index.unchanged.len(), asked.index.images.len()), (1, 0, 0));
    let first = full(1, 0, &all);
    let asked = ask(&named, &There::new(Some(&there), 1, &Names::default(), &AtHand::of([&first])));
    assert_eq!((asked.lost.len(), &asked.index.images[..]), (0, &all[1..]));
    assert_eq!(asked.index.unchanged[0].about, []);
}

#[test]
fn lists_that_others_write_to_are_asked_for() {
    let a = image("a", "1");
    let mut list = signature(&a, "list");
    list.request.kind = kind::REFERRERS.to_owned();
    let all = [a, list.clone()];
    let there = chain(&[&all]);
    let named = index(2, 1, split(&all, &Files::new(), &there, 1));
    assert_eq!((named.images.len(), named.unchanged[0].about.len()), (0, 1));
    let names = Names::default();
    let asked = ask(&named, &There::new(Some(&there), 1, &names, &AtHand::default()));
    let [rebuilt] = asked.index.images.as_slice() else { panic!("{asked:?}") };
    assert_eq!((&rebuilt.root, &rebuilt.destination), (&list.root, &list.destination));
    assert!(rebuilt.request.provenance.contains_key(provenance::REFERRERS));
    assert_eq!(asked.index.unchanged[0].about, []);
    let after = advanced(&there, &asked.index, &names, &Files::new());
    assert_eq!(after, chain(&[&all, &all]));
}

#[test]
fn what_is_rebuilt_has_the_records_it_is_made_of() {
    let offer = |catalog: &str| Offer {
        catalog: catalog.to_owned(),
        package: "p".to_owned(),
        bundle: "p.v1".to_owned(),
        version: "1.0.0".to_owned(),
        channels: vec!["stable".to_owned()],
    };
    let offers = ImageRequest::written_offers(&[offer("r.example/x:v1"), offer("r.example/y:v1")]);
    let release =
        [(provenance::RELEASE, "4.20.1"), (provenance::ARCHITECTURE, "x86_64"), (provenance::CHANNEL, "a b")];
    let used = |name: &str| ChartUse {
        place: "https://c.example".to_owned(),
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
    };
    let charts = ImageRequest::written_charts(&[used("x"), used("y")]);
    let a = image("a", "1");
    let images = [
        with(image("f", "6"), kind::HELM, &[(provenance::CHARTS, &charts)]),
        with(
            image("g", "7"),
            kind::HELM,
            &[(provenance::CHARTS, &charts), (provenance::WANTED, "r.example/g:v1")],
        ),
        with(image("h", "8"), kind::HELM, &[]),
        with(image("i", "9"), kind::ADDITIONAL, &[(provenance::CHARTS, &charts)]),
        with(
            image("b", "2"),
            kind::RELATED,
            &[(provenance::OFFERS, &offers), ("catalog", "r.example/x:v1\nr.example/y:v1")],
        ),
        with(image("c", "3"), kind::RELEASE, &release),
        with(
            image("d", "4"),
            kind::ADDITIONAL,
            &[(provenance::ALSO, "helm s.example/d:v1"), (provenance::WANTED, "s.example/d:v1")],
        ),
        with(image("e", "5"), kind::BUNDLE, &[(provenance::WANTED, "r.example/e:v1")]),
        signature(&a, "s"),
        a,
    ];
    let chain = chain(&[&images]);
    for entry in &images {
        let expected = records(entry, Repository::clone);
        let subject = entry.request.is_companion().then(|| UnchangedImage {
            origin: entry.request.provenance[provenance::SUBJECT_ORIGIN].to_owned(),
            kind: entry.request.provenance[provenance::SUBJECT_KIND].to_owned(),
            records: Vec::new(),
            about: Vec::new(),
            offered_by: Vec::new(),
        });
        let found: Vec<&ImageRecord> = expected.iter().collect();
        let path = entry.destination.repository.clone();
        let rebuilt = rebuild::rebuild(&chain, &found, path, subject.as_ref()).expect("all is known");
        assert_eq!(records(&rebuilt, Repository::clone), expected);
        assert_eq!((&rebuilt.manifests, &rebuilt.blobs), (&entry.manifests, &entry.blobs));
        let facts = |image: &ImageEntry| {
            let keys = ["catalog", provenance::SUBJECT, provenance::SUBJECT_ORIGIN, provenance::SUBJECT_KIND];
            keys.map(|key| image.request.provenance.get(key).map(str::to_owned))
        };
        assert_eq!(facts(&rebuilt), facts(entry));
    }
}

#[test]
fn the_order_is_that_of_the_configuration_whatever_is_said_of_it() {
    let mut index = full(1, 0, &[]);
    let order = |index: &Index, described: &[&str]| {
        in_order(index, described.iter().copied(), ["x", "y", "z"]).concat()
    };
    index.positions = vec![1, 3];
    assert_eq!(order(&index, &["a", "b"]), "xaybz");
    index.positions = vec![0, 9];
    assert_eq!(order(&index, &["a", "b"]), "axyzb");
    index.positions = Vec::new();
    assert_eq!(order(&index, &["a", "b"]), "abxyz");
    index.positions = vec![3, 1, 2];
    assert_eq!(order(&index, &["a"]), "xyza");
}

/// What one sequence of a made-up chain has, and what it builds on.
#[derive(Clone, Debug)]
struct Step {
    /// Of each image: nothing where it is not wanted; else its content, whether it is signed, where it goes, and who wants it.
    images: Vec<Option<(u8, bool, bool, bool)>>,
    /// How many sequences it goes back, if the chain has so many.
    back: u64,
    /// Whether the target gets it.
    arrives: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let image = proptest::option::weighted(
        0.8,
        (0..2_u8, any::<bool>(), prop::bool::weighted(0.1), prop::bool::weighted(0.1)),
    );
    (prop::collection::vec(image, 5), 0..3_u64, any::<bool>()).prop_map(|(images, back, arrives)| Step {
        images,
        back,
        arrives,
    })
}

fn entries(step: &Step) -> Vec<ImageEntry> {
    let mut all = Vec::new();
    let mut beside = Vec::new();
    for (number, wanted) in step.images.iter().enumerate() {
        let Some((content, signed, elsewhere, also)) = wanted else { continue };
        // Some share what they consist of.
        let mut image = image(&format!("deep/er/{number}"), &format!("{}{content}", number % 3));
        if *elsewhere {
            image.destination.repository = format!("else/where/{number}").parse().expect("a repository");
        }
        if *also {
            let name = format!("additional s.example/{number}:v1");
            image.request.provenance.insert(provenance::ALSO.to_owned(), name);
        }
        if *signed {
            beside.push(signature(&image, &format!("s{number}{content}")));
        }
        all.push(image);
    }
    all.extend(beside);
    all
}

proptest! {
    /// Whatever happens to a chain, naming images leaves the records that describing them does.
    #[test]
    fn records_do_not_depend_on_how_images_are_told(steps in prop::collection::vec(step(), 1..8)) {
        let here = Names::default();
        let there = Names::new(Some("far".parse().expect("a prefix")), Some(2));
        let nothing = AtHand::default();
        let mut chain = Chain::new(Uuid::nil());
        let (mut named_target, mut full_target) = (chain.clone(), chain.clone());
        for (sequence, step) in (1..).zip(&steps) {
            let all = entries(step);
            let last = chain.sequence();
            // What the target has missed, the next one makes up for.
            let base = last.saturating_sub(step.back).min(named_target.sequence());
            let new: Vec<&Descriptor> = carried(&all, &chain, base).map(|(_, content)| content).collect();
            let named = index(sequence, base, split(all.as_slice(), &Files::new(), &chain, base));
            let full = full(sequence, base, &all);
            for image in all.iter().filter(|image| !named.images.contains(image)) {
                prop_assert!(image.manifests.iter().chain(&image.blobs).all(|d| !new.contains(&d)));
            }
            let after = advanced(&chain, &named, &here, &Files::new());
            prop_assert_eq!(&after, &advanced(&chain, &full, &here, &Files::new()));
            if step.arrives {
                let asked = ask(&named, &There::new(Some(&named_target), base.max(last), &there, &nothing));
                prop_assert_eq!((&*asked.index, asked.lost.len()), (&named, 0));
                named_target = advanced(&named_target, &named, &there, &Files::new());
                full_target = advanced(&full_target, &full, &there, &Files::new());
                prop_assert_eq!(&named_target, &full_target);
            }
            chain = after;
        }
    }
}
