//! Calls of the host that the guests of the other tests do not make, made from here.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use oc_mirror_engine::content::build::{Layer, LayerBuilder};
use oc_mirror_engine::content::filesystem::{Filesystem as Files, Kind};
use oc_mirror_engine::content::{
    BaseImage, BlobStream, ContentError, ContentErrorKind, ImageView, Images, Resolved,
};
use oc_mirror_engine::report::Silence;
use oc_mirror_engine::source::{
    HttpError, HttpFetch, HttpRequest, HttpResponse, Lent, PluginIdentity, RunInfo, Services,
};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::media_type;
use oc_mirror_model::reference::{Reference, Source};
use oc_mirror_model::report::Workflow;
use serde_json::json;

use crate::bindings::oc_mirror::plugin::plan::{BuildSpec, HostImageBuilder, HostSink};
use crate::bindings::oc_mirror::plugin::registry::{Host, HostEntries, HostFilesystem, HostImage};
use crate::bindings::oc_mirror::plugin::streams::{HostReader, HostWriter};
use crate::fault::{Answer, Fault, describe};
use crate::grants::{Grants, Permissions};
use crate::imports::plan::{Collecting, Sink};
use crate::limits::Limits;
use crate::state::{Shared, StoreState};

const IMAGE: &str = "registry.example/base:1";

/// An image of one layer.
struct OneLayer {
    manifest: RawManifest,
    config: Vec<u8>,
    layer: Layer,
}

impl OneLayer {
    async fn new(scratch: &Path) -> Self {
        let mut layer = LayerBuilder::new();
        layer.directory("etc", 0o755).expect("a path");
        layer.bytes("etc/motd", 0o644, "hello").expect("a path");
        layer.bytes("etc/deep/er", 0o600, "deeper").expect("a path");
        layer.symlink("etc/link", "motd").expect("a path");
        layer.bytes("other", 0o644, "no").expect("a path");
        let layer = layer.finish(scratch).await.expect("written");
        Self::of(layer)
    }

    fn of(layer: Layer) -> Self {
        let config = json!({
            "os": "linux", "architecture": "amd64", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id()]}
        });
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
            "config": Descriptor::of(media_type::OCI_CONFIG, &config),
            "layers": [layer.descriptor(media_type::OCI_LAYER_GZIP)],
        });
        let manifest = RawManifest::parse(manifest.to_string().into_bytes(), None).expect("a manifest");
        Self { manifest, config, layer }
    }
}

fn gone() -> ContentError {
    ContentError::new("test", ContentErrorKind::NotFound)
}

#[async_trait]
impl ImageView for OneLayer {
    fn reference(&self) -> String {
        IMAGE.to_owned()
    }

    fn manifest(&self) -> &RawManifest {
        &self.manifest
    }

    async fn child(&self, _: &Descriptor) -> Result<Arc<dyn ImageView>, ContentError> {
        Err(gone())
    }

    async fn config(&self) -> Result<Bytes, ContentError> {
        Ok(self.config.clone().into())
    }

    fn is_known(&self, _: &Digest) -> bool {
        true
    }

    async fn base_chain(&self) -> Result<Vec<BaseImage>, ContentError> {
        Ok(vec![])
    }

    async fn referrers(&self, _: Option<&str>) -> Result<Vec<Descriptor>, ContentError> {
        Ok(vec![])
    }

    async fn open_referrer(&self, _: &Digest) -> Result<Arc<dyn ImageView>, ContentError> {
        Err(gone())
    }

    async fn open_blob(&self, blob: &Descriptor) -> Result<BlobStream, ContentError> {
        match blob.digest == Digest::of(&self.config) {
            true => Ok(Box::pin(futures_util::stream::iter([Ok(self.config.clone().into())]))),
            false => self.layer.open(),
        }
    }
}

/// One image and no web.
struct World(Arc<OneLayer>);

#[async_trait]
impl Images for World {
    async fn resolve(&self, source: &Source) -> Result<Resolved, ContentError> {
        Ok(Resolved { source: source.clone(), descriptor: self.0.manifest.descriptor().clone() })
    }

    async fn tags(&self, _: &Reference, _: Option<&str>, _: usize) -> Result<Vec<String>, ContentError> {
        Ok(vec![])
    }

    async fn open(&self, _: &Source) -> Result<Arc<dyn ImageView>, ContentError> {
        Ok(self.0.clone())
    }

    async fn extend(&self, _: &std::path::Path, _: &Source) -> Result<(), ContentError> {
        Ok(())
    }
}

#[async_trait]
impl HttpFetch for World {
    async fn fetch(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
        Err(HttpError::Unavailable("no web".to_owned()))
    }

    fn has_credential(&self, _: &str) -> bool {
        false
    }
}

