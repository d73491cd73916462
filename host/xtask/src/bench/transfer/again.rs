//! What a further run of the same chain costs: with nothing changed, with a few images more, and with `--force`.

use std::path::Path;
use std::time::Instant;

use super::registry::Registry;
use super::sets::Set;
use super::table::{Verdict, median};
use super::tools::{Who, Work};
use super::{Bench, bound, imageset};
use crate::bench::process::Usage;
use crate::run::{Tool, step};

/// What part of the first run's time the second may take.
const TIME: f64 = 0.1;
/// How many bytes an imageset may have besides what is new in it.
const BESIDES: f64 = 1e6;
/// How many bytes an imageset may have that has nothing new, besides [`EACH`].
const EMPTY: f64 = 200e3;
/// How many bytes it may have for each image.
const EACH: f64 = 200.0;

/// One run of the program.
struct Run {
    usage: Usage,
    /// The size of the imageset it made; 0 where it made none.
    bytes: u64,
}

/// The runs of one chain.
struct Chain {
    runs: Vec<Run>,
    /// How long the least that has to be done for D takes.
    bound: f64,
}

impl Bench<'_> {
    /// Runs a chain several times: the set, the set again, the larger set, and that again with an imageset made of nothing.
    pub(super) fn again(&self, set: &Set, larger: &Set) -> Result<Vec<Verdict>, String> {
        self.places.prepare(set)?;
        self.places.prepare(larger)?;
        let forced = self.places.alone(Tool::new(&self.places.program).args(["--help"])).output()?;
        let forced = forced.split_ascii_whitespace().any(|word| word == "--force");
        let mut rounds: Vec<Chain> = Vec::new();
        step(&format!("D, load {}", super::load()), || {
            for _ in 0..self.options.rounds {
                rounds.push(self.chain(set, larger, forced)?);
            }
            Ok(())
        })?;
        let names = ["S", "S again", "D", "D again, --force"];
        println!(
            "\nD: {} images, then {}; median of {}",
            set.images.len(),
            larger.images.len(),
            rounds.len()
        );
        println!(
            "  {:<17} {:>9} {:>9} {:>9} {:>9} {:>12}",
            "", "wall s", "× S", "CPU s", "peak MB", "imageset MB"
        );
        let column = |position: usize, value: &dyn Fn(&Run) -> f64| {
            median(rounds.iter().filter_map(|chain| chain.runs.get(position)).map(value).collect())
        };
        let against_first = |value: &dyn Fn(&Chain) -> Option<f64>| {
            let ratio = |chain: &Chain| Some(value(chain)? / chain.runs.first()?.usage.wall);
            median(rounds.iter().filter_map(ratio).collect())
        };
        let times = |position: usize| against_first(&|chain| Some(chain.runs.get(position)?.usage.wall));
        for (position, name) in names.into_iter().enumerate() {
            let (Some(wall), Some(times)) = (column(position, &|run| run.usage.wall), times(position)) else {
                println!("  {name:<17} skipped: this program has no --force");
                continue;
            };
            println!(
                "  {name:<17} {wall:>9.2} {times:>9.3} {:>9.2} {:>9.1} {:>12.3}",
                column(position, &|run| run.usage.cpu).unwrap_or_default(),
                column(position, &|run| run.usage.memory as f64 / 1e6).unwrap_or_default(),
                column(position, &|run| run.bytes as f64 / 1e6).unwrap_or_default(),
            );
        }
        let said =
            rounds.first().and_then(|chain| chain.runs.get(1)).map_or("", |run| run.usage.printed.as_str());
        println!(
            "  {:<17} {:>9.2} {:>9.3}",
            "D, the bound",
            median(rounds.iter().map(|chain| chain.bound).collect()).unwrap_or_default(),
            against_first(&|chain| Some(chain.bound)).unwrap_or_default(),
        );
        println!("  said when nothing changed:");
        said.lines().for_each(|line| println!("    {line}"));
        let size = |position: usize| column(position, &|run| run.bytes as f64);
        let new = (larger.bytes() - set.bytes()) as f64;
        let mut verdicts = Vec::new();
        let mut hold = |what: &str, value: Option<f64>, limit: f64, unit: &'static str| {
            verdicts.extend(value.map(|value| Verdict::new(format!("D: {what}"), value, limit, unit)));
        };
        hold("time", times(2), TIME, " × that of S");
        hold("imageset, besides what is new", size(2).map(|size| size - new), BESIDES, " bytes");
        hold("imageset when nothing changed", size(1), 0.0, " bytes");
        let limit = EMPTY + EACH * larger.images.len() as f64;
        hold("imageset of nothing by --force", size(3), limit, " bytes");
        Ok(verdicts)
    }

    fn chain(&self, set: &Set, larger: &Set, forced: bool) -> Result<Chain, String> {
        let out = self.fresh("out")?;
        let source = Registry::start(&self.places.dir, &larger.storage, &self.places.source, false)?;
        let mut runs = vec![self.link(set, &out, 1, false)?, self.link(set, &out, 2, false)?];
        // Without an imageset of its own the second run leaves the number to the next.
        let next = if runs[1].bytes == 0 { 2 } else { 3 };
        runs.push(self.link(larger, &out, next, false)?);
        if forced {
            runs.push(self.link(larger, &out, next + 1, true)?);
        }
        let least = self.fresh("least")?;
        self.sync()?;
        let start = Instant::now();
        self.places.alone(bound::curl_again(larger, set, &self.places.source, &least)?).run()?;
        self.sync()?;
        let bound = start.elapsed().as_secs_f64();
        drop(source);
        self.retire(&out)?;
        self.retire(&least)?;
        Ok(Chain { runs, bound })
    }

    fn link(&self, set: &Set, out: &Path, sequence: u64, force: bool) -> Result<Run, String> {
        self.sync()?;
        let mut tool = self.places.command(Who::Ours, Work::Pull, set, (out, out), "")?;
        if force {
            tool = tool.args(["--force"]);
        }
        let usage = Usage::of_all(tool)?;
        Ok(Run { usage, bytes: imageset(out, sequence)? })
    }
}
