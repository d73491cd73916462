//! [`Leftovers`]: what runs with other plans have finished, so that none of it is fetched again.
//!
//! The plan changes when what is wanted does, or when an image that could not be had can be, or is given up; then everything
//! lies elsewhere. Chunks and journal of the run before are set aside in a directory, `.mirror_seqN.left-K`, and what the new
//! plan wants of them is copied into its place, checked on its way. The rest waits there until an imageset is sealed, as the
//! plan after that may want it.
//!
//! This takes hardly more room than the imageset alone: what was reserved and never filled is given back at once, and what
//! was copied as soon as the copy is durable. A file system that cannot give back parts of a file has to have room for both; if
//! it has not, what was left is removed, and fetched again.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::{Entry, Index};

use super::chunk::{IndexRead, first_lens, read_index_file};
use super::error::ArchiveError;
use super::files::{
    find_imagesets, journal_name, left_dirs, left_name, next_left, parse_journal, parse_partial, partial_name,
};
use super::journal::{Journal, Record};
use super::table::run_at;
use crate::fsx::{self, FilePool};

/// So much is copied before it is made durable, and its old place given back.
const BATCH_BYTES: u64 = 64 << 20;
/// So much is read at a time.
const PIECE: u64 = 1 << 20;

/// What all runs with other plans left in a directory.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    sets: Vec<Set>,
    /// Whether parts of files can be given back to the file system.
    gives_back: bool,
}

/// What one run left.
#[derive(Debug)]
struct Set {
    dir: PathBuf,
    index: Index,
    identity: Digest,
    /// How long the first entry of each chunk is.
    first: Vec<u64>,
    files: FilePool,
    /// The entries that are there, by digest.
    there: BTreeMap<Digest, usize>,
}

/// Where something that a plan wants is left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// The entry of the new plan.
    pub(super) number: usize,
    set: usize,
    entry: usize,
}

/// Where it goes.
pub(super) struct Into<'a> {
    /// The plan.
    pub(super) index: &'a Index,
    /// How long the first entry of each of its chunks is.
    pub(super) first: &'a [u64],
    /// Its chunks.
    pub(super) files: &'a FilePool,
    /// Its journal.
    pub(super) journal: &'a mut Journal,
}

/// What became of one entry.
enum Copied {
    Whole,
    /// It is not what its journal said.
    Damaged,
    /// There is no room for the copy.
    NoRoom,
}

impl Leftovers {
    /// Sets aside what runs with other plans left in `dir`, and opens all that has been. `own` is the sequence whose journal
    /// and chunks are those of the plan that is taken up again, if there is one.
    pub(super) fn gather(dir: &Path, own: Option<u64>) -> Result<Self, ArchiveError> {
        set_aside(dir, own)?;
        let mut leftovers = Self { sets: Vec::new(), gives_back: true };
        // The newest first: where a run was killed, an older set may still list what a newer one has taken over.
        for (sequence, path) in left_dirs(dir)?.into_iter().rev() {
            match Set::open(&path, sequence)? {
                Some(set) => leftovers.sets.push(set),
                None => remove_dir(&path)?,
            }
        }
        for set in &leftovers.sets {
            let trimmed = set.trim().map_err(|e| failed(&set.dir, e))?;
            leftovers.gives_back &= trimmed;
        }
        Ok(leftovers)
    }

    /// Finds what a plan wants, but for the entries that it has already.
    pub(super) fn wanted(&self, index: &Index, done: &[bool]) -> Vec<Found> {
        let open = index.entries.iter().enumerate().filter(|(number, _)| !done[*number]);
        open.filter_map(|(number, entry)| {
            let of = |(set, left): (usize, &Set)| {
                let there = *left.there.get(&entry.digest)?;
                (left.index.entries[there].size == entry.size).then_some(Found { number, set, entry: there })
            };
            self.sets.iter().enumerate().find_map(of)
        })
        .collect()
    }

