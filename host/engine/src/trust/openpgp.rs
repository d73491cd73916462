//! Messages signed with OpenPGP, as stores of signatures hold them: [`Keyring`] verifies them.
//!
//! Every certificate is pinned: it is part of the program, or its file was named by the user. Nothing is looked up, and
//! no web of trust is asked.

use std::fmt;
use std::io::Read;
use std::time::SystemTime;

use sequoia_openpgp as openpgp;

use openpgp::cert::{CertParser, amalgamation::ValidAmalgamation};
use openpgp::packet::Tag;
use openpgp::parse::stream::{
    MessageLayer, MessageStructure, VerificationError, VerificationHelper, VerifierBuilder,
};
use openpgp::parse::{PacketParser, Parse};
use openpgp::policy::StandardPolicy;
use openpgp::types::RevocationStatus;
use openpgp::{Cert, KeyHandle};

mod framing;
#[cfg(test)]
mod tests;

/// The longest message that is looked at. Those of releases have about 1 KiB.
pub const MAX_MESSAGE_BYTES: usize = 50 << 10;

/// The longest text in a message; compression may hide a far longer one.
const MAX_BODY_BYTES: usize = 256 << 10;

/// The most packets of a message. Those of releases have four; 50 KiB could hide millions, each with a hash to compute.
const MOST_PACKETS: usize = 8;

const BEGIN: &[u8] = b"-----BEGIN PGP PUBLIC KEY BLOCK-----";
const END: &[u8] = b"-----END PGP PUBLIC KEY BLOCK-----";

/// Certificates whose signatures count.
#[derive(Clone)]
pub struct Keyring {
    certs: Vec<Cert>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keyring").field(&self.fingerprints()).finish()
    }
}

/// The file is not one of OpenPGP certificates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no OpenPGP keys can be read: {0}")]
pub struct InvalidKeyring(String);

/// A message whose signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedMessage {
    /// What was signed.
    pub body: Vec<u8>,
    /// The fingerprint of the certificate, in upper-case hexadecimal digits. The signature may be by a subkey of it.
    pub key: String,
    /// The name that the certificate gives to its owner.
    pub signer: String,
    /// When the signature says it was made.
    pub created: Option<SystemTime>,
}

/// A message is not signed as it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct MessageFault {
    /// In which way.
    pub kind: MessageFaultKind,
    /// The same in words, as the end of a sentence about the message.
    pub text: String,
}

/// The ways in which a message can fail to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageFaultKind {
    /// It is not an OpenPGP message, is cut off, or is too long.
    Damaged,
    /// It is a message that nobody signed.
    Unsigned,
    /// Something was changed after it was signed.
    Forged,
    /// The key is not in the keyring, or may not sign.
    UnknownKey,
    /// Key or signature are outside of their time.
    Expired,
    /// The key was revoked.
    Revoked,
    /// An algorithm or key is too weak.
    Weak,
}

fn fault(kind: MessageFaultKind, text: impl Into<String>) -> MessageFault {
    MessageFault { kind, text: text.into() }
}

