//! `cargo xtask fuzz`: builds the fuzz targets, fills their corpora, runs them, and keeps account of how long each has run in sum.

mod corpus;
mod ledger;
mod options;
mod output;

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::Outcome;
use crate::run::{Tool, root, step, target};

use ledger::{Entry, Ledger};
use options::{Options, Sanitizer};

/// A fuzz target: its name, and the longest input that is worth making up for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) longest: usize,
}

const fn spec(name: &'static str, longest: usize) -> Spec {
    Spec { name, longest }
}

/// All targets. The lengths are those of `tests/fuzz/src`, which pass over what is longer.
pub(crate) const TARGETS: [Spec; 20] = [
    spec("answers", 32 << 10),
    spec("archives", 128 << 10),
    spec("catalog", 64 << 10),
    spec("chart", 64 << 10),
    spec("cincinnati", 64 << 10),
    spec("config", 16 << 10),
    spec("imageset", 64 << 10),
    spec("layer", 64 << 10),
    spec("manifest", 64 << 10),
    spec("openpgp", 56 << 10),
    spec("plugin", 32 << 10),
    spec("policy", 16 << 10),
    spec("records", 32 << 10),
    spec("reference", 4 << 10),
    spec("registries_conf", 16 << 10),
    spec("serve", 16 << 10),
    spec("signatures", 16 << 10),
    spec("tar", 70 << 10),
    spec("template", 8 << 10),
    spec("yaml", 32 << 10),
];

/// What cargo-fuzz builds for.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";
/// No input may take longer, in seconds.
const TIMEOUT: u32 = 20;
/// What a whole process may hold, in MiB. Each target's own limit is far below, and counted by its allocator.
const MEMORY_MIB: u32 = 2048;

fn project() -> PathBuf {
    root().join("tests/fuzz")
}

fn built() -> PathBuf {
    target().join("fuzz")
}

/// Runs it.
pub(crate) fn run(args: &[&str]) -> Outcome {
    let options = Options::parse(args)?;
    if options.sums {
        return sums(&options.targets);
    }
    step("build", || build(&options))?;
    step("corpus", || corpus::fill(&options.targets))?;
    let mut crashed = Vec::new();
    for round in 1..=options.rounds {
        if options.rounds > 1 {
            println!("==> round {round} of {}", options.rounds);
        }
        crashed.extend(round_of(&options)?.into_iter().filter_map(|entry| entry.crash));
    }
    sums(&options.targets)?;
    match crashed.as_slice() {
        [] => Ok(()),
        inputs => Err(format!(
            "{} inputs made a target fail:\n{}\nhint: tests/fuzz/README.md says what to do with a crash",
            inputs.len(),
            inputs.join("\n")
        )),
    }
}

/// Prints what all runs have in sum.
fn sums(targets: &[Spec]) -> Outcome {
    let ledger = Ledger::read(&built().join("ledger.jsonl"))?;
    print!("{}", ledger.table(targets.iter().map(|spec| spec.name)));
    Ok(())
}

fn build(options: &Options) -> Outcome {
    if !Tool::cargo().args(["fuzz", "--version"]).succeeds() {
        println!("    installing cargo-fuzz");
        Tool::cargo().args(["install", "--locked", "cargo-fuzz"]).output()?;
    }
    let sanitizer = ["fuzz", "build", "--sanitizer", options.sanitizer.name(), "--fuzz-dir"];
    let tool = Tool::cargo()
        .args(sanitizer)
        .path(&project())
        .args(["--target-dir"])
        .path(&binaries(options.sanitizer));
    // The counters of coverage are there in every toolchain, but only unstable ones admit to it.
    tool.env("RUSTC_BOOTSTRAP", "1").env("CARGO_INCREMENTAL", "0").run()
}

/// Builds with and without a sanitizer do not overwrite each other.
fn binaries(sanitizer: Sanitizer) -> PathBuf {
    match sanitizer {
        Sanitizer::None => built(),
        Sanitizer::Address => built().join("address"),
    }
}

