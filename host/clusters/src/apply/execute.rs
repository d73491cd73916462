//! [`execute()`]: does what a preview said.

use std::collections::BTreeMap;

use oc_mirror_model::cluster_report::{
    ClusterFailure, ClusterOutcome, ClusterReport, ResourceOutcome, ResourceReport,
};
use serde_json::Value;

use super::access::Manner;
use super::preview::{Action, Preview, Step, failure, is_of_cluster, pools, refusal};
use super::wait::{Told, Watched};
use crate::error::ClusterError;

/// Applies what a preview said, one object after the other, and returns the report with what there is to wait for.
///
/// An object that fails does not stop the others. What is no longer wanted is removed last, and only if everything else
/// went well: what takes its place may be what failed.
pub async fn execute(preview: Preview) -> (ClusterReport, Told) {
    let Preview { cluster, steps, options, mut report } = preview;
    let mut told = Told::default();
    if report.error.is_some() {
        report.outcome = ClusterOutcome::Failed;
        return (report, told);
    }
    // Whether pools are settled is judged by what they were before.
    match pools(&cluster).await {
        Ok(found) => told.pools = found.map(|pools| pools.iter().map(rendered).collect()),
        Err(error) => report.warnings.push(format!("pools of nodes are not waited for: {}", error.kind)),
    }
    let mut stopped: Option<ClusterError> = None;
    for step in steps {
        let failed_before = report.resources.iter().any(|line| line.outcome.is_failure());
        let Some(line) = report.resources.get_mut(step.line) else { continue };
        if stopped.is_some() {
            not_tried(line);
            continue;
        }
        let done = match &step.action {
            Action::Remove(_) if failed_before => {
                line.outcome = ResourceOutcome::Unwanted;
                line.failure = Some(ClusterFailure {
                    message: "it is not removed, since something else failed".to_owned(),
                    hint: None,
                });
                continue;
            }
            Action::Remove(seen) => {
                let removed = step.served.remove(step.namespace.as_deref(), &step.name, seen.clone());
                removed.await.map(|()| None)
            }
            Action::Apply { is_settled: true, .. } => Ok(None),
            Action::Apply { object, .. } => {
                let manner = Manner { dry_run: false, force: options.force_conflicts };
                let applied = step.served.apply(step.namespace.as_deref(), &step.name, object, manner).await;
                applied.map(Some).map_err(|error| cluster.failed(&error))
            }
        };
        match done {
            Ok(_) => note(&mut told, &step, line),
            Err(error) => {
                refuse(line, &step, &error);
                stopped = Some(error).filter(is_of_cluster);
            }
        }
    }
    report.error = stopped.as_ref().map(failure);
    let failed = report.has_failures();
    report.outcome = if failed { ClusterOutcome::Incomplete } else { ClusterOutcome::Applied };
    (report, told)
}

fn not_tried(line: &mut ResourceReport) {
    line.outcome = ResourceOutcome::Failed;
    line.failure = Some(ClusterFailure { message: "it was not tried any more".to_owned(), hint: None });
}

fn refuse(line: &mut ResourceReport, step: &Step, error: &ClusterError) {
    let is_conflict = matches!(*error.kind, crate::error::ClusterErrorKind::Conflict { .. });
    line.outcome = if is_conflict { ResourceOutcome::Conflict } else { ResourceOutcome::Failed };
    let mut failure = refusal(error, step.kind, step.namespace.as_deref());
    if is_conflict && failure.hint.is_none() {
        failure.hint = Some("somebody changed it at the same time; run the same command again".to_owned());
    }
    line.failure = Some(failure);
}

/// Notes what there is to wait for.
fn note(told: &mut Told, step: &Step, line: &ResourceReport) {
    let is_change = line.outcome.is_change();
    let removed = line.outcome == ResourceOutcome::Removed;
    match step.kind {
        "ImageDigestMirrorSet" | "ImageTagMirrorSet" | "ImageContentSourcePolicy" => {
            told.mirrors_changed |= is_change;
        }
        "CatalogSource" | "ClusterCatalog" if !removed => told.catalogs.push(Watched {
            title: line.title(),
            served: step.served.clone(),
            namespace: step.namespace.clone(),
            name: step.name.clone(),
            is_changed: line.outcome == ResourceOutcome::Changed,
        }),
        _ => {}
    }
}

/// Returns a pool's name, and which configuration it is to have.
fn rendered(pool: &Value) -> (String, Value) {
    let name = pool["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    (name, pool["spec"]["configuration"]["name"].clone())
}

/// Pools by name, with the configuration that each is to have.
pub(super) type Pools = BTreeMap<String, Value>;
