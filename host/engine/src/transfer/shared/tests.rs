//! Several targets in memory, and a source that counts what is read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use oc_mirror_model::media_type;
use oc_mirror_model::reference::Tag;

use super::*;
use crate::content::memory::Memory;
use crate::content::{ContentErrorKind, ContentWrite, TagStore};
use crate::report::Silence;
use crate::transfer::publish::{Endpoint, Publisher};
use crate::transfer::{Parallelism, Retry};

const REPOSITORIES: [&str; 3] = ["team/a", "team/b", "team/c"];

fn repository(text: &str) -> Repository {
    text.parse().expect("a repository")
}

/// A source that counts how often each blob is opened, and may break.
#[derive(Default)]
struct Source {
    memory: Memory,
    opened: Mutex<BTreeMap<Digest, Vec<u64>>>,
    breaks: bool,
}

#[async_trait]
impl ContentRead for Source {
    fn name(&self) -> String {
        "source".to_owned()
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<RawManifest, ContentError> {
        self.memory.manifest(repository, selector).await
    }

    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        self.opened.lock().expect("unpoisoned").entry(blob.digest.clone()).or_default().push(offset);
        let whole = self.memory.blob(repository, blob, offset).await?.next().await.expect("a piece")?;
        let pieces: Vec<Bytes> = whole.chunks(1000).map(Bytes::copy_from_slice).collect();
        let pieces = futures_util::stream::iter(pieces.into_iter().map(Ok));
        if !self.breaks || offset > 0 {
            return Ok(Box::pin(pieces));
        }
        let broken = ContentError::new("source", ContentErrorKind::Unavailable("reset".to_owned()));
        Ok(Box::pin(pieces.take(2).chain(futures_util::stream::iter([Err(broken)]))))
    }
}

impl Supply for Arc<Source> {
    fn supply(&self, image: &PublishImage, _: &Descriptor) -> Option<Place> {
        Some((self.clone(), image.repository.clone()))
    }
}

/// What a target does with blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Takes,
    Fails,
    Hangs,
    /// Takes a piece in so many milliseconds.
    Slow(u64),
    MountsNothing,
}

struct Target {
    memory: Memory,
    mood: Mood,
    puts: AtomicUsize,
}

#[async_trait]
impl ContentRead for Target {
    fn name(&self) -> String {
        "target".to_owned()
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<RawManifest, ContentError> {
        self.memory.manifest(repository, selector).await
    }

    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        self.memory.blob(repository, blob, offset).await
    }
}

#[async_trait]
impl ContentWrite for Target {
    fn name(&self) -> String {
        "target".to_owned()
    }

    async fn has_blob(&self, repository: &Repository, blob: &Descriptor) -> Result<bool, ContentError> {
        self.memory.has_blob(repository, blob).await
    }

    async fn has_manifest(&self, repository: &Repository, digest: &Digest) -> Result<bool, ContentError> {
        self.memory.has_manifest(repository, digest).await
    }

    async fn mount(
        &self,
        repository: &Repository,
        from: &Repository,
        blob: &Descriptor,
    ) -> Result<bool, ContentError> {
        Ok(self.mood != Mood::MountsNothing && self.memory.mount(repository, from, blob).await?)
    }

    async fn put_blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        body: BlobStream,
    ) -> Result<(), ContentError> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        match self.mood {
            Mood::Fails => {
                let kind = ContentErrorKind::Denied;
                Err(ContentError::new("target", kind))
            }
            Mood::Hangs => std::future::pending().await,
            Mood::Slow(pause) => {
                let slow = body.then(move |piece| async move {
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    piece
                });
                self.memory.put_blob(repository, blob, Box::pin(slow)).await
            }
            Mood::Takes | Mood::MountsNothing => self.memory.put_blob(repository, blob, body).await,
        }
    }

    async fn put_manifest(
        &self,
        repository: &Repository,
        manifest: &RawManifest,
    ) -> Result<(), ContentError> {
        self.memory.put_manifest(repository, manifest).await
    }
}

