//! What cannot be had: `--on-error` finishes, stops, or leaves it out and says so, and nothing is fetched twice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use oc_mirror_testkit::{Action, FaultRegistry, Image, ImageBuilder, Registry, Rule};
use rstest::rstest;

use crate::lab::{Chunks, Lab, Run, UID, context, join, names_in};

fn images() -> Vec<Image> {
    let base = ImageBuilder::new().random_layer(100, 200_000).build();
    (0..5).map(|n| ImageBuilder::new().from(&base).random_layer(n, 120_000).build()).collect()
}

fn name(number: usize) -> String {
    format!("team/app-{number}")
}

/// The layer that only this image has.
fn own_layer(number: usize) -> String {
    images()[number].layer_digests()[1].clone()
}

/// A source with faults before it, a target that can delete, and all images but those that are gone.
fn lab(gone: &[usize]) -> (Lab, FaultRegistry) {
    let source = Registry::start();
    for (number, image) in images().iter().enumerate().filter(|(n, _)| !gone.contains(n)) {
        source.push(image, &name(number), "v1");
    }
    let faulty = FaultRegistry::before(&source);
    let context = context().env("SOURCE_DATE_EPOCH", "1700000000");
    let lab = Lab { context, source, target: Registry::builder().delete().start() };
    (lab, faulty)
}

fn want(lab: &Lab, faulty: &FaultRegistry, numbers: &[usize]) {
    let reference = |n: &usize| format!("{}/{}:v1", faulty.host(), name(*n));
    lab.configure(&numbers.iter().map(reference).collect::<Vec<_>>());
}

/// Counts how often each layer was sent whole.
fn fetched(faulty: &FaultRegistry) -> BTreeMap<String, usize> {
    let layers: Vec<String> = images().iter().flat_map(Image::layer_digests).collect();
    let mut counts = BTreeMap::new();
    for request in faulty.requests().into_iter().filter(|r| r.method == "GET" && r.status == 200) {
        if let Some(layer) = layers.iter().find(|layer| request.path.ends_with(*layer)) {
            *counts.entry(layer.clone()).or_default() += 1;
        }
    }
    counts
}

fn make(lab: &Lab, more: &[&str]) -> Run {
    lab.make(&join(&["--uid", UID, "--retry-times", "0"], more))
}

fn quarantined(run: &Run) -> Vec<String> {
    run.report().quarantined.iter().map(|failure| failure.subject.clone()).collect()
}

#[rstest]
#[case::in_one_chunk("1GiB")]
#[case::in_parts("150KiB")]
fn finish_brings_the_rest_and_the_next_run_only_what_is_missing(#[case] size: &str) {
    let (lab, faulty) = lab(&[1]);
    want(&lab, &faulty, &[0, 1, 2, 3, 4]);
    let args = ["--archive-size", size];
    let run = make(&lab, &args).expect(8);
    assert!(run.report().failures[0].subject.ends_with("team/app-1:v1"), "{:?}", run.report());
    assert!(run.outcomes().is_empty() && run.report().quarantined.is_empty());
    assert!(!names_in(&lab.path("disk")).iter().any(|name| name.starts_with("mirror_seq")), "no imageset");
    assert_eq!(fetched(&faulty).len(), 5, "what can be had is fetched: four layers and the base");

    // Another one breaks meanwhile, so there are three plans in all.
    lab.source.push(&images()[1], &name(1), "v1");
    faulty.rule(Rule::on("GET", &own_layer(1)).then(Action::status(404)));
    make(&lab, &args).expect(8);
    faulty.clear_rules();
    make(&lab, &args).expect(0);
    assert!(fetched(&faulty).values().all(|count| *count == 1), "{:?}", fetched(&faulty));
    assert_eq!(fetched(&faulty).len(), 6);
    let names = names_in(&lab.path("disk"));
    assert!(!names.iter().any(|name| name.starts_with(".mirror_seq")), "nothing is left over: {names:?}");

    // As if nothing had happened.
    lab.make_in("whole", &join(&["--uid", UID], &args)).expect(0);
    let [resumed, whole] = ["disk", "whole"].map(|d| Chunks::of(&lab.path(d), 1).bytes());
    assert!(resumed == whole, "the chunks differ");
    lab.publish("disk", &[]).expect(0);
    (0..5).for_each(|n| lab.assert_published(&images()[n], &name(n), "v1"));
}

