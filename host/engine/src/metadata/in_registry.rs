//! Records beside the images of a target: [`InRegistry`], an image `oc-mirror:<uid>` below the target's prefix.
//!
//! The record is the one layer of an ordinary OCI image, so that every registry takes it. Registries have no
//! conditional writes, so who commits says so first under a second tag, `….lock`, looks at both tags before and after the
//! record is moved, and leaves the record under both. Of two at once, who said so first is told; if one stands still meanwhile
//! and overwrites what the other wrote, it finds that out and puts it back. Only where three meet, one of which stands still
//! while another is done and the third is not, could a record be overwritten unnoticed.
//!
//! oc-mirror v1 keeps its own record under the same name. It is read, so that its imagesets follow each other here, and the
//! first commit replaces it.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flate2::read::GzDecoder;
use futures_util::future::join;
use oc_mirror_model::digest::{Algorithm, Digest};
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::media_type;
use oc_mirror_model::metadata::Chain;
use oc_mirror_model::predecessor::{self, Metadata};
use oc_mirror_model::reference::{Repository, Selector, Tag};
use uuid::Uuid;

use super::{MAX_RECORD_BYTES, MetadataError, MetadataStore, Stored, parse, uid_of};
use crate::content::verify::{collect, verified};
use crate::content::{BlobStream, ContentError, ContentErrorKind, ContentRead, ContentWrite, TagStore};
use crate::net::Retry;

/// The repository of records, below the target's prefix.
pub const REPOSITORY: &str = "oc-mirror";

/// The annotation that makes each attempt's manifest another one.
const ATTEMPT: &str = "io.openshift.oc-mirror.attempt";

/// The annotation of a record's manifest that says what it replaced.
const REPLACES: &str = "io.openshift.oc-mirror.replaces";

/// How long to wait, where somebody else was seen, for what they are about to write.
const SETTLE: Duration = Duration::from_secs(3);

/// The largest record of oc-mirror v1 that is read: it is not larger than ours, and in memory all at once.
const MAX_OF_V1: u64 = 1 << 30;

/// How often putting a part of a record is tried again at least: a registry may have to be sent it in other ways than was
/// tried first. Requests have attempts of their own, but not those with a body that is a stream.
const ATTEMPTS: u32 = 3;

/// Records in a registry: of any number of chains, each under a tag of its own; or of one, under a given tag.
pub struct InRegistry {
    read: Arc<dyn ContentRead>,
    write: Arc<dyn ContentWrite>,
    tags: Arc<dyn TagStore>,
    repository: Repository,
    /// The tag of the one record.
    only: Option<Tag>,
    settle: Duration,
    retry: Retry,
}

impl InRegistry {
    /// Keeps records at `target`, below `prefix`.
    pub fn new<T>(target: Arc<T>, prefix: Option<&Repository>) -> Self
    where
        T: ContentRead + ContentWrite + TagStore + 'static,
    {
        let repository: Repository = REPOSITORY.parse().expect("a constant that is a repository");
        Self::of(target, repository.under(prefix), None)
    }

    /// Keeps the record of one chain in a repository, under a tag.
    pub fn at<T>(registry: Arc<T>, repository: Repository, tag: Tag) -> Self
    where
        T: ContentRead + ContentWrite + TagStore + 'static,
    {
        Self::of(registry, repository, Some(tag))
    }

    fn of<T>(registry: Arc<T>, repository: Repository, only: Option<Tag>) -> Self
    where
        T: ContentRead + ContentWrite + TagStore + 'static,
    {
        let (read, write, tags) = (registry.clone(), registry.clone(), registry);
        Self { read, write, tags, repository, only, settle: SETTLE, retry: Retry::default() }
    }

    /// Tries as often as this says to put a part of a record, and pauses in between.
    pub fn with_retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    #[cfg(test)]
    pub(super) fn through<T>(self, registry: Arc<T>, settle: Duration) -> Self
    where
        T: ContentRead + TagStore + 'static,
    {
        Self { read: registry.clone(), tags: registry, settle, ..self }
    }

