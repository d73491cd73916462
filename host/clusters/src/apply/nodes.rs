//! What changed mirror sets do to nodes: [`effect`], a pure function that says what the machine config operator will do.
//!
//! The operator writes all mirror sets into `registries.conf` of every node. Since OpenShift 4.7 that does not restart
//! nodes any more; they are drained first, except where nothing but mirrors for digests is added (its
//! `isSafeContainerRegistryConfChanges`). Where it is not clear what it will do, this says the worse.

use std::collections::{BTreeMap, BTreeSet};

use oc_mirror_model::cluster_report::{NodeEffect, NodeReport};
use serde_json::Value;

/// The minor version of Kubernetes in OpenShift 4.7, the first that does not restart nodes for mirror sets.
const FIRST_WITHOUT_REBOOT: u32 = 20;
/// The minor version of Kubernetes in OpenShift 4.8, the first that does not drain nodes for every change.
const FIRST_WITHOUT_DRAIN: u32 = 21;

/// The lists of mirrors in the kinds of mirror sets.
const DIGEST_LISTS: [&str; 2] = ["imageDigestMirrors", "repositoryDigestMirrors"];
const TAG_LIST: &str = "imageTagMirrors";

/// A mirror set before and after.
#[derive(Clone, Debug)]
pub(super) struct Touched<'a> {
    /// Its kind and name.
    pub title: String,
    /// What is there.
    pub old: Option<&'a Value>,
    /// What will be.
    pub new: Option<&'a Value>,
}

/// What `registries.conf` says of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    mirrors: BTreeSet<String>,
    /// True if nodes may not pull from the source itself.
    is_blocked: bool,
}

type Entries = BTreeMap<String, Entry>;

