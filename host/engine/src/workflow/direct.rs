//! From registries into a registry, or several: [`mirror_to_mirror`], where both can be reached.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::{FORMAT, ImageEntry, Index};
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::metadata::Chain;
use oc_mirror_model::reference::{Repository, Selector};
use oc_mirror_model::report::{Failure, ImagesetReport, RunReport, Workflow};
use oc_mirror_model::request::kind;

use super::agreement::State;
use super::charts;
use super::companions::of_image;
use super::contents::contents;
use super::deletion;
use super::forecast::{self, Rehearsal};
use super::from_disk::{Destination, add_totals, note_reads};
use super::images::{Origin, Origins, RunImages};
use super::judge::expected;
use super::on_error::{do_without, published_without, quarantined};
use super::origins::Sources;
use super::preflight::paths;
use super::prepare::{Prepared, Request, Without, file_records, image_reports};
use super::publishing::publish;
use super::release_signatures;
use super::resources::{self, Brought};
use super::space::{self, Need};
use super::targets::Targets;
use super::{OnError, Run, Wishes, WorkflowError, WorkflowErrorKind, Workspace};
use crate::content::{BlobStream, ContentError, ContentRead};
use crate::metadata::Stored;
use crate::plan::imageset::{Extras, advance, is_unchanged};
use crate::plan::names::Names;
use crate::report::{Event, Silence};
use crate::transfer::ImageTime;
use crate::transfer::imagined::{Asked, Unread};
use crate::transfer::publish::{Place, PublishImage, Publisher, Supply};
use crate::transfer::shared::{Seat, Sharing};

