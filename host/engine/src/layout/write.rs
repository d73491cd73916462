//! Writing a layout: content first under a temporary name, then under its digest, then in a repository, then named.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::StreamExt;
use oc_mirror_model::digest::{Algorithm, Digest};
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Repository, Tag};
use tempfile::TempPath;

use super::index::{Change, Index, split_name};
use super::links::{Link, OWN};
use super::spool::Spool;
use super::{Inner, LAYOUT_VERSION, Layout, blocking};
use crate::content::verify::verified;
use crate::content::{BlobStream, ContentError, ContentErrorKind, ContentWrite, TagStore};

/// What a layout that is open for writing has besides.
#[derive(Debug)]
pub(super) struct Writer {
    /// Held, not read: closing it gives up the lock.
    _lock: File,
    queue: Mutex<Queue>,
    /// The ticket up to which changes are on the disk. Held while `index.json` is being written.
    committed: Mutex<u64>,
}

/// Changes to `index.json` that wait for its next rewriting, which takes all of them at once.
#[derive(Debug, Default)]
struct Queue {
    next: u64,
    changes: Vec<(u64, Change)>,
}

/// How long a lock may be held by nobody who writes: a program that was just started has the files of the one that started
/// it open until it runs, locks included.
const STARTING: Duration = Duration::from_millis(500);

fn try_for_a_moment(lock: &File) -> Result<(), TryLockError> {
    let begun = Instant::now();
    loop {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) if begun.elapsed() < STARTING => {
                std::thread::sleep(Duration::from_millis(10));
            }
            outcome => return outcome,
        }
    }
}

impl Writer {
    /// Takes the lock of a layout, and throws away what an earlier process left unfinished.
    pub(super) fn lock(dir: &Path) -> Result<Self, ContentError> {
        let own = dir.join(OWN);
        let failed = |e| ContentError::disk(dir.display().to_string(), "cannot be written to", e);
        for directory in [&own, &own.join("repositories"), &dir.join("blobs"), &dir.join("blobs/sha256")] {
            fs::create_dir_all(directory).map_err(failed)?;
            if !fs::symlink_metadata(directory).map_err(failed)?.is_dir() {
                let reason = "it is a link, and a layout is not written through links".to_owned();
                let subject = directory.display().to_string();
                return Err(ContentError::new(subject, ContentErrorKind::Refused(reason)));
            }
        }
        let path = own.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match try_for_a_moment(&lock) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let reason = "another process is writing to this layout".to_owned();
                let subject = dir.display().to_string();
                return Err(ContentError::new(subject, ContentErrorKind::Refused(reason)));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let uploads = own.join("uploads");
        if uploads.symlink_metadata().is_ok_and(|m| m.is_dir()) {
            fs::remove_dir_all(&uploads).map_err(failed)?;
        }
        fs::create_dir(&uploads).map_err(failed)?;
        Ok(Self { _lock: lock, queue: Mutex::default(), committed: Mutex::new(0) })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no holder of this lock panics")
    }
}

/// Writes the files of an empty layout.
pub(super) fn initialise(dir: &Path) -> Result<(), ContentError> {
    let marker = format!("{{\"imageLayoutVersion\":\"{LAYOUT_VERSION}\"}}");
    replace(dir, "index.json", &Index::empty().to_bytes())
        .and_then(|()| replace(dir, "oci-layout", marker.as_bytes()))
        .map_err(|e| ContentError::disk(dir.display().to_string(), "cannot make the layout", e))
}

