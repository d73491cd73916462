//! [`GuardedFetch`] makes HTTP requests for plugins.
//!
//! A plugin is not trusted: the allow-list is asked for every hop, link-local and metadata addresses are never dialled whatever a
//! name resolves to, credentials are attached here by name and go to one origin only, and the body has a limit.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use reqwest::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName,
    HeaderValue, PROXY_AUTHORIZATION, RETRY_AFTER, TE, TRANSFER_ENCODING, UPGRADE,
};
use reqwest::{Method, Request, Response, StatusCode};
use time::OffsetDateTime;
use url::Url;

use crate::content::{BlobStream, ContentError, ContentErrorKind};
use crate::net::address::{GuardedResolver, check_literal};
use crate::net::redirect::{MAX_HOPS, next_hop, same_origin};
use crate::net::{
    Backoff, Body, HttpClient, NetError, NetErrorKind, NetSettings, Retry, Secret, parse_retry_after,
    secret_basic, shown,
};
use crate::report::SharedEvents;
use crate::source::{HttpError, HttpFetch, HttpRequest, HttpResponse};

/// What a plugin may not set: they carry credentials or belong to the connection.
const NOT_THEIRS: [HeaderName; 9] = [
    AUTHORIZATION,
    PROXY_AUTHORIZATION,
    COOKIE,
    HOST,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    CONNECTION,
    TE,
    UPGRADE,
];
/// What a plugin does not get to see.
const NOT_SHOWN: [&str; 6] = [
    "set-cookie",
    "set-cookie2",
    "www-authenticate",
    "proxy-authenticate",
    "authentication-info",
    "proxy-authentication-info",
];

/// A credential that plugins can name and never see, for one origin: scheme, host and port.
#[derive(Clone, Debug)]
pub struct FetchCredential {
    /// The value of `Authorization`.
    value: Secret,
    /// Some URL of the origin.
    origin: Url,
}

impl FetchCredential {
    /// Makes one of a token, for whatever has the origin of a URL. Nothing, if that is no URL.
    pub fn bearer(token: &Secret, origin: &str) -> Option<Self> {
        Self::new(Secret::joined(&["Bearer ", token.expose()]), origin)
    }

    /// Makes one of a name and a password, for whatever has the origin of a URL. Nothing, if that is no URL.
    pub fn basic(user: &str, password: &Secret, origin: &str) -> Option<Self> {
        Self::new(secret_basic(user, password), origin)
    }

    fn new(value: Secret, origin: &str) -> Option<Self> {
        let origin = Url::parse(origin).ok().filter(|url| url.host().is_some())?;
        Some(Self { value, origin })
    }
}

/// Makes requests for plugins, within the rules.
pub struct GuardedFetch {
    http: HttpClient,
    tls_verify: bool,
    credentials: BTreeMap<String, FetchCredential>,
    retry: Retry,
    events: SharedEvents,
}

impl fmt::Debug for GuardedFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedFetch").field("credentials", &self.credentials.keys()).finish_non_exhaustive()
    }
}

impl GuardedFetch {
    /// Builds the client that plugins share.
    pub fn new(
        settings: &NetSettings,
        credentials: BTreeMap<String, FetchCredential>,
        retry: Retry,
        events: SharedEvents,
    ) -> Result<Self, NetError> {
        let http = HttpClient::new(settings, GuardedResolver::default())?;
        Ok(Self { http, tls_verify: settings.tls_verify, credentials, retry, events })
    }

    async fn follow(&self, plan: &Plan, request: &HttpRequest) -> Result<Response, HttpError> {
        let mut url = plan.url.clone();
        let mut method = plan.method.clone();
        let mut body = request.body.clone();
        let mut authorization = plan.authorization.clone();
        for _ in 0..=MAX_HOPS {
            if !(request.allow)(url.as_str()) {
                return Err(denied(&url, "no grant of the plugin covers it"));
            }
            check_literal(&url).map_err(|e| denied(&url, &e.to_string()))?;
            let mut hop = Request::new(method.clone(), url.clone());
            *hop.headers_mut() = plan.headers.clone();
            if let Some(value) = &authorization {
                hop.headers_mut().insert(AUTHORIZATION, value.clone());
            }
            *hop.body_mut() = body.clone().map(Into::into);
            let response = self.http.send(hop).await.map_err(|e| of_net(&url, &e))?;
            let Some(change) = redirected(response.status(), &method) else {
                return Ok(response);
            };
            let next = next_hop(&url, response.headers(), !self.tls_verify).map_err(|e| of_net(&url, &e))?;
            if !same_origin(&next, &url) {
                // Never given back, even if a later hop returns: who redirected must not choose what is asked with it.
                authorization = None;
            }
            if change == Change::ToGet {
                method = Method::GET;
                body = None;
            }
            url = next;
        }
        Err(denied(&url, "there are more than 10 redirects"))
    }
}

