//! Plugins in registries and image layouts: [`PluginArtifacts`] fetches them and finds out who signed them, [`Shelf`] takes
//! them. [`Artifact`] is the form that they have there.
//!
//! What was fetched by digest is kept, signatures and all, in an image layout: a second run asks nobody. Nothing is
//! compiled here, so that a signature is checked before anything else is done with a component.

mod artifact;
mod shelf;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::plugin_source::{PluginSource, pinned};
use oc_mirror_model::reference::{Reference, Repository, Selector, Source, Tag};

pub use artifact::{About, Artifact};
pub use shelf::{Pushed, Shelf};

use super::error::content_hint;
use super::images::{Origin, Origins};
use crate::content::verify::{collect, verified};
use crate::content::{BlobStream, ContentError, ContentErrorKind, ContentWrite, TagStore};
use crate::layout::Layout;
use crate::report::{Event, SharedEvents};
use crate::transfer::{Retry, retrying};
use crate::trust::image::{Attachment, attachments};
use crate::trust::plugin::{NotSigned, PublisherKeys, Signer};
use crate::trust::signing::InvalidSignatureKey;
use artifact::{blobs, component_of, signature_tag};

/// What cosign calls signatures that refer to what they are about.
const SIGNATURE_TYPE: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// The most referrers that are looked at.
const MOST_REFERRERS: usize = 100;
/// The largest configuration of an artifact that is kept.
const MAX_CONFIG_BYTES: u64 = 4 << 20;
/// The repository of what is kept.
const KEPT: &str = "plugins";

/// A plugin in a registry or layout cannot be used, or not be put there.
#[derive(Debug, thiserror::Error)]
pub enum PluginArtifactError {
    /// It cannot be reached.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// There is something else.
    #[error("`{artifact}` is no plugin: {what}")]
    NotAPlugin {
        /// Its name.
        artifact: String,
        /// What it is.
        what: String,
    },
    /// It is larger than any component needs.
    #[error("the component of `{artifact}` has {size} bytes; at most {most} are allowed")]
    TooLarge {
        /// Its name.
        artifact: String,
        /// Its size.
        size: u64,
        /// The limit.
        most: u64,
    },
    /// The tag is that of another artifact.
    #[error("`{place}` is {there} already, another one than {pushed}")]
    Taken {
        /// The name.
        place: String,
        /// What has it.
        there: Digest,
        /// What was to get it.
        pushed: Digest,
    },
    /// It was to go where nothing can be put.
    #[error("`{0}` names no place for a plugin: it has a digest, which only its content decides")]
    PlaceWithDigest(String),
    /// It is not signed as it has to be.
    #[error(transparent)]
    NotSigned(#[from] NotSigned),
    /// It cannot be signed.
    #[error(transparent)]
    Key(#[from] InvalidSignatureKey),
}

impl PluginArtifactError {
    /// Returns what to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Content(error) => content_hint(error),
            Self::NotAPlugin { .. } => Some(
                "name what `oc-mirror plugin push` or `wkg oci push` has put there: an artifact with one layer of \
                 `application/wasm`"
                    .to_owned(),
            ),
            Self::TooLarge { .. } => {
                Some("build it with optimisation, and without debug information".to_owned())
            }
            Self::Taken { .. } => Some(
                "give what has changed a version of its own, in `plugin.toml` or as `:TAG`; or add --overwrite".to_owned(),
            ),
            Self::PlaceWithDigest(_) => Some("write a tag, or nothing: then its version is the tag".to_owned()),
            Self::NotSigned(error) => Some(error.hint().to_owned()),
            Self::Key(error) => Some(error.hint().to_owned()),
        }
    }
}

/// A plugin that was fetched. Its bytes have been checked against its digest, and nothing else was done with them.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Where it is, by digest.
    pub source: Source,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The component.
    pub component: Vec<u8>,
}

impl Fetched {
    /// Returns where it is as a configuration says it.
    pub fn place(&self) -> PluginSource {
        PluginSource::Image(self.source.clone())
    }
}

/// Fetches plugins.
pub struct PluginArtifacts {
    /// Where they come from.
    pub origins: Arc<dyn Origins>,
    /// Where they are kept; nothing: nowhere.
    pub cache: Option<PathBuf>,
    /// How often to try again.
    pub retry: Retry,
    /// Where to tell what happens.
    pub events: SharedEvents,
    /// The largest component that is read.
    pub max_bytes: u64,
}

