//! The server as a client sees it.

use std::io::Read as _;
use std::time::{Duration, Instant};

use rstest::rstest;

use super::*;
use crate::Action;

const JSON: [(&str, &str); 1] = [("Accept", "application/json")];

fn server() -> UpdateServer {
    let server = UpdateServer::start();
    server.graph("amd64", "stable-4.12", GraphBuilder::new().node("4.12.1", "amd")).graph(
        "arm64",
        "stable-4.12",
        GraphBuilder::new().node("4.12.1", "arm"),
    );
    server
}

fn ask(server: &UpdateServer, target: &str) -> Response {
    http::get(&server.host(), target, &JSON).unwrap()
}

#[rstest]
#[case::plain("channel=stable-4.12&arch=amd64", r#""payload":"amd""#)]
#[case::other_architecture("id=1&version=4.12.0&arch=arm64&channel=stable-4.12", r#""payload":"arm""#)]
#[case::usual_architecture("channel=stable-4.12", r#""payload":"amd""#)]
#[case::last_wins("channel=fast-4.12&arch=arm64&channel=stable%2D4.12&arch=amd64", r#""payload":"amd""#)]
#[case::unknown("channel=stable-4.99", r#"{"version":1,"nodes":[],"edges":[],"conditionalEdges":[]}"#)]
#[case::unknown_architecture("channel=stable-4.12&arch=vax", r#""nodes":[]"#)]
fn graphs_are_found_by_channel_and_architecture(#[case] query: &str, #[case] expected: &str) {
    let server = server();
    for path in [GRAPH, UNVERSIONED_GRAPH] {
        let answer = ask(&server, &format!("{path}?{query}"));
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        assert!(answer.text().contains(expected), "{}", answer.text());
    }
}

#[rstest]
#[case::no_channel(
    "",
    "application/json",
    400,
    r#"{"kind":"missing_params","value":"mandatory client parameters missing: channel"}"#
)]
#[case::no_json(
    "?channel=stable-4.12",
    "text/html",
    406,
    r#"{"kind":"invalid_content_type","value":"invalid Content-Type requested"}"#
)]
#[case::list(
    "?channel=stable-4.12",
    "application/json, text/html",
    406,
    r#"{"kind":"invalid_content_type","value":"invalid Content-Type requested"}"#
)]
fn refusals_say_why(#[case] query: &str, #[case] accept: &str, #[case] status: u16, #[case] body: &str) {
    let answer = http::get(&server().host(), &format!("{GRAPH}{query}"), &[("Accept", accept)]).unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (status, body));
}

#[test]
fn a_request_that_accepts_nothing_in_particular_is_refused() {
    let target = format!("{GRAPH}?channel=stable-4.12");
    assert_eq!(http::get(&server().host(), &target, &[]).unwrap().status, 406);
}

#[test]
fn okd_asks_without_parameters() {
    let server = server();
    assert_eq!(ask(&server, "/graph").body, EMPTY_GRAPH);
    server.okd_graph(*b"{}");
    assert_eq!(http::get(&server.host(), "/graph", &[]).unwrap().body, b"{}");
    assert_eq!(server.okd_graph_url(), format!("{}/graph", server.url()));
}

#[test]
fn signatures_are_numbered_and_the_rest_is_not_found() {
    let server = server();
    let digest = "sha256:aa";
    server.signature(digest, *b"one").signature(digest, *b"two").signature_at(digest, 4, *b"four");
    let store = "/signatures/openshift/release/sha256=aa";
    let bodies = [1, 2, 3, 4, 5].map(|n| {
        let answer = http::get(&server.host(), &format!("{store}/signature-{n}"), &[]).unwrap();
        (answer.status == 200).then(|| answer.text())
    });
    assert_eq!(bodies.each_ref().map(Option::as_deref), [Some("one"), Some("two"), None, Some("four"), None]);
    assert_eq!(ask(&server, "/signatures/openshift/release/").status, 404);
    assert_eq!(server.store_url(), format!("{}/signatures/openshift/release", server.url()));
}

#[test]
fn graph_data_is_served_as_it_was_given() {
    let server = server();
    assert_eq!(ask(&server, GRAPH_DATA).status, 404);
    server.graph_data(*b"tar");
    assert_eq!(ask(&server, GRAPH_DATA).body, b"tar");
    assert_eq!(http::request(&server.host(), "POST", GRAPH_DATA, &[], b"").unwrap().status, 405);
}

