//! [`PredecessorError`]: what is wrong with an archive of a predecessor, and what to do about it.

use std::error::Error;
use std::path::{Path, PathBuf};

/// An archive of a predecessor cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{}`: {kind}", path.display())]
pub struct PredecessorError {
    path: PathBuf,
    kind: PredecessorErrorKind,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PredecessorErrorKind {
    /// The disk failed.
    #[error("{0}")]
    Disk(&'static str),
    /// Archives that do not belong together are in one directory.
    #[error("it holds archives of {first} beside those of {second}")]
    Mixed {
        /// One program.
        first: &'static str,
        /// Another one.
        second: &'static str,
    },
    /// Chunks are missing.
    #[error("{} missing", missing(.0))]
    Chunks(Vec<String>),
    /// It ends where more has to come.
    #[error("it is cut off: {0}")]
    CutOff(String),
    /// It is no tar file, or was damaged.
    #[error("it is damaged, or no tar file: the header at byte {at} is not valid ({reason})")]
    Header {
        /// Where.
        at: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Something follows its end mark.
    #[error("something is behind its end at byte {0}, which some programs read and others do not")]
    Behind(u64),
    /// It holds something that no such archive has.
    #[error("`{}` in it is refused: {reason}", name.escape_debug())]
    Member {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// Something is there twice, so that nobody can tell which is meant.
    #[error("`{}` is in it twice, or in another chunk too", .0.escape_debug())]
    Twice(String),
    /// A file that the archive has to have.
    #[error("there is no `{0}` in it")]
    Lacks(&'static str),
    /// A file in it cannot be used.
    #[error("`{}` in it cannot be used", .0.escape_debug())]
    Unusable(String),
    /// The file's name says one sequence, its content another.
    #[error("its name says sequence {name}, and what is in it sequence {content}")]
    Sequence {
        /// The one.
        name: u64,
        /// The other.
        content: u64,
    },
}

fn missing(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(", "))
}

impl PredecessorError {
    /// Makes an error about a file or directory.
    pub(super) fn new(path: &Path, kind: PredecessorErrorKind) -> Self {
        Self { path: path.to_owned(), kind, source: None }
    }

    /// Makes an error with the one that caused it.
    pub(super) fn caused(
        path: &Path,
        kind: PredecessorErrorKind,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { path: path.to_owned(), kind, source: Some(source.into()) }
    }

    /// Returns what is wrong.
    pub fn kind(&self) -> &PredecessorErrorKind {
        &self.kind
    }

    /// Returns what to do about it.
    pub fn hint(&self) -> &'static str {
        match self.kind {
            PredecessorErrorKind::Disk(_) => "check the permissions of the file, and the disk it is on",
            PredecessorErrorKind::Mixed { .. } => {
                "keep them in directories of their own, and publish one after the other; older ones first"
            }
            PredecessorErrorKind::Chunks(_) | PredecessorErrorKind::CutOff(_) => {
                "nothing was sent; copy all files of the archive again from where they were made"
            }
            PredecessorErrorKind::Header { .. } | PredecessorErrorKind::Behind(_) => {
                "nothing was sent; compare its checksum with that of the file where it was made, and copy it again"
            }
            PredecessorErrorKind::Twice(_) | PredecessorErrorKind::Sequence { .. } => {
                "nothing was sent; keep only the files of one run in the directory, under the names that they were made with"
            }
            PredecessorErrorKind::Member { .. }
            | PredecessorErrorKind::Lacks(_)
            | PredecessorErrorKind::Unusable(_) => {
                "nothing was sent; archives of oc-mirror v1 (since 4.10) and v2 can be published as they were made"
            }
        }
    }
}
