//! What people see: results on stdout, everything else on stderr. Nothing depends on colour.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use oc_mirror_engine::report::{Event, Events, Level};
use oc_mirror_model::deletion::{DeletedImage, DeletionReport, Outcome};
use oc_mirror_model::report::{Failure, RunReport, TargetReport, Totals, Workflow};

use crate::error::CliError;
use crate::memory;

/// Shows an error: heading, causes, a blank line, the hint.
pub(crate) fn error(error: &CliError) {
    eprintln!("error: {}", clean(&error.heading));
    for cause in &error.causes {
        eprintln!("  caused by: {}", clean(cause));
    }
    if let Some(hint) = &error.hint {
        eprintln!("\nhint: {}", clean(hint));
    }
}

/// Shows a line of status.
pub(crate) fn status(text: &str) {
    eprintln!("{}", clean(text));
}

/// Shows a warning.
pub(crate) fn warning(text: &str) {
    eprintln!("warning: {}", clean(text));
}

/// Prints a line of data.
pub(crate) fn line(text: &str) {
    use std::io::Write;
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => {}
        // Whoever reads has seen enough, as `head` has; what the run ends with stays the same.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        Err(error) => panic!("the standard output cannot be written to: {error}"),
    }
}

/// Writes rows below a head, in columns as wide as what is in them.
pub(crate) fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let head = head.iter().map(|cell| (*cell).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
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

/// Shows events of a run as lines on stderr, and writes them into the log.
pub(crate) struct Console {
    /// Show nothing.
    pub quiet: bool,
}

impl Events for Console {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Phase { name, items, bytes } => {
                let size = bytes.map(|b| format!(", {}", size(b))).unwrap_or_default();
                let items = items.map(|n| format!(" ({n}{size})")).unwrap_or_default();
                tracing::info!(name, ?bytes, "phase");
                memory::give_back();
                if !self.quiet {
                    status(&format!("{name}{items}"));
                }
            }
            Event::ItemDone { name } => tracing::debug!(name, "done"),
            Event::Bytes { .. } => {}
            Event::Warning { subject, message } => {
                tracing::warn!(subject, "{message}");
                if !self.quiet {
                    warning(&format!("{subject}: {message}"));
                }
            }
            Event::Retry { subject, reason, attempt } => {
                tracing::warn!(subject, attempt, "trying again: {reason}");
                if !self.quiet {
                    status(&format!("trying again ({attempt}): {subject}: {reason}"));
                }
            }
            Event::FoundAt { subject, place } => tracing::info!(subject, place, "found at a mirror"),
            Event::PluginLog { plugin, level, message, fields } => {
                tracing::info!(plugin, ?level, ?fields, "{message}");
                if level >= Level::Warn && !self.quiet {
                    warning(&format!("{plugin}: {message}"));
                }
            }
        }
    }
}

/// The result in one line. A run with failures has made or recorded nothing, and must not read as if it had.
fn headline(report: &RunReport) -> String {
    let failed = report.failures.len();
    if failed > 0 {
        let outcome = match report.workflow {
            Workflow::MirrorToDisk => "no imageset was made",
            _ if report.targets.iter().any(|target| target.failures.is_empty()) => {
                "the sequence was not completed at every target"
            }
            Workflow::DiskToMirror | Workflow::MirrorToMirror => "the sequence was not completed",
        };
        let failures = if failed == 1 { "1 failure".to_owned() } else { format!("{failed} failures") };
        return format!("{outcome}: {failures}");
    }
    let verb = match report.workflow {
        Workflow::MirrorToDisk => "mirrored to disk",
        Workflow::DiskToMirror => "published",
        Workflow::MirrorToMirror => "mirrored",
    };
    let verb = if report.dry_run { format!("would be {verb}") } else { verb.to_owned() };
    let total: u64 = report.images.iter().map(|i| i.total_bytes).sum();
    let images = match report.images.len() {
        1 => "1 image".to_owned(),
        count => format!("{count} images"),
    };
    format!("{images}, {} in all, {verb}", size(total))
}

