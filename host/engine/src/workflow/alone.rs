//! [`Alone`]: a plugin that is asked by itself, outside of any run, and what it is told of the run that there is not.

use std::sync::Arc;

use oc_mirror_model::policy::{Decision, Verdict};
use oc_mirror_model::report::Workflow;
use oc_mirror_model::request::ImageRequest;

use super::resolve::source_of;
use crate::content::{ContentError, ImageView};
use crate::policy::{Policy, Stages};
use crate::source::{Collected, ContentSource, Lent, PluginError, RunInfo};

/// What a plugin is lent that is asked by itself.
pub(super) struct Alone(pub(super) Arc<Lent>);

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

/// Returns what a plugin is told: nothing is mirrored, and nothing was before. `images` is how many policies are asked about.
pub(super) fn run_info(program: &str, time: &str, images: Option<u64>) -> RunInfo {
    RunInfo {
        host_version: program.to_owned(),
        workflow: Workflow::MirrorToDisk,
        offline: false,
        dry_run: true,
        time: time.to_owned(),
        sequence: 1,
        platforms: Vec::new(),
        images,
    }
}

impl Alone {
    /// Has a source collect.
    pub(super) async fn collect(&self, source: &dyn ContentSource) -> Result<Collected, PluginError> {
        source.prepare(&self.0.run, &self.0.services).await?;
        source.collect(&self.0.run, &self.0.services).await
    }

    /// Opens an image that is asked about.
    pub(super) async fn open(&self, request: &ImageRequest) -> Result<Arc<dyn ImageView>, ContentError> {
        self.0.services.images.open(&source_of(request)?).await
    }

    /// Has a policy judge an image, as a run does: its reference first, and if that passes the image.
    pub(super) async fn judge(
        &self,
        policy: &dyn Policy,
        request: &ImageRequest,
    ) -> Result<Decision, NoVerdict> {
        let name = policy.identity().name.clone();
        let Stages { reference, manifest, content } = policy.stages();
        let mut decision = Decision::default();
        if reference {
            let batch = std::slice::from_ref(request);
            let verdicts = policy.evaluate_references(&self.0, batch).await?;
            decision.add(&name, verdicts.into_iter().next().unwrap_or(Verdict::Allow));
        }
        if (manifest || content) && !decision.is_denied() {
            let image = self.open(request).await?;
            decision.add(&name, policy.evaluate(&self.0, request, image).await?);
        }
        Ok(decision)
    }
}
