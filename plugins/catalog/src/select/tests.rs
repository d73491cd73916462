//! v2alpha1, with small catalogs.
use super::*;
use crate::testing::{catalog, entry, kept, v2};
use rstest::rstest;
use serde_json::json;

/// stable 1.0→1.1→1.2→1.3 and fast 1.2→1.3→2.0, as the reference has it.
const P: &str = "p stable: p.v1.3.0>p.v1.2.0 p.v1.2.0>p.v1.1.0 p.v1.1.0>p.v1.0.0 p.v1.0.0
                 p fast: p.v1.2.0 p.v1.3.0>p.v1.2.0 p.v2.0.0>p.v1.3.0
                 q stable: q.v1.0.0 q.v2.0.0>q.v1.0.0";

#[rstest]
#[case(json!({}), "p/fast=2.0.0 p/stable=1.3.0 q/stable=2.0.0")]
#[case(json!({"packages": [{"name": "p"}]}), "p/fast=2.0.0 p/stable=1.3.0")]
#[case(json!({"full": true, "packages": [{"name": "p"}]}), "p/fast=1.2.0,1.3.0,2.0.0 p/stable=1.0.0,1.1.0,1.2.0,1.3.0")]
#[case(json!({"full": true, "packages": [{"name": "p", "channels": [{"name": "stable"}]}]}), "p/stable=1.0.0,1.1.0,1.2.0,1.3.0")]
#[case(json!({"packages": [{"name": "p", "minVersion": "1.2.0"}]}), "p/fast=1.2.0,1.3.0,2.0.0 p/stable=1.2.0,1.3.0")]
#[case(json!({"packages": [{"name": "p", "maxVersion": "1.1.0"}]}), "p/stable=1.0.0,1.1.0")]
#[case(json!({"packages": [{"name": "p", "minVersion": "1.2.0", "maxVersion": "1.2.0"}]}), "p/fast=1.2.0 p/stable=1.2.0")]
#[case(json!({"packages": [{"name": "p", "channels": [{"name": "stable"}]}]}), "p/stable=1.3.0")]
#[case(json!({"packages": [{"name": "p", "channels": [{"name": "stable", "minVersion": "1.1.0", "maxVersion": "1.2.0"}, {"name": "fast"}]}]}),
    "p/fast=2.0.0 p/stable=1.1.0,1.2.0")]
#[case(json!({"packages": [{"name": "p", "defaultChannel": "fast", "channels": [{"name": "fast"}]}]}), "p/fast=2.0.0")]
#[case(json!({"packages": [{"name": "p", "bundles": [{"name": "p.v1.2.0"}, {"name": "p.v1.3.0"}]}]}), "p/fast=1.2.0,1.3.0 p/stable=1.2.0,1.3.0")]
#[case(json!({"packages": [{"name": "p", "bundles": [{"name": "p.v1.0.0"}]}]}), "p/stable=1.0.0")]
fn the_table(#[case] settings: serde_json::Value, #[case] expected: &str) {
    let selection = v2(&catalog(P), settings).expect("a selection");
    assert_eq!(kept(&selection), expected);
}

#[rstest]
#[case(json!({"packages": [{"name": "P"}]}), "operators.unknown-package", "did you mean `p`")]
#[case(json!({"packages": [{"name": "p", "channels": [{"name": "fats"}, {"name": "stable"}]}]}), "operators.unknown-channel", "did you mean `fast`")]
#[case(json!({"packages": [{"name": "p", "channels": [{"name": "fast"}]}]}), "operators.default-channel", "`fast`")]
#[case(json!({"packages": [{"name": "p", "defaultChannel": "nope"}]}), "operators.default-channel", "nope")]
#[case(json!({"packages": [{"name": "p", "minVersion": "3.0.0"}]}), "operators.empty-range", "`1.3.0`, `2.0.0`")]
#[case(json!({"packages": [{"name": "p", "minVersion": "2.0.0", "maxVersion": "1.0.0"}]}), "operators.empty-range", ">=2.0.0 <=1.0.0")]
#[case(json!({"packages": [{"name": "p", "minVersion": "2.0.0"}]}), "operators.empty-default", "`fast`")]
#[case(json!({"packages": [{"name": "p", "channels": [{"name": "stable"}, {"name": "fast", "maxVersion": "1.0.0"}]}]}), "operators.empty-range", "`fast`")]
#[case(json!({"packages": [{"name": "p", "minVersion": "x"}]}), "operators.bad-version", "`x`")]
#[case(json!({"full": true, "packages": [{"name": "p", "minVersion": "1.0.0"}]}), "operators.mixed", "full")]
#[case(json!({"packages": [{"name": "p", "minVersion": "1.0.0", "channels": [{"name": "stable", "maxVersion": "1.0.0"}]}]}), "operators.mixed", "channels")]
#[case(json!({"full": true, "packages": [{"name": "p", "bundles": [{"name": "p.v1.0.0"}]}]}), "operators.mixed", "bundles")]
#[case(json!({"packages": [{"name": "p", "minVersion": "1.0.0", "bundles": [{"name": "p.v1.0.0"}]}]}), "operators.mixed", "bundles")]
#[case(json!({"packages": [{"name": "p", "bundles": [{"name": "p.v1.0"}]}]}), "operators.unknown-bundle", "`p.v1.0.0`")]
#[case(json!({"packages": [{"name": "p", "bundles": [{"name": "p.v2.0.0"}]}]}), "operators.empty-default", "`stable`")]
#[case(json!({"packages": [{"name": "p", "bundles": [{"name": "p.v1.3.0"}, {"name": "p.v1.1.0"}]}]}), "operators.channel-graph", "several heads")]
#[case(json!({"packages": [{"name": "p", "minBundle": "p.v1.0.0"}]}), "operators.unsupported", "minVersion")]
#[case(json!({"packages": [{"name": "p"}, {"name": "p"}]}), "operators.duplicate", "twice")]
fn what_is_refused(#[case] settings: serde_json::Value, #[case] code: &str, #[case] part: &str) {
    let error = v2(&catalog(P), settings).expect_err("refused");
    assert!(error.has(code) && error.to_string().contains(part), "{error:?}\n{error}");
}

