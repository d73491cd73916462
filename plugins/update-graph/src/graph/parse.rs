//! Reads what Cincinnati answers.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

use serde::Deserialize;

use super::build::Parts;
use super::{Graph, MOST_EDGES, MOST_NODES, Node, Risk};
use crate::problem::Problem;
use crate::version::Version;

// Go writes empty slices as `null`, so every list is optional.
#[derive(Deserialize)]
struct Document {
    // It has to be there, or an error in JSON would pass for a channel without releases.
    #[serde(deserialize_with = "Deserialize::deserialize")]
    nodes: Option<Vec<NodeDocument>>,
    edges: Option<Vec<(u64, u64)>>,
    #[serde(rename = "conditionalEdges")]
    conditional: Option<Vec<GroupDocument>>,
}

#[derive(Deserialize)]
struct NodeDocument {
    version: String,
    payload: Option<String>,
    metadata: Option<BTreeMap<String, Option<String>>>,
}

#[derive(Deserialize)]
struct GroupDocument {
    edges: Option<Vec<EdgeDocument>>,
    risks: Option<Vec<RiskDocument>>,
}

#[derive(Deserialize)]
struct EdgeDocument {
    from: String,
    to: String,
}

#[derive(Deserialize)]
struct RiskDocument {
    name: Option<String>,
    message: Option<String>,
    url: Option<String>,
    #[serde(rename = "matchingRules")]
    rules: Option<Vec<RuleDocument>>,
}

#[derive(Deserialize)]
struct RuleDocument {
    #[serde(rename = "type")]
    kind: Option<String>,
    promql: Option<QueryDocument>,
}

#[derive(Deserialize)]
struct QueryDocument {
    promql: Option<String>,
}

impl Graph {
    /// Reads the answer of the update service.
    ///
    /// Unknown fields are ignored. A problem (`release.graph`) is what cannot be a graph: broken JSON, versions that
    /// are none, edges to nodes that do not exist, and more than [`MOST_NODES`] or [`MOST_EDGES`]. Conditional edges
    /// of versions that are not in the graph are left out: the service lists them for all channels.
    pub fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let document: Document = serde_json::from_slice(bytes).map_err(|error| broken(&error))?;
        let nodes = document.nodes.unwrap_or_default();
        let edges = document.edges.unwrap_or_default();
        let groups = document.conditional.unwrap_or_default();
        let conditional: usize = groups.iter().filter_map(|group| group.edges.as_ref()).map(Vec::len).sum();
        check_size("nodes", nodes.len(), MOST_NODES)?;
        check_size("edges", edges.len() + conditional, MOST_EDGES)?;

        let mut parts = Parts::default();
        for (place, node) in nodes.into_iter().enumerate() {
            parts.nodes.push(node.read(place)?);
        }
        for (place, (from, to)) in edges.into_iter().enumerate() {
            let count = parts.nodes.len() as u64;
            if from >= count || to >= count {
                let text =
                    format!("edge {place} goes from node {from} to node {to}, but there are {count} nodes");
                return Err(broken(&text));
            }
            parts.plain.push((from as u32, to as u32));
        }
        add_conditional(&mut parts, groups);
        Ok(parts.build())
    }
}

impl NodeDocument {
    fn read(self, place: usize) -> Result<Node, Problem> {
        let version =
            Version::parse(&self.version).map_err(|error| broken(&format!("node {place}: {error}")))?;
        let metadata = self.metadata.unwrap_or_default();
        let metadata = metadata.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        Ok(Node { version, payload: self.payload.unwrap_or_default(), metadata })
    }
}

impl RiskDocument {
    fn read(self) -> Risk {
        let rules = self.rules.unwrap_or_default().into_iter().map(RuleDocument::read).collect();
        Risk {
            name: self.name.unwrap_or_default(),
            message: self.message.unwrap_or_default(),
            url: self.url.unwrap_or_default(),
            rules,
        }
    }
}

impl RuleDocument {
    fn read(self) -> String {
        let query = self.promql.and_then(|query| query.promql);
        let query = query.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
        match (self.kind.as_deref(), query) {
            (Some("Always") | None, None) => "Always".to_owned(),
            (Some("PromQL") | None, Some(query)) => format!("PromQL: {query}"),
            (Some(kind), None) => kind.to_owned(),
            (Some(kind), Some(query)) => format!("{kind}: {query}"),
        }
    }
}

fn add_conditional(parts: &mut Parts, groups: Vec<GroupDocument>) {
    let mut places: HashMap<String, u32> = HashMap::new();
    let mut by_version: HashMap<Version, u32> = HashMap::new();
    for (place, node) in parts.nodes.iter().enumerate() {
        places.entry(node.version.to_string()).or_insert(place as u32);
        by_version.entry(node.version.clone()).or_insert(place as u32);
    }
    let find = |text: &str| match places.get(text) {
        Some(place) => Some(*place),
        None => by_version.get(&Version::parse(text).ok()?).copied(),
    };
    for group in groups {
        let place = parts.groups.len() as u32;
        for edge in group.edges.unwrap_or_default() {
            if let (Some(from), Some(to)) = (find(&edge.from), find(&edge.to)) {
                parts.conditional.push((from, to, place));
            }
        }
        parts.groups.push(group.risks.unwrap_or_default().into_iter().map(RiskDocument::read).collect());
    }
}

fn broken(error: &dyn Display) -> Problem {
    Problem::new("release.graph", format!("the update service's answer is not an update graph: {error}"))
        .hint("try again, or check the address of the update service")
}

fn check_size(what: &str, count: usize, most: usize) -> Result<(), Problem> {
    if count <= most {
        return Ok(());
    }
    let text = format!("the update graph has {count} {what}; at most {most} are read");
    Err(Problem::new("release.graph", text).hint("check the address of the update service"))
}
