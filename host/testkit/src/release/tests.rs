//! Payloads as somebody who unpacks them sees them.

use std::collections::BTreeMap;
use std::io::Read as _;

use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const HOST: &str = "quay.example";

/// Returns the files of an image, those of upper layers in place of those below.
fn files(image: &Image) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for layer in &image.layers {
        let gzip = flate2::read::GzDecoder::new(layer.blob.bytes.as_slice());
        for entry in tar::Archive::new(gzip).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            found.insert(path, content);
        }
    }
    found
}

fn json_of(image: &Image, name: &str) -> Value {
    serde_json::from_slice(&files(image)[&format!("release-manifests/{name}")]).unwrap()
}

/// Returns name and reference of each tag in `image-references`.
fn listed(image: &Image) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let references = json_of(image, "image-references");
    let tags = references["spec"]["tags"].as_array().unwrap();
    tags.iter().map(|tag| (text(&tag["name"]), text(&tag["from"]["name"]))).collect()
}

fn named(components: &[Component]) -> Vec<(String, String)> {
    components.iter().map(|c| (c.name.clone(), c.reference.clone())).collect()
}

#[test]
fn a_payload_lists_its_components_by_digest() {
    let release = release("4.12.1").previous(&["4.12.0", "4.11.9"]).errata("https://e.example").build(HOST);
    let payload = release.payload("amd64");
    assert_eq!(listed(&payload.image), named(&payload.components));
    let names: Vec<&str> = payload.components.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, USUAL);
    let first = &payload.components[0];
    assert_eq!(first.reference, format!("{HOST}/{COMPONENTS}@{}", first.image.digest));

    let references = json_of(&payload.image, "image-references");
    assert_eq!(references["kind"], "ImageStream");
    assert_eq!(references["apiVersion"], "image.openshift.io/v1");
    assert_eq!(references["metadata"]["name"], "4.12.1");
    assert_eq!(references["spec"]["tags"][0]["from"]["kind"], "DockerImage");
    let expected = json!({
        "kind": "cincinnati-metadata-v0",
        "version": "4.12.1",
        "previous": ["4.12.0", "4.11.9"],
        "metadata": { "url": "https://e.example" },
    });
    assert_eq!(json_of(&payload.image, "release-metadata"), expected);
    let config: Value = serde_json::from_slice(&payload.image.config.as_ref().unwrap().bytes).unwrap();
    assert_eq!(config["config"]["Labels"]["io.openshift.release"], "4.12.1");
}

#[test]
fn the_list_of_components_has_the_fields_of_a_real_one() {
    let Some(fixtures) = crate::fixtures() else { return };
    let path = "release/openshift__oc-mirror/tests/unit/testdata/working-dir-fake/hold-release/ocp-release/4.14.1-x86_64";
    let text = std::fs::read(fixtures.join(path).join("release-manifests/image-references")).unwrap();
    let real: Value = serde_json::from_slice(&text).unwrap();
    let made = json_of(&release("4.12.0").build(HOST).payload("amd64").image, "image-references");
    let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    for within in ["", "/spec", "/spec/tags/0", "/spec/tags/0/annotations", "/spec/tags/0/from"] {
        let [made, real] = [&made, &real].map(|value| fields(value.pointer(within).unwrap()));
        assert_eq!(made, real, "at `{within}`");
    }
}

#[rstest]
#[case::docker(release("4.12.1"), "application/vnd.docker.distribution.manifest.v2+json")]
#[case::oci(release("4.12.1").oci(), "application/vnd.oci.image.manifest.v1+json")]
fn releases_are_of_either_kind(#[case] builder: ReleaseBuilder, #[case] media_type: &str) {
    let release = builder.build(HOST);
    let payload = release.payload("amd64");
    assert_eq!(payload.image.media_type, media_type);
    assert!(payload.components.iter().all(|component| component.image.media_type == media_type));
}

#[test]
fn each_architecture_has_a_payload_of_its_own() {
    let release = release("4.12.1").architectures(&["amd64", "arm64"]).build(HOST);
    let [amd, arm] = release.payloads.as_slice() else { panic!("two payloads") };
    assert_eq!((amd.tag.as_str(), arm.tag.as_str()), ("4.12.1-x86_64", "4.12.1-aarch64"));
    assert_eq!(arm.by_tag(), format!("{HOST}/{PAYLOADS}:4.12.1-aarch64"));
    assert_eq!(arm.by_digest(), format!("{HOST}/{PAYLOADS}@{}", arm.digest()));
    assert_eq!(arm.identity(), "quay.io/openshift-release-dev/ocp-release:4.12.1-aarch64");
    assert!(amd.component_digests().is_disjoint(&arm.component_digests()));
    assert_eq!(arm.image.platform, "linux/arm64");
}

