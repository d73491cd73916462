//! Some images of an index only: the index keeps its digest and names images that are not there.

use oc_mirror_testkit::{Image, ImageBuilder, IndexBuilder};
use serde_json::json;

use crate::lab::{Chunks, Lab, content_of};
use crate::serve::Served;

fn child(platform: &str) -> Image {
    ImageBuilder::new().platform(platform).layer(&[("arch", platform)]).build()
}

fn index() -> Image {
    IndexBuilder::new()
        .child(&child("linux/amd64"))
        .child(&child("linux/arm64"))
        .child(&child("linux/s390x"))
        .build()
}

fn lab() -> Lab {
    let lab = Lab::new();
    lab.configure_mirror(json!({ "additionalImages": [{
        "name": lab.push(&index(), "team/multi", "v1"),
        "platforms": [{ "os": "linux", "architecture": "arm64" }],
    }]}));
    lab
}

#[test]
fn only_the_wanted_platform_travels() {
    let lab = lab();
    let made = lab.make(&[]).expect(0);
    assert_eq!(made.report().images[0].digest.to_string(), index().digest, "the digest is kept");
    let mut expected = content_of(&child("linux/arm64"));
    expected.insert(index().digest);
    assert_eq!(Chunks::of(&lab.path("disk"), 1).blobs(), expected);
}

#[test]
fn a_target_that_refuses_sparse_indexes_is_found_before_the_run() {
    let mut lab = lab();
    lab.make(&[]).expect(0);
    lab.source.stop();
    let run = lab.publish("disk", &[]);
    run.assert_refused(1, &lab.target.host());
    let log = lab.writes_to_target();
    assert!(
        log.iter().all(|line| !line.path.contains("team/multi")),
        "nothing of the image is sent: {log:#?}"
    );
    assert!(lab.target.tags("team/multi").is_empty());
}

#[test]
fn such_a_target_is_found_in_mirror_to_mirror_too() {
    let lab = lab();
    let to = format!("docker://{}", lab.target.host());
    let run = lab.run(&["-c", "isc.yaml", "--workspace", &lab.file("w"), &to]);
    run.assert_refused(1, &lab.target.host());
    assert!(lab.target.tags("team/multi").is_empty());
}

#[test]
fn a_target_that_takes_sparse_indexes_gets_one() {
    let lab = lab();
    lab.make(&[]).expect(0);
    let served = Served::start(&lab.context, &lab.path("registry"));
    lab.run(&["--from", &lab.file("disk"), &format!("docker://{}", served.host())]).expect(0);
    assert_eq!(served.digest_of("team/multi", "v1"), Some(index().digest));
    assert_eq!(
        served.digest_of("team/multi", &child("linux/arm64").digest),
        Some(child("linux/arm64").digest)
    );
    assert_eq!(served.digest_of("team/multi", &child("linux/s390x").digest), None);
}

#[test]
fn a_platform_that_the_index_does_not_have_is_an_error() {
    let lab = Lab::new();
    lab.configure_mirror(json!({ "additionalImages": [{
        "name": lab.push(&index(), "team/multi", "v1"),
        "platforms": [{ "os": "linux", "architecture": "riscv64" }],
    }]}));
    let run = lab.make(&[]);
    assert_eq!(run.output.code, 8, "{}", run.output.snapshot());
    assert!(run.output.raw_stderr.contains("riscv64"), "{}", run.output.snapshot());
}

#[test]
fn all_platforms_of_an_index_are_not_sparse() {
    let lab = Lab::new();
    let wanted = ["amd64", "arm64", "s390x"].map(|arch| json!({ "os": "linux", "architecture": arch }));
    lab.configure_mirror(json!({ "additionalImages": [{
        "name": lab.push(&index(), "team/multi", "v1"), "platforms": wanted,
    }]}));
    lab.make(&[]).expect(0);
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&index(), "team/multi", "v1");
}