/// Copies what is wanted to the targets, and records it in the workspace and there.
///
/// The run takes the next sequence of the workspace's chain. It needs nothing of a target, so any target will
/// do; but an imageset that follows it builds on it, and other targets will say that this sequence is missing.
///
/// What is wanted is found out once, and what several targets need is fetched once. What is wrong with one of several
/// targets is a failure in the report; the others are brought to the sequence all the same.
pub async fn mirror_to_mirror(
    run: &Run,
    wishes: &Wishes,
    origins: Arc<dyn Origins>,
    workspace: &Workspace,
    destinations: &[Destination],
) -> Result<RunReport, WorkflowError> {
    let mut report = RunReport::new(Workflow::MirrorToMirror, run.dry_run);
    report.plugins.clone_from(&wishes.plugins);
    if !run.dry_run {
        workspace.metadata().rehearse().await?;
    }
    let uid = workspace.uid().await?.unwrap_or(run.new_uid);
    let (chain, local) = workspace.load_record(uid).await?;
    report.uid = Some(uid);
    let state = run.agreement.as_ref().map_or(Ok(State::Open), |agreement| agreement.begin(&chain))?;
    let targets = Targets::of(destinations);
    let mut sites: Vec<Site> =
        join_all(targets.destinations.iter().map(|d| Site::open(d, run, &chain))).await;
    if sites.iter().all(|site| site.outcome.is_err()) {
        return targets.outcome(report, sites.into_iter().map(|s| s.outcome).collect());
    }
    if let (Some(agreement), State::Done) = (&run.agreement, state) {
        let last = chain.sequence();
        for site in &mut sites {
            let is_behind = site.chain().map_or(0, Chain::sequence) < last;
            match &mut site.outcome {
                // A run that was cut off has not recorded it there; the next one does.
                Ok(_) if is_behind => return Err(agreement.moved_on(&chain)),
                Ok(own) => own.imagesets.push(line(last, "nothing new")),
                Err(_) => {}
            }
        }
        report.notes.push(format!("sequence {last} is what the plan copies: it is there"));
        return targets.outcome(report, sites.into_iter().map(|s| s.outcome).collect());
    }
    if let Some(agreement) = &run.agreement {
        for site in sites.iter().filter(|site| site.outcome.is_ok()) {
            agreement.at_target(&site.destination.target, site.chain(), Vec::new())?;
        }
    }

    let scratch = workspace.scratch()?;
    let request = Request {
        run,
        wishes,
        chain: &chain,
        workflow: Workflow::MirrorToMirror,
        origins,
        workspace,
        scratch: scratch.path(),
    };
    let mut without = Without::default();
    let prepared = loop {
        let mut prepared = request.prepare(&without, &mut report).await?;
        for site in &mut sites {
            site.settle(run, &prepared).await;
        }
        if sites.iter().all(|site| site.outcome.is_err()) {
            return targets.outcome(report, sites.into_iter().map(|s| s.outcome).collect());
        }
        let is_new = |digest: &Digest| sites.iter().any(|site| site.lacks(digest));
        report.images = image_reports(&prepared.entries, is_new);
        report.contents = contents(&prepared.entries, is_new);
        prepared.note_mirrors(&mut report.images);
        if run.dry_run {
            request.note_unasked(&mut report);
            if let Some(agreement) = &run.agreement {
                let mut planned = index(run, &chain, &prepared, &report);
                // What policies say of content is not known yet; of a plan it is taken to be nothing.
                planned.policies = expected(&wishes.policies, &report.policies, prepared.subjects.len());
                agreement.settle(Some(&planned))?;
                agreement.note_resolved(&(wishes.pinned)(&prepared.entries, &prepared.plugin_state));
            }
            let asked = Arc::new(Asked::default());
            for site in sites.iter_mut() {
                site.rehearse(run, workspace, &prepared, &asked).await?;
                let Ok(own) = &mut site.outcome else { continue };
                own.imagesets.push(line(chain.sequence() + 1, "planned"));
                if run.prune && report.failures.is_empty() {
                    let index = index(run, &chain, &prepared, &report);
                    let before = site.remote.as_ref().map_or_else(|| Chain::new(uid), |r| r.chain.clone());
                    let after = advance(before, &index, None, &site.destination.names, Extras::default());
                    deletion::prune(run, &site.destination, workspace, &after, own).await?;
                }
            }
            let mut forecast = forecast::of_copy(&asked);
            forecast.block(&report.refused);
            let blobs = prepared.entries.iter().map(|image| image.blobs.len()).sum::<usize>();
            let need = Need::of_workspace(workspace.dir(), prepared.entries.len(), blobs + chain.blobs.len());
            forecast.space = space::rooms(&[need])?;
            report.forecast = Some(forecast);
            return targets.outcome(report, sites.into_iter().map(|s| s.outcome).collect());
        }
        if run.on_error == OnError::Stop && !report.failures.is_empty() {
            return targets.outcome(report, sites.into_iter().map(|s| s.outcome).collect());
        }
        if report.failures.is_empty() || run.on_error != OnError::Finish {
            // Before anything is copied, so that nothing of what is refused gets to a target.
            if !request.judge_content(&mut prepared, &mut without, &mut report).await {
                continue;
            }
        }
        if run.keeps_plan() {
            if !report.failures.is_empty() {
                return targets.outcome(report, sites.into_iter().map(|s| s.outcome).collect());
            }
            run.settle(Some(&index(run, &chain, &prepared, &report)))?;
        }
        let blobs = prepared.entries.iter().map(|image| image.blobs.len()).sum::<usize>() + chain.blobs.len();
        space::check(&[Need::of_workspace(workspace.dir(), prepared.entries.len(), blobs)])?;
        copy_to_all(run, workspace, &prepared, &mut sites, &mut report).await;
        let everywhere = failed_everywhere(&sites);
        // A catalog that was withheld is made again without what it misses.
        let images = everywhere.iter().filter(|f| f.kind != kind::CATALOG).cloned();
        let images: Vec<Failure> = images.map(|f| of_image(f, &prepared.entries)).collect();
        match do_without(run, &images, &mut report).filter(|more| !more.is_empty()) {
            Some(more) => without.missing.extend(more),
            None => break prepared,
        }
        sites.iter_mut().flat_map(|site| &mut site.outcome).for_each(|own| own.failures.clear());
    };
    for site in sites.iter().filter(|site| site.outcome.is_ok()) {
        let resources = workspace.cluster_resources(&site.destination.target)?;
        for (name, document) in &prepared.documents {
            workspace.write_below(&resources, name, document.as_bytes())?;
        }
    }
    let wanted = index(run, &chain, &prepared, &report);
    let published: Vec<Option<Index>> = match report.failures.is_empty() {
        true => sites.iter_mut().map(|site| site.published(run, &wanted)).collect(),
        false => Vec::new(),
    };
    if published.iter().any(Option::is_some) {
        let brought = Brought::of_run(&prepared, &wishes.configuration, &mut report)?;
        let finish = Finish {
            run,
            wishes,
            workspace,
            chain: &chain,
            local: local.as_ref(),
            prepared: &prepared,
            brought: &brought,
            wanted: &wanted,
            published: &published,
        };
        finish.finish(&mut sites).await?;
    }
    targets.outcome(report, sites.into_iter().map(|s| s.outcome).collect())
}

