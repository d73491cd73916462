//! From archives of predecessors into a registry, or several: [`publish`].
//!
//! Images arrive where the predecessor would have put them, byte for byte. Those that an archive has no content for, since
//! an earlier one had it, are completed from the target. What becomes of a run is in the same record, report and resources
//! as with imagesets of this program. See "Archives of predecessors" in `host/README.md`.

mod built;
mod offer;
mod reader;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::{FORMAT, ImageEntry, Index};
use oc_mirror_model::manifest::{Descriptor, Descriptors};
use oc_mirror_model::metadata::Chain;
use oc_mirror_model::reference::{Repository, Selector};
use oc_mirror_model::report::{Failure, ImageReport, ImagesetReport, RunReport, Workflow, exit};
use oc_mirror_model::request::{Destination as Place, ImageRequest, kind};
use oc_mirror_model::sequence::{Admission, Refusal, admit};
use uuid::Uuid;

use built::Built;
use offer::{Offer, UNCHAINED, offers};
use reader::{Together, View};

use super::charts::{self, CHARTS};
use super::companions::exit_code;
use super::contents::contents;
use super::deletion;
use super::forecast::Rehearsal;
use super::from_disk::{Destination, IsConfiguration, add_totals};
use super::imagesets::Imagesets;
use super::preflight::paths;
use super::prepare::{image_failure, image_reports};
use super::publishing;
use super::release_signatures;
use super::resources::{self, Brought, Remarks};
use super::targets::Targets;
use super::{OnError, Run, WorkflowError, WorkflowErrorKind, Workspace};
use crate::content::{ContentError, ContentErrorKind, ContentRead};
use crate::metadata::Stored;
use crate::plan::imageset::{Extras, advance, is_offered_by, merge};
use crate::plan::names::Names;
use crate::predecessors::{Found, Wanted};
use crate::report::{Event, SharedEvents, Silence};
use crate::transfer::ImageTime;
use crate::transfer::imagined::Unread;
use crate::transfer::publish::{Publisher, Supply};

/// The largest chart, or data of an update graph, that is taken out of an archive.
const MAX_FILE: u64 = 64 << 20;
/// What v1 builds the image of an update graph on, and where it puts that.
const GRAPH_BASE: (&str, &str) = ("ubi8/ubi-micro", "latest");
const GRAPH_IMAGE: (&str, &str) = ("openshift/graph-image", "latest");

/// Publishes archives of a predecessor to every destination, in order of their sequences.
///
/// Of several destinations each is brought to where it should be by itself, and what is wrong with one is a failure in the
/// report.
pub(super) async fn publish(
    run: &Run,
    found: Found,
    from: &Imagesets,
    workspace: &Workspace,
    destinations: &[Destination],
    is_configuration: Option<IsConfiguration<'_>>,
) -> Result<RunReport, WorkflowError> {
    let offers = offers(found);
    let uid = chain_of(&offers, from)?;
    if run.prune && uid == UNCHAINED {
        return Err(WorkflowErrorKind::NothingToPruneBy { maker: maker_of(&offers) }.into());
    }
    let mut report = RunReport::new(Workflow::DiskToMirror, run.dry_run);
    check_configuration(&offers, is_configuration, &mut report)?;
    report.warnings.extend(offers.iter().flat_map(Offer::warnings).cloned());
    let publishing = Publishing { run, workspace, offers: &offers, uid };
    let targets = Targets::of(destinations);
    let mut outcomes = Vec::new();
    for destination in &targets.destinations {
        outcomes.push(publishing.publish(destination).await);
    }
    if targets.destinations.len() == 1
        && let Some(outcome) = outcomes.pop()
    {
        let mut own = outcome?;
        own.warnings.splice(0..0, report.warnings);
        return Ok(own);
    }
    Ok(targets.report(report, outcomes))
}

/// Returns the chain that all archives belong to.
fn chain_of(offers: &[Offer], from: &Imagesets) -> Result<Uuid, WorkflowError> {
    let uid = |offer: &Offer| offer.chained().map_or(UNCHAINED, |(uid, _)| uid);
    let first = offers.first().map_or(UNCHAINED, uid);
    match offers.iter().map(uid).find(|uid| *uid != first) {
        None => Ok(first),
        Some(second) => Err(WorkflowErrorKind::MixedChains { path: from.name(), first, second }.into()),
    }
}