#[test]
fn what_one_plan_does_not_want_waits_for_the_next() {
    let (lab, faulty) = lab(&[]);
    want(&lab, &faulty, &[0, 1, 2]);
    faulty.rule(Rule::on("GET", &own_layer(2)).then(Action::status(404)));
    make(&lab, &[]).expect(8);
    want(&lab, &faulty, &[0, 2, 3]);
    make(&lab, &[]).expect(8);
    faulty.clear_rules();
    want(&lab, &faulty, &[0, 1, 2, 3]);
    make(&lab, &[]).expect(0);
    assert!(fetched(&faulty).values().all(|count| *count == 1), "{:?}", fetched(&faulty));
}

#[test]
fn stop_is_at_once() {
    let (lab, faulty) = lab(&[]);
    want(&lab, &faulty, &[0, 1, 2, 3, 4]);
    faulty.rule(Rule::on("GET", &own_layer(0)).then(Action::status(404)));
    let args = ["--on-error", "stop", "--parallel-images", "1", "--parallel-layers", "1"];
    let run = make(&lab, &args).expect(8);
    assert_eq!(run.report().failures.len(), 1, "{:?}", run.report().failures);
    assert!(fetched(&faulty).len() < 5, "not all of the rest was fetched: {:?}", fetched(&faulty));
    faulty.clear_rules();
    make(&lab, &args).expect(0);
    assert!(fetched(&faulty).values().all(|count| *count == 1), "{:?}", fetched(&faulty));

    // What is gone is found out before anything is fetched.
    want(&lab, &faulty, &[0, 1]);
    lab.configure(&[format!("{}/team/gone:v1", faulty.host()), format!("{}/team/gone:v2", faulty.host())]);
    let run = lab.make_in("other", &join(&args, &["--retry-times", "0"])).expect(8);
    assert_eq!(run.report().failures.len(), 1, "{:?}", run.report().failures);
}

#[rstest]
#[case(&["--on-error", "quarantine"])]
#[case(&["--continue-on-error"])]
#[case(&["--on-error=drop"])]
fn quarantine_says_what_is_not_there_and_fetches_nothing_twice(#[case] policy: &[&str]) {
    let (lab, faulty) = lab(&[1]);
    want(&lab, &faulty, &[0, 1, 2, 3]);
    faulty.rule(Rule::on("GET", &own_layer(2)).then(Action::status(404)));
    let run = make(&lab, policy).expect(8);
    assert_eq!(run.outcomes(), [(1, "made")]);
    let [tag, layer] = [1, 2].map(|n| format!("{}/{}:v1", faulty.host(), name(n)));
    assert_eq!(quarantined(&run), [tag.clone(), layer.clone()]);
    assert!(run.output.raw_stderr.contains(&format!("quarantined: {tag}: ")), "{}", run.output.snapshot());
    assert!(fetched(&faulty).values().all(|count| *count == 1), "{:?}", fetched(&faulty));

    let chunks = Chunks::of(&lab.path("disk"), 1);
    let index = chunks.index();
    let listed: Vec<&str> = index["quarantined"]
        .as_array()
        .expect("listed")
        .iter()
        .map(|image| image["origin"].as_str().expect("a name"))
        .collect();
    assert_eq!(listed, [&tag, &layer]);
    assert!(index["quarantined"][0]["reason"].as_str().is_some_and(|reason| reason.contains("not found")));
    assert!(!chunks.blobs().contains(&own_layer(2)), "whole or not at all");
    // The far side is told, and has nothing to be blamed for.
    let published = lab.publish("disk", &[]).expect(0);
    assert_eq!(quarantined(&published), [tag, layer]);
    assert_eq!(lab.target.tags(&name(2)), Vec::<String>::new());
    // As soon as it can be had, it is wanted again.
    lab.source.push(&images()[1], &name(1), "v1");
    faulty.clear_rules();
    assert_eq!(make(&lab, policy).expect(0).outcomes(), [(2, "made")]);
    lab.publish("disk", &[]).expect(0);
    (0..4).for_each(|n| lab.assert_published(&images()[n], &name(n), "v1"));
}

