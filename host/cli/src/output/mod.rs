//! What people see: results on stdout, everything else on stderr. Nothing depends on colour.

mod report;
pub(crate) mod terminal;

use oc_mirror_model::progress::ProgressEvent;
use oc_mirror_model::report::{Failure, RunReport};
use serde::Serialize;

use crate::args::Format;
use crate::error::CliError;
use crate::progress::{self, tell};

pub(crate) use report::{deletion, report};

/// Shows an error: heading, causes, a blank line, the hint.
pub(crate) fn error(error: &CliError) {
    tracing::error!(causes = ?error.causes, "{}", error.heading);
    if progress::is_json() {
        let (message, causes) = (error.heading.clone(), error.causes.clone());
        return tell(ProgressEvent::Error { message, causes, hint: error.hint.clone() });
    }
    let causes = error.causes.iter().map(|cause| format!("  caused by: {cause}\n"));
    let hint = error.hint.iter().map(|hint| format!("\nhint: {hint}\n"));
    said(&format!("error: {}\n{}{}", error.heading, causes.collect::<String>(), hint.collect::<String>()));
}

/// Shows a line of status.
pub(crate) fn status(text: &str) {
    match progress::is_json() {
        true => tell(ProgressEvent::Message { message: text.to_owned() }),
        false => said(&format!("{text}\n")),
    }
}

/// Shows a warning.
pub(crate) fn warning(text: &str) {
    match progress::is_json() {
        true => tell(ProgressEvent::Warning { message: text.to_owned() }),
        false => said(&format!("warning: {text}\n")),
    }
}

/// Shows a text as it is on the standard error, but for what a terminal would act on.
pub(crate) fn said(text: &str) {
    terminal::err(&clean(text));
}

/// Prints a value for programs: as YAML where that is asked for, else as JSON.
pub(crate) fn data(format: Format, value: &impl Serialize) -> Result<(), CliError> {
    line(text(format, value)?.trim_end());
    Ok(())
}

/// Writes a value for programs, with a line break at its end: as YAML where that is asked for, else as JSON.
pub(crate) fn text(format: Format, value: &impl Serialize) -> Result<String, CliError> {
    let text = match format {
        Format::Yaml => serde_saphyr::to_string(value)
            .map_err(|error| CliError::caused("the answer cannot be written as YAML", &error))?,
        Format::Json | Format::Text => serde_json::to_string_pretty(value).expect("plain data serialises"),
    };
    Ok(format!("{}\n", text.trim_end()))
}

/// Prints a line of data.
pub(crate) fn line(text: &str) {
    terminal::out(&format!("{text}\n"));
}

/// Writes rows below a head, in columns as wide as what is in them.
pub(crate) fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let head = head.iter().map(|cell| (*cell).to_owned()).collect();
    columns(std::iter::once(head).chain(rows).collect())
}

/// Writes rows in columns as wide as what is in them.
fn columns(rows: Vec<Vec<String>>) -> String {
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = width(column).unwrap_or_default();
            format!("{:width$}  ", clean(cell).replace('\n', " "))
        });
        format!("{}\n", cells.collect::<String>().trim_end())
    };
    rows.iter().map(line).collect()
}

/// Replaces what a terminal would act on. Names and messages come from registries and plugins.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Shows what failed in a run, on stderr.
pub(crate) fn failures(report: &RunReport) {
    let (quarantined, others) = shown(&report.quarantined);
    for image in quarantined {
        let message = format!("{}: {}", image.subject, image.message);
        tracing::error!("quarantined: {message}");
        match progress::is_json() {
            true => tell(ProgressEvent::Error {
                message: format!("quarantined: {message}"),
                causes: Vec::new(),
                hint: image.hint.clone(),
            }),
            false => said(&format!("quarantined: {message}\n")),
        }
    }
    tell_of_others(others, "quarantined", report::REST);
    failed(&report.failures, report::REST);
}

/// Shows what failed, on stderr. `rest` says who names all, where that is more than fits on a screen.
pub(crate) fn failed(failures: &[Failure], rest: &str) {
    let (shown, others) = shown(failures);
    for failure in shown {
        let message = format!("{}: {}", failure.subject, failure.message);
        tracing::error!("{message}");
        match progress::is_json() {
            true => tell(ProgressEvent::Error { message, causes: Vec::new(), hint: failure.hint.clone() }),
            false => said(&format!("error: {message}\n")),
        }
    }
    tell_of_others(others, "error", rest);
    let mut hints: Vec<&String> = failures.iter().filter_map(|f| f.hint.as_ref()).collect();
    hints.dedup();
    if let Some(hint) = hints.first().filter(|_| !progress::is_json()) {
        said(&format!("\nhint: {hint}\n"));
    }
}

/// Returns those of many failures that are shown to people, and how many others there are. Programs get all.
fn shown(failures: &[Failure]) -> (&[Failure], usize) {
    let count = if progress::is_json() { failures.len() } else { failures.len().min(report::MOST_NAMED) };
    (&failures[..count], failures.len() - count)
}

fn tell_of_others(count: usize, what: &str, rest: &str) {
    if count > 0 {
        said(&format!("{what}: {count} more; {rest}\n"));
    }
}

/// Writes a number of bytes for people, in powers of 1024.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(1 << 40), "1.0 TiB");
    }

    #[test]
    fn terminals_are_not_commanded() {
        assert_eq!(clean("a\u{1b}[2Jb"), "a\u{fffd}[2Jb");
    }
}
