//! Uploads that are under way: [`Uploads`]. They end with the process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use http::StatusCode;
use oc_mirror_model::reference::Repository;
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use super::answer::{Code, Failure};
use crate::layout::Spool;

/// The uploads of a registry.
pub(super) struct Uploads {
    open: Mutex<HashMap<Uuid, Arc<Upload>>>,
    max: usize,
    idle: Duration,
}

/// One upload.
pub(super) struct Upload {
    repository: Repository,
    spool: Arc<tokio::sync::Mutex<Option<Spool>>>,
    length: AtomicU64,
    touched: Mutex<Instant>,
}

impl Uploads {
    pub(super) fn new(max: usize, idle: Duration) -> Self {
        Self { open: Mutex::default(), max, idle }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Upload>>> {
        self.open.lock().expect("no holder of this lock panics")
    }

    /// Answers whether another upload can be begun, after forgetting those that nobody goes on with.
    pub(super) fn make_room(&self) -> Result<(), Failure> {
        let mut open = self.open();
        open.retain(|_, upload| upload.spool.try_lock().is_err() || upload.idle() < self.idle);
        if open.len() < self.max {
            return Ok(());
        }
        let message = "too many uploads are under way";
        Err(Failure::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests, message))
    }

    /// Begins one.
    pub(super) fn begin(&self, repository: &Repository, spool: Spool) -> Uuid {
        let id = Uuid::new_v4();
        let upload = Upload {
            repository: repository.clone(),
            spool: Arc::new(tokio::sync::Mutex::new(Some(spool))),
            length: AtomicU64::new(0),
            touched: Mutex::new(Instant::now()),
        };
        self.open().insert(id, Arc::new(upload));
        id
    }

    /// Finds one of a repository.
    pub(super) fn find(&self, repository: &Repository, id: Uuid) -> Result<Arc<Upload>, Failure> {
        let found = self.open().get(&id).filter(|u| u.repository == *repository).cloned();
        found.ok_or_else(unknown)
    }

    /// Ends one. What it took in is gone unless somebody holds it.
    pub(super) fn end(&self, id: Uuid) {
        self.open().remove(&id);
    }
}

impl Upload {
    /// Takes the content to add to it or to end it. Two cannot do so at once: the second is refused.
    pub(super) fn hold(&self) -> Result<OwnedMutexGuard<Option<Spool>>, Failure> {
        let held = self.spool.clone().try_lock_owned().map_err(|_| {
            let message = "another request is adding to this upload";
            Failure::new(StatusCode::CONFLICT, Code::BlobUploadInvalid, message)
        })?;
        if held.is_none() {
            return Err(unknown());
        }
        Ok(held)
    }

    /// Returns how many bytes it has.
    pub(super) fn length(&self) -> u64 {
        self.length.load(Ordering::Relaxed)
    }

    /// Notes that bytes came.
    pub(super) fn touch(&self, length: u64) {
        self.length.store(length, Ordering::Relaxed);
        *self.touched.lock().expect("no holder of this lock panics") = Instant::now();
    }

    fn idle(&self) -> Duration {
        self.touched.lock().expect("no holder of this lock panics").elapsed()
    }
}

fn unknown() -> Failure {
    Failure::not_found(Code::BlobUploadUnknown, "there is no such upload")
}
