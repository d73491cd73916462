use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType,
};
use rstest::rstest;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::*;
use crate::trust::testing::{CosignKey, claim};

const NAME: &str = "quay.io/ns/app";
const ISSUER: &str = "https://issuer.example";
const SUBJECT: &str = "release@team.example";
/// When the certificate is valid, and when the log took the signature.
const VALID: u64 = 1_767_225_600;

fn digest() -> Digest {
    Digest::of(b"an image")
}

fn source() -> Source {
    format!("{NAME}:1").parse().unwrap()
}

/// What the log promises for a signature.
fn promise(log: &CosignKey, signer: &str, attachment: &Attachment, at: u64) -> String {
    let entry = json!({
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": { "hash": { "algorithm": "sha256", "value": Digest::of(&attachment.payload).hex() } },
            "signature": { "content": attachment.signature, "publicKey": { "content": STANDARD.encode(signer) } },
        },
    });
    let body = STANDARD.encode(entry.to_string());
    let canonical = format!(r#"{{"body":"{body}","integratedTime":{at},"logID":"ab","logIndex":3}}"#);
    let payload: Value = serde_json::from_str(&canonical).unwrap();
    json!({ "SignedEntryTimestamp": STANDARD.encode(log.sign(canonical.as_bytes())), "Payload": payload })
        .to_string()
}

/// An authority, one between it and signers, and what is in their certificates.
struct Fulcio {
    root: rcgen::Certificate,
    between: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

fn authority() -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

impl Fulcio {
    fn new() -> Self {
        let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let root = authority().self_signed(&root_key).unwrap();
        let mut params = authority();
        params.distinguished_name.push(rcgen::DnType::CommonName, "between");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        let between = params.signed_by(&key, &Issuer::new(authority(), root_key)).unwrap();
        Self { root, between, issuer: Issuer::new(params, key) }
    }

    /// Returns a certificate as Fulcio makes them, valid for ten minutes.
    fn issue(&self, key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> String {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.not_before = OffsetDateTime::from_unix_timestamp(VALID as i64 - 300).unwrap();
        params.not_after = OffsetDateTime::from_unix_timestamp(VALID as i64 + 300).unwrap();
        params.subject_alt_names = vec![SanType::Rfc822Name(SUBJECT.try_into().unwrap())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        params.custom_extensions = vec![issuer(1, ISSUER.as_bytes().to_vec()), issuer(8, der(ISSUER))];
        change(&mut params);
        params.signed_by(key, &self.issuer).unwrap().pem()
    }
}

fn issuer(last: u64, content: Vec<u8>) -> CustomExtension {
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 57264, 1, last], content)
}

fn der(text: &str) -> Vec<u8> {
    [&[12, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// A signature by a certificate, as cosign puts it beside an image.
fn signed(
    fulcio: &Fulcio,
    log: &CosignKey,
    at: u64,
    change: impl FnOnce(&mut CertificateParams),
) -> Attachment {
    let key = KeyPair::generate().unwrap();
    let pem = fulcio.issue(&key, change);
    let payload = claim(COSIGN, &digest().to_string(), NAME);
    let signature = rcgen::SigningKey::sign(&key, &payload).unwrap();
    let signature = STANDARD.encode(signature);
    let mut made = Attachment { payload, signature, annotations: Attributes::new() };
    let promise = promise(log, &pem, &made, at);
    made.annotations = Attributes::from([
        (CERTIFICATE.to_owned(), pem),
        (CHAIN.to_owned(), format!("{}{}", fulcio.between.pem(), fulcio.root.pem())),
        (PROMISE.to_owned(), promise),
    ]);
    made
}

fn trust(fulcio: &Fulcio, log: &CosignKey) -> Trust {
    let identity = Identity { issuer: ISSUER.to_owned(), subject: "*@team.example".to_owned() };
    Trust {
        identities: vec![identity],
        authorities: vec![fulcio.root.pem()],
        logs: vec![log.pem()],
        ..Trust::default()
    }
}

fn outcome(trust: &Trust, attachment: &Attachment) -> Result<Vec<Signer>, Vec<String>> {
    let trusted = Trusted::parse(trust).unwrap();
    verify(&trusted, std::slice::from_ref(attachment), &source(), &digest())
}

#[test]
fn keys_sign() {
    let (ours, theirs) = (CosignKey::p256(), CosignKey::p256());
    let sign = |key: &CosignKey, payload: Vec<u8>| {
        let signature = STANDARD.encode(key.sign(&payload));
        Attachment { payload, signature, annotations: Attributes::new() }
    };
    let trusting = Trust { keys: vec![theirs.pem(), ours.pem()], ..Trust::default() };
    let good = sign(&ours, claim(COSIGN, &digest().to_string(), "elsewhere.example/app"));
    let found = outcome(&trusting, &good).unwrap();
    let key = PublicKey::parse(ours.pem().as_bytes()).unwrap().fingerprint();
    assert_eq!((found[0].kind, &found[0].identity, &found[0].verified_by), (SignerKind::Key, &key, &key));
    assert_eq!(found[0].claims["reference"], "elsewhere.example/app");
    let only_theirs = Trust { keys: vec![theirs.pem()], ..Trust::default() };
    assert!(outcome(&only_theirs, &good).unwrap_err()[0].contains("keys that count"));
    let named = Trust { name: SignedName::Repository, ..trusting.clone() };
    assert!(outcome(&named, &good).unwrap_err()[0].contains("of another name"));
    assert!(outcome(&named, &sign(&ours, claim(COSIGN, &digest().to_string(), NAME))).is_ok());
    let other = sign(&ours, claim(COSIGN, &Digest::of(b"other").to_string(), NAME));
    assert!(outcome(&trusting, &other).unwrap_err()[0].contains("of another image"));
    let log = CosignKey::p256();
    let with_log = Trust { logs: vec![log.pem()], ..trusting };
    assert!(outcome(&with_log, &good).unwrap_err()[0].contains("not in the log"));
    let promise = promise(&log, &ours.pem(), &good, VALID);
    let logged = Attachment { annotations: Attributes::from([(PROMISE.to_owned(), promise)]), ..good };
    assert!(outcome(&with_log, &logged).is_ok());
}

#[test]
fn certificates_sign() {
    let (fulcio, log) = (Fulcio::new(), CosignKey::p256());
    let good = signed(&fulcio, &log, VALID, |_| {});
    let found = outcome(&trust(&fulcio, &log), &good).unwrap();
    let signer = (found[0].kind, found[0].identity.as_str(), found[0].verified_by.as_str());
    assert_eq!(signer, (SignerKind::Certificate, SUBJECT, ISSUER));
    // The one between may be named as the authority, too.
    let between = Trust { authorities: vec![fulcio.between.pem()], ..trust(&fulcio, &log) };
    assert!(outcome(&between, &good).is_ok());
    let workflow = signed(&fulcio, &log, VALID, |params| {
        params.subject_alt_names = vec![SanType::URI("https://ci.example/a".try_into().unwrap())];
        params.custom_extensions.remove(0);
    });
    let mut wanted = trust(&fulcio, &log);
    assert!(outcome(&wanted, &workflow).unwrap_err()[0].contains("who does not count"));
    wanted.identities[0].subject = "https://ci.example/*".to_owned();
    assert!(outcome(&wanted, &workflow).is_ok());
}

#[rstest]
#[case::another_issuer(VALID, |params: &mut CertificateParams| {
    params.custom_extensions = vec![issuer(8, der("https://other.example"))];
}, "who does not count")]
#[case::two_issuers(VALID, |params: &mut CertificateParams| {
    params.custom_extensions[0] = issuer(1, b"https://other.example".to_vec());
}, "two things")]
#[case::no_issuer(VALID, |params: &mut CertificateParams| params.custom_extensions.clear(), "does not say who vouched")]
#[case::two_names(VALID, |params: &mut CertificateParams| {
    params.subject_alt_names.push(SanType::Rfc822Name("b@team.example".try_into().unwrap()));
}, "2 names")]
#[case::for_servers(VALID, |params: &mut CertificateParams| {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
}, "not for signing")]
#[case::for_anything(VALID, |params: &mut CertificateParams| params.extended_key_usages.clear(), "not for signing")]
#[case::too_late(VALID + 301, |_: &mut CertificateParams| {}, "does not count")]
#[case::too_early(VALID - 301, |_: &mut CertificateParams| {}, "does not count")]
fn certificates_that_do_not_count(
    #[case] at: u64,
    #[case] change: fn(&mut CertificateParams),
    #[case] expected: &str,
) {
    let (fulcio, log) = (Fulcio::new(), CosignKey::p256());
    let reasons = outcome(&trust(&fulcio, &log), &signed(&fulcio, &log, at, change)).unwrap_err();
    assert!(reasons[0].contains(expected), "{reasons:?}");
}

