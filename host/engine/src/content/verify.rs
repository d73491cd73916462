//! Checks bytes on their way: [`verified`] wraps a stream so that wrong content can never look complete.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use oc_mirror_model::digest::Hasher;
use oc_mirror_model::manifest::Descriptor;

use super::{BlobStream, ContentError, ContentErrorKind};

/// Wraps a stream of the whole blob.
///
/// Whoever reads the wrapped stream to its end without an error has seen exactly the content of `descriptor`: the
/// last piece is held back until size and digest have been checked, so a writer that stops at the error has
/// not written a complete blob.
pub fn verified(stream: BlobStream, descriptor: &Descriptor, subject: impl Into<String>) -> BlobStream {
    verified_rest(stream, descriptor, descriptor.digest.algorithm().hasher(), 0, subject)
}

/// Wraps a stream of what follows the first `seen` bytes of a blob, which `hasher` has seen.
pub fn verified_rest(
    stream: BlobStream,
    descriptor: &Descriptor,
    hasher: Hasher,
    seen: u64,
    subject: impl Into<String>,
) -> BlobStream {
    Box::pin(Verified {
        stream,
        hasher: Some(hasher),
        seen,
        held: None,
        descriptor: descriptor.clone(),
        subject: subject.into(),
    })
}

/// Reads a whole verified stream into memory; `descriptor.size` bounds it.
pub async fn collect(mut stream: BlobStream, descriptor: &Descriptor) -> Result<Bytes, ContentError> {
    let mut bytes = Vec::with_capacity(usize::try_from(descriptor.size.min(1 << 20)).expect("at most a MiB"));
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes.into())
}

struct Verified {
    stream: BlobStream,
    hasher: Option<Hasher>,
    seen: u64,
    held: Option<Bytes>,
    descriptor: Descriptor,
    subject: String,
}

impl Verified {
    fn fail(&mut self, kind: ContentErrorKind) -> Poll<Option<Result<Bytes, ContentError>>> {
        self.hasher = None;
        self.held = None;
        Poll::Ready(Some(Err(ContentError::new(self.subject.clone(), kind))))
    }
}

impl Stream for Verified {
    type Item = Result<Bytes, ContentError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.hasher.is_none() {
            return Poll::Ready(None);
        }
        loop {
            match ready!(this.stream.poll_next_unpin(cx)) {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => {
                    this.seen += piece.len() as u64;
                    if this.seen > this.descriptor.size {
                        // More than was promised is never read to its end: it may have none.
                        let (expected, actual) = (this.descriptor.size, this.seen);
                        return this.fail(ContentErrorKind::WrongSize { expected, actual });
                    }
                    if let Some(hasher) = &mut this.hasher {
                        hasher.update(&piece);
                    }
                    if let Some(earlier) = this.held.replace(piece) {
                        return Poll::Ready(Some(Ok(earlier)));
                    }
                }
                Some(Err(error)) => {
                    this.hasher = None;
                    this.held = None;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    let (expected, actual) = (this.descriptor.size, this.seen);
                    if expected != actual {
                        return this.fail(ContentErrorKind::WrongSize { expected, actual });
                    }
                    let actual = this.hasher.take().map(Hasher::finish);
                    let expected = this.descriptor.digest.clone();
                    return match actual {
                        Some(actual) if actual != expected => {
                            this.fail(ContentErrorKind::WrongDigest { expected, actual })
                        }
                        _ => Poll::Ready(this.held.take().map(Ok)),
                    };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_mirror_model::digest::Digest;
    use oc_mirror_model::media_type;

    fn stream(pieces: &[&'static [u8]]) -> BlobStream {
        let pieces: Vec<_> = pieces.iter().map(|p| Ok(Bytes::from_static(p))).collect();
        Box::pin(futures_util::stream::iter(pieces))
    }

    async fn read(pieces: &[&'static [u8]], expected: &Descriptor) -> (Vec<u8>, Option<ContentErrorKind>) {
        let mut wrapped = verified(stream(pieces), expected, "blob");
        let mut seen = Vec::new();
        while let Some(piece) = wrapped.next().await {
            match piece {
                Ok(bytes) => seen.extend_from_slice(&bytes),
                Err(error) => {
                    assert!(wrapped.next().await.is_none(), "nothing follows an error");
                    return (seen, Some(error.kind().clone()));
                }
            }
        }
        (seen, None)
    }

    #[tokio::test]
    async fn right_content_passes() {
        let descriptor = Descriptor::of(media_type::OCI_LAYER_GZIP, b"hello world");
        assert_eq!(read(&[b"hello", b"", b" world"], &descriptor).await, (b"hello world".to_vec(), None));
        let empty = Descriptor::of(media_type::OCI_LAYER_GZIP, b"");
        assert_eq!(read(&[], &empty).await, (Vec::new(), None));
    }

    #[tokio::test]
    async fn wrong_content_never_completes() {
        let descriptor = Descriptor::of(media_type::OCI_LAYER_GZIP, b"hello world");
        let (seen, error) = read(&[b"hello", b" w0rld"], &descriptor).await;
        assert_eq!(seen, b"hello");
        assert!(matches!(error, Some(ContentErrorKind::WrongDigest { .. })));
        let (seen, error) = read(&[b"hello", b" wor"], &descriptor).await;
        assert!(seen.len() < 11);
        assert!(matches!(error, Some(ContentErrorKind::WrongSize { actual: 9, .. })));
        let (_, error) = read(&[b"hello world", b"!"], &descriptor).await;
        assert!(matches!(error, Some(ContentErrorKind::WrongSize { actual: 12, .. })));
    }

    #[tokio::test]
    async fn other_algorithms_are_checked_too() {
        let mut descriptor = Descriptor::of(media_type::OCI_LAYER_GZIP, b"x");
        descriptor.digest = Digest::of_with(oc_mirror_model::digest::Algorithm::Sha512, b"x");
        assert_eq!(read(&[b"x"], &descriptor).await.1, None);
        assert!(read(&[b"y"], &descriptor).await.1.is_some());
    }
}