#[test]
fn what_is_in_quarantine_is_not_pruned() {
    let (lab, faulty) = lab(&[]);
    want(&lab, &faulty, &[0, 1, 2]);
    make(&lab, &[]).expect(0);
    lab.publish("disk", &[]).expect(0);
    // 0 has left the configuration, and 1 cannot be had.
    want(&lab, &faulty, &[1, 2]);
    faulty.rule(Rule::on("*", "team/app-1/manifests/").then(Action::status(404)));
    make(&lab, &["--on-error", "quarantine"]).expect(8);
    for args in [&["--prune", "--dry-run"][..], &["--prune"], &["--prune"]] {
        let run = lab.publish("disk", args).expect(0);
        let told =
            run.report().warnings.iter().any(|w| w.contains("nothing was pruned") && w.contains("app-1"));
        assert!(told && run.report().pruned.is_none(), "{:?}", run.report().warnings);
    }
    (0..3).for_each(|n| lab.assert_published(&images()[n], &name(n), "v1"));
    // The same again is nothing new; that it is no longer wanted is, though there is nothing to carry.
    assert_eq!(make(&lab, &["--on-error", "quarantine"]).expect(8).outcomes(), [(2, "nothing new")]);
    want(&lab, &faulty, &[2]);
    assert_eq!(make(&lab, &[]).expect(0).outcomes(), [(3, "made")]);
    let run = lab.publish("disk", &["--prune"]).expect(0);
    assert_eq!(run.report().pruned.as_ref().map(|pruned| pruned.images.len()), Some(2), "{:?}", run.report());
    assert_eq!([0, 1, 2].map(|n| lab.target.tags(&name(n)).len()), [0, 0, 1]);
}

/// A target that does not take one image, with an imageset at hand.
fn with_a_target_that_refuses(number: usize) -> (Lab, FaultRegistry, String) {
    let (lab, source) = lab(&[]);
    want(&lab, &source, &[0, 1, 2, 3, 4]);
    make(&lab, &[]).expect(0);
    drop(source);
    let target = FaultRegistry::before(&lab.target);
    target.rule(Rule::on("PUT", &format!("{}/manifests/", name(number))).then(Action::status(403)));
    let to = format!("docker://{}", target.host());
    (lab, target, to)
}

#[test]
fn publishing_goes_on_and_records_nothing() {
    let (lab, target, to) = with_a_target_that_refuses(1);
    let args = ["--from", &lab.file("disk"), &to];
    let run = lab.run(&args).expect(8);
    assert_eq!(run.outcomes(), [(1, "failed")]);
    for number in [0, 2, 3, 4] {
        lab.assert_published(&images()[number], &name(number), "v1");
    }
    assert!(lab.chains("oc-mirror").is_empty(), "no record");
    target.clear_rules();
    assert_eq!(lab.run(&args).expect(0).outcomes(), [(1, "published")]);
}

#[test]
fn publishing_stops_at_once_where_that_is_asked_for() {
    let (lab, target, to) = with_a_target_that_refuses(0);
    // The others are tried again and again, which takes longer than one refusal.
    target.rule(Rule::on("PUT", "team/app-[1-4]/manifests/").then(Action::status(503)));
    let args = ["--from", &lab.file("disk"), &to, "--on-error", "stop"];
    let run = lab.run(&args).expect(8);
    let [failure] = run.report().failures.as_slice() else { panic!("{:?}", run.report()) };
    assert!(failure.subject.ends_with("team/app-0:v1"), "{failure:?}");
    assert_eq!(run.outcomes(), [(1, "failed")]);
    assert!((1..5).all(|n| lab.target.tags(&name(n)).is_empty()), "the rest was not published");
}

#[test]
fn what_a_target_does_not_take_is_wanted_of_it_again() {
    let (lab, target, to) = with_a_target_that_refuses(1);
    let args = ["--from", &lab.file("disk"), &to, "--on-error", "quarantine"];
    let run = lab.run(&args).expect(8);
    assert_eq!(run.outcomes(), [(1, "published")]);
    let refused = run.report().quarantined[0].subject.clone();
    assert!(refused.ends_with("team/app-1:v1") && run.report().failures.is_empty(), "{:?}", run.report());
    assert_eq!(lab.chains("oc-mirror"), [UID]);
    let run = lab.run(&join(&args, &["--prune"])).expect(8);
    assert!(run.report().warnings.iter().any(|w| w.contains("nothing was pruned")), "{:?}", run.report());

    // Only that image is sent once the target takes it.
    target.clear_rules();
    target.clear_requests();
    let run = lab.run(&args).expect(0);
    assert_eq!((run.outcomes(), run.report().quarantined.len()), (vec![(1, "published")], 0));
    let put: Vec<String> = target
        .requests()
        .into_iter()
        .filter(|r| r.method == "PUT" && r.path.contains("/manifests/") && !r.path.contains("oc-mirror"))
        .map(|r| r.path)
        .collect();
    assert!(!put.is_empty() && put.iter().all(|path| path.contains("team/app-1")), "{put:?}");
    lab.assert_published(&images()[1], &name(1), "v1");
    assert_eq!(lab.run(&args).expect(0).outcomes(), [(1, "already published")]);
}

