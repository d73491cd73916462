//! Projects in Rust. They bring their own copy of the SDK and of the contract, since neither is in a registry of crates.

use super::{Usage, in_a_configuration, repository, retitled, what_it_is, without_heading};
use crate::args::PluginKind;

/// The sources of the SDK, and what the contract is.
const SDK: [(&str, &str); 9] = [
    ("sdk/src/bindings.rs", repository!("plugins/sdk/src/bindings.rs")),
    ("sdk/src/export.rs", repository!("plugins/sdk/src/export.rs")),
    ("sdk/src/helpers.rs", repository!("plugins/sdk/src/helpers.rs")),
    ("sdk/src/images.rs", repository!("plugins/sdk/src/images.rs")),
    ("sdk/src/lib.rs", repository!("plugins/sdk/src/lib.rs")),
    ("sdk/src/pattern.rs", repository!("plugins/sdk/src/pattern.rs")),
    ("sdk/src/plugin.rs", repository!("plugins/sdk/src/plugin.rs")),
    ("sdk/src/reference.rs", repository!("plugins/sdk/src/reference.rs")),
    ("sdk/wit/plugin.wit", repository!("wit/plugin.wit")),
];

/// An example that a project begins with.
struct Example {
    name: &'static str,
    library: &'static str,
    manifest: &'static str,
    schema: &'static str,
    cases: &'static str,
    usage: Usage,
}

const POLICY: Example = Example {
    name: "deny-label",
    library: repository!("examples/policies/deny-label/src/lib.rs"),
    manifest: repository!("examples/policies/deny-label/plugin.toml"),
    schema: repository!("examples/policies/deny-label/settings.schema.json"),
    cases: repository!("examples/policies/deny-label/cases.yaml"),
    usage: Usage { config: "{label: stage, value: beta}", grants: "[]" },
};

const SOURCE: Example = Example {
    name: "tags",
    library: repository!("examples/sources/tags/src/lib.rs"),
    manifest: repository!("examples/sources/tags/plugin.toml"),
    schema: repository!("examples/sources/tags/settings.schema.json"),
    cases: repository!("examples/sources/tags/cases.yaml"),
    usage: Usage {
        config: "{repository: quay.io/prometheus/busybox, prefix: glibc}",
        grants: "[registry:quay.io/prometheus]",
    },
};

fn example(kind: PluginKind) -> Example {
    match kind {
        PluginKind::Policy => POLICY,
        PluginKind::Source => SOURCE,
    }
}

/// The files of a project, by path.
pub(super) fn files(name: &str, kind: PluginKind) -> Vec<(String, String)> {
    let example = example(kind);
    let manifest = retitled(example.manifest, example.name, name);
    let cases = retitled(&without_heading(example.cases), example.name, name);
    let mut files = vec![
        ("Cargo.toml".to_owned(), package(name)),
        ("README.md".to_owned(), readme(name, kind)),
        (".gitignore".to_owned(), "target/\n".to_owned()),
        ("plugin.toml".to_owned(), manifest),
        ("settings.schema.json".to_owned(), example.schema.to_owned()),
        ("src/lib.rs".to_owned(), example.library.to_owned()),
        ("cases.yaml".to_owned(), cases),
        ("sdk/Cargo.toml".to_owned(), SDK_PACKAGE.to_owned()),
    ];
    let sdk = SDK.iter().map(|(path, text)| ((*path).to_owned(), text.replace("\"../../wit\"", "\"wit\"")));
    files.extend(sdk);
    files
}

fn package(name: &str) -> String {
    format!(
        r#"[package]
name = "{name}"
version = "0.1.0"
edition = "2024"
publish = false

[workspace]

[lib]
crate-type = ["cdylib"]

[dependencies]
oc-mirror-plugin-sdk = {{ path = "sdk" }}
serde = {{ version = "1.0", features = ["derive"] }}

[dev-dependencies]
serde_json = "1.0"

# Small, and the same bytes on every machine.
[profile.release]
opt-level = "s"
lto = "fat"
codegen-units = 1
panic = "abort"
strip = true
"#
    )
}

/// The SDK as a package of its own.
const SDK_PACKAGE: &str = concat!(
    r#"[package]
name = "oc-mirror-plugin-sdk"
description = "What a Rust plugin for oc-mirror is written with"
version = ""#,
    env!("CARGO_PKG_VERSION"),
    r#""
edition = "2024"
license = "Apache-2.0"
publish = false

[dependencies]
serde = { version = "1.0", features = ["derive"] }
serde_json = "1.0"
serde_path_to_error = "0.1"
wit-bindgen = { version = "=0.63.0", default-features = false, features = ["macros", "realloc", "std"] }

[dev-dependencies]
rstest = { version = "0.28", default-features = false }
"#
);

fn readme(name: &str, kind: PluginKind) -> String {
    let what = what_it_is(kind);
    let configuration = in_a_configuration(name, kind, &example(kind).usage);
    format!(
        "# {name}\n\n{what} for oc-mirror. `src/lib.rs` is the whole plugin; `plugin.toml` says what it is and which \
         capabilities it wants, `settings.schema.json` what its settings are, `cases.yaml` what it is to answer.\n\n\
         ```sh\ncargo test                             # the decision, natively\n\
         oc-mirror plugin build .               # makes target/components/{name}.wasm\n\
         oc-mirror plugin test cases.yaml       # asks the component what the table asks; no registry is needed\n```\n\n\
         {configuration}\n`sdk/` is a copy of what oc-mirror's own plugins are written with, and `sdk/wit/plugin.wit` is the \
         contract.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_its_own() {
        for kind in [PluginKind::Policy, PluginKind::Source] {
            let files = files("mine", kind);
            let text = |name: &str| &files.iter().find(|(path, _)| path == name).expect("there").1;
            assert!(text("plugin.toml").contains("id = \"mine\""), "{}", text("plugin.toml"));
            assert!(text("cases.yaml").starts_with("plugin: target/components/mine.wasm\n"));
            assert!(
                !text("sdk/src/bindings.rs").contains("../wit")
                    && text("sdk/src/bindings.rs").contains("\"wit\"")
            );
            oc_mirror_model::cases::CaseTable::parse(text("cases.yaml")).expect("a table");
        }
    }

    #[test]
    fn the_sdk_is_whole() {
        // A module that the copy lacks would be noticed by whoever makes a project, and not here.
        let (_, library) = SDK.iter().find(|(path, _)| *path == "sdk/src/lib.rs").expect("it has one");
        let modules = library
            .lines()
            .filter_map(|line| line.trim().strip_prefix("pub mod ").or(line.trim().strip_prefix("mod ")));
        for module in modules.filter_map(|rest| rest.strip_suffix(';')) {
            let path = format!("sdk/src/{module}.rs");
            assert!(SDK.iter().any(|(name, _)| *name == path), "{path}");
        }
    }
}
