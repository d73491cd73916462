//! Operator catalogs end to end: what arrives is what was selected.

use std::collections::BTreeSet;

use oc_mirror_testkit::{CatalogBuilder, Fbc, Skopeo};
use serde_json::{Value, json};

use crate::lab::{Chunks, names_in, read};
use crate::shop::{Pulled, Shop};

/// Fails the test unless every image that the catalog names can be pulled from the target.
#[track_caller]
fn assert_complete(shop: &Shop, pulled: &Pulled) {
    let source = shop.lab.source.host();
    for image in pulled.images() {
        let path = image.strip_prefix(&format!("{source}/")).expect("an image of the source");
        let (repository, digest) = path.split_once('@').expect("by digest");
        Skopeo::new().pull(&format!("docker://{}", shop.lab.target.reference(repository, digest)));
    }
}

#[test]
fn heads_cross_the_gap_with_a_catalog_that_offers_them() {
    let mut shop = Shop::new();
    let (original, catalog) = shop.usual();
    shop.want(json!([{ "catalog": catalog }]));
    let run = shop.lab.make(&[]).expect(0);
    assert_eq!(run.outcomes(), [(1, "made")]);
    shop.lab.source.stop();
    shop.lab.publish("disk", &[]).expect(0);

    let pulled = shop.pull("shop/index", "v4.20");
    assert_eq!(pulled.bundles(), ["bar.v0.2.0", "foo.v1.2.0", "foo.v2.0.0"]);
    let channels: Vec<(String, Vec<String>)> = pulled.channels().into_iter().collect();
    let expected = [("bar/alpha", "bar.v0.2.0"), ("foo/fast", "foo.v2.0.0"), ("foo/stable", "foo.v1.2.0")];
    assert_eq!(channels, expected.map(|(channel, head)| (channel.to_owned(), vec![head.to_owned()])));
    assert_eq!(pulled.documents.keys().collect::<Vec<_>>(), ["bar/catalog.json", "foo/catalog.json"]);
    assert_complete(&shop, &pulled);

    // The image is the original one with one layer more, for every platform of it, and in its own media types.
    let before: Vec<&str> = original.children[0].layers.iter().map(|l| l.blob.digest.as_str()).collect();
    assert_eq!(pulled.layers[..3], before);
    assert_eq!(pulled.layers.len(), 4);
    let reference = format!("docker://{}", shop.lab.target.reference("shop/index", "v4.20"));
    let index: Value = serde_json::from_slice(&Skopeo::new().inspect_raw(&reference)).expect("an index");
    assert_eq!(index["mediaType"], original.media_type);
    let platforms: Vec<&Value> = index["manifests"]
        .as_array()
        .expect("images")
        .iter()
        .map(|m| &m["platform"]["architecture"])
        .collect();
    assert_eq!(platforms, ["amd64", "arm64"]);
    Skopeo::new().pull(&reference);

    // It starts without the cache of the old one, as whoever the cluster runs it as.
    assert_eq!(pulled.config["config"]["Entrypoint"], json!(["/bin/opm"]));
    assert_eq!(pulled.config["config"]["Cmd"], json!(["serve", "/configs"]));
    assert_eq!(
        pulled.config["config"]["Labels"]["operators.operatorframework.io.index.configs.v1"],
        "/configs"
    );
    for path in ["configs", "configs/.wh..wh..opq", "configs/foo", "tmp/cache", "tmp/cache/.wh..wh..opq"] {
        assert!(pulled.top.contains(path), "{path} among {:?}", pulled.top);
    }
    assert!(!pulled.top.contains("tmp"), "the directory for temporary files keeps its mode");
    assert!(!pulled.files.iter().any(|f| f.starts_with("tmp/cache")), "{:?}", pulled.files);
}

