//! A file as a stream of pieces: [`stream`]. What is read is not checked here.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use super::{BlobStream, CHUNK, ContentError, ContentErrorKind};

/// Streams a file from `offset` up to `end`. A file that ends earlier is an error.
pub fn stream(file: File, offset: u64, end: u64, subject: impl Into<Arc<str>>) -> BlobStream {
    let (file, subject) = (Arc::new(file), subject.into());
    Box::pin(futures_util::stream::try_unfold(offset, move |position| {
        let (file, subject) = (file.clone(), subject.clone());
        async move {
            let wanted = end.saturating_sub(position).min(CHUNK as u64);
            if wanted == 0 {
                return Ok(None);
            }
            let read = tokio::task::spawn_blocking(move || read_piece(&file, position, wanted, &subject));
            let piece = match read.await {
                Ok(piece) => piece?,
                Err(_) => return Err(ContentError::new("disk", ContentErrorKind::Cancelled)),
            };
            let next = position + piece.len() as u64;
            Ok(Some((piece, next)))
        }
    }))
}

fn read_piece(file: &File, position: u64, wanted: u64, subject: &str) -> Result<Bytes, ContentError> {
    let mut buffer = vec![0; usize::try_from(wanted).expect("at most one chunk")];
    match file.read_exact_at(&mut buffer, position) {
        Ok(()) => Ok(buffer.into()),
        Err(error) => Err(ContentError::disk(subject, "cannot be read", error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;

    #[tokio::test]
    async fn pieces_add_up() {
        let content: Vec<u8> = (0..CHUNK * 2 + 17).map(|n| n as u8).collect();
        let file = tempfile::NamedTempFile::new().expect("made");
        std::fs::write(file.path(), &content).expect("written");
        let open = || File::open(file.path()).expect("opened");
        let length = content.len() as u64;
        let pieces: Vec<_> = stream(open(), 5, length, "x").map(|p| p.expect("read")).collect().await;
        assert_eq!(pieces.iter().map(Bytes::len).max(), Some(CHUNK));
        assert_eq!(pieces.concat(), content[5..]);
        let mut beyond = stream(open(), length, length + 1, "x");
        assert!(beyond.next().await.expect("an answer").is_err(), "it is shorter than that");
    }
}
