//! `oc-mirror apply`: clusters are told where mirrored content is, and only what was agreed to.
//!
//! The API server is one that checks objects and keeps managed fields; with `OC_MIRROR_TEST_KUBE=1` the same tests run against
//! a real kube-apiserver.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use oc_mirror_model::cluster_report::{ClusterOutcome, ClusterReport, NodeEffect, ResourceOutcome};
use oc_mirror_model::imageset::FORMAT;
use oc_mirror_testkit::{Action, Allowed, CommandOutput, KubeServer, Registry, Rule, TestContext};
use serde_json::{Value, json};

use crate::lab::{UID, context};

/// The kinds of a current cluster of OpenShift.
const ALL: [&str; 7] = [
    "ImageDigestMirrorSet",
    "ImageTagMirrorSet",
    "ImageContentSourcePolicy",
    "CatalogSource",
    "ClusterCatalog",
    "UpdateService",
    "MachineConfigPool",
];

const MARKETPLACE: Option<&str> = Some("openshift-marketplace");

/// A place to run the program in, and a cluster.
struct Site {
    context: TestContext,
    kube: KubeServer,
}

fn site(kinds: &[&str]) -> Site {
    let mut kube = KubeServer::start();
    kube.install(kinds);
    let context = context();
    context.write("kubeconfig", kube.kubeconfig());
    Site { context, kube }
}

impl Site {
    /// Runs `oc-mirror apply` with a kubeconfig, and reads its report.
    fn apply(&self, args: &[&str]) -> (CommandOutput, Vec<ClusterReport>) {
        apply(&self.context, &[&["--kubeconfig", "kubeconfig"], args].concat())
    }

    fn write(&self, objects: &[Value]) {
        for object in objects {
            let name = format!("r/{}-{}.yaml", text(&object["kind"]), text(&object["metadata"]["name"]));
            self.context.write(&name, format!("{object:#}"));
        }
    }
}

fn apply(context: &TestContext, args: &[&str]) -> (CommandOutput, Vec<ClusterReport>) {
    let output = context.run(&[&["apply", "-o", "json"], args].concat());
    let answer: Value = serde_json::from_str(&output.raw_stdout).unwrap_or_default();
    let reports = serde_json::from_value(answer["clusters"].clone()).unwrap_or_default();
    (output, reports)
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

/// `(kind, outcome)` of every resource.
fn outcomes(report: &ClusterReport) -> Vec<(&str, ResourceOutcome)> {
    report.resources.iter().map(|line| (line.kind.as_str(), line.outcome)).collect()
}

fn idms(name: &str, mirrors: &[(&str, &str)]) -> Value {
    let mirrors: Vec<Value> =
        mirrors.iter().map(|(source, mirror)| json!({ "source": source, "mirrors": [mirror] })).collect();
    json!({
        "apiVersion": "config.openshift.io/v1",
        "kind": "ImageDigestMirrorSet",
        "metadata": { "name": name, "annotations": { "createdBy": "oc-mirror" } },
        "spec": { "imageDigestMirrors": mirrors },
    })
}

fn itms(name: &str) -> Value {
    json!({
        "apiVersion": "config.openshift.io/v1",
        "kind": "ImageTagMirrorSet",
        "metadata": { "name": name },
        "spec": { "imageTagMirrors": [{ "source": "quay.io/t", "mirrors": ["m.example/t"] }] },
    })
}

fn source(name: &str, tag: &str) -> Value {
    json!({
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "CatalogSource",
        "metadata": { "name": name, "namespace": "openshift-marketplace" },
        "spec": { "sourceType": "grpc", "image": format!("m.example/index:{tag}") },
    })
}

fn catalog(name: &str) -> Value {
    json!({
        "apiVersion": "olm.operatorframework.io/v1",
        "kind": "ClusterCatalog",
        "metadata": { "name": name },
        "spec": { "priority": 0, "source": { "type": "Image", "image": { "ref": "m.example/index:v4" } } },
    })
}

fn signatures() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "mirrored-release-signatures", "namespace": "openshift-config-managed" },
        "binaryData": { "sha256-aa-1": "YQ==" },
    })
}

