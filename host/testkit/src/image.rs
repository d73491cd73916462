//! [`ImageBuilder`] and [`IndexBuilder`]: images of a few kilobytes that every registry takes, the same bytes on every
//! run. Nothing here touches a disk or a network.

use std::io::Write;

use flate2::{Compression, GzBuilder};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// Returns `sha256:<hex>` of the bytes.
pub fn sha256(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Returns a tar of regular files and its gzip form, both the same on every run.
pub fn tar_gz<P: AsRef<str>, B: AsRef<[u8]>>(files: &[(P, B)]) -> (Vec<u8>, Vec<u8>) {
    tar_gz_with_links(files, &[])
}

/// The same, with symbolic links (path and target) behind the files.
fn tar_gz_with_links<P: AsRef<str>, B: AsRef<[u8]>>(
    files: &[(P, B)],
    links: &[(&str, &str)],
) -> (Vec<u8>, Vec<u8>) {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let bytes = bytes.as_ref();
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_entry_type(tar::EntryType::Regular);
        builder.append_data(&mut header, path.as_ref(), bytes).expect("a path that fits a tar header");
    }
    for (path, target) in links {
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        header.set_mode(0o777);
        header.set_mtime(0);
        header.set_entry_type(tar::EntryType::Symlink);
        builder.append_link(&mut header, path, target).expect("a path that fits a tar header");
    }
    let tar = builder.into_inner().expect("writing to memory succeeds");
    let gzip = gzip(&tar);
    (tar, gzip)
}

/// Compresses bytes, the same on every run.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(6));
    gzip.write_all(bytes).expect("writing to memory succeeds");
    gzip.finish().expect("writing to memory succeeds")
}

/// Bytes with the digest and the media type a manifest gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// The media type in the descriptor.
    pub media_type: String,
    /// The digest, as `sha256:<hex>`.
    pub digest: String,
    /// The content.
    pub bytes: Vec<u8>,
    /// The annotations of the descriptor.
    pub annotations: Vec<(String, String)>,
}

impl Blob {
    /// Wraps bytes.
    pub fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        let digest = sha256(&bytes);
        Self { media_type: media_type.to_string(), digest, bytes, annotations: Vec::new() }
    }

    fn descriptor(&self) -> Value {
        let mut descriptor = descriptor(&self.media_type, &self.digest, self.bytes.len());
        if !self.annotations.is_empty() {
            descriptor["annotations"] = object(&self.annotations);
        }
        descriptor
    }
}

/// A layer: a blob, and the digest of its uncompressed form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The blob as it is stored.
    pub blob: Blob,
    /// The digest of the uncompressed tar, which the configuration lists.
    pub diff_id: String,
}

/// A finished manifest with everything it refers to: an image, an artifact, or an index of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The media type of the manifest.
    pub media_type: String,
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// The digest of the manifest.
    pub digest: String,
    /// The configuration blob; none for an index.
    pub config: Option<Blob>,
    /// The layers, base first; none for an index.
    pub layers: Vec<Layer>,
    /// The manifests an index lists; none for an image.
    pub children: Vec<Image>,
    /// The platform, as `os/architecture[/variant]`.
    pub platform: String,
}

impl Image {
    /// Returns the configuration and the layers of this image and of all its children, each digest once.
    pub fn blobs(&self) -> Vec<&Blob> {
        let mut found: Vec<&Blob> = Vec::new();
        for image in self.tree() {
            for blob in image.config.iter().chain(image.layers.iter().map(|layer| &layer.blob)) {
                if !found.iter().any(|seen| seen.digest == blob.digest) {
                    found.push(blob);
                }
            }
        }
        found
    }

    /// Returns this manifest and all below it, children before their parents.
    pub fn tree(&self) -> Vec<&Image> {
        let mut all: Vec<&Image> = self.children.iter().flat_map(Image::tree).collect();
        all.push(self);
        all
    }