    #[cfg(test)]
    pub(super) fn with_settle(self, settle: Duration) -> Self {
        Self { settle, ..self }
    }

    fn failed(&self, source: ContentError) -> MetadataError {
        MetadataError::Content { place: self.name(), source: Box::new(source) }
    }

    fn tag(&self, uid: Uuid) -> Tag {
        let own = || uid.to_string().parse().expect("a UUID is a tag");
        self.only.clone().unwrap_or_else(own)
    }

    /// Returns the tag under which committers meet.
    fn lock(tag: &Tag) -> Tag {
        let name: String = tag.as_str().chars().take(123).collect();
        format!("{name}.lock").parse().expect("a tag with five more characters, within the limit")
    }

    async fn put(&self, document: Document<'_>) -> Result<Descriptor, ContentError> {
        let descriptor = document.descriptor();
        if !self.write.has_blob(&self.repository, &descriptor).await? {
            let put = || async {
                let (body, making) = document.body(descriptor.size);
                let (outcome, ()) =
                    join(self.write.put_blob(&self.repository, &descriptor, body), making).await;
                outcome
            };
            let most = ATTEMPTS.max(self.retry.attempts.saturating_sub(1));
            let mut failed = 0;
            loop {
                match put().await {
                    Err(error) if error.is_temporary() && !error.is_exhausted() && failed < most => {
                        let asked = error.retry_after();
                        // Another way is tried at once.
                        let pause = match failed {
                            0 => asked.unwrap_or_default().min(self.retry.cap),
                            failed => self.retry.pause(failed, asked, 0.0),
                        };
                        failed += 1;
                        tokio::time::sleep(pause).await;
                    }
                    outcome => break outcome?,
                }
            }
        }
        Ok(descriptor)
    }

