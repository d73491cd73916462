//! Signatures of releases as content sources see them: [`Signatures`] answers who signed a payload.
//!
//! Keys, stores and cryptography stay with the host; a source gets to know what was verified, and nothing else counts.

use async_trait::async_trait;
use oc_mirror_model::digest::Digest;
use serde::{Deserialize, Serialize};

/// A payload that has to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Its digest, which is what a signature is over.
    pub digest: Digest,
    /// The version that it is said to be, where that is known: a signature must name the same one.
    pub version: Option<String>,
    /// Whose keys count.
    pub keyring: Keyring,
}

/// Whose keys count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Keyring {
    /// Those that sign releases of OpenShift Container Platform.
    Ocp,
    /// Those that sign releases of OKD.
    Okd,
}

/// A signature that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedSignature {
    /// Its number in the store, from 1.
    pub number: u32,
    /// The store that had it, without anything secret.
    pub store: String,
    /// The name that it gives to the image: `quay.io/openshift-release-dev/ocp-release:4.18.30-x86_64`.
    pub identity: String,
    /// The fingerprint of the key, in upper-case hexadecimal digits.
    pub key: String,
    /// Whose key it says to be.
    pub signer: String,
    /// When it was made, RFC 3339 in UTC.
    pub created: Option<String>,
    /// The signature as it is in the store.
    pub bytes: Vec<u8>,
}

/// No signature holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the release `{digest}` is not verified: {}", reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct SignatureError {
    /// The payload.
    pub digest: Digest,
    /// What is wrong with each signature that there is, or why there is none; never empty, the weightiest first.
    pub reasons: Vec<SignatureFault>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What is wrong with one signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text}")]
pub struct SignatureFault {
    /// Which kind of fault.
    pub kind: SignatureFaultKind,
    /// Names the signature and says what is wrong with it.
    pub text: String,
}

/// The kinds of faults of signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureFaultKind {
    /// There is none.
    Missing,
    /// The store cannot be asked.
    Unavailable,
    /// It is not an OpenPGP message, or it is cut off.
    Damaged,
    /// It is no signature by the key that it names: something was changed.
    Forged,
    /// It was made by a key that is not among those that count.
    UnknownKey,
    /// The key, or the signature, had expired.
    Expired,
    /// The key was revoked.
    Revoked,
    /// It was made with an algorithm that is too weak.
    Weak,
    /// It signs something that is no image.
    NotAnImage,
    /// It signs another image.
    OtherImage,
    /// It names the image by another name than the one that was asked for.
    OtherIdentity,
}

impl SignatureFaultKind {
    /// Returns the word of the plugins' contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unavailable => "unavailable",
            Self::Damaged => "damaged",
            Self::Forged => "forged",
            Self::UnknownKey => "unknown-key",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Weak => "weak",
            Self::NotAnImage => "not-an-image",
            Self::OtherImage => "other-image",
            Self::OtherIdentity => "other-identity",
        }
    }
}

/// Answers who signed a payload.
#[async_trait]
pub trait Signatures: Send + Sync {
    /// Looks for signatures of a payload, and returns those that hold: at least one, unless signatures are ignored.
    ///
    /// Nothing of the payload itself is fetched.
    async fn verify(&self, payload: &Payload) -> Result<Vec<VerifiedSignature>, SignatureError>;

    /// Answers whether a payload may be mirrored: it was verified in this run, or signatures are ignored.
    fn admits(&self, digest: &Digest) -> bool;
}

/// For runs that have no keys: nothing is verified.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoKeys;

#[async_trait]
impl Signatures for NoKeys {
    async fn verify(&self, payload: &Payload) -> Result<Vec<VerifiedSignature>, SignatureError> {
        let text = "there are no keys to check it with".to_owned();
        Err(SignatureError {
            digest: payload.digest.clone(),
            reasons: vec![SignatureFault { kind: SignatureFaultKind::UnknownKey, text }],
            hint: None,
        })
    }

    fn admits(&self, _: &Digest) -> bool {
        false
    }
}
