//! A world for trying plugins in: [`Rehearsal`]. Its images and web servers are those of a table of cases, so that a
//! plugin can be asked without any registry.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use oc_mirror_model::cases::{CaseTable, FullAnswer, MadeAnswer, MadeImage, named, with_keys};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::media_type;
use oc_mirror_model::platform::Platform;
use oc_mirror_model::policy::{Decision, Verdict};
use oc_mirror_model::reference::{Reference, Selector, Source, Tag};
use oc_mirror_model::request::ImageRequest;
use serde_json::{Value, json};

use super::alone::{Alone, NoVerdict, run_info};
use super::images::{Origin, Origins, RunImages};
use super::judge::side_by_side;
use super::plugin_artifacts::{PluginArtifactError, Shelf};
use crate::content::build::{BuildError, ImageSpec, Layer, LayerBuilder};
use crate::content::memory::Memory;
use crate::content::{
    ContentError, ContentErrorKind, ContentRead, ContentWrite, ImageView, Images, TagStore,
};
use crate::policy::Policy;
use crate::report::SharedEvents;
use crate::source::{
    Collected, ContentSource, HttpError, HttpFetch, HttpRequest, HttpResponse, Lent, NoKeys, PluginError,
    Services,
};
use crate::transfer::Retry;
use crate::trust::signing::SignatureKey;

/// A world that a plugin is tried in.
pub struct Rehearsal(pub(super) Alone);

/// A question cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// An image of the table cannot be made.
    #[error("the image `{name}` cannot be made")]
    Image {
        /// Its name.
        name: String,
        /// What happened.
        #[source]
        cause: BuildError,
    },
    /// An image of the table cannot be signed.
    #[error("the image `{name}` cannot be signed")]
    Signature {
        /// Its name.
        name: String,
        /// What happened.
        #[source]
        cause: PluginArtifactError,
    },
    /// The plugin looks at images, and this one is not in the table.
    #[error("the image `{0}` is not in the table")]
    NoSuchImage(String),
    /// The plugin failed.
    #[error(transparent)]
    Plugin(#[from] PluginError),
}

impl Rehearsal {
    /// Makes the world of a table that has been checked. `scratch` is a directory for it alone.
    pub async fn new(
        table: &CaseTable,
        program: &str,
        events: SharedEvents,
        scratch: PathBuf,
    ) -> Result<Self, RehearsalError> {
        let mut world = World::default();
        for (name, image) in &table.images {
            let made = world.add(name, image, &scratch).await;
            let made = made.map_err(|cause| RehearsalError::Image { name: name.clone(), cause })?;
            if let Some((reference, root)) = made {
                let signed = world.sign(&reference, &root, image, &events).await;
                signed.map_err(|cause| RehearsalError::Signature { name: name.clone(), cause })?;
            }
        }
        let retry = Retry { times: 0, ..Retry::default() };
        let images = RunImages::new(Arc::new(world), retry, events.clone(), HashSet::new(), None, None, None);
        let services = Services {
            images: Arc::new(images) as Arc<dyn Images>,
            http: Arc::new(Answers(table.http.clone())),
            events,
            scratch,
            cancelled: Arc::new(AtomicBool::new(false)),
            state: Arc::default(),
            cache: None,
            unavailable: Arc::default(),
            signatures: Arc::new(NoKeys),
        };
        Ok(Self(Alone(Arc::new(Lent { run: run_info(program, &table.time, Some(1)), services }))))
    }

    /// Returns settings of the table with the public keys that they name.
    pub fn settings(settings: &Value) -> Value {
        with_keys(settings, &|name| SignatureKey::made_up(name).public_pem())
    }

    /// Has a policy judge an image, as a run does: its reference first, and if that passes the image.
    pub async fn judge(
        &self,
        policy: &dyn Policy,
        request: &ImageRequest,
    ) -> Result<Decision, RehearsalError> {
        self.0.judge(policy, request).await.map_err(|error| match error {
            NoVerdict::Image(_) => RehearsalError::NoSuchImage(request.source.clone()),
            NoVerdict::Plugin(error) => error.into(),
        })
    }

    /// Returns what plugins are lent.
    pub fn lent(&self) -> &Arc<Lent> {
        &self.0.0
    }

    /// Opens an image of the table.
    pub async fn open(&self, request: &ImageRequest) -> Result<Arc<dyn ImageView>, RehearsalError> {
        let opened = self.0.open(request).await;
        opened.map_err(|_| RehearsalError::NoSuchImage(request.source.clone()))
    }

    /// Has a policy judge an image again and again, on all threads of the runtime. Returns how long that took.
    pub async fn judge_often(
        &self,
        policy: Arc<dyn Policy>,
        request: &ImageRequest,
        times: usize,
    ) -> Result<Duration, RehearsalError> {
        let image = self.open(request).await?;
        let asked = (policy, self.0.0.clone(), request.clone(), image);
        let start = Instant::now();
        let ((), answers) = side_by_side((), times, 1, move |_: Arc<()>, _| {
            let (policy, lent, request, image) = asked.clone();
            async move { policy.evaluate(&lent, &request, image).await }
        })
        .await;
        let took = start.elapsed();
        answers.into_iter().collect::<Result<Vec<Verdict>, PluginError>>()?;
        Ok(took)
    }

    /// Has a source collect.
    pub async fn collect(&self, source: &dyn ContentSource) -> Result<Collected, RehearsalError> {
        Ok(self.0.collect(source).await?)
    }
}

/// Registries in memory, by name.
#[derive(Default)]
struct World {
    registries: BTreeMap<String, Arc<Memory>>,
    tags: BTreeMap<String, Vec<String>>,
}

