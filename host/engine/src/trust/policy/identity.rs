//! [`SignedIdentity`]: which name in a signature is that of the image.

use oc_mirror_model::reference::{Reference, Source};
use serde::Deserialize;

use crate::trust::scope::meant;

/// The rules of containers/image.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
pub(super) enum SignedIdentity {
    /// The same reference.
    #[serde(rename = "matchExact")]
    Exact(Plain),
    /// The same reference, or the same repository if the image is asked for by digest. The default.
    #[serde(rename = "matchRepoDigestOrExact")]
    RepoDigestOrExact(Plain),
    /// The same repository.
    #[serde(rename = "matchRepository")]
    Repository(Plain),
    /// This reference, whatever the image is called.
    #[serde(rename = "exactReference")]
    ExactReference(ExactReference),
    /// This repository, whatever the image is called.
    #[serde(rename = "exactRepository")]
    ExactRepository(ExactRepository),
    /// As the default, with another beginning.
    #[serde(rename = "remapIdentity")]
    Remap(Remap),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plain {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, try_from = "WrittenExactReference")]
pub(super) struct ExactReference(Reference);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WrittenExactReference {
    docker_reference: Reference,
}

impl TryFrom<WrittenExactReference> for ExactReference {
    type Error = &'static str;

    fn try_from(written: WrittenExactReference) -> Result<Self, Self::Error> {
        let reference = written.docker_reference;
        if is_bare(&reference) { Err("`dockerReference` needs a tag or digest") } else { Ok(Self(reference)) }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ExactRepository {
    docker_repository: Reference,
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "WrittenRemap")]
pub(super) struct Remap {
    prefix: String,
    signed_prefix: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WrittenRemap {
    prefix: String,
    signed_prefix: String,
}

impl TryFrom<WrittenRemap> for Remap {
    type Error = &'static str;

    fn try_from(WrittenRemap { prefix, signed_prefix }: WrittenRemap) -> Result<Self, Self::Error> {
        let plain = |text: &str| !text.is_empty() && !text.ends_with('/') && !text.contains('@');
        if plain(&prefix) && plain(&signed_prefix) {
            Ok(Self { prefix, signed_prefix })
        } else {
            Err("`prefix` and `signedPrefix` are a host, or a host and the beginning of a path")
        }
    }
}

impl Default for SignedIdentity {
    fn default() -> Self {
        Self::RepoDigestOrExact(Plain {})
    }
}

impl SignedIdentity {
    /// Answers whether a signature of `signed` is one of this image.
    pub(super) fn matches(&self, source: &Source, signed: &str) -> bool {
        let Ok(signed) = signed.parse::<Reference>() else { return false };
        // Images in directories have no name to compare, so only rules that bring their own can be met.
        let intended = match source {
            Source::Registry(reference) => Some(meant(reference)),
            Source::Layout(_) => None,
        };
        match self {
            Self::Exact(_) => intended.is_some_and(|intended| intended == signed),
            Self::RepoDigestOrExact(_) => intended.is_some_and(|intended| default_rule(&intended, &signed)),
            Self::Repository(_) => intended.is_some_and(|intended| intended.name() == signed.name()),
            Self::ExactReference(exact) => exact.0 == signed,
            Self::ExactRepository(exact) => exact.docker_repository.name() == signed.name(),
            Self::Remap(remap) => intended
                .and_then(|intended| remap.apply(intended))
                .is_some_and(|intended| default_rule(&intended, &signed)),
        }
    }
}

impl Remap {
    /// Returns the name under which an image was signed; one that the rule is not for keeps its own.
    fn apply(&self, reference: Reference) -> Option<Reference> {
        let name = reference.name();
        match name.strip_prefix(&self.prefix) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                let signed = format!("{}{rest}", self.signed_prefix).parse::<Reference>().ok()?;
                Some(Reference { tag: reference.tag, digest: reference.digest, ..signed })
            }
            _ => Some(reference),
        }
    }
}

/// The digest of an image that is asked for by digest has been compared with the one in the signature.
fn default_rule(intended: &Reference, signed: &Reference) -> bool {
    if is_bare(signed) {
        return false;
    }
    match &intended.digest {
        Some(_) => intended.name() == signed.name(),
        None => intended == signed,
    }
}

