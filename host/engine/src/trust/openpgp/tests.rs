use flate2::Compression;
use flate2::write::DeflateEncoder;
use rstest::rstest;
use sequoia_openpgp::types::HashAlgorithm;

use super::*;
use crate::trust::testing::{TestKey, day, fixture, unsigned};

const BODY: &[u8] = b"{\"this\": \"is signed\"}";

fn ring(bytes: &[u8]) -> Keyring {
    Keyring::parse(bytes).unwrap()
}

fn kind(ring: &Keyring, message: &[u8], now: SystemTime) -> MessageFaultKind {
    let fault = ring.verify(message, now).unwrap_err();
    println!("{:?}: it {fault}", fault.kind);
    fault.kind
}

#[test]
fn a_good_signature_holds() {
    let key = TestKey::new("Somebody <somebody@example.com>");
    let message = ring(&key.public()).verify(&key.sign(BODY), day(20)).unwrap();
    assert_eq!(message.body, BODY);
    assert_eq!(message.key, key.fingerprint());
    assert_eq!(message.signer, "Somebody <somebody@example.com>");
    assert_eq!(message.created, Some(day(10)));
}

#[test]
fn whatever_is_changed_is_noticed() {
    let key = TestKey::new("a");
    let ring = ring(&key.public());
    let good = key.sign(BODY);
    // Where it is still taken, only what nobody signs was changed: the name and date beside the text, a hint in the
    // signature, the end of the compressed data.
    let unharmed = |bytes: &[u8], what: &str| {
        let outcome = ring.verify(bytes, day(20));
        assert!(outcome.as_ref().map_or(true, |message| message.body == BODY), "{what}: {outcome:?}");
        outcome.is_ok()
    };
    let flipped = |at: usize| {
        let mut bad = good.clone();
        bad[at] ^= 0x04;
        unharmed(&bad, &format!("byte {at}"))
    };
    let taken = (0..good.len()).step_by(3).filter(|at| flipped(*at)).count();
    assert!(taken < good.len() / 9, "{taken} of {}", good.len());
    for length in 0..good.len() {
        let taken = unharmed(&good[..length], &format!("{length} bytes"));
        assert!(!taken || length > good.len() - 8, "{length} of {}", good.len());
    }
}

#[test]
fn faults_are_told_apart() {
    use MessageFaultKind::{Damaged, Expired, Revoked, UnknownKey, Unsigned, Weak};
    let key = TestKey::lasting("a", Some(100));
    let ours = ring(&key.public());
    let good = key.sign(BODY);
    assert!(ours.verify(&good, day(99)).is_ok());
    assert_eq!(kind(&ours, &good, day(101)), Expired, "the key expired since");
    assert_eq!(kind(&ours, &key.sign_as(BODY, HashAlgorithm::SHA256, Some(5)), day(16)), Expired);
    assert_eq!(kind(&ours, &good, day(9)), Expired, "made in the future");
    assert_eq!(kind(&ring(&key.revoked()), &good, day(20)), Revoked);
    assert_eq!(kind(&ours, &key.sign_as(BODY, HashAlgorithm::SHA1, None), day(20)), Weak);
    let small = TestKey::rsa(1024);
    assert_eq!(kind(&ring(&small.public()), &small.sign(BODY), day(20)), Weak);
    assert_eq!(kind(&ours, &TestKey::new("b").sign(BODY), day(20)), UnknownKey);
    assert_eq!(kind(&ours, &unsigned(BODY), day(20)), Unsigned);
    assert_eq!(kind(&ours, b"", day(20)), Damaged);
    assert_eq!(kind(&ours, b"<html>not found</html>", day(20)), Damaged);
    assert_eq!(kind(&ours, &vec![0xff; 60 << 10], day(20)), Damaged);
    assert_eq!(kind(&ours, &[good.clone(), good.clone()].concat(), day(20)), Damaged);
}

#[test]
fn compression_hides_no_bomb() {
    let key = TestKey::new("a");
    let message = key.sign(&vec![0; 8 << 20]);
    assert!(message.len() < MAX_MESSAGE_BYTES, "{}", message.len());
    assert_eq!(kind(&ring(&key.public()), &message, day(20)), MessageFaultKind::Damaged);
}

#[test]
fn compression_hides_no_crowd() {
    let announcement = b"\xc4\x0d\x03\x00\x08\x01\x00\x01\x02\x03\x04\x05\x06\x07\x00".repeat(1 << 20);
    let mut packed = DeflateEncoder::new(vec![1], Compression::best());
    std::io::Write::write_all(&mut packed, &announcement).unwrap();
    let body = packed.finish().unwrap();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[0xc8, 0xff], &length[..], &body].concat();
    assert!(message.len() < MAX_MESSAGE_BYTES, "{}", message.len());
    let fault = ring(&TestKey::new("a").public()).verify(&message, day(20)).unwrap_err();
    assert_eq!(fault.text, "has more than 8 packets");
}

#[test]
fn a_file_may_hold_several_keys() {
    let (a, b) = (TestKey::new("a"), TestKey::new("b"));
    let both = [a.fingerprint(), b.fingerprint()];
    let text = [b"pub 4096R\n".to_vec(), a.armored(), b"\nand\n".to_vec(), b.armored()].concat();
    assert_eq!(ring(&text).fingerprints(), both);
    assert_eq!(ring(&[a.public(), b.public()].concat()).fingerprints(), both);
}

#[rstest]
#[case(b"")]
#[case(b"not a key")]
#[case(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc")]
#[case(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----")]
fn what_is_no_key_is_refused(#[case] bytes: &[u8]) {
    assert!(Keyring::parse(bytes).is_err());
}

/// Messages of containers/image, made with gpg: RSA of 3072 bits, signatures of versions 3 and 4, and of subkeys.
#[rstest]
#[case("image.signature", "public-key.gpg", None)]
#[case("no-optional-fields.signature", "public-key.gpg", None)]
#[case("invalid-blob.signature", "public-key.gpg", None)]
#[case("corrupt.signature", "public-key.gpg", Some(MessageFaultKind::Forged))]
#[case("corrupt.signature-v3", "public-key.gpg", Some(MessageFaultKind::Forged))]
#[case("expired.signature", "public-key.gpg", Some(MessageFaultKind::Expired))]
#[case("unsigned-literal.signature", "public-key.gpg", Some(MessageFaultKind::Unsigned))]
#[case("unknown-key.signature-v3", "public-key.gpg", Some(MessageFaultKind::UnknownKey))]
#[case("subkey.signature", "pubring.gpg", None)]
#[case("subkey.signature-v3", "pubring.gpg", None)]
#[case("subkey-revoked.signature", "public-key-with-revoked-subkey.gpg", Some(MessageFaultKind::Revoked))]
#[case("subkey-revoked.signature-v3", "public-key-with-revoked-subkey.gpg", Some(MessageFaultKind::Revoked))]
fn those_of_others(#[case] file: &str, #[case] keys: &str, #[case] expected: Option<MessageFaultKind>) {
    const DIR: &str = "registries/containers__image/signature/fixtures";
    let Some(message) = fixture(&format!("{DIR}/{file}")) else { return };
    let keys = fixture(&format!("{DIR}/{keys}")).unwrap();
    let fault = ring(&keys).verify(&message, day(1000)).err();
    println!("{file}: {fault:?}");
    assert_eq!(fault.map(|f| f.kind), expected);
}
