//! The order in which a publisher moves what is missing: by blob, not by image.
//!
//! Each blob is brought to one repository first, its leader; the others that need it get a mount once it is there. Blobs that
//! most images share go first, then the large ones, so that what many wait for is there early and no large one is left for
//! the end. An image is finished, manifests and tag, as soon as its last blob is in place.
//!
//! Every target that the same images are published to takes the blobs in the same order. Whoever waits for others to read
//! together with them relies on that; see [`super::shared`].

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};

use futures_util::future::join_all;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::reference::Repository;
use tokio::sync::Notify;

use super::publish::{PublishImage, Publisher};
use crate::content::{ContentError, ContentErrorKind};

/// What is left to do for images that are not in place.
pub(super) struct Schedule<'a> {
    publisher: &'a Publisher,
    images: &'a [&'a PublishImage],
    /// Blobs, in the order in which they are begun.
    works: Vec<Work<'a>>,
    /// Which of them whoever watches is told to expect, and has not been told the outcome of.
    expected: Mutex<Vec<bool>>,
    state: Mutex<State>,
    changed: Notify,
}

/// One blob, and who needs it.
struct Work<'a> {
    blob: &'a Descriptor,
    /// Each repository once, with the images there that need the blob.
    places: Vec<(&'a Repository, Vec<u32>)>,
}

#[derive(Debug)]
struct State {
    /// Images whose blobs are all in place.
    finish: Vec<u32>,
    /// Blobs that can be mounted: work and place.
    mounts: VecDeque<(usize, usize)>,
    /// Blobs that could not be brought to their first place, and to which place they are brought next.
    again: VecDeque<(usize, usize)>,
    /// The next blob that is begun.
    next: usize,
    /// Tasks that are being done.
    busy: usize,
    /// How many blobs each image still lacks.
    lacks: Vec<u32>,
    is_failed: Vec<bool>,
    failures: Vec<(u32, ContentError)>,
}

/// Something to do.
#[derive(Clone, Copy, Debug)]
enum Task {
    Finish(u32),
    Mount(usize, usize),
    Lead(usize, usize),
}

