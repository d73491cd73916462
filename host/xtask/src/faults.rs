//! `cargo xtask faults`: the tests that documents name as witnesses of what they say. Each has to be there; with `--run` those
//! of the table of faults are run, and what came of them is written into its last column.
//!
//! A witness is named as `cargo test` names it, behind the name of its package or of its program of tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, pipe};
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::run::{Tool, root};

/// The table, whose last column is written here.
const TABLE: &str = "docs/faults.md";
/// All documents with witnesses.
const DOCUMENTS: [&str; 3] = [TABLE, "docs/threat-model.md", "SECURITY.md"];

/// How packages and programs of tests are called in documents, where their sources are, and how cargo calls the program.
const PROGRAMS: [(&str, &str, &str); 12] = [
    ("it", "tests/it", "it"),
    ("behavior", "tests/behavior", "behavior"),
    ("layers", "tests/layers", "layers"),
    ("guests_run", "host/plugin-host/tests/guests_run", "guests_run"),
    ("model", "host/model/src", "oc_mirror_model"),
    ("engine", "host/engine/src", "oc_mirror_engine"),
    ("clusters", "host/clusters/src", "oc_mirror_clusters"),
    ("browse", "host/browse/src", "oc_mirror_browse"),
    ("plugin-host", "host/plugin-host/src", "oc_mirror_plugin_host"),
    ("cli", "host/cli/src", "oc_mirror"),
    ("testkit", "host/testkit/src", "oc_mirror_testkit"),
    ("xtask", "host/xtask/src", "xtask"),
];

/// A test that a document names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Witness<'a> {
    /// The name of its package or program.
    of: &'a str,
    /// Its name there, modules included.
    name: &'a str,
}

/// Looks for all witnesses, and runs those of the table if that is wanted.
pub(crate) fn run(is_run: bool) -> Outcome {
    let problems = problems(&root(), !is_run);
    if !problems.is_empty() {
        return Err(problems.join("\n"));
    }
    let path = root().join(TABLE);
    let text = read(&path)?;
    let all: BTreeSet<Witness<'_>> = rows(&text).flat_map(witnesses).collect();
    println!("{TABLE}: {} rows, {} tests, all of them there", rows(&text).count(), all.len());
    if !is_run {
        return Ok(());
    }
    let results = results(&all)?;
    let written = with_results(&text, &results);
    fs::write(&path, &written).map_err(|e| format!("{}: {e}", path.display()))?;
    let bad: Vec<&str> = rows(&written).filter(|row| !has_passed(row)).collect();
    match bad.is_empty() {
        true => Ok(()),
        false => Err(format!("not everything holds:\n{}", bad.join("\n"))),
    }
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// Returns what is wrong with the documents: witnesses that are not there, and rows of the table without one, or without its
/// result where that is wanted.
fn problems(root: &Path, with_results: bool) -> Vec<String> {
    let mut problems = Vec::new();
    for document in DOCUMENTS {
        let text = match read(&root.join(document)) {
            Ok(text) => text,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        for (number, line) in (1..).zip(text.lines()) {
            let wrong = spans(line).filter(|span| span.contains("::")).filter_map(|span| {
                let missing = format!("{document}:{number}: there is no test `{span}`");
                let found = witness(span).is_some_and(|witness| is_there(root, witness));
                (!found).then_some(missing)
            });
            problems.extend(wrong);
        }
        if document == TABLE {
            let is_wrong = |row: &&str| witnesses(row).next().is_none() || (with_results && !has_passed(row));
            for row in rows(&text).filter(is_wrong) {
                let hint = "each row names a test, and its result, which `cargo xtask faults --run` writes";
                problems.push(format!("{document}: {hint}\n{row}"));
            }
        }
    }
    problems
}

/// Returns what stands between backquotes.
fn spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn witness(span: &str) -> Option<Witness<'_>> {
    let (of, name) = span.split_once("::")?;
    PROGRAMS.iter().any(|(known, _, _)| *known == of).then_some(Witness { of, name })
}

fn witnesses(text: &str) -> impl Iterator<Item = Witness<'_>> {
    text.lines().flat_map(spans).filter_map(witness)
}

