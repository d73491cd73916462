//! One chain, no holes: what does not follow is refused with a reason and a remedy before anything is sent.

use oc_mirror_testkit::{Image, ImageBuilder, Registry};

use crate::lab::{Lab, UID};

fn app(number: u64) -> Image {
    ImageBuilder::new().layer(&[("app", number.to_string())]).random_layer(number, 5_000).build()
}

fn name(number: u64) -> String {
    format!("team/app-{number}")
}

/// Asks for the first `count` images.
fn configure(lab: &Lab, count: u64) {
    let references: Vec<String> = (1..=count).map(|n| lab.push(&app(n), &name(n), "v1")).collect();
    lab.configure(&references);
}

/// A chain of `count` imagesets in `disk`, each with one image more.
fn chain(count: u64) -> Lab {
    let lab = Lab::new();
    for sequence in 1..=count {
        configure(&lab, sequence);
        let identity: &[&str] = if sequence == 1 { &["--uid", UID] } else { &[] };
        let made = lab.make(identity).expect(0);
        assert_eq!(made.outcomes(), [(sequence, "made")]);
    }
    lab
}

fn chunk(sequence: u64) -> String {
    format!("disk/mirror_seq{sequence}_000000.tar")
}

/// Publishes a chunk from the workspace `far`.
fn publish(lab: &Lab, sequence: u64) -> crate::lab::Run {
    lab.publish(&chunk(sequence), &["--workspace", &lab.file("far")])
}

#[track_caller]
fn assert_no_writes(lab: &Lab) {
    assert_eq!(lab.writes_to_target(), [], "nothing may be sent");
}

#[test]
fn sequence_2_before_1() {
    let lab = chain(2);
    let run = publish(&lab, 2);
    run.assert_refused(1, "imageset 2 builds on sequence 1");
    assert_no_writes(&lab);
}

#[test]
fn sequence_3_after_1() {
    let lab = chain(3);
    publish(&lab, 1).expect(0);
    lab.target.clear_log();
    let run = publish(&lab, 3);
    run.assert_refused(1, "sequence 2 is missing");
    assert_no_writes(&lab);
    publish(&lab, 2).expect(0);
    publish(&lab, 3).expect(0);
    lab.assert_published(&app(3), &name(3), "v1");
}

#[test]
fn another_uid_in_the_same_workspace() {
    let lab = chain(1);
    publish(&lab, 1).expect(0);
    configure(&lab, 2);
    lab.make_in("other", &[]).expect(0);
    lab.target.clear_log();
    let run = lab.publish("other/mirror_seq1_000000.tar", &["--workspace", &lab.file("far")]);
    run.assert_refused(1, &format!("this workspace belongs to chain {UID}"));
    assert_no_writes(&lab);
}

#[test]
fn another_uid_on_the_connected_side() {
    let lab = chain(1);
    configure(&lab, 2);
    let run = lab.make(&["--uid", "99999999-2222-4333-8444-555555555555"]);
    run.assert_refused(1, UID);
    assert!(!lab.path(&chunk(2)).exists());
}

#[test]
fn a_full_imageset_onto_a_target_that_has_gone_on() {
    let lab = chain(2);
    publish(&lab, 1).expect(0);
    publish(&lab, 2).expect(0);
    // The connected side lost its workspace and starts the same chain anew.
    configure(&lab, 3);
    lab.make_in("anew", &["--uid", UID]).expect(0);
    lab.target.clear_log();
    let run = lab.publish("anew/mirror_seq1_000000.tar", &["--workspace", &lab.file("far")]);
    run.assert_refused(1, "the target is already at sequence 2");
    assert_no_writes(&lab);
    assert!(lab.target.tags(&name(3)).is_empty());
}

#[test]
fn the_same_sequence_with_other_content() {
    let lab = chain(1);
    publish(&lab, 1).expect(0);
    configure(&lab, 3);
    lab.make_in("anew", &["--uid", UID]).expect(0);
    lab.target.clear_log();
    let run = lab.publish("anew/mirror_seq1_000000.tar", &["--workspace", &lab.file("far")]);
    run.assert_refused(1, "the target has another imageset with sequence 1");
    assert_no_writes(&lab);
}

/// Whoever publishes it from a workspace that has seen nothing is refused as well: what counts is the hash at the target.
#[test]
fn the_same_sequence_with_other_content_from_anywhere() {
    let lab = chain(1);
    publish(&lab, 1).expect(0);
    configure(&lab, 3);
    lab.make_in("anew", &["--uid", UID]).expect(0);
    lab.target.clear_log();
    for more in [&[][..], &["--dry-run"], &["--repair"]] {
        let workspace = lab.file("never-seen");
        let args = [&["--workspace", &workspace], more].concat();
        let run = lab.publish("anew/mirror_seq1_000000.tar", &args);
        run.assert_refused(1, "the target has another imageset with sequence 1");
    }
    assert_no_writes(&lab);
    assert!(lab.target.tags(&name(3)).is_empty());
}

