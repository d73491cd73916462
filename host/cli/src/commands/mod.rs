//! One module for each command.

pub(crate) mod apply;
pub(crate) mod browse;
pub(crate) mod check;
pub(crate) mod clusters;
pub(crate) mod debug;
pub(crate) mod delete;
pub(crate) mod describe;
pub(crate) mod key;
pub(crate) mod lint;
pub(crate) mod list;
pub(crate) mod mirror;
pub(crate) mod plan;
pub(crate) mod plugin;
pub(crate) mod report;
pub(crate) mod schema;
pub(crate) mod serve;
pub(crate) mod version;

use oc_mirror_model::report::exit;
use tokio::runtime::Runtime;

use crate::error::CliError;
use crate::progress::Progress;

/// Starts the threads that do the work. More than two only wait for one another: the network is the limit.
fn runtime() -> Result<Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| CliError::caused("the program cannot start its threads", &error))
}

/// What somebody has stopped the program with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopped {
    /// SIGINT, as Ctrl-C sends it.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

impl Stopped {
    /// Makes the error that the program ends with, where it was at `place`.
    fn error(self, place: Option<String>) -> CliError {
        let place = place.map(|place| format!(" while {place}")).unwrap_or_default();
        CliError::new(format!("interrupted{place}")).code(match self {
            Self::Interrupted => exit::INTERRUPTED,
            Self::Terminated => exit::TERMINATED,
        })
    }
}

/// Waits for somebody to stop a run, and makes the error that it ends with. Where it was is looked up at once: what is given up
/// then is not expected any more.
async fn stopped(progress: &Progress) -> CliError {
    let stopped = interrupted().await;
    stopped.error(progress.place())
}

/// Waits for somebody to stop the program.
async fn interrupted() -> Stopped {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => Stopped::Interrupted,
            _ = terminate.recv() => Stopped::Terminated,
        },
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
            Stopped::Interrupted
        }
    }
}
