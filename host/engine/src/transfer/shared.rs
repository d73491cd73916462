//! One reading for several targets: [`Sharing`] opens a blob once, and hands its bytes to every target that takes it.
//!
//! Targets are published to side by side, each at its own pace and in the same order. Whoever needs a blob waits for those
//! that have not yet said whether they do, and then all get the same bytes. A target that keeps the others waiting for most
//! of the time is waited for no longer: it goes on from where it is, and reads by itself. Whatever happens to one target,
//! the others get their bytes; and no more than a few pieces of each blob under way are in memory.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Repository, Selector};
use tokio::sync::{Notify, mpsc};

use super::publish::{Place, PublishImage, Supply};
use crate::content::{BlobStream, ContentError, ContentRead};

/// The pieces of one blob that a target may be behind the others.
const AHEAD: usize = 4;
/// How often it is looked whether a target that others wait for is worth it.
const TICK: Duration = Duration::from_millis(200);
/// How long the others wait for a target, however slow it is.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was read, for all targets together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// How often a blob was opened.
    pub blobs: u64,
    /// Bytes that came out.
    pub bytes: u64,
}

/// Reads for several targets.
pub struct Sharing {
    state: Mutex<State>,
    patience: Duration,
}

#[derive(Default)]
struct State {
    /// The targets that have not said yet whether they take a blob.
    undecided: HashMap<Digest, BTreeSet<usize>>,
    /// Blobs that somebody waits for.
    gatherings: HashMap<Digest, Gathering>,
    pace: Vec<Pace>,
    /// How long blobs have been under way, each counted by itself.
    busy: Duration,
    /// When what was measured was last made to count for half.
    aged: Option<Instant>,
    reads: Reads,
}

/// Targets that wait for others before a blob is opened.
struct Gathering {
    takers: Vec<Taker>,
    changed: Arc<Notify>,
}

struct Taker {
    number: usize,
    pieces: mpsc::Sender<Bytes>,
}

/// How long the others have waited for a target.
#[derive(Default)]
struct Pace {
    /// Each blob counted by itself.
    sum: Duration,
    /// By the clock on the wall.
    union: Duration,
    waiting: usize,
    since: Option<Instant>,
    is_behind: bool,
}

/// The place of one target among those that read together. When it is dropped, nobody waits for the target any more.
pub struct Seat {
    sharing: Arc<Sharing>,
    number: usize,
}

impl Sharing {
    /// Prepares for this many targets, and returns the place of each.
    pub fn among(targets: usize) -> (Arc<Self>, Vec<Seat>) {
        Self::with_patience(targets, PATIENCE)
    }

    fn with_patience(targets: usize, patience: Duration) -> (Arc<Self>, Vec<Seat>) {
        let pace = (0..targets).map(|_| Pace::default()).collect();
        let sharing = Arc::new(Self { state: Mutex::new(State { pace, ..State::default() }), patience });
        let seats = (0..targets).map(|number| Seat { sharing: sharing.clone(), number }).collect();
        (sharing, seats)
    }

