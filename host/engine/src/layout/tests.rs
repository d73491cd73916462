//! What holds for layouts of this program and of others.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::StreamExt;
use oc_mirror_model::media_type;
use oc_mirror_model::reference::{Repository, Selector, Tag};
use oc_mirror_testkit::{ImageBuilder, IndexBuilder, Skopeo, fixtures};

use super::*;
use crate::content::verify::collect;
use crate::content::{BlobStream, ContentRead, ContentWrite, TagStore};

fn repository(text: &str) -> Repository {
    text.parse().expect("a repository")
}

fn tag(text: &str) -> Tag {
    text.parse().expect("a tag")
}

fn body(bytes: &'static [u8]) -> BlobStream {
    Box::pin(futures_util::stream::iter(bytes.chunks(3).map(|c| Ok(Bytes::from_static(c)))))
}

async fn read(layout: &Layout, blob: &Descriptor, offset: u64) -> Result<Bytes, ContentError> {
    collect(layout.blob(&repository("any"), blob, offset).await?, blob).await
}

/// Puts an image with one layer.
async fn put_image(layout: &Layout, name: &str, layer: &'static [u8]) -> RawManifest {
    let repository = repository(name);
    let config = Descriptor::of(media_type::OCI_CONFIG, b"{}");
    let blob = Descriptor::of(media_type::OCI_LAYER_GZIP, layer);
    layout.put_blob(&repository, &config, body(b"{}")).await.expect("put");
    layout.put_blob(&repository, &blob, body(layer)).await.expect("put");
    let bytes = serde_json::json!({"schemaVersion": 2, "config": config, "layers": [blob]});
    let manifest = RawManifest::parse(bytes.to_string().into_bytes(), None).expect("valid");
    layout.put_manifest(&repository, &manifest).await.expect("put");
    manifest
}

#[tokio::test]
async fn what_was_put_can_be_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let layout = Layout::create(dir.path()).expect("made");
    let manifest = put_image(&layout, "a/b", b"hello world").await;
    layout.put_tag(&repository("a/b"), &tag("v1"), &manifest).await.expect("tagged");
    drop(layout);

    let layout = Layout::open(dir.path()).expect("opened");
    let by_name = layout.resolve(Some("a/b:v1"), None).await.expect("found");
    assert_eq!(by_name.digest, *manifest.digest());
    assert_eq!(layout.resolve(None, None).await.expect("the only one").digest, *manifest.digest());
    let again = layout.manifest(&repository("a/b"), &Selector::Tag(tag("v1"))).await.expect("read");
    assert_eq!(again, manifest);
    let blob = Descriptor::of(media_type::OCI_LAYER_GZIP, b"hello world");
    assert_eq!(read(&layout, &blob, 0).await.expect("read"), "hello world");
    assert_eq!(read(&layout, &blob, 6).await.expect("read"), "world");
    assert!(layout.put_blob(&repository("a"), &blob, body(b"hello world")).await.is_err());
}

#[tokio::test]
async fn blobs_belong_to_repositories() {
    let dir = tempfile::tempdir().expect("a directory");
    let layout = Layout::create(dir.path()).expect("made");
    put_image(&layout, "a", b"layer").await;
    let (a, b) = (repository("a"), repository("b"));
    let blob = Descriptor::of(media_type::OCI_LAYER_GZIP, b"layer");
    assert!(layout.has_blob(&a, &blob).await.expect("asked"));
    assert!(!layout.has_blob(&b, &blob).await.expect("asked"));
    assert!(!layout.mount(&b, &repository("c"), &blob).await.expect("asked"));
    assert!(layout.mount(&b, &a, &blob).await.expect("asked"));
    assert!(layout.has_blob(&b, &blob).await.expect("asked"));
    assert_eq!(layout.repositories().await.expect("listed"), [a.clone(), b].into());
    assert!(layout.remove_blob(&a, &blob.digest).await.expect("removed"));
    assert!(!layout.has_blob(&a, &blob).await.expect("asked"));
    let manifest = RawManifest::parse(
        serde_json::json!({"schemaVersion": 2, "config": blob, "layers": []}).to_string().into_bytes(),
        None,
    )
    .expect("valid");
    assert!(layout.put_manifest(&a, &manifest).await.is_err(), "what it names is gone");
}

#[tokio::test]
async fn wrong_content_never_appears() {
    let dir = tempfile::tempdir().expect("a directory");
    let layout = Layout::create(dir.path()).expect("made");
    let blob = Descriptor::of(media_type::OCI_LAYER_GZIP, b"hello world");
    for bytes in [&b"hello w0rld"[..], b"hello", b"hello world and more"] {
        layout.put_blob(&repository("a"), &blob, body(bytes)).await.expect_err("refused");
    }
    assert!(!dir.path().join(blob.digest.layout_path()).exists());
    assert_eq!(std::fs::read_dir(dir.path().join(".oc-mirror/uploads")).expect("listed").count(), 0);
}

