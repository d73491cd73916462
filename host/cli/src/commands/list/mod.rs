//! `oc-mirror list`: what there is to mirror.

mod operators;
mod questions;
mod releases;
mod updates;

use std::path::PathBuf;
use std::str::FromStr;

use oc_mirror_engine::workflow::cache_in;
use serde_json::Value;

use crate::args::{Format, ListArgs, ListCommand};
use crate::error::CliError;
use crate::output;

pub(crate) use operators::packages_of;
pub(crate) use questions::{Plugin, Questions, settings as asking};
pub(crate) use releases::questions as of_releases;
pub(crate) use releases::releases_of;
pub(crate) use updates::check_version;

/// Lists what the arguments ask for.
pub(crate) fn run(args: &ListArgs) -> Result<u8, CliError> {
    let runtime = super::runtime()?;
    match &args.what {
        ListCommand::Operators(args) => runtime.block_on(operators::list(args)),
        ListCommand::Releases(args) => runtime.block_on(releases::list(args)),
        ListCommand::Updates(args) => runtime.block_on(updates::list(args)),
    }
}

/// Reads a version of OpenShift as far as channels and catalogs are named after it: `4.20`.
fn minor<T: FromStr>(version: &str) -> Result<(T, T), CliError> {
    let number = |text: &str| text.parse().ok();
    let parsed = version.split_once('.').and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
    parsed.ok_or_else(|| {
        CliError::new(format!("`{version}` is not a version of OpenShift"))
            .hint("write two numbers, such as 4.20")
    })
}

/// Finds the directory for what is found out: that of a workspace, else the user's.
pub(crate) fn cache(workspace: Option<&str>, of_user: Option<PathBuf>) -> Result<PathBuf, CliError> {
    match workspace {
        Some(workspace) => match workspace.strip_prefix("file://").filter(|dir| !dir.is_empty()) {
            Some(dir) => Ok(cache_in(&PathBuf::from(dir))),
            None => Err(CliError::new(format!("--workspace is `{workspace}`"))
                .hint("a workspace is a directory: file://DIR")),
        },
        None => Ok(of_user.unwrap_or_else(|| std::env::temp_dir().join("oc-mirror"))),
    }
}

/// Prints an answer, for people as `text` has it.
pub(crate) fn print(format: Format, answer: &Value, text: impl FnOnce() -> String) -> Result<(), CliError> {
    match format {
        Format::Text => output::line(text().trim_end()),
        format => output::data(format, answer)?,
    }
    Ok(())
}
