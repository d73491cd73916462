//! `oc-mirror clusters`: what clusters run is read from API servers, planned against a configuration, and the patched
//! configuration mirrors what was missing.

use std::collections::BTreeMap;

use oc_mirror_testkit::{CatalogBuilder, Fbc, Release};
use rstest::rstest;
use serde_json::{Value, json};

use crate::cluster_api::{ClusterApi, TOKEN, kubeconfig};
use crate::depot::{Depot, PAYLOADS};
use crate::lab::{Lab, context};
use crate::shop::Shop;

const V0: &str = "/apis/operators.coreos.com/v1alpha1";
const V1: &str = "/apis/olm.operatorframework.io/v1";

/// A cluster of two nodes, with these operators: package, channel, bundle.
fn cluster(history: &[&str], channel: &str, operators: &[(&str, &str, &str)]) -> BTreeMap<String, Value> {
    let history: Vec<Value> =
        history.iter().map(|version| json!({"state": "Completed", "version": version})).collect();
    let node = |role: &str| {
        json!({
            "metadata": {"name": format!("host-{role}"), "labels": {format!("node-role.kubernetes.io/{role}"): ""}},
            "status": {"nodeInfo": {"architecture": "amd64"}},
        })
    };
    let subscription = |(package, channel, bundle): &(&str, &str, &str)| {
        json!({
            "metadata": {"name": format!("{package}-sub"), "namespace": "team-a"},
            "spec": {"name": package, "channel": channel, "source": "cs-shop", "sourceNamespace": "openshift-marketplace",
                "installPlanApproval": "Automatic"},
            "status": {"installedCSV": bundle, "currentCSV": bundle},
        })
    };
    let csv = |(_, _, bundle): &(&str, &str, &str)| {
        let version = bundle.split_once(".v").map_or("", |(_, version)| version);
        json!({"metadata": {"name": bundle, "namespace": "team-a"}, "spec": {"version": version}})
    };
    let source = json!({
        "metadata": {"name": "cs-shop", "namespace": "openshift-marketplace"},
        "spec": {"sourceType": "grpc", "image": "mirror.corp.example:8443/ocp/shop/index:v4.18"},
    });
    BTreeMap::from([
        (
            "/apis/config.openshift.io/v1/clusterversions/version".to_owned(),
            json!({
                "spec": {"channel": channel, "clusterID": "3e9a33a1-0000-4000-8000-000000000001"},
                "status": {"desired": {"version": history[0]["version"]}, "history": history},
            }),
        ),
        ("/api/v1/nodes".to_owned(), json!([node("worker"), node("master")])),
        (format!("{V0}/subscriptions"), operators.iter().map(subscription).collect()),
        (format!("{V0}/clusterserviceversions"), operators.iter().map(csv).collect()),
        (format!("{V0}/catalogsources"), json!([source])),
    ])
}

/// A site: releases of three minor versions, and a catalog with two operators of which `foo` 1.0.0 may run on 4.18 only.
struct Site {
    lab: Lab,
    catalog: String,
    _server: oc_mirror_testkit::UpdateServer,
}

