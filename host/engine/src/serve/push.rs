//! Pushing: uploads in one piece or many, mounts, manifests, and deletion.

use std::time::Instant;

use axum::body::{Body, BodyDataStream};
use axum::response::Response;
use futures_util::StreamExt;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use http::{HeaderName, StatusCode};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, InvalidManifest, MAX_MANIFEST_BYTES, RawManifest};
use oc_mirror_model::media_type;
use oc_mirror_model::reference::{Repository, Selector, Tag};
use serde_json::json;
use uuid::Uuid;

use super::answer::{CONTENT_DIGEST, Code, Failure, empty, set};
use super::pace::{Pace, TooSlow};
use super::registry::{Call, Registry};
use super::route;
use super::uploads::Upload;
use crate::content::{ContentError, ContentWrite, TagStore};
use crate::layout::{Layout, Spool, subject_of};

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

/// How many tags one `PUT` may set.
const MAX_TAGS: usize = 16;

impl Registry {
    /// `POST` of a new upload: a mount, the whole blob, or the start of several requests.
    pub(super) async fn begin_upload(
        &self,
        repository: &Repository,
        call: &Call,
        body: Body,
    ) -> Result<Response, Failure> {
        let directory = self.directory()?;
        if let Some(wanted) = call.query("mount") {
            let digest = route::digest(wanted)?;
            if let Some(from) = call.query("from").and_then(|f| f.parse::<Repository>().ok()) {
                let blob = Descriptor::new(media_type::OCI_LAYER_GZIP, digest.clone(), 0);
                if directory.mount(repository, &from, &blob).await? {
                    return Ok(created("blobs", repository, &digest));
                }
            }
        }
        let digest = call.query("digest").map(route::digest).transpose()?;
        self.uploads.make_room()?;
        let mut spool = directory.spool()?;
        if let Some(digest) = digest {
            receive(body, &mut spool, self.options.limits.pace(), None).await?;
            directory.adopt(repository, spool, &digest).await?;
            return Ok(created("blobs", repository, &digest));
        }
        let id = self.uploads.begin(repository, spool);
        Ok(progress(StatusCode::ACCEPTED, repository, id, 0))
    }

    /// `GET` of an upload: how far it has come.
    pub(super) fn upload_status(&self, repository: &Repository, id: Uuid) -> Result<Response, Failure> {
        let upload = self.uploads.find(repository, id)?;
        Ok(progress(StatusCode::NO_CONTENT, repository, id, upload.length()))
    }

    /// `DELETE` of an upload.
    pub(super) fn cancel_upload(&self, repository: &Repository, id: Uuid) -> Result<Response, Failure> {
        self.uploads.find(repository, id)?;
        self.uploads.end(id);
        Ok(empty(StatusCode::NO_CONTENT))
    }

    /// `PATCH` of an upload: the next piece.
    pub(super) async fn add_to_upload(
        &self,
        repository: &Repository,
        id: Uuid,
        call: &Call,
        body: Body,
    ) -> Result<Response, Failure> {
        let upload = self.uploads.find(repository, id)?;
        let mut held = upload.hold()?;
        let spool = held.as_mut().expect("held uploads have content");
        self.add(&upload, spool, call, body).await.map_err(|f| f.at(repository, id, upload.length()))?;
        Ok(progress(StatusCode::ACCEPTED, repository, id, upload.length()))
    }

    /// `PUT` of an upload: perhaps the last piece, and the digest.
    pub(super) async fn end_upload(
        &self,
        repository: &Repository,
        id: Uuid,
        call: &Call,
        body: Body,
    ) -> Result<Response, Failure> {
        let directory = self.directory()?;
        let upload = self.uploads.find(repository, id)?;
        let digest = call.query("digest").ok_or_else(|| {
            Failure::new(StatusCode::BAD_REQUEST, Code::DigestInvalid, "the digest is missing")
        })?;
        let digest = route::digest(digest)?;
        let mut held = upload.hold()?;
        let spool = held.as_mut().expect("held uploads have content");
        self.add(&upload, spool, call, body).await.map_err(|f| f.at(repository, id, upload.length()))?;
        let spool = held.take().expect("held uploads have content");
        self.uploads.end(id);
        directory.adopt(repository, spool, &digest).await?;
        Ok(created("blobs", repository, &digest))
    }

