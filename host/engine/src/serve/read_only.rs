//! Any content as a registry that can only be pulled from: [`ReadOnly`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Repository, Selector, Tag};

use super::Backend;
use crate::content::{BlobStream, ContentError, ContentErrorKind, ContentRead};
use crate::layout::{as_referrer, subject_of};

/// How deep an index may be within others.
const MAX_DEPTH: usize = 8;

/// Content with a table of what belongs to which repository.
pub struct ReadOnly {
    content: Arc<dyn ContentRead>,
    repositories: BTreeMap<Repository, Table>,
}

/// What one repository has.
#[derive(Default)]
struct Table {
    tags: BTreeMap<Tag, Digest>,
    manifests: BTreeSet<Digest>,
    blobs: BTreeMap<Digest, Descriptor>,
    referrers: BTreeMap<Digest, Vec<Descriptor>>,
}

impl ReadOnly {
    /// Makes a registry of images: for each its repository, its tag if it has one, and the manifest's digest.
    ///
    /// Every manifest is read once. What the content does not have is not served: manifests of other platforms,
    /// or those that an earlier imageset carried.
    pub async fn new(
        content: Arc<dyn ContentRead>,
        images: impl IntoIterator<Item = (Repository, Option<Tag>, Digest)>,
    ) -> Result<Self, ContentError> {
        let mut repositories: BTreeMap<Repository, Table> = BTreeMap::new();
        for (repository, tag, digest) in images {
            let table = repositories.entry(repository.clone()).or_default();
            table.fill(content.as_ref(), &repository, &digest).await?;
            if let Some(tag) = tag
                && table.manifests.contains(&digest)
            {
                table.tags.insert(tag, digest);
            }
        }
        Ok(Self { content, repositories })
    }
}

impl Table {
    async fn fill(
        &mut self,
        content: &dyn ContentRead,
        repository: &Repository,
        top: &Digest,
    ) -> Result<(), ContentError> {
        let mut open = vec![(top.clone(), 0)];
        while let Some((digest, depth)) = open.pop() {
            if self.manifests.contains(&digest) {
                continue;
            }
            let manifest = match content.manifest(repository, &Selector::Digest(digest.clone())).await {
                Err(error) if error.is_not_found() => continue,
                other => other?,
            };
            if let Some(index) = manifest.index()
                && depth < MAX_DEPTH
            {
                let children = index.manifests.iter().filter(|d| d.is_manifest());
                open.extend(children.map(|d| (d.digest.clone(), depth + 1)));
            }
            for blob in manifest.image().into_iter().flat_map(|i| i.blobs()) {
                self.blobs.insert(blob.digest.clone(), blob.clone());
            }
            if let Some(subject) = subject_of(&manifest) {
                self.referrers.entry(subject.digest.clone()).or_default().push(as_referrer(&manifest));
            }
            self.manifests.insert(digest);
        }
        Ok(())
    }
}

#[async_trait]
impl Backend for ReadOnly {
    fn name(&self) -> String {
        self.content.name()
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<Option<RawManifest>, ContentError> {
        let Some(table) = self.repositories.get(repository) else { return Ok(None) };
        let digest = match selector {
            Selector::Digest(digest) => table.manifests.get(digest),
            Selector::Tag(tag) => table.tags.get(tag),
        };
        let Some(digest) = digest else { return Ok(None) };
        self.content.manifest(repository, &Selector::Digest(digest.clone())).await.map(Some)
    }

    async fn blob_size(&self, repository: &Repository, digest: &Digest) -> Result<Option<u64>, ContentError> {
        let blob = self.repositories.get(repository).and_then(|table| table.blobs.get(digest));
        let Some(blob) = blob else { return Ok(None) };
        // Manifests name blobs that only an earlier imageset has; opening one tells.
        match self.content.blob(repository, blob, 0).await {
            Ok(_) => Ok(Some(blob.size)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        let known = self.repositories.get(repository).and_then(|table| table.blobs.get(&blob.digest));
        let known =
            known.ok_or_else(|| ContentError::new(blob.digest.to_string(), ContentErrorKind::NotFound))?;
        self.content.blob(repository, known, offset).await
    }

    async fn tags(&self, repository: &Repository) -> Result<Option<Vec<Tag>>, ContentError> {
        Ok(self.repositories.get(repository).map(|table| table.tags.keys().cloned().collect()))
    }

    async fn repositories(&self) -> Result<Vec<Repository>, ContentError> {
        Ok(self.repositories.keys().cloned().collect())
    }

    async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, ContentError> {
        let table = self.repositories.get(repository);
        Ok(table.and_then(|t| t.referrers.get(subject)).cloned().unwrap_or_default())
    }
}
