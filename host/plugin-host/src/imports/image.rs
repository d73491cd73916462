//! `registry.image`: one manifest or index, and all that hangs below it, fetched when asked for.
//!
//! Whoever holds a handle may read what the image consists of: grants are checked where handles are made.

use std::collections::BTreeMap;
use std::sync::Arc;

use oc_mirror_engine::content::ImageView;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, Manifest};
use serde::Deserialize;
use wasmtime::component::Resource;

use crate::bindings::oc_mirror::plugin::registry::{BaseImage, HostImage, Layer, Signer, Trust};
use crate::bindings::oc_mirror::plugin::types as wit;
use crate::convert;
use crate::fault::{Answer, Fault};
use crate::imports::files::Files;
use crate::imports::filesystem::Filesystem;
use crate::imports::streams::Reader;
use crate::state::StoreState;

/// An open image.
pub struct Image {
    view: Arc<dyn ImageView>,
    /// Its configuration, once it was asked about.
    config: Option<Arc<ImageConfig>>,
}

impl Image {
    pub(crate) fn new(view: Arc<dyn ImageView>) -> Self {
        Self { view, config: None }
    }
}

/// The parts of an image's configuration that are answered from.
#[derive(Default, Deserialize)]
struct ImageConfig {
    #[serde(default)]
    config: Option<RuntimeConfig>,
    #[serde(default)]
    rootfs: Option<RootFs>,
}

#[derive(Default, Deserialize)]
struct RuntimeConfig {
    #[serde(default, rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

impl StoreState {
    pub(crate) fn view(&self, image: &Resource<Image>) -> Answer<Arc<dyn ImageView>> {
        Ok(Arc::clone(&self.table.get(image)?.view))
    }

    async fn image_config(&mut self, image: &Resource<Image>) -> Answer<Arc<ImageConfig>> {
        self.charge_requests(1)?;
        let Image { view, config } = self.table.get(image)?;
        if let Some(config) = config {
            return Ok(config.clone());
        }
        let view = view.clone();
        let bytes = view.config().await?;
        let config: Arc<ImageConfig> = serde_json::from_slice(&bytes).map(Arc::new).map_err(|e| {
            Fault::invalid(format!("the configuration of `{}` cannot be read: {e}", view.reference()))
        })?;
        self.table.get_mut(image)?.config = Some(config.clone());
        Ok(config)
    }

    fn push_view(&mut self, view: Arc<dyn ImageView>) -> Answer<Resource<Image>> {
        Ok(self.table.push(Image::new(view))?)
    }
}

fn no_image(view: &dyn ImageView) -> Fault {
    Fault::invalid(format!("`{}` is an index; open one of its images with `child`", view.reference()))
}

fn digest(text: &str) -> Answer<Digest> {
    text.parse().map_err(|e: oc_mirror_model::digest::InvalidDigest| Fault::invalid(e.to_string()))
}

impl HostImage for StoreState {
    async fn reference(&mut self, image: Resource<Image>) -> wasmtime::Result<String> {
        Ok(self.table.get(&image)?.view.reference())
    }

    async fn descriptor(&mut self, image: Resource<Image>) -> wasmtime::Result<wit::Descriptor> {
        Ok(convert::descriptor(self.table.get(&image)?.view.manifest().descriptor()))
    }

    async fn is_index(&mut self, image: Resource<Image>) -> wasmtime::Result<bool> {
        Ok(self.table.get(&image)?.view.manifest().index().is_some())
    }

    async fn children(&mut self, image: Resource<Image>) -> Answer<Vec<wit::Descriptor>> {
        let view = self.view(&image)?;
        let index = view.manifest().index();
        Ok(index.map(|index| index.manifests.iter().map(convert::descriptor).collect()).unwrap_or_default())
    }

    async fn child(&mut self, image: Resource<Image>, wanted: wit::Platform) -> Answer<Resource<Image>> {
        let view = self.view(&image)?;
        let wanted = convert::from_platform(wanted)?;
        let index = view.manifest().index();
        let index = index.ok_or_else(|| Fault::invalid(format!("`{}` is not an index", view.reference())))?;
        let fits = |d: &&Descriptor| d.platform.as_ref().is_some_and(|p| p.satisfies(&wanted));
        let child = index.manifests.iter().find(fits);
        let child = child
            .ok_or_else(|| Fault::not_found(format!("`{}` has no image for {wanted}", view.reference())))?;
        self.charge_requests(1)?;
        let view = view.child(child).await?;
        self.push_view(view)
    }

    async fn open_child(&mut self, image: Resource<Image>, which: String) -> Answer<Resource<Image>> {
        let view = self.view(&image)?;
        let which = digest(&which)?;
        let index = view.manifest().index();
        let index = index.ok_or_else(|| Fault::invalid(format!("`{}` is not an index", view.reference())))?;
        let child = index.manifests.iter().find(|child| child.digest == which);
        let child = child.ok_or_else(|| Fault::not_found(format!("`{which}` in `{}`", view.reference())))?;
        self.charge_requests(1)?;
        let view = view.child(child).await?;
        self.push_view(view)
    }

    async fn manifest(&mut self, image: Resource<Image>) -> Answer<Vec<u8>> {
        Ok(self.view(&image)?.manifest().bytes().to_vec())
    }

