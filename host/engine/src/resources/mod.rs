//! Resources for clusters, [`documents`]: pure functions from the chain's record at a target to YAML that tells clusters
//! where mirrored content is. Reads and writes nothing.
//!
//! | file | what |
//! |---|---|
//! | `idms-oc-mirror.yaml` | images that are pulled by digest, and where they are now |
//! | `itms-oc-mirror.yaml` | the same for images that are pulled by tag |
//! | `imageContentSourcePolicy.yaml` | instead of these two, for clusters before 4.13 |
//! | `cs-<repository>-<suffix>.yaml` | a catalog, for OLM |
//! | `cc-<repository>-<suffix>.yaml` | a catalog, for OLM v1 |
//! | `updateService.yaml` | the update graph, where there are releases |
//! | `signature-configmap.yaml`, `.json` | signatures of the releases, twice the same |
//!
//! All of the chain is in them: what an earlier imageset brought is still at the target. Equal records make equal bytes, so
//! that applying them again changes nothing.

mod catalog_name;
mod catalog_source;
mod cluster_catalog;
mod mirror_set;
mod names;
mod signatures;
mod update_service;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use oc_mirror_model::metadata::{Chain, ImageRecord};
use oc_mirror_model::reference::Registry;
use oc_mirror_model::request::{Destination, kind};
use serde_json::Value;

pub use mirror_set::SourcePolicy;
pub use names::{InvalidName, Name, Names, Suffix};

/// Says in each document that this program made it. A version or a time would change without a reason.
const CREATED_BY: (&str, &str) = ("createdBy", "oc-mirror");
/// Each document stays below this many bytes: `oc apply` keeps a copy in an annotation of at most 256 KiB, as JSON.
const LARGEST: usize = 250_000;

/// What the documents are made of.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The registry that was published to.
    pub registry: &'a Registry,
    /// The chain's record there: its repositories are whole.
    pub chain: &'a Chain,
    /// True if paths were joined by `--max-nested-paths`, so that no namespace is as it was.
    pub joined_paths: bool,
    /// How the user wants them.
    pub preferences: &'a Preferences,
}

/// How a user wants the documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preferences {
    /// Whether to make ImageContentSourcePolicies instead of mirror sets. If nothing is said, they are made where the last
    /// imageset's configuration is of `v1alpha2`, as oc-mirror v1 does.
    pub icsp: Option<bool>,
    /// Whether clusters may pull from where images came from, if the mirror has them not. Clusters may if nothing is said.
    pub source_policy: Option<SourcePolicy>,
    /// Names besides the usual ones.
    pub names: Names,
}

/// The documents for a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Documents {
    /// The files by name. Nothing of a kind makes no file.
    pub files: BTreeMap<String, String>,
    /// What is in the files, each object once, in the order of the files and of the documents in them.
    pub resources: Vec<Resource>,
    /// What could not be said as it should.
    pub warnings: Vec<String>,
    /// What is otherwise than users may expect.
    pub notes: Vec<String>,
}

/// One object for a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The file it is in.
    pub file: String,
    /// All of the object.
    pub object: Value,
}

impl Resource {
    /// Returns the group and version of its kind: `config.openshift.io/v1`.
    pub fn api_version(&self) -> &str {
        self.text("/apiVersion")
    }

    /// Returns its kind.
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// Returns its namespace, unless it belongs to the whole cluster.
    pub fn namespace(&self) -> Option<&str> {
        Some(self.text("/metadata/namespace")).filter(|text| !text.is_empty())
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    fn text(&self, path: &str) -> &str {
        self.object.pointer(path).and_then(Value::as_str).unwrap_or_default()
    }
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
        let template = facts.chain.for_clusters.templates.get(&catalog.destination).map(String::as_str);
        catalog_source::add(&name, &image, template, &mut documents);
        cluster_catalog::add(&name, facts.registry, &catalog.destination, &mut documents);
    }
    update_service::add(facts.registry, &images, &mut documents);
    signatures::add(facts.chain, &images, &mut documents);
    documents.resources.sort_by(|a, b| a.file.cmp(&b.file));
    facts.preferences.names.give(&mut documents);
    for resource in &documents.resources {
        let text = documents.files.entry(resource.file.clone()).or_default();
        if !text.is_empty() {
            text.push_str("---\n");
        }
        text.push_str(&yaml::document(&resource.object));
    }
    signatures::add_json(&mut documents);
    documents
}

/// Answers whether a file is one that [`documents`] made, so that it may be removed when it is no longer among them.
pub fn is_ours(name: &str, text: &str) -> bool {
    let fixed = [
        mirror_set::IDMS_FILE,
        mirror_set::ITMS_FILE,
        mirror_set::ICSP_FILE,
        update_service::FILE,
        signatures::FILE,
        signatures::JSON_FILE,
    ];
    let catalogs = [catalog_source::PREFIX, cluster_catalog::PREFIX];
    let named = catalogs.iter().any(|prefix| name.starts_with(prefix)) && name.ends_with(".yaml");
    let (key, value) = CREATED_BY;
    let marks = [format!("{key}: {value}"), format!("\"{key}\": \"{value}\"")];
    // Users may keep others beside them.
    (fixed.contains(&name) || named) && text.lines().any(|line| marks.iter().any(|mark| line.trim() == mark))
}

/// Returns what is at the target, by place. Of the images that two imagesets put into one place, only the later is there;
/// it may have more than one name.
fn at_target(chain: &Chain) -> Vec<Mirrored<'_>> {
    struct Place<'a> {
        first: u64,
        last: u64,
        names: Vec<&'a ImageRecord>,
    }
    let mut places: BTreeMap<&Destination, Place<'_>> = BTreeMap::new();
    for imageset in &chain.imagesets {
        let sequence = imageset.sequence;
        for image in &imageset.images {
            let new = Place { first: sequence, last: sequence, names: Vec::new() };
            let place = places.entry(&image.destination).or_insert(new);
            if place.last != sequence {
                place.names.clear();
            }
            place.last = sequence;
            place.names.push(image);
        }
    }
    places
        .into_values()
        .flat_map(|place| place.names.into_iter().map(move |image| Mirrored { image, first: place.first }))
        .collect()
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
