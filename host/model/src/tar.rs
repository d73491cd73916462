//! The tar dialect of imagesets: which names there are, and [`header`] with its strict reader [`parse`].
//!
//! Plain ustar, with a PAX header only where a size or a name needs one. Whatever ordinary tar files may hold
//! besides (links, devices, sparse files, global headers, GNU long names) is refused here, not skipped.

use std::fmt;

/// Everything in a tar file is a multiple of this.
pub const BLOCK: u64 = 512;

/// Two blocks of zeros end a tar file.
pub const END_MARKER: u64 = 2 * BLOCK;

/// A PAX header above this size is refused; ours have a few hundred bytes.
pub const MAX_PAX: u64 = 64 << 10;

/// The largest size that eleven octal digits can say: 8 GiB - 1.
const MAX_OCTAL: u64 = 0o777_7777_7777;

const NAME_LEN: usize = 100;
const PREFIX_LEN: usize = 155;
const MAX_PATH: usize = 1024;

/// Returns `size` rounded up to whole blocks; sizes near the end of the range stay what they are.
pub fn padded(size: u64) -> u64 {
    size.checked_next_multiple_of(BLOCK).unwrap_or(size)
}

/// Answers whether an imageset may hold an entry of this name.
///
/// `oci-layout`, `index.json`, `blobs/<algorithm>/<hex>`, and `files/…` of letters, digits and `._+@=,~-`.
pub fn is_entry_path(path: &str) -> bool {
    if matches!(path, "oci-layout" | "index.json") {
        return true;
    }
    if let Some(rest) = path.strip_prefix("blobs/") {
        let digest = rest.replacen('/', ":", 1).parse::<crate::Digest>();
        return digest.is_ok_and(|d| d.layout_path() == path);
    }
    let Some(rest) = path.strip_prefix("files/") else { return false };
    path.len() <= MAX_PATH && rest.split('/').all(is_component) && !is_part_name(path)
}

fn is_component(component: &str) -> bool {
    !matches!(component, "" | "." | "..")
        && component.len() <= 200
        && component.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+@=,~-".contains(&b))
}

/// Returns the name of one part of an entry that was split: `<path>.part-000001-of-000003`, counted from 1.
pub fn part_name(path: &str, part: usize, of: usize) -> String {
    if of == 1 { path.to_owned() } else { format!("{path}.part-{part:06}-of-{of:06}") }
}

fn is_part_name(path: &str) -> bool {
    let number = |text: &str| text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit());
    path.rsplit_once(".part-")
        .and_then(|(_, numbers)| numbers.split_once("-of-"))
        .is_some_and(|(part, of)| number(part) && number(of))
}

/// Returns the length of what [`header`] makes.
pub fn header_len(name: &str, size: u64) -> u64 {
    match pax_records(name, size).len() as u64 {
        0 => BLOCK,
        pax => 2 * BLOCK + padded(pax),
    }
}

/// Makes the header of a regular file: one block, or three and more where it needs PAX records.
pub fn header(name: &str, size: u64, mtime: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let pax = pax_records(name, size);
    if !pax.is_empty() {
        bytes.extend_from_slice(&block(b"", b"PaxHeaders/entry", pax.len() as u64, mtime, b'x'));
        bytes.extend_from_slice(&pax);
        let end = padded(bytes.len() as u64);
        bytes.resize(usize::try_from(end).expect("a few blocks"), 0);
    }
    let cut = &name.as_bytes()[..name.len().min(NAME_LEN)];
    let (prefix, short) = split_name(name).unwrap_or((b"", cut));
    // A size that comes from a PAX record is 0 in the old field, as other programs write it.
    let old_size = if size > MAX_OCTAL { 0 } else { size };
    bytes.extend_from_slice(&block(prefix, short, old_size, mtime, b'0'));
    bytes
}

/// Splits a name into the two fields that ustar has for it.
fn split_name(name: &str) -> Option<(&[u8], &[u8])> {
    let bytes = name.as_bytes();
    if bytes.len() <= NAME_LEN {
        return Some((b"", bytes));
    }
    let slash = bytes.iter().take(PREFIX_LEN + 1).rposition(|b| *b == b'/')?;
    let (prefix, rest) = (&bytes[..slash], &bytes[slash + 1..]);
    (rest.len() <= NAME_LEN && !rest.is_empty() && !prefix.is_empty()).then_some((prefix, rest))
}

fn pax_records(name: &str, size: u64) -> Vec<u8> {
    let mut records = Vec::new();
    if split_name(name).is_none() {
        records.extend_from_slice(pax_record("path", name).as_bytes());
    }
    if size > MAX_OCTAL {
        records.extend_from_slice(pax_record("size", &size.to_string()).as_bytes());
    }
    records
}

