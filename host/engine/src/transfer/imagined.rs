//! Publishing that is only imagined: [`Imagined`] is a target that is asked and not written to, and [`Unread`] content that is
//! not read. A publisher that works with both finds out what it would send, and nothing moves.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::forecast::Amount;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Repository, Selector, Tag};

use super::publish::{Endpoint, Place, PublishImage, Supply};
use crate::content::{BlobStream, ContentError, ContentRead, ContentWrite, TagStore};

/// A target as it would be if what was put there had been put.
///
/// A mount is imagined to succeed: whether a registry mounts what one may read is known only by trying.
pub struct Imagined {
    inner: Arc<dyn Endpoint>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    blobs: HashSet<(Repository, Digest)>,
    manifests: HashSet<(Repository, Digest)>,
    tags: HashMap<(Repository, Tag), Descriptor>,
    /// What would have to be sent, with its size.
    sent: HashMap<Digest, u64>,
    requests: u64,
}

impl Imagined {
    /// Imagines that a target is published to.
    pub fn new(inner: Arc<dyn Endpoint>) -> Self {
        Self { inner, state: Mutex::default() }
    }

    /// Returns how many requests it would have got that change something.
    pub fn requests(&self) -> u64 {
        self.state().requests
    }

    /// Splits the blobs of images that were published into those that would be sent, and those that are there. Each counts once.
    pub fn split<'a>(&self, blobs: impl IntoIterator<Item = &'a Descriptor>) -> (Amount, Amount) {
        let state = self.state();
        let (mut sent, mut there, mut seen) = (Amount::default(), Amount::default(), HashSet::new());
        for blob in blobs.into_iter().filter(|blob| seen.insert(&blob.digest)) {
            match state.sent.contains_key(&blob.digest) {
                true => sent.add(blob.size),
                false => there.add(blob.size),
            }
        }
        (sent, there)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

/// A stream of nothing.
fn nothing() -> BlobStream {
    Box::pin(futures_util::stream::empty())
}

#[async_trait]
impl ContentRead for Imagined {
    fn name(&self) -> String {
        ContentRead::name(self.inner.as_ref())
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<RawManifest, ContentError> {
        self.inner.manifest(repository, selector).await
    }

    async fn blob(&self, _: &Repository, _: &Descriptor, _: u64) -> Result<BlobStream, ContentError> {
        Ok(nothing())
    }

    async fn find(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<Option<Descriptor>, ContentError> {
        self.inner.find(repository, selector).await
    }

    fn found_at(&self, repository: &Repository, digest: &Digest) -> Option<String> {
        self.inner.found_at(repository, digest)
    }

    async fn list_referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, ContentError> {
        self.inner.list_referrers(repository, subject).await
    }
}

#[async_trait]
impl ContentWrite for Imagined {
    fn name(&self) -> String {
        ContentWrite::name(self.inner.as_ref())
    }

    async fn has_blob(&self, repository: &Repository, blob: &Descriptor) -> Result<bool, ContentError> {
        if self.state().blobs.contains(&(repository.clone(), blob.digest.clone())) {
            return Ok(true);
        }
        self.inner.has_blob(repository, blob).await
    }

    async fn has_manifest(&self, repository: &Repository, digest: &Digest) -> Result<bool, ContentError> {
        if self.state().manifests.contains(&(repository.clone(), digest.clone())) {
            return Ok(true);
        }
        self.inner.has_manifest(repository, digest).await
    }

    async fn mount(
        &self,
        repository: &Repository,
        from: &Repository,
        blob: &Descriptor,
    ) -> Result<bool, ContentError> {
        let was_put = self.state().blobs.contains(&(from.clone(), blob.digest.clone()));
        // The record may say that something is where it is no longer. Asking is a request, as the mount would be.
        let there = was_put || self.inner.has_blob(from, blob).await?;
        let mut state = self.state();
        state.requests += u64::from(was_put);
        if there {
            state.blobs.insert((repository.clone(), blob.digest.clone()));
        }
        Ok(there)
    }

    async fn put_blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        _body: BlobStream,
    ) -> Result<(), ContentError> {
        let mut state = self.state();
        // An upload is begun, and then sent in one request.
        state.requests += 2;
        state.blobs.insert((repository.clone(), blob.digest.clone()));
        state.sent.insert(blob.digest.clone(), blob.size);
        Ok(())
    }

    async fn put_manifest(
        &self,
        repository: &Repository,
        manifest: &RawManifest,
    ) -> Result<(), ContentError> {
        let mut state = self.state();
        state.requests += 1;
        state.manifests.insert((repository.clone(), manifest.digest().clone()));
        Ok(())
    }
}

#[async_trait]
impl TagStore for Imagined {
    async fn resolve_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<Option<Descriptor>, ContentError> {
        let put = self.state().tags.get(&(repository.clone(), tag.clone())).cloned();
        match put {
            Some(descriptor) => Ok(Some(descriptor)),
            None => self.inner.resolve_tag(repository, tag).await,
        }
    }

    async fn put_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
        manifest: &RawManifest,
    ) -> Result<(), ContentError> {
        self.put_manifest(repository, manifest).await?;
        let descriptor = manifest.descriptor().clone();
        self.state().tags.insert((repository.clone(), tag.clone()), descriptor);
        Ok(())
    }

    async fn list_tags(&self, repository: &Repository) -> Result<Vec<Tag>, ContentError> {
        self.inner.list_tags(repository).await
    }
}

/// What blobs a publisher asked for, of those that are not on this machine.
#[derive(Default)]
pub struct Asked {
    blobs: Mutex<HashMap<Digest, (String, u64)>>,
}

impl Asked {
    /// Returns how much was asked for, by the place that has it; each blob counts once.
    pub fn by_place(&self) -> BTreeMap<String, Amount> {
        let mut places: BTreeMap<String, Amount> = BTreeMap::new();
        for (place, size) in self.blobs.lock().expect("no holder of this lock panics").values() {
            places.entry(place.clone()).or_default().add(*size);
        }
        places
    }
}

/// A supply of which manifests are read, and blobs only noted.
pub struct Unread {
    inner: Arc<dyn Supply>,
    asked: Arc<Asked>,
}

impl Unread {
    /// Makes one that notes what is asked for.
    pub fn new(inner: Arc<dyn Supply>, asked: Arc<Asked>) -> Self {
        Self { inner, asked }
    }
}

impl Supply for Unread {
    fn supply(&self, image: &PublishImage, content: &Descriptor) -> Option<Place> {
        let (read, repository) = self.inner.supply(image, content)?;
        Some((Arc::new(UnreadPlace { inner: read, asked: self.asked.clone() }), repository))
    }

    fn is_steady(&self) -> bool {
        self.inner.is_steady()
    }

    fn settled(&self, digest: &Digest) {
        self.inner.settled(digest);
    }
}

struct UnreadPlace {
    inner: Arc<dyn ContentRead>,
    asked: Arc<Asked>,
}

#[async_trait]
impl ContentRead for UnreadPlace {
    fn name(&self) -> String {
        self.inner.name()
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<RawManifest, ContentError> {
        self.inner.manifest(repository, selector).await
    }

    async fn blob(&self, _: &Repository, blob: &Descriptor, _: u64) -> Result<BlobStream, ContentError> {
        if !self.inner.is_at_hand(blob) {
            let mut blobs = self.asked.blobs.lock().expect("no holder of this lock panics");
            blobs.insert(blob.digest.clone(), (self.inner.name(), blob.size));
        }
        Ok(nothing())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use oc_mirror_model::reference::Repository;

    use super::super::publish::Publisher;
    use super::super::{Parallelism, Retry};
    use super::*;
    use crate::content::memory::Memory;
    use crate::report::Silence;

    struct Everything(Arc<dyn ContentRead>);

    impl Supply for Everything {
        fn supply(&self, image: &PublishImage, _: &Descriptor) -> Option<Place> {
            Some((self.0.clone(), image.repository.clone()))
        }
    }

    fn body(bytes: &'static [u8]) -> BlobStream {
        Box::pin(futures_util::stream::iter([Ok(bytes::Bytes::from_static(bytes))]))
    }

    #[tokio::test]
    async fn what_would_be_sent_is_told_and_nothing_is() {
        let repository: Repository = "a".parse().expect("a repository");
        let (source, target) = (Arc::new(Memory::default()), Arc::new(Memory::default()));
        let (config, layer) = (Descriptor::of("c", b"config"), Descriptor::of("l", b"layer"));
        for (blob, bytes) in [(&config, b"config".as_slice()), (&layer, b"layer")] {
            source.put_blob(&repository, blob, body(bytes)).await.expect("put");
        }
        target.put_blob(&repository, &layer, body(b"layer")).await.expect("put");
        let text = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": oc_mirror_model::media_type::OCI_MANIFEST,
            "config": config,
            "layers": [layer],
        });
        let bytes = serde_json::to_vec(&text).expect("serialises");
        let manifest = RawManifest::parse(bytes, None).expect("a manifest");
        source.put_manifest(&repository, &manifest).await.expect("put");
        let image = PublishImage {
            origin: "x".to_owned(),
            repository: repository.clone(),
            tag: "v1".parse().expect("a tag"),
            root: manifest.descriptor().clone(),
            manifests: vec![manifest.descriptor().clone()].into(),
            blobs: vec![config.clone(), layer.clone()].into(),
            referrers: None,
        };
        let imagined = Arc::new(Imagined::new(target.clone()));
        let asked = Arc::new(Asked::default());
        let supply = Arc::new(Unread::new(Arc::new(Everything(source)), asked.clone()));
        let (parallelism, retry) = (Parallelism::default(), Retry { times: 0, delay: None });
        let publisher =
            Publisher::new(imagined.clone(), supply, BTreeMap::new(), parallelism, retry, Arc::new(Silence));
        assert!(publisher.publish(std::slice::from_ref(&image)).await.is_empty());
        let totals = publisher.totals();
        assert_eq!((totals.blobs, totals.skipped_blobs, totals.manifests), (1, 1, 1));
        let (sent, there) = imagined.split(&image.blobs);
        assert_eq!((sent, there), (Amount { blobs: 1, bytes: 6 }, Amount { blobs: 1, bytes: 5 }));
        assert_eq!(asked.by_place().values().copied().collect::<Vec<_>>(), [sent]);
        assert!(!target.has_blob(&repository, &config).await.expect("answers"));
        assert!(imagined.resolve_tag(&repository, &image.tag).await.expect("answers").is_some());
    }
}