fn maker_of(offers: &[Offer]) -> &'static str {
    offers.first().map_or("", Offer::maker)
}

fn check_configuration(
    offers: &[Offer],
    is_configuration: Option<IsConfiguration<'_>>,
    report: &mut RunReport,
) -> Result<(), WorkflowError> {
    let (Some(is_configuration), Some(newest)) = (is_configuration, offers.last()) else { return Ok(()) };
    match newest.written() {
        Some(written) if is_configuration(written) => Ok(()),
        Some(_) => Err(WorkflowErrorKind::OtherConfigurationOfArchive.into()),
        None => {
            let maker = newest.maker();
            report.warnings.push(format!(
                "the configuration given with --config is not looked at: {maker} does not put its own into archives"
            ));
            Ok(())
        }
    }
}

/// What is done with one archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Publish {
        sequence: u64,
        base: u64,
    },
    AlreadyPublished {
        sequence: u64,
    },
    /// It is of before all that the target's record knows of.
    PassOver {
        sequence: u64,
    },
}

/// What an archive holds for one target.
struct Resolved {
    destination: Destination,
    index: Index,
    from: Together,
    /// What cannot be had.
    failures: Vec<Failure>,
    /// The requests of that.
    failed: Vec<ImageRequest>,
}

/// The archives that are published.
struct Publishing<'a> {
    run: &'a Run,
    workspace: &'a Workspace,
    offers: &'a [Offer],
    uid: Uuid,
}

