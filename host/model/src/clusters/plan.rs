//! [`ClusterPlan`]: how clusters get to what is wanted, what is missing for that, and what to write.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{API_VERSION, ClusterInventory};
use crate::config::Edit;
use crate::report::exit;

/// How clusters get to what is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterPlan {
    /// What this is.
    #[schemars(extend("const" = "ClusterPlan"))]
    kind: String,
    /// The version of this form.
    #[schemars(extend("const" = "mirror.openshift.io/v2alpha1"))]
    api_version: String,
    /// The clusters, as in the inventory.
    pub clusters: Vec<PlannedCluster>,
    /// What clusters need and the configuration does not mirror.
    pub missing: Vec<Gap>,
    /// Changes of the configuration by which it mirrors all of that which can be closed.
    pub edits: Vec<Edit>,
    /// What is mirrored and not needed, and what else should be known.
    pub remarks: Vec<String>,
    /// Clusters that the inventory could not read, and which the plan does not know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

/// How one cluster gets there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedCluster {
    /// Its name.
    pub name: String,
    /// The way of its release.
    pub release: ReleaseWay,
    /// The ways of its operators.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operators: Vec<OperatorWay>,
}

/// The way of a release. The words are those of the content source `release`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReleaseWay {
    /// The cluster, in answers.
    #[serde(skip_serializing)]
    #[schemars(skip)]
    pub(super) cluster: String,
    /// The architecture of its payload.
    pub architecture: String,
    /// Where it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Where it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The updates, in order; none if there is nothing to do, or no way.
    pub steps: Vec<ReleaseStep>,
    /// The minor versions that it is updated to, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passes: Vec<String>,
    /// What should be known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why there is no way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<PlanProblem>,
}

/// An update of a release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReleaseStep {
    /// The version to update from.
    pub from: String,
    /// The version to update to.
    pub to: String,
    /// The channel to be in for it.
    pub channel: String,
    /// Whether the cluster has to be switched to that channel first.
    pub switch: bool,
    /// The release image to update to.
    pub payload: String,
    /// Whether the configuration, as it was, mirrors that release.
    pub mirrored: bool,
    /// Whether the update is recommended on conditions only.
    pub is_conditional: bool,
    /// Whether all risks are accepted.
    pub is_accepted: bool,
    /// The risks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub risks: Vec<UpdateRisk>,
}

/// A reason why an update is not recommended to everybody.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateRisk {
    /// Its name, by which it can be accepted.
    pub name: String,
    /// What may go wrong.
    pub message: String,
    /// Where there is more about it.
    pub url: String,
    /// To which clusters it applies: `Always`, or the text of a PromQL query.
    pub rules: Vec<String>,
}

/// Why something has no way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PlanProblem {
    /// What kind of problem it is.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The way of an operator. The words are those of the content source `operator`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OperatorWay {
    /// The cluster, in answers.
    #[serde(skip_serializing)]
    #[schemars(skip)]
    pub(super) cluster: String,
    /// The package.
    pub package: String,
    /// The namespace of its Subscription, where the inventory has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The bundle that is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The ways through one catalog after the other.
    pub stages: Vec<OperatorStage>,
    /// What has to happen before the cluster is updated to a minor version of OpenShift.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<OperatorBlock>,
    /// What should be known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why there is no way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<PlanProblem>,
}

/// The way of an operator through a catalog.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OperatorStage {
    /// The catalog, as in the configuration.
    pub catalog: String,
    /// The channel.
    pub channel: String,
    /// The channel that it has to be switched from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub switch_from: Option<String>,
    /// The updates, in order; none where it is at the head already.
    pub hops: Vec<OperatorHop>,
}

/// An update of an operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OperatorHop {
    /// The bundle to update to.
    pub bundle: String,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The highest minor version of OpenShift that it may run on, if there is one.
    #[serde(rename = "maxOpenShift", alias = "maxOpenshift", skip_serializing_if = "Option::is_none")]
    pub max_openshift: Option<String>,
    /// Whether the configuration, as it was, mirrors it.
    pub mirrored: bool,
}

