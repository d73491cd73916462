//! Where images go: names at the target.

use oc_mirror_testkit::{Image, ImageBuilder};
use rstest::rstest;
use serde_json::{Value, json};

use crate::lab::{Lab, digest_tag};

fn image() -> Image {
    ImageBuilder::new().layer(&[("app", "1")]).build()
}

#[rstest]
#[case::both(json!({ "targetRepo": "other/place", "targetTag": "v9" }), "other/place", "v9")]
#[case::repository(json!({ "targetRepo": "other/place" }), "other/place", "v1")]
#[case::tag(json!({ "targetTag": "v9" }), "a/b/c/app", "v9")]
#[case::transport(json!({}), "a/b/c/app", "v1")]
fn targets_of_an_entry(#[case] mut entry: Value, #[case] repository: &str, #[case] tag: &str) {
    let lab = Lab::new();
    entry["name"] = json!(format!("docker://{}", lab.push(&image(), "a/b/c/app", "v1")));
    lab.configure_mirror(json!({ "additionalImages": [entry] }));
    lab.make(&[]).expect(0);
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&image(), repository, tag);
    assert_eq!(lab.target.repositories(), {
        let mut all = vec!["oc-mirror", repository];
        all.sort();
        all
    });
}

#[test]
fn a_digest_with_a_target_tag() {
    let lab = Lab::new();
    lab.push(&image(), "a/app", "v1");
    let name = lab.source.reference("a/app", &image().digest);
    lab.configure_mirror(
        json!({ "additionalImages": [{ "name": &name }, { "name": name, "targetTag": "x" }] }),
    );
    lab.make(&[]).expect(0);
    lab.publish("disk", &[]).expect(0);
    let mut tags = [digest_tag(&image()), "x".to_owned()];
    tags.sort();
    assert_eq!(lab.target.tags("a/app"), tags);
}

#[rstest]
#[case("1", "", "a-b-c-app")]
#[case("2", "", "a/b-c-app")]
#[case("4", "", "a/b/c/app")]
#[case("3", "far", "far/a/b-c-app")]
fn paths_no_deeper_than_the_target_takes(
    #[case] limit: &str,
    #[case] prefix: &str,
    #[case] repository: &str,
) {
    let lab = Lab::new();
    lab.configure(&[lab.push(&image(), "a/b/c/app", "v1")]);
    lab.make(&[]).expect(0);
    let mut to = format!("docker://{}", lab.target.host());
    if !prefix.is_empty() {
        to = format!("{to}/{prefix}");
    }
    lab.run(&["--from", &lab.file("disk"), &to, "--max-nested-paths", limit]).expect(0);
    lab.assert_published(&image(), repository, "v1");
}

#[test]
fn paths_are_joined_in_mirror_to_mirror_too() {
    let lab = Lab::new();
    lab.configure(&[lab.push(&image(), "a/b/c/app", "v1")]);
    let to = format!("docker://{}", lab.target.host());
    let args = ["-c", "isc.yaml", "--workspace", &lab.file("w"), &to, "--max-nested-paths", "2"];
    lab.run(&args).expect(0);
    lab.assert_published(&image(), "a/b-c-app", "v1");
}
