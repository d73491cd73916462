//! The content source `operator`: catalogs of operators, the bundles that are wanted of them and their images.
//!
//! What to keep of a catalog is decided in `oc-mirror-catalog`. Here is what that needs of the host: [`read`] makes the
//! index of a catalog out of its image, [`collect`] hands over images, [`build`] describes the catalog that offers just
//! those, [`questions`] answers what there is, and [`reconcile`] what clusters need.

mod base;
mod build;
mod collect;
mod details;
mod fault;
mod index;
mod offers;
mod questions;
mod read;
mod reconcile;
mod settings;
mod target;

use oc_mirror_plugin_sdk::{
    ContentSource, Error, Inspection, Plugin, Preparation, Problem, Sink, Summary, export_plugin, problem,
};

use crate::settings::Settings;

/// The plugin.
struct Operator {
    settings: Settings,
}

impl Plugin for Operator {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, Vec<Problem>> {
        let targets = settings.catalogs.iter().enumerate().filter_map(|(place, catalog)| {
            let reason = target::Target::of(&catalog.entry).err()?;
            Some(problem(format!("catalogs[{place}].entry.catalog"), "operator.catalog", reason))
        });
        let problems: Vec<Problem> = targets.collect();
        if problems.is_empty() { Ok(Self { settings }) } else { Err(problems) }
    }
}

impl ContentSource for Operator {
    fn collect(&self, out: &Sink) -> Result<Summary, Error> {
        collect::collect(&self.settings, out)
    }
}

impl Preparation for Operator {
    fn parts(&self) -> u32 {
        u32::try_from(self.settings.catalogs.len()).unwrap_or(u32::MAX)
    }

    /// Makes the index of one catalog, which `collect` then finds in the cache.
    fn prepare(&self, part: u32) -> Result<(), Error> {
        let catalog = usize::try_from(part).ok().and_then(|place| self.settings.catalogs.get(place));
        match catalog {
            Some(catalog) => index::prepare(&catalog.entry.catalog),
            None => Ok(()),
        }
    }
}

impl Inspection for Operator {
    fn query(&self, question: &str, arguments: &str) -> Result<String, Error> {
        questions::answer(&self.settings, question, arguments)
    }
}

export_plugin!(Operator: source, preparation, inspection);
