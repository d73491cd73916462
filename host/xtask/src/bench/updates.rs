//! `cargo xtask bench updates`: how long `oc-mirror list updates` takes from its start to the answer, with a server of
//! update graphs on this machine.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use super::startup::{measure, milliseconds, report};
use crate::Outcome;
use crate::run::Tool;

/// As many releases and updates as the largest graph that was ever recorded has.
const RELEASES: usize = 1_085;
const UPDATES: usize = 19_478;
/// How many milliseconds a question may take.
const LIMIT: f64 = 50.0;

/// Builds the program for release, measures, and fails when the limit is passed.
pub(crate) fn updates() -> Outcome {
    let program = super::release(&[])?;
    let graph = graph().to_string();
    println!("a graph of {RELEASES} releases and {UPDATES} updates, {} KiB", graph.len() / 1024);
    let server = TcpListener::bind("127.0.0.1:0").map_err(|e| format!("no server can be started: {e}"))?;
    let address = server.local_addr().map_err(|e| format!("the server has no address: {e}"))?;
    // It ends with the program.
    std::thread::spawn(move || server.incoming().flatten().for_each(|stream| drop(answer(stream, &graph))));
    let times = measure(|| ask(&program, &format!("http://{address}/graph")))?;
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

/// Answers one question, whatever it is.
fn answer(stream: TcpStream, graph: &str) -> std::io::Result<()> {
    let lines = BufReader::new(stream.try_clone()?).lines();
    lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
    let mut stream = stream;
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{graph}", graph.len())
}

/// Every release can be updated to some that follow it, as many as make up the sum.
fn graph() -> Value {
    let node = |place: usize| {
        json!({
            "version": version(place),
            "payload": format!("quay.io/openshift-release-dev/ocp-release@sha256:{place:064x}"),
            "metadata": { "io.openshift.upgrades.graph.release.channels": "stable-4.0" },
        })
    };
    let nodes: Vec<Value> = (0..RELEASES).map(node).collect();
    let steps = 1..RELEASES;
    let updates = steps.flat_map(|step| (0..RELEASES - step).map(move |from| [from, from + step]));
    json!({ "nodes": nodes, "edges": updates.take(UPDATES).collect::<Vec<_>>(), "conditionalEdges": [] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_graph_is_as_large_as_it_says() {
        let graph = graph();
        let count = |key: &str| graph[key].as_array().map(Vec::len);
        assert_eq!((count("nodes"), count("edges")), (Some(RELEASES), Some(UPDATES)));
    }
}