fn update_service() -> Value {
    json!({
        "apiVersion": "updateservice.operator.openshift.io/v1",
        "kind": "UpdateService",
        "metadata": { "name": "update-service-oc-mirror", "namespace": "openshift-update-service" },
        "spec": { "replicas": 2, "releases": "m.example/openshift/release-images", "graphDataImage": "m.example/openshift/graph-image:latest" },
    })
}

fn pool(name: &str) -> Value {
    json!({
        "apiVersion": "machineconfiguration.openshift.io/v1",
        "kind": "MachineConfigPool",
        "metadata": { "name": name },
        "spec": { "paused": false, "configuration": { "name": format!("rendered-{name}-1") } },
    })
}

/// What the machine config operator says of a pool of three nodes.
fn pool_status(rendered: &str, updated: u64) -> Value {
    let is_updated = if updated == 3 { "True" } else { "False" };
    let condition = |name: &str, status: &str| json!({ "type": name, "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z", "reason": "", "message": "" });
    json!({
        "machineCount": 3,
        "updatedMachineCount": updated,
        "configuration": { "name": rendered },
        "conditions": [condition("Updated", is_updated), condition("Degraded", "False")],
    })
}

fn add_pool(kube: &KubeServer, name: &str) {
    kube.apply_as("machine-config-operator", &pool(name));
    kube.set_status("MachineConfigPool", None, name, &pool_status(&format!("rendered-{name}-1"), 3));
}

#[test]
fn created_then_unchanged_then_changed() {
    use ResourceOutcome::{Changed, Created, Unchanged};
    let site = site(&ALL);
    site.kube.create_namespace("openshift-update-service");
    add_pool(&site.kube, "worker");
    let mirrors = [("quay.io/a", "m.example/a")];
    site.write(&[
        update_service(),
        catalog("cc-a"),
        source("cs-a", "v1"),
        itms("itms-a"),
        idms("idms-a", &mirrors),
        signatures(),
    ]);
    let order = [
        "ConfigMap",
        "ImageDigestMirrorSet",
        "ImageTagMirrorSet",
        "CatalogSource",
        "ClusterCatalog",
        "UpdateService",
    ];
    let all = |outcome| order.map(|kind| (kind, outcome)).to_vec();

    let (output, planned) = site.apply(&["r", "--dry-run"]);
    output.expect_code(0);
    assert_eq!(outcomes(&planned[0]), all(Created));
    assert_eq!(planned[0].outcome, ClusterOutcome::Planned);
    assert_eq!(site.kube.get("ImageDigestMirrorSet", None, "idms-a"), None, "a dry run changes nothing");

    let (output, first) = site.apply(&["r", "--yes"]);
    output.expect_code(0);
    assert_eq!((outcomes(&first[0]), first[0].outcome), (all(Created), ClusterOutcome::Applied));
    assert_eq!(first[0].name, "admin");
    assert!(first[0].version.as_ref().is_some_and(|v| v.starts_with('v')), "{:?}", first[0].version);
    assert_eq!(first[0].nodes.effect, NodeEffect::Drain, "tags are mirrored");
    assert_eq!((first[0].nodes.pools[0].name.as_str(), first[0].nodes.pools[0].machines), ("worker", 3));
    let made = site.kube.get("ImageDigestMirrorSet", None, "idms-a").expect("it is there");
    assert_eq!(made["spec"]["imageDigestMirrors"][0]["mirrors"], json!(["m.example/a"]));
    assert_eq!(made["metadata"]["managedFields"][0]["manager"], "oc-mirror");

    let (output, second) = site.apply(&["r", "--yes"]);
    output.expect_code(0);
    assert_eq!(outcomes(&second[0]), all(Unchanged));
    assert_eq!(second[0].nodes.effect, NodeEffect::None);
    assert_eq!(site.kube.get("ImageDigestMirrorSet", None, "idms-a"), Some(made), "nothing is written");

    site.write(&[source("cs-a", "v2"), idms("idms-a", &[mirrors[0], ("quay.io/b", "m.example/b")])]);
    let (output, third) = site.apply(&["r", "--yes"]);
    output.expect_code(0);
    let changed: Vec<_> = third[0].resources.iter().filter(|line| line.outcome == Changed).collect();
    let titles: Vec<String> = changed.iter().map(|line| line.title()).collect();
    assert_eq!(titles, ["ImageDigestMirrorSet idms-a", "CatalogSource openshift-marketplace/cs-a"]);
    assert_eq!(changed[0].changes[0].path, "spec.imageDigestMirrors[source=quay.io/b]");
    let change = &changed[1].changes[0];
    assert_eq!(change.path, "spec.image");
    assert_eq!(
        (&change.old, &change.new),
        (&Some(json!("m.example/index:v1")), &Some(json!("m.example/index:v2")))
    );
    assert_eq!(third[0].nodes.effect, NodeEffect::Reload, "mirrors for digests are only added");
    let now = site.kube.get("CatalogSource", MARKETPLACE, "cs-a").expect("it is there");
    assert_eq!(now["spec"]["image"], "m.example/index:v2");
}

