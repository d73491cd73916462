//! [`Base`]: how the image of a catalog is started, and where it has what must not outlive a change of the catalog.
//!
//! `opm serve` keeps a cache of what it serves and refuses to start from one that was made of something else. A smaller
//! catalog cannot bring a cache of its own, since only `opm` makes those; so the directories of caches are emptied, and
//! the command names none. Then every `opm` makes what it needs when it starts, in a directory for temporary files.

use std::collections::BTreeSet;

use oc_mirror_plugin_sdk::Error;
use oc_mirror_plugin_sdk::host::registry::Image;
use serde::Deserialize;

/// Where the catalog is in what is built.
pub(crate) const CONFIGS: &str = "configs";
/// Where images that nobody described otherwise have their cache.
const USUAL_CACHE: &str = "tmp/cache";
/// The option that says where the cache is.
const CACHE_OPTION: &str = "--cache-dir";

/// How an image is started.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Base {
    /// The entrypoint to set, where that of the image will not do.
    pub(crate) entrypoint: Option<Vec<String>>,
    /// Whether it is started by `opm`, for all that can be seen.
    pub(crate) is_opm: bool,
    /// Directories of caches, without slashes around them.
    pub(crate) caches: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    config: Option<Runtime>,
    #[serde(default)]
    history: Option<Vec<Step>>,
}

#[derive(Default, Deserialize)]
struct Runtime {
    #[serde(default, rename = "Entrypoint")]
    entrypoint: Option<Vec<String>>,
    #[serde(default, rename = "Cmd")]
    cmd: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Step {
    #[serde(default)]
    created_by: Option<String>,
}

impl Base {
    /// Looks at the images of all platforms; the first one says how they are started.
    pub(crate) fn of(images: &[Image]) -> Result<Self, Error> {
        let mut base: Option<Self> = None;
        for image in images {
            let found = Self::read(&image.config()?);
            match &mut base {
                Some(base) => base.caches.extend(found.caches),
                None => base = Some(found),
            }
        }
        Ok(base.unwrap_or_default())
    }

    fn read(config: &[u8]) -> Self {
        let config: Config = serde_json::from_slice(config).unwrap_or(Config { config: None, history: None });
        let runtime = config.config.unwrap_or_default();
        let (entrypoint, cmd) = (runtime.entrypoint.unwrap_or_default(), runtime.cmd.unwrap_or_default());
        let history = config.history.unwrap_or_default();
        let lines = history.iter().filter_map(|step| step.created_by.as_deref());
        let mut caches: BTreeSet<String> =
            lines.flat_map(|line| caches(line.split_ascii_whitespace())).collect();
        caches.extend(caches_of(&entrypoint));
        caches.extend(caches_of(&cmd));
        caches.insert(USUAL_CACHE.to_owned());
        // The catalog itself is dealt with apart.
        caches.retain(|cache| cache != CONFIGS);
        let all: Vec<&String> = entrypoint.iter().chain(&cmd).collect();
        let opm = all.iter().flat_map(|word| word.split_ascii_whitespace()).find(|word| is_opm(word));
        let stays = entrypoint.len() == 1 && is_opm(&entrypoint[0]);
        let replaced = opm.filter(|_| !stays).map(|opm| vec![opm.to_owned()]);
        Self { is_opm: opm.is_some(), entrypoint: replaced, caches }
    }
}

fn is_opm(word: &str) -> bool {
    word.rsplit('/').next() == Some("opm")
}

fn caches_of(words: &[String]) -> Vec<String> {
    caches(words.iter().flat_map(|word| word.split_ascii_whitespace()))
}

/// Finds `--cache-dir DIR` and `--cache-dir=DIR`.
fn caches<'a>(mut words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        let word = word.trim_matches(['"', '\'', '[', ']', ',']);
        let Some(rest) = word.strip_prefix(CACHE_OPTION) else { continue };
        let directory = match rest.strip_prefix('=') {
            Some(directory) => Some(directory),
            None if rest.is_empty() => words.next(),
            None => None,
        };
        let directory = directory.map(|d| d.trim_matches(['"', '\'', '[', ']', ',', '/']).to_owned());
        found.extend(directory.filter(|d| is_plain(d)));
    }
    found
}

/// A path that can be named in a layer, and is no directory that others need.
fn is_plain(path: &str) -> bool {
    let depth = path.split('/').count();
    let good = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['$', '`', '*']);
    path.split('/').all(good) && (depth > 1 || !matches!(path, "tmp" | "var" | "etc" | "usr" | "bin" | "lib"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn base(entrypoint: &[&str], cmd: &[&str], history: &[&str]) -> Base {
        let history: Vec<_> = history.iter().map(|by| json!({"created_by": by})).collect();
        let config = json!({"config": {"Entrypoint": entrypoint, "Cmd": cmd}, "history": history});
        Base::read(config.to_string().as_bytes())
    }

    fn caches_of(base: &Base) -> Vec<&str> {
        base.caches.iter().map(String::as_str).collect()
    }

    #[test]
    fn the_usual_image() {
        let base = base(
            &["/bin/opm"],
            &["serve", "/configs", "--cache-dir=/tmp/cache"],
            &["RUN /bin/opm serve /configs --cache-dir=/tmp/cache --cache-only"],
        );
        assert_eq!((base.is_opm, &base.entrypoint), (true, &None));
        assert_eq!(caches_of(&base), ["tmp/cache"]);
    }

    #[rstest]
    #[case(&["/bin/opm", "serve"], &["/configs"], "/bin/opm")]
    #[case(&[], &["/usr/bin/opm", "serve", "/configs"], "/usr/bin/opm")]
    #[case(&["/bin/sh", "-c", "exec /bin/opm serve /configs --cache-dir /var/opm/cache"], &[], "/bin/opm")]
    fn others(#[case] entrypoint: &[&str], #[case] cmd: &[&str], #[case] opm: &str) {
        let base = base(entrypoint, cmd, &[]);
        assert_eq!(base.entrypoint, Some(vec![opm.to_owned()]));
    }

    #[test]
    fn caches_are_found_wherever_they_are_named() {
        let base = base(
            &["/bin/sh", "-c", "opm serve /configs --cache-dir /var/opm/cache"],
            &[],
            &["RUN opm serve /configs \"--cache-dir=/cache\" --cache-only", "ENV X=--cache-dir=$HOME/c"],
        );
        assert_eq!(caches_of(&base), ["cache", "tmp/cache", "var/opm/cache"]);
    }

    #[test]
    fn what_is_not_opm_is_left_alone() {
        let base = base(&["/server"], &["--all"], &[]);
        assert_eq!((base.is_opm, base.entrypoint), (false, None));
    }
}
