//! Asks content sources what they want: [`collect`].

use oc_mirror_model::report::{Failure, exit};

use crate::source::{Collected, ContentSource, PluginError, RunInfo, Services};

/// What one source wants.
#[derive(Debug)]
pub(super) struct Wanted {
    /// The source's place in the configuration.
    pub place: usize,
    /// Its name.
    pub plugin: String,
    /// What it said.
    pub collected: Collected,
}

/// Lets sources do what they can do ahead, side by side. What breaks is a failure of that source.
pub(super) async fn prepare(
    sources: &[Box<dyn ContentSource>],
    run: &RunInfo,
    services: &Services,
) -> Vec<(usize, Failure)> {
    let preparing = sources.iter().map(|source| source.prepare(run, services));
    let ended = futures_util::future::join_all(preparing).await;
    let failed = ended.into_iter().enumerate();
    failed.filter_map(|(place, ended)| Some((place, plugin_failure(&ended.err()?)))).collect()
}

/// Asks one source.
pub(super) async fn collect(
    sources: &[Box<dyn ContentSource>],
    place: usize,
    run: &RunInfo,
    services: &Services,
) -> Result<Wanted, Failure> {
    let source = &sources[place];
    match source.collect(run, services).await {
        Ok(collected) => Ok(Wanted { place, plugin: source.identity().name.clone(), collected }),
        Err(error) => Err(plugin_failure(&error)),
    }
}

fn plugin_failure(error: &PluginError) -> Failure {
    Failure {
        subject: error.plugin.clone(),
        kind: String::new(),
        message: error.to_string(),
        hint: error.hint.clone(),
        // The built-in sources are named after what they mirror, and fail under that bit.
        exit_code: exit::for_kind(match error.plugin.as_str() {
            "operator" => oc_mirror_model::request::kind::CATALOG,
            other => other,
        }),
    }
}
