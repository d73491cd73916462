//! The places of a run: [`Network`] hands out one client for each registry, and layouts on disk.
//!
//! Whatever is read from a registry is read through [`Origins`], and so from where `registries.conf` says.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use oc_mirror_model::bucket::BucketUrl;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::reference::{
    InvalidReference, LayoutReference, Reference, Registry, Repository, Selector, Source, Tag, Target,
};
use url::Url;

use super::from_disk::{Destination, SparseProbe};
use super::images::{Origin, Origins};
use super::mirrored::Mirrored;
use super::release_signatures::{InRegistry as SignaturesInRegistry, beside};
use crate::bucket::{Bucket, BucketSettings, Credentials};
use crate::content::{ContentError, ContentErrorKind, ContentRead};
use crate::fetch::{FetchCredential, GuardedFetch};
use crate::layout::Layout;
use crate::metadata::MetadataStore;
use crate::metadata::in_registry::{InRegistry, REPOSITORY};
use crate::net::address::GuardedResolver;
use crate::net::{
    Delay, Greeting, HttpClient, NetError, NetSettings, Proxies, Retry as RequestRetry, Secret, Stall,
};
use crate::plan::names::Names;
use crate::registry::conf::{Blocked, Located, Place, RegistriesConf};
use crate::registry::profile::Product;
use crate::registry::{Client, ClientSettings, CredentialError, CredentialStore, HostCertificates, Stats};
use crate::report::{Event, SharedEvents};
use crate::source::HttpFetch;
use crate::transfer::Retry;
use crate::transfer::publish::Endpoint;
use crate::trust::release::SignatureStore;

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
    /// Directories with one for each registry, `host:port`, that has its certificates: the first that has it counts.
    pub certificates: Vec<PathBuf>,
    /// A directory of certificates for every registry that is read, instead of these.
    pub source_certificates: Option<PathBuf>,
    /// A directory of certificates for the registry that is published to, instead of these.
    pub target_certificates: Option<PathBuf>,
    /// Proxies.
    pub proxies: Proxies,
    /// Credential files, in order of preference: path and content.
    pub credentials: Vec<(PathBuf, Secret)>,
    /// Mirrors of registries, and which are blocked or without TLS.
    pub registries: RegistriesConf,
    /// How often to try a request again.
    pub retry: Retry,
    /// The most requests of a kind that are under way at once, for each registry; how many there are is found out.
    pub max_requests: usize,
    /// When a transfer is taken for dead.
    pub stall: Stall,
    /// Where to tell of retries.
    pub events: SharedEvents,
    /// What the user says that registries are.
    pub profiles: Profiles,
}

/// What the user says that registries are.
#[derive(Clone, Debug, Default)]
pub struct Profiles {
    /// The one that is published to.
    pub target: Option<Product>,
    /// By `host` or `host:port`.
    pub by_registry: HashMap<Registry, Product>,
}

impl Profiles {
    fn of(&self, registry: &Registry) -> Option<Product> {
        self.by_registry.get(registry).copied()
    }

    fn of_target(&self, registry: &Registry) -> Option<Product> {
        self.of(registry).or(self.target)
    }
}

/// Where a bucket is, and who is asking.
#[derive(Clone, Debug)]
pub struct BucketPlace {
    /// The bucket and the prefix in it.
    pub url: BucketUrl,
    /// The URL of the store; nothing: that of AWS.
    pub endpoint: Option<String>,
    /// The region; nothing: `us-east-1`.
    pub region: Option<String>,
    /// Whether the bucket is part of the path, and not of the host's name.
    pub path_style: bool,
    /// Who is asking.
    pub credentials: Credentials,
}

/// The places of a run, shared by everything in it.
pub struct Network {
    clients: Arc<Clients>,
    registries: Arc<RegistriesConf>,
    sources: Mutex<HashMap<Registry, Readable>>,
}

/// A registry that is read.
#[derive(Clone)]
enum Readable {
    /// As it is named.
    Plain(Arc<Client>),
    /// As `registries.conf` says.
    Mirrored(Arc<Mirrored>),
}

