//! UpdateService: the update graph inside, where its data and a release are at the target.

use oc_mirror_model::reference::Registry;
use oc_mirror_model::request::kind;
use serde_json::json;

use super::{CREATED_BY, Documents, Mirrored, Resource, name_of, of_kind};

pub(super) const FILE: &str = "updateService.yaml";

pub(super) fn add(registry: &Registry, images: &[Mirrored<'_>], documents: &mut Documents) {
    // The service knows one repository and one graph: the newest.
    let newest = |kind| of_kind(images, kind).max_by_key(|m| m.first).map(|m| &m.image.destination);
    let (Some(graph), Some(release)) = (newest(kind::GRAPH), newest(kind::RELEASE)) else { return };
    let (key, value) = CREATED_BY;
    let object = json!({
        "apiVersion": "updateservice.operator.openshift.io/v1",
        "kind": "UpdateService",
        "metadata": {
            "name": "update-service-oc-mirror",
            "namespace": "openshift-update-service",
            "annotations": { key: value },
        },
        "spec": {
            "replicas": 2,
            "releases": format!("{registry}/{}", release.repository),
            "graphDataImage": name_of(registry, graph),
        },
    });
    documents.resources.push(Resource { file: FILE.to_owned(), object });
}
