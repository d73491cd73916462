//! The network between the engine and its registries, with everything that goes wrong on the way.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt;
use oc_mirror_engine::net::NetErrorKind;
use oc_mirror_engine::net::simulation::Wire;
use reqwest::{Body, Request, Response, ResponseBuilderExt};

use crate::disk::SharedDisk;
use crate::random::Random;
use crate::registry::{Answer, Asked, Registry};

/// The host that images come from.
pub const SOURCE: &str = "source.test";
/// The host that they go to.
pub const TARGET: &str = "target.test";
/// Who gives out tokens.
const TOKENS: &str = "tokens.test";

/// What can go wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not arrive.
    Lost,
    /// It arrives, and its answer does not.
    Unanswered,
    /// The answer takes so many seconds.
    Late(u64),
    /// There is never an answer.
    Silence,
    /// 429, to be tried again after so many seconds, or without saying when.
    TooMany(Option<u64>),
    /// Another status that says to try again.
    Broken(u16),
    /// The token has expired.
    Expired,
    /// The body of the answer ends early: with an error, or as if it were whole.
    Cut {
        /// As if it were whole.
        silently: bool,
    },
    /// The body of the answer stands still in the middle.
    Stalled,
    /// One byte of the body of the answer is wrong.
    WrongByte,
    /// `Content-Length` is not that of the body.
    WrongLength,
    /// `Docker-Content-Digest` is that of something else.
    WrongDigest,
    /// Another range than was asked for.
    WrongRange,
    /// The whole, where a range was asked for.
    NoRange,
    /// The registry is started again before it answers.
    Restart,
}

/// How much goes wrong.
#[derive(Clone, Debug, Default)]
pub struct WireFaults {
    /// What makes this attempt differ from others.
    pub seed: u64,
    /// How many of a thousand requests meet a fault.
    pub failing: u64,
    /// Before which request the run ends, counted from 1.
    pub crash_at: Option<u64>,
    /// Whether that is after the request has been carried out.
    pub crash_after: bool,
}

/// The network.
pub struct SimWire {
    state: Mutex<State>,
    disk: SharedDisk,
}

#[derive(Default)]
struct State {
    faults: WireFaults,
    source: Registry,
    target: Registry,
    numbers: HashMap<String, u64>,
    requests: u64,
    tokens: u64,
    /// How often each blob was read to its end from the source.
    fetched: BTreeMap<String, u64>,
}

