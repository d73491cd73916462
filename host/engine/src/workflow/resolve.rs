//! Finds out all that an image consists of: [`resolve`] walks its manifests and fetches nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::ImageEntry;
use oc_mirror_model::manifest::{Descriptor, Manifest};
use oc_mirror_model::platform::Platform;
use oc_mirror_model::reference::Source;
use oc_mirror_model::request::{Destination, ImageRequest};

use super::images::{OpenImage, Origin, RunImages};
use crate::content::{ContentError, ContentErrorKind, ImageView};

/// Indexes may name indexes; real ones go two deep. The specification sets no limit, so this program does.
const MAX_DEPTH: usize = 8;

/// The most manifests below one image.
const MAX_MANIFESTS: usize = 10_000;

/// One image with all that it needs.
pub(super) struct ResolvedImage {
    /// What is planned, stored and published.
    pub entry: ImageEntry,
    /// Where its bytes are.
    pub origin: Arc<Origin>,
}

/// Resolves one request. Its digest is pinned from here on.
pub(super) async fn resolve(
    images: &RunImages,
    plugin: &str,
    request: ImageRequest,
) -> Result<ResolvedImage, ContentError> {
    let view = images.open_image(&source_of(&request)?).await?;
    walk(view, plugin, request).await
}

/// Resolves what lies beside an image. Signatures are not signed themselves, so no policy is asked.
pub(super) async fn resolve_companion(
    images: &RunImages,
    request: ImageRequest,
) -> Result<ResolvedImage, ContentError> {
    let view = images.open_companion(&source_of(&request)?).await?;
    walk(view, "", request).await
}

fn invalid(request: &ImageRequest, reason: String) -> ContentError {
    ContentError::new(request.origin.clone(), ContentErrorKind::Invalid(reason))
}

/// Returns where the image of a request is read.
pub(super) fn source_of(request: &ImageRequest) -> Result<Source, ContentError> {
    request.parsed_source().map_err(|e| invalid(request, e.to_string()))
}

async fn walk(view: OpenImage, plugin: &str, request: ImageRequest) -> Result<ResolvedImage, ContentError> {
    let mut walk = Walk { platforms: &request.platforms, ..Walk::default() };
    walk.visit(&view, 0).await?;
    let root = view.raw().descriptor().clone();
    if walk.matched == Some(false) {
        let wanted: Vec<String> = request.platforms.iter().map(Platform::to_string).collect();
        return Err(invalid(&request, format!("it has no image for {}", wanted.join(", "))));
    }
    let destination: Destination =
        request.destination(&root.digest).map_err(|e| invalid(&request, e.to_string()))?;
    let entry = ImageEntry {
        plugin: plugin.to_owned(),
        destination,
        root,
        manifests: walk.manifests.into(),
        blobs: walk.blobs.into(),
        sparse: walk.sparse,
        request,
    };
    Ok(ResolvedImage { entry, origin: Arc::new(view.origin) })
}

#[derive(Default)]
struct Walk<'a> {
    platforms: &'a [Platform],
    seen: BTreeSet<Digest>,
    manifests: Vec<Descriptor>,
    blobs: Vec<Descriptor>,
    /// Whether any image of an index matched the platforms; nothing if none had to.
    matched: Option<bool>,
    sparse: bool,
}

impl Walk<'_> {
    async fn visit(&mut self, image: &OpenImage, depth: usize) -> Result<(), ContentError> {
        let raw = image.raw().clone();
        if !self.seen.insert(raw.digest().clone()) {
            return Ok(());
        }
        if depth > MAX_DEPTH || self.seen.len() > MAX_MANIFESTS {
            let reason = format!(
                "indexes are nested deeper than {MAX_DEPTH} or name more than {MAX_MANIFESTS} manifests"
            );
            return Err(ContentError::new(image.reference(), ContentErrorKind::Invalid(reason)));
        }
        match raw.view() {
            Manifest::Image(manifest) => {
                for blob in manifest.blobs() {
                    if self.seen.insert(blob.digest.clone()) {
                        self.blobs.push(blob.clone());
                    }
                }
            }
            Manifest::Index(index) => {
                for child in &index.manifests {
                    if self.takes(child) {
                        let child = image.open_child(child).await?;
                        Box::pin(self.visit(&child, depth + 1)).await?;
                    } else {
                        self.sparse = true;
                    }
                }
            }
        }
        self.manifests.push(raw.descriptor().clone());
        Ok(())
    }

    /// A nested index without a platform of its own is looked into; its images decide.
    fn takes(&mut self, child: &Descriptor) -> bool {
        if self.platforms.is_empty() {
            return true;
        }
        let matched = self.matched.get_or_insert(false);
        match &child.platform {
            Some(platform) => {
                let takes = self.platforms.iter().any(|wanted| platform.satisfies(wanted));
                *matched |= takes;
                takes
            }
            None => oc_mirror_model::media_type::is_index(&child.media_type),
        }
    }
}
