//! From imagesets into a registry, or several: [`disk_to_mirror`].

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::join_all;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::few::Few;
use oc_mirror_model::imageset::{Entry, ImageEntry, Index, UnchangedImage};
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::media_type;
use oc_mirror_model::metadata::Chain;
use oc_mirror_model::mirror_plan::{PlannedImageset, PublishStep};
use oc_mirror_model::reference::{Repository, Target};
use oc_mirror_model::report::{Failure, ImagesetReport, RunReport, Totals, Workflow, exit};
use oc_mirror_model::sequence::{Admission, Refusal, admit};
use uuid::Uuid;

use super::charts;
use super::companions::referrers_of;
use super::contents::contents;
use super::deletion;
use super::forecast::Rehearsal;
use super::from_predecessor;
use super::imagesets::Imagesets;
use super::on_error::{note_made_without, published_without};
use super::preflight::Examine;
use super::prepare::{image_failure, image_reports, mapping};
use super::publishing::{Missing, publish};
use super::release_signatures;
use super::repair::{not_moved, still_there, thorough};
use super::resources::{self, Brought, Remarks};
use super::space::{self, Need};
use super::targets::Targets;
use super::to_disk::{CONFIGURATION, RESOURCES, extras};
use super::workspace::TRUST;
use super::{OnError, Run, WorkflowError, WorkflowErrorKind, Workspace};
use crate::archive::Reader;
use crate::content::{ContentDelete, ContentError, ContentErrorKind, ContentRead};
use crate::metadata::{MetadataStore, Stored};
use crate::plan::imageset::advance;
use crate::plan::names::Names;
use crate::plan::unchanged::{Asked, AtHand, There, ask, each, whole};
use crate::report::{Event, SharedEvents, Silence};
use crate::transfer::ImageTime;
use crate::transfer::imagined::Unread;
use crate::transfer::publish::{Endpoint, Place, PublishImage, Publisher, Supply};
use crate::transfer::shared::{Reads, Seat, Sharing};

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
    /// The most components a repository may have there, if the user says so.
    pub max_nested_paths: Option<usize>,
    /// Where repositories are there. What the registry takes is not known before a run.
    pub names: Names,
    /// Answers what it is and what it takes.
    pub examine: Arc<dyn Examine>,
    /// Whether it takes an index whose images are not all there, asked only where one is to be published.
    pub sparse: Arc<dyn SparseProbe>,
    /// The directory of its own within those of a workspace that tell of targets; nothing where it is the only one.
    pub directory: Option<String>,
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
        self.names.place(repository)
    }

    /// Returns where a workspace keeps something that is about this target.
    pub(super) fn kept_in(&self, directory: &str) -> String {
        match &self.directory {
            Some(own) => format!("{directory}/{own}"),
            None => directory.to_owned(),
        }
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

    /// Writes the mapping of all images into the workspace, where names are not what users expect.
    pub(super) fn keep_mapping<'a>(
        &self,
        workspace: &Workspace,
        chain: &Chain,
        images: impl FnOnce() -> Cow<'a, [ImageEntry]>,
    ) -> Result<(), WorkflowError> {
        match chain.names.is_empty() {
            true => Ok(()),
            false => {
                let name = match &self.directory {
                    Some(own) => format!("mapping/{own}.txt"),
                    None => "mapping.txt".to_owned(),
                };
                workspace.write(&name, self.mapping(&images()).as_bytes())
            }
        }
    }

    /// Returns the repositories that hold what, for all the chain's record knows.
    pub(super) fn known(&self, chain: Option<&Chain>) -> BTreeMap<Digest, Few<Repository>> {
        chain
            .map(|c| c.blobs.iter().map(|(d, b)| (d.clone(), b.repositories.clone())).collect())
            .unwrap_or_default()
    }
}

/// Answers whether bytes are the configuration that the user named.
pub type IsConfiguration<'a> = &'a (dyn Fn(&[u8]) -> bool + Sync);

