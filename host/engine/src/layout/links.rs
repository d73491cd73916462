//! What belongs to one repository of a layout: membership of blobs and manifests, tags, referrers.
//!
//! The functions that change something fail on a layout that was opened for reading.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, Manifest, RawManifest};
use oc_mirror_model::reference::{Repository, Tag};

use super::index::Change;
use super::{Inner, Layout, blocking, is_missing, read_capped};
use crate::content::{ContentError, ContentErrorKind};

/// The own directory within a layout.
pub(super) const OWN: &str = ".oc-mirror";

/// The largest link that is read: annotations of a referrer are in it.
const MAX_LINK_BYTES: u64 = 1 << 20;

/// What a link is to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Link {
    Blob,
    Manifest,
}

impl Link {
    fn directory(self) -> &'static str {
        match self {
            Self::Blob => "_blobs",
            Self::Manifest => "_manifests",
        }
    }

    pub(super) fn relative(self, repository: &Repository, digest: &Digest) -> String {
        let (algorithm, hex) = (digest.algorithm().as_str(), digest.hex());
        format!("{OWN}/repositories/{repository}/{}/{algorithm}/{hex}", self.directory())
    }
}

fn referrers_of(repository: &Repository, subject: &Digest) -> String {
    let (algorithm, hex) = (subject.algorithm().as_str(), subject.hex());
    format!("{OWN}/repositories/{repository}/_referrers/{algorithm}-{hex}")
}

