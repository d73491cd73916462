//! [`check`]: every byte of an imageset held against its index, with no network.
//!
//! Opening an imageset has looked at what its chunks begin with and how long they are. Here come all the others: headers,
//! content, padding and end markers, so that there is no byte that could change unnoticed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use oc_mirror_model::check::{Damage, ImagesetCheck, exit_code_of};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::{Entry, ImageEntry, Index};
use oc_mirror_model::tar::{END_MARKER, padded};

use super::error::{ArchiveError, ArchiveErrorKind, ChunkProblem};
use super::files::ImagesetChunks;
use super::keys::TrustedKeys;
use super::reader::{Inner, Reader};

/// Entries that are read at a time.
const PARALLEL: usize = 4;

/// Is told how many bytes were read since it was last called.
pub type Progress = Arc<dyn Fn(u64) + Send + Sync>;

/// Checks every byte.
///
/// Fails only if the index itself cannot be trusted or read, or if what holds the chunks cannot be reached; everything else is
/// damage and reported as such.
pub async fn check(
    set: &ImagesetChunks,
    trusted: &TrustedKeys,
    progress: Progress,
) -> Result<ImagesetCheck, ArchiveError> {
    let (reader, problems) = Reader::open_damaged(set, trusted).await?;
    let inner = &reader.inner;
    let users = Users::of(&inner.index);
    let mut damage: Vec<Damage> = problems.iter().map(|p| chunk_damage(inner, &users, p)).collect();
    let entries = 0..inner.index.entries.len();
    // Entries of chunks that cannot be used are counted with their chunk.
    let usable = |number: &usize| {
        inner.index.entries[*number].parts.iter().all(|p| inner.first[p.chunk as usize].is_some())
    };
    let usable: Vec<usize> = entries.filter(usable).collect();
    let unchecked = inner.index.entries.len() - usable.len();
    let mut checks = stream::iter(usable)
        .map(|number| {
            let (inner, progress) = (inner.clone(), progress.clone());
            // Each in a task of its own, so that hashing is spread over processors.
            let task = tokio::spawn(async move { check_entry(&inner, number, &progress).await });
            async move { (number, task.await.expect("a check does not panic and is not aborted")) }
        })
        .buffered(PARALLEL);
    while let Some((number, outcome)) = checks.next().await {
        if let Err(fault) = outcome {
            damage.push(entry_damage(inner, &users, number, fault)?);
        }
    }
    for chunk in 0..inner.first.len() {
        damage.extend(check_end(inner, chunk).await);
    }
    let index = &inner.index;
    Ok(ImagesetCheck {
        sequence: index.sequence,
        uid: Some(index.uid),
        base: index.base,
        index: Some(reader.identity().clone()),
        previous: index.previous.clone(),
        images: index.image_count(),
        chunks: index.chunks.len(),
        entries: index.entries.len(),
        bytes: index.entries.iter().map(|e| e.size).fold(0, u64::saturating_add),
        unchecked,
        signed_by: index.signed_by.clone(),
        verified: reader.verified().to_vec(),
        damage,
    })
}

/// Tells where each image needs content, to say which images a fault touches.
struct Users<'a>(BTreeMap<&'a Digest, Vec<&'a ImageEntry>>);

impl<'a> Users<'a> {
    fn of(index: &'a Index) -> Self {
        let mut users: BTreeMap<&Digest, Vec<&ImageEntry>> = BTreeMap::new();
        for image in &index.images {
            for descriptor in image.manifests.iter().chain(&image.blobs) {
                users.entry(&descriptor.digest).or_default().push(image);
            }
        }
        Self(users)
    }

    /// Makes a damage of something that these entries are affected by.
    fn damage<'e>(
        &self,
        chunks: Vec<String>,
        entry: Option<&Entry>,
        what: String,
        affected: impl Iterator<Item = &'e Entry>,
        mend: String,
    ) -> Damage {
        let images: Vec<&ImageEntry> =
            affected.filter_map(|e| self.0.get(&e.digest)).flatten().copied().collect();
        let mut names: Vec<String> = images.iter().map(|image| image.request.origin.clone()).collect();
        names.sort();
        names.dedup();
        Damage {
            chunks,
            entry: entry.map(|entry| entry.path.clone()),
            what,
            images: names,
            mend,
            exit_code: exit_code_of(images.iter().map(|image| image.request.kind.as_str())),
        }
    }
}

/// Says what to do about chunks that are not what they were made as.
pub(super) fn copy_again(chunks: &[String], index: &Index) -> String {
    let (sequence, base) = (index.sequence, index.base);
    format!(
        "copy {} of imageset {sequence} again from where it was made; if it is no longer whole there, make one of the same \
         content there with --since {base}",
        chunks.join(", ")
    )
}

