//! The client against Debian's `docker-registry`, with `skopeo` as witness, and against registries with faults.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::reference::{Repository, Selector, Tag};
use oc_mirror_testkit::{Image, ImageBuilder, IndexBuilder};

use super::{Client, ClientSettings, CredentialStore};
use crate::content::testing::read;
use crate::content::verify::verified;
use crate::content::{BlobStream, ContentError, ContentRead, ContentWrite, TagStore};
use crate::net::{Delay, NetSettings, Retry};
use crate::report::{Event, Events};

mod auth;
mod listing;
mod profiles;
mod pull;
mod push;

/// Settings for a registry without TLS that is tried again soon.
fn settings() -> ClientSettings {
    ClientSettings {
        net: NetSettings { tls_verify: false, ..NetSettings::default() },
        retry: Retry {
            attempts: 3,
            delay: Delay::Constant(Duration::from_millis(10)),
            jitter: false,
            cap: Duration::from_millis(100),
        },
        ..ClientSettings::default()
    }
}

fn client(host: &str) -> Client {
    Client::new(&host.parse().unwrap(), settings()).unwrap()
}

fn with_login(host: &str, user: &str, password: &str) -> Client {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("auth.json");
    oc_mirror_testkit::write_auth_file(&path, &[(host, user, password)]);
    let text = crate::net::Secret::new(std::fs::read_to_string(&path).unwrap());
    let credentials = Arc::new(CredentialStore::from_files(vec![(path, text)]).unwrap());
    Client::new(&host.parse().unwrap(), ClientSettings { credentials, ..settings() }).unwrap()
}

fn repository(name: &str) -> Repository {
    name.parse().unwrap()
}

fn by_tag(tag: &str) -> Selector {
    Selector::Tag(tag.parse().unwrap())
}

fn tag(tag: &str) -> Tag {
    tag.parse().unwrap()
}

fn by_digest(digest: &str) -> Selector {
    Selector::Digest(digest.parse().unwrap())
}

fn layer_of(image: &Image, at: usize) -> Descriptor {
    let blob = &image.layers[at].blob;
    Descriptor::of(&blob.media_type, &blob.bytes)
}

fn small_image() -> Image {
    ImageBuilder::new().layer(&[("hello", "world")]).build()
}

/// Returns a whole body as a stream of one piece.
fn stream_of(bytes: &[u8]) -> BlobStream {
    Box::pin(futures_util::stream::iter([Ok(bytes::Bytes::copy_from_slice(bytes))]))
}

/// Copies an image with all it names, as a mirror does.
async fn copy(from: &Client, to: &Client, repository: &Repository, selector: &Selector) -> Digest {
    let manifest = from.manifest(repository, selector).await.unwrap();
    let children = manifest.index().map(|i| i.manifests.clone()).unwrap_or_default();
    for child in children {
        Box::pin(copy(from, to, repository, &Selector::Digest(child.digest))).await;
    }
    for blob in manifest.image().into_iter().flat_map(|i| i.blobs()) {
        if !to.has_blob(repository, blob).await.unwrap() {
            let body = from.blob(repository, blob, 0).await.unwrap();
            to.put_blob(repository, blob, verified(body, blob, "blob")).await.unwrap();
        }
    }
    match selector {
        Selector::Tag(tag) => to.put_tag(repository, tag, &manifest).await.unwrap(),
        Selector::Digest(_) => to.put_manifest(repository, &manifest).await.unwrap(),
    }
    manifest.digest().clone()
}

fn index() -> Image {
    let child = |platform: &str| ImageBuilder::new().platform(platform).layer(&[("p", platform)]).build();
    IndexBuilder::new().child(&child("linux/amd64")).child(&child("linux/arm64")).build()
}

/// Remembers what was tried again.
#[derive(Default)]
struct Retries(Mutex<Vec<String>>);

impl Events for Retries {
    fn event(&self, event: Event<'_>) {
        if let Event::Retry { subject, reason, attempt } = event {
            self.0.lock().unwrap().push(format!("{attempt} {subject}: {reason}"));
        }
    }
}
