//! `cargo xtask bench transfer`: what mirroring costs, beside the least that has to be done and beside other tools.
//!
//! All do the same work by turns ([`tools`]), on the same generated images ([`sets`]), between fresh `docker-registry`
//! processes ([`registry`]); what is compared are ratios within one round ([`table`]). Whoever does not see to it that what
//! it wrote is on disk has `sync -f` counted in. Everything that is read is in the page cache, for all alike. Requests are
//! counted in a further round, since the access log costs time.

mod again;
mod bound;
mod client;
mod options;
mod random;
mod registry;
mod sets;
mod soak;
mod table;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use self::options::{HELP, Name, Options};
use self::registry::{Registry, Requests, steady_address};
use self::sets::{Family, Set};
use self::table::{Row, Sample, Trial, Verdict};
use self::tools::{Places, Who, Work};
use super::process::Usage;
use crate::Outcome;
use crate::quickstart::server::free_address;
use crate::run::{Tool, step};
use crate::setup::Need;

pub(crate) use soak::soak;

/// How many images [`Name::D`] has more than [`Name::S`], for each hundred of them.
const MORE_PERCENT: usize = 5;

/// Builds the program for release, measures, and prints tables and verdicts.
pub(crate) fn transfer(args: &[&str]) -> Outcome {
    if let ["--help" | "-h"] = args {
        print!("{HELP}");
        return Ok(());
    }
    let options = Options::parse(args)?;
    let program = super::program(options.program.as_ref(), &[Need::Registry, Need::Witnesses])?;
    let bench = Bench::start(&options, program)?;
    let mut verdicts = Vec::new();
    for name in &options.sets {
        verdicts.extend(bench.measure(*name)?);
    }
    bench.remove(&bench.places.dir)?;
    println!("\nPromises, as medians of ratios within a round:");
    verdicts.iter().for_each(|verdict| println!("{}", verdict.line()));
    let missed = verdicts.iter().filter(|verdict| !verdict.is_met()).count();
    println!("  {} of {} are met", verdicts.len() - missed, verdicts.len());
    match missed > 0 && options.assert {
        true => Err("a promise is not kept".to_owned()),
        false => Ok(()),
    }
}

/// Everything a measurement needs besides its set.
struct Bench<'a> {
    options: &'a Options,
    places: Places,
    /// How many directories have been put away.
    retired: AtomicUsize,
}

/// What a measurement gives besides the sample.
struct Once {
    sample: Sample,
    requests: Option<Requests>,
}

impl<'a> Bench<'a> {
    fn start(options: &'a Options, program: PathBuf) -> Result<Self, String> {
        let dir = options.dir.join("run");
        let places = Places { program, dir, source: steady_address()? };
        let bench = Self { options, places, retired: AtomicUsize::new(0) };
        bench.remove(&bench.places.dir)?;
        bench.fresh("")?;
        // Plugins are compiled once in a program's life, not in each run.
        bench.places.alone(Tool::new(&bench.places.program).args(["debug", "startup"])).output()?;
        Ok(bench)
    }

    fn measure(&self, name: Name) -> Result<Vec<Verdict>, String> {
        let options = self.options;
        let set = |family, count, name: &str| Set::have(&options.dir, family, count, name);
        match name {
            Name::S => self.trials(&set(Family::Shared, options.shared, "S")?),
            Name::L => self.trials(&set(Family::Little, options.little, "L")?),
            Name::B => self.trials(&set(Family::Big, options.big, "B")?),
            Name::D => {
                let more = options.shared * MORE_PERCENT / 100;
                let larger = set(Family::Shared, options.shared + more, "D")?;
                self.again(&larger.first(options.shared, "S"), &larger)
            }
            Name::Lx => self.curve(&set(Family::Little, options.little * options.scale, "LX")?),
        }
    }

    /// Does all works with a set.
    fn trials(&self, set: &Set) -> Result<Vec<Verdict>, String> {
        self.places.prepare(set)?;
        let mut verdicts = Vec::new();
        for work in &self.options.works {
            let mut trial = None;
            step(&format!("{} {}, load {}", set.name, work.name(), load()), || {
                trial = Some(self.trial(*work, set, self.options.rounds, true)?);
                Ok(())
            })?;
            let trial = trial.ok_or("a step that succeeds has its result")?;
            print!("{}", trial.text());
            verdicts.extend(trial.verdicts());
        }
        Ok(verdicts)
    }

