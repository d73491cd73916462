//! Every real configuration at hand either parses or is listed, with a part of the message, as one that must not.

use std::fs;
use std::path::{Path, PathBuf};

use oc_mirror_model::config::{self, Configuration};

/// `FILE: a part of the message`, one per line.
const EXPECTED_FAILURES: &str = include_str!("config_fixtures_expected.txt");

/// The folders that hold whole configurations; two more hold templates.
const FOLDERS: [&str; 5] = ["user", "upstream", "snippets", "invalid", "templated"];

#[expect(clippy::print_stderr, reason = "a test that did not run says so")]
fn fixtures() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/imageset-configs");
    if root.is_dir() {
        return Some(root);
    }
    eprintln!("skipped: no ../shared/fixtures");
    None
}

fn files(root: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        for entry in fs::read_dir(root.join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            files.push((format!("{folder}/{name}"), fs::read_to_string(&path).expect("text")));
        }
    }
    files.sort();
    files
}

fn expected_failure(name: &str) -> Option<&'static str> {
    let lines = EXPECTED_FAILURES.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(": ")).find(|(file, _)| *file == name).map(|(_, part)| part)
}

#[test]
fn real_configurations() {
    let Some(root) = fixtures() else { return };
    let mut wrong = Vec::new();
    for (name, text) in files(&root) {
        match (config::parse(&text), expected_failure(&name)) {
            (Ok(_), None) => {}
            (Ok(_), Some(part)) => wrong.push(format!("{name}: parses, expected: {part}")),
            (Err(error), None) => wrong.push(format!("{name}: {error}")),
            (Err(error), Some(part)) => {
                let hinted = error.problems.iter().all(|p| p.hint.is_some());
                if !error.to_string().contains(part) || !hinted {
                    wrong.push(format!("{name}: {error}\nexpected with a hint: {part}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn real_configurations_survive_being_written() {
    let Some(root) = fixtures() else { return };
    for (name, text) in files(&root) {
        let Ok(parsed) = config::parse(&text) else { continue };
        let (written, again) = match parsed.configuration {
            Configuration::Mirror(mut configuration) => {
                let text = configuration.to_yaml();
                // These two have no place in the form that is written.
                configuration.api = config::ApiVersion::V2Alpha1;
                configuration.storage = None;
                (Configuration::Mirror(configuration), text)
            }
            Configuration::Delete(mut configuration) => {
                let text = configuration.to_yaml();
                configuration.api = config::ApiVersion::V2Alpha1;
                (Configuration::Delete(configuration), text)
            }
        };
        match config::parse(&again) {
            Ok(read) => assert_eq!(read.configuration, written, "{name}\n{again}"),
            Err(error) => panic!("{name}: {error}\n{again}"),
        }
    }
}
