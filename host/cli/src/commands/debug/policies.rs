//! `oc-mirror debug policies`: what judging costs once an image is at hand.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use oc_mirror_engine::policy::{Mode, OnFailure};
use oc_mirror_engine::report::Silence;
use oc_mirror_engine::workflow::rehearsal::Rehearsal;
use oc_mirror_model::cases::CaseTable;
use oc_mirror_model::request::{ImageRequest, kind};
use oc_mirror_plugin_host::{Grants, Host, PluginSpec};
use serde_json::{Value, json};

use crate::error::CliError;
use crate::{output, plugins};

/// The image that is judged: eight layers and as many labels.
const TABLE: &str = "\
images:
  quay.io/example/app:1.0:
    created: 2026-01-01T00:00:00Z
    labels: {name: app, version: '1.0', release: '1', vendor: example, maintainer: team, summary: an app, url: x, tier: a}
    layers: [{a: '1'}, {b: '2'}, {c: '3'}, {d: '4'}, {e: '5'}, {f: '6'}, {g: '7'}, {h: '8'}]
cases: [{name: it, image: 'quay.io/example/app:1.0', expect: {verdict: allow}}]
";

/// A policy that is measured.
struct Measured {
    /// What it does for an image.
    what: &'static str,
    spec: PluginSpec,
}

/// Has policies judge, and says what that took, a JSON object on a line for each.
pub(super) fn run(plugin: Option<&Path>, settings: &str, times: usize) -> Result<u8, CliError> {
    let host = plugins::host()?;
    let measured = match plugin {
        Some(path) => vec![component(&host, path, settings)?],
        None => vec![
            builtin(&host, "answers at once", "block", json!({"rules": [{"glob": "nothing"}]}))?,
            builtin(
                &host,
                "reads layers and configuration",
                "limits",
                json!({"maxLayers": 99, "maxAgeDays": 99_999}),
            )?,
        ],
    };
    let table = CaseTable::parse(TABLE).expect("a constant that is a table");
    let scratch = tempfile::tempdir()
        .map_err(|error| CliError::caused("a directory for temporary files cannot be made", &error))?;
    super::super::runtime()?.block_on(async {
        let world = Rehearsal::new(&table, "oc-mirror", Arc::new(Silence), scratch.path().to_owned()).await;
        let world = world.map_err(|error| CliError::from_error(&error))?;
        for Measured { what, spec } in measured {
            let name = spec.name.clone();
            let policy = host.policy(spec, Mode::Protect, OnFailure::Deny).await;
            let policy =
                policy.map_err(|error| plugins::failed(format!("`{name}` cannot be measured"), &error))?;
            let request = request();
            let judged = |times| world.judge_often(policy.clone(), &request, times);
            let failed = |error| CliError::caused(format!("`{name}` cannot be measured"), &error);
            // Instances are made ready.
            judged(times.min(1_000)).await.map_err(failed)?;
            let took = judged(times).await.map_err(failed)?;
            output::line(&line(&name, what, times, took).to_string());
            if policy.stages().reference {
                let took = world.judge_references_often(policy.clone(), &request, times).await;
                let what = "references, many in a call";
                output::line(&line(&name, what, times, took.map_err(failed)?).to_string());
            }
        }
        Ok(0)
    })
}

fn line(name: &str, what: &str, times: usize, took: Duration) -> Value {
    let seconds = took.as_secs_f64();
    json!({
        "policy": name,
        "what": what,
        "images": times,
        "seconds": seconds,
        "threads": tokio::runtime::Handle::current().metrics().num_workers(),
        "images_per_second": times as f64 / seconds,
        "microseconds_per_image": seconds * 1e6 / times as f64,
    })
}

fn builtin(host: &Host, what: &'static str, name: &str, settings: Value) -> Result<Measured, CliError> {
    Ok(Measured { what, spec: plugins::builtin(host, name, settings, &[])? })
}

fn component(host: &Host, path: &Path, settings: &str) -> Result<Measured, CliError> {
    let binary =
        host.load_file(path).map_err(|error| plugins::failed("the component cannot be read", &error))?;
    let settings = serde_json::from_str(settings).map_err(|error| {
        CliError::caused("the settings are not JSON", &error).hint("write them as `{\"key\": 1}`")
    })?;
    let spec = PluginSpec { name: "plugin".to_owned(), binary, settings, grants: Grants::default() };
    Ok(Measured { what: "judges", spec })
}

fn request() -> ImageRequest {
    let name = "quay.io/example/app:1.0".to_owned();
    ImageRequest {
        source: name.clone(),
        origin: name,
        kind: kind::ADDITIONAL.to_owned(),
        target_repository: None,
        target_tag: None,
        platforms: Vec::new(),
        with_referrers: false,
        provenance: Default::default(),
    }
}
