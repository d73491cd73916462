//! Finds out what is at the target: [`Survey`]. Nothing is changed.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::reference::{Repository, Selector, Tag};

use crate::content::{ContentError, ContentRead};
use crate::transfer::publish::Endpoint;

/// How deep indexes may be within each other.
const MAX_DEPTH: usize = 8;

/// All that an image consists of, itself included.
pub(super) type Content = BTreeMap<Digest, Descriptor>;

/// Asks the target.
pub(super) struct Survey<'a> {
    pub(super) endpoint: &'a dyn Endpoint,
    /// How many requests are under way at once.
    pub(super) parallel: usize,
}

impl Survey<'_> {
    /// Returns all tags of a repository, with what they point at.
    pub(super) async fn tags(&self, repository: &Repository) -> Result<BTreeMap<Tag, Digest>, ContentError> {
        let tags = self.endpoint.list_tags(repository).await?;
        let found: Vec<(Tag, Option<Descriptor>)> = stream::iter(tags)
            .map(|tag| async move {
                let found = self.endpoint.resolve_tag(repository, &tag).await?;
                Ok::<_, ContentError>((tag, found))
            })
            .buffer_unordered(self.parallel)
            .try_collect()
            .await?;
        Ok(found.into_iter().filter_map(|(tag, found)| Some((tag, found?.digest))).collect())
    }

    /// Reads what images consist of. What is not there consists of nothing.
    pub(super) async fn contents(
        &self,
        repository: &Repository,
        roots: BTreeSet<Digest>,
    ) -> Result<BTreeMap<Digest, Content>, ContentError> {
        stream::iter(roots)
            .map(|root| async move {
                let content = self.content(repository, &root).await?;
                Ok::<_, ContentError>((root, content))
            })
            .buffer_unordered(self.parallel)
            .try_collect()
            .await
    }

    async fn content(&self, repository: &Repository, root: &Digest) -> Result<Content, ContentError> {
        let mut content = Content::new();
        let mut open = vec![(root.clone(), 0)];
        while let Some((digest, depth)) = open.pop() {
            if content.contains_key(&digest) || depth > MAX_DEPTH {
                continue;
            }
            let endpoint: &dyn ContentRead = self.endpoint;
            let manifest = match endpoint.manifest(repository, &Selector::Digest(digest.clone())).await {
                Ok(manifest) => manifest,
                // A platform that was not mirrored.
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error),
            };
            content.insert(digest, manifest.descriptor().clone());
            if let Some(index) = manifest.index() {
                open.extend(index.manifests.iter().map(|child| (child.digest.clone(), depth + 1)));
            }
            let blobs = manifest.image().into_iter().flat_map(|image| image.blobs());
            content.extend(blobs.map(|blob| (blob.digest.clone(), blob.clone())));
        }
        Ok(content)
    }
}
