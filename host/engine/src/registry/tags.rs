//! Tags: resolving, putting, listing; and deleting manifests and tags.

use async_trait::async_trait;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Repository, Selector, Tag};
use reqwest::Method;

use super::answer::MAX_ERROR_BYTES;
use super::auth::Scope;
use super::client::Client;
use super::transport::Call;
use crate::content::{ContentDelete, ContentError, ContentErrorKind, ContentWrite, TagRemoval, TagStore};

/// What nobody has: its digest is asked to be deleted, to see whether the registry deletes at all.
const NOBODY: &[u8] = b"oc-mirror: a manifest that is not there, deleted to see whether that is allowed";

#[async_trait]
impl TagStore for Client {
    async fn resolve_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<Option<Descriptor>, ContentError> {
        self.head_manifest(repository, &Selector::Tag(tag.clone())).await
    }

    async fn put_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
        manifest: &RawManifest,
    ) -> Result<(), ContentError> {
        let subject = self.subject(repository, ':', tag);
        let error = match self.put_reference(repository, tag.as_str(), manifest, &subject).await {
            // Nexus and Artifactory deny what others refuse.
            Err(error) if matches!(error.kind(), ContentErrorKind::Refused(_) | ContentErrorKind::Denied) => {
                error
            }
            other => return other,
        };
        // A registry with immutable tags refuses even what is there already; then all is as it should be.
        match self.resolve_tag(repository, tag).await {
            Ok(Some(there)) if there.digest == *manifest.digest() => Ok(()),
            // Where the manifest itself is taken, it is the tag that must not move.
            Ok(Some(there)) if self.put_manifest(repository, manifest).await.is_ok() => {
                let kind = ContentErrorKind::ImmutableTag { tag: tag.clone(), there: there.digest };
                Err(ContentError::with_source(subject, kind, error))
            }
            _ => Err(error),
        }
    }

    async fn list_tags(&self, repository: &Repository) -> Result<Vec<Tag>, ContentError> {
        match self.tags(repository, None, None).await {
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            other => other,
        }
    }
}

impl Client {
    /// Deletes a manifest. `false`: it is not there. Many registries do not allow it at all.
    pub async fn delete_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, ContentError> {
        let subject = self.subject(repository, '@', digest);
        let scope = Scope::delete(repository);
        let call = Call::new(Method::DELETE, format!("{repository}/manifests/{digest}"), &scope, &subject);
        let answer = self.transport.small(&call, MAX_ERROR_BYTES).await?;
        match answer.status.as_u16() {
            200 | 202 | 204 => Ok(true),
            404 => Ok(false),
            _ => Err(answer.error(&subject)),
        }
    }
}

#[async_trait]
impl ContentDelete for Client {
    /// Asks for a manifest to be deleted that nobody can have. A registry that deletes says that it is not there, one that
    /// does not says that.
    async fn can_delete(&self, repository: &Repository) -> Result<bool, ContentError> {
        let digest = Digest::of(NOBODY);
        let subject = repository_of(self, repository);
        let scope = Scope::delete(repository);
        let call = Call::new(Method::DELETE, format!("{repository}/manifests/{digest}"), &scope, &subject);
        let answer = self.transport.small(&call, MAX_ERROR_BYTES).await?;
        let unsupported = answer.answer().has_code(&["UNSUPPORTED"]);
        match answer.status.as_u16() {
            405 | 501 => Ok(false),
            400..=499 if unsupported => Ok(false),
            200 | 202 | 204 | 404 => Ok(true),
            _ => Err(answer.error(&subject)),
        }
    }

    async fn delete_manifest(&self, repository: &Repository, digest: &Digest) -> Result<bool, ContentError> {
        Self::delete_manifest(self, repository, digest).await
    }

    async fn delete_tag(&self, repository: &Repository, tag: &Tag) -> Result<TagRemoval, ContentError> {
        let subject = self.subject(repository, ':', tag);
        let scope = Scope::delete(repository);
        let call = Call::new(Method::DELETE, format!("{repository}/manifests/{tag}"), &scope, &subject);
        let answer = self.transport.small(&call, MAX_ERROR_BYTES).await?;
        match answer.status.as_u16() {
            200 | 202 | 204 => Ok(TagRemoval::Removed),
            404 => Ok(TagRemoval::NotThere),
            // docker-registry 2.8 takes a tag for a malformed digest, and says so.
            400 | 405 | 501 => Ok(TagRemoval::Unsupported),
            _ => Err(answer.error(&subject)),
        }
    }
}

fn repository_of(client: &Client, repository: &Repository) -> String {
    format!("{}/{repository}", client.registry())
}