    /// Adds a request's body to an upload. A piece that is not as announced leaves no trace.
    async fn add(&self, upload: &Upload, spool: &mut Spool, call: &Call, body: Body) -> Result<(), Failure> {
        let announced = call.header(CONTENT_RANGE).map(announced_range).transpose()?;
        if let Some((first, last)) = announced {
            if first != spool.length() {
                let message = format!("the next piece begins at {}, not at {first}", spool.length());
                return Err(Failure::new(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    Code::BlobUploadInvalid,
                    message,
                ));
            }
            if call.content_length().is_some_and(|length| length != last - first + 1) {
                return Err(wrong_length());
            }
        }
        let mark = spool.mark();
        let received = receive(body, spool, self.options.limits.pace(), Some(upload)).await;
        if let Some((_, last)) = announced
            && received.is_ok()
            && spool.length() != last + 1
        {
            spool.rewind(mark);
            upload.touch(spool.length());
            return Err(wrong_length());
        }
        received
    }

    /// `PUT` of a manifest under a tag or its digest.
    pub(super) async fn put_manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
        call: &Call,
        body: Body,
    ) -> Result<Response, Failure> {
        let directory = self.directory()?;
        let mut tags: Vec<Tag> = Vec::new();
        match selector {
            Selector::Tag(tag) => tags.push(tag.clone()),
            Selector::Digest(_) => {
                for text in call.query_all("tag").take(MAX_TAGS) {
                    tags.push(text.parse().map_err(|e| Failure::bad_request(Code::TagInvalid, &e))?);
                }
            }
        }
        let content_type = call.header(CONTENT_TYPE).map(str::to_owned);
        let cap = self.options.max_manifest_bytes.min(MAX_MANIFEST_BYTES);
        let bytes = collect(body, cap, self.options.limits.pace()).await?;
        let manifest = parse(bytes, content_type.as_deref(), selector)?;
        self.check_children(directory, repository, &manifest).await?;
        directory.put_manifest(repository, &manifest).await?;
        for tag in &tags {
            directory.put_tag(repository, tag, &manifest).await?;
        }
        let mut response = created("manifests", repository, manifest.digest());
        if let Some(subject) = subject_of(&manifest) {
            set(&mut response, OCI_SUBJECT, &subject.digest.to_string());
        }
        if matches!(selector, Selector::Digest(_)) {
            for tag in &tags {
                if let Ok(value) = http::HeaderValue::from_str(tag.as_str()) {
                    response.headers_mut().append(OCI_TAG, value);
                }
            }
        }
        Ok(response)
    }

    async fn check_children(
        &self,
        directory: &Layout,
        repository: &Repository,
        manifest: &RawManifest,
    ) -> Result<(), Failure> {
        let sparse = self.options.sparse_indexes;
        match directory.first_missing(repository, manifest, sparse).await? {
            None => Ok(()),
            Some(missing) => {
                let message = format!("the manifest names `{}`, which is not there", missing.digest);
                Err(Failure::new(StatusCode::BAD_REQUEST, Code::ManifestBlobUnknown, message)
                    .with_detail(json!({"digest": missing.digest})))
            }
        }
    }

    /// `DELETE` of a tag, or of a manifest with all its tags.
    pub(super) async fn delete_manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<Response, Failure> {
        let directory = self.directory()?;
        let removed = match selector {
            Selector::Tag(tag) => directory.remove_tag(repository, tag).await?,
            Selector::Digest(digest) => directory.remove_manifest(repository, digest).await?,
        };
        if !removed {
            return Err(Failure::not_found(Code::ManifestUnknown, "the repository has no such manifest"));
        }
        Ok(empty(StatusCode::ACCEPTED))
    }

    /// `DELETE` of a blob.
    pub(super) async fn delete_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Response, Failure> {
        if !self.directory()?.remove_blob(repository, digest).await? {
            return Err(Failure::not_found(Code::BlobUnknown, "the repository has no such blob"));
        }
        Ok(empty(StatusCode::ACCEPTED))
    }
}

impl Failure {
    /// Says how far an upload has come, so that the client can go on from there.
    fn at(self, repository: &Repository, id: Uuid, length: u64) -> Self {
        self.with_header(LOCATION, location(repository, id)).with_header(RANGE, range(length))
    }
}

