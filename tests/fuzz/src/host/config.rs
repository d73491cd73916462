//! Configurations: problems have places, and what is changed or migrated can be read.

use oc_mirror_model::config::{
    ConfigError, Edit, EditAction, LintSettings, Problem, lint, locate, locate_key, migrate, parse, patch,
};

use crate::target::{Input, Target};

/// `ImageSetConfiguration` and `DeleteImageSetConfiguration`, both versions.
pub const CONFIG: Target = Target { name: "config", longest: 16 << 10, memory: 64 << 20, check };

const PLACES: [&str; 8] = [
    "mirror.platform.channels[0].minVersion",
    "mirror.additionalImages",
    "mirror.operators[0].packages[0].name",
    "archiveSize",
    "mirror.platform.graph",
    "mirror.operators[0].packages",
    "mirror.helm.repositories[0].url",
    "",
];

fn check(data: &[u8]) {
    let mut input = Input(data);
    let (place, value) = (input.one_of(&PLACES), input.one_of(&["4.18.0", "x", "", "true", "&a *a"]));
    let Ok(text) = std::str::from_utf8(input.0) else { return };
    let parsed = parse(text);
    let findings = lint(text, LintSettings { today: None, ..LintSettings::default() });
    findings.iter().for_each(|finding| has_place(&finding.problem, text));
    for path in PLACES {
        for at in [locate(text, path), locate_key(text, path)] {
            assert!(at.line >= 1 && at.column >= 1);
        }
    }
    match &parsed {
        Ok(parsed) => parsed.warnings.iter().for_each(|warning| has_place(warning, text)),
        Err(error) => refused(error, text),
    }
    match migrate(text) {
        Ok(Some(migrated)) => {
            parse(&migrated.text).unwrap_or_else(|e| panic!("{text}\n\nbecomes\n\n{}\n\n{e}", migrated.text));
            assert_eq!(migrate(&migrated.text).expect("it is readable"), None, "{text}");
        }
        Ok(None) => assert!(parsed.is_ok()),
        Err(error) => refused(&error, text),
    }
    for (action, value) in
        [(EditAction::Set, value.into()), (EditAction::Append, serde_json::json!({ "name": value }))]
    {
        let edit = Edit { action, at: place.to_owned(), value, why: String::new() };
        // A change may also mend what was wrong.
        if let Ok(patched) = patch(text, &[edit]) {
            parse(&patched.text).unwrap_or_else(|e| panic!("{text}\n\nbecomes\n\n{}\n\n{e}", patched.text));
        }
    }
}

fn refused(error: &ConfigError, text: &str) {
    assert!(!error.problems.is_empty());
    error.problems.iter().for_each(|problem| has_place(problem, text));
}

/// Lines end as YAML has it, and one more may follow the last.
fn has_place(problem: &Problem, text: &str) {
    let lines = text.matches(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count() + 2;
    assert!(
        (1..=lines).contains(&(problem.line as usize)) && problem.column >= 1,
        "{problem} of {lines} lines"
    );
}
