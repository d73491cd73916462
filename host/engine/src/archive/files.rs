//! File names: [`find_imagesets`] finds `mirror_seqN_NNNNNN.tar` in a directory; other names are not looked at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oc_mirror_model::imageset::Index;

use super::error::{ArchiveError, ArchiveErrorKind};
use super::on_disk::FileAt;
use crate::content::positioned::ReadAt;
use crate::fsx::{self, FilePool};

/// The file that one writer at a time holds.
pub(super) const LOCK_NAME: &str = ".mirror.lock";

/// Removes the lock of a writer that was killed when all else was done. One that somebody holds stays.
pub fn remove_stale_lock(dir: &Path) {
    let path = dir.join(LOCK_NAME);
    if path.exists() {
        // Letting go of a lock removes its file.
        drop(fsx::Lock::acquire(&path));
    }
}

/// The files of one imageset, by their names alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagesetFiles {
    /// The directory they are in.
    pub dir: PathBuf,
    /// The sequence in their names.
    pub sequence: u64,
    /// The chunks that are there, by number.
    pub chunks: BTreeMap<u32, PathBuf>,
}

/// The chunks of one imageset, each read at any place, by their names alone.
#[derive(Clone)]
pub struct ImagesetChunks {
    /// What they are in, for messages: a directory, or the URL of a bucket.
    pub place: PathBuf,
    /// The sequence in their names.
    pub sequence: u64,
    /// The chunks that are there, by number.
    pub chunks: BTreeMap<u32, Arc<dyn ReadAt>>,
}

impl From<&ImagesetFiles> for ImagesetChunks {
    fn from(files: &ImagesetFiles) -> Self {
        let pool = Arc::new(FilePool::reading(files.chunks.values().cloned().collect()));
        let chunk = |place| -> Arc<dyn ReadAt> { Arc::new(FileAt::new(pool.clone(), place)) };
        let chunks = files.chunks.keys().enumerate().map(|(place, number)| (*number, chunk(place))).collect();
        Self { place: files.dir.clone(), sequence: files.sequence, chunks }
    }
}

/// Sorts things that have names of chunks into imagesets, by their sequences. Other names are left out.
pub fn group_chunks(
    place: &Path,
    named: impl IntoIterator<Item = (String, Arc<dyn ReadAt>)>,
) -> Vec<ImagesetChunks> {
    let mut found: BTreeMap<u64, BTreeMap<u32, Arc<dyn ReadAt>>> = BTreeMap::new();
    for (name, chunk) in named {
        if let Some((sequence, number)) = parse_chunk(&name) {
            found.entry(sequence).or_default().insert(number, chunk);
        }
    }
    let set = |(sequence, chunks)| ImagesetChunks { place: place.to_owned(), sequence, chunks };
    found.into_iter().map(set).collect()
}

impl ImagesetFiles {
    /// Finds the imageset that one chunk belongs to, in the same directory.
    pub fn of_chunk(path: &Path) -> Result<Self, ArchiveError> {
        let not_found = || ArchiveError::new(path, ArchiveErrorKind::NotFound);
        let name = path.file_name().and_then(|n| n.to_str()).and_then(parse_chunk).ok_or_else(not_found)?;
        let mut all = find_imagesets(&fsx::parent(path))?;
        all.retain(|files| files.sequence == name.0 && files.chunks.contains_key(&name.1));
        all.pop().ok_or_else(not_found)
    }

    /// Finds the one imageset that a path names: a directory with a single imageset, or any chunk of it.
    pub fn at(path: &Path) -> Result<Self, ArchiveError> {
        if !path.is_dir() {
            return Self::of_chunk(path);
        }
        let mut all = find_imagesets(path)?;
        match (all.pop(), all.is_empty()) {
            (Some(only), true) => Ok(only),
            (Some(_), false) => Err(ArchiveError::new(path, ArchiveErrorKind::Several)),
            (None, _) if has_partial(path) => Err(ArchiveError::new(path, ArchiveErrorKind::Unfinished)),
            (None, _) => Err(ArchiveError::new(path, ArchiveErrorKind::NotFound)),
        }
    }
}

/// Finds the imagesets in a directory, by their sequences. Nothing is opened.
pub fn find_imagesets(dir: &Path) -> Result<Vec<ImagesetFiles>, ArchiveError> {
    let mut found: BTreeMap<u64, ImagesetFiles> = BTreeMap::new();
    for (name, path) in list(dir)? {
        if let Some((sequence, chunk)) = parse_chunk(&name) {
            let files = found.entry(sequence).or_insert_with(|| ImagesetFiles {
                dir: dir.to_owned(),
                sequence,
                chunks: BTreeMap::new(),
            });
            files.chunks.insert(chunk, path);
        }
    }
    Ok(found.into_values().collect())
}

/// Removes an imageset, chunk 0 first: without it, the others are none.
pub fn remove(files: &ImagesetFiles) -> Result<(), ArchiveError> {
    for (number, path) in &files.chunks {
        let removed = fsx::remove_if_there(path);
        let durable = if *number == 0 { removed.and_then(|()| fsx::fsync_dir(&files.dir)) } else { removed };
        durable.map_err(|e| ArchiveError::disk(path, "it cannot be removed", e))?;
    }
    Ok(())
}

