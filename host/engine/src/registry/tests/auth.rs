use oc_mirror_testkit::{Action, Bearer, FaultRegistry, PASSWORD, Registry, Rule, USER};
use rstest::rstest;

use super::*;
use crate::content::ContentErrorKind;

fn is_unauthorized(error: &ContentError) -> bool {
    *error.kind() == ContentErrorKind::Unauthorized
}

#[tokio::test]
async fn basic_authentication() {
    let registry = Registry::builder().auth().start();
    let image = small_image();
    image.push(&registry, "app", "v1");
    let (app, good) = (repository("app"), with_login(&registry.host(), USER, PASSWORD));
    good.check_access(Some(&app)).await.unwrap();
    assert_eq!(good.manifest(&app, &by_tag("v1")).await.unwrap().bytes(), image.manifest);
    copy(&good, &good, &app, &by_tag("v1")).await;
    let bad = with_login(&registry.host(), USER, "wrong");
    assert!(is_unauthorized(&bad.check_access(None).await.unwrap_err()));
    assert!(is_unauthorized(&client(&registry.host()).manifest(&app, &by_tag("v1")).await.unwrap_err()));
}

#[rstest]
#[case::token(Bearer::new())]
#[case::access_token(Bearer::new().access_token().expires_in(1))]
#[case::single_scope(Bearer::new().single_scope())]
#[tokio::test]
async fn bearer_authentication(#[case] bearer: Bearer) {
    let registry = Registry::start();
    let faults = FaultRegistry::with_bearer(&registry, bearer.credentials("u", "p"));
    index().push(&registry, "app", "v1");
    let client = with_login(&faults.host(), "u", "p");
    copy(&client, &client, &repository("app"), &by_tag("v1")).await;
    client.tags(&repository("app"), None, None).await.unwrap();
    assert_eq!(faults.tokens_issued(), 2, "one to pull, one to push");
    let wrong = with_login(&faults.host(), "u", "wrong");
    assert!(is_unauthorized(&wrong.manifest(&repository("app"), &by_tag("v1")).await.unwrap_err()));
}

#[tokio::test]
async fn a_mount_asks_for_both_repositories() {
    let registry = Registry::start();
    let faults = FaultRegistry::with_bearer(&registry, Bearer::new());
    let image = small_image();
    image.push(&registry, "a", "v1");
    assert!(
        client(&faults.host()).mount(&repository("b"), &repository("a"), &layer_of(&image, 0)).await.unwrap()
    );
    let token = faults.requests().into_iter().find(|r| r.path.starts_with("/token")).unwrap();
    let pair = "scope=repository%3Ab%3Apull%2Cpush&scope=repository%3Aa%3Apull";
    assert!(token.path.ends_with(pair), "{}", token.path);
}

#[tokio::test]
async fn many_requests_share_one_token() {
    let registry = Registry::start();
    small_image().push(&registry, "app", "v1");
    let faults = FaultRegistry::with_bearer(&registry, Bearer::new());
    let settings = ClientSettings { max_requests: 64, ..settings() };
    let client = Client::new(&faults.host().parse().unwrap(), settings).unwrap();
    let (app, tag) = (repository("app"), tag("v1"));
    let all = futures_util::future::join_all((0..64).map(|_| client.resolve_tag(&app, &tag))).await;
    assert!(all.into_iter().all(|r| r.unwrap().is_some()));
    assert_eq!((faults.tokens_issued(), faults.count("GET", "^/v2/$")), (1, 1));
    assert_eq!(client.stats().token_requests, 1);
}

#[tokio::test]
async fn a_token_that_ends_in_the_middle_is_renewed_once() {
    let registry = Registry::start();
    small_image().push(&registry, "app", "v1");
    let faults = FaultRegistry::with_bearer(&registry, Bearer::new());
    let (client, app, tag) = (client(&faults.host()), repository("app"), tag("v1"));
    client.resolve_tag(&app, &tag).await.unwrap();
    faults.expire_tokens();
    let all = futures_util::future::join_all((0..16).map(|_| client.resolve_tag(&app, &tag))).await;
    assert!(all.into_iter().all(|r| r.unwrap().is_some()));
    assert_eq!(faults.tokens_issued(), 2);
}

