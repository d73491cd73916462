//! Policies as the engine sees them: [`Policy`] judges references in planning, and images once they are resolved.

use std::sync::Arc;

use async_trait::async_trait;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::policy::Verdict;
use oc_mirror_model::request::ImageRequest;

pub use oc_mirror_model::policy::{Mode, OnFailure};

use crate::content::ImageView;
use crate::source::{Lent, PluginError, PluginIdentity};

/// Which questions a policy can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stages {
    /// References, in planning, before any network traffic.
    pub reference: bool,
    /// Images, once their manifests are known.
    pub manifest: bool,
    /// Images, once all of their content can be read.
    pub content: bool,
}

/// Judges images. What is lent is shared: a run asks about tens of thousands of images.
#[async_trait]
pub trait Policy: Send + Sync {
    /// Returns who it is.
    fn identity(&self) -> &PluginIdentity;

    /// Returns what a denial does.
    fn mode(&self) -> Mode;

    /// Returns what becomes of an image that it breaks on.
    fn on_failure(&self) -> OnFailure;

    /// Returns the SHA-256 of its settings, as JSON.
    fn settings(&self) -> Digest;

    /// Returns which questions it can answer.
    fn stages(&self) -> Stages;

    /// Judges references: one verdict for each, in their order.
    async fn evaluate_references(
        &self,
        lent: &Arc<Lent>,
        batch: &[ImageRequest],
    ) -> Result<Vec<Verdict>, PluginError>;

    /// Judges one image.
    async fn evaluate(
        &self,
        lent: &Arc<Lent>,
        request: &ImageRequest,
        image: Arc<dyn ImageView>,
    ) -> Result<Verdict, PluginError>;
}
