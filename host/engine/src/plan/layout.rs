//! Where each byte of an imageset will lie: [`finish`] completes an [`Index`] before the first blob is fetched.
//!
//! Pure and deterministic: the same entries in the same order under the same limit always lie at the same place.
//! [`order`] fixes the order, [`complete`] assigns chunks and offsets. No I/O.

use std::collections::HashSet;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::{ChunkInfo, Entry, EntryPath, ImageEntry, Index, Part, Parts};
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::tar::{BLOCK, END_MARKER, header_len, is_entry_path, padded, part_name};

/// Entries below this size are moved to the next chunk rather than split, and no split leaves less in a chunk.
pub const MIN_PART: u64 = 64 << 10;

/// The least room that a chunk must offer besides its first entry: any header fits, and some bytes.
const MIN_ROOM: u64 = 8 << 10;

/// No file can have more bytes than this.
const MAX_FILE: u64 = i64::MAX.unsigned_abs();

/// The name of a chunk and of a part has six digits.
const MAX_NUMBER: usize = 999_999;

/// Makes an entry of a manifest, configuration or layer, which has no place yet.
pub fn blob(descriptor: &Descriptor) -> Entry {
    Entry {
        path: EntryPath::Blob,
        digest: descriptor.digest.clone(),
        size: descriptor.size,
        media_type: Some(descriptor.media_type.clone()),
        parts: Parts::default(),
    }
}

/// Makes an entry of a file that is in memory.
pub fn file(path: impl Into<String>, bytes: &[u8]) -> Entry {
    file_of(path, Digest::of(bytes), bytes.len() as u64)
}

/// Makes an entry of a file.
pub fn file_of(path: impl Into<String>, digest: Digest, size: u64) -> Entry {
    Entry { path: EntryPath::new(path, &digest), digest, size, media_type: None, parts: Parts::default() }
}

/// What [`lay_out`] needs to know besides the entries.
#[derive(Clone, Copy, Debug)]
struct Frame {
    /// No chunk file may have more bytes than this; nothing: there is one chunk.
    chunk_limit: Option<u64>,
    /// Whether to fail rather than split an entry.
    strict: bool,
    /// The bytes of the index, which is in chunk 0, without its tar header.
    index_len: u64,
    /// The bytes of the signature behind it, header and padding included.
    signature_room: u64,
    /// The bytes of the header document of any other chunk, without its tar header.
    header_len: u64,
}

/// The entries cannot be laid out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Splitting was forbidden and an item is too large for one chunk.
    #[error("`{path}` has {size} bytes and does not fit an archive of {limit} bytes undivided")]
    TooLarge {
        /// The largest such item.
        path: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
        /// The limit that it takes.
        needed: u64,
    },
    /// The index or header of a chunk leaves no room for content.
    #[error("an archive of {limit} bytes has no room for content: it takes at least {needed}")]
    LimitTooSmall {
        /// The limit.
        limit: u64,
        /// The limit that it takes.
        needed: u64,
    },
    /// The names of chunks and parts have six digits.
    #[error("an archive of {limit} bytes would make more than {MAX_NUMBER} files")]
    TooManyChunks {
        /// The limit.
        limit: u64,
    },
    /// A name that imagesets do not have.
    #[error("`{path}` cannot be the name of an entry")]
    Path {
        /// The name.
        path: String,
    },
    /// Two entries have one name.
    #[error("`{path}` is there twice")]
    Duplicate {
        /// The name.
        path: String,
    },
    /// The sizes do not add up to anything a disk could hold.
    #[error("the sizes add up to more than a file can have")]
    Overflow,
}

impl LayoutError {
    /// Returns the limit that is enough, where a larger one is.
    pub fn needed(&self) -> Option<u64> {
        match self {
            Self::TooLarge { needed, .. } | Self::LimitTooSmall { needed, .. } => Some(*needed),
            _ => None,
        }
    }

    /// Says that another limit is enough.
    fn with_needed(mut self, enough: u64) -> Self {
        if let Self::TooLarge { needed, .. } | Self::LimitTooSmall { needed, .. } = &mut self {
            *needed = enough;
        }
        self
    }
}

