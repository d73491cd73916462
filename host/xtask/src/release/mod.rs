//! `cargo xtask release`: the program as it is handed out, its inventory and its hashes, in `target/dist/`; with `--check`, built
//! twice in different places, and the same.
//!
//! What could differ between two machines is taken out: paths are written as if everything was built in the same places, nothing
//! in the program is a time, and versions are those of `Cargo.lock`. What remains is the compiler, whose version the inventory
//! names.

mod sbom;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use sha2::{Digest as _, Sha256};

use crate::Outcome;
use crate::run::{Tool, root, target};

/// What the paths in the program begin with, in place of those of this machine.
const SOURCES: &str = "/oc-mirror";
const REGISTRY: &str = "/registry";

/// What is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wishes {
    /// Build twice and compare.
    check: bool,
    /// Link the C library into the program.
    is_static: bool,
}

impl Wishes {
    fn read(options: &[&str]) -> Result<Self, String> {
        let mut wishes = Self::default();
        for option in options {
            match *option {
                "--check" => wishes.check = true,
                "--static" => wishes.is_static = true,
                other => return Err(format!("unknown option `{other}`; there are --check and --static")),
            }
        }
        Ok(wishes)
    }
}

/// Makes a release.
pub(crate) fn run(options: &[&str]) -> Outcome {
    let wishes = Wishes::read(options)?;
    let dist = target().join("dist");
    fs::create_dir_all(&dist).map_err(|e| format!("{}: {e}", dist.display()))?;
    if wishes.check {
        check(&dist, wishes.is_static)?;
    }
    let build = Build {
        sources: root(),
        target: dist.join("build"),
        cargo_home: cargo_home()?,
        is_static: wishes.is_static,
    };
    finish(&dist, &build.run()?, wishes.is_static)
}

/// One build of the program.
struct Build {
    sources: PathBuf,
    target: PathBuf,
    cargo_home: PathBuf,
    is_static: bool,
}

impl Build {
    /// Builds; returns where the program is.
    fn run(&self) -> Result<PathBuf, String> {
        let start = Instant::now();
        let triple = host()?;
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .current_dir(&self.sources)
            // The target is named, so that the flags are for the program and not for build scripts, which are programs, too.
            .args(["build", "--release", "--locked", "--package", "oc-mirror", "--target", &triple])
            .arg("--target-dir")
            .arg(&self.target)
            .env("CARGO_HOME", &self.cargo_home)
            .env("CARGO_ENCODED_RUSTFLAGS", self.flags())
            .env("CARGO_INCREMENTAL", "0")
            // What ThinLTO makes of the names of symbols depends on the directory.
            .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
            .env("SOURCE_DATE_EPOCH", time_of_sources().unwrap_or_default().to_string())
            // Paths in what is compiled from C: those of sources, and that of the directory it is compiled in.
            .env("CFLAGS", self.maps("-ffile-prefix-map=").join(" "));
        for variable in ["RUSTFLAGS", "RUSTC_WRAPPER", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            command.env_remove(variable);
        }
        let status = command.status().map_err(|e| format!("cannot run cargo: {e}"))?;
        if !status.success() {
            return Err(format!("the build in {} ended with {status}", self.sources.display()));
        }
        println!("    built in {} within {} s", self.sources.display(), start.elapsed().as_secs());
        Ok(self.target.join(triple).join("release/oc-mirror"))
    }

    fn maps(&self, option: &str) -> Vec<String> {
        // Of several that fit, the last one counts.
        let map = |from: &Path, to: &str| format!("{option}{}={to}", from.display());
        vec![
            map(&self.sources, SOURCES),
            map(&self.target, "/target"),
            map(&self.cargo_home.join("registry/src"), REGISTRY),
        ]
    }

    fn flags(&self) -> String {
        let mut flags = self.maps("--remap-path-prefix=");
        // Linkers hash the symbols, too, that are stripped then.
        flags.push("-Clink-arg=-Wl,--build-id=none".to_owned());
        if self.is_static {
            flags.push("-Ctarget-feature=+crt-static".to_owned());
        }
        flags.join("\u{1f}")
    }
}