/// Lists what unfinished runs left in a directory: partial chunks and journals, of any sequence.
pub(super) fn find_leftovers(dir: &Path) -> Result<Vec<PathBuf>, ArchiveError> {
    let leftovers = list(dir)?.into_iter().filter(|(name, _)| is_partial(name) || is_journal(name));
    Ok(leftovers.map(|(_, path)| path).collect())
}

/// Lists the directories with what was set aside of unfinished imagesets, in the order in which that was done.
pub(super) fn left_dirs(dir: &Path) -> Result<Vec<(u64, PathBuf)>, ArchiveError> {
    let mut found: Vec<((u64, usize), PathBuf)> = list(dir)?
        .into_iter()
        .filter_map(|(name, path)| Some((parse_left(&name)?, path)))
        .filter(|(_, path)| path.is_dir())
        .collect();
    found.sort();
    Ok(found.into_iter().map(|((sequence, _), path)| (sequence, path)).collect())
}

fn has_partial(dir: &Path) -> bool {
    find_leftovers(dir).is_ok_and(|leftovers| !leftovers.is_empty())
}

pub(super) fn list(dir: &Path) -> Result<Vec<(String, PathBuf)>, ArchiveError> {
    let failed = |source| ArchiveError::disk(dir, "the directory cannot be read", source);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // A name that is not text is none of ours.
        if let Ok(name) = entry.file_name().into_string() {
            names.push((name, entry.path()));
        }
    }
    Ok(names)
}

pub(super) fn partial_name(sequence: u64, chunk: u32) -> String {
    format!(".{}.partial", Index::chunk_name(sequence, chunk))
}

pub(super) fn journal_name(sequence: u64) -> String {
    format!(".mirror_seq{sequence}.journal")
}

/// Returns the number of what is set aside next: higher than any there is.
pub(super) fn next_left(dir: &Path, sequence: u64) -> Result<usize, ArchiveError> {
    let numbers = list(dir)?.into_iter().filter_map(|(name, _)| parse_left(&name));
    Ok(numbers.filter(|(of, _)| *of == sequence).map(|(_, number)| number + 1).max().unwrap_or(0))
}

/// The directory with what was set aside of an unfinished imageset.
pub(super) fn left_name(sequence: u64, number: usize) -> String {
    format!(".mirror_seq{sequence}.left-{number}")
}

fn parse_left(name: &str) -> Option<(u64, usize)> {
    let (sequence, number) = name.strip_prefix(".mirror_seq")?.split_once(".left-")?;
    let (sequence, number) = (sequence.parse().ok()?, number.parse().ok()?);
    (left_name(sequence, number) == name).then_some((sequence, number))
}

/// Reads `mirror_seqN_NNNNNN.tar`; only the exact spelling counts, so that no two names mean one chunk.
fn parse_chunk(name: &str) -> Option<(u64, u32)> {
    let (sequence, chunk) = name.strip_prefix("mirror_seq")?.strip_suffix(".tar")?.split_once('_')?;
    let (sequence, chunk) = (sequence.parse().ok()?, chunk.parse().ok()?);
    (Index::chunk_name(sequence, chunk) == name).then_some((sequence, chunk))
}

/// Reads the name of a partial chunk: its sequence and number.
pub(super) fn parse_partial(name: &str) -> Option<(u64, u32)> {
    name.strip_prefix('.').and_then(|n| n.strip_suffix(".partial")).and_then(parse_chunk)
}

/// Reads the name of a journal: its sequence.
pub(super) fn parse_journal(name: &str) -> Option<u64> {
    let sequence = name.strip_prefix(".mirror_seq").and_then(|n| n.strip_suffix(".journal"));
    sequence.and_then(|n| n.parse().ok()).filter(|n| journal_name(*n) == name)
}

fn is_partial(name: &str) -> bool {
    parse_partial(name).is_some()
}

fn is_journal(name: &str) -> bool {
    parse_journal(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("mirror_seq1_000000.tar", Some((1, 0)))]
    #[case("mirror_seq12_000345.tar", Some((12, 345)))]
    #[case("mirror_seq01_000000.tar", None)]
    #[case("mirror_seq1_0.tar", None)]
    #[case("mirror_seq1_+00001.tar", None)]
    #[case("mirror_seq1_000000.tar.bak", None)]
    #[case("mirror_000001.tar", None)]
    fn names(#[case] name: &str, #[case] parsed: Option<(u64, u32)>) {
        assert_eq!(parse_chunk(name), parsed);
        assert!(!is_partial(name) && !is_journal(name));
        assert_eq!(is_partial(&format!(".{name}.partial")), parsed.is_some());
    }

    #[test]
    fn only_own_leftovers_are_found() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in
            [&partial_name(3, 1), &journal_name(3), "notes.partial", ".x.journal", "mirror_seq3_000000.tar"]
        {
            std::fs::write(dir.path().join(name), b"").expect("written");
        }
        assert_eq!(find_leftovers(dir.path()).expect("readable").len(), 2);
        assert_eq!(find_imagesets(dir.path()).expect("readable")[0].sequence, 3);
    }

    #[test]
    fn only_a_lock_that_nobody_holds_is_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(LOCK_NAME);
        remove_stale_lock(dir.path());
        let held = fsx::Lock::acquire(&path).expect("free");
        remove_stale_lock(dir.path());
        assert!(path.exists(), "it is held");
        drop(held);
        std::fs::write(&path, "process 4711").expect("writable");
        remove_stale_lock(dir.path());
        assert!(!path.exists());
    }
}