impl World {
    /// Adds an image; returns its name, and the digest of what is under it.
    async fn add(
        &mut self,
        name: &str,
        image: &MadeImage,
        scratch: &Path,
    ) -> Result<Option<(Reference, Digest)>, BuildError> {
        let Ok(Source::Registry(reference)) = named(name) else { return Ok(None) };
        let registry = self.registries.entry(reference.registry.to_string()).or_default().clone();
        let mut layers = Vec::new();
        for files in &image.layers {
            let mut layer = LayerBuilder::new();
            for (path, text) in files {
                layer.bytes(path, 0o644, text.clone())?;
            }
            layers.push(layer.finish(scratch).await?);
        }
        let platforms = image.platforms().unwrap_or_default();
        let mut children = Vec::new();
        for platform in &platforms {
            let made = build(image, platform, &layers, &registry, &reference).await?;
            let child = made.descriptor();
            let descriptor = Descriptor::new(made.media_type(), child.digest.clone(), child.size);
            children.push(Descriptor { platform: Some(Box::new(platform.clone())), ..descriptor });
        }
        let root = match children.as_slice() {
            [only] => only.digest.clone(),
            _ => index(image, &children, &registry, &reference).await?,
        };
        if let Selector::Tag(tag) = &reference.selector() {
            let selector = Selector::Digest(root.clone());
            let manifest = registry.manifest(&reference.repository, &selector).await?;
            registry.put_tag(&reference.repository, tag, &manifest).await?;
            self.tags.entry(reference.name()).or_default().push(tag.to_string());
        }
        Ok(Some((reference, root)))
    }

    /// Signs an image as its keys would, with cosign.
    async fn sign(
        &mut self,
        reference: &Reference,
        root: &Digest,
        image: &MadeImage,
        events: &SharedEvents,
    ) -> Result<(), PluginArtifactError> {
        if image.signed_by.is_empty() {
            return Ok(());
        }
        let registry = self.registry(reference)?;
        let claimed = match image.signed_as.as_deref().map(named) {
            Some(Ok(Source::Registry(other))) => other.name(),
            _ => reference.name(),
        };
        let retry = Retry { times: 0, ..Retry::default() };
        let shelf = Shelf::in_registry(registry, reference.clone(), retry, events.clone());
        for name in &image.signed_by {
            shelf.sign_as(root, &SignatureKey::made_up(name), &claimed).await?;
        }
        let tag = Tag::of_attachment(root, "sig").map(String::from);
        self.tags.entry(reference.name()).or_default().extend(tag);
        Ok(())
    }

    fn registry(&self, reference: &Reference) -> Result<Arc<Memory>, ContentError> {
        let found = self.registries.get(&reference.registry.to_string());
        found.cloned().ok_or_else(|| ContentError::new(reference.to_string(), ContentErrorKind::NotFound))
    }
}

async fn build(
    image: &MadeImage,
    platform: &Platform,
    layers: &[Layer],
    registry: &Memory,
    reference: &Reference,
) -> Result<RawManifest, BuildError> {
    let spec = ImageSpec {
        platforms: vec![platform.clone()],
        layers: layers.iter().collect(),
        labels: image.labels.clone(),
        annotations: image.annotations.clone(),
        created: image.created.clone(),
        ..ImageSpec::default()
    };
    spec.build(registry, &reference.repository).await
}

/// Puts an index of images.
async fn index(
    image: &MadeImage,
    children: &[Descriptor],
    registry: &Memory,
    reference: &Reference,
) -> Result<Digest, BuildError> {
    let document = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_INDEX,
        "manifests": children,
        "annotations": image.annotations,
    });
    let made = RawManifest::parse(document.to_string().into_bytes(), Some(media_type::OCI_INDEX));
    let made = made.expect("an index of descriptors is one");
    registry.put_manifest(&reference.repository, &made).await?;
    Ok(made.digest().clone())
}

#[async_trait]
impl Origins for World {
    async fn origin(&self, source: &Source) -> Result<Origin, ContentError> {
        let Source::Registry(reference) = source else {
            return Err(ContentError::new(source.to_string(), ContentErrorKind::NotFound));
        };
        let read = self.registry(reference)?;
        let selector = reference.selector();
        Ok(Origin { read, repository: reference.repository.clone(), selector })
    }

    async fn tags(
        &self,
        repository: &Reference,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, ContentError> {
        let missing = || ContentError::new(repository.name(), ContentErrorKind::NotFound);
        let mut tags = self.tags.get(&repository.name()).cloned().ok_or_else(missing)?;
        tags.sort();
        Ok(tags.into_iter().filter(|tag| after.is_none_or(|last| tag.as_str() > last)).take(limit).collect())
    }

    async fn referrers(
        &self,
        _source: &Source,
        _digest: &Digest,
        _artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, ContentError> {
        Ok(Vec::new())
    }
}

/// What web servers answer, by URL.
struct Answers(BTreeMap<String, MadeAnswer>);

#[async_trait]
impl HttpFetch for Answers {
    async fn fetch(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = match self.0.get(&request.url) {
            Some(MadeAnswer::Body(body)) => {
                FullAnswer { status: 200, headers: BTreeMap::new(), body: body.clone() }
            }
            Some(MadeAnswer::Full(full)) => full.clone(),
            None => FullAnswer { status: 404, headers: BTreeMap::new(), body: String::new() },
        };
        let body = Bytes::from(answer.body);
        if body.len() as u64 > request.max_bytes {
            let text = format!("`{}` answers with more than {} bytes", request.url, request.max_bytes);
            return Err(HttpError::Unavailable(text));
        }
        Ok(HttpResponse {
            status: answer.status,
            headers: answer.headers.into_iter().collect(),
            final_url: request.url,
            body: Box::pin(futures_util::stream::iter([Ok(body)])),
        })
    }

    fn has_credential(&self, _name: &str) -> bool {
        false
    }
}