#[test]
fn people_see_what_changes() {
    let site = site(&ALL);
    add_pool(&site.kube, "master");
    add_pool(&site.kube, "worker");
    site.write(&[
        idms("idms-a", &[("quay.io/a", "m.example/a"), ("quay.io/b", "m.example/b")]),
        source("cs-a", "v1"),
    ]);
    let run = |args: &[&str]| {
        let args = [&["apply", "--kubeconfig", "kubeconfig", "r"], args].concat();
        // A real server has a certificate, and may not know its own version.
        let snapshot = site.context.run(&args).snapshot().replace("https://", "http://");
        snapshot.replace("v0.0.0-master+$Format:%H$", "v1.33.5")
    };
    insta::assert_snapshot!("apply_created", run(&["--yes"]));
    site.write(&[idms("idms-a", &[("quay.io/a", "n.example/a")]), source("cs-a", "v2")]);
    site.kube.apply_as("somebody", &source("cs-a", "v0"));
    insta::assert_snapshot!("apply_dry_run", run(&["--dry-run"]));
}

#[test]
fn what_others_have_set_is_theirs_unless_forced() {
    let site = site(&["ImageDigestMirrorSet", "CatalogSource"]);
    site.kube.apply_as("kubectl", &source("cs-a", "theirs"));
    site.write(&[source("cs-a", "ours"), idms("idms-a", &[("quay.io/a", "m.example/a")])]);
    let (output, reports) = site.apply(&["r", "--yes"]);
    assert!(output.raw_stderr.contains("hint: take it over with --force-conflicts"), "{}", output.raw_stderr);
    output.expect_code(32);
    let expected =
        [("ImageDigestMirrorSet", ResourceOutcome::Created), ("CatalogSource", ResourceOutcome::Conflict)];
    assert_eq!((outcomes(&reports[0]), reports[0].outcome), (expected.to_vec(), ClusterOutcome::Incomplete));
    let line = &reports[0].resources[1];
    assert_eq!(
        (line.conflicts[0].owner.as_str(), line.conflicts[0].field.as_str()),
        ("kubectl", ".spec.image")
    );
    assert_eq!(line.changes[0].new, Some(json!("m.example/index:ours")), "what force would do is shown");
    let kept = site.kube.get("CatalogSource", MARKETPLACE, "cs-a").expect("it is there");
    assert_eq!(kept["spec"]["image"], "m.example/index:theirs");

    let (output, reports) = site.apply(&["r", "--yes", "--force-conflicts"]);
    output.expect_code(0);
    assert_eq!(reports[0].resources[1].outcome, ResourceOutcome::Changed);
    let taken = site.kube.get("CatalogSource", MARKETPLACE, "cs-a").expect("it is there");
    assert_eq!(taken["spec"]["image"], "m.example/index:ours");
}

