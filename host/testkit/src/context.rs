//! [`TestContext`]: a home, a working directory and a clean environment to run whole commands in, and their output with
//! everything removed that differs from run to run.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use regex::Regex;
use tempfile::TempDir;

/// A place for one test of one program.
#[derive(Debug)]
pub struct TestContext {
    program: PathBuf,
    root: TempDir,
    env: Vec<(String, String)>,
    filters: Vec<(Regex, String)>,
}

/// What a command left behind, filtered and as it was.
#[derive(Clone, Debug)]
pub struct CommandOutput {
    /// The exit code, or -1 when a signal ended it.
    pub code: i32,
    /// The standard output, filtered.
    pub stdout: String,
    /// The standard error, filtered.
    pub stderr: String,
    /// The standard output as it was.
    pub raw_stdout: String,
    /// The standard error as it was.
    pub raw_stderr: String,
}

impl CommandOutput {
    /// Returns exit code and both outputs as one text for a snapshot.
    pub fn snapshot(&self) -> String {
        format!(
            "exit code: {}\n----- stdout -----\n{}----- stderr -----\n{}",
            self.code, self.stdout, self.stderr
        )
    }

    /// Fails the test unless the exit code is as expected.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\n{}", self.snapshot());
        self
    }
}

impl TestContext {
    /// Makes a fresh context for a program.
    pub fn new(program: impl AsRef<Path>) -> Self {
        let root = tempfile::tempdir().expect("the machine has a temporary directory");
        for name in ["home", "work", "run", "tmp"] {
            fs::create_dir(root.path().join(name)).expect("a fresh directory is writable");
        }
        let mut context =
            Self { program: program.as_ref().to_path_buf(), root, env: Vec::new(), filters: Vec::new() };
        context.standard_filters();
        context
    }

    /// Returns the working directory of commands.
    pub fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// Returns the home directory of commands.
    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// Sets a variable for all commands.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_string(), value.to_string()));
        self
    }

    /// Replaces what a regular expression matches, before the standard filters do.
    pub fn filter(mut self, pattern: &str, replacement: &str) -> Self {
        self.filters.insert(0, filter(pattern, replacement));
        self
    }

    /// Writes a file below the working directory and returns its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.work().join(name);
        let parent = path.parent().expect("a file has a parent");
        fs::create_dir_all(parent).expect("the test's own directory is writable");
        fs::write(&path, content).expect("the test's own directory is writable");
        path
    }

    /// Returns a command with the clean environment, for tests that need it running beside them.
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let root = self.root.path();
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", root.join("home"))
            .env("XDG_CONFIG_HOME", root.join("home/.config"))
            .env("XDG_CACHE_HOME", root.join("home/.cache"))
            .env("XDG_DATA_HOME", root.join("home/.local/share"))
            .env("XDG_STATE_HOME", root.join("home/.local/state"))
            .env("XDG_RUNTIME_DIR", root.join("run"))
            .env("TMPDIR", root.join("tmp"))
            .env("LC_ALL", "C.UTF-8")
            .env("NO_COLOR", "1")
            // What this machine is told of registries is none of a test's business.
            .env("CONTAINERS_REGISTRIES_CONF", "/dev/null")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.work())
            .stdin(Stdio::null());
        // Without this, the profile of a coverage run would land in the working directory.
        if let Some(profile) = std::env::var_os("LLVM_PROFILE_FILE") {
            command.env("LLVM_PROFILE_FILE", profile);
        }
        command
    }

    /// Runs the program to its end.
    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> CommandOutput {
        let output = self.command(args).output();
        let output = output.unwrap_or_else(|e| panic!("cannot run `{}`: {e}", self.program.display()));
        let raw_stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let raw_stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        CommandOutput {
            code: output.status.code().unwrap_or(-1),
            stdout: self.filtered(&raw_stdout),
            stderr: self.filtered(&raw_stderr),
            raw_stdout,
            raw_stderr,
        }
    }

    /// Returns a text with paths, ports, durations and other things of the moment replaced.
    pub fn filtered(&self, text: &str) -> String {
        let mut text = text.to_string();
        for (pattern, replacement) in &self.filters {
            text = pattern.replace_all(&text, replacement.as_str()).into_owned();
        }
        text
    }

    fn standard_filters(&mut self) {
        let root = fs::canonicalize(self.root.path()).unwrap_or_else(|_| self.root.path().to_path_buf());
        for path in [root.as_path(), self.root.path()] {
            let path = regex::escape(&path.display().to_string());
            self.filters.push(filter(&format!("{path}/work"), "[WORK]"));
            self.filters.push(filter(&format!("{path}/home"), "[HOME]"));
            self.filters.push(filter(&path, "[TEMP]"));
        }
        let patterns = [
            (r"(127\.0\.0\.1|localhost|\[::1\]):\d{2,5}\b", "$1:[PORT]"),
            (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "[UUID]"),
            (r"\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})", "[TIME]"),
            (r"\b(\d+m ?)?\d+(\.\d+)? ?(ns|µs|ms|s)\b", "[DURATION]"),
            (r"\b\d+(\.\d+)? ?[KMGT]i?B/s", "[RATE]"),
        ];
        self.filters.extend(patterns.map(|(pattern, replacement)| filter(pattern, replacement)));
    }
}

fn filter(pattern: &str, replacement: &str) -> (Regex, String) {
    (Regex::new(pattern).expect("the pattern is a regular expression"), replacement.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_in_a_clean_environment() {
        let context = TestContext::new("/bin/sh").env("OWN", "1");
        let script = "echo $HOME $OWN ${http_proxy:-none}; pwd; echo oops >&2; exit 3";
        let output = context.run(&["-c", script]).expect_code(3);
        assert_eq!(output.stdout, "[HOME] 1 none\n[WORK]\n");
        assert_eq!(
            output.snapshot(),
            "exit code: 3\n----- stdout -----\n[HOME] 1 none\n[WORK]\n----- stderr -----\noops\n"
        );
    }

    #[rstest::rstest]
    #[case("pushed to 127.0.0.1:41235/a in 1.53s", "pushed to 127.0.0.1:[PORT]/a in [DURATION]")]
    #[case("uid 0d6f2c1e-9a55-4a77-8b8e-0f0b4a1d2c3e", "uid [UUID]")]
    #[case("at 2026-01-02T03:04:05.678Z 12 ms", "at [TIME] [DURATION]")]
    #[case("3 blobs, 12.5 MiB/s, 5 seconds", "3 blobs, [RATE], 5 seconds")]
    fn filters_what_differs(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(TestContext::new("/bin/true").filtered(text), expected);
    }

    #[test]
    fn own_filters_come_first() {
        let context = TestContext::new("/bin/true").filter(r"in \d+s", "soon");
        assert_eq!(context.filtered("in 5s"), "soon");
    }
}
