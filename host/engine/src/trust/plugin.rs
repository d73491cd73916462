//! [`PublisherKeys`]: the keys of which one has to have signed a plugin.
//!
//! Two kinds of signatures count. Of an artifact in a registry or layout, those that `cosign sign` puts beside it, which name
//! the digest of its manifest. Of a file, the one beside it that `cosign sign-blob` makes, of its bytes. As cosign has it, the
//! name that was signed is not compared: an artifact that was copied keeps its signature.

use std::fmt;

use oc_mirror_model::digest::Digest;

use super::image::Attachment;
use super::public_key::{PublicKey, blocks, decoded};
use super::simple_signing::{COSIGN, Claim};

/// A file cannot be used as one of public keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidKeys(String);

/// A key whose signatures count.
#[derive(Debug)]
struct PublisherKey {
    file: String,
    key: PublicKey,
}

/// Who signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The file that has the key.
    pub file: String,
    /// The key: the SHA-256 of it in DER.
    pub id: Digest,
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.id.short(), self.file)
    }
}

/// A plugin is not signed as it has to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    /// There is no signature.
    #[error("it has no signature, and one by {} is asked for", one_of(.keys))]
    Unsigned {
        /// The files of keys that count.
        keys: Vec<String>,
    },
    /// There are some, and none counts.
    #[error("no signature of it counts, and one by {} is asked for: {}", one_of(.keys), .reasons.join("; "))]
    NotAccepted {
        /// The files of keys that count.
        keys: Vec<String>,
        /// What is wrong with each signature.
        reasons: Vec<String>,
    },
}

impl NotSigned {
    /// Returns what to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unsigned { .. } => {
                "have its publisher sign it, with `oc-mirror plugin sign` or with cosign; nothing of it was run"
            }
            Self::NotAccepted { .. } => {
                "it is not what was signed, or it was signed by somebody else: ask its publisher; nothing of it was run"
            }
        }
    }
}

fn one_of(keys: &[String]) -> String {
    let shown: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    match shown.as_slice() {
        [one] => format!("the key {one}"),
        several => format!("one of the keys {}", several.join(", ")),
    }
}

/// The keys of which one has to have signed.
#[derive(Debug, Default)]
pub struct PublisherKeys(Vec<PublisherKey>);

impl PublisherKeys {
    /// Adds the public keys of a file in PEM: RSA, P-256, P-384 or Ed25519. `file` is its name for messages.
    pub fn add(&mut self, file: &str, pem: &[u8]) -> Result<(), InvalidKeys> {
        for block in blocks(pem).map_err(InvalidKeys)? {
            let key = PublicKey::parse(block.as_bytes()).map_err(InvalidKeys)?;
            self.0.push(PublisherKey { file: file.to_owned(), key });
        }
        Ok(())
    }

    /// Answers whether no key is asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Finds out who signed a manifest, by the signatures that lie beside it.
    pub fn of_manifest(&self, digest: &Digest, found: &[Attachment]) -> Result<Signer, NotSigned> {
        self.first(found, |attachment| {
            let signer = self.verified(&attachment.payload, &attachment.signature)?;
            let claim = Claim::parse(&attachment.payload)
                .map_err(|e| format!("does not name an artifact as it should: {e}"))?;
            if claim.kind != COSIGN {
                return Err(format!("is of another type than `{COSIGN}`"));
            }
            match claim.is_about(digest) {
                true => Ok(signer),
                false => Err("is of another artifact".to_owned()),
            }
        })
    }

    /// Finds out who signed bytes, by the signature beside them: base64, as `cosign sign-blob` writes it.
    pub fn of_bytes(&self, bytes: &[u8], signature: Option<&str>) -> Result<Signer, NotSigned> {
        let found: Vec<&str> = signature.into_iter().collect();
        self.first(&found, |signature| self.verified(bytes, signature.trim()))
    }

    fn verified(&self, message: &[u8], signature: &str) -> Result<Signer, String> {
        let signature = decoded(signature).ok_or("is not base64")?;
        let key = self.0.iter().find(|key| key.key.verifies(message, &signature));
        let key = key.ok_or("is by another key, or of other content")?;
        Ok(Signer { file: key.file.clone(), id: key.key.id() })
    }

