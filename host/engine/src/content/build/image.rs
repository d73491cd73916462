//! Images: [`ImageSpec`] adds layers to an image, for every platform of it, or makes one out of nothing.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use oc_mirror_model::manifest::{Descriptor, ImageManifest, RawManifest};
use oc_mirror_model::media_type;
use oc_mirror_model::platform::Platform;
use oc_mirror_model::reference::Repository;
use serde_json::{Map, Value, json};

use super::{BuildError, Layer};
use crate::content::{BlobStream, ContentWrite, ImageView};

/// When an image was made that nobody says a time of.
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// How deep an index may be within others.
const MAX_DEPTH: usize = 8;

/// The annotation of index entries that are not images but tell about one.
const ATTESTATION: &str = "vnd.docker.reference.type";

/// What an image is to be.
///
/// Built on an index, the result is an index of the same kind, and every image in it gets the same changes.
/// Attestations in it are left out, since they tell about images that these are no longer.
#[derive(Clone, Default)]
pub struct ImageSpec<'a> {
    /// What to build on; nothing makes an OCI image of the layers alone.
    pub base: Option<&'a dyn ImageView>,
    /// Which images of an index to build on; none means all. Without a base, what the image is for.
    pub platforms: Vec<Platform>,
    /// What comes on top, lowest first.
    pub layers: Vec<&'a Layer>,
    /// Labels to set.
    pub labels: BTreeMap<String, String>,
    /// Annotations of manifests to set; Docker's formats have none.
    pub annotations: BTreeMap<String, String>,
    /// The entrypoint to set.
    pub entrypoint: Option<Vec<String>>,
    /// The command to set.
    pub cmd: Option<Vec<String>>,
    /// When it was made, as RFC 3339 has it; otherwise what the base says.
    pub created: Option<String>,
    /// What the history says of the layers.
    pub created_by: String,
    /// Whether the layers of the base stay where they are, because the result will be read together with it.
    pub leave_base: bool,
}

