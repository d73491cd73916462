//! Disks that are too small, or get full: nothing that was finished is lost, and nothing that is not is taken for finished.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use oc_mirror_testkit::{Action, FaultRegistry, Image, ImageBuilder, Registry, Rule};

use crate::lab::{Lab, Run, context, join, names_in, run};

/// A file system in memory with a size, in namespaces of its own, so that nobody needs to be root.
pub(crate) struct SmallDisk {
    shell: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    at: PathBuf,
}

impl SmallDisk {
    /// Makes one of this many KiB; nothing, and a word about it, where the kernel does not allow that.
    #[allow(clippy::print_stderr)]
    pub(crate) fn new(directory: &Path, kib: u64) -> Option<Self> {
        fs::create_dir_all(directory).expect("the test's own directory is writable");
        let script = r#"mount -t tmpfs -o "size=$1k" tmpfs "$2" && echo done || exit 1
            while read -r size; do mount -o "remount,size=${size}k" tmpfs "$2" && echo done; done"#;
        let mut shell = Command::new("unshare")
            .args(["-rm", "sh", "-c", script, "sh", &kib.to_string()])
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let orders = shell.stdin.take().expect("piped");
        let mut answers = BufReader::new(shell.stdout.take().expect("piped"));
        let mut line = String::new();
        let is_there = answers.read_line(&mut line).is_ok() && line == "done\n";
        let at = PathBuf::from(format!("/proc/{}/root{}", shell.id(), directory.display()));
        let disk = Self { shell, orders, answers, at };
        // What is mounted there can be reached from here as well.
        if !is_there || fs::read_dir(&disk.at).is_err() {
            eprintln!("skipped: no file system can be mounted here");
            return None;
        }
        Some(disk)
    }

    fn resize(&mut self, kib: u64) {
        writeln!(self.orders, "{kib}").expect("the shell reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the shell answers");
        assert_eq!(line, "done\n", "remounted");
    }

    pub(crate) fn file(&self) -> String {
        format!("file://{}", self.at.display())
    }

    /// Fills it up, but for so many bytes.
    fn fill(&self, but: u64) {
        let mut filler = fs::File::create(self.at.join("filler")).expect("made");
        let piece = [0_u8; 4096];
        while filler.write_all(&piece).is_ok() {}
        let len = filler.metadata().expect("there").len();
        filler.set_len(len.saturating_sub(but)).expect("shorter");
    }