/// Returns everything that an imageset will hold besides its index, in the one order that it has there.
///
/// `files` are `oci-layout`, `index.json` and whatever goes below `files/`. Of the manifests and blobs of `images`,
/// those are taken that `carried` admits, each once: manifests by digest, then blobs in the order of their first use.
pub fn order(files: Vec<Entry>, images: &[ImageEntry], carried: impl Fn(&Digest) -> bool) -> Vec<Entry> {
    let mut entries = files;
    entries.sort_by_cached_key(|entry| {
        let path = entry.path().into_owned();
        let place = ["oci-layout", "index.json"].iter().position(|name| *name == path);
        (place.unwrap_or(usize::MAX), path)
    });
    let mut manifests: Vec<&Descriptor> =
        images.iter().flat_map(|image| &image.manifests).filter(|m| carried(&m.digest)).collect();
    manifests.sort_by(|a, b| a.digest.cmp(&b.digest));
    manifests.dedup_by(|a, b| a.digest == b.digest);
    let mut seen: HashSet<&Digest> = manifests.iter().map(|m| &m.digest).collect();
    let blobs = images.iter().flat_map(|image| &image.blobs);
    let blobs: Vec<&Descriptor> = blobs.filter(|b| carried(&b.digest) && seen.insert(&b.digest)).collect();
    // There are many thousands, and so exactly as much room as they need.
    entries.reserve_exact(manifests.len() + blobs.len());
    entries.extend(manifests.into_iter().chain(blobs).map(blob));
    entries
}

/// Completes an index of which `chunks` and the places of `entries` are still to be filled in.
///
/// The index is itself in chunk 0, so its length and the layout depend on one another. Room for it is only ever
/// enlarged until it fits, which ends: the room is bounded by the limit. Where the limit is too small, the error names one
/// that is enough for everything, index and undivided entries alike; then the index does not say where anything lies.
pub fn complete(index: &mut Index, chunk_limit: Option<u64>, strict: bool) -> Result<(), LayoutError> {
    let error = match within(index, chunk_limit, strict) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    // How long the index is depends on where things lie, which depends on the limit: a few attempts tell.
    let mut needed = error.needed();
    while let Some(limit) = needed {
        match within(index, Some(limit), strict) {
            Err(again) if again.needed().is_some_and(|more| more > limit) => needed = again.needed(),
            _ => return Err(error.with_needed(limit)),
        }
    }
    Err(error)
}

/// Fills in the chunks of an index and the places of its entries.
fn within(index: &mut Index, chunk_limit: Option<u64>, strict: bool) -> Result<(), LayoutError> {
    check_names(&index.entries)?;
    let any = Digest::of(b"");
    let header_len = index.chunk_header(u32::MAX, &any).to_bytes().len() as u64;
    let signature_room = index.signature_room();
    let entries = std::mem::take(&mut index.entries);
    index.chunks = Vec::new();
    let mut index_len = index.len_bytes();
    index.entries = entries;
    loop {
        let frame = Frame { chunk_limit, strict, index_len, signature_room, header_len };
        index.chunks = lay_out(&mut index.entries, &frame)?;
        let actual = index.len_bytes();
        if chunk_limit.is_none() || padded(actual) <= padded(index_len) {
            return Ok(());
        }
        index_len = actual;
    }
}

/// Assigns chunk and offset to every entry, and returns the chunks.
fn lay_out(entries: &mut [Entry], frame: &Frame) -> Result<Vec<ChunkInfo>, LayoutError> {
    let mut cursor = Cursor::new(frame)?;
    if frame.strict {
        cursor.check_undivided(entries)?;
    }
    for entry in entries {
        entry.parts = cursor.place(entry)?;
    }
    cursor.end_chunk()?;
    Ok(cursor.chunks)
}

fn check_names(entries: &[Entry]) -> Result<(), LayoutError> {
    let mut blobs: HashSet<&Digest> = HashSet::with_capacity(entries.len());
    let mut files: HashSet<&str> = HashSet::new();
    for entry in entries {
        let is_new = match &entry.path {
            EntryPath::Blob => blobs.insert(&entry.digest),
            EntryPath::File(path) if is_entry_path(path) && !path.starts_with("blobs/") => files.insert(path),
            EntryPath::File(path) => return Err(LayoutError::Path { path: path.to_string() }),
        };
        if !is_new {
            return Err(LayoutError::Duplicate { path: entry.path().into_owned() });
        }
    }
    Ok(())
}

/// The place where the next entry goes.
struct Cursor {
    limit: u64,
    strict: bool,
    /// What fits into chunk 0 and into every other, headers and padding counted, index and end marker not.
    first_room: u64,
    other_room: u64,
    chunks: Vec<ChunkInfo>,
    position: u64,
}

