//! The log of a run: `working-dir/logs/oc-mirror.log`. Those of earlier runs are beside it, with the time of their last line.
//!
//! It has what this program says of itself. What libraries say below a warning is left out: on their way, requests carry
//! credentials.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::args::{LogArgs, LogFormat, LogLevel};
use crate::error::CliError;

/// The log of the run that goes on, or was the last one.
const CURRENT: &str = "oc-mirror.log";
/// So many logs of earlier runs are kept.
const KEPT: usize = 10;

/// Starts writing the log below a workspace's directory.
pub(crate) fn start(working_dir: &Path, args: &LogArgs) -> Result<(), CliError> {
    let dir = working_dir.join("logs");
    let path = dir.join(CURRENT);
    let file = fs::create_dir_all(&dir)
        .and_then(|()| make_room(&dir))
        .and_then(|()| OpenOptions::new().create(true).append(true).open(&path))
        .map_err(|error| {
            CliError::caused(format!("the log `{}` cannot be written", path.display()), &error)
                .hint("name a directory that can be written with --workspace file://DIR")
        })?;
    let level = match args.log_level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let ours = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("oc_mirror", level);
    let lines = fmt::layer().with_ansi(false).with_writer(Mutex::new(file));
    let lines = match args.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    // A second run in one process has no business here; the first one's log stays.
    let _ = tracing_subscriber::registry().with(lines.with_filter(ours)).try_init();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "begins");
    Ok(())
}

/// How the time of a log stands in its name. Names are sorted as times are.
const TIME: &[BorrowedFormatItem<'static>] =
    format_description!("[year][month][day]T[hour][minute][second].[subsecond digits:3]Z");

/// Puts the log of the last run beside, and removes the oldest where there are too many.
fn make_room(dir: &Path) -> io::Result<()> {
    let current = dir.join(CURRENT);
    let written = match fs::metadata(&current) {
        Ok(found) if found.len() == 0 => return Ok(()),
        Ok(found) => found.modified()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut old: Vec<(OffsetDateTime, PathBuf)> = fs::read_dir(dir)?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            Some((time_of(path.file_name()?.to_str()?)?, path))
        })
        .collect();
    old.sort();
    // Clocks are coarse, and are set back: the newest log has the last name whatever they say.
    let after = old.last().map(|(newest, _)| *newest + time::Duration::milliseconds(1));
    let time = OffsetDateTime::from(written).max(after.unwrap_or(OffsetDateTime::UNIX_EPOCH));
    let name = format!("oc-mirror-{}.log", time.format(TIME).expect("the form has what a time has"));
    fs::rename(&current, dir.join(name))?;
    let surplus = (old.len() + 1).saturating_sub(KEPT);
    old.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
}

/// Returns the time of an earlier run's log; nothing if somebody else has put the file there.
fn time_of(name: &str) -> Option<OffsetDateTime> {
    let time = name.strip_prefix("oc-mirror-")?.strip_suffix(".log")?;
    PrimitiveDateTime::parse(time, TIME).ok().map(PrimitiveDateTime::assume_utc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_logs_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mine = dir.path().join("oc-mirror-notes.log");
        fs::write(&mine, "mine").unwrap();
        for run in 0..15 {
            make_room(dir.path()).unwrap();
            fs::write(dir.path().join(CURRENT), format!("run {run}")).unwrap();
        }
        let mut logs: Vec<String> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
            .collect();
        logs.sort();
        let mut expected: Vec<String> = (4..15).map(|run| format!("run {run}")).collect();
        expected.push("mine".to_owned());
        expected.sort();
        assert_eq!(logs, expected);
    }
}
