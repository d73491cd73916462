//! `plugin new`, `plugin build`, `plugin inspect`, `plugin list` and `plugin test`.

use std::path::Path;

use rstest::rstest;
use serde_json::Value;

use crate::lab::context;

/// A world with a policy that refuses images by their names, by the built-in `block`.
const TABLE: &str = r#"
plugin: block
config:
  rules: [{name: "^quay\\.io/example/beta"}]
images:
  quay.io/example/beta:1:
    labels: {stage: beta}
  quay.io/example/final:1:
    platforms: [linux/amd64, linux/arm64]
    layers: [{etc/os-release: "ID=test\n"}]
cases:
- name: a beta is refused
  image: quay.io/example/beta:1
  expect: {verdict: deny, code: blocked.expression, message: beta}
- name: a final one passes
  image: quay.io/example/final:1
  expect: {verdict: allow}
- name: a rule has to be one
  config: {rules: [{name: "("}]}
  expect: {problems: ["rules[0].name"]}
"#;

fn table(dir: &Path, text: &str) -> String {
    let path = dir.join("cases.yaml");
    std::fs::write(&path, text).expect("writable");
    path.display().to_string()
}

#[test]
fn a_plugin_is_told_apart_without_running_it() {
    let output = context().run(&["plugin", "inspect", "block"]).expect_code(0);
    for part in
        ["block ", "worlds     policy, static-policy", "wants      registry", "not imported", "sha256:"]
    {
        assert!(output.raw_stdout.contains(part), "{part} in\n{}", output.raw_stdout);
    }
    let output = context().run(&["plugin", "inspect", "block", "-o", "json"]).expect_code(0);
    let value: Value = serde_json::from_str(&output.raw_stdout).expect("JSON");
    assert_eq!(value["importsWasi"], false, "{value}");
    assert!(value["settingsSchema"]["properties"].is_object(), "{value}");
    assert!(value["exports"].to_string().contains("oc-mirror:plugin/image-policy@"), "{value}");
}

#[rstest]
#[case("nothing", None, "give the path of a component, or a built-in one: ")]
#[case("text.wasm", Some(b"hello".as_slice()), "give the path of a component")]
#[case("core.wasm", Some(b"\0asm\x01\0\0\0".as_slice()), "wasm-tools component new")]
fn what_is_no_plugin_is_refused(#[case] name: &str, #[case] bytes: Option<&[u8]>, #[case] hint: &str) {
    let context = context();
    let path = context.work().join(name);
    if let Some(bytes) = bytes {
        std::fs::write(&path, bytes).expect("writable");
    }
    let output = context.run(&["plugin", "inspect", &path.display().to_string()]).expect_code(1);
    assert!(output.stderr.contains(hint), "{}", output.stderr);
}

#[test]
fn built_in_plugins_are_listed() {
    let output = context().run(&["plugin", "list"]).expect_code(0);
    for name in ["additional", "block", "operator", "release"] {
        assert!(output.stdout.lines().any(|line| line.starts_with(name)), "{name} in\n{}", output.stdout);
    }
    let output = context().run(&["plugin", "list", "-o", "json"]).expect_code(0);
    let value: Value = serde_json::from_str(&output.raw_stdout).expect("JSON");
    let block = value.as_array().expect("a list").iter().find(|plugin| plugin["name"] == "block");
    assert_eq!(block.expect("it is there")["source"], Value::Null);
}

#[test]
fn plugins_of_a_configuration_are_listed_with_what_they_are_granted() {
    let context = context();
    let component = context.run(&["plugin", "inspect", "block"]).expect_code(0);
    drop(component);
    let config = context.work().join("isc.yaml");
    let text = "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n  policies:\n  - name: mine\n    \
                source: file:missing.wasm\n";
    std::fs::write(&config, text).expect("writable");
    let output = context.run(&["plugin", "list", "-c", &config.display().to_string()]).expect_code(1);
    assert!(output.stderr.contains("the component of `mine`"), "{}", output.stderr);
}

#[test]
fn a_table_is_worked_through_without_a_registry() {
    let context = context();
    let path = table(&context.work(), TABLE);
    let output = context.run(&["plugin", "test", &path]).expect_code(0);
    let expected = "ok     a beta is refused\nok     a final one passes\nok     a rule has to be one\n3 passed, 0 failed\n";
    assert_eq!(output.raw_stdout, expected);
    let output = context.run(&["plugin", "test", &path, "--case", "final", "-o", "json"]).expect_code(0);
    let value: Value = serde_json::from_str(&output.raw_stdout).expect("JSON");
    assert_eq!((value.as_array().map(Vec::len), &value[0]["passed"]), (Some(1), &Value::Bool(true)));
}

