//! `cargo xtask …`: what a developer or a build machine does with this repository. It installs, runs and checks; it
//! holds no logic of the product. Its dependencies are few, because it is compiled before anything else.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod audit;
mod bench;
mod dependencies;
mod docs;
mod faults;
mod fuzz;
mod installed;
mod languages;
mod moto;
mod playwright;
mod quickstart;
mod release;
mod run;
mod setup;
mod simulate;
mod spdx;
mod suite;
mod wit;

use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask <COMMAND>

Commands:
  quickstart      Build, mirror a few images across a pretended air gap, and account for it
  test [STEP]...  Install what is missing, then run all checks and tests, or only the named steps
  setup           Only install what is missing
  docs [--write]  Compare docs/reference with what the program makes, or write it anew
  simulate [--seeds N | --seed SEED [--trace] | --mutants [WORD]]
                  Run the engine on a disk and a network that fail, or find out which planted bugs that finds
  soak            Mirror 20,000 images in twelve sequences, with two publishers and a registry that is killed every minute
  release [--check] [--static]
                  Make the program as it is handed out, with its inventory; --check builds it twice and compares,
                  --static links the C library into it
  faults [--run]  Look for the tests that documents name as witnesses; run those of docs/faults.md, and note what came of it
  wit freeze      Make a release of the contract of plugins, with a guest that is built against it
  fuzz [TARGET].. Run the fuzz targets; see tests/fuzz/README.md
  bench startup   Measure how long the program and its built-in plugins take to start
  bench updates   Measure how long a question about updates takes
  bench catalog   Measure what reading catalogs of operators takes, of time and of memory
  bench plugins   Measure what policies cost once what they judge is at hand
  bench transfer  Measure what mirroring takes, beside other tools and the least that has to be done
  help            Print this
";

/// What a command answers: nothing, or one paragraph about what went wrong.
type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.as_slice() {
        ["quickstart"] => quickstart::run(),
        ["test", steps @ ..] => suite::run(steps),
        ["setup"] => setup::install(&setup::ALL),
        ["docs"] => docs::run(false),
        ["docs", "--write"] => docs::run(true),
        ["simulate", options @ ..] => simulate::run(options),
        ["soak", options @ ..] => bench::soak(options),
        ["release", options @ ..] => release::run(options),
        ["faults"] => faults::run(false),
        ["faults", "--run"] => faults::run(true),
        ["wit", "freeze"] => wit::freeze(),
        ["fuzz", options @ ..] => fuzz::run(options),
        ["bench", "startup"] => bench::startup(),
        ["bench", "updates"] => bench::updates(),
        ["bench", "catalog"] => bench::catalog(),
        ["bench", "plugins", options @ ..] => bench::plugins(options),
        ["bench", "transfer", options @ ..] => bench::transfer(options),
        ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        [] => Err(HELP.to_string()),
        other => Err(format!("unknown command `{}`\n\n{HELP}", other.join(" "))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {}", message.trim_end());
            ExitCode::FAILURE
        }
    }
}
