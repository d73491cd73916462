//! [`ArchiveError`]: what is wrong with an imageset on disk, and what to do about it.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use oc_mirror_model::dsse::Distrust;
use oc_mirror_model::imageset::{FORMAT, FormatVersion};
use oc_mirror_model::tar::InvalidHeader;

use crate::content::{ContentError, ContentErrorKind};
use crate::fsx;

/// Writing, opening or reading an imageset failed.
#[derive(Debug, thiserror::Error)]
#[error("`{}`: {kind}", path.display())]
pub struct ArchiveError {
    path: PathBuf,
    kind: ArchiveErrorKind,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveErrorKind {
    /// The disk failed.
    #[error("{0}")]
    Disk(String),
    /// What holds the chunks failed, and is no disk.
    #[error("{0}")]
    Store(ContentErrorKind),
    /// There is not enough space.
    #[error("the disk is full: {needed} bytes are needed and {available} are free")]
    Full {
        /// What it takes.
        needed: u64,
        /// What there is.
        available: u64,
    },
    /// There was no space left in the middle of something small.
    #[error("the disk is full")]
    NoSpace,
    /// Another process works in the directory.
    #[error("another run is writing here")]
    Locked,
    /// There is an imageset of this sequence with other content.
    #[error("there is another imageset of sequence {sequence}: {found}")]
    Exists {
        /// The sequence.
        sequence: u64,
        /// Which one it is.
        found: String,
    },
    /// Sealing was asked for and something is not there yet.
    #[error("{missing} of its entries were not written, `{first}` among them")]
    Incomplete {
        /// How many.
        missing: usize,
        /// One of them.
        first: String,
    },
    /// No imageset is here, or none of that name.
    #[error("no imageset is here")]
    NotFound,
    /// A directory holds several and one was asked for.
    #[error("there are several imagesets here")]
    Several,
    /// A partial imageset is all there is.
    #[error("the imageset was not finished")]
    Unfinished,
    /// It was written by a newer or a very old program.
    #[error("the imageset has format {found}, this program reads format {FORMAT}")]
    Format {
        /// Its version.
        found: FormatVersion,
    },
    /// The tar header of the first entry.
    #[error("it does not begin as an imageset does: {0}")]
    Header(InvalidHeader),
    /// The index is no index, or contradicts itself.
    #[error("its index is not valid: {0}")]
    Index(String),
    /// It is not signed as was asked for.
    #[error("the imageset is not trusted: {0}")]
    Distrusted(Distrust),
    /// Chunks are missing, cut off, or of another imageset: all of them are listed.
    #[error("{}", list(.0))]
    Chunks(Vec<ChunkProblem>),
    /// An entry's bytes are not those that the index names.
    #[error("`{entry}` is damaged: {reason}")]
    Damaged {
        /// The entry.
        entry: String,
        /// How.
        reason: String,
    },
    /// There is no such entry.
    #[error("it holds no `{0}`")]
    NoEntry(String),
}

/// What is wrong with one chunk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkProblem {
    /// It is not there.
    #[error("`{0}` is missing")]
    Missing(String),
    /// It has another length than the index says.
    #[error("`{name}` has {actual} bytes, not {expected}: {}", if actual < expected { "it is cut off" } else { "something was added" })]
    Size {
        /// The file.
        name: String,
        /// What the index says.
        expected: u64,
        /// What it has.
        actual: u64,
    },
    /// It belongs to another imageset, or is another chunk of this one.
    #[error("`{name}` {what}")]
    Foreign {
        /// The file.
        name: String,
        /// What it is instead.
        what: String,
    },
    /// It cannot be read, or does not begin as a chunk does.
    #[error("`{name}` cannot be used: {reason}")]
    Unreadable {
        /// The file.
        name: String,
        /// Why.
        reason: String,
    },
}

impl ChunkProblem {
    /// Returns the name of the file.
    pub fn name(&self) -> &str {
        match self {
            Self::Missing(name)
            | Self::Size { name, .. }
            | Self::Foreign { name, .. }
            | Self::Unreadable { name, .. } => name,
        }
    }
}

fn list(problems: &[ChunkProblem]) -> String {
    problems.iter().map(ChunkProblem::to_string).collect::<Vec<_>>().join("; ")
}

impl ArchiveError {
    pub(super) fn new(path: impl Into<PathBuf>, kind: ArchiveErrorKind) -> Self {
        Self { path: path.into(), kind, source: None }
    }

