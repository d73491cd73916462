//! Policies of containers/image (`policy.json`), for `--secure-policy`: [`ImagePolicy`] says whether an image may be
//! mirrored.
//!
//! What is asked for and cannot be checked here is a refusal that says so, never a pass.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use oc_mirror_model::signer::{Signer as Signed, SignerKind};

use self::document::{Document, KeyType, Requirement, SignedBy, Signer, Sigstore};
use super::files::read;
use super::image::{Attachment, SignedImage};
use super::openpgp::Keyring;
use super::public_key::{PublicKey, decoded};
use super::rekor::logged;
use super::sigstore::PROMISE;
use super::simple_signing::{ATOMIC, COSIGN, Claim};
use crate::content::ContentError;

mod document;
mod identity;
mod keys;
#[cfg(test)]
mod tests;

/// A policy, ready to judge.
#[derive(Debug)]
pub struct ImagePolicy {
    document: Document,
    now: SystemTime,
}

/// The file is not a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{file}` is not a policy: {reason}")]
pub struct InvalidPolicy {
    /// Which file.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A policy does not allow an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the policy does not allow `{image}`: {scope} {}", reasons.join("; "))]
pub struct PolicyRefusal {
    /// The image.
    pub image: String,
    /// The part of the policy that is for it.
    pub scope: String,
    /// Which kind of refusal.
    pub kind: RefusalKind,
    /// Why: what is asked for, then what is wrong with each signature that there is. Never empty.
    pub reasons: Vec<String>,
}

/// The kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusalKind {
    /// The policy rejects such images.
    Rejected,
    /// There is no signature of the kind that is asked for.
    Unsigned,
    /// There are some, and none of them counts.
    NotAccepted,
    /// The signatures cannot be read; trying again may help.
    Unavailable,
    /// The keys that the policy names cannot be read.
    Keys,
    /// The policy asks for something that this program cannot check.
    Unsupported,
}

impl PolicyRefusal {
    /// Returns what to do about it.
    pub fn hint(&self) -> &'static str {
        match self.kind {
            RefusalKind::Rejected => {
                "remove the image from the configuration, or allow its scope in the policy"
            }
            RefusalKind::Unsigned => {
                "`registries.d` says where signatures lie that are not in the registry; see `--registries.d`"
            }
            RefusalKind::NotAccepted => "check the keys and `signedIdentity` of that scope in the policy",
            RefusalKind::Unavailable => "try again, and check the way to where the signatures lie",
            RefusalKind::Keys => "check the key files that the policy names",
            RefusalKind::Unsupported => "ask for signatures by keys in that scope of the policy",
        }
    }

    /// Answers whether trying again may help.
    pub fn is_temporary(&self) -> bool {
        self.kind == RefusalKind::Unavailable
    }
}

type Verdict = Result<Option<Signed>, (RefusalKind, Vec<String>)>;

fn no(kind: RefusalKind, reason: impl Into<String>) -> (RefusalKind, Vec<String>) {
    (kind, vec![reason.into()])
}

impl ImagePolicy {
    /// Reads the policy in a file. The files of keys that it names are read when they are needed.
    pub fn read(path: &Path, now: SystemTime) -> Result<Self, InvalidPolicy> {
        let file = path.display().to_string();
        let bytes = read(path).map_err(|reason| InvalidPolicy { file: file.clone(), reason })?;
        Self::parse(&file, &bytes, now)
    }

    /// Reads a policy; `file` is its name for messages.
    pub fn parse(file: &str, bytes: &[u8], now: SystemTime) -> Result<Self, InvalidPolicy> {
        let document = Document::parse(bytes);
        let document = document.map_err(|reason| InvalidPolicy { file: file.to_owned(), reason })?;
        Ok(Self { document, now })
    }

    /// Checks that everything holds that the most specific scope asks of an image. Returns who signed it, of those whom that
    /// asks for.
    pub async fn check(&self, image: &dyn SignedImage) -> Result<Vec<Signed>, PolicyRefusal> {
        let mut found = Vec::new();
        let (scope, requirements) = self.document.requirements(image.source());
        for requirement in requirements {
            let verdict = match requirement {
                Requirement::Accept(_) => Ok(None),
                Requirement::Reject(_) => Err(no(RefusalKind::Rejected, "rejects it")),
                Requirement::SignedBy(signed) => self.signed_by(signed, image).await,
                Requirement::Sigstore(signed) => sigstore_signed(signed, image).await,
                Requirement::SignedBaseLayer(_) => {
                    Err(no(RefusalKind::Unsupported, "asks for `signedBaseLayer`, which cannot be checked"))
                }
            };
            found.extend(verdict.map_err(|(kind, reasons)| PolicyRefusal {
                image: image.source().to_string(),
                scope: scope.clone(),
                kind,
                reasons,
            })?);
        }
        Ok(found)
    }

