//! Registries and layouts: [`Recording`] and [`Replaying`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Reference, Repository, Selector, Source, Tag};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::super::images::{Origin, Origins};
use super::super::network::origin_in_layout;
use super::entry::{Body, Call, Fault, Manifest, Outcome, Place, Streamed, selector};
use super::recorder::Recorder;
use super::replay::Replay;
use super::stream::{lacking, recorded, replayed};
use crate::content::{BlobStream, ContentError, ContentErrorKind, ContentRead};

/// Returns the layout that a source is in, if it was made by the run itself.
pub(super) fn own<'a>(
    source: &'a Source,
    scratch: &Path,
) -> Option<&'a oc_mirror_model::reference::LayoutReference> {
    match source {
        Source::Layout(layout) if layout.path.starts_with(scratch) => Some(layout),
        _ => None,
    }
}

/// Returns the name of the place that a source is in.
pub(super) fn place_of(source: &Source) -> String {
    match source {
        Source::Registry(reference) => reference.registry.to_string(),
        Source::Layout(layout) => format!("oci:{}", layout.path.display()),
    }
}

pub(super) fn manifest_call(at: &str, repository: &Repository, selector: &Selector) -> Call {
    Call::Manifest { at: at.to_owned(), repository: repository.to_string(), reference: selector.to_string() }
}

fn blob_call(at: &str, repository: &Repository, digest: &Digest, offset: u64) -> Call {
    let (at, repository, digest) = (at.to_owned(), repository.to_string(), digest.clone());
    Call::Blob { at, repository, digest, offset }
}

pub(super) fn find_call(at: &str, repository: &Repository, selector: &Selector) -> Call {
    Call::Find { at: at.to_owned(), repository: repository.to_string(), reference: selector.to_string() }
}

pub(super) fn some_tags_call(at: &str, repository: &Repository, limit: usize) -> Call {
    Call::SomeTags { at: at.to_owned(), repository: repository.to_string(), limit }
}

pub(super) fn list_referrers_call(at: &str, repository: &Repository, digest: &Digest) -> Call {
    Call::ListReferrers { at: at.to_owned(), repository: repository.to_string(), digest: digest.clone() }
}

pub(super) fn tags_call(repository: &Reference, after: Option<&str>, limit: usize) -> Call {
    Call::Tags { repository: repository.name(), after: after.map(str::to_owned), limit }
}

pub(super) fn referrers_call(source: &Source, digest: &Digest, artifact_type: Option<&str>) -> Call {
    let (source, artifact_type) = (source.to_string(), artifact_type.map(str::to_owned));
    Call::Referrers { source, digest: digest.clone(), artifact_type }
}

/// Origins whose answers are written down.
pub(super) struct Recording {
    inner: Arc<dyn Origins>,
    recorder: Arc<Recorder>,
    scratch: PathBuf,
}

impl Recording {
    pub(super) fn new(inner: Arc<dyn Origins>, recorder: Arc<Recorder>, scratch: &Path) -> Self {
        Self { inner, recorder, scratch: scratch.to_owned() }
    }
}

/// Writes down what came of a question.
fn noted<T: Serialize>(recorder: &Recorder, call: Call, result: &Result<T, ContentError>) {
    let result = result.as_ref().map_err(Fault::of);
    recorder.note(call, Outcome::of(&result));
}

#[async_trait]
impl Origins for Recording {
    async fn origin(&self, source: &Source) -> Result<Origin, ContentError> {
        let found = self.inner.origin(source).await;
        if own(source, &self.scratch).is_some() {
            return found;
        }
        let place = found.as_ref().map(|origin| Place {
            name: origin.read.name(),
            repository: origin.repository.to_string(),
            reference: origin.selector.to_string(),
        });
        let call = Call::Origin { source: source.to_string() };
        if !self.recorder.is_settled(&call) {
            if place.is_ok() {
                self.recorder.settle(&call);
            }
            self.recorder.note(call, Outcome::of(&place.map_err(Fault::of)));
        }
        let origin = found?;
        let (inner, recorder) = (origin.read, self.recorder.clone());
        Ok(Origin { read: Arc::new(RecordedRead { inner, at: place_of(source), recorder }), ..origin })
    }