    pub(super) fn with_source(
        path: impl Into<PathBuf>,
        kind: ArchiveErrorKind,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { path: path.into(), kind, source: Some(source.into()) }
    }

    pub(super) fn disk(path: impl Into<PathBuf>, what: &str, source: io::Error) -> Self {
        let kind = match fsx::is_full(&source) {
            true => ArchiveErrorKind::NoSpace,
            false => ArchiveErrorKind::Disk(what.to_owned()),
        };
        Self::with_source(path, kind, source)
    }

    /// Returns the file or directory it is about.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns what went wrong.
    pub fn kind(&self) -> &ArchiveErrorKind {
        &self.kind
    }

    /// Answers whether trying again may help.
    pub fn is_temporary(&self) -> bool {
        match &self.kind {
            ArchiveErrorKind::Locked => true,
            ArchiveErrorKind::Store(kind) => kind.is_temporary(),
            _ => false,
        }
    }

    /// Returns what to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match &self.kind {
            ArchiveErrorKind::Full { needed, available } => format!(
                "free {} bytes there, or write to another disk; what is finished is kept",
                needed.saturating_sub(*available)
            ),
            ArchiveErrorKind::NoSpace => {
                "free some space there; what is finished is kept, and the same command goes on from there"
                    .to_owned()
            }
            ArchiveErrorKind::Locked => "wait for it to end, or stop it".to_owned(),
            ArchiveErrorKind::Exists { .. } => {
                "move the files of that imageset elsewhere, or write to another directory".to_owned()
            }
            ArchiveErrorKind::NotFound => {
                "name a directory with files `mirror_seqN_NNNNNN.tar`, or one such file".to_owned()
            }
            ArchiveErrorKind::Several => "name a chunk of the one that is meant".to_owned(),
            ArchiveErrorKind::Unfinished | ArchiveErrorKind::Incomplete { .. } => {
                "run the command that makes it again: it goes on where it stopped".to_owned()
            }
            ArchiveErrorKind::Format { found } if *found > FORMAT => {
                "use the oc-mirror that made it, or a newer one".to_owned()
            }
            ArchiveErrorKind::Chunks(problems)
                if problems.iter().all(|p| matches!(p, ChunkProblem::Missing(_))) =>
            {
                "bring the missing files into the same directory".to_owned()
            }
            ArchiveErrorKind::Chunks(_)
            | ArchiveErrorKind::Damaged { .. }
            | ArchiveErrorKind::Header(_)
            | ArchiveErrorKind::Index(_) => {
                "copy the named files from the connected side again, and run `oc-mirror check`".to_owned()
            }
            ArchiveErrorKind::Distrusted(distrust) => distrust.hint().to_owned(),
            ArchiveErrorKind::Format { .. }
            | ArchiveErrorKind::Disk(_)
            | ArchiveErrorKind::Store(_)
            | ArchiveErrorKind::NoEntry(_) => return None,
        };
        Some(hint)
    }
}

/// Takes over what went wrong with a chunk's bytes, whatever holds them.
pub(super) fn read_failed(path: &Path, error: ContentError) -> ArchiveError {
    let kind = match error.kind().clone() {
        ContentErrorKind::Disk(what) => ArchiveErrorKind::Disk(what),
        other => ArchiveErrorKind::Store(other),
    };
    ArchiveError { path: path.to_owned(), kind, source: error.into_cause() }
}

/// Words a failed write: a full disk is said in so many words, since it is the usual case.
pub(super) fn write_failed(path: &Path, source: io::Error) -> ContentError {
    let what = if fsx::is_full(&source) { "the disk is full" } else { "it cannot be written" };
    ContentError::disk(path.display().to_string(), what, source)
}

impl From<ArchiveError> for ContentError {
    fn from(error: ArchiveError) -> Self {
        let subject = error.path.display().to_string();
        let kind = match &error.kind {
            ArchiveErrorKind::Disk(what) => ContentErrorKind::Disk(what.clone()),
            ArchiveErrorKind::NoSpace => ContentErrorKind::Disk(error.kind.to_string()),
            ArchiveErrorKind::Store(kind) => kind.clone(),
            ArchiveErrorKind::NoEntry(_) | ArchiveErrorKind::NotFound => ContentErrorKind::NotFound,
            other => ContentErrorKind::Invalid(other.to_string()),
        };
        match error.source {
            Some(source) => ContentError::with_source(subject, kind, source),
            None => ContentError::new(subject, kind),
        }
    }
}
