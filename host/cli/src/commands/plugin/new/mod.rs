//! `oc-mirror plugin new`: a project that builds and tests as it is.
//!
//! What it is made of are the examples and the SDK of this repository, so that a project is exactly what is tested here.

mod rust;
mod scripted;

use std::path::{Path, PathBuf};

use oc_mirror_guest_build::{ID_RULE, is_id};
use oc_mirror_model::report::exit;

use crate::args::{PluginKind, PluginLanguage};
use crate::error::CliError;
use crate::output;

macro_rules! repository {
    ($($path:literal),+) => {
        include_str!(concat!("../../../../../../", $($path),+))
    };
}
use repository;

/// Makes a project.
pub(super) fn run(
    name: &str,
    kind: PluginKind,
    language: PluginLanguage,
    directory: Option<&Path>,
) -> Result<u8, CliError> {
    if !is_id(name) {
        return Err(CliError::new(format!("`{name}` cannot be the name of a plugin")).hint(ID_RULE));
    }
    let root = directory.map_or_else(|| PathBuf::from(name), Path::to_owned);
    if root.symlink_metadata().is_ok() {
        return Err(CliError::new(format!("`{}` is there already", root.display()))
            .hint("nothing is overwritten; name another directory with --dir"));
    }
    let template = match language {
        PluginLanguage::Rust => None,
        PluginLanguage::Python => Some(scripted::PYTHON),
        PluginLanguage::Javascript => Some(scripted::JAVASCRIPT),
    };
    let files = template.as_ref().map_or_else(|| rust::files(name, kind), |t| t.files(name, kind));
    for (path, text) in files {
        write(&root.join(path), &text)?;
    }
    let shown = root.display().to_string();
    let main = template.as_ref().map_or("src/lib.rs", |t| t.main);
    output::status(&format!("{shown} is a plugin that works as it is; what it does is in {main}"));
    if let Some(template) = template {
        output::status(&format!("  {}", template.install.replace("DIR", &shown)));
    }
    output::status(&format!("  oc-mirror plugin build {shown}"));
    output::status(&format!("  oc-mirror plugin test {shown}/cases.yaml"));
    Ok(exit::OK)
}

/// Puts another name in the place of an example's: in its manifest, and where its table says what to test.
fn retitled(text: &str, from: &str, to: &str) -> String {
    let component = |name: &str| format!("target/components/{name}.wasm");
    text.replace(&format!("id = \"{from}\""), &format!("id = \"{to}\""))
        .replace(&component(from), &component(to))
}

/// Leaves out the comments of a table: the first says how the example's own is run.
fn without_heading(cases: &str) -> String {
    cases.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

/// What an entry of a configuration says of an example, as YAML in one line.
struct Usage {
    config: &'static str,
    grants: &'static str,
}

/// What a plugin is, at the beginning of a sentence.
fn what_it_is(kind: PluginKind) -> &'static str {
    match kind {
        PluginKind::Policy => "A policy",
        PluginKind::Source => "A content source",
    }
}

/// The part of a README that says how a plugin gets into a configuration.
fn in_a_configuration(name: &str, kind: PluginKind, usage: &Usage) -> String {
    let section = match kind {
        PluginKind::Policy => "policies",
        PluginKind::Source => "plugins",
    };
    let Usage { config, grants } = usage;
    format!(
        "In a configuration:\n\n```yaml\nmirror:\n  {section}:\n    - name: {name}\n      \
         source: file:target/components/{name}.wasm    # relative to the configuration\n      \
         config: {config}\n      grants: {grants}\n```\n"
    )
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let written =
        path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, text));
    written.map_err(|error| CliError::caused(format!("`{}` cannot be written", path.display()), &error))
}
