//! `simulate`: runs seeds and says which of them break a promise.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use oc_mirror_simulation::world::{self, Account};

/// How often is told how far a long run is.
const TELL_EVERY: Duration = Duration::from_secs(60);

const HELP: &str = "\
Usage: simulate [--seeds N] [--from SEED] [--jobs N] [--most N]
       simulate --seed SEED [--trace]

  --seeds N    How many seeds to run (1000)
  --from SEED  The first of them (1)
  --jobs N     How many processes run side by side (1)
  --most N     Stop after so many broken seeds (10): what is wrong with one is often wrong with many
  --seed SEED  Run one seed and tell what it came to
  --trace      Tell of every call and request, too

Exits with 1 if a promise is broken, and names the seed.
";

#[derive(Default)]
struct Options {
    seeds: u64,
    from: u64,
    jobs: u64,
    most: u64,
    only: Option<u64>,
    trace: bool,
}

fn main() -> ExitCode {
    match options() {
        Ok(options) => simulate(&options),
        Err(message) => {
            eprintln!("error: {message}\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

fn options() -> Result<Options, String> {
    let mut options = Options { seeds: 1000, from: 1, jobs: 1, most: 10, ..Options::default() };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || {
            let text = args.next().ok_or(format!("{arg} wants a number"))?;
            text.parse::<u64>().map_err(|_| format!("`{text}` is not a number"))
        };
        match arg.as_str() {
            "--seeds" => options.seeds = number()?,
            "--from" => options.from = number()?,
            "--jobs" => options.jobs = number()?.max(1),
            "--most" => options.most = number()?.max(1),
            "--seed" => options.only = Some(number()?),
            "--trace" => options.trace = true,
            other => return Err(format!("`{other}` is not known")),
        }
    }
    Ok(options)
}

fn simulate(options: &Options) -> ExitCode {
    let dir = match scratch() {
        Ok(dir) => dir,
        Err(error) => {
            eprintln!("error: there is no directory to work in: {error}");
            return ExitCode::from(2);
        }
    };
    let outcome = match options.only {
        Some(seed) => one(seed, dir.path(), options.trace),
        None if options.jobs > 1 => side_by_side(options),
        None => all(options, dir.path()),
    };
    drop(dir);
    outcome
}

/// In memory where there is such a place: nothing here has to outlast the process.
fn scratch() -> std::io::Result<tempfile::TempDir> {
    let memory = PathBuf::from("/dev/shm");
    let builder = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("oc-mirror-simulation-");
        builder
    };
    builder().tempdir_in(memory).or_else(|_| builder().tempdir())
}

fn attempt(seed: u64, dir: &Path, trace: bool) -> (Result<Account, String>, Vec<String>) {
    let run = AssertUnwindSafe(|| world::run(seed, dir, trace));
    catch_unwind(run).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        (Err(format!("it panics: {}", text.unwrap_or_default())), Vec::new())
    })
}

fn one(seed: u64, dir: &Path, trace: bool) -> ExitCode {
    let (outcome, lines) = attempt(seed, dir, trace);
    lines.iter().for_each(|line| println!("{line}"));
    match outcome {
        Ok(account) => {
            println!("seed {seed}: {account:?}");
            ExitCode::SUCCESS
        }
        Err(what) => {
            println!("seed {seed} breaks a promise: {what}");
            ExitCode::FAILURE
        }
    }
}

fn all(options: &Options, dir: &Path) -> ExitCode {
    let begun = Instant::now();
    let (mut sum, mut broken, mut told) = (Account::default(), 0, begun);
    for seed in options.from..options.from + options.seeds {
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            let done = seed - options.from;
            eprintln!("{done} of {} seeds from {}, {broken} broke a promise", options.seeds, options.from);
        }
        match attempt(seed, dir, false).0 {
            Ok(account) => {
                sum.attempts += account.attempts;
                sum.kills += account.kills;
                sum.losses += account.losses;
                sum.failures += account.failures;
                sum.calls += account.calls;
                sum.requests += account.requests;
            }
            Err(what) => {
                broken += 1;
                println!("seed {seed} breaks a promise: {what}");
                if broken == options.most {
                    println!("and no more seeds are run");
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    println!(
        "{} seeds from {} in {:.1} s: {} attempts, of which {} were killed, {} lost power and {} failed; {} calls of the disk, {} requests; {broken} broke a promise",
        options.seeds,
        options.from,
        begun.elapsed().as_secs_f64(),
        sum.attempts,
        sum.kills,
        sum.losses,
        sum.failures,
        sum.calls,
        sum.requests,
    );
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Gives each process its share of the seeds, as one process has one world.
fn side_by_side(options: &Options) -> ExitCode {
    let Ok(program) = std::env::current_exe() else { return ExitCode::from(2) };
    let share = options.seeds.div_ceil(options.jobs);
    let mut children = Vec::new();
    for job in 0..options.jobs {
        let seeds = share.min(options.seeds.saturating_sub(job * share));
        if seeds == 0 {
            continue;
        }
        let from = options.from + job * share;
        let child = Command::new(&program)
            .args(["--seeds", &seeds.to_string(), "--from", &from.to_string()])
            .args(["--most", &options.most.to_string()])
            .stdin(Stdio::null())
            .spawn();
        match child {
            Ok(child) => children.push(child),
            Err(error) => {
                eprintln!("error: no process can be started: {error}");
                return ExitCode::from(2);
            }
        }
    }
    let mut worst = ExitCode::SUCCESS;
    for mut child in children {
        if !child.wait().is_ok_and(|status| status.success()) {
            worst = ExitCode::FAILURE;
        }
    }
    worst
}
