//! [`Shelf`]: a place that plugins are put to and signed at.

use std::sync::Arc;

use bytes::Bytes;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::media_type;
use oc_mirror_model::plugin_source::{PluginSource, pinned, tag_of_version};
use oc_mirror_model::reference::{LayoutReference, Reference, Repository, Selector, Source};
use serde_json::json;

use super::artifact::{About, Artifact, signature_tag};
use super::{PluginArtifactError, kept_in, stream_of};
use crate::content::{ContentError, ContentErrorKind};
use crate::layout::Layout;
use crate::report::SharedEvents;
use crate::transfer::publish::Endpoint;
use crate::transfer::{Retry, retrying};
use crate::trust::image::{SIGNATURE, SIMPLE_SIGNING, attachments};
use crate::trust::plugin::PublisherKeys;
use crate::trust::signing::SignatureKey;

/// A plugin that was put somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Its name there.
    pub named: PluginSource,
    /// Where it is, by digest.
    pub place: PluginSource,
    /// The digest of its manifest.
    pub digest: Digest,
    /// Whether it was there already.
    pub was_there: bool,
}

/// A repository of a registry, or an image layout.
pub struct Shelf {
    to: Arc<dyn Endpoint>,
    repository: Repository,
    source: Source,
    layout: Option<Layout>,
    retry: Retry,
    events: SharedEvents,
}

impl Shelf {
    /// Takes a repository of a registry.
    pub fn in_registry(to: Arc<dyn Endpoint>, place: Reference, retry: Retry, events: SharedEvents) -> Self {
        let repository = place.repository.clone();
        Self { to, repository, source: Source::Registry(place), layout: None, retry, events }
    }

    /// Takes an image layout, and makes it where there is none.
    pub fn in_layout(
        place: LayoutReference,
        retry: Retry,
        events: SharedEvents,
    ) -> Result<Self, PluginArtifactError> {
        let layout = Layout::create(&place.path)?;
        let named = place.name.as_deref().and_then(|name| name.rsplit_once(':')?.0.parse().ok());
        let repository = named.unwrap_or_else(kept_in);
        let (to, layout) = (Arc::new(layout.clone()), Some(layout));
        Ok(Self { to, repository, source: Source::Layout(place), layout, retry, events })
    }

    /// Puts a plugin under its name, or under its version where the place has no name.
    ///
    /// A name that another artifact has is refused, unless it may be overwritten.
    pub async fn push(
        &mut self,
        artifact: &Artifact,
        about: &About,
        overwrite: bool,
    ) -> Result<Pushed, PluginArtifactError> {
        if self.source.digest().is_some() {
            return Err(PluginArtifactError::PlaceWithDigest(self.shown()));
        }
        self.complete(about)?;
        let digest = artifact.manifest.digest().clone();
        let there = self.found().await?;
        let was_there = there.as_ref() == Some(&digest);
        if let Some(there) = there.filter(|there| *there != digest && !overwrite) {
            return Err(PluginArtifactError::Taken { place: self.shown(), there, pushed: digest });
        }
        if !was_there {
            let manifest = &artifact.manifest;
            let image = manifest.image().expect("an artifact is made as an image");
            self.put(&image.config, &artifact.config).await?;
            for layer in &image.layers {
                self.put(layer, &artifact.component).await?;
            }
            self.name(manifest).await?;
        }
        let place = PluginSource::Image(pinned(&self.source, &digest));
        Ok(Pushed { named: PluginSource::Image(self.source.clone()), place, digest, was_there })
    }

    /// Signs an artifact that is there, as cosign does: the signature joins those that there are. `false`: the key has signed
    /// it before.
    pub async fn sign(&self, digest: &Digest, key: &SignatureKey) -> Result<bool, PluginArtifactError> {
        self.sign_as(digest, key, &self.signed_name()).await
    }

    /// Signs an artifact of which the signature says that it has another name.
    pub(in crate::workflow) async fn sign_as(
        &self,
        digest: &Digest,
        key: &SignatureKey,
        name: &str,
    ) -> Result<bool, PluginArtifactError> {
        let tag = signature_tag(digest).ok_or_else(|| {
            let reason = "signatures of such digests have no place, as tags are shorter".to_owned();
            ContentError::new(digest.to_string(), ContentErrorKind::Refused(reason))
        })?;
        let selector = Selector::Tag(tag.clone());
        let mut layers = Vec::new();
        if let Some(found) = self.to.find(&self.repository, &selector).await? {
            let manifest = self.to.manifest(&self.repository, &Selector::Digest(found.digest)).await?;
            let there = attachments(&*self.to, &self.repository, &manifest, &self.shown()).await?;
            let mut own = PublisherKeys::default();
            own.add("own", key.public_pem().as_bytes()).expect("the public half of a key is one");
            if own.of_manifest(digest, &there).is_ok() {
                return Ok(false);
            }
            layers.extend(manifest.image().map(|image| image.layers.clone()).unwrap_or_default());
        }
        let signed = key.sign_manifest(digest, name)?;
        let mut layer = Descriptor::of(SIMPLE_SIGNING, &signed.payload);
        layer.annotations.insert(SIGNATURE.to_owned(), signed.signature);
        self.put(&layer, &signed.payload).await?;
        layers.push(layer);
        let manifest = self.signatures(&layers).await?;
        match &self.layout {
            Some(layout) => {
                self.to.put_manifest(&self.repository, &manifest).await?;
                layout.put_name(&self.beside(tag.as_str()), manifest.descriptor()).await?;
            }
            None => {
                let put = || self.to.put_tag(&self.repository, &tag, &manifest);
                retrying(self.retry, &*self.events, put).await?;
            }
        }
        Ok(true)
    }

