//! What a writer finds and makes before the first byte of content: partial chunks with all headers in place.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use oc_mirror_model::imageset::Index;
use oc_mirror_model::tar;

use super::chunk::{END, Stored, first_lens, mtime, read_index_file};
use super::error::{ArchiveError, ArchiveErrorKind};
use super::files::{find_imagesets, find_leftovers, journal_name, partial_name};
use super::journal::{Journal, Record, replacement};
use super::reader::Reader;
use super::recover::{Recovered, recover};
use super::salvage::{self, Found, Into, Leftovers, allocated_unfinished};
use super::table::headers;
use crate::fsx::{self, FilePool, Sink};

/// What the writer starts from.
pub(super) struct Prepared {
    /// The chunk files as they are named now.
    pub(super) paths: Vec<PathBuf>,
    /// How long the first entry of each chunk is.
    pub(super) first: Vec<u64>,
    /// Which entries are finished or begun.
    pub(super) recovered: Recovered,
    /// The journal; none if the imageset is sealed already.
    pub(super) journal: Option<Journal>,
}

/// Everything that does not change while preparing.
pub(super) struct Plan<'a> {
    pub(super) dir: &'a Path,
    pub(super) stored: &'a Stored<'a>,
    pub(super) index: &'a Index,
}

/// Finds an imageset of this sequence that was begun and not sealed, so that its plan can be taken up again.
pub fn interrupted(dir: &Path, sequence: u64) -> Result<Option<Index>, ArchiveError> {
    let journal = dir.join(journal_name(sequence));
    let record = Journal::read(&journal).map_err(|e| ArchiveError::disk(&journal, "it cannot be read", e))?;
    let Some(record) = record else { return Ok(None) };
    let candidates = [dir.join(partial_name(sequence, 0)), dir.join(Index::chunk_name(sequence, 0))];
    for path in candidates.iter().filter(|p| p.is_file()) {
        // What cannot be read was cut off while it was made; then there is nothing to take up.
        if let Ok(read) = read_index_file(path)
            && read.identity == record.identity
        {
            return Ok(Some(read.index));
        }
    }
    Ok(None)
}

/// Makes everything ready for content; the caller holds the lock of the directory.
pub(super) fn prepare(plan: &Plan<'_>) -> Result<Prepared, ArchiveError> {
    let mtime = mtime(plan.index).ok_or_else(|| {
        let reason = format!("`{}` is not a time", plan.index.created);
        ArchiveError::new(plan.dir, ArchiveErrorKind::Index(reason))
    })?;
    let journal_path = plan.dir.join(journal_name(plan.index.sequence));
    let record = Journal::read(&journal_path)
        .map_err(|e| ArchiveError::disk(&journal_path, "it cannot be read", e))?;
    let first = plan.stored.first();
    let earlier = find_earlier(plan, record.as_ref())?;
    let ours = record.filter(|r| r.identity == plan.stored.identity);
    if matches!(earlier, Earlier::Sealed) {
        // The run that sealed it may have been killed before the names were durable.
        fsx::fsync_dir(plan.dir).map_err(|e| ArchiveError::disk(plan.dir, "it cannot be made durable", e))?;
        clean_up(plan)?;
        let recovered = Recovered::all(plan.index, true);
        return Ok(Prepared { paths: sealed_paths(plan.dir, plan.index), first, recovered, journal: None });
    }
    let mut leftovers = Leftovers::gather(plan.dir, ours.as_ref().map(|_| plan.index.sequence))?;
    remove_surplus(plan)?;
    let chunks = find_chunks(plan, &first, matches!(earlier, Earlier::HalfSealed));
    let mut recovered = match &ours {
        Some(record) => recover(plan.index, record, &chunks.kept, &chunks.paths, &first),
        None => Recovered::all(plan.index, false),
    };
    let wanted = leftovers.wanted(plan.index, &recovered.done);
    let wanted = make_room(plan, &chunks, &mut leftovers, wanted)?;
    let journal = match &ours {
        // Never gone on with: a sync of it may have failed, and what that dropped is made durable by no later one.
        Some(record) => Journal::replace(&journal_path, record, |number| chunks.keeps(plan.index, number))
            .map_err(|e| ArchiveError::disk(&journal_path, "it cannot be written", e)),
        None => Journal::create(&journal_path, &plan.stored.identity)
            .map_err(|e| ArchiveError::disk(&journal_path, "it cannot be made", e)),
    };
    let mut journal = journal?;
    if wanted.is_empty() {
        reserve(plan.dir, &chunks)?;
        write_headers(plan, &first, mtime, &chunks.paths)?;
    } else {
        // Space is reserved when what was left has moved, since it comes out of the same room.
        make_sparse(&chunks)?;
        write_headers(plan, &first, mtime, &chunks.paths)?;
        let files = FilePool::writing(chunks.paths.clone());
        let mut into = Into { index: plan.index, first: &first, files: &files, journal: &mut journal };
        leftovers.copy(&wanted, &mut into)?.into_iter().for_each(|number| recovered.done[number] = true);
        reserve(plan.dir, &Chunks { kept: vec![true; chunks.kept.len()], ..chunks.clone() })?;
    }
    fsx::fsync_dir(plan.dir).map_err(|e| ArchiveError::disk(plan.dir, "it cannot be made durable", e))?;
    Ok(Prepared { paths: chunks.paths, first, recovered, journal: Some(journal) })
}