/// An image at a place that it may be read from, and the client to read it with, unless that must not be.
pub(super) type Reader = (Reference, Result<Arc<Client>, ContentError>);

/// One client for each registry, and what is known of how they are.
pub(super) struct Clients {
    settings: NetworkSettings,
    credentials: Arc<CredentialStore>,
    /// By registry, and whether it may do without TLS.
    sources: Mutex<HashMap<(Registry, bool), Arc<Client>>>,
    /// All of them, those of targets too.
    made: Mutex<Vec<Client>>,
    /// Registries that did not answer.
    down: Mutex<HashSet<Registry>>,
    /// Registries of which the user was told that they failed.
    told: Mutex<HashSet<Registry>>,
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

impl Network {
    /// Makes a network without any connection yet.
    pub fn new(mut settings: NetworkSettings) -> Result<Self, NetworkError> {
        // The texts of the files are not held any longer than it takes to read them.
        let mut credentials = CredentialStore::from_files(std::mem::take(&mut settings.credentials))?;
        if let Some(helpers) = settings.registries.credential_helpers() {
            credentials = credentials.with_helpers(helpers);
        }
        let credentials = Arc::new(credentials);
        let registries = Arc::new(settings.registries.clone());
        let clients = Clients {
            settings,
            credentials,
            sources: Mutex::default(),
            made: Mutex::default(),
            down: Mutex::default(),
            told: Mutex::default(),
        };
        Ok(Self { clients: Arc::new(clients), registries, sources: Mutex::default() })
    }

    /// Returns all places that an image may be read from, with their clients: the mirrors that `registries.conf` names before what
    /// the name stands for.
    pub(super) fn readers(&self, image: &Reference) -> Result<Vec<Reader>, ContentError> {
        let places = self.registries.places(image).map_err(|error| {
            let reason = ContentErrorKind::Invalid("registries.conf cannot be followed".to_owned());
            ContentError::with_source(image.to_string(), reason, error)
        })?;
        let client = |place: &Place| self.clients.of(place);
        Ok(places.into_iter().map(|place| (place.reference.clone(), client(&place))).collect())
    }

    /// Returns the client of a target, which `registries.conf` may block, but not replace.
    pub(super) fn writer(&self, target: &Target) -> Result<Client, ContentError> {
        let settings = &self.clients.settings;
        let name = match &target.prefix {
            Some(prefix) => format!("{}/{prefix}", target.registry),
            None => target.registry.to_string(),
        };
        let endpoint = self.registries.endpoint(&name);
        if let Some(at) = endpoint.blocked {
            return Err(blocked(&name, &at));
        }
        let tls_verify = settings.target_tls_verify && !endpoint.insecure;
        let said = settings.profiles.of_target(&target.registry);
        self.clients.client(&target.registry, tls_verify, settings.target_certificates.as_deref(), said)
    }

    /// Answers whether there is a credential for a repository.
    pub(super) async fn has_credential(
        &self,
        registry: &Registry,
        repository: Option<&Repository>,
    ) -> Result<bool, CredentialError> {
        Ok(self.clients.credentials.lookup(registry, repository).await?.is_some())
    }

    /// Asks a server for what it shows of itself. Its certificate has to be trusted.
    pub(super) async fn greeting(&self, url: Url) -> Result<Greeting, NetError> {
        Greeting::of(&HttpClient::new(&self.clients.net(true), GuardedResolver::default())?, url).await
    }

    /// Returns HTTP for plugins, which always has to be trusted, with credentials that they can name.
    pub fn fetch(
        &self,
        credentials: BTreeMap<String, FetchCredential>,
    ) -> Result<Arc<dyn HttpFetch>, NetworkError> {
        let (net, retry) = (self.clients.net(true), self.clients.retry());
        Ok(Arc::new(GuardedFetch::new(&net, credentials, retry, self.clients.events().clone())?))
    }