#[test]
fn what_follows_from_an_unknown_bundle_is_not_told() {
    let settings = json!({"packages": [{"name": "p", "bundles": [{"name": "p.v1.0"}]}]});
    let error = v2(&catalog(P), settings).expect_err("refused");
    assert_eq!(error.problems.len(), 1, "{error}");
}

#[test]
fn all_problems_are_told_together() {
    let error = v2(
        &catalog(P),
        json!({"packages": [{"name": "x"}, {"name": "p", "minVersion": "9.0.0"}, {"name": "q", "channels": [{"name": "z"}]}]}),
    );
    let codes: Vec<_> = error.expect_err("refused").problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["operators.unknown-package", "operators.empty-range", "operators.unknown-channel"]);
}

#[test]
fn everything_is_untouched() {
    let selection = v2(&catalog(P), json!({"full": true})).expect("a selection");
    assert!(selection.untouched);
    assert_eq!(selection.packages[0].bundles.len(), 5);
}

#[test]
fn full_keeps_the_problems_of_a_catalog() {
    let broken = catalog("p stable: p.v1.0.0 p.v2.0.0");
    let selection = v2(&broken, json!({"full": true, "packages": [{"name": "p"}]})).expect("full");
    assert!(selection.notes.iter().any(|note| note.code == "catalog-problem"), "{:?}", selection.notes);
    let error = v2(&broken, json!({"packages": [{"name": "p"}]})).expect_err("no head");
    assert!(error.has("operators.channel-graph"));
}

#[test]
fn a_bundle_without_version_is_an_error_where_it_is_selected() {
    let mut faulty = catalog(P);
    faulty.packages[1].bundles[0].version = None;
    faulty.packages[1].bundles[0].fault = Some("has no `olm.package` property".into());
    v2(&faulty, json!({"packages": [{"name": "p"}]})).expect("q is not selected");
    let error = v2(&faulty, json!({})).expect_err("q is selected");
    assert!(error.to_string().contains("`q.v1.0.0`"), "{error}");
    v2(&faulty, json!({"full": true, "packages": [{"name": "q"}]}))
        .expect_err("the whole catalog would fail");
    v2(&faulty, json!({"full": true})).expect("nothing is touched");
}

#[test]
fn dropped_channels_and_outsiders_are_noted() {
    let selection =
        v2(&catalog(P), json!({"packages": [{"name": "p", "maxVersion": "1.1.0"}]})).expect("a selection");
    assert_eq!(selection.notes.iter().map(|note| note.code).collect::<Vec<_>>(), ["dropped-channel"]);
    let odd = catalog("p stable: p.v3.0.0>p.v1.0.0 p.v1.0.0>p.v2.0.0 p.v2.0.0");
    let selection =
        v2(&odd, json!({"packages": [{"name": "p", "minVersion": "2.0.0"}]})).expect("a selection");
    assert_eq!(kept(&selection), "p/stable=1.0.0,2.0.0,3.0.0");
    assert_eq!(selection.notes.iter().map(|note| note.code).collect::<Vec<_>>(), ["outside-range"]);
    let changed =
        v2(&catalog(P), json!({"packages": [{"name": "p", "defaultChannel": "fast"}]})).expect("a selection");
    assert_eq!(
        (changed.packages[0].default_channel.as_str(), changed.notes[0].code),
        ("fast", "default-channel")
    );
}

