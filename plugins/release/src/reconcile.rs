//! Answers what clusters need of the configuration that the plugin was made with: their ways to a version, what is
//! missing for them, and how to change the configuration.
//!
//! A cluster has `name`, `version`, `architecture` (`multi` for payloads of several), and may have `updatingTo`, `channel`
//! and `nodes`, the architectures of its nodes. `target` is the version to reach; without one it is the highest that the
//! configuration selects. The answer has `clusters`, `missing`, `edits` and `remarks`.

use std::collections::{BTreeMap, BTreeSet};

use oc_mirror_plugin_sdk::{Error, other, with_hint};
use oc_mirror_update_graph::{
    Cluster, Fleet, MissingRelease, Options, Reconciled, Version, Way, Wish, reconcile,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::settings::{Section, Settings};
use crate::updates::Updates;

/// What is released for several architectures at once.
const MULTI: &str = "multi";
/// Where the section is in a configuration.
const SECTION: &str = "mirror.platform";

/// What is asked.
#[derive(Deserialize)]
pub(crate) struct Asked {
    clusters: Vec<OfCluster>,
    #[serde(default)]
    target: Option<Version>,
}

#[derive(Deserialize)]
struct OfCluster {
    architecture: String,
    #[serde(default)]
    nodes: BTreeSet<String>,
    #[serde(flatten)]
    cluster: Cluster,
}

/// Answers.
pub(crate) fn answer(settings: &Settings, asked: Asked) -> Result<Value, Error> {
    let section = &settings.platform;
    if let Some(release) = &section.release {
        let text =
            format!("the configuration mirrors one payload, `{release}`, and no channel is asked then");
        let hint = "remove `platform.release` and list channels: updates are found in channels";
        return Err(with_hint(other("release.pinned", text), hint));
    }
    let wishes = section.wishes();
    let mut graphs: BTreeMap<&str, Updates<'_>> = BTreeMap::new();
    let mut fleets: BTreeMap<&str, Fleet> = BTreeMap::new();
    for of_cluster in &asked.clusters {
        let architecture = of_cluster.architecture.as_str();
        let updates = || Updates::new(&settings.servers, &settings.client, architecture);
        graphs.entry(architecture).or_insert_with(updates);
        let fleet = fleets.entry(architecture).or_insert_with(|| Fleet {
            clusters: Vec::new(),
            target: asked.target.clone(),
            wishes: wishes.clone(),
            changed: None,
            options: Options { rules: settings.rules, accept: settings.accept(), heads: BTreeMap::new() },
        });
        fleet.clusters.push(of_cluster.cluster.clone());
    }
    // Channels are for all architectures: what one needs is where the next begins.
    let mut changed = wishes.clone();
    for (architecture, fleet) in &fleets {
        let fleet = Fleet { wishes: changed.clone(), ..fleet.clone() };
        let Some(graphs) = graphs.get_mut(architecture) else { continue };
        changed = reconcile(&fleet, graphs)?.wishes;
    }
    let mut found: Vec<(&str, Reconciled)> = Vec::new();
    for (architecture, fleet) in &fleets {
        let fleet = Fleet { changed: Some(changed.clone()), ..fleet.clone() };
        let Some(graphs) = graphs.get_mut(architecture) else { continue };
        found.push((architecture, reconcile(&fleet, graphs)?));
    }
    Ok(put_together(section, &asked.clusters, &wishes, &changed, found))
}

fn put_together(
    section: &Section,
    clusters: &[OfCluster],
    wishes: &[Wish],
    changed: &[Wish],
    found: Vec<(&str, Reconciled)>,
) -> Value {
    let (mut ways, mut missing, mut remarks) = (BTreeMap::new(), Vec::new(), Vec::new());
    let mut gaps: Vec<MissingRelease> = Vec::new();
    // What one architecture does not need, another may.
    let everywhere = |remark: &String| found.iter().all(|(_, other)| other.remarks.contains(remark));
    if let Some((_, first)) = found.first() {
        remarks.extend(first.remarks.iter().filter(|remark| everywhere(remark)).cloned());
    }
    for (architecture, reconciled) in &found {
        for way in &reconciled.ways {
            let mut value = json!(way);
            value["architecture"] = (*architecture).into();
            value["passes"] = json!(passes(way));
            ways.insert(way.cluster.clone(), value);
        }
        for gap in &reconciled.missing {
            gaps.push(gap.clone());
            missing.push(json!({
                "what": "release",
                "name": gap.version,
                "of": architecture,
                "neededBy": gap.needed_by,
                "closed": gap.closed,
            }));
        }
    }
    let Architectures { missing: without, edits: mut changes, remarks: unused } =
        architectures(section, clusters);
    missing.extend(without);
    remarks.extend(unused);
    changes.extend(edits(wishes, changed, &gaps));
    let ordered: Vec<Value> =
        clusters.iter().filter_map(|of_cluster| ways.remove(&of_cluster.cluster.name)).collect();
    json!({ "clusters": ordered, "missing": missing, "edits": changes, "remarks": remarks })
}

/// Returns the minor versions that a way leads to, in order.
fn passes(way: &Way) -> Vec<String> {
    let minor = |version: &Version| format!("{}.{}", version.major(), version.minor());
    let mut passed: Vec<String> = way.from.iter().map(minor).collect();
    for hop in &way.steps {
        let next = minor(&hop.to);
        if passed.last() != Some(&next) {
            passed.push(next);
        }
    }
    passed.into_iter().skip(1).collect()
}

fn edit(action: &str, at: &str, value: Value, why: String) -> Value {
    json!({ "action": action, "at": at, "value": value, "why": why })
}

/// Says how to get from some channels to others.
fn edits(before: &[Wish], after: &[Wish], gaps: &[MissingRelease]) -> Vec<Value> {
    let channels = format!("{SECTION}.channels");
    let mut edits = Vec::new();
    for (place, (old, new)) in before.iter().zip(after).enumerate() {
        let mut set = |key: &str, value: Value| {
            edits.push(edit("set", &format!("{channels}[{place}].{key}"), value, reason(new, gaps)));
        };
        if old.min != new.min {
            set("minVersion", json!(new.min));
        }
        if old.max != new.max {
            set("maxVersion", json!(new.max));
        }
        if old.shortest_path != new.shortest_path {
            set("shortestPath", json!(new.shortest_path));
        }
    }
    for new in after.iter().skip(before.len()) {
        let mut value = json!({ "name": new.channel });
        if new.okd {
            value["type"] = "okd".into();
        }
        for (key, end) in [("minVersion", &new.min), ("maxVersion", &new.max)] {
            if let Some(version) = end {
                value[key] = json!(version);
            }
        }
        if new.shortest_path {
            value["shortestPath"] = true.into();
        }
        edits.push(edit("append", &channels, value, reason(new, gaps)));
    }
    edits
}

/// Says for which clusters a channel is changed.
fn reason(wish: &Wish, gaps: &[MissingRelease]) -> String {
    let covers = |version: &Version| {
        wish.min.as_ref().is_none_or(|min| version >= min)
            && wish.max.as_ref().is_none_or(|max| version <= max)
            && version.is_okd() == wish.okd
    };
    let mut of_each: BTreeMap<&Version, BTreeSet<&str>> = BTreeMap::new();
    for gap in gaps.iter().filter(|gap| covers(&gap.version)) {
        of_each.entry(&gap.version).or_default().extend(gap.needed_by.iter().map(String::as_str));
    }
    let texts: Vec<String> = of_each
        .into_iter()
        .map(|(version, clusters)| {
            let clusters: Vec<&str> = clusters.into_iter().collect();
            format!("{version} for {}", clusters.join(", "))
        })
        .collect();
    texts.join("; ")
}

/// What the architectures of clusters ask for.
#[derive(Default)]
struct Architectures {
    missing: Vec<Value>,
    edits: Vec<Value>,
    remarks: Vec<String>,
}

/// Compares the architectures of clusters with those of the configuration.
fn architectures(section: &Section, clusters: &[OfCluster]) -> Architectures {
    let mut found = Architectures::default();
    if section.channels.is_empty() && clusters.is_empty() {
        return found;
    }
    let configured = section.architectures();
    let platforms = section.platforms();
    let mut payloads: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut nodes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for of_cluster in clusters {
        let name = of_cluster.cluster.name.as_str();
        payloads.entry(&of_cluster.architecture).or_default().insert(name);
        for node in of_cluster.nodes.iter().filter(|_| of_cluster.architecture == MULTI) {
            nodes.entry(node).or_default().insert(name);
        }
    }
    let gap = |what: &str, name: &str, clusters: &BTreeSet<&str>, closed: bool| json!({ "what": what, "name": name, "neededBy": clusters, "closed": closed });
    let why = |clusters: &BTreeSet<&str>| {
        let clusters: Vec<&str> = clusters.iter().copied().collect();
        format!("the architecture of {}", clusters.join(", "))
    };
    let mut added: Vec<&str> = Vec::new();
    let mut reasons = Vec::new();
    for (architecture, clusters) in &payloads {
        if configured.iter().any(|known| known == architecture) {
            continue;
        }
        // With platforms the payload is always the one for several architectures.
        let closed = platforms.is_empty();
        found.missing.push(gap("architecture", architecture, clusters, closed));
        match (closed, section.names_architectures()) {
            (false, _) => found.remarks.push(format!(
                "`{SECTION}.platforms` chooses within payloads for several architectures, and {} runs the payload of \
                 {architecture}; mirror it with a configuration of its own, or list `architectures` instead",
                clusters.iter().copied().collect::<Vec<_>>().join(", ")
            )),
            (true, true) => found.edits.push(edit(
                "append",
                &format!("{SECTION}.architectures"),
                (*architecture).into(),
                why(clusters),
            )),
            (true, false) => {
                added.push(architecture);
                reasons.push(why(clusters));
            }
        }
    }
    if !added.is_empty() {
        // What is taken where nothing is written has to be written now.
        let all: Vec<&str> = configured.iter().map(String::as_str).chain(added).collect();
        let reason = reasons.join("; ");
        found.edits.push(edit("set", &format!("{SECTION}.architectures"), json!(all), reason));
    }
    for (architecture, clusters) in nodes.iter().filter(|_| !platforms.is_empty()) {
        if !platforms.iter().any(|platform| platform.arch == *architecture) {
            found.missing.push(gap("platform", &format!("linux/{architecture}"), clusters, true));
            let value = json!({ "os": "linux", "architecture": architecture });
            found.edits.push(edit("append", &format!("{SECTION}.platforms"), value, why(clusters)));
        }
    }
    for architecture in configured.iter().filter(|_| !clusters.is_empty() && !section.channels.is_empty()) {
        if !payloads.contains_key(architecture.as_str()) {
            found.remarks.push(format!("no cluster has the architecture {architecture}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn section(value: Value) -> Section {
        serde_json::from_value(value).expect("a section")
    }

    fn version(text: &str) -> Version {
        Version::parse(text).expect("a version")
    }

    fn clusters(text: &str) -> Vec<OfCluster> {
        let one = |word: &str| {
            let mut parts = word.split('=');
            let (name, architecture) =
                (parts.next().expect("a name"), parts.next().expect("an architecture"));
            let nodes: Vec<&str> = parts.next().map(|nodes| nodes.split('+').collect()).unwrap_or_default();
            let value =
                json!({ "name": name, "version": "4.1.1", "architecture": architecture, "nodes": nodes });
            serde_json::from_value(value).expect("a cluster")
        };
        text.split_whitespace().map(one).collect()
    }

    #[rstest]
    #[case(json!({}), "a=amd64", json!([]))]
    #[case(json!({}), "a=amd64 b=arm64", json!([["set", "mirror.platform.architectures", ["amd64", "arm64"]]]))]
    #[case(
        json!({"architectures": ["amd64"]}),
        "b=arm64 c=arm64",
        json!([["append", "mirror.platform.architectures", "arm64"]])
    )]
    #[case(json!({"architectures": ["multi"]}), "b=multi=arm64+amd64", json!([]))]
    #[case(
        json!({"platforms": [{"os": "linux", "architecture": "amd64"}]}),
        "b=multi=arm64+amd64",
        json!([["append", "mirror.platform.platforms", {"os": "linux", "architecture": "arm64"}]])
    )]
    #[case(json!({"platforms": [{"os": "linux", "architecture": "amd64"}]}), "b=amd64", json!([]))]
    fn architectures_of_clusters(#[case] section: Value, #[case] text: &str, #[case] expected: Value) {
        let found = architectures(&self::section(section), &clusters(text));
        let edits: Vec<Value> =
            found.edits.iter().map(|edit| json!([edit["action"], edit["at"], edit["value"]])).collect();
        assert_eq!(Value::from(edits), expected);
        let open = found.missing.iter().filter(|missing| missing["closed"] == false).count();
        assert_eq!(open, usize::from(expected == json!([]) && text == "b=amd64"));
    }

    #[test]
    fn minor_versions_on_the_way() {
        let hop = |from: &str, to: &str| oc_mirror_update_graph::Hop {
            from: version(from),
            to: version(to),
            channel: String::new(),
            switch: false,
            payload: String::new(),
            mirrored: true,
            is_conditional: false,
            is_accepted: true,
            risks: Vec::new(),
        };
        let steps =
            vec![hop("4.1.1", "4.1.2"), hop("4.1.2", "4.2.1"), hop("4.2.1", "4.2.2"), hop("4.2.2", "4.3.0")];
        assert_eq!(passes(&Way { from: Some(version("4.1.1")), steps, ..Way::default() }), ["4.2", "4.3"]);
        assert!(passes(&Way::default()).is_empty());
    }

    #[test]
    fn changes_of_channels() {
        let before = vec![Wish { channel: "stable-4.1".into(), ..Wish::default() }];
        let mut after = before.clone();
        after[0].min = Some(version("4.1.1"));
        after[0].shortest_path = true;
        let (min, max) = (Some(version("4.2.1")), Some(version("4.2.3")));
        after.push(Wish { channel: "4-stable".into(), okd: true, min, max, ..Wish::default() });
        let gap = MissingRelease { version: version("4.1.1"), needed_by: vec!["a".into()], closed: true };
        assert_eq!(
            Value::from(edits(&before, &after, &[gap])),
            json!([
                {"action": "set", "at": "mirror.platform.channels[0].minVersion", "value": "4.1.1", "why": "4.1.1 for a"},
                {"action": "set", "at": "mirror.platform.channels[0].shortestPath", "value": true, "why": "4.1.1 for a"},
                {"action": "append", "at": "mirror.platform.channels", "why": "",
                    "value": {"name": "4-stable", "type": "okd", "minVersion": "4.2.1", "maxVersion": "4.2.3"}},
            ])
        );
    }
}
