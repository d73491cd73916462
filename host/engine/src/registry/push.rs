//! Writing: mount, POST and one PUT of known length for a blob, the bytes as they are for a manifest.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Repository, Selector};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, StatusCode};
use url::Url;

use super::answer::{MAX_ERROR_BYTES, of_net, retry_after};
use super::auth::{Need, Scope};
use super::challenge::challenges;
use super::client::{Client, Counters};
use super::pull::stated_digest;
use super::transport::{Call, Pool, Small, bad_location};
use crate::content::{BlobStream, ContentError, ContentErrorKind, ContentWrite};
use crate::net::address::{check_literal, literal, private};
use crate::net::read_capped;
use crate::net::redirect::{location, same_origin};

/// How many uploads that mounts have opened are kept for the pushes that follow; more are cancelled at once.
const MAX_SESSIONS: usize = 256;
/// How long cancelling may take: it is a courtesy.
const CANCEL: Duration = Duration::from_secs(5);

#[async_trait]
impl ContentWrite for Client {
    fn name(&self) -> String {
        self.label()
    }

    async fn has_blob(&self, repository: &Repository, blob: &Descriptor) -> Result<bool, ContentError> {
        let subject = self.subject(repository, '@', &blob.digest);
        let scope = Scope::push(repository);
        let path = format!("{repository}/blobs/{}", blob.digest);
        let answer = self.transport.small(&Call::new(Method::HEAD, path, &scope, &subject), 0).await?;
        match answer.status.as_u16() {
            200 => {
                // Content of another size under this digest is none at all; it is put again.
                let size = answer.header(CONTENT_LENGTH.as_str()).and_then(|v| v.parse::<u64>().ok());
                Ok(size.is_none_or(|size| size == blob.size))
            }
            404 | 405 | 501 => Ok(false),
            // The registry has vouched for it by pointing elsewhere; a URL signed for GET may not take a HEAD.
            400.. if !answer.ours => Ok(true),
            _ => Err(answer.error(&subject)),
        }
    }

    async fn has_manifest(&self, repository: &Repository, digest: &Digest) -> Result<bool, ContentError> {
        let selector = Selector::Digest(digest.clone());
        let scope = Scope::push(repository);
        let answer = self.head(repository, &selector, &scope).await?;
        match answer.status.as_u16() {
            200 => Ok(true),
            404 => Ok(false),
            405 | 501 => match self.read_manifest(repository, &selector, &scope).await {
                Ok(_) => Ok(true),
                Err(error) if error.is_not_found() => Ok(false),
                Err(error) => Err(error),
            },
            _ => Err(answer.error(&self.subject(repository, '@', digest))),
        }
    }

    async fn mount(
        &self,
        repository: &Repository,
        from: &Repository,
        blob: &Descriptor,
    ) -> Result<bool, ContentError> {
        let subject = self.subject(repository, '@', &blob.digest);
        let scope = Scope::mount(repository, from);
        let path = format!("{repository}/blobs/uploads/?mount={}&from={from}", blob.digest);
        let answer =
            self.transport.small(&Call::new(Method::POST, path, &scope, &subject), MAX_ERROR_BYTES).await;
        let answer = match answer {
            Ok(answer) => answer,
            // No right to read there is a reason to put the blob, which then shows whether there is one to write here.
            Err(error)
                if matches!(error.kind(), ContentErrorKind::Unauthorized | ContentErrorKind::Denied) =>
            {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        match answer.status.as_u16() {
            201 => Ok(true),
            202 => {
                self.keep_session(repository, &blob.digest, &answer, &scope).await;
                Ok(false)
            }
            // Registries without mounting say so in many ways, and all of them take a push.
            400.. => Ok(false),
            _ => Err(answer.error(&subject)),
        }
    }

    async fn put_blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        body: BlobStream,
    ) -> Result<(), ContentError> {
        let subject = self.subject(repository, '@', &blob.digest);
        let scope = Scope::push(repository);
        let session = match self.take_session(repository, &blob.digest) {
            Some(session) => session,
            None => self.start_upload(repository, &scope, &subject).await?,
        };
        let result = self.finish_upload(&session, blob, body, &scope, &subject).await;
        if result.is_err() {
            self.cancel(&session, &scope).await;
        }
        result
    }

    async fn put_manifest(
        &self,
        repository: &Repository,
        manifest: &RawManifest,
    ) -> Result<(), ContentError> {
        let digest = manifest.digest();
        let subject = self.subject(repository, '@', digest);
        self.put_reference(repository, &digest.to_string(), manifest, &subject).await
    }
}

impl Client {
    /// Puts a manifest under a tag or digest, and checks that the registry has kept its bytes.
    pub(super) async fn put_reference(
        &self,
        repository: &Repository,
        reference: &str,
        manifest: &RawManifest,
        subject: &str,
    ) -> Result<(), ContentError> {
        let scope = Scope::push(repository);
        let answer = self.send_manifest(repository, reference, manifest, &scope, subject).await?;
        if !matches!(answer.status.as_u16(), 200..=202 | 204) {
            return Err(answer.error(subject));
        }
        check_stated(&answer, manifest.digest(), subject)
    }

