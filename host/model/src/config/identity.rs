//! What a document is: its `kind` and `apiVersion`, looked at before anything else.

use super::hints;
use super::problem::{Problem, Problems};
use super::schema::DocumentKind;
use super::tree::{self, Content, Entry, Node, Scalar};
use super::types::ApiVersion;

const IMAGE_SET: &str = "ImageSetConfiguration";
const DELETE: &str = "DeleteImageSetConfiguration";

/// Finds out what a document is. Where it does not say so, that is reported, and the likeliest is returned so that the
/// rest can be checked.
pub(super) fn identify(document: &Node, problems: &mut Problems) -> (DocumentKind, ApiVersion) {
    let delete = is_delete(document, problems);
    let api = api_version(document, problems);
    let kind = match (delete, api) {
        (true, _) => DocumentKind::Delete,
        (false, ApiVersion::V1Alpha2) => DocumentKind::ImageSetV1Alpha2,
        (false, ApiVersion::V2Alpha1) => DocumentKind::ImageSetV2Alpha1,
    };
    (kind, api)
}

fn entry<'a>(document: &'a Node, key: &str) -> Option<&'a Entry> {
    document.entries().iter().find(|entry| entry.key.eq_ignore_ascii_case(key))
}

fn is_delete(document: &Node, problems: &mut Problems) -> bool {
    let guess = entry(document, "delete").is_some() && entry(document, "mirror").is_none();
    let example = if guess { DELETE } else { IMAGE_SET };
    let Some(entry) = entry(document, "kind") else {
        let problem = Problem::new(document.at, "", "`kind` is missing");
        problems.error(problem.with_hint(format!("start the file with `kind: {example}`")));
        return guess;
    };
    match written(&entry.value) {
        Some(IMAGE_SET) => return false,
        Some(DELETE) => return true,
        Some(other) => {
            let hint = hints::closest(other, [IMAGE_SET, DELETE].into_iter())
                .unwrap_or_else(|| format!("write `kind: {example}`"));
            let problem = Problem::new(
                entry.value.at,
                "kind",
                format!("`{}` is not a kind of configuration", short(other)),
            );
            problems.error(problem.with_hint(hint));
        }
        None => {
            let problem = Problem::new(entry.value.at, "kind", "it does not name a kind of configuration");
            problems.error(problem.with_hint(format!("write `kind: {example}`")));
        }
    }
    guess
}

fn api_version(document: &Node, problems: &mut Problems) -> ApiVersion {
    let newest = ApiVersion::V2Alpha1;
    let wanted = format!("write `apiVersion: {}`", newest.as_str());
    let Some(entry) = entry(document, "apiVersion") else {
        problems.error(Problem::new(document.at, "", "`apiVersion` is missing").with_hint(wanted));
        return newest;
    };
    let Some(text) = written(&entry.value) else {
        let problem = Problem::new(entry.value.at, "apiVersion", "it does not name a version");
        problems.error(problem.with_hint(wanted));
        return newest;
    };
    for version in [ApiVersion::V1Alpha2, newest] {
        if text == version.as_str() {
            return version;
        }
    }
    let guess = if text.contains("v1") { ApiVersion::V1Alpha2 } else { newest };
    let hint = match tree::looks_templated(text) {
        true => tree::TEMPLATE_HINT.to_owned(),
        false => format!(
            "write `apiVersion: {}`, or `{}` for a configuration of oc-mirror v1",
            newest.as_str(),
            ApiVersion::V1Alpha2.as_str()
        ),
    };
    let message = format!("`{}` is not a version of a configuration", short(text));
    problems.error(Problem::new(entry.value.at, "apiVersion", message).with_hint(hint));
    guess
}

fn written(node: &Node) -> Option<&str> {
    match &node.content {
        Content::Scalar(Scalar { text, .. }) if !node.is_null() => Some(text),
        _ => None,
    }
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}
