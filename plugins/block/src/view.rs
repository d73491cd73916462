//! [`View`] and [`Registry`]: the few things that rules on base images ask of the host, so that they can be tested
//! without one.

use oc_mirror_plugin_sdk::host::registry;
use oc_mirror_plugin_sdk::{Descriptor, Error, Image, Platform};

/// The identity of a layer: compressed, and uncompressed where the configuration tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) digest: String,
    pub(crate) diff_id: Option<String>,
}

impl Layer {
    /// Answers whether both are the same content; one content compressed twice has two digests and one diff id.
    pub(crate) fn is(&self, other: &Layer) -> bool {
        self.digest == other.digest || (self.diff_id.is_some() && self.diff_id == other.diff_id)
    }
}

/// An image or an index.
pub(crate) trait View: Sized {
    fn reference(&self) -> String;
    fn descriptor(&self) -> Descriptor;
    fn is_index(&self) -> bool;
    fn children(&self) -> Result<Vec<Descriptor>, Error>;
    fn child(&self, platform: &Platform) -> Result<Self, Error>;
    fn annotations(&self) -> Result<Vec<(String, String)>, Error>;
    fn labels(&self) -> Result<Vec<(String, String)>, Error>;
    fn layers(&self) -> Result<Vec<Layer>, Error>;
}

/// Where images are opened.
pub(crate) trait Registry {
    type Image: View;

    fn open(&self, reference: &str) -> Result<Self::Image, Error>;
}

/// The host.
pub(crate) struct Host;

impl Registry for Host {
    type Image = Image;

    fn open(&self, reference: &str) -> Result<Image, Error> {
        registry::open(reference)
    }
}

impl View for Image {
    fn reference(&self) -> String {
        Image::reference(self)
    }

    fn descriptor(&self) -> Descriptor {
        Image::descriptor(self)
    }

    fn is_index(&self) -> bool {
        Image::is_index(self)
    }

    fn children(&self) -> Result<Vec<Descriptor>, Error> {
        Image::children(self)
    }

    fn child(&self, platform: &Platform) -> Result<Self, Error> {
        Image::child(self, platform)
    }

    fn annotations(&self) -> Result<Vec<(String, String)>, Error> {
        Image::annotations(self)
    }

    fn labels(&self) -> Result<Vec<(String, String)>, Error> {
        Image::labels(self)
    }

    fn layers(&self) -> Result<Vec<Layer>, Error> {
        let layers = Image::layers(self)?;
        Ok(layers.into_iter().map(|l| Layer { digest: l.digest, diff_id: l.diff_id }).collect())
    }
}
