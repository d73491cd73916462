//! Content digests: [`Digest`], `algorithm:hex`, as the OCI image specification defines them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

/// The hash functions that content may be addressed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, what practically every image uses.
    Sha256,
    /// SHA-512, registered by the specification and legal everywhere.
    Sha512,
}

impl Algorithm {
    /// Returns the name that stands before the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }

    /// Starts an empty running hash.
    pub fn hasher(self) -> Hasher {
        match self {
            Self::Sha256 => Hasher::Sha256(sha2::Sha256::new()),
            Self::Sha512 => Hasher::Sha512(Box::new(sha2::Sha512::new())),
        }
    }
}

/// A digest in its one canonical spelling: lower-case hex of the right length.
///
/// Safe to use as a path component and in a URL, because the grammar admits nothing else.
///
/// Runs hold many thousands at a time, so that it keeps the hash itself and not its spelling.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(Hash);

/// A hash. SHA-512 is rare, and boxed so that it makes no other one larger.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Hash {
    Sha256([u8; 32]),
    Sha512(Box<[u8; 64]>),
}

impl Digest {
    /// Hashes bytes that are in memory with SHA-256.
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_with(Algorithm::Sha256, bytes)
    }

    /// Hashes bytes that are in memory.
    pub fn of_with(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = algorithm.hasher();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Returns the hash function.
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Hash::Sha256(_) => Algorithm::Sha256,
            Hash::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Returns the part after the colon.
    pub fn hex(&self) -> String {
        spelled("", self.bytes())
    }

    /// Returns the first twelve hex characters, for people.
    pub fn short(&self) -> String {
        spelled("", &self.bytes()[..6])
    }

    /// Returns the path of this content in an OCI image layout: `blobs/<algorithm>/<hex>`.
    pub fn layout_path(&self) -> String {
        let (algorithm, hex) = (self.algorithm().as_str(), self.bytes());
        spelled(&format!("blobs/{algorithm}/"), hex)
    }

    /// What stands before the hex.
    fn start(&self) -> &'static str {
        match self.0 {
            Hash::Sha256(_) => "sha256:",
            Hash::Sha512(_) => "sha512:",
        }
    }

    fn bytes(&self) -> &[u8] {
        match &self.0 {
            Hash::Sha256(bytes) => bytes,
            Hash::Sha512(bytes) => bytes.as_slice(),
        }
    }
}

/// Writes bytes in lower-case hex behind something.
fn spelled(start: &str, bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(start.len() + 2 * bytes.len());
    text.push_str(start);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Reads lower-case hex of exactly as many bytes.
fn read_hex<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (place, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *place = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&spelled(self.start(), self.bytes()))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The text is not a digest that this program can verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a digest: {reason}")]
pub struct InvalidDigest {
    /// The text as it came.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = |reason| InvalidDigest { text: text.chars().take(160).collect(), reason };
        let (algorithm, hex) =
            text.split_once(':').ok_or(invalid("expected `sha256:` and 64 hex characters"))?;
        let algorithm = match algorithm {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(invalid("only sha256 and sha512 are known")),
        };
        if hex.len() != algorithm.hex_len() {
            return Err(invalid("the hash has the wrong length"));
        }
        let hash = match algorithm {
            Algorithm::Sha256 => read_hex(hex).map(Hash::Sha256),
            Algorithm::Sha512 => read_hex(hex).map(|hash| Hash::Sha512(Box::new(hash))),
        };
        hash.map(Self).ok_or(invalid("the hash must be lower-case hex"))
    }
}

/// A running hash, cloneable so that a transfer can carry it over a break.
#[derive(Clone)]
pub enum Hasher {
    /// SHA-256.
    Sha256(sha2::Sha256),
    /// SHA-512; boxed, as its state is much the larger.
    Sha512(Box<sha2::Sha512>),
}

impl Hasher {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(h) => h.update(bytes),
            Self::Sha512(h) => h.update(bytes),
        }
    }

    /// Ends the hash.
    pub fn finish(self) -> Digest {
        match self {
            Self::Sha256(h) => Digest(Hash::Sha256(h.finalize().into())),
            Self::Sha512(h) => Digest(Hash::Sha512(Box::new(h.finalize().into()))),
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_vectors() {
        assert_eq!(
            Digest::of(b"").to_string(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert!(
            Digest::of_with(Algorithm::Sha512, b"").to_string().starts_with("sha512:cf83e1357eefb8bdf154")
        );
    }

    #[test]
    fn round_trip() {
        let digest = Digest::of(b"x");
        assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
    }

    #[test]
    fn hostile_spellings_are_refused() {
        let upper = format!("sha256:{}", "A".repeat(64));
        let path = format!("sha256:../{}", "a".repeat(61));
        for text in ["", "sha256", "sha256:", "md5:00", &upper, &path, &format!("sha256:{}", "a".repeat(65))]
        {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
