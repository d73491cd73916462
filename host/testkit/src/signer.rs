//! Signatures of releases in the form that real ones have: [`Signer`] is a key made for one test, [`Statement`] what it
//! signs and what may be wrong with that.
//!
//! A signature is a binary OpenPGP message: compressed, and in it a one-pass packet, the statement as literal data and
//! the signature itself. The keys are of Ed25519, since RSA takes seconds to make.

use std::time::{Duration, SystemTime};

use sequoia_openpgp::cert::{Cert, CertBuilder, CertRevocationBuilder, CipherSuite};
use sequoia_openpgp::crypto::{KeyPair, Signer as _};
use sequoia_openpgp::packet::prelude::*;
use sequoia_openpgp::packet::signature::Signature3;
use sequoia_openpgp::serialize::stream::{Compressor, Message};
use sequoia_openpgp::serialize::{Serialize as _, SerializeInto as _};
use sequoia_openpgp::types::{
    CompressionAlgorithm, DataFormat, HashAlgorithm, KeyFlags, ReasonForRevocation, SignatureType, Timestamp,
};
use sequoia_openpgp::{Packet, Profile};
use serde_json::{Value, json};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What the type of a statement about an image is.
const TYPE: &str = "atomic container signature";

/// The owner of all keys made here.
const OWNER: &str = "Test Release <release@test.example>";

/// A key that signs releases.
#[derive(Clone, Debug)]
pub struct Signer {
    cert: Cert,
    signs_at: SystemTime,
}

impl Default for Signer {
    fn default() -> Self {
        Self::new()
    }
}

impl Signer {
    /// Makes a key that is a year old and does not expire.
    pub fn new() -> Self {
        Self { cert: make(365, None), signs_at: now() }
    }

    /// Makes a key that expired a year ago; it signs as of a day when it had not.
    pub fn expired() -> Self {
        Self { cert: make(2 * 365, Some(365 * DAY)), signs_at: now() - 500 * DAY }
    }

    /// Makes a key that was revoked, because somebody else has it as well.
    pub fn revoked() -> Self {
        let cert = make(365, None);
        let mut pair = pair(&cert);
        let revocation = CertRevocationBuilder::new()
            .set_reason_for_revocation(ReasonForRevocation::KeyCompromised, b"lost by a test")
            .and_then(|builder| builder.build(&mut pair, &cert, None))
            .expect("a key revokes itself");
        let (cert, _) = cert.insert_packets(Some(revocation)).expect("the revocation is of this key");
        Self { cert, signs_at: now() }
    }

    /// Returns the public key in its armour.
    pub fn public_key(&self) -> String {
        let bytes = self.cert.armored().to_vec().expect("writing to memory succeeds");
        String::from_utf8(bytes).expect("armour is text")
    }

    /// Returns the public key as packets.
    pub fn public_key_bytes(&self) -> Vec<u8> {
        self.cert.to_vec().expect("writing to memory succeeds")
    }

    /// Returns the fingerprint in upper-case hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        self.cert.fingerprint().to_hex()
    }

    /// Returns who the key says to be of.
    pub fn owner(&self) -> &'static str {
        OWNER
    }

    /// Signs that the image of this digest has this name, as a real signature of a release does.
    pub fn sign(&self, digest: &str, identity: &str) -> Vec<u8> {
        Statement::new(digest, identity).signed_by(self)
    }
}

/// What is signed, and how.
#[derive(Clone, Debug)]
pub struct Statement {
    body: Value,
    raw: Option<Vec<u8>>,
    made_at: Option<SystemTime>,
    lasts: Option<Duration>,
    hash: HashAlgorithm,
    version_3: bool,
    compressed: bool,
    forged: bool,
    signed: bool,
}

impl Statement {
    /// Starts the statement that the image of this digest has this name.
    pub fn new(digest: &str, identity: &str) -> Self {
        let body = json!({
            "critical": {
                "type": TYPE,
                "image": { "docker-manifest-digest": digest },
                "identity": { "docker-reference": identity },
            },
            "optional": { "creator": "Test", "timestamp": 1_700_000_000 },
        });
        Self {
            body,
            raw: None,
            made_at: None,
            lasts: None,
            hash: HashAlgorithm::SHA256,
            version_3: false,
            compressed: true,
            forged: false,
            signed: true,
        }
    }

    /// Sets the type, which for images is `atomic container signature`.
    pub fn kind(self, kind: &str) -> Self {
        self.set("/critical/type", json!(kind))
    }

    /// Sets a field, which need not be one that statements have, by its JSON pointer (`/critical/surprise`).
    pub fn set(mut self, pointer: &str, value: Value) -> Self {
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer starts with a slash");
        let object = self.body.pointer_mut(parent).and_then(Value::as_object_mut);
        object.unwrap_or_else(|| panic!("no object at `{parent}`")).insert(field.to_owned(), value);
        self
    }

    /// Signs these bytes instead.
    pub fn raw(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.raw = Some(bytes.into());
        self
    }

