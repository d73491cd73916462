//! Sends a blob in the way that a registry takes it: whole, as one stream, in pieces, or with the first request.
//!
//! Which way is tried first is in the profile. A way that is refused is given up for another one, for all blobs that
//! follow. The body cannot be sent twice from here, so the blob itself fails with a temporary error, and whoever pushes
//! it starts it again; only pieces are kept until they have arrived.

use std::mem::discriminant;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::reference::Repository;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, RANGE};
use reqwest::{Method, Request, StatusCode};
use url::Url;

use super::answer::MAX_ERROR_BYTES;
use super::auth::{Need, Scope};
use super::challenge::challenges;
use super::client::{Client, Counters};
use super::profile::Upload;
use super::push::check_stated;
use super::transport::{Call, Pool, Small};
use crate::content::{BlobStream, CHUNK, ContentError, ContentErrorKind};
use crate::net::redirect::same_origin;

/// The pieces that are tried after a registry or a proxy before it has refused a blob for its size. They are kept in
/// memory, one for each upload under way.
const PIECE: u64 = 8 << 20;
/// The smallest ones: nginx takes 1 MiB unless it is told otherwise.
const SMALLEST_PIECE: u64 = 256 << 10;

/// One blob on its way to one repository.
pub(super) struct Sending<'a> {
    pub(super) repository: &'a Repository,
    pub(super) blob: &'a Descriptor,
    pub(super) scope: &'a Scope,
    pub(super) subject: &'a str,
}

/// What became of a piece.
enum Piece {
    /// It is there; the next one goes here.
    Stored(Url),
    /// It is larger than what is taken.
    TooLarge,
    /// There are no pieces here.
    Unknown,
}

impl Client {
    /// Returns how a blob of this size is sent.
    pub(super) fn way(&self, size: u64) -> Upload {
        let way = self.transport.learned().upload.unwrap_or(self.transport.found().profile.upload);
        match way {
            Upload::Chunks(piece) if size <= piece => Upload::Whole,
            way => way,
        }
    }

    /// Goes over from a way that was refused to another one; false if that one was refused before.
    fn change_way(&self, from: Upload, to: Upload) -> bool {
        let current = self.transport.found().profile.upload;
        let mut learned = self.transport.learned();
        let now = learned.upload.unwrap_or(current);
        if discriminant(&now) != discriminant(&from) && discriminant(&now) != discriminant(&Upload::Chunks(0))
        {
            // Another blob has found it out meanwhile.
            return true;
        }
        if learned.given_up.contains(&discriminant(&to)) {
            return false;
        }
        learned.given_up.push(discriminant(&from));
        learned.upload = Some(match (now, to) {
            // Another blob may have needed smaller ones.
            (Upload::Chunks(one), Upload::Chunks(other)) => Upload::Chunks(one.min(other)),
            _ => to,
        });
        drop(learned);
        tracing::info!(registry = %self.registry(), ?from, ?to, "blobs are sent in another way");
        true
    }

    /// Makes pieces smaller; false if they are as small as they get.
    fn cut_smaller(&self, refused: u64) -> Option<u64> {
        let smaller = (refused / 4).max(SMALLEST_PIECE);
        if smaller >= refused {
            return None;
        }
        self.transport.learned().upload = Some(Upload::Chunks(smaller));
        Some(smaller)
    }

    /// Sends all of a blob into a session with one `PUT`.
    pub(super) async fn send_whole(
        &self,
        sending: &Sending<'_>,
        session: &Url,
        body: BlobStream,
    ) -> Result<(), ContentError> {
        let subject = sending.subject;
        let answer = self.send_body(sending, Method::PUT, with_digest(session, sending.blob), body).await?;
        match answer.status.as_u16() {
            200 | 201 | 204 => check_stated(&answer, &sending.blob.digest, subject),
            404 => Err(again(subject, "the registry has lost the upload")),
            300..=399 => Err(redirected(subject, &answer)),
            413 | 416 if sending.blob.size > SMALLEST_PIECE => {
                let piece = (sending.blob.size / 4).clamp(SMALLEST_PIECE, PIECE);
                match self.change_way(Upload::Whole, Upload::Chunks(piece)) {
                    true => Err(again(subject, "the registry takes no request of this size; it gets pieces")),
                    false => Err(upload_error(subject, &answer)),
                }
            }
            _ => Err(upload_error(subject, &answer)),
        }
    }