    /// Makes sure that `needed` bytes can be had besides the `available` ones, if need be at the cost of what is not wanted.
    /// Returns what is wanted and can be kept; nothing if there is not enough room whatever is given up.
    pub(super) fn make_room(
        &mut self,
        needed: u64,
        available: u64,
        wanted: Vec<Found>,
    ) -> Result<Option<Vec<Found>>, ArchiveError> {
        let moved: u64 = wanted.iter().map(|f| self.entry(f).size).sum();
        // What is moved takes no more room in all, where its old place is given back.
        let freed = if self.gives_back { moved } else { 0 };
        if needed <= available.saturating_add(freed) {
            return Ok(Some(wanted));
        }
        let unwanted = self.held().saturating_sub(moved);
        if self.gives_back && needed <= available.saturating_add(moved).saturating_add(unwanted) {
            let keep: BTreeSet<(usize, usize)> = wanted.iter().map(|f| (f.set, f.entry)).collect();
            for (number, set) in self.sets.iter_mut().enumerate() {
                set.there.retain(|_, entry| keep.contains(&(number, *entry)));
                set.trim().map_err(|e| failed(&set.dir, e))?;
                set.note()?;
            }
            return Ok(Some(wanted));
        }
        if !self.gives_back && needed <= available.saturating_add(self.allocated()) {
            self.remove()?;
            return Ok(Some(Vec::new()));
        }
        Ok(None)
    }

