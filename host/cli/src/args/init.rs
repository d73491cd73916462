//! The arguments of `oc-mirror init`. `--catalog` and `--operator` belong together by their order.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command};

use super::{Architecture, ClusterArgs, NetworkArgs};

#[derive(Debug, Args)]
#[command(after_help = "\
On a terminal, and with nothing said but FILE, it asks what is wanted. With nothing said elsewhere, the file asks for one small
image. What is not asked for is in the file as an example behind #, so that it need not be looked up.

  oc-mirror init --release-channel stable-4.20 --operator web-terminal --operator odf-operator@stable-4.20
  oc-mirror init --catalog registry.redhat.io/redhat/certified-operator-index:v4.20 --operator gpu-operator-certified
  oc-mirror init --from-cluster --kubeconfig site.kubeconfig site.yaml

Exit codes: 0 written; 1 not written; 32 a cluster could not be read, and what the others run is written")]
pub(crate) struct InitArgs {
    /// Write into this file; `-` is the standard output
    #[arg(value_name = "FILE", default_value = "imageset-config.yaml")]
    pub file: PathBuf,

    /// Replace the file if it is there
    #[arg(long)]
    pub force: bool,

    /// Mirror the newest release of this channel, such as stable-4.20; may be repeated
    #[arg(long, value_name = "CHANNEL")]
    pub release_channel: Vec<String>,

    /// Begin with this release, with one --release-channel
    #[arg(long, value_name = "VERSION", requires = "release_channel")]
    pub min_version: Option<String>,

    /// End with this release, with one --release-channel [default: the newest]
    #[arg(long, value_name = "VERSION", requires = "release_channel")]
    pub max_version: Option<String>,

    /// Mirror releases for these architectures [default: amd64]
    #[arg(long, value_enum, value_name = "ARCH", value_delimiter = ',')]
    pub arch: Vec<Architecture>,

    /// Mirror the data of update graphs, for the update service
    #[arg(long)]
    pub graph: bool,

    #[command(flatten)]
    pub selected: CatalogArgs,

    /// Mirror this image; may be repeated
    #[arg(long, value_name = "IMAGE")]
    pub image: Vec<String>,

    /// Make no file of an imageset larger than this: whole GiB, such as 4 or 4GiB [default: 500]
    #[arg(long, value_name = "SIZE")]
    pub archive_size: Option<String>,

    /// Mirror what a cluster runs, and what its updates need: releases, operators and their catalogs
    #[arg(long)]
    pub from_cluster: bool,

    /// Mirror what the clusters in this file of `oc-mirror clusters inspect` run
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from_cluster", "kubeconfig", "context"])]
    pub clusters: Option<PathBuf>,

    #[command(flatten)]
    pub cluster: ClusterArgs,

    /// Ask nothing
    #[arg(long)]
    pub no_input: bool,

    #[command(flatten)]
    pub network: NetworkArgs,
}

impl InitArgs {
    /// Answers whether it is said what is wanted.
    pub(crate) fn says_something(&self) -> bool {
        let of_releases = !self.release_channel.is_empty() || self.graph || !self.arch.is_empty();
        let of_content =
            !self.selected.chosen.is_empty() || !self.image.is_empty() || self.archive_size.is_some();
        of_releases || of_content || self.asks_clusters() || self.clusters.is_some()
    }

    /// Answers whether clusters are asked. Whoever names one need not say so.
    pub(crate) fn asks_clusters(&self) -> bool {
        self.from_cluster || !self.cluster.named.is_empty()
    }
}

const CATALOG: &str = "catalog";
const OPERATOR: &str = "operator";

/// Catalogs and what is wanted of them, in the order of the command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct CatalogArgs {
    /// An operator belongs to the catalog before it.
    pub chosen: Vec<Chosen>,
}

/// One argument about operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// `--catalog REFERENCE`.
    Catalog(String),
    /// `--operator PACKAGE[@CHANNEL]`.
    Operator(String),
}

impl Args for CatalogArgs {
    fn augment_args(command: Command) -> Command {
        command
            .arg(
                Arg::new(OPERATOR)
                    .long(OPERATOR)
                    .value_name("PACKAGE[@CHANNEL]")
                    .action(ArgAction::Append)
                    .help("Mirror this operator, of the catalog before it; may be repeated")
                    .long_help(
                        "Mirror this operator: the head of every channel, or of the one that is named. It is of the catalog that \
                         is named before it, else of redhat-operator-index for the version of --release-channel. May be repeated",
                    ),
            )
            .arg(
                Arg::new(CATALOG)
                    .long(CATALOG)
                    .value_name("CATALOG")
                    .action(ArgAction::Append)
                    .help("Take operators from this catalog; may be repeated")
                    .long_help(
                        "Take the operators that are named after it from this catalog: host/path:tag, or oci://DIR. Without an \
                         operator all of them are wanted. May be repeated",
                    ),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for CatalogArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let of = |name, make: fn(String) -> Chosen| {
            let values = matches.get_many::<String>(name).into_iter().flatten().cloned().map(make);
            matches.indices_of(name).into_iter().flatten().zip(values)
        };
        let mut chosen: Vec<(usize, Chosen)> =
            of(CATALOG, Chosen::Catalog).chain(of(OPERATOR, Chosen::Operator)).collect();
        chosen.sort_by_key(|(place, _)| *place);
        Ok(Self { chosen: chosen.into_iter().map(|(_, chosen)| chosen).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
