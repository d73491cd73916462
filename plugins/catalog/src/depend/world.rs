//! [`World`]: what all kept bundles provide.

use std::collections::{HashMap, HashSet};

use semver::Version;

use super::Selected;
use crate::blang::VersionRange;
use crate::model::{Catalog, Gvk, Need, Requirement};

/// What all kept bundles of all catalogs provide.
pub(super) struct World<'a> {
    apis: HashSet<&'a Gvk>,
    versions: HashMap<&'a str, Vec<&'a Version>>,
}

impl<'a> World<'a> {
    pub(super) fn of(catalogs: &[Selected<'a>]) -> Self {
        let mut world = Self { apis: HashSet::new(), versions: HashMap::new() };
        for (catalog, _, selection) in catalogs {
            let catalog: &'a Catalog = catalog;
            for kept in &selection.packages {
                let Some(package) = catalog.package(&kept.name) else { continue };
                for bundle in kept.bundles.iter().filter_map(|name| package.bundle(name)) {
                    world.apis.extend(&bundle.provides);
                    world.versions.entry(&package.name).or_default().extend(&bundle.version);
                }
            }
        }
        world
    }

    /// Tells whether something needed is there; none if that cannot be told.
    pub(super) fn meets(&self, need: &Need) -> Option<bool> {
        match need {
            Need::Gvk(gvk) => Some(self.apis.contains(gvk)),
            Need::Package(name, range) => {
                let range = VersionRange::optional(range).ok()?;
                let fits = |version: &&Version| range.as_ref().is_none_or(|range| range.contains(version));
                Some(self.versions.get(name.as_str()).is_some_and(|versions| versions.iter().any(fits)))
            }
            Need::All(parts) => self.find(parts, false).map(|found| !found),
            Need::Any(parts) => self.find(parts, true),
            Need::Not(parts) => self.find(parts, true).map(|found| !found),
            Need::Opaque(_) => None,
        }
    }

    /// Tells whether any part has the answer.
    fn find(&self, parts: &[Requirement], answer: bool) -> Option<bool> {
        let answers: Vec<_> = parts.iter().map(|part| self.meets(&part.need)).collect();
        match answers.contains(&Some(answer)) {
            true => Some(true),
            false if answers.contains(&None) => None,
            false => Some(false),
        }
    }
}
