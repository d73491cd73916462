//! `oc-mirror plugin inspect`.

use std::path::PathBuf;

use oc_mirror_engine::trust::plugin::{NotSigned, PublisherKeys, Signer};
use oc_mirror_engine::workflow::plugin_artifacts::PluginArtifactError;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::plugin_source::PluginSource;
use oc_mirror_model::report::exit;
use oc_mirror_plugin_host::{Binary, Inspection};
use serde_json::{Value, json};

use super::super::list::print;
use super::desk::{Desk, failed};
use super::named::Named;
use crate::args::{Format, NetworkArgs};
use crate::components::{self, read_signature};
use crate::error::CliError;
use crate::output::{clean, size};
use crate::plugins;

/// A component, and what is known of where it was.
struct Opened {
    binary: Binary,
    /// Where it is by digest, if it is in a registry or layout.
    artifact: Option<PluginSource>,
    /// How many signatures lie beside it; nothing for what is built in.
    signatures: Option<usize>,
    /// Who signed it, where keys were given.
    signer: Option<Result<Signer, NotSigned>>,
}

/// Prints what a plugin says about itself, and who signed it.
pub(super) fn run(
    plugin: &str,
    keys: &[PathBuf],
    format: Format,
    network: &NetworkArgs,
) -> Result<u8, CliError> {
    let keys = components::keys(keys)?;
    let named = Named::given(plugin)?;
    let opened = match named.local(&plugins::host()?)? {
        Some(binary) => local(&named, binary, &keys)?,
        None => artifact(&Desk::open(network)?, &named, &keys)?,
    };
    let inspection = opened.binary.inspect().map_err(|error| {
        CliError::caused(format!("`{plugin}` is not a plugin for this program"), &error).hint(error.hint())
    })?;
    let bytes = opened.binary.bytes();
    let (digest, bytes) = (Digest::of(bytes), bytes.len() as u64);
    let mut described = described(&inspection, &digest, bytes);
    described["artifact"] = json!(opened.artifact.as_ref().map(ToString::to_string));
    described["signatures"] = json!(opened.signatures);
    described["signedBy"] = match &opened.signer {
        Some(Ok(signer)) => json!({"key": signer.id, "file": signer.file}),
        _ => Value::Null,
    };
    print(format, &described, || text(&inspection, &digest, bytes, &opened))?;
    Ok(exit::OK)
}

fn artifact(desk: &Desk, named: &Named, keys: &PublisherKeys) -> Result<Opened, CliError> {
    desk.work(async {
        let failed = |error: PluginArtifactError| failed(&named.text, &error);
        let fetched = desk.fetch(named).await?;
        let found = desk.artifacts.signatures(&fetched).await.map_err(failed)?;
        let signer = (!keys.is_empty()).then(|| keys.of_manifest(&fetched.digest, &found));
        Ok(Opened {
            artifact: Some(fetched.place()),
            binary: Binary::new(&named.text, fetched.component),
            signatures: Some(found.len()),
            signer,
        })
    })
}

fn local(named: &Named, binary: Binary, keys: &PublisherKeys) -> Result<Opened, CliError> {
    let PluginSource::File(path) = &named.source else {
        return Ok(Opened { binary, artifact: None, signatures: None, signer: None });
    };
    let signature = read_signature(path)?;
    let signer = (!keys.is_empty()).then(|| keys.of_bytes(binary.bytes(), signature.as_deref()));
    Ok(Opened { binary, artifact: None, signatures: Some(signature.iter().len()), signer })
}

/// Says in words who signed it.
fn signed(opened: &Opened) -> Option<String> {
    Some(match (&opened.signer, opened.signatures?) {
        (Some(Ok(signer)), _) => format!("by {} in {}", signer.id, clean(&signer.file)),
        (Some(Err(NotSigned::NotAccepted { reasons, .. })), _) => {
            format!("none that counts: {}", clean(&reasons.join("; ")))
        }
        (_, 0) => "none".to_owned(),
        (_, 1) => "1, not checked; name a key with --key".to_owned(),
        (_, several) => format!("{several}, not checked; name a key with --key"),
    })
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

fn text(inspection: &Inspection, digest: &Digest, bytes: u64, opened: &Opened) -> String {
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
    if let Some(artifact) = &opened.artifact {
        fact("artifact", &clean(&artifact.to_string()));
    }
    if let Some(signed) = signed(opened) {
        fact("signature", &signed);
    }
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