#[test]
fn nothing_changed_ships_nothing() {
    let shop = Shop::new();
    let (_, catalog) = shop.usual();
    shop.want(json!([{ "catalog": catalog, "packages": [{ "name": "foo" }] }]));
    shop.lab.make(&[]).expect(0);
    let again = shop.lab.make(&[]).expect(0);
    assert_eq!(again.outcomes(), [(1, "nothing new")]);
    assert!(!names_in(&shop.lab.path("disk")).iter().any(|name| name.contains("seq2")));
}

#[test]
fn the_next_sequence_ships_new_bundles_and_the_layer_of_the_catalog() {
    let shop = Shop::new();
    let (_, catalog) = shop.usual();
    shop.want(json!([{ "catalog": catalog, "packages": [{ "name": "foo" }] }]));
    shop.lab.make(&[]).expect(0);
    let wider = json!([{ "catalog": catalog, "packages": [{ "name": "foo" }, { "name": "bar" }] }]);
    shop.want(wider);
    shop.lab.make(&[]).expect(0);
    let index = Chunks::of(&shop.lab.path("disk"), 2).index();
    let carried = Chunks::of(&shop.lab.path("disk"), 2).blobs();
    let images = index["images"].as_array().expect("images");
    let mut expected = BTreeSet::new();
    for image in images.iter().filter(|i| i["origin"].as_str().is_some_and(|o| o.contains("/bar/"))) {
        let parts = image["manifests"].as_array().into_iter().chain(image["blobs"].as_array()).flatten();
        expected.extend(parts.map(|p| p["digest"].as_str().expect("a digest").to_owned()));
    }
    assert_eq!(expected.len(), 6, "two images of three parts");
    // For each platform a configuration and a manifest, one layer for both, and the index.
    assert_eq!(carried.difference(&expected).count(), 6, "{carried:?}");
    shop.lab.publish("disk", &[]).expect(0);
    let after = shop.lab.target.digest_of("shop/index", "v4.20");

    // A fresh chain with the same configuration makes the same catalog.
    shop.lab.make_in("fresh", &[]).expect(0);
    let fresh = Chunks::of(&shop.lab.path("fresh"), 1).index();
    let catalog = fresh["images"].as_array().expect("images").iter().find(|i| i["kind"] == "catalog");
    assert_eq!(after.as_deref(), catalog.expect("a catalog")["root"]["digest"].as_str());
    assert_eq!(shop.pull("shop/index", "v4.20").bundles(), ["bar.v0.2.0", "foo.v1.2.0", "foo.v2.0.0"]);
}

#[test]
fn a_catalog_in_full_stays_as_it_is() {
    let shop = Shop::new();
    let (original, catalog) = shop.usual();
    shop.want(json!([{ "catalog": catalog, "full": true }]));
    let to = format!("docker://{}", shop.lab.target.host());
    shop.lab.run(&["-c", "isc.yaml", "--workspace", &shop.lab.file("w"), &to]).expect(0);
    shop.lab.assert_published(&original, "shop/index", "v4.20");
    let pulled = shop.pull("shop/index", "v4.20");
    assert_eq!(pulled.bundles().len(), 6);
    assert_complete(&shop, &pulled);
}

#[test]
fn ranges_and_channels_choose() {
    let shop = Shop::new();
    let (_, catalog) = shop.usual();
    shop.want(json!([{ "catalog": catalog, "packages": [
        { "name": "foo", "channels": [{ "name": "stable", "minVersion": "1.0.0", "maxVersion": "1.1.0" }] },
        { "name": "bar", "bundles": [{ "name": "bar.v0.1.0" }] },
    ] }]));
    let to = format!("docker://{}", shop.lab.target.host());
    shop.lab.run(&["-c", "isc.yaml", "--workspace", &shop.lab.file("w"), &to]).expect(0);
    let pulled = shop.pull("shop/index", "v4.20");
    assert_eq!(pulled.bundles(), ["bar.v0.1.0", "foo.v1.0.0", "foo.v1.1.0"]);
    assert_eq!(pulled.channels()["foo/stable"], ["foo.v1.1.0", "foo.v1.0.0"]);
    assert_complete(&shop, &pulled);
}

