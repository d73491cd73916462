//! [`Parts`]: the pieces of a graph, and how they are put into the order in which a search needs them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{Graph, Node, Risk};

const UNCONDITIONAL: u32 = u32::MAX;

/// An update, seen from one of its ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    /// The node at the other end.
    pub to: u32,
    condition: u32,
}

impl Edge {
    /// Returns the place of the risks; none if the update is recommended to everybody.
    pub(crate) fn condition(self) -> Option<usize> {
        (self.condition != UNCONDITIONAL).then_some(self.condition as usize)
    }
}

/// The updates of all nodes, those of a node next to each other.
#[derive(Clone, Debug)]
pub(crate) struct Edges {
    starts: Vec<u32>,
    edges: Vec<Edge>,
}

impl Edges {
    /// Groups `(from, to, condition)`, which are sorted by `from`.
    fn new(nodes: usize, sorted: impl Iterator<Item = (u32, u32, u32)>) -> Self {
        let mut starts = vec![0; nodes + 1];
        let mut edges = Vec::new();
        for (from, to, condition) in sorted {
            starts[from as usize + 1] += 1;
            edges.push(Edge { to, condition });
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        Self { starts, edges }
    }

    pub(crate) fn of(&self, node: usize) -> &[Edge] {
        &self.edges[self.starts[node] as usize..self.starts[node + 1] as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.edges.len()
    }
}

/// The pieces of a graph. All numbers are places that exist; the sizes are within the limits.
#[derive(Default)]
pub(super) struct Parts {
    pub nodes: Vec<Node>,
    /// Updates that are recommended to everybody.
    pub plain: Vec<(u32, u32)>,
    /// Sets of risks.
    pub groups: Vec<Vec<Risk>>,
    /// Conditional updates, each with the place of its group.
    pub conditional: Vec<(u32, u32, u32)>,
}

impl Parts {
    /// Makes the graph. Updates that do not lead to a higher version are dropped, since no cluster takes them and a graph
    /// that has some is not to be followed there; repeated ones are one; an update that is in `plain` has no condition.
    pub(super) fn build(self) -> Graph {
        let Self { nodes, plain, groups, conditional } = self;
        let mut descending: Vec<u32> = (0..nodes.len() as u32).collect();
        descending.sort_by_key(|place| Reverse(&nodes[*place as usize].version));
        let mut rank = vec![0; nodes.len()];
        for (at, place) in descending.iter().enumerate() {
            rank[*place as usize] = at as u32;
        }

        let (conditions, of_update) = conditions(groups, conditional);
        let mut edges: Vec<(u32, u32, u32)> = Vec::with_capacity(plain.len() + of_update.len());
        edges.extend(of_update.into_iter().map(|((from, to), condition)| (from, to, condition)));
        edges.extend(plain.into_iter().map(|(from, to)| (from, to, UNCONDITIONAL)));
        edges.retain(|(from, to, _)| nodes[*from as usize].version < nodes[*to as usize].version);
        edges.sort_unstable_by_key(|(from, to, condition)| (*from, rank[*to as usize], Reverse(*condition)));
        edges.dedup_by_key(|(from, to, _)| (*from, *to));

        let out = Edges::new(nodes.len(), edges.iter().copied());
        edges.sort_unstable_by_key(|(from, to, _)| (*to, rank[*from as usize]));
        let into =
            Edges::new(nodes.len(), edges.into_iter().map(|(from, to, condition)| (to, from, condition)));
        Graph { nodes, descending, out, into, conditions }
    }
}

/// The place of the risks of each conditional update.
type ConditionOf = BTreeMap<(u32, u32), u32>;

/// Returns the distinct sets of risks, and which of them each update has: the risks of all groups it is in.
fn conditions(groups: Vec<Vec<Risk>>, conditional: Vec<(u32, u32, u32)>) -> (Vec<Vec<Risk>>, ConditionOf) {
    let mut groups_of: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
    for (from, to, group) in conditional {
        let all = groups_of.entry((from, to)).or_default();
        if !all.contains(&group) {
            all.push(group);
        }
    }
    let mut known: BTreeMap<Vec<u32>, u32> = BTreeMap::new();
    let mut conditions: Vec<Vec<Risk>> = Vec::new();
    let of_update = groups_of.into_iter().map(|(update, members)| {
        let condition = *known.entry(members).or_insert_with_key(|members| {
            let mut risks: Vec<Risk> = Vec::new();
            for risk in members.iter().flat_map(|group| &groups[*group as usize]) {
                if !risks.contains(risk) {
                    risks.push(risk.clone());
                }
            }
            conditions.push(risks);
            conditions.len() as u32 - 1
        });
        (update, condition)
    });
    let of_update = of_update.collect();
    (conditions, of_update)
}
