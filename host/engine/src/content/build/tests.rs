//! The same input gives the same image, and others can read it.

use std::path::Path;
use std::sync::Arc;

use oc_mirror_model::media_type;
use oc_mirror_model::platform::Platform;
use oc_mirror_model::reference::Repository;
use oc_mirror_testkit::{Image, ImageBuilder, IndexBuilder, Skopeo};
use rstest::rstest;
use serde_json::Value;

use super::*;
use crate::content::testing::View;
use crate::content::verify::collect;
use crate::content::{ContentRead, TagStore};
use crate::layout::Layout;

fn app() -> Repository {
    "team/app".parse().expect("a repository")
}

async fn layer(dir: &Path, order: &[usize]) -> Layer {
    let source = dir.join("source");
    std::fs::write(&source, b"from a file").expect("written");
    let mut builder = LayerBuilder::new();
    for step in order {
        let added = match step {
            0 => builder.directory("configs", 0o755),
            1 => builder.bytes("configs/a.yaml", 0o644, &b"a: 1"[..]),
            2 => builder.file("configs/b.yaml", 0o600, source.clone()),
            3 => builder.symlink("current", "configs"),
            4 => builder.whiteout("old/thing"),
            5 => builder.opaque("cache"),
            _ => builder.bytes(&format!("{}/x", "deep/".repeat(60).trim_end_matches('/')), 0o644, &b"x"[..]),
        };
        added.expect("added");
    }
    builder.finish(dir).await.expect("written")
}

#[tokio::test]
async fn the_order_of_entries_does_not_matter() {
    let dir = tempfile::tempdir().expect("a directory");
    let one = layer(dir.path(), &[0, 1, 2, 3, 4, 5, 6]).await;
    let two = layer(dir.path(), &[6, 5, 4, 3, 2, 1, 0]).await;
    assert_eq!(one.descriptor("x"), two.descriptor("x"));
    assert_eq!(one.diff_id(), two.diff_id());
    // Pinned: another digest here means that images of users change without a change of theirs.
    let expected = "sha256:a797351160f10f027f0af38179193740a293768a3eb178355cc1c346a3eebf93";
    assert_eq!(one.diff_id().to_string(), expected);
}

#[tokio::test]
async fn the_layer_is_a_tar_that_others_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let layer = layer(dir.path(), &[0, 1, 2, 3, 4, 5, 6]).await;
    let bytes = collect(layer.open().expect("opened"), &layer.descriptor("x")).await.expect("read");
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_ref()));
    let mut found = Vec::new();
    for entry in archive.entries().expect("a tar") {
        let entry = entry.expect("an entry");
        let header = entry.header();
        assert_eq!((header.mtime().ok(), header.uid().ok(), header.gid().ok()), (Some(0), Some(0), Some(0)));
        let mode = header.mode().expect("a mode");
        found.push((entry.path().expect("a path").to_string_lossy().into_owned(), mode));
    }
    let long = format!("{}x", "deep/".repeat(60));
    let expected = [
        ("cache/.wh..wh..opq", 0o600),
        ("configs/", 0o755),
        ("configs/a.yaml", 0o644),
        ("configs/b.yaml", 0o600),
        ("current", 0o777),
        (long.as_str(), 0o644),
        ("old/.wh.thing", 0o600),
    ];
    assert_eq!(found, expected.map(|(path, mode)| (path.to_owned(), mode)));
}

#[rstest]
#[case("")]
#[case("/etc/passwd")]
#[case("../x")]
#[case("a/../b")]
#[case("a//b")]
#[case("./a")]
#[case("a/.wh.b")]
#[case("a\0b")]
fn hostile_paths(#[case] path: &str) {
    assert!(LayerBuilder::new().bytes(path, 0o644, &b""[..]).is_err());
}

#[test]
fn nothing_is_added_twice() {
    let mut builder = LayerBuilder::new();
    builder.bytes("a", 0o644, &b"1"[..]).expect("added");
    assert!(builder.bytes("a", 0o644, &b"2"[..]).is_err());
    assert!(builder.directory("a/", 0o755).is_err());
}

#[tokio::test]
async fn a_file_that_is_missing_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut builder = LayerBuilder::new();
    builder.file("a", 0o644, dir.path().join("none")).expect("added");
    let error = builder.finish(dir.path()).await.expect_err("missing");
    assert!(error.to_string().contains("none"), "{error}");
}

#[tokio::test]
async fn an_image_out_of_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let layer = layer(dir.path(), &[0, 1]).await;
    let target = Layout::create(dir.path().join("target")).expect("made");
    let spec = ImageSpec {
        layers: vec![&layer],
        labels: [("a".to_owned(), "b".to_owned())].into(),
        annotations: [("c".to_owned(), "d".to_owned())].into(),
        cmd: Some(vec!["serve".to_owned()]),
        platforms: vec![Platform::new("linux", "arm64")],
        created_by: "test".to_owned(),
        ..ImageSpec::default()
    };
    let one = spec.build(&target, &app()).await.expect("built");
    let two = spec.build(&target, &app()).await.expect("built");
    assert_eq!(one, two);
    assert_eq!(
        one.digest().to_string(),
        "sha256:6ec09eec072da1435e355dc679a4dc47a7c1d5b371a16c24dedf2c763b7a4285"
    );
    target.put_tag(&app(), &"v1".parse().expect("a tag"), &one).await.expect("tagged");
    let reference = format!("oci:{}:team/app:v1", target.path().display());
    let skopeo = Skopeo::new();
    skopeo.pull(&reference);
    let output = skopeo.run(&["--override-arch", "arm64", "inspect", "--config", &reference]);
    let config: Value = serde_json::from_slice(&output.stdout).expect("a configuration");
    assert_eq!(config["architecture"], "arm64");
    assert_eq!(config["config"]["Labels"]["a"], "b");
    assert_eq!(config["config"]["Cmd"][0], "serve");
    assert_eq!(config["rootfs"]["diff_ids"][0], layer.diff_id().to_string());
    assert_eq!(&one.image().expect("an image").annotations["c"], "d");
}