/// Returns the rows of tables whose last column is that of results.
fn rows(text: &str) -> impl Iterator<Item = &str> {
    let mut is_ours = false;
    text.lines().filter(move |line| {
        let cells = cells(line);
        is_ours = match cells.last() {
            Some(&"result") => true,
            Some(_) => is_ours,
            None => false,
        };
        let is_rule = cells.iter().all(|cell| cell.bytes().all(|b| b == b'-'));
        is_ours && !is_rule && cells.last() != Some(&"result")
    })
}

fn cells(line: &str) -> Vec<&str> {
    let inner = line.trim().strip_prefix('|').and_then(|rest| rest.strip_suffix('|'));
    inner.map(|inner| inner.split('|').map(str::trim).collect()).unwrap_or_default()
}

fn has_passed(row: &str) -> bool {
    cells(row).last().is_some_and(|result| result.starts_with("passed"))
}

/// Answers whether the sources have a test of this name.
fn is_there(root: &Path, Witness { of, name }: Witness<'_>) -> bool {
    let Some((_, sources, _)) = PROGRAMS.iter().find(|(known, _, _)| *known == of) else { return false };
    let (modules, function) = name.rsplit_once("::").unwrap_or(("", name));
    let sources = root.join(sources);
    files(&sources, modules)
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .any(|text| has_test(&text, function))
}

/// Returns the files that a module may be in. Its last part may lie within the file of the one before.
fn files(sources: &Path, modules: &str) -> Vec<PathBuf> {
    let parts: Vec<&str> = modules.split("::").filter(|part| !part.is_empty()).collect();
    let mut files = Vec::new();
    for length in [parts.len(), parts.len().saturating_sub(1)] {
        let base = parts[..length].iter().fold(sources.to_path_buf(), |path, part| path.join(part));
        if length == 0 {
            files.extend(["lib.rs", "main.rs"].map(|name| base.join(name)));
        } else {
            files.extend([base.with_extension("rs"), base.join("mod.rs")]);
        }
    }
    files
}

/// Answers whether a source has a function of this name that is marked as a test.
fn has_test(source: &str, function: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let head = format!("fn {function}(");
    lines.iter().enumerate().filter(|(_, line)| line.contains(&head)).any(|(at, _)| {
        let mut marks = lines[..at].iter().rev().take_while(|line| !line.is_empty());
        marks.any(|line| ["#[test]", "#[rstest]", "#[tokio::test"].iter().any(|mark| line.starts_with(mark)))
    })
}

/// How many cases of a test were run, and whether all of them passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cases {
    passed: usize,
    failed: usize,
}

/// Runs tests, and nothing else, and returns what came of each.
fn results<'a>(all: &BTreeSet<Witness<'a>>) -> Result<BTreeMap<Witness<'a>, Cases>, String> {
    let mut args =
        vec!["test", "--locked", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast", "--"];
    args.extend(all.iter().map(|witness| witness.name));
    // One pipe for both: what cargo says on the one belongs between what the tests say on the other.
    let (reader, writer) = pipe().map_err(|e| format!("no pipe: {e}"))?;
    let errors = writer.try_clone().map_err(|e| format!("no pipe: {e}"))?;
    let mut command = Tool::cargo().args(args).env("CARGO_TERM_COLOR", "never").into_command();
    let mut child =
        command.stdout(writer).stderr(errors).spawn().map_err(|e| format!("cannot run cargo: {e}"))?;
    // It holds the ends that are written to, and the reader would wait for them.
    drop(command);
    let mut tally = Tally::default();
    for line in BufReader::new(reader).lines().map_while(Result::ok) {
        println!("{line}");
        tally.read(&line);
    }
    child.wait().map_err(|e| format!("cannot wait for cargo: {e}"))?;
    Ok(all.iter().map(|witness| (*witness, tally.of(*witness))).collect())
}

/// What programs of tests said.
#[derive(Default)]
struct Tally {
    program: String,
    said: BTreeMap<(String, String), bool>,
}

impl Tally {
    fn read(&mut self, line: &str) {
        let line = line.trim();
        if let Some((_, path)) = line.strip_prefix("Running ").and_then(|rest| rest.rsplit_once('(')) {
            let file = path.trim_end_matches(')').rsplit('/').next().unwrap_or_default();
            self.program = file.rsplit_once('-').map_or(file, |(name, _)| name).to_owned();
        }
        let told = line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... "));
        if let Some((name, result @ ("ok" | "FAILED"))) = told {
            self.said.insert((self.program.clone(), name.to_owned()), result == "ok");
        }
    }

