use oc_mirror_testkit::{Action, Certificates, FaultRegistry, Registry, Rule, Skopeo};
use rstest::rstest;

use super::*;
use crate::content::{CHUNK, ContentErrorKind};
use crate::net::Secret;

fn kind(error: &ContentError) -> String {
    format!("{:?}", error.kind())
}

#[rstest]
#[case::oci(small_image())]
#[case::docker(ImageBuilder::new().docker().layer(&[("a", "b")]).random_layer(7, 700_000).build())]
#[case::empty_layer(ImageBuilder::new().blob("application/x-empty", b"", &[]).build())]
#[case::index(index())]
#[case::list(IndexBuilder::new().docker().child(&ImageBuilder::new().docker().layer(&[("a", "b")]).build()).build())]
#[tokio::test]
async fn images_arrive_byte_for_byte(#[case] image: Image) {
    let (source, target) = (Registry::start(), Registry::start());
    image.push(&source, "ns/app", "v1");
    let (from, to) = (client(&source.host()), client(&target.host()));
    let digest = copy(&from, &to, &repository("ns/app"), &by_tag("v1")).await;
    assert_eq!(digest.to_string(), image.digest);
    let (there, back) = (target.reference("ns/app", "v1"), source.reference("witness", "v1"));
    let skopeo = Skopeo::new();
    assert_eq!(skopeo.inspect_raw(&format!("docker://{there}")), image.manifest);
    skopeo.copy_all(&format!("docker://{there}"), &format!("docker://{back}"));
    assert_eq!(from.manifest(&repository("witness"), &by_tag("v1")).await.unwrap().digest(), &digest);
    let found = to.resolve_tag(&repository("ns/app"), &tag("v1")).await.unwrap().unwrap();
    assert_eq!(
        (found.digest.to_string(), found.media_type.as_str()),
        (image.digest.clone(), image.media_type.as_str())
    );
    assert!(to.has_manifest(&repository("ns/app"), &digest).await.unwrap());
}

#[tokio::test]
async fn blobs_start_anywhere_and_come_in_pieces() {
    let registry = Registry::start();
    let image = ImageBuilder::new().random_layer(1, 2 << 20).build();
    image.push(&registry, "app", "v1");
    let (client, blob, bytes) = (client(&registry.host()), layer_of(&image, 0), &image.layers[0].blob.bytes);
    for offset in [0, 1, blob.size / 2, blob.size - 1, blob.size] {
        let stream = client.blob(&repository("app"), &blob, offset).await.unwrap();
        assert_eq!(read(stream).await.unwrap(), bytes[offset as usize..]);
    }
    let mut stream = client.blob(&repository("app"), &blob, 0).await.unwrap();
    while let Some(piece) = stream.next().await {
        assert!(piece.unwrap().len() <= CHUNK);
    }
    let error = client.blob(&repository("app"), &blob, blob.size + 1).await.err().unwrap();
    assert!(kind(&error).starts_with("Invalid"));
    let stats = client.stats();
    assert!(stats.bytes_received > 2 * blob.size && stats.requests == 7 && stats.retries == 0, "{stats:?}");
}

#[tokio::test]
async fn what_is_missing_is_not_found() {
    let registry = Registry::start();
    let client = client(&registry.host());
    let app = repository("app");
    assert!(client.manifest(&app, &by_tag("v1")).await.unwrap_err().is_not_found());
    assert!(client.blob(&app, &layer_of(&small_image(), 0), 0).await.err().unwrap().is_not_found());
    assert_eq!(client.resolve_tag(&app, &tag("v1")).await.unwrap(), None);
    assert!(!client.has_manifest(&app, &Digest::of(b"x")).await.unwrap());
    assert!(!client.has_blob(&app, &layer_of(&small_image(), 0)).await.unwrap());
    assert!(client.tags(&app, None, None).await.unwrap_err().is_not_found());
}

struct Behind {
    _registry: Registry,
    faults: FaultRegistry,
    image: Image,
    client: Client,
    app: Repository,
}

