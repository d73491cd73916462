use oc_mirror_model::manifest::RawManifest;
use oc_mirror_testkit::{Action, FaultRegistry, Registry, Rule};
use rstest::rstest;

use super::*;
use crate::content::ContentErrorKind;

fn blob(bytes: &[u8]) -> Descriptor {
    Descriptor::of("application/octet-stream", bytes)
}

fn manifest(image: &Image) -> RawManifest {
    RawManifest::parse(image.manifest.clone(), Some(&image.media_type)).unwrap()
}

#[tokio::test]
async fn a_blob_takes_two_requests_and_a_mount_one() {
    let registry = Registry::start();
    let faults = FaultRegistry::before(&registry);
    let client = client(&faults.host());
    let content = vec![7; 1 << 20];
    let (a, b, blob) = (repository("a"), repository("b"), blob(&content));
    client.put_blob(&a, &blob, stream_of(&content)).await.unwrap();
    assert!(client.has_blob(&a, &blob).await.unwrap());
    assert!(!client.has_blob(&b, &blob).await.unwrap());
    assert!(client.mount(&b, &a, &blob).await.unwrap());
    assert!(client.has_blob(&b, &blob).await.unwrap());
    let put = faults.requests().into_iter().find(|r| r.method == "PUT").unwrap();
    assert_eq!(put.header("content-length"), Some("1048576"));
    assert_eq!(put.header("transfer-encoding"), None);
    assert_eq!((faults.count("POST", ""), faults.count("PUT", ""), faults.count("PATCH", "")), (2, 1, 0));
    assert_eq!(client.stats().bytes_sent, 1 << 20);
}

#[tokio::test]
async fn a_refused_mount_lends_its_session_to_the_push() {
    let registry = Registry::start();
    let faults = FaultRegistry::before(&registry);
    faults.rule(Rule::on("POST", "mount=").then(Action::RefuseMount));
    let (client, content) = (client(&faults.host()), b"content");
    let (a, b, blob) = (repository("a"), repository("b"), blob(content));
    client.put_blob(&a, &blob, stream_of(content)).await.unwrap();
    faults.clear_requests();
    assert!(!client.mount(&b, &a, &blob).await.unwrap());
    client.put_blob(&b, &blob, stream_of(content)).await.unwrap();
    assert!(registry.has_blob("b", &blob.digest.to_string()));
    assert_eq!((faults.count("POST", ""), faults.count("PUT", "")), (1, 1));
}

#[rstest]
#[case(400)]
#[case(404)]
#[case(405)]
#[case(403)]
#[tokio::test]
async fn a_registry_without_mount_gets_a_push(#[case] status: u16) {
    let faults = FaultRegistry::alone();
    faults.rule(Rule::on("POST", "mount=").then(Action::status(status)));
    let mounted = client(&faults.host()).mount(&repository("b"), &repository("a"), &blob(b"x")).await;
    assert!(!mounted.unwrap());
}

#[rstest]
#[case::relative("next?_s=a%3D%2F&x=1", "/v2/app/blobs/uploads/next?_s=a%3D%2F&x=1&digest=")]
#[case::query_only("?_s=a%3D", "/v2/app/blobs/uploads/?_s=a%3D&digest=")]
#[case::rooted("/elsewhere/1", "/elsewhere/1?digest=")]
#[tokio::test]
async fn the_location_is_kept_to_the_letter(#[case] location: &str, #[case] expected: &str) {
    let faults = FaultRegistry::alone();
    let opened = Action::Answer(202, vec![("Location".into(), location.into())], Vec::new());
    faults.rule(Rule::on("POST", "/uploads/$").then(opened));
    faults.rule(Rule::on("PUT", "digest=").then(Action::status(201)));
    client(&faults.host()).put_blob(&repository("app"), &blob(b"x"), stream_of(b"x")).await.unwrap();
    let put = faults.requests().into_iter().find(|r| r.method == "PUT").unwrap();
    assert!(put.path.starts_with(expected), "{}", put.path);
}

