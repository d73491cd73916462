//! What targets of the program need: [`wait`] runs what is asynchronous, [`scratch`] makes a place for files.

use std::future::Future;
use std::path::PathBuf;

/// Waits for something asynchronous on this thread.
pub(super) fn wait<F: Future>(work: F) -> F::Output {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().max_blocking_threads(4).build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(work))
}

/// Makes an empty directory, in memory where the system has such a place.
pub(super) fn scratch() -> tempfile::TempDir {
    let memory = PathBuf::from("/dev/shm");
    let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("oc-mirror-fuzz").tempdir_in(place).expect("a directory")
}
