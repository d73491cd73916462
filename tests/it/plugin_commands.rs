//! `plugin new`, `plugin build`, `plugin inspect`, `plugin list` and `plugin test`.

use std::path::Path;

use oc_mirror_plugin_host::{Host, HostSettings};
use oc_mirror_testkit::workspace_root;
use rstest::rstest;
use serde_json::Value;

use crate::lab::{self, context};

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

/// As a configuration names it, or just the name.
#[rstest]
#[case("block")]
#[case("builtin:block")]
#[case("file:block.wasm")]
#[case("block.wasm")]
#[case("oci:layout:block")]
fn a_plugin_is_named_in_one_way_everywhere(#[case] plugin: &str) {
    let context = context();
    let host = Host::new(HostSettings::default()).expect("a host");
    context.write("block.wasm", host.builtin("block").expect("built in").bytes());
    context.run(&["plugin", "push", "block.wasm", "oci:layout:block"]).expect_code(0);
    let output = context.run(&["plugin", "inspect", plugin]).expect_code(0);
    assert!(output.raw_stdout.starts_with("block "), "{}", output.raw_stdout);
    let path = table(&context.work(), &TABLE.replacen("plugin: block\n", "", 1));
    let output = context.run(&["plugin", "test", &path, "--plugin", plugin]).expect_code(0);
    assert!(output.raw_stdout.ends_with("3 passed, 0 failed\n"), "{}", output.raw_stdout);
    // And in a table in another directory, beside which the files are.
    table(&context.work(), &TABLE.replacen("plugin: block\n", &format!("plugin: {plugin}\n"), 1));
    context.write("elsewhere/file", "");
    let elsewhere = context.work().join("elsewhere");
    let output = context.command(&["plugin", "test", &path]).current_dir(elsewhere).output();
    let said = String::from_utf8(output.expect("it runs").stdout).expect("text");
    assert!(said.ends_with("3 passed, 0 failed\n"), "{said}");
}

#[rstest]
#[case(&["inspect", "builtin:blocks"], "`builtin:blocks` cannot be used", "block")]
#[case(&["inspect", "docker://r.example/a"], "has neither tag nor digest", "add the version")]
#[case(&["test", "cases.yaml", "--plugin", "oci:"], "does not name an artifact", "write `file:PATH`")]
#[case(&["verify", "builtin:block", "--key", "a.pub"], "is a part of the program, and has no signature", "name a file")]
#[case(&["sign", "block", "--sign-key", "a.key"], "is a part of the program, and has no signature", "name a file")]
#[case(&["pull", "builtin:block"], "is not in a registry or image layout", "docker://HOST")]
fn what_cannot_be_meant_is_said(#[case] args: &[&str], #[case] message: &str, #[case] hint: &str) {
    let context = context();
    table(&context.work(), TABLE);
    let key = context.work().join("a").display().to_string();
    context.run(&["key", "generate", "--output", &key]).expect_code(0);
    let output = context.run(&[&["plugin"], args].concat()).expect_code(1);
    assert!(output.stderr.contains(message) && output.stderr.contains(hint), "{}", output.stderr);
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

/// Each policy that ships has a table, beside its source.
#[rstest]
#[case("allow-registries")]
#[case("block")]
#[case("limits")]
#[case("require-signature")]
fn a_policy_that_ships_answers_its_table(#[case] name: &str) {
    let path = workspace_root().join("plugins").join(name).join("cases.yaml").display().to_string();
    let output = context().run(&["plugin", "test", &path]).expect_code(0);
    assert!(output.stdout.ends_with(", 0 failed\n"), "{}", output.stdout);
}

#[test]
fn every_policy_that_ships_has_a_table() {
    let this = include_str!("plugin_commands.rs");
    let plugins = workspace_root().join("plugins");
    for name in lab::names_in(&plugins) {
        let manifest = std::fs::read_to_string(plugins.join(&name).join("plugin.toml")).unwrap_or_default();
        let is_policy = manifest.lines().any(|line| line.starts_with("worlds") && line.contains("policy\""));
        assert!(!is_policy || this.contains(&format!("#[case(\"{name}\")]")), "{name}");
    }
}

/// Keys that a table makes up sign as cosign does, and a name for what nobody signed is a mistake.
#[test]
fn images_of_a_table_are_signed() {
    let context = context();
    let text = r#"
plugin: require-signature
config: {keys: ["${key.team}"]}
images:
  quay.io/team/app:1: {signedBy: [other]}
cases:
- name: one
  image: quay.io/team/app:1
  expect: {verdict: allow}
"#;
    let path = table(&context.work(), text);
    let output = context.run(&["plugin", "test", &path]).expect_code(1);
    assert!(output.stdout.contains("(require-signature.not-accepted)"), "{}", output.stdout);
    table(&context.work(), &text.replace("[other]", "[other, team]"));
    context.run(&["plugin", "test", &path]).expect_code(0);
    table(&context.work(), &text.replace("signedBy: [other]", "signedAs: quay.io/team/app"));
    let output = context.run(&["plugin", "test", &path]).expect_code(1);
    assert!(output.stderr.contains("has `signedAs`, and nobody signed it"), "{}", output.stderr);
}
