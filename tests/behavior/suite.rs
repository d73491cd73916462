//! The cases: what every place promises, whatever it is made of.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use oc_mirror_engine::content::{BlobStream, CHUNK, ContentError, ContentErrorKind, ContentRead};
use oc_mirror_model::reference::Selector;

use crate::content::{Content, repository, stranger, stream as whole};
use crate::place::{Opened, Place};

/// Puts everything: blobs, manifests with children first, tags.
async fn put_all(opened: &Opened, content: &Content) {
    for (descriptor, bytes) in &content.blobs {
        opened.write.put_blob(&repository(), descriptor, whole(bytes)).await.expect("put");
    }
    for (manifest, tagged) in content.manifests.iter().zip(&content.tags) {
        opened.write.put_manifest(&repository(), manifest).await.expect("put");
        opened.tags.put_tag(&tagged.repository, &tagged.tag, manifest).await.expect("tagged");
    }
}

async fn filled(
    place: &dyn Place,
    content: &Content,
) -> (Arc<dyn ContentRead>, Box<dyn std::any::Any + Send>) {
    let opened = place.open(content).await;
    put_all(&opened, content).await;
    ((opened.read)().await, opened._keep)
}

async fn collect(mut body: BlobStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece.expect("readable"));
    }
    bytes
}

pub(crate) async fn blobs_come_back_whole(place: &dyn Place) {
    let content = Content::new();
    let (read, _keep) = filled(place, &content).await;
    for (descriptor, bytes) in &content.blobs {
        let body = read.blob(&repository(), descriptor, 0).await.expect("there");
        assert_eq!(collect(body).await, *bytes);
    }
}

pub(crate) async fn blobs_come_back_from_any_offset(place: &dyn Place) {
    let content = Content::new();
    let (read, _keep) = filled(place, &content).await;
    let (descriptor, bytes) = content.large();
    for offset in [1, 65_536, 262_144, 500_001, bytes.len() - 1] {
        let body = read.blob(&repository(), descriptor, offset as u64).await.expect("there");
        assert_eq!(collect(body).await, bytes[offset..]);
    }
}

pub(crate) async fn pieces_are_small(place: &dyn Place) {
    let content = Content::new();
    let (read, _keep) = filled(place, &content).await;
    let (descriptor, bytes) = content.large();
    let body = read.blob(&repository(), descriptor, 0).await.expect("there");
    let sizes: Vec<usize> = body.map(|piece| piece.expect("readable").len()).collect().await;
    let limit = if place.rules().small_pieces { CHUNK } else { bytes.len() };
    assert!(sizes.iter().all(|size| *size <= limit), "{sizes:?}");
}

pub(crate) async fn manifests_keep_every_byte(place: &dyn Place) {
    let content = Content::new();
    let (read, _keep) = filled(place, &content).await;
    for manifest in &content.manifests {
        let selector = Selector::Digest(manifest.digest().clone());
        let found = read.manifest(&repository(), &selector).await.expect("there");
        assert_eq!((found.bytes(), found.media_type()), (manifest.bytes(), manifest.media_type()));
    }
}

pub(crate) async fn tags_lead_to_manifests(place: &dyn Place) {
    let content = Content::new();
    let opened = place.open(&content).await;
    for tagged in &content.tags {
        let found = opened.tags.resolve_tag(&tagged.repository, &tagged.tag).await.expect("asked");
        assert_eq!(found, None);
    }
    put_all(&opened, &content).await;
    for tagged in &content.tags {
        let found = opened.tags.resolve_tag(&tagged.repository, &tagged.tag).await.expect("asked");
        let found = found.expect("tagged");
        assert_eq!((&found.digest, found.size), (&tagged.root.digest, tagged.root.size));
    }
    let nobody = "nobody/here".parse().expect("valid");
    assert_eq!(opened.tags.resolve_tag(&nobody, &content.tags[0].tag).await.expect("asked"), None);
    let read = (opened.read)().await;
    for tagged in &content.tags {
        let selector = Selector::Tag(tagged.tag.clone());
        let found = read.manifest(&repository(), &selector).await.expect("there");
        assert_eq!(found.digest(), &tagged.root.digest);
        let found = read.find(&repository(), &selector).await.expect("asked").expect("there");
        assert_eq!(found.digest, tagged.root.digest);
    }
}

pub(crate) async fn what_is_not_there_is_not_found(place: &dyn Place) {
    let content = Content::new();
    let opened = place.open(&content).await;
    for (descriptor, _) in &content.blobs {
        assert!(!opened.write.has_blob(&repository(), descriptor).await.expect("asked"));
    }
    for manifest in &content.manifests {
        assert!(!opened.write.has_manifest(&repository(), manifest.digest()).await.expect("asked"));
    }
    put_all(&opened, &content).await;
    let stranger = stranger();
    assert!(!opened.write.has_blob(&repository(), &stranger).await.expect("asked"));
    assert!(!opened.write.has_manifest(&repository(), &stranger.digest).await.expect("asked"));
    let read = (opened.read)().await;
    let error = read.blob(&repository(), &stranger, 0).await.err().expect("not there");
    assert!(error.is_not_found(), "{error}");
    let no_tag = "no-such-tag".parse().expect("a tag");
    for selector in [Selector::Digest(stranger.digest), Selector::Tag(no_tag)] {
        let error = read.manifest(&repository(), &selector).await.expect_err("not there");
        assert!(error.is_not_found(), "{error}");
        assert_eq!(read.find(&repository(), &selector).await.expect("asked"), None);
    }
}