/// Returns how many more bytes it takes in a directory to make an imageset there, given what unfinished ones have there already:
/// that is taken over, or makes room.
pub fn room_needed(dir: &Path, index: &Index) -> Result<u64, ArchiveError> {
    if !dir.is_dir() {
        return Ok(length_of(index));
    }
    let bytes = length_of(index);
    Ok(bytes.saturating_sub(allocated_unfinished(dir)?))
}

/// Returns the bytes of all chunks of an imageset.
fn length_of(index: &Index) -> u64 {
    chunk_sizes(index).into_iter().fold(0, u64::saturating_add)
}

/// Returns the bytes of each chunk of an imageset.
pub fn chunk_sizes(index: &Index) -> Vec<u64> {
    let first = first_lens(index, index.len_bytes());
    first.iter().zip(&index.chunks).map(|(first, chunk)| first.saturating_add(chunk.size)).collect()
}

/// What bears the final names of this sequence.
enum Earlier {
    Nothing,
    /// This very imageset.
    Sealed,
    /// Some chunks of this very imageset: a run was killed between two renames.
    HalfSealed,
}

/// Looks at what bears the final names already. Nothing that was ever finished is overwritten.
fn find_earlier(plan: &Plan<'_>, record: Option<&Record>) -> Result<Earlier, ArchiveError> {
    let sequence = plan.index.sequence;
    let Some(files) = find_imagesets(plan.dir)?.into_iter().find(|f| f.sequence == sequence) else {
        return Ok(Earlier::Nothing);
    };
    let exists = |found: String| {
        let path = files.chunks.values().next().expect("a set has at least one file");
        Err(ArchiveError::new(path, ArchiveErrorKind::Exists { sequence, found }))
    };
    let Some(index) = files.chunks.get(&0) else {
        // Chunk 0 gets its name last: without it, these are not an imageset yet.
        return match record.filter(|r| r.sealing) {
            Some(record) if record.identity == plan.stored.identity => Ok(Earlier::HalfSealed),
            // Set aside with the rest of what that run left.
            Some(_) => Ok(Earlier::Nothing),
            None => exists("chunks without the one that holds the index".to_owned()),
        };
    };
    match read_index_file(index) {
        Ok(read) if read.identity == plan.stored.identity => {
            let whole = Reader::open_files(&files).is_ok();
            // Damaged or not all there: it is made again, and the same names get the same content.
            Ok(if whole { Earlier::Sealed } else { Earlier::Nothing })
        }
        Ok(read) => exists(read.identity.to_string()),
        Err(_) => exists("one that cannot be read".to_owned()),
    }
}

pub(super) fn sealed_paths(dir: &Path, index: &Index) -> Vec<PathBuf> {
    let sequence = index.sequence;
    (0..index.chunks.len() as u32).map(|n| dir.join(Index::chunk_name(sequence, n))).collect()
}

/// Removes partial chunks past the last one of the plan, which no plan with this journal has made.
fn remove_surplus(plan: &Plan<'_>) -> Result<(), ArchiveError> {
    let sequence = plan.index.sequence;
    let partials = (0..plan.index.chunks.len() as u32).map(|n| partial_name(sequence, n));
    let keep: BTreeSet<PathBuf> =
        partials.chain([journal_name(sequence)]).map(|name| plan.dir.join(name)).collect();
    let mut leftovers = find_leftovers(plan.dir)?;
    leftovers.retain(|path| !keep.contains(path));
    remove_all(leftovers.iter())
}

/// Removes everything that dead runs left.
fn clean_up(plan: &Plan<'_>) -> Result<(), ArchiveError> {
    let mut leftovers = find_leftovers(plan.dir)?;
    // The journal of a run goes after its chunks, as without it nobody knows what they are.
    leftovers.sort_by_key(|path| path.extension().is_some_and(|e| e == "journal"));
    let journal = plan.dir.join(journal_name(plan.index.sequence));
    remove_all(leftovers.iter().chain([&replacement(&journal)]))?;
    salvage::remove_all(plan.dir)
}

fn remove_all<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Result<(), ArchiveError> {
    for path in paths {
        fsx::remove_if_there(path).map_err(|e| ArchiveError::disk(path, "it cannot be removed", e))?;
    }
    Ok(())
}

/// The chunk files of a plan as they are named now.
#[derive(Clone, Debug)]
struct Chunks {
    paths: Vec<PathBuf>,
    lengths: Vec<u64>,
    /// Which of them were there.
    kept: Vec<bool>,
}

