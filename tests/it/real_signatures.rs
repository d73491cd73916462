//! Real cosign signatures after they were mirrored. What `cosign verify --key` checks is checked with `openssl`, since
//! Debian's skopeo is built without sigstore; and a policy that demands the same key lets the mirrored image pass.

use std::collections::BTreeMap;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oc_mirror_testkit::{Registry, Skopeo, sha256};
use serde_json::{Value, json};

use crate::lab::Lab;
use crate::real_image::{REPOSITORY, fill};

/// Under which name the image was signed.
const SIGNED_AS: &str = "quay.io/rh_ee_aguidi/multi-platform-container";

/// A signature as cosign finds it in a registry.
struct Found {
    payload: Vec<u8>,
    signature: Vec<u8>,
    /// The key, as the transparency log has it.
    key: Vec<u8>,
}

/// Reads the signature beside an image.
fn find(registry: &Registry, digest: &str) -> Found {
    let tag = format!("{}.sig", digest.replace(':', "-"));
    let manifest = Skopeo::new().inspect_raw(&format!("docker://{}", registry.reference(REPOSITORY, &tag)));
    let manifest: Value = serde_json::from_slice(&manifest).expect("a manifest");
    let layer = &manifest["layers"][0];
    let blob = layer["digest"].as_str().expect("a digest");
    let payload = registry.request("GET", &format!("/v2/{REPOSITORY}/blobs/{blob}"), &[]).body;
    assert_eq!(sha256(&payload), blob);
    let text = |key: &str| layer["annotations"][key].as_str().expect("an annotation").to_owned();
    let bundle: Value = serde_json::from_str(&text("dev.sigstore.cosign/bundle")).expect("a bundle");
    let decoded = |value: &Value| STANDARD.decode(value.as_str().expect("text")).expect("base64");
    let body: Value =
        serde_json::from_slice(&decoded(&bundle["Payload"]["body"])).expect("an entry of the log");
    let key = decoded(&body["spec"]["signature"]["publicKey"]["content"]);
    let signature = STANDARD.decode(text("dev.cosignproject.cosign/signature")).expect("base64");
    Found { payload, signature, key }
}

/// The key that signed the real image which a registry holds.
pub(crate) fn key_of(registry: &Registry) -> String {
    let digest = digests(registry).remove(0);
    String::from_utf8(find(registry, &digest).key).expect("a key in PEM is text")
}

/// What `cosign verify --key` checks.
#[track_caller]
fn verify(found: &Found, digest: &str) {
    assert!(holds(found, &found.payload), "the signature of {digest}");
    let mut changed = found.payload.clone();
    changed[10] ^= 1;
    assert!(!holds(found, &changed), "a flipped bit is noticed");
    let payload: Value = serde_json::from_slice(&found.payload).expect("JSON");
    assert_eq!(payload["critical"]["image"]["docker-manifest-digest"], digest);
    assert_eq!(payload["critical"]["identity"]["docker-reference"], SIGNED_AS);
}

/// Asks `openssl`, which shares no code with the program.
fn holds(found: &Found, payload: &[u8]) -> bool {
    let dir = tempfile::tempdir().expect("a directory for temporary files");
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).expect("the test's own directory");
        path
    };
    let (key, signature) = (file("key.pem", &found.key), file("signature", &found.signature));
    let output = Command::new("openssl")
        .args(["dgst", "-sha256", "-verify"])
        .arg(key)
        .arg("-signature")
        .arg(signature)
        .arg(file("payload", payload))
        .output()
        .expect("`cargo xtask setup` installs openssl");
    output.status.success()
}

/// The digests of the image's index and of its images.
fn digests(registry: &Registry) -> Vec<String> {
    let raw = Skopeo::new().inspect_raw(&format!("docker://{}", registry.reference(REPOSITORY, "latest")));
    let index: Value = serde_json::from_slice(&raw).expect("an index");
    let children = index["manifests"].as_array().expect("children").iter();
    let children = children.map(|child| child["digest"].as_str().expect("a digest").to_owned());
    std::iter::once(sha256(&raw)).chain(children).collect()
}

#[test]
fn signatures_hold_after_they_were_mirrored() {
    let mut lab = Lab::new();
    if fill(&lab.source).is_none() {
        return;
    }
    lab.configure(&[lab.source.reference(REPOSITORY, "latest")]);
    lab.make(&[]).expect(0);
    lab.source.stop();
    lab.publish("disk", &[]).expect(0);
    let found: BTreeMap<String, Found> =
        digests(&lab.target).into_iter().map(|d| (d.clone(), find(&lab.target, &d))).collect();
    assert_eq!(found.len(), 5);
    found.iter().for_each(|(digest, found)| verify(found, digest));
    passes_a_policy(&lab, &found.values().next().expect("five").key);
}

/// Mirrors on from the mirror, under a policy that demands signatures by this key and no other.
fn passes_a_policy(lab: &Lab, key: &[u8]) {
    let policy = |key: &[u8]| {
        let scope = json!([{
            "type": "sigstoreSigned",
            "keyData": STANDARD.encode(key),
            "signedIdentity": { "type": "exactRepository", "dockerRepository": SIGNED_AS },
        }]);
        let transports = json!({ "docker": { lab.target.host(): scope } });
        lab.context.write(
            "policy.json",
            json!({ "default": [{"type": "reject"}], "transports": transports }).to_string(),
        )
    };
    lab.configure(&[lab.target.reference(REPOSITORY, "latest")]);
    let next = Registry::start();
    let mirror = |key: &[u8]| {
        let policy = policy(key).display().to_string();
        let (workspace, to) = (lab.file("next"), format!("docker://{}", next.host()));
        let nowhere = lab.context.home().display().to_string();
        let secure = ["--secure-policy", "--policy", &policy, "--registries.d", &nowhere];
        lab.run(&[["-c", "isc.yaml", "--workspace", &workspace, &to].as_slice(), &secure].concat())
    };
    let other = include_bytes!("other-key.pem");
    mirror(other).assert_refused(8, "is not signed as it has to be");
    assert!(next.tags(REPOSITORY).is_empty());
    mirror(key).expect(0);
    assert_eq!(next.digest_of(REPOSITORY, "latest"), lab.target.digest_of(REPOSITORY, "latest"));
}