#[test]
fn what_an_account_may_not_do_is_told_for_each_resource() {
    let site = site(&["ImageDigestMirrorSet", "CatalogSource"]);
    let all: &[&str] = &["get", "list", "create", "patch", "delete"];
    site.kube.allow(vec![Allowed { group: "operators.coreos.com", resource: "catalogsources", verbs: all }]);
    site.write(&[source("cs-a", "v1"), idms("idms-a", &[("quay.io/a", "m.example/a")])]);
    let (output, reports) = site.apply(&["r", "--yes", "--context", "limited"]);
    let shown = output.raw_stderr.clone();
    output.expect_code(32);
    let expected =
        [("ImageDigestMirrorSet", ResourceOutcome::Failed), ("CatalogSource", ResourceOutcome::Created)];
    assert_eq!(outcomes(&reports[0]), expected);
    let said = "error: limited: ImageDigestMirrorSet idms-a: the account may not do this: \
                imagedigestmirrorsets.config.openshift.io \"idms-a\" is forbidden: User \"limited\" cannot get resource";
    assert!(shown.contains(said) && shown.contains("hint: ask an administrator"), "{shown}");
    assert!(site.kube.get("CatalogSource", MARKETPLACE, "cs-a").is_some());
    assert!(site.kube.get("ImageDigestMirrorSet", None, "idms-a").is_none());
}

#[test]
fn a_cluster_that_fails_does_not_stop_the_others() {
    let site = site(&["CatalogSource"]);
    let free =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let away = site.kube.kubeconfig().replace(&site.kube.url(), &format!("https://{free}"));
    site.context.write("away", away);
    site.write(&[source("cs-a", "v1")]);
    let (output, reports) =
        apply(&site.context, &["r", "--yes", "--kubeconfig", "away", "--kubeconfig", "kubeconfig"]);
    let shown = output.raw_stderr.clone();
    output.expect_code(32);
    assert_eq!(
        reports.iter().map(|r| r.outcome).collect::<Vec<_>>(),
        [ClusterOutcome::Failed, ClusterOutcome::Applied]
    );
    assert_eq!(reports[0].name, format!("admin@{free}"), "two contexts of one name are told apart");
    let error = reports[0].error.as_ref().expect("it failed");
    assert!(error.message.contains("cannot be reached") && error.message.contains("refused"), "{error:?}");
    assert!(
        shown.contains(&format!("error: admin@{free}: its API server https://{free} cannot be reached")),
        "{shown}"
    );
    assert!(site.kube.get("CatalogSource", MARKETPLACE, "cs-a").is_some());
}

#[test]
fn nothing_is_changed_unless_somebody_agrees() {
    let site = site(&["CatalogSource"]);
    site.write(&[source("cs-a", "v1")]);
    let (output, _) = site.apply(&["r"]);
    let shown = output.raw_stderr.clone();
    output.expect_code(1);
    assert!(
        shown.contains("nobody is there who could agree") && shown.contains("hint: agree with --yes"),
        "{shown}"
    );
    assert!(site.kube.get("CatalogSource", MARKETPLACE, "cs-a").is_none());

    let program = site.context.command::<&str>(&[]).get_program().to_owned();
    let at_terminal = |answer: &str| {
        // `script` of util-linux lends a terminal.
        let command = format!("{} apply r --kubeconfig kubeconfig", program.display());
        let typed = site.context.write("typed", answer);
        let mut script = std::process::Command::new("script");
        let plain = site.context.command::<&str>(&[]);
        script.args(["-qefc", &command, "/dev/null"]).env_clear().current_dir(site.context.work());
        script.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        script.stdin(std::fs::File::open(typed).expect("it was written"));
        let output = script.output().expect("this machine has `script`");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, shown) = at_terminal("n\n");
    assert_eq!(code, Some(32), "{shown}");
    assert!(
        shown.contains("change 1 cluster (admin)? [y/N]") && shown.contains("as nobody agreed"),
        "{shown}"
    );
    assert!(site.kube.get("CatalogSource", MARKETPLACE, "cs-a").is_none());
    let (code, shown) = at_terminal("y\n");
    assert_eq!(code, Some(0), "{shown}");
    assert!(site.kube.get("CatalogSource", MARKETPLACE, "cs-a").is_some());
    // Where nothing changes, nobody is asked.
    let (code, shown) = at_terminal("");
    assert!(code == Some(0) && !shown.contains("[y/N]"), "{code:?} {shown}");
}

