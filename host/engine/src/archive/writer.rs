//! [`Writer`]: puts content straight into its planned place, in any order and in parallel.
//!
//! Each piece is hashed and written in the task that received it. Finished entries are noted at once, made durable in
//! batches and then journalled. Dropping a writer, or killing its process, leaves partial chunks that the next one goes on
//! with, in the middle of an entry if need be.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::{Entry, Index};
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Repository, Tag};
use tokio::sync::Notify;

use super::chunk::Stored;
use super::error::{ArchiveError, ArchiveErrorKind, write_failed};
use super::files::{LOCK_NAME, find_imagesets, journal_name};
use super::journal::{Journal, Notes, replacement};
use super::keys::SigningKeys;
use super::prepare::{Plan, Prepared, prepare, sealed_paths};
use super::recover::{Recovered, take_up};
use super::table::{Table, run_at};
use crate::content::verify::verified_rest;
use crate::content::{BlobStream, CHUNK, ContentError, ContentErrorKind, ContentWrite, TagStore};
use crate::fsx::{self, FilePool, Lock, LockError};

/// So many finished entries, or so many bytes, are made durable together: one sync for each costs ten times more.
const BATCH_ENTRIES: usize = 64;
const BATCH_BYTES: u64 = 256 << 20;

/// So many bytes of an entry are noted at a time: what is fetched again at most, when a run is killed within it.
const NOTE_BYTES: u64 = 8 << 20;

/// An imageset in the making. Clones write to the same one.
#[derive(Clone, Debug)]
pub struct Writer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    index: Arc<Index>,
    identity: Digest,
    table: Table,
    files: FilePool,
    /// How long the first entry of each chunk is.
    first: Vec<u64>,
    state: Mutex<State>,
    /// How many bytes of each entry are written, from its beginning.
    begun: Vec<AtomicU64>,
    notes: Option<Notes>,
    /// Woken when an entry is no longer being written.
    released: Notify,
    /// Locked while a batch is made durable. Nothing is in it once the imageset is sealed.
    journal: Mutex<Option<Journal>>,
    _lock: Lock,
}

#[derive(Debug)]
struct State {
    progress: Vec<Progress>,
    batch: Vec<usize>,
    batch_bytes: u64,
    /// A sync failed: what was written since the last one may be lost, so nothing more is journalled.
    lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Open,
    Writing,
    Done,
}

impl Writer {
    /// Begins the imageset of `index` in a directory, or goes on with it where an earlier run stopped.
    ///
    /// What a dead run with another plan has finished is taken over, wherever this plan has its place. A sealed imageset of the same sequence is refused, unless
    /// it is this very one: then everything is already there, and [`Writer::seal`] returns its files.
    pub fn create_or_resume(dir: &Path, index: impl Into<Arc<Index>>) -> Result<Self, ArchiveError> {
        Self::create_or_resume_signed(dir, index, &SigningKeys::default())
    }

    /// The same, signed with these keys, which the index names as those that sign it.
    pub fn create_or_resume_signed(
        dir: &Path,
        index: impl Into<Arc<Index>>,
        keys: &SigningKeys,
    ) -> Result<Self, ArchiveError> {
        let index = index.into();
        if index.signed_by != keys.ids() {
            let reason = "the keys at hand are not those that it says it is signed with".to_owned();
            return Err(ArchiveError::new(dir, ArchiveErrorKind::Index(reason)));
        }
        let table = Table::new(&index).map_err(|why| ArchiveError::new(dir, ArchiveErrorKind::Index(why)))?;
        fsx::durable_dir(dir).map_err(|e| ArchiveError::disk(dir, "it cannot be made", e))?;
        let lock = Lock::acquire(&dir.join(LOCK_NAME)).map_err(|error| {
            let kind = match error {
                LockError::Held { .. } => ArchiveErrorKind::Locked,
                LockError::Io { .. } => ArchiveErrorKind::Disk("it cannot be written".to_owned()),
            };
            ArchiveError::with_source(dir, kind, error)
        })?;
        let stored = Stored::new(&index, keys);
        let plan = Plan { dir, index: &index, stored: &stored };
        let Prepared { paths, first, recovered: Recovered { done, begun }, journal } = prepare(&plan)?;
        let identity = stored.identity;
        let progress = done.iter().map(|d| if *d { Progress::Done } else { Progress::Open }).collect();
        let state = State { progress, batch: Vec::new(), batch_bytes: 0, lost: false };
        Ok(Self {
            inner: Arc::new(Inner {
                dir: dir.to_owned(),
                index,
                identity,
                table,
                files: FilePool::writing(paths),
                first,
                state: Mutex::new(state),
                begun: begun.into_iter().map(AtomicU64::new).collect(),
                notes: journal.as_ref().map(Journal::notes),
                released: Notify::new(),
                journal: Mutex::new(journal),
                _lock: lock,
            }),
        })
    }

