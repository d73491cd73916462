//! What the engine tells while it works: [`Events`]. Only the receiver decides whether anybody sees it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

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
    /// The current step has more to do than was said, or less: what turns out to be in place need not move.
    Expected {
        /// How many items more.
        items: i64,
        /// How many bytes more.
        bytes: i64,
    },
    /// Work on an item begins, or goes on: some of it moves from now on. There may be more than one part of it at a time.
    ItemBegun {
        /// What it is.
        name: &'a str,
    },
    /// What was told as begun moves no more, whatever became of it.
    ItemPaused {
        /// What it is.
        name: &'a str,
    },
    /// One item of the current step is done.
    ItemDone {
        /// What it was.
        name: &'a str,
    },
    /// One item of the current step has failed for good.
    ItemFailed {
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

/// Tells of several flows that go on at the same time as of one: the first to begin a step begins it for all, and what the
/// others have to do is added.
pub struct SideBySide {
    events: SharedEvents,
    begun: Mutex<HashSet<String>>,
}

impl SideBySide {
    /// Makes a receiver for all of the flows, which tells `events`.
    pub fn new(events: SharedEvents) -> Self {
        Self { events, begun: Mutex::default() }
    }
}

impl Events for SideBySide {
    fn event(&self, event: Event<'_>) {
        let event = match event {
            Event::Phase { name, items, bytes } => {
                let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
                let signed = |count: Option<u64>| i64::try_from(count.unwrap_or(0)).unwrap_or(i64::MAX);
                match begun.insert(name.to_owned()) {
                    true => Event::Phase { name, items, bytes },
                    false => Event::Expected { items: signed(items), bytes: signed(bytes) },
                }
            }
            other => other,
        };
        self.events.event(event);
    }
}

/// An item of which something moves, for as long as this lives.
pub struct Moving<'a> {
    events: &'a dyn Events,
    name: &'a str,
}

impl<'a> Moving<'a> {
    /// Tells that something of an item begins to move.
    pub fn begin(events: &'a dyn Events, name: &'a str) -> Self {
        events.event(Event::ItemBegun { name });
        Self { events, name }
    }
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        self.events.event(Event::ItemPaused { name: self.name });
    }
}

/// A shared receiver.
pub type SharedEvents = Arc<dyn Events>;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Log(Mutex<Vec<String>>);

    impl Events for Log {
        fn event(&self, event: Event<'_>) {
            self.0.lock().unwrap().push(format!("{event:?}"));
        }
    }

    #[test]
    fn flows_that_go_on_at_the_same_time_are_one_step() {
        let log = Arc::new(Log::default());
        let both = SideBySide::new(log.clone());
        for (name, items) in [("publishing", 2), ("publishing", 3), ("deleting", 1)] {
            both.event(Event::Phase { name, items: Some(items), bytes: Some(10) });
        }
        drop(Moving::begin(&both, "a"));
        let expected = [
            r#"Phase { name: "publishing", items: Some(2), bytes: Some(10) }"#,
            "Expected { items: 3, bytes: 10 }",
            r#"Phase { name: "deleting", items: Some(1), bytes: Some(10) }"#,
            r#"ItemBegun { name: "a" }"#,
            r#"ItemPaused { name: "a" }"#,
        ];
        assert_eq!(*log.0.lock().unwrap(), expected);
    }
}
