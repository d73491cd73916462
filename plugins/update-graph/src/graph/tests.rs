use rstest::rstest;

use std::rc::Rc;

use super::*;
use crate::testing::{graph, version};

#[rstest]
#[case(r#"{"nodes":[]}"#, 0)]
#[case(r#"{"nodes":null,"edges":null,"conditionalEdges":null}"#, 0)]
#[case(
    r#"{"version":1,"nodes":[{"version":"1.0.0","payload":"p","metadata":null,"more":[]}],"edges":[]}"#,
    1
)]
#[case(r#"{"nodes":[{"version":"1.0.0"},{"version":"1.0.0+a"}],"edges":[[0,0],[0,1],[0,1],[1,0]]}"#, 2)]
// The update service lists conditional edges of all channels.
#[case(r#"{"nodes":[{"version":"1.0.0"}],"conditionalEdges":[{"edges":[{"from":"","to":"9.0.0"}]},{"edges":null}]}"#, 1)]
fn graphs(#[case] json: &str, #[case] nodes: usize) {
    let graph = Graph::parse(json.as_bytes()).expect("a graph");
    assert_eq!((graph.nodes().len(), graph.is_empty()), (nodes, nodes == 0));
}

#[rstest]
#[case("", "EOF")]
#[case("<html>", "expected value")]
#[case("[]", "invalid length 0")]
#[case(r#"{"nodes":[{"payload":"p"}]}"#, "missing field `version`")]
#[case(r#"{"nodes":[{"version":"4.1"}]}"#, "node 0: `4.1` is not a version")]
#[case(
    r#"{"nodes":[{"version":"1.0.0"}],"edges":[[0,1]]}"#,
    "edge 0 goes from node 0 to node 1, but there are 1 nodes"
)]
#[case(r#"{"nodes":[],"edges":[[18446744073709551615,0]]}"#, "edge 0 goes from node 18446744073709551615")]
#[case(r#"{"nodes":[],"edges":[[0]]}"#, "invalid length 1")]
#[case(r#"{"nodes":[],"edges":[[-1,0]]}"#, "invalid value")]
fn no_graphs(#[case] json: &str, #[case] expected: &str) {
    let problem = Graph::parse(json.as_bytes()).expect_err("a problem");
    assert_eq!(problem.code, "release.graph");
    assert!(problem.message.contains(expected) && problem.hint.is_some(), "{problem}");
}

#[test]
fn truncated_graphs_are_no_graphs() {
    let json = crate::testing::json("c", "1.0.0>1.1.0 1.0.0?A>1.2.0");
    for end in 0..json.len() {
        assert!(Graph::parse(&json.as_bytes()[..end]).is_err());
    }
}

