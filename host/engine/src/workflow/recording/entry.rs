//! What the lines of a recording are: [`Header`] first, then [`Exchange`]s.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::reference::{Selector, Tag};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::content::{ContentError, ContentErrorKind};

/// The format that is written, and the latest that can be read.
pub(super) const FORMAT: u32 = 1;

/// Whose recording it is, in its first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// The format.
    pub recording: u32,
    /// What made it: `oc-mirror 0.1.0`.
    pub program: String,
    /// The id of the plugin.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of its component.
    pub component: Digest,
    /// The time of the run, RFC 3339 in UTC: the plugin is told of the same when it is replayed.
    pub time: String,
}

impl Header {
    /// Makes one of the format that this version writes.
    pub fn new(program: &str, plugin: &str, version: &str, component: Digest, time: &str) -> Self {
        Self {
            recording: FORMAT,
            program: program.to_owned(),
            plugin: plugin.to_owned(),
            version: version.to_owned(),
            component,
            time: time.to_owned(),
        }
    }
}

/// A question to the outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(super) enum Call {
    /// Where an image is read from.
    Origin { source: String },
    /// The tags of a repository.
    Tags { repository: String, after: Option<String>, limit: usize },
    /// The manifests that refer to one.
    Referrers { source: String, digest: Digest, artifact_type: Option<String> },
    /// A manifest or index.
    Manifest { at: String, repository: String, reference: String },
    /// What a tag or digest points at.
    Find { at: String, repository: String, reference: String },
    /// A configuration, a layer.
    Blob { at: String, repository: String, digest: Digest, offset: u64 },
    /// The tags of a repository, where one question has them.
    SomeTags { at: String, repository: String, limit: usize },
    /// The list of manifests that refer to one, where such lists are kept.
    ListReferrers { at: String, repository: String, digest: Digest },
    /// A request. The URL is without user and query, and `request` the hash of all of it.
    Http { method: String, url: String, request: Digest },
    /// Whether a credential is held.
    Credential { name: String },
    /// The signatures of a release.
    Signatures { digest: Digest, version: Option<String>, keyring: String },
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin { source } => write!(f, "origin {source}"),
            Self::Tags { repository, after: None, .. } => write!(f, "tags {repository}"),
            Self::Tags { repository, after: Some(after), .. } => write!(f, "tags {repository} after {after}"),
            Self::Referrers { source, digest, .. } => write!(f, "referrers {source} {digest}"),
            Self::Manifest { at, repository, reference } => {
                write!(f, "manifest {at} {repository} {reference}")
            }
            Self::Find { at, repository, reference } => write!(f, "find {at} {repository} {reference}"),
            Self::Blob { at, repository, digest, .. } => write!(f, "blob {at} {repository} {digest}"),
            Self::SomeTags { at, repository, .. } => write!(f, "tags {at} {repository}"),
            Self::ListReferrers { at, repository, digest } => {
                write!(f, "referrers {at} {repository} {digest}")
            }
            Self::Http { method, url, .. } => write!(f, "http {method} {url}"),
            Self::Credential { name } => write!(f, "credential {name}"),
            Self::Signatures { digest, .. } => write!(f, "signatures {digest}"),
        }
    }
}

/// A question and what came of it: an answer or an error, in the shape of the question's kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Exchange {
    pub(super) call: Call,
    #[serde(flatten)]
    pub(super) outcome: Outcome,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Outcome {
    Answer(Value),
    Error(Value),
}

impl Outcome {
    /// Takes what came of a question, for which both sides have a form.
    pub(super) fn of<T: Serialize, E: Serialize>(result: &Result<T, E>) -> Self {
        let value =
            |value: serde_json::Result<Value>| value.expect("the forms of recordings have texts as keys");
        match result {
            Ok(answer) => Self::Answer(value(serde_json::to_value(answer))),
            Err(error) => Self::Error(value(serde_json::to_value(error))),
        }
    }

    /// Takes it apart again.
    pub(super) fn read<'a, T, E>(&'a self) -> serde_json::Result<Result<T, E>>
    where
        T: Deserialize<'a>,
        E: Deserialize<'a>,
    {
        Ok(match self {
            Self::Answer(value) => Ok(T::deserialize(value)?),
            Self::Error(value) => Err(E::deserialize(value)?),
        })
    }
}

/// Bytes: as text where they are one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Body {
    Text(String),
    Base64(String),
}

impl Body {
    pub(super) fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r')) => {
                Self::Text(text.to_owned())
            }
            _ => Self::Base64(STANDARD.encode(bytes)),
        }
    }

    pub(super) fn bytes(&self) -> Result<Vec<u8>, base64::DecodeError> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::Base64(text) => STANDARD.decode(text),
        }
    }
}

/// A stream of bytes, as far as it was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Streamed {
    pub(super) body: Body,
    pub(super) end: End,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum End {
    /// All of it was read.
    Complete,
    /// Nobody wanted more.
    Dropped,
    /// It broke off.
    Failed(Fault),
}

/// An error about content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fault {
    subject: String,
    #[serde(with = "Kind")]
    kind: ContentErrorKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
}

impl Fault {
    pub(super) fn of(error: &ContentError) -> Self {
        let mut causes = Vec::new();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        let cause = (!causes.is_empty()).then(|| causes.join(": "));
        Self { subject: error.subject().to_owned(), kind: error.kind().clone(), cause }
    }

    /// Makes the error again. It was tried as often as it was; a recording has no other answer.
    pub(super) fn error(self) -> ContentError {
        let made = match self.cause {
            Some(cause) => ContentError::with_source(self.subject, self.kind, cause),
            None => ContentError::new(self.subject, self.kind),
        };
        made.exhausted()
    }
}

/// The form of [`ContentErrorKind`].
#[derive(Serialize, Deserialize)]
#[serde(remote = "ContentErrorKind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
enum Kind {
    NotFound,
    Unauthorized,
    Denied,
    Throttled { retry_after: Option<Duration> },
    Unavailable(String),
    WrongDigest { expected: Digest, actual: Digest },
    WrongSize { expected: u64, actual: u64 },
    Refused(String),
    Incomplete(String),
    ImmutableTag { tag: Tag, there: Digest },
    Lost(String),
    Invalid(String),
    Untrusted(String),
    PlainHttp(String),
    Disk(String),
    OutOfTime(Duration),
    Cancelled,
}

/// Where an image is read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// Its name in messages.
    pub(super) name: String,
    pub(super) repository: String,
    pub(super) reference: String,
}

/// A manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    pub(super) media_type: String,
    pub(super) body: Body,
}

/// Reads what a manifest is asked for by. No tag has a colon, and every digest does.
pub(super) fn selector(text: &str) -> Option<Selector> {
    match text.contains(':') {
        true => text.parse().ok().map(Selector::Digest),
        false => text.parse().ok().map(Selector::Tag),
    }
}
