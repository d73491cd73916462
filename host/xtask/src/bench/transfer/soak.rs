//! `cargo xtask soak`: 20,000 images in twelve sequences, two publishers at a time, and a registry that is killed every
//! minute. Nothing may be lost, and memory may not grow with the sequences.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::registry::{Registry, steady_address};
use super::sets::{Family, Set};
use super::tools::Places;
use crate::Outcome;
use crate::bench::process::Usage;
use crate::quickstart::server::free_address;
use crate::run::{step, target};
use crate::setup::Need;

const HELP: &str = "\
Usage: cargo xtask soak [OPTIONS]

Mirrors generated images of 60 KB to disk in several sequences, and publishes each from two workspaces at the same time to
one docker-registry, which is killed and started again every minute.

Options:
  --images N        [default: 20000]
  --sequences N     [default: 12]
  --every SECONDS   Kill the registry so often [default: 60]
  --oc-mirror PATH  Run this program, instead of building it for release
  --keep DIR        Keep the generated images here [default: bench/transfer in cargo's target directory]
";

/// A publisher that fails is started again as a person would do it, so many times at most.
const ATTEMPTS: u32 = 8;

/// The most bytes of memory of any run: a record of 20,000 images has to be read, changed and written.
const MEMORY: u64 = 160 << 20;

/// What is wanted.
struct Options {
    images: usize,
    sequences: usize,
    every: Duration,
    program: Option<PathBuf>,
    dir: PathBuf,
}

impl Options {
    fn parse(args: &[&str]) -> Result<Self, String> {
        let mut options = Self {
            images: 20_000,
            sequences: 12,
            every: Duration::from_secs(60),
            program: None,
            dir: target().join("bench/transfer"),
        };
        let mut args = args.iter();
        while let Some(name) = args.next() {
            let value = args.next().ok_or_else(|| format!("{name} needs a value\n\n{HELP}"))?;
            let number = || value.parse::<usize>().map_err(|_| format!("{name}: `{value}` is not a number"));
            match *name {
                "--images" => options.images = number()?.max(1),
                "--sequences" => options.sequences = number()?.max(1),
                "--every" => options.every = Duration::from_secs(number()?.max(1) as u64),
                "--oc-mirror" => options.program = Some(PathBuf::from(value)),
                "--keep" => options.dir = PathBuf::from(value),
                _ => return Err(format!("unknown option {name}\n\n{HELP}")),
            }
        }
        options.sequences = options.sequences.min(options.images);
        Ok(options)
    }
}

/// Runs it, and prints a line for each sequence.
pub(crate) fn soak(args: &[&str]) -> Outcome {
    if let ["--help" | "-h"] = args {
        print!("{HELP}");
        return Ok(());
    }
    let options = Options::parse(args)?;
    let program = crate::bench::program(options.program.as_ref(), &[Need::Registry])?;
    let set = Set::have(&options.dir, Family::Little, options.images, "soak")?;
    let dir = options.dir.join("soak");
    if dir.exists() {
        fs::remove_dir_all(&dir).map_err(|e| format!("`{}` cannot be emptied: {e}", dir.display()))?;
    }
    fs::create_dir_all(&dir).map_err(|e| format!("`{}` cannot be made: {e}", dir.display()))?;
    let places = Places { program, dir: dir.clone(), source: steady_address()? };
    let source = Registry::start(&dir, &set.storage, &places.source, false)?;
    let flaky = Flaky {
        dir: dir.clone(),
        storage: dir.join("target"),
        host: free_address()?,
        running: Mutex::default(),
        kills: AtomicU64::new(0),
    };
    flaky.start()?;
    let over = AtomicBool::new(false);
    let outcome = thread::scope(|scope| {
        scope.spawn(|| flaky.kill_every(options.every, &over));
        let outcome = sequences(&options, &places, &set, &flaky);
        over.store(true, Ordering::Relaxed);
        outcome
    });
    outcome?;
    step("what the target holds", || arrived(&places, &set, &flaky))?;
    println!("    the registry was killed {} times", flaky.kills.load(Ordering::Relaxed));
    drop((source, flaky));
    fs::remove_dir_all(&dir).map_err(|e| format!("`{}` cannot be removed: {e}", dir.display()))
}

/// A registry that does not live long.
struct Flaky {
    dir: PathBuf,
    storage: PathBuf,
    host: String,
    running: Mutex<Option<Registry>>,
    kills: AtomicU64,
}

impl Flaky {
    fn start(&self) -> Outcome {
        let mut running = self.running.lock().map_err(|e| e.to_string())?;
        // The one before is gone before its address is used again.
        drop(running.take());
        *running = Some(Registry::start(&self.dir, &self.storage, &self.host, false)?);
        Ok(())
    }

    fn kill_every(&self, every: Duration, over: &AtomicBool) {
        let mut since = Instant::now();
        while !over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(200));
            if since.elapsed() >= every {
                since = Instant::now();
                self.kills.fetch_add(1, Ordering::Relaxed);
                if let Err(error) = self.start() {
                    println!("    the registry does not come back: {error}");
                }
            }
        }
    }
}