    /// Sends all of a blob with the request that would open a session. One that is opened nevertheless is kept.
    pub(super) async fn send_single(
        &self,
        sending: &Sending<'_>,
        body: BlobStream,
    ) -> Result<(), ContentError> {
        let Sending { repository, blob, scope, subject } = *sending;
        let start = self.transport.endpoint().await?.join(&format!("{repository}/blobs/uploads/"));
        let start = start.map_err(|_| {
            ContentError::new(subject, ContentErrorKind::Invalid("this makes no URL".to_owned()))
        })?;
        let answer = self.send_body(sending, Method::POST, with_digest(&start, blob), body).await?;
        match answer.status.as_u16() {
            200 | 201 | 204 => check_stated(&answer, &blob.digest, subject),
            401 | 429 | 500.. => Err(upload_error(subject, &answer)),
            status => {
                if status == 202 {
                    self.keep_session(repository, &blob.digest, &answer, scope).await;
                }
                match self.change_way(Upload::Single, Upload::Whole) {
                    true => Err(again(subject, "the registry takes no blob in one request")),
                    false => Err(upload_error(subject, &answer)),
                }
            }
        }
    }

    /// Sends all of a blob as one stream of unnamed range, and then says what it is.
    pub(super) async fn send_stream(
        &self,
        sending: &Sending<'_>,
        session: &Url,
        body: BlobStream,
    ) -> Result<(), ContentError> {
        let subject = sending.subject;
        let answer = self.send_body(sending, Method::PATCH, session.clone(), body).await?;
        match answer.status.as_u16() {
            200..=204 => self.complete(sending, &self.next_session(&answer, session, subject)?).await,
            401 | 429 | 500.. => Err(upload_error(subject, &answer)),
            300..=399 => Err(redirected(subject, &answer)),
            _ => match self.change_way(Upload::Stream, Upload::Whole) {
                true => Err(again(subject, "the registry takes no stream; it gets whole blobs")),
                false => Err(upload_error(subject, &answer)),
            },
        }
    }

    /// Sends a blob in pieces, each of which is kept until it has arrived.
    pub(super) async fn send_pieces(
        &self,
        sending: &Sending<'_>,
        session: &Url,
        body: BlobStream,
        mut size: u64,
    ) -> Result<(), ContentError> {
        let Sending { blob, subject, .. } = *sending;
        let error = Arc::new(Mutex::new(None));
        // Bytes count when a piece is sent, however often that is.
        let mut body = Outgoing { counters: Arc::default(), ..self.outgoing(sending, body, error.clone()) };
        let mut session = session.clone();
        let mut at = 0;
        while at < blob.size {
            let wanted = size.min(blob.size - at);
            let mut buffer = BytesMut::with_capacity(usize::try_from(wanted).unwrap_or(0) + CHUNK);
            while (buffer.len() as u64) < wanted {
                match body.next().await {
                    Some(Ok(bytes)) => buffer.extend_from_slice(&bytes),
                    Some(Err(_)) => return Err(taken(&error, subject)),
                    None => break,
                }
            }
            let mut rest = buffer.freeze();
            while !rest.is_empty() {
                let length = rest.len().min(usize::try_from(size).unwrap_or(usize::MAX));
                match self.send_piece(sending, &session, at, rest.slice(..length)).await? {
                    Piece::Stored(next) => {
                        session = next;
                        at += length as u64;
                        rest = rest.slice(length..);
                    }
                    Piece::TooLarge => {
                        let tried = length as u64;
                        size = self.cut_smaller(tried).ok_or_else(|| {
                            let text = format!(
                                "the registry takes no pieces of {tried} bytes, however few they are"
                            );
                            ContentError::new(subject, ContentErrorKind::Refused(text))
                        })?;
                    }
                    Piece::Unknown => {
                        return Err(match self.change_way(Upload::Chunks(size), Upload::Whole) {
                            true => again(subject, "the registry takes no pieces; it gets whole blobs"),
                            false => {
                                let text = "the registry takes a blob neither whole nor in pieces".to_owned();
                                ContentError::new(subject, ContentErrorKind::Refused(text))
                            }
                        });
                    }
                }
            }
        }
        // The stream says at its end whether it was the right bytes.
        if let Some(Err(_)) = body.next().await {
            return Err(taken(&error, subject));
        }
        let outcome = self.complete(sending, &session).await;
        match outcome {
            // The bytes were right when they were sent: this registry does not put pieces together.
            Err(error)
                if is_about_digest(&error) && self.change_way(Upload::Chunks(size), Upload::Stream) =>
            {
                Err(again(subject, "the registry has not kept all pieces; it gets one stream"))
            }
            outcome => outcome,
        }
    }

