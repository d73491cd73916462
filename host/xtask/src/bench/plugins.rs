//! `cargo xtask bench plugins`: what policies cost, once what they judge is at hand.
//!
//! The program measures itself (`oc-mirror debug policies`), on its two threads; here its memory is watched, and the numbers are
//! held to limits. A component of one's own, in whatever language, is measured with `--plugin FILE` and, if need be,
//! `--settings JSON`; it has no limits.

use std::path::Path;

use serde_json::Value;

use super::process::Usage;
use crate::Outcome;
use crate::run::Tool;

/// How often it is measured. The shortest time counts, as others may use the machine.
const RUNS: usize = 3;
/// How many seconds 100,000 images may take.
const SECONDS: f64 = 1.0;
/// How many microseconds a call may take beyond what the plugin does in it.
const CALL: f64 = 1.0;
/// How many MB the program may take meanwhile.
const MEMORY: f64 = 200.0;

/// Builds the program for release, measures, and fails when a limit is passed.
pub(crate) fn plugins(options: &[&str]) -> Outcome {
    let allowed = ["--plugin", "--settings"];
    let well_formed = options.chunks(2).all(|pair| pair.len() == 2 && allowed.contains(&pair[0]));
    if !well_formed {
        return Err("usage: cargo xtask bench plugins [--plugin FILE [--settings JSON]]".to_owned());
    }
    let program = super::release(&[])?;
    let mut best: Vec<Value> = Vec::new();
    let mut memory = 0;
    for _ in 0..RUNS {
        let usage = measure(&program, options)?;
        memory = memory.max(usage.memory);
        for (place, line) in usage.printed.lines().enumerate() {
            let line: Value =
                serde_json::from_str(line).map_err(|e| format!("oc-mirror debug policies: {e}"))?;
            match best.get_mut(place) {
                Some(known) if seconds(known) <= seconds(&line) => {}
                Some(known) => *known = line,
                None => best.push(line),
            }
        }
    }
    let memory = memory as f64 / 1e6;
    println!("\n{:<20} {:<32} {:>10} {:>12} {:>10}", "POLICY", "", "SECONDS", "IMAGES/S", "µs EACH");
    for line in &best {
        println!(
            "{:<20} {:<32} {:>10.3} {:>12.0} {:>10.2}",
            text(line, "policy"),
            text(line, "what"),
            seconds(line),
            line["images_per_second"].as_f64().unwrap_or_default(),
            line["microseconds_per_image"].as_f64().unwrap_or_default()
        );
    }
    let call = call(&best);
    if let Some(call) = call {
        println!("a call, beyond what the plugin does in it: {call:.2} µs");
    }
    println!("memory of the program: {memory:.0} MB");
    let mut passed = Vec::new();
    if options.is_empty() {
        let slow = best.iter().filter(|line| seconds(line) > SECONDS);
        passed.extend(slow.map(|line| format!("{} takes more than {SECONDS} s", text(line, "policy"))));
    }
    if options.is_empty() && call.is_none_or(|call| call > CALL) {
        passed.push(format!("a call takes more than {CALL} µs by itself"));
    }
    if memory > MEMORY {
        passed.push(format!("the program takes more than {MEMORY} MB"));
    }
    if passed.is_empty() { Ok(()) } else { Err(format!("limits are passed:\n{}", passed.join("\n"))) }
}

/// Returns the most that a call takes beyond what the plugin does in it.
fn call(lines: &[Value]) -> Option<f64> {
    lines.iter().filter_map(|line| line["microseconds_beyond_the_guest"].as_f64()).max_by(f64::total_cmp)
}

fn measure(program: &Path, options: &[&str]) -> Result<Usage, String> {
    Usage::of(Tool::new(program).args(["debug", "policies"]).args(options.iter().copied()), "")
}

fn seconds(line: &Value) -> f64 {
    line["seconds"].as_f64().unwrap_or(f64::INFINITY)
}

fn text<'a>(line: &'a Value, key: &str) -> &'a str {
    line[key].as_str().unwrap_or_default()
}
