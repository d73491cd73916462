//! The images of one run: [`RunImages`] opens them for plugins and for the plan, and fetches nothing twice.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use oc_mirror_model::digest::{Algorithm, Digest};
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Reference, Repository, Selector, Source};
use oc_mirror_model::signer::{Signer, Trust};

use super::guard::Guard;
use super::kept::Kept;
use super::manifests::Manifests;
use crate::archive::Writer;
use crate::content::verify::{collect, verified};
use crate::content::{
    BaseImage, BlobStream, ContentError, ContentErrorKind, ContentRead, ImageView, Images, Resolved,
    Unverified, UnverifiedKind,
};
use crate::report::SharedEvents;
use crate::transfer::{Retry, retrying};
use crate::trust::image::{Attachment, beside};
use crate::trust::sigstore::{self, Trusted};

/// The largest configuration of an image that is read. Those with the longest histories have some hundred KiB.
const MAX_CONFIG_BYTES: u64 = 8 << 20;

/// Where a source's bytes are.
#[derive(Clone)]
pub struct Origin {
    /// The registry or layout.
    pub read: Arc<dyn ContentRead>,
    /// The repository there.
    pub repository: Repository,
    /// The image there.
    pub selector: Selector,
}

/// Finds the places that sources name.
#[async_trait]
pub trait Origins: Send + Sync {
    /// Returns the place of a source, without asking it for the image.
    async fn origin(&self, source: &Source) -> Result<Origin, ContentError>;

