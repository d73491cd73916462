//! The command line, as oc-mirror v2 has it, with what this program adds.

mod apply;
mod browse;
mod bucket;
mod check;
mod cluster_access;
mod clusters;
mod delete;
mod doctor;
mod help;
mod init;
mod keys;
mod lint;
mod plan;
mod plugin;
mod report;
mod resources;
mod serve;

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use oc_mirror_model::config::closest;
use uuid::Uuid;

pub(crate) use apply::{ApplyArgs, ApplyOptions};
pub(crate) use browse::BrowseArgs;
pub(crate) use bucket::BucketArgs;
pub(crate) use check::{CheckArgs, DescribeArgs};
use cluster_access::HEADING as CLUSTERS;
pub(crate) use cluster_access::{ClusterArgs, Named};
pub(crate) use clusters::{ClustersArgs, ClustersCommand, IncludeWhat, InspectArgs, PlanArgs, PlanFormat};
pub(crate) use delete::DeleteArgs;
pub(crate) use doctor::DoctorArgs;
pub(crate) use help::{CompletionArgs, HelpArgs, ManArgs};
pub(crate) use init::{Chosen, InitArgs};
pub(crate) use keys::{KeyArgs, KeyCommand, SignArgs, VerifyArgs};
pub(crate) use lint::{Deny, LintArgs};
pub(crate) use plan::{ExecuteArgs, Output, PlanRunArgs};
pub(crate) use plugin::{PluginArgs, PluginCommand, PluginKind, PluginLanguage, PluginRunArgs};
pub(crate) use report::{ReportArgs, ReportForm};
pub(crate) use resources::ResourceArgs;
pub(crate) use serve::ServeArgs;

/// What the program is called.
pub(crate) const NAME: &str = "oc-mirror";

/// Where releases of OpenShift are.
pub(crate) const RELEASES: &str = "quay.io/openshift-release-dev/ocp-release";

/// Returns the definition of all commands, which documents and completions are made of.
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

/// Says which command is likely meant by a word that stands where a destination should.
pub(crate) fn likely_command(word: &str) -> Option<String> {
    let command = command();
    let names =
        command.get_subcommands().filter(|command| !command.is_hide_set()).map(clap::Command::get_name);
    let names: Vec<&str> = names.collect();
    match names.contains(&word) {
        true => Some(format!("to run the command `{word}`, write it first and its options behind it")),
        false => closest(word, names.into_iter()),
    }
}

/// Mirror images for OpenShift environments without internet
#[derive(Debug, Parser)]
#[command(name = NAME, version, args_conflicts_with_subcommands = true, max_term_width = 110)]
// Topics are explained too.
#[command(disable_help_subcommand = true)]
#[command(after_help = "\
Mirror to disk:    oc-mirror -c isc.yaml file://DIR
Disk to mirror:    oc-mirror --from file://DIR docker://HOST[:PORT][/PREFIX]
Mirror to mirror:  oc-mirror -c isc.yaml --workspace file://DIR docker://HOST[:PORT][/PREFIX]
Through a bucket:  s3://BUCKET[/PREFIX] in place of file://DIR, with --workspace file://DIR
Disk to disk:      oc-mirror -c narrower.yaml --from file://DIR file://OTHER-DIR

Several registries can be named; what they need is read once for all of them.

Exit codes add up: 1 anything general, 2 a release image, 4 an operator image,
8 an additional image or one of a custom plugin, 16 a chart or an image of one,
32 a cluster that could not be told all of it, 64 not ready in the time of --wait

