//! [`select`]: which releases of the wanted channels to mirror.

mod cross;
mod settings;
#[cfg(test)]
mod tests;
mod wish;

use std::collections::{BTreeMap, BTreeSet};

pub use settings::{Options, Release, Rules, Selection, Span, Wish};

use crate::ask::{Asked, Graphs};
use crate::explain;
use crate::graph::{Graph, Node};
use crate::problem::{Note, Problem, SelectError};
use crate::search::route;
use crate::version::Version;
use cross::Ends;

/// Decides which releases to mirror.
///
/// Each wish selects in its channel: a range of versions, a shortest path, the whole channel, or its latest release.
/// Wishes for more than one OCP channel also select a path from the lowest version to the highest. All problems are
/// reported together; a graph that cannot be had ends it.
pub fn select<G: Graphs>(
    wishes: &[Wish],
    options: &Options,
    graphs: &mut G,
) -> Result<Selection, SelectError<G::Error>> {
    select_after(wishes, options, &BTreeMap::new(), graphs)
}

/// Decides like [`select`], knowing which versions of a channel earlier runs mirrored.
///
/// By the rules of v1alpha2 this adds paths from a lower new minimum to the earlier one, and from the earlier maximum
/// to a higher new one. (oc-mirror v1 compares these as texts, by which 4.9 is above 4.10, and takes the latter path
/// to the new *minimum*; neither can have been meant.) Other rules ignore it.
pub fn select_after<G: Graphs>(
    wishes: &[Wish],
    options: &Options,
    past: &BTreeMap<String, Span>,
    graphs: &mut G,
) -> Result<Selection, SelectError<G::Error>> {
    let mut run = Run {
        asked: Asked::new(graphs),
        options,
        past,
        picked: BTreeMap::new(),
        result: Selection::default(),
        problems: Vec::new(),
        ends: Vec::new(),
    };
    for wish in wishes {
        let done = run.wish(wish);
        run.collect(done)?;
    }
    // A graph that cannot be had must not hide the problems.
    if run.problems.is_empty() {
        let done = run.between_channels();
        run.collect(done)?;
    }
    run.finish(wishes)
}

struct Run<'a, G: Graphs> {
    asked: Asked<'a, G>,
    options: &'a Options,
    past: &'a BTreeMap<String, Span>,
    /// By payload.
    picked: BTreeMap<String, Picked>,
    result: Selection,
    problems: Vec<Problem>,
    ends: Vec<Ends>,
}

struct Picked {
    release: Release,
    channels: BTreeSet<String>,
}

/// Where and why a release is picked.
struct Reason<'a> {
    channel: &'a str,
    okd: bool,
    text: String,
}

impl<G: Graphs> Run<'_, G> {
    /// Keeps problems for later; only an error of the caller's ends the run.
    fn collect(&mut self, done: Result<(), SelectError<G::Error>>) -> Result<(), SelectError<G::Error>> {
        match done {
            Err(SelectError::Problems(problems)) => {
                for problem in problems {
                    if !self.problems.contains(&problem) {
                        self.problems.push(problem);
                    }
                }
                Ok(())
            }
            done => done,
        }
    }

    fn note(&mut self, note: Note) {
        explain::push(&mut self.result.notes, note);
    }

    fn pick(&mut self, node: &Node, reason: &Reason<'_>) {
        if node.payload.is_empty() {
            // Cincinnati knows of releases without an image, and does not usually tell.
            let text = format!(
                "channel `{}` has {} without an image, so it is left out",
                reason.channel, node.version
            );
            return self.note(Note::warning("release.payload", text));
        }
        let picked = self.picked.entry(node.payload.clone()).or_insert_with(|| Picked {
            release: Release {
                version: node.version.clone(),
                payload: node.payload.clone(),
                channels: Vec::new(),
                okd: reason.okd,
                url: node.url().map(str::to_owned),
                why: Vec::new(),
            },
            channels: BTreeSet::new(),
        });
        if node.version.is_before(&picked.release.version) {
            picked.release.version = node.version.clone();
        }
        for name in node.channels().into_iter().chain([reason.channel]) {
            if !picked.channels.contains(name) {
                picked.channels.insert(name.to_owned());
            }
        }
        if !picked.release.why.contains(&reason.text) {
            picked.release.why.push(reason.text.clone());
        }
    }

    /// Picks a version, if the graph has it.
    fn pick_version(&mut self, graph: &Graph, version: &Version, reason: &Reason<'_>) {
        if let Some(node) = graph.find(version) {
            self.pick(node, reason);
        }
    }

    /// Picks what is on the best way between two releases; without one, only says so.
    fn pick_route(&mut self, graph: &Graph, from: &Version, to: &Version, reason: &Reason<'_>) {
        let (Some(start), Some(end)) = (graph.place(from), graph.place(to)) else { return };
        let accept = &self.options.accept;
        let Some(route) = route(graph, accept, start, end) else {
            let text = format!("channel `{}` has no update path from {from} to {to}", reason.channel);
            return self.note(Note::warning("release.path", text));
        };
        explain::about_risks(graph, accept, &route, &mut self.result.notes);
        for place in route.nodes {
            self.pick(&graph.nodes()[place], reason);
        }
    }

    fn finish(mut self, wishes: &[Wish]) -> Result<Selection, SelectError<G::Error>> {
        // v1alpha2 takes an empty result for "nothing new"; the notes say which range has nothing.
        let may_be_empty = wishes.is_empty() || self.options.rules == Rules::V1Alpha2;
        if self.picked.is_empty() && self.problems.is_empty() && !may_be_empty {
            let ranges: Vec<&str> = self.result.notes.iter().map(|note| note.text.as_str()).collect();
            self.problems
                .push(Problem::new("release.none", "no release images found").hint(ranges.join("; ")));
        }
        if !self.problems.is_empty() {
            return Err(SelectError::Problems(self.problems));
        }
        let releases = self.picked.into_values().map(|picked| {
            let channels = picked.channels.into_iter().collect();
            Release { channels, ..picked.release }
        });
        self.result.releases = releases.collect();
        self.result
            .releases
            .sort_by(|a, b| a.version.cmp(&b.version).then_with(|| a.payload.cmp(&b.payload)));
        Ok(self.result)
    }
}
