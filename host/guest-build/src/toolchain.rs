//! [`Toolchain`]: which compiler makes wasm32-unknown-unknown here, and how cargo is run with it.

use std::collections::BTreeSet;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::error::GuestBuildError;

const TARGET: &str = "wasm32-unknown-unknown";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_LINKER: &str = "wasm-ld-19";

/// How many lines of cargo's output an error keeps: enough for the first compiler errors.
const OUTPUT_LINES: usize = 80;

/// A compiler that makes wasm32-unknown-unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The active toolchain has the target's standard library.
    Installed,
    /// Debian's compiler, which builds the standard library for the target from its source package.
    Debian,
}

impl Toolchain {
    /// Finds a compiler for guests in `dir`; rustup's override files there count.
    pub fn find(dir: &Path) -> Result<Self, GuestBuildError> {
        if printed("rustc", &["--print", "target-libdir", "--target", TARGET], dir)
            .is_some_and(|d| d.is_dir())
        {
            return Ok(Self::Installed);
        }
        let sources = printed(DEBIAN_RUSTC, &["--print", "sysroot"], dir)
            .is_some_and(|root| root.join("lib/rustlib/src/rust/library/std").is_dir());
        match sources && Path::new(DEBIAN_CARGO).is_file() && on_path(DEBIAN_LINKER) {
            true => Ok(Self::Debian),
            false => Err(GuestBuildError::NoToolchain),
        }
    }

    fn rustc(&self) -> &'static str {
        match self {
            Self::Installed => "rustc",
            Self::Debian => DEBIAN_RUSTC,
        }
    }

    fn cargo(&self) -> &'static str {
        match self {
            Self::Installed => "cargo",
            Self::Debian => DEBIAN_CARGO,
        }
    }

    /// Returns what `cargo metadata` says about the workspace in `dir`.
    pub(crate) fn metadata(&self, dir: &Path) -> Result<Vec<u8>, GuestBuildError> {
        let args = ["metadata", "--no-deps", "--format-version", "1"];
        let mut command = clean(self.cargo(), dir);
        command.args(args);
        Ok(run(command, &args.join(" "), dir)?.stdout)
    }

    /// Compiles packages of the workspace in `dir`.
    pub(crate) fn compile(
        &self,
        dir: &Path,
        target_dir: &Path,
        packages: &[&str],
    ) -> Result<(), GuestBuildError> {
        let mut args = vec!["build", "--release", "--target", TARGET];
        if *self == Self::Debian {
            args.push("-Zbuild-std=std,panic_abort");
        }
        for package in packages {
            args.extend(["-p", package]);
        }
        let mut command = clean(self.cargo(), dir);
        command.args(&args);
        command.env("CARGO_TARGET_DIR", target_dir);
        command.env("CARGO_ENCODED_RUSTFLAGS", self.flags(dir));
        if *self == Self::Debian {
            command.env("RUSTC_BOOTSTRAP", "1");
            command.env("RUSTC", DEBIAN_RUSTC);
            command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", DEBIAN_LINKER);
        }
        run(command, &args.join(" "), dir)?;
        Ok(())
    }

    /// The flags that keep this machine's paths out of the guests.
    ///
    /// They are the same for all workspaces, so those that share a target directory share the standard library too.
    fn flags(&self, dir: &Path) -> OsString {
        let home = env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
        let sysroot = printed(self.rustc(), &["--print", "sysroot"], dir);
        let remap = |from: PathBuf, to: &str| {
            let mut flag = OsString::from("--remap-path-prefix=");
            flag.push(from);
            flag.push("=");
            flag.push(to);
            flag
        };
        let home = home.map(|home| remap(home.join("registry/src"), "/registry"));
        let sources = sysroot.map(|root| remap(root.join("lib/rustlib/src/rust"), "/rust"));
        let flags: Vec<OsString> = home.into_iter().chain(sources).collect();
        flags.join(OsStr::new("\u{1f}"))
    }
}

/// Runs a program that prints one path.
fn printed(program: &str, args: &[&str], dir: &Path) -> Option<PathBuf> {
    let output = clean(program, dir).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| PathBuf::from(text.trim()))
}

fn on_path(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// A program whose environment says where things are, and nothing about the build it is called from.
///
/// A build script's environment names the outer build's compiler, flags, target directory, features and job server;
/// any of them would change the guests or block the inner cargo.
fn clean(program: &str, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dir).env_clear().envs(env::vars_os().filter(|(name, _)| is_kept(name)));
    command
}

fn is_kept(name: &OsStr) -> bool {
    const NAMES: [&str; 19] = [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "TMPDIR",
        "LANG",
        "CARGO_HOME",
        "RUSTUP_HOME",
        "RUSTUP_AUTO_INSTALL",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "GIT_SSL_CAINFO",
        "SSH_AUTH_SOCK",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
    ];
    // How to reach package registries, as opposed to how to build.
    const PREFIXES: [&str; 5] =
        ["CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRY_", "CARGO_REGISTRIES_", "CARGO_SOURCE_"];
    name.to_str().is_some_and(|n| NAMES.contains(&n) || PREFIXES.iter().any(|p| n.starts_with(p)))
}

fn run(mut command: Command, args: &str, dir: &Path) -> Result<Output, GuestBuildError> {
    let program = PathBuf::from(command.get_program());
    let output =
        command.output().map_err(|source| GuestBuildError::Start { program: program.clone(), source })?;
    if output.status.success() {
        return Ok(output);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(OUTPUT_LINES)..];
    Err(GuestBuildError::Cargo {
        command: format!("{} {args}", program.display()),
        dir: dir.into(),
        output: last.join("\n"),
    })
}

/// Reads the files that cargo's dep-info `path` names as inputs.
pub(crate) fn dep_info(path: &Path) -> Result<BTreeSet<PathBuf>, GuestBuildError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| GuestBuildError::Io { path: path.into(), source })?;
    Ok(text.lines().filter_map(|line| line.split_once(": ")).flat_map(|(_, files)| split(files)).collect())
}

/// Splits at spaces; a space in a name is written `\ `.
fn split(files: &str) -> Vec<PathBuf> {
    const STAND_IN: &str = "\0";
    files
        .replace("\\ ", STAND_IN)
        .split_whitespace()
        .map(|file| PathBuf::from(file.replace(STAND_IN, " ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("PATH", true)]
    #[case("CARGO_HOME", true)]
    #[case("CARGO_NET_OFFLINE", true)]
    #[case("HTTPS_PROXY", true)]
    #[case("CARGO_MAKEFLAGS", false)]
    #[case("CARGO_ENCODED_RUSTFLAGS", false)]
    #[case("CARGO_TARGET_DIR", false)]
    #[case("CARGO_PROFILE_RELEASE_LTO", false)]
    #[case("RUSTFLAGS", false)]
    #[case("RUSTC", false)]
    #[case("RUSTC_WRAPPER", false)]
    #[case("RUSTUP_TOOLCHAIN", false)]
    #[case("MAKEFLAGS", false)]
    #[case("OUT_DIR", false)]
    #[case("TARGET", false)]
    fn environment(#[case] name: &str, #[case] kept: bool) {
        assert_eq!(is_kept(OsStr::new(name)), kept);
    }

    #[test]
    fn dep_info_with_spaces() {
        assert_eq!(split("/a/b.rs /c\\ d/e.rs"), [PathBuf::from("/a/b.rs"), PathBuf::from("/c d/e.rs")]);
    }
}
