//! The kinds of resources that a cluster of OpenShift has: their definitions, as published where the recorded data of real
//! ones is at hand, else small ones of our own; and whether an object keeps to one.

use std::path::Path;

use serde_json::{Value, json};

use crate::workspace_root;

/// A kind of resource.
#[derive(Clone, Debug)]
pub(super) struct Definition {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
    pub is_namespaced: bool,
    /// What objects must look like; nothing for what every cluster has.
    schema: Option<Value>,
    /// The document that installs it.
    pub document: Value,
}

/// Group, version, kind, plural, whether it is in namespaces, and where its definition is published.
type Known = (&'static str, &'static str, &'static str, &'static str, bool, Option<&'static str>);

const KNOWN: [Known; 7] = [
    (
        "config.openshift.io",
        "v1",
        "ImageDigestMirrorSet",
        "imagedigestmirrorsets",
        false,
        Some(
            "openshift__api/payload-manifests/crds/0000_10_config-operator_01_imagedigestmirrorsets.crd.yaml",
        ),
    ),
    (
        "config.openshift.io",
        "v1",
        "ImageTagMirrorSet",
        "imagetagmirrorsets",
        false,
        Some("openshift__api/payload-manifests/crds/0000_10_config-operator_01_imagetagmirrorsets.crd.yaml"),
    ),
    (
        "operator.openshift.io",
        "v1alpha1",
        "ImageContentSourcePolicy",
        "imagecontentsourcepolicies",
        false,
        Some(
            "openshift__api/payload-manifests/crds/0000_10_config-operator_01_imagecontentsourcepolicies.crd.yaml",
        ),
    ),
    (
        "operators.coreos.com",
        "v1alpha1",
        "CatalogSource",
        "catalogsources",
        true,
        Some("operator-framework__api/crds/operators.coreos.com_catalogsources.yaml"),
    ),
    (
        "olm.operatorframework.io",
        "v1",
        "ClusterCatalog",
        "clustercatalogs",
        false,
        Some(
            "operator-framework__operator-controller/helm/olmv1/base/catalogd/crd/standard/\
             olm.operatorframework.io_clustercatalogs.yaml",
        ),
    ),
    (
        "updateservice.operator.openshift.io",
        "v1",
        "UpdateService",
        "updateservices",
        true,
        Some(
            "openshift__cincinnati-operator/config/crd/bases/updateservice.operator.openshift.io_updateservices.yaml",
        ),
    ),
    ("machineconfiguration.openshift.io", "v1", "MachineConfigPool", "machineconfigpools", false, None),
];

/// Returns the definition of a kind that clusters of OpenShift have.
pub(super) fn known(kind: &str) -> Definition {
    let found = KNOWN.iter().find(|known| known.2 == kind);
    let (group, version, kind, plural, is_namespaced, file) =
        *found.unwrap_or_else(|| panic!("`{kind}` is not a kind of this kit"));
    let published = file.and_then(|file| {
        let root = workspace_root().parent()?.join("shared/fixtures/release");
        read(&root.join(file))
    });
    let mut document = published.unwrap_or_else(|| small(group, version, kind, plural, is_namespaced));
    // A cluster keeps that itself.
    if let Some(fields) = document.as_object_mut() {
        fields.remove("status");
    }
    let versions = document["spec"]["versions"].as_array().into_iter().flatten();
    let stored = versions.into_iter().find(|v| v["name"] == version).expect("the version is defined");
    let schema = stored["schema"]["openAPIV3Schema"].clone();
    Definition {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        is_namespaced,
        schema: Some(schema),
        document,
    }
}

/// Returns the kinds of the core that every cluster has.
pub(super) fn core() -> Vec<Definition> {
    [("ConfigMap", "configmaps", true), ("Namespace", "namespaces", false)]
        .map(|(kind, plural, is_namespaced)| Definition {
            group: String::new(),
            version: "v1".to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            is_namespaced,
            schema: None,
            document: Value::Null,
        })
        .to_vec()
}

fn read(path: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(serde_saphyr::from_str(text.trim_start_matches("---\n")).expect("a definition is YAML"))
}

/// What is needed where nothing published is at hand: the fields that every version has.
fn small(group: &str, version: &str, kind: &str, plural: &str, is_namespaced: bool) -> Value {
    let list = |field: &str| {
        let text = json!({ "type": "string" });
        let item = json!({
            "type": "object",
            "required": ["source"],
            "properties": {
                "source": text,
                "mirrors": { "type": "array", "items": text },
                "mirrorSourcePolicy": { "type": "string", "enum": ["NeverContactSource", "AllowContactingSource"] },
            },
        });
        json!({ "type": "object", "properties": { field: { "type": "array", "items": item } } })
    };
    let spec = match kind {
        "ImageDigestMirrorSet" => list("imageDigestMirrors"),
        "ImageTagMirrorSet" => list("imageTagMirrors"),
        "ImageContentSourcePolicy" => list("repositoryDigestMirrors"),
        _ => json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true }),
    };
    let open = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let properties = json!({
        "apiVersion": { "type": "string" },
        "kind": { "type": "string" },
        "metadata": { "type": "object" },
        "spec": spec,
        "status": open,
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{group}") },
        "spec": {
            "group": group,
            "scope": if is_namespaced { "Namespaced" } else { "Cluster" },
            "names": { "kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": kind.to_lowercase() },
            "versions": [{
                "name": version,
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": { "type": "object", "properties": properties } },
            }],
        },
    })
}

impl Definition {
    /// Returns `group/version`, or `version` for the core.
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Returns the path of an object, or of all of them.
    pub(super) fn path(&self, namespace: Option<&str>, name: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let namespace = namespace.filter(|_| self.is_namespaced);
        let namespace = namespace.map(|n| format!("/namespaces/{n}")).unwrap_or_default();
        let name = name.map(|n| format!("/{n}")).unwrap_or_default();
        format!("{root}/{}{namespace}/{}{name}", self.api_version(), self.plural)
    }

    /// Returns what a cluster would not take of an object, or not keep.
    pub(super) fn wrong(&self, object: &Value) -> Vec<String> {
        let Some(mut schema) = self.schema.clone() else { return Vec::new() };
        // Clusters know the metadata of everything; definitions say `object`.
        schema["properties"]["metadata"] =
            json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        close(&mut schema);
        let validator = jsonschema::validator_for(&schema).expect("a definition has a schema");
        validator.iter_errors(object).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }
}

/// Clusters drop fields that a definition does not have, or refuse them when asked to be strict.
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