/// Publishes every imageset in `from` that is next in sequence, in order, to every destination.
///
/// Imagesets that do not fit because an earlier one is lost are passed over where a cumulative one makes up for it.
/// Whether all of them fit a target is known before anything is sent there.
/// `is_configuration` answers whether the newest imageset was made from the configuration the user named, if one was.
///
/// Of several destinations each is brought to where it should be by itself, and what is wrong with one is a failure in the
/// report; but what several need is read once.
pub async fn disk_to_mirror(
    run: &Run,
    from: &Imagesets,
    workspace: &Workspace,
    destinations: &[Destination],
    is_configuration: Option<IsConfiguration<'_>>,
) -> Result<RunReport, WorkflowError> {
    if let Some(archives) = from.of_predecessor()? {
        let (path, maker) = (from.name(), archives.maker());
        if !run.trusted.is_empty() {
            return Err(WorkflowErrorKind::NeverSigned { path, maker }.into());
        }
        if run.agreement.is_some() {
            return Err(WorkflowErrorKind::NothingToPlan { path, maker }.into());
        }
        if run.repair {
            return Err(WorkflowErrorKind::NothingToRepairBy { path, maker }.into());
        }
        return from_predecessor::publish(run, archives, from, workspace, destinations, is_configuration)
            .await;
    }
    let readers = from.open(&run.trusted).await?;
    let uid = readers.last().map(|r| r.index().uid).ok_or_else(|| no_imageset(from))?;
    check_configuration(&readers, is_configuration).await?;
    if !run.dry_run {
        let resources = readers
            .iter()
            .flat_map(|r| &r.index().entries)
            .filter(|e| e.file().is_some_and(|path| path.starts_with(RESOURCES)));
        let resources =
            Need { dir: workspace.dir(), bytes: resources.map(|e| e.size).sum(), what: "resources" };
        let images = readers.iter().map(|r| r.index().image_count()).sum();
        space::check(&[resources, Need::of_workspace(workspace.dir(), images, 0)])?;
    }
    // Only images that are named have to be looked up.
    let names_some = readers.iter().any(|reader| !reader.index().unchanged.is_empty());
    let at_hand = AtHand::of(readers.iter().filter(|_| names_some).map(Reader::index));
    let targets = Targets::of(destinations);
    let run = &targets.side_by_side(run);
    let publishing = Publishing { run, workspace, readers: &readers, at_hand, uid };
    if let [destination] = destinations {
        let planned = publishing.plan(destination).await?;
        publishing.agree(&planned)?;
        let mut report = publishing.publish(planned, None).await?;
        report.notes.extend(unverified(&readers));
        return Ok(report);
    }
    let planned = join_all(targets.destinations.iter().map(|d| publishing.plan(d))).await;
    // Before anything is sent to any of them.
    planned.iter().flatten().try_for_each(|planned| publishing.agree(planned))?;
    let (sharing, seats) = Sharing::among(targets.destinations.len());
    let seats: Vec<Arc<Seat>> = seats.into_iter().map(Arc::new).collect();
    for (seat, planned) in seats.iter().zip(&planned) {
        let steps = readers.iter().zip(planned.iter().flat_map(|planned| &planned.steps));
        for (reader, _) in steps.filter(|(_, step)| **step == Step::Publish) {
            let carried = reader.index().entries.iter().filter(|e| e.media_type.is_some());
            seat.expect(carried.map(|entry| &entry.digest));
        }
    }
    let publishing = &publishing;
    let runs = planned.into_iter().zip(seats).map(|(planned, seat)| async move {
        // The seat is given up with the last use: nobody waits for a target that is done, or has failed.
        publishing.publish(planned?, Some(seat)).await
    });
    let outcomes = join_all(runs).await;
    let mut report = targets.report(RunReport::new(Workflow::DiskToMirror, run.dry_run), outcomes);
    note_reads(&mut report, sharing.reads());
    report.notes.extend(unverified(&readers));
    Ok(report)
}

