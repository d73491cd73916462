//! The arguments of `oc-mirror browse`.

use std::path::PathBuf;

use clap::Args;

use super::{BucketArgs, NetworkArgs, VerifyArgs};

#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The address that is printed can be used once, by one browser on this machine. Everything the page shows comes from this
program; it asks registries and update servers as a run does, and writes nothing but the file of --config.

UPDATE_URL_OVERRIDE names another server of update graphs than that of OpenShift.")]
pub(crate) struct BrowseArgs {
    /// Edit this configuration, and save to it; it need not be there
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Look into imagesets: a directory, one of their chunks, file://DIR or s3://BUCKET[/PREFIX]
    #[arg(long, value_name = "WHAT")]
    pub from: Option<String>,

    /// Offer this catalog, besides those of the configuration; can be given several times
    #[arg(long, value_name = "CATALOG")]
    pub catalog: Vec<String>,

    /// Listen on this port of 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,

    /// Use what runs with this workspace have found out, and its keys [default: the user's cache directory; keys beside
    /// the imagesets]
    #[arg(long, value_name = "file://DIR")]
    pub workspace: Option<String>,

    #[command(flatten)]
    pub verify: VerifyArgs,

    #[command(flatten)]
    pub network: NetworkArgs,

    #[command(flatten)]
    pub bucket: BucketArgs,
}
