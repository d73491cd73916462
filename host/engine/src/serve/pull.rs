//! Pulling: manifests and blobs, whole or in part.

use std::ops::Range;

use axum::body::Body;
use axum::response::Response;
use futures_util::StreamExt;
use http::header::{ACCEPT_RANGES, CONTENT_RANGE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{Method, StatusCode};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::reference::{Repository, Selector};
use serde_json::json;

use super::answer::{CONTENT_DIGEST, Code, Failure, empty, set, with_body};
use super::registry::{Call, Registry};
use crate::content::{BlobStream, ContentError};

/// What a blob is sent as: a registry does not know what is in it.
const BLOB_TYPE: &str = "application/octet-stream";

/// What a request wants of a blob.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    Part(Range<u64>),
    Nothing,
}

impl Registry {
    /// `GET` and `HEAD` of a manifest.
    pub(super) async fn get_manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
        call: &Call,
    ) -> Result<Response, Failure> {
        let Some(manifest) = self.backend.manifest(repository, selector).await? else {
            let detail = json!({"name": repository.as_str(), "reference": selector.to_string()});
            let message = "the repository has no such manifest";
            return Err(Failure::not_found(Code::ManifestUnknown, message).with_detail(detail));
        };
        let digest = manifest.digest().to_string();
        let tag = format!("\"{digest}\"");
        let unchanged = call.header(IF_NONE_MATCH).is_some_and(|known| known == tag);
        let mut response = if unchanged {
            empty(StatusCode::NOT_MODIFIED)
        } else {
            let bytes = manifest.bytes();
            let length = bytes.len() as u64;
            with_body(StatusCode::OK, manifest.media_type(), length, Body::from(bytes.to_vec()))
        };
        set(&mut response, CONTENT_DIGEST, &digest);
        set(&mut response, ETAG, &tag);
        Ok(response)
    }

    /// `GET` and `HEAD` of a blob.
    pub(super) async fn get_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        call: &Call,
    ) -> Result<Response, Failure> {
        let unknown = || {
            Failure::not_found(Code::BlobUnknown, "the repository has no such blob")
                .with_detail(json!({"name": repository.as_str(), "digest": digest}))
        };
        let size = self.backend.blob_size(repository, digest).await?.ok_or_else(unknown)?;
        let tag = format!("\"{digest}\"");
        let range = call.header(RANGE).filter(|_| call.header(IF_RANGE).is_none_or(|known| known == tag));
        let part = match wanted(range, size) {
            Wanted::Whole => 0..size,
            Wanted::Part(part) => part,
            Wanted::Nothing => {
                let message = format!("the blob has {size} bytes");
                return Err(Failure::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::RangeInvalid, message)
                    .with_header(CONTENT_RANGE, format!("bytes */{size}")));
            }
        };
        let partial = part.start != 0 || part.end != size;
        let length = part.end - part.start;
        let body = if call.method == Method::HEAD || length == 0 {
            Body::empty()
        } else {
            let blob = Descriptor::new(BLOB_TYPE, digest.clone(), size);
            let opened = self.backend.blob(repository, &blob, part.start).await;
            let stream = opened.map_err(|e| if e.is_not_found() { unknown() } else { e.into() })?;
            Body::from_stream(exactly(stream, length))
        };
        let status = if partial { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        let mut response = with_body(status, BLOB_TYPE, length, body);
        set(&mut response, CONTENT_DIGEST, &digest.to_string());
        set(&mut response, ETAG, &tag);
        set(&mut response, ACCEPT_RANGES, "bytes");
        if partial {
            let range = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            set(&mut response, CONTENT_RANGE, &range);
        }
        Ok(response)
    }
}

/// Cuts a stream off after `length` bytes.
fn exactly(
    stream: BlobStream,
    length: u64,
) -> impl futures_util::Stream<Item = Result<bytes::Bytes, ContentError>> {
    futures_util::stream::unfold((stream, length), |(mut stream, left)| async move {
        if left == 0 {
            return None;
        }
        let piece = match stream.next().await? {
            Ok(piece) => piece,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a blob cannot be read to its end");
                return Some((Err(error), (stream, 0)));
            }
        };
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        Some((Ok(piece.slice(..count)), (stream, left - count as u64)))
    })
}

/// Reads a `Range` header. Several ranges, other units and nonsense mean the whole, as RFC 9110 allows.
fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some(spec) = header.and_then(|h| h.trim().strip_prefix("bytes=")) else { return Wanted::Whole };
    let Some((first, last)) = spec.split_once('-') else { return Wanted::Whole };
    let (first, last) = (first.trim(), last.trim());
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    let part = match (first, last) {
        ("", last) => match number(last) {
            Some(count) => size.saturating_sub(count)..size,
            None => return Wanted::Whole,
        },
        (first, "") => match number(first) {
            Some(first) => first..size,
            None => return Wanted::Whole,
        },
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
            _ => return Wanted::Whole,
        },
    };
    if part.start >= part.end { Wanted::Nothing } else { Wanted::Part(part) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(None, Wanted::Whole)]
    #[case(Some("bytes=0-9"), Wanted::Part(0..10))]
    #[case(Some("bytes=0-"), Wanted::Part(0..10))]
    #[case(Some("bytes=3-5"), Wanted::Part(3..6))]
    #[case(Some("bytes=3-500"), Wanted::Part(3..10))]
    #[case(Some("bytes=-4"), Wanted::Part(6..10))]
    #[case(Some("bytes=-400"), Wanted::Part(0..10))]
    #[case(Some("bytes=9-18446744073709551615"), Wanted::Part(9..10))]
    #[case(Some("bytes=10-"), Wanted::Nothing)]
    #[case(Some("bytes=10-20"), Wanted::Nothing)]
    #[case(Some("bytes=-0"), Wanted::Nothing)]
    #[case(Some("bytes=5-3"), Wanted::Whole)]
    #[case(Some("bytes=0-1,3-4"), Wanted::Whole)]
    #[case(Some("bytes=+1-2"), Wanted::Whole)]
    #[case(Some("lines=1-2"), Wanted::Whole)]
    #[case(Some("bytes=-"), Wanted::Whole)]
    fn ranges(#[case] header: Option<&str>, #[case] expected: Wanted) {
        assert_eq!(wanted(header, 10), expected);
    }

    #[test]
    fn nothing_of_an_empty_blob() {
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Nothing);
    }
}