    /// Has all contenders do one work, by turns; counts requests in a further round, if that is wanted.
    fn trial(&self, work: Work, set: &Set, rounds: usize, counts: bool) -> Result<Trial, String> {
        let row = |who| Row { who, samples: Vec::new(), requests: None };
        let contenders = self.options.tools.iter().filter(|who| work.is_done_by(**who));
        let mut rows: Vec<Row> = contenders.map(|who| row(*who)).collect();
        if work == Work::Push {
            rows = self.with_inputs(rows, set)?;
        }
        for round in 0..rounds + usize::from(counts) {
            // Whoever comes first finds the machine as the one before has left it.
            let count = rows.len().max(1);
            rows.rotate_left(round % count);
            let counted = round == rounds;
            let mut failed = Vec::new();
            for row in &mut rows {
                match self.once(row.who, work, set, counted) {
                    Ok(once) if counted => row.requests = once.requests,
                    Ok(once) => row.samples.push(once.sample),
                    Err(e) if row.who.is_peer() => {
                        println!("    {} is left out: {e}", row.who.name());
                        failed.push(row.who);
                    }
                    Err(e) => return Err(format!("{}: {e}", row.who.name())),
                }
            }
            rows.retain(|row| !failed.contains(&row.who));
        }
        rows.sort_by_key(|row| tools::ALL.iter().position(|who| *who == row.who));
        for row in &rows {
            self.retire(&self.input(row.who))?;
        }
        Ok(Trial { set: set.name.clone(), work, images: set.images.len(), bytes: set.bytes(), rows })
    }

    /// Pulls what is pushed later, and leaves out peers that cannot.
    fn with_inputs(&self, rows: Vec<Row>, set: &Set) -> Result<Vec<Row>, String> {
        let source = Registry::start(&self.places.dir, &set.storage, &self.places.source, false)?;
        let mut able = Vec::new();
        for row in rows {
            // The bound sends the files of the source's own storage.
            let input = self.fresh(&self.input(row.who).display().to_string())?;
            let pulled = match row.who {
                Who::Bound => Ok(String::new()),
                who => self.places.command(who, Work::Pull, set, (&input, &input), "")?.output(),
            };
            match pulled {
                Ok(_) => able.push(row),
                Err(e) if row.who.is_peer() => println!("    {} is left out: {e}", row.who.name()),
                Err(e) => return Err(e),
            }
        }
        drop(source);
        Ok(able)
    }

    /// Measures one contender once.
    fn once(&self, who: Who, work: Work, set: &Set, counted: bool) -> Result<Once, String> {
        let out = self.fresh("out")?;
        let source = match work.reads_registry() {
            true => Some(Registry::start(&self.places.dir, &set.storage, &self.places.source, counted)?),
            false => None,
        };
        let storage = self.fresh("target")?;
        let target = match work.writes_registry() {
            true => Some(Registry::start(&self.places.dir, &storage, &free_address()?, counted)?),
            false => None,
        };
        let host = target.as_ref().map_or("", |target| target.host.as_str());
        self.sync()?;
        let mut sample = Sample::default();
        if (who, work) == (Who::Bound, Work::Push) {
            let start = Instant::now();
            bound::push(set, host)?;
            sample.wall = start.elapsed().as_secs_f64();
        } else {
            let tool = self.places.command(who, work, set, (&self.input(who), &out), host)?;
            let usage = Usage::of_all(tool)?;
            sample = Sample {
                wall: usage.wall,
                cpu: Some(usage.cpu),
                memory: Some(usage.memory),
                written: Some(usage.written),
            };
        }
        if work == Work::Pull && !matches!(who, Who::Ours | Who::Blocking) {
            let start = Instant::now();
            self.sync()?;
            sample.wall += start.elapsed().as_secs_f64();
        }
        let mut requests = Requests::default();
        for registry in [&source, &target].into_iter().flatten().filter(|_| counted) {
            let found = registry.requests()?;
            requests.count += found.count;
            requests.sent_again += found.sent_again;
        }
        if let Some(target) = &target {
            set.verify(&target.host)?;
        }
        drop((source, target));
        if work == Work::Pull && who == Who::Ours && imageset(&out, 1)? < set.bytes() {
            return Err(format!("the imageset in `{}` is not whole", out.display()));
        }
        self.retire(&out)?;
        self.retire(&storage)?;
        Ok(Once { sample, requests: counted.then_some(requests) })
    }