impl Site {
    fn new() -> Self {
        let depot = Depot::new();
        let versions = ["4.18.1", "4.18.2", "4.18.3", "4.19.1", "4.20.1", "4.20.2"];
        let all: Vec<Release> = versions.iter().map(|version| depot.version(version)).collect();
        let of = |range: std::ops::Range<usize>| all[range].iter().collect::<Vec<&Release>>();
        depot.channel("stable-4.18", &of(0..3), "4.18.1>4.18.2 4.18.2>4.18.3");
        depot.channel("stable-4.19", &of(2..4), "4.18.3>4.19.1");
        depot.channel(
            "stable-4.20",
            &of(3..6),
            "4.19.1>4.20.1 4.19.1?SlowDisk>4.20.2 4.20.1?SlowDisk>4.20.2",
        );
        let Depot { lab, server, .. } = depot;
        let shop = Shop { lab };
        let old = vec![json!({"type": "olm.maxOpenShiftVersion", "value": "4.18"})];
        let fbc = Fbc::new("foo", "stable").chain("stable", &["foo.v1.2.0", "foo.v1.1.0", "foo.v1.0.0"]);
        let fbc = shop.bundle_with(fbc, "foo", "1.0.0", old);
        let fbc = ["1.1.0", "1.2.0"].iter().fold(fbc, |fbc, version| shop.bundle(fbc, "foo", version));
        let builder = CatalogBuilder::new().package(&fbc).package(&shop.bar());
        let (_, catalog) = shop.catalog(builder, "shop/index", "v4.20");
        let text = format!(
            "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n  platform:\n    channels:\n      \
             # What everybody gets next.\n      - name: stable-4.20\n  operators:\n    - catalog: {catalog}\n      packages:\n        \
             - name: foo   # for the shops\n"
        );
        shop.lab.context.write("isc.yaml", text);
        Self { lab: shop.lab, catalog, _server: server }
    }

    fn run(&self, args: &[&str]) -> oc_mirror_testkit::CommandOutput {
        self.lab.context.run(&[&["clusters"], args].concat())
    }

    /// Plans for the clusters in `clusters.yaml`.
    fn plan(&self, config: &str, more: &[&str]) -> oc_mirror_testkit::CommandOutput {
        let args = ["plan", "-c", config, "--clusters", "clusters.yaml", "--src-tls-verify=false"];
        self.run(&[&args[..], more].concat())
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.lab.path(name)).expect("it was written")
    }
}

#[test]
fn from_api_servers_to_a_configuration_that_has_it_all() {
    let site = Site::new();
    let slow = ClusterApi::start(cluster(
        &["4.18.1"],
        "stable-4.18",
        &[("foo", "stable", "foo.v1.0.0"), ("bar", "alpha", "bar.v0.1.0")],
    ));
    let fast =
        ClusterApi::start(cluster(&["4.19.1", "4.18.3"], "stable-4.19", &[("foo", "stable", "foo.v1.1.0")]));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let gone = format!("http://{}", nobody.local_addr().expect("it is bound"));
    drop(nobody);
    let contexts = [("prod-a", slow.url()), ("prod-b", fast.url()), ("prod-c", gone)];
    let contexts: Vec<(&str, &str)> = contexts.iter().map(|(name, url)| (*name, url.as_str())).collect();
    site.lab.context.write("kube.yaml", kubeconfig(&contexts));
    let named = ["--kubeconfig", "kube.yaml", "--context", "prod-a", "--context", "prod-b"];

    // One of three does not answer: the others are written all the same.
    let args = [&["inspect"], &named[..], &["--context", "prod-c", "-o", "clusters.yaml"]].concat();
    let inspected = site.run(&args).expect_code(32);
    insta::assert_snapshot!("inspect", inspected.snapshot());
    insta::assert_snapshot!("inventory", site.read("clusters.yaml"));
    let told = format!("{}{}{}", inspected.raw_stdout, inspected.raw_stderr, site.read("clusters.yaml"));
    assert!(!told.contains(TOKEN));
    let csvs = slow.asked().into_iter().filter(|path| path.contains("clusterserviceversions"));
    let csvs: Vec<String> = csvs.collect();
    assert!(csvs.len() == 2 && csvs[0].contains("labelSelector=%21olm.copiedFrom"), "{csvs:?}");
    let planned = site.plan("isc.yaml", &[]).expect_code(32);
    assert!(planned.stderr.contains("`cluster-3` is not in the plan"), "{}", planned.stderr);

    let args = [&["inspect"], &named[..], &["-o", "clusters.yaml"]].concat();
    site.run(&args).expect_code(0);
    let planned = site.plan("isc.yaml", &["--write", "patched.yaml"]).expect_code(0);
    insta::assert_snapshot!("plan", planned.snapshot());
    let patched = site.read("patched.yaml").replace(&site.lab.source.host(), "[SOURCE]");
    insta::assert_snapshot!("patched", patched);

    // The patched configuration leaves nothing to do, without a network for the catalog too.
    let again = site.plan("patched.yaml", &["-o", "json"]).expect_code(0);
    let again: Value = serde_json::from_str(&again.raw_stdout).expect("JSON");
    assert_eq!((&again["missing"], &again["edits"]), (&json!([]), &json!([])));
    let config = site.plan("patched.yaml", &["-o", "config"]).expect_code(0);
    assert_eq!(config.raw_stdout, site.read("patched.yaml"));

    // It mirrors what the plan names.
    let dry = site.lab.run(&["-c", "patched.yaml", "--dry-run", &site.lab.file("disk")]).expect(0);
    let images: Vec<&str> = dry.report().images.iter().map(|image| image.origin.as_str()).collect();
    for cluster in again["clusters"].as_array().expect("clusters") {
        let release = &cluster["release"];
        for step in release["steps"].as_array().expect("steps") {
            let payload = step["payload"].as_str().expect("a payload");
            assert!(images.contains(&payload), "{payload} of {images:#?} at {PAYLOADS}");
        }
    }
    for bundle in ["foo/bundle", "bar/bundle"] {
        assert!(images.iter().filter(|image| image.contains(bundle)).count() >= 2, "{bundle}: {images:#?}");
    }
}

