//! `streams`: bytes in pieces. [`Reader`] holds what a guest reads from, [`Writer`] what it writes to.

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use oc_mirror_engine::content::BlobStream;
use wasmtime::component::Resource;

use crate::bindings::oc_mirror::plugin::streams::{Host, HostReader, HostWriter};
use crate::bindings::oc_mirror::plugin::types::Error;
use crate::fault::{Answer, Fault};
use crate::imports::build::BuilderFile;
use crate::imports::plan::ArtifactFile;
use crate::state::StoreState;

/// The most bytes that one call reads, whatever the guest asks for.
const MAX_READ: usize = 1 << 20;

/// A stream of bytes that a guest reads.
pub struct Reader {
    stream: BlobStream,
    /// The rest of the last piece.
    rest: Bytes,
    size: Option<u64>,
    end: Option<Result<(), Error>>,
}

impl Reader {
    pub(crate) fn new(stream: BlobStream, size: Option<u64>) -> Self {
        Self { stream, rest: Bytes::new(), size, end: None }
    }

    /// Returns the next piece of at most `max` bytes; an empty one at the end.
    pub(crate) async fn next(&mut self, max: usize) -> Answer<Bytes> {
        while self.rest.is_empty() {
            match &self.end {
                Some(Ok(())) => return Ok(Bytes::new()),
                Some(Err(error)) => return Err(Fault::Answer(error.clone())),
                None => {}
            }
            match self.stream.next().await {
                Some(Ok(piece)) => self.rest = piece,
                Some(Err(error)) => self.end = Some(Err(crate::fault::content_error(&error))),
                None => self.end = Some(Ok(())),
            }
        }
        let length = max.min(self.rest.len());
        Ok(self.rest.split_to(length))
    }

    /// Takes what is left of the stream; nothing is left for others.
    pub(crate) fn take(&mut self) -> BlobStream {
        let rest = std::mem::take(&mut self.rest);
        let ended = self.end.replace(Ok(()));
        let stream = std::mem::replace(&mut self.stream, Box::pin(futures_util::stream::empty()));
        match ended {
            Some(_) => Box::pin(futures_util::stream::iter([Ok(rest)])),
            None => Box::pin(futures_util::stream::iter([Ok(rest)]).chain(stream)),
        }
    }

    /// Leaves out up to `count` bytes and returns how many there were.
    async fn skip(&mut self, count: u64) -> Answer<u64> {
        let mut left = count;
        while left > 0 {
            let piece = self.next(usize::try_from(left).unwrap_or(usize::MAX)).await?;
            if piece.is_empty() {
                break;
            }
            left -= piece.remaining() as u64;
        }
        Ok(count - left)
    }
}

/// A place that a guest writes to.
pub enum Writer {
    /// An opaque file of the imageset.
    Artifact(ArtifactFile),
    /// A file of a generated image.
    Image(BuilderFile),
}

impl Writer {
    async fn write(&mut self, bytes: &[u8]) -> Answer<()> {
        match self {
            Self::Artifact(file) => file.write(bytes).await,
            Self::Image(file) => file.write(bytes).await,
        }
    }
}

impl HostReader for StoreState {
    async fn read(&mut self, reader: Resource<Reader>, max: u32) -> Answer<Vec<u8>> {
        if max == 0 {
            return Err(Fault::invalid("no bytes were asked for, and none mean the end"));
        }
        let reader = self.table.get_mut(&reader)?;
        Ok(reader.next((max as usize).min(MAX_READ)).await?.into())
    }

    async fn skip(&mut self, reader: Resource<Reader>, count: u64) -> Answer<u64> {
        self.table.get_mut(&reader)?.skip(count).await
    }

    async fn size_hint(&mut self, reader: Resource<Reader>) -> wasmtime::Result<Option<u64>> {
        Ok(self.table.get(&reader)?.size)
    }

    async fn drop(&mut self, reader: Resource<Reader>) -> wasmtime::Result<()> {
        self.table.delete(reader)?;
        Ok(())
    }
}

impl HostWriter for StoreState {
    async fn write(&mut self, writer: Resource<Writer>, chunk: Vec<u8>) -> Answer<()> {
        self.charge_written(chunk.len() as u64)?;
        self.table.get_mut(&writer)?.write(&chunk).await
    }

    async fn splice(&mut self, writer: Resource<Writer>, from: Resource<Reader>, max: u64) -> Answer<u64> {
        let mut moved = 0;
        while moved < max {
            let most = usize::try_from(max - moved).unwrap_or(usize::MAX).min(MAX_READ);
            let piece = self.table.get_mut(&from)?.next(most).await?;
            if piece.is_empty() {
                break;
            }
            self.charge_written(piece.len() as u64)?;
            self.table.get_mut(&writer)?.write(&piece).await?;
            moved += piece.len() as u64;
        }
        Ok(moved)
    }

    /// The end of a file: there is no other call that says it.
    async fn drop(&mut self, writer: Resource<Writer>) -> wasmtime::Result<()> {
        let writer = self.table.delete(writer)?;
        self.finish_writer(writer).await;
        Ok(())
    }
}

impl Host for StoreState {}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_mirror_engine::content::{ContentError, ContentErrorKind};

    fn reader(pieces: Vec<Result<Bytes, ContentError>>) -> Reader {
        Reader::new(Box::pin(futures_util::stream::iter(pieces)), None)
    }

    #[tokio::test]
    async fn pieces_are_cut_to_size() {
        let mut reader = reader(vec![Ok("hello".into()), Ok("".into()), Ok("world".into())]);
        assert_eq!(reader.next(2).await.expect("bytes"), "he");
        assert_eq!(reader.next(100).await.expect("bytes"), "llo");
        assert_eq!(reader.skip(2).await.expect("bytes"), 2);
        assert_eq!(reader.skip(u64::MAX).await.expect("bytes"), 3);
        assert!(reader.next(1).await.expect("the end").is_empty());
        assert!(reader.next(1).await.expect("the end").is_empty());
    }

    #[tokio::test]
    async fn an_error_stays_an_error() {
        let failure = || ContentError::new("x", ContentErrorKind::Unavailable("gone".to_owned()));
        let mut reader = reader(vec![Ok("a".into()), Err(failure()), Ok("b".into())]);
        assert_eq!(reader.next(9).await.expect("bytes"), "a");
        for _ in 0..2 {
            assert!(matches!(reader.next(9).await, Err(Fault::Answer(Error::Unavailable(_)))));
        }
    }
}
