//! From imagesets into a registry: [`disk_to_mirror`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::{ImageEntry, Index};
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::metadata::Chain;
use oc_mirror_model::reference::{Repository, Target};
use oc_mirror_model::report::{ImagesetReport, RunReport, Totals, Workflow};
use oc_mirror_model::sequence::{Admission, Refusal, admit};
use uuid::Uuid;

use super::companions::referrers_of;
use super::deletion;
use super::prepare::{image_reports, mapping};
use super::publishing::publish;
use super::resources::{self, Brought, Remarks};
use super::to_disk::{CONFIGURATION, RESOURCES, extras};
use super::{Run, WorkflowError, WorkflowErrorKind, Workspace};
use crate::archive::{self, ImagesetFiles, Reader};
use crate::content::{ContentDelete, ContentRead};
use crate::metadata::{MetadataStore, Stored};
use crate::plan::imageset::advance;
use crate::report::Event;
use crate::transfer::publish::{Endpoint, Place, PublishImage, Publisher, Supply};

/// A registry to publish to.
#[derive(Clone)]
pub struct Destination {
    /// Its name.
    pub target: Target,
    /// The registry itself.
    pub endpoint: Arc<dyn Endpoint>,
    /// How content is deleted there.
    pub deleter: Arc<dyn ContentDelete>,
    /// Where the records of chains are kept there.
    pub records: Arc<dyn MetadataStore>,
    /// The most components a repository may have there.
    pub max_nested_paths: Option<usize>,
    /// Whether it takes an index whose images are not all there, asked only where one is to be published.
    pub sparse: Arc<dyn SparseProbe>,
}

/// Finds out whether a registry takes sparse indexes.
#[async_trait::async_trait]
pub trait SparseProbe: Send + Sync {
    /// Asks the registry, leaving nothing behind that a client could see.
    async fn takes_sparse_indexes(&self) -> Result<bool, crate::content::ContentError>;
}

impl Destination {
    /// Returns the repository of an image there, prefix included.
    pub fn place(&self, repository: &Repository) -> Repository {
        repository.under(self.target.prefix.as_ref()).with_max_components(self.max_nested_paths)
    }

    /// Refuses images that the registry cannot hold, before anything is sent.
    pub(super) async fn check_sparse(&self, images: &[ImageEntry]) -> Result<(), WorkflowError> {
        let Some(image) = images.iter().find(|i| i.sparse) else { return Ok(()) };
        if self.sparse.takes_sparse_indexes().await? {
            return Ok(());
        }
        let origin = image.request.origin.clone();
        Err(WorkflowErrorKind::SparseIndex { target: self.target.to_string(), origin }.into())
    }

    /// Returns what is to be published for an image.
    pub(super) fn publish_image(&self, image: &ImageEntry) -> PublishImage {
        PublishImage {
            origin: image.request.origin.clone(),
            repository: self.place(&image.destination.repository),
            tag: image.destination.tag.clone(),
            root: image.root.clone(),
            manifests: image.manifests.clone(),
            blobs: image.blobs.clone(),
            referrers: referrers_of(image),
        }
    }

    /// Returns the mapping of images to names at this registry, a line each.
    pub(super) fn mapping(&self, images: &[ImageEntry]) -> String {
        mapping(images, |image| {
            let repository = self.place(&image.destination.repository);
            format!("docker://{}/{repository}:{}", self.target.registry, image.destination.tag)
        })
    }

    /// Returns the repositories that hold what, for all the chain's record knows.
    pub(super) fn known(&self, chain: Option<&Chain>) -> BTreeMap<Digest, BTreeSet<Repository>> {
        chain
            .map(|c| c.blobs.iter().map(|(d, b)| (d.clone(), b.repositories.clone())).collect())
            .unwrap_or_default()
    }
}

/// Answers whether bytes are the configuration that the user named.
pub type IsConfiguration<'a> = &'a (dyn Fn(&[u8]) -> bool + Sync);