#[test]
fn what_a_cluster_does_not_know_is_skipped_or_an_error() {
    let site = site(&["CatalogSource", "UpdateService"]);
    site.write(&[
        catalog("cc-a"),
        source("cs-a", "v1"),
        update_service(),
        idms("idms-a", &[("quay.io/a", "m.example/a")]),
    ]);
    let (output, reports) = site.apply(&["r", "--yes"]);
    let shown = output.raw_stderr.clone();
    output.expect_code(32);
    let expected = [
        ("ImageDigestMirrorSet", ResourceOutcome::Failed),
        ("CatalogSource", ResourceOutcome::Created),
        ("ClusterCatalog", ResourceOutcome::Skipped),
        ("UpdateService", ResourceOutcome::Failed),
    ];
    assert_eq!(outcomes(&reports[0]), expected);
    for said in [
        "the cluster does not know `config.openshift.io/v1`",
        "there is no namespace `openshift-update-service`",
        "hint: OpenShift has it since 4.13",
        "hint: install the OpenShift Update Service operator into `openshift-update-service`",
    ] {
        assert!(shown.contains(said), "{said}\n{shown}");
    }
}

#[test]
fn mirror_sets_without_a_machine_config_operator_are_remarked() {
    let site = site(&["ImageDigestMirrorSet"]);
    site.write(&[idms("idms-a", &[("quay.io/a", "m.example/a")])]);
    let (output, reports) = site.apply(&["r", "--yes"]);
    output.expect_code(0);
    assert_eq!(reports[0].nodes.effect, NodeEffect::None);
    assert!(reports[0].warnings[0].contains("HostedCluster"), "{:?}", reports[0].warnings);
}

#[test]
fn only_what_the_chain_made_is_removed() {
    let site = site(&["ImageDigestMirrorSet", "ImageTagMirrorSet", "CatalogSource", "MachineConfigPool"]);
    let other = UID.replace('1', "9");
    let resources = "w/working-dir/cluster-resources";
    let write = |object: &Value| {
        let name = text(&object["metadata"]["name"]);
        site.context.write(&format!("{resources}/{name}.yaml"), format!("{object:#}"))
    };
    let workspace = format!("file://{}", site.context.work().join("w").display());
    let apply = |uid: &str, args: &[&str]| {
        let published = json!({ "format": FORMAT, "uid": uid, "targets": { "docker://m.example": 1 } });
        site.context.write("w/working-dir/published.json", published.to_string());
        site.apply(&[&["--workspace", workspace.as_str(), "--yes"], args].concat())
    };
    let theirs = write(&source("cs-other", "v1"));
    apply(&other, &[]).0.expect_code(0);
    std::fs::remove_file(theirs).expect("it was written");

    let gone = write(&itms("itms-gone"));
    write(&source("cs-a", "v1"));
    apply(UID, &[]).0.expect_code(0);
    let made = site.kube.get("CatalogSource", MARKETPLACE, "cs-a").expect("it is there");
    let label = made["metadata"]["labels"].clone();
    assert_eq!(label["mirror.openshift.io/chain"], UID);
    // Somebody copied one of ours, and made one by hand.
    let mut copy = source("cs-copy", "v1");
    copy["metadata"]["labels"] = label;
    site.kube.apply_as("kubectl", &copy);
    site.kube.apply_as("kubectl", &source("cs-own", "v1"));

    std::fs::remove_file(gone).expect("it was written");
    let (output, reports) = apply(UID, &[]);
    output.expect_code(0);
    let unwanted =
        [("CatalogSource", ResourceOutcome::Unchanged), ("ImageTagMirrorSet", ResourceOutcome::Unwanted)];
    assert_eq!(outcomes(&reports[0]), unwanted);
    assert_eq!(reports[0].nodes.effect, NodeEffect::None);
    assert!(site.kube.get("ImageTagMirrorSet", None, "itms-gone").is_some());

    let (output, reports) = apply(UID, &["--prune-resources"]);
    output.expect_code(0);
    assert_eq!(outcomes(&reports[0])[1], ("ImageTagMirrorSet", ResourceOutcome::Removed));
    assert_eq!(reports[0].nodes.effect, NodeEffect::Drain);
    assert!(site.kube.get("ImageTagMirrorSet", None, "itms-gone").is_none());
    for name in ["cs-a", "cs-copy", "cs-own", "cs-other"] {
        assert!(site.kube.get("CatalogSource", MARKETPLACE, name).is_some(), "{name}");
    }

    // What another chain made is not taken over in silence.
    write(&source("cs-other", "v2"));
    let (output, reports) = apply(UID, &[]);
    output.expect_code(32);
    let line = reports[0].resources.iter().find(|line| line.name == "cs-other").expect("it is wanted");
    assert_eq!(line.outcome, ResourceOutcome::Conflict);
    assert!(line.conflicts[0].owner.contains(&other), "{line:?}");
    let kept = site.kube.get("CatalogSource", MARKETPLACE, "cs-other").expect("it is there");
    assert_eq!(kept["spec"]["image"], "m.example/index:v1");
}