    /// Measures how time and memory grow with the number of images, once for each number.
    fn curve(&self, largest: &Set) -> Result<Vec<Verdict>, String> {
        let numbers = [self.options.little / 10, self.options.little, largest.images.len()];
        let mut verdicts = Vec::new();
        for work in self.options.works.iter().filter(|work| **work != Work::Copy) {
            let mut points: Vec<(f64, f64)> = Vec::new();
            let mut text = format!(
                "\nLX {}, once each\n  {:>7} {:>9} {:>9} {:>10} {:>9} {:>9}\n",
                work.name(),
                "images",
                "wall s",
                "CPU s",
                "ms/image",
                "peak MB",
                "× bound"
            );
            for number in numbers {
                let set = largest.first(number, &format!("L{number}"));
                self.places.prepare(&set)?;
                let trial = self.trial(*work, &set, 1, false)?;
                let Some(ours) = trial.row(Who::Ours).and_then(|row| row.samples.first()) else { continue };
                let bound = trial.row(Who::Bound).and_then(|row| row.samples.first());
                let each = ours.wall * 1e3 / number as f64;
                let memory = ours.memory.unwrap_or(0) as f64 / 1e6;
                let times = bound.map_or("-".to_owned(), |bound| format!("{:.2}", ours.wall / bound.wall));
                text += &format!(
                    "  {number:>7} {:>9.2} {:>9.2} {each:>10.3} {memory:>9.1} {times:>9}\n",
                    ours.wall,
                    ours.cpu.unwrap_or(0.0),
                );
                points.push((each, memory));
            }
            print!("{text}");
            if let [_, (before, _), (each, memory)] = points[..] {
                let name = format!("LX {}", work.name());
                verdicts.push(Verdict::new(format!("{name}: peak memory"), memory, 100.0, " MB"));
                let growth = each / before;
                let what = format!("{name}: time for an image, with ten times the images");
                verdicts.push(Verdict::new(what, growth, LINEAR, " × as much"));
            }
        }
        Ok(verdicts)
    }

    fn input(&self, who: Who) -> PathBuf {
        self.places.dir.join(format!("input-{}", who.name()))
    }

    /// Waits until nothing is left to be written, so that nobody is charged for others.
    fn sync(&self) -> Outcome {
        Tool::new("sync").args(["-f"]).path(&self.places.dir).run()
    }

    /// Returns an empty directory.
    fn fresh(&self, name: &str) -> Result<PathBuf, String> {
        let dir = self.places.dir.join(name);
        self.retire(&dir)?;
        fs::create_dir_all(&dir).map_err(|e| format!("cannot make `{}`: {e}", dir.display()))?;
        Ok(dir)
    }

    /// Frees what a directory takes, and leaves its files until the end, empty: for some minutes after many files are
    /// removed, ext4 looks past the inodes of all of them whenever it needs a new one, and whoever comes next would pay.
    fn retire(&self, dir: &Path) -> Outcome {
        if !dir.exists() {
            return Ok(());
        }
        let retired = self.places.dir.join("retired");
        let number = self.retired.fetch_add(1, Ordering::Relaxed).to_string();
        let ended = fs::create_dir_all(&retired).and_then(|()| {
            fs::rename(dir, retired.join(&number))?;
            empty_files(&retired.join(&number))
        });
        ended.map_err(|e| format!("cannot put `{}` away: {e}", dir.display()))
    }

    fn remove(&self, dir: &Path) -> Outcome {
        match fs::remove_dir_all(dir) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(format!("cannot remove `{}`: {e}", dir.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Takes all content of the files of a directory.
fn empty_files(dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            empty_files(&entry.path())?;
        } else if kind.is_file() && entry.metadata()?.len() > 0 {
            fs::OpenOptions::new().write(true).open(entry.path())?.set_len(0)?;
        }
    }
    Ok(())
}

/// How much more time an image may take among many, so that the time is called linear: measurements of seconds differ.
const LINEAR: f64 = 1.25;

/// Returns how many bytes the chunks of an imageset have.
fn imageset(dir: &Path, sequence: u64) -> Result<u64, String> {
    let start = format!("mirror_seq{sequence}_");
    let entries = fs::read_dir(dir).map_err(|e| format!("`{}`: {e}", dir.display()))?;
    let chunks = entries.flatten().filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with(&start) && name.ends_with(".tar")
    });
    Ok(chunks.filter_map(|chunk| chunk.metadata().ok()).map(|metadata| metadata.len()).sum())
}

/// Returns how busy the machine has been in the last minute, since times on a busy one say little.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}
