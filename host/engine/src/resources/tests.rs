//! Documents of small chains, as snapshots, and all of them against the schemas of clusters.

mod choices;
mod published;
mod rules;
mod schemas;
mod signatures;

use std::collections::BTreeMap;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::metadata::{Chain, ImageRecord, ImagesetRecord};
use oc_mirror_model::request::Destination;
use rstest::rstest;
use serde_json::Value;
use uuid::Uuid;

use super::{Documents, Facts, LARGEST, Preferences, documents, is_ours};

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A line is `KIND ORIGIN DESTINATION`; `@` at the end of either name stands for a digest.
fn chain(imagesets: &[&[&str]]) -> Chain {
    let mut chain = Chain::new(Uuid::nil());
    for (number, lines) in imagesets.iter().enumerate() {
        let sequence = number as u64 + 1;
        chain.imagesets.push(ImagesetRecord {
            sequence,
            base: sequence - 1,
            index: None,
            created: "2026-01-01T00:00:00Z".to_owned(),
            images: lines.iter().map(|line| image(line)).collect(),
            plugin_state: BTreeMap::new(),
            files: BTreeMap::new(),
            quarantined: Vec::new(),
        });
    }
    chain
}

fn image(line: &str) -> ImageRecord {
    let [kind, origin, to] = line.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{line}") };
    let origin = match origin.strip_suffix('@') {
        Some(name) => format!("{name}@sha256:{HEX}"),
        None => origin.to_owned(),
    };
    let digest = Digest::of(line.as_bytes());
    ImageRecord { origin, kind: kind.to_owned(), destination: place(to), digest, reasons: Vec::new() }
}

fn place(text: &str) -> Destination {
    let (repository, tag) = match text.strip_suffix('@') {
        Some(repository) => (repository, format!("sha256-{HEX}")),
        None => text.split_once(':').map(|(name, tag)| (name, tag.to_owned())).expect("NAME:TAG"),
    };
    Destination { repository: repository.parse().expect("a repository"), tag: tag.parse().expect("a tag") }
}

fn made(imagesets: &[&[&str]]) -> Documents {
    made_with(imagesets, "r.example:5000", false, &[])
}

fn made_with(
    imagesets: &[&[&str]],
    registry: &str,
    joined_paths: bool,
    templates: &[(&str, &str)],
) -> Documents {
    let mut chain = chain(imagesets);
    chain.for_clusters.templates =
        templates.iter().map(|(to, text)| (place(to), (*text).to_owned())).collect();
    of_chain(&chain, registry, joined_paths, &Preferences::default())
}

fn of_chain(chain: &Chain, registry: &str, joined_paths: bool, preferences: &Preferences) -> Documents {
    let registry = registry.parse().expect("a registry");
    let documents = documents(&Facts { registry: &registry, chain, joined_paths, preferences });
    // What is in the files is what is said to be in them.
    for (name, text) in documents.files.iter().filter(|(name, _)| name.ends_with(".yaml")) {
        let objects: Vec<&Value> =
            documents.resources.iter().filter(|r| r.file == *name).map(|r| &r.object).collect();
        assert_eq!(yaml(text).iter().collect::<Vec<_>>(), objects, "{name}");
    }
    documents
}

/// Notes a signature of a release.
fn sign(chain: &mut Chain, payload: &Digest, number: u32, text: &str) {
    chain.for_clusters.signatures.entry(payload.clone()).or_default().insert(number, text.to_owned());
}

