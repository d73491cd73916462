//! Signatures, attestations, bills of materials and other referrers go along with the images that they are about.

use std::collections::BTreeSet;

use oc_mirror_testkit::{
    Action, FaultRegistry, Image, ImageBuilder, IndexBuilder, Registry, Rule, Skopeo, fixtures, http,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::lab::{Chunks, Lab, content_of, digest_tag};
use crate::serve::Served;
use crate::shop::Shop;

const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

fn app(content: &str) -> Image {
    ImageBuilder::new().layer(&[("app", content)]).random_layer(1, 20_000).build()
}

/// What cosign would tag `sha256-<hex>.<suffix>` beside an image.
fn attached(to: &Image, suffix: &str) -> Image {
    let payload = format!("{suffix} of {}", to.digest);
    let annotations = [("dev.cosignproject.cosign/signature", "MEUC")];
    ImageBuilder::new().blob(SIMPLE_SIGNING, payload.as_bytes(), &annotations).build()
}

/// A manifest that has the image as its subject.
fn referrer(to: &Image, name: &str) -> Image {
    let artifact = ImageBuilder::artifact(BUNDLE).blob(BUNDLE, name.as_bytes(), &[]).annotation("name", name);
    artifact.subject(to).build()
}

fn tag(of: &Image, suffix: &str) -> String {
    format!("{}.{suffix}", digest_tag(of))
}

/// Pushes a list of referrers, as a client has to keep it where the registry does not.
fn push_list(registry: &Registry, to: &Image, referrers: &[&Image], repository: &str) -> Image {
    let list = referrers.iter().fold(IndexBuilder::new(), |list, referrer| list.child(referrer)).build();
    registry.push(&list, repository, &digest_tag(to));
    list
}

/// Returns what a list of referrers names.
fn names(list: &[u8]) -> BTreeSet<String> {
    let list: Value = serde_json::from_slice(list).expect("a list is JSON");
    let digest = |d: &Value| d["digest"].as_str().expect("a descriptor has a digest").to_owned();
    list["manifests"].as_array().expect("an index").iter().map(digest).collect()
}

fn digests(images: &[&Image]) -> BTreeSet<String> {
    images.iter().map(|image| image.digest.clone()).collect()
}

/// Returns the list at the target, under its tag.
fn list_at(host: &str, repository: &str, of: &Image) -> Option<Vec<u8>> {
    let target = format!("/v2/{repository}/manifests/{}", digest_tag(of));
    let accept = [("Accept", OCI_INDEX)];
    let answer = http::get(host, &target, &accept).expect("the registry answers");
    (answer.status == 200).then_some(answer.body)
}

/// Returns what a registry with the API lists.
fn api_list(host: &str, repository: &str, of: &Image) -> BTreeSet<String> {
    let answer = http::get(host, &format!("/v2/{repository}/referrers/{}", of.digest), &[]);
    names(&answer.expect("the registry answers").body)
}

/// Mirrors what `isc.yaml` wants straight to a registry.
fn direct(lab: &Lab, host: &str, more: &[&str]) -> crate::lab::Run {
    let (workspace, to) = (lab.file("w"), format!("docker://{host}"));
    lab.run(&[&["-c", "isc.yaml", "--workspace", &workspace, &to], more].concat())
}

#[test]
fn a_real_image_of_four_architectures_brings_its_five_signatures() {
    let mut lab = Lab::new();
    let Some(images) = fixtures().map(|f| f.join("images")) else { return };
    let (repository, skopeo) = ("lab/multi", Skopeo::new());
    let name = "multi-platform-container";
    let mut tags = Vec::new();
    for entry in std::fs::read_dir(&images).expect("a readable directory") {
        let file = entry.expect("a readable directory").file_name().to_string_lossy().into_owned();
        let Some(rest) = file.strip_prefix(&format!("{name}-")) else { continue };
        let tag = rest.strip_suffix("-sig").map_or_else(|| rest.to_owned(), |hex| format!("{hex}.sig"));
        let to = format!("docker://{}", lab.source.reference(repository, &tag));
        skopeo.copy_all(&format!("oci:{}", images.join(&file).display()), &to);
        tags.push(tag);
    }
    assert_eq!(tags.len(), 6, "{tags:?}");
    let raw = |registry: &Registry, prefix: &str| -> Vec<Vec<u8>> {
        let name = |tag: &String| registry.reference(&format!("{prefix}{repository}"), tag);
        tags.iter().map(|tag| skopeo.inspect_raw(&format!("docker://{}", name(tag)))).collect()
    };
    let expected = raw(&lab.source, "");
    lab.configure(&[lab.source.reference(repository, "latest")]);
    let run = direct(&lab, &format!("{}/direct", lab.target.host()), &[]).expect(0);
    assert_eq!((run.report().images.len(), run.report().images[0].companions), (1, 5));
    assert_eq!(raw(&lab.target, "direct/"), expected);
    lab.make(&[]).expect(0);
    lab.source.stop();
    let published = lab.publish("disk", &[]).expect(0);
    assert_eq!(published.report().images[0].companions, 5);
    assert_eq!(raw(&lab.target, ""), expected);
}

#[test]
fn everything_beside_an_image_and_its_instances_goes_along() {
    let mut lab = Lab::new();
    let (amd, arm) = (app("amd"), ImageBuilder::new().platform("linux/arm64").layer(&[("a", "arm")]).build());
    let index = IndexBuilder::new().child(&amd).child(&arm).build();
    let reference = lab.push(&index, "team/app", "v1");
    let sbom = attached(&index, "sbom");
    let beside = [
        (attached(&index, "sig"), tag(&index, "sig")),
        (attached(&index, "att"), tag(&index, "att")),
        (sbom.clone(), tag(&index, "sbom")),
        (attached(&arm, "sig"), tag(&arm, "sig")),
        (attached(&sbom, "sig"), tag(&sbom, "sig")),
    ];
    for (image, tag) in &beside {
        lab.push(image, "team/app", tag);
    }
    let bundle = referrer(&amd, "bundle");
    let list = push_list(&lab.source, &amd, &[&bundle], "team/app");
    let unsigned = lab.push(&app("unsigned"), "team/unsigned", "v1");
    lab.configure(&[&reference, &unsigned]);
    let run = lab.make(&[]).expect(0);
    assert_eq!(run.report().images[0].companions, 5, "one of them is a companion's companion");
    assert_eq!(run.report().unsigned, [unsigned]);
    lab.source.stop();
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&index, "team/app", "v1");
    for (image, tag) in &beside {
        lab.assert_published(image, "team/app", tag);
    }
    lab.assert_published(&list, "team/app", &digest_tag(&amd));
    assert_eq!(lab.target.digest_of("team/app", &bundle.digest), Some(bundle.digest));
    assert_eq!(lab.target.tags("team/app").len(), 1 + beside.len() + 1);
}