#[async_trait]
impl TagStore for Target {
    async fn resolve_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<Option<Descriptor>, ContentError> {
        self.memory.resolve_tag(repository, tag).await
    }

    async fn put_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
        manifest: &RawManifest,
    ) -> Result<(), ContentError> {
        self.memory.put_tag(repository, tag, manifest).await
    }

    async fn list_tags(&self, repository: &Repository) -> Result<Vec<Tag>, ContentError> {
        self.memory.list_tags(repository).await
    }
}

async fn put(memory: &Memory, repository: &Repository, media_type: &str, bytes: &[u8]) -> Descriptor {
    let blob = Descriptor::of(media_type, bytes);
    let body: BlobStream = Box::pin(futures_util::stream::iter([Ok(Bytes::copy_from_slice(bytes))]));
    memory.put_blob(repository, &blob, body).await.expect("put");
    blob
}

/// Puts three images of some layers each into the source; one layer is in all of them.
async fn images(source: &Source) -> Vec<PublishImage> {
    let mut images = Vec::new();
    for (number, name) in (0_u8..).zip(REPOSITORIES) {
        let repository = repository(name);
        let config = put(&source.memory, &repository, media_type::OCI_CONFIG, &[b'{', number, b'}']).await;
        let mut layers = Vec::new();
        for layer in 0..8_u8 {
            let content = if layer == 0 { vec![0; 5000] } else { vec![layer * 16 + number; 20_000] };
            layers.push(put(&source.memory, &repository, media_type::OCI_LAYER_GZIP, &content).await);
        }
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": layers,
        });
        let manifest = RawManifest::parse(manifest.to_string().into_bytes(), None).expect("a manifest");
        source.memory.put_manifest(&repository, &manifest).await.expect("put");
        images.push(PublishImage {
            origin: format!("quay.io/{name}:v1"),
            repository,
            tag: "v1".parse().expect("a tag"),
            root: manifest.descriptor().clone(),
            manifests: vec![manifest.descriptor().clone()].into(),
            blobs: layers.into_iter().chain([config]).collect(),
            referrers: None,
        });
    }
    images
}

struct Scene {
    source: Arc<Source>,
    images: Vec<PublishImage>,
    targets: Vec<Arc<Target>>,
}

impl Scene {
    async fn new(source: Source, moods: &[Mood]) -> Self {
        let source = Arc::new(source);
        let images = images(&source).await;
        let target =
            |mood: &Mood| Target { memory: Memory::default(), mood: *mood, puts: AtomicUsize::new(0) };
        let targets = moods.iter().map(|mood| Arc::new(target(mood))).collect();
        Self { source, images, targets }
    }

    /// Publishes to all targets; returns how many images failed at each.
    async fn publish(&self, patience: Duration) -> (Vec<usize>, Reads) {
        let (sharing, seats) = Sharing::with_patience(self.targets.len(), patience);
        let seats: Vec<Arc<Seat>> = seats.into_iter().map(Arc::new).collect();
        for seat in &seats {
            seat.expect(self.images.iter().flat_map(|image| &image.blobs).map(|blob| &blob.digest));
        }
        let runs = self.targets.iter().zip(seats).map(|(target, seat)| async move {
            let supply = seat.supply(Arc::new(self.source.clone()));
            let endpoint: Arc<dyn Endpoint> = target.clone();
            let parallelism = Parallelism { images: 2, blobs: 3 };
            let known = Default::default();
            let publisher =
                Publisher::new(endpoint, supply, known, parallelism, Retry::default(), Arc::new(Silence));
            publisher.publish(&self.images).await.len()
        });
        (join_all(runs).await, sharing.reads())
    }

    async fn assert_whole(&self, target: usize) {
        for image in &self.images {
            let memory = &self.targets[target].memory;
            let tagged = memory.resolve_tag(&image.repository, &image.tag).await.expect("readable");
            assert_eq!(tagged.map(|t| t.digest), Some(image.root.digest.clone()), "{}", image.origin);
            for blob in &image.blobs {
                assert!(
                    memory.has_blob(&image.repository, blob).await.expect("readable"),
                    "{}",
                    image.origin
                );
            }
        }
    }