/// A bit of everything, over two imagesets.
fn usual_chain() -> Chain {
    let mut chain = chain(&[
        &[
            "release quay.io/openshift-release-dev/ocp-release@ m/openshift/release-images:4.20.1-x86_64",
            "release-content quay.io/openshift-release-dev/ocp-v4.0-art-dev@ m/openshift/release:4.20.1-x86_64-etcd",
            "graph registry.example/data/graph:1 m/openshift/graph-image:latest",
            "catalog registry.redhat.io/redhat/redhat-operator-index:v4.20 m/redhat/redhat-operator-index:v4.20",
            "bundle registry.redhat.io/foo/bundle@ m/foo/bundle@",
            "related quay.io/foo/operator@ m/foo/operator@",
            "signature quay.io/foo/signed:x m/foo/signed:sha256-1.sig",
        ],
        &[
            "additional quay.io/team/app:v1 m/team/app:v1",
            "additional quay.io/team/both:v1@ m/team/both:v1",
            "additional quay.io/team/moved@ m/elsewhere/it@",
            "additional busybox:1 m/library/busybox:1",
            "additional alone.example/top@ m/top@",
            "additional oci:/data/layout m/data/layout:latest",
            "helm ghcr.io/charts/web:2 m/charts/web:2",
            "wish-of-a-plugin ghcr.io/own/thing@ m/own/thing@",
        ],
    ]);
    let payload = chain.imagesets[0].images[0].digest.clone();
    sign(&mut chain, &payload, 1, "owGbwMvMwMEoOU9/4l9n2UDG0wc=");
    chain
}

fn usual() -> Documents {
    of_chain(&usual_chain(), "r.example:5000", false, &Preferences::default())
}

/// All files one after the other, as they would be seen.
fn shown(documents: &Documents) -> String {
    documents.files.iter().map(|(name, text)| format!("# {name}\n{text}\n")).collect()
}

fn yaml(text: &str) -> Vec<Value> {
    text.split("---\n").map(|text| serde_saphyr::from_str(text).expect("one document")).collect()
}

#[test]
fn of_everything() {
    let documents = usual();
    insta::assert_snapshot!("everything", shown(&documents));
    assert_eq!((documents.warnings, documents.notes), (vec![], vec![]));
    assert_eq!(usual().files, documents.files);
    for (name, text) in &documents.files {
        assert!(is_ours(name, text), "{name}");
        assert!(!is_ours(name, "kind: CatalogSource\n") && !is_ours("mine.yaml", text));
    }
}

#[test]
fn joined_paths_have_no_namespaces() {
    let images = ["additional quay.io/team/app:v1 team/app:v1", "related quay.io/a/b/c@ a/b-c@"];
    insta::assert_snapshot!("joined_paths", shown(&made_with(&[&images], "r.example", true, &[])));
}

