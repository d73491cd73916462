//! [`Preview`]: what would change at a cluster, found by asking it to apply everything without doing so.

use std::collections::BTreeMap;

use kube::api::Preconditions;
use oc_mirror_model::cluster_report::{
    ClusterFailure, ClusterReport, FieldConflict, NodeEffect, PoolReport, ResourceOutcome, ResourceReport,
};
use serde_json::Value;

use super::access::{Manner, Served};
use super::diff::changes;
use super::document::Resource;
use super::kinds::{Absence, KINDS};
use super::nodes::{Touched, effect};
use super::{CHAIN_LABEL, MANAGER, Mark};
use crate::connect::Cluster;
use crate::error::{ClusterError, ClusterErrorKind};

/// What a cluster should have.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The objects, in the order of [`super::read`].
    pub resources: Vec<Resource>,
    /// Whose resources these all are. Without it, nothing is labelled, and nothing can be found out about what is no longer
    /// wanted.
    pub mark: Option<Mark>,
}

/// What may be done beyond applying.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Take over what others have set.
    pub force_conflicts: bool,
    /// Remove what has the same mark and is not wanted any more.
    pub prune: bool,
}

/// What would change at a cluster.
pub struct Preview {
    pub(super) cluster: Cluster,
    pub(super) steps: Vec<Step>,
    pub(super) options: Options,
    /// What was found out.
    pub report: ClusterReport,
}

impl Preview {
    /// Returns the cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }
}

/// One thing to do, for one line of the report.
pub(super) struct Step {
    /// The place in [`ClusterReport::resources`].
    pub line: usize,
    pub served: Served,
    pub namespace: Option<String>,
    pub name: String,
    pub kind: &'static str,
    pub action: Action,
}

/// What to do with an object.
pub(super) enum Action {
    /// Apply it, unless it is as it should be and this program's already.
    Apply { object: Value, is_settled: bool },
    /// Remove it, if it is still the same.
    Remove(Preconditions),
}

/// One object, before and after.
struct Seen {
    line: ResourceReport,
    old: Option<Value>,
    new: Option<Value>,
    action: Option<(Served, Action)>,
    kind: &'static str,
    is_mirror_set: bool,
}

/// Asks a cluster what would change. Nothing is.
///
/// What is wrong with one object is told in its line of the report; what makes everything else futile, such as a server
/// that went away, in the report's `error`.
pub async fn preview(cluster: &Cluster, wanted: &Wanted, options: Options) -> Preview {
    let mut report = ClusterReport::new(cluster.name(), cluster.server());
    report.version = Some(cluster.version().to_owned());
    let mut seen = Vec::new();
    if let Err(error) = look(cluster, wanted, options, &mut seen, &mut report).await {
        report.error = Some(failure(&error));
    }
    let mut steps = Vec::new();
    for (place, seen) in seen.iter_mut().enumerate() {
        if let Some((served, action)) = seen.action.take() {
            steps.push(Step {
                line: place,
                served,
                namespace: seen.line.namespace.clone(),
                name: seen.line.name.clone(),
                kind: seen.kind,
                action,
            });
        }
    }
    report.resources = seen.into_iter().map(|seen| seen.line).collect();
    Preview { cluster: cluster.clone(), steps, options, report }
}

/// Looks at everything. What was seen before an error stays.
async fn look(
    cluster: &Cluster,
    wanted: &Wanted,
    options: Options,
    seen: &mut Vec<Seen>,
    report: &mut ClusterReport,
) -> Result<(), ClusterError> {
    let mut kinds: BTreeMap<(String, &str), Option<Served>> = BTreeMap::new();
    for resource in &wanted.resources {
        let key = (resource.api_version.clone(), resource.kind.kind);
        if !kinds.contains_key(&key) {
            let served = Served::find(cluster, &resource.api_version, resource.kind.kind).await?;
            kinds.insert(key.clone(), served);
        }
        let served = kinds.get(&key).and_then(Option::as_ref);
        seen.push(look_at(cluster, resource, served, wanted.mark.as_ref(), options).await?);
    }
    if let Some(mark) = &wanted.mark {
        look_for_unwanted(cluster, wanted, mark, options, seen, report).await?;
    }
    let touched: Vec<Touched<'_>> = seen
        .iter()
        .filter(|seen| seen.is_mirror_set && seen.line.outcome.is_change())
        .map(|seen| Touched { title: seen.line.title(), old: seen.old.as_ref(), new: seen.new.as_ref() })
        .collect();
    report.nodes = effect(&touched, minor(cluster.version()));
    if report.nodes.effect > NodeEffect::None {
        look_at_pools(cluster, report).await?;
    }
    Ok(())
}

