//! [`Desk`]: what commands about plugins in registries and layouts have in common.

use std::sync::Arc;

use oc_mirror_engine::workflow::Run;
use oc_mirror_engine::workflow::network::Network;
use oc_mirror_engine::workflow::plugin_artifacts::{Fetched, PluginArtifactError, PluginArtifacts, Shelf};
use oc_mirror_engine::workflow::recording::Outside;
use oc_mirror_engine::workflow::tryout::scratch_in;
use oc_mirror_model::plugin_source::PluginSource;
use oc_mirror_model::reference::Source;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::named::Named;
use crate::args::NetworkArgs;
use crate::commands::{interrupted, list, runtime};
use crate::components::{self, artifact_failed};
use crate::error::CliError;
use crate::{environment, network, signatures};

/// The network of a command, and what fetches plugins there.
pub(in crate::commands) struct Desk {
    pub(super) artifacts: PluginArtifacts,
    pub(super) network: Arc<Network>,
    pub(in crate::commands) run: Run,
    runtime: Runtime,
}

impl Desk {
    /// Makes one. Nothing is connected yet.
    pub(super) fn open(args: &NetworkArgs) -> Result<Self, CliError> {
        Self::with(args, list::asking(environment::created()?.text))
    }

    /// Makes one for a run. Nothing is connected yet.
    pub(in crate::commands) fn with(args: &NetworkArgs, run: Run) -> Result<Self, CliError> {
        let network = network::open(args, &run)?;
        let artifacts = components::artifacts(network.clone(), None, run.retry, run.events.clone());
        Ok(Self { artifacts, network, run, runtime: runtime()? })
    }

    /// Works until it is done, or somebody stops it.
    pub(in crate::commands) fn work<T>(
        &self,
        work: impl Future<Output = Result<T, CliError>>,
    ) -> Result<T, CliError> {
        self.runtime.block_on(async {
            tokio::select! {
                outcome = work => outcome,
                stopped = interrupted() => Err(stopped.error(None).hint("the same command can be given again")),
            }
        })
    }

    /// Returns the outside as it is.
    pub(in crate::commands) fn outside(&self) -> Result<Outside, CliError> {
        let http = self.network.fetch(Default::default()).map_err(|error| CliError::from_error(&error))?;
        let signatures = signatures::open(false, &self.run, http.clone(), &self.network, None, None)?;
        Ok(Outside { origins: self.network.clone(), http, signatures })
    }

    /// Makes a directory for questions to plugins, with a place for their files in it.
    pub(in crate::commands) fn directory() -> Result<TempDir, CliError> {
        let made = tempfile::tempdir().and_then(|made| {
            std::fs::create_dir(scratch_in(made.path()))?;
            Ok(made)
        });
        made.map_err(|error| CliError::caused("there is no place for temporary files", &error))
    }

    /// Fetches a plugin of a registry or layout.
    pub(super) async fn fetch(&self, plugin: &Named) -> Result<Fetched, CliError> {
        let PluginSource::Image(source) = &plugin.source else {
            return Err(CliError::new(format!("`{}` is not in a registry or image layout", plugin.text))
                .hint("name docker://HOST/REPOSITORY:TAG or oci:DIR:NAME"));
        };
        self.artifacts.fetch(source).await.map_err(|error| failed(&plugin.text, &error))
    }

    /// Opens a place that plugins are put to.
    pub(super) fn shelf(&self, place: &str) -> Result<Shelf, CliError> {
        let no_place =
            |made: CliError| made.hint("a place is docker://HOST/REPOSITORY[:TAG] or oci:DIR[:NAME]");
        if !PluginSource::is_image(place) {
            return Err(no_place(CliError::new(format!("`{place}` is no place for a plugin"))));
        }
        let source: Source = place.parse().map_err(|error| no_place(CliError::from_error(&error)))?;
        let (retry, events) = (self.run.retry, self.run.events.clone());
        let shelf = match source {
            Source::Registry(reference) => {
                let endpoint = self.network.endpoint(&reference);
                endpoint
                    .map(|endpoint| Shelf::in_registry(endpoint, reference, retry, events))
                    .map_err(PluginArtifactError::from)
            }
            Source::Layout(layout) => Shelf::in_layout(layout, retry, events),
        };
        shelf.map_err(|error| failed(place, &error))
    }
}

/// Shows why a plugin, or a place for one, cannot be used.
pub(super) fn failed(named: &str, error: &PluginArtifactError) -> CliError {
    artifact_failed(format!("`{named}` cannot be used"), error)
}
