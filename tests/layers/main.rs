//! Who may use whom: the table of `host/README.md` as data ([`table`]), checked against the imports of every source
//! file of the host, with a few rules that no compiler knows. The checker itself is tested on code that breaks them.

mod lexer;
mod rules;
mod table;
mod unsafety;

use std::fs;
use std::path::{Path, PathBuf};

use rules::Source;

/// The root of the repository.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this package lives two directories below the root").to_path_buf()
}

/// Reads all files of a kind below a directory, in the order of their names.
fn read_all(dir: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut waiting = vec![dir.to_path_buf()];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") {
                waiting.push(path);
            } else if wanted(&path) {
                let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                found.push((path.strip_prefix(root()).expect("it is below").to_path_buf(), text));
            }
        }
    }
    found.sort();
    found
}

fn sources(dir: &str) -> Vec<Source> {
    let is_rust = |path: &Path| path.extension().is_some_and(|e| e == "rs");
    let files = read_all(&root().join(dir), &is_rust);
    files.into_iter().filter_map(|(path, text)| Source::new(&path, text)).collect()
}

#[track_caller]
fn none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn every_room_uses_only_what_it_may() {
    let sources = sources("host");
    assert!(sources.len() > 20, "the sources were not found");
    none(&rules::edges(&sources));
}

#[test]
fn every_room_of_the_engine_is_in_the_table() {
    none(&rules::unknown_rooms(&sources("host")));
}

#[test]
fn libraries_neither_print_nor_look_around() {
    none(&rules::noises(&sources("host")));
}

#[test]
fn nothing_is_left_to_do_and_no_file_is_too_long() {
    for dir in ["host", "plugins", "examples", "tests"] {
        none(&rules::leftovers(&sources(dir)));
    }
}

/// The tables of `docs/limits.md` name a file, something in it, and a test.
#[test]
fn limits_are_where_the_document_says() {
    let document = fs::read_to_string(root().join("docs/limits.md")).expect("the document");
    let rows = document.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| of |"));
    let rows: Vec<Vec<&str>> = rows.map(|line| line.split('|').map(str::trim).collect()).collect();
    assert!(rows.len() > 40, "the tables were not found");
    let is_rust = |path: &Path| path.extension().is_some_and(|e| e == "rs");
    let sources =
        ["host", "plugins", "tests"].into_iter().flat_map(|dir| read_all(&root().join(dir), &is_rust));
    let sources: Vec<String> = sources.map(|(_, text)| text).collect();
    let mut problems = Vec::new();
    for row in rows {
        let [_, what, _, file, name, test, ..] = row.as_slice() else {
            problems.push(format!("{row:?} has too few columns"));
            continue;
        };
        let (file, name, test) = (file.trim_matches('`'), name.trim_matches('`'), test.trim_matches('`'));
        if !fs::read_to_string(root().join(file)).is_ok_and(|text| text.contains(name)) {
            problems.push(format!("{what}: there is no `{name}` in {file}"));
        }
        let function = format!("fn {test}(");
        if test != "—" && !sources.iter().any(|text| text.contains(&function)) {
            problems.push(format!("{what}: there is no test `{test}`"));
        }
    }
    none(&problems);
}

#[test]
fn every_unsafe_is_in_the_inventory() {
    let all: Vec<Source> = ["host", "plugins", "examples", "tests"].into_iter().flat_map(sources).collect();
    assert!(all.len() > 400, "the sources were not found");
    none(&unsafety::unsafety(&all, &unsafety::INVENTORY));
}

#[test]
fn packages_depend_only_on_what_they_may() {
    let is_manifest = |path: &Path| path.file_name().is_some_and(|name| name == "Cargo.toml");
    let manifests = read_all(&root().join("host"), &is_manifest);
    assert!(manifests.len() > 5, "the manifests were not found");
    let problems: Vec<String> =
        manifests.iter().flat_map(|(path, text)| rules::dependencies(path, text)).collect();
    none(&problems);
}