/// One target of a run.
struct Site {
    /// The target; the names of its repositories are settled once it is known what is wanted.
    destination: Destination,
    /// What its record says.
    remote: Option<Stored>,
    /// What became of it so far, or why nothing can be done there.
    outcome: Result<RunReport, WorkflowError>,
}

impl Site {
    /// Looks what is there.
    async fn open(destination: &Destination, run: &Run, chain: &Chain) -> Self {
        let own = RunReport::new(Workflow::MirrorToMirror, run.dry_run);
        let (remote, outcome) = match destination.load(chain.uid).await {
            Ok(remote) => {
                let at = remote.as_ref().map_or(0, |r| r.chain.sequence());
                let behind = WorkflowErrorKind::WorkspaceBehind { target: at, workspace: chain.sequence() };
                let outcome = deletion::refuse_pending(remote.as_ref().map(|r| &r.chain), destination)
                    .and_then(|()| if at > chain.sequence() { Err(behind.into()) } else { Ok(own) });
                (remote, outcome)
            }
            Err(error) => (None, Err(error)),
        };
        Self { destination: destination.clone(), remote, outcome }
    }

    /// Settles where everything is to be, and finds out whether the target can take it.
    async fn settle(&mut self, run: &Run, prepared: &Prepared) {
        let Ok(own) = &mut self.outcome else { return };
        let images: Vec<&ImageEntry> = prepared.entries.iter().collect();
        let chain = self.remote.as_ref().map(|r| &r.chain);
        match self.destination.prepared(run, chain, &paths(&images), &images, own).await {
            Ok(destination) => self.destination = destination,
            Err(error) => self.outcome = Err(error),
        }
    }

