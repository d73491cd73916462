//! OCI image layouts on disk: [`Layout`] reads those of any tool, and writes them with repositories inside.
//!
//! On disk: `oci-layout`, `index.json` and `blobs/` as the OCI image specification has them. An image that was
//! put under a tag is in `index.json` under the name `<repository>:<tag>`, so `skopeo inspect
//! oci:DIR:<repository>:<tag>` reads it. The bytes of a blob are kept once. Which repository has which blobs and
//! manifests is written below `.oc-mirror/`, one small file each, so that a million of them cost no rewriting:
//!
//! ```text
//! .oc-mirror/lock                                                  held by the one process that writes
//! .oc-mirror/uploads/                                              content that is on its way, emptied at the start
//! .oc-mirror/repositories/<repository>/_blobs/<algorithm>/<hex>      empty
//! .oc-mirror/repositories/<repository>/_manifests/<algorithm>/<hex>  the manifest's descriptor
//! .oc-mirror/repositories/<repository>/_referrers/<subject>/<algorithm>-<hex>  a referrer's descriptor
//! ```
//!
//! Reading through [`ContentRead`] ignores repositories, since a layout is one pool of content; writing and the
//! functions for one repository do not. Removing a manifest or a link never removes bytes of blobs.
//!
//! [`ContentRead`]: crate::content::ContentRead

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock, RwLockReadGuard};

use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, MAX_MANIFEST_BYTES, RawManifest};
use serde::Deserialize;

use crate::content::{ContentError, ContentErrorKind};

mod import;
mod index;
mod links;
mod read;
mod root;
mod spool;
mod write;

use index::{Entry, Index};
use root::Root;
use write::Writer;

pub use index::REF_NAME;
pub(crate) use links::{as_referrer, subject_of};
pub use spool::{Mark, Spool};

/// The version of the image layout that this program reads and writes.
const LAYOUT_VERSION: &str = "1.0.0";

/// The largest `index.json` that is read: 100,000 images need about 40 MiB.
const MAX_INDEX_BYTES: u64 = 256 << 20;

/// How many names an error lists.
const LISTED_NAMES: usize = 20;

/// An OCI image layout. Clones are the same layout.
#[derive(Clone, Debug)]
pub struct Layout {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: Root,
    index: RwLock<Index>,
    writer: Option<Writer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

impl Layout {
    /// Opens a layout for reading. `index.json` is read once, here.
    ///
    /// The file `oci-layout` may be missing, as several tools left it out; another version than 1.x is refused.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, ContentError> {
        let dir = dir.as_ref();
        let root = Root::open(dir).map_err(|e| disk_or_missing(dir.display().to_string(), e))?;
        check_marker(&root)?;
        let index = read_index(&root)?;
        Ok(Self::assemble(root, index, None))
    }

    /// Opens a layout for reading and writing, and makes the directory and the layout where there is none.
    ///
    /// Images that other tools put there become part of repositories: one named `<repository>:<tag>` (or
    /// `<repository>@<digest>`) of that repository, any other of one that is named like the directory. The
    /// layout is locked against other writers for as long as the value or a clone lives.
    pub fn create(dir: impl AsRef<Path>) -> Result<Self, ContentError> {
        let dir = dir.as_ref();
        std::fs::create_dir_all(dir)
            .map_err(|e| ContentError::disk(dir.display().to_string(), "cannot make the directory", e))?;
        let root = Root::open(dir).map_err(|e| disk_or_missing(dir.display().to_string(), e))?;
        let writer = Writer::lock(dir)?;
        let index = if exists(&root, "index.json") || exists(&root, "oci-layout") {
            check_marker(&root)?;
            read_index(&root)?
        } else {
            write::initialise(dir)?;
            Index::empty()
        };
        let layout = Self::assemble(root, index, Some(writer));
        layout.import()?;
        Ok(layout)
    }

    fn assemble(root: Root, index: Index, writer: Option<Writer>) -> Self {
        Self { inner: Arc::new(Inner { root, index: RwLock::new(index), writer }) }
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        self.inner.root.path()
    }

