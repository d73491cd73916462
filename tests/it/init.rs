//! `oc-mirror init`: a configuration by options, by answers, and by what clusters run.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use oc_mirror_testkit::{CatalogBuilder, CommandOutput, TestContext, on_terminal};
use rstest::rstest;
use serde_json::json;

use crate::cluster_api::{ClusterApi, TOKEN, kubeconfig};
use crate::depot::Depot;
use crate::lab::context;
use crate::shop::Shop;

const FILE: &str = "imageset-config.yaml";

fn written(context: &TestContext) -> String {
    fs::read_to_string(context.work().join(FILE)).expect("it was written")
}

/// Fails the test unless a run would take what was written.
#[track_caller]
fn assert_good(context: &TestContext) {
    let output = context.run(&["lint", "-c", FILE]);
    assert_eq!(output.code, 0, "{}\n{}", output.snapshot(), written(context));
}

#[rstest]
#[case::nothing("init_nothing", &[])]
#[case::releases("init_releases", &["--release-channel", "stable-4.20", "--min-version", "4.20.1", "--graph", "--arch", "amd64,arm64"])]
#[case::operators(
    "init_operators",
    &["--release-channel", "stable-4.20", "--operator", "web-terminal@fast", "--operator", "odf-operator", "--archive-size", "4"]
)]
#[case::catalogs(
    "init_catalogs",
    &["--catalog", "quay.io/team/one:v1", "--operator", "a", "--catalog", "oci:///srv/two", "--operator", "b@1.0", "--image", "quay.io/team/app:v1"]
)]
fn by_options(#[case] name: &str, #[case] args: &[&str]) {
    let context = context();
    let output = context.run(&[&["init"], args].concat()).expect_code(0);
    insta::assert_snapshot!(name, format!("{}\n----- {FILE}\n{}", output.snapshot(), written(&context)));
    assert_good(&context);
    // To the standard output it is the same.
    let shown = context.run(&[&["init"], args, &["-"]].concat()).expect_code(0);
    assert_eq!(shown.raw_stdout, written(&context));
}

#[rstest]
#[case::image("init_bad_image", &["--image", "quay.io/Team/app"])]
#[case::catalog("init_bad_catalog", &["--catalog", "quay.io/team/index:v 1"])]
#[case::versions("init_versions_of_several", &["--release-channel", "a-4.1", "--release-channel", "b-4.2", "--min-version", "4.1.0"])]
#[case::version("init_bad_version", &["--release-channel", "stable-4.20", "--min-version", "4.20"])]
#[case::no_catalog("init_no_catalog", &["--operator", "web-terminal"])]
#[case::no_channel("init_no_channel", &["--min-version", "4.20.1"])]
#[case::no_size("init_no_size", &["--archive-size", "4.4GB"])]
#[case::no_file("init_no_file", &["--clusters", "gone.yaml"])]
#[case::two_clusters("init_two_ways", &["--clusters", "a.yaml", "--kubeconfig", "b.yaml"])]
#[case::no_directory("init_no_directory", &["gone/isc.yaml"])]
fn mistakes(#[case] name: &str, #[case] args: &[&str]) {
    let context = context();
    let output = context.run(&[&["init"], args].concat());
    insta::assert_snapshot!(name, output.snapshot());
    assert!(output.code == 1 && !context.work().join(FILE).exists());
}

#[test]
fn a_file_is_not_written_over() {
    let context = context();
    context.write(FILE, "mine");
    let refused = context.run(&["init"]).expect_code(1);
    assert!(
        refused.stderr.contains("`imageset-config.yaml` is there already\n\nhint: "),
        "{}",
        refused.stderr
    );
    assert_eq!(written(&context), "mine");
    context.run(&["init", "--force"]).expect_code(0);
    assert_good(&context);
}

/// Answers the questions that are asked on a terminal.
fn answer(context: &TestContext, args: &[&str], answers: &[&str]) -> Option<(i32, String)> {
    let mut script = on_terminal(&context.command(&[&["init"], args].concat()), 120, 40)?;
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script starts");
    let mut input = child.stdin.take().expect("it is a pipe");
    answers.iter().for_each(|answer| writeln!(input, "{answer}").expect("script reads"));
    drop(input);
    let output = child.wait_with_output().expect("script runs");
    Some((output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned()))
}