    /// Returns the registry that is published to.
    pub fn destination(
        &self,
        target: &Target,
        max_nested_paths: Option<usize>,
    ) -> Result<Destination, ContentError> {
        let client = Arc::new(self.writer(target)?);
        Ok(Destination {
            target: target.clone(),
            endpoint: client.clone(),
            deleter: client.clone(),
            records: Arc::new(
                InRegistry::new(client.clone(), target.prefix.as_ref()).with_retry(self.clients.retry()),
            ),
            max_nested_paths,
            names: Names::new(target.prefix.clone(), max_nested_paths),
            examine: client.clone(),
            sparse: Arc::new(Probe { client, prefix: target.prefix.clone() }),
            directory: None,
        })
    }

    /// Returns the registry of something that is put there by name, as a target is reached.
    pub fn endpoint(&self, place: &Reference) -> Result<Arc<dyn Endpoint>, ContentError> {
        let target = Target { registry: place.registry.clone(), prefix: Some(place.repository.clone()) };
        Ok(self.destination(&target, None)?.endpoint)
    }

    /// Returns the place of one chain's record in a registry.
    pub fn record_in_registry(
        &self,
        image: &Reference,
        tls_verify: bool,
    ) -> Result<Arc<dyn MetadataStore>, ContentError> {
        let name = format!("{}/{}", image.registry, image.repository);
        let endpoint = self.registries.endpoint(&name);
        if let Some(at) = endpoint.blocked {
            return Err(blocked(&name, &at));
        }
        let verify = tls_verify && self.clients.settings.target_tls_verify && !endpoint.insecure;
        let client = Arc::new(self.clients.client(
            &image.registry,
            verify,
            None,
            self.clients.settings.profiles.of(&image.registry),
        )?);
        let latest = || "latest".parse().expect("a constant that is a tag");
        let tag = image.tag.clone().unwrap_or_else(latest);
        let record = InRegistry::at(client, image.repository.clone(), tag);
        Ok(Arc::new(record.with_retry(self.clients.retry())))
    }

    /// Returns a bucket, reached as registries are.
    pub fn bucket(&self, place: &BucketPlace, tls_verify: bool) -> Result<Arc<Bucket>, ContentError> {
        let BucketPlace { url, endpoint, region, path_style, credentials } = place.clone();
        let settings = BucketSettings {
            url,
            endpoint,
            region,
            path_style,
            credentials,
            net: self.clients.net(tls_verify),
            retry: self.clients.retry(),
            events: self.clients.events().clone(),
        };
        Bucket::new(&settings).map(Arc::new)
    }

    /// Returns what a name without a registry stands for. Where that may be one of several, they are asked in order. Nothing
    /// if the name has a registry, or if nobody says anything about it; then it is one of Docker Hub.
    pub async fn qualify(&self, name: &str) -> Result<Option<Reference>, ContentError> {
        let invalid = |error| {
            let reason = "it has no registry".to_owned();
            ContentError::with_source(name, ContentErrorKind::Invalid(reason), error)
        };
        let candidates = self.registries.candidates(name).map_err(invalid)?.unwrap_or_default();
        let (first, others) = match candidates.split_first() {
            None => return Ok(None),
            Some((only, [])) => return Ok(Some(only.clone())),
            Some(several) => several,
        };
        let mut failed = Vec::new();
        for candidate in std::iter::once(first).chain(others) {
            let read = self.source(&candidate.registry)?.read();
            match read.find(&candidate.repository, &candidate.selector()).await {
                Ok(Some(_)) => return Ok(Some(candidate.clone())),
                Ok(None) => failed.push(format!("`{candidate}`: not found")),
                Err(error) => failed.push(error.to_string()),
            }
        }
        let reason = format!("no registry that is searched has it: {}", failed.join("; "));
        Err(ContentError::new(name, ContentErrorKind::Refused(reason)))
    }

    /// Returns the signatures of releases in a repository of them.
    pub fn signatures_at(&self, place: &Reference) -> Result<Arc<dyn SignatureStore>, ContentError> {
        let read = self.source(&place.registry)?.read();
        Ok(Arc::new(SignaturesInRegistry::new(read, place)))
    }