    /// Answers whether it was opened for writing.
    pub fn is_writable(&self) -> bool {
        self.inner.writer.is_some()
    }

    /// Returns every image of `index.json` with its name, in the order of the file.
    pub fn images(&self) -> Vec<(Option<String>, Descriptor)> {
        let index = self.index();
        index.entries().iter().map(|e| (e.name().map(str::to_owned), e.descriptor.clone())).collect()
    }

    /// Finds an image by digest, or else by name, or else the only one there is.
    ///
    /// A digest need not be in `index.json`: any manifest among the blobs can be meant.
    pub async fn resolve(
        &self,
        name: Option<&str>,
        digest: Option<&Digest>,
    ) -> Result<Descriptor, ContentError> {
        if let Some(digest) = digest {
            let known = self.index().entries().iter().find(|e| e.descriptor.digest == *digest).cloned();
            return match known {
                Some(entry) => Ok(entry.descriptor),
                None => Ok(self.load_manifest(digest, None).await?.descriptor().clone()),
            };
        }
        let index = self.index();
        let mut found: Vec<&Entry> = match name {
            Some(name) => index.entries().iter().filter(|e| e.is_named(name)).collect(),
            None => index.entries().iter().collect(),
        };
        found.dedup_by(|a, b| a.descriptor.digest == b.descriptor.digest);
        match (found.as_slice(), name) {
            ([only], _) => Ok(only.descriptor.clone()),
            ([], Some(name)) => {
                let reason = format!("it has no image named `{name}`, but {}", names(index.entries()));
                Err(self.error(ContentErrorKind::Refused(reason)))
            }
            ([], None) => Err(self.error(ContentErrorKind::Refused("it has no images".to_owned()))),
            (several, Some(name)) => {
                let reason = format!("it has {} images named `{name}`; add `@<digest>`", several.len());
                Err(self.error(ContentErrorKind::Refused(reason)))
            }
            (several, None) => {
                let reason = format!(
                    "it has {} images, and the reference does not say which: {}",
                    several.len(),
                    names(index.entries())
                );
                Err(self.error(ContentErrorKind::Refused(reason)))
            }
        }
    }

    /// Reads a manifest and checks it. `descriptor` is what is known about it besides its digest.
    async fn load_manifest(
        &self,
        digest: &Digest,
        descriptor: Option<Descriptor>,
    ) -> Result<RawManifest, ContentError> {
        let inner = self.inner.clone();
        let digest = digest.clone();
        blocking(move || inner.load_manifest(&digest, descriptor.as_ref())).await
    }

    fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.inner.index.read().expect("no holder of this lock panics")
    }

    fn error(&self, kind: ContentErrorKind) -> ContentError {
        ContentError::new(format!("oci:{}", self.path().display()), kind)
    }
}

impl Inner {
    fn subject(&self, digest: &Digest) -> String {
        format!("oci:{}@{digest}", self.root.path().display())
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.path().join(digest.layout_path())
    }

