//! CatalogSource: a catalog for OLM, from the user's template where there is one.

use serde_json::{Value, json};

use super::{CREATED_BY, Documents, Resource};

pub(super) const PREFIX: &str = "cs-";

const API: &str = "operators.coreos.com/v1alpha1";
const KIND: &str = "CatalogSource";

pub(super) fn add(name: &str, image: &str, template: Option<&str>, documents: &mut Documents) {
    let name = format!("{PREFIX}{name}");
    let mut resource = json!({ "apiVersion": API, "kind": KIND });
    match template.map(parse) {
        Some(Ok(template)) => resource = template,
        Some(Err(reason)) => documents.warnings.push(format!(
            "the template of the CatalogSource `{name}` {reason}, so the CatalogSource is made without it"
        )),
        None => {}
    }
    let (key, value) = CREATED_BY;
    resource["metadata"]["name"] = json!(name);
    resource["metadata"]["namespace"] = json!("openshift-marketplace");
    resource["metadata"]["annotations"][key] = json!(value);
    resource["spec"]["sourceType"] = json!("grpc");
    resource["spec"]["image"] = json!(image);
    documents.resources.push(Resource { file: format!("{name}.yaml"), object: resource });
}

/// Reads a template: all of it is kept but what belongs to the cluster it may come from.
fn parse(text: &str) -> Result<Value, String> {
    let mut template: Value = serde_saphyr::from_str(text).map_err(|_| "is not YAML".to_owned())?;
    for (field, expected) in [("apiVersion", API), ("kind", KIND)] {
        if template[field] != expected {
            return Err(format!("does not say `{field}: {expected}`"));
        }
    }
    for path in ["/metadata", "/metadata/annotations", "/spec"] {
        match template.pointer_mut(path) {
            None => {}
            // An empty section is written as nothing at all.
            Some(section @ Value::Null) => *section = json!({}),
            Some(section) if section.is_object() => {}
            Some(_) => return Err(format!("has no fields below `{}`", path[1..].replace('/', "."))),
        }
    }
    let spec = &template["spec"];
    if !matches!(spec["sourceType"].as_str().unwrap_or_default(), "" | "grpc") {
        return Err("has another `spec.sourceType` than `grpc`".to_owned());
    }
    if spec["configMap"].as_str().is_some_and(|name| !name.is_empty()) {
        return Err("has a `spec.configMap`, which is not for images".to_owned());
    }
    if let Some(fields) = template.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"] {
            metadata.remove(field);
        }
    }
    Ok(template)
}
