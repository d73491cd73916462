//! Killed at any moment, a run is completed by the same command, and nothing that was finished is done again.
//!
//! The moments are random; the seed is printed, and `OC_MIRROR_TEST_SEED` repeats it. `OC_MIRROR_TEST_KILLS=20` has so many of
//! them. `OC_MIRROR_TEST_SET=DIR` takes the images of a registry's storage, such as the one that `cargo xtask bench transfer`
//! keeps in `target/bench/transfer/shared/storage`, instead of a few small ones.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use oc_mirror_testkit::{Image, ImageBuilder, Registry, Skopeo};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::lab::{Chunks, Lab, UID, context, names_in, run};

/// How long any run may take.
const LIMIT: Duration = Duration::from_secs(600);
/// How many images are pulled by skopeo at the end; the parts of all are asked for.
const PULLED: usize = 2;

/// Random moments, the same for the same seed.
struct Moments(u64);

impl Moments {
    /// Starts from the seed of the environment, or from the clock, and says so.
    #[allow(clippy::print_stderr)]
    fn new() -> Self {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_micros() as u64);
        let seed = number("OC_MIRROR_TEST_SEED").unwrap_or_else(clock);
        eprintln!("OC_MIRROR_TEST_SEED={seed}");
        Self(seed)
    }

    /// Returns a moment within a time (SplitMix64).
    fn within(&mut self, time: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        time.mul_f64((mixed >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|e| panic!("{variable}={text}: {e}")))
}

/// Returns how many kills there are, where it is not said otherwise.
fn kills(default: u64) -> u64 {
    number("OC_MIRROR_TEST_KILLS").unwrap_or(default)
}

/// An image that is to arrive.
struct Wanted {
    repository: String,
    digest: String,
    blobs: Vec<String>,
}

/// Starts a registry with the images, and tells which there are.
fn source() -> (Registry, Vec<Wanted>) {
    let storage =
        std::env::var_os("OC_MIRROR_TEST_SET").map(|dir| oc_mirror_testkit::workspace_root().join(dir));
    let registry = match &storage {
        Some(dir) => Registry::builder().storage(dir).start(),
        None => Registry::start(),
    };
    if storage.is_none() {
        for (number, image) in IMAGES.iter().enumerate() {
            registry.push(image, &format!("team/app-{number:02}"), "v1");
        }
    }
    let tagged =
        registry.repositories().into_iter().filter(|name| registry.tags(name).iter().any(|tag| tag == "v1"));
    let wanted: Vec<Wanted> = tagged.map(|repository| wanted(&registry, repository)).collect();
    assert!(!wanted.is_empty(), "no image with the tag v1 in {storage:?}");
    (registry, wanted)
}

/// Small images on three bases.
static IMAGES: LazyLock<Vec<Image>> = LazyLock::new(|| {
    let base = |n: u64| ImageBuilder::new().random_layer(n, 1_000_000).random_layer(10 + n, 200_000).build();
    let bases = [base(0), base(1), base(2)];
    let image = |n: u64| {
        let own = ImageBuilder::new().from(&bases[n as usize % 3]);
        own.random_layer(100 + n, 20_000 + 9_000 * n as usize).random_layer(200 + n, 5_000).build()
    };
    (0..16).map(image).collect()
});

fn wanted(registry: &Registry, repository: String) -> Wanted {
    let accept = [("Accept", "application/vnd.oci.image.manifest.v1+json")];
    let answer = registry.request("GET", &format!("/v2/{repository}/manifests/v1"), &accept);
    let manifest: Value = serde_json::from_slice(&answer.body).expect("a manifest is JSON");
    let layers = manifest["layers"].as_array().expect("an image has layers");
    let digests = std::iter::once(&manifest["config"]).chain(layers).map(|part| part["digest"].as_str());
    let blobs = digests.map(|digest| digest.expect("a descriptor has a digest").to_owned()).collect();
    Wanted { repository, digest: oc_mirror_testkit::sha256(&answer.body), blobs }
}

/// Starts a source, and a place to run the program in that is configured for all its images.
fn lab() -> (Lab, Vec<Wanted>) {
    let (source, wanted) = source();
    let context = context().env("SOURCE_DATE_EPOCH", "1700000000");
    let lab = Lab { context, source, target: Registry::start() };
    let names: Vec<String> =
        wanted.iter().map(|image| lab.source.reference(&image.repository, "v1")).collect();
    lab.configure(&names);
    (lab, wanted)
}

/// Runs the program undisturbed, for its chunks and for the time it takes.
fn undisturbed(lab: &Lab) -> Duration {
    // Compiles the plugins, where that has not been done yet.
    lab.context.run(&["debug", "startup"]).expect_code(0);
    let start = Instant::now();
    lab.make_in("whole", &["--uid", UID]).expect(0);
    start.elapsed()
}

/// A run in the background; ended with its value.
struct Running(Child);

