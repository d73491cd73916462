//! What a chunk begins and ends with: the bytes of its frame, and reading its first entry back, wherever it is.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use oc_mirror_model::checksum::{Checked, Checksum};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::dsse::{Envelope, KeyId};
use oc_mirror_model::imageset::{ChunkHeader, FormatVersion, INDEX_NAME, Index, SIGNATURE_NAME};
use oc_mirror_model::tar::{BLOCK, END_MARKER, header, header_len, padded, parse};
use serde::Deserialize;

use super::error::{ArchiveError, ArchiveErrorKind, read_failed};
use super::keys::{SigningKeys, TrustedKeys};
use super::on_disk::{FileAt, at_once};
use super::text::{Looked, Text};
use crate::content::positioned::ReadAt;
use crate::fsx::FilePool;

/// An index above this size is refused unread; one with a million blobs has half of it.
const MAX_INDEX: u64 = 512 << 20;

/// An index above this size is parsed as it is read: it has as many bytes again as what it says.
const HELD: u64 = 4 << 20;

/// A chunk's header document has about a hundred bytes.
const MAX_CHUNK_HEADER: u64 = 64 << 10;

/// An envelope of a thousand signatures has a quarter of this.
const MAX_SIGNATURE: u64 = 1 << 20;

/// What an index began with before it had a checksum.
const WITHOUT_CHECKSUM: &[u8] = b"{\n  \"format\": ";

/// The bytes that end every chunk.
pub(super) const END: [u8; END_MARKER as usize] = [0; END_MARKER as usize];

/// The index of an imageset as it is going to be stored, and what is stored with it.
pub(super) struct Stored<'a> {
    pub(super) index: &'a Index,
    pub(super) identity: Digest,
    document: Checked<'a, Index>,
    /// The envelope with its signatures, if there are any.
    envelope: Option<Vec<u8>>,
}

impl<'a> Stored<'a> {
    pub(super) fn new(index: &'a Index, keys: &SigningKeys) -> Self {
        let document = index.checked();
        let envelope = (!index.signed_by.is_empty()).then(|| keys.envelope(&document));
        Self { index, identity: document.digest(), document, envelope }
    }

    /// Returns how long the first entries of all chunks are, each with its header and padding.
    pub(super) fn first(&self) -> Vec<u64> {
        first_lens(self.index, self.document.len_bytes())
    }

    /// Writes what a chunk begins with: its first tar entry, and behind an index its signature; padding included.
    pub(super) fn write_first(&self, chunk: u32, mtime: u64, mut to: impl Write) -> io::Result<()> {
        if chunk > 0 {
            return write_entry(
                to,
                INDEX_NAME,
                &self.index.chunk_header(chunk, &self.identity).to_bytes(),
                mtime,
            );
        }
        let len = self.document.len_bytes();
        to.write_all(&header(INDEX_NAME, len, mtime))?;
        self.document.write_to(&mut to)?;
        write_padding(&mut to, len)?;
        match &self.envelope {
            Some(envelope) => write_entry(to, SIGNATURE_NAME, envelope, mtime),
            None => Ok(()),
        }
    }
}

/// Returns how long the first entries of all chunks of an index are, which has itself so many bytes.
pub(super) fn first_lens(index: &Index, len: u64) -> Vec<u64> {
    let entry = |len| header_len(INDEX_NAME, len) + padded(len);
    // Headers of chunks have one length, whatever the identity is in them.
    let any = Digest::of(b"");
    let others = (1..index.chunks.len() as u32).map(|n| index.chunk_header(n, &any).to_bytes().len() as u64);
    std::iter::once(entry(len) + index.signature_room()).chain(others.map(entry)).collect()
}

fn write_entry(mut to: impl Write, name: &str, document: &[u8], mtime: u64) -> io::Result<()> {
    to.write_all(&header(name, document.len() as u64, mtime))?;
    to.write_all(document)?;
    write_padding(to, document.len() as u64)
}

/// Fills the last block of an entry of so many bytes.
fn write_padding(mut to: impl Write, len: u64) -> io::Result<()> {
    let missing = usize::try_from(padded(len) - len).expect("less than a block");
    to.write_all(&[0; BLOCK as usize][..missing])
}

/// Returns the time that all headers of an imageset carry: its creation, in seconds since 1970.
pub(super) fn mtime(index: &Index) -> Option<u64> {
    let created = time::OffsetDateTime::parse(&index.created, &time::format_description::well_known::Rfc3339);
    created.ok().map(|t| u64::try_from(t.unix_timestamp()).unwrap_or(0))
}

