//! What one wish selects in its channel.

use std::rc::Rc;

use super::cross::Ends;
use super::{Reason, Rules, Run, Span, Wish};
use crate::ask::Graphs;
use crate::explain;
use crate::graph::{Graph, Node};
use crate::join::{Joined, reaching_back};
use crate::problem::{Note, Problem, SelectError};
use crate::version::Version;

impl<G: Graphs> Run<'_, G> {
    pub(super) fn wish(&mut self, wish: &Wish) -> Result<(), SelectError<G::Error>> {
        let graph = self.asked.get(wish.okd, &wish.channel)?;
        let (Some(first), Some(latest)) = (graph.first(), graph.latest()) else {
            return Err(explain::no_channel(&mut self.asked, wish.okd, &wish.channel).into());
        };
        if let (Some(min), Some(max)) = (&wish.min, &wish.max)
            && min > max
        {
            let text = format!("channel `{}`: the minimum {min} is above the maximum {max}", wish.channel);
            return Err(Problem::new("release.range", text)
                .hint("exchange `minVersion` and `maxVersion`")
                .into());
        }
        let span = self.span(wish, &graph, &first.version, &latest.version);
        self.advise_eus(wish);
        let ends = match wish.shortest_path {
            true => Some(self.shortest(wish, &span)?),
            false => self.range(wish, &graph, &span)?,
        };
        self.since_last_time(wish, &graph, &span);
        self.result.spans.insert(wish.channel.clone(), span);
        self.ends.extend(ends);
        Ok(())
    }

    /// Fills in the minimum and maximum that are not given.
    fn span(&mut self, wish: &Wish, graph: &Graph, first: &Version, latest: &Version) -> Span {
        let max = wish.max.as_ref().unwrap_or(latest).clone();
        if !wish.is_head_only() {
            return Span { min: wish.min.as_ref().unwrap_or(first).clone(), max };
        }
        let mut min = latest.clone();
        if self.options.rules == Rules::V1Alpha2 {
            // A head above the latest release is from before the channel lost some.
            let head = self.options.heads.get(&wish.channel).filter(|head| *head < latest);
            min = head.unwrap_or(latest).clone();
            // A path has to begin somewhere, and nobody wrote the head into a configuration where it can be changed.
            if let Some(next) = graph.between(&min, latest).next().filter(|_| wish.shortest_path) {
                min = next.version.clone();
            }
            self.result.heads.insert(wish.channel.clone(), min.clone());
        }
        Span { min, max }
    }

    fn range(
        &mut self,
        wish: &Wish,
        graph: &Graph,
        span: &Span,
    ) -> Result<Option<Ends>, SelectError<G::Error>> {
        let Span { min, max } = span;
        let wanted: Vec<&Node> = graph.between(min, max).collect();
        let (Some(start), Some(end)) = (wanted.first(), wanted.last()) else {
            if wish.min.is_some() && wish.min == wish.max {
                let channels = std::slice::from_ref(&wish.channel);
                return Err(explain::no_version(&mut self.asked, wish.okd, channels, graph, min).into());
            }
            self.note(outside(wish, graph));
            return Ok(None);
        };
        let text = match wish.is_head_only() {
            true if min == max => format!("latest of channel `{}`", wish.channel),
            true => format!("channel `{}` since {min}", wish.channel),
            false => format!("channel `{}` from {min} to {max}", wish.channel),
        };
        let reason = Reason { channel: &wish.channel, okd: wish.okd, text };
        for node in &wanted {
            self.pick(node, &reason);
        }
        Ok(Some(Ends::new(wish, &start.version, &end.version)))
    }

    fn shortest(&mut self, wish: &Wish, span: &Span) -> Result<Ends, SelectError<G::Error>> {
        let Span { min, max } = span;
        let Joined { channels, graph } = reaching_back(&mut self.asked, wish.okd, &wish.channel, min)?;
        let mut problems = Vec::new();
        for version in [min, max] {
            if graph.find(version).is_none() {
                let problem = explain::no_version(&mut self.asked, wish.okd, &channels, &graph, version);
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
        }
        if !problems.is_empty() {
            return Err(SelectError::Problems(problems));
        }
        if channels.len() > 1 {
            let text = format!(
                "channel `{}` does not have {min}; the path to {max} was searched for in {}",
                wish.channel,
                explain::quoted(&channels)
            );
            self.note(Note::info("release.joined", text));
        }
        let text = format!("path from {min} to {max} in channel `{}`", wish.channel);
        let reason = Reason { channel: &wish.channel, okd: wish.okd, text };
        self.pick_version(&graph, min, &reason);
        self.pick_version(&graph, max, &reason);
        self.pick_route(&graph, min, max, &reason);
        let own = self.asked.get(wish.okd, &wish.channel)?;
        Ok(Ends::new(wish, lowest_of(&own, min), max))
    }

    /// v1alpha2: from a lower minimum to the last one, and from the last maximum to a higher one.
    fn since_last_time(&mut self, wish: &Wish, graph: &Rc<Graph>, span: &Span) {
        let Some(past) = self.past.get(&wish.channel).filter(|_| self.options.rules == Rules::V1Alpha2)
        else {
            return;
        };
        let mut missing = Vec::new();
        for (from, to) in [(&span.min, &past.min), (&past.max, &span.max)] {
            if from >= to {
                continue;
            }
            let text = format!("path from {from} to {to} in channel `{}`, since the last run", wish.channel);
            let reason = Reason { channel: &wish.channel, okd: wish.okd, text };
            self.pick_version(graph, from, &reason);
            self.pick_version(graph, to, &reason);
            self.pick_route(graph, from, to, &reason);
            missing.extend([from, to].into_iter().filter(|version| graph.find(version).is_none()));
        }
        for version in missing {
            let text = format!(
                "channel `{}` does not have {version}, so there is no path between it and what was mirrored before",
                wish.channel
            );
            self.note(Note::warning("release.past", text));
        }
    }

    /// Says once, as oc-mirror v2 does, that a range of EUS releases is no update path.
    fn advise_eus(&mut self, wish: &Wish) {
        let (Some(min), Some(max)) = (&wish.min, &wish.max) else { return };
        let is_far = min.major() == max.major() && max.minor() >= min.minor() + 2;
        let is_known = self.result.notes.iter().any(|note| note.code == "release.eus");
        if wish.shortest_path || is_known || !is_far || !wish.channel.contains("eus") {
            return;
        }
        let text = format!(
            "channel `{}` is for EUS releases and the range spans more than one minor version; set `shortestPath` to \
             also get the releases in between that the update needs",
            wish.channel
        );
        self.note(Note::warning("release.eus", text));
    }
}

/// Returns `version`, or what stands for it in a channel that does not reach back so far.
fn lowest_of<'a>(graph: &'a Graph, version: &'a Version) -> &'a Version {
    match (graph.find(version), graph.first()) {
        (None, Some(first)) => &first.version,
        _ => version,
    }
}

fn outside(wish: &Wish, graph: &Graph) -> Note {
    let bounds = [("below", &wish.min), ("above", &wish.max)];
    let given: Vec<String> =
        bounds.iter().filter_map(|(word, bound)| Some(format!("not {word} {}", bound.as_ref()?))).collect();
    let has = graph.first().zip(graph.latest());
    let has = has
        .map_or(String::new(), |(first, latest)| format!("; it has {} to {}", first.version, latest.version));
    let text = format!("channel `{}` has no release that is {}{has}", wish.channel, given.join(" and "));
    Note::warning("release.range", text)
}
