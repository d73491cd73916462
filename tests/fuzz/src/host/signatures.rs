//! Signatures in the manner of cosign: what counts says, in its own text, that it is about the image that was asked about.

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oc_mirror_engine::trust::image::Attachment;
use oc_mirror_engine::trust::signing::SignatureKey;
use oc_mirror_engine::trust::sigstore::{Trusted, verify};
use oc_mirror_model::attributes::Attributes;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::dsse::Envelope;
use oc_mirror_model::reference::{Reference, Source};
use oc_mirror_model::signer::{Identity, SignedName, SignerKind, Trust};
use serde_json::Value;

use crate::target::{Input, Target};

/// "Simple signing" texts under a good signature, promises of logs, certificates, and envelopes of imagesets.
pub const SIGNATURES: Target = Target { name: "signatures", longest: 16 << 10, memory: 32 << 20, check };

const IMAGE: &str = "r.example/team/app:v1";
const MANIFEST: &[u8] = b"a manifest";
const BUNDLE: &str = "dev.sigstore.cosign/bundle";
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const CHAIN: &str = "dev.sigstore.cosign/chain";

/// Who counts: a key alone, a key whose signatures a log has seen, and somebody with a certificate.
struct Known {
    key: SignatureKey,
    plain: Trusted,
    logged: Trusted,
    certified: Trusted,
}

/// A key that is always the same, and signs nothing else.
fn key() -> SignatureKey {
    // PKCS #8 of a key of Ed25519 is this and its 32 bytes.
    let der = [&b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20"[..], &[7; 32]].concat();
    let label = "PRIVATE KEY";
    let pem = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der));
    SignatureKey::parse(pem.as_bytes()).expect("a key")
}

fn known() -> &'static Known {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let key = key();
        let pair = rcgen::KeyPair::generate().expect("a pair of keys");
        let mut parameters = rcgen::CertificateParams::default();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = parameters.self_signed(&pair).expect("a certificate").pem();
        let trust = Trust { keys: vec![key.public_pem()], name: SignedName::Repository, ..Trust::default() };
        let logged = Trust { logs: vec![key.public_pem()], ..trust.clone() };
        let identity =
            Identity { issuer: "https://issuer.example".to_owned(), subject: "a@b.example".to_owned() };
        let certified = Trust {
            keys: Vec::new(),
            logs: vec![key.public_pem()],
            identities: vec![identity],
            authorities: vec![authority],
            ..trust.clone()
        };
        let parse = |trust: &Trust| Trusted::parse(trust).expect("whom to trust");
        Known { plain: parse(&trust), logged: parse(&logged), certified: parse(&certified), key }
    })
}

fn check(data: &[u8]) {
    let mut input = Input(data);
    let kind = input.byte() % 4;
    let Known { key, plain, logged, certified } = known();
    let source = Source::Registry(IMAGE.parse().expect("a reference"));
    let digest = Digest::of(MANIFEST);
    let sign = |payload: &[u8]| Attachment {
        payload: payload.to_vec(),
        signature: key.sign_bytes(payload).expect("signed"),
        annotations: Attributes::new(),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (trusted, attachment) = match kind {
        0 => (plain, sign(input.0)),
        1 => {
            let mut good = key.sign_manifest(&digest, "r.example/team/app").expect("signed");
            good.annotations = Attributes::from([(BUNDLE, text(input.0).as_str())]);
            (logged, good)
        }
        2 => {
            let (certificate, chain, bundle) = (text(input.part()), text(input.part()), text(input.part()));
            let mut good = key.sign_manifest(&digest, "r.example/team/app").expect("signed");
            let annotations = [(CERTIFICATE, certificate), (CHAIN, chain), (BUNDLE, bundle)];
            good.annotations = annotations.into_iter().collect();
            (certified, good)
        }
        _ => return envelope(input.0),
    };
    let Ok(found) = verify(trusted, std::slice::from_ref(&attachment), &source, &digest) else { return };
    let [signer] = found.as_slice() else { panic!("one signature has {} signers", found.len()) };
    // Nobody but the log can make what it signs, and nobody but the authority its certificates.
    assert_eq!((kind, signer.kind), (0, SignerKind::Key));
    // Read once more, with a parser that takes anything.
    let said: Value = serde_json::from_slice(&attachment.payload).expect("what counts is JSON");
    let critical = &said["critical"];
    assert_eq!(critical["type"], "cosign container image signature");
    assert_eq!(critical["image"]["docker-manifest-digest"], digest.to_string());
    let name = critical["identity"]["docker-reference"].as_str().expect("a name");
    assert_eq!(signer.claims["reference"], name);
    let name: Reference = name.parse().expect("the name of an image");
    assert_eq!(name.name(), "r.example/team/app");
}

fn envelope(bytes: &[u8]) {
    let Ok(envelope) = Envelope::parse(bytes) else { return };
    let again = Envelope::parse(&envelope.to_bytes()).expect("what is written can be read");
    assert_eq!(again.to_bytes(), envelope.to_bytes());
}