    /// Lists tags of a repository.
    async fn tags(
        &self,
        repository: &Reference,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, ContentError>;

    /// Lists manifests that refer to another one.
    async fn referrers(
        &self,
        source: &Source,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, ContentError>;
}

/// The images of one run.
pub struct RunImages {
    shared: Arc<Shared>,
}

/// An image where it lies: the name of the registry, the repository, and its digest.
type Place = (String, Repository, Digest);

struct Shared {
    origins: Arc<dyn Origins>,
    retry: Retry,
    events: SharedEvents,
    /// What tags pointed at when they were first asked for: a tag that moves during a run does not split it.
    /// By the hash of the source's name, which has less room than that and all that it is made of.
    pins: Mutex<HashMap<Digest, Digest>>,
    manifests: Mutex<Manifests>,
    /// Signatures beside images, by registry, repository and image.
    attachments: Mutex<HashMap<Place, Arc<[Attachment]>>>,
    /// The images opened so far by their layers, for finding common bases.
    chains: RwLock<HashMap<ChainId, Opened>>,
    known: HashSet<Digest>,
    /// Blobs that are read more than once.
    kept: Option<Kept>,
    /// Layouts of which a part lies elsewhere.
    extended: Mutex<HashMap<PathBuf, Base>>,
    guard: Option<Guarded>,
    /// Where blobs of this run are by now.
    fetched: Mutex<Option<Arc<Writer>>>,
}

/// The hash of layers, in their order.
#[derive(PartialEq, Eq, Hash)]
struct ChainId(Digest);

/// An image that was opened.
struct Opened {
    name: Box<str>,
    digest: Digest,
}

/// What images have to satisfy.
#[derive(Clone)]
pub struct Guarded {
    /// The policy.
    pub guard: Arc<Guard>,
    /// Where images of the run itself are built, which need no signature.
    pub scratch: PathBuf,
}

impl RunImages {
    /// Makes an empty collection. `known` is what the destination or earlier sequences have. Files of the run are in `scratch`,
    /// if it has any.
    pub fn new(
        origins: Arc<dyn Origins>,
        retry: Retry,
        events: SharedEvents,
        known: HashSet<Digest>,
        kept: Option<Kept>,
        guard: Option<Guarded>,
        scratch: Option<&Path>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                origins,
                retry,
                events,
                pins: Mutex::default(),
                manifests: Mutex::new(Manifests::beyond_memory(scratch)),
                attachments: Mutex::default(),
                chains: RwLock::default(),
                known,
                kept,
                extended: Mutex::default(),
                guard,
                fetched: Mutex::default(),
            }),
        }
    }

    /// Forgets what only those look at who decide what is wanted. Manifests and configurations stay, to be written.
    pub fn settle(&self) {
        *self.shared.pins.lock().expect("no holder panics") = HashMap::new();
        *self.shared.attachments.lock().expect("no holder panics") = HashMap::new();
        *self.shared.chains.write().expect("no holder panics") = HashMap::new();
    }

    /// Returns a manifest or a configuration, if it was fetched.
    pub(super) fn document(&self, digest: &Digest) -> Option<Bytes> {
        self.shared.manifests.lock().expect("no holder panics").document(digest).map(Bytes::from)
    }

    /// Forgets manifests too, once they are written.
    pub fn finish(&self) {
        *self.shared.manifests.lock().expect("no holder panics") = Manifests::default();
    }

    /// Returns where the bytes of a source are.
    pub async fn origin(&self, source: &Source) -> Result<Origin, ContentError> {
        self.shared.origin(source).await
    }

    /// Reads a manifest that has been seen before, or fetches it.
    pub async fn manifest(&self, origin: &Origin, digest: &Digest) -> Result<Arc<RawManifest>, ContentError> {
        self.shared.manifest(origin, &Selector::Digest(digest.clone())).await
    }

    /// Opens an image with access to the manifest itself.
    pub async fn open_image(&self, source: &Source) -> Result<OpenImage, ContentError> {
        self.open_if(source, true).await
    }

    /// Opens an image as it was found earlier in this run.
    pub async fn open_pinned(&self, source: &Source, digest: &Digest) -> Result<OpenImage, ContentError> {
        self.shared
            .pins
            .lock()
            .expect("no holder panics")
            .entry(pin_of(source))
            .or_insert_with(|| digest.clone());
        self.open_if(source, true).await
    }

    /// Reads blobs from an imageset in the making, as far as they are there.
    pub fn read_first(&self, writer: &Arc<Writer>) {
        *self.shared.fetched.lock().expect("no holder panics") = Some(writer.clone());
    }

    /// Opens what lies beside an image, which needs no signature of its own.
    pub async fn open_companion(&self, source: &Source) -> Result<OpenImage, ContentError> {
        self.open_if(source, false).await
    }

    async fn open_if(&self, source: &Source, is_guarded: bool) -> Result<OpenImage, ContentError> {
        let origin = self.shared.origin(source).await?;
        let pin = pin_of(source);
        let pinned = self.shared.pins.lock().expect("no holder panics").get(&pin).cloned();
        let selector = pinned.map_or(origin.selector.clone(), Selector::Digest);
        let manifest = self.shared.manifest(&origin, &selector).await?;
        let signers = match is_guarded {
            true => self.shared.admit(source, &origin, manifest.digest()).await?,
            false => Arc::default(),
        };
        self.shared
            .pins
            .lock()
            .expect("no holder panics")
            .entry(pin)
            .or_insert_with(|| manifest.digest().clone());
        let image = OpenImage {
            shared: self.shared.clone(),
            source: source.clone(),
            origin,
            manifest,
            is_guarded,
            signers,
        };
        image.remember_chain();
        Ok(image)
    }
}

/// Returns what a source is noted by.
fn pin_of(source: &Source) -> Digest {
    Digest::of(source.to_string().as_bytes())
}

impl Shared {
    async fn origin(&self, source: &Source) -> Result<Origin, ContentError> {
        let origin = self.origins.origin(source).await?;
        let Source::Layout(layout) = source else { return Ok(origin) };
        let base = self.extended.lock().expect("no holder panics").get(&layout.path).cloned();
        Ok(match base {
            Some(Base { origin: base, .. }) => {
                let extended = Extended { layout: origin.read, base, kept: self.kept.clone() };
                Origin { read: Arc::new(extended), ..origin }
            }
            None => origin,
        })
    }

