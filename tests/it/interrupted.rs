//! A crash anywhere is repaired by running the same command again.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oc_mirror_testkit::{Action, FaultRegistry, Image, ImageBuilder, Registry, Rule, TestContext};

use crate::lab::{Chunks, Lab, UID, context, names_in, run};

/// Longer than any test: a request that waits so long is never answered.
const NEVER: Duration = Duration::from_secs(600);

fn images() -> Vec<Image> {
    let base = ImageBuilder::new().random_layer(100, 60_000).build();
    (0..8).map(|n| ImageBuilder::new().from(&base).random_layer(n, 20_000).build()).collect()
}

fn name(number: usize) -> String {
    format!("team/app-{number}")
}

fn fill(source: &Registry) -> Vec<String> {
    let push = |(number, image): (usize, &Image)| {
        source.push(image, &name(number), "v1");
        source.reference(&name(number), "v1")
    };
    images().iter().enumerate().map(push).collect()
}

/// Ends its child even if the test fails.
struct Running(Child);

impl Running {
    fn start(mut command: Command) -> Self {
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts"))
    }

    /// Kills the program, with no chance to clean up, once a condition holds.
    fn kill_when(mut self, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !condition() {
            assert!(Instant::now() < deadline, "the run never got that far");
            assert_eq!(
                self.0.try_wait().expect("a child can be waited for"),
                None,
                "the run ended by itself"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        self.0.kill().expect("a running child can be killed");
        self.0.wait().expect("a child can be waited for");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already in a test that went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(context: &TestContext, args: &[&str]) -> Command {
    context.command(&[&["--src-tls-verify=false", "--dest-tls-verify=false"], args].concat())
}

#[test]
fn a_publishing_that_was_killed_is_completed_by_the_next() {
    let mut lab = Lab::new();
    lab.configure(&fill(&lab.source));
    lab.make(&[]).expect(0);
    lab.source.stop();
    let slow = FaultRegistry::before(&lab.target);
    slow.rule(Rule::on("PUT", "/manifests/").after(3).then(Action::Delay(NEVER)));
    let to = format!("docker://{}", slow.host());
    let args = ["--from", &lab.file("disk"), &to];
    let running = Running::start(command(&lab.context, &args));
    running.kill_when(|| slow.count("PUT", "/manifests/") >= 3);

    let sent_before: Vec<String> = slow
        .requests()
        .into_iter()
        .filter(|r| r.method == "PUT" && r.status == 201)
        .map(|r| r.path)
        .collect();
    let repositories = lab.target.repositories();
    assert!(!repositories.contains(&"oc-mirror".to_owned()), "the record comes last: {repositories:?}");
    slow.clear_rules();
    slow.clear_requests();
    let again = lab.run(&args).expect(0);
    assert_eq!(again.outcomes(), [(1, "published")]);
    for (number, image) in images().iter().enumerate() {
        lab.assert_published(image, &name(number), "v1");
    }
    let layer = images()[0].layer_digests()[0].clone();
    let digest = |path: &str| path.contains(&layer) || path.contains(&layer.replace(':', "%3A"));
    if sent_before.iter().any(|path| digest(path)) {
        let sent = slow.requests().into_iter().filter(|r| r.method == "PUT" && digest(&r.path)).count();
        assert_eq!(sent, 0, "the shared layer is not sent again");
    }
}

#[test]
fn an_imageset_that_was_killed_in_the_making_is_completed_by_the_next() {
    let source = Registry::start();
    fill(&source);
    let slow = FaultRegistry::before(&source);
    let references: Vec<String> =
        (0..images().len()).map(|n| format!("{}/{}:v1", slow.host(), name(n))).collect();
    let lab =
        Lab { context: context().env("SOURCE_DATE_EPOCH", "1700000000"), source, target: Registry::start() };
    lab.configure(&references);
    let layers: Vec<String> = images().iter().flat_map(Image::layer_digests).collect();
    let any_layer = format!("/blobs/({})", layers.join("|"));
    slow.rule(Rule::on("GET", &any_layer).after(4).then(Action::Delay(NEVER)));
    let directory = lab.file("disk");
    let args = ["-c", "isc.yaml", &directory, "--uid", UID];
    let running = Running::start(command(&lab.context, &args));
    running.kill_when(|| slow.count("GET", &any_layer) >= 4);
    let names = names_in(&lab.path("disk"));
    assert!(!names.contains(&"mirror_seq1_000000.tar".to_owned()), "no chunk without its content: {names:?}");

    slow.clear_rules();
    let again = lab.run(&args).expect(0);
    assert_eq!(again.outcomes(), [(1, "made")]);
    assert_eq!(
        names_in(&lab.path("disk")),
        ["mirror_seq1_000000.tar", "working-dir"],
        "nothing is left over"
    );

    // As if nothing had happened.
    run(&lab.context, &["-c", "isc.yaml", &lab.file("whole"), "--uid", UID]).expect(0);
    let [resumed, whole] = ["disk", "whole"].map(|d| Chunks::of(&lab.path(d), 1).bytes());
    assert!(resumed == whole, "the chunks differ");
}

#[test]
fn a_full_disk_or_a_broken_source_leaves_no_half_imageset() {
    let source = Registry::start();
    fill(&source);
    let broken = FaultRegistry::before(&source);
    let layer = images()[3].layer_digests()[1].clone();
    broken.rule(Rule::on("GET", &layer).then(Action::DropAfter(1000)));
    let lab = Lab { context: context(), source, target: Registry::start() };
    let references: Vec<String> =
        (0..images().len()).map(|n| format!("{}/{}:v1", broken.host(), name(n))).collect();
    lab.configure(&references);
    let run = lab.make(&["--retry-times", "1", "--retry-delay", "1ms"]);
    assert_ne!(run.output.code, 0, "{}", run.output.snapshot());
    assert!(run.output.raw_stderr.contains(&name(3)) || run.output.raw_stdout.contains(&name(3)));
    broken.clear_rules();
    lab.make(&[]).expect(0);
    lab.publish("disk", &[]).expect(0);
    for (number, image) in images().iter().enumerate() {
        lab.assert_published(image, &name(number), "v1");
    }
}

#[test]
fn a_source_that_hangs_up_now_and_then_is_asked_again() {
    let source = Registry::start();
    fill(&source);
    let flaky = FaultRegistry::before(&source);
    flaky
        .rule(Rule::on("GET", "/manifests/").nth(2).then(Action::Hangup))
        .rule(Rule::on("GET", "/blobs/").nth(3).then(Action::DropAfter(700)))
        .rule(Rule::on("GET", "/blobs/").nth(5).then(Action::status(503)));
    let lab = Lab { context: context(), source, target: Registry::start() };
    let references: Vec<String> =
        (0..images().len()).map(|n| format!("{}/{}:v1", flaky.host(), name(n))).collect();
    lab.configure(&references);
    lab.make(&["--retry-delay", "1ms"]).expect(0);
    lab.publish("disk", &[]).expect(0);
    for (number, image) in images().iter().enumerate() {
        lab.assert_published(image, &name(number), "v1");
    }
}

#[test]
fn a_run_that_is_told_to_stop_says_how_to_go_on() {
    let mut lab = Lab::new();
    lab.configure(&fill(&lab.source));
    lab.make(&[]).expect(0);
    lab.source.stop();
    let slow = FaultRegistry::before(&lab.target);
    slow.rule(Rule::on("PUT", "/manifests/").after(1).then(Action::Delay(NEVER)));
    let to = format!("docker://{}", slow.host());
    let args = ["--from", &lab.file("disk"), &to];
    let mut command = command(&lab.context, &args);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let deadline = Instant::now() + Duration::from_secs(120);
    while slow.count("PUT", "/manifests/") < 1 {
        assert!(Instant::now() < deadline, "the run never got that far");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM)
        .expect("a running child can be signalled");
    let output = child.wait_with_output().expect("a child can be waited for");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(143), "{said}");
    assert!(said.contains("error: interrupted while publishing: "), "{said}");
    assert!(said.contains("of 8\n\nhint: nothing was committed; the same command goes on"), "{said}");
    slow.clear_rules();
    lab.run(&args).expect(0);
    lab.assert_published(&images()[7], &name(7), "v1");
}
