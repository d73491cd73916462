//! Releases that nobody vouches for: refused before anything of them is asked for, each for its own reason.

use std::path::Path;

use oc_mirror_guest_build::GuestBuild;
use oc_mirror_testkit::{Action, Payload, Release, Rule, Signer, Statement, release, workspace_root};
use rstest::rstest;
use serde_json::json;

use crate::depot::{Depot, payloads_of};
use crate::lab::{Chunks, names_in};

/// Pushes a release that nobody signed, and asks for it.
fn unsigned(depot: &Depot) -> Release {
    let made = release("4.12.1").push(&depot.lab.source);
    depot.channel("stable-4.12", &[&made], "");
    depot.want_channel(json!({ "name": "stable-4.12" }));
    made
}

fn sign(depot: &Depot, payload: &Payload, statement: Statement) {
    depot.server.signature(payload.digest(), statement.signed_by(&depot.signer));
}

fn statement(payload: &Payload) -> Statement {
    Statement::new(payload.digest(), &payload.identity())
}

fn nobody(_: &Depot, _: &Payload) {}

fn another_image(depot: &Depot, payload: &Payload) {
    let digest = format!("sha256:{}", "1".repeat(64));
    sign(depot, payload, Statement::new(&digest, &payload.identity()));
}

fn another_key(depot: &Depot, payload: &Payload) {
    depot.server.signature(payload.digest(), statement(payload).signed_by(&Signer::new()));
}

fn valid(depot: &Depot, payload: &Payload) {
    sign(depot, payload, statement(payload));
}

fn expired_signature(depot: &Depot, payload: &Payload) {
    sign(depot, payload, statement(payload).expired());
}

fn sha1(depot: &Depot, payload: &Payload) {
    sign(depot, payload, statement(payload).sha1());
}

fn forged(depot: &Depot, payload: &Payload) {
    sign(depot, payload, statement(payload).forged());
}

fn only_a_message(depot: &Depot, payload: &Payload) {
    sign(depot, payload, statement(payload).unsigned());
}

fn flipped_bit(depot: &Depot, payload: &Payload) {
    let mut bytes = statement(payload).uncompressed().signed_by(&depot.signer);
    let last = bytes.len() - 5;
    bytes[last] ^= 1;
    depot.server.signature(payload.digest(), bytes);
}

fn truncated(depot: &Depot, payload: &Payload) {
    let mut bytes = statement(payload).signed_by(&depot.signer);
    bytes.truncate(bytes.len() / 2);
    depot.server.signature(payload.digest(), bytes);
}

fn not_a_message(depot: &Depot, payload: &Payload) {
    depot.server.signature(payload.digest(), b"<html>sign in, please</html>".to_vec());
}

fn not_an_image(depot: &Depot, payload: &Payload) {
    sign(depot, payload, statement(payload).kind("atomic container greeting"));
}

fn another_version(depot: &Depot, payload: &Payload) {
    let identity = payload.identity().replace("4.12.1", "4.12.0");
    sign(depot, payload, Statement::new(payload.digest(), &identity));
}

fn store_is_down(depot: &Depot, payload: &Payload) {
    sign(depot, payload, statement(payload));
    depot.server.rule(Rule::on("GET", "^/signatures/").then(Action::status(500)));
}

fn store_hangs_up(depot: &Depot, payload: &Payload) {
    sign(depot, payload, statement(payload));
    depot.server.rule(Rule::on("GET", "^/signatures/").then(Action::Hangup));
}

fn endless(depot: &Depot, payload: &Payload) {
    sign(depot, payload, statement(payload));
    depot.server.rule(Rule::on("GET", "^/signatures/").then(Action::Flood(u64::MAX)));
}

