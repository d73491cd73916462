//! `oc-mirror plugin pull`.

use std::path::{Path, PathBuf};

use oc_mirror_engine::fsx;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::report::exit;
use oc_mirror_plugin_host::Binary;

use super::desk::{Desk, failed};
use super::named::Named;
use crate::error::CliError;
use crate::{components, output};

/// Gets a plugin.
pub(super) fn run(
    desk: &Desk,
    plugin: &str,
    file: Option<&Path>,
    keys: &[PathBuf],
    overwrite: bool,
) -> Result<u8, CliError> {
    let keys = components::keys(keys)?;
    let named = Named::given(plugin)?;
    let fetched = desk.work(async {
        let fetched = desk.fetch(&named).await?;
        if !keys.is_empty() {
            let signer = desk.artifacts.signer(&fetched, &keys).await;
            let signer = signer.map_err(|error| failed(plugin, &error))?;
            output::status(&format!("signed by {signer}"));
        }
        Ok(fetched)
    })?;
    let place = fetched.place();
    let binary = Binary::new("plugin", fetched.component);
    let inspection = binary.inspect().map_err(|error| {
        CliError::caused(format!("`{plugin}` is not a plugin for this program"), &error).hint(error.hint())
    })?;
    let file = match file {
        Some(file) => file.to_owned(),
        None => PathBuf::from(file_name(&inspection.meta.id)?),
    };
    write(&file, binary.bytes(), overwrite)?;
    let (id, version) = (&inspection.meta.id, &inspection.meta.version);
    output::status(&format!("{id} {version} of {place} is in {}", file.display()));
    output::line(&output::clean(&file.display().to_string()));
    Ok(exit::OK)
}

/// Makes the name of a file of what a plugin calls itself, which is anything until it is checked.
fn file_name(id: &str) -> Result<String, CliError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !id.is_empty() && id.len() <= 64 && id.chars().all(is_plain) {
        true => Ok(format!("{id}.wasm")),
        false => Err(CliError::new(format!(
            "the plugin calls itself `{}`, which is no name for a file",
            id.escape_debug()
        ))
        .hint("name a file to write")),
    }
}

fn write(file: &Path, bytes: &[u8], overwrite: bool) -> Result<(), CliError> {
    let shown = file.display();
    match std::fs::read(file) {
        Ok(there) if Digest::of(&there) == Digest::of(bytes) => return Ok(()),
        Ok(_) if !overwrite => {
            return Err(CliError::new(format!("`{shown}` is there already, and is another component"))
                .hint("name another file, or add --overwrite"));
        }
        _ => {}
    }
    fsx::write_atomic(file, bytes).map_err(|error| {
        CliError::caused(format!("`{shown}` cannot be written"), &error)
            .hint("check the directory and its permissions")
    })
}