    /// Returns what was read so far.
    pub fn reads(&self) -> Reads {
        self.state().reads
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Opens a blob for a target, together with all that take it.
    async fn open(
        self: &Arc<Self>,
        number: usize,
        from: &Place,
        blob: &Descriptor,
    ) -> Result<BlobStream, ContentError> {
        let Some((receiver, begun)) = self.join(number, &blob.digest) else {
            return self.open_alone(from, blob, 0).await;
        };
        if let Some(changed) = begun {
            let (sharing, from, blob) = (self.clone(), from.clone(), blob.clone());
            // It ends with the last of its takers.
            tokio::spawn(async move { sharing.read(&from, &blob, &changed).await });
        }
        Ok(self.follow(receiver, from.clone(), blob.clone()))
    }

    /// Makes a target one of those that a blob is read for; nothing if there is nobody to wait for. The first one has to
    /// have it read, and is told of others through what it gets besides.
    fn join(&self, number: usize, digest: &Digest) -> Option<(mpsc::Receiver<Bytes>, Option<Arc<Notify>>)> {
        // In one step: whoever is waited for must not be late for what it has decided to take.
        let mut state = self.state();
        state.settle(number, digest);
        let (pieces, receiver) = mpsc::channel(AHEAD);
        let taker = Taker { number, pieces };
        if let Some(gathering) = state.gatherings.get_mut(digest) {
            gathering.takers.push(taker);
            gathering.changed.notify_one();
            return Some((receiver, None));
        }
        if state.waited_for(digest).is_empty() {
            return None;
        }
        let changed = Arc::new(Notify::new());
        let gathering = Gathering { takers: vec![taker], changed: changed.clone() };
        state.gatherings.insert(digest.clone(), gathering);
        Some((receiver, Some(changed)))
    }

    async fn open_alone(
        self: &Arc<Self>,
        (from, repository): &Place,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        let stream = from.blob(repository, blob, offset).await?;
        self.state().reads.blobs += 1;
        let sharing = self.clone();
        Ok(Box::pin(stream.inspect(move |piece| {
            if let Ok(bytes) = piece {
                sharing.state().reads.bytes += bytes.len() as u64;
            }
        })))
    }

    /// Returns what is read together, and where that ends early, what is left of the blob.
    fn follow(
        self: &Arc<Self>,
        receiver: mpsc::Receiver<Bytes>,
        from: Place,
        blob: Descriptor,
    ) -> BlobStream {
        enum From {
            Others(mpsc::Receiver<Bytes>),
            Place(BlobStream),
        }
        let sharing = self.clone();
        let begin = (From::Others(receiver), 0_u64);
        Box::pin(futures_util::stream::try_unfold(begin, move |(mut at, mut count)| {
            let (sharing, from, blob) = (sharing.clone(), from.clone(), blob.clone());
            async move {
                if let From::Others(receiver) = &mut at {
                    if let Some(bytes) = receiver.recv().await {
                        count += bytes.len() as u64;
                        return Ok(Some((bytes, (at, count))));
                    }
                    if count >= blob.size {
                        return Ok(None);
                    }
                    at = From::Place(sharing.open_alone(&from, &blob, count).await?);
                }
                let From::Place(stream) = &mut at else { return Ok(None) };
                let piece = stream.next().await.transpose()?;
                Ok(piece.map(|bytes| (bytes, (at, count))))
            }
        }))
    }

    /// Waits for the others, and reads for all that came.
    async fn read(self: &Arc<Self>, from: &Place, blob: &Descriptor, changed: &Notify) {
        let mut clock = Clock { sharing: self, last: Instant::now() };
        let Some(mut takers) = self.gather(&blob.digest, changed, &mut clock).await else { return };
        // Whoever is left without bytes opens the blob itself, and is told what is wrong with it.
        let Ok(mut stream) = self.open_alone(from, blob, 0).await else { return };
        while let Some(Ok(bytes)) = stream.next().await {
            clock.charge(None);
            self.hand_over(&bytes, &mut takers, &mut clock).await;
            if takers.is_empty() {
                return;
            }
        }
    }

    /// Waits until everybody who is waited for has decided; nothing if all who wanted the blob have gone.
    async fn gather(&self, digest: &Digest, changed: &Notify, clock: &mut Clock<'_>) -> Option<Vec<Taker>> {
        loop {
            let late = {
                let mut state = self.state();
                let late = state.waited_for(digest);
                let gathering = state.gatherings.get(digest)?;
                let is_over = gathering.takers.iter().all(|taker| taker.pieces.is_closed());
                if late.is_empty() || is_over {
                    let gathering = state.gatherings.remove(digest)?;
                    return Some(gathering.takers).filter(|_| !is_over);
                }
                late
            };
            let waits: Vec<Wait<'_>> = late.iter().map(|number| Wait::of(self, *number)).collect();
            // Woken or not, it is looked at again.
            let _ = tokio::time::timeout(TICK, changed.notified()).await;
            clock.charge(late);
            drop(waits);
        }
    }

    /// Gives everybody the same piece. The slowest sets the pace, unless it is behind.
    async fn hand_over(&self, bytes: &Bytes, takers: &mut Vec<Taker>, clock: &mut Clock<'_>) {
        let mut place = 0;
        while let Some(taker) = takers.get(place) {
            match taker.pieces.try_send(bytes.clone()) {
                Ok(()) => place += 1,
                Err(mpsc::error::TrySendError::Closed(_)) => drop(takers.swap_remove(place)),
                Err(mpsc::error::TrySendError::Full(_)) => {
                    if takers.len() > 1 && self.state().is_behind(taker.number) {
                        takers.swap_remove(place);
                        continue;
                    }
                    let number = taker.number;
                    let wait = Wait::of(self, number);
                    // The place that becomes free is taken with the next turn of the loop.
                    let _ = tokio::time::timeout(TICK, taker.pieces.reserve()).await;
                    // Whoever has used up its pieces by now was kept waiting.
                    let is_idle = |other: &Taker| other.number != number && other.pieces.capacity() == AHEAD;
                    clock.charge(takers.iter().any(is_idle).then_some(number));
                    drop(wait);
                }
            }
        }
    }
}

impl State {
    fn is_behind(&self, number: usize) -> bool {
        self.pace.get(number).is_none_or(|pace| pace.is_behind)
    }

