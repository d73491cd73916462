//! v1alpha2, with small catalogs.
use super::*;
use crate::testing::{catalog, entry, kept, with_properties};
use rstest::rstest;
use serde_json::{Value, json};

const P: &str = "p stable: p.v1.0.0 p.v1.1.0>p.v1.0.0 p.v1.2.0>p.v1.1.0 p.v1.3.0>p.v1.2.0
                 p fast: p.v1.2.0 p.v1.3.0>p.v1.2.0 p.v2.0.0>p.v1.3.0";

fn v1(catalog: &Catalog, settings: Value, state: &State) -> Result<Selection, SelectError> {
    select(catalog, &entry(settings), Rules::V1Alpha2, state)
}

#[rstest]
#[case(json!({}), "p/fast=2.0.0 p/stable=1.3.0", "p/fast=1.2.0,1.3.0,2.0.0 p/stable=1.0.0,1.1.0,1.2.0,1.3.0")]
#[case(json!({"name": "p"}), "p/fast=2.0.0 p/stable=1.3.0", "p/fast=1.2.0,1.3.0,2.0.0 p/stable=1.0.0,1.1.0,1.2.0,1.3.0")]
#[case(json!({"name": "p", "channels": [{"name": "stable"}]}), "p/stable=1.3.0", "p/stable=1.0.0,1.1.0,1.2.0,1.3.0")]
#[case(json!({"name": "p", "minVersion": "1.1.0"}), "p/stable=1.1.0,1.2.0,1.3.0", "p/stable=1.1.0,1.2.0,1.3.0")]
#[case(json!({"name": "p", "minVersion": "1.2.0", "maxVersion": "1.3.0"}), "p/fast=1.2.0,1.3.0 p/stable=1.2.0,1.3.0", "p/fast=1.2.0,1.3.0 p/stable=1.2.0,1.3.0")]
#[case(json!({"name": "p", "maxVersion": "1.1.0"}), "p/stable=1.0.0,1.1.0", "p/stable=1.0.0,1.1.0")]
#[case(json!({"name": "p", "minVersion": "1.2.0", "channels": [{"name": "stable"}]}), "p/fast=1.2.0,1.3.0,2.0.0 p/stable=1.2.0,1.3.0", "p/fast=1.2.0,1.3.0,2.0.0 p/stable=1.2.0,1.3.0")]
#[case(json!({"name": "p", "minVersion": "1.0.0", "maxVersion": "1.1.0", "channels": [{"name": "stable"}]}), "p/stable=1.3.0", "p/stable=1.0.0,1.1.0,1.2.0,1.3.0")]
#[case(json!({"name": "p", "channels": [{"name": "stable", "minVersion": "1.3.0"}]}), "p/stable=1.3.0", "p/stable=1.3.0")]
#[case(json!({"name": "p", "channels": [{"name": "stable", "minVersion": "1.1.0", "maxVersion": "1.2.0"}]}), "p/stable=1.1.0,1.2.0", "p/stable=1.1.0,1.2.0")]
#[case(json!({"name": "p", "minBundle": "p.v1.2.0"}), "p/fast=1.2.0,1.3.0,2.0.0 p/stable=1.0.0,1.1.0,1.2.0,1.3.0", "p/fast=1.2.0,1.3.0,2.0.0 p/stable=1.0.0,1.1.0,1.2.0,1.3.0")]
#[case(json!({"name": "p", "channels": [{"name": "stable", "minBundle": "x"}]}), "p/stable=1.0.0,1.1.0,1.2.0,1.3.0", "p/stable=1.0.0,1.1.0,1.2.0,1.3.0")]
// A maximum that is none counts as no filter.
#[case(json!({"name": "p", "maxVersion": "x"}), "p/fast=2.0.0 p/stable=1.3.0", "p/fast=1.2.0,1.3.0,2.0.0 p/stable=1.0.0,1.1.0,1.2.0,1.3.0")]
#[case(json!({"name": "p", "channels": [{"name": "fast"}]}), "p/fast=2.0.0", "p/fast=1.2.0,1.3.0,2.0.0")]
#[case(json!({"name": "p", "defaultChannel": "fast", "minVersion": "2.0.0"}), "p/fast=2.0.0", "p/fast=2.0.0")]
fn the_table(#[case] package: Value, #[case] heads: &str, #[case] full: &str) {
    for (is_full, expected) in [(false, heads), (true, full)] {
        let packages = if package == json!({}) { json!(null) } else { json!([package]) };
        let selection = v1(&catalog(P), json!({"full": is_full, "packages": packages}), &State::default());
        let selection = selection.expect("a selection");
        assert_eq!(kept(&selection), expected, "full: {is_full}");
        assert_eq!(selection.untouched, is_full && package == json!({}));
    }
}

