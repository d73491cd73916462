//! From registry to registry, with nothing but the record in between.

use oc_mirror_testkit::{ImageBuilder, IndexBuilder};

use crate::lab::{Lab, names_in};

#[test]
fn images_arrive_byte_for_byte_and_a_second_run_changes_nothing() {
    let lab = Lab::new();
    let docker = ImageBuilder::new().docker().random_layer(1, 30_000).build();
    let arm = ImageBuilder::new().platform("linux/arm64").random_layer(2, 30_000).build();
    let index =
        IndexBuilder::new().child(&ImageBuilder::new().random_layer(3, 9_000).build()).child(&arm).build();
    lab.configure(&[lab.push(&docker, "team/app", "v1"), lab.push(&index, "team/multi", "v2")]);
    let to = format!("docker://{}/mirror", lab.target.host());
    let args = ["-c", "isc.yaml", "--workspace", &lab.file("w"), &to];
    let run = lab.run(&args).expect(0);
    assert_eq!(run.report().images.len(), 2);
    lab.assert_published(&docker, "mirror/team/app", "v1");
    lab.assert_published(&index, "mirror/team/multi", "v2");
    assert!(lab.path("w/working-dir/results/result.json").is_file());
    assert!(names_in(&lab.path("w")).iter().all(|name| !name.ends_with(".tar")), "no imageset is written");

    lab.target.clear_log();
    lab.run(&args).expect(0);
    let log = lab.writes_to_target();
    assert!(log.iter().all(|line| !line.path.contains("/blobs/")), "no blob is sent again: {log:#?}");
}

#[test]
fn layers_that_the_target_has_are_not_fetched_from_the_source() {
    let lab = Lab::new();
    let base = ImageBuilder::new().random_layer(4, 50_000).build();
    let app = ImageBuilder::new().from(&base).layer(&[("app", "1")]).build();
    let first = lab.push(&base, "library/base", "v1");
    let to = format!("docker://{}", lab.target.host());
    let args = ["-c", "isc.yaml", "--workspace", &lab.file("w"), &to];
    lab.configure(&[&first]);
    lab.run(&args).expect(0);
    lab.configure(&[first, lab.push(&app, "team/app", "v1")]);
    lab.source.clear_log();
    lab.run(&args).expect(0);
    lab.assert_published(&app, "team/app", "v1");
    let layer = &base.layer_digests()[0];
    let log = lab.source.log();
    assert!(!log.iter().any(|line| line.method == "GET" && line.path.contains(layer.as_str())), "{log:#?}");
}

#[test]
fn blocked_images_do_not_pass() {
    let lab = Lab::new();
    let wanted = lab.push(&ImageBuilder::new().layer(&[("a", "1")]).build(), "team/app", "v1");
    let blocked = lab.push(&ImageBuilder::new().layer(&[("a", "2")]).build(), "team/redis", "v1");
    lab.configure_mirror(serde_json::json!({
        "additionalImages": [{ "name": wanted }, { "name": blocked }],
        "blockedImages": [{ "name": "redis" }],
    }));
    let to = format!("docker://{}", lab.target.host());
    let run = lab.run(&["-c", "isc.yaml", "--workspace", &lab.file("w"), &to]).expect(0);
    assert_eq!(run.report().refused.len(), 1);
    assert!(lab.target.tags("team/redis").is_empty());
    assert_eq!(lab.target.tags("team/app"), ["v1"]);
}

#[test]
fn a_workspace_is_asked_for() {
    let lab = Lab::new();
    lab.configure(&[lab.push(&ImageBuilder::new().layer(&[("a", "1")]).build(), "team/app", "v1")]);
    let run = lab.run(&["-c", "isc.yaml", &format!("docker://{}", lab.target.host())]);
    run.assert_refused(1, "needs a workspace");
    assert_eq!(lab.writes_to_target(), []);
}
