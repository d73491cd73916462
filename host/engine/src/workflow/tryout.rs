//! One plugin, asked by itself: [`Tryout`]. Nothing is mirrored, and of a workspace nothing but the cache is written to.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oc_mirror_model::policy::Decision;
use oc_mirror_model::request::ImageRequest;

pub use super::alone::NoVerdict;

use super::Run;
use super::alone::{Alone, run_info};
use super::guard::Guard;
use super::images::{Guarded, RunImages};
use super::kept::Kept;
use super::recording::Outside;
use super::workspace::Remembered;
use crate::content::Images;
use crate::policy::Policy;
use crate::source::{Collected, ContentSource, Lent, PluginError, RunInfo, Services};

/// What is lent to a plugin that is asked by itself.
pub struct Tryout(Alone);

/// What a run has around it, besides the outside. By default that of a first one.
#[derive(Default)]
pub struct Around {
    /// What plugins remember.
    pub remembered: Remembered,
    /// Where they keep what makes them faster; nothing: for these questions alone.
    pub cache: Option<PathBuf>,
    /// What images have to satisfy.
    pub guard: Option<Arc<Guard>>,
}

/// Returns the directory of the files of a run, below the one that it has for itself.
pub fn scratch_in(directory: &Path) -> PathBuf {
    directory.join("scratch")
}

impl Tryout {
    /// Prepares to ask: about so many images if it is a policy. `directory` is there, and for these questions alone.
    pub fn new(run: &Run, outside: Outside, directory: &Path, images: Option<u64>, around: Around) -> Self {
        let Around { remembered, cache, guard } = around;
        let cache = cache.unwrap_or_else(|| directory.join("cache"));
        let blobs = Kept::open(&cache.join("blobs"));
        let guard = guard.map(|guard| Guarded { guard, scratch: scratch_in(directory) });
        let (retry, events) = (run.retry, run.events.clone());
        let opened = RunImages::new(outside.origins, retry, events, HashSet::new(), blobs, guard, None);
        let services = Services {
            images: Arc::new(opened) as Arc<dyn Images>,
            http: outside.http,
            events: run.events.clone(),
            scratch: scratch_in(directory),
            cancelled: run.cancelled.clone(),
            state: Arc::new(remembered.state),
            cache: Some(cache.join("plugins")),
            unavailable: Arc::default(),
            signatures: outside.signatures,
        };
        let sequence = remembered.sequence + 1;
        let run = RunInfo { sequence, ..run_info(&run.program, &run.created, images) };
        Self(Alone(Arc::new(Lent { run, services })))
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
