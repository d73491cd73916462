//! The record of a chain in a bucket: [`InBucket`], one object that is replaced on condition.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::metadata::Chain;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::{MAX_RECORD_BYTES, MetadataError, MetadataStore, Stored, parse, uid_of};
use crate::bucket::{Bucket, Revision};
use crate::content::ContentError;

/// The name of the object, below the prefix.
const NAME: &str = "metadata.json";

/// The record of one chain, in an object of a bucket.
///
/// It is written with `If-None-Match: *` the first time and `If-Match` ever after, so of two runs at once the store itself
/// chooses one. A store that ignores conditions is found out first and refused.
pub struct InBucket {
    bucket: Arc<Bucket>,
    /// Set once the store has shown that it minds conditions.
    sound: OnceCell<()>,
}

impl InBucket {
    /// Keeps the record below the bucket's prefix.
    pub fn new(bucket: Arc<Bucket>) -> Self {
        Self { bucket, sound: OnceCell::new() }
    }

    fn failed(&self, source: ContentError) -> MetadataError {
        MetadataError::Content { place: self.name(), source: Box::new(source) }
    }

    async fn fetch(&self) -> Result<Option<(Bytes, Option<Revision>)>, MetadataError> {
        self.bucket.get(NAME, MAX_RECORD_BYTES).await.map_err(|e| self.failed(e))
    }
}

#[async_trait]
impl MetadataStore for InBucket {
    fn name(&self) -> String {
        self.bucket.shown(NAME)
    }

    async fn chains(&self) -> Result<Vec<Uuid>, MetadataError> {
        let found = self.fetch().await?;
        found.map(|(bytes, _)| uid_of(&bytes, &self.name())).into_iter().collect()
    }

    async fn load(&self, uid: Uuid) -> Result<Option<Stored>, MetadataError> {
        self.fetch().await?.map(|(bytes, _)| parse(&bytes, &self.name(), uid)).transpose()
    }

    async fn rehearse(&self) -> Result<(), MetadataError> {
        let probe = || async { self.bucket.check_conditions(&Uuid::new_v4().simple().to_string()).await };
        self.sound.get_or_try_init(probe).await.map_err(|e| self.failed(e))?;
        Ok(())
    }

    async fn commit(&self, chain: &Chain, found: Option<&Digest>) -> Result<(), MetadataError> {
        self.rehearse().await?;
        let now = self.fetch().await?;
        if now.as_ref().map(|(bytes, _)| Digest::of(bytes)).as_ref() != found {
            return Err(MetadataError::Conflict { place: self.name() });
        }
        let revision = now.and_then(|(_, revision)| revision);
        let bytes = Bytes::from(chain.to_bytes());
        match self.bucket.put_if(NAME, bytes, revision.as_ref()).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(MetadataError::Conflict { place: self.name() }),
            Err(error) => Err(self.failed(error)),
        }
    }
}
