//! Authentication: [`Auth`] returns the `Authorization` for a [`Scope`], from credentials or from a token server.
//!
//! Tokens are cached by scope, fetched once for all who need them, and renewed before they expire or when they are
//! refused. The address of the token server comes from the registry and is not trusted: see [`check_realm`].

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use memchr::memmem;
use oc_mirror_model::redact::REDACTED;
use oc_mirror_model::reference::{Registry, Repository};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::Serializer;

use super::answer::{Failure, RegistryAnswer, is_passing, of_net};
use super::challenge::Challenge;
use super::client::Counters;
use super::credentials::{Credential, CredentialStore};
use super::flight::Flight;
use crate::content::{ContentError, ContentErrorKind};
use crate::net::address::{literal, private};
use crate::net::redirect::{MAX_HOPS, MAX_URL_BYTES, next_hop, same_origin};
use crate::net::{Backoff, HttpClient, NetErrorKind, Retry, Secret, read_capped, secret_basic, shown};
use crate::report::SharedEvents;

/// The longest answer of a token server that is read.
const MAX_TOKEN_BYTES: u64 = 1 << 20;
/// How long a token lives if nothing is said, and at least, since some servers count too short.
const LIFE: Duration = Duration::from_secs(60);
/// How much of what was shown is looked for in what is answered.
const REMEMBERED: usize = 64;
/// What is shorter may be part of any text.
const SHORTEST: usize = 6;
/// A life beyond this makes no difference, and cannot overflow a clock.
const LONGEST_LIFE: u64 = 24 * 3600;

/// What a request may do, in the terms of the token specification.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    /// Whose credentials to use.
    repository: Option<Repository>,
    /// `repository:<name>:<actions>`, the most important first: some servers look at no other.
    grants: Vec<String>,
}

impl Scope {
    fn one(repository: &Repository, actions: &str) -> Self {
        Self {
            repository: Some(repository.clone()),
            grants: vec![format!("repository:{repository}:{actions}")],
        }
    }

    /// To ask the registry itself.
    pub(super) fn registry() -> Self {
        Self { repository: None, grants: Vec::new() }
    }

    /// To read.
    pub(super) fn pull(repository: &Repository) -> Self {
        Self::one(repository, "pull")
    }

    /// To read and write.
    pub(super) fn push(repository: &Repository) -> Self {
        Self::one(repository, "pull,push")
    }

    /// To delete. `*`, because there are servers which know no other action that includes it.
    pub(super) fn delete(repository: &Repository) -> Self {
        Self::one(repository, "*")
    }

    /// To mount: write here, read there.
    pub(super) fn mount(repository: &Repository, from: &Repository) -> Self {
        let mut scope = Self::push(repository);
        scope.grants.push(format!("repository:{from}:pull"));
        scope
    }
}

/// A value of `Authorization`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Authorization(HeaderValue);

impl Authorization {
    fn new(subject: &str, text: &Secret) -> Result<Self, ContentError> {
        let mut value = HeaderValue::from_str(text.expose()).map_err(|_| {
            let what = "the credential or token has characters that no header can carry";
            ContentError::new(subject, ContentErrorKind::Invalid(what.to_owned()))
        })?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    pub(super) fn value(&self) -> HeaderValue {
        self.0.clone()
    }
}

#[derive(Clone)]
struct Token {
    authorization: Authorization,
    got: Instant,
    life: Duration,
}

impl Token {
    /// Answers whether the token is good for a request that is about to be made.
    fn is_usable(&self) -> bool {
        self.got.elapsed() < self.life.mul_f64(0.9)
    }

    /// Answers whether it is good for a request whose body takes its time and cannot be sent twice.
    fn is_fresh(&self) -> bool {
        self.got.elapsed() < self.life / 2
    }
}

/// How the registry wants it.
#[derive(Clone)]
enum Mode {
    Open,
    Basic,
    Bearer(Challenge),
}

/// How long a token must still be good.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// For one short request.
    Usable,
    /// For a long one.
    Fresh,
}

/// Authenticates to one registry.
pub(super) struct Auth {
    pub(super) registry: Registry,
    pub(super) http: HttpClient,
    pub(super) credentials: Arc<CredentialStore>,
    pub(super) retry: Retry,
    pub(super) events: SharedEvents,
    pub(super) counters: Arc<Counters>,
    /// Whether the registry itself may speak plain HTTP; then so may its token server.
    pub(super) insecure: bool,
    state: Mutex<State>,
    /// What was shown to the registry and to its token server, the newest last.
    shown: Mutex<Vec<Secret>>,
}

