//! Keys that sign imagesets and keys that are trusted to: [`SigningKey`], [`PublicKey`] and [`TrustedKeys`].
//!
//! Ed25519 and nothing else: its signatures depend on key and text alone, so equal imagesets stay equal. Files are PEM as
//! `openssl` reads and writes them, PKCS#8 and `SubjectPublicKeyInfo`. A private key is never displayed.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oc_mirror_model::checksum::Checked;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::dsse::{Distrust, Envelope, KeyId, Signature, pae, pae_of};
use oc_mirror_model::imageset::Index;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use zeroize::Zeroizing;

/// What stands before a public key of Ed25519 in DER.
const PUBLIC: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// What stands before a private one: PKCS#8, version 1, which every program reads.
const PRIVATE: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
const PUBLIC_LABEL: &str = "PUBLIC KEY";
const PRIVATE_LABEL: &str = "PRIVATE KEY";
/// The line of a file of keys that says how many of them are asked for.
const THRESHOLD: &str = "threshold:";

/// A file is not one of keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no key in it.
    #[error("there is no key in PEM in it")]
    NoKey,
    /// It has several where one is wanted.
    #[error("there are {0} keys in it, and one is wanted")]
    Several(usize),
    /// It is not PEM.
    #[error("it is not PEM: {0}")]
    Malformed(String),
    /// It has a private key where a public one is wanted, or the other way round.
    #[error("it has a `{found}`, and a `{wanted}` is wanted")]
    Kind {
        /// What it has.
        found: String,
        /// What is wanted.
        wanted: &'static str,
    },
    /// Nobody can type a password here.
    #[error("its key is encrypted with a password")]
    Encrypted,
    /// The key is of another algorithm.
    #[error("its key is not one of Ed25519")]
    Algorithm,
    /// More or fewer signatures are asked for than there can be.
    #[error("signatures of {threshold} keys are asked for, and there are {keys}")]
    Threshold {
        /// How many signatures are asked for.
        threshold: usize,
        /// How many keys there are.
        keys: usize,
    },
    /// No randomness is to be had.
    #[error("this machine has no randomness to make a key of")]
    Random,
}

impl KeyError {
    /// Returns what to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Encrypted => {
                "take the password off with `openssl pkey -in FILE -out NEW-FILE`, and keep that file safe"
            }
            Self::Kind { wanted, .. } if *wanted == PUBLIC_LABEL => {
                "name the public half, such as NAME.pub; `oc-mirror key show FILE` prints the one of a private key"
            }
            Self::Kind { .. } => "name the private half, such as NAME.key",
            Self::Threshold { .. } => "the threshold is a number from 1 to the number of different keys",
            Self::Random => "try again later",
            _ => {
                "make a pair with `oc-mirror key generate`, or a private key with `openssl genpkey -algorithm ed25519`"
            }
        }
    }
}

/// A key that signs.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.public.id()).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Makes a key; returns its file too.
    pub fn generate() -> Result<(Self, Zeroizing<String>), KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(seed.as_mut()).map_err(|_| KeyError::Random)?;
        let der = Zeroizing::new([PRIVATE.as_slice(), seed.as_ref()].concat());
        Ok((Self::from_der(&der)?, to_pem(PRIVATE_LABEL, &der)))
    }

    /// Reads the one private key of a file.
    pub fn parse(pem: &[u8]) -> Result<Self, KeyError> {
        let blocks = Pem::parse(pem)?.blocks;
        match blocks.as_slice() {
            [] => Err(KeyError::NoKey),
            [(label, _)] if label == "ENCRYPTED PRIVATE KEY" => Err(KeyError::Encrypted),
            [(label, der)] if label == PRIVATE_LABEL => Self::from_der(der),
            [(label, _)] => Err(KeyError::Kind { found: label.clone(), wanted: PRIVATE_LABEL }),
            several => Err(KeyError::Several(several.len())),
        }
    }

    fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        // The public half may be missing, as `openssl` leaves it out.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| KeyError::Algorithm)?;
        let bytes = pair.public_key().as_ref().try_into().expect("a key of Ed25519 has 32 bytes");
        Ok(Self { pair, public: PublicKey { bytes } })
    }

    /// Returns the public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Signature {
        let sig = STANDARD.encode(self.pair.sign(message).as_ref());
        Signature { keyid: self.public.id(), sig }
    }
}

