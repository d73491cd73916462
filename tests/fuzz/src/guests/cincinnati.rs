//! Update graphs: what is read is a graph, and whatever is asked of it has an answer.

use std::collections::BTreeMap;
use std::rc::Rc;

use oc_mirror_update_graph::{
    Accept, Graph, Graphs, MOST_NODES, Options, Question, Rules, Version, Wish, path, select, svg,
};

use crate::target::{Input, Target};

/// What the update service answers.
pub const CINCINNATI: Target = Target { name: "cincinnati", longest: 64 << 10, memory: 64 << 20, check };

/// The same graph for whatever channel.
struct One(Rc<Graph>);

impl Graphs for One {
    type Error = String;

    fn get(&mut self, _: bool, channel: &str) -> Result<Rc<Graph>, String> {
        match channel.contains("none") {
            true => Err("no such server".to_owned()),
            false => Ok(Rc::clone(&self.0)),
        }
    }
}

fn check(data: &[u8]) {
    let mut input = Input(data);
    let (from, to, flags) = (usize::from(input.byte()), usize::from(input.byte()), input.byte());
    let Ok(graph) = Graph::parse(input.0) else { return };
    let nodes = graph.nodes();
    assert!(nodes.len() <= MOST_NODES);
    let ascending: Vec<&Version> = graph.ascending().map(|node| &node.version).collect();
    assert!(ascending.len() == nodes.len() && ascending.is_sorted());
    for (place, node) in graph.placed_ascending() {
        assert_eq!(nodes[place].version, node.version);
        assert_eq!(graph.find(&node.version).map(|found| &found.version), Some(&node.version));
    }
    for (from, to, risks) in graph.all_updates() {
        assert!(from != to && to < nodes.len());
        let known = graph.risks(&nodes[from].version, &nodes[to].version);
        // Of several releases with one version the first counts.
        let first =
            |place: usize| nodes.iter().position(|node| node.version == nodes[place].version) == Some(place);
        assert!(!first(from) || !first(to) || known == risks);
    }
    if nodes.is_empty() {
        return;
    }
    let version = |place: usize| nodes[place % nodes.len()].version.clone();
    let (from, to) = (version(from), version(to));
    assert!(graph.between(&from, &to).all(|node| from <= node.version && node.version <= to));
    let mut graphs = One(Rc::new(graph.clone()));
    let channel = (flags % 2 == 0).then(|| "stable-4.18".to_owned());
    let accept: Accept = Accept::default();
    let question = Question { from: from.clone(), to: to.clone(), channel, okd: flags % 4 > 1, accept };
    if let Ok(found) = path(&question, &mut graphs) {
        let (mut at, end) = (found.from.clone(), found.to.clone());
        for step in &found.steps {
            // Graphs of strangers may have a version twice, or lead down; what is asked is a way, and one that hangs together.
            assert_eq!(step.from, at, "{:?}", found.steps);
            at = step.to.clone();
        }
        assert_eq!(at, end);
        let drawn = svg::draw(&found.graph, &found);
        assert!(drawn.starts_with("<svg") && drawn.trim_end().ends_with("</svg>"), "{drawn}");
        assert!(!drawn.contains("<script"), "{drawn}");
    }
    let wish = Wish {
        channel: "stable-4.18".to_owned(),
        okd: false,
        min: (flags & 4 != 0).then_some(from),
        max: (flags & 8 != 0).then_some(to),
        shortest_path: flags & 16 != 0,
        full: flags & 32 != 0,
    };
    let rules = if flags & 64 != 0 { Rules::V1Alpha2 } else { Rules::V2Alpha1 };
    let options = Options { rules, heads: BTreeMap::new(), ..Options::default() };
    if let Ok(selection) = select(&[wish], &options, &mut graphs) {
        assert!(selection.releases.iter().all(|release| !release.why.is_empty()));
        assert!(selection.releases.iter().is_sorted_by_key(|release| &release.version));
    }
}
