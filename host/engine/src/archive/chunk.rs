//! What a chunk begins and ends with: the bytes of its frame, and reading its first entry back, wherever it is.

use std::path::Path;
use std::sync::Arc;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::{ChunkHeader, FormatVersion, INDEX_NAME, Index};
use oc_mirror_model::tar::{BLOCK, END_MARKER, header, padded, parse};
use serde::Deserialize;

use super::error::{ArchiveError, ArchiveErrorKind, read_failed};
use super::on_disk::{FileAt, at_once};
use crate::content::positioned::ReadAt;
use crate::fsx::FilePool;

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

/// The first entry of a chunk.
pub(super) struct First {
    /// The document in it.
    pub(super) document: Vec<u8>,
    /// How long the whole entry is: header, document, padding.
    pub(super) len: u64,
}

/// Reads the first entry of a chunk of so many bytes.
async fn read_first(chunk: &dyn ReadAt, size: u64, path: &Path, max: u64) -> Result<First, ArchiveError> {
    let index = |reason: String| ArchiveError::new(path, ArchiveErrorKind::Index(reason));
    let cut_off = || index("the file ends within it".to_owned());
    if size < BLOCK {
        return Err(cut_off());
    }
    let block = chunk.read(0, BLOCK as usize).await.map_err(|e| read_failed(path, e))?;
    let parsed = parse(&block).map_err(|e| ArchiveError::new(path, ArchiveErrorKind::Header(e)))?;
    if parsed.name != INDEX_NAME {
        return Err(index(format!(
            "the first entry is `{}`, not `{INDEX_NAME}`",
            parsed.name.escape_debug()
        )));
    }
    // The chunk's own length bounds what is allocated on the word of a header.
    if parsed.size > max.min(size - BLOCK) {
        return Err(index(format!("it is said to have {} bytes", parsed.size)));
    }
    let len = BLOCK + padded(parsed.size);
    if len > size {
        return Err(cut_off());
    }
    let wanted = usize::try_from(padded(parsed.size)).expect("bounded above");
    let mut document = chunk.read(BLOCK, wanted).await.map_err(|e| read_failed(path, e))?;
    let size = usize::try_from(parsed.size).expect("bounded above");
    if document.drain(size..).any(|b| b != 0) {
        return Err(index("there is something behind it where nothing should be".to_owned()));
    }
    Ok(First { document, len })
}

/// Reads the index of a chunk 0 on disk; see [`read_index`].
pub(super) fn read_index_file(path: &Path) -> Result<(Index, Digest, First), ArchiveError> {
    let file = FileAt::new(Arc::new(FilePool::reading(vec![path.to_owned()])), 0);
    at_once(async {
        let size = file.size().await.map_err(|e| read_failed(path, e))?;
        read_index(&file, size, path).await
    })
}

/// Reads the index of a chunk 0, with its identity; a format that this program does not know is refused first.
pub(super) async fn read_index(
    chunk: &dyn ReadAt,
    size: u64,
    path: &Path,
) -> Result<(Index, Digest, First), ArchiveError> {
    let first = read_first(chunk, size, path, MAX_INDEX).await?;
    let invalid = |error: serde_json::Error| {
        ArchiveError::with_source(path, ArchiveErrorKind::Index("it cannot be parsed".to_owned()), error)
    };
    check_format(path, &first.document)?;
    let index: Index = serde_json::from_slice(&first.document).map_err(invalid)?;
    let identity = Digest::of(&first.document);
    Ok((index, identity, first))
}

/// Reads what a chunk other than 0 says about itself.
pub(super) async fn read_chunk_header(
    chunk: &dyn ReadAt,
    size: u64,
    path: &Path,
) -> Result<(ChunkHeader, First), ArchiveError> {
    let first = read_first(chunk, size, path, MAX_CHUNK_HEADER).await?;
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
