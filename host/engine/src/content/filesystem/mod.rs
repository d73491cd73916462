//! The files of an image as a container would see them: [`Filesystem`], all layers merged, nothing unpacked.
//!
//! Indexing reads every layer once and remembers where each file is; opening a file reads its layer again up to
//! it. [`Walk`] reads all files of one directory in a single pass. Links are followed in the index only, and nothing is
//! created on disk. Layers are hostile input: [`Limits`] bound memory and time whatever they hold.

use futures_util::StreamExt;
use oc_mirror_model::manifest::Descriptor;

use super::{BlobStream, CHUNK, ContentError, ContentErrorKind, ImageView};

mod history;
mod input;
mod tarball;
mod tree;
mod unpack;
mod walk;

pub use unpack::{Unpacked, unpack};
pub use walk::{Walk, Walked};

use input::{Budget, with_layer};
use tree::{Node, Place, Tree};

/// How much of an image is taken before it is refused.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries of all layers together.
    pub entries: usize,
    /// Bytes of the names and link targets of all entries together.
    pub name_bytes: usize,
    /// Bytes of one path.
    pub path_bytes: usize,
    /// Components of one path.
    pub depth: usize,
    /// Bytes of a record that holds a long name or attributes.
    pub record_bytes: u64,
    /// Bytes of all layers together, uncompressed.
    pub output_bytes: u64,
    /// How many times larger than its compressed form a layer may become...
    pub ratio: u64,
    /// ...once it has become larger than this.
    pub ratio_from: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 1_000_000,
            name_bytes: 128 << 20,
            path_bytes: 4096,
            depth: 256,
            record_bytes: 64 << 10,
            output_bytes: 64 << 30,
            ratio: 200,
            ratio_from: 16 << 20,
        }
    }
}

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symlink.
    Symlink,
    /// A device or a pipe.
    Special,
}

/// One path of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The path from the root, without a slash at its start.
    pub path: String,
    /// What is there.
    pub kind: Kind,
    /// The bytes of a file.
    pub size: u64,
    /// The permission bits.
    pub mode: u32,
    /// Where a symlink points, as it was written.
    pub link_target: Option<String>,
    /// Which layer it is from, counted from the base. For a directory, the last one with something in it.
    pub layer: usize,
}

/// The files of an image could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FilesystemError {
    /// There is no such path.
    #[error("the image has no `{path}`")]
    NotFound {
        /// The path.
        path: String,
    },
    /// The path is not a file that can be opened.
    #[error("`{path}` in the image is not a plain file")]
    NotAFile {
        /// The path.
        path: String,
    },
    /// The image is too large, or made to look so.
    #[error("layer `{layer}` goes beyond a limit: {what}")]
    Limit {
        /// The digest of the layer.
        layer: String,
        /// Which.
        what: String,
    },
    /// A layer is not what layers are.
    #[error("layer `{layer}` cannot be read: {reason}")]
    Invalid {
        /// The digest of the layer.
        layer: String,
        /// Why not.
        reason: String,
    },
    /// What was given is an index, not an image.
    #[error("`{image}` is an index; one of its images has files")]
    NotAnImage {
        /// The reference.
        image: String,
    },
    /// The layer could not be fetched.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The work was given up because the program ends, or nobody wants the result.
    #[error("cancelled")]
    Cancelled,
}

impl FilesystemError {
    /// Answers whether trying again may help.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Content(error) if error.is_temporary())
    }
}

impl From<FilesystemError> for ContentError {
    fn from(error: FilesystemError) -> Self {
        match error {
            FilesystemError::Content(error) => error,
            FilesystemError::Cancelled => Self::new("layer", ContentErrorKind::Cancelled),
            FilesystemError::NotFound { path } => Self::new(path, ContentErrorKind::NotFound),
            other => Self::new("image", ContentErrorKind::Invalid(other.to_string())),
        }
    }
}

/// The files of one image.
#[derive(Debug)]
pub struct Filesystem {
    tree: Tree,
    layers: Vec<Descriptor>,
    limits: Limits,
}

impl Filesystem {
    /// Reads all layers of an image.
    pub async fn index(view: &dyn ImageView) -> Result<Self, FilesystemError> {
        Self::index_within(view, Limits::default()).await
    }

    /// Reads all layers of an image within other limits.
    pub async fn index_within(view: &dyn ImageView, limits: Limits) -> Result<Self, FilesystemError> {
        let image =
            view.manifest().image().ok_or_else(|| FilesystemError::NotAnImage { image: view.reference() })?;
        let layers = image.layers.clone();
        let mut tree = Tree::new(limits);
        let mut budget = Budget::new(&limits);
        for (number, layer) in layers.iter().enumerate() {
            let stream = view.open_blob(layer).await?;
            let name = layer.digest.to_string();
            (tree, budget) = with_layer(stream, budget, name, move |mut reader| {
                tarball::read(&mut reader, &limits, |entry, reader| {
                    tree.add(entry, number).map_err(|refusal| refusal.about(reader))
                })?;
                Ok((tree, reader.into_budget()))
            })
            .await?;
        }
        Ok(Self { tree, layers, limits })
    }

