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
    let mut scanner = Scanner { file, size, at: 0 };
    while let Some(member) = scanner.next_member()? {
        take(member)?;
    }
    Ok(())
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
        let name = name(&raw).ok_or_else(|| refused("its name leads out of the archive, or is none"))?;
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
    if text.starts_with('/') || text.contains(['\0', '\\']) || text.len() > MAX_NAME {
        return None;
    }
    // Repacked with `tar c .`, names begin with `./`.
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    (!parts.contains(&"..")).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
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

    /// Its length is announced, and nothing is allocated on the word of that.
    #[test]
    fn records_and_names_have_a_longest() {
        let long_name = |len: usize| {
            written(|tar| {
                let name = "d/".repeat(len / 2) + &"x".repeat(len % 2);
                tar.append(&header_with_sum(EntryType::GNULongName, len as u64), name.as_bytes())
                    .expect("written");
                tar.append(&header_with_sum(EntryType::Regular, 0), io::empty()).expect("written");
            })
        };
        assert_eq!(scanned(&long_name(MAX_NAME)).expect("as long as allowed").len(), 1);
        let error = scanned(&long_name(MAX_NAME + 1)).expect_err("refused");
        assert!(error.contains("leads out of the archive"), "{error}");
        let error = scanned(&long_name(MAX_RECORD as usize + 1)).expect_err("refused");
        assert!(error.contains("a record of 65537 bytes"), "{error}");
    }

    fn header_with_sum(kind: EntryType, size: u64) -> Header {
        let mut header = header(kind, size);
        header.set_path("a").expect("a name");
        header.set_cksum();
        header
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
