//! [`Fault`]: what a store answered, or why it did not, and the [`ContentError`] that it becomes.

use std::error::Error;
use std::time::Duration;

use crate::content::{ContentError, ContentErrorKind};
use crate::net::{NetError, NetErrorKind};

/// What a store answered instead of what was asked for, or why it gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It answered with an error.
    #[error("the store answers {status}{}", told(.code, .message))]
    Answer {
        /// The status of the answer.
        status: u16,
        /// The code in its body, such as `NoSuchBucket`; empty if there is none.
        code: String,
        /// The message in its body.
        message: String,
        /// How long it asked to wait.
        retry_after: Option<Duration>,
    },
    /// It could not be asked.
    #[error(transparent)]
    Net(#[from] NetError),
    /// Nothing says who is asking.
    #[error("there are no credentials for the store")]
    NoCredentials,
    /// It takes a write whatever the condition.
    #[error("the store does not mind conditions: {0}")]
    Unconditional(&'static str),
}

fn told(code: &str, message: &str) -> String {
    match (code.is_empty(), message.is_empty()) {
        (true, _) => String::new(),
        (false, true) => format!(": {code}"),
        (false, false) => format!(": {code}, {message}"),
    }
}

/// Codes that say who is asking is not known, while the status says that it may not.
const UNKNOWN_ACCOUNT: [&str; 5] =
    ["InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"];

impl Fault {
    fn kind(&self) -> ContentErrorKind {
        match self {
            Self::Answer { status, code, retry_after, .. } => answered(*status, code, *retry_after)
                .unwrap_or_else(|| ContentErrorKind::Refused("the store refuses the request".to_owned())),
            Self::Net(error) if error.is_temporary() => {
                ContentErrorKind::Unavailable(error.kind().to_string())
            }
            Self::Net(error) => match error.kind() {
                NetErrorKind::Tls(_) | NetErrorKind::PlainHttp => {
                    ContentErrorKind::Untrusted(error.kind().to_string())
                }
                other => ContentErrorKind::Refused(other.to_string()),
            },
            Self::NoCredentials => ContentErrorKind::Unauthorized,
            Self::Unconditional(_) => {
                ContentErrorKind::Refused("two runs at once could not be told apart here".to_owned())
            }
        }
    }

    /// Returns what to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Answer { code, .. } if code == "NoSuchBucket" => Some(
                "make the bucket first; this program makes none. Check its name, `endpoint` and `region`",
            ),
            Self::Answer { code, .. } if code == "RequestTimeTooSkewed" => {
                Some("set this machine's clock: requests are signed with the time")
            }
            Self::Answer { code, .. } if UNKNOWN_ACCOUNT.contains(&code.as_str()) => Some(CREDENTIALS),
            Self::Answer { status: 401, .. } | Self::NoCredentials => Some(CREDENTIALS),
            Self::Answer { status: 403, .. } => Some(
                "the account needs s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject, s3:DeleteObject and \
                 s3:AbortMultipartUpload on its objects",
            ),
            Self::Answer { status: 301 | 307 | 400, .. } => {
                Some("check `region` and `endpoint`: the bucket may be in another region")
            }
            Self::Net(error) if matches!(error.kind(), NetErrorKind::Tls(_)) => {
                Some("name the certificate to trust with --ca-file")
            }
            Self::Net(error) if *error.kind() == NetErrorKind::PlainHttp => {
                Some("write the endpoint with `http://`, if plain HTTP is intended")
            }
            Self::Unconditional(_) => Some(
                "keep the record elsewhere, or use a version of the store that honours If-Match and If-None-Match",
            ),
            Self::Net(_) | Self::Answer { .. } => None,
        }
    }

    /// Finds one among the causes of an error.
    pub fn among<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(fault) = error.downcast_ref() {
                return Some(fault);
            }
            cause = error.source();
        }
        None
    }

    pub(super) fn about(self, subject: &str) -> ContentError {
        ContentError::with_source(subject, self.kind(), self)
    }
}

const CREDENTIALS: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN, where there is one), or \
                           AWS_PROFILE to a profile of ~/.aws/credentials";

fn answered(status: u16, code: &str, retry_after: Option<Duration>) -> Option<ContentErrorKind> {
    Some(match status {
        401 => ContentErrorKind::Unauthorized,
        403 if UNKNOWN_ACCOUNT.contains(&code) => ContentErrorKind::Unauthorized,
        403 => ContentErrorKind::Denied,
        404 if code == "NoSuchBucket" => ContentErrorKind::Refused("there is no such bucket".to_owned()),
        429 => ContentErrorKind::Throttled { retry_after },
        503 if code == "SlowDown" => ContentErrorKind::Throttled { retry_after },
        408 | 500..=599 => ContentErrorKind::Unavailable("the store fails".to_owned()),
        _ => return None,
    })
}

/// Words what `object_store` returns about `subject`.
pub(super) fn content_error(subject: &str, error: object_store::Error) -> ContentError {
    if let Some(fault) = Fault::among(&error) {
        return ContentError::with_source(subject, fault.kind(), OfStore(error));
    }
    let kind = match &error {
        object_store::Error::NotFound { .. } => ContentErrorKind::NotFound,
        object_store::Error::PermissionDenied { .. } => ContentErrorKind::Denied,
        object_store::Error::Unauthenticated { .. } => ContentErrorKind::Unauthorized,
        object_store::Error::Precondition { .. } | object_store::Error::AlreadyExists { .. } => {
            ContentErrorKind::Refused("it was changed by somebody else".to_owned())
        }
        _ => ContentErrorKind::Invalid("the store's answer cannot be understood".to_owned()),
    };
    ContentError::with_source(subject, kind, error)
}

/// An error of `object_store` that is told by the fault inside it: in between are only the words of the library.
#[derive(Debug)]
struct OfStore(object_store::Error);

impl std::fmt::Display for OfStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match Fault::among(&self.0) {
            Some(fault) => fault.fmt(f),
            None => self.0.fmt(f),
        }
    }
}

impl Error for OfStore {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Fault::among(&self.0).map(|fault| fault as _)
    }
}
