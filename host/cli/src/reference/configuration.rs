//! The kinds of configurations, field by field, as their schemas have them.

use oc_mirror_model::config::{DocumentKind, schema};
use serde_json::{Map, Value};

use super::{MADE, escaped, table};

/// The kinds, each with its title and the command that prints its schema.
const KINDS: [(DocumentKind, &str, &str); 3] = [
    (DocumentKind::ImageSetV2Alpha1, "ImageSetConfiguration v2alpha1", "v2alpha1"),
    (DocumentKind::ImageSetV1Alpha2, "ImageSetConfiguration v1alpha2", "v1alpha2"),
    (DocumentKind::Delete, "DeleteImageSetConfiguration v2alpha1", "delete"),
];

/// Writes the document.
pub(super) fn configuration() -> String {
    let mut text = format!(
        "{MADE}\n# Configuration\n\nEvery configuration is YAML with `kind` and `apiVersion`. `oc-mirror lint -c FILE` tells what is \
         wrong with one, `oc-mirror init` writes one to begin with, and `oc-mirror schema` prints the schemas for editors.\n\n"
    );
    for (_, title, _) in KINDS {
        text.push_str(&format!("- [{title}](#{})\n", title.to_lowercase().replace(' ', "-")));
    }
    for (kind, title, name) in KINDS {
        let root = schema(kind);
        text.push_str(&format!("\n## {title}\n\nIts schema: `oc-mirror schema {name}`.\n"));
        mapping(&root, &root, "", &mut text);
    }
    text
}

/// Writes the fields of a mapping, then the mappings that are in it.
fn mapping(root: &Value, schema: &Value, path: &str, text: &mut String) {
    let Some((of, fields)) =
        alternatives(root, schema).into_iter().find_map(|schema| Some((schema, properties(schema)?)))
    else {
        return;
    };
    if !path.is_empty() {
        text.push_str(&format!("\n### {path}\n"));
    }
    let about = described(of);
    if !about.is_empty() && !path.is_empty() {
        text.push_str(&format!("\n{about}\n"));
    }
    let required: Vec<&str> = list(&of["required"]).filter_map(Value::as_str).collect();
    let rows = fields.iter().map(|(name, field)| {
        let needed = if required.contains(&name.as_str()) { ", needed" } else { "" };
        let mut meaning = described(field);
        if meaning.is_empty() {
            meaning = alternatives(root, field)
                .into_iter()
                .map(described)
                .find(|about| !about.is_empty())
                .unwrap_or_default();
        }
        if let Some(default) = field.get("default").filter(|default| is_told(default)) {
            meaning = format!(
                "{meaning} Default: `{}`.",
                default.as_str().map_or(default.to_string(), str::to_owned)
            );
        }
        vec![format!("`{name}`"), format!("{}{needed}", kind(root, field)), meaning.trim().to_owned()]
    });
    text.push_str(&format!("\n{}", table(&["field", "is", "meaning"], rows)));
    for (name, field) in fields {
        let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        inside(root, field, &below, text);
    }
}

/// Writes the mapping that a field is, or is a list of.
fn inside(root: &Value, schema: &Value, path: &str, text: &mut String) {
    for schema in alternatives(root, schema) {
        if properties(schema).is_some() {
            return mapping(root, schema, path, text);
        }
        if let Some(items) = schema.get("items") {
            inside(root, items, &format!("{path}[]"), text);
        }
    }
}

/// Follows references, and splits what may be one thing or another.
fn alternatives<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    if let Some(target) = schema["$ref"].as_str().and_then(|name| root.pointer(name.strip_prefix('#')?)) {
        return alternatives(root, target);
    }
    match schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
        Some(parts) => parts.iter().flat_map(|part| alternatives(root, part)).collect(),
        None => vec![schema],
    }
}

fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties").and_then(Value::as_object)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn described(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    escaped(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Nothing, false and what is empty go without saying.
fn is_told(default: &Value) -> bool {
    match default {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::String(text) => !text.is_empty(),
        _ => true,
    }
}

/// Says what a value may be.
fn kind(root: &Value, schema: &Value) -> String {
    let mut words: Vec<String> = Vec::new();
    for schema in alternatives(root, schema) {
        let word = one(root, schema);
        if !word.is_empty() && !words.contains(&word) {
            words.push(word);
        }
    }
    if words.is_empty() { "anything".to_owned() } else { words.join(" or ") }
}

fn one(root: &Value, schema: &Value) -> String {
    if let Some(only) = schema.get("const") {
        return format!("`{}`", only.as_str().unwrap_or_default());
    }
    let choices: Vec<String> =
        list(&schema["enum"]).filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
    if !choices.is_empty() {
        return choices.join(" or ");
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(only) => vec![only],
        several => list(several).filter_map(Value::as_str).collect(),
    };
    let words = kinds.into_iter().filter(|kind| *kind != "null").map(|kind| match kind {
        "array" => format!(
            "list of {}",
            schema.get("items").map_or("anything".to_owned(), |items| of_list(root, items))
        ),
        "object" => "mapping".to_owned(),
        "string" => "text".to_owned(),
        "integer" | "number" => "number".to_owned(),
        "boolean" => "`true` or `false`".to_owned(),
        other => other.to_owned(),
    });
    words.collect::<Vec<_>>().join(" or ")
}

fn of_list(root: &Value, items: &Value) -> String {
    match kind(root, items) {
        kind if kind == "mapping" => "mappings".to_owned(),
        kind if kind == "text" => "texts".to_owned(),
        kind => kind,
    }
}
