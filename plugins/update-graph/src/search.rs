//! [`route`]: the best way from one release to another.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use crate::graph::{Edge, Graph, Risk};

/// Which risks of conditional updates are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Accept {
    /// None.
    #[default]
    Nothing,
    /// Every one.
    All,
    /// Those with these names.
    Named(BTreeSet<String>),
}

impl Accept {
    /// Tells whether a conditional update with these risks is as good as an unconditional one. One that does not
    /// say what its risks are is only accepted with all.
    pub(crate) fn covers(&self, risks: &[Risk]) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Named(names) => !risks.is_empty() && risks.iter().all(|risk| names.contains(&risk.name)),
        }
    }
}

/// A way through a graph.
pub(crate) struct Route {
    /// The places of the releases, both ends included.
    pub nodes: Vec<usize>,
    /// A shorter way, which has more updates with risks that are not accepted.
    pub shorter: Option<Vec<usize>>,
}

/// Finds the way with the fewest updates whose risks are not accepted, and of these the shortest.
///
/// Of equally good ways it is the one whose first release that differs is the highest. That is what a breadth-first
/// search finds that tries neighbours by descending version.
pub(crate) fn route(graph: &Graph, accept: &Accept, start: usize, end: usize) -> Option<Route> {
    let accepted: Vec<bool> = graph.conditions().iter().map(|risks| accept.covers(risks)).collect();
    let risky = |edge: &Edge| edge.condition().is_some_and(|condition| !accepted[condition]);
    let careful = |edge: &Edge, _| (u32::from(risky(edge)), 0, 1);
    let hasty = |edge: &Edge, _| (0, 1, u32::from(risky(edge)));

    let (nodes, (_, _, steps)) = cheapest(graph, careful, start, end)?;
    if accepted.iter().all(|accepted| *accepted) {
        return Some(Route { nodes, shorter: None });
    }
    let shorter = cheapest(graph, hasty, start, end);
    let shorter = shorter.filter(|(_, (_, length, _))| *length < steps).map(|(nodes, _)| nodes);
    Some(Route { nodes, shorter })
}

/// Finds the way with the fewest updates whose risks are not accepted; of these the one with the fewest releases that
/// are not preferred, and of these the shortest.
pub(crate) fn route_through(
    graph: &Graph,
    accept: &Accept,
    start: usize,
    end: usize,
    preferred: impl Fn(usize) -> bool,
) -> Option<Route> {
    let accepted: Vec<bool> = graph.conditions().iter().map(|risks| accept.covers(risks)).collect();
    let risky = |edge: &Edge| edge.condition().is_some_and(|condition| !accepted[condition]);
    let cost = |edge: &Edge, to| (u32::from(risky(edge)), u32::from(!preferred(to)), 1);
    cheapest(graph, cost, start, end).map(|(nodes, _)| Route { nodes, shorter: None })
}

type Cost = (u32, u32, u32);

/// Finds the way with the least sum of costs, which are compared place by place; each update costs something. The cost
/// of an update also depends on the release it leads to.
fn cheapest(
    graph: &Graph,
    cost: impl Fn(&Edge, usize) -> Cost,
    start: usize,
    end: usize,
) -> Option<(Vec<usize>, Cost)> {
    // From the end backwards, so that each release on the way knows what is left from there (Dijkstra).
    let mut left: Vec<Option<Cost>> = vec![None; graph.nodes().len()];
    let mut queue = BinaryHeap::from([Reverse(((0, 0, 0), end))]);
    left[end] = Some((0, 0, 0));
    while let Some(Reverse((known, node))) = queue.pop() {
        if node == start {
            break;
        }
        if left[node] != Some(known) {
            continue;
        }
        for edge in graph.updates_to(node) {
            let sum = add(known, cost(edge, node));
            let before = edge.to as usize;
            if left[before].is_none_or(|best| sum < best) {
                left[before] = Some(sum);
                queue.push(Reverse((sum, before)));
            }
        }
    }

    let total = left[start]?;
    let mut nodes = vec![start];
    let (mut at, mut rest) = (start, total);
    while at != end {
        // Releases with less left than `rest` are settled, although the search stopped at the start.
        let next = graph.updates(at).iter().find_map(|edge| {
            let after = left[edge.to as usize]?;
            (add(after, cost(edge, edge.to as usize)) == rest).then_some((edge.to as usize, after))
        });
        (at, rest) = next?;
        nodes.push(at);
    }
    Some((nodes, total))
}

