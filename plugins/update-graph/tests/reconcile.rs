//! Clusters on releases of recorded graphs: what reconciling changes leaves nothing to change, whatever was mirrored.
//!
//! Needs the recorded graphs beside the repository; says so and passes without them.
#![allow(clippy::print_stdout, reason = "what was compared is worth knowing")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::rc::Rc;

use oc_mirror_update_graph::{
    Cluster, Fleet, Graph, Graphs, Options, Reconciled, Rules, Version, Wish, reconcile, select,
};

const CHANNELS: [&str; 3] = ["stable-4.7", "stable-4.8", "stable-4.9"];

struct Channels(BTreeMap<String, Rc<Graph>>);

impl Graphs for Channels {
    type Error = Infallible;

    fn get(&mut self, _okd: bool, channel: &str) -> Result<Rc<Graph>, Infallible> {
        Ok(self.0.get(channel).cloned().unwrap_or_else(|| Rc::new(Graph::empty())))
    }
}

fn recorded() -> Option<Channels> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures");
    if !fixtures.is_dir() {
        println!("skipped: no ../shared/fixtures");
        return None;
    }
    let folder = fixtures.join("cincinnati/openshift__cincinnati/e2e/tests/testdata");
    let read = |name: &str| {
        let file = format!("134475077ed4eeaedf3c339f12915b9cdaf7d194_{name}_amd64_v1.json");
        let graph = std::fs::read(folder.join(&file)).ok().and_then(|bytes| Graph::parse(&bytes).ok());
        Some((name.to_owned(), Rc::new(graph?)))
    };
    let graphs: BTreeMap<_, _> = CHANNELS.into_iter().filter_map(read).collect();
    assert!(graphs.len() >= 2, "the recorded graphs are not there");
    Some(Channels(graphs))
}

fn wish(channel: &str, min: Option<&Version>, shortest_path: bool) -> Wish {
    Wish { channel: channel.into(), min: min.cloned(), shortest_path, ..Wish::default() }
}

#[test]
fn what_was_changed_is_enough() {
    let Some(mut channels) = recorded() else { return };
    let (first, last) = (channels.0.keys().next().cloned(), channels.0.keys().next_back().cloned());
    let (first, last) = (first.expect("a channel"), last.expect("a channel"));
    let versions: Vec<Version> = channels.0[&first].ascending().map(|node| node.version.clone()).collect();
    let middle = versions[versions.len() / 2].clone();
    let configurations = [
        vec![wish(&last, None, false)],
        vec![wish(&last, Some(&middle), true)],
        vec![wish(&first, None, false), wish(&last, None, false)],
        vec![wish(&first, Some(&middle), false), wish(&last, None, false)],
    ];
    let (mut fleets, mut changed) = (0, 0);
    for wishes in configurations {
        for rules in [Rules::V1Alpha2, Rules::V2Alpha1] {
            for pair in versions.chunks(9) {
                let cluster = |version: &Version| Cluster {
                    name: version.to_string(),
                    version: version.clone(),
                    updating_to: None,
                    channel: Some(first.clone()),
                };
                let clusters = pair.iter().step_by(4).map(cluster).collect();
                let options = Options { rules, ..Options::default() };
                let fleet = Fleet { clusters, target: None, wishes: wishes.clone(), options };
                changed += usize::from(check(&fleet, &mut channels));
                fleets += 1;
            }
        }
    }
    println!("{fleets} fleets, {changed} of them with changes");
    assert!(fleets > 50 && changed > fleets / 2);
}

/// Tells whether wishes were changed.
fn check(fleet: &Fleet, channels: &mut Channels) -> bool {
    let Ok(found) = reconcile(fleet, channels);
    assert!(found.missing.iter().all(|missing| missing.closed), "{fleet:#?} {:#?}", found.missing);
    let selected = select(&found.wishes, &fleet.options, channels).expect("the changed wishes are sound");
    let has = |version: &Version| selected.releases.iter().any(|release| release.version == *version);
    for way in found.ways.iter().filter(|way| way.problem.is_none()) {
        assert!(has(way.from.as_ref().expect("a start")), "{way:?}");
        for pair in way.steps.windows(2) {
            assert_eq!(pair[0].to, pair[1].from);
        }
        for hop in &way.steps {
            assert!(has(&hop.to), "{hop:?}");
            let graph = channels.get(false, &hop.channel).expect("a graph");
            assert!(graph.find(&hop.from).is_some() && graph.find(&hop.to).is_some(), "{hop:?}");
        }
    }
    let target = found.ways.iter().find_map(|way| way.target.clone());
    let Ok(Reconciled { missing, wishes, .. }) =
        reconcile(&Fleet { wishes: found.wishes.clone(), target, ..fleet.clone() }, channels);
    assert_eq!((missing, &wishes), (Vec::new(), &found.wishes));
    wishes != fleet.wishes
}
