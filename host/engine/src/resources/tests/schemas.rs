//! The documents against the definitions that clusters check them with.

use std::path::Path;

use oc_mirror_model::digest::Digest;
use rstest::rstest;
use serde_json::{Value, json};

use super::super::{Preferences, SourcePolicy};
use super::{Documents, TEMPLATE, made_with, of_chain, rules, usual, usual_chain, yaml};

/// Where the definitions of resources are, by kind. A ConfigMap has none: every API server knows it.
const DEFINITIONS: [(&str, &str); 6] = [
    (
        "ImageDigestMirrorSet",
        "openshift__api/payload-manifests/crds/0000_10_config-operator_01_imagedigestmirrorsets.crd.yaml",
    ),
    (
        "ImageTagMirrorSet",
        "openshift__api/payload-manifests/crds/0000_10_config-operator_01_imagetagmirrorsets.crd.yaml",
    ),
    (
        "ImageContentSourcePolicy",
        "openshift__api/payload-manifests/crds/0000_10_config-operator_01_imagecontentsourcepolicies.crd.yaml",
    ),
    ("CatalogSource", "operator-framework__api/crds/operators.coreos.com_catalogsources.yaml"),
    (
        "ClusterCatalog",
        "operator-framework__operator-controller/helm/olmv1/base/catalogd/crd/standard/olm.operatorframework.io_clustercatalogs.yaml",
    ),
    (
        "UpdateService",
        "openshift__cincinnati-operator/config/crd/bases/updateservice.operator.openshift.io_updateservices.yaml",
    ),
];

/// Also a definition of ClusterCatalogs, where clusters try what is new.
const EXPERIMENTAL: &str = "operator-framework__operator-controller/helm/olmv1/base/catalogd/crd/experimental/olm.operatorframework.io_clustercatalogs.yaml";

/// A definition: what a cluster is told, and the schema of the version in question.
pub(super) struct Definition {
    spec: Value,
    version: Value,
}

impl Definition {
    pub(super) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("a definition");
        let mut definition: Value = serde_saphyr::from_str(text.trim_start_matches("---\n")).expect("YAML");
        let spec = definition["spec"].take();
        let versions = spec["versions"].as_array().expect("versions");
        let version = versions.iter().find(|v| v["storage"] == true).expect("one that is stored").clone();
        Self { spec, version }
    }

    /// Returns what a cluster would not take or not keep.
    fn wrong(&self, resource: &Value) -> Vec<String> {
        let api = format!("{}/{}", text(&self.spec["group"]), text(&self.version["name"]));
        assert_eq!(text(&resource["apiVersion"]), api);
        assert_eq!(resource["kind"], self.spec["names"]["kind"]);
        let is_namespaced = self.spec["scope"] == "Namespaced";
        assert_eq!(resource["metadata"]["namespace"].is_string(), is_namespaced, "{resource:#}");
        let name = text(&resource["metadata"]["name"]);
        assert!(name.len() <= 63 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{name}");
        let mut schema = self.version["schema"]["openAPIV3Schema"].clone();
        // Clusters know the metadata of everything; definitions say `object`.
        schema["properties"]["metadata"]["x-kubernetes-preserve-unknown-fields"] = json!(true);
        close(&mut schema);
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let wrong = validator.iter_errors(resource).map(|e| e.to_string());
        let broken = rules::broken(self.schema(), resource);
        wrong.chain(broken.into_iter().map(|b| format!("{}: {}", b.path, b.message))).collect()
    }

    fn schema(&self) -> &Value {
        &self.version["schema"]["openAPIV3Schema"]
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

/// Clusters drop fields that a definition does not have; here they are an error.
fn close(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    let is_open = fields.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
    let lists_all = fields.contains_key("properties") && !fields.contains_key("additionalProperties");
    if lists_all && !is_open {
        fields.insert("additionalProperties".to_owned(), json!(false));
    }
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        properties.values_mut().for_each(close);
    }
    if let Some(items) = fields.get_mut("items") {
        close(items);
    }
}

pub(super) fn fixtures() -> Option<std::path::PathBuf> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/fixtures/release"));
    root.is_dir().then(|| root.to_owned())
}

/// Every kind of resource, and every odd name.
fn all() -> Vec<Documents> {
    let catalog = "catalog q.io/a/my_index.v2:v1 a/my_index.v2:V1_x";
    let digest = Digest::of(b"");
    let deep = format!("related [::1]:5000/a__b/c-d.e@{digest} a__b/c-d.e:sha256-{}", digest.hex());
    vec![
        usual(),
        made_with(&[&[catalog, &deep]], "127.0.0.1:5000", true, &[("a/my_index.v2:V1_x", TEMPLATE)]),
        of_chain(
            &usual_chain(),
            "r.example",
            false,
            &Preferences { icsp: Some(true), ..Preferences::default() },
        ),
        of_chain(
            &usual_chain(),
            "r.example",
            false,
            &Preferences { source_policy: Some(SourcePolicy::NeverContactSource), ..Preferences::default() },
        ),
        // Just short of what clusters refuse.
        made_with(&[&[&format!("catalog q.io/x:1 a/index:{}", "t".repeat(127))]], "r.example", false, &[]),
        made_with(&[&[&format!("catalog q.io/x:1 {}a:v1", "a/".repeat(59))]], "r.example:5000", false, &[]),
        made_with(
            &[&["additional Docker.example/a__b/c--d.e:1 p/a__b/c--d.e:1", catalog]],
            "localhost",
            false,
            &[],
        ),
    ]
}

