//! Running programs: [`step`] announces and times, [`Tool`] runs one command line and names it when it fails.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use crate::Outcome;

/// Announces a step, does it, and says how long it took.
pub(crate) fn step(name: &str, work: impl FnOnce() -> Outcome) -> Outcome {
    println!("==> {name}");
    let start = Instant::now();
    work().map_err(|e| format!("step `{name}` failed after {}: {e}", seconds(start)))?;
    println!("    {name}: {}", seconds(start));
    Ok(())
}

fn seconds(since: Instant) -> String {
    format!("{:.1} s", since.elapsed().as_secs_f64())
}

/// Returns the root of the repository.
pub(crate) fn root() -> PathBuf {
    oc_mirror_testkit::workspace_root()
}

/// Returns the directory cargo builds into.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Returns the manifests of the workspaces besides the program's: the plugins, the guests of tests, each example, and the
/// simulation, which builds the engine in another way.
pub(crate) fn guest_workspaces() -> Vec<PathBuf> {
    let children = |dir: PathBuf| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    };
    let mut dirs = vec![root().join("plugins"), root().join("tests/guests"), root().join("tests/simulation")];
    dirs.extend(children(root().join("examples")).into_iter().flat_map(children));
    dirs.extend(children(root().join("tests/released")));
    let mut manifests: Vec<PathBuf> = dirs.into_iter().map(|dir| dir.join("Cargo.toml")).collect();
    manifests.retain(|manifest| manifest.is_file());
    manifests.sort();
    manifests
}

/// Whether a program of this name is on the search path.
pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// One command line, run at the root of the repository.
#[derive(Debug)]
pub(crate) struct Tool {
    command: Command,
}

impl Tool {
    /// Names the program.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.current_dir(root()).stdin(Stdio::null());
        Self { command }
    }

    /// Runs the cargo that runs this.
    pub(crate) fn cargo() -> Self {
        Self::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    /// Adds arguments.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Adds an argument that is a path.
    pub(crate) fn path(mut self, path: &Path) -> Self {
        self.command.arg(path);
        self
    }

    /// Sets a variable of the environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Keeps its traffic off any proxy.
    pub(crate) fn without_proxy(mut self) -> Self {
        for name in ["http_proxy", "https_proxy", "all_proxy"] {
            self.command.env_remove(name).env_remove(name.to_uppercase());
        }
        self
    }

    /// Returns the command for a process that runs beside this one.
    pub(crate) fn into_command(self) -> Command {
        self.command
    }

    /// Runs it with its output shown.
    pub(crate) fn run(mut self) -> Outcome {
        let status = self.command.status().map_err(|e| format!("cannot run `{}`: {e}", self.line()))?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("`{}` ended with {status}", self.line())),
        }
    }

    /// Runs it and returns what it printed; on failure, what it complained about is part of the error.
    pub(crate) fn output(mut self) -> Result<String, String> {
        let output: Output = self
            .command
            .stderr(Stdio::piped())
            .output()
            .map_err(|e| format!("cannot run `{}`: {e}", self.line()))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("`{}` ended with {}\n{}", self.line(), output.status, said.trim_end()))
    }

    /// Runs it; returns all that it printed where it did not succeed.
    pub(crate) fn complaint(mut self) -> Result<Option<String>, String> {
        let output = self.command.output().map_err(|e| format!("cannot run `{}`: {e}", self.line()))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((!output.status.success()).then(|| text(&output.stdout) + &text(&output.stderr)))
    }

    /// Whether it runs and succeeds, its output hidden.
    pub(crate) fn succeeds(mut self) -> bool {
        let status = self.command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    /// Returns the command line for a message.
    fn line(&self) -> String {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_line_and_the_complaint() {
        let error = Tool::new("sh").args(["-c", "echo no luck >&2; exit 3"]).output().unwrap_err();
        assert_eq!(error, "`sh -c echo no luck >&2; exit 3` ended with exit status: 3\nno luck");
        assert!(Tool::new("no-such-program").run().unwrap_err().starts_with("cannot run `no-such-program`"));
    }

    #[test]
    fn the_plugins_are_among_the_guests() {
        let found = guest_workspaces();
        assert!(found.contains(&root().join("plugins/Cargo.toml")), "{found:?}");
        assert!(found.contains(&root().join("examples/policies/deny-label/Cargo.toml")), "{found:?}");
    }

    #[test]
    fn a_failed_step_is_named() {
        let error = step("mend", || Err("broken".to_string())).unwrap_err();
        assert!(error.starts_with("step `mend` failed after ") && error.ends_with(": broken"), "{error}");
    }
}
