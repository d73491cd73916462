//! All files of one directory of an image in a single pass: [`Walk`].
//!
//! Layers are read from the top down, so that what an upper layer replaces or removes is known before the layers below
//! it are read. The files come while their layer is still being fetched; if it turns out wrong at its end, the walk
//! ends with an error.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use oc_mirror_model::manifest::Descriptor;
use tokio::sync::{Mutex, mpsc};

use super::input::{Budget, LayerReader, with_layer};
use super::tarball::{self, TarEntry, What};
use super::tree::{OPAQUE, WHITEOUT, join};
use super::{Entry, Filesystem, FilesystemError, Kind, Limits, history};
use crate::content::{BlobStream, CHUNK, ContentError, ContentErrorKind, ImageView};

/// How many pieces may wait for the reader: a few MiB, so that fetching goes on while the reader thinks.
const PIECES: usize = 16;

/// One file or link of the directory.
pub struct Walked {
    /// What it is; its path is that from the image's root.
    pub entry: Entry,
    /// The bytes of a file, to be read before the next one is asked for. Links have none, nor have hard links and
    /// sparse files: [`Filesystem::open`] finds those.
    pub content: Option<BlobStream>,
}

/// The files of a directory, one after the other.
pub struct Walk {
    shared: Arc<Shared>,
    ended: bool,
}

/// What the walk and the contents of its files share. The sending side has no part in it: once both are dropped, nobody
/// listens, and it ends.
struct Shared {
    steps: Mutex<mpsc::Receiver<Step>>,
    /// The file that is wanted: content of earlier ones need not be sent any more.
    wanted: Arc<AtomicU64>,
}

/// What the reading side is sent.
enum Step {
    Found { number: u64, entry: Entry, has_content: bool },
    Piece { number: u64, bytes: Bytes },
    Failed(FilesystemError),
    Done,
}

impl Walk {
    /// Starts to read the files below a directory of an image.
    ///
    /// Where the image's history says which layers have something in the directory, only those are fetched.
    pub async fn start(view: Arc<dyn ImageView>, directory: &str) -> Result<Self, FilesystemError> {
        Self::start_within(view, directory, Limits::default()).await
    }

    async fn start_within(
        view: Arc<dyn ImageView>,
        directory: &str,
        limits: Limits,
    ) -> Result<Self, FilesystemError> {
        if view.manifest().image().is_none() {
            return Err(FilesystemError::NotAnImage { image: view.reference() });
        }
        let (sender, steps) = mpsc::channel(PIECES);
        let wanted = Arc::new(AtomicU64::new(0));
        let shared = Arc::new(Shared { steps: Mutex::new(steps), wanted: Arc::clone(&wanted) });
        let directory = super::components(directory).collect::<Vec<_>>().join("/");
        let out = Out { sender, wanted, sent: 0 };
        tokio::spawn(feed(view, directory, limits, out));
        Ok(Self { shared, ended: false })
    }

    /// Returns the next file or link; nothing at the end.
    pub async fn next(&mut self) -> Result<Option<Walked>, FilesystemError> {
        if self.ended {
            return Ok(None);
        }
        self.shared.wanted.fetch_add(1, Ordering::Relaxed);
        loop {
            match self.shared.steps.lock().await.recv().await {
                Some(Step::Found { number, entry, has_content }) => {
                    let content = has_content.then(|| content(Arc::clone(&self.shared), number, entry.size));
                    return Ok(Some(Walked { entry, content }));
                }
                // What is left of a file that nobody read to its end.
                Some(Step::Piece { .. }) => {}
                Some(Step::Failed(error)) => {
                    self.ended = true;
                    return Err(error);
                }
                Some(Step::Done) => {
                    self.ended = true;
                    return Ok(None);
                }
                // An error that the content of a file ended with, or the end of the program.
                None => return Err(FilesystemError::Cancelled),
            }
        }
    }
}

