//! `oc-mirror plugin sign`.

use std::path::Path;

use oc_mirror_engine::fsx;
use oc_mirror_model::report::exit;

use super::desk::{Desk, failed};
use super::named::Named;
use crate::args::NetworkArgs;
use crate::components::signature_of;
use crate::error::CliError;
use crate::{keys, output, plugins};

/// Signs a plugin.
pub(super) fn run(plugin: &str, sign_keys: &[String], network: &NetworkArgs) -> Result<u8, CliError> {
    let named = Named::given(plugin)?;
    match named.signed_file()? {
        Some(path) => file(path, sign_keys),
        None => artifact(&Desk::open(network)?, &named, sign_keys),
    }
}

fn artifact(desk: &Desk, named: &Named, sign_keys: &[String]) -> Result<u8, CliError> {
    let keys = sign_keys.iter().map(|named| keys::publisher(named)).collect::<Result<Vec<_>, _>>()?;
    // What is signed is a plugin, and is there.
    let fetched = desk.work(desk.fetch(named))?;
    let plugin = named.text.as_str();
    let shelf = desk.shelf(plugin)?;
    desk.work(async {
        for key in &keys {
            let is_new = shelf.sign(&fetched.digest, key).await.map_err(|error| failed(plugin, &error))?;
            let outcome = if is_new { "is signed by" } else { "was signed already by" };
            output::status(&format!("{plugin} {outcome} {}", key.id()));
        }
        output::line(&fetched.place().to_string());
        Ok(exit::OK)
    })
}

fn file(path: &Path, sign_keys: &[String]) -> Result<u8, CliError> {
    let [named] = sign_keys else {
        return Err(CliError::new("a file has one signature beside it, and several keys are given")
            .hint("push it to a registry or a layout, where it can have several"));
    };
    let shown = path.display();
    let key = keys::publisher(named)?;
    let binary = plugins::host()?
        .load_file(path)
        .map_err(|error| plugins::failed(format!("`{shown}` cannot be used"), &error))?;
    binary.inspect().map_err(|error| {
        CliError::caused(format!("`{shown}` is not a plugin for this program"), &error).hint(error.hint())
    })?;
    let signature = key.sign_bytes(binary.bytes()).map_err(|error| {
        CliError::caused(format!("`{shown}` cannot be signed"), &error).hint(error.hint())
    })?;
    let beside = signature_of(path);
    fsx::write_atomic(&beside, format!("{signature}\n").as_bytes()).map_err(|error| {
        CliError::caused(format!("`{}` cannot be written", beside.display()), &error)
            .hint("check the directory and its permissions")
    })?;
    output::status(&format!("{shown} is signed by {}", key.id()));
    output::line(&output::clean(&beside.display().to_string()));
    Ok(exit::OK)
}