impl PluginArtifacts {
    /// Fetches a plugin. A tag is resolved, and named by its digest from there on.
    pub async fn fetch(&self, source: &Source) -> Result<Fetched, PluginArtifactError> {
        let digest = self.digest_of(source).await?;
        let source = pinned(source, &digest);
        if let Some(kept) = self.kept(&source)
            && let Ok(component) = self.read(&kept, &source, &digest, None).await
        {
            return Ok(Fetched { source, digest, component });
        }
        let origin = self.origins.origin(&source).await?;
        let keep = self.cache.as_deref().filter(|_| matches!(source, Source::Registry(_)));
        let component = self.read(&origin, &source, &digest, keep).await?;
        Ok(Fetched { source, digest, component })
    }

    /// Finds out which artifact a name means at the moment.
    async fn digest_of(&self, source: &Source) -> Result<Digest, PluginArtifactError> {
        if let Some(digest) = source.digest() {
            return Ok(digest.clone());
        }
        let Origin { read, repository, selector } = self.origins.origin(source).await?;
        if let Selector::Digest(digest) = selector {
            return Ok(digest);
        }
        let find = || read.find(&repository, &selector);
        match retrying(self.retry, &*self.events, find).await? {
            Some(descriptor) => Ok(descriptor.digest),
            None => Err(ContentError::new(source.to_string(), ContentErrorKind::NotFound).into()),
        }
    }

    /// Returns where a plugin of a registry would be kept.
    fn kept(&self, source: &Source) -> Option<Origin> {
        let Source::Registry(Reference { digest: Some(digest), .. }) = source else { return None };
        let layout = Layout::open(self.cache.as_ref()?).ok()?;
        let selector = Selector::Digest(digest.clone());
        Some(Origin { read: Arc::new(layout), repository: kept_in(), selector })
    }

    async fn read(
        &self,
        origin: &Origin,
        source: &Source,
        digest: &Digest,
        keep: Option<&Path>,
    ) -> Result<Vec<u8>, PluginArtifactError> {
        let Origin { read, repository, .. } = origin;
        let by_digest = Selector::Digest(digest.clone());
        let manifest = retrying(self.retry, &*self.events, || read.manifest(repository, &by_digest)).await?;
        let artifact = || PluginSource::Image(source.clone()).to_string();
        let layer = component_of(&manifest)
            .map_err(|what| PluginArtifactError::NotAPlugin { artifact: artifact(), what })?;
        if layer.size > self.max_bytes {
            let (size, most) = (layer.size, self.max_bytes);
            return Err(PluginArtifactError::TooLarge { artifact: artifact(), size, most });
        }
        let component = self.blob(origin, layer, source).await?;
        if let Some(cache) = keep
            && let Err(error) = self.keep(cache, origin, &manifest, source, &component).await
        {
            self.cannot_keep(source, &error);
        }
        Ok(component.into())
    }

    async fn blob(&self, origin: &Origin, blob: &Descriptor, source: &Source) -> Result<Bytes, ContentError> {
        let Origin { read, repository, .. } = origin;
        retrying(self.retry, &*self.events, || async {
            let stream = read.blob(repository, blob, 0).await?;
            collect(verified(stream, blob, source.to_string()), blob).await
        })
        .await
    }

    fn cannot_keep(&self, source: &Source, error: &ContentError) {
        let message = format!("the plugin is used, but it cannot be kept for the next run: {error}");
        self.events.event(Event::Warning { subject: &source.to_string(), message: &message });
    }

    /// Keeps an artifact for runs to come.
    async fn keep(
        &self,
        cache: &Path,
        origin: &Origin,
        manifest: &RawManifest,
        source: &Source,
        component: &Bytes,
    ) -> Result<(), ContentError> {
        let layout = Layout::create(cache)?;
        for blob in blobs(manifest) {
            let bytes = if blob.digest == Digest::of_with(blob.digest.algorithm(), component) {
                component.clone()
            } else if blob.size > MAX_CONFIG_BYTES {
                let reason = format!("its configuration has {} bytes", blob.size);
                return Err(ContentError::new(source.to_string(), ContentErrorKind::Refused(reason)));
            } else {
                self.blob(origin, &blob, source).await?
            };
            layout.put_blob(&kept_in(), &blob, stream_of(&bytes)).await?;
        }
        layout.put_tag(&kept_in(), &Tag::for_digest(manifest.digest()), manifest).await
    }

    /// Finds out who signed a plugin. One that was kept with a signature that counts needs no network.
    pub async fn signer(
        &self,
        fetched: &Fetched,
        keys: &PublisherKeys,
    ) -> Result<Signer, PluginArtifactError> {
        if let Some(kept) = self.kept(&fetched.source)
            && let Ok(found) = self.beside(&kept, fetched, None).await
            && let Ok(signer) = keys.of_manifest(&fetched.digest, &found)
        {
            return Ok(signer);
        }
        Ok(keys.of_manifest(&fetched.digest, &self.signatures(fetched).await?)?)
    }

