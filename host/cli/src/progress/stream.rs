//! The stream of JSON objects that `--progress json` writes; its form is [`oc_mirror_model::progress`].

use std::sync::atomic::{AtomicU8, Ordering};

use oc_mirror_engine::report::{Event, Level};
use oc_mirror_model::progress::{ProgressEvent, ProgressLine, VERSION};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::output::terminal;

/// Whether there is a stream: 0 for none, 1 for one, 2 for one with errors only.
static STREAM: AtomicU8 = AtomicU8::new(0);
const ALL: u8 = 1;
const ERRORS: u8 = 2;

/// Answers whether what is said on the standard error is said in JSON.
pub(crate) fn is_on() -> bool {
    STREAM.load(Ordering::Relaxed) != 0
}

/// Begins the stream.
pub(super) fn begin(quiet: bool) {
    STREAM.store(if quiet { ERRORS } else { ALL }, Ordering::Relaxed);
    let program = concat!("oc-mirror ", env!("CARGO_PKG_VERSION")).to_owned();
    tell(ProgressEvent::Started { version: VERSION, program });
}

/// Writes a line, if there is a stream for it.
pub(crate) fn tell(event: ProgressEvent) {
    let is_wanted = match STREAM.load(Ordering::Relaxed) {
        ALL => true,
        ERRORS => matches!(
            event,
            ProgressEvent::Started { .. } | ProgressEvent::Error { .. } | ProgressEvent::Finished { .. }
        ),
        _ => false,
    };
    if is_wanted {
        let line = ProgressLine { time: now(), event };
        let text = serde_json::to_string(&line).expect("strings and numbers serialise");
        terminal::err(&format!("{text}\n"));
    }
}

fn now() -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::now_utc().format(form).expect("the form has what a time has")
}

/// Tells of an event that is not told as a line of text otherwise.
pub(super) fn event(event: &Event<'_>) {
    let owned = |text: &&str| (*text).to_owned();
    tell(match event {
        Event::Phase { name, items, bytes } => {
            ProgressEvent::Phase { name: owned(name), items: *items, bytes: *bytes }
        }
        Event::ItemBegun { name } => ProgressEvent::ItemBegun { name: owned(name) },
        Event::ItemDone { name } => ProgressEvent::ItemDone { name: owned(name) },
        Event::ItemFailed { name } => ProgressEvent::ItemFailed { name: owned(name) },
        Event::Retry { subject, reason, attempt } => {
            ProgressEvent::Retry { subject: owned(subject), reason: owned(reason), attempt: *attempt }
        }
        Event::FoundAt { subject, place } => {
            ProgressEvent::FoundAt { subject: owned(subject), place: owned(place) }
        }
        Event::PluginLog { plugin, level, message, .. } if *level >= Level::Warn => {
            ProgressEvent::Log { plugin: owned(plugin), message: owned(message) }
        }
        // Warnings are told with all others.
        Event::Warning { .. }
        | Event::PluginLog { .. }
        | Event::Bytes { .. }
        | Event::Expected { .. }
        | Event::ItemPaused { .. } => return,
    });
}
