//! What the server of update graphs may answer: channels that do not exist, faults, nonsense, and updates with risks.

use std::fs;
use std::time::{Duration, Instant};

use oc_mirror_testkit::{Action, Release, Rule};
use rstest::rstest;
use serde_json::{Value, json};

use crate::depot::{Depot, payloads_of};
use crate::lab::Run;

const GRAPH: &str = "^/api/upgrades_info/v1/graph";

/// A depot with 4.12.0 to 4.12.2 in `stable-4.12`, and 4.12.3 too in `fast-4.12` and `candidate-4.12`.
fn usual() -> Depot {
    let depot = Depot::new();
    let all = ["4.12.0", "4.12.1", "4.12.2", "4.12.3"].map(|version| depot.version(version));
    let [zero, one, two, three] = &all;
    let updates = "4.12.0>4.12.1 4.12.1>4.12.2";
    depot.channel("stable-4.12", &[zero, one, two], updates);
    for channel in ["fast-4.12", "candidate-4.12"] {
        depot.channel(channel, &[zero, one, two, three], &format!("{updates} 4.12.2>4.12.3"));
    }
    depot.want_channel(json!({ "name": "stable-4.12" }));
    depot
}

#[rstest]
#[case::unknown("channel_unknown", json!({ "name": "eus-4.12" }))]
#[case::unknown_minor("channel_unknown_minor", json!({ "name": "stable-4.99" }))]
#[case::odd_name("channel_odd_name", json!({ "name": "stable4.12" }))]
#[case::version_elsewhere(
    "channel_version_elsewhere",
    json!({ "name": "stable-4.12", "minVersion": "4.12.3", "maxVersion": "4.12.3" })
)]
#[case::version_nowhere(
    "channel_version_nowhere",
    json!({ "name": "stable-4.12", "minVersion": "4.12.9", "maxVersion": "4.12.9" })
)]
#[case::path_to_elsewhere(
    "channel_path_to_elsewhere",
    json!({ "name": "stable-4.12", "minVersion": "4.12.0", "maxVersion": "4.12.3", "shortestPath": true })
)]
#[case::nothing_in_range("channel_nothing_in_range", json!({ "name": "stable-4.12", "minVersion": "4.12.7" }))]
#[case::wrong_way_round(
    "channel_wrong_way_round",
    json!({ "name": "stable-4.12", "minVersion": "4.12.2", "maxVersion": "4.12.1" })
)]
fn a_wish_that_cannot_be_met(#[case] name: &str, #[case] channel: Value) {
    let depot = usual();
    depot.want_channel(channel);
    insta::assert_snapshot!(name, depot.refusal(2));
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let depot = usual();
    depot.want(json!({ "channels": [
        { "name": "stable-4.99" },
        { "name": "stable-4.12", "minVersion": "4.12.3", "maxVersion": "4.12.3" },
    ], "architectures": ["amd64", "s390x"] }));
    insta::assert_snapshot!("channel_several", depot.refusal(2));
}

#[rstest]
#[case::not_found("server_not_found", Action::status(404))]
#[case::broken("server_broken", Action::status(500))]
#[case::busy("server_busy", Action::too_many_requests(1))]
#[case::hangs_up("server_hangs_up", Action::Hangup)]
#[case::truncated("server_truncated", Action::DropAfter(20))]
#[case::html("server_html", Action::body("text/html", "<html>sign in, please</html>"))]
#[case::empty("server_empty", Action::body("application/json", ""))]
#[case::not_a_graph(
    "server_not_a_graph",
    Action::body("application/json", r#"{"kind":"error","value":"no"}"#)
)]
#[case::edge_out_of_range(
    "server_edge_out_of_range",
    Action::body(
        "application/json",
        r#"{"nodes":[{"version":"4.12.0","payload":"q.io/r@sha256:1"}],"edges":[[0,7]]}"#
    )
)]
#[case::no_version(
    "server_no_version",
    Action::body("application/json", r#"{"nodes":[{"version":"latest","payload":"q.io/r:1"}],"edges":[]}"#)
)]
#[case::no_image(
    "server_no_image",
    Action::body("application/json", r#"{"nodes":[{"version":"4.12.0","payload":"Q io/r"}],"edges":[]}"#)
)]
fn an_answer_that_is_no_use(#[case] name: &str, #[case] action: Action) {
    let depot = usual();
    depot.server.rule(Rule::on("GET", GRAPH).then(action));
    insta::assert_snapshot!(name, depot.refusal(2));
}

