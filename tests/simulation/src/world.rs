//! One seed: a world with a connected side, a stick and a far side, disturbed until it is left alone, and held to what
//! the same world comes to undisturbed.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use oc_mirror_engine::transfer::Parallelism;
use oc_mirror_engine::workflow::WorkflowError;
use oc_mirror_engine::{fsx, net};
use oc_mirror_model::report::RunReport;

use crate::check::{self, Broken, Chunks};
use crate::content::{Release, releases};
use crate::disk::{Crash, DiskFaults, SharedDisk, SimDisk};
use crate::engine::Engine;
use crate::random::Random;
use crate::wire::{SharedWire, SimWire, WireFaults};

/// No step takes longer, on the simulated clock, unless it never ends.
const PATIENCE: Duration = Duration::from_secs(48 * 3600);

/// So many attempts at a step are disturbed at most; from then on nothing goes wrong, and it has to succeed.
const DISTURBED: u64 = 8;

/// Left alone, a step may need this many attempts: one to find out what is wrong, and one to mend it.
const LEFT_ALONE: u64 = 2;

/// What a seed decides before anything happens.
#[derive(Debug)]
struct Plan {
    releases: Vec<Release>,
    parallelism: Parallelism,
    limit: u64,
    direct: bool,
    /// Whether two publish at the same time, each from a workspace of its own.
    race: bool,
}

impl Plan {
    fn of(seed: u64) -> Self {
        let mut random = Random::about(seed, "plan", 0);
        let count = random.within(1, 3) as usize;
        Self {
            releases: releases(seed, count),
            parallelism: Parallelism {
                images: random.within(1, 4) as usize,
                blobs: random.within(1, 5) as usize,
            },
            limit: [150_000, 400_000, 1 << 30][random.below(3) as usize],
            direct: random.chance(250),
            race: random.chance(250),
        }
    }
}

/// What a run of a seed came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Attempts that were made.
    pub attempts: u64,
    /// Of these, killed.
    pub kills: u64,
    /// Of these, ended by a loss of power.
    pub losses: u64,
    /// Of these, failed.
    pub failures: u64,
    /// Calls of the disk.
    pub calls: u64,
    /// Requests.
    pub requests: u64,
}

/// A step as it went undisturbed.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    calls: u64,
    requests: u64,
}

/// What an undisturbed world comes to.
#[derive(Default)]
struct Ideal {
    costs: Vec<Cost>,
    imagesets: BTreeMap<u64, Chunks>,
    images: BTreeMap<String, String>,
}

/// What is done one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Makes the imageset of a release.
    Make(usize),
    /// Publishes all imagesets, the last of which is of this release.
    Publish(usize),
    /// Mirrors a release directly.
    Direct(usize),
}

impl Step {
    fn release(self) -> usize {
        match self {
            Self::Make(number) | Self::Publish(number) | Self::Direct(number) => number,
        }
    }
}

struct World {
    disk: SharedDisk,
    wire: SharedWire,
    engine: Engine,
    dir: PathBuf,
    /// Imagesets that were reported as made.
    acknowledged: BTreeMap<u64, Chunks>,
    account: Account,
}

/// Runs a seed in a directory, which is emptied before.
pub fn run(seed: u64, dir: &Path, trace: bool) -> (Result<Account, Broken>, Vec<String>) {
    let plan = Plan::of(seed);
    let ideal = match World::new(&dir.join("ideal"), &plan).and_then(|world| world.undisturbed(&plan)) {
        Ok(ideal) => ideal,
        Err(what) => return (Err(format!("even undisturbed: {what}")), Vec::new()),
    };
    let mut world = match World::new(&dir.join("real"), &plan) {
        Ok(world) => world,
        Err(what) => return (Err(what), Vec::new()),
    };
    if trace {
        world.disk.record();
    }
    let outcome = world.disturbed(seed, &plan, &ideal);
    let lines = world.disk.take_trace();
    (outcome.map(|()| world.account), lines)
}

