//! `oc-mirror lint`.

mod online;

use std::fs::{File, Permissions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use oc_mirror_engine::fsx;
use oc_mirror_model::config::{self, Finding, LintSettings, Migrated, Position, Problem, Severity};
use oc_mirror_model::report::exit;
use oc_mirror_plugin_host::Host;
use serde::Serialize;

use online::Catalogs;

use super::check::plural;
use crate::args::{Deny, Format, LintArgs};
use crate::environment;
use crate::error::CliError;
use crate::output;

/// What is remarkable about one file.
#[derive(Serialize)]
struct Looked {
    /// As it was named.
    file: String,
    findings: Vec<Finding>,
}

/// Says what is remarkable about configurations, or writes them anew.
pub(crate) fn run(args: &LintArgs) -> Result<u8, CliError> {
    match args.fix.as_deref() {
        None => look(args),
        Some("") => fix_all(args, true),
        Some("-") => fix_all(args, false),
        Some(other) => Err(CliError::new(format!("--fix is `{other}`"))
            .hint("write --fix to change files in place, or --fix - for the standard output; files go behind --config")),
    }
}

fn look(args: &LintArgs) -> Result<u8, CliError> {
    let builtins: Vec<&str> = Host::builtins().collect();
    let today = environment::created()?.day().to_owned();
    let settings = LintSettings { builtins: &builtins, today: Some(&today) };
    let catalogs = args.online.then(|| Catalogs::open(args)).transpose()?;
    let looked = args.config.iter().map(|path| {
        let findings = match read(path) {
            Ok(text) => {
                let mut findings = config::lint(&text, settings);
                if let Some(catalogs) = &catalogs {
                    findings.extend(catalogs.look(path, &text)?);
                    findings.sort_by_key(|f| (f.problem.line, f.problem.column));
                }
                findings
            }
            Err(error) => vec![unreadable(&error)],
        };
        Ok(Looked { file: path.display().to_string(), findings })
    });
    let looked: Vec<Looked> = looked.collect::<Result<_, CliError>>()?;
    let count = |severity| {
        let findings = looked.iter().flat_map(|file| &file.findings);
        findings.filter(|finding| finding.severity == severity).count()
    };
    let counts =
        [Severity::Error, Severity::Warning, Severity::Note].map(|severity| (severity, count(severity)));
    match args.output {
        Format::Text => {
            looked.iter().for_each(print);
            output::status(&sum(&counts, looked.len()));
        }
        format => output::data(format, &looked)?,
    }
    let least = match args.deny {
        None => Severity::Error,
        Some(Deny::Warnings) => Severity::Warning,
        Some(Deny::Notes) => Severity::Note,
    };
    let is_denied = counts.iter().any(|(severity, count)| *severity >= least && *count > 0);
    Ok(if is_denied { exit::GENERIC } else { exit::OK })
}

fn read(path: &Path) -> Result<String, CliError> {
    let bytes = environment::read(path, "the configuration")?;
    String::from_utf8(bytes).map_err(|error| {
        CliError::caused(format!("the configuration `{}` is not text", path.display()), &error.utf8_error())
            .hint("save it as UTF-8")
    })
}

/// The other files are looked at all the same.
fn unreadable(error: &CliError) -> Finding {
    let message =
        std::iter::once(&error.heading).chain(&error.causes).cloned().collect::<Vec<_>>().join(": ");
    let start = Position { line: 1, column: 1 };
    let problem = Problem { hint: error.hint.clone(), ..Problem::new(start, "", message) };
    Finding::new("unreadable", Severity::Error, problem)
}

fn print(looked: &Looked) {
    for finding in &looked.findings {
        let Finding { code, severity, problem } = finding;
        let place = if problem.path.is_empty() { String::new() } else { format!("{}: ", problem.path) };
        let (line, column) = (problem.line, problem.column);
        let text = format!(
            "{}:{line}:{column}: {}[{code}]: {place}{}",
            looked.file,
            severity.as_str(),
            problem.message
        );
        output::line(&output::clean(&text));
        for line in problem.hint.iter().flat_map(|hint| hint.lines()) {
            output::line(&output::clean(&format!("    hint: {line}")));
        }
    }
}

/// Says how much there was: `1 error, 2 warnings in 3 files`.
fn sum(counts: &[(Severity, usize)], files: usize) -> String {
    let found = counts.iter().filter(|(_, count)| *count > 0);
    let found: Vec<String> = found.map(|(severity, count)| plural(*count, severity.as_str())).collect();
    let found = if found.is_empty() { "nothing found".to_owned() } else { found.join(", ") };
    format!("{found} in {}", plural(files, "file"))
}

/// A file that is to be written anew.
struct Fixed<'a> {
    path: &'a Path,
    old: String,
    new: Migrated,
}

