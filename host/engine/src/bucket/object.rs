//! [`Object`]: an object that is read at any place, going on where a connection broke.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;

use super::client::{Bucket, Entry};
use crate::content::positioned::ReadAt;
use crate::content::{BlobStream, CHUNK, ContentError, ContentErrorKind};

/// One object. It is read by ranges and never kept.
#[derive(Clone, Debug)]
pub struct Object {
    bucket: Arc<Bucket>,
    entry: Entry,
}

impl Object {
    /// Names an object that was listed. If it is replaced in the meantime, reading fails.
    pub fn new(bucket: Arc<Bucket>, entry: Entry) -> Self {
        Self { bucket, entry }
    }
}

/// A stream in the middle of an object.
struct Reading {
    object: Object,
    subject: String,
    at: u64,
    end: u64,
    body: Option<BlobStream>,
    /// What came in one piece and is longer than a piece should be.
    rest: Bytes,
    /// Attempts that brought nothing since the last byte that came.
    failed: u32,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, ContentError> {
        if !self.rest.is_empty() {
            return Ok(Some(self.rest.split_to(self.rest.len().min(CHUNK))));
        }
        while self.at < self.end {
            let error = match self.piece().await {
                Ok(Some(piece)) => {
                    self.failed = 0;
                    self.at += piece.len() as u64;
                    self.rest = piece;
                    return Ok(Some(self.rest.split_to(self.rest.len().min(CHUNK))));
                }
                Ok(None) => {
                    let kind =
                        ContentErrorKind::Unavailable("the store sent less than was asked for".to_owned());
                    ContentError::new(self.subject.clone(), kind)
                }
                Err(error) => error,
            };
            self.body = None;
            if !error.is_temporary() || error.is_exhausted() {
                return Err(error);
            }
            self.failed += 1;
            let bucket = self.object.bucket.clone();
            let mut backoff = bucket.backoff(&self.subject);
            let reason = error.kind().to_string();
            let pause = (0..self.failed).map(|_| backoff.next(&reason, error.retry_after())).last().flatten();
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error.exhausted()),
            }
        }
        Ok(None)
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, ContentError> {
        let body = match &mut self.body {
            Some(body) => body,
            None => {
                let Object { bucket, entry } = &self.object;
                let path = bucket.path(&entry.name)?;
                let range = self.at..self.end;
                let body = bucket.read_range(&path, &self.subject, range, entry.revision.as_ref()).await?;
                self.body.insert(Box::pin(body))
            }
        };
        match body.next().await.transpose()? {
            Some(piece) if piece.len() as u64 > self.end - self.at => {
                let kind = ContentErrorKind::Invalid("the store sent more than was asked for".to_owned());
                Err(ContentError::new(self.subject.clone(), kind))
            }
            piece => Ok(piece),
        }
    }
}

#[async_trait]
impl ReadAt for Object {
    fn name(&self) -> String {
        self.bucket.shown(&self.entry.name)
    }

    async fn size(&self) -> Result<u64, ContentError> {
        Ok(self.entry.size)
    }

    async fn stream(&self, offset: u64, len: u64) -> Result<BlobStream, ContentError> {
        let end = offset.saturating_add(len);
        if end > self.entry.size {
            let kind = ContentErrorKind::WrongSize { expected: end, actual: self.entry.size };
            return Err(ContentError::new(self.name(), kind));
        }
        let reading = Reading {
            object: self.clone(),
            subject: self.name(),
            at: offset,
            end,
            body: None,
            rest: Bytes::new(),
            failed: 0,
        };
        Ok(Box::pin(futures_util::stream::try_unfold(reading, |mut reading| async move {
            Ok(reading.next().await?.map(|piece| (piece, reading)))
        })))
    }
}