/// What has to happen to an operator before its cluster is updated to a minor version of OpenShift.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OperatorBlock {
    /// The minor version.
    pub openshift: String,
    /// The bundle to update to before; none if nothing on the way may run there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
    /// Where there is one that may, if it is not on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Something that clusters need and that the configuration does not mirror.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Gap {
    /// What it is: `release`, `architecture`, `platform`, `catalog`, `package`, `channel` or `bundle`.
    pub what: String,
    /// Its name.
    pub name: String,
    /// What it is of: an architecture, or a channel of a catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The clusters that need it.
    pub needed_by: Vec<String>,
    /// Whether the edits close it.
    pub closed: bool,
}

/// What the content source `release` answers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReleaseAnswer {
    /// The ways.
    pub clusters: Vec<ReleaseWay>,
    missing: Vec<Gap>,
    edits: Vec<Edit>,
    remarks: Vec<String>,
}

/// What the content source `operator` answers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OperatorAnswer {
    /// The ways, in the order of the question.
    pub operators: Vec<OperatorWay>,
    missing: Vec<Gap>,
    edits: Vec<Edit>,
    remarks: Vec<String>,
}

impl ReleaseAnswer {
    /// Reads an answer.
    pub fn read(answer: serde_json::Value) -> Result<Self, serde_json::Error> {
        serde_json::from_value(answer)
    }
}

impl OperatorAnswer {
    /// Reads an answer.
    pub fn read(answer: serde_json::Value) -> Result<Self, serde_json::Error> {
        serde_json::from_value(answer)
    }
}

impl ClusterPlan {
    /// Puts the answers about an inventory together.
    pub fn of(inventory: &ClusterInventory, releases: ReleaseAnswer, operators: OperatorAnswer) -> Self {
        let mut of_each: BTreeMap<String, Vec<OperatorWay>> = BTreeMap::new();
        let installed = inventory.clusters.iter().flat_map(|cluster| &cluster.operators);
        for (mut way, operator) in operators.operators.into_iter().zip(installed) {
            way.namespace.clone_from(&operator.namespace);
            if operator.install_plan_approval.as_deref() == Some("Manual") && !way.is_done() {
                way.notes.push("every update has to be approved (`installPlanApproval: Manual`)".to_owned());
            }
            if let Some(range) = &operator.version_range {
                way.notes.push(format!("it is kept within the versions `{range}`"));
            }
            of_each.entry(way.cluster.clone()).or_default().push(way);
        }
        let mut ways: BTreeMap<String, ReleaseWay> =
            releases.clusters.into_iter().map(|way| (way.cluster.clone(), way)).collect();
        let clusters = inventory.clusters.iter().map(|cluster| PlannedCluster {
            name: cluster.name.clone(),
            release: ways.remove(&cluster.name).unwrap_or_default(),
            operators: of_each.remove(&cluster.name).unwrap_or_default(),
        });
        Self {
            kind: "ClusterPlan".to_owned(),
            api_version: API_VERSION.to_owned(),
            clusters: clusters.collect(),
            missing: releases.missing.into_iter().chain(operators.missing).collect(),
            edits: releases.edits.into_iter().chain(operators.edits).collect(),
            remarks: releases.remarks.into_iter().chain(operators.remarks).collect(),
            unread: inventory.unread.iter().map(|cluster| cluster.name.clone()).collect(),
        }
    }

    /// Returns what the program ends with: the code of releases or operators where something has no way or cannot be
    /// closed, that of clusters where some could not be read. Gaps that the edits close are no failure.
    pub fn exit_code(&self) -> u8 {
        let mut code = exit::OK;
        for cluster in &self.clusters {
            if cluster.release.problem.is_some() {
                code |= exit::RELEASE;
            }
            let stuck = |block: &OperatorBlock| block.needs.is_none();
            if cluster.operators.iter().any(|way| way.problem.is_some() || way.blocks.iter().any(stuck)) {
                code |= exit::OPERATOR;
            }
        }
        for gap in self.missing.iter().filter(|gap| !gap.closed) {
            code |= match gap.what.as_str() {
                "release" | "architecture" => exit::RELEASE,
                _ => exit::OPERATOR,
            };
        }
        if !self.unread.is_empty() {
            code |= exit::CLUSTER;
        }
        code
    }
}

impl OperatorWay {
    /// Tells whether there is nothing to update.
    pub fn is_done(&self) -> bool {
        self.stages.iter().all(|stage| stage.hops.is_empty() && stage.switch_from.is_none())
    }
}
