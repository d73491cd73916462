//! `oc-mirror plugin inspect`.

use oc_mirror_model::digest::Digest;
use oc_mirror_model::report::exit;
use oc_mirror_plugin_host::Inspection;
use serde_json::{Value, json};

use super::super::list::print;
use super::binary;
use crate::args::ListFormat;
use crate::error::CliError;
use crate::output::{clean, size};
use crate::plugins;

/// Prints what a plugin says about itself.
pub(super) fn run(plugin: &str, format: ListFormat) -> Result<u8, CliError> {
    let host = plugins::host()?;
    let binary = binary(&host, plugin)?;
    let inspection = binary.inspect().map_err(|error| {
        CliError::caused(format!("`{plugin}` is not a plugin for this program"), &error).hint(error.hint())
    })?;
    let (digest, bytes) = (Digest::of(binary.bytes()), binary.bytes().len() as u64);
    let described = described(&inspection, &digest, bytes);
    print(format, &described, || text(&inspection, &digest, bytes))?;
    Ok(exit::OK)
}

/// What there is to know about a component, for programs.
pub(super) fn described(inspection: &Inspection, digest: &Digest, bytes: u64) -> Value {
    let meta = &inspection.meta;
    json!({
        "id": meta.id,
        "version": meta.version,
        "description": meta.description,
        "worlds": meta.worlds,
        "wit": meta.wit,
        "wants": meta.wants,
        "stage": meta.stage,
        "memoryMib": meta.resources.memory_mib,
        "callMs": meta.resources.call_ms,
        "settingsSchema": meta.settings_schema,
        "imports": inspection.imports,
        "exports": inspection.exports,
        "importsWasi": inspection.imports_wasi(),
        "digest": digest,
        "size": bytes,
    })
}

fn text(inspection: &Inspection, digest: &Digest, bytes: u64) -> String {
    let meta = &inspection.meta;
    let mut lines = vec![format!("{} {}", clean(&meta.id), clean(&meta.version))];
    if !meta.description.is_empty() {
        lines.push(format!("  {}", clean(&meta.description)));
    }
    let mut fact = |name: &str, value: &str| lines.push(format!("  {name:<10} {value}"));
    fact("worlds", &listed(&meta.worlds, "none"));
    fact("contract", &clean(&meta.wit));
    fact("wants", &listed(&meta.wants, "nothing"));
    if let Some(stage) = &meta.stage {
        fact("stage", &clean(stage));
    }
    let has_schema = meta.settings_schema.is_some();
    fact("settings", if has_schema { "checked by a JSON Schema" } else { "without a schema" });
    let needs = [
        meta.resources.memory_mib.map(|mib| format!("{mib} MiB of memory")),
        meta.resources.call_ms.map(|ms| format!("{ms} ms a call")),
    ];
    let needs: Vec<String> = needs.into_iter().flatten().collect();
    if !needs.is_empty() {
        fact("needs", &needs.join(", "));
    }
    fact("WASI", if inspection.imports_wasi() { "imported; it gets an empty one" } else { "not imported" });
    fact("size", &size(bytes));
    fact("digest", &digest.to_string());
    for (heading, names) in [("imports", &inspection.imports), ("exports", &inspection.exports)] {
        lines.push(format!("  {heading}"));
        lines.extend(names.iter().map(|name| format!("    {}", clean(name))));
    }
    lines.join("\n")
}

fn listed(names: &[String], none: &str) -> String {
    match names {
        [] => none.to_owned(),
        names => names.iter().map(|name| clean(name)).collect::<Vec<_>>().join(", "),
    }
}
