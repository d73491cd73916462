//! One module for each command.

pub(crate) mod apply;
pub(crate) mod check;
pub(crate) mod clusters;
pub(crate) mod debug;
pub(crate) mod delete;
pub(crate) mod describe;
pub(crate) mod key;
pub(crate) mod list;
pub(crate) mod mirror;
pub(crate) mod plugin;
pub(crate) mod schema;
pub(crate) mod serve;
pub(crate) mod version;

use tokio::runtime::Runtime;

use crate::error::CliError;

/// Starts the threads that do the work. More than two only wait for one another: the network is the limit.
fn runtime() -> Result<Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| CliError::caused("the program cannot start its threads", &error))
}

/// Waits for somebody to stop the program.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