fn behind(image: Image) -> Behind {
    let registry = Registry::start();
    image.push(&registry, "app", "v1");
    let faults = FaultRegistry::before(&registry);
    let client = client(&faults.host());
    Behind { _registry: registry, faults, image, client, app: repository("app") }
}

#[rstest]
#[case::throttled(Action::too_many_requests(3600))]
#[case::broken(Action::status(503))]
#[case::hung_up(Action::Hangup)]
#[case::cut(Action::DropAfter(10))]
#[case::mangled(Action::Corrupt(5))]
#[tokio::test]
async fn manifests_are_asked_for_again(#[case] fault: Action) {
    let b = behind(small_image());
    b.faults.rule(Rule::on("GET", "/manifests/").first(1).then(fault));
    let events = Arc::new(Retries::default());
    let settings = ClientSettings { events: events.clone(), ..settings() };
    let client = Client::new(&b.faults.host().parse().unwrap(), settings).unwrap();
    let manifest = client.manifest(&b.app, &by_digest(&b.image.digest)).await;
    // Bytes that are no JSON any more cannot be told from a registry that never sends any.
    if let Err(error) = &manifest {
        assert!(kind(error).starts_with("Invalid"), "{error}");
        return;
    }
    assert_eq!(manifest.unwrap().bytes(), b.image.manifest);
    let told = events.0.lock().unwrap();
    assert!(told.len() == 1 && told[0].starts_with("2 ") && told[0].contains("app@sha256"), "{told:?}");
    assert_eq!(client.stats().retries, 1);
}

#[tokio::test]
async fn a_wrong_manifest_is_tried_and_then_refused() {
    let b = behind(small_image());
    let other = ImageBuilder::new().layer(&[("other", "x")]).build();
    let answer = Action::body(&other.media_type, other.manifest.clone());
    b.faults.rule(Rule::on("GET", "/manifests/sha256").then(answer));
    let error = b.client.manifest(&b.app, &by_digest(&b.image.digest)).await.unwrap_err();
    assert!(matches!(error.kind(), ContentErrorKind::WrongDigest { .. }), "{error}");
}

#[tokio::test]
async fn the_digest_a_registry_states_guards_a_tag() {
    let b = behind(small_image());
    b.faults.rule(
        Rule::on("GET", "/manifests/v1")
            .then(Action::SetHeader("Docker-Content-Digest".into(), Digest::of(b"x").to_string())),
    );
    let error = b.client.manifest(&b.app, &by_tag("v1")).await.unwrap_err();
    assert!(matches!(error.kind(), ContentErrorKind::WrongDigest { .. }), "{error}");
}

#[rstest]
#[case::announced(Action::ClaimLength(300 << 20), b"{}".to_vec())]
#[case::endless(Action::Chunked, vec![b' '; (4 << 20) + 1])]
#[tokio::test]
async fn a_huge_manifest_is_not_read(#[case] fault: Action, #[case] body: Vec<u8>) {
    let b = behind(small_image());
    b.faults.rule(Rule::on("GET", "/manifests/").then(Action::ReplaceBody(body)).then(fault));
    let error = b.client.manifest(&b.app, &by_tag("v1")).await.unwrap_err();
    assert!(error.to_string().contains("more than 4194304 bytes"), "{error}");
    assert!(!error.is_temporary());
    assert_eq!(b.faults.count("GET", "/manifests/"), 1);
}

#[tokio::test]
async fn a_manifest_cannot_pose_as_another_kind() {
    let b = behind(small_image());
    let lie = Action::SetHeader("Content-Type".into(), "application/vnd.oci.image.index.v1+json".into());
    b.faults.rule(Rule::on("GET", "/manifests/").then(lie));
    let error = b.client.manifest(&b.app, &by_tag("v1")).await.unwrap_err();
    assert!(kind(&error).starts_with("Invalid"), "{error}");
}

