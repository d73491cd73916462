use rstest::rstest;
use serde_json::json;

use super::*;

const HEAD: &str = "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\n";

fn edit(action: &str, at: &str, value: Value) -> Edit {
    serde_json::from_value(json!({ "action": action, "at": at, "value": value })).expect("an edit")
}

#[track_caller]
fn patched(text: &str, edits: Vec<Edit>) -> Patched {
    patch(&format!("{HEAD}{text}"), &edits).expect("a configuration")
}

const USUAL: &str = "# What we mirror.
mirror:
  platform:
    graph: true   # for OSUS
    channels:
      # The stable one.
      - name: stable-4.18   # EUS
        maxVersion: '4.18.9'
      - name: \"stable-4.20\"
  operators:
    - catalog: registry.redhat.io/redhat/redhat-operator-index:v4.18
      packages:
        - name: odf-operator
          channels:
            - name: stable-4.18
              # Do not touch.
        - name: web-terminal

    # The end.
";

#[rstest]
#[case(
    "set",
    "mirror.platform.channels[0].minVersion",
    json!("4.18.3"),
    "      - name: stable-4.18   # EUS\n        minVersion: 4.18.3\n        maxVersion: '4.18.9'\n"
)]
#[case("set", "mirror.platform.channels[0].maxVersion", json!("4.18.10"), "        maxVersion: 4.18.10\n")]
#[case("set", "mirror.platform.channels[0].maxVersion", json!(""), "        maxVersion: \"\"\n")]
#[case(
    "append",
    "mirror.platform.channels",
    json!({"name": "stable-4.19", "minVersion": "4.19.1"}),
    "      - name: \"stable-4.20\"\n      - name: stable-4.19\n        minVersion: 4.19.1\n  operators:\n"
)]
#[case(
    "set",
    "mirror.platform.architectures",
    json!(["amd64", "arm64"]),
    "      - name: \"stable-4.20\"\n    architectures:\n      - amd64\n      - arm64\n  operators:\n"
)]
#[case(
    "append",
    "mirror.operators[0].packages",
    json!({"channels": [{"minVersion": "1.0", "name": "a"}], "name": "p"}),
    "        - name: web-terminal\n        - name: p\n          channels:\n            - name: a\n              \
     minVersion: \"1.0\"\n\n    # The end.\n"
)]
#[case(
    "set",
    "mirror.operators[0].packages[0].channels[0].minVersion",
    json!("4.18.0-12+x"),
    "            - name: stable-4.18\n              minVersion: 4.18.0-12+x\n              # Do not touch.\n"
)]
#[case(
    "append",
    "mirror.operators",
    json!({"catalog": "r.example/i:v1", "packages": [{"name": "p"}]}),
    "        - name: web-terminal\n    - catalog: r.example/i:v1\n      packages:\n        - name: p\n\n    # The end.\n"
)]
fn only_what_is_meant_is_changed(
    #[case] action: &str,
    #[case] at: &str,
    #[case] value: Value,
    #[case] expected: &str,
) {
    let found = patched(USUAL, vec![edit(action, at, value)]);
    assert!(found.kept, "{}", found.text);
    assert!(found.text.contains(expected), "{}", found.text);
    let before: Vec<&str> = USUAL.lines().filter(|line| line.contains('#')).collect();
    for comment in before {
        assert!(found.text.contains(comment), "{comment} is gone: {}", found.text);
    }
}

