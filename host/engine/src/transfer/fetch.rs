//! Brings blobs to where they are kept: [`fetch`], each distinct blob once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use futures_util::{StreamExt, stream};
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::reference::Repository;

use super::image_time::within;
use super::resume::resuming;
use super::{ImageTime, Retry, retrying};
use crate::content::verify::verified;
use crate::content::{BlobStream, ContentError, ContentRead, ContentWrite};
use crate::report::{Event, Moving, SharedEvents};

/// One blob and where it is.
#[derive(Clone)]
pub struct Wanted {
    /// The blob.
    pub blob: Descriptor,
    /// A place that has it.
    pub from: Arc<dyn ContentRead>,
    /// The repository there.
    pub repository: Repository,
    /// The image it is fetched for, for whoever watches.
    pub image: String,
}

/// One blob that could not be had.
#[derive(Debug)]
pub struct Missing {
    /// The blob.
    pub blob: Descriptor,
    /// Why.
    pub error: ContentError,
}

/// Fetches blobs into `to`, at most `parallel` at a time, and returns those that could not be had.
///
/// A blob that `to` has already is not fetched again, which is how a run that was cut off goes on. Each blob is an item of the
/// step, which was told to move the bytes of all of them. With a blob of which
/// `is_enough` says so, all ends: what is still under way is given up.
pub async fn fetch(
    wanted: impl IntoIterator<Item = Wanted>,
    to: Arc<dyn ContentWrite>,
    parallel: usize,
    retry: Retry,
    events: SharedEvents,
    time: Option<&Arc<ImageTime>>,
    is_enough: &(dyn Fn(&Missing) -> bool + Sync),
) -> Vec<Missing> {
    let mut outcomes = stream::iter(wanted)
        .map(|item| {
            let (to, events) = (to.clone(), events.clone());
            async move {
                let share = Share::of(item.blob.size, &events);
                let fetching =
                    retrying(retry, events.as_ref(), || fetch_one(&item, to.as_ref(), retry, &share));
                let outcome = within(time, &item.blob.digest, fetching).await;
                drop(share);
                events.event(match outcome {
                    Ok(()) => Event::ItemDone { name: &item.image },
                    Err(_) => Event::ItemFailed { name: &item.image },
                });
                outcome.err().map(|error| Missing { blob: item.blob, error })
            }
        })
        .buffer_unordered(parallel.max(1));
    let mut missing = Vec::new();
    while let Some(outcome) = outcomes.next().await {
        missing.extend(outcome);
        if missing.last().is_some_and(is_enough) {
            break;
        }
    }
    missing
}

async fn fetch_one(
    item: &Wanted,
    to: &dyn ContentWrite,
    retry: Retry,
    share: &Share<'_>,
) -> Result<(), ContentError> {
    let events = share.events;
    if to.has_blob(&item.repository, &item.blob).await? {
        return Ok(());
    }
    let begun = to.begun(&item.repository, &item.blob).await;
    share.spare(begun);
    let _moving = Moving::begin(events.as_ref(), &item.image);
    let (from, repository, blob) = (item.from.clone(), item.repository.clone(), item.blob.clone());
    let stream = resuming(from, repository, blob, begun, retry, events.clone()).await?;
    let (stream, moved) = counted(stream, events.clone());
    let outcome = to.put_rest(&item.repository, &item.blob, begun, stream).await;
    let kept = match &outcome {
        Ok(()) => moved.keep(i64::MAX),
        // What is kept of it will not be fetched again.
        Err(_) => moved.keep(signed(to.begun(&item.repository, &item.blob).await.saturating_sub(begun))),
    };
    share.moved.fetch_add(kept, Ordering::Relaxed);
    outcome
}

/// What one blob adds to the bytes that a step has to move. When it is let go, what of it has not moved is told not to be
/// expected any more, so that what has moved and what is expected agree in the end.
struct Share<'a> {
    events: &'a SharedEvents,
    expected: AtomicI64,
    moved: AtomicI64,
    is_begun: AtomicBool,
}

impl<'a> Share<'a> {
    fn of(bytes: u64, events: &'a SharedEvents) -> Self {
        let expected = AtomicI64::new(signed(bytes));
        Self { events, expected, moved: AtomicI64::new(0), is_begun: AtomicBool::new(false) }
    }

    /// Notes what was there before the first attempt.
    fn spare(&self, bytes: u64) {
        if !self.is_begun.swap(true, Ordering::Relaxed) && bytes > 0 {
            let bytes = signed(bytes);
            self.expected.fetch_sub(bytes, Ordering::Relaxed);
            expect(self.events, -bytes);
        }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let left = self.expected.load(Ordering::Relaxed) - self.moved.load(Ordering::Relaxed);
        expect(self.events, -left);
    }
}

/// Tells that so many bytes more are to move, or fewer.
pub(super) fn expect(events: &SharedEvents, bytes: i64) {
    if bytes != 0 {
        events.event(Event::Expected { items: 0, bytes });
    }
}

/// A number of bytes as events have it.
pub(super) fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Bytes that were reported as moved. When this is let go, those that nobody keeps are reported not to count.
pub(crate) struct Moved {
    sum: Arc<AtomicI64>,
    events: SharedEvents,
}

impl Moved {
    /// Keeps at most so many bytes. Returns how many these are.
    pub(crate) fn keep(self, most: i64) -> i64 {
        let kept = self.sum.load(Ordering::Relaxed).min(most);
        self.sum.fetch_sub(kept, Ordering::Relaxed);
        kept
    }
}

impl Drop for Moved {
    fn drop(&mut self) {
        let lost = self.sum.swap(0, Ordering::Relaxed);
        if lost != 0 {
            self.events.event(Event::Bytes { count: -lost });
        }
    }
}

/// Reports the bytes of a stream as they pass.
pub(crate) fn counted(stream: BlobStream, events: SharedEvents) -> (BlobStream, Moved) {
    let sum = Arc::new(AtomicI64::new(0));
    let moved = Moved { sum: sum.clone(), events: events.clone() };
    let stream = stream.inspect(move |piece| {
        if let Ok(bytes) = piece {
            let count = signed(bytes.len() as u64);
            sum.fetch_add(count, Ordering::Relaxed);
            events.event(Event::Bytes { count });
        }
    });
    (Box::pin(stream), moved)
}

/// Opens a blob, checked on its way and counted.
pub(super) async fn open(
    from: &Arc<dyn ContentRead>,
    repository: &Repository,
    blob: &Descriptor,
    retry: Retry,
    events: &SharedEvents,
) -> Result<(BlobStream, Moved), ContentError> {
    let stream = resuming(from.clone(), repository.clone(), blob.clone(), 0, retry, events.clone()).await?;
    let subject = format!("{}/{repository}@{}", from.name(), blob.digest);
    Ok(counted(verified(stream, blob, subject), events.clone()))
}
