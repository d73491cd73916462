//! What the page of `oc-mirror browse` is tested with: Playwright of npm, below `target/`, of the version that `tests/browse` asks for.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::installed::{clear, once};
use crate::run::{Tool, on_path, root, target};

/// What says which version is wanted.
const ASKED_FOR: [&str; 2] = ["tests/browse/package.json", "tests/browse/package-lock.json"];

/// Installs it, unless it is there. Where it cannot be had, the test that needs it says so and is skipped.
pub(crate) fn install() -> Outcome {
    let wanted: Vec<String> =
        ASKED_FOR.iter().map(|file| read(&root().join(file))).collect::<Result<_, _>>()?;
    let wanted = wanted.concat();
    let place = target().join("playwright");
    let without = ", so no browser tests the page";
    once("playwright-core", &place.join("installed.txt"), wanted, without, || install_into(&place))
}

fn install_into(place: &Path) -> Outcome {
    if !on_path("npm") {
        return Err("there is no npm".to_owned());
    }
    clear(place)?;
    fs::create_dir_all(place).map_err(|e| format!("{}: {e}", place.display()))?;
    for file in ASKED_FOR {
        let from = root().join(file);
        let name: PathBuf = from.file_name().map(PathBuf::from).unwrap_or_default();
        fs::copy(&from, place.join(name)).map_err(|e| format!("{}: {e}", from.display()))?;
    }
    let quiet = ["ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"];
    let made = Tool::new("npm").args(quiet).path(place).output().map(drop);
    if made.is_err() {
        // A part of it would be taken for all.
        fs::remove_dir_all(place).map_err(|e| format!("{}: {e}", place.display()))?;
    }
    made
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_pinned() {
        let json = |file| -> serde_json::Value {
            serde_json::from_str(&read(&root().join(file)).expect("there")).expect("JSON")
        };
        let (package, lock) = (json(ASKED_FOR[0]), json(ASKED_FOR[1]));
        let version = &package["devDependencies"]["playwright-core"];
        assert!(version.as_str().is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit())), "{version}");
        assert_eq!(&lock["packages"]["node_modules/playwright-core"]["version"], version);
    }
}
