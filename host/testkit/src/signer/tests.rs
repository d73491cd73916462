//! What is made here, as the library reads it and as `gpg` does.

use std::process::Command;

use rstest::rstest;
use sequoia_openpgp::KeyHandle;
use sequoia_openpgp::parse::stream::{MessageLayer, MessageStructure, VerificationHelper, VerifierBuilder};
use sequoia_openpgp::parse::{PacketParser, PacketParserResult, Parse as _};
use sequoia_openpgp::policy::StandardPolicy;

use super::*;

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const NAME: &str = "quay.io/openshift-release-dev/ocp-release:4.12.1-x86_64";

fn statement() -> Statement {
    Statement::new(DIGEST, NAME)
}

/// Wants one good signature.
struct Helper(Cert);

impl VerificationHelper for Helper {
    fn get_certs(&mut self, _: &[KeyHandle]) -> sequoia_openpgp::Result<Vec<Cert>> {
        Ok(vec![self.0.clone()])
    }

    fn check(&mut self, structure: MessageStructure<'_>) -> sequoia_openpgp::Result<()> {
        for layer in structure {
            if let MessageLayer::SignatureGroup { results } = layer {
                for result in results {
                    result.map_err(|e| std::io::Error::other(e.to_string()))?;
                }
                return Ok(());
            }
        }
        Err(std::io::Error::other("not signed").into())
    }
}

/// Returns what is signed, or why it does not hold.
fn verified(bytes: &[u8], key: &str) -> Result<Vec<u8>, String> {
    let key = Cert::from_bytes(key).map_err(|e| e.to_string())?;
    let policy = StandardPolicy::new();
    let read = || -> sequoia_openpgp::Result<Vec<u8>> {
        let mut body = Vec::new();
        let mut verifier = VerifierBuilder::from_bytes(bytes)?.with_policy(&policy, None, Helper(key))?;
        std::io::copy(&mut verifier, &mut body)?;
        Ok(body)
    };
    read().map_err(|e| format!("{e:#}"))
}

#[rstest]
#[case::as_real_ones(statement())]
#[case::uncompressed(statement().uncompressed())]
#[case::old(statement().version_3())]
#[case::other_type(statement().kind("detached signature"))]
#[case::more(statement().set("/critical/surprise", json!(1)))]
#[case::no_json(statement().raw(*b"hello"))]
fn what_is_signed_comes_out(#[case] statement: Statement) {
    let signer = Signer::new();
    let read = verified(&statement.signed_by(&signer), &signer.public_key());
    assert_eq!(read, Ok(statement.body()));
}

#[rstest]
#[case::forged(Signer::new(), statement().forged(), "manipulated")]
#[case::forged_before(Signer::new(), statement().version_3().forged(), "manipulated")]
#[case::unsigned(Signer::new(), statement().unsigned(), "not signed")]
#[case::weak(Signer::new(), statement().sha1(), "Policy rejected")]
#[case::signature_expired(Signer::new(), statement().expired(), "Expired on")]
#[case::key_expired(Signer::expired(), statement().made_at(now()), "not live")]
#[case::key_revoked(Signer::revoked(), statement(), "revoked")]
fn what_does_not_hold_is_refused(#[case] signer: Signer, #[case] statement: Statement, #[case] why: &str) {
    let read = verified(&statement.signed_by(&signer), &signer.public_key());
    assert!(read.as_ref().is_err_and(|said| said.contains(why)), "{read:?}");
}

#[test]
fn another_key_does_not_do() {
    let (one, other) = (Signer::new(), Signer::new());
    assert_ne!(one.fingerprint(), other.fingerprint());
    assert!(verified(&one.sign(DIGEST, NAME), &other.public_key()).is_err());
}

#[test]
fn a_key_that_expired_has_signed_in_time() {
    let signer = Signer::expired();
    let cert = Cert::from_bytes(&signer.public_key_bytes()).unwrap();
    let policy = StandardPolicy::new();
    let alive = |time| cert.with_policy(&policy, time).is_ok_and(|valid| valid.alive().is_ok());
    assert_eq!((alive(now()), alive(signer.signs_at)), (false, true));
    // The library asks only whether the key was good when it signed; whoever wants it good today has to ask themselves.
    assert_eq!(verified(&signer.sign(DIGEST, NAME), &signer.public_key()), Ok(statement().body()));
}

#[test]
fn a_public_key_keeps_the_secret() {
    let signer = Signer::new();
    let text = signer.public_key();
    assert!(text.starts_with("-----BEGIN PGP PUBLIC KEY BLOCK-----"), "{text}");
    let cert = Cert::from_bytes(&text).unwrap();
    assert!(!cert.is_tsk());
    assert_eq!(cert.fingerprint().to_hex(), signer.fingerprint());
    let owner = cert.userids().next().unwrap();
    assert_eq!(owner.userid().value(), signer.owner().as_bytes());
}

/// Returns the tags of all packets, those in containers behind their container.
fn tags(bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut parser = PacketParser::from_bytes(bytes).unwrap();
    while let PacketParserResult::Some(packet) = parser {
        found.push(packet.packet.tag().to_string());
        parser = packet.recurse().unwrap().1;
    }
    found
}

#[test]
fn the_packets_are_those_of_a_real_signature() {
    let signer = Signer::new();
    let expected =
        ["Compressed Data Packet", "One-Pass Signature Packet", "Literal Data Packet", "Signature Packet"];
    assert_eq!(tags(&signer.sign(DIGEST, NAME)), expected);
    assert_eq!(tags(&statement().uncompressed().signed_by(&signer)), expected[1..]);
    if let Some(real) = crate::fixtures() {
        let real = real.join("release/openshift__oc-mirror/internal/e2e/signatures/signature-1");
        assert_eq!(tags(&std::fs::read(real).unwrap()), expected);
    }
}

#[test]
fn the_statement_is_that_of_a_container() {
    let parsed: Value = serde_json::from_slice(&statement().body()).unwrap();
    assert_eq!(parsed["critical"]["type"], TYPE);
    assert_eq!(parsed["critical"]["image"]["docker-manifest-digest"], DIGEST);
    assert_eq!(parsed["critical"]["identity"]["docker-reference"], NAME);
}

#[test]
fn gpg_agrees() {
    let home = tempfile::tempdir().unwrap();
    let gpg = |args: &[&str]| {
        let command =
            Command::new("gpg").arg("--homedir").arg(home.path()).arg("--batch").args(args).output();
        command.map(|output| (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
    };
    if gpg(&["--version"]).is_err() {
        println!("skipped: no gpg");
        return;
    }
    let signer = Signer::new();
    let file = |name: &str, bytes: &[u8]| {
        let path = home.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let key = file("key", signer.public_key().as_bytes());
    let (imported, said) = gpg(&["--import", &key]).unwrap();
    assert!(imported, "{said}");
    for (name, statement, holds) in [
        ("new", statement(), true),
        ("old", statement().version_3(), true),
        ("forged", statement().forged(), false),
    ] {
        let message = file(name, &statement.signed_by(&signer));
        let (good, said) = gpg(&["--verify", &message]).unwrap();
        assert_eq!(good, holds, "{name}: {said}");
    }
}
