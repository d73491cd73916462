//! What a chunk begins and ends with: the bytes of its frame, and reading its first entry back.

use std::fs::File;
use std::io;
use std::path::Path;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::{ChunkHeader, FormatVersion, INDEX_NAME, Index};
use oc_mirror_model::tar::{BLOCK, END_MARKER, header, padded, parse};
use serde::Deserialize;

use super::error::{ArchiveError, ArchiveErrorKind};
use crate::fsx;

/// An index above this size is refused unread; one with a million blobs has half of it.
const MAX_INDEX: u64 = 512 << 20;

/// A chunk's header document has about a hundred bytes.
const MAX_CHUNK_HEADER: u64 = 64 << 10;

/// The bytes that end every chunk.
pub(super) const END: [u8; END_MARKER as usize] = [0; END_MARKER as usize];

/// Makes the first tar entry of a chunk, padding included. `index_bytes` is the index as it is stored.
pub(super) fn first_entry(index: &Index, index_bytes: &[u8], chunk: u32, mtime: u64) -> Vec<u8> {
    let own;
    let document = match chunk {
        0 => index_bytes,
        n => {
            own = index.chunk_header(n).to_bytes();
            &own
        }
    };
    let mut bytes = header(INDEX_NAME, document.len() as u64, mtime);
    bytes.extend_from_slice(document);
    bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
    bytes
}

/// Returns the time that all headers of an imageset carry: its creation, in seconds since 1970.
pub(super) fn mtime(index: &Index) -> Option<u64> {
    let created = time::OffsetDateTime::parse(&index.created, &time::format_description::well_known::Rfc3339);
    created.ok().map(|t| u64::try_from(t.unix_timestamp()).unwrap_or(0))
}

/// The first entry of a chunk file.
pub(super) struct First {
    /// The document in it.
    pub(super) document: Vec<u8>,
    /// How long the whole entry is: header, document, padding.
    pub(super) len: u64,
}

fn read_first(file: &File, path: &Path, max: u64) -> Result<First, ArchiveError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::UnexpectedEof => {
            ArchiveError::new(path, ArchiveErrorKind::Index("the file ends within it".to_owned()))
        }
        _ => ArchiveError::disk(path, "it cannot be read", source),
    };
    let mut block = [0; BLOCK as usize];
    fsx::read_exact_at(file, &mut block, 0).map_err(failed)?;
    let parsed = parse(&block).map_err(|e| ArchiveError::new(path, ArchiveErrorKind::Header(e)))?;
    if parsed.name != INDEX_NAME {
        let reason = format!("the first entry is `{}`, not `{INDEX_NAME}`", parsed.name.escape_debug());
        return Err(ArchiveError::new(path, ArchiveErrorKind::Index(reason)));
    }
    // The file's own length bounds what is allocated on the word of a header.
    let room = file.metadata().map_err(failed)?.len().saturating_sub(BLOCK);
    if parsed.size > max.min(room) {
        let reason = format!("it is said to have {} bytes", parsed.size);
        return Err(ArchiveError::new(path, ArchiveErrorKind::Index(reason)));
    }
    let size = usize::try_from(parsed.size).expect("bounded above");
    let mut document = vec![0; size.next_multiple_of(BLOCK as usize)];
    fsx::read_exact_at(file, &mut document, BLOCK).map_err(failed)?;
    if document.drain(size..).any(|b| b != 0) {
        let reason = "there is something behind it where nothing should be".to_owned();
        return Err(ArchiveError::new(path, ArchiveErrorKind::Index(reason)));
    }
    Ok(First { document, len: BLOCK + padded(parsed.size) })
}

/// Reads the index of a chunk 0, with its identity; a format that this program does not know is refused first.
pub(super) fn read_index(path: &Path) -> Result<(Index, Digest, First), ArchiveError> {
    let file = open_regular(path)?;
    let first = read_first(&file, path, MAX_INDEX)?;
    let invalid = |error: serde_json::Error| {
        ArchiveError::with_source(path, ArchiveErrorKind::Index("it cannot be parsed".to_owned()), error)
    };
    check_format(path, &first.document)?;
    let index: Index = serde_json::from_slice(&first.document).map_err(invalid)?;
    let identity = Digest::of(&first.document);
    Ok((index, identity, first))
}

/// Reads what a chunk other than 0 says about itself.
pub(super) fn read_chunk_header(file: &File, path: &Path) -> Result<(ChunkHeader, First), ArchiveError> {
    let first = read_first(file, path, MAX_CHUNK_HEADER)?;
    check_format(path, &first.document)?;
    let header = serde_json::from_slice(&first.document).map_err(|error| {
        let kind = ArchiveErrorKind::Index("its first entry is not the header of a chunk".to_owned());
        ArchiveError::with_source(path, kind, error)
    })?;
    Ok((header, first))
}

fn check_format(path: &Path, document: &[u8]) -> Result<(), ArchiveError> {
    #[derive(Deserialize)]
    struct Format {
        format: FormatVersion,
    }
    let Format { format } = serde_json::from_slice(document).map_err(|error| {
        let kind = ArchiveErrorKind::Index("it names no format".to_owned());
        ArchiveError::with_source(path, kind, error)
    })?;
    if !format.is_readable() {
        return Err(ArchiveError::new(path, ArchiveErrorKind::Format { found: format }));
    }
    Ok(())
}

/// Opens a file that must be a plain one: opening a pipe would wait for its other end.
pub(super) fn open_regular(path: &Path) -> Result<File, ArchiveError> {
    let failed = |source| ArchiveError::disk(path, "it cannot be opened", source);
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        let kind = ArchiveErrorKind::Index("it is not a regular file".to_owned());
        return Err(ArchiveError::new(path, kind));
    }
    File::open(path).map_err(failed)
}
