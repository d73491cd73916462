//! Puts images where they are to be pulled from: [`Publisher`].
//!
//! Every blob of an image is skipped, mounted, streamed or fetched from the target, in this order of preference.
//! Blobs come before manifests, children before indexes, the tag last; so what a tag reaches is always whole.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::{StreamExt, TryStreamExt, stream};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::few::Few;
use oc_mirror_model::manifest::{Descriptor, Descriptors, RawManifest};
use oc_mirror_model::reference::{Repository, Selector, Tag};
use oc_mirror_model::report::Totals;

use super::fetch::{expect, open, signed};
use super::image_time::within;
use super::known::Known;
use super::referrers::ReferrersOf;
use super::schedule::Schedule;
use super::{ImageTime, Parallelism, Retry, retrying};
use crate::content::{ContentError, ContentErrorKind, ContentRead, ContentWrite, TagStore};
use crate::report::{Event, Moving, SharedEvents};

/// Anything that images can be published to, and read back from.
pub trait Endpoint: ContentRead + ContentWrite + TagStore {}

impl<T: ContentRead + ContentWrite + TagStore + ?Sized> Endpoint for T {}

/// A place that has content, and the repository there.
pub type Place = (Arc<dyn ContentRead>, Repository);

/// One image to publish.
#[derive(Clone)]
pub struct PublishImage {
    /// Its name, for messages.
    pub origin: String,
    /// The repository at the target, prefix included.
    pub repository: Repository,
    /// The tag.
    pub tag: Tag,
    /// What the tag is to point at.
    pub root: Descriptor,
    /// All manifests, children first, the root last.
    pub manifests: Descriptors,
    /// All blobs.
    pub blobs: Descriptors,
    /// Says that it is a list of referrers, if it is one.
    pub referrers: Option<ReferrersOf>,
}

/// Where content can be had from, other than the target.
pub trait Supply: Send + Sync {
    /// Returns a place that has it: the imageset, or the registry it comes from.
    fn supply(&self, image: &PublishImage, content: &Descriptor) -> Option<Place>;

    /// Answers whether reading again gives the same bytes, so that damaged content stays damaged.
    fn is_steady(&self) -> bool {
        false
    }

    /// Is told that a target has content now, or goes on without it.
    fn settled(&self, _digest: &Digest) {}
}

/// Publishes images to one target.
pub struct Publisher {
    pub(super) target: Arc<dyn Endpoint>,
    supply: Arc<dyn Supply>,
    /// Repositories at the target that have a blob for all we know: from the chain's record, and from this run.
    known: Mutex<Known>,
    /// One lock for each blob, so that repositories that need it wait for the first to have it, and mount.
    turns: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
    totals: Mutex<Totals>,
    parallelism: Parallelism,
    retry: Retry,
    events: SharedEvents,
    /// Whether the target may hold what nobody has noted: an earlier run was cut off.
    may_hold_more: bool,
    /// Repositories that the record, or a tag there, says to hold something.
    inhabited: Mutex<HashSet<Repository>>,
    stops: bool,
    time: Option<Arc<ImageTime>>,
    /// Bytes that whoever watches was told of, and that are not part of any plan yet.
    told: AtomicI64,
    /// Whether the next images are those that the bytes were told for.
    is_bulk_next: AtomicBool,
}

/// It is always asked for blobs of this size before they are sent: a request costs less than sending them in vain.
const ASK_BYTES: u64 = 4 << 20;

impl Publisher {
    /// Makes a publisher. `known` says which repositories of the target (prefix included) hold what.
    pub fn new(
        target: Arc<dyn Endpoint>,
        supply: Arc<dyn Supply>,
        known: BTreeMap<Digest, Few<Repository>>,
        parallelism: Parallelism,
        retry: Retry,
        events: SharedEvents,
    ) -> Self {
        let known = Known::new(known);
        let inhabited = known.repositories().cloned().collect();
        Self {
            target,
            supply,
            may_hold_more: true,
            inhabited: Mutex::new(inhabited),
            known: Mutex::new(known),
            turns: Mutex::default(),
            totals: Mutex::default(),
            parallelism,
            retry,
            events,
            stops: false,
            time: None,
            told: AtomicI64::new(0),
            is_bulk_next: AtomicBool::new(false),
        }
    }

