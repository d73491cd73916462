//! What a request is about: [`Route`], read from the path.

use oc_mirror_model::digest::Digest;
use oc_mirror_model::reference::{Repository, Selector};
use uuid::Uuid;

use super::answer::{Code, Failure};

/// The resource that a request is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `/v2/`
    Base,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/<name>/tags/list`
    Tags(Repository),
    /// `/v2/<name>/manifests/<reference>`
    Manifest(Repository, Selector),
    /// `/v2/<name>/blobs/<digest>`
    Blob(Repository, Digest),
    /// `/v2/<name>/blobs/uploads/`
    Uploads(Repository),
    /// `/v2/<name>/blobs/uploads/<id>`
    Upload(Repository, Uuid),
    /// `/v2/<name>/referrers/<digest>`
    Referrers(Repository, Digest),
}

impl Route {
    /// Reads a path as it stands in the request.
    pub(super) fn parse(path: &str) -> Result<Self, Failure> {
        let unknown = || Failure::not_found(Code::Unsupported, "there is no such resource");
        let rest = match path.strip_prefix("/v2") {
            Some("" | "/") => return Ok(Self::Base),
            Some(rest) => rest.strip_prefix('/').ok_or_else(unknown)?,
            None => return Err(unknown()),
        };
        let segments: Vec<String> = rest.split('/').map(decode).collect::<Option<_>>().ok_or_else(unknown)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        // A name may have any of these words in it, so the path is read from its end.
        match segments.as_slice() {
            ["_catalog"] => Ok(Self::Catalog),
            [name @ .., "tags", "list"] => Ok(Self::Tags(repository(name)?)),
            [name @ .., "blobs", "uploads"] | [name @ .., "blobs", "uploads", ""] => {
                Ok(Self::Uploads(repository(name)?))
            }
            [name @ .., "blobs", "uploads", id] => {
                let unknown = || Failure::not_found(Code::BlobUploadUnknown, "there is no such upload");
                Ok(Self::Upload(repository(name)?, id.parse().map_err(|_| unknown())?))
            }
            [name @ .., "manifests", reference] => {
                Ok(Self::Manifest(repository(name)?, selector(reference)?))
            }
            [name @ .., "blobs", text] => Ok(Self::Blob(repository(name)?, digest(text)?)),
            [name @ .., "referrers", text] => Ok(Self::Referrers(repository(name)?, digest(text)?)),
            _ => Err(unknown()),
        }
    }
}

fn repository(segments: &[&str]) -> Result<Repository, Failure> {
    segments.join("/").parse().map_err(|e| Failure::bad_request(Code::NameInvalid, &e))
}

/// Reads a digest.
pub(super) fn digest(text: &str) -> Result<Digest, Failure> {
    text.parse().map_err(|e| Failure::bad_request(Code::DigestInvalid, &e))
}

fn selector(text: &str) -> Result<Selector, Failure> {
    if text.contains(':') {
        return digest(text).map(Selector::Digest);
    }
    text.parse().map(Selector::Tag).map_err(|e| Failure::bad_request(Code::TagInvalid, &e))
}

/// Decodes a segment of a path. A slash cannot be smuggled in: names, tags and digests have none.
fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |b: Option<u8>| (b? as char).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn repository(text: &str) -> Repository {
        text.parse().expect("a repository")
    }

    #[test]
    fn resources() {
        let digest: Digest = format!("sha256:{HEX}").parse().expect("a digest");
        let id = Uuid::from_u128(7);
        let cases = [
            ("/v2".to_owned(), Route::Base),
            ("/v2/".to_owned(), Route::Base),
            ("/v2/_catalog".to_owned(), Route::Catalog),
            ("/v2/a/b/tags/list".to_owned(), Route::Tags(repository("a/b"))),
            ("/v2/tags/list/tags/list".to_owned(), Route::Tags(repository("tags/list"))),
            (
                "/v2/a/blobs/manifests/v1".to_owned(),
                Route::Manifest(repository("a/blobs"), Selector::Tag("v1".parse().expect("a tag"))),
            ),
            (format!("/v2/a/blobs/sha256:{HEX}"), Route::Blob(repository("a"), digest.clone())),
            (format!("/v2/a/blobs/sha256%3a{HEX}"), Route::Blob(repository("a"), digest.clone())),
            (
                format!("/v2/a/manifests/sha256:{HEX}"),
                Route::Manifest(repository("a"), Selector::Digest(digest.clone())),
            ),
            (format!("/v2/a/referrers/sha256:{HEX}"), Route::Referrers(repository("a"), digest)),
            ("/v2/a/blobs/uploads/".to_owned(), Route::Uploads(repository("a"))),
            ("/v2/a/blobs/uploads".to_owned(), Route::Uploads(repository("a"))),
            (format!("/v2/a/blobs/uploads/{id}"), Route::Upload(repository("a"), id)),
        ];
        for (path, expected) in cases {
            assert_eq!(Route::parse(&path).expect(&path), expected, "{path}");
        }
    }

    #[rstest]
    #[case("/v3/")]
    #[case("/v2x")]
    #[case("/v2/a")]
    #[case("/v2/A/tags/list")]
    #[case("/v2//tags/list")]
    #[case("/v2/a%2fb/tags/list")]
    #[case("/v2/../tags/list")]
    #[case("/v2/%2e%2e/tags/list")]
    #[case("/v2/a/manifests/..")]
    #[case("/v2/a/manifests/sha256:00")]
    #[case("/v2/a/blobs/latest")]
    #[case("/v2/a/blobs/uploads/../../x")]
    #[case("/v2/a%0/tags/list")]
    fn hostile_paths(#[case] path: &str) {
        assert!(Route::parse(path).is_err(), "{path}");
    }
}
