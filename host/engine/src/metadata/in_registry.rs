//! Records beside the images of a target: [`InRegistry`], an image `oc-mirror:<uid>` below the target's prefix.
//!
//! The record is the one layer of an ordinary OCI image, so that every registry takes it. Registries have no
//! conditional writes: the tag is read again right before it is moved, which leaves a window of one request.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::media_type;
use oc_mirror_model::metadata::Chain;
use oc_mirror_model::reference::{Repository, Selector, Tag};
use uuid::Uuid;

use super::{MetadataError, MetadataStore, Stored, parse};
use crate::content::verify::{collect, verified};
use crate::content::{BlobStream, ContentError, ContentErrorKind, ContentRead, ContentWrite, TagStore};

/// The repository of records, below the target's prefix.
pub const REPOSITORY: &str = "oc-mirror";

/// A record above this size is refused: it would be one of some ten million blobs.
const MAX_RECORD_BYTES: u64 = 4 << 30;

/// How often putting a part of a record is tried after the first time. Requests have attempts of their own.
const ATTEMPTS: usize = 3;

/// Records in a registry.
pub struct InRegistry {
    read: Arc<dyn ContentRead>,
    write: Arc<dyn ContentWrite>,
    tags: Arc<dyn TagStore>,
    repository: Repository,
}

impl InRegistry {
    /// Keeps records at `target`, below `prefix`.
    pub fn new<T>(target: Arc<T>, prefix: Option<&Repository>) -> Self
    where
        T: ContentRead + ContentWrite + TagStore + 'static,
    {
        let repository: Repository = REPOSITORY.parse().expect("a constant that is a repository");
        Self {
            read: target.clone(),
            write: target.clone(),
            tags: target,
            repository: repository.under(prefix),
        }
    }

    fn failed(&self, source: ContentError) -> MetadataError {
        MetadataError::Content { place: self.name(), source: Box::new(source) }
    }

    fn tag(uid: Uuid) -> Tag {
        uid.to_string().parse().expect("a UUID is a tag")
    }

    async fn put(&self, media_type: &str, bytes: Vec<u8>) -> Result<Descriptor, ContentError> {
        let descriptor = Descriptor::of(media_type, &bytes);
        if !self.write.has_blob(&self.repository, &descriptor).await? {
            let bytes = Bytes::from(bytes);
            let put = || {
                let body: BlobStream = Box::pin(futures_util::stream::iter([Ok(bytes.clone())]));
                self.write.put_blob(&self.repository, &descriptor, body)
            };
            let mut outcome = put().await;
            for _ in 0..ATTEMPTS {
                // A registry may have to be sent it in another way than was tried first.
                match outcome {
                    Err(error) if error.is_temporary() && !error.is_exhausted() => outcome = put().await,
                    _ => break,
                }
            }
            outcome?;
        }
        Ok(descriptor)
    }

    async fn store(&self, chain: &Chain) -> Result<(), ContentError> {
        let record = chain.to_bytes();
        // Some registries list a configuration's layers and refuse an image whose counts differ.
        let config = serde_json::json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(&record)]},
        });
        let config = self.put(media_type::OCI_CONFIG, config.to_string().into_bytes()).await?;
        let layer = self.put(media_type::METADATA, record).await?;
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": config,
            "layers": [layer],
        });
        let manifest = RawManifest::parse(manifest.to_string().into_bytes(), None).map_err(|error| {
            let kind = ContentErrorKind::Invalid("the record's manifest is not valid".to_owned());
            ContentError::with_source(self.repository.as_str(), kind, error)
        })?;
        self.tags.put_tag(&self.repository, &Self::tag(chain.uid), &manifest).await
    }

    async fn fetch(&self, uid: Uuid) -> Result<Option<Bytes>, ContentError> {
        let selector = Selector::Tag(Self::tag(uid));
        let manifest = match self.read.manifest(&self.repository, &selector).await {
            Ok(manifest) => manifest,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let subject = format!("{}:{uid}", self.repository);
        let layer =
            manifest.image().and_then(|i| i.layers.iter().find(|l| l.media_type == media_type::METADATA));
        let invalid =
            |reason: &str| ContentError::new(subject.clone(), ContentErrorKind::Invalid(reason.to_owned()));
        let layer = layer.ok_or_else(|| invalid("the image is not the record of a chain"))?;
        if layer.size > MAX_RECORD_BYTES {
            return Err(invalid("the record is too large to be one"));
        }
        let stream = self.read.blob(&self.repository, layer, 0).await?;
        collect(verified(stream, layer, subject.clone()), layer).await.map(Some)
    }
}

#[async_trait]
impl MetadataStore for InRegistry {
    fn name(&self) -> String {
        format!("{} `{}`", self.read.name(), self.repository)
    }

    async fn chains(&self) -> Result<Vec<Uuid>, MetadataError> {
        let tags = self.tags.list_tags(&self.repository).await.map_err(|e| self.failed(e))?;
        // Only the spelling that records are stored under: no two tags mean one chain.
        let uid = |tag: &Tag| tag.as_str().parse().ok().filter(|uid: &Uuid| Self::tag(*uid) == *tag);
        Ok(tags.iter().filter_map(uid).collect())
    }

    async fn load(&self, uid: Uuid) -> Result<Option<Stored>, MetadataError> {
        let bytes = self.fetch(uid).await.map_err(|e| self.failed(e))?;
        bytes.map(|bytes| parse(&bytes, &self.name(), uid)).transpose()
    }

    async fn commit(&self, chain: &Chain, found: Option<&Stored>) -> Result<(), MetadataError> {
        let now = self.load(chain.uid).await?;
        if now.as_ref().map(|n| &n.revision) != found.map(|f| &f.revision) {
            return Err(MetadataError::Conflict { place: self.name() });
        }
        self.store(chain).await.map_err(|e| self.failed(e))
    }
}
