//! Layers: [`LayerBuilder`] collects entries and writes them as one compressed tar.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flate2::{Compression, GzBuilder};
use oc_mirror_model::digest::{Algorithm, Digest, Hasher};
use oc_mirror_model::manifest::Descriptor;
use tempfile::TempPath;

use super::BuildError;
use crate::content::{BlobStream, ContentError, file};

/// Above 6, gzip takes far longer for a percent.
const LEVEL: u32 = 6;

/// The operating system in gzip's header: unknown, whatever it is.
const UNKNOWN_SYSTEM: u8 = 255;

/// The longest path in a layer: what Linux can open.
const MAX_PATH: usize = 4095;

/// Collects the entries of one layer.
///
/// Paths are relative and have no `.` or `..`. Directories that are not added are made by whoever unpacks the layer,
/// or keep the mode that they have in the layers below.
#[derive(Debug, Default)]
pub struct LayerBuilder {
    entries: BTreeMap<String, Item>,
}

#[derive(Debug)]
enum Item {
    Directory(u32),
    Bytes(u32, Bytes),
    File(u32, PathBuf),
    Symlink(String),
    Whiteout,
}

impl LayerBuilder {
    /// Starts an empty layer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a directory.
    pub fn directory(&mut self, path: &str, mode: u32) -> Result<&mut Self, BuildError> {
        self.add(path, Item::Directory(mode))
    }

    /// Adds a file whose content is in memory.
    pub fn bytes(
        &mut self,
        path: &str,
        mode: u32,
        content: impl Into<Bytes>,
    ) -> Result<&mut Self, BuildError> {
        self.add(path, Item::Bytes(mode, content.into()))
    }

    /// Adds a file whose content is that of another file, which is read when the layer is written.
    pub fn file(&mut self, path: &str, mode: u32, from: impl Into<PathBuf>) -> Result<&mut Self, BuildError> {
        self.add(path, Item::File(mode, from.into()))
    }

    /// Adds a symlink. The target is kept as it is.
    pub fn symlink(&mut self, path: &str, target: &str) -> Result<&mut Self, BuildError> {
        if target.is_empty() || target.len() > MAX_PATH || target.contains('\0') {
            return Err(invalid(path, "its target is empty, too long or has a zero byte in it"));
        }
        self.add(path, Item::Symlink(target.to_owned()))
    }

    /// Removes what the layers below have at a path.
    pub fn whiteout(&mut self, path: &str) -> Result<&mut Self, BuildError> {
        let path = checked(path)?;
        let marker = match path.rsplit_once('/') {
            Some((parent, name)) => format!("{parent}/.wh.{name}"),
            None => format!(".wh.{path}"),
        };
        self.insert(marker, Item::Whiteout)
    }

    /// Removes everything that the layers below have in a directory.
    pub fn opaque(&mut self, directory: &str) -> Result<&mut Self, BuildError> {
        let directory = checked(directory)?;
        self.insert(format!("{directory}/.wh..wh..opq"), Item::Whiteout)
    }

    /// Writes the layer into a file of `directory`, which is gone once the layer is dropped.
    pub async fn finish(self, directory: &Path) -> Result<Layer, BuildError> {
        let directory = directory.to_owned();
        let written = tokio::task::spawn_blocking(move || self.write(&directory)).await;
        written.unwrap_or(Err(BuildError::Cancelled))
    }

    fn add(&mut self, path: &str, item: Item) -> Result<&mut Self, BuildError> {
        let path = checked(path)?;
        if path.split('/').any(|name| name.starts_with(".wh.")) {
            return Err(invalid(path, "names that begin with `.wh.` mean removal"));
        }
        self.insert(path.to_owned(), item)
    }

    fn insert(&mut self, path: String, item: Item) -> Result<&mut Self, BuildError> {
        if self.entries.contains_key(&path) {
            return Err(invalid(&path, "it is there already"));
        }
        self.entries.insert(path, item);
        Ok(self)
    }

