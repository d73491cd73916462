//! What the engine tells while it works: [`Events`]. Only the receiver decides whether anybody sees it.

use std::sync::Arc;

/// Receives what happens during a run. Implementations return at once and never fail.
pub trait Events: Send + Sync {
    /// Takes one event.
    fn event(&self, event: Event<'_>);
}

/// How much attention a message wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// What a developer looks for.
    Debug,
    /// What a user may want to know.
    Info,
    /// Something to look into.
    Warn,
    /// Something that failed.
    Error,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A step of the run begins: `resolving images`, with the number of things to do if it is known.
    Phase {
        /// What begins.
        name: &'a str,
        /// How many items it has.
        items: Option<u64>,
        /// How many bytes it moves.
        bytes: Option<u64>,
    },
    /// One item of the current step is done.
    ItemDone {
        /// What it was.
        name: &'a str,
    },
    /// Bytes of content have moved. Negative after a failed attempt, so that a sum never exceeds the total.
    Bytes {
        /// How many.
        count: i64,
    },
    /// Something to look into that does not stop the run.
    Warning {
        /// What it is about.
        subject: &'a str,
        /// What it is.
        message: &'a str,
    },
    /// A request is tried again.
    Retry {
        /// What it was for.
        subject: &'a str,
        /// Why it failed.
        reason: &'a str,
        /// The attempt that follows, from 2.
        attempt: u32,
    },
    /// An image was found in another place than its name says.
    FoundAt {
        /// The image.
        subject: &'a str,
        /// The image there.
        place: &'a str,
    },
    /// A plugin says something. The text has been cleaned of control characters and cut to a sane length.
    PluginLog {
        /// Which.
        plugin: &'a str,
        /// How loud.
        level: Level,
        /// What.
        message: &'a str,
        /// Facts.
        fields: &'a [(String, String)],
    },
}

/// Takes events and drops them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silence;

impl Events for Silence {
    fn event(&self, _event: Event<'_>) {}
}

/// A shared receiver.
pub type SharedEvents = Arc<dyn Events>;
