//! What `oc-mirror delete` takes.

use std::path::PathBuf;

use clap::Args;

use super::{Format, LogArgs, NetworkArgs, ProgressMode, ResourceArgs};

#[derive(Debug, Args)]
#[command(after_help = "\
First make a list, from the record in the workspace and without a network:
  oc-mirror delete -c disc.yaml --generate --workspace file://DIR docker://HOST[:PORT][/PREFIX]
Then read it, and delete what is on it:
  oc-mirror delete --delete-yaml-file DIR/working-dir/delete/delete-images.yaml docker://HOST[:PORT][/PREFIX]
Then tell the connected side, so that it ships again what is wanted again:
  oc-mirror delete --delete-yaml-file FILE --workspace file://DIR

What another image has too stays, whichever chain it is of, and so does what has a tag of somebody else's.
The registry frees the space once it collects its garbage.

Exit codes add up: 1 anything general, 2 a release image, 4 an operator image,
8 an additional image or one of a custom plugin, 16 an image of a chart;
of images that a list names and that were left alone, or a configuration names and nobody mirrored")]
pub(crate) struct DeleteArgs {
    /// The target: docker://HOST[:PORT][/PREFIX]
    #[arg(value_name = "DESTINATION")]
    pub destination: Option<String>,

    /// List what a configuration means, and delete nothing
    #[arg(long, requires = "config", conflicts_with_all = ["delete_yaml_file", "dry_run"])]
    pub generate: bool,

    /// Read what is to be deleted from this DeleteImageSetConfiguration
    #[arg(short, long, value_name = "FILE", requires = "generate")]
    pub config: Option<PathBuf>,

    /// Delete what is on this list; without a DESTINATION, note in the workspace that it is deleted
    #[arg(long, value_name = "FILE")]
    pub delete_yaml_file: Option<PathBuf>,

    /// Use the record in working-dir/ below this directory, and write lists and cluster resources there
    #[arg(long, value_name = "file://DIR")]
    pub workspace: Option<String>,

    /// Add this to the names of the files that are written
    #[arg(long, value_name = "ID", requires = "generate")]
    pub delete_id: Option<String>,

    /// List signatures and other referrers of the images too
    #[arg(long, requires = "generate")]
    pub delete_signatures: bool,

    /// List the images under the tags that oc-mirror v1 gave them
    #[arg(long, requires = "generate")]
    pub delete_v1_images: bool,

    /// Show what would be deleted and how much that frees, and delete nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Look for repositories of at most this many components, as they were published
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub max_nested_paths: usize,

    #[command(flatten)]
    pub network: NetworkArgs,

    #[command(flatten)]
    pub resources: ResourceArgs,

    /// Work on this many repositories at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub parallel_images: u8,

    /// Try a failed request this many times again
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub retry_times: u32,

    /// Wait this long before trying again, such as 2s [default: 1s, doubling]
    #[arg(long, value_name = "DURATION")]
    pub retry_delay: Option<String>,

    /// How to print the result
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,

    /// How to tell how far it has come
    #[arg(long, value_enum, value_name = "HOW", default_value_t = ProgressMode::Auto)]
    pub progress: ProgressMode,

    /// Print nothing but errors
    #[arg(short, long)]
    pub quiet: bool,

    #[command(flatten)]
    pub log: LogArgs,

    /// Accepted for oc-mirror v2: there is no cache
    #[arg(long, hide = true)]
    pub force_cache_delete: bool,

    /// Accepted for oc-mirror v2
    #[arg(long, hide = true)]
    pub v2: bool,

    /// Accepted for oc-mirror v2: there is no cache
    #[arg(long, hide = true, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,

    /// Accepted for oc-mirror v2: there is no port
    #[arg(short, long, hide = true, value_name = "PORT")]
    pub port: Option<u16>,

    /// Accepted for oc-mirror v2: no layers are moved
    #[arg(long, hide = true, value_name = "N")]
    pub parallel_layers: Option<usize>,
}
