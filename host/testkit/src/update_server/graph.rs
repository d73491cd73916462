//! [`GraphBuilder`]: the answer of an update service about one channel. Nodes keep the order in which they were added,
//! as real answers have them in any order.

use serde_json::{Map, Value, json};

const CHANNELS: &str = "io.openshift.upgrades.graph.release.channels";
const MANIFEST: &str = "io.openshift.upgrades.graph.release.manifestref";

/// Builds a graph of updates; what follows a node and needs one is said of the node added last.
#[derive(Clone, Debug, Default)]
pub struct GraphBuilder {
    nodes: Vec<Value>,
    edges: Vec<(String, String)>,
    conditional: Vec<Value>,
}

impl GraphBuilder {
    /// Starts an empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a version and the name of its payload, which should be by digest.
    pub fn node(mut self, version: &str, payload: &str) -> Self {
        let mut metadata = Map::new();
        metadata.insert("url".to_owned(), json!(format!("https://errata.example/{version}")));
        if let Some((_, digest)) = payload.split_once('@') {
            metadata.insert(MANIFEST.to_owned(), json!(digest));
        }
        self.nodes.push(json!({ "version": version, "payload": payload, "metadata": metadata }));
        self
    }

    /// Says which channels the last node is in.
    pub fn channels(self, channels: &[&str]) -> Self {
        self.metadata(CHANNELS, &channels.join(","))
    }

    /// Sets metadata of the last node.
    pub fn metadata(mut self, key: &str, value: &str) -> Self {
        self.nodes.last_mut().expect("metadata is of a node")["metadata"][key] = json!(value);
        self
    }

    /// Adds an update from one version to another; both must be nodes when the graph is built.
    pub fn edge(mut self, from: &str, to: &str) -> Self {
        self.edges.push((from.to_owned(), to.to_owned()));
        self
    }

    /// Adds updates through these versions, each to the one behind it.
    pub fn chain(self, versions: &[&str]) -> Self {
        versions.windows(2).fold(self, |graph, pair| graph.edge(pair[0], pair[1]))
    }

    /// Adds an update that is recommended only to clusters that a risk of this name does not concern.
    pub fn conditional(self, from: &str, to: &str, risk: &str) -> Self {
        self.conditional_on(&[(from, to)], &[risk])
    }

    /// Adds a group of updates that have the same risks.
    pub fn conditional_on(mut self, edges: &[(&str, &str)], risks: &[&str]) -> Self {
        let edges: Vec<Value> = edges.iter().map(|(from, to)| json!({ "from": from, "to": to })).collect();
        let risks: Vec<Value> = risks
            .iter()
            .map(|name| {
                let url = format!("https://issues.example/{name}");
                let message = format!("Clusters may be harmed by {name}.");
                json!({ "url": url, "name": name, "message": message, "matchingRules": [{ "type": "Always" }] })
            })
            .collect();
        self.conditional.push(json!({ "edges": edges, "risks": risks }));
        self
    }

    /// Finishes the answer.
    pub fn build(&self) -> Vec<u8> {
        let edges: Vec<Value> =
            self.edges.iter().map(|(from, to)| json!([self.place(from), self.place(to)])).collect();
        let graph = json!({
            "version": 1,
            "nodes": self.nodes,
            "edges": edges,
            "conditionalEdges": self.conditional,
        });
        graph.to_string().into_bytes()
    }

    fn place(&self, version: &str) -> usize {
        let found = self.nodes.iter().position(|node| node["version"] == version);
        found.unwrap_or_else(|| panic!("the edge names {version}, which is no node"))
    }
}

impl From<GraphBuilder> for Vec<u8> {
    fn from(graph: GraphBuilder) -> Self {
        graph.build()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn edges_are_places_of_nodes_in_the_order_they_were_added() {
        let graph = GraphBuilder::new()
            .node("4.12.2", "quay.example/release@sha256:22")
            .channels(&["stable-4.12", "fast-4.12"])
            .node("4.12.1", "quay.example/release@sha256:11")
            .node("4.12.3", "quay.example/release:4.12.3")
            .chain(&["4.12.1", "4.12.2", "4.12.3"])
            .conditional("4.12.1", "4.12.3", "DiskLoss");
        let parsed: Value = serde_json::from_slice(&graph.build()).unwrap();
        assert_eq!(parsed["version"], 1);
        assert_eq!(parsed["edges"], json!([[1, 0], [0, 2]]));
        assert_eq!(parsed["nodes"][0]["metadata"][CHANNELS], "stable-4.12,fast-4.12");
        assert_eq!(parsed["nodes"][1]["metadata"][MANIFEST], "sha256:11");
        assert_eq!(parsed["nodes"][2]["metadata"][MANIFEST], Value::Null);
        let group = &parsed["conditionalEdges"][0];
        assert_eq!(group["edges"], json!([{ "from": "4.12.1", "to": "4.12.3" }]));
        assert_eq!(group["risks"][0]["name"], "DiskLoss");
        assert_eq!(group["risks"][0]["matchingRules"], json!([{ "type": "Always" }]));
    }

    /// Returns the names of all fields, whatever is in them.
    fn shape(value: &Value) -> String {
        match value {
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| format!("{name}{{{}}}", shape(value)));
                // In no order of anybody's.
                fields.collect::<BTreeSet<_>>().into_iter().collect()
            }
            Value::Array(items) => format!("[{}]", items.first().map(shape).unwrap_or_default()),
            _ => String::new(),
        }
    }

    #[test]
    fn a_graph_has_the_shape_of_a_real_answer() {
        let Some(fixtures) = crate::fixtures() else { return };
        let answers = fixtures.join("cincinnati/openshift__cincinnati/e2e/tests/testdata");
        let name = "134475077ed4eeaedf3c339f12915b9cdaf7d194_stable-4.7_s390x_v1.json";
        let mut real: Value = serde_json::from_slice(&std::fs::read(answers.join(name)).unwrap()).unwrap();
        let graph = GraphBuilder::new()
            .node("4.7.1", "quay.example/release@sha256:11")
            .channels(&["stable-4.7"])
            .edge("4.7.1", "4.7.1")
            .conditional("4.7.0", "4.7.1", "DiskLoss");
        let mut made: Value = serde_json::from_slice(&graph.build()).unwrap();
        for graph in [&mut made, &mut real] {
            // These differ from one to the next.
            for varies in ["/nodes/0/metadata", "/conditionalEdges/0/risks/0/matchingRules"] {
                *graph.pointer_mut(varies).unwrap() = Value::Null;
            }
        }
        assert_eq!(shape(&made), shape(&real));
    }

    #[test]
    #[should_panic(expected = "4.13.0, which is no node")]
    fn an_edge_to_nowhere_ends_the_test() {
        GraphBuilder::new().node("4.12.1", "x").edge("4.12.1", "4.13.0").build();
    }
}
