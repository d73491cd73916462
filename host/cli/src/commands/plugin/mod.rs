//! `oc-mirror plugin`.

mod build;
mod inspect;
mod list;
mod new;
mod test;

use std::path::Path;

use oc_mirror_plugin_host::{Binary, Host};

use crate::args::{PluginArgs, PluginCommand};
use crate::error::CliError;
use crate::plugins;

/// Makes plugins, looks into them, or tests them.
pub(crate) fn run(args: &PluginArgs) -> Result<u8, CliError> {
    match &args.command {
        PluginCommand::New { name, kind, language, dir } => new::run(name, *kind, *language, dir.as_deref()),
        PluginCommand::Build { directory, target_dir } => build::run(directory, target_dir.as_deref()),
        PluginCommand::Inspect { plugin, output } => inspect::run(plugin, *output),
        PluginCommand::List { config, output } => list::run(config.as_deref(), *output),
        PluginCommand::Test { table, plugin, case, output } => {
            let options = test::Options { plugin: plugin.as_deref(), case: case.as_deref(), output: *output };
            test::run(table, &options)
        }
    }
}

/// Reads a component, or takes the built-in one of that name. A file of the name comes first.
fn binary(host: &Host, name: &str) -> Result<Binary, CliError> {
    let path = Path::new(name.strip_prefix("file:").unwrap_or(name));
    if !path.exists() && Host::builtins().any(|builtin| builtin == name) {
        return host.builtin(name).map_err(|error| plugins::failed("a built-in plugin is missing", &error));
    }
    host.load_file(path).map_err(|error| {
        let known: Vec<_> = Host::builtins().collect();
        let failed = plugins::failed(format!("`{name}` cannot be used"), &error);
        match path.exists() {
            true => failed,
            false => {
                failed.hint(format!("give the path of a component, or a built-in one: {}", known.join(", ")))
            }
        }
    })
}