#[test]
fn catalogs_are_renamed_and_pinned() {
    let shop = Shop::new();
    let (original, catalog) = shop.usual();
    let by_digest = shop.lab.source.reference("shop/index", &original.digest);
    let layout = shop.lab.path("My-Catalog");
    original.write_layout(&layout, "");
    let foo = json!([{ "name": "foo" }]);
    shop.want(json!([
        { "catalog": catalog, "packages": foo, "targetCatalog": "own/name", "targetTag": "t1" },
        { "catalog": by_digest, "packages": foo },
        { "catalog": format!("oci://{}", layout.display()), "packages": foo },
    ]));
    shop.lab.make(&[]).expect(0);
    shop.lab.publish("disk", &[]).expect(0);
    let digest = shop.lab.target.digest_of("own/name", "t1").expect("renamed");
    assert_eq!(shop.lab.target.digest_of("my-catalog", "latest"), Some(digest.clone()), "from disk");
    let by_digest_tag = digest.replace(':', "-");
    assert_eq!(shop.lab.target.digest_of("shop/index", &by_digest_tag), Some(digest), "by digest");

    let resolved = String::from_utf8(read(&shop.lab.path("disk/working-dir/resolved-config.yaml"))).unwrap();
    assert!(resolved.contains(&by_digest), "{resolved}");
    assert!(!resolved.contains(&format!("catalog: {catalog}\n")), "{resolved}");
    // A configuration that was resolved mirrors the same, wherever the tag has gone since.
    shop.lab.context.write("isc.yaml", resolved);
    assert_eq!(shop.lab.make(&[]).expect(0).outcomes(), [(1, "nothing new")]);
}

#[test]
fn only_some_platforms() {
    let shop = Shop::new();
    let (_, catalog) = shop.usual();
    let arm = json!([{ "os": "linux", "architecture": "arm64" }]);
    // The bundles are for one platform and no index, so nothing is chosen of them.
    shop.want(json!([{ "catalog": catalog, "platforms": arm, "packages": [{ "name": "foo" }] }]));
    shop.lab.make(&[]).expect(0);
    shop.lab.publish("disk", &[]).expect(0);
    let reference = format!("docker://{}", shop.lab.target.reference("shop/index", "v4.20"));
    let index: Value = serde_json::from_slice(&Skopeo::new().inspect_raw(&reference)).expect("an index");
    let platforms: Vec<&Value> = index["manifests"]
        .as_array()
        .expect("images")
        .iter()
        .map(|m| &m["platform"]["architecture"])
        .collect();
    assert_eq!(platforms, ["arm64"]);
}

/// A package that needs `bar` below 0.2.0.
fn needy(shop: &Shop) -> Fbc {
    let needs = json!({ "type": "olm.package.required",
        "value": { "packageName": "bar", "versionRange": "<0.2.0" } });
    let fbc = Fbc::new("needy", "stable").chain("stable", &["needy.v1.0.0"]);
    shop.bundle_with(fbc, "needy", "1.0.0", vec![needs])
}

#[test]
fn what_a_bundle_needs_is_told_or_brought() {
    let shop = Shop::new();
    let builder = CatalogBuilder::new().package(&needy(&shop)).package(&shop.bar()).package(&shop.foo());
    let (_, catalog) = shop.catalog(builder, "shop/index", "v1");
    let want = |dependencies: &str| {
        let packages = json!([{ "name": "needy" }]);
        shop.want(json!([{ "catalog": catalog, "dependencies": dependencies, "packages": packages }]));
    };
    want("warn");
    let run = shop.lab.make_in("warned", &[]).expect(0);
    let [warning] = run.report().warnings.as_slice() else { panic!("{:?}", run.report().warnings) };
    assert!(warning.contains("`needy.v1.0.0` needs package bar <0.2.0"), "{warning}");
    assert!(warning.contains("`bar` 0.1.0 of channel `alpha`"), "{warning}");
    want("ignore");
    assert_eq!(shop.lab.make_in("ignored", &[]).expect(0).report().warnings, [""; 0]);
    want("resolve");
    let run = shop.lab.make(&[]).expect(0);
    assert_eq!(run.report().warnings, [""; 0]);
    let notes = &run.report().notes;
    assert!(notes.iter().any(|n| n.contains("bar") && n.contains("needy.v1.0.0")), "{notes:?}");
    shop.lab.publish("disk", &[]).expect(0);
    let pulled = shop.pull("shop/index", "v1");
    assert_eq!(pulled.bundles(), ["bar.v0.1.0", "needy.v1.0.0"]);
    assert_complete(&shop, &pulled);
}

