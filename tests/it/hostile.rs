//! Registries and lines at their worst: what can be had arrives, what cannot is named, and nothing wrong is ever sealed.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use oc_mirror_testkit::{Action, BreakingLine, FaultRegistry, Image, ImageBuilder, Registry, Rule};
use rstest::rstest;

use crate::lab::{Chunks, Lab, UID, context, names_in, run};

/// After how many bytes a connection breaks.
const MEGABYTES: std::ops::Range<u64> = 1_000_000..5_000_000;
/// Which image has the layer that is tampered with.
const VICTIM: usize = 3;
/// Which image has a layer that no single connection brings.
const LARGE: usize = 6;

/// Small images on one base, and one that is large. They take a while to make.
static IMAGES: LazyLock<Vec<Image>> = LazyLock::new(|| {
    let base = ImageBuilder::new().random_layer(100, 60_000).build();
    let own = |n: usize| ImageBuilder::new().from(&base).random_layer(n as u64, 20_000);
    (0..LARGE).map(|n| own(n).build()).chain([own(LARGE).random_layer(50, 25_000_000).build()]).collect()
});

fn small_images() -> &'static [Image] {
    &IMAGES[..LARGE]
}

fn name(number: usize) -> String {
    format!("team/app-{number}")
}

fn fill(source: &Registry, images: &[Image]) {
    images.iter().enumerate().for_each(|(number, image)| source.push(image, &name(number), "v1"));
}

/// Returns a lab that mirrors the images from this host.
fn lab(source: Registry, host: &str, images: &[Image]) -> Lab {
    let lab =
        Lab { context: context().env("SOURCE_DATE_EPOCH", "1700000000"), source, target: Registry::start() };
    lab.configure(&(0..images.len()).map(|n| format!("{host}/{}:v1", name(n))).collect::<Vec<_>>());
    lab
}

/// Returns a lab with an imageset of these images.
fn made(images: &[Image]) -> Lab {
    let source = Registry::start();
    fill(&source, images);
    let host = source.host();
    let lab = lab(source, &host, images);
    lab.make(&["--uid", UID]).expect(0);
    lab
}

/// Makes the imageset without any faults, elsewhere.
fn undisturbed(lab: &Lab) -> Vec<Vec<u8>> {
    run(&lab.context, &["-c", "isc.yaml", &lab.file("whole"), "--uid", UID]).expect(0);
    Chunks::of(&lab.path("whole"), 1).bytes()
}

/// Fails unless the target has these images; one of them is pulled by skopeo, of the others the parts are asked for.
#[track_caller]
fn assert_all_published(lab: &Lab, numbers: impl Iterator<Item = usize>) {
    for number in numbers {
        let (image, repository) = (&IMAGES[number], name(number));
        if number % LARGE == 0 {
            lab.assert_published(image, &repository, "v1");
        }
        let found = lab.target.digest_of(&repository, "v1");
        assert_eq!(found.as_ref(), Some(&image.digest), "{repository}:v1 at the target");
        for blob in image.blobs() {
            assert!(lab.target.has_blob(&repository, &blob.digest), "{} in {repository}", blob.digest);
        }
    }
}

/// The digest of the layer of its own that an image has.
fn own_layer(number: usize) -> String {
    small_images()[number].layer_digests()[1].clone()
}

/// Answers a third of the requests with 429 and some with 500, and breaks connections now and then.
fn be_busy(registry: &FaultRegistry) {
    registry
        .rule(Rule::on("*", "/v2/.+").every(3).then(Action::too_many_requests(0)))
        .rule(Rule::on("GET", "/v2/.+").nth(2).then(Action::too_many_requests(1)))
        .rule(Rule::on("*", "/v2/.+").every(7).then(Action::status(500)))
        .rule(Rule::on("*", "/v2/.+").every(11).then(Action::Hangup));
}

/// So many attempts that nobody fails by accident: nearly half of all requests do, and there are some hundreds of them. The pauses are
/// short, for the test's sake.
const PATIENT: [&str; 4] = ["--retry-times", "24", "--retry-delay", "10ms"];