impl ImageSpec<'_> {
    /// Builds the image with everything it needs in a repository. Blobs that are there are not put again.
    pub async fn build(
        &self,
        target: &dyn ContentWrite,
        repository: &Repository,
    ) -> Result<RawManifest, BuildError> {
        let output = Output { target, repository };
        match self.base {
            Some(base) => self.on(base, &output, 0).await,
            None => self.alone(&output).await,
        }
    }

    /// Builds on an image or an index.
    fn on<'f>(
        &'f self,
        base: &'f dyn ImageView,
        output: &'f Output<'_>,
        depth: usize,
    ) -> Pin<Box<dyn Future<Output = Result<RawManifest, BuildError>> + Send + 'f>> {
        Box::pin(async move {
            if depth > MAX_DEPTH {
                return Err(unfit(base, "it has too many indexes within each other"));
            }
            match base.manifest().image() {
                Some(image) => self.on_image(base, image, output).await,
                None => self.on_index(base, output, depth).await,
            }
        })
    }

    async fn on_index(
        &self,
        base: &dyn ImageView,
        output: &Output<'_>,
        depth: usize,
    ) -> Result<RawManifest, BuildError> {
        let listed = base.manifest().index().expect("what is not an image is an index");
        let mut value = object(base, base.manifest().bytes())?;
        let raw = value.get_mut("manifests").and_then(Value::as_array_mut).map(std::mem::take);
        let mut entries = Vec::new();
        // The typed and the raw list come from the same bytes, so they have the same order.
        for (child, mut entry) in listed.manifests.iter().zip(raw.unwrap_or_default()) {
            if !self.takes(child) {
                continue;
            }
            let view = base.child(child).await?;
            let built = self.on(view.as_ref(), output, depth + 1).await?;
            entry["mediaType"] = built.media_type().into();
            entry["digest"] = built.digest().to_string().into();
            entry["size"] = built.descriptor().size.into();
            if let Some(entry) = entry.as_object_mut() {
                entry.remove("data");
            }
            entries.push(entry);
        }
        if entries.is_empty() {
            return Err(unfit(base, "it has no image of the platforms that are wanted"));
        }
        value.insert("manifests".to_owned(), entries.into());
        self.annotate(&mut value, base.manifest().media_type());
        output.manifest(&value, base.manifest().media_type()).await
    }

    fn takes(&self, child: &Descriptor) -> bool {
        if !child.is_manifest() || child.annotations.contains_key(ATTESTATION) {
            return false;
        }
        match &child.platform {
            Some(platform) => {
                self.platforms.is_empty() || self.platforms.iter().any(|wanted| platform.satisfies(wanted))
            }
            // An index within the index, or an image that says what it is for in its configuration only.
            None => true,
        }
    }

    async fn on_image(
        &self,
        base: &dyn ImageView,
        image: &ImageManifest,
        output: &Output<'_>,
    ) -> Result<RawManifest, BuildError> {
        let mut config = object(base, &base.config().await?)?;
        let diff_ids = config.get("rootfs").and_then(|r| r.get("diff_ids")).and_then(Value::as_array);
        if diff_ids.map(Vec::len) != Some(image.layers.len()) {
            return Err(unfit(base, "its configuration does not list its layers"));
        }
        self.configure(&mut config);
        let copied = image.layers.iter().filter(|l| !media_type::is_foreign_layer(&l.media_type));
        for layer in copied.filter(|_| !self.leave_base) {
            if !output.has(layer).await? {
                output.blob(layer, base.open_blob(layer).await?).await?;
            }
        }
        let mut manifest = object(base, base.manifest().bytes())?;
        self.finish(config, &image.config.media_type, &mut manifest, base.manifest().media_type(), output)
            .await
    }

    async fn alone(&self, output: &Output<'_>) -> Result<RawManifest, BuildError> {
        let host = Platform::new("linux", "amd64");
        let platform = self.platforms.first().unwrap_or(&host);
        let mut config = serde_json::to_value(platform).expect("a platform is always JSON");
        config["created"] = EPOCH.into();
        config["config"] = json!({});
        config["rootfs"] = json!({"type": "layers", "diff_ids": []});
        config["history"] = json!([]);
        let manifest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "layers": []});
        let (Value::Object(mut config), Value::Object(mut manifest)) = (config, manifest) else {
            unreachable!("both were written as objects above")
        };
        self.configure(&mut config);
        self.finish(config, media_type::OCI_CONFIG, &mut manifest, media_type::OCI_MANIFEST, output).await
    }

    /// Makes the changes to a configuration.
    fn configure(&self, config: &mut Map<String, Value>) {
        if let Some(created) = &self.created {
            config.insert("created".to_owned(), created.as_str().into());
        }
        let run = objectify(config.entry("config").or_insert(Value::Null));
        if let Some(entrypoint) = &self.entrypoint {
            run.insert("Entrypoint".to_owned(), json!(entrypoint));
        }
        if let Some(cmd) = &self.cmd {
            run.insert("Cmd".to_owned(), json!(cmd));
        }
        if !self.labels.is_empty() {
            merge(run.entry("Labels").or_insert(Value::Null), &self.labels);
        }
        let diff_ids = self.layers.iter().map(|l| json!(l.diff_id()));
        let rootfs = objectify(config.entry("rootfs").or_insert(Value::Null));
        if let Some(listed) = rootfs.get_mut("diff_ids").and_then(Value::as_array_mut) {
            listed.extend(diff_ids);
        }
        let created = config.get("created").cloned().unwrap_or_else(|| EPOCH.into());
        // Where a base has no history, one of the upper layers alone would be wrong.
        if let Some(history) = config.get_mut("history").and_then(Value::as_array_mut) {
            let entry = json!({"created": created, "created_by": self.created_by});
            history.extend(std::iter::repeat_n(entry, self.layers.len()));
        }
    }

    /// Puts configuration, layers and manifest.
    async fn finish(
        &self,
        config: Map<String, Value>,
        config_type: &str,
        manifest: &mut Map<String, Value>,
        manifest_type: &str,
        output: &Output<'_>,
    ) -> Result<RawManifest, BuildError> {
        let layer_type = match manifest_type {
            media_type::DOCKER_MANIFEST => media_type::DOCKER_LAYER_GZIP,
            _ => media_type::OCI_LAYER_GZIP,
        };
        let bytes = Value::Object(config).to_string().into_bytes();
        let described = Descriptor::of(config_type, &bytes);
        manifest.insert("config".to_owned(), json!(described));
        if !output.has(&described).await? {
            let body: BlobStream = Box::pin(futures_util::stream::iter([Ok(bytes.into())]));
            output.blob(&described, body).await?;
        }
        for layer in &self.layers {
            let described = layer.descriptor(layer_type);
            if !output.has(&described).await? {
                output.blob(&described, layer.open()?).await?;
            }
            let listed = manifest.entry("layers").or_insert_with(|| json!([]));
            if let Some(listed) = listed.as_array_mut() {
                listed.push(json!(described));
            }
        }
        self.annotate(manifest, manifest_type);
        output.manifest(manifest, manifest_type).await
    }

    fn annotate(&self, manifest: &mut Map<String, Value>, manifest_type: &str) {
        let has_annotations = matches!(manifest_type, media_type::OCI_INDEX | media_type::OCI_MANIFEST);
        if has_annotations && !self.annotations.is_empty() {
            merge(manifest.entry("annotations").or_insert(Value::Null), &self.annotations);
        }
    }
}

/// Where the result goes.
struct Output<'a> {
    target: &'a dyn ContentWrite,
    repository: &'a Repository,
}

impl Output<'_> {
    async fn has(&self, blob: &Descriptor) -> Result<bool, BuildError> {
        Ok(self.target.has_blob(self.repository, blob).await?)
    }

    async fn blob(&self, blob: &Descriptor, body: BlobStream) -> Result<(), BuildError> {
        Ok(self.target.put_blob(self.repository, blob, body).await?)
    }

    async fn manifest(
        &self,
        value: &Map<String, Value>,
        media_type: &str,
    ) -> Result<RawManifest, BuildError> {
        let bytes = serde_json::to_vec(value).expect("values are always JSON");
        let manifest = RawManifest::parse(bytes, Some(media_type)).map_err(|e| BuildError::Base {
            subject: self.repository.to_string(),
            reason: format!("the result would be no manifest ({e})"),
        })?;
        self.target.put_manifest(self.repository, &manifest).await?;
        Ok(manifest)
    }
}

fn unfit(base: &dyn ImageView, reason: &str) -> BuildError {
    BuildError::Base { subject: base.reference(), reason: reason.to_owned() }
}

fn object(base: &dyn ImageView, bytes: &[u8]) -> Result<Map<String, Value>, BuildError> {
    serde_json::from_slice(bytes).map_err(|_| unfit(base, "its configuration is not a JSON object"))
}

/// Makes anything that is not an object an empty one: `null` is what Go writes for an empty map.
fn objectify(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("it was made one")
}

fn merge(into: &mut Value, values: &BTreeMap<String, String>) {
    let map = objectify(into);
    for (key, value) in values {
        map.insert(key.clone(), value.as_str().into());
    }
}