/// A PAX record begins with its own length, the digits of that length included.
fn pax_record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    format!("{len} {key}={value}\n")
}

fn block(prefix: &[u8], name: &[u8], size: u64, mtime: u64, kind: u8) -> [u8; BLOCK as usize] {
    let mut block = [0; BLOCK as usize];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name);
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, format!("{:011o}\0", mtime.min(MAX_OCTAL)).as_bytes());
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    put(329, b"0000000\0");
    put(337, b"0000000\0");
    put(345, prefix);
    let sum = checksum(&block);
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// The sum of all bytes, those of the checksum itself counted as spaces.
fn checksum(block: &[u8]) -> u64 {
    let all: u64 = block.iter().map(|b| u64::from(*b)).sum();
    let own: u64 = block[148..156].iter().map(|b| u64::from(*b)).sum();
    all - own + 8 * u64::from(b' ')
}

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name, not yet held against any grammar.
    pub name: String,
    /// The length of the file.
    pub size: u64,
}

/// A header is not one that an imageset has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeader {
    /// It is cut off, or something lies between it and the content.
    #[error("its length is wrong")]
    Length,
    /// Bytes of it have changed.
    #[error("its checksum is wrong")]
    Checksum,
    /// Another kind of tar, or none.
    #[error("it is not a ustar header")]
    Magic,
    /// Links, devices, sparse files, GNU long names, global PAX headers.
    #[error("entries of kind {0} are refused")]
    Kind(Kind),
    /// A field is not a number as ustar writes them.
    #[error("its field `{0}` is not an octal number")]
    Number(&'static str),
    /// The name is empty or not text.
    #[error("its name is not text")]
    Name,
    /// A field that only links and devices have is in use.
    #[error("it has fields of a link or device")]
    Link,
    /// The PAX header.
    #[error("its PAX header is refused: {0}")]
    Pax(&'static str),
}

/// The letter by which tar tells kinds of entries apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(pub u8);

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0.escape_ascii())
    }
}

/// Reads a header; `bytes` must be all of it and nothing else.
pub fn parse(bytes: &[u8]) -> Result<Header, InvalidHeader> {
    let (first, rest) = bytes.split_at_checked(BLOCK as usize).ok_or(InvalidHeader::Length)?;
    let first = parse_block(first)?;
    match first.kind {
        b'0' if rest.is_empty() => first.into_header(None, None),
        b'0' => Err(InvalidHeader::Length),
        b'x' if first.size > MAX_PAX => Err(InvalidHeader::Pax("it is too large")),
        b'x' => {
            let size = usize::try_from(first.size).map_err(|_| InvalidHeader::Length)?;
            let body = usize::try_from(padded(first.size)).map_err(|_| InvalidHeader::Length)?;
            if rest.len() != body + BLOCK as usize {
                return Err(InvalidHeader::Length);
            }
            let (path, large) = parse_pax(&rest[..size])?;
            let second = parse_block(&rest[body..])?;
            if second.kind != b'0' {
                return Err(InvalidHeader::Kind(Kind(second.kind)));
            }
            second.into_header(path, large)
        }
        other => Err(InvalidHeader::Kind(Kind(other))),
    }
}

struct Fields {
    name: Vec<u8>,
    size: u64,
    kind: u8,
}

impl Fields {
    fn into_header(self, path: Option<String>, large: Option<u64>) -> Result<Header, InvalidHeader> {
        if large.is_some() && self.size != 0 {
            return Err(InvalidHeader::Pax("it disagrees with the header on the size"));
        }
        let name = match path {
            Some(path) => path,
            None => String::from_utf8(self.name).map_err(|_| InvalidHeader::Name)?,
        };
        // A field ends with its first NUL, a record does not.
        if name.is_empty() || name.contains('\0') {
            return Err(InvalidHeader::Name);
        }
        Ok(Header { name, size: large.unwrap_or(self.size) })
    }
}

fn parse_block(block: &[u8]) -> Result<Fields, InvalidHeader> {
    // The checksum first: random damage should not be reported as an attack.
    let sum = octal(&block[148..155], "checksum").map_err(|_| InvalidHeader::Checksum)?;
    if sum != checksum(block) {
        return Err(InvalidHeader::Checksum);
    }
    if &block[257..265] != b"ustar\x0000" {
        return Err(InvalidHeader::Magic);
    }
    let kind = block[156];
    if !matches!(kind, b'0' | b'x') {
        return Err(InvalidHeader::Kind(Kind(kind)));
    }
    if block[157..257].iter().any(|b| *b != 0) || octal(&block[329..337], "devmajor")? != 0 {
        return Err(InvalidHeader::Link);
    }
    let mut name = text(&block[345..500])?.to_vec();
    if !name.is_empty() {
        name.push(b'/');
    }
    name.extend_from_slice(text(&block[..100])?);
    octal(&block[136..148], "mtime")?;
    Ok(Fields { name, size: octal(&block[124..136], "size")?, kind })
}

