//! [`Graph`]: the releases of a channel and the updates between them, as Cincinnati lists them.

mod build;
mod merge;
mod parse;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub(crate) use build::{Edge, Edges};
pub(crate) use merge::merge;

use crate::version::Version;

/// How many releases a graph may have; the largest real one has some thousand.
pub const MOST_NODES: usize = 100_000;
/// How many updates a graph may have, the conditional ones included.
pub const MOST_EDGES: usize = 5_000_000;

const CHANNELS: &str = "io.openshift.upgrades.graph.release.channels";

/// A release in a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The version.
    pub version: Version,
    /// The release image, usually by digest.
    pub payload: String,
    /// What else the update service says.
    pub metadata: BTreeMap<String, String>,
}

impl Node {
    /// Returns the channels that have the release, in the order of the metadata.
    pub fn channels(&self) -> Vec<&str> {
        let names = self.metadata.get(CHANNELS).map_or("", String::as_str);
        names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
    }

    /// Returns the address of the release's advisory.
    pub fn url(&self) -> Option<&str> {
        self.metadata.get("url").map(String::as_str).filter(|url| !url.is_empty())
    }
}

/// A reason why an update is not recommended to everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Risk {
    /// The name, by which it can be accepted.
    pub name: String,
    /// What may go wrong.
    pub message: String,
    /// Where there is more about it.
    pub url: String,
    /// To which clusters it applies: `Always`, or the text of a PromQL query.
    pub rules: Vec<String>,
}

/// The graph of a channel. Immutable.
#[derive(Clone, Debug)]
pub struct Graph {
    nodes: Vec<Node>,
    /// The places of all nodes, by descending version; equal versions as they are listed.
    descending: Vec<u32>,
    out: Edges,
    into: Edges,
    conditions: Vec<Vec<Risk>>,
}

impl Graph {
    /// The graph of a channel that does not exist.
    pub fn empty() -> Self {
        build::Parts::default().build()
    }

    /// Returns the releases as the update service listed them.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Returns the first listed release of a version.
    pub fn find(&self, version: &Version) -> Option<&Node> {
        self.place(version).map(|place| &self.nodes[place])
    }

    /// Returns the lowest release.
    pub fn first(&self) -> Option<&Node> {
        // Of releases with the same version, the one that `find` returns.
        self.descending.last().and_then(|place| self.find(&self.nodes[*place as usize].version))
    }

    /// Returns the highest release.
    pub fn latest(&self) -> Option<&Node> {
        self.descending.first().map(|place| &self.nodes[*place as usize])
    }

    /// Tells whether there are no releases, as in a channel that does not exist.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Returns the channels that the releases are in.
    pub fn channels(&self) -> BTreeSet<&str> {
        self.nodes.iter().flat_map(Node::channels).collect()
    }

    /// Returns the releases by ascending version.
    pub fn ascending(&self) -> impl Iterator<Item = &Node> {
        self.descending.iter().rev().map(|place| &self.nodes[*place as usize])
    }

    /// Returns the releases from one version to another, both included, by ascending version.
    pub fn between(&self, min: &Version, max: &Version) -> impl Iterator<Item = &Node> + use<'_> {
        let version = |place: &u32| &self.nodes[*place as usize].version;
        let start = self.descending.partition_point(|place| version(place) > max);
        let end = self.descending.partition_point(|place| version(place) >= min);
        let wanted = self.descending.get(start..end).unwrap_or_default();
        wanted.iter().rev().map(|place| &self.nodes[*place as usize])
    }

    /// Returns the risks of an update; none for one that is recommended to everybody or does not exist.
    pub fn risks(&self, from: &Version, to: &Version) -> &[Risk] {
        let edge = self.place(from).zip(self.place(to)).and_then(|(from, to)| self.edge(from, to));
        edge.map_or(&[], |edge| self.risks_of(edge))
    }

    /// Returns all updates: the places of both releases in [`Graph::nodes`], and the risks.
    pub fn all_updates(&self) -> impl Iterator<Item = (usize, usize, &[Risk])> {
        (0..self.nodes.len()).flat_map(move |from| {
            self.updates(from).iter().map(move |edge| (from, edge.to as usize, self.risks_of(*edge)))
        })
    }

    /// Returns the releases by ascending version, with their places.
    pub fn placed_ascending(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.descending.iter().rev().map(|place| (*place as usize, &self.nodes[*place as usize]))
    }

    pub(crate) fn place(&self, version: &Version) -> Option<usize> {
        let at = self.descending.partition_point(|place| self.nodes[*place as usize].version > *version);
        let place = *self.descending.get(at)? as usize;
        (self.nodes[place].version == *version).then_some(place)
    }

    /// Returns the updates from a release, by descending version.
    pub(crate) fn updates(&self, from: usize) -> &[Edge] {
        self.out.of(from)
    }

    /// Returns the updates to a release; `to` of each is where it starts.
    pub(crate) fn updates_to(&self, to: usize) -> &[Edge] {
        self.into.of(to)
    }

    pub(crate) fn edge(&self, from: usize, to: usize) -> Option<Edge> {
        self.updates(from).iter().copied().find(|edge| edge.to as usize == to)
    }

    pub(crate) fn risks_of(&self, edge: Edge) -> &[Risk] {
        edge.condition().map_or(&[], |condition| &self.conditions[condition])
    }

    /// Returns the sets of risks that conditional updates refer to.
    pub(crate) fn conditions(&self) -> &[Vec<Risk>] {
        &self.conditions
    }

    pub(crate) fn edge_count(&self) -> usize {
        self.out.len()
    }
}
