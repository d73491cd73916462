//! `cargo xtask bench updates`: how long `oc-mirror list updates` takes from its start to the answer, with a server of
//! update graphs on this machine.

use std::path::Path;
use std::time::Instant;

use oc_mirror_testkit::{GraphBuilder, UpdateServer};

use super::startup::{measure, milliseconds, report};
use crate::Outcome;
use crate::run::{Tool, step, target};

/// As many releases and updates as the largest graph that was ever recorded has.
const RELEASES: usize = 1_085;
const UPDATES: usize = 19_478;
/// How many milliseconds a question may take.
const LIMIT: f64 = 50.0;

/// Builds the program for release, measures, and fails when the limit is passed.
pub(crate) fn updates() -> Outcome {
    step("build", || Tool::cargo().args(["build", "--release", "--locked", "--package", "oc-mirror"]).run())?;
    let program = target().join("release/oc-mirror");
    let server = UpdateServer::start();
    server.graph("amd64", "stable-4.0", graph());
    let times = measure(|| ask(&program, &server.graph_url()))?;
    println!("a graph of {RELEASES} releases and {UPDATES} updates, {} KiB", graph().len() / 1024);
    match report("oc-mirror list updates", &times, LIMIT) {
        true => Ok(()),
        false => Err("a limit is passed".to_string()),
    }
}

fn ask(program: &Path, server: &str) -> Result<f64, String> {
    let last = version(RELEASES - 1);
    let start = Instant::now();
    let answer = Tool::new(program)
        .args(["list", "updates", "--from", "4.0.0", "--to", &last, "--channel", "stable-4.0"])
        .env("UPDATE_URL_OVERRIDE", server)
        .without_proxy()
        .output()?;
    let time = milliseconds(start.elapsed());
    match answer.lines().last().is_some_and(|line| line.ends_with(&last)) {
        true => Ok(time),
        false => Err(format!("not the answer: {answer}")),
    }
}

fn version(place: usize) -> String {
    format!("4.{}.{}", place / 35, place % 35)
}

/// Every release can be updated to some that follow it, as many as make up the sum.
fn graph() -> Vec<u8> {
    let mut graph = GraphBuilder::new();
    for place in 0..RELEASES {
        let payload = format!("quay.io/openshift-release-dev/ocp-release@sha256:{place:064x}");
        graph = graph.node(&version(place), &payload).channels(&["stable-4.0"]);
    }
    let steps = 1..RELEASES;
    let updates = steps.flat_map(|step| (0..RELEASES - step).map(move |from| (from, from + step)));
    for (from, to) in updates.take(UPDATES) {
        graph = graph.edge(&version(from), &version(to));
    }
    graph.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_graph_is_as_large_as_it_says() {
        let graph: serde_json::Value = serde_json::from_slice(&graph()).unwrap();
        let count = |key: &str| graph[key].as_array().map(Vec::len);
        assert_eq!((count("nodes"), count("edges")), (Some(RELEASES), Some(UPDATES)));
    }
}
