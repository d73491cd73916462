//! [`Joined`]: the graph in which a path is searched for, of one channel or of several.

use std::rc::Rc;

use crate::ask::{Asked, Graphs};
use crate::channel::{self, Line};
use crate::explain;
use crate::graph::{Graph, merge};
use crate::problem::SelectError;
use crate::version::Version;

/// Channels and their graphs as one.
pub(crate) struct Joined {
    pub channels: Vec<String>,
    pub graph: Rc<Graph>,
}

/// Returns a channel's graph. If `from` is not in it and of an earlier minor version than the channel is for, as for
/// an EUS-to-EUS update, the channels of the minor versions from there on are joined to it. A channel without
/// releases is a problem.
pub(crate) fn reaching_back<G: Graphs>(
    asked: &mut Asked<'_, G>,
    okd: bool,
    name: &str,
    from: &Version,
) -> Result<Joined, SelectError<G::Error>> {
    let graph = asked.get(okd, name)?;
    if graph.is_empty() {
        return Err(explain::no_channel(asked, okd, name).into());
    }
    let is_missing = graph.find(from).is_none();
    match channel::parse(name).filter(|(_, line)| is_missing && from.line() < *line) {
        Some((prefix, line)) => join(asked, okd, prefix, (from.line(), line), Some(name)),
        None => Ok(Joined { channels: vec![name.to_owned()], graph }),
    }
}

/// Joins the channels of all minor versions from one to another; `last` is the channel of the last one. Channels
/// without releases are left out.
pub(crate) fn join<G: Graphs>(
    asked: &mut Asked<'_, G>,
    okd: bool,
    prefix: &str,
    (from, to): (Line, Line),
    last: Option<&str>,
) -> Result<Joined, SelectError<G::Error>> {
    let (mut channels, mut graphs) = (Vec::new(), Vec::new());
    for line in asked.lines(okd, prefix, from, to)? {
        let (name, graph) = match last.filter(|_| line == to) {
            Some(name) => (name.to_owned(), asked.get(okd, name)?),
            None => asked.line(okd, prefix, line)?,
        };
        if !graph.is_empty() {
            channels.push(name);
            graphs.push(graph);
        }
    }
    Ok(Joined { channels, graph: merge(&graphs)? })
}