/// Prints the result of a run for people.
pub(crate) fn report(report: &RunReport) {
    println!("{}", headline(report));
    for set in &report.imagesets {
        if set.outcome == "nothing new" {
            match set.sequence {
                0 => println!("no imageset was made: nothing is left to mirror"),
                last => println!("nothing new since sequence {last}"),
            }
            continue;
        }
        let base = if set.base == 0 { String::new() } else { format!(" since {}", set.base) };
        let files = if set.chunks.is_empty() { String::new() } else { format!(", {}", set.chunks.join(" ")) };
        let saved = match set.saved_bytes {
            0 => String::new(),
            bytes => format!(", {} not carried again", size(bytes)),
        };
        let bytes = if set.bytes == 0 { String::new() } else { format!(", {}", size(set.bytes)) };
        println!("sequence {}{base}: {}{bytes}{saved}{files}", set.sequence, set.outcome);
    }
    for target in &report.targets {
        println!("{}", target_line(target));
    }
    for registry in &report.registries {
        // What keeps to the specification needs no mention.
        if !["generic", "docker-registry"].contains(&registry.profile.as_str()) {
            println!("registry {}: {}, {}", clean(&registry.registry), registry.profile, registry.because);
        }
    }
    let totals = &report.totals;
    let sent = report.workflow != Workflow::MirrorToDisk && !report.dry_run;
    if sent && *totals != Totals::default() {
        println!(
            "blobs: {} sent ({}), {} mounted, {} in place, {} fetched from the target; {} manifests",
            totals.blobs,
            size(totals.blob_bytes),
            totals.mounted_blobs,
            totals.skipped_blobs,
            totals.refetched_blobs,
            totals.manifests
        );
    }
    let companions: u64 = report.images.iter().map(|i| i.companions).sum();
    if companions > 0 {
        println!("signatures and other referrers: {companions}{}", unsigned(report));
    }
    let mirrored = report.images.iter().filter(|i| i.found_at.is_some()).count();
    if mirrored > 0 {
        println!("read from mirrors: {mirrored} of {} images", report.images.len());
    }
    for image in &report.refused {
        // Most policies name the image themselves.
        let named = image.message.contains(&image.origin);
        let subject = if named { String::new() } else { format!("{}: ", clean(&image.origin)) };
        println!("refused: {subject}{} ({}, {})", clean(&image.message), image.policy, image.code);
    }
    if let Some(pruned) = &report.pruned {
        deletion(pruned);
    }
    for note in &report.notes {
        println!("note: {}", clean(note));
    }
    for warning in &report.warnings {
        println!("warning: {}", clean(warning));
    }
}

/// What became of one target of several.
fn target_line(target: &TargetReport) -> String {
    let outcomes = target.imagesets.iter().map(|set| format!("sequence {} {}", set.sequence, set.outcome));
    let failed = match target.failures.len() {
        0 => None,
        1 => Some("1 failure".to_owned()),
        count => Some(format!("{count} failures")),
    };
    let sent = (target.totals.blobs > 0)
        .then(|| format!("{} blobs sent ({})", target.totals.blobs, size(target.totals.blob_bytes)));
    let parts: Vec<String> = outcomes.chain(sent).chain(failed).collect();
    let parts = if parts.is_empty() { "nothing to do".to_owned() } else { parts.join(", ") };
    format!("{}: {parts}", clean(&target.target))
}

/// How many images are named that stay, or whose tags do.
const MOST_NAMED: usize = 20;