#[test]
fn nobody_else_vouches() {
    let (fulcio, log) = (Fulcio::new(), CosignKey::p256());
    let good = signed(&fulcio, &log, VALID, |_| {});
    let check = |trust: &Trust, attachment: &Attachment, expected: &str| {
        let reasons = outcome(trust, attachment).unwrap_err();
        assert!(reasons[0].contains(expected), "{reasons:?}");
    };
    let wanted = trust(&fulcio, &log);
    check(&trust(&Fulcio::new(), &log), &good, "does not count");
    check(&trust(&fulcio, &CosignKey::p256()), &good, "no key of the log signed");
    let mut changed = good.clone();
    changed.payload[5] ^= 1;
    check(&wanted, &changed, "not by the key of its certificate");
    // A certificate of the same signer that the log has not seen.
    let other = signed(&fulcio, &log, VALID, |_| {});
    let mut swapped = good.clone();
    swapped.annotations.insert(PROMISE.to_owned(), &other.annotations[PROMISE]);
    check(&wanted, &swapped, "about another key");
    let mut alone = good.clone();
    alone.annotations.remove(PROMISE);
    check(&wanted, &alone, "not in the log");
    let keys = Trust { keys: vec![CosignKey::p256().pem()], ..Trust::default() };
    check(&keys, &good, "keys that count");
}

#[rstest]
#[case(Trust::default(), "neither keys nor identities")]
#[case(Trust { keys: vec!["x".into()], ..Trust::default() }, "key 1: ")]
#[case(Trust { identities: vec![Identity { issuer: "i".into(), subject: "s".into() }], ..Trust::default() }, "need")]
#[case(Trust { identities: vec![Identity { issuer: "i".into(), subject: "".into() }], ..Trust::default() }, "a subject")]
#[case(Trust { authorities: vec!["x".into()], ..Trust::default() }, "an authority")]
fn what_is_no_trust(#[case] trust: Trust, #[case] expected: &str) {
    let error = Trusted::parse(&trust).unwrap_err();
    assert!(error.contains(expected), "{error}");
}
