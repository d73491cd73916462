//! `oc-mirror completion`.

use crate::args::{self, CompletionArgs};
use crate::error::CliError;
use crate::output;

/// Prints what a shell is to load.
pub(crate) fn run(args: &CompletionArgs) -> Result<u8, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::command(), "oc-mirror", &mut script);
    output::line(String::from_utf8_lossy(&script).trim_end());
    Ok(0)
}
