//! The log file: `working-dir/logs/oc-mirror.log`, appended to by every run.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::filter::LevelFilter;

use crate::args::LogLevel;
use crate::error::CliError;

/// Starts writing the log below a workspace's directory.
pub(crate) fn start(working_dir: &Path, level: LogLevel) -> Result<(), CliError> {
    let dir = working_dir.join("logs");
    let path = dir.join("oc-mirror.log");
    let file = std::fs::create_dir_all(&dir)
        .and_then(|()| OpenOptions::new().create(true).append(true).open(&path))
        .map_err(|error| {
            CliError::caused(format!("the log `{}` cannot be written", path.display()), &error)
                .hint("name a directory that can be written with --workspace file://DIR")
        })?;
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(level)
        .with_writer(Mutex::new(file))
        .finish();
    // A second run in one process has no business here; the first one's log stays.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}
