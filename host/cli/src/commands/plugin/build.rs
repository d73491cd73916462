//! `oc-mirror plugin build`.

use std::path::Path;

use oc_mirror_guest_build::{GuestBuild, GuestBuildError};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::report::exit;

use crate::error::CliError;
use crate::output::{self, size};

/// Compiles the plugins of a Rust project into components.
pub(super) fn run(directory: &Path, target: Option<&Path>) -> Result<u8, CliError> {
    let absolute = |path: &Path| {
        std::path::absolute(path)
            .map_err(|error| CliError::caused(format!("`{}` cannot be used", path.display()), &error))
    };
    let manifest_dir = absolute(directory)?;
    if !manifest_dir.join("Cargo.toml").is_file() {
        return Err(CliError::new(format!("there is no `Cargo.toml` in `{}`", directory.display()))
            .hint("name the directory of the project; `oc-mirror plugin new NAME` makes one"));
    }
    let target_dir = target.map_or_else(|| Ok(manifest_dir.join("target")), absolute)?;
    output::status("compiling, which takes a minute the first time");
    let built = GuestBuild { manifest_dir, target_dir, packages: Vec::new() }.build().map_err(failed)?;
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
        GuestBuildError::NoToolchain => made.hint("install one of the two, and try again"),
        GuestBuildError::Cargo { .. } => {
            made.hint("the same code is quicker to mend with `cargo test`, which runs it natively")
        }
        _ => made,
    }
}
