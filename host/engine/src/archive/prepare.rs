//! What a writer finds and makes before the first byte of content: partial chunks with all headers in place.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::Index;
use oc_mirror_model::tar;
use rustix::fs::OFlags;

use super::chunk::{END, IndexBytes, first_entry, mtime, read_index_file};
use super::error::{ArchiveError, ArchiveErrorKind};
use super::files::{find_imagesets, find_leftovers, journal_name, partial_name};
use super::journal::{Journal, Record};
use super::reader::Reader;
use super::recover::{Recovered, recover};
use super::table::headers;
use crate::fsx;

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
    pub(super) index: &'a Index,
    pub(super) bytes: &'a [u8],
    pub(super) identity: &'a Digest,
    /// The envelope with signatures of the index.
    pub(super) envelope: Option<&'a [u8]>,
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
    let numbers = 0..plan.index.chunks.len() as u32;
    let stored = IndexBytes { bytes: plan.bytes, identity: plan.identity, envelope: plan.envelope };
    let firsts: Vec<Vec<u8>> = numbers.map(|n| first_entry(plan.index, stored, n, mtime)).collect();
    let first: Vec<u64> = firsts.iter().map(|f| f.len() as u64).collect();
    let earlier = find_earlier(plan, record.as_ref())?;
    let ours = record.filter(|r| r.identity == *plan.identity);
    if matches!(earlier, Earlier::Sealed) {
        clean_up(plan, &BTreeSet::new())?;
        let recovered = Recovered::all(plan.index, true);
        return Ok(Prepared { paths: sealed_paths(plan.dir, plan.index), first, recovered, journal: None });
    }
    let Some(record) = ours else {
        clean_up(plan, &BTreeSet::new())?;
        let recovered = Recovered::all(plan.index, false);
        let journal = Journal::create(&journal_path, plan.identity)
            .map_err(|e| ArchiveError::disk(&journal_path, "it cannot be made", e))?;
        let paths = make_chunks(plan, &firsts, mtime, false)?.0;
        return Ok(Prepared { paths, first, recovered, journal: Some(journal) });
    };
    clean_up(plan, &own_names(plan))?;
    let journal = Journal::resume(&journal_path, &record)
        .map_err(|e| ArchiveError::disk(&journal_path, "it cannot be written", e))?;
    let (paths, kept) = make_chunks(plan, &firsts, mtime, matches!(earlier, Earlier::HalfSealed))?;
    let recovered = recover(plan.index, &record, &kept, &paths, &first);
    Ok(Prepared { paths, first, recovered, journal: Some(journal) })
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
            Some(record) if record.identity == *plan.identity => Ok(Earlier::HalfSealed),
            Some(_) => remove_all(files.chunks.values()).map(|()| Earlier::Nothing),
            None => exists("chunks without the one that holds the index".to_owned()),
        };
    };
    match read_index_file(index) {
        Ok(read) if read.identity == *plan.identity => {
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

fn own_names(plan: &Plan<'_>) -> BTreeSet<PathBuf> {
    let sequence = plan.index.sequence;
    let partials = (0..plan.index.chunks.len() as u32).map(|n| partial_name(sequence, n));
    partials.chain([journal_name(sequence)]).map(|name| plan.dir.join(name)).collect()
}

/// Removes what dead runs left, except what this one goes on with.
fn clean_up(plan: &Plan<'_>, keep: &BTreeSet<PathBuf>) -> Result<(), ArchiveError> {
    let mut leftovers = find_leftovers(plan.dir)?;
    leftovers.retain(|path| !keep.contains(path));
    // The journal of a run goes after its chunks, as without it nobody knows what they are.
    leftovers.sort_by_key(|path| path.extension().is_some_and(|e| e == "journal"));
    remove_all(leftovers.iter())
}

fn remove_all<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Result<(), ArchiveError> {
    for path in paths {
        fsx::remove_if_there(path).map_err(|e| ArchiveError::disk(path, "it cannot be removed", e))?;
    }
    Ok(())
}

/// Makes the chunks that are not there, reserves their space and writes all headers. Tells which were there.
fn make_chunks(
    plan: &Plan<'_>,
    firsts: &[Vec<u8>],
    mtime: u64,
    half_sealed: bool,
) -> Result<(Vec<PathBuf>, Vec<bool>), ArchiveError> {
    let length = |n: usize| firsts[n].len() as u64 + plan.index.chunks[n].size;
    let sealed = sealed_paths(plan.dir, plan.index);
    let mut paths: Vec<PathBuf> =
        (0..firsts.len() as u32).map(|n| plan.dir.join(partial_name(plan.index.sequence, n))).collect();
    if half_sealed {
        for (partial, sealed) in paths.iter_mut().zip(sealed) {
            if !partial.exists() && sealed.exists() {
                *partial = sealed;
            }
        }
    }
    let kept: Vec<bool> = (0..paths.len())
        .map(|n| std::fs::symlink_metadata(&paths[n]).is_ok_and(|m| m.is_file() && m.len() == length(n)))
        .collect();
    let missing: Vec<(PathBuf, u64)> =
        (0..paths.len()).filter(|n| !kept[*n]).map(|n| (paths[n].clone(), length(n))).collect();
    reserve(plan.dir, &missing)?;
    write_headers(plan, firsts, mtime, &paths)?;
    fsx::fsync_dir(plan.dir).map_err(|e| ArchiveError::disk(plan.dir, "it cannot be made durable", e))?;
    Ok((paths, kept))
}

/// Creates files of the given lengths, or none of them if the disk is too small.
fn reserve(dir: &Path, files: &[(PathBuf, u64)]) -> Result<(), ArchiveError> {
    let needed = files.iter().fold(0_u64, |sum, (_, len)| sum.saturating_add(*len));
    let available =
        || fsx::available_space(dir).map_err(|e| ArchiveError::disk(dir, "its free space is unknown", e));
    remove_all(files.iter().map(|(path, _)| path))?;
    if needed > available()? {
        let kind = ArchiveErrorKind::Full { needed, available: available()? };
        return Err(ArchiveError::new(dir, kind));
    }
    for (path, len) in files {
        let made = create_new(path).and_then(|file| fsx::preallocate(&file, *len));
        if let Err(error) = made {
            remove_all(files.iter().map(|(path, _)| path))?;
            if fsx::is_full(&error) {
                let kind = ArchiveErrorKind::Full { needed, available: available()? };
                return Err(ArchiveError::with_source(dir, kind, error));
            }
            return Err(ArchiveError::disk(path, "it cannot be made", error));
        }
    }
    Ok(())
}

fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).open(path)
}

/// Writes first entries, headers and end markers. A kept chunk may have died before it had all of them.
fn write_headers(
    plan: &Plan<'_>,
    firsts: &[Vec<u8>],
    mtime: u64,
    paths: &[PathBuf],
) -> Result<(), ArchiveError> {
    let mut entries = plan.index.entries.iter().flat_map(headers).peekable();
    for (chunk, path) in paths.iter().enumerate() {
        let base = firsts[chunk].len() as u64;
        let failed = |e| ArchiveError::disk(path, "it cannot be written", e);
        let flags = OFlags::NOFOLLOW.bits().cast_signed();
        let file = OpenOptions::new().write(true).custom_flags(flags).open(path).map_err(failed)?;
        fsx::write_all_at(&file, &firsts[chunk], 0).map_err(failed)?;
        // Entries come in the order of chunks, so each chunk is opened once.
        while let Some((_, offset, _, name, size)) = entries.next_if(|(at, ..)| *at == chunk) {
            fsx::write_all_at(&file, &tar::header(&name, size, mtime), base + offset).map_err(failed)?;
        }
        let end = base + plan.index.chunks[chunk].size - END.len() as u64;
        fsx::write_all_at(&file, &END, end).map_err(failed)?;
    }
    Ok(())
}