    /// Answers whether all that was wanted so far is there.
    fn is_good(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|own| own.failures.is_empty())
    }

    fn chain(&self) -> Option<&Chain> {
        self.remote.as_ref().map(|r| &r.chain)
    }

    fn lacks(&self, digest: &Digest) -> bool {
        self.chain().is_none_or(|chain| !chain.blobs.contains_key(digest))
    }

    /// Answers whether nothing had to be moved, and the record says what it would say again.
    fn is_unchanged(&self, prepared: &Prepared, published: Option<&Index>) -> bool {
        let (Ok(own), Some(index)) = (&self.outcome, published) else { return false };
        let last = self.chain().and_then(Chain::last);
        // A record that says that something is not there is to be told when nothing is missing any more.
        let lacked = last.is_some_and(|last| !last.quarantined.is_empty());
        if lacked && index.quarantined.is_empty() {
            return false;
        }
        let moved = own.totals.blobs + own.totals.mounted_blobs + own.totals.manifests;
        let entries = placed(&index.images, &self.destination);
        moved == 0 && last.is_some() && is_unchanged(&entries, &file_records(prepared), last)
    }

    /// Finds out what would be copied there, of which nothing is.
    async fn rehearse(
        &mut self,
        run: &Run,
        workspace: &Workspace,
        prepared: &Prepared,
        asked: &Arc<Asked>,
    ) -> Result<(), WorkflowError> {
        let Ok(own) = &mut self.outcome else { return Ok(()) };
        let mut rehearsal = Rehearsal::at(&self.destination);
        let supply = FromOrigins { sources: prepared.sources.clone(), images: prepared.images.clone() };
        let supply = Arc::new(Unread::new(Arc::new(supply), asked.clone()));
        let chain = self.remote.as_ref().map(|r| &r.chain);
        let known = self.destination.known(chain);
        let (endpoint, parallelism) = (rehearsal.destination.endpoint.clone(), run.parallelism);
        // What happens in thought is no step of the run.
        let publisher = Publisher::new(endpoint, supply, known, parallelism, run.retry, Arc::new(Silence))
            .stopping(run.on_error == OnError::Stop);
        let is_doubtful = workspace.was_cut_off(&self.destination.target);
        let publisher = if is_doubtful { publisher } else { publisher.trusting_the_record() };
        let items = Some(prepared.entries.len() as u64);
        run.events.event(Event::Phase { name: "asking the target", items, bytes: None });
        let failures = publish(&publisher, &rehearsal.destination, &prepared.entries, &[]).await;
        own.failures.extend(failures);
        add_totals(&mut own.totals, publisher.totals());
        rehearsal.note(&prepared.entries);
        rehearsal.keep_mapping(workspace, &prepared.entries)?;
        own.forecast = Some(rehearsal.forecast());
        Ok(())
    }

    async fn copy(&mut self, run: &Run, workspace: &Workspace, prepared: &Prepared, supply: Arc<dyn Supply>) {
        let Ok(own) = &mut self.outcome else { return };
        let was_cut_off = match workspace
            .begin_publishing(&self.destination.target, self.remote.as_ref().map(|r| &r.revision))
        {
            Ok(was_cut_off) => was_cut_off,
            Err(error) => {
                self.outcome = Err(error);
                return;
            }
        };
        let publisher = Publisher::new(
            self.destination.endpoint.clone(),
            supply,
            self.destination.known(self.remote.as_ref().map(|r| &r.chain)),
            run.parallelism,
            run.retry,
            run.events.clone(),
        )
        .stopping(run.on_error == OnError::Stop)
        .within(ImageTime::of(run.image_timeout, &prepared.entries));
        let publisher = if was_cut_off { publisher } else { publisher.trusting_the_record() };
        own.failures.extend(publish(&publisher, &self.destination, &prepared.entries, &[]).await);
        add_totals(&mut own.totals, publisher.totals());
    }

    /// Leaves out what this target did not take, if the user wants that. Returns what it has; nothing if that is no sequence.
    fn published(&mut self, run: &Run, index: &Index) -> Option<Index> {
        let own = self.outcome.as_mut().ok()?;
        published_without(run, index, own).map(Cow::into_owned)
    }
}

/// Copies to every target that can be used; what several need is fetched once.
async fn copy_to_all(
    run: &Run,
    workspace: &Workspace,
    prepared: &Prepared,
    sites: &mut [Site],
    report: &mut RunReport,
) {
    let items = Some(prepared.entries.len() as u64);
    // How much is to move is told as soon as it is known what each target has.
    run.events.event(Event::Phase { name: "copying", items, bytes: None });
    let supply: Arc<dyn Supply> =
        Arc::new(FromOrigins { sources: prepared.sources.clone(), images: prepared.images.clone() });
    if let [site] = sites {
        return site.copy(run, workspace, prepared, supply).await;
    }
    let (sharing, seats) = Sharing::among(sites.len());
    let seats: Vec<Arc<Seat>> = seats.into_iter().map(Arc::new).collect();
    for (seat, _) in seats.iter().zip(&*sites).filter(|(_, site)| site.outcome.is_ok()) {
        let blobs = prepared.entries.iter().flat_map(|image| &image.blobs);
        seat.expect(blobs.map(|blob| &blob.digest));
    }
    join_all(sites.iter_mut().zip(seats).map(|(site, seat)| {
        let supply = seat.supply(supply.clone());
        async move {
            site.copy(run, workspace, prepared, supply).await;
            // Nobody waits for a target that is done.
            drop(seat);
        }
    }))
    .await;
    note_reads(report, sharing.reads());
}

