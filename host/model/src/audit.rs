//! [`PolicyAudit`]: what one policy said in a run, so that it can be seen afterwards who was asked, by which rules, and what of it
//! was no plain yes.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::policy::{Mode, OnFailure, Stage};

/// What one policy said in a run. The counts are of images, each counted once at each stage at which the policy was asked
/// about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyAudit {
    /// The name that it has in the configuration.
    pub policy: String,
    /// What it calls itself.
    pub id: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of the component.
    pub component: Digest,
    /// The SHA-256 of its settings, as JSON.
    pub settings: Digest,
    /// What its denials do.
    pub mode: Mode,
    /// What it does if it breaks.
    pub failure: OnFailure,
    /// How often it was asked.
    pub asked: u64,
    /// How often it had nothing against it.
    pub allowed: u64,
    /// How often it let an image pass with a remark.
    pub warned: u64,
    /// How often it denied, whatever came of that.
    pub denied: u64,
    /// How often it broke instead of answering.
    pub failed: u64,
    /// All that was no plain yes, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<AuditFinding>,
}

/// One thing that a policy said, and of which images.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditFinding {
    /// When it was asked.
    pub stage: Stage,
    /// How it answered.
    pub verdict: Answer,
    /// The rule that hit.
    pub code: String,
    /// The reason.
    pub message: String,
    /// The names by which users know the images.
    pub images: BTreeSet<String>,
}

/// How a policy answered, where it was no plain yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// The image may pass, with a remark.
    Warn,
    /// It may not.
    Deny,
    /// There was no answer: the policy broke.
    Failed,
}

/// What a policy said about one image at one stage: a code and a message for each finding.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// When.
    pub stage: Stage,
    /// The name by which users know the image.
    pub image: &'a str,
    /// How.
    pub answer: Answer,
}

impl PolicyAudit {
    /// Counts an image that the policy has nothing against.
    pub fn allow(&mut self) {
        self.asked += 1;
        self.allowed += 1;
    }

    /// Counts an image that it has something to say about, and notes what.
    pub fn say<'f>(&mut self, said: Said<'_>, findings: impl IntoIterator<Item = (&'f str, &'f str)>) {
        self.asked += 1;
        match said.answer {
            Answer::Warn => self.warned += 1,
            Answer::Deny => self.denied += 1,
            Answer::Failed => self.failed += 1,
        }
        findings.into_iter().for_each(|(code, message)| self.note(said, code, message));
    }

    fn note(&mut self, said: Said<'_>, code: &str, message: &str) {
        let Said { stage, image, answer: verdict } = said;
        let key = (stage, verdict, code, message);
        let of = |f: &AuditFinding| (f.stage, f.verdict, f.code.as_str(), f.message.as_str()).cmp(&key);
        match self.findings.binary_search_by(of) {
            Ok(at) => {
                self.findings[at].images.insert(image.to_owned());
            }
            Err(at) => {
                let images = BTreeSet::from([image.to_owned()]);
                let (code, message) = (code.to_owned(), message.to_owned());
                self.findings.insert(at, AuditFinding { stage, verdict, code, message, images });
            }
        }
    }

    /// Answers whether an answer of it keeps an image out.
    fn keeps_out(&self, answer: Answer) -> bool {
        self.mode == Mode::Protect
            && match answer {
                Answer::Warn => false,
                Answer::Deny => true,
                Answer::Failed => self.failure == OnFailure::Deny,
            }
    }

    /// Takes over from an earlier pass what kept images out that nobody asked about again, as they were not wanted any more.
    fn take_over(&mut self, earlier: &Self) {
        let known: BTreeSet<(Stage, &String)> =
            self.findings.iter().flat_map(|f| f.images.iter().map(|image| (f.stage, image))).collect();
        let is_new = |stage: Stage, image: &String| !known.contains(&(stage, image));
        let mut taken: Vec<(AuditFinding, BTreeSet<String>)> = Vec::new();
        for finding in earlier.findings.iter().filter(|f| self.keeps_out(f.verdict)) {
            let images: BTreeSet<String> =
                finding.images.iter().filter(|image| is_new(finding.stage, image)).cloned().collect();
            taken.push((finding.clone(), images));
        }
        let mut counted = BTreeSet::new();
        for (finding, images) in taken {
            for image in images {
                let said = Said { stage: finding.stage, image: &image, answer: finding.verdict };
                self.note(said, &finding.code, &finding.message);
                if counted.insert((finding.stage, image)) {
                    self.asked += 1;
                    match finding.verdict {
                        Answer::Failed => self.failed += 1,
                        _ => self.denied += 1,
                    }
                }
            }
        }
    }
}