#[rstest]
#[case::broken(Action::status(500))]
#[case::busy(Action::too_many_requests(0))]
#[case::hangs_up(Action::Hangup)]
fn a_fault_of_a_moment_is_overcome(#[case] action: Action) {
    let depot = usual();
    depot.server.rule(Rule::on("GET", GRAPH).first(2).then(action));
    let run = depot.lab.make(&["--retry-delay", "10ms"]).expect(0);
    assert_eq!(payloads_of(&run), ["4.12.2-x86_64"]);
}

#[test]
fn nobody_listens() {
    let mut depot = usual();
    depot.lab.context = depot.lab.context.env("UPDATE_URL_OVERRIDE", "http://127.0.0.1:1/graph");
    insta::assert_snapshot!("server_nobody_listens", depot.refusal(2));
}

#[test]
fn an_address_that_is_none() {
    let mut depot = usual();
    depot.lab.context = depot.lab.context.env("UPDATE_URL_OVERRIDE", "graph.example");
    insta::assert_snapshot!("server_no_address", depot.refusal(1));
}

#[rstest]
#[case::zeros(vec![0; 1 << 10])]
#[case::nodes(br#"{"nodes":[{"version":"4.12.0","payload":"q"}],"#.to_vec())]
fn an_answer_without_end_is_not_waited_for(#[case] piece: Vec<u8>) {
    let depot = usual();
    let flood = Rule::on("GET", GRAPH).then(Action::ReplaceBody(piece)).then(Action::Flood(u64::MAX));
    depot.server.rule(flood);
    let args = ["-c", "isc.yaml", "--retry-times", "0", "--src-tls-verify=false", &depot.lab.file("disk")];
    let stderr = fs::File::create(depot.lab.path("stderr")).expect("the test's own directory is writable");
    let start = Instant::now();
    let mut running = depot.lab.context.command(&args).stderr(stderr).spawn().expect("the program starts");
    let mut peak = 0;
    let status = loop {
        if let Some(status) = running.try_wait().expect("it is ours") {
            break status;
        }
        let text = fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or_default() / 1024);
        std::thread::sleep(Duration::from_millis(5));
    };
    let told = fs::read_to_string(depot.lab.path("stderr")).expect("it was written");
    assert_eq!(status.code(), Some(2), "{told}");
    assert!(told.contains("the update graph of `stable-4.12` for amd64"), "{told}");
    assert!(peak < 400, "{peak} MiB");
    assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
    depot.assert_nothing_made();
}

#[rstest]
#[case::range(json!({ "name": "stable-4.12", "minVersion": "4.12.0" }), &["4.12.0", "4.12.1", "4.12.2"])]
#[case::path(
    json!({ "name": "stable-4.12", "minVersion": "4.12.0", "maxVersion": "4.12.2", "shortestPath": true }),
    &["4.12.0", "4.12.1", "4.12.2"]
)]
fn a_graph_may_have_a_cycle(#[case] channel: Value, #[case] expected: &[&str]) {
    let depot = Depot::new();
    let all = ["4.12.0", "4.12.1", "4.12.2"].map(|version| depot.version(version));
    let releases: Vec<&Release> = all.iter().collect();
    depot.channel("stable-4.12", &releases, "4.12.0>4.12.1 4.12.1>4.12.0 4.12.1>4.12.2 4.12.2>4.12.0");
    depot.want_channel(channel);
    let run = depot.lab.make(&[]).expect(0);
    assert_eq!(payloads_of(&run), expected.iter().map(|v| format!("{v}-x86_64")).collect::<Vec<_>>());
}

