//! `oc-mirror plugin verify`.

use std::path::{Path, PathBuf};

use oc_mirror_engine::trust::plugin::{PublisherKeys, Signer};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::plugin_source::PluginSource;
use oc_mirror_model::report::exit;

use super::desk::{Desk, failed};
use crate::args::NetworkArgs;
use crate::components::{self, artifact_failed};
use crate::error::CliError;
use crate::{environment, output};

/// Checks who signed a plugin.
pub(super) fn run(plugin: &str, keys: &[PathBuf], network: &NetworkArgs) -> Result<u8, CliError> {
    let keys = components::keys(keys)?;
    let (what, signer) = match PluginSource::is_image(plugin) {
        true => artifact(&Desk::open(network)?, plugin, &keys)?,
        false => file(Path::new(plugin.strip_prefix("file:").unwrap_or(plugin)), &keys)?,
    };
    output::line(&output::clean(&format!("{what} is signed by {} in {}", signer.id, signer.file)));
    Ok(exit::OK)
}

fn artifact(desk: &Desk, plugin: &str, keys: &PublisherKeys) -> Result<(String, Signer), CliError> {
    desk.work(async {
        let fetched = desk.fetch(plugin).await?;
        let signer = desk.artifacts.signer(&fetched, keys).await.map_err(|error| failed(plugin, &error))?;
        Ok((fetched.place().to_string(), signer))
    })
}

fn file(path: &Path, keys: &PublisherKeys) -> Result<(String, Signer), CliError> {
    let bytes = environment::read(path, "the component")?;
    let signature = components::read_signature(path)?;
    let signer = keys
        .of_bytes(&bytes, signature.as_deref())
        .map_err(|error| artifact_failed(format!("`{}` cannot be trusted", path.display()), &error.into()))?;
    Ok((format!("{} ({})", path.display(), Digest::of(&bytes)), signer))
}
