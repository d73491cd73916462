//! What makes components of plugins in Python and JavaScript: componentize-py of PyPI and jco of npm, below `target/`. Each
//! is asked for by the example that is written in it, versions included.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::installed::{clear, once};
use crate::run::{Tool, on_path, root, target};

/// A language, and how its tool is had.
struct Language {
    name: &'static str,
    /// The tool, and the directory below `target/` that it is installed into.
    tool: &'static str,
    /// The files of the example that say what is needed.
    asked_for: &'static [&'static str],
    /// Where the program is, below its directory.
    program: &'static str,
    install: fn(&Path) -> Outcome,
}

const PYTHON: Language = Language {
    name: "Python",
    tool: "componentize-py",
    asked_for: &["examples/policies/require-labels/requirements.txt"],
    program: "bin/componentize-py",
    install: install_python,
};

const JAVASCRIPT: Language = Language {
    name: "JavaScript",
    tool: "jco",
    asked_for: &[
        "examples/policies/layer-limit/package.json",
        "examples/policies/layer-limit/package-lock.json",
    ],
    program: "node_modules/.bin/jco",
    install: install_javascript,
};

/// Debian's Python, as everywhere here.
const PYTHON_PROGRAM: &str = "/usr/bin/python3";

/// Installs what is not there. Where it cannot be had, tests that need it say so and are skipped.
pub(crate) fn install() -> Outcome {
    [PYTHON, JAVASCRIPT].iter().try_for_each(Language::install)
}

impl Language {
    fn install(&self) -> Outcome {
        let wanted: Vec<String> =
            self.asked_for.iter().map(|file| read(&root().join(file))).collect::<Result<_, _>>()?;
        let wanted = wanted.concat();
        let place = target().join(self.tool);
        let without = format!(", so plugins in {} are not tested", self.name);
        once(self.tool, &place.join("installed.txt"), wanted, &without, || self.installed(&place))
    }

    fn installed(&self, place: &Path) -> Outcome {
        clear(place)?;
        fs::create_dir_all(place).map_err(|e| format!("{}: {e}", place.display()))?;
        let program = place.join(self.program);
        let made =
            (self.install)(place).and_then(|()| Tool::new(&program).args(["--version"]).output().map(drop));
        if made.is_err() {
            // A program that does not start would be taken for one that does.
            fs::remove_dir_all(place).map_err(|e| format!("{}: {e}", place.display()))?;
        }
        made
    }
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn install_python(place: &Path) -> Outcome {
    if !Path::new(PYTHON_PROGRAM).is_file() {
        return Err(format!("there is no {PYTHON_PROGRAM}"));
    }
    Tool::new(PYTHON_PROGRAM).args(["-m", "venv"]).path(place).output()?;
    let pip = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"];
    let requirements = root().join(PYTHON.asked_for[0]);
    Tool::new(place.join("bin/pip")).args(pip).path(&requirements).output().map(drop)
}

fn install_javascript(place: &Path) -> Outcome {
    if !on_path("npm") {
        return Err("there is no npm".to_owned());
    }
    for file in JAVASCRIPT.asked_for {
        let from = root().join(file);
        let name: PathBuf = from.file_name().map(PathBuf::from).unwrap_or_default();
        fs::copy(&from, place.join(name)).map_err(|e| format!("{}: {e}", from.display()))?;
    }
    let quiet = ["ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"];
    Tool::new("npm").args(quiet).path(place).output().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_pinned() {
        let python = read(&root().join(PYTHON.asked_for[0])).expect("there");
        assert!(
            python.lines().all(|line| line.split_once("==").is_some_and(|(_, v)| !v.is_empty())),
            "{python}"
        );
        let package = read(&root().join(JAVASCRIPT.asked_for[0])).expect("there");
        let package: serde_json::Value = serde_json::from_str(&package).expect("JSON");
        let lock = read(&root().join(JAVASCRIPT.asked_for[1])).expect("there");
        let lock: serde_json::Value = serde_json::from_str(&lock).expect("JSON");
        let (name, version) = ("@bytecodealliance/jco", &package["devDependencies"]["@bytecodealliance/jco"]);
        assert!(version.as_str().is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit())), "{version}");
        assert_eq!(&lock["packages"][format!("node_modules/{name}")]["version"], version);
    }

    #[test]
    fn what_does_not_start_is_not_kept() {
        let dir = std::env::temp_dir().join(format!("xtask-languages-{}", std::process::id()));
        let broken = Language { install: |_| Ok(()), ..PYTHON };
        assert!(broken.installed(&dir).is_err());
        assert!(!dir.exists());
    }
}
