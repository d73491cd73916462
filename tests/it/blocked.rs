//! Images that a policy refuses: in no imageset, not at the target, and the report says which rule hit them.

use std::path::Path;

use oc_mirror_guest_build::GuestBuild;
use oc_mirror_model::imageset::RefusedImage;
use oc_mirror_testkit::{Image, ImageBuilder, IndexBuilder, workspace_root};
use rstest::rstest;
use serde_json::{Value, json};

use crate::lab::{Chunks, Lab, Run, content_of};

fn wanted() -> Image {
    ImageBuilder::new().layer(&[("app", "wanted")]).random_layer(1, 20_000).build()
}

fn unwanted() -> Image {
    ImageBuilder::new().layer(&[("app", "unwanted")]).random_layer(2, 20_000).label("stage", "alpha").build()
}

/// Mirrors a wanted and a blocked image to disk and on, and returns what the report says about the blocked one.
#[track_caller]
fn refused_at_every_step(lab: &mut Lab, mirror: Value, blocked: &Image, repository: &str) -> RefusedImage {
    let wanted_reference = lab.push(&wanted(), "team/wanted", "v1");
    let blocked_reference = lab.push(blocked, repository, "v1");
    let mut all =
        json!({ "additionalImages": [{ "name": wanted_reference }, { "name": &blocked_reference }] });
    for (section, value) in mirror.as_object().expect("sections") {
        all[section] = value.clone();
    }
    lab.configure_mirror(all);
    let made = lab.make(&[]).expect(0);
    assert_eq!(made.report().images.len(), 1, "{}", made.output.snapshot());
    let own: Vec<String> = content_of(blocked).difference(&content_of(&wanted())).cloned().collect();
    let chunks = Chunks::of(&lab.path("disk"), 1);
    let carried = chunks.blobs();
    assert!(own.iter().all(|digest| !carried.contains(digest)), "nothing of it is in the imageset");
    assert!(content_of(&wanted()).is_subset(&carried));
    let fetched = lab.source.log();
    let layers = blocked.blobs().into_iter().filter(|blob| blob.media_type.contains("layer"));
    for layer in layers {
        let hit =
            |line: &&oc_mirror_testkit::LogLine| line.method == "GET" && line.path.contains(&layer.digest);
        assert_eq!(fetched.iter().find(hit), None, "no layer of it is even fetched");
    }
    lab.source.stop();
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&wanted(), "team/wanted", "v1");
    assert!(lab.target.tags(repository).is_empty());
    assert!(!lab.target.repositories().contains(&repository.to_owned()));
    only_refusal(&made, &blocked_reference)
}

#[track_caller]
fn only_refusal(run: &Run, origin: &str) -> RefusedImage {
    let refused = &run.report().refused;
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0].origin, origin);
    refused[0].clone()
}

#[rstest]
#[case::expression(json!([{ "name": r".*/redis:.*" }]), "blocked.expression")]
#[case::plain_name(json!([{ "name": "redis" }]), "blocked.")]
#[case::short_form(json!(["redis"]), "blocked.")]
#[case::glob(json!([{ "glob": "**/redis:*" }]), "blocked.glob")]
fn by_name(#[case] rules: Value, #[case] code: &str) {
    let mut lab = Lab::new();
    let refused =
        refused_at_every_step(&mut lab, json!({ "blockedImages": rules }), &unwanted(), "cache/redis");
    assert!(refused.code.starts_with(code), "{refused:?}");
    assert!(refused.message.contains("redis"), "the rule that hit is named: {refused:?}");
}

#[test]
fn by_base_image() {
    let mut lab = Lab::new();
    let base = ImageBuilder::new().layer(&[("etc/os-release", "old")]).random_layer(3, 20_000).build();
    let app = ImageBuilder::new().from(&base).layer(&[("app", "on a blocked base")]).build();
    let base_reference = lab.push(&base, "library/old", "v1");
    let rules = json!({ "blockedImages": [{ "baseImage": base_reference }] });
    let refused = refused_at_every_step(&mut lab, rules, &app, "team/on-old");
    assert!(refused.code.starts_with("blocked.base-image"), "{refused:?}");
    assert!(refused.message.contains(&base_reference), "the rule that hit is named: {refused:?}");
}

#[test]
fn by_base_image_of_an_index() {
    let mut lab = Lab::new();
    let platform = |platform: &str| ImageBuilder::new().platform(platform);
    let base_arm = platform("linux/arm64").layer(&[("os", "old-arm")]).build();
    let base_amd = platform("linux/amd64").layer(&[("os", "old-amd")]).build();
    let base = IndexBuilder::new().child(&base_amd).child(&base_arm).build();
    let arm = platform("linux/arm64").from(&base_arm).layer(&[("app", "arm")]).build();
    let amd = platform("linux/amd64").layer(&[("os", "new")]).layer(&[("app", "amd")]).build();
    let app = IndexBuilder::new().child(&amd).child(&arm).build();
    let base_reference = lab.push(&base, "library/old", "v1");
    let rules = json!({ "blockedImages": [{ "baseImage": base_reference }] });
    let refused = refused_at_every_step(&mut lab, rules, &app, "team/on-old");
    assert!(refused.message.contains("arm64"), "the image that was hit is named: {refused:?}");
}

#[test]
fn by_what_the_image_says_of_its_base() {
    let mut lab = Lab::new();
    let base = ImageBuilder::new().layer(&[("etc/os-release", "old")]).build();
    let base_reference = lab.push(&base, "library/old", "v1");
    let app = ImageBuilder::new()
        .layer(&[("squashed", "all in one layer")])
        .annotation("org.opencontainers.image.base.name", &base_reference)
        .build();
    let rules = json!({ "blockedImages": [{ "baseImage": base_reference }] });
    let refused = refused_at_every_step(&mut lab, rules, &app, "team/on-old");
    assert_eq!(refused.code, "blocked.base-image.annotation");
}

#[test]
fn by_a_custom_policy_that_reads_labels() {
    let component = build_example(&workspace_root().join("examples/policies/deny-label"));
    let mut lab = Lab::new();
    let policy = json!({
        "name": "no-alpha",
        "source": format!("file:{}", component.display()),
        "config": { "label": "stage", "value": "alpha" },
    });
    let refused = refused_at_every_step(&mut lab, json!({ "policies": [policy] }), &unwanted(), "team/alpha");
    assert_eq!(refused.policy, "no-alpha");
    assert!(refused.message.contains("stage"), "{refused:?}");
}

/// Compiles an example as its users do, into a directory that later runs find again.
pub(crate) fn build_example(manifest_dir: &Path) -> std::path::PathBuf {
    let target_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples");
    let build = GuestBuild { manifest_dir: manifest_dir.to_path_buf(), target_dir, packages: Vec::new() };
    let built = build.build().expect("the example compiles");
    assert_eq!(built.len(), 1, "one component in {}", manifest_dir.display());
    built[0].path.clone()
}

#[test]
fn a_custom_policy_that_is_not_a_component_is_named() {
    let lab = Lab::new();
    lab.context.write("broken.wasm", "not a component");
    lab.configure_mirror(json!({
        "additionalImages": [{ "name": lab.push(&wanted(), "team/wanted", "v1") }],
        "policies": [{ "name": "broken", "source": "file:broken.wasm" }],
    }));
    let run = lab.make(&[]);
    assert_ne!(run.output.code, 0);
    assert!(run.output.raw_stderr.contains("broken"), "{}", run.output.snapshot());
    assert!(!lab.path("disk/mirror_seq1_000000.tar").exists());
}