#[rstest]
// Flow style.
#[case(
    "mirror: {platform: {channels: [{name: 'a]b'}, {name: stable-4.18}]}}\n",
    vec![edit("set", "mirror.platform.channels[1].minVersion", json!("4.18.1")),
         edit("append", "mirror.platform.channels", json!({"name": "stable-4.19"}))],
    "mirror: {platform: {channels: [{name: 'a]b'}, {minVersion: \"4.18.1\", name: stable-4.18}, {\"name\":\"stable-4.19\"}]}}\n"
)]
#[case(
    "mirror:\n  platform:\n    architectures: [amd64]\n",
    vec![edit("append", "mirror.platform.architectures", json!("arm64")),
         edit("append", "mirror.platform.channels", json!({"name": "stable-4.19"}))],
    "mirror:\n  platform:\n    architectures: [amd64, \"arm64\"]\n    channels:\n      - name: stable-4.19\n"
)]
// Keys without values, and what is missing on the way.
#[case(
    "mirror:\n  operators:   # none yet\n  platform: ~\n",
    vec![edit("append", "mirror.operators", json!({"catalog": "r.example/i:v1"})),
         edit("append", "mirror.platform.channels", json!({"name": "stable-4.19"}))],
    "mirror:\n  operators: # none yet\n    - catalog: r.example/i:v1\n  platform:\n    channels:\n      - name: stable-4.19\n"
)]
#[case(
    "mirror:\n  additionalImages:\n  - name: r.example/a:v1\n",
    vec![edit("set", "mirror.platform.architectures", json!(["amd64"]))],
    "mirror:\n  additionalImages:\n  - name: r.example/a:v1\n  platform:\n    architectures:\n    - amd64\n"
)]
#[case(
    "mirror: {}\n",
    vec![edit("append", "mirror.platform.channels", json!({"name": "stable-4.19"}))],
    "mirror: {platform: {\"channels\":[{\"name\":\"stable-4.19\"}]}}\n"
)]
// Keys in another case, no line break at the end, lines of Windows.
#[case(
    "mirror:\n  platform:\n    channels:\n    - name: stable-4.18\n      minversion: 4.18.9",
    vec![edit("set", "mirror.platform.channels[0].minVersion", json!("4.18.1")),
         edit("append", "mirror.platform.channels", json!({"name": "stable-4.19"}))],
    "mirror:\n  platform:\n    channels:\n    - name: stable-4.18\n      minversion: 4.18.1\n    - name: stable-4.19"
)]
#[case(
    "mirror:\r\n  platform:\r\n    channels:\r\n    - name: stable-4.18\r\n",
    vec![edit("set", "mirror.platform.channels[0].minVersion", json!("4.18.1"))],
    "mirror:\r\n  platform:\r\n    channels:\r\n    - name: stable-4.18\n      minVersion: 4.18.1\r\n"
)]
// A text of several lines belongs to what it is the value of.
#[case(
    "mirror:\n  platform:\n    channels:\n    - name: stable-4.18\n    graphDataURL: >-\n      https://a.example/x\n",
    vec![edit("set", "mirror.platform.shortestPath", json!("x"))],
    ""
)]
#[case(
    "mirror:\n  platform:\n    channels:\n    - name: stable-4.18\n    graph: true\n    graphDataURL: >-\n      https://a.example/x\n",
    vec![edit("set", "mirror.platform.architectures", json!(["amd64"]))],
    "mirror:\n  platform:\n    channels:\n    - name: stable-4.18\n    graph: true\n    graphDataURL: >-\n      https://a.example/x\n    architectures:\n    - amd64\n"
)]
fn styles(#[case] text: &str, #[case] edits: Vec<Edit>, #[case] expected: &str) {
    match expected {
        "" => drop(patch(&format!("{HEAD}{text}"), &edits).expect_err("no such field")),
        expected => {
            let found = patched(text, edits);
            assert_eq!((found.text.strip_prefix(HEAD), found.kept), (Some(expected), true));
        }
    }
}

#[test]
fn what_comes_from_an_anchor_is_written_anew() {
    let text = "mirror:\n  platform:\n    channels:\n    - &x {name: stable-4.18}\n    - {<<: *x, name: stable-4.19}\n";
    let edits = vec![edit("set", "mirror.platform.channels[0].minVersion", json!("4.18.1"))];
    let found = patched(text, edits);
    assert!(!found.kept && !found.text.contains('*'), "{}", found.text);
    let read = parse(&found.text).expect("a configuration");
    let crate::config::Configuration::Mirror(read) = read.configuration else { panic!("what to mirror") };
    let channels = read.mirror.platform.expect("releases").channels;
    assert_eq!(
        (channels[0].min_version.as_deref(), channels[1].min_version.as_deref()),
        (Some("4.18.1"), None)
    );
}

#[test]
fn what_version_1_has_stays() {
    let text = "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v1alpha2\nstorageConfig:\n  local:\n    \
        path: /x\nmirror: &m\n  operators:\n  - catalog: r.example/i:v1\n    packages:\n    - name: p\n      minBundle: p.v1\n";
    let found = patch(text, &[edit("set", "mirror.operators[0].packages[0].minBundle", json!("p.v0"))]);
    let found = found.expect("a configuration");
    assert!(found.kept && found.text.contains("minBundle: p.v0") && found.text.contains("storageConfig"));
}

#[rstest]
#[case("mirror.platform.channels[5].name", json!("x"), "`mirror.platform.channels[5].name` is no place in a configuration")]
#[case("mirror.platform.channels[0].minVersion", json!("what"), "`what` is not the version of a release")]
fn no_changes(#[case] at: &str, #[case] value: Value, #[case] expected: &str) {
    let error = patch(&format!("{HEAD}{USUAL}"), &[edit("set", at, value)]).expect_err("no change");
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn nothing_to_do_changes_nothing() {
    let text = format!("{HEAD}{USUAL}");
    assert_eq!(patch(&text, &[]), Ok(Patched { text: text.clone(), kept: true }));
}
