//! Mistakes that people make, from the first file to the far side: each message whole, as a snapshot, with its hint.
//!
//! What is wrong with one kind of thing only is told elsewhere too: `wrong_inputs`, `operator_traps`, `release_servers`.

use std::fs;
use std::io::Write;

use oc_mirror_testkit::{
    Bearer, FaultRegistry, Image, ImageBuilder, Registry, basic_authorization, write_auth_file,
};
use serde_json::{Value, json};

use crate::depot::Depot;
use crate::full_disk::SmallDisk;
use crate::lab::{Lab, UID};
use crate::shop::Shop;

const HEAD: &str = "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\n";
const TO_DISK: [&str; 3] = ["-c", "isc.yaml", "file://disk"];

fn app(number: u64) -> Image {
    ImageBuilder::new().layer(&[("app", number.to_string())]).random_layer(number, 5_000).build()
}

fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.context = lab.context.filter("sha256:[0-9a-f]{64}", "[DIGEST]").filter(r"/proc/\d+/root", "");
    lab
}

/// Two imagesets in `disk`, of one image and of two.
fn chain() -> Lab {
    let lab = lab();
    let first = lab.push(&app(1), "team/app-1", "v1");
    lab.configure(&[&first]);
    lab.make(&["--uid", UID]).expect(0);
    let second = lab.push(&app(2), "team/app-2", "v1");
    lab.configure(&[&first, &second]);
    lab.make(&[]).expect(0);
    lab
}

fn chunk(sequence: u64) -> String {
    format!("disk/mirror_seq{sequence}_000000.tar")
}

/// Runs as people do, and compares what they see: a reason, and a hint at what to do.
#[track_caller]
fn mistake(lab: &Lab, name: &str, args: &[&str]) {
    let plain = ["--src-tls-verify=false", "--dest-tls-verify=false", "--retry-times", "0"];
    strict(lab, name, &[&plain, args].concat());
}

/// The same, with certificates verified.
#[track_caller]
fn strict(lab: &Lab, name: &str, args: &[&str]) {
    let output = lab.context.run(args);
    let shown = output.snapshot();
    assert_ne!(output.code, 0, "{shown}");
    let lines = |start: &str| output.stderr.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!(lines("error: "), 1, "one reason\n{shown}");
    assert!(lines("hint: ") == 1 || output.stderr.contains("tip: "), "one hint\n{shown}");
    insta::assert_snapshot!(name, shown);
}

/// Publishes a file or directory from a workspace of its own.
#[track_caller]
fn published_wrongly(lab: &Lab, name: &str, from: &str) {
    let to = format!("docker://{}", lab.target.host());
    lab.target.clear_log();
    mistake(lab, name, &["--from", &format!("file://{from}"), "--workspace", "file://far", &to]);
    assert_eq!(lab.writes_to_target(), [], "nothing is sent");
}

#[test]
fn a_key_that_does_not_exist() {
    let lab = lab();
    lab.context.write("isc.yaml", format!("{HEAD}mirror:\n  additionalImage:\n  - name: quay.io/a/b:v1\n"));
    mistake(&lab, "bad_key", &TO_DISK);
}

#[test]
fn a_tab_in_yaml() {
    let lab = lab();
    lab.context.write("isc.yaml", format!("{HEAD}mirror:\n\tadditionalImages: []\n"));
    mistake(&lab, "tab", &TO_DISK);
}

#[test]
fn a_file_that_is_not_there() {
    mistake(&lab(), "no_file", &["-c", "imageset.yaml", "file://disk"]);
}

#[test]
fn a_destination_without_a_scheme() {
    let lab = lab();
    lab.configure(&["quay.io/a/b:v1"]);
    mistake(&lab, "no_scheme", &["-c", "isc.yaml", "registry.example:5000/mirror"]);
}

#[test]
fn no_workspace_to_copy_directly() {
    let lab = lab();
    lab.configure(&["quay.io/a/b:v1"]);
    mistake(&lab, "no_workspace", &["-c", "isc.yaml", "docker://registry.example:5000/mirror"]);
}

#[test]
fn a_package_and_a_channel_that_do_not_exist() {
    let shop = Shop { lab: lab() };
    let (_, catalog) = shop.usual();
    let wrong = |name: &str, package: Value| {
        shop.want(json!([{ "catalog": catalog, "packages": [package] }]));
        mistake(&shop.lab, name, &TO_DISK);
    };
    wrong("wrong_package", json!({ "name": "fooo" }));
    wrong("wrong_channel", json!({ "name": "foo", "channels": [{ "name": "stabel" }] }));
    wrong(
        "wrong_version",
        json!({ "name": "foo", "channels": [{ "name": "stable", "minVersion": "9.0.0" }] }),
    );
}

#[test]
fn a_channel_of_releases_that_does_not_exist() {
    let mut depot = Depot::new();
    let release = depot.version("4.12.0");
    depot.channel("stable-4.12", &[&release], "");
    depot.want_channel(json!({ "name": "stabel-4.12" }));
    depot.lab.context = depot.lab.context.filter("sha256:[0-9a-f]{64}", "[DIGEST]");
    mistake(&depot.lab, "wrong_release_channel", &TO_DISK);
}

#[test]
fn an_image_that_does_not_exist() {
    let lab = lab();
    lab.configure(&[lab.source.reference("team/app", "v1")]);
    mistake(&lab, "no_image", &TO_DISK);
}

