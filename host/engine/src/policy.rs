//! Policies as the engine sees them: [`Policy`] judges references in planning, and images once they are resolved.

use std::sync::Arc;

use async_trait::async_trait;
use oc_mirror_model::policy::Verdict;
use oc_mirror_model::request::ImageRequest;

use crate::content::ImageView;
use crate::source::{PluginError, PluginIdentity, RunInfo, Services};

/// Which questions a policy can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stages {
    /// References, in planning, before any network traffic.
    pub reference: bool,
    /// Images, once their manifests are known.
    pub image: bool,
}

/// What a denial does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The image is refused. A policy that fails refuses too.
    #[default]
    Protect,
    /// It is reported and passes.
    Monitor,
}

/// Judges images.
#[async_trait]
pub trait Policy: Send + Sync {
    /// Returns who it is.
    fn identity(&self) -> &PluginIdentity;

    /// Returns what a denial does.
    fn mode(&self) -> Mode;

    /// Returns which questions it can answer.
    fn stages(&self) -> Stages;

    /// Judges references: one verdict for each, in their order.
    async fn evaluate_references(
        &self,
        run: &RunInfo,
        services: &Services,
        batch: &[ImageRequest],
    ) -> Result<Vec<Verdict>, PluginError>;

    /// Judges one image.
    async fn evaluate(
        &self,
        run: &RunInfo,
        services: &Services,
        request: &ImageRequest,
        image: Arc<dyn ImageView>,
    ) -> Result<Verdict, PluginError>;
}
