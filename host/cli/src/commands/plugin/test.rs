//! `oc-mirror plugin test`.

use std::path::Path;
use std::sync::{Arc, Mutex};

use oc_mirror_engine::policy::{Mode, OnFailure};
use oc_mirror_engine::report::{Event, Events};
use oc_mirror_engine::source::Collected;
use oc_mirror_engine::workflow::rehearsal::{Rehearsal, RehearsalError};
use oc_mirror_model::cases::{Case, CaseTable, Expected, Said};
use oc_mirror_model::policy::{Decision, PolicyFinding};
use oc_mirror_model::report::exit;
use oc_mirror_model::request::ImageRequest;
use oc_mirror_plugin_host::{Binary, Host, LoadError, LoadErrorKind, PluginSpec};
use serde_json::{Value, json};

use super::super::list::print;
use super::desk::Desk;
use super::named::Named;
use crate::args::{Format, NetworkArgs};
use crate::error::CliError;
use crate::output::clean;
use crate::plugins;

/// The name of the plugin in messages.
const NAME: &str = "plugin";

/// How a table is worked through.
pub(super) struct Options<'a> {
    /// The component, in place of the one that the table names.
    pub(super) plugin: Option<&'a str>,
    /// A part of the names of the cases that are asked.
    pub(super) case: Option<&'a str>,
    /// How the outcome is printed.
    pub(super) output: Format,
    /// How to reach the component, if it is in a registry.
    pub(super) network: &'a NetworkArgs,
}

/// What became of a case.
struct Outcome<'a> {
    case: &'a Case,
    /// What is not as expected; nothing if the case passed.
    differences: Vec<String>,
    /// What the plugin said meanwhile.
    log: Vec<String>,
}

/// Asks what a table asks, and compares.
pub(super) fn run(path: &Path, options: &Options<'_>) -> Result<u8, CliError> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        CliError::caused(format!("the table `{shown}` cannot be read"), &error)
            .hint("see `oc-mirror plugin test --help` for a table")
    })?;
    let table = CaseTable::parse(&text).map_err(|error| {
        CliError::caused(format!("`{shown}` is not a table of cases"), &error).hint(error.hint())
    })?;
    let host = plugins::host()?;
    let binary = component(&host, path, &table, options)?;
    let is_asked = |case: &&Case| options.case.is_none_or(|part| case.name.contains(part));
    let cases: Vec<&Case> = table.cases.iter().filter(is_asked).collect();
    if let (Some(part), true) = (options.case, cases.is_empty()) {
        return Err(CliError::new(format!("no case of `{shown}` has `{part}` in its name"))
            .hint("leave out --case to run all of them"));
    }
    let outcomes = super::super::runtime()?.block_on(async {
        let mut outcomes = Vec::new();
        for case in cases {
            outcomes.push(Trial { host: &host, table: &table, binary: &binary, case }.run().await?);
        }
        Ok::<_, CliError>(outcomes)
    })?;
    let failed = outcomes.iter().filter(|outcome| !outcome.differences.is_empty()).count();
    let described: Vec<Value> = outcomes.iter().map(Outcome::described).collect();
    print(options.output, &Value::Array(described), || {
        let mut lines: Vec<String> = outcomes.iter().flat_map(Outcome::lines).collect();
        lines.push(format!("{} passed, {failed} failed", outcomes.len() - failed));
        lines.join("\n")
    })?;
    Ok(if failed == 0 { exit::OK } else { exit::GENERIC })
}

/// Finds the component: the command line wins over the table.
fn component(host: &Host, path: &Path, table: &CaseTable, options: &Options<'_>) -> Result<Binary, CliError> {
    let named = match (options.plugin, &table.plugin) {
        (Some(given), _) => Named::given(given)?,
        (None, Some(named)) => Named::parse(named, path.parent().unwrap_or(Path::new("")))?,
        (None, None) => {
            return Err(CliError::new(format!("`{}` does not say which plugin to test", path.display()))
                .hint("name it with `plugin:` in the table, or with --plugin FILE"));
        }
    };
    named.binary(host, || Desk::open(options.network))
}

/// One case about to be asked.
struct Trial<'a> {
    host: &'a Host,
    table: &'a CaseTable,
    binary: &'a Binary,
    case: &'a Case,
}

/// What a plugin answered.
enum Answer {
    Judged(Decision),
    Collected(Collected),
    /// Its settings are refused: path and message of each.
    Problems(Vec<(String, String)>),
    Failed(String),
}

