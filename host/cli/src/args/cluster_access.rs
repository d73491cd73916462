//! `--kubeconfig` and `--context`, whose order says which belongs to which. Any command that asks clusters flattens
//! [`ClusterArgs`].

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

/// What these options are below. Each has it, since a heading for what follows would be that of other options, too.
pub(super) const HEADING: &str = "Clusters";

const KUBECONFIG: &str = "kubeconfig";
const CONTEXT: &str = "context";

/// Which clusters, in the order of the command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClusterArgs {
    /// Nothing means the cluster that `oc` would talk to.
    pub named: Vec<Named>,
}

/// One argument that names clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// `--kubeconfig FILE`.
    Kubeconfig(PathBuf),
    /// `--context NAME`.
    Context(String),
}

impl clap::Args for ClusterArgs {
    fn augment_args(command: Command) -> Command {
        command
            .arg(
                Arg::new(KUBECONFIG)
                    .long(KUBECONFIG)
                    .help_heading(HEADING)
                    .value_name("FILE")
                    .value_parser(value_parser!(PathBuf))
                    .action(ArgAction::Append)
                    .help("Talk to the cluster in this kubeconfig; may be repeated [default: as for oc]")
                    .long_help(
                        "Talk to the cluster in this kubeconfig: its current context, or those that --context names \
                         after it. May be repeated. Without it, KUBECONFIG names files that are merged as oc does, else \
                         it is ~/.kube/config, else the cluster that the program runs in",
                    ),
            )
            .arg(
                Arg::new(CONTEXT)
                    .long(CONTEXT)
                    .help_heading(HEADING)
                    .value_name("NAME")
                    .value_parser(value_parser!(String))
                    .action(ArgAction::Append)
                    .help("Talk to the cluster of this context of the kubeconfig before it; may be repeated"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for ClusterArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let places = |name| matches.indices_of(name).into_iter().flatten();
        let files = matches.get_many::<PathBuf>(KUBECONFIG).into_iter().flatten().cloned();
        let contexts = matches.get_many::<String>(CONTEXT).into_iter().flatten().cloned();
        let files = places(KUBECONFIG).zip(files.map(Named::Kubeconfig));
        let contexts = places(CONTEXT).zip(contexts.map(Named::Context));
        let mut named: Vec<(usize, Named)> = files.chain(contexts).collect();
        named.sort_by_key(|(place, _)| *place);
        Ok(Self { named: named.into_iter().map(|(_, named)| named).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
