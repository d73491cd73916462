//! [`Transport`] makes the requests of a [`super::Client`]: scheme, authentication, redirects, retries, limits.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::reference::{DOCKER_HUB, Registry, Repository};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Request, Response, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::answer::{
    Failure, MAX_ERROR_BYTES, RegistryAnswer, is_passing, of_net, rate_limited, retry_after,
};
use super::auth::{Auth, Need, Scope, may_be_plain};
use super::challenge::challenges;
use super::client::{ClientSettings, Counters};
use super::flight::Flight;
use super::profile::{Found, Product, Signs, Upload, identify};
use crate::content::{ContentError, ContentErrorKind};
use crate::net::address::GuardedResolver;
use crate::net::redirect::{MAX_HOPS, next_hop, same_origin};
use crate::net::{Backoff, HttpClient, NetError, NetErrorKind, Permit, Retry, Window, read_capped, shown};
use crate::report::SharedEvents;

/// Where Docker Hub has its API.
const DOCKER_HUB_API: &str = "registry-1.docker.io";

pub(super) struct Transport {
    pub(super) registry: Registry,
    pub(super) http: HttpClient,
    pub(super) auth: Auth,
    pub(super) counters: Arc<Counters>,
    /// Uploads that a refused mount has opened, to be used by the push that follows.
    pub(super) sessions: Mutex<HashMap<(Repository, Digest), Url>>,
    retry: Retry,
    events: SharedEvents,
    insecure: bool,
    endpoint: Flight<Url>,
    downloads: Window,
    uploads: Window,
    requests: Window,
    /// Until when the registry wants to be left alone.
    hold: Mutex<Option<Instant>>,
    /// What kind of registry the user says it is.
    said: Option<Product>,
    /// What kind it looks like.
    found: Mutex<Option<Found>>,
    /// What its answers have taught.
    learned: Mutex<Learned>,
}

/// What a registry has taught about itself that its profile does not say.
#[derive(Debug, Default)]
pub(super) struct Learned {
    /// How blobs are sent now.
    pub(super) upload: Option<Upload>,
    /// How they were sent before, and are not again.
    pub(super) given_up: Vec<std::mem::Discriminant<Upload>>,
    /// That it has no mounts.
    pub(super) mounts_nothing: bool,
    /// That a mount needs to know where the blob is.
    pub(super) finds_nothing: bool,
    /// When the next manifest may be put, where their number is limited.
    pub(super) next_manifest: Option<Instant>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("registry", &self.registry).finish_non_exhaustive()
    }
}

/// Which window a request counts against.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pool {
    /// The body of a blob comes.
    Download,
    /// The body of a blob goes.
    Upload,
    /// Anything small.
    Request,
}

/// A request that can be made again.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    to: To<'a>,
    pub(super) scope: &'a Scope,
    /// What it is about, for messages.
    pub(super) subject: &'a str,
    headers: HeaderMap,
    body: Bytes,
    pool: Pool,
    /// Whether a 401 is taken as it is, without asking for another token.
    last_resort: bool,
}

enum To<'a> {
    /// Below `/v2/`.
    Path(String),
    /// Where the registry pointed.
    Url(&'a Url),
}

impl<'a> Call<'a> {
    /// Makes a call of a path below `/v2/`.
    pub(super) fn new(method: Method, path: impl Into<String>, scope: &'a Scope, subject: &'a str) -> Self {
        Self {
            method,
            to: To::Path(path.into()),
            scope,
            subject,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            pool: Pool::Request,
            last_resort: false,
        }
    }

    /// Makes a call of a URL that the registry gave.
    pub(super) fn of_url(method: Method, url: &'a Url, scope: &'a Scope, subject: &'a str) -> Self {
        Self { to: To::Url(url), ..Self::new(method, "", scope, subject) }
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(super) fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    pub(super) fn pool(mut self, pool: Pool) -> Self {
        self.pool = pool;
        self
    }

    /// Asks for no right that the request turns out to need and its scope does not have.
    pub(super) fn without_renewal(mut self) -> Self {
        self.last_resort = true;
        self
    }

    fn request(&self, url: &Url) -> Request {
        let mut request = Request::new(self.method.clone(), url.clone());
        *request.headers_mut() = self.headers.clone();
        if !matches!(self.method, Method::GET | Method::HEAD | Method::DELETE) {
            request.headers_mut().insert(CONTENT_LENGTH, self.body.len().into());
            *request.body_mut() = Some(self.body.clone().into());
        }
        request
    }
}

/// The head of an answer, whose body is still to be read.
pub(super) struct Answer {
    pub(super) response: Response,
    /// Whether it came from the registry itself and not from where that redirected.
    pub(super) ours: bool,
    pub(super) permit: Permit,
}

/// An answer with its small body.
#[derive(Debug)]
pub(super) struct Small {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) url: Url,
    pub(super) ours: bool,
}