/// Returns what happens to nodes when mirror sets change, on a cluster with this minor version of Kubernetes. Pools are for
/// the caller.
pub(super) fn effect(touched: &[Touched<'_>], minor: Option<u32>) -> NodeReport {
    let mut report = NodeReport::default();
    let mut note = |effect: NodeEffect, reason: String| {
        report.effect = report.effect.max(effect);
        report.reasons.push(reason);
    };
    for set in touched {
        let tags = |object: Option<&Value>| object.map(|o| o["spec"][TAG_LIST].clone()).unwrap_or_default();
        if tags(set.old) != tags(set.new) {
            note(NodeEffect::Drain, format!("{}: mirrors for tags change", set.title));
        }
    }
    // What moves from one object to another stays the same for nodes.
    let (old, new) = (merged(touched.iter().map(|set| set.old)), merged(touched.iter().map(|set| set.new)));
    let added = new.iter().filter(|(source, entry)| old.get(*source) != Some(entry)).count();
    for (source, before) in &old {
        match new.get(source) {
            None => note(NodeEffect::Drain, format!("mirrors of {source} are removed")),
            Some(after) if after.is_blocked != before.is_blocked => {
                note(NodeEffect::Drain, format!("the mirrorSourcePolicy of {source} changes"));
            }
            Some(after) if !before.mirrors.is_subset(&after.mirrors) => {
                note(NodeEffect::Drain, format!("a mirror of {source} is removed"));
            }
            Some(_) => {}
        }
    }
    for (source, _) in new.iter().filter(|(source, entry)| entry.is_blocked && !old.contains_key(*source)) {
        note(NodeEffect::Drain, format!("{source} must not be contacted any more"));
    }
    if added > 0 && report.effect == NodeEffect::None {
        let noun = if added == 1 { "1 source" } else { &format!("{added} sources") };
        report.effect = NodeEffect::Reload;
        report.reasons.push(format!("mirrors for digests are added for {noun}; nothing is removed"));
    }
    let least = match minor {
        Some(minor) if minor < FIRST_WITHOUT_REBOOT => NodeEffect::Reboot,
        Some(minor) if minor < FIRST_WITHOUT_DRAIN => NodeEffect::Drain,
        _ => NodeEffect::None,
    };
    if report.effect != NodeEffect::None && report.effect < least {
        report.effect = least;
        report.reasons.push("this version of OpenShift does so for every change of mirror sets".to_owned());
    }
    report
}

/// Puts the mirrors for digests of all objects together, as the machine config operator does.
fn merged<'a>(objects: impl Iterator<Item = Option<&'a Value>>) -> Entries {
    let mut entries = Entries::new();
    for object in objects.flatten() {
        for item in DIGEST_LISTS.iter().filter_map(|list| object["spec"][list].as_array()).flatten() {
            let Some(source) = item["source"].as_str() else { continue };
            let entry = entries.entry(source.to_owned()).or_default();
            let mirrors = item["mirrors"].as_array().into_iter().flatten().filter_map(Value::as_str);
            entry.mirrors.extend(mirrors.map(str::to_owned));
            entry.is_blocked |= item["mirrorSourcePolicy"] == "NeverContactSource";
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    /// `a=x,y!` is source `a` with mirrors `x` and `y` and without contact to the source.
    fn set(list: &str, text: &str) -> Value {
        let items: Vec<Value> = text
            .split_whitespace()
            .map(|item| {
                let (source, mirrors) = item.split_once('=').expect("a source and mirrors");
                let policy = if item.ends_with('!') { "NeverContactSource" } else { "AllowContactingSource" };
                let mirrors: Vec<&str> = mirrors.trim_end_matches('!').split(',').collect();
                json!({ "source": source, "mirrors": mirrors, "mirrorSourcePolicy": policy })
            })
            .collect();
        json!({ "spec": { list: items } })
    }

    fn touched<'a>(old: Option<&'a Value>, new: Option<&'a Value>) -> Touched<'a> {
        Touched { title: "ImageDigestMirrorSet a".to_owned(), old, new }
    }

    #[rstest]
    #[case("a=x", "a=x", NodeEffect::None)]
    #[case("", "a=x", NodeEffect::Reload)]
    #[case("a=x", "a=x,y", NodeEffect::Reload)]
    #[case("a=x", "a=x b=y", NodeEffect::Reload)]
    #[case("a=x b=y", "b=y a=x", NodeEffect::None)]
    #[case("a=x b=y", "a=x", NodeEffect::Drain)]
    #[case("a=x,y", "a=x", NodeEffect::Drain)]
    #[case("a=x", "a=z", NodeEffect::Drain)]
    #[case("a=x", "a=x!", NodeEffect::Drain)]
    #[case("", "a=x!", NodeEffect::Drain)]
    #[case("a=x", "", NodeEffect::Drain)]
    fn mirrors_for_digests(#[case] old: &str, #[case] new: &str, #[case] expected: NodeEffect) {
        for list in DIGEST_LISTS {
            let (old, new) = (set(list, old), set(list, new));
            assert_eq!(effect(&[touched(Some(&old), Some(&new))], Some(33)).effect, expected, "{list}");
        }
    }

    #[rstest]
    #[case("a=x", "a=x", NodeEffect::None)]
    #[case("", "a=x", NodeEffect::Drain)]
    #[case("a=x", "a=x b=y", NodeEffect::Drain)]
    fn mirrors_for_tags(#[case] old: &str, #[case] new: &str, #[case] expected: NodeEffect) {
        let (old, new) = (set(TAG_LIST, old), set(TAG_LIST, new));
        assert_eq!(effect(&[touched(Some(&old), Some(&new))], Some(33)).effect, expected);
    }

    #[test]
    fn what_moves_to_another_object_stays() {
        let (both, one, other) = (
            set("imageDigestMirrors", "a=x b=y"),
            set("imageDigestMirrors", "a=x"),
            set(DIGEST_LISTS[1], "b=y"),
        );
        let moved = [touched(Some(&both), Some(&one)), touched(None, Some(&other))];
        assert_eq!(effect(&moved, Some(33)), NodeReport::default());
        assert_eq!(effect(&moved[..1], Some(33)).effect, NodeEffect::Drain);
        assert_eq!(effect(&[touched(Some(&both), None)], Some(33)).effect, NodeEffect::Drain);
    }

    #[rstest]
    #[case(Some(19), NodeEffect::Reboot)]
    #[case(Some(20), NodeEffect::Drain)]
    #[case(Some(21), NodeEffect::Reload)]
    #[case(None, NodeEffect::Reload)]
    fn old_clusters_do_more(#[case] minor: Option<u32>, #[case] expected: NodeEffect) {
        let new = set("repositoryDigestMirrors", "a=x");
        assert_eq!(effect(&[touched(None, Some(&new))], minor).effect, expected);
    }
}