    /// Makes the image of signatures, and puts its configuration.
    async fn signatures(&self, layers: &[Descriptor]) -> Result<RawManifest, PluginArtifactError> {
        let diff_ids: Vec<&Digest> = layers.iter().map(|layer| &layer.digest).collect();
        // What cosign writes for an image without anything in it.
        let config = json!({
            "architecture": "",
            "created": "0001-01-01T00:00:00Z",
            "history": layers.iter().map(|_| json!({"created": "0001-01-01T00:00:00Z"})).collect::<Vec<_>>(),
            "os": "",
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "config": {},
        })
        .to_string()
        .into_bytes();
        let described = Descriptor::of(media_type::OCI_CONFIG, &config);
        self.put(&described, &config).await?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": described,
            "layers": layers,
        });
        RawManifest::parse(manifest.to_string().into_bytes(), None).map_err(|error| {
            let reason = "its signatures are too many for one more".to_owned();
            ContentError::with_source(self.shown(), ContentErrorKind::Refused(reason), error).into()
        })
    }

    /// Gives the place the plugin's version as its tag, where it has none.
    fn complete(&mut self, about: &About) -> Result<(), PluginArtifactError> {
        let tag = || {
            tag_of_version(&about.version).ok_or_else(|| {
                let reason = format!("the plugin's version, `{}`, is no tag", about.version);
                ContentError::new(self.shown(), ContentErrorKind::Refused(reason))
            })
        };
        match &self.source {
            Source::Registry(reference) if reference.tag.is_none() => {
                let tag = Some(tag()?);
                self.source = Source::Registry(Reference { tag, ..reference.clone() });
            }
            Source::Layout(layout) if layout.name.is_none() => {
                let name = Some(format!("{}:{}", about.id, tag()?));
                // An id is up to 64 lower-case letters, digits and `-`: a repository, unless it ends oddly.
                self.repository = about.id.parse().unwrap_or_else(|_| kept_in());
                self.source = Source::Layout(LayoutReference { name, ..layout.clone() });
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns what has the name of the place.
    async fn found(&self) -> Result<Option<Digest>, ContentError> {
        match (&self.source, &self.layout) {
            (Source::Layout(LayoutReference { name, .. }), Some(layout)) => {
                let named = |(_, found): &&(Option<String>, Descriptor)| found.is_manifest();
                let images = layout.images();
                let found = images.iter().filter(named).find(|(known, _)| known == name);
                Ok(found.map(|(_, found)| found.digest.clone()))
            }
            (Source::Registry(reference), _) => {
                let selector = reference.selector();
                let find = || self.to.find(&self.repository, &selector);
                Ok(retrying(self.retry, &*self.events, find).await?.map(|found| found.digest))
            }
            (Source::Layout(_), None) => unreachable!("a layout was opened when the shelf was made"),
        }
    }

    async fn put(&self, blob: &Descriptor, bytes: &[u8]) -> Result<(), ContentError> {
        if self.to.has_blob(&self.repository, blob).await? {
            return Ok(());
        }
        let bytes = Bytes::copy_from_slice(bytes);
        let put = || self.to.put_blob(&self.repository, blob, stream_of(&bytes));
        retrying(self.retry, &*self.events, put).await
    }

    async fn name(&self, manifest: &RawManifest) -> Result<(), ContentError> {
        match (&self.source, &self.layout) {
            (Source::Layout(LayoutReference { name: Some(name), .. }), Some(layout)) => {
                self.to.put_manifest(&self.repository, manifest).await?;
                layout.put_name(name, manifest.descriptor()).await
            }
            (Source::Registry(Reference { tag: Some(tag), .. }), _) => {
                let put = || self.to.put_tag(&self.repository, tag, manifest);
                retrying(self.retry, &*self.events, put).await
            }
            _ => unreachable!("the name was completed"),
        }
    }

    /// Returns the name in a layout of something beside the plugin: in the same repository, if the plugin is in one.
    fn beside(&self, tag: &str) -> String {
        let name = match &self.source {
            Source::Layout(layout) => layout.name.as_deref(),
            Source::Registry(_) => None,
        };
        match name.and_then(|name| name.rsplit_once(':')) {
            Some((repository, _)) => format!("{repository}:{tag}"),
            None => tag.to_owned(),
        }
    }

    /// Returns the name that a signature gives it: the one under which it is found, without its tag.
    fn signed_name(&self) -> String {
        match &self.source {
            Source::Registry(reference) => reference.name(),
            Source::Layout(_) => self.repository.to_string(),
        }
    }

    fn shown(&self) -> String {
        PluginSource::Image(self.source.clone()).to_string()
    }
}