    fn of(&self, Witness { of, name }: Witness<'_>) -> Cases {
        let program =
            PROGRAMS.iter().find(|(known, _, _)| *known == of).map_or("", |(_, _, program)| program);
        let mut cases = Cases::default();
        for ((said_by, test), passed) in &self.said {
            // Of a test with cases, each is one.
            let is_it = test == name || test.strip_prefix(name).is_some_and(|rest| rest.starts_with("::"));
            if said_by == program && is_it {
                cases.passed += usize::from(*passed);
                cases.failed += usize::from(!passed);
            }
        }
        cases
    }
}

/// Returns the document with results in the last column of its table.
fn with_results(text: &str, results: &BTreeMap<Witness<'_>, Cases>) -> String {
    let ours: BTreeSet<&str> = rows(text).collect();
    let mut written = String::with_capacity(text.len());
    for line in text.lines() {
        if ours.contains(line) {
            let cells = cells(line);
            let kept = cells[..cells.len() - 1].join(" | ");
            written.push_str(&format!("| {kept} | {} |\n", result(line, results)));
        } else {
            written.push_str(line);
            written.push('\n');
        }
    }
    written
}

fn result(row: &str, results: &BTreeMap<Witness<'_>, Cases>) -> String {
    let mut passed = 0;
    for witness in witnesses(row) {
        match results.get(&witness).copied().unwrap_or_default() {
            Cases { passed: 0, failed: 0 } => return format!("not run: {}", witness.name),
            Cases { failed: 1.., .. } => return format!("failed: {}", witness.name),
            cases => passed += cases.passed,
        }
    }
    format!("passed ({passed})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_that_documents_name_is_there() {
        let problems = problems(&root(), true);
        assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    }

    #[test]
    fn tests_are_found_where_they_are() {
        let is_there = |span: &str| witness(span).is_some_and(|witness| is_there(&root(), witness));
        assert!(is_there("xtask::faults::tests::tests_are_found_where_they_are"));
        assert!(is_there("layers::every_room_uses_only_what_it_may"));
        assert!(is_there("it::hostile::what_cannot_be_had_is_named_and_the_rest_is_kept"));
        assert!(is_there("engine::archive::tests::hostile::flipped_bits_are_found"));
        for wrong in [
            "xtask::faults::tests::no_such_test",
            // A function, and no test.
            "xtask::faults::problems",
            "it::hostile::own_layer",
            "it::refusals::what_cannot_be_had_is_named_and_the_rest_is_kept",
            "nobody::hostile::flipped_bits_are_found",
            "RawManifest::parse",
        ] {
            assert!(!is_there(wrong), "{wrong}");
        }
    }

    const DOCUMENT: &str = "\
# Faults

| name | meaning |
|---|---|
| `it::a::b` | not a row of ours |

| fault | expected | tests | result |
|---|---|---|---|
| one | refused | `it::hostile::one`, `engine::net::two` | passed (9) |
| two | refused | `it::hostile::three` |  |

Text.
";

    #[test]
    fn the_table_is_read_and_written() {
        let found: Vec<&str> = rows(DOCUMENT).collect();
        assert!(found.len() == 2 && found[1].starts_with("| two"), "{found:?}");
        assert!(has_passed(found[0]) && !has_passed(found[1]));
        let output = "\
     Running unittests src/lib.rs (target/debug/deps/oc_mirror_engine-0a1b)
running 3 tests
test net::two::case_1_of_a_kind ... ok
test net::two::case_2 ... ok
test net::two_of_another_name ... FAILED
     Running ../../tests/it/main.rs (/x/target/debug/deps/it-77)
test hostile::one ... ok
test net::two ... FAILED
test hostile::three ... FAILED";
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.read(line));
        let results: BTreeMap<_, _> =
            rows(DOCUMENT).flat_map(witnesses).map(|witness| (witness, tally.of(witness))).collect();
        assert_eq!(results.len(), 3);
        let written = with_results(DOCUMENT, &results);
        assert!(written.contains("`engine::net::two` | passed (3) |\n"), "{written}");
        assert!(written.contains("| `it::hostile::three` | failed: hostile::three |\n"), "{written}");
        assert!(written.contains("| `it::a::b` | not a row of ours |\n") && written.ends_with("Text.\n"));
        let nothing = with_results(DOCUMENT, &BTreeMap::new());
        assert!(nothing.contains("| not run: hostile::one |"), "{nothing}");
    }
}
