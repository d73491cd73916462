//! Fetching out of layouts, and signatures that refer to what they are about.

use async_trait::async_trait;
use oc_mirror_model::media_type;
use oc_mirror_model::reference::LayoutReference;
use serde_json::json;

use super::*;
use crate::report::Silence;
use crate::trust::image::{SIGNATURE, SIMPLE_SIGNING};
use crate::trust::signing::SignatureKey;

/// One layout, whatever is asked for.
struct One(PathBuf);

#[async_trait]
impl Origins for One {
    async fn origin(&self, source: &Source) -> Result<Origin, ContentError> {
        let Source::Layout(wanted) = source else { unreachable!("layouts only") };
        let layout = Layout::open(&self.0)?;
        let found = layout.resolve(wanted.name.as_deref(), wanted.digest.as_ref()).await?;
        let selector = Selector::Digest(found.digest);
        Ok(Origin { read: Arc::new(layout), repository: kept_in(), selector })
    }

    async fn tags(&self, _: &Reference, _: Option<&str>, _: usize) -> Result<Vec<String>, ContentError> {
        Ok(Vec::new())
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

fn artifacts(dir: &Path) -> PluginArtifacts {
    PluginArtifacts {
        origins: Arc::new(One(dir.to_owned())),
        cache: None,
        retry: Retry { times: 0, delay: None },
        events: Arc::new(Silence),
        max_bytes: 1000,
    }
}

fn place(dir: &Path, name: &str) -> LayoutReference {
    LayoutReference { path: dir.to_owned(), name: Some(name.to_owned()), digest: None }
}

async fn push(dir: &Path, component: &[u8]) -> Result<Pushed, PluginArtifactError> {
    let about = About {
        id: "mine".to_owned(),
        version: "1.0.0".to_owned(),
        description: String::new(),
        imports: Vec::new(),
        exports: Vec::new(),
        created: "1970-01-01T00:00:00Z".to_owned(),
    };
    let artifact = Artifact::new(component.to_vec(), &about);
    let mut shelf = Shelf::in_layout(place(dir, "team/mine:1"), Retry::default(), Arc::new(Silence))?;
    shelf.push(&artifact, &about, false).await
}

fn key() -> SignatureKey {
    let (_, pem) = crate::archive::SigningKey::generate().expect("made");
    SignatureKey::parse(pem.as_bytes()).expect("a key of imagesets is one of plugins")
}

fn keys(key: &SignatureKey) -> PublisherKeys {
    let mut keys = PublisherKeys::default();
    keys.add("own.pub", key.public_pem().as_bytes()).expect("its public half");
    keys
}

#[tokio::test]
async fn a_signature_may_refer_to_what_it_is_about() {
    let dir = tempfile::tempdir().expect("a directory");
    let pushed = push(dir.path(), b"component").await.expect("pushed");
    let artifacts = artifacts(dir.path());
    let source = Source::Layout(place(dir.path(), "team/mine:1"));
    let fetched = artifacts.fetch(&source).await.expect("fetched");
    assert_eq!((&fetched.digest, fetched.component.as_slice()), (&pushed.digest, b"component".as_slice()));
    let key = key();
    let unsigned = artifacts.signer(&fetched, &keys(&key)).await;
    assert!(matches!(unsigned, Err(PluginArtifactError::NotSigned(NotSigned::Unsigned { .. }))));

    let signed = key.sign_manifest(&pushed.digest, "r.example/mine").expect("signed");
    let mut layer = Descriptor::of(SIMPLE_SIGNING, &signed.payload);
    layer.annotations.insert(SIGNATURE.to_owned(), signed.signature);
    let config = Descriptor::of("application/vnd.oci.empty.v1+json", b"{}");
    let manifest = |artifact_type: &str| {
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "artifactType": artifact_type,
            "config": config,
            "layers": [layer],
            "subject": {"mediaType": media_type::OCI_MANIFEST, "digest": pushed.digest, "size": 1},
        });
        RawManifest::parse(manifest.to_string().into_bytes(), None).expect("a manifest")
    };
    let layout = Layout::create(dir.path()).expect("opened");
    layout.put_blob(&kept_in(), &config, stream_of(&Bytes::from_static(b"{}"))).await.expect("put");
    layout.put_blob(&kept_in(), &layer, stream_of(&signed.payload.clone().into())).await.expect("put");
    layout.put_manifest(&kept_in(), &manifest("application/spdx+json")).await.expect("put");
    let other = artifacts.signer(&fetched, &keys(&key)).await;
    assert!(matches!(other, Err(PluginArtifactError::NotSigned(NotSigned::Unsigned { .. }))));
    layout.put_manifest(&kept_in(), &manifest(SIGNATURE_TYPE)).await.expect("put");
    assert_eq!(artifacts.signer(&fetched, &keys(&key)).await.expect("signed").id, key.id());
}

#[tokio::test]
async fn what_is_too_large_is_not_read() {
    let dir = tempfile::tempdir().expect("a directory");
    push(dir.path(), &[0; 1001]).await.expect("pushed");
    let fetched = artifacts(dir.path()).fetch(&Source::Layout(place(dir.path(), "team/mine:1"))).await;
    assert!(matches!(fetched, Err(PluginArtifactError::TooLarge { size: 1001, most: 1000, .. })));
}

#[tokio::test]
async fn a_component_that_was_altered_is_not_used() {
    let dir = tempfile::tempdir().expect("a directory");
    push(dir.path(), b"component").await.expect("pushed");
    let blob = dir.path().join(Digest::of(b"component").layout_path());
    std::fs::write(blob, b"compound!").expect("written");
    let error = artifacts(dir.path()).fetch(&Source::Layout(place(dir.path(), "team/mine:1"))).await;
    let Err(PluginArtifactError::Content(error)) = error else { panic!("{error:?}") };
    assert!(matches!(error.kind(), ContentErrorKind::WrongDigest { .. }), "{error}");
}