    /// Returns the signatures that lie beside a plugin, whoever made them.
    pub async fn signatures(&self, fetched: &Fetched) -> Result<Vec<Attachment>, PluginArtifactError> {
        let origin = self.origins.origin(&fetched.source).await?;
        let keep = self.cache.as_deref().filter(|_| matches!(fetched.source, Source::Registry(_)));
        Ok(self.beside(&origin, fetched, keep).await?)
    }

    /// Looks for signatures in both places: under the tag that follows from the digest, and among the referrers.
    async fn beside(
        &self,
        origin: &Origin,
        fetched: &Fetched,
        keep: Option<&Path>,
    ) -> Result<Vec<Attachment>, ContentError> {
        let subject = fetched.source.to_string();
        let mut manifests: Vec<(Origin, RawManifest)> = Vec::new();
        let tagged = match signature_tag(&fetched.digest) {
            Some(tag) => self.tagged(origin, &fetched.source, tag).await?,
            None => Vec::new(),
        };
        for place in tagged {
            let read = || place.read.manifest(&place.repository, &place.selector);
            let manifest = retrying(self.retry, &*self.events, read).await?;
            manifests.push((place, manifest));
        }
        let list = || origin.read.list_referrers(&origin.repository, &fetched.digest);
        let referrers = retrying(self.retry, &*self.events, list).await?.unwrap_or_default();
        for referrer in referrers.into_iter().filter(is_signature).take(MOST_REFERRERS) {
            let place = Origin { selector: Selector::Digest(referrer.digest), ..origin.clone() };
            let read = || place.read.manifest(&place.repository, &place.selector);
            let manifest = retrying(self.retry, &*self.events, read).await?;
            manifests.push((place, manifest));
        }
        let mut found = Vec::new();
        for (place, manifest) in &manifests {
            found.extend(attachments(&*place.read, &place.repository, manifest, &subject).await?);
        }
        if let Some(cache) = keep
            && let Err(error) = self.keep_signatures(cache, &manifests, fetched).await
        {
            self.cannot_keep(&fetched.source, &error);
        }
        Ok(found)
    }

    /// Finds the manifests of signatures that have a tag. In a layout, several names may end with it.
    async fn tagged(&self, origin: &Origin, source: &Source, tag: Tag) -> Result<Vec<Origin>, ContentError> {
        let layout = match source {
            Source::Layout(layout) => layout,
            Source::Registry(_) => {
                let selector = Selector::Tag(tag);
                let find = || origin.read.find(&origin.repository, &selector);
                let found = retrying(self.retry, &*self.events, find).await;
                let found = match found {
                    Ok(found) => found,
                    Err(error) if error.is_not_found() => None,
                    Err(error) => return Err(error),
                };
                let place = |d: Descriptor| Origin { selector: Selector::Digest(d.digest), ..origin.clone() };
                return Ok(found.map(place).into_iter().collect());
            }
        };
        let is_named = |name: &str| name == tag.as_str() || name.ends_with(&format!(":{tag}"));
        let images = Layout::open(&layout.path)?.images().into_iter();
        let named = images.filter(|(name, _)| name.as_deref().is_some_and(is_named));
        Ok(named.map(|(_, d)| Origin { selector: Selector::Digest(d.digest), ..origin.clone() }).collect())
    }

    async fn keep_signatures(
        &self,
        cache: &Path,
        manifests: &[(Origin, RawManifest)],
        fetched: &Fetched,
    ) -> Result<(), ContentError> {
        if manifests.is_empty() {
            return Ok(());
        }
        let layout = Layout::create(cache)?;
        for (place, manifest) in manifests {
            for blob in blobs(manifest).into_iter().filter(|blob| blob.size <= MAX_CONFIG_BYTES) {
                let bytes = self.blob(place, &blob, &fetched.source).await?;
                layout.put_blob(&kept_in(), &blob, stream_of(&bytes)).await?;
            }
            match signature_tag(&fetched.digest) {
                Some(tag) if !is_referrer(manifest) => layout.put_tag(&kept_in(), &tag, manifest).await?,
                _ => layout.put_manifest(&kept_in(), manifest).await?,
            }
        }
        Ok(())
    }
}

fn is_signature(referrer: &Descriptor) -> bool {
    referrer.artifact_type.as_deref() == Some(SIGNATURE_TYPE)
}

fn is_referrer(manifest: &RawManifest) -> bool {
    manifest.image().is_some_and(|image| image.subject.is_some())
}

fn kept_in() -> Repository {
    KEPT.parse().expect("a constant that is a repository")
}

fn stream_of(bytes: &Bytes) -> BlobStream {
    let bytes = bytes.clone();
    Box::pin(futures_util::stream::iter([Ok(bytes)]))
}

#[cfg(test)]
mod tests;