    /// Returns the index.
    pub fn index(&self) -> &Index {
        &self.inner.index
    }

    /// Returns the identity of the imageset: the SHA-256 of its index as stored.
    pub fn identity(&self) -> &Digest {
        &self.inner.identity
    }

    /// Lists the entries that are still to be written.
    pub fn missing(&self) -> impl Iterator<Item = &Entry> {
        let progress = self.inner.state().progress.clone();
        self.inner.index.entries.iter().zip(progress).filter(|(_, p)| *p != Progress::Done).map(|(e, _)| e)
    }

    /// Puts a file that is in memory; its path and digest must be those of the plan.
    pub async fn put_file(&self, path: &str, bytes: impl Into<Bytes>) -> Result<(), ContentError> {
        let number = self.inner.by_path(path)?;
        self.put(number, 0, Box::pin(futures_util::stream::iter([Ok(bytes.into())]))).await
    }

    /// Puts a file from elsewhere on the disk.
    pub async fn put_file_from(&self, path: &str, from: &Path) -> Result<(), ContentError> {
        let number = self.inner.by_path(path)?;
        self.put(number, 0, read_file(from)?).await
    }

    /// Opens a blob that is finished; nothing if it is not, or is no part of this imageset. The bytes are not checked again.
    pub fn open_blob(&self, blob: &Descriptor) -> Option<BlobStream> {
        let number = self.inner.table.by_digest(&self.inner.index, &blob.digest)?;
        if !self.inner.is_done(number) || self.inner.index.entries[number].size != blob.size {
            return None;
        }
        let inner = self.inner.clone();
        Some(Box::pin(futures_util::stream::try_unfold(0, move |at| {
            let piece = inner.read(&inner.index.entries[number], at);
            std::future::ready(piece.map(|piece| piece.map(|piece| (piece.clone(), at + piece.len() as u64))))
        })))
    }

    /// Makes everything durable and gives the chunks their names; returns them in order.
    ///
    /// Fails, and leaves all as it is, if an entry is missing. Sealing again changes nothing.
    pub async fn seal(&self) -> Result<Vec<PathBuf>, ArchiveError> {
        let inner = self.inner.clone();
        let sealed = tokio::task::spawn_blocking(move || inner.seal()).await;
        sealed.expect("sealing does not panic and is not aborted")
    }

    /// Puts what follows the first `offset` bytes of an entry.
    async fn put(&self, number: usize, offset: u64, body: BlobStream) -> Result<(), ContentError> {
        let Some(claim) = self.claim(number).await else { return Ok(()) };
        let entry = &self.inner.index.entries[number];
        let begun = &self.inner.begun[number];
        if offset > begun.load(Ordering::Relaxed) {
            let reason = format!("what comes before byte {offset} is not here any more");
            return Err(ContentError::new(entry.path(), ContentErrorKind::Unavailable(reason)));
        }
        let outcome = self.fill(number, offset, body).await;
        if let Err(error) = &outcome
            && matches!(
                error.kind(),
                ContentErrorKind::WrongDigest { .. } | ContentErrorKind::WrongSize { .. }
            )
        {
            // What was here before may be what is wrong.
            begun.store(0, Ordering::Relaxed);
        }
        outcome?;
        if let Some(batch) = claim.finish()? {
            let inner = self.inner.clone();
            let flushed = tokio::task::spawn_blocking(move || inner.flush(&batch)).await;
            flushed.expect("a flush does not panic and is not aborted")?;
        }
        Ok(())
    }

    async fn fill(&self, number: usize, offset: u64, body: BlobStream) -> Result<(), ContentError> {
        let entry = &self.inner.index.entries[number];
        let media_type = entry.media_type.as_deref().unwrap_or_default();
        let descriptor = Descriptor::new(media_type, entry.digest.clone(), entry.size);
        let hasher = match offset {
            0 => entry.digest.algorithm().hasher(),
            _ => {
                let inner = self.inner.clone();
                let hashed = tokio::task::spawn_blocking(move || {
                    take_up(&inner.files, &inner.first, &inner.index.entries[number], offset)
                });
                let hashed = hashed.await.expect("reading does not panic and is not aborted");
                hashed.map_err(|e| ContentError::disk(entry.path(), "what is there cannot be taken up", e))?
            }
        };
        let mut body = verified_rest(body, &descriptor, hasher, offset, entry.path().into_owned());
        let (mut at, mut noted) = (offset, offset);
        while let Some(piece) = body.next().await {
            let piece = piece?;
            self.inner.write(entry, at, &piece)?;
            at += piece.len() as u64;
            self.inner.begun[number].store(at, Ordering::Relaxed);
            if at - noted >= NOTE_BYTES
                && let Some(notes) = &self.inner.notes
            {
                notes.part(number, at).map_err(|e| write_failed(&self.inner.dir, e))?;
                noted = at;
            }
        }
        Ok(())
    }

