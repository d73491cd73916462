//! What is sent to a target, and in how many requests: each blob once, whatever the number of images that need it.

use oc_mirror_testkit::{Action, FaultRegistry, Image, ImageBuilder, Rule};

use crate::lab::Lab;

fn base() -> Image {
    ImageBuilder::new().random_layer(1, 200_000).random_layer(2, 3_000).build()
}

fn app(number: u64) -> Image {
    ImageBuilder::new().from(&base()).random_layer(10 + number, 5_000).build()
}

/// An imageset of three images on one base.
fn made() -> (Lab, Vec<String>) {
    let lab = Lab::new();
    let names: Vec<String> = (0..3).map(|n| lab.push(&app(n), &format!("team/app-{n}"), "v1")).collect();
    lab.configure(&names);
    lab.make(&[]).expect(0);
    (lab, names)
}

#[test]
fn each_blob_is_sent_once_and_nothing_is_asked_in_vain() {
    let (lab, _) = made();
    lab.target.clear_log();
    let run = lab.publish("disk", &[]).expect(0);
    let totals = &run.report().totals;
    // Of each image a layer and a configuration, and the base once.
    assert_eq!((totals.blobs, totals.mounted_blobs, totals.skipped_blobs), (3 * 2 + 2, 2 * 2, 0));
    let log = lab.target.log();
    let of_apps = |method: &str, part: &str| {
        log.iter()
            .filter(|l| l.method == method && l.path.contains("team/app") && l.path.contains(part))
            .count()
    };
    assert_eq!(of_apps("PUT", "/blobs/uploads/"), 8, "{log:#?}");
    assert_eq!(of_apps("POST", "mount="), 4, "{log:#?}");
    assert_eq!(of_apps("HEAD", "/blobs/"), 0, "nothing is known of these repositories: {log:#?}");
    assert_eq!(of_apps("HEAD", "/manifests/"), 3, "one look for each image: {log:#?}");
}

#[test]
fn a_run_that_was_cut_off_is_followed_by_one_that_asks() {
    let (lab, _) = made();
    let faults = FaultRegistry::before(&lab.target);
    faults.rule(Rule::on("PUT", "/team/app-[0-9]/manifests/").then(Action::status(403)));
    let to = format!("docker://{}", faults.host());
    lab.run(&["--from", &lab.file("disk"), &to]).expect(8);
    faults.clear_rules();
    lab.target.clear_log();
    let run = lab.run(&["--from", &lab.file("disk"), &to]).expect(0);
    let totals = &run.report().totals;
    assert_eq!((totals.blobs, totals.mounted_blobs, totals.skipped_blobs), (0, 0, 3 * 4));
    for number in 0..3 {
        lab.assert_published(&app(number), &format!("team/app-{number}"), "v1");
    }
}

/// Some registries make no repositories, and answer `not found` to an upload. That is not the fault of the blob, which others
/// need as well.
#[test]
fn a_repository_that_cannot_be_written_fails_alone() {
    let (lab, names) = made();
    let faults = FaultRegistry::before(&lab.target);
    for number in 0..2 {
        let path = format!("/team/app-{number}/blobs/uploads/");
        faults.rule(Rule::on("POST", &path).then(Action::status(404)));
    }
    let to = format!("docker://{}", faults.host());
    let run = lab.run(&["--from", &lab.file("disk"), &to]).expect(8);
    let mut failed: Vec<&str> = run.report().failures.iter().map(|f| f.subject.as_str()).collect();
    failed.sort_unstable();
    assert_eq!(failed, names[..2]);
    lab.assert_published(&app(2), "team/app-2", "v1");
}