    /// Copies into place, and returns the entries of the new plan that are now there, durably and journalled.
    pub(super) fn copy(&mut self, wanted: &[Found], into: &mut Into<'_>) -> Result<Vec<usize>, ArchiveError> {
        let (mut copied, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
        for found in wanted {
            let mut outcome = self.copy_one(found, into)?;
            if matches!(outcome, Copied::NoRoom) && !batch.is_empty() {
                self.settle(&mut batch, into)?;
                bytes = 0;
                outcome = self.copy_one(found, into)?;
            }
            match outcome {
                Copied::Whole => {
                    batch.push(*found);
                    copied.push(found.number);
                    bytes += self.entry(found).size;
                }
                // It is fetched, in its place.
                Copied::Damaged | Copied::NoRoom => self.forget(found)?,
            }
            if bytes >= BATCH_BYTES {
                self.settle(&mut batch, into)?;
                bytes = 0;
            }
        }
        self.settle(&mut batch, into)?;
        self.remove_empty()?;
        self.sets.iter().try_for_each(Set::note)?;
        Ok(copied)
    }

    fn entry(&self, found: &Found) -> &Entry {
        &self.sets[found.set].index.entries[found.entry]
    }

    /// Returns the bytes of all finished entries.
    fn held(&self) -> u64 {
        let of = |set: &Set| set.there.values().map(|n| set.index.entries[*n].size).sum::<u64>();
        self.sets.iter().map(of).sum()
    }

    fn allocated(&self) -> u64 {
        self.sets.iter().map(|set| allocated_in(&set.dir)).sum()
    }

    fn copy_one(&self, found: &Found, into: &Into<'_>) -> Result<Copied, ArchiveError> {
        let set = &self.sets[found.set];
        let (from, to) = (&set.index.entries[found.entry], &into.index.entries[found.number]);
        let mut hasher = to.digest.algorithm().hasher();
        let mut at = 0;
        while at < to.size {
            let (source, target) = (run_at(&from.parts, at), run_at(&to.parts, at));
            let (Some(source), Some(target)) = (source, target) else { return Ok(Copied::Damaged) };
            let len = source.len.min(target.len).min(PIECE);
            let mut piece = vec![0; usize::try_from(len).expect("at most a piece")];
            let place = set.first[source.chunk] + source.offset;
            let read = set.files.get(source.chunk).and_then(|f| fsx::read_exact_at(&f, &mut piece, place));
            if read.is_err() {
                return Ok(Copied::Damaged);
            }
            hasher.update(&piece);
            let place = into.first[target.chunk] + target.offset;
            let written = into.files.get(target.chunk).and_then(|f| fsx::write_all_at(&f, &piece, place));
            match written {
                Err(error) if fsx::is_full(&error) => return Ok(Copied::NoRoom),
                written => written.map_err(|e| failed(into.files.path(target.chunk), e))?,
            }
            at += len;
        }
        Ok(if hasher.finish() == to.digest { Copied::Whole } else { Copied::Damaged })
    }

    /// Makes copies durable, journals them, and only then gives their old places back.
    fn settle(&mut self, batch: &mut Vec<Found>, into: &mut Into<'_>) -> Result<(), ArchiveError> {
        let entries = batch.iter().map(|f| &into.index.entries[f.number]);
        let chunks: BTreeSet<usize> = entries.flat_map(|e| &e.parts).map(|p| p.chunk as usize).collect();
        let files: io::Result<Vec<_>> = chunks.iter().map(|chunk| into.files.get(*chunk)).collect();
        let numbers: Vec<usize> = batch.iter().map(|f| f.number).collect();
        let durable = files
            .and_then(|files| fsx::sync_batch(&files))
            .and_then(|()| into.journal.done(into.index, &numbers));
        durable.map_err(|e| failed(into.files.path(0), e))?;
        for found in std::mem::take(batch) {
            self.forget(&found)?;
        }
        Ok(())
    }

    /// Gives the place of an entry back.
    fn forget(&mut self, found: &Found) -> Result<(), ArchiveError> {
        let gives_back = self.gives_back;
        let set = &mut self.sets[found.set];
        set.there.retain(|_, entry| *entry != found.entry);
        if gives_back {
            for part in &set.index.entries[found.entry].parts {
                let chunk = part.chunk as usize;
                let punched = set
                    .files
                    .get(chunk)
                    .and_then(|f| fsx::punch(&f, set.first[chunk] + part.offset, part.size));
                punched.map_err(|e| failed(set.files.path(chunk), e))?;
            }
        }
        Ok(())
    }

    /// Removes what has nothing left that anybody could want.
    fn remove_empty(&mut self) -> Result<(), ArchiveError> {
        let empty = self.sets.iter().filter(|set| set.there.is_empty());
        empty.map(|set| set.dir.clone()).try_for_each(|dir| remove_dir(&dir))?;
        self.sets.retain(|set| !set.there.is_empty());
        Ok(())
    }

    /// Removes all of it.
    fn remove(&mut self) -> Result<(), ArchiveError> {
        std::mem::take(&mut self.sets).iter().try_for_each(|set| remove_dir(&set.dir))
    }
}

impl Set {
    /// Opens what was set aside; nothing if it cannot be made sense of.
    fn open(dir: &Path, sequence: u64) -> Result<Option<Self>, ArchiveError> {
        let journal = dir.join(journal_name(sequence));
        let record = Journal::read(&journal).map_err(|e| failed(&journal, e))?;
        let Some(Record { identity, done, written, .. }) = record else { return Ok(None) };
        let chunk = |n: u32| dir.join(partial_name(sequence, n));
        let Ok(IndexRead { index, identity: found, len, .. }) = read_index_file(&chunk(0)) else {
            return Ok(None);
        };
        if found != identity {
            return Ok(None);
        }
        let numbers = 0..u32::try_from(index.chunks.len()).unwrap_or(0);
        let first: Vec<u64> = [len].into_iter().chain(first_lens(&index, 0).into_iter().skip(1)).collect();
        let paths: Vec<PathBuf> = numbers.map(chunk).collect();
        let is_whole = |n: usize| {
            let length = first[n] + index.chunks[n].size;
            std::fs::symlink_metadata(&paths[n]).is_ok_and(|m| m.is_file() && m.len() == length)
        };
        let whole: Vec<bool> = (0..paths.len()).map(is_whole).collect();
        let is_there = |entry: &Entry| {
            entry.parts.iter().all(|p| whole.get(p.chunk as usize).copied().unwrap_or_default())
        };
        // All of it is hashed when it is copied, so what is only said to be written is as good.
        let there = done.into_iter().chain(written).filter_map(|(number, digest)| {
            let entry = index.entries.get(number).filter(|e| e.digest == digest && is_there(e))?;
            Some((entry.digest.clone(), number))
        });
        let there: BTreeMap<Digest, usize> = there.collect();
        if there.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { dir: dir.to_owned(), identity, first, files: FilePool::writing(paths), there, index }))
    }

    /// Notes what is left, in place of what was. Without room for that the old list stays: what it has too much is found out.
    fn note(&self) -> Result<(), ArchiveError> {
        let path = self.dir.join(journal_name(self.index.sequence));
        let done = self.there.iter().map(|(digest, number)| (*number, digest));
        match Journal::replace_by_done(&path, &self.identity, done) {
            Err(error) if fsx::is_full(&error) => Ok(()),
            noted => noted.map(drop).map_err(|e| failed(&path, e)),
        }
    }

    /// Gives back what was reserved and holds nothing. Answers whether the file system can do that.
    fn trim(&self) -> io::Result<bool> {
        let finished: BTreeSet<usize> = self.there.values().copied().collect();
        // The index in chunk 0 says what the rest is.
        let mut held: Vec<Vec<(u64, u64)>> = self.first.iter().map(|len| vec![(0, *len)]).collect();
        for number in finished {
            for part in &self.index.entries[number].parts {
                let start = self.first[part.chunk as usize] + part.offset;
                held[part.chunk as usize].push((start, start + part.size));
            }
        }
        for (chunk, mut ranges) in held.into_iter().enumerate() {
            let Ok(file) = self.files.get(chunk) else { continue };
            ranges.sort_unstable();
            let end = self.first[chunk] + self.index.chunks[chunk].size;
            let mut at = 0;
            for (start, stop) in ranges.into_iter().chain([(end, end)]) {
                if start > at
                    && let Err(error) = fsx::punch(&file, at, start - at)
                {
                    return if error.kind() == io::ErrorKind::Unsupported { Ok(false) } else { Err(error) };
                }
                at = at.max(stop);
            }
        }
        Ok(true)
    }
}

