//! `cargo xtask bench startup`: how long the release build takes until it does something.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Outcome;
use crate::run::Tool;

/// How often each measurement is repeated.
const RUNS: usize = 30;
/// How many milliseconds `oc-mirror version` may take, so that it feels like nothing.
const VERSION_LIMIT: f64 = 30.0;
/// How many milliseconds instantiating all built-in plugins may take when they have been compiled before.
const INSTANTIATE_LIMIT: f64 = 50.0;

/// Builds the program for release, measures, and fails when a limit is passed.
pub(crate) fn startup() -> Outcome {
    let program = super::release(&[])?;
    let version = measure(|| time_version(&program))?;
    let instantiate = measure(|| time_instantiation(&program))?;
    let held = [
        report("oc-mirror version", &version, VERSION_LIMIT),
        report("warm instantiation of the built-in plugins", &instantiate, INSTANTIATE_LIMIT),
    ];
    if held.contains(&false) { Err("a limit is passed".to_string()) } else { Ok(()) }
}

/// Returns the sorted milliseconds of all runs but the first, which warms caches.
pub(super) fn measure(mut once: impl FnMut() -> Result<f64, String>) -> Result<Vec<f64>, String> {
    once()?;
    let mut times: Vec<f64> = (0..RUNS).map(|_| once()).collect::<Result<_, _>>()?;
    times.sort_by(f64::total_cmp);
    Ok(times)
}

fn time_version(program: &PathBuf) -> Result<f64, String> {
    let start = Instant::now();
    Tool::new(program).args(["version"]).output()?;
    Ok(milliseconds(start.elapsed()))
}

/// Asks the program, which knows when the plugins are ready; the start of the process is not part of it.
fn time_instantiation(program: &Path) -> Result<f64, String> {
    let text = Tool::new(program).args(["debug", "startup", "--json"]).output()?;
    let value: Value = serde_json::from_str(&text).map_err(|e| format!("oc-mirror debug startup: {e}"))?;
    value["instantiate_ms"].as_f64().ok_or_else(|| format!("no `instantiate_ms` in {value}"))
}

pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Prints one line and returns whether the median is within the limit.
pub(super) fn report(what: &str, sorted: &[f64], limit: f64) -> bool {
    let (min, median) = (sorted[0], sorted[sorted.len() / 2]);
    let verdict = if median <= limit { "ok" } else { "too slow" };
    println!(
        "{what}: min {min:.1} ms, median {median:.1} ms of {} runs; limit {limit} ms: {verdict}",
        sorted.len()
    );
    median <= limit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_run_does_not_count_and_the_median_decides() {
        let mut next = 1000.0;
        let times = measure(|| {
            next -= 1.0;
            Ok(if next == 999.0 { 0.0 } else { next })
        })
        .unwrap();
        assert_eq!((times.len(), times[0], times[RUNS - 1]), (RUNS, 969.0, 998.0));
        assert!(report("x", &times, 984.0));
        assert!(!report("x", &times, 983.0));
    }
}
