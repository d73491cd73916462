//! The headers of a tar file: [`scan`] reads them one after the other and skips what is between them. Nothing is unpacked.
//!
//! Unlike [`oc_mirror_model::tar`], which takes only what this program writes, this takes what tar programs write. Names that
//! lead elsewhere are refused, and so are links of which nobody needs to know where they lead.

use std::fs::File;
use std::io;

use tar::{EntryType, Header};

use super::error::PredecessorErrorKind as Kind;
use crate::fsx;

const BLOCK: u64 = 512;
/// The longest record of long names and attributes.
const MAX_RECORD: u64 = 64 << 10;
/// The longest name.
const MAX_NAME: usize = 4096;
/// The longest name of a file in it, as on most file systems.
const MAX_COMPONENT: usize = 255;
/// The most zeros behind the end mark. `tar` fills its last record up, of 10 KiB unless it is told otherwise.
const MAX_FILLER: u64 = 1 << 20;
/// The most members: of each its name is kept in memory. A mirror of all of OpenShift has some hundred thousand.
const MAX_MEMBERS: u64 = 5_000_000;

/// One member of a tar file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its path, relative and normalised.
    pub(super) name: String,
    /// What it is.
    pub(super) what: What,
    /// Where its bytes begin.
    pub(super) offset: u64,
    /// How many there are.
    pub(super) size: u64,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    File,
    Directory,
    /// A symbolic link, and where it leads.
    Symlink(String),
}

/// Why reading stopped.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    Is(Kind),
}

impl From<Kind> for Fault {
    fn from(kind: Kind) -> Self {
        Self::Is(kind)
    }
}

/// Reads all headers of a file that has `size` bytes, and hands each member to `take`, in their order.
pub(super) fn scan(
    file: &File,
    size: u64,
    mut take: impl FnMut(Member) -> Result<(), Kind>,
) -> Result<(), Fault> {
    scan_some(file, size, MAX_MEMBERS, &mut take)
}

/// The same, of no more members than these.
fn scan_some(
    file: &File,
    size: u64,
    most: u64,
    take: &mut dyn FnMut(Member) -> Result<(), Kind>,
) -> Result<(), Fault> {
    let mut scanner = Scanner { file, size, at: 0 };
    let mut count = 0;
    while let Some(member) = scanner.next_member()? {
        count += 1;
        if count > most {
            return Err(invalid(scanner.at, format!("it is behind {most} members already")).into());
        }
        take(member)?;
    }
    scanner.end()
}

/// Reads the name of the first member; nothing if there is none.
pub(super) fn first_name(file: &File, size: u64) -> Option<String> {
    Scanner { file, size, at: 0 }.next_member().ok().flatten().map(|member| member.name)
}

struct Scanner<'a> {
    file: &'a File,
    size: u64,
    at: u64,
}