    async fn admit(
        &self,
        source: &Source,
        origin: &Origin,
        digest: &Digest,
    ) -> Result<Arc<[Signer]>, ContentError> {
        match &self.guard {
            Some(Guarded { guard, scratch }) => guard.admit(source, origin, digest, scratch).await,
            None => Ok(Arc::default()),
        }
    }

    async fn manifest(&self, origin: &Origin, selector: &Selector) -> Result<Arc<RawManifest>, ContentError> {
        if let Selector::Digest(digest) = selector
            && let Some(read) = self.manifests.lock().expect("no holder panics").get(digest)
        {
            return Ok(Arc::new(read.map_err(|error| {
                let reason = "what was fetched cannot be read again".to_owned();
                ContentError::with_source(digest.to_string(), ContentErrorKind::Invalid(reason), error)
            })?));
        }
        let manifest = Arc::new(origin.read.manifest(&origin.repository, selector).await?);
        self.manifests.lock().expect("no holder panics").insert(&manifest);
        Ok(manifest)
    }
}

#[async_trait]
impl Images for RunImages {
    async fn resolve(&self, source: &Source) -> Result<Resolved, ContentError> {
        let image = self.open_image(source).await?;
        Ok(Resolved { source: source.clone(), descriptor: image.manifest.descriptor().clone() })
    }

    async fn tags(
        &self,
        repository: &Reference,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, ContentError> {
        self.shared.origins.tags(repository, after, limit).await
    }

    async fn open(&self, source: &Source) -> Result<Arc<dyn ImageView>, ContentError> {
        Ok(Arc::new(self.open_image(source).await?))
    }

    async fn extend(&self, layout: &Path, base: &Source) -> Result<(), ContentError> {
        let base = Base { source: base.clone(), origin: self.shared.origin(base).await? };
        self.shared.extended.lock().expect("no holder panics").insert(layout.to_owned(), base);
        Ok(())
    }
}

/// What an image was built on.
#[derive(Clone)]
struct Base {
    source: Source,
    origin: Origin,
}

/// A layout that an image was built into, and the image that it was built on.
struct Extended {
    layout: Arc<dyn ContentRead>,
    base: Origin,
    kept: Option<Kept>,
}

#[async_trait]
impl ContentRead for Extended {
    fn name(&self) -> String {
        self.base.read.name()
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<RawManifest, ContentError> {
        self.layout.manifest(repository, selector).await
    }

    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        match self.layout.blob(repository, blob, offset).await {
            Err(error) if *error.kind() == ContentErrorKind::NotFound => {}
            found => return found,
        }
        match self.kept.as_ref().filter(|_| offset == 0).and_then(|kept| kept.read(blob)) {
            Some(stream) => Ok(stream),
            None => self.base.read.blob(&self.base.repository, blob, offset).await,
        }
    }

    fn is_at_hand(&self, blob: &Descriptor) -> bool {
        let is_kept = || self.kept.as_ref().is_some_and(|kept| kept.read(blob).is_some());
        self.layout.is_at_hand(blob) || is_kept() || self.base.read.is_at_hand(blob)
    }
}

/// One opened manifest or index.
#[derive(Clone)]
pub struct OpenImage {
    shared: Arc<Shared>,
    source: Source,
    /// Where its bytes are.
    pub origin: Origin,
    manifest: Arc<RawManifest>,
    /// Whether the images of an index have to satisfy the policy.
    is_guarded: bool,
    /// Who signed it, as the policy demands.
    signers: Arc<[Signer]>,
}

impl OpenImage {
    /// Returns the manifest.
    pub fn raw(&self) -> &Arc<RawManifest> {
        &self.manifest
    }

    /// Opens a manifest that this index names.
    pub async fn open_child(&self, child: &Descriptor) -> Result<OpenImage, ContentError> {
        let manifest = self.shared.manifest(&self.origin, &Selector::Digest(child.digest.clone())).await?;
        // Each image of an index has to be signed, as containers/image wants it: clients pull them one by one.
        let signers = match self.is_guarded {
            true => self.shared.admit(&self.source, &self.origin, manifest.digest()).await?,
            false => Arc::default(),
        };
        let image = OpenImage { manifest, signers, ..self.clone() };
        image.remember_chain();
        Ok(image)
    }