#[test]
fn too_many_edges() {
    let edges = vec!["[0,0]"; MOST_EDGES + 1].join(",");
    let json = format!(r#"{{"nodes":[{{"version":"1.0.0"}}],"edges":[{edges}]}}"#);
    let problem = Graph::parse(json.as_bytes()).expect_err("a problem");
    assert_eq!(problem.message, "the update graph has 5000001 edges; at most 5000000 are read");
}

#[test]
fn releases_are_found_by_version() {
    let graph = graph("a, b,", "1.10.0+x>1.9.0 1.9.0-rc.1");
    let text = |node: Option<&Node>| node.map(|node| node.version.to_string());
    assert_eq!(text(graph.first()).as_deref(), Some("1.9.0-rc.1"));
    assert_eq!(text(graph.latest()).as_deref(), Some("1.10.0+x"));
    assert_eq!(text(graph.find(&version("1.10.0"))).as_deref(), Some("1.10.0+x"));
    assert_eq!(text(graph.find(&version("1.9.1"))), None);
    assert_eq!(graph.latest().map(Node::channels), Some(vec!["a", "b"]));
    assert_eq!(graph.channels(), BTreeSet::from(["a", "b"]));
    let between = graph.between(&version("1.9.0"), &version("1.10.0")).count();
    assert_eq!((between, graph.between(&version("2.0.0"), &version("1.0.0")).count()), (2, 0));
}

#[test]
fn the_first_of_equal_versions_is_meant() {
    let json = r#"{"nodes":[{"version":"1.1.0"},{"version":"1.0.0+b","payload":"b"},{"version":"1.0.0+a"}]}"#;
    let graph = Graph::parse(json.as_bytes()).expect("a graph");
    assert_eq!(graph.find(&version("1.0.0")).map(|node| node.payload.as_str()), Some("b"));
    assert_eq!(graph.first().map(|node| node.payload.as_str()), Some("b"));
}

#[test]
fn risks_are_read() {
    let graph = graph("c", "1.0.0?A>1.1.0 1.0.0?B>1.1.0 1.0.0?A>1.2.0 1.0.0>1.2.0");
    let names =
        |to| graph.risks(&version("1.0.0"), &version(to)).iter().map(|r| r.name.as_str()).collect::<Vec<_>>();
    assert_eq!((names("1.1.0"), names("1.2.0"), names("9.0.0")), (vec!["A", "B"], vec![], vec![]));
    let risk = &graph.risks(&version("1.0.0"), &version("1.1.0"))[0];
    assert_eq!(
        (risk.url.as_str(), risk.rules.join("")),
        ("https://example.com/A", "PromQL: up == 1".to_owned())
    );
}

#[test]
fn updates_lead_to_higher_versions() {
    let graph = graph("c", "1.0.0>1.2.0 1.2.0>1.1.0 1.2.0?A>1.0.0 1.1.0>1.1.0 1.1.0>1.1.0+x 1.1.0?A>1.2.0");
    let text = |at: usize| graph.nodes()[at].version.to_string();
    let updates: Vec<(String, String)> =
        graph.all_updates().map(|(from, to, _)| (text(from), text(to))).collect();
    let up = [("1.0.0", "1.2.0"), ("1.1.0", "1.2.0")];
    assert_eq!(updates, up.map(|(from, to)| (from.to_owned(), to.to_owned())));
}

#[rstest]
#[case(r#"[{"type":"Always"}]"#, "Always")]
#[case(r#"[{"type":"PromQL","promql":{"promql":"a\n  + b"}},{"type":"New"}]"#, "PromQL: a + b|New")]
#[case("null", "")]
fn rules(#[case] json: &str, #[case] expected: &str) {
    let json = format!(
        r#"{{"nodes":[{{"version":"1.0.0"}},{{"version":"1.1.0"}}],"conditionalEdges":[{{"edges":
        [{{"from":"1.0.0","to":"1.1.0"}}],"risks":[{{"name":"A","matchingRules":{json}}}]}}]}}"#
    );
    let graph = Graph::parse(json.as_bytes()).expect("a graph");
    assert_eq!(graph.risks(&version("1.0.0"), &version("1.1.0"))[0].rules.join("|"), expected);
}

#[test]
fn merged_graphs_have_the_releases_and_updates_of_all() {
    let one = Rc::new(graph("a", "1.0.0>1.1.0 1.0.0?A>1.2.0 1.1.0?B>1.2.0"));
    let two = Rc::new(graph("b", "1.1.0>1.2.0 1.2.0>1.3.0+x"));
    let merged = merge(&[one, two]).expect("a graph");
    let versions: Vec<String> = merged.ascending().map(|node| node.version.to_string()).collect();
    assert_eq!(versions, ["1.0.0", "1.1.0", "1.2.0", "1.3.0+x"]);
    assert_eq!(merged.find(&version("1.2.0")).map(Node::channels), Some(vec!["a", "b"]));
    assert_eq!(merged.edge_count(), 4);
    // Unconditional in one of them is unconditional.
    assert!(merged.risks(&version("1.1.0"), &version("1.2.0")).is_empty());
    assert_eq!(merged.risks(&version("1.0.0"), &version("1.2.0")).len(), 1);
}