fn find_chunks(plan: &Plan<'_>, first: &[u64], half_sealed: bool) -> Chunks {
    let lengths: Vec<u64> =
        first.iter().zip(&plan.index.chunks).map(|(first, chunk)| first + chunk.size).collect();
    let mut paths: Vec<PathBuf> =
        (0..first.len() as u32).map(|n| plan.dir.join(partial_name(plan.index.sequence, n))).collect();
    if half_sealed {
        for (partial, sealed) in paths.iter_mut().zip(sealed_paths(plan.dir, plan.index)) {
            if !partial.exists() && sealed.exists() {
                *partial = sealed;
            }
        }
    }
    let is_kept = |(path, length): (&PathBuf, &u64)| {
        std::fs::symlink_metadata(path).is_ok_and(|m| m.is_file() && m.len() == *length)
    };
    let kept = paths.iter().zip(&lengths).map(is_kept).collect();
    Chunks { paths, lengths, kept }
}

impl Chunks {
    fn all(&self) -> impl Iterator<Item = (&PathBuf, u64, bool)> {
        self.paths
            .iter()
            .zip(&self.lengths)
            .zip(&self.kept)
            .map(|((path, length), kept)| (path, *length, *kept))
    }

    /// Answers whether all files that an entry is in were there.
    fn keeps(&self, index: &Index, number: usize) -> bool {
        let parts = index.entries.get(number).map(|entry| &entry.parts);
        parts.is_some_and(|parts| parts.iter().all(|part| self.kept[part.chunk as usize]))
    }

    /// Returns the bytes that are still to be reserved.
    fn needed(&self) -> u64 {
        let there = |path: &PathBuf, kept: bool| if kept { fsx::allocated(path).unwrap_or(0) } else { 0 };
        self.all().fold(0, |sum: u64, (path, length, kept)| {
            sum.saturating_add(length.saturating_sub(there(path, kept)))
        })
    }
}

fn available(dir: &Path) -> Result<u64, ArchiveError> {
    fsx::available_space(dir).map_err(|e| ArchiveError::disk(dir, "its free space is unknown", e))
}

/// Fails before anything is made if the disk is too small; gives up what was left if it is just large enough without.
fn make_room(
    plan: &Plan<'_>,
    chunks: &Chunks,
    leftovers: &mut Leftovers,
    wanted: Vec<Found>,
) -> Result<Vec<Found>, ArchiveError> {
    // Of the wrong length, they are made anew.
    remove_all(chunks.all().filter(|(_, _, kept)| !kept).map(|(path, ..)| path))?;
    let (needed, available) = (chunks.needed(), available(plan.dir)?);
    let wanted = leftovers.make_room(needed, available, wanted)?;
    wanted.ok_or_else(|| ArchiveError::new(plan.dir, ArchiveErrorKind::Full { needed, available }))
}

/// Creates the files that are not there and reserves the space of all. If there is too little, what was created is removed.
fn reserve(dir: &Path, chunks: &Chunks) -> Result<(), ArchiveError> {
    let needed = chunks.needed();
    for (path, length, kept) in chunks.all() {
        let open = if kept { fsx::open_again(path) } else { fsx::create_new(path) };
        if let Err(error) = open.and_then(|file| fsx::preallocate(&file, length)) {
            remove_all(chunks.all().filter(|(_, _, kept)| !kept).map(|(path, ..)| path))?;
            if fsx::is_full(&error) {
                let kind = ArchiveErrorKind::Full { needed, available: available(dir)? };
                return Err(ArchiveError::with_source(dir, kind, error));
            }
            return Err(ArchiveError::disk(path, "it cannot be made", error));
        }
    }
    Ok(())
}

/// Creates the files that are not there, without any space.
fn make_sparse(chunks: &Chunks) -> Result<(), ArchiveError> {
    for (path, length, _) in chunks.all().filter(|(_, _, kept)| !kept) {
        let made = fsx::create_new(path).and_then(|file| fsx::set_len(&file, length));
        made.map_err(|e| ArchiveError::disk(path, "it cannot be made", e))?;
    }
    Ok(())
}

/// Writes first entries, headers and end markers. A kept chunk may have died before it had all of them.
fn write_headers(plan: &Plan<'_>, first: &[u64], mtime: u64, paths: &[PathBuf]) -> Result<(), ArchiveError> {
    let mut entries = plan.index.entries.iter().flat_map(headers).peekable();
    for (chunk, path) in paths.iter().enumerate() {
        let base = first[chunk];
        let failed = |e| ArchiveError::disk(path, "it cannot be written", e);
        let file = fsx::open_again(path).map_err(failed)?;
        plan.stored.write_first(chunk as u32, mtime, Sink::new(&file)).map_err(failed)?;
        // Entries come in the order of chunks, so each chunk is opened once.
        while let Some((_, offset, _, name, size)) = entries.next_if(|(at, ..)| *at == chunk) {
            fsx::write_all_at(&file, &tar::header(&name, size, mtime), base + offset).map_err(failed)?;
        }
        let end = base + plan.index.chunks[chunk].size - END.len() as u64;
        fsx::write_all_at(&file, &END, end).map_err(failed)?;
    }
    Ok(())
}
