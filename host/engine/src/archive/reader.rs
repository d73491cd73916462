//! [`Reader`]: an imageset that was opened and checked, read by seeking.
//!
//! Opening checks the index, all chunk files and their lengths; opening an entry checks its headers. Content is
//! checked by whoever reads it, as always (`content::verify`), or all at once by `check`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::dsse::KeyId;
use oc_mirror_model::imageset::{Entry, INDEX_NAME, Index};
use oc_mirror_model::manifest::{Descriptor, MAX_MANIFEST_BYTES, RawManifest};
use oc_mirror_model::reference::{Repository, Selector, Tag};
use oc_mirror_model::tar;

use super::chunk::{IndexRead, read_chunk_header, read_index};
use super::error::{ArchiveError, ArchiveErrorKind, ChunkProblem, read_failed};
use super::files::{ImagesetChunks, ImagesetFiles};
use super::keys::TrustedKeys;
use super::on_disk::at_once;
use super::table::{Table, headers, run_at};
use crate::content::positioned::ReadAt;
use crate::content::{BlobStream, CHUNK, ContentError, ContentErrorKind, ContentRead};

/// A file that is read into memory as a whole may have this size.
const MAX_FILE: u64 = 64 << 20;

/// A sealed imageset, in files or anywhere else where its chunks can be read at any place. Clones share what is open.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) index: Index,
    identity: Digest,
    table: Table,
    /// The time that all headers bear.
    mtime: u64,
    /// The trusted keys whose signatures hold.
    verified: Vec<KeyId>,
    /// The chunks that are there.
    pub(super) chunks: Vec<Option<Arc<dyn ReadAt>>>,
    /// The names of all chunks, for messages.
    paths: Vec<PathBuf>,
    /// How long the first entry of each chunk is; nothing for a chunk that cannot be used.
    pub(super) first: Vec<Option<u64>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("identity", &self.identity).field("paths", &self.paths).finish()
    }
}