#[tokio::test]
async fn a_token_that_ends_during_an_upload_is_renewed_for_the_next_attempt() {
    let registry = Registry::start();
    let faults = Arc::new(FaultRegistry::with_bearer(&registry, Bearer::new()));
    let (client, app, content) = (client(&faults.host()), repository("app"), b"content");
    let blob = Descriptor::of("x", content);
    let ending = faults.clone();
    let body = stream_of(content).inspect(move |_| ending.expire_tokens());
    let error = client.put_blob(&app, &blob, Box::pin(body)).await.unwrap_err();
    assert!(error.is_temporary(), "{error}");
    client.put_blob(&app, &blob, stream_of(content)).await.unwrap();
    assert_eq!(faults.tokens_issued(), 2);
}

#[tokio::test]
async fn a_401_without_a_challenge_is_final() {
    let faults = FaultRegistry::alone();
    faults.rule(Rule::on("*", "/manifests/").then(Action::status(401)));
    let client = with_login(&faults.host(), "u", "p");
    let error = client.manifest(&repository("app"), &by_tag("v1")).await.unwrap_err();
    assert!(is_unauthorized(&error) && faults.count("GET", "/manifests/") == 1);
    assert!(faults.requests().iter().all(|r| r.header("authorization").is_none()));
}

#[tokio::test]
async fn a_challenge_is_also_learned_later() {
    let registry = Registry::start();
    let image = small_image();
    image.push(&registry, "app", "v1");
    let faults = FaultRegistry::with_bearer(&registry, Bearer::new());
    faults.rule(Rule::on("GET", "^/v2/$").then(Action::status(200)));
    let client = client(&faults.host());
    assert_eq!(client.manifest(&repository("app"), &by_tag("v1")).await.unwrap().bytes(), image.manifest);
    read(client.blob(&repository("app"), &layer_of(&image, 0), 0).await.unwrap()).await.unwrap();
    assert_eq!(faults.tokens_issued(), 1);
}

#[tokio::test]
async fn credentials_stay_with_the_registry() {
    let registry = Registry::start();
    let image = small_image();
    image.push(&registry, "app", "v1");
    let bucket = FaultRegistry::before(&registry);
    let port = bucket.host().rsplit_once(':').unwrap().1.to_owned();
    for base in [format!("http://localhost:{port}"), bucket.url()] {
        let faults = FaultRegistry::with_bearer(&registry, Bearer::new().credentials("u", "p"));
        faults.rule(Rule::on("GET", "/blobs/").then(Action::Redirect(base)));
        let client = with_login(&faults.host(), "u", "p");
        let stream = client.blob(&repository("app"), &layer_of(&image, 0), 0).await.unwrap();
        assert_eq!(read(stream).await.unwrap(), image.layers[0].blob.bytes);
        let sent = faults.requests();
        let blob = sent.iter().find(|r| r.path.contains("/blobs/")).unwrap();
        assert!(blob.header("authorization").unwrap().starts_with("Bearer "));
        let ping = sent.iter().find(|r| r.path == "/v2/").unwrap();
        assert_eq!(ping.header("authorization"), None);
    }
    assert_eq!(bucket.requests().len(), 2);
    assert!(
        bucket
            .requests()
            .iter()
            .all(|r| r.header("authorization").is_none() && r.header("referer").is_none())
    );
}

#[tokio::test]
async fn a_way_back_does_not_bring_the_credentials_back() {
    let registry = Registry::builder().auth().start();
    let (faults, other) = (FaultRegistry::alone(), FaultRegistry::alone());
    let challenge = ("WWW-Authenticate".to_owned(), "Basic realm=\"x\"".to_owned());
    faults.rule(Rule::on("GET", "^/v2/$").then(Action::Answer(401, vec![challenge], Vec::new())));
    faults.rule(Rule::on("GET", "/blobs/").first(1).then(Action::Redirect(other.url())));
    other.rule(Rule::on("GET", "/blobs/").then(Action::Redirect(faults.url())));
    let client = with_login(&faults.host(), "u", "p");
    assert!(client.blob(&repository("app"), &layer_of(&small_image(), 0), 0).await.is_err());
    let sent = faults.requests();
    let blobs: Vec<bool> = sent
        .iter()
        .filter(|r| r.path.contains("/blobs/"))
        .map(|r| r.header("authorization").is_some())
        .collect();
    assert_eq!(blobs, [true, false]);
    drop(registry);
}

