//! [`Journal`]: which entries of a partial imageset are finished. Append-only; a torn last line is expected.
//!
//! ```text
//! oc-mirror-journal 1 sha256:<identity of the index> <check>
//! part 11 8388608 <check>
//! written 12 sha256:<digest of the entry> <check>
//! done 12 sha256:<digest of the entry> <check>
//! sealing <check>
//! ```
//!
//! `done` is noted only after the bytes of an entry are durable. `part` and `written` are notes in passing, for a run that is
//! killed on a machine that lives on; they are not durable themselves, and what they say is checked when it is taken up.
//! `sealing` comes before the first rename.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::Index;

use crate::fsx;

const TITLE: &str = "oc-mirror-journal 1";

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    file: Arc<File>,
}

/// Takes notes in passing, while others make batches durable.
#[derive(Debug)]
pub(super) struct Notes {
    file: Arc<File>,
}

/// What a journal says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The imageset it is about.
    pub(super) identity: Digest,
    /// The entries that are finished, by number.
    pub(super) done: Vec<(usize, Digest)>,
    /// The entries that were written as a whole, by number.
    pub(super) written: Vec<(usize, Digest)>,
    /// How many bytes of entries were written, by number; the last note counts.
    pub(super) begun: BTreeMap<usize, u64>,
    /// Whether the chunks were about to get their names.
    pub(super) sealing: bool,
}

impl Journal {
    /// Starts a journal; there must be none.
    pub(super) fn create(path: &Path, identity: &Digest) -> io::Result<Self> {
        let file = fsx::create_log(path)?;
        fsx::append(&file, title(identity).as_bytes())?;
        fsx::sync_all(&file)?;
        fsx::fsync_dir(&fsx::parent(path))?;
        Ok(Self { file: Arc::new(file) })
    }

    /// Replaces a journal by one that says only what holds of what it said: `holds` answers that for an entry.
    ///
    /// What it says of a chunk that is gone must be gone before another chunk has that name.
    pub(super) fn replace(path: &Path, record: &Record, holds: impl Fn(usize) -> bool) -> io::Result<Self> {
        let done = record.done.iter().map(|(number, digest)| (*number, format!("done {number} {digest}")));
        let written =
            record.written.iter().map(|(number, digest)| (*number, format!("written {number} {digest}")));
        let begun = record.begun.iter().map(|(number, bytes)| (*number, format!("part {number} {bytes}")));
        let kept = done.chain(written).chain(begun).filter(|(number, _)| holds(*number));
        let sealing = record.sealing.then(|| "sealing".to_owned());
        Self::replace_by(path, &record.identity, kept.map(|(_, text)| text).chain(sealing))
    }

    /// Replaces a journal by one that says that these entries are finished, and nothing else.
    pub(super) fn replace_by_done<'a>(
        path: &Path,
        identity: &Digest,
        done: impl Iterator<Item = (usize, &'a Digest)>,
    ) -> io::Result<Self> {
        Self::replace_by(path, identity, done.map(|(number, digest)| format!("done {number} {digest}")))
    }

    fn replace_by(path: &Path, identity: &Digest, texts: impl Iterator<Item = String>) -> io::Result<Self> {
        let new = replacement(path);
        fsx::remove_if_there(&new)?;
        let file = fsx::create_log(&new)?;
        let text: String = std::iter::once(title(identity)).chain(texts.map(|text| line(&text))).collect();
        fsx::append(&file, text.as_bytes())?;
        fsx::sync_all(&file)?;
        fsx::rename(&new, path)?;
        fsx::fsync_dir(&fsx::parent(path))?;
        Ok(Self { file: Arc::new(file) })
    }