#[test]
fn a_source_collects_what_the_table_has() {
    let context = context();
    let text = "plugin: additional\ngrants: [registry]\nconfig: {untagged: error, images: [{name: \"quay.io/example/a:1\"}]}\n\
                images: {\"quay.io/example/a:1\": {}}\ncases:\n- name: all\n  expect: {images: [\"quay.io/example/a:1\"]}\n\
                - name: fewer\n  expect: {images: []}\n";
    let output = context.run(&["plugin", "test", &table(&context.work(), text)]).expect_code(1);
    let expected = "ok     all\nFAILED fewer\n       expected images none, got `quay.io/example/a:1`\n1 passed, 1 failed\n";
    assert_eq!(output.raw_stdout, expected);
}

#[test]
fn another_answer_is_shown_with_what_was_expected() {
    let context = context();
    let path = table(&context.work(), &TABLE.replace("verdict: allow", "verdict: warn, message: nothing"));
    let output = context.run(&["plugin", "test", &path]).expect_code(1);
    assert!(output.stdout.contains("expected warn, got allow"), "{}", output.stdout);
    assert!(output.stdout.contains("expected a message with `nothing`, got allow"), "{}", output.stdout);
    assert!(output.stdout.contains("2 passed, 1 failed"), "{}", output.stdout);
}

#[rstest]
#[case("cases: []", "it has no cases", "plugin test --help")]
#[case("cases:\n- name: a\n  expect: {}", "the case `a` expects nothing", "below `expect`")]
#[case("cases:\n- name: a\n  expect: {images: []}", "does not say which plugin to test", "--plugin FILE")]
#[case("cases:\n- nam: a", "nam", "plugin test --help")]
#[case(
    "plugin: block\nconfig: {rules: [{baseImage: quay.io/a/base}]}\ncases:\n- name: a\n  image: quay.io/a/b:1\n  expect: {verdict: deny}",
    "`quay.io/a/b:1` is not in the table",
    "below `images:`"
)]
#[case(
    "plugin: additional\ncases:\n- name: a\n  image: quay.io/a/b:1\n  expect: {verdict: deny}",
    "it is no policy",
    ""
)]
fn a_table_that_tests_nothing_is_refused(#[case] text: &str, #[case] message: &str, #[case] hint: &str) {
    let context = context();
    let output = context.run(&["plugin", "test", &table(&context.work(), text)]).expect_code(1);
    assert!(output.stderr.contains(message) && output.stderr.contains(hint), "{}", output.stderr);
}

#[test]
fn a_new_project_is_made_once() {
    let context = context();
    let dir = context.work().join("mine");
    let args = ["plugin", "new", "mine", "--kind", "source", "--dir", &dir.display().to_string()];
    let output = context.run(&args).expect_code(0);
    assert!(output.stderr.contains("plugin build"), "{}", output.stderr);
    for name in
        ["Cargo.toml", "plugin.toml", "src/lib.rs", "cases.yaml", "sdk/src/lib.rs", "sdk/wit/plugin.wit"]
    {
        assert!(dir.join(name).is_file(), "{name}");
    }
    let output = context.run(&args).expect_code(1);
    assert!(
        output.stderr.contains("is there already") && output.stderr.contains("--dir"),
        "{}",
        output.stderr
    );
    let output = context.run(&["plugin", "new", "Mine"]).expect_code(1);
    assert!(output.stderr.contains("lower-case letters"), "{}", output.stderr);
}

#[test]
fn what_is_no_project_is_not_built() {
    let context = context();
    let empty = context.work().display().to_string();
    let output = context.run(&["plugin", "build", &empty]).expect_code(1);
    assert!(
        output.stderr.contains("there is neither a `Cargo.toml` nor a `plugin.toml`"),
        "{}",
        output.stderr
    );
    assert!(output.stderr.contains("plugin new NAME"), "{}", output.stderr);
}

/// The policy `allow-registries`, by its own table.
#[test]
fn only_images_from_named_places_pass() {
    let context = context();
    let text = r#"
plugin: allow-registries
config: {allow: [quay.io/team, "*.example.com/base/*"]}
cases:
- name: below a repository
  image: quay.io/team/app:1
  expect: {verdict: allow}
- name: a neighbour
  image: quay.io/team-two/app:1
  expect: {verdict: deny, code: allow-registries, message: "`quay.io/team-two/app` is not among the places"}
- name: a pattern
  image: a.example.com/base/x:1
  expect: {verdict: allow}
- name: nothing is nothing
  config: {allow: []}
  expect: {problems: [allow]}
- name: a scheme is none
  config: {allow: ["https://quay.io"]}
  expect: {problems: ["allow[0]"]}
"#;
    let output = context.run(&["plugin", "test", &table(&context.work(), text)]).expect_code(0);
    assert!(output.stdout.ends_with("5 passed, 0 failed\n"), "{}", output.stdout);
}
