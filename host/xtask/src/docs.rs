//! `cargo xtask docs`: the documents in `docs/reference`, which the program makes of itself.

use std::fs;
use std::path::Path;

use crate::Outcome;
use crate::run::{Tool, root, step, target};

/// Where they are.
const PLACE: &str = "docs/reference";

/// Writes them, or says which are not in step.
pub(crate) fn run(is_written: bool) -> Outcome {
    step("build", || Tool::cargo().args(["build", "--locked", "--workspace", "--bin", "oc-mirror"]).run())?;
    let made = if is_written { root().join(PLACE) } else { target().join("reference") };
    let program = target().join("debug/oc-mirror");
    Tool::new(program).args(["debug", "reference"]).path(&made).output()?;
    if is_written {
        return Ok(());
    }
    let stale = stale(&made, &root().join(PLACE))?;
    match stale.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "{PLACE}: not what the program makes: {}\nhint: `cargo xtask docs --write` writes it anew",
            stale.join(", ")
        )),
    }
}

/// Returns the names of files that are missing in another directory, or differ there.
fn stale(made: &Path, kept: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(made).map_err(|e| format!("{}: {e}", made.display()))?;
    let mut stale = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| format!("{}: {e}", made.display()))?;
        let read = |dir: &Path| fs::read(dir.join(entry.file_name())).ok();
        if read(made) != read(kept) {
            stale.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    stale.sort();
    Ok(stale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_or_is_missing_is_named() {
        let dir = std::env::temp_dir().join(format!("xtask-docs-{}", std::process::id()));
        let (made, kept) = (dir.join("made"), dir.join("kept"));
        for (place, name, text) in
            [(&made, "a", "1"), (&made, "b", "1"), (&made, "c", "1"), (&kept, "a", "1"), (&kept, "b", "2")]
        {
            fs::create_dir_all(place).expect("a fresh directory");
            fs::write(place.join(name), text).expect("a fresh directory");
        }
        assert_eq!(stale(&made, &kept), Ok(vec!["b".to_owned(), "c".to_owned()]));
        fs::remove_dir_all(&dir).expect("it is ours");
    }
}