impl Small {
    /// Returns what the registry said, where that is an error.
    pub(super) fn answer(&self) -> RegistryAnswer {
        RegistryAnswer::read(self.status, &self.body)
    }

    /// Makes an error of it.
    pub(super) fn error(&self, subject: &str) -> ContentError {
        Failure::of_answer(subject, self.answer(), &self.headers).error
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Transport {
    pub(super) fn new(registry: &Registry, settings: ClientSettings) -> Result<Self, ContentError> {
        let resolver = GuardedResolver { exempt: Some(registry.host().to_owned()) };
        let http = HttpClient::new(&settings.net, resolver).map_err(|e| of_net(registry.as_str(), &e))?;
        let counters = Arc::<Counters>::default();
        let insecure = !settings.net.tls_verify;
        let auth = Auth::new(
            registry.clone(),
            http.clone(),
            settings.credentials,
            settings.retry,
            settings.events.clone(),
            counters.clone(),
            insecure,
        );
        Ok(Self {
            registry: registry.clone(),
            http,
            auth,
            counters,
            sessions: Mutex::default(),
            retry: settings.retry,
            events: settings.events,
            insecure,
            endpoint: Flight::default(),
            downloads: Window::new(settings.max_requests),
            uploads: Window::new(settings.max_requests),
            requests: Window::new(settings.max_requests),
            hold: Mutex::new(None),
            said: settings.profile,
            found: Mutex::new(None),
            learned: Mutex::default(),
        })
    }

    /// Returns the profile; before the first answer, unless the user has said one, that of any registry.
    pub(super) fn found(&self) -> Found {
        let found = || *self.found.lock().unwrap_or_else(PoisonError::into_inner);
        self.said.map(Found::said).or_else(found).unwrap_or_else(Found::nothing)
    }

    /// Notes what kind of registry it is.
    pub(super) fn note_found(&self, found: Found) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
    }

    pub(super) fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the URL of `/v2/`, found out once.
    pub(super) async fn endpoint(&self) -> Result<Url, ContentError> {
        self.endpoint.get(|_| true, self.find_endpoint()).await
    }

    /// As [`Self::endpoint`], with one attempt instead of as many as the settings allow.
    pub(super) async fn endpoint_at_once(&self) -> Result<Url, ContentError> {
        self.endpoint
            .get(|_| true, async { self.try_endpoint().await.map_err(|failure| failure.error) })
            .await
    }

    async fn find_endpoint(&self) -> Result<Url, ContentError> {
        let subject = self.registry.as_str();
        let mut backoff = self.backoff(subject);
        loop {
            match self.try_endpoint().await {
                Ok(url) => return Ok(url),
                Err(failure) => self.again(&mut backoff, failure).await?,
            }
        }
    }

    /// Asks for `/v2/`: over HTTPS, and over plain HTTP where certificates do not count anyway.
    async fn try_endpoint(&self) -> Result<Url, Failure> {
        let subject = self.registry.as_str();
        let host = if subject == DOCKER_HUB { DOCKER_HUB_API } else { subject };
        let url = |scheme: &str| {
            Url::parse(&format!("{scheme}://{host}/v2/")).map_err(|_| {
                let text = "this is not a host that a URL can have".to_owned();
                ContentError::new(subject, ContentErrorKind::Invalid(text))
            })
        };
        let (secure, plain) = (url("https")?, url("http")?);
        let first = self.probe(&secure).await;
        let (url, response) = match first {
            Ok(response) => (secure, response),
            Err(error) if self.insecure && may_be_plain(error.kind()) => match self.probe(&plain).await {
                Ok(response) => (plain, response),
                Err(_) => return Err(of_net(subject, &error).into()),
            },
            Err(error) => return Err(of_net(subject, &error).into()),
        };
        let (status, headers) = (response.status(), response.headers().clone());
        if is_passing(status.as_u16()) {
            let body = self.error_body(response).await;
            return Err(Failure::of_answer(subject, RegistryAnswer::read(status, &body), &headers));
        }
        if status == StatusCode::UNAUTHORIZED {
            self.auth.learn(&challenges(&headers));
        }
        self.note_found(identify(&self.registry, &Signs { headers: &headers }));
        Ok(url)
    }

    async fn probe(&self, url: &Url) -> Result<Response, NetError> {
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        self.http.send(Request::new(Method::GET, url.clone())).await
    }

    /// Makes a call and reads its body, up to `cap` bytes of a success. Any status that will stay is returned.
    pub(super) async fn small(&self, call: &Call<'_>, cap: u64) -> Result<Small, ContentError> {
        let mut backoff = self.backoff(call.subject);
        loop {
            match self.try_small(call, cap).await {
                Ok(small) => return Ok(small),
                Err(failure) => self.again(&mut backoff, failure).await?,
            }
        }
    }

    /// Makes a call once and reads its body.
    pub(super) async fn try_small(&self, call: &Call<'_>, cap: u64) -> Result<Small, Failure> {
        let Answer { response, ours, permit } = self.exchange(call).await?;
        let (status, headers, url) = (response.status(), response.headers().clone(), response.url().clone());
        let body = if call.method == Method::HEAD {
            Bytes::new()
        } else if status.is_success() {
            read_capped(&self.http, response, cap).await.map_err(|e| of_net(call.subject, &e))?
        } else {
            // An error is an error, even if what it says cannot be read.
            self.error_body(response).await
        };
        drop(permit);
        self.counters.received.fetch_add(body.len() as u64, Ordering::Relaxed);
        let small = Small { status, headers, body, url, ours };
        if is_passing(status.as_u16()) {
            return Err(Failure::of_answer(call.subject, small.answer(), &small.headers));
        }
        Ok(small)
    }

    /// Makes a call for a body that is streamed. Anything but a success is an error.
    pub(super) async fn open(&self, call: &Call<'_>) -> Result<Answer, ContentError> {
        let mut backoff = self.backoff(call.subject);
        loop {
            match self.try_open(call).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => self.again(&mut backoff, failure).await?,
            }
        }
    }