#[test]
fn what_a_target_did_not_take_comes_out_of_the_imageset_that_has_it() {
    let (lab, target, to) = with_a_target_that_refuses(1);
    // Its blobs are refused as well, so the target has nothing of it.
    target.rule(Rule::on("*", "team/app-1/blobs/uploads/").then(Action::status(403)));
    let args = ["--from", &lab.file("disk"), &to, "--on-error", "quarantine"];
    lab.run(&args).expect(8);
    let extra = ImageBuilder::new().random_layer(77, 5000).build();
    let mut references: Vec<String> = (0..5).map(|n| lab.source.reference(&name(n), "v1")).collect();
    references.push(lab.push(&extra, "team/extra", "v1"));
    lab.configure(&references);
    make(&lab, &[]).expect(0);
    // The second imageset relies on what the first one brought.
    lab.run(&args).expect(8);
    target.clear_rules();
    let alone = lab.path("alone");
    std::fs::create_dir(&alone).expect("made");
    let second = "mirror_seq2_000000.tar";
    std::fs::copy(lab.path("disk").join(second), alone.join(second)).expect("copied");
    let run = lab.run(&["--from", &lab.file("alone"), &to, "--on-error", "quarantine"]).expect(8);
    assert!(
        run.report().quarantined[0].message.contains("neither in what is published nor at"),
        "{:?}",
        run.report()
    );
    lab.run(&args).expect(0);
    (0..5).for_each(|n| lab.assert_published(&images()[n], &name(n), "v1"));
    lab.assert_published(&extra, "team/extra", "v1");
}

#[test]
fn directly_as_well() {
    let (lab, source) = lab(&[1]);
    want(&lab, &source, &[0, 1, 2, 3]);
    let to = format!("docker://{}", lab.target.host());
    let run = |policy: &str| {
        let workspace = lab.file("w");
        let args =
            ["-c", "isc.yaml", "--workspace", &workspace, "--retry-times", "0", "--on-error", policy, &to];
        lab.run(&args)
    };
    let stopped = run("stop").expect(8);
    assert_eq!((lab.target.repositories().len(), stopped.report().failures.len()), (0, 1));
    run("finish").expect(8);
    for number in [0, 2, 3] {
        lab.assert_published(&images()[number], &name(number), "v1");
    }
    assert!(lab.chains("oc-mirror").is_empty(), "no record");
    let left_out = run("quarantine").expect(8);
    assert_eq!((left_out.outcomes(), quarantined(&left_out).len()), (vec![(1, "published")], 1));
    assert_eq!(run("quarantine").expect(8).outcomes(), [(1, "nothing new")]);
    lab.source.push(&images()[1], &name(1), "v1");
    assert_eq!(run("finish").expect(0).outcomes(), [(2, "published")]);
    lab.assert_published(&images()[1], &name(1), "v1");
}

#[test]
fn an_image_that_takes_too_long_is_given_up() {
    let (lab, faulty) = lab(&[]);
    want(&lab, &faulty, &[0, 1, 2]);
    faulty.rule(Rule::on("GET", &own_layer(1)).then(Action::Delay(Duration::from_secs(600))));
    let begun = Instant::now();
    let run = make(&lab, &["--image-timeout", "2s", "--on-error", "quarantine"]).expect(8);
    assert!(begun.elapsed() < Duration::from_secs(60), "it was not waited for");
    assert!(run.report().quarantined[0].message.contains("within the 2s"), "{:?}", run.report().quarantined);
    assert_eq!(run.report().images.len(), 2);
    faulty.clear_rules();
    make(&lab, &["--image-timeout", "0"]).expect(0);

    let target = FaultRegistry::before(&lab.target);
    for method in ["PATCH", "PUT"] {
        let never = Action::Delay(Duration::from_secs(600));
        target.rule(Rule::on(method, "team/app-2/blobs/uploads/").then(never));
    }
    let to = format!("docker://{}", target.host());
    let run = lab.run(&["--from", &lab.file("disk"), &to, "--image-timeout", "2s"]).expect(8);
    assert!(run.report().failures[0].subject.ends_with("team/app-2:v1"), "{:?}", run.report().failures);
    assert!(run.output.raw_stderr.contains("--image-timeout"), "{}", run.output.raw_stderr);
    lab.make(&["--image-timeout", "soon"]).assert_refused(1, "is not a duration");
}