/// Publishes every imageset in `from` that is next in sequence, in order.
///
/// Imagesets that do not fit because an earlier one is lost are passed over where a cumulative one makes up for it.
/// `from` is a directory or one chunk file. Whether all of them fit the target is known before anything is sent.
/// `is_configuration` answers whether the newest imageset was made from the configuration the user named, if one was.
pub async fn disk_to_mirror(
    run: &Run,
    from: &Path,
    workspace: &Workspace,
    destination: &Destination,
    is_configuration: Option<IsConfiguration<'_>>,
) -> Result<RunReport, WorkflowError> {
    let mut report = RunReport::new(Workflow::DiskToMirror, run.dry_run);
    let readers = open(from)?;
    let uid = readers.last().map(|r| r.index().uid).ok_or_else(|| no_imageset(from))?;
    report.uid = Some(uid);
    check_configuration(&readers, is_configuration)?;
    let found = destination.records.load(uid).await?;
    let steps = admit_all(&readers, found.as_ref(), workspace.uid().await?)?;
    deletion::refuse_pending(found.as_ref().map(|f| &f.chain), destination)?;
    for (reader, step) in readers.iter().zip(&steps) {
        if *step == Step::Publish {
            destination.check_sparse(&reader.index().images).await?;
        }
    }

    let mut found = found;
    let mut remarks = Remarks::default();
    // Only a dry run has to imagine it.
    let mut planned = found.as_ref().map(|f| f.chain.clone()).filter(|_| run.dry_run && run.prune);
    for (reader, step) in readers.into_iter().zip(steps) {
        let index = reader.index().clone();
        let mut line = imageset_line(&reader);
        note_images(&mut report, &reader, step);
        match step {
            Step::PassOver => line.outcome = "not needed".to_owned(),
            Step::AlreadyPublished => {
                line.outcome = "already published".to_owned();
                // The workspace may be another one than that of the run which published it, and the record may be from
                // before it kept what clusters need.
                if let Some(found) = found.as_mut().filter(|_| !run.dry_run) {
                    let brought = Brought::of_imageset(&reader, &mut report)?;
                    brought.keep(&mut found.chain, index.sequence, &index.images, destination);
                    remarks = resources::write(workspace, destination, &found.chain, &run.resources)?;
                }
            }
            Step::Publish if run.dry_run => {
                workspace.write("dry-run/mapping.txt", destination.mapping(&index.images).as_bytes())?;
                line.outcome = "planned".to_owned();
                if run.prune {
                    let before = planned.unwrap_or_else(|| Chain::new(uid));
                    let identity = Some(reader.identity());
                    planned =
                        Some(advance(&before, &index, identity, |r| destination.place(r), extras(&index)));
                }
            }
            Step::Publish => {
                let identity = reader.identity().clone();
                let brought = Brought::of_imageset(&reader, &mut report)?;
                publish_one(run, Arc::new(reader), workspace, destination, found.as_ref(), &mut report)
                    .await?;
                if !report.failures.is_empty() {
                    line.outcome = "failed".to_owned();
                    report.imagesets.push(line);
                    remarks.tell(&mut report);
                    return Ok(report);
                }
                let stored = commit(destination, &index, &identity, &brought, found.as_ref()).await?;
                workspace.note_published(index.uid, &destination.target.to_string(), index.sequence)?;
                remarks = resources::write(workspace, destination, &stored.chain, &run.resources)?;
                found = Some(stored);
                line.outcome = "published".to_owned();
            }
        }
        report.imagesets.push(line);
    }
    remarks.tell(&mut report);
    if let Some(chain) = planned.or(found.map(|f| f.chain)).filter(|_| run.prune) {
        deletion::prune(run, destination, workspace, &chain, &mut report).await?;
    }
    Ok(report)
}

/// Reports the images as the newest imageset has them, and all that were refused on the way.
fn note_images(report: &mut RunReport, reader: &Reader, step: Step) {
    let index = reader.index();
    report.images = image_reports(&index.images, |digest| step == Step::Publish && reader.holds(digest));
    let new = index.refused.iter().filter(|refused| !report.refused.contains(refused));
    let new: Vec<_> = new.cloned().collect();
    report.refused.extend(new);
}

fn no_imageset(from: &Path) -> WorkflowError {
    WorkflowErrorKind::NoImageset { path: from.display().to_string() }.into()
}

/// Opens all imagesets, checking that they belong together.
pub(super) fn open(from: &Path) -> Result<Vec<Reader>, WorkflowError> {
    let sets =
        if from.is_file() { vec![ImagesetFiles::of_chunk(from)?] } else { archive::find_imagesets(from)? };
    let mut readers: Vec<Reader> = Vec::new();
    for set in &sets {
        let reader = Reader::open_files(set)?;
        if let Some(first) = readers.first().map(|r| r.index().uid)
            && first != reader.index().uid
        {
            let (path, second) = (from.display().to_string(), reader.index().uid);
            return Err(WorkflowErrorKind::MixedChains { path, first, second }.into());
        }
        readers.push(reader);
    }
    if readers.is_empty() {
        return Err(no_imageset(from));
    }
    Ok(readers)
}

fn check_configuration(
    readers: &[Reader],
    is_configuration: Option<IsConfiguration<'_>>,
) -> Result<(), WorkflowError> {
    let (Some(is_configuration), Some(newest)) = (is_configuration, readers.last()) else { return Ok(()) };
    let written = newest.file(CONFIGURATION)?;
    if is_configuration(&written) {
        Ok(())
    } else {
        Err(WorkflowErrorKind::OtherConfiguration { sequence: newest.index().sequence }.into())
    }
}

/// What is done with one imageset of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Publish,
    AlreadyPublished,
    /// A cumulative imageset has brought what it holds, or is about to.
    PassOver,
}

