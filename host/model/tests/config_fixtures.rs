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

#[test]
fn real_configurations_can_be_patched() {
    let Some(root) = fixtures() else { return };
    let edit = |action, at: &str, value: serde_json::Value| config::Edit {
        action,
        at: at.to_owned(),
        value,
        why: String::new(),
    };
    let (mut patched, mut kept) = (0, 0);
    for (name, text) in files(&root) {
        let Ok(parsed) = config::parse(&text) else { continue };
        let Configuration::Mirror(before) = parsed.configuration else { continue };
        let platform = before.mirror.platform.clone().unwrap_or_default();
        let mut edits = vec![edit(
            config::EditAction::Append,
            "mirror.platform.channels",
            serde_json::json!({"name": "stable-4.99", "minVersion": "4.99.1", "maxVersion": "4.99.3"}),
        )];
        if !platform.channels.is_empty() {
            let at = "mirror.platform.channels[0].minVersion";
            edits.push(edit(config::EditAction::Set, at, "4.0.1".into()));
        }
        for (place, operator) in before.mirror.operators.iter().enumerate() {
            let at = format!("mirror.operators[{place}].packages");
            let value = serde_json::json!({"name": "no-such-package", "channels": [{"name": "a", "minVersion": "1.0.0"}]});
            edits.push(edit(config::EditAction::Append, &at, value));
            if let Some(package) = operator.packages.first().filter(|package| package.bundles.is_empty())
                && package.channels.iter().all(|c| c.min_version.is_none() && c.max_version.is_none())
            {
                let at = format!("{at}[0].minVersion");
                edits.push(edit(config::EditAction::Set, &at, "0.0.1".into()));
            }
        }
        let made = config::patch(&text, &edits).unwrap_or_else(|error| panic!("{name}: {error}"));
        let Ok(config::Parsed { configuration: Configuration::Mirror(after), .. }) =
            config::parse(&made.text)
        else {
            panic!("{name}: {}", made.text);
        };
        // All else is as it was.
        let channels = after.mirror.platform.as_ref().map_or(0, |platform| platform.channels.len());
        assert_eq!(channels, platform.channels.len() + 1, "{name}");
        assert_eq!(after.mirror.additional_images, before.mirror.additional_images, "{name}");
        assert_eq!((&after.storage, after.archive_size), (&before.storage, before.archive_size), "{name}");
        let comments = |text: &str| text.lines().filter(|line| line.trim_start().starts_with('#')).count();
        if made.kept {
            kept += 1;
            assert_eq!(comments(&text), comments(&made.text), "{name}");
        }
        patched += 1;
    }
    eprintln!("{patched} patched, {kept} with their text");
    assert!(patched > 100 && kept * 100 > patched * 95, "{kept} of {patched} with their text");
}
