//! Content in memory: [`Memory`], the simplest place that follows all the rules. For tests and small generated images.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Repository, Selector, Tag};

use super::verify::{collect, verified};
use super::{
    BlobStream, ContentDelete, ContentError, ContentErrorKind, ContentRead, ContentWrite, TagRemoval,
    TagStore,
};

/// Repositories in memory.
#[derive(Debug, Default)]
pub struct Memory {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    blobs: BTreeMap<Digest, Bytes>,
    links: BTreeSet<(Repository, Digest)>,
    manifests: BTreeMap<(Repository, Digest), RawManifest>,
    tags: BTreeMap<(Repository, Tag), Digest>,
}

impl Memory {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

fn not_found(repository: &Repository, what: &dyn std::fmt::Display) -> ContentError {
    ContentError::new(format!("{repository}@{what}"), ContentErrorKind::NotFound)
}

#[async_trait]
impl ContentRead for Memory {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<RawManifest, ContentError> {
        let state = self.state();
        let digest = match selector {
            Selector::Digest(digest) => Some(digest),
            Selector::Tag(tag) => state.tags.get(&(repository.clone(), tag.clone())),
        };
        digest
            .and_then(|d| state.manifests.get(&(repository.clone(), d.clone())))
            .cloned()
            .ok_or_else(|| not_found(repository, selector))
    }

    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        let state = self.state();
        let linked = state.links.contains(&(repository.clone(), blob.digest.clone()));
        let bytes = state
            .blobs
            .get(&blob.digest)
            .filter(|_| linked)
            .ok_or_else(|| not_found(repository, &blob.digest))?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let rest = bytes.slice(start..);
        Ok(Box::pin(futures_util::stream::iter([Ok(rest)])))
    }
}

#[async_trait]
impl ContentWrite for Memory {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    async fn has_blob(&self, repository: &Repository, blob: &Descriptor) -> Result<bool, ContentError> {
        Ok(self.state().links.contains(&(repository.clone(), blob.digest.clone())))
    }

    async fn has_manifest(&self, repository: &Repository, digest: &Digest) -> Result<bool, ContentError> {
        Ok(self.state().manifests.contains_key(&(repository.clone(), digest.clone())))
    }

    async fn mount(
        &self,
        repository: &Repository,
        from: &Repository,
        blob: &Descriptor,
    ) -> Result<bool, ContentError> {
        let mut state = self.state();
        let held = state.links.contains(&(from.clone(), blob.digest.clone()));
        if held {
            state.links.insert((repository.clone(), blob.digest.clone()));
        }
        Ok(held)
    }

    async fn put_blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        body: BlobStream,
    ) -> Result<(), ContentError> {
        let bytes = collect(verified(body, blob, format!("{repository}@{}", blob.digest)), blob).await?;
        let mut state = self.state();
        state.blobs.insert(blob.digest.clone(), bytes);
        state.links.insert((repository.clone(), blob.digest.clone()));
        Ok(())
    }

    async fn put_manifest(
        &self,
        repository: &Repository,
        manifest: &RawManifest,
    ) -> Result<(), ContentError> {
        let mut state = self.state();
        if let Some(image) = manifest.image() {
            for blob in image.blobs() {
                if !state.links.contains(&(repository.clone(), blob.digest.clone())) {
                    let reason = format!("the manifest names `{}`, which is not there", blob.digest);
                    return Err(ContentError::new(repository.as_str(), ContentErrorKind::Incomplete(reason)));
                }
            }
        }
        state.manifests.insert((repository.clone(), manifest.digest().clone()), manifest.clone());
        Ok(())
    }
}

#[async_trait]
impl TagStore for Memory {
    async fn resolve_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<Option<Descriptor>, ContentError> {
        let state = self.state();
        let digest = state.tags.get(&(repository.clone(), tag.clone()));
        let manifest = digest.and_then(|d| state.manifests.get(&(repository.clone(), d.clone())));
        Ok(manifest.map(|m| m.descriptor().clone()))
    }

    async fn put_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
        manifest: &RawManifest,
    ) -> Result<(), ContentError> {
        self.put_manifest(repository, manifest).await?;
        self.state().tags.insert((repository.clone(), tag.clone()), manifest.digest().clone());
        Ok(())
    }

    async fn list_tags(&self, repository: &Repository) -> Result<Vec<Tag>, ContentError> {
        let state = self.state();
        let mut tags: Vec<Tag> =
            state.tags.keys().filter(|(of, _)| of == repository).map(|(_, tag)| tag.clone()).collect();
        tags.sort();
        Ok(tags)
    }
}

#[async_trait]
impl ContentDelete for Memory {
    async fn can_delete(&self, _repository: &Repository) -> Result<bool, ContentError> {
        Ok(true)
    }

    async fn delete_manifest(&self, repository: &Repository, digest: &Digest) -> Result<bool, ContentError> {
        let mut state = self.state();
        state.tags.retain(|(of, _), tagged| of != repository || tagged != digest);
        Ok(state.manifests.remove(&(repository.clone(), digest.clone())).is_some())
    }

    async fn delete_tag(&self, repository: &Repository, tag: &Tag) -> Result<TagRemoval, ContentError> {
        match self.state().tags.remove(&(repository.clone(), tag.clone())) {
            Some(_) => Ok(TagRemoval::Removed),
            None => Ok(TagRemoval::NotThere),
        }
    }
}