    /// One signature that counts is enough.
    fn first<T>(
        &self,
        found: &[T],
        accept: impl Fn(&T) -> Result<Signer, String>,
    ) -> Result<Signer, NotSigned> {
        let mut reasons = Vec::new();
        for (at, signature) in found.iter().enumerate() {
            match accept(signature) {
                Ok(signer) => return Ok(signer),
                Err(reason) => reasons.push(format!("signature {} {reason}", at + 1)),
            }
        }
        let mut keys: Vec<String> = self.0.iter().map(|key| key.file.clone()).collect();
        keys.dedup();
        Err(match reasons.is_empty() {
            true => NotSigned::Unsigned { keys },
            false => NotSigned::NotAccepted { keys, reasons },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::testing::{CosignKey, claim, fixture};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    fn keys(keys: &[&CosignKey]) -> PublisherKeys {
        let mut made = PublisherKeys::default();
        for (at, key) in keys.iter().enumerate() {
            made.add(&format!("{at}.pub"), key.pem().as_bytes()).expect("a key");
        }
        made
    }

    fn attachment(key: &CosignKey, payload: Vec<u8>) -> Attachment {
        let signature = STANDARD.encode(key.sign(&payload));
        Attachment { payload, signature, annotations: Default::default() }
    }

    #[test]
    fn one_signature_by_one_key_is_enough() {
        let (ours, theirs) = (CosignKey::p256(), CosignKey::ed25519());
        let digest = Digest::of(b"manifest");
        let signed = |key, kind, digest: &Digest| {
            attachment(key, claim(kind, &digest.to_string(), "r.example/any/name"))
        };
        let trusted = keys(&[&CosignKey::ed25519(), &ours]);
        let good = signed(&ours, COSIGN, &digest);
        let signer = trusted.of_manifest(&digest, &[signed(&theirs, COSIGN, &digest), good.clone()]);
        assert_eq!(signer.expect("signed").file, "1.pub");
        assert!(
            matches!(trusted.of_manifest(&digest, &[]), Err(NotSigned::Unsigned { keys }) if keys.len() == 2)
        );
        let mut changed = good.clone();
        changed.payload[20] ^= 1;
        for (bad, reason) in [
            (signed(&theirs, COSIGN, &digest), "is by another key"),
            (signed(&ours, COSIGN, &Digest::of(b"other")), "is of another artifact"),
            (signed(&ours, "atomic container signature", &digest), "is of another type"),
            (attachment(&ours, b"{}".to_vec()), "does not name an artifact"),
            (Attachment { signature: "%".to_owned(), ..good.clone() }, "is not base64"),
            (changed, "is by another key"),
        ] {
            let error = trusted.of_manifest(&digest, &[bad]).expect_err("refused").to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn files_have_their_signature_beside_them() {
        let key = CosignKey::ed25519();
        let trusted = keys(&[&key]);
        let signature = format!("{}\n", STANDARD.encode(key.sign(b"component")));
        assert!(trusted.of_bytes(b"component", Some(&signature)).is_ok());
        assert!(matches!(
            trusted.of_bytes(b"compound", Some(&signature)),
            Err(NotSigned::NotAccepted { .. })
        ));
        assert!(matches!(trusted.of_bytes(b"component", None), Err(NotSigned::Unsigned { .. })));
    }

    #[test]
    fn several_keys_in_one_file() {
        let text = format!("# ours\n{}\n{}", CosignKey::p256().pem(), CosignKey::ed25519().pem());
        let mut keys = PublisherKeys::default();
        keys.add("keys", text.as_bytes()).expect("two keys");
        assert_eq!(keys.0.len(), 2);
        for (bad, reason) in [
            (String::new(), "no key in PEM"),
            (format!("{text}threshold: 2\n"), "something in it that is no key"),
            (text.replacen("PUBLIC", "PRIVATE", 2), "it has a `PRIVATE KEY`"),
            (text.trim_end().trim_end_matches('-').to_owned(), "no end"),
        ] {
            let error = keys.add("keys", bad.as_bytes()).expect_err("refused").to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    /// What cosign itself signed, as containers/image keeps it for its own tests.
    #[test]
    fn signatures_of_cosign_count() {
        let root = "registries/containers__image/signature/fixtures";
        let of = |name: &str| format!("{root}/dir-img-cosign-key-rekor-valid/{name}");
        let Some(manifest) = fixture(&of("manifest.json")) else { return };
        let file = |name: &str| fixture(name).expect("it is beside the others");
        let stored = file(&of("signature-1"));
        // `\0sigstore-json\n`, then the parts of it in JSON.
        let start = stored.iter().position(|b| *b == b'{').expect("JSON");
        let parts: serde_json::Value = serde_json::from_slice(&stored[start..]).expect("JSON");
        let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
        let found = Attachment {
            payload: STANDARD.decode(text(&parts["payload"])).expect("base64"),
            signature: text(&parts["annotations"]["dev.cosignproject.cosign/signature"]),
            annotations: Default::default(),
        };
        let digest = Digest::of(&manifest);
        let mut keys = PublisherKeys::default();
        keys.add("cosign2.pub", &file(&format!("{root}/cosign2.pub"))).expect("a key");
        assert!(keys.of_manifest(&digest, std::slice::from_ref(&found)).is_ok());
        assert!(keys.of_manifest(&Digest::of(b"another"), std::slice::from_ref(&found)).is_err());
        let mut others = PublisherKeys::default();
        others.add("cosign.pub", &file(&format!("{root}/cosign.pub"))).expect("a key");
        assert!(others.of_manifest(&digest, std::slice::from_ref(&found)).is_err());
        // What is signed here is to the letter what cosign signs.
        let repository = "192.168.64.2:5000/cosign-signed/key-1";
        assert_eq!(Claim::text_of(&digest, repository), found.payload);
    }
}