async fn state(scratch: &Path) -> StoreState {
    let world = Arc::new(World(Arc::new(OneLayer::new(scratch).await)));
    let all = ["registry", "build", "artifact"];
    let permissions = Permissions {
        plugin: "mine".to_owned(),
        wanted: Grants::wishes(&all).expect("wishes"),
        granted: Grants::parse(&all).expect("grants"),
    };
    let identity = PluginIdentity {
        name: "mine".to_owned(),
        id: "mine".to_owned(),
        version: "1.0.0".to_owned(),
        digest: Digest::of(b""),
    };
    let shared = Shared {
        identity,
        permissions: Arc::new(permissions),
        limits: Limits::source(),
        settings: "null".to_owned(),
        judges_content: false,
    };
    let mut state = StoreState::new(Arc::new(shared), false);
    let run = RunInfo {
        host_version: "1.0.0".to_owned(),
        workflow: Workflow::MirrorToDisk,
        offline: false,
        dry_run: false,
        time: "2026-01-02T03:04:05Z".to_owned(),
        sequence: 1,
        platforms: vec![],
        images: None,
    };
    let services = Services {
        images: world.clone(),
        http: world,
        events: Arc::new(Silence),
        scratch: scratch.to_owned(),
        cancelled: Arc::default(),
        state: Arc::default(),
        cache: None,
        unavailable: Arc::default(),
        signatures: Arc::new(oc_mirror_engine::source::NoKeys),
    };
    state.run = Some(Arc::new(Lent { run, services }));
    state.collecting = Some(Collecting::new(scratch).expect("a directory"));
    state
}

fn good<T>(answer: Answer<T>) -> T {
    match answer {
        Ok(value) => value,
        Err(Fault::Answer(error)) => panic!("{}", describe(&error)),
        Err(Fault::Trap(trap)) => panic!("{trap:?}"),
    }
}

fn build_spec(base: Option<&str>) -> BuildSpec {
    BuildSpec {
        kind: "catalog".to_owned(),
        origin: "registry.example/catalog:1".to_owned(),
        target_repository: "catalog".to_owned(),
        target_tag: "1".to_owned(),
        base: base.map(str::to_owned),
        platforms: vec![],
        provenance: vec![],
    }
}

/// Builds an image on the base: a subtree of it copied, a file written, a file removed.
async fn build(scratch: &Path) -> (StoreState, String) {
    let mut state = state(scratch).await;
    let s = &mut state;
    let image = good(Host::open(s, IMAGE.to_owned()).await);
    let sink = s.table.push(Sink).expect("room");
    let from = good(s.filesystem(image).await);
    let builder = good(s.build(sink, build_spec(Some(IMAGE))).await);
    let borrowed = || wasmtime::component::Resource::new_borrow(builder.rep());
    let from_borrowed = wasmtime::component::Resource::new_borrow(from.rep());
    let copied = good(s.copy_from(borrowed(), from_borrowed, "/etc".to_owned(), "/configs".to_owned()).await);
    assert_eq!(copied, 11);
    let writer = good(s.file(borrowed(), "/new/file".to_owned(), 0o755).await);
    let to = wasmtime::component::Resource::new_borrow(writer.rep());
    good(s.write(to, b"content".to_vec()).await);
    assert!(matches!(HostImageBuilder::finish(s, borrowed()).await, Err(Fault::Answer(_))), "a file is open");
    HostWriter::drop(s, writer).await.expect("dropped");
    good(s.remove(borrowed(), "other".to_owned()).await);
    s.label(borrowed(), "k".to_owned(), "v".to_owned()).await.expect("no trap");
    s.cmd(borrowed(), vec!["serve".to_owned()]).await.expect("no trap");
    let digest = good(HostImageBuilder::finish(s, borrowed()).await);
    assert!(matches!(HostImageBuilder::finish(s, borrowed()).await, Err(Fault::Answer(_))), "it is finished");
    HostImageBuilder::drop(s, builder).await.expect("dropped");
    (state, digest)
}