#[rstest]
#[case::digest("Docker-Content-Digest")]
#[case::content_type("Content-Type")]
#[tokio::test]
async fn a_head_without_all_headers_is_followed_by_a_get(#[case] header: &str) {
    let b = behind(small_image());
    b.faults.rule(Rule::on("HEAD", "/manifests/").then(Action::StripHeader(header.into())));
    let found = b.client.resolve_tag(&b.app, &tag("v1")).await.unwrap().unwrap();
    assert_eq!(found.digest.to_string(), b.image.digest);
    assert_eq!(b.faults.count("GET", "/manifests/"), 1);
}

#[tokio::test]
async fn only_manifests_are_asked_for_with_accept() {
    let b = behind(small_image());
    b.client.manifest(&b.app, &by_tag("v1")).await.unwrap();
    read(b.client.blob(&b.app, &layer_of(&b.image, 0), 0).await.unwrap()).await.unwrap();
    let accept = |path: &str| {
        let requests = b.faults.requests();
        let request = requests.iter().find(|r| r.path.contains(path)).unwrap();
        request.header("accept").unwrap_or_default().to_owned()
    };
    assert!(accept("/manifests/").contains("vnd.oci.image.index.v1+json"));
    assert!(matches!(accept("/blobs/").as_str(), "" | "*/*"));
    assert!(b.faults.requests().iter().all(|r| r.header("referer").is_none()));
    assert!(b.faults.requests().iter().all(|r| r.header("accept-encoding").is_none()));
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_broke() {
    let b = behind(ImageBuilder::new().random_layer(3, 400_000).build());
    let blob = layer_of(&b.image, 0);
    b.faults.rule(Rule::on("GET", "/blobs/").first(1).then(Action::DropAfter(150_000)));
    let mut stream = b.client.blob(&b.app, &blob, 0).await.unwrap();
    let mut bytes = Vec::new();
    let error = loop {
        match stream.next().await.unwrap() {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(error) => break error,
        }
    };
    assert!(error.is_temporary() && stream.next().await.is_none());
    let rest = b.client.blob(&b.app, &blob, bytes.len() as u64).await.unwrap();
    bytes.extend(read(rest).await.unwrap());
    assert_eq!(bytes, b.image.layers[0].blob.bytes);
    let range = b.faults.requests().last().unwrap().header("range").unwrap().to_owned();
    assert_eq!(range, format!("bytes=150000-{}", blob.size - 1));
}

#[tokio::test]
async fn a_registry_without_ranges_starts_over_and_is_skipped() {
    let b = behind(ImageBuilder::new().random_layer(3, 400_000).build());
    b.faults.rule(Rule::on("GET", "/blobs/").then(Action::StripRequestHeader("Range".into())));
    let stream = b.client.blob(&b.app, &layer_of(&b.image, 0), 300_000).await.unwrap();
    assert_eq!(read(stream).await.unwrap(), b.image.layers[0].blob.bytes[300_000..]);
}

#[rstest]
#[case::other_range(Action::SetHeader("Content-Range".into(), "bytes 0-4/10".into()))]
#[case::no_range(Action::StripHeader("Content-Range".into()))]
#[case::longer(Action::ClaimLength(1_000_000))]
#[tokio::test]
async fn a_wrong_answer_to_a_range_is_an_error(#[case] fault: Action) {
    let b = behind(ImageBuilder::new().random_layer(3, 40_000).build());
    b.faults.rule(Rule::on("GET", "/blobs/").then(fault));
    assert!(b.client.blob(&b.app, &layer_of(&b.image, 0), 5).await.is_err());
}

#[tokio::test]
async fn a_length_that_does_not_fit_ends_before_the_first_byte() {
    let b = behind(small_image());
    b.faults.rule(Rule::on("GET", "/blobs/").then(Action::ClaimLength(64 << 20)));
    let error = b.client.blob(&b.app, &layer_of(&b.image, 0), 0).await.err().unwrap();
    assert!(matches!(error.kind(), ContentErrorKind::WrongSize { actual: 67_108_864, .. }), "{error}");
}

#[rstest]
#[case::more(1_000_000)]
#[case::less(3)]
#[tokio::test]
async fn a_body_of_unknown_length_is_counted(#[case] size: usize) {
    let b = behind(small_image());
    let body = Action::ReplaceBody(vec![0; size]);
    b.faults.rule(Rule::on("GET", "/blobs/").then(body).then(Action::Chunked));
    let stream = b.client.blob(&b.app, &layer_of(&b.image, 0), 0).await.unwrap();
    assert!(read(stream).await.unwrap_err().is_temporary());
}

/// Nobody asked for it compressed. Whoever unpacks it nevertheless can be made to unpack without end.
#[rstest]
#[case("gzip")]
#[case("deflate")]
#[case("br, gzip")]
#[tokio::test]
async fn a_compressed_answer_is_not_unpacked(#[case] coding: &str) {
    let b = behind(small_image());
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, &vec![b' '; 64 << 20]).unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 100_000);
    b.faults.rule(
        Rule::on("GET", "/(manifests|blobs)/")
            .then(Action::ReplaceBody(bomb))
            .then(Action::SetHeader("Content-Encoding".into(), coding.into())),
    );
    let error = b.client.manifest(&b.app, &by_digest(&b.image.digest)).await.unwrap_err();
    assert!(error.to_string().contains("cannot be parsed"), "{error}");
    let error = b.client.blob(&b.app, &layer_of(&b.image, 0), 0).await.err().unwrap();
    assert!(matches!(error.kind(), ContentErrorKind::WrongSize { .. }), "{error}");
    assert!(b.client.stats().bytes_received < 1 << 20, "{:?}", b.client.stats());
}

