//! Content sources as the engine sees them: [`ContentSource`] turns a part of the configuration into wishes.
//!
//! Whether one is built in or somebody's own cannot be seen from here.

mod signatures;
#[cfg(test)]
pub(crate) mod testing;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::platform::Platform;
use oc_mirror_model::report::Workflow;
use oc_mirror_model::request::ImageRequest;
use serde_json::Value;

use crate::content::{BlobStream, Images};
use crate::report::SharedEvents;

pub use signatures::{
    Keyring, NoKeys, Payload, SignatureError, SignatureFault, SignatureFaultKind, Signatures,
    VerifiedSignature,
};

/// Who a plugin is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginIdentity {
    /// The name it has in the configuration, or its own if it is built in.
    pub name: String,
    /// What it calls itself: its id and version.
    pub id: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of the component.
    pub digest: Digest,
}

/// A plugin failed. The message names plugin, version, call and cause.
#[derive(Debug, thiserror::Error)]
#[error("plugin `{plugin}` {version} failed in `{call}`: {cause}")]
pub struct PluginError {
    /// The name it has in the configuration.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// Which of its functions.
    pub call: String,
    /// What happened.
    pub cause: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What a plugin may know of the run.
#[derive(Clone, Debug)]
pub struct RunInfo {
    /// The version of this program.
    pub host_version: String,
    /// Which way.
    pub workflow: Workflow,
    /// True if nothing but the imageset can be read.
    pub offline: bool,
    /// True if nothing will be written.
    pub dry_run: bool,
    /// The time of the run, RFC 3339 in UTC: that of `SOURCE_DATE_EPOCH` where it is set.
    pub time: String,
    /// The sequence being made.
    pub sequence: u64,
    /// Platforms that the whole run is restricted to; empty is no restriction.
    pub platforms: Vec<Platform>,
    /// How many images policies are being asked about; nothing where they are not.
    pub images: Option<u64>,
}

/// What the host lends to a plugin for one run. Grants are checked before any of it is touched.
#[derive(Clone)]
pub struct Services {
    /// Images of the run.
    pub images: Arc<dyn Images>,
    /// HTTP.
    pub http: Arc<dyn HttpFetch>,
    /// Where messages go.
    pub events: SharedEvents,
    /// A directory for files and generated images of this run, deleted by the engine.
    pub scratch: PathBuf,
    /// Set when the run is being stopped.
    pub cancelled: Arc<std::sync::atomic::AtomicBool>,
    /// What the plugin saved with the previous sequence, by plugin name.
    pub state: Arc<std::collections::BTreeMap<String, Value>>,
    /// A directory for what plugins keep from run to run, if there is one.
    pub cache: Option<PathBuf>,
    /// What sources have asked for in this run and cannot be had.
    pub unavailable: Arc<Vec<Unavailable>>,
    /// Signatures of releases.
    pub signatures: Arc<dyn Signatures>,
}

/// A run as a plugin sees it.
#[derive(Clone)]
pub struct Lent {
    /// What it may know.
    pub run: RunInfo,
    /// What it may use.
    pub services: Services,
}

/// An image that a source has asked for and that cannot be mirrored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// The origin of the request.
    pub origin: String,
    /// Why.
    pub reason: Reason,
    /// Why, in words.
    pub message: String,
}

/// Why an image cannot be mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A policy refused it.
    Refused,
    /// It cannot be fetched.
    Missing,
}

impl Reason {
    /// Returns the word of the plugins' contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Missing => "missing",
        }
    }
}

/// What a source found. Nothing of it counts unless its call ended well.
#[derive(Debug, Default)]
pub struct Collected {
    /// Images, in the order of emission, without repetition. Generated images are here too: their source is a
    /// layout below [`Services::scratch`].
    pub images: Vec<ImageRequest>,
    /// Cluster resources: a name and one YAML or JSON document each.
    pub documents: Vec<(String, String)>,
    /// Opaque files: the path in the imageset below `files/`, and where the bytes are.
    pub artifacts: Vec<Artifact>,
    /// Remarks: a code and a message each.
    pub warnings: Vec<(String, String)>,
    /// What a reader of the report should know and need not act on: a code and a message each.
    pub notes: Vec<(String, String)>,
    /// What to hand to the plugin at the next sequence.
    pub state: Option<Value>,
    /// Whether it looked at what is unavailable, so that it may answer otherwise if more is.
    pub minds_unavailable: bool,
}

/// An opaque file that a source made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Relative, normalised path.
    pub path: String,
    /// Where its bytes are, below [`Services::scratch`].
    pub file: PathBuf,
    /// Their digest.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
}

/// Turns a part of the configuration into wishes.
#[async_trait]
pub trait ContentSource: Send + Sync {
    /// Returns who it is.
    fn identity(&self) -> &PluginIdentity;

    /// Does what can be done ahead of [`collect`](Self::collect), part by part and side by side, if it can.
    async fn prepare(&self, run: &RunInfo, services: &Services) -> Result<(), PluginError> {
        let _ = (run, services);
        Ok(())
    }

    /// Collects what it wants.
    async fn collect(&self, run: &RunInfo, services: &Services) -> Result<Collected, PluginError>;
}

/// Answers questions about what a source can be asked for.
#[async_trait]
pub trait Inspector: Send + Sync {
    /// Answers one question. The questions, their arguments and the answers are the plugin's own.
    async fn query(
        &self,
        run: &RunInfo,
        services: &Services,
        question: &str,
        arguments: &Value,
    ) -> Result<Value, PluginError>;
}

/// A request that a plugin makes. The allow-list has been checked for `url` when it gets here.
pub struct HttpRequest {
    /// `GET`, `HEAD` or `POST`.
    pub method: String,
    /// Where to.
    pub url: String,
    /// Headers, without any that carry credentials.
    pub headers: Vec<(String, String)>,
    /// The body, if any.
    pub body: Option<Vec<u8>>,
    /// The name of a credential to attach.
    pub credential: Option<String>,
    /// The most bytes to read.
    pub max_bytes: u64,
    /// Asked again for the target of every redirect: may this URL be fetched?
    pub allow: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

/// The answer to one.
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// Headers that are safe to show: none that set cookies or ask for credentials.
    pub headers: Vec<(String, String)>,
    /// Where the redirects ended, without user information and query.
    pub final_url: String,
    /// The body, cut off with an error at the request's limit.
    pub body: BlobStream,
}

/// A request could not be made or was not allowed.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// An address or redirect that is not allowed.
    #[error("`{url}` is not allowed: {reason}")]
    Denied {
        /// Where it would have gone, without secrets.
        url: String,
        /// Why not.
        reason: String,
    },
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The other side cannot be reached.
    #[error("{0}")]
    Unavailable(String),
}

/// Makes requests for plugins.
#[async_trait]
pub trait HttpFetch: Send + Sync {
    /// Makes one request, following redirects that are allowed.
    async fn fetch(&self, request: HttpRequest) -> Result<HttpResponse, HttpError>;

    /// Answers whether a credential of that name is held.
    fn has_credential(&self, name: &str) -> bool;
}
