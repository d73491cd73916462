use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::media_type;
use oc_mirror_model::reference::{Reference, Repository, Selector, Source};

use super::{Header, Outside, Recorder, RecordingErrorKind, Replay};
use crate::content::memory::Memory;
use crate::content::testing::read;
use crate::content::{BlobStream, ContentError, ContentErrorKind, ContentRead, ContentWrite, TagStore};
use crate::source::testing::get;
use crate::source::{
    HttpError, HttpFetch, HttpRequest, HttpResponse, Keyring, NoKeys, Payload, SignatureError,
    SignatureFaultKind, Signatures, VerifiedSignature,
};
use crate::workflow::images::{Origin, Origins};

/// One registry, in memory.
struct World(Arc<Memory>);

#[async_trait]
impl Origins for World {
    async fn origin(&self, source: &Source) -> Result<Origin, ContentError> {
        match source {
            Source::Registry(reference) => Ok(Origin {
                read: Arc::new(Pieces(self.0.clone())),
                repository: reference.repository.clone(),
                selector: reference.selector(),
            }),
            Source::Layout(layout) => {
                Err(ContentError::new(layout.path.display().to_string(), ContentErrorKind::NotFound))
            }
        }
    }

    async fn tags(&self, _: &Reference, _: Option<&str>, _: usize) -> Result<Vec<String>, ContentError> {
        Ok(vec!["1".to_owned(), "2".to_owned()])
    }

    async fn referrers(
        &self,
        _: &Source,
        _: &Digest,
        _: Option<&str>,
    ) -> Result<Vec<Descriptor>, ContentError> {
        Err(ContentError::new("it", ContentErrorKind::Unavailable("is down".to_owned())))
    }
}

/// Memory whose blobs come in pieces, as from a registry.
struct Pieces(Arc<Memory>);

#[async_trait]
impl ContentRead for Pieces {
    fn name(&self) -> String {
        "registry a.example".to_owned()
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<RawManifest, ContentError> {
        self.0.manifest(repository, selector).await
    }

    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        let bytes = read(self.0.blob(repository, blob, offset).await?).await?;
        let pieces: Vec<_> = bytes.chunks(200_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Ok(Box::pin(futures_util::stream::iter(pieces)))
    }
}

/// A web server that answers once with each of its bodies.
#[derive(Default)]
struct Web(std::sync::Mutex<BTreeMap<String, Vec<&'static [u8]>>>);

#[async_trait]
impl HttpFetch for Web {
    async fn fetch(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut bodies = self.0.lock().unwrap();
        let Some(known) = bodies.get_mut(&request.url) else {
            return Err(HttpError::Denied { url: request.url, reason: "no".to_owned() });
        };
        let body = Bytes::from_static(known.remove(0));
        Ok(HttpResponse {
            status: 200,
            headers: vec![("etag".to_owned(), "x".to_owned())],
            final_url: request.url,
            body: Box::pin(futures_util::stream::iter([Ok(body)])),
        })
    }

    fn has_credential(&self, name: &str) -> bool {
        name == "held"
    }
}

/// Keys that have signed one payload.
struct Keys;

#[async_trait]
impl Signatures for Keys {
    async fn verify(&self, payload: &Payload) -> Result<Vec<VerifiedSignature>, SignatureError> {
        if !self.admits(&payload.digest) {
            return NoKeys.verify(payload).await;
        }
        Ok(vec![VerifiedSignature {
            number: 1,
            store: "https://store.example".to_owned(),
            identity: "a.example/release:4.20.1".to_owned(),
            key: "ABCD".to_owned(),
            signer: "somebody".to_owned(),
            created: None,
            bytes: vec![0, 255],
        }])
    }

    fn admits(&self, digest: &Digest) -> bool {
        *digest == Digest::of(b"signed")
    }
}

fn header() -> Header {
    Header::new("oc-mirror 0.1.0", "a", "1.0.0", Digest::of(b"component"), "2026-01-02T03:04:05Z")
}

fn source() -> Source {
    "a.example/team/app:1".parse().unwrap()
}

/// A registry with one image, whose layer is longer than a piece; and the layer.
async fn world() -> (Outside, Descriptor) {
    let memory = Arc::new(Memory::default());
    let repository = "team/app".parse().unwrap();
    let layer = Descriptor::of("application/octet-stream", &vec![0xff; 600_000]);
    let config = Descriptor::of(media_type::OCI_CONFIG, b"{}");
    for (blob, bytes) in [(&layer, vec![0xff; 600_000]), (&config, b"{}".to_vec())] {
        let body = Box::pin(futures_util::stream::iter([Ok(Bytes::from(bytes))]));
        memory.put_blob(&repository, blob, body).await.unwrap();
    }
    let text = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": [layer],
    });
    let manifest = RawManifest::parse(text.to_string().into_bytes(), None).unwrap();
    memory.put_manifest(&repository, &manifest).await.unwrap();
    memory.put_tag(&repository, &"1".parse().unwrap(), &manifest).await.unwrap();
    let web = Web::default();
    let bodies = vec![b"first".as_slice(), b"\0second".as_slice()];
    web.0.lock().unwrap().insert("https://a.example/list".to_owned(), bodies);
    let outside =
        Outside { origins: Arc::new(World(memory)), http: Arc::new(web), signatures: Arc::new(Keys) };
    (outside, layer)
}

