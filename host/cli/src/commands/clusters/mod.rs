//! `oc-mirror clusters`: what clusters run, and how they get to what is mirrored.

mod inspect;
mod plan;
mod tables;

use std::path::Path;

use oc_mirror_engine::fsx;

use crate::args::{ClustersArgs, ClustersCommand};
use crate::error::CliError;

pub(crate) use inspect::gather;
pub(crate) use plan::inventory;

/// Does what the arguments ask for.
pub(crate) fn run(args: &ClustersArgs) -> Result<u8, CliError> {
    let runtime = super::runtime()?;
    match &args.what {
        ClustersCommand::Inspect(args) => runtime.block_on(inspect::inspect(args)),
        ClustersCommand::Plan(args) => runtime.block_on(plan::plan(args)),
    }
}

/// Writes a whole file, or leaves what is there.
fn write(path: &Path, text: &str, what: &str) -> Result<(), CliError> {
    fsx::write_atomic(path, text.as_bytes()).map_err(|error| {
        CliError::caused(format!("{what} `{}` cannot be written", path.display()), &error)
            .hint("check the path and its permissions")
    })
}