    /// Says that the target holds nothing that is not noted anywhere, such as what a run left that was cut off. Then small
    /// blobs are put into repositories of which nothing is known without asking for them first.
    pub fn trusting_the_record(self) -> Self {
        Self { may_hold_more: false, ..self }
    }

    /// Gives up images that take too long.
    pub fn within(self, time: Option<Arc<ImageTime>>) -> Self {
        Self { time, ..self }
    }

    /// Ends at the first image that fails; what is under way with others is given up.
    pub fn stopping(self, stops: bool) -> Self {
        Self { stops, ..self }
    }

    /// Says how many bytes the step was told to move before anybody knew what the target has.
    pub fn having_told_of(self, bytes: u64) -> Self {
        Self { told: AtomicI64::new(signed(bytes)), ..self }
    }

    /// Says that most of what was told of belongs to the images which are published next: what they do not need is not
    /// expected any more.
    pub fn bulk_is_next(&self) {
        self.is_bulk_next.store(true, Ordering::Relaxed);
    }

    /// Tells what a plan adds to what was told before, or takes from it.
    fn tell_of(&self, planned: u64) {
        let (planned, told) = (signed(planned), self.told.load(Ordering::Relaxed));
        let of_told = if self.is_bulk_next.swap(false, Ordering::Relaxed) { told } else { told.min(planned) };
        self.told.fetch_sub(of_told, Ordering::Relaxed);
        expect(&self.events, planned - of_told);
    }

    /// Tells that a blob moved which was not expected to, or did not though it was.
    pub(super) fn account(&self, blob: &Descriptor, was_expected: bool, is_sent: bool) {
        let size = signed(blob.size);
        expect(&self.events, i64::from(is_sent) * size - i64::from(was_expected) * size);
    }

    /// Answers whether nobody knows the target to have a blob, so that it will be sent.
    pub(super) fn is_new(&self, blob: &Descriptor) -> bool {
        !self.known.lock().expect("no holder of this lock panics").is_anywhere(&blob.digest)
    }

    /// Answers whether the first image that fails is the last.
    pub fn stops(&self) -> bool {
        self.stops
    }

    /// Publishes images, several at a time; returns those that failed. What goes wrong with one does not stop the others, unless
    /// it is to.
    pub async fn publish(&self, images: &[PublishImage]) -> Vec<(PublishImage, ContentError)> {
        let (lists, plain): (Vec<_>, Vec<_>) = images.iter().partition(|image| image.referrers.is_some());
        let mut failed = self.publish_plain(&plain).await;
        let mut outcomes = stream::iter(lists)
            .map(|image| async move {
                let Some(of) = &image.referrers else { return None };
                let outcome = self.publish_referrers(image, of).await;
                let failed = self.tell(image, outcome).err().map(|error| (image.clone(), error));
                self.tell_failed(failed.as_slice());
                failed
            })
            .buffer_unordered(self.parallelism.images.max(1));
        while !self.is_enough(&failed)
            && let Some(outcome) = outcomes.next().await
        {
            failed.extend(outcome);
        }
        drop(outcomes);
        failed
    }

    fn is_enough<T>(&self, failed: &[T]) -> bool {
        self.stops && !failed.is_empty()
    }