/// A body with a length and in chunks is how requests are smuggled past proxies. What counts are the digest and the size.
#[rstest]
#[case::shorter(3)]
#[case::longer(1 << 20)]
#[tokio::test]
async fn a_body_with_two_lengths_is_held_to_its_descriptor(#[case] claimed: usize) {
    let b = behind(small_image());
    b.faults.rule(Rule::on("GET", "/blobs/").then(Action::TwoLengths(claimed)));
    let error = b.client.blob(&b.app, &layer_of(&b.image, 0), 0).await.err().unwrap();
    assert!(matches!(error.kind(), ContentErrorKind::WrongSize { .. }) && error.is_temporary(), "{error}");
    // Where the two agree, nobody can take one body for another.
    b.faults.clear_rules();
    let size = b.image.layers[0].blob.bytes.len();
    b.faults.rule(Rule::on("GET", "/blobs/").then(Action::TwoLengths(size)));
    let stream = b.client.blob(&b.app, &layer_of(&b.image, 0), 0).await.unwrap();
    assert_eq!(read(stream).await.unwrap(), b.image.layers[0].blob.bytes);
}

#[tokio::test]
async fn silence_ends_a_download() {
    let b = behind(ImageBuilder::new().random_layer(3, 40_000).build());
    b.faults.rule(Rule::on("GET", "/blobs/").then(Action::Stall(1000, Duration::from_secs(5))));
    let mut settings = settings();
    settings.net.stall.after = Duration::from_millis(300);
    let client = Client::new(&b.faults.host().parse().unwrap(), settings).unwrap();
    let stream = client.blob(&b.app, &layer_of(&b.image, 0), 0).await.unwrap();
    let error = read(stream).await.unwrap_err();
    assert!(error.is_temporary() && error.to_string().contains("nothing was received"), "{error}");
}

#[tokio::test]
async fn no_more_requests_at_once_than_allowed() {
    let b = behind(small_image());
    b.faults.rule(Rule::on("HEAD", "/manifests/").then(Action::Delay(Duration::from_millis(20))));
    let settings = ClientSettings { max_requests: 3, ..settings() };
    let client = Client::new(&b.faults.host().parse().unwrap(), settings).unwrap();
    let tag = tag("v1");
    futures_util::future::join_all((0..20).map(|_| client.resolve_tag(&b.app, &tag))).await;
    assert_eq!(b.faults.peak(), 3);
}