#[test]
fn a_cluster_on_an_older_mirrored_version_keeps_its_path() {
    let shop = Shop::new();
    let catalog = |chain: &[&str], versions: &[&str]| {
        let fbc = Fbc::new("foo", "stable").chain("stable", chain);
        let fbc = versions.iter().fold(fbc, |fbc, version| shop.bundle(fbc, "foo", version));
        shop.catalog(CatalogBuilder::new().package(&fbc), "shop/index", "v1").1
    };
    let name = catalog(&["foo.v1.0.0"], &["1.0.0"]);
    shop.want(json!([{ "catalog": name, "keepUpgradePaths": true }]));
    shop.lab.make(&[]).expect(0);
    let chain = ["foo.v1.3.0", "foo.v1.2.0", "foo.v1.1.0", "foo.v1.0.0"];
    catalog(&chain, &["1.3.0", "1.2.0", "1.1.0", "1.0.0"]);
    let run = shop.lab.make(&[]).expect(0);
    assert!(run.report().notes.iter().any(|n| n.contains("foo.v1.1.0")), "{:?}", run.report().notes);
    shop.lab.publish("disk", &[]).expect(0);
    let pulled = shop.pull("shop/index", "v1");
    assert_eq!(pulled.channels()["foo/stable"], ["foo.v1.3.0", "foo.v1.2.0", "foo.v1.1.0"]);
    assert_complete(&shop, &pulled);
}

#[test]
fn the_version_of_the_configuration_chooses_the_rules() {
    let shop = Shop::new();
    let builder = CatalogBuilder::new().package(&needy(&shop)).package(&shop.bar()).package(&shop.foo());
    let (_, catalog) = shop.catalog(builder, "shop/index", "v1");
    let mirror = format!("mirror:\n  operators:\n  - catalog: {catalog}\n    packages:\n    - name: needy\n");
    let head = "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v1alpha2\n";
    shop.lab.context.write("isc.yaml", format!("{head}{mirror}"));
    shop.lab.make(&[]).expect(0);
    shop.lab.publish("disk", &[]).expect(0);
    // v1alpha2 brings what is needed, from there to the head.
    assert_eq!(shop.pull("shop/index", "v1").bundles(), ["bar.v0.1.0", "bar.v0.2.0", "needy.v1.0.0"]);
}

#[test]
fn a_template_travels_with_the_catalog() {
    let shop = Shop::new();
    let (_, catalog) = shop.usual();
    let want = |template: &str| {
        shop.want(json!([{ "catalog": catalog, "packages": [{ "name": "foo" }],
            "targetCatalogSourceTemplate": template }]));
    };
    want("missing.yaml");
    shop.lab.make(&[]).assert_refused(1, "missing.yaml");
    shop.lab.context.write("t.yaml", "kind: ConfigMap\napiVersion: v1\n");
    want("t.yaml");
    shop.lab.make(&[]).assert_refused(1, "is not one for a catalog image");
    let template = "apiVersion: operators.coreos.com/v1alpha1\nkind: CatalogSource\nspec:\n  priority: 7\n";
    shop.lab.context.write("t.yaml", template);
    shop.lab.make(&[]).expect(0);
    let names = Chunks::of(&shop.lab.path("disk"), 1).listings().concat();
    assert!(names.contains(&"files/catalog-source-templates/shop/index/v4.20.yaml".to_owned()), "{names:?}");
    assert_eq!(shop.lab.make(&[]).expect(0).outcomes(), [(1, "nothing new")]);
}