    async fn signed_by(&self, signed: &SignedBy, image: &dyn SignedImage) -> Verdict {
        if signed.key_type != KeyType::GpgKeys {
            return Err(no(
                RefusalKind::Unsupported,
                "asks for a `keyType` other than `GPGKeys`, which cannot be checked",
            ));
        }
        let parse = |bytes: &[u8]| Keyring::parse(bytes).map_err(|e| e.to_string());
        let keys = signed.keys.get(parse, Keyring::join).map_err(|e| bad_keys(&e))?;
        let signatures = image.lookaside_signatures().await.map_err(|e| unavailable(&e))?;
        one_of(&signatures, "an OpenPGP signature", |bytes| {
            let message = keys.verify(bytes, self.now).map_err(|e| e.to_string())?;
            let claim = read_claim(&message.body)?;
            claims(&claim, ATOMIC, image, &signed.identity)?;
            Ok(signer(SignerKind::OpenPgp, message.key, claim))
        })
    }
}

async fn sigstore_signed(signed: &Sigstore, image: &dyn SignedImage) -> Verdict {
    let keys = match &signed.signer {
        Signer::Keys(keys) => loaded(keys)?,
        Signer::Fulcio | Signer::Pki => {
            let what = if matches!(signed.signer, Signer::Pki) { "pki" } else { "fulcio" };
            let reason = format!("asks for certificates (`{what}`), which cannot be checked");
            return Err(no(RefusalKind::Unsupported, reason));
        }
    };
    let log = signed.log.as_ref().map(loaded).transpose()?;
    let attachments = image.sigstore_attachments().await.map_err(|e| unavailable(&e))?;
    one_of(&attachments, "a signature of sigstore", |attachment| {
        let key = verified_by(attachment, keys, log.map(Vec::as_slice))?;
        let claim = read_claim(&attachment.payload)?;
        claims(&claim, COSIGN, image, &signed.identity)?;
        Ok(signer(SignerKind::Key, key.fingerprint(), claim))
    })
}

fn loaded(keys: &keys::Keys<Vec<PublicKey>>) -> Result<&Vec<PublicKey>, (RefusalKind, Vec<String>)> {
    let parse = |bytes: &[u8]| PublicKey::parse(bytes).map(|key| vec![key]);
    keys.get(parse, |all| all.into_iter().flatten().collect()).map_err(|e| bad_keys(&e))
}

/// Checks a signature, and that the log has seen it if there is a log.
fn verified_by<'k>(
    attachment: &Attachment,
    keys: &'k [PublicKey],
    log: Option<&[PublicKey]>,
) -> Result<&'k PublicKey, String> {
    let Attachment { payload, signature, annotations } = attachment;
    let signature = decoded(signature).ok_or("is not base64")?;
    let key = keys.iter().find(|key| key.verifies(payload, &signature));
    let key = key.ok_or("is not by one of the keys that count, or was changed")?;
    let Some(log) = log else { return Ok(key) };
    let promise = annotations.get(PROMISE).ok_or("is not in the log")?;
    logged(promise, log, key, &signature, payload).map_err(|e| format!("is not in the log: {e}"))?;
    Ok(key)
}

fn signer(kind: SignerKind, key: String, claim: Claim) -> Signed {
    let claims = BTreeMap::from([("reference".to_owned(), claim.identity)]);
    Signed { kind, identity: key.clone(), verified_by: key, claims }
}

fn read_claim(bytes: &[u8]) -> Result<Claim, String> {
    Claim::parse(bytes).map_err(|e| format!("does not name an image as it should: {e}"))
}

/// Checks what a signature says once it holds.
fn claims(
    claim: &Claim,
    kind: &str,
    image: &dyn SignedImage,
    identity: &identity::SignedIdentity,
) -> Result<(), String> {
    if claim.kind != kind {
        return Err(format!("is of another type than `{kind}`"));
    }
    if !claim.is_about(image.digest()) {
        return Err(format!("is of another image: `{}`", shown(&claim.digest)));
    }
    if !identity.matches(image.source(), &claim.identity) {
        return Err(format!("is of another name: `{}`", shown(&claim.identity)));
    }
    Ok(())
}

/// One signature that counts is enough.
fn one_of<T>(signatures: &[T], what: &str, accepts: impl Fn(&T) -> Result<Signed, String>) -> Verdict {
    let mut reasons = vec![format!("asks for {what}")];
    if signatures.is_empty() {
        reasons.push("there is none".to_owned());
        return Err((RefusalKind::Unsigned, reasons));
    }
    for (at, signature) in signatures.iter().enumerate() {
        match accepts(signature) {
            Ok(signer) => return Ok(Some(signer)),
            Err(reason) => reasons.push(format!("signature {} {reason}", at + 1)),
        }
    }
    Err((RefusalKind::NotAccepted, reasons))
}

fn bad_keys(error: &str) -> (RefusalKind, Vec<String>) {
    no(RefusalKind::Keys, format!("asks for a signature by keys that cannot be used: {error}"))
}

fn unavailable(error: &ContentError) -> (RefusalKind, Vec<String>) {
    no(
        RefusalKind::Unavailable,
        format!("asks for a signature, and whether there is one cannot be found out: {error}"),
    )
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
