//! From registries into a registry: [`mirror_to_mirror`], where both can be reached.

use std::collections::HashMap;
use std::sync::Arc;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::{FORMAT, ImageEntry, Index};
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::metadata::Chain;
use oc_mirror_model::reference::Repository;
use oc_mirror_model::report::{Failure, ImagesetReport, RunReport, Workflow};
use oc_mirror_model::request::kind;

use super::companions::of_image;
use super::deletion;
use super::from_disk::{Destination, add_totals};
use super::images::{Origin, Origins};
use super::prepare::{Prepared, Request, do_without, file_records, image_reports};
use super::publishing::publish;
use super::resources::{self, Brought};
use super::{Run, Wishes, WorkflowError, WorkflowErrorKind, Workspace};
use crate::plan::imageset::{Extras, advance, is_unchanged};
use crate::report::Event;
use crate::transfer::publish::{Place, PublishImage, Publisher, Supply};

/// Copies what is wanted to the target, and records it in the workspace and there.
///
/// The run takes the next sequence of the workspace's chain. It needs nothing of the target, so any target will
/// do; but an imageset that follows it builds on it, and other targets will say that this sequence is missing.
pub async fn mirror_to_mirror(
    run: &Run,
    wishes: &Wishes,
    origins: Arc<dyn Origins>,
    workspace: &Workspace,
    destination: &Destination,
) -> Result<RunReport, WorkflowError> {
    let mut report = RunReport::new(Workflow::MirrorToMirror, run.dry_run);
    let store = workspace.metadata();
    let uid = workspace.uid().await?.unwrap_or(run.new_uid);
    let local = store.load(uid).await?;
    let chain = local.as_ref().map_or_else(|| Chain::new(uid), |f| f.chain.clone());
    report.uid = Some(uid);
    let remote = destination.records.load(uid).await?;
    deletion::refuse_pending(remote.as_ref().map(|r| &r.chain), destination)?;
    let at = remote.as_ref().map_or(0, |r| r.chain.sequence());
    if at > chain.sequence() {
        return Err(WorkflowErrorKind::WorkspaceBehind { target: at, workspace: chain.sequence() }.into());
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
    let there = remote.as_ref().map(|r| &r.chain.blobs);
    let mut missing = Vec::new();
    let prepared = loop {
        let prepared = request.prepare(&missing, &mut report).await?;
        report.images =
            image_reports(&prepared.entries, |d| there.is_none_or(|blobs| !blobs.contains_key(d)));
        prepared.note_mirrors(&mut report.images);
        if run.dry_run {
            workspace.write("dry-run/mapping.txt", destination.mapping(&prepared.entries).as_bytes())?;
            report.imagesets.push(line(chain.sequence() + 1, "planned"));
            if run.prune && report.failures.is_empty() {
                let index = index(run, &chain, &prepared, &report);
                let before = remote.as_ref().map_or_else(|| Chain::new(uid), |r| r.chain.clone());
                let after = advance(&before, &index, None, |r| destination.place(r), Extras::default());
                deletion::prune(run, destination, workspace, &after, &mut report).await?;
            }
            return Ok(report);
        }
        destination.check_sparse(&prepared.entries).await?;
        let failures =
            copy(run, &prepared, destination, remote.as_ref().map(|r| &r.chain), &mut report).await;
        if failures.is_empty() {
            break prepared;
        }
        // A catalog that was withheld is made again without what it misses.
        let images = failures.iter().filter(|f| f.kind != kind::CATALOG).cloned();
        let images: Vec<Failure> = images.map(|f| of_image(f, &prepared.entries)).collect();
        match do_without(run, &images, &mut report).filter(|more| !more.is_empty()) {
            Some(more) => missing.extend(more),
            None => {
                report.failures.extend(failures);
                break prepared;
            }
        }
    };
    let resources = workspace.cluster_resources(&destination.target)?;
    for (name, document) in &prepared.documents {
        workspace.write_below(&resources, name, document.as_bytes())?;
    }
    if !report.failures.is_empty() {
        return Ok(report);
    }
    let brought = Brought::of_run(&prepared, &wishes.configuration, &mut report)?;
    let last = remote.as_ref().and_then(|r| r.chain.last());
    let moved = report.totals.blobs + report.totals.mounted_blobs + report.totals.manifests;
    if moved == 0
        && last.is_some_and(|last| {
            is_unchanged(&placed(&prepared.entries, destination), &file_records(&prepared), Some(last))
        })
    {
        report.imagesets.push(line(at, "nothing new"));
        if let Some(mut remote) = remote {
            brought.keep(&mut remote.chain, at, &prepared.entries, destination);
            resources::write(workspace, destination, &remote.chain, &run.resources)?.tell(&mut report);
            if run.prune {
                deletion::prune(run, destination, workspace, &remote.chain, &mut report).await?;
            }
        }
        return Ok(report);
    }

    workspace.write("resolved-config.yaml", &(wishes.pinned)(&prepared.entries))?;
    let index = index(run, &chain, &prepared, &report);
    // The workspace first: a target that is ahead of its workspace would be refused by the next run.
    let extras = Extras { state: prepared.plugin_state.clone(), files: file_records(&prepared) };
    let after = advance(&chain, &index, None, Repository::clone, extras.clone());
    store.commit(&after, local.as_ref()).await?;
    let before = remote.as_ref().map_or_else(|| Chain::new(uid), |r| r.chain.clone());
    let mut after = advance(
        &before,
        &index,
        None,
        |r| destination.place(r),
        Extras { state: Default::default(), ..extras },
    );
    brought.keep(&mut after, index.sequence, &prepared.entries, destination);
    destination.records.commit(&after, remote.as_ref()).await?;
    workspace.note_published(uid, &destination.target.to_string(), index.sequence)?;
    resources::write(workspace, destination, &after, &run.resources)?.tell(&mut report);
    report.imagesets.push(line(index.sequence, "published"));
    if run.prune {
        deletion::prune(run, destination, workspace, &after, &mut report).await?;
    }
    Ok(report)
}

async fn copy(
    run: &Run,
    prepared: &Prepared,
    destination: &Destination,
    there: Option<&Chain>,
    report: &mut RunReport,
) -> Vec<Failure> {
    let supply = Arc::new(FromOrigins { origins: prepared.origins.clone() });
    let publisher = Publisher::new(
        destination.endpoint.clone(),
        supply,
        destination.known(there),
        run.parallelism,
        run.retry,
        run.events.clone(),
    );
    let items = Some(prepared.entries.len() as u64);
    run.events.event(Event::Phase { name: "copying", items, bytes: None });
    let failures = publish(&publisher, destination, &prepared.entries).await;
    add_totals(&mut report.totals, publisher.totals());
    failures
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
        created: run.created.clone(),
        created_by: run.program.clone(),
        chunks: Vec::new(),
        entries: Vec::new(),
        images: prepared.entries.clone(),
        required: Vec::new(),
        refused: report.refused.clone(),
    }
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
    origins: HashMap<Digest, Origin>,
}

impl Supply for FromOrigins {
    fn supply(&self, _image: &PublishImage, content: &Descriptor) -> Option<Place> {
        self.origins.get(&content.digest).map(|o| (o.read.clone(), o.repository.clone()))
    }
}