impl Running {
    fn start(lab: &Lab, args: &[&str]) -> Self {
        let args = [&["--src-tls-verify=false", "--dest-tls-verify=false"], args].concat();
        let mut command: Command = lab.context.command(&args);
        let log = fs::File::create(lab.path("run.log")).expect("the test's own directory is writable");
        Self(command.stdout(Stdio::null()).stderr(log).spawn().expect("the program starts"))
    }

    /// Waits for a moment; tells whether the program still runs then.
    fn reaches(&mut self, moment: Duration) -> bool {
        let end = Instant::now() + moment;
        while Instant::now() < end {
            if self.0.try_wait().expect("a child can be waited for").is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.0.try_wait().expect("a child can be waited for").is_none()
    }

    fn signal(&self, signal: Signal) {
        // It may have ended since it was looked at.
        let _ = kill_process(Pid::from_child(&self.0), signal);
    }

    /// Waits for its end and returns the exit code; nothing when a signal ended it.
    fn end(&mut self) -> Option<i32> {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.0.try_wait().expect("a child can be waited for") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "the run does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already in a test that went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the digests that journals say are finished.
fn journalled(directory: &Path) -> BTreeSet<String> {
    let journals = names_in(directory).into_iter().filter(|name| name.ends_with(".journal"));
    let text: String =
        journals.map(|name| fs::read_to_string(directory.join(name)).unwrap_or_default()).collect();
    // What is behind the last end of a line has been torn.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let done = whole.lines().filter(|line| line.starts_with("done ") || line.starts_with("written "));
    done.filter_map(|line| line.split(' ').find(|word| word.starts_with("sha256:")))
        .map(str::to_owned)
        .collect()
}

/// Returns the digests of all blobs that were fetched since the log was cleared.
fn fetched(registry: &Registry) -> BTreeSet<String> {
    let gets =
        registry.log().into_iter().filter(|line| line.method == "GET" && line.path.contains("/blobs/"));
    gets.filter_map(|line| line.path.rsplit_once("/blobs/").map(|(_, digest)| digest.to_owned())).collect()
}

/// Returns the digests of all blobs that were sent as a whole since the log was cleared.
fn sent(registry: &Registry) -> BTreeSet<String> {
    let puts = registry.log().into_iter().filter(|line| line.method == "PUT" && line.status == 201);
    let digest = |path: String| {
        path.split(['?', '&']).find_map(|part| part.strip_prefix("digest=")).map(str::to_owned)
    };
    puts.filter_map(|line| digest(line.path)).map(|digest| digest.replace("%3A", ":")).collect()
}

/// Fails unless two imagesets are the same, byte for byte.
#[track_caller]
fn assert_same(found: &Path, whole: &Path) {
    let (found, whole) = (Chunks::of(found, 1), Chunks::of(whole, 1));
    let names = |chunks: &Chunks| {
        chunks.files().iter().map(|p| p.file_name().map(ToOwned::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(names(&found), names(&whole));
    for (found, whole) in found.files().iter().zip(whole.files()) {
        assert!(same_bytes(found, whole), "{} differs from an undisturbed run's", found.display());
    }
}

fn same_bytes(one: &Path, other: &Path) -> bool {
    let open = |path: &Path| fs::File::open(path).expect("a chunk can be read");
    let (mut one, mut other) = (open(one), open(other));
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let read = one.read(&mut left).expect("a chunk can be read");
        if read == 0 {
            return other.read(&mut right).expect("a chunk can be read") == 0;
        }
        if other.read_exact(&mut right[..read]).is_err() || left[..read] != right[..read] {
            return false;
        }
    }
}

/// Begins to mirror to disk until a run has been interrupted at a random moment. A run that was faster does not count.
fn interrupted(
    lab: &Lab,
    moments: &mut Moments,
    mut span: Duration,
    signal: Signal,
) -> (PathBuf, Option<i32>) {
    loop {
        let directory = lab.path("disk");
        let _ = fs::remove_dir_all(&directory);
        let mut running = Running::start(lab, &["-c", "isc.yaml", &lab.file("disk"), "--uid", UID]);
        if running.reaches(moments.within(span)) {
            running.signal(signal);
            let code = running.end();
            if code != Some(0) {
                return (directory, code);
            }
        }
        span = span.mul_f64(0.8);
    }
}

/// Runs the program again and holds it to what it owes after an interruption.
fn assert_resumed(lab: &Lab, directory: &Path) {
    let finished = journalled(directory);
    lab.source.clear_log();
    lab.make(&["--uid", UID]).expect(0);
    let again: Vec<String> = fetched(&lab.source).intersection(&finished).cloned().collect();
    assert!(
        again.is_empty(),
        "{} of {} finished blobs are fetched again: {again:?}",
        again.len(),
        finished.len()
    );
    assert_same(directory, &lab.path("whole"));
    let left: Vec<String> = names_in(directory).into_iter().filter(|name| name.starts_with('.')).collect();
    assert!(left.is_empty(), "nothing is left over: {left:?}");
}

#[test]
fn a_killed_run_is_completed_by_the_next() {
    let (lab, _) = lab();
    let span = undisturbed(&lab);
    let mut moments = Moments::new();
    for _ in 0..kills(2) {
        let (directory, code) = interrupted(&lab, &mut moments, span, Signal::KILL);
        assert_eq!(code, None, "a signal ended it");
        assert_resumed(&lab, &directory);
    }
}

#[test]
fn a_run_that_is_killed_when_all_is_done_leaves_nothing() {
    let (lab, _) = lab();
    lab.make(&["--uid", UID]).expect(0);
    // Between the commit of the record and the end of the process there is only this.
    fs::write(lab.path("disk/.mirror.lock"), "process 4711 on host gone\n").expect("writable");
    let run = lab.make(&["--uid", UID]).expect(0);
    assert_eq!(run.outcomes(), [(1, "nothing new")]);
    assert!(!lab.path("disk/.mirror.lock").exists());
}

#[test]
fn a_run_that_is_killed_again_and_again_gets_there_in_the_end() {
    let (lab, _) = lab();
    let span = undisturbed(&lab);
    let mut moments = Moments::new();
    let (directory, _) = interrupted(&lab, &mut moments, span, Signal::KILL);
    for _ in 0..kills(2) {
        let finished = journalled(&directory);
        lab.source.clear_log();
        let mut running = Running::start(&lab, &["-c", "isc.yaml", &lab.file("disk"), "--uid", UID]);
        if running.reaches(moments.within(span)) {
            running.signal(Signal::KILL);
        }
        let code = running.end();
        assert!(fetched(&lab.source).is_disjoint(&finished), "a finished blob is fetched again");
        if code == Some(0) {
            break;
        }
    }
    assert_resumed(&lab, &directory);
}

#[test]
fn an_interrupted_run_is_completed_by_the_next() {
    let (lab, _) = lab();
    let span = undisturbed(&lab);
    let mut moments = Moments::new();
    for _ in 0..kills(1) {
        let (directory, _) = interrupted(&lab, &mut moments, span, Signal::INT);
        assert_resumed(&lab, &directory);
    }
}

#[test]
fn a_registry_that_is_killed_and_comes_back_is_waited_for() {
    let (mut lab, _) = lab();
    let span = undisturbed(&lab);
    let mut moments = Moments::new();
    for _ in 0..kills(1) {
        let _ = fs::remove_dir_all(lab.path("disk"));
        let mut running = Running::start(&lab, &["-c", "isc.yaml", &lab.file("disk"), "--uid", UID]);
        running.reaches(moments.within(span));
        lab.source.stop();
        std::thread::sleep(Duration::from_millis(300));
        lab.source.restart();
        let said = || fs::read_to_string(lab.path("run.log")).unwrap_or_default();
        assert_eq!(running.end(), Some(0), "{}", said());
        assert_same(&lab.path("disk"), &lab.path("whole"));
    }
}

#[test]
fn a_killed_publishing_is_completed_by_the_next() {
    let (mut lab, wanted) = lab();
    undisturbed(&lab);
    lab.source.stop();
    let publish = |lab: &Lab, to: &Registry| {
        let (from, to) = (lab.file("whole"), format!("docker://{}", to.host()));
        ["--from".to_owned(), from, "--workspace".to_owned(), lab.file("far"), to]
    };
    let start = Instant::now();
    let args = publish(&lab, &lab.target);
    run(&lab.context, &args).expect(0);
    let mut span = start.elapsed();
    let mut moments = Moments::new();
    let mut killed = 0;
    while killed < kills(1) {
        let target = Registry::start();
        let _ = fs::remove_dir_all(lab.path("far"));
        let args = publish(&lab, &target);
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut running = Running::start(&lab, &words);
        if !running.reaches(moments.within(span)) {
            span = span.mul_f64(0.8);
            continue;
        }
        running.signal(Signal::KILL);
        running.end();
        killed += 1;
        let before = sent(&target);
        target.clear_log();
        run(&lab.context, &args).expect(0);
        let again: Vec<String> = sent(&target).intersection(&before).cloned().collect();
        assert!(again.is_empty(), "{} of {} blobs are sent again: {again:?}", again.len(), before.len());
        assert_arrived(&target, &wanted);
    }
}

/// Fails unless a registry has all of the images.
#[track_caller]
fn assert_arrived(target: &Registry, wanted: &[Wanted]) {
    for image in wanted {
        let found = target.digest_of(&image.repository, "v1");
        assert_eq!(found.as_ref(), Some(&image.digest), "{}", image.repository);
        for blob in &image.blobs {
            assert!(target.has_blob(&image.repository, blob), "{blob} in {}", image.repository);
        }
    }
    let skopeo = Skopeo::new();
    for image in wanted.iter().step_by(wanted.len().div_ceil(PULLED)) {
        skopeo.pull(&format!("docker://{}", target.reference(&image.repository, "v1")));
    }
}
