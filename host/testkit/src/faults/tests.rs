//! Each fault as a client sees it, and `skopeo` going through a fault registry that has none.

use std::time::{Duration, Instant};

use super::*;
use crate::http::{Response, get, request};
use crate::{Image, ImageBuilder, PASSWORD, Skopeo, USER};
use rstest::rstest;

fn image() -> Image {
    ImageBuilder::new().random_layer(1, 5000).build()
}

/// A registry that has the image, a fault registry before it, and the path of the image's layer.
fn with_image() -> (Registry, FaultRegistry, String) {
    let registry = Registry::start();
    let faults = FaultRegistry::before(&registry);
    image().push(&faults, "app", "v1");
    let path = format!("/v2/app/blobs/{}", image().layers[0].blob.digest);
    (registry, faults, path)
}

#[test]
fn without_rules_skopeo_notices_nothing() {
    let (_registry, faults, path) = with_image();
    let reference = format!("docker://{}/app:v1", faults.host());
    let skopeo = Skopeo::new();
    skopeo.copy_all(&reference, &format!("docker://{}/copy:v1", faults.host()));
    assert_eq!(skopeo.inspect_raw(&format!("docker://{}/copy:v1", faults.host())), image().manifest);
    assert!(faults.count("PUT", "/v2/copy/") >= 2);
    assert!(faults.requests().iter().any(|r| r.method == "GET" && r.path == path && r.sent > 5000));
}

#[test]
fn head_tells_the_length_and_range_is_passed_on() {
    let (_registry, faults, path) = with_image();
    let blob = &image().layers[0].blob.bytes;
    let head = request(&faults.host(), "HEAD", &path, &[], &[]).unwrap();
    assert_eq!(head.header("content-length"), Some(blob.len().to_string().as_str()));
    let part = get(&faults.host(), &path, &[("Range", "bytes=100-199")]).unwrap();
    assert_eq!((part.status, part.body.as_slice()), (206, &blob[100..200]));
    faults.rule(Rule::on("GET", "/blobs/").then(Action::StripRequestHeader("range".to_string())));
    assert_eq!(get(&faults.host(), &path, &[("Range", "bytes=100-199")]).unwrap().status, 200);
}

#[test]
fn every_third_request_is_not_the_others() {
    let (_registry, faults, path) = with_image();
    faults.rule(Rule::on("GET", "/blobs/").every(3).then(Action::too_many_requests(0)));
    let statuses: Vec<u16> = (0..6).map(|_| get(&faults.host(), &path, &[]).unwrap().status).collect();
    assert_eq!(statuses, [200, 200, 429, 200, 200, 429]);
}

#[rstest]
#[case::dropped(Action::DropAfter(100))]
#[case::hung_up(Action::Hangup)]
#[case::lost(Action::LoseAnswer)]
#[case::claimed(Action::ClaimLength(1_000_000))]
fn a_broken_answer_is_an_error_once(#[case] action: Action) {
    let (_registry, faults, path) = with_image();
    faults.rule(Rule::on("GET", "/blobs/").first(1).then(action));
    assert!(get(&faults.host(), &path, &[]).is_err());
    assert_eq!(get(&faults.host(), &path, &[]).unwrap().body, image().layers[0].blob.bytes);
}

#[rstest]
#[case::answer(Action::too_many_requests(7), |r: &Response| r.status == 429 && r.header("Retry-After") == Some("7"))]
#[case::corrupt(Action::Corrupt(3), |r: &Response| r.body[3] == !image().layers[0].blob.bytes[3])]
#[case::chunked(Action::Chunked, |r: &Response| r.header("Content-Length").is_none() && r.body == image().layers[0].blob.bytes)]
#[case::replaced(Action::ReplaceBody(b"x".to_vec()), |r: &Response| r.body == b"x")]
#[case::set(Action::SetHeader("Content-Type".to_string(), "text/html".to_string()), |r: &Response| r.header("content-type") == Some("text/html"))]
#[case::stripped(Action::StripHeader("Docker-Content-Digest".to_string()), |r: &Response| r.header("docker-content-digest").is_none())]
#[case::redirected(Action::Redirect("http://127.0.0.1:9".to_string()), |r: &Response| r.status == 307 && r.header("location").is_some_and(|l| l.starts_with("http://127.0.0.1:9/v2/app/blobs/")))]
fn a_spoiled_answer_arrives(#[case] action: Action, #[case] holds: fn(&Response) -> bool) {
    let (_registry, faults, path) = with_image();
    faults.rule(Rule::on("GET", "/blobs/").then(action));
    let response = get(&faults.host(), &path, &[]).unwrap();
    assert!(holds(&response), "{response:?}");
}

