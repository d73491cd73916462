//! Writing: mounts and uploads for a blob ([`super::upload`] sends the bytes), the bytes as they are for a manifest.

use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Repository, Selector};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::answer::{MAX_ERROR_BYTES, of_net};
use super::auth::Scope;
use super::client::Client;
use super::profile::{Mount, Upload};
use super::pull::stated_digest;
use super::transport::{Call, Small, bad_location};
use super::upload::Sending;
use crate::content::{BlobStream, ContentError, ContentErrorKind, ContentWrite};
use crate::net::address::{check_literal, literal, private};
use crate::net::redirect::location;

/// How many uploads that mounts have opened are kept for the pushes that follow; more are cancelled at once.
const MAX_SESSIONS: usize = 256;
/// How often a manifest is put that a registry calls another than its digest says, though it is not.
const DOUBTED: u32 = 3;
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
        if self.transport.learned().mounts_nothing {
            return Ok(false);
        }
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
            201 => {
                self.drop_session(repository, &blob.digest, &scope).await;
                Ok(true)
            }
            202 => {
                self.keep_session(repository, &blob.digest, &answer, &scope).await;
                Ok(false)
            }
            405 | 501 => {
                self.transport.learned().mounts_nothing = true;
                Ok(false)
            }
            // Registries without mounting say so in many ways, and all of them take a push.
            400.. => Ok(false),
            _ => Err(answer.error(&subject)),
        }
    }

    async fn adopt(&self, repository: &Repository, blob: &Descriptor) -> Result<bool, ContentError> {
        let may_find = self.transport.found().profile.mount == Mount::Anywhere;
        if !may_find || self.transport.learned().finds_nothing {
            return Ok(false);
        }
        let subject = self.subject(repository, '@', &blob.digest);
        let scope = Scope::push(repository);
        let path = format!("{repository}/blobs/uploads/?mount={}", blob.digest);
        let call = Call::new(Method::POST, path, &scope, &subject);
        let answer = match self.transport.small(&call, MAX_ERROR_BYTES).await {
            Ok(answer) => answer,
            // Whether one may write here is for the push to find out.
            Err(error)
                if matches!(error.kind(), ContentErrorKind::Unauthorized | ContentErrorKind::Denied) =>
            {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        match answer.status.as_u16() {
            201 => {
                self.drop_session(repository, &blob.digest, &scope).await;
                return Ok(true);
            }
            // It has opened an upload, as it would have for the push that follows: nothing is lost by asking.
            202 => self.keep_session(repository, &blob.digest, &answer, &scope).await,
            _ => self.transport.learned().finds_nothing = true,
        }
        Ok(false)
    }

    async fn put_blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        body: BlobStream,
    ) -> Result<(), ContentError> {
        let subject = self.subject(repository, '@', &blob.digest);
        let scope = Scope::push(repository);
        let sending = Sending { repository, blob, scope: &scope, subject: &subject };
        // What is known of the registry depends on its first answer.
        self.transport.endpoint().await?;
        let session = match (self.take_session(repository, &blob.digest), self.way(blob.size)) {
            (Some(session), _) => session,
            (None, Upload::Single) => return self.send_single(&sending, body).await,
            (None, _) => self.start_upload(repository, &scope, &subject).await?,
        };
        let result = match self.way(blob.size) {
            Upload::Whole | Upload::Single => self.send_whole(&sending, &session, body).await,
            Upload::Stream => self.send_stream(&sending, &session, body).await,
            Upload::Chunks(size) => self.send_pieces(&sending, &session, body, size).await,
        };
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

    /// Sends a manifest, and again if its digest is called invalid: it is not, but docker-registry says so of a link to
    /// something that the manifest names while another request writes that link anew.
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
        let mut backoff = self.transport.backoff(subject);
        let mut attempt = 0;
        loop {
            attempt += 1;
            self.pace_manifest().await?;
            let answer = self.transport.small(&call, MAX_ERROR_BYTES).await?;
            let said = answer.answer();
            let is_doubted = attempt < DOUBTED && said.has_code(&["DIGEST_INVALID"]);
            let pause = is_doubted.then(|| backoff.next(&said.to_string(), None)).flatten();
            let Some(pause) = pause else { return Ok(answer) };
            tokio::time::sleep(pause).await;
        }
    }

    /// Waits until another manifest may be put, where only so many may be within a second.
    async fn pace_manifest(&self) -> Result<(), ContentError> {
        self.transport.endpoint().await?;
        let Some(most) = self.transport.found().profile.manifests_per_second else { return Ok(()) };
        let at = {
            let mut learned = self.transport.learned();
            let at = learned.next_manifest.map_or_else(Instant::now, |next| next.max(Instant::now()));
            learned.next_manifest = Some(at + Duration::from_secs(1) / most.max(1));
            at
        };
        tokio::time::sleep_until(at).await;
        Ok(())
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
    pub(super) fn session(&self, answer: &Small, subject: &str) -> Result<Url, ContentError> {
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

    /// Gives a session up. The registry may refuse that; then it forgets the session in its own time.
    ///
    /// Some want the right to delete for it, which hardly anybody has and which is not asked for.
    pub(super) async fn cancel(&self, session: &Url, scope: &Scope) {
        let call = Call::of_url(Method::DELETE, session, scope, "upload").without_renewal();
        let _ = tokio::time::timeout(CANCEL, self.transport.try_small(&call, MAX_ERROR_BYTES)).await;
    }

    pub(super) async fn keep_session(
        &self,
        repository: &Repository,
        digest: &Digest,
        answer: &Small,
        scope: &Scope,
    ) {
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

    /// Gives up the session of an earlier mount, where the blob has come in another way.
    async fn drop_session(&self, repository: &Repository, digest: &Digest, scope: &Scope) {
        if let Some(session) = self.take_session(repository, digest) {
            self.cancel(&session, scope).await;
        }
    }

    fn take_session(&self, repository: &Repository, digest: &Digest) -> Option<Url> {
        let mut sessions = self.transport.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.remove(&(repository.clone(), digest.clone()))
    }
}

/// Checks that the registry stored what was sent, if it says what it stored.
pub(super) fn check_stated(answer: &Small, sent: &Digest, subject: &str) -> Result<(), ContentError> {
    match stated_digest(answer) {
        Some(stated) if stated.algorithm() == sent.algorithm() && stated != *sent => {
            let text =
                format!("the registry has stored `{stated}` instead of `{sent}`: it changes what is pushed");
            Err(ContentError::new(subject, ContentErrorKind::Invalid(text)))
        }
        _ => Ok(()),
    }
}