    async fn publish_plain(&self, images: &[&PublishImage]) -> Vec<(PublishImage, ContentError)> {
        let parallel = (self.parallelism.images * self.parallelism.blobs).max(1);
        // All manifests and the way of every blob are known before the first byte is sent: an image that cannot be had as
        // a whole is not half-pushed.
        let looked = stream::iter(images.to_vec()).map(|image| async move {
            let outcome = self.look(image).await;
            match outcome {
                Ok(false) => Ok(false),
                other => self.tell(image, other.map(drop)).map(|()| true),
            }
        });
        let mut looked = looked.buffered(parallel).enumerate();
        let mut failed = Vec::new();
        let mut is_wanted = vec![false; images.len()];
        while let Some((number, outcome)) = looked.next().await {
            match outcome {
                Ok(is_in_place) => is_wanted[number] = !is_in_place,
                Err(error) => failed.push((PublishImage::clone(images[number]), error)),
            }
            if self.is_enough(&failed) {
                self.tell_failed(&failed);
                return failed;
            }
        }
        drop(looked);
        let schedule = Schedule::new(self, images, &is_wanted);
        self.tell_of(schedule.expected());
        let more = schedule.run(parallel).await;
        failed.extend(more.into_iter().map(|(number, error)| {
            let image = images[number as usize];
            image.blobs.iter().for_each(|blob| self.supply.settled(&blob.digest));
            (PublishImage::clone(image), error)
        }));
        self.tell_failed(&failed);
        failed
    }

    fn tell_failed(&self, failed: &[(PublishImage, ContentError)]) {
        failed.iter().for_each(|(image, _)| self.events.event(Event::ItemFailed { name: &image.origin }));
    }

    /// Tells what became of an image.
    fn tell(&self, image: &PublishImage, outcome: Result<(), ContentError>) -> Result<(), ContentError> {
        match &outcome {
            Ok(()) => self.events.event(Event::ItemDone { name: &image.origin }),
            Err(_) => image.blobs.iter().for_each(|blob| self.supply.settled(&blob.digest)),
        }
        outcome
    }

    /// Is told that a blob is not needed after all.
    pub(super) fn settled(&self, blob: &Descriptor) {
        self.supply.settled(&blob.digest);
    }

    /// Returns what has been moved so far.
    pub fn totals(&self) -> Totals {
        self.totals.lock().expect("no holder of this lock panics").clone()
    }

    /// Answers whether an image is in place, or fails if it cannot be had as a whole.
    async fn look(&self, image: &PublishImage) -> Result<bool, ContentError> {
        if self.is_in_place(image).await? {
            return Ok(true);
        }
        self.manifests(image).await?;
        for blob in &image.blobs {
            if self.supply.supply(image, blob).is_none() {
                self.find_at_target(image, blob).await?;
            }
        }
        Ok(false)
    }

    /// Puts the manifests and the tag of an image whose blobs are in place.
    pub(super) async fn finish(&self, image: &PublishImage) -> Result<(), ContentError> {
        let manifests = self.manifests(image).await?;
        let outcome = self.put_complete(image, &manifests).await;
        self.tell(image, outcome)
    }

    /// Puts the manifests of an image, and once more what the target turns out not to have, though it said that it had: its
    /// garbage was collected in between, or it is several copies of a registry that lag behind one another.
    async fn put_complete(
        &self,
        image: &PublishImage,
        manifests: &[RawManifest],
    ) -> Result<(), ContentError> {
        let mut sent: HashSet<&Digest> = HashSet::new();
        loop {
            let error = match self.put_manifests(image, manifests).await {
                Err(error) if matches!(error.kind(), ContentErrorKind::Incomplete(_)) => error,
                outcome => return outcome,
            };
            let lacking = self.lacking(image, &error, &sent);
            if lacking.is_empty() {
                return Err(error);
            }
            for (blob, place) in lacking {
                let message =
                    "the registry said that it has this, and now that it does not: it is sent again";
                self.events.event(Event::Warning { subject: &blob.digest.to_string(), message });
                self.forget(&blob.digest, &image.repository);
                self.send(image, blob, &place, false).await?;
                sent.insert(&blob.digest);
            }
        }
    }

