use std::collections::HashSet;

use oc_mirror_model::attributes::Attributes;
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::reference::{Selector, Tag};
use oc_mirror_model::report::Workflow;
use rstest::rstest;

use super::*;
use crate::content::memory::Memory;

fn image(name: &str, kind: &str, tag: &str) -> ImageEntry {
    let origin = format!("r.example/{name}:{tag}");
    let request = ImageRequest {
        source: origin.clone(),
        origin,
        kind: kind.to_owned(),
        target_repository: None,
        target_tag: None,
        platforms: Vec::new(),
        with_referrers: false,
        provenance: Attributes::new(),
    };
    let root = Descriptor::of(media_type::OCI_MANIFEST, name.as_bytes());
    ImageEntry {
        plugin: "test".to_owned(),
        destination: request.destination(&root.digest).expect("a destination"),
        request,
        manifests: vec![root.clone()].into(),
        root,
        blobs: Vec::new().into(),
        sparse: false,
    }
}

fn beside(of: &ImageEntry, kind: &str, tag: &str, content: &str) -> ImageEntry {
    let mut entry = image(content, kind, tag);
    entry.destination = Destination { tag: entry.destination.tag, ..of.destination.clone() };
    let facts = [
        (provenance::SUBJECT, of.root.digest.to_string()),
        (provenance::SUBJECT_ORIGIN, of.request.origin.clone()),
        (provenance::SUBJECT_KIND, of.request.kind.clone()),
        (provenance::REFERRERS, String::new()),
    ];
    entry.request.provenance = facts.map(|(key, value)| (key.to_owned(), value)).into();
    entry
}

fn carried(entry: ImageEntry) -> Carried {
    let origin = Origin {
        read: Arc::new(Memory::default()),
        repository: entry.destination.repository.clone(),
        selector: Selector::Digest(entry.root.digest.clone()),
    };
    Carried { entry, origin: Arc::new(origin), made: None }
}

fn noted(entries: &[ImageEntry], generated: &[&ImageEntry]) -> RunReport {
    let mut report = RunReport::new(Workflow::MirrorToDisk, false);
    let generated: HashSet<Destination> = generated.iter().map(|e| e.destination.clone()).collect();
    note(entries, &generated, &mut report);
    report
}

#[test]
fn an_image_by_digest_makes_room_for_the_list_of_its_referrers() {
    let mut one = image("app", kind::ADDITIONAL, "v1");
    one.destination.tag = Tag::of_referrers(&one.root.digest);
    let tag = one.destination.tag.clone();
    let list = carried(beside(&one, kind::REFERRERS, tag.as_str(), "list"));
    let mut images = [one, image("other", kind::ADDITIONAL, "v1")];
    let (placed, warnings) = make_room(&mut images, vec![list]);
    assert_eq!(images[0].destination.tag.as_str(), format!("{tag}.image"));
    assert_eq!(images[1].destination.tag.as_str(), "v1");
    assert_eq!((placed[0].entry.destination.tag.clone(), warnings.len()), (tag, 0));
}

#[test]
fn a_companion_yields_to_what_has_its_name() {
    let one = image("app", kind::ADDITIONAL, "v1");
    let companions = ["same", "same", "other"].map(|c| carried(beside(&one, kind::SIGNATURE, "x.sig", c)));
    let (placed, warnings) = make_room(&mut [one], companions.into());
    assert_eq!(placed.len(), 2);
    assert!(warnings[0].contains("r.example/other:x.sig"), "{warnings:?}");
}

#[test]
fn images_without_a_signature_are_listed() {
    let (signed, bundled) = (image("a", kind::RELATED, "v1"), image("b", kind::RELATED, "v1"));
    let (listed, generated) = (image("c", kind::RELATED, "v1"), image("d", kind::CATALOG, "v1"));
    let entries = [
        beside(&signed, kind::SIGNATURE, "a.sig", "sig"),
        beside(&bundled, kind::REFERRERS, "b", "list"),
        beside(&listed, kind::SBOM, "c.sbom", "sbom"),
        signed,
        bundled,
        listed,
        generated.clone(),
    ];
    let report = noted(&entries, &[&generated]);
    assert_eq!((report.unsigned, report.warnings.len()), (vec!["r.example/c:v1".to_owned()], 0));
    assert_eq!(Table::new(&entries).count(&entries[3]), 1);
}

#[rstest]
#[case::signed(true, true, None)]
#[case::unsigned(false, false, Some("2 of 2 images"))]
#[case::one_instance(true, false, Some("1 of 2 images"))]
fn releases_without_signatures_are_told_once(
    #[case] payload: bool,
    #[case] instance: bool,
    #[case] expected: Option<&str>,
) {
    let release = image("release", kind::RELEASE, "4.21.0");
    let mut content = image("content", kind::RELEASE_CONTENT, "4.21.0-x");
    // An index is not run, so that its own signature may be missing.
    let list = Descriptor::of(media_type::OCI_INDEX, b"list");
    content.manifests = content.manifests.iter().chain([&list]).cloned().collect();
    let mut entries = Vec::new();
    if payload {
        entries.push(beside(&release, kind::SIGNATURE, "r.sig", "r"));
    }
    if instance {
        entries.push(beside(&content, kind::SIGNATURE, "c.sig", "c"));
    }
    content.root = list;
    entries.extend([release, content]);
    let warnings = noted(&entries, &[]).warnings;
    assert_eq!(warnings.len(), usize::from(expected.is_some()), "{warnings:?}");
    assert!(
        expected.is_none_or(|text| warnings[0].contains(text) && warnings[0].contains("4.21")),
        "{warnings:?}"
    );
}

#[test]
fn a_failed_companion_is_one_of_its_image() {
    let one = image("app", kind::RELEASE, "4.21.0");
    let signature = beside(&one, kind::SIGNATURE, "x.sig", "sig");
    assert_eq!(exit_code(&signature.request), exit::RELEASE);
    let failure = Failure {
        subject: signature.request.origin.clone(),
        kind: kind::SIGNATURE.to_owned(),
        message: "not found".to_owned(),
        hint: None,
        exit_code: exit::ADDITIONAL,
    };
    let other = Failure { subject: "r.example/x:1".to_owned(), ..failure.clone() };
    let entries = [one, signature];
    assert_eq!(of_image(other.clone(), &entries), other);
    let told = of_image(failure, &entries);
    assert_eq!((told.subject.as_str(), told.kind.as_str()), ("r.example/app:4.21.0", kind::RELEASE));
    assert_eq!((told.message.as_str(), told.exit_code), ("`r.example/sig:x.sig`: not found", exit::RELEASE));
}

#[rstest]
#[case("quay.io/a/b:v1", "quay.io/a/b:sha256-x.sig")]
#[case("oci:dir", "oci:dir:sha256-x.sig")]
#[case("oci:dir:v1", "oci:dir:sha256-x.sig")]
#[case("oci:dir:team/app:v1", "oci:dir:team/app:sha256-x.sig")]
fn companions_lie_beside_their_image(#[case] image: &str, #[case] expected: &str) {
    let source: Source = image.parse().expect("a source");
    let tag: Tag = "sha256-x.sig".parse().expect("a tag");
    assert_eq!(search::beside(&source, &tag).to_string(), expected);
}
