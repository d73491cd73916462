//! `cargo xtask wit freeze`: makes a release of the contract, which is never changed afterwards.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::run::{Tool, root, step, target};

/// Copies the contract to `wit/released/VERSION`, and builds the guest of `tests/released/VERSION` against it.
pub(crate) fn freeze() -> Outcome {
    let text = read(&root().join("wit/plugin.wit"))?;
    let version = version(&text).ok_or("wit/plugin.wit names no version")?;
    let released = root().join("wit/released").join(version);
    let guest = root().join("tests/released").join(version);
    step("release", || release(&text, &released))?;
    step("guest", || build(&guest))
}

fn release(text: &str, released: &Path) -> Outcome {
    let file = released.join("plugin.wit");
    if file.exists() {
        return match read(&file)? == text {
            true => Ok(()),
            false => Err(format!(
                "{} is there and differs: a release is not changed, so give `wit/plugin.wit` another version",
                file.display()
            )),
        };
    }
    fs::create_dir_all(released).map_err(|e| format!("{}: {e}", released.display()))?;
    fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))
}

/// A component that is there stays: it stands for those that others built at the time.
fn build(guest: &Path) -> Outcome {
    let component = guest.join("guest.wasm");
    if component.exists() {
        return Ok(());
    }
    if !guest.join("plugin.toml").is_file() {
        return Err(format!(
            "{} has no guest: copy the one of the release before, and let it use what is new",
            guest.display()
        ));
    }
    Tool::cargo().args(["build", "--quiet", "--locked", "--workspace"]).run()?;
    let build = Tool::new(target().join("debug/oc-mirror")).args(["plugin", "build"]).path(guest);
    let printed = build.args(["--target-dir"]).path(&target().join("guests")).output()?;
    let built = printed.lines().next().map(PathBuf::from).ok_or("no component was built")?;
    fs::copy(&built, &component).map(drop).map_err(|e| format!("{}: {e}", built.display()))
}

/// The version in `package NAME@VERSION;`.
fn version(text: &str) -> Option<&str> {
    let line = text.lines().find_map(|line| line.strip_prefix("package "))?;
    line.trim_end().strip_suffix(';')?.split_once('@').map(|(_, version)| version)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_in_the_first_line() {
        assert_eq!(version("/// Words.\npackage a:b@1.2.3;\n"), Some("1.2.3"));
        assert_eq!(version("package a:b;\n"), None);
    }

    #[test]
    fn a_release_is_not_changed() {
        let dir = std::env::temp_dir().join(format!("xtask-wit-{}", std::process::id()));
        release("one", &dir).expect("there was none");
        release("one", &dir).expect("it is the same");
        let error = release("two", &dir).unwrap_err();
        assert!(error.contains("a release is not changed"), "{error}");
        assert_eq!(read(&dir.join("plugin.wit")).expect("there"), "one");
        fs::remove_dir_all(&dir).expect("removed");
    }
}
