//! [`ContentError`]: what went wrong with content, where, and whether trying again helps.

use std::error::Error;
use std::time::Duration;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::reference::Tag;

/// Reading or writing content failed.
#[derive(Debug, thiserror::Error)]
#[error("`{subject}`: {kind}")]
pub struct ContentError {
    subject: Box<str>,
    kind: ContentErrorKind,
    exhausted: bool,
    of_source: bool,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentErrorKind {
    /// It is not there.
    #[error("not found")]
    NotFound,
    /// Who asks is not known.
    #[error("authentication is required, and no credential that is at hand was accepted")]
    Unauthorized,
    /// Who asks may not.
    #[error("access is denied")]
    Denied,
    /// Too many requests.
    #[error("too many requests")]
    Throttled {
        /// How long the other side asked to wait.
        retry_after: Option<Duration>,
    },
    /// The other side cannot be reached, broke off, or failed inside.
    #[error("{0}")]
    Unavailable(String),
    /// The bytes are not those that were asked for.
    #[error("the content hashes to `{actual}`, not to `{expected}`")]
    WrongDigest {
        /// What was asked for.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// There are more bytes, or fewer, than the descriptor says.
    #[error("the content has {actual} bytes, not {expected}")]
    WrongSize {
        /// What the descriptor says.
        expected: u64,
        /// What came, or more than that.
        actual: u64,
    },
    /// The other side understood, and refused for a reason of its own.
    #[error("{0}")]
    Refused(String),
    /// A manifest names what the other side does not have.
    #[error("{0}")]
    Incomplete(String),
    /// The other side lets a tag point at one thing for ever, and that is another one.
    #[error("the tag `{tag}` is immutable there, and points at `{there}`")]
    ImmutableTag {
        /// The tag.
        tag: Tag,
        /// What it points at.
        there: Digest,
    },
    /// It was there, by all that is known, and is not.
    #[error("{0}")]
    Lost(String),
    /// The other side does not keep to the protocol or format.
    #[error("{0}")]
    Invalid(String),
    /// The other side cannot be trusted: its certificate is not accepted, or it has none.
    #[error("{0}")]
    Untrusted(String),
    /// The other side speaks plain HTTP where TLS is asked for.
    #[error("{0}")]
    PlainHttp(String),
    /// The disk failed.
    #[error("{0}")]
    Disk(String),
    /// The images that need it have had the time that they were given.
    #[error("it was not there within the {} that the image was given", in_words(*.0))]
    OutOfTime(Duration),
    /// The run is being stopped.
    #[error("cancelled")]
    Cancelled,
}

/// Writes a duration as users write it.
fn in_words(time: Duration) -> String {
    match (time.as_secs(), time.subsec_millis()) {
        (seconds, 0) if seconds >= 3600 && seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        (seconds, 0) if seconds >= 60 && seconds % 60 == 0 => format!("{}m", seconds / 60),
        (seconds, 0) => format!("{seconds}s"),
        _ => format!("{}ms", time.as_millis()),
    }
}

impl ContentErrorKind {
    /// Answers whether trying again may help; see [`ContentError::is_temporary`].
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Throttled { .. } | Self::Unavailable(_) | Self::WrongDigest { .. } | Self::WrongSize { .. }
        )
    }
}

/// Two digests leave little room beside them: what is returned everywhere has to be small.
fn boxed(subject: impl Into<String>) -> Box<str> {
    let subject: String = subject.into();
    subject.into()
}

impl ContentError {
    /// Makes an error about `subject`: a reference, a URL without secrets, a path.
    pub fn new(subject: impl Into<String>, kind: ContentErrorKind) -> Self {
        Self { subject: boxed(subject), kind, exhausted: false, of_source: false, source: None }
    }

    /// Makes an error with the one that caused it.
    pub fn with_source(
        subject: impl Into<String>,
        kind: ContentErrorKind,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            subject: boxed(subject),
            kind,
            exhausted: false,
            of_source: false,
            source: Some(source.into()),
        }
    }

    /// Makes an error out of one of the disk.
    pub fn disk(subject: impl Into<String>, what: &str, source: std::io::Error) -> Self {
        Self::with_source(subject, ContentErrorKind::Disk(what.to_owned()), source)
    }

    /// Returns the same error once more, for somebody else whom it hits. Its causes are kept as text.
    pub fn again(&self) -> Self {
        let mut text = Vec::new();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push(error.to_string());
            cause = error.source();
        }
        let source = (!text.is_empty()).then(|| text.join(": ").into());
        let Self { exhausted, of_source, .. } = *self;
        Self { subject: self.subject.clone(), kind: self.kind.clone(), exhausted, of_source, source }
    }

    /// Returns what it is about.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns what went wrong.
    pub fn kind(&self) -> &ContentErrorKind {
        &self.kind
    }

    /// Answers whether trying again may help.
    ///
    /// Wrong bytes count: the usual cause is a proxy or a line that cut or mangled one response.
    pub fn is_temporary(&self) -> bool {
        self.kind.is_temporary()
    }

    /// Returns what caused it, for an error that takes its place.
    pub fn into_cause(self) -> Option<Box<dyn Error + Send + Sync>> {
        self.source
    }

    /// Notes that it has been tried as often as the settings allow, so that nobody above starts over.
    pub fn exhausted(self) -> Self {
        Self { exhausted: true, ..self }
    }

    /// Answers whether it has been tried as often as the settings allow.
    pub fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// Notes that it came up where content is read, and not where that was being put.
    pub fn of_source(self) -> Self {
        Self { of_source: true, ..self }
    }

    /// Answers whether it is known to have come up where content is read.
    pub fn is_of_source(&self) -> bool {
        self.of_source
    }

    /// Answers whether it is just not there.
    pub fn is_not_found(&self) -> bool {
        self.kind == ContentErrorKind::NotFound
    }

    /// Returns how long the other side asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.kind {
            ContentErrorKind::Throttled { retry_after } => retry_after,
            _ => None,
        }
    }
}
