use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::settings::PackageEntry;
use crate::testing::{catalog, entry, with_properties};

/// `p` has two channels; `stable` ends below `fast`. `q` has one, of which the newest skips all before it. `r` has lost
/// the channel that it had.
const CATALOG: &str = "p stable: p.v1.2.0>p.v1.1.0 p.v1.1.0>p.v1.0.0 p.v1.0.0\n\
    p fast: p.v2.0.0>p.v1.2.0 p.v1.2.0\n\
    q alpha: q.v0.3.0>q.v0.2.0!q.v0.1.0 q.v0.2.0>q.v0.1.0 q.v0.1.0\n\
    r new: r.v3.0.0>r.v2.0.0 r.v2.0.0>r.v1.0.0\n\
    r old: r.v0.9.0";

/// Reads `a/p/stable=p.v1.0.0`: cluster, package, channel, and what is installed.
fn installed(text: &str) -> Vec<Installed> {
    let one = |word: &str| {
        let (names, bundle) = word.split_once('=').expect("a bundle");
        let names: Vec<&str> = names.split('/').collect();
        Installed {
            cluster: names[0].into(),
            package: names[1].into(),
            channels: names[2..].iter().map(|name| (*name).to_owned()).collect(),
            bundle: (!bundle.is_empty()).then(|| bundle.to_owned()),
            version: bundle.split_once(".v").map(|(_, version)| version.to_owned()),
            offers: vec![0],
            ..Installed::default()
        }
    };
    text.split_whitespace().map(one).collect()
}

fn ask(catalog: &Catalog, settings: Value, rules: Rules, clusters: &str) -> Reconciled {
    let offer = Offer { catalog, entry: entry(settings), is_new: false };
    reconcile(&[offer], rules, &installed(clusters))
}

/// Writes ways as `a: stable p.v1.1.0! p.v1.2.0`; `!` stands behind what is missing, `old>` before a new channel.
fn ways(found: &Reconciled) -> String {
    let stage = |stage: &Stage| {
        let switch = stage.switch_from.as_ref().map_or_else(String::new, |from| format!("{from}>"));
        let mark = |hop: &OperatorHop| format!(" {}{}", hop.bundle, if hop.mirrored { "" } else { "!" });
        let hops: String = stage.hops.iter().map(mark).collect();
        format!("{switch}{}{hops}", stage.channel)
    };
    let way = |way: &OperatorWay| {
        let stages: Vec<_> = way.stages.iter().map(stage).collect();
        let problem = way.problem.as_ref().map_or_else(String::new, |problem| problem.message.clone());
        format!("{}: {}{problem}", way.cluster, stages.join(" | "))
    };
    found.ways.iter().map(way).collect::<Vec<_>>().join("; ")
}

/// Writes packages as `p[1.0.0-] q{alpha:0.1.0- new} r=r.v1.0.0 s`.
fn words(entry: &Entry) -> String {
    let range = |min: &Option<String>, max: &Option<String>| match (min, max) {
        (None, None) => String::new(),
        (min, max) => format!("{}-{}", min.as_deref().unwrap_or(""), max.as_deref().unwrap_or("")),
    };
    let package = |package: &PackageEntry| {
        let mut text = package.name.clone();
        let own = range(&package.min_version, &package.max_version);
        if !own.is_empty() {
            text.push_str(&format!("[{own}]"));
        }
        let channel = |channel: &crate::settings::ChannelFilter| {
            let range = range(&channel.min_version, &channel.max_version);
            if range.is_empty() { channel.name.clone() } else { format!("{}:{range}", channel.name) }
        };
        let channels: Vec<_> = package.channels.iter().map(channel).collect();
        if !channels.is_empty() {
            text.push_str(&format!("{{{}}}", channels.join(" ")));
        }
        for bundle in &package.bundles {
            text.push_str(&format!("={}", bundle.name));
        }
        if let Some(channel) = &package.default_channel {
            text.push_str(&format!("@{channel}"));
        }
        text
    };
    entry.listed().iter().map(package).collect::<Vec<_>>().join(" ")
}

#[rstest]
// All is there.
#[case(json!({"full": true}), "a/p/stable=p.v1.0.0", "a: stable p.v1.1.0 p.v1.2.0", "")]
#[case(json!({"packages": [{"name": "p", "minVersion": "1.0.0"}]}), "a/p/stable=p.v1.0.0",
    "a: stable p.v1.1.0 p.v1.2.0", "p[1.0.0-]")]
