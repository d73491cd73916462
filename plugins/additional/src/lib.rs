//! The content source `additional`: the images that a configuration lists one by one.
//!
//! [`Additional`] is the plugin, [`plan`] what it decides. It fetches nothing; it only asks the host whether image
//! layouts on disk are there, because a missing directory is better told before the run than in the middle of it.

mod layouts;
mod plan;
mod settings;

use oc_mirror_plugin_sdk::host::progress;
use oc_mirror_plugin_sdk::host::registry;
use oc_mirror_plugin_sdk::{ContentSource, Error, Plugin, Problem, Sink, Summary, export_plugin, warning};

use crate::plan::Plan;
use crate::settings::Settings;

/// How many requests go to the host at once.
const BATCH: usize = 500;

/// The plugin: everything is decided when it is configured.
struct Additional {
    plan: Plan,
}

impl Plugin for Additional {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, Vec<Problem>> {
        Plan::new(settings).map(|plan| Self { plan })
    }
}

impl ContentSource for Additional {
    fn collect(&self, out: &Sink) -> Result<Summary, Error> {
        let directories = self.plan.layouts();
        if !directories.is_empty() {
            let answers = registry::resolve(&directories);
            layouts::check(&directories, answers.iter().map(|a| a.as_ref().map(|_| ())))?;
        }
        for remark in &self.plan.remarks {
            warning(out, remark.code, &remark.message);
        }
        let mut images = 0;
        for batch in self.plan.requests.chunks(BATCH) {
            if progress::cancelled() {
                return Err(Error::Cancelled);
            }
            images += u64::from(out.images(batch)?);
        }
        Ok(Summary { images, generated: 0, skipped: self.plan.skipped })
    }
}

export_plugin!(Additional: source);