impl SimWire {
    /// Makes a network; a run that ends ends on this disk.
    pub fn new(disk: SharedDisk) -> Self {
        Self { state: Mutex::default(), disk }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an attempt.
    pub fn begin(&self, faults: WireFaults) {
        let mut state = self.state();
        state.faults = faults;
        state.numbers.clear();
        state.requests = 0;
    }

    /// Returns how many requests there were since.
    pub fn requests(&self) -> u64 {
        self.state().requests
    }

    /// Looks into the registries.
    pub fn with<T>(&self, look: impl FnOnce(&mut Registry, &mut Registry) -> T) -> T {
        let mut state = self.state();
        let State { source, target, .. } = &mut *state;
        look(source, target)
    }

    fn choose(
        state: &mut State,
        host: &str,
        method: &Method,
        path: &str,
        is_range: bool,
    ) -> (Option<Fault>, Random) {
        // Sessions have other names in each run of a seed.
        let path = path.split_once("/blobs/uploads/").map_or(path, |(before, _)| before);
        let name = format!("{host} {method} {path}");
        let number = state.numbers.entry(name.clone()).or_default();
        *number += 1;
        let mut random = Random::about(state.faults.seed, &name, *number);
        if !random.chance(state.faults.failing) {
            return (None, random);
        }
        let is_read = *method == Method::GET || *method == Method::HEAD;
        let fault = match random.below(if is_read { 15 } else { 9 }) {
            0 => Fault::Lost,
            1 => Fault::Unanswered,
            2 => Fault::Late(random.within(1, 90)),
            3 => Fault::Silence,
            4 => Fault::TooMany(random.chance(600).then(|| random.within(1, 30))),
            5 => Fault::Broken([500, 502, 503, 504][random.below(4) as usize]),
            6 => Fault::Expired,
            7 if host == TARGET => Fault::Restart,
            7 | 8 => Fault::Unanswered,
            9 => Fault::Cut { silently: random.chance(500) },
            10 => Fault::Stalled,
            11 => Fault::WrongByte,
            12 => Fault::WrongLength,
            13 => Fault::WrongDigest,
            _ if is_range && random.chance(500) => Fault::WrongRange,
            _ if is_range => Fault::NoRange,
            _ => Fault::Cut { silently: false },
        };
        (Some(fault), random)
    }
}

fn broken(why: &str) -> NetErrorKind {
    NetErrorKind::Broken(why.to_owned())
}

/// How the body of an answer goes.
enum Going {
    Whole,
    /// So many bytes, and then what happens.
    Until(usize, Then),
}

enum Then {
    Fails,
    Ends,
    Stands,
}

#[async_trait]
impl Wire for SimWire {
    async fn exchange(&self, mut request: Request) -> Result<Response, NetErrorKind> {
        let url = request.url().clone();
        let host = url.host_str().unwrap_or_default().to_owned();
        let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let (method, headers) = (request.method().clone(), request.headers().clone());
        let is_range = headers.contains_key("range");
        let (fault, mut random, dies) = {
            let mut state = self.state();
            if self.disk.is_dead() {
                return Err(broken("the simulated run has ended"));
            }
            state.requests += 1;
            let dies = state.faults.crash_at == Some(state.requests);
            let after = state.faults.crash_after;
            let (fault, random) = Self::choose(&mut state, &host, &method, url.path(), is_range);
            self.disk.note(format!("{method} {host}{} {fault:?}", url.path()));
            (fault, random, dies.then_some(after))
        };
        if dies == Some(false) {
            self.disk.kill();
        }
        match fault {
            _ if dies == Some(false) => return Err(broken("the simulated run ends here")),
            Some(Fault::Lost) => return Err(broken("lost")),
            Some(Fault::Silence) => std::future::pending().await,
            Some(Fault::Late(seconds)) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            _ => tokio::time::sleep(Duration::from_millis(random.below(40))).await,
        }
        let (body, is_cut) = receive(request.body_mut().take(), fault, &mut random).await;
        let asked =
            Asked { method: &method, path: url.path(), query: &query, headers: &headers, body, is_cut };
        let answer = self.answer(&host, asked, fault);
        if dies == Some(true) {
            self.disk.kill();
            return Err(broken("the simulated run ends here"));
        }
        if fault == Some(Fault::Unanswered) || is_cut {
            return Err(broken("no answer"));
        }
        Ok(deliver(answer, &method, &url, fault, random))
    }
}

impl SimWire {
    fn answer(&self, host: &str, asked: Asked<'_>, fault: Option<Fault>) -> Answer {
        let status =
            |code| Answer { status: StatusCode::from_u16(code).expect("a status"), ..Answer::default() };
        let mut state = self.state();
        if host == TOKENS {
            state.tokens += 1;
            let token = format!("token-{}", state.tokens);
            let body = serde_json::json!({ "token": token, "expires_in": 300 }).to_string().into_bytes();
            return Answer { body, ..status(200) };
        }
        match fault {
            Some(Fault::TooMany(after)) => {
                let headers = after.map(|seconds| ("Retry-After", seconds.to_string())).into_iter().collect();
                return Answer { headers, ..status(429) };
            }
            Some(Fault::Broken(code)) => return status(code),
            _ => {}
        }
        let has_token = asked.headers.contains_key("authorization");
        if !has_token || fault == Some(Fault::Expired) {
            let challenge = format!("Bearer realm=\"https://{TOKENS}/token\",service=\"{host}\"");
            return Answer { headers: vec![("WWW-Authenticate", challenge)], ..status(401) };
        }
        let registry = match host {
            SOURCE => &mut state.source,
            TARGET => &mut state.target,
            _ => return status(404),
        };
        if fault == Some(Fault::Restart) {
            registry.restart();
        }
        let blob = asked.path.rsplit_once("/blobs/").map(|(_, digest)| digest.to_owned());
        let is_fetch = *asked.method == Method::GET && host == SOURCE;
        let answer = registry.answer(asked);
        if let Some(blob) = blob.filter(|_| is_fetch && answer.status.is_success()) {
            *state.fetched.entry(blob).or_default() += 1;
        }
        answer
    }

    /// Returns how often each blob of the source was asked for, and forgets it.
    pub fn take_fetched(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.state().fetched)
    }
}

