//! `oc-mirror plugin list`.

use std::path::Path;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::report::exit;
use oc_mirror_plugin_host::{Binary, Host};
use serde_json::{Value, json};

use super::super::list::print;
use super::super::mirror::configuration;
use crate::args::ListFormat;
use crate::error::CliError;
use crate::output::{clean, table};
use crate::plugins;

/// A plugin of the list.
struct Listed {
    /// Its name in the configuration; its own if it is built in.
    name: String,
    binary: Binary,
    /// Where the configuration has it from, and what it grants; nothing if it is built in.
    configured: Option<(String, Vec<String>)>,
}

/// Lists the plugins that are built in, and those of a configuration.
pub(super) fn run(config: Option<&Path>, format: ListFormat) -> Result<u8, CliError> {
    let host = plugins::host()?;
    let mut listed = Vec::new();
    for name in Host::builtins() {
        let binary = host.builtin(name);
        let binary = binary.map_err(|error| plugins::failed("a built-in plugin is missing", &error))?;
        listed.push(Listed { name: name.to_owned(), binary, configured: None });
    }
    if let Some(path) = config {
        listed.extend(of_configuration(&host, path)?);
    }
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for plugin in &listed {
        let inspection = plugin.binary.inspect().map_err(|error| {
            CliError::caused(format!("the plugin `{}` cannot be used", plugin.name), &error)
                .hint(error.hint())
        })?;
        let meta = &inspection.meta;
        let (source, grants) = match &plugin.configured {
            Some((source, grants)) => (clean(source), Some(grants)),
            None => ("built in".to_owned(), None),
        };
        let row = [&plugin.name, &meta.version, &meta.worlds.join(", "), &meta.wants.join(", "), &source];
        rows.push(row.map(|cell| clean(cell)).to_vec());
        values.push(json!({
            "name": plugin.name,
            "id": meta.id,
            "version": meta.version,
            "description": meta.description,
            "worlds": meta.worlds,
            "wants": meta.wants,
            "grants": grants,
            "source": plugin.configured.as_ref().map(|(source, _)| source),
            "digest": Digest::of(plugin.binary.bytes()),
        }));
    }
    let text = || table(&["NAME", "VERSION", "WORLDS", "WANTS", "FROM"], rows);
    print(format, &Value::Array(values), text)?;
    Ok(exit::OK)
}

fn of_configuration(host: &Host, path: &Path) -> Result<Vec<Listed>, CliError> {
    let mirror = configuration(path, true)?.configuration.mirror;
    let directory = path.parent().unwrap_or(Path::new(""));
    let sources = mirror.plugins.iter().map(|entry| (&entry.name, &entry.source, &entry.grants));
    let policies = mirror.policies.iter().map(|entry| (&entry.name, &entry.source, &entry.grants));
    let listed = |(name, source, grants): (&String, &String, &Vec<String>)| {
        let binary = plugins::component(host, directory, name, source)?;
        Ok(Listed { name: name.clone(), binary, configured: Some((source.clone(), grants.clone())) })
    };
    sources.chain(policies).map(listed).collect()
}
