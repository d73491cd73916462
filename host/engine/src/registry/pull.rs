//! Reading: manifests with their bytes as they came, blobs as streams that can start anywhere.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, InvalidManifest, MAX_MANIFEST_BYTES, RawManifest};
use oc_mirror_model::media_type;
use oc_mirror_model::reference::{Repository, Selector, Tag};
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, StatusCode};

use super::auth::Scope;
use super::client::{Client, Counters};
use super::transport::{Answer, Call, Pool, Small};
use crate::content::{BlobStream, CHUNK, ContentError, ContentErrorKind, ContentRead};
use crate::net::{Body, Permit};

/// What a registry is asked for with a manifest, and with nothing else: some answer 406 to surplus types.
pub(super) fn accept() -> HeaderValue {
    let types = [
        media_type::OCI_INDEX,
        media_type::OCI_MANIFEST,
        media_type::DOCKER_LIST,
        media_type::DOCKER_MANIFEST,
        "*/*;q=0.1",
    ];
    HeaderValue::try_from(types.join(", ")).expect("media types are plain text")
}

/// What a registry is asked for with a list of referrers.
pub(super) fn accept_index() -> HeaderValue {
    HeaderValue::from_static(media_type::OCI_INDEX)
}

/// Reads the digest that the registry says the content has; nothing if it says none that can be verified.
pub(super) fn stated_digest(answer: &Small) -> Option<Digest> {
    answer.header("docker-content-digest")?.trim().parse().ok()
}

fn invalid_manifest(subject: &str, error: InvalidManifest) -> ContentError {
    match error {
        InvalidManifest::WrongDigest { expected, actual } => {
            ContentError::new(subject, ContentErrorKind::WrongDigest { expected, actual })
        }
        other => ContentError::new(subject, ContentErrorKind::Invalid(describe(&other))),
    }
}

fn describe(error: &InvalidManifest) -> String {
    match error {
        InvalidManifest::Syntax(source) => format!("{error}: {source}"),
        other => other.to_string(),
    }
}