    fn remember_chain(&self) {
        let Some((chain, _)) = self.chains().pop() else { return };
        let digest = self.manifest.digest();
        let mut chains = self.shared.chains.write().expect("no holder panics");
        // Of images with the same layers one is as good as another, and has to be the same whoever comes first.
        if chains.get(&chain).is_none_or(|known| *digest < known.digest) {
            let name = self.source.to_string().into();
            chains.insert(chain, Opened { name, digest: digest.clone() });
        }
    }

    /// Returns what the image's layers begin with, base first: each first layers, and their number. All of them are the last.
    fn chains(&self) -> Vec<(ChainId, u32)> {
        let layers = self.manifest.image().map_or(&[][..], |image| &image.layers);
        let mut hasher = Algorithm::Sha256.hasher();
        let mut chain = |layer: &Descriptor| {
            hasher.update(layer.digest.to_string().as_bytes());
            ChainId(hasher.clone().finish())
        };
        layers.iter().map(&mut chain).zip(1..).collect()
    }

    fn subject(&self, digest: &Digest) -> String {
        format!("{}/{}@{digest}", self.origin.read.name(), self.origin.repository)
    }

    fn invalid(&self, reason: &str) -> ContentError {
        ContentError::new(self.reference(), ContentErrorKind::Invalid(reason.to_owned()))
    }

    /// Opens a blob where it is nearest.
    async fn blob(&self, blob: &Descriptor) -> Result<BlobStream, ContentError> {
        let fetched = self.shared.fetched.lock().expect("no holder panics").clone();
        match fetched.and_then(|writer| writer.open_blob(blob)) {
            Some(stream) => Ok(stream),
            None => self.origin.read.blob(&self.origin.repository, blob, 0).await,
        }
    }

    /// Opens the image that this one was built on, if this run has built it.
    async fn signed_base(&self) -> Result<Option<OpenImage>, ContentError> {
        let Source::Layout(layout) = &self.source else { return Ok(None) };
        let base = self.shared.extended.lock().expect("no holder panics").get(&layout.path).cloned();
        let Some(base) = base else { return Ok(None) };
        let images = RunImages { shared: self.shared.clone() };
        images.open_image(&base.source).await.map(Some)
    }

    /// Reads the signatures beside it, once for all who ask.
    async fn attachments(&self) -> Result<Arc<[Attachment]>, ContentError> {
        let digest = self.manifest.digest();
        let key = (self.origin.read.name(), self.origin.repository.clone(), digest.clone());
        let known = self.shared.attachments.lock().expect("no holder panics").get(&key).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let read: Arc<[Attachment]> = retrying(self.shared.retry, self.shared.events.as_ref(), || async {
            let Origin { read, repository, .. } = &self.origin;
            beside(&**read, repository, digest, &self.source).await
        })
        .await?
        .into();
        self.shared.attachments.lock().expect("no holder panics").insert(key, read.clone());
        Ok(read)
    }

    /// The image of this run with the most layers, all of which this image begins with.
    fn base_by_layers(&self) -> Option<BaseImage> {
        let own = self.chains();
        let (_, shorter) = own.split_last()?;
        let chains = self.shared.chains.read().expect("no holder panics");
        let (base, shared_layers) =
            shorter.iter().rev().find_map(|(chain, layers)| Some((chains.get(chain)?, *layers)))?;
        Some(BaseImage {
            reference: Some(base.name.to_string()),
            digest: Some(base.digest.clone()),
            evidence: "layer-prefix",
            shared_layers,
        })
    }