    /// Returns whom it is worth to wait for before a blob is opened.
    fn waited_for(&self, digest: &Digest) -> BTreeSet<usize> {
        let undecided = self.undecided.get(digest).into_iter().flatten();
        undecided.copied().filter(|number| !self.is_behind(*number)).collect()
    }

    /// Notes that a target has decided about a blob.
    fn settle(&mut self, number: usize, digest: &Digest) {
        if let Some(undecided) = self.undecided.get_mut(digest)
            && undecided.remove(&number)
        {
            if undecided.is_empty() {
                self.undecided.remove(digest);
            }
            self.tell(digest);
        }
    }

    /// Lets what was long ago count for less: a target that was fast for hours may have come to a halt.
    fn age(&mut self, now: Instant, period: Duration) {
        let aged = *self.aged.get_or_insert(now);
        if now.duration_since(aged) > period {
            self.aged = Some(now);
            self.busy /= 2;
            self.pace.iter_mut().for_each(|pace| {
                pace.sum /= 2;
                pace.union /= 2;
            });
        }
    }

    fn tell(&self, digest: &Digest) {
        if let Some(gathering) = self.gatherings.get(digest) {
            gathering.changed.notify_one();
        }
    }
}

/// Measures one blob under way.
struct Clock<'a> {
    sharing: &'a Sharing,
    last: Instant,
}

impl Clock<'_> {
    /// Counts the time since the last call as spent on waiting for these targets.
    fn charge(&mut self, waited_for: impl IntoIterator<Item = usize>) {
        let now = Instant::now();
        let spent = now.duration_since(std::mem::replace(&mut self.last, now));
        let patience = self.sharing.patience;
        let mut state = self.sharing.state();
        state.age(now, patience * 2);
        state.busy += spent;
        let busy = state.busy;
        for number in waited_for {
            let Some(pace) = state.pace.get_mut(number) else { continue };
            pace.sum += spent;
            let union = pace.union + pace.since.map_or(Duration::ZERO, |since| now.duration_since(since));
            // Two that are about equally fast wait for each other all the time, for a little each.
            pace.is_behind |= union > patience && pace.sum * 2 > busy;
        }
    }
}

/// A target is being waited for.
struct Wait<'a> {
    sharing: &'a Sharing,
    number: usize,
}

impl<'a> Wait<'a> {
    fn of(sharing: &'a Sharing, number: usize) -> Self {
        if let Some(pace) = sharing.state().pace.get_mut(number) {
            pace.waiting += 1;
            pace.since.get_or_insert_with(Instant::now);
        }
        Self { sharing, number }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(pace) = self.sharing.state().pace.get_mut(self.number) {
            pace.waiting -= 1;
            if pace.waiting == 0 {
                pace.union += pace.since.take().map_or(Duration::ZERO, |since| since.elapsed());
            }
        }
    }
}

impl Seat {
    /// Announces what the target may take, in whatever order: the others wait for it until it has decided. Every target
    /// announces before any begins.
    pub fn expect<'a>(&self, digests: impl IntoIterator<Item = &'a Digest>) {
        let mut state = self.sharing.state();
        for digest in digests {
            state.undecided.entry(digest.clone()).or_default().insert(self.number);
        }
    }

    /// Lends the place to a supply of what is published: what comes out of it is read together with the others.
    pub fn supply(self: &Arc<Self>, inner: Arc<dyn Supply>) -> Arc<dyn Supply> {
        Arc::new(Shared { seat: self.clone(), inner })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.sharing.state();
        let number = self.number;
        state.undecided.retain(|_, undecided| {
            undecided.remove(&number);
            !undecided.is_empty()
        });
        state.gatherings.values().for_each(|gathering| gathering.changed.notify_one());
    }
}

/// The supply of one target of several.
struct Shared {
    seat: Arc<Seat>,
    inner: Arc<dyn Supply>,
}

impl Supply for Shared {
    fn supply(&self, image: &PublishImage, content: &Descriptor) -> Option<Place> {
        let (inner, repository) = self.inner.supply(image, content)?;
        Some((Arc::new(SharedRead { seat: self.seat.clone(), inner }), repository))
    }

    fn is_steady(&self) -> bool {
        self.inner.is_steady()
    }

    fn settled(&self, digest: &Digest) {
        self.seat.sharing.state().settle(self.seat.number, digest);
    }
}

/// A place that several targets read from.
struct SharedRead {
    seat: Arc<Seat>,
    inner: Arc<dyn ContentRead>,
}

#[async_trait]
impl ContentRead for SharedRead {
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

    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        let from = (self.inner.clone(), repository.clone());
        let sharing = &self.seat.sharing;
        match offset {
            0 => sharing.open(self.seat.number, &from, blob).await,
            _ => sharing.open_alone(&from, blob, offset).await,
        }
    }
}

#[cfg(test)]
mod tests;
