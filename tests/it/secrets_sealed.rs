//! A process that holds credentials leaves no core file.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use oc_mirror_testkit::TestContext;
use rustix::process::{Pid, Signal, kill_process};

use crate::lab::{context, names_in};

/// Starts a program where core files are allowed, whatever the shell of the test says.
fn allowed(command: &Command) -> Child {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "ulimit -c unlimited && exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    shell.env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    if let Some(dir) = command.get_current_dir() {
        shell.current_dir(dir);
    }
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.spawn().expect("this machine has a shell")
}

/// Ends a process as a bug would.
fn crash(mut child: Child, signal: Signal) -> ExitStatus {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("it runs");
    kill_process(id, signal).expect("it runs");
    child.wait().expect("it is ours")
}

/// Serves, and waits until it does, by which time it has sealed itself.
fn serving(context: &TestContext) -> Child {
    let child = allowed(&context.command(&["serve", "served", "--listen", "127.0.0.1:0"]));
    let since = Instant::now();
    while !context.work().join("served/oci-layout").exists() {
        assert!(since.elapsed() < Duration::from_secs(60), "it does not serve");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

/// The words of the kernel's line about core files: the limit of the process, and the most that it may raise it to.
fn limit(child: &Child) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix("Max core file size")).expect("a limit");
    line.split_whitespace().map(str::to_owned).collect()
}

/// Whether this machine makes core files at all.
fn makes_cores() -> bool {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = Command::new("sleep");
    command.arg("60").current_dir(dir.path()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let child = allowed(&command);
    std::thread::sleep(Duration::from_millis(300));
    crash(child, Signal::ABORT).core_dumped()
}

#[test]
fn a_crash_leaves_no_core_file() {
    // Not SEGV: the runtime of Rust looks at that first, and takes one from outside for nothing.
    for signal in [Signal::ABORT, Signal::ILL] {
        let context = context();
        let child = serving(&context);
        assert_eq!(limit(&child), ["0", "0", "bytes"]);
        let status = crash(child, signal);
        assert_eq!(status.signal(), Some(signal.as_raw()));
        assert!(!status.core_dumped(), "{status}");
        let left = names_in(&context.work());
        assert!(!left.iter().any(|name| name.starts_with("core")), "{left:?}");
    }
}

#[test]
#[allow(clippy::print_stderr)]
fn whoever_looks_for_a_mistake_can_have_one() {
    if !makes_cores() {
        return eprintln!("skipped: this machine makes no core files");
    }
    let context = context().env("OC_MIRROR_DEBUGGABLE", "1");
    let status = crash(serving(&context), Signal::ABORT);
    assert!(status.core_dumped(), "{status}");
}
