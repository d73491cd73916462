//! `oc-mirror plugin verify`.

use std::path::{Path, PathBuf};

use oc_mirror_engine::trust::plugin::{PublisherKeys, Signer};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::report::exit;

use super::desk::{Desk, failed};
use super::named::Named;
use crate::args::NetworkArgs;
use crate::components::{self, artifact_failed};
use crate::error::CliError;
use crate::{environment, output};

/// Checks who signed a plugin.
pub(super) fn run(plugin: &str, keys: &[PathBuf], network: &NetworkArgs) -> Result<u8, CliError> {
    let keys = components::keys(keys)?;
    let named = Named::given(plugin)?;
    let (what, signer) = match named.signed_file()? {
        Some(path) => file(path, &keys)?,
        None => artifact(&Desk::open(network)?, &named, &keys)?,
    };
    output::line(&output::clean(&format!("{what} is signed by {} in {}", signer.id, signer.file)));
    Ok(exit::OK)
}

fn artifact(desk: &Desk, named: &Named, keys: &PublisherKeys) -> Result<(String, Signer), CliError> {
    desk.work(async {
        let fetched = desk.fetch(named).await?;
        let signer =
            desk.artifacts.signer(&fetched, keys).await.map_err(|error| failed(&named.text, &error))?;
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
