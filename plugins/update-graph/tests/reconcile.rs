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

/// Recorded graphs: channels, and their files.
type Set = &'static [(&'static str, &'static str)];

const SETS: [Set; 3] = [
    &[
        ("stable-4.2", "history/fefff5941f__b87e7c2782837a3538b0aa3dceb9e8133765ec81_stable-4.2_amd64.json"),
        ("stable-4.3", "history/fefff5941f__b87e7c2782837a3538b0aa3dceb9e8133765ec81_stable-4.3_amd64.json"),
    ],
    &[(
        "stable-4.9",
        "openshift__cincinnati/e2e/tests/testdata/134475077ed4eeaedf3c339f12915b9cdaf7d194_stable-4.9_amd64_v1.json",
    )],
    &[(
        "stable-4.13",
        "openshift__oc-mirror/tests/unit/testdata/working-dir-fake/hold-release/cincinnati-graph-data/amd64-stable-4.13.json",
    )],
];

struct Channels(BTreeMap<String, Rc<Graph>>);

impl Graphs for Channels {
    type Error = Infallible;

    fn get(&mut self, _okd: bool, channel: &str) -> Result<Rc<Graph>, Infallible> {
        Ok(self.0.get(channel).cloned().unwrap_or_else(|| Rc::new(Graph::empty())))
    }
}

fn recorded(set: Set) -> Option<Channels> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures");
    if !fixtures.is_dir() {
        println!("skipped: no ../shared/fixtures");
        return None;
    }
    let read = |(name, file): &(&str, &str)| {
        let bytes = std::fs::read(fixtures.join("cincinnati").join(file)).expect("a recorded graph");
        ((*name).to_owned(), Rc::new(Graph::parse(&bytes).expect("a graph")))
    };
    Some(Channels(set.iter().map(read).collect()))
}

fn wish(channel: &str, min: Option<&Version>, shortest_path: bool) -> Wish {
    Wish { channel: channel.into(), min: min.cloned(), shortest_path, ..Wish::default() }
}

#[test]
fn what_was_changed_is_enough() {
    let (mut fleets, mut changed) = (0, 0);
    for set in SETS {
        let Some(mut channels) = recorded(set) else { return };
        let (first, last) = (set[0].0, set[set.len() - 1].0);
        let versions: Vec<Version> = channels.0[first].ascending().map(|node| node.version.clone()).collect();
        let middle = &versions[versions.len() / 2];
        let configurations = [
            vec![wish(last, None, false)],
            vec![wish(last, Some(middle), true)],
            vec![wish(first, Some(middle), false)],
        ];
        for wishes in configurations {
            for rules in [Rules::V1Alpha2, Rules::V2Alpha1] {
                for few in versions.chunks(16) {
                    let cluster = |version: &Version| Cluster {
                        name: version.to_string(),
                        version: version.clone(),
                        updating_to: None,
                        channel: Some(first.to_owned()),
                    };
                    let clusters = few.iter().step_by(5).map(cluster).collect();
                    let options = Options { rules, ..Options::default() };
                    let fleet =
                        Fleet { clusters, target: None, wishes: wishes.clone(), changed: None, options };
                    changed += usize::from(check(&fleet, &mut channels));
                    fleets += 1;
                }
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
