//! The places of a run: [`Network`] hands out one client for each registry, and layouts on disk.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::reference::{
    InvalidReference, Reference, Registry, Repository, Selector, Source, Tag, Target,
};

use super::from_disk::{Destination, SparseProbe};
use super::images::{Origin, Origins};
use crate::content::{ContentError, ContentErrorKind, ContentRead};
use crate::fetch::GuardedFetch;
use crate::layout::Layout;
use crate::metadata::in_registry::{InRegistry, REPOSITORY};
use crate::net::{Delay, NetError, NetSettings, Proxies, Retry as RequestRetry};
use crate::registry::{Client, ClientSettings, CredentialError, CredentialStore};
use crate::report::SharedEvents;
use crate::source::HttpFetch;
use crate::transfer::Retry;

/// How registries are reached.
pub struct NetworkSettings {
    /// `oc-mirror/0.1.0`.
    pub user_agent: String,
    /// Whether registries that are read must have TLS and a trusted certificate.
    pub source_tls_verify: bool,
    /// Whether the one that is published to must.
    pub target_tls_verify: bool,
    /// Certificates to trust besides the system's, PEM.
    pub extra_ca: Vec<u8>,
    /// Proxies.
    pub proxies: Proxies,
    /// Credential files, in order of preference: path and content.
    pub credentials: Vec<(PathBuf, String)>,
    /// How often to try a request again.
    pub retry: Retry,
    /// Requests under way at once, for each registry.
    pub max_requests: usize,
    /// Where to tell of retries.
    pub events: SharedEvents,
}

/// One client for each registry, shared by everything in a run.
pub struct Network {
    settings: NetworkSettings,
    credentials: Arc<CredentialStore>,
    sources: Mutex<HashMap<Registry, Arc<Client>>>,
}

/// The settings of the network cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A file of credentials.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    /// Certificates or proxies.
    #[error(transparent)]
    Net(#[from] NetError),
}

/// A server that sends nothing for this long is taken for dead.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);

impl Network {
    /// Makes a network without any connection yet.
    pub fn new(settings: NetworkSettings) -> Result<Self, NetworkError> {
        let credentials = Arc::new(CredentialStore::from_files(settings.credentials.clone())?);
        Ok(Self { settings, credentials, sources: Mutex::default() })
    }

    /// Returns HTTP for plugins, which always has to be trusted.
    pub fn fetch(&self) -> Result<Arc<dyn HttpFetch>, NetworkError> {
        let events = self.settings.events.clone();
        Ok(Arc::new(GuardedFetch::new(&self.net(true), BTreeMap::new(), self.retry(), events)?))
    }

    /// Returns the registry that is published to.
    pub fn destination(
        &self,
        target: &Target,
        max_nested_paths: Option<usize>,
    ) -> Result<Destination, ContentError> {
        let client = Arc::new(self.client(&target.registry, self.settings.target_tls_verify)?);
        Ok(Destination {
            target: target.clone(),
            endpoint: client.clone(),
            deleter: client.clone(),
            records: Arc::new(InRegistry::new(client.clone(), target.prefix.as_ref())),
            max_nested_paths,
            sparse: Arc::new(Probe { client, prefix: target.prefix.clone() }),
        })
    }

    fn source(&self, registry: &Registry) -> Result<Arc<Client>, ContentError> {
        let mut sources = self.sources.lock().expect("no holder of this lock panics");
        if let Some(client) = sources.get(registry) {
            return Ok(client.clone());
        }
        let client = Arc::new(self.client(registry, self.settings.source_tls_verify)?);
        sources.insert(registry.clone(), client.clone());
        Ok(client)
    }

    fn client(&self, registry: &Registry, tls_verify: bool) -> Result<Client, ContentError> {
        let settings = ClientSettings {
            net: self.net(tls_verify),
            credentials: self.credentials.clone(),
            retry: self.retry(),
            max_requests: self.settings.max_requests,
            events: self.settings.events.clone(),
        };
        Client::new(registry, settings)
    }

    fn net(&self, tls_verify: bool) -> NetSettings {
        NetSettings {
            tls_verify,
            extra_ca: self.settings.extra_ca.clone(),
            proxies: self.settings.proxies.clone(),
            system_proxy: false,
            user_agent: self.settings.user_agent.clone(),
            connect_timeout: Duration::from_secs(10),
            stall_timeout: STALL_TIMEOUT,
        }
    }

    fn retry(&self) -> RequestRetry {
        let Retry { times, delay } = self.settings.retry;
        let default = RequestRetry::default();
        RequestRetry { attempts: times + 1, delay: delay.map_or(default.delay, Delay::Constant), ..default }
    }
}

#[async_trait]
impl Origins for Network {
    async fn origin(&self, source: &Source) -> Result<Origin, ContentError> {
        match source {
            Source::Registry(reference) => Ok(Origin {
                read: self.source(&reference.registry)?,
                repository: reference.repository.clone(),
                selector: reference.selector(),
            }),
            Source::Layout(wanted) => {
                let layout = Layout::open(&wanted.path)?;
                let descriptor = layout.resolve(wanted.name.as_deref(), wanted.digest.as_ref()).await?;
                Ok(Origin {
                    read: Arc::new(layout),
                    repository: layout_repository(),
                    selector: Selector::Digest(descriptor.digest),
                })
            }
        }
    }

    async fn tags(
        &self,
        repository: &Reference,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, ContentError> {
        let subject = || repository.to_string();
        let invalid =
            |e: InvalidReference| ContentError::new(subject(), ContentErrorKind::Invalid(e.to_string()));
        let after: Option<Tag> = after.map(str::parse).transpose().map_err(invalid)?;
        let tags = self
            .source(&repository.registry)?
            .tags(&repository.repository, after.as_ref(), Some(limit))
            .await?;
        Ok(tags.into_iter().map(String::from).collect())
    }

    async fn referrers(
        &self,
        source: &Source,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, ContentError> {
        match source {
            Source::Registry(reference) => {
                self.source(&reference.registry)?
                    .referrers(&reference.repository, digest, artifact_type)
                    .await
            }
            Source::Layout(layout) => {
                let layout = Layout::open(&layout.path)?;
                let mut found =
                    layout.list_referrers(&layout_repository(), digest).await?.unwrap_or_default();
                found.retain(|d| artifact_type.is_none_or(|t| d.artifact_type.as_deref() == Some(t)));
                Ok(found)
            }
        }
    }
}

/// A layout has no repositories; any name will do.
fn layout_repository() -> Repository {
    "layout".parse().expect("a constant that is a repository")
}

struct Probe {
    client: Arc<Client>,
    prefix: Option<Repository>,
}

#[async_trait]
impl SparseProbe for Probe {
    async fn takes_sparse_indexes(&self) -> Result<bool, ContentError> {
        let repository: Repository = REPOSITORY.parse().expect("a constant that is a repository");
        self.client.supports_sparse_index(&repository.under(self.prefix.as_ref())).await
    }
}