/// No cluster is updated to a lower version, so what a graph says of it is no way, and only the two ends are mirrored.
#[test]
fn a_path_never_leads_down() {
    let depot = Depot::new();
    let all = ["4.12.0", "4.12.1", "4.12.2"].map(|version| depot.version(version));
    depot.channel("stable-4.12", &all.iter().collect::<Vec<_>>(), "4.12.0>4.12.2 4.12.2>4.12.1");
    depot.want_channel(json!({
        "name": "stable-4.12", "minVersion": "4.12.0", "maxVersion": "4.12.1", "shortestPath": true,
    }));
    let run = depot.lab.make(&[]).expect(0);
    assert_eq!(payloads_of(&run), ["4.12.0-x86_64", "4.12.1-x86_64"]);
}

/// Three releases; the update from the first to the last has the risk `DiskLoss`.
fn risky(updates: &str) -> Depot {
    let depot = Depot::new();
    let all = ["4.12.0", "4.12.1", "4.12.2"].map(|version| depot.version(version));
    depot.channel("stable-4.12", &all.iter().collect::<Vec<_>>(), updates);
    depot.want_channel(json!({
        "name": "stable-4.12", "minVersion": "4.12.0", "maxVersion": "4.12.2", "shortestPath": true,
    }));
    depot
}

const AROUND: &str = "4.12.0?DiskLoss>4.12.2 4.12.0>4.12.1 4.12.1>4.12.2";
const NO_WAY_AROUND: &str = "4.12.0?DiskLoss>4.12.2 4.12.0>4.12.1";
const ADDRESS: &str = "https://issues.example/DiskLoss";

#[track_caller]
fn assert_tells_of_the_risk(text: &str) {
    for words in ["DiskLoss", ADDRESS, "--accept-risks DiskLoss"] {
        assert!(text.contains(words), "`{words}` in `{text}`");
    }
}

/// The warnings, but for the one that these releases have no signatures of sigstore.
fn about_updates(run: &Run) -> Vec<&String> {
    run.report().warnings.iter().filter(|warning| !warning.contains("have no signature")).collect()
}

#[test]
fn a_risk_is_avoided_where_there_is_another_way() {
    let depot = risky(AROUND);
    let run = depot.lab.make(&[]).expect(0);
    assert_eq!(payloads_of(&run), ["4.12.0-x86_64", "4.12.1-x86_64", "4.12.2-x86_64"]);
    assert_eq!(about_updates(&run), Vec::<&String>::new());
    let notes = run.report().notes.join("\n");
    assert_tells_of_the_risk(&notes);
    assert!(notes.contains("1 update would do instead of 2"), "{notes}");
}

#[test]
fn a_risk_is_taken_with_a_warning_where_there_is_no_other_way() {
    let depot = risky(NO_WAY_AROUND);
    let run = depot.lab.make(&[]).expect(0);
    assert_eq!(payloads_of(&run), ["4.12.0-x86_64", "4.12.2-x86_64"]);
    let warnings = about_updates(&run);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_tells_of_the_risk(warnings[0]);
    std::fs::remove_dir_all(depot.lab.path("disk")).expect("it was made here");
    insta::assert_snapshot!("risk_taken", depot.shown(&[]));
}

#[rstest]
#[case::by_name(AROUND, &["--accept-risks", "DiskLoss"], &["4.12.0", "4.12.2"])]
#[case::among_others(AROUND, &["--accept-risks", "Other,DiskLoss"], &["4.12.0", "4.12.2"])]
#[case::all(AROUND, &["--accept-risks", "all"], &["4.12.0", "4.12.2"])]
#[case::another(AROUND, &["--accept-risks", "Other"], &["4.12.0", "4.12.1", "4.12.2"])]
#[case::no_way_around(NO_WAY_AROUND, &["--accept-risks", "DiskLoss"], &["4.12.0", "4.12.2"])]
fn a_risk_may_be_accepted(#[case] updates: &str, #[case] args: &[&str], #[case] expected: &[&str]) {
    let depot = risky(updates);
    let run = depot.lab.make(args).expect(0);
    assert_eq!(payloads_of(&run), expected.iter().map(|v| format!("{v}-x86_64")).collect::<Vec<_>>());
    assert_eq!(about_updates(&run), Vec::<&String>::new(), "an accepted risk is no news");
}