/// Two chains with one identity: what follows the one does not follow the other.
#[test]
fn what_follows_another_imageset_of_the_same_sequence() {
    let lab = chain(1);
    publish(&lab, 1).expect(0);
    configure(&lab, 3);
    lab.make_in("anew", &["--uid", UID]).expect(0);
    configure(&lab, 4);
    lab.make_in("anew", &[]).expect(0);
    lab.target.clear_log();
    let run = lab.publish("anew/mirror_seq2_000000.tar", &["--workspace", &lab.file("far")]);
    run.assert_refused(1, "imageset 2 follows ");
    assert_no_writes(&lab);
    assert!(lab.target.tags(&name(4)).is_empty());
}

#[test]
fn the_same_imageset_again_changes_nothing() {
    let lab = chain(2);
    publish(&lab, 1).expect(0);
    publish(&lab, 2).expect(0);
    for sequence in [2, 1] {
        lab.target.clear_log();
        let run = publish(&lab, sequence).expect(0);
        assert_eq!(run.outcomes(), [(sequence, "already published")]);
        assert_no_writes(&lab);
    }
    lab.target.clear_log();
    let all = lab.publish("disk", &["--workspace", &lab.file("far")]).expect(0);
    assert!(
        all.outcomes().iter().all(|(_, outcome)| *outcome == "already published"),
        "{:?}",
        all.outcomes()
    );
    assert_no_writes(&lab);
}

#[test]
fn the_record_at_the_target_counts_where_the_workspace_is_new() {
    let lab = chain(3);
    lab.publish(&chunk(1), &["--workspace", &lab.file("far-a")]).expect(0);
    lab.target.clear_log();
    lab.publish(&chunk(3), &["--workspace", &lab.file("far-b")]).assert_refused(1, "sequence 2 is missing");
    assert_no_writes(&lab);
    lab.publish(&chunk(2), &["--workspace", &lab.file("far-b")]).expect(0);
    lab.publish(&chunk(3), &["--workspace", &lab.file("far-a")]).expect(0);
    lab.assert_published(&app(3), &name(3), "v1");
}

#[test]
fn a_lost_sequence_2_is_cured_with_since_1() {
    let lab = chain(3);
    publish(&lab, 1).expect(0);
    let refused = publish(&lab, 3);
    refused.assert_refused(1, "sequence 2 is missing");
    assert!(refused.output.raw_stderr.contains("--since 1"), "the hint names the cure");
    // Sequence 2 is lost for good; the connected side makes one that holds all since sequence 1.
    std::fs::remove_file(lab.path(&chunk(2))).unwrap();
    let made = lab.make(&["--since", "1"]).expect(0);
    assert_eq!(made.outcomes(), [(4, "made")]);
    assert_eq!(made.report().imagesets[0].base, 1);
    let run = publish(&lab, 4).expect(0);
    assert_eq!(run.outcomes(), [(4, "published")]);
    for number in 1..=3 {
        lab.assert_published(&app(number), &name(number), "v1");
    }
    // The chain goes on from there, for this target and for one that had everything.
    configure(&lab, 4);
    lab.make(&[]).expect(0);
    publish(&lab, 5).expect(0);
    lab.assert_published(&app(4), &name(4), "v1");
}

#[test]
fn a_directory_with_a_cure_is_published_past_the_gap() {
    let lab = chain(3);
    publish(&lab, 1).expect(0);
    std::fs::remove_file(lab.path(&chunk(2))).unwrap();
    lab.make(&["--since", "1"]).expect(0);
    let all = || lab.publish("disk", &["--workspace", &lab.file("far")]).expect(0);
    assert_eq!(all().outcomes(), [(1, "already published"), (3, "not needed"), (4, "published")]);
    lab.assert_published(&app(2), &name(2), "v1");
    lab.assert_published(&app(3), &name(3), "v1");
    configure(&lab, 4);
    lab.make(&[]).expect(0);
    assert_eq!(
        all().outcomes(),
        [(1, "already published"), (3, "not needed"), (4, "already published"), (5, "published")]
    );
    lab.assert_published(&app(4), &name(4), "v1");
}

#[test]
fn since_zero_starts_a_new_target() {
    let mut lab = chain(2);
    publish(&lab, 1).expect(0);
    lab.make(&["--since", "0"]).expect(0);
    lab.source.stop();
    lab.target = Registry::start();
    lab.publish(&chunk(3), &["--workspace", &lab.file("far-new")]).expect(0);
    lab.assert_published(&app(1), &name(1), "v1");
    lab.assert_published(&app(2), &name(2), "v1");
}

#[test]
fn since_a_sequence_that_never_was() {
    let lab = chain(1);
    configure(&lab, 2);
    lab.make(&["--since", "7"]).assert_refused(1, "7");
    assert!(!lab.path(&chunk(2)).exists());
}
