//! [`Fault`]: why a host function gives a guest no result: an answer it may handle, or the end of the call.

use oc_mirror_engine::content::{ContentError, ContentErrorKind, Unverified, UnverifiedKind};
use oc_mirror_engine::source::HttpError;
use wasmtime::component::ResourceTableError;

use crate::bindings::oc_mirror::plugin::types::{Coded, Error};
use crate::text::{MESSAGE, clean};

/// What goes back to the guest instead of a result.
#[derive(Debug)]
pub enum Fault {
    /// The guest is told.
    Answer(Error),
    /// The guest is ended.
    Trap(wasmtime::Error),
}

pub(crate) type Answer<T> = Result<T, Fault>;

impl Fault {
    pub(crate) fn denied(why: impl Into<String>) -> Self {
        Self::Answer(Error::Denied(why.into()))
    }

    pub(crate) fn invalid(why: impl Into<String>) -> Self {
        Self::Answer(Error::Invalid(why.into()))
    }

    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::Answer(Error::NotFound(what.into()))
    }

    pub(crate) fn limit(what: impl Into<String>) -> Self {
        Self::Answer(Error::Limit(what.into()))
    }

    pub(crate) fn disk(what: &str, error: &std::io::Error) -> Self {
        Self::coded("disk", format!("{what}: {error}"))
    }

    fn coded(code: &str, message: String) -> Self {
        Self::Answer(Error::Other(Coded { code: code.to_owned(), message }))
    }
}

impl From<wasmtime::Error> for Fault {
    fn from(error: wasmtime::Error) -> Self {
        Self::Trap(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Answer(error)
    }
}

impl From<ResourceTableError> for Fault {
    fn from(error: ResourceTableError) -> Self {
        match error {
            ResourceTableError::Full => {
                Self::limit("too many handles are open; drop those that are done with")
            }
            error => Self::Trap(error.into()),
        }
    }
}

impl From<HttpError> for Fault {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Denied { .. } => Self::denied(error.to_string()),
            HttpError::Invalid(why) => Self::invalid(why),
            HttpError::Unavailable(why) => Self::Answer(Error::Unavailable(why)),
        }
    }
}

impl From<Unverified> for Fault {
    fn from(error: Unverified) -> Self {
        let message = clean(&error.to_string(), MESSAGE);
        match error.kind {
            UnverifiedKind::Missing => Self::coded("signature.missing", message),
            UnverifiedKind::NotAccepted => Self::coded("signature.not-accepted", message),
            UnverifiedKind::Invalid => Self::invalid(message),
            UnverifiedKind::Unavailable => Self::Answer(Error::Unavailable(message)),
        }
    }
}

impl From<ContentError> for Fault {
    fn from(error: ContentError) -> Self {
        Self::Answer(content_error(&error))
    }
}

/// Tells a guest what happened, in words that carry no secrets: a content error never has any.
pub(crate) fn content_error(error: &ContentError) -> Error {
    use ContentErrorKind as Kind;
    let message = with_sources(error);
    let coded = |code: &str, message| Error::Other(Coded { code: code.to_owned(), message });
    match error.kind() {
        Kind::NotFound => Error::NotFound(error.subject().to_owned()),
        Kind::Unauthorized | Kind::Denied => Error::Denied(message),
        Kind::Throttled { .. }
        | Kind::Unavailable(_)
        | Kind::Untrusted(_)
        | Kind::PlainHttp(_)
        | Kind::OutOfTime(_) => Error::Unavailable(message),
        Kind::Cancelled => Error::Cancelled,
        Kind::WrongDigest { .. } | Kind::WrongSize { .. } => coded("content.wrong", message),
        Kind::Refused(_) | Kind::Incomplete(_) | Kind::ImmutableTag { .. } | Kind::Lost(_) => {
            coded("content.refused", message)
        }
        Kind::Invalid(_) => coded("content.invalid", message),
        Kind::Disk(_) => coded("disk", message),
    }
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Says what a guest answered instead of a result.
pub(crate) fn describe(error: &Error) -> String {
    let (what, message) = match error {
        Error::Denied(m) => ("denied", m.as_str()),
        Error::NotFound(m) => ("not found", m.as_str()),
        Error::Invalid(m) => ("invalid", m.as_str()),
        Error::Limit(m) => ("limit", m.as_str()),
        Error::Unavailable(m) => ("unavailable", m.as_str()),
        Error::Cancelled => ("cancelled", ""),
        Error::Other(Coded { code, message }) => (code.as_str(), message.as_str()),
    };
    let text = if message.is_empty() { what.to_owned() } else { format!("{what}: {message}") };
    clean(&text, MESSAGE)
}
