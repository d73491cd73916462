//! Resources for clusters, [`documents`]: pure functions from the chain's record at a target to YAML that tells clusters
//! where mirrored content is. Reads and writes nothing.
//!
//! | file | what |
//! |---|---|
//! | `idms-oc-mirror.yaml` | images that are pulled by digest, and where they are now |
//! | `itms-oc-mirror.yaml` | the same for images that are pulled by tag |
//! | `cs-<repository>-<suffix>.yaml` | a catalog, for OLM |
//! | `cc-<repository>-<suffix>.yaml` | a catalog, for OLM v1 |
//! | `updateService.yaml` | the update graph, where there are releases |
//!
//! All of the chain is in them: what an earlier imageset brought is still at the target. Equal records make equal bytes, so
//! that applying them again changes nothing.

mod catalog_name;
mod catalog_source;
mod cluster_catalog;
mod mirror_set;
mod update_service;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use oc_mirror_model::metadata::{Chain, ImageRecord};
use oc_mirror_model::reference::Registry;
use oc_mirror_model::request::{Destination, kind};

/// Says in each document that this program made it. A version or a time would change without a reason.
const CREATED_BY: (&str, &str) = ("createdBy", "oc-mirror");

/// What the documents are made of.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The registry that was published to.
    pub registry: &'a Registry,
    /// The chain's record there: its repositories are whole.
    pub chain: &'a Chain,
    /// True if paths were joined by `--max-nested-paths`, so that no namespace is as it was.
    pub joined_paths: bool,
    /// Templates of CatalogSources by where their catalog is.
    pub templates: &'a BTreeMap<Destination, String>,
}

/// The documents for a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Documents {
    /// The files by name. Nothing of a kind makes no file.
    pub files: BTreeMap<String, String>,
    /// What could not be said as it should.
    pub warnings: Vec<String>,
    /// What was named otherwise than users may expect.
    pub notes: Vec<String>,
}

/// One image at the target.
#[derive(Clone, Copy, Debug)]
struct Mirrored<'a> {
    image: &'a ImageRecord,
    /// The sequence that something was first published with in this place.
    first: u64,
}

/// Makes the documents of everything that the chain brought to the target.
pub fn documents(facts: &Facts<'_>) -> Documents {
    let images = at_target(facts.chain);
    let mut documents = Documents::default();
    mirror_set::add(facts, &images, &mut documents);
    for (name, catalog) in catalog_name::of_all(&images, &mut documents.notes) {
        let image = name_of(facts.registry, &catalog.destination);
        let template = facts.templates.get(&catalog.destination).map(String::as_str);
        catalog_source::add(&name, &image, template, &mut documents);
        cluster_catalog::add(&name, &image, &mut documents);
    }
    update_service::add(facts.registry, &images, &mut documents);
    documents
}

/// Answers whether a file is one that [`documents`] made, so that it may be removed when it is no longer among them.
pub fn is_ours(name: &str, text: &str) -> bool {
    let fixed = [mirror_set::IDMS_FILE, mirror_set::ITMS_FILE, update_service::FILE];
    let catalogs = [catalog_source::PREFIX, cluster_catalog::PREFIX];
    let named = catalogs.iter().any(|prefix| name.starts_with(prefix)) && name.ends_with(".yaml");
    let (key, value) = CREATED_BY;
    // Users may keep others beside them.
    (fixed.contains(&name) || named) && text.lines().any(|line| line.trim() == format!("{key}: {value}"))
}

/// Returns what is at the target, by place. Of two images in one place, only the later is there.
fn at_target(chain: &Chain) -> Vec<Mirrored<'_>> {
    let mut images: BTreeMap<&Destination, Mirrored<'_>> = BTreeMap::new();
    for imageset in &chain.imagesets {
        for image in &imageset.images {
            let new = Mirrored { image, first: imageset.sequence };
            images.entry(&image.destination).and_modify(|there| there.image = image).or_insert(new);
        }
    }
    images.into_values().collect()
}

/// Returns the images of a kind.
fn of_kind<'a>(images: &[Mirrored<'a>], kind: &'static str) -> impl Iterator<Item = Mirrored<'a>> {
    images.iter().copied().filter(move |m| m.image.kind == kind)
}

/// Answers whether this is what the host found beside an image: clusters look for it where the image is.
fn is_companion(image: &ImageRecord) -> bool {
    [kind::SIGNATURE, kind::ATTESTATION, kind::SBOM, kind::REFERRERS].contains(&image.kind.as_str())
}

fn name_of(registry: &Registry, destination: &Destination) -> String {
    format!("{registry}/{}:{}", destination.repository, destination.tag)
}
