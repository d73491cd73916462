//! [`fetch`]: small files of the web, from one origin.

use std::sync::Arc;

use futures_util::StreamExt;
use url::Url;

use super::openpgp::MAX_MESSAGE_BYTES;
use crate::content::ContentErrorKind;
use crate::source::{HttpError, HttpFetch, HttpRequest};

/// Why a signature cannot be had.
pub(super) enum FetchFault {
    /// It is longer than any signature.
    TooLong(String),
    /// Whoever should have it cannot be asked, or does not answer with yes or no.
    Unavailable(String),
}

/// Fetches one signature; nothing if the other side says that it has none.
pub(super) async fn fetch(
    http: &dyn HttpFetch,
    store: &Url,
    url: &str,
) -> Result<Option<Vec<u8>>, FetchFault> {
    let origin = store.origin();
    let request = HttpRequest {
        method: "GET".to_owned(),
        url: url.to_owned(),
        headers: Vec::new(),
        body: None,
        credential: None,
        max_bytes: MAX_MESSAGE_BYTES as u64,
        allow: Arc::new(move |to| Url::parse(to).is_ok_and(|to| to.origin() == origin)),
    };
    let mut response = match http.fetch(request).await {
        Ok(response) => response,
        // Its length was announced and is too much: that is about this signature, not about the store.
        Err(HttpError::Invalid(text)) => return Err(FetchFault::TooLong(text)),
        Err(other) => return Err(FetchFault::Unavailable(format!("`{store}` cannot be asked: {other}"))),
    };
    match response.status {
        200 => {}
        404 => return Ok(None),
        status => {
            let text = format!("`{url}` cannot be had: the answer is {status}");
            return Err(FetchFault::Unavailable(text));
        }
    }
    let mut bytes = Vec::new();
    while let Some(piece) = response.body.next().await {
        match piece {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(e) if matches!(e.kind(), ContentErrorKind::Invalid(_)) => {
                return Err(FetchFault::TooLong(e.to_string()));
            }
            Err(e) => return Err(FetchFault::Unavailable(e.to_string())),
        }
    }
    Ok(Some(bytes))
}
