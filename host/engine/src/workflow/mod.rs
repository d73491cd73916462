//! The three ways to mirror, [`to_disk`], [`from_disk`] and [`direct`], and [`serving`] what was mirrored. Each resolves, plans, executes, and then reports.
//!
//! A workflow gets everything as values: plugins, places, clock and identity. It commits last, so that running
//! the same command again repairs whatever broke off.

mod agreement;
mod alone;
mod aside;
mod charts;
pub mod checking;
mod collect;
mod companions;
mod contents;
pub mod deletion;
pub mod describing;
pub mod direct;
mod error;
mod forecast;
pub mod from_disk;
mod from_predecessor;
mod guard;
pub mod images;
pub mod imagesets;
mod judge;
mod kept;
mod manifests;
pub mod measuring;
mod mirrored;
pub mod network;
mod on_error;
mod origins;
mod outgoing;
pub mod plugin_artifacts;
mod preflight;
mod prepare;
mod publishing;
pub mod questions;
pub mod recording;
pub mod rehearsal;
pub mod release_signatures;
mod repair;
mod resolve;
mod resources;
pub mod serving;
mod space;
pub mod stock;
mod targets;
pub mod to_disk;
pub mod tryout;
mod workspace;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use oc_mirror_model::imageset::{ImageEntry, Index};
use oc_mirror_model::report::PluginReport;
use serde_json::Value;
use uuid::Uuid;

pub use agreement::{Agreement, Taken};
pub use error::{WorkflowError, WorkflowErrorKind};
pub use guard::Guard;
pub use on_error::OnError;
pub use preflight::{Examine, Finding, Unfit};
pub use workspace::{
    Remembered, ResourcesOf, Workspace, cache_in, directory_of_workspace, remembered_in, resources_in,
    trusted_keys_in, trusted_publishers_in,
};

use crate::archive::TrustedKeys;
use crate::policy::Policy;
use crate::report::SharedEvents;
use crate::resources::Preferences;
use crate::source::{ContentSource, HttpFetch, Signatures};
use crate::transfer::{Parallelism, Retry};

/// What a run is told from outside.
#[derive(Clone)]
pub struct Run {
    /// The program and its version: `oc-mirror 0.1.0`.
    pub program: String,
    /// The time of the run in RFC 3339; that of `SOURCE_DATE_EPOCH` where it is set.
    pub created: String,
    /// Whether `created` was fixed from outside, so that equal inputs give equal imagesets.
    pub created_is_fixed: bool,
    /// The identity for a chain that begins with this run.
    pub new_uid: Uuid,
    /// True if it is only asked what would be done.
    pub dry_run: bool,
    /// How much may be under way at once.
    pub parallelism: Parallelism,
    /// How often to try again.
    pub retry: Retry,
    /// What to do about images that cannot be had.
    pub on_error: OnError,
    /// How long one image may be under way; nothing: as long as it takes.
    pub image_timeout: Option<Duration>,
    /// What to do about signatures and other things beside images.
    pub companions: CarryCompanions,
    /// Whether what has left the configuration is deleted from the target once all is published.
    pub prune: bool,
    /// Whether a target is asked for all that imagesets hold, those published before included, and gets what it lacks.
    pub repair: bool,
    /// The keys that have to have signed what is published.
    pub trusted: TrustedKeys,
    /// How resources for clusters are to be.
    pub resources: Preferences,
    /// Where to tell what happens.
    pub events: SharedEvents,
    /// Set when the run is to stop.
    pub cancelled: Arc<AtomicBool>,
    /// The plan that is taken down of a dry run, or that the run is held to.
    pub agreement: Option<Arc<Agreement>>,
}

impl Run {
    /// Answers whether the run is held to a plan.
    fn keeps_plan(&self) -> bool {
        self.agreement.as_ref().is_some_and(|agreement| agreement.is_kept())
    }

    /// Notes what is going to be made, or compares it with the plan; nothing: nothing is.
    fn settle(&self, index: Option<&Index>) -> Result<(), WorkflowError> {
        self.agreement.as_ref().map_or(Ok(()), |agreement| agreement.settle(index))
    }
}

/// What a run does about signatures, attestations, bills of materials and other referrers of the images it mirrors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CarryCompanions {
    /// Carry all that there are.
    #[default]
    All,
    /// Leave them out, and do not look for them.
    None,
}

/// Returns a configuration in which the given images are named by digest, and what sources chose as they say in the state that they
/// save with the sequence, by their names.
pub type Pin = Box<dyn Fn(&[ImageEntry], &BTreeMap<String, Value>) -> Vec<u8> + Send + Sync>;

/// What is wanted: the plugins of a configuration, and the configuration itself.
pub struct Wishes {
    /// Sources, in the order of the configuration.
    pub sources: Vec<Box<dyn ContentSource>>,
    /// Policies, in the order of the configuration.
    pub policies: Vec<Arc<dyn Policy>>,
    /// The configuration exactly as it was written.
    pub configuration: Vec<u8>,
    /// Returns the configuration with every image pinned by digest.
    pub pinned: Pin,
    /// HTTP for plugins.
    pub http: Arc<dyn HttpFetch>,
    /// Signatures of releases.
    pub signatures: Arc<dyn Signatures>,
    /// What every image has to satisfy.
    pub guard: Option<Arc<Guard>>,
    /// Which plugins of the user's these are, for the report.
    pub plugins: Vec<PluginReport>,
}