    /// Puts what the record's image consists of; returns the image, and the same with a mark that no other has.
    async fn prepare(
        &self,
        chain: &Chain,
        found: Option<&Digest>,
    ) -> Result<(RawManifest, RawManifest), ContentError> {
        // Some registries list a configuration's layers and refuse an image whose counts differ.
        let config = serde_json::json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [chain.digest()]},
        });
        let config = self.put(Document::Config(config.to_string().into())).await?;
        let layer = self.put(Document::Record(chain)).await?;
        let parse = |annotations: serde_json::Value| {
            let manifest = serde_json::json!({
                "schemaVersion": 2,
                "mediaType": media_type::OCI_MANIFEST,
                "config": config,
                "layers": [layer],
                "annotations": annotations,
            });
            RawManifest::parse(manifest.to_string().into_bytes(), None).map_err(|error| {
                let kind = ContentErrorKind::Invalid("the record's manifest is not valid".to_owned());
                ContentError::with_source(self.repository.as_str(), kind, error)
            })
        };
        Ok((
            parse(serde_json::json!({ REPLACES: known(found) }))?,
            parse(serde_json::json!({ ATTEMPT: Uuid::new_v4() }))?,
        ))
    }

    /// Returns the manifest that a tag leads to.
    async fn find(&self, tag: &Tag) -> Result<Option<RawManifest>, ContentError> {
        match self.read.manifest(&self.repository, &Selector::Tag(tag.clone())).await {
            Ok(manifest) => Ok(Some(manifest)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns what a tag leads to. The manifest itself is read, since there are registries whose `HEAD` knows no tags.
    async fn resolve(&self, tag: &Tag) -> Result<Option<Digest>, ContentError> {
        Ok(self.find(tag).await?.map(|manifest| manifest.digest().clone()))
    }

    async fn leads_to(&self, tag: &Tag, digest: Option<&Digest>) -> Result<bool, ContentError> {
        Ok(self.resolve(tag).await?.as_ref() == digest)
    }

    /// Moves the tag where the lock cannot move. Where no tag can, making it is a step that only one can take.
    async fn swap_without_lock(
        &self,
        tag: &Tag,
        found: Option<&Digest>,
        manifest: &RawManifest,
    ) -> Result<bool, ContentError> {
        if !self.leads_to(tag, found).await? {
            return Ok(false);
        }
        self.tags.put_tag(&self.repository, tag, manifest).await?;
        self.leads_to(tag, Some(manifest.digest())).await
    }

    /// Moves the tag from the manifest that was found to a new one. `false`: somebody else was there, or is.
    ///
    /// Of two, never both are told that their record stands, however long either of them stands still: each writes its record
    /// under the tag and then reads the lock, and under the lock and then reads the tag. So whoever moves the tag too late finds
    /// the other's record under the lock, and puts it back.
    async fn swap(&self, chain: &Chain, found: Option<&Digest>) -> Result<bool, ContentError> {
        let tag = self.tag(chain.uid);
        let lock = Self::lock(&tag);
        let (manifest, mine) = self.prepare(chain, found).await?;
        // Who is done leaves the record under both tags: anything else is somebody who is not, or never will be.
        let last = self.resolve(&lock).await?;
        let mut alone = last.is_none_or(|last| found == Some(&last));
        match self.tags.put_tag(&self.repository, &lock, &mine).await {
            Err(error) if is_immutable(&error) => {
                return self.swap_without_lock(&tag, found, &manifest).await;
            }
            outcome => outcome?,
        }
        if !self.leads_to(&tag, found).await? || !self.leads_to(&lock, Some(mine.digest())).await? {
            return Ok(false);
        }
        self.tags.put_tag(&self.repository, &tag, &manifest).await?;
        let now = self.find(&lock).await?;
        let rival =
            |now: &&RawManifest| replaced(now) == Some(&known(found)) && now.digest() != manifest.digest();
        if let Some(record) = now.as_ref().filter(rival) {
            // Somebody else was done before the tag was moved here: theirs was overwritten.
            if self.leads_to(&tag, Some(manifest.digest())).await? {
                self.tags.put_tag(&self.repository, &tag, record).await?;
            }
            return Ok(false);
        }
        alone &= now.is_some_and(|now| now.digest() == mine.digest());
        if !alone {
            // They may have looked before this record was there, and be about to write theirs. Of those who do so in time, the
            // last one stands, and no record has to be put back.
            tokio::time::sleep(self.settle).await;
            if !self.leads_to(&tag, Some(manifest.digest())).await? {
                return Ok(false);
            }
        }
        // The record is there, whatever comes of this: where tags cannot move nobody overwrites it, and if it fails the next
        // one waits.
        let _ = self.tags.put_tag(&self.repository, &lock, &manifest).await;
        self.leads_to(&tag, Some(manifest.digest())).await
    }

    /// Finds the record under a tag, and reads nothing of it.
    async fn locate(&self, tag: &Tag) -> Result<Option<Located>, ContentError> {
        let Some(manifest) = self.find(tag).await? else { return Ok(None) };
        let subject = format!("{}:{tag}", self.repository);
        let layers = manifest.image().map(|image| image.layers.as_slice()).unwrap_or_default();
        let ours = layers.iter().find(|layer| layer.media_type == media_type::METADATA);
        let is_v1 = ours.is_none() && matches!(layers, [_]);
        let layer = ours.or_else(|| layers.first().filter(|_| is_v1));
        let invalid =
            |reason: &str| ContentError::new(subject.clone(), ContentErrorKind::Invalid(reason.to_owned()));
        let layer = layer.ok_or_else(|| invalid("the image is not the record of a chain"))?;
        if layer.size > if is_v1 { MAX_OF_V1 } else { MAX_RECORD_BYTES } {
            return Err(invalid("the record is too large to be one"));
        }
        Ok(Some(Located { manifest: manifest.digest().clone(), layer: layer.clone(), is_v1 }))
    }

    async fn fetch(&self, tag: &Tag) -> Result<Option<Record>, ContentError> {
        match self.locate(tag).await? {
            Some(located) => self.take(tag, &located).await.map(Some),
            None => Ok(None),
        }
    }

    /// Reads the record that was found under a tag.
    async fn take(&self, tag: &Tag, located: &Located) -> Result<Record, ContentError> {
        let Located { manifest: _, layer, is_v1 } = located;
        let (is_v1, subject) = (*is_v1, format!("{}:{tag}", self.repository));
        let stream = self.read.blob(&self.repository, layer, 0).await?;
        let bytes = collect(verified(stream, layer, subject.clone()), layer).await?;
        if !is_v1 {
            return Ok(Record { bytes, is_v1 });
        }
        let bytes = of_v1(&bytes).map_err(|_| {
            let reason = "the image is not the record of a chain".to_owned();
            ContentError::new(subject, ContentErrorKind::Invalid(reason))
        })?;
        Ok(Record { bytes: bytes.into(), is_v1 })
    }

    /// Finds the record under a tag: in which image it is, and its revision.
    async fn state(&self, tag: &Tag) -> Result<Option<(Digest, Digest)>, ContentError> {
        let Some(located) = self.locate(tag).await? else { return Ok(None) };
        // The record is the layer, but for those of oc-mirror v1, which are packed.
        let is_plain = !located.is_v1 && located.layer.digest.algorithm() == Algorithm::Sha256;
        let revision = match is_plain {
            true => located.layer.digest,
            false => Digest::of(&self.take(tag, &located).await?.bytes),
        };
        Ok(Some((located.manifest, revision)))
    }

    fn read(&self, record: &Record, uid: Uuid) -> Result<Stored, MetadataError> {
        let place = self.name();
        if !record.is_v1 {
            return parse(&record.bytes, &place, uid);
        }
        let metadata = Metadata::parse(&record.bytes)
            .map_err(|source| MetadataError::OfV1 { place: place.clone(), source })?;
        if metadata.uid != uid {
            return Err(MetadataError::OtherChain { place, found: metadata.uid, wanted: uid });
        }
        let prefix = self.repository.as_str().strip_suffix(REPOSITORY).and_then(|p| p.strip_suffix('/'));
        let prefix = prefix.and_then(|prefix| prefix.parse().ok());
        Ok(Stored { chain: metadata.to_chain(prefix.as_ref()), revision: Digest::of(&record.bytes) })
    }
}

/// Where a record lies in a registry.
struct Located {
    /// The image that it is in.
    manifest: Digest,
    layer: Descriptor,
    /// Whether oc-mirror v1 has written it.
    is_v1: bool,
}

/// A record as it lies in a registry.
struct Record {
    bytes: Bytes,
    /// Whether oc-mirror v1 has written it.
    is_v1: bool,
}

/// Takes the record out of the layer that oc-mirror v1 keeps it in.
fn of_v1(layer: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Archive::new(GzDecoder::new(layer).take(MAX_OF_V1));
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.path_bytes().strip_prefix(b"./").unwrap_or(&entry.path_bytes())
            == predecessor::PATH.as_bytes()
        {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            return Ok(bytes);
        }
    }
    Err(std::io::ErrorKind::NotFound.into())
}

/// Returns how a record's image says what it replaced.
fn known(found: Option<&Digest>) -> String {
    found.map_or_else(|| "nothing".to_owned(), Digest::to_string)
}

/// Returns what the image of a record says that it replaced. The mark of somebody who is about to write one says nothing.
fn replaced(manifest: &RawManifest) -> Option<&str> {
    manifest.image()?.annotations.get(REPLACES)
}

fn is_immutable(error: &ContentError) -> bool {
    matches!(error.kind(), ContentErrorKind::ImmutableTag { .. })
}

/// A record is sent in pieces of so many bytes, of which up to three are held; one that is much larger in sixteen.
const PIECE: u64 = 1 << 20;

/// What the record's image consists of.
enum Document<'a> {
    /// Its configuration.
    Config(Bytes),
    /// The record. Its text is made while it is sent: there are some thousand bytes of it for each image.
    Record(&'a Chain),
}

impl Document<'_> {
    fn descriptor(&self) -> Descriptor {
        match self {
            Self::Config(bytes) => Descriptor::of(media_type::OCI_CONFIG, bytes),
            Self::Record(chain) => Descriptor::new(media_type::METADATA, chain.digest(), chain.len_bytes()),
        }
    }

    /// Returns a stream of its bytes, and what has to be done for them to come.
    fn body(&self, size: u64) -> (BlobStream, impl Future<Output = ()>) {
        let (to, from) = tokio::sync::mpsc::channel(1);
        let body = futures_util::stream::unfold(from, |mut from| async { Some((from.recv().await?, from)) });
        let making = async move {
            match self {
                // Whoever does not want it has said why.
                Self::Config(bytes) => drop(to.send(Ok(bytes.clone())).await),
                Self::Record(chain) => {
                    let len = PIECE.max(size.div_ceil(16));
                    let mut at = 0;
                    while at < size {
                        let piece = chain.piece(at, usize::try_from(len).unwrap_or(usize::MAX));
                        at += len;
                        if to.send(Ok(Bytes::from(piece))).await.is_err() {
                            break;
                        }
                    }
                }
            }
        };
        (Box::pin(body), making)
    }
}