/// Returns what runs that did not seal their imagesets have finished in a directory, as far as their journals say so. Nothing
/// is changed.
pub fn left_in(dir: &Path) -> Result<HashSet<Digest>, ArchiveError> {
    let mut left = HashSet::new();
    if !dir.is_dir() {
        return Ok(left);
    }
    let unsealed = journals_in(dir)?.into_iter().map(|(sequence, _)| (sequence, dir.to_owned()));
    for (sequence, dir) in unsealed.chain(left_dirs(dir)?) {
        left.extend(Set::open(&dir, sequence)?.into_iter().flat_map(|set| set.there.into_keys()));
    }
    Ok(left)
}

/// Removes all that was set aside in a directory.
pub(super) fn remove_all(dir: &Path) -> Result<(), ArchiveError> {
    left_dirs(dir)?.iter().try_for_each(|(_, path)| remove_dir(path))
}

/// Returns how many bytes the files of a directory take, as far as their names are those of unfinished imagesets.
pub(super) fn allocated_unfinished(dir: &Path) -> Result<u64, ArchiveError> {
    let partials = partials_in(dir)?.into_iter().map(|(.., path)| fsx::allocated(&path).unwrap_or(0));
    let left = left_dirs(dir)?.into_iter().map(|(_, path)| allocated_in(&path));
    Ok(partials.chain(left).sum())
}

fn allocated_in(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| fsx::allocated(&entry.path()).unwrap_or(0)).sum()
}

