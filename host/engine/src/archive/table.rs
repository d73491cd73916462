//! [`Table`]: the places of an index, checked to be exactly what the format allows, and found by name.
//!
//! Entries lie one behind the other, in the order of the index, each behind its canonical header; nothing lies
//! between them. So no two can overlap, and nothing can hide.

use std::collections::{HashMap, HashSet};

use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::{Entry, Index, Part};
use oc_mirror_model::tar::{END_MARKER, header_len, is_entry_path, padded, part_name};

/// Where to find what in an index.
#[derive(Debug)]
pub(super) struct Table {
    by_path: HashMap<String, usize>,
    required: HashSet<Digest>,
}

impl Table {
    /// Checks an index, and says what is wrong with it if something is.
    pub(super) fn new(index: &Index) -> Result<Self, String> {
        if index.sequence == 0 || index.base >= index.sequence {
            return Err(format!("sequence {} cannot build on {}", index.sequence, index.base));
        }
        if u32::try_from(index.chunks.len()).is_err() || index.chunks.is_empty() {
            return Err(format!("it names {} chunks", index.chunks.len()));
        }
        let mut by_path = HashMap::with_capacity(index.entries.len());
        let mut walk = Walk { index, chunk: 0, end: 0 };
        for (number, entry) in index.entries.iter().enumerate() {
            check_name(entry)?;
            if by_path.insert(entry.path.clone(), number).is_some() {
                return Err(format!("`{}` is there twice", entry.path));
            }
            walk.entry(entry).ok_or_else(|| format!("the place of `{}` is not possible", entry.path))?;
        }
        walk.finish()?;
        let required = index.required.iter().map(|r| r.descriptor.digest.clone()).collect();
        Ok(Self { by_path, required })
    }

    /// Returns the number of the entry of this name.
    pub(super) fn by_path(&self, path: &str) -> Option<usize> {
        self.by_path.get(path).copied()
    }

    /// Returns the number of the entry with this content.
    pub(super) fn by_digest(&self, digest: &Digest) -> Option<usize> {
        self.by_path(&digest.layout_path())
    }

    /// Answers whether an earlier sequence carried this content.
    pub(super) fn is_required(&self, digest: &Digest) -> bool {
        self.required.contains(digest)
    }
}

fn check_name(entry: &Entry) -> Result<(), String> {
    let named = is_entry_path(&entry.path);
    if !named || (entry.path.starts_with("blobs/") && entry.path != entry.digest.layout_path()) {
        return Err(format!("`{}` cannot be the name of an entry", entry.path.escape_debug()));
    }
    Ok(())
}

/// Follows the entries through the chunks.
struct Walk<'a> {
    index: &'a Index,
    chunk: usize,
    /// Where the last entry ended, padding included.
    end: u64,
}

impl Walk<'_> {
    fn entry(&mut self, entry: &Entry) -> Option<()> {
        let of = entry.parts.len();
        let mut sum: u64 = 0;
        for (number, part) in entry.parts.iter().enumerate() {
            if usize::try_from(part.chunk).ok()? == self.chunk + 1 {
                self.next_chunk()?;
            }
            let len = header_len(&part_name(&entry.path, number + 1, of), part.size);
            let expected = self.end.checked_add(len)?;
            let right = usize::try_from(part.chunk).ok()? == self.chunk && part.offset == expected;
            if !right || (of > 1 && part.size == 0) {
                return None;
            }
            self.end = part.offset.checked_add(padded(part.size))?;
            sum = sum.checked_add(part.size)?;
        }
        (of > 0 && sum == entry.size).then_some(())
    }

    fn next_chunk(&mut self) -> Option<()> {
        self.check_size()?;
        self.chunk += 1;
        self.end = 0;
        Some(())
    }

    /// A chunk ends right behind its last entry.
    fn check_size(&self) -> Option<()> {
        let size = self.end.checked_add(END_MARKER)?;
        let fits = i64::try_from(size).is_ok_and(|s| s < i64::MAX - (1 << 40));
        (fits && self.index.chunks.get(self.chunk)?.size == size).then_some(())
    }

    fn finish(self) -> Result<(), String> {
        if self.chunk + 1 != self.index.chunks.len() || self.check_size().is_none() {
            return Err("the sizes of its chunks do not follow from its entries".to_owned());
        }
        Ok(())
    }
}

/// A run of bytes of an entry within one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The chunk.
    pub(super) chunk: usize,
    /// Where, counted from the end of the chunk's first entry.
    pub(super) offset: u64,
    /// How many bytes of the entry lie there and behind, within this part.
    pub(super) len: u64,
}

/// Returns where the byte `at` of an entry lies; nothing past its end.
pub(super) fn run_at(parts: &[Part], at: u64) -> Option<Run> {
    let mut before = 0;
    for part in parts {
        if at < before + part.size {
            let within = at - before;
            let chunk = usize::try_from(part.chunk).ok()?;
            return Some(Run { chunk, offset: part.offset + within, len: part.size - within });
        }
        before += part.size;
    }
    None
}

/// Returns the headers of an entry: chunk, offset, length, and the name that each must bear.
pub(super) fn headers(entry: &Entry) -> impl Iterator<Item = (usize, u64, u64, String, u64)> + '_ {
    let of = entry.parts.len();
    entry.parts.iter().enumerate().map(move |(number, part)| {
        let name = part_name(&entry.path, number + 1, of);
        let len = header_len(&name, part.size);
        (part.chunk as usize, part.offset - len, len, name, part.size)
    })
}
