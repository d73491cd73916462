//! [`check`]: every byte of an imageset held against its index, with no network.

use std::collections::BTreeMap;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::{Entry, Index};
use oc_mirror_model::tar::{END_MARKER, padded};

use super::error::{ArchiveError, ArchiveErrorKind, ChunkProblem};
use super::files::{ImagesetChunks, ImagesetFiles};
use super::on_disk::at_once;
use super::reader::{Inner, Reader};

/// What a check found.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// The sequence that was checked.
    pub sequence: u64,
    /// Which imageset it is.
    pub identity: Digest,
    /// How many entries it has.
    pub entries: usize,
    /// How many bytes its entries have.
    pub bytes: u64,
    /// What is wrong; empty if nothing is.
    pub damage: Vec<Damage>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The names of the chunk files: of a damaged entry that was split, all that it lies in.
    pub chunks: Vec<String>,
    /// The entry, unless it is the chunk as a whole.
    pub entry: Option<String>,
    /// What is wrong with it.
    pub what: String,
    /// The original references of the images that need it.
    pub images: Vec<String>,
}

/// Checks every byte. `progress` is called with the number of bytes that were read since its last call.
///
/// Fails only if the index itself cannot be trusted or read; everything else is damage and reported as such.
pub fn check(files: &ImagesetFiles, progress: &mut dyn FnMut(u64)) -> Result<CheckReport, ArchiveError> {
    at_once(check_chunks(&ImagesetChunks::from(files), progress))
}

async fn check_chunks(
    set: &ImagesetChunks,
    progress: &mut dyn FnMut(u64),
) -> Result<CheckReport, ArchiveError> {
    let (reader, problems) = Reader::open_damaged(set).await?;
    let inner = &*reader.inner;
    let users = inner.images_by_digest();
    let images = |entry: &Entry| -> Vec<String> {
        users.get(&entry.digest).into_iter().flatten().map(|name| (*name).to_owned()).collect()
    };
    let mut damage: Vec<Damage> = problems.iter().map(|p| chunk_damage(inner, &users, p)).collect();
    for entry in &inner.index.entries {
        // Entries of chunks that cannot be used are counted with their chunk.
        if entry.parts.iter().all(|p| inner.first[p.chunk as usize].is_some())
            && let Err(fault) = check_entry(inner, entry, progress).await
        {
            let (chunks, what) = match fault {
                Fault::Content(actual) => {
                    let chunks = entry.parts.iter().map(|p| Index::chunk_name(inner.index.sequence, p.chunk));
                    (chunks.collect(), format!("it hashes to `{actual}`"))
                }
                Fault::Frame(error) => {
                    let chunk = error.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
                    let what = match error.kind() {
                        ArchiveErrorKind::Damaged { reason, .. } => reason.clone(),
                        other => other.to_string(),
                    };
                    (vec![chunk], what)
                }
            };
            damage.push(Damage { chunks, entry: Some(entry.path.clone()), what, images: images(entry) });
        }
    }
    for chunk in 0..inner.first.len() {
        damage.extend(check_end(inner, chunk).await);
    }
    Ok(CheckReport {
        sequence: inner.index.sequence,
        identity: reader.identity().clone(),
        entries: inner.index.entries.len(),
        bytes: inner.index.entries.iter().map(|e| e.size).fold(0, u64::saturating_add),
        damage,
    })
}

/// A chunk that cannot be used takes with it the images of all that is in it.
fn chunk_damage(inner: &Inner, users: &BTreeMap<&Digest, Vec<&str>>, problem: &ChunkProblem) -> Damage {
    let is_here = |chunk: u32| Index::chunk_name(inner.index.sequence, chunk) == problem.name();
    let mut images: Vec<String> = inner
        .index
        .entries
        .iter()
        .filter(|entry| entry.parts.iter().any(|p| is_here(p.chunk)))
        .filter_map(|entry| users.get(&entry.digest))
        .flatten()
        .map(|name| (*name).to_owned())
        .collect();
    images.sort();
    images.dedup();
    Damage { chunks: vec![problem.name().to_owned()], entry: None, what: problem.to_string(), images }
}

/// What is wrong with an entry.
enum Fault {
    /// What surrounds its bytes, in one chunk; or the disk.
    Frame(ArchiveError),
    /// Its bytes, which hash to this.
    Content(Digest),
}

impl From<ArchiveError> for Fault {
    fn from(error: ArchiveError) -> Self {
        Self::Frame(error)
    }
}

async fn check_entry(inner: &Inner, entry: &Entry, progress: &mut dyn FnMut(u64)) -> Result<(), Fault> {
    inner.check_headers(entry).await?;
    for part in &entry.parts {
        let (chunk, padding) = (part.chunk as usize, padded(part.size) - part.size);
        if !is_zero(inner, chunk, part.offset + part.size, padding).await {
            return Err(inner.damaged(entry, chunk, "its padding is not empty".to_owned()).into());
        }
    }
    let mut hasher = entry.digest.algorithm().hasher();
    let mut at = 0;
    while at < entry.size {
        let piece = inner.read(entry, at).await?;
        hasher.update(&piece);
        at += piece.len() as u64;
        progress(piece.len() as u64);
    }
    let actual = hasher.finish();
    if actual == entry.digest { Ok(()) } else { Err(Fault::Content(actual)) }
}

/// A chunk ends with two blocks of zeros.
async fn check_end(inner: &Inner, chunk: usize) -> Option<Damage> {
    let end = inner.index.chunks[chunk].size - END_MARKER;
    if inner.first[chunk].is_none() || is_zero(inner, chunk, end, END_MARKER).await {
        return None;
    }
    Some(Damage {
        chunks: vec![Index::chunk_name(inner.index.sequence, chunk as u32)],
        entry: None,
        what: "its end marker is damaged".to_owned(),
        images: Vec::new(),
    })
}

/// Answers whether there are only zeros, at an offset that counts from the end of the first entry.
async fn is_zero(inner: &Inner, chunk: usize, offset: u64, len: u64) -> bool {
    let at = inner.first[chunk].unwrap_or_default() + offset;
    let len = usize::try_from(len).expect("padding and end marker are short");
    let Some(source) = &inner.chunks[chunk] else { return false };
    source.read(at, len).await.is_ok_and(|bytes| bytes.iter().all(|b| *b == 0))
}