oc-mirror help topics lists explanations, of imagesets, sequences and more")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,

    #[command(flatten)]
    pub mirror: MirrorArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write down what a run would do, for a person to approve and `execute` to do
    Plan(Box<PlanRunArgs>),
    /// Do what a plan says, exactly
    Execute(Box<ExecuteArgs>),
    /// Print the version
    Version(VersionArgs),
    /// Write a configuration to begin with
    Init(Box<InitArgs>),
    /// List what there is to mirror
    List(ListArgs),
    /// Delete images from a registry, in two phases
    Delete(DeleteArgs),
    /// Check that imagesets, or what was published, are whole
    Check(CheckArgs),
    /// Print what imagesets hold
    Describe(DescribeArgs),
    /// List the images of imagesets for other programs, as JSON, SPDX or CycloneDX
    Report(ReportArgs),
    /// Make keys that sign imagesets, and tell of them
    Key(KeyArgs),
    /// Make plugins, look into them, and test them
    Plugin(PluginArgs),
    /// Serve a directory or an imageset as a registry
    Serve(ServeArgs),
    /// Tell clusters where mirrored content is
    Apply(ApplyArgs),
    /// Read what clusters run, and plan how they get to what is mirrored
    Clusters(ClustersArgs),
    /// Tell what is wrong with configurations, and what is likely not meant; and write old ones anew
    Lint(Box<LintArgs>),
    /// Look at all that a run needs before it begins: servers, credentials, clocks, space
    Doctor(Box<DoctorArgs>),
    /// Choose content and edit a configuration in a browser, and look into imagesets
    Browse(BrowseArgs),
    /// Print the JSON Schema of a configuration, or of a file about clusters
    Schema(SchemaArgs),
    /// Explain a command, or a topic such as sequences; `help topics` lists them
    Help(HelpArgs),
    /// Print what a shell loads to complete command lines
    Completion(CompletionArgs),
    /// Print pages for man
    Man(ManArgs),
    /// Look into the program itself
    #[command(hide = true)]
    Debug(DebugArgs),
}

/// What images have to satisfy.
#[derive(Debug, Args)]
pub(crate) struct GuardArgs {
    /// Read only images that are signed as policy.json asks for
    #[arg(long)]
    pub secure_policy: bool,

    /// Read the policy from this file [default: containers/policy.json in the user's configuration, else in /etc]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// Read from this directory where signatures are [default: containers/registries.d in the user's configuration, else in /etc]
    #[arg(long = "registries.d", value_name = "DIR")]
    pub registries_d: Option<PathBuf>,
}

impl GuardArgs {
    /// Answers whether something was said that nobody looks at.
    pub(crate) fn is_idle(&self) -> bool {
        (self.policy.is_some() || self.registries_d.is_some()) && !self.secure_policy
    }
}

/// What the three workflows take.
#[derive(Debug, Args)]
pub(crate) struct MirrorArgs {
    /// Where to mirror to: file://DIR, s3://BUCKET[/PREFIX], or one or more of docker://HOST[:PORT][/PREFIX]
    #[arg(value_name = "DESTINATION")]
    pub destinations: Vec<String>,

    /// Read what is wanted from this ImageSetConfiguration
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Publish the imagesets in this directory or bucket, or the one of this chunk file; or, to mirror to disk, take images
    /// from there, or from an image layout, instead of from registries
    #[arg(long, value_name = "file://DIR|s3://BUCKET")]
    pub from: Option<String>,

    /// With --from and a directory to mirror to, ask registries and servers for what is not there
    #[arg(long, requires = "from")]
    pub online: bool,

    /// Keep metadata, logs and results in working-dir/ below this directory
    #[arg(long, value_name = "file://DIR")]
    pub workspace: Option<String>,

    /// Show what would be done, and do not do it
    #[arg(long)]
    pub dry_run: bool,

    /// Make a cumulative imageset of everything that is new since this sequence
    #[arg(long, value_name = "SEQUENCE")]
    pub since: Option<String>,

    /// Make an imageset even if nothing has changed since the last one
    ///
    /// It takes the next number of the chain, can be published, and holds no content of images. To carry everything once
    /// more, as --ignore-history of oc-mirror v1 did, say --since 0. In oc-mirror v2, --force does nothing.
    #[arg(long)]
    pub force: bool,

