//! `oc-mirror debug`.

use std::io::BufRead;
use std::path::Path;

use serde_json::{Value, json};

mod policies;

use super::list::Questions;
use crate::args::{DebugArgs, DebugCommand, NetworkArgs};
use crate::error::CliError;
use crate::{output, plugins, reference};

/// Looks into the program.
pub(crate) fn run(args: &DebugArgs) -> Result<u8, CliError> {
    match args.command {
        DebugCommand::Startup { json } => startup(json),
        DebugCommand::Policies { ref plugin, times, ref settings } => {
            policies::run(plugin.as_deref(), settings, times)
        }
        DebugCommand::Reference { ref dir } => write_reference(dir),
        DebugCommand::Select { ref cache, ref network } => select(cache, network),
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

/// Writes the documents that are made of the program.
fn write_reference(dir: &Path) -> Result<u8, CliError> {
    for (name, text) in reference::all() {
        let path = dir.join(name);
        let written = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(&path, text));
        written
            .map_err(|error| CliError::caused(format!("`{}` cannot be written", path.display()), &error))?;
    }
    Ok(0)
}

/// Says what configurations select, a line each.
fn select(cache: &Path, network: &NetworkArgs) -> Result<u8, CliError> {
    let lines = std::io::stdin().lock().lines();
    let questions: Vec<Value> = lines
        .map(|line| line.map_err(|e| CliError::caused("the standard input cannot be read", &e)))
        .map(|line| serde_json::from_str(&line?).map_err(|e| CliError::caused("a line is not JSON", &e)))
        .collect::<Result<_, CliError>>()?;
    let catalogs: Vec<&str> = questions.iter().filter_map(|q| q["entry"]["catalog"].as_str()).collect();
    super::runtime()?.block_on(async {
        let asking = Questions::of_catalogs(cache.to_owned(), network, &catalogs).await?;
        for question in &questions {
            let mut arguments = question.clone();
            arguments["now"] = asking.now.as_str().into();
            let answer = match asking.ask("select", &arguments).await {
                Ok(answer) => answer,
                Err(error) => json!({ "failed": error.heading, "hint": error.hint }),
            };
            output::line(&answer.to_string());
        }
        Ok(0)
    })
}
