//! Mirror to disk, and from disk to a registry, with the source gone in between.

use oc_mirror_testkit::{Image, ImageBuilder, IndexBuilder};
use rstest::rstest;

use crate::lab::{Lab, digest_tag, names_in};

fn oci() -> Image {
    ImageBuilder::new().layer(&[("etc/motd", "oci\n")]).random_layer(1, 40_000).label("kind", "oci").build()
}

fn docker() -> Image {
    ImageBuilder::new().docker().layer(&[("etc/motd", "docker\n")]).random_layer(2, 40_000).build()
}

fn index() -> Image {
    let of = |platform: &str, seed| {
        ImageBuilder::new().platform(platform).layer(&[("arch", platform)]).random_layer(seed, 20_000).build()
    };
    IndexBuilder::new().child(&of("linux/amd64", 3)).child(&of("linux/arm64/v8", 4)).build()
}

fn docker_list() -> Image {
    let of =
        |platform: &str| ImageBuilder::new().docker().platform(platform).layer(&[("arch", platform)]).build();
    IndexBuilder::new().docker().child(&of("linux/amd64")).child(&of("linux/s390x")).build()
}

fn nested() -> Image {
    IndexBuilder::new().child(&index()).child(&oci()).annotation("depth", "2").build()
}

fn artifact() -> Image {
    ImageBuilder::artifact("application/vnd.test.thing").blob("text/plain", b"", &[("empty", "yes")]).build()
}

/// How an image is asked for.
#[derive(Clone, Copy)]
enum By {
    Tag,
    Digest,
    Both,
}

#[rstest]
#[case::docker_by_tag(docker(), By::Tag)]
#[case::docker_by_digest(docker(), By::Digest)]
#[case::docker_by_both(docker(), By::Both)]
#[case::oci_by_tag(oci(), By::Tag)]
#[case::oci_by_digest(oci(), By::Digest)]
#[case::oci_by_both(oci(), By::Both)]
#[case::index_by_tag(index(), By::Tag)]
#[case::index_by_digest(index(), By::Digest)]
#[case::index_by_both(index(), By::Both)]
#[case::docker_list_by_tag(docker_list(), By::Tag)]
#[case::nested_index_by_tag(nested(), By::Tag)]
fn every_kind_of_image_arrives_byte_for_byte(#[case] image: Image, #[case] by: By) {
    let mut lab = Lab::new();
    lab.push(&image, "team/app", "v1");
    let (reference, tag) = match by {
        By::Tag => (lab.source.reference("team/app", "v1"), "v1".to_owned()),
        By::Digest => (lab.source.reference("team/app", &image.digest), digest_tag(&image)),
        By::Both => (format!("{}@{}", lab.source.reference("team/app", "v1"), image.digest), "v1".to_owned()),
    };
    lab.configure(&[reference]);
    let made = lab.make(&[]).expect(0);
    assert_eq!(made.outcomes(), [(1, "made")]);
    lab.source.stop();
    let published = lab.publish("disk", &[]).expect(0);
    assert_eq!(published.outcomes(), [(1, "published")]);
    lab.assert_published(&image, "team/app", &tag);
    assert_eq!(lab.target.tags("team/app"), [tag]);
}

#[test]
fn an_artifact_with_an_empty_blob_arrives() {
    let mut lab = Lab::new();
    let image = artifact();
    lab.configure(&[lab.push(&image, "team/thing", "v1")]);
    lab.make(&[]).expect(0);
    lab.source.stop();
    lab.publish("disk", &[]).expect(0);
    assert_eq!(lab.target.digest_of("team/thing", "v1"), Some(image.digest));
}

#[test]
fn many_images_travel_together_under_a_prefix() {
    let mut lab = Lab::new();
    let images = [oci(), docker(), index(), docker_list(), nested()];
    let name = |number: usize| format!("team/app-{number}");
    let references: Vec<String> =
        images.iter().enumerate().map(|(n, image)| lab.push(image, &name(n), "v1")).collect();
    lab.configure(&references);
    let made = lab.make(&[]).expect(0);
    let origins: Vec<&str> = made.report().images.iter().map(|image| image.origin.as_str()).collect();
    assert_eq!(origins, references, "images in the order of the configuration");
    lab.source.stop();
    let to = format!("docker://{}/far/side", lab.target.host());
    lab.run(&["--from", &lab.file("disk"), &to]).expect(0);
    for (n, image) in images.iter().enumerate() {
        lab.assert_published(image, &format!("far/side/{}", name(n)), "v1");
    }
    let uid = made.report().uid.expect("a made imageset has a chain").to_string();
    let lock = format!("{uid}.lock");
    let records = "far/side/oc-mirror";
    assert_eq!(lab.target.tags(records), [uid.clone(), lock.clone()], "the record of the chain");
    assert_eq!(
        lab.target.digest_of(records, &uid),
        lab.target.digest_of(records, &lock),
        "nobody is committing"
    );
}