/// Asks for everything there is, and returns what came of it as text.
async fn ask(outside: &Outside, layer: &Descriptor, most_of_layer: usize) -> Vec<String> {
    let mut told = Vec::new();
    let origin = outside.origins.origin(&source()).await.unwrap();
    told.push(origin.read.name());
    let manifest = origin.read.manifest(&origin.repository, &origin.selector).await.unwrap();
    told.push(manifest.digest().to_string());
    let by_digest = Selector::Digest(manifest.digest().clone());
    told.push(format!("{:?}", origin.read.find(&origin.repository, &by_digest).await));
    let missing = Selector::Tag("none".parse().unwrap());
    told.push(origin.read.manifest(&origin.repository, &missing).await.unwrap_err().to_string());
    let mut stream = origin.read.blob(&origin.repository, layer, 0).await.unwrap();
    let mut seen = 0;
    while seen < most_of_layer {
        match stream.next().await {
            Some(Ok(piece)) => seen += piece.len(),
            Some(Err(error)) => {
                told.push(error.to_string());
                break;
            }
            None => break,
        }
    }
    drop(stream);
    let Source::Registry(repository) = source() else { unreachable!("it is in a registry") };
    told.push(format!("{:?}", outside.origins.tags(&repository, None, 10).await));
    let referrers = outside.origins.referrers(&source(), manifest.digest(), None).await;
    told.push(referrers.unwrap_err().to_string());
    for _ in 0..2 {
        let answer = outside.http.fetch(get("https://a.example/list")).await.unwrap();
        told.push(format!("{} {:?} {}", answer.status, answer.headers, answer.final_url));
        told.push(format!("{:?}", read(answer.body).await.unwrap()));
    }
    told.push(outside.http.fetch(get("https://other.example/")).await.err().unwrap().to_string());
    told.push(format!("{} {}", outside.http.has_credential("held"), outside.http.has_credential("none")));
    for payload in [b"signed".as_slice(), b"other"].map(Digest::of) {
        let asked = Payload { digest: payload.clone(), version: None, keyring: Keyring::Ocp };
        let answer = outside.signatures.verify(&asked).await;
        told.push(format!("{answer:?} {}", outside.signatures.admits(&payload)));
    }
    told
}

async fn record(path: &Path, most_of_layer: usize) -> (Vec<String>, Descriptor) {
    let (outside, layer) = world().await;
    let recorder = Recorder::create(path, &header()).unwrap();
    let told = ask(&outside.recorded(&recorder, Path::new("/scratch")), &layer, most_of_layer).await;
    assert!(recorder.finish().unwrap() > 10);
    (told, layer)
}

