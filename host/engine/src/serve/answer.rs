//! Answers: headers in one place, and errors as the specification words them, [`Failure`].

use std::error::Error;

use axum::body::Body;
use axum::response::Response;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::content::{ContentError, ContentErrorKind};

/// `Docker-Content-Digest`.
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// The error codes of the specification, with two that Docker's registry adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    Denied,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    PaginationNumberInvalid,
    RangeInvalid,
    SizeInvalid,
    TagInvalid,
    TooManyRequests,
    Unauthorized,
    Unsupported,
    Unknown,
}

impl Code {
    fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::Denied => "DENIED",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::PaginationNumberInvalid => "PAGINATION_NUMBER_INVALID",
            Self::RangeInvalid => "RANGE_INVALID",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::TagInvalid => "TAG_INVALID",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Unsupported => "UNSUPPORTED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// A request that is not answered with what it asked for.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    code: Code,
    message: String,
    /// Boxed, as errors are returned by value from everywhere.
    detail: Option<Box<Value>>,
    headers: Vec<(HeaderName, String)>,
}

impl Failure {
    /// Makes one.
    pub(super) fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), detail: None, headers: Vec::new() }
    }

    /// Something is not there.
    pub(super) fn not_found(code: Code, message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// The request makes no sense, for the reason that the error and its causes tell.
    pub(super) fn bad_request(code: Code, error: &dyn Error) -> Self {
        let mut message = error.to_string();
        let mut next = error.source();
        while let Some(cause) = next {
            message = format!("{message}: {cause}");
            next = cause.source();
        }
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// The resource does not take this method; `allowed` does.
    pub(super) fn method(allowed: &str) -> Self {
        let message = "the method is not supported here";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, message)
            .with_header(ALLOW, allowed.to_owned())
    }

    /// The content can only be read.
    pub(super) fn read_only() -> Self {
        let message = "this registry can only be pulled from";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, message)
            .with_header(ALLOW, "GET, HEAD".to_owned())
    }

    /// Adds what the error is about, for programs.
    pub(super) fn with_detail(mut self, detail: Value) -> Self {
        self.detail = Some(Box::new(detail));
        self
    }

    /// Adds a header.
    pub(super) fn with_header(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Makes the answer.
    pub(super) fn into_response(self) -> Response {
        let error = json!({"code": self.code.as_str(), "message": self.message, "detail": self.detail});
        let mut response = json_response(self.status, "application/json", &json!({"errors": [error]}));
        for (name, value) in &self.headers {
            set(&mut response, name.clone(), value);
        }
        response
    }
}

impl From<ContentError> for Failure {
    fn from(error: ContentError) -> Self {
        match error.kind() {
            ContentErrorKind::WrongDigest { .. } => {
                Self::new(StatusCode::BAD_REQUEST, Code::DigestInvalid, error.kind().to_string())
            }
            // What the disk said names paths, which are nobody's business at the other end.
            _ => {
                tracing::error!(error = &error as &dyn Error, "a request could not be answered");
                let message = "the registry failed; its log says why";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Unknown, message)
            }
        }
    }
}

/// Makes an answer without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    if status != StatusCode::NO_CONTENT {
        set(&mut response, CONTENT_LENGTH, "0");
    }
    response
}

/// Makes an answer with a body.
pub(super) fn with_body(status: StatusCode, content_type: &str, length: u64, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, content_type);
    set(&mut response, CONTENT_LENGTH, &length.to_string());
    response
}

/// Makes an answer with a JSON body.
pub(super) fn json_response(status: StatusCode, content_type: &str, value: &Value) -> Response {
    let bytes = value.to_string();
    with_body(status, content_type, bytes.len() as u64, Body::from(bytes))
}

/// Sets a header. Names, tags and digests are plain by their grammar; any other value is left out.
pub(super) fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
