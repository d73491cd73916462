//! `oc-mirror init`: a configuration to begin with.

mod catalogs;
mod questions;

use std::fs::File;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::path::Path;

use oc_mirror_clusters::inspect::Include;
use oc_mirror_engine::fsx;
use oc_mirror_model::clusters::{self, ClusterInventory};
use oc_mirror_model::config::{self, LintSettings, Outline, ReleaseChannel, Severity};
use oc_mirror_model::report::exit;
use oc_mirror_model::size::{InvalidSize, Size};
use oc_mirror_plugin_host::Host;

use super::clusters::{gather, inventory};
use super::list::check_version;
use crate::args::InitArgs;
use crate::error::CliError;
use crate::output;

/// What is mirrored where nothing is said: small, to be had without an account, and there to stay.
const EXAMPLE: &str = "registry.access.redhat.com/ubi9/ubi-micro:9.6";

/// The name of the standard output.
const STDOUT: &str = "-";

/// Writes a configuration.
pub(crate) fn run(args: &InitArgs) -> Result<u8, CliError> {
    let is_stdout = args.file == Path::new(STDOUT);
    // Nobody should have answered all questions for nothing.
    if !is_stdout && !args.force && args.file.exists() {
        return Err(is_there(&args.file));
    }
    let (mut outline, code) = from_clusters(args)?;
    add_options(args, &mut outline)?;
    let may_ask = !args.no_input && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if may_ask && !args.says_something() {
        outline = questions::ask(&args.network)?;
    }
    if outline.asks_for_nothing() {
        outline.notes.push("No content was asked for, so it is one small image.".to_owned());
        outline.images.push(EXAMPLE.to_owned());
    }
    let text = outline.to_yaml();
    if let Some(error) = fault(&text) {
        return Err(error);
    }
    if is_stdout {
        output::line(text.trim_end());
        return Ok(code);
    }
    write(args, &text)?;
    let shown = args.file.display();
    output::status(&format!(
        "{shown} is written; next:\n  oc-mirror lint -c {shown}\n  oc-mirror -c {shown} --dry-run file://DIR"
    ));
    Ok(code)
}

/// Makes what clusters need, where some are named.
fn from_clusters(args: &InitArgs) -> Result<(Outline, u8), CliError> {
    let found: ClusterInventory = match &args.clusters {
        Some(path) => inventory(path)?,
        None if args.asks_clusters() => {
            // The file stays here, and catalogs need their hosts.
            let include = Include { names: true, addresses: true, ids: false };
            super::runtime()?.block_on(gather(&args.cluster, include))?
        }
        None => return Ok((Outline::default(), exit::OK)),
    };
    let code = if found.unread.is_empty() { exit::OK } else { exit::CLUSTER };
    if found.clusters.is_empty() {
        return Err(CliError::new("no cluster could be read, so nothing is written")
            .hint("what kept each from being read is told above")
            .code(exit::CLUSTER));
    }
    let made = clusters::outline(&found);
    made.remarks.iter().for_each(|remark| output::warning(remark));
    Ok((made.outline, code))
}

/// Adds what options say.
fn add_options(args: &InitArgs, outline: &mut Outline) -> Result<(), CliError> {
    let InitArgs { min_version, max_version, .. } = args;
    if (min_version.is_some() || max_version.is_some()) && args.release_channel.len() > 1 {
        return Err(CliError::new(
            "--min-version and --max-version are for one channel, and several are named",
        )
        .hint("name one with --release-channel, and write the versions of others into the file"));
    }
    min_version.iter().chain(max_version).try_for_each(|version| check_version(version))?;
    let channel = |name: &String| ReleaseChannel {
        name: name.clone(),
        min_version: min_version.clone(),
        max_version: max_version.clone(),
        ..ReleaseChannel::default()
    };
    outline.channels.extend(args.release_channel.iter().map(channel));
    outline.graph |= args.graph;
    if !args.arch.is_empty() {
        outline.architectures = args.arch.iter().map(|arch| arch.as_str().to_owned()).collect();
    }
    let first =
        args.release_channel.first().or_else(|| outline.channels.first().map(|channel| &channel.name));
    let operators = catalogs::operators(&args.selected.chosen, first.map(String::as_str))?;
    outline.operators.extend(operators);
    outline.images.extend(args.image.iter().cloned());
    outline.archive_size = args.archive_size.as_deref().map(gib_of).transpose()?;
    Ok(())
}

/// Reads the size of files: configurations have whole GiB.
fn gib_of(text: &str) -> Result<u32, CliError> {
    let size: Size = text.parse().map_err(|e: InvalidSize| CliError::from_error(&e).hint(e.hint()))?;
    let gib =
        u32::try_from(size.bytes() >> 30).ok().filter(|gib| *gib > 0 && size.bytes().is_multiple_of(1 << 30));
    gib.ok_or_else(|| {
        CliError::new(format!("`{text}` is not a number of whole GiB, and a configuration has nothing else"))
            .hint("write 4, or leave it out here and say it to the runs that make imagesets: --archive-size 4.4GB")
    })
}

/// Says what is wrong with a configuration that was put together of what somebody said.
fn fault(text: &str) -> Option<CliError> {
    let builtins: Vec<&str> = Host::builtins().collect();
    let findings = config::lint(text, LintSettings { builtins: &builtins, today: None });
    let wrong: Vec<_> = findings.into_iter().filter(|finding| finding.severity == Severity::Error).collect();
    let hint = wrong.iter().find_map(|finding| finding.problem.hint.clone());
    let causes = wrong.iter().map(|finding| format!("{}: {}", finding.problem.path, finding.problem.message));
    let causes: Vec<String> = causes.collect();
    (!causes.is_empty()).then(|| {
        let mut error = CliError::new("what is wanted makes no configuration");
        error.causes = causes;
        error.hint(hint.unwrap_or_else(|| "mend what is named".to_owned()))
    })
}

/// Writes the file, over another one only if that is wanted.
fn write(args: &InitArgs, text: &str) -> Result<(), CliError> {
    let path = &args.file;
    let written = match args.force {
        true => fsx::write_atomic(path, text.as_bytes()),
        false => File::create_new(path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        }),
    };
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => is_there(path),
        _ => CliError::caused(format!("`{}` cannot be written", path.display()), &error)
            .hint("check the path and its permissions"),
    })
}

fn is_there(path: &Path) -> CliError {
    CliError::new(format!("`{}` is there already", path.display()))
        .hint("name another file, `-` for the standard output, or replace it with --force")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("4", Some(4))]
    #[case("4GiB", Some(4))]
    #[case("2TiB", Some(2048))]
    #[case("4.4GB", None)]
    #[case("0", None)]
    #[case("700MB", None)]
    #[case("large", None)]
    fn sizes(#[case] text: &str, #[case] expected: Option<u32>) {
        assert_eq!(gib_of(text).ok(), expected);
    }
}
