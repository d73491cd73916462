//! ClusterCatalog: a catalog for OLM v1.

use serde_json::json;

use super::{CREATED_BY, Documents, yaml};

pub(super) const PREFIX: &str = "cc-";

pub(super) fn add(name: &str, image: &str, documents: &mut Documents) {
    let name = format!("{PREFIX}{name}");
    let (key, value) = CREATED_BY;
    let resource = json!({
        "apiVersion": "olm.operatorframework.io/v1",
        "kind": "ClusterCatalog",
        "metadata": { "name": name, "annotations": { key: value } },
        "spec": { "priority": 0, "source": { "type": "Image", "image": { "ref": image } } },
    });
    documents.files.insert(format!("{name}.yaml"), yaml::document(&resource));
}