/// A request that has passed the checks.
struct Plan {
    method: Method,
    url: Url,
    headers: HeaderMap,
    authorization: Option<HeaderValue>,
}

impl GuardedFetch {
    fn plan(&self, request: &HttpRequest) -> Result<Plan, HttpError> {
        let method = match request.method.as_str() {
            "GET" => Method::GET,
            "HEAD" => Method::HEAD,
            "POST" => Method::POST,
            other => {
                return Err(HttpError::Invalid(format!("the method `{}` is not offered", clean(other))));
            }
        };
        let url = Url::parse(&request.url)
            .ok()
            .filter(|u| matches!(u.scheme(), "http" | "https") && u.host().is_some())
            .ok_or_else(|| HttpError::Invalid("the address is not an HTTP URL".to_owned()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(denied(&url, "an address holds no credentials; name one instead"));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            let bad = || HttpError::Invalid(format!("the header `{}` is not valid", clean(name)));
            let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            let value = HeaderValue::from_str(value).map_err(|_| bad())?;
            if NOT_THEIRS.contains(&key) {
                return Err(denied(&url, &format!("the header `{key}` is set by the host alone")));
            }
            headers.append(key, value);
        }
        if request.body.is_some() && !headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        }
        let authorization =
            request.credential.as_deref().map(|name| self.authorization(name, &url)).transpose()?;
        Ok(Plan { method, url, headers, authorization })
    }

