//! `oc-mirror plugin list`.

use std::path::Path;

use oc_mirror_engine::trust::plugin::{PublisherKeys, Signer};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::report::exit;
use oc_mirror_plugin_host::{Binary, Host};
use serde_json::{Value, json};

use super::super::list::print;
use super::super::mirror::configuration;
use super::desk::Desk;
use crate::args::{Format, NetworkArgs};
use crate::components::Finder;
use crate::error::CliError;
use crate::output::{clean, table};
use crate::plugins;

/// A plugin of the list.
struct Listed {
    /// Its name in the configuration; its own if it is built in.
    name: String,
    binary: Binary,
    /// What the configuration says of it; nothing if it is built in.
    configured: Option<Configured>,
}

struct Configured {
    /// As it is written.
    written: String,
    /// An artifact by its digest.
    source: String,
    grants: Vec<String>,
    signer: Option<Signer>,
}

/// Lists the plugins that are built in, and those of a configuration.
pub(super) fn run(config: Option<&Path>, format: Format, network: &NetworkArgs) -> Result<u8, CliError> {
    let host = plugins::host()?;
    let mut listed = Vec::new();
    for name in Host::builtins() {
        let binary = host.builtin(name);
        let binary = binary.map_err(|error| plugins::failed("a built-in plugin is missing", &error))?;
        listed.push(Listed { name: name.to_owned(), binary, configured: None });
    }
    if let Some(path) = config {
        listed.extend(of_configuration(&host, path, network)?);
    }
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for plugin in &listed {
        let inspection = plugin.binary.inspect().map_err(|error| {
            CliError::caused(format!("the plugin `{}` cannot be used", plugin.name), &error)
                .hint(error.hint())
        })?;
        let meta = &inspection.meta;
        let configured = plugin.configured.as_ref();
        let signer = configured.and_then(|configured| configured.signer.as_ref());
        let source = configured.map_or("built in", |configured| &configured.source);
        let signed = signer.map_or_else(|| "-".to_owned(), ToString::to_string);
        let row =
            [&plugin.name, &meta.version, &meta.worlds.join(", "), &meta.wants.join(", "), &signed, source];
        rows.push(row.map(clean).to_vec());
        values.push(json!({
            "name": plugin.name,
            "id": meta.id,
            "version": meta.version,
            "description": meta.description,
            "worlds": meta.worlds,
            "wants": meta.wants,
            "grants": configured.map(|configured| &configured.grants),
            "source": configured.map(|configured| &configured.written),
            "resolved": configured.map(|configured| &configured.source),
            "digest": Digest::of(plugin.binary.bytes()),
            "signedBy": signer.map(|signer| json!({"key": signer.id, "file": signer.file})),
        }));
    }
    let text = || table(&["NAME", "VERSION", "WORLDS", "WANTS", "SIGNED BY", "FROM"], rows);
    print(format, &Value::Array(values), text)?;
    Ok(exit::OK)
}

fn of_configuration(host: &Host, path: &Path, network: &NetworkArgs) -> Result<Vec<Listed>, CliError> {
    let mirror = configuration(path, true)?.configuration.mirror;
    let desk = Desk::open(network)?;
    let finder = Finder {
        host,
        directory: path.parent().unwrap_or(Path::new("")),
        artifacts: &desk.artifacts,
        // Those of a workspace are for its runs.
        publishers: PublisherKeys::default(),
    };
    let sources = mirror.plugins.iter().map(|e| (&e.name, &e.source, e.trust.as_ref(), &e.grants));
    let policies = mirror.policies.iter().map(|e| (&e.name, &e.source, e.trust.as_ref(), &e.grants));
    desk.work(async {
        let mut listed = Vec::new();
        for (name, source, trust, grants) in sources.chain(policies) {
            let found = finder.find(name, source, trust).await?;
            let (written, grants) = (source.clone(), grants.clone());
            let source = found.source.to_string();
            let configured = Some(Configured { written, source, grants, signer: found.signer });
            listed.push(Listed { name: name.clone(), binary: found.binary, configured });
        }
        Ok(listed)
    })
}
