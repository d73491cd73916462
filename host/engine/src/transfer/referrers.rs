//! Puts lists of referrers where clients look for them: in the registry's own list, or else under the tag that stands in
//! for it.
//!
//! The tag is everybody's: what stands in the list already stays, and a list that has ours in it is left as it is. Nobody
//! can lock it, so of two that write at once one may lose; the next run sees that, and repairs it.

use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, InvalidManifest, RawManifest};
use oc_mirror_model::media_type;
use oc_mirror_model::reference::Selector;
use oc_mirror_model::referrers;

use super::publish::{PublishImage, Publisher};
use crate::content::{ContentError, ContentErrorKind};

/// What makes an image a list of referrers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferrersOf {
    /// The manifest that they refer to.
    pub subject: Digest,
    /// What the list names; its other manifests are below these.
    pub listed: Vec<Digest>,
    /// Whether the tag is wanted even where the registry keeps the list itself.
    pub tagged: bool,
}

impl Publisher {
    /// Publishes the referrers, and then sees to it that they are found.
    pub(super) async fn publish_referrers(
        &self,
        image: &PublishImage,
        of: &ReferrersOf,
    ) -> Result<(), ContentError> {
        let mut below = image.clone();
        below.manifests = image.manifests.iter().filter(|m| m.digest != image.root.digest).cloned().collect();
        if self.has_manifests(&below).await? && self.is_listed(image, of).await? {
            self.count_in_place(image);
            return Ok(());
        }
        let manifests = self.manifests(&below).await?;
        self.bring_blobs(&below).await?;
        for manifest in &manifests {
            self.put_manifest(image, manifest).await?;
        }
        // A registry with a list of its own has them in it by now.
        if self.is_listed(image, of).await? {
            return Ok(());
        }
        let ours = self.own_list(image, of, &manifests).await?;
        let list = match self.list_at_target(image, of).await? {
            Some(theirs) => referrers::unite(&theirs, &ours).map_err(|e| unusable(image, e))?,
            None => ours,
        };
        self.put_root(image, &list).await
    }

    /// Answers whether a client at the target finds all of the list.
    async fn is_listed(&self, image: &PublishImage, of: &ReferrersOf) -> Result<bool, ContentError> {
        let names = |list: &[Descriptor]| of.listed.iter().all(|d| list.iter().any(|l| l.digest == *d));
        if !of.tagged {
            let kept = self.target.list_referrers(&image.repository, &of.subject).await?;
            if kept.is_some_and(|kept| names(&kept)) {
                return Ok(true);
            }
        }
        let list = self.list_at_target(image, of).await?;
        Ok(list.is_some_and(|list| list.index().is_some_and(|index| names(&index.manifests))))
    }

    /// Reads what is under the tag, if it is a list. An image that was mirrored by its digest alone bears the same tag.
    async fn list_at_target(
        &self,
        image: &PublishImage,
        of: &ReferrersOf,
    ) -> Result<Option<RawManifest>, ContentError> {
        match self.target.manifest(&image.repository, &Selector::Tag(image.tag.clone())).await {
            Ok(list) => {
                let is_list = *list.digest() != of.subject && list.media_type() == media_type::OCI_INDEX;
                Ok(is_list.then_some(list))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns our list. A target that never needed it, since it keeps lists itself, may not have what the record says;
    /// then it is made of what it names.
    async fn own_list(
        &self,
        image: &PublishImage,
        of: &ReferrersOf,
        manifests: &[RawManifest],
    ) -> Result<RawManifest, ContentError> {
        if let Ok(list) = self.manifest(image, &image.root).await {
            return Ok(list);
        }
        let named = manifests.iter().filter(|m| of.listed.contains(m.digest()));
        referrers::list(named.map(|m| m.descriptor().clone()).collect()).map_err(|e| unusable(image, e))
    }
}

fn unusable(image: &PublishImage, error: InvalidManifest) -> ContentError {
    let reason = "the list of its referrers cannot be made".to_owned();
    ContentError::with_source(image.origin.clone(), ContentErrorKind::Invalid(reason), error)
}