    fn authorization(&self, name: &str, url: &Url) -> Result<HeaderValue, HttpError> {
        let invalid = |what: &str| HttpError::Invalid(format!("the credential `{}` {what}", clean(name)));
        let credential = self.credentials.get(name).ok_or_else(|| invalid("is not held"))?;
        if !same_origin(url, &credential.origin) {
            return Err(denied(url, &format!("the credential `{}` is for another host", clean(name))));
        }
        let mut value = HeaderValue::from_str(credential.value.expose())
            .map_err(|_| invalid("has characters that no header can carry"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

#[async_trait]
impl HttpFetch for GuardedFetch {
    async fn fetch(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let plan = self.plan(&request)?;
        let subject = shown(&plan.url);
        let mut backoff = Backoff::new(&self.retry, &*self.events, &subject);
        // A POST may have had its effect when the connection breaks, so it is never repeated.
        let repeatable = plan.method != Method::POST;
        loop {
            let (reason, asked, outcome) = match self.follow(&plan, &request).await {
                Ok(response) if is_passing(response.status()) => {
                    (response.status().to_string(), retry_after(response.headers()), Ok(response))
                }
                Ok(response) => return self.answer(response, &request),
                Err(HttpError::Unavailable(reason)) => {
                    (reason.clone(), None, Err(HttpError::Unavailable(reason)))
                }
                Err(error) => return Err(error),
            };
            match if repeatable { backoff.next(&reason, asked) } else { None } {
                Some(pause) => tokio::time::sleep(pause).await,
                // The last answer is an answer: the plugin may know what to make of it.
                None => return outcome.and_then(|response| self.answer(response, &request)),
            }
        }
    }

    fn has_credential(&self, name: &str) -> bool {
        self.credentials.contains_key(name)
    }
}

impl GuardedFetch {
    fn answer(&self, response: Response, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        let limit = request.max_bytes;
        let final_url = shown(response.url());
        if let Some(length) = response.content_length().filter(|n| *n > limit) {
            return Err(HttpError::Invalid(format!(
                "the answer of `{final_url}` has {length} bytes, more than the {limit} that are allowed"
            )));
        }
        let headers = response
            .headers()
            .iter()
            .filter(|(name, _)| !NOT_SHOWN.contains(&name.as_str()))
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
            .collect();
        let status = response.status().as_u16();
        let body = limited(self.http.body(response), limit, final_url.clone());
        Ok(HttpResponse { status, headers, final_url, body })
    }
}

fn limited(body: Body, limit: u64, url: String) -> BlobStream {
    let mut seen = 0_u64;
    let mut over = false;
    Box::pin(
        body.map(move |piece| {
            let piece = piece.map_err(|e| {
                ContentError::new(e.url(), ContentErrorKind::Unavailable(e.kind().to_string()))
            })?;
            seen = seen.saturating_add(piece.len() as u64);
            if seen > limit {
                let text = format!("the answer has more than the {limit} bytes that are allowed");
                return Err(ContentError::new(url.clone(), ContentErrorKind::Invalid(text)));
            }
            Ok(piece)
        })
        .take_while(move |piece| {
            // One error, and nothing after it.
            let go_on = !over;
            over |= piece.is_err();
            std::future::ready(go_on)
        }),
    )
}

#[derive(PartialEq, Eq)]
enum Change {
    Nothing,
    ToGet,
}

fn redirected(status: StatusCode, method: &Method) -> Option<Change> {
    match status.as_u16() {
        301..=303 if *method == Method::POST => Some(Change::ToGet),
        301 | 302 | 303 | 307 | 308 => Some(Change::Nothing),
        _ => None,
    }
}

fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    parse_retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?, OffsetDateTime::now_utc())
}

fn denied(url: &Url, reason: &str) -> HttpError {
    HttpError::Denied { url: shown(url), reason: reason.to_owned() }
}

fn of_net(url: &Url, error: &NetError) -> HttpError {
    match error.kind() {
        NetErrorKind::Forbidden(reason) | NetErrorKind::Redirect(reason) => denied(url, reason),
        NetErrorKind::Request(_) => HttpError::Invalid(error.to_string()),
        _ => HttpError::Unavailable(error.to_string()),
    }
}

/// Makes a text of a plugin safe to repeat.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::testing::read;
    use crate::net::Delay;
    use crate::report::Silence;
    use crate::source::testing::get;
    use oc_mirror_testkit::{Action, FaultRegistry, Rule};
    use rstest::rstest;
    use std::sync::{Arc, Mutex};

    fn fetcher() -> GuardedFetch {
        fetcher_for("http://127.0.0.1/")
    }

    /// Its credential `api` is for the origin of this URL.
    fn fetcher_for(origin: &str) -> GuardedFetch {
        let secret = FetchCredential::bearer(&Secret::new("hunter2"), origin).unwrap();
        let retry = Retry {
            attempts: 2,
            delay: Delay::Constant(Duration::from_millis(5)),
            jitter: false,
            cap: Duration::from_millis(50),
        };
        let credentials = BTreeMap::from([("api".to_owned(), secret)]);
        GuardedFetch::new(&NetSettings::default(), credentials, retry, Arc::new(Silence)).unwrap()
    }

    fn serving(action: Action) -> (FaultRegistry, String) {
        let server = FaultRegistry::alone();
        server.rule(Rule::on("*", "^/x").then(action));
        let url = format!("{}/x?key=secret", server.url());
        (server, url)
    }

    #[tokio::test]
    async fn answers_are_passed_on_without_what_is_not_theirs() {
        let headers = ["Set-Cookie", "WWW-Authenticate", "X-Good"].map(|h| (h.to_owned(), "v".to_owned()));
        let (server, url) = serving(Action::Answer(200, headers.to_vec(), b"hello".to_vec()));
        let answer = fetcher().fetch(get(&url)).await.unwrap();
        assert_eq!((answer.status, answer.final_url), (200, format!("{}/x", server.url())));
        let names: Vec<&str> = answer.headers.iter().map(|(n, _)| n.as_str()).collect();
        assert!(names.contains(&"x-good") && !names.iter().any(|n| NOT_SHOWN.contains(n)), "{names:?}");
        assert_eq!(read(answer.body).await.unwrap(), b"hello");
    }

    #[tokio::test]
    async fn every_hop_is_asked_about_and_credentials_stay() {
        let (other, _) = serving(Action::body("text/plain", "there"));
        let (server, url) = serving(Action::Redirect(other.url()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let allow = move |url: &str| {
            log.lock().unwrap().push(url.to_owned());
            true
        };
        let named = HttpRequest { credential: Some("api".into()), allow: Arc::new(allow), ..get(&url) };
        assert_eq!(read(fetcher_for(&url).fetch(named).await.unwrap().body).await.unwrap(), b"there");
        assert_eq!(asked.lock().unwrap().len(), 2);
        assert_eq!(server.requests()[0].header("authorization"), Some("Bearer hunter2"));
        assert_eq!(other.requests()[0].header("authorization"), None);

        // Whoever asks for it elsewhere is told so, and nothing is sent.
        let named = HttpRequest { credential: Some("api".into()), ..get(&other.url()) };
        let error = fetcher_for(&url).fetch(named).await.err().unwrap().to_string();
        assert!(error.contains("`api` is for another host"), "{error}");
        assert_eq!(other.requests().len(), 1);

        let first = server.host();
        let only_first = HttpRequest { allow: Arc::new(move |u| u.contains(&first)), ..get(&url) };
        let error = fetcher().fetch(only_first).await.err().unwrap();
        assert!(matches!(error, HttpError::Denied { .. }), "{error}");
        assert_eq!(other.requests().len(), 1);
    }

    #[rstest]
    #[case("http://169.254.169.254/latest")]
    #[case("http://0xa9fea9fe/latest")]
    #[case("http://[::ffff:169.254.169.254]/")]
    #[case("http://[fe80::1]/")]
    #[case("http://0.0.0.0/")]
    #[case("http://u:p@127.0.0.1/")]
    #[tokio::test]
    async fn some_addresses_are_never_dialled(#[case] url: &str) {
        let error = fetcher().fetch(get(url)).await.err().unwrap();
        assert!(matches!(error, HttpError::Denied { .. }), "{error}");
        let (_server, from) = serving(Action::Answer(302, vec![("Location".into(), url.into())], Vec::new()));
        // User information of a redirect is dropped, and port 80 of this machine is nobody's business here.
        if !url.contains('@') {
            let error = fetcher().fetch(get(&from)).await.err().unwrap();
            assert!(matches!(error, HttpError::Denied { .. }), "{error}");
        }
    }

    #[rstest]
    #[case::announced(Action::body("text/plain", vec![b'x'; 2000]), None)]
    #[case::unknown(Action::body("text/plain", vec![b'x'; 2000]), Some(Action::Chunked))]
    #[tokio::test]
    async fn a_body_is_cut_off_with_an_error(#[case] body: Action, #[case] fault: Option<Action>) {
        let server = FaultRegistry::alone();
        let rule = Rule::on("GET", "^/x").then(body);
        server.rule(fault.into_iter().fold(rule, Rule::then));
        match fetcher().fetch(get(&format!("{}/x", server.url()))).await {
            Ok(answer) => assert!(read(answer.body).await.unwrap_err().to_string().contains("1000 bytes")),
            Err(error) => assert!(error.to_string().contains("1000"), "{error}"),
        }
    }

    #[rstest]
    #[case("authorization")]
    #[case("Cookie")]
    #[case("Host")]
    #[case("Transfer-Encoding")]
    #[tokio::test]
    async fn some_headers_are_not_theirs_to_set(#[case] name: &str) {
        let wanted = HttpRequest { headers: vec![(name.into(), "x".into())], ..get("http://127.0.0.1/") };
        assert!(matches!(fetcher().fetch(wanted).await.err().unwrap(), HttpError::Denied { .. }));
    }

    #[tokio::test]
    async fn requests_that_make_no_sense() {
        let fetcher = fetcher();
        for url in ["file:///etc/passwd", "nonsense", "http://"] {
            assert!(matches!(fetcher.fetch(get(url)).await.err().unwrap(), HttpError::Invalid(_)), "{url}");
        }
        let put = HttpRequest { method: "PUT".into(), ..get("http://127.0.0.1/") };
        assert!(matches!(fetcher.fetch(put).await.err().unwrap(), HttpError::Invalid(_)));
        let unknown = HttpRequest { credential: Some("other".into()), ..get("http://127.0.0.1/") };
        assert!(matches!(fetcher.fetch(unknown).await.err().unwrap(), HttpError::Invalid(_)));
        assert!(fetcher.has_credential("api") && !fetcher.has_credential("other"));
        assert!(!format!("{fetcher:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn what_passes_is_tried_again_unless_it_may_have_had_an_effect() {
        let (server, url) = serving(Action::status(503));
        assert_eq!(fetcher().fetch(get(&url)).await.unwrap().status, 503);
        assert_eq!(server.requests().len(), 2);
        let post = HttpRequest { method: "POST".into(), body: Some(b"x".to_vec()), ..get(&url) };
        assert_eq!(fetcher().fetch(post).await.unwrap().status, 503);
        assert_eq!(server.requests().len(), 3);
    }
}
