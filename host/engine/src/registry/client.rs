//! [`Client`]: one registry, with its connections, tokens and counters.

use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use oc_mirror_model::reference::{Registry, Repository};
use reqwest::Method;

use super::answer::Failure;
use super::auth::Scope;
use super::credentials::CredentialStore;
use super::profile::Product;
use super::transport::{Call, Transport};
use crate::content::{ContentError, ContentErrorKind};
use crate::net::{NetSettings, Retry};
use crate::report::{SharedEvents, Silence};

/// What a client is built with.
#[derive(Clone)]
pub struct ClientSettings {
    /// How to reach the registry.
    pub net: NetSettings,
    /// How often to try.
    pub retry: Retry,
    /// Where credentials are looked up.
    pub credentials: Arc<CredentialStore>,
    /// The most blobs that are downloaded at once, that are uploaded, and other requests that are made beside them. How many
    /// there are within that is found out.
    ///
    /// Three limits, because a copy within one registry reads and writes at once: with one limit, downloads that wait
    /// for their uploads could take all there is.
    pub max_requests: usize,
    /// Who is told of retries.
    pub events: SharedEvents,
    /// Which make of registry it is, if the user says so; otherwise that is found out.
    pub profile: Option<Product>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            net: NetSettings::default(),
            retry: Retry::default(),
            credentials: Arc::default(),
            max_requests: 8,
            events: Arc::new(Silence),
            profile: None,
        }
    }
}

/// What a client has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests to the registry and where it redirected, retries included.
    pub requests: u64,
    /// Requests to token servers.
    pub token_requests: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Bytes of bodies received.
    pub bytes_received: u64,
    /// Bytes of bodies sent.
    pub bytes_sent: u64,
}

impl AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.token_requests += other.token_requests;
        self.retries += other.retries;
        self.bytes_received += other.bytes_received;
        self.bytes_sent += other.bytes_sent;
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) requests: AtomicU64,
    pub(super) tokens: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) sent: AtomicU64,
}

/// Speaks with one registry. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) transport: Arc<Transport>,
}

impl Client {
    /// Makes a client. Nothing is sent before the first request.
    pub fn new(registry: &Registry, settings: ClientSettings) -> Result<Self, ContentError> {
        Ok(Self { transport: Arc::new(Transport::new(registry, settings)?) })
    }

    /// Returns the registry.
    pub fn registry(&self) -> &Registry {
        &self.transport.registry
    }

    /// Finds out how the registry is reached, HTTPS or plain HTTP, unless that is known. Any answer will do.
    pub async fn ping(&self) -> Result<(), ContentError> {
        self.transport.endpoint().await.map(drop)
    }

    /// As [`Self::ping`], but tries only once: for whoever has another place to ask.
    pub async fn ping_once(&self) -> Result<(), ContentError> {
        self.transport.endpoint_at_once().await.map(drop)
    }

    /// Checks that the registry answers as one and takes the credentials, those of a repository if one is given.
    pub async fn check_access(&self, repository: Option<&Repository>) -> Result<(), ContentError> {
        let scope = repository.map_or_else(Scope::registry, Scope::pull);
        let subject = self.registry().as_str();
        let answer = self.transport.small(&Call::new(Method::GET, "", &scope, subject), 1 << 20).await?;
        match answer.status.as_u16() {
            200 => Ok(()),
            404 => {
                let text = "there is no registry at this address: it has no `/v2/`".to_owned();
                Err(ContentError::new(subject, ContentErrorKind::Invalid(text)))
            }
            _ => Err(Failure::from(answer.error(subject)).error),
        }
    }

    /// Returns what has been done so far.
    pub fn stats(&self) -> Stats {
        let counters = &self.transport.counters;
        let read = |c: &AtomicU64| c.load(Ordering::Relaxed);
        Stats {
            requests: read(&counters.requests),
            token_requests: read(&counters.tokens),
            retries: read(&counters.retries),
            bytes_received: read(&counters.received),
            bytes_sent: read(&counters.sent),
        }
    }

    pub(super) fn label(&self) -> String {
        format!("registry {}", self.registry())
    }

    /// Names something in a repository for messages.
    pub(super) fn subject(
        &self,
        repository: &Repository,
        separator: char,
        what: &dyn std::fmt::Display,
    ) -> String {
        format!("{}/{repository}{separator}{what}", self.registry())
    }
}