    fn make_room(&self) {
        fs::remove_file(self.at.join("filler")).expect("it is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Gone already if it could not mount anything.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

fn images() -> Vec<Image> {
    let base = ImageBuilder::new().random_layer(100, 300_000).build();
    (0..6).map(|n| ImageBuilder::new().from(&base).random_layer(n, 200_000).build()).collect()
}

fn name(number: usize) -> String {
    format!("team/app-{number}")
}

/// Two registries, with faults before the source if need be, and a configuration of all images.
fn filled() -> (Lab, FaultRegistry) {
    let source = Registry::start();
    images().iter().enumerate().for_each(|(n, image)| source.push(image, &name(n), "v1"));
    let faulty = FaultRegistry::before(&source);
    let lab = Lab { context: context(), source, target: Registry::start() };
    lab.configure(&(0..6).map(|n| format!("{}/{}:v1", faulty.host(), name(n))).collect::<Vec<_>>());
    (lab, faulty)
}

fn layers_fetched(faulty: &FaultRegistry) -> usize {
    let layers: Vec<String> = images().iter().flat_map(Image::layer_digests).collect();
    let is_layer = |path: &str| layers.iter().any(|layer| path.ends_with(layer));
    faulty.requests().iter().filter(|r| r.method == "GET" && r.status == 200 && is_layer(&r.path)).count()
}

/// Fails the test unless a run that failed says that it is about the disk, and what to do.
#[track_caller]
fn assert_told(run: &Run) {
    let shown = run.output.snapshot();
    assert_eq!(run.output.code, 1, "a full disk has code 1\n{shown}");
    let said = run.output.raw_stderr.to_lowercase();
    let words = ["bytes are needed", "disk is full", "no space left"];
    assert!(words.iter().any(|word| said.contains(word)), "it is said\n{shown}");
    assert!(said.contains("hint: "), "with a hint\n{shown}");
    assert!(!said.contains("panicked"), "{shown}");
}

/// Fails the test unless whatever looks like an imageset is one that can be published.
fn assert_sealed_is_whole(lab: &Lab, disk: &Path) {
    if names_in(disk).iter().any(|name| name == "mirror_seq1_000000.tar") {
        let to = format!("docker://{}", lab.target.host());
        let (from, workspace) = (format!("file://{}", disk.display()), lab.file("look"));
        run(&lab.context, &["--from", &from, "--workspace", &workspace, "--dry-run", &to]).expect(0);
    }
}

fn assert_all_published(lab: &Lab) {
    images().iter().enumerate().for_each(|(n, image)| lab.assert_published(image, &name(n), "v1"));
}

#[test]
fn too_small_a_disk_is_refused_before_anything_is_fetched() {
    let (lab, faulty) = filled();
    let Some(mut disk) = SmallDisk::new(&lab.path("small"), 1000) else { return };
    let run = lab.run(&["-c", "isc.yaml", &disk.file()]);
    assert_told(&run);
    run.assert_refused(1, "bytes are needed for the imageset, reports and records in");
    assert_eq!(layers_fetched(&faulty), 0, "nothing is fetched");
    let names = names_in(&disk.at);
    assert_eq!(names, ["working-dir"], "nothing is written");
    // A workspace elsewhere has its own disk, and an imageset its own.
    lab.run(&["-c", "isc.yaml", &disk.file(), "--workspace", &lab.file("w")])
        .assert_refused(1, "for the imageset in");
    disk.resize(20_000);
    lab.run(&["-c", "isc.yaml", &disk.file()]).expect(0);
    assert_eq!(layers_fetched(&faulty), 7, "each layer once");
}

#[test]
fn a_disk_of_any_size_loses_nothing() {
    let (lab, _source) = filled();
    // From one that holds nothing to one that holds nearly all.
    for kib in [4, 64, 330, 1500, 1750, 1900] {
        let Some(mut disk) = SmallDisk::new(&lab.path(&format!("small-{kib}")), kib) else { return };
        let made = lab.run(&["-c", "isc.yaml", &disk.file()]);
        if made.output.code != 0 {
            assert_told(&made);
        }
        assert_sealed_is_whole(&lab, &disk.at);
        disk.resize(20_000);
        lab.run(&["-c", "isc.yaml", &disk.file()]).expect(0);
        assert!(names_in(&disk.at).contains(&"mirror_seq1_000000.tar".to_owned()));
        assert_sealed_is_whole(&lab, &disk.at);
    }
}

#[test]
fn somebody_else_fills_the_disk_in_the_middle() {
    let (lab, faulty) = filled();
    let layer = images()[5].layer_digests()[1].clone();
    for left in [0, 4096, 40_000] {
        let directory = lab.path(&format!("small-{left}"));
        let Some(disk) = SmallDisk::new(&directory, 20_000) else { return };
        faulty.clear_requests();
        faulty.rule(Rule::on("GET", &layer).then(Action::Delay(Duration::from_secs(2))));
        let args = ["--src-tls-verify=false", "-c", "isc.yaml", &disk.file()];
        let child = lab.context.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.expect("the program starts");
        let deadline = Instant::now() + Duration::from_secs(60);
        while faulty.count("GET", &layer) == 0 {
            assert!(Instant::now() < deadline, "the run never got that far");
            std::thread::sleep(Duration::from_millis(5));
        }
        disk.fill(left);
        let output = child.wait_with_output().expect("a child can be waited for");
        let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert!(!said.contains("panicked"), "{said}");
        if !output.status.success() {
            assert!(said.contains("hint: ") && output.status.code() == Some(1), "{said}");
        }
        assert_sealed_is_whole(&lab, &disk.at);
        faulty.clear_rules();
        disk.make_room();
        lab.run(&["-c", "isc.yaml", &disk.file()]).expect(0);
        assert_sealed_is_whole(&lab, &disk.at);
        // The record is there, and knows what was made.
        lab.run(&["-c", "isc.yaml", &disk.file(), "--since", "1"]).expect(0);
    }
}

#[test]
fn a_plan_that_changes_takes_hardly_more_room() {
    let (lab, faulty) = filled();
    let Some(mut disk) = SmallDisk::new(&lab.path("small"), 20_000) else { return };
    let layer = images()[5].layer_digests()[1].clone();
    faulty.rule(Rule::on("GET", &layer).then(Action::status(404)));
    let make = |policy: &str| {
        let disk = disk.file();
        lab.run(&["-c", "isc.yaml", &disk, "--retry-times", "0", "--on-error", policy])
    };
    make("finish").expect(8);
    let taken: u64 = fs::read_dir(&disk.at)
        .expect("there")
        .map(|entry| entry.expect("readable").metadata().expect("there"))
        .filter(|metadata| metadata.is_file())
        .map(|metadata| metadata.blocks() * 512)
        .sum();
    let again = make("quarantine");
    drop(again.expect(8));
    assert!(taken > 1_300_000, "{taken} bytes were fetched");
    assert_eq!(layers_fetched(&faulty), 6, "none of them twice");
    // Both plans at once would not fit into this.
    let Some(other) = SmallDisk::new(&lab.path("other"), 2300) else { return };
    faulty.clear_requests();
    for (policy, code) in [("finish", 8), ("quarantine", 8)] {
        lab.run(&["-c", "isc.yaml", &other.file(), "--retry-times", "0", "--on-error", policy]).expect(code);
    }
    assert_eq!(layers_fetched(&faulty), 6, "none of them twice");
    assert_sealed_is_whole(&lab, &other.at);
    disk.resize(30_000);
}

#[test]
fn the_far_side_needs_little_and_says_so_before_anything_is_sent() {
    let (lab, _source) = filled();
    lab.make(&[]).expect(0);
    let to = format!("docker://{}", lab.target.host());
    let from = lab.file("disk");
    for kib in [4, 100, 260] {
        let Some(mut disk) = SmallDisk::new(&lab.path(&format!("far-{kib}")), kib) else { return };
        lab.target.clear_log();
        let workspace = disk.file();
        let args = ["--from", &from, "--workspace", &workspace, &to];
        let run = lab.run(&args);
        assert_told(&run);
        assert_eq!(lab.writes_to_target().len(), 0, "nothing is sent\n{}", run.output.snapshot());
        disk.resize(2000);
        lab.run(&join(&args, &[])).expect(0);
        assert_all_published(&lab);
        assert!(names_in(&disk.at.join("working-dir/results")).contains(&"result.json".to_owned()));
        lab.target.clear_log();
        lab.run(&args).expect(0);
    }
}

#[test]
fn somebody_else_fills_the_disk_of_the_far_side_in_the_middle() {
    let (lab, _source) = filled();
    lab.make(&[]).expect(0);
    let Some(disk) = SmallDisk::new(&lab.path("far"), 4000) else { return };
    let slow = FaultRegistry::before(&lab.target);
    slow.rule(Rule::on("PUT", "team/app-5/manifests/").then(Action::Delay(Duration::from_secs(2))));
    let to = format!("docker://{}", slow.host());
    let (from, workspace) = (lab.file("disk"), disk.file());
    let args = ["--dest-tls-verify=false", "--from", &from, "--workspace", &workspace, &to];
    let child = lab.context.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("the program starts");
    let deadline = Instant::now() + Duration::from_secs(60);
    while slow.count("PUT", "team/app-5/manifests/") == 0 {
        assert!(Instant::now() < deadline, "the run never got that far");
        std::thread::sleep(Duration::from_millis(5));
    }
    disk.fill(0);
    let output = child.wait_with_output().expect("a child can be waited for");
    let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
    assert!(
        output.status.code() == Some(1) && said.contains("hint: ") && !said.contains("panicked"),
        "{said}"
    );
    disk.make_room();
    slow.clear_rules();
    lab.run(&args[1..]).expect(0);
    assert_all_published(&lab);
    let resources = names_in(&disk.at.join("working-dir/cluster-resources"));
    assert!(resources.iter().any(|name| name.starts_with("itms")), "{resources:?}");
}