#[case(json!({"packages": [{"name": "p"}]}), "a/p/stable=p.v1.2.0", "a: stable", "p")]
// Only heads are mirrored.
#[case(json!({"packages": [{"name": "p"}]}), "a/p/stable=p.v1.0.0",
    "a: stable p.v1.1.0! p.v1.2.0", "p[1.0.0-]")]
#[case(json!({"packages": [{"name": "q"}]}), "a/q/alpha=q.v0.2.0", "a: alpha q.v0.3.0", "q[0.2.0-]")]
// The lowest version comes down to the slowest cluster.
#[case(json!({"packages": [{"name": "p", "channels": [{"name": "stable", "minVersion": "1.1.0"}]}]}),
    "a/p/stable=p.v1.1.0 b/p/stable=p.v1.0.0", "a: stable p.v1.2.0; b: stable p.v1.1.0 p.v1.2.0",
    "p{stable:1.0.0-}")]
#[case(json!({"packages": [{"name": "p", "minVersion": "1.1.0"}]}), "a/p/stable=p.v1.0.0",
    "a: stable p.v1.1.0 p.v1.2.0", "p[1.0.0-]")]
// A channel is missing, and one without a range of its own.
#[case(json!({"packages": [{"name": "p", "channels": [{"name": "stable"}]}]}), "a/p/fast=p.v1.2.0",
    "a: fast p.v2.0.0!", "p{stable fast:1.2.0-}")]
#[case(json!({"packages": [{"name": "p", "minVersion": "1.0.0", "channels": [{"name": "stable"}]}]}),
    "a/p/fast=p.v1.2.0", "a: fast p.v2.0.0!", "p[1.0.0-]{stable fast}")]
#[case(json!({"full": true, "packages": [{"name": "p", "channels": [{"name": "stable"}]}]}),
    "a/p/fast=p.v1.2.0", "a: fast p.v2.0.0!", "p{stable fast}")]
// A package is missing; its default channel need not be among what is needed.
#[case(json!({"packages": [{"name": "q"}]}), "a/p/stable=p.v1.1.0", "a: stable p.v1.2.0!",
    "q p{stable:1.1.0-}")]
#[case(json!({"packages": [{"name": "q"}]}), "a/p/fast=p.v2.0.0", "a: fast", "q p{fast}@fast")]
#[case(json!({"full": true, "packages": [{"name": "q"}]}), "a/p/fast=p.v1.2.0", "a: fast p.v2.0.0!",
    "q p{fast}@fast")]
// Every package is asked for.
#[case(json!({}), "a/p/stable=p.v1.0.0", "a: stable p.v1.1.0! p.v1.2.0", "p[1.0.0-] q r")]
// Bundles by name.
#[case(json!({"packages": [{"name": "q", "bundles": [{"name": "q.v0.3.0"}]}]}), "a/q/alpha=q.v0.1.0",
    "a: alpha q.v0.3.0", "q=q.v0.3.0=q.v0.1.0")]
// What is installed is above what is mirrored.
#[case(json!({"packages": [{"name": "p", "minVersion": "1.0.0", "maxVersion": "1.1.0",
    "channels": [{"name": "stable"}]}]}), "a/p/stable=p.v1.2.0", "a: stable", "p[1.0.0-1.2.0]{stable}")]
// The channel is gone; another leads on from there.
#[case(json!({"packages": [{"name": "r"}]}), "a/r/gone=r.v1.0.0", "a: gone>new r.v2.0.0! r.v3.0.0",
    "r{new:2.0.0- old}")]
#[case(json!({"packages": [{"name": "r"}]}), "a/r/old=r.v0.9.0", "a: old", "r")]
#[case(json!({"packages": [{"name": "r"}]}), "a/r/gone=r.v0.1.0",
    "a: there is no channel `gone` any more, and no other leads on from `r.v0.1.0`", "r")]
// No channel is named, nothing is installed.
#[case(json!({"packages": [{"name": "q", "minVersion": "0.1.0"}]}), "a/q=q.v0.1.0", "a: alpha q.v0.3.0", "q[0.1.0-]")]
#[case(json!({"packages": [{"name": "q"}]}), "a/q/alpha=", "a: alpha q.v0.3.0", "q")]
#[case(json!({"packages": [{"name": "q"}]}), "a/z/alpha=z.v1.0.0", "a: no catalog of the configuration has the package", "q")]
// The entry is wrong by itself.
#[case(json!({"packages": [{"name": "zz"}]}), "a/q/alpha=q.v0.3.0",
    "a: the configuration's entry for `quay.io/x/index:v1` cannot be used", "zz")]
