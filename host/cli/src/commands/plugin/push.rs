//! `oc-mirror plugin push`.

use std::path::Path;

use oc_mirror_engine::workflow::plugin_artifacts::{About, Artifact};
use oc_mirror_model::report::exit;
use oc_mirror_plugin_host::Inspection;

use super::desk::{Desk, failed};
use crate::error::CliError;
use crate::{environment, keys, output, plugins};

/// What is said of when an artifact was made, unless that is fixed from outside: the same component is the same artifact.
const NO_TIME: &str = "1970-01-01T00:00:00Z";

/// Puts a plugin where others find it.
pub(super) fn run(
    desk: &Desk,
    plugin: &Path,
    place: &str,
    sign_keys: &[String],
    overwrite: bool,
) -> Result<u8, CliError> {
    let shown = plugin.display();
    let keys = sign_keys.iter().map(|named| keys::publisher(named)).collect::<Result<Vec<_>, _>>()?;
    let binary = plugins::host()?
        .load_file(plugin)
        .map_err(|error| plugins::failed(format!("`{shown}` cannot be used"), &error))?;
    let inspection = binary.inspect().map_err(|error| {
        CliError::caused(format!("`{shown}` is not a plugin for this program"), &error).hint(error.hint())
    })?;
    let about = about(inspection)?;
    let artifact = Artifact::new(binary.bytes().to_vec(), &about);
    let mut shelf = desk.shelf(place)?;
    desk.work(async {
        let failed = |error| failed(place, &error);
        let pushed = shelf.push(&artifact, &about, overwrite).await.map_err(failed)?;
        let outcome = if pushed.was_there { "was there already" } else { "is pushed" };
        output::status(&format!("{} {} {outcome} as {}", about.id, about.version, pushed.named));
        for key in &keys {
            let is_new = shelf.sign(&pushed.digest, key).await.map_err(failed)?;
            let outcome = if is_new { "signed by" } else { "was signed already by" };
            output::status(&format!("{outcome} {}", key.id()));
        }
        output::line(&pushed.place.to_string());
        Ok(exit::OK)
    })
}

fn about(inspection: Inspection) -> Result<About, CliError> {
    let created = environment::created()?;
    Ok(About {
        id: inspection.meta.id,
        version: inspection.meta.version,
        description: inspection.meta.description,
        imports: inspection.imports.into_iter().collect(),
        exports: inspection.exports.into_iter().collect(),
        created: if created.is_fixed { created.text } else { NO_TIME.to_owned() },
    })
}