/// Says which imagesets are signed by keys that nobody asked for.
fn unverified(readers: &[Reader]) -> Option<String> {
    let is_unverified =
        |reader: &&Reader| !reader.index().signed_by.is_empty() && reader.verified().is_empty();
    let signed = readers.iter().filter(is_unverified).map(|reader| reader.index().sequence.to_string());
    let signed: Vec<String> = signed.collect();
    let (which, are) = match signed.as_slice() {
        [] => return None,
        [only] => (format!("imageset {only}"), "is"),
        several => (format!("imagesets {}", several.join(", ")), "are"),
    };
    Some(format!(
        "{which} {are} signed, and no key was given to verify that: name it with --verify-key, or keep it in `{TRUST}` of the workspace"
    ))
}

/// Notes what was read for all targets together.
pub(super) fn note_reads(report: &mut RunReport, reads: Reads) {
    report.totals.other.insert("blobsRead".to_owned(), reads.blobs);
    report.totals.other.insert("bytesRead".to_owned(), reads.bytes);
}

/// What is to be done at one target.
struct Planned {
    /// The target, with the names of all repositories settled.
    destination: Destination,
    /// What was found out about it.
    report: RunReport,
    steps: Vec<Step>,
    found: Option<Stored>,
}

/// The imagesets that are published.
struct Publishing<'a> {
    run: &'a Run,
    workspace: &'a Workspace,
    readers: &'a [Reader],
    /// What they describe.
    at_hand: AtHand<'a>,
    uid: Uuid,
}