impl<'a> Trial<'a> {
    async fn run(&self) -> Result<Outcome<'a>, CliError> {
        let log = Arc::new(Log::default());
        let scratch = tempfile::tempdir()
            .map_err(|error| CliError::caused("there is no place for temporary files", &error))?;
        let program = concat!("oc-mirror ", env!("CARGO_PKG_VERSION"));
        let world = Rehearsal::new(self.table, program, log.clone(), scratch.path().to_owned()).await;
        let world = world.map_err(|error| CliError::from_error(&error))?;
        let answer = self.ask(&world).await?;
        let differences = differences(&self.case.expect, &answer);
        let log = std::mem::take(&mut *log.0.lock().expect("no holder of this lock panics"));
        Ok(Outcome { case: self.case, differences, log })
    }

    async fn ask(&self, world: &Rehearsal) -> Result<Answer, CliError> {
        let case = self.case;
        let answered = match &case.image {
            Some(image) => match self.host.policy(self.spec()?, Mode::Protect, OnFailure::Deny).await {
                Ok(policy) => world.judge(policy.as_ref(), &request(case, image)).await.map(Answer::Judged),
                Err(error) => return not_loaded(error),
            },
            None if case.expect.problems.is_some() && self.is_policy() => {
                let loaded = self.host.policy(self.spec()?, Mode::Protect, OnFailure::Deny).await;
                return loaded.map_or_else(not_loaded, |_| Ok(Answer::Problems(Vec::new())));
            }
            None => match self.host.source(self.spec()?).await {
                Ok(_) if case.expect.problems.is_some() => return Ok(Answer::Problems(Vec::new())),
                Ok(source) => world.collect(source.as_ref()).await.map(Answer::Collected),
                Err(error) => return not_loaded(error),
            },
        };
        answered.or_else(|error| match error {
            RehearsalError::Plugin(error) => Ok(Answer::Failed(error.cause)),
            other => Err(CliError::caused(format!("the case `{}` cannot be asked", case.name), &other)
                .hint("name the image below `images:` of the table")),
        })
    }

    fn spec(&self) -> Result<PluginSpec, CliError> {
        let grants = self.case.grants.as_ref().unwrap_or(&self.table.grants);
        let config = self.case.config.as_ref().unwrap_or(&self.table.config);
        Ok(PluginSpec {
            name: NAME.to_owned(),
            binary: self.binary.clone(),
            settings: if config.is_null() { json!({}) } else { Rehearsal::settings(config) },
            grants: plugins::parse_grants(NAME, grants)?,
        })
    }

    /// What is not a plugin at all is told when it is loaded.
    fn is_policy(&self) -> bool {
        let worlds = self.binary.inspect().map(|inspection| inspection.meta.worlds);
        worlds.is_ok_and(|worlds| worlds.iter().any(|world| world == "policy" || world == "static-policy"))
    }
}

fn not_loaded(error: LoadError) -> Result<Answer, CliError> {
    match error.kind.as_ref() {
        LoadErrorKind::Settings(problems) => {
            Ok(Answer::Problems(problems.iter().map(|p| (p.path.clone(), p.message.clone())).collect()))
        }
        LoadErrorKind::Call(failed) => Ok(Answer::Failed(failed.cause.clone())),
        _ => Err(plugins::failed("the plugin cannot be used", &error)),
    }
}

fn request(case: &Case, image: &str) -> ImageRequest {
    ImageRequest {
        source: image.to_owned(),
        origin: image.to_owned(),
        kind: case.kind.clone(),
        target_repository: None,
        target_tag: None,
        platforms: Vec::new(),
        with_referrers: false,
        provenance: case.provenance.clone().into(),
    }
}

/// Compares an answer with what is expected.
fn differences(expect: &Expected, answer: &Answer) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(part) = &expect.error {
        match answer {
            Answer::Failed(cause) if cause.contains(part.as_str()) => {}
            Answer::Failed(cause) => {
                found.push(format!("expected an error with `{part}`, it failed with: {cause}"))
            }
            other => found.push(format!("expected an error with `{part}`, got {}", other.in_words())),
        }
        return found;
    }
    if let Some(paths) = &expect.problems {
        let actual: Option<Vec<&String>> = match answer {
            Answer::Problems(problems) => Some(problems.iter().map(|(path, _)| path).collect()),
            _ => None,
        };
        if actual.is_none_or(|actual| !actual.into_iter().eq(paths)) {
            let expected = if paths.is_empty() { "no".to_owned() } else { quoted(paths) };
            found.push(format!("expected {expected} problems of settings, got {}", answer.in_words()));
        }
        return found;
    }
    match answer {
        Answer::Judged(decision) => judged(expect, decision, &mut found),
        Answer::Collected(collected) => collected_differences(expect, collected, &mut found),
        Answer::Problems(_) | Answer::Failed(_) => found.push(format!("got {}", answer.in_words())),
    }
    found
}