#[rstest]
#[case::none("signature_none", nobody)]
#[case::another_image("signature_of_another_image", another_image)]
#[case::another_key("signature_by_another_key", another_key)]
#[case::expired("signature_expired", expired_signature)]
#[case::sha1("signature_sha1", sha1)]
#[case::forged("signature_forged", forged)]
#[case::only_a_message("signature_left_out", only_a_message)]
#[case::flipped_bit("signature_flipped_bit", flipped_bit)]
#[case::truncated("signature_truncated", truncated)]
#[case::not_a_message("signature_not_a_message", not_a_message)]
#[case::not_an_image("signature_not_of_an_image", not_an_image)]
#[case::another_version("signature_of_another_version", another_version)]
#[case::store_is_down("signature_store_is_down", store_is_down)]
#[case::store_hangs_up("signature_store_hangs_up", store_hangs_up)]
#[case::endless("signature_endless", endless)]
fn a_release_is_refused(#[case] name: &str, #[case] signed: fn(&Depot, &Payload)) {
    let depot = Depot::new();
    let made = unsigned(&depot);
    signed(&depot, made.payload("amd64"));
    insta::assert_snapshot!(name, depot.refusal(2));
}

#[rstest]
#[case::expired("signature_key_expired", Signer::expired())]
#[case::revoked("signature_key_revoked", Signer::revoked())]
fn a_key_no_longer_counts(#[case] name: &str, #[case] signer: Signer) {
    let depot = Depot::trusting(signer);
    let made = unsigned(&depot);
    valid(&depot, made.payload("amd64"));
    insta::assert_snapshot!(name, depot.refusal(2));
}

/// The update service names a payload that is signed, but older than it says.
#[test]
fn an_older_payload_is_no_newer_version() {
    let depot = Depot::new();
    let old = depot.version("4.12.1");
    let entries = [("4.12.1", old.payload("amd64")), ("4.12.2", old.payload("amd64"))];
    let graph = crate::depot::graph("stable-4.12", &entries[1..], "");
    depot.server.graph("amd64", "stable-4.12", graph);
    depot.want_channel(json!({ "name": "stable-4.12" }));
    insta::assert_snapshot!("signature_of_an_older_version", depot.refusal(2));
}

/// Ignoring signatures does not make a graph trustworthy: the payload itself says which version it is.
#[test]
fn an_older_payload_is_no_newer_version_without_signatures_either() {
    let depot = Depot::new();
    let old = depot.version("4.12.1");
    let graph = crate::depot::graph("stable-4.12", &[("4.12.2", old.payload("amd64"))], "");
    depot.server.graph("amd64", "stable-4.12", graph);
    depot.want_channel(json!({ "name": "stable-4.12" }));
    let run = depot.lab.make(&["--ignore-release-signature"]);
    run.assert_refused(2, "is said to be release 4.12.2, and is 4.12.1");
    depot.assert_nothing_made();
}

#[test]
fn all_releases_without_a_signature_are_named_together() {
    let depot = Depot::new();
    let good = depot.version("4.12.0");
    let bad: Vec<Release> = ["4.12.1", "4.12.2"].map(|v| release(v).push(&depot.lab.source)).into();
    depot.channel("stable-4.12", &[&good, &bad[0], &bad[1]], "4.12.0>4.12.1 4.12.1>4.12.2");
    depot.want_channel(json!({ "name": "stable-4.12", "full": true }));
    insta::assert_snapshot!("signature_none_of_two", depot.refusal(2));
}

#[test]
fn nothing_is_sent_to_a_registry_either() {
    let depot = Depot::new();
    unsigned(&depot);
    let to = format!("docker://{}", depot.lab.target.host());
    let args = ["-c", "isc.yaml", "--workspace", &depot.lab.file("w"), "--retry-times", "0", &to];
    depot.lab.run(&args).assert_refused(2, "no store has a signature of it");
    let sent = depot.lab.writes_to_target();
    assert!(sent.iter().all(|line| !line.path.contains("openshift/")), "{sent:?}");
    assert_eq!(depot.arrived(), Vec::<String>::new());
}

