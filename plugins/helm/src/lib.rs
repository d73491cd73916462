//! The content source `helm`: the images that charts use, and the charts.
//!
//! Reading and rendering charts is `oc-mirror-chart`'s. Here is what that needs of the host: [`fetch`] gets charts, [`index`]
//! knows what a repository has, [`images`] finds images in what a chart makes, by the paths of [`jsonpath`], [`pack`] makes
//! an archive of a directory, [`uses`] writes down which charts use an image, and [`collect`] hands everything over.

mod collect;
mod fault;
mod fetch;
mod images;
mod index;
mod jsonpath;
mod pack;
mod settings;
mod uses;

use oc_mirror_plugin_sdk::{ContentSource, Error, Plugin, Problem, Sink, Summary, export_plugin};

use crate::settings::{Plan, Settings};

/// The plugin.
struct Helm {
    plan: Plan,
}

impl Plugin for Helm {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, Vec<Problem>> {
        Plan::new(settings).map(|plan| Self { plan })
    }
}

impl ContentSource for Helm {
    fn collect(&self, out: &Sink) -> Result<Summary, Error> {
        collect::collect(&self.plan, out)
    }
}

export_plugin!(Helm: source);
