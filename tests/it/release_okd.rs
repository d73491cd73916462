//! Releases of OKD: a server of update graphs of their own, which knows no channels, and keys of their own.

use serde_json::json;

use crate::depot::{Depot, graph};

const OLD: &str = "4.15.0-0.okd-2024-02-23-163410";
const NEW: &str = "4.15.0-0.okd-2024-03-10-010116";

#[test]
fn the_newest_is_mirrored() {
    let mut depot = Depot::new();
    let (old, new) = (depot.version(OLD), depot.version(NEW));
    let entries = [(OLD, old.payload("amd64")), (NEW, new.payload("amd64"))];
    depot.server.okd_graph(graph("4-stable", &entries, &format!("{OLD}>{NEW}")));
    depot.want_channel(json!({ "name": "4-stable", "type": "okd" }));
    depot.carry(&[]);
    assert_eq!(depot.arrived(), [format!("{NEW}-x86_64")]);
    depot.assert_arrived(&new, "amd64");
}

#[test]
fn they_are_listed() {
    let depot = Depot::new();
    let new = depot.version(NEW);
    depot.server.okd_graph(graph("4-stable", &[(NEW, new.payload("amd64"))], ""));
    let output =
        depot.lab.context.run(&["list", "releases", "--okd", "--channel", "4-stable"]).expect_code(0);
    assert!(output.raw_stdout.contains(NEW), "{}", output.raw_stdout);
}
