//! How a run tells how far it has come: on a terminal, into a pipe, as JSON, and not at all.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oc_mirror_model::progress::{ProgressEvent, ProgressLine};
use oc_mirror_testkit::{Action, FaultRegistry, Image, ImageBuilder, Registry, Rule, Screen, on_terminal};

use crate::lab::{Lab, context};

const COLUMNS: u16 = 40;
const ROWS: u16 = 16;

fn image(number: u64) -> Image {
    ImageBuilder::new().random_layer(number, 3 << 20).random_layer(100 + number, 10_000).build()
}

/// A source that lies behind a registry with faults, with some images in it.
fn slow() -> (Lab, FaultRegistry) {
    let source = Registry::start();
    let slow = FaultRegistry::before(&source);
    let names: Vec<String> = (0..4)
        .map(|number| {
            source.push(&image(number), &format!("team/app-{number}"), "v1");
            format!("{}/team/app-{number}:v1", slow.host())
        })
        .collect();
    let lab = Lab { context: context(), source, target: Registry::start() };
    lab.configure(&names);
    (lab, slow)
}

/// Has large layers come slowly, and the first attempts at them break off: as many as there are blobs, so one at least.
fn slow_down(registry: &FaultRegistry) {
    registry.rule(Rule::on("GET", "/blobs/").first(12).then(Action::DropAfter(1 << 20)));
    registry.rule(Rule::on("GET", "/blobs/").then(Action::Stall(1 << 20, Duration::from_millis(700))));
}

fn command(lab: &Lab, args: &[&str]) -> Command {
    lab.context.command(&[&["--src-tls-verify=false", "--dest-tls-verify=false"], args].concat())
}

/// Returns every percentage that was written, for each step.
fn percentages(text: &str) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    for line in text.split(['\n', '\r']) {
        let line =
            line.rsplit_once('A').filter(|(front, _)| front.starts_with("\u{1b}[")).map_or(line, |(_, l)| l);
        let Some((step, rest)) = line.split_once("  ") else { continue };
        let Some(percent) = rest.split_once('%').and_then(|(number, _)| number.parse().ok()) else {
            continue;
        };
        match found.last_mut().filter(|(last, _)| last == step) {
            Some((_, percents)) => percents.push(percent),
            None => found.push((step.to_owned(), vec![percent])),
        }
    }
    found
}

#[test]
fn a_terminal_of_40_columns_shows_a_few_lines_that_never_go_back() {
    let (lab, registry) = slow();
    slow_down(&registry);
    let command = command(&lab, &["-c", "isc.yaml", "file://disk", "--retry-delay", "10ms"]);
    let Some(mut script) = on_terminal(&command, COLUMNS, ROWS) else { return };
    let output = script.output().expect("script runs");
    let text = String::from_utf8(output.stdout).expect("only text is written");
    assert!(output.status.success(), "{text}");

    // Anything wider would have been broken into two lines, and the block would no longer be written over itself.
    let mut screen = Screen::new(COLUMNS.into(), ROWS.into());
    screen.write(&text);
    let lines = screen.lines();
    let shown = lines.join("\n");
    assert!(!shown.contains("  ..") && !shown.contains('%'), "the block is gone in the end:\n{shown}");
    assert!(lines.iter().any(|line| line.starts_with("fetching: 12 of 12, 12.")), "{shown}");
    let retries = lines.iter().filter(|line| line.starts_with("trying again (")).count();
    assert_eq!(retries, text.matches("trying again (").count(), "what is said stays:\n{shown}");
    assert!(lines.iter().any(|line| line.starts_with("4 images, 12.0 MiB in all")), "{shown}");

    let steps = percentages(&text);
    let (_, percents) = steps.iter().find(|(step, _)| step == "fetching").expect("the step was shown");
    assert!(percents.len() > 3 && percents.is_sorted(), "{steps:?}");
    assert!(text.contains("  ..") || text.contains("  127."), "images under way are named");
}