    /// Returns the signatures of releases that this program keeps beside payloads, for each mirror of payloads.
    pub fn mirrored_signatures(&self) -> Vec<Arc<dyn SignatureStore>> {
        let mut stores: Vec<Arc<dyn SignatureStore>> = Vec::new();
        for place in self.registries.mirrors() {
            let Some(repository) = beside(&place.reference.repository) else { continue };
            // Nothing is asked that must not be.
            let Ok(client) = self.clients.of(&place) else { continue };
            let place = Reference { repository, tag: None, digest: None, ..place.reference };
            stores.push(Arc::new(SignaturesInRegistry::new(client, &place)));
        }
        stores
    }

    /// Returns what each registry has been asked so far, and what it took and gave.
    pub fn traffic(&self) -> BTreeMap<Registry, Stats> {
        let mut traffic: BTreeMap<Registry, Stats> = BTreeMap::new();
        for client in &*self.clients.made.lock().expect("no holder of this lock panics") {
            *traffic.entry(client.registry().clone()).or_default() += client.stats();
        }
        traffic
    }

    /// Answers whether an image comes from mirrors only, as `registries.conf` says.
    pub fn is_mirrored_only(&self, image: &Reference) -> bool {
        self.registries.is_mirrored_only(image)
    }

    fn source(&self, registry: &Registry) -> Result<Readable, ContentError> {
        let mut sources = self.sources.lock().expect("no holder of this lock panics");
        if let Some(readable) = sources.get(registry) {
            return Ok(readable.clone());
        }
        let readable = if self.registries.concerns(registry) {
            let (conf, clients) = (self.registries.clone(), self.clients.clone());
            Readable::Mirrored(Arc::new(Mirrored::new(registry.clone(), conf, clients)))
        } else {
            Readable::Plain(self.clients.source(registry, false)?)
        };
        sources.insert(registry.clone(), readable.clone());
        Ok(readable)
    }
}

impl Readable {
    fn read(&self) -> Arc<dyn ContentRead> {
        match self {
            Self::Plain(client) => client.clone(),
            Self::Mirrored(mirrored) => mirrored.clone(),
        }
    }
}

impl Clients {
    /// Returns the client of a place that is read, unless that is blocked.
    pub(super) fn of(&self, place: &Place) -> Result<Arc<Client>, ContentError> {
        match &place.blocked {
            Some(at) => Err(blocked(&place.reference.name(), at)),
            None => self.source(&place.reference.registry, place.insecure),
        }
    }

    pub(super) fn events(&self) -> &SharedEvents {
        &self.settings.events
    }

    /// Answers whether a place did not answer before.
    pub(super) fn is_down(&self, place: &Place) -> bool {
        self.down.lock().expect("no holder of this lock panics").contains(&place.reference.registry)
    }

    /// Notes that a place does not answer, and tells that once.
    pub(super) fn note_down(&self, place: &Place, error: &ContentError) {
        let registry = &place.reference.registry;
        self.down.lock().expect("no holder of this lock panics").insert(registry.clone());
        self.tell(registry, &format!("it is not reached, and others are asked: {}", error.kind()));
    }

    /// Notes that a place answers after all.
    pub(super) fn note_success(&self, place: &Place) {
        self.down.lock().expect("no holder of this lock panics").remove(&place.reference.registry);
    }

    /// Notes that a place could not give what it was asked for. That it does not have it is nothing to tell of.
    pub(super) fn note_failure(&self, name: &Reference, place: &Place, error: &ContentError) {
        if error.is_not_found() || place.blocked.is_some() {
            return;
        }
        let registry = &place.reference.registry;
        if matches!(error.kind(), ContentErrorKind::Unavailable(_)) {
            self.down.lock().expect("no holder of this lock panics").insert(registry.clone());
        }
        self.tell(registry, &format!("it did not give `{name}`, and others are asked: {}", error.kind()));
    }

    fn tell(&self, registry: &Registry, message: &str) {
        if self.told.lock().expect("no holder of this lock panics").insert(registry.clone()) {
            self.settings.events.event(Event::Warning { subject: registry.as_str(), message });
        }
    }