impl World {
    fn new(dir: &Path, plan: &Plan) -> Result<Self, Broken> {
        let failed = |e: std::io::Error| format!("`{}` cannot be used: {e}", dir.display());
        if dir.exists() {
            std::fs::remove_dir_all(dir).map_err(failed)?;
        }
        std::fs::create_dir_all(dir).map_err(failed)?;
        let disk = Arc::new(SimDisk::new(dir).map_err(failed)?);
        let wire = Arc::new(SimWire::new(disk.clone()));
        fsx::simulation::put(Some(disk.clone()));
        net::simulation::put(Some(wire.clone()));
        let engine = Engine::new(disk.clone(), plan.parallelism, plan.limit);
        let dir = disk.dir();
        for side in ["connected", "stick", "far", "far-2"] {
            std::fs::create_dir(dir.join(side)).map_err(failed)?;
        }
        Ok(Self { disk, wire, engine, dir, acknowledged: BTreeMap::new(), account: Account::default() })
    }

    fn stick(&self) -> PathBuf {
        self.dir.join("stick")
    }

    /// Makes one attempt at a step. Nothing comes back of one that was ended.
    fn attempt(
        &mut self,
        step: Step,
        plan: &Plan,
    ) -> Result<Option<Result<RunReport, WorkflowError>>, Broken> {
        let (engine, dir, stick) = (&self.engine, &self.dir, self.stick());
        let wanted = &plan.releases[step.release()].wanted;
        let outcome = self.until_dead(async {
            match step {
                Step::Publish(number) if plan.race => {
                    let far = [dir.join("far"), dir.join("far-2")];
                    let (one, other) = futures_util::join!(
                        engine.publish(number, &far[0], &stick),
                        engine.publish(number, &far[1], &stick)
                    );
                    // Who loses is told so, and has to come again.
                    if succeeded(&one).is_ok() { other } else { one }
                }
                Step::Make(number) => engine.to_disk(number, wanted, &dir.join("connected"), &stick).await,
                Step::Publish(number) => engine.publish(number, &dir.join("far"), &stick).await,
                Step::Direct(number) => engine.direct(number, wanted, &dir.join("connected")).await,
            }
        })?;
        self.account.attempts += 1;
        self.account.calls += self.disk.calls();
        self.account.requests += self.wire.requests();
        Ok(outcome)
    }