    /// Returns what is at a path. Links on the way are followed, one at its end is not.
    pub fn entry(&self, path: &str) -> Option<Entry> {
        let (path, node) = self.tree.find(path, false)?;
        Some(entry(&path, node))
    }

    /// Returns what a path leads to, with all links followed.
    pub fn stat(&self, path: &str) -> Result<Entry, FilesystemError> {
        self.node(path).map(|(path, node)| entry(&path, node))
    }

    /// Lists everything below a directory in the order of paths, or the one file that `prefix` is.
    ///
    /// Links in `prefix` are followed; the paths that are returned are those behind them.
    pub fn list(&self, prefix: &str) -> impl Iterator<Item = Entry> {
        let found = self.tree.find(prefix, true).map(|(path, _)| path);
        found.into_iter().flat_map(|path| self.tree.below(&path)).map(|(path, node)| entry(path, node))
    }

    /// Opens a file, with all links followed.
    ///
    /// `view` is the image that was indexed. The stream ends with an error if the layer turns out wrong: its last
    /// piece is given out once the rest of the layer has been checked too.
    pub async fn open(&self, view: &dyn ImageView, path: &str) -> Result<BlobStream, FilesystemError> {
        let (path, node) = self.node(path)?;
        let Some(Place { layer, offset }) = node.place() else {
            return Err(FilesystemError::NotAFile { path });
        };
        let size = node.size;
        if size == 0 {
            return Ok(futures_util::stream::empty().boxed());
        }
        let layer = &self.layers[layer];
        let stream = view.open_blob(layer).await?;
        Ok(extract(stream, Budget::new(&self.limits), layer.digest.to_string(), offset, size))
    }

    fn node(&self, path: &str) -> Result<(String, &Node), FilesystemError> {
        let missing = || FilesystemError::NotFound { path: path.chars().take(200).collect() };
        self.tree.find(path, true).ok_or_else(missing)
    }
}

fn entry(path: &str, node: &Node) -> Entry {
    Entry {
        path: path.to_owned(),
        kind: node.kind,
        size: node.size,
        mode: node.mode,
        link_target: node.link.as_deref().map(str::to_owned),
        layer: node.layer,
    }
}

/// Streams `size` bytes of a layer's uncompressed form.
fn extract(stream: BlobStream, budget: Budget, layer: String, offset: u64, size: u64) -> BlobStream {
    let (pieces, received) = tokio::sync::mpsc::channel::<Result<bytes::Bytes, ContentError>>(2);
    let out = pieces.clone();
    tokio::spawn(async move {
        let last = with_layer(stream, budget, layer, move |mut reader| {
            reader.skip(offset)?;
            let mut left = size;
            let mut held: Option<bytes::Bytes> = None;
            while left > 0 {
                if let Some(piece) = held.take()
                    && out.blocking_send(Ok(piece)).is_err()
                {
                    return Err(FilesystemError::Cancelled);
                }
                let count = usize::try_from(left.min(CHUNK as u64)).expect("at most one chunk");
                let mut piece = vec![0; count];
                reader.fill(&mut piece)?;
                left -= count as u64;
                held = Some(piece.into());
            }
            Ok(held)
        });
        let last = match last.await {
            Ok(last) => last.map(Ok),
            Err(error) => Some(Err(ContentError::from(error))),
        };
        if let Some(last) = last {
            // Whoever has stopped listening wants no more.
            let _ = pieces.send(last).await;
        }
    });
    Box::pin(futures_util::stream::unfold((received, size), |(mut received, left)| async move {
        match received.recv().await {
            Some(Ok(piece)) => {
                let left = left.saturating_sub(piece.len() as u64);
                Some((Ok(piece), (received, left)))
            }
            // An error is the last thing that comes.
            Some(Err(error)) => Some((Err(error), (received, 0))),
            // The task is gone without a word, as at the end of the program: not the end of the file.
            None if left > 0 => {
                Some((Err(ContentError::new("layer", ContentErrorKind::Cancelled)), (received, 0)))
            }
            None => None,
        }
    }))
}

/// Splits a path. A slash at its start means the root, which all paths begin at anyway.
fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !matches!(*name, "" | "."))
}

/// Cuts a text that came out of a layer to what fits into a message.
fn shown(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests;