/// Replaces a file at the top of the layout, at once or not at all.
fn replace(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut file = tempfile::Builder::new()
        .prefix("file-")
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(dir.join(OWN).join("uploads"))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(dir.join(name))?;
    sync_directory(dir)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

impl Layout {
    /// Starts to take content in.
    pub fn spool(&self) -> Result<Spool, ContentError> {
        self.writer()?;
        let uploads = self.path().join(OWN).join("uploads");
        Spool::new(&uploads, Algorithm::Sha256)
            .map_err(|e| ContentError::disk(uploads.display().to_string(), "cannot make a file", e))
    }

    /// Makes what was taken in a blob of a repository. Fails if its digest is another.
    pub async fn adopt(
        &self,
        repository: &Repository,
        spool: Spool,
        digest: &Digest,
    ) -> Result<(), ContentError> {
        self.writer()?;
        let (inner, repository, digest) = (self.inner.clone(), repository.clone(), digest.clone());
        blocking(move || {
            inner.store(spool, &digest)?;
            inner.link_blob(&repository, &digest)
        })
        .await
    }

    /// Answers whether a repository has everything that a manifest names, and if not, what is missing first.
    ///
    /// With `sparse`, an index may name manifests that are not there.
    pub async fn first_missing(
        &self,
        repository: &Repository,
        manifest: &RawManifest,
        sparse: bool,
    ) -> Result<Option<Descriptor>, ContentError> {
        let (inner, repository, manifest) = (self.inner.clone(), repository.clone(), manifest.clone());
        blocking(move || {
            let mut named: Vec<&Descriptor> = Vec::new();
            if let Some(image) = manifest.image() {
                named.extend(image.blobs());
            }
            if let Some(index) = manifest.index()
                && !sparse
            {
                named.extend(&index.manifests);
            }
            let has = |d: &Descriptor| {
                inner.has_link(Link::Blob, &repository, &d.digest)
                    || inner.has_link(Link::Manifest, &repository, &d.digest)
            };
            Ok(named.into_iter().find(|d| !has(d)).cloned())
        })
        .await
    }

    /// Gives a manifest that is there a name of `index.json`, whatever that is like: other tools name images by a tag alone.
    pub async fn put_name(&self, name: &str, manifest: &Descriptor) -> Result<(), ContentError> {
        let manifest = Box::new(manifest.clone());
        self.change(match split_name(name) {
            Some((repository, tag)) => Change::Tag(repository, tag, manifest),
            None => Change::Name(name.to_owned(), manifest),
        })
        .await
    }

    /// Makes a change to `index.json`, together with all that wait at the moment.
    pub(super) async fn change(&self, change: Change) -> Result<(), ContentError> {
        let ticket = {
            let mut queue = self.writer()?.queue();
            queue.next += 1;
            let ticket = queue.next;
            queue.changes.push((ticket, change));
            ticket
        };
        let inner = self.inner.clone();
        blocking(move || inner.commit(ticket)).await
    }
}

impl Inner {
    /// Moves taken-in bytes to where blobs are.
    fn store(&self, spool: Spool, digest: &Digest) -> Result<(), ContentError> {
        let failed = |e| ContentError::disk(self.subject(digest), "cannot write the blob", e);
        let (path, actual, _) = spool.finish(digest.algorithm()).map_err(failed)?;
        if actual != *digest {
            let kind = ContentErrorKind::WrongDigest { expected: digest.clone(), actual };
            return Err(ContentError::new(self.subject(digest), kind));
        }
        self.place(path, digest).map_err(failed)
    }

    /// Gives a file its name. It replaces what is there: the same bytes, or damaged ones.
    fn place(&self, file: TempPath, digest: &Digest) -> io::Result<()> {
        let to = self.blob_path(digest);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        file.persist(&to)?;
        Ok(())
    }

    /// Writes `index.json` unless a commit that was under way has taken the change of `ticket` along.
    fn commit(&self, ticket: u64) -> Result<(), ContentError> {
        let writer = self.writer.as_ref().expect("a ticket is given by a writer only");
        let mut committed = writer.committed.lock().expect("no holder of this lock panics");
        if *committed >= ticket {
            return Ok(());
        }
        let (changes, last) = {
            let mut queue = writer.queue();
            (std::mem::take(&mut queue.changes), queue.next)
        };
        let mut index = self.index.read().expect("no holder of this lock panics").clone();
        for (_, change) in &changes {
            index.apply(change.clone());
        }
        let dir = self.root.path();
        // The names of blobs must be on the disk before a name for one of them is.
        let written = sync_directory(&dir.join("blobs/sha256"))
            .and_then(|()| replace(dir, "index.json", &index.to_bytes()));
        match written {
            Ok(()) => {
                *self.index.write().expect("no holder of this lock panics") = index;
                *committed = last;
                Ok(())
            }
            Err(error) => {
                // The others try for themselves, and each learns how it went.
                let rest = changes.into_iter().filter(|(t, _)| *t != ticket);
                let mut queue = writer.queue();
                let newer = std::mem::take(&mut queue.changes);
                queue.changes = rest.chain(newer).collect();
                let subject = dir.join("index.json").display().to_string();
                Err(ContentError::disk(subject, "cannot write the file", error))
            }
        }
    }
}

#[async_trait]
impl ContentWrite for Layout {
    fn name(&self) -> String {
        format!("image layout {}", self.path().display())
    }

    async fn has_blob(&self, repository: &Repository, blob: &Descriptor) -> Result<bool, ContentError> {
        Ok(self.blob_size(repository, &blob.digest).await? == Some(blob.size))
    }

    async fn has_manifest(&self, repository: &Repository, digest: &Digest) -> Result<bool, ContentError> {
        Ok(self.manifest_descriptor(repository, digest).await?.is_some())
    }

    async fn mount(
        &self,
        repository: &Repository,
        from: &Repository,
        blob: &Descriptor,
    ) -> Result<bool, ContentError> {
        self.writer()?;
        let (inner, digest) = (self.inner.clone(), blob.digest.clone());
        let (repository, from) = (repository.clone(), from.clone());
        blocking(move || {
            if inner.linked_blob(&from, &digest)?.is_none() {
                return Ok(false);
            }
            inner.link_blob(&repository, &digest)?;
            Ok(true)
        })
        .await
    }

    async fn put_blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        body: BlobStream,
    ) -> Result<(), ContentError> {
        let mut spool = self.spool()?;
        let mut body = verified(body, blob, self.inner.subject(&blob.digest));
        while let Some(piece) = body.next().await {
            spool.write(&piece?).map_err(|e| {
                ContentError::disk(self.inner.subject(&blob.digest), "cannot write the blob", e)
            })?;
        }
        self.adopt(repository, spool, &blob.digest).await
    }

    async fn put_manifest(
        &self,
        repository: &Repository,
        manifest: &RawManifest,
    ) -> Result<(), ContentError> {
        if let Some(missing) = self.first_missing(repository, manifest, true).await? {
            let reason = format!("the manifest names `{}`, which is not there", missing.digest);
            return Err(ContentError::new(repository.as_str(), ContentErrorKind::Incomplete(reason)));
        }
        let mut spool = self.spool()?;
        let (inner, repository, manifest) = (self.inner.clone(), repository.clone(), manifest.clone());
        blocking(move || {
            let failed = |e| ContentError::disk(inner.subject(manifest.digest()), "cannot be written", e);
            spool.write(manifest.bytes()).map_err(failed)?;
            inner.store(spool, manifest.digest())?;
            inner.link_manifest(&repository, &manifest)
        })
        .await
    }
}

#[async_trait]
impl TagStore for Layout {
    async fn resolve_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<Option<Descriptor>, ContentError> {
        Ok(self.index().tag(repository, tag).cloned())
    }

    async fn put_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
        manifest: &RawManifest,
    ) -> Result<(), ContentError> {
        if !self.has_manifest(repository, manifest.digest()).await? {
            self.put_manifest(repository, manifest).await?;
        }
        let descriptor = Box::new(manifest.descriptor().clone());
        self.change(Change::Tag(repository.clone(), tag.clone(), descriptor)).await
    }

    async fn list_tags(&self, repository: &Repository) -> Result<Vec<Tag>, ContentError> {
        Ok(self.tags(repository).await?.unwrap_or_default())
    }
}