#[rstest]
#[case(json!({"name": "zzz"}), "operators.unknown-package")]
#[case(json!({"name": "p", "channels": [{"name": "nope"}]}), "operators.unknown-channel")]
#[case(json!({"name": "p", "minVersion": "1.0.0", "maxVersion": "2.0.0", "channels": [{"name": "stable", "maxVersion": "1.0.0"}]}), "operators.mixed")]
#[case(json!({"name": "p", "channels": [{"name": "fast", "minVersion": "9.9.9"}]}), "operators.unknown-version")]
#[case(json!({"name": "p", "channels": [{"name": "fast", "maxVersion": "1.0.0"}]}), "operators.empty-range")]
#[case(json!({"name": "p", "minVersion": "9.9.9"}), "operators.empty-range")]
#[case(json!({"name": "p", "minVersion": "x"}), "operators.bad-version")]
#[case(json!({"name": "p", "minVersion": "1.0.0", "minBundle": "p.v1.0.0"}), "operators.mixed")]
#[case(json!({"name": "p", "minVersion": "2.0.0"}), "operators.default-channel")]
#[case(json!({"name": "p", "bundles": [{"name": "p.v1.0.0"}]}), "operators.unsupported")]
fn what_is_refused(#[case] package: Value, #[case] code: &str) {
    let error = v1(&catalog(P), json!({"packages": [package]}), &State::default()).expect_err("refused");
    assert!(error.has(code), "{error:?}");
}

#[test]
fn a_prerelease_of_the_minimum_counts() {
    let catalog = catalog("p stable: p.v2.2.0-0 p.v2.3.0>p.v2.2.0-0");
    let selection =
        v1(&catalog, json!({"packages": [{"name": "p", "minVersion": "2.2.0"}]}), &State::default());
    assert_eq!(kept(&selection.expect("a selection")), "p/stable=2.2.0-0,2.3.0");
}

#[test]
fn the_default_channel_may_come_from_a_priority() {
    let mut catalog = catalog(P);
    catalog.packages[0].default_channel = "gone".into();
    let settings = json!({"packages": [{"name": "p"}]});
    v1(&catalog, settings.clone(), &State::default()).expect_err("no default channel");
    catalog.packages[0].channels[1].priority = Some(2);
    catalog.packages[0].channels[0].priority = Some(1);
    let selection = v1(&catalog, settings, &State::default()).expect("a selection");
    assert_eq!(selection.packages[0].default_channel, "fast");
}

#[test]
fn a_channel_added_later_starts_at_its_head_and_a_range_is_kept() {
    let first = v1(
        &catalog(P),
        json!({"packages": [{"name": "p", "channels": [{"name": "stable"}]}]}),
        &State::default(),
    );
    let state = first.expect("first").state();
    let newer = "p stable: p.v1.3.0 p.v1.4.0>p.v1.3.0 p.v1.5.0>p.v1.4.0
                 p fast: p.v1.2.0 p.v2.0.0>p.v1.2.0
                 q stable: q.v1.0.0 q.v1.1.0>q.v1.0.0 q.v1.2.0>q.v1.1.0 q.v1.3.0>q.v1.2.0";
    let range =
        json!({"name": "q", "channels": [{"name": "stable", "minVersion": "1.1.0", "maxVersion": "1.2.0"}]});
    let settings =
        json!({"packages": [{"name": "p", "channels": [{"name": "stable"}, {"name": "fast"}]}, range]});
    let second = v1(&catalog(newer), settings, &state).expect("second");
    assert_eq!(kept(&second), "p/fast=2.0.0 p/stable=1.3.0,1.4.0,1.5.0 q/stable=1.1.0,1.2.0");
}

#[test]
fn dependencies_come_with_their_way_to_the_head() {
    let need =
        json!({"type": "olm.package.required", "value": {"packageName": "q", "versionRange": "<2.0.0"}});
    let text = "p stable: p.v1.0.0
                q fast: q.v1.0.0 q.v1.5.0>q.v1.0.0 q.v2.0.0>q.v1.5.0
                q stable: q.v1.5.0";
    let catalog = with_properties(text, &[("p.v1.0.0", need)]);
    let select = |skip: bool| {
        let settings = json!({"skipDependencies": skip, "packages": [{"name": "p"}]});
        v1(&catalog, settings, &State::default()).expect("a selection")
    };
    let selection = select(false);
    // `fast` is the default channel, which decides between two places of the same version.
    assert_eq!(kept(&selection), "p/stable=1.0.0 q/fast=1.5.0,2.0.0");
    assert_eq!(selection.packages[1].reasons[0].to_string(), "required by p.v1.0.0: package q <2.0.0");
    assert_eq!(kept(&select(true)), "p/stable=1.0.0");
}

#[test]
fn what_is_between_a_provider_and_the_head_may_need_more() {
    let need = |name: &str, range: &str| json!({"type": "olm.package.required", "value": {"packageName": name, "versionRange": range}});
    let text = "p stable: p.v1.0.0
                q stable: q.v1.0.0 q.v2.0.0>q.v1.0.0
                r stable: r.v1.0.0";
    let needs = [("p.v1.0.0", need("q", "<2.0.0")), ("q.v2.0.0", need("r", ""))];
    let catalog = with_properties(text, &needs);
    let selection = v1(&catalog, json!({"packages": [{"name": "p"}]}), &State::default()).expect("selected");
    assert_eq!(kept(&selection), "p/stable=1.0.0 q/stable=1.0.0,2.0.0 r/stable=1.0.0");
}