#[test]
fn a_second_run_ships_nothing_and_a_later_signature_alone() {
    let lab = Lab::new();
    let image = app("1");
    lab.configure(&[lab.push(&image, "team/app", "v1")]);
    lab.push(&attached(&image, "sbom"), "team/app", &tag(&image, "sbom"));
    push_list(&lab.source, &image, &[&referrer(&image, "one")], "team/app");
    lab.make(&[]).expect(0);
    assert_eq!(lab.make(&[]).expect(0).outcomes(), [(1, "nothing new")]);
    let signature = attached(&image, "sig");
    lab.push(&signature, "team/app", &tag(&image, "sig"));
    assert_eq!(lab.make(&[]).expect(0).outcomes(), [(2, "made")]);
    let mut expected = content_of(&signature);
    expected.retain(|digest| !content_of(&attached(&image, "sbom")).contains(digest));
    assert_eq!(Chunks::of(&lab.path("disk"), 2).blobs(), expected);
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&signature, "team/app", &tag(&image, "sig"));
    // Straight to a registry, too.
    direct(&lab, &format!("{}/direct", lab.target.host()), &[]).expect(0);
    lab.target.clear_log();
    let again = direct(&lab, &format!("{}/direct", lab.target.host()), &[]).expect(0);
    assert!(again.outcomes().iter().all(|(_, outcome)| *outcome == "nothing new"), "{:?}", again.outcomes());
    assert_eq!(lab.writes_to_target(), []);
}

