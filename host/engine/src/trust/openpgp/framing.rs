//! [`joined`]: packets in pieces become packets in one piece.

use std::borrow::Cow;

/// Writes packets that come in pieces ("partial body lengths") with their whole length in front.
///
/// Messages signed by Go's library, as those of OpenShift's build system, begin with a piece of two bytes. OpenPGP wants 512
/// at least and our library insists. Only the framing changes, and none of it is signed. What cannot be read is
/// returned as it came: the library will say what is wrong.
pub(super) fn joined(message: &[u8]) -> Cow<'_, [u8]> {
    match join(message) {
        Some((true, bytes)) => Cow::Owned(bytes),
        _ => Cow::Borrowed(message),
    }
}

/// Returns the message, and whether any packet of it had pieces.
fn join(mut rest: &[u8]) -> Option<(bool, Vec<u8>)> {
    let mut out = Vec::with_capacity(rest.len() + 16);
    let mut any = false;
    while let Some(&tag) = rest.first() {
        if tag & 0xc0 != 0xc0 {
            // Packets of the old format have no pieces, and only ever stand alone or last in such messages.
            out.extend_from_slice(rest);
            break;
        }
        let start = rest;
        let mut body = Vec::new();
        rest = &rest[1..];
        let mut pieces = 0;
        loop {
            let (length, partial, after) = length(rest)?;
            body.extend_from_slice(after.get(..length)?);
            rest = &after[length..];
            pieces += 1;
            if !partial {
                break;
            }
        }
        if pieces == 1 {
            out.extend_from_slice(&start[..start.len() - rest.len()]);
        } else {
            any = true;
            out.extend_from_slice(&[tag, 0xff]);
            out.extend_from_slice(&u32::try_from(body.len()).ok()?.to_be_bytes());
            out.append(&mut body);
        }
    }
    Some((any, out))
}

/// Reads a length of the new format: the length, whether it is that of a piece with more to come, and what follows.
fn length(bytes: &[u8]) -> Option<(usize, bool, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let first_value = usize::from(first);
    match first {
        0..192 => Some((first_value, false, rest)),
        192..224 => {
            let (&second, rest) = rest.split_first()?;
            Some((((first_value - 192) << 8) + usize::from(second) + 192, false, rest))
        }
        224..255 => Some((1 << (first & 0x1f), true, rest)),
        255 => {
            let (value, rest) = rest.split_first_chunk::<4>()?;
            Some((usize::try_from(u32::from_be_bytes(*value)).ok()?, false, rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pieces_are_joined() {
        // A literal packet in pieces of 1, 2 and 3 bytes, between two others.
        let pieces = b"\xc4\x01x\xcb\xe0a\xe1bc\x03def\x99\x00\x01z";
        assert_eq!(&*joined(pieces), b"\xc4\x01x\xcb\xff\x00\x00\x00\x06abcdef\x99\x00\x01z");
    }

    proptest! {
        #[test]
        fn nothing_else_changes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let out = joined(&bytes);
            prop_assert!(matches!(out, Cow::Owned(_)) || *out == bytes[..]);
            prop_assert_eq!(&*joined(&out), &*out);
        }
    }
}