#[test]
fn lists_answer_without_network() {
    let mut shop = Shop::new();
    let (_, catalog) = shop.usual();
    let list = |more: &[&str]| {
        let args = ["list", "operators", "--src-tls-verify=false", "--workspace", "file://w"];
        shop.lab.context.run(&[&args[..], more].concat())
    };
    let all = list(&["--catalog", &catalog]).expect_code(0);
    assert_eq!(
        all.raw_stdout,
        "NAME  DISPLAY NAME      DEFAULT CHANNEL\nbar   The bar operator  alpha\nfoo   The foo operator  stable\n"
    );
    shop.lab.source.stop();
    let list = |more: &[&str]| {
        let args =
            ["list", "operators", "--src-tls-verify=false", "--workspace", "file://w", "--catalog", &catalog];
        shop.lab.context.run(&[&args[..], more].concat())
    };
    let package = list(&["--package", "foo"]).expect_code(0);
    assert_eq!(
        package.raw_stdout,
        "NAME  DISPLAY NAME      DEFAULT CHANNEL\nfoo   The foo operator  stable\n\n\
         PACKAGE  CHANNEL  HEAD\nfoo      fast     foo.v2.0.0\nfoo      stable   foo.v1.2.0\n"
    );
    let channel = list(&["--package", "foo", "--channel", "stable"]).expect_code(0);
    assert_eq!(channel.raw_stdout, "VERSIONS\n1.0.0\n1.1.0\n1.2.0\n");
    assert!(channel.raw_stderr.contains("--refresh looks it up again"), "{}", channel.raw_stderr);
    let yaml = list(&["--package", "foo", "-o", "yaml"]).expect_code(0);
    assert!(yaml.raw_stdout.contains("defaultChannel: stable\n"), "{}", yaml.raw_stdout);
    let json: Value = serde_json::from_str(&list(&["-o", "json"]).expect_code(0).raw_stdout).expect("JSON");
    assert_eq!(json["packages"][1]["channels"][0], json!({ "name": "fast", "head": "foo.v2.0.0" }));
    let wrong = list(&["--package", "fo"]).expect_code(4);
    assert!(wrong.raw_stderr.contains("hint: it has `foo`"), "{}", wrong.raw_stderr);
    let wrong = list(&["--package", "foo", "--channel", "fasd"]).expect_code(4);
    assert!(wrong.raw_stderr.contains("`fast`"), "{}", wrong.raw_stderr);
    let asked = list(&["--refresh", "--retry-times"]);
    assert_ne!(asked.code, 0, "there is no such option");
}

#[test]
fn catalogs_of_a_version_are_looked_up() {
    let shop = Shop::new();
    for name in ["redhat-operator-index", "community-operator-index"] {
        shop.catalog(CatalogBuilder::new().package(&shop.bar()), &format!("red/{name}"), "v4.22");
    }
    let registry = format!("{}/red", shop.lab.source.host());
    let args =
        ["list", "operators", "--src-tls-verify=false", "--catalogs", "--version", "4.22", "--registry"];
    let output = shop.lab.context.run(&[&args[..], &[&registry]].concat()).expect_code(0);
    assert_eq!(
        output.raw_stdout,
        format!(
            "Available OpenShift OperatorHub catalogs:\nOpenShift 4.22:\n{registry}/redhat-operator-index:v4.22\n\
             Invalid catalog reference \"{registry}/certified-operator-index:v4.22\", please check version\n\
             {registry}/community-operator-index:v4.22\n"
        )
    );
    let args = ["list", "operators"];
    assert!(shop.lab.context.run(&args).expect_code(1).raw_stderr.contains("hint: name a catalog"));
}