#[test]
fn referrers_of_an_api_become_a_tag_where_there_is_none() {
    let lab = Lab::new();
    let source = Served::start(&lab.context, &lab.path("source"));
    let image = app("1");
    let (one, two) = (referrer(&image, "one"), referrer(&image, "two"));
    image.push(&source.host(), "team/app", "v1");
    for referrer in [&one, &two] {
        referrer.push_untagged(&source.host(), "team/app");
    }
    let of_one = attached(&one, "sig");
    of_one.push(&source.host(), "team/app", &tag(&one, "sig"));
    lab.configure(&[source.reference("team/app", "v1")]);
    lab.make(&[]).expect(0);
    assert_eq!(lab.make(&[]).expect(0).outcomes(), [(1, "nothing new")], "a list is made the same again");
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&image, "team/app", "v1");
    let list = list_at(&lab.target.host(), "team/app", &image).expect("a list");
    assert_eq!(names(&list), digests(&[&one, &two]));
    let parsed: Value = serde_json::from_slice(&list).unwrap();
    assert_eq!(parsed["manifests"][0]["artifactType"], json!(BUNDLE));
    for referrer in [&one, &two] {
        let name = format!("docker://{}", lab.target.reference("team/app", &referrer.digest));
        assert_eq!(Skopeo::new().inspect_raw(&name), referrer.manifest);
    }
    lab.assert_published(&of_one, "team/app", &tag(&one, "sig"));

    // A registry with the API needs no tag, and gets none.
    let target = Served::start(&lab.context, &lab.path("target"));
    direct(&lab, &target.host(), &[]).expect(0);
    assert_eq!(api_list(&target.host(), "team/app", &image), digests(&[&one, &two]));
    assert_eq!(list_at(&target.host(), "team/app", &image), None);
    let again = direct(&lab, &target.host(), &[]).expect(0);
    assert!(again.outcomes().iter().all(|(_, outcome)| *outcome == "nothing new"), "{:?}", again.outcomes());
}

#[test]
fn an_imageset_that_is_served_answers_for_them() {
    let lab = Lab::new();
    let image = app("1");
    lab.configure(&[lab.push(&image, "team/app", "v1")]);
    let signature = attached(&image, "sig");
    lab.push(&signature, "team/app", &tag(&image, "sig"));
    let bundle = referrer(&image, "bundle");
    let list = push_list(&lab.source, &image, &[&bundle], "team/app");
    lab.make(&[]).expect(0);
    let served = Served::start(&lab.context, &lab.path("disk"));
    assert_eq!(served.digest_of("team/app", &tag(&image, "sig")), Some(signature.digest.clone()));
    assert_eq!(list_at(&served.host(), "team/app", &image), Some(list.manifest));
    assert_eq!(api_list(&served.host(), "team/app", &image), digests(&[&bundle]));
    // And from there everything goes on to the next registry.
    lab.configure(&[served.reference("team/app", "v1")]);
    direct(&lab, &lab.target.host(), &[]).expect(0);
    lab.assert_published(&signature, "team/app", &tag(&image, "sig"));
    assert_eq!(lab.target.digest_of("team/app", &digest_tag(&image)), Some(list.digest));
}

#[test]
fn what_others_put_into_a_list_stays_there() {
    let lab = Lab::new();
    let image = app("1");
    lab.configure(&[lab.push(&image, "team/app", "v1")]);
    let (ours, theirs) = (referrer(&image, "ours"), referrer(&image, "theirs"));
    push_list(&lab.source, &image, &[&ours], "team/app");
    lab.target.push(&image, "team/app", "v1");
    push_list(&lab.target, &image, &[&theirs], "team/app");
    lab.make(&[]).expect(0);
    lab.publish("disk", &[]).expect(0);
    let united = list_at(&lab.target.host(), "team/app", &image).expect("a list");
    assert_eq!(names(&united), digests(&[&ours, &theirs]));
    // The next sequence has nothing to add to it, and leaves it alone.
    lab.configure(&[lab.source.reference("team/app", "v1"), lab.push(&app("2"), "team/other", "v1")]);
    lab.make(&[]).expect(0);
    lab.publish("disk", &[]).expect(0);
    assert_eq!(list_at(&lab.target.host(), "team/app", &image), Some(united));
    // Lost as a whole, it is made again, though the imageset does not carry it any more.
    lab.target.push(&theirs, "team/app", &digest_tag(&image));
    lab.configure(&[lab.source.reference("team/app", "v1"), lab.push(&app("3"), "team/third", "v1")]);
    lab.make(&[]).expect(0);
    lab.publish("disk", &[]).expect(0);
    let list = list_at(&lab.target.host(), "team/app", &image).expect("a list");
    assert_eq!(names(&list), digests(&[&ours]));
}

