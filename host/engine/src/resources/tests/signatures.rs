//! Signatures of all releases at the target, whichever imageset brought them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::{LARGEST, Preferences};
use super::{Documents, chain, of_chain, sign, yaml};
use oc_mirror_model::metadata::Chain;

const FIRST: &str = "release q.io/o/ocp-release@ openshift/release-images:4.20.1-x86_64";
const SECOND: &str = "release q.io/o/ocp-release@ openshift/release-images:4.20.2-x86_64";

fn made(chain: &Chain) -> Documents {
    of_chain(chain, "r.example", false, &Preferences::default())
}

/// Returns the ConfigMaps as YAML has them, after a comparison with JSON.
fn config_maps(documents: &Documents) -> Vec<Value> {
    let maps = documents.files.get("signature-configmap.yaml").map(|text| yaml(text)).unwrap_or_default();
    let json = documents.files.get("signature-configmap.json").map(String::as_str);
    let json: Value = json.map_or(Value::Null, |text| serde_json::from_str(text).expect("JSON"));
    match &maps[..] {
        [] => assert_eq!(json, Value::Null),
        [one] => assert_eq!(json, *one),
        several => assert_eq!(json, json!({ "apiVersion": "v1", "kind": "List", "items": several })),
    }
    maps
}

#[test]
fn of_the_whole_chain() {
    let mut chain = chain(&[&[FIRST], &["additional q.io/a/b:1 a/b:1"], &[SECOND]]);
    assert!(config_maps(&made(&chain)).is_empty());
    let payloads = [0, 2].map(|at: usize| chain.imagesets[at].images[0].digest.clone());
    sign(&mut chain, &payloads[0], 1, "AAAA");
    sign(&mut chain, &payloads[0], 3, "AAAB");
    sign(&mut chain, &payloads[1], 1, "AAAC");
    // A release that is not at the target, as after it was deleted.
    sign(&mut chain, &oc_mirror_model::digest::Digest::of(b"gone"), 1, "AAAD");
    let documents = made(&chain);
    let [map] = &config_maps(&documents)[..] else { panic!("{documents:?}") };
    let key = |at: usize, number: u32| format!("sha256-{}-{number}", payloads[at].hex());
    let data = BTreeMap::from([(key(0, 1), "AAAA"), (key(0, 3), "AAAB"), (key(1, 1), "AAAC")]);
    let expected = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "mirrored-release-signatures",
            "namespace": "openshift-config-managed",
            "labels": { "release.openshift.io/verification-signatures": "" },
            "annotations": { "createdBy": "oc-mirror" },
        },
        "binaryData": data,
    });
    assert_eq!(*map, expected);
    for name in ["signature-configmap.yaml", "signature-configmap.json"] {
        assert!(super::is_ours(name, &documents.files[name]), "{name}");
    }
}

#[test]
fn many_are_split_below_what_clusters_take() {
    let lines: Vec<String> = (0..300)
        .map(|n| format!("release q.io/o/ocp-release@ openshift/release-images:4.20.{n}-x86_64"))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut chain = chain(&[&lines]);
    let payloads: Vec<_> = chain.imagesets[0].images.iter().map(|image| image.digest.clone()).collect();
    for payload in &payloads {
        sign(&mut chain, payload, 1, &"A".repeat(1200));
    }
    sign(&mut chain, &payloads[0], 2, &"A".repeat(LARGEST));
    let documents = made(&chain);
    let maps = config_maps(&documents);
    let names: Vec<&str> = maps.iter().map(|map| map["metadata"]["name"].as_str().expect("text")).collect();
    assert_eq!(names, ["mirrored-release-signatures", "mirrored-release-signatures-1"]);
    let entries: usize = maps.iter().map(|map| map["binaryData"].as_object().expect("a map").len()).sum();
    assert_eq!(entries, 300);
    let text = &documents.files["signature-configmap.yaml"];
    assert!(text.split("---\n").all(|part| part.len() < LARGEST));
    assert!(maps.iter().all(|map| serde_json::to_string_pretty(map).expect("JSON").len() < LARGEST));
    let [warning] = &documents.warnings[..] else { panic!("{:?}", documents.warnings) };
    assert!(warning.starts_with("signature 2 of the release sha256:"), "{warning}");
}