    /// Begin the chain under this identity, instead of one made at random
    #[arg(long, value_name = "UUID")]
    pub uid: Option<Uuid>,

    /// Make no chunk larger than this, such as 4.4GB or 650MiB [default: archiveSize, else 500GiB]
    #[arg(long, value_name = "SIZE")]
    pub archive_size: Option<String>,

    /// Refuse to split an image's layer at the end of a chunk
    #[arg(long)]
    pub strict_archive: bool,

    /// Give repositories at the target at most this many components, joining the rest with `-`
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub max_nested_paths: usize,

    #[command(flatten)]
    pub network: NetworkArgs,

    #[command(flatten)]
    pub bucket: BucketArgs,

    /// What to do about images that cannot be had, or not be published
    #[arg(long, value_enum, value_name = "ACTION", default_value_t = OnError::Finish)]
    pub on_error: OnError,

    /// As --on-error quarantine
    #[arg(long, conflicts_with = "on_error")]
    pub continue_on_error: bool,

    /// Leave out signatures, attestations, SBOMs and other referrers of images
    #[arg(long)]
    pub remove_signatures: bool,

    /// Delete from the target what earlier imagesets brought and the newest one no longer has
    #[arg(long)]
    pub prune: bool,

    /// Accepted for oc-mirror v1: nothing is pruned without --prune
    #[arg(long, hide = true, conflicts_with = "prune")]
    pub skip_pruning: bool,

    /// Ask the target for all that the imagesets hold, those published before included, and send what it lacks
    #[arg(long)]
    pub repair: bool,

    #[command(flatten)]
    pub sign: SignArgs,

    #[command(flatten)]
    pub verify: VerifyArgs,

    #[command(flatten)]
    pub resources: ResourceArgs,

    /// Accepted for oc-mirror v1: as --on-error quarantine
    #[arg(long, hide = true, conflicts_with = "on_error")]
    pub skip_missing: bool,

    /// Mirror releases whether they are signed or not
    #[arg(long)]
    pub ignore_release_signature: bool,

    #[command(flatten)]
    pub guard: GuardArgs,

    /// Take updates with these risks for paths through update graphs like all others; `all` takes every update
    #[arg(long, value_name = "RISK", value_delimiter = ',')]
    pub accept_risks: Vec<String>,

    /// Work on at most this many images at a time
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub parallel_images: usize,

    /// Times --parallel-images, make at most this many requests of a kind at a time to each registry
    ///
    /// How many there are within that is found out: more as long as the registry keeps up, half as many when it says that
    /// it is too much.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub parallel_layers: usize,

    /// Try a failed request this many times again
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub retry_times: u32,

    /// Wait this long before trying again, such as 2s [default: 1s, doubling]
    #[arg(long, value_name = "DURATION")]
    pub retry_delay: Option<String>,

    /// Give an image up that has been under way for this long, such as 90m, with all its retries [default: as long as it takes]
    ///
    /// Its time runs while something of it moves, and not while it waits for its turn. 0 is as long as it takes.
    #[arg(long, value_name = "DURATION")]
    pub image_timeout: Option<String>,

    /// How to print the result: text, json or yaml; or a file to write it to, whose name ends in .json or .yaml
    #[arg(short, long, value_name = "FORMAT|FILE", default_value = "text")]
    pub output: Output,

    /// How to tell how far it has come
    #[arg(long, value_enum, value_name = "HOW", default_value_t = ProgressMode::Auto)]
    pub progress: ProgressMode,

    /// Print nothing but errors
    #[arg(short, long)]
    pub quiet: bool,

    /// Keep numbers about the run in this file, for a monitoring system: OpenMetrics, as node_exporter's textfile collector reads it
    ///
    /// It is written every ten seconds and at the end, and replaced as a whole. Its name should end in .prom.
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,

