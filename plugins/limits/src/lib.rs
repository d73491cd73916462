//! The policy `limits`: refuses images that are too large, too old, have too many layers or are not for the right
//! architectures, and runs that ask for too many.
//!
//! [`Rules`] decides by what is known of an image, [`Limits`] asks the host for that, as far as there is a limit on it.

mod amounts;

use std::collections::BTreeSet;

use oc_mirror_plugin_sdk::host::config;
use oc_mirror_plugin_sdk::pattern::Pattern;
use oc_mirror_plugin_sdk::{
    Error, Finding, Image, ImageRequest, Plugin, Policy, Problem, StaticPolicy, Verdict, each_image,
    export_plugin, finding, other, problem,
};
use serde::Deserialize;

use crate::amounts::{day, parse_size, show_size};

/// What the user writes under `config`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Settings {
    max_image_size: Option<Size>,
    max_layers: Option<usize>,
    max_age_days: Option<i64>,
    undated: Undated,
    max_images: Option<u64>,
    architectures: Option<BTreeSet<String>>,
    required: BTreeSet<String>,
    exempt: Vec<String>,
}

/// A size as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Size {
    Bytes(u64),
    Text(String),
}

/// What becomes of images that do not say when they were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Undated {
    #[default]
    Deny,
    Allow,
}

/// The policy.
#[derive(Debug)]
struct Limits {
    rules: Rules,
    max_images: Option<u64>,
    exempt: Vec<Pattern>,
}

/// What holds for each image.
#[derive(Debug)]
struct Rules {
    max_size: Option<u64>,
    max_layers: Option<usize>,
    max_age_days: Option<i64>,
    undated: Undated,
    architectures: Option<BTreeSet<String>>,
    required: BTreeSet<String>,
}

/// What is known of one image, as far as a rule is about it.
#[derive(Clone, Debug, Default)]
struct Facts {
    bytes: u64,
    layers: usize,
    created: Option<String>,
    architecture: String,
}

impl Plugin for Limits {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let max_size = match settings.max_image_size {
            None => None,
            Some(Size::Bytes(bytes)) => Some(bytes),
            Some(Size::Text(text)) => parse_size(&text)
                .map_err(|why| problems.push(problem("maxImageSize", "limits.size", why)))
                .ok(),
        };
        if let Some(allowed) = &settings.architectures
            && let Some(odd) = settings.required.iter().find(|arch| !allowed.contains(*arch))
        {
            let why = format!("`{odd}` is required, and not among the `architectures` that may be");
            problems.push(problem("required", "limits.architecture", why));
        }
        let exempt = Pattern::all(&settings.exempt, "exempt", "limits.pattern", &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let rules = Rules {
            max_size,
            max_layers: settings.max_layers,
            max_age_days: settings.max_age_days,
            undated: settings.undated,
            architectures: settings.architectures,
            required: settings.required,
        };
        Ok(Self { rules, max_images: settings.max_images, exempt })
    }
}

impl StaticPolicy for Limits {
    fn evaluate_reference(&self, _: &ImageRequest) -> Verdict {
        let Some(most) = self.max_images else { return Verdict::Allow };
        let asked = attribute(&config::run().extra, "images").and_then(|count| count.parse::<u64>().ok());
        match asked {
            Some(asked) if asked > most => {
                let message = format!("the run asks for {asked} images, and {most} may be");
                Verdict::Deny(vec![finding("limits.images", message, [("images", asked.to_string())])])
            }
            _ => Verdict::Allow,
        }
    }
}

impl Policy for Limits {
    fn evaluate(&self, request: &ImageRequest, image: &Image) -> Result<Verdict, Error> {
        if self.exempt.iter().any(|pattern| pattern.is_of(request)) {
            return Ok(Verdict::Allow);
        }
        let today = self.rules.max_age_days.is_some().then(today).transpose()?;
        let (mut findings, mut found) = (Vec::new(), BTreeSet::new());
        each_image(image, &request.platforms, &mut |image| {
            let facts = self.rules.facts(image)?;
            self.rules.judge(&request.origin, &facts, today, &mut findings);
            found.insert(facts.architecture);
            Ok(())
        })?;
        self.rules.judge_all(&request.origin, &found, &mut findings);
        Ok(if findings.is_empty() { Verdict::Allow } else { Verdict::Deny(findings) })
    }
}

fn attribute<'a>(attributes: &'a [(String, String)], key: &str) -> Option<&'a str> {
    attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

/// The day of the run.
fn today() -> Result<i64, Error> {
    let run = config::run();
    let today = attribute(&run.extra, "time").and_then(day);
    today.ok_or_else(|| other("limits.time", "the host does not say what time it is"))
}

/// The parts of an image's manifest that rules are about. It is at hand, where the host's own list of layers also has what
/// the configuration says of them, and that would have to be fetched.
#[derive(Default, Deserialize)]
struct Manifest {
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Layer {
    size: u64,
}

/// The parts of an image's configuration that rules are about.
#[derive(Default, Deserialize)]
struct Configuration {
    #[serde(default)]
    created: Option<String>,
    #[serde(default)]
    architecture: Option<String>,
}

impl Rules {
    /// Asks for what rules are about, and for nothing else: a configuration has to be fetched.
    fn facts(&self, image: &Image) -> Result<Facts, Error> {
        let mut facts = Facts::default();
        if self.max_size.is_some() || self.max_layers.is_some() {
            let bytes = image.manifest()?;
            let read: Manifest = serde_json::from_slice(&bytes).map_err(|e| {
                other("limits.manifest", format!("the manifest of `{}`: {e}", image.reference()))
            })?;
            facts.layers = read.layers.len();
            facts.bytes = read.layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add);
        }
        let by_architecture = self.architectures.is_some() || !self.required.is_empty();
        if by_architecture || self.max_age_days.is_some() {
            let bytes = image.config()?;
            let read: Configuration = serde_json::from_slice(&bytes).map_err(|e| {
                other("limits.configuration", format!("the configuration of `{}`: {e}", image.reference()))
            })?;
            (facts.created, facts.architecture) = (read.created, read.architecture.unwrap_or_default());
        }
        Ok(facts)
    }