impl Publishing<'_> {
    async fn publish(&self, destination: &Destination) -> Result<RunReport, WorkflowError> {
        let (run, workspace) = (self.run, self.workspace);
        let mut report = RunReport::new(Workflow::DiskToMirror, run.dry_run);
        report.uid = (self.uid != UNCHAINED).then_some(self.uid);
        let mut found = destination.load(self.uid).await?;
        let steps = self.admit_all(found.as_ref().map(|f| &f.chain), workspace.uid().await?)?;
        deletion::refuse_pending(found.as_ref().map(|f| &f.chain), destination)?;
        let scratch = workspace.scratch()?;
        let mut remarks = Remarks::default();
        // Only a dry run has to imagine it.
        let mut imagined = found.as_ref().map(|f| f.chain.clone()).filter(|_| run.dry_run);
        let mut rehearsal = Rehearsal::at(destination);
        for (number, (offer, step)) in self.offers.iter().zip(steps).enumerate() {
            let mut line = self.line(offer, step);
            match step {
                Step::PassOver { .. } => line.outcome = "not needed".to_owned(),
                Step::AlreadyPublished { sequence } => {
                    line.outcome = "already published".to_owned();
                    report.images = recorded(found.as_ref().map(|f| &f.chain), sequence, destination);
                    if let Some(found) = found.as_ref().filter(|_| !run.dry_run) {
                        remarks = resources::write(workspace, destination, &found.chain, &run.resources)?;
                    }
                }
                Step::Publish { sequence, base } => {
                    let built = built::place_in(scratch.path(), number).map_err(|source| {
                        WorkflowErrorKind::Workspace { path: scratch.path().display().to_string(), source }
                    })?;
                    let chain = imagined.as_ref().or(found.as_ref().map(|f| &f.chain));
                    let resolved = self
                        .resolve(offer, (sequence, base), Arc::new(built), destination, chain, &mut report)
                        .await?;
                    let Resolved { destination, index, from, .. } = &resolved;
                    report.images = image_reports(&index.images, |digest| from.carries(digest));
                    report.contents = contents(&index.images, |digest| from.carries(digest));
                    line.saved_bytes = saved(index, from);
                    report.failures.extend(resolved.failures.iter().cloned());
                    if run.dry_run {
                        let known = imagined.as_ref();
                        self.send(&resolved, known, Some(&mut rehearsal), &mut report).await;
                        rehearsal.keep_mapping(workspace, &index.images)?;
                        "planned".clone_into(&mut line.outcome);
                        let before = imagined.unwrap_or_else(|| Chain::new(self.uid));
                        imagined = Some(advance(
                            before,
                            index,
                            Some(&offer.identity()),
                            &destination.names,
                            Extras::default(),
                        ));
                    } else {
                        let known = found.as_ref().map(|f| &f.chain);
                        self.send(&resolved, known, None, &mut report).await;
                    }
                    if !report.failures.is_empty() {
                        line.outcome = "failed".to_owned();
                        report.imagesets.push(line);
                        report.forecast = run.dry_run.then(|| rehearsal.forecast());
                        remarks.tell(&mut report);
                        return Ok(report);
                    }
                    if !run.dry_run {
                        let stored = self.commit(offer, &resolved, found.as_ref(), &mut report).await?;
                        remarks = resources::write(workspace, destination, &stored.chain, &run.resources)?;
                        found = Some(stored);
                        "published".clone_into(&mut line.outcome);
                    }
                }
            }
            report.imagesets.push(line);
        }
        report.forecast = run.dry_run.then(|| rehearsal.forecast());
        remarks.tell(&mut report);
        if let Some(chain) = imagined.or(found.map(|f| f.chain)).filter(|_| run.prune) {
            deletion::prune(run, destination, workspace, &chain, &mut report).await?;
        }
        Ok(report)
    }

    /// Decides about each archive as if those before it had been published.
    fn admit_all(&self, found: Option<&Chain>, workspace: Option<Uuid>) -> Result<Vec<Step>, WorkflowError> {
        let mut chain = found.cloned().unwrap_or_else(|| Chain::new(self.uid));
        let mut steps = Vec::new();
        for offer in self.offers {
            let identity = offer.identity();
            let at = chain.sequence();
            let (sequence, base) = match offer.chained() {
                Some((_, sequence)) => (sequence, sequence - 1),
                None => match chain.imagesets.iter().find(|i| i.index.as_ref() == Some(&identity)) {
                    Some(known) => (known.sequence, known.base),
                    None => (at + 1, at),
                },
            };
            let index = self.index(offer, sequence, base, Vec::new());
            let step = match admit(&index, &identity, Some(&chain), workspace) {
                Ok(Admission::Publish) => {
                    chain = advance(chain, &index, Some(&identity), &Names::default(), Extras::default());
                    Step::Publish { sequence, base }
                }
                Ok(Admission::AlreadyPublished) => Step::AlreadyPublished { sequence },
                // The record that oc-mirror v1 keeps has its last sequence only.
                Err(Refusal::Older { .. } | Refusal::GoneOn { .. }) if self.offers.len() > 1 => {
                    Step::PassOver { sequence }
                }
                Err(refusal @ Refusal::Gap { .. }) => {
                    return Err(WorkflowErrorKind::GapOfArchives(refusal).into());
                }
                Err(refusal) => return Err(refusal.into()),
            };
            steps.push(step);
        }
        Ok(steps)
    }

    fn index(&self, offer: &Offer, sequence: u64, base: u64, images: Vec<ImageEntry>) -> Index {
        Index {
            format: FORMAT,
            uid: self.uid,
            sequence,
            base,
            previous: None,
            created: offer.created(),
            created_by: offer.maker().to_owned(),
            chunks: Vec::new(),
            entries: Vec::new(),
            images,
            unchanged: Vec::new(),
            positions: Vec::new(),
            required: Vec::new(),
            refused: Vec::new(),
            policies: Vec::new(),
            signed_by: Vec::new(),
            quarantined: Vec::new(),
        }
    }

    fn line(&self, offer: &Offer, step: Step) -> ImagesetReport {
        let (Step::Publish { sequence, .. }
        | Step::AlreadyPublished { sequence }
        | Step::PassOver { sequence }) = step;
        let chunks = offer.contents().chunks();
        ImagesetReport {
            sequence,
            // Archives without a chain build on nothing that has a number.
            base: offer.chained().map_or(0, |(_, sequence)| sequence - 1),
            index: Some(offer.identity()),
            chunks: chunks.names(),
            bytes: chunks.size,
            saved_bytes: 0,
            outcome: String::new(),
        }
    }

    /// Finds out what each image consists of, builds what has to be built, and checks that the target can take it.
    async fn resolve(
        &self,
        offer: &Offer,
        (sequence, base): (u64, u64),
        built: Arc<Built>,
        destination: &Destination,
        chain: Option<&Chain>,
        report: &mut RunReport,
    ) -> Result<Resolved, WorkflowError> {
        let asked = offer.asked(destination.target.prefix.as_ref()).await?;
        report.notes.extend(asked.remarks);
        let shells: Vec<ImageEntry> = asked
            .wanted
            .iter()
            .map(|wanted| (&wanted.request, &wanted.root))
            .chain(offer.catalogs().iter().map(|catalog| (&catalog.request, catalog.base.digest())))
            .filter_map(|(request, root)| shell(request, root))
            .collect();
        let shells: Vec<&ImageEntry> = shells.iter().collect();
        // Names first: what earlier archives brought has to be found.
        let named = destination.prepared(self.run, chain, &paths(&shells), &[], report).await?;
        let from = Together::new(offer, built.clone(), &named);
        let events = &self.run.events;
        events.event(Event::Phase {
            name: "resolving images",
            items: Some(asked.wanted.len() as u64),
            bytes: None,
        });
        let mut failures: Vec<Failure> = asked.missing.iter().map(missing).collect();
        let mut failed = Vec::new();
        let parallel = self.run.parallelism.images * self.run.parallelism.blobs;
        let (catalogs, broken) = self.catalogs(offer, &from, &built).await;
        let wanted: Vec<Wanted> = asked.wanted.into_iter().chain(catalogs).collect();
        let outcomes: Vec<_> = stream::iter(wanted)
            .map(|wanted| {
                let from = from.clone();
                async move {
                    let outcome = from.resolve(offer, &wanted).await;
                    (wanted, outcome)
                }
            })
            .buffered(parallel.max(1))
            .collect()
            .await;
        let mut images = Vec::new();
        for (wanted, outcome) in outcomes {
            match outcome {
                Ok(image) => images.push(image),
                // Known by name only, and not there: it was mirrored for somebody else.
                Err(error) if !wanted.certain && is_lost(&error) => {}
                Err(error) => {
                    failures.push(failure(&wanted.request, &error));
                    failed.push(wanted.request);
                }
            }
        }
        for (request, error) in broken {
            failures.push(failure(&request, &error));
        }
        if let Some(graph) = self.graph(offer, &from, &built, &images).await {
            match graph {
                Ok(image) => images.push(image),
                Err((request, error)) => failures.push(failure(&request, &error)),
            }
        }
        let images = merge(images).map_err(WorkflowErrorKind::Collision)?;
        let all: Vec<&ImageEntry> = images.iter().collect();
        let destination = named.prepared(self.run, chain, &paths(&all), &all, report).await?;
        let index = self.index(offer, sequence, base, images);
        Ok(Resolved { destination, index, from, failures, failed })
    }

    /// Builds the catalogs of an archive of v1.
    async fn catalogs(
        &self,
        offer: &Offer,
        from: &Together,
        built: &Built,
    ) -> (Vec<Wanted>, Vec<(ImageRequest, ContentError)>) {
        let (mut wanted, mut broken) = (Vec::new(), Vec::new());
        for catalog in offer.catalogs() {
            let root = match catalog.filtered {
                Some(filtered) => built::catalog(catalog, filtered, from, offer.contents(), built).await,
                None => Ok(catalog.base.digest().clone()),
            };
            match root {
                Ok(root) => wanted.push(Wanted { request: catalog.request.clone(), root, certain: true }),
                Err(error) => broken.push((catalog.request.clone(), error.into())),
            }
        }
        (wanted, broken)
    }

    /// Builds the image of the update graph, if an archive of v1 has the data of it.
    async fn graph(
        &self,
        offer: &Offer,
        from: &Together,
        built: &Built,
        images: &[ImageEntry],
    ) -> Option<Result<ImageEntry, (ImageRequest, ContentError)>> {
        let data = offer.graph()?;
        let (repository, tag) = GRAPH_IMAGE;
        let repository: Repository = repository.parse().expect("a constant that is a repository");
        let name = format!("{repository}:{tag}");
        let request = ImageRequest {
            source: name.clone(),
            origin: name,
            kind: kind::GRAPH.to_owned(),
            target_repository: Some(repository.clone()),
            target_tag: Some(tag.parse().expect("a constant that is a tag")),
            platforms: Vec::new(),
            with_referrers: false,
            provenance: Default::default(),
        };
        let build = async {
            let is_base = |image: &&ImageEntry| {
                let place = &image.destination;
                (place.repository.as_str(), place.tag.as_str()) == GRAPH_BASE
            };
            let base = images.iter().find(is_base).ok_or_else(|| {
                let reason = format!(
                    "what it is built on, `{}:{}`, is not in the archive",
                    GRAPH_BASE.0, GRAPH_BASE.1
                );
                ContentError::new(request.origin.clone(), ContentErrorKind::Lost(reason))
            })?;
            let place = from.place(&base.destination.repository);
            let manifest = from.manifest(&place, &Selector::Digest(base.root.digest.clone())).await?;
            let base = View { from: from.clone(), repository: place, manifest };
            let invalid = |e| {
                let kind =
                    ContentErrorKind::Invalid("the data of the update graph cannot be read".to_owned());
                ContentError::with_source(request.origin.clone(), kind, e)
            };
            let data = offer
                .contents()
                .chunks()
                .read(data, "the data of the update graph", MAX_FILE)
                .map_err(invalid)?;
            let signatures = offer.signatures().map_err(invalid)?;
            let root = built::graph(&base, data, &signatures, &repository, built).await?;
            let wanted = Wanted { request: request.clone(), root, certain: true };
            from.resolve(offer, &wanted).await
        };
        let outcome = build.await;
        Some(outcome.map_err(|error| (request.clone(), error)))
    }

    /// Sends what can be had to a target with this record, or finds out what that would be; what goes wrong is noted in the
    /// report.
    async fn send(
        &self,
        resolved: &Resolved,
        chain: Option<&Chain>,
        rehearsal: Option<&mut Rehearsal>,
        report: &mut RunReport,
    ) {
        let run = self.run;
        let Resolved { destination, index, from, failed, .. } = resolved;
        let mut known = destination.known(chain);
        let content: BTreeSet<&Digest> =
            index.images.iter().flat_map(|i| i.manifests.iter().chain(&i.blobs)).map(|d| &d.digest).collect();
        for digest in content.into_iter().filter(|digest| !from.carries(digest)) {
            known.entry(digest.clone()).or_default().extend(from.places(digest));
        }
        let supply: Arc<dyn Supply> = Arc::new(from.clone());
        let (endpoint, supply, events): (_, Arc<dyn Supply>, SharedEvents) = match &rehearsal {
            // What happens in thought is no step of the run.
            Some(rehearsal) => {
                let unread = Arc::new(Unread::new(supply, Arc::default()));
                (rehearsal.destination.endpoint.clone(), unread, Arc::new(Silence))
            }
            None => (destination.endpoint.clone(), supply, run.events.clone()),
        };
        let publisher = Publisher::new(endpoint, supply, known, run.parallelism, run.retry, events)
            .stopping(run.on_error == OnError::Stop)
            .within(ImageTime::of(run.image_timeout, &index.images));
        let bytes = carried(index, from);
        let publisher = publisher.having_told_of(bytes);
        let (items, bytes) = (Some(index.images.len() as u64), Some(bytes));
        run.events.event(match rehearsal {
            Some(_) => Event::Phase { name: "asking the target", items, bytes: None },
            None => Event::Phase { name: "publishing", items, bytes },
        });
        let offers_failed = |image: &ImageEntry| {
            image.request.kind == kind::CATALOG
                && failed.iter().any(|request| is_offered_by(request, &image.request.origin))
        };
        let (withheld, images): (Vec<ImageEntry>, Vec<ImageEntry>) =
            index.images.iter().cloned().partition(offers_failed);
        for catalog in &withheld {
            let missing = failed.iter().filter(|r| is_offered_by(r, &catalog.request.origin)).count();
            report.failures.push(publishing::withheld(catalog, missing));
        }
        report.failures.extend(publishing::publish(&publisher, destination, &images, &[]).await);
        add_totals(&mut report.totals, publisher.totals());
        if let Some(rehearsal) = rehearsal {
            rehearsal.note(&images);
        }
    }

    /// Puts charts and signatures into the workspace, and commits.
    async fn commit(
        &self,
        offer: &Offer,
        resolved: &Resolved,
        found: Option<&Stored>,
        report: &mut RunReport,
    ) -> Result<Stored, WorkflowError> {
        let Resolved { destination, index, .. } = resolved;
        for (name, place) in offer.charts() {
            let bytes = offer.contents().chunks().read(*place, name, MAX_FILE)?;
            self.workspace.write(&format!("{CHARTS}/{name}"), &bytes)?;
        }
        charts::tell(self.workspace, offer.charts().len(), report);
        let signatures = offer.signatures()?;
        let remarks = release_signatures::keep(self.workspace, destination, &signatures).await;
        report.warnings.extend(remarks);
        let brought = Brought::of_archive(offer.configuration(), &signatures, report);
        let before = found.map_or_else(|| Chain::new(self.uid), |f| f.chain.clone());
        let mut after =
            advance(before, index, Some(&offer.identity()), &destination.names, Extras::default());
        brought.keep(&mut after, index.sequence, &index.images, destination);
        destination.records.commit(&after, found.map(|found| &found.revision)).await?;
        self.workspace.note_published(self.uid, &destination.target.to_string(), index.sequence)?;
        destination.keep_mapping(self.workspace, &after, || Cow::Borrowed(&index.images))?;
        let revision = after.digest();
        Ok(Stored { chain: after, revision })
    }
}

