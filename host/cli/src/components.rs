//! Finds the components of plugins, in files, in the program, in registries and in layouts, and finds out who signed them
//! before anything else is done with one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oc_mirror_engine::report::SharedEvents;
use oc_mirror_engine::transfer::Retry;
use oc_mirror_engine::trust::plugin::{PublisherKeys, Signer};
use oc_mirror_engine::workflow::images::Origins;
use oc_mirror_engine::workflow::plugin_artifacts::{PluginArtifactError, PluginArtifacts};
use oc_mirror_model::config::PluginTrust;
use oc_mirror_model::plugin_source::{InvalidPluginSource, PluginSource};
use oc_mirror_model::reference::Source;
use oc_mirror_plugin_host::{Binary, Host, MAX_COMPONENT_BYTES};

use crate::environment;
use crate::error::CliError;
use crate::plugins::failed;

/// What the name of a signature beside a file ends with.
const SIGNATURE: &str = ".sig";

/// Where components are found.
pub(crate) struct Finder<'a> {
    pub host: &'a Host,
    /// What relative paths are relative to.
    pub directory: &'a Path,
    pub artifacts: &'a PluginArtifacts,
    /// The keys that count where an entry names none.
    pub publishers: PublisherKeys,
}

/// A component that was found.
pub(crate) struct Component {
    pub binary: Binary,
    /// Where it is: an artifact by its digest.
    pub source: PluginSource,
    /// Who signed it, if that was asked for.
    pub signer: Option<Signer>,
}

/// Makes what fetches plugins.
pub(crate) fn artifacts(
    origins: Arc<dyn Origins>,
    cache: Option<PathBuf>,
    retry: Retry,
    events: SharedEvents,
) -> PluginArtifacts {
    PluginArtifacts { origins, cache, retry, events, max_bytes: MAX_COMPONENT_BYTES }
}

/// Reads public keys, each file of which may have several.
pub(crate) fn keys<P: AsRef<Path>>(files: &[P]) -> Result<PublisherKeys, CliError> {
    let mut keys = PublisherKeys::default();
    for path in files.iter().map(AsRef::as_ref) {
        let pem = environment::read(path, "the public key")?;
        let shown = path.display().to_string();
        keys.add(&shown, &pem).map_err(|error| {
            CliError::caused(format!("the public key `{shown}` cannot be used"), &error)
                .hint("it is a file of public keys in PEM, as cosign and `oc-mirror key generate` write them")
        })?;
    }
    Ok(keys)
}

/// Returns where the signature of a file is.
pub(crate) fn signature_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(SIGNATURE);
    name.into()
}

/// Reads the signature of a file, if there is one.
pub(crate) fn read_signature(path: &Path) -> Result<Option<String>, CliError> {
    let path = signature_of(path);
    if !path.exists() {
        return Ok(None);
    }
    let bytes = environment::read(&path, "the signature")?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Shows why a plugin in a registry or layout cannot be used.
pub(crate) fn artifact_failed(heading: impl std::fmt::Display, error: &PluginArtifactError) -> CliError {
    let made = CliError::caused(heading, error);
    error.hint().into_iter().fold(made, CliError::hint)
}

/// Reads where a plugin is.
pub(crate) fn parse(source: &str) -> Result<PluginSource, CliError> {
    source.parse().map_err(|error: InvalidPluginSource| CliError::from_error(&error).hint(error.hint()))
}

impl Finder<'_> {
    /// Finds the component that a configuration calls `name`, and checks that it is signed as it has to be.
    pub(crate) async fn find(
        &self,
        name: &str,
        source: &str,
        trust: Option<&PluginTrust>,
    ) -> Result<Component, CliError> {
        let heading = || format!("the plugin `{name}` cannot be used");
        let own = match trust {
            Some(trust) => Some(keys(&self.files(trust))?),
            None => None,
        };
        let keys = own.as_ref().unwrap_or(&self.publishers);
        match parse(source)? {
            PluginSource::Builtin(builtin) => {
                let binary = self.host.builtin(&builtin).map_err(|error| failed(heading(), &error))?;
                Ok(Component { binary, source: PluginSource::Builtin(builtin), signer: None })
            }
            PluginSource::File(file) => {
                let path = self.directory.join(&file);
                let bytes = environment::read(&path, &format!("the component of `{name}`"))?;
                let signer = match keys.is_empty() {
                    true => None,
                    false => {
                        let signature = read_signature(&path)?;
                        let signer = keys.of_bytes(&bytes, signature.as_deref());
                        Some(signer.map_err(|error| artifact_failed(heading(), &error.into()))?)
                    }
                };
                Ok(Component { binary: Binary::new(name, bytes), source: PluginSource::File(file), signer })
            }
            PluginSource::Image(written) => {
                let failed = |error: PluginArtifactError| {
                    artifact_failed(format!("the plugin `{name}`, `{source}`, cannot be used"), &error)
                };
                let fetched = self.artifacts.fetch(&self.absolute(&written)).await.map_err(failed)?;
                let signer = match keys.is_empty() {
                    true => None,
                    false => Some(self.artifacts.signer(&fetched, keys).await.map_err(failed)?),
                };
                let source = PluginSource::Image(written).pinned(&fetched.digest);
                Ok(Component { binary: Binary::new(name, fetched.component), source, signer })
            }
        }
    }

    fn files(&self, trust: &PluginTrust) -> Vec<PathBuf> {
        trust.keys.iter().map(|file| self.directory.join(file)).collect()
    }

    /// As in every configuration file: relative to the file, not to where the program was started.
    fn absolute(&self, source: &Source) -> Source {
        match source {
            Source::Layout(layout) => {
                let mut layout = layout.clone();
                layout.path = self.directory.join(&layout.path);
                Source::Layout(layout)
            }
            registry => registry.clone(),
        }
    }
}
