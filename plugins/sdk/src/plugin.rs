//! The traits a plugin implements: [`Plugin`] for its settings, and one for each thing it can do.

use serde::de::DeserializeOwned;

use crate::{Error, Image, ImageRequest, Problem, Sink, Summary, Verdict};

/// A plugin and its settings.
pub trait Plugin: Sized + 'static {
    /// The settings, as serde reads them from the `config` of the user's configuration. `()` takes none.
    type Settings: DeserializeOwned;

    /// Makes a plugin of its settings, or says what is wrong with them, all of it at once.
    ///
    /// Also called to check a configuration, so it may not ask the host for anything.
    fn new(settings: Self::Settings) -> Result<Self, Vec<Problem>>;
}

/// Turns a part of the configuration into images to mirror.
pub trait ContentSource: Plugin {
    /// Puts everything it finds into `out`. The host keeps it only if this returns `Ok`.
    fn collect(&self, out: &Sink) -> Result<Summary, Error>;
}

/// Judges one image, with its manifests and layers at hand.
pub trait Policy: Plugin {
    /// Judges `image`, which was asked for by `request`. An error counts as a denial and is reported as a failure.
    fn evaluate(&self, request: &ImageRequest, image: &Image) -> Result<Verdict, Error>;
}

/// Judges a reference before anything is fetched.
pub trait StaticPolicy: Plugin {
    /// Judges one request.
    fn evaluate_reference(&self, request: &ImageRequest) -> Verdict;
}

/// Rewrites requests: renames, retargets, drops or splits them.
pub trait Transformer: Plugin {
    /// Returns what to ask for instead of `request`.
    fn apply(&self, request: ImageRequest) -> Result<Vec<ImageRequest>, Error>;
}
