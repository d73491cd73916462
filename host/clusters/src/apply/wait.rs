//! [`wait`]: sees what was applied take effect. Catalogs are served, and every pool of nodes has the configuration that it
//! is to have.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::access::Served;
use super::execute::Pools;
use super::preview::pools;
use crate::connect::Cluster;
use crate::error::ClusterError;

/// What there is to wait for.
#[derive(Default)]
pub struct Told {
    pub(super) catalogs: Vec<Watched>,
    /// The pools before anything was applied; nothing where the cluster has none, or does not show them.
    pub(super) pools: Option<Pools>,
    pub(super) mirrors_changed: bool,
}

/// A catalog.
pub(super) struct Watched {
    pub title: String,
    pub served: Served,
    pub namespace: Option<String>,
    pub name: String,
    /// True if it may still show what it was before.
    pub is_changed: bool,
}

/// How patient [`wait`] is.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long in all.
    pub limit: Duration,
    /// How often the cluster is asked.
    pub interval: Duration,
    /// How long something that shows no change is given to begin with one. Operators need a while to notice.
    pub settle: Duration,
}

impl Timing {
    /// Returns the usual pace within a limit.
    pub fn within(limit: Duration) -> Self {
        Self { limit, interval: Duration::from_secs(2), settle: Duration::from_secs(60) }
    }
}

/// What something says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Ready,
    /// As good as ready, unless it has not noticed yet.
    Unmoved,
    NotReady(String),
    /// It takes no changes, and is not waited for.
    Paused,
}

/// Waits until everything is ready, and tells `progress` whenever something says something new of itself.
///
/// Returns what is not ready when the time is over, each with what it said last. Servers that are away for a while are
/// waited for like everything else: nodes of the control plane are drained, too.
pub async fn wait(
    cluster: &Cluster,
    told: &Told,
    timing: Timing,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Vec<String> {
    let start = Instant::now();
    let mut moved: BTreeSet<String> = BTreeSet::new();
    let mut said: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let is_settled = start.elapsed() >= timing.settle;
        let mut pending = Vec::new();
        match states(cluster, told).await {
            Ok(states) => {
                for (title, state) in states {
                    let text = match state {
                        State::Ready => "ready".to_owned(),
                        State::Paused => "paused: it takes the change when it goes on".to_owned(),
                        State::Unmoved if is_settled || moved.contains(&title) => "ready".to_owned(),
                        State::Unmoved => {
                            pending.push(format!("{title}: no change yet"));
                            continue;
                        }
                        State::NotReady(text) => {
                            moved.insert(title.clone());
                            pending.push(format!("{title}: {text}"));
                            text
                        }
                    };
                    if said.get(&title) != Some(&text) {
                        progress(&format!("{title}: {text}"));
                        said.insert(title, text);
                    }
                }
            }
            Err(error) => {
                let text = error.kind.to_string();
                if said.insert(String::new(), text.clone()) != Some(text.clone()) {
                    progress(&text);
                }
                pending.push(text);
            }
        }
        if pending.is_empty() || start.elapsed() >= timing.limit {
            return pending;
        }
        tokio::time::sleep(timing.interval.min(timing.limit.saturating_sub(start.elapsed()))).await;
    }
}

/// Asks everything how it is.
async fn states(cluster: &Cluster, told: &Told) -> Result<Vec<(String, State)>, ClusterError> {
    let mut states = Vec::new();
    for catalog in &told.catalogs {
        let found = catalog.served.get(catalog.namespace.as_deref(), &catalog.name).await?;
        let state = match found {
            None => State::NotReady("it is gone".to_owned()),
            Some(object) if object["kind"] == "CatalogSource" => of_source(&object, catalog.is_changed),
            Some(object) => of_catalog(&object),
        };
        states.push((catalog.title.clone(), state));
    }
    if let Some(before) = &told.pools {
        for pool in pools(cluster).await?.unwrap_or_default() {
            let name = pool["metadata"]["name"].as_str().unwrap_or_default();
            let is_new = before.get(name) != Some(&pool["spec"]["configuration"]["name"]);
            let state = of_pool(&pool, told.mirrors_changed && !is_new);
            states.push((format!("MachineConfigPool {name}"), state));
        }
    }
    Ok(states)
}

/// OLM keeps the last state of a connection, so a catalog that was changed may show that of the former one.
fn of_source(object: &Value, is_changed: bool) -> State {
    let connection = &object["status"]["connectionState"];
    match connection["lastObservedState"].as_str() {
        Some("READY") if is_changed => State::Unmoved,
        Some("READY") => State::Ready,
        Some(state) => State::NotReady(state.to_owned()),
        None => {
            let message = object["status"]["message"].as_str().filter(|message| !message.is_empty());
            State::NotReady(message.unwrap_or("no connection yet").to_owned())
        }
    }
}