/// Takes the body of a request. Some of it is all that comes, where the connection breaks.
async fn receive(body: Option<Body>, fault: Option<Fault>, random: &mut Random) -> (Vec<u8>, bool) {
    let Some(body) = body else { return (Vec::new(), false) };
    let most =
        (fault == Some(Fault::Unanswered) && random.chance(500)).then(|| random.below(50_000) as usize);
    let mut bytes = Vec::new();
    let mut stream = body.into_data_stream();
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) => bytes.extend_from_slice(&piece),
            // Who sends it gave up.
            Err(_) => return (bytes, true),
        }
        if let Some(most) = most.filter(|most| bytes.len() > *most) {
            bytes.truncate(most);
            return (bytes, true);
        }
    }
    (bytes, false)
}

fn deliver(
    answer: Answer,
    method: &Method,
    url: &reqwest::Url,
    fault: Option<Fault>,
    mut random: Random,
) -> Response {
    let Answer { status, headers, mut body } = answer;
    let mut given = HeaderMap::new();
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().expect("a header");
        given.insert(name, value.parse().expect("a value"));
    }
    let mut length = body.len();
    let mut going = Going::Whole;
    let is_content = status.is_success() && !body.is_empty();
    match fault {
        Some(Fault::WrongByte) if is_content => {
            let at = random.below(body.len() as u64) as usize;
            body[at] ^= 1 << random.below(8);
        }
        Some(Fault::Cut { silently }) if is_content => {
            let then = if silently { Then::Ends } else { Then::Fails };
            going = Going::Until(random.below(body.len() as u64) as usize, then);
        }
        Some(Fault::Stalled) if is_content => {
            going = Going::Until(random.below(body.len() as u64) as usize, Then::Stands);
        }
        Some(Fault::WrongLength) if is_content => {
            length = match random.chance(500) {
                true => length + random.within(1, 5000) as usize,
                false => random.below(length as u64) as usize,
            };
            // As an HTTP client sees it: what is more than was said is not there, what is less is an error.
            going = match length < body.len() {
                true => Going::Until(length, Then::Ends),
                false => Going::Until(body.len(), Then::Fails),
            };
        }
        Some(Fault::WrongDigest) => {
            if let Some(value) = given.get_mut("docker-content-digest") {
                let other = crate::content::digest(&random.draw().to_le_bytes());
                *value = other.parse().expect("a value");
            }
        }
        Some(Fault::WrongRange) if status == StatusCode::PARTIAL_CONTENT => {
            given.insert(
                "content-range",
                format!("bytes 0-{}/{}", length.max(1) - 1, length).parse().expect("a value"),
            );
        }
        Some(Fault::NoRange) if status == StatusCode::PARTIAL_CONTENT => {
            given.remove("content-range");
        }
        _ => {}
    }
    let status = match fault {
        Some(Fault::NoRange) if status == StatusCode::PARTIAL_CONTENT => StatusCode::OK,
        _ => status,
    };
    if status != StatusCode::NO_CONTENT {
        given.insert("content-length", length.into());
    }
    if *method == Method::HEAD {
        body.clear();
        going = Going::Whole;
    }
    let mut built = http::Response::builder().status(status).url(url.clone());
    *built.headers_mut().expect("nothing is wrong with it") = given;
    Response::from(built.body(stream(body, going, random)).expect("nothing is wrong with it"))
}

fn stream(body: Vec<u8>, going: Going, mut random: Random) -> Body {
    let (end, then) = match going {
        Going::Whole => (body.len(), Then::Ends),
        Going::Until(end, then) => (end, then),
    };
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut at = 0;
    while at < end {
        let len = (random.within(1, 64 << 10) as usize).min(end - at);
        pieces.push(Bytes::copy_from_slice(&body[at..at + len]));
        at += len;
    }
    let pieces = futures_util::stream::iter(pieces).map(Ok::<Bytes, io::Error>);
    match then {
        Then::Ends => Body::wrap_stream(pieces),
        Then::Fails => Body::wrap_stream(
            pieces.chain(futures_util::stream::iter([Err(io::ErrorKind::ConnectionReset.into())])),
        ),
        Then::Stands => Body::wrap_stream(pieces.chain(futures_util::stream::pending())),
    }
}

/// A network that several things look at.
pub type SharedWire = Arc<SimWire>;