    /// Returns the digests of the layers, base first.
    pub fn layer_digests(&self) -> Vec<String> {
        self.layers.iter().map(|layer| layer.blob.digest.clone()).collect()
    }

    /// Returns the descriptor of this manifest.
    pub fn descriptor(&self) -> Value {
        descriptor(&self.media_type, &self.digest, self.manifest.len())
    }
}

/// Builds one image or artifact.
#[derive(Clone, Debug)]
pub struct ImageBuilder {
    docker: bool,
    layers: Vec<Layer>,
    platform: String,
    labels: Vec<(String, String)>,
    env: Vec<String>,
    run: Map<String, Value>,
    history: Vec<String>,
    annotations: Vec<(String, String)>,
    config: Option<Blob>,
    artifact_type: Option<String>,
    subject: Option<Value>,
}

impl Default for ImageBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl ImageBuilder {
    /// Starts an OCI image for `linux/amd64` without layers.
    pub fn new() -> Self {
        Self {
            docker: false,
            layers: Vec::new(),
            platform: "linux/amd64".to_string(),
            labels: Vec::new(),
            env: Vec::new(),
            run: Map::new(),
            history: Vec::new(),
            annotations: Vec::new(),
            config: None,
            artifact_type: None,
            subject: None,
        }
    }

    /// Starts an OCI artifact: an empty configuration, and no layers unless some are added.
    pub fn artifact(artifact_type: &str) -> Self {
        let mut builder = Self::new();
        builder.artifact_type = Some(artifact_type.to_string());
        builder.config = Some(Blob::new(OCI_EMPTY, b"{}".to_vec()));
        builder
    }

    /// Uses the media types of Docker's schema 2.
    pub fn docker(mut self) -> Self {
        self.docker = true;
        self
    }

    /// Puts the layers of a base image first.
    pub fn from(mut self, base: &Image) -> Self {
        let mut layers = base.layers.clone();
        layers.append(&mut self.layers);
        self.layers = layers;
        self
    }

    /// Adds a layer of files.
    pub fn layer<P: AsRef<str>, B: AsRef<[u8]>>(self, files: &[(P, B)]) -> Self {
        self.archive(tar_gz(files))
    }

    /// Adds a layer of symbolic links, each with its target.
    pub fn links(self, links: &[(&str, &str)]) -> Self {
        self.archive(tar_gz_with_links::<&str, &str>(&[], links))
    }

    fn archive(mut self, (tar, gzip): (Vec<u8>, Vec<u8>)) -> Self {
        let media_type = if self.docker { DOCKER_LAYER } else { OCI_LAYER };
        self.layers.push(Layer { blob: Blob::new(media_type, gzip), diff_id: sha256(&tar) });
        self
    }

    /// Adds a layer with one file of `size` bytes that do not compress, decided by `seed`.
    pub fn random_layer(self, seed: u64, size: usize) -> Self {
        self.layer(&[(format!("random-{seed}"), pseudo_random(seed, size))])
    }

    /// Adds a blob of any media type as a layer, as artifacts have them; it may be empty.
    pub fn blob(mut self, media_type: &str, bytes: &[u8], annotations: &[(&str, &str)]) -> Self {
        let mut blob = Blob::new(media_type, bytes.to_vec());
        blob.annotations = annotations.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let diff_id = blob.digest.clone();
        self.layers.push(Layer { blob, diff_id });
        self
    }

    /// Replaces the configuration blob.
    pub fn config(mut self, media_type: &str, bytes: &[u8]) -> Self {
        self.config = Some(Blob::new(media_type, bytes.to_vec()));
        self
    }

