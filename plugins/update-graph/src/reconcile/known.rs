//! [`Known`]: graphs that were asked for already, alone and joined.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::ask::{Asked, Graphs};
use crate::channel::Line;
use crate::graph::{Graph, merge};
use crate::join::{Joined, join};
use crate::problem::SelectError;

/// Which channels are joined: those of a kind from one minor version to another.
type Span = (bool, String, Line, Line);

/// Graphs; each is asked for and joined once.
pub(crate) struct Known<'a, G: Graphs> {
    graphs: &'a mut G,
    channels: BTreeMap<(bool, String), Rc<Graph>>,
    joined: BTreeMap<Span, Rc<Joined>>,
}

impl<'a, G: Graphs> Known<'a, G> {
    pub(crate) fn new(graphs: &'a mut G) -> Self {
        Self { graphs, channels: BTreeMap::new(), joined: BTreeMap::new() }
    }

    /// Returns the channels of all minor versions between two as one; nothing where there are too many of them.
    pub(crate) fn joined(
        &mut self,
        okd: bool,
        prefix: &str,
        from: Line,
        to: Line,
    ) -> Result<Option<Rc<Joined>>, G::Error> {
        let key = (okd, prefix.to_owned(), from, to);
        if let Some(joined) = self.joined.get(&key) {
            return Ok(Some(Rc::clone(joined)));
        }
        let joined = match join(&mut Asked::new(self), okd, prefix, (from, to), None) {
            Ok(joined) => Rc::new(joined),
            Err(SelectError::Graphs(error)) => return Err(error),
            Err(SelectError::Problems(_)) => return Ok(None),
        };
        self.joined.insert(key, Rc::clone(&joined));
        Ok(Some(joined))
    }

    /// Returns some channels as one, those without releases left out.
    pub(crate) fn named(&mut self, okd: bool, names: &[&str]) -> Result<Option<Rc<Joined>>, G::Error> {
        let (mut channels, mut graphs) = (Vec::new(), Vec::new());
        for name in names {
            let graph = self.get(okd, name)?;
            if !graph.is_empty() && !channels.iter().any(|known| known == name) {
                channels.push((*name).to_owned());
                graphs.push(graph);
            }
        }
        let merged = if graphs.is_empty() { None } else { merge(&graphs).ok() };
        Ok(merged.map(|graph| Rc::new(Joined { channels, graph })))
    }
}

impl<G: Graphs> Graphs for Known<'_, G> {
    type Error = G::Error;

    fn get(&mut self, okd: bool, channel: &str) -> Result<Rc<Graph>, G::Error> {
        let key = (okd, channel.to_owned());
        if let Some(graph) = self.channels.get(&key) {
            return Ok(Rc::clone(graph));
        }
        let graph = self.graphs.get(okd, channel)?;
        self.channels.insert(key, Rc::clone(&graph));
        Ok(graph)
    }
}