    fn until_dead<T>(&self, work: impl Future<Output = T>) -> Result<Option<T>, Broken> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).max_blocking_threads(1).build();
        let runtime = runtime.map_err(|e| format!("no runtime: {e}"))?;
        let outcome = runtime.block_on(async {
            let mut dead = pin!(self.disk.dead.notified());
            dead.as_mut().enable();
            tokio::select! {
                biased;
                () = dead => Ok(None),
                done = tokio::time::timeout(PATIENCE, work) => match done {
                    Ok(done) => Ok((!self.disk.is_dead()).then_some(done)),
                    Err(_) => Err("it never ends".to_owned()),
                },
            }
        });
        // Waits for what is still at work on other threads.
        drop(runtime);
        outcome
    }

    fn undisturbed(mut self, plan: &Plan) -> Result<Ideal, Broken> {
        let mut ideal = Ideal::default();
        for step in steps(plan) {
            self.show(&plan.releases[step.release()]);
            self.disk.begin(DiskFaults::default());
            self.wire.begin(WireFaults::default());
            let mut outcome = self.attempt(step, plan)?.ok_or("it was ended")?;
            if plan.race && succeeded(&outcome).is_err() {
                outcome = self.attempt(step, plan)?.ok_or("it was ended")?;
            }
            succeeded(&outcome).map_err(|why| format!("{step:?}: {why}"))?;
            ideal.costs.push(Cost { calls: self.disk.calls(), requests: self.wire.requests() });
            self.check(step, plan)?;
        }
        ideal.imagesets = check::imagesets(&self.stick());
        ideal.images = self.images();
        Ok(ideal)
    }

    /// Makes the source hold what it holds at a release.
    fn show(&self, release: &Release) {
        self.wire.with(|source, _| source.repositories.clone_from(&release.repositories));
    }

    fn images(&self) -> BTreeMap<String, String> {
        self.wire.with(|_, target| check::images(&target.repositories))
    }

    fn disturbed(&mut self, seed: u64, plan: &Plan, ideal: &Ideal) -> Result<(), Broken> {
        for (number, step) in steps(plan).into_iter().enumerate() {
            self.show(&plan.releases[step.release()]);
            self.step(seed, number as u64, step, plan, ideal.costs[number])
                .map_err(|what| format!("step {number}, {step:?}: {what}"))?;
        }
        let made = check::imagesets(&self.stick());
        if made != ideal.imagesets {
            return Err("the imagesets are not those of an undisturbed run".to_owned());
        }
        if self.images() != ideal.images {
            return Err("the target does not hold what it holds after an undisturbed run".to_owned());
        }
        Ok(())
    }

    /// Attempts a step until it succeeds.
    fn step(&mut self, seed: u64, number: u64, step: Step, plan: &Plan, cost: Cost) -> Result<(), Broken> {
        let mut random = Random::about(seed, "step", number);
        let disturbed = random.below(DISTURBED + 1);
        for attempt in 0..disturbed + LEFT_ALONE {
            let is_disturbed = attempt < disturbed;
            let (disk, wire) = match is_disturbed {
                true => faults(&mut random, cost),
                false => Default::default(),
            };
            self.disk.note(format!("== {step:?} attempt {attempt}: {disk:?} {wire:?}"));
            self.disk.begin(disk);
            self.wire.begin(wire);
            let outcome = self.attempt(step, plan)?;
            let at = |what| format!("after attempt {attempt}: {what}");
            match outcome {
                None => {
                    let crash = if random.chance(500) { Crash::Kill } else { Crash::Power };
                    self.crash(crash, &mut random)?;
                }
                Some(outcome) => {
                    let outcome = succeeded(&outcome);
                    self.disk.note(format!("== {outcome:?}"));
                    let is_done = outcome.is_ok();
                    if is_done && let Step::Make(_) = step {
                        self.acknowledge().map_err(at)?;
                    }
                    self.account.failures += u64::from(!is_done);
                    // What was reported as done is on the disk.
                    if random.chance(300) {
                        self.crash(Crash::Power, &mut random)?;
                    }
                    if is_done {
                        self.check(step, plan).map_err(at)?;
                        return self.arrived(step, plan).map_err(at);
                    }
                    if attempt + 1 == disturbed + LEFT_ALONE {
                        return Err(format!("left alone, it still fails: {}", outcome.unwrap_err()));
                    }
                }
            }
            self.check(step, plan).map_err(at)?;
            if step != Step::Make(step.release()) && random.chance(80) {
                self.damage(step, plan, &mut random).map_err(at)?;
            }
        }
        Err("it is ended though nobody ends it".to_owned())
    }

    fn crash(&mut self, crash: Crash, random: &mut Random) -> Result<(), Broken> {
        self.disk.note(format!("== {crash:?}"));
        match crash {
            Crash::Kill => self.account.kills += 1,
            Crash::Power => {
                self.account.losses += 1;
                self.disk.lose_power(random).map_err(|e| format!("the disk cannot be taken back: {e}"))?;
            }
        }
        Ok(())
    }

    /// Publishes from a stick on which one bit is wrong, and mends the stick.
    fn damage(&mut self, step: Step, plan: &Plan, random: &mut Random) -> Result<(), Broken> {
        let chunks: Vec<PathBuf> = std::fs::read_dir(self.stick())
            .map_err(|e| e.to_string())?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "tar"))
            .collect();
        if chunks.is_empty() {
            return Ok(());
        }
        let mut chunks = chunks;
        chunks.sort();
        let chunk = &chunks[random.below(chunks.len() as u64) as usize];
        let whole = std::fs::read(chunk).map_err(|e| e.to_string())?;
        let mut flipped = whole.clone();
        let at = random.below(flipped.len() as u64) as usize;
        flipped[at] ^= 1 << random.below(8);
        self.disk.note(format!("== a bit of byte {at} of {} is wrong", chunk.display()));
        std::fs::write(chunk, &flipped).map_err(|e| e.to_string())?;
        self.disk.begin(DiskFaults::default());
        self.wire.begin(WireFaults::default());
        let outcome = self.attempt(step, plan)?.ok_or("it was ended")?;
        self.disk.note(format!("== {:?}", succeeded(&outcome)));
        std::fs::write(chunk, &whole).map_err(|e| e.to_string())?;
        self.wire.with(|_, target| check::registry(&target.repositories))
    }

    /// Keeps in mind what was reported as made.
    fn acknowledge(&mut self) -> Result<(), Broken> {
        let made = check::imagesets(&self.stick());
        let recorded = check::recorded(&self.dir.join("connected"))?;
        if recorded != made.keys().next_back().copied() {
            return Err(format!("imagesets {:?} are there, and the record says {recorded:?}", made.keys()));
        }
        self.acknowledged = made;
        Ok(())
    }

    /// What must hold at any time.
    fn check(&self, step: Step, plan: &Plan) -> Result<(), Broken> {
        let made = check::imagesets(&self.stick());
        for (sequence, chunks) in &made {
            check::imageset(chunks).map_err(|what| format!("imageset {sequence} bears its name: {what}"))?;
        }
        for (sequence, chunks) in &self.acknowledged {
            match made.get(sequence) {
                Some(now) if now == chunks => {}
                Some(_) => return Err(format!("imageset {sequence} was reported as made, and has changed")),
                None => return Err(format!("imageset {sequence} was reported as made, and is lost")),
            }
        }
        if let Some(recorded) = check::recorded(&self.dir.join("connected"))?
            && !plan.direct
            && !(1..=recorded).all(|sequence| made.contains_key(&sequence))
        {
            return Err(format!("the record says {recorded}, and there are {:?}", made.keys()));
        }
        self.wire.with(|_, target| check::registry(&target.repositories))?;
        for (name, digest) in self.images() {
            let name = name.strip_prefix("mirror/").unwrap_or(&name);
            let known = plan.releases[..=step.release()].iter().any(|release| has(release, name, &digest));
            if !known {
                return Err(format!("`{name}` is {digest} at the target, which it never was at the source"));
            }
        }
        Ok(())
    }

    /// What must hold once a step has succeeded.
    fn arrived(&self, step: Step, plan: &Plan) -> Result<(), Broken> {
        let number = match step {
            Step::Make(_) => return Ok(()),
            Step::Publish(number) | Step::Direct(number) => number,
        };
        let release = &plan.releases[number];
        let images = self.images();
        for name in &release.wanted {
            match images.get(&format!("mirror/{name}")) {
                Some(digest) if has(release, name, digest) => {}
                Some(digest) => {
                    return Err(format!("`{name}` is {digest} at the target, which is not the newest"));
                }
                None => return Err(format!("`{name}` was reported as published, and is not there")),
            }
        }
        Ok(())
    }
}

