//! Signatures of releases that the host has verified: [`Verified`] collects them for clusters that have no internet.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oc_mirror_plugin_sdk::host::signatures::{self, Signature};
use oc_mirror_plugin_sdk::{Error, Sink, other, write_all};
use serde_json::json;

/// What the resource is called, without an ending.
const DOCUMENT: &str = "signature-configmap";
/// How a cluster knows it.
const NAME: &str = "mirrored-release-signatures";
const NAMESPACE: &str = "openshift-config-managed";
const LABEL: &str = "release.openshift.io/verification-signatures";

/// Signatures that hold, by the digest of what they sign and their number.
#[derive(Default)]
pub(crate) struct Verified(BTreeMap<(String, u32), Signature>);

impl Verified {
    /// Has the host verify a release. An error if nobody signed it whose keys count; false if nobody looked, since the
    /// user wants that.
    pub(crate) fn verify(&mut self, digest: &str, version: Option<&str>, okd: bool) -> Result<bool, Error> {
        let payload = signatures::Payload {
            digest: digest.to_owned(),
            version: version.map(str::to_owned),
            keyring: if okd { "okd" } else { "ocp" }.to_owned(),
        };
        let found = signatures::verify(&payload)?;
        let is_verified = !found.is_empty();
        for signature in found {
            self.0.insert((digest.to_owned(), signature.number), signature);
        }
        Ok(is_verified)
    }

    /// Hands the signatures over: as they are in a store of signatures, and as a resource for clusters.
    pub(crate) fn hand_over(&self, out: &Sink) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        for ((digest, number), signature) in &self.0 {
            let path = format!("release-signatures/{}/signature-{number}", digest.replacen(':', "=", 1));
            let writer = out.artifact(&path)?;
            write_all(&writer, &signature.bytes)?;
        }
        let data = self.binary_data();
        out.resource_document(&format!("{DOCUMENT}.json"), &as_json(&data)?)?;
        out.resource_document(&format!("{DOCUMENT}.yaml"), &as_yaml(&data))
    }

    fn binary_data(&self) -> BTreeMap<String, String> {
        let entry = |((digest, number), signature): (&(String, u32), &Signature)| {
            (format!("{}-{number}", digest.replacen(':', "-", 1)), STANDARD.encode(&signature.bytes))
        };
        self.0.iter().map(entry).collect()
    }
}

fn as_json(data: &BTreeMap<String, String>) -> Result<String, Error> {
    let document = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "labels": { LABEL: "" }, "name": NAME, "namespace": NAMESPACE },
        "binaryData": data,
    });
    serde_json::to_string_pretty(&document)
        .map(|text| text + "\n")
        .map_err(|e| other("release.signatures", e.to_string()))
}

/// Keys and values are made of letters, digits and a few signs, so nothing needs quotes.
fn as_yaml(data: &BTreeMap<String, String>) -> String {
    let mut text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  labels:\n    {LABEL}: \"\"\n  name: {NAME}\n  namespace: {NAMESPACE}\nbinaryData:\n"
    );
    for (key, value) in data {
        text.push_str(&format!("  {key}: {value}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified() -> Verified {
        let signature = |number| Signature {
            number,
            store: String::new(),
            identity: String::new(),
            key: String::new(),
            signer: String::new(),
            created: None,
            bytes: vec![0xff, number as u8],
        };
        Verified(BTreeMap::from([
            (("sha256:aa".to_owned(), 2), signature(2)),
            (("sha256:aa".to_owned(), 1), signature(1)),
        ]))
    }

    #[test]
    fn a_cluster_finds_them() {
        let data = verified().binary_data();
        assert_eq!(data["sha256-aa-1"], "/wE=");
        let yaml = as_yaml(&data);
        assert!(yaml.ends_with("binaryData:\n  sha256-aa-1: /wE=\n  sha256-aa-2: /wI=\n"), "{yaml}");
        let json: serde_json::Value = serde_json::from_str(&as_json(&data).expect("JSON")).expect("JSON");
        assert_eq!(json["metadata"]["labels"][LABEL], "");
    }
}
