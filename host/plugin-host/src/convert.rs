//! Between the contract's types and the model's. What comes from a guest is checked here, and nowhere else.

use oc_mirror_engine::report::Level;
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::platform::Platform;
use oc_mirror_model::policy::{Finding, Verdict};
use oc_mirror_model::reference::{Reference, Source};
use oc_mirror_model::request::ImageRequest;
use oc_mirror_model::signer::{Identity, SignedName, Signer, Trust};

use crate::bindings::oc_mirror::plugin::log::Level as WitLevel;
use crate::bindings::oc_mirror::plugin::{registry, types as wit};
use crate::fault::{Answer, Fault};
use crate::text::{MESSAGE, clean};

/// The longest word: a kind, a code, the key of an attribute.
const WORD: usize = 128;
/// The most attributes that one record carries.
const ATTRS: usize = 64;

pub(crate) fn attrs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> wit::Attrs {
    pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn from_attrs<T: FromIterator<(String, String)>>(attrs: wit::Attrs) -> T {
    attrs.into_iter().take(ATTRS).map(|(k, v)| (clean(&k, WORD), clean(&v, MESSAGE))).collect()
}

pub(crate) fn platform(platform: &Platform) -> wit::Platform {
    wit::Platform {
        os: platform.os.clone(),
        arch: platform.architecture.clone(),
        variant: platform.variant.clone(),
    }
}

pub(crate) fn from_platform(platform: wit::Platform) -> Answer<Platform> {
    let wit::Platform { os, arch, variant } = platform;
    let good = |word: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        !word.is_empty() && word.len() <= WORD && word.bytes().all(plain)
    };
    if !good(&os) || !good(&arch) || variant.as_deref().is_some_and(|v| !good(v)) {
        let text = clean(&format!("{os}/{arch}"), WORD);
        return Err(Fault::invalid(format!("`{text}` is not a platform")));
    }
    Ok(Platform { os, architecture: arch, variant })
}

pub(crate) fn descriptor(descriptor: &Descriptor) -> wit::Descriptor {
    wit::Descriptor {
        media_type: descriptor.media_type.to_string(),
        digest: descriptor.digest.to_string(),
        size: descriptor.size,
        artifact_type: descriptor.artifact_type.as_deref().map(str::to_owned),
        platform: descriptor.platform.as_deref().map(platform),
        annotations: attrs(descriptor.annotations.iter()),
    }
}

pub(crate) fn request(request: &ImageRequest) -> wit::ImageRequest {
    wit::ImageRequest {
        source: request.source.clone(),
        origin: request.origin.clone(),
        kind: request.kind.clone(),
        target_repository: request.target_repository.as_ref().map(ToString::to_string),
        target_tag: request.target_tag.as_ref().map(ToString::to_string),
        platforms: request.platforms.iter().map(platform).collect(),
        with_referrers: request.with_referrers,
        provenance: attrs(request.provenance.iter()),
    }
}

/// Checks a wish of a guest, and returns it with where it would be read from.
pub(crate) fn from_request(request: wit::ImageRequest) -> Answer<(ImageRequest, Source)> {
    let source = self::source(&request.source)?;
    // The origin is shown to people and decides the destination, so it has to be as good a name as the source.
    self::source(&request.origin)?;
    let kind = word(&request.kind, "kind")?;
    let wrong = |error: &dyn std::error::Error| Fault::invalid(error.to_string());
    let target_repository =
        request.target_repository.map(|r| r.parse()).transpose().map_err(|e| wrong(&e))?;
    let target_tag = request.target_tag.map(|t| t.parse()).transpose().map_err(|e| wrong(&e))?;
    let request = ImageRequest {
        source: request.source,
        origin: request.origin,
        kind,
        target_repository,
        target_tag,
        platforms: request.platforms.into_iter().map(from_platform).collect::<Answer<_>>()?,
        with_referrers: request.with_referrers,
        provenance: from_attrs(request.provenance),
    };
    Ok((request, source))
}

pub(crate) fn source(text: &str) -> Answer<Source> {
    text.parse().map_err(|e: oc_mirror_model::reference::InvalidReference| Fault::invalid(e.to_string()))
}

pub(crate) fn reference(text: &str) -> Answer<Reference> {
    match source(text)? {
        Source::Registry(reference) => Ok(reference),
        Source::Layout(_) => Err(Fault::invalid(format!("`{text}` is not in a registry"))),
    }
}