#[test]
fn a_layer_goes_on_where_its_connection_broke() {
    let source = Registry::start();
    fill(&source, &IMAGES);
    let seen = FaultRegistry::before(&source);
    let line = BreakingLine::to(&seen.host(), MEGABYTES, 7);
    let lab = lab(source, &line.host(), &IMAGES);
    lab.make(&["--uid", UID, "--retry-delay", "10ms"]).expect(0);
    assert!(line.broken() >= 5, "the line broke {} times", line.broken());

    let layer = &IMAGES[LARGE].layers[2].blob;
    let last = layer.bytes.len() - 1;
    let requests = seen.requests();
    let gets: Vec<_> =
        requests.iter().filter(|r| r.method == "GET" && r.path.ends_with(&layer.digest)).collect();
    let ranges: Vec<Option<&str>> = gets.iter().map(|request| request.header("range")).collect();
    assert!(ranges.len() >= 5, "{ranges:?}");
    let mut before = 0;
    for range in ranges.iter().skip(1) {
        let range = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let (start, end) = range.unwrap_or_else(|| panic!("no closed range among {ranges:?}"));
        assert_eq!(end, last.to_string(), "{ranges:?}");
        let start: usize = start.parse().expect("a range begins with a number");
        assert!(start >= before, "what has come is asked for again: {ranges:?}");
        before = start;
    }
    lab.publish("disk", &[]).expect(0);
    assert_all_published(&lab, 0..=LARGE);
}

#[test]
fn an_upload_over_a_line_that_breaks_succeeds_or_is_the_only_one_that_does_not() {
    let source = Registry::start();
    fill(&source, &IMAGES);
    let host = source.host();
    let lab = lab(source, &host, &IMAGES);
    lab.make(&["--uid", UID]).expect(0);
    let line = BreakingLine::to(&lab.target.host(), MEGABYTES, 11);
    let to = format!("docker://{}", line.host());
    let run = lab.run(&["--from", &lab.file("disk"), &to, "--retry-delay", "10ms"]);
    assert!(line.broken() >= 5, "the line broke {} times", line.broken());
    if run.output.code == 0 {
        return assert_all_published(&lab, 0..=LARGE);
    }
    // docker-registry forgets an upload whose connection broke, so this is allowed.
    assert_named(&run, LARGE);
    assert_all_published(&lab, 0..LARGE);
    lab.publish("disk", &[]).expect(0);
    assert_all_published(&lab, 0..=LARGE);
}

/// Fails unless the run failed for this one image.
#[track_caller]
fn assert_named(run: &crate::lab::Run, number: usize) {
    let shown = run.output.snapshot();
    assert_eq!(run.output.code, 8, "\n{shown}");
    let named: Vec<&str> = run.output.raw_stderr.lines().filter(|line| line.contains("team/app-")).collect();
    let all_of_it = !named.is_empty() && named.iter().all(|line| line.contains(&name(number)));
    assert!(all_of_it, "{} is named, and no other\n{shown}", name(number));
}

#[test]
fn a_source_with_all_faults_at_once_is_mirrored_byte_for_byte() {
    let source = Registry::start();
    fill(&source, small_images());
    let hostile = FaultRegistry::before(&source);
    let lab = lab(source, &hostile.host(), small_images());
    let whole = undisturbed(&lab);
    be_busy(&hostile);
    let once = |number: usize, action| Rule::on("GET", &own_layer(number)).first(1).then(action);
    hostile
        .rule(once(0, Action::Corrupt(5_000)))
        .rule(once(1, Action::ClaimLength(50_000)))
        .rule(once(2, Action::ClaimLength(5_000)))
        .rule(once(3, Action::DropAfter(7_000)))
        .rule(once(4, Action::ReplaceBody(b"<html>log in first</html>".to_vec())));
    lab.make(&[&["--uid", UID], &PATIENT[..]].concat()).expect(0);
    let made = Chunks::of(&lab.path("disk"), 1).bytes();
    assert!(made == whole, "the imageset differs from one that was made without faults");
    lab.publish("disk", &[]).expect(0);
    assert_all_published(&lab, 0..LARGE);
}

#[test]
fn a_connection_that_stands_still_is_given_up_and_the_layer_goes_on() {
    let source = Registry::start();
    fill(&source, small_images());
    let silent = FaultRegistry::before(&source);
    let lab = lab(source, &silent.host(), small_images());
    let whole = undisturbed(&lab);
    silent
        .rule(Rule::on("GET", &own_layer(1)).first(1).then(Action::Stall(9_000, Duration::from_secs(600))))
        .rule(Rule::on("GET", "/manifests/").nth(4).then(Action::Delay(Duration::from_secs(600))));
    lab.make(&["--uid", UID, "--stall-timeout", "1s", "--retry-delay", "10ms"]).expect(0);
    assert!(Chunks::of(&lab.path("disk"), 1).bytes() == whole, "the imagesets differ");
}