#[tokio::test]
async fn an_upload_to_another_host_gets_no_credentials() {
    let (faults, other) = (FaultRegistry::alone(), FaultRegistry::alone());
    let port = other.host().rsplit_once(':').unwrap().1.to_owned();
    let location = format!("http://localhost:{port}/up?sig=secret");
    let challenge = ("WWW-Authenticate".to_owned(), "Basic realm=\"x\"".to_owned());
    faults.rule(Rule::on("GET", "^/v2/$").then(Action::Answer(401, vec![challenge], Vec::new())));
    faults.rule(Rule::on("POST", "").then(Action::Answer(
        202,
        vec![("Location".into(), location)],
        Vec::new(),
    )));
    other.rule(Rule::on("PUT", "^/up.sig=secret&digest=").then(Action::status(201)));
    let client = with_login(&faults.host(), "u", "p");
    client.put_blob(&repository("app"), &blob(b"x"), stream_of(b"x")).await.unwrap();
    assert!(faults.requests().iter().any(|r| r.header("authorization").is_some()));
    assert!(other.requests().iter().all(|r| r.header("authorization").is_none()));
}

#[rstest]
#[case("http://169.254.169.254/upload")]
#[case("http://[fe80::1]/upload")]
#[tokio::test]
async fn an_upload_goes_nowhere_forbidden(#[case] location: &str) {
    let faults = FaultRegistry::alone();
    let opened = Action::Answer(202, vec![("Location".into(), location.into())], Vec::new());
    faults.rule(Rule::on("POST", "").then(opened));
    let error =
        client(&faults.host()).put_blob(&repository("app"), &blob(b"x"), stream_of(b"x")).await.unwrap_err();
    assert!(error.to_string().contains("where no registry can be"), "{error}");
}

#[tokio::test]
async fn wrong_bytes_never_appear() {
    let registry = Registry::start();
    let client = client(&registry.host());
    let (app, right) = (repository("app"), blob(b"right bytes"));
    for (bytes, expected) in
        [("wrong bytes", "WrongDigest"), ("right", "WrongSize"), ("right bytes and more", "WrongSize")]
    {
        let body = verified(stream_of(bytes.as_bytes()), &right, "x");
        let error = client.put_blob(&app, &right, body).await.unwrap_err();
        assert!(format!("{:?}", error.kind()).starts_with(expected), "{error}");
        assert!(!client.has_blob(&app, &right).await.unwrap());
    }
    // Without the check, the registry finds out.
    let error = client.put_blob(&app, &right, stream_of(b"wrong bytes")).await.unwrap_err();
    assert!(error.to_string().contains("DIGEST_INVALID"), "{error}");
    let short = client.put_blob(&app, &right, stream_of(b"right")).await.unwrap_err();
    assert!(matches!(short.kind(), ContentErrorKind::WrongSize { actual: 5, .. }), "{short}");
    assert!(registry.log().iter().any(|l| l.method == "DELETE"), "uploads that failed are cancelled");
}

#[rstest]
#[case::hung_up(Action::Hangup)]
#[case::broken(Action::status(502))]
#[case::lost(Action::status(404))]
#[tokio::test]
async fn a_failed_upload_is_left_to_the_caller(#[case] fault: Action) {
    let registry = Registry::start();
    let faults = FaultRegistry::before(&registry);
    faults.rule(Rule::on("PUT", "/uploads/").first(1).then(fault));
    let (client, app, blob) = (client(&faults.host()), repository("app"), blob(b"x"));
    let error = client.put_blob(&app, &blob, stream_of(b"x")).await.unwrap_err();
    assert!(error.is_temporary(), "{error}");
    client.put_blob(&app, &blob, stream_of(b"x")).await.unwrap();
}

#[tokio::test]
async fn a_registry_that_changes_manifests_is_found_out() {
    let registry = Registry::start();
    let faults = FaultRegistry::before(&registry);
    let image = small_image();
    image.push(&registry, "app", "v1");
    let lie = Action::SetHeader("Docker-Content-Digest".into(), Digest::of(b"x").to_string());
    faults.rule(Rule::on("PUT", "/manifests/").then(lie));
    let error = client(&faults.host()).put_manifest(&repository("app"), &manifest(&image)).await.unwrap_err();
    assert!(error.to_string().contains("changes what is pushed"), "{error}");
}

