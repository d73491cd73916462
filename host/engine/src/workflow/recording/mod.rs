//! What a plugin was told of the world, in a file: [`Recorder`] writes it while a plugin runs, and [`Replay`] answers from it
//! when nothing else is there.
//!
//! [`Answers`] are less than a recording: what a plan has to hold of the world so that it can be done later.
//!
//! Recorded is what comes from outside: what registries and layouts, web servers and stores of signatures answer. All that the
//! host makes of it (images, their files, bases and signers) is made again. Layouts in the directory of the run itself are no
//! outside. A line of JSON says whose recording it is, then there is one for each exchange.
//! Nobody's credentials get here: they are added below, and of a request only the address without user and query is written
//! down, beside a hash of all of it.

mod answers;
mod content;
mod entry;
mod error;
mod http;
mod recorder;
mod replay;
mod signatures;
mod stream;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use super::images::Origins;
use crate::source::{HttpFetch, Signatures};

pub use answers::{Answers, NoLongerThere};
pub use entry::Header;
pub use error::{RecordingError, RecordingErrorKind};
pub use recorder::Recorder;
pub use replay::Replay;

/// Returns the same origins, with tags and lists as `answers` have them; what they do not have is asked for, and noted. `scratch`
/// is the directory of the run.
pub fn remembered(inner: Arc<dyn Origins>, answers: &Arc<Answers>, scratch: &Path) -> Arc<dyn Origins> {
    Arc::new(answers::Remembered::new(inner, answers.clone(), scratch))
}

/// Returns the same web servers, with answers as `answers` have them.
pub fn remembered_http(inner: Arc<dyn HttpFetch>, answers: &Arc<Answers>) -> Arc<dyn HttpFetch> {
    Arc::new(answers::RememberedHttp::new(inner, answers.clone()))
}

/// What is outside: where a plugin's questions end up.
#[derive(Clone)]
pub struct Outside {
    /// Registries and layouts.
    pub origins: Arc<dyn Origins>,
    /// Web servers.
    pub http: Arc<dyn HttpFetch>,
    /// Signatures of releases.
    pub signatures: Arc<dyn Signatures>,
}

impl Outside {
    /// Returns the same, with all that it answers written down. `scratch` is the directory of the run.
    #[must_use]
    pub fn recorded(self, recorder: &Arc<Recorder>, scratch: &Path) -> Self {
        Self {
            origins: Arc::new(content::Recording::new(self.origins, recorder.clone(), scratch)),
            http: Arc::new(http::Recording::new(self.http, recorder.clone())),
            signatures: Arc::new(signatures::Recording::new(self.signatures, recorder.clone())),
        }
    }

    /// Makes an outside of a recording. `scratch` is the directory of the run.
    pub fn replayed(replay: &Arc<Replay>, scratch: &Path) -> Self {
        Self {
            origins: Arc::new(content::Replaying::new(replay.clone(), scratch)),
            http: Arc::new(http::Replaying::new(replay.clone())),
            signatures: Arc::new(signatures::Replaying::new(replay.clone())),
        }
    }
}
