//! Signatures of releases that the host has verified: [`Verified`] collects them for clusters that have no internet.

use std::collections::BTreeMap;

use oc_mirror_plugin_sdk::host::signatures::{self, Signature};
use oc_mirror_plugin_sdk::{Error, Sink, write_all};

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

    /// Hands the signatures over as they are in a store of signatures, where the host finds them for clusters.
    pub(crate) fn hand_over(&self, out: &Sink) -> Result<(), Error> {
        for ((digest, number), signature) in &self.0 {
            let path = format!("release-signatures/{}/signature-{number}", digest.replacen(':', "=", 1));
            let writer = out.artifact(&path)?;
            write_all(&writer, &signature.bytes)?;
        }
        Ok(())
    }
}
