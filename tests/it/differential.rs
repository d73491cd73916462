//! The second imageset of a chain: only what is new travels, and the target gives the rest.

use std::collections::BTreeSet;

use oc_mirror_testkit::{Action, FaultRegistry, Image, ImageBuilder, LogLine, Rule};

use crate::lab::{Chunks, Lab, content_of};

fn base() -> Image {
    ImageBuilder::new().layer(&[("etc/os-release", "base")]).random_layer(1, 80_000).build()
}

fn first() -> Image {
    ImageBuilder::new().from(&base()).layer(&[("app", "first")]).build()
}

fn second() -> Image {
    ImageBuilder::new().from(&base()).layer(&[("app", "second")]).random_layer(2, 10_000).build()
}

/// A chain with two imagesets on disk; the second adds one image on the base that the first one brought.
fn two_imagesets() -> Lab {
    let mut lab = Lab::new();
    let reference = lab.push(&first(), "team/first", "v1");
    lab.configure(&[&reference]);
    lab.make(&[]).expect(0);
    lab.configure(&[reference, lab.push(&second(), "team/second", "v1")]);
    let made = lab.make(&[]).expect(0);
    assert_eq!(made.outcomes(), [(2, "made")]);
    let saved: u64 = base().layers.iter().map(|layer| layer.blob.bytes.len() as u64).sum();
    assert!(made.report().imagesets[0].saved_bytes >= saved, "{:?}", made.report().imagesets);
    lab.source.stop();
    lab
}

fn of_layer<'a>(log: &'a [LogLine], method: &str, layer: &str) -> Vec<&'a LogLine> {
    let encoded = layer.replace(':', "%3A");
    let hit = |line: &&LogLine| {
        line.method == method && (line.path.contains(layer) || line.path.contains(&encoded))
    };
    log.iter().filter(hit).collect()
}

#[test]
fn the_second_imageset_holds_only_the_new_blobs() {
    let lab = two_imagesets();
    let carried = Chunks::of(&lab.path("disk"), 2).blobs();
    let new: BTreeSet<String> = content_of(&second()).difference(&content_of(&first())).cloned().collect();
    assert_eq!(carried, new);
    let whole = std::fs::metadata(lab.path("disk/mirror_seq1_000000.tar")).unwrap().len();
    let part = std::fs::metadata(lab.path("disk/mirror_seq2_000000.tar")).unwrap().len();
    assert!(part < whole / 2, "{part} bytes after {whole}");
}

#[test]
fn a_new_repository_gets_the_base_layers_by_mount() {
    let lab = two_imagesets();
    lab.publish("disk/mirror_seq1_000000.tar", &[]).expect(0);
    lab.target.clear_log();
    let run = lab.publish("disk/mirror_seq2_000000.tar", &[]).expect(0);
    assert_eq!(run.outcomes(), [(2, "published")]);
    let log = lab.target.log();
    for layer in base().layer_digests() {
        let mounts = of_layer(&log, "POST", &layer);
        assert!(mounts.iter().any(|line| line.path.contains("mount=") && line.status == 201), "{log:#?}");
        assert!(of_layer(&log, "GET", &layer).is_empty(), "no download of it: {log:#?}");
        assert!(of_layer(&log, "PUT", &layer).is_empty(), "no upload of it: {log:#?}");
    }
    assert_eq!(run.report().totals.mounted_blobs, base().layers.len() as u64);
    assert_eq!(run.report().totals.refetched_blobs, 0);
    lab.assert_published(&first(), "team/first", "v1");
    lab.assert_published(&second(), "team/second", "v1");
}