#[rstest]
#[case("http://169.254.169.254/latest/meta-data/iam")]
#[case("http://[::ffff:169.254.169.254]/")]
#[case("ftp://example.com/")]
#[case("nonsense")]
#[tokio::test]
async fn a_realm_that_leads_astray_is_not_asked(#[case] realm: &str) {
    let faults = FaultRegistry::alone();
    let challenge = ("WWW-Authenticate".to_owned(), format!("Bearer realm=\"{realm}\",service=\"s\""));
    faults.rule(Rule::on("*", "").then(Action::Answer(401, vec![challenge], Vec::new())));
    let client = with_login(&faults.host(), "u", "p");
    let error = client.manifest(&repository("app"), &by_tag("v1")).await.unwrap_err();
    assert!(error.to_string().contains("token server that is not asked"), "{error}");
    assert_eq!(client.stats().token_requests, 0);
}

/// Makes a registry that wants tokens, whose token server is told what to do by rules.
fn scripted() -> (FaultRegistry, Repository) {
    let faults = FaultRegistry::alone();
    let value = format!("Bearer realm=\"{}/token\",service=\"s\"", faults.url());
    let challenge = vec![("WWW-Authenticate".to_owned(), value)];
    faults.rule(Rule::on("GET", "^/v2/$").then(Action::Answer(401, challenge, Vec::new())));
    faults.rule(
        Rule::on("GET", "/tags/")
            .with_header("authorization", "^Bearer good$")
            .then(Action::body("application/json", r#"{"name":"app","tags":["v1"]}"#)),
    );
    (faults, repository("app"))
}

#[tokio::test]
async fn a_token_server_that_fails_is_asked_again_and_named() {
    let (faults, app) = scripted();
    faults.rule(Rule::on("GET", "^/token").first(1).then(Action::status(503)));
    faults.rule(
        Rule::on("GET", "^/token").after(1).then(Action::body("application/json", r#"{"token":"good"}"#)),
    );
    assert_eq!(client(&faults.host()).tags(&app, None, None).await.unwrap(), [tag("v1")]);

    let (faults, app) = scripted();
    faults.rule(Rule::on("GET", "^/token").then(Action::status(503)));
    let error = client(&faults.host()).tags(&app, None, None).await.unwrap_err();
    assert!(error.is_temporary() && error.to_string().contains("/token"), "{error}");
}

/// A client that has an identity token for the registry.
fn login(faults: &FaultRegistry) -> Client {
    let json = serde_json::json!({"auths": {faults.host(): {"identitytoken": "refresh"}}});
    let files = vec![("auth.json".into(), crate::net::Secret::new(json.to_string()))];
    let credentials = Arc::new(CredentialStore::from_files(files).unwrap());
    Client::new(&faults.host().parse().unwrap(), ClientSettings { credentials, ..settings() }).unwrap()
}

/// Fails if anything that opens a door has come to a server: in a header field, or in what it was asked for.
#[track_caller]
fn assert_got_no_secret(server: &FaultRegistry) {
    for request in server.requests() {
        let all: String = request.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        let text = format!("{} {}\n{all}", request.method, request.path).to_lowercase();
        for word in ["authorization", "hunter", "refresh", "basic ", "bearer "] {
            assert!(!text.contains(word), "`{word}` in\n{text}");
        }
    }
}

fn good_token() -> Action {
    Action::body("application/json", r#"{"token":"good","expires_in":300}"#)
}

#[tokio::test]
async fn a_token_server_that_redirects_takes_no_password_along() {
    let ((faults, app), other) = (scripted(), FaultRegistry::alone());
    other.rule(Rule::on("GET", "^/token").then(good_token()));
    faults.rule(Rule::on("GET", "^/token").then(Action::Redirect(other.url())));
    let client = with_login(&faults.host(), "u", "hunter2");
    assert_eq!(client.tags(&app, None, None).await.unwrap(), [tag("v1")]);
    let asked = |r: &&oc_mirror_testkit::Recorded| r.path.starts_with("/token");
    assert!(faults.requests().iter().find(asked).unwrap().header("authorization").is_some());
    assert_eq!(other.count("GET", "^/token"), 1);
    assert_got_no_secret(&other);
}

#[tokio::test]
async fn an_identity_token_is_not_posted_elsewhere() {
    let ((faults, app), other) = (scripted(), FaultRegistry::alone());
    other.rule(Rule::on("*", "").then(good_token()));
    faults.rule(Rule::on("POST", "^/token$").then(Action::Redirect(other.url())));
    let error = login(&faults).tags(&app, None, None).await.unwrap_err();
    assert!(error.to_string().contains("answered 307") && !error.is_temporary(), "{error}");
    assert!(other.requests().is_empty(), "{:?}", other.requests());
}

#[rstest]
#[case("http://169.254.169.254", "reserved for the machine itself")]
#[case("http://[::ffff:169.254.169.254]", "reserved for the machine itself")]
#[case("file:///etc", "not an HTTP URL")]
#[tokio::test]
async fn a_token_server_that_redirects_astray_is_not_followed(#[case] base: &str, #[case] why: &str) {
    let (faults, app) = scripted();
    faults.rule(Rule::on("GET", "^/token").then(Action::Redirect(base.to_owned())));
    let client = with_login(&faults.host(), "u", "hunter2");
    let error = client.tags(&app, None, None).await.unwrap_err();
    assert!(error.to_string().contains(why) && !error.is_temporary(), "{error}");
    assert_eq!(client.stats().token_requests, 1);
}

#[tokio::test]
async fn a_challenge_from_elsewhere_teaches_nothing() {
    let (registry, other) = (Registry::start(), FaultRegistry::alone());
    let image = small_image();
    image.push(&registry, "app", "v1");
    let wants = format!("Bearer realm=\"{}/token\",service=\"s\", Basic realm=\"x\"", other.url());
    let challenge = vec![("WWW-Authenticate".to_owned(), wants)];
    other.rule(Rule::on("*", "/blobs/").then(Action::Answer(401, challenge, Vec::new())));
    other.rule(Rule::on("*", "^/token").then(good_token()));
    let faults = FaultRegistry::with_bearer(&registry, Bearer::new().credentials("u", "hunter2"));
    faults.rule(Rule::on("GET", "/blobs/").first(1).then(Action::Redirect(other.url())));
    let client = with_login(&faults.host(), "u", "hunter2");
    let app = repository("app");
    let error = client.blob(&app, &layer_of(&image, 0), 0).await.err().unwrap();
    assert!(is_unauthorized(&error), "{error}");
    read(client.blob(&app, &layer_of(&image, 0), 0).await.unwrap()).await.unwrap();
    let asked: Vec<String> = other.requests().into_iter().map(|r| r.path).collect();
    assert!(asked.len() == 1 && asked[0].contains("/blobs/"), "{asked:?}");
    assert_got_no_secret(&other);
}

#[tokio::test]
async fn a_token_server_gets_the_credentials_of_its_registry_and_no_others() {
    let (faults, other) = (FaultRegistry::alone(), FaultRegistry::alone());
    let value = format!("Bearer realm=\"{}/token\",service=\"{}\"", other.url(), other.host());
    let challenge = vec![("WWW-Authenticate".to_owned(), value)];
    faults.rule(Rule::on("GET", "^/v2/$").then(Action::Answer(401, challenge, Vec::new())));
    other.rule(Rule::on("GET", "^/token").then(good_token()));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("auth.json");
    let entries = [(&*faults.host(), "u", "p"), (&*other.host(), "victim", "hunter2")];
    oc_mirror_testkit::write_auth_file(&path, &entries);
    let text = crate::net::Secret::new(std::fs::read_to_string(&path).unwrap());
    let credentials = Arc::new(CredentialStore::from_files(vec![(path, text)]).unwrap());
    let settings = ClientSettings { credentials, ..settings() };
    let client = Client::new(&faults.host().parse().unwrap(), settings).unwrap();
    let _ = client.tags(&repository("app"), None, None).await;
    let shown: Vec<String> =
        other.requests().iter().filter_map(|r| r.header("authorization").map(str::to_owned)).collect();
    assert_eq!(shown, [oc_mirror_testkit::basic_authorization("u", "p")]);
}

#[tokio::test]
async fn a_token_answer_has_a_longest() {
    let padded = |len: usize| {
        let mut body = br#"{"token":"good"}"#.to_vec();
        body.resize(len, b' ');
        Action::body("application/json", body)
    };
    let (faults, app) = scripted();
    faults.rule(Rule::on("GET", "^/token").then(padded(1 << 20)));
    assert_eq!(client(&faults.host()).tags(&app, None, None).await.unwrap(), [tag("v1")]);
    let (faults, app) = scripted();
    faults.rule(Rule::on("GET", "^/token").then(padded((1 << 20) + 1)));
    let error = client(&faults.host()).tags(&app, None, None).await.unwrap_err();
    assert!(error.to_string().contains("more than 1048576 bytes"), "{error}");
}

#[tokio::test]
async fn what_an_error_says_has_a_longest() {
    let saying = |len: usize| {
        let mut body = br#"{"errors":[{"code":"DENIED","message":"for a reason"}]}"#.to_vec();
        body.resize(len, b' ');
        Action::Answer(403, Vec::new(), body)
    };
    for (len, is_repeated) in [(64 << 10, true), ((64 << 10) + 1, false)] {
        let faults = FaultRegistry::alone();
        faults.rule(Rule::on("GET", "/tags/").then(saying(len)));
        let error = client(&faults.host()).tags(&repository("app"), None, None).await.unwrap_err();
        let text = format!("{error:?}");
        assert_eq!(text.contains("for a reason"), is_repeated, "{text}");
        assert!(matches!(error.kind(), crate::content::ContentErrorKind::Denied), "{error}");
    }
}

#[tokio::test]
async fn identity_tokens_are_posted_and_else_got() {
    let good = || Action::body("application/json", r#"{"access_token":"good","expires_in":300}"#);
    let (faults, app) = scripted();
    faults.rule(Rule::on("POST", "^/token$").then(good()));
    assert_eq!(login(&faults).tags(&app, None, None).await.unwrap().len(), 1);
    let (faults, app) = scripted();
    faults.rule(Rule::on("GET", "^/token").with_header("authorization", "^Basic ").then(good()));
    assert_eq!(login(&faults).tags(&app, None, None).await.unwrap().len(), 1);
    assert_eq!((faults.count("POST", "^/token"), faults.count("GET", "^/token")), (1, 1));
}

#[tokio::test]
async fn secrets_are_in_no_error() {
    let (faults, app) = scripted();
    let answer = Action::body("application/json", r#"{"token":"hunter2\n"}"#);
    faults.rule(Rule::on("GET", "^/token").then(answer));
    let client = with_login(&faults.host(), "u", "hunter3");
    let error = client.tags(&app, None, None).await.unwrap_err();
    let text = format!("{error} {error:?} {client:?}");
    assert!(!text.contains("hunter"), "{text}");
}

#[tokio::test]
async fn what_was_shown_is_not_repeated() {
    let registry = Registry::start();
    let app = repository("app");
    small_image().push(&registry, "app", "v1");
    let bearer = Bearer::new().named("bearer-of-the-test").credentials("someone", "correct horse");
    let faults = FaultRegistry::with_bearer(&registry, bearer);
    let client = with_login(&faults.host(), "someone", "correct horse");
    client.tags(&app, None, None).await.unwrap();
    let basic = oc_mirror_testkit::basic_authorization("someone", "correct horse");
    let told = format!("no: bearer-of-the-test-1, {basic}, correct horse and bearer-of-the-test-1");
    let body = serde_json::json!({"errors": [{"code": "DENIED", "message": told, "detail": {"sent": told}}]});
    for status in [403, 400] {
        let answer = Action::Answer(status, Vec::new(), body.to_string().into_bytes());
        faults.clear_rules();
        faults.rule(Rule::on("GET", "/tags/").then(answer));
        let error = client.tags(&app, None, None).await.unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        let text = format!("{error} {source} {error:?}");
        assert!(text.contains("no: [redacted], Basic [redacted], [redacted] and [redacted]"), "{text}");
        let encoded = basic.trim_start_matches("Basic ");
        for secret in ["bearer-of", "correct horse", encoded] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}
