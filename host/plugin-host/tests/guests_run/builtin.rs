//! The built-in plugins, end to end over images in memory.

use oc_mirror_engine::policy::{Mode, OnFailure};
use oc_mirror_model::policy::Verdict;
use oc_mirror_plugin_host::{Grants, PluginSpec};
use serde_json::{Value, json};

use crate::support::{FakeImage, World, host, request, run_info};

fn builtin(name: &str, settings: Value, grants: &[&str]) -> PluginSpec {
    PluginSpec {
        name: name.to_owned(),
        binary: host().builtin(name).expect("built in"),
        settings,
        grants: Grants::parse(grants).expect("valid grants"),
    }
}

#[tokio::test]
async fn additional_images_are_collected() {
    let world = World::new(vec![]);
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let settings = json!({"images": [
        {"name": "quay.io/a/b:1"},
        {"name": format!("docker://quay.io/a/c@{digest}"), "targetRepo": "x/y", "targetTag": "z"},
        {"name": "alpine", "platforms": [{"os": "linux", "architecture": "arm64"}]},
    ]});
    let source = host().source(builtin("additional", settings, &["registry"])).await.expect("it loads");
    assert_eq!(source.identity().id, "additional");
    let collected = source.collect(&run_info(), &world.services()).await.expect("it collects");
    let origins: Vec<_> =
        collected.images.iter().map(|i| i.parsed_source().expect("valid").to_string()).collect();
    let c = format!("quay.io/a/c@{digest}");
    assert_eq!(origins, ["quay.io/a/b:1", &c, "docker.io/library/alpine:latest"]);
    assert_eq!(collected.images[1].target_repository.as_ref().expect("set").as_str(), "x/y");
    assert_eq!(collected.images[1].target_tag.as_ref().expect("set").as_str(), "z");
    assert_eq!(collected.images[2].platforms[0].to_string(), "linux/arm64");
    assert!(collected.images.iter().all(|i| i.kind == "additional"));
}

#[tokio::test]
async fn layouts_need_a_grant() {
    let dir = tempfile::tempdir().expect("a directory");
    let name = format!("oci:{}", dir.path().join("image").display());
    let world = World::new(vec![FakeImage::new(&name, &[b"x"], json!({}))]);
    let settings = json!({"images": [{"name": name, "targetRepo": "x/y"}]});
    let source =
        host().source(builtin("additional", settings.clone(), &["registry"])).await.expect("it loads");
    let error = source.collect(&run_info(), &world.services()).await.expect_err("not granted");
    assert!(error.cause.contains("denied") && error.cause.contains("add `- layout:"), "{}", error.cause);
    let grant = format!("layout:{}", dir.path().display());
    let source = host().source(builtin("additional", settings, &[&grant])).await.expect("it loads");
    let collected = source.collect(&run_info(), &world.services()).await.expect("granted");
    assert_eq!(collected.images.len(), 1);
}

#[tokio::test]
async fn wrong_settings_say_where() {
    let settings = json!({"images": [{"name": "quay.io/a/b:1"}, {"name": "not a reference!"}]});
    let error = host().source(builtin("additional", settings, &[])).await.err().expect("invalid").to_string();
    assert!(error.contains("images") && error.contains('1'), "{error}");
}

#[tokio::test]
async fn names_are_blocked_before_anything_is_fetched() {
    let world = World::new(vec![]);
    let settings = json!({"rules": [{"name": "alpine"}, {"glob": "redis"}]});
    let policy = host()
        .policy(builtin("block", settings, &[]), Mode::Protect, OnFailure::Deny)
        .await
        .expect("it loads");
    assert!(policy.stages().reference && policy.stages().manifest);
    let wishes: Vec<_> = ["quay.io/x/alpine-tools:1", "docker.io/library/redis:7", "quay.io/x/other:1"]
        .map(request)
        .into_iter()
        .cycle()
        .take(1500)
        .collect();
    let verdicts = policy.evaluate_references(&world.lent(), &wishes).await.expect("it judges");
    assert_eq!(verdicts.len(), 1500);
    for (wish, verdict) in wishes.iter().zip(&verdicts) {
        let denied = !wish.origin.contains("other");
        assert_eq!(matches!(verdict, Verdict::Deny(_)), denied, "{}: {verdict:?}", wish.origin);
    }
}

#[tokio::test]
async fn images_on_a_blocked_base_are_refused() {
    let base: [&[u8]; 2] = [b"base layer 1", b"base layer 2"];
    let derived: [&[u8]; 3] = [b"base layer 1", b"base layer 2", b"mine"];
    let annotated = json!({"org.opencontainers.image.base.name": "registry.example/base:1"});
    let world = World::new(vec![
        FakeImage::new("registry.example/base:1", &base, json!({})),
        FakeImage::new("registry.example/derived:1", &derived, json!({})),
        FakeImage::new("registry.example/annotated:1", &[b"other"], annotated),
        FakeImage::new("registry.example/free:1", &[b"other"], json!({})),
    ]);
    let settings = json!({"rules": [{"baseImage": "registry.example/base:1"}]});
    let spec = builtin("block", settings, &["registry"]);
    let policy = host().policy(spec, Mode::Protect, OnFailure::Deny).await.expect("it loads");
    let lent = world.lent();
    for (name, denied) in [("base", true), ("derived", true), ("annotated", true), ("free", false)] {
        let reference = format!("registry.example/{name}:1");
        let verdict = policy.evaluate(&lent, &request(&reference), world.view(&reference)).await;
        let verdict = verdict.expect("it judges");
        assert_eq!(matches!(verdict, Verdict::Deny(_)), denied, "{name}: {verdict:?}");
    }
}
