//! `cargo xtask bench …`: what the release build needs of time and memory, held to limits.

mod catalog;
mod plugins;
mod process;
mod startup;
mod synthetic;
mod transfer;
mod updates;

use std::path::PathBuf;

use crate::Outcome;
use crate::run::{Tool, step, target};
use crate::setup::{self, Need};

pub(crate) use catalog::catalog;
pub(crate) use plugins::plugins;
pub(crate) use startup::startup;
pub(crate) use transfer::{soak, transfer};
pub(crate) use updates::updates;

/// Returns the program that is measured: the one that was named, or one that is built for release.
fn program(named: Option<&PathBuf>, needs: &[Need]) -> Result<PathBuf, String> {
    named.map_or_else(|| release(needs), |program| Ok(program.clone()))
}

/// Installs what a measurement needs besides the compiler of plugins, and builds the program for release.
fn release(needs: &[Need]) -> Result<PathBuf, String> {
    setup::install(&[&[Need::Guests], needs].concat())?;
    step("build", build)?;
    Ok(target().join("release/oc-mirror"))
}

fn build() -> Outcome {
    Tool::cargo().args(["build", "--release", "--locked", "--package", "oc-mirror"]).run()
}
