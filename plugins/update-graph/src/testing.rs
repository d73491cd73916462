//! Graphs for tests, written as a line of text.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::Write;
use std::rc::Rc;

use crate::ask::Graphs;
use crate::graph::Graph;
use crate::version::Version;

pub(crate) fn version(text: &str) -> Version {
    Version::parse(text).expect("a version")
}

/// Makes a graph of `1.0.0>1.1.0` (an update), `1.0.0?Risk>1.1.0` (one at a risk) and `1.0.0` (only a release).
/// Releases are listed by the order of their text, which is not the order of versions.
pub(crate) fn graph(channel: &str, text: &str) -> Graph {
    Graph::parse(json(channel, text).as_bytes()).expect("a graph")
}

pub(crate) fn json(channel: &str, text: &str) -> String {
    let mut versions = BTreeSet::new();
    let mut plain = Vec::new();
    let mut groups = String::new();
    for word in text.split_whitespace() {
        let (from, to) = word.split_once('>').unwrap_or((word, word));
        let (from, risk) = from.split_once('?').unwrap_or((from, ""));
        versions.extend([from, to]);
        match (from == to, risk) {
            (true, _) => {}
            (false, "") => plain.push((from, to)),
            (false, risk) => {
                let comma = if groups.is_empty() { "" } else { "," };
                let url = format!("https://example.com/{risk}");
                write!(
                    groups,
                    r#"{comma}{{"edges":[{{"from":"{from}","to":"{to}"}}],"risks":[{{"name":"{risk}","url":"{url}",
                    "message":"{risk} breaks","matchingRules":[{{"type":"PromQL","promql":{{"promql":"up\n == 1"}}}}]}}]}}"#
                )
                .expect("a string");
            }
        }
    }
    let place = |version: &str| versions.iter().position(|other| *other == version).expect("a node");
    let edges: Vec<String> =
        plain.iter().map(|(from, to)| format!("[{},{}]", place(from), place(to))).collect();
    let nodes: Vec<String> = versions
        .iter()
        .map(|version| {
            format!(
                r#"{{"version":"{version}","payload":"quay.io/r@sha256:{version}","metadata":
                {{"io.openshift.upgrades.graph.release.channels":"{channel}","url":"https://example.com/{version}"}}}}"#
            )
        })
        .collect();
    format!(
        r#"{{"nodes":[{}],"edges":[{}],"conditionalEdges":[{groups}]}}"#,
        nodes.join(","),
        edges.join(",")
    )
}

/// Channels by name; fails a test that asks twice for one.
pub(crate) struct Channels {
    graphs: BTreeMap<String, Rc<Graph>>,
    pub asked: Vec<String>,
}

impl Channels {
    /// Makes channels of `name: edges` lines.
    pub(crate) fn new(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let graphs = lines.map(|(name, edges)| (name.trim().to_owned(), Rc::new(graph(name.trim(), edges))));
        Self { graphs: graphs.collect(), asked: Vec::new() }
    }
}

impl Graphs for Channels {
    type Error = Infallible;

    fn get(&mut self, _okd: bool, channel: &str) -> Result<Rc<Graph>, Infallible> {
        assert!(!self.asked.iter().any(|name| name == channel), "`{channel}` was asked for twice");
        self.asked.push(channel.to_owned());
        Ok(self.graphs.get(channel).cloned().unwrap_or_else(|| Rc::new(Graph::empty())))
    }
}