    /// Sets a label of the configuration.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.push((key.to_string(), value.to_string()));
        self
    }

    /// Adds an environment variable, as `NAME=value`.
    pub fn env(mut self, variable: &str) -> Self {
        self.env.push(variable.to_string());
        self
    }

    /// Sets what the image runs.
    pub fn entrypoint(mut self, words: &[&str]) -> Self {
        self.run.insert("Entrypoint".to_string(), json!(words));
        self
    }

    /// Sets the arguments of what the image runs.
    pub fn cmd(mut self, words: &[&str]) -> Self {
        self.run.insert("Cmd".to_string(), json!(words));
        self
    }

    /// Says how the layers were made, one line for each.
    pub fn history(mut self, lines: &[&str]) -> Self {
        self.history = lines.iter().map(|line| line.to_string()).collect();
        self
    }

    /// Sets the platform, as `os/architecture[/variant]`.
    pub fn platform(mut self, platform: &str) -> Self {
        self.platform = platform.to_string();
        self
    }

    /// Sets an annotation of the manifest.
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.push((key.to_string(), value.to_string()));
        self
    }

    /// Makes this refer to another manifest, as signatures do.
    pub fn subject(mut self, of: &Image) -> Self {
        self.subject = Some(of.descriptor());
        self
    }

    /// Finishes the image.
    pub fn build(mut self) -> Image {
        let config = self.config.take().unwrap_or_else(|| self.default_config());
        let media_type = if self.docker { DOCKER_MANIFEST } else { OCI_MANIFEST };
        // A chain on a base of the other kind keeps the bytes and is described in this image's own words.
        for layer in &mut self.layers {
            layer.blob.media_type = match (self.docker, layer.blob.media_type.as_str()) {
                (true, OCI_LAYER) => DOCKER_LAYER.to_string(),
                (false, DOCKER_LAYER) => OCI_LAYER.to_string(),
                (_, other) => other.to_string(),
            };
        }
        let layers: Vec<Value> = self.layers.iter().map(|layer| layer.blob.descriptor()).collect();
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": config.descriptor(),
            "layers": layers,
        });
        set_some(&mut manifest, "artifactType", self.artifact_type.map(Value::String));
        set_some(&mut manifest, "subject", self.subject);
        if !self.annotations.is_empty() {
            manifest["annotations"] = object(&self.annotations);
        }
        finish(media_type, &manifest, Some(config), self.layers, Vec::new(), self.platform)
    }

    fn default_config(&self) -> Blob {
        let (os, architecture, variant) = split_platform(&self.platform);
        let diff_ids: Vec<&str> = self.layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        let mut inner = self.run.clone();
        if !self.env.is_empty() {
            inner.insert("Env".to_string(), json!(self.env));
        }
        if !self.labels.is_empty() {
            inner.insert("Labels".to_string(), object(&self.labels));
        }
        let mut config = json!({
            "created": "1970-01-01T00:00:00Z",
            "architecture": architecture,
            "os": os,
            "config": inner,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        if !self.history.is_empty() {
            let lines: Vec<Value> = self.history.iter().map(|by| json!({ "created_by": by })).collect();
            config["history"] = lines.into();
        }
        set_some(&mut config, "variant", variant.map(|v| Value::String(v.to_string())));
        let media_type = if self.docker { DOCKER_CONFIG } else { OCI_CONFIG };
        Blob::new(media_type, config.to_string().into_bytes())
    }
}

/// Builds an index of several manifests, each of them an image or again an index.
#[derive(Clone, Debug, Default)]
pub struct IndexBuilder {
    docker: bool,
    children: Vec<Image>,
    annotations: Vec<(String, String)>,
}

impl IndexBuilder {
    /// Starts an empty OCI index.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes it a Docker manifest list.
    pub fn docker(mut self) -> Self {
        self.docker = true;
        self
    }

    /// Lists a manifest, with the platform it was built for.
    pub fn child(mut self, child: &Image) -> Self {
        self.children.push(child.clone());
        self
    }

    /// Sets an annotation of the index.
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.push((key.to_string(), value.to_string()));
        self
    }

    /// Finishes the index.
    pub fn build(self) -> Image {
        let media_type = if self.docker { DOCKER_LIST } else { OCI_INDEX };
        let manifests: Vec<Value> = self.children.iter().map(child_descriptor).collect();
        let mut manifest = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": manifests });
        if !self.annotations.is_empty() {
            manifest["annotations"] = object(&self.annotations);
        }
        finish(media_type, &manifest, None, Vec::new(), self.children, String::new())
    }
}

