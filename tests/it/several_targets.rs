//! One imageset for several registries in one run: each is brought to where it should be, and each blob is read once.

use std::collections::BTreeSet;

use oc_mirror_model::report::TargetReport;
use oc_mirror_testkit::{Image, ImageBuilder, IndexBuilder, Registry, Skopeo};

use crate::lab::{Lab, Run, names_in, read};

fn images() -> [Image; 3] {
    let base = ImageBuilder::new().random_layer(1, 40_000).build();
    let arm = ImageBuilder::new().platform("linux/arm64").random_layer(2, 30_000).build();
    [
        ImageBuilder::new().from(&base).random_layer(3, 50_000).build(),
        ImageBuilder::new().from(&base).layer(&[("app", "1")]).build(),
        IndexBuilder::new().child(&ImageBuilder::new().random_layer(4, 9_000).build()).child(&arm).build(),
    ]
}

fn name(number: usize) -> String {
    format!("team/app-{number}")
}

/// Makes an imageset of the first images.
fn make(lab: &Lab, count: usize) -> Vec<Image> {
    let images = images()[..count].to_vec();
    let push = |(number, image): (usize, &Image)| lab.push(image, &name(number), "v1");
    let names: Vec<String> = images.iter().enumerate().map(push).collect();
    lab.configure(&names);
    lab.make(&[]).expect(0);
    images
}

fn distinct_blobs(images: &[Image]) -> BTreeSet<String> {
    images.iter().flat_map(|image| image.blobs()).map(|blob| blob.digest.clone()).collect()
}

#[track_caller]
fn assert_pulled(registry: &Registry, prefix: &str, images: &[Image]) {
    for (number, image) in images.iter().enumerate() {
        let reference =
            format!("docker://{}", registry.reference(&format!("{prefix}{}", name(number)), "v1"));
        assert_eq!(Skopeo::new().inspect_raw(&reference), image.manifest, "{reference}");
        Skopeo::new().pull(&reference);
    }
}

fn outcomes(target: &TargetReport) -> Vec<(u64, &str)> {
    target.imagesets.iter().map(|i| (i.sequence, i.outcome.as_str())).collect()
}

/// How often blobs were read, for all targets together.
#[track_caller]
fn blobs_read(run: &Run) -> u64 {
    run.report().totals.other["blobsRead"]
}

#[test]
fn an_imageset_goes_to_two_registries_and_is_read_once() {
    let mut lab = Lab::new();
    let second = Registry::start();
    let images = make(&lab, 3);
    lab.source.stop();
    let (a, b) =
        (format!("docker://{}", lab.target.host()), format!("docker://{}/team/mirror", second.host()));
    let from = lab.file("disk");
    let workspace = lab.file("w");
    let args = ["--from", &from, "--workspace", &workspace, &a, &b];

    lab.run(&[&args[..], &["--dry-run"]].concat()).expect(0);
    assert!(lab.target.repositories().is_empty() && second.repositories().is_empty());
    let mappings = names_in(&lab.path("w/working-dir/dry-run"));
    assert_eq!(mappings.len(), 2, "{mappings:?}");

    let run = lab.run(&args).expect(0);
    assert_eq!(blobs_read(&run), distinct_blobs(&images).len() as u64);
    assert_eq!(run.outcomes(), [(1, "published")]);
    assert_pulled(&lab.target, "", &images);
    assert_pulled(&second, "team/mirror/", &images);
    let targets: Vec<&str> = run.report().targets.iter().map(|t| t.target.as_str()).collect();
    assert_eq!(targets, [&a, &b]);
    for (target, mirror) in
        run.report().targets.iter().zip([lab.target.host(), second.host() + "/team/mirror"])
    {
        let dir = lab.path("w/working-dir/cluster-resources").join(&target.directory);
        let text = String::from_utf8(read(&dir.join("itms-oc-mirror.yaml"))).expect("text");
        assert!(text.contains(&format!("{mirror}/team")), "{text}");
    }

    let again = lab.run(&args).expect(0);
    assert_eq!(again.outcomes(), [(1, "already published")]);
    assert_eq!(blobs_read(&again), 0);
}

#[test]
fn one_of_them_may_be_behind() {
    let lab = Lab::new();
    let second = Registry::start();
    let (a, b) = (format!("docker://{}", lab.target.host()), format!("docker://{}", second.host()));
    make(&lab, 1);
    lab.publish("disk", &[]).expect(0);
    let images = make(&lab, 3);
    let run = lab.run(&["--from", &lab.file("disk"), &a, &b]).expect(0);
    assert_eq!(run.outcomes(), [(1, "varies"), (2, "published")]);
    let [ahead, behind] = run.report().targets.as_slice() else { panic!("two targets") };
    assert_eq!(outcomes(ahead), [(1, "already published"), (2, "published")]);
    assert_eq!(outcomes(behind), [(1, "published"), (2, "published")]);
    // What the first one has already is read for the second one.
    assert_eq!(blobs_read(&run), distinct_blobs(&images).len() as u64);
    assert_pulled(&lab.target, "", &images);
    assert_pulled(&second, "", &images);
}