impl<'a> Schedule<'a> {
    /// Plans what is to be done for the images that `is_wanted` marks. The order depends on all images, marked or not.
    pub(super) fn new(publisher: &'a Publisher, images: &'a [&'a PublishImage], is_wanted: &[bool]) -> Self {
        let mut uses: HashMap<&Digest, (u32, &Descriptor)> = HashMap::new();
        for blob in images.iter().flat_map(|image| &image.blobs) {
            uses.entry(&blob.digest).or_insert((0, blob)).0 += 1;
        }
        let mut order: Vec<(u32, &Descriptor)> = uses.into_values().collect();
        order.sort_unstable_by(|(a, x), (b, y)| {
            b.cmp(a).then(y.size.cmp(&x.size)).then_with(|| x.digest.cmp(&y.digest))
        });
        let place: HashMap<&Digest, usize> =
            order.iter().enumerate().map(|(place, (_, blob))| (&blob.digest, place)).collect();
        let mut works: Vec<Work<'a>> =
            order.iter().map(|(_, blob)| Work { blob, places: Vec::new() }).collect();
        let mut lacks = vec![0; images.len()];
        for (number, image) in images.iter().enumerate().filter(|(number, _)| is_wanted[*number]) {
            let id = u32::try_from(number).expect("no run has so many images");
            for blob in &image.blobs {
                let places = &mut works[place[&blob.digest]].places;
                match places.iter_mut().rev().find(|(repository, _)| **repository == image.repository) {
                    // The same blob twice in one image counts once.
                    Some((_, users)) if users.last() == Some(&id) => continue,
                    Some((_, users)) => users.push(id),
                    None => {
                        // Nearly every blob goes to one place.
                        if places.is_empty() {
                            places.reserve_exact(1);
                        }
                        places.push((&image.repository, vec![id]));
                    }
                }
                lacks[number] += 1;
            }
        }
        works.retain(|work| !work.places.is_empty());
        let expected = works.iter().map(|work| publisher.is_new(work.blob)).collect();
        let of_nothing = (0..images.len()).filter(|n| is_wanted[*n] && lacks[*n] == 0);
        let state = State {
            finish: of_nothing.map(|n| n as u32).collect(),
            mounts: VecDeque::new(),
            again: VecDeque::new(),
            next: 0,
            busy: 0,
            lacks,
            is_failed: vec![false; images.len()],
            failures: Vec::new(),
        };
        let (expected, state) = (Mutex::new(expected), Mutex::new(state));
        Self { publisher, images, works, expected, state, changed: Notify::new() }
    }

    /// Returns how many bytes are going to be sent, for all that is known: of blobs that the target has nowhere, each once.
    pub(super) fn expected(&self) -> u64 {
        let expected = self.expected.lock().expect("no holder of this lock panics");
        let works = self.works.iter().zip(&*expected).filter(|(_, is_expected)| **is_expected);
        works.map(|(work, _)| work.blob.size).sum()
    }

    /// Tells whether a blob was sent, of which nothing more is to be expected.
    fn account(&self, number: usize, is_sent: bool) {
        let mut expected = self.expected.lock().expect("no holder of this lock panics");
        let was_expected = std::mem::take(&mut expected[number]);
        drop(expected);
        self.publisher.account(self.works[number].blob, was_expected, is_sent);
    }

    /// Does it all, so many things at a time. Returns the images that failed, by number.
    pub(super) async fn run(self, parallel: usize) -> Vec<(u32, ContentError)> {
        let all = join_all((0..parallel.max(1)).map(|_| self.work()));
        if self.publisher.stops() {
            tokio::select! {
                _ = all => {}
                // What is under way is given up.
                () = self.first_failure() => {}
            }
        } else {
            all.await;
        }
        let mut failures = std::mem::take(&mut self.state().failures);
        failures.sort_by_key(|(number, _)| *number);
        failures
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    async fn first_failure(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if !self.state().failures.is_empty() {
                return;
            }
            changed.await;
        }
    }

    async fn work(&self) {
        while let Some(task) = self.take().await {
            match task {
                Task::Finish(number) => self.finish(number).await,
                Task::Mount(work, place) => self.bring(work, place, false).await,
                Task::Lead(work, place) => self.bring(work, place, true).await,
            }
            self.state().busy -= 1;
            self.changed.notify_waiters();
        }
    }

    /// Returns the next thing to do; nothing if all is done. Waits while others may still find more.
    async fn take(&self) -> Option<Task> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Registered before looking, so that what changes in between is not missed.
            changed.as_mut().enable();
            {
                let mut state = self.state();
                if let Some(task) = self.next(&mut state) {
                    state.busy += 1;
                    return Some(task);
                }
                if state.busy == 0 {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// What ends something comes before what begins something.
    fn next(&self, state: &mut State) -> Option<Task> {
        if let Some(number) = state.finish.pop() {
            return Some(Task::Finish(number));
        }
        if let Some((work, place)) = state.mounts.pop_front() {
            return Some(Task::Mount(work, place));
        }
        if let Some((work, place)) = state.again.pop_front() {
            return Some(Task::Lead(work, place));
        }
        (state.next < self.works.len()).then(|| {
            state.next += 1;
            Task::Lead(state.next - 1, 0)
        })
    }

    /// Brings a blob to one of its places.
    async fn bring(&self, number: usize, place: usize, is_leader: bool) {
        let work = &self.works[number];
        let (_, users) = &work.places[place];
        // Nobody needs it any more where all who did have failed.
        let user = users.iter().find(|user| !self.state().is_failed[**user as usize]);
        let outcome = match user {
            Some(user) => Some(self.publisher.bring(self.images[*user as usize], work.blob).await),
            None => None,
        };
        let has_more = is_leader && place + 1 < work.places.len();
        match &outcome {
            Some(Ok(is_sent)) => self.account(number, *is_sent),
            // It is still to be sent, to the next place.
            Some(Err(error)) if has_more && !is_of_source(error) => {}
            None if has_more => {}
            _ => self.account(number, false),
        }
        let mut state = self.state();
        match outcome {
            Some(Ok(_)) => {
                for user in users {
                    let lacks = &mut state.lacks[*user as usize];
                    *lacks -= 1;
                    if *lacks == 0 && !state.is_failed[*user as usize] {
                        state.finish.push(*user);
                    }
                }
                if is_leader {
                    state.mounts.extend((place + 1..work.places.len()).map(|other| (number, other)));
                }
            }
            Some(Err(error)) => {
                let all = place..work.places.len();
                // What is wrong with the source is wrong for everybody; what is wrong here may not be elsewhere.
                let lost = if is_leader && is_of_source(&error) { all } else { place..place + 1 };
                if is_leader && lost.end < work.places.len() {
                    state.again.push_back((number, lost.end));
                }
                let users = work.places[lost].iter().flat_map(|(_, users)| users.iter().copied());
                let users: Vec<u32> = users.collect();
                self.fail(&mut state, &users, error);
            }
            None if is_leader && place + 1 < work.places.len() => state.again.push_back((number, place + 1)),
            None if is_leader => self.publisher.settled(work.blob),
            None => {}
        }
    }

    fn fail(&self, state: &mut State, users: &[u32], error: ContentError) {
        let mut error = Some(error);
        for user in users {
            if std::mem::replace(&mut state.is_failed[*user as usize], true) {
                continue;
            }
            let next = error.as_ref().map(ContentError::again);
            if let Some(own) = std::mem::replace(&mut error, next) {
                state.failures.push((*user, own));
            }
        }
    }

    async fn finish(&self, number: u32) {
        let outcome = self.publisher.finish(self.images[number as usize]).await;
        if let Err(error) = outcome {
            self.fail(&mut self.state(), &[number], error);
        }
    }
}

/// Answers whether content cannot be had, wherever it is to go. `not found` alone says nothing: a registry that makes no
/// repositories answers so to an upload.
fn is_of_source(error: &ContentError) -> bool {
    error.is_of_source()
        || matches!(
            error.kind(),
            ContentErrorKind::Lost(_) | ContentErrorKind::OutOfTime(_) | ContentErrorKind::Cancelled
        )
}
