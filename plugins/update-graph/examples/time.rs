//! Measures how long it takes to read a graph, find a path in it and draw it.
//!
//! `cargo run --release --example time -- [GRAPH.json FROM TO [PICTURE.svg]]`; without arguments it makes a graph as
//! large as the largest channels are.
#![allow(clippy::print_stdout, reason = "it is a program")]

use std::convert::Infallible;
use std::error::Error;
use std::fmt::Write;
use std::rc::Rc;
use std::time::{Duration, Instant};

use oc_mirror_update_graph::{Accept, Graph, Graphs, Question, UpdatePath, Version, path, svg};

const RUNS: u32 = 20;

struct One(Rc<Graph>);

impl Graphs for One {
    type Error = Infallible;

    fn get(&mut self, _okd: bool, _channel: &str) -> Result<Rc<Graph>, Infallible> {
        Ok(Rc::clone(&self.0))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (json, from, to) = match arguments.as_slice() {
        [file, from, to, ..] => (std::fs::read(file)?, from.clone(), to.clone()),
        _ => (large().into_bytes(), "4.0.0".to_owned(), "4.30.34".to_owned()),
    };
    let question = Question {
        from: Version::parse(&from)?,
        to: Version::parse(&to)?,
        channel: Some("stable".to_owned()),
        okd: false,
        accept: Accept::Nothing,
    };

    let graph = Rc::new(Graph::parse(&json)?);
    println!("{} releases, {} KiB", graph.nodes().len(), json.len() / 1024);
    let parsing = time(|| Graph::parse(&json).map(drop))?;
    let answer: UpdatePath = path(&question, &mut One(Rc::clone(&graph)))?;
    let searching = time(|| path(&question, &mut One(Rc::clone(&graph))).map(drop))?;
    let picture = svg::draw(&answer.graph, &answer);
    let drawing = time(|| {
        svg::draw(&answer.graph, &answer);
        Ok::<_, Infallible>(())
    })?;
    println!("parse {parsing:?}, path of {} updates {searching:?}", answer.steps.len());
    println!("picture of {} KiB {drawing:?}", picture.len() / 1024);
    for note in &answer.notes {
        println!("{}", note.text);
    }
    if let Some(file) = arguments.get(3) {
        std::fs::write(file, picture)?;
    }
    Ok(())
}

fn time<E>(mut run: impl FnMut() -> Result<(), E>) -> Result<Duration, E> {
    let start = Instant::now();
    for _ in 0..RUNS {
        run()?;
    }
    Ok(start.elapsed() / RUNS)
}

/// 1,085 releases of 31 minor versions; each updates to the next 18 or so, a tenth of them at a risk.
fn large() -> String {
    let version = |place: usize| format!("4.{}.{}", place / 35, place % 35);
    let (mut nodes, mut edges, mut risky) = (Vec::new(), Vec::new(), String::new());
    for place in 0..1085 {
        nodes.push(format!(
            r#"{{"version":"{}","payload":"quay.io/openshift-release-dev/ocp-release@sha256:{place:064}","metadata":
            {{"io.openshift.upgrades.graph.release.channels":"stable","url":"https://example.com/{place}"}}}}"#,
            version(place)
        ));
        for next in place + 1..(place + 20).min(1085) {
            match (place + next) % 10 {
                0 => {
                    let comma = if risky.is_empty() { "" } else { "," };
                    let (from, to) = (version(place), version(next));
                    let _ = write!(risky, r#"{comma}{{"from":"{from}","to":"{to}"}}"#);
                }
                _ => edges.push(format!("[{place},{next}]")),
            }
        }
    }
    format!(
        r#"{{"nodes":[{}],"edges":[{}],"conditionalEdges":[{{"edges":[{risky}],"risks":[{{"name":"Slow","url":"","message":"",
        "matchingRules":[{{"type":"Always"}}]}}]}}]}}"#,
        nodes.join(","),
        edges.join(",")
    )
}