    #[command(flatten)]
    pub log: LogArgs,

    /// Accepted for oc-mirror v2; the configuration's apiVersion decides
    #[arg(long, hide = true)]
    pub v2: bool,

    /// Accepted for oc-mirror v1; the configuration's apiVersion decides
    #[arg(long, hide = true, conflicts_with = "v2")]
    pub v1: bool,

    /// Accepted for oc-mirror v2: there is no cache
    #[arg(long, hide = true, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,

    /// Accepted for oc-mirror v2: there is no port
    #[arg(short, long, hide = true, value_name = "PORT")]
    pub port: Option<u16>,

    /// When all is published, tell clusters where it is; see oc-mirror apply --help
    #[arg(long, help_heading = CLUSTERS)]
    pub apply: bool,

    #[command(flatten)]
    pub apply_options: ApplyOptions,
}

/// How registries are reached.
#[derive(Clone, Debug, Args)]
pub(crate) struct NetworkArgs {
    /// Read credentials from this file before all others
    #[arg(long, value_name = "FILE", env = "REGISTRY_AUTH_FILE", hide_env_values = true)]
    pub authfile: Option<PathBuf>,

    /// Require TLS with a trusted certificate of registries that are read
    #[arg(long, value_name = "BOOL", default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    pub src_tls_verify: bool,

    /// Require TLS with a trusted certificate of the registry that is published to
    #[arg(long, value_name = "BOOL", default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    pub dest_tls_verify: bool,

    /// Trust the certificates in this PEM file too
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// Take certificates for all registries that are read from this directory [default: containers/certs.d/HOST:PORT in
    /// the user's configuration and in /etc, else /etc/docker/certs.d/HOST:PORT]
    ///
    /// *.crt are authorities to trust, and NAME.cert with NAME.key is shown to registries that ask who is there. See
    /// containers-certs.d(5).
    #[arg(long, value_name = "DIR")]
    pub src_cert_dir: Option<PathBuf>,

    /// Take certificates for the registry that is published to from this directory [default: as --src-cert-dir]
    #[arg(long, value_name = "DIR")]
    pub dest_cert_dir: Option<PathBuf>,

    /// Read mirrors of registries, blocked registries and those without TLS from this file alone [default:
    /// containers/registries.conf and registries.conf.d/*.conf in the user's configuration and in /etc]
    ///
    /// See containers-registries.conf(5). CONTAINERS_REGISTRIES_CONF names a file in the same way, and the one that
    /// CONTAINERS_REGISTRIES_CONF_OVERRIDE names is read after all others.
    #[arg(long, value_name = "FILE")]
    pub registries_conf: Option<PathBuf>,

    /// Say what a registry is, such as harbor, instead of finding it out: the one that is published to, or HOST[:PORT]
    #[arg(long, value_name = "[HOST=]PROFILE")]
    pub registry_profile: Vec<String>,

    /// Give up a connection, and go on with another one, that moves less than --stall-rate for this long
    ///
    /// There is no limit for a whole transfer: a slow line takes as long as it takes.
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub stall_timeout: String,

    /// The bytes per second below which a connection stands still, such as 10KiB; with 0 any byte counts
    #[arg(long, value_name = "SIZE", default_value = "1KiB")]
    pub stall_rate: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnError {
    /// Do the rest, then end without an imageset or record; the same command goes on from there
    #[value(alias = "fail")]
    Finish,
    /// End at the first failure; the same command goes on from there
    Stop,
    /// Leave out whole images, and operator bundles that need them; the imageset says what it lacks
    #[value(alias = "drop")]
    Quarantine,
}

/// What is written into the log of the workspace, `working-dir/logs/oc-mirror.log`.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// How much to write into the log of the workspace
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = LogLevel::Info)]
    pub log_level: LogLevel,

    /// How to write it
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// A JSON object on each line
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,

    /// Accepted for oc-mirror v2
    #[arg(long, hide = true)]
    pub v2: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// Of which kind of file
    #[arg(value_enum, default_value_t = SchemaKind::V2alpha1)]
    pub kind: SchemaKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaKind {
    /// ImageSetConfiguration of mirror.openshift.io/v2alpha1
    V2alpha1,
    /// ImageSetConfiguration of mirror.openshift.io/v1alpha2
    V1alpha2,
    /// DeleteImageSetConfiguration
    Delete,
    /// ClusterInventory, as `clusters inspect` writes it
    Clusters,
    /// ClusterPlan, as `clusters plan` prints it
    ClusterPlan,
    /// MirrorPlan, as `plan` writes it
    Plan,
    /// A line of what --progress json writes
    Progress,
}