#[test]
fn a_registry_that_is_down_does_not_stop_the_other() {
    let lab = Lab::new();
    let mut second = Registry::start();
    let images = make(&lab, 3);
    let (a, b) = (format!("docker://{}", second.host()), format!("docker://{}", lab.target.host()));
    second.stop();
    let run = lab.run(&["--from", &lab.file("disk"), "--retry-times", "0", &a, &b]).expect(1);
    assert_pulled(&lab.target, "", &images);
    assert_eq!(run.outcomes(), [(1, "varies")]);
    let [down, up] = run.report().targets.as_slice() else { panic!("two targets") };
    assert_eq!((outcomes(up), up.failures.len()), (vec![(1, "published")], 0));
    assert_eq!((outcomes(down), down.failures.len()), (vec![], 1));
    assert_eq!(down.failures[0].subject, a);
    assert!(run.output.raw_stderr.contains(&format!("error: {a}: ")), "{}", run.output.snapshot());
    assert_eq!(run.output.raw_stderr.matches("hint: ").count(), 1, "{}", run.output.snapshot());
    second.restart();
    let b_again = format!("docker://{}", second.host());
    let again = lab.run(&["--from", &lab.file("disk"), &b_again, &b]).expect(0);
    assert_eq!(again.outcomes(), [(1, "varies")]);
    assert_pulled(&second, "", &images);
}

#[test]
fn a_registry_that_refuses_fails_with_its_images_by_name() {
    let lab = Lab::new();
    let refusing = Registry::builder().read_only().start();
    let images = make(&lab, 2);
    let (a, b) = (format!("docker://{}", lab.target.host()), format!("docker://{}", refusing.host()));
    let run = lab.run(&["--from", &lab.file("disk"), "--retry-times", "0", &a, &b]);
    assert_eq!(run.output.code, 8, "{}", run.output.snapshot());
    assert_pulled(&lab.target, "", &images);
    let report = run.report();
    assert_eq!(outcomes(&report.targets[0]), [(1, "published")]);
    assert_eq!(outcomes(&report.targets[1]), [(1, "failed")]);
    let failed: BTreeSet<&str> = report.failures.iter().map(|f| f.subject.as_str()).collect();
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert!(
        report.failures.iter().all(|f| f.message.starts_with(&format!("{b}: "))),
        "{:?}",
        report.failures
    );
}

#[test]
fn from_registry_to_two_registries_each_blob_is_fetched_once() {
    let lab = Lab::new();
    let second = Registry::start();
    let images = images();
    let push = |(number, image): (usize, &Image)| lab.push(image, &name(number), "v1");
    let names: Vec<String> = images.iter().enumerate().map(push).collect();
    lab.configure(&names);
    lab.source.clear_log();
    let (a, b) = (format!("docker://{}", lab.target.host()), format!("docker://{}/far", second.host()));
    let args = ["-c", "isc.yaml", "--workspace", &lab.file("w"), &a, &b];
    let run = lab.run(&args).expect(0);
    assert_eq!(run.outcomes(), [(1, "published")]);
    assert_pulled(&lab.target, "", &images);
    assert_pulled(&second, "far/", &images);
    let layers: BTreeSet<String> =
        images.iter().flat_map(Image::tree).flat_map(Image::layer_digests).collect();
    let log = lab.source.log();
    for layer in &layers {
        let of =
            |line: &&oc_mirror_testkit::LogLine| line.method == "GET" && line.path.ends_with(layer.as_str());
        assert_eq!(log.iter().filter(of).count(), 1, "{layer}");
    }
    let manifests =
        |line: &&oc_mirror_testkit::LogLine| line.method == "GET" && line.path.contains("/manifests/sha256:");
    let distinct: BTreeSet<&str> = log.iter().filter(manifests).map(|line| line.path.as_str()).collect();
    assert_eq!(log.iter().filter(manifests).count(), distinct.len(), "no manifest is fetched twice");

    let again = lab.run(&args).expect(0);
    assert_eq!(again.outcomes(), [(1, "nothing new")]);
}

#[test]
fn a_later_copy_reaches_a_registry_that_was_down() {
    let lab = Lab::new();
    let mut second = Registry::start();
    let image = images()[0].clone();
    lab.configure(&[lab.push(&image, "team/app-0", "v1")]);
    let (a, b) = (format!("docker://{}", lab.target.host()), format!("docker://{}", second.host()));
    second.stop();
    let workspace = lab.file("w");
    let args = ["-c", "isc.yaml", "--workspace", &workspace, "--retry-times", "0"];
    let run = lab.run(&[&args[..], &[&a, &b]].concat()).expect(1);
    assert_eq!(outcomes(&run.report().targets[0]), [(1, "published")]);
    assert_pulled(&lab.target, "", std::slice::from_ref(&image));
    second.restart();
    let b = format!("docker://{}", second.host());
    let run = lab.run(&[&args[..], &[&a, &b]].concat()).expect(0);
    assert_eq!(run.outcomes(), [(2, "published")]);
    assert_pulled(&second, "", &[image]);
}

#[test]
fn destinations_that_do_not_go_together() {
    let lab = Lab::new();
    make(&lab, 1);
    let to = format!("docker://{}", lab.target.host());
    let (from, other) = (lab.file("disk"), format!("{to}/other"));
    for (args, words) in [
        (vec!["--from", &from, &to, &to], "named twice"),
        (vec!["--from", &from, &to, "file://other"], "second destination"),
        (vec!["-c", "isc.yaml", "file://one", &to], "second destination"),
        (vec!["-c", "isc.yaml", "file://one", "file://two"], "second destination"),
        (vec!["--from", &from, &to, "registry.example"], "not a destination"),
        (vec!["--from", &from, &to, &other, "--prune"], "--prune deletes at one target"),
        (vec!["--from", &from, &to, &other, "--apply"], "--apply tells clusters of one target"),
    ] {
        lab.run(&args).assert_refused(1, words);
    }
    assert_eq!(lab.writes_to_target(), []);
}
