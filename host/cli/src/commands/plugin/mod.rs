//! `oc-mirror plugin`.

mod build;
mod desk;
mod inspect;
mod list;
mod new;
mod pull;
mod push;
mod run;
mod said;
mod sign;
mod test;
mod verify;

use std::path::Path;

use oc_mirror_model::plugin_source::PluginSource;
use oc_mirror_plugin_host::{Binary, Host};

use crate::args::{PluginArgs, PluginCommand};
use crate::error::CliError;
use crate::plugins;
use desk::Desk;

/// Makes plugins, looks into them, or tests them.
pub(crate) fn run(args: &PluginArgs) -> Result<u8, CliError> {
    match &args.command {
        PluginCommand::New { name, kind, language, dir } => new::run(name, *kind, *language, dir.as_deref()),
        PluginCommand::Build { directory, target_dir } => build::run(directory, target_dir.as_deref()),
        PluginCommand::Inspect { plugin, keys, output, network } => {
            inspect::run(plugin, keys, *output, network)
        }
        PluginCommand::List { config, output, network } => list::run(config.as_deref(), *output, network),
        PluginCommand::Push { plugin, place, sign_key, overwrite, network } => {
            push::run(&Desk::open(network)?, plugin, place, sign_key, *overwrite)
        }
        PluginCommand::Pull { plugin, file, keys, overwrite, network } => {
            pull::run(&Desk::open(network)?, plugin, file.as_deref(), keys, *overwrite)
        }
        PluginCommand::Sign { plugin, sign_key, network } => sign::run(plugin, sign_key, network),
        PluginCommand::Verify { plugin, keys, network } => verify::run(plugin, keys, network),
        PluginCommand::Test { table, plugin, case, output } => {
            let options = test::Options { plugin: plugin.as_deref(), case: case.as_deref(), output: *output };
            test::run(table, &options)
        }
        PluginCommand::Run(args) => run::run(args),
    }
}

/// Reads a component, or takes the built-in one of that name. A file of the name comes first.
fn binary(host: &Host, name: &str) -> Result<Binary, CliError> {
    if PluginSource::is_image(name) {
        return Err(CliError::new(format!("`{name}` is not a file"))
            .hint(format!("get it with `oc-mirror plugin pull {name}` first")));
    }
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
