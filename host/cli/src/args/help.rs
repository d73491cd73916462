//! The arguments of `oc-mirror help`, `completion` and `man`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

#[derive(Debug, Args)]
#[command(after_help = "\
oc-mirror help topics lists the topics; they are pages of man too, see oc-mirror man --help")]
pub(crate) struct HelpArgs {
    /// The command to explain, such as `list operators`, or a topic, such as `sequences`
    #[arg(value_name = "COMMAND|TOPIC")]
    pub words: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Load it in the shell's start-up file:
  bash    source <(oc-mirror completion bash)
  zsh     source <(oc-mirror completion zsh)
  fish    oc-mirror completion fish | source

For `oc mirror` and `kubectl mirror`, kubectl's and oc's own completion asks a program that is called
oc_complete-mirror or kubectl_complete-mirror. This program answers under these names:
  ln -s oc-mirror oc_complete-mirror
  ln -s oc-mirror kubectl_complete-mirror")]
pub(crate) struct CompletionArgs {
    /// For this shell
    #[arg(value_enum)]
    pub shell: Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Pages of commands are in section 1, such as oc-mirror-list-operators.1, those of topics in section 7.
  oc-mirror man | man -l -                              the page of oc-mirror
  oc-mirror man ~/.local/share/man && man oc-mirror     all of them, in man1 and man7 below that directory")]
pub(crate) struct ManArgs {
    /// Write all pages below this directory, in man1/ and man7/ [default: the page of oc-mirror, to the standard output]
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
