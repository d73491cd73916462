//! The configuration, from text to types, warnings and errors.

use oc_mirror_model::bucket::BucketUrl;
use oc_mirror_model::config::{
    self, ApiVersion, BlockedImage, Configuration, DeleteImageSetConfiguration, DocumentKind, GiB,
    ImageSetConfiguration, Parsed, PolicyMode, ReleaseType, StorageConfig,
};
use rstest::rstest;

const V2: &str = "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\n";
const V1: &str = "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v1alpha2\n";
const DELETE: &str = "kind: DeleteImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\n";

fn parsed(head: &str, body: &str) -> Parsed {
    config::parse(&format!("{head}{body}")).unwrap_or_else(|error| panic!("{error}"))
}

fn mirror(head: &str, body: &str) -> ImageSetConfiguration {
    match parsed(head, body).configuration {
        Configuration::Mirror(configuration) => configuration,
        Configuration::Delete(_) => panic!("a configuration of what to mirror"),
    }
}

fn delete(body: &str) -> DeleteImageSetConfiguration {
    match parsed(DELETE, body).configuration {
        Configuration::Delete(configuration) => configuration,
        Configuration::Mirror(_) => panic!("a configuration of what to delete"),
    }
}

/// Returns the errors as a person sees them, with the hints.
fn refused(text: &str) -> String {
    let error = config::parse(text).expect_err("refused");
    let lines = error.problems.iter().map(|problem| {
        let hint = problem.hint.as_deref().map(|hint| format!("\n    hint: {hint}")).unwrap_or_default();
        format!("{problem}{hint}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn warnings(head: &str, body: &str) -> Vec<String> {
    parsed(head, body).warnings.iter().map(ToString::to_string).collect()
}

const EVERYTHING: &str = r#"
archiveSize: 4
mirror:
  platform:
    graph: true
    kubeVirtContainer: true
    architectures: [amd64, multi]
    channels:
      - name: stable-4.18
        minVersion: 4.18.1
        maxVersion: 4.18.5
        shortestPath: true
      - {name: okd, type: okd, full: true}
  operators:
    - catalog: registry.redhat.io/redhat/redhat-operator-index:v4.18
      full: true
      targetCatalog: my/index
      targetTag: v1
      targetCatalogSourceTemplate: /tmp/template.yaml
      skipDependencies: true
      platforms: [{os: linux, architecture: amd64}]
      packages:
        - name: foo
          defaultChannel: stable
          channels:
            - {name: stable, minVersion: 1.0.0, maxVersion: 1.7.4+0.1657725339.p}
        - {name: bar, minVersion: "4.18.0-202511181540"}
  additionalImages:
    - name: quay.io/org/app:v1
      targetRepo: apps/app
      targetTag: "1.0"
      platforms: [{os: linux, architecture: arm64, variant: v8}]
    - name: oci:///tmp/layout
  helm:
    repositories:
      - name: podinfo
        url: https://example.com/charts
        charts: [{name: podinfo, version: 5.0.0, imagePaths: ["{.spec.image}"]}]
    local:
      - {name: own, path: /tmp/own.tgz}
  blockedImages:
    - name: alpine
    - redis
    - glob: quay.io/foo/*
    - baseImage: docker.io/library/debian:12
  samples: [{name: ruby}]
  plugins:
    - name: own-source
      source: file:./own.wasm
      config: {list: [1, 2.5, x], "no": null}
      grants: [registry]
  policies:
    - {name: labels, source: file:./labels.wasm, mode: monitor}
"#;

#[test]
fn the_whole_schema_of_v2alpha1() {
    let configuration = mirror(V2, EVERYTHING);
    assert_eq!(configuration.archive_size, Some(GiB(4)));
    assert_eq!(configuration.archive_size_bytes(), 4 << 30);
    let platform = configuration.mirror.platform.as_ref().expect("a platform");
    assert_eq!(platform.channels[1].kind, ReleaseType::Okd);
    let operator = &configuration.mirror.operators[0];
    assert_eq!(operator.unique_name().expect("valid"), "registry.redhat.io/my/index:v1");
    let blocked = &configuration.mirror.blocked_images;
    assert_eq!(blocked[1], BlockedImage { name: Some("redis".to_owned()), ..BlockedImage::default() });
    assert_eq!(blocked[2].glob.as_deref(), Some("quay.io/foo/*"));
    let plugin = &configuration.mirror.plugins[0];
    assert_eq!(plugin.config, serde_json::json!({"list": [1, 2.5, "x"], "no": null}));
    assert_eq!(configuration.mirror.policies[0].mode, PolicyMode::Monitor);
    let used = configuration.mirror.sections_in_use();
    let names: Vec<&str> = used.iter().map(|section| section.name).collect();
    assert_eq!(
        names,
        [
            "platform",
            "operators",
            "additionalImages",
            "helm",
            "blockedImages",
            "samples",
            "plugins",
            "policies"
        ]
    );
    assert_eq!((used[1].line, used[1].column), (17, 5));
}

#[test]
fn written_yaml() {
    let configuration = mirror(V2, EVERYTHING);
    let yaml = configuration.to_yaml();
    assert_eq!(mirror("", &yaml), configuration);
    assert_eq!(mirror("", &yaml).to_yaml(), yaml);
    assert_eq!(mirror("", &configuration.to_json().to_string()), configuration);
    insta::assert_snapshot!(yaml);
}

#[test]
fn the_older_version() {
    let configuration = mirror(
        V1,
        r"
archiveSize: 0
storageConfig:
  registry: {imageURL: localhost:5000/metadata, skipTLS: true}
mirror:
  operators:
    - catalog: quay.io/org/index:v1
      targetName: other
      originalRef: whatever
      packages: [{name: a, minBundle: a.v1, channels: [{name: c, minBundle: a.v2}]}]
    - catalog: oci:///tmp/index
      targetCatalog: ns/index:v7
  additionalImages:
    - name: registry.redhat.io/ubi9/ubi
",
    );
    assert_eq!(configuration.api, ApiVersion::V1Alpha2);
    assert_eq!(configuration.archive_size_bytes(), 500 << 30);
    let image = "localhost:5000/metadata".parse().expect("valid");
    assert_eq!(configuration.storage, Some(StorageConfig::Registry { image, skip_tls: true }));
    let operators = &configuration.mirror.operators;
    assert_eq!(operators[0].unique_name().expect("valid"), "quay.io/org/other:v1");
    assert_eq!(operators[0].packages[0].min_bundle.as_deref(), Some("a.v1"));
    assert_eq!(operators[1].unique_name().expect("valid"), "ns/index:v7");
    assert_eq!(configuration.mirror.additional_images[0].name, "registry.redhat.io/ubi9/ubi:latest");
}

#[test]
fn what_to_delete() {
    let configuration = delete("delete:\n  platform: {channels: [{name: stable-4.18}]}\n");
    let platform = configuration.delete.platform.as_ref().expect("a platform");
    assert_eq!(platform.architectures, ["amd64"]);
    let again = config::parse(&configuration.to_yaml()).expect("valid");
    assert_eq!(again.configuration, Configuration::Delete(configuration));
    let older = "kind: DeleteImageSetConfiguration\napiVersion: mirror.openshift.io/v1alpha2\ndelete: {}\n";
    assert!(config::parse(older).is_ok());
}

#[rstest]
#[case(V1, "mirror:\n")]
#[case(V2, "mirror:\n")]
#[case(V1, "")]
#[case(
    V2,
    "mirror: {additionalImages: , operators: , helm: {}, platform: {graph: false}, blockedImages: ~}\n"
)]
#[case(V1, "storageConfig:\nmirror:\n  helm:\n    local:\n")]
#[case(V2, "archiveSize:\nmirror: {}\n")]
fn empty_sections_ask_for_nothing(#[case] head: &str, #[case] body: &str) {
    let Ok(Parsed { configuration: Configuration::Mirror(configuration), .. }) =
        config::parse(&format!("{head}{body}"))
    else {
        // Without the key, the newer version's section is missing, and the older one's is empty.
        panic!("not read: {body}");
    };
    assert!(configuration.mirror.sections_in_use().is_empty());
}

#[rstest]
#[case(V2, "Mirror:\n  additionalimages:\n    - NAME: a/b:c\n", &[
    "3:1: mirror: `Mirror` is read as `mirror`",
    "4:3: mirror.additionalImages: `additionalimages` is read as `additionalImages`",
    "5:7: mirror.additionalImages[0].name: `NAME` is read as `name`",
])]
#[case(V2, "mirror: {platform: {graph: yes}}\n", &["3:28: mirror.platform.graph: `yes` is read as `true`"])]
#[case(V2, "mirror: {platform: {channels: [{name: a, type: OCP}]}}\n", &[
    "3:48: mirror.platform.channels[0].type: `OCP` is read as `ocp`",
])]
#[case(V1, "mirror: {additionalImages: [{name: a/b}]}\n", &[
    "3:36: mirror.additionalImages[0].name: `a/b` has neither tag nor digest",
])]
#[case(V2, "mirror: {blockedImages: ['*alpine*']}\n", &[
    "3:26: mirror.blockedImages[0].name: `*alpine*` is not a regular expression, it is read as a glob",
])]
#[case(V2, "mirror: {platform: {channels: [{name: a, minVersion: 4.10.1, maxVersion: 4.9.9}]}}\n", &[
    "3:54: mirror.platform.channels[0].minVersion: `minVersion` 4.10.1 is above `maxVersion` 4.9.9, nothing lies between them",
])]
#[case(V2, "mirror: {platform: {architectures: [x86_64]}}\n", &[
    "3:37: mirror.platform.architectures[0]: there are no releases for the architecture `x86_64`",
])]
#[case(V1, "storageConfig: {local: {path: }}\n", &["3:16: storageConfig: it does not say where metadata is kept"])]
#[case(V1, "mirror: {operators: [{catalog: a/b:c, packages: [{name: x}, {name: x, maxVersion: y}]}]}\n", &[
    "3:68: mirror.operators[0].packages[1].name: `x` is listed twice, first in line 3",
    "3:83: mirror.operators[0].packages[1].maxVersion: `y` is not a version",
])]
fn forgiven(#[case] head: &str, #[case] body: &str, #[case] expected: &[&str]) {
    assert_eq!(warnings(head, body), expected);
}

#[rstest]
#[case(V1)]
#[case(V2)]
fn the_record_may_be_kept_elsewhere(#[case] head: &str) {
    let rest = "mirror: {additionalImages: [{name: a/b:c}]}\n";
    let storage = |text: &str| mirror(head, &format!("storageConfig: {text}\n{rest}")).storage;
    let bucket: BucketUrl = "s3://mirror/prod/4.20".parse().expect("valid");
    assert_eq!(
        storage("{s3: {bucket: mirror, prefix: /prod/4.20/}}"),
        Some(StorageConfig::S3 { bucket: bucket.clone(), endpoint: None, region: None, path_style: true })
    );
    assert_eq!(
        storage(
            "{s3: {bucket: mirror, prefix: prod/4.20, endpoint: 'http://[::1]:9000', region: x-1, pathStyle: false}}"
        ),
        Some(StorageConfig::S3 {
            bucket,
            endpoint: Some("http://[::1]:9000".to_owned()),
            region: Some("x-1".to_owned()),
            path_style: false,
        })
    );
    assert_eq!(storage("{local: {path: ./x}}"), Some(StorageConfig::Local { path: "./x".to_owned() }));
    let image = "docker.example.com/a/b:c".parse().expect("valid");
    assert_eq!(
        storage("{registry: {imageURL: 'docker://docker.example.com/a/b:c'}}"),
        Some(StorageConfig::Registry { image, skip_tls: false })
    );
    let told =
        warnings(head, &format!("storageConfig: {{local: {{path: x}}, s3: {{bucket: mirror}}}}\n{rest}"));
    assert_eq!(told, ["3:16: storageConfig: `local` wins where `s3` is given as well"]);
}

#[test]
fn anchors_and_merge_keys_are_read() {
    let body =
        "mirror:\n  additionalImages:\n    - &x {name: a/b:c, targetTag: t}\n    - {<<: *x, name: a/d:c}\n";
    let images = mirror(V2, body).mirror.additional_images;
    assert_eq!(images[1].target_tag, images[0].target_tag);
    assert_eq!(images[1].name, "a/d:c");
}

#[rstest]
#[case("key_case_is_no_excuse_for_two", V2, "mirror:\n  operators: []\n  Operators: []\n")]
#[case("misspelt", V2, "mirror:\n  opertors:\n    - catlog: a/b:c\n  helms: {}\n")]
#[case(
    "below_spec",
    "",
    "apiVersion: mirror.openshift.io/v2alpha1\nkind: ImageSetConfiguration\nmetadata:\n  name: x\nspec:\n  mirror: {}\n"
)]
#[case("no_identity", "", "mirror:\n  additionalImages:\n    - name: a/b:c\n")]
#[case("wrong_identity", "", "kind: ImageSetConfig\napiVersion: v2alpha1\nmirror: {}\n")]
#[case(
    "older_version",
    "",
    "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v1alpha1\nmirror:\n  ocp:\n    channels:\n      - {name: stable-4.9, versions: [4.9.1]}\n  operators:\n    - catalog: a/b:c\n      headsOnly: false\n"
)]
#[case(
    "storage",
    V2,
    "storageConfig:\n  s3:\n    bucket: My_Bucket\n    endpoint: s3.example.com\n    regoin: x\nmirror: {}\n"
)]
#[case("storage_prefix", V1, "storageConfig:\n  s3:\n    bucket: mirror\n    prefix: a//b\nmirror: {}\n")]
#[case(
    "storage_image",
    V2,
    "storageConfig:\n  registry:\n    imageURL: a/b@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nmirror: {}\n"
)]
#[case(
    "storage_of_deletion",
    "",
    "kind: DeleteImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nstorageConfig: {s3: {bucket: x}}\ndelete: {}\n"
)]
#[case(
    "fields_of_v1alpha2",
    V2,
    "storageConfig:\n  local: {path: /tmp/x}\nmirror:\n  operators:\n    - catalog: a/b:c\n      targetName: x\n"
)]
#[case(
    "fields_of_v2alpha1",
    V1,
    "mirror:\n  platform: {release: a/b:c}\n  additionalImages:\n    - {name: a/b:c, targetRepo: x}\n"
)]
#[case(
    "wrong_kinds",
    V2,
    "archiveSize: 4GB\nmirror:\n  platform: [stable-4.18]\n  operators:\n    catalog: a/b:c\n  additionalImages:\n    - quay.io/a/b:c\n    - name: [a]\n    -\n"
)]
#[case(
    "numbers_for_text",
    V2,
    "archiveSize: \"4\"\nmirror:\n  platform:\n    graph: \"true\"\n    channels: [{name: stable-4.18, minVersion: 4.10}]\n"
)]
#[case(
    "missing",
    V2,
    "mirror:\n  operators:\n    - packages: [{channels: []}]\n  additionalImages:\n    - name:\n    - name: \"\"\n  plugins:\n    - name: a\n"
)]
#[case(
    "wrong_references",
    V2,
    "mirror:\n  operators:\n    - {catalog: quay.io/Org/Index:v1}\n    - {catalog: a/b:c, targetCatalog: \"x:v1\", targetTag: \"a b\"}\n  additionalImages:\n    - name: quay.io/a/b\n    - name: ftp://x/y:z\n    - name: quay.io/{{ org }}/a:b\n"
)]
#[case(
    "catalogs",
    V2,
    "mirror:\n  operators:\n    - catalog: a/b:c\n    - catalog: docker://a/b:c\n      packages:\n        - {name: p, minVersion: 1.0.0, channels: [{name: c, maxVersion: 2.0.0}, {name: c}]}\n        - {name: p, minVersion: newest}\n"
)]
#[case(
    "releases",
    V2,
    "mirror:\n  platform:\n    architectures: [amd64]\n    platforms: [{os: linux, architecture: amd64}, {os: linux}]\n    channels:\n      - {name: stable-4.18, minVersion: \"4.18\"}\n      - {name: stable-4.18, type: ocd}\n"
)]
#[case(
    "blocked",
    V2,
    "mirror:\n  blockedImages:\n    - name: (alpine\n    - {name: a, glob: b}\n    - {}\n    - glob: \"[a\"\n    - baseImage: oci:/tmp/x\n    - 7\n"
)]
#[case(
    "components",
    V2,
    "mirror:\n  plugins:\n    - {name: Own, source: ./x.wasm}\n    - {name: a, source: 'file:x'}\n    - {name: a, source: 'file:'}\n  policies:\n    - {name: a, source: 'file:x', mode: observe, grant: [x]}\n"
)]
#[case(
    "delete_with_sections_of_mirror",
    DELETE,
    "archiveSize: 1\nmirror: {}\ndelete:\n  blockedImages: [{name: a}]\n"
)]
#[case("no_sections", V2, "archiveSize: 1\n")]
#[case("several_documents", V2, "mirror: {}\n---\nkind: DeleteImageSetConfiguration\n")]
#[case("list_and_keys_mixed", V2, "mirror:\n  - name: a/b:c\n  helm: {}\n")]
#[case("tab", V2, "mirror:\n\thelm: {}\n")]
#[case(
    "template",
    "",
    "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/$VERSION\nmirror:\n  operators: {{ operators }}\n"
)]
#[case("not_a_mapping", "", "- a\n- b\n")]
#[case("empty", "", "# nothing\n")]
fn refusals(#[case] name: &str, #[case] head: &str, #[case] body: &str) {
    insta::assert_snapshot!(name, refused(&format!("{head}{body}")));
}

#[test]
fn schemas_are_of_the_types() {
    let schema = config::schema(DocumentKind::ImageSetV2Alpha1);
    assert_eq!(schema["properties"]["apiVersion"]["const"], "mirror.openshift.io/v2alpha1");
    assert_eq!(schema["$defs"]["AdditionalImage"]["required"], serde_json::json!(["name"]));
    assert_eq!(schema["$defs"]["Mirror"]["additionalProperties"], false);
    assert!(schema["$defs"]["Package"]["properties"].get("minBundle").is_none());
    let schema = config::schema(DocumentKind::ImageSetV1Alpha2);
    assert!(schema["$defs"]["Package"]["properties"].get("minBundle").is_some());
    let schema = config::schema(DocumentKind::Delete);
    assert!(schema["$defs"]["Delete"]["properties"].get("blockedImages").is_none());
}

#[test]
fn a_hopeless_file_is_cut_short() {
    let body: String = (0..500).map(|index| format!("unknown{index}: 1\n")).collect();
    let error = config::parse(&format!("{V2}mirror:\n{body}")).expect_err("refused");
    assert_eq!(error.problems.len(), 101);
    assert!(error.hint().is_some());
}

mod any_text {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn does_not_break_the_parser(text in any::<String>()) {
            let _ = config::parse(&text);
        }

        #[test]
        fn of_yaml_does_not_break_the_parser(text in "[-:{}\\[\\],&*!|>'\"%@ \n\ta-c0-9~<]{0,200}") {
            let _ = config::parse(&text);
            let _ = config::parse(&format!("{V2}mirror: {text}"));
        }

        #[test]
        fn in_place_of_a_part_does_not_break_the_parser(
            start in 0..EVERYTHING.len(),
            length in 0..40usize,
            text in "[-:{}\\[\\],&*! \na-c0-9]{0,20}",
        ) {
            let end = (start + length).min(EVERYTHING.len());
            let head = if start % 2 == 0 { V2 } else { V1 };
            let mut whole = format!("{head}{EVERYTHING}");
            whole.replace_range(head.len() + start..head.len() + end, &text);
            if let Err(error) = config::parse(&whole) {
                prop_assert!(error.problems.iter().all(|p| p.line > 0 && p.column > 0));
                // Whatever the check lets pass, the types take.
                prop_assert!(!error.to_string().contains("cannot be read"), "{error}");
            }
        }

        #[test]
        fn as_a_name_survives_being_written(name in "[ -~]{1,30}") {
            let mut configuration = mirror(V2, "mirror: {samples: [{name: x}]}\n");
            configuration.mirror.samples[0].name = name;
            prop_assert_eq!(mirror("", &configuration.to_yaml()), configuration);
        }
    }
}

#[test]
fn what_a_chart_is_rendered_with_is_written_as_it_was_read() {
    let text = "mirror:\n  helm:\n    repositories:\n    - name: a\n      url: oci://r.example/charts\n      charts:\n      \
                - {name: b, version: ~1.2, valuesFiles: [v.yaml], kubeVersion: 1.33.0}\n    local:\n    \
                - {path: c, apiVersions: [route.openshift.io/v1]}\n";
    let configuration = mirror(V2, text);
    let helm = configuration.mirror.helm.as_ref().expect("charts");
    let chart = &helm.repositories[0].charts[0];
    assert_eq!(
        (chart.values_files.as_slice(), chart.kube_version.as_deref()),
        (&["v.yaml".to_owned()][..], Some("1.33.0"))
    );
    assert_eq!(helm.local[0].api_versions, ["route.openshift.io/v1"]);
    let written = configuration.to_yaml();
    let again = mirror("", &written);
    assert_eq!(again.mirror, configuration.mirror);
}
