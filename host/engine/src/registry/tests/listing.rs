use oc_mirror_testkit::{Action, FaultRegistry, Registry, Rule};
use rstest::rstest;

use super::*;
use crate::content::ContentErrorKind;
use crate::registry::listing::{MAX_REFERRERS, MAX_TAGS};

fn names(tags: &[Tag]) -> Vec<&str> {
    tags.iter().map(Tag::as_str).collect()
}

fn page(tags: &[&str], link: Option<&str>) -> Action {
    let body = serde_json::json!({"name": "app", "tags": tags}).to_string().into_bytes();
    let link = link.map(|l| ("Link".to_owned(), format!("<{l}>; rel=\"next\"")));
    Action::Answer(200, link.into_iter().collect(), body)
}

#[tokio::test]
async fn tags_of_a_registry_without_pages() {
    let registry = Registry::start();
    for name in ["a", "b", "c", "d"] {
        small_image().push(&registry, "app", name);
    }
    let (client, app) = (client(&registry.host()), repository("app"));
    assert_eq!(names(&client.tags(&app, None, None).await.unwrap()), ["a", "b", "c", "d"]);
    assert_eq!(names(&client.tags(&app, Some(&tag("b")), None).await.unwrap()), ["c", "d"]);
    assert_eq!(names(&client.tags(&app, Some(&tag("a")), Some(2)).await.unwrap()), ["b", "c"]);
}

#[tokio::test]
async fn tags_are_read_page_by_page_as_far_as_wanted() {
    let faults = FaultRegistry::alone();
    faults.rule(Rule::on("GET", r"list\?n=").then(page(&["a", "..", "b"], Some("/v2/app/tags/list?last=b"))));
    faults.rule(Rule::on("GET", r"list\?last=b$").then(page(&["c"], Some("?last=c"))));
    faults.rule(Rule::on("GET", r"list\?last=c$").then(page(&["d"], None)));
    let (client, app) = (client(&faults.host()), repository("app"));
    assert_eq!(names(&client.tags(&app, None, None).await.unwrap()), ["a", "b", "c", "d"]);
    faults.clear_requests();
    assert_eq!(names(&client.tags(&app, None, Some(2)).await.unwrap()), ["a", "b"]);
    assert_eq!(faults.count("GET", "/tags/"), 1);
}

#[tokio::test]
async fn a_list_that_leads_in_circles_ends() {
    let faults = FaultRegistry::alone();
    faults.rule(Rule::on("GET", "/tags/").then(page(&["a"], Some("/v2/app/tags/list?n=1000"))));
    let found = client(&faults.host()).tags(&repository("app"), None, None).await.unwrap();
    assert_eq!(names(&found), ["a"]);
}

#[rstest]
#[case::of_pages(1, "more than 10000 pages")]
#[case::of_empty_pages(0, "more than 100 empty pages")]
#[case::of_tags(100_000, "more than 1000000 tags")]
#[tokio::test]
async fn a_list_without_an_end_is_given_up(#[case] tags: usize, #[case] why: &str) {
    let faults = FaultRegistry::alone();
    faults.rule(Rule::on("GET", "/tags/").then(Action::EndlessTags(tags)));
    let error = client(&faults.host()).tags(&repository("app"), None, None).await.unwrap_err();
    assert!(error.to_string().contains(why) && !error.is_temporary(), "{error}");
    // Whoever wants a few is not kept waiting for all.
    let some = client(&faults.host()).tags(&repository("app"), None, Some(3)).await;
    assert_eq!(some.map_or(0, |some| some.len()), if tags == 0 { 0 } else { 3 });
}