pub(crate) async fn wrong_content_never_appears(place: &dyn Place) {
    let content = Content::new();
    let opened = place.open(&content).await;
    let (descriptor, bytes) = content.large();
    let mut flipped = bytes.to_vec();
    flipped[bytes.len() / 2] ^= 1;
    let longer = [bytes, b"!"].concat();
    for wrong in [&flipped, &longer[..bytes.len() - 1].to_vec(), &longer, &Vec::new()] {
        let error = opened.write.put_blob(&repository(), descriptor, whole(wrong)).await.expect_err("wrong");
        let kind = error.kind();
        let named = matches!(kind, ContentErrorKind::WrongDigest { .. } | ContentErrorKind::WrongSize { .. });
        assert!(named, "{error}");
        assert!(!opened.write.has_blob(&repository(), descriptor).await.expect("asked"));
    }
    put_all(&opened, &content).await;
    let read = (opened.read)().await;
    let body = read.blob(&repository(), descriptor, 0).await.expect("there");
    assert_eq!(collect(body).await, bytes);
}

pub(crate) async fn a_stream_that_fails_leaves_nothing(place: &dyn Place) {
    let content = Content::new();
    let opened = place.open(&content).await;
    let (descriptor, bytes) = content.large();
    let broken = ContentError::new("the source", ContentErrorKind::Unavailable("it broke off".to_owned()));
    let body = whole(&bytes[..400_000]).chain(stream::iter([Err(broken)]));
    let error =
        opened.write.put_blob(&repository(), descriptor, Box::pin(body)).await.expect_err("broken off");
    assert!(error.is_temporary(), "the cause is kept: {error}");
    assert!(!opened.write.has_blob(&repository(), descriptor).await.expect("asked"));
    put_all(&opened, &content).await;
}

pub(crate) async fn a_put_that_is_dropped_leaves_nothing(place: &dyn Place) {
    let content = Content::new();
    let opened = place.open(&content).await;
    let (descriptor, bytes) = content.large();
    let stalled: BlobStream =
        Box::pin(stream::iter([Ok(Bytes::copy_from_slice(&bytes[..100]))]).chain(stream::pending()));
    let put = {
        let (write, descriptor) = (opened.write.clone(), descriptor.clone());
        tokio::spawn(async move { write.put_blob(&repository(), &descriptor, stalled).await })
    };
    tokio::task::yield_now().await;
    put.abort();
    assert!(put.await.expect_err("aborted").is_cancelled());
    assert!(!opened.write.has_blob(&repository(), descriptor).await.expect("asked"));
    put_all(&opened, &content).await;
}

pub(crate) async fn putting_again_changes_nothing(place: &dyn Place) {
    let content = Content::new();
    let opened = place.open(&content).await;
    put_all(&opened, &content).await;
    put_all(&opened, &content).await;
    for (descriptor, _) in &content.blobs {
        assert!(opened.write.has_blob(&repository(), descriptor).await.expect("asked"));
    }
    for manifest in &content.manifests {
        assert!(opened.write.has_manifest(&repository(), manifest.digest()).await.expect("asked"));
    }
}

pub(crate) async fn many_at_once_do_not_disturb_each_other(place: &dyn Place) {
    let content = Content::new();
    let opened = place.open(&content).await;
    let puts = (0..4).flat_map(|_| &content.blobs).map(|(descriptor, bytes)| {
        let (write, descriptor) = (opened.write.clone(), descriptor.clone());
        let body = whole(bytes);
        tokio::spawn(async move { write.put_blob(&repository(), &descriptor, body).await })
    });
    for put in join_all(puts.collect::<Vec<_>>()).await {
        put.expect("no panic").expect("put");
    }
    put_all(&opened, &content).await;
    let read = (opened.read)().await;
    for (descriptor, bytes) in &content.blobs {
        let body = read.blob(&repository(), descriptor, 0).await.expect("there");
        assert_eq!(collect(body).await, *bytes);
    }
}

pub(crate) async fn manifests_wait_for_their_blobs(place: &dyn Place) {
    let content = Content::new();
    let opened = place.open(&content).await;
    let manifest = &content.manifests[0];
    let put = opened.write.put_manifest(&repository(), manifest).await;
    let there = opened.write.has_manifest(&repository(), manifest.digest()).await.expect("asked");
    assert_eq!(
        (put.is_err(), there),
        match place.rules().manifests_last {
            true => (true, false),
            false => (false, true),
        }
    );
    put_all(&opened, &content).await;
}

pub(crate) async fn mounting_needs_the_blob(place: &dyn Place) {
    let content = Content::new();
    let opened = place.open(&content).await;
    let (descriptor, bytes) = content.large();
    let other = "team/other".parse().expect("valid");
    let from = repository();
    let mount = || opened.write.mount(&other, &from, descriptor);
    assert!(!mount().await.expect("asked"), "there is nothing to mount");
    opened.write.put_blob(&repository(), descriptor, whole(bytes)).await.expect("put");
    assert!(mount().await.expect("asked"));
    assert!(opened.write.has_blob(&other, descriptor).await.expect("asked"));
}

pub(crate) async fn repositories_are_apart(place: &dyn Place) {
    let content = Content::new();
    let opened = place.open(&content).await;
    put_all(&opened, &content).await;
    let other = "team/other".parse().expect("valid");
    let apart = place.rules().repositories_apart;
    let (descriptor, _) = content.large();
    assert_eq!(opened.write.has_blob(&other, descriptor).await.expect("asked"), !apart);
    let manifest = content.manifests[0].digest();
    assert_eq!(opened.write.has_manifest(&other, manifest).await.expect("asked"), !apart);
}