#[test]
fn where_mounts_are_refused_the_layer_is_fetched_from_the_target_and_pushed() {
    let lab = two_imagesets();
    lab.publish("disk/mirror_seq1_000000.tar", &[]).expect(0);
    let refusing = FaultRegistry::before(&lab.target);
    refusing.rule(Rule::on("POST", "mount=").then(Action::RefuseMount));
    lab.target.clear_log();
    let to = format!("docker://{}", refusing.host());
    let run = lab.run(&["--from", &lab.file("disk/mirror_seq2_000000.tar"), &to]).expect(0);
    let log = lab.target.log();
    for layer in base().layer_digests() {
        assert_eq!(of_layer(&log, "GET", &layer).len(), 1, "fetched from the target: {log:#?}");
        assert_eq!(of_layer(&log, "PUT", &layer).len(), 1, "and pushed: {log:#?}");
    }
    assert_eq!(run.report().totals.refetched_blobs, base().layers.len() as u64);
    lab.assert_published(&second(), "team/second", "v1");
}

#[test]
fn a_layer_that_comes_back_damaged_from_the_target_is_not_pushed() {
    let lab = two_imagesets();
    lab.publish("disk/mirror_seq1_000000.tar", &[]).expect(0);
    let damaging = FaultRegistry::before(&lab.target);
    let layer = &base().layer_digests()[1];
    damaging
        .rule(Rule::on("POST", "mount=").then(Action::RefuseMount))
        .rule(Rule::on("GET", layer).then(Action::Corrupt(100)));
    let to = format!("docker://{}", damaging.host());
    let args = ["--from", &lab.file("disk/mirror_seq2_000000.tar"), &to, "--retry-times", "1"];
    let run = lab.run(&args).expect(8);
    let failure = &run.report().failures[0];
    assert!(failure.subject.contains("team/second"), "{failure:?}");
    assert!(lab.target.tags("team/second").is_empty(), "the image is not half-pushed");

    damaging.clear_rules();
    lab.run(&args).expect(0);
    lab.assert_published(&second(), "team/second", "v1");
}

#[test]
fn a_layer_that_the_target_lost_is_reported_by_the_images_name() {
    let lab = two_imagesets();
    lab.publish("disk/mirror_seq1_000000.tar", &[]).expect(0);
    let forgetful = FaultRegistry::before(&lab.target);
    let layer = &base().layer_digests()[1];
    forgetful
        .rule(Rule::on("POST", "mount=").then(Action::RefuseMount))
        .rule(Rule::on("GET", layer).then(Action::status(404)))
        .rule(Rule::on("HEAD", layer).then(Action::status(404)));
    let to = format!("docker://{}", forgetful.host());
    let run = lab.run(&["--from", &lab.file("disk/mirror_seq2_000000.tar"), &to]).expect(8);
    let failure = &run.report().failures[0];
    assert!(failure.subject.contains("team/second"), "{failure:?}");
    assert!(lab.target.tags("team/second").is_empty(), "the image is not half-pushed");
}

#[test]
fn a_run_without_anything_new_makes_nothing() {
    let lab = Lab::new();
    lab.configure(&[lab.push(&first(), "team/first", "v1")]);
    lab.make(&[]).expect(0);
    let again = lab.make(&[]).expect(0);
    assert!(again.outcomes().iter().all(|(_, outcome)| *outcome == "nothing new"), "{:?}", again.outcomes());
    assert!(!lab.path("disk/mirror_seq2_000000.tar").exists());
}

#[test]
fn a_new_tag_of_a_known_image_is_a_few_kilobytes() {
    let lab = Lab::new();
    let reference = lab.push(&first(), "team/first", "v1");
    lab.configure(&[&reference]);
    lab.make(&[]).expect(0);
    lab.publish("disk", &[]).expect(0);
    lab.configure(&[reference, lab.push(&first(), "team/first", "stable")]);
    assert_eq!(lab.make(&[]).expect(0).outcomes(), [(2, "made")]);
    let chunks = Chunks::of(&lab.path("disk"), 2);
    assert!(chunks.blobs().iter().all(|digest| !base().layer_digests().contains(digest)));
    assert!(chunks.bytes()[0].len() < 50_000);
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&first(), "team/first", "stable");
}