    /// Sends one piece. After a failure that may pass, the registry is asked what it has.
    async fn send_piece(
        &self,
        sending: &Sending<'_>,
        session: &Url,
        at: u64,
        piece: Bytes,
    ) -> Result<Piece, ContentError> {
        let Sending { scope, subject, .. } = *sending;
        let end = at + piece.len() as u64;
        let range = HeaderValue::try_from(format!("{at}-{}", end - 1)).expect("digits are plain text");
        let mut session = session.clone();
        let mut backoff = self.transport.backoff(subject);
        let answer = loop {
            let call = Call::of_url(Method::PATCH, &session, scope, subject)
                .header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
                .header(CONTENT_RANGE, range.clone())
                .body(piece.clone());
            let failure = match self.transport.try_small(&call, MAX_ERROR_BYTES).await {
                Ok(answer) => break answer,
                Err(failure) => failure,
            };
            self.transport.again(&mut backoff, failure).await?;
            match self.stored(sending, &session).await? {
                (next, Some(there)) if there == end => return Ok(Piece::Stored(next)),
                (next, there) if there.is_none_or(|there| there == at) => session = next,
                _ => return Err(again(subject, "the registry has lost a part of the upload")),
            }
        };
        match answer.status.as_u16() {
            200..=204 => {
                let there = answer.header(RANGE.as_str()).and_then(told);
                if self.transport.found().profile.counts_pieces && there.is_some_and(|there| there != end) {
                    let text = format!("the registry has kept {} of {end} bytes", there.unwrap_or_default());
                    return Err(again(subject, &text));
                }
                self.next_session(&answer, &session, subject).map(Piece::Stored)
            }
            413 => Ok(Piece::TooLarge),
            416 if at == 0 => Ok(Piece::TooLarge),
            400 | 404 | 405 | 411 | 501 if at == 0 => Ok(Piece::Unknown),
            404 | 416 => Err(again(subject, "the registry has lost the upload")),
            300..=399 => Err(redirected(subject, &answer)),
            _ => Err(upload_error(subject, &answer)),
        }
    }

    /// Asks how much of an upload is there, and where it goes on. Nothing where the registry does not say, or is known to
    /// say it wrong.
    async fn stored(&self, sending: &Sending<'_>, session: &Url) -> Result<(Url, Option<u64>), ContentError> {
        let call = Call::of_url(Method::GET, session, sending.scope, sending.subject);
        let answer = self.transport.small(&call, MAX_ERROR_BYTES).await?;
        if !answer.status.is_success() {
            return Ok((session.clone(), None));
        }
        let there = answer.header(RANGE.as_str()).and_then(told);
        let there = there.filter(|_| self.transport.found().profile.counts_pieces);
        Ok((self.next_session(&answer, session, sending.subject)?, there))
    }

    /// Says what an upload is whose bytes have all arrived.
    async fn complete(&self, sending: &Sending<'_>, session: &Url) -> Result<(), ContentError> {
        let Sending { blob, scope, subject, .. } = *sending;
        let url = with_digest(session, blob);
        let answer =
            self.transport.small(&Call::of_url(Method::PUT, &url, scope, subject), MAX_ERROR_BYTES).await?;
        match answer.status.as_u16() {
            200 | 201 | 204 => check_stated(&answer, &blob.digest, subject),
            404 => Err(again(subject, "the registry has lost the upload")),
            300..=399 => Err(redirected(subject, &answer)),
            _ => Err(upload_error(subject, &answer)),
        }
    }

    /// Returns where an upload goes on: the newest place counts, since it may hold what has been stored so far.
    fn next_session(&self, answer: &Small, session: &Url, subject: &str) -> Result<Url, ContentError> {
        match answer.headers.contains_key(reqwest::header::LOCATION) {
            true => self.session(answer, subject),
            false => Ok(session.clone()),
        }
    }

    fn outgoing(
        &self,
        sending: &Sending<'_>,
        body: BlobStream,
        error: Arc<Mutex<Option<ContentError>>>,
    ) -> Outgoing {
        Outgoing {
            subject: sending.subject.to_owned(),
            body,
            size: sending.blob.size,
            sent: 0,
            error,
            counters: self.transport.counters.clone(),
        }
    }