impl Cursor {
    fn new(frame: &Frame) -> Result<Self, LayoutError> {
        let limit = frame.chunk_limit.unwrap_or(MAX_FILE);
        let taken = |len| BLOCK + padded(len) + END_MARKER;
        let (first, other) = (taken(frame.index_len) + frame.signature_room, taken(frame.header_len));
        let needed = first.max(other + MIN_ROOM);
        if limit < needed {
            return Err(LayoutError::LimitTooSmall { limit, needed });
        }
        let room = |taken| (limit - taken) / BLOCK * BLOCK;
        Ok(Self {
            limit,
            strict: frame.strict,
            first_room: room(first),
            other_room: room(other),
            chunks: Vec::new(),
            position: 0,
        })
    }

    /// Names the largest entry that fits no chunk, so that one look tells which limit is enough for all.
    fn check_undivided(&self, entries: &[Entry]) -> Result<(), LayoutError> {
        let Some(largest) = entries.iter().max_by_key(|i| i.size) else { return Ok(()) };
        let needed = occupied(largest)?;
        if needed <= self.other_room {
            return Ok(());
        }
        Err(LayoutError::TooLarge {
            path: largest.path().into_owned(),
            size: largest.size,
            limit: self.limit,
            needed: self.limit.saturating_add(needed - self.other_room),
        })
    }

    fn room(&self) -> u64 {
        let room = if self.chunks.is_empty() { self.first_room } else { self.other_room };
        room - self.position
    }

    fn end_chunk(&mut self) -> Result<(), LayoutError> {
        if self.chunks.len() >= MAX_NUMBER {
            return Err(LayoutError::TooManyChunks { limit: self.limit });
        }
        let size = self.position.checked_add(END_MARKER).ok_or(LayoutError::Overflow)?;
        self.chunks.push(ChunkInfo { size });
        self.position = 0;
        Ok(())
    }

    fn place(&mut self, entry: &Entry) -> Result<Parts, LayoutError> {
        let whole = occupied(entry)?;
        // All names of parts have one length, so the first stands for all.
        let path = entry.path();
        let part = part_name(&path, 1, 2);
        if whole > self.room() && self.limit >= MAX_FILE {
            return Err(LayoutError::Overflow);
        }
        if whole > self.room() {
            let fits = fitting(&part, entry.size, self.room());
            let movable = whole <= self.other_room && (self.strict || entry.size < MIN_PART);
            let fresh = self.position == 0 && !self.chunks.is_empty();
            if movable || (fits < MIN_PART && !fresh) {
                self.end_chunk()?;
            }
        }
        if whole <= self.room() {
            return Ok(Parts::One(self.put(&path, entry.size)?));
        }
        self.split(&part, entry.size).map(Parts::from)
    }

    fn split(&mut self, name: &str, size: u64) -> Result<Vec<Part>, LayoutError> {
        let mut parts = Vec::new();
        let mut left = size;
        while left > 0 {
            let fits = fitting(name, left, self.room());
            parts.push(self.put(name, fits)?);
            left -= fits;
            if left > 0 {
                self.end_chunk()?;
            }
        }
        if parts.len() > MAX_NUMBER {
            return Err(LayoutError::TooManyChunks { limit: self.limit });
        }
        Ok(parts)
    }

    fn put(&mut self, name: &str, size: u64) -> Result<Part, LayoutError> {
        let chunk = u32::try_from(self.chunks.len()).expect("chunks are counted up to a million");
        let offset = self.position.checked_add(header_len(name, size)).ok_or(LayoutError::Overflow)?;
        self.position = offset.checked_add(padded(size)).ok_or(LayoutError::Overflow)?;
        Ok(Part { chunk, offset, size })
    }
}

/// Returns the bytes that an undivided entry takes, header and padding included.
fn occupied(entry: &Entry) -> Result<u64, LayoutError> {
    let padded = entry.size.checked_next_multiple_of(BLOCK).ok_or(LayoutError::Overflow)?;
    padded.checked_add(header_len(&entry.path(), entry.size)).ok_or(LayoutError::Overflow)
}

/// Returns how many of `left` bytes fit into `room`, header included: whole blocks, unless it is all of them.
fn fitting(name: &str, left: u64, room: u64) -> u64 {
    let within = |header: u64| left.min(room.saturating_sub(header));
    // A large part needs a longer header, which leaves less for the part.
    within(header_len(name, within(header_len(name, 0))))
}

#[cfg(test)]
mod tests;
