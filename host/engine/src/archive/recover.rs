//! What of a partial imageset counts when its run has died: [`recover`].
//!
//! What the journal says is done was durable, and is taken at its word. What it says is written may have been lost with the
//! power, and is read and hashed. What was begun is taken up where it was, since its digest is checked at the end anyway.
//!
//! What is taken up without having been durable is written again as it is read: where a sync has failed, a system may
//! still show the bytes and never put them on the disk, and the next sync says that all is well.

use std::path::PathBuf;

use oc_mirror_model::digest::{Digest, Hasher};
use oc_mirror_model::imageset::{Entry, Index};

use super::journal::Record;
use super::table::run_at;
use crate::content::CHUNK;
use crate::fsx::{self, FilePool};

/// What counts.
#[derive(Debug)]
pub(super) struct Recovered {
    /// The entries that are finished.
    pub(super) done: Vec<bool>,
    /// Of those that are not, how many bytes are there.
    pub(super) begun: Vec<u64>,
}

impl Recovered {
    /// Nothing is finished, or all is.
    pub(super) fn all(index: &Index, done: bool) -> Self {
        let count = index.entries.len();
        Self { done: vec![done; count], begun: vec![0; count] }
    }
}

/// Finds out what counts. `kept` tells which chunks were still there.
pub(super) fn recover(
    index: &Index,
    record: &Record,
    kept: &[bool],
    paths: &[PathBuf],
    first: &[u64],
) -> Recovered {
    let mut found = Recovered::all(index, false);
    let is_kept = |entry: &Entry| entry.parts.iter().all(|p| kept[p.chunk as usize]);
    let entry = |number: usize, digest: &Digest| {
        index.entries.get(number).filter(|e| e.digest == *digest && is_kept(e))
    };
    for (number, digest) in &record.done {
        if entry(*number, digest).is_some() {
            found.done[*number] = true;
        }
    }
    let files = FilePool::writing(paths.to_vec());
    for (number, digest) in &record.written {
        if let Some(entry) = entry(*number, digest)
            && !found.done[*number]
        {
            let hasher = take_up(&files, first, entry, entry.size);
            found.done[*number] = hasher.is_ok_and(|hasher| hasher.finish() == entry.digest);
        }
    }
    for (number, bytes) in &record.begun {
        let fits = index.entries.get(*number).is_some_and(|e| is_kept(e) && *bytes < e.size);
        if fits && !found.done[*number] {
            found.begun[*number] = *bytes;
        }
    }
    found
}

/// Reads the first bytes of an entry, writes them again, and returns a hasher that has seen them.
pub(super) fn take_up(files: &FilePool, first: &[u64], entry: &Entry, bytes: u64) -> std::io::Result<Hasher> {
    let mut hasher = entry.digest.algorithm().hasher();
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    while let Some(run) = run_at(&entry.parts, at).filter(|_| at < bytes) {
        let len = usize::try_from(run.len.min(bytes - at)).unwrap_or(usize::MAX).min(CHUNK);
        let (file, place) = (files.get(run.chunk)?, first[run.chunk] + run.offset);
        fsx::read_exact_at(&file, &mut buffer[..len], place)?;
        fsx::write_all_at(&file, &buffer[..len], place)?;
        hasher.update(&buffer[..len]);
        at += len as u64;
    }
    Ok(hasher)
}