/// Builds twice, in directories of different names and depths, with a different home of cargo, and compares.
fn check(dist: &Path, is_static: bool) -> Outcome {
    let place = dist.join("check");
    if place.exists() {
        fs::remove_dir_all(&place).map_err(|e| format!("{}: {e}", place.display()))?;
    }
    let home = cargo_home()?;
    let linked = place.join("another-home");
    let places = [(place.join("one"), home.clone()), (place.join("somewhere/else/two"), linked.clone())];
    fs::create_dir_all(&place).map_err(|e| format!("{}: {e}", place.display()))?;
    std::os::unix::fs::symlink(&home, &linked).map_err(|e| format!("{}: {e}", linked.display()))?;
    let mut found = Vec::new();
    for (number, (sources, cargo_home)) in places.into_iter().enumerate() {
        copy_sources(&sources)?;
        let target = place.join(format!("target-{number}"));
        let program = Build { sources, target, cargo_home, is_static }.run()?;
        let bytes = fs::read(&program).map_err(|e| format!("{}: {e}", program.display()))?;
        println!("    {}  {}", hash(&bytes), program.display());
        found.push(bytes);
    }
    match first_difference(&found[0], &found[1]) {
        None => {
            println!("    both builds are the same, {} bytes", found[0].len());
            fs::remove_dir_all(&place).map_err(|e| format!("{}: {e}", place.display()))
        }
        Some(at) => Err(format!(
            "the two builds differ, first at byte {at}; they are kept below {}\n\
             hint: `diffoscope` or `cmp -l` shows what it is",
            place.display()
        )),
    }
}

fn first_difference(one: &[u8], other: &[u8]) -> Option<usize> {
    let at = one.iter().zip(other).position(|(a, b)| a != b);
    at.or_else(|| (one.len() != other.len()).then(|| one.len().min(other.len())))
}

/// Copies what Git knows of, as it is now: neither what was built nor what lies around.
fn copy_sources(to: &Path) -> Outcome {
    let listed = Tool::new("git").args(["ls-files", "-z"]).output()?;
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (root().join(name), to.join(name));
        // What was removed and not committed is not there.
        if !from.is_file() {
            continue;
        }
        let failed = |e: std::io::Error| format!("{}: {e}", to.display());
        fs::create_dir_all(to.parent().unwrap_or(Path::new("/"))).map_err(failed)?;
        fs::copy(&from, &to).map_err(failed)?;
    }
    Ok(())
}