#[rstest]
#[case::for_a_moment(2, true)]
#[case::always(usize::MAX, false)]
#[tokio::test]
async fn a_registry_that_takes_a_right_digest_for_a_wrong_one_is_asked_again(
    #[case] times: usize,
    #[case] is_put: bool,
) {
    let registry = Registry::start();
    let faults = FaultRegistry::before(&registry);
    let image = small_image();
    image.push(&registry, "app", "v1");
    let body = br#"{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match"}]}"#;
    let refused = Action::Answer(400, Vec::new(), body.to_vec());
    faults.rule(Rule::on("PUT", "/manifests/").first(times).then(refused));
    let outcome = client(&faults.host()).put_manifest(&repository("app"), &manifest(&image)).await;
    match is_put {
        true => outcome.unwrap(),
        false => assert!(outcome.unwrap_err().to_string().contains("`DIGEST_INVALID`")),
    }
    assert_eq!(faults.count("PUT", "/manifests/"), 3);
}

#[tokio::test]
async fn a_manifest_without_its_blobs_is_refused_in_the_words_of_the_registry() {
    let registry = Registry::start();
    let error = client(&registry.host())
        .put_manifest(&repository("app"), &manifest(&small_image()))
        .await
        .unwrap_err();
    assert!(matches!(error.kind(), ContentErrorKind::Incomplete(_)), "{error}");
    assert!(error.to_string().contains("`MANIFEST_BLOB_UNKNOWN`"), "{error}");
}

#[tokio::test]
async fn an_immutable_tag_that_is_right_already_is_no_error() {
    let registry = Registry::start();
    let faults = FaultRegistry::before(&registry);
    let (image, other) = (small_image(), ImageBuilder::new().layer(&[("o", "p")]).build());
    image.push(&registry, "app", "v1");
    faults.rule(Rule::on("PUT", "/manifests/v1").then(Action::status(409)));
    let client = client(&faults.host());
    client.put_tag(&repository("app"), &tag("v1"), &manifest(&image)).await.unwrap();
    assert!(client.put_tag(&repository("app"), &tag("v1"), &manifest(&other)).await.is_err());
}

#[tokio::test]
async fn a_blob_the_registry_redirects_for_is_there() {
    let (faults, bucket) = (FaultRegistry::alone(), FaultRegistry::alone());
    faults.rule(Rule::on("HEAD", "/blobs/").then(Action::Redirect(bucket.url())));
    bucket.rule(Rule::on("HEAD", "").then(Action::status(403)));
    assert!(client(&faults.host()).has_blob(&repository("app"), &blob(b"x")).await.unwrap());
}

#[tokio::test]
async fn sparse_indexes_are_probed_without_a_trace() {
    let registry = Registry::start();
    let client = client(&registry.host());
    assert!(!client.supports_sparse_index(&repository("scratch")).await.unwrap());
    assert!(registry.repositories().is_empty());
    assert!(client.sparse_refused().to_string().contains("all platforms"));
}

#[tokio::test]
async fn a_registry_that_takes_sparse_indexes_is_asked_to_forget_the_probe() {
    let faults = FaultRegistry::alone();
    faults.rule(Rule::on("PUT", "/manifests/sha256:").then(Action::status(201)));
    faults.rule(Rule::on("DELETE", "/manifests/sha256:").then(Action::status(405)));
    let client = client(&faults.host());
    assert!(client.supports_sparse_index(&repository("scratch")).await.unwrap());
    assert_eq!(faults.count("DELETE", "^/v2/scratch/manifests/sha256:"), 1);
    faults.clear_rules();
    let unknown = br#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#.to_vec();
    faults.rule(Rule::on("PUT", "").then(Action::Answer(404, Vec::new(), unknown)));
    assert!(client.supports_sparse_index(&repository("scratch")).await.unwrap_err().is_not_found());
}