fn ways_and_entries(
    #[case] settings: Value,
    #[case] clusters: &str,
    #[case] expected: &str,
    #[case] changed: &str,
) {
    let catalog = catalog(CATALOG);
    for rules in [Rules::V2Alpha1, Rules::V1Alpha2] {
        // Version 1 knows no bundles by name, takes all channels of a full package, and widens ranges by itself.
        if rules == Rules::V1Alpha2 && (settings.to_string().contains("bundles") || settings["full"] == true)
        {
            continue;
        }
        let found = ask(&catalog, settings.clone(), rules, clusters);
        if rules == Rules::V2Alpha1 {
            assert_eq!((ways(&found).as_str(), words(&found.entries[0]).as_str()), (expected, changed));
        }
        assert!(found.missing.iter().all(|missing| missing.closed), "{rules:?} {:?}", found.missing);

        // What was changed leaves nothing to change.
        let offer = Offer { catalog: &catalog, entry: found.entries[0].clone(), is_new: false };
        let again = reconcile(&[offer], rules, &installed(clusters));
        assert_eq!((again.missing, again.entries), (Vec::new(), found.entries), "{rules:?}");
    }
}

#[test]
fn what_is_missing_says_who_needs_it() {
    let settings = json!({"packages": [{"name": "p"}]});
    let clusters = "a/p/stable=p.v1.0.0 b/p/stable=p.v1.1.0";
    let found = ask(&catalog(CATALOG), settings, Rules::V2Alpha1, clusters);
    let missing: Vec<_> =
        found.missing.iter().map(|m| format!("{} {}", m.bundle, m.needed_by.join(","))).collect();
    assert_eq!(missing, ["p.v1.0.0 a", "p.v1.1.0 a,b"]);
}

#[test]
fn other_channels_stay_as_they_are() {
    let text = "p stable: p.v1.1.0>p.v1.0.0 p.v1.0.0\np long: p.v1.9.0>p.v1.8.0 p.v1.8.0>p.v1.7.0 p.v1.7.0";
    let settings = json!({"packages": [{"name": "p"}]});
    let found = ask(&catalog(text), settings, Rules::V2Alpha1, "a/p/stable=p.v1.0.0");
    assert_eq!(words(&found.entries[0]), "p{stable:1.0.0- long}");
}

#[test]
fn a_range_leads_on_from_what_no_entry_names() {
    let mut catalog = catalog("p stable: p.v2.0.0 p.v1.5.0");
    catalog.packages[0].channels[0].entries[0].skip_range = ">=1.0.0 <2.0.0".into();
    catalog.packages[0].channels[0].entries[0].skips = vec!["p.v1.5.0".into()];
    let settings = json!({"packages": [{"name": "p"}]});
    let found = ask(&catalog, settings, Rules::V2Alpha1, "a/p/stable=p.v1.2.0");
    assert_eq!((ways(&found).as_str(), words(&found.entries[0]).as_str()), ("a: stable p.v2.0.0", "p"));
}

#[test]
fn pre_releases_are_let_in() {
    let text = "p stable: p.v1.2.0>p.v1.1.0-5 p.v1.1.0-5>p.v1.0.0 p.v1.0.0";
    let settings = json!({"packages": [{"name": "p"}]});
    let found = ask(&catalog(text), settings, Rules::V2Alpha1, "a/p/stable=p.v1.0.0");
    assert_eq!(ways(&found), "a: stable p.v1.1.0-5! p.v1.2.0");
    assert!(found.missing.iter().all(|missing| missing.closed), "{:?}", found.missing);
}

#[test]
fn a_partial_version_stays_where_it_is_enough() {
    let settings = json!({"packages": [{"name": "p", "minVersion": "1.0", "maxVersion": "1"}]});
    let found = ask(&catalog(CATALOG), settings, Rules::V2Alpha1, "a/p/fast=p.v2.0.0");
    assert_eq!(words(&found.entries[0]), "p[1.0-2.0.0]");
}

#[test]
fn from_the_head_of_one_catalog_through_the_next() {
    let catalogs = [catalog("p stable: p.v1.1.0>p.v1.0.0 p.v1.0.0"), catalog("p stable: p.v2.0.0>p.v1.1.0")];
    let packages = json!({"packages": [{"name": "p"}]});
    let offers: Vec<Offer<'_>> = catalogs
        .iter()
        .map(|catalog| Offer { catalog, entry: entry(packages.clone()), is_new: false })
        .collect();
    let operators = [Installed { offers: vec![0, 1], ..installed("a/p/stable=p.v1.0.0").remove(0) }];
    let found = reconcile(&offers, Rules::V2Alpha1, &operators);
    assert_eq!(ways(&found), "a: stable p.v1.1.0 | stable p.v2.0.0");
    assert_eq!((words(&found.entries[0]), words(&found.entries[1])), ("p[1.0.0-]".into(), "p".into()));
}