#[tokio::test]
async fn what_is_replayed_is_what_was_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    for most_of_layer in [1_000_000, 600_000, 100_000] {
        let (told, layer) = record(&path, most_of_layer).await;
        let replay = Replay::open(&path).unwrap();
        assert_eq!(*replay.header(), header());
        let outside = Outside::replayed(&replay, Path::new("/scratch"));
        assert_eq!(ask(&outside, &layer, most_of_layer).await, told);
        assert_eq!(replay.missing(), Vec::<String>::new());
        // Who has read as much as there is need not have asked for more.
        let origin = outside.origins.origin(&source()).await.unwrap();
        let whole = read(origin.read.blob(&origin.repository, &layer, 0).await.unwrap()).await;
        assert_eq!(whole.is_ok(), most_of_layer > 100_000);
    }
}

#[tokio::test]
async fn what_is_not_in_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    let (_, layer) = record(&path, 100_000).await;
    let replay = Replay::open(&path).unwrap();
    let outside = Outside::replayed(&replay, Path::new("/scratch"));
    let other: Source = "a.example/team/other:1".parse().unwrap();
    let error = outside.origins.origin(&other).await.err().unwrap();
    assert_eq!(error.to_string(), "`origin a.example/team/other:1`: it is not in the recording");
    assert!(!error.is_temporary());
    let error = outside.http.fetch(get("https://b.example/x?key=hunter2")).await.err().unwrap();
    assert_eq!(error.to_string(), "not in the recording: http GET https://b.example/x");
    // Nobody has read the layer to its end.
    let origin = outside.origins.origin(&source()).await.unwrap();
    let stream = origin.read.blob(&origin.repository, &layer, 0).await.unwrap();
    let error = read(stream).await.unwrap_err().to_string();
    assert!(error.contains("beyond 200000 bytes`: it is not in the recording"), "{error}");
    let payload = Payload { digest: Digest::of(b"q"), version: None, keyring: Keyring::Ocp };
    let error = outside.signatures.verify(&payload).await.unwrap_err();
    assert_eq!(error.reasons[0].kind, SignatureFaultKind::Unavailable);
    let missing = replay.missing();
    assert_eq!(missing.len(), 4, "{missing:?}");
    assert_eq!(missing[1], "http GET https://b.example/x");
}

#[tokio::test]
async fn a_recording_has_limits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    let (outside, layer) = world().await;
    let recorder = Recorder::with_limits(&path, &header(), 300_000, 1 << 20).unwrap();
    let told = ask(&outside.clone().recorded(&recorder, Path::new("/scratch")), &layer, 1_000_000).await;
    assert!(told.iter().any(|text| text.ends_with("it is too large for a recording")), "{told:?}");
    let error = recorder.finish().unwrap_err();
    assert!(matches!(error.kind, RecordingErrorKind::Body { limit: 300_000, .. }), "{error}");
    assert!(error.to_string().contains(&format!("blob a.example team/app {}", layer.digest)), "{error}");

    let (outside, layer) = world().await;
    drop(recorder);
    let recorder = Recorder::with_limits(&path, &header(), 1 << 20, 10_000).unwrap();
    ask(&outside.recorded(&recorder, Path::new("/scratch")), &layer, 1_000_000).await;
    assert_eq!(recorder.finish().unwrap_err().kind, RecordingErrorKind::Full(10_000));
    drop(recorder);
    // What failed leaves nothing behind.
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn files_that_are_something_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    let kind = |path: &Path| Replay::open(path).err().unwrap().kind;
    assert_eq!(kind(&path), RecordingErrorKind::Read);
    std::fs::write(&path, "precious\n").unwrap();
    assert_eq!(kind(&path), RecordingErrorKind::Other);
    let error = Recorder::create(&path, &header()).err().unwrap();
    assert_eq!(error.kind, RecordingErrorKind::Occupied);
    assert!(!error.hint().is_empty());
    std::fs::write(&path, "{\"recording\":2}\n").unwrap();
    assert_eq!(kind(&path), RecordingErrorKind::Newer(2));
    // Of whatever format, it is a recording.
    record(&path, 1).await;
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{whole}{{\"call\":")).unwrap();
    assert_eq!(kind(&path), RecordingErrorKind::Damaged(whole.lines().count() + 1));
}
