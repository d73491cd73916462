//! [`Artifact`]: a plugin in the form in which registries have it, that of the WebAssembly working group.
//!
//! A manifest of OCI, a configuration of `application/vnd.wasm.config.v0+json`, and the component as the one layer of
//! `application/wasm`. `wkg` and `oras` read it, and `skopeo` copies it.

use std::collections::BTreeMap;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, Manifest, RawManifest};
use oc_mirror_model::media_type;
use oc_mirror_model::reference::Tag;
use serde_json::json;

/// The media type of the configuration.
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// The media type of the component.
const COMPONENT: &str = "application/wasm";
/// What components were called before there was an agreement.
const OLD_COMPONENT: &str = "application/vnd.wasm.content.layer.v1+wasm";

/// The name of a layer's file, for `oras pull`.
const TITLE: &str = "org.opencontainers.image.title";

/// What an artifact says about its plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// What it calls itself.
    pub id: String,
    /// Its version.
    pub version: String,
    /// One sentence, or nothing.
    pub description: String,
    /// The interfaces it imports.
    pub imports: Vec<String>,
    /// The interfaces it exports.
    pub exports: Vec<String>,
    /// When it was made, RFC 3339: part of the digest, so the same for the same component.
    pub created: String,
}

/// A plugin, ready to be put somewhere.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// The manifest.
    pub manifest: RawManifest,
    /// Its configuration.
    pub config: Vec<u8>,
    /// The component.
    pub component: Vec<u8>,
}

impl Artifact {
    /// Makes the artifact of a component: always the same for the same component and the same words about it.
    pub fn new(component: Vec<u8>, about: &About) -> Self {
        let mut layer = Descriptor::of(COMPONENT, &component);
        layer.annotations.insert(TITLE.to_owned(), format!("{}.wasm", about.id));
        let config = json!({
            "created": about.created,
            "author": null,
            "architecture": "wasm",
            // What `wkg` calls whatever is a component.
            "os": "wasip2",
            "layerDigests": [layer.digest],
            "component": {"exports": about.exports, "imports": about.imports, "target": null},
        })
        .to_string()
        .into_bytes();
        let mut annotations = BTreeMap::from([
            (TITLE, &about.id),
            ("org.opencontainers.image.version", &about.version),
            ("org.opencontainers.image.created", &about.created),
        ]);
        if !about.description.is_empty() {
            annotations.insert("org.opencontainers.image.description", &about.description);
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": Descriptor::of(CONFIG, &config),
            "layers": [layer],
            "annotations": annotations,
        });
        let manifest = RawManifest::parse(manifest.to_string().into_bytes(), None)
            .expect("a manifest with one layer and short texts is valid");
        Self { manifest, config, component }
    }
}

/// Finds the component in a manifest. The error says what the manifest is instead of a plugin's.
pub(super) fn component_of(manifest: &RawManifest) -> Result<&Descriptor, String> {
    let image = match manifest.view() {
        Manifest::Image(image) => image,
        Manifest::Index(index) => {
            return Err(format!("it is an index of {} images", index.manifests.len()));
        }
    };
    let is_component = |layer: &&Descriptor| matches!(&*layer.media_type, COMPONENT | OLD_COMPONENT);
    match image.layers.as_slice() {
        [layer] if is_component(&layer) => Ok(layer),
        layers if layers.iter().any(|layer| is_component(&layer)) => Err(format!(
            "it has {} layers, and a plugin has one of `{COMPONENT}` and nothing else",
            layers.len()
        )),
        _ if is_container(&image.config.media_type) => Err(format!(
            "it is an image of containers, with a configuration of `{}`",
            image.config.media_type
        )),
        [] => Err(format!("it has no layer, and a configuration of `{}`", image.config.media_type)),
        [layer, ..] => Err(format!("it is an artifact with a layer of `{}`", layer.media_type)),
    }
}

fn is_container(config: &str) -> bool {
    matches!(config, media_type::OCI_CONFIG | "application/vnd.docker.container.image.v1+json")
}

/// Returns the configuration and the layers of a manifest, for copies of it.
pub(super) fn blobs(manifest: &RawManifest) -> Vec<Descriptor> {
    manifest.image().map(|image| image.blobs().cloned().collect()).unwrap_or_default()
}

/// Returns the tag under which cosign keeps signatures of a manifest; nothing where that would be too long.
pub(super) fn signature_tag(digest: &Digest) -> Option<Tag> {
    Tag::of_attachment(digest, "sig")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::Value;

    fn about() -> About {
        About {
            id: "deny".to_owned(),
            version: "1.2.0".to_owned(),
            description: "Refuses".to_owned(),
            imports: vec!["oc-mirror:plugin/log@0.1.0".to_owned()],
            exports: vec!["oc-mirror:plugin/image-policy@0.1.0".to_owned()],
            created: "1970-01-01T00:00:00Z".to_owned(),
        }
    }

    /// The fields that the crate `oci-wasm` reads, by the names it reads them.
    #[test]
    fn it_is_what_wkg_reads() {
        let artifact = Artifact::new(b"component".to_vec(), &about());
        let config: Value = serde_json::from_slice(&artifact.config).expect("JSON");
        let layer = Digest::of(b"component").to_string();
        assert_eq!((&config["architecture"], &config["os"]), (&json!("wasm"), &json!("wasip2")));
        assert_eq!(config["layerDigests"], json!([layer]));
        assert_eq!(config["component"]["exports"], json!(["oc-mirror:plugin/image-policy@0.1.0"]));
        let image = artifact.manifest.image().expect("an image");
        assert_eq!(&*image.config.media_type, CONFIG);
        assert_eq!(image.config.digest, Digest::of(&artifact.config));
        let found = component_of(&artifact.manifest).expect("its own");
        assert_eq!((found.digest.to_string(), found.annotations.get(TITLE)), (layer, Some("deny.wasm")));
        assert_eq!(image.annotations.get("org.opencontainers.image.version"), Some("1.2.0"));
        assert_eq!(Artifact::new(b"component".to_vec(), &about()).manifest, artifact.manifest);
    }

    #[rstest]
    #[case(media_type::OCI_CONFIG, &[media_type::OCI_LAYER_GZIP], "an image of containers")]
    #[case("application/vnd.cncf.helm.config.v1+json", &["application/vnd.cncf.helm.chart.content.v1.tar+gzip"], "a layer of `application/vnd.cncf.helm")]
    #[case(CONFIG, &[COMPONENT, COMPONENT], "it has 2 layers")]
    #[case(CONFIG, &[], "it has no layer")]
    fn what_is_no_plugin_is_told_apart(#[case] config: &str, #[case] layers: &[&str], #[case] what: &str) {
        let layers: Vec<Descriptor> = layers.iter().map(|t| Descriptor::of(t, b"{}")).collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": Descriptor::of(config, b"{}"),
            "layers": layers,
        });
        let manifest = RawManifest::parse(manifest.to_string().into_bytes(), None).expect("a manifest");
        let error = component_of(&manifest).expect_err("no plugin");
        assert!(error.contains(what), "{error}");
    }
}