/// Which sources are in which of the two.
#[rstest]
#[case::tag("additional q.io/a/b:1 a/b:1", &[], &["q.io/a"])]
#[case::digest("additional q.io/a/b@ a/b@", &["q.io/a"], &[])]
#[case::both("additional q.io/a/b:1@ a/b:1", &["q.io/a"], &["q.io/a"])]
#[case::payload("release q.io/a/b@ openshift/release-images:1", &["q.io/a/b"], &[])]
#[case::payload_by_tag("release q.io/a/b:1 openshift/release-images:1", &["q.io/a/b"], &["q.io/a/b"])]
#[case::no_namespace("additional q.io/b@ b@", &["q.io"], &[])]
#[case::end_of_a_word("additional q.io/a/b@ xa/b@", &["q.io/a/b"], &[])]
#[case::catalog("catalog q.io/a/b:1 a/b:1", &[], &[])]
#[case::graph("graph q.io/a/b:1 a/b:1", &[], &[])]
#[case::attestation("attestation q.io/a/b:1 a/b:1", &[], &[])]
#[case::sbom("sbom q.io/a/b:1 a/b:1", &[], &[])]
#[case::referrers("referrers q.io/a/b@ a/b@", &[], &[])]
#[case::layout("additional oci:/a/b a/b:latest", &[], &[])]
#[case::odd_name("additional nowhere~ a/b:latest", &[], &[])]
fn what_is_listed(#[case] image: &str, #[case] digest: &[&str], #[case] tag: &[&str]) {
    let documents = made(&[&[image]]);
    let sources = |file: &str, field: &str| {
        let resources = documents.files.get(file).map(|text| yaml(text)).unwrap_or_default();
        let entries = resources.iter().flat_map(|r| r["spec"][field].as_array().expect("entries").clone());
        entries.map(|entry| entry["source"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(sources("idms-oc-mirror.yaml", "imageDigestMirrors"), digest);
    assert_eq!(sources("itms-oc-mirror.yaml", "imageTagMirrors"), tag);
}

#[test]
fn nothing_makes_no_file() {
    assert_eq!(made(&[]), Documents::default());
    let graph_alone = made(&[&["graph q.io/a/b:1 openshift/graph-image:latest"]]);
    assert_eq!(graph_alone, Documents::default());
}

#[test]
fn of_two_images_in_one_place_the_later_counts() {
    let documents = made(&[
        &["additional old.example/a/b:1 x/y:1", "additional q.io/c/d:1 c/d:1"],
        &["additional new.example/a/b:1 x/y:1"],
    ]);
    let text = &documents.files["itms-oc-mirror.yaml"];
    assert!(
        text.contains("new.example") && text.contains("q.io/c") && !text.contains("old.example"),
        "{text}"
    );
}

#[test]
fn one_image_of_two_registries_is_found_by_both_names() {
    let (one, two) = ("additional q.io/a/b:1 a/b:1", "additional r.io/a/b:1 a/b:1");
    let catalogs = ["catalog q.io/c/index:v1 c/index:v1", "catalog r.io/c/index:v1 c/index:v1"];
    let documents = made(&[&[one, two, catalogs[0], catalogs[1]]]);
    let text = &documents.files["itms-oc-mirror.yaml"];
    assert!(text.contains("q.io/a") && text.contains("r.io/a"), "{text}");
    assert_eq!((documents.resources.len(), documents.notes.len()), (3, 0), "{documents:?}");
    // A later imageset that has one name only is right about the place.
    let text = &made(&[&[one, two], &[two]]).files["itms-oc-mirror.yaml"];
    assert!(!text.contains("q.io/a") && text.contains("r.io/a"), "{text}");
}

#[test]
fn hosts_that_clusters_refuse_are_left_out_and_told() {
    let documents = made(&[&["additional odd_host.example/a/b:1 a/b:1", "additional q.io/a/b:2 a/b:2"]]);
    let text = &documents.files["itms-oc-mirror.yaml"];
    assert!(text.contains("q.io/a") && !text.contains("odd_host"), "{text}");
    let [warning] = &documents.warnings[..] else { panic!("{:?}", documents.warnings) };
    assert!(warning.contains("`odd_host.example/a`"), "{warning}");
    let v6 = made_with(&[&["additional q.io/a/b:2 a/b:2"]], "[::1]:5000", false, &[]);
    assert_eq!((v6.files.len(), v6.warnings.len()), (0, 1), "{v6:?}");
}

#[test]
fn large_sets_are_split() {
    let lines: Vec<String> =
        (0..6000).map(|n| format!("related q.io/namespace-{n:05}/name@ elsewhere/number-{n:05}@")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let documents = made(&[&lines]);
    let text = &documents.files["idms-oc-mirror.yaml"];
    let (mut names, mut entries) = (Vec::new(), 0);
    for part in text.split("---\n") {
        assert!(part.len() < LARGEST, "{}", part.len());
        let resource: Value = serde_saphyr::from_str(part).expect("YAML");
        assert!(resource.to_string().len() < LARGEST);
        names.push(resource["metadata"]["name"].as_str().expect("text").to_owned());
        entries += resource["spec"]["imageDigestMirrors"].as_array().expect("entries").len();
    }
    assert_eq!(entries, 6000);
    let expected: Vec<String> = (0..names.len()).map(|n| format!("idms-operator-{n}")).collect();
    assert!(names.len() > 2 && names == expected, "{names:?}");
}

#[rstest]
#[case("redhat/redhat-operator-index:v4.20", "redhat-operator-index-v4-20")]
#[case("redhat/redhat-operator-index@", "redhat-operator-index-e3b0c44298fc")]
#[case("a/index:A_Long.Tag-With-Many", "index-a-long-tag-w")]
#[case("a/index:_", "index-0")]
#[case("a/my_index.v2:latest", "my-index-v2-latest")]
#[case("a/index:0123456789a-b", "index-0123456789a")]
#[case(
    "a/a-very-long-name-that-goes-on-and-on-until-no-label-could-hold-it:v1",
    "a-very-long-name-that-goes-on-and-on-until-no-label-3ab99af5"
)]
fn catalogs_are_named(#[case] to: &str, #[case] expected: &str) {
    let documents = made(&[&[&format!("catalog q.io/x:1 {to}")]]);
    let files: Vec<&String> = documents.files.keys().collect();
    assert_eq!(files, [&format!("cc-{expected}.yaml"), &format!("cs-{expected}.yaml")], "{files:?}");
    assert!(expected.len() <= 60 && documents.notes.is_empty());
}

#[test]
fn catalogs_of_one_name_are_told_apart_and_the_first_keeps_it() {
    let (first, second) = ("catalog q.io/z/index:v1 z/index:v1", "catalog q.io/a/index:v1 a/index:v1");
    let documents = made(&[&[first], &[first, second]]);
    let files: Vec<&String> = documents.files.keys().collect();
    assert_eq!(files.len(), 4, "{files:?}");
    assert!(documents.files["cs-index-v1.yaml"].contains("r.example:5000/z/index:v1"));
    let [note] = &documents.notes[..] else { panic!("{:?}", documents.notes) };
    assert!(note.starts_with("`a/index:v1` is called `index-v1-"), "{note}");
}

const TEMPLATE: &str = "\
apiVersion: operators.coreos.com/v1alpha1
kind: CatalogSource
metadata:
  name: theirs
  namespace: theirs
  labels:
    team: a
  creationTimestamp: null
spec:
  image: theirs
  sourceType: grpc
  displayName: \"yes\"
  updateStrategy:
    registryPoll:
      interval: 30m0s
status: {}
";

#[test]
fn templates_are_kept_but_for_what_is_ours() {
    let catalog = "catalog q.io/a/index:v1 a/index:v1";
    let documents = made_with(&[&[catalog]], "r.example", false, &[("a/index:v1", TEMPLATE)]);
    insta::assert_snapshot!("template", documents.files["cs-index-v1.yaml"]);
    assert_eq!(documents.warnings, Vec::<String>::new());
}

#[rstest]
#[case::not_yaml("{", "is not YAML")]
#[case::nothing("", "does not say `apiVersion: operators.coreos.com/v1alpha1`")]
#[case::another_api("apiVersion: v1\nkind: CatalogSource\n", "does not say `apiVersion:")]
#[case::another_kind(
    "apiVersion: operators.coreos.com/v1alpha1\nkind: X\n",
    "does not say `kind: CatalogSource`"
)]
#[case::another_type(
    "apiVersion: operators.coreos.com/v1alpha1\nkind: CatalogSource\nspec:\n  sourceType: internal\n",
    "`spec.sourceType`"
)]
#[case::config_map(
    "apiVersion: operators.coreos.com/v1alpha1\nkind: CatalogSource\nspec:\n  configMap: x\n",
    "`spec.configMap`"
)]
#[case::no_fields(
    "apiVersion: operators.coreos.com/v1alpha1\nkind: CatalogSource\nmetadata:\n  annotations: x\n",
    "`metadata.annotations`"
)]
#[case::text_for_spec("apiVersion: operators.coreos.com/v1alpha1\nkind: CatalogSource\nspec: x\n", "`spec`")]
fn odd_templates_are_told_and_not_used(#[case] template: &str, #[case] reason: &str) {
    let catalog = "catalog q.io/a/index:v1 a/index:v1";
    let documents = made_with(&[&[catalog]], "r.example", false, &[("a/index:v1", template)]);
    assert_eq!(documents.files, made_with(&[&[catalog]], "r.example", false, &[]).files);
    let [warning] = &documents.warnings[..] else { panic!("{:?}", documents.warnings) };
    assert!(warning.contains(reason), "{warning}");
}

#[test]
fn empty_sections_of_a_template_are_filled() {
    let template = "apiVersion: operators.coreos.com/v1alpha1\nkind: CatalogSource\nmetadata:\nspec:\n";
    let catalog = "catalog q.io/a/index:v1 a/index:v1";
    let documents = made_with(&[&[catalog]], "r.example", false, &[("a/index:v1", template)]);
    assert_eq!(documents, made_with(&[&[catalog]], "r.example", false, &[]));
}
