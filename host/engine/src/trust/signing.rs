//! [`SignatureKey`]: a key that signs as cosign does, P-256 or Ed25519. A private key is never displayed.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oc_mirror_model::digest::Digest;
use ring::digest::SHA256;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use super::image::Attachment;
use super::public_key::decoded;
use super::simple_signing::Claim;

/// What stands before a public key in DER.
const ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
const P256: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";

/// A file is not one of a private key that can sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSignatureKey {
    /// It is not one private key in PEM.
    #[error("it is not one private key in PEM")]
    NoKey,
    /// It has a public key.
    #[error("it has a public key, and a private one signs")]
    Public,
    /// Nobody can type a password here.
    #[error("its key is encrypted with a password")]
    Encrypted,
    /// A form that is older than PKCS#8.
    #[error("its key is not in the form of PKCS#8")]
    OldForm,
    /// It is a key of another algorithm.
    #[error("its key is neither one of P-256 nor one of Ed25519")]
    Algorithm,
    /// No randomness is to be had.
    #[error("this machine has no randomness to sign with")]
    Random,
}

impl InvalidSignatureKey {
    /// Returns what to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Encrypted => {
                "take the password off with `openssl pkey -in FILE -out NEW-FILE` and keep that file safe; \
                 with a key of `cosign generate-key-pair`, sign with cosign itself"
            }
            Self::OldForm => "convert it with `openssl pkcs8 -topk8 -nocrypt -in FILE -out NEW-FILE`",
            Self::Public => "name the private half, such as NAME.key",
            Self::Random => "try again later",
            Self::NoKey | Self::Algorithm => {
                "make a pair with `oc-mirror key generate`, or a private key with `openssl genpkey -algorithm EC \
                 -pkeyopt ec_paramgen_curve:P-256`"
            }
        }
    }
}

/// A key that signs as cosign does.
pub struct SignatureKey {
    pair: Pair,
}

enum Pair {
    P256(Box<EcdsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

impl fmt::Debug for SignatureKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignatureKey").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl SignatureKey {
    /// Reads the one private key of a file. What is wrong is said without anything of it.
    pub fn parse(pem: &[u8]) -> Result<Self, InvalidSignatureKey> {
        use InvalidSignatureKey as Invalid;
        let text = std::str::from_utf8(pem).map_err(|_| Invalid::NoKey)?.trim();
        let label = text.strip_prefix("-----BEGIN ").and_then(|rest| rest.split_once("-----"));
        let (label, rest) = label.ok_or(Invalid::NoKey)?;
        match label {
            "PRIVATE KEY" => {}
            "PUBLIC KEY" => return Err(Invalid::Public),
            _ if label.starts_with("ENCRYPTED") || rest.contains("ENCRYPTED") => {
                return Err(Invalid::Encrypted);
            }
            "EC PRIVATE KEY" => return Err(Invalid::OldForm),
            _ => return Err(Invalid::Algorithm),
        }
        let body = rest.strip_suffix("-----END PRIVATE KEY-----").ok_or(Invalid::NoKey)?;
        let der = Zeroizing::new(decoded(body).ok_or(Invalid::NoKey)?);
        let random = SystemRandom::new();
        // The public half may be missing, as `openssl` leaves it out of keys of Ed25519.
        let pair = match EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der, &random) {
            Ok(pair) => Pair::P256(Box::new(pair)),
            Err(_) => match Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der) {
                Ok(pair) => Pair::Ed25519(pair),
                Err(_) => return Err(Invalid::Algorithm),
            },
        };
        Ok(Self { pair })
    }

    /// Returns the key of a name, which is no secret: always the same one, for images that are made up to try plugins with.
    pub(crate) fn made_up(name: &str) -> Self {
        let seed = ring::digest::digest(&SHA256, format!("a key that oc-mirror makes up: {name}").as_bytes());
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).expect("32 bytes are a seed");
        Self { pair: Pair::Ed25519(pair) }
    }

    /// Returns the identity of its public half: the SHA-256 of it in DER.
    pub fn id(&self) -> Digest {
        Digest::of(&self.public())
    }

    /// Returns the public half, in PEM.
    pub fn public_pem(&self) -> String {
        let text = STANDARD.encode(self.public());
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// Signs bytes; returns the signature in base64, as `cosign sign-blob` writes it.
    pub fn sign_bytes(&self, bytes: &[u8]) -> Result<String, InvalidSignatureKey> {
        let signature = match &self.pair {
            Pair::P256(pair) => {
                let signed = pair.sign(&SystemRandom::new(), bytes);
                signed.map_err(|_| InvalidSignatureKey::Random)?.as_ref().to_vec()
            }
            Pair::Ed25519(pair) => pair.sign(bytes).as_ref().to_vec(),
        };
        Ok(STANDARD.encode(signature))
    }

    /// Signs a manifest in a repository, `host/path`, as `cosign sign` does.
    pub fn sign_manifest(
        &self,
        digest: &Digest,
        repository: &str,
    ) -> Result<Attachment, InvalidSignatureKey> {
        let payload = Claim::text_of(digest, repository);
        let signature = self.sign_bytes(&payload)?;
        Ok(Attachment { payload, signature, annotations: Default::default() })
    }

    fn public(&self) -> Vec<u8> {
        match &self.pair {
            Pair::P256(pair) => [P256, pair.public_key().as_ref()].concat(),
            Pair::Ed25519(pair) => [ED25519, pair.public_key().as_ref()].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::plugin::PublisherKeys;
    use std::process::Command;

    /// Makes a key with `openssl`, which shares no code with the program.
    fn openssl(args: &[&str]) -> Vec<u8> {
        let output =
            Command::new("openssl").args(args).output().expect("`cargo xtask setup` installs openssl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    #[test]
    fn keys_of_openssl_sign_what_verifies() {
        for args in [
            &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"][..],
            &["genpkey", "-algorithm", "ed25519"][..],
        ] {
            let key = SignatureKey::parse(&openssl(args)).expect("a key");
            let mut keys = PublisherKeys::default();
            keys.add("own", key.public_pem().as_bytes()).expect("its public half");
            let digest = Digest::of(b"manifest");
            let signed = key.sign_manifest(&digest, "r.example/a").expect("signed");
            assert_eq!(keys.of_manifest(&digest, &[signed]).expect("it counts").id, key.id());
            let signature = key.sign_bytes(b"component").expect("signed");
            assert!(keys.of_bytes(b"component", Some(&signature)).is_ok());
        }
    }

    #[test]
    fn what_cannot_sign_is_refused_without_showing_it() {
        use InvalidSignatureKey as Invalid;
        let key = String::from_utf8(openssl(&["genpkey", "-algorithm", "ed25519"])).expect("PEM");
        let public = SignatureKey::parse(key.as_bytes()).expect("a key").public_pem();
        let rsa = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"]);
        let old = openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"]);
        let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED SIGSTORE PRIVATE KEY");
        for (bad, expected) in [
            (b"".as_slice(), Invalid::NoKey),
            (&key.as_bytes()[..60], Invalid::NoKey),
            (public.as_bytes(), Invalid::Public),
            (&rsa, Invalid::Algorithm),
            (&old, Invalid::OldForm),
            (encrypted.as_bytes(), Invalid::Encrypted),
        ] {
            assert_eq!(SignatureKey::parse(bad).expect_err("refused"), expected);
        }
        let shown = format!("{:?}", SignatureKey::parse(key.as_bytes()).expect("a key"));
        assert!(!shown.contains(&key[30..50]), "{shown}");
    }
}
