//! One suite for every backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Repository, Selector, Tag};
use oc_mirror_testkit::{Action, FaultRegistry, Moto, Registry, Rule};
use rstest::rstest;
use tokio::sync::Notify;

use super::in_bucket::InBucket;
use super::in_registry::InRegistry;
use super::local::Local;
use super::*;
use crate::bucket::Bucket;
use crate::content::memory::Memory;
use crate::content::{BlobStream, ContentRead, TagStore};

const UID: Uuid = Uuid::from_u128(7);

fn revision(found: &Option<Stored>) -> Option<&Digest> {
    found.as_ref().map(|found| &found.revision)
}

async fn behaves(store: &dyn MetadataStore) {
    assert_eq!(store.load(UID).await.expect("readable"), None);
    assert!(store.chains().await.expect("readable").is_empty());
    let mut chain = Chain::new(UID);
    store.commit(&chain, None).await.expect("first commit");
    let found = store.load(UID).await.expect("readable").expect("there");
    assert_eq!(found.chain, chain);
    assert_eq!(store.chains().await.expect("readable"), [UID]);

    assert!(matches!(store.commit(&chain, None).await, Err(MetadataError::Conflict { .. })));
    chain.imagesets.push(oc_mirror_model::metadata::ImagesetRecord {
        sequence: 1,
        base: 0,
        index: None,
        created: "1970-01-01T00:00:00Z".to_owned(),
        images: Vec::new().into(),
        plugin_state: Default::default(),
        files: Default::default(),
        quarantined: Vec::new(),
    });
    store.commit(&chain, Some(&found.revision)).await.expect("second commit");
    assert!(matches!(store.commit(&chain, Some(&found.revision)).await, Err(MetadataError::Conflict { .. })));
    assert_eq!(store.load(UID).await.expect("readable").expect("there").chain.sequence(), 1);
}

#[tokio::test]
async fn a_file() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Local::new(dir.path().join("metadata.json"));
    behaves(&store).await;
    let other = store.load(Uuid::from_u128(8)).await;
    assert!(matches!(other, Err(MetadataError::OtherChain { .. })));
}

#[tokio::test]
async fn a_registry() {
    let prefix = "some/prefix".parse().expect("a repository");
    behaves(&InRegistry::new(Arc::new(Memory::default()), Some(&prefix))).await;
}

#[test]
fn newer_and_damaged_records_are_refused() {
    let newer = br#"{"format":"2.0","uid":"x"}"#;
    assert!(matches!(parse(newer, "x", UID), Err(MetadataError::Newer { .. })));
    assert!(matches!(parse(b"{", "x", UID), Err(MetadataError::Damaged { .. })));
}

#[tokio::test]
async fn an_image_of_its_own() {
    let registry = Arc::new(Memory::default());
    let store = || InRegistry::at(registry.clone(), repository(), "latest".parse().expect("a tag"));
    behaves(&store()).await;
    let other = store().load(Uuid::from_u128(8)).await;
    assert!(matches!(other, Err(MetadataError::OtherChain { .. })));
}

#[tokio::test]
async fn a_bucket() {
    let Some(moto) = Moto::start() else { return };
    moto.make_bucket("mirror");
    let open = |endpoint: &str| {
        let settings = crate::bucket::tests::settings(endpoint, "s3://mirror/prod");
        InBucket::new(Arc::new(Bucket::new(&settings).expect("settings are good")))
    };
    behaves(&open(&moto.endpoint())).await;
    assert_eq!(moto.keys("mirror"), ["prod/metadata.json"]);
    let other = open(&moto.endpoint()).load(Uuid::from_u128(8)).await;
    assert!(matches!(other, Err(MetadataError::OtherChain { .. })));

    // One that would overwrite what another has just written is never written to.
    let careless = FaultRegistry::in_front_of(&moto.host());
    careless.rule(Rule::on("PUT", "").then(Action::StripRequestHeader("if-match".to_owned())));
    let store = open(&careless.url());
    let before = moto.object("mirror", "prod/metadata.json");
    assert!(store.rehearse().await.is_err());
    let found = store.load(UID).await.expect("readable");
    assert!(matches!(
        store.commit(&changed(UID, "mine"), revision(&found)).await,
        Err(MetadataError::Content { .. })
    ));
    assert_eq!(moto.object("mirror", "prod/metadata.json"), before);
}

#[tokio::test]
async fn many_at_once_in_a_bucket_commit_one_after_the_other() {
    let Some(moto) = Moto::start() else { return };
    moto.make_bucket("mirror");
    let store = || -> Box<dyn MetadataStore> {
        let settings = crate::bucket::tests::settings(&moto.endpoint(), "s3://mirror");
        Box::new(InBucket::new(Arc::new(Bucket::new(&settings).expect("settings are good"))))
    };
    race(&store, 6).await;
}