/// A word of an open set: lower-case letters, digits and `.`, `-`, `_`.
pub(crate) fn word(text: &str, what: &str) -> Answer<String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    match !text.is_empty() && text.len() <= WORD && text.bytes().all(plain) {
        true => Ok(text.to_owned()),
        false => Err(Fault::invalid(format!("`{}` is not a {what}", clean(text, WORD)))),
    }
}

pub(crate) fn verdict(verdict: wit::Verdict) -> Verdict {
    let findings = |list: Vec<wit::Finding>| list.into_iter().map(finding).collect();
    match verdict {
        wit::Verdict::Allow => Verdict::Allow,
        wit::Verdict::Warn(list) => Verdict::Warn(findings(list)),
        wit::Verdict::Deny(list) => Verdict::Deny(findings(list)),
    }
}

fn finding(finding: wit::Finding) -> Finding {
    Finding {
        code: clean(&finding.code, WORD),
        message: clean(&finding.message, MESSAGE),
        details: from_attrs(finding.details),
    }
}

pub(crate) fn level(level: WitLevel) -> Level {
    match level {
        WitLevel::Trace => Level::Trace,
        WitLevel::Debug => Level::Debug,
        WitLevel::Info => Level::Info,
        WitLevel::Warn => Level::Warn,
        WitLevel::Error => Level::Error,
    }
}

pub(crate) fn signer(signer: Signer) -> registry::Signer {
    registry::Signer {
        kind: signer.kind.as_str().to_owned(),
        identity: signer.identity,
        verified_by: signer.verified_by,
        claims: attrs(signer.claims.iter().map(|(key, text)| (key.as_str(), text.as_str()))),
    }
}

/// Reads whose signatures count. What is not understood may be a condition, and is refused.
pub(crate) fn from_trust(trust: registry::Trust) -> Answer<Trust> {
    let registry::Trust { keys, identities, authorities, logs, extra } = trust;
    let mut name = SignedName::default();
    for (key, value) in extra {
        name = match (key.as_str(), value.as_str()) {
            ("name", "any") => SignedName::Any,
            ("name", "repository") => SignedName::Repository,
            _ => {
                let said = clean(&format!("{key}={value}"), 80);
                return Err(Fault::invalid(format!("`{said}` is not known in `extra`")));
            }
        };
    }
    let identity = |registry::Identity { issuer, subject }| Identity { issuer, subject };
    let identities = identities.into_iter().map(identity).collect();
    Ok(Trust { keys, identities, authorities, logs, name })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn wish() -> wit::ImageRequest {
        wit::ImageRequest {
            source: "quay.io/a/b:1".to_owned(),
            origin: "docker://quay.io/a/b:1".to_owned(),
            kind: "additional".to_owned(),
            target_repository: Some("x/y".to_owned()),
            target_tag: Some("v1".to_owned()),
            platforms: vec![wit::Platform {
                os: "linux".into(),
                arch: "arm64".into(),
                variant: Some("v8".into()),
            }],
            with_referrers: true,
            provenance: vec![("operator".to_owned(), "foo\nbar".to_owned())],
        }
    }

    #[test]
    fn a_good_wish_goes_both_ways() {
        let (there, source) = from_request(wish()).expect("valid");
        assert_eq!(source.to_string(), "quay.io/a/b:1");
        assert_eq!(&there.provenance["operator"], "foo bar");
        let (again, _) = from_request(request(&there)).expect("valid");
        assert_eq!(again, there);
    }

    #[rstest]
    #[case::source(|w: &mut wit::ImageRequest| w.source = "ftp://x".to_owned())]
    #[case::origin(|w: &mut wit::ImageRequest| w.origin = String::new())]
    #[case::kind(|w: &mut wit::ImageRequest| w.kind = "two words".to_owned())]
    #[case::escape(|w: &mut wit::ImageRequest| w.target_repository = Some("../up".to_owned()))]
    #[case::tag(|w: &mut wit::ImageRequest| w.target_tag = Some("a/b".to_owned()))]
    #[case::platform(|w: &mut wit::ImageRequest| w.platforms[0].arch = "\x1b[31m".to_owned())]
    fn bad_wishes(#[case] spoil: fn(&mut wit::ImageRequest)) {
        let mut wish = wish();
        spoil(&mut wish);
        assert!(matches!(from_request(wish), Err(Fault::Answer(wit::Error::Invalid(_)))));
    }
}