#[test]
fn what_names_a_site_is_only_there_if_wanted() {
    let context = context();
    let mut objects = cluster(&["4.18.1"], "stable-4.18", &[("foo", "stable", "foo.v1.0.0")]);
    let image = json!({"image": {"ref": "mirror.corp.example:8443/ocp/shop/index:v4.18"}});
    objects.insert(
        format!("{V1}/clustercatalogs"),
        json!([{"metadata": {"name": "cc-shop"}, "spec": {"source": image}}]),
    );
    objects.insert(
        format!("{V1}/clusterextensions"),
        json!([{
            "metadata": {"name": "our-bar"},
            "spec": {"source": {"catalog": {"packageName": "bar", "channels": ["alpha"], "version": "0.x"}}},
            "status": {"install": {"bundle": {"name": "bar.v0.1.0", "version": "0.1.0"}}},
        }]),
    );
    let server = ClusterApi::start(objects);
    context.write("kube.yaml", kubeconfig(&[("prod-a", &server.url())]));
    let args = ["clusters", "inspect", "--kubeconfig", "kube.yaml"];
    let bare = context.run(&args).expect_code(0);
    for private in ["prod-a", "corp.example", "team-a", "foo-sub", "our-bar", "3e9a33a1"] {
        assert!(!bare.raw_stdout.contains(private), "{private}: {}", bare.raw_stdout);
    }
    let all = context.run(&[&args[..], &["--include", "names,addresses,ids"]].concat()).expect_code(0);
    insta::assert_snapshot!("inspect_all", all.snapshot().replace("3e9a33a1", "[ID]"));
}

#[rstest]
#[case::forbidden("inspect_forbidden", &format!("{V0}/subscriptions"), "forbidden")]
#[case::no_openshift("inspect_no_openshift", "", "notOpenShift")]
fn a_cluster_that_cannot_be_read(#[case] name: &str, #[case] forbidden: &str, #[case] reason: &str) {
    let context = context();
    let server = match forbidden {
        "" => ClusterApi::start(BTreeMap::new()),
        path => ClusterApi::start(cluster(&["4.18.1"], "stable-4.18", &[])).forbid(path),
    };
    context.write("kube.yaml", kubeconfig(&[("prod-a", &server.url())]));
    let output = context.run(&["clusters", "inspect", "--kubeconfig", "kube.yaml", "-o", "clusters.yaml"]);
    insta::assert_snapshot!(name, output.snapshot());
    let output = output.expect_code(32);
    assert!(!output.raw_stderr.contains(TOKEN));
    let text = std::fs::read_to_string(context.work().join("clusters.yaml")).expect("it was written");
    assert!(text.contains(&format!("reason: {reason}")), "{text}");
    // There is nothing to plan for.
    context.write(
        "isc.yaml",
        "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror: {}\n",
    );
    let plan = context.run(&["clusters", "plan", "-c", "isc.yaml", "--clusters", "clusters.yaml"]);
    assert!(plan.expect_code(1).stderr.contains("has no clusters"));
}