/// What records in front of a member say about it.
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Scanner<'_> {
    fn next_member(&mut self) -> Result<Option<Member>, Fault> {
        let mut next = Extensions::default();
        loop {
            let begin = self.at;
            let Some(header) = self.header()? else { return Ok(None) };
            let stored = header.entry_size().map_err(|e| invalid(begin, e.to_string()))?;
            match header.entry_type() {
                EntryType::GNULongName => next.name = Some(c_string(self.record(begin, stored)?)),
                EntryType::GNULongLink => next.link = Some(c_string(self.record(begin, stored)?)),
                EntryType::XHeader => self.attributes(begin, stored, &mut next)?,
                EntryType::XGlobalHeader => {
                    let mut global = Extensions::default();
                    self.attributes(begin, stored, &mut global)?;
                    if global.name.is_some() || global.link.is_some() || global.size.is_some() {
                        return Err(invalid(begin, "it names or sizes all members at once".to_owned()).into());
                    }
                }
                _ => return self.member(begin, &header, stored, next).map(Some),
            }
        }
    }

    fn member(
        &mut self,
        begin: u64,
        header: &Header,
        stored: u64,
        next: Extensions,
    ) -> Result<Member, Fault> {
        if next.size.is_some_and(|size| stored != 0 && size != stored) {
            return Err(invalid(begin, "it has two sizes".to_owned()).into());
        }
        let size = next.size.unwrap_or(stored);
        let raw = next.name.unwrap_or_else(|| header.path_bytes().into_owned());
        let shown = String::from_utf8_lossy(&raw).into_owned();
        let refused = |reason: &str| {
            let name = shown.chars().take(200).collect();
            Fault::Is(Kind::Member { name, reason: reason.to_owned() })
        };
        let what = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous => What::File,
            EntryType::Directory => What::Directory,
            EntryType::Symlink => {
                let link = next.link.or_else(|| header.link_name_bytes().map(|l| l.into_owned()));
                let link = String::from_utf8(link.unwrap_or_default());
                What::Symlink(link.map_err(|_| refused("where the link leads is not text"))?)
            }
            EntryType::Link => return Err(refused("hard links are not followed")),
            EntryType::GNUSparse => return Err(refused("sparse files are not read")),
            _ => return Err(refused("it is neither a file nor a directory")),
        };
        let name = name(&raw)
            .ok_or_else(|| refused("its name leads out of the archive, or is none that a file can have"))?;
        let size = if what == What::File { size } else { 0 };
        let offset = self.at;
        self.skip(size, &name)?;
        Ok(Member { name, what, offset, size })
    }

    /// Reads the next header; nothing at the end mark.
    fn header(&mut self) -> Result<Option<Header>, Fault> {
        let begin = self.at;
        if self.size - begin < BLOCK {
            return Err(Kind::CutOff(format!("there is no end mark at byte {begin}")).into());
        }
        let mut header = Header::new_old();
        fsx::read_exact_at(self.file, header.as_mut_bytes(), begin).map_err(Fault::Io)?;
        self.at += BLOCK;
        let bytes = header.as_bytes();
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let sum: u32 = bytes
            .iter()
            .enumerate()
            .map(|(place, byte)| if (148..156).contains(&place) { u32::from(b' ') } else { u32::from(*byte) })
            .sum();
        if header.cksum().ok() != Some(sum) {
            return Err(invalid(begin, "its checksum is wrong".to_owned()).into());
        }
        Ok(Some(header))
    }

    /// Looks at what is behind the first half of the end mark. Only zeros may be: what some programs read there, and others do
    /// not, is seen by those who check an archive and not by those who use it, or the other way round.
    fn end(&mut self) -> Result<(), Fault> {
        let begin = self.at;
        if self.size - begin > MAX_FILLER {
            return Err(Kind::Behind(begin).into());
        }
        let mut rest = vec![0; usize::try_from(self.size - begin).expect("at most 1 MiB")];
        fsx::read_exact_at(self.file, &mut rest, begin).map_err(Fault::Io)?;
        match rest.iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => Err(Kind::Behind(begin).into()),
        }
    }

    fn skip(&mut self, size: u64, name: &str) -> Result<(), Fault> {
        let end = size.checked_next_multiple_of(BLOCK).and_then(|padded| self.at.checked_add(padded));
        match end.filter(|end| *end <= self.size) {
            Some(end) => {
                self.at = end;
                Ok(())
            }
            None => Err(Kind::CutOff(format!("`{}` goes on after its end", name.escape_debug())).into()),
        }
    }

    /// Reads the content of a record that belongs to the next member.
    fn record(&mut self, begin: u64, size: u64) -> Result<Vec<u8>, Fault> {
        if size > MAX_RECORD {
            return Err(invalid(begin, format!("a record of {size} bytes")).into());
        }
        let offset = self.at;
        self.skip(size, "a record")?;
        let mut content = vec![0; usize::try_from(size).expect("at most 64 KiB")];
        fsx::read_exact_at(self.file, &mut content, offset).map_err(Fault::Io)?;
        Ok(content)
    }

    /// Reads PAX records: `<length> <key>=<value>\n`, again and again.
    fn attributes(&mut self, begin: u64, size: u64, next: &mut Extensions) -> Result<(), Fault> {
        let content = self.record(begin, size)?;
        let mut rest = content.as_slice();
        while !rest.is_empty() {
            let damaged = || Fault::Is(invalid(begin, "an attribute of it is damaged".to_owned()));
            let (key, value, after) = attribute(rest).ok_or_else(damaged)?;
            match key {
                b"path" => next.name = Some(value.to_vec()),
                b"linkpath" => next.link = Some(value.to_vec()),
                b"size" => {
                    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    next.size = Some(number.ok_or_else(damaged)?);
                }
                key if key.starts_with(b"GNU.sparse.") => {
                    return Err(invalid(begin, "sparse files are not read".to_owned()).into());
                }
                _ => {}
            }
            rest = after;
        }
        Ok(())
    }
}

/// Splits the first attribute off.
fn attribute(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let line = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = line.iter().position(|byte| *byte == b'=')?;
    Some((&line[..equals], &line[equals + 1..], &bytes[length..]))
}

fn invalid(at: u64, reason: String) -> Kind {
    Kind::Header { at, reason }
}