impl Publishing<'_> {
    /// Finds out what a target lacks, and whether it can take it.
    async fn plan(&self, destination: &Destination) -> Result<Planned, WorkflowError> {
        let mut report = RunReport::new(Workflow::DiskToMirror, self.run.dry_run);
        report.uid = Some(self.uid);
        let found = destination.load(self.uid).await?;
        let steps = admit_all(self.readers, found.as_ref(), self.workspace.uid().await?)?;
        deletion::refuse_pending(found.as_ref().map(|f| &f.chain), destination)?;
        let chain = found.as_ref().map(|f| &f.chain);
        // Names are settled for unchanged images as well: they may get other ones now. All else of them takes much room, and
        // they are in every imageset.
        let mut named = Vec::new();
        let mut seen = HashSet::new();
        for index in self.readers.iter().map(Reader::index).filter(|index| !index.unchanged.is_empty()) {
            let there = self.there(index, chain, destination);
            let repositories = each(index, &there).map(|image| image.destination.repository);
            named.extend(repositories.filter(|repository| seen.insert(repository.clone())));
        }
        let described = self.readers.iter().flat_map(|reader| &reader.index().images);
        let paths: Vec<&Repository> =
            described.map(|image| &image.destination.repository).chain(&named).collect();
        let published = self.readers.iter().zip(&steps).filter(|(_, step)| **step == Step::Publish);
        let new: Vec<&ImageEntry> = published.flat_map(|(reader, _)| &reader.index().images).collect();
        let destination = destination.prepared(self.run, chain, &paths, &new, &mut report).await?;
        Ok(Planned { destination, report, steps, found })
    }

    /// Notes what is to be done at a target, or compares it with what was agreed on.
    fn agree(&self, planned: &Planned) -> Result<(), WorkflowError> {
        let Some(agreement) = &self.run.agreement else { return Ok(()) };
        let imagesets = self.readers.iter().zip(&planned.steps).map(|(reader, step)| PlannedImageset {
            sequence: reader.index().sequence,
            index: reader.identity().clone(),
            step: match step {
                Step::Publish => PublishStep::Publish,
                Step::AlreadyPublished => PublishStep::AlreadyPublished,
                Step::PassOver => PublishStep::NotNeeded,
            },
        });
        let chain = planned.found.as_ref().map(|found| &found.chain);
        agreement.at_target(&planned.destination.target, chain, imagesets.collect())
    }

    /// Publishes to one target what was planned; content is read together with whoever has a seat.
    async fn publish(&self, planned: Planned, seat: Option<Arc<Seat>>) -> Result<RunReport, WorkflowError> {
        let (run, workspace) = (self.run, self.workspace);
        let Planned { destination, mut report, steps, mut found } = planned;
        let destination = &destination;
        let mut remarks = Remarks::default();
        let revision = found.as_ref().map(|f| &f.revision);
        let overtaken = !run.dry_run && workspace.was_overtaken(&destination.target, revision)?;
        let publishes = steps.contains(&Step::Publish);
        // Only a dry run has to imagine it: what follows builds on it.
        let mut imagined = found.as_ref().map(|f| f.chain.clone()).filter(|_| run.dry_run);
        let mut rehearsal = Rehearsal::at(destination);
        for (reader, step) in self.readers.iter().zip(steps) {
            let index = reader.index();
            let known = imagined.as_ref().or(found.as_ref().map(|f| &f.chain));
            let images = self.whole(index, known, destination);
            let mut line = imageset_line(reader, &images);
            note_images(&mut report, reader, &images, step);
            match step {
                Step::PassOver => line.outcome = "not needed".to_owned(),
                Step::AlreadyPublished => {
                    line.outcome = "already published".to_owned();
                    let again = Again { images: &images, overtaken };
                    if self.repair(reader, destination, again, found.as_ref(), &mut report).await? {
                        line.outcome = "repaired".to_owned();
                    }
                    if !report.failures.is_empty() {
                        line.outcome = "failed".to_owned();
                        report.imagesets.push(line);
                        remarks.tell(&mut report);
                        return Ok(report);
                    }
                    // The workspace may be another one than that of the run which published it, and the record may be from
                    // before it kept what clusters need.
                    if let Some(found) = found.as_mut().filter(|_| !run.dry_run) {
                        let brought = Brought::of_imageset(reader, &mut report).await?;
                        brought.keep(&mut found.chain, index.sequence, &index.images, destination);
                        remarks = resources::write(workspace, destination, &found.chain, &run.resources)?;
                    }
                }
                Step::Publish if run.dry_run => {
                    line.outcome = "planned".to_owned();
                    let before = before(index, imagined.as_ref());
                    let asked = ask(index, &self.there(index, Some(&before), destination));
                    let missing: Vec<Missing> =
                        asked.lost.iter().map(|image| lost(index, image, destination)).collect();
                    self.rehearse(
                        reader,
                        &asked.index.images,
                        &missing,
                        &before,
                        &mut rehearsal,
                        &mut report,
                    )
                    .await;
                    rehearsal.keep_mapping(workspace, &images)?;
                    let identity = Some(reader.identity());
                    imagined = Some(advance(
                        before.clone(),
                        &asked.index,
                        identity,
                        &destination.names,
                        extras(index),
                    ));
                }
                Step::Publish => {
                    let brought = Brought::of_imageset(reader, &mut report).await?;
                    let before = before(index, found.as_ref().map(|f| &f.chain));
                    let asked = ask(index, &self.there(index, Some(&before), destination));
                    let missing: Vec<Missing> =
                        asked.lost.iter().map(|image| lost(index, image, destination)).collect();
                    // What is there by the record is asked for only where that is doubted, and held no longer than it is.
                    let (wanted, kept) = match run.repair {
                        true => (images, Vec::new()),
                        false => {
                            let kept = kept(&images, &asked);
                            drop(images);
                            (Cow::Borrowed(&*asked.index.images), kept)
                        }
                    };
                    let portion = Portion { images: &wanted, kept, missing: &missing, seat: seat.as_ref() };
                    self.publish_one(reader, destination, portion, found.as_ref(), &mut report).await?;
                    let Some(there) = published_without(run, &asked.index, &mut report) else {
                        line.outcome = "failed".to_owned();
                        report.imagesets.push(line);
                        remarks.tell(&mut report);
                        return Ok(report);
                    };
                    // An earlier imageset of this run may have lacked it.
                    let described = there.images.iter().map(|image| image.request.origin.as_str());
                    let named = there.unchanged.iter().map(|image| image.origin.as_str());
                    let is_there: HashSet<&str> = described.chain(named).collect();
                    report.quarantined.retain(|failure| !is_there.contains(failure.subject.as_str()));
                    let signatures =
                        release_signatures::keep(workspace, destination, &signatures(reader).await?).await;
                    report.warnings.extend(signatures);
                    charts::unpack(workspace, reader, &mut report).await?;
                    // The record that was found is let go, so that this one is not a copy of it: there are some thousand
                    // bytes of it for each image.
                    let revision = found.take().map(|found| found.revision);
                    let after =
                        advance(before, &there, Some(reader.identity()), &destination.names, extras(index));
                    let stored = commit(destination, after, &brought, &there, revision.as_ref()).await?;
                    // Of what the target did not take, it may have some.
                    if missing.is_empty() && there.image_count() == asked.index.image_count() {
                        workspace.end_publishing(&destination.target)?;
                    }
                    workspace.note_published(index.uid, &destination.target.to_string(), index.sequence)?;
                    let images = || self.whole(&there, Some(&stored.chain), destination);
                    destination.keep_mapping(workspace, &stored.chain, images)?;
                    remarks = resources::write(workspace, destination, &stored.chain, &run.resources)?;
                    found = Some(stored);
                    line.outcome = "published".to_owned();
                }
            }
            report.imagesets.push(line);
        }
        if overtaken && !publishes {
            workspace.end_publishing(&destination.target)?;
        }
        if run.dry_run {
            let images = self.readers.iter().map(|r| r.index().image_count()).sum();
            let mut forecast = rehearsal.forecast();
            forecast.space = space::rooms(&[Need::of_workspace(workspace.dir(), images, 0)])?;
            forecast.block(&report.refused);
            report.forecast = Some(forecast);
        }
        remarks.tell(&mut report);
        if let Some(chain) = imagined.or(found.map(|f| f.chain)).filter(|_| run.prune) {
            deletion::prune(run, destination, workspace, &chain, &mut report).await?;
        }
        Ok(report)
    }

    /// Returns what is known of the images of an imageset at a target with this record.
    fn there<'a>(
        &'a self,
        index: &Index,
        chain: Option<&'a Chain>,
        destination: &'a Destination,
    ) -> There<'a> {
        There::new(chain, index.sequence, &destination.names, &self.at_hand)
    }

    /// Returns all images of an imageset, as far as they can be told of.
    fn whole<'i>(
        &self,
        index: &'i Index,
        chain: Option<&Chain>,
        destination: &Destination,
    ) -> Cow<'i, [ImageEntry]> {
        match index.unchanged.is_empty() {
            true => Cow::Borrowed(&index.images),
            false => Cow::Owned(whole(index, &self.there(index, chain, destination))),
        }
    }

    /// Puts back what the target has lost of an imageset that was published there, if that is wanted; and tags that a run from
    /// this workspace may have moved back, which somebody else overtook. Answers whether anything was wrong, as far as that is
    /// told.
    async fn repair(
        &self,
        reader: &Reader,
        destination: &Destination,
        Again { images, overtaken }: Again<'_>,
        found: Option<&Stored>,
        report: &mut RunReport,
    ) -> Result<bool, WorkflowError> {
        let repair = self.run.repair;
        let Some(stored) = found.filter(|_| (repair || overtaken) && !self.run.dry_run) else {
            return Ok(false);
        };
        let images = match repair {
            true => still_there(images, &stored.chain, destination),
            false => not_moved(images, &stored.chain, destination),
        };
        let before = report.totals.manifests;
        let portion = Portion { images: &images, kept: Vec::new(), missing: &[], seat: None };
        self.publish_one(reader, destination, portion, found, report).await?;
        Ok(repair || report.totals.manifests > before)
    }

    /// Finds out what publishing an imageset would send to a target with this record, which gets nothing of it.
    async fn rehearse(
        &self,
        reader: &Reader,
        images: &[ImageEntry],
        missing: &[Missing],
        before: &Chain,
        rehearsal: &mut Rehearsal,
        report: &mut RunReport,
    ) {
        let destination = &rehearsal.destination;
        let supply = Arc::new(Unread::new(self.supply(reader), Arc::default()));
        // What happens in thought is no step of the run.
        let publisher = self.publisher(reader.index(), destination, Some(before), supply, Arc::new(Silence));
        let is_doubtful = self.workspace.was_cut_off(&destination.target);
        let publisher = if is_doubtful { publisher } else { publisher.trusting_the_record() };
        self.run.events.event(Event::Phase {
            name: "asking the target",
            items: Some(images.len() as u64),
            bytes: None,
        });
        report.failures.extend(publish(&publisher, destination, images, missing).await);
        add_totals(&mut report.totals, publisher.totals());
        rehearsal.note(images);
    }

    /// Returns where the content of an imageset can be had.
    fn supply(&self, reader: &Reader) -> Arc<dyn Supply> {
        let others = self.readers.iter().filter(|other| other.identity() != reader.identity());
        let others = others.map(|other| Arc::new(other.clone())).collect();
        Arc::new(FromImageset { reader: Arc::new(reader.clone()), others })
    }

    /// Returns what publishes an imageset at a target with this record.
    fn publisher(
        &self,
        index: &Index,
        destination: &Destination,
        chain: Option<&Chain>,
        supply: Arc<dyn Supply>,
        events: SharedEvents,
    ) -> Publisher {
        let run = self.run;
        let mut known = destination.known(chain);
        for required in &index.required {
            let places = required.repositories.iter().map(|r| destination.place(r));
            known.entry(required.descriptor.digest.clone()).or_default().extend(places);
        }
        let (parallelism, retry) = (run.parallelism, run.retry);
        Publisher::new(destination.endpoint.clone(), supply, known, parallelism, retry, events)
            .stopping(run.on_error == OnError::Stop)
    }

    async fn publish_one(
        &self,
        reader: &Reader,
        destination: &Destination,
        Portion { images, kept, missing, seat }: Portion<'_>,
        found: Option<&Stored>,
        report: &mut RunReport,
    ) -> Result<(), WorkflowError> {
        let (run, index) = (self.run, reader.index());
        let doubted = run.repair.then(|| thorough(destination, found.map(|f| &f.chain)));
        let destination = doubted.as_ref().unwrap_or(destination);
        let supply = self.supply(reader);
        let supply = seat.map_or_else(|| supply.clone(), |seat| seat.supply(supply.clone()));
        let chain = found.map(|f| &f.chain);
        let publisher = self
            .publisher(index, destination, chain, supply, run.events.clone())
            .within(ImageTime::of(run.image_timeout, images));
        // What was published before and is repaired begins nothing that could be cut off.
        let is_again = found.is_some_and(|f| f.chain.imageset(index.sequence).is_some());
        let record = found.map(|f| &f.revision);
        let is_doubtful =
            is_again || self.workspace.begin_publishing(&destination.target, record)? || run.repair;
        let publisher = if is_doubtful { publisher } else { publisher.trusting_the_record() };
        let is_blob = |e: &&Entry| e.media_type.as_deref().is_some_and(|m| !media_type::is_manifest(m));
        let carried = index.entries.iter().filter(is_blob);
        let bytes = carried.map(|e| e.size).sum();
        let publisher = publisher.having_told_of(bytes);
        let (items, bytes) = (Some((images.len() + kept.len()) as u64), Some(bytes));
        run.events.event(Event::Phase { name: "publishing", items, bytes });
        for Kept { name, blobs } in kept {
            run.events.event(Event::ItemDone { name: &name });
            report.totals.skipped_blobs += blobs;
        }
        report.failures.extend(publish(&publisher, destination, images, missing).await);
        add_totals(&mut report.totals, publisher.totals());
        let resources = self.workspace.cluster_resources(&destination.target)?;
        for path in index.entries.iter().filter_map(Entry::file) {
            let Some(name) = path.strip_prefix(RESOURCES) else { continue };
            self.workspace.write_below(&resources, name, &reader.file(path).await?)?;
        }
        Ok(())
    }
}

