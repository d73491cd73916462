//! `oc-mirror plugin`.

mod build;
pub(super) mod desk;
mod inspect;
mod list;
mod named;
mod new;
mod pull;
mod push;
mod run;
mod said;
mod sign;
mod test;
mod verify;

use crate::args::{PluginArgs, PluginCommand};
use crate::error::CliError;
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
        PluginCommand::Test { table, plugin, case, output, network } => {
            let (plugin, case) = (plugin.as_deref(), case.as_deref());
            test::run(table, &test::Options { plugin, case, output: *output, network })
        }
        PluginCommand::Run(args) => run::run(args),
    }
}