fn location(repository: &Repository, id: Uuid) -> String {
    format!("/v2/{repository}/blobs/uploads/{id}")
}

/// Writes how much there is. Nothing is `0-0` too, as Docker's registry has it: the syntax knows no empty range.
fn range(length: u64) -> String {
    format!("0-{}", length.saturating_sub(1))
}

fn progress(status: StatusCode, repository: &Repository, id: Uuid, length: u64) -> Response {
    let mut response = empty(status);
    set(&mut response, LOCATION, &location(repository, id));
    set(&mut response, RANGE, &range(length));
    set(&mut response, UPLOAD_ID, &id.to_string());
    response
}

fn created(kind: &str, repository: &Repository, digest: &Digest) -> Response {
    let mut response = empty(StatusCode::CREATED);
    set(&mut response, LOCATION, &format!("/v2/{repository}/{kind}/{digest}"));
    set(&mut response, CONTENT_DIGEST, &digest.to_string());
    response
}

/// Reads `a-b`, also as `bytes a-b/c`, which some clients send.
fn announced_range(header: &str) -> Result<(u64, u64), Failure> {
    let text = header.trim().strip_prefix("bytes ").unwrap_or(header.trim());
    let text = text.split('/').next().unwrap_or_default();
    let parsed = text.split_once('-').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    parsed.filter(|(first, last)| first <= last && *last < u64::MAX).ok_or_else(|| {
        let message = "the content range is not `<first>-<last>`";
        Failure::new(StatusCode::BAD_REQUEST, Code::BlobUploadInvalid, message)
    })
}

fn wrong_length() -> Failure {
    let message = "the piece is not as long as its content range says";
    Failure::new(StatusCode::BAD_REQUEST, Code::SizeInvalid, message)
}

fn broken(reason: impl Into<String>) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, Code::BlobUploadInvalid, reason)
}

/// Returns the next piece of a body; nothing at its end.
async fn next(body: &mut BodyDataStream, pace: &mut Pace) -> Result<Option<bytes::Bytes>, Failure> {
    loop {
        let since = Instant::now();
        let piece = tokio::time::timeout(pace.patience(), body.next()).await;
        let bytes = match &piece {
            Ok(Some(Ok(piece))) => piece.len() as u64,
            _ => 0,
        };
        // The end of a body is none too early.
        if !matches!(piece, Ok(None)) && pace.note(since.elapsed(), bytes) == Err(TooSlow) {
            let message = "next to nothing came for too long";
            return Err(Failure::new(StatusCode::REQUEST_TIMEOUT, Code::BlobUploadInvalid, message));
        }
        match piece {
            Err(_) => {}
            Ok(None) => return Ok(None),
            Ok(Some(Ok(piece))) => return Ok(Some(piece)),
            Ok(Some(Err(_))) => return Err(broken("the body broke off")),
        }
    }
}

/// Adds a body to what was taken in.
async fn receive(
    body: Body,
    spool: &mut Spool,
    mut pace: Pace,
    upload: Option<&Upload>,
) -> Result<(), Failure> {
    let mut body = body.into_data_stream();
    while let Some(piece) = next(&mut body, &mut pace).await? {
        spool.write(&piece).map_err(|e| ContentError::disk("upload", "cannot be written", e))?;
        if let Some(upload) = upload {
            upload.touch(spool.length());
        }
    }
    Ok(())
}

/// Reads a body into memory.
async fn collect(body: Body, cap: u64, mut pace: Pace) -> Result<Vec<u8>, Failure> {
    let mut body = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(piece) = next(&mut body, &mut pace).await? {
        if bytes.len() as u64 + piece.len() as u64 > cap {
            let message = format!("manifests have at most {cap} bytes here");
            return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid, message));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

fn parse(bytes: Vec<u8>, content_type: Option<&str>, selector: &Selector) -> Result<RawManifest, Failure> {
    let manifest = RawManifest::parse(bytes, content_type)
        .map_err(|e| Failure::bad_request(Code::ManifestInvalid, &e))?;
    match selector {
        Selector::Tag(_) => Ok(manifest),
        Selector::Digest(digest) => manifest.verify(digest).map_err(|e| match e {
            InvalidManifest::WrongDigest { .. } => Failure::bad_request(Code::DigestInvalid, &e),
            _ => Failure::bad_request(Code::ManifestInvalid, &e),
        }),
    }
}