    pub(super) async fn send_manifest(
        &self,
        repository: &Repository,
        reference: &str,
        manifest: &RawManifest,
        scope: &Scope,
        subject: &str,
    ) -> Result<Small, ContentError> {
        let media_type = HeaderValue::from_str(manifest.media_type()).map_err(|_| {
            ContentError::new(subject, ContentErrorKind::Invalid("its media type is no header".to_owned()))
        })?;
        let path = format!("{repository}/manifests/{reference}");
        let call = Call::new(Method::PUT, path, scope, subject)
            .header(CONTENT_TYPE, media_type)
            .body(Bytes::copy_from_slice(manifest.bytes()));
        self.transport.small(&call, MAX_ERROR_BYTES).await
    }

    async fn start_upload(
        &self,
        repository: &Repository,
        scope: &Scope,
        subject: &str,
    ) -> Result<Url, ContentError> {
        let path = format!("{repository}/blobs/uploads/");
        let answer =
            self.transport.small(&Call::new(Method::POST, path, scope, subject), MAX_ERROR_BYTES).await?;
        if answer.status != StatusCode::ACCEPTED {
            return Err(match answer.status.is_success() {
                true => ContentError::new(
                    subject,
                    ContentErrorKind::Invalid(format!(
                        "the registry answered {} to the start of an upload",
                        answer.status
                    )),
                ),
                false => answer.error(subject),
            });
        }
        self.session(&answer, subject)
    }

    /// Reads where an upload goes, and refuses places where nobody may send one.
    fn session(&self, answer: &Small, subject: &str) -> Result<Url, ContentError> {
        let url = location(&answer.url, &answer.headers).map_err(|e| of_net(subject, &e))?;
        let from = &answer.url;
        if from.scheme() == "https" && url.scheme() == "http" && !self.transport.is_insecure() {
            return Err(bad_location(subject, &url, "from HTTPS to plain HTTP"));
        }
        if url.host() != from.host() {
            check_literal(&url).map_err(|_| bad_location(subject, &url, "where no registry can be"))?;
            let own = from.host_str() == Some("localhost") || literal(from).is_some_and(private);
            if literal(&url).is_some_and(private) && !own {
                return Err(bad_location(
                    subject,
                    &url,
                    "an address in a private network that is not its own",
                ));
            }
        }
        Ok(url)
    }

    /// Streams the blob into a session. Only the caller can do it again, since only he can start the body again.
    async fn finish_upload(
        &self,
        session: &Url,
        blob: &Descriptor,
        body: BlobStream,
        scope: &Scope,
        subject: &str,
    ) -> Result<(), ContentError> {
        let mut url = session.clone();
        // What is there is kept to the letter: it may be signed.
        url.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
        let base = self.transport.endpoint().await?;
        let authorization = match same_origin(&url, &base) {
            true => self.transport.auth.authorization(scope, Need::Fresh).await?,
            false => None,
        };
        let mut request = Request::new(Method::PUT, url);
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(CONTENT_LENGTH, blob.size.into());
        if let Some(authorization) = &authorization {
            headers.insert(AUTHORIZATION, authorization.value());
        }
        let error = Arc::new(Mutex::new(None));
        let upload = Upload {
            subject: subject.to_owned(),
            body,
            size: blob.size,
            sent: 0,
            error: error.clone(),
            counters: self.transport.counters.clone(),
        };
        let permit = self.transport.permit(Pool::Request).await;
        self.transport.wait_while_held().await;
        self.transport.counters.requests.fetch_add(1, Ordering::Relaxed);
        let outcome = self.transport.http.upload(request, Box::pin(upload)).await;
        // If the source failed, that is the cause, whatever the registry made of it.
        if let Some(error) = error.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        let response = outcome.map_err(|e| of_net(subject, &e))?;
        let (status, headers, url) = (response.status(), response.headers().clone(), response.url().clone());
        let ours = same_origin(&url, &base);
        let body = read_capped(&self.transport.http, response, MAX_ERROR_BYTES).await.unwrap_or_default();
        drop(permit);
        let answer = Small { status, headers, body, url, ours };
        if let Some(asked) = retry_after(&answer.headers).filter(|_| !status.is_success()) {
            self.transport.hold_for(asked);
        }
        match status.as_u16() {
            200 | 201 | 204 => check_stated(&answer, &blob.digest, subject),
            401 if ours => {
                let offered = challenges(&answer.headers);
                match self.transport.auth.renew(scope, authorization.as_ref(), &offered).await? {
                    Some(_) => {
                        Err(again(subject, "the registry wanted a new token in the middle of the upload"))
                    }
                    None => Err(answer.error(subject)),
                }
            }
            404 => Err(again(subject, "the registry has lost the upload")),
            300..=399 => Err(ContentError::new(
                subject,
                ContentErrorKind::Invalid(format!("the registry redirects an upload with {status}")),
            )),
            _ => Err(upload_error(subject, &answer)),
        }
    }