/// The first entry of a chunk, or the one with the signature.
pub(super) struct First<'a> {
    header: Vec<u8>,
    /// The document in it.
    text: Text<'a>,
    /// How long the whole entry is: header, document, padding.
    pub(super) len: u64,
}

impl First<'_> {
    /// Returns the document, which is in memory.
    pub(super) fn document(&self) -> &[u8] {
        self.text.held().expect("only an index is not held")
    }

    /// Answers whether its header is exactly the one that it was written with.
    pub(super) fn has_header(&self, name: &str, mtime: u64) -> bool {
        self.header == header(name, self.text.len(), mtime)
    }
}

/// Reads the first entry of a chunk of so many bytes.
///
/// A document of more than `held` bytes stays where it is, if that can be read without waiting.
async fn read_first<'a>(
    chunk: &'a dyn ReadAt,
    size: u64,
    path: &Path,
    (max, held): (u64, u64),
) -> Result<First<'a>, ArchiveError> {
    let index = |reason: String| ArchiveError::new(path, ArchiveErrorKind::Index(reason));
    if size < BLOCK {
        return Err(index("the file ends within it".to_owned()));
    }
    let block = chunk.read(0, BLOCK as usize).await.map_err(|e| read_failed(path, e))?;
    let parsed = parse(&block).map_err(|e| ArchiveError::new(path, ArchiveErrorKind::Header(e)))?;
    if parsed.name != INDEX_NAME {
        return Err(index(format!(
            "the first entry is `{}`, not `{INDEX_NAME}`",
            parsed.name.escape_debug()
        )));
    }
    read_document(chunk, (0, size), path, (block, parsed.size), (max, held)).await
}

/// Reads the entry behind the index, if it is the one with the signature.
async fn read_signature<'a>(
    chunk: &'a dyn ReadAt,
    (at, size): (u64, u64),
    path: &Path,
) -> Result<Option<First<'a>>, ArchiveError> {
    if size < at + BLOCK {
        return Ok(None);
    }
    let block = chunk.read(at, BLOCK as usize).await.map_err(|e| read_failed(path, e))?;
    match parse(&block) {
        Ok(header) if header.name == SIGNATURE_NAME => {
            let max = (MAX_SIGNATURE, MAX_SIGNATURE);
            read_document(chunk, (at, size), path, (block, header.size), max).await.map(Some)
        }
        // Whether there has to be one, the index says.
        _ => Ok(None),
    }
}

/// Reads what follows a header at a place of a chunk of so many bytes.
async fn read_document<'a>(
    chunk: &'a dyn ReadAt,
    (at, size): (u64, u64),
    path: &Path,
    (header, len): (Vec<u8>, u64),
    (max, held): (u64, u64),
) -> Result<First<'a>, ArchiveError> {
    let index = |reason: String| ArchiveError::new(path, ArchiveErrorKind::Index(reason));
    // The chunk's own length bounds what is allocated on the word of a header.
    let room = size - at - BLOCK;
    if len > max.min(room) {
        return Err(index(format!("it is said to have {len} bytes")));
    }
    if padded(len) > room {
        return Err(index("the file ends within it".to_owned()));
    }
    let is_held = len <= held || !chunk.is_at_hand();
    let from = if is_held { 0 } else { len };
    let wanted = usize::try_from(padded(len) - from).expect("bounded above");
    let mut document = chunk.read(at + BLOCK + from, wanted).await.map_err(|e| read_failed(path, e))?;
    let end = usize::try_from(len - from).expect("bounded above");
    if document.drain(end..).any(|b| b != 0) {
        return Err(index("there is something behind it where nothing should be".to_owned()));
    }
    let text = if is_held { Text::Held(document) } else { Text::There { chunk, at: at + BLOCK, len } };
    Ok(First { header, text, len: BLOCK + padded(len) })
}

/// What chunk 0 begins with.
pub(super) struct IndexRead {
    pub(super) index: Index,
    /// The SHA-256 of the index as it is stored.
    pub(super) identity: Digest,
    /// How long all of it is, up to the first entry that the index speaks of.
    pub(super) len: u64,
    /// The time that all headers bear.
    pub(super) mtime: u64,
    /// The trusted keys whose signatures hold.
    pub(super) verified: Vec<KeyId>,
}