#[test]
fn what_was_applied_is_waited_for() {
    let site = site(&ALL);
    add_pool(&site.kube, "worker");
    site.write(&[source("cs-a", "v1"), catalog("cc-a"), idms("idms-a", &[("quay.io/a", "m.example/a")])]);
    let (output, reports) = site.apply(&["r", "--yes", "--wait=3s"]);
    let shown = output.raw_stderr.clone();
    output.expect_code(64);
    assert_eq!(reports[0].outcome, ClusterOutcome::Applied);
    assert_eq!(
        reports[0].not_ready,
        [
            "CatalogSource openshift-marketplace/cs-a: no connection yet",
            "ClusterCatalog cc-a: not served yet",
            "MachineConfigPool worker: no change yet",
        ]
    );
    assert!(shown.contains("admin: ClusterCatalog cc-a: not served yet"), "{shown}");

    // Operators at work.
    let is_over = AtomicBool::new(false);
    site.write(&[idms("idms-a", &[("quay.io/a", "m.example/z")])]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let kube = &site.kube;
            let is_changed = || {
                let set = kube.get("ImageDigestMirrorSet", None, "idms-a").expect("it is there");
                set["spec"]["imageDigestMirrors"][0]["mirrors"][0] == "m.example/z"
            };
            while !is_changed() && !is_over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(50));
            }
            kube.set_status("MachineConfigPool", None, "worker", &pool_status("rendered-worker-1", 1));
            let ready = json!({ "connectionState": { "lastObservedState": "READY" } });
            kube.set_status("CatalogSource", MARKETPLACE, "cs-a", &ready);
            std::thread::sleep(Duration::from_secs(3));
            let mut settled = pool("worker");
            settled["spec"]["configuration"]["name"] = json!("rendered-worker-2");
            kube.apply_as("machine-config-operator", &settled);
            kube.set_status("MachineConfigPool", None, "worker", &pool_status("rendered-worker-2", 3));
            let condition = |name: &str, reason: &str| {
                json!({
                    "type": name, "status": "True", "reason": reason, "message": "", "observedGeneration": 1,
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                })
            };
            let conditions = [condition("Serving", "Available"), condition("Progressing", "Succeeded")];
            kube.set_status("ClusterCatalog", None, "cc-a", &json!({ "conditions": conditions }));
        });
        let (output, reports) = site.apply(&["r", "--yes", "--wait=120s"]);
        is_over.store(true, Ordering::Relaxed);
        let shown = output.raw_stderr.clone();
        output.expect_code(0);
        assert_eq!(reports[0].not_ready, Vec::<String>::new());
        for said in [
            "admin: MachineConfigPool worker: updating: 1 of 3 nodes\n",
            "admin: MachineConfigPool worker: ready\n",
            "admin: CatalogSource openshift-marketplace/cs-a: ready\n",
        ] {
            assert!(shown.contains(said), "{said}\n{shown}");
        }
    });
}