#[async_trait]
impl MetadataStore for InRegistry {
    fn name(&self) -> String {
        match &self.only {
            Some(tag) => format!("{} `{}:{tag}`", self.read.name(), self.repository),
            None => format!("{} `{}`", self.read.name(), self.repository),
        }
    }

    async fn chains(&self) -> Result<Vec<Uuid>, MetadataError> {
        if let Some(only) = &self.only {
            let found = self.fetch(only).await.map_err(|e| self.failed(e))?;
            let uid = |record: Record| match record.is_v1 {
                true => Metadata::parse(&record.bytes)
                    .map(|metadata| metadata.uid)
                    .map_err(|source| MetadataError::OfV1 { place: self.name(), source }),
                false => uid_of(&record.bytes, &self.name()),
            };
            return found.map(uid).into_iter().collect();
        }
        let tags = self.tags.list_tags(&self.repository).await.map_err(|e| self.failed(e))?;
        // Only the spelling that records are stored under: no two tags mean one chain.
        let uid = |tag: &Tag| tag.as_str().parse().ok().filter(|uid: &Uuid| self.tag(*uid) == *tag);
        Ok(tags.iter().filter_map(uid).collect())
    }

    async fn load(&self, uid: Uuid) -> Result<Option<Stored>, MetadataError> {
        let found = self.fetch(&self.tag(uid)).await.map_err(|e| self.failed(e))?;
        found.map(|record| self.read(&record, uid)).transpose()
    }

    async fn revision(&self, uid: Uuid) -> Result<Option<Digest>, MetadataError> {
        let state = self.state(&self.tag(uid)).await.map_err(|e| self.failed(e))?;
        Ok(state.map(|(_, revision)| revision))
    }

    async fn commit(&self, chain: &Chain, found: Option<&Digest>) -> Result<(), MetadataError> {
        let state = self.state(&self.tag(chain.uid)).await.map_err(|e| self.failed(e))?;
        let (now, revision) = state.unzip();
        let unchanged = revision.as_ref() == found;
        if unchanged && self.swap(chain, now.as_ref()).await.map_err(|e| self.failed(e))? {
            return Ok(());
        }
        Err(MetadataError::Conflict { place: self.name() })
    }
}