#[test]
fn a_new_entry_has_what_is_needed() {
    let catalog = catalog(CATALOG);
    let offer = Offer { catalog: &catalog, entry: entry(json!({})), is_new: true };
    let found = reconcile(&[offer], Rules::V2Alpha1, &installed("a/p/stable=p.v1.1.0 b/q/alpha=q.v0.1.0"));
    assert_eq!(words(&found.entries[0]), "p{stable:1.1.0-} q{alpha:0.1.0-}");
    assert_eq!(ways(&found), "a: stable p.v1.2.0!; b: alpha q.v0.3.0!");
    assert!(found.missing.iter().all(|missing| missing.closed) && found.remarks.is_empty());
}

#[test]
fn what_nobody_has_is_remarked() {
    let settings = json!({"packages": [{"name": "p"}, {"name": "q"}]});
    let found = ask(&catalog(CATALOG), settings.clone(), Rules::V2Alpha1, "a/p/stable=p.v1.2.0");
    assert_eq!(found.remarks, ["`quay.io/x/index:v1`: no cluster has the package `q`"]);
    let found = ask(&catalog(CATALOG), settings, Rules::V2Alpha1, "");
    assert_eq!(found.remarks, ["`quay.io/x/index:v1`: no cluster has an operator of it"]);
}

/// `1.0` may run on 4.18, `1.1` on 4.19, `1.2` on what comes.
#[rstest]
#[case("4.18", "p.v1.0.0", "p.v1.2.0", "")]
#[case("4.19", "p.v1.0.0", "p.v1.2.0", "4.19 after p.v1.1.0")]
#[case("4.19 4.20", "p.v1.0.0", "p.v1.2.0", "4.19 after p.v1.1.0, 4.20 after p.v1.2.0")]
#[case("4.20", "p.v1.0.0", "p.v1.2.0", "4.20 after p.v1.2.0")]
#[case("4.20", "p.v1.2.0", "p.v1.2.0", "")]
#[case("4.20", "p.v1.0.0", "p.v1.1.0", "4.20 never: channels with bundles that may run on 4.20: stable")]
fn an_operator_stands_in_the_way(
    #[case] passes: &str,
    #[case] bundle: &str,
    #[case] max: &str,
    #[case] expected: &str,
) {
    let property = |value: Value| json!({"type": "olm.maxOpenShiftVersion", "value": value});
    let properties = [("p.v1.0.0", property(json!("4.18"))), ("p.v1.1.0", property(json!(4.19)))];
    let text = "p stable: p.v1.2.0>p.v1.1.0 p.v1.1.0>p.v1.0.0 p.v1.0.0";
    let catalog = with_properties(text, &properties);
    let max = max.trim_start_matches("p.v");
    let settings = json!({"packages": [{"name": "p", "minVersion": "1.0.0", "maxVersion": max}]});
    let offer = Offer { catalog: &catalog, entry: entry(settings), is_new: false };
    let mut operators = installed(&format!("a/p/stable={bundle}"));
    operators[0].passes = passes.split(' ').map(str::to_owned).collect();
    let found = reconcile(&[offer], Rules::V2Alpha1, &operators);
    let block = |block: &Block| match (&block.needs, &block.hint) {
        (Some(bundle), _) => format!("{} after {bundle}", block.openshift),
        (None, hint) => format!("{} never: {}", block.openshift, hint.as_deref().unwrap_or_default()),
    };
    assert_eq!(found.ways[0].blocks.iter().map(block).collect::<Vec<_>>().join(", "), expected);
}

#[test]
fn what_the_cluster_says_counts_where_no_catalog_has_the_bundle() {
    let catalog = catalog("p stable: p.v2.0.0>p.v1.0.0");
    let offer =
        Offer { catalog: &catalog, entry: entry(json!({"packages": [{"name": "p"}]})), is_new: false };
    let operator = Installed {
        max_openshift: Some("4.18".into()),
        passes: vec!["4.19".into()],
        ..installed("a/p/stable=p.v1.0.0").remove(0)
    };
    let found = reconcile(&[offer], Rules::V2Alpha1, &[operator]);
    assert_eq!(found.ways[0].blocks[0].needs.as_deref(), Some("p.v2.0.0"));
}
