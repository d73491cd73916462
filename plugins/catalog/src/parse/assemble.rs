//! Makes a catalog of what a [`Builder`] has collected: ignores files, finds duplicates, sorts.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Builder, Draft};
use crate::model::{Catalog, Package};
use crate::nearest;
use crate::problem::{CatalogError, Problem, Problems};

/// The files of a catalog, and which of them count.
struct Files {
    names: Vec<String>,
    ignored: Vec<bool>,
}

impl Files {
    fn counts(&self, place: u32) -> bool {
        !self.ignored.get(place as usize).copied().unwrap_or(false)
    }

    fn name(&self, place: u32) -> &str {
        self.names.get(place as usize).map_or("", String::as_str)
    }
}

pub(super) fn assemble(builder: Builder) -> Result<Catalog, CatalogError> {
    let ignored = builder.files.iter().map(|file| builder.ignore.excludes(file)).collect();
    let files = Files { names: builder.files, ignored };
    let mut problems: Vec<Problem> = builder
        .problems
        .into_iter()
        .filter(|(place, _)| files.counts(*place))
        .map(|(place, problem)| problem.file(files.name(place)).hint(hint(files.name(place))))
        .collect();
    let mut catalog = Catalog::default();
    let names: Vec<String> = builder.packages.keys().cloned().collect();
    for (name, mut draft) in builder.packages {
        draft.drop_ignored(&files);
        if !draft.declared.is_empty() {
            draft.check(&name, &files, &mut problems);
            catalog.packages.push(draft.into_package(name, &files));
            continue;
        }
        draft.report_undeclared(&name, &names, &files, &mut problems);
        catalog.others.extend(draft.others.into_iter().map(|(_, other)| other));
    }
    let ignored = files.names.iter().zip(&files.ignored).filter(|(_, ignored)| **ignored);
    catalog.ignored = ignored.map(|(name, _)| name.clone()).collect();
    catalog.ignored.sort_unstable();
    let others = builder.others.into_iter().filter(|other| !catalog.ignores(&other.file)).collect::<Vec<_>>();
    catalog.others.extend(others);
    catalog.others.sort_unstable();
    Problems::check(problems)?;
    Ok(catalog)
}

/// Says what to do about a file with something that does not belong into a catalog.
fn hint(file: &str) -> &'static str {
    let is_catalog = [".json", ".yaml", ".yml"].iter().any(|end| file.ends_with(end));
    match is_catalog {
        true => "the catalog is at fault: ask whoever publishes it",
        false => {
            "what is no part of a catalog has to be in an `.indexignore`: ask whoever publishes the catalog"
        }
    }
}

impl Draft {
    fn drop_ignored(&mut self, files: &Files) {
        self.declared.retain(|declared| files.counts(declared.file));
        self.channels.retain(|channel| files.counts(channel.file));
        self.bundles.retain(|bundle| files.counts(bundle.file));
        self.deprecations.retain(|deprecation| files.counts(deprecation.file));
        self.others.retain(|(place, _)| files.counts(*place));
        self.names.retain(|place, _| files.counts(*place));
    }

    fn report_undeclared(&self, package: &str, all: &[String], files: &Files, problems: &mut Vec<Problem>) {
        let others = all.iter().map(String::as_str).filter(|other| *other != package);
        let near = nearest::nearest(package, others);
        let hint = match near.is_empty() {
            true => "add its `olm.package`".to_owned(),
            false => format!("did you mean {}?", nearest::quoted(&near)),
        };
        let channels = self.channels.iter().map(|c| (c.file, format!("channel `{}`", c.name)));
        let bundles = self.bundles.iter().map(|b| (b.file, format!("bundle `{}`", b.name)));
        let deprecations = self.deprecations.iter().map(|d| (d.file, "a deprecation".to_owned()));
        for (place, what) in channels.chain(bundles).chain(deprecations) {
            let message = format!("{what} is of a package that no `olm.package` declares");
            let problem = Problem::new("catalog.undeclared-package", message).package(package);
            problems.push(problem.file(files.name(place)).hint(hint.clone()));
        }
    }

    fn check(&self, package: &str, files: &Files, problems: &mut Vec<Problem>) {
        let mut twice = |code, what: &str, first: u32, second: u32| {
            let message = format!("{what} is declared twice, first in `{}`", files.name(first));
            let hint = "remove one of them; two catalogs cannot simply be merged";
            let problem = Problem::new(code, message).package(package).file(files.name(second)).hint(hint);
            problems.push(problem);
        };
        for pair in self.declared.windows(2) {
            twice("catalog.duplicate-package", "the package", pair[0].file, pair[1].file);
        }
        // What is in both would only be noise.
        if self.declared.len() > 1 {
            return;
        }
        let mut seen = HashMap::new();
        for channel in &self.channels {
            if let Some(first) = seen.insert(channel.name.as_str(), channel.file) {
                twice(
                    "catalog.duplicate-channel",
                    &format!("channel `{}`", channel.name),
                    first,
                    channel.file,
                );
            }
        }
        let mut seen = HashMap::new();
        for bundle in &self.bundles {
            if let Some(first) = seen.insert(bundle.name.as_str(), bundle.file) {
                twice("catalog.duplicate-bundle", &format!("bundle `{}`", bundle.name), first, bundle.file);
            }
        }
    }

    fn into_package(mut self, name: String, files: &Files) -> Package {
        let display_name = self.display_name();
        let places = self.places();
        let mut named: Vec<(&str, u32)> = places.iter().map(|place| (files.name(*place), *place)).collect();
        named.sort_unstable();
        let order: BTreeMap<u32, u32> = named.iter().zip(0..).map(|((_, old), new)| (*old, new)).collect();
        let renumber = |place: &mut u32| *place = order.get(place).copied().unwrap_or(0);
        self.channels.iter_mut().for_each(|channel| renumber(&mut channel.file));
        self.bundles.iter_mut().for_each(|bundle| renumber(&mut bundle.file));
        self.deprecations.iter_mut().for_each(|deprecation| renumber(&mut deprecation.file));
        self.bundles.sort_by(|a, b| a.name.cmp(&b.name));
        self.bundles.shrink_to_fit();
        self.others.sort();
        let mut package = Package {
            name,
            display_name,
            files: named.iter().map(|(name, _)| (*name).to_owned()).collect(),
            channels: self.channels,
            bundles: self.bundles,
            deprecations: self.deprecations,
            others: self.others.into_iter().map(|(_, other)| other).collect(),
            ..Package::default()
        };
        if let Some(mut declared) = self.declared.into_iter().next() {
            renumber(&mut declared.file);
            (package.file, package.default_channel) = (declared.file, declared.default_channel);
        }
        package
    }

    /// Returns the files that the package is spread over.
    fn places(&self) -> BTreeSet<u32> {
        let declared = self.declared.iter().map(|declared| declared.file);
        let channels = self.channels.iter().map(|channel| channel.file);
        let bundles = self.bundles.iter().map(|bundle| bundle.file);
        let deprecations = self.deprecations.iter().map(|deprecation| deprecation.file);
        let others = self.others.iter().map(|(place, _)| *place);
        declared.chain(channels).chain(bundles).chain(deprecations).chain(others).collect()
    }

    fn display_name(&mut self) -> Option<String> {
        let names = std::mem::take(&mut self.names).into_values();
        names.max_by(|(a, _), (b, _)| a.cmp_precedence(b)).and_then(|(_, name)| name)
    }
}
