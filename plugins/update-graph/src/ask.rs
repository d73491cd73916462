//! [`Graphs`]: where graphs come from, and [`Asked`]: the ones that a run knows already.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::channel::{self, Line};
use crate::graph::Graph;
use crate::problem::{Problem, SelectError};

/// How many minor versions one path may span.
const MOST_LINES: u64 = 100;

/// Where the graphs of channels come from.
pub trait Graphs {
    /// Why a graph could not be had.
    type Error;

    /// Returns the graph of a channel. A channel that does not exist has an empty one, as Cincinnati answers.
    fn get(&mut self, okd: bool, channel: &str) -> Result<Rc<Graph>, Self::Error>;
}

/// The graphs of a run; each is asked for once.
pub(crate) struct Asked<'a, G: Graphs> {
    graphs: &'a mut G,
    known: BTreeMap<(bool, String), Rc<Graph>>,
}

impl<'a, G: Graphs> Asked<'a, G> {
    pub(crate) fn new(graphs: &'a mut G) -> Self {
        Self { graphs, known: BTreeMap::new() }
    }

    pub(crate) fn get(&mut self, okd: bool, channel: &str) -> Result<Rc<Graph>, SelectError<G::Error>> {
        let key = (okd, channel.to_owned());
        if let Some(graph) = self.known.get(&key) {
            return Ok(Rc::clone(graph));
        }
        let graph = self.graphs.get(okd, channel).map_err(SelectError::Graphs)?;
        self.known.insert(key, Rc::clone(&graph));
        Ok(graph)
    }

    /// Returns a graph that only makes a hint better. That it cannot be had must not hide the problem, so the
    /// channel then counts as empty.
    pub(crate) fn probe(&mut self, okd: bool, channel: &str) -> Rc<Graph> {
        self.get(okd, channel).unwrap_or_else(|_| {
            let empty = Rc::new(Graph::empty());
            self.known.insert((okd, channel.to_owned()), Rc::clone(&empty));
            empty
        })
    }

    /// Returns the channel of a minor version. There are `eus` channels for even minor versions only; `stable` has
    /// what lies between.
    pub(crate) fn line(
        &mut self,
        okd: bool,
        prefix: &str,
        line: Line,
    ) -> Result<(String, Rc<Graph>), SelectError<G::Error>> {
        let is_eus = prefix == "eus";
        if !(is_eus && line.1 % 2 == 1) {
            let name = channel::name(prefix, line);
            let graph = self.get(okd, &name)?;
            if !(is_eus && graph.is_empty()) {
                return Ok((name, graph));
            }
        }
        let name = channel::name("stable", line);
        Ok((name.clone(), self.get(okd, &name)?))
    }

    /// Returns the minor versions from one to another, both included; none if they are the wrong way round. The last
    /// one of a major version is where channels end.
    pub(crate) fn lines(
        &mut self,
        okd: bool,
        prefix: &str,
        from: Line,
        to: Line,
    ) -> Result<Vec<Line>, SelectError<G::Error>> {
        let mut lines = Vec::new();
        let mut line = from;
        while line <= to {
            lines.push(line);
            if lines.len() as u64 > MOST_LINES {
                let text = format!(
                    "more than {MOST_LINES} minor versions lie between {} and {}",
                    text(from),
                    text(to)
                );
                return Err(Problem::new("release.range", text).into());
            }
            let next = (line.0, line.1.saturating_add(1));
            let is_last = line.0 < to.0 && self.line(okd, prefix, next)?.1.is_empty();
            line = if is_last { (line.0 + 1, 0) } else { next };
        }
        Ok(lines)
    }
}

fn text(line: Line) -> String {
    format!("{}.{}", line.0, line.1)
}