#[test]
fn a_registry_that_lists_nothing_gets_the_tag_and_one_that_does_not_say_is_a_failure() {
    let lab = Lab::new();
    let image = app("1");
    let bundle = referrer(&image, "bundle");
    let source = Served::start(&lab.context, &lab.path("source"));
    image.push(&source.host(), "team/app", "v1");
    bundle.push_untagged(&source.host(), "team/app");
    lab.configure(&[source.reference("team/app", "v1")]);
    let faulty = FaultRegistry::before(&lab.target);
    faulty.rule(Rule::on("GET", "/referrers/").then(Action::status(403)));
    let run = direct(&lab, &faulty.host(), &[]).expect(8);
    assert!(run.report().failures[0].subject.ends_with(&digest_tag(&image)), "{:?}", run.report());
    faulty.clear_rules();
    let nothing = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [] });
    faulty.rule(Rule::on("GET", "/referrers/").then(Action::body(OCI_INDEX, nothing.to_string())));
    direct(&lab, &faulty.host(), &[]).expect(0);
    let list = list_at(&lab.target.host(), "team/app", &image).expect("a list");
    assert_eq!(names(&list), digests(&[&bundle]));
    let again = direct(&lab, &faulty.host(), &[]).expect(0);
    assert!(again.outcomes().iter().all(|(_, outcome)| *outcome == "nothing new"), "{:?}", again.outcomes());
}

#[test]
fn an_image_by_digest_makes_room_for_its_list() {
    let lab = Lab::new();
    let image = app("1");
    lab.push(&image, "team/app", "v1");
    lab.configure(&[lab.source.reference("team/app", &image.digest)]);
    lab.make(&[]).expect(0);
    lab.publish("disk", &[]).expect(0);
    assert_eq!(lab.target.tags("team/app"), [digest_tag(&image)]);
    // What is mirrored on from there has an image under the tag of a list, which is none.
    lab.configure(&[lab.target.reference("team/app", &image.digest)]);
    direct(&lab, &format!("{}/on", lab.target.host()), &[]).expect(0);
    assert_eq!(lab.target.tags("on/team/app"), [digest_tag(&image)]);

    let list = push_list(&lab.source, &image, &[&referrer(&image, "late")], "team/app");
    lab.configure(&[lab.source.reference("team/app", &image.digest)]);
    assert_eq!(lab.make(&[]).expect(0).outcomes(), [(2, "made")]);
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&image, "team/app", &tag(&image, "image"));
    lab.assert_published(&list, "team/app", &digest_tag(&image));
}

#[test]
fn an_image_in_two_places_is_signed_in_both() {
    let lab = Lab::new();
    let image = app("1");
    let name = lab.push(&image, "team/app", "v1");
    let signature = attached(&image, "sig");
    lab.push(&signature, "team/app", &tag(&image, "sig"));
    lab.configure_mirror(json!({ "additionalImages": [
        { "name": name }, { "name": name, "targetRepo": "other/place" } ]}));
    lab.source.clear_log();
    lab.make(&[]).expect(0);
    let asked = lab.source.log();
    let asked = asked.iter().filter(|l| l.method == "HEAD" && l.path.ends_with(&tag(&image, "sig")));
    assert_eq!(asked.count(), 1, "each manifest is asked about once");
    lab.publish("disk", &[]).expect(0);
    for repository in ["team/app", "other/place"] {
        lab.assert_published(&signature, repository, &tag(&image, "sig"));
    }
}

