//! [`merge`]: several channels as one graph.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::build::Parts;
use super::{CHANNELS, Graph, MOST_EDGES, MOST_NODES};
use crate::problem::Problem;
use crate::version::Version;

/// Makes one graph of several: releases of the same version are one, with the first payload and all channels.
pub(crate) fn merge(graphs: &[Rc<Graph>]) -> Result<Rc<Graph>, Problem> {
    if let [graph] = graphs {
        return Ok(Rc::clone(graph));
    }
    let edges: usize = graphs.iter().map(|graph| graph.edge_count()).sum();
    let nodes: usize = graphs.iter().map(|graph| graph.nodes.len()).sum();
    if edges > MOST_EDGES || nodes > MOST_NODES {
        let text = format!("{} channels have {nodes} releases and {edges} updates together", graphs.len());
        return Err(Problem::new("release.graph", text).hint("ask for versions that are closer together"));
    }

    let mut parts = Parts::default();
    let mut places: BTreeMap<&Version, u32> = BTreeMap::new();
    for graph in graphs {
        let new: Vec<u32> = graph.nodes.iter().map(|node| add(&mut parts, &mut places, node)).collect();
        let groups = parts.groups.len() as u32;
        parts.groups.extend(graph.conditions.iter().cloned());
        for (from, place) in new.iter().enumerate() {
            for edge in graph.updates(from) {
                let to = new[edge.to as usize];
                match edge.condition() {
                    None => parts.plain.push((*place, to)),
                    Some(condition) => parts.conditional.push((*place, to, groups + condition as u32)),
                }
            }
        }
    }
    Ok(Rc::new(parts.build()))
}

fn add<'a>(parts: &mut Parts, places: &mut BTreeMap<&'a Version, u32>, node: &'a super::Node) -> u32 {
    let place = *places.entry(&node.version).or_insert(parts.nodes.len() as u32);
    match parts.nodes.get_mut(place as usize) {
        None => parts.nodes.push(node.clone()),
        Some(known) => {
            let mut channels = known.channels();
            let more: Vec<&str> =
                node.channels().into_iter().filter(|name| !channels.contains(name)).collect();
            channels.extend(more);
            let channels = channels.join(",");
            if !channels.is_empty() {
                known.metadata.insert(CHANNELS.to_owned(), channels);
            }
        }
    }
    place
}