/// The keys that sign one imageset.
#[derive(Clone, Debug, Default)]
pub struct SigningKeys(Arc<[SigningKey]>);

impl SigningKeys {
    /// Puts keys together; each counts once, and their order makes no difference.
    pub fn new(mut keys: Vec<SigningKey>) -> Self {
        keys.sort_by_cached_key(|key| key.public.id());
        keys.dedup_by(|a, b| a.public == b.public);
        Self(keys.into())
    }

    /// Returns whose signatures these are.
    pub fn ids(&self) -> Vec<KeyId> {
        self.0.iter().map(|key| key.public.id()).collect()
    }

    /// Returns the envelope over an index.
    pub(super) fn envelope(&self, index: &Checked<'_, Index>) -> Vec<u8> {
        self.envelope_of(&pae_of(index))
    }

    fn envelope_of(&self, message: &[u8]) -> Vec<u8> {
        Envelope::new(self.0.iter().map(|key| key.sign(message)).collect()).to_bytes()
    }
}

/// A key that verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey {
    bytes: [u8; 32],
}

impl PublicKey {
    /// Returns its identity: the SHA-256 of it in DER.
    pub fn id(&self) -> KeyId {
        Digest::of(&self.to_der())
    }

    /// Returns the file of it.
    pub fn to_pem(&self) -> String {
        to_pem(PUBLIC_LABEL, &self.to_der()).as_str().to_owned()
    }

    fn to_der(self) -> Vec<u8> {
        [PUBLIC.as_slice(), &self.bytes].concat()
    }

    fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let bytes = der.strip_prefix(&PUBLIC).and_then(|key| key.try_into().ok());
        bytes.map(|bytes| Self { bytes }).ok_or(KeyError::Algorithm)
    }

    fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let Ok(signature) = STANDARD.decode(signature) else { return false };
        UnparsedPublicKey::new(&ED25519, &self.bytes).verify(message, &signature).is_ok()
    }
}

/// What a file of public keys says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// The keys.
    pub keys: Vec<PublicKey>,
    /// How many of them have to have signed, if it says so.
    pub threshold: Option<usize>,
}

impl KeyFile {
    /// Reads public keys in PEM, one behind the other. Between them may be empty lines, comments that begin with `#`, and
    /// once `threshold: K`; anything else is an error, so that a slip of the pen asks for no less than was meant.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        let pem = Pem::parse(bytes)?;
        let key = |(label, der): &(String, Zeroizing<Vec<u8>>)| match label == PUBLIC_LABEL {
            true => PublicKey::from_der(der),
            false => Err(KeyError::Kind { found: label.clone(), wanted: PUBLIC_LABEL }),
        };
        let keys = pem.blocks.iter().map(key).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(KeyError::NoKey);
        }
        let mut threshold = None;
        for line in pem.between {
            let number = line.strip_prefix(THRESHOLD).and_then(|rest| rest.trim().parse().ok());
            if number.is_none() || threshold.is_some() {
                return Err(KeyError::Malformed(format!("`{}` is none of a key", line.escape_debug())));
            }
            threshold = number;
        }
        Ok(Self { keys, threshold })
    }
}

/// The keys of which so many have to have signed an imageset. With none, any imageset is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedKeys {
    keys: Vec<PublicKey>,
    threshold: usize,
}

impl TrustedKeys {
    /// Asks for signatures of at least `threshold` of these keys.
    pub fn new(mut keys: Vec<PublicKey>, threshold: usize) -> Result<Self, KeyError> {
        keys.sort_by_cached_key(PublicKey::id);
        keys.dedup();
        if threshold == 0 || threshold > keys.len() {
            return Err(KeyError::Threshold { threshold, keys: keys.len() });
        }
        Ok(Self { keys, threshold })
    }