#[test]
fn requests_are_counted_by_channel_and_architecture() {
    let server = server();
    ask(&server, &format!("{GRAPH}?channel=stable-4.12&arch=amd64&id=1"));
    ask(&server, &format!("{GRAPH}?arch=arm64&channel=stable-4.12&id=2"));
    ask(&server, &server.store_url().replace(&server.url(), ""));
    server.assert_fetched_once(&[("amd64", "stable-4.12"), ("arm64", "stable-4.12")]);
    assert_eq!(server.requests()[0].header("accept"), Some("application/json"));
    assert_eq!(server.count("^/signatures/"), 1);
    ask(&server, &format!("{GRAPH}?channel=stable-4.12&arch=amd64"));
    assert_eq!(server.fetches()[&("amd64".to_owned(), "stable-4.12".to_owned())], 2);
    server.clear_requests();
    server.assert_fetched_once(&[]);
}

#[test]
fn faults_pass() {
    let server = server();
    let target = format!("{GRAPH}?channel=stable-4.12");
    server
        .rule(Rule::on("GET", "^/api/").nth(1).then(Action::status(500)))
        .rule(Rule::on("GET", "^/api/").nth(2).then(Action::too_many_requests(3)))
        .rule(Rule::on("GET", "^/api/").nth(3).then(Action::Delay(Duration::from_millis(80))));
    assert_eq!(ask(&server, &target).status, 500);
    assert_eq!(ask(&server, &target).header("retry-after"), Some("3"));
    let start = Instant::now();
    assert_eq!(ask(&server, &target).status, 200);
    assert!(start.elapsed() >= Duration::from_millis(80));
    server.rule(Rule::on("GET", "^/api/").then(Action::DropAfter(5)));
    assert!(http::get(&server.host(), &target, &JSON).is_err());
    server.clear_rules();
    assert_eq!(ask(&server, &target).status, 200);
    assert_eq!(server.requests().iter().map(|r| r.status).collect::<Vec<_>>(), [500, 429, 200, 200, 200]);
}

/// Reads at most this much of an answer, head included.
fn read_some(server: &UpdateServer, target: &str, most: u64) -> Vec<u8> {
    use std::io::Write as _;
    let mut stream = http::connect(&server.host()).unwrap();
    let accept = "Accept: application/json\r\n";
    write!(stream, "GET {target} HTTP/1.1\r\nHost: x\r\n{accept}\r\n").unwrap();
    let mut read = Vec::new();
    stream.take(most).read_to_end(&mut read).unwrap();
    read
}

#[test]
fn a_flood_goes_on_for_as_long_as_somebody_reads() {
    let server = server();
    let target = format!("{GRAPH}?channel=stable-4.12");
    server.rule(Rule::on("GET", "^/api/").then(Action::Flood(u64::MAX)));
    let read = read_some(&server, &target, 5_000_000);
    assert_eq!(read.len(), 5_000_000);
    assert!(read.starts_with(b"HTTP/1.1 200 Answer\r\n"));

    // Whoever does not read holds up nobody.
    let idle = http::connect(&server.host()).unwrap();
    server.rule(Rule::on("GET", "^/signatures/").then(Action::Flood(200_000)));
    assert_eq!(ask(&server, "/signatures/").body.len(), 200_000);
    drop(server);
    drop(idle);
}

#[rstest]
#[case::repeated(vec![Action::Flood(100_001)], Some(100_001))]
#[case::spaces(vec![Action::ReplaceBody(Vec::new()), Action::Flood(70_000)], Some(70_000))]
#[case::true_length(vec![Action::Flood(70_000), Action::ClaimLength(70_000)], Some(70_000))]
#[case::longer(vec![Action::Flood(70_000), Action::ClaimLength(80_000)], None)]
#[case::cut(vec![Action::Flood(70_000), Action::DropAfter(66_000)], None)]
fn a_flood_of_known_size(#[case] actions: Vec<Action>, #[case] expected: Option<usize>) {
    let server = server();
    let target = format!("{GRAPH}?channel=stable-4.12");
    server.rule(actions.into_iter().fold(Rule::on("GET", "^/api/"), Rule::then));
    let answer = http::get(&server.host(), &target, &JSON).ok();
    assert_eq!(answer.map(|a| a.body.len()), expected);
}

#[test]
fn a_dropped_server_is_gone() {
    let server = server();
    let host = server.host();
    ask(&server, GRAPH_DATA);
    drop(server);
    let gone = (0..50).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        http::get(&host, GRAPH_DATA, &JSON).is_err()
    });
    assert!(gone);
}

#[rstest]
#[case("stable-4.12", "stable-4.12")]
#[case("a+b%20c", "a b c")]
#[case("%", "%")]
#[case("%zz%4", "%zz%4")]
fn forms_are_decoded(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(decode(text), expected);
}
