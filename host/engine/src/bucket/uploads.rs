//! Uploads in parts. Nothing of one can be seen before it is completed.

use bytes::Bytes;
use object_store::PutPayload;
use object_store::multipart::{MultipartStore, PartId};

use super::client::Bucket;
use crate::content::{ContentError, ContentErrorKind};

/// The length of a part, unless there would be too many of them.
pub const PART: u64 = 16 << 20;

/// A part that is with the store: what it returned for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part(pub String);

impl Bucket {
    /// Begins an upload, and returns its identity.
    pub async fn begin_upload(&self, name: &str) -> Result<String, ContentError> {
        let (path, subject) = (self.path(name)?, self.shown(name));
        self.attempt(&subject, || async { self.store.create_multipart(&path).await }).await
    }

    /// Puts one part, counted from 0. All but the last have the same length, of at least 5 MiB. An upload that the store no
    /// longer knows is `NotFound`.
    pub async fn put_part(
        &self,
        name: &str,
        upload: &str,
        number: usize,
        bytes: Bytes,
    ) -> Result<Part, ContentError> {
        let (path, subject) = (self.path(name)?, self.shown(name));
        let upload = upload.to_owned();
        let part = self
            .attempt(&subject, || {
                let payload = PutPayload::from_bytes(bytes.clone());
                let (path, upload) = (&path, &upload);
                async move { self.store.put_part(path, upload, number, payload).await }
            })
            .await?;
        Ok(Part(part.content_id))
    }

    /// Makes the object appear. `size` is what it must have then; another object of that name is never replaced.
    pub async fn complete_upload(
        &self,
        name: &str,
        upload: &str,
        parts: Vec<Part>,
        size: u64,
    ) -> Result<(), ContentError> {
        let (path, subject) = (self.path(name)?, self.shown(name));
        // Not every store minds the condition that goes along with the request.
        if self.head(name).await?.is_some() {
            let kind = ContentErrorKind::Refused("there is another object of this name".to_owned());
            return Err(ContentError::new(subject, kind));
        }
        let (upload, parts) = (upload.to_owned(), parts);
        let completed = self
            .attempt(&subject, || {
                let parts = parts.iter().map(|p| PartId { content_id: p.0.clone() }).collect();
                let (path, upload) = (&path, &upload);
                async move { self.store.complete_multipart(path, upload, parts).await }
            })
            .await;
        let there = self.head(name).await?;
        match (completed, there) {
            // Where an answer was lost, the next attempt finds the upload gone and the object there.
            (_, Some(there)) if there.size == size => Ok(()),
            (Err(error), _) => Err(error),
            (Ok(_), there) => {
                let actual = there.map_or(0, |t| t.size);
                Err(ContentError::new(subject, ContentErrorKind::WrongSize { expected: size, actual }))
            }
        }
    }

    /// Gives an upload up; none need be there.
    pub async fn abort_upload(&self, name: &str, upload: &str) -> Result<(), ContentError> {
        let (path, subject) = (self.path(name)?, self.shown(name));
        let upload = upload.to_owned();
        let aborted =
            self.attempt(&subject, || async { self.store.abort_multipart(&path, &upload).await }).await;
        match aborted {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }
}
