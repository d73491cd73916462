//! What comes from other package registries than Debian's and cargo's, below `target/`: [`once`] installs it if it is not there.

use std::fs;
use std::path::Path;

use crate::Outcome;
use crate::run::Tool;

/// Installs something with `make`, unless `note` says that just what is `wanted` is there. Where it cannot be had it says so, and
/// what is not done `without` it.
pub(crate) fn once(
    what: &str,
    note: &Path,
    wanted: String,
    without: &str,
    make: impl FnOnce() -> Outcome,
) -> Outcome {
    if fs::read_to_string(note).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    println!("    installing {what}");
    match make() {
        // Written last, so that it tells of a whole installation.
        Ok(()) => fs::write(note, wanted).map_err(|e| format!("{}: {e}", note.display())),
        Err(why) => {
            let why = why.lines().last().unwrap_or_default();
            println!("    skipped: {what} cannot be installed{without}: {why}");
            Ok(())
        }
    }
}

/// Removes what is in the place of an installation: it is of other versions, or was not finished.
pub(crate) fn clear(place: &Path) -> Outcome {
    match place.exists() {
        true => fs::remove_dir_all(place).map_err(|e| format!("{}: {e}", place.display())),
        false => Ok(()),
    }
}

/// Makes a virtual environment of Python with the packages that are asked for.
pub(crate) fn environment(python: &Path, place: &Path, packages: &[&str]) -> Outcome {
    clear(place)?;
    Tool::new(python).args(["-m", "venv"]).path(place).output()?;
    let pip = ["install", "--quiet", "--disable-pip-version-check", "--no-deps"];
    Tool::new(place.join("bin/pip")).args(pip).args(packages.iter().copied()).output().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_installed_once_and_again_when_something_else_is_wanted() {
        let place = crate::run::target().join(format!("xtask-installed-{}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        let note = place.join("note.txt");
        let mut made = 0;
        for wanted in ["1", "1", "2"] {
            once("it", &note, wanted.to_owned(), "", || {
                made += 1;
                Ok(())
            })
            .unwrap();
        }
        assert_eq!(made, 2);
        once("it", &note, "3".to_owned(), "", || Err("no luck".to_owned())).unwrap();
        assert_eq!(fs::read_to_string(&note).unwrap(), "2");
        clear(&place).unwrap();
        clear(&place).unwrap();
        assert!(!place.exists());
    }
}
