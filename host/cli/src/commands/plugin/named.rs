//! [`Named`]: the plugin that a command line or a table names, in any of the forms of a configuration or as people type it.

use std::path::{Path, PathBuf};

use oc_mirror_model::plugin_source::PluginSource;
use oc_mirror_model::reference::Source;
use oc_mirror_plugin_host::{Binary, Host};

use super::desk::Desk;
use crate::components;
use crate::error::CliError;
use crate::plugins;

/// A plugin that somebody names. Whether it is there is another question.
pub(super) struct Named {
    /// As it was written.
    pub(super) text: String,
    /// Where it is: paths are no longer relative to a table.
    pub(super) source: PluginSource,
}

impl Named {
    /// Reads `file:PATH`, `builtin:NAME`, `docker://…` or `oci:…`; anything else is the path of a file, or if there is none the
    /// name of a built-in plugin. Paths are relative to `directory`, and where nothing is there to the working directory.
    pub(super) fn parse(text: &str, directory: &Path) -> Result<Self, CliError> {
        let beside = |path: &Path| {
            let beside = directory.join(path);
            if beside.exists() { beside } else { path.to_owned() }
        };
        let is_one_of_the_forms =
            PluginSource::is_image(text) || text.starts_with("file:") || text.starts_with("builtin:");
        let source = match is_one_of_the_forms {
            true => match components::parse(text)? {
                PluginSource::File(path) => PluginSource::File(beside(&path)),
                PluginSource::Image(Source::Layout(mut layout)) => {
                    layout.path = beside(&layout.path);
                    PluginSource::Image(Source::Layout(layout))
                }
                other => other,
            },
            false => {
                let path = beside(Path::new(text));
                match !path.exists() && Host::builtins().any(|builtin| builtin == text) {
                    true => PluginSource::Builtin(text.to_owned()),
                    false => PluginSource::File(path),
                }
            }
        };
        Ok(Self { text: text.to_owned(), source })
    }

    /// Reads what a command line names.
    pub(super) fn given(text: &str) -> Result<Self, CliError> {
        Self::parse(text, Path::new(""))
    }

    /// Reads a component that is in a file or in the program; nothing if it is an artifact, which has to be fetched.
    pub(super) fn local(&self, host: &Host) -> Result<Option<Binary>, CliError> {
        let heading = || format!("`{}` cannot be used", self.text);
        match &self.source {
            PluginSource::Image(_) => Ok(None),
            PluginSource::Builtin(name) => {
                host.builtin(name).map(Some).map_err(|error| plugins::failed(heading(), &error))
            }
            PluginSource::File(path) => host.load_file(path).map(Some).map_err(|error| {
                let failed = plugins::failed(heading(), &error);
                match path.exists() {
                    true => failed,
                    false => failed.hint(format!(
                        "give the path of a component, or a built-in one: {}; what is elsewhere is docker://HOST/REPOSITORY:TAG \
                         or oci:DIR:NAME",
                        Host::builtins().collect::<Vec<_>>().join(", ")
                    )),
                }
            }),
        }
    }

    /// Reads a component wherever it is. The network is opened only for one that is in a registry or layout.
    pub(super) fn binary(
        &self,
        host: &Host,
        desk: impl FnOnce() -> Result<Desk, CliError>,
    ) -> Result<Binary, CliError> {
        match self.local(host)? {
            Some(binary) => Ok(binary),
            None => {
                let desk = desk()?;
                let fetched = desk.work(desk.fetch(self))?;
                Ok(Binary::new(&self.text, fetched.component))
            }
        }
    }

    /// Returns the file of a plugin that is signed by a file beside it; nothing if it is an artifact. What is a part of the
    /// program is signed by nobody.
    pub(super) fn signed_file(&self) -> Result<Option<&PathBuf>, CliError> {
        match &self.source {
            PluginSource::File(path) => Ok(Some(path)),
            PluginSource::Image(_) => Ok(None),
            PluginSource::Builtin(_) => {
                Err(CliError::new(format!("`{}` is a part of the program, and has no signature", self.text))
                    .hint("name a file, docker://HOST/REPOSITORY:TAG, or oci:DIR:NAME"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("builtin:block", "builtin:block")]
    #[case("block", "builtin:block")]
    #[case("file:block", "file:block")]
    #[case("blocks", "file:blocks")]
    #[case("oci:plugins:a:1", "oci:plugins:a:1")]
    #[case("docker://r.example/a:1", "docker://r.example/a:1")]
    fn forms(#[case] text: &str, #[case] place: &str) {
        assert_eq!(Named::given(text).expect("a plugin").source.to_string(), place);
    }

    #[test]
    fn what_is_beside_a_table_comes_first() {
        let directory = tempfile::tempdir().expect("writable");
        for name in ["block", "layout"] {
            std::fs::create_dir(directory.path().join(name)).expect("writable");
        }
        let named = |text: &str| Named::parse(text, directory.path()).expect("a plugin").source.to_string();
        let shown = directory.path().display();
        assert_eq!(named("block"), format!("file:{shown}/block"));
        assert_eq!(named("file:block"), format!("file:{shown}/block"));
        assert_eq!(named("builtin:block"), "builtin:block");
        assert_eq!(named("oci:layout:a"), format!("oci:{shown}/layout:a"));
        assert_eq!(named("other.wasm"), "file:other.wasm");
    }
}
