//! Headers of an imageset's tar: what is read is what would be written, and only names of the format are names.

use oc_mirror_model::tar::{BLOCK, MAX_PAX, header, header_len, is_entry_path, parse};

use crate::target::{Input, Target};

/// Headers of tar, plain or with PAX records. Half of the inputs get a right checksum, which would be guessed once in a lifetime.
pub const TAR: Target = Target { name: "tar", longest: 70 << 10, memory: 4 << 20, check };

fn check(data: &[u8]) {
    let mut input = Input(data);
    let mut bytes = match input.byte() % 3 {
        // As they came.
        0 => input.0.to_vec(),
        // With right checksums.
        1 => summed(input.0),
        // Only the PAX records are made up.
        _ => with_records(input.0),
    };
    bytes.truncate(64 << 10);
    let Ok(found) = parse(&bytes) else { return };
    assert!(bytes.len() as u64 <= 2 * BLOCK + MAX_PAX + BLOCK, "{} bytes", bytes.len());
    assert!(!found.name.is_empty());
    let written = header(&found.name, found.size, 7);
    assert_eq!(written.len() as u64, header_len(&found.name, found.size));
    // A record that fits into 64 KiB of them may not do so any more where a prefix is written as a record.
    if written.len() as u64 <= 2 * BLOCK + MAX_PAX {
        assert_eq!(parse(&written).as_ref(), Ok(&found));
    }
    if is_entry_path(&found.name) {
        assert!(found.name.len() <= 1024 && found.name.is_ascii() && !found.name.contains('\0'));
        assert!(found.name.split('/').all(|part| !matches!(part, "" | "." | "..")), "{}", found.name);
    }
}

/// Writes the right checksum into every block that could be a header.
fn summed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let blocks = bytes.len() / 512;
    for block in [0, blocks.saturating_sub(1)] {
        if let Some(block) = bytes.get_mut(block * 512..block * 512 + 512) {
            sum(block);
        }
    }
    bytes
}

fn sum(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|b| u64::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn with_records(records: &[u8]) -> Vec<u8> {
    let mut bytes = header("index.json", records.len() as u64, 0);
    bytes[156] = b'x';
    sum(&mut bytes[..512]);
    bytes.extend_from_slice(records);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes.extend_from_slice(&header("index.json", 0, 0));
    bytes
}
