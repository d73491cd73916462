//! [`Ledger`]: every run of a target as a line of JSON, and what they are together. So an hour may be made up of many runs.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::Outcome;

/// A run of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) target: String,
    /// When it ended, in seconds since 1970.
    pub(super) at: u64,
    pub(super) seconds: u64,
    pub(super) executions: u64,
    pub(super) coverage: u64,
    pub(super) counters: u64,
    pub(super) features: u64,
    /// Inputs in the corpus at its end.
    pub(super) corpus: u64,
    pub(super) sanitizer: String,
    /// The input that made it fail.
    pub(super) crash: Option<String>,
}

impl Entry {
    fn to_json(&self) -> Value {
        let Self { target, at, seconds, executions, coverage, counters, features, corpus, sanitizer, crash } =
            self;
        json!({ "target": target, "at": at, "seconds": seconds, "executions": executions, "coverage": coverage,
            "counters": counters, "features": features, "corpus": corpus, "sanitizer": sanitizer, "crash": crash })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let number = |name: &str| value[name].as_u64();
        Some(Self {
            target: value["target"].as_str()?.to_owned(),
            at: number("at")?,
            seconds: number("seconds")?,
            executions: number("executions")?,
            coverage: number("coverage")?,
            counters: number("counters")?,
            features: number("features")?,
            corpus: number("corpus")?,
            sanitizer: value["sanitizer"].as_str()?.to_owned(),
            crash: value["crash"].as_str().map(str::to_owned),
        })
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, seconds, executions, coverage, features, corpus, .. } = self;
        write!(f, "{target}: {executions} in {seconds} s, cov {coverage}, ft {features}, corpus {corpus}")?;
        match &self.crash {
            Some(input) => write!(f, ", FAILED: {input}"),
            None => Ok(()),
        }
    }
}

/// All runs so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    entries: Vec<Entry>,
}

impl Ledger {
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(format!("{}: {e}", path.display())),
        };
        // A run that was killed while it wrote leaves half a line.
        let entries = text.lines().filter_map(|line| Entry::from_json(&serde_json::from_str(line).ok()?));
        Ok(Self { entries: entries.collect() })
    }

    pub(super) fn append(path: &Path, entry: &Entry) -> Outcome {
        let failed = |e: std::io::Error| format!("{}: {e}", path.display());
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
        file.write_all(format!("{}\n", entry.to_json()).as_bytes()).map_err(failed)
    }

    /// Returns a table of the targets, a line for each.
    pub(super) fn table<'a>(&self, targets: impl Iterator<Item = &'a str>) -> String {
        let mut of: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
        for entry in &self.entries {
            of.entry(&entry.target).or_default().push(entry);
        }
        let mut text = format!(
            "{:16} {:>5} {:>8} {:>12} {:>7} {:>9} {:>7} {:>8}  since the last crash\n",
            "target", "runs", "seconds", "executions", "cov", "ft", "corpus", "crashes"
        );
        for target in targets {
            let runs = of.remove(target).unwrap_or_default();
            let sum = |of: fn(&Entry) -> u64| runs.iter().map(|run| of(run)).sum::<u64>();
            let most = |of: fn(&Entry) -> u64| runs.iter().map(|run| of(run)).max().unwrap_or_default();
            let crashes = runs.iter().filter(|run| run.crash.is_some()).count();
            let since =
                runs.iter().rev().take_while(|run| run.crash.is_none()).map(|run| run.seconds).sum::<u64>();
            let _ = writeln!(
                text,
                "{target:16} {:>5} {:>8} {:>12} {:>7} {:>9} {:>7} {crashes:>8}  {since} s",
                runs.len(),
                sum(|run| run.seconds),
                sum(|run| run.executions),
                most(|run| run.coverage),
                most(|run| run.features),
                runs.last().map_or(0, |run| run.corpus),
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(target: &str, seconds: u64, crash: Option<&str>) -> Entry {
        Entry {
            target: target.to_owned(),
            at: 1,
            seconds,
            executions: 10 * seconds,
            coverage: 100 - seconds,
            counters: 5000,
            features: 7,
            corpus: seconds,
            sanitizer: "none".to_owned(),
            crash: crash.map(str::to_owned),
        }
    }

    #[test]
    fn runs_add_up() {
        let path = std::env::temp_dir().join(format!("oc-mirror-ledger-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        assert!(Ledger::read(&path).unwrap().entries.is_empty());
        let runs = [entry("a", 5, None), entry("b", 1, None), entry("a", 7, Some("x")), entry("a", 3, None)];
        for run in &runs {
            Ledger::append(&path, run).unwrap();
        }
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"target\":\"a\",").unwrap();
        let ledger = Ledger::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(ledger.entries, runs);
        let table = ledger.table(["a", "c"].into_iter());
        let lines: Vec<Vec<&str>> =
            table.lines().map(|line| line.split_ascii_whitespace().collect()).collect();
        assert_eq!(lines[1], ["a", "3", "15", "150", "97", "7", "3", "1", "3", "s"]);
        assert_eq!(lines[2], ["c", "0", "0", "0", "0", "0", "0", "0", "0", "s"]);
    }
}