fn c_string(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

/// Normalises a name. Nothing: it leads elsewhere, or is not text.
fn name(raw: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(raw).ok()?;
    if text.starts_with('/')
        || text.contains('\\')
        || text.contains(char::is_control)
        || text.len() > MAX_NAME
    {
        return None;
    }
    // Repacked with `tar c .`, names begin with `./`.
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    // That of a chart becomes the name of a file, and a name that no file can have is only found once all else is published.
    let is_file = |part: &&str| *part != ".." && part.len() <= MAX_COMPONENT;
    parts.iter().all(is_file).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use oc_mirror_testkit::RawTar;
    use rstest::rstest;

    fn written(fill: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        fill(&mut builder);
        builder.into_inner().expect("memory is written")
    }

    fn header(kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o644);
        header
    }

    fn scanned(bytes: &[u8]) -> Result<Vec<Member>, String> {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        let mut members = Vec::new();
        let outcome = scan(&file, bytes.len() as u64, |member| {
            members.push(member);
            Ok(())
        });
        match outcome {
            Ok(()) => Ok(members),
            Err(Fault::Is(kind)) => Err(kind.to_string()),
            Err(Fault::Io(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn members_are_found_where_they_are() {
        let long = format!("{}/name", "directory/".repeat(30).trim_end_matches('/'));
        let bytes = written(|tar| {
            tar.append_data(&mut header(EntryType::Directory, 0), "./a/", io::empty()).expect("written");
            tar.append_data(&mut header(EntryType::Regular, 5), "./a/b", &b"hello"[..]).expect("written");
            tar.append_link(&mut header(EntryType::Symlink, 0), "a/link", "sha256:00").expect("written");
            tar.append_pax_extensions([("path", b"from/pax".as_slice())]).expect("written");
            tar.append_data(&mut header(EntryType::Regular, 2), "x", &b"hi"[..]).expect("written");
            tar.append_data(&mut header(EntryType::Regular, 3), &long, &b"end"[..]).expect("written");
        });
        let members = scanned(&bytes).expect("a tar file");
        let names: Vec<&str> = members.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["a", "a/b", "a/link", "from/pax", &long]);
        assert_eq!(members[2].what, What::Symlink("sha256:00".to_owned()));
        let content = |m: &Member| bytes[m.offset as usize..(m.offset + m.size) as usize].to_vec();
        assert_eq!(
            [content(&members[1]), content(&members[3]), content(&members[4])],
            [b"hello".to_vec(), b"hi".to_vec(), b"end".to_vec()]
        );
    }

    #[test]
    fn what_is_cut_off_anywhere_is_noticed() {
        let bytes = written(|tar| {
            tar.append_data(&mut header(EntryType::Regular, 700), "a", &[7; 700][..]).expect("written");
            tar.append_data(&mut header(EntryType::Regular, 3), "b", &b"abc"[..]).expect("written");
        });
        // The second block of the end mark says nothing that the first one does not.
        for length in 0..bytes.len() - 512 {
            let error = scanned(&bytes[..length]).expect_err("cut off");
            assert!(error.starts_with("it is cut off"), "{length}: {error}");
        }
        assert!(scanned(&bytes).is_ok());
    }

    #[rstest]
    #[case::out("../a", EntryType::Regular, "leads out of the archive")]
    #[case::far_out("a/../../b", EntryType::Regular, "leads out of the archive")]
    #[case::from_the_root("/etc/passwd", EntryType::Regular, "leads out of the archive")]
    #[case::hard_link("a", EntryType::Link, "hard links are not followed")]
    #[case::device("a", EntryType::Char, "neither a file nor a directory")]
    #[case::pipe("a", EntryType::Fifo, "neither a file nor a directory")]
    #[case::sparse("a", EntryType::GNUSparse, "sparse files are not read")]
    fn what_is_refused(#[case] name: &str, #[case] kind: EntryType, #[case] why: &str) {
        let bytes = written(|tar| {
            let mut header = header(kind, 0);
            // The crate refuses such names itself.
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            tar.append(&header, io::empty()).expect("written");
        });
        let error = scanned(&bytes).expect_err("refused");
        assert!(error.contains(why), "{error}");
    }

    fn link(content: &[u8]) -> RawTar {
        RawTar::new().entry(b'L', "././@LongLink", "", content.len() as u64, content)
    }

    fn about(key: &str, value: &str) -> RawTar {
        RawTar::new().attributes(b'x', &[(key, value)])
    }

    fn for_all(key: &str, value: &str) -> RawTar {
        RawTar::new().attributes(b'g', &[(key, value)])
    }

    #[rstest]
    #[case::long_name_of_a_gibibyte(
        RawTar::new().entry(b'L', "x", "", 1 << 30, &[b'a'; 4096]), "a record of 1073741824 bytes"
    )]
    #[case::attributes_of_a_tebibyte(RawTar::new().entry(b'x', "x", "", 1 << 40, b""), "a record of ")]
    #[case::larger_than_anything(RawTar::new().entry(b'0', "a", "", u64::MAX, b""), "goes on after its end")]
    #[case::larger_than_the_file(RawTar::new().entry(b'0', "a", "", 1 << 20, b"x"), "goes on after its end")]
    #[case::larger_by_an_attribute(about("size", "99999").entry(b'0', "a", "", 0, b"x"), "goes on after its end")]
    #[case::no_size(about("size", "-1").file("a", b"x"), "an attribute of it is damaged")]
    #[case::two_sizes(about("size", "5").file("a", b"123"), "it has two sizes")]
    #[case::size_for_all(for_all("size", "5").file("a", b"123"), "names or sizes all members at once")]
    #[case::name_for_all(for_all("path", "b").file("a", b"123"), "names or sizes all members at once")]
    #[case::sparse_by_attribute(about("GNU.sparse.major", "1").file("a", b""), "sparse files are not read")]
    #[case::out_by_attribute(about("path", "a/../../b").file("a", b""), "leads out of the archive")]
    #[case::root_by_attribute(about("path", "/etc/passwd").file("a", b""), "leads out of the archive")]
    #[case::out_by_a_long_name(link(b"../../b\0").file("a", b""), "leads out of the archive")]
    #[case::too_long(link(&[b'a'; 5000]).file("a", b""), "leads out of the archive, or is none that")]
    #[case::too_long_for_a_file(link(&[b'a'; 256]).file("a", b""), "or is none that a file can have")]
    #[case::line_break(RawTar::new().file("a\nb", b""), "or is none that a file can have")]
    #[case::controls(RawTar::new().file("charts/\u{1b}]0;x\u{7}.tgz", b""), "or is none that a file can have")]
    #[case::as_on_windows(RawTar::new().file("..\\..\\b", b""), "leads out of the archive")]
    #[case::block_device(RawTar::new().entry(b'4', "a", "", 0, b""), "neither a file nor a directory")]
    #[case::hard_link(RawTar::new().entry(b'1', "a", "/etc/passwd", 0, b""), "hard links are not followed")]
    #[case::damaged_attributes(RawTar::new().entry(b'x', "x", "", 9, b"99 path=a"), "an attribute of it is")]
    #[case::behind_half_an_end(RawTar::new().file("a", b"").bytes(&[0; 512]).file("b", b""), "behind its end")]
    #[case::behind_the_end(RawTar::new().file("a", b"").bytes(&[0; 1024]).file("b", b""), "behind its end")]
    #[case::nothing_without_end(RawTar::new().file("a", b"").bytes(&[0; 2 << 20]), "behind its end")]
    fn what_no_program_packs_is_refused(#[case] tar: RawTar, #[case] why: &str) {
        let error = scanned(&tar.end()).expect_err("refused");
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn a_last_record_that_is_filled_up_is_none_too_many() {
        let bytes = RawTar::new().file("a", b"x").bytes(&[0; 9 << 10]).end();
        assert_eq!(scanned(&bytes).expect("a tar file").len(), 1);
    }

    #[test]
    fn members_are_counted() {
        let bytes = RawTar::new().file("a", b"").file("b", b"").file("c", b"").end();
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&bytes).expect("written");
        let count = |most| scan_some(&file, bytes.len() as u64, most, &mut |_| Ok(()));
        assert!(count(3).is_ok());
        assert!(matches!(count(2), Err(Fault::Is(Kind::Header { at: 1536, .. }))));
    }

    /// Its length is announced, and nothing is allocated on the word of that.
    #[test]
    fn records_and_names_have_a_longest() {
        let long_name = |len: usize| {
            let name = "d/".repeat(len / 2) + &"x".repeat(len % 2);
            link(name.as_bytes()).file("a", b"").end()
        };
        assert_eq!(scanned(&long_name(MAX_NAME)).expect("as long as allowed").len(), 1);
        let error = scanned(&long_name(MAX_NAME + 1)).expect_err("refused");
        assert!(error.contains("leads out of the archive"), "{error}");
        let error = scanned(&long_name(MAX_RECORD as usize + 1)).expect_err("refused");
        assert!(error.contains("a record of 65537 bytes"), "{error}");
    }

    #[test]
    fn damage_in_a_header_is_noticed() {
        let mut bytes = written(|tar| {
            tar.append_data(&mut header(EntryType::Regular, 3), "b", &b"abc"[..]).expect("written");
        });
        bytes[3] ^= 1;
        let error = scanned(&bytes).expect_err("damaged");
        assert!(error.contains("the header at byte 0 is not valid (its checksum is wrong)"), "{error}");
    }
}