#[test]
fn mistakes_are_told_before_any_cluster_is_asked() {
    let site = site(&["CatalogSource"]);
    site.write(&[source("cs-a", "v1")]);
    site.context.write("no.yaml", "kind: Deployment\napiVersion: apps/v1\n");
    site.context.write("broken", "a: [");
    let two = ["--kubeconfig", "kubeconfig", "--kubeconfig", "kubeconfig"];
    let cases: [(&str, &[&str]); 11] = [
        ("nothing to apply", &["--kubeconfig", "kubeconfig"]),
        ("no kubeconfig at all", &["r", "--yes"]),
        (
            "a context that is not there",
            &["r", "--yes", "--kubeconfig", "kubeconfig", "--context", "limited2"],
        ),
        ("a kubeconfig that is not there", &["r", "--yes", "--kubeconfig", "nowhere"]),
        ("a kubeconfig that is none", &["r", "--yes", "--kubeconfig", "broken"]),
        ("a cluster twice", &["r", "--yes", two[0], two[1], two[2], two[3]]),
        ("an odd context", &["r", "--yes", "--context", "admin", two[0], two[1], two[2], two[3]]),
        ("another kind", &["no.yaml", "--yes", "--kubeconfig", "kubeconfig"]),
        (
            "a workspace without resources",
            &["--workspace", "file://r", "--yes", "--kubeconfig", "kubeconfig"],
        ),
        ("removal without a workspace", &["r", "--prune-resources", "--yes", "--kubeconfig", "kubeconfig"]),
        ("an odd duration", &["r", "--wait=soon", "--yes", "--kubeconfig", "kubeconfig"]),
    ];
    let shown: String = cases
        .iter()
        .map(|(what, args)| {
            let output = site.context.run(&[&["apply"], *args].concat());
            // A real server has a certificate.
            format!("# {what}\n{}\n", output.snapshot().replace("https://127", "http://127"))
        })
        .collect();
    insta::assert_snapshot!("apply_mistakes", shown);
    assert!(site.kube.get("CatalogSource", MARKETPLACE, "cs-a").is_none());
}

#[test]
fn credentials_and_certificates_are_told_apart() {
    let site = site(&["CatalogSource"]);
    site.write(&[source("cs-a", "v1")]);
    let stranger = site.kube.kubeconfig().replace("token-of-admin", "token-of-nobody");
    site.context.write("stranger", stranger);
    let message = |kubeconfig: &str| {
        let (output, reports) = apply(&site.context, &["r", "--yes", "--kubeconfig", kubeconfig]);
        let error = reports[0].error.clone().expect("it failed");
        assert!(!output.raw_stderr.contains("token-of"), "{}", output.raw_stderr);
        output.expect_code(32);
        error.message
    };
    assert!(message("stranger").ends_with("does not accept the credentials"));

    // Something with a certificate of an authority that nobody knows.
    let tls = Registry::builder().tls().start();
    let user = |user: Value, server: &str| {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
            "clusters": [{ "name": "c", "cluster": { "server": server } }],
            "users": [{ "name": "u", "user": user }],
        })
    };
    site.context.write("untrusted", user(json!({}), &format!("https://{}", tls.host())).to_string());
    let said = message("untrusted");
    assert!(said.contains("is not trusted") && said.contains("UnknownIssuer"), "{said}");

    // A plugin that fails says why on its own; what it printed is not repeated, since it may be a secret.
    let exec = |command: &str, args: &[&str]| {
        json!({ "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": command, "args": args, "interactiveMode": "Never",
        } })
    };
    let failing = exec("sh", &["-c", "echo token-of-somebody; exit 3"]);
    site.context.write("failing", user(failing, &site.kube.url()).to_string());
    let said = message("failing");
    assert!(said.contains("the plugin for them failed with exit status: 3"), "{said}");
}