#[test]
fn images_of_layouts_have_companions_too() {
    let lab = Lab::new();
    let image = app("1");
    let (signature, bundle) = (attached(&image, "sig"), referrer(&image, "bundle"));
    image.write_layout(&lab.path("layout"), "v1");
    signature.write_layout(&lab.path("layout"), &tag(&image, "sig"));
    bundle.write_layout(&lab.path("layout"), "bundle");
    lab.configure_mirror(
        json!({ "additionalImages": [{ "name": "oci:layout:v1", "targetRepo": "from/disk" }] }),
    );
    lab.make(&[]).expect(0);
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&signature, "from/disk", &tag(&image, "sig"));
    let list = list_at(&lab.target.host(), "from/disk", &image).expect("a list");
    assert_eq!(names(&list), digests(&[&bundle]));
}

#[test]
fn they_can_be_left_out() {
    let lab = Lab::new();
    let image = app("1");
    lab.configure(&[lab.push(&image, "team/app", "v1")]);
    lab.push(&attached(&image, "sig"), "team/app", &tag(&image, "sig"));
    lab.source.clear_log();
    let run = lab.make(&["--remove-signatures"]).expect(0);
    assert_eq!((run.report().images[0].companions, run.report().unsigned.len()), (0, 0));
    let asked = lab.source.log();
    assert!(!asked.iter().any(|l| l.path.contains("sha256-") || l.path.contains("referrers")), "{asked:#?}");
    lab.publish("disk", &[]).expect(0);
    assert_eq!(lab.target.tags("team/app"), ["v1"]);
}

#[rstest]
#[case::broken(500, r"\.sig$")]
#[case::denied(403, r"\.sig$")]
#[case::unknown(401, r"\.att$")]
#[case::api_denied(403, "/referrers/")]
fn a_registry_that_does_not_say_is_a_failure_of_the_image(#[case] status: u16, #[case] path: &str) {
    let lab = Lab::new();
    let (signed, other) = (app("1"), app("2"));
    lab.push(&signed, "team/app", "v1");
    lab.push(&other, "team/other", "v1");
    let faulty = FaultRegistry::before(&lab.source);
    let of_app = format!("team/app/.*{path}").replace("/.*/", "/");
    // Where tags cannot be listed, each is asked for.
    faulty.rule(Rule::on("GET", "team/app/tags/list").then(Action::status(404)));
    faulty.rule(Rule::on("*", &of_app).then(Action::status(status)));
    let name = |repository: &str| format!("{}/{repository}:v1", faulty.host());
    lab.configure(&[name("team/app"), name("team/other")]);
    let args = ["--retry-times", "0"];
    let run = lab.make(&args).expect(8);
    let [failure] = run.report().failures.as_slice() else { panic!("{:?}", run.report()) };
    assert_eq!(failure.subject, name("team/app"));
    assert!(failure.message.contains(signed.digest.trim_start_matches("sha256:")), "{failure:?}");
    // As with any missing image: left out if that is what the user wants.
    let run = lab.make(&[&args[..], &["--on-error", "quarantine"]].concat()).expect(8);
    assert_eq!((run.outcomes(), run.report().quarantined.len()), (vec![(1, "made")], 1));
    lab.publish("disk", &[]).expect(0);
    assert_eq!((lab.target.tags("team/app").len(), lab.target.tags("team/other").len()), (0, 1));
}

#[test]
fn a_signature_that_cannot_be_fetched_takes_its_image_along() {
    let lab = Lab::new();
    let image = app("1");
    lab.push(&image, "team/app", "v1");
    lab.push(&app("2"), "team/other", "v1");
    let signature = attached(&image, "sig");
    lab.push(&signature, "team/app", &tag(&image, "sig"));
    let faulty = FaultRegistry::before(&lab.source);
    faulty.rule(Rule::on("GET", &signature.layers[0].blob.digest).then(Action::status(404)));
    lab.configure(&["team/app", "team/other"].map(|r| format!("{}/{r}:v1", faulty.host())));
    let args = ["--retry-times", "0", "--on-error", "quarantine"];
    for run in [lab.make(&args), direct(&lab, &format!("{}/direct", lab.target.host()), &args)] {
        let run = run.expect(8);
        let [dropped] = run.report().quarantined.as_slice() else { panic!("{:?}", run.report()) };
        assert!(dropped.subject.ends_with("team/app:v1"), "{dropped:?}");
        assert!(dropped.message.contains(&tag(&image, "sig")), "{dropped:?}");
    }
    assert_eq!(lab.target.tags("direct/team/other"), ["v1"]);
}