impl Reader {
    /// Opens the one imageset that a path names: a directory that holds no other, or any chunk file.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        Self::open_files(&ImagesetFiles::at(path)?)
    }

    /// Opens an imageset of files; see [`Reader::open_chunks`].
    pub fn open_files(files: &ImagesetFiles) -> Result<Self, ArchiveError> {
        at_once(Self::open_chunks(&ImagesetChunks::from(files)))
    }

    /// Opens an imageset. Fails unless every chunk is there, whole, and of this imageset; all faults are listed.
    pub async fn open_chunks(set: &ImagesetChunks) -> Result<Self, ArchiveError> {
        Self::open_trusted(set, &TrustedKeys::default()).await
    }

    /// The same, of an imageset that is signed as these keys ask for; any other is refused.
    pub async fn open_trusted(set: &ImagesetChunks, trusted: &TrustedKeys) -> Result<Self, ArchiveError> {
        let (reader, problems) = Self::open_damaged(set, trusted).await?;
        if problems.is_empty() {
            return Ok(reader);
        }
        Err(ArchiveError::new(&set.place, ArchiveErrorKind::Chunks(problems)))
    }

    /// Opens an imageset that may lack chunks, to be told of: its index must be good, and signed as these keys ask for.
    pub async fn open_damaged(
        set: &ImagesetChunks,
        trusted: &TrustedKeys,
    ) -> Result<(Self, Vec<ChunkProblem>), ArchiveError> {
        let name = |chunk| Index::chunk_name(set.sequence, chunk);
        let zero = set.chunks.get(&0).ok_or_else(|| {
            ArchiveError::new(&set.place, ArchiveErrorKind::Chunks(vec![ChunkProblem::Missing(name(0))]))
        })?;
        let path = PathBuf::from(zero.name());
        let size = zero.size().await.map_err(|e| read_failed(&path, e))?;
        let read = read_index(zero.as_ref(), size, &path, trusted).await?;
        let index = &read.index;
        let invalid = |why| ArchiveError::new(&path, ArchiveErrorKind::Index(why));
        if index.sequence != set.sequence {
            let why = format!("it is that of imageset {}, which the file's name is not", index.sequence);
            return Err(invalid(why));
        }
        let table = Table::new(index).map_err(invalid)?;
        let (mut paths, mut first, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        let mut chunks = Vec::new();
        for (number, info) in (0..).zip(&index.chunks) {
            let chunk = set.chunks.get(&number).cloned();
            let checked = match &chunk {
                None => Err(ChunkProblem::Missing(name(number))),
                Some(_) if number == 0 => check_size(size, name(0), read.len, info.size),
                Some(chunk) => check_chunk(chunk.as_ref(), name(number), &read, number).await,
            };
            first.push(checked.as_ref().ok().copied());
            problems.extend(checked.err());
            paths.push(set.place.join(name(number)));
            chunks.push(chunk);
        }
        for (number, _) in set.chunks.range(index.chunks.len() as u32..) {
            let what = format!("is not of this imageset, which has {} chunks", index.chunks.len());
            problems.push(ChunkProblem::Foreign { name: name(*number), what });
        }
        let IndexRead { index, identity, mtime, verified, .. } = read;
        let inner = Inner { index, identity, table, mtime, verified, chunks, paths, first };
        Ok((Self { inner: Arc::new(inner) }, problems))
    }

    /// Takes from the imageset before what both name, so that a directory of many is not in memory many times. Of use as
    /// long as there is one reader of this imageset alone.
    pub fn share(&mut self, before: &Self) {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.index.share(&before.inner.index);
        }
    }

    /// Returns the index.
    pub fn index(&self) -> &Index {
        &self.inner.index
    }

    /// Returns the identity of the imageset: the SHA-256 of its index as stored.
    pub fn identity(&self) -> &Digest {
        &self.inner.identity
    }

    /// Returns the trusted keys whose signatures hold. The index says who signed it at all.
    pub fn verified(&self) -> &[KeyId] {
        &self.inner.verified
    }

    /// Returns the chunks, in order: paths, or what stands for them elsewhere.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.inner.paths.clone()
    }

    /// Returns how many bytes the chunks have together.
    pub fn size(&self) -> u64 {
        self.chunk_sizes().sum()
    }

    /// Returns how many bytes each chunk has; of one that cannot be used, without what it begins with.
    pub fn chunk_sizes(&self) -> impl Iterator<Item = u64> + '_ {
        let sizes = self.inner.first.iter().zip(&self.inner.index.chunks);
        sizes.map(|(first, info)| first.unwrap_or_default() + info.size)
    }

    /// Answers whether this imageset holds the content.
    pub fn holds(&self, digest: &Digest) -> bool {
        self.inner.table.by_digest(&self.inner.index, digest).is_some()
    }

    /// Lists the entries that are not blobs: `files/…`, and the documents of the layout.
    pub fn files(&self) -> impl Iterator<Item = &Entry> {
        self.inner.index.entries.iter().filter(|e| !e.path.is_blob())
    }

    /// Reads a file of at most 64 MiB, checked against its digest.
    pub async fn file(&self, path: &str) -> Result<Vec<u8>, ArchiveError> {
        let number = self.inner.by_path(path)?;
        self.inner.read_whole(number, MAX_FILE).await
    }

    /// Opens a file of any size. The bytes are not checked: see `content::verify`.
    pub async fn open_file(&self, path: &str) -> Result<(Descriptor, BlobStream), ArchiveError> {
        let number = self.inner.by_path(path)?;
        let entry = &self.inner.index.entries[number];
        let media_type = entry.media_type.as_deref().unwrap_or_default();
        let descriptor = Descriptor::new(media_type, entry.digest.clone(), entry.size);
        Ok((descriptor, self.stream(number, 0).await?))
    }

    async fn stream(&self, number: usize, offset: u64) -> Result<BlobStream, ArchiveError> {
        self.inner.check_headers(&self.inner.index.entries[number]).await?;
        let inner = self.inner.clone();
        // One stream for each part of the entry, opened when the one before has ended.
        let parts = futures_util::stream::try_unfold(offset, move |at| {
            let inner = inner.clone();
            async move {
                let entry = &inner.index.entries[number];
                let Some(run) = run_at(&entry.parts, at) else { return Ok(None) };
                let (chunk, first) = inner.chunk(entry, run.chunk)?;
                Ok::<_, ContentError>(Some((chunk.stream(first + run.offset, run.len).await?, at + run.len)))
            }
        });
        Ok(Box::pin(parts.try_flatten()))
    }
}

