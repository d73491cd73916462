//! ClusterCatalog: a catalog for OLM v1.

use oc_mirror_model::reference::Registry;
use oc_mirror_model::request::Destination;
use serde_json::json;

use super::mirror_set::is_location;
use super::{CREATED_BY, Documents, Resource, name_of};

pub(super) const PREFIX: &str = "cc-";
/// The most characters after the first `:`. The API means the tag, but looks for its `:` from the left, so that of a registry
/// with a port, all that follows its name counts.
const LONGEST_TAG: usize = 127;

pub(super) fn add(name: &str, registry: &Registry, catalog: &Destination, documents: &mut Documents) {
    let name = format!("{PREFIX}{name}");
    let image = name_of(registry, catalog);
    let after_colon = image.split_once(':').map_or(0, |(_, after)| after.len());
    let refused = match () {
        () if !is_location(registry.as_str()) => Some("such a registry"),
        () if after_colon > LONGEST_TAG => Some("more than 127 characters after the first `:`"),
        () => None,
    };
    if let Some(what) = refused {
        let warning = format!("there is no ClusterCatalog for `{image}`, since clusters refuse {what} there");
        return documents.warnings.push(warning);
    }
    let (key, value) = CREATED_BY;
    let object = json!({
        "apiVersion": "olm.operatorframework.io/v1",
        "kind": "ClusterCatalog",
        "metadata": { "name": name, "annotations": { key: value } },
        "spec": { "priority": 0, "source": { "type": "Image", "image": { "ref": image } } },
    });
    documents.resources.push(Resource { file: format!("{name}.yaml"), object });
}
