//! Operator bundles of which something cannot be had: a bundle goes in whole or not at all, and the catalog offers only
//! what is there.

use oc_mirror_testkit::CatalogBuilder;
use serde_json::json;

use crate::lab::names_in;
use crate::shop::Shop;

/// `foo` and `bar`, with the related image of `foo.v1.2.0` missing.
fn with_a_hole() -> (Shop, String) {
    let shop = Shop::new();
    let text = shop.foo().text();
    let there = shop.image("foo/operator", "1.2.0");
    let gone = shop.lab.source.reference("foo/gone", &format!("sha256:{}", "a".repeat(64)));
    let catalog = CatalogBuilder::new().file("foo/c.json", text.replace(&there, &gone)).package(&shop.bar());
    let name = shop.catalog(catalog, "shop/index", "v1").1;
    (shop, name)
}

#[test]
fn a_missing_image_fails_the_run() {
    let (shop, catalog) = with_a_hole();
    shop.want(json!([{ "catalog": catalog }]));
    let run = shop.lab.make(&["--retry-times", "0"]).expect(4);
    assert!(run.report().failures.iter().any(|f| f.subject.contains("foo/gone")), "{:?}", run.report());
    assert!(
        !names_in(&shop.lab.path("disk")).iter().any(|name| name.starts_with("mirror_seq1")),
        "no imageset"
    );
}

#[test]
fn or_the_bundle_is_not_offered() {
    let (shop, catalog) = with_a_hole();
    shop.want(json!([{ "catalog": catalog, "packages": [
        { "name": "foo", "channels": [{ "name": "stable", "minVersion": "1.0.0" }] }, { "name": "bar" }] }]));
    let run = shop.lab.make(&["--on-error", "quarantine", "--retry-times", "0"]).expect(4);
    assert_eq!(run.outcomes(), [(1, "made")]);
    let report = run.report();
    assert!(report.failures.is_empty() && report.quarantined.len() == 1, "{report:?}");
    assert!(
        report.warnings.iter().any(|w| w.contains("the bundle `foo.v1.2.0` is not offered")),
        "{report:?}"
    );
    shop.lab.publish("disk", &[]).expect(0);
    let pulled = shop.pull("shop/index", "v1");
    assert_eq!(pulled.bundles(), ["bar.v0.2.0", "foo.v1.0.0", "foo.v1.1.0"]);
    assert_eq!(pulled.channels()["foo/stable"], ["foo.v1.1.0", "foo.v1.0.0"]);
    // The same again is nothing new, and still says what is not there.
    let again = shop.lab.make(&["--on-error", "quarantine", "--retry-times", "0"]).expect(4);
    assert_eq!(again.outcomes(), [(1, "nothing new")]);
}

#[test]
fn a_package_without_a_whole_bundle_goes() {
    let (shop, catalog) = with_a_hole();
    shop.want(json!([{ "catalog": catalog, "packages": [
        { "name": "foo", "channels": [{ "name": "stable" }] }, { "name": "bar" }] }]));
    let to = format!("docker://{}", shop.lab.target.host());
    let args = ["-c", "isc.yaml", "--on-error", "quarantine", "--retry-times", "0", "--workspace"];
    shop.lab.run(&[&args[..], &[&shop.lab.file("w"), &to]].concat()).expect(4);
    let pulled = shop.pull("shop/index", "v1");
    assert_eq!((pulled.bundles(), pulled.default_channel("foo")), (vec!["bar.v0.2.0".to_owned()], None));
}

#[test]
fn a_layer_that_is_gone_counts_as_well() {
    let shop = Shop::new();
    let (_, catalog) = shop.usual();
    let lost = oc_mirror_testkit::ImageBuilder::new().layer(&[("content", "foo/operator 2.0.0")]).build();
    let hex = lost.layers[0].blob.digest.replace("sha256:", "");
    let path = format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
    std::fs::remove_file(shop.lab.source.storage().join(path)).expect("it was there");
    shop.want(json!([{ "catalog": catalog, "packages": [{ "name": "foo" }] }]));
    shop.lab.make_in("failed", &["--retry-times", "0"]).expect(4);
    let run = shop.lab.make(&["--on-error", "quarantine", "--retry-times", "0"]).expect(4);
    assert_eq!(run.outcomes(), [(1, "made")]);
    shop.lab.publish("disk", &[]).expect(0);
    assert_eq!(shop.pull("shop/index", "v4.20").bundles(), ["foo.v1.2.0"]);
}

#[test]
fn a_bundle_with_a_refused_image_is_not_offered() {
    let shop = Shop::new();
    let (_, catalog) = shop.usual();
    let refused = shop.image("foo/operator", "2.0.0");
    let want = |incomplete: &str| {
        shop.lab.configure_mirror(json!({
            "operators": [{ "catalog": catalog, "incompleteBundles": incomplete, "packages": [{ "name": "foo" }] }],
            "blockedImages": [{ "name": refused }],
        }));
    };
    want("drop");
    let run = shop.lab.make(&[]).expect(0);
    let report = run.report();
    assert_eq!(report.refused.len(), 1);
    assert!(report.warnings.iter().any(|w| w.contains("`foo.v2.0.0` is not offered")), "{report:?}");
    shop.lab.publish("disk", &[]).expect(0);
    let pulled = shop.pull("shop/index", "v4.20");
    assert_eq!(pulled.bundles(), ["foo.v1.2.0"]);
    assert_eq!(pulled.channels().len(), 1, "{:?}", pulled.channels());
    // As oc-mirror v2 does it: the bundle is offered without the image that nobody wants.
    want("keep");
    shop.lab.make(&[]).expect(0);
    shop.lab.publish("disk", &[]).expect(0);
    assert_eq!(shop.pull("shop/index", "v4.20").bundles(), ["foo.v1.2.0", "foo.v2.0.0"]);
}

#[test]
fn an_additional_image_can_be_left_out_too() {
    let shop = Shop::new();
    let there = shop.image("team/app", "1");
    let gone = shop.lab.source.reference("team/gone", "v1");
    shop.lab.configure(&[&there, &gone]);
    shop.lab.make_in("failed", &["--retry-times", "0"]).expect(8);
    let run = shop.lab.make(&["--on-error", "quarantine", "--retry-times", "0"]).expect(8);
    assert_eq!(run.outcomes(), [(1, "made")]);
    assert_eq!(run.report().images.len(), 1);
}