/// A plugin of the user's own that has nothing verified.
#[rstest]
#[case::refused(&[], 2)]
#[case::as_was_asked_for(&["--ignore-release-signature"], 0)]
fn a_source_that_does_not_ask_who_signed(#[case] more: &[&str], #[case] code: i32) {
    let depot = Depot::new();
    let made = depot.version("4.12.1");
    let guests = GuestBuild {
        manifest_dir: workspace_root().join("tests/guests"),
        target_dir: Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests"),
        packages: vec!["oc-mirror-guest-odd".to_owned()],
    };
    let component = guests.build().expect("the guest compiles").remove(0).path;
    depot.lab.configure_mirror(json!({ "plugins": [{
        "name": "odd",
        "source": format!("file:{}", component.display()),
        "config": { "behaviour": "quiet", "release": made.payload("amd64").by_digest() },
        "grants": ["registry"],
    }] }));
    let run = depot.lab.make(more);
    assert_eq!(run.output.code, code, "{}", run.output.snapshot());
    if code != 0 {
        run.assert_refused(2, "`odd` asks for it as a release, and no signature of it was verified");
        depot.assert_nothing_made();
    }
}

#[test]
fn a_good_signature_behind_a_bad_one_is_enough() {
    let mut depot = Depot::new();
    let made = unsigned(&depot);
    let payload = made.payload("amd64");
    another_image(&depot, payload);
    valid(&depot, payload);
    depot.carry(&[]);
    depot.assert_arrived(&made, "amd64");
    let unpacked = depot.lab.path("unpacked");
    Chunks::of(&depot.lab.path("disk"), 1).unpack(&unpacked);
    let store = unpacked.join("files/release-signatures").join(payload.digest().replace(':', "="));
    assert_eq!(names_in(&store), ["signature-2"]);
}

#[test]
fn a_store_that_was_down_for_a_moment_is_asked_again() {
    let depot = Depot::new();
    let made = unsigned(&depot);
    valid(&depot, made.payload("amd64"));
    depot.server.rule(Rule::on("GET", "^/signatures/").first(1).then(Action::status(500)));
    depot.lab.make(&["--retry-delay", "10ms"]).expect(0);
}

#[test]
fn version_3_is_taken_as_clusters_do() {
    let depot = Depot::new();
    let made = unsigned(&depot);
    sign(&depot, made.payload("amd64"), statement(made.payload("amd64")).version_3());
    depot.lab.make(&[]).expect(0);
}

#[test]
fn ignoring_signatures_is_loud() {
    let depot = Depot::new();
    let made = unsigned(&depot);
    let payload = made.payload("amd64");
    another_image(&depot, payload);
    let run = depot.lab.make(&["--ignore-release-signature"]).expect(0);
    assert_eq!(payloads_of(&run), ["4.12.1-x86_64"]);
    assert_eq!(depot.server.count("^/signatures/"), 0);
    let warnings = run.report().warnings.join("\n");
    assert!(warnings.contains(payload.digest()) && warnings.contains("signature"), "{warnings}");
    depot.lab.publish("disk", &["--workspace", &depot.lab.file("far")]).expect(0);
    depot.assert_arrived(&made, "amd64");
    std::fs::remove_dir_all(depot.lab.path("disk")).expect("it was made here");
    insta::assert_snapshot!("signature_ignored", depot.shown(&["--ignore-release-signature"]));
    let resources = names_in(&depot.lab.path("far/working-dir/cluster-resources"));
    assert!(!resources.iter().any(|name| name.contains("signature")), "{resources:?}");
}

#[test]
fn a_run_that_ignored_signatures_does_not_spare_the_next_one() {
    let depot = Depot::new();
    unsigned(&depot);
    depot.lab.make(&["--ignore-release-signature"]).expect(0);
    depot.lab.make(&["--retry-times", "0"]).assert_refused(2, "no store has a signature of it");
}
