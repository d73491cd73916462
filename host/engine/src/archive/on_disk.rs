//! Chunks that are files: [`FileAt`], and [`at_once`] for code that need not wait for anything else.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;

use crate::content::positioned::ReadAt;
use crate::content::{BlobStream, CHUNK, ContentError, ContentErrorKind};
use crate::fsx::{self, FilePool};

/// One file of a pool. It is opened when it is read, and read in the task that asks.
#[derive(Clone, Debug)]
pub(super) struct FileAt {
    files: Arc<FilePool>,
    number: usize,
}

impl FileAt {
    pub(super) fn new(files: Arc<FilePool>, number: usize) -> Self {
        Self { files, number }
    }

    fn read_now(&self, offset: u64, len: usize) -> Result<Vec<u8>, ContentError> {
        let mut bytes = vec![0; len];
        let read = self.files.get(self.number).and_then(|file| fsx::read_exact_at(&file, &mut bytes, offset));
        read.map(|()| bytes).map_err(|e| ContentError::disk(self.name(), "it cannot be read", e))
    }
}

#[async_trait]
impl ReadAt for FileAt {
    fn name(&self) -> String {
        self.files.path(self.number).display().to_string()
    }

    fn is_at_hand(&self) -> bool {
        true
    }

    async fn size(&self) -> Result<u64, ContentError> {
        // Not by opening it: opening a pipe would wait for its other end.
        let metadata = std::fs::metadata(self.files.path(self.number))
            .map_err(|e| ContentError::disk(self.name(), "it cannot be opened", e))?;
        if metadata.is_file() {
            return Ok(metadata.len());
        }
        Err(ContentError::new(self.name(), ContentErrorKind::Invalid("it is not a regular file".to_owned())))
    }

    async fn stream(&self, offset: u64, len: u64) -> Result<BlobStream, ContentError> {
        let (file, end) = (self.clone(), offset.saturating_add(len));
        Ok(Box::pin(futures_util::stream::try_unfold(offset, move |at| {
            let wanted = end.saturating_sub(at).min(CHUNK as u64) as usize;
            let piece = (wanted > 0).then(|| file.read_now(at, wanted)).transpose();
            std::future::ready(piece.map(|piece| piece.map(|p| (Bytes::from(p), at + wanted as u64))))
        })))
    }

    async fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>, ContentError> {
        self.read_now(offset, len)
    }
}

/// Runs what only reads files, and so never waits.
pub(super) fn at_once<T>(work: impl Future<Output = T>) -> T {
    work.now_or_never().expect("files are read in the task that asks")
}
