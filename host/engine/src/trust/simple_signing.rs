//! [`Claim`]: what a signature of an image says, in the "simple signing" format that OpenPGP and cosign share.

use oc_mirror_model::digest::Digest;
use serde::Deserialize;
use serde_json::{Map, Value};

/// What OpenPGP signatures call themselves.
pub(super) const ATOMIC: &str = "atomic container signature";

/// What cosign's signatures call themselves.
pub(super) const COSIGN: &str = "cosign container image signature";

/// Says that a manifest has a name.
///
/// Only what `critical` holds is checked, so only there a word that nobody knows is refused: it may mean a condition.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// What the claim calls itself.
    pub(super) kind: String,
    /// The manifest, as it is written there.
    pub(super) digest: String,
    /// Its name.
    pub(super) identity: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    critical: Critical,
    #[serde(default, rename = "optional")]
    _optional: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    #[serde(rename = "type")]
    kind: String,
    image: Image,
    identity: Identity,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    #[serde(rename = "docker-reference")]
    reference: String,
}

impl Claim {
    /// Reads one. The text says what is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let Document { critical, .. } = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        let Critical { kind, image, identity } = critical;
        if identity.reference.is_empty() {
            return Err("it gives the image no name".to_owned());
        }
        Ok(Self { kind, digest: image.digest, identity: identity.reference })
    }

    /// Returns what cosign signs for a manifest in a repository.
    pub(super) fn text_of(digest: &Digest, repository: &str) -> Vec<u8> {
        // The order of the keys is cosign's.
        let identity = Value::from(repository);
        let digest = Value::from(digest.to_string());
        format!(
            r#"{{"critical":{{"identity":{{"docker-reference":{identity}}},"image":{{"docker-manifest-digest":{digest}}},"type":"{COSIGN}"}},"optional":null}}"#
        )
        .into_bytes()
    }

    /// Answers whether it is about this manifest.
    pub(super) fn is_about(&self, digest: &Digest) -> bool {
        self.digest == digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const GOOD: &str = r#"{"critical":{"type":"t","image":{"docker-manifest-digest":"d"},"identity":{"docker-reference":"r"}},"optional":{"creator":"c","any":[1]}}"#;

    #[test]
    fn what_is_optional_is_free() {
        let claim = Claim { kind: "t".into(), digest: "d".into(), identity: "r".into() };
        for text in [GOOD, &GOOD.replace(r#"{"creator":"c","any":[1]}"#, "null")] {
            assert_eq!(Claim::parse(text.as_bytes()).as_ref(), Ok(&claim));
        }
    }

    #[rstest]
    #[case::truncated(&GOOD[..40], "EOF")]
    #[case::trailing(&format!("{GOOD}{{}}"), "trailing")]
    #[case::unknown(&GOOD.replace(r#""type":"t""#, r#""type":"t","until":1"#), "unknown field `until`")]
    #[case::unknown_outside(&GOOD.replace(r#""optional""#, r#""extra""#), "unknown field `extra`")]
    #[case::unknown_in_image(&GOOD.replace(r#""docker-manifest-digest""#, r#""a":1,"docker-manifest-digest""#), "unknown field `a`")]
    #[case::twice(&GOOD.replace(r#""type":"t""#, r#""type":"t","type":"t""#), "duplicate field")]
    #[case::other_case(&GOOD.replace("critical", "Critical"), "unknown field `Critical`")]
    #[case::no_name(&GOOD.replace(r#":"r""#, r#":"""#), "no name")]
    #[case::not_text(&GOOD.replace(r#":"d""#, ":null"), "invalid type")]
    fn what_is_critical_is_strict(#[case] text: &str, #[case] expected: &str) {
        let error = Claim::parse(text.as_bytes()).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
