use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oc_mirror_model::attributes::Attributes;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::reference::Source;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::content::ContentErrorKind;
use crate::trust::testing::{CosignKey, TestKey, claim, day, fixture};
use RefusalKind as Kind;

const NAME: &str = "quay.io/ns/app:1";

/// An image with signatures.
struct Image {
    source: Source,
    digest: Digest,
    attachments: Vec<Attachment>,
    lookaside: Option<Vec<Vec<u8>>>,
}

#[async_trait]
impl SignedImage for Image {
    fn source(&self) -> &Source {
        &self.source
    }

    fn digest(&self) -> &Digest {
        &self.digest
    }

    async fn sigstore_attachments(&self) -> Result<Vec<Attachment>, ContentError> {
        Ok(self.attachments.clone())
    }

    async fn lookaside_signatures(&self) -> Result<Vec<Vec<u8>>, ContentError> {
        let broken = || ContentError::new("signatures", ContentErrorKind::Unavailable("broken".into()));
        self.lookaside.clone().ok_or_else(broken)
    }
}

fn image() -> Image {
    let digest = Digest::of(b"an image");
    Image { source: NAME.parse().unwrap(), digest, attachments: Vec::new(), lookaside: Some(Vec::new()) }
}

fn attached(key: &CosignKey, payload: Vec<u8>) -> Attachment {
    let signature = STANDARD.encode(key.sign(&payload));
    Attachment { payload, signature, annotations: Attributes::new() }
}

fn policy(requirement: Value) -> ImagePolicy {
    let text = json!({
        "default": [{ "type": "reject" }],
        "transports": { "docker": { "quay.io/ns": [requirement] } },
    });
    ImagePolicy::parse("policy.json", text.to_string().as_bytes(), day(20)).unwrap()
}

async fn verdict(policy: &ImagePolicy, image: &Image) -> Result<(), Kind> {
    policy.check(image).await.map(drop).map_err(|refusal| {
        println!("{refusal}\nhint: {}", refusal.hint());
        refusal.kind
    })
}

fn gpg(key: &TestKey) -> Value {
    json!({ "type": "signedBy", "keyType": "GPGKeys", "keyData": STANDARD.encode(key.public()) })
}

fn cosign(keys: &[&CosignKey]) -> Value {
    let keys: Vec<String> = keys.iter().map(|key| STANDARD.encode(key.pem())).collect();
    json!({
        "type": "sigstoreSigned",
        "keyDatas": keys,
        "signedIdentity": { "type": "matchRepository" },
    })
}

#[tokio::test]
async fn signatures_of_openpgp() {
    let (ours, theirs) = (TestKey::new("Us"), TestKey::new("Them"));
    let policy = policy(gpg(&ours));
    let digest = image().digest.to_string();
    let signed = |key: &TestKey, kind: &str, digest: &str, name: &str| key.sign(&claim(kind, digest, name));
    let with = |lookaside: Vec<Vec<u8>>| Image { lookaside: Some(lookaside), ..image() };
    let bad = [
        signed(&theirs, ATOMIC, &digest, NAME),
        signed(&ours, COSIGN, &digest, NAME),
        signed(&ours, ATOMIC, &Digest::of(b"x").to_string(), NAME),
        signed(&ours, ATOMIC, &digest, "quay.io/ns/app:2"),
        b"junk".to_vec(),
    ];
    assert_eq!(verdict(&policy, &with(bad.to_vec())).await, Err(Kind::NotAccepted));
    let mut good = bad.to_vec();
    good.push(signed(&ours, ATOMIC, &digest, NAME));
    assert_eq!(verdict(&policy, &with(good.clone())).await, Ok(()));
    assert_eq!(verdict(&policy, &image()).await, Err(Kind::Unsigned));
    let broken = Image { lookaside: None, ..image() };
    assert_eq!(verdict(&policy, &broken).await, Err(Kind::Unavailable));
    let elsewhere = Image { source: "quay.io/other/app:1".parse().unwrap(), ..with(good) };
    assert_eq!(verdict(&policy, &elsewhere).await, Err(Kind::Rejected));
}