/// Looks at one object that is wanted.
async fn look_at(
    cluster: &Cluster,
    resource: &Resource,
    served: Option<&Served>,
    mark: Option<&Mark>,
    options: Options,
) -> Result<Seen, ClusterError> {
    let mut seen = Seen {
        line: line(resource),
        old: None,
        new: None,
        action: None,
        kind: resource.kind.kind,
        is_mirror_set: resource.kind.is_mirror_set(),
    };
    let Some(served) = served else {
        let (outcome, message, hint) = match resource.kind.absence {
            Absence::Skipped(what) => (ResourceOutcome::Skipped, what.to_owned(), None),
            Absence::Failed(hint) => {
                let message = format!("the cluster does not know `{}`", resource.api_version);
                (ResourceOutcome::Failed, message, Some(hint.to_owned()))
            }
        };
        seen.line.outcome = outcome;
        seen.line.failure = Some(ClusterFailure { message, hint });
        return Ok(seen);
    };
    if served.is_namespaced() && resource.namespace.is_none() {
        let message = "it has no namespace, and needs one".to_owned();
        let hint = Some("add `metadata.namespace`".to_owned());
        return Ok(seen.failed(ResourceOutcome::Failed, ClusterFailure { message, hint }));
    }
    let namespace = resource.namespace.as_deref();
    seen.old = match served.get(namespace, &resource.name).await {
        Ok(found) => found,
        Err(error) => return seen.refused(error, resource),
    };
    let owner = seen.old.as_ref().and_then(Mark::of);
    if let (Some(owner), Some(mark)) = (&owner, mark)
        && owner != mark
        && !options.force_conflicts
    {
        let field = format!(".metadata.labels[{CHAIN_LABEL}]");
        seen.line.conflicts.push(FieldConflict { field, owner: owner.owner(mark) });
    }
    let mut object = resource.object.clone();
    // Without a mark of its own, an object keeps the one that it has.
    if let Some(mark) = mark.or(owner.as_ref()) {
        mark.put(&mut object);
    }
    let dry = |force| Manner { dry_run: true, force };
    let mut answer = served.apply(namespace, &resource.name, &object, dry(options.force_conflicts)).await;
    if let Err(kube::Error::Api(status)) = &answer
        && status.code == 409
    {
        let causes = status.details.iter().flat_map(|details| &details.causes);
        seen.line.conflicts.extend(causes.map(|cause| FieldConflict {
            field: cause.field.clone(),
            owner: cause.message.split('"').nth(1).unwrap_or(&cause.message).to_owned(),
        }));
        if !seen.line.conflicts.is_empty() {
            // What the remedy would do.
            answer = served.apply(namespace, &resource.name, &object, dry(true)).await;
        }
    }
    let new = match answer {
        Ok(new) => new,
        Err(error) => return seen.refused(cluster.failed(&error), resource),
    };
    let outcome = match &seen.old {
        None => ResourceOutcome::Created,
        Some(old) => {
            seen.line.changes = changes(old, &new);
            if seen.line.changes.is_empty() { ResourceOutcome::Unchanged } else { ResourceOutcome::Changed }
        }
    };
    if !seen.line.conflicts.is_empty() {
        let message = "somebody else has set what should be changed".to_owned();
        let hint =
            "take it over with --force-conflicts, or publish with --resource-suffix to give ours other names";
        return Ok(
            seen.failed(ResourceOutcome::Conflict, ClusterFailure { message, hint: Some(hint.to_owned()) })
        );
    }
    let is_settled = outcome == ResourceOutcome::Unchanged && seen.old.as_ref().is_some_and(is_managed);
    seen.line.outcome = outcome;
    seen.new = Some(new);
    seen.action = Some((served.clone(), Action::Apply { object, is_settled }));
    Ok(seen)
}

impl Seen {
    fn failed(mut self, outcome: ResourceOutcome, failure: ClusterFailure) -> Self {
        self.line.outcome = outcome;
        self.line.failure = Some(failure);
        self
    }

    /// Sorts an error: of this object, or of everything.
    fn refused(self, error: ClusterError, resource: &Resource) -> Result<Self, ClusterError> {
        if is_of_cluster(&error) {
            return Err(error);
        }
        Ok(self.failed(
            ResourceOutcome::Failed,
            refusal(&error, resource.kind.kind, resource.namespace.as_deref()),
        ))
    }
}

/// Answers whether an error spoils everything else that would be asked, too.
pub(super) fn is_of_cluster(error: &ClusterError) -> bool {
    matches!(
        error.kind.as_ref(),
        ClusterErrorKind::Unreachable { .. }
            | ClusterErrorKind::Untrusted { .. }
            | ClusterErrorKind::Unauthorized { .. }
            | ClusterErrorKind::Credentials { .. }
            | ClusterErrorKind::Protocol { .. }
    )
}

/// Says why an object was refused.
pub(super) fn refusal(error: &ClusterError, kind: &str, namespace: Option<&str>) -> ClusterFailure {
    let message = error.kind.to_string();
    if let (ClusterErrorKind::NotFound { message: said }, Some(namespace)) = (error.kind.as_ref(), namespace)
        && said.starts_with("namespaces ")
    {
        let hint = match kind {
            "UpdateService" => {
                format!("install the OpenShift Update Service operator into `{namespace}`, and apply again")
            }
            _ => format!("create it with `oc create namespace {namespace}`, and apply again"),
        };
        return ClusterFailure { message: format!("there is no namespace `{namespace}`"), hint: Some(hint) };
    }
    ClusterFailure { message, hint: error.hint() }
}