struct State {
    mode: Mode,
    tokens: HashMap<Scope, Arc<Flight<Token>>>,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("registry", &self.registry).finish_non_exhaustive()
    }
}

impl Auth {
    pub(super) fn new(
        registry: Registry,
        http: HttpClient,
        credentials: Arc<CredentialStore>,
        retry: Retry,
        events: SharedEvents,
        counters: Arc<Counters>,
        insecure: bool,
    ) -> Self {
        let state = Mutex::new(State { mode: Mode::Open, tokens: HashMap::new() });
        Self {
            registry,
            http,
            credentials,
            retry,
            events,
            counters,
            insecure,
            state,
            shown: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns how the registry wants it, from the challenges of a 401. One without any teaches nothing.
    pub(super) fn learn(&self, offered: &[Challenge]) {
        let bearer = offered.iter().find(|c| c.scheme == "bearer" && c.param("realm").is_some());
        let mode = match bearer {
            Some(challenge) => Mode::Bearer(challenge.clone()),
            None if offered.iter().any(|c| c.scheme == "basic") => Mode::Basic,
            None => return,
        };
        self.state().mode = mode;
    }

    /// Returns what to send along; nothing if the registry is open or there are no credentials.
    pub(super) async fn authorization(
        &self,
        scope: &Scope,
        need: Need,
    ) -> Result<Option<Authorization>, ContentError> {
        let mode = self.state().mode.clone();
        match mode {
            Mode::Open => Ok(None),
            Mode::Basic => self.basic(scope).await,
            Mode::Bearer(challenge) => {
                let good = |t: &Token| match need {
                    Need::Usable => t.is_usable(),
                    Need::Fresh => t.is_fresh(),
                };
                let token = self.flight(scope).get(good, self.fetch(scope, &challenge, None)).await?;
                Ok(Some(token.authorization))
            }
        }
    }

    /// After a 401: returns something else to send along, or nothing if there is nothing else.
    pub(super) async fn renew(
        &self,
        scope: &Scope,
        refused: Option<&Authorization>,
        offered: &[Challenge],
    ) -> Result<Option<Authorization>, ContentError> {
        self.learn(offered);
        let mode = self.state().mode.clone();
        match mode {
            Mode::Open => Ok(None),
            Mode::Basic => Ok(self.basic(scope).await?.filter(|a| Some(a) != refused)),
            Mode::Bearer(challenge) => {
                let wanted = offered.iter().find_map(|c| c.param("scope"));
                // Somebody else may have renewed it meanwhile: then that one is tried first.
                let good = |t: &Token| Some(&t.authorization) != refused && t.is_usable();
                let fetch = self.fetch(scope, &challenge, wanted);
                Ok(Some(self.flight(scope).get(good, fetch).await?.authorization))
            }
        }
    }

    /// Notes what is about to be shown.
    fn remember(&self, secrets: &[&Secret]) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for secret in secrets.iter().filter(|secret| secret.expose().len() >= SHORTEST) {
            if !shown.contains(secret) {
                shown.push((*secret).clone());
            }
        }
        let surplus = shown.len().saturating_sub(REMEMBERED);
        shown.drain(..surplus);
    }

    /// Takes what was shown out of what was answered, since some servers repeat it, and errors go into logs.
    pub(super) fn scrubbed(&self, body: Bytes) -> Bytes {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let mut body = body;
        for secret in shown.iter().map(|secret| secret.expose().as_bytes()) {
            if memmem::find(&body, secret).is_none() {
                continue;
            }
            let mut rest: &[u8] = &body;
            let mut clean = Vec::with_capacity(body.len());
            while let Some(at) = memmem::find(rest, secret) {
                clean.extend_from_slice(&rest[..at]);
                clean.extend_from_slice(REDACTED.as_bytes());
                rest = &rest[at + secret.len()..];
            }
            clean.extend_from_slice(rest);
            body = clean.into();
        }
        body
    }

    /// Makes what to send along of a name and a password.
    fn of_password(
        &self,
        subject: &str,
        user: &str,
        password: &Secret,
    ) -> Result<Authorization, ContentError> {
        let basic = secret_basic(user, password);
        // Servers see the second of these, and some tell the first, which they have decoded.
        let encoded = Secret::new(basic.expose().trim_start_matches("Basic "));
        self.remember(&[password, &encoded]);
        Authorization::new(subject, &basic)
    }

    fn flight(&self, scope: &Scope) -> Arc<Flight<Token>> {
        self.state().tokens.entry(scope.clone()).or_default().clone()
    }

    async fn credential(&self, scope: &Scope) -> Result<Option<Credential>, ContentError> {
        self.credentials.lookup(&self.registry, scope.repository.as_ref()).await.map_err(|e| {
            let what = "the credentials cannot be read".to_owned();
            ContentError::with_source(self.registry.as_str(), ContentErrorKind::Invalid(what), e)
        })
    }

    async fn basic(&self, scope: &Scope) -> Result<Option<Authorization>, ContentError> {
        match self.credential(scope).await? {
            Some(Credential::Basic { user, password }) => {
                self.of_password(self.registry.as_str(), &user, &password).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Fetches a token, with as many attempts as other requests have.
    async fn fetch(
        &self,
        scope: &Scope,
        challenge: &Challenge,
        wanted: Option<&str>,
    ) -> Result<Token, ContentError> {
        let realm = challenge.param("realm").unwrap_or_default();
        let realm = check_realm(realm, &self.registry, self.insecure).map_err(|reason| {
            let text = format!("the registry names a token server that is not asked: {reason}");
            ContentError::new(self.registry.as_str(), ContentErrorKind::Invalid(text))
        })?;
        let grants = grants(scope, wanted);
        let credential = self.credential(scope).await?;
        let order = Order { realm: &realm, service: challenge.param("service"), grants: &grants };
        let subject = shown(&realm);
        let mut backoff = Backoff::new(&self.retry, &*self.events, &subject);
        loop {
            let failure = match self.fetch_once(&order, credential.as_ref()).await {
                Ok(token) => return Ok(token),
                Err(failure) => failure,
            };
            let pause = failure
                .error
                .is_temporary()
                .then(|| backoff.next(&failure.error.kind().to_string(), failure.retry_after))
                .flatten();
            match pause {
                Some(pause) => {
                    self.counters.retries.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(pause).await;
                }
                None => return Err(failure.error),
            }
        }
    }

    async fn fetch_once(&self, order: &Order<'_>, credential: Option<&Credential>) -> Result<Token, Failure> {
        if let Some(Credential::Identity { token, .. }) = credential {
            self.remember(&[token]);
            let (status, body) = self.exchange(order.post(token), None).await?;
            // Not every server has the OAuth 2 form; those are asked the old way.
            if !matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
                return Ok(self.token(order, status, &body)?);
            }
        }
        let basic = match credential {
            Some(Credential::Basic { user, password }) => Some((user.as_str(), password)),
            Some(Credential::Identity { user, token }) => {
                Some((if user.is_empty() { "<token>" } else { user }, token))
            }
            None => None,
        };
        let of_password = |(user, password)| self.of_password(&shown(order.realm), user, password);
        let authorization = basic.map(of_password).transpose()?;
        let (status, body) = self.exchange(order.get(), authorization).await?;
        Ok(self.token(order, status, &body)?)
    }

    /// Makes a request to the token server and follows its redirects under the same rules.
    async fn exchange(
        &self,
        mut request: Request,
        mut authorization: Option<Authorization>,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let subject = shown(request.url());
        for _ in 0..=MAX_HOPS {
            let url = request.url().clone();
            if let Some(authorization) = &authorization {
                request.headers_mut().insert(AUTHORIZATION, authorization.value());
            }
            let is_get = request.method() == Method::GET;
            self.counters.tokens.fetch_add(1, Ordering::Relaxed);
            let response = self.http.send(request).await.map_err(|e| of_net(&subject, &e))?;
            let status = response.status();
            if is_passing(status.as_u16()) {
                let headers = response.headers().clone();
                let body = read_capped(&self.http, response, MAX_TOKEN_BYTES).await.unwrap_or_default();
                let body = self.scrubbed(body);
                return Err(Failure::of_answer(&subject, RegistryAnswer::read(status, &body), &headers));
            }
            if is_get && status.is_redirection() {
                let next =
                    next_hop(&url, response.headers(), self.insecure).map_err(|e| of_net(&subject, &e))?;
                check_realm(next.as_str(), &self.registry, self.insecure)
                    .map_err(|reason| ContentError::new(&subject, ContentErrorKind::Invalid(reason)))?;
                if !same_origin(&next, &url) {
                    authorization = None;
                }
                request = Request::new(Method::GET, next);
                continue;
            }
            let body =
                read_capped(&self.http, response, MAX_TOKEN_BYTES).await.map_err(|e| of_net(&subject, &e))?;
            return Ok((status, body));
        }
        let text = "the token server redirects more than 10 times".to_owned();
        Err(ContentError::new(subject, ContentErrorKind::Invalid(text)).into())
    }

    fn token(&self, order: &Order<'_>, status: StatusCode, body: &[u8]) -> Result<Token, ContentError> {
        let subject = shown(order.realm);
        if !status.is_success() {
            let answer = RegistryAnswer::read(status, &self.scrubbed(Bytes::copy_from_slice(body)));
            let kind = match status.as_u16() {
                // A token server says 400 for credentials it does not take, too (RFC 6749 §5.2).
                400 | 401 => ContentErrorKind::Unauthorized,
                403 => ContentErrorKind::Denied,
                _ => ContentErrorKind::Invalid(format!("the token server answered {status}")),
            };
            return Err(ContentError::with_source(subject, kind, answer));
        }
        let invalid = |what: &str| ContentError::new(&subject, ContentErrorKind::Invalid(what.to_owned()));
        // The text of the parser's error may quote the answer, which holds a secret.
        let wire: TokenAnswer = serde_json::from_slice(body)
            .map_err(|_| invalid("the answer of the token server cannot be parsed"))?;
        let text = [wire.token, wire.access_token].into_iter().flatten().find(|text| !text.is_empty());
        let text = text.ok_or_else(|| invalid("the token server answered without a token"))?;
        let seconds = wire.expires_in.map_or(0, |s| if s.is_finite() { s.max(0.0) as u64 } else { 0 });
        self.remember(&[&text]);
        Ok(Token {
            authorization: Authorization::new(&subject, &Secret::joined(&["Bearer ", text.expose()]))?,
            // Counted from receipt: the server's clock need not agree with ours.
            got: Instant::now(),
            life: Duration::from_secs(seconds.min(LONGEST_LIFE)).max(LIFE),
        })
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: Option<Secret>,
    #[serde(default)]
    access_token: Option<Secret>,
    #[serde(default)]
    expires_in: Option<f64>,
}

/// What is asked of a token server.
struct Order<'a> {
    realm: &'a Url,
    service: Option<&'a str>,
    grants: &'a [String],
}

impl Order<'_> {
    fn get(&self) -> Request {
        let mut url = self.realm.clone();
        // Pairs are only added if there are any: an empty query would still leave a `?`.
        if let Some(service) = self.service {
            url.query_pairs_mut().append_pair("service", service);
        }
        for grant in self.grants {
            url.query_pairs_mut().append_pair("scope", grant);
        }
        Request::new(Method::GET, url)
    }

    fn post(&self, token: &Secret) -> Request {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token")
            .append_pair("refresh_token", token.expose())
            .append_pair("client_id", "oc-mirror");
        if let Some(service) = self.service {
            form.append_pair("service", service);
        }
        if !self.grants.is_empty() {
            form.append_pair("scope", &self.grants.join(" "));
        }
        let mut request = Request::new(Method::POST, self.realm.clone());
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, kind);
        *request.body_mut() = Some(form.finish().into());
        request
    }
}

/// Returns what to ask for: what the registry has just demanded first, as some servers look at nothing else.
fn grants(scope: &Scope, wanted: Option<&str>) -> Vec<String> {
    let mut grants: Vec<String> =
        wanted.unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect();
    for grant in &scope.grants {
        if !grants.contains(grant) {
            grants.push(grant.clone());
        }
    }
    grants
}

/// Checks the address of a token server, which a hostile registry can choose freely and to which credentials go.
///
/// HTTPS, unless the registry is one that may speak HTTP; no address of the machine itself or the local link; an address in a
/// private range only if it is the registry's own, or the registry is given by a private address itself.
fn check_realm(realm: &str, registry: &Registry, insecure: bool) -> Result<Url, String> {
    if realm.len() > MAX_URL_BYTES {
        return Err("its address is longer than any URL has to be".to_owned());
    }
    let mut url = Url::parse(realm).map_err(|_| "its address is not a URL".to_owned())?;
    match url.scheme() {
        "https" => {}
        "http" if insecure => {}
        _ => return Err(format!("`{}` is not HTTPS", shown(&url))),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("its address holds credentials".to_owned());
    }
    url.set_fragment(None);
    let own = registry.host().trim_matches(['[', ']']);
    let same = url.host_str().map(|h| h.trim_matches(['[', ']'])) == Some(own);
    if let Some(address) = literal(&url).filter(|_| !same) {
        crate::net::address::check_literal(&url).map_err(|e| e.to_string())?;
        let at_home = own == "localhost" || own.parse().is_ok_and(private);
        if private(address) && !at_home {
            return Err(format!("`{}` is in a private network and is not the registry", shown(&url)));
        }
    }
    Ok(url)
}

/// Answers whether a network error says that the far end does not speak TLS, or does not listen.
pub(super) fn may_be_plain(kind: &NetErrorKind) -> bool {
    !matches!(kind, NetErrorKind::Forbidden(_) | NetErrorKind::Request(_) | NetErrorKind::Settings(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn a_realm_has_a_longest() {
        let of = |len: usize| {
            let realm = format!("https://a/{}", "x".repeat(len - "https://a/".len()));
            check_realm(&realm, &"r.example".parse().unwrap(), false)
        };
        of(MAX_URL_BYTES).expect("as long as allowed");
        assert_eq!(of(MAX_URL_BYTES + 1).unwrap_err(), "its address is longer than any URL has to be");
    }

    #[rstest]
    #[case("https://auth.example/token", "r.example", false, true)]
    #[case("http://auth.example/token", "r.example", false, false)]
    #[case("http://auth.example/token", "r.example", true, true)]
    #[case("http://169.254.169.254/latest", "r.example", true, false)]
    #[case("https://[::ffff:169.254.169.254]/", "127.0.0.1:5000", true, false)]
    #[case("https://169.254.169.254/", "127.0.0.1:5000", true, false)]
    #[case("https://10.0.0.5/token", "r.example", false, false)]
    #[case("https://10.0.0.5:8443/token", "10.0.0.5:5000", false, true)]
    #[case("https://10.0.0.6/token", "10.0.0.5:5000", false, true)]
    #[case("https://[::1]:8443/token", "[::1]:5000", false, true)]
    #[case("https://127.0.0.1/token", "r.example", false, false)]
    #[case("https://8.8.8.8/token", "r.example", false, true)]
    #[case("https://u:p@auth.example/token", "r.example", false, false)]
    #[case("file:///etc/passwd", "r.example", true, false)]
    #[case("token", "r.example", true, false)]
    fn realms(#[case] realm: &str, #[case] registry: &str, #[case] insecure: bool, #[case] good: bool) {
        let result = check_realm(realm, &registry.parse().unwrap(), insecure);
        assert_eq!(result.is_ok(), good, "{result:?}");
    }

    #[test]
    fn demanded_grants_come_first_and_once() {
        let scope = Scope::mount(&"b".parse().unwrap(), &"a".parse().unwrap());
        assert_eq!(grants(&scope, None), ["repository:b:pull,push", "repository:a:pull"]);
        let wanted = Some("repository:a:pull registry:catalog:*");
        assert_eq!(
            grants(&scope, wanted),
            ["repository:a:pull", "registry:catalog:*", "repository:b:pull,push"]
        );
    }

    #[test]
    fn orders() {
        let realm = Url::parse("https://a/t?account=x").unwrap();
        let grants = ["repository:a/b:pull".to_owned(), "repository:c:pull".to_owned()];
        let order = Order { realm: &realm, service: Some("my reg"), grants: &grants };
        assert_eq!(
            order.get().url().as_str(),
            "https://a/t?account=x&service=my+reg&scope=repository%3Aa%2Fb%3Apull&scope=repository%3Ac%3Apull"
        );
        let post = order.post(&Secret::new("r&t"));
        let body = post.body().and_then(|b| b.as_bytes()).unwrap();
        assert_eq!(
            std::str::from_utf8(body).unwrap(),
            "grant_type=refresh_token&refresh_token=r%26t&client_id=oc-mirror&service=my+reg&\
             scope=repository%3Aa%2Fb%3Apull+repository%3Ac%3Apull"
        );
    }
}