    fn write(self, directory: &Path) -> Result<Layer, BuildError> {
        let failed = |source| BuildError::Disk { path: directory.to_owned(), source };
        let (file, path) =
            tempfile::Builder::new().prefix("layer-").tempfile_in(directory).map_err(failed)?.into_parts();
        let compressed = Hashed::new(BufWriter::new(file));
        let gzip = GzBuilder::new()
            .mtime(0)
            .operating_system(UNKNOWN_SYSTEM)
            .write(compressed, Compression::new(LEVEL));
        let mut tar = tar::Builder::new(Hashed::new(gzip));
        for (name, item) in &self.entries {
            append(&mut tar, name, item)?;
        }
        let finish = || -> io::Result<(Digest, Digest, u64)> {
            let plain = tar.into_inner()?;
            let diff_id = plain.hasher.finish();
            let compressed = plain.inner.finish()?;
            let (digest, size) = (compressed.hasher.finish(), compressed.length);
            compressed.inner.into_inner().map_err(io::IntoInnerError::into_error)?;
            Ok((diff_id, digest, size))
        };
        let (diff_id, digest, size) = finish().map_err(failed)?;
        Ok(Layer { path, digest, size, diff_id })
    }
}

fn append(tar: &mut tar::Builder<impl Write>, name: &str, item: &Item) -> Result<(), BuildError> {
    let disk = |path: &Path, source| BuildError::Disk { path: path.to_owned(), source };
    let failed = |source| disk(Path::new(name), source);
    let mut header = tar::Header::new_gnu();
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    match item {
        Item::Directory(mode) => {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(*mode);
            tar.append_data(&mut header, format!("{name}/"), io::empty()).map_err(failed)
        }
        Item::Symlink(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_mode(0o777);
            tar.append_link(&mut header, name, target).map_err(failed)
        }
        Item::Whiteout => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_mode(0o600);
            tar.append_data(&mut header, name, io::empty()).map_err(failed)
        }
        Item::Bytes(mode, content) => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_mode(*mode);
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, name, content.as_ref()).map_err(failed)
        }
        Item::File(mode, from) => {
            let unreadable = |source| disk(from, source);
            let file = File::open(from).map_err(unreadable)?;
            let metadata = file.metadata().map_err(unreadable)?;
            if !metadata.is_file() {
                return Err(unreadable(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
            }
            header.set_entry_type(tar::EntryType::Regular);
            header.set_mode(*mode);
            header.set_size(metadata.len());
            tar.append_data(&mut header, name, Exact { inner: file, left: metadata.len() })
                .map_err(unreadable)
        }
    }
}

/// A finished layer.
#[derive(Debug)]
pub struct Layer {
    path: TempPath,
    digest: Digest,
    size: u64,
    diff_id: Digest,
}

impl Layer {
    /// Returns the digest of the uncompressed tar.
    pub fn diff_id(&self) -> &Digest {
        &self.diff_id
    }

    /// Describes it as a layer of the given media type, which is one for gzip.
    pub fn descriptor(&self, media_type: &str) -> Descriptor {
        Descriptor::new(media_type, self.digest.clone(), self.size)
    }

    /// Opens the compressed form.
    pub fn open(&self) -> Result<BlobStream, ContentError> {
        let subject = format!("layer {}", self.digest);
        let opened =
            File::open(&self.path).map_err(|e| ContentError::disk(subject.clone(), "cannot be opened", e))?;
        Ok(file::stream(opened, 0, self.size, subject))
    }
}

/// Passes bytes on, counts and hashes them.
struct Hashed<W> {
    inner: W,
    hasher: Hasher,
    length: u64,
}

impl<W> Hashed<W> {
    fn new(inner: W) -> Self {
        Self { inner, hasher: Algorithm::Sha256.hasher(), length: 0 }
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Reads as many bytes as were announced; a file that changes meanwhile would give a broken tar.
struct Exact<R> {
    inner: R,
    left: u64,
}

impl<R: io::Read> io::Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let cap = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.inner.read(&mut buffer[..cap])?;
        if count == 0 && cap > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was read"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

fn checked(path: &str) -> Result<&str, BuildError> {
    let trimmed = path.strip_suffix('/').unwrap_or(path);
    if trimmed.is_empty() || trimmed.len() > MAX_PATH || trimmed.contains('\0') {
        return Err(invalid(path, "it is empty, too long or has a zero byte in it"));
    }
    if trimmed.split('/').any(|name| matches!(name, "" | "." | "..")) {
        return Err(invalid(path, "it is not relative and normalised"));
    }
    Ok(trimmed)
}

fn invalid(path: &str, reason: &'static str) -> BuildError {
    BuildError::Path { path: path.chars().take(200).collect(), reason }
}
