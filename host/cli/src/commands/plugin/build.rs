//! `oc-mirror plugin build`.

use std::path::Path;

use oc_mirror_guest_build::{GuestBuild, GuestBuildError, Language, ScriptBuild};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::report::exit;

use crate::error::CliError;
use crate::output::{self, size};

/// Makes components of a project.
pub(super) fn run(directory: &Path, target: Option<&Path>) -> Result<u8, CliError> {
    let absolute = |path: &Path| {
        std::path::absolute(path)
            .map_err(|error| CliError::caused(format!("`{}` cannot be used", path.display()), &error))
    };
    let manifest_dir = absolute(directory)?;
    let Some(language) = Language::of(&manifest_dir) else {
        let shown = directory.display();
        return Err(CliError::new(format!(
            "there is neither a `Cargo.toml` nor a `plugin.toml` with a `plugin.py` or `plugin.js` in `{shown}`"
        ))
        .hint("name the directory of the project; `oc-mirror plugin new NAME` makes one"));
    };
    let target_dir = target.map_or_else(|| Ok(manifest_dir.join("target")), absolute)?;
    let built = match language {
        Language::Rust => {
            output::status("compiling, which takes a minute the first time");
            GuestBuild { manifest_dir, target_dir, packages: Vec::new() }.build()
        }
        language => ScriptBuild { dir: manifest_dir, target_dir, language }.build().map(|built| vec![built]),
    };
    let built = built.map_err(failed)?;
    if built.is_empty() {
        return Err(CliError::new(format!("no package in `{}` has a `plugin.toml`", directory.display()))
            .hint("it says what the plugin is; `oc-mirror plugin new NAME` makes one to begin with"));
    }
    for guest in &built {
        let bytes = std::fs::read(&guest.path).map_err(|error| {
            CliError::caused(format!("`{}` cannot be read", guest.path.display()), &error)
        })?;
        let shown = output::clean(&guest.path.display().to_string());
        output::line(&format!("{shown}\n  {}, {}", size(bytes.len() as u64), Digest::of(&bytes)));
    }
    Ok(exit::OK)
}

fn failed(error: GuestBuildError) -> CliError {
    let made = CliError::caused("the plugin cannot be built", &error);
    match error {
        GuestBuildError::NoTool { install, .. } => {
            made.hint(format!("install it with `{install}` in the directory of the project"))
        }
        GuestBuildError::NoToolchain => made.hint("install one of the two, and try again"),
        GuestBuildError::Cargo { .. } => {
            made.hint("the same code is quicker to mend with `cargo test`, which runs it natively")
        }
        _ => made,
    }
}
