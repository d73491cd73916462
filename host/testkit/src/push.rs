//! Putting an [`Image`] into a registry over plain HTTP, with POST + PUT for blobs. Its main type is [`PushTarget`]. A
//! refused request ends the test: this is for filling registries, not for testing them.

use std::any::Any;
use std::fmt;

use crate::http::{self, Response};
use crate::image::{Blob, Image};

/// Where plain HTTP writes are accepted.
pub struct PlainHost {
    /// The host and port.
    pub host: String,
    /// The `Authorization` value, where one is needed.
    pub authorization: Option<String>,
    /// What must stay alive while the host is used.
    pub guard: Option<Box<dyn Any + Send + Sync>>,
}

/// Something images can be pushed to.
pub trait PushTarget {
    /// Opens a place that takes plain HTTP writes.
    fn plain_host(&self) -> PlainHost;
}

impl PushTarget for str {
    fn plain_host(&self) -> PlainHost {
        PlainHost { host: self.to_string(), authorization: None, guard: None }
    }
}

impl PushTarget for String {
    fn plain_host(&self) -> PlainHost {
        self.as_str().plain_host()
    }
}

impl fmt::Debug for PlainHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainHost").field("host", &self.host).finish_non_exhaustive()
    }
}

impl PlainHost {
    fn send(&self, method: &str, target: &str, media_type: &str, body: &[u8]) -> Response {
        let mut headers = vec![("Content-Type", media_type)];
        if let Some(value) = &self.authorization {
            headers.push(("Authorization", value));
        }
        let answer = http::request(&self.host, method, target, &headers, body);
        answer.unwrap_or_else(|e| panic!("{method} http://{}{target}: {e}", self.host))
    }

    fn put_blob(&self, repository: &str, blob: &Blob) {
        let octets = "application/octet-stream";
        let seen = self.send("HEAD", &format!("/v2/{repository}/blobs/{}", blob.digest), octets, &[]);
        if seen.status == 200 {
            return;
        }
        let opened = self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), octets, &[]);
        let location = opened.header("location").unwrap_or_else(|| {
            panic!("opening an upload on {}: {} {}", self.host, opened.status, opened.text())
        });
        let separator = if location.contains('?') { '&' } else { '?' };
        let target = format!("{}{separator}digest={}", path_of(location), blob.digest);
        let done = self.send("PUT", &target, octets, &blob.bytes);
        assert_eq!(done.status, 201, "blob {} on {}: {}", blob.digest, self.host, done.text());
    }

    fn put_manifest(&self, repository: &str, reference: &str, image: &Image) {
        let target = format!("/v2/{repository}/manifests/{reference}");
        let done = self.send("PUT", &target, &image.media_type, &image.manifest);
        assert_eq!(done.status, 201, "manifest {reference} on {}: {}", self.host, done.text());
    }
}

/// Returns the path and query of a `Location`, which may be absolute.
fn path_of(location: &str) -> &str {
    match location.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => location,
    }
}

impl Image {
    /// Pushes the image and all it refers to, then the tag.
    pub fn push<T: PushTarget + ?Sized>(&self, to: &T, repository: &str, tag: &str) {
        self.push_parts(&to.plain_host(), repository, tag);
    }

    /// Pushes the image and all it refers to, by digest only.
    pub fn push_untagged<T: PushTarget + ?Sized>(&self, to: &T, repository: &str) {
        self.push_parts(&to.plain_host(), repository, &self.digest);
    }

    fn push_parts(&self, host: &PlainHost, repository: &str, reference: &str) {
        for blob in self.blobs() {
            host.put_blob(repository, blob);
        }
        let tree = self.tree();
        let (top, below) = tree.split_last().expect("a tree has at least its root");
        for image in below {
            host.put_manifest(repository, &image.digest, image);
        }
        host.put_manifest(repository, reference, top);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_cut_to_its_path() {
        assert_eq!(path_of("http://127.0.0.1:1/v2/x?y=z"), "/v2/x?y=z");
        assert_eq!(path_of("/v2/x"), "/v2/x");
        assert_eq!(path_of("http://h"), "/");
    }
}