impl Keyring {
    /// Reads certificates, binary or armored; a file may hold several armored blocks with any text between them.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidKeyring> {
        let mut certs = Vec::new();
        let mut read = |block: &[u8]| -> Result<(), InvalidKeyring> {
            let parser = CertParser::from_bytes(block).map_err(|e| InvalidKeyring(e.to_string()))?;
            for cert in parser {
                let cert = cert.map_err(|e| InvalidKeyring(e.to_string()))?;
                // Nothing here signs, so what could is not kept.
                certs.push(cert.strip_secret_key_material());
            }
            Ok(())
        };
        let mut rest = bytes;
        if memchr::memmem::find(bytes, BEGIN).is_none() {
            read(bytes)?;
        }
        while let Some(start) = memchr::memmem::find(rest, BEGIN) {
            let end = memchr::memmem::find(&rest[start..], END)
                .ok_or_else(|| InvalidKeyring("an armored block has no end".to_owned()))?;
            let end = start + end + END.len();
            read(&rest[start..end])?;
            rest = &rest[end..];
        }
        if certs.is_empty() {
            return Err(InvalidKeyring("there is none".to_owned()));
        }
        Ok(Self { certs })
    }

    /// Joins keyrings.
    pub fn join(rings: impl IntoIterator<Item = Keyring>) -> Self {
        Self { certs: rings.into_iter().flat_map(|ring| ring.certs).collect() }
    }

    /// Returns the fingerprints of the certificates, in upper-case hexadecimal digits.
    pub fn fingerprints(&self) -> Vec<String> {
        self.certs.iter().map(|cert| cert.fingerprint().to_hex()).collect()
    }

    /// Reads a signed message to its end, and returns what is in it if exactly one signature of this keyring holds.
    ///
    /// Key and signature have to be valid both when the signature was made and at `now`: like gpg and
    /// `containers/image`, and unlike Go's OpenPGP (and so the cluster), a signature does not outlive its key. The key that
    /// signs releases of OpenShift does not expire.
    pub fn verify(&self, message: &[u8], now: SystemTime) -> Result<SignedMessage, MessageFault> {
        use MessageFaultKind::Damaged;
        if message.is_empty() {
            return Err(fault(Damaged, "is empty"));
        }
        if message.len() > MAX_MESSAGE_BYTES {
            return Err(fault(
                Damaged,
                format!("is longer than the {MAX_MESSAGE_BYTES} bytes that are looked at"),
            ));
        }
        // Packets of OpenPGP have the top bit set. Armor and clear text, which the library would take as well, do not,
        // and in clear text what is signed is not quite what is there.
        if message[0] & 0x80 == 0 {
            return Err(fault(Damaged, "is not a binary OpenPGP message"));
        }
        let message = framing::joined(message);
        let policy = policy(now);
        let inspector = Inspector { keyring: self, policy: &policy, now, packets: 0, outcome: None };
        let builder = VerifierBuilder::from_bytes(&message).map_err(|e| damaged(&e))?;
        // The library keeps everything back until the end was seen and the signature checked, if it fits into this.
        let builder = builder.buffer_size(MAX_BODY_BYTES);
        let mut verifier = match builder.with_policy(&policy, now, inspector) {
            Ok(verifier) => verifier,
            // The inspector is gone with the verifier, but what it said is in the error.
            Err(error) => return Err(error.downcast::<MessageFault>().unwrap_or_else(|e| damaged(&e))),
        };
        if !verifier.message_processed() {
            let text = format!("holds more than the {MAX_BODY_BYTES} bytes that are looked at");
            return Err(fault(Damaged, text));
        }
        let mut body = Vec::new();
        if let Err(error) = verifier.read_to_end(&mut body) {
            return Err(fault(Damaged, format!("cannot be read to its end: {error}")));
        }
        let Some(Signer { key, name, created }) = verifier.into_helper().outcome else {
            return Err(fault(MessageFaultKind::Unsigned, "is signed by nobody"));
        };
        Ok(SignedMessage { body, key, signer: name, created })
    }
}

/// What is strong enough: the library's rules.
///
/// What signs, a message or the name in a certificate, must be SHA-2 or SHA-3, and RSA must have 2048 bits; all keys that
/// come with the program keep to that. Signatures of version 3 are old, and taken: Red Hat made them for years, and what is
/// weak about them is that they cannot carry restrictions, of which these have none. The library has a rule against them
/// that it does not apply to messages; here it is off, so that it cannot begin to.
fn policy(now: SystemTime) -> StandardPolicy<'static> {
    let mut policy = StandardPolicy::at(now);
    policy.accept_packet_tag_version(Tag::Signature, 3);
    policy
}

struct Signer {
    key: String,
    name: String,
    created: Option<SystemTime>,
}

/// Hands certificates to the library and judges what it found.
struct Inspector<'a> {
    keyring: &'a Keyring,
    policy: &'a StandardPolicy<'static>,
    now: SystemTime,
    packets: usize,
    outcome: Option<Signer>,
}

impl VerificationHelper for Inspector<'_> {
    fn inspect(&mut self, _packet: &PacketParser<'_>) -> openpgp::Result<()> {
        self.packets += 1;
        if self.packets > MOST_PACKETS {
            Err(fault(MessageFaultKind::Damaged, format!("has more than {MOST_PACKETS} packets")))?;
        }
        Ok(())
    }

    fn get_certs(&mut self, _ids: &[KeyHandle]) -> openpgp::Result<Vec<Cert>> {
        Ok(self.keyring.certs.clone())
    }

    fn check(&mut self, structure: MessageStructure<'_>) -> openpgp::Result<()> {
        let mut groups = structure.into_iter().filter_map(|layer| match layer {
            MessageLayer::SignatureGroup { results } => Some(results),
            _ => None,
        });
        let results = groups.next().unwrap_or_default();
        if results.is_empty() {
            Err(fault(MessageFaultKind::Unsigned, "is signed by nobody"))?;
        }
        if results.len() > 1 || groups.next().is_some() {
            Err(fault(MessageFaultKind::Damaged, "has several signatures in one message"))?;
        }
        for result in results {
            let good = result.map_err(|error| judged(&error))?;
            let cert = good.ka.cert();
            self.still_good(cert, &good.ka.key().fingerprint().into())?;
            self.outcome = Some(Signer {
                key: cert.fingerprint().to_hex(),
                name: self.name(cert),
                created: good.sig.signature_creation_time(),
            });
        }
        Ok(())
    }
}

