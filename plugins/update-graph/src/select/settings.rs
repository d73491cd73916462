//! What goes into a selection, and what comes out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::problem::Note;
use crate::search::Accept;
use crate::version::Version;

/// Whose rules decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rules {
    /// Those of oc-mirror v1.
    #[serde(rename = "v1alpha2")]
    V1Alpha2,
    /// Those of oc-mirror v2.
    #[default]
    #[serde(rename = "v2alpha1")]
    V2Alpha1,
}

/// An entry of `platform.channels`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// The name of the channel.
    pub channel: String,
    /// Tells whether it is OKD's, not OpenShift's.
    pub okd: bool,
    /// The lowest version.
    pub min: Option<Version>,
    /// The highest version.
    pub max: Option<Version>,
    /// Only what is on the shortest path between them.
    pub shortest_path: bool,
    /// From the first release, unless there is a lowest version.
    pub full: bool,
}

impl Wish {
    /// Tells whether only the latest release is wanted.
    pub(crate) fn is_head_only(&self) -> bool {
        self.min.is_none() && self.max.is_none() && !self.full
    }
}

/// What decides besides the wishes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whose rules decide.
    pub rules: Rules,
    /// Which risks of conditional updates are accepted.
    pub accept: Accept,
    /// By the rules of v1alpha2, the first head of each channel that was mirrored before. Of such a channel all is
    /// wanted that came since.
    pub heads: BTreeMap<String, Version>,
}

/// The versions of a channel from one to another, both included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The lowest version.
    pub min: Version,
    /// The highest version.
    pub max: Version,
}

/// What to mirror.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The releases, by ascending version, one for each payload.
    pub releases: Vec<Release>,
    /// What a user should know.
    pub notes: Vec<Note>,
    /// By the rules of v1alpha2, the first heads to remember for the next run: of the channels of which only the
    /// latest release was wanted.
    pub heads: BTreeMap<String, Version>,
    /// The minimum and maximum of each wanted channel, as they were decided: what [`select_after`] wants to know in
    /// the next run.
    ///
    /// [`select_after`]: crate::select_after
    pub spans: BTreeMap<String, Span>,
}

/// A release to mirror.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// The version.
    pub version: Version,
    /// The release image.
    pub payload: String,
    /// The channels that have it, sorted.
    pub channels: Vec<String>,
    /// Tells whether it is OKD's.
    pub okd: bool,
    /// The address of its advisory.
    pub url: Option<String>,
    /// Why it was selected, at least one reason.
    pub why: Vec<String>,
}
