//! The documents against the definitions that clusters check them with.

use std::path::Path;

use oc_mirror_model::digest::Digest;
use serde_json::{Value, json};

use super::{Documents, TEMPLATE, made_with, usual, yaml};

/// Where the definitions of resources are, by kind.
const DEFINITIONS: [(&str, &str); 5] = [
    (
        "ImageDigestMirrorSet",
        "openshift__api/payload-manifests/crds/0000_10_config-operator_01_imagedigestmirrorsets.crd.yaml",
    ),
    (
        "ImageTagMirrorSet",
        "openshift__api/payload-manifests/crds/0000_10_config-operator_01_imagetagmirrorsets.crd.yaml",
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

/// A definition: what a cluster is told, and the schema of the version in question.
struct Definition {
    spec: Value,
    version: Value,
}

impl Definition {
    fn read(path: &Path) -> Self {
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
        validator.iter_errors(resource).map(|e| e.to_string()).collect()
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

fn fixtures() -> Option<std::path::PathBuf> {
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
        for resource in documents.files.values().flat_map(|text| yaml(text)) {
            let kind = text(&resource["kind"]).to_owned();
            assert_eq!(definitions[kind.as_str()].wrong(&resource), Vec::<String>::new(), "{resource:#}");
            *checked.entry(kind).or_insert(0) += 1;
        }
    }
    assert_eq!(checked.len(), DEFINITIONS.len(), "{checked:?}");
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
