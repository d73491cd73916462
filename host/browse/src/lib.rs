//! The page of `oc-mirror browse`: choosing content, writing the configuration, looking into imagesets.
//!
//! [`serve`] answers on a loopback address, to whoever has the one-time [`Token`] and nobody else. What there is to know about
//! catalogs, releases and imagesets it asks a [`Guide`] for; a [`ConfigFile`] is what it may write, and nothing else. It
//! prints nothing, and reads neither environment nor home.

mod access;
mod answer;
mod api;
mod assets;
mod file;
mod pick;
mod report;
mod server;

use async_trait::async_trait;
use oc_mirror_model::describe::Description;
use serde::Serialize;
use serde_json::Value;

pub use access::Token;
pub use file::ConfigFile;
pub use report::report;
pub use server::{ServeError, Settings, serve};

/// Whom the page asks.
#[async_trait]
pub trait Guide: Send + Sync {
    /// Answers a question about catalogs or releases.
    async fn ask(&self, question: Question) -> Result<Value, Fault>;

    /// Describes the imagesets that were named, by their sequences; nothing where none were.
    async fn imagesets(&self) -> Result<Vec<Description>, Fault>;
}

/// What the page may ask about. Arguments and answers are those of the built-in plugins' questions.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// The packages of a catalog, or everything about one of them: `catalog`, `details`.
    Operators {
        /// The name of the question.
        name: &'static str,
        /// The catalog.
        catalog: String,
        /// What else is said.
        arguments: Value,
    },
    /// The channels of a version, the graph of a channel, the way from one release to another: `channels`, `graph`, `updates`.
    Releases {
        /// The name of the question.
        name: &'static str,
        /// What is said.
        arguments: Value,
    },
    /// The bytes that images need together.
    Sizes {
        /// The references of the images.
        images: Vec<String>,
    },
}

/// Why there is no answer, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What went wrong, with its causes.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Fault {
    /// Makes a fault.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