/// Streams the pieces of one file.
fn content(shared: Arc<Shared>, number: u64, size: u64) -> BlobStream {
    Box::pin(futures_util::stream::unfold((shared, size), move |(shared, left)| async move {
        if left == 0 {
            return None;
        }
        let failed = |kind| Some((Err(ContentError::new("layer", kind)), (shared.clone(), 0)));
        if shared.wanted.load(Ordering::Relaxed) != number {
            let reason = "the content of a file was read after the next file had been asked for";
            return failed(ContentErrorKind::Invalid(reason.to_owned()));
        }
        let step = shared.steps.lock().await.recv().await;
        match step {
            Some(Step::Piece { number: of, bytes }) if of == number => {
                let left = left.saturating_sub(bytes.len() as u64);
                Some((Ok(bytes), (shared, left)))
            }
            Some(Step::Failed(error)) => Some((Err(ContentError::from(error)), (shared, 0))),
            _ => failed(ContentErrorKind::Cancelled),
        }
    }))
}

/// The sending side.
struct Out {
    sender: mpsc::Sender<Step>,
    wanted: Arc<AtomicU64>,
    /// How many files have been sent; the number of the last one.
    sent: u64,
}

impl Out {
    /// Sends from a thread that may wait. Nobody at the other end means that nobody wants more.
    fn send(&self, step: Step) -> Result<(), FilesystemError> {
        self.sender.blocking_send(step).map_err(|_| FilesystemError::Cancelled)
    }

    fn file(
        &mut self,
        entry: Entry,
        has_content: bool,
        reader: &mut LayerReader,
    ) -> Result<(), FilesystemError> {
        self.sent += 1;
        let (number, mut left) = (self.sent, entry.size);
        self.send(Step::Found { number, entry, has_content })?;
        while has_content && left > 0 {
            // The reader has gone on to a later file.
            if self.wanted.load(Ordering::Relaxed) > number {
                return Ok(());
            }
            let count = usize::try_from(left.min(CHUNK as u64)).expect("at most one chunk");
            let mut piece = vec![0; count];
            reader.fill(&mut piece)?;
            left -= count as u64;
            self.send(Step::Piece { number, bytes: piece.into() })?;
        }
        Ok(())
    }
}

async fn feed(view: Arc<dyn ImageView>, directory: String, limits: Limits, out: Out) {
    let sender = out.sender.clone();
    let last = match read(&*view, directory, limits, out).await {
        Ok(()) => Step::Done,
        Err(error) => Step::Failed(error),
    };
    // Whoever has stopped listening wants no more.
    let _ = sender.send(last).await;
}

async fn read(
    view: &dyn ImageView,
    directory: String,
    limits: Limits,
    mut out: Out,
) -> Result<(), FilesystemError> {
    let layers = view.manifest().image().map(|image| image.layers.clone()).unwrap_or_default();
    let config = view.config().await?;
    let named = history::layers_of(&config, layers.len(), &directory);
    let is_named = |place: usize| named.as_ref().is_none_or(|named| named.contains(&place));
    let wanted: Vec<(usize, Descriptor)> =
        layers.iter().cloned().enumerate().filter(|(place, _)| is_named(*place)).collect();
    out = pass(view, &wanted, Merge::new(&directory, &directory, limits), out).await?;
    if out.sent > 0 {
        return Ok(());
    }
    // The history may lie, and the directory may be a link: the index of all layers tells where it really is.
    let files = Filesystem::index_within(view, limits).await?;
    let Ok(real) = files.stat(&directory) else { return Ok(()) };
    let all: Vec<(usize, Descriptor)> = layers.into_iter().enumerate().collect();
    pass(view, &all, Merge::new(&real.path, &directory, limits), out).await.map(drop)
}

/// Reads the given layers from the last to the first.
async fn pass(
    view: &dyn ImageView,
    layers: &[(usize, Descriptor)],
    merge: Merge,
    out: Out,
) -> Result<Out, FilesystemError> {
    let limits = merge.limits;
    let mut budget = Budget::new(&limits);
    let mut state = (merge, out);
    for (number, layer) in layers.iter().rev() {
        let stream = view.open_kept(layer).await?;
        let number = *number;
        (state, budget) = with_layer(stream, budget, layer.digest.to_string(), move |mut reader| {
            let (mut merge, mut out) = state;
            tarball::read(&mut reader, &limits, |entry, reader| merge.take(entry, number, reader, &mut out))?;
            merge.end_layer();
            Ok(((merge, out), reader.into_budget()))
        })
        .await?;
    }
    Ok(state.1)
}

/// What layers have at which paths.
#[derive(Default)]
struct Covered {
    /// Paths at which there is something that is no directory, and those that were removed.
    paths: HashSet<String>,
    /// Directories, those included that only the paths of files tell of.
    directories: HashSet<String>,
    /// Directories of which the layers below have nothing left.
    opaque: HashSet<String>,
}

