//! [`Table`]: the places of an index, checked to be exactly what the format allows, and found by name.
//!
//! Entries lie one behind the other, in the order of the index, each behind its canonical header; nothing lies
//! between them. So no two can overlap, and nothing can hide.

use std::collections::HashMap;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::{Entry, Index, MAX_CHUNKS, Part};
use oc_mirror_model::tar::{END_MARKER, header_len, is_entry_path, padded, part_name};

/// Where to find what in an index.
///
/// There are many thousand blobs, so it holds their numbers alone, in the order of their digests: whoever looks one up has the
/// index at hand.
#[derive(Debug)]
pub(super) struct Table {
    blobs: Box<[u32]>,
    files: HashMap<String, usize>,
    required: Box<[u32]>,
}

impl Table {
    /// Checks an index, and says what is wrong with it if something is.
    pub(super) fn new(index: &Index) -> Result<Self, String> {
        if index.sequence == 0 || index.base >= index.sequence {
            return Err(format!("sequence {} cannot build on {}", index.sequence, index.base));
        }
        match index.chunks.len() {
            0 => return Err("it names no chunk".to_owned()),
            count if count > MAX_CHUNKS => {
                return Err(format!("it names {count} chunks, more than the {MAX_CHUNKS} that are allowed"));
            }
            _ => {}
        }
        if u32::try_from(index.entries.len().max(index.required.len())).is_err() {
            return Err(format!("it names {} entries", index.entries.len()));
        }
        let (mut blobs, mut files) = (Vec::with_capacity(index.entries.len()), HashMap::new());
        let mut walk = Walk { index, chunk: 0, end: 0 };
        let twice = |entry: &Entry| format!("`{}` is there twice", entry.path());
        for (number, entry) in index.entries.iter().enumerate() {
            check_name(entry)?;
            match entry.file() {
                None => blobs.push(number as u32),
                Some(path) if files.insert(path.to_owned(), number).is_some() => return Err(twice(entry)),
                Some(_) => {}
            }
            walk.entry(entry).ok_or_else(|| format!("the place of `{}` is not possible", entry.path()))?;
        }
        walk.finish()?;
        let digest = |number: &u32| &index.entries[*number as usize].digest;
        blobs.sort_unstable_by(|a, b| digest(a).cmp(digest(b)));
        if let Some(pair) = blobs.windows(2).find(|pair| digest(&pair[0]) == digest(&pair[1])) {
            return Err(twice(&index.entries[pair[0] as usize]));
        }
        let digest = |number: &u32| &index.required[*number as usize].descriptor.digest;
        let mut required: Vec<u32> = (0..index.required.len() as u32).collect();
        required.sort_unstable_by(|a, b| digest(a).cmp(digest(b)));
        Ok(Self { blobs: blobs.into(), files, required: required.into() })
    }

    /// Returns the number of the entry of this name, in the index that the table was made of.
    pub(super) fn by_path(&self, index: &Index, path: &str) -> Option<usize> {
        match path.strip_prefix("blobs/") {
            Some(blob) => self.by_digest(index, &blob.replacen('/', ":", 1).parse().ok()?),
            None => self.files.get(path).copied(),
        }
    }

    /// Returns the number of the entry with this content, in that index.
    pub(super) fn by_digest(&self, index: &Index, digest: &Digest) -> Option<usize> {
        let place = self.blobs.binary_search_by(|number| index.entries[*number as usize].digest.cmp(digest));
        Some(self.blobs[place.ok()?] as usize)
    }

    /// Answers whether an earlier sequence carried this content, by that index.
    pub(super) fn is_required(&self, index: &Index, digest: &Digest) -> bool {
        let of = |number: &u32| &index.required[*number as usize].descriptor.digest;
        self.required.binary_search_by(|number| of(number).cmp(digest)).is_ok()
    }
}

fn check_name(entry: &Entry) -> Result<(), String> {
    match entry.file() {
        Some(path) if !is_entry_path(path) || path.starts_with("blobs/") => {
            Err(format!("`{}` cannot be the name of an entry", path.escape_debug()))
        }
        _ => Ok(()),
    }
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
        let (path, of) = (entry.path(), entry.parts.len());
        let mut sum: u64 = 0;
        for (number, part) in entry.parts.iter().enumerate() {
            if usize::try_from(part.chunk).ok()? == self.chunk + 1 {
                self.next_chunk()?;
            }
            let len = header_len(&part_name(&path, number + 1, of), part.size);
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
    let (path, of) = (entry.path(), entry.parts.len());
    entry.parts.iter().enumerate().map(move |(number, part)| {
        let name = part_name(&path, number + 1, of);
        let len = header_len(&name, part.size);
        (part.chunk as usize, part.offset - len, len, name, part.size)
    })
}