    async fn config(&mut self, image: Resource<Image>) -> Answer<Vec<u8>> {
        let view = self.view(&image)?;
        view.manifest().image().ok_or_else(|| no_image(&*view))?;
        self.charge_requests(1)?;
        Ok(view.config().await?.to_vec())
    }

    async fn labels(&mut self, image: Resource<Image>) -> Answer<wit::Attrs> {
        let view = self.view(&image)?;
        view.manifest().image().ok_or_else(|| no_image(&*view))?;
        let config = self.image_config(&image).await?;
        let labels = config.config.as_ref().and_then(|c| c.labels.as_ref()).into_iter().flatten();
        Ok(convert::attrs(labels.map(|(key, text)| (key.as_str(), text.as_str()))))
    }

    async fn annotations(&mut self, image: Resource<Image>) -> Answer<wit::Attrs> {
        let view = self.view(&image)?;
        Ok(match view.manifest().view() {
            Manifest::Image(image) => convert::attrs(image.annotations.iter()),
            Manifest::Index(index) => convert::attrs(index.annotations.iter()),
        })
    }

    async fn layers(&mut self, image: Resource<Image>) -> Answer<Vec<Layer>> {
        let view = self.view(&image)?;
        let manifest = view.manifest().image().ok_or_else(|| no_image(&*view))?;
        // An artifact's configuration is anything, so it having no `rootfs` is no error.
        let config = match self.image_config(&image).await {
            Err(Fault::Answer(wit::Error::Invalid(_))) => Arc::default(),
            config => config?,
        };
        let diff_ids = config.rootfs.as_ref().map(|rootfs| rootfs.diff_ids.as_slice()).unwrap_or_default();
        let diff_ids = if diff_ids.len() == manifest.layers.len() { diff_ids } else { &[] };
        let layer = |(place, layer): (usize, &Descriptor)| Layer {
            digest: layer.digest.to_string(),
            diff_id: diff_ids.get(place).cloned(),
            media_type: layer.media_type.to_string(),
            size: layer.size,
            known: view.is_known(&layer.digest),
        };
        Ok(manifest.layers.iter().enumerate().map(layer).collect())
    }

    async fn base_chain(&mut self, image: Resource<Image>) -> Answer<Vec<BaseImage>> {
        let view = self.view(&image)?;
        self.charge_requests(1)?;
        let bases = view.base_chain().await?.into_iter().map(|base| BaseImage {
            reference: base.reference,
            digest: base.digest.map(|d| d.to_string()),
            evidence: base.evidence.to_owned(),
            shared_layers: base.shared_layers,
        });
        Ok(bases.collect())
    }

    async fn referrers(
        &mut self,
        image: Resource<Image>,
        artifact_type: Option<String>,
    ) -> Answer<Vec<wit::Descriptor>> {
        let view = self.view(&image)?;
        self.charge_requests(1)?;
        let found = view.referrers(artifact_type.as_deref()).await?;
        Ok(found.iter().map(convert::descriptor).collect())
    }

    async fn open_referrer(&mut self, image: Resource<Image>, which: String) -> Answer<Resource<Image>> {
        let view = self.view(&image)?;
        let which = digest(&which)?;
        self.charge_requests(1)?;
        let view = view.open_referrer(&which).await?;
        self.push_view(view)
    }

    async fn signers(&mut self, image: Resource<Image>) -> Answer<Vec<Signer>> {
        Ok(self.view(&image)?.signers().into_iter().map(convert::signer).collect())
    }

    async fn verify(&mut self, image: Resource<Image>, by: Trust) -> Answer<Vec<Signer>> {
        let view = self.view(&image)?;
        let trust = convert::from_trust(by)?;
        self.charge_requests(1)?;
        let found = view.verify(&trust).await?;
        Ok(found.into_iter().map(convert::signer).collect())
    }

    async fn open_blob(&mut self, image: Resource<Image>, which: String) -> Answer<Resource<Reader>> {
        let view = self.view(&image)?;
        let which = digest(&which)?;
        let manifest = view.manifest().image().ok_or_else(|| no_image(&*view))?;
        let blob = std::iter::once(&manifest.config).chain(&manifest.layers).find(|b| b.digest == which);
        let blob = blob.ok_or_else(|| Fault::not_found(format!("`{which}` in `{}`", view.reference())))?;
        self.charge_requests(1)?;
        let stream = view.open_blob(blob).await?;
        Ok(self.table.push(Reader::new(stream, Some(blob.size)))?)
    }

    async fn filesystem(&mut self, image: Resource<Image>) -> Answer<Resource<Filesystem>> {
        let view = self.view(&image)?;
        view.manifest().image().ok_or_else(|| no_image(&*view))?;
        let filesystem = self.index_files(view).await?;
        Ok(self.table.push(filesystem)?)
    }

    async fn files(&mut self, image: Resource<Image>, directory: String) -> Answer<Resource<Files>> {
        let view = self.view(&image)?;
        view.manifest().image().ok_or_else(|| no_image(&*view))?;
        let files = self.walk_files(&image, &directory).await?;
        Ok(self.table.push(files)?)
    }

    async fn drop(&mut self, image: Resource<Image>) -> wasmtime::Result<()> {
        self.table.delete(image)?;
        Ok(())
    }
}
