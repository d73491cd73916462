//! For tests: [`get`].

use std::sync::Arc;

use super::HttpRequest;

/// Makes a request of a plugin that may go anywhere.
pub(crate) fn get(url: &str) -> HttpRequest {
    HttpRequest {
        method: "GET".to_owned(),
        url: url.to_owned(),
        headers: Vec::new(),
        body: None,
        credential: None,
        max_bytes: 1000,
        allow: Arc::new(|_| true),
    }
}
