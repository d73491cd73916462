//! What a user gets wrong, and what the program says: code, reason and hint as snapshots.

use oc_mirror_testkit::{ImageBuilder, Registry};
use rstest::rstest;

use crate::lab::context;

const HEAD: &str = "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\n";

/// Runs with a configuration and compares exit code and standard error.
#[track_caller]
fn check(name: &str, configuration: Option<&str>, args: &[&str]) {
    let context = context();
    if let Some(text) = configuration {
        context.write("isc.yaml", text);
    }
    let output = context.run(args);
    assert_ne!(output.code, 0, "{}", output.snapshot());
    assert_eq!(output.stdout, "", "data goes to the standard output, messages do not");
    insta::assert_snapshot!(name, format!("exit code: {}\n{}", output.code, output.stderr));
}

const TO_DISK: [&str; 3] = ["-c", "isc.yaml", "file://disk"];

#[rstest]
#[case::unknown_key("unknown_key", "mirror:\n  additionalImage:\n  - name: quay.io/a/b:v1\n")]
#[case::duplicate_key("duplicate_key", "mirror:\n  additionalImages: []\nmirror:\n  operators: []\n")]
#[case::wrong_kind("wrong_kind", "archiveSize: many\nmirror: {}\n")]
#[case::not_yaml("not_yaml", "mirror: [\n")]
#[case::untagged_catalog("untagged_catalog", "mirror:\n  operators:\n  - catalog: quay.io/a/index\n")]
#[case::platform(
    "section_platform",
    "mirror:\n  platform:\n    channels:\n    - name: stable-4.20\n      minVersion: \"4.20\"\n"
)]
#[case::helm(
    "section_helm",
    "mirror:\n  helm:\n    repositories:\n    - name: a\n      url: a.example\n      charts:\n      - name: b/c\n        \
     imagePaths: ['{.spec[']\n        kubeVersion: new\n    - name: b\n      url: https://user:secret@b.example\n"
)]
#[case::samples("section_samples", "mirror:\n  samples:\n  - name: ruby\n")]
#[case::bad_reference("bad_reference", "mirror:\n  additionalImages:\n  - name: \"quay.io/A B\"\n")]
#[case::untagged("untagged", "mirror:\n  additionalImages:\n  - name: quay.io/a/b\n")]
#[case::bad_expression(
    "bad_expression",
    "mirror:\n  additionalImages:\n  - name: quay.io/a/b:v1\n  blockedImages:\n  - name: \"a(\"\n"
)]
#[case::two_in_one_place(
    "two_in_one_place",
    "mirror:\n  additionalImages:\n  - name: quay.io/a/b:v1\n  - name: docker.io/a/b:v1\n"
)]
#[case::missing_plugin(
    "missing_plugin",
    "mirror:\n  plugins:\n  - name: mine\n    source: \"file:./mine.wasm\"\n"
)]
#[case::unknown_grant(
    "unknown_grant",
    "mirror:\n  plugins:\n  - name: mine\n    source: \"file:./mine.wasm\"\n    grants: [everything]\n"
)]
#[case::plugin_sources(
    "plugin_sources",
    "mirror:\n  plugins:\n  - name: a\n    source: ./mine.wasm\n  - name: b\n    source: docker://quay.io/a/b\n  policies:\n  \
     - name: c\n    source: docker://quay.io/A:1\n"
)]
#[case::plugin_trust(
    "plugin_trust",
    "mirror:\n  plugins:\n  - name: a\n    source: builtin:block\n    trust: {keys: [a.pub]}\n  policies:\n  - name: b\n    \
     source: file:b.wasm\n    trust: {keys: []}\n  - name: c\n    source: file:b.wasm\n    trust: {key: a.pub}\n"
)]
fn configurations(#[case] name: &str, #[case] body: &str) {
    check(name, Some(&format!("{HEAD}{body}")), &TO_DISK);
}

#[rstest]
#[case::missing_file("missing_file", &["-c", "nowhere.yaml", "file://disk"])]
#[case::no_configuration("no_configuration", &["file://disk"])]
#[case::no_destination("no_destination", &["-c", "isc.yaml"])]
#[case::bad_destination("bad_destination", &["-c", "isc.yaml", "disk"])]
#[case::ftp_destination("ftp_destination", &["-c", "isc.yaml", "ftp://disk"])]
#[case::docker_without_host("docker_without_host", &["-c", "isc.yaml", "--workspace", "file://w", "docker://"])]
#[case::from_nowhere("from_nowhere", &["--from", "file://nowhere", "docker://127.0.0.1:1"])]
#[case::from_to_disk("from_to_disk", &["--from", "file://a", "file://b"])]
#[case::bad_archive_size("bad_archive_size", &["-c", "isc.yaml", "file://disk", "--archive-size", "many"])]
#[case::bad_uid("bad_uid", &["-c", "isc.yaml", "file://disk", "--uid", "me"])]
#[case::unknown_option("unknown_option", &["-c", "isc.yaml", "file://disk", "--speed", "11"])]
fn arguments(#[case] name: &str, #[case] args: &[&str]) {
    check(name, Some(&format!("{HEAD}mirror:\n  additionalImages:\n  - name: quay.io/a/b:v1\n")), args);
}

#[test]
fn an_empty_directory_has_nothing_to_publish() {
    let context = context();
    std::fs::create_dir(context.work().join("empty")).unwrap();
    let output = context.run(&["--from", "file://empty", "docker://127.0.0.1:1"]);
    insta::assert_snapshot!("from_empty", format!("exit code: {}\n{}", output.code, output.stderr));
}

#[test]
fn a_port_where_nobody_listens() {
    let source = Registry::start();
    source.push(&ImageBuilder::new().layer(&[("a", "1")]).build(), "team/app", "v1");
    let context = context();
    let reference = source.reference("team/app", "v1");
    context.write("isc.yaml", format!("{HEAD}mirror:\n  additionalImages:\n  - name: {reference}\n"));
    let insecure = ["--src-tls-verify=false", "--dest-tls-verify=false", "--retry-times", "0"];
    let run = |args: &[&str]| context.run(&[&insecure[..], args].concat());
    run(&TO_DISK).expect_code(0);
    // Port 1 is reserved, and nobody without privileges listens there.
    let output = run(&["--from", "file://disk", "docker://127.0.0.1:1"]);
    insta::assert_snapshot!("nobody_listens", format!("exit code: {}\n{}", output.code, output.stderr));
}

#[test]
fn an_image_that_is_not_there() {
    let source = Registry::start();
    let context = context();
    let reference = source.reference("team/app", "v1");
    context.write("isc.yaml", format!("{HEAD}mirror:\n  additionalImages:\n  - name: {reference}\n"));
    let output = context.run(&["--src-tls-verify=false", "-c", "isc.yaml", "file://disk"]);
    insta::assert_snapshot!("image_not_there", format!("exit code: {}\n{}", output.code, output.stderr));
}
