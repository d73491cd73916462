//! Keys, messages and a web for tests of this room.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use sequoia_openpgp as openpgp;

use openpgp::Cert;
use openpgp::cert::CertBuilder;
use openpgp::packet::signature::SignatureBuilder;
use openpgp::policy::StandardPolicy;
use openpgp::serialize::SerializeInto;
use openpgp::serialize::stream::{Compressor, LiteralWriter, Message, Signer};
use openpgp::types::{HashAlgorithm, KeyFlags, SignatureType};

use crate::source::{HttpError, HttpFetch, HttpRequest, HttpResponse};

/// A day of the time in which tests live: days since the start of 2024.
pub(super) fn day(number: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_704_067_200 + number * 86_400)
}

const DAY: u64 = 86_400;

/// A key made on day 0, that signs on day 10.
pub(super) struct TestKey {
    cert: Cert,
    revocation: openpgp::packet::Signature,
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
        Self { cert, revocation }
    }

    pub(super) fn public(&self) -> Vec<u8> {
        self.cert.clone().strip_secret_key_material().to_vec().unwrap()
    }

    pub(super) fn armored(&self) -> Vec<u8> {
        self.cert.clone().strip_secret_key_material().armored().to_vec().unwrap()
    }

    pub(super) fn revoked(&self) -> Vec<u8> {
        let cert = self.cert.clone().strip_secret_key_material();
        cert.insert_packets(vec![self.revocation.clone()]).unwrap().0.to_vec().unwrap()
    }

    pub(super) fn fingerprint(&self) -> String {
        self.cert.fingerprint().to_hex()
    }

    pub(super) fn sign(&self, body: &[u8]) -> Vec<u8> {
        self.sign_as(body, HashAlgorithm::SHA256, None)
    }

    pub(super) fn sign_as(&self, body: &[u8], hash: HashAlgorithm, days: Option<u64>) -> Vec<u8> {
        let policy = StandardPolicy::new();
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