/// Decides about each imageset as if those before it had been published.
fn admit_all(
    readers: &[Reader],
    found: Option<&Stored>,
    uid: Option<Uuid>,
) -> Result<Vec<Step>, WorkflowError> {
    let mut chain = found.map(|f| f.chain.clone());
    let mut steps = Vec::new();
    for (place, reader) in readers.iter().enumerate() {
        let (index, identity) = (reader.index(), reader.identity());
        let step = match admit(index, identity, chain.as_ref(), uid) {
            Ok(Admission::Publish) => {
                let before = chain.unwrap_or_else(|| Chain::new(index.uid));
                chain = Some(advance(&before, index, Some(identity), Repository::clone, extras(index)));
                Step::Publish
            }
            Ok(Admission::AlreadyPublished) => Step::AlreadyPublished,
            Err(Refusal::Gap { target, .. }) if is_cured(target, &readers[place + 1..]) => Step::PassOver,
            Err(Refusal::Older { sequence, .. })
                if readers.len() > 1 && chain.as_ref().is_some_and(|c| is_covered(sequence, c)) =>
            {
                Step::PassOver
            }
            Err(refusal) => return Err(refusal.into()),
        };
        steps.push(step);
    }
    Ok(steps)
}

/// Answers whether a later imageset closes the gap after the sequence the target is at.
fn is_cured(target: u64, later: &[Reader]) -> bool {
    later.iter().any(|reader| reader.index().base <= target)
}

/// Answers whether the target got what a sequence held with a later, cumulative one.
fn is_covered(sequence: u64, chain: &Chain) -> bool {
    chain.imagesets.iter().any(|published| published.base < sequence && sequence < published.sequence)
}

async fn publish_one(
    run: &Run,
    reader: Arc<Reader>,
    workspace: &Workspace,
    destination: &Destination,
    found: Option<&Stored>,
    report: &mut RunReport,
) -> Result<(), WorkflowError> {
    let index = reader.index().clone();
    let mut known = destination.known(found.map(|f| &f.chain));
    for required in &index.required {
        let places = required.repositories.iter().map(|r| destination.place(r));
        known.entry(required.descriptor.digest.clone()).or_default().extend(places);
    }
    let supply = Arc::new(FromImageset { reader: reader.clone() });
    let publisher = Publisher::new(
        destination.endpoint.clone(),
        supply,
        known,
        run.parallelism,
        run.retry,
        run.events.clone(),
    );
    let carried = index.entries.iter().filter(|e| e.media_type.is_some());
    let bytes = Some(carried.map(|e| e.size).sum());
    let items = Some(index.images.len() as u64);
    run.events.event(Event::Phase { name: "publishing", items, bytes });
    report.failures.extend(publish(&publisher, destination, &index.images).await);
    add_totals(&mut report.totals, publisher.totals());
    let resources = workspace.cluster_resources(&destination.target)?;
    for entry in index.entries.iter().filter(|e| e.path.starts_with(RESOURCES)) {
        workspace.write_below(&resources, &entry.path[RESOURCES.len()..], &reader.file(&entry.path)?)?;
    }
    Ok(())
}

async fn commit(
    destination: &Destination,
    index: &Index,
    identity: &Digest,
    brought: &Brought,
    found: Option<&Stored>,
) -> Result<Stored, WorkflowError> {
    let before = found.map_or_else(|| Chain::new(index.uid), |f| f.chain.clone());
    let mut after = advance(&before, index, Some(identity), |r| destination.place(r), extras(index));
    brought.keep(&mut after, index.sequence, &index.images, destination);
    destination.records.commit(&after, found).await?;
    let revision = Digest::of(&after.to_bytes());
    Ok(Stored { chain: after, revision })
}

fn imageset_line(reader: &Reader) -> ImagesetReport {
    let index = reader.index();
    let chunks: Vec<PathBuf> = reader.paths();
    ImagesetReport {
        sequence: index.sequence,
        base: index.base,
        index: Some(reader.identity().clone()),
        bytes: chunks.iter().filter_map(|p| p.metadata().ok()).map(|m| m.len()).sum(),
        chunks: chunks.iter().filter_map(|p| Some(p.file_name()?.to_string_lossy().into_owned())).collect(),
        saved_bytes: index.required.iter().map(|r| r.descriptor.size).sum(),
        outcome: String::new(),
    }
}

pub(super) fn add_totals(sum: &mut Totals, more: Totals) {
    sum.blobs += more.blobs;
    sum.blob_bytes += more.blob_bytes;
    sum.skipped_blobs += more.skipped_blobs;
    sum.mounted_blobs += more.mounted_blobs;
    sum.refetched_blobs += more.refetched_blobs;
    sum.manifests += more.manifests;
}

/// Supplies what the imageset carries.
struct FromImageset {
    reader: Arc<Reader>,
}

impl Supply for FromImageset {
    fn supply(&self, image: &PublishImage, content: &Descriptor) -> Option<Place> {
        let reader: Arc<dyn ContentRead> = self.reader.clone();
        self.reader.holds(&content.digest).then(|| (reader, image.repository.clone()))
    }

    fn is_steady(&self) -> bool {
        true
    }
}