fn child_descriptor(child: &Image) -> Value {
    let mut descriptor = child.descriptor();
    if !child.platform.is_empty() {
        let (os, architecture, variant) = split_platform(&child.platform);
        let mut platform = json!({ "architecture": architecture, "os": os });
        set_some(&mut platform, "variant", variant.map(|v| Value::String(v.to_string())));
        descriptor["platform"] = platform;
    }
    descriptor
}

fn finish(
    media_type: &str,
    manifest: &Value,
    config: Option<Blob>,
    layers: Vec<Layer>,
    children: Vec<Image>,
    platform: String,
) -> Image {
    let manifest = manifest.to_string().into_bytes();
    let digest = sha256(&manifest);
    Image { media_type: media_type.to_string(), manifest, digest, config, layers, children, platform }
}

fn descriptor(media_type: &str, digest: &str, size: usize) -> Value {
    json!({ "mediaType": media_type, "digest": digest, "size": size })
}

fn object(pairs: &[(String, String)]) -> Value {
    pairs.iter().map(|(k, v)| (k.clone(), Value::String(v.clone()))).collect::<Map<_, _>>().into()
}

fn set_some(object: &mut Value, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        object[key] = value;
    }
}

fn split_platform(platform: &str) -> (&str, &str, Option<&str>) {
    let mut parts = platform.splitn(3, '/');
    let os = parts.next().unwrap_or_default();
    let architecture = parts.next().expect("a platform is os/architecture[/variant]");
    (os, architecture, parts.next())
}

/// A xorshift stream: bytes that gzip cannot shrink, without a dependency on a random generator.
fn pseudo_random(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Image {
        ImageBuilder::new().layer(&[("etc/motd", "hello\n")]).label("a", "b").env("X=1").build()
    }

    #[test]
    fn the_same_image_twice_has_the_same_digests() {
        assert_eq!(sample(), sample());
        assert_eq!(sample().digest, sha256(&sample().manifest));
    }

    #[test]
    fn a_base_contributes_its_layers_first() {
        let base = sample();
        let child = ImageBuilder::new().from(&base).layer(&[("app", "1")]).build();
        assert_eq!(child.layers[..1], base.layers[..]);
        let config: Value = serde_json::from_slice(&child.config.unwrap().bytes).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], json!(base.layers[0].diff_id));
        assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_nested_index_lists_children_before_parents() {
        let inner = IndexBuilder::new().child(&sample()).build();
        let outer = IndexBuilder::new().child(&inner).build();
        let order: Vec<&str> = outer.tree().iter().map(|image| image.digest.as_str()).collect();
        assert_eq!(order, [&sample().digest, &inner.digest, &outer.digest]);
        let parsed: Value = serde_json::from_slice(&outer.manifest).unwrap();
        assert!(parsed["manifests"][0].get("platform").is_none());
    }

    #[test]
    fn random_layers_do_not_compress() {
        let image = ImageBuilder::new().random_layer(7, 50_000).build();
        assert!(image.layers[0].blob.bytes.len() > 49_000);
    }

    #[test]
    fn an_artifact_may_have_no_layers_and_a_subject() {
        let artifact = ImageBuilder::artifact("application/x.test").subject(&sample()).build();
        let parsed: Value = serde_json::from_slice(&artifact.manifest).unwrap();
        assert_eq!(parsed["subject"]["digest"], json!(sample().digest));
        assert_eq!(parsed["layers"], json!([]));
    }
}
