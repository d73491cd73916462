//! The program `oc-mirror`, also run as `oc mirror`: arguments, wiring, terminal and exit codes.
//!
//! Only this crate prints, reads the environment and picks an exit code; only it knows both the engine and the
//! plugin host.

mod applying;
mod args;
mod bucket;
mod cluster_access;
mod cluster_output;
mod commands;
mod components;
mod config_files;
mod environment;
mod error;
mod helm;
mod helm_repositories;
mod help;
mod invocation;
mod keys;
mod logging;
mod memory;
mod metrics;
mod network;
mod operators;
mod output;
mod plugins;
mod progress;
mod reference;
mod registries;
mod releases;
mod secrecy;
mod signatures;
mod stock;

use std::process::ExitCode;

use clap::FromArgMatches;
use oc_mirror_model::progress::ProgressEvent;
use oc_mirror_model::report::exit;

use args::{Cli, Command};
use error::CliError;
use invocation::Invocation;

fn main() -> ExitCode {
    secrecy::seal();
    secrecy::withdraw();
    memory::settle();
    let outcome = match Invocation::current() {
        Invocation::Completion => commands::complete::run(&environment::words()),
        invocation => {
            // With the name that is typed in place of that of the file.
            let matches = args::command().bin_name(invocation.typed()).try_get_matches();
            match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
                Ok(mut cli) => run(&mut cli),
                Err(error) => return usage(&error),
            }
        }
    };
    let outcome = outcome.and_then(|code| match output::terminal::failure() {
        // What was asked for is not all there.
        Some(error) => Err(CliError::caused("the standard output cannot be written to", &error)
            .code(code | exit::GENERIC)
            .hint("see whether the disk is full that it goes to")),
        None => Ok(code),
    });
    let code = outcome.unwrap_or_else(|error| {
        output::error(&error);
        error.exit_code()
    });
    tracing::info!(code, "ends");
    progress::tell(ProgressEvent::Finished { exit_code: code });
    ExitCode::from(code)
}

/// Does what the arguments say.
fn run(cli: &mut Cli) -> Result<u8, CliError> {
    releases::refuse_credentials()?;
    match &mut cli.command {
        Some(Command::Plan(args)) => commands::plan::run(args),
        Some(Command::Execute(args)) => commands::plan::execute(args),
        Some(Command::Version(args)) => commands::version::run(args),
        Some(Command::Apply(args)) => commands::apply::run(args),
        Some(Command::Clusters(args)) => commands::clusters::run(args),
        Some(Command::Schema(args)) => commands::schema::run(args),
        Some(Command::Init(args)) => commands::init::run(args),
        Some(Command::List(args)) => commands::list::run(args),
        Some(Command::Check(args)) => commands::check::run(args),
        Some(Command::Describe(args)) => commands::describe::run(args),
        Some(Command::Doctor(args)) => commands::doctor::run(args),
        Some(Command::Report(args)) => commands::report::run(args),
        Some(Command::Browse(args)) => commands::browse::run(args),
        Some(Command::Lint(args)) => commands::lint::run(args),
        Some(Command::Key(args)) => commands::key::run(args),
        Some(Command::Plugin(args)) => commands::plugin::run(args),
        Some(Command::Serve(args)) => commands::serve::run(args),
        Some(Command::Delete(args)) => commands::delete::run(args),
        Some(Command::Debug(args)) => commands::debug::run(args),
        Some(Command::Help(args)) => commands::help::run(args),
        Some(Command::Completion(args)) => commands::completion::run(args),
        Some(Command::Man(args)) => commands::man::run(args),
        None => commands::mirror::run(&cli.mirror),
    }
}

/// Shows help, or what is wrong with the arguments. Their usual code 2 would say that a release image failed.
fn usage(error: &clap::Error) -> ExitCode {
    // Nobody is left to tell if even that cannot be written.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { exit::GENERIC } else { exit::OK })
}
