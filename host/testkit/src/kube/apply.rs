//! Server-side apply as the fake does it: which manager has set which field ([`Stored`]), and what happens when one applies an
//! object. Lists are one field, as they are in the kinds of mirror sets.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// The names that lead to a field.
type FieldPath = Vec<String>;

/// An object with who set what.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stored {
    pub object: Value,
    owners: BTreeMap<String, BTreeSet<FieldPath>>,
    pub uid: String,
    pub version: u64,
    pub generation: u64,
}

/// A field that somebody else has set otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    pub field: String,
    pub manager: String,
}

impl Stored {
    /// Returns what becomes of an object, or of none, when a manager applies another.
    pub(super) fn applied(
        live: Option<&Self>,
        object: &Value,
        manager: &str,
        force: bool,
    ) -> Result<Self, Vec<Conflict>> {
        let mut next = live.cloned().unwrap_or_default();
        let wanted = leaves(object);
        let mut conflicts = Vec::new();
        for (path, value) in &wanted {
            let differs = at(&next.object, path) != Some(value);
            for (other, owned) in next.owners.iter().filter(|(other, _)| *other != manager) {
                if differs && owned.iter().any(|theirs| overlap(theirs, path)) {
                    conflicts.push((path.clone(), other.clone()));
                }
            }
        }
        if !conflicts.is_empty() && !force {
            let told = |(path, manager): (FieldPath, String)| Conflict {
                field: format!(".{}", path.join(".")),
                manager,
            };
            return Err(conflicts.into_iter().map(told).collect());
        }
        for (path, other) in &conflicts {
            if let Some(owned) = next.owners.get_mut(other) {
                owned.retain(|theirs| !overlap(theirs, path));
            }
        }
        let mine: BTreeSet<FieldPath> = wanted.iter().map(|(path, _)| path.clone()).collect();
        let before = next.owners.insert(manager.to_owned(), mine.clone()).unwrap_or_default();
        for gone in before.difference(&mine) {
            let is_shared = next.owners.values().flatten().any(|owned| overlap(owned, gone));
            if !is_shared {
                remove(&mut next.object, gone);
            }
        }
        if live.is_none() {
            next.object = json!({ "metadata": {} });
        }
        for field in ["apiVersion", "kind"] {
            next.object[field] = object[field].clone();
        }
        for field in ["name", "namespace"] {
            if let Some(value) = object["metadata"].get(field) {
                next.object["metadata"][field] = value.clone();
            }
        }
        for (path, value) in wanted {
            set(&mut next.object, &path, value);
        }
        next.owners.retain(|_, owned| !owned.is_empty());
        Ok(next)
    }

    /// Returns the object with what a cluster adds to it.
    pub(super) fn shown(&self) -> Value {
        let mut object = self.object.clone();
        let metadata = &mut object["metadata"];
        metadata["uid"] = json!(self.uid);
        metadata["resourceVersion"] = json!(self.version.to_string());
        metadata["generation"] = json!(self.generation);
        metadata["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        let managers = self.owners.iter().map(|(manager, owned)| {
            let mut fields = Value::Object(Map::new());
            for path in owned {
                let path: FieldPath = path.iter().map(|name| format!("f:{name}")).collect();
                set(&mut fields, &path, json!({}));
            }
            json!({
                "manager": manager,
                "operation": "Apply",
                "apiVersion": self.object["apiVersion"],
                "time": "2026-01-01T00:00:00Z",
                "fieldsType": "FieldsV1",
                "fieldsV1": fields,
            })
        });
        metadata["managedFields"] = managers.collect();
        object
    }
}

/// Returns the fields of an object that somebody can own.
fn leaves(object: &Value) -> Vec<(FieldPath, Value)> {
    let mut found = Vec::new();
    collect(object, &mut Vec::new(), &mut found);
    found.retain(|(path, _)| {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        !matches!(
            path.as_slice(),
            ["apiVersion" | "kind"] | ["metadata", "name" | "namespace"] | ["metadata"]
        )
    });
    found
}

fn collect(value: &Value, path: &mut FieldPath, found: &mut Vec<(FieldPath, Value)>) {
    match value {
        Value::Object(fields) if !fields.is_empty() || path.is_empty() => {
            for (name, value) in fields {
                path.push(name.clone());
                collect(value, path, found);
                path.pop();
            }
        }
        value => found.push((path.clone(), value.clone())),
    }
}

/// Answers whether one of two fields is in the other.
fn overlap(a: &FieldPath, b: &FieldPath) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

fn at<'a>(object: &'a Value, path: &FieldPath) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, name| value.get(name))
}

fn set(object: &mut Value, path: &FieldPath, value: Value) {
    let mut place = object;
    for name in path {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[name.as_str()];
    }
    *place = value;
}

/// Removes a field, and whatever is empty without it.
fn remove(object: &mut Value, path: &[String]) {
    let [name, rest @ ..] = path else { return };
    let Some(fields) = object.as_object_mut() else { return };
    if rest.is_empty() {
        fields.remove(name);
        return;
    }
    if let Some(inner) = fields.get_mut(name) {
        remove(inner, rest);
        if inner.as_object().is_some_and(Map::is_empty) {
            fields.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(spec: Value) -> Value {
        json!({ "apiVersion": "v1", "kind": "K", "metadata": { "name": "n" }, "spec": spec })
    }

    #[test]
    fn fields_belong_to_who_set_them() {
        let first =
            Stored::applied(None, &object(json!({ "a": 1, "b": [1] })), "one", false).expect("it is new");
        let same =
            Stored::applied(Some(&first), &object(json!({ "a": 1 })), "two", false).expect("it is equal");
        let conflicts = Stored::applied(Some(&same), &object(json!({ "a": 2 })), "two", false);
        assert_eq!(conflicts, Err(vec![Conflict { field: ".spec.a".to_owned(), manager: "one".to_owned() }]));
        let forced =
            Stored::applied(Some(&same), &object(json!({ "a": 2 })), "two", true).expect("it is forced");
        assert_eq!(forced.object["spec"], json!({ "a": 2, "b": [1] }));
        let back = Stored::applied(Some(&forced), &object(json!({ "a": 1 })), "one", false);
        assert_eq!(back.expect_err("it is the other's now")[0].manager, "two");
    }

    #[test]
    fn what_is_not_applied_any_more_goes_unless_others_want_it() {
        let first =
            Stored::applied(None, &object(json!({ "a": 1, "b": { "c": 1 } })), "one", false).expect("new");
        let both = Stored::applied(Some(&first), &object(json!({ "a": 1 })), "two", false).expect("equal");
        let less = Stored::applied(Some(&both), &object(json!({ "d": 1 })), "one", false).expect("less");
        assert_eq!(less.object["spec"], json!({ "a": 1, "d": 1 }));
        assert_eq!(
            less.shown()["metadata"]["managedFields"][1]["fieldsV1"],
            json!({ "f:spec": { "f:a": {} } })
        );
    }
}
