//! `cargo xtask simulate`: the engine on a disk and a network that fail by a seed; and whether that finds planted bugs.

mod mutants;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use self::mutants::{MUTANTS, Mutant};
use crate::Outcome;
use crate::run::{Tool, root, step, target};

/// So many seeds have to be enough to find a planted bug.
const SEEDS_FOR_A_MUTANT: &str = "4000";

/// Builds what lives for a minute only.
const QUICK: [(&str, &str); 2] = [("CARGO_PROFILE_DEV_OPT_LEVEL", "0"), ("CARGO_INCREMENTAL", "1")];

const MANIFEST: &str = "tests/simulation/Cargo.toml";

/// Runs seeds, or with `--mutants [WORD]` finds out which planted bugs are found.
pub(crate) fn run(args: &[&str]) -> Outcome {
    match args {
        ["--mutants"] => mutants(""),
        ["--mutants", word] => mutants(word),
        args => {
            let jobs = std::thread::available_parallelism().map_or(1, usize::from).to_string();
            let program = build(&root(), &target().join("guests-native"), &[])?;
            Tool::new(program).args(["--jobs", &jobs]).args(args.iter().copied()).run()
        }
    }
}

fn build(tree: &Path, into: &Path, settings: &[(&str, &str)]) -> Result<PathBuf, String> {
    let manifest = tree.join(MANIFEST);
    let cargo = Tool::cargo().args(["build", "--quiet", "--locked", "--manifest-path"]).path(&manifest);
    let cargo = settings.iter().fold(cargo, |cargo, (name, value)| cargo.env(name, value));
    cargo.args(["--target-dir"]).path(into).run()?;
    Ok(into.join("debug/simulate"))
}

/// Plants each bug in a copy of the engine, and runs seeds until one of them breaks a promise.
fn mutants(word: &str) -> Outcome {
    let home = target().join("mutants");
    let tree = home.join("tree");
    let mut survived = Vec::new();
    let chosen: Vec<&Mutant> = MUTANTS.iter().filter(|mutant| mutant.name.contains(word)).collect();
    if chosen.is_empty() {
        return Err(format!("no planted bug has `{word}` in its name"));
    }
    for mutant in &chosen {
        step(mutant.name, || {
            plant(mutant, &tree)?;
            let program = build(&tree, &home.join("target"), &QUICK)?;
            let begun = Instant::now();
            let mut simulate =
                Tool::new(program).args(["--seeds", SEEDS_FOR_A_MUTANT, "--most", "1"]).into_command();
            let found = simulate.output().map_err(|e| format!("the simulation cannot be run: {e}"))?;
            let printed = String::from_utf8_lossy(&found.stdout);
            let said = printed.lines().find(|line| line.contains("breaks a promise"));
            match (found.status.success(), said) {
                (false, Some(said)) => {
                    println!("    found after {:.1} s: {said}", begun.elapsed().as_secs_f64())
                }
                (false, None) => return Err(format!("it names no seed: {printed}")),
                (true, _) => {
                    println!("    not found in {SEEDS_FOR_A_MUTANT} seeds");
                    survived.push(mutant.name);
                }
            }
            Ok(())
        })?;
    }
    println!("{} of {} planted bugs are found", chosen.len() - survived.len(), chosen.len());
    match survived.is_empty() {
        true => Ok(()),
        false => Err(format!("not found: {}", survived.join("; "))),
    }
}

/// Copies what the simulation is built of, with one place changed.
fn plant(mutant: &Mutant, tree: &Path) -> Outcome {
    for part in ["host/engine", "host/model", "tests/simulation"] {
        copy(&root().join(part), &tree.join(part))?;
    }
    let manifest = fs::read_to_string(root().join("Cargo.toml")).map_err(|e| format!("no manifest: {e}"))?;
    // Only these two are there.
    let members = manifest.find("members = [").zip(manifest.find("exclude = ["));
    let (begin, end) = members.ok_or("the manifest of the workspace lists no members")?;
    let members = "members = [\"host/engine\", \"host/model\"]\n";
    let manifest = format!("{}{members}{}", &manifest[..begin], &manifest[end..]);
    write(&tree.join("Cargo.toml"), &manifest)?;
    let path = root().join("host/engine/src").join(mutant.file);
    let text = fs::read_to_string(&path).map_err(|e| format!("`{}`: {e}", path.display()))?;
    match text.matches(mutant.from).count() {
        1 => write(&tree.join("host/engine/src").join(mutant.file), &text.replace(mutant.from, mutant.to)),
        count => Err(format!("the place of this bug is {count} times in `{}`, not once", mutant.file)),
    }
}

/// Copies files that differ; what is the same keeps its time, so that nothing else is compiled again.
fn copy(from: &Path, to: &Path) -> Outcome {
    let failed = |e: std::io::Error| format!("`{}` cannot be copied: {e}", from.display());
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().map_err(failed)?.is_dir() {
            if entry.file_name() != "target" {
                copy(&from, &to)?;
            }
            continue;
        }
        let new = fs::read(&from).map_err(failed)?;
        if fs::read(&to).ok().as_ref() != Some(&new) {
            fs::write(&to, new).map_err(failed)?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Outcome {
    if fs::read_to_string(path).is_ok_and(|now| now == text) {
        return Ok(());
    }
    fs::write(path, text).map_err(|e| format!("`{}` cannot be written: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_has_its_place() {
        for Mutant { name, file, from, to } in MUTANTS {
            let text = fs::read_to_string(root().join("host/engine/src").join(file)).unwrap_or_default();
            assert_eq!(text.matches(from).count(), 1, "{name}: {file}");
            assert_ne!(from, to, "{name}");
        }
    }
}