#[rstest]
#[case::wrong_byte(Action::Corrupt(5_000))]
#[case::too_long(Action::ClaimLength(5_000_000))]
#[case::too_short(Action::ClaimLength(5_000))]
#[case::always_busy(Action::too_many_requests(0))]
fn what_cannot_be_had_is_named_and_the_rest_is_kept(#[case] fault: Action) {
    let source = Registry::start();
    fill(&source, small_images());
    let hostile = FaultRegistry::before(&source);
    let lab = lab(source, &hostile.host(), small_images());
    let whole = undisturbed(&lab);
    hostile.rule(Rule::on("GET", &own_layer(VICTIM)).then(fault));
    let failed = lab.make(&["--uid", UID, "--retry-times", "2", "--retry-delay", "10ms"]);
    assert_named(&failed, VICTIM);
    let sealed: Vec<String> =
        names_in(&lab.path("disk")).into_iter().filter(|name| name.ends_with(".tar")).collect();
    assert!(sealed.is_empty(), "nothing is sealed: {sealed:?}");

    hostile.clear_rules();
    hostile.clear_requests();
    lab.make(&["--uid", UID]).expect(0);
    assert!(Chunks::of(&lab.path("disk"), 1).bytes() == whole, "the imagesets differ");
    let layers: BTreeSet<String> = small_images().iter().flat_map(Image::layer_digests).collect();
    let again: Vec<&String> = layers.iter().filter(|layer| hostile.count("GET", layer) > 0).collect();
    assert_eq!(again, [&own_layer(VICTIM)], "only what was missing is fetched");
}

#[test]
fn a_target_with_all_faults_at_once_gets_everything() {
    let lab = made(small_images());
    let hostile = FaultRegistry::before(&lab.target);
    be_busy(&hostile);
    hostile
        .rule(Rule::on("PUT", "/blobs/").nth(2).then(Action::LoseAnswer))
        .rule(Rule::on("POST", "/blobs/").nth(3).then(Action::LoseAnswer))
        .rule(Rule::on("PUT", "/manifests/").nth(2).then(Action::LoseAnswer))
        .rule(Rule::on("POST", "mount=").nth(2).then(Action::RefuseMount));
    let to = format!("docker://{}", hostile.host());
    let from = lab.file("disk");
    lab.run(&[&["--from", &from, &to], &PATIENT[..]].concat()).expect(0);
    assert_all_published(&lab, 0..LARGE);
}

#[test]
fn a_busy_target_is_sent_the_record_until_it_takes_it() {
    let lab = made(&IMAGES[..1]);
    let busy = FaultRegistry::before(&lab.target);
    // Everything else has been published by then.
    busy.rule(Rule::on("PUT", "/v2/oc-mirror/blobs/").first(5).then(Action::too_many_requests(0)));
    let to = format!("docker://{}", busy.host());
    lab.run(&["--from", &lab.file("disk"), &to, "--retry-delay", "10ms"]).expect(0);
    assert_eq!(lab.chains("oc-mirror"), [UID]);
}

#[test]
fn a_target_that_never_takes_one_layer_gets_all_images_without_it() {
    let lab = made(small_images());
    let hostile = FaultRegistry::before(&lab.target);
    let invalid = br#"{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match"}]}"#;
    let layer = own_layer(VICTIM).replace(':', "(:|%3A)");
    hostile.rule(Rule::on("PUT", &layer).then(Action::Answer(400, Vec::new(), invalid.to_vec())));
    let to = format!("docker://{}", hostile.host());
    let args = ["--from", &lab.file("disk"), &to, "--retry-times", "2", "--retry-delay", "10ms"];
    let failed = lab.run(&args);
    assert_named(&failed, VICTIM);
    assert_eq!(lab.target.digest_of(&name(VICTIM), "v1"), None, "no image without all of its layers");
    assert_all_published(&lab, (0..LARGE).filter(|number| *number != VICTIM));
    hostile.clear_rules();
    lab.run(&args).expect(0);
    assert_all_published(&lab, 0..LARGE);
}
