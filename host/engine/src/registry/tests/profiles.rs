//! Registries that behave in their own ways, each with its profile and, as the proof that it is needed, without.

use oc_mirror_model::manifest::RawManifest;
use oc_mirror_testkit::{Action, Bearer, FaultRegistry, Personality, Quirk, Registry, Rule};
use rstest::rstest;

use super::*;
use crate::content::ContentErrorKind;
use crate::registry::profile::{Because, Product};

/// A client that is told what the registry is, or that has to find out.
fn client_of(faults: &FaultRegistry, profile: impl Into<Option<Product>>) -> Client {
    let settings = ClientSettings { profile: profile.into(), ..settings() };
    Client::new(&faults.host().parse().unwrap(), settings).unwrap()
}

fn blob(bytes: &[u8]) -> Descriptor {
    Descriptor::of("application/octet-stream", bytes)
}

/// Bytes in which nothing repeats, so that no piece can stand in for another one.
fn bytes(count: usize) -> Vec<u8> {
    (0..count / 8).flat_map(|n| (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect()
}

async fn put(client: &Client, repository_name: &str, content: &[u8]) -> Result<(), ContentError> {
    client.put_blob(&repository(repository_name), &blob(content), stream_of(content)).await
}

/// Puts a blob again until it is there, as whoever pushes does; returns how often that took.
async fn put_until_there(client: &Client, content: &[u8]) -> usize {
    for attempt in 1..=6 {
        match put(client, "app", content).await {
            Ok(()) => return attempt,
            Err(error) => assert!(error.is_temporary(), "{error}"),
        }
    }
    panic!("the blob never got there");
}

/// Fails the test unless the registry behind has exactly these bytes.
async fn assert_there(registry: &Registry, repository_name: &str, content: &[u8]) {
    let direct = client(&registry.host());
    let there = direct.blob(&repository(repository_name), &blob(content), 0).await.unwrap();
    assert!(read(there).await.unwrap() == content, "other bytes than were sent");
}

fn received(faults: &FaultRegistry) -> usize {
    faults.requests().iter().map(|r| r.received).sum()
}

#[tokio::test]
async fn acr_takes_large_blobs_in_pieces() {
    let registry = Registry::start();
    let faults = FaultRegistry::posing_as(&registry, Personality::Acr);
    let content = bytes(21 << 20);
    let client = client_of(&faults, Product::Acr);
    assert_eq!(put_until_there(&client, &content).await, 1);
    assert_eq!(client.stats().bytes_sent, content.len() as u64);
    assert_there(&registry, "app", &content).await;
    assert_eq!((faults.count("PATCH", ""), received(&faults)), (3, content.len()));

    // Without: all of it is sent in vain first.
    let registry = Registry::start();
    let faults = FaultRegistry::posing_as(&registry, Personality::Acr);
    assert_eq!(put_until_there(&client_of(&faults, Product::Generic), &content).await, 2);
    assert_eq!(received(&faults), 2 * content.len());
}

#[tokio::test]
async fn ghcr_takes_large_blobs_as_one_stream() {
    let registry = Registry::start();
    let faults = FaultRegistry::posing_as(&registry, Personality::Ghcr);
    let content = bytes(5 << 20);
    assert_eq!(put_until_there(&client_of(&faults, Product::Ghcr), &content).await, 1);
    assert_there(&registry, "app", &content).await;
    assert_eq!(received(&faults), content.len());

    // Without: whole is too large, and pieces are lost. It gets there in the end, with three times the bytes.
    let registry = Registry::start();
    let faults = FaultRegistry::posing_as(&registry, Personality::Ghcr);
    assert_eq!(put_until_there(&client_of(&faults, Product::Generic), &content).await, 3);
    assert_there(&registry, "app", &content).await;
    assert_eq!(received(&faults), 3 * content.len());
}

#[tokio::test]
async fn ecr_does_not_count_pieces() {
    let registry = Registry::start();
    let faults = FaultRegistry::posing_as(&registry, Personality::Ecr);
    faults.create("app");
    // A proxy before it takes no more than nginx does unless it is told otherwise.
    faults.quirk(Quirk::LargestBody(1 << 20, 413));
    let content = bytes(3 << 20);
    assert_eq!(put_until_there(&client_of(&faults, Product::Ecr), &content).await, 2);
    assert_there(&registry, "app", &content).await;

    // Without: what it says is believed, and the upload never ends.
    let other = [content.as_slice(), b"other bytes"].concat();
    let generic = client_of(&faults, Product::Generic);
    for _ in 0..4 {
        put(&generic, "app", &other).await.unwrap_err();
    }
    let error = put(&generic, "app", &other).await.unwrap_err();
    assert!(error.to_string().contains("the registry has kept"), "{error}");
}

#[tokio::test]
async fn artifactory_takes_blobs_with_the_first_request() {
    let registry = Registry::start();
    let faults = FaultRegistry::posing_as(&registry, Personality::Artifactory);
    // Nobody says that it is Artifactory: it does so itself.
    let client = client_of(&faults, None);
    put(&client, "app", b"content").await.unwrap();
    assert_there(&registry, "app", b"content").await;
    assert_eq!((faults.count("POST", "digest="), faults.count("PUT", "")), (1, 0));

    let error = put(&client_of(&faults, Product::Generic), "app", b"other").await.unwrap_err();
    assert!(matches!(error.kind(), ContentErrorKind::Denied), "{error}");
}

#[tokio::test]
async fn nexus_is_asked_for_the_manifest_itself() {
    let registry = Registry::start();
    let faults = FaultRegistry::posing_as(&registry, Personality::Nexus);
    let image = small_image();
    image.push(&registry, "app", "v1");
    let (app, v1) = (repository("app"), tag("v1"));
    let there = client_of(&faults, None).resolve_tag(&app, &v1).await.unwrap();
    assert_eq!(there.map(|d| d.digest.to_string()), Some(image.digest));
    assert_eq!(client_of(&faults, None).resolve_tag(&app, &tag("v2")).await.unwrap(), None);
    // Without: nothing is ever there, and all is put again.
    assert_eq!(client_of(&faults, Product::Generic).resolve_tag(&app, &v1).await.unwrap(), None);
}

#[tokio::test]
async fn zot_finds_blobs_wherever_they_are() {
    let registry = Registry::start();
    let faults = FaultRegistry::posing_as(&registry, Personality::Zot);
    let zot = client_of(&faults, Product::Zot);
    put(&zot, "a", b"content").await.unwrap();
    faults.clear_requests();
    let (b, content, other) = (repository("b"), blob(b"content"), blob(b"other"));
    assert!(zot.adopt(&b, &content).await.unwrap());
    assert!(registry.has_blob("b", &content.digest.to_string()));
    // What is nowhere is put into the session that asking has opened.
    assert!(!zot.adopt(&b, &other).await.unwrap());
    put(&zot, "b", b"other").await.unwrap();
    assert_eq!((faults.count("POST", ""), faults.count("PUT", "")), (2, 1));
    // Without: it is not even asked, and the bytes are sent.
    faults.clear_requests();
    let generic = client_of(&faults, Product::Generic);
    assert!(!generic.adopt(&repository("c"), &content).await.unwrap());
    assert_eq!(faults.count("POST", ""), 0);
}

#[tokio::test]
async fn a_registry_that_is_no_zot_is_asked_once() {
    let faults = FaultRegistry::alone();
    faults.rule(Rule::on("POST", "mount=").then(Action::status(400)));
    let client = client_of(&faults, Product::Zot);
    client.ping().await.unwrap();
    for _ in 0..3 {
        assert!(!client.adopt(&repository("a"), &blob(b"x")).await.unwrap());
    }
    assert_eq!(faults.count("POST", ""), 1);
}

#[tokio::test]
async fn ecr_gets_no_more_manifests_than_it_takes() {
    let registry = Registry::start();
    let image = small_image();
    image.push(&registry, "app", "v1");
    let manifests: Vec<RawManifest> = (0..14)
        .map(|n| {
            let mut manifest: serde_json::Value = serde_json::from_slice(&image.manifest).unwrap();
            manifest["annotations"] = serde_json::json!({ "n": n.to_string() });
            RawManifest::parse(manifest.to_string().into_bytes(), Some(&image.media_type)).unwrap()
        })
        .collect();
    let refused = async |product| {
        let faults = FaultRegistry::posing_as(&registry, Personality::Ecr);
        faults.create("app");
        let client = client_of(&faults, product);
        let app = repository("app");
        let puts = manifests.iter().map(|manifest| client.put_manifest(&app, manifest));
        let _ = futures_util::future::join_all(puts).await;
        faults.requests().iter().filter(|r| r.status == 429).count()
    };
    assert!(refused(Product::Generic).await > 0, "without, it refuses some");
    // On a busy machine some arrive together that were sent apart; not each time.
    let mut counts = Vec::new();
    while counts.last() != Some(&0) && counts.len() < 5 {
        counts.push(refused(Product::Ecr).await);
    }
    assert_eq!(counts.last(), Some(&0), "with it, none: {counts:?}");
}

#[tokio::test]
async fn a_tag_that_cannot_move_is_told_from_one_that_need_not() {
    let registry = Registry::start();
    let faults = FaultRegistry::posing_as(&registry, Personality::Ecr);
    faults.create("app");
    let client = client_of(&faults, None);
    let (image, other) = (small_image(), ImageBuilder::new().layer(&[("o", "p")]).build());
    let raw = |image: &Image| RawManifest::parse(image.manifest.clone(), Some(&image.media_type)).unwrap();
    image.push_untagged(&registry, "app");
    other.push_untagged(&registry, "app");
    client.put_tag(&repository("app"), &tag("v1"), &raw(&image)).await.unwrap();
    client.put_tag(&repository("app"), &tag("v1"), &raw(&image)).await.unwrap();
    let error = client.put_tag(&repository("app"), &tag("v1"), &raw(&other)).await.unwrap_err();
    assert!(matches!(error.kind(), ContentErrorKind::ImmutableTag { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains(&format!("the tag `v1` is immutable there, and points at `{}`", image.digest))
    );
}

#[rstest]
#[case::docker_registry(Product::DockerRegistry, 0)]
#[case::generic(Product::Generic, 1)]
#[tokio::test]
async fn who_has_no_list_of_referrers_is_not_asked(#[case] product: Product, #[case] asked: usize) {
    let registry = Registry::start();
    let faults = FaultRegistry::before(&registry);
    let subject = Digest::of(b"x");
    let found = client_of(&faults, product).list_referrers(&repository("app"), &subject).await.unwrap();
    assert_eq!((found, faults.count("GET", "/referrers/")), (None, asked));
}

#[tokio::test]
async fn mounts_that_there_are_not_are_tried_once() {
    let registry = Registry::start();
    let faults = FaultRegistry::posing_as(&registry, Personality::Gar);
    let client = client_of(&faults, None);
    for name in ["b", "c", "d"] {
        assert!(!client.mount(&repository(name), &repository("a"), &blob(b"x")).await.unwrap());
    }
    assert_eq!(faults.count("POST", "mount="), 1);
}

#[tokio::test]
async fn a_session_that_a_later_mount_makes_needless_is_given_up() {
    let registry = Registry::start();
    let faults = FaultRegistry::before(&registry);
    faults.rule(Rule::on("POST", "mount=").first(1).then(Action::RefuseMount));
    let client = client_of(&faults, None);
    put(&client, "a", b"x").await.unwrap();
    put(&client, "c", b"x").await.unwrap();
    assert!(!client.mount(&repository("b"), &repository("a"), &blob(b"x")).await.unwrap());
    assert_eq!(faults.count("DELETE", "/uploads/"), 0);
    assert!(client.mount(&repository("b"), &repository("c"), &blob(b"x")).await.unwrap());
    assert_eq!(faults.count("DELETE", "/uploads/"), 1);
}

#[rstest]
#[case::odd_range(Quirk::OddRange)]
#[case::relative_location(Quirk::RelativeLocation)]
#[case::created(Quirk::PatchCreates)]
#[tokio::test]
async fn pieces_arrive_whatever_the_answers_look_like(#[case] quirk: Quirk) {
    let registry = Registry::start();
    let faults = FaultRegistry::before(&registry);
    faults.quirk(quirk).quirk(Quirk::LargestBody(1 << 20, 413));
    let content = bytes(3 << 20);
    assert_eq!(put_until_there(&client_of(&faults, None), &content).await, 2);
    assert_there(&registry, "app", &content).await;
}

#[tokio::test]
async fn pieces_get_smaller_until_they_fit() {
    let registry = Registry::start();
    let faults = FaultRegistry::before(&registry);
    faults.quirk(Quirk::LargestBody(300 << 10, 413));
    let (client, content) = (client_of(&faults, None), bytes(6 << 20));
    assert_eq!(put_until_there(&client, &content).await, 2);
    assert_there(&registry, "app", &content).await;
    // What was learned holds for the blobs that follow.
    faults.clear_requests();
    let other = bytes(1 << 20).into_iter().rev().collect::<Vec<u8>>();
    assert_eq!(put_until_there(&client, &other).await, 1);
    assert!(faults.requests().iter().all(|r| r.status != 413));
}

#[tokio::test]
async fn a_registry_that_takes_next_to_nothing_is_an_error() {
    let registry = Registry::start();
    let faults = FaultRegistry::before(&registry);
    faults.quirk(Quirk::LargestBody(1000, 413));
    let (client, content) = (client_of(&faults, None), bytes(2 << 20));
    assert!(put(&client, "app", &content).await.unwrap_err().is_temporary());
    let error = put(&client, "app", &content).await.unwrap_err();
    assert!(error.to_string().contains("takes no pieces of 262144 bytes"), "{error}");
}

#[tokio::test]
async fn a_piece_that_breaks_off_is_sent_again_and_nothing_else() {
    let registry = Registry::start();
    let faults = FaultRegistry::before(&registry);
    faults.quirk(Quirk::LargestBody(1 << 20, 413));
    let (client, content) = (client_of(&faults, None), bytes(3 << 20));
    put(&client, "app", &content).await.unwrap_err();
    faults.clear_requests();
    faults.rule(Rule::on("PATCH", "").nth(2).then(Action::Hangup));
    put(&client, "app", &content).await.unwrap();
    assert_there(&registry, "app", &content).await;
    assert_eq!((faults.count("POST", ""), faults.count("PATCH", "")), (1, 5));
}

#[tokio::test]
async fn wrong_bytes_in_pieces_never_appear() {
    let registry = Registry::start();
    let faults = FaultRegistry::before(&registry);
    faults.quirk(Quirk::LargestBody(1 << 20, 413));
    let (client, content) = (client_of(&faults, None), bytes(3 << 20));
    put(&client, "app", &content).await.unwrap_err();
    let right = blob(&content);
    let mut damaged = content.clone();
    damaged[100] ^= 1;
    let body = verified(stream_of(&damaged), &right, "x");
    let error = client.put_blob(&repository("app"), &right, body).await.unwrap_err();
    assert!(matches!(error.kind(), ContentErrorKind::WrongDigest { .. }), "{error}");
    assert!(!registry.has_blob("app", &right.digest.to_string()));
}

#[rstest]
#[case::pieces(Product::Acr, 17 << 20)]
#[case::stream(Product::Ghcr, 1 << 20)]
#[tokio::test]
async fn a_wrong_profile_breaks_nothing(#[case] product: Product, #[case] size: usize) {
    let registry = Registry::start();
    // Google's takes whole blobs only.
    let faults = FaultRegistry::posing_as(&registry, Personality::Gar);
    let content = bytes(size);
    assert_eq!(put_until_there(&client_of(&faults, product), &content).await, 2);
    assert_there(&registry, "app", &content).await;
}

#[tokio::test]
async fn a_session_that_was_opened_instead_is_used() {
    let registry = Registry::start();
    let faults = FaultRegistry::before(&registry);
    // docker-registry takes no blob with the first request: it opens an upload.
    let client = client_of(&faults, Product::Artifactory);
    assert_eq!(put_until_there(&client, b"content").await, 2);
    assert_there(&registry, "app", b"content").await;
    assert_eq!((faults.count("POST", ""), faults.count("PUT", "")), (1, 1));
    assert_eq!(put_until_there(&client, b"more").await, 1);
}

#[tokio::test]
async fn nobody_is_asked_for_more_than_he_takes() {
    let registry = Registry::start();
    let faults = FaultRegistry::with_bearer(&registry, Bearer::new());
    for quirk in [Quirk::PlainAccept, Quirk::LongestPage(1000), Quirk::LongestHeader(2 << 10)] {
        faults.quirk(quirk);
    }
    let image = index();
    image.push(&registry, "from", "v1");
    let (client, from) = (with_login(&faults.host(), "tester", "testpass"), repository("from"));
    // Rights for many repositories make no long header: each request has those that it needs.
    for number in 0..40 {
        let to = repository(&format!("a/rather/long/name/of/a/repository/number-{number}"));
        for blob in image.blobs() {
            let blob = Descriptor::of(&blob.media_type, &blob.bytes);
            assert!(client.mount(&to, &from, &blob).await.unwrap());
        }
    }
    client.tags(&from, None, None).await.unwrap();
    client.tags(&from, None, Some(5000)).await.unwrap();
    copy(&client, &client, &from, &by_tag("v1")).await;
    client.referrers(&from, &Digest::of(b"x"), None).await.unwrap();
    let bad: Vec<_> = faults.requests().into_iter().filter(|r| matches!(r.status, 400 | 406)).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

#[rstest]
#[case::harbor(r#"Bearer realm="http://{host}/service/token",service="harbor-registry""#, Product::Harbor)]
#[case::gitlab(r#"Bearer realm="http://{host}/jwt/auth",service="container_registry""#, Product::GitLab)]
#[case::quay(r#"Bearer realm="http://{host}/v2/auth",service="{host}""#, Product::Quay)]
#[case::openshift(r#"Bearer realm="http://{host}/openshift/token""#, Product::OpenShift)]
#[case::ecr(r#"Basic realm="http://{host}/",service="ecr.amazonaws.com""#, Product::Ecr)]
#[tokio::test]
async fn registries_tell_what_they_are_when_they_ask_who_one_is(
    #[case] challenge: &str,
    #[case] product: Product,
) {
    let faults = FaultRegistry::alone();
    let challenge = challenge.replace("{host}", &faults.host());
    let asked = vec![("WWW-Authenticate".to_owned(), challenge)];
    faults.rule(Rule::on("GET", "^/v2/$").then(Action::Answer(401, asked, Vec::new())));
    let found = client_of(&faults, None).profile().await.unwrap();
    assert_eq!(found.profile.product, product);
    // Over TLS first, then plain: one answer is all that it takes.
    assert_eq!(faults.requests().len(), 1);
    let said = client_of(&faults, Product::Generic).profile().await.unwrap();
    assert_eq!((said.profile.product, said.because), (Product::Generic, Because::Said));
}

#[tokio::test]
async fn registries_that_have_nothing_to_hide() {
    let registry = Registry::start();
    let found = client(&registry.host()).profile().await.unwrap();
    assert_eq!(found.profile.product, Product::DockerRegistry, "{found:?}");
    for (personality, product) in [
        (Personality::Zot, Product::Zot),
        (Personality::Nexus, Product::Nexus),
        (Personality::Artifactory, Product::Artifactory),
    ] {
        let faults = FaultRegistry::posing_as(&registry, personality);
        assert_eq!(client_of(&faults, None).profile().await.unwrap().profile.product, product);
    }
    let silent = FaultRegistry::alone();
    assert_eq!(client_of(&silent, None).profile().await.unwrap().because, Because::Nothing);
}

#[tokio::test]
async fn a_push_is_tried_without_a_trace() {
    let registry = Registry::start();
    let client = client(&registry.host());
    assert_eq!(client.may_push(&repository("a/b")).await.unwrap(), None);
    assert!(registry.repositories().is_empty());
    let faults = FaultRegistry::posing_as(&registry, Personality::Ecr);
    let said = client_of(&faults, None).may_push(&repository("a/b")).await.unwrap().unwrap();
    assert!(said.contains("The repository with name 'a/b' does not exist"), "{said}");
    faults.create("a/b");
    assert_eq!(client_of(&faults, None).may_push(&repository("a/b")).await.unwrap(), None);
}

#[tokio::test]
async fn images_of_ocis_types_are_tried_untagged() {
    let registry = Registry::start();
    let direct = client(&registry.host());
    assert_eq!(direct.takes_oci(&repository("scratch")).await.unwrap(), None);
    assert_eq!(direct.takes_oci(&repository("scratch")).await.unwrap(), None);
    assert!(registry.tags("scratch").is_empty());
    let faults = FaultRegistry::before(&registry);
    faults.quirk(Quirk::NoOci);
    let said = client_of(&faults, None).takes_oci(&repository("scratch")).await.unwrap().unwrap();
    assert!(said.contains("the media type is not supported"), "{said}");
}

#[rstest]
#[case(Product::Ghcr, Personality::Ghcr)]
#[case(Product::DockerHub, Personality::DockerHub)]
#[tokio::test]
async fn who_deletes_nothing_is_known_before_it_is_asked(
    #[case] product: Product,
    #[case] personality: Personality,
) {
    let registry = Registry::builder().delete().start();
    small_image().push(&registry, "mirror/app", "v1");
    let digest: Digest = small_image().digest.parse().unwrap();
    let app = repository("mirror/app");
    let faults = FaultRegistry::posing_as(&registry, personality);
    let client = client_of(&faults, product);
    assert_eq!(client.profile().await.unwrap().profile.deletes, Some(false));
    client.delete_manifest(&app, &digest).await.unwrap_err();
    // Without, it takes a manifest and the attempt to know.
    let generic = client_of(&faults, Product::Generic).profile().await.unwrap();
    assert_eq!(generic.profile.deletes, None);
}

#[tokio::test]
async fn docker_registry_takes_all_manifests_that_there_can_be() {
    let registry = Registry::start();
    let image = small_image();
    image.push(&registry, "app", "v1");
    let most = crate::registry::profile::Profile::of(Product::DockerRegistry).largest_manifest.unwrap();
    let of = |len: u64| {
        let mut manifest: serde_json::Value = serde_json::from_slice(&image.manifest).unwrap();
        manifest["annotations"] = serde_json::json!({ "long": "" });
        let rest = len as usize - manifest.to_string().len();
        manifest["annotations"]["long"] = "x".repeat(rest).into();
        RawManifest::parse(manifest.to_string().into_bytes(), Some(&image.media_type))
    };
    let manifest = of(most).unwrap();
    assert_eq!(manifest.bytes().len() as u64, most);
    client(&registry.host()).put_manifest(&repository("app"), &manifest).await.unwrap();
    of(most + 1).expect_err("no manifest is larger than what the specification asks registries to take");
}