impl Inspector<'_> {
    /// The library has judged the key at the time of the signature; this judges it at the present time.
    fn still_good(&self, cert: &Cert, key: &KeyHandle) -> Result<(), MessageFault> {
        let id = cert.fingerprint().to_hex();
        let cert = cert.with_policy(self.policy, self.now).map_err(|e| of_key(&id, &e))?;
        cert.alive().map_err(|e| of_key(&id, &e))?;
        if matches!(cert.revocation_status(), RevocationStatus::Revoked(_)) {
            return Err(revoked(&id));
        }
        let mut keys = cert.keys().key_handle(key.clone());
        let key = keys.next().ok_or_else(|| {
            fault(
                MessageFaultKind::UnknownKey,
                format!("is signed by a subkey that is no longer one of {id}"),
            )
        })?;
        key.alive().map_err(|e| of_key(&id, &e))?;
        match key.revocation_status() {
            RevocationStatus::Revoked(_) => Err(revoked(&id)),
            _ => Ok(()),
        }
    }

    fn name(&self, cert: &Cert) -> String {
        let valid = cert.with_policy(self.policy, self.now).ok();
        let primary = valid.and_then(|cert| cert.primary_userid().ok().map(|id| id.userid().clone()));
        let any = || cert.userids().next().map(|id| id.userid().clone());
        let name = primary.or_else(any).map(|id| String::from_utf8_lossy(id.value()).into_owned());
        name.unwrap_or_default().chars().filter(|c| !c.is_control()).collect()
    }
}

/// Says what a fault that the library found means.
fn judged(error: &VerificationError<'_>) -> MessageFault {
    use MessageFaultKind::{Damaged, Forged, UnknownKey};
    match error {
        VerificationError::MissingKey { sig } => {
            let issuer = sig.get_issuers().first().map(|id| format!("{id:X}"));
            match issuer {
                Some(issuer) => fault(UnknownKey, format!("is signed by the unknown key {issuer}")),
                None => fault(UnknownKey, "does not say which key signed it"),
            }
        }
        VerificationError::UnboundKey { cert, error, .. } => of_key(&cert.fingerprint().to_hex(), error),
        VerificationError::BadKey { ka, error, .. } => {
            let id = ka.cert().fingerprint().to_hex();
            let gone = |status| matches!(status, RevocationStatus::Revoked(_));
            if gone(ka.revocation_status()) || gone(ka.valid_cert().revocation_status()) {
                return revoked(&id);
            }
            of_key(&id, error)
        }
        VerificationError::BadSignature { ka, error, .. } => {
            let id = ka.cert().fingerprint().to_hex();
            match known(error) {
                Some((kind, what)) => fault(kind, format!("has a signature by {id} that {what}")),
                None => fault(Forged, format!("was changed: it does not fit its signature by {id}")),
            }
        }
        VerificationError::MalformedSignature { error, .. } => {
            fault(Damaged, format!("has a malformed signature: {}", one_line(error)))
        }
        VerificationError::UnknownSignature { sig } => {
            fault(Damaged, format!("has a malformed signature: {}", one_line(sig.error())))
        }
        other => fault(Damaged, format!("cannot be verified: {other}")),
    }
}

/// Why a key does not count.
fn of_key(id: &str, error: &openpgp::anyhow::Error) -> MessageFault {
    match known(error) {
        Some((kind, what)) => fault(kind, format!("is signed by the key {id}, which {what}")),
        None => fault(
            MessageFaultKind::UnknownKey,
            format!("is signed by the key {id}, which cannot sign: {}", one_line(error)),
        ),
    }
}

fn revoked(id: &str) -> MessageFault {
    fault(MessageFaultKind::Revoked, format!("is signed by the key {id}, which is revoked"))
}

/// Tells faults of time and strength from others.
fn known(error: &openpgp::anyhow::Error) -> Option<(MessageFaultKind, String)> {
    use MessageFaultKind::{Expired, Weak};
    Some(match error.downcast_ref::<openpgp::Error>()? {
        openpgp::Error::Expired(at) => (Expired, format!("has expired on {}", day(*at))),
        openpgp::Error::NotYetLive(at) => (Expired, format!("is not valid before {}", day(*at))),
        openpgp::Error::PolicyViolation(what, _) => (Weak, format!("is too weak: {what}")),
        _ => return None,
    })
}

fn day(at: SystemTime) -> String {
    time::OffsetDateTime::from(at).date().to_string()
}

fn damaged(error: &openpgp::anyhow::Error) -> MessageFault {
    fault(MessageFaultKind::Damaged, format!("is not an OpenPGP message: {}", one_line(error)))
}

/// Errors of the library may have several lines and what was in the message.
fn one_line(error: &openpgp::anyhow::Error) -> String {
    error.to_string().chars().filter(|c| !c.is_control()).take(160).collect()
}