    /// Sets when the signature is made; keys sign now, or as of a day when they could.
    pub fn made_at(mut self, time: SystemTime) -> Self {
        self.made_at = Some(time);
        self
    }

    /// Makes the signature last for a day that is over.
    pub fn expired(mut self) -> Self {
        self.made_at = Some(now() - 30 * DAY);
        self.lasts = Some(DAY);
        self
    }

    /// Signs a SHA-1 digest.
    pub fn sha1(mut self) -> Self {
        self.hash = HashAlgorithm::SHA1;
        self
    }

    /// Makes a signature of version 3, as releases before 2020 have; those do not expire.
    pub fn version_3(mut self) -> Self {
        self.version_3 = true;
        self
    }

    /// Leaves the compression out.
    pub fn uncompressed(mut self) -> Self {
        self.compressed = false;
        self
    }

    /// Changes the statement after it was signed.
    pub fn forged(mut self) -> Self {
        self.forged = true;
        self
    }

    /// Leaves the signature out.
    pub fn unsigned(mut self) -> Self {
        self.signed = false;
        self
    }

    /// Returns the bytes that are signed.
    pub fn body(&self) -> Vec<u8> {
        self.raw.clone().unwrap_or_else(|| self.body.to_string().into_bytes())
    }

    /// Signs.
    pub fn signed_by(&self, signer: &Signer) -> Vec<u8> {
        let body = self.body();
        let mut literal = Literal::new(DataFormat::Binary);
        literal.set_body(if self.forged { [body.as_slice(), b" "].concat() } else { body.clone() });
        let mut packets = vec![Packet::from(literal)];
        if self.signed {
            let mut pair = pair(&signer.cert);
            let signature = self.signature(&mut pair, self.made_at.unwrap_or(signer.signs_at), &body);
            let mut announcement = OnePassSig3::new(SignatureType::Binary);
            announcement.set_pk_algo(pair.public().pk_algo());
            announcement.set_hash_algo(self.hash);
            announcement.set_issuer(pair.public().keyid());
            announcement.set_last(true);
            packets.insert(0, Packet::from(OnePassSig::from(announcement)));
            packets.push(signature);
        }
        self.message(&packets).expect("writing to memory succeeds")
    }

    fn signature(&self, pair: &mut KeyPair, time: SystemTime, body: &[u8]) -> Packet {
        let signed = if self.version_3 {
            signature_3(pair, self.hash, time, body).map(Packet::from)
        } else {
            SignatureBuilder::new(SignatureType::Binary)
                .set_hash_algo(self.hash)
                .set_signature_creation_time(time)
                .and_then(|builder| match self.lasts {
                    Some(lasts) => builder.set_signature_validity_period(lasts),
                    None => Ok(builder),
                })
                .and_then(|builder| builder.sign_message(pair, body))
                .map(Packet::from)
        };
        signed.expect("a key that was just made signs")
    }

    fn message(&self, packets: &[Packet]) -> sequoia_openpgp::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut message = Message::new(&mut bytes);
        if self.compressed {
            message = Compressor::new(message).algo(CompressionAlgorithm::Zip).build()?;
        }
        for packet in packets {
            packet.serialize(&mut message)?;
        }
        message.finalize()?;
        Ok(bytes)
    }
}

/// Signs as version 3 does, which the library only reads: over the bytes, the kind and the time.
fn signature_3(
    pair: &mut KeyPair,
    hash: HashAlgorithm,
    time: SystemTime,
    body: &[u8],
) -> sequoia_openpgp::Result<Signature3> {
    let time = Timestamp::try_from(time)?;
    let mut context = hash.context()?.for_digest();
    context.update(body);
    context.update(&[SignatureType::Binary.into()]);
    context.update(&u32::from(time).to_be_bytes());
    let digest = context.into_digest()?;
    let made = pair.sign(hash, &digest)?;
    let key = pair.public();
    let start = [digest[0], digest[1]];
    Ok(Signature3::new(SignatureType::Binary, time, key.keyid(), key.pk_algo(), hash, start, made))
}

/// Makes a key that is this many days old and lasts this long.
fn make(days: u32, lasts: Option<Duration>) -> Cert {
    let made = CertBuilder::new()
        .set_cipher_suite(CipherSuite::Cv25519)
        .set_profile(Profile::RFC4880)
        .map(|builder| {
            builder
                .set_creation_time(now() - days * DAY)
                .set_validity_period(lasts)
                .set_primary_key_flags(KeyFlags::empty().set_certification().set_signing())
                .add_userid(OWNER)
        })
        .and_then(CertBuilder::generate);
    made.expect("this machine has randomness").0
}

/// Returns the primary key with its secret part, which signs here as it does for real releases.
fn pair(cert: &Cert) -> KeyPair {
    let key = cert.primary_key().key().clone().parts_into_secret().expect("the key was made here");
    key.into_keypair().expect("the key has no password")
}

/// Signatures count in whole seconds.
fn now() -> SystemTime {
    Timestamp::now().into()
}

#[cfg(test)]
mod tests;