/// Lists the images of a sequence as the record at the target has them.
fn recorded(chain: Option<&Chain>, sequence: u64, destination: &Destination) -> Vec<ImageReport> {
    let Some(chain) = chain else { return Vec::new() };
    let size = |digest: &Digest| chain.blobs.get(digest).map_or(0, |blob| blob.size);
    let prefix = destination.target.prefix.as_ref().map(|prefix| format!("{prefix}/")).unwrap_or_default();
    let images = chain.imageset(sequence).into_iter().flat_map(|imageset| &imageset.images);
    let images = images.map(|image| {
        let place = &image.destination;
        let path = place.repository.as_str().strip_prefix(&prefix).and_then(|path| path.parse().ok());
        let content = chain.content_of(&image.digest).unwrap_or_default();
        ImageReport {
            origin: image.origin.clone(),
            kind: image.kind.clone(),
            destination: Place {
                repository: path.unwrap_or_else(|| place.repository.clone()),
                tag: place.tag.clone(),
            },
            digest: image.digest.clone(),
            new_bytes: 0,
            total_bytes: content.iter().map(size).sum(),
            companions: 0,
            found_at: None,
        }
    });
    images.collect()
}

/// Makes an entry that says where an image goes, and nothing of what it is.
fn shell(request: &ImageRequest, root: &Digest) -> Option<ImageEntry> {
    Some(ImageEntry {
        plugin: String::new(),
        request: request.clone(),
        destination: request.destination(root).ok()?,
        root: Descriptor::new("", root.clone(), 0),
        manifests: Descriptors::default(),
        blobs: Descriptors::default(),
        sparse: false,
    })
}

