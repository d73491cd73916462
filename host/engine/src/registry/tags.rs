//! Tags: resolving, putting, listing; and deleting manifests.

use async_trait::async_trait;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Repository, Selector, Tag};
use reqwest::Method;

use super::answer::MAX_ERROR_BYTES;
use super::auth::Scope;
use super::client::Client;
use super::transport::Call;
use crate::content::{ContentError, ContentErrorKind, ContentWrite, TagStore};

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