impl Layout {
    /// Returns the size of a blob of a repository; nothing if the repository does not have it.
    pub async fn blob_size(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<u64>, ContentError> {
        let (inner, repository, digest) = (self.inner.clone(), repository.clone(), digest.clone());
        blocking(move || inner.linked_blob(&repository, &digest)).await
    }

    /// Returns the descriptor of a manifest of a repository; nothing if the repository does not have it.
    pub async fn manifest_descriptor(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<Descriptor>, ContentError> {
        let (inner, repository, digest) = (self.inner.clone(), repository.clone(), digest.clone());
        blocking(move || inner.linked_manifest(&repository, &digest)).await
    }

    /// Reads a manifest of a repository; nothing if the repository does not have it.
    pub async fn repository_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<RawManifest>, ContentError> {
        let (inner, repository, digest) = (self.inner.clone(), repository.clone(), digest.clone());
        blocking(move || {
            let Some(descriptor) = inner.linked_manifest(&repository, &digest)? else { return Ok(None) };
            inner.load_manifest(&digest, Some(&descriptor)).map(Some)
        })
        .await
    }

    /// Returns the tags of a repository, sorted; nothing if there is no such repository.
    pub async fn tags(&self, repository: &Repository) -> Result<Option<Vec<Tag>>, ContentError> {
        let tags: Vec<Tag> = self.index().tags(repository).map(|(tag, _)| tag.clone()).collect();
        if !tags.is_empty() {
            return Ok(Some(tags));
        }
        let (inner, repository) = (self.inner.clone(), repository.clone());
        blocking(move || Ok(inner.has_repository(&repository).then(Vec::new))).await
    }

    /// Returns all repositories, sorted.
    pub async fn repositories(&self) -> Result<BTreeSet<Repository>, ContentError> {
        let inner = self.inner.clone();
        blocking(move || {
            let top = inner.root.path().join(OWN).join("repositories");
            let mut found = BTreeSet::new();
            walk(&top, &top, &mut found)
                .map_err(|e| ContentError::disk(top.display().to_string(), "cannot be listed", e))?;
            Ok(found)
        })
        .await
    }

    /// Returns the descriptors of manifests of a repository that have the digest as their subject.
    pub async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, ContentError> {
        let (inner, directory) = (self.inner.clone(), referrers_of(repository, subject));
        blocking(move || inner.referrers(&directory)).await
    }

    /// Removes a manifest from a repository, and the tags that point at it. `false`: it was not there.
    pub async fn remove_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, ContentError> {
        self.writer()?;
        let tags: Vec<Tag> = {
            let index = self.index();
            let tags = index.tags(repository).filter(|(_, d)| d.digest == *digest);
            tags.map(|(tag, _)| tag.clone()).collect()
        };
        for tag in tags {
            self.change(Change::Untag(repository.clone(), tag)).await?;
        }
        let (inner, repository, digest) = (self.inner.clone(), repository.clone(), digest.clone());
        blocking(move || {
            let Some(descriptor) = inner.linked_manifest(&repository, &digest)? else { return Ok(false) };
            // A manifest that cannot be read any more can still be removed.
            if let Ok(manifest) = inner.load_manifest(&digest, Some(&descriptor))
                && let Some(subject) = subject_of(&manifest)
            {
                let (algorithm, hex) = (digest.algorithm().as_str(), digest.hex());
                let directory = referrers_of(&repository, &subject.digest);
                inner.unlink(&format!("{directory}/{algorithm}-{hex}"))?;
            }
            inner.unlink(&Link::Manifest.relative(&repository, &digest))
        })
        .await
    }

    /// Removes a tag; the manifest stays. `false`: it was not there.
    pub async fn remove_tag(&self, repository: &Repository, tag: &Tag) -> Result<bool, ContentError> {
        self.writer()?;
        if self.index().tag(repository, tag).is_none() {
            return Ok(false);
        }
        self.change(Change::Untag(repository.clone(), tag.clone())).await?;
        Ok(true)
    }

    /// Removes a blob from a repository; its bytes stay for others. `false`: it was not there.
    pub async fn remove_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, ContentError> {
        self.writer()?;
        let (inner, link) = (self.inner.clone(), Link::Blob.relative(repository, digest));
        blocking(move || inner.unlink(&link)).await
    }
}

impl Inner {
    pub(super) fn linked_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<u64>, ContentError> {
        if !self.has_link(Link::Blob, repository, digest) {
            return Ok(None);
        }
        let Some(file) = self.blob_file(digest)? else { return Ok(None) };
        let metadata = file.metadata();
        metadata
            .map(|m| Some(m.len()))
            .map_err(|e| ContentError::disk(self.subject(digest), "cannot read the blob's size", e))
    }

    pub(super) fn has_link(&self, link: Link, repository: &Repository, digest: &Digest) -> bool {
        self.root.path().join(link.relative(repository, digest)).is_file()
    }

    pub(super) fn linked_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<Descriptor>, ContentError> {
        self.read_link(&Link::Manifest.relative(repository, digest))
    }

    fn read_link(&self, relative: &str) -> Result<Option<Descriptor>, ContentError> {
        let subject = || self.root.path().join(relative).display().to_string();
        let file = match self.root.file(relative) {
            Ok(file) => file,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(ContentError::disk(subject(), "cannot open the link", error)),
        };
        let bytes = read_capped(file, MAX_LINK_BYTES)
            .map_err(|e| ContentError::disk(subject(), "cannot read the link", e))?;
        serde_json::from_slice(&bytes).map(Some).map_err(|e| {
            let kind = ContentErrorKind::Invalid("the link is damaged".to_owned());
            ContentError::with_source(subject(), kind, e)
        })
    }

    fn has_repository(&self, repository: &Repository) -> bool {
        let directory = self.root.path().join(OWN).join("repositories").join(repository.as_str());
        directory.join("_manifests").is_dir() || directory.join("_blobs").is_dir()
    }

    fn referrers(&self, directory: &str) -> Result<Vec<Descriptor>, ContentError> {
        let path = self.root.path().join(directory);
        let failed = |e| ContentError::disk(path.display().to_string(), "cannot be listed", e);
        let listed = match fs::read_dir(&path) {
            Ok(listed) => listed,
            Err(error) if is_missing(&error) => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut names = BTreeSet::new();
        for entry in listed {
            if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
                names.insert(name);
            }
        }
        let read = names.into_iter().map(|name| self.read_link(&format!("{directory}/{name}")));
        read.filter_map(Result::transpose).collect()
    }

    /// Makes a blob part of a repository.
    pub(super) fn link_blob(&self, repository: &Repository, digest: &Digest) -> Result<(), ContentError> {
        let path = self.root.path().join(Link::Blob.relative(repository, digest));
        make_parent(&path)
            .and_then(|()| fs::File::create(&path).map(drop))
            .map_err(|e| ContentError::disk(path.display().to_string(), "cannot make the link", e))
    }

    /// Makes a manifest, whose bytes are there, part of a repository.
    pub(super) fn link_manifest(
        &self,
        repository: &Repository,
        manifest: &RawManifest,
    ) -> Result<(), ContentError> {
        let digest = manifest.digest();
        self.write_link(&Link::Manifest.relative(repository, digest), manifest.descriptor())?;
        let Some(subject) = subject_of(manifest) else { return Ok(()) };
        let (algorithm, hex) = (digest.algorithm().as_str(), digest.hex());
        let link = format!("{}/{algorithm}-{hex}", referrers_of(repository, &subject.digest));
        self.write_link(&link, &as_referrer(manifest))
    }

    fn write_link(&self, relative: &str, descriptor: &Descriptor) -> Result<(), ContentError> {
        let path = self.root.path().join(relative);
        let bytes = serde_json::to_vec(descriptor).expect("a descriptor is always JSON");
        let write = || -> io::Result<()> {
            make_parent(&path)?;
            let uploads = self.root.path().join(OWN).join("uploads");
            let mut file = tempfile::Builder::new().prefix("link-").tempfile_in(uploads)?;
            io::Write::write_all(&mut file, &bytes)?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(|e| ContentError::disk(path.display().to_string(), "cannot make the link", e))
    }

    fn unlink(&self, relative: &str) -> Result<bool, ContentError> {
        match fs::remove_file(self.root.path().join(relative)) {
            Ok(()) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => {
                let path = self.root.path().join(relative).display().to_string();
                Err(ContentError::disk(path, "cannot remove the link", error))
            }
        }
    }
}

/// Returns what a manifest refers to.
pub(crate) fn subject_of(manifest: &RawManifest) -> Option<&Descriptor> {
    match manifest.view() {
        Manifest::Image(image) => image.subject.as_ref(),
        Manifest::Index(index) => index.subject.as_ref(),
    }
}

/// Describes a manifest the way the list of referrers has it: with the kind of artifact and its annotations.
pub(crate) fn as_referrer(manifest: &RawManifest) -> Descriptor {
    let mut descriptor = manifest.descriptor().clone();
    match manifest.view() {
        Manifest::Image(image) => {
            descriptor.artifact_type.get_or_insert_with(|| image.config.media_type.clone());
            descriptor.annotations = image.annotations.clone();
        }
        Manifest::Index(index) => descriptor.annotations = index.annotations.clone(),
    }
    descriptor
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

fn walk(top: &Path, directory: &PathBuf, found: &mut BTreeSet<Repository>) -> io::Result<()> {
    let listed = match fs::read_dir(directory) {
        Ok(listed) => listed,
        Err(error) if is_missing(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in listed {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        // Names of repositories never begin with `_`; those directories are ours.
        if entry.file_name().to_string_lossy().starts_with('_') {
            let repository = directory.strip_prefix(top).ok().and_then(Path::to_str);
            found.extend(repository.and_then(|text| text.parse::<Repository>().ok()));
        } else {
            walk(top, &entry.path(), found)?;
        }
    }
    Ok(())
}

impl Layout {
    pub(super) fn writer(&self) -> Result<&super::Writer, ContentError> {
        let reason = || "the layout was opened for reading only".to_owned();
        self.inner.writer.as_ref().ok_or_else(|| self.error(ContentErrorKind::Refused(reason())))
    }
}
