//! [`logged`]: whether the transparency log vouches for having seen a signature.

use oc_mirror_model::digest::Digest;
use serde::Deserialize;

use super::public_key::{PublicKey, decoded};

/// Who is said to have signed: a key, or a certificate.
pub(super) trait LoggedSigner {
    /// Answers whether this is what the log has in PEM.
    fn is_logged_as(&self, pem: &[u8]) -> bool;
}

impl LoggedSigner for PublicKey {
    fn is_logged_as(&self, pem: &[u8]) -> bool {
        self.is(pem)
    }
}

/// The log's promise, as cosign puts it beside a signature.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Promise {
    #[serde(rename = "SignedEntryTimestamp")]
    signature: String,
    #[serde(rename = "Payload")]
    payload: Payload,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Payload {
    body: String,
    integrated_time: u64,
    log_index: u64,
    #[serde(rename = "logID")]
    log_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    api_version: String,
    kind: String,
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    data: Data,
    signature: Signature,
}

#[derive(Deserialize)]
struct Data {
    hash: Hash,
}

#[derive(Deserialize)]
struct Hash {
    algorithm: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signature {
    content: String,
    public_key: Key,
}

#[derive(Deserialize)]
struct Key {
    content: String,
}

/// Checks that one of the log's keys signed an entry for exactly this signature of this message by this key or certificate.
/// Returns when the log took it, in seconds since 1970.
pub(super) fn logged(
    promise: &str,
    log: &[PublicKey],
    signer: &dyn LoggedSigner,
    signature: &[u8],
    message: &[u8],
) -> Result<u64, String> {
    let text = |e: serde_json::Error| format!("the log's entry cannot be read: {e}");
    let promise: Promise = serde_json::from_str(promise).map_err(text)?;
    let Payload { body, integrated_time, log_index, log_id } = &promise.payload;
    let entry = decoded(body).ok_or("the log's entry is not base64")?;
    if !log_id.bytes().all(|b| b.is_ascii_alphanumeric()) || body.contains(['\r', '\n']) {
        return Err("the log's entry is not written as logs do".to_owned());
    }
    // What is signed is the canonical form (RFC 8785). Of an object of four known fields without escapes this is it.
    let canonical = format!(
        r#"{{"body":"{body}","integratedTime":{integrated_time},"logID":"{log_id}","logIndex":{log_index}}}"#
    );
    let timestamp = decoded(&promise.signature).ok_or("the log's signature is not base64")?;
    if !log.iter().any(|key| key.verifies(canonical.as_bytes(), &timestamp)) {
        return Err("no key of the log signed the entry".to_owned());
    }
    let entry: Entry = serde_json::from_slice(&entry).map_err(text)?;
    if (entry.kind.as_str(), entry.api_version.as_str()) != ("hashedrekord", "0.0.1") {
        return Err(format!("the log's entry is a `{} {}`", entry.kind, entry.api_version));
    }
    let Spec { data, signature: logged } = entry.spec;
    if !decoded(&logged.public_key.content).is_some_and(|pem| signer.is_logged_as(&pem)) {
        return Err("the log's entry is about another key".to_owned());
    }
    if decoded(&logged.content).as_deref() != Some(signature) {
        return Err("the log's entry is about another signature".to_owned());
    }
    if data.hash.algorithm != "sha256" || data.hash.value != Digest::of(message).hex() {
        return Err("the log's entry is about another message".to_owned());
    }
    Ok(*integrated_time)
}
