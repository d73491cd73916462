//! `oc-mirror debug`.

use serde_json::json;

use crate::args::{DebugArgs, DebugCommand};
use crate::error::CliError;
use crate::{output, plugins};

/// Looks into the program.
pub(crate) fn run(args: &DebugArgs) -> Result<u8, CliError> {
    match args.command {
        DebugCommand::Startup { json } => startup(json),
    }
}

/// Starts every built-in plugin and says how long that took.
fn startup(as_json: bool) -> Result<u8, CliError> {
    let start = super::runtime()?
        .block_on(plugins::host()?.warm_start())
        .map_err(|error| plugins::failed("the built-in plugins cannot be started", &error))?;
    let millis = |d: std::time::Duration| d.as_secs_f64() * 1000.0;
    if as_json {
        let document = json!({"instantiate_ms": millis(start.total), "plugins": start.plugins.len()});
        output::line(&document.to_string());
    } else {
        for plugin in &start.plugins {
            let (load, instantiate) = (millis(plugin.load), millis(plugin.instantiate));
            let from = if plugin.cached { "from the cache" } else { "compiled" };
            output::line(&format!("{}: load {load:.2} ms ({from}), start {instantiate:.2} ms", plugin.name));
        }
        output::line(&format!("all: {:.2} ms", millis(start.total)));
    }
    Ok(0)
}
