//! Answers, with the headers that all of them have.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;

use crate::Fault;
use crate::assets::Asset;

/// What every answer says besides itself. Nothing is kept, since what is shown may be about what nobody else should know.
const ALWAYS: [(header::HeaderName, &str); 5] = [
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Makes an answer.
pub(crate) fn answer(status: StatusCode, media_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Adds a header, or leaves it out if it cannot be one.
pub(crate) fn with(mut response: Response, name: header::HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// Answers with a word to whoever reads it.
pub(crate) fn text(status: StatusCode, text: &'static str) -> Response {
    answer(status, "text/plain; charset=utf-8", text)
}

/// Answers with a file.
pub(crate) fn asset(asset: Asset) -> Response {
    answer(StatusCode::OK, asset.media_type, asset.content)
}

/// Answers with data.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => answer(status, "application/json", body),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written");
            text(StatusCode::INTERNAL_SERVER_ERROR, "The answer cannot be written.\n")
        }
    }
}

/// Answers with what went wrong.
pub(crate) fn fault(status: StatusCode, fault: &Fault) -> Response {
    json(status, fault)
}
