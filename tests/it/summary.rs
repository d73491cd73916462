//! What people see of runs that go well: whole outputs as snapshots.

use oc_mirror_testkit::{CommandOutput, Image, ImageBuilder};
use serde_json::json;

use crate::lab::{Lab, UID};

fn base() -> Image {
    ImageBuilder::new().layer(&[("etc/os-release", "base")]).random_layer(1, 80_000).build()
}

fn app(number: u64) -> Image {
    ImageBuilder::new().from(&base()).layer(&[("app", number.to_string())]).build()
}

/// Runs for people, as they would, with an output in which the lengths of ports do not show.
#[track_caller]
fn show(lab: &Lab, name: &str, args: &[&str]) -> CommandOutput {
    let insecure = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    let output = lab.context.run(&[&insecure[..], args].concat()).expect_code(0);
    insta::assert_snapshot!(name, output.snapshot());
    output
}

#[test]
fn two_sequences_from_end_to_end() {
    let mut lab = Lab::new();
    lab.context = crate::lab::context()
        .filter(r"\b\d+(\.\d+)? (B|KiB)\b", "[SIZE]")
        .filter(r"\b\d+(\.\d+)? [KMGT]iB free\b", "[SIZE] free")
        // What a registry cannot do is learned by requests that go side by side.
        .filter(r"(requests: \S+) \d+", "$1 [COUNT]");
    let first = lab.push(&app(1), "team/one", "v1");
    let blocked = lab.push(&app(2), "team/redis", "v1");
    let entries = [json!({ "name": first }), json!({ "name": blocked })];
    lab.configure_mirror(json!({ "additionalImages": entries, "blockedImages": [{ "name": "redis" }] }));
    show(&lab, "made_1", &["-c", "isc.yaml", "file://disk", "--uid", UID]);
    lab.configure(&[first, lab.push(&app(3), "team/two", "v1")]);
    show(&lab, "made_2", &["-c", "isc.yaml", "file://disk"]);
    show(&lab, "made_nothing", &["-c", "isc.yaml", "file://disk"]);
    lab.source.stop();
    let to = format!("docker://{}/far", lab.target.host());
    show(&lab, "planned", &["--from", "file://disk", &to, "--dry-run"]);
    show(&lab, "published", &["--from", "file://disk", &to]);
    show(&lab, "published_again", &["--from", "file://disk", &to]);
    let quiet = lab.context.run(&["--dest-tls-verify=false", "-q", "--from", "file://disk", &to]);
    assert_eq!(quiet.expect_code(0).snapshot(), "exit code: 0\n----- stdout -----\n----- stderr -----\n");
}
