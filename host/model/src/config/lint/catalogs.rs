//! Catalogs of operators: how much of them is asked for, and whether that is asked for once.

use super::super::operators::{Operator, Package};
use super::super::types::{ApiVersion, ImageSetConfiguration};
use super::Linter;
use super::content::{bounds, overlap};

impl Linter<'_> {
    pub(super) fn catalogs(&mut self, configuration: &ImageSetConfiguration) {
        let operators = &configuration.mirror.operators;
        for (index, operator) in operators.iter().enumerate() {
            let path = format!("mirror.operators[{index}]");
            self.catalog_pinned(&format!("{path}.catalog"), &operator.catalog);
            self.size(operator, &path);
            if configuration.api == ApiVersion::V2Alpha1 {
                self.full_with_range(operator, &path);
            }
            for (place, package) in operator.packages.iter().enumerate() {
                let path = format!("{path}.packages[{place}]");
                self.package(package, &path);
                self.elsewhere(&operators[..index], operator, package, &path);
            }
        }
    }

    /// Says how much is asked for where no packages are listed.
    fn size(&mut self, operator: &Operator, path: &str) {
        if !operator.packages.is_empty() {
            return;
        }
        let packages = format!("{path}.packages");
        let is_empty = self.is_written_empty(&packages, &operator.packages);
        let path = if is_empty { packages.as_str() } else { path };
        let start = if is_empty { "an empty list of packages is none: " } else { "" };
        let hint = "list the wanted `packages`; `oc-mirror list operators --catalog` names them, and `--dry-run` tells the size";
        match operator.full {
            true => self.warn(
                "whole-catalog",
                path,
                format!("{start}every version of every package of `{}` is mirrored; of a catalog of Red Hat's that can be more than a terabyte", operator.catalog),
                hint,
            ),
            false => self.warn(
                "whole-catalog",
                path,
                format!("{start}the head of every channel of every package of `{}` is mirrored; of a catalog of Red Hat's that can be hundreds of gigabytes", operator.catalog),
                hint,
            ),
        }
    }

    /// The rules of v2alpha1 refuse a package that is wanted as a whole and within a range.
    fn full_with_range(&mut self, operator: &Operator, path: &str) {
        let has_range = |package: &&Package| {
            let in_channels =
                package.channels.iter().any(|c| c.min_version.is_some() || c.max_version.is_some());
            package.min_version.is_some() || package.max_version.is_some() || in_channels
        };
        if !operator.full {
            return;
        }
        if let Some(package) = operator.packages.iter().find(has_range) {
            let message =
                format!("`full: true` cannot be mixed with the range of versions of `{}`", package.name);
            self.error("full-with-range", &format!("{path}.full"), message, "remove one of them");
        } else if let Some(package) = operator.packages.iter().find(|package| !package.bundles.is_empty()) {
            let message = format!("`full: true` cannot be mixed with the bundles of `{}`", package.name);
            self.error("full-with-range", &format!("{path}.full"), message, "remove one of them");
        }
    }

    fn package(&mut self, package: &Package, path: &str) {
        let channels = format!("{path}.channels");
        if self.is_written_empty(&channels, &package.channels) {
            let message =
                format!("an empty list of channels is none: every channel of `{}` is mirrored", package.name);
            self.warn("empty", &channels, message, "list the wanted channels, or remove it");
        }
        if let Some(bundle) = &package.min_bundle {
            self.min_bundle(bundle, path);
        }
        for (index, channel) in package.channels.iter().enumerate() {
            let path = format!("{channels}[{index}]");
            if let Some(bundle) = &channel.min_bundle {
                self.min_bundle(bundle, &path);
            }
            let range = bounds(channel.min_version.as_deref(), channel.max_version.as_deref());
            let before = package.channels[..index].iter().enumerate().find(|(_, other)| {
                let other = bounds(other.min_version.as_deref(), other.max_version.as_deref());
                range.zip(other).is_some_and(|(a, b)| overlap(a, b))
            });
            if let Some((before, other)) = before {
                self.overlapping(&path, &channel.name, &other.name, &format!("{channels}[{before}]"));
            }
        }
    }

    fn min_bundle(&mut self, bundle: &str, path: &str) {
        let hint = format!("write `minVersion` with the version of `{bundle}`");
        let message = "for `minBundle` the whole channel is mirrored; v2alpha1 has no such key";
        self.note("min-bundle", &format!("{path}.minBundle"), message, hint);
    }

    /// Looks for a package that another entry for the same catalog takes too.
    fn elsewhere(&mut self, earlier: &[Operator], operator: &Operator, package: &Package, path: &str) {
        let Ok(catalog) = operator.source() else { return };
        let before = earlier.iter().enumerate().filter(|(_, other)| other.source().as_ref() == Ok(&catalog));
        let mut listed = before.filter_map(|(entry, other)| {
            let place = other.packages.iter().position(|known| known.name == package.name)?;
            Some(format!("mirror.operators[{entry}].packages[{place}]"))
        });
        if let Some(first) = listed.next() {
            let line = self.line(&first);
            let message = format!("`{}` is wanted of the same catalog in line {line} too", package.name);
            self.warn("duplicate", &format!("{path}.name"), message, "remove one of them");
        }
    }
}
