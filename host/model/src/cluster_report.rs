//! [`ClusterReport`]: what a cluster was told, or would be, as data that is printed and read by other programs.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::report::exit;

/// What one cluster was told, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterReport {
    /// The name that it goes by: its context.
    pub name: String,
    /// The address of its API server.
    pub server: String,
    /// The version of Kubernetes that it runs; unknown where nobody answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How far it came.
    pub outcome: ClusterOutcome,
    /// Resources, in the order in which they are applied, and then those that are no longer wanted.
    pub resources: Vec<ResourceReport>,
    /// What happens to nodes.
    pub nodes: NodeReport,
    /// What is not ready though it was waited for, each with what it says of itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_ready: Vec<String>,
    /// What should be known and stops nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Why nothing, or not all, could be done with the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ClusterFailure>,
}

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterFailure {
    /// What happened.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// How far a cluster came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClusterOutcome {
    /// It was only looked at.
    Planned,
    /// Nobody agreed to the changes, so none was made.
    Declined,
    /// It is as it should be.
    Applied,
    /// Some resources could not be applied; the others are.
    Incomplete,
    /// It was not touched, since it could not be asked or would not answer.
    Failed,
}

/// What one resource was, is, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceReport {
    /// Its kind: `ImageDigestMirrorSet`.
    pub kind: String,
    /// Its namespace, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// What becomes of it.
    pub outcome: ResourceOutcome,
    /// Fields that differ between what is there and what is wanted. Empty for one that is not there yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<FieldChange>,
    /// Fields that somebody else has set otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<FieldConflict>,
    /// Why it is skipped or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<ClusterFailure>,
}

/// What becomes of a resource. Whether it has already is told by [`ClusterReport::outcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ResourceOutcome {
    /// It was not there.
    Created,
    /// It is there and differs.
    Changed,
    /// It is as it should be.
    Unchanged,
    /// It is not wanted any more, and stays.
    Unwanted,
    /// It is not wanted any more, and is removed.
    Removed,
    /// The cluster has no use for it.
    Skipped,
    /// Somebody else owns what should be changed.
    Conflict,
    /// The cluster refuses it.
    Failed,
}

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldChange {
    /// Where it is: `spec.imageDigestMirrors[source=quay.io/a].mirrors[0]`.
    pub path: String,
    /// What is there; nothing where the field is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// What is wanted; nothing where the field goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
}

/// A field that somebody else has set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldConflict {
    /// Where it is, as the API server writes it: `.spec.image`.
    pub field: String,
    /// Who set it: a field manager, or another chain of imagesets.
    pub owner: String,
}

/// What happens to the nodes of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeReport {
    /// The worst that happens.
    pub effect: NodeEffect,
    /// What leads to that, each with the resource.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// The pools of nodes that it happens to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<PoolReport>,
}

/// What happens to nodes, from harmless to worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NodeEffect {
    /// Nothing.
    #[default]
    None,
    /// The container runtime reads its configuration again; pods stay where they are.
    Reload,
    /// Nodes are drained one after the other: their pods move.
    Drain,
    /// Nodes are drained and restarted one after the other.
    Reboot,
}

/// A pool of nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolReport {
    /// Its name: `worker`.
    pub name: String,
    /// How many nodes are in it.
    pub machines: u64,
    /// True if it takes no changes now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

impl ClusterReport {
    /// Starts the report of a cluster that was not asked yet.
    pub fn new(name: impl Into<String>, server: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            server: server.into(),
            version: None,
            outcome: ClusterOutcome::Planned,
            resources: Vec::new(),
            nodes: NodeReport::default(),
            not_ready: Vec::new(),
            warnings: Vec::new(),
            error: None,
        }
    }

    /// Answers whether anything of the cluster changes.
    pub fn has_changes(&self) -> bool {
        self.resources.iter().any(|resource| resource.outcome.is_change())
    }

    /// Answers whether something could not be done, or cannot.
    pub fn has_failures(&self) -> bool {
        self.error.is_some() || self.resources.iter().any(|resource| resource.outcome.is_failure())
    }

    /// Returns the exit code.
    pub fn exit_code(&self) -> u8 {
        let refused = self.has_failures() || self.outcome == ClusterOutcome::Declined;
        let refused = if refused { exit::CLUSTER } else { exit::OK };
        let waited = if self.not_ready.is_empty() { exit::OK } else { exit::NOT_READY };
        refused | waited
    }
}

impl ResourceReport {
    /// Returns kind, namespace and name: `CatalogSource openshift-marketplace/cs-x`.
    pub fn title(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.kind, self.name),
            None => format!("{} {}", self.kind, self.name),
        }
    }
}

impl ResourceOutcome {
    /// Answers whether the cluster is different afterwards.
    pub fn is_change(self) -> bool {
        matches!(self, Self::Created | Self::Changed | Self::Removed)
    }

    /// Answers whether the cluster does not become what it should be.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Conflict | Self::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn report(outcome: ResourceOutcome) -> ClusterReport {
        let mut report = ClusterReport::new("prod", "https://api.example:6443");
        report.resources.push(ResourceReport {
            kind: "CatalogSource".to_owned(),
            namespace: Some("openshift-marketplace".to_owned()),
            name: "cs-x".to_owned(),
            outcome,
            changes: Vec::new(),
            conflicts: Vec::new(),
            failure: None,
        });
        report
    }

    #[rstest]
    #[case(ResourceOutcome::Created, true, 0)]
    #[case(ResourceOutcome::Unchanged, false, 0)]
    #[case(ResourceOutcome::Unwanted, false, 0)]
    #[case(ResourceOutcome::Removed, true, 0)]
    #[case(ResourceOutcome::Skipped, false, 0)]
    #[case(ResourceOutcome::Conflict, false, 32)]
    #[case(ResourceOutcome::Failed, false, 32)]
    fn outcomes_decide(#[case] outcome: ResourceOutcome, #[case] changes: bool, #[case] code: u8) {
        let report = report(outcome);
        assert_eq!((report.has_changes(), report.exit_code()), (changes, code));
    }

    #[test]
    fn what_is_not_ready_has_a_code_of_its_own() {
        let mut report = report(ResourceOutcome::Failed);
        report.not_ready.push("MachineConfigPool worker: updating".to_owned());
        assert_eq!(report.exit_code(), 96);
    }

    #[test]
    fn reports_can_be_read_again() {
        let mut written = report(ResourceOutcome::Changed);
        let change = FieldChange { path: "spec.image".to_owned(), old: None, new: Some("a".into()) };
        written.resources[0].changes.push(change);
        let text = serde_json::to_string(&written).expect("serialises");
        assert!(!text.contains("null"), "{text}");
        assert_eq!(serde_json::from_str::<ClusterReport>(&text).expect("reads"), written);
    }
}