/// Puts program, inventory and hashes into `target/dist/`, after a look at whether the inventory is one of this program.
fn finish(dist: &Path, built: &Path, is_static: bool) -> Outcome {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |e: std::io::Error| format!("{path}: {e}")
    };
    let program = fs::read(built).map_err(failed(built))?;
    let triple = host()?;
    let bom = sbom::Bom::of_program(&triple)?;
    let found = sbom::packages_in(&program, REGISTRY);
    let lacking = bom.lacks(&found);
    if !lacking.is_empty() {
        return Err(format!("packages are in the program and not in its inventory: {lacking:?}"));
    }
    if found.len() < 50 {
        return Err(format!("the program names {} packages; its paths are not as expected", found.len()));
    }
    let own = [root(), cargo_home()?, target()].map(|path| path.display().to_string());
    if let Some(path) = own.iter().find(|path| contains(&program, path.as_bytes())) {
        return Err(format!("the program has a path of this machine in it: {path}"));
    }
    if is_static && !is_static_elf(&program) {
        return Err("the program asks for a dynamic linker".to_owned());
    }
    let sha256 = hash(&program);
    let rustc = Tool::new("rustc").args(["--version"]).output()?;
    let timestamp = time_of_sources().map(rfc3339);
    let release = sbom::Release {
        target: &triple,
        sha256: &sha256,
        rustc: rustc.trim(),
        timestamp: timestamp.as_deref(),
    };
    let document = format!("{:#}\n", bom.document(&release));
    let hashes = format!("{sha256}  oc-mirror\n{}  oc-mirror.cdx.json\n", hash(document.as_bytes()));
    let (to, inventory, sums) =
        (dist.join("oc-mirror"), dist.join("oc-mirror.cdx.json"), dist.join("SHA256SUMS"));
    fs::copy(built, &to).map_err(failed(&to))?;
    fs::write(&inventory, document).map_err(failed(&inventory))?;
    fs::write(&sums, &hashes).map_err(failed(&sums))?;
    println!(
        "    {} bytes, {} packages, {} of them seen in the program",
        program.len(),
        bom.len(),
        found.len()
    );
    print!("{hashes}");
    println!("    in {}", dist.display());
    Ok(())
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// Whether an ELF file of 64 bits names no dynamic linker: it has no program header `PT_INTERP`.
fn is_static_elf(program: &[u8]) -> bool {
    const INTERP: u32 = 3;
    let number = |at: usize, length: usize| -> Option<u64> {
        let bytes = program.get(at..at.checked_add(length)?)?;
        Some(bytes.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    };
    let header = || Some((number(0x20, 8)? as usize, number(0x36, 2)? as usize, number(0x38, 2)? as usize));
    let Some((start, size, count)) = header().filter(|_| program.starts_with(b"\x7fELF\x02\x01")) else {
        return false;
    };
    (0..count).all(|index| number(start + index * size, 4).is_some_and(|kind| kind != u64::from(INTERP)))
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the triple that is built for: that of this machine.
fn host() -> Result<String, String> {
    let version = Tool::new("rustc").args(["-vV"]).output()?;
    let triple = version.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned);
    triple.ok_or_else(|| "`rustc -vV` names no host".to_owned())
}

fn cargo_home() -> Result<PathBuf, String> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"));
    let found = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home);
    found.ok_or_else(|| "neither CARGO_HOME nor HOME is set".to_owned())
}

/// Returns the time of the sources, in seconds since 1970: `SOURCE_DATE_EPOCH`, else that of the last commit.
fn time_of_sources() -> Option<i64> {
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().filter(|text| !text.is_empty());
    let commit = || Tool::new("git").args(["log", "-1", "--format=%ct"]).output().ok();
    given.or_else(commit)?.trim().parse().ok()
}

/// Writes a time in UTC; see Howard Hinnant's `civil_from_days`.
fn rfc3339(seconds: i64) -> String {
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hours, minutes, seconds) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        assert_eq!(Wishes::read(&[]), Ok(Wishes::default()));
        assert_eq!(Wishes::read(&["--check", "--static"]), Ok(Wishes { check: true, is_static: true }));
        assert!(Wishes::read(&["--chekc"]).is_err_and(|error| error.contains("`--chekc`")));
    }

    #[test]
    fn differences_are_found() {
        assert_eq!(first_difference(b"abc", b"abc"), None);
        assert_eq!(first_difference(b"abc", b"abd"), Some(2));
        assert_eq!(first_difference(b"abc", b"abcd"), Some(3));
    }

    #[test]
    fn times_are_written() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_795_744_792), "2026-11-27T01:59:52Z");
        assert_eq!(rfc3339(4_107_542_400), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn this_test_has_a_dynamic_linker_and_no_text_has() {
        let own = std::env::current_exe().and_then(fs::read).expect("it can be read");
        assert!(!is_static_elf(&own), "it is linked as all tests are");
        assert!(!is_static_elf(b"\x7fELF\x02\x01") && !is_static_elf(b"text"));
    }

    #[test]
    fn the_longest_path_is_replaced_last() {
        let build = Build {
            sources: "/s".into(),
            target: "/s/target".into(),
            cargo_home: "/s/.cargo".into(),
            is_static: true,
        };
        let flags = build.flags();
        let flags: Vec<&str> = flags.split('\u{1f}').collect();
        assert_eq!(flags[0], "--remap-path-prefix=/s=/oc-mirror");
        assert_eq!(flags[2], "--remap-path-prefix=/s/.cargo/registry/src=/registry");
        assert!(flags.contains(&"-Ctarget-feature=+crt-static"));
    }
}