    /// Makes a request with the whole blob as its body. Only the caller can do it again, since only he can start the body
    /// again.
    async fn send_body(
        &self,
        sending: &Sending<'_>,
        method: Method,
        url: Url,
        body: BlobStream,
    ) -> Result<Small, ContentError> {
        let Sending { blob, scope, subject, .. } = *sending;
        let base = self.transport.endpoint().await?;
        let authorization = match same_origin(&url, &base) {
            true => self.transport.auth.authorization(scope, Need::Fresh).await?,
            false => None,
        };
        let mut request = Request::new(method, url);
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(CONTENT_LENGTH, blob.size.into());
        if let Some(authorization) = &authorization {
            headers.insert(AUTHORIZATION, authorization.value());
        }
        let error = Arc::new(Mutex::new(None));
        let upload = self.outgoing(sending, body, error.clone());
        let permit = self.transport.permit(Pool::Upload).await;
        self.transport.wait_while_held().await;
        self.transport.counters.requests.fetch_add(1, Ordering::Relaxed);
        let outcome = self.transport.http.upload(request, Box::pin(upload)).await;
        // If the source failed, that is the cause, whatever the registry made of it.
        if let Some(error) = error.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        let response = outcome.map_err(|e| self.transport.unanswered(&permit, subject, &e))?;
        self.transport.heed(&permit, &response);
        let (status, headers, url) = (response.status(), response.headers().clone(), response.url().clone());
        let ours = same_origin(&url, &base);
        let body = self.transport.error_body(response).await;
        drop(permit);
        let answer = Small { status, headers, body, url, ours };
        if status == StatusCode::UNAUTHORIZED && ours {
            let offered = challenges(&answer.headers);
            return match self.transport.auth.renew(scope, authorization.as_ref(), &offered).await? {
                Some(_) => Err(again(subject, "the registry wanted a new token in the middle of the upload")),
                None => Err(answer.error(subject)),
            };
        }
        Ok(answer)
    }
}

/// Adds the digest to where an upload goes. What is there is kept to the letter: it may be signed.
fn with_digest(session: &Url, blob: &Descriptor) -> Url {
    let mut url = session.clone();
    url.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
    url
}

/// Reads how many bytes a `Range` says are there: `0-99`, also `bytes=0-99`, and `0--1` for none.
fn told(range: &str) -> Option<u64> {
    let range = range.trim();
    let last = range.strip_prefix("bytes=").unwrap_or(range).strip_prefix("0-")?;
    if last == "-1" {
        return Some(0);
    }
    last.parse::<u64>().ok()?.checked_add(1)
}

fn is_about_digest(error: &ContentError) -> bool {
    matches!(error.kind(), ContentErrorKind::Refused(text) if text.contains("DIGEST_INVALID"))
}

fn taken(error: &Mutex<Option<ContentError>>, subject: &str) -> ContentError {
    let error = error.lock().unwrap_or_else(PoisonError::into_inner).take();
    error.unwrap_or_else(|| again(subject, "the source of the upload failed"))
}

fn redirected(subject: &str, answer: &Small) -> ContentError {
    let text = format!("the registry redirects an upload with {}", answer.status);
    ContentError::new(subject, ContentErrorKind::Invalid(text))
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

/// A blob on its way out. It never ends well with fewer or more bytes than its descriptor says.
struct Outgoing {
    subject: String,
    body: BlobStream,
    size: u64,
    sent: u64,
    error: Arc<Mutex<Option<ContentError>>>,
    counters: Arc<Counters>,
}

impl Outgoing {
    fn fail(&self, error: ContentError) -> Poll<Option<Result<Bytes, std::io::Error>>> {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        Poll::Ready(Some(Err(std::io::Error::other("the source of the upload failed"))))
    }

    fn wrong_size(&self) -> Poll<Option<Result<Bytes, std::io::Error>>> {
        let kind = ContentErrorKind::WrongSize { expected: self.size, actual: self.sent };
        self.fail(ContentError::new(self.subject.clone(), kind))
    }
}

impl Stream for Outgoing {
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

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("0-99", Some(100))]
    #[case("bytes=0-99", Some(100))]
    #[case("bytes=0--1", Some(0))]
    #[case("0--1", Some(0))]
    #[case("5-99", None)]
    #[case("0-18446744073709551615", None)]
    #[case("", None)]
    fn ranges(#[case] text: &str, #[case] there: Option<u64>) {
        assert_eq!(told(text), there);
    }
}
