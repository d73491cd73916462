//! [`Text`]: the document of an index, which has some thousand bytes for each image, read without being held.

use std::io::{self, BufReader, Read};

use oc_mirror_model::checksum::{Checker, Checksum};
use oc_mirror_model::digest::{Algorithm, Digest, Hasher};
use serde::de::DeserializeOwned;

use super::on_disk::at_once;
use crate::content::ContentError;
use crate::content::positioned::ReadAt;

/// What is read at a time.
const PIECE: usize = 256 << 10;

/// A document at a place in a chunk.
pub(super) enum Text<'a> {
    /// All of it.
    Held(Vec<u8>),
    /// Where it is: in a chunk that is read without waiting.
    There { chunk: &'a dyn ReadAt, at: u64, len: u64 },
}

/// What one look at a document tells.
pub(super) struct Looked {
    /// The SHA-256 of all of it.
    pub(super) identity: Digest,
    pub(super) checksum: Checksum,
    /// Its first bytes, up to a hundred.
    pub(super) begins: Vec<u8>,
}

impl Text<'_> {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Held(document) => document.len() as u64,
            Self::There { len, .. } => *len,
        }
    }

    /// Returns the document, if it is held.
    pub(super) fn held(&self) -> Option<&[u8]> {
        match self {
            Self::Held(document) => Some(document),
            Self::There { .. } => None,
        }
    }

    pub(super) fn look(&self) -> Result<Looked, ContentError> {
        let (mut hasher, mut checker, mut begins) =
            (Algorithm::Sha256.hasher(), Checker::default(), Vec::new());
        self.for_each(|piece| {
            hasher.update(piece);
            checker.update(piece);
            let missing = 100_usize.saturating_sub(begins.len()).min(piece.len());
            begins.extend_from_slice(&piece[..missing]);
        })?;
        Ok(Looked { identity: hasher.finish(), checksum: checker.finish(), begins })
    }

    fn for_each(&self, mut take: impl FnMut(&[u8])) -> Result<(), ContentError> {
        match self {
            Self::Held(document) => take(document),
            Self::There { chunk, at, len } => {
                let mut done = 0;
                while done < *len {
                    let wanted = (*len - done).min(PIECE as u64);
                    take(&at_once(chunk.read(at + done, wanted as usize))?);
                    done += wanted;
                }
            }
        }
        Ok(())
    }

    /// Parses the document, which is still the one with this SHA-256.
    pub(super) fn parse<T: DeserializeOwned>(&self, identity: &Digest) -> serde_json::Result<T> {
        match self {
            Self::Held(document) => serde_json::from_slice(document),
            Self::There { chunk, at, len } => {
                let hasher = Algorithm::Sha256.hasher();
                let mut pieces = Pieces { chunk: *chunk, at: *at, left: *len, hasher };
                let parsed = serde_json::from_reader(BufReader::with_capacity(PIECE, &mut pieces))?;
                // A parser reads on to the end, since nothing may follow.
                if pieces.hasher.finish() == *identity {
                    return Ok(parsed);
                }
                Err(serde::de::Error::custom("its bytes change while they are read"))
            }
        }
    }
}

/// A document as it is read.
struct Pieces<'a> {
    chunk: &'a dyn ReadAt,
    at: u64,
    left: u64,
    hasher: Hasher,
}

impl Read for Pieces<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let wanted = self.left.min(to.len() as u64);
        let piece = at_once(self.chunk.read(self.at, wanted as usize)).map_err(io::Error::other)?;
        to[..piece.len()].copy_from_slice(&piece);
        self.hasher.update(&piece);
        self.at += wanted;
        self.left -= wanted;
        Ok(piece.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use oc_mirror_model::checksum::Checked;
    use serde_json::{Value, json};

    use super::super::on_disk::FileAt;
    use super::*;
    use crate::fsx::FilePool;

    #[test]
    fn it_says_the_same_held_or_not() {
        let value = json!({ "format": "1.1", "list": (0..100_000).collect::<Vec<u32>>() });
        let document = Checked::new(&value).to_bytes();
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("chunk");
        std::fs::write(&path, [&b"before"[..], &document, b"behind"].concat()).expect("written");
        let chunk = FileAt::new(Arc::new(FilePool::reading(vec![path.clone()])), 0);
        let there = Text::There { chunk: &chunk, at: 6, len: document.len() as u64 };
        let looked = there.look().expect("readable");
        assert_eq!((looked.checksum, &looked.identity), (Checksum::Right, &Digest::of(&document)));
        assert_eq!(looked.begins, document[..100]);
        assert!(document.len() > 2 * PIECE && there.len() == document.len() as u64);
        let parsed: Value = there.parse(&looked.identity).expect("parsed");
        let held = Text::Held(document);
        assert_eq!(held.look().expect("held").identity, looked.identity);
        assert_eq!(parsed, held.parse::<Value>(&looked.identity).expect("parsed"));
        assert_eq!(parsed["list"], value["list"]);

        let mut changed = std::fs::read(&path).expect("read");
        let last = changed.iter().rposition(|byte| *byte == b'9').expect("a digit");
        changed[last] = b'8';
        std::fs::write(&path, changed).expect("written");
        assert!(there.parse::<Value>(&looked.identity).is_err(), "it is another one now");
        assert_eq!(there.look().expect("readable").checksum, Checksum::Wrong);
    }
}