/// Reads the index of a chunk 0 on disk; see [`read_index`].
pub(super) fn read_index_file(path: &Path) -> Result<IndexRead, ArchiveError> {
    let file = FileAt::new(Arc::new(FilePool::reading(vec![path.to_owned()])), 0);
    at_once(async {
        let size = file.size().await.map_err(|e| read_failed(path, e))?;
        read_index(&file, size, path, &TrustedKeys::default()).await
    })
}

/// Reads the index of a chunk 0, with its identity. Nothing in it is looked at, but for its format, until its checksum and its
/// signatures are known to hold; a format that this program does not know is refused first.
pub(super) async fn read_index(
    chunk: &dyn ReadAt,
    size: u64,
    path: &Path,
    trusted: &TrustedKeys,
) -> Result<IndexRead, ArchiveError> {
    // What is signed is judged as a whole.
    let held = if trusted.is_empty() { HELD } else { MAX_INDEX };
    let first = read_first(chunk, size, path, (MAX_INDEX, held)).await?;
    let fault = |why: &str| ArchiveError::new(path, ArchiveErrorKind::Index(why.to_owned()));
    let Looked { identity, checksum, begins } = first.text.look().map_err(|e| read_failed(path, e))?;
    if checksum == Checksum::Wrong {
        return Err(fault("its bytes have changed"));
    }
    check_format(path, &first.text, &identity)?;
    if checksum == Checksum::Absent && !begins.starts_with(WITHOUT_CHECKSUM) {
        return Err(fault("its bytes have changed"));
    }
    let signature = read_signature(chunk, (first.len, size), path).await?;
    let envelope = signature.as_ref().map(|s| Envelope::parse(s.document())).transpose();
    let envelope = envelope.map_err(|why| fault(&format!("its signature is damaged: {why}")))?;
    let verified = trusted
        .judge(first.text.held().unwrap_or_default(), envelope.as_ref())
        .map_err(|distrust| ArchiveError::new(path, ArchiveErrorKind::Distrusted(distrust)))?;
    let mut index: Index = first.text.parse(&identity).map_err(|error| {
        ArchiveError::with_source(path, ArchiveErrorKind::Index("it cannot be parsed".to_owned()), error)
    })?;
    // They have grown while they were read, to up to twice of what they hold.
    index.entries.shrink_to_fit();
    index.images.shrink_to_fit();
    let signers = envelope.iter().flat_map(|envelope| &envelope.signatures).map(|signature| &signature.keyid);
    if !signers.eq(&index.signed_by) {
        return Err(fault("its signatures are not those that it was made with"));
    }
    let mtime = mtime(&index).ok_or_else(|| fault("it does not say when it was made"))?;
    let headers = [(Some(&first), INDEX_NAME), (signature.as_ref(), SIGNATURE_NAME)];
    if headers.iter().any(|(entry, name)| entry.is_some_and(|entry| !entry.has_header(name, mtime))) {
        return Err(fault("bytes of its tar header have changed"));
    }
    let len = first.len + signature.as_ref().map_or(0, |signature| signature.len);
    Ok(IndexRead { index, identity, len, mtime, verified })
}

/// Reads what a chunk other than 0 says about itself.
pub(super) async fn read_chunk_header<'a>(
    chunk: &'a dyn ReadAt,
    size: u64,
    path: &Path,
) -> Result<(ChunkHeader, First<'a>), ArchiveError> {
    let first = read_first(chunk, size, path, (MAX_CHUNK_HEADER, MAX_CHUNK_HEADER)).await?;
    check_format(path, &first.text, &Digest::of(first.document()))?;
    let header = serde_json::from_slice(first.document()).map_err(|error| {
        let kind = ArchiveErrorKind::Index("its first entry is not the header of a chunk".to_owned());
        ArchiveError::with_source(path, kind, error)
    })?;
    Ok((header, first))
}

fn check_format(path: &Path, text: &Text<'_>, identity: &Digest) -> Result<(), ArchiveError> {
    #[derive(Deserialize)]
    struct Format {
        format: FormatVersion,
    }
    let Format { format } = text.parse(identity).map_err(|error| {
        let kind = ArchiveErrorKind::Index("it names no format".to_owned());
        ArchiveError::with_source(path, kind, error)
    })?;
    if !format.is_readable() {
        return Err(ArchiveError::new(path, ArchiveErrorKind::Format { found: format }));
    }
    Ok(())
}
