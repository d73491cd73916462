//! Corpora: what targets begin with. The seeds are part of the repository; real files are taken from `../shared/fixtures`, where
//! they are, with the bytes in front of them by which a target knows what they are.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Spec, project};
use crate::Outcome;
use crate::run::root;

/// Files that become inputs of a target.
struct Source {
    target: &'static str,
    /// What is put in front of each.
    before: &'static [u8],
    /// Where they are, below the fixtures or, with `./` in front, below the root of the repository.
    below: &'static str,
    /// What their path has to contain, any of these.
    named: &'static [&'static str],
}

const fn source(
    target: &'static str,
    before: &'static [u8],
    below: &'static str,
    named: &'static [&'static str],
) -> Source {
    Source { target, before, below, named }
}

const SOURCES: [Source; 26] = [
    source("config", &[0, 0], "imageset-configs", &[".yaml", ".yml"]),
    source("config", &[1, 0], "./examples", &[".yaml"]),
    source("yaml", &[0], "imageset-configs", &[".yaml", ".yml"]),
    source("yaml", &[0], "helm", &[".yaml"]),
    source("yaml", &[1], "results", &[".yaml"]),
    source("manifest", &[0], "registries", &["manifest", "fixtures"]),
    source("manifest", &[0], "images", &[""]),
    source("layer", &[0, 0, 0], "images", &[""]),
    source("catalog", &[64, 0, 1], "fbc", &[".json", ".yaml"]),
    source("catalog", &[200, 0, 0], "fbc", &[".yaml"]),
    source("cincinnati", &[0, 3, 1], "cincinnati", &[".json"]),
    source("openpgp", &[1], "release", &["signature", "sha256="]),
    source("openpgp", &[0], "release", &["key", ".asc", ".gpg"]),
    source("openpgp", &[0], "registries", &[".gpg", ".pgp", ".asc", ".pub"]),
    source("openpgp", &[1], "registries", &["signature"]),
    source("signatures", &[0], "registries", &["signature", "sigstore", "cosign"]),
    source("signatures", &[1], "registries", &["rekor", "sigstore"]),
    source("registries_conf", &[0], "registries", &[".conf", ".toml"]),
    source("registries_conf", &[1], "registries", &["auth", "config.json", "docker"]),
    source("registries_conf", &[2], "registries", &["registries.d", "default.yaml"]),
    source("policy", &[0], "registries", &["policy"]),
    source("chart", &[0], "helm", &[".tgz"]),
    source("archives", &[1], "v1-imagesets", &[".tar"]),
    source("records", &[4], "results", &["delete"]),
    source("plugin", &[0], "./plugins", &["plugin.toml"]),
    source("plugin", &[0], "./examples", &["plugin.toml"]),
];

/// Returns where a target's corpus is.
pub(super) fn dir(target: &str) -> PathBuf {
    project().join("corpus").join(target)
}

/// Returns where a target's seeds are.
pub(super) fn seeds(target: &str) -> PathBuf {
    project().join("seeds").join(target)
}

/// Copies real files into the corpora of targets.
pub(super) fn fill(targets: &[Spec]) -> Outcome {
    let fixtures = root().join("../shared/fixtures");
    if !fixtures.is_dir() {
        println!("    skipped: no ../shared/fixtures; the seeds have to do");
    }
    for spec in targets {
        let dir = dir(spec.name);
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let mut count = 0;
        for source in SOURCES.iter().filter(|source| source.target == spec.name) {
            let below = match source.below.strip_prefix("./") {
                Some(below) => root().join(below),
                None => fixtures.join(source.below),
            };
            for path in files(&below) {
                count += u32::from(take(source, &path, spec, &dir)?);
            }
        }
        if count > 0 {
            println!("    {}: {count} real files", spec.name);
        }
    }
    Ok(())
}

/// Copies a file, if it is one that counts.
fn take(source: &Source, path: &Path, spec: &Spec, dir: &Path) -> Result<bool, String> {
    let named = path.to_string_lossy();
    if !source.named.iter().any(|part| named.contains(part)) {
        return Ok(false);
    }
    let failed = |e: std::io::Error| format!("{}: {e}", path.display());
    let length = fs::metadata(path).map_err(failed)?.len();
    if length + source.before.len() as u64 > spec.longest as u64 {
        return Ok(false);
    }
    let bytes = [source.before, &fs::read(path).map_err(failed)?].concat();
    // The same file may be there under several names.
    let name = format!("real-{}", sha256(&bytes));
    let to = dir.join(name);
    if to.exists() {
        return Ok(false);
    }
    fs::write(&to, bytes).map_err(|e| format!("{}: {e}", to.display()))?;
    Ok(true)
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Lists the files below a directory, but for what is built.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![dir.to_path_buf()];
    while let Some(dir) = waiting.pop() {
        for path in fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() && !path.ends_with("target") && !path.is_symlink() {
                waiting.push(path);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_of_targets() {
        for source in &SOURCES {
            assert!(super::super::TARGETS.iter().any(|spec| spec.name == source.target), "{}", source.target);
        }
        // Some are in the repository, so that this is never only about what is not there.
        let tomls = files(&root().join("plugins"));
        assert!(tomls.iter().any(|path| path.ends_with("plugin.toml")));
    }
}
