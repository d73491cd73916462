//! Reads the entries of a layer's tar: [`read`]. Long names and attributes are taken up to a limit only.
//!
//! Own code, since the `tar` crate reads a long name of any announced length into memory at once.

use std::collections::BTreeMap;

use tar::{EntryType, Header};

use super::input::LayerReader;
use super::{FilesystemError, Kind, Limits, components, shown};

const BLOCK: usize = 512;

/// Where a GNU sparse header says that more of it follows, and where its continuation does.
const SPARSE_MORE: usize = 482;
const SPARSE_MORE_AGAIN: usize = 504;

/// One entry of a layer.
#[derive(Debug)]
pub(super) struct TarEntry {
    /// The components of the path; none is the root.
    pub(super) path: Vec<String>,
    pub(super) what: What,
    pub(super) size: u64,
    pub(super) mode: u32,
    /// Where its bytes begin in the uncompressed layer; nothing if they are not stored as they are.
    pub(super) offset: Option<u64>,
}

/// What an entry is.
#[derive(Debug)]
pub(super) enum What {
    Is(Kind),
    Symlink(String),
    /// The same file as another path.
    Hardlink(Vec<String>),
}

/// Reads all entries and hands each to `take`, which may read its content, or a part of it.
pub(super) fn read(
    reader: &mut LayerReader,
    limits: &Limits,
    mut take: impl FnMut(TarEntry, &mut LayerReader) -> Result<(), FilesystemError>,
) -> Result<(), FilesystemError> {
    let mut next = Extensions::default();
    while let Some(header) = block(reader)? {
        let stored = header.entry_size().map_err(|_| reader.invalid("an entry has no valid size"))?;
        match header.entry_type() {
            EntryType::GNULongName => next.path = Some(c_string(record(reader, stored, limits)?)),
            EntryType::GNULongLink => next.link = Some(c_string(record(reader, stored, limits)?)),
            EntryType::XHeader => next.attributes(reader, stored, limits)?,
            EntryType::XGlobalHeader => refuse_global(reader, stored, limits)?,
            _ => {
                let (entry, length) = entry(reader, &header, stored, std::mem::take(&mut next), limits)?;
                let padded = padded(reader, length)?;
                let start = reader.position();
                take(entry, reader)?;
                reader.skip(padded - (reader.position() - start))?;
            }
        }
    }
    Ok(())
}

/// Why an entry is not taken.
#[derive(Debug)]
pub(super) enum Refusal {
    Limit(String),
    Invalid(String),
}

impl Refusal {
    /// Makes an error of it.
    pub(super) fn about(self, reader: &LayerReader) -> FilesystemError {
        match self {
            Self::Limit(what) => reader.limit(what),
            Self::Invalid(reason) => reader.invalid(&reason),
        }
    }
}

/// What records in front of an entry say about it.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
}

