//! Clusters with operators of real catalogs: what reconciling changes leaves nothing to change.
#![allow(clippy::print_stdout, reason = "what was compared is worth knowing")]

mod common;

use common::{build, entry, files, fixtures};
use oc_mirror_catalog::{Catalog, Installed, Offer, Rules, State, reconcile, select};
use serde_json::{Value, json};

const CATALOGS: [&str; 2] = [
    "redhat-openshift-ecosystem__community-operators-prod/v4.21",
    "redhat-openshift-ecosystem__certified-operators/v4.21",
];

#[test]
fn what_was_changed_is_enough() {
    let Some(fixtures) = fixtures() else { return };
    let (mut asked, mut changed, mut open) = (0, 0, 0);
    for name in CATALOGS {
        let root = folder(&fixtures.join(name));
        let files = files(&root);
        let catalog = build(&root, files.iter()).expect("a catalog");
        for package in &catalog.packages {
            let settings = json!({"packages": [{"name": package.name}]});
            if select(&catalog, &entry(settings), Rules::V2Alpha1, &State::default()).is_err() {
                continue;
            }
            for channel in &package.channels {
                // Clusters on the oldest, on one in the middle, and one that follows no channel.
                let places = [channel.entries.len().saturating_sub(1), channel.entries.len() / 2];
                let installed = |place: &usize| Installed {
                    cluster: format!("on-{place}"),
                    package: package.name.clone(),
                    channels: vec![channel.name.clone()],
                    bundle: Some(channel.entries[*place].name.clone()),
                    version: package.version(&channel.entries[*place].name).map(ToString::to_string),
                    offers: vec![0],
                    ..Installed::default()
                };
                let operators: Vec<Installed> = places.iter().map(installed).collect();
                for settings in [
                    json!({"packages": [{"name": package.name}]}),
                    json!({"packages": [{"name": package.name, "channels": [{"name": channel.name}],
                        "defaultChannel": channel.name}]}),
                ] {
                    let (is_changed, is_open) = check(&catalog, &settings, &operators);
                    asked += 1;
                    changed += usize::from(is_changed);
                    open += usize::from(is_open);
                }
            }
        }
    }
    println!("{asked} asked, {changed} changed, {open} open");
    assert!(asked > 200 && changed > asked / 3 && open == 0, "{asked} asked, {changed} changed, {open} open");
}

/// Finds the folder with the packages.
fn folder(root: &std::path::Path) -> std::path::PathBuf {
    let catalogs = root.join("catalogs");
    if catalogs.is_dir() { catalogs } else { root.to_owned() }
}

/// Tells whether the entry was changed, and whether something is still missing.
fn check(catalog: &Catalog, settings: &Value, operators: &[Installed]) -> (bool, bool) {
    let before = entry(settings.clone());
    let offer = |entry| [Offer { catalog, entry, is_new: false }];
    let found = reconcile(&offer(before.clone()), Rules::V2Alpha1, operators);
    if let Some(missing) = found.missing.iter().find(|missing| !missing.closed) {
        println!("{settings}: {missing:?}");
        return (false, true);
    }
    let after = found.entries[0].clone();
    let selection = select(catalog, &after, Rules::V2Alpha1, &State::default());
    let Ok(selection) = selection else { return (false, before != after) };
    for way in found.ways.iter().filter(|way| way.problem.is_none()) {
        let package = selection.package(&way.package).expect("it is kept");
        for stage in &way.stages {
            let channel = package.channel(&stage.channel).expect("it is kept");
            for hop in &stage.hops {
                assert!(channel.has(&hop.bundle), "{settings}: {hop:?}");
            }
            let head = channel.head().map(|head| &head.entry.name);
            assert!(stage.hops.is_empty() || head == stage.hops.last().map(|hop| &hop.bundle), "{settings}");
        }
    }
    let again = reconcile(&offer(after.clone()), Rules::V2Alpha1, operators);
    assert_eq!((again.missing, &again.entries[0]), (Vec::new(), &after), "{settings}");
    (before != after, false)
}
