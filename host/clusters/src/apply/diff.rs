//! What differs between two versions of an object: [`changes`], a pure function.

use std::collections::BTreeMap;

use oc_mirror_model::cluster_report::FieldChange;
use serde_json::{Map, Value};

/// Fields of an object's metadata that are the cluster's own.
const OWN: [&str; 6] =
    ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"];

/// By which of their fields the entries of lists are told apart.
const KEYS: [&str; 2] = ["source", "name"];

/// Returns the fields that differ, without what a cluster keeps for itself: in the order of the alphabet, those that are new
/// last in what holds them.
pub fn changes(old: &Value, new: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    compare("", Some(&wanted(old)), Some(&wanted(new)), &mut found);
    found
}

fn wanted(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
        if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
            for field in OWN {
                metadata.remove(field);
            }
        }
    }
    sorted(&object)
}

/// Servers give fields in different orders.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<(&String, &Value)> = map.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            Value::Object(fields.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

fn compare(path: &str, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<FieldChange>) {
    match (old, new) {
        (None, None) => {}
        (Some(old), Some(new)) if old == new => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let steps = |map: &Map<String, Value>| {
                map.iter().map(|(name, value)| (field(path, name), value.clone())).collect()
            };
            walk(steps(old), steps(new), found);
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            let keyed = KEYS.iter().find_map(|key| Some((by_key(path, key, old)?, by_key(path, key, new)?)));
            let (old, new) = keyed.unwrap_or_else(|| (by_place(path, old), by_place(path, new)));
            walk(old, new, found);
        }
        (old, new) => {
            found.push(FieldChange { path: path.to_owned(), old: old.cloned(), new: new.cloned() });
        }
    }
}

/// Compares what has the same path.
fn walk(old: Vec<(String, Value)>, new: Vec<(String, Value)>, found: &mut Vec<FieldChange>) {
    let mut both: BTreeMap<String, (Option<Value>, Option<Value>)> = BTreeMap::new();
    let mut order = Vec::new();
    for (path, value) in old {
        order.push(path.clone());
        both.entry(path).or_default().0 = Some(value);
    }
    for (path, value) in new {
        if !both.contains_key(&path) {
            order.push(path.clone());
        }
        both.entry(path).or_default().1 = Some(value);
    }
    for path in order {
        if let Some((old, new)) = both.get(&path) {
            compare(&path, old.as_ref(), new.as_ref(), found);
        }
    }
}

fn field(path: &str, name: &str) -> String {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    match (plain, path.is_empty()) {
        (true, true) => name.to_owned(),
        (true, false) => format!("{path}.{name}"),
        (false, _) => format!("{path}[{name}]"),
    }
}

/// Names entries by one of their fields, if all have it and no two have the same.
fn by_key(path: &str, key: &str, items: &[Value]) -> Option<Vec<(String, Value)>> {
    let mut named: Vec<(String, Value)> = Vec::new();
    for item in items {
        let name = format!("{path}[{key}={}]", item.get(key)?.as_str()?);
        if named.iter().any(|(other, _)| *other == name) {
            return None;
        }
        named.push((name, item.clone()));
    }
    Some(named)
}

fn by_place(path: &str, items: &[Value]) -> Vec<(String, Value)> {
    items.iter().enumerate().map(|(place, item)| (format!("{path}[{place}]"), item.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn shown(old: &Value, new: &Value) -> Vec<String> {
        let text = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_string);
        changes(old, new).iter().map(|c| format!("{}: {} > {}", c.path, text(&c.old), text(&c.new))).collect()
    }

    #[rstest]
    #[case(json!({ "a": 1 }), json!({ "a": 1 }), &[])]
    #[case(json!({ "a": 1 }), json!({ "a": "1" }), &["a: 1 > \"1\""])]
    #[case(json!({ "a": { "b": 1 } }), json!({ "a": {}, "c": [] }), &["a.b: 1 > -", "c: - > []"])]
    #[case(json!({ "a": [1, 2] }), json!({ "a": [2] }), &["a[0]: 1 > 2", "a[1]: 2 > -"])]
    #[case(
        json!({ "metadata": { "labels": {} } }),
        json!({ "metadata": { "labels": { "a.b/c": "d" } } }),
        &["metadata.labels[a.b/c]: - > \"d\""]
    )]
    #[case(
        json!({ "m": [{ "source": "a", "mirrors": ["x"] }, { "source": "b" }] }),
        json!({ "m": [{ "source": "b" }, { "source": "a", "mirrors": ["x", "y"] }, { "source": "c" }] }),
        &["m[source=a].mirrors[1]: - > \"y\"", "m[source=c]: - > {\"source\":\"c\"}"]
    )]
    #[case(
        json!({ "metadata": { "uid": "1", "managedFields": [] }, "status": { "x": 1 } }),
        json!({ "metadata": { "uid": "2", "resourceVersion": "7" } }),
        &[]
    )]
    fn fields_that_differ(#[case] old: Value, #[case] new: Value, #[case] expected: &[&str]) {
        assert_eq!(shown(&old, &new), expected);
    }

    #[test]
    fn entries_that_share_a_key_are_told_apart_by_place() {
        let old = json!({ "m": [{ "source": "a", "x": 1 }, { "source": "a", "x": 2 }] });
        let new = json!({ "m": [{ "source": "a", "x": 1 }, { "source": "a", "x": 3 }] });
        assert_eq!(shown(&old, &new), ["m[1].x: 2 > 3"]);
    }
}
