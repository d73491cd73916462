//! [`Trusted`]: whose signatures in the manner of cosign count, and [`verify`], which finds those among an image's.

use std::collections::BTreeMap;

use oc_mirror_model::attributes::Attributes;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::reference::{Reference, Source};
use oc_mirror_model::signer::{Identity, SignedName, Signer, SignerKind, Trust};

use super::certificate::{Authorities, Certificate};
use super::image::Attachment;
use super::public_key::{PublicKey, decoded};
use super::rekor::{LoggedSigner, logged};
use super::scope::meant;
use super::simple_signing::{COSIGN, Claim};

/// The annotation with what the log promises.
pub(super) const PROMISE: &str = "dev.sigstore.cosign/bundle";
/// The annotations with the certificate of the signer, and with those between it and an authority.
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const CHAIN: &str = "dev.sigstore.cosign/chain";

/// Whose signatures count, ready to be held against some.
#[derive(Debug)]
pub struct Trusted {
    keys: Vec<PublicKey>,
    identities: Vec<Identity>,
    authorities: Authorities,
    logs: Vec<PublicKey>,
    name: SignedName,
}

impl Trusted {
    /// Reads keys and certificates. The text says which of them is wrong.
    pub fn parse(trust: &Trust) -> Result<Self, String> {
        let read = |what: &str, texts: &[String]| -> Result<Vec<PublicKey>, String> {
            let key = |(number, text): (usize, &String)| {
                PublicKey::parse(text.as_bytes()).map_err(|e| format!("{what} {}: {e}", number + 1))
            };
            texts.iter().enumerate().map(key).collect()
        };
        let authorities = trust.authorities.iter().map(String::as_str);
        let authorities =
            Authorities::parse(authorities).map_err(|e| format!("a certificate of an authority {e}"))?;
        let trusted = Self {
            keys: read("key", &trust.keys)?,
            logs: read("key of a log", &trust.logs)?,
            identities: trust.identities.clone(),
            authorities,
            name: trust.name,
        };
        if trusted.keys.is_empty() && trusted.identities.is_empty() {
            return Err("neither keys nor identities are named".to_owned());
        }
        if let Some(identity) =
            trusted.identities.iter().find(|i| i.issuer.is_empty() || i.subject.is_empty())
        {
            let Identity { issuer, subject } = identity;
            return Err(format!("an identity has an issuer and a subject, not `{issuer}` and `{subject}`"));
        }
        // Certificates live for minutes; that they lived when something was signed is what the log says.
        if !trusted.identities.is_empty() && (trust.authorities.is_empty() || trusted.logs.is_empty()) {
            return Err("identities need certificates of authorities and keys of logs".to_owned());
        }
        Ok(trusted)
    }

    /// Returns who made a signature, if they and it count.
    pub fn signer(
        &self,
        attachment: &Attachment,
        source: &Source,
        digest: &Digest,
    ) -> Result<Signer, String> {
        let Attachment { payload, signature, annotations } = attachment;
        let signature = decoded(signature).ok_or("is not base64")?;
        let signer = match self.keys.iter().find(|key| key.verifies(payload, &signature)) {
            Some(key) => {
                if !self.logs.is_empty() {
                    self.logged(annotations, key, &signature, payload)?;
                }
                Signer {
                    kind: SignerKind::Key,
                    identity: key.fingerprint(),
                    verified_by: key.fingerprint(),
                    claims: BTreeMap::new(),
                }
            }
            None => self.with_certificate(annotations, &signature, payload)?,
        };
        let claim = Claim::parse(payload).map_err(|e| format!("does not name an image as it should: {e}"))?;
        if claim.kind != COSIGN {
            return Err(format!("is of another type than `{COSIGN}`"));
        }
        if !claim.is_about(digest) {
            return Err(format!("is of another image: `{}`", shown(&claim.digest)));
        }
        if self.name == SignedName::Repository && !is_of_repository(source, &claim.identity) {
            return Err(format!("is of another name: `{}`", shown(&claim.identity)));
        }
        Ok(Signer { claims: BTreeMap::from([("reference".to_owned(), claim.identity)]), ..signer })
    }

    fn with_certificate(
        &self,
        annotations: &Attributes,
        signature: &[u8],
        payload: &[u8],
    ) -> Result<Signer, String> {
        const NO_KEY: &str = "is not by one of the keys that count, or was changed";
        let Some(pem) = annotations.get(CERTIFICATE).filter(|_| !self.identities.is_empty()) else {
            return Err(NO_KEY.to_owned());
        };
        let chain = annotations.get(CHAIN).unwrap_or_default();
        let of = |e: String| format!("has a certificate that {e}");
        let certificate = Certificate::parse(pem, chain).map_err(of)?;
        if !certificate.key.verifies(payload, signature) {
            return Err("is not by the key of its certificate, or was changed".to_owned());
        }
        let at = self.logged(annotations, &certificate, signature, payload)?;
        certificate.check(&self.authorities, at).map_err(of)?;
        if !self.identities.iter().any(|identity| certificate.is_of(identity)) {
            let (subject, issuer) = (shown(&certificate.subject), shown(&certificate.issuer));
            return Err(format!("is by `{subject}` of `{issuer}`, who does not count"));
        }
        Ok(Signer {
            kind: SignerKind::Certificate,
            identity: certificate.subject,
            verified_by: certificate.issuer,
            claims: BTreeMap::new(),
        })
    }

    /// Returns when one of the logs took a signature.
    fn logged(
        &self,
        annotations: &Attributes,
        signer: &dyn LoggedSigner,
        signature: &[u8],
        payload: &[u8],
    ) -> Result<u64, String> {
        let promise = annotations.get(PROMISE).ok_or("is not in the log")?;
        logged(promise, &self.logs, signer, signature, payload).map_err(|e| format!("is not in the log: {e}"))
    }
}

/// Returns those of an image's signatures that count; if none does, what is wrong with each.
pub fn verify(
    trusted: &Trusted,
    attachments: &[Attachment],
    source: &Source,
    digest: &Digest,
) -> Result<Vec<Signer>, Vec<String>> {
    let (mut found, mut reasons) = (Vec::new(), Vec::new());
    for (at, attachment) in attachments.iter().enumerate() {
        match trusted.signer(attachment, source, digest) {
            Ok(signer) => found.push(signer),
            Err(reason) => reasons.push(format!("signature {} {reason}", at + 1)),
        }
    }
    if found.is_empty() { Err(reasons) } else { Ok(found) }
}

fn is_of_repository(source: &Source, signed: &str) -> bool {
    let Source::Registry(reference) = source else { return false };
    signed.parse::<Reference>().is_ok_and(|signed| meant(reference).name() == signed.name())
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests;