    fn base_by_annotation(&self) -> Option<BaseImage> {
        let annotations = match self.manifest.view() {
            oc_mirror_model::Manifest::Image(image) => &image.annotations,
            oc_mirror_model::Manifest::Index(index) => &index.annotations,
        };
        let reference = annotations.get("org.opencontainers.image.base.name").map(str::to_owned);
        let digest = annotations.get("org.opencontainers.image.base.digest").and_then(|d| d.parse().ok());
        (reference.is_some() || digest.is_some()).then_some(BaseImage {
            reference,
            digest,
            evidence: "annotation",
            shared_layers: 0,
        })
    }
}

#[async_trait]
impl ImageView for OpenImage {
    fn reference(&self) -> String {
        self.source.to_string()
    }

    fn manifest(&self) -> &RawManifest {
        &self.manifest
    }

    async fn child(&self, child: &Descriptor) -> Result<Arc<dyn ImageView>, ContentError> {
        Ok(Arc::new(self.open_child(child).await?))
    }

    async fn config(&self) -> Result<Bytes, ContentError> {
        let config =
            &self.manifest.image().ok_or_else(|| self.invalid("an index has no configuration"))?.config;
        if let Some(known) = self.shared.manifests.lock().expect("no holder panics").document(&config.digest)
        {
            return Ok(known.into());
        }
        if config.size > MAX_CONFIG_BYTES {
            return Err(self.invalid("the configuration is too large to be one"));
        }
        let bytes = retrying(self.shared.retry, self.shared.events.as_ref(), || async {
            let stream = self.blob(config).await?;
            collect(verified(stream, config, self.subject(&config.digest)), config).await
        })
        .await?;
        let mut known = self.shared.manifests.lock().expect("no holder panics");
        known.keep(&config.digest, config.media_type.clone(), &bytes);
        Ok(bytes)
    }

    fn is_known(&self, digest: &Digest) -> bool {
        self.shared.known.contains(digest)
    }

    async fn base_chain(&self) -> Result<Vec<BaseImage>, ContentError> {
        Ok(self.base_by_annotation().into_iter().chain(self.base_by_layers()).collect())
    }

    async fn referrers(&self, artifact_type: Option<&str>) -> Result<Vec<Descriptor>, ContentError> {
        self.shared.origins.referrers(&self.source, self.manifest.digest(), artifact_type).await
    }

    async fn open_referrer(&self, digest: &Digest) -> Result<Arc<dyn ImageView>, ContentError> {
        let manifest = self.shared.manifest(&self.origin, &Selector::Digest(digest.clone())).await?;
        Ok(Arc::new(OpenImage { manifest, is_guarded: false, signers: Arc::default(), ..self.clone() }))
    }

    fn signers(&self) -> Vec<Signer> {
        self.signers.to_vec()
    }

    async fn verify(&self, trust: &Trust) -> Result<Vec<Signer>, Unverified> {
        let no = |kind, reasons| Unverified { image: self.source.to_string(), kind, reasons };
        let trusted = Trusted::parse(trust).map_err(|e| no(UnverifiedKind::Invalid, vec![e]))?;
        // Nobody has signed what this run has built; what it was built on may be signed.
        let image = self.signed_base().await;
        let image = image.map_err(|e| no(UnverifiedKind::Unavailable, vec![e.to_string()]))?;
        let image = image.as_ref().unwrap_or(self);
        let found = image.attachments().await;
        let found = found.map_err(|e| no(UnverifiedKind::Unavailable, vec![e.to_string()]))?;
        if found.is_empty() {
            return Err(no(UnverifiedKind::Missing, vec!["there is none".to_owned()]));
        }
        sigstore::verify(&trusted, &found, &image.source, image.manifest.digest())
            .map_err(|reasons| no(UnverifiedKind::NotAccepted, reasons))
    }

    async fn open_blob(&self, blob: &Descriptor) -> Result<BlobStream, ContentError> {
        let stream = self.blob(blob).await?;
        Ok(verified(stream, blob, self.subject(&blob.digest)))
    }

    async fn open_kept(&self, blob: &Descriptor) -> Result<BlobStream, ContentError> {
        let Some(kept) = &self.shared.kept else { return self.open_blob(blob).await };
        match kept.read(blob) {
            Some(stream) => Ok(stream),
            None => Ok(kept.keep(blob, self.open_blob(blob).await?)),
        }
    }
}