/// Returns what failed at every target that can be used: what is wrong there is wrong with the source.
fn failed_everywhere(sites: &[Site]) -> Vec<Failure> {
    let mut usable = sites.iter().flat_map(|site| &site.outcome);
    let Some(first) = usable.next() else { return Vec::new() };
    let others: Vec<&RunReport> = usable.collect();
    let is_same = |a: &Failure, b: &Failure| (&a.subject, &a.kind) == (&b.subject, &b.kind);
    let everywhere =
        first.failures.iter().filter(|f| others.iter().all(|own| own.failures.iter().any(|o| is_same(f, o))));
    everywhere.cloned().collect()
}

/// What is left to do when everything is in place at a target at least.
struct Finish<'a> {
    run: &'a Run,
    wishes: &'a Wishes,
    workspace: &'a Workspace,
    chain: &'a Chain,
    local: Option<&'a Stored>,
    prepared: &'a Prepared,
    brought: &'a Brought,
    /// The sequence that is made.
    wanted: &'a Index,
    /// What of it each target has.
    published: &'a [Option<Index>],
}

impl Finish<'_> {
    /// Returns the signatures of releases that sources handed over.
    fn signatures(&self) -> Result<release_signatures::Found, WorkflowError> {
        let mut found = release_signatures::Found::new();
        for artifact in &self.prepared.artifacts {
            if let Some((payload, number)) = release_signatures::parse_path(&artifact.path) {
                let failed = |source| WorkflowErrorKind::Workspace {
                    path: artifact.file.display().to_string(),
                    source,
                };
                let bytes = std::fs::read(&artifact.file).map_err(failed)?;
                found.entry(payload).or_default().insert(number, bytes);
            }
        }
        Ok(found)
    }

    /// Commits to the workspace, and then to each target that has all of it.
    async fn finish(&self, sites: &mut [Site]) -> Result<(), WorkflowError> {
        let signatures = self.signatures()?;
        for site in sites.iter_mut().filter(|site| site.is_good()) {
            let kept = release_signatures::keep(self.workspace, &site.destination, &signatures).await;
            site.outcome.iter_mut().for_each(|own| own.warnings.extend(kept.clone()));
        }
        let mut good = sites.iter().zip(self.published).filter(|(site, _)| site.is_good());
        if good.all(|(site, published)| site.is_unchanged(self.prepared, published.as_ref())) {
            for site in sites.iter_mut() {
                self.note_unchanged(site).await?;
            }
            return self.end(sites);
        }
        if let Some(own) = sites.iter_mut().filter_map(|site| site.outcome.as_mut().ok()).next() {
            charts::keep(self.workspace, self.prepared, own)?;
        }
        let pinned = (self.wishes.pinned)(&self.prepared.entries, &self.prepared.plugin_state);
        self.workspace.write("resolved-config.yaml", &pinned)?;
        let index = self.wanted;
        // The workspace first: a target that is ahead of its workspace would be refused by the next run.
        let state = self.prepared.plugin_state.clone();
        let extras = Extras { state, files: file_records(self.prepared) };
        let after = advance(self.chain.clone(), index, None, &Names::default(), extras.clone());
        self.workspace.commit_record(&after, self.local).await?;
        let extras = Extras { state: Default::default(), ..extras };
        for (site, published) in sites.iter_mut().zip(self.published).filter(|(site, _)| site.is_good()) {
            let Some(index) = published else { continue };
            let committed = self.commit(site, index, extras.clone()).await;
            if let Err(error) = committed {
                site.outcome = Err(error);
            }
        }
        self.end(sites)
    }

    /// Notes which targets have all in their records.
    fn end(&self, sites: &[Site]) -> Result<(), WorkflowError> {
        // Of what a target did not take, it may have some.
        let is_whole = |index: &Option<Index>| {
            index.as_ref().is_some_and(|index| index.images.len() == self.wanted.images.len())
        };
        let good = sites.iter().zip(self.published).filter(|(site, _)| site.is_good());
        let mut whole = good.filter(|(_, published)| is_whole(published));
        whole.try_for_each(|(site, _)| self.workspace.end_publishing(&site.destination.target))
    }

    async fn note_unchanged(&self, site: &mut Site) -> Result<(), WorkflowError> {
        let (Ok(own), Some(remote)) = (&mut site.outcome, &mut site.remote) else { return Ok(()) };
        if !own.failures.is_empty() {
            return Ok(());
        }
        let at = remote.chain.sequence();
        own.imagesets.push(line(at, "nothing new"));
        self.brought.keep(&mut remote.chain, at, &self.prepared.entries, &site.destination);
        resources::write(self.workspace, &site.destination, &remote.chain, &self.run.resources)?.tell(own);
        if self.run.prune {
            deletion::prune(self.run, &site.destination, self.workspace, &remote.chain, own).await?;
        }
        Ok(())
    }

    async fn commit(&self, site: &mut Site, index: &Index, extras: Extras) -> Result<(), WorkflowError> {
        let destination = &site.destination;
        let before = site.chain().cloned().unwrap_or_else(|| Chain::new(index.uid));
        let mut after = advance(before, index, None, &destination.names, extras);
        self.brought.keep(&mut after, index.sequence, &index.images, destination);
        let found = site.remote.as_ref().map(|found| &found.revision);
        destination.records.commit(&after, found).await?;
        self.workspace.note_published(index.uid, &destination.target.to_string(), index.sequence)?;
        destination.keep_mapping(self.workspace, &after, || Cow::Borrowed(&index.images))?;
        let Ok(own) = &mut site.outcome else { return Ok(()) };
        resources::write(self.workspace, destination, &after, &self.run.resources)?.tell(own);
        own.imagesets.push(line(index.sequence, "published"));
        if self.run.prune {
            deletion::prune(self.run, destination, self.workspace, &after, own).await?;
        }
        Ok(())
    }
}

