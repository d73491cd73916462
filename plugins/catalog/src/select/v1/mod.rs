//! The rules of v1alpha2, those of oc-mirror v1.

mod dependencies;
mod filter;
mod history;
pub(super) mod walk;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    PackageState, Reason, SelectedPackage, Selection, defaults, note_default, nothing_in_range, wanted,
};
use crate::blang::VersionRange;
use crate::model::{Catalog, Channel, Package};
use crate::nearest;
use crate::problem::{Note, Problem};
use crate::settings::{Entry, PackageEntry};
use filter::{Filter, Wanted};
use semver::Version;

pub(super) fn select(
    catalog: &Catalog,
    entry: &Entry,
    before: Option<&BTreeMap<String, PackageState>>,
    selection: &mut Selection,
    problems: &mut Vec<Problem>,
) {
    let packages = wanted(catalog, entry, problems);
    let mut run = Run { catalog, kept: BTreeMap::new(), notes: Vec::new(), problems: Vec::new() };
    match before.filter(|_| !entry.full) {
        None => packages.iter().for_each(|(package, listed)| run.first(package, *listed, entry.full)),
        Some(before) => history::select(&mut run, &packages, before, entry),
    }
    // A missing package would only look like missing dependencies.
    if !entry.skip_dependencies && run.problems.is_empty() && problems.is_empty() {
        dependencies::add(&mut run);
    }
    run.finish(&packages, selection);
    problems.append(&mut run.problems);
}

/// A selection in the making.
struct Run<'a> {
    catalog: &'a Catalog,
    kept: BTreeMap<&'a str, SelectedPackage>,
    notes: Vec<Note>,
    problems: Vec<Problem>,
}

impl<'a> Run<'a> {
    /// Selects from a package as if nothing was mirrored before.
    fn first(&mut self, package: &'a Package, listed: Option<&PackageEntry>, full: bool) {
        let wanted = filter::wanted(package, listed, full, &mut self.problems);
        self.apply(package, &wanted);
    }

    /// Keeps what is wanted of a package.
    fn apply(&mut self, package: &'a Package, wanted: &[Wanted<'a>]) {
        let mut kept = SelectedPackage::new(package, Reason::Selected);
        for wanted in wanted {
            match self.names(package, wanted) {
                Ok(names) => {
                    kept.keep(package, wanted.channel, &names);
                    let channel = kept.channels.iter_mut().find(|kept| kept.name == wanted.channel.name);
                    if let (Some(channel), Some(floor)) = (channel, wanted.floor()) {
                        channel.floor = Some(floor.clone());
                    }
                    if names.is_empty() {
                        self.note_dropped(package, wanted.channel);
                    }
                }
                Err(problem) => self.problems.push(problem),
            }
        }
        if kept.channels.is_empty()
            && !self.problems.iter().any(|p| p.package.as_ref() == Some(&package.name))
        {
            self.problems.push(not_found(package, wanted));
        }
        self.kept.insert(&package.name, kept);
    }

    fn note_dropped(&mut self, package: &Package, channel: &Channel) {
        let message = format!("channel `{}` is left out: it has none of the versions", channel.name);
        self.notes.push(Note::new("dropped-channel", &package.name, message));
    }

    /// Finds the entries that a filter keeps of a channel.
    fn names(&self, package: &Package, wanted: &Wanted<'_>) -> Result<BTreeSet<String>, Problem> {
        let channel = wanted.channel;
        let all = || channel.entries.iter().map(|entry| entry.name.clone()).collect();
        match &wanted.filter {
            Filter::All => Ok(all()),
            Filter::Head => Ok(BTreeSet::from([walk::head(package, channel)?.name.clone()])),
            Filter::Range(range, text) => {
                let names: BTreeSet<_> = in_range(package, channel, range).collect();
                match names.is_empty() && wanted.own {
                    true => Err(empty_range(package, channel, text)),
                    false => Ok(names),
                }
            }
            Filter::From(version) => {
                let starts: Vec<_> = walk::with_version(package, channel, version).collect();
                if starts.is_empty() && wanted.own {
                    return Err(unknown_version(package, channel, version));
                }
                let mut names = BTreeSet::new();
                for start in starts {
                    names.extend(walk::to_head(package, channel, start)?);
                }
                Ok(names)
            }
        }
    }

    /// Chooses default channels, and moves everything into a selection.
    fn finish(&mut self, packages: &[(&Package, Option<&PackageEntry>)], selection: &mut Selection) {
        for (name, mut kept) in std::mem::take(&mut self.kept) {
            let Some(package) = self.catalog.package(name) else { continue };
            let listed =
                packages.iter().find(|(listed, _)| listed.name == name).and_then(|(_, listed)| *listed);
            let failed = self.problems.iter().any(|problem| problem.package.as_deref() == Some(name));
            if !failed && let Err(problem) = defaults::choose(package, listed, &mut kept) {
                self.problems.push(problem);
            }
            kept.settle(package);
            note_default(package, &kept, &mut self.notes);
            selection.packages.push(kept);
        }
        selection.notes.append(&mut self.notes);
    }
}

fn in_range<'a>(
    package: &'a Package,
    channel: &'a Channel,
    range: &'a VersionRange,
) -> impl Iterator<Item = String> + 'a {
    let matches = |name: &str| package.version(name).is_some_and(|version| range.contains(version));
    channel.entries.iter().filter(move |entry| matches(&entry.name)).map(|entry| entry.name.clone())
}

/// Reports a range in which a channel has nothing.
fn empty_range(package: &Package, channel: &Channel, range: &crate::Range) -> Problem {
    nothing_in_range(package, &[channel], range)
}

fn unknown_version(package: &Package, channel: &Channel, version: &Version) -> Problem {
    let range = crate::Range::new(Some(&version.to_string()), None).ok().flatten();
    let near = range.map(|range| nothing_in_range(package, &[channel], &range).hint.unwrap_or_default());
    let message = format!("channel `{}` has no version `{version}`, from which to start", channel.name);
    Problem::new("operators.unknown-version", message).package(&package.name).hint(near.unwrap_or_default())
}

/// Reports that a package ends up empty.
fn not_found(package: &Package, wanted: &[Wanted<'_>]) -> Problem {
    let channels: Vec<_> = wanted.iter().map(|wanted| wanted.channel).collect();
    let range = wanted.iter().find_map(|wanted| match &wanted.filter {
        Filter::Range(_, range) => Some(range.clone()),
        Filter::From(version) => crate::Range::new(Some(&version.to_string()), None).ok().flatten(),
        _ => None,
    });
    match range {
        Some(range) => nothing_in_range(package, &channels, &range),
        None => {
            let hint = match package.channels.as_slice() {
                [] => "the catalog has none: leave the package out".to_owned(),
                channels => {
                    let names: Vec<_> = channels.iter().map(|channel| channel.name.as_str()).collect();
                    format!("the channels are {}", nearest::quoted(&names))
                }
            };
            Problem::new("operators.no-channels", "no channel is left").package(&package.name).hint(hint)
        }
    }
}
