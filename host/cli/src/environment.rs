//! What comes from outside: files, variables, the clock. Read here, handed on as values.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use oc_mirror_engine::net::{Proxies, Secret};
use oc_mirror_model::Size;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::CliError;

/// Returns a variable that is set to something.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns the words of the command line, without the program.
pub(crate) fn words() -> Vec<String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
}

/// Answers whether somebody looks at the standard error who sees what is written over: it is a terminal that can do that, and
/// not the log of a build machine.
pub(crate) fn is_interactive() -> bool {
    let is_capable = variable("TERM").is_some_and(|term| term != "dumb");
    let is_ci = variable("CI").is_some_and(|ci| !["0", "false"].contains(&ci.as_str()));
    std::io::stderr().is_terminal() && is_capable && !is_ci
}

/// The time of a run, and whether it was fixed from outside.
pub(crate) struct Created {
    /// RFC 3339, in UTC, whole seconds.
    pub text: String,
    /// True if `SOURCE_DATE_EPOCH` says so.
    pub is_fixed: bool,
}

impl Created {
    /// Returns the day, `YYYY-MM-DD`.
    pub(crate) fn day(&self) -> &str {
        self.text.split_once('T').map_or("", |(day, _)| day)
    }
}

/// Returns the time of the run, which `SOURCE_DATE_EPOCH` overrides for reproducible imagesets.
pub(crate) fn created() -> Result<Created, CliError> {
    let fixed = variable("SOURCE_DATE_EPOCH");
    let seconds = match &fixed {
        Some(text) => text.parse::<i64>().map_err(|e| {
            CliError::caused(format!("SOURCE_DATE_EPOCH is `{text}`"), &e)
                .hint("it is a number of seconds since 1970-01-01 00:00:00 UTC")
        })?,
        None => SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX)),
    };
    let text =
        OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|t| t.format(&Rfc3339).ok()).ok_or_else(
            || CliError::new(format!("{seconds} s after 1970 is no time that can be written down")),
        )?;
    Ok(Created { text, is_fixed: fixed.is_some() })
}

/// Returns where compiled plugins are kept.
pub(crate) fn plugin_cache() -> Option<PathBuf> {
    Some(user_cache()?.join("plugins"))
}

/// Returns where that is kept which was found out about catalogs outside of any workspace.
pub(crate) fn catalog_cache() -> Option<PathBuf> {
    Some(user_cache()?.join("catalogs"))
}

fn user_cache() -> Option<PathBuf> {
    Some(cache()?.join("oc-mirror"))
}

/// Returns where programs of the user keep what can be had again.
pub(crate) fn cache() -> Option<PathBuf> {
    variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|p| p.is_absolute())
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache")))
}

/// Returns the name of this machine, if it has one.
pub(crate) fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty() && name != "(none)")
}

/// Returns the proxies that the usual variables name, in either case.
pub(crate) fn proxies() -> Proxies {
    let either = |name: &str| variable(name).or_else(|| variable(&name.to_ascii_uppercase()));
    let all = either("all_proxy");
    Proxies {
        // Upper-case HTTP_PROXY is what a CGI server makes of a request's `Proxy` header; this is none.
        http: either("http_proxy").or_else(|| all.clone()).map(Secret::new),
        https: either("https_proxy").or(all).map(Secret::new),
        exempt: either("no_proxy").unwrap_or_default(),
    }
}

/// Returns where the user's configuration is.
pub(crate) fn user_config() -> Option<PathBuf> {
    variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|p| p.is_absolute())
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".config")))
}

/// Returns the places of a file or directory of containers/image, the user's before that of the machine.
pub(crate) fn containers(name: &str) -> Vec<PathBuf> {
    let dirs = user_config().into_iter().chain([PathBuf::from("/etc")]);
    dirs.map(|dir| dir.join("containers").join(name)).collect()
}

/// Returns the directories that have certificates of registries, each in a directory of its `host:port`.
pub(crate) fn certificates() -> Vec<PathBuf> {
    let mut dirs = containers("certs.d");
    dirs.push(PathBuf::from("/etc/docker/certs.d"));
    dirs
}

/// Reads a file that the user named.
pub(crate) fn read(path: &Path, what: &str) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|error| {
        CliError::caused(format!("{what} `{}` cannot be read", path.display()), &error)
            .hint("check the path and its permissions")
    })
}

/// Reads a duration such as `500ms`, `2s`, `1m`.
pub(crate) fn duration(text: &str) -> Result<Duration, CliError> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let factor = match &text[digits..] {
        "ms" => Some(1),
        "" | "s" => Some(1000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let value = text[..digits].parse::<u64>().ok().zip(factor).and_then(|(n, f)| n.checked_mul(f));
    value
        .map(Duration::from_millis)
        .ok_or_else(|| CliError::new(format!("`{text}` is not a duration")).hint("write 500ms, 2s, 1m or 1h"))
}

/// Reads a number of bytes per second: a plain number is one of bytes.
pub(crate) fn rate(text: &str) -> Result<u64, CliError> {
    match text.parse() {
        Ok(bytes) => Ok(bytes),
        Err(_) => text.parse::<Size>().map(Size::bytes).map_err(|error| {
            CliError::from_error(&error).hint("write 500 or 0 for bytes per second, or 10KiB")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("0", Some(0))]
    #[case("500", Some(500))]
    #[case("10KiB", Some(10_240))]
    #[case("fast", None)]
    fn rates(#[case] text: &str, #[case] expected: Option<u64>) {
        assert_eq!(rate(text).ok(), expected);
    }

    #[rstest]
    #[case("500ms", Some(500))]
    #[case("2s", Some(2000))]
    #[case("3", Some(3000))]
    #[case("1h", Some(3_600_000))]
    #[case("soon", None)]
    #[case("99999999999999999999s", None)]
    fn durations(#[case] text: &str, #[case] expected: Option<u64>) {
        assert_eq!(duration(text).ok(), expected.map(Duration::from_millis));
    }
}
