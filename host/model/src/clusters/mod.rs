//! What clusters run, and how they get to what is wanted: [`ClusterInventory`] is read from API servers and can be carried
//! out, [`ClusterPlan`] is what comes of it together with a configuration.
//!
//! Nothing here knows releases or catalogs: what clusters need is for the content sources to say. [`questions`] makes
//! what they are asked, and [`ClusterPlan::of`] puts their answers together.

mod inventory;
mod outline;
mod plan;
pub mod questions;
#[cfg(test)]
mod tests;

pub use inventory::{
    CatalogKind, ClusterCatalog, ClusterInventory, ClusterRelease, InspectedCluster, InstalledOperator,
    InventoryError, OperatorKind, ReleaseRecord, UnreadCluster, UnreadReason,
};
pub use outline::{ClusterOutline, outline};
pub use plan::{
    ClusterPlan, Gap, OperatorAnswer, OperatorBlock, OperatorHop, OperatorStage, OperatorWay, PlanProblem,
    PlannedCluster, ReleaseAnswer, ReleaseStep, ReleaseWay, UpdateRisk,
};

/// The version of the form in which both documents are written.
const API_VERSION: &str = "mirror.openshift.io/v2alpha1";

/// Returns the JSON Schema (draft 2020-12) of an inventory.
pub fn inventory_schema() -> serde_json::Value {
    crate::config::generate_schema::<ClusterInventory>()
}

/// Returns the JSON Schema (draft 2020-12) of a plan.
pub fn plan_schema() -> serde_json::Value {
    crate::config::generate_schema::<ClusterPlan>()
}