    fn source(&self, registry: &Registry, insecure: bool) -> Result<Arc<Client>, ContentError> {
        let tls_verify = self.settings.source_tls_verify && !insecure;
        let mut sources = self.sources.lock().expect("no holder of this lock panics");
        let key = (registry.clone(), tls_verify);
        if let Some(client) = sources.get(&key) {
            return Ok(client.clone());
        }
        let said = self.settings.profiles.of(registry);
        let certificates = self.settings.source_certificates.as_deref();
        let client = Arc::new(self.client(registry, tls_verify, certificates, said)?);
        sources.insert(key, client.clone());
        Ok(client)
    }

    fn client(
        &self,
        registry: &Registry,
        tls_verify: bool,
        certificates: Option<&Path>,
        profile: Option<Product>,
    ) -> Result<Client, ContentError> {
        let HostCertificates { authorities, identity, surplus } = match certificates {
            Some(dir) => HostCertificates::read(dir),
            None => HostCertificates::find(&self.settings.certificates, registry),
        }
        .map_err(|error| {
            let reason = ContentErrorKind::Invalid("its certificates cannot be used".to_owned());
            ContentError::with_source(registry.as_str(), reason, error)
        })?;
        if let Some(path) = surplus.first() {
            let message =
                format!("the client certificate `{}` is not used: there is another", path.display());
            self.events().event(Event::Warning { subject: registry.as_str(), message: &message });
        }
        let mut net = NetSettings { identity, ..self.net(tls_verify) };
        if !authorities.is_empty() {
            net.extra_ca = [std::mem::take(&mut net.extra_ca), authorities].join(&b'\n');
        }
        let settings = ClientSettings {
            net,
            credentials: self.credentials.clone(),
            retry: self.retry(),
            max_requests: self.settings.max_requests,
            events: self.settings.events.clone(),
            profile,
        };
        let client = Client::new(registry, settings)?;
        self.made.lock().expect("no holder of this lock panics").push(client.clone());
        Ok(client)
    }

    fn net(&self, tls_verify: bool) -> NetSettings {
        NetSettings {
            tls_verify,
            extra_ca: self.settings.extra_ca.clone(),
            identity: None,
            proxies: self.settings.proxies.clone(),
            system_proxy: false,
            user_agent: self.settings.user_agent.clone(),
            connect_timeout: Duration::from_secs(10),
            stall: self.settings.stall,
        }
    }

    fn retry(&self) -> RequestRetry {
        let Retry { times, delay } = self.settings.retry;
        let default = RequestRetry::default();
        RequestRetry { attempts: times + 1, delay: delay.map_or(default.delay, Delay::Constant), ..default }
    }
}

fn blocked(name: &str, at: &Located) -> ContentError {
    let reason = "the registry may not be used".to_owned();
    ContentError::with_source(name, ContentErrorKind::Refused(reason), Blocked(at.clone()))
}

#[async_trait]
impl Origins for Network {
    async fn origin(&self, source: &Source) -> Result<Origin, ContentError> {
        match source {
            Source::Registry(reference) => Ok(Origin {
                read: self.source(&reference.registry)?.read(),
                repository: reference.repository.clone(),
                selector: reference.selector(),
            }),
            Source::Layout(wanted) => origin_in_layout(wanted).await,
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
        let name = &repository.repository;
        let tags = match self.source(&repository.registry)? {
            Readable::Plain(client) => client.tags(name, after.as_ref(), Some(limit)).await?,
            Readable::Mirrored(mirrored) => mirrored.tags(name, after.as_ref(), limit).await?,
        };
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
                let repository = &reference.repository;
                match self.source(&reference.registry)? {
                    Readable::Plain(client) => client.referrers(repository, digest, artifact_type).await,
                    Readable::Mirrored(mirrored) => {
                        mirrored.referrers(repository, digest, artifact_type).await
                    }
                }
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

/// Returns the place of an image in a layout.
pub(super) async fn origin_in_layout(wanted: &LayoutReference) -> Result<Origin, ContentError> {
    let layout = Layout::open(&wanted.path)?;
    let descriptor = layout.resolve(wanted.name.as_deref(), wanted.digest.as_ref()).await?;
    Ok(Origin {
        read: Arc::new(layout),
        repository: layout_repository(),
        selector: Selector::Digest(descriptor.digest),
    })
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
