//! Ordinary tools read what is written here: GNU tar, and skopeo once the chunks are unpacked.

// A test that is skipped says so.
#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::process::Command;

use super::*;
use oc_mirror_model::Digest;

fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = match Command::new(program).args(arguments).output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: no {program} here");
            return None;
        }
        Err(error) => panic!("{program}: {error}"),
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    Some(String::from_utf8(output.stdout).expect("text"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[tokio::test]
async fn tar_lists_every_chunk_without_a_complaint() {
    let dir = tempfile::tempdir().expect("a directory");
    let sample = sample(Some(256 << 10));
    let mut listed = Vec::new();
    for path in sample.written(dir.path()).await {
        let Some(names) = run("tar", &["tf", text(&path)]) else { return };
        assert_eq!(names.lines().next(), Some("imageset.json"));
        listed.extend(names.lines().skip(1).map(str::to_owned));
    }
    let planned: Vec<String> = sample
        .index
        .entries
        .iter()
        .flat_map(|e| {
            let of = e.parts.len();
            (1..=of).map(move |n| oc_mirror_model::tar::part_name(&e.path(), n, of))
        })
        .collect();
    assert_eq!(listed, planned);
}

#[tokio::test]
async fn tar_understands_pax_headers() {
    let long = format!("files/{}/{}", "d".repeat(120), "n".repeat(150));
    let dir = tempfile::tempdir().expect("a directory");
    let content = BTreeMap::from([(long.clone(), b"x".to_vec())]);
    let paths = sample_of(Vec::new(), content, None).written(dir.path()).await;
    let Some(names) = run("tar", &["tf", text(&paths[0])]) else { return };
    assert!(names.lines().any(|name| name == long));
    assert_eq!(Reader::open(dir.path()).expect("valid").file(&long).await.expect("there"), b"x");
}

/// Unpacks all chunks and copies every image with skopeo, which checks all digests.
///
/// Up to 1.9, skopeo finds images of Docker's types only where no name is needed, as there is one image.
fn copy_with_skopeo(chunks: &[PathBuf], images: &[ImageEntry], by_name: bool) {
    let dir = tempfile::tempdir().expect("a directory");
    let layout = dir.path().join("layout");
    std::fs::create_dir(&layout).expect("made");
    for chunk in chunks {
        if run("tar", &["xf", text(chunk), "-C", text(&layout)]).is_none() {
            return;
        }
    }
    for (number, image) in images.iter().enumerate() {
        let origin = &image.request.origin;
        let source = match by_name {
            true => format!("oci:{}:{origin}", text(&layout)),
            false => format!("oci:{}", text(&layout)),
        };
        let Some(manifest) = run("skopeo", &["inspect", "--raw", &source]) else { return };
        assert_eq!(Digest::of(manifest.as_bytes()), image.root.digest, "{origin}");
        let copy = format!("dir:{}", text(&dir.path().join(format!("copy{number}"))));
        let policy = "--insecure-policy";
        run("skopeo", &[policy, "copy", "--all", "--preserve-digests", &source, &copy]);
    }
}

fn gzip(content: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("file"), content).expect("written");
    let archive = dir.path().join("layer.tar.gz");
    run("tar", &["czf", text(&archive), "-C", text(dir.path()), "file"]);
    std::fs::read(archive).expect("there")
}

#[tokio::test]
async fn skopeo_reads_unpacked_chunks() {
    let mut content = BTreeMap::new();
    let base = gzip("base");
    let images = vec![
        image("oci", &[base.clone(), gzip("one")], false, &mut content),
        image("other", &[base, gzip("two")], false, &mut content),
    ];
    // Over several chunks, with nothing split.
    let sample = sample_of(images, content, Some(10 << 10));
    assert!(sample.index.chunks.len() > 1);
    let dir = tempfile::tempdir().expect("a directory");
    copy_with_skopeo(&sample.written(dir.path()).await, &sample.index.images, true);
}

#[tokio::test]
async fn skopeo_reads_docker_images() {
    let mut content = BTreeMap::new();
    let images = vec![image("docker", &[gzip("base"), gzip("two")], true, &mut content)];
    let sample = sample_of(images, content, None);
    let dir = tempfile::tempdir().expect("a directory");
    copy_with_skopeo(&sample.written(dir.path()).await, &sample.index.images, false);
}

/// Reads an image layout that others made, as one image per entry of its index.
fn from_layout(root: &Path) -> (Vec<ImageEntry>, BTreeMap<String, Vec<u8>>) {
    let read = |d: &Descriptor| std::fs::read(root.join(d.digest.layout_path())).expect("there");
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(root.join("index.json")).expect("there")).expect("JSON");
    let roots: Vec<Descriptor> = serde_json::from_value(index["manifests"].clone()).expect("descriptors");
    let mut content = BTreeMap::new();
    let images = roots
        .into_iter()
        .map(|root| {
            let mut entry = image("real", &[], false, &mut BTreeMap::new());
            let (mut manifests, mut blobs, mut todo) = (Vec::new(), Vec::new(), vec![root.clone()]);
            while let Some(descriptor) = todo.pop() {
                let bytes = read(&descriptor);
                let raw = RawManifest::parse(bytes.clone(), Some(&descriptor.media_type)).expect("valid");
                blobs.extend(raw.image().into_iter().flat_map(|i| i.blobs().cloned()));
                todo.extend(raw.index().into_iter().flat_map(|i| i.manifests.clone()));
                content.insert(descriptor.digest.layout_path(), bytes);
                manifests.insert(0, descriptor);
            }
            content.extend(blobs.iter().map(|b| (b.digest.layout_path(), read(b))));
            (entry.root, entry.manifests, entry.blobs) = (root, manifests.into(), blobs.into());
            entry
        })
        .collect();
    (images, content)
}

#[tokio::test]
async fn skopeo_reads_a_real_image() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/fixtures/images/multi-platform-container-latest");
    if !fixture.is_dir() {
        println!("skipped: no ../shared/fixtures");
        return;
    }
    let (images, content) = from_layout(&fixture);
    let sample = sample_of(images, content, None);
    let dir = tempfile::tempdir().expect("a directory");
    copy_with_skopeo(&sample.written(dir.path()).await, &sample.index.images, true);
}