fn placed(entries: &[ImageEntry], destination: &Destination) -> Vec<ImageEntry> {
    let mut placed = entries.to_vec();
    for image in &mut placed {
        image.destination.repository = destination.place(&image.destination.repository);
    }
    placed
}

fn index(run: &Run, chain: &Chain, prepared: &Prepared, report: &RunReport) -> Index {
    Index {
        format: FORMAT,
        uid: chain.uid,
        sequence: chain.sequence() + 1,
        base: chain.sequence(),
        previous: None,
        created: created(run),
        created_by: run.program.clone(),
        chunks: Vec::new(),
        entries: Vec::new(),
        images: prepared.entries.clone(),
        unchanged: Vec::new(),
        positions: Vec::new(),
        required: Vec::new(),
        refused: report.refused.clone(),
        policies: report.policies.clone(),
        signed_by: Vec::new(),
        quarantined: quarantined(report),
    }
}

/// Returns the time of the sequence: that of the plan, where there is one.
fn created(run: &Run) -> String {
    let planned = run.agreement.as_ref().and_then(|agreement| agreement.created());
    planned.map_or_else(|| run.created.clone(), str::to_owned)
}

fn line(sequence: u64, outcome: &str) -> ImagesetReport {
    ImagesetReport {
        sequence,
        base: 0,
        index: None,
        chunks: Vec::new(),
        bytes: 0,
        saved_bytes: 0,
        outcome: outcome.to_owned(),
    }
}

/// Supplies everything from where it was found.
struct FromOrigins {
    sources: Sources,
    images: Arc<RunImages>,
}

impl Supply for FromOrigins {
    fn supply(&self, image: &PublishImage, content: &Descriptor) -> Option<Place> {
        let origin = self.sources.of(&image.root.digest, &content.digest)?;
        if content.is_manifest() {
            // All of them were read when the run was prepared.
            let read = Manifests { images: self.images.clone(), origin: origin.clone() };
            return Some((Arc::new(read), origin.repository.clone()));
        }
        Some((origin.read.clone(), origin.repository.clone()))
    }
}

/// The manifests of a run, which are in memory.
struct Manifests {
    images: Arc<RunImages>,
    origin: Arc<Origin>,
}

#[async_trait]
impl ContentRead for Manifests {
    fn name(&self) -> String {
        self.origin.read.name()
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<RawManifest, ContentError> {
        match selector {
            Selector::Digest(digest) => Ok((*self.images.manifest(&self.origin, digest).await?).clone()),
            Selector::Tag(_) => self.origin.read.manifest(repository, selector).await,
        }
    }

    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        self.origin.read.blob(repository, blob, offset).await
    }
}
