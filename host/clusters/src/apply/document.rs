//! [`Resource`]: one object as it was written, read from YAML or JSON.

use serde_json::Value;

use super::kinds::{KINDS, Kind};

/// One object that a cluster should have.
#[derive(Clone, Debug)]
pub struct Resource {
    pub(super) kind: &'static Kind,
    pub(super) api_version: String,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) object: Value,
    /// Where it was read from.
    file: String,
}

/// A file does not hold what can be applied.
#[derive(Debug, thiserror::Error)]
#[error("`{file}` cannot be applied: {reason}")]
pub struct DocumentError {
    /// Which file.
    pub file: String,
    /// Why.
    pub reason: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Reads files, given with their names, into the order in which they are applied.
///
/// The same object may be there twice if it is the same: the signatures of releases are written as YAML and as JSON.
///
/// # Errors
///
/// Files that are not YAML or JSON, kinds that this program does not make, and two objects of one name.
pub fn read(files: &[(String, String)]) -> Result<Vec<Resource>, DocumentError> {
    let mut found: Vec<Resource> = Vec::new();
    for (file, text) in files {
        let failed = |reason: String| DocumentError { file: file.clone(), reason, hint: None };
        // JSON is YAML.
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(text).map_err(|error| failed(error.to_string()))?;
        for document in documents.into_iter().flat_map(items).filter(|document| !document.is_null()) {
            let resource = resource(file, document)?;
            let same = found.iter().find(|other| other.identity() == resource.identity());
            match same {
                None => found.push(resource),
                Some(same) if same.object == resource.object => {}
                Some(same) => {
                    return Err(DocumentError {
                        hint: Some("remove one of them".to_owned()),
                        ..failed(format!("{} is another one in `{}`", resource.title(), same.file))
                    });
                }
            }
        }
    }
    found.sort_by(|a, b| {
        (a.kind.order(), &a.namespace, &a.name).cmp(&(b.kind.order(), &b.namespace, &b.name))
    });
    Ok(found)
}

/// Takes a list apart.
fn items(mut document: Value) -> Vec<Value> {
    if document["kind"] == "List"
        && let Some(Value::Array(items)) = document.get_mut("items").map(Value::take)
    {
        return items;
    }
    vec![document]
}

fn resource(file: &str, mut object: Value) -> Result<Resource, DocumentError> {
    let failed = |reason: String, hint: Option<String>| DocumentError { file: file.to_owned(), reason, hint };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let (Some(api_version), Some(kind)) = (text(&object["apiVersion"]), text(&object["kind"])) else {
        return Err(failed("a document has no `apiVersion` and `kind`".to_owned(), None));
    };
    let Some(known) = Kind::of(&api_version, &kind) else {
        let kinds: Vec<&str> = KINDS.iter().map(|kind| kind.kind).collect();
        return Err(failed(
            format!("`{kind}` of `{api_version}` is not among what this program makes"),
            Some(format!("apply it with `oc apply`; known here are {}", kinds.join(", "))),
        ));
    };
    let Some(name) = text(&object["metadata"]["name"]).filter(|name| !name.is_empty()) else {
        return Err(failed(format!("a {kind} has no `metadata.name`"), None));
    };
    let namespace = text(&object["metadata"]["namespace"]);
    if let Some(fields) = object.as_object_mut() {
        // What a cluster said of an object is not part of what it should be.
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in ["managedFields", "resourceVersion", "uid", "generation", "creationTimestamp"] {
            metadata.remove(field);
        }
    }
    Ok(Resource { kind: known, api_version, namespace, name, object, file: file.to_owned() })
}

impl Resource {
    /// Returns kind, namespace and name: `CatalogSource openshift-marketplace/cs-x`.
    pub fn title(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.kind.kind, self.name),
            None => format!("{} {}", self.kind.kind, self.name),
        }
    }

    pub(super) fn identity(&self) -> (&'static str, &'static str, Option<&str>, &str) {
        (self.kind.group, self.kind.kind, self.namespace.as_deref(), &self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn file(name: &str, text: &str) -> (String, String) {
        (name.to_owned(), text.to_owned())
    }

    const IDMS: &str =
        "apiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nmetadata:\n  name: a\n";

    #[test]
    fn documents_come_in_the_order_of_application() {
        let service =
            "apiVersion: updateservice.operator.openshift.io/v1\nkind: UpdateService\nmetadata: {name: s}\n";
        let map = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "n", "uid": "1"}}"#;
        let files =
            [file("a.yaml", &format!("{service}---\n{IDMS}---\n")), file("m.json", map), file("m.yaml", map)];
        let found = read(&files).expect("they can be read");
        let titles: Vec<String> = found.iter().map(Resource::title).collect();
        assert_eq!(titles, ["ConfigMap n/m", "ImageDigestMirrorSet a", "UpdateService s"]);
        assert_eq!(found[0].object["metadata"], serde_json::json!({ "name": "m", "namespace": "n" }));
    }

    #[test]
    fn lists_are_taken_apart() {
        let list = format!(
            "kind: List\napiVersion: v1\nitems:\n- {{{}}}\n",
            IDMS.trim().replace("metadata:\n  name: a", "metadata: {name: a}").replace('\n', ", ")
        );
        assert_eq!(read(&[file("l.yaml", &list)]).expect("it can be read").len(), 1);
    }

    #[rstest]
    #[case("kind: Deployment\napiVersion: apps/v1\n", "`Deployment` of `apps/v1` is not among")]
    #[case("kind: ImageDigestMirrorSet\napiVersion: other.io/v1\n", "is not among")]
    #[case("a: [", "cannot be applied")]
    #[case("just text", "no `apiVersion`")]
    #[case("kind: ConfigMap\napiVersion: v1\nmetadata: {}\n", "no `metadata.name`")]
    fn what_cannot_be_applied_is_told(#[case] text: &str, #[case] expected: &str) {
        let error = read(&[file("x.yaml", text)]).expect_err("it is wrong").to_string();
        assert!(error.contains(expected) && error.contains("x.yaml"), "{error}");
    }

    #[test]
    fn two_objects_of_one_name_are_an_error() {
        let files = [file("a.yaml", IDMS), file("b.yaml", &format!("{IDMS}spec: {{}}\n"))];
        let error = read(&files).expect_err("they differ").to_string();
        assert_eq!(error, "`b.yaml` cannot be applied: ImageDigestMirrorSet a is another one in `a.yaml`");
    }
}