/// Puts the audits of the last pass in place of those of an earlier one, of which only that stays what kept images out that
/// were not asked about again.
pub fn replace(audits: &mut Vec<PolicyAudit>, mut last: Vec<PolicyAudit>) {
    for (earlier, last) in audits.iter().zip(&mut last) {
        last.take_over(earlier);
    }
    *audits = last;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audit() -> PolicyAudit {
        PolicyAudit {
            policy: "mine".to_owned(),
            id: "limits".to_owned(),
            version: "1.0.0".to_owned(),
            component: Digest::of(b"component"),
            settings: Digest::of(b"{}"),
            mode: Mode::Protect,
            failure: OnFailure::Deny,
            asked: 0,
            allowed: 0,
            warned: 0,
            denied: 0,
            failed: 0,
            findings: Vec::new(),
        }
    }

    fn said(image: &str, answer: Answer) -> Said<'_> {
        Said { stage: Stage::Manifest, image, answer }
    }

    #[test]
    fn equal_findings_are_one_with_all_their_images() {
        let mut audit = audit();
        audit.allow();
        audit.say(said("b", Answer::Warn), [("old", "it is old"), ("big", "it is big")]);
        audit.say(said("a", Answer::Warn), [("old", "it is old")]);
        audit.say(said("c", Answer::Deny), [("old", "it is old")]);
        let counts = (audit.asked, audit.allowed, audit.warned, audit.denied, audit.failed);
        assert_eq!(counts, (4, 1, 2, 1, 0));
        let found: Vec<(Answer, &str, Vec<&str>)> = audit
            .findings
            .iter()
            .map(|f| (f.verdict, f.code.as_str(), f.images.iter().map(String::as_str).collect()))
            .collect();
        assert_eq!(
            found,
            [
                (Answer::Warn, "big", vec!["b"]),
                (Answer::Warn, "old", vec!["a", "b"]),
                (Answer::Deny, "old", vec!["c"]),
            ]
        );
    }

    #[test]
    fn what_kept_an_image_out_is_not_forgotten_in_another_pass() {
        let mut first = audit();
        first.allow();
        first.say(said("again", Answer::Deny), [("x", "no")]);
        first.say(said("gone", Answer::Deny), [("x", "no"), ("y", "never")]);
        first.say(said("passed", Answer::Warn), [("z", "hm")]);
        let mut last = audit();
        last.say(said("again", Answer::Deny), [("x", "no")]);
        last.allow();
        let mut audits = vec![first];
        replace(&mut audits, vec![last]);
        let [audit] = audits.as_slice() else { panic!("one") };
        assert_eq!((audit.asked, audit.allowed, audit.warned, audit.denied), (3, 1, 0, 2));
        assert_eq!(audit.findings.len(), 2);
        assert_eq!(audit.findings[0].images, BTreeSet::from(["again".to_owned(), "gone".to_owned()]));
    }

    #[test]
    fn a_failure_that_lets_images_pass_keeps_none_out() {
        let mut first = PolicyAudit { failure: OnFailure::Allow, ..audit() };
        first.say(said("a", Answer::Failed), [("policy.failed", "it trapped")]);
        let mut audits = vec![first.clone()];
        replace(&mut audits, vec![PolicyAudit { failure: OnFailure::Allow, ..audit() }]);
        assert_eq!((audits[0].asked, audits[0].findings.len()), (0, 0));
        let text = serde_json::to_string(&first).expect("a document");
        assert_eq!(serde_json::from_str::<PolicyAudit>(&text).expect("read back"), first);
    }
}