#[tokio::test]
async fn an_image_is_built_on_another_the_same_way_every_time() {
    let scratch = tempfile::tempdir().expect("a directory");
    let (mut state, digest) = build(scratch.path()).await;
    let again = tempfile::tempdir().expect("a directory");
    assert_eq!(build(again.path()).await.1, digest);

    let collected = state.collecting.take().expect("collecting").finish().expect("complete");
    let [built] = collected.images.as_slice() else { panic!("{:?}", collected.images) };
    assert_eq!((built.kind.as_str(), built.origin.as_str()), ("catalog", "registry.example/catalog:1"));
    let Source::Layout(layout) = built.parsed_source().expect("valid") else { panic!("{}", built.source) };
    let read =
        |digest: &Digest| std::fs::read(layout.path.join(digest.layout_path())).expect("in the layout");
    let manifest = RawManifest::parse(read(&digest.parse().expect("a digest")), None).expect("a manifest");
    let image = manifest.image().expect("an image");
    assert_eq!(image.layers.len(), 2);
    let config: serde_json::Value = serde_json::from_slice(&read(&image.config.digest)).expect("JSON");
    assert_eq!(config["config"], json!({"Labels": {"k": "v"}, "Cmd": ["serve"]}));

    // The layer of the base is left where it is: only what was made is written.
    let base = OneLayer::new(scratch.path()).await;
    assert_eq!(image.layers[0].digest, base.manifest.image().expect("an image").layers[0].digest);
    let written = |layer: &Descriptor| layout.path.join(layer.digest.layout_path()).exists();
    assert_eq!(image.layers.iter().map(written).collect::<Vec<_>>(), [false, true]);

    // What a container would see.
    let view = Built { manifest, dir: layout.path.clone(), base };
    let files = Files::index(&view).await.expect("readable");
    let seen: Vec<_> = files.list("").map(|e| e.path).collect();
    let expected = [
        "configs",
        "configs/deep",
        "configs/deep/er",
        "configs/link",
        "configs/motd",
        "etc",
        "etc/deep",
        "etc/deep/er",
        "etc/link",
        "etc/motd",
        "new",
        "new/file",
    ];
    assert_eq!(seen, expected);
    let link = files.entry("configs/link").expect("there");
    assert_eq!((link.kind, link.link_target.as_deref()), (Kind::Symlink, Some("motd")));
    assert_eq!(files.stat("configs/deep/er").expect("there").mode, 0o600);
}

/// What was built, read from its layout and, where it is not there, from its base.
struct Built {
    manifest: RawManifest,
    dir: std::path::PathBuf,
    base: OneLayer,
}

#[async_trait]
impl ImageView for Built {
    fn reference(&self) -> String {
        "built".to_owned()
    }

    fn manifest(&self) -> &RawManifest {
        &self.manifest
    }

    async fn child(&self, _: &Descriptor) -> Result<Arc<dyn ImageView>, ContentError> {
        Err(gone())
    }

    async fn config(&self) -> Result<Bytes, ContentError> {
        Err(gone())
    }

    fn is_known(&self, _: &Digest) -> bool {
        false
    }

    async fn base_chain(&self) -> Result<Vec<BaseImage>, ContentError> {
        Ok(vec![])
    }

    async fn referrers(&self, _: Option<&str>) -> Result<Vec<Descriptor>, ContentError> {
        Ok(vec![])
    }

    async fn open_referrer(&self, _: &Digest) -> Result<Arc<dyn ImageView>, ContentError> {
        Err(gone())
    }

    async fn open_blob(&self, blob: &Descriptor) -> Result<BlobStream, ContentError> {
        match std::fs::read(self.dir.join(blob.digest.layout_path())) {
            Ok(bytes) => Ok(Box::pin(futures_util::stream::iter([Ok(bytes.into())]))),
            Err(_) => self.base.open_blob(blob).await,
        }
    }
}

#[tokio::test]
async fn files_of_an_image_are_listed_and_read() {
    let scratch = tempfile::tempdir().expect("a directory");
    let mut state = state(scratch.path()).await;
    let s = &mut state;
    let image = good(Host::open(s, IMAGE.to_owned()).await);
    let files = good(s.filesystem(image).await);
    let borrowed = || wasmtime::component::Resource::new_borrow(files.rep());
    assert!(good(s.stat(borrowed(), "../../nothing".to_owned()).await).is_none());
    let found = good(s.stat(borrowed(), "/etc/link".to_owned()).await).expect("there");
    assert_eq!((found.path.as_str(), found.kind.as_str(), found.size), ("etc/motd", "file", 5));
    let entries = good(s.list(borrowed(), "etc".to_owned()).await);
    let next = || wasmtime::component::Resource::new_borrow(entries.rep());
    let first = good(HostEntries::next(s, next(), 1).await);
    assert_eq!(first.len(), 1);
    let rest = good(HostEntries::next(s, next(), 100).await);
    let paths: Vec<_> = rest.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(paths, ["etc/deep/er", "etc/link", "etc/motd"]);
    assert!(good(HostEntries::next(s, next(), 100).await).is_empty());
    let reader = good(HostFilesystem::open(s, borrowed(), "etc/motd".to_owned()).await);
    assert_eq!(good(s.read(reader, 100).await), b"hello");
}

#[tokio::test]
async fn only_so_many_file_systems_are_open_at_one_time() {
    let scratch = tempfile::tempdir().expect("a directory");
    let mut state = state(scratch.path()).await;
    let s = &mut state;
    let image = good(Host::open(s, IMAGE.to_owned()).await);
    let borrowed = || wasmtime::component::Resource::new_borrow(image.rep());
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(good(s.filesystem(borrowed()).await));
    }
    assert!(matches!(s.filesystem(borrowed()).await, Err(Fault::Answer(_))));
    HostFilesystem::drop(s, open.pop().expect("eight")).await.expect("dropped");
    assert!(s.filesystem(borrowed()).await.is_ok());
}