    /// Gives a session up. The registry may refuse that; then it forgets the session in its own time.
    ///
    /// Some want the right to delete for it, which hardly anybody has and which is not asked for.
    async fn cancel(&self, session: &Url, scope: &Scope) {
        let call = Call::of_url(Method::DELETE, session, scope, "upload").without_renewal();
        let _ = tokio::time::timeout(CANCEL, self.transport.try_small(&call, MAX_ERROR_BYTES)).await;
    }

    async fn keep_session(&self, repository: &Repository, digest: &Digest, answer: &Small, scope: &Scope) {
        let Ok(session) = self.session(answer, "upload") else { return };
        let surplus = {
            let mut sessions = self.transport.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            if sessions.len() < MAX_SESSIONS {
                sessions.insert((repository.clone(), digest.clone()), session)
            } else {
                Some(session)
            }
        };
        if let Some(surplus) = surplus {
            self.cancel(&surplus, scope).await;
        }
    }

    fn take_session(&self, repository: &Repository, digest: &Digest) -> Option<Url> {
        let mut sessions = self.transport.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.remove(&(repository.clone(), digest.clone()))
    }
}

fn again(subject: &str, why: &str) -> ContentError {
    ContentError::new(subject, ContentErrorKind::Unavailable(why.to_owned()))
}

fn upload_error(subject: &str, answer: &Small) -> ContentError {
    let said = answer.answer();
    if answer.status.is_success() || answer.status.is_informational() {
        let text = format!("the registry answered {} to an upload", answer.status);
        return ContentError::new(subject, ContentErrorKind::Invalid(text));
    }
    if said.has_code(&["BLOB_UPLOAD_UNKNOWN"]) {
        return again(subject, "the registry has lost the upload");
    }
    answer.error(subject)
}

/// Checks that the registry stored what was sent, if it says what it stored.
fn check_stated(answer: &Small, sent: &Digest, subject: &str) -> Result<(), ContentError> {
    match stated_digest(answer) {
        Some(stated) if stated.algorithm() == sent.algorithm() && stated != *sent => {
            let text =
                format!("the registry has stored `{stated}` instead of `{sent}`: it changes what is pushed");
            Err(ContentError::new(subject, ContentErrorKind::Invalid(text)))
        }
        _ => Ok(()),
    }
}

/// A blob on its way out. It never ends well with fewer or more bytes than its descriptor says.
struct Upload {
    subject: String,
    body: BlobStream,
    size: u64,
    sent: u64,
    error: Arc<Mutex<Option<ContentError>>>,
    counters: Arc<Counters>,
}

impl Upload {
    fn fail(&self, error: ContentError) -> Poll<Option<Result<Bytes, std::io::Error>>> {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        Poll::Ready(Some(Err(std::io::Error::other("the source of the upload failed"))))
    }

    fn wrong_size(&self) -> Poll<Option<Result<Bytes, std::io::Error>>> {
        let kind = ContentErrorKind::WrongSize { expected: self.size, actual: self.sent };
        self.fail(ContentError::new(self.subject.clone(), kind))
    }
}

impl Stream for Upload {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match std::task::ready!(self.body.poll_next_unpin(cx)) {
            Some(Ok(piece)) => {
                self.sent += piece.len() as u64;
                if self.sent > self.size {
                    return self.wrong_size();
                }
                self.counters.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
                Poll::Ready(Some(Ok(piece)))
            }
            Some(Err(error)) => self.fail(error),
            None if self.sent < self.size => self.wrong_size(),
            None => Poll::Ready(None),
        }
    }
}
