//! Makes images that other tools put into a layout part of its repositories, when it is opened for writing.

use std::collections::BTreeSet;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, Manifest, RawManifest};
use oc_mirror_model::reference::{Repository, Tag};

use super::index::{Change, split_name};
use super::links::Link;
use super::{Inner, Layout};
use crate::content::ContentError;

/// How deep an index may be within others.
const MAX_DEPTH: usize = 8;

/// How many manifests one image may have.
const MAX_MANIFESTS: usize = 10_000;

impl Layout {
    /// Links every image of `index.json` into a repository, unless it is there already.
    ///
    /// An image that cannot be read is left out with a warning: it could not be pulled either.
    pub(super) fn import(&self) -> Result<(), ContentError> {
        let images = self.images();
        let alone = images.len() == 1;
        for (name, descriptor) in images {
            let Some((repository, tag)) = self.place_of(name.as_deref(), alone) else { continue };
            if !self.inner.has_link(Link::Manifest, &repository, &descriptor.digest)
                && let Err(error) = self.inner.import(&repository, &descriptor)
            {
                tracing::warn!(image = ?name, %error, "an image of the layout cannot be served");
                continue;
            }
            if let Some(tag) = tag
                && self.index().tag(&repository, &tag).is_none()
            {
                let mut index = self.inner.index.write().expect("no holder of this lock panics");
                index.apply(Change::Tag(repository, tag, Box::new(descriptor)));
            }
        }
        Ok(())
    }

    /// Returns the repository and tag that an image is served under.
    fn place_of(&self, name: Option<&str>, alone: bool) -> Option<(Repository, Option<Tag>)> {
        if let Some((repository, tag)) = name.and_then(split_name) {
            return Some((repository, Some(tag)));
        }
        let by_digest = name.and_then(|n| n.split_once('@'));
        if let Some((repository, digest)) = by_digest
            && digest.parse::<Digest>().is_ok()
        {
            let repository = split_name(repository).map_or_else(|| repository.parse().ok(), |(r, _)| Some(r));
            return Some((repository?, None));
        }
        let tag = match name {
            Some(name) => name.parse().ok(),
            None if alone => "latest".parse().ok(),
            None => None,
        };
        Some((self.own_repository(), tag))
    }

    /// Returns the repository that is named like the directory, or `image` where that is no name for one.
    fn own_repository(&self) -> Repository {
        let path = self.path().canonicalize().unwrap_or_else(|_| self.path().to_owned());
        let name = path.file_name().and_then(|n| n.to_str()).map(str::to_ascii_lowercase);
        name.and_then(|n| n.parse().ok())
            .unwrap_or_else(|| "image".parse().expect("a plain word is a repository"))
    }
}

impl Inner {
    fn import(&self, repository: &Repository, top: &Descriptor) -> Result<(), ContentError> {
        let mut seen = BTreeSet::new();
        let mut found: Vec<RawManifest> = Vec::new();
        let mut open = vec![(top.clone(), 0)];
        while let Some((descriptor, depth)) = open.pop() {
            if !seen.insert(descriptor.digest.clone()) || seen.len() > MAX_MANIFESTS {
                continue;
            }
            let manifest = match self.load_manifest(&descriptor.digest, Some(&descriptor)) {
                // A sparse index names manifests that are not there.
                Err(error) if error.is_not_found() && depth > 0 => continue,
                other => other?,
            };
            if let Manifest::Index(index) = manifest.view()
                && depth < MAX_DEPTH
            {
                let children = index.manifests.iter().filter(|d| d.is_manifest());
                open.extend(children.map(|d| (d.clone(), depth + 1)));
            }
            found.push(manifest);
        }
        // Parents come last, so that what is linked is complete even if this is broken off.
        for manifest in found.iter().rev() {
            for blob in manifest.image().into_iter().flat_map(|i| i.blobs()) {
                if self.blob_path(&blob.digest).is_file() {
                    self.link_blob(repository, &blob.digest)?;
                }
            }
            self.link_manifest(repository, manifest)?;
        }
        Ok(())
    }
}
