use super::*;
use crate::content::memory::Memory;
use crate::content::{ContentWrite, TagStore};
use crate::trust::testing::{Answer, Web};
use oc_mirror_model::manifest::RawManifest;

const LOOKASIDE: &str = "https://signatures.example/dir";

fn digest() -> Digest {
    Digest::of(b"an image")
}

async fn put(content: &Memory, repository: &Repository, bytes: &[u8], media_type: &str) -> Descriptor {
    let mut layer = Descriptor::of(media_type, bytes);
    let piece = Ok(bytes::Bytes::copy_from_slice(bytes));
    let body = Box::pin(futures_util::stream::iter(vec![piece]));
    content.put_blob(repository, &layer, body).await.unwrap();
    layer.annotations.insert(SIGNATURE.to_owned(), "c2ln".to_owned());
    layer
}

/// A repository with two signatures of the image, and something else.
async fn repository() -> (Memory, Repository) {
    let (content, repository) = (Memory::default(), "ns/app".parse::<Repository>().unwrap());
    let config = put(&content, &repository, b"{}", "application/vnd.oci.image.config.v1+json").await;
    let mut layers = Vec::new();
    for (text, media_type) in
        [(&b"one"[..], SIMPLE_SIGNING), (b"other", "text/plain"), (b"two", SIMPLE_SIGNING)]
    {
        layers.push(put(&content, &repository, text, media_type).await);
    }
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": layers,
    });
    let manifest = RawManifest::parse(manifest.to_string().into_bytes(), None).unwrap();
    content.put_manifest(&repository, &manifest).await.unwrap();
    let tag = format!("sha256-{}.sig", digest().hex()).parse().unwrap();
    content.put_tag(&repository, &tag, &manifest).await.unwrap();
    (content, repository)
}

async fn stored(source: &str, registries_d: &str, web: Web) -> StoredImage {
    let (content, repository) = repository().await;
    let mut all = RegistriesD::default();
    all.add("test.yaml", registries_d.as_bytes()).unwrap();
    StoredImage {
        source: source.parse().unwrap(),
        digest: digest(),
        read: Arc::new(content),
        repository,
        registries_d: Arc::new(all),
        http: Arc::new(web),
    }
}

#[tokio::test]
async fn signatures_lie_beside_the_image() {
    let image = stored("q.io/ns/app:1", "docker: {}", Web::default()).await;
    let found = image.sigstore_attachments().await.unwrap();
    let payloads: Vec<&[u8]> = found.iter().map(|attachment| &attachment.payload[..]).collect();
    assert_eq!(payloads, [b"one", b"two"]);
    assert_eq!((&*found[0].signature, found[0].annotations.iter().count()), ("c2ln", 1));
    let other = StoredImage { digest: Digest::of(b"another"), ..image };
    assert_eq!(other.sigstore_attachments().await.unwrap(), []);
    let quiet = "docker: {q.io/ns: {use-sigstore-attachments: false}}";
    let quiet = stored("q.io/ns/app:1", quiet, Web::default()).await;
    assert_eq!(quiet.sigstore_attachments().await.unwrap(), []);
}

#[tokio::test]
async fn signatures_lie_elsewhere() {
    let base: Url = LOOKASIDE.parse().unwrap();
    let reference: Reference = "q.io/ns/app:1".parse().unwrap();
    let at = |number| place(&base, &reference, &digest(), number);
    assert_eq!(at(1), format!("{LOOKASIDE}/ns/app@sha256={}/signature-1", digest().hex()));
    let yaml = format!("docker: {{q.io: {{lookaside: '{LOOKASIDE}/'}}}}");
    let web =
        || Web::default().with(&at(1), Answer::Body(b"a".to_vec())).with(&at(2), Answer::Body(b"b".to_vec()));
    let image = stored("q.io/ns/app:1", &yaml, web()).await;
    assert_eq!(image.lookaside_signatures().await.unwrap(), [b"a", b"b"]);
    let broken = stored("q.io/ns/app:1", &yaml, web().with(&at(3), Answer::Status(500))).await;
    assert!(broken.lookaside_signatures().await.unwrap_err().is_temporary());
    for (source, yaml) in [("q.io/ns/app:1", "docker: {}"), ("oci:/ns/app", &yaml)] {
        let none = stored(source, yaml, web()).await;
        assert_eq!(none.lookaside_signatures().await.unwrap(), Vec::<Vec<u8>>::new());
    }
}

#[tokio::test]
async fn signatures_lie_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join(format!("ns/app@sha256={}", digest().hex()));
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("signature-1"), b"a").unwrap();
    std::fs::write(place.join("signature-3"), b"c").unwrap();
    let yaml = format!("default-docker: {{lookaside: 'file://{}'}}", dir.path().display());
    let image = stored("q.io/ns/app:1", &yaml, Web::default()).await;
    assert_eq!(image.lookaside_signatures().await.unwrap(), [b"a"]);
}