#[test]
fn plugins_and_certificates_open_clusters() {
    let site = site(&["CatalogSource"]);
    site.write(&[source("cs-a", "v1")]);
    let mut kubeconfig: Value = serde_json::from_str(&site.kube.kubeconfig()).expect("JSON is YAML");
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": { "token": "token-of-admin" },
    });
    let plugin = site.context.write("plugin", format!("#!/bin/sh\necho '{credential}'\n"));
    std::process::Command::new("chmod").arg("+x").arg(&plugin).status().expect("chmod runs");
    // Relative to the kubeconfig.
    kubeconfig["users"][0]["user"] = json!({ "exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin", "interactiveMode": "IfAvailable",
        "provideClusterInfo": true,
    } });
    site.context.write("with-plugin", kubeconfig.to_string());
    let (output, reports) = apply(&site.context, &["r", "--yes", "--kubeconfig", "with-plugin"]);
    output.expect_code(0);
    assert_eq!(reports[0].resources[0].outcome, ResourceOutcome::Created);
    if site.kube.is_real() {
        let (output, reports) = site.apply(&["r", "--yes", "--context", "certificate"]);
        output.expect_code(0);
        assert_eq!(reports[0].resources[0].outcome, ResourceOutcome::Unchanged);
    }
}

#[test]
fn without_a_name_it_is_the_cluster_that_oc_talks_to() {
    let site = site(&["CatalogSource"]);
    site.write(&[source("cs-a", "v1")]);
    let kube = site.context.home().join(".kube");
    std::fs::create_dir_all(&kube).expect("the test's own directory is writable");
    std::fs::write(kube.join("config"), site.kube.kubeconfig())
        .expect("the test's own directory is writable");
    let (output, reports) = apply(&site.context, &["r", "--yes", "--context", "admin"]);
    output.expect_code(0);
    assert_eq!(reports[0].resources[0].outcome, ResourceOutcome::Created);
    // KUBECONFIG comes before, and files of it that are not there are passed over.
    let mut command = site.context.command(&["apply", "r", "--dry-run"]);
    let here = site.context.work().join("kubeconfig");
    command.env("KUBECONFIG", std::env::join_paths(["nowhere".into(), here]).expect("paths without a colon"));
    std::fs::remove_file(kube.join("config")).expect("it was written");
    let output = command.output().expect("the program runs");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && shown.contains("unchanged  CatalogSource"), "{shown}");
}

#[test]
fn a_server_that_is_busy_is_asked_again() {
    let mut kube = KubeServer::start_fake();
    kube.install(&["CatalogSource"]);
    let context = context();
    context.write("kubeconfig", kube.kubeconfig());
    let site = Site { context, kube };
    site.write(&[source("cs-a", "v1")]);
    let path = "/apis/operators.coreos.com/v1alpha1/namespaces/openshift-marketplace/catalogsources/cs-a";
    site.kube.rule(Rule::on("PATCH", path).first(2).then(Action::too_many_requests(1)));
    let (output, reports) = site.apply(&["r", "--yes"]);
    output.expect_code(0);
    assert_eq!(reports[0].resources[0].outcome, ResourceOutcome::Created);
    // One that goes away in the middle is an error of the cluster, and not of each resource.
    site.kube.clear_rules();
    site.kube.rule(Rule::on("*", path).then(Action::Hangup));
    site.write(&[source("cs-a", "v2")]);
    let (output, reports) = site.apply(&["r", "--yes"]);
    output.expect_code(32);
    assert!(
        reports[0].error.as_ref().is_some_and(|e| e.message.contains("cannot be reached")),
        "{:?}",
        reports[0]
    );
}