    async fn try_open(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let answer = self.exchange(call).await?;
        let status = answer.response.status();
        if status.is_success() {
            return Ok(answer);
        }
        let headers = answer.response.headers().clone();
        let body = self.error_body(answer.response).await;
        Err(Failure::of_answer(call.subject, RegistryAnswer::read(status, &body), &headers))
    }

    /// Reads what the registry says of an error, without what it was shown: some repeat that.
    pub(super) async fn error_body(&self, response: Response) -> Bytes {
        let body = read_capped(&self.http, response, MAX_ERROR_BYTES).await.unwrap_or_default();
        self.auth.scrubbed(body)
    }

    /// Makes a call once: authenticates, once more if that is refused, and follows redirects.
    async fn exchange(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let base = self.endpoint().await.map_err(Failure::settled)?;
        let mut url = match &call.to {
            To::Url(url) => (*url).clone(),
            To::Path(path) => base.join(path).map_err(|_| {
                ContentError::new(call.subject, ContentErrorKind::Invalid("this makes no URL".to_owned()))
            })?,
        };
        // Once elsewhere, credentials are not taken out again, even if the way leads back: whoever redirects
        // must not choose what is asked with them.
        let mut ours = same_origin(&url, &base);
        let mut authorization = match ours {
            true => self.auth.authorization(call.scope, Need::Usable).await.map_err(Failure::settled)?,
            false => None,
        };
        let mut renewed = call.last_resort;
        let permit = self.permit(call.pool).await;
        for _ in 0..=MAX_HOPS {
            self.wait_while_held().await;
            let mut request = call.request(&url);
            if let Some(authorization) = &authorization {
                request.headers_mut().insert(AUTHORIZATION, authorization.value());
            }
            self.counters.requests.fetch_add(1, Ordering::Relaxed);
            self.counters.sent.fetch_add(call.body.len() as u64, Ordering::Relaxed);
            let outcome = match call.pool {
                Pool::Download => self.http.open(request).await,
                Pool::Request | Pool::Upload => self.http.send(request).await,
            };
            let response = outcome.map_err(|e| self.unanswered(&permit, call.subject, &e))?;
            self.heed(&permit, &response);
            if response.status() == StatusCode::UNAUTHORIZED && ours && !renewed {
                renewed = true;
                let offered = challenges(response.headers());
                let renewal = self.auth.renew(call.scope, authorization.as_ref(), &offered);
                let other = renewal.await.map_err(Failure::settled)?;
                if other.is_some() {
                    authorization = other;
                    continue;
                }
            }
            if !is_followed(response.status(), &call.method) {
                return Ok(Answer { response, ours, permit });
            }
            let next =
                next_hop(&url, response.headers(), self.insecure).map_err(|e| of_net(call.subject, &e))?;
            if !same_origin(&next, &url) {
                ours = false;
                authorization = None;
            }
            url = next;
        }
        let text = format!("the registry redirects more than {MAX_HOPS} times");
        Err(ContentError::new(call.subject, ContentErrorKind::Invalid(text)).into())
    }

