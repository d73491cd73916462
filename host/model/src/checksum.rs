//! A JSON document that carries its own SHA-256, so that a changed bit in it is noticed by whoever has nothing else to hold
//! it against: [`with_checksum`] and [`check`].
//!
//! The checksum is the first field of the document, which is printed without spaces, and is taken over the document with zeros in
//! place of its digits. It is no protection against somebody who means harm; signatures are.

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;

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

/// Adds the checksum to an object that was printed without spaces.
pub(crate) fn with_checksum(document: &[u8]) -> Vec<u8> {
    let fields = document.strip_prefix(b"{").expect("an object begins like this");
    let mut bytes = [OPEN, &ZEROS, CLOSE, fields].concat();
    let sum = Digest::of(&bytes);
    bytes[OPEN.len()..OPEN.len() + ZEROS.len()].copy_from_slice(sum.hex().as_bytes());
    bytes
}

/// Holds a document against its checksum.
pub fn check(document: &[u8]) -> Checksum {
    let Some(rest) = document.strip_prefix(OPEN) else { return Checksum::Absent };
    let Some((written, rest)) = rest.split_first_chunk::<64>() else { return Checksum::Wrong };
    let mut hasher = Sha256::new();
    for part in [OPEN, &ZEROS, rest] {
        hasher.update(part);
    }
    let hex = |byte: &u8| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
    let sum: Vec<u8> = hasher.finalize().iter().flat_map(hex).collect();
    if sum == written { Checksum::Right } else { Checksum::Wrong }
}

const HEX: [u8; 16] = *b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_noticed() {
        let right = with_checksum(b"{\"format\":\"1.1\"}\n");
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
}