#[test]
fn the_payload_of_all_architectures_is_an_index_of_payloads_that_list_indexes() {
    let release = release("4.12.1").architectures(&[]).multi(&["amd64", "s390x"]).build(HOST);
    let payload = release.payload("multi");
    assert_eq!(payload.tag, "4.12.1-multi");
    let platforms: Vec<&str> = payload.image.children.iter().map(|c| c.platform.as_str()).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/s390x"]);
    for child in &payload.image.children {
        assert_eq!(listed(child), named(&payload.components));
        let metadata = json_of(child, "release-metadata");
        assert_eq!(metadata["metadata"]["release.openshift.io/architecture"], "multi");
    }
    assert!(payload.components.iter().all(|component| component.image.children.len() == 2));
}

#[test]
fn components_change_stay_or_have_two_names() {
    let build = |version: &str| {
        let builder = release(version).component("etcd").unchanged("pod").alias("base", "etcd");
        builder.build(HOST).payloads.remove(0)
    };
    let [old, new] = ["4.12.0", "4.12.1"].map(build);
    let digest = |payload: &Payload, name: &str| {
        payload.components.iter().find(|c| c.name == name).unwrap().image.digest.clone()
    };
    assert_eq!(digest(&old, "pod"), digest(&new, "pod"));
    assert_ne!(digest(&old, "etcd"), digest(&new, "etcd"));
    assert_eq!(digest(&new, "etcd"), digest(&new, "base"));
    assert_eq!(new.component_digests().len(), 2);
    assert_eq!(new.digest(), build("4.12.1").digest());
}

#[test]
fn boot_images_name_disks_of_virtual_machines() {
    let release = release("4.12.1").kubevirt(&["x86_64", "s390x"]).build(HOST);
    let payload = release.payload("amd64");
    let all = files(&payload.image);
    let text = String::from_utf8(all["release-manifests/0000_50_installer_coreos-bootimages.yaml"].clone());
    let text = text.unwrap();
    // The text of the block without its indentation is the JSON.
    let block = text.split_once("  stream: |\n").unwrap().1.split_once("\nkind: ConfigMap").unwrap().0;
    assert!(block.lines().all(|line| line.starts_with("    ")));
    let stream: Value = serde_json::from_str(block).unwrap();
    for disk in &release.kubevirt {
        let named = &stream["architectures"][&disk.name]["images"]["kubevirt"];
        assert_eq!(named["digest-ref"], disk.reference.as_str());
        assert!(named["image"].as_str().unwrap().ends_with(&format!(":4.12.1-9.2-kubevirt-{}", disk.name)));
    }
    assert_eq!(release.kubevirt.len(), 2);
    assert!(stream["architectures"]["aarch64"].get("images").is_none());
    assert!(payload.components.iter().all(|c| !c.reference.contains(&release.kubevirt[0].image.digest)));
}

#[test]
fn files_are_replaced_and_left_out_and_cover_those_of_the_base() {
    let stale = ImageBuilder::new()
        .docker()
        .layer(&[("release-manifests/image-references", "stale"), ("release-manifests/old", "old")])
        .build();
    let build = |builder: ReleaseBuilder| files(&builder.base(&stale).build(HOST).payloads.remove(0).image);
    let whole = build(release("4.12.1").manifest("more.yaml", "more"));
    assert_ne!(whole["release-manifests/image-references"], b"stale");
    assert_eq!(whole["release-manifests/old"], b"old");
    assert_eq!(whole["release-manifests/more.yaml"], b"more");
    let broken = build(release("4.12.1").manifest("image-references", "{"));
    assert_eq!(broken["release-manifests/image-references"], b"{");
    let missing = build(release("4.12.1").without_manifest("image-references"));
    assert_eq!(missing["release-manifests/image-references"], b"stale");
}

#[cfg(feature = "registries")]
#[test]
fn a_registry_takes_all_of_it() {
    let registry = crate::Registry::start();
    let builder = release("4.12.1").kubevirt(&["x86_64"]).multi(&["amd64", "arm64"]);
    let release = builder.push(&registry);
    for payload in &release.payloads {
        assert_eq!(registry.digest_of(PAYLOADS, &payload.tag).as_deref(), Some(payload.digest()));
        assert_eq!(payload.by_tag(), registry.reference(PAYLOADS, &payload.tag));
        for component in &payload.components {
            let digest = &component.image.digest;
            assert_eq!(registry.digest_of(COMPONENTS, digest).as_ref(), Some(digest));
            assert_eq!(component.reference, registry.reference(COMPONENTS, digest));
        }
    }
    let disk = &release.kubevirt[0];
    assert_eq!(registry.digest_of(COMPONENTS, &disk.image.digest).as_ref(), Some(&disk.image.digest));
    assert_eq!(registry.tags(COMPONENTS), ["4.12.1-9.2-kubevirt-x86_64"]);
}