#[tokio::test]
async fn damage_is_found() {
    let dir = tempfile::tempdir().expect("a directory");
    let layout = Layout::create(dir.path()).expect("made");
    let manifest = put_image(&layout, "a", b"layer").await;
    let selector = Selector::Digest(manifest.digest().clone());
    let path = dir.path().join(manifest.digest().layout_path());
    let mut bytes = std::fs::read(&path).expect("read");
    bytes[0] = b' ';
    std::fs::write(&path, bytes).expect("written");
    let error = layout.manifest(&repository("a"), &selector).await.expect_err("damaged");
    assert!(matches!(error.kind(), ContentErrorKind::WrongDigest { .. }));
    let mut blob = Descriptor::of(media_type::OCI_LAYER_GZIP, b"layer");
    blob.size += 1;
    let error = read(&layout, &blob, 0).await.expect_err("shorter");
    assert!(matches!(error.kind(), ContentErrorKind::WrongSize { actual: 5, .. }));
}

#[tokio::test]
async fn one_writer_at_a_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let layout = Layout::create(dir.path()).expect("made");
    let error = Layout::create(dir.path()).expect_err("locked");
    assert!(error.to_string().contains("another process"), "{error}");
    assert!(Layout::open(dir.path()).is_ok(), "reading is always possible");
    drop(layout);
    assert!(Layout::create(dir.path()).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tags_at_once_are_all_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let layout = Layout::create(dir.path()).expect("made");
    let manifest = put_image(&layout, "a", b"layer").await;
    let puts = (0..100).map(|n| {
        let (layout, manifest) = (layout.clone(), manifest.clone());
        tokio::spawn(async move {
            layout.put_tag(&repository("a"), &tag(&format!("v{n}")), &manifest).await.expect("tagged");
        })
    });
    for put in puts.collect::<Vec<_>>() {
        put.await.expect("no panic");
    }
    assert_eq!(layout.tags(&repository("a")).await.expect("listed").map(|t| t.len()), Some(100));
    let again = Layout::open(dir.path()).expect("opened");
    assert_eq!(again.images().len(), 100);
    assert!(layout.remove_manifest(&repository("a"), manifest.digest()).await.expect("removed"));
    assert_eq!(layout.tags(&repository("a")).await.expect("listed"), Some(Vec::new()));
}

#[tokio::test]
async fn several_images_need_a_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("images");
    let one = ImageBuilder::new().layer(&[("a", "1")]).build();
    let two = ImageBuilder::new().docker().layer(&[("a", "2")]).build();
    one.write_layout(&path, "v1");
    two.write_layout(&path, "v2");
    let layout = Layout::open(&path).expect("opened");
    let error = layout.resolve(None, None).await.expect_err("which?").to_string();
    assert!(error.contains("`v1`, `v2`"), "{error}");
    let error = layout.resolve(Some("v3"), None).await.expect_err("none").to_string();
    assert!(error.contains("`v1`, `v2`"), "{error}");
    let found = layout.resolve(Some("v2"), None).await.expect("found");
    assert_eq!(
        (found.digest.to_string(), found.media_type.to_string()),
        (two.digest.clone(), two.media_type.clone())
    );
    let digest: Digest = one.config.as_ref().expect("an image").digest.parse().expect("a digest");
    assert!(layout.resolve(None, Some(&digest)).await.is_err(), "a configuration is no image");
}

#[tokio::test]
async fn images_of_other_tools_become_repositories() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("images");
    let child = ImageBuilder::new().layer(&[("a", "1")]).build();
    let index = IndexBuilder::new().child(&child).build();
    index.write_layout(&path, "v1");
    child.write_layout(&path, "quay.io/team/app:v2");
    let layout = Layout::create(&path).expect("opened");
    let digest: Digest = child.digest.parse().expect("a digest");
    for name in ["images", "quay.io/team/app"] {
        assert!(layout.has_manifest(&repository(name), &digest).await.expect("asked"), "{name}");
        let layer: Digest = child.layers[0].blob.digest.parse().expect("a digest");
        assert!(layout.blob_size(&repository(name), &layer).await.expect("asked").is_some(), "{name}");
    }
    assert_eq!(layout.tags(&repository("images")).await.expect("listed"), Some(vec![tag("v1")]));
    assert_eq!(layout.tags(&repository("quay.io/team/app")).await.expect("listed"), Some(vec![tag("v2")]));
}

