//! One plugin, asked by itself: [`Tryout`]. Nothing is mirrored, and no workspace is used.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oc_mirror_model::policy::Decision;
use oc_mirror_model::request::ImageRequest;

pub use super::alone::NoVerdict;

use super::Run;
use super::alone::{Alone, run_info};
use super::images::RunImages;
use super::kept::Kept;
use super::recording::Outside;
use crate::content::Images;
use crate::policy::Policy;
use crate::source::{Collected, ContentSource, Lent, PluginError, Services};

/// What is lent to a plugin that is asked by itself.
pub struct Tryout(Alone);

/// Returns the directory of the files of a run, below the one that it has for itself.
pub fn scratch_in(directory: &Path) -> PathBuf {
    directory.join("scratch")
}

impl Tryout {
    /// Prepares to ask: about so many images if it is a policy. `directory` is there, and for these questions alone.
    pub fn new(run: &Run, outside: Outside, directory: &Path, images: Option<u64>) -> Self {
        let cache = directory.join("cache");
        let blobs = Kept::open(&cache.join("blobs"));
        let opened =
            RunImages::new(outside.origins, run.retry, run.events.clone(), HashSet::new(), blobs, None, None);
        let services = Services {
            images: Arc::new(opened) as Arc<dyn Images>,
            http: outside.http,
            events: run.events.clone(),
            scratch: scratch_in(directory),
            cancelled: run.cancelled.clone(),
            state: Arc::default(),
            cache: Some(cache.join("plugins")),
            unavailable: Arc::default(),
            signatures: outside.signatures,
        };
        Self(Alone(Arc::new(Lent { run: run_info(&run.program, &run.created, images), services })))
    }

    /// Has a source collect.
    pub async fn collect(&self, source: &dyn ContentSource) -> Result<Collected, PluginError> {
        self.0.collect(source).await
    }

    /// Has a policy judge an image, as a run does: its reference first, and if that passes the image.
    pub async fn judge(&self, policy: &dyn Policy, request: &ImageRequest) -> Result<Decision, NoVerdict> {
        self.0.judge(policy, request).await
    }
}