    /// Takes an entry for writing; nothing if it is finished. Waits for whoever is writing it.
    async fn claim(&self, number: usize) -> Option<Claim<'_>> {
        loop {
            let mut released = std::pin::pin!(self.inner.released.notified());
            // Registered before looking, so that a release in between is not missed.
            released.as_mut().enable();
            let progress = {
                let mut state = self.inner.state();
                let found = state.progress[number];
                if found == Progress::Open {
                    state.progress[number] = Progress::Writing;
                }
                found
            };
            match progress {
                Progress::Done => return None,
                Progress::Open => return Some(Claim { inner: &self.inner, number }),
                Progress::Writing => released.await,
            }
        }
    }
}

/// The right to write one entry. Dropped without [`Claim::finish`], the entry is open again.
struct Claim<'a> {
    inner: &'a Inner,
    number: usize,
}

impl Claim<'_> {
    /// Marks the entry as written, and returns a batch if it is time to make one durable.
    fn finish(self) -> Result<Option<Vec<usize>>, ContentError> {
        if let Some(notes) = &self.inner.notes {
            notes.written(&self.inner.index, self.number).map_err(|e| write_failed(&self.inner.dir, e))?;
        }
        let mut state = self.inner.state();
        state.progress[self.number] = Progress::Done;
        state.batch.push(self.number);
        state.batch_bytes += self.inner.index.entries[self.number].size;
        let full = state.batch.len() >= BATCH_ENTRIES || state.batch_bytes >= BATCH_BYTES;
        Ok(full.then(|| state.take_batch()))
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut state = self.inner.state();
        if state.progress[self.number] == Progress::Writing {
            state.progress[self.number] = Progress::Open;
        }
        drop(state);
        self.inner.released.notify_waiters();
    }
}

impl State {
    fn take_batch(&mut self) -> Vec<usize> {
        self.batch_bytes = 0;
        std::mem::take(&mut self.batch)
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    fn journal(&self) -> MutexGuard<'_, Option<Journal>> {
        self.journal.lock().expect("no holder of this lock panics")
    }

    fn is_done(&self, number: usize) -> bool {
        self.state().progress[number] == Progress::Done
    }

    fn by_path(&self, path: &str) -> Result<usize, ContentError> {
        self.table.by_path(&self.index, path).ok_or_else(|| self.not_planned(path))
    }

    fn by_digest(&self, digest: &Digest) -> Result<usize, ContentError> {
        self.table.by_digest(&self.index, digest).ok_or_else(|| self.not_planned(&digest.to_string()))
    }

    fn not_planned(&self, what: &str) -> ContentError {
        let reason = format!("it is not part of imageset {}", self.index.sequence);
        ContentError::new(what, ContentErrorKind::Refused(reason))
    }

    /// Answers whether content is here, or at the target from an earlier sequence.
    fn has(&self, digest: &Digest) -> bool {
        match self.table.by_digest(&self.index, digest) {
            Some(number) => self.is_done(number),
            None => self.table.is_required(&self.index, digest),
        }
    }

    /// Writes a piece at a place within an entry; it may lie over the end of a chunk.
    fn write(&self, entry: &Entry, at: u64, piece: &[u8]) -> Result<(), ContentError> {
        let mut written = 0;
        while written < piece.len() {
            let run = run_at(&entry.parts, at + written as u64).ok_or_else(|| {
                ContentError::new(
                    entry.path(),
                    ContentErrorKind::WrongSize { expected: entry.size, actual: at + piece.len() as u64 },
                )
            })?;
            let len = usize::try_from(run.len).unwrap_or(usize::MAX).min(piece.len() - written);
            let place = self.first[run.chunk] + run.offset;
            self.files
                .get(run.chunk)
                .and_then(|file| fsx::write_all_at(&file, &piece[written..written + len], place))
                .map_err(|e| write_failed(self.files.path(run.chunk), e))?;
            written += len;
        }
        Ok(())
    }

