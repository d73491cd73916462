//! The first half of a run on the connected side: [`prepare`] finds out what is wanted, down to the last blob.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::{ImageEntry, RefusedImage};
use oc_mirror_model::metadata::Chain;
use oc_mirror_model::report::{Failure, ImageReport, RunReport, Workflow, exit};
use serde_json::Value;

use super::collect::{Judge, collect};
use super::error::content_hint;
use super::images::{Origin, Origins, RunImages};
use super::resolve::{ResolvedImage, resolve};
use super::{Run, Wishes, WorkflowError, WorkflowErrorKind};
use crate::content::{ContentError, Images};
use crate::plan::imageset::merge;
use crate::report::Event;
use crate::source::{Artifact, RunInfo, Services};

/// What is wanted.
pub(super) struct Prepared {
    /// Images, each name once, in the order of the configuration.
    pub entries: Vec<ImageEntry>,
    /// Where each blob and manifest can be had.
    pub origins: HashMap<Digest, Origin>,
    /// The images, which hold on to their manifests.
    pub images: Arc<RunImages>,
    /// Opaque files of sources.
    pub artifacts: Vec<Artifact>,
    /// Cluster resources of sources.
    pub documents: Vec<(String, String)>,
    /// What sources want to be handed back at the next sequence.
    pub plugin_state: BTreeMap<String, Value>,
}

/// Asks sources and policies, and resolves every image. What goes wrong with one is noted in the report.
pub(super) async fn prepare(
    run: &Run,
    wishes: &Wishes,
    chain: &Chain,
    workflow: Workflow,
    origins: Arc<dyn Origins>,
    scratch: &Path,
    report: &mut RunReport,
) -> Result<Prepared, WorkflowError> {
    let known = chain.blobs.keys().cloned().collect();
    let images = Arc::new(RunImages::new(origins, run.retry, run.events.clone(), known));
    let services = Services {
        images: images.clone() as Arc<dyn Images>,
        http: wishes.http.clone(),
        events: run.events.clone(),
        scratch: scratch.to_owned(),
        cancelled: run.cancelled.clone(),
        state: Arc::new(chain.last().map(|i| i.plugin_state.clone()).unwrap_or_default()),
    };
    let info = RunInfo {
        host_version: run.program.clone(),
        workflow,
        offline: false,
        dry_run: run.dry_run,
        sequence: chain.sequence() + 1,
        platforms: Vec::new(),
    };
    run.events.event(Event::Phase { name: "collecting", items: None, bytes: None });
    let wanted = collect(&wishes.sources, &info, &services).await;
    report.failures.extend(wanted.failures);
    let (mut requests, mut artifacts, mut documents) = (Vec::new(), Vec::new(), Vec::new());
    let mut plugin_state = BTreeMap::new();
    for (plugin, collected) in wanted.collected {
        requests.extend(collected.images.into_iter().map(|request| (plugin.clone(), request)));
        artifacts.extend(collected.artifacts);
        documents.extend(collected.documents);
        report
            .warnings
            .extend(collected.warnings.into_iter().map(|(code, text)| format!("{plugin}: {text} ({code})")));
        plugin_state.extend(collected.state.map(|state| (plugin, state)));
    }

    if requests.is_empty() && report.failures.is_empty() {
        return Err(WorkflowErrorKind::NothingSelected.into());
    }
    let judge = Judge { policies: &wishes.policies, run: &info, services: &services };
    let (requests, refused) = judge.references(requests).await;
    note_refused(report, refused);
    let items = Some(requests.len() as u64);
    run.events.event(Event::Phase { name: "resolving images", items, bytes: None });
    let resolved = resolve_all(run, &images, requests, report).await;
    let parallel = run.parallelism.images * run.parallelism.blobs;
    let (resolved, refused) = judge.images(resolved, parallel).await;
    note_refused(report, refused);

    let mut origins = HashMap::new();
    let mut entries = Vec::new();
    for image in resolved {
        for descriptor in image.entry.manifests.iter().chain(&image.entry.blobs) {
            origins.entry(descriptor.digest.clone()).or_insert_with(|| image.origin.clone());
        }
        entries.push(image.entry);
    }
    let entries = merge(entries)?;
    Ok(Prepared { entries, origins, images, artifacts, documents, plugin_state })
}

async fn resolve_all(
    run: &Run,
    images: &RunImages,
    requests: Vec<(String, oc_mirror_model::ImageRequest)>,
    report: &mut RunReport,
) -> Vec<ResolvedImage> {
    let parallel = (run.parallelism.images * run.parallelism.blobs).max(1);
    let outcomes: Vec<_> = stream::iter(requests)
        .map(|(plugin, request)| async move {
            let (origin, kind) = (request.origin.clone(), request.kind.clone());
            let outcome = resolve(images, &plugin, request).await;
            run.events.event(Event::ItemDone { name: &origin });
            outcome.map_err(|error| image_failure(&origin, &kind, &error))
        })
        .buffered(parallel)
        .collect()
        .await;
    let mut resolved = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(image) => resolved.push(image),
            Err(failure) => report.failures.push(failure),
        }
    }
    resolved
}

/// Notes refused images. A policy that broke has refused too, and is a failure of the run besides, once.
fn note_refused(report: &mut RunReport, refused: Vec<RefusedImage>) {
    for image in &refused {
        let broken = image.code == "policy.failed";
        if broken && !report.failures.iter().any(|f| f.subject == image.policy) {
            report.failures.push(Failure {
                subject: image.policy.clone(),
                message: image.message.clone(),
                hint: Some(
                    "images that it could not judge are refused; mend or remove the policy".to_owned(),
                ),
                exit_code: exit::GENERIC,
            });
        }
    }
    report.refused.extend(refused);
}

/// Turns the error of one image into a line of the report.
pub(super) fn image_failure(origin: &str, kind: &str, error: &ContentError) -> Failure {
    Failure {
        subject: origin.to_owned(),
        message: without_subject(origin, &chain_of(error)),
        hint: content_hint(error),
        exit_code: exit::for_kind(kind),
    }
}

/// Removes the name of the image from the beginning of a message that stands beside it.
fn without_subject(origin: &str, message: &str) -> String {
    let rest = message.strip_prefix(&format!("`{origin}`: "));
    rest.unwrap_or(message).to_owned()
}

/// Writes an error with all its causes into one line.
fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Lists images in a report, with what of them is new to a chain at `base`.
pub(super) fn image_reports(entries: &[ImageEntry], is_new: impl Fn(&Digest) -> bool) -> Vec<ImageReport> {
    entries
        .iter()
        .map(|image| {
            let all = image.manifests.iter().chain(&image.blobs);
            ImageReport {
                origin: image.request.origin.clone(),
                kind: image.request.kind.clone(),
                destination: image.destination.clone(),
                digest: image.root.digest.clone(),
                new_bytes: all.clone().filter(|d| is_new(&d.digest)).map(|d| d.size).sum(),
                total_bytes: all.map(|d| d.size).sum(),
            }
        })
        .collect()
}

/// The mapping of sources to destinations, a line each, as the predecessors write it.
pub(super) fn mapping(entries: &[ImageEntry], to: impl Fn(&ImageEntry) -> String) -> String {
    let line = |image: &ImageEntry| {
        let origin = &image.request.origin;
        let transport = if origin.starts_with("oci:") { "" } else { "docker://" };
        format!("{transport}{origin}={}\n", to(image))
    };
    entries.iter().map(line).collect()
}