#[test]
fn a_token_that_has_expired() {
    let lab = lab();
    lab.push(&app(1), "team/app", "v1");
    let front = FaultRegistry::with_bearer(&lab.source, Bearer::new().credentials("alice", "hunter2"));
    lab.configure(&[format!("{}/team/app:v1", front.host())]);
    mistake(&lab, "no_credential", &TO_DISK);
    // What worked yesterday does not today.
    let old = basic_authorization("alice", "hunter1");
    write_auth_file(&lab.path("auth.json"), &[(&front.host(), "alice", "hunter1")]);
    mistake(&lab, "expired_token", &["--authfile", "auth.json", "-c", "isc.yaml", "file://disk"]);
    let log = lab.path("disk/working-dir/logs");
    for file in fs::read_dir(log).into_iter().flatten().flatten() {
        let text = fs::read_to_string(file.path()).expect("a log");
        assert!(!text.contains("hunter1") && !text.contains(old.trim_start_matches("Basic ")), "{text}");
    }
}

#[test]
fn somebody_who_may_not_push() {
    let lab = Lab { target: Registry::builder().read_only().start(), ..lab() };
    lab.configure(&[lab.push(&app(1), "team/app", "v1")]);
    lab.make(&[]).expect(0);
    let to = format!("docker://{}", lab.target.host());
    mistake(&lab, "may_not_push", &["--from", "file://disk", &to]);
}

#[test]
fn an_authority_that_nobody_trusts() {
    let lab = Lab { source: Registry::builder().tls().start(), ..lab() };
    lab.configure(&[lab.push(&app(1), "team/app", "v1")]);
    strict(&lab, "self_signed", &[&["--retry-times", "0"], &TO_DISK[..]].concat());
}

#[test]
fn http_where_https_is_spoken() {
    let lab = lab();
    lab.configure(&[lab.push(&app(1), "team/app", "v1")]);
    strict(&lab, "https_to_http", &[&["--retry-times", "0"], &TO_DISK[..]].concat());
    lab.make(&[]).expect(0);
    let to = format!("docker://{}", lab.target.host());
    strict(&lab, "https_to_http_target", &["--retry-times", "0", "--from", "file://disk", &to]);
    // And a scheme that is none of the tool's.
    mistake(&lab, "https_destination", &["--from", "file://disk", &format!("https://{}", lab.target.host())]);
}

#[test]
fn a_port_where_nobody_listens() {
    let lab = chain();
    mistake(&lab, "wrong_port", &["--from", "file://disk", "docker://127.0.0.1:1"]);
}

#[test]
fn a_disk_that_is_full() {
    let lab = lab();
    let image = ImageBuilder::new().random_layer(7, 300_000).build();
    lab.configure(&[lab.push(&image, "team/app", "v1")]);
    let Some(disk) = SmallDisk::new(&lab.path("small"), 200) else { return };
    mistake(&lab, "full_disk", &["-c", "isc.yaml", &disk.file()]);
}

#[test]
fn a_sequence_is_left_out() {
    let lab = chain();
    published_wrongly(&lab, "sequence_gap", &chunk(2));
}

#[test]
fn an_imageset_of_another_chain() {
    let lab = chain();
    lab.publish("disk", &["--workspace", "file://far"]).expect(0);
    fs::remove_dir_all(lab.path("disk")).expect("there");
    lab.configure(&[lab.source.reference("team/app-2", "v1")]);
    let other = "22222222-2222-4333-8444-555555555555";
    lab.make(&["--uid", other]).expect(0);
    let next = lab.push(&app(3), "team/app-3", "v1");
    lab.configure(&[&next]);
    lab.make(&[]).expect(0);
    published_wrongly(&lab, "other_chain", &chunk(2));
}

#[test]
fn a_chunk_that_was_not_copied() {
    let lab = lab();
    let image = ImageBuilder::new().random_layer(1, 3_000_000).build();
    lab.configure(&[lab.push(&image, "team/app", "v1")]);
    lab.make(&["--archive-size", "1MiB", "--uid", UID]).expect(0);
    fs::remove_file(lab.path("disk/mirror_seq1_000001.tar")).expect("there");
    published_wrongly(&lab, "missing_chunk", "disk");
}

#[test]
fn a_chunk_that_was_cut_off() {
    let lab = chain();
    let file = fs::OpenOptions::new().write(true).open(lab.path(&chunk(1))).expect("there");
    file.set_len(file.metadata().expect("there").len() / 2).expect("shorter");
    published_wrongly(&lab, "cut_chunk", "disk");
}

#[test]
fn a_tag_that_somebody_moved() {
    let lab = chain();
    lab.publish("disk", &["--workspace", "file://far"]).expect(0);
    lab.target.push(&app(9), "team/app-1", "v1");
    let to = format!("docker://{}", lab.target.host());
    strict(&lab, "moved_tag", &["check", "--dest-tls-verify=false", &to]);
}

#[test]
fn a_layer_larger_than_a_chunk_may_be() {
    let lab = lab();
    let image = ImageBuilder::new().random_layer(1, 3_000_000).build();
    lab.configure(&[lab.push(&image, "team/app", "v1")]);
    let args = ["--archive-size", "1MiB", "--strict-archive"];
    mistake(&lab, "strict_archive", &[&args, &TO_DISK[..]].concat());
}

#[test]
fn a_directory_that_is_in_use() {
    let lab = chain();
    let mut lock = fs::File::create(lab.path("disk/working-dir/lock")).expect("made");
    writeln!(lock, "process 4711 on host elsewhere").expect("written");
    lock.lock().expect("nobody has it");
    mistake(&lab, "in_use", &TO_DISK);
}

#[test]
fn what_a_catalog_is_not() {
    let lab = lab();
    let image = ImageBuilder::new().layer(&[("readme", "no catalog")]).build();
    let catalog = lab.push(&image, "team/app", "v1");
    lab.configure_mirror(json!({ "operators": [{ "catalog": catalog }] }));
    mistake(&lab, "no_catalog", &TO_DISK);
}
