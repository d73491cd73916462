//! The files below `release-manifests/` of a payload, in the shapes that real ones have.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{ARCHITECTURES, Component, ReleaseBuilder};

/// The file that names disks of virtual machines.
const BOOT_IMAGES: &str = "0000_50_installer_coreos-bootimages.yaml";

/// Returns the files by their names.
pub(super) fn of(
    release: &ReleaseBuilder,
    components: &[Component],
    kubevirt: &[Component],
    multi: bool,
) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut add = |name: &str, content: String| files.insert(name.to_owned(), content.into_bytes());
    add("image-references", format!("{:#}\n", image_references(&release.version, components)));
    add("release-metadata", format!("{:#}", release_metadata(release, multi)));
    add("0000_03_config-operator_namespace.yaml", "apiVersion: v1\nkind: Namespace\n".to_owned());
    if !kubevirt.is_empty() {
        add(BOOT_IMAGES, boot_images(&release.version, kubevirt));
    }
    files
}

fn image_references(version: &str, components: &[Component]) -> Value {
    let tag = |component: &Component| {
        json!({
            "name": component.name,
            "annotations": {
                "io.openshift.build.commit.id": "40936e7a9159189889c637fa1631f8cbdd5c3c4f",
                "io.openshift.build.commit.ref": "",
                "io.openshift.build.source-location": format!("https://github.com/openshift/{}", component.name),
            },
            "from": { "kind": "DockerImage", "name": component.reference },
            "generation": null,
            "importPolicy": {},
            "referencePolicy": { "type": "" },
        })
    };
    json!({
        "kind": "ImageStream",
        "apiVersion": "image.openshift.io/v1",
        "metadata": {
            "name": version,
            "creationTimestamp": "2023-01-12T18:29:52Z",
            "annotations": {
                "release.openshift.io/from-release": format!("registry.ci.openshift.org/ocp/release:{version}"),
            },
        },
        "spec": {
            "lookupPolicy": { "local": false },
            "tags": components.iter().map(tag).collect::<Vec<_>>(),
        },
        "status": { "dockerImageRepository": "" },
    })
}

fn release_metadata(release: &ReleaseBuilder, multi: bool) -> Value {
    let mut metadata = Map::new();
    if let Some(url) = &release.errata {
        metadata.insert("url".to_owned(), json!(url));
    }
    if multi {
        metadata.insert("release.openshift.io/architecture".to_owned(), json!("multi"));
    }
    let mut value = json!({ "kind": "cincinnati-metadata-v0", "version": release.version });
    // Absent rather than empty, as in pre-releases.
    if !release.previous.is_empty() {
        value["previous"] = json!(release.previous);
    }
    if !metadata.is_empty() {
        value["metadata"] = metadata.into();
    }
    value
}

/// A `ConfigMap` with JSON as one text of YAML.
fn boot_images(version: &str, kubevirt: &[Component]) -> String {
    let mut architectures = Map::new();
    for (_, key) in ARCHITECTURES {
        let mut machine = json!({ "rhel-coreos-extensions": {} });
        if let Some(disk) = kubevirt.iter().find(|disk| disk.name == key) {
            let (repository, _) = disk.reference.split_once('@').expect("components are named by digest");
            machine["images"] = json!({ "kubevirt": {
                "release": "412.92.202301061956-0",
                "image": format!("{repository}:{}", disk.tag.as_deref().unwrap_or_default()),
                "digest-ref": disk.reference,
            } });
        }
        architectures.insert(key.to_owned(), machine);
    }
    let stream = json!({
        "stream": "rhcos-4.12",
        "metadata": { "last-modified": "2023-01-12T18:29:52Z", "generator": "plume cosa2stream 743c05b" },
        "architectures": architectures,
    });
    let stream: String = format!("{stream:#}").lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "apiVersion: v1
data:
  releaseVersion: {version}
  stream: |
{stream}kind: ConfigMap
metadata:
  annotations:
    include.release.openshift.io/ibm-cloud-managed: \"true\"
    include.release.openshift.io/self-managed-high-availability: \"true\"
    include.release.openshift.io/single-node-developer: \"true\"
  creationTimestamp: null
  name: coreos-bootimages
  namespace: openshift-machine-config-operator
"
    )
}
