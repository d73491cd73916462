//! [`Manifests`]: those that a run has fetched, and configurations of images, so that it fetches none twice.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{InvalidManifest, RawManifest};
use oc_mirror_model::media_type::MediaType;

use crate::fsx;

/// So many bytes of manifests are in memory. What comes after them is in a file: a run has many thousands, of a thousand bytes
/// each, and looks at few of them twice before it writes them down.
const IN_MEMORY: usize = 1 << 20;

/// Manifests as they came. What they say is read again when it is needed.
#[derive(Debug, Default)]
pub(super) struct Manifests {
    known: HashMap<Digest, Fetched>,
    in_memory: usize,
    /// Where the file is made.
    dir: Option<PathBuf>,
    /// The file, which has no name, and how long it is.
    file: Option<(File, u64)>,
}

#[derive(Debug)]
struct Fetched {
    media_type: MediaType,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Box<[u8]>),
    File { at: u64, len: u32 },
}

/// What was fetched cannot be read again.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("the file in which it is kept cannot be read")]
    File(#[from] io::Error),
    #[error(transparent)]
    Manifest(#[from] InvalidManifest),
}

impl Manifests {
    /// Keeps what memory is not for in a file below `dir`. Without one, all is in memory.
    pub(super) fn beyond_memory(dir: Option<&Path>) -> Self {
        Self { dir: dir.map(Path::to_owned), ..Self::default() }
    }

    /// Keeps a manifest.
    pub(super) fn insert(&mut self, manifest: &RawManifest) {
        self.keep(manifest.digest(), manifest.media_type().into(), manifest.bytes());
    }

    /// Keeps a document that has this digest.
    pub(super) fn keep(&mut self, digest: &Digest, media_type: MediaType, bytes: &[u8]) {
        if self.known.contains_key(digest) {
            return;
        }
        // A disk that takes no more is no reason to fail: then memory has to.
        let place = match self.in_memory + bytes.len() > IN_MEMORY {
            true => self.append(bytes).unwrap_or_else(|_| Place::Memory(bytes.into())),
            false => Place::Memory(bytes.into()),
        };
        if matches!(place, Place::Memory(_)) {
            self.in_memory += bytes.len();
        }
        self.known.insert(digest.clone(), Fetched { media_type, place });
    }

    /// Reads a document, if it was fetched and can be read again.
    pub(super) fn document(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.read(&self.known.get(digest)?.place).ok()
    }

    /// Reads a manifest, if it was fetched.
    pub(super) fn get(&self, digest: &Digest) -> Option<Result<RawManifest, Unreadable>> {
        let Fetched { media_type, place } = self.known.get(digest)?;
        let read = self.read(place).map_err(Unreadable::from);
        Some(read.and_then(|bytes| Ok(RawManifest::parse(bytes, Some(media_type))?.verify(digest)?)))
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<Place> {
        if self.file.is_none() {
            let dir = self.dir.as_ref().ok_or(io::ErrorKind::NotFound)?;
            self.file = Some((tempfile::tempfile_in(dir)?, 0));
        }
        let (file, end) = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let (at, len) = (*end, u32::try_from(bytes.len()).map_err(io::Error::other)?);
        fsx::write_all_at(file, bytes, at)?;
        *end += u64::from(len);
        Ok(Place::File { at, len })
    }

    fn read(&self, place: &Place) -> io::Result<Vec<u8>> {
        match (place, &self.file) {
            (Place::Memory(bytes), _) => Ok(bytes.to_vec()),
            (Place::File { at, len }, Some((file, _))) => {
                let mut bytes = vec![0; *len as usize];
                fsx::read_exact_at(file, &mut bytes, *at)?;
                Ok(bytes)
            }
            (Place::File { .. }, None) => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_mirror_model::media_type::OCI_INDEX;

    /// A list with an annotation of so many bytes.
    fn manifest(number: usize, len: usize) -> RawManifest {
        let annotations = serde_json::json!({ "a": "x".repeat(len), "n": number.to_string() });
        let list = serde_json::json!({
            "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "annotations": annotations,
        });
        RawManifest::parse(list.to_string().into_bytes(), None).expect("a list")
    }

    #[test]
    fn all_are_read_again_wherever_they_are() {
        let dir = tempfile::tempdir().expect("a directory");
        let missing = dir.path().join("missing");
        for (dir, in_file) in [(Some(dir.path()), true), (None, false), (Some(missing.as_path()), false)] {
            let mut manifests = Manifests::beyond_memory(dir);
            let all: Vec<RawManifest> = (0..12).map(|number| manifest(number, 1 << 20)).collect();
            for manifest in all.iter().chain(&all) {
                manifests.insert(manifest);
            }
            assert_eq!(manifests.in_memory > IN_MEMORY, !in_file);
            for manifest in &all {
                let again = manifests.get(manifest.digest()).expect("known").expect("readable");
                assert_eq!(again, *manifest);
            }
            assert!(manifests.get(&Digest::of(b"other")).is_none());
        }
        assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 0, "the file has no name");
    }
}