#[tokio::test]
async fn signatures_of_sigstore() {
    let (ours, more, theirs) = (CosignKey::p256(), CosignKey::ed25519(), CosignKey::p256());
    let policy = policy(cosign(&[&ours, &more]));
    let digest = image().digest.to_string();
    let payload = claim(COSIGN, &digest, "quay.io/ns/app");
    let with = |attachment: Attachment| Image { attachments: vec![attachment], ..image() };
    for key in [&ours, &more] {
        assert_eq!(verdict(&policy, &with(attached(key, payload.clone()))).await, Ok(()));
    }
    let mut changed = attached(&ours, payload.clone());
    changed.payload[5] ^= 1;
    for bad in [
        attached(&theirs, payload.clone()),
        attached(&ours, claim(ATOMIC, &digest, "quay.io/ns/app")),
        attached(&ours, claim(COSIGN, &Digest::of(b"x").to_string(), "quay.io/ns/app")),
        attached(&ours, claim(COSIGN, &digest, "quay.io/ns/other")),
        attached(&ours, b"{}".to_vec()),
        Attachment { signature: "?".to_owned(), ..attached(&ours, payload.clone()) },
        changed,
    ] {
        assert_eq!(verdict(&policy, &with(bad)).await, Err(Kind::NotAccepted));
    }
    assert_eq!(verdict(&policy, &image()).await, Err(Kind::Unsigned));
}

/// What the log promises for a signature.
fn promise(log: &CosignKey, key: &CosignKey, attachment: &Attachment) -> String {
    let entry = json!({
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": { "hash": { "algorithm": "sha256", "value": Digest::of(&attachment.payload).hex() } },
            "signature": { "content": attachment.signature, "publicKey": { "content": STANDARD.encode(key.pem()) } },
        },
    });
    let body = STANDARD.encode(entry.to_string());
    // Sorted as the canonical form is; `serde_json` keeps the order here.
    let canonical = format!(r#"{{"body":"{body}","integratedTime":7,"logID":"ab","logIndex":3}}"#);
    let payload: Value = serde_json::from_str(&canonical).unwrap();
    json!({ "SignedEntryTimestamp": STANDARD.encode(log.sign(canonical.as_bytes())), "Payload": payload })
        .to_string()
}

#[tokio::test]
async fn the_log_is_asked() {
    let (key, log) = (CosignKey::p384(), CosignKey::p256());
    let mut requirement = cosign(&[&key]);
    requirement["rekorPublicKeyData"] = STANDARD.encode(log.pem()).into();
    let policy = policy(requirement);
    let payload = claim(COSIGN, &image().digest.to_string(), "quay.io/ns/app");
    let signature = attached(&key, payload.clone());
    let with = |promise: String| {
        let annotations = Attributes::from([(PROMISE.to_owned(), promise)]);
        Image { attachments: vec![Attachment { annotations, ..signature.clone() }], ..image() }
    };
    let good = promise(&log, &key, &signature);
    assert_eq!(verdict(&policy, &with(good.clone())).await, Ok(()));
    let again = attached(&key, payload);
    let other_message = Attachment { payload: b"x".to_vec(), ..signature.clone() };
    for bad in [
        promise(&CosignKey::p256(), &key, &signature),
        promise(&log, &log, &signature),
        promise(&log, &key, &again),
        promise(&log, &key, &other_message),
        good.replace(":7", ":8"),
        good.replace("\"Payload\"", "\"Extra\":1,\"Payload\""),
        "{}".to_owned(),
    ] {
        assert_eq!(verdict(&policy, &with(bad)).await, Err(Kind::NotAccepted));
    }
    let missing = Image { attachments: vec![signature.clone()], ..image() };
    assert_eq!(verdict(&policy, &missing).await, Err(Kind::NotAccepted));
}

