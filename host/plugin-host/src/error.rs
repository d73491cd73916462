//! [`LoadError`]: why a plugin cannot be used at all. What fails later is a [`PluginError`].

use std::path::PathBuf;

use oc_mirror_engine::source::PluginError;

use crate::grants::InvalidGrant;
use crate::meta::{MAX_COMPONENT_BYTES, MetaError};

/// WebAssembly cannot run here: no thread for the clock can be had, or the processor is not known.
#[derive(Debug, thiserror::Error)]
#[error("plugins cannot be run on this machine: {0}")]
pub struct StartError(pub(crate) String);

/// Something is wrong with a plugin's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsProblem {
    /// Where: `rules[0].name`, or what the plugin calls it; empty for the settings as a whole.
    pub path: String,
    /// A stable code: `schema`, `schema.unknown` of what the schema does not know, or the plugin's own.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A plugin cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("plugin `{plugin}` cannot be used: {kind}")]
pub struct LoadError {
    /// The name it has in the configuration.
    pub plugin: String,
    /// What is wrong.
    pub kind: Box<LoadErrorKind>,
}

impl LoadError {
    pub(crate) fn new(plugin: &str, kind: LoadErrorKind) -> Self {
        Self { plugin: plugin.to_owned(), kind: Box::new(kind) }
    }
}

/// What is wrong with a plugin.
#[derive(Debug, thiserror::Error)]
pub enum LoadErrorKind {
    /// The file cannot be read.
    #[error("`{}` cannot be read: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
    /// The file is larger than any component needs.
    #[error("`{}` has {size} bytes; at most {MAX_COMPONENT_BYTES} are allowed", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        size: u64,
    },
    /// No plugin of that name is part of this program.
    #[error("there is no built-in plugin of that name")]
    NoBuiltin,
    /// The bytes are not a plugin that this host can run.
    #[error("{}", chain(.0))]
    Meta(MetaError),
    /// It asks for something that does not exist.
    #[error("it asks for an unknown capability: {0}")]
    Wishes(InvalidGrant),
    /// Its code is invalid, or uses what this host does not offer.
    #[error("its code cannot be compiled: {0}")]
    Compile(String),
    /// It imports what the host does not offer.
    #[error("it does not fit this host: {0}")]
    Link(String),
    /// It has no such part.
    #[error("it is no {role}: it does not export `{interface}`")]
    WrongRole {
        /// What it was to be used as.
        role: &'static str,
        /// What it would have to export.
        interface: &'static str,
    },
    /// It starts with more memory than it may have.
    #[error("it starts with {needed} of memory and may have {limit}")]
    Memory {
        /// What it needs.
        needed: String,
        /// What it may have.
        limit: String,
    },
    /// Its own description of its settings is wrong.
    #[error("its settings schema is invalid: {0}")]
    Schema(String),
    /// Its settings are wrong.
    #[error("its settings are invalid: {}", list(.0))]
    Settings(Vec<SettingsProblem>),
    /// It broke while its settings were checked.
    #[error("{}", .0.cause)]
    Call(PluginError),
}

impl LoadError {
    /// Returns what to do about it.
    pub fn hint(&self) -> Option<String> {
        match &*self.kind {
            LoadErrorKind::Meta(error) => Some(error.hint()),
            LoadErrorKind::NoBuiltin => {
                let names: Vec<_> = crate::builtin::names().collect();
                Some(format!("built in are: {}", names.join(", ")))
            }
            LoadErrorKind::Link(_) => {
                Some("rebuild it against the `wit` directory of this release".to_owned())
            }
            LoadErrorKind::Call(error) => error.hint.clone(),
            _ => None,
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

fn list(problems: &[SettingsProblem]) -> String {
    let one = |p: &SettingsProblem| match p.path.is_empty() {
        true => p.message.clone(),
        false => format!("`{}`: {}", p.path, p.message),
    };
    problems.iter().map(one).collect::<Vec<_>>().join("; ")
}
