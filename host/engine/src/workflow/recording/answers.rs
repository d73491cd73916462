//! [`Answers`]: what tags pointed at and what web servers said when a run was planned, so that a later run is told the same.
//!
//! Unlike a recording it has no content: what has a digest is read by that, from wherever it is. So whoever answers for the plan
//! can say what is wanted, and nobody else than its digest says what it is.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Reference, Repository, Selector, Source, Tag};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::images::{Origin, Origins};
use super::content::{
    find_call, list_referrers_call, manifest_call, own, place_of, referrers_call, some_tags_call, tags_call,
};
use super::entry::{Body, Call, End, Exchange, Fault, Outcome, Streamed};
use super::http::{Failed, Head, call_of, shown};
use crate::content::{BlobStream, ContentError, ContentErrorKind, ContentRead};
use crate::source::{HttpError, HttpFetch, HttpRequest, HttpResponse};

/// What the outside has answered, by question.
#[derive(Debug, Default)]
pub struct Answers {
    /// Of a plan: nobody else is asked.
    given: HashMap<Call, Outcome>,
    /// Of this run. What failed may be asked again.
    noted: Mutex<HashMap<Call, Outcome>>,
}

impl Answers {
    /// Takes answers that were [written](Self::written) before.
    ///
    /// # Errors
    ///
    /// If one of them has another form.
    pub fn read(written: &[Value]) -> serde_json::Result<Self> {
        let given = written.iter().map(|value| {
            let Exchange { call, outcome } = Exchange::deserialize(value)?;
            Ok((call, outcome))
        });
        Ok(Self { given: given.collect::<serde_json::Result<_>>()?, noted: Mutex::default() })
    }

    /// Returns all of them as plain data, in an order of their own.
    pub fn written(&self) -> Vec<Value> {
        let noted = self.noted.lock().expect("no holder of this lock panics");
        let all = self.given.iter().chain(noted.iter().filter(|(call, _)| !self.given.contains_key(*call)));
        let exchange =
            |(call, outcome): (&Call, &Outcome)| Exchange { call: call.clone(), outcome: outcome.clone() };
        let written = all.map(exchange).map(|exchange| {
            let value = serde_json::to_value(exchange).expect("the forms of recordings have texts as keys");
            (value["call"].to_string(), value)
        });
        written.collect::<BTreeMap<String, Value>>().into_values().collect()
    }

    fn get(&self, call: &Call) -> Option<Outcome> {
        if let Some(given) = self.given.get(call) {
            return Some(given.clone());
        }
        let noted = self.noted.lock().expect("no holder of this lock panics");
        noted.get(call).filter(|outcome| matches!(outcome, Outcome::Answer(_))).cloned()
    }

    /// Notes an answer. The first one stays, unless it was an error.
    fn note(&self, call: Call, outcome: Outcome) {
        let mut noted = self.noted.lock().expect("no holder of this lock panics");
        match noted.get(&call) {
            Some(Outcome::Answer(_)) => {}
            Some(Outcome::Error(_)) | None => {
                noted.insert(call, outcome);
            }
        }
    }

    /// Returns the answer to a question about content, if there is one.
    fn content<T: DeserializeOwned>(&self, call: &Call) -> Option<Result<T, ContentError>> {
        let outcome = self.get(call)?;
        let read: Result<T, Fault> = match outcome.read() {
            Ok(read) => read,
            Err(error) => {
                let kind = ContentErrorKind::Invalid("the plan is damaged".to_owned());
                return Some(Err(ContentError::with_source(call.to_string(), kind, error)));
            }
        };
        Some(read.map_err(Fault::error))
    }

    fn note_content<T: Serialize>(&self, call: Call, answer: &Result<T, ContentError>) {
        self.note(call, Outcome::of(&answer.as_ref().map_err(Fault::of)));
    }