#[test]
fn clusters_take_all_of_it() {
    let Some(root) = fixtures() else {
        eprintln!("skipped: no ../shared/fixtures");
        return;
    };
    let definitions: std::collections::BTreeMap<_, _> =
        DEFINITIONS.iter().map(|(kind, path)| (*kind, Definition::read(&root.join(path)))).collect();
    let mut checked = std::collections::BTreeMap::new();
    for documents in all() {
        let files = documents.files.iter().filter(|(name, _)| name.ends_with(".yaml"));
        for resource in files.flat_map(|(_, text)| yaml(text)) {
            let kind = text(&resource["kind"]).to_owned();
            let wrong = match definitions.get(kind.as_str()) {
                Some(definition) => definition.wrong(&resource),
                None => wrong_config_map(&resource),
            };
            assert_eq!(wrong, Vec::<String>::new(), "{resource:#}");
            *checked.entry(kind).or_insert(0) += 1;
        }
    }
    assert_eq!(checked.len(), DEFINITIONS.len() + 1, "{checked:?}");
    eprintln!("checked against the definitions of clusters: {checked:?}");
}

#[test]
fn the_check_finds_what_is_wrong() {
    let Some(root) = fixtures() else {
        eprintln!("skipped: no ../shared/fixtures");
        return;
    };
    let definition = Definition::read(&root.join(DEFINITIONS[0].1));
    let documents = usual();
    let good = yaml(&documents.files["idms-oc-mirror.yaml"]).remove(0);
    assert_eq!(definition.wrong(&good), Vec::<String>::new());
    for (path, wrong) in [
        ("/spec/imageDigestMirrors/0/source", json!("under_score.example/a")),
        ("/spec/imageDigestMirrors/0/mirrors", json!("text")),
        ("/spec", json!({ "imageDigestMirrors": [], "unknown": 1 })),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(path).expect("there") = wrong;
        assert_ne!(definition.wrong(&bad), Vec::<String>::new(), "{path}");
    }
}

/// Returns what is wrong with a ConfigMap of binary data.
fn wrong_config_map(resource: &Value) -> Vec<String> {
    let schema = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["apiVersion", "kind", "metadata", "binaryData"],
        "properties": {
            "apiVersion": { "const": "v1" },
            "kind": { "const": "ConfigMap" },
            "metadata": { "type": "object", "required": ["name", "namespace"] },
            "binaryData": {
                "type": "object",
                "propertyNames": { "pattern": "^[-._a-zA-Z0-9]{1,253}$" },
                // Base64 as Go reads it: with padding, in one line.
                "additionalProperties": { "type": "string", "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}(==|[A-Za-z0-9+/]=))?$" },
            },
        },
    });
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    validator.iter_errors(resource).map(|e| e.to_string()).collect()
}

/// What breaks the rules of a ClusterCatalog, rule by rule.
const RULE_BREAKERS: [(&str, &str); 10] = [
    ("must start with a valid domain", "under_score.example/a/b:v1"),
    ("a valid name is required", "r.example:5000"),
    ("must end with a digest or a tag", "r.example/a/b"),
    ("tag is invalid. the tag must not be more than 127 characters", "r.example/a/b:LONG"),
    ("tag is invalid. valid tags must begin with a word character", "r.example/a/b:-v1"),
    ("digest algorithm is not valid", "r.example/a/b@_sha256:HEX"),
    ("digest is not valid. the encoded string must be at least 32 characters", "r.example/a/b@sha256:abc"),
    ("digest is not valid. the encoded string must only contain hex characters", "r.example/a/b@sha256:zHEX"),
    ("cannot specify pollIntervalMinutes while using digest-based image", "r.example/a/b@sha256:HEX"),
    ("image is required when source type is Image, and forbidden otherwise", ""),
];

#[rstest]
#[case::standard(DEFINITIONS[4].1)]
#[case::experimental(EXPERIMENTAL)]
fn every_rule_is_evaluated_and_can_be_broken(#[case] path: &str) {
    let Some(root) = fixtures() else {
        eprintln!("skipped: no ../shared/fixtures");
        return;
    };
    let definition = Definition::read(&root.join(path));
    let catalog = usual().resources.into_iter().find(|r| r.kind() == "ClusterCatalog").expect("there is one");
    assert_eq!(definition.wrong(&catalog.object), Vec::<String>::new());
    let mut told = std::collections::BTreeSet::new();
    for (message, image) in RULE_BREAKERS {
        let mut bad = catalog.object.clone();
        let image = image.replace("LONG", &"v".repeat(128)).replace("HEX", &"a1".repeat(32));
        bad["spec"]["source"] = match image.as_str() {
            "" => json!({ "type": "Image" }),
            image => json!({ "type": "Image", "image": { "ref": image } }),
        };
        if message.contains("pollIntervalMinutes") {
            bad["spec"]["source"]["image"]["pollIntervalMinutes"] = json!(10);
        }
        let broken = rules::broken(definition.schema(), &bad);
        let broken: Vec<String> = broken.into_iter().map(|b| b.message).collect();
        assert!(broken.iter().any(|said| said.starts_with(message)), "{message}: {broken:?}");
        told.extend(broken);
    }
    // What the cluster itself writes is below `status`.
    let all = rules::messages(&definition.schema()["properties"]["spec"]);
    assert_eq!(told.into_iter().collect::<Vec<_>>(), sorted(all), "every rule was broken once");
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}

#[test]
fn only_cluster_catalogs_have_rules() {
    let Some(root) = fixtures() else {
        eprintln!("skipped: no ../shared/fixtures");
        return;
    };
    let with_rules: Vec<&str> = DEFINITIONS
        .iter()
        .filter(|(_, path)| !rules::messages(Definition::read(&root.join(path)).schema()).is_empty())
        .map(|(kind, _)| *kind)
        .collect();
    assert_eq!(with_rules, ["ClusterCatalog"], "others have come to have some: break them in a test too");
}