/// Returns what a tag points at.
pub(super) fn root_of<'a>(index: &'a Index, repository: &Repository, tag: &Tag) -> Option<&'a Descriptor> {
    let named = |d: &oc_mirror_model::request::Destination| d.repository == *repository && d.tag == *tag;
    index.images.iter().find(|image| named(&image.destination)).map(|image| &image.root)
}

fn check_size(actual: u64, name: String, first: u64, rest: u64) -> Result<u64, ChunkProblem> {
    let expected = first.saturating_add(rest);
    if actual == expected { Ok(first) } else { Err(ChunkProblem::Size { name, expected, actual }) }
}

async fn check_chunk(
    chunk: &dyn ReadAt,
    name: String,
    read: &IndexRead,
    number: u32,
) -> Result<u64, ChunkProblem> {
    let index = &read.index;
    let unreadable = |reason: String| ChunkProblem::Unreadable { name: name.clone(), reason };
    let path = PathBuf::from(chunk.name());
    let size = chunk.size().await.map_err(|e| unreadable(e.kind().to_string()))?;
    let (header, first) =
        read_chunk_header(chunk, size, &path).await.map_err(|e| unreadable(e.kind().to_string()))?;
    let foreign = |what: String| Err(ChunkProblem::Foreign { name: name.clone(), what });
    if header.uid != index.uid {
        return foreign(format!("belongs to chain {}, not to {}", header.uid, index.uid));
    }
    if header.sequence != index.sequence {
        return foreign(format!("belongs to imageset {}, not to {}", header.sequence, index.sequence));
    }
    if header.chunk != number {
        return foreign(format!("is chunk {}, so its name is wrong", header.chunk));
    }
    if header.index.as_ref().is_some_and(|of| *of != read.identity) {
        return foreign(format!("belongs to another imageset of sequence {}", header.sequence));
    }
    // What is left are bytes that say nothing: spaces, and fields of the header that nobody reads.
    let is_exact = header.format == index.format && header.to_bytes() == first.document();
    if !is_exact || !first.has_header(INDEX_NAME, read.mtime) {
        return Err(unreadable("bytes at its beginning have changed".to_owned()));
    }
    check_size(size, name, first.len, index.chunks[number as usize].size)
}

impl Inner {
    fn by_path(&self, path: &str) -> Result<usize, ArchiveError> {
        let missing = || ArchiveError::new(&self.paths[0], ArchiveErrorKind::NoEntry(path.to_owned()));
        self.table.by_path(&self.index, path).ok_or_else(missing)
    }

    /// Checks that every part of an entry bears exactly the header that it was written with.
    pub(super) async fn check_headers(&self, entry: &Entry) -> Result<(), ArchiveError> {
        for (chunk, offset, len, name, size) in headers(entry) {
            let len = usize::try_from(len).expect("headers are short");
            let bytes = self.read_at(entry, chunk, offset, len).await?;
            if bytes == tar::header(&name, size, self.mtime) {
                continue;
            }
            let reason = match tar::parse(&bytes) {
                Ok(header) if header.name == name && header.size == size => {
                    "bytes of its header have changed".to_owned()
                }
                Ok(header) => {
                    format!("its header says `{}`, {} bytes", header.name.escape_debug(), header.size)
                }
                Err(error) => format!("its header is not valid: {error}"),
            };
            return Err(self.damaged(entry, chunk, reason));
        }
        Ok(())
    }

    pub(super) fn damaged(&self, entry: &Entry, chunk: usize, reason: String) -> ArchiveError {
        let kind = ArchiveErrorKind::Damaged { entry: entry.path().into_owned(), reason };
        ArchiveError::new(&self.paths[chunk], kind)
    }