#[tokio::test]
async fn what_cannot_be_checked_is_refused() {
    let key = STANDARD.encode(CosignKey::p256().pem());
    for requirement in [
        json!({ "type": "signedBy", "keyType": "X509Certificates", "keyPath": "/none" }),
        json!({ "type": "signedBaseLayer", "baseLayerIdentity": { "type": "matchExact" } }),
        json!({ "type": "sigstoreSigned", "rekorPublicKeyData": key,
            "fulcio": { "caPath": "/ca", "oidcIssuer": "i", "subjectEmail": "e" } }),
        json!({ "type": "sigstoreSigned", "pki": { "caRootsPath": "/ca", "subjectEmail": "e" } }),
    ] {
        assert_eq!(verdict(&policy(requirement), &image()).await, Err(Kind::Unsupported));
    }
    for requirement in [
        json!({ "type": "signedBy", "keyType": "GPGKeys", "keyPath": "/no/such/key" }),
        json!({ "type": "signedBy", "keyType": "GPGKeys", "keyData": "" }),
        json!({ "type": "sigstoreSigned", "keyPaths": ["/no/such/key"] }),
        json!({ "type": "sigstoreSigned", "keyData": "bm9uc2Vuc2U=" }),
    ] {
        assert_eq!(verdict(&policy(requirement), &image()).await, Err(Kind::Keys));
    }
}

#[tokio::test]
async fn every_requirement_counts() {
    let (a, b) = (TestKey::new("a"), TestKey::new("b"));
    let text = json!({ "default": [gpg(&a), gpg(&b)] });
    let policy = ImagePolicy::parse("p", text.to_string().as_bytes(), day(20)).unwrap();
    let signed = |key: &TestKey| key.sign(&claim(ATOMIC, &image().digest.to_string(), NAME));
    let with = |lookaside| Image { lookaside: Some(lookaside), ..image() };
    assert_eq!(verdict(&policy, &with(vec![signed(&a)])).await, Err(Kind::NotAccepted));
    assert_eq!(verdict(&policy, &with(vec![signed(&a), signed(&b)])).await, Ok(()));
}

#[tokio::test]
async fn keys_may_be_in_files() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (TestKey::new("a"), TestKey::new("b"));
    let paths = ["a", "b"].map(|name| dir.path().join(name));
    std::fs::write(&paths[0], a.armored()).unwrap();
    std::fs::write(&paths[1], b.public()).unwrap();
    let policy = policy(json!({ "type": "signedBy", "keyType": "GPGKeys", "keyPaths": paths }));
    let signed = b.sign(&claim(ATOMIC, &image().digest.to_string(), NAME));
    assert_eq!(verdict(&policy, &Image { lookaside: Some(vec![signed]), ..image() }).await, Ok(()));
}

#[rstest]
#[case("quay.io/a/b:1", "exact")]
#[case("quay.io/a/b:2", "repository")]
#[case("quay.io/a/c:1", "path")]
#[case("quay.io/ab:1", "host")]
#[case("x.example.com:5000/a", "wildcard")]
#[case("example.com/a", "docker")]
#[case("oci:/images/x:1", "directory")]
#[case("oci:/other", "default")]
fn the_most_specific_scope_counts(#[case] source: &str, #[case] expected: &str) {
    let asks = |name: &str| json!([{ "type": "signedBy", "keyType": "GPGKeys", "keyPath": name }]);
    let text = json!({
        "default": asks("default"),
        "transports": {
            "docker": {
                "": asks("docker"),
                "quay.io": asks("host"),
                "quay.io/a": asks("path"),
                "quay.io/a/b": asks("repository"),
                "quay.io/a/b:1": asks("exact"),
                "*.example.com": asks("wildcard"),
            },
            "oci": { "/images": asks("directory") },
            "docker-daemon": { "": asks("daemon") },
        },
    });
    let document = Document::parse(text.to_string().as_bytes()).unwrap();
    let (scope, found) = document.requirements(&source.parse().unwrap());
    let text = format!("{found:?}");
    assert!(text.contains(&format!("\"{expected}\"")), "{source} is judged by {scope}: {text}");
}