#[tokio::test]
async fn a_list_has_a_longest() {
    let (first, second) = ("/v2/app/tags/list?n=1000", "/v2/app/tags/list?last=x");
    let list = |count: usize, link: Option<&str>| {
        let names: Vec<String> = (0..count).map(|n| format!("t{n}")).collect();
        page(&names.iter().map(String::as_str).collect::<Vec<_>>(), link)
    };
    for (more, is_good) in [(0, true), (1, false)] {
        let faults = FaultRegistry::alone();
        let half = MAX_TAGS / 2;
        faults.rule(Rule::on("GET", r"list\?n=").then(list(half, Some(second))));
        faults.rule(Rule::on("GET", r"list\?last=x$").then(list(half + more, None)));
        let found = client(&faults.host()).tags(&repository("app"), None, None).await;
        match found {
            Ok(found) => assert!(is_good && found.len() == MAX_TAGS, "{first}"),
            Err(error) => {
                assert!(!is_good && !error.is_temporary(), "{error}");
                assert!(error.to_string().ends_with("the list has more than 1000000 tags"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn a_list_of_referrers_has_a_longest() {
    let list = |count: usize| {
        let one = Descriptor::of("application/vnd.oci.image.manifest.v1+json", b"1");
        serde_json::json!({ "schemaVersion": 2, "manifests": vec![&one; count] }).to_string()
    };
    for (more, is_good) in [(0, true), (1, false)] {
        let faults = FaultRegistry::alone();
        let kind = || ("Content-Type".to_owned(), "application/vnd.oci.image.index.v1+json".to_owned());
        let next = ("Link".to_owned(), "</v2/app/referrers/next>; rel=\"next\"".to_owned());
        let half = MAX_REFERRERS / 2;
        let (first, second) = (list(half).into_bytes(), list(half + more).into_bytes());
        faults.rule(Rule::on("GET", "/referrers/sha256").then(Action::Answer(
            200,
            vec![kind(), next],
            first,
        )));
        faults.rule(Rule::on("GET", "/referrers/next").then(Action::Answer(200, vec![kind()], second)));
        let found = client(&faults.host()).referrers(&repository("app"), &Digest::of(b"x"), None).await;
        match found {
            Ok(found) => assert!(is_good && found.len() == MAX_REFERRERS),
            Err(error) => {
                assert!(!is_good, "{error}");
                assert!(error.to_string().ends_with("the list has more than 10000 entries"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn a_page_has_a_longest() {
    let faults = FaultRegistry::alone();
    faults.rule(Rule::on("GET", "/tags/").then(Action::body("application/json", vec![b' '; (32 << 20) + 1])));
    let error = client(&faults.host()).tags(&repository("app"), None, None).await.unwrap_err();
    assert!(error.to_string().contains("more than 33554432 bytes"), "{error}");
}

#[tokio::test]
async fn manifests_are_deleted_where_that_is_allowed() {
    let registry = Registry::builder().delete().start();
    let image = small_image();
    image.push(&registry, "app", "v1");
    let (client, app, digest) = (client(&registry.host()), repository("app"), image.digest.parse().unwrap());
    assert!(client.delete_manifest(&app, &digest).await.unwrap());
    assert!(!client.delete_manifest(&app, &digest).await.unwrap());
    let registry = Registry::start();
    image.push(&registry, "app", "v1");
    let error = super::client(&registry.host()).delete_manifest(&app, &digest).await.unwrap_err();
    assert!(error.to_string().contains("UNSUPPORTED"), "{error}");
}

fn signature_index() -> (Digest, String) {
    let digest = Digest::of(b"subject");
    let one = |kind: &str, of: &[u8]| {
        let mut d = Descriptor::of("application/vnd.oci.image.manifest.v1+json", of);
        d.artifact_type = Some(kind.into());
        d
    };
    let index = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [one("sig", b"1"), one("sbom", b"2")],
    });
    (digest, index.to_string())
}

#[rstest]
#[case::api("/referrers/", None, 2)]
#[case::api_filtered_here("/referrers/", Some("sig"), 1)]
#[case::tag("/manifests/sha256-", None, 2)]
#[case::tag_filtered("/manifests/sha256-", Some("sbom"), 1)]
#[case::none("/nowhere/", None, 0)]
#[tokio::test]
async fn referrers(#[case] path: &str, #[case] kind: Option<&str>, #[case] expected: usize) {
    let (digest, index) = signature_index();
    let faults = FaultRegistry::alone();
    faults.rule(Rule::on("GET", path).then(Action::body("application/vnd.oci.image.index.v1+json", index)));
    let found = client(&faults.host()).referrers(&repository("app"), &digest, kind).await.unwrap();
    assert_eq!(found.len(), expected);
}

#[rstest]
#[case::api("/referrers/", 403)]
#[case::tag("/manifests/", 403)]
#[case::api_down("/referrers/", 500)]
#[tokio::test]
async fn a_denied_list_is_not_an_empty_one(#[case] path: &str, #[case] status: u16) {
    let faults = FaultRegistry::alone();
    faults.rule(Rule::on("GET", path).then(Action::status(status)));
    let found = client(&faults.host()).referrers(&repository("app"), &Digest::of(b"x"), None).await;
    let error = found.unwrap_err();
    assert!(matches!(error.kind(), ContentErrorKind::Denied | ContentErrorKind::Unavailable(_)), "{error}");
}

#[tokio::test]
async fn a_page_for_people_is_no_list_of_referrers() {
    let faults = FaultRegistry::alone();
    faults.rule(Rule::on("GET", "").then(Action::body("text/html", "<html>welcome</html>")));
    assert!(client(&faults.host()).referrers(&repository("app"), &Digest::of(b"x"), None).await.is_err());
}

#[rstest]
#[case::no_api(404, None)]
#[case::no_such_method(405, None)]
#[case::nothing_refers(200, Some(0))]
#[tokio::test]
async fn no_list_is_not_an_empty_one(#[case] status: u16, #[case] expected: Option<usize>) {
    let faults = FaultRegistry::alone();
    let empty = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let answer = match status {
        200 => Action::body("application/vnd.oci.image.index.v1+json", empty),
        other => Action::status(other),
    };
    faults.rule(Rule::on("GET", "/referrers/").then(answer));
    let client = client(&faults.host());
    let found = ContentRead::list_referrers(&client, &repository("app"), &Digest::of(b"x")).await.unwrap();
    assert_eq!(found.map(|list| list.len()), expected);
}

#[tokio::test]
async fn an_image_under_the_tag_of_its_own_digest_is_no_list() {
    let registry = Registry::start();
    let index = index();
    index.push(&registry, "app", &index.digest.replace(':', "-"));
    let digest: Digest = index.digest.parse().unwrap();
    let found = client(&registry.host()).referrers(&repository("app"), &digest, None).await.unwrap();
    assert_eq!(found, []);
}