#[test]
fn dumb_terminals_and_build_machines_get_plain_lines() {
    for (name, value) in [("TERM", "dumb"), ("CI", "true")] {
        let mut lab = Lab::new();
        lab.configure(&[lab.push(&image(1), "team/app", "v1")]);
        lab.context = lab.context.env(name, value);
        let Some(mut script) = on_terminal(&command(&lab, &["-c", "isc.yaml", "file://disk"]), 80, 24) else {
            return;
        };
        script.env(name, value);
        let output = script.output().expect("script runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && !text.contains('\u{1b}'), "{name}: {text:?}");
        assert!(text.contains("fetching (3, 3.0 MiB)"), "{text}");
    }
}

#[test]
fn a_pipe_gets_a_line_every_ten_seconds() {
    let (lab, registry) = slow();
    registry.rule(Rule::on("GET", "/blobs/").then(Action::Stall(1 << 20, Duration::from_secs(11))));
    let output = command(&lab, &["-c", "isc.yaml", "file://disk"]).output().expect("the program runs");
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("fetching: ")).collect();
    assert!(output.status.success() && (1..4).contains(&lines.len()), "{text}");
    assert!(lines[0].contains("%, ") && lines[0].contains(" of 12.0 MiB, "), "{text}");
    assert!(lines[0].contains(" of 12, 10 s: 127.0.0.1:"), "{text}");
}

#[test]
fn programs_get_a_stream_of_objects() {
    let (lab, registry) = slow();
    slow_down(&registry);
    let args = ["-c", "isc.yaml", "file://disk", "--retry-delay", "10ms", "--progress", "json"];
    let output = command(&lab, &args).output().expect("the program runs");
    let text = String::from_utf8(output.stderr).expect("text");
    let lines: Vec<ProgressLine> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let events: Vec<&ProgressEvent> = lines.iter().map(|line| &line.event).collect();
    assert!(matches!(events[0], ProgressEvent::Started { version: 1, .. }), "{text}");
    assert_eq!(**events.last().expect("lines"), ProgressEvent::Finished { exit_code: 0 });
    let count = |of: fn(&ProgressEvent) -> bool| events.iter().filter(|event| of(event)).count();
    assert!(count(|event| matches!(event, ProgressEvent::Retry { .. })) >= 1, "{text}");
    let standings = events.iter().filter_map(|event| match event {
        ProgressEvent::Progress(standing) if standing.phase == "fetching" => Some(standing),
        _ => None,
    });
    let standings: Vec<_> = standings.collect();
    assert!(standings.is_sorted_by_key(|standing| standing.bytes_done), "{text}");
    let last = standings.last().expect("how far it has come");
    assert_eq!((last.percent, last.items_done, last.items), (Some(100), 12, Some(12)), "{text}");
    assert_eq!(last.bytes, Some(last.bytes_done));
    assert!(lines.iter().all(|line| line.time.ends_with('Z') && line.time.len() == 24));

    // What is wrong is in the stream, and nothing else is on the standard error; with --quiet only that.
    registry.clear_rules();
    registry.rule(Rule::on("GET", "/manifests/").then(Action::status(404)));
    let args = ["-c", "isc.yaml", "file://other", "--progress", "json", "--quiet"];
    let output = command(&lab, &args).output().expect("the program runs");
    let text = String::from_utf8(output.stderr).expect("text");
    let lines: Vec<ProgressLine> =
        text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let [first, errors @ .., last] = lines.as_slice() else { panic!("{text}") };
    assert!(matches!(first.event, ProgressEvent::Started { .. }));
    assert!(matches!(last.event, ProgressEvent::Finished { exit_code: 8 }), "{text}");
    let is_error = |line: &ProgressLine| matches!(&line.event, ProgressEvent::Error { hint: Some(_), .. });
    assert!(errors.len() == 4 && errors.iter().all(is_error), "{text}");
}

#[test]
fn nothing_is_said_where_nothing_is_wanted() {
    let lab = Lab::new();
    lab.configure(&[lab.push(&image(1), "team/app", "v1")]);
    let output =
        command(&lab, &["-c", "isc.yaml", "file://disk", "--progress", "none"]).output().expect("runs");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(String::from_utf8_lossy(&output.stdout).contains("mirrored to disk"));
}

