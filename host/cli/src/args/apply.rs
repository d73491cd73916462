//! The arguments of `oc-mirror apply`, and those of `--apply`.

use std::path::PathBuf;

use clap::Args;

use super::cluster_access::HEADING;
use super::{ClusterArgs, Format};

/// What `oc-mirror apply` takes.
#[derive(Debug, Args)]
#[command(after_help = "\
Resources are applied by server-side apply, as field manager `oc-mirror`. Which clusters:
  --kubeconfig A --kubeconfig B                 the current context of each
  --kubeconfig A --context x --context y        two contexts of one file
  --kubeconfig A --context x --kubeconfig B     context x of A, and the current one of B
  --context x                                   context x of KUBECONFIG or ~/.kube/config
  nothing                                       the cluster that `oc` talks to; in a pod its own

Exit codes add up: 1 wrong arguments, 32 a cluster that could not be told all of it,
64 not ready in the time of --wait")]
pub(crate) struct ApplyArgs {
    /// Apply these files, and all YAML and JSON files of these directories
    #[arg(value_name = "FILE|DIR", conflicts_with = "workspace")]
    pub paths: Vec<PathBuf>,

    /// Apply what is in working-dir/cluster-resources/ below this directory
    #[arg(long, value_name = "file://DIR")]
    pub workspace: Option<String>,

    /// Apply the resources of this target, where the workspace has several
    #[arg(long, value_name = "docker://HOST[/PREFIX]", requires = "workspace")]
    pub target: Option<String>,

    /// Show what would change, and do not change it
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    pub options: ApplyOptions,

    /// How to print the result
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,

    /// Print nothing but errors
    #[arg(short, long)]
    pub quiet: bool,
}

/// How clusters are told.
#[derive(Debug, Args)]
pub(crate) struct ApplyOptions {
    #[command(flatten)]
    pub clusters: ClusterArgs,

    /// Change clusters without asking first
    #[arg(short, long, help_heading = HEADING)]
    pub yes: bool,

    /// Take over fields that others have set, and resources of other chains
    #[arg(long, help_heading = HEADING)]
    pub force_conflicts: bool,

    /// Remove resources that the chain made and does not want any more
    #[arg(long, help_heading = HEADING)]
    pub prune_resources: bool,

    /// Wait until catalogs are served and nodes have their configuration, at most this long [default: 1h]
    #[arg(long, help_heading = HEADING, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "1h")]
    pub wait: Option<String>,
}

impl ApplyOptions {
    /// Returns the first of these arguments that was given, for a run that applies nothing.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let given = [
            (!self.clusters.named.is_empty(), "--kubeconfig and --context are"),
            (self.yes, "--yes is"),
            (self.force_conflicts, "--force-conflicts is"),
            (self.prune_resources, "--prune-resources is"),
            (self.wait.is_some(), "--wait is"),
        ];
        given.into_iter().find_map(|(is_given, name)| is_given.then_some(name))
    }
}