#[tokio::test]
async fn many_at_once_in_a_registry_lose_nothing_unnoticed() {
    let registry = Registry::start();
    let host: oc_mirror_model::reference::Registry = registry.host().parse().expect("a host");
    let settings = crate::registry::ClientSettings {
        net: crate::net::NetSettings { tls_verify: false, ..Default::default() },
        credentials: Arc::default(),
        retry: crate::net::Retry::default(),
        max_requests: 4,
        profile: None,
        events: Arc::new(crate::report::Silence),
    };
    let store = || -> Box<dyn MetadataStore> {
        let client = crate::registry::Client::new(&host, settings.clone()).expect("settings are good");
        Box::new(InRegistry::new(Arc::new(client), None))
    };
    race(&store, 6).await;
}

/// Lets two commit at once, many times: one of them wins, and what it wrote is there.
async fn race(store: &dyn Fn() -> Box<dyn MetadataStore>, rounds: u128) {
    for round in 0..rounds {
        let (one, two) = (store(), store());
        let found = one.load(UID).await.expect("readable");
        let (mine, theirs) = (changed(UID, &format!("{round} one")), changed(UID, &format!("{round} two")));
        let outcomes =
            futures_util::join!(one.commit(&mine, revision(&found)), two.commit(&theirs, revision(&found)));
        let winner = match outcomes {
            (Ok(()), Err(MetadataError::Conflict { .. })) => mine,
            (Err(MetadataError::Conflict { .. }), Ok(())) => theirs,
            other => panic!("round {round}: {other:?}"),
        };
        assert_eq!(store().load(UID).await.expect("readable").expect("there").chain, winner);
    }
}

/// A record that differs from others by a word.
fn changed(uid: Uuid, word: &str) -> Chain {
    let mut chain = Chain::new(uid);
    chain.imagesets.push(oc_mirror_model::metadata::ImagesetRecord {
        sequence: 1,
        base: 0,
        index: None,
        created: word.to_owned(),
        images: Vec::new().into(),
        plugin_state: Default::default(),
        files: Default::default(),
        quarantined: Vec::new(),
    });
    chain
}

fn repository() -> Repository {
    "some/metadata".parse().expect("a repository")
}

/// A registry in which somebody else begins to commit right before a request of the first, who then is slow.
struct Meddled {
    inner: Arc<Memory>,
    /// Counts down to the request.
    until: AtomicUsize,
    start: Notify,
    pause: Duration,
}

impl Meddled {
    async fn pass(&self) {
        if self.until.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.start.notify_one();
            tokio::time::sleep(self.pause).await;
        }
    }
}

#[async_trait]
impl ContentRead for Meddled {
    fn name(&self) -> String {
        ContentRead::name(self.inner.as_ref())
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<RawManifest, ContentError> {
        self.pass().await;
        self.inner.manifest(repository, selector).await
    }

    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        self.inner.blob(repository, blob, offset).await
    }
}

#[async_trait]
impl TagStore for Meddled {
    async fn resolve_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<Option<Descriptor>, ContentError> {
        self.inner.resolve_tag(repository, tag).await
    }

    async fn put_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
        manifest: &RawManifest,
    ) -> Result<(), ContentError> {
        self.pass().await;
        self.inner.put_tag(repository, tag, manifest).await
    }

    async fn list_tags(&self, repository: &Repository) -> Result<Vec<Tag>, ContentError> {
        self.inner.list_tags(repository).await
    }
}

#[rstest]
#[tokio::test]
async fn whoever_comes_in_between_nothing_is_lost_unnoticed(
    #[values(1, 2, 3, 4, 5, 6, 7, 8, 9)] request: usize,
    #[values(false, true)] first: bool,
    // Much less, and much more, than the other waits for.
    #[values(50, 1200)] pause: u64,
) {
    let pause = Duration::from_millis(pause);
    let inner = Arc::new(Memory::default());
    let tag = || "latest".parse().expect("a tag");
    let theirs = InRegistry::at(inner.clone(), repository(), tag());
    let found = match first {
        true => None,
        false => {
            theirs.commit(&changed(UID, "before"), None).await.expect("committed");
            theirs.load(UID).await.expect("readable")
        }
    };
    let meddled =
        Arc::new(Meddled { inner: inner.clone(), until: request.into(), start: Notify::new(), pause });
    let settle = Duration::from_millis(500);
    let mine = InRegistry::at(inner, repository(), tag()).through(meddled.clone(), settle);
    let theirs = theirs.with_settle(settle);
    let (one, two) = (changed(UID, "one"), changed(UID, "two"));
    let (of_one, of_two) = futures_util::join!(mine.commit(&one, revision(&found)), async {
        let comes = tokio::time::timeout(Duration::from_secs(60), meddled.start.notified());
        comes.await.expect("a commit makes so many requests");
        theirs.commit(&two, revision(&found)).await
    });
    let now = theirs.load(UID).await.expect("readable").expect("there").chain;
    assert!(of_one.is_err() || now == one, "the first was told that its record is there");
    assert!(of_two.is_err() || now == two, "the second was told that its record is there");
    assert!(of_one.is_ok() || of_two.is_ok(), "one of them gets through");
}
