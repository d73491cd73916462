//! One plugin, asked by itself: [`Tryout`]. Nothing is mirrored, and no workspace is used.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oc_mirror_model::policy::{Decision, Verdict};
use oc_mirror_model::report::Workflow;
use oc_mirror_model::request::ImageRequest;

use super::Run;
use super::images::RunImages;
use super::kept::Kept;
use super::recording::Outside;
use crate::content::{ContentError, ContentErrorKind, Images};
use crate::policy::{Policy, Stages};
use crate::source::{Collected, ContentSource, PluginError, RunInfo, Services};

/// What is lent to a plugin that is asked by itself.
pub struct Tryout {
    run: RunInfo,
    services: Services,
}

/// There is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum NoVerdict {
    /// The image cannot be opened.
    #[error(transparent)]
    Image(#[from] ContentError),
    /// The policy failed.
    #[error(transparent)]
    Plugin(#[from] PluginError),
}

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
        let run = RunInfo {
            host_version: run.program.clone(),
            workflow: Workflow::MirrorToDisk,
            offline: false,
            dry_run: true,
            time: run.created.clone(),
            sequence: 1,
            platforms: Vec::new(),
            images,
        };
        Self { run, services }
    }

    /// Has a source collect.
    pub async fn collect(&self, source: &dyn ContentSource) -> Result<Collected, PluginError> {
        source.prepare(&self.run, &self.services).await?;
        source.collect(&self.run, &self.services).await
    }

    /// Has a policy judge an image, as a run does: its reference first, and if that passes the image.
    pub async fn judge(&self, policy: &dyn Policy, request: &ImageRequest) -> Result<Decision, NoVerdict> {
        let name = policy.identity().name.clone();
        let mut decision = Decision::default();
        if policy.stages().reference {
            let batch = std::slice::from_ref(request);
            let verdicts = policy.evaluate_references(&self.run, &self.services, batch).await?;
            decision.add(&name, verdicts.into_iter().next().unwrap_or(Verdict::Allow));
        }
        let Stages { manifest, content, .. } = policy.stages();
        if (manifest || content) && !decision.is_denied() {
            let source = request.parsed_source().map_err(|error| {
                ContentError::new(request.source.clone(), ContentErrorKind::Invalid(error.to_string()))
            })?;
            let image = self.services.images.open(&source).await?;
            decision.add(&name, policy.evaluate(&self.run, &self.services, request, image).await?);
        }
        Ok(decision)
    }
}
