//! A JSON document that carries its own SHA-256, so that a changed bit in it is noticed by whoever has nothing else to hold
//! it against: [`Checked`] and [`check`].
//!
//! The checksum is the first field of the document, which is printed without spaces, and is taken over the document with zeros in
//! place of its digits. It is no protection against somebody who means harm; signatures are.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::digest::{Algorithm, Digest, Hasher};

/// What a document with a checksum begins with.
const OPEN: &[u8] = b"{\"checksum\":\"sha256:";
/// What stands in place of the digits while the sum is taken.
const ZEROS: [u8; 64] = [b'0'; 64];
/// What follows them.
const CLOSE: &[u8] = b"\",";

/// What became of holding a document against its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// The document is as it was written.
    Right,
    /// It is not.
    Wrong,
    /// It has none, or what it begins with has changed.
    Absent,
}

/// An object on its way out as one line with its checksum. Its text is made anew whenever it is wanted, and held by nobody: an
/// index has some thousand bytes for each of its images.
#[derive(Clone, Debug)]
pub struct Checked<'a, T> {
    document: &'a T,
    sum: Digest,
    len: u64,
}

impl<'a, T: Serialize> Checked<'a, T> {
    /// Takes the checksum of an object of strings and numbers.
    pub fn new(document: &'a T) -> Self {
        let (sum, len) = measured(document, &ZEROS);
        Self { document, sum, len }
    }

    /// Returns how many bytes the line has.
    pub fn len_bytes(&self) -> u64 {
        self.len
    }

    /// Returns the SHA-256 of the line.
    pub fn digest(&self) -> Digest {
        measured(self.document, self.sum.hex().as_bytes()).0
    }

    /// Writes the line.
    pub fn write_to(&self, to: impl Write) -> io::Result<()> {
        write(self.document, self.sum.hex().as_bytes(), to)
    }

    /// Returns the line.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(usize::try_from(self.len).unwrap_or_default());
        self.write_to(&mut bytes).expect(INFALLIBLE);
        bytes
    }
}

/// Returns how many bytes an object has as a line with its checksum, without taking that.
pub fn len_with_checksum(document: &impl Serialize) -> u64 {
    let mut counter = Counter { hasher: None, len: 0 };
    write(document, &ZEROS, &mut counter).expect(INFALLIBLE);
    counter.len
}

const INFALLIBLE: &str = "a document of strings and numbers serialises, and memory takes all of it";

/// Writes an object as a line without a checksum.
pub(crate) fn write_line(document: &impl Serialize, to: impl Write) -> io::Result<()> {
    let mut to = BufWriter::with_capacity(PIECE, to);
    serde_json::to_writer(&mut to, document)?;
    to.write_all(b"\n")?;
    to.flush()
}

/// Returns how many bytes that line has.
pub(crate) fn len_of_line(document: &impl Serialize) -> usize {
    let mut counter = Counter { hasher: None, len: 0 };
    write_line(document, &mut counter).expect(INFALLIBLE);
    usize::try_from(counter.len).unwrap_or_default()
}

/// Returns the SHA-256 of that line.
pub(crate) fn digest_of_line(document: &impl Serialize) -> Digest {
    let mut counter = Counter { hasher: Some(Algorithm::Sha256.hasher()), len: 0 };
    write_line(document, &mut counter).expect(INFALLIBLE);
    counter.hasher.expect("it was just put there").finish()
}

/// Returns hash and length of an object as a line with these digits.
fn measured(document: &impl Serialize, digits: &[u8]) -> (Digest, u64) {
    let mut counter = Counter { hasher: Some(Algorithm::Sha256.hasher()), len: 0 };
    write(document, digits, &mut counter).expect(INFALLIBLE);
    (counter.hasher.expect("it was just put there").finish(), counter.len)
}

/// Writes an object as a line with these digits.
fn write(document: &impl Serialize, digits: &[u8], to: impl Write) -> io::Result<()> {
    let mut to = BufWriter::with_capacity(PIECE, to);
    for part in [OPEN, digits, CLOSE] {
        to.write_all(part)?;
    }
    serde_json::to_writer(Fields { to: &mut to, is_open: false }, document)?;
    to.write_all(b"\n")?;
    to.flush()
}

/// What is hashed or written at a time.
const PIECE: usize = 64 << 10;

/// Passes an object on but for the brace that it begins with.
struct Fields<W> {
    to: W,
    is_open: bool,
}

impl<W: Write> Write for Fields<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match bytes {
            [b'{', fields @ ..] if !self.is_open => {
                self.is_open = true;
                self.to.write_all(fields)?;
                Ok(bytes.len())
            }
            _ => self.to.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Counts what is written to it, and hashes it if that is wanted.
struct Counter {
    hasher: Option<Hasher>,
    len: u64,
}

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.len += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Holds a document against its checksum.
pub fn check(document: &[u8]) -> Checksum {
    let mut checker = Checker::default();
    checker.update(document);
    checker.finish()
}

/// Holds a document against its checksum that comes in pieces.
#[derive(Debug, Default)]
pub struct Checker {
    /// What it begins with, the checksum included.
    begins: Vec<u8>,
    rest: Sha256,
}

impl Checker {
    /// Takes the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        let missing = OPEN.len() + ZEROS.len() - self.begins.len();
        if missing > 0 {
            let (begins, rest) = bytes.split_at(missing.min(bytes.len()));
            self.begins.extend_from_slice(begins);
            bytes = rest;
            if self.begins.len() < OPEN.len() + ZEROS.len() {
                return;
            }
            self.rest.update(OPEN);
            self.rest.update(ZEROS);
        }
        self.rest.update(bytes);
    }

    /// Says what became of it.
    pub fn finish(self) -> Checksum {
        let Some(written) = self.begins.strip_prefix(OPEN) else { return Checksum::Absent };
        let hex = |byte: &u8| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
        let sum: Vec<u8> = self.rest.finalize().iter().flat_map(hex).collect();
        if sum == written { Checksum::Right } else { Checksum::Wrong }
    }
}

const HEX: [u8; 16] = *b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_noticed() {
        let right = Checked::new(&serde_json::json!({ "format": "1.1" })).to_bytes();
        assert_eq!(check(&right), Checksum::Right);
        assert!(serde_json::from_slice::<serde_json::Value>(&right).is_ok());
        for at in 0..right.len() {
            for bit in 0..8 {
                let mut wrong = right.clone();
                wrong[at] ^= 1 << bit;
                let expected = if at < OPEN.len() { Checksum::Absent } else { Checksum::Wrong };
                assert_eq!(check(&wrong), expected, "bit {bit} of byte {at}");
            }
        }
        for len in 0..right.len() {
            assert_ne!(check(&right[..len]), Checksum::Right, "cut to {len} bytes");
        }
    }

    #[test]
    fn length_and_hash_are_those_of_what_is_written() {
        let document = serde_json::json!({ "format": "1.1", "a": [{ "b": "c".repeat(3 * PIECE) }] });
        let checked = Checked::new(&document);
        let bytes = checked.to_bytes();
        assert_eq!(check(&bytes), Checksum::Right);
        assert_eq!(checked.len_bytes(), bytes.len() as u64);
        assert_eq!(len_with_checksum(&document), bytes.len() as u64);
        assert_eq!(checked.digest(), Digest::of(&bytes));
        assert_eq!(bytes.last(), Some(&b'\n'));
    }
}