impl Covered {
    /// Answers whether these layers hide what a lower one has at a path.
    fn hides(&self, path: &str) -> bool {
        let below = |at: usize| {
            let above = &path[..at];
            self.paths.contains(above) || self.opaque.contains(above)
        };
        self.paths.contains(path)
            || self.directories.contains(path)
            || self.opaque.contains("")
            || path.match_indices('/').any(|(at, _)| below(at))
    }

    fn add(&mut self, other: Covered) {
        self.paths.extend(other.paths);
        self.directories.extend(other.directories);
        self.opaque.extend(other.opaque);
    }
}

/// Decides what of a layer is seen.
struct Merge {
    /// The directory as it is stored, and as it was asked for.
    directory: String,
    shown: String,
    limits: Limits,
    upper: Covered,
    current: Covered,
    /// What of the current layer has been handed over.
    found: HashSet<String>,
    entries: usize,
    name_bytes: usize,
}

impl Merge {
    fn new(directory: &str, shown: &str, limits: Limits) -> Self {
        Self {
            directory: directory.to_owned(),
            shown: shown.to_owned(),
            limits,
            upper: Covered::default(),
            current: Covered::default(),
            found: HashSet::new(),
            entries: 0,
            name_bytes: 0,
        }
    }

    fn end_layer(&mut self) {
        self.upper.add(std::mem::take(&mut self.current));
        self.found.clear();
    }

    fn take(
        &mut self,
        entry: TarEntry,
        layer: usize,
        reader: &mut LayerReader,
        out: &mut Out,
    ) -> Result<(), FilesystemError> {
        let Some((name, parents)) = entry.path.split_last() else { return Ok(()) };
        let parent = parents.join("/");
        if name == OPAQUE {
            return self.remember(parent, reader, |covered| &mut covered.opaque);
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            let is_removal = !hidden.is_empty() && !hidden.starts_with(WHITEOUT);
            let path = join(&parent, hidden);
            return match is_removal {
                true => self.remember(path, reader, |covered| &mut covered.paths),
                false => Ok(()),
            };
        }
        let path = join(&parent, name);
        let kind = match &entry.what {
            What::Is(kind) => *kind,
            What::Symlink(_) => Kind::Symlink,
            What::Hardlink(_) => Kind::File,
        };
        if kind == Kind::Directory {
            return self.remember(path, reader, |covered| &mut covered.directories);
        }
        let seen = self.within(&path) && !self.upper.hides(&path);
        if seen && !self.found.insert(path.clone()) {
            return Err(reader.invalid(&format!("`{}` is in it twice", super::shown(&path))));
        }
        for (at, _) in path.match_indices('/') {
            self.remember(path[..at].to_owned(), reader, |covered| &mut covered.directories)?;
        }
        self.remember(path.clone(), reader, |covered| &mut covered.paths)?;
        if !seen || kind == Kind::Special {
            return Ok(());
        }
        let link_target = match &entry.what {
            What::Symlink(target) => Some(target.clone()),
            _ => None,
        };
        let has_content = kind == Kind::File && entry.offset.is_some();
        let path = format!("{}{}", self.shown, &path[self.directory.len()..]);
        let found = Entry { path, kind, size: entry.size, mode: entry.mode, link_target, layer };
        out.file(found, has_content, reader)
    }

    /// Answers whether a path is below the directory.
    fn within(&self, path: &str) -> bool {
        let below = path.strip_prefix(self.directory.as_str());
        below.is_some_and(|below| self.directory.is_empty() || below.starts_with('/'))
    }

    /// Notes a path, if it can matter: one below the directory, or one that leads to it.
    fn remember(
        &mut self,
        path: String,
        reader: &LayerReader,
        set: impl FnOnce(&mut Covered) -> &mut HashSet<String>,
    ) -> Result<(), FilesystemError> {
        let leads = self.directory == path
            || path.is_empty()
            || self.directory.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('/'));
        if !leads && !self.within(&path) {
            return Ok(());
        }
        self.name_bytes += path.len();
        if set(&mut self.current).insert(path) {
            self.entries += 1;
        }
        if self.entries > self.limits.entries || self.name_bytes > self.limits.name_bytes {
            return Err(reader.limit(format!("it has more than {} entries", self.limits.entries)));
        }
        Ok(())
    }
}
