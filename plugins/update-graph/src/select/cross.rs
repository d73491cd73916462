//! The path from the lowest wanted version in one channel to the highest in another.

use std::cmp::Reverse;
use std::rc::Rc;

use super::{Reason, Rules, Run, Wish};
use crate::ask::Graphs;
use crate::channel::{self, Line};
use crate::explain;
use crate::graph::Graph;
use crate::problem::{Note, SelectError};
use crate::version::Version;

/// The lowest and the highest version that a wish selected.
#[derive(Clone)]
pub(super) struct Ends {
    channel: String,
    okd: bool,
    start: Version,
    end: Version,
}

impl Ends {
    pub(super) fn new(wish: &Wish, start: &Version, end: &Version) -> Self {
        Self { channel: wish.channel.clone(), okd: wish.okd, start: start.clone(), end: end.clone() }
    }
}

impl<G: Graphs> Run<'_, G> {
    /// Picks the path between OpenShift channels, if more than one is wanted.
    ///
    /// Of channels with the same lowest or highest version it is the first of the configuration (oc-mirror takes
    /// any). A step that is not possible is a warning and ends the path; the highest version is picked anyway.
    pub(super) fn between_channels(&mut self) -> Result<(), SelectError<G::Error>> {
        let ends: Vec<Ends> = self.ends.iter().filter(|ends| !ends.okd).cloned().collect();
        if ends.len() < 2 {
            return Ok(());
        }
        let from = ends.iter().min_by_key(|ends| &ends.start);
        let to = ends.iter().min_by_key(|ends| Reverse(&ends.end));
        let (Some(from), Some(to)) = (from, to) else { return Ok(()) };
        let (source, target) = (self.asked.get(false, &from.channel)?, self.asked.get(false, &to.channel)?);
        if from.channel == to.channel {
            self.leg(&source, &from.channel, &from.start, &to.end);
            return Ok(());
        }
        let (Some((prefix, first)), Some((_, last))) =
            (channel::parse(&from.channel), channel::parse(&to.channel))
        else {
            let text = format!(
                "channels `{}` and `{}` are not both named like `stable-4.14`, so no path between them is searched for",
                from.channel, to.channel
            );
            self.note(Note::warning("release.path", text));
            return Ok(());
        };
        if first == last {
            self.enter(&target, &to.channel, &from.start, &to.end);
            return Ok(());
        }

        let mut at = source.latest().map_or_else(|| from.start.clone(), |node| node.version.clone());
        self.pick_version(&source, &from.start, &Reason::between(&from.channel, &from.start, &at));
        self.leg(&source, &from.channel, &from.start, &at);
        for line in self.stops(prefix, first, last)? {
            let (name, graph) = self.asked.line(false, prefix, line)?;
            let Some(latest) = graph.latest().filter(|_| graph.find(&at).is_some()) else {
                self.blocked(&name, &graph, &at);
                self.pick_version(&target, &to.end, &Reason::between(&to.channel, &at, &to.end));
                return Ok(());
            };
            self.leg(&graph, &name, &at, &latest.version);
            at = latest.version.clone();
        }
        self.enter(&target, &to.channel, &at, &to.end);
        Ok(())
    }

    /// Returns the minor versions between two, without these; v1alpha2 goes from one EUS release to the next.
    fn stops(&mut self, prefix: &str, first: Line, last: Line) -> Result<Vec<Line>, SelectError<G::Error>> {
        let lines = self.asked.lines(false, prefix, first, last)?;
        let step = if prefix == "eus" && self.options.rules == Rules::V1Alpha2 { 2 } else { 1 };
        Ok(lines.into_iter().step_by(step).skip(1).filter(|line| *line != last).collect())
    }

    /// Picks the last part of the path, in the channel of the highest version.
    fn enter(&mut self, graph: &Rc<Graph>, name: &str, from: &Version, to: &Version) {
        self.pick_version(graph, to, &Reason::between(name, from, to));
        match graph.find(from) {
            Some(_) => {
                self.pick_version(graph, from, &Reason::between(name, from, to));
                self.leg(graph, name, from, to);
            }
            None => self.blocked(name, graph, from),
        }
    }

    fn leg(&mut self, graph: &Rc<Graph>, name: &str, from: &Version, to: &Version) {
        self.pick_route(graph, from, to, &Reason::between(name, from, to));
    }

    fn blocked(&mut self, name: &str, graph: &Graph, at: &Version) {
        let text = match graph.is_empty() {
            true => format!("the path between channels ends at {at}: channel `{name}` has no releases"),
            false => format!("the path between channels ends at {at}, which channel `{name}` does not have"),
        };
        explain::push(&mut self.result.notes, Note::warning("release.path", text));
    }
}

impl<'a> Reason<'a> {
    fn between(channel: &'a str, from: &Version, to: &Version) -> Self {
        let text = format!("path between channels, from {from} to {to} in `{channel}`");
        Self { channel, okd: false, text }
    }
}