/// A chunk that cannot be used takes with it the images of all that is in it.
fn chunk_damage(inner: &Inner, users: &Users<'_>, problem: &ChunkProblem) -> Damage {
    let index = &inner.index;
    let name = problem.name().to_owned();
    let number = (0..).zip(&index.chunks).find(|(n, _)| Index::chunk_name(index.sequence, *n) == name);
    let mend = match number {
        Some(_) => copy_again(std::slice::from_ref(&name), index),
        None => format!("take {name} away: imageset {} has no such chunk", index.sequence),
    };
    let number = number.map(|(number, _)| number);
    let affected = index.entries.iter().filter(|e| e.parts.iter().any(|p| Some(p.chunk) == number));
    users.damage(vec![name], None, problem.to_string(), affected, mend)
}

/// What is wrong with an entry.
enum Fault {
    /// What surrounds its bytes, in one chunk; or the disk.
    Frame(ArchiveError),
    /// What lies behind its bytes in one chunk, which touches no image.
    Padding(usize),
    /// Its bytes, which hash to this.
    Content(Digest),
}

impl From<ArchiveError> for Fault {
    fn from(error: ArchiveError) -> Self {
        Self::Frame(error)
    }
}

/// Says what a fault of an entry means. What holds the chunks may be to blame for it; then nothing can be said.
fn entry_damage(
    inner: &Inner,
    users: &Users<'_>,
    number: usize,
    fault: Fault,
) -> Result<Damage, ArchiveError> {
    let (index, entry) = (&inner.index, &inner.index.entries[number]);
    let name = |chunk| Index::chunk_name(index.sequence, chunk);
    let (chunks, what, touches): (BTreeSet<String>, String, bool) = match fault {
        Fault::Content(actual) => {
            let chunks = entry.parts.iter().map(|p| name(p.chunk)).collect();
            (chunks, format!("it hashes to `{actual}`"), true)
        }
        Fault::Padding(chunk) => {
            (BTreeSet::from([name(chunk as u32)]), "its padding is not empty".to_owned(), false)
        }
        Fault::Frame(error) => {
            let chunk = error.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
            let what = match error.kind() {
                ArchiveErrorKind::Damaged { reason, .. } => reason.clone(),
                ArchiveErrorKind::Store(_) => return Err(error),
                other => other.to_string(),
            };
            (BTreeSet::from([chunk]), what, true)
        }
    };
    let chunks: Vec<String> = chunks.into_iter().collect();
    let mend = copy_again(&chunks, index);
    let affected = touches.then_some(entry).into_iter();
    Ok(users.damage(chunks, Some(entry), what, affected, mend))
}

async fn check_entry(inner: &Inner, number: usize, progress: &Progress) -> Result<(), Fault> {
    let entry = &inner.index.entries[number];
    inner.check_headers(entry).await?;
    let mut hasher = entry.digest.algorithm().hasher();
    let mut at = 0;
    while at < entry.size {
        let piece = inner.read(entry, at).await?;
        hasher.update(&piece);
        at += piece.len() as u64;
        progress(piece.len() as u64);
    }
    let actual = hasher.finish();
    if actual != entry.digest {
        return Err(Fault::Content(actual));
    }
    for part in &entry.parts {
        let (chunk, padding) = (part.chunk as usize, padded(part.size) - part.size);
        if !is_zero(inner, chunk, part.offset + part.size, padding).await {
            return Err(Fault::Padding(chunk));
        }
    }
    Ok(())
}

/// A chunk ends with two blocks of zeros.
async fn check_end(inner: &Inner, chunk: usize) -> Option<Damage> {
    let end = inner.index.chunks[chunk].size - END_MARKER;
    if inner.first[chunk].is_none() || is_zero(inner, chunk, end, END_MARKER).await {
        return None;
    }
    let name = Index::chunk_name(inner.index.sequence, chunk as u32);
    Some(Damage {
        mend: copy_again(std::slice::from_ref(&name), &inner.index),
        chunks: vec![name],
        entry: None,
        what: "its end marker is damaged".to_owned(),
        images: Vec::new(),
        exit_code: exit_code_of([]),
    })
}

/// Answers whether there are only zeros, at an offset that counts from the end of the first entry.
async fn is_zero(inner: &Inner, chunk: usize, offset: u64, len: u64) -> bool {
    let at = inner.first[chunk].unwrap_or_default() + offset;
    let len = usize::try_from(len).expect("padding and end marker are short");
    let Some(source) = &inner.chunks[chunk] else { return false };
    len == 0 || source.read(at, len).await.is_ok_and(|bytes| bytes.iter().all(|b| *b == 0))
}
