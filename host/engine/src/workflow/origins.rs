//! [`Sources`]: where each manifest and blob of a run can be had.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::ImageEntry;

use super::images::Origin;

/// Where the content of images can be had.
///
/// All of an image is where its root is, but for the few that were found in two places, so that there is one note for an image and not
/// one for each of its blobs.
#[derive(Clone, Default)]
pub(super) struct Sources {
    /// By the digest of the root, with the number of the first image that has it.
    of_images: HashMap<Digest, (Arc<Origin>, usize)>,
    /// What is not there.
    elsewhere: HashMap<Digest, Arc<Origin>>,
}

impl Sources {
    /// Notes where all of an image can be had. A place that was noted before stays; `before` are all images of which that was said,
    /// in their order.
    pub(super) fn note(&mut self, image: &ImageEntry, from: &Arc<Origin>, before: &[ImageEntry]) {
        let Some((_, first)) = self.of_images.get(&image.root.digest) else {
            self.of_images.insert(image.root.digest.clone(), (from.clone(), before.len()));
            return;
        };
        // Another place may have other images of one index.
        let there: HashSet<&Digest> = content(&before[*first]).collect();
        for digest in content(image).filter(|digest| !there.contains(digest)) {
            self.elsewhere.entry(digest.clone()).or_insert_with(|| from.clone());
        }
    }

    /// Says that something was made in this run, and where it is.
    pub(super) fn made(&mut self, digest: &Digest, at: Origin) {
        self.elsewhere.insert(digest.clone(), Arc::new(at));
    }

    /// Returns where content of an image can be had.
    pub(super) fn of(&self, root: &Digest, content: &Digest) -> Option<&Arc<Origin>> {
        self.elsewhere.get(content).or_else(|| self.of_images.get(root).map(|(origin, _)| origin))
    }
}

fn content(image: &ImageEntry) -> impl Iterator<Item = &Digest> {
    image.manifests.iter().chain(&image.blobs).map(|content| &content.digest)
}

#[cfg(test)]
mod tests {
    use oc_mirror_model::attributes::Attributes;
    use oc_mirror_model::manifest::Descriptor;
    use oc_mirror_model::media_type;
    use oc_mirror_model::reference::Selector;
    use oc_mirror_model::request::ImageRequest;

    use super::*;
    use crate::content::memory::Memory;

    fn blob(text: &str) -> Descriptor {
        Descriptor::of(media_type::OCI_LAYER_GZIP, text.as_bytes())
    }

    /// An index of which these are taken, in a registry.
    fn image(registry: &str, taken: &[&str]) -> (ImageEntry, Arc<Origin>) {
        let root = Descriptor::of(media_type::OCI_INDEX, b"root");
        let request = ImageRequest {
            source: format!("{registry}/a:1"),
            origin: format!("{registry}/a:1"),
            kind: "additional".to_owned(),
            target_repository: None,
            target_tag: None,
            platforms: Vec::new(),
            with_referrers: false,
            provenance: Attributes::new(),
        };
        let origin = Origin {
            read: Arc::new(Memory::default()),
            repository: registry.parse().expect("a repository"),
            selector: Selector::Digest(root.digest.clone()),
        };
        let entry = ImageEntry {
            plugin: "additional".to_owned(),
            destination: request.destination(&root.digest).expect("a destination"),
            request,
            manifests: vec![root.clone()].into(),
            root,
            blobs: taken.iter().map(|text| blob(text)).collect(),
            sparse: true,
        };
        (entry, Arc::new(origin))
    }

    #[test]
    fn the_first_place_counts_and_others_for_what_it_lacks() {
        let ((one, first), (two, second)) = (image("one", &["a", "b"]), image("two", &["b", "c"]));
        let mut sources = Sources::default();
        sources.note(&one, &first, &[]);
        sources.note(&two, &second, std::slice::from_ref(&one));
        let of =
            |content: &Digest| sources.of(&one.root.digest, content).expect("noted").repository.to_string();
        let found = ["a", "b", "c"].map(|text| of(&blob(text).digest));
        assert_eq!(found, ["one", "one", "two"]);
        assert_eq!(of(&one.root.digest), "one");
        sources.made(&one.root.digest, (*second).clone());
        let made = sources.of(&one.root.digest, &one.root.digest).expect("made").repository.to_string();
        assert_eq!(made, "two");
        assert!(sources.of(&blob("a").digest, &blob("b").digest).is_none());
    }
}