    /// Answers whether no key is configured.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns which of these keys signed an index; fails if they are too few, or if a signature is not what it is said to be.
    pub(super) fn judge(&self, index: &[u8], envelope: Option<&Envelope>) -> Result<Vec<KeyId>, Distrust> {
        let (needed, keys) = (self.threshold, self.keys.len());
        if keys == 0 {
            return Ok(Vec::new());
        }
        let signatures = match envelope {
            Some(envelope) if !envelope.signatures.is_empty() => &envelope.signatures,
            _ => return Err(Distrust::Unsigned { needed, keys }),
        };
        let message = pae(index);
        let mut verified = Vec::new();
        for key in &self.keys {
            let id = key.id();
            let mut own = signatures.iter().filter(|signature| signature.keyid == id).peekable();
            if own.peek().is_none() {
                continue;
            }
            if own.any(|signature| !key.verifies(&message, &signature.sig)) {
                return Err(Distrust::Wrong(id));
            }
            verified.push(id);
        }
        if verified.len() < needed {
            let signers = signatures.iter().map(|signature| signature.keyid.clone()).collect();
            return Err(Distrust::TooFew { found: verified.len(), signers, needed, keys });
        }
        Ok(verified)
    }
}

fn to_pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    let lines = Zeroizing::new(lines.join("\n"));
    let text = ["-----BEGIN ", label, "-----\n", &lines, "\n-----END ", label, "-----\n"];
    Zeroizing::new(text.concat())
}

/// A file in PEM.
struct Pem {
    /// Labels and contents.
    blocks: Vec<(String, Zeroizing<Vec<u8>>)>,
    /// Lines that are of no block, but for empty ones and comments.
    between: Vec<String>,
}