impl Extensions {
    fn attributes(
        &mut self,
        reader: &mut LayerReader,
        length: u64,
        limits: &Limits,
    ) -> Result<(), FilesystemError> {
        for (key, value) in attributes(reader, length, limits)? {
            match key.as_str() {
                "path" if !self.sparse => self.path = Some(value),
                "linkpath" => self.link = Some(value),
                "size" => {
                    let number = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
                    self.size = Some(number.ok_or_else(|| reader.invalid("an entry has no valid size"))?);
                }
                "GNU.sparse.name" => {
                    self.sparse = true;
                    self.path = Some(value);
                }
                key if key.starts_with("GNU.sparse.") => self.sparse = true,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Reads the next header; nothing at the end of the archive.
fn block(reader: &mut LayerReader) -> Result<Option<Header>, FilesystemError> {
    let mut header = Header::new_old();
    if !reader.fill_or_end(header.as_mut_bytes())? {
        return Ok(None);
    }
    let bytes = header.as_bytes();
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let plain = bytes.iter().enumerate().map(|(place, byte)| match place {
        148..156 => u32::from(b' '),
        _ => u32::from(*byte),
    });
    if header.cksum().ok() != Some(plain.sum()) {
        return Err(reader.invalid("it is not a tar archive, or a header in it is damaged"));
    }
    Ok(Some(header))
}

fn entry(
    reader: &mut LayerReader,
    header: &Header,
    stored: u64,
    next: Extensions,
    limits: &Limits,
) -> Result<(TarEntry, u64), FilesystemError> {
    let raw = next.path.unwrap_or_else(|| header.path_bytes().into_owned());
    let link = next.link.or_else(|| header.link_name_bytes().map(|l| l.into_owned())).unwrap_or_default();
    let mut sparse = next.sparse;
    let mut size = stored;
    let length = match next.size {
        // Where two sizes disagree, two readers see two archives.
        Some(announced) if stored != 0 && stored != announced => {
            return Err(reader.invalid(&format!("`{}` has two sizes", shown_bytes(&raw))));
        }
        Some(announced) => {
            size = announced;
            announced
        }
        None => stored,
    };
    let mode = header.mode().unwrap_or(0o644) & 0o7777;
    let slash = raw.ends_with(b"/");
    let what = match header.entry_type() {
        EntryType::Directory => What::Is(Kind::Directory),
        EntryType::Regular if slash && length == 0 => What::Is(Kind::Directory),
        // Some readers take its content for content, others for the next header.
        EntryType::Regular if slash => {
            return Err(reader.invalid(&format!("the directory `{}` has content", shown_bytes(&raw))));
        }
        EntryType::Symlink => What::Symlink(text(&link)),
        EntryType::Link => What::Hardlink(path(reader, &link, limits)?),
        EntryType::Char | EntryType::Block | EntryType::Fifo => What::Is(Kind::Special),
        EntryType::GNUSparse => {
            sparse = true;
            size = header.as_gnu().and_then(|gnu| gnu.real_size().ok()).unwrap_or(stored);
            skip_sparse_map(reader, header)?;
            What::Is(Kind::File)
        }
        // As POSIX has it: what is not known is a file.
        _ => What::Is(Kind::File),
    };
    let is_file = matches!(what, What::Is(Kind::File));
    // Links and directories have no content, though old archives announce some for them.
    let length = if is_file { length } else { 0 };
    let entry = TarEntry {
        path: path(reader, &raw, limits)?,
        what,
        size: if is_file { size } else { 0 },
        mode,
        offset: (is_file && !sparse).then(|| reader.position()),
    };
    Ok((entry, length))
}

fn skip_sparse_map(reader: &mut LayerReader, header: &Header) -> Result<(), FilesystemError> {
    let mut more = header.as_bytes()[SPARSE_MORE] != 0;
    while more {
        let mut map = [0; BLOCK];
        reader.fill(&mut map)?;
        more = map[SPARSE_MORE_AGAIN] != 0;
    }
    Ok(())
}

fn padded(reader: &LayerReader, length: u64) -> Result<u64, FilesystemError> {
    length
        .checked_next_multiple_of(BLOCK as u64)
        .ok_or_else(|| reader.invalid("an entry is larger than anything"))
}

/// Reads the content of a record that belongs to the next entry.
fn record(reader: &mut LayerReader, length: u64, limits: &Limits) -> Result<Vec<u8>, FilesystemError> {
    if length > limits.record_bytes {
        return Err(reader.limit(format!("a name or attribute record has {length} bytes")));
    }
    let mut content = vec![0; usize::try_from(length).expect("below the limit")];
    reader.fill(&mut content)?;
    reader.skip(padded(reader, length)? - length)?;
    Ok(content)
}

/// Reads a PAX record: `<length> <key>=<value>\n`, again and again.
fn attributes(
    reader: &mut LayerReader,
    length: u64,
    limits: &Limits,
) -> Result<BTreeMap<String, Vec<u8>>, FilesystemError> {
    let content = record(reader, length, limits)?;
    let mut found = BTreeMap::new();
    let mut rest = content.as_slice();
    while !rest.is_empty() {
        let (line, after) =
            attribute_line(rest).ok_or_else(|| reader.invalid("an attribute record is damaged"))?;
        let equals = line.iter().position(|byte| *byte == b'=');
        let equals = equals.ok_or_else(|| reader.invalid("an attribute record is damaged"))?;
        found.insert(text(&line[..equals]), line[equals + 1..].to_vec());
        rest = after;
    }
    Ok(found)
}

/// Splits the first line off, without its length and its end.
fn attribute_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let line = bytes.get(space + 1..length)?;
    Some((line.strip_suffix(b"\n")?, &bytes[length..]))
}

/// Comments for the whole archive are fine; names and sizes for all entries at once are an attack.
fn refuse_global(reader: &mut LayerReader, length: u64, limits: &Limits) -> Result<(), FilesystemError> {
    let global = attributes(reader, length, limits)?;
    match global.keys().find(|key| matches!(key.as_str(), "path" | "linkpath" | "size")) {
        Some(key) => Err(reader.invalid(&format!("it sets `{key}` for all entries"))),
        None => Ok(()),
    }
}

fn path(reader: &LayerReader, raw: &[u8], limits: &Limits) -> Result<Vec<String>, FilesystemError> {
    let raw = text(raw);
    if raw.len() > limits.path_bytes {
        return Err(reader.limit(format!("a path has {} bytes", raw.len())));
    }
    let path: Vec<String> = components(&raw).map(str::to_owned).collect();
    if path.iter().any(|name| name == ".." || name.contains('\0')) {
        return Err(reader.invalid(&format!("`{}` is not a path in an image", shown(&raw))));
    }
    if path.len() > limits.depth {
        return Err(reader.limit(format!("a path has {} components", path.len())));
    }
    Ok(path)
}

fn c_string(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn shown_bytes(bytes: &[u8]) -> String {
    shown(&text(bytes))
}
