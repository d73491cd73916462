//! The files of an archive: [`Chunks`], of which members are read where they lie, and [`Contents`], their blobs by digest.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, MAX_MANIFEST_BYTES, RawManifest};
use oc_mirror_model::reference::{Repository, Selector};

use super::error::{PredecessorError, PredecessorErrorKind as Kind};
use super::headers::{Fault, Member, scan};
use crate::content::{BlobStream, ContentError, ContentErrorKind, ContentRead, file};
use crate::fsx::{self, FilePool};

/// Where the bytes of a member are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    chunk: u32,
    offset: u64,
    /// How many bytes there are.
    pub size: u64,
}

#[cfg(test)]
impl Place {
    /// Returns a place for tests that read nothing.
    pub(super) fn nowhere() -> Self {
        Self { chunk: 0, offset: 0, size: 0 }
    }
}

/// The files of one archive.
#[derive(Clone, Debug)]
pub struct Chunks {
    pool: Arc<FilePool>,
    paths: Vec<PathBuf>,
    /// Bytes of all of them.
    pub size: u64,
}

impl Chunks {
    /// Opens files without looking into them.
    pub(super) fn open(paths: Vec<PathBuf>) -> Result<Self, PredecessorError> {
        let mut size = 0;
        for path in &paths {
            size += length(path)?;
        }
        Ok(Self { pool: Arc::new(FilePool::reading(paths.clone())), paths, size })
    }

    /// Returns the names of the files.
    pub fn names(&self) -> Vec<String> {
        let name = |path: &PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
        self.paths.iter().filter_map(name).collect()
    }

    /// Returns the first of the files, for messages.
    pub(super) fn first(&self) -> &Path {
        self.paths.first().map(PathBuf::as_path).unwrap_or(Path::new(""))
    }

    /// Hands every member of every file to `take`.
    pub(super) fn scan(
        &self,
        mut take: impl FnMut(Member, Place) -> Result<(), Kind>,
    ) -> Result<(), PredecessorError> {
        for (chunk, path) in (0..).zip(&self.paths) {
            let file = self.file(chunk).map_err(|e| unreadable(path, e))?;
            let outcome = scan(&file, length(path)?, |member| {
                let place = Place { chunk, offset: member.offset, size: member.size };
                take(member, place)
            });
            outcome.map_err(|fault| match fault {
                Fault::Io(error) => unreadable(path, error),
                Fault::Is(kind) => PredecessorError::new(path, kind),
            })?;
        }
        Ok(())
    }

    /// Returns the file that a place is in, for messages.
    pub(super) fn path(&self, place: Place) -> &Path {
        &self.paths[place.chunk as usize]
    }

    /// Reads a small member; `name` is for messages. It is not checked: only manifests and blobs have digests.
    pub fn read(&self, place: Place, name: &str, max: u64) -> Result<Vec<u8>, PredecessorError> {
        let path = self.path(place);
        if place.size > max {
            let reason = format!("it has {} bytes, more than the {max} that make sense", place.size);
            return Err(PredecessorError::new(path, Kind::Member { name: name.to_owned(), reason }));
        }
        let mut bytes = vec![0; usize::try_from(place.size).expect("bounded above")];
        self.file(place.chunk)
            .and_then(|file| fsx::read_exact_at(&file, &mut bytes, place.offset))
            .map_err(|e| unreadable(path, e))?;
        Ok(bytes)
    }

    /// Streams a member from `offset` on. It is not checked.
    pub(super) fn stream(&self, place: Place, offset: u64) -> Result<BlobStream, ContentError> {
        let subject = self.path(place).display().to_string();
        let file = self.file(place.chunk).and_then(|file| file.try_clone());
        let file = file.map_err(|e| ContentError::disk(subject.clone(), "it cannot be read", e))?;
        Ok(file::stream(file, place.offset + offset.min(place.size), place.offset + place.size, subject))
    }

    fn file(&self, chunk: u32) -> std::io::Result<Arc<File>> {
        self.pool.get(chunk as usize)
    }
}

/// Returns how long a file is. Not by opening it: opening a pipe would wait for its other end.
pub(super) fn length(path: &Path) -> Result<u64, PredecessorError> {
    let metadata = std::fs::metadata(path).map_err(|e| unreadable(path, e))?;
    if metadata.is_file() {
        return Ok(metadata.len());
    }
    Err(PredecessorError::new(path, Kind::Disk("it is not a regular file")))
}

pub(super) fn unreadable(path: &Path, error: std::io::Error) -> PredecessorError {
    PredecessorError::caused(path, Kind::Disk("it cannot be read"), error)
}

/// Manifests and blobs of an archive. Clones share them.
#[derive(Clone, Debug)]
pub struct Contents {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    chunks: Chunks,
    blobs: HashMap<Digest, Place>,
}

impl Contents {
    pub(super) fn new(name: String, chunks: Chunks, blobs: HashMap<Digest, Place>) -> Self {
        Self { inner: Arc::new(Inner { name, chunks, blobs }) }
    }

    /// Answers whether the archive has this content.
    pub fn holds(&self, digest: &Digest) -> bool {
        self.inner.blobs.contains_key(digest)
    }

    /// Returns the files.
    pub fn chunks(&self) -> &Chunks {
        &self.inner.chunks
    }

    /// Streams a member that is no blob. Nothing says what it should hash to.
    pub fn file(&self, place: Place) -> Result<BlobStream, ContentError> {
        self.inner.chunks.stream(place, 0)
    }

    fn place(&self, repository: &Repository, digest: &Digest) -> Result<Place, ContentError> {
        let missing = || ContentError::new(format!("{repository}@{digest}"), ContentErrorKind::NotFound);
        self.inner.blobs.get(digest).copied().ok_or_else(missing)
    }
}

// An archive has each blob once, whatever repositories it is for.
#[async_trait]
impl ContentRead for Contents {
    fn name(&self) -> String {
        self.inner.name.clone()
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<RawManifest, ContentError> {
        let subject = format!("{repository}@{selector}");
        let invalid = |reason: &str| ContentErrorKind::Invalid(reason.to_owned());
        let Selector::Digest(digest) = selector else {
            return Err(ContentError::new(subject, invalid("manifests of an archive are found by digest")));
        };
        let place = self.place(repository, digest)?;
        let bytes = self.inner.chunks.read(place, &digest.to_string(), MAX_MANIFEST_BYTES).map_err(|e| {
            ContentError::with_source(subject.clone(), invalid("the manifest cannot be read"), e)
        })?;
        let actual = Digest::of_with(digest.algorithm(), &bytes);
        if actual != *digest {
            let kind = ContentErrorKind::WrongDigest { expected: digest.clone(), actual };
            return Err(ContentError::new(subject, kind));
        }
        let manifest = RawManifest::parse(bytes, None).and_then(|manifest| manifest.verify(digest));
        manifest.map_err(|e| ContentError::with_source(subject, invalid("the manifest is not valid"), e))
    }

    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        let place = self.place(repository, &blob.digest)?;
        if place.size != blob.size {
            let kind = ContentErrorKind::WrongSize { expected: blob.size, actual: place.size };
            return Err(ContentError::new(format!("{repository}@{}", blob.digest), kind));
        }
        self.inner.chunks.stream(place, offset)
    }
}
