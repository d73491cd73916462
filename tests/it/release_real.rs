//! A real payload: the layer of 4.12.0 with its 183 components, which are small images of the test's own.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use oc_mirror_testkit::{Image, ImageBuilder, Skopeo, fixtures};
use serde_json::{Value, json};

use crate::depot::{COMPONENTS, Depot, PAYLOADS, payloads_of};
use crate::lab::Chunks;

/// What the layer is called in the fixture.
const LAYER: &str = "5b2ca04f694b70c8b41f1c2a40b7e95643181a1d037b115149ecc243324c513d";
const REFERENCES: &str = "release-manifests/image-references";
const REPOSITORY: &str = "openshift-release-dev/ocp-v4.0-art-dev";

/// Returns the layer as a tar; none where the fixtures are absent.
fn layer() -> Option<Vec<u8>> {
    let file: PathBuf = fixtures()?.join("images/test-untar/blobs/sha256").join(LAYER);
    let gzip = Command::new("gzip").arg("-dc").stdin(fs::File::open(file).expect("it is there")).output();
    Some(gzip.expect("this machine has gzip").stdout)
}

/// Returns where the header of a file is, and how long the file is.
fn find(tar: &[u8], path: &str) -> (usize, usize) {
    let mut at = 0;
    loop {
        let header = &tar[at..at + 512];
        let text = |range: std::ops::Range<usize>| {
            let bytes = &header[range];
            let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
            std::str::from_utf8(&bytes[..end]).expect("headers are text").trim().to_owned()
        };
        assert!(!text(0..100).is_empty(), "no `{path}` in the layer");
        let size = usize::from_str_radix(&text(124..136), 8).expect("an octal number");
        if text(0..100) == path {
            return (at, size);
        }
        at += 512 + size.next_multiple_of(512);
    }
}

/// Replaces a file; all other bytes stay what they are.
fn replace(tar: &[u8], path: &str, content: &[u8]) -> Vec<u8> {
    let (at, size) = find(tar, path);
    let mut header = tar[at..at + 512].to_vec();
    header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut changed = [&tar[..at], &header, content].concat();
    changed.resize(changed.len().next_multiple_of(512), 0);
    changed.extend_from_slice(&tar[at + 512 + size.next_multiple_of(512)..]);
    changed
}

fn small(content: &str) -> Image {
    ImageBuilder::new().docker().layer(&[("usr/bin/component", content)]).build()
}

fn payload(tar: &[u8]) -> Image {
    ImageBuilder::new().blob("application/vnd.oci.image.layer.v1.tar", tar, &[]).build()
}

/// Returns the components that a list of images names.
fn listed(references: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let tags = references["spec"]["tags"].as_array().expect("tags");
    tags.iter().map(|tag| (text(&tag["name"]), text(&tag["from"]["name"]))).collect()
}

fn references(tar: &[u8]) -> Value {
    let (at, size) = find(tar, REFERENCES);
    serde_json::from_slice(&tar[at + 512..at + 512 + size]).expect("a list of images is JSON")
}

/// Pushes and signs a payload, and offers it as 4.12.0.
fn offer(depot: &Depot, image: &Image) {
    let name = depot.lab.push(image, "openshift-release-dev/ocp-release", "4.12.0-x86_64");
    let identity = "quay.io/openshift-release-dev/ocp-release:4.12.0-x86_64";
    depot.server.signature(&image.digest, depot.signer.sign(&image.digest, identity));
    let by_digest = format!("{}@{}", name.trim_end_matches(":4.12.0-x86_64"), image.digest);
    let graph = oc_mirror_testkit::GraphBuilder::new().node("4.12.0", &by_digest).channels(&["stable-4.12"]);
    depot.server.graph("amd64", "stable-4.12", graph);
    depot.want_channel(json!({ "name": "stable-4.12" }));
}

#[test]
fn all_components_of_a_real_payload_arrive() {
    let Some(tar) = layer() else { return };
    let mut depot = Depot::new();
    let mut references = references(&tar);
    let real = listed(&references);
    assert_eq!(real.len(), 183);
    // Names for one image stay names for one image.
    let images: BTreeMap<&String, Image> = real.values().map(|name| (name, small(name))).collect();
    for image in images.values() {
        image.push_untagged(&depot.lab.source, REPOSITORY);
    }
    for tag in references["spec"]["tags"].as_array_mut().expect("tags") {
        let image = &images[&tag["from"]["name"].as_str().expect("a name").to_owned()];
        tag["from"]["name"] = json!(depot.lab.source.reference(REPOSITORY, &image.digest));
    }
    let text = serde_json::to_vec_pretty(&references).expect("a value serialises");
    let image = payload(&replace(&tar, REFERENCES, &text));
    offer(&depot, &image);

    let made = depot.carry(&[]);
    assert_eq!(payloads_of(&made), ["4.12.0-x86_64"]);
    let index = Chunks::of(&depot.lab.path("disk"), 1).index();
    assert_eq!(index["images"].as_array().map(Vec::len), Some(184));
    depot.lab.assert_published(&image, PAYLOADS, "4.12.0-x86_64");
    let mut tags: Vec<String> = real.keys().map(|name| format!("4.12.0-x86_64-{name}")).collect();
    tags.sort();
    assert_eq!(depot.lab.target.tags(COMPONENTS), tags);
    for (name, original) in &real {
        let tag = format!("4.12.0-x86_64-{name}");
        let found = depot.lab.target.digest_of(COMPONENTS, &tag);
        assert_eq!(found.as_ref(), Some(&images[original].digest), "{tag}");
    }
    for name in ["cli", "etcd", "machine-os-content"] {
        let reference = depot.lab.target.reference(COMPONENTS, &format!("4.12.0-x86_64-{name}"));
        Skopeo::new().pull(&format!("docker://{reference}"));
    }
}

/// Its components are at a registry that cannot be reached from here, so that much and no more can be shown.
#[test]
fn the_untouched_list_of_a_real_payload_is_understood() {
    let Some(tar) = layer() else { return };
    let mut depot = Depot::new();
    // Nobody listens there.
    depot.lab.context =
        depot.lab.context.env("https_proxy", "http://127.0.0.1:1").env("no_proxy", "127.0.0.1");
    offer(&depot, &payload(&tar));
    let run = depot.lab.make(&["--retry-times", "0"]).expect(2);
    let failures = &run.report().failures;
    assert_eq!(failures.len(), 183, "one for each component");
    assert!(failures.iter().all(|f| f.kind == "release-content"), "{:?}", failures.first());
    let named: std::collections::BTreeSet<&str> = failures.iter().map(|f| f.subject.as_str()).collect();
    let real = listed(&references(&tar));
    assert_eq!(named, real.values().map(String::as_str).collect());
}