#[test]
fn whoever_reads_may_go_away() {
    let lab = Lab::new();
    lab.configure(&[lab.push(&image(1), "team/app", "v1")]);
    let mut command = command(&lab, &["-c", "isc.yaml", "file://disk"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert!(lab.path("disk/mirror_seq1_000000.tar").exists());
    // A mistake too is one whether anybody reads of it or not.
    let mut command = lab.context.command(&["-c", "not-there.yaml", "file://disk"]);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    drop(child.stderr.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
}

#[test]
fn data_that_cannot_be_written_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let context = context();
    let mut command = context.command(&["schema"]);
    let output = command.stdout(full).stderr(Stdio::piped()).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with("error: the standard output cannot be written to\n"), "{text}");
}

#[test]
fn who_interrupts_a_run_is_told_where_it_stands() {
    let (lab, registry) = slow();
    registry.rule(Rule::on("GET", "/blobs/").then(Action::Stall(2 << 20, Duration::from_secs(600))));
    let Some(mut script) = on_terminal(&command(&lab, &["-c", "isc.yaml", "file://disk"]), 100, ROWS) else {
        return;
    };
    let child = script.stdout(Stdio::piped()).spawn().expect("script starts");
    let deadline = Instant::now() + Duration::from_secs(60);
    while registry.count("GET", "/blobs/") < 4 {
        assert!(Instant::now() < deadline, "the run never got that far");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(500));
    let program = child_of(child.id());
    rustix::process::kill_process(program, rustix::process::Signal::INT).expect("it can be signalled");
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(130), "{text}");
    let mut screen = Screen::new(100, ROWS.into());
    screen.write(&text);
    let lines = screen.lines();
    let said = lines.iter().find(|line| line.starts_with("error: interrupted while fetching: "));
    let said = said.unwrap_or_else(|| panic!("{lines:#?}"));
    assert!(said.contains("%, ") && said.contains(" of 12.0 MiB, ") && said.ends_with(" of 12"), "{said}");
    assert!(
        lines.last().is_some_and(|l| l.starts_with("hint: nothing was committed; the same command goes on"))
    );

    registry.clear_rules();
    lab.make(&[]).expect(0);
}

/// A window of tmux with a program in it. It ends with its value.
struct Window(Command);

impl Window {
    /// Opens one, 80 columns wide; nothing, with a word about it, where there is no tmux.
    #[allow(clippy::print_stderr)]
    fn open(lab: &Lab, program: &Command) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            eprintln!("skipped: no tmux");
            return None;
        }
        let mut tmux = Command::new("tmux");
        tmux.env_clear().env("TMUX_TMPDIR", lab.context.home()).env("SHELL", "/bin/sh").env("TERM", "xterm");
        tmux.current_dir(lab.context.work());
        for (name, value) in program.get_envs() {
            value.map(|value| tmux.env(name, value));
        }
        let window = Self(tmux);
        let words = std::iter::once(program.get_program()).chain(program.get_args());
        let words: Vec<String> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
        let line = format!("{}; echo it ends with $?; sleep 60", words.join(" "));
        window.tell(&["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "16", &line]);
        Some(window)
    }

    fn tell(&self, args: &[&str]) -> String {
        let mut tmux = Command::new(self.0.get_program());
        tmux.args(args).env_clear().current_dir(self.0.get_current_dir().expect("it was set"));
        tmux.envs(self.0.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = tmux.output().expect("tmux runs");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits for something to be shown, and returns all that is.
    fn waits_for(&self, words: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let shown = self.tell(&["capture-pane", "-p", "-J"]);
            if shown.contains(words) {
                return shown;
            }
            assert!(Instant::now() < deadline, "`{words}` is never shown:\n{shown}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn home(&self) -> std::ffi::OsString {
        let home = self.0.get_envs().find(|(name, _)| *name == "TMUX_TMPDIR");
        home.and_then(|(_, value)| value).expect("it was set").to_owned()
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let _ = Command::new("tmux").env("TMUX_TMPDIR", self.home()).arg("kill-server").output();
    }
}

#[test]
fn a_window_may_change_its_size() {
    let (lab, registry) = slow();
    registry.rule(Rule::on("GET", "/blobs/").then(Action::Stall(1 << 20, Duration::from_secs(5))));
    let Some(window) = Window::open(&lab, &command(&lab, &["-c", "isc.yaml", "file://disk"])) else { return };
    let heads = |shown: &str| shown.lines().filter(|line| line.starts_with("fetching  ")).count();
    window.waits_for("fetching  ");
    for columns in ["40", "120", "50"] {
        window.tell(&["resize-window", "-x", columns]);
        std::thread::sleep(Duration::from_millis(600));
        let shown = window.tell(&["capture-pane", "-p"]);
        assert_eq!(heads(&shown), 1, "at {columns} columns:\n{shown}");
        assert!(shown.contains("looking for signatures: 4 of 4\n"), "what was above stays:\n{shown}");
    }
    let shown = window.waits_for("it ends with 0");
    assert!(heads(&shown) == 0 && shown.contains("fetching: 12 of 12, 12.0 MiB"), "{shown}");
}

/// Returns the only child of a process.
fn child_of(id: u32) -> rustix::process::Pid {
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).expect("it runs");
    let id = children.split_whitespace().next().and_then(|id| id.parse().ok()).expect("it has a child");
    rustix::process::Pid::from_raw(id).expect("no child has the number 0")
}