/// An imageset that was published before.
struct Again<'a> {
    images: &'a [ImageEntry],
    /// Whether somebody published from elsewhere while this workspace did.
    overtaken: bool,
}

/// What is to be published of an imageset.
struct Portion<'a> {
    images: &'a [ImageEntry],
    /// What is there by the record, and not asked for.
    kept: Vec<Kept>,
    /// What cannot be published.
    missing: &'a [Missing],
    seat: Option<&'a Arc<Seat>>,
}

/// An image that stays as it is at a target. All that is to be known of it takes far more room.
struct Kept {
    name: String,
    /// How many it has.
    blobs: u64,
}

/// Returns the images that stay as they are at a target.
fn kept(images: &[ImageEntry], asked: &Asked<'_>) -> Vec<Kept> {
    let described: HashSet<_> = asked.index.images.iter().map(|image| &image.destination).collect();
    let lost: HashSet<&str> = asked.lost.iter().map(|image| image.origin.as_str()).collect();
    let is_kept = |image: &&ImageEntry| {
        !described.contains(&image.destination) && !lost.contains(image.request.origin.as_str())
    };
    let kept =
        |image: &ImageEntry| Kept { name: image.request.origin.clone(), blobs: image.blobs.len() as u64 };
    images.iter().filter(is_kept).map(kept).collect()
}

