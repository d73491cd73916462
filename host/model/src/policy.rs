//! What policies answer: [`Verdict`] on one image, and [`Decision`] after all of them have spoken.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// When a policy is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// In planning, before any network traffic: it sees names.
    Reference,
    /// Once the manifest is known.
    Manifest,
    /// Once all of the content can be read, and before the image is in an imageset or at a target.
    Content,
}

/// What the denials of a policy do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The image is refused.
    #[default]
    Protect,
    /// They are reported, and the image passes.
    Monitor,
}

/// What a policy that breaks does to the image that it was to judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// It is refused.
    #[default]
    Deny,
    /// That is reported, and the image passes.
    Allow,
}

/// One reason a policy gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule that hit, stable over versions: `blocked.expression`.
    pub code: String,
    /// The reason, for people.
    pub message: String,
    /// Facts behind it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}

/// What one policy says about one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "findings", rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing against it.
    Allow,
    /// It may pass, with a remark.
    Warn(Vec<Finding>),
    /// It may not.
    Deny(Vec<Finding>),
}

/// A finding with the policy it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyFinding {
    /// The name the policy has in the configuration.
    pub policy: String,
    /// True if the policy broke instead of answering; such an image is refused all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failure: bool,
    /// What it said.
    #[serde(flatten)]
    pub finding: Finding,
}

/// What all policies together say: any denial wins, warnings add up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Why the image is refused; empty if it is not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<PolicyFinding>,
    /// Remarks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<PolicyFinding>,
}

impl Decision {
    /// Adds what one policy said.
    pub fn add(&mut self, policy: &str, verdict: Verdict) {
        let of = |finding| PolicyFinding { policy: policy.to_owned(), failure: false, finding };
        match verdict {
            Verdict::Allow => {}
            Verdict::Warn(findings) => self.warnings.extend(findings.into_iter().map(of)),
            Verdict::Deny(findings) if findings.is_empty() => self.denied.push(of(Finding {
                code: "denied".to_owned(),
                message: "denied without a reason".to_owned(),
                details: BTreeMap::new(),
            })),
            Verdict::Deny(findings) => self.denied.extend(findings.into_iter().map(of)),
        }
    }

    /// Adds a policy that broke: the image is refused, and the reason says that it was no judgement.
    pub fn add_failure(&mut self, policy: &str, message: String) {
        self.denied.push(PolicyFinding {
            policy: policy.to_owned(),
            failure: true,
            finding: Finding { code: "policy.failed".to_owned(), message, details: BTreeMap::new() },
        });
    }

    /// Answers whether the image is refused.
    pub fn is_denied(&self) -> bool {
        !self.denied.is_empty()
    }
}
