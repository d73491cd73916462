//! Keys, messages and a web for tests of this room.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair,
};
use sequoia_openpgp as openpgp;

use openpgp::cert::CertBuilder;
use openpgp::packet::key::{Key4, PrimaryRole, SecretParts};
use openpgp::packet::signature::SignatureBuilder;
use openpgp::packet::{Key, UserID};
use openpgp::policy::{AsymmetricAlgorithm, StandardPolicy};
use openpgp::serialize::SerializeInto;
use openpgp::serialize::stream::{Compressor, LiteralWriter, Message, Signer};
use openpgp::types::{HashAlgorithm, KeyFlags, SignatureType};
use openpgp::{Cert, Packet};

use crate::source::{HttpError, HttpFetch, HttpRequest, HttpResponse};

/// A day of the time in which tests live: days since the start of 2024.
pub(super) fn day(number: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_704_067_200 + number * 86_400)
}

const DAY: u64 = 86_400;

/// A key made on day 0, that signs on day 10.
pub(super) struct TestKey {
    cert: Cert,
    revocation: Option<openpgp::packet::Signature>,
}

impl TestKey {
    pub(super) fn new(owner: &str) -> Self {
        Self::lasting(owner, None)
    }

    pub(super) fn lasting(owner: &str, days: Option<u64>) -> Self {
        let builder = CertBuilder::new()
            .add_userid(owner)
            .set_creation_time(day(0))
            .set_primary_key_flags(KeyFlags::empty().set_certification().set_signing())
            .set_validity_period(days.map(|days| Duration::from_secs(days * DAY)));
        let (cert, revocation) = builder.generate().unwrap();
        Self { cert, revocation: Some(revocation) }
    }

    /// Makes a key of RSA, which the builder does not make as small as this.
    pub(super) fn rsa(bits: usize) -> Self {
        let mut key = Key4::<SecretParts, PrimaryRole>::generate_rsa(bits).unwrap();
        key.set_creation_time(day(0)).unwrap();
        let key = Key::from(key);
        let mut signer = key.clone().into_keypair().unwrap();
        let name = UserID::from("small");
        let binding = SignatureBuilder::new(SignatureType::PositiveCertification)
            .set_signature_creation_time(day(0))
            .and_then(|builder| builder.set_key_flags(KeyFlags::empty().set_certification().set_signing()))
            .and_then(|builder| builder.sign_userid_binding(&mut signer, None, &name))
            .unwrap();
        let packets: Vec<Packet> = vec![key.into(), name.into(), binding.into()];
        Self { cert: Cert::from_packets(packets.into_iter()).unwrap(), revocation: None }
    }

    pub(super) fn public(&self) -> Vec<u8> {
        self.cert.clone().strip_secret_key_material().to_vec().unwrap()
    }

    pub(super) fn armored(&self) -> Vec<u8> {
        self.cert.clone().strip_secret_key_material().armored().to_vec().unwrap()
    }

    pub(super) fn revoked(&self) -> Vec<u8> {
        let cert = self.cert.clone().strip_secret_key_material();
        cert.insert_packets(self.revocation.clone()).unwrap().0.to_vec().unwrap()
    }

    pub(super) fn fingerprint(&self) -> String {
        self.cert.fingerprint().to_hex()
    }

    pub(super) fn sign(&self, body: &[u8]) -> Vec<u8> {
        self.sign_as(body, HashAlgorithm::SHA256, None)
    }

    pub(super) fn sign_as(&self, body: &[u8], hash: HashAlgorithm, days: Option<u64>) -> Vec<u8> {
        let mut policy = StandardPolicy::new();
        policy.accept_asymmetric_algo(AsymmetricAlgorithm::RSA1024);
        let keys = self.cert.keys().with_policy(&policy, day(10)).secret().for_signing();
        let key = keys.into_iter().next().unwrap().key().clone().into_keypair().unwrap();
        let template = SignatureBuilder::new(SignatureType::Binary)
            .set_signature_validity_period(Duration::from_secs(days.unwrap_or(36_500) * DAY))
            .unwrap();
        let mut sink = Vec::new();
        let message = Compressor::new(Message::new(&mut sink)).build().unwrap();
        let signer = Signer::with_template(message, key, template).unwrap();
        let signer = signer.hash_algo(hash).unwrap().creation_time(day(10));
        let mut literal = LiteralWriter::new(signer.build().unwrap()).build().unwrap();
        std::io::Write::write_all(&mut literal, body).unwrap();
        literal.finalize().unwrap();
        sink
    }
}