/// Says that an unchanged image is not there, nor anywhere else.
fn lost(index: &Index, image: &UnchangedImage, destination: &Destination) -> Missing {
    let (sequence, name) = (index.sequence, ContentRead::name(destination.endpoint.as_ref()));
    let reason = format!(
        "it is neither in what is published nor at {name}: imageset {sequence} relies on an earlier one for it"
    );
    let error = ContentError::new(image.origin.clone(), ContentErrorKind::Lost(reason));
    let failure = image_failure(&image.origin, &image.kind, &error);
    let hint = failure.hint.map(|hint| {
        format!("publish from a directory that has the imageset which brought it as well; or, if that is lost: {hint}")
    });
    let catalog = |position: &usize| {
        let number = index.positions.binary_search(position).ok()?;
        Some(index.images.get(number)?.request.origin.clone())
    };
    let offered_by = image.offered_by.iter().filter_map(catalog).collect();
    Missing { failure: Failure { hint, ..failure }, offered_by }
}

/// Returns the record of a target as it was before an imageset, which may be there in part.
fn before(index: &Index, chain: Option<&Chain>) -> Chain {
    let mut before = chain.map_or_else(|| Chain::new(index.uid), Clone::clone);
    before.imagesets.retain(|published| published.sequence != index.sequence);
    before
}