fn has(release: &Release, image: &str, digest: &str) -> bool {
    let Some((name, tag)) = image.rsplit_once(':') else { return false };
    release.repositories.get(name).and_then(|r| r.tags.get(tag)).is_some_and(|found| found == digest)
}

fn steps(plan: &Plan) -> Vec<Step> {
    let count = plan.releases.len();
    match plan.direct {
        true => (0..count).map(Step::Direct).collect(),
        false => (0..count)
            // Some imagesets wait for the next one before they are published.
            .flat_map(|number| {
                let waits = number + 1 < count && plan.limit % 7 == number as u64 % 7;
                [Some(Step::Make(number)), (!waits).then_some(Step::Publish(number))]
            })
            .flatten()
            .collect(),
    }
}

/// What goes wrong in one attempt, at a step that takes so much undisturbed.
fn faults(random: &mut Random, cost: Cost) -> (DiskFaults, WireFaults) {
    let mut disk =
        DiskFaults { seed: random.draw(), names_apart: random.chance(500), ..DiskFaults::default() };
    let mut wire = WireFaults { seed: random.draw(), ..WireFaults::default() };
    let rate = |random: &mut Random| [0, 0, 5, 20, 80, 200][random.below(6) as usize];
    disk.failing = rate(random) / 4;
    wire.failing = rate(random);
    match random.below(10) {
        0..=3 => disk.crash_at = Some(random.within(1, cost.calls.max(1))),
        4..=6 => {
            wire.crash_at = Some(random.within(1, cost.requests.max(1)));
            wire.crash_after = random.chance(500);
        }
        7 => disk.full_from = Some(random.within(1, cost.calls.max(1))),
        _ => {}
    }
    (disk, wire)
}

fn succeeded(outcome: &Result<RunReport, WorkflowError>) -> Result<(), String> {
    match outcome {
        Ok(report) if report.failures.is_empty() => Ok(()),
        Ok(report) => Err(format!("{:?}", report.failures)),
        Err(error) => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(error);
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            Err(text)
        }
    }
}