    /// Reads a piece at a place within an entry; nothing at its end.
    fn read(&self, entry: &Entry, at: u64) -> Result<Option<Bytes>, ContentError> {
        let Some(run) = run_at(&entry.parts, at) else { return Ok(None) };
        let mut piece = vec![0; run.len.min(CHUNK as u64) as usize];
        let place = self.first[run.chunk] + run.offset;
        let read = self.files.get(run.chunk).and_then(|file| fsx::read_exact_at(&file, &mut piece, place));
        read.map_err(|e| {
            let path = self.files.path(run.chunk).display().to_string();
            ContentError::disk(path, "it cannot be read", e)
        })?;
        Ok(Some(piece.into()))
    }

    /// Makes a batch of finished entries durable, then journals it.
    fn flush(&self, batch: &[usize]) -> Result<(), ContentError> {
        let mut journal = self.journal();
        if self.state().lost {
            let kind = ContentErrorKind::Disk("the disk failed earlier in this run".to_owned());
            return Err(ContentError::new(self.dir.display().to_string(), kind));
        }
        let chunks: BTreeSet<usize> = batch
            .iter()
            .flat_map(|number| &self.index.entries[*number].parts)
            .map(|part| part.chunk as usize)
            .collect();
        let result = self.sync(chunks).and_then(|()| match journal.as_mut() {
            Some(journal) => journal.done(&self.index, batch),
            None => Ok(()),
        });
        result.map_err(|error| {
            self.state().lost = true;
            write_failed(&self.dir, error)
        })
    }

    fn sync(&self, chunks: impl IntoIterator<Item = usize>) -> io::Result<()> {
        let files = chunks.into_iter().map(|chunk| self.files.get(chunk)).collect::<io::Result<Vec<_>>>()?;
        fsx::sync_batch(&files)
    }

    fn seal(&self) -> Result<Vec<PathBuf>, ArchiveError> {
        let batch = self.take_last_batch()?;
        if !batch.is_empty() {
            self.flush(&batch).map_err(|error| {
                let kind = ArchiveErrorKind::Disk("it cannot be made durable".to_owned());
                ArchiveError::with_source(&self.dir, kind, error)
            })?;
        }
        let sealed = sealed_paths(&self.dir, &self.index);
        let mut journal = self.journal();
        if let Some(open) = journal.as_mut() {
            if self.state().lost {
                let kind = ArchiveErrorKind::Disk("the disk failed earlier in this run".to_owned());
                return Err(ArchiveError::new(&self.dir, kind));
            }
            self.check_names_are_free()?;
            self.rename(open, &sealed)?;
            *journal = None;
        }
        Ok(sealed)
    }

    fn take_last_batch(&self) -> Result<Vec<usize>, ArchiveError> {
        let mut state = self.state();
        let mut missing =
            state.progress.iter().zip(&self.index.entries).filter(|(p, _)| **p != Progress::Done);
        if let Some((_, first)) = missing.next() {
            let kind = ArchiveErrorKind::Incomplete {
                missing: 1 + missing.count(),
                first: first.path().into_owned(),
            };
            return Err(ArchiveError::new(&self.dir, kind));
        }
        Ok(state.take_batch())
    }

    /// Whoever does not keep to the lock may have put an imageset here in the meantime.
    fn check_names_are_free(&self) -> Result<(), ArchiveError> {
        let sequence = self.index.sequence;
        let there = find_imagesets(&self.dir)?.into_iter().find(|files| files.sequence == sequence);
        let Some(path) = there.and_then(|mut files| files.chunks.remove(&0)) else { return Ok(()) };
        match super::chunk::read_index_file(&path) {
            Ok(read) if read.identity == self.identity => Ok(()),
            Ok(read) => {
                let kind = ArchiveErrorKind::Exists { sequence, found: read.identity.to_string() };
                Err(ArchiveError::new(path, kind))
            }
            Err(error) => Err(error),
        }
    }