#[rstest]
#[case::no_default(r#"{"transports":{}}"#)]
#[case::unknown(r#"{"default":[{"type":"reject"}],"extra":1}"#)]
#[case::twice(r#"{"default":[{"type":"reject"}],"default":[{"type":"reject"}]}"#)]
#[case::empty(r#"{"default":[]}"#)]
#[case::unknown_type(r#"{"default":[{"type":"accept"}]}"#)]
#[case::unknown_in_reject(r#"{"default":[{"type":"reject","x":1}]}"#)]
#[case::transport_twice(r#"{"default":[{"type":"reject"}],"transports":{"docker":{},"docker":{}}}"#)]
#[case::scope_twice(r#"{"default":[{"type":"reject"}],"transports":{"docker":{"a":[{"type":"reject"}],"a":[{"type":"reject"}]}}}"#)]
#[case::scope_of_oci(r#"{"default":[{"type":"reject"}],"transports":{"oci":{"a/b":[{"type":"reject"}]}}}"#)]
#[case::no_key(r#"{"default":[{"type":"signedBy","keyType":"GPGKeys"}]}"#)]
#[case::two_keys(r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"a","keyData":"YQ=="}]}"#)]
#[case::null_key(r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":null,"keyData":"YQ=="}]}"#)]
#[case::key_twice(r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"a","keyPath":"a"}]}"#)]
#[case::empty_key(r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":""}]}"#)]
#[case::key_type(r#"{"default":[{"type":"signedBy","keyType":"GPG","keyPath":"a"}]}"#)]
#[case::unknown_key(r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"a","keyFile":"b"}]}"#)]
#[case::bad_data(r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyData":"?"}]}"#)]
#[case::no_signer(r#"{"default":[{"type":"sigstoreSigned"}]}"#)]
#[case::fulcio_alone(
    r#"{"default":[{"type":"sigstoreSigned","fulcio":{"caPath":"a","oidcIssuer":"i","subjectEmail":"e"}}]}"#
)]
#[case::two_signers(r#"{"default":[{"type":"sigstoreSigned","keyPath":"a","pki":{"caRootsPath":"a"}}]}"#)]
#[case::identity(r#"{"default":[{"type":"sigstoreSigned","keyPath":"a","signedIdentity":{"type":"x"}}]}"#)]
#[case::more(r#"{"default":[{"type":"reject"}]} {}"#)]
fn mistakes(#[case] text: &str) {
    let error = ImagePolicy::parse("policy.json", text.as_bytes(), day(0)).unwrap_err();
    println!("{error}");
}

const DIR: &str = "registries/containers__image/signature/fixtures";

/// Reads a fixture; some that were links are files with the target's path.
fn linked(path: &str) -> Option<Vec<u8>> {
    let bytes = fixture(&format!("{DIR}/{path}"))?;
    match bytes.strip_prefix(b"../") {
        Some(target) => linked(std::str::from_utf8(target).unwrap().trim()),
        None => Some(bytes),
    }
}

#[test]
fn policies_of_others_are_read() {
    for file in [DIR, "registries/containers__skopeo/integration/fixtures"] {
        let Some(bytes) = fixture(&format!("{file}/policy.json")) else { return };
        ImagePolicy::parse(file, &bytes, day(0)).unwrap();
    }
}

