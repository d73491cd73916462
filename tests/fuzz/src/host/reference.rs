//! Names: what is read prints to what reads the same, and no name can leave its place in a path or a URL.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::plugin_source::PluginSource;
use oc_mirror_model::reference::{Reference, Registry, Repository, Source, Tag, Target as Place};
use oc_mirror_model::{BucketUrl, Size};

use crate::target::Target;

/// References to images, and the other names that users and files write.
pub const REFERENCE: Target = Target { name: "reference", longest: 4 << 10, memory: 8 << 20, check };

fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(reference) = round_trip::<Reference>(text) {
        of_reference(&reference);
    }
    if let Some(Source::Registry(reference)) = round_trip::<Source>(text) {
        of_reference(&reference);
    }
    if let Some(place) = round_trip::<Place>(text) {
        of_registry(&place.registry);
        place.prefix.iter().for_each(of_repository);
    }
    round_trip::<PluginSource>(text);
    if let Some(bucket) = round_trip::<BucketUrl>(text) {
        assert!(!bucket.key("x").split('/').any(|part| part == ".."), "{bucket}");
    }
    if let Some(digest) = round_trip::<Digest>(text) {
        of_digest(&digest);
    }
    if let Ok(size) = text.parse::<Size>() {
        assert_eq!(size.to_string().parse::<Size>().map(|again| again.to_string()), Ok(size.to_string()));
    }
}

/// Reads a text, prints what was read, and reads that again.
fn round_trip<T: FromStr + Display + PartialEq + Debug>(text: &str) -> Option<T>
where
    T::Err: Debug,
{
    let read: T = text.parse().ok()?;
    let printed = read.to_string();
    let again: T = printed.parse().unwrap_or_else(|e| panic!("`{text}` prints as `{printed}`: {e:?}"));
    assert_eq!(again, read, "`{text}` prints as `{printed}`");
    Some(read)
}

fn of_reference(reference: &Reference) {
    let Reference { registry, repository, tag, digest } = reference;
    of_registry(registry);
    of_repository(repository);
    for most in 1..5 {
        let cut = repository.with_max_components(Some(most));
        assert!(cut.depth() <= most);
        of_repository(&cut);
        cut.as_str().parse::<Repository>().unwrap_or_else(|e| panic!("{repository} becomes {cut}: {e}"));
    }
    if let Some(tag) = tag {
        assert!(tag.as_str().len() <= 128 && is_plain(tag.as_str()) && !tag.as_str().contains('/'), "{tag}");
    }
    if let Some(digest) = digest {
        of_digest(digest);
        assert_eq!(reference.pinned(digest).tag, None);
    }
}

/// A registry is a host and perhaps a port for whoever makes a URL of it, and nothing else.
fn of_registry(registry: &Registry) {
    let text = registry.as_str();
    assert!(is_plain(text), "{text}");
    // Some names of hosts cannot be in a URL, such as `registry.55`; the client says so.
    let Ok(url) = url::Url::parse(&format!("https://{text}/v2/")) else { return };
    assert!(url.username().is_empty() && url.password().is_none(), "{url}");
    assert_eq!((url.path(), url.query(), url.fragment()), ("/v2/", None, None), "{text}");
}

fn of_repository(repository: &Repository) {
    let text = repository.as_str();
    assert!(text.len() <= 255 && is_plain(text) && !text.contains(['%', '\\', '?', '#']), "{text}");
    assert!(text.split('/').all(|part| !matches!(part, "" | "." | "..")), "{text}");
}

fn of_digest(digest: &Digest) {
    let hex = digest.hex();
    assert!(
        hex.len() >= 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
        "{digest}"
    );
    for tag in [Tag::for_digest(digest), Tag::of_referrers(digest)] {
        tag.as_str().parse::<Tag>().expect("a tag that is made is one");
    }
}

fn is_plain(text: &str) -> bool {
    text.is_ascii() && !text.bytes().any(|b| b.is_ascii_control() || b == b' ')
}
