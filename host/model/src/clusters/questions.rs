//! What content sources are asked about an inventory.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ClusterInventory, ReleaseAnswer, ReleaseWay};

/// The question that both content sources answer.
pub const RECONCILE: &str = "reconcile";

/// Returns what the content source `release` is asked: how clusters get to a version, or to what the configuration
/// mirrors.
pub fn releases(inventory: &ClusterInventory, target: Option<&str>) -> Value {
    let clusters: Vec<Value> = inventory
        .clusters
        .iter()
        .map(|cluster| {
            let release = &cluster.release;
            json!({
                "name": cluster.name,
                "version": release.version,
                "updatingTo": release.updating_to,
                "channel": release.channel,
                "architecture": release.architecture,
                "nodes": release.nodes,
            })
        })
        .collect();
    json!({ "clusters": clusters, "target": target })
}

/// Returns what the content source `operator` is asked: how operators get to what the configuration mirrors, and which of
/// them stand in the way of releases. `now` is the time, for what is kept of catalogs.
pub fn operators(inventory: &ClusterInventory, releases: &ReleaseAnswer, now: &str, refresh: bool) -> Value {
    let ways: BTreeMap<&str, &ReleaseWay> =
        releases.clusters.iter().map(|way| (way.cluster.as_str(), way)).collect();
    let mut operators = Vec::new();
    for cluster in &inventory.clusters {
        let passes = ways.get(cluster.name.as_str()).map_or(&[][..], |way| way.passes.as_slice());
        for operator in &cluster.operators {
            operators.push(json!({
                "cluster": cluster.name,
                "package": operator.package,
                "channels": operator.channels,
                "catalogs": operator.catalogs,
                "bundle": operator.bundle,
                "version": operator.version,
                "maxOpenshift": operator.max_openshift_version,
                "passes": passes,
                "openshift": cluster.release.version,
                "nodes": cluster.release.nodes,
            }));
        }
    }
    json!({ "operators": operators, "now": now, "refresh": refresh })
}