/// Prints what became of images that were to be deleted.
pub(crate) fn deletion(report: &DeletionReport) {
    let would = if report.dry_run { "would be " } else { "" };
    for image in &report.images {
        match image.outcome {
            Outcome::Deleted if report.dry_run => {
                println!("{} would be deleted", clean(&image.reference));
                image.manifests.iter().for_each(|manifest| println!("  {manifest}"));
            }
            Outcome::Untagged if report.dry_run => println!("{} would lose its tag", clean(&image.reference)),
            _ => {}
        }
    }
    let stay = report.images.iter().filter(|image| match image.outcome {
        Outcome::TagStays | Outcome::Untagged | Outcome::Forgotten => true,
        // What was refused is told as an error.
        Outcome::Kept => report.failures.iter().all(|failure| failure.subject != image.reference),
        _ => false,
    });
    let stay: Vec<&DeletedImage> = stay.collect();
    for image in stay.iter().take(MOST_NAMED) {
        let what = match image.outcome {
            Outcome::TagStays => "the tag stays, since the registry removes no tags: ",
            Outcome::Untagged | Outcome::Forgotten => "the manifest stays: ",
            _ => "stays: ",
        };
        println!("{}: {what}{}", clean(&image.reference), clean(&image.reason));
    }
    if stay.len() > MOST_NAMED {
        println!("and {} more; -o json names all", stay.len() - MOST_NAMED);
    }
    let manifests = if report.manifests == 1 {
        "1 manifest".to_owned()
    } else {
        format!("{} manifests", report.manifests)
    };
    let images = match report.count(Outcome::Deleted) {
        1 => "1 image".to_owned(),
        count => format!("{count} images"),
    };
    let frees = if report.dry_run { "which would free" } else { "which frees" };
    println!("{images} {would}deleted, {manifests}, {frees} {}", size(report.freed_bytes));
    let counts = [
        (Outcome::Untagged, "removed from the record and untagged; their manifests stay"),
        (Outcome::TagStays, "removed from the record; their tags stay"),
        (Outcome::Forgotten, "removed from the record only"),
        (Outcome::NotThere, "not there any more"),
        (Outcome::Kept, "left alone"),
        (Outcome::Failed, "failed"),
    ];
    for (outcome, words) in counts {
        match report.count(outcome) {
            0 => {}
            count => println!("{count} {words}"),
        }
    }
    for warning in &report.warnings {
        println!("warning: {}", clean(warning));
    }
    if report.manifests > 0 && !report.dry_run {
        println!("note: the space is free once the registry has collected its garbage; start that there");
    }
}

/// How many images have no signature, where that is known.
fn unsigned(report: &RunReport) -> String {
    match report.unsigned.len() {
        0 => String::new(),
        1 => "; 1 image has none".to_owned(),
        count => format!("; {count} images have none"),
    }
}

/// Shows what failed in a run, on stderr.
pub(crate) fn failures(report: &RunReport) {
    for image in &report.quarantined {
        eprintln!("quarantined: {}: {}", clean(&image.subject), clean(&image.message));
    }
    failed(&report.failures);
}

/// Shows what failed, on stderr.
pub(crate) fn failed(failures: &[Failure]) {
    for failure in failures {
        eprintln!("error: {}: {}", clean(&failure.subject), clean(&failure.message));
    }
    let mut hints: Vec<&String> = failures.iter().filter_map(|f| f.hint.as_ref()).collect();
    hints.dedup();
    if let Some(hint) = hints.first() {
        eprintln!("\nhint: {}", clean(hint));
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
    fn a_failed_run_does_not_read_like_a_success() {
        let mut report = RunReport::new(Workflow::MirrorToDisk, false);
        assert_eq!(headline(&report), "0 images, 0 B in all, mirrored to disk");
        let failure = oc_mirror_model::report::Failure {
            subject: "x".to_owned(),
            kind: String::new(),
            message: "gone".to_owned(),
            hint: None,
            exit_code: 8,
        };
        report.failures.push(failure);
        assert_eq!(headline(&report), "no imageset was made: 1 failure");
    }

    #[test]
    fn terminals_are_not_commanded() {
        assert_eq!(clean("a\u{1b}[2Jb"), "a\u{fffd}[2Jb");
    }
}
