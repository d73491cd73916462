//! The rules of v2alpha1, those of oc-mirror v2's catalog filter.

use std::collections::BTreeSet;

use super::{
    Reason, SelectedPackage, Selection, check_channels, has_range, note_default, nothing_in_range, wanted,
};
use crate::graph::Graph;
use crate::model::{Catalog, Channel, Package};
use crate::nearest::{self, quoted};
use crate::problem::{Note, Problem};
use crate::settings::{ChannelFilter, Entry, PackageEntry, given};
use crate::version::Range;

/// What to keep of a channel.
enum Filter {
    All,
    Head,
    Bundles(BTreeSet<String>),
    /// A range; whether it is the channel's own.
    Range(Range, bool),
}

pub(super) fn select(
    catalog: &Catalog,
    entry: &Entry,
    selection: &mut Selection,
    problems: &mut Vec<Problem>,
) {
    for (package, listed) in wanted(catalog, entry, problems) {
        let mut job = Job {
            package,
            listed,
            kept: SelectedPackage::new(package, Reason::Selected),
            notes: Vec::new(),
            problems: Vec::new(),
            emptied: Vec::new(),
        };
        job.run(entry.full);
        selection.notes.append(&mut job.notes);
        problems.append(&mut job.problems);
        selection.packages.push(job.kept);
    }
}

struct Job<'a> {
    package: &'a Package,
    listed: Option<&'a PackageEntry>,
    kept: SelectedPackage,
    notes: Vec<Note>,
    problems: Vec<Problem>,
    /// Channels that a range of the package leaves nothing of.
    emptied: Vec<(&'a Channel, Range)>,
}

impl<'a> Job<'a> {
    fn run(&mut self, full: bool) {
        if let Some(listed) = self.listed {
            check_channels(self.package, listed, &mut self.problems);
            self.check_bundles(listed);
            self.set_default(listed);
        }
        for channel in self.channels() {
            match self.filter(full, channel) {
                Ok(filter) => self.apply(channel, filter),
                Err(problem) => self.problems.push(problem),
            }
        }
        self.report_emptied();
        self.kept.settle(self.package);
        note_default(self.package, &self.kept, &mut self.notes);
    }

