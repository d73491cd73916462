//! [`Place`]: what a place has to offer for the suite to run against it.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use oc_mirror_engine::content::{ContentRead, ContentWrite, TagStore};

use crate::content::Content;

/// A place that content can be put into and read from.
#[async_trait]
pub(crate) trait Place: Send + Sync {
    /// Returns what is particular to it.
    fn rules(&self) -> Rules;

    /// Makes an empty one. `content` is all that will ever be put there: some places must know it beforehand.
    async fn open(&self, content: &Content) -> Opened;
}

/// What differs between places, on purpose.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    /// A manifest is refused while a blob that it names is missing.
    pub(crate) manifests_last: bool,
    /// What one repository has is not there in another until it is mounted.
    pub(crate) repositories_apart: bool,
    /// No piece is longer than `CHUNK`; only what is in memory anyway may come in one.
    pub(crate) small_pieces: bool,
}

/// An open place.
pub(crate) struct Opened {
    pub(crate) write: Arc<dyn ContentWrite>,
    pub(crate) tags: Arc<dyn TagStore>,
    /// Ends writing, where that has an end, and opens the place for reading.
    pub(crate) read: Box<dyn FnOnce() -> BoxFuture<'static, Arc<dyn ContentRead>> + Send>,
    /// What must live as long as the place: a directory, a server.
    pub(crate) _keep: Box<dyn Any + Send>,
}