fn sequences(options: &Options, places: &Places, set: &Set, flaky: &Flaky) -> Outcome {
    let stick = places.dir.join("stick");
    println!("    sequence  images  to disk      peak  published twice by attempts      peak");
    let mut most = 0;
    for sequence in 1..=options.sequences {
        let part = set.first(options.images * sequence / options.sequences, "part");
        places.prepare(&part)?;
        let made = Usage::of_all(places.alone(places.to_disk(&part, &stick)))?;
        let begun = Instant::now();
        let published = thread::scope(|scope| {
            let far = ["far-1", "far-2"].map(|far| {
                let workspace = places.dir.join(far);
                let stick = &stick;
                scope.spawn(move || publish(places, stick, &workspace, &flaky.host))
            });
            far.map(|publisher| publisher.join().unwrap_or_else(|_| Err("a publisher panicked".to_owned())))
        });
        let [one, two] = published;
        let (one, two) = (one?, two?);
        let memory = made.memory.max(one.memory).max(two.memory);
        most = most.max(memory);
        println!(
            "    {sequence:>8} {:>7} {:>7.1} s {:>5.1} MiB {:>13.1} s {:>10} {:>5.1} MiB",
            part.images.len(),
            made.wall,
            mib(made.memory),
            begun.elapsed().as_secs_f64(),
            format!("{} + {}", one.attempts, two.attempts),
            mib(one.memory.max(two.memory)),
        );
    }
    match most <= MEMORY {
        true => Ok(()),
        false => Err(format!("a run needed {:.1} MiB, and {:.1} are the most", mib(most), mib(MEMORY))),
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// What one publisher needed.
struct Published {
    attempts: u32,
    memory: u64,
}

/// Publishes until it succeeds.
fn publish(places: &Places, stick: &Path, workspace: &Path, host: &str) -> Result<Published, String> {
    let mut last = String::new();
    for attempts in 1..=ATTEMPTS {
        let run = places.alone(places.publish(stick, workspace, host));
        match Usage::of_all(run) {
            Ok(usage) => return Ok(Published { attempts, memory: usage.memory }),
            Err(error) => last = error,
        }
        thread::sleep(Duration::from_secs(1));
    }
    Err(format!("not published in {ATTEMPTS} attempts: {last}"))
}

/// Looks at what is there: by the program, by tag, and every byte on the registry's disk.
fn arrived(places: &Places, set: &Set, flaky: &Flaky) -> Outcome {
    flaky.start()?;
    let mut check = places.alone(places.check(&flaky.host)).into_command();
    let status = check.stdout(Stdio::null()).status().map_err(|e| format!("it cannot be checked: {e}"))?;
    if !status.success() {
        return Err(format!("`oc-mirror check` ended with {status}"));
    }
    set.verify(&flaky.host)?;
    let (mut there, mut wrong) = (0, Vec::new());
    let blobs = flaky.storage.join("docker/registry/v2/blobs/sha256");
    for entry in
        listed(&blobs)?.iter().map(|dir| listed(dir)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten()
    {
        let bytes = fs::read(entry.join("data")).map_err(|e| format!("`{}`: {e}", entry.display()))?;
        let hex = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        there += 1;
        if entry.file_name().is_none_or(|name| name.to_string_lossy() != hex) {
            wrong.push(entry);
        }
    }
    let wanted =
        set.blobs().into_iter().map(|(_, blob)| blob).chain(set.images.iter().map(|image| &image.manifest));
    let missing =
        wanted.filter(|blob| !blobs.join(&blob.digest[7..9]).join(&blob.digest[7..]).is_dir()).count();
    println!(
        "    {} images under their tags, {there} blobs and manifests with the digests that they are named by",
        set.images.len()
    );
    match wrong.is_empty() && missing == 0 {
        true => Ok(()),
        false => Err(format!("{missing} are missing, and {} are not what they are named by", wrong.len())),
    }
}

fn listed(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |e: std::io::Error| format!("`{}` cannot be listed: {e}", dir.display());
    fs::read_dir(dir).map_err(failed)?.map(|entry| Ok(entry.map_err(failed)?.path())).collect()
}
