//! The content source `release`: releases of OpenShift and OKD along their update graph.
//!
//! Which releases are wanted is decided in `oc-mirror-update-graph`. Here is what that needs of the host: [`updates`]
//! fetches graphs, [`payload`] reads what a release consists of, [`collect`] hands over images, [`signatures`] what was
//! verified, [`graph_data`] describes the image with the data of the graph, [`questions`] answers what there is, and [`reconcile`] what clusters need.

mod collect;
mod fault;
mod graph_data;
mod payload;
mod questions;
mod reconcile;
mod settings;
mod signatures;
mod updates;
mod web;

use oc_mirror_plugin_sdk::{
    ContentSource, Error, Inspection, Plugin, Preparation, Problem, Sink, Summary, export_plugin,
};

use crate::settings::Settings;

/// The plugin.
struct Release {
    settings: Settings,
}

impl Plugin for Release {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, Vec<Problem>> {
        Ok(Self { settings })
    }
}

impl ContentSource for Release {
    fn collect(&self, out: &Sink) -> Result<Summary, Error> {
        collect::collect(&self.settings, out)
    }
}

impl Preparation for Release {
    /// Nothing can be read ahead: what is read depends on the graph, and nothing is before it is verified.
    fn parts(&self) -> u32 {
        0
    }

    fn prepare(&self, _: u32) -> Result<(), Error> {
        Ok(())
    }
}

impl Inspection for Release {
    fn query(&self, question: &str, arguments: &str) -> Result<String, Error> {
        questions::answer(&self.settings, question, arguments)
    }
}

export_plugin!(Release: source, preparation, inspection);