/// A field of text ends with its first NUL, and nothing may hide behind that.
fn text(field: &[u8]) -> Result<&[u8], InvalidHeader> {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    if field[end..].iter().any(|b| *b != 0) {
        return Err(InvalidHeader::Name);
    }
    Ok(&field[..end])
}

fn octal(field: &[u8], name: &'static str) -> Result<u64, InvalidHeader> {
    let digits = field.split_last().map_or(field, |(last, head)| if *last == 0 { head } else { field });
    if digits.is_empty() || !digits.iter().all(|b| (b'0'..=b'7').contains(b)) {
        return Err(InvalidHeader::Number(name));
    }
    Ok(digits.iter().fold(0, |n, b| n * 8 + u64::from(b - b'0')))
}

fn parse_pax(mut body: &[u8]) -> Result<(Option<String>, Option<u64>), InvalidHeader> {
    let (mut path, mut size) = (None, None);
    while !body.is_empty() {
        let space =
            body.iter().position(|b| *b == b' ').ok_or(InvalidHeader::Pax("a record has no length"))?;
        let len: usize = std::str::from_utf8(&body[..space])
            .ok()
            .filter(|digits| digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .filter(|len| (space + 2..=body.len()).contains(len))
            .ok_or(InvalidHeader::Pax("the length of a record is wrong"))?;
        let record = std::str::from_utf8(&body[space + 1..len])
            .ok()
            .and_then(|record| record.strip_suffix('\n'))
            .and_then(|record| record.split_once('='))
            .ok_or(InvalidHeader::Pax("a record is not `key=value`"))?;
        match record {
            ("path", value) if path.is_none() => path = Some(value.to_owned()),
            ("size", value) if size.is_none() => {
                let number = value.parse().ok().filter(|_| value.bytes().all(|b| b.is_ascii_digit()));
                size = Some(number.ok_or(InvalidHeader::Pax("the size is not a number"))?);
            }
            _ => return Err(InvalidHeader::Pax("only one `path` and one `size` may be in it")),
        }
        body = &body[len..];
    }
    Ok((path, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn long_blob() -> String {
        format!("blobs/sha512/{}", "a".repeat(128))
    }

    #[rstest]
    #[case::short("oci-layout", 30, 512)]
    #[case::split_over_two_fields(
        "blobs/sha256/0123456789012345678901234567890123456789012345678901234567890123.part-000001-of-000002",
        5,
        512
    )]
    #[case::long(&long_blob(), 5, 1536)]
    #[case::largest_without_pax("index.json", MAX_OCTAL, 512)]
    #[case::large("index.json", MAX_OCTAL + 1, 1536)]
    #[case::long_and_large(&long_blob(), u64::MAX, 1536)]
    fn round_trip(#[case] name: &str, #[case] size: u64, #[case] len: u64) {
        let bytes = header(name, size, 1_700_000_000);
        assert_eq!(bytes.len() as u64, len);
        assert_eq!(header_len(name, size), len);
        assert_eq!(parse(&bytes), Ok(Header { name: name.to_owned(), size }));
    }

    fn forged(change: impl Fn(&mut [u8])) -> Vec<u8> {
        let mut bytes = header("index.json", 5, 0);
        change(&mut bytes);
        let sum = checksum(&bytes[..512]);
        bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes
    }

    #[rstest]
    #[case::symlink(forged(|b| b[156] = b'2'), InvalidHeader::Kind(Kind(b'2')))]
    #[case::hardlink(forged(|b| b[156] = b'1'), InvalidHeader::Kind(Kind(b'1')))]
    #[case::device(forged(|b| b[156] = b'4'), InvalidHeader::Kind(Kind(b'4')))]
    #[case::directory(forged(|b| b[156] = b'5'), InvalidHeader::Kind(Kind(b'5')))]
    #[case::sparse(forged(|b| b[156] = b'S'), InvalidHeader::Kind(Kind(b'S')))]
    #[case::gnu_long_name(forged(|b| b[156] = b'L'), InvalidHeader::Kind(Kind(b'L')))]
    #[case::global_pax(forged(|b| b[156] = b'g'), InvalidHeader::Kind(Kind(b'g')))]
    #[case::linked(forged(|b| b[157] = b'/'), InvalidHeader::Link)]
    #[case::gnu_magic(forged(|b| b[257..265].copy_from_slice(b"ustar  \0")), InvalidHeader::Magic)]
    #[case::binary_size(forged(|b| b[124] = 0x80), InvalidHeader::Number("size"))]
    #[case::name_behind_nul(forged(|b| b[90] = b'x'), InvalidHeader::Name)]
    #[case::no_name(forged(|b| b[..10].fill(0)), InvalidHeader::Name)]
    #[case::cut(header("index.json", 5, 0)[..500].to_vec(), InvalidHeader::Length)]
    #[case::flipped({ let mut b = header("index.json", 5, 0); b[3] ^= 1; b }, InvalidHeader::Checksum)]
    #[case::zeros(vec![0; 512], InvalidHeader::Checksum)]
    fn refused(#[case] bytes: Vec<u8>, #[case] reason: InvalidHeader) {
        assert_eq!(parse(&bytes), Err(reason));
    }

    fn with_pax(records: &str, size: u64) -> Vec<u8> {
        let mut bytes = block(b"", b"PaxHeaders/entry", records.len() as u64, 0, b'x').to_vec();
        bytes.extend_from_slice(records.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes.extend_from_slice(&block(b"", b"index.json", size, 0, b'0'));
        bytes
    }

    #[rstest]
    #[case::sparse("22 GNU.sparse.major=1\n", 0)]
    #[case::twice("10 size=1\n10 size=2\n", 0)]
    #[case::signed("11 size=+1\n", 0)]
    #[case::disagreeing("10 size=1\n", 5)]
    #[case::length_too_long("99 size=1\n", 0)]
    #[case::length_too_short("1 size=1\n", 0)]
    #[case::no_length("size=1\n", 0)]
    #[case::link("15 linkpath=/x\n", 0)]
    fn refused_pax(#[case] records: &str, #[case] size: u64) {
        assert!(matches!(parse(&with_pax(records, size)), Err(InvalidHeader::Pax(_))));
    }

    /// Found by the fuzz target `tar`.
    #[test]
    fn a_name_in_a_record_has_no_end_within_it() {
        assert_eq!(parse(&with_pax("12 path=a\0b\n", 0)), Err(InvalidHeader::Name));
    }

    #[test]
    fn records_have_a_longest() {
        // Of 65,536 bytes nine are the length, the key and what stands around them and the value.
        let of =
            |len: usize| with_pax(&format!("{len} path={}\n", "x".repeat(len - "65536 path=\n".len())), 0);
        let most = MAX_PAX as usize;
        assert_eq!(parse(&of(most)).expect("as long as allowed").name.len(), most - 12);
        assert_eq!(parse(&of(most + 1)), Err(InvalidHeader::Pax("it is too large")));
    }

    #[test]
    fn names_have_a_longest() {
        let of = |component: usize| is_entry_path(&format!("files/{}", "x".repeat(component)));
        assert!(of(200) && !of(201));
        let of = |all: usize| {
            let path = format!("files/{}", "x/".repeat(600));
            is_entry_path(&path[..all - 1].chars().chain(['x']).collect::<String>())
        };
        assert!(of(1024) && !of(1025));
    }

    #[rstest]
    #[case("oci-layout", true)]
    #[case("files/imageset-config.yaml", true)]
    #[case("files/signatures/sha256=00/signature-1", true)]
    #[case("imageset.json", false)]
    #[case("files/", false)]
    #[case("files/../x", false)]
    #[case("files//x", false)]
    #[case("files/./x", false)]
    #[case("/files/x", false)]
    #[case("files/a\\b", false)]
    #[case("files/a b", false)]
    #[case("files/x.part-000001-of-000002", false)]
    #[case("blobs/sha256/abc", false)]
    #[case("blobs/sha256/../../x", false)]
    #[case("etc/passwd", false)]
    #[case("", false)]
    fn paths(#[case] path: &str, #[case] allowed: bool) {
        assert_eq!(is_entry_path(path), allowed);
        assert!(is_entry_path(&crate::Digest::of(b"x").layout_path()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_pax_is_survived(records in "[0-9]{0,6} ?(size|path|x)?=?[ -~\n]{0,40}") {
            let _ = parse(&with_pax(&records, 0));
        }

        #[test]
        fn any_entry_round_trips(name in "files/[a-z/.-]{1,300}", size: u64) {
            let bytes = header(&name, size, 0);
            prop_assert_eq!(bytes.len() as u64, header_len(&name, size));
            prop_assert_eq!(parse(&bytes), Ok(Header { name, size }));
        }
    }
}
