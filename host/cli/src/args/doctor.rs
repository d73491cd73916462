//! The arguments of `oc-mirror doctor`.

use std::path::PathBuf;

use clap::Args;

use super::{Format, NetworkArgs};

#[derive(Debug, Args)]
#[command(after_help = "\
What is looked at: of every registry and server that the configuration names, address, certificate, clock and
credential; of the target also what it is, and whether a push may begin, for which an upload is opened and given up
at once; of this machine the workspace, the space for it, and how many files may be open.

Exit codes: 0 a run can begin, with warnings or without; 1 something failed")]
pub(crate) struct DoctorArgs {
    /// Look at what this ImageSetConfiguration needs
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// And at where to mirror to: docker://HOST[:PORT][/PREFIX] or file://DIR
    #[arg(value_name = "DESTINATION", required_unless_present = "config")]
    pub destination: Option<String>,

    /// And at the workspace in this directory
    #[arg(long, value_name = "file://DIR")]
    pub workspace: Option<String>,

    #[command(flatten)]
    pub network: NetworkArgs,

    /// How to print what was found
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
}