/// Nothing is written unless all files can be migrated.
fn fix_all(args: &LintArgs, in_place: bool) -> Result<u8, CliError> {
    if !in_place && args.config.len() > 1 {
        return Err(CliError::new(format!("--fix - is one file, and --config names {}", args.config.len()))
            .hint("use --fix without `-`, or one file at a time"));
    }
    let mut fixed = Vec::new();
    for path in &args.config {
        let old = read(path)?;
        let shown = path.display().to_string();
        match config::migrate(&old).map_err(|error| CliError::configuration(&shown, &error))? {
            Some(new) => fixed.push(Fixed { path, old, new }),
            None => {
                output::status(&format!("{shown} is v2alpha1 already"));
                if !in_place {
                    output::line(old.trim_end());
                }
            }
        }
    }
    for file in &fixed {
        if in_place {
            replace(file)?;
        } else {
            output::line(file.new.text.trim_end());
        }
        tell(file);
    }
    Ok(exit::OK)
}

/// Keeps the old text beside the new one, which everybody may do with what they could before.
fn replace(file: &Fixed<'_>) -> Result<(), CliError> {
    let kept = beside(file.path);
    let permissions = std::fs::metadata(file.path).map(|found| found.permissions());
    keep(&kept, &file.old, permissions.as_ref().ok()).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            CliError::new(format!("`{}` is there already, and would be written over", kept.display()))
                .hint(format!("move it away; `{}` is as it was", file.path.display()))
        }
        _ => CliError::caused(format!("the old text cannot be kept in `{}`", kept.display()), &error)
            .hint("see whether the directory can be written to, or use --fix -"),
    })?;
    // Where the name is a link, what it leads to is replaced.
    let written = file.path.canonicalize().and_then(|path| {
        fsx::write_atomic_with(&path, |new| {
            new.set_permissions(permissions?)?;
            new.write_all(file.new.text.as_bytes())
        })
    });
    written.map_err(|error| {
        CliError::caused(format!("`{}` cannot be written", file.path.display()), &error)
            .hint("see whether it and its directory can be written to, or use --fix -")
    })?;
    let (shown, kept) = (file.path.display(), kept.display());
    output::status(&format!("{shown} is v2alpha1 now; the old text is in {kept}"));
    Ok(())
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".v1alpha2");
    name.into()
}

fn keep(path: &Path, text: &str, permissions: Option<&Permissions>) -> std::io::Result<()> {
    let mut file = File::create_new(path)?;
    if let Some(permissions) = permissions {
        file.set_permissions(permissions.clone())?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Says what is not as it was.
fn tell(file: &Fixed<'_>) {
    let shown = file.path.display();
    if !file.new.kept {
        let lost = if file.old.contains('#') { "; comments are lost" } else { "" };
        output::warning(&format!(
            "{shown}: the text could not be changed in place and is written anew{lost}"
        ));
    }
    for Problem { path, line, column, message, hint } in &file.new.differences {
        output::warning(&format!("{shown}:{line}:{column}: {path}: {message}"));
        if let Some(hint) = hint {
            output::said(&format!("    hint: {hint}\n"));
        }
    }
}