#[tokio::test]
async fn skopeo_reads_what_was_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let image = ImageBuilder::new().layer(&[("a", "1")]).build();
    let source = dir.path().join("source");
    image.write_layout(&source, "v1");
    let from = Layout::open(&source).expect("opened");
    let to = Layout::create(dir.path().join("target")).expect("made");
    let app = repository("team/app");
    let descriptor = from.resolve(None, None).await.expect("found");
    let manifest = from.manifest(&app, &Selector::Digest(descriptor.digest.clone())).await.expect("read");
    for blob in manifest.image().expect("an image").blobs() {
        let stream = from.blob(&app, blob, 0).await.expect("opened");
        to.put_blob(&app, blob, stream).await.expect("put");
    }
    to.put_tag(&app, &tag("v1"), &manifest).await.expect("tagged");
    let reference = format!("oci:{}:team/app:v1", to.path().display());
    assert_eq!(Skopeo::new().digest(&reference), image.digest);
    Skopeo::new().pull(&reference);
}

#[tokio::test]
async fn links_out_of_the_layout_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("images");
    let image = ImageBuilder::new().layer(&[("a", "1")]).build();
    image.write_layout(&path, "v1");
    let manifest: PathBuf = path.join("blobs/sha256").join(&image.digest["sha256:".len()..]);
    let outside = dir.path().join("outside");
    std::fs::rename(&manifest, &outside).expect("moved");
    std::os::unix::fs::symlink(&outside, &manifest).expect("linked");
    let layout = Layout::open(&path).expect("opened");
    let selector = Selector::Digest(image.digest.parse().expect("a digest"));
    let error = layout.manifest(&repository("a"), &selector).await.expect_err("refused");
    assert!(matches!(error.kind(), ContentErrorKind::Disk(_)), "{error}");
}

#[tokio::test]
async fn versions_and_rubbish_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    assert!(Layout::open(dir.path()).is_err(), "empty");
    assert!(Layout::open(dir.path().join("none")).expect_err("missing").is_not_found());
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
    write("index.json", r#"{"schemaVersion":2,"manifests":[]}"#);
    write("oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#);
    assert!(Layout::open(dir.path()).is_err(), "a version of the future");
    write("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    assert!(Layout::open(dir.path()).is_ok());
    write("index.json", r#"{"manifests":[{"digest":"sha256:../../etc/passwd"}]}"#);
    assert!(Layout::open(dir.path()).is_err(), "a digest that is none");
}

/// Reads an image with everything below it, and counts manifests and blobs.
async fn read_all(layout: &Layout, top: Descriptor) -> (usize, usize) {
    let any = repository("any");
    let (mut manifests, mut blobs, mut open) = (0, 0, vec![top.digest]);
    while let Some(digest) = open.pop() {
        let manifest = match layout.manifest(&any, &Selector::Digest(digest)).await {
            Err(error) if error.is_not_found() => continue,
            other => other.expect("readable"),
        };
        manifests += 1;
        open.extend(manifest.index().into_iter().flat_map(|i| i.manifests.iter().map(|d| d.digest.clone())));
        for blob in manifest.image().into_iter().flat_map(|i| i.blobs()) {
            let stream = layout.blob(&any, blob, 0).await.expect("opened");
            let mut checked = crate::content::verify::verified(stream, blob, "blob");
            while let Some(piece) = checked.next().await {
                piece.expect("right");
            }
            blobs += 1;
        }
    }
    (manifests, blobs)
}

#[tokio::test]
async fn layouts_of_the_real_world() {
    let Some(images) = fixtures().map(|f| f.join("images")) else { return };
    let open = |name: &str| Layout::open(Path::new(&images).join(name)).expect(name);
    let expected = [("multi-platform-container-latest", 5), ("oci-image", 1), ("graph-staging", 2)];
    for (name, least) in expected {
        let layout = open(name);
        let top = layout.resolve(None, None).await.expect(name);
        let (manifests, _) = read_all(&layout, top).await;
        assert!(manifests >= least, "{name} has {manifests} manifests");
    }
    // These have no `oci-layout`. The index of the second calls a manifest a list, that of the third has a wrong size.
    let mut read = Vec::new();
    for name in ["test-process-image", "test-process-image-list", "albo-bundle-image"] {
        let layout = open(name);
        let top = layout.resolve(None, None).await.expect(name);
        read.push(layout.manifest(&repository("any"), &Selector::Digest(top.digest)).await);
    }
    assert!(read[0].is_ok());
    assert!(matches!(read[1].as_ref().map_err(ContentError::kind), Err(ContentErrorKind::Invalid(_))));
    let wrong = ContentErrorKind::WrongSize { expected: 955, actual: 526 };
    assert_eq!(read[2].as_ref().map_err(ContentError::kind), Err(&wrong));
}