    /// Reads a journal; nothing if there is none, or none that begins as it should.
    pub(super) fn read(path: &Path) -> io::Result<Option<Record>> {
        match fsx::read(path) {
            Ok(text) => Ok(parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Adds finished entries, durably.
    pub(super) fn done(&mut self, index: &Index, entries: &[usize]) -> io::Result<()> {
        let lines: String = entries
            .iter()
            .map(|number| line(&format!("done {number} {}", index.entries[*number].digest)))
            .collect();
        self.append(&lines)
    }

    /// Notes that all is there and the renaming begins.
    pub(super) fn sealing(&mut self) -> io::Result<()> {
        self.append(&line("sealing"))
    }

    /// Returns a place for notes in passing.
    pub(super) fn notes(&self) -> Notes {
        Notes { file: self.file.clone() }
    }

    fn append(&mut self, lines: &str) -> io::Result<()> {
        fsx::append(&self.file, lines.as_bytes())?;
        fsx::sync_data(&self.file)
    }
}

impl Notes {
    /// Notes that all of an entry has been written.
    pub(super) fn written(&self, index: &Index, number: usize) -> io::Result<()> {
        let text = line(&format!("written {number} {}", index.entries[number].digest));
        // One write, which the file system appends as a whole.
        fsx::append(&self.file, text.as_bytes())
    }

    /// Notes how much of an entry has been written.
    pub(super) fn part(&self, number: usize, bytes: u64) -> io::Result<()> {
        fsx::append(&self.file, line(&format!("part {number} {bytes}")).as_bytes())
    }
}

/// Returns where a journal is written that is to replace another.
pub(super) fn replacement(journal: &Path) -> PathBuf {
    journal.with_extension("new")
}

/// Returns what a journal begins with.
fn title(identity: &Digest) -> String {
    line(&format!("{TITLE} {identity}"))
}

/// Every line ends with a check of itself, since a torn line may look whole.
pub(super) fn line(text: &str) -> String {
    format!("{text} {}\n", check_of(text))
}

fn check_of(text: &str) -> String {
    Digest::of(text.as_bytes()).short()
}

fn parse(bytes: &[u8]) -> Option<Record> {
    let mut lines = bytes.split_inclusive(|b| *b == b'\n').map(checked);
    let identity = lines.next()??.strip_prefix(TITLE)?.trim_start().parse().ok()?;
    let (mut done, mut written, mut begun, mut sealing) = (Vec::new(), Vec::new(), BTreeMap::new(), false);
    for text in lines {
        match text.map(|t| t.split(' ').collect::<Vec<_>>()).as_deref() {
            Some(["sealing"]) => sealing = true,
            Some(["done", number, digest]) => match (number.parse(), digest.parse()) {
                (Ok(number), Ok(digest)) => done.push((number, digest)),
                _ => break,
            },
            Some(["written", number, digest]) => match (number.parse(), digest.parse()) {
                (Ok(number), Ok(digest)) => written.push((number, digest)),
                _ => break,
            },
            Some(["part", number, bytes]) => match (number.parse(), bytes.parse()) {
                (Ok(number), Ok(bytes)) => drop(begun.insert(number, bytes)),
                _ => break,
            },
            // Whatever follows a torn line was not written by us.
            _ => break,
        }
    }
    Some(Record { identity, done, written, begun, sealing })
}

fn checked(line: &[u8]) -> Option<&str> {
    let (text, check) = std::str::from_utf8(line).ok()?.strip_suffix('\n')?.rsplit_once(' ')?;
    (check == check_of(text)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text() -> String {
        let identity = Digest::of(b"index");
        let mut text = line(&format!("{TITLE} {identity}"));
        for n in 0..5 {
            text += &line(&format!("done {n} {}", Digest::of(&[n])));
        }
        text + &line("sealing")
    }

    #[test]
    fn a_whole_journal_is_read() {
        let text = text();
        let record = parse(text.as_bytes()).expect("valid");
        assert_eq!(record.identity, Digest::of(b"index"));
        assert_eq!((record.done.len(), record.sealing), (5, true));
    }

    #[test]
    fn what_does_not_hold_any_more_is_not_said_any_more() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(".mirror_seq1.journal");
        let notes =
            [format!("written 7 {}", Digest::of(&[7])), "part 8 100".to_owned(), "part 9 200".to_owned()];
        let notes: String = notes.iter().map(|text| line(text)).collect();
        std::fs::write(&path, text() + &notes).expect("written");
        let record = Journal::read(&path).expect("there").expect("valid");
        Journal::replace(&path, &record, |number| number % 2 == 1).expect("replaced");
        let now = Journal::read(&path).expect("there").expect("valid");
        assert_eq!(now.done.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(now.written, [(7, Digest::of(&[7]))]);
        assert_eq!(now.begun, BTreeMap::from([(9, 200)]));
        assert_eq!((now.identity, now.sealing), (record.identity, true));
        assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 1);
    }

    #[test]
    fn cut_anywhere_it_says_less_and_nothing_wrong() {
        let text = text();
        for cut in 0..text.len() {
            let record = parse(&text.as_bytes()[..cut]);
            let whole = text[..cut].matches('\n').count();
            match record {
                None => assert_eq!(whole, 0),
                Some(record) => {
                    assert_eq!(record.done.len(), (whole - 1).min(5));
                    assert!(!record.sealing);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_changed_byte_never_adds_anything(at in 0_usize..600, to: u8) {
            let mut bytes = text().into_bytes();
            let at = at % bytes.len();
            bytes[at] = to;
            if let Some(record) = parse(&bytes) {
                prop_assert_eq!(record.identity, Digest::of(b"index"));
                for (number, (recorded, digest)) in record.done.iter().enumerate() {
                    prop_assert_eq!((*recorded, digest), (number, &Digest::of(&[number as u8])));
                }
            }
        }
    }
}