fn base(docker: bool, platform: &str) -> Image {
    let builder = ImageBuilder::new().platform(platform).label("old", "1").layer(&[("etc/motd", platform)]);
    if docker { builder.docker().build() } else { builder.build() }
}

async fn view(dir: &Path, image: &Image) -> View {
    let path = dir.join("base");
    image.write_layout(&path, "base");
    let content: Arc<dyn ContentRead> = Arc::new(Layout::open(&path).expect("opened"));
    View::open(content, "base", &image.digest).await.expect("opened")
}

#[rstest]
#[case::oci(false)]
#[case::docker(true)]
#[tokio::test]
async fn every_image_of_an_index_gets_the_layer(#[case] docker: bool) {
    let dir = tempfile::tempdir().expect("a directory");
    let index =
        IndexBuilder::new().child(&base(docker, "linux/amd64")).child(&base(docker, "linux/arm64/v8"));
    let index = if docker { index.docker().build() } else { index.build() };
    let base = view(dir.path(), &index).await;
    let layer = layer(dir.path(), &[0, 1]).await;
    let target = Layout::create(dir.path().join("target")).expect("made");
    let spec = ImageSpec {
        base: Some(&base),
        layers: vec![&layer],
        labels: [("new".to_owned(), "2".to_owned())].into(),
        ..ImageSpec::default()
    };
    let built = spec.build(&target, &app()).await.expect("built");
    assert_eq!(built.media_type(), index.media_type);
    let children = &built.index().expect("an index").manifests;
    assert_eq!(children.len(), 2);
    assert_eq!(children[1].platform.as_deref().map(ToString::to_string).as_deref(), Some("linux/arm64/v8"));
    let layer_type = if docker { media_type::DOCKER_LAYER_GZIP } else { media_type::OCI_LAYER_GZIP };
    let content: Arc<dyn ContentRead> = Arc::new(target.clone());
    for (child, before) in children.iter().zip(&index.children) {
        assert_eq!(child.media_type, before.media_type);
        let child = View::open(content.clone(), "team/app", &child.digest.to_string()).await.expect("there");
        let image = crate::content::ImageView::manifest(&child).image().expect("an image");
        assert_eq!(image.layers.len(), 2);
        assert_eq!(image.layers[0].digest.to_string(), before.layers[0].blob.digest);
        assert_eq!(image.layers[1], layer.descriptor(layer_type));
        let config = crate::content::ImageView::config(&child).await.expect("read");
        let config: Value = serde_json::from_slice(&config).expect("JSON");
        assert_eq!(config["config"]["Labels"]["old"], "1");
        assert_eq!(config["config"]["Labels"]["new"], "2");
        assert_eq!(config["rootfs"]["diff_ids"].as_array().map(Vec::len), Some(2));
    }
    target.put_tag(&app(), &"v1".parse().expect("a tag"), &built).await.expect("tagged");
    // skopeo finds no Docker types in a layout, but at a registry.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let reference = format!("docker://{}/team/app:v1", listener.local_addr().expect("bound"));
    let options = crate::serve::ServeOptions::default();
    let server =
        tokio::spawn(crate::serve::serve(listener, Arc::new(target), options, std::future::pending()));
    let to = format!("dir:{}", dir.path().join("copied").display());
    let copied = tokio::task::spawn_blocking(move || Skopeo::new().copy(&["--all"], &reference, &to));
    copied.await.expect("copied");
    server.abort();
}

#[tokio::test]
async fn platforms_can_be_chosen() {
    let dir = tempfile::tempdir().expect("a directory");
    let index = IndexBuilder::new().child(&base(false, "linux/amd64")).child(&base(false, "linux/arm64"));
    let base = view(dir.path(), &index.build()).await;
    let target = Layout::create(dir.path().join("target")).expect("made");
    let spec = |arch: &str| ImageSpec {
        base: Some(&base),
        platforms: vec![Platform::new("linux", arch)],
        ..ImageSpec::default()
    };
    let built = spec("arm64").build(&target, &app()).await.expect("built");
    assert_eq!(built.index().map(|i| i.manifests.len()), Some(1));
    let error = spec("s390x").build(&target, &app()).await.expect_err("none");
    assert!(error.to_string().contains("no image of the platforms"), "{error}");
}

#[tokio::test]
async fn artifacts_are_no_base() {
    let dir = tempfile::tempdir().expect("a directory");
    let artifact = ImageBuilder::artifact("application/x.test").blob("text/plain", b"x", &[]).build();
    let base = view(dir.path(), &artifact).await;
    let target = Layout::create(dir.path().join("target")).expect("made");
    let spec = ImageSpec { base: Some(&base), ..ImageSpec::default() };
    let error = spec.build(&target, &app()).await.expect_err("no image");
    assert!(error.to_string().contains("does not list its layers"), "{error}");
}
