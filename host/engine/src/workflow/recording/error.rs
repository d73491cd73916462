//! [`RecordingError`]: why something cannot be recorded or replayed.

use std::path::{Path, PathBuf};

use super::entry::FORMAT;

/// A recording cannot be made or used.
#[derive(Debug, thiserror::Error)]
#[error("the recording `{}` {kind}", path.display())]
pub struct RecordingError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub kind: RecordingErrorKind,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What is wrong with a recording.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordingErrorKind {
    /// The disk failed.
    #[error("cannot be written")]
    Write,
    /// It is not there, or may not be read.
    #[error("cannot be read")]
    Read,
    /// A file that is something else would be lost.
    #[error("would replace a file that is no recording")]
    Occupied,
    /// It does not begin as recordings do.
    #[error("is none")]
    Other,
    /// It was made by a later version of this program.
    #[error("has format {0}, and this version knows {FORMAT}")]
    Newer(u32),
    /// A line is damaged.
    #[error("is damaged in line {0}")]
    Damaged(usize),
    /// One answer is too large.
    #[error("takes no answer of more than {limit} bytes, as that of {call} is")]
    Body {
        /// Which.
        call: String,
        /// The most bytes of one answer.
        limit: u64,
    },
    /// All of them are.
    #[error("takes no more than {0} bytes")]
    Full(u64),
}

impl RecordingError {
    pub(super) fn new(path: &Path, kind: RecordingErrorKind) -> Self {
        Self { path: path.to_owned(), kind, source: None }
    }

    pub(super) fn caused(
        path: &Path,
        kind: RecordingErrorKind,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { path: path.to_owned(), kind, source: Some(source.into()) }
    }

    /// Returns what to do about it.
    pub fn hint(&self) -> &'static str {
        use RecordingErrorKind as Kind;
        match self.kind {
            Kind::Write => "name a file in a directory that is there and has room",
            Kind::Occupied => "name another file, or remove this one",
            Kind::Read | Kind::Other => "a recording is a file that `oc-mirror plugin run --record` has made",
            Kind::Newer(_) => "use the version of oc-mirror that made it, or a later one",
            Kind::Damaged(_) => "make it again with `oc-mirror plugin run --record`",
            Kind::Body { .. } | Kind::Full(_) => "record the plugin with smaller images or less of them",
        }
    }
}
