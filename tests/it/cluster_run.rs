//! `--apply`: a run that publishes tells clusters of it in the end.

use oc_mirror_model::cluster_report::{ClusterOutcome, ResourceOutcome};
use oc_mirror_testkit::{Image, ImageBuilder, KubeServer};
use serde_json::{Value, json};

use crate::lab::{Lab, read};

fn small(content: &str) -> Image {
    ImageBuilder::new().layer(&[("content", content)]).build()
}

fn cluster(lab: &Lab) -> KubeServer {
    let mut kube = KubeServer::start();
    kube.install(&["ImageDigestMirrorSet", "ImageTagMirrorSet"]);
    lab.context.write("kubeconfig", kube.kubeconfig());
    kube
}

const APPLY: [&str; 4] = ["--apply", "--yes", "--kubeconfig", "kubeconfig"];

#[test]
fn disk_to_mirror_tells_clusters() {
    let lab = Lab::new();
    let kube = cluster(&lab);
    let image = small("a");
    lab.configure(&[lab.push(&image, "apps/one", "v1"), lab.source.reference("apps/one", &image.digest)]);
    lab.make(&[]).expect(0);
    let run = lab.publish("disk", &APPLY).expect(0);
    let report = run.report();
    assert_eq!(run.outcomes(), [(1, "published")]);
    let cluster = &report.clusters[0];
    assert_eq!((cluster.name.as_str(), cluster.outcome), ("admin", ClusterOutcome::Applied));
    let titles: Vec<String> = cluster.resources.iter().map(|line| line.title()).collect();
    assert_eq!(titles, ["ImageDigestMirrorSet idms-generic-0", "ImageTagMirrorSet itms-generic-0"]);
    let made = kube.get("ImageDigestMirrorSet", None, "idms-generic-0").expect("it is there");
    let uid = report.uid.expect("there is a chain").to_string();
    assert_eq!(made["metadata"]["labels"]["mirror.openshift.io/chain"], uid);
    let entry = &made["spec"]["imageDigestMirrors"][0];
    assert_eq!(entry["mirrors"], json!([format!("{}/apps", lab.target.host())]));
    let kept: Value =
        serde_json::from_slice(&read(&lab.path("disk/working-dir/results/result.json"))).expect("JSON");
    assert_eq!(kept["clusters"][0]["outcome"], "applied");

    // The same again, with the command of its own.
    let workspace = lab.file("disk");
    let args = ["apply", "--workspace", &workspace, "--yes", "--kubeconfig", "kubeconfig"];
    let output = lab.context.run(&args).expect_code(0);
    assert_eq!(output.raw_stdout, "admin: applied: 2 unchanged\n");

    // A cluster that is away does not undo what is published.
    lab.configure(&[lab.push(&small("b"), "late/two", "v1")]);
    lab.make(&[]).expect(0);
    let away = kube.kubeconfig().replace(&kube.url(), "https://127.0.0.1:1");
    lab.context.write("away", away);
    let run = lab.publish("disk", &["--apply", "--yes", "--kubeconfig", "away"]).expect(32);
    assert_eq!(run.outcomes(), [(1, "already published"), (2, "published")]);
    assert_eq!(run.report().clusters[0].outcome, ClusterOutcome::Failed);
}

#[test]
fn mirror_to_mirror_tells_clusters() {
    let lab = Lab::new();
    let kube = cluster(&lab);
    lab.configure(&[lab.push(&small("a"), "apps/one", "v1")]);
    let (workspace, to) = (lab.file("w"), format!("docker://{}", lab.target.host()));
    let args = ["-c", "isc.yaml", "--workspace", &workspace, &to];
    let run = lab.run(&[&args[..], &APPLY].concat()).expect(0);
    assert_eq!(run.report().clusters[0].resources[0].outcome, ResourceOutcome::Created);
    assert!(kube.get("ImageTagMirrorSet", None, "itms-generic-0").is_some());
    // Nothing new, and still told.
    let run = lab.run(&[&args[..], &APPLY].concat()).expect(0);
    assert_eq!(run.report().clusters[0].resources[0].outcome, ResourceOutcome::Unchanged);
    // A run that does not come to its end tells nobody.
    lab.configure(&[lab.source.reference("apps/missing", "v1")]);
    let run = lab.run(&[&args[..], &APPLY, &["--retry-times", "0"]].concat());
    assert_ne!(run.output.code, 0);
    assert!(run.report().clusters.is_empty());
    assert!(run.report().warnings.iter().any(|text| text.starts_with("clusters were told nothing")));
}

#[test]
fn mistakes_are_told_before_anything_is_moved() {
    let lab = Lab::new();
    let _kube = cluster(&lab);
    lab.configure(&[lab.push(&small("a"), "apps/one", "v1")]);
    lab.make(&[]).expect(0);
    lab.publish("disk", &["--kubeconfig", "kubeconfig"])
        .assert_refused(1, "--kubeconfig and --context are for telling clusters");
    lab.publish("disk", &["--wait=1m"]).assert_refused(1, "--wait is for telling clusters");
    lab.publish("disk", &["--apply", "--kubeconfig", "kubeconfig"])
        .assert_refused(1, "nobody is there who could agree");
    lab.publish("disk", &["--apply", "--yes"]).assert_refused(1, "it is not said which cluster");
    lab.publish("disk", &[&APPLY[..], &["--dry-run"]].concat())
        .assert_refused(1, "--dry-run publishes nothing");
    lab.make(&APPLY).assert_refused(1, "--apply is for publishing");
    assert!(lab.target.repositories().is_empty());
}