#[test]
fn waits_when_told_to() {
    let (_registry, faults, path) = with_image();
    let time = Duration::from_millis(80);
    faults.rule(Rule::on("*", "/blobs/").nth(1).then(Action::Stall(10, time)));
    faults.rule(Rule::on("*", "/blobs/").nth(2).then(Action::Delay(time)));
    for _ in 0..2 {
        let start = Instant::now();
        assert_eq!(get(&faults.host(), &path, &[]).unwrap().body, image().layers[0].blob.bytes);
        assert!(start.elapsed() >= time);
    }
}

#[test]
fn refuses_a_mount() {
    let (_registry, faults, _) = with_image();
    let path = format!("/v2/other/blobs/uploads/?mount={}&from=app", image().layers[0].blob.digest);
    faults.rule(Rule::on("POST", "mount=").first(1).then(Action::RefuseMount));
    assert_eq!(request(&faults.host(), "POST", &path, &[], &[]).unwrap().status, 202);
    assert_eq!(request(&faults.host(), "POST", &path, &[], &[]).unwrap().status, 201);
}

#[test]
fn rules_count_and_look_at_headers() {
    let faults = FaultRegistry::alone();
    faults.rule(Rule::on("GET", "^/a$").after(1).then(Action::status(503)));
    faults.rule(Rule::on("GET", "^/b$").with_header("x-test", "^1$").then(Action::body("text/plain", "b")));
    let status = |path: &str, headers: &[(&str, &str)]| get(&faults.host(), path, headers).unwrap().status;
    assert_eq!([status("/a", &[]), status("/a", &[]), status("/a", &[])], [404, 503, 503]);
    assert_eq!([status("/b", &[]), status("/b", &[("X-Test", "1")])], [404, 200]);
    assert_eq!(faults.requests()[4].header("x-test"), Some("1"));
    assert_eq!(faults.count("GET", "^/a$"), 3);
}

#[test]
fn keeps_a_connection_open_for_the_next_request() {
    use std::io::{BufReader, Write};
    let (_registry, faults, path) = with_image();
    let mut stream = std::net::TcpStream::connect(faults.host()).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for _ in 0..2 {
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", faults.host()).unwrap();
        let (_, headers) = http::read_head(&mut reader).unwrap().unwrap();
        let kind = http::BodyKind::of_response(&headers).unwrap();
        assert_eq!(http::read_body(&mut reader, kind).unwrap(), image().layers[0].blob.bytes);
    }
    let connections: Vec<usize> = faults.requests().iter().map(|r| r.connection).collect();
    assert_eq!(connections, [0, 0]);
}

#[test]
fn asks_for_tokens_which_skopeo_gets() {
    let registry = Registry::start();
    let bearer = Bearer::new().credentials(USER, PASSWORD).expires_in(300);
    let faults = FaultRegistry::with_bearer(&registry, bearer);
    image().push(&faults, "app", "v1");
    let reference = format!("docker://{}/app:v1", faults.host());
    assert!(!Skopeo::new().run(&["inspect", "--tls-verify=false", &reference]).status.success());
    let skopeo = Skopeo::new().login(&faults.host(), USER, PASSWORD);
    skopeo.copy_all(&reference, &format!("docker://{}/copy:v1", faults.host()));
    assert_eq!(registry.digest_of("copy", "v1"), Some(image().digest));
    assert!(faults.tokens_issued() >= 2);
    faults.expire_tokens();
    let answer = get(&faults.host(), "/v2/app/tags/list", &[("Authorization", "Bearer token-1")]).unwrap();
    assert_eq!(answer.status, 401);
    assert!(answer.header("www-authenticate").unwrap().contains(r#"scope="repository:app:pull""#));
}