/// Moves journals and chunks of other plans out of the way. The journal goes first, and a chunk without one belongs to the last
/// that went, so that a run that is killed in between loses nothing.
fn set_aside(dir: &Path, own: Option<u64>) -> Result<(), ArchiveError> {
    let is_other = |sequence: u64| own != Some(sequence);
    for (sequence, path) in journals_in(dir)?.into_iter().filter(|(sequence, _)| is_other(*sequence)) {
        let record = Journal::read(&path).map_err(|e| failed(&path, e))?;
        let to = dir.join(left_name(sequence, next_left(dir, sequence)?));
        if record.as_ref().is_none_or(|r| r.done.is_empty() && r.written.is_empty()) {
            // Nothing was finished, so nothing is kept; the journal goes last, as it says what the chunks are.
            for (_, _, chunk) in partials_in(dir)?.into_iter().filter(|(of, ..)| *of == sequence) {
                remove(&chunk)?;
            }
            remove(&path)?;
            continue;
        }
        if record.is_some_and(|r| r.sealing) {
            half_sealed(dir, sequence)?;
        }
        fsx::create_dir(&to).map_err(|e| failed(&to, e))?;
        rename(&path, &to.join(journal_name(sequence)))?;
    }
    for (sequence, chunk, path) in partials_in(dir)?.into_iter().filter(|(of, ..)| is_other(*of)) {
        let last =
            left_dirs(dir)?.into_iter().filter(|(of, _)| *of == sequence).map(|(_, path)| path).next_back();
        let to = last.map(|last| last.join(partial_name(sequence, chunk))).filter(|to| !to.exists());
        match to {
            Some(to) => rename(&path, &to)?,
            None => remove(&path)?,
        }
    }
    fsx::fsync_dir(dir).map_err(|e| failed(dir, e))
}

/// Takes their names from the chunks of an imageset whose chunk 0 has got none: it is none yet. That is durable before the
/// journal goes, which alone tells them from an imageset that somebody else made.
fn half_sealed(dir: &Path, sequence: u64) -> Result<(), ArchiveError> {
    let set = find_imagesets(dir)?.into_iter().find(|set| set.sequence == sequence);
    let Some(set) = set.filter(|set| !set.chunks.contains_key(&0)) else { return Ok(()) };
    let unnamed = |number: u32| dir.join(partial_name(sequence, number));
    set.chunks.iter().try_for_each(|(number, path)| rename(path, &unnamed(*number)))?;
    fsx::fsync_dir(dir).map_err(|e| failed(dir, e))
}

fn journals_in(dir: &Path) -> Result<Vec<(u64, PathBuf)>, ArchiveError> {
    let names = super::files::list(dir)?.into_iter();
    Ok(names.filter_map(|(name, path)| Some((parse_journal(&name)?, path))).collect())
}

fn partials_in(dir: &Path) -> Result<Vec<(u64, u32, PathBuf)>, ArchiveError> {
    let names = super::files::list(dir)?.into_iter();
    let parsed = names.filter_map(|(name, path)| parse_partial(&name).map(|(s, c)| (s, c, path)));
    Ok(parsed.collect())
}

fn rename(from: &Path, to: &Path) -> Result<(), ArchiveError> {
    fsx::rename(from, to).map_err(|e| ArchiveError::disk(from, "it cannot be set aside", e))
}

fn remove(path: &Path) -> Result<(), ArchiveError> {
    fsx::remove_if_there(path).map_err(|e| ArchiveError::disk(path, "it cannot be removed", e))
}

fn remove_dir(path: &Path) -> Result<(), ArchiveError> {
    fsx::remove_dir_all(path).map_err(|e| ArchiveError::disk(path, "it cannot be removed", e))
}

fn failed(path: &Path, error: io::Error) -> ArchiveError {
    ArchiveError::disk(path, "what an earlier run left cannot be used", error)
}
