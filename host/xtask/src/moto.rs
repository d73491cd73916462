//! The S3 server that tests run against: moto, of PyPI, in a virtual environment below `target/`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
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
    // Written last, so that it tells of a whole installation.
    let note = place().join("requirements.txt");
    if fs::read_to_string(&note).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    println!("    installing moto");
    match made(python) {
        Ok(()) => fs::write(&note, wanted).map_err(|e| format!("{}: {e}", note.display())),
        Err(why) => {
            let why = why.lines().last().unwrap_or_default();
            println!("    skipped: moto cannot be installed, so tests of object stores are skipped: {why}");
            Ok(())
        }
    }
}

fn made(python: &Path) -> Outcome {
    // Whatever is there is of other versions, or was not finished.
    if place().exists() {
        fs::remove_dir_all(place()).map_err(|e| format!("{}: {e}", place().display()))?;
    }
    Tool::new(python).args(["-m", "venv"]).path(&place()).output()?;
    let pip =
        ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement", REQUIREMENTS];
    Tool::new(place().join("bin/pip")).args(pip).output().map(drop)
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
