//! [`PublicKey`]: keys in PEM, as cosign writes them, and the signatures that they verify.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oc_mirror_model::digest::Digest;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use zeroize::Zeroizing;

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

const SEQUENCE: u8 = 0x30;
const OBJECT: u8 = 0x06;
const BITS: u8 = 0x03;

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const EDWARDS: &[u8] = &[0x2b, 0x65, 0x70];

type Algorithms = Vec<&'static dyn VerificationAlgorithm>;

/// A key that verifies signatures. Keys of RSA need 2048 bits.
#[derive(Debug)]
pub(super) struct PublicKey {
    der: Vec<u8>,
    key: Vec<u8>,
    algorithms: Algorithms,
}

impl PublicKey {
    /// Reads exactly one key.
    pub(super) fn parse(pem: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(pem).map_err(|_| "a key in PEM is text".to_owned())?;
        let der = unwrapped(text).ok_or_else(|| format!("a key in PEM is one `{BEGIN}` block"))?;
        Self::from_der(der)
    }

    /// Reads the key of a certificate.
    pub(super) fn from_der(der: Vec<u8>) -> Result<Self, String> {
        let Subject { algorithm, parameter, key } =
            subject(&der).ok_or("it is not a public key in the form of X.509")?;
        let algorithms: Algorithms = match (algorithm, parameter) {
            (RSA, _) => vec![&RSA_PKCS1_2048_8192_SHA256, &RSA_PSS_2048_8192_SHA256],
            (EC, Some(P256)) => vec![&ECDSA_P256_SHA256_ASN1],
            // Go's signers use SHA-256 with either curve.
            (EC, Some(P384)) => vec![&ECDSA_P384_SHA256_ASN1, &ECDSA_P384_SHA384_ASN1],
            (EDWARDS, _) => vec![&ED25519],
            _ => return Err("only keys of RSA, P-256, P-384 and Ed25519 are known".to_owned()),
        };
        Ok(Self { key: key.to_vec(), algorithms, der })
    }

    /// Returns its identity: the SHA-256 of it in DER, as keys of imagesets have it.
    pub(super) fn id(&self) -> Digest {
        Digest::of(&self.der)
    }

    /// Answers whether the signature is one of the message by this key.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let by = |algorithm: &&'static dyn VerificationAlgorithm| {
            UnparsedPublicKey::new(*algorithm, &self.key).verify(message, signature).is_ok()
        };
        self.algorithms.iter().any(by)
    }

    /// Answers whether this is the same key.
    pub(super) fn is(&self, pem: &[u8]) -> bool {
        std::str::from_utf8(pem).ok().and_then(unwrapped).is_some_and(|der| der == self.der)
    }

    /// Returns the digest of the key, by which it is named: `sha256:` of its X.509 form, as `cosign` and `openssl` show it.
    pub(super) fn fingerprint(&self) -> String {
        Digest::of(&self.der).to_string()
    }
}

fn unwrapped(pem: &str) -> Option<Vec<u8>> {
    let body = pem.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    decoded(body)
}

/// Takes a file of public keys apart into one text for each. Between them may be empty lines and comments that begin with
/// `#`; anything else is an error, so that a slip of the pen leaves out no key unnoticed.
pub(super) fn blocks(pem: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(pem).map_err(|_| "a key in PEM is text".to_owned())?;
    let (mut blocks, mut open) = (Vec::new(), None::<String>);
    for line in text.lines().map(str::trim) {
        match &mut open {
            Some(block) => {
                block.push_str(line);
                block.push('\n');
                if line == END {
                    blocks.extend(open.take());
                }
            }
            None if line == BEGIN => open = Some(format!("{line}\n")),
            None if line.is_empty() || line.starts_with('#') => {}
            None if line.starts_with("-----BEGIN ") => {
                let what = line.trim_start_matches("-----BEGIN ").trim_end_matches('-');
                return Err(format!("it has a `{}`, and a `PUBLIC KEY` is wanted", what.escape_debug()));
            }
            None => return Err("there is something in it that is no key".to_owned()),
        }
    }
    match (open, blocks.is_empty()) {
        (Some(_), _) => Err("a key in it has no end".to_owned()),
        (None, true) => Err("there is no key in PEM in it".to_owned()),
        (None, false) => Ok(blocks),
    }
}

/// Reads base64 with line breaks in it.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    // Private keys come through here as well.
    let mut body = Zeroizing::new(String::with_capacity(text.len()));
    text.lines().for_each(|line| body.push_str(line));
    STANDARD.decode(body.as_bytes()).ok()
}

/// A `SubjectPublicKeyInfo`.
struct Subject<'a> {
    algorithm: &'a [u8],
    /// Its parameter, if that is a name.
    parameter: Option<&'a [u8]>,
    key: &'a [u8],
}

fn subject(der: &[u8]) -> Option<Subject<'_>> {
    let mut outer = der;
    let mut info = element(&mut outer, SEQUENCE)?;
    let mut algorithm = element(&mut info, SEQUENCE)?;
    let (name, parameter) = (element(&mut algorithm, OBJECT)?, element(&mut algorithm, OBJECT));
    let bits = element(&mut info, BITS)?;
    let (&unused, key) = bits.split_first()?;
    let whole = outer.is_empty() && info.is_empty() && unused == 0;
    whole.then_some(Subject { algorithm: name, parameter, key })
}

/// Takes one element of DER off the front if it has this tag.
fn element<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (&found, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => {
            let (bytes, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*bytes)), rest)
        }
        _ => return None,
    };
    if found != tag || rest.len() < length {
        return None;
    }
    *input = &rest[length..];
    Some(&rest[..length])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::testing::{CosignKey, fixture};
    use proptest::prelude::*;

    #[test]
    fn keys_verify_what_they_signed() {
        for key in [CosignKey::p256(), CosignKey::p384(), CosignKey::ed25519()] {
            let public = PublicKey::parse(key.pem().as_bytes()).unwrap();
            let signature = key.sign(b"message");
            assert!(public.verifies(b"message", &signature));
            assert!(!public.verifies(b"massage", &signature));
            assert!(!public.verifies(b"message", &signature[1..]));
            assert!(public.is(key.pem().as_bytes()) && !public.is(CosignKey::p256().pem().as_bytes()));
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let pem = CosignKey::p256().pem();
        for bad in ["", "x", &pem.replace("PUBLIC", "PRIVATE"), &format!("{pem}{pem}"), &pem[..60]] {
            assert!(PublicKey::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_of_rsa_are_read() {
        let Some(pem) = fixture("registries/containers__image/signature/fixtures/some-rsa-key.pub") else {
            return;
        };
        assert_eq!(PublicKey::parse(&pem).unwrap().algorithms.len(), 2);
    }

    proptest! {
        #[test]
        fn nothing_breaks_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = subject(&bytes);
        }
    }
}
