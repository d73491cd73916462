//! [`Recorder`]: writes a recording.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::Serialize;
use tempfile::NamedTempFile;

use super::entry::{Call, Exchange, Header, Outcome};
use super::error::{RecordingError, RecordingErrorKind};
use crate::fsx;

/// The most bytes of one answer: they are in memory until it ends.
const MOST_OF_ONE: u64 = 64 << 20;
/// The most bytes of a recording.
const MOST: u64 = 512 << 20;
/// The longest first line that is looked at.
const HEADER: u64 = 64 << 10;

/// Writes a recording. It appears once it is finished; what was there before stays until then.
pub struct Recorder {
    path: PathBuf,
    /// The most bytes of one answer.
    pub(super) most_of_one: u64,
    most: u64,
    writing: Mutex<Writing>,
}

struct Writing {
    /// Nothing once it is finished.
    file: Option<BufWriter<NamedTempFile>>,
    bytes: u64,
    exchanges: usize,
    /// What cannot be answered otherwise, and is written down.
    settled: HashSet<Call>,
    fault: Option<RecordingError>,
}

impl Recorder {
    /// Begins a recording. Only another recording is replaced.
    pub fn create(path: &Path, header: &Header) -> Result<Arc<Self>, RecordingError> {
        Self::with_limits(path, header, MOST_OF_ONE, MOST)
    }

    pub(super) fn with_limits(
        path: &Path,
        header: &Header,
        most_of_one: u64,
        most: u64,
    ) -> Result<Arc<Self>, RecordingError> {
        if path.exists() && read_header(path).is_none() {
            return Err(RecordingError::new(path, RecordingErrorKind::Occupied));
        }
        let failed = |e: std::io::Error| RecordingError::caused(path, RecordingErrorKind::Write, e);
        // What registries answer to this user is for this user: nobody else may read it.
        let file = tempfile::Builder::new().prefix(".tmp-").tempfile_in(fsx::parent(path)).map_err(failed)?;
        let mut writing = Writing {
            file: Some(BufWriter::new(file)),
            bytes: 0,
            exchanges: 0,
            settled: HashSet::new(),
            fault: None,
        };
        writing.line(header, most).map_err(|(kind, e)| caused(path, kind, e))?;
        Ok(Arc::new(Self { path: path.to_owned(), most_of_one, most, writing: Mutex::new(writing) }))
    }

    /// Writes down what came of a question.
    pub(super) fn note(&self, call: Call, outcome: Outcome) {
        let mut writing = self.writing.lock().expect("no holder of this lock panics");
        if writing.fault.is_some() {
            return;
        }
        match writing.line(&Exchange { call, outcome }, self.most) {
            Ok(()) => writing.exchanges += 1,
            Err((kind, error)) => writing.fault = Some(caused(&self.path, kind, error)),
        }
    }

    /// Answers whether a question has been answered for good, so that it need not be written down again.
    pub(super) fn is_settled(&self, call: &Call) -> bool {
        self.writing.lock().expect("no holder of this lock panics").settled.contains(call)
    }

    /// Notes that a question has been answered for good.
    pub(super) fn settle(&self, call: &Call) {
        self.writing.lock().expect("no holder of this lock panics").settled.insert(call.clone());
    }

    /// Notes that an answer is too large; there is no recording any more.
    pub(super) fn too_large(&self, call: &Call) {
        let kind = RecordingErrorKind::Body { call: call.to_string(), limit: self.most_of_one };
        let mut writing = self.writing.lock().expect("no holder of this lock panics");
        writing.fault.get_or_insert_with(|| RecordingError::new(&self.path, kind));
    }

    /// Puts the recording into its place. Returns how many exchanges it has.
    pub fn finish(&self) -> Result<usize, RecordingError> {
        let failed = |e: std::io::Error| RecordingError::caused(&self.path, RecordingErrorKind::Write, e);
        let mut writing = self.writing.lock().expect("no holder of this lock panics");
        if let Some(fault) = writing.fault.take() {
            return Err(fault);
        }
        let Some(file) = writing.file.take() else { return Ok(writing.exchanges) };
        let file = file.into_inner().map_err(|e| failed(e.into_error()))?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&self.path).map_err(|e| failed(e.error))?;
        fsx::fsync_dir(&fsx::parent(&self.path)).map_err(failed)?;
        Ok(writing.exchanges)
    }
}

type LineFault = (RecordingErrorKind, Option<std::io::Error>);

impl Writing {
    fn line(&mut self, line: &impl Serialize, most: u64) -> Result<(), LineFault> {
        let mut text = serde_json::to_vec(line).expect("the forms of recordings have texts as keys");
        text.push(b'\n');
        self.bytes += text.len() as u64;
        if self.bytes > most {
            return Err((RecordingErrorKind::Full(most), None));
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(&text).map_err(|e| (RecordingErrorKind::Write, Some(e)))
    }
}

fn caused(path: &Path, kind: RecordingErrorKind, error: Option<std::io::Error>) -> RecordingError {
    match error {
        Some(error) => RecordingError::caused(path, kind, error),
        None => RecordingError::new(path, kind),
    }
}

/// Reads the first line of a recording of whatever format; nothing if the file is something else.
pub(super) fn read_header(path: &Path) -> Option<serde_json::Value> {
    let mut line = String::new();
    BufReader::new(File::open(path).ok()?.take(HEADER)).read_line(&mut line).ok()?;
    let value: serde_json::Value = serde_json::from_str(&line).ok()?;
    value.get("recording")?.as_u64().map(|_| value)
}