/// Whether there is neither tag nor digest. cosign signs such names, which says nothing about which image it is.
fn is_bare(reference: &Reference) -> bool {
    reference.tag.is_none() && reference.digest.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[rstest]
    #[case::same("matchExact", "q.io/a:1", "q.io/a:1", true)]
    #[case::other_tag("matchExact", "q.io/a:1", "q.io/a:2", false)]
    #[case::latest("matchExact", "q.io/a", "q.io/a:latest", true)]
    #[case::bare("matchExact", "q.io/a", "q.io/a", false)]
    #[case::digest("matchExact", "q.io/a@D", "q.io/a:1", false)]
    #[case::same_digest("matchExact", "q.io/a@D", "q.io/a@D", true)]
    #[case::expanded("matchExact", "busybox:1", "docker.io/library/busybox:1", true)]
    #[case::default_same("matchRepoDigestOrExact", "q.io/a:1", "q.io/a:1", true)]
    #[case::default_other("matchRepoDigestOrExact", "q.io/a:1", "q.io/a:2", false)]
    #[case::default_digest("matchRepoDigestOrExact", "q.io/a@D", "q.io/a:2", true)]
    #[case::default_both("matchRepoDigestOrExact", "q.io/a:1@D", "q.io/a:2", true)]
    #[case::default_bare("matchRepoDigestOrExact", "q.io/a@D", "q.io/a", false)]
    #[case::default_repository("matchRepoDigestOrExact", "q.io/a@D", "q.io/b:1", false)]
    #[case::repository("matchRepository", "q.io/a:1", "q.io/a", true)]
    #[case::repository_other("matchRepository", "q.io/a:1", "q.io/a/b", false)]
    #[case::junk("matchRepository", "q.io/a:1", "q.io/a b", false)]
    #[case::directory("matchRepository", "oci:/a", "q.io/a", false)]
    fn plain(#[case] kind: &str, #[case] image: &str, #[case] signed: &str, #[case] expected: bool) {
        check(&format!(r#"{{"type":"{kind}"}}"#), image, signed, expected);
    }

    #[rstest]
    #[case(r#"{"type":"exactReference","dockerReference":"q.io/a:1"}"#, "oci:/x", "q.io/a:1", true)]
    #[case(r#"{"type":"exactReference","dockerReference":"q.io/a:1"}"#, "q.io/a:2", "q.io/a:2", false)]
    #[case(r#"{"type":"exactRepository","dockerRepository":"q.io/a"}"#, "oci:/x", "q.io/a:1", true)]
    #[case(r#"{"type":"exactRepository","dockerRepository":"q.io/a"}"#, "q.io/b:1", "q.io/b:1", false)]
    #[case(
        r#"{"type":"remapIdentity","prefix":"m:5000/v","signedPrefix":"v.com"}"#,
        "m:5000/v/a:1",
        "v.com/a:1",
        true
    )]
    #[case(
        r#"{"type":"remapIdentity","prefix":"m:5000/v","signedPrefix":"v.com"}"#,
        "m:5000/v/a@D",
        "v.com/a:7",
        true
    )]
    #[case(
        r#"{"type":"remapIdentity","prefix":"m:5000/v","signedPrefix":"v.com"}"#,
        "m:5000/v/a:1",
        "m:5000/v/a:1",
        false
    )]
    #[case(
        r#"{"type":"remapIdentity","prefix":"m:5000/v","signedPrefix":"v.com"}"#,
        "m:5000/vv/a:1",
        "v.comv/a:1",
        false
    )]
    #[case(
        r#"{"type":"remapIdentity","prefix":"m:5000/v","signedPrefix":"v.com"}"#,
        "m:5000/vv/a:1",
        "m:5000/vv/a:1",
        true
    )]
    #[case(
        r#"{"type":"remapIdentity","prefix":"m:5000/v","signedPrefix":"v.com/w"}"#,
        "m:5000/v:1",
        "v.com/w:1",
        true
    )]
    fn with_a_name(#[case] rule: &str, #[case] image: &str, #[case] signed: &str, #[case] expected: bool) {
        check(rule, image, signed, expected);
    }

    fn check(rule: &str, image: &str, signed: &str, expected: bool) {
        let rule: SignedIdentity = serde_json::from_str(rule).unwrap();
        let full = |text: &str| text.replace("@D", &format!("@{DIGEST}"));
        let image = full(image).parse().unwrap();
        assert_eq!(rule.matches(&image, &full(signed)), expected, "{image} signed as {signed}");
    }

    #[rstest]
    #[case(r#"{"type":"matchAnything"}"#)]
    #[case(r#"{"type":"matchExact","also":1}"#)]
    #[case(r#"{"type":"exactReference","dockerReference":"q.io/a"}"#)]
    #[case(r#"{"type":"exactReference","dockerReference":"q.io/a:1","x":1}"#)]
    #[case(r#"{"type":"exactRepository"}"#)]
    #[case(r#"{"type":"remapIdentity","prefix":"a"}"#)]
    #[case(r#"{"type":"remapIdentity","prefix":"","signedPrefix":"a"}"#)]
    fn mistakes(#[case] rule: &str) {
        assert!(serde_json::from_str::<SignedIdentity>(rule).is_err());
    }
}
