//! The JSON Schemas, generated from the types, and how the check looks things up in them: [`DocumentKind`].

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform as _};
use serde_json::{Map, Value};

use super::{v1alpha2, v2alpha1};

/// The kinds of documents that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// `ImageSetConfiguration` of `mirror.openshift.io/v1alpha2`.
    ImageSetV1Alpha2,
    /// `ImageSetConfiguration` of `mirror.openshift.io/v2alpha1`.
    ImageSetV2Alpha1,
    /// `DeleteImageSetConfiguration`.
    Delete,
}

impl DocumentKind {
    /// Returns the key whose value holds the sections.
    pub(super) fn root_section(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            _ => "mirror",
        }
    }

    /// Returns `apiVersion`, without its group.
    pub(super) fn version(self) -> &'static str {
        match self {
            Self::ImageSetV1Alpha2 => "v1alpha2",
            _ => "v2alpha1",
        }
    }
}

static V1ALPHA2: LazyLock<Value> = LazyLock::new(generate::<v1alpha2::Document>);
static V2ALPHA1: LazyLock<Value> = LazyLock::new(generate::<v2alpha1::Document>);
static DELETE: LazyLock<Value> = LazyLock::new(generate::<v2alpha1::DeleteDocument>);

/// Makes the JSON Schema of a type, whose mappings refuse unknown fields.
pub(crate) fn generate<T: schemars::JsonSchema>() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    // Types that other places share do not refuse unknown fields everywhere; a configuration does.
    RecursiveTransform(|schema: &mut schemars::Schema| {
        if schema.get("properties").is_some() {
            schema.insert("additionalProperties".to_owned(), Value::Bool(false));
        }
    })
    .transform(&mut schema);
    schema.to_value()
}

/// Returns the JSON Schema (draft 2020-12) of a kind of document.
///
/// It describes the form to write. What is read is wider: the case of keys is forgiven, and an empty value is no value.
pub fn schema(of: DocumentKind) -> Value {
    of.schema().clone()
}

impl DocumentKind {
    pub(super) fn schema(self) -> &'static Value {
        match self {
            Self::ImageSetV1Alpha2 => &V1ALPHA2,
            Self::ImageSetV2Alpha1 => &V2ALPHA1,
            Self::Delete => &DELETE,
        }
    }
}

/// Follows `$ref` and splits `anyOf`/`oneOf`: the plain schemas that a value may satisfy.
pub(super) fn alternatives<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let target = name.strip_prefix("#").and_then(|pointer| root.pointer(pointer));
        return target.map(|target| alternatives(root, target)).unwrap_or_default();
    }
    let split = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array);
    match split {
        Some(parts) => parts.iter().flat_map(|part| alternatives(root, part)).collect(),
        None => vec![schema],
    }
}

/// Answers whether a plain schema takes values of a type.
pub(super) fn takes(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(only)) => only == kind,
        Some(Value::Array(several)) => several.iter().any(|one| one == kind),
        _ => false,
    }
}

/// Answers whether a plain schema takes everything.
pub(super) fn takes_anything(schema: &Value) -> bool {
    match schema {
        Value::Bool(all) => *all,
        Value::Object(keys) => !["type", "const", "enum", "properties"].iter().any(|k| keys.contains_key(*k)),
        _ => false,
    }
}

/// Returns the fields of the mapping among some alternatives.
pub(super) fn fields<'a>(alternatives: &[&'a Value]) -> Option<&'a Map<String, Value>> {
    alternatives.iter().find_map(|schema| schema.get("properties")).and_then(Value::as_object)
}

/// Returns the fields of the mapping at a path such as `mirror.operators[].packages[]`.
pub(super) fn fields_at<'a>(root: &'a Value, pattern: &str) -> Option<&'a Map<String, Value>> {
    let mut here = alternatives(root, root);
    for step in pattern.split('.').filter(|step| !step.is_empty()) {
        let (key, lists) = match step.find("[]") {
            Some(at) => (&step[..at], step[at..].len() / 2),
            None => (step, 0),
        };
        here = alternatives(root, fields(&here)?.get(key)?);
        for _ in 0..lists {
            let items = here.iter().find_map(|schema| schema.get("items"))?;
            here = alternatives(root, items);
        }
    }
    fields(&here)
}

/// Returns the paths of the mappings that have a field of this name.
pub(super) fn homes_of(root: &Value, field: &str) -> Vec<String> {
    let mut found = Vec::new();
    find_homes(root, root, "", field, &mut found);
    found
}

fn find_homes(root: &Value, schema: &Value, path: &str, field: &str, found: &mut Vec<String>) {
    for schema in alternatives(root, schema) {
        if let Some(items) = schema.get("items") {
            find_homes(root, items, &format!("{path}[]"), field, found);
        }
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { continue };
        for (key, value) in properties {
            if key.eq_ignore_ascii_case(field) {
                found.push(path.to_owned());
            }
            let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            find_homes(root, value, &below, field, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups() {
        let root = DocumentKind::ImageSetV2Alpha1.schema();
        let fields = fields_at(root, "mirror.operators[].packages[].channels[]").expect("there");
        let names: Vec<&str> = fields.keys().map(String::as_str).collect();
        assert_eq!(names, ["name", "minVersion", "maxVersion"]);
        assert!(fields_at(root, "mirror.nothing").is_none());
        assert_eq!(homes_of(root, "shortestPath"), ["mirror.platform.channels[]"]);
        assert_eq!(homes_of(root, "baseImage"), ["mirror.blockedImages[]"]);
    }

    #[test]
    fn every_mapping_is_closed() {
        let text = schema(DocumentKind::ImageSetV2Alpha1).to_string();
        let count = |needle: &str| text.matches(needle).count();
        assert_eq!(count("\"properties\":"), count("\"additionalProperties\":false"));
    }
}
