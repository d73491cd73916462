//! What reads the answers of registries, for the fuzz targets: they live outside of this crate, and these functions are private
//! to it. Nothing else may use this.

use std::time::Duration;

use reqwest::header::{CONTENT_RANGE, HeaderMap};
use url::Url;

use super::{answer, challenge, link, pull};

pub use crate::net::redirect::MAX_URL_BYTES as MAX_URL;

/// One way to authenticate that a server offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The scheme in lower case.
    pub scheme: String,
    /// The parameters, with their names in lower case.
    pub params: Vec<(String, String)>,
}

/// Reads the lines of `WWW-Authenticate`.
pub fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    challenge::challenges(headers)
        .into_iter()
        .map(|c| Challenge { scheme: c.scheme, params: c.params })
        .collect()
}

/// Reads where the next page of a list is.
pub fn next_page(from: &Url, headers: &HeaderMap) -> Option<Url> {
    link::next_page(from, headers)
}

/// The head of an answer.
#[derive(Clone, Debug)]
pub struct Headers(pub HeaderMap);

impl Headers {
    /// Answers whether it is about a blob of this size from this offset on.
    pub fn is_rest_of_blob(&self, offset: u64, size: u64) -> bool {
        let value = self.0.get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| pull::is_range(value, offset, size))
    }

    /// Reads `Retry-After`.
    pub fn retry_after(&self) -> Option<Duration> {
        answer::retry_after(&self.0)
    }

    /// Reads the lines about limits of rates.
    pub fn rate_limited(&self) -> Option<Duration> {
        answer::rate_limited(&self.0)
    }
}
