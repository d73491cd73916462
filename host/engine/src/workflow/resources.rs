//! Puts the resources for clusters into the workspace: [`write()`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use oc_mirror_model::imageset::ImageEntry;
use oc_mirror_model::metadata::Chain;
use oc_mirror_model::report::RunReport;
use oc_mirror_model::request::{self, kind};

use super::from_disk::Destination;
use super::{WorkflowError, WorkflowErrorKind, Workspace};
use crate::fsx;
use crate::resources::{Documents, Facts, documents, is_ours};

/// Templates of CatalogSources, by their path in the imageset below `files/`.
pub(super) type Templates = BTreeMap<String, Vec<u8>>;

/// The provenance of a catalog that names its template.
const TEMPLATE: &str = "catalog-source-template";
/// Where resources are in a workspace.
const RESOURCES: &str = "cluster-resources";
/// Where templates are kept in a workspace: of catalogs that later imagesets no longer have, too.
const KEPT: &str = "catalog-source-templates";

/// Returns the paths of the templates that catalogs name.
pub(super) fn template_paths(images: &[ImageEntry]) -> impl Iterator<Item = &str> {
    images.iter().filter_map(template_of)
}

fn template_of(image: &ImageEntry) -> Option<&str> {
    image.request.provenance.get(TEMPLATE).map(String::as_str).filter(|_| image.request.kind == kind::CATALOG)
}

/// Writes what clusters need to know of a target, given its record, a sequence of it with its images, and their templates.
///
/// What an earlier run wrote and is no longer true is removed; files of plugins and users stay.
pub(super) fn write(
    workspace: &Workspace,
    destination: &Destination,
    chain: &Chain,
    (sequence, images): (u64, &[ImageEntry]),
    new: &Templates,
    report: &mut RunReport,
) -> Result<(), WorkflowError> {
    let later = chain.imagesets.iter().filter(|i| i.sequence > sequence).flat_map(|i| &i.images);
    let later: BTreeSet<&request::Destination> = later.map(|image| &image.destination).collect();
    keep_templates(workspace, destination, images, &later, new)?;
    let facts = Facts {
        registry: &destination.target.registry,
        chain,
        joined_paths: destination.names.most().is_some(),
        templates: &kept_templates(workspace, chain)?,
    };
    let Documents { files, warnings, notes } = documents(&facts);
    for (name, text) in &files {
        workspace.write(&format!("{RESOURCES}/{name}"), text.as_bytes())?;
    }
    // One run may publish several imagesets.
    report.warnings.extend(only_new(warnings, &report.warnings));
    report.notes.extend(only_new(notes, &report.notes));
    let dir = workspace.dir().join(RESOURCES);
    remove_stale(&dir, &files).map_err(|source| failed(&dir, source))
}

fn only_new(said: Vec<String>, before: &[String]) -> Vec<String> {
    said.into_iter().filter(|text| !before.contains(text)).collect()
}

fn failed(path: &Path, source: std::io::Error) -> WorkflowError {
    WorkflowErrorKind::Workspace { path: path.display().to_string(), source }.into()
}

fn name_of(place: &request::Destination) -> String {
    format!("{KEPT}/{}/{}.yaml", place.repository, place.tag)
}

/// Keeps the templates of the catalogs that were published, and forgets those that these no longer have. `later` are places
/// that a later imageset speaks for.
fn keep_templates(
    workspace: &Workspace,
    destination: &Destination,
    images: &[ImageEntry],
    later: &BTreeSet<&request::Destination>,
    new: &Templates,
) -> Result<(), WorkflowError> {
    for image in images.iter().filter(|i| i.request.kind == kind::CATALOG) {
        let repository = destination.place(&image.destination.repository);
        let place = request::Destination { repository, tag: image.destination.tag.clone() };
        if later.contains(&place) {
            continue;
        }
        let name = name_of(&place);
        match template_of(image).and_then(|path| new.get(path)) {
            Some(text) => workspace.write(&name, text)?,
            None => {
                let path = workspace.dir().join(name);
                fsx::remove_if_there(&path).map_err(|source| failed(&path, source))?;
            }
        }
    }
    Ok(())
}

fn kept_templates(
    workspace: &Workspace,
    chain: &Chain,
) -> Result<BTreeMap<request::Destination, String>, WorkflowError> {
    let mut templates = BTreeMap::new();
    let images = chain.imagesets.iter().flat_map(|imageset| &imageset.images);
    for image in images.filter(|image| image.kind == kind::CATALOG) {
        let path = workspace.dir().join(name_of(&image.destination));
        match std::fs::read(&path) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                templates.insert(image.destination.clone(), text);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&path, error)),
        }
    }
    Ok(templates)
}

fn remove_stale(dir: &Path, files: &BTreeMap<String, String>) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let mut removed = false;
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if files.contains_key(&name) || !name.ends_with(".yaml") || !entry.file_type()?.is_file() {
            continue;
        }
        let text = std::fs::read(entry.path())?;
        if is_ours(&name, &String::from_utf8_lossy(&text)) {
            fsx::remove_if_there(&entry.path())?;
            removed = true;
        }
    }
    if removed { fsx::fsync_dir(dir) } else { Ok(()) }
}
