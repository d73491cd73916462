//! OpenPGP: no change of a signed message yields another text that counts as signed.

use std::time::{Duration, SystemTime};

use oc_mirror_engine::trust::openpgp::{Keyring, MAX_MESSAGE_BYTES};

use crate::target::{Input, Target};

/// Keyrings, and messages as they come or as changes of a signed one.
pub const OPENPGP: Target = Target { name: "openpgp", longest: 56 << 10, memory: 64 << 20, check };

/// A certificate that was made for this, with its key thrown away, and what it signed.
const CERTIFICATE: &[u8] = include_bytes!("../../data/openpgp.asc");
const MESSAGE: &[u8] = include_bytes!("../../data/message.pgp");
const BODY: &[u8] = include_bytes!("../../data/message.json");

fn check(data: &[u8]) {
    let mut input = Input(data);
    // The first second of 2026, when the certificate was as valid as ever.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600 + 365 * 86_400);
    let keyring = || Keyring::parse(CERTIFICATE).expect("a certificate");
    let message = match input.byte() % 3 {
        0 => {
            if let Ok(keyring) = Keyring::parse(input.0) {
                assert!(!keyring.fingerprints().is_empty());
                let _ = keyring.verify(MESSAGE, now);
            }
            return;
        }
        1 => input.0.to_vec(),
        _ => {
            let mut message = MESSAGE.to_vec();
            while !input.is_empty() {
                let (at, how) = (input.number() % (message.len() + 1), input.byte());
                match how % 4 {
                    0 if at < message.len() => drop(message.remove(at)),
                    1 => message.insert(at, input.byte()),
                    2 => message.truncate(at.max(1)),
                    _ if at < message.len() => message[at] = input.byte(),
                    _ => {}
                }
                if message.is_empty() {
                    return;
                }
            }
            message
        }
    };
    match keyring().verify(&message, now) {
        Ok(signed) => {
            assert!(message.len() <= MAX_MESSAGE_BYTES);
            assert_eq!(signed.body, BODY, "another text passes for signed");
            assert!(!signed.signer.contains(char::is_control));
        }
        Err(fault) => {
            assert!(!fault.text.contains(char::is_control), "{:?}", fault.text);
            assert!(message != MESSAGE, "{fault}");
        }
    }
}