#[rstest]
#[case("dir-img-valid", "testing/manifest:latest", "matchRepoDigestOrExact", "public-key.gpg", Ok(()))]
#[case(
    "dir-img-valid",
    "testing/manifest:2",
    "matchRepoDigestOrExact",
    "public-key.gpg",
    Err(Kind::NotAccepted)
)]
#[case("dir-img-valid", "testing/manifest:2", "matchRepository", "public-key.gpg", Ok(()))]
#[case("dir-img-valid-2", "testing/manifest:latest", "matchExact", "public-key.gpg", Ok(()))]
#[case("dir-img-mixed", "testing/manifest:latest", "matchExact", "public-key.gpg", Ok(()))]
#[case(
    "dir-img-modified-manifest",
    "testing/manifest:latest",
    "matchExact",
    "public-key.gpg",
    Err(Kind::NotAccepted)
)]
#[case(
    "dir-img-valid",
    "testing/manifest:latest",
    "matchExact",
    "public-key-with-revoked-subkey.gpg",
    Err(Kind::NotAccepted)
)]
#[tokio::test]
async fn openpgp_of_others(
    #[case] dir: &str,
    #[case] name: &str,
    #[case] identity: &str,
    #[case] key: &str,
    #[case] expected: Result<(), Kind>,
) {
    let Some(manifest) = linked(&format!("{dir}/manifest.json")) else { return };
    let mut lookaside = vec![linked(&format!("{dir}/signature-1")).unwrap()];
    if dir == "dir-img-mixed" || dir == "dir-img-valid-2" {
        lookaside.push(linked(&format!("{dir}/signature-2")).unwrap());
    }
    let key = STANDARD.encode(linked(key).unwrap());
    let requirement = json!({ "type": "signedBy", "keyType": "GPGKeys", "keyData": key,
        "signedIdentity": { "type": identity } });
    let text = json!({ "default": [requirement] }).to_string();
    let policy = ImagePolicy::parse("p", text.as_bytes(), day(1000)).unwrap();
    let source = name.parse().unwrap();
    let image = Image { source, digest: Digest::of(&manifest), lookaside: Some(lookaside), ..image() };
    assert_eq!(verdict(&policy, &image).await, expected);
}

/// The public log of sigstore, which the fixtures were put into.
const LOG: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE2G2Y+2tabdTV5BcGiBIx0a9fAFwr
kBbmLSGtks4L3qX6yYY0zufBnhC8Ur/iy55GhWP/9A/bY2LhC30M9+RYtw==
-----END PUBLIC KEY-----
";

#[rstest]
#[case("valid-with-tag", "192.168.64.2:5000/skopeo-signed:tag", "cosign.pub", false, Ok(()))]
#[case(
    "valid-with-tag",
    "192.168.64.2:5000/skopeo-signed:other",
    "cosign.pub",
    false,
    Err(Kind::NotAccepted)
)]
#[case("valid-with-tag", "192.168.64.2:5000/skopeo-signed:tag", "cosign2.pub", false, Err(Kind::NotAccepted))]
#[case("valid-with-tag", "192.168.64.2:5000/skopeo-signed:tag", "cosign.pub", true, Err(Kind::NotAccepted))]
#[case("key-rekor-valid", "192.168.64.2:5000/cosign-signed/key-1:1", "cosign2.pub", true, Ok(()))]
#[case(
    "key-rekor-valid",
    "192.168.64.2:5000/cosign-signed/key-1:1",
    "cosign.pub",
    true,
    Err(Kind::NotAccepted)
)]
#[tokio::test]
async fn cosign_of_others(
    #[case] dir: &str,
    #[case] name: &str,
    #[case] key: &str,
    #[case] log: bool,
    #[case] expected: Result<(), Kind>,
) {
    let Some(manifest) = linked(&format!("dir-img-cosign-{dir}/manifest.json")) else { return };
    let file = linked(&format!("dir-img-cosign-{dir}/signature-1")).unwrap();
    let start = file.iter().position(|byte| *byte == b'{').unwrap();
    let blob: Value = serde_json::from_slice(&file[start..]).unwrap();
    let annotations: Attributes = serde_json::from_value(blob["annotations"].clone()).unwrap();
    let attachment = Attachment {
        payload: STANDARD.decode(blob["payload"].as_str().unwrap()).unwrap(),
        signature: annotations["dev.cosignproject.cosign/signature"].to_owned(),
        annotations,
    };
    let identity = if name.ends_with(":1") { "matchRepository" } else { "matchRepoDigestOrExact" };
    let mut requirement = json!({ "type": "sigstoreSigned", "keyData": STANDARD.encode(linked(key).unwrap()),
        "signedIdentity": { "type": identity } });
    if log {
        requirement["rekorPublicKeyData"] = STANDARD.encode(LOG).into();
    }
    let text = json!({ "default": [requirement] }).to_string();
    let policy = ImagePolicy::parse("p", text.as_bytes(), day(1000)).unwrap();
    let source = name.parse().unwrap();
    let image = Image { source, digest: Digest::of(&manifest), attachments: vec![attachment], ..image() };
    assert_eq!(verdict(&policy, &image).await, expected);
}
