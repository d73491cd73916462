//! `oc-mirror plugin new`: a project that builds and tests as it is.
//!
//! What it is made of are the examples and the SDK of this repository, so that a project is exactly what is tested here. It
//! brings its own copy of the SDK and of the contract, since neither is in a registry of crates.

use std::path::{Path, PathBuf};

use oc_mirror_model::report::exit;

use crate::args::PluginKind;
use crate::error::CliError;
use crate::output;

macro_rules! repository {
    ($path:literal) => {
        include_str!(concat!("../../../../../", $path))
    };
}

/// The sources of the SDK, and what the contract is.
const SDK: [(&str, &str); 7] = [
    ("sdk/src/bindings.rs", repository!("plugins/sdk/src/bindings.rs")),
    ("sdk/src/export.rs", repository!("plugins/sdk/src/export.rs")),
    ("sdk/src/helpers.rs", repository!("plugins/sdk/src/helpers.rs")),
    ("sdk/src/lib.rs", repository!("plugins/sdk/src/lib.rs")),
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
}

const POLICY: Example = Example {
    name: "deny-label",
    library: repository!("examples/policies/deny-label/src/lib.rs"),
    manifest: repository!("examples/policies/deny-label/plugin.toml"),
    schema: repository!("examples/policies/deny-label/settings.schema.json"),
    cases: repository!("examples/policies/deny-label/cases.yaml"),
};

const SOURCE: Example = Example {
    name: "tags",
    library: repository!("examples/sources/tags/src/lib.rs"),
    manifest: repository!("examples/sources/tags/plugin.toml"),
    schema: repository!("examples/sources/tags/settings.schema.json"),
    cases: repository!("examples/sources/tags/cases.yaml"),
};

/// Makes a project.
pub(super) fn run(name: &str, kind: PluginKind, directory: Option<&Path>) -> Result<u8, CliError> {
    check(name)?;
    let root = directory.map_or_else(|| PathBuf::from(name), Path::to_owned);
    if root.symlink_metadata().is_ok() {
        return Err(CliError::new(format!("`{}` is there already", root.display()))
            .hint("nothing is overwritten; name another directory with --dir"));
    }
    for (path, text) in files(name, kind) {
        write(&root.join(path), &text)?;
    }
    let shown = root.display();
    output::status(&format!("{shown} is a plugin that works as it is; what it does is in src/lib.rs"));
    output::status(&format!("  oc-mirror plugin build {shown}"));
    output::status(&format!("  oc-mirror plugin test {shown}/cases.yaml"));
    Ok(exit::OK)
}

/// What a plugin may be called, as the build of guests has it too.
fn check(name: &str) -> Result<(), CliError> {
    let is_good = name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    match is_good {
        true => Ok(()),
        false => Err(CliError::new(format!("`{name}` cannot be the name of a plugin"))
            .hint("up to 64 lower-case letters, digits and `-`, beginning with a letter")),
    }
}

fn files(name: &str, kind: PluginKind) -> Vec<(String, String)> {
    let example = match kind {
        PluginKind::Policy => POLICY,
        PluginKind::Source => SOURCE,
    };
    let manifest =
        example.manifest.replace(&format!("id = \"{}\"", example.name), &format!("id = \"{name}\""));
    let component = |name: &str| format!("target/components/{name}.wasm");
    // The first line says how the example's own table is run.
    let cases = example.cases.lines().filter(|line| !line.starts_with('#'));
    let cases: String = cases.map(|line| format!("{line}\n")).collect();
    let cases = cases.replace(&component(example.name), &component(name));
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
    let (what, section) = match kind {
        PluginKind::Policy => ("A policy", "policies"),
        PluginKind::Source => ("A content source", "plugins"),
    };
    format!(
        "# {name}\n\n{what} for oc-mirror. `src/lib.rs` is the whole plugin; `plugin.toml` says what it is and which \
         capabilities it wants, `settings.schema.json` what its settings are, `cases.yaml` what it is to answer.\n\n\
         ```sh\ncargo test                             # the decision, natively\n\
         oc-mirror plugin build .               # makes target/components/{name}.wasm\n\
         oc-mirror plugin test cases.yaml       # asks the component what the table asks; no registry is needed\n```\n\n\
         In a configuration:\n\n```yaml\nmirror:\n  {section}:\n    - name: {name}\n      \
         source: file:target/components/{name}.wasm    # relative to the configuration\n      config: {{}}\n      \
         grants: []\n```\n\n`sdk/` is a copy of what oc-mirror's own plugins are written with, and `sdk/wit/plugin.wit` is the \
         contract.\n"
    )
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let written =
        path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, text));
    written.map_err(|error| CliError::caused(format!("`{}` cannot be written", path.display()), &error))
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
        let modules = SDK[3]
            .1
            .lines()
            .filter_map(|line| line.trim().strip_prefix("pub mod ").or(line.trim().strip_prefix("mod ")));
        for module in modules.filter_map(|rest| rest.strip_suffix(';')) {
            let path = format!("sdk/src/{module}.rs");
            assert!(SDK.iter().any(|(name, _)| *name == path), "{path}");
        }
    }
}
