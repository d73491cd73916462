//! What `--progress json` writes while a run goes on: [`ProgressLine`], a JSON object on each line of the standard error.
//!
//! Within a version of the form, events and fields may be added; none is taken away, renamed, or given another meaning.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the form, told by the first line.
pub const VERSION: u32 = 1;

/// One line: something that happened, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "ProgressLine")]
pub struct ProgressLine {
    /// When it happened: RFC 3339 in UTC, with milliseconds.
    pub time: String,
    /// What happened.
    #[serde(flatten)]
    pub event: ProgressEvent,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ProgressEvent {
    /// The run begins. Always the first line.
    Started {
        /// The version of the form of these lines.
        version: u32,
        /// The program and its version: `oc-mirror 0.1.0`.
        program: String,
    },
    /// A step of the run begins.
    Phase {
        /// What it does: `fetching`.
        name: String,
        /// How many items it has, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        items: Option<u64>,
        /// How many bytes it is going to move, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes: Option<u64>,
    },
    /// How far the step has come. Once a second while something changes, else every ten seconds, and at the end of each step.
    Progress(Standing),
    /// Something of an item begins to move.
    ItemBegun {
        /// Which.
        name: String,
    },
    /// An item is done.
    ItemDone {
        /// Which.
        name: String,
    },
    /// An item has failed for good. Why is told at the end of the run.
    ItemFailed {
        /// Which.
        name: String,
    },
    /// A request is tried again.
    Retry {
        /// What it is for.
        subject: String,
        /// Why it failed.
        reason: String,
        /// The attempt that follows, from 2.
        attempt: u32,
    },
    /// An image was found at a mirror.
    FoundAt {
        /// The image.
        subject: String,
        /// The image there.
        place: String,
    },
    /// Something to look into that does not stop the run.
    Warning {
        /// What it is, and about what.
        message: String,
    },
    /// A plugin warns of something, or tells of an error.
    Log {
        /// The plugin.
        plugin: String,
        /// What it says.
        message: String,
    },
    /// Anything else that people are told.
    Message {
        /// What.
        message: String,
    },
    /// Something failed.
    Error {
        /// What, and about what.
        message: String,
        /// Why, outermost first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        causes: Vec<String>,
        /// What to do about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// The result of the run was written.
    Result {
        /// The file that has it, in JSON.
        path: String,
    },
    /// The run has ended. Always the last line.
    Finished {
        /// The exit code of the program.
        exit_code: u8,
    },
}

/// How far a step has come. No number falls while a step goes on, but for the rate and the time that is left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// The step.
    pub phase: String,
    /// For how many seconds it has gone on.
    pub seconds: u64,
    /// How much of it is done, in percent: of the bytes, or of the items where no bytes are to move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// Items that are done.
    pub items_done: u64,
    /// Items that have failed for good.
    pub items_failed: u64,
    /// How many items there are, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<u64>,
    /// Bytes that have moved.
    pub bytes_done: u64,
    /// How many bytes are to move, as far as that is known: what turns out to be in place is not part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Bytes that moved each second, of late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// In how many seconds all bytes will have moved, should it go on like this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
    /// Some of the items that move now, those first that have done so for the longest time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub current: Vec<String>,
}

/// Returns the JSON Schema (draft 2020-12) of a line.
pub fn schema() -> serde_json::Value {
    crate::config::generate_schema::<ProgressLine>()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_reads_as_it_is_documented() {
        let standing = Standing { phase: "fetching".to_owned(), bytes: Some(9), ..Standing::default() };
        let line = ProgressLine {
            time: "2024-01-01T00:00:00.000Z".to_owned(),
            event: ProgressEvent::Progress(standing),
        };
        let written = serde_json::to_value(&line).unwrap();
        let expected = json!({
            "time": "2024-01-01T00:00:00.000Z", "event": "progress", "phase": "fetching", "seconds": 0,
            "itemsDone": 0, "itemsFailed": 0, "bytesDone": 0, "bytes": 9,
        });
        assert_eq!(written, expected);
        assert_eq!(serde_json::from_value::<ProgressLine>(written).unwrap(), line);
        let end = ProgressEvent::Finished { exit_code: 130 };
        assert_eq!(serde_json::to_value(&end).unwrap(), json!({ "event": "finished", "exitCode": 130 }));
    }

    #[test]
    fn the_schema_is_generated() {
        let schema = schema().to_string();
        for word in ["\"bytesPerSecond\"", "\"itemFailed\"", "\"exitCode\"", "Always the last line"] {
            assert!(schema.contains(word), "{word} is not in {schema}");
        }
    }
}
