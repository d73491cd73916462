//! Bytes that are read at any place: [`ReadAt`]. A file is one such thing, an object in a store another.

use async_trait::async_trait;
use futures_util::TryStreamExt;

use super::{BlobStream, ContentError, ContentErrorKind};

/// A run of bytes of known length, read from any offset. What is read is not checked here.
#[async_trait]
pub trait ReadAt: Send + Sync {
    /// Returns a name for messages: a path, or a URL without secrets.
    fn name(&self) -> String;

    /// Returns how many bytes there are.
    async fn size(&self) -> Result<u64, ContentError>;

    /// Answers whether it is read without waiting for anything, as files are.
    fn is_at_hand(&self) -> bool {
        false
    }

    /// Streams `len` bytes from `offset` on. The stream ends with an error if there are fewer.
    async fn stream(&self, offset: u64, len: u64) -> Result<BlobStream, ContentError>;

    /// Reads `len` bytes from `offset` on into memory.
    async fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>, ContentError> {
        let mut bytes = Vec::with_capacity(len);
        let mut stream = self.stream(offset, len as u64).await?;
        while let Some(piece) = stream.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
        if bytes.len() == len {
            return Ok(bytes);
        }
        let kind = ContentErrorKind::WrongSize { expected: len as u64, actual: bytes.len() as u64 };
        Err(ContentError::new(self.name(), kind))
    }
}