/// Reports the images as the newest imageset has them, and all that were refused on the way.
fn note_images(report: &mut RunReport, reader: &Reader, images: &[ImageEntry], step: Step) {
    let index = reader.index();
    let is_new = |digest: &Digest| step == Step::Publish && reader.holds(digest);
    report.images = image_reports(images, is_new);
    report.contents = contents(images, is_new);
    let new = index.refused.iter().filter(|refused| !report.refused.contains(refused));
    let new: Vec<_> = new.cloned().collect();
    report.refused.extend(new);
    // Only the newest one says what is missing now.
    report.quarantined.retain(|failure| failure.exit_code != exit::OK);
    note_made_without(report, index);
}

/// Reads the signatures of releases that an imageset has.
async fn signatures(reader: &Reader) -> Result<release_signatures::Found, WorkflowError> {
    let mut found = release_signatures::Found::new();
    for path in reader.files().filter_map(Entry::file) {
        let name = path.strip_prefix("files/").unwrap_or_default();
        if let Some((payload, number)) = release_signatures::parse_path(name) {
            found.entry(payload).or_default().insert(number, reader.file(path).await?);
        }
    }
    Ok(found)
}

fn no_imageset(from: &Imagesets) -> WorkflowError {
    WorkflowErrorKind::NoImageset { path: from.name() }.into()
}