/// Runs each target once, some of them at a time.
fn round_of(options: &Options) -> Result<Vec<Entry>, String> {
    let waiting = Mutex::new(options.targets.iter().copied().collect::<VecDeque<Spec>>());
    let (done, failed) = (Mutex::new(Vec::new()), Mutex::new(None));
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while let Some(spec) = pop(&waiting) {
                    match one(spec, options) {
                        Ok(entry) => {
                            println!("    {entry}");
                            done.lock().expect("nobody panics").push(entry);
                        }
                        Err(error) => *failed.lock().expect("nobody panics") = Some(error),
                    }
                }
            });
        }
    });
    match failed.into_inner().expect("nobody panics") {
        Some(error) => Err(error),
        None => Ok(done.into_inner().expect("nobody panics")),
    }
}

fn pop(waiting: &Mutex<VecDeque<Spec>>) -> Option<Spec> {
    waiting.lock().expect("nobody panics").pop_front()
}

fn one(spec: Spec, options: &Options) -> Result<Entry, String> {
    let corpus = corpus::dir(spec.name);
    let artifacts = project().join("artifacts").join(spec.name);
    for dir in [&corpus, &artifacts] {
        fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    }
    let before = files(&artifacts);
    let binary = binaries(options.sanitizer).join(TRIPLE).join("release").join(spec.name);
    let mut command = Tool::new(&binary).path(&corpus).path(&corpus::seeds(spec.name)).into_command();
    command
        .arg(format!("-max_total_time={}", options.seconds))
        .arg(format!("-max_len={}", spec.longest))
        .arg(format!("-timeout={TIMEOUT}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(["-print_final_stats=1", "-verbosity=1"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let start = Instant::now();
    let output = command.output().map_err(|e| format!("cannot run {}: {e}", binary.display()))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let log = built().join("logs");
    fs::create_dir_all(&log).map_err(|e| format!("{}: {e}", log.display()))?;
    let log = log.join(format!("{}.log", spec.name));
    fs::write(&log, text.as_bytes()).map_err(|e| format!("{}: {e}", log.display()))?;
    let found = output::read(&text);
    let new = files(&artifacts).into_iter().find(|path| !before.contains(path));
    let crash = match (output.status.success(), new) {
        (true, None) => None,
        (_, Some(input)) => Some(input.display().to_string()),
        (false, None) => Some(format!("no input; see {}", log.display())),
    };
    let entry = Entry {
        target: spec.name.to_owned(),
        at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        seconds: start.elapsed().as_secs(),
        executions: found.executions,
        coverage: found.coverage,
        counters: found.counters,
        features: found.features,
        corpus: files(&corpus).len() as u64,
        sanitizer: options.sanitizer.name().to_owned(),
        crash,
    };
    Ledger::append(&built().join("ledger.jsonl"), &entry)?;
    Ok(entry)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_known_and_has_seeds() {
        let names = files(&project().join("fuzz_targets"));
        let mut names: Vec<&str> = names.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
        names.sort_unstable();
        assert_eq!(names, TARGETS.map(|spec| spec.name));
        for name in names {
            assert!(!files(&corpus::seeds(name)).is_empty(), "{name} has no seeds");
        }
    }

    #[test]
    fn the_lengths_are_those_of_the_targets() {
        for Spec { name, longest } in TARGETS {
            let source = ["host", "guests"].iter().find_map(|room| {
                fs::read_to_string(project().join("src").join(room).join(format!("{name}.rs"))).ok()
            });
            let source = source.expect("a source");
            let said = source
                .split_once("longest: ")
                .and_then(|(_, rest)| rest.split_once(','))
                .expect("a length")
                .0;
            let (number, shift) = said.split_once(" << ").expect("a shift");
            let said = number.parse::<usize>().expect("a number") << shift.parse::<u32>().expect("a number");
            assert_eq!(said, longest, "{name}");
        }
    }
}
