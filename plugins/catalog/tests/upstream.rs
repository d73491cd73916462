//! The catalogs of oc-mirror's own tests, with what those expect.

mod common;

use std::path::PathBuf;

use common::{build, bundles, entry, files, fixtures};
use oc_mirror_catalog::{Catalog, Rules, Selection, State, select};
use rstest::rstest;
use serde_json::{Value, json};

fn catalog(name: &str) -> Option<Catalog> {
    let place = "openshift__oc-mirror/tests/integration/image-builders/operator/catalogs";
    let root: PathBuf = fixtures()?.join(place).join(format!("test-catalog-{name}"));
    Some(build(&root, files(&root).iter()).expect("a catalog"))
}

fn run(catalog: &Catalog, settings: Value, rules: Rules, state: &State) -> Selection {
    select(catalog, &entry(settings), rules, state).expect("a selection")
}

fn joined(selection: &Selection) -> String {
    bundles(selection).join(" ")
}

const BARS: &str = "bar.v0.1.0 bar.v0.2.0 bar.v1.0.0";

#[rstest]
#[case("latest", json!({"full": true}), "BARS baz.v1.0.0 baz.v1.0.1 baz.v1.1.0 foo.v0.1.0 foo.v0.2.0 foo.v0.3.0 foo.v0.3.1")]
#[case("latest", json!({}), "BARS baz.v1.1.0 foo.v0.3.1")]
#[case("latest", json!({"skipDependencies": true}), "bar.v1.0.0 baz.v1.1.0 foo.v0.3.1")]
#[case("latest", json!({"full": true, "packages": [{"name": "foo"}]}), "BARS foo.v0.1.0 foo.v0.2.0 foo.v0.3.0 foo.v0.3.1")]
#[case("diff", json!({"full": true, "packages": [{"name": "foo"}, {"name": "baz", "minVersion": "1.0.1"}]}),
    "BARS baz.v1.0.1 baz.v1.1.0 foo.v0.1.0 foo.v0.2.0 foo.v0.3.0 foo.v0.3.1 foo.v0.3.2")]
#[case("latest", json!({"full": true, "skipDependencies": true, "packages": [{"name": "baz", "minVersion": "1.0.1", "maxVersion": "1.0.1"}]}), "baz.v1.0.1")]
#[case("latest", json!({"full": true, "skipDependencies": true, "packages": [{"name": "foo", "minVersion": "0.2.0", "maxVersion": "0.3.0"}]}), "foo.v0.2.0 foo.v0.3.0")]
#[case("latest", json!({"full": true, "skipDependencies": true, "packages": [{"name": "foo", "maxVersion": "0.3.0"}]}), "foo.v0.1.0 foo.v0.2.0 foo.v0.3.0")]
#[case("latest", json!({"packages": [{"name": "baz", "minVersion": "1.0.1", "maxVersion": "1.0.1"}]}), "baz.v1.0.1")]
#[case("prune", json!({}), "bar.v0.1.0 foo.v0.1.1")]
fn v1_on_a_fresh_workspace(#[case] name: &str, #[case] settings: Value, #[case] expected: &str) {
    let Some(catalog) = catalog(name) else { return };
    let selection = run(&catalog, settings, Rules::V1Alpha2, &State::default());
    assert_eq!(joined(&selection), expected.replace("BARS", BARS));
}

#[rstest]
#[case("latest", "diff", json!({}), "BARS baz.v1.1.0 foo.v0.3.0 foo.v0.3.1 foo.v0.3.2")]
#[case("prune", "prune-diff", json!({}), "bar.v0.1.0 foo.v0.2.0")]
#[case("latest", "latest", json!({}), "BARS baz.v1.1.0 foo.v0.3.1")]
#[case("latest", "diff", json!({"packages": [{"name": "foo"}]}), "BARS foo.v0.3.0 foo.v0.3.1 foo.v0.3.2")]
fn v1_over_time(#[case] first: &str, #[case] second: &str, #[case] settings: Value, #[case] expected: &str) {
    let (Some(first), Some(second)) = (catalog(first), catalog(second)) else { return };
    let mut state = State::default();
    state.update(run(&first, settings.clone(), Rules::V1Alpha2, &state).state());
    let selection = run(&second, settings.clone(), Rules::V1Alpha2, &state);
    assert_eq!(joined(&selection), expected.replace("BARS", BARS));
    // The floor does not sink.
    state.update(selection.state());
    assert_eq!(joined(&run(&second, settings, Rules::V1Alpha2, &state)), expected.replace("BARS", BARS));
}