    /// Returns the blobs of an image that an error names, and where they can be had: all of them if it names nothing. What was
    /// sent already is not sent over and over.
    fn lacking<'a>(
        &self,
        image: &'a PublishImage,
        error: &ContentError,
        sent: &HashSet<&Digest>,
    ) -> Vec<(&'a Descriptor, Place)> {
        let text = error.kind().to_string();
        let open = image.blobs.iter().filter(|blob| !sent.contains(&blob.digest));
        let (named, others): (Vec<_>, Vec<_>) =
            open.partition(|blob| text.contains(&blob.digest.to_string()));
        // A digest that is none of these is that of a manifest.
        let wanted = match named.is_empty() && !text.contains("sha256:") {
            true => others,
            false => named,
        };
        wanted.into_iter().filter_map(|blob| Some((blob, self.supply.supply(image, blob)?))).collect()
    }

    pub(super) async fn bring_blobs(&self, image: &PublishImage) -> Result<(), ContentError> {
        for blob in &image.blobs {
            if self.supply.supply(image, blob).is_none() {
                self.find_at_target(image, blob).await?;
            }
        }
        stream::iter(&image.blobs)
            .map(|blob| async move {
                let is_sent = self.bring(image, blob).await?;
                self.account(blob, false, is_sent);
                Ok(())
            })
            .buffer_unordered(self.parallelism.blobs.max(1))
            .try_collect::<()>()
            .await
    }

    async fn is_in_place(&self, image: &PublishImage) -> Result<bool, ContentError> {
        let tagged = self.target.resolve_tag(&image.repository, &image.tag).await?;
        if tagged.is_some() {
            self.inhabited.lock().expect("no holder of this lock panics").insert(image.repository.clone());
        }
        if tagged.is_none_or(|t| t.digest != image.root.digest) {
            return Ok(false);
        }
        // A registry that lost a child has a tag that cannot be pulled; asking costs one request each.
        if !self.has_manifests(image).await? {
            return Ok(false);
        }
        self.count_in_place(image);
        Ok(true)
    }

    pub(super) async fn has_manifests(&self, image: &PublishImage) -> Result<bool, ContentError> {
        for manifest in &image.manifests {
            let there = self.target.has_manifest(&image.repository, &manifest.digest).await?;
            if !there {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn count_in_place(&self, image: &PublishImage) {
        self.count(|t| t.skipped_blobs += image.blobs.len() as u64);
        for blob in &image.blobs {
            self.note(&blob.digest, &image.repository);
        }
    }

    pub(super) async fn manifests(&self, image: &PublishImage) -> Result<Vec<RawManifest>, ContentError> {
        stream::iter(image.manifests.iter())
            .map(|wanted| self.manifest(image, wanted))
            .buffered(self.parallelism.blobs.max(1))
            .try_collect()
            .await
    }

    pub(super) async fn manifest(
        &self,
        image: &PublishImage,
        wanted: &Descriptor,
    ) -> Result<RawManifest, ContentError> {
        let selector = Selector::Digest(wanted.digest.clone());
        let places = match self.supply.supply(image, wanted) {
            Some(place) => vec![place],
            None => self.places_at_target(image, &wanted.digest),
        };
        let mut last = self.not_to_be_had(image, wanted);
        for (place, repository) in places {
            match place.manifest(&repository, &selector).await {
                Ok(manifest) => {
                    return manifest.verify(&wanted.digest).map_err(|error| {
                        ContentError::with_source(
                            format!("{repository}@{}", wanted.digest),
                            ContentErrorKind::Invalid("the manifest is damaged".to_owned()),
                            error,
                        )
                    });
                }
                Err(error) if error.is_not_found() => {}
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Finds a place at the target that has a blob which is in nothing that is published.
    async fn find_at_target(&self, image: &PublishImage, blob: &Descriptor) -> Result<Place, ContentError> {
        for (place, repository) in self.places_at_target(image, &blob.digest) {
            if self.has_noted(&blob.digest, &repository) {
                return Ok((place, repository));
            }
            if self.target.has_blob(&repository, blob).await? {
                self.note(&blob.digest, &repository);
                return Ok((place, repository));
            }
            // What the record says is not there: it is not mounted from there either.
            self.forget(&blob.digest, &repository);
        }
        Err(self.not_to_be_had(image, blob))
    }

    /// Brings a blob to the repository of an image: it is there, or mounted, or put. Answers whether it was put.
    pub(super) async fn bring(&self, image: &PublishImage, blob: &Descriptor) -> Result<bool, ContentError> {
        let turn = self.turn(&blob.digest);
        let outcome = {
            let _turn = turn.lock().await;
            self.bring_in_turn(image, blob).await
        };
        self.release_turn(&blob.digest, turn);
        outcome
    }

    async fn bring_in_turn(&self, image: &PublishImage, blob: &Descriptor) -> Result<bool, ContentError> {
        // Another image may have brought it meanwhile, into this repository or another one.
        if self.has_noted(&blob.digest, &image.repository) {
            self.count(|t| t.skipped_blobs += 1);
            return Ok(false);
        }
        let others = self.others(&blob.digest, &image.repository);
        let asked = self.is_worth_asking(image, blob, !others.is_empty());
        if asked && self.is_there(image, blob).await? {
            return Ok(false);
        }
        for from in others.iter().take(3) {
            let mounted = self.target.mount(&image.repository, from, blob).await?;
            if mounted {
                self.note(&blob.digest, &image.repository);
                self.count(|t| t.mounted_blobs += 1);
                return Ok(false);
            }
        }
        if self.target.adopt(&image.repository, blob).await? {
            self.note(&blob.digest, &image.repository);
            self.count(|t| t.mounted_blobs += 1);
            return Ok(false);
        }
        if !asked && blob.size >= ASK_BYTES && self.is_there(image, blob).await? {
            return Ok(false);
        }
        let _moving = Moving::begin(self.events.as_ref(), &image.origin);
        let (place, refetched) = match self.supply.supply(image, blob) {
            Some(place) => (place, false),
            None => (self.find_at_target(image, blob).await?, true),
        };
        self.send(image, blob, &place, refetched).await?;
        Ok(true)
    }

    /// Sends a blob from a place, whatever the target says that it has.
    async fn send(
        &self,
        image: &PublishImage,
        blob: &Descriptor,
        place: &Place,
        refetched: bool,
    ) -> Result<(), ContentError> {
        let steady = !refetched && self.supply.is_steady();
        let putting = retrying(self.retry, self.events.as_ref(), || self.put(image, blob, place, steady));
        within(self.time.as_ref(), &blob.digest, putting).await?;
        self.note(&blob.digest, &image.repository);
        self.count(|t| {
            t.blobs += 1;
            t.blob_bytes += blob.size;
            t.refetched_blobs += u64::from(refetched);
        });
        Ok(())
    }

    /// Answers whether to ask for a blob before anything else. A mount answers that as well, and a repository of which
    /// nobody knows anything holds nothing, unless a run was cut off that had put something there.
    fn is_worth_asking(&self, image: &PublishImage, blob: &Descriptor, may_be_mounted: bool) -> bool {
        if self.may_hold_more {
            return true;
        }
        let known = self.known.lock().expect("no holder of this lock panics");
        if known.has(&blob.digest, &image.repository) {
            return true;
        }
        drop(known);
        let inhabited = self.inhabited.lock().expect("no holder of this lock panics");
        !may_be_mounted && (blob.size >= ASK_BYTES || inhabited.contains(&image.repository))
    }

    async fn is_there(&self, image: &PublishImage, blob: &Descriptor) -> Result<bool, ContentError> {
        let there = self.target.has_blob(&image.repository, blob).await?;
        if there {
            self.note(&blob.digest, &image.repository);
            self.count(|t| t.skipped_blobs += 1);
        }
        Ok(there)
    }

    async fn put(
        &self,
        image: &PublishImage,
        blob: &Descriptor,
        place: &Place,
        steady: bool,
    ) -> Result<(), ContentError> {
        let (from, repository) = place;
        let opened = open(from, repository, blob, self.retry, &self.events).await;
        let (stream, moved) = opened.map_err(ContentError::of_source)?;
        // What is damaged in a steady place will be when it is read again; only what breaks at the target may pass.
        let final_if_steady = move |error: ContentError| if steady { error.exhausted() } else { error };
        let stream = Box::pin(stream.map_err(move |error| final_if_steady(error).of_source()));
        let outcome = self.target.put_blob(&image.repository, blob, stream).await;
        if outcome.is_ok() {
            moved.keep(i64::MAX);
        }
        outcome
    }

    async fn put_manifests(
        &self,
        image: &PublishImage,
        manifests: &[RawManifest],
    ) -> Result<(), ContentError> {
        for manifest in manifests {
            if *manifest.digest() == image.root.digest {
                continue;
            }
            self.put_manifest(image, manifest).await?;
        }
        let root = manifests.iter().find(|m| *m.digest() == image.root.digest);
        let root = root.ok_or_else(|| self.not_to_be_had(image, &image.root))?;
        self.put_root(image, root).await
    }

    pub(super) async fn put_manifest(
        &self,
        image: &PublishImage,
        manifest: &RawManifest,
    ) -> Result<(), ContentError> {
        self.target.put_manifest(&image.repository, manifest).await?;
        self.note(manifest.digest(), &image.repository);
        self.count(|t| t.manifests += 1);
        Ok(())
    }

    pub(super) async fn put_root(
        &self,
        image: &PublishImage,
        root: &RawManifest,
    ) -> Result<(), ContentError> {
        self.target.put_tag(&image.repository, &image.tag, root).await?;
        self.note(root.digest(), &image.repository);
        self.count(|t| t.manifests += 1);
        Ok(())
    }

    fn not_to_be_had(&self, image: &PublishImage, content: &Descriptor) -> ContentError {
        let reason = format!(
            "`{}` of this image is neither in what is published nor at {}",
            content.digest,
            ContentRead::name(self.target.as_ref())
        );
        ContentError::new(image.origin.clone(), ContentErrorKind::Lost(reason))
    }

    fn places_at_target(&self, image: &PublishImage, digest: &Digest) -> Vec<Place> {
        let mut repositories = vec![image.repository.clone()];
        repositories.extend(self.others(digest, &image.repository));
        let target: Arc<dyn ContentRead> = self.target.clone();
        repositories.into_iter().map(|repository| (target.clone(), repository)).collect()
    }

    /// Returns the other repositories that have a blob: those first that were seen to have it in this run.
    fn others(&self, digest: &Digest, but: &Repository) -> Vec<Repository> {
        self.known.lock().expect("no holder of this lock panics").others(digest, but)
    }

    fn has_noted(&self, digest: &Digest, repository: &Repository) -> bool {
        self.known.lock().expect("no holder of this lock panics").has_seen(digest, repository)
    }

    fn note(&self, digest: &Digest, repository: &Repository) {
        self.supply.settled(digest);
        self.known.lock().expect("no holder of this lock panics").see(digest, repository);
    }

    fn forget(&self, digest: &Digest, repository: &Repository) {
        self.known.lock().expect("no holder of this lock panics").forget(digest, repository);
    }

    fn turn(&self, digest: &Digest) -> Arc<tokio::sync::Mutex<()>> {
        self.turns.lock().expect("no holder of this lock panics").entry(digest.clone()).or_default().clone()
    }

    /// Lets go of a turn that nobody else waits for.
    fn release_turn(&self, digest: &Digest, turn: Arc<tokio::sync::Mutex<()>>) {
        let mut turns = self.turns.lock().expect("no holder of this lock panics");
        // Ours and the map's.
        if Arc::strong_count(&turn) <= 2 {
            turns.remove(digest);
        }
    }

    fn count(&self, change: impl FnOnce(&mut Totals)) {
        change(&mut self.totals.lock().expect("no holder of this lock panics"));
    }
}