    /// Fails the test unless each blob was opened once, from its beginning.
    fn assert_read_once(&self) {
        let opened = self.source.opened.lock().expect("unpoisoned");
        assert_eq!(opened.len(), 3 * 7 + 1 + 3, "every distinct blob");
        assert!(opened.values().all(|offsets| *offsets == [0]), "{opened:?}");
    }
}

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn each_blob_is_read_once_for_all_targets() {
    let scene = Scene::new(Source::default(), &[Mood::Takes, Mood::Slow(1), Mood::Takes]).await;
    let (failed, reads) = scene.publish(LONG).await;
    assert_eq!(failed, [0, 0, 0]);
    scene.assert_read_once();
    assert_eq!(reads.blobs, 25);
    for target in 0..3 {
        scene.assert_whole(target).await;
    }
}

#[tokio::test]
async fn what_a_target_has_is_read_for_the_others_only() {
    let scene = Scene::new(Source::default(), &[Mood::Takes, Mood::Takes]).await;
    for image in &scene.images[..2] {
        for blob in &image.blobs {
            let body = scene.source.memory.blob(&image.repository, blob, 0).await.expect("there");
            scene.targets[0].memory.put_blob(&image.repository, blob, body).await.expect("put");
        }
    }
    let (failed, _) = scene.publish(LONG).await;
    assert_eq!(failed, [0, 0]);
    scene.assert_read_once();
    scene.assert_whole(0).await;
    scene.assert_whole(1).await;
    // The shared layer is mounted.
    assert_eq!(scene.targets[0].puts.load(Ordering::Relaxed), 8);
    assert_eq!(scene.targets[1].puts.load(Ordering::Relaxed), 25);
}

#[tokio::test]
async fn a_target_that_fails_fails_alone() {
    let scene = Scene::new(Source::default(), &[Mood::Takes, Mood::Fails]).await;
    let (failed, _) = scene.publish(LONG).await;
    assert_eq!(failed, [0, 3]);
    scene.assert_whole(0).await;
    scene.assert_read_once();
}

#[tokio::test]
async fn a_target_that_hangs_does_not_stop_the_others() {
    let scene = Scene::new(Source::default(), &[Mood::Hangs, Mood::Takes]).await;
    let run = tokio::time::timeout(Duration::from_secs(5), scene.publish(Duration::from_millis(300)));
    assert!(run.await.is_err(), "the first target is still at it");
    scene.assert_whole(1).await;
}

#[tokio::test]
async fn a_slow_target_goes_on_by_itself_from_where_it_is() {
    let scene = Scene::new(Source::default(), &[Mood::Slow(60), Mood::Takes]).await;
    let (failed, _) = scene.publish(Duration::from_millis(200)).await;
    assert_eq!(failed, [0, 0]);
    scene.assert_whole(0).await;
    scene.assert_whole(1).await;
    let opened = scene.source.opened.lock().expect("unpoisoned");
    assert!(opened.values().flatten().any(|offset| *offset > 0), "{opened:?}");
}

#[tokio::test]
async fn where_the_source_breaks_off_each_goes_on() {
    let source = Source { breaks: true, ..Source::default() };
    let scene = Scene::new(source, &[Mood::Takes, Mood::Takes]).await;
    let (failed, _) = scene.publish(LONG).await;
    assert_eq!(failed, [0, 0]);
    scene.assert_whole(0).await;
    scene.assert_whole(1).await;
}

#[tokio::test]
async fn orders_of_mounts_do_not_matter() {
    for _ in 0..20 {
        let scene = Scene::new(Source::default(), &[Mood::MountsNothing, Mood::Takes, Mood::Slow(0)]).await;
        let run = tokio::time::timeout(Duration::from_secs(20), scene.publish(LONG)).await;
        assert_eq!(run.expect("nobody waits for ever").0, [0, 0, 0]);
    }
}