/// How a run tells how far it has come, on the standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// On a terminal some lines that change, elsewhere as `plain`; with TERM=dumb and where CI is set as `plain` too
    Auto,
    /// A line when a step begins, and every ten seconds
    Plain,
    /// A JSON object on each line, warnings and errors among them; see oc-mirror schema progress
    Json,
    /// Warnings and errors only
    None,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(subcommand)]
    pub what: ListCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ListCommand {
    /// List operator catalogs, the packages of one, or the channels and versions of a package
    Operators(ListOperatorsArgs),
    /// List versions of OpenShift, their channels, or the releases in a channel
    Releases(ListReleasesArgs),
    /// List the updates that lead from one release to another, with the risks of those that have any
    Updates(ListUpdatesArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
UPDATE_URL_OVERRIDE names another server of update graphs than that of OpenShift.")]
pub(crate) struct ListReleasesArgs {
    /// List the channels that the releases of --version are in
    #[arg(long, conflicts_with = "channel")]
    pub channels: bool,

    /// List the releases in this channel, such as fast-4.20
    #[arg(long, value_name = "CHANNEL")]
    pub channel: Option<String>,

    /// List the releases in the channel stable-X.Y
    #[arg(long, value_name = "X.Y", conflicts_with = "channel")]
    pub version: Option<String>,

    /// For these architectures
    #[arg(long, value_enum, value_name = "ARCH", value_delimiter = ',', default_value = "amd64")]
    pub filter_by_archs: Vec<Architecture>,

    /// Of OKD instead of OpenShift
    #[arg(long)]
    pub okd: bool,

    /// Look in this repository for versions
    #[arg(long, value_name = "HOST/PATH", default_value = RELEASES)]
    pub repository: String,

    #[command(flatten)]
    pub network: NetworkArgs,

    /// How to print the list
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,

    /// Accepted for oc-mirror v2
    #[arg(long, hide = true)]
    pub v2: bool,

    /// Accepted for oc-mirror v1
    #[arg(long, hide = true, conflicts_with = "v2")]
    pub v1: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Without --channel the stable channels of all versions on the way are searched, then fast and candidate ones.
UPDATE_URL_OVERRIDE names another server of update graphs than that of OpenShift.")]
pub(crate) struct ListUpdatesArgs {
    /// Begin with this release, such as 4.18.3
    #[arg(long, value_name = "VERSION")]
    pub from: String,

    /// End with this release
    #[arg(long, value_name = "VERSION")]
    pub to: String,

    /// Look in this channel only
    #[arg(long, value_name = "CHANNEL")]
    pub channel: Option<String>,

    /// For this architecture
    #[arg(long, value_enum, value_name = "ARCH", default_value_t = Architecture::Amd64)]
    pub arch: Architecture,

    /// Of OKD instead of OpenShift
    #[arg(long)]
    pub okd: bool,

    /// Take updates with these risks like all others; `all` takes every update
    #[arg(long, value_name = "RISK", value_delimiter = ',')]
    pub accept_risks: Vec<String>,

    /// Draw the releases and the way through them into this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,

    #[command(flatten)]
    pub network: NetworkArgs,

    /// How to print the updates
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
}

/// Architectures of releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Architecture {
    Amd64,
    Arm64,
    Ppc64le,
    S390x,
    /// One release for several architectures
    Multi,
}

impl Architecture {
    /// Returns the word that update graphs have for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
            Self::Ppc64le => "ppc64le",
            Self::S390x => "s390x",
            Self::Multi => "multi",
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
What is found out about a catalog is kept, and the next question needs no network. A tag that was looked up
before is not looked up again without --refresh.")]
pub(crate) struct ListOperatorsArgs {
    /// List the catalogs of the OpenShift version that --version names
    #[arg(long, conflicts_with = "catalog")]
    pub catalogs: bool,

    /// Of this version of OpenShift, such as 4.20
    #[arg(long, value_name = "X.Y", conflicts_with = "catalog")]
    pub version: Option<String>,

    /// Look for the catalogs of --version below this path
    #[arg(long, value_name = "HOST/PATH", default_value = "registry.redhat.io/redhat", requires = "version")]
    pub registry: String,

    /// List the packages of this catalog: host/path:tag, host/path@sha256:… or oci://DIR
    #[arg(long, value_name = "CATALOG")]
    pub catalog: Option<String>,

    /// List the channels of this package
    #[arg(long, value_name = "PACKAGE", requires = "catalog")]
    pub package: Option<String>,

    /// List the versions in this channel
    #[arg(long, value_name = "CHANNEL", requires = "package")]
    pub channel: Option<String>,

    /// Look the catalog's tag up again
    #[arg(long)]
    pub refresh: bool,

    /// Use what runs with this workspace have found out [default: the user's cache directory]
    #[arg(long, value_name = "file://DIR")]
    pub workspace: Option<String>,

    #[command(flatten)]
    pub network: NetworkArgs,

    /// How to print the list
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,

    /// Accepted for oc-mirror v2
    #[arg(long, hide = true)]
    pub v2: bool,

    /// Accepted for oc-mirror v1
    #[arg(long, hide = true, conflicts_with = "v2")]
    pub v1: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// For programs, and people
    Yaml,
}

#[derive(Debug, Args)]
pub(crate) struct DebugArgs {
    #[command(subcommand)]
    pub command: DebugCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DebugCommand {
    /// Measure how long the built-in plugins take to start
    Startup {
        /// Print it for programs
        #[arg(long)]
        json: bool,
    },
    /// Measure how long policies take to judge images that are at hand
    Policies {
        /// Have this component judge, without settings, in place of policies that are built in
        #[arg(long, value_name = "FILE")]
        plugin: Option<PathBuf>,

        /// How many images are judged
        #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
        times: usize,

        /// The settings of the component, as JSON
        #[arg(long, value_name = "JSON", requires = "plugin", default_value = "{}")]
        settings: String,
    },
    /// Write the reference documents of docs/reference
    Reference {
        /// Into this directory
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Say what configurations select of catalogs: a JSON object with `rules` and `entry` on each line of the standard
    /// input, an answer on each line of the standard output
    Select {
        /// Where what is found out is kept
        #[arg(long, value_name = "DIR")]
        cache: PathBuf,

        #[command(flatten)]
        network: Box<NetworkArgs>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn command_lines_of_v2() {
        let cli = Cli::parse_from([
            "oc-mirror",
            "-c",
            "isc.yaml",
            "--from",
            "file:///mnt",
            "docker://r:5000/x",
            "--v2",
            "--dest-tls-verify=false",
        ]);
        assert!(
            cli.command.is_none() && !cli.mirror.network.dest_tls_verify && cli.mirror.network.src_tls_verify
        );
        assert_eq!(cli.mirror.destinations, ["docker://r:5000/x"]);
        let cli = Cli::parse_from(["oc-mirror", "version", "--v2"]);
        assert!(matches!(cli.command, Some(Command::Version(_))));
    }
}