    /// Returns the answer to a question about content; asks, and notes what comes of it, where there is none.
    async fn or_ask<T: Serialize + DeserializeOwned>(
        &self,
        call: Call,
        asked: impl Future<Output = Result<T, ContentError>>,
    ) -> Result<T, ContentError> {
        if let Some(answer) = self.content(&call) {
            return answer;
        }
        let answer = asked.await;
        self.note_content(call, &answer);
        answer
    }
}

/// A tag of a plan points at what is no longer there.
#[derive(Debug, thiserror::Error)]
#[error("the plan has it as `{0}`, which is no longer there")]
pub struct NoLongerThere(pub Digest);

/// Origins of which tags and lists are as [`Answers`] have them.
pub(super) struct Remembered {
    inner: Arc<dyn Origins>,
    answers: Arc<Answers>,
    scratch: PathBuf,
}

impl Remembered {
    pub(super) fn new(inner: Arc<dyn Origins>, answers: Arc<Answers>, scratch: &Path) -> Self {
        Self { inner, answers, scratch: scratch.to_owned() }
    }
}

#[async_trait]
impl Origins for Remembered {
    async fn origin(&self, source: &Source) -> Result<Origin, ContentError> {
        let origin = self.inner.origin(source).await?;
        if own(source, &self.scratch).is_some() {
            return Ok(origin);
        }
        let (inner, answers) = (origin.read, self.answers.clone());
        Ok(Origin { read: Arc::new(RememberedRead { inner, at: place_of(source), answers }), ..origin })
    }

