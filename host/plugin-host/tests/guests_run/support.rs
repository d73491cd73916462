//! Guests that are compiled once, and an engine made of memory for them to run against.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use oc_mirror_engine::content::{
    BaseImage, BlobStream, ContentError, ContentErrorKind, ImageView, Images, Resolved,
};
use oc_mirror_engine::report::{Event, Events};
use oc_mirror_engine::source::{HttpError, HttpFetch, HttpRequest, HttpResponse, Lent, RunInfo, Services};
use oc_mirror_guest_build::{BuiltGuest, GuestBuild};
use oc_mirror_model::attributes::Attributes;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::media_type;
use oc_mirror_model::reference::{Reference, Source};
use oc_mirror_model::report::Workflow;
use oc_mirror_model::request::ImageRequest;
use oc_mirror_plugin_host::{Binary, Grants, Host, HostSettings, PluginSpec};
use serde_json::{Value, json};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The misbehaving guests, compiled when the first test asks for one.
pub(crate) fn guest(name: &str) -> &'static BuiltGuest {
    static GUESTS: OnceLock<Vec<BuiltGuest>> = OnceLock::new();
    let guests = GUESTS.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("`<target>/tmp`");
        let build = GuestBuild {
            manifest_dir: root().join("tests/guests"),
            target_dir: target.join("guests"),
            packages: vec![],
        };
        build.build().expect("the guests compile")
    });
    guests.iter().find(|g| g.name == name).expect("there is such a guest")
}

pub(crate) fn binary(name: &str) -> Binary {
    Binary::new(name, std::fs::read(&guest(name).path).expect("just built"))
}

/// Where compiled guests are kept between tests: those of a debug build take a second each.
pub(crate) fn cache_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled-guests")
}

pub(crate) fn host_with(change: impl FnOnce(&mut HostSettings)) -> Host {
    let mut settings = HostSettings { cache_dir: Some(cache_dir()), ..HostSettings::default() };
    change(&mut settings);
    Host::new(settings).expect("it starts")
}

pub(crate) fn host() -> Host {
    host_with(|_| {})
}

pub(crate) const ALL_GRANTS: [&str; 9] = [
    "registry",
    "http:www.example",
    "credential:reach",
    "layout:/nowhere",
    "build",
    "artifact",
    "resources",
    "state",
    "cache",
];

pub(crate) fn spec(binary: Binary, settings: Value, grants: &[&str]) -> PluginSpec {
    PluginSpec {
        name: "mine".to_owned(),
        binary,
        settings,
        grants: Grants::parse(grants).expect("valid grants"),
    }
}

pub(crate) fn odd(settings: Value, grants: &[&str]) -> PluginSpec {
    spec(binary("odd"), settings, grants)
}

pub(crate) fn run_info() -> RunInfo {
    RunInfo {
        host_version: "1.2.3".to_owned(),
        workflow: Workflow::MirrorToDisk,
        offline: false,
        dry_run: false,
        time: "2026-01-02T03:04:05Z".to_owned(),
        sequence: 1,
        platforms: vec![],
        images: None,
    }
}

pub(crate) fn request(reference: &str) -> ImageRequest {
    ImageRequest {
        source: reference.to_owned(),
        origin: reference.to_owned(),
        kind: "additional".to_owned(),
        target_repository: None,
        target_tag: None,
        platforms: vec![],
        with_referrers: false,
        provenance: Attributes::new(),
    }
}

/// Everything that an engine would lend, in memory.
pub(crate) struct World {
    pub(crate) images: Arc<FakeImages>,
    pub(crate) http: Arc<FakeHttp>,
    pub(crate) events: Arc<Recorder>,
    pub(crate) cancelled: Arc<AtomicBool>,
    pub(crate) state: BTreeMap<String, Value>,
    pub(crate) scratch: tempfile::TempDir,
}

impl World {
    pub(crate) fn new(images: Vec<FakeImage>) -> Self {
        let images = images.into_iter().map(|i| (i.reference.clone(), Arc::new(i))).collect();
        Self {
            images: Arc::new(FakeImages { images }),
            http: Arc::default(),
            events: Arc::default(),
            cancelled: Arc::default(),
            state: BTreeMap::new(),
            scratch: tempfile::tempdir().expect("a directory"),
        }
    }

    pub(crate) fn services(&self) -> Services {
        Services {
            images: self.images.clone(),
            http: self.http.clone(),
            events: self.events.clone(),
            scratch: self.scratch.path().to_owned(),
            cancelled: self.cancelled.clone(),
            state: Arc::new(self.state.clone()),
            cache: Some(self.scratch.path().join("cache")),
            unavailable: Arc::default(),
            signatures: Arc::new(oc_mirror_engine::source::NoKeys),
        }
    }

    /// What a policy is lent.
    pub(crate) fn lent(&self) -> Arc<Lent> {
        Arc::new(Lent { run: run_info(), services: self.services() })
    }

    pub(crate) fn view(&self, reference: &str) -> Arc<dyn ImageView> {
        self.images.images[reference].clone()
    }
}

/// Keeps what is told.
#[derive(Default)]
pub(crate) struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }
}

impl Events for Recorder {
    fn event(&self, event: Event<'_>) {
        let line = match event {
            Event::PluginLog { plugin, level, message, fields } => {
                format!("{plugin} {level:?} {message} {fields:?}")
            }
            Event::Phase { name, items, .. } => format!("phase {name} {items:?}"),
            Event::ItemDone { name } => format!("done {name}"),
            other => format!("{other:?}"),
        };
        self.0.lock().expect("no panic").push(line);
    }
}