    /// Opens a blob; nothing if it is not there.
    fn blob_file(&self, digest: &Digest) -> Result<Option<File>, ContentError> {
        match self.root.file(&digest.layout_path()) {
            Ok(file) => Ok(Some(file)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(ContentError::disk(self.subject(digest), "cannot open the blob", error)),
        }
    }

    fn load_manifest(
        &self,
        digest: &Digest,
        known: Option<&Descriptor>,
    ) -> Result<RawManifest, ContentError> {
        let subject = || self.subject(digest);
        let file = self
            .blob_file(digest)?
            .ok_or_else(|| ContentError::new(subject(), ContentErrorKind::NotFound))?;
        let unreadable = |e| ContentError::disk(subject(), "cannot read the manifest", e);
        let actual = file.metadata().map_err(unreadable)?.len();
        if let Some(known) = known
            && known.size != actual
        {
            let kind = ContentErrorKind::WrongSize { expected: known.size, actual };
            return Err(ContentError::new(subject(), kind));
        }
        let bytes = read_capped(file, MAX_MANIFEST_BYTES).map_err(unreadable)?;
        let found = Digest::of_with(digest.algorithm(), &bytes);
        if found != *digest {
            let kind = ContentErrorKind::WrongDigest { expected: digest.clone(), actual: found };
            return Err(ContentError::new(subject(), kind));
        }
        RawManifest::parse(bytes, known.map(|d| d.media_type.as_str()))
            .and_then(|m| m.verify(digest))
            .map_err(|e| ContentError::new(subject(), ContentErrorKind::Invalid(chain(&e))))
    }
}

/// Runs disk work where it may wait. It goes on to its end even if nobody waits for it any more.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ContentError> + Send + 'static,
) -> Result<T, ContentError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(ContentError::new("disk", ContentErrorKind::Cancelled)),
        },
    }
}

fn check_marker(root: &Root) -> Result<(), ContentError> {
    let subject = || root.path().join("oci-layout").display().to_string();
    let file = match root.file("oci-layout") {
        Ok(file) => file,
        Err(error) if is_missing(&error) => return Ok(()),
        Err(error) => return Err(ContentError::disk(subject(), "cannot open the file", error)),
    };
    let bytes =
        read_capped(file, 1 << 16).map_err(|e| ContentError::disk(subject(), "cannot read the file", e))?;
    let marker: Marker = serde_json::from_slice(&bytes).map_err(|e| {
        let kind = ContentErrorKind::Invalid("it does not say which version the layout has".to_owned());
        ContentError::with_source(subject(), kind, e)
    })?;
    if marker.image_layout_version.split('.').next() != Some("1") {
        let version: String = marker.image_layout_version.chars().take(40).collect();
        let reason = format!("image layouts of version `{version}` are not known, only {LAYOUT_VERSION}");
        return Err(ContentError::new(subject(), ContentErrorKind::Invalid(reason)));
    }
    Ok(())
}

fn read_index(root: &Root) -> Result<Index, ContentError> {
    let subject = || root.path().join("index.json").display().to_string();
    let file = root.file("index.json").map_err(|error| {
        if is_missing(&error) {
            let reason = "the directory is not an image layout: it has no `index.json`".to_owned();
            return ContentError::new(root.path().display().to_string(), ContentErrorKind::Invalid(reason));
        }
        ContentError::disk(subject(), "cannot open the file", error)
    })?;
    let bytes = read_capped(file, MAX_INDEX_BYTES)
        .map_err(|e| ContentError::disk(subject(), "cannot read the file", e))?;
    Index::parse(&bytes).map_err(|e| {
        let kind = ContentErrorKind::Invalid("it is not the index of an image layout".to_owned());
        ContentError::with_source(subject(), kind, e)
    })
}

fn read_capped(file: File, cap: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(cap + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > cap {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {cap} bytes")));
    }
    Ok(bytes)
}

fn exists(root: &Root, name: &str) -> bool {
    root.path().join(name).symlink_metadata().is_ok()
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn disk_or_missing(subject: String, error: io::Error) -> ContentError {
    match error.kind() {
        io::ErrorKind::NotFound => ContentError::new(subject, ContentErrorKind::NotFound),
        _ => ContentError::disk(subject, "cannot open the directory", error),
    }
}

fn names(entries: &[Entry]) -> String {
    let mut named: Vec<String> = entries
        .iter()
        .take(LISTED_NAMES)
        .map(|e| match e.name() {
            Some(name) => format!("`{name}`"),
            None => format!("`@{}`", e.descriptor.digest),
        })
        .collect();
    if entries.len() > LISTED_NAMES {
        named.push(format!("and {} more", entries.len() - LISTED_NAMES));
    }
    if named.is_empty() { "no images at all".to_owned() } else { named.join(", ") }
}

/// Writes an error and what led to it in one line, for errors that cannot be chained.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