pub(super) fn failure(error: &ClusterError) -> ClusterFailure {
    ClusterFailure { message: error.kind.to_string(), hint: error.hint() }
}

/// Finds what the chain made and does not want any more.
async fn look_for_unwanted(
    cluster: &Cluster,
    wanted: &Wanted,
    mark: &Mark,
    options: Options,
    seen: &mut Vec<Seen>,
    report: &mut ClusterReport,
) -> Result<(), ClusterError> {
    let selector = mark.selector();
    for kind in &KINDS {
        let api_version = match kind.group {
            "" => kind.version.to_owned(),
            group => format!("{group}/{}", kind.version),
        };
        let Some(served) = Served::find(cluster, &api_version, kind.kind).await? else { continue };
        let found = match served.list(&selector).await {
            Ok(found) => found,
            Err(error) if is_of_cluster(&error) => return Err(error),
            Err(error) => {
                report
                    .warnings
                    .push(format!("whether a {} is left over is not known: {}", kind.kind, error.kind));
                continue;
            }
        };
        for old in found {
            let text = |field: &str| old["metadata"][field].as_str().map(str::to_owned);
            let (Some(name), namespace) = (text("name"), text("namespace")) else { continue };
            let identity = (kind.group, kind.kind, namespace.as_deref(), name.as_str());
            // A copy that somebody made of an object has its label too, but was not applied by this program.
            if wanted.resources.iter().any(|w| w.identity() == identity) || !is_managed(&old) {
                continue;
            }
            let is_going = text("deletionTimestamp").is_some();
            let prune = options.prune && !is_going;
            // Operators write what they see into it all the time, so the version is not what matters.
            let preconditions = Preconditions { uid: text("uid"), resource_version: None };
            seen.push(Seen {
                line: ResourceReport {
                    kind: kind.kind.to_owned(),
                    namespace,
                    name,
                    outcome: if prune { ResourceOutcome::Removed } else { ResourceOutcome::Unwanted },
                    changes: Vec::new(),
                    conflicts: Vec::new(),
                    failure: None,
                },
                old: Some(old),
                new: None,
                action: prune.then(|| (served.clone(), Action::Remove(preconditions))),
                kind: kind.kind,
                is_mirror_set: kind.is_mirror_set(),
            });
        }
    }
    Ok(())
}

/// Finds the pools of nodes that something happens to.
async fn look_at_pools(cluster: &Cluster, report: &mut ClusterReport) -> Result<(), ClusterError> {
    let pools = match pools(cluster).await {
        Ok(pools) => pools,
        Err(error) if is_of_cluster(&error) => return Err(error),
        Err(error) => {
            report.warnings.push(format!("which nodes are in which pools is not known: {}", error.kind));
            return Ok(());
        }
    };
    let Some(pools) = pools else {
        report.nodes.effect = NodeEffect::None;
        report.nodes.reasons.clear();
        report.warnings.push(
            "the cluster has no machine config operator, so mirror sets alone change nothing on its nodes; where the \
             control plane is hosted, they belong into `imageContentSources` of its HostedCluster"
                .to_owned(),
        );
        return Ok(());
    };
    report.nodes.pools = pools
        .iter()
        .map(|pool| PoolReport {
            name: pool["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
            machines: pool["status"]["machineCount"].as_u64().unwrap_or(0),
            paused: pool["spec"]["paused"] == true,
        })
        .collect();
    Ok(())
}

/// Returns the pools of nodes, in the order of their names; nothing where the cluster has no such thing.
pub(super) async fn pools(cluster: &Cluster) -> Result<Option<Vec<Value>>, ClusterError> {
    let kind = Served::find(cluster, "machineconfiguration.openshift.io/v1", "MachineConfigPool").await?;
    let Some(served) = kind else { return Ok(None) };
    let mut pools = served.list("").await?;
    pools.sort_by_key(|pool| pool["metadata"]["name"].as_str().unwrap_or_default().to_owned());
    Ok(Some(pools))
}

fn line(resource: &Resource) -> ResourceReport {
    ResourceReport {
        kind: resource.kind.kind.to_owned(),
        namespace: resource.namespace.clone(),
        name: resource.name.clone(),
        outcome: ResourceOutcome::Unchanged,
        changes: Vec::new(),
        conflicts: Vec::new(),
        failure: None,
    }
}

/// Answers whether this program applied an object.
fn is_managed(object: &Value) -> bool {
    let managers = object["metadata"]["managedFields"].as_array();
    managers.into_iter().flatten().any(|m| m["manager"] == MANAGER && m["operation"] == "Apply")
}

/// Reads the minor version of Kubernetes out of `v1.33.5`.
fn minor(version: &str) -> Option<u32> {
    let mut parts = version.trim_start_matches('v').split('.');
    // Programs that were not built by a release say 0.0.
    parts.next().filter(|major| *major == "1")?;
    parts.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(minor("v1.33.5"), Some(33));
        assert_eq!(minor("v1.20.0+bd9e442"), Some(20));
        assert_eq!(minor("v0.0.0-master+$Format:%H$"), None);
        assert_eq!(minor("unknown"), None);
    }
}
