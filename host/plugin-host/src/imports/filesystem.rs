//! `registry.filesystem`: the files of an image as a container would see them. Nothing is unpacked on disk.

use std::sync::Arc;

use oc_mirror_engine::content::ImageView;
use oc_mirror_engine::content::filesystem::{self as engine, FilesystemError, Kind};
use wasmtime::component::Resource;

use crate::bindings::oc_mirror::plugin::registry::{Entry, HostEntries, HostFilesystem};
use crate::bindings::oc_mirror::plugin::types;
use crate::fault::{Answer, Fault};
use crate::imports::streams::Reader;
use crate::state::StoreState;
use crate::text::clean;

/// How many indexes and listings a guest may hold at one time: each may take a hundred MiB of the host's memory if an
/// image was made to be large.
const MOST_OPEN: usize = 8;
/// The most entries that one call lists.
const MOST_ENTRIES: usize = 10_000;

/// The indexed files of an image.
#[derive(Clone)]
pub struct Filesystem {
    view: Arc<dyn ImageView>,
    files: Arc<engine::Filesystem>,
    _open: OpenCount,
}

/// A listing that is being read.
pub struct Entries {
    left: std::vec::IntoIter<engine::Entry>,
    _open: OpenCount,
}

/// Counts what is alive: all clones of the first one.
pub(crate) type OpenCount = Arc<()>;

/// One path to copy, seen from what is copied.
pub(crate) struct Copied {
    /// The path below what is copied; empty for that itself.
    pub(crate) below: String,
    pub(crate) entry: engine::Entry,
}

impl From<FilesystemError> for Fault {
    fn from(error: FilesystemError) -> Self {
        let text = || clean(&error.to_string(), 1024);
        match error {
            FilesystemError::NotFound { .. } => Self::not_found(text()),
            FilesystemError::NotAFile { .. } | FilesystemError::NotAnImage { .. } => Self::invalid(text()),
            FilesystemError::Limit { .. } => Self::limit(text()),
            FilesystemError::Invalid { .. } => {
                let coded = types::Coded { code: "content.invalid".to_owned(), message: text() };
                Self::Answer(types::Error::Other(coded))
            }
            FilesystemError::Content(error) => error.into(),
            FilesystemError::Cancelled => Self::Answer(types::Error::Cancelled),
        }
    }
}

impl Filesystem {
    /// Lists a directory and everything below it, or one file.
    pub(crate) fn subtree(&self, path: &str) -> Answer<Vec<Copied>> {
        let top = self.files.stat(path)?;
        let start = if top.path.is_empty() { String::new() } else { format!("{}/", top.path) };
        let below = self.files.list(path).filter_map(|entry| {
            let below = entry.path.strip_prefix(&start)?.to_owned();
            Some(Copied { below, entry })
        });
        let below: Vec<_> = below.filter(|copied| !copied.below.is_empty()).collect();
        Ok(std::iter::once(Copied { below: String::new(), entry: top }).chain(below).collect())
    }

    /// Opens a file.
    pub(crate) async fn reader(&self, path: &str) -> Answer<Reader> {
        let size = self.files.stat(path)?.size;
        let stream = self.files.open(&*self.view, path).await?;
        Ok(Reader::new(stream, Some(size)))
    }
}

impl StoreState {
    /// Indexes the layers of an image.
    pub(crate) async fn index_files(&mut self, view: Arc<dyn ImageView>) -> Answer<Filesystem> {
        let layers = view.manifest().image().map_or(0, |image| image.layers.len());
        self.charge_requests(layers as u64)?;
        let open = self.one_more_open()?;
        let files = engine::Filesystem::index(&*view).await?;
        Ok(Filesystem { view, files: Arc::new(files), _open: open })
    }

    pub(crate) fn one_more_open(&self) -> Answer<OpenCount> {
        // One is the state's own. An index that is shared by a copy in progress is counted twice, and rightly so.
        match Arc::strong_count(&self.open_files) > MOST_OPEN {
            true => {
                Err(Fault::limit(format!("{MOST_OPEN} file systems and listings are open; drop some first")))
            }
            false => Ok(Arc::clone(&self.open_files)),
        }
    }
}

pub(crate) fn entry(entry: engine::Entry) -> Entry {
    let kind = match entry.kind {
        Kind::File => "file",
        Kind::Directory => "dir",
        Kind::Symlink => "symlink",
        Kind::Special => "other",
    };
    Entry {
        path: entry.path,
        kind: kind.to_owned(),
        size: entry.size,
        mode: entry.mode,
        link_target: entry.link_target,
        layer: u32::try_from(entry.layer).unwrap_or(u32::MAX),
    }
}

impl HostFilesystem for StoreState {
    /// Follows links; nothing is what a path leads to that is not there.
    async fn stat(&mut self, filesystem: Resource<Filesystem>, path: String) -> Answer<Option<Entry>> {
        match self.table.get(&filesystem)?.files.stat(&path) {
            Ok(found) => Ok(Some(entry(found))),
            Err(FilesystemError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn list(&mut self, filesystem: Resource<Filesystem>, prefix: String) -> Answer<Resource<Entries>> {
        let open = self.one_more_open()?;
        let files = &self.table.get(&filesystem)?.files;
        let left = files.list(&prefix).collect::<Vec<_>>().into_iter();
        Ok(self.table.push(Entries { left, _open: open })?)
    }

    async fn open(&mut self, filesystem: Resource<Filesystem>, path: String) -> Answer<Resource<Reader>> {
        self.charge_requests(1)?;
        let filesystem = self.table.get(&filesystem)?.clone();
        let reader = filesystem.reader(&path).await?;
        Ok(self.table.push(reader)?)
    }

    async fn drop(&mut self, filesystem: Resource<Filesystem>) -> wasmtime::Result<()> {
        self.table.delete(filesystem)?;
        Ok(())
    }
}

impl HostEntries for StoreState {
    async fn next(&mut self, entries: Resource<Entries>, max: u32) -> Answer<Vec<Entry>> {
        let left = &mut self.table.get_mut(&entries)?.left;
        Ok(left.take((max as usize).clamp(1, MOST_ENTRIES)).map(entry).collect())
    }

    async fn drop(&mut self, entries: Resource<Entries>) -> wasmtime::Result<()> {
        self.table.delete(entries)?;
        Ok(())
    }
}
