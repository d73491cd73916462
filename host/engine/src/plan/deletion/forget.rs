//! What a record says once images are gone: [`without`].

use std::collections::{BTreeMap, BTreeSet};

use oc_mirror_model::digest::Digest;
use oc_mirror_model::metadata::Chain;
use oc_mirror_model::reference::Repository;
use oc_mirror_model::request::Destination;

/// Returns a record that no longer lists these images and no longer promises what only they needed where they were.
///
/// What a record promises too little is shipped again, and what it promises too much is missed: where it does not tell what
/// an image consists of, the promise goes.
pub fn without(chain: &Chain, gone: &BTreeSet<(Destination, Digest)>) -> Chain {
    let mut after = chain.clone();
    for imageset in &mut after.imagesets {
        imageset.images.retain(|image| !gone.contains(&(image.destination.clone(), image.digest.clone())));
    }
    let mut needed: BTreeMap<Repository, BTreeSet<Digest>> =
        gone.iter().map(|(destination, _)| (destination.repository.clone(), BTreeSet::new())).collect();
    for image in after.images() {
        let Some(needed) = needed.get_mut(&image.destination.repository) else { continue };
        if needed.insert(image.digest.clone()) {
            needed.extend(after.content_of(&image.digest).unwrap_or_default());
        }
    }
    for (digest, blob) in after.blobs.iter_mut() {
        blob.repositories.retain(|repository| needed.get(repository).is_none_or(|n| n.contains(digest)));
    }
    after.blobs.retain(|_, blob| !blob.repositories.is_empty());
    after
}