#[test]
fn a_signature_that_is_not_taken_fails_the_run_and_withholds_no_catalog() {
    let shop = Shop::new();
    let (_, catalog) = shop.usual();
    let bundle = shop.image("foo/bundle", "1.2.0");
    let hex = bundle.rsplit_once("sha256:").expect("by digest").1.to_owned();
    let signature = attached(&app("bundle"), "sig");
    shop.lab.push(&signature, "foo/bundle", &format!("sha256-{hex}.sig"));
    shop.want(
        json!([{ "catalog": catalog, "packages": [{ "name": "foo", "channels": [{ "name": "stable" }] }] }]),
    );
    shop.lab.make(&[]).expect(0);
    let faulty = FaultRegistry::before(&shop.lab.target);
    faulty.rule(Rule::on("PUT", &format!(r"manifests/sha256-{hex}\.sig")).then(Action::status(403)));
    let to = format!("docker://{}", faulty.host());
    let run = shop.lab.run(&["--from", &shop.lab.file("disk"), &to]).expect(4);
    let [failure] = run.report().failures.as_slice() else { panic!("{:?}", run.report()) };
    assert!(failure.subject.ends_with(".sig"), "{failure:?}");
    assert_eq!(shop.pull("shop/index", "v4.20").bundles(), ["foo.v1.2.0"]);
    faulty.clear_rules();
    shop.lab.run(&["--from", &shop.lab.file("disk"), &to]).expect(0);
    let tag = format!("sha256-{hex}.sig");
    assert_eq!(shop.lab.target.digest_of("foo/bundle", &tag), Some(signature.digest));
}

#[test]
fn of_many_tags_each_is_asked_for() {
    let lab = Lab::new();
    let image = app("1");
    let names: Vec<String> = (0..100).map(|n| lab.push(&image, "team/app", &format!("v{n:03}"))).collect();
    let signature = attached(&image, "sig");
    lab.push(&signature, "team/app", &tag(&image, "sig"));
    lab.configure(&names[..1]);
    lab.source.clear_log();
    lab.make(&[]).expect(0);
    let log = lab.source.log();
    assert_eq!(log.iter().filter(|l| l.path.contains("/tags/list")).count(), 1, "one look: {log:#?}");
    let heads = log.iter().filter(|l| l.method == "HEAD" && l.path.contains("/manifests/sha256-"));
    assert_eq!(heads.count(), 4, "three tags and the list: {log:#?}");
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&signature, "team/app", &tag(&image, "sig"));
}

#[test]
fn few_questions_are_asked_and_none_about_what_is_refused() {
    let lab = Lab::new();
    let names: Vec<String> =
        (0..10).map(|n| lab.push(&app(&n.to_string()), "team/app", &format!("v{n}"))).collect();
    let blocked = lab.push(&app("blocked"), "team/redis", "v1");
    let wanted: Vec<Value> = names.iter().chain([&blocked]).map(|name| json!({ "name": name })).collect();
    lab.configure_mirror(json!({ "additionalImages": wanted, "blockedImages": [{ "name": "redis" }] }));
    lab.source.clear_log();
    lab.make(&["--dry-run"]).expect(0);
    let log = lab.source.log();
    let heads = log.iter().filter(|l| l.method == "HEAD" && l.path.contains("/manifests/sha256-"));
    assert_eq!(heads.count(), 0, "the list of tags says that there are none: {log:#?}");
    assert_eq!(log.iter().filter(|l| l.path.contains("/tags/list")).count(), 1, "one list: {log:#?}");
    assert_eq!(log.iter().filter(|l| l.path.contains("/referrers/")).count(), 1, "the API once: {log:#?}");
    assert!(!log.iter().any(|l| l.path.contains("redis")), "{log:#?}");
}