/// Returns the bytes of what images need and the archive has, each once.
fn carried(index: &Index, from: &Together) -> u64 {
    bytes(index, |digest| from.carries(digest))
}

/// Returns the bytes of what images need and only the target has, each once.
fn saved(index: &Index, from: &Together) -> u64 {
    bytes(index, |digest| !from.carries(digest))
}

fn bytes(index: &Index, counts: impl Fn(&Digest) -> bool) -> u64 {
    let mut seen = BTreeSet::new();
    let content = index.images.iter().flat_map(|image| image.manifests.iter().chain(&image.blobs));
    content.filter(|d| counts(&d.digest) && seen.insert(&d.digest)).map(|d| d.size).sum()
}

fn is_lost(error: &ContentError) -> bool {
    matches!(error.kind(), ContentErrorKind::Lost(_) | ContentErrorKind::NotFound)
}

/// Says what is wrong with an image of an archive.
fn failure(request: &ImageRequest, error: &ContentError) -> Failure {
    let failure = image_failure(&request.origin, &request.kind, error);
    let hint = match error.kind() {
        ContentErrorKind::Lost(_) => Some(
            "publish the archives that were made before this one, and see whether all files of this one are there"
                .to_owned(),
        ),
        _ => failure.hint,
    };
    Failure { hint, exit_code: exit_code(request), ..failure }
}

/// Says that an archive has not what its configuration names.
fn missing(missing: &crate::predecessors::v2::Missing) -> Failure {
    Failure {
        subject: missing.origin.clone(),
        kind: missing.kind.to_owned(),
        message: "the configuration in the archive names it, and the archive does not have it".to_owned(),
        hint: Some("see whether all files of the archive are there; else make it again".to_owned()),
        exit_code: exit::for_kind(missing.kind),
    }
}