#[rstest]
#[case(json!({}), "bar.v1.0.0 baz.v1.1.0 foo.v0.3.1")]
#[case(json!({"packages": [{"name": "foo", "channels": [{"name": "beta", "minVersion": "0.2.0", "maxVersion": "0.3.1"}]}]}), "foo.v0.2.0 foo.v0.3.0 foo.v0.3.1")]
#[case(json!({"packages": [{"name": "foo", "minVersion": "0.3.1", "maxVersion": "0.3.1"}]}), "foo.v0.3.1")]
#[case(json!({"packages": [{"name": "bar"}]}), "bar.v1.0.0")]
#[case(json!({"full": true, "packages": [{"name": "bar"}]}), "BARS")]
fn v2(#[case] settings: Value, #[case] expected: &str) {
    let Some(catalog) = catalog("latest") else { return };
    let selection = run(&catalog, settings, Rules::V2Alpha1, &State::default());
    assert_eq!(joined(&selection), expected.replace("BARS", BARS));
}

#[test]
fn v2_what_foo_needs_is_named() {
    let Some(catalog) = catalog("latest") else { return };
    let entry = entry(json!({"packages": [{"name": "foo"}]}));
    let selection = select(&catalog, &entry, Rules::V2Alpha1, &State::default()).expect("a selection");
    let mut all = [(&catalog, &entry, selection)];
    oc_mirror_catalog::report_dependencies(&mut all);
    let notes: Vec<_> = all[0].2.notes.iter().map(|note| note.message.as_str()).collect();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[1].contains("package `bar` 0.1.0 of channel `alpha`"), "{notes:?}");
}

#[test]
fn an_image_without_a_tag_stops_a_catalog() {
    let Some(catalog) = catalog("invalid-images") else { return };
    let selection = run(&catalog, json!({}), Rules::V2Alpha1, &State::default());
    let error = selection.images(&catalog).expect_err("invalid images");
    assert!(error.has("operators.image"), "{error}");
}

#[test]
fn other_schemas_stay_with_their_package() {
    let Some(catalog) = catalog("extra-blobs") else { return };
    assert_eq!(catalog.others.len(), 1);
    assert_eq!(catalog.package("bar").expect("bar").others.len(), 1);
}

/// What oc-mirror v2's filter keeps of a real package, by its own tests.
#[rstest]
#[case(json!({}), "jaeger-operator.v1.51.0-1")]
#[case(json!({"minVersion": "1.47.1-5"}), "jaeger-operator.v1.47.1-5 jaeger-operator.v1.51.0-1")]
#[case(json!({"minVersion": "1.34.1-5", "maxVersion": "1.42.0-5"}),
    "jaeger-operator.v1.34.1-5 jaeger-operator.v1.42.0-5 jaeger-operator.v1.42.0-5-0.1687199951.p")]
fn v2_jaeger(#[case] mut channel: Value, #[case] expected: &str) {
    let Some(fixtures) = fixtures() else { return };
    let root = fixtures.join("openshift__oc-mirror/tests/unit/testdata/configs/jaeger-product");
    let catalog = build(&root, files(&root).iter()).expect("a catalog");
    channel["name"] = "stable".into();
    let settings = json!({"packages": [{"name": "jaeger-product", "channels": [channel]}]});
    assert_eq!(joined(&run(&catalog, settings, Rules::V2Alpha1, &State::default())), expected);
}
