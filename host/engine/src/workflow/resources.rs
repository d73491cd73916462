//! Puts the resources for clusters into the workspace: [`write()`], from the record of a target alone.

use std::path::Path;

use oc_mirror_model::imageset::ImageEntry;
use oc_mirror_model::metadata::Chain;
use oc_mirror_model::report::RunReport;

use super::from_disk::Destination;
use super::prepare::Prepared;
use super::release_signatures;
use super::to_disk::CONFIGURATION;
use super::{WorkflowError, WorkflowErrorKind, Workspace};
use crate::archive::Reader;
use crate::fsx;
use crate::plan::for_clusters::{self, Files, LARGEST, is_wanted};
use crate::resources::{Documents, Facts, Preferences, documents, is_ours};

/// Where files of sources are in an imageset.
const FILES: &str = "files/";

/// What an imageset or a run brought that resources are made of, besides images.
#[derive(Default)]
pub(super) struct Brought {
    configuration: Vec<u8>,
    files: Files,
}

impl Brought {
    /// Reads it from an imageset.
    pub(super) async fn of_imageset(reader: &Reader, report: &mut RunReport) -> Result<Self, WorkflowError> {
        let mut brought = Self { configuration: reader.file(CONFIGURATION).await?, files: Files::new() };
        let images = &reader.index().images;
        for entry in reader.files() {
            let Some(file) = entry.file() else { continue };
            let Some(path) = file.strip_prefix(FILES).filter(|path| is_wanted(path, images)) else {
                continue;
            };
            if is_small(path, entry.size, report) {
                brought.files.insert(path.to_owned(), reader.file(file).await?);
            }
        }
        Ok(brought)
    }

    /// Makes it of what an archive of a predecessor has.
    pub(super) fn of_archive(
        configuration: &[u8],
        signatures: &release_signatures::Found,
        report: &mut RunReport,
    ) -> Self {
        let mut files = Files::new();
        for (payload, messages) in signatures {
            for (number, message) in messages {
                let path = release_signatures::path(payload, *number);
                if is_small(&path, message.len() as u64, report) {
                    files.insert(path, message.clone());
                }
            }
        }
        Self { configuration: configuration.to_vec(), files }
    }

    /// Reads it from the files that sources of this run have made.
    pub(super) fn of_run(
        prepared: &Prepared,
        configuration: &[u8],
        report: &mut RunReport,
    ) -> Result<Self, WorkflowError> {
        let mut brought = Self { configuration: configuration.to_vec(), files: Files::new() };
        for artifact in prepared.artifacts.iter().filter(|a| is_wanted(&a.path, &prepared.entries)) {
            if is_small(&artifact.path, artifact.size, report) {
                let bytes = std::fs::read(&artifact.file).map_err(|e| failed(&artifact.file, e))?;
                brought.files.insert(artifact.path.clone(), bytes);
            }
        }
        Ok(brought)
    }

    /// Notes it in the record of the target, where a sequence of these images is.
    pub(super) fn keep(
        &self,
        chain: &mut Chain,
        sequence: u64,
        images: &[ImageEntry],
        destination: &Destination,
    ) {
        let place = |repository: &_| destination.place(repository);
        for_clusters::keep(chain, sequence, images, place, &self.configuration, &self.files);
    }
}

fn is_small(path: &str, size: u64, report: &mut RunReport) -> bool {
    if size > LARGEST {
        let kib = LARGEST >> 10;
        report.warnings.push(format!("`{path}` is larger than {kib} KiB and not used in cluster resources"));
    }
    size <= LARGEST
}

fn failed(path: &Path, source: std::io::Error) -> WorkflowError {
    WorkflowErrorKind::Workspace { path: path.display().to_string(), source }.into()
}

/// What users should know of the resources in the workspace.
#[derive(Default)]
#[must_use]
pub(super) struct Remarks {
    warnings: Vec<String>,
    notes: Vec<String>,
}

impl Remarks {
    /// Puts them into the report.
    pub(super) fn tell(self, report: &mut RunReport) {
        report.warnings.extend(self.warnings);
        report.notes.extend(self.notes);
    }
}

/// Writes what clusters need to know of a target, given its record.
///
/// What an earlier run wrote and is no longer true is removed; files of plugins and users stay. A run may do this more than
/// once: only what is said of the last time is true.
pub(super) fn write(
    workspace: &Workspace,
    destination: &Destination,
    chain: &Chain,
    preferences: &Preferences,
) -> Result<Remarks, WorkflowError> {
    let target = &destination.target;
    workspace.note_published(chain.uid, &target.to_string(), chain.sequence())?;
    let facts = Facts {
        registry: &target.registry,
        chain,
        joined_paths: destination.names.most().is_some(),
        preferences,
    };
    let Documents { files, warnings, mut notes, .. } = documents(&facts);
    let dir = workspace.cluster_resources(target)?;
    if !files.is_empty() && !workspace.is_only_target(target)? {
        let dir = dir.display();
        notes
            .push(format!("resources for clusters of `{target}` are in `{dir}`, as there are other targets"));
    }
    for (name, text) in &files {
        workspace.write_below(&dir, name, text.as_bytes())?;
    }
    remove_ours(&dir, |name| !files.contains_key(name)).map_err(|source| failed(&dir, source))?;
    Ok(Remarks { warnings, notes })
}

/// Returns the names of files in a directory that this program made for clusters.
pub(super) fn ours(dir: &Path) -> std::io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_document = name.ends_with(".yaml") || name.ends_with(".json");
        if is_document
            && entry.file_type()?.is_file()
            && is_ours(&name, &String::from_utf8_lossy(&std::fs::read(entry.path())?))
        {
            names.push(name);
        }
    }
    Ok(names)
}

fn remove_ours(dir: &Path, is_stale: impl Fn(&str) -> bool) -> std::io::Result<()> {
    let stale: Vec<String> = ours(dir)?.into_iter().filter(|name| is_stale(name)).collect();
    for name in &stale {
        fsx::remove_if_there(&dir.join(name))?;
    }
    if stale.is_empty() { Ok(()) } else { fsx::fsync_dir(dir) }
}