/// An inventory of one cluster, with this release and these operators.
fn inventory(release: Value, operators: Value) -> String {
    json!({
        "kind": "ClusterInventory",
        "apiVersion": "mirror.openshift.io/v2alpha1",
        "clusters": [{"name": "a", "release": release, "operators": operators}],
    })
    .to_string()
}

#[test]
fn what_no_change_can_close() {
    let site = Site::new();
    let operator = |package: &str, channel: &str, bundle: &str, catalog: &str| {
        let version = bundle.split_once(".v").map_or("", |(_, version)| version);
        json!({"package": package, "kind": "Subscription", "channels": [channel], "bundle": bundle, "version": version,
            "catalogs": [catalog]})
    };
    let text = inventory(
        json!({"version": "4.17.1", "architecture": "amd64", "channel": "stable-4.17"}),
        json!([
            operator("foo", "gone", "foo.v0.1.0", "shop/index:v4.20"),
            operator("zap", "stable", "zap.v1.0.0", "elsewhere/index:v1"),
        ]),
    );
    site.lab.context.write("clusters.yaml", text);
    let planned = site.plan("isc.yaml", &[]).expect_code(2 + 4);
    insta::assert_snapshot!("plan_open", planned.snapshot());
    let yaml = site.plan("isc.yaml", &["-o", "yaml"]).expect_code(2 + 4);
    assert!(yaml.raw_stdout.starts_with("kind: ClusterPlan\n"), "{}", yaml.raw_stdout);
    assert!(yaml.raw_stdout.contains("closed: false"), "{} {}", yaml.raw_stdout, site.catalog);
}

#[rstest]
#[case::no_file("plan_no_file", None, &[])]
#[case::no_inventory("plan_no_inventory", Some("kind: ImageSetConfiguration\n"), &[])]
#[case::other_version("plan_other_version", Some("kind: ClusterInventory\napiVersion: mirror.openshift.io/v9\n"), &[])]
#[case::odd_version("plan_odd_version", Some(""), &["--target", "4.20"])]
#[case::one_payload("plan_one_payload", Some(""), &["-c", "pinned.yaml"])]
fn wrong_inputs(#[case] name: &str, #[case] clusters: Option<&str>, #[case] more: &[&str]) {
    let context = context();
    let head = "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n";
    context.write("isc.yaml", format!("{head}  platform:\n    channels:\n    - name: stable-4.20\n"));
    context.write("pinned.yaml", format!("{head}  platform:\n    release: quay.io/a/release:4.20.1\n"));
    match clusters {
        None => {}
        Some("") => {
            let release = json!({"version": "4.20.1", "architecture": "amd64"});
            context.write("clusters.yaml", inventory(release, json!([])));
        }
        Some(text) => drop(context.write("clusters.yaml", text)),
    }
    let config: &[&str] = if more.contains(&"-c") { &[] } else { &["-c", "isc.yaml"] };
    let args = [&["clusters", "plan", "--clusters", "clusters.yaml"], config, more].concat();
    insta::assert_snapshot!(name, context.run(&args).snapshot());
}

#[test]
fn schemas_are_printed() {
    for kind in ["clusters", "cluster-plan"] {
        let printed = context().run(&["schema", kind]).expect_code(0);
        let schema: Value = serde_json::from_str(&printed.raw_stdout).expect("JSON");
        assert!(schema["properties"]["clusters"].is_object(), "{schema}");
    }
}