#[test]
fn by_answers() {
    let depot = Depot::new();
    let releases = ["4.20.1", "4.20.2"].map(|version| depot.version(version));
    depot.channel("stable-4.20", &releases.iter().collect::<Vec<_>>(), "4.20.1>4.20.2");
    let Depot { lab, server, .. } = depot;
    let shop = Shop { lab };
    let builder = CatalogBuilder::new().package(&shop.foo()).package(&shop.bar());
    let (_, catalog) = shop.catalog(builder, "shop/index", "v4.20");
    let answers = [
        "? 4.20",
        "stable-4.20",
        "4.20",
        "4.20.1",
        "",
        "",
        "",
        "maybe",
        "n",
        "shop index",
        &catalog,
        "?",
        "? bar",
        "foo bar@",
        "foo bar@alpha",
        "",
        "quay.io/Team/app",
        "quay.io/team/app:v1",
        "4.4GB",
        "4",
    ];
    let Some((code, told)) = answer(&shop.lab.context, &["--src-tls-verify=false"], &answers) else { return };
    drop(server);
    assert_eq!(code, 0, "{told}");
    for part in [
        "A channel of releases, such as stable-4.20 (`? 4.20` lists them) [none]: ",
        "\nstable-4.20\r\n",
        "error: `4.20` is not the version of a release",
        "  y or n, please",
        "(`default` is registry.redhat.io/redhat/redhat-operator-index:v4.20) [none]: ",
        "error: what is wanted makes no configuration",
        "DEFAULT CHANNEL",
        "alpha    bar.v0.2.0",
        "error: `bar@` is no operator",
        "error: `4.4GB` is not a number of whole GiB",
        "imageset-config.yaml is written; next:",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    assert_good(&shop.lab.context);
    let text = written(&shop.lab.context).replace(&shop.lab.source.host(), "[SOURCE]");
    insta::assert_snapshot!("init_answers", text);
}

#[test]
fn answers_that_end_too_early_write_nothing() {
    let context = context();
    let Some((code, told)) = answer(&context, &[], &["stable-4.20", ""]) else { return };
    assert!(code == 1 && told.contains("error: the questions were not answered to the end"), "{told}");
    assert!(!context.work().join(FILE).exists());
}

#[test]
fn nothing_is_asked_where_that_is_not_wanted() {
    let context = context();
    let Some((code, told)) = answer(&context, &["--no-input"], &[]) else { return };
    assert!(code == 0 && !told.contains("A channel"), "{told}");
    assert_good(&context);
}

/// A cluster with an operator of a catalog that a mirror has, and one of a catalog of its own.
fn cluster() -> ClusterApi {
    let v0 = "/apis/operators.coreos.com/v1alpha1";
    let subscription = |package: &str, channel: &str, source: &str, bundle: &str| {
        json!({
            "metadata": {"name": package, "namespace": "team-a"},
            "spec": {"name": package, "channel": channel, "source": source, "sourceNamespace": "openshift-marketplace"},
            "status": {"installedCSV": bundle, "currentCSV": bundle},
        })
    };
    let csv = |name: &str, version: &str| json!({"metadata": {"name": name, "namespace": "team-a"}, "spec": {"version": version}});
    let source = |name: &str, image: &str| json!({"metadata": {"name": name, "namespace": "openshift-marketplace"}, "spec": {"sourceType": "grpc", "image": image}});
    ClusterApi::start(BTreeMap::from([
        (
            "/apis/config.openshift.io/v1/clusterversions/version".to_owned(),
            json!({
                "spec": {"channel": "stable-4.18", "clusterID": "3e9a33a1-0000-4000-8000-000000000001"},
                "status": {"desired": {"version": "4.18.3"}, "history": [{"state": "Completed", "version": "4.18.3"}]},
            }),
        ),
        (
            "/api/v1/nodes".to_owned(),
            json!([{"metadata": {"name": "a", "labels": {}}, "status": {"nodeInfo": {"architecture": "amd64"}}}]),
        ),
        (
            format!("{v0}/subscriptions"),
            json!([
                subscription("web-terminal", "fast", "cs-redhat", "web-terminal.v1.9.0"),
                subscription("ours", "stable", "cs-shop", "ours.v1.0.0"),
            ]),
        ),
        (
            format!("{v0}/clusterserviceversions"),
            json!([csv("web-terminal.v1.9.0", "1.9.0"), csv("ours.v1.0.0", "1.0.0")]),
        ),
        (
            format!("{v0}/catalogsources"),
            json!([
                source("cs-redhat", "mirror.example:8443/ocp/redhat/redhat-operator-index:v4.18"),
                source("cs-shop", "mirror.example:8443/shop/index:v1"),
            ]),
        ),
    ]))
}

fn show(context: &TestContext, name: &str, output: &CommandOutput) {
    insta::assert_snapshot!(name, format!("{}\n----- {FILE}\n{}", output.snapshot(), written(context)));
}

#[test]
fn by_what_a_cluster_runs() {
    let context = context();
    let server = cluster();
    context.write("kube.yaml", kubeconfig(&[("prod-a", &server.url())]));
    let output = context.run(&["init", "--from-cluster", "--kubeconfig", "kube.yaml"]).expect_code(0);
    show(&context, "init_from_cluster", &output);
    assert!(!format!("{}{}", output.raw_stderr, written(&context)).contains(TOKEN));
    assert_good(&context);

    // By way of a file that was carried, which does not say where the second catalog is.
    context.run(&["clusters", "inspect", "--kubeconfig", "kube.yaml", "-o", "clusters.yaml"]).expect_code(0);
    let output =
        context.run(&["init", "--clusters", "clusters.yaml", "--image", "quay.io/team/app:v1", "--force"]);
    show(&context, "init_from_file", &output);
    assert_good(&context);
}

#[test]
fn a_cluster_that_does_not_answer() {
    let context = context();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let gone = format!("http://{}", nobody.local_addr().expect("it is bound"));
    drop(nobody);
    context.write("kube.yaml", kubeconfig(&[("prod-a", &gone)]));
    let output = context.run(&["init", "--kubeconfig", "kube.yaml"]);
    insta::assert_snapshot!("init_no_cluster", output.snapshot());
    assert!(output.code == 32 && !context.work().join(FILE).exists());
}