    /// Returns the channels that are listed, or all.
    fn channels(&self) -> Vec<&'a Channel> {
        let filters = self.listed.map(|listed| listed.channels.as_slice()).unwrap_or_default();
        let listed = |channel: &&Channel| filters.iter().any(|filter| filter.name == channel.name);
        self.package.channels.iter().filter(|channel| filters.is_empty() || listed(channel)).collect()
    }

    fn problem(&self, code: &'static str, message: String) -> Problem {
        Problem::new(code, message).package(&self.package.name)
    }

    fn set_default(&mut self, listed: &PackageEntry) {
        let channels = self.channels();
        let has = |name: &str| channels.iter().any(|channel| channel.name == name);
        let names: Vec<_> = channels.iter().map(|channel| channel.name.as_str()).collect();
        let hint = match names.as_slice() {
            [] => "the package has no channels: leave it out".to_owned(),
            names => format!("set `defaultChannel` of the package to one of {}", quoted(names)),
        };
        match (given(&listed.default_channel), self.package.default_channel.as_str()) {
            (Some(name), _) if has(name) => self.kept.default_channel = name.to_owned(),
            (Some(name), _) => {
                let message = format!("`defaultChannel: {name}` is not among the channels that are kept");
                self.problems.push(self.problem("operators.default-channel", message).hint(hint));
            }
            (None, original) if original.is_empty() || has(original) => {}
            // None of the listed channels is there, which was reported.
            (None, _) if channels.is_empty() && !listed.channels.is_empty() => {}
            (None, original) => {
                let message =
                    format!("the default channel `{original}` is not among the channels that are kept");
                self.problems.push(self.problem("operators.default-channel", message).hint(hint));
            }
        }
    }

    fn check_bundles(&mut self, listed: &PackageEntry) {
        let channels = self.channels();
        for bundle in &listed.bundles {
            if !channels.iter().any(|channel| channel.entry(&bundle.name).is_some()) {
                let names: BTreeSet<_> =
                    channels.iter().flat_map(|c| &c.entries).map(|entry| entry.name.as_str()).collect();
                let message = format!("there is no bundle `{}` in the channels", bundle.name);
                let hint = nearest::hint("bundles", &bundle.name, names);
                self.problems.push(self.problem("operators.unknown-bundle", message).hint(hint));
            }
        }
    }

    fn filter(&self, full: bool, channel: &Channel) -> Result<Filter, Problem> {
        let Some(listed) = self.listed else { return Ok(if full { Filter::All } else { Filter::Head }) };
        let own = listed.channels.iter().find(|filter| filter.name == channel.name);
        if !listed.bundles.is_empty() {
            return Ok(Filter::Bundles(listed.bundles.iter().map(|bundle| bundle.name.clone()).collect()));
        }
        let range = match own {
            Some(ChannelFilter { min_version, max_version, .. }) if has_range(min_version, max_version) => {
                (Range::new(given(min_version), given(max_version)), true)
            }
            _ => (Range::new(given(&listed.min_version), given(&listed.max_version)), false),
        };
        match range {
            (Ok(Some(range)), own) => Ok(Filter::Range(range, own)),
            (Ok(None), _) if full => Ok(Filter::All),
            (Ok(None), _) => Ok(Filter::Head),
            (Err(error), _) => {
                let hint = "write versions as `1.2.3`";
                Err(self.problem("operators.bad-version", error.to_string()).hint(hint))
            }
        }
    }

    fn apply(&mut self, channel: &'a Channel, filter: Filter) {
        match filter {
            Filter::All => {
                let names = channel.entries.iter().map(|entry| entry.name.clone()).collect();
                self.kept.keep(self.package, channel, &names);
            }
            Filter::Bundles(names) => self.keep_bundles(channel, &names),
            Filter::Head => self.keep_head(channel),
            Filter::Range(range, own) => self.keep_range(channel, range, own),
        }
    }

    /// Builds the graph of a channel, or reports why it has none.
    fn graph(&mut self, channel: &'a Channel) -> Option<Graph<'a>> {
        let faults = match Graph::new(&channel.entries) {
            Ok(graph) => return Some(graph),
            Err(faults) => faults,
        };
        for fault in faults {
            let message = format!("channel `{}` {fault}", channel.name);
            let problem = self.problem("operators.channel-graph", message);
            let hint = "use `full: true`, or list other channels";
            self.problems.push(problem.file(self.package.file_name(channel.file)).hint(hint));
        }
        None
    }

    fn keep_head(&mut self, channel: &'a Channel) {
        if let Some(graph) = self.graph(channel) {
            self.kept.keep(self.package, channel, &BTreeSet::from([graph.head().name.clone()]));
        }
    }

    fn keep_bundles(&mut self, channel: &'a Channel, names: &BTreeSet<String>) {
        self.kept.keep(self.package, channel, names);
        if self.kept.channel(&channel.name).is_some() {
            return;
        }
        // What follows from a bundle that is not there would only be noise.
        if self.problems.iter().any(|problem| problem.code == "operators.unknown-bundle") {
            return;
        }
        if channel.name == self.package.default_channel {
            let message = format!("none of the listed bundles is in the default channel `{}`", channel.name);
            let hint = "list the channels of the bundles, and set `defaultChannel`";
            self.problems.push(self.problem("operators.empty-default", message).hint(hint));
        } else {
            self.note_dropped(channel, "none of the listed bundles is in it");
        }
    }

    fn keep_range(&mut self, channel: &'a Channel, range: Range, own: bool) {
        let package = self.package;
        let Some(graph) = self.graph(channel) else { return };
        let kept = graph.in_range(&range, |name| package.version(name));
        if kept.names.is_empty() {
            return match own {
                true => self.problems.push(nothing_in_range(package, &[channel], &range)),
                false => self.emptied.push((channel, range)),
            };
        }
        for name in kept.outside {
            let version = package.version(name).map_or("no version".to_owned(), |v| format!("version {v}"));
            let message = format!(
                "`{name}` ({version}) is kept in channel `{}`, although it is not in the range `{range}`: it connects \
                 others that are",
                channel.name
            );
            self.notes.push(Note::new("outside-range", &package.name, message));
        }
        self.kept.keep(package, channel, &kept.names.into_iter().map(str::to_owned).collect());
    }

    /// Decides what it means that a range of the package leaves nothing of some channels.
    fn report_emptied(&mut self) {
        let emptied = std::mem::take(&mut self.emptied);
        let Some((_, range)) = emptied.first() else { return };
        if self.kept.channels.is_empty() {
            let channels: Vec<_> = emptied.iter().map(|(channel, _)| *channel).collect();
            return self.problems.push(nothing_in_range(self.package, &channels, range));
        }
        for (channel, range) in &emptied {
            if channel.name == self.package.default_channel {
                let names: Vec<_> = self.kept.channels.iter().map(|kept| kept.name.as_str()).collect();
                let problem = nothing_in_range(self.package, &[channel], range);
                let near = problem.hint.clone().unwrap_or_default();
                let hint = format!(
                    "it is the default channel: list the channels to keep ({}) and set `defaultChannel`; {near}",
                    quoted(&names)
                );
                self.problems.push(Problem { code: "operators.empty-default", ..problem }.hint(hint));
            } else {
                self.note_dropped(channel, &format!("it has no version in the range `{range}`"));
            }
        }
    }

    fn note_dropped(&mut self, channel: &Channel, why: &str) {
        let message = format!("channel `{}` is left out: {why}", channel.name);
        self.notes.push(Note::new("dropped-channel", &self.package.name, message));
    }
}
