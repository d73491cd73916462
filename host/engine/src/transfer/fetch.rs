//! Brings blobs to where they are kept: [`fetch`], each distinct blob once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::{StreamExt, stream};
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::reference::Repository;

use super::image_time::within;
use super::resume::resuming;
use super::{ImageTime, Retry, retrying};
use crate::content::verify::verified;
use crate::content::{BlobStream, ContentError, ContentRead, ContentWrite};
use crate::report::{Event, SharedEvents};

/// One blob and where it is.
#[derive(Clone)]
pub struct Wanted {
    /// The blob.
    pub blob: Descriptor,
    /// A place that has it.
    pub from: Arc<dyn ContentRead>,
    /// The repository there.
    pub repository: Repository,
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
/// A blob that `to` has already is not fetched again, which is how a run that was cut off goes on. With a blob of which
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
                let fetching =
                    retrying(retry, events.as_ref(), || fetch_one(&item, to.as_ref(), retry, &events));
                let outcome = within(time, &item.blob.digest, fetching).await;
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
    events: &SharedEvents,
) -> Result<(), ContentError> {
    if to.has_blob(&item.repository, &item.blob).await? {
        return Ok(());
    }
    let begun = to.begun(&item.repository, &item.blob).await;
    let (from, repository, blob) = (item.from.clone(), item.repository.clone(), item.blob.clone());
    let stream = resuming(from, repository, blob, begun, retry, events.clone()).await?;
    let (stream, moved) = counted(stream, events.clone());
    let outcome = to.put_rest(&item.repository, &item.blob, begun, stream).await;
    if outcome.is_err() {
        // What is kept of it will not be fetched again.
        let kept = to.begun(&item.repository, &item.blob).await.saturating_sub(begun);
        moved.fetch_sub(i64::try_from(kept).unwrap_or(i64::MAX), Ordering::Relaxed);
        take_back(&moved, events);
    }
    outcome
}

/// Reports the bytes of a stream as they pass; returns what has been reported.
pub(super) fn counted(stream: BlobStream, events: SharedEvents) -> (BlobStream, Arc<AtomicI64>) {
    let moved = Arc::new(AtomicI64::new(0));
    let sum = moved.clone();
    let stream = stream.inspect(move |piece| {
        if let Ok(bytes) = piece {
            let count = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
            sum.fetch_add(count, Ordering::Relaxed);
            events.event(Event::Bytes { count });
        }
    });
    (Box::pin(stream), moved)
}

/// Reports that bytes of a failed attempt do not count.
pub(super) fn take_back(moved: &AtomicI64, events: &SharedEvents) {
    events.event(Event::Bytes { count: -moved.swap(0, Ordering::Relaxed) });
}

/// Opens a blob, checked on its way and counted.
pub(super) async fn open(
    from: &Arc<dyn ContentRead>,
    repository: &Repository,
    blob: &Descriptor,
    retry: Retry,
    events: &SharedEvents,
) -> Result<(BlobStream, Arc<AtomicI64>), ContentError> {
    let stream = resuming(from.clone(), repository.clone(), blob.clone(), 0, retry, events.clone()).await?;
    let subject = format!("{}/{repository}@{}", from.name(), blob.digest);
    Ok(counted(verified(stream, blob, subject), events.clone()))
}