    /// Judges one image.
    fn judge(&self, origin: &str, facts: &Facts, today: Option<i64>, findings: &mut Vec<Finding>) {
        let mut refuse = |code: &str, message: String, value: String| {
            let fact = finding(&format!("limits.{code}"), format!("`{origin}` {message}"), [(code, value)]);
            if !findings.contains(&fact) {
                findings.push(fact);
            }
        };
        if let Some(most) = self.max_size.filter(|most| facts.bytes > *most) {
            let (size, most) = (show_size(facts.bytes), show_size(most));
            refuse("size", format!("is {size} large, and {most} may be"), facts.bytes.to_string());
        }
        if let Some(most) = self.max_layers.filter(|most| facts.layers > *most) {
            let layers = facts.layers;
            refuse("layers", format!("has {layers} layers, and {most} may be"), layers.to_string());
        }
        if let (Some(most), Some(today)) = (self.max_age_days, today) {
            let created = facts.created.clone().unwrap_or_default();
            // A day is what zones make of it.
            match day(&created).filter(|day| *day > 1) {
                Some(day) if today - day > most => {
                    let age = today - day;
                    refuse("age", format!("is {age} days old, and {most} may be"), created);
                }
                None if self.undated == Undated::Deny => {
                    refuse("age", "does not say when it was made".to_owned(), created);
                }
                _ => {}
            }
        }
        if let Some(allowed) = &self.architectures
            && !allowed.contains(&facts.architecture)
        {
            let architecture = match facts.architecture.as_str() {
                "" => "no architecture",
                other => other,
            };
            refuse("architecture", format!("is for {architecture}"), facts.architecture.clone());
        }
    }

    /// Judges all images under one name together.
    fn judge_all(&self, origin: &str, found: &BTreeSet<String>, findings: &mut Vec<Finding>) {
        let missing: Vec<&str> = self.required.difference(found).map(String::as_str).collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            let message = format!("`{origin}` has no image for {missing}");
            findings.push(finding("limits.required", message, [("missing", missing)]));
        }
    }
}

export_plugin!(Limits: policy, static_policy);

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn limits(settings: serde_json::Value) -> Limits {
        Limits::new(serde_json::from_value(settings).expect("of this shape")).expect("valid")
    }

    fn codes(settings: serde_json::Value, facts: &Facts) -> Vec<String> {
        let mut findings = Vec::new();
        limits(settings).rules.judge("quay.io/a/b:1", facts, day("2026-01-31T00:00:00Z"), &mut findings);
        findings.into_iter().map(|f| f.code).collect()
    }

    fn facts() -> Facts {
        Facts {
            bytes: 3_000_000,
            layers: 5,
            created: Some("2026-01-01T12:00:00Z".to_owned()),
            architecture: "amd64".to_owned(),
        }
    }

    #[rstest]
    #[case(json!({"maxImageSize": "3MB"}), &[])]
    #[case(json!({"maxImageSize": 2_999_999}), &["limits.size"])]
    #[case(json!({"maxLayers": 5}), &[])]
    #[case(json!({"maxLayers": 4}), &["limits.layers"])]
    #[case(json!({"maxAgeDays": 30}), &[])]
    #[case(json!({"maxAgeDays": 29}), &["limits.age"])]
    #[case(json!({"architectures": ["amd64", "arm64"]}), &[])]
    #[case(json!({"architectures": ["arm64"]}), &["limits.architecture"])]
    #[case(json!({"maxLayers": 1, "maxImageSize": "1kB"}), &["limits.size", "limits.layers"])]
    fn each_limit(#[case] settings: serde_json::Value, #[case] expected: &[&str]) {
        assert_eq!(codes(settings, &facts()), expected);
    }

    #[rstest]
    #[case(None)]
    #[case(Some("1970-01-01T00:00:00Z"))]
    #[case(Some("0001-01-01T00:00:00Z"))]
    #[case(Some("some day"))]
    fn what_says_no_time_is_of_no_age(#[case] created: Option<&str>) {
        let facts = Facts { created: created.map(str::to_owned), ..facts() };
        assert_eq!(codes(json!({"maxAgeDays": 9}), &facts), ["limits.age"]);
        assert!(codes(json!({"maxAgeDays": 9, "undated": "allow"}), &facts).is_empty());
    }

    #[test]
    fn required_architectures_are_named() {
        let limits = limits(json!({"required": ["amd64", "s390x"]}));
        let mut findings = Vec::new();
        limits.rules.judge_all("a", &BTreeSet::from(["amd64".to_owned()]), &mut findings);
        assert_eq!(findings[0].message, "`a` has no image for s390x");
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let settings = json!({
            "maxImageSize": "big", "architectures": ["amd64"], "required": ["arm64"], "exempt": ["quay.io", ""],
        });
        let problems =
            Limits::new(serde_json::from_value(settings).expect("of this shape")).expect_err("refused");
        let paths: Vec<&str> = problems.iter().map(|p| p.path.as_str()).collect();
        assert_eq!(paths, ["maxImageSize", "required", "exempt[1]"]);
    }
}