    fn rename(&self, journal: &mut Journal, sealed: &[PathBuf]) -> Result<(), ArchiveError> {
        let failed = |e| ArchiveError::disk(&self.dir, "it cannot be made durable", e);
        self.sync(0..sealed.len()).and_then(|()| journal.sealing()).map_err(|error| {
            self.state().lost = true;
            failed(error)
        })?;
        // Chunk 0 last: without it the others are not an imageset, with it they are all there.
        for (chunk, to) in sealed.iter().enumerate().rev() {
            let from = self.files.path(chunk);
            if from != to {
                fsx::rename(from, to)
                    .map_err(|e| ArchiveError::disk(from, "it cannot be given its name", e))?;
            }
            // The other names must be durable before that of chunk 0 is.
            if chunk <= 1 {
                fsx::fsync_dir(&self.dir).map_err(failed)?;
            }
        }
        let path = self.dir.join(journal_name(self.index.sequence));
        for path in [replacement(&path), path] {
            fsx::remove_if_there(&path).map_err(|e| ArchiveError::disk(path, "it cannot be removed", e))?;
        }
        super::salvage::remove_all(&self.dir)
    }
}

/// Reads a file as a stream, one piece in memory.
fn read_file(path: &Path) -> Result<BlobStream, ContentError> {
    let failed = |e: io::Error| ContentError::disk(path.display().to_string(), "it cannot be read", e);
    let file = std::fs::File::open(path).map_err(failed)?;
    let subject = path.display().to_string();
    Ok(Box::pin(futures_util::stream::try_unfold(file, move |mut file| {
        let mut piece = vec![0; CHUNK];
        let read = io::Read::read(&mut file, &mut piece)
            .map_err(|e| ContentError::disk(subject.clone(), "it cannot be read", e));
        std::future::ready(read.map(|len| {
            piece.truncate(len);
            (len > 0).then(|| (Bytes::from(piece), file))
        }))
    })))
}

#[async_trait]
impl ContentWrite for Writer {
    fn name(&self) -> String {
        format!("imageset {}", self.inner.index.sequence)
    }

    async fn has_blob(&self, _: &Repository, blob: &Descriptor) -> Result<bool, ContentError> {
        Ok(self.inner.has(&blob.digest))
    }

    async fn has_manifest(&self, _: &Repository, digest: &Digest) -> Result<bool, ContentError> {
        Ok(self.inner.has(digest))
    }

    // An imageset holds each blob once, whatever repositories it is for.
    async fn mount(&self, _: &Repository, _: &Repository, blob: &Descriptor) -> Result<bool, ContentError> {
        Ok(self.inner.has(&blob.digest))
    }

    async fn put_blob(
        &self,
        _: &Repository,
        blob: &Descriptor,
        body: BlobStream,
    ) -> Result<(), ContentError> {
        self.put(self.inner.by_digest(&blob.digest)?, 0, body).await
    }

    async fn begun(&self, _: &Repository, blob: &Descriptor) -> u64 {
        let number = self.inner.table.by_digest(&self.inner.index, &blob.digest);
        number.map_or(0, |number| self.inner.begun[number].load(Ordering::Relaxed))
    }

    async fn put_rest(
        &self,
        _: &Repository,
        blob: &Descriptor,
        offset: u64,
        body: BlobStream,
    ) -> Result<(), ContentError> {
        self.put(self.inner.by_digest(&blob.digest)?, offset, body).await
    }

    // What a manifest names may come later: nothing can be read before the seal, which wants everything.
    async fn put_manifest(&self, _: &Repository, manifest: &RawManifest) -> Result<(), ContentError> {
        let number = self.inner.by_digest(manifest.digest())?;
        let bytes = Bytes::copy_from_slice(manifest.bytes());
        self.put(number, 0, Box::pin(futures_util::stream::iter([Ok(bytes)]))).await
    }
}

/// Tags are part of the plan: they stand in the index, and putting one checks that it is the planned one.
#[async_trait]
impl TagStore for Writer {
    async fn resolve_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<Option<Descriptor>, ContentError> {
        let root = super::reader::root_of(&self.inner.index, repository, tag);
        Ok(root.filter(|root| self.inner.has(&root.digest)).cloned())
    }

    async fn put_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
        manifest: &RawManifest,
    ) -> Result<(), ContentError> {
        match super::reader::root_of(&self.inner.index, repository, tag) {
            Some(root) if root.digest == *manifest.digest() => {
                if self.inner.has(&root.digest) {
                    return Ok(());
                }
                self.put_manifest(repository, manifest).await
            }
            _ => Err(self.inner.not_planned(&format!("{repository}:{tag}"))),
        }
    }

    async fn list_tags(&self, repository: &Repository) -> Result<Vec<Tag>, ContentError> {
        let images = self.inner.index.images.iter();
        let here =
            images.filter(|i| i.destination.repository == *repository && self.inner.has(&i.root.digest));
        let mut tags: Vec<Tag> = here.map(|i| i.destination.tag.clone()).collect();
        tags.sort();
        tags.dedup();
        Ok(tags)
    }
}