    async fn tags(
        &self,
        repository: &Reference,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, ContentError> {
        let asked = self.inner.tags(repository, after, limit);
        self.answers.or_ask(tags_call(repository, after, limit), asked).await
    }

    async fn referrers(
        &self,
        source: &Source,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, ContentError> {
        let asked = self.inner.referrers(source, digest, artifact_type);
        match own(source, &self.scratch) {
            Some(_) => asked.await,
            None => self.answers.or_ask(referrers_call(source, digest, artifact_type), asked).await,
        }
    }
}

/// A place of which tags and lists are as [`Answers`] have them.
struct RememberedRead {
    inner: Arc<dyn ContentRead>,
    at: String,
    answers: Arc<Answers>,
}

#[async_trait]
impl ContentRead for RememberedRead {
    fn name(&self) -> String {
        self.inner.name()
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<RawManifest, ContentError> {
        if let Selector::Digest(_) = selector {
            return self.inner.manifest(repository, selector).await;
        }
        let call = manifest_call(&self.at, repository, selector);
        let Some(answer) = self.answers.content::<Descriptor>(&call) else {
            let manifest = self.inner.manifest(repository, selector).await;
            let descriptor = manifest.as_ref().map(|manifest| manifest.descriptor().clone());
            self.answers.note(call, Outcome::of(&descriptor.map_err(Fault::of)));
            return manifest;
        };
        let digest = answer?.digest;
        let pinned = self.inner.manifest(repository, &Selector::Digest(digest.clone())).await;
        pinned.map_err(|error| match error.is_not_found() {
            true => {
                let gone = NoLongerThere(digest);
                let kind = ContentErrorKind::Refused("it cannot be had as it was planned".to_owned());
                ContentError::with_source(format!("{repository}:{selector}"), kind, gone)
            }
            false => error,
        })
    }

    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        self.inner.blob(repository, blob, offset).await
    }

    async fn find(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<Option<Descriptor>, ContentError> {
        let asked = self.inner.find(repository, selector);
        self.answers.or_ask(find_call(&self.at, repository, selector), asked).await
    }

    fn found_at(&self, repository: &Repository, digest: &Digest) -> Option<String> {
        self.inner.found_at(repository, digest)
    }

    fn is_at_hand(&self, blob: &Descriptor) -> bool {
        self.inner.is_at_hand(blob)
    }

    async fn some_tags(
        &self,
        repository: &Repository,
        limit: usize,
    ) -> Result<Option<Vec<Tag>>, ContentError> {
        let asked = self.inner.some_tags(repository, limit);
        self.answers.or_ask(some_tags_call(&self.at, repository, limit), asked).await
    }

    async fn list_referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, ContentError> {
        let asked = self.inner.list_referrers(repository, subject);
        self.answers.or_ask(list_referrers_call(&self.at, repository, subject), asked).await
    }
}

/// Web servers as [`Answers`] have them.
pub(super) struct RememberedHttp {
    inner: Arc<dyn HttpFetch>,
    answers: Arc<Answers>,
}

impl RememberedHttp {
    pub(super) fn new(inner: Arc<dyn HttpFetch>, answers: Arc<Answers>) -> Self {
        Self { inner, answers }
    }
}

/// Makes an answer again, within what the request allows.
fn answer_of(outcome: &Outcome, call: &Call, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
    let damaged = |e: &dyn std::fmt::Display| {
        HttpError::Invalid(format!("the plan is damaged where it has {call}: {e}"))
    };
    let value = match outcome {
        Outcome::Answer(value) => value,
        Outcome::Error(value) => {
            let failed: Failed = serde_json::from_value(value.clone()).map_err(|e| damaged(&e))?;
            return Err(failed.0);
        }
    };
    let head: Head = serde_json::from_value(value.clone()).map_err(|e| damaged(&e))?;
    let streamed: Streamed = serde_json::from_value(value.clone()).map_err(|e| damaged(&e))?;
    let bytes = streamed.body.bytes().map_err(|e| damaged(&e))?;
    if bytes.len() as u64 > request.max_bytes {
        let text = format!("{call} answers with more than {} bytes", request.max_bytes);
        return Err(HttpError::Unavailable(text));
    }
    let is_itself = head.final_url == request.url || head.final_url == shown(&request.url);
    if !is_itself && !(request.allow)(&head.final_url) {
        return Err(HttpError::Denied { url: head.final_url, reason: "it is not granted".to_owned() });
    }
    Ok(response(head, bytes))
}

fn response(Head { status, headers, final_url }: Head, bytes: Vec<u8>) -> HttpResponse {
    let body = Box::pin(futures_util::stream::iter([Ok(Bytes::from(bytes))]));
    HttpResponse { status, headers, final_url, body }
}

#[async_trait]
impl HttpFetch for RememberedHttp {
    async fn fetch(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let call = call_of(&request);
        if let Some(outcome) = self.answers.get(&call) {
            return answer_of(&outcome, &call, &request);
        }
        let found = match self.inner.fetch(request).await {
            Ok(found) => found,
            Err(error) => {
                let failed = Failed(error);
                self.answers.note(call, Outcome::of(&Err::<(), _>(&failed)));
                return Err(failed.0);
            }
        };
        let HttpResponse { status, headers, final_url, body } = found;
        // It is bounded by what the request allows, and whoever asked keeps all of it as well.
        let bytes = body.try_fold(Vec::new(), |mut all, piece| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        });
        let bytes = match bytes.await {
            Ok(bytes) => bytes,
            // It broke off: whoever reads is told where he reads.
            Err(error) => {
                let body = Box::pin(futures_util::stream::iter([Err(error)]));
                return Ok(HttpResponse { status, headers, final_url, body });
            }
        };
        let head = Head { status, headers, final_url };
        let streamed = Streamed { body: Body::of(&bytes), end: End::Complete };
        let mut value = serde_json::to_value(&head).expect("the forms of recordings have texts as keys");
        if let (Value::Object(value), Ok(Value::Object(more))) = (&mut value, serde_json::to_value(streamed))
        {
            value.extend(more);
        }
        self.answers.note(call, Outcome::Answer(value));
        Ok(response(head, bytes))
    }

    fn has_credential(&self, name: &str) -> bool {
        self.inner.has_credential(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::memory::Memory;
    use crate::content::{ContentWrite, TagStore};

    struct Only(Arc<Memory>);

    #[async_trait]
    impl Origins for Only {
        async fn origin(&self, source: &Source) -> Result<Origin, ContentError> {
            let Source::Registry(reference) = source else { unreachable!("the test names registries") };
            let (repository, selector) = (reference.repository.clone(), reference.selector());
            Ok(Origin { read: self.0.clone(), repository, selector })
        }

        async fn tags(&self, _: &Reference, _: Option<&str>, _: usize) -> Result<Vec<String>, ContentError> {
            Ok(vec!["v1".to_owned()])
        }

        async fn referrers(
            &self,
            _: &Source,
            _: &Digest,
            _: Option<&str>,
        ) -> Result<Vec<Descriptor>, ContentError> {
            Ok(Vec::new())
        }
    }

    fn manifest(config: &[u8]) -> RawManifest {
        let config = Descriptor::of("application/vnd.oci.image.config.v1+json", config);
        let text = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": oc_mirror_model::media_type::OCI_MANIFEST,
            "config": config,
            "layers": [],
        });
        RawManifest::parse(serde_json::to_vec(&text).expect("serialises"), None).expect("a manifest")
    }

    /// Puts a manifest, and the configuration that it names before it.
    async fn put(memory: &Memory, repository: &Repository, config: &'static [u8]) -> RawManifest {
        let manifest = manifest(config);
        let blob = Descriptor::of("application/vnd.oci.image.config.v1+json", config);
        let body = Box::pin(futures_util::stream::iter([Ok(Bytes::from_static(config))]));
        memory.put_blob(repository, &blob, body).await.expect("put");
        memory.put_manifest(repository, &manifest).await.expect("put");
        manifest
    }

    #[tokio::test]
    async fn a_tag_that_moves_is_read_as_it_was() {
        let (memory, scratch) = (Arc::new(Memory::default()), Path::new("/nowhere"));
        let repository: Repository = "a".parse().expect("a repository");
        let tag: Tag = "v1".parse().expect("a tag");
        let source: Source = "r.example/a:v1".parse().expect("a source");
        let (old, new) = (put(&memory, &repository, b"old").await, put(&memory, &repository, b"new").await);
        memory.put_tag(&repository, &tag, &old).await.expect("put");
        let read = async |answers: &Arc<Answers>| {
            let origins = Remembered::new(Arc::new(Only(memory.clone())), answers.clone(), scratch);
            let origin = origins.origin(&source).await.expect("an origin");
            origin.read.manifest(&origin.repository, &origin.selector).await
        };
        let planned = Arc::new(Answers::default());
        assert_eq!(read(&planned).await.expect("read").digest(), old.digest());
        let written = planned.written();
        assert_eq!(written.len(), 1);
        assert!(!written[0].to_string().contains("config"), "a digest and no content: {written:?}");
        memory.put_tag(&repository, &tag, &new).await.expect("put");
        let again = Arc::new(Answers::read(&written).expect("written before"));
        assert_eq!(read(&again).await.expect("read").digest(), old.digest());
        assert_eq!(read(&Arc::default()).await.expect("read").digest(), new.digest());
        assert_eq!(again.written(), written);
    }

    #[tokio::test]
    async fn what_is_gone_is_said_to_be() {
        let memory = Arc::new(Memory::default());
        let repository: Repository = "a".parse().expect("a repository");
        let source: Source = "r.example/a:v1".parse().expect("a source");
        let there = put(&memory, &repository, b"there").await;
        memory.put_tag(&repository, &"v1".parse().expect("a tag"), &there).await.expect("put");
        let planned = Arc::new(Answers::default());
        for (origins, is_there) in [(memory, true), (Arc::default(), false)] {
            let origins = Remembered::new(Arc::new(Only(origins)), planned.clone(), Path::new("/nowhere"));
            let origin = origins.origin(&source).await.expect("an origin");
            let found = origin.read.manifest(&repository, &origin.selector).await;
            assert_eq!(found.is_ok(), is_there);
            if let Err(error) = found {
                let cause = std::error::Error::source(&error).expect("a cause").to_string();
                assert!(cause.contains("no longer there"), "{cause}");
            }
        }
    }
}