#[tokio::test]
async fn a_dead_registry_is_asked_as_often_as_said_by_all_together() {
    let faults = FaultRegistry::alone();
    faults.rule(Rule::on("*", ".*").then(Action::status(503)));
    let (client, app, tag) = (client(&faults.host()), repository("app"), tag("v1"));
    let all = futures_util::future::join_all((0..20).map(|_| client.resolve_tag(&app, &tag))).await;
    assert!(all.iter().all(|r| r.as_ref().is_err_and(ContentError::is_temporary)));
    assert_eq!(faults.requests().len(), 3, "three attempts to find out the scheme");
}

#[tokio::test]
async fn redirects_end() {
    let faults = FaultRegistry::alone();
    faults.rule(Rule::on("GET", "/blobs/").then(Action::Redirect(faults.url())));
    let error =
        client(&faults.host()).blob(&repository("app"), &layer_of(&small_image(), 0), 0).await.err().unwrap();
    assert!(error.to_string().contains("more than 10"), "{error}");
    assert_eq!(faults.count("GET", "/blobs/"), 11);
}

#[tokio::test]
async fn a_redirect_to_the_metadata_service_is_not_followed() {
    let faults = FaultRegistry::alone();
    faults.rule(Rule::on("GET", "/blobs/").then(Action::Redirect("http://169.254.169.254".into())));
    let error =
        client(&faults.host()).blob(&repository("app"), &layer_of(&small_image(), 0), 0).await.err().unwrap();
    assert!(error.to_string().contains("169.254.169.254") && !error.is_temporary(), "{error}");
}

fn tls_settings(certificates: Option<&Certificates>, tls_verify: bool) -> ClientSettings {
    let extra_ca = certificates.map(|c| std::fs::read(&c.authority).unwrap()).unwrap_or_default();
    let mut settings = settings();
    settings.net.tls_verify = tls_verify;
    settings.net.extra_ca = extra_ca;
    settings
}

#[tokio::test]
async fn certificates_are_checked_unless_told_not_to() {
    let registry = Registry::builder().tls().start();
    let host = registry.host().parse().unwrap();
    let ping = async |settings| Client::new(&host, settings).unwrap().check_access(None).await;
    ping(tls_settings(registry.certificates(), true)).await.unwrap();
    ping(tls_settings(None, false)).await.unwrap();
    let error = ping(tls_settings(None, true)).await.unwrap_err();
    assert!(error.to_string().contains("TLS failed") && !error.is_temporary(), "{error}");
}

#[tokio::test]
async fn plain_http_is_spoken_only_where_tls_is_not_verified() {
    let registry = Registry::start();
    let host = registry.host().parse().unwrap();
    let error = Client::new(&host, tls_settings(None, true)).unwrap().ping().await.unwrap_err();
    assert!(error.to_string().contains("plain HTTP") && !error.is_temporary(), "{error}");
    Client::new(&host, tls_settings(None, false)).unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn something_else_at_the_address_is_no_registry() {
    let faults = FaultRegistry::alone();
    let error = client(&faults.host()).check_access(None).await.unwrap_err();
    assert!(error.to_string().contains("no registry"), "{error}");
}

#[tokio::test]
async fn a_proxy_is_asked_for_all_but_this_machine() {
    let (proxy, here) = (FaultRegistry::alone(), FaultRegistry::alone());
    proxy.rule(Rule::on("GET", "").then(Action::status(200)));
    here.rule(Rule::on("GET", "").then(Action::status(200)));
    let mut settings = settings();
    settings.net.proxies.http = Some(Secret::new(proxy.url()));
    settings.net.proxies.https = settings.net.proxies.http.clone();
    settings.net.proxies.exempt = "other.invalid".into();
    let check = async |host: &str| {
        Client::new(&host.parse().unwrap(), settings.clone()).unwrap().check_access(None).await
    };
    check("registry.invalid").await.unwrap();
    assert_eq!(proxy.count("CONNECT", "^registry.invalid:443$"), 1);
    assert_eq!(proxy.requests().last().unwrap().path, "http://registry.invalid/v2/");
    proxy.clear_requests();
    check(&here.host()).await.unwrap();
    assert!(proxy.requests().is_empty() && here.requests().len() == 2);
}
