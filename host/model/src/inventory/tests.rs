use serde_json::{Value, json};

use super::*;
use crate::manifest::Descriptor;

fn image(origin: &str, kind: &str, provenance: &[(&str, &str)]) -> ImageEntry {
    let provenance: serde_json::Map<String, Value> =
        provenance.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let root = Descriptor::of("application/vnd.oci.image.manifest.v1+json", origin.as_bytes());
    serde_json::from_value(json!({
        "plugin": "p",
        "source": origin,
        "origin": origin,
        "kind": kind,
        "provenance": provenance,
        "destination": { "repository": "a/b", "tag": kind },
        "root": root,
        "manifests": [root],
        "blobs": [Descriptor::of("application/x", b"layer")],
    }))
    .expect("an image")
}

fn index(sequence: u64, images: Vec<ImageEntry>) -> Index {
    let mut index: Index = serde_json::from_value(json!({
        "format": "1.1",
        "uid": Uuid::nil(),
        "sequence": sequence,
        "base": sequence - 1,
        "created": "2026-01-02T03:04:05Z",
        "createdBy": "oc-mirror 0.1.0",
        "chunks": [],
        "entries": [],
        "images": [],
        "refused": [{ "origin": "x.io/bad:1", "kind": "additional", "policy": "block", "code": "block.name",
            "message": "it is blocked" }],
    }))
    .expect("an index");
    index.images = images;
    index
}

fn opened(index: &Index) -> Opened<'_> {
    Opened {
        index,
        identity: Digest::of(&[0]),
        verified: Vec::new(),
        unchanged: Vec::new(),
        elsewhere: Vec::new(),
    }
}

fn example() -> Inventory {
    let offer = r#"[["r.io/index:v1","loki","loki.v1","1.0.0",["stable"]]]"#;
    let bundle = image("r.io/loki/bundle@sha256:00", kind::BUNDLE, &[("offers", offer)]);
    let subject = bundle.root.digest.to_string();
    let images = vec![
        image("r.io/index:v1", kind::CATALOG, &[]),
        bundle,
        image("r.io/loki/loki:1", kind::RELATED, &[("offers", offer)]),
        image("r.io/loki/bundle:sig", kind::SIGNATURE, &[("subject", &subject)]),
        image("q.io:5000/Rel/ease:4", kind::RELEASE, &[("release", "4.20.1"), ("architecture", "amd64")]),
        image("q.io/part:1", kind::RELEASE_CONTENT, &[("release", "4.20.1"), ("architecture", "amd64")]),
    ];
    let first = index(1, vec![image("q.io/gone:1", kind::ADDITIONAL, &[])]);
    let second = index(2, images);
    let sets = vec![opened(&first), opened(&second)];
    inventory(sets, "2026-01-02T03:04:05Z", "oc-mirror 0.1.0").expect("there are imagesets")
}

#[test]
fn what_belongs_to_what_is_found() {
    let found = example();
    let name = |id: &str| found.images.iter().find(|image| image.id == id).expect("there").kind.clone();
    let related: BTreeSet<(String, Relation, String)> =
        found.relationships.iter().map(|r| (name(&r.from), r.relation, name(&r.to))).collect();
    let expected = [
        ("catalog", Relation::Contains, "bundle"),
        ("bundle", Relation::DependsOn, "related"),
        ("signature", Relation::IsAbout, "bundle"),
        ("release", Relation::Contains, "release-content"),
    ];
    assert_eq!(related, expected.map(|(a, is, b)| (a.to_owned(), is, b.to_owned())).into());
    let roots: Vec<&str> = found.roots().map(|image| image.kind.as_str()).collect();
    assert_eq!(roots, ["additional", "catalog", "release"]);
    assert_eq!((found.images[0].current, found.images[1].current), (false, true));
}

#[test]
fn package_urls_name_repository_digest_and_tag() {
    let digest = |text: &str| Digest::of(text.as_bytes());
    let of = |origin: &str| purl(&image(origin, kind::ADDITIONAL, &[]));
    let expected = format!(
        "pkg:oci/app@{}?repository_url=r.example:5000/team/app&tag=v1",
        digest("r.example:5000/team/app:v1")
    );
    assert_eq!(of("r.example:5000/team/app:v1"), expected);
    assert_eq!(of("oci:///srv/layout"), format!("pkg:oci/b@{}", digest("oci:///srv/layout")));
    assert_eq!(escaped("a+b c"), "a%2Bb%20c");
}

#[test]
fn documents_are_whole_and_the_same_again() {
    let found = example();
    let spdx = spdx::document(&found);
    assert_eq!(spdx, spdx::document(&example()));
    assert_eq!(spdx["packages"].as_array().map(Vec::len), Some(found.images.len() + 1));
    let ids: BTreeSet<&str> =
        spdx["packages"].as_array().expect("a list").iter().filter_map(|p| p["SPDXID"].as_str()).collect();
    for related in spdx["relationships"].as_array().expect("a list") {
        let ends = ["spdxElementId", "relatedSpdxElement"].map(|key| related[key].as_str().expect("text"));
        assert!(ends.iter().all(|end| ids.contains(end) || *end == "SPDXRef-DOCUMENT"), "{related}");
    }
    let is_id = |id: &&str| id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
    assert!(ids.iter().all(is_id) && ids.len() == found.images.len() + 1, "{ids:?}");
    let remark = spdx["annotations"][0]["comment"].as_str().expect("text");
    assert!(remark.contains("x.io/bad:1") && remark.contains("block.name"), "{remark}");

    let bom = cyclonedx::document(&found);
    assert_eq!(bom, cyclonedx::document(&example()));
    let refs: BTreeSet<&str> =
        bom["components"].as_array().expect("a list").iter().filter_map(|c| c["bom-ref"].as_str()).collect();
    assert_eq!(refs.len(), found.images.len());
    for dependency in bom["dependencies"].as_array().expect("a list") {
        let of = dependency["ref"].as_str().expect("text");
        assert!(of == "chain" || refs.contains(of), "{dependency}");
        let on = dependency["dependsOn"].as_array().expect("a list");
        assert!(on.iter().all(|on| refs.contains(on.as_str().expect("text"))), "{dependency}");
    }
    assert_ne!(spdx["documentNamespace"], json!("urn:uuid:00000000-0000-4000-8000-000000000000"));
}
