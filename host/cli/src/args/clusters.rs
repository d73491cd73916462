//! `oc-mirror clusters`: what clusters run, and how they get to what is mirrored.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{ClusterArgs, NetworkArgs};

#[derive(Debug, Args)]
pub(crate) struct ClustersArgs {
    #[command(subcommand)]
    pub what: ClustersCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClustersCommand {
    /// Read what clusters run into a file that can be carried out
    Inspect(InspectArgs),
    /// Plan how clusters get to what a configuration mirrors, and what the configuration lacks for it
    Plan(Box<PlanArgs>),
}

#[derive(Debug, Args)]
#[command(after_help = "\
The file has for each cluster: versions and channel of OpenShift, architectures, and the operators with package,
channel, versions and the path of their catalog's image. It has no names of clusters, namespaces or objects, no hosts,
and no identities; --include adds them. `oc-mirror schema clusters` prints its schema.

A cluster that cannot be read does not stop the others; the file says which one is missing, and the exit code is 32.")]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub clusters: ClusterArgs,

    /// Write into this file [default: the standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Put more into the file than a plan needs
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    pub include: Vec<IncludeWhat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum IncludeWhat {
    /// Contexts as names of clusters, names of Subscriptions, ClusterExtensions and catalogs, and their namespaces
    Names,
    /// Hosts of catalogs' images, and the update service that a cluster asks
    Addresses,
    /// The clusterID by which a cluster is known to its vendor
    Ids,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Clusters need no connection here: update graphs and catalogs are read as `oc-mirror list` reads them. What is found out
about a catalog is kept, and a tag that was looked up before is not looked up again without --refresh.
UPDATE_URL_OVERRIDE names another server of update graphs than that of OpenShift.

Gaps that the patched configuration closes are no failure. Exit codes add up: 2 a release has no way, 4 an operator,
32 the file says of a cluster that it could not be read.")]
pub(crate) struct PlanArgs {
    /// Read what is mirrored from this ImageSetConfiguration
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,

    /// Read what clusters run from this file of `oc-mirror clusters inspect`
    #[arg(long, value_name = "FILE")]
    pub clusters: PathBuf,

    /// Bring clusters to this version [default: the highest that the configuration mirrors]
    #[arg(long, value_name = "VERSION")]
    pub target: Option<String>,

    /// Take updates with these risks like all others; `all` takes every update
    #[arg(long, value_name = "RISK", value_delimiter = ',')]
    pub accept_risks: Vec<String>,

    /// Write the patched configuration into this file
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,

    /// Look the tags of catalogs up again
    #[arg(long)]
    pub refresh: bool,

    /// Use what runs with this workspace have found out [default: the user's cache directory]
    #[arg(long, value_name = "file://DIR")]
    pub workspace: Option<String>,

    #[command(flatten)]
    pub network: NetworkArgs,

    /// What to print
    #[arg(short, long, value_enum, default_value_t = PlanFormat::Text)]
    pub output: PlanFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanFormat {
    /// The plan as tables, for people
    Text,
    /// The plan, for programs
    Json,
    /// The plan, for programs and people
    Yaml,
    /// The patched configuration
    Config,
}
