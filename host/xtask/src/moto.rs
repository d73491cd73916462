//! The S3 server that tests run against: moto, of PyPI, in a virtual environment below `target/`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::installed::{environment, once};
use crate::run::{Tool, root, target};

/// What is installed, with versions.
const REQUIREMENTS: &str = "host/xtask/moto-requirements.txt";

fn place() -> PathBuf {
    target().join("moto")
}

/// Whether a Python can make virtual environments with an installer in them.
pub(crate) fn makes_environments(python: &Path) -> bool {
    python.is_file() && Tool::new(python).args(["-c", "import ensurepip, venv"]).succeeds()
}

/// Installs it, unless it is there. Where it cannot be had, tests that need it say so and are skipped.
pub(crate) fn install(python: &Path) -> Outcome {
    let wanted = fs::read_to_string(root().join(REQUIREMENTS)).map_err(|e| format!("{REQUIREMENTS}: {e}"))?;
    let without = ", so tests of object stores are skipped";
    once("moto", &place().join("requirements.txt"), wanted, without, || {
        environment(python, &place(), &["--requirement", REQUIREMENTS])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_pinned() {
        let text = fs::read_to_string(root().join(REQUIREMENTS)).expect("there");
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.iter().any(|line| line.starts_with("moto==")), "{lines:?}");
        assert!(
            lines.iter().all(|line| line.split_once("==").is_some_and(|(_, v)| !v.is_empty())),
            "{lines:?}"
        );
    }

    #[test]
    fn a_python_without_an_installer_is_not_enough() {
        assert!(!makes_environments(Path::new("/nonexistent/python3")));
        assert!(!makes_environments(Path::new("/bin/false")));
        assert!(makes_environments(Path::new("/bin/true")));
    }
}