async fn check_configuration(
    readers: &[Reader],
    is_configuration: Option<IsConfiguration<'_>>,
) -> Result<(), WorkflowError> {
    let (Some(is_configuration), Some(newest)) = (is_configuration, readers.last()) else { return Ok(()) };
    let written = newest.file(CONFIGURATION).await?;
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
                // A record is large, and after the last one nobody asks for it.
                if place + 1 < readers.len() {
                    let before = chain.unwrap_or_else(|| Chain::new(index.uid));
                    chain = Some(advance(before, index, Some(identity), &Names::default(), extras(index)));
                }
                Step::Publish
            }
            // What was left out at the target is tried again as long as nothing followed.
            Ok(Admission::AlreadyPublished) if lacks_something(index, chain.as_ref()) => Step::Publish,
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

/// Answers whether an imageset is the last one at a target that could not take all of it.
fn lacks_something(index: &Index, chain: Option<&Chain>) -> bool {
    let last = chain.and_then(Chain::last).filter(|last| last.sequence == index.sequence);
    last.is_some_and(|last| last.quarantined.iter().any(|image| !index.quarantined.contains(image)))
}

/// Answers whether a later imageset closes the gap after the sequence the target is at.
fn is_cured(target: u64, later: &[Reader]) -> bool {
    later.iter().any(|reader| reader.index().base <= target)
}

/// Answers whether the target got what a sequence held with a later, cumulative one.
fn is_covered(sequence: u64, chain: &Chain) -> bool {
    chain.imagesets.iter().any(|published| published.base < sequence && sequence < published.sequence)
}

/// Commits the record of a chain after an imageset, with what that brought besides.
async fn commit(
    destination: &Destination,
    mut after: Chain,
    brought: &Brought,
    index: &Index,
    found: Option<&Digest>,
) -> Result<Stored, WorkflowError> {
    brought.keep(&mut after, index.sequence, &index.images, destination);
    destination.records.commit(&after, found).await?;
    let revision = after.digest();
    Ok(Stored { chain: after, revision })
}

fn imageset_line(reader: &Reader, images: &[ImageEntry]) -> ImagesetReport {
    let index = reader.index();
    let content = images.iter().flat_map(|image| image.manifests.iter().chain(&image.blobs));
    let saved: BTreeMap<&Digest, u64> =
        content.filter(|d| !reader.holds(&d.digest)).map(|d| (&d.digest, d.size)).collect();
    let chunks: Vec<PathBuf> = reader.paths();
    ImagesetReport {
        sequence: index.sequence,
        base: index.base,
        index: Some(reader.identity().clone()),
        bytes: reader.size(),
        chunks: chunks.iter().filter_map(|p| Some(p.file_name()?.to_string_lossy().into_owned())).collect(),
        saved_bytes: saved.values().sum(),
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

/// Supplies what the imageset carries; and what it relies on, where an earlier one that is at hand has it. The target may
/// have lost that, or never have taken it.
struct FromImageset {
    reader: Arc<Reader>,
    others: Vec<Arc<Reader>>,
}

impl Supply for FromImageset {
    fn supply(&self, image: &PublishImage, content: &Descriptor) -> Option<Place> {
        let mut all = std::iter::once(&self.reader).chain(&self.others);
        let reader: Arc<dyn ContentRead> = all.find(|reader| reader.holds(&content.digest))?.clone();
        Some((reader, image.repository.clone()))
    }

    fn is_steady(&self) -> bool {
        true
    }
}
