//! Guests that were built against a released contract, and kept as they were, run on this host.

use std::collections::BTreeSet;
use std::path::PathBuf;

use oc_mirror_engine::policy::{Mode, OnFailure};
use oc_mirror_model::policy::Verdict;
use oc_mirror_plugin_host::{Binary, CONTRACT};
use serde_json::json;

use crate::support::{ALL_GRANTS, FakeImage, World, host, request, root, run_info, spec};

const IMAGE: &str = "registry.example/reach:1";

/// The releases with a guest, by version.
fn releases() -> Vec<(String, PathBuf)> {
    let directory = root().join("wit/released");
    let entries = std::fs::read_dir(directory).expect("there are releases").map(|e| e.expect("readable"));
    let named = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    named
        .map(|version| (version.clone(), root().join("tests/released").join(version).join("guest.wasm")))
        .collect()
}

#[tokio::test]
async fn guests_of_every_release_run() {
    let releases = releases();
    assert!(!releases.is_empty());
    for (version, path) in releases {
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(bytes.len() <= 128 << 10, "{}: {} bytes", path.display(), bytes.len());
        let binary = Binary::new("released", bytes);
        let inspection = binary.inspect().expect("it says what it is");
        assert_eq!(inspection.meta.wit, version);
        let interfaces = [
            "cache",
            "config",
            "http",
            "log",
            "plan",
            "progress",
            "registry",
            "signatures",
            "streams",
            "types",
        ];
        let expected: BTreeSet<String> =
            interfaces.map(|name| format!("oc-mirror:plugin/{name}@{version}")).into_iter().collect();
        assert_eq!(inspection.imports, expected, "all that the host has, and no WASI");
        collects(binary.clone()).await;
        judges(binary).await;
    }
}

/// Whatever the metadata says, what is linked has a version too.
#[test]
fn another_version_is_refused_by_what_a_guest_imports() {
    for (version, path) in releases() {
        let bytes = std::fs::read(&path).expect("it is there");
        let with = |other: &str| {
            let (from, to) = (format!("@{version}"), format!("@{other}"));
            assert_eq!(from.len(), to.len(), "lengths are part of the format");
            let mut bytes = bytes.clone();
            let places: Vec<usize> = (0..bytes.len() - from.len())
                .filter(|at| bytes[*at..].starts_with(from.as_bytes()))
                .collect();
            assert!(places.len() > 10, "{} places", places.len());
            places.iter().for_each(|at| bytes[*at..at + to.len()].copy_from_slice(to.as_bytes()));
            Binary::new("released", bytes).inspect()
        };
        for other in ["0.2.0", "1.1.0", "9.9.9"] {
            let error = with(other).expect_err("nobody knows it").to_string();
            assert!(error.contains(other) && error.contains(CONTRACT), "{error}");
        }
        assert!(
            with("0.1.9").is_ok(),
            "functions that it may use besides are found missing when it is linked"
        );
    }
}

async fn collects(binary: Binary) {
    let mut world = World::new(vec![FakeImage::new(IMAGE, &[b"not a tar"], json!({}))]);
    world.state.insert("mine".to_owned(), json!({"before": 1}));
    let source = host().source(spec(binary, json!({}), &ALL_GRANTS)).await.expect("it loads");
    let collected = source.collect(&run_info(), &world.services()).await.expect("it ends well");
    let answers: Vec<&str> = collected.warnings.iter().map(|(_, text)| text.as_str()).collect();
    let expected = [
        "run mirror-to-disk false false",
        "settings {}",
        "credential true",
        "cancelled false",
        "resolve ok",
        "tags ok",
        "fetch ok",
        "documents ok",
        "cache ok",
        "withheld 0",
        "state Some(\"{\\\"before\\\":1}\")",
        "save ok",
        "artifact ok",
        "build ok",
        "document ok",
        // There are no keys here, and no grant for it.
        "signatures denied",
    ];
    assert_eq!(answers[..expected.len()], expected);
    looked_at(&answers[expected.len()..]);
    let origins: Vec<_> = collected.images.iter().map(|image| image.origin.as_str()).collect();
    assert_eq!(origins, ["registry.example/released:built", IMAGE]);
    assert_eq!(collected.notes, [("released".to_owned(), "as of 0.1.0".to_owned())]);
    assert_eq!(collected.state, Some(json!({"released": 1})));
    assert_eq!(
        (collected.artifacts.len(), collected.artifacts[0].size, collected.documents.len()),
        (1, 4, 1)
    );
    assert!(world.events.lines().iter().any(|line| line.contains("released")), "{:?}", world.events.lines());
}

fn looked_at(answers: &[&str]) {
    assert_eq!(answers[0], format!("image {IMAGE}"));
    for what in
        ["manifest", "config", "labels", "annotations", "layers", "base", "referrers", "signers", "blob"]
    {
        assert!(answers.contains(&format!("{what} ok").as_str()), "{what}: {answers:?}");
    }
    // Its layer is no archive; what matters is that there is an answer.
    for what in ["children", "files", "filesystem", "list"] {
        assert!(answers.iter().any(|answer| answer.starts_with(&format!("{what} "))), "{what}: {answers:?}");
    }
}

async fn judges(binary: Binary) {
    let world = World::new(vec![FakeImage::new(IMAGE, &[b"not a tar"], json!({}))]);
    let policy =
        host().policy(spec(binary, json!({}), &[]), Mode::Protect, OnFailure::Deny).await.expect("it loads");
    let lent = world.lent();
    let verdict = policy.evaluate(&lent, &request(IMAGE), world.view(IMAGE)).await.expect("it judges");
    let Verdict::Warn(findings) = verdict else { panic!("{verdict:?}") };
    let answers: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(answers[0], format!("asked about {IMAGE}"));
    looked_at(&answers[1..]);
    let batch = [request("registry.example/refused:1"), request(IMAGE)];
    let verdicts = policy.evaluate_references(&lent, &batch).await.expect("it judges");
    assert!(matches!(verdicts.as_slice(), [Verdict::Deny(_), Verdict::Allow]), "{verdicts:?}");
}