/// Images by their reference.
pub(crate) struct FakeImages {
    images: BTreeMap<String, Arc<FakeImage>>,
}

impl FakeImages {
    fn find(&self, source: &Source) -> Result<Arc<FakeImage>, ContentError> {
        let name = source.to_string();
        self.images.get(&name).cloned().ok_or_else(|| ContentError::new(name, ContentErrorKind::NotFound))
    }
}

#[async_trait]
impl Images for FakeImages {
    async fn resolve(&self, source: &Source) -> Result<Resolved, ContentError> {
        let descriptor = self.find(source)?.manifest.descriptor().clone();
        Ok(Resolved { source: source.clone(), descriptor })
    }

    async fn tags(
        &self,
        repository: &Reference,
        _after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, ContentError> {
        let prefix = format!("{}:", repository.name());
        let tags = self.images.keys().filter_map(|name| name.strip_prefix(&prefix)).map(str::to_owned);
        Ok(tags.take(limit).collect())
    }

    async fn open(&self, source: &Source) -> Result<Arc<dyn ImageView>, ContentError> {
        Ok(self.find(source)?)
    }

    async fn extend(&self, _: &std::path::Path, _: &Source) -> Result<(), ContentError> {
        Ok(())
    }
}

/// An image of one platform.
#[derive(Clone)]
pub(crate) struct FakeImage {
    reference: String,
    manifest: RawManifest,
    config: Vec<u8>,
    layers: Vec<Vec<u8>>,
}

impl FakeImage {
    pub(crate) fn new(reference: &str, layers: &[&[u8]], annotations: Value) -> Self {
        let diff_ids: Vec<_> = layers.iter().map(|l| Digest::of(l).to_string()).collect();
        let config = json!({
            "os": "linux", "architecture": "amd64", "config": {"Labels": {"team": "a"}},
            "rootfs": {"type": "layers", "diff_ids": diff_ids}
        });
        let config = config.to_string().into_bytes();
        let described: Vec<_> =
            layers.iter().map(|l| Descriptor::of("application/vnd.oci.image.layer.v1.tar", l)).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
            "config": Descriptor::of(media_type::OCI_CONFIG, &config),
            "layers": described, "annotations": annotations
        });
        Self {
            reference: reference.to_owned(),
            manifest: RawManifest::parse(manifest.to_string().into_bytes(), None).expect("a manifest"),
            config,
            layers: layers.iter().map(|l| l.to_vec()).collect(),
        }
    }
}

#[async_trait]
impl ImageView for FakeImage {
    fn reference(&self) -> String {
        self.reference.clone()
    }

    fn manifest(&self) -> &RawManifest {
        &self.manifest
    }

    async fn child(&self, child: &Descriptor) -> Result<Arc<dyn ImageView>, ContentError> {
        Err(ContentError::new(child.digest.to_string(), ContentErrorKind::NotFound))
    }

    async fn config(&self) -> Result<Bytes, ContentError> {
        Ok(self.config.clone().into())
    }

    fn is_known(&self, _digest: &Digest) -> bool {
        false
    }

    async fn base_chain(&self) -> Result<Vec<BaseImage>, ContentError> {
        let annotations = &self.manifest.image().expect("an image").annotations;
        let reference = annotations.get("org.opencontainers.image.base.name").map(str::to_owned);
        Ok(reference
            .map(|reference| BaseImage {
                reference: Some(reference),
                digest: None,
                evidence: "annotation",
                shared_layers: 0,
            })
            .into_iter()
            .collect())
    }

    async fn referrers(&self, _artifact_type: Option<&str>) -> Result<Vec<Descriptor>, ContentError> {
        Ok(vec![])
    }

    async fn open_referrer(&self, digest: &Digest) -> Result<Arc<dyn ImageView>, ContentError> {
        Err(ContentError::new(digest.to_string(), ContentErrorKind::NotFound))
    }

    async fn open_blob(&self, blob: &Descriptor) -> Result<BlobStream, ContentError> {
        let bytes = self.layers.iter().find(|l| Digest::of(l) == blob.digest);
        let bytes = bytes
            .cloned()
            .or_else(|| (Digest::of(&self.config) == blob.digest).then(|| self.config.clone()))
            .ok_or_else(|| ContentError::new(blob.digest.to_string(), ContentErrorKind::NotFound))?;
        Ok(Box::pin(futures_util::stream::iter([Ok(Bytes::from(bytes))])))
    }
}

/// Answers every request with two JSON documents, after one redirect.
#[derive(Default)]
pub(crate) struct FakeHttp {
    /// Where every request is redirected to.
    pub(crate) redirect: Mutex<Option<String>>,
    /// The headers of the last request.
    pub(crate) headers: Mutex<Vec<(String, String)>>,
    /// Whether requests stall for ever.
    pub(crate) stall: AtomicBool,
}

#[async_trait]
impl HttpFetch for FakeHttp {
    async fn fetch(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if self.stall.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        *self.headers.lock().expect("no panic") = request.headers;
        let target = self.redirect.lock().expect("no panic").clone();
        if let Some(url) = target
            && !(request.allow)(&url)
        {
            return Err(HttpError::Denied {
                url,
                reason: "the redirect leads to where it may not".to_owned(),
            });
        }
        let body = Box::pin(futures_util::stream::iter([Ok(Bytes::from_static(b"{\"a\":1}{\"b\":2}"))]));
        Ok(HttpResponse { status: 200, headers: vec![], final_url: request.url, body })
    }

    fn has_credential(&self, name: &str) -> bool {
        name == "reach"
    }
}
