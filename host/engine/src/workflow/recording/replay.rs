//! [`Replay`]: answers from a recording.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde::Deserialize;

use super::entry::{Call, End, Exchange, FORMAT, Header, Outcome, Streamed};
use super::error::{RecordingError, RecordingErrorKind};
use super::recorder::read_header;

/// Answers from a recording. What was asked several times is answered in the order of the recording, and after its last answer
/// with that one.
pub struct Replay {
    header: Header,
    answers: Mutex<HashMap<Call, VecDeque<Arc<Outcome>>>>,
    missing: Mutex<Vec<String>>,
}

impl Replay {
    /// Reads a recording.
    pub fn open(path: &Path) -> Result<Arc<Self>, RecordingError> {
        let failed = |e: std::io::Error| RecordingError::caused(path, RecordingErrorKind::Read, e);
        let file = File::open(path).map_err(failed)?;
        let other = || RecordingError::new(path, RecordingErrorKind::Other);
        let begin = read_header(path).ok_or_else(other)?;
        let format = begin["recording"].as_u64().and_then(|format| u32::try_from(format).ok());
        match format {
            Some(FORMAT) => {}
            Some(newer) if newer > FORMAT => {
                return Err(RecordingError::new(path, RecordingErrorKind::Newer(newer)));
            }
            _ => return Err(other()),
        }
        let damaged = |line: usize, e| RecordingError::caused(path, RecordingErrorKind::Damaged(line), e);
        let header = Header::deserialize(&begin).map_err(|e| damaged(1, e))?;
        let mut answers: HashMap<Call, VecDeque<Arc<Outcome>>> = HashMap::new();
        for (number, line) in (1..).zip(BufReader::new(file).lines()).skip(1) {
            let exchange: Exchange =
                serde_json::from_str(&line.map_err(failed)?).map_err(|e| damaged(number, e))?;
            let known = answers.entry(exchange.call.clone()).or_default();
            // Who reads less than another does has no need of less: a blob is the same at all times.
            if matches!(exchange.call, Call::Blob { .. }) {
                if known.front().is_none_or(|front| extent(&exchange.outcome) > extent(front)) {
                    *known = VecDeque::from([Arc::new(exchange.outcome)]);
                }
            } else {
                known.push_back(Arc::new(exchange.outcome));
            }
        }
        Ok(Arc::new(Self { header, answers: Mutex::new(answers), missing: Mutex::default() }))
    }

    /// Returns whose recording it is.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns what was asked for and is not in the recording, in the order of the questions.
    pub fn missing(&self) -> Vec<String> {
        self.missing.lock().expect("no holder of this lock panics").clone()
    }

    /// Returns what came of a question; a text that says so if it is not in the recording.
    pub(super) fn answer(&self, call: &Call) -> Result<Arc<Outcome>, String> {
        let mut answers = self.answers.lock().expect("no holder of this lock panics");
        let found = answers.get_mut(call).and_then(|known| match known.len() {
            0 | 1 => known.front().cloned(),
            _ => known.pop_front(),
        });
        found.ok_or_else(|| self.lacks(&call.to_string()))
    }

    /// Notes that something is not in the recording.
    pub(super) fn lacks(&self, what: &str) -> String {
        let mut missing = self.missing.lock().expect("no holder of this lock panics");
        if !missing.iter().any(|known| known == what) {
            missing.push(what.to_owned());
        }
        format!("not in the recording: {what}")
    }
}

/// How much of a blob an answer has: all of it is more than any part, and an error less.
fn extent(outcome: &Outcome) -> (u8, usize) {
    let Outcome::Answer(value) = outcome else { return (0, 0) };
    match Streamed::deserialize(value) {
        Ok(Streamed { end: End::Complete, .. }) => (2, 0),
        Ok(Streamed { body, .. }) => (1, body.bytes().map_or(0, |bytes| bytes.len())),
        Err(_) => (0, 0),
    }
}