    async fn tags(
        &self,
        repository: &Reference,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, ContentError> {
        let answer = self.inner.tags(repository, after, limit).await;
        noted(&self.recorder, tags_call(repository, after, limit), &answer);
        answer
    }

    async fn referrers(
        &self,
        source: &Source,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, ContentError> {
        let answer = self.inner.referrers(source, digest, artifact_type).await;
        if own(source, &self.scratch).is_none() {
            noted(&self.recorder, referrers_call(source, digest, artifact_type), &answer);
        }
        answer
    }
}

/// A place whose answers are written down.
struct RecordedRead {
    inner: Arc<dyn ContentRead>,
    at: String,
    recorder: Arc<Recorder>,
}

#[async_trait]
impl ContentRead for RecordedRead {
    fn name(&self) -> String {
        self.inner.name()
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<RawManifest, ContentError> {
        let answer = self.inner.manifest(repository, selector).await;
        let call = manifest_call(&self.at, repository, selector);
        let written = answer.as_ref().map(|manifest| Manifest {
            media_type: manifest.media_type().to_owned(),
            body: Body::of(manifest.bytes()),
        });
        if !self.recorder.is_settled(&call) {
            if written.is_ok() && matches!(selector, Selector::Digest(_)) {
                self.recorder.settle(&call);
            }
            self.recorder.note(call, Outcome::of(&written.map_err(Fault::of)));
        }
        answer
    }

    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        let call = blob_call(&self.at, repository, &blob.digest, offset);
        match self.inner.blob(repository, blob, offset).await {
            Ok(stream) if self.recorder.is_settled(&call) => Ok(stream),
            Ok(stream) => {
                let size = blob.size.saturating_sub(offset);
                Ok(recorded(stream, self.recorder.clone(), call, json!({}), Some(size)))
            }
            Err(error) => {
                self.recorder.note(call, Outcome::of(&Err::<(), _>(Fault::of(&error))));
                Err(error)
            }
        }
    }

    async fn find(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<Option<Descriptor>, ContentError> {
        let answer = self.inner.find(repository, selector).await;
        noted(&self.recorder, find_call(&self.at, repository, selector), &answer);
        answer
    }

    fn found_at(&self, repository: &Repository, digest: &Digest) -> Option<String> {
        self.inner.found_at(repository, digest)
    }

    async fn some_tags(
        &self,
        repository: &Repository,
        limit: usize,
    ) -> Result<Option<Vec<Tag>>, ContentError> {
        let answer = self.inner.some_tags(repository, limit).await;
        noted(&self.recorder, some_tags_call(&self.at, repository, limit), &answer);
        answer
    }

    async fn list_referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, ContentError> {
        let answer = self.inner.list_referrers(repository, subject).await;
        noted(&self.recorder, list_referrers_call(&self.at, repository, subject), &answer);
        answer
    }
}

/// Origins of a recording.
pub(super) struct Replaying {
    replay: Arc<Replay>,
    scratch: PathBuf,
}

impl Replaying {
    pub(super) fn new(replay: Arc<Replay>, scratch: &Path) -> Self {
        Self { replay, scratch: scratch.to_owned() }
    }
}

fn damaged(call: &Call, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ContentError {
    let kind = ContentErrorKind::Invalid("the recording is damaged".to_owned());
    ContentError::with_source(call.to_string(), kind, error)
}

/// Answers from a recording.
fn answer<T: DeserializeOwned>(replay: &Replay, call: &Call) -> Result<T, ContentError> {
    let found = replay.answer(call).map_err(|_| lacking(replay, &call.to_string()))?;
    let read: Result<T, Fault> = found.read().map_err(|e| damaged(call, e))?;
    read.map_err(Fault::error)
}

#[async_trait]
impl Origins for Replaying {
    async fn origin(&self, source: &Source) -> Result<Origin, ContentError> {
        if let Some(layout) = own(source, &self.scratch) {
            return origin_in_layout(layout).await;
        }
        let call = Call::Origin { source: source.to_string() };
        let Place { name, repository, reference } = answer(&self.replay, &call)?;
        let repository = repository.parse().map_err(|e| damaged(&call, e))?;
        let selector = selector(&reference).ok_or_else(|| damaged(&call, "it has no reference"))?;
        let read = ReplayedRead { replay: self.replay.clone(), at: place_of(source), name };
        Ok(Origin { read: Arc::new(read), repository, selector })
    }

    async fn tags(
        &self,
        repository: &Reference,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, ContentError> {
        answer(&self.replay, &tags_call(repository, after, limit))
    }

    async fn referrers(
        &self,
        source: &Source,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, ContentError> {
        match own(source, &self.scratch) {
            // What the run has built has nothing beside it.
            Some(_) => Ok(Vec::new()),
            None => answer(&self.replay, &referrers_call(source, digest, artifact_type)),
        }
    }
}

/// A place of a recording.
struct ReplayedRead {
    replay: Arc<Replay>,
    at: String,
    name: String,
}

#[async_trait]
impl ContentRead for ReplayedRead {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<RawManifest, ContentError> {
        let call = manifest_call(&self.at, repository, selector);
        let Manifest { media_type, body } = answer(&self.replay, &call)?;
        let bytes = body.bytes().map_err(|e| damaged(&call, e))?;
        let manifest = RawManifest::parse(bytes, Some(&media_type)).map_err(|e| damaged(&call, e))?;
        match selector {
            Selector::Digest(digest) => manifest.verify(digest).map_err(|e| damaged(&call, e)),
            Selector::Tag(_) => Ok(manifest),
        }
    }

    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        let call = blob_call(&self.at, repository, &blob.digest, offset);
        let streamed: Streamed = answer(&self.replay, &call)?;
        Ok(replayed(streamed, self.replay.clone(), call))
    }

    async fn find(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<Option<Descriptor>, ContentError> {
        answer(&self.replay, &find_call(&self.at, repository, selector))
    }

    async fn some_tags(
        &self,
        repository: &Repository,
        limit: usize,
    ) -> Result<Option<Vec<Tag>>, ContentError> {
        answer(&self.replay, &some_tags_call(&self.at, repository, limit))
    }

    async fn list_referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, ContentError> {
        answer(&self.replay, &list_referrers_call(&self.at, repository, subject))
    }
}