/// A message that nobody signed.
pub(super) fn unsigned(body: &[u8]) -> Vec<u8> {
    let mut sink = Vec::new();
    let message = Compressor::new(Message::new(&mut sink)).build().unwrap();
    let mut literal = LiteralWriter::new(message).build().unwrap();
    std::io::Write::write_all(&mut literal, body).unwrap();
    literal.finalize().unwrap();
    sink
}

/// A key in the manner of cosign.
pub(super) enum CosignKey {
    /// With SHA-256.
    P256(EcdsaKeyPair),
    /// With SHA-384.
    P384(EcdsaKeyPair),
    /// Without a hash.
    Ed25519(Ed25519KeyPair),
}

impl CosignKey {
    pub(super) fn p256() -> Self {
        Self::P256(ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING))
    }

    pub(super) fn p384() -> Self {
        Self::P384(ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING))
    }

    pub(super) fn ed25519() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap())
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(key) | Self::P384(key) => {
                key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
            }
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    pub(super) fn pem(&self) -> String {
        const P256: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
        const P384: &[u8] =
            b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00";
        const ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
        let (head, key) = match self {
            Self::P256(key) => (P256, key.public_key().as_ref()),
            Self::P384(key) => (P384, key.public_key().as_ref()),
            Self::Ed25519(key) => (ED25519, key.public_key().as_ref()),
        };
        let text = STANDARD.encode([head, key].concat());
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
    }
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap()
}

/// The text that is signed for an image.
pub(super) fn claim(kind: &str, digest: &str, identity: &str) -> Vec<u8> {
    serde_json::json!({
        "critical": {
            "type": kind,
            "image": { "docker-manifest-digest": digest },
            "identity": { "docker-reference": identity },
        },
        "optional": null,
    })
    .to_string()
    .into_bytes()
}

/// What a store answers.
#[derive(Clone)]
pub(super) enum Answer {
    Body(Vec<u8>),
    Status(u16),
    Broken,
    Unreachable,
}

/// Answers by address, with 404 for all others, and remembers what it was asked for.
#[derive(Default)]
pub(super) struct Web {
    answers: HashMap<String, Answer>,
    asked: Mutex<Vec<String>>,
}

impl Web {
    pub(super) fn with(mut self, url: &str, answer: Answer) -> Self {
        self.answers.insert(url.to_owned(), answer);
        self
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl HttpFetch for Web {
    async fn fetch(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.asked.lock().unwrap().push(request.url.clone());
        assert!((request.allow)(&request.url) && !(request.allow)("https://elsewhere.example/"));
        let (status, pieces) = match self.answers.get(&request.url) {
            Some(Answer::Body(bytes)) => (200, vec![Ok(Bytes::copy_from_slice(bytes))]),
            Some(Answer::Status(status)) => (*status, Vec::new()),
            Some(Answer::Unreachable) => return Err(HttpError::Unavailable("no route".to_owned())),
            Some(Answer::Broken) => {
                let kind = crate::content::ContentErrorKind::Unavailable("broken off".to_owned());
                (200, vec![Err(crate::content::ContentError::new(request.url.clone(), kind))])
            }
            None => (404, Vec::new()),
        };
        let body = Box::pin(futures_util::stream::iter(pieces));
        Ok(HttpResponse { status, headers: Vec::new(), final_url: request.url, body })
    }

    fn has_credential(&self, _name: &str) -> bool {
        false
    }
}

/// Returns a file of the shared fixtures, or nothing in a clone that does not have them, and says so.
pub(super) fn fixture(path: &str) -> Option<Vec<u8>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures");
    if !root.is_dir() {
        println!("skipped: no ../shared/fixtures");
        return None;
    }
    let file = root.join(path);
    Some(std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display())))
}
