//! [`get`]: what servers have under a URL.

use oc_mirror_plugin_sdk::Error;
use oc_mirror_plugin_sdk::host::http::{self, Request};
use oc_mirror_plugin_sdk::host::streams::Reader;

/// Asks for a document of at most `most` bytes, of the media type if one is named.
pub(crate) fn get(url: &str, accept: Option<&str>, most: u64) -> Result<Reader, Error> {
    let request = Request {
        method: "GET".to_owned(),
        url: url.to_owned(),
        headers: accept.map(|media_type| ("Accept".to_owned(), media_type.to_owned())).into_iter().collect(),
        body: None,
        credential: None,
        max_bytes: Some(most),
    };
    let (response, body) = http::fetch(&request)?;
    match response.status {
        200 => Ok(body),
        status => Err(Error::Unavailable(format!("the server answered {status}"))),
    }
}