    /// Reads the piece of an entry that begins at `at`: empty past the end.
    pub(super) async fn read(&self, entry: &Entry, at: u64) -> Result<Vec<u8>, ArchiveError> {
        let Some(run) = run_at(&entry.parts, at) else { return Ok(Vec::new()) };
        let len = usize::try_from(run.len).unwrap_or(usize::MAX).min(CHUNK);
        self.read_at(entry, run.chunk, run.offset, len).await
    }

    /// Reads at an offset that counts from the end of the chunk's first entry.
    pub(super) async fn read_at(
        &self,
        entry: &Entry,
        chunk: usize,
        offset: u64,
        len: usize,
    ) -> Result<Vec<u8>, ArchiveError> {
        let (source, first) = self.chunk(entry, chunk)?;
        source.read(first + offset, len).await.map_err(|e| read_failed(&self.paths[chunk], e))
    }

    /// Returns a chunk, and how long its first entry is.
    fn chunk(&self, entry: &Entry, chunk: usize) -> Result<(&Arc<dyn ReadAt>, u64), ArchiveError> {
        match (&self.chunks[chunk], self.first[chunk]) {
            (Some(source), Some(first)) => Ok((source, first)),
            _ => Err(self.damaged(entry, chunk, "its chunk cannot be used".to_owned())),
        }
    }

    async fn read_whole(&self, number: usize, max: u64) -> Result<Vec<u8>, ArchiveError> {
        let entry = &self.index.entries[number];
        if entry.size > max {
            let reason = format!("it has {} bytes, more than {max}", entry.size);
            return Err(self.damaged(entry, 0, reason));
        }
        self.check_headers(entry).await?;
        let mut bytes = Vec::with_capacity(usize::try_from(entry.size).expect("bounded above"));
        while (bytes.len() as u64) < entry.size {
            bytes.extend_from_slice(&self.read(entry, bytes.len() as u64).await?);
        }
        let actual = Digest::of_with(entry.digest.algorithm(), &bytes);
        if actual != entry.digest {
            let chunk = entry.parts[0].chunk as usize;
            return Err(self.damaged(entry, chunk, format!("it hashes to `{actual}`")));
        }
        Ok(bytes)
    }
}

// An imageset holds each manifest and blob once, whatever repositories it is for: digests are looked up in all of it.
#[async_trait]
impl ContentRead for Reader {
    fn name(&self) -> String {
        format!("imageset {}", self.inner.index.sequence)
    }

    fn is_at_hand(&self, blob: &Descriptor) -> bool {
        self.holds(&blob.digest)
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<RawManifest, ContentError> {
        let not_found = || ContentError::new(format!("{repository}@{selector}"), ContentErrorKind::NotFound);
        let digest = match selector {
            Selector::Digest(digest) => digest,
            Selector::Tag(tag) => &root_of(&self.inner.index, repository, tag).ok_or_else(not_found)?.digest,
        };
        let number = self.inner.table.by_digest(&self.inner.index, digest).ok_or_else(not_found)?;
        let bytes = self.inner.read_whole(number, MAX_MANIFEST_BYTES).await?;
        let media_type = self.inner.index.entries[number].media_type.as_deref();
        RawManifest::parse(bytes, media_type).and_then(|m| m.verify(digest)).map_err(|error| {
            let kind = ContentErrorKind::Invalid("it is not a manifest".to_owned());
            ContentError::with_source(digest.to_string(), kind, error)
        })
    }

    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        let subject = || format!("{repository}@{}", blob.digest);
        let number = self
            .inner
            .table
            .by_digest(&self.inner.index, &blob.digest)
            .ok_or_else(|| ContentError::new(subject(), ContentErrorKind::NotFound))?;
        let size = self.inner.index.entries[number].size;
        if size != blob.size {
            let kind = ContentErrorKind::WrongSize { expected: blob.size, actual: size };
            return Err(ContentError::new(subject(), kind));
        }
        Ok(self.stream(number, offset).await?)
    }
}
