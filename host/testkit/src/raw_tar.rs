//! [`RawTar`]: a tar file made header by header, also with names, kinds and sizes that no program would write.

/// What tar files are made of.
const BLOCK: usize = 512;
/// The largest size that the field has octal digits for.
const MAX_OCTAL: u64 = 0o777_7777_7777;

/// A tar file in the making.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawTar(Vec<u8>);

impl RawTar {
    /// Starts an empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on behind the last member of a tar file, whose end mark is taken off.
    pub fn after(bytes: &[u8]) -> Self {
        let zeros = bytes.rchunks(BLOCK).take_while(|block| block.iter().all(|byte| *byte == 0)).count();
        Self(bytes[..bytes.len() - zeros * BLOCK].to_vec())
    }

    /// Adds a member: its kind, its name and where it links to (100 bytes at most, taken as they are), the size that its header
    /// says, and what follows the header.
    pub fn entry(mut self, kind: u8, name: &str, link: &str, size: u64, content: &[u8]) -> Self {
        let mut header = [0; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, name.as_bytes());
        put(100, b"0000644\0");
        put(108, b"0000000\0");
        put(116, b"0000000\0");
        match size {
            0..=MAX_OCTAL => put(124, format!("{size:011o}\0").as_bytes()),
            // As GNU tar writes what eleven digits cannot say.
            _ => put(124, &[&[0x80, 0, 0, 0][..], &size.to_be_bytes()].concat()),
        }
        put(136, b"00000000000\0");
        put(156, &[kind]);
        put(157, link.as_bytes());
        put(257, b"ustar\x0000");
        put(329, b"0000000\0");
        put(337, b"0000000\0");
        set_checksum(&mut header);
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
        self
    }

    /// Adds a regular file.
    pub fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(b'0', name, "", content.len() as u64, content)
    }

    /// Adds PAX records about the next member (kind `x`), or about all (`g`).
    pub fn attributes(self, kind: u8, records: &[(&str, &str)]) -> Self {
        let text: String = records.iter().map(|(key, value)| record(key, value)).collect();
        self.entry(kind, "PaxHeaders/entry", "", text.len() as u64, text.as_bytes())
    }

    /// Adds bytes as they are.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds the end mark, and returns all of it.
    pub fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 2 * BLOCK]);
        self.0
    }

    /// Changes the header at a place of a tar file, and makes its checksum fit, as an attacker would.
    pub fn forge(bytes: &mut [u8], at: usize, change: impl FnOnce(&mut [u8])) {
        let header = &mut bytes[at..at + BLOCK];
        change(header);
        set_checksum(header);
    }
}

fn set_checksum(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// A record begins with its own length, the digits of that included.
fn record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let length = (1..).map(|digits| rest + digits).find(|n| n.to_string().len() + rest == *n);
    format!("{} {key}={value}\n", length.expect("some number fits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_members_are_read_by_others() {
        let bytes = RawTar::new().file("a", b"content").end();
        let more = RawTar::after(&bytes).attributes(b'x', &[("path", "long/name")]).file("b", b"").end();
        let mut archive = tar::Archive::new(more.as_slice());
        let found: Vec<(String, u64)> = archive
            .entries()
            .expect("a tar file")
            .map(|entry| entry.expect("an entry"))
            .map(|entry| (entry.path().expect("a path").display().to_string(), entry.size()))
            .collect();
        assert_eq!(found, [("a".to_string(), 7), ("long/name".to_string(), 0)]);
    }

    #[test]
    fn a_record_counts_its_own_length() {
        assert_eq!(record("path", "a"), "9 path=a\n");
        assert_eq!(record("path", "aa"), "11 path=aa\n");
        assert_eq!(record("p", "aaa"), "8 p=aaa\n");
    }
}
