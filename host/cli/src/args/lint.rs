//! The arguments of `oc-mirror lint`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Format, NetworkArgs};

#[derive(Debug, Args)]
#[command(after_help = "\
Findings have codes that do not change, and one of three severities:
  error    a run refuses it: invalid, unreadable, full-with-range, same-place, samples, unknown-plugin, refused
  warning  likely not meant: suspicious, unpinned, duplicate, empty, whole-catalog, whole-channel, whole-repository,
           blocks-all, end-of-life, deprecated, missing-dependency
  note     good to know: archive-size, v1alpha2, min-bundle, overlap; and lesser cases of the above

Only --online asks catalogs, for what only they know: refused, deprecated, missing-dependency. When the support of
releases ends is known as of when this version was made.

Exit codes: 0 no errors; 1 errors, what --deny names, or a file that cannot be migrated")]
pub(crate) struct LintArgs {
    /// Look at these ImageSetConfigurations and DeleteImageSetConfigurations
    #[arg(short, long, value_name = "FILE", required = true, num_args = 1..)]
    pub config: Vec<PathBuf>,

    /// Write configurations of v1alpha2 as v2alpha1, in place with the old one kept as FILE.v1alpha2; with `-`, to the standard
    /// output
    ///
    /// What v2alpha1 has no word for, or understands in another way, is named. Comments stay where the text can be changed in
    /// place; where it is written anew, that is told, and they are in the old file.
    #[arg(long, value_name = "-", num_args = 0..=1, default_missing_value = "")]
    pub fix: Option<String>,

    /// End with 1 for these findings too
    #[arg(long, value_enum, value_name = "SEVERITY")]
    pub deny: Option<Deny>,

    /// Ask the catalogs too: whether they have what is wanted, call it deprecated, or need more of it
    #[arg(long, conflicts_with = "fix")]
    pub online: bool,

    #[command(flatten)]
    pub network: NetworkArgs,

    /// How to print the findings
    #[arg(short, long, value_enum, default_value_t = Format::Text, conflicts_with = "fix")]
    pub output: Format,
}

/// What is taken for an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Deny {
    /// Warnings
    Warnings,
    /// Warnings and notes
    Notes,
}