fn add(left: Cost, right: Cost) -> Cost {
    (left.0 + right.0, left.1 + right.1, left.2 + right.2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{graph, version};
    use rstest::rstest;

    const DIAMOND: &str = "1.0.0>1.1.0 1.0.0>1.2.0 1.1.0>1.3.0 1.2.0>1.3.0";
    const CYCLE: &str = "1.0.0>1.1.0 1.1.0>1.2.0 1.2.0>1.0.0 1.2.0>1.3.0";
    const LONGER_BUT_SAFE: &str = "1.0.0>1.1.0 1.1.0>1.3.0 1.0.0?A>1.3.0";
    const RISKY: &str = "1.0.0?A>1.2.0 1.2.0?B>1.3.0 1.0.0>1.1.0 1.1.0?C>1.3.0";

    #[rstest]
    #[case(DIAMOND, "", "1.0.0 1.2.0 1.3.0", "")]
    #[case(CYCLE, "", "1.0.0 1.1.0 1.2.0 1.3.0", "")]
    #[case(LONGER_BUT_SAFE, "", "1.0.0 1.1.0 1.3.0", "1.0.0 1.3.0")]
    #[case(LONGER_BUT_SAFE, "A", "1.0.0 1.3.0", "")]
    #[case(LONGER_BUT_SAFE, "*", "1.0.0 1.3.0", "")]
    #[case(LONGER_BUT_SAFE, "B", "1.0.0 1.1.0 1.3.0", "1.0.0 1.3.0")]
    #[case(RISKY, "", "1.0.0 1.1.0 1.3.0", "")]
    #[case(RISKY, "A B", "1.0.0 1.2.0 1.3.0", "")]
    // Unconditional wins over a condition on the same update.
    #[case("1.0.0?A>1.3.0 1.0.0>1.3.0", "", "1.0.0 1.3.0", "")]
    // All risks of an update have to be accepted.
    #[case("1.0.0?A>1.3.0 1.0.0?B>1.3.0 1.0.0>1.1.0 1.1.0>1.3.0", "A", "1.0.0 1.1.0 1.3.0", "1.0.0 1.3.0")]
    #[case("1.0.0>1.1.0 1.2.0>1.3.0", "", "", "")]
    fn routes(#[case] edges: &str, #[case] accept: &str, #[case] expected: &str, #[case] shorter: &str) {
        let graph = graph("c", edges);
        let accept = match accept {
            "" => Accept::Nothing,
            "*" => Accept::All,
            names => Accept::Named(names.split(' ').map(str::to_owned).collect()),
        };
        let place = |text: &str| graph.place(&version(text)).expect("a node");
        let found = route(&graph, &accept, place("1.0.0"), place("1.3.0"));
        let text = |nodes: &[usize]| {
            nodes.iter().map(|n| graph.nodes()[*n].version.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(found.as_ref().map_or(String::new(), |route| text(&route.nodes)), expected);
        assert_eq!(
            found.and_then(|route| route.shorter).map_or(String::new(), |nodes| text(&nodes)),
            shorter
        );
    }

    #[test]
    fn nowhere_to_go() {
        let graph = graph("c", "1.0.0>1.1.0");
        let found = route(&graph, &Accept::Nothing, 0, 0).expect("a way");
        assert_eq!((found.nodes, found.shorter), (vec![0], None));
    }

    #[rstest]
    #[case("", "1.0.0 1.2.0 1.3.0")]
    #[case("1.1.0", "1.0.0 1.1.0 1.3.0")]
    fn what_is_preferred_is_used(#[case] preferred: &str, #[case] expected: &str) {
        let graph = graph("c", DIAMOND);
        let place = |text: &str| graph.place(&version(text)).expect("a node");
        let is_preferred = |node: usize| graph.nodes()[node].version.to_string() == preferred;
        let found = route_through(&graph, &Accept::Nothing, place("1.0.0"), place("1.3.0"), is_preferred);
        let nodes = found.expect("a way").nodes;
        let versions: Vec<_> = nodes.iter().map(|n| graph.nodes()[*n].version.to_string()).collect();
        assert_eq!(versions.join(" "), expected);
    }

    #[test]
    fn unnamed_risks_are_only_accepted_with_all() {
        assert!(Accept::All.covers(&[]));
        assert!(!Accept::Named(BTreeSet::new()).covers(&[]));
    }
}