#[test]
fn the_configuration_travels_and_may_be_given_again() {
    let mut lab = Lab::new();
    lab.configure(&[lab.push(&oci(), "team/app", "v1")]);
    lab.make(&[]).expect(0);
    lab.source.stop();
    let to = format!("docker://{}", lab.target.host());
    lab.run(&["-c", "isc.yaml", "--from", &lab.file("disk"), &to, "--v2"]).expect(0);
    lab.assert_published(&oci(), "team/app", "v1");
}

#[test]
fn what_a_run_keeps_is_under_working_dir() {
    let mut lab = Lab::new();
    lab.configure(&[lab.push(&oci(), "team/app", "v1")]);
    lab.make(&[]).expect(0);
    assert_eq!(names_in(&lab.path("disk")), ["mirror_seq1_000000.tar", "working-dir"]);
    for file in ["metadata.json", "resolved-config.yaml", "results/result.json"] {
        assert!(lab.path("disk/working-dir").join(file).is_file(), "{file} on the connected side");
    }
    lab.source.stop();
    lab.publish("disk", &["--workspace", &lab.file("far")]).expect(0);
    for file in ["published.json", "results/result.json"] {
        assert!(lab.path("far/working-dir").join(file).is_file(), "{file} on the far side");
    }
}

#[test]
fn both_sequences_of_a_directory_are_published_in_order() {
    let mut lab = Lab::new();
    let first = lab.push(&oci(), "team/one", "v1");
    lab.configure(&[&first]);
    lab.make(&[]).expect(0);
    lab.configure(&[first, lab.push(&docker(), "team/two", "v1")]);
    assert_eq!(lab.make(&[]).expect(0).outcomes(), [(2, "made")]);
    lab.source.stop();
    let published = lab.publish("disk", &[]).expect(0);
    assert_eq!(published.outcomes(), [(1, "published"), (2, "published")]);
    lab.assert_published(&oci(), "team/one", "v1");
    lab.assert_published(&docker(), "team/two", "v1");
}

#[test]
fn a_tag_that_moved_moves_at_the_target() {
    let mut lab = Lab::new();
    lab.configure(&[lab.push(&oci(), "team/app", "latest")]);
    lab.make(&[]).expect(0);
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&oci(), "team/app", "latest");
    lab.push(&docker(), "team/app", "latest");
    lab.make(&[]).expect(0);
    lab.source.stop();
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&docker(), "team/app", "latest");
}

#[test]
fn an_image_that_is_not_there_does_not_keep_the_others_from_being_named() {
    let lab = Lab::new();
    let there = lab.push(&oci(), "team/app", "v1");
    let gone = lab.source.reference("team/gone", "v1");
    lab.configure(&[&there, &gone]);
    let run = lab.make(&[]).expect(8);
    let failures = &run.report().failures;
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].subject.contains("team/gone:v1"), "{failures:?}");
}

#[test]
fn the_newer_image_of_two_repositories_with_one_layer_is_sent_once() {
    let mut lab = Lab::new();
    let base = ImageBuilder::new().random_layer(9, 60_000).build();
    let on_base = |n: &str| ImageBuilder::new().from(&base).layer(&[("app", n)]).build();
    let names = ["a/one", "b/two", "c/three"];
    let references: Vec<String> = names.iter().map(|name| lab.push(&on_base(name), name, "v1")).collect();
    lab.configure(&references);
    lab.make(&[]).expect(0);
    let layer = &base.layer_digests()[0];
    let fetched = lab.source.log();
    let fetched: Vec<_> =
        fetched.iter().filter(|line| line.method == "GET" && line.path.contains(layer)).collect();
    assert_eq!(fetched.len(), 1, "the shared layer is fetched once: {fetched:?}");
    lab.source.stop();
    lab.publish("disk", &[]).expect(0);
    for name in names {
        lab.assert_published(&on_base(name), name, "v1");
    }
    let log = lab.target.log();
    let sent =
        log.iter().filter(|line| line.method == "PUT" && line.path.contains(&layer.replace(':', "%3A")));
    let plain = log.iter().filter(|line| line.method == "PUT" && line.path.contains(layer.as_str()));
    assert_eq!(sent.count() + plain.count(), 1, "the shared layer is sent once: {log:#?}");
}
