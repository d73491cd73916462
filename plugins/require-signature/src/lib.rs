//! The policy `require-signature`: lets only images pass that somebody has signed whom the user names, by key or identity.
//!
//! Whose signatures count is decided here; whether one holds, the host finds out. What is signed is the image or the index
//! under the name that is mirrored, and an index stands for all images in it.

use std::collections::BTreeSet;

use oc_mirror_plugin_sdk::host::registry::{self, Signer, Trust};
use oc_mirror_plugin_sdk::pattern::Pattern;
use oc_mirror_plugin_sdk::{
    Coded, Error, Finding, Image, ImageRequest, Plugin, Policy, Problem, Verdict, export_plugin, finding,
    problem,
};
use serde::Deserialize;

/// What the user writes under `config`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    identities: Vec<Identity>,
    #[serde(default)]
    authorities: Vec<String>,
    #[serde(default)]
    logs: Vec<String>,
    #[serde(default)]
    name: Name,
    threshold: Option<usize>,
    images: Option<Vec<String>>,
    #[serde(default)]
    exempt: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    issuer: String,
    subject: String,
}

/// Which name a signature has to give to the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Name {
    #[default]
    Any,
    Repository,
}

/// The policy.
#[derive(Debug)]
struct RequireSignature {
    trust: Trust,
    threshold: usize,
    images: Option<Vec<Pattern>>,
    exempt: Vec<Pattern>,
}

impl Plugin for RequireSignature {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, Vec<Problem>> {
        const PATTERN: &str = "require-signature.pattern";
        let mut problems = Vec::new();
        let Settings { keys, identities, authorities, logs, name, threshold, images, exempt } = settings;
        let images = images.map(|images| Pattern::all(&images, "images", PATTERN, &mut problems));
        let exempt = Pattern::all(&exempt, "exempt", PATTERN, &mut problems);
        if keys.is_empty() && identities.is_empty() {
            let why = "neither keys nor identities are named, so nobody counts";
            problems.push(problem("", "require-signature.nobody", why));
        }
        if !identities.is_empty() && (authorities.is_empty() || logs.is_empty()) {
            let why = "certificates live for minutes: `authorities` say who issues them, and `logs` that they were valid";
            problems.push(problem("identities", "require-signature.identities", why));
        }
        let (threshold, most) = (threshold.unwrap_or(1), keys.len() + identities.len());
        // One pattern may stand for many people.
        if threshold > most && identities.iter().all(|identity| !identity.subject.contains('*')) && most > 0 {
            let why = format!("only {most} could have signed");
            problems.push(problem("threshold", "require-signature.threshold", why));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let identity = |Identity { issuer, subject }| registry::Identity { issuer, subject };
        let name = if name == Name::Any { "any" } else { "repository" };
        let extra = vec![("name".to_owned(), name.to_owned())];
        let identities = identities.into_iter().map(identity).collect();
        Ok(Self { trust: Trust { keys, identities, authorities, logs, extra }, threshold, images, exempt })
    }
}

impl Policy for RequireSignature {
    fn evaluate(&self, request: &ImageRequest, image: &Image) -> Result<Verdict, Error> {
        if !self.is_asked(request) {
            return Ok(Verdict::Allow);
        }
        let finding = match image.verify(&self.trust) {
            Ok(signers) => self.judge(&request.origin, &signers),
            Err(Error::Other(Coded { code, message })) if code.starts_with("signature.") => {
                Some(refused(&code["signature.".len()..], message, &request.origin))
            }
            Err(error) => return Err(error),
        };
        Ok(finding.map_or(Verdict::Allow, |finding| Verdict::Deny(vec![finding])))
    }
}

impl RequireSignature {
    /// Answers whether an image has to be signed.
    fn is_asked(&self, request: &ImageRequest) -> bool {
        let named = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.is_of(request));
        self.images.as_deref().is_none_or(named) && !named(&self.exempt)
    }

    /// Judges by who has signed.
    fn judge(&self, origin: &str, signers: &[Signer]) -> Option<Finding> {
        let who: BTreeSet<_> = signers.iter().map(|s| (&s.kind, &s.identity, &s.verified_by)).collect();
        let message = || format!("{} of {} have signed `{origin}`", who.len(), self.threshold);
        (who.len() < self.threshold).then(|| refused("threshold", message(), origin))
    }
}

fn refused(code: &str, message: String, origin: &str) -> Finding {
    let code = format!("require-signature.{code}");
    finding(&code, message, [("image", origin.to_owned())])
}

export_plugin!(RequireSignature: policy);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const KEY: &str = "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----";

    fn read(settings: Value) -> Result<RequireSignature, Vec<String>> {
        let made = RequireSignature::new(serde_json::from_value(settings).expect("of this shape"));
        made.map_err(|problems| problems.into_iter().map(|p| p.path).collect())
    }

    fn request(source: &str, origin: &str) -> ImageRequest {
        ImageRequest {
            source: source.to_owned(),
            origin: origin.to_owned(),
            kind: "additional".to_owned(),
            target_repository: None,
            target_tag: None,
            platforms: vec![],
            with_referrers: false,
            provenance: vec![],
        }
    }

    #[test]
    fn images_are_asked_about_by_their_names() {
        let settings = json!({"keys": [KEY], "images": ["quay.io/team"], "exempt": ["quay.io/team/old"]});
        let policy = read(settings).expect("valid");
        let is_asked = |source: &str| policy.is_asked(&request(source, "quay.io/team/origin:1"));
        assert!(is_asked("quay.io/team/app:1"));
        assert!(!is_asked("quay.io/team/old:1") && !is_asked("quay.io/other:1"));
        assert!(is_asked("oci:/tmp/built"), "what this run has built is named by its origin");
        assert!(read(json!({"keys": [KEY]})).expect("valid").is_asked(&request("oci:/srv/x", "oci:/srv/x")));
    }

    #[test]
    fn so_many_have_to_have_signed() {
        let policy = read(json!({"keys": [KEY, KEY], "threshold": 2})).expect("valid");
        let signer = |identity: &str| Signer {
            kind: "key".to_owned(),
            identity: identity.to_owned(),
            verified_by: identity.to_owned(),
            claims: vec![],
        };
        assert!(policy.judge("a", &[signer("x"), signer("y")]).is_none());
        let finding = policy.judge("a", &[signer("x"), signer("x")]).expect("refused");
        assert_eq!(finding.code, "require-signature.threshold");
        assert_eq!(finding.message, "1 of 2 have signed `a`");
    }

    #[test]
    fn what_makes_no_sense_is_said_at_once() {
        assert_eq!(read(json!({"exempt": ["*"]})).expect_err("refused"), ["exempt[0]", ""]);
        let identity = json!([{"issuer": "https://i.example", "subject": "a@b.example"}]);
        assert_eq!(read(json!({"identities": identity})).expect_err("refused"), ["identities"]);
        assert_eq!(read(json!({"keys": [KEY], "threshold": 2})).expect_err("refused"), ["threshold"]);
    }
}
