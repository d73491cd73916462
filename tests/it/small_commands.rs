//! `version` and `schema`, and what the program says of itself.

use crate::lab::context;

#[test]
fn version_is_told() {
    let output = context().run(&["version"]).expect_code(0);
    assert!(output.stdout.contains(env!("CARGO_PKG_VERSION")), "{}", output.stdout);
    let output = context().run(&["version", "-o", "json"]).expect_code(0);
    let value: serde_json::Value = serde_json::from_str(&output.raw_stdout).expect("JSON");
    assert!(value.to_string().contains(env!("CARGO_PKG_VERSION")), "{value}");
}

#[test]
fn schemas_are_printed() {
    for (name, kind) in [
        ("v1alpha2", "ImageSetConfiguration"),
        ("v2alpha1", "ImageSetConfiguration"),
        ("delete", "DeleteImageSetConfiguration"),
    ] {
        let output = context().run(&["schema", name]).expect_code(0);
        let value: serde_json::Value = serde_json::from_str(&output.raw_stdout).expect("JSON");
        assert!(value.to_string().contains(kind), "{name}: {value}");
    }
}

#[test]
fn help_names_the_three_workflows() {
    let output = context().run(&["--help"]).expect_code(0);
    for word in ["file://", "docker://", "--from", "--workspace", "serve"] {
        assert!(output.stdout.contains(word), "{word} in\n{}", output.stdout);
    }
}
