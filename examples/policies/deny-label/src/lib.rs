//! A custom policy: refuses images that carry a label.
//!
//! [`DenyLabel`] reads the labels of an image, or of every image of an index, and leaves the decision to [`hit`],
//! which needs no host and is therefore tested with `cargo test`.

use oc_mirror_plugin_sdk::{
    Error, Finding, Image, ImageRequest, Plugin, Policy, Problem, Verdict, export_plugin, finding, problem,
};
use serde::Deserialize;

/// What the user writes under `config`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The key of the label.
    label: String,
    /// The value that is refused; any, if left out.
    value: Option<String>,
}

/// The policy.
struct DenyLabel(Settings);

impl Plugin for DenyLabel {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, Vec<Problem>> {
        if settings.label.trim().is_empty() {
            return Err(vec![problem("label", "deny-label.empty", "the key of a label cannot be empty")]);
        }
        Ok(Self(settings))
    }
}

impl Policy for DenyLabel {
    fn evaluate(&self, request: &ImageRequest, image: &Image) -> Result<Verdict, Error> {
        let found = match image.is_index() {
            false => hit(&self.0, &request.origin, &image.labels()?),
            true => self.first_of_index(request, image)?,
        };
        Ok(match found {
            Some(finding) => Verdict::Deny(vec![finding]),
            None => Verdict::Allow,
        })
    }
}

impl DenyLabel {
    fn first_of_index(&self, request: &ImageRequest, index: &Image) -> Result<Option<Finding>, Error> {
        for platform in index.children()?.into_iter().filter_map(|child| child.platform) {
            // Builders store attestations beside the images, for a platform that does not exist.
            if platform.os == "unknown" {
                continue;
            }
            let labels = index.child(&platform)?.labels()?;
            if let Some(finding) = hit(&self.0, &request.origin, &labels) {
                return Ok(Some(finding));
            }
        }
        Ok(None)
    }
}

/// Decides about one image.
fn hit(settings: &Settings, origin: &str, labels: &[(String, String)]) -> Option<Finding> {
    let (key, value) = labels.iter().find(|(key, value)| {
        *key == settings.label && settings.value.as_ref().is_none_or(|refused| refused == value)
    })?;
    Some(finding(
        "deny-label",
        format!("`{origin}` carries the label `{key}={value}`"),
        [("label", key.clone()), ("value", value.clone())],
    ))
}

export_plugin!(DenyLabel: policy);

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(settings: serde_json::Value, labels: &[(&str, &str)]) -> Option<Finding> {
        let settings = serde_json::from_value(settings).expect("valid");
        let labels: Vec<_> = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        hit(&settings, "quay.io/a/b:1", &labels)
    }

    #[test]
    fn a_value_must_be_equal() {
        let settings = serde_json::json!({"label": "stage", "value": "beta"});
        assert!(judge(settings.clone(), &[("stage", "beta")]).is_some());
        assert!(judge(settings.clone(), &[("stage", "final"), ("other", "beta")]).is_none());
        assert!(judge(settings, &[]).is_none());
    }

    #[test]
    fn without_a_value_the_key_is_enough() {
        let found = judge(serde_json::json!({"label": "stage"}), &[("stage", "beta")]).expect("a hit");
        assert_eq!(found.message, "`quay.io/a/b:1` carries the label `stage=beta`");
    }

    #[test]
    fn an_empty_key_is_a_problem() {
        let problems =
            DenyLabel::new(Settings { label: " ".to_owned(), value: None }).err().expect("invalid");
        assert_eq!(problems[0].path, "label");
    }
}
