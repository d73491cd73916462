//! Signatures of imagesets: [`Envelope`], the DSSE envelope over an index, and the bytes that are signed, [`pae`].
//!
//! The envelope is that of <https://github.com/secure-systems-lab/dsse> but for its payload, which is not in it: the payload is
//! `imageset.json`, which lies right before it. Plain data: keys and arithmetic are elsewhere.

use serde::{Deserialize, Serialize};

use crate::checksum::{self, Checked, Checksum};
use crate::digest::Digest;
use crate::imageset::Index;

/// What is signed: the index of an imageset, as it is stored.
pub const PAYLOAD_TYPE: &str = "application/vnd.oc-mirror.imageset.index.v1+json";

/// The length of a signature of Ed25519 in base64.
const SIGNATURE_LEN: usize = 88;

/// A key's identity: the SHA-256 of its public half in DER, a `SubjectPublicKeyInfo`.
pub type KeyId = Digest;

/// Signatures over one document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    /// What was signed.
    pub payload_type: String,
    /// The signatures, in the order of the keys.
    pub signatures: Vec<Signature>,
    /// Stands for the checksum, which is checked before the document is read.
    #[serde(default, skip_serializing, rename = "checksum")]
    _checksum: Option<String>,
}

/// One signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Whose it is said to be.
    pub keyid: KeyId,
    /// The signature over [`pae`], in base64.
    pub sig: String,
}

impl Envelope {
    /// Makes an envelope of signatures over an index.
    pub fn new(signatures: Vec<Signature>) -> Self {
        Self { payload_type: PAYLOAD_TYPE.to_owned(), signatures, _checksum: None }
    }

    /// Returns the bytes that stand in an imageset.
    pub fn to_bytes(&self) -> Vec<u8> {
        Checked::new(self).to_bytes()
    }

    /// Reads an envelope; only what [`Envelope::to_bytes`] makes is one.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if checksum::check(bytes) != Checksum::Right {
            return Err("its bytes have changed".to_owned());
        }
        let envelope: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(format!("it is over `{}`", envelope.payload_type.escape_debug()));
        }
        Ok(Self { _checksum: None, ..envelope })
    }

    /// Returns how long an envelope of these keys is, whatever they sign.
    pub fn len_of(keys: &[KeyId]) -> u64 {
        let signature = |keyid: &KeyId| Signature { keyid: keyid.clone(), sig: "A".repeat(SIGNATURE_LEN) };
        Self::new(keys.iter().map(signature).collect()).to_bytes().len() as u64
    }
}

/// Returns the bytes that are signed: the pre-authentication encoding, version 1, of an index.
pub fn pae(index: &[u8]) -> Vec<u8> {
    let mut bytes = pae_head(index.len() as u64);
    bytes.extend_from_slice(index);
    bytes
}

/// Returns the same of an index that is going to be stored, whose text is nowhere else.
pub fn pae_of(index: &Checked<'_, Index>) -> Vec<u8> {
    let mut bytes = pae_head(index.len_bytes());
    index.write_to(&mut bytes).expect("memory takes all of it");
    bytes
}

/// Returns what stands before an index of so many bytes, with room for it.
fn pae_head(len: u64) -> Vec<u8> {
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {len} ", PAYLOAD_TYPE.len());
    let mut bytes = Vec::with_capacity(head.len() + usize::try_from(len).unwrap_or_default());
    bytes.extend_from_slice(head.as_bytes());
    bytes
}

/// Why an imageset is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// Nobody signed it.
    #[error("it is not signed, and signatures of {}", asked(*.needed, *.keys))]
    Unsigned {
        /// How many signatures are asked for.
        needed: usize,
        /// Of how many keys.
        keys: usize,
    },
    /// Too few of those that are trusted signed it.
    #[error("it is signed by {}{}, and signatures of {}", trusted(*.found), by(.signers), asked(*.needed, *.keys))]
    TooFew {
        /// How many trusted keys signed it.
        found: usize,
        /// Who signed it, trusted or not.
        signers: Vec<KeyId>,
        /// How many signatures are asked for.
        needed: usize,
        /// Of how many keys.
        keys: usize,
    },
    /// A signature that is said to be of a trusted key is not.
    #[error("its signature by `{0}` does not hold: the index is not the one that was signed")]
    Wrong(KeyId),
}

fn asked(needed: usize, keys: usize) -> String {
    match (needed, keys) {
        (1, 1) => "1 key are asked for".to_owned(),
        (needed, keys) => format!("{needed} of {keys} keys are asked for"),
    }
}

fn trusted(found: usize) -> String {
    match found {
        0 => "none of the keys that are trusted".to_owned(),
        1 => "1 key that is trusted".to_owned(),
        more => format!("{more} keys that are trusted"),
    }
}

fn by(signers: &[KeyId]) -> String {
    let named: Vec<String> = signers.iter().map(|key| format!("`{key}`")).collect();
    format!(" (signed by {})", named.join(", "))
}

impl Distrust {
    /// Returns what to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unsigned { .. } | Self::TooFew { .. } => {
                "nothing was sent; make the imageset with --sign-key on the connected side, or see that --verify-key or \
                 `trust.keys` of the workspace names the keys that it was signed with (`oc-mirror key id FILE`); one that was \
                 published while a key was still trusted that is not any more need not be here: take it out of the directory"
            }
            Self::Wrong(_) => {
                "nothing was sent; somebody changed the imageset: get it again from where it was made, by another way"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope() -> Envelope {
        let signature =
            |n: u8| Signature { keyid: Digest::of(&[n]), sig: char::from(b'A' + n).to_string().repeat(88) };
        Envelope::new(vec![signature(1), signature(2)])
    }

    #[test]
    fn the_encoding_is_that_of_the_specification() {
        let expected = format!("DSSEv1 48 {PAYLOAD_TYPE} 5 hello");
        assert_eq!(pae(b"hello"), expected.as_bytes());
    }

    #[test]
    fn envelopes_are_read_back_and_have_the_length_that_was_planned() {
        let envelope = envelope();
        let bytes = envelope.to_bytes();
        assert_eq!(Envelope::parse(&bytes), Ok(envelope.clone()));
        let keys: Vec<KeyId> = envelope.signatures.into_iter().map(|s| s.keyid).collect();
        assert_eq!(Envelope::len_of(&keys), bytes.len() as u64);
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        let right = envelope().to_bytes();
        for at in 0..right.len() {
            let mut wrong = right.clone();
            wrong[at] ^= 1;
            assert!(Envelope::parse(&wrong).is_err(), "byte {at}");
        }
        let other = Envelope { payload_type: "text/plain".to_owned(), ..envelope() };
        assert!(Envelope::parse(&other.to_bytes()).is_err());
        assert!(Envelope::parse(b"{}").is_err());
    }

    #[test]
    fn distrust_reads_like_a_sentence() {
        let unsigned = Distrust::Unsigned { needed: 2, keys: 3 };
        assert_eq!(unsigned.to_string(), "it is not signed, and signatures of 2 of 3 keys are asked for");
    }
}