impl Client {
    /// Reads a manifest with the given right.
    pub(super) async fn read_manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
        scope: &Scope,
    ) -> Result<RawManifest, ContentError> {
        let separator = if matches!(selector, Selector::Tag(_)) { ':' } else { '@' };
        let subject = self.subject(repository, separator, selector);
        let call = Call::new(Method::GET, format!("{repository}/manifests/{selector}"), scope, &subject)
            .header(ACCEPT, accept());
        let answer = self.transport.small(&call, MAX_MANIFEST_BYTES).await?;
        if answer.status != StatusCode::OK {
            return Err(answer.error(&subject));
        }
        let stated = stated_digest(&answer);
        let content_type = answer.header(CONTENT_TYPE.as_str());
        let manifest = RawManifest::parse(answer.body.to_vec(), content_type)
            .map_err(|e| invalid_manifest(&subject, e))?;
        let expected = match selector {
            Selector::Digest(digest) => Some(digest.clone()),
            // For a tag, what the registry says is the only witness that nothing was cut or mangled on the way.
            Selector::Tag(_) => stated,
        };
        match expected {
            Some(digest) => manifest.verify(&digest).map_err(|e| invalid_manifest(&subject, e)),
            None => Ok(manifest),
        }
    }

    /// Asks what a manifest is without reading it; nothing if it is not there.
    ///
    /// A registry that leaves out one of the headers is asked for the manifest itself.
    pub async fn head_manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<Option<Descriptor>, ContentError> {
        let scope = Scope::pull(repository);
        let answer = self.head(repository, selector, &scope).await?;
        match answer.status.as_u16() {
            200 => {}
            404 if matches!(selector, Selector::Tag(_)) && !self.transport.found().profile.sees_tags => {
                return self.describe_by_reading(repository, selector, &scope).await;
            }
            404 => return Ok(None),
            405 | 501 => return self.describe_by_reading(repository, selector, &scope).await,
            _ => return Err(answer.error(&self.subject(repository, ':', selector))),
        }
        match described(&answer) {
            Some(descriptor) => Ok(Some(descriptor)),
            None => self.describe_by_reading(repository, selector, &scope).await,
        }
    }

    pub(super) async fn head(
        &self,
        repository: &Repository,
        selector: &Selector,
        scope: &Scope,
    ) -> Result<Small, ContentError> {
        let subject = self.subject(repository, ':', selector);
        let call = Call::new(Method::HEAD, format!("{repository}/manifests/{selector}"), scope, &subject)
            .header(ACCEPT, accept());
        self.transport.small(&call, 0).await
    }

    async fn describe_by_reading(
        &self,
        repository: &Repository,
        selector: &Selector,
        scope: &Scope,
    ) -> Result<Option<Descriptor>, ContentError> {
        match self.read_manifest(repository, selector, scope).await {
            Ok(manifest) => Ok(Some(manifest.descriptor().clone())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Makes a descriptor of the headers of a HEAD, if they are all there.
fn described(answer: &Small) -> Option<Descriptor> {
    let digest = stated_digest(answer)?;
    let size = answer.header(CONTENT_LENGTH.as_str())?.parse().ok().filter(|n| *n > 0)?;
    let content_type = answer.header(CONTENT_TYPE.as_str())?.split(';').next()?.trim();
    media_type::is_manifest(content_type).then(|| Descriptor::new(content_type, digest, size))
}

#[async_trait]
impl ContentRead for Client {
    fn name(&self) -> String {
        self.label()
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<RawManifest, ContentError> {
        self.read_manifest(repository, selector, &Scope::pull(repository)).await
    }

    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        let subject = self.subject(repository, '@', &blob.digest);
        let Some(last) = blob.size.checked_sub(1).filter(|last| offset <= *last) else {
            // There is nothing to ask for, and no range of no bytes.
            return if offset == blob.size {
                Ok(Box::pin(futures_util::stream::empty()))
            } else {
                let text = format!("byte {offset} of {} cannot be asked for", blob.size);
                Err(ContentError::new(subject, ContentErrorKind::Invalid(text)))
            };
        };
        let scope = Scope::pull(repository);
        let path = format!("{repository}/blobs/{}", blob.digest);
        let mut call = Call::new(Method::GET, path, &scope, &subject).pool(Pool::Download);
        if offset > 0 {
            let range =
                HeaderValue::try_from(format!("bytes={offset}-{last}")).expect("digits are plain text");
            call = call.header(RANGE, range);
        }
        let Answer { response, permit, .. } = self.transport.open(&call).await?;
        let skip = check_head(&subject, response.status(), response.headers(), blob.size, offset)?;
        Ok(Box::pin(Download {
            subject,
            size: blob.size,
            skip,
            left: blob.size - offset,
            body: self.transport.http.body(response),
            rest: Bytes::new(),
            counters: self.transport.counters.clone(),
            permit: Some(permit),
        }))
    }

    async fn find(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<Option<Descriptor>, ContentError> {
        self.head_manifest(repository, selector).await
    }

    async fn some_tags(
        &self,
        repository: &Repository,
        limit: usize,
    ) -> Result<Option<Vec<Tag>>, ContentError> {
        self.tags(repository, None, Some(limit)).await.map(Some)
    }

    async fn list_referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, ContentError> {
        self.referrers_by_api(repository, subject, None).await
    }
}

/// Checks that the answer is about the bytes that were asked for, and returns how many to skip.
fn check_head(
    subject: &str,
    status: StatusCode,
    headers: &HeaderMap,
    size: u64,
    offset: u64,
) -> Result<u64, ContentError> {
    let invalid = |text: String| Err(ContentError::new(subject, ContentErrorKind::Invalid(text)));
    let length =
        headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    let (skip, expected) = match status {
        // A registry that knows no ranges starts over.
        StatusCode::OK => (offset, size),
        StatusCode::PARTIAL_CONTENT if offset > 0 => {
            let mut ranges = headers.get_all(CONTENT_RANGE).iter().filter_map(|v| v.to_str().ok());
            let range = ranges.next().unwrap_or_default();
            if ranges.next().is_some() || !is_range(range, offset, size) {
                let range: String = range.chars().take(80).collect();
                return invalid(format!(
                    "bytes {offset} to the end of {size} were asked for, and the registry sends `{range}`"
                ));
            }
            (0, size - offset)
        }
        other => return invalid(format!("the registry answered {other} to a request for a blob")),
    };
    match length {
        Some(actual) if actual != expected => {
            let (expected, actual) = (size, actual.saturating_add(size - expected));
            Err(ContentError::new(subject, ContentErrorKind::WrongSize { expected, actual }))
        }
        _ => Ok(skip),
    }
}

/// Answers whether a `Content-Range` is from `offset` to the end of `size` bytes.
pub(super) fn is_range(value: &str, offset: u64, size: u64) -> bool {
    let parse = || {
        let (range, total) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.trim().split_once('-')?;
        let total = if total.trim() == "*" { size } else { total.trim().parse().ok()? };
        Some((first.trim().parse::<u64>().ok()?, last.trim().parse::<u64>().ok()?, total))
    };
    parse().is_some_and(|(first, last, total): (u64, u64, u64)| {
        first == offset && last.checked_add(1) == Some(size) && total == size
    })
}

/// A blob on its way in: counted, never longer than its descriptor says, in pieces of at most [`CHUNK`].
struct Download {
    subject: String,
    size: u64,
    skip: u64,
    left: u64,
    body: Body,
    rest: Bytes,
    counters: Arc<Counters>,
    /// Given back at the end; nothing follows then.
    permit: Option<Permit>,
}

impl Download {
    fn fail(&mut self, kind: ContentErrorKind) -> Poll<Option<Result<Bytes, ContentError>>> {
        self.permit = None;
        Poll::Ready(Some(Err(ContentError::new(self.subject.clone(), kind))))
    }
}

impl Stream for Download {
    type Item = Result<Bytes, ContentError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.permit.is_none() {
            return Poll::Ready(None);
        }
        loop {
            if !this.rest.is_empty() {
                let piece = this.rest.split_to(this.rest.len().min(CHUNK));
                return Poll::Ready(Some(Ok(piece)));
            }
            let mut piece = match std::task::ready!(this.body.poll_next_unpin(cx)) {
                Some(Ok(piece)) => piece,
                Some(Err(error)) => {
                    return this.fail(ContentErrorKind::Unavailable(error.kind().to_string()));
                }
                None if this.left == 0 => {
                    this.permit = None;
                    return Poll::Ready(None);
                }
                None => {
                    let (seen, size) = (this.size - this.left, this.size);
                    return this.fail(ContentErrorKind::Unavailable(format!(
                        "the connection ended after {seen} of {size} bytes"
                    )));
                }
            };
            this.counters.received.fetch_add(piece.len() as u64, Ordering::Relaxed);
            let skipped = this.skip.min(piece.len() as u64);
            this.skip -= skipped;
            let _ = piece.split_to(usize::try_from(skipped).expect("no more than a piece has"));
            if piece.len() as u64 > this.left {
                let actual = this.size - this.left + piece.len() as u64;
                return this.fail(ContentErrorKind::WrongSize { expected: this.size, actual });
            }
            this.left -= piece.len() as u64;
            this.rest = piece;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("bytes 5-9/10", true)]
    #[case("bytes 5-9/*", true)]
    #[case("bytes 0-4/10", false)]
    #[case("bytes 5-8/10", false)]
    #[case("bytes 5-9/11", false)]
    #[case("bytes 5-18446744073709551615/10", false)]
    #[case("5-9/10", false)]
    #[case("bytes */10", false)]
    #[case("", false)]
    fn ranges(#[case] value: &str, #[case] good: bool) {
        assert_eq!(is_range(value, 5, 10), good);
    }

    #[test]
    fn one_accept_line() {
        let text = accept();
        let text = text.to_str().unwrap();
        assert!(text.starts_with("application/vnd.oci.image.index.v1+json, ") && text.ends_with("*/*;q=0.1"));
    }
}
