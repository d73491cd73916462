//! [`FaultRegistry`]: an HTTP server that passes requests to a real registry, or answers them itself, and misbehaves
//! where a table of [`Rule`]s says so. It records every request. Bodies are held in memory, so images must be small.

mod connection;
mod quirk;
mod rule;
mod token;

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

pub use quirk::{Personality, Quirk};
pub use rule::{Action, Rule};
pub use token::Bearer;

use crate::http::{self, Headers, Response};
use crate::push::{PlainHost, PushTarget};
use crate::registry::Registry;
use quirk::Quirks;
use rule::Table;
use token::Tokens;

/// One request and how it was answered.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The header fields of the request.
    pub headers: Headers,
    /// The size of the request's body.
    pub received: usize,
    /// The status sent, or 0 when the connection was closed without an answer.
    pub status: u16,
    /// How many bytes of body were sent.
    pub sent: usize,
    /// The number of the connection it came on, from 0.
    pub connection: usize,
}

impl Recorded {
    /// Returns the first value of a header field of the request, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        http::header(&self.headers, name)
    }
}

/// What answers in place of a registry when no rule does.
pub(crate) trait Origin: std::fmt::Debug + Send + Sync {
    /// Answers a request; the path comes with its query.
    fn answer(&self, method: &str, path: &str, headers: &Headers) -> Response;

    /// Answers a request that may have a body; those that never look at one need not know of this.
    fn answer_body(&self, method: &str, path: &str, headers: &Headers, _body: &[u8]) -> Response {
        self.answer(method, path, headers)
    }
}

/// A registry with faults.
#[derive(Debug)]
pub struct FaultRegistry {
    address: SocketAddr,
    upstream: Option<PlainHost>,
    shared: Arc<Shared>,
}

/// What the connections share.
#[derive(Debug)]
struct Shared {
    /// The host requests are passed to; none for a server that knows only its rules.
    upstream: Option<String>,
    /// What answers instead, for servers that are no registries.
    origin: Option<Arc<dyn Origin>>,
    table: Mutex<Table>,
    quirks: Mutex<Quirks>,
    tokens: Option<Tokens>,
    recorded: Mutex<Vec<Recorded>>,
    open: Mutex<Vec<TcpStream>>,
    in_flight: AtomicUsize,
    peak: AtomicUsize,
    stopped: AtomicBool,
}

impl FaultRegistry {
    /// Starts in front of a registry, which must speak plain HTTP.
    pub fn before(registry: &Registry) -> Self {
        Self::start(Some(registry.plain_host()), None, None)
    }

    /// Starts in front of a registry and asks for bearer tokens, which it also issues.
    pub fn with_bearer(registry: &Registry, bearer: Bearer) -> Self {
        Self::start(Some(registry.plain_host()), None, Some(bearer))
    }

    /// Starts in front of any server that speaks plain HTTP, by its host and port.
    pub fn in_front_of(host: &str) -> Self {
        Self::start(Some(host.plain_host()), None, None)
    }

    /// Starts in front of a registry and behaves as one of another make.
    pub fn posing_as(registry: &Registry, personality: Personality) -> Self {
        let made = Self::before(registry);
        for quirk in personality.quirks() {
            made.quirk(quirk);
        }
        made
    }

    /// Starts without a registry behind it: what no rule answers is 404.
    pub fn alone() -> Self {
        Self::start(None, None, None)
    }

    /// Starts before something that is no registry: what no rule answers, it does.
    pub(crate) fn serving(origin: Arc<dyn Origin>) -> Self {
        Self::start(None, Some(origin), None)
    }

    fn start(upstream: Option<PlainHost>, origin: Option<Arc<dyn Origin>>, bearer: Option<Bearer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback interface has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            upstream: upstream.as_ref().map(|u| u.host.clone()),
            origin,
            table: Mutex::default(),
            quirks: Mutex::default(),
            tokens: bearer.map(|b| Tokens::new(b, address)),
            recorded: Mutex::default(),
            open: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &serving));
        Self { address, upstream, shared }
    }

    /// Returns the host and port.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Returns the base address without a final slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds a rule after those there are; of several that match a request, all apply.
    pub fn rule(&self, rule: Rule) -> &Self {
        lock(&self.shared.table).add(rule);
        self
    }

    /// Adds a quirk to those there are. They need a registry behind.
    pub fn quirk(&self, quirk: Quirk) -> &Self {
        lock(&self.shared.quirks).add(quirk);
        self
    }

    /// Creates a repository or project, where one has to be created before anything can be pushed to it.
    pub fn create(&self, name: &str) {
        lock(&self.shared.quirks).create(name);
    }

    /// Forgets all rules.
    pub fn clear_rules(&self) {
        *lock(&self.shared.table) = Table::default();
    }

    /// Returns all requests so far, in the order in which they were answered.
    pub fn requests(&self) -> Vec<Recorded> {
        lock(&self.shared.recorded).clone()
    }

    /// Returns how many requests so far have this method and a path that matches the regular expression.
    pub fn count(&self, method: &str, path: &str) -> usize {
        let pattern = rule::pattern(path);
        lock(&self.shared.recorded).iter().filter(|r| r.method == method && pattern.is_match(&r.path)).count()
    }

    /// Forgets the requests so far, and the peak.
    pub fn clear_requests(&self) {
        lock(&self.shared.recorded).clear();
        self.shared.peak.store(0, Ordering::SeqCst);
    }

    /// Returns the largest number of requests that were being answered at one time.
    pub fn peak(&self) -> usize {
        self.shared.peak.load(Ordering::SeqCst)
    }

    /// Returns how many tokens were issued.
    pub fn tokens_issued(&self) -> usize {
        self.shared.tokens.as_ref().map_or(0, Tokens::issued)
    }

    /// Makes every token issued so far worthless, as if its time had passed.
    pub fn expire_tokens(&self) {
        if let Some(tokens) = &self.shared.tokens {
            tokens.expire();
        }
    }
}

impl Drop for FaultRegistry {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        for stream in lock(&self.shared.open).drain(..) {
            // The peer may have closed it already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

impl PushTarget for FaultRegistry {
    /// Filling goes straight to the registry behind, past the rules and the record.
    fn plain_host(&self) -> PlainHost {
        let upstream = self.upstream.as_ref().expect("a fault registry without a registry cannot be filled");
        PlainHost { host: upstream.host.clone(), authorization: upstream.authorization.clone(), guard: None }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, stream) in listener.incoming().enumerate() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        thread::spawn(move || -> io::Result<()> {
            stream.set_nodelay(true)?;
            lock(&shared.open).push(stream.try_clone()?);
            connection::serve(stream, number, &shared)
        });
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
