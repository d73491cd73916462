//! Reading a blob to its end, however often the line breaks: [`resuming`].
//!
//! Who reads sees one stream. After a break the rest is asked for with a closed range, so what was hashed of it counts; and
//! as long as each attempt brings something, there are more.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::reference::Repository;

use super::Retry;
use crate::content::{BlobStream, ContentError, ContentErrorKind, ContentRead};
use crate::report::{Event, SharedEvents};

/// An attempt that brings as much begins the count of attempts anew.
const PROGRESS: u64 = 64 << 10;
/// The pause after an attempt that brought something: the line is there.
const SHORT: Duration = Duration::from_millis(100);

/// Reads a blob from `offset` on. Opening fails at once; a break later is mended as often as `retry` says without progress.
pub(super) async fn resuming(
    from: Arc<dyn ContentRead>,
    repository: Repository,
    blob: Descriptor,
    offset: u64,
    retry: Retry,
    events: SharedEvents,
) -> Result<BlobStream, ContentError> {
    let stream = from.blob(&repository, &blob, offset).await?;
    let reading = Reading { from, repository, blob, retry, events, at: offset, opened_at: offset, failed: 0 };
    Ok(Box::pin(futures_util::stream::try_unfold(
        (reading, stream),
        |(mut reading, mut stream)| async move {
            loop {
                let broke = match stream.next().await {
                    Some(Ok(piece)) => {
                        reading.at += piece.len() as u64;
                        return Ok(Some((piece, (reading, stream))));
                    }
                    None => return Ok(None),
                    Some(Err(error)) => error,
                };
                stream = reading.again(broke).await?;
            }
        },
    )))
}

struct Reading {
    from: Arc<dyn ContentRead>,
    repository: Repository,
    blob: Descriptor,
    retry: Retry,
    events: SharedEvents,
    /// What has been read.
    at: u64,
    /// Where the last attempt began.
    opened_at: u64,
    /// How many attempts have failed since there was progress.
    failed: u32,
}

impl Reading {
    /// Opens the rest after a break. Bytes that are wrong are not mended by more of them.
    async fn again(&mut self, broke: ContentError) -> Result<BlobStream, ContentError> {
        let is_break =
            matches!(broke.kind(), ContentErrorKind::Unavailable(_) | ContentErrorKind::Throttled { .. });
        if !is_break || broke.is_exhausted() {
            return Err(broke);
        }
        let progress = self.at - self.opened_at >= PROGRESS;
        self.failed = if progress { 0 } else { self.failed + 1 };
        if self.failed > self.retry.times {
            return Err(broke.exhausted());
        }
        let reason = format!("{}; it goes on at byte {} of {}", broke.kind(), self.at, self.blob.size);
        let attempt = self.failed + 1;
        self.events.event(Event::Retry { subject: broke.subject(), reason: &reason, attempt });
        let pause = if progress { SHORT } else { self.retry.delay_before(self.failed + 1, &broke) };
        tokio::time::sleep(pause).await;
        self.opened_at = self.at;
        self.from.blob(&self.repository, &self.blob, self.at).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use bytes::Bytes;
    use oc_mirror_model::manifest::RawManifest;
    use oc_mirror_model::reference::Selector;

    use super::*;
    use crate::content::verify::verified;
    use crate::report::Silence;

    /// Breaks off after so many bytes, each time; then after the numbers in the list.
    struct Breaking {
        content: Vec<u8>,
        breaks: Mutex<Vec<usize>>,
        opened: Mutex<Vec<u64>>,
    }

    #[async_trait]
    impl ContentRead for Breaking {
        fn name(&self) -> String {
            "breaking".to_owned()
        }

        async fn manifest(&self, _: &Repository, _: &Selector) -> Result<RawManifest, ContentError> {
            unreachable!("no manifests are read")
        }

        async fn blob(&self, _: &Repository, _: &Descriptor, at: u64) -> Result<BlobStream, ContentError> {
            self.opened.lock().unwrap().push(at);
            let rest = &self.content[usize::try_from(at).unwrap()..];
            let mut breaks = self.breaks.lock().unwrap();
            if breaks.is_empty() {
                return Ok(Box::pin(futures_util::stream::iter([Ok(Bytes::copy_from_slice(rest))])));
            }
            let part = Bytes::copy_from_slice(&rest[..breaks.remove(0).min(rest.len())]);
            let broken = ContentError::new("x", ContentErrorKind::Unavailable("reset".to_owned()));
            Ok(Box::pin(futures_util::stream::iter([Ok(part), Err(broken)])))
        }
    }

    async fn read(breaks: &[usize], times: u32) -> (Result<usize, ContentError>, Vec<u64>) {
        let content: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
        let blob = Descriptor::of("application/octet-stream", &content);
        let from =
            Arc::new(Breaking { content, breaks: Mutex::new(breaks.to_vec()), opened: Mutex::default() });
        let retry = Retry { times, delay: Some(Duration::ZERO) };
        let stream = resuming(from.clone(), "a".parse().unwrap(), blob.clone(), 0, retry, Arc::new(Silence));
        let mut stream = verified(stream.await.unwrap(), &blob, "x");
        let mut count = 0;
        let mut outcome = Ok(());
        while let Some(piece) = stream.next().await {
            match piece {
                Ok(piece) => count += piece.len(),
                Err(error) => outcome = Err(error),
            }
        }
        let opened = from.opened.lock().unwrap().clone();
        (outcome.map(|()| count), opened)
    }

    #[tokio::test]
    async fn it_goes_on_where_it_broke_and_the_digest_holds() {
        let (count, opened) = read(&[300_000, 0, 70_000], 2).await;
        assert_eq!((count.unwrap(), opened), (1_000_000, vec![0, 300_000, 300_000, 370_000]));
    }

    #[tokio::test]
    async fn progress_begins_the_count_anew_and_standing_still_ends_it() {
        let (count, opened) = read(&[200_000; 4], 0).await;
        assert_eq!((count.unwrap(), opened.len()), (1_000_000, 5));
        let (error, opened) = read(&[100_000, 10, 10, 10, 10], 2).await;
        assert!(error.unwrap_err().is_exhausted());
        assert_eq!(opened, [0, 100_000, 100_010, 100_020]);
    }
}
