//! Selections compared with those of the oracle in `tests/oracle`, a second implementation of the same rules.
//!
//! Every package and every channel of every recorded catalog is selected in some ways, by the rules of both schemas.
//! What is kept has to be the same entry by entry; where one refuses, the other has to refuse too.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

use oc_mirror_testkit::{CatalogBuilder, Registry, fixtures, workspace_root};
use serde_json::{Value, json};

use crate::lab::context;

/// Debian's own, for which there is its package `python3-yaml`.
const PYTHON: &str = "/usr/bin/python3";

/// How many disagreements are shown.
const SHOWN: usize = 10;

/// A catalog: the directory it is made of, and the reference of its image.
struct Root {
    directory: String,
    reference: String,
}

/// What the oracle says of one entry of a configuration.
struct Case {
    id: String,
    entry: Value,
    expected: Outcome,
}

/// What is selected, or why nothing is: the program's code, the oracle's class.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Kept(Value),
    Refused(String),
    /// It could not be tried.
    Failed(String),
}

/// What the comparison of an API came to.
struct Report {
    summary: String,
    /// The first of them; empty when there are none.
    disagreements: String,
}

#[test]
fn selects_what_the_oracle_selects() {
    let Some(catalogs) = fixtures().map(|fixtures| fixtures.join("fbc")).filter(|fbc| fbc.is_dir()) else {
        return;
    };
    let registry = Registry::start();
    let roots: Vec<Root> = roots(&catalogs)
        .enumerate()
        .map(|(place, directory)| {
            let repository = format!("oracle/catalog-{place}");
            registry.push(&CatalogBuilder::new().directory(Path::new(&directory)).build(), &repository, "v1");
            Root { directory, reference: registry.reference(&repository, "v1") }
        })
        .collect();
    assert!(!roots.is_empty(), "the fixtures have no catalog");
    let roots = &roots;
    let reports = thread::scope(|scope| {
        let running = ["v2alpha1", "v1alpha2"].map(|api| scope.spawn(move || compare(api, roots)));
        running.map(|one| one.join().expect("it panics only with a message"))
    });
    reports.iter().for_each(|report| print!("{}", report.summary));
    let disagreements = reports.map(|report| report.disagreements).concat();
    assert!(disagreements.is_empty(), "\n{disagreements}");
}

/// Compares all cases of an API.
fn compare(api: &str, roots: &[Root]) -> Report {
    let cases: Vec<Case> = roots.iter().flat_map(|root| cases(api, root)).collect();
    let answers = answers(api, &cases);
    assert_eq!(answers.len(), cases.len(), "an answer to each question");
    let mut classes: BTreeMap<String, (usize, &str)> = BTreeMap::new();
    let mut disagreements = Vec::new();
    for (case, ours) in cases.iter().zip(&answers) {
        match (ours, &case.expected) {
            (Outcome::Refused(code), Outcome::Refused(class)) => {
                if !is_of_class(code, class) {
                    let kind = format!("{code} instead of {class}");
                    classes.entry(kind).or_insert((0, &case.id)).0 += 1;
                }
            }
            (ours, expected) if ours == expected => {}
            _ => disagreements.push((case, ours)),
        }
    }
    let mut summary = format!("{api}: {} cases, {} disagreements\n", cases.len(), disagreements.len());
    for (kind, (count, id)) in classes {
        let _ = writeln!(summary, "{api}: refused as {kind}: {count}, such as {id}");
    }
    let shown = disagreements.iter().take(SHOWN).map(|(case, ours)| {
        let Case { id, entry, expected } = case;
        format!("{id}\n  entry    {entry}\n  ours     {ours:?}\n  expected {expected:?}\n")
    });
    let disagreements = shown.collect();
    Report { summary, disagreements }
}

/// Asks the oracle which directories are catalogs.
fn roots(catalogs: &Path) -> impl Iterator<Item = String> {
    let top = catalogs.to_path_buf();
    let found = oracle(&["roots", &catalogs.display().to_string()]);
    let directories: Vec<String> = found.lines().map(|root| top.join(root).display().to_string()).collect();
    directories.into_iter()
}

/// Asks the oracle for the cases of a catalog.
fn cases(api: &str, root: &Root) -> Vec<Case> {
    let text = oracle(&["cases", &root.directory, "--api", api]);
    let case = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("the oracle writes JSON");
        let mut entry = line["entry"].clone();
        entry["catalog"] = root.reference.as_str().into();
        let expected = match line["error"].as_str() {
            Some(class) => Outcome::Refused(class.to_owned()),
            None => Outcome::Kept(line["expect"].clone()),
        };
        Case { id: line["id"].as_str().unwrap_or_default().to_owned(), entry, expected }
    };
    text.lines().map(case).collect()
}

fn oracle(args: &[&str]) -> String {
    let script = workspace_root().join("tests/oracle/catalog.py");
    let output = Command::new(PYTHON).arg(script).args(args).output();
    let output = output.unwrap_or_else(|e| panic!("cannot run `{PYTHON}`: {e}"));
    text_of(output, "the oracle needs Debian's python3 and python3-yaml")
}

/// Asks the program about all cases at once.
fn answers(api: &str, cases: &[Case]) -> Vec<Outcome> {
    let context = context();
    let questions: String =
        cases.iter().map(|case| format!("{}\n", json!({ "rules": api, "entry": case.entry }))).collect();
    let questions = File::open(context.write("questions", questions)).expect("it was just written");
    let mut command = context.command(&["debug", "select", "--cache", "cache", "--src-tls-verify=false"]);
    let output = command.stdin(questions).output().expect("the program can be run");
    text_of(output, "`debug select`").lines().map(answer).collect()
}

/// Reads an answer of the program.
fn answer(line: &str) -> Outcome {
    let mut answer: Value = serde_json::from_str(line).expect("the program writes JSON");
    if let Some(code) = answer["error"].as_str() {
        return Outcome::Refused(code.to_owned());
    }
    match answer.get_mut("packages").map(Value::take) {
        Some(packages) => Outcome::Kept(packages),
        None if answer["untouched"] == true => Outcome::Kept(answer),
        None => Outcome::Failed(answer.to_string()),
    }
}

/// Tells whether a code of the program says what a class of the oracle says.
fn is_of_class(code: &str, class: &str) -> bool {
    let codes: &[&str] = match class {
        "not-found" => &["unknown-package", "unknown-channel"],
        "default-channel" => &["default-channel"],
        "empty" => &["empty-range", "empty-default", "unknown-version", "no-channels", "no-bundles"],
        "invalid-graph" => &["channel-graph"],
        "version" => &["no-version"],
        "full-with-range" => &["mixed"],
        _ => &["mixed", "bad-version"],
    };
    code.strip_prefix("operators.").is_some_and(|code| codes.contains(&code))
}

fn text_of(output: Output, what: &str) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {said}");
    String::from_utf8(output.stdout).expect("it writes UTF-8")
}