impl Pem {
    // What is wrong with a private key is said without anything of it.
    fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        let malformed = |what: &str| KeyError::Malformed(what.to_owned());
        let text = std::str::from_utf8(bytes).map_err(|_| malformed("it is not text"))?;
        let (mut blocks, mut between) = (Vec::new(), Vec::new());
        let mut lines = text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            let label = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----"));
            let Some(label) = label else {
                if !line.is_empty() && !line.starts_with('#') {
                    between.push(line.to_owned());
                }
                continue;
            };
            let end = format!("-----END {label}-----");
            // It never grows beyond the file, so that it is not moved, which would leave a copy behind.
            let mut body = Zeroizing::new(String::with_capacity(text.len()));
            loop {
                match lines.next() {
                    None => return Err(malformed("a key in it has no end")),
                    Some(line) if line == end => break,
                    Some(line) => body.push_str(line),
                }
            }
            // A key that is encrypted the old way has headers, which is no base64 either.
            let is_encrypted = body.contains("ENCRYPTED");
            let der = STANDARD.decode(body.as_bytes()).map_err(|_| match is_encrypted {
                true => KeyError::Encrypted,
                false => malformed("a key in it is not base64"),
            })?;
            blocks.push((label.to_owned(), Zeroizing::new(der)));
        }
        Ok(Self { blocks, between })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (SigningKey, PublicKey) {
        let (key, pem) = SigningKey::generate().expect("made");
        let again = SigningKey::parse(pem.as_bytes()).expect("read back");
        assert_eq!(again.public(), key.public());
        assert!(!format!("{again:?}").contains(&pem[30..60]), "a key is not displayed");
        let public = *key.public();
        assert_eq!(KeyFile::parse(public.to_pem().as_bytes()).expect("read back").keys, [public]);
        (key, public)
    }

    fn envelope(keys: Vec<SigningKey>, index: &[u8]) -> Envelope {
        Envelope::parse(&SigningKeys::new(keys).envelope_of(&pae(index))).expect("an envelope")
    }

    #[test]
    fn so_many_of_so_many() {
        let ((a, public_a), (b, public_b), (_, public_c)) = (pair(), pair(), pair());
        let stranger = pair().0;
        let (id_a, id_b) = (public_a.id(), public_b.id());
        let both = envelope(vec![a, b, stranger], b"index");
        let of = |keys: &[PublicKey], threshold| TrustedKeys::new(keys.to_vec(), threshold).expect("valid");
        let mut ids = vec![id_a.clone(), id_b];
        ids.sort();
        assert_eq!(of(&[public_a, public_b, public_c], 2).judge(b"index", Some(&both)), Ok(ids));
        let all = of(&[public_a, public_b, public_c], 3);
        assert!(matches!(
            all.judge(b"index", Some(&both)),
            Err(Distrust::TooFew { found: 2, needed: 3, .. })
        ));
        assert!(matches!(all.judge(b"index", None), Err(Distrust::Unsigned { needed: 3, keys: 3 })));
        assert!(
            matches!(of(&[public_a], 1).judge(b"other", Some(&both)), Err(Distrust::Wrong(id)) if id == id_a)
        );
        // A key that signs twice counts once.
        let mut twice = both;
        twice.signatures.retain(|signature| signature.keyid == id_a);
        twice.signatures.push(twice.signatures[0].clone());
        let two = of(&[public_a, public_b], 2);
        assert!(matches!(two.judge(b"index", Some(&twice)), Err(Distrust::TooFew { found: 1, .. })));
        // Another's signature under a trusted name is a forgery, whatever else there is.
        twice.signatures[1].sig = "AAAA".to_owned();
        assert!(matches!(of(&[public_a], 1).judge(b"index", Some(&twice)), Err(Distrust::Wrong(_))));
        assert_eq!(TrustedKeys::default().judge(b"any", None), Ok(Vec::new()));
    }

    #[test]
    fn thresholds_are_possible_ones() {
        let public = pair().1;
        for (keys, threshold) in [(vec![], 0), (vec![], 1), (vec![public], 0), (vec![public, public], 2)] {
            assert!(matches!(TrustedKeys::new(keys, threshold), Err(KeyError::Threshold { .. })));
        }
    }

    #[test]
    fn files_of_keys() {
        let (a, b) = (pair().1, pair().1);
        let text = format!("# two of us\nthreshold: 2\n\n{}# b\n{}", a.to_pem(), b.to_pem());
        let file = KeyFile::parse(text.as_bytes()).expect("valid");
        assert_eq!((file.keys, file.threshold), (vec![a, b], Some(2)));
        for slip in ["thresholds: 2", "threshold: two", "threshold: 1\nthreshold: 2", "key"] {
            let text = format!("{slip}\n{}", a.to_pem());
            assert!(matches!(KeyFile::parse(text.as_bytes()), Err(KeyError::Malformed(_))), "{slip}");
        }
        assert_eq!(KeyFile::parse(b"# none\n"), Err(KeyError::NoKey));
    }

    #[test]
    fn what_is_no_key_is_refused_without_showing_it() {
        let (key, private) = SigningKey::generate().expect("made");
        let public = key.public().to_pem();
        let swapped = KeyFile::parse(private.as_bytes()).expect_err("private");
        assert!(matches!(swapped, KeyError::Kind { .. }) && swapped.hint().contains(".pub"));
        assert!(matches!(SigningKey::parse(public.as_bytes()), Err(KeyError::Kind { .. })));
        let rsa = "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEB\n-----END PUBLIC KEY-----\n";
        assert_eq!(KeyFile::parse(rsa.as_bytes()), Err(KeyError::Algorithm));
        let encrypted = private.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        assert!(matches!(SigningKey::parse(encrypted.as_bytes()), Err(KeyError::Encrypted)));
        let old = private.replacen('\n', "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\n", 1);
        assert!(matches!(SigningKey::parse(old.as_bytes()), Err(KeyError::Encrypted)));
        let both = SigningKey::parse(private.repeat(2).as_bytes());
        assert!(matches!(both, Err(KeyError::Several(2))));
        for bad in [&private[..60], "", "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----"] {
            let error = SigningKey::parse(bad.as_bytes()).expect_err("no key");
            assert!(!error.to_string().contains("MC4C"), "{error}");
        }
    }
}