    /// Waits for the right to make a request.
    pub(super) async fn permit(&self, pool: Pool) -> Permit {
        let window = match pool {
            Pool::Download => &self.downloads,
            Pool::Upload => &self.uploads,
            Pool::Request => &self.requests,
        };
        window.permit().await
    }

    /// Learns from an answer how much the registry can take, and whether it wants to be left alone.
    pub(super) fn heed(&self, permit: &Permit, response: &Response) {
        let (status, headers) = (response.status(), response.headers());
        let asked = retry_after(headers).filter(|_| !status.is_success());
        if asked.is_some() || matches!(status.as_u16(), 429 | 503) {
            permit.was_too_much();
        } else if !is_passing(status.as_u16()) {
            permit.went_well();
        }
        if let Some(pause) = asked.max(rate_limited(headers)) {
            self.hold_for(pause);
        }
    }

    /// Makes an error of a request that had no answer. A server that takes no more connections has too many.
    pub(super) fn unanswered(&self, permit: &Permit, subject: &str, error: &NetError) -> ContentError {
        if matches!(error.kind(), NetErrorKind::Unreachable(_) | NetErrorKind::Stalled(_)) {
            permit.was_too_much();
        }
        of_net(subject, error)
    }

    /// Answers whether the registry may be spoken to, or be redirected to, without TLS.
    pub(super) fn is_insecure(&self) -> bool {
        self.insecure
    }

    pub(super) fn backoff<'a>(&'a self, subject: &'a str) -> Backoff<'a> {
        Backoff::new(&self.retry, &*self.events, subject)
    }

    /// Pauses after a failure that may pass, or returns the error.
    pub(super) async fn again(
        &self,
        backoff: &mut Backoff<'_>,
        failure: Failure,
    ) -> Result<(), ContentError> {
        let Failure { error, retry_after, settled } = failure;
        if settled || !error.is_temporary() {
            return Err(error.exhausted());
        }
        let Some(pause) = backoff.next(&error.kind().to_string(), retry_after) else {
            return Err(error.exhausted());
        };
        self.counters.retries.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Makes all requests wait: the registry has asked one of them to.
    fn hold_for(&self, pause: Duration) {
        let until = Instant::now() + pause.min(self.retry.cap);
        let mut hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        *hold = Some(hold.map_or(until, |h| h.max(until)));
    }

    pub(super) async fn wait_while_held(&self) {
        let until = *self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = until {
            tokio::time::sleep_until(until).await;
        }
    }
}

/// Answers whether a redirect is followed: reads are, and other requests where the method stays the same.
fn is_followed(status: StatusCode, method: &Method) -> bool {
    match status.as_u16() {
        301..=303 => matches!(*method, Method::GET | Method::HEAD),
        307 | 308 => true,
        _ => false,
    }
}

/// Makes an error about a URL that the registry has named for an upload.
pub(super) fn bad_location(subject: &str, url: &Url, reason: &str) -> ContentError {
    let text = format!("the registry sends the upload to `{}`, {reason}", shown(url));
    ContentError::new(subject, ContentErrorKind::Invalid(text))
}
