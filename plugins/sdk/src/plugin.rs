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

/// Finds out ahead what `collect` will need, part by part: the host runs the parts side by side, each in an instance of
/// its own, and what they find out gets to `collect` through the cache.
pub trait Preparation: ContentSource {
    /// Returns how many parts there are.
    fn parts(&self) -> u32;

    /// Does one part, counted from 0.
    fn prepare(&self, part: u32) -> Result<(), Error>;
}

/// Answers questions about what can be asked for.
pub trait Inspection: Plugin {
    /// Answers one question. Arguments and answer are JSON.
    fn query(&self, question: &str, arguments: &str) -> Result<String, Error>;
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
