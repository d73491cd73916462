//! Compares the selection from recorded and made-up graphs with the oracle, for every pair of versions.
//!
//! Needs Python, and the recorded graphs beside the repository; says so and passes without them.
#![allow(clippy::print_stdout, reason = "what was compared is worth knowing")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;

use md5::{Digest, Md5};
use oc_mirror_update_graph::{
    Accept, Graph, Graphs, Options, Problem, Rules, SelectError, Version, Wish, select,
};
use serde::Deserialize;

/// A line of the oracle's: the digest of its answers to one kind of question, in the order of versions.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    graph: String,
    /// The graph itself, if it is made up.
    json: Option<String>,
    #[serde(default)]
    damaged: bool,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    max: String,
    #[serde(default)]
    cases: usize,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    target: String,
    #[serde(default)]
    target_name: String,
}

#[derive(Default)]
struct Channels(BTreeMap<String, Rc<Graph>>);

impl Graphs for Channels {
    type Error = Infallible;

    fn get(&mut self, _okd: bool, channel: &str) -> Result<Rc<Graph>, Infallible> {
        Ok(self.0.get(channel).cloned().unwrap_or_else(|| Rc::new(Graph::empty())))
    }
}

#[test]
fn selections_from_recorded_graphs_are_those_of_the_oracle() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures");
    if !fixtures.is_dir() {
        return println!("skipped: no ../shared/fixtures");
    }
    let fixtures = fixtures.join("cincinnati");
    let Some(cases) = compare(&["digests".as_ref(), fixtures.as_os_str()], &fixtures) else { return };
    assert!(cases > 100_000, "too few cases: the recorded graphs are not there");
}

#[test]
fn selections_from_made_up_graphs_are_those_of_the_oracle() {
    compare(&["random".as_ref(), "400".as_ref()], Path::new(""));
}

/// Returns how many cases the oracle agreed to; none without Python.
fn compare(arguments: &[&OsStr], fixtures: &Path) -> Option<usize> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle/releases.py");
    let oracle = Command::new("python3").arg(script).args(arguments).stdout(Stdio::piped()).spawn();
    let Ok(mut oracle) = oracle else {
        println!("skipped: no python3");
        return None;
    };
    let lines = BufReader::new(oracle.stdout.take().expect("it is piped"));

    let mut graphs = BTreeMap::new();
    let (mut cases, mut disagreements) = (0, Vec::new());
    for line in lines.lines() {
        let row: Row = serde_json::from_str(&line.expect("a line")).expect("a row");
        if let Some(json) = row.json {
            graphs.insert(row.graph, Graph::parse(json.as_bytes()).map(Rc::new));
            continue;
        }
        let graph = graphs.entry(row.graph.clone()).or_insert_with(|| read(&fixtures.join(&row.graph)));
        let graph = match (graph, row.damaged) {
            (Ok(graph), false) => Rc::clone(graph),
            (Err(_), true) => {
                cases += 1;
                continue;
            }
            (Ok(_), true) => panic!("{} is damaged", row.graph),
            (Err(problem), false) => panic!("{}: {problem}", row.graph),
        };
        let answers = match row.kind.as_str() {
            "between" => {
                let target =
                    graphs.entry(row.target.clone()).or_insert_with(|| read(&fixtures.join(&row.target)));
                let target = Rc::clone(target.as_ref().expect("a graph"));
                [Rules::V1Alpha2, Rules::V2Alpha1].map(|rules| between(&row, rules, &graph, &target)).to_vec()
            }
            _ => vec![within(&row, &graph)],
        };
        for answers in answers {
            cases += answers.len();
            if answers.len() != row.cases || digest(&answers) != row.digest {
                disagreements.push(format!("{} {} max {}", row.graph, row.kind, row.max));
            }
        }
    }
    assert!(oracle.wait().expect("it was started").success());
    println!("{cases} cases, {} disagreements", disagreements.len());
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
    Some(cases)
}

fn read(path: &Path) -> Result<Rc<Graph>, Problem> {
    Graph::parse(&std::fs::read(path).expect("the oracle read it")).map(Rc::new)
}

/// The distinct versions of a graph, ascending.
fn versions(graph: &Graph) -> Vec<Version> {
    let mut versions: Vec<Version> = graph.ascending().map(|node| node.version.clone()).collect();
    versions.dedup();
    versions
}

fn within(row: &Row, graph: &Rc<Graph>) -> Vec<String> {
    let channels = &mut Channels(BTreeMap::from([("c".to_owned(), Rc::clone(graph))]));
    let versions = versions(graph);
    let wish = Wish { channel: "c".to_owned(), ..Wish::default() };
    let shortest_path = row.kind.ends_with("shortest") || row.kind == "risks";
    let accept = if row.kind == "risks" { Accept::All } else { Accept::Nothing };
    let options = Options { accept, ..Options::default() };
    let mut ask = |wish: Wish, options: &Options| answer(&[wish], options, channels);
    match row.kind.as_str() {
        "head" => vec![ask(wish, &options)],
        "full" => vec![ask(Wish { full: true, ..wish }, &options)],
        "since" => {
            let heads = |version: &Version| BTreeMap::from([("c".to_owned(), version.clone())]);
            let options =
                |version| Options { rules: Rules::V1Alpha2, heads: heads(version), ..options.clone() };
            versions.iter().map(|head| ask(wish.clone(), &options(head))).collect()
        }
        "min" | "min-shortest" => {
            let wish = |min: &Version| Wish { min: Some(min.clone()), shortest_path, ..wish.clone() };
            versions.iter().map(|min| ask(wish(min), &options)).collect()
        }
        "max" | "max-shortest" => {
            let wish = |max: &Version| Wish { max: Some(max.clone()), shortest_path, ..wish.clone() };
            versions.iter().map(|max| ask(wish(max), &options)).collect()
        }
        _ => {
            let max = Version::parse(&row.max).expect("a version");
            let wish = |min: &Version| Wish {
                min: Some(min.clone()),
                max: Some(max.clone()),
                shortest_path,
                ..wish.clone()
            };
            versions.iter().filter(|min| **min <= max).map(|min| ask(wish(min), &options)).collect()
        }
    }
}

/// From each version of one channel to `row.max` of another.
fn between(row: &Row, rules: Rules, source: &Rc<Graph>, target: &Rc<Graph>) -> Vec<String> {
    let channels = [(row.name.clone(), Rc::clone(source)), (row.target_name.clone(), Rc::clone(target))];
    let channels = &mut Channels(BTreeMap::from(channels));
    let options = Options { rules, ..Options::default() };
    let max = Some(Version::parse(&row.max).expect("a version"));
    let second = Wish { channel: row.target_name.clone(), max, ..Wish::default() };
    let first = |min| Wish { channel: row.name.clone(), min: Some(min), ..Wish::default() };
    versions(source)
        .into_iter()
        .map(|min| answer(&[first(min), second.clone()], &options, channels))
        .collect()
}

fn answer(wishes: &[Wish], options: &Options, channels: &mut Channels) -> String {
    match select(wishes, options, channels) {
        Ok(selection) => {
            let versions: Vec<String> =
                selection.releases.iter().map(|release| release.version.to_string()).collect();
            versions.join(" ")
        }
        Err(SelectError::Problems(problems)) => format!("{problems:?}"),
        Err(SelectError::Graphs(never)) => match never {},
    }
}

fn digest(answers: &[String]) -> String {
    let mut hash = Md5::new();
    for answer in answers {
        hash.update(answer);
        hash.update("\n");
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