fn of_catalog(object: &Value) -> State {
    let generation = object["metadata"]["generation"].as_u64().unwrap_or(0);
    let condition = |name| condition(object, name);
    let is_current =
        |condition: &Value| condition["observedGeneration"].as_u64().is_none_or(|g| g >= generation);
    let serving = condition("Serving");
    let progressing = condition("Progressing");
    let text = |condition: &Value, fallback: &str| {
        let parts = [condition["reason"].as_str(), condition["message"].as_str()];
        let parts: Vec<&str> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        if parts.is_empty() { fallback.to_owned() } else { parts.join(": ") }
    };
    if let Some(progressing) = &progressing
        && (!is_current(progressing)
            || matches!(progressing["reason"].as_str(), Some("Retrying" | "Blocked")))
    {
        return State::NotReady(text(progressing, "not looked at yet"));
    }
    match serving {
        Some(serving) if serving["status"] == "True" && is_current(&serving) => State::Ready,
        Some(serving) => State::NotReady(text(&serving, "not served")),
        None => State::NotReady("not served yet".to_owned()),
    }
}

/// `may_lag` says that the pool may not know of a change yet.
fn of_pool(pool: &Value, may_lag: bool) -> State {
    if pool["spec"]["paused"] == true {
        return State::Paused;
    }
    let is = |name: &str| condition(pool, name).is_some_and(|condition| condition["status"] == "True");
    let count = |field: &str| pool["status"][field].as_u64().unwrap_or(0);
    if is("Degraded") {
        let reason = ["RenderDegraded", "NodeDegraded", "Degraded"]
            .iter()
            .filter_map(|name| condition(pool, name).filter(|c| c["status"] == "True"))
            .find_map(|c| c["message"].as_str().filter(|m| !m.is_empty()).map(str::to_owned));
        return State::NotReady(format!("degraded: {}", reason.as_deref().unwrap_or("no reason is given")));
    }
    let is_current = pool["status"]["configuration"]["name"] == pool["spec"]["configuration"]["name"];
    let (updated, all) = (count("updatedMachineCount"), count("machineCount"));
    if !is("Updated") || !is_current || updated < all {
        return State::NotReady(format!("updating: {updated} of {all} nodes"));
    }
    if may_lag { State::Unmoved } else { State::Ready }
}

fn condition(object: &Value, name: &str) -> Option<Value> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == name).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn pool(spec: &str, status: &str, conditions: &str, updated: u64) -> Value {
        let conditions: Vec<Value> = conditions
            .split_whitespace()
            .map(|name| json!({ "type": name, "status": "True", "message": "m" }))
            .collect();
        json!({
            "spec": { "configuration": { "name": spec } },
            "status": {
                "configuration": { "name": status },
                "machineCount": 3,
                "updatedMachineCount": updated,
                "conditions": conditions,
            },
        })
    }

    #[rstest]
    #[case(pool("a", "a", "Updated", 3), false, State::Ready)]
    #[case(pool("a", "a", "Updated", 3), true, State::Unmoved)]
    #[case(pool("b", "a", "Updated", 3), false, State::NotReady("updating: 3 of 3 nodes".to_owned()))]
    #[case(pool("a", "a", "Updating", 1), false, State::NotReady("updating: 1 of 3 nodes".to_owned()))]
    #[case(pool("a", "a", "Updated Degraded", 3), false, State::NotReady("degraded: m".to_owned()))]
    fn pools_settle(#[case] pool: Value, #[case] may_lag: bool, #[case] expected: State) {
        assert_eq!(of_pool(&pool, may_lag), expected);
    }

    #[test]
    fn paused_pools_are_not_waited_for() {
        let mut paused = pool("b", "a", "Updating", 0);
        paused["spec"]["paused"] = json!(true);
        assert_eq!(of_pool(&paused, true), State::Paused);
    }

    #[rstest]
    #[case(json!({ "connectionState": { "lastObservedState": "READY" } }), false, State::Ready)]
    #[case(json!({ "connectionState": { "lastObservedState": "READY" } }), true, State::Unmoved)]
    #[case(json!({ "connectionState": { "lastObservedState": "CONNECTING" } }), true, State::NotReady("CONNECTING".to_owned()))]
    #[case(json!({ "message": "no image" }), false, State::NotReady("no image".to_owned()))]
    #[case(Value::Null, false, State::NotReady("no connection yet".to_owned()))]
    fn catalog_sources_connect(#[case] status: Value, #[case] is_changed: bool, #[case] expected: State) {
        assert_eq!(of_source(&json!({ "status": status }), is_changed), expected);
    }

    fn catalog(serving: &Value, progressing: &Value) -> Value {
        json!({
            "metadata": { "generation": 2 },
            "status": { "conditions": [
                { "type": "Serving", "status": serving[0], "reason": "R", "observedGeneration": serving[1] },
                { "type": "Progressing", "status": "True", "reason": progressing[0], "message": "m", "observedGeneration": progressing[1] },
            ] },
        })
    }

    #[rstest]
    #[case(json!(["True", 2]), json!(["Succeeded", 2]), State::Ready)]
    #[case(json!(["True", 1]), json!(["Succeeded", 1]), State::NotReady("Succeeded: m".to_owned()))]
    #[case(json!(["True", 2]), json!(["Retrying", 2]), State::NotReady("Retrying: m".to_owned()))]
    #[case(json!(["False", 2]), json!(["Succeeded", 2]), State::NotReady("R".to_owned()))]
    fn cluster_catalogs_are_served(
        #[case] serving: Value,
        #[case] progressing: Value,
        #[case] expected: State,
    ) {
        assert_eq!(of_catalog(&catalog(&serving, &progressing)), expected);
    }
}