#[test]
fn prereleases_need_a_prerelease() {
    let pre = catalog("p stable: p.v4.14.0-2 p.v4.14.1-1>p.v4.14.0-2");
    let error = v2(&pre, json!({"packages": [{"name": "p", "minVersion": "4.14.0"}]})).expect_err("none");
    assert!(error.to_string().contains("`4.14.1-1`; a pre-release only matches"), "{error}");
    let selection =
        v2(&pre, json!({"packages": [{"name": "p", "minVersion": "4.14.1-0"}]})).expect("a selection");
    assert_eq!(kept(&selection), "p/stable=4.14.1-1");
}

#[test]
fn a_head_may_dangle() {
    let selection =
        v2(&catalog("p stable: p.v2.0.0>p.v1.0.0!p.v1.5.0 p.v1.0.0"), json!({})).expect("a selection");
    let head = &selection.packages[0].channels[0].entries[0];
    assert_eq!(
        (head.entry.replaces.as_str(), head.entry.skips.len(), head.rewritten),
        ("p.v1.0.0", 1, false)
    );
}

#[test]
fn deprecations_follow_what_is_kept() {
    let mut old = catalog(P);
    let deprecation =
        |schema: &str, name: &str| crate::Deprecation { schema: schema.into(), name: name.into(), file: 0 };
    old.packages[0].deprecations = vec![
        deprecation("olm.package", ""),
        deprecation("olm.channel", "fast"),
        deprecation("olm.channel", "stable"),
        deprecation("olm.bundle", "p.v1.0.0"),
        deprecation("olm.bundle", "p.v1.3.0"),
    ];
    let selection = v2(&old, json!({"packages": [{"name": "p", "channels": [{"name": "stable"}]}]}))
        .expect("a selection");
    let stay: Vec<_> = selection.packages[0].deprecations.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(stay, ["", "stable", "p.v1.3.0"]);
}

#[rstest]
// 1.0.0 was mirrored; 1.3.0 replaces 1.2.0, so 1.2.0 and 1.1.0 are needed.
#[case("1.0.0", "", "p/stable=1.1.0,1.2.0,1.3.0", "upgrade-path upgrade-path")]
#[case("1.2.0", "", "p/stable=1.3.0", "")]
#[case("1.3.0", "", "p/stable=1.3.0", "")]
#[case("1.0.0", "<1.3.0", "p/stable=1.3.0", "")]
#[case("0.9.0", "", "p/stable=1.3.0", "no-upgrade-path")]
fn paths_for_what_was_mirrored(
    #[case] before: &str,
    #[case] skips: &str,
    #[case] expected: &str,
    #[case] notes: &str,
) {
    let mut catalog = catalog("p stable: p.v1.3.0>p.v1.2.0 p.v1.2.0>p.v1.1.0 p.v1.1.0>p.v1.0.0 p.v1.0.0");
    catalog.packages[0].channels[0].entries[0].skip_range = skips.into();
    let settings = json!({"keepUpgradePaths": true, "packages": [{"name": "p"}]});
    let first = crate::testing::catalog(&format!("p stable: p.v{before}"));
    let state = v2(&first, settings.clone()).expect("first").state();
    let json = serde_json::to_string(&state).expect("json");
    let state = serde_json::from_str(&json).expect("a state");
    let selection = select(&catalog, &entry(settings), Rules::V2Alpha1, &state).expect("a selection");
    assert_eq!(kept(&selection), expected);
    let codes: Vec<_> = selection.notes.iter().map(|note| note.code).collect();
    assert_eq!(codes.join(" "), notes);
}

#[test]
fn a_catalog_without_bundles_is_refused() {
    let mut catalog = catalog("p stable: p.v2.0.0>p.v1.0.0 p.v1.0.0\np fast: p.v1.0.0");
    catalog.packages[0].bundles.retain(|bundle| bundle.name == "p.v1.0.0");
    let settings = |channel: &str| json!({"packages": [{"name": "p", "defaultChannel": channel, "channels": [{"name": channel}]}]});
    let error = v2(&catalog, settings("stable")).expect_err("nothing to mirror");
    assert!(error.has("operators.no-bundles") && error.to_string().contains("`p.v2.0.0`"), "{error}");
    v2(&catalog, settings("fast")).expect("a bundle");
    v2(&catalog, json!({"packages": [{"name": "p"}]})).expect("a bundle in one of the channels");
    catalog.packages[0].bundles.clear();
    let error = v2(&catalog, json!({"full": true, "packages": [{"name": "p"}]})).expect_err("nothing");
    assert!(error.has("operators.no-bundles"), "{error}");
    v2(&catalog, json!({"full": true})).expect("nothing is touched");
}

#[rstest]
#[case(false)]
#[case(true)]
fn a_package_without_channels_is_refused(#[case] full: bool) {
    let mut catalog = catalog(P);
    catalog.packages[1].channels.clear();
    let settings = json!({"full": full, "packages": [{"name": "p"}, {"name": "q"}]});
    let error = v2(&catalog, settings).expect_err("no default channel");
    assert!(error.has("operators.default-channel") && error.to_string().contains("leave it out"), "{error}");
}