fn judged(expect: &Expected, decision: &Decision, found: &mut Vec<String>) {
    let said = said(decision);
    if let Some(expected) = expect.verdict.filter(|expected| *expected != said) {
        found.push(format!("expected {}, got {}", expected.as_str(), Answer::judgement(decision)));
    }
    let findings = || decision.denied.iter().chain(&decision.warnings);
    let got = || Answer::judgement(decision);
    if let Some(code) = expect.code.as_ref().filter(|code| findings().all(|f| f.finding.code != **code)) {
        found.push(format!("expected the code `{code}`, got {}", got()));
    }
    let says = |part: &str| findings().any(|f| f.finding.message.contains(part));
    if let Some(part) = expect.message.as_ref().filter(|part| !says(part)) {
        found.push(format!("expected a message with `{part}`, got {}", got()));
    }
}

fn said(decision: &Decision) -> Said {
    match (decision.denied.is_empty(), decision.warnings.is_empty()) {
        (false, _) => Said::Deny,
        (true, false) => Said::Warn,
        (true, true) => Said::Allow,
    }
}

fn collected_differences(expect: &Expected, collected: &Collected, found: &mut Vec<String>) {
    let mut compare = |what: &str, expected: &Option<Vec<String>>, actual: Vec<String>| {
        if let Some(expected) = expected.as_ref().filter(|expected| **expected != actual) {
            found.push(format!("expected {what} {}, got {}", quoted(expected), quoted(&actual)));
        }
    };
    compare("images", &expect.images, collected.images.iter().map(|i| i.origin.clone()).collect());
    compare("files", &expect.files, collected.artifacts.iter().map(|a| a.path.clone()).collect());
    compare("resources", &expect.resources, collected.documents.iter().map(|d| d.0.clone()).collect());
    compare("warnings", &expect.warnings, collected.warnings.iter().map(|w| w.0.clone()).collect());
}

fn quoted(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}

impl Answer {
    fn in_words(&self) -> String {
        match self {
            Self::Judged(decision) => Self::judgement(decision),
            Self::Collected(collected) => {
                let images: Vec<String> = collected.images.iter().map(|image| image.origin.clone()).collect();
                format!("images {}", quoted(&images))
            }
            Self::Problems(problems) if problems.is_empty() => "settings that are good".to_owned(),
            Self::Problems(problems) => {
                let problem = |(path, message): &(String, String)| match path.is_empty() {
                    true => message.clone(),
                    false => format!("`{path}`: {message}"),
                };
                let all: Vec<String> = problems.iter().map(problem).collect();
                format!("problems of settings: {}", all.join("; "))
            }
            Self::Failed(cause) => format!("a failure: {cause}"),
        }
    }

    fn judgement(decision: &Decision) -> String {
        let finding = |f: &PolicyFinding| format!("{} ({})", f.finding.message, f.finding.code);
        let all: Vec<String> = decision.denied.iter().chain(&decision.warnings).map(finding).collect();
        match all.is_empty() {
            true => said(decision).as_str().to_owned(),
            false => format!("{}: {}", said(decision).as_str(), all.join("; ")),
        }
    }
}

impl Outcome<'_> {
    fn lines(&self) -> Vec<String> {
        let is_failed = !self.differences.is_empty();
        let word = if is_failed { "FAILED" } else { "ok" };
        let mut lines = vec![format!("{word:<6} {}", clean(&self.case.name))];
        lines.extend(self.differences.iter().map(|text| format!("       {}", clean(text))));
        // What a plugin logs is of use where it did not do what was expected.
        let log = self.log.iter().filter(|_| is_failed);
        lines.extend(log.map(|line| format!("       log: {}", clean(line))));
        lines
    }

    fn described(&self) -> Value {
        json!({
            "case": self.case.name,
            "passed": self.differences.is_empty(),
            "differences": self.differences,
            "log": self.log,
        })
    }
}

/// Keeps what a plugin logs.
#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Events for Log {
    fn event(&self, event: Event<'_>) {
        let line = match event {
            Event::PluginLog { message, fields, .. } => {
                let fields: Vec<String> =
                    fields.iter().map(|(key, value)| format!(" {key}={value}")).collect();
                format!("{message}{}", fields.concat())
            }
            Event::Warning { message, .. } => message.to_owned(),
            _ => return,
        };
        self.0.lock().expect("no holder of this lock panics").push(line);
    }
}
