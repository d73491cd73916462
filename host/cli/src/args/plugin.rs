//! `oc-mirror plugin`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ListFormat;

#[derive(Debug, Args)]
pub(crate) struct PluginArgs {
    #[command(subcommand)]
    pub command: PluginCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Print what a plugin says about itself and what it imports, without running it
    Inspect {
        /// The component, or the name of a built-in plugin
        #[arg(value_name = "FILE|NAME")]
        plugin: String,

        /// How to print it
        #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = ListFormat::Text)]
        output: ListFormat,
    },
    /// List the plugins that are built in, and those of a configuration
    List {
        /// Also list what this ImageSetConfiguration brings, with what each asks for and is not granted
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,

        /// How to print them
        #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = ListFormat::Text)]
        output: ListFormat,
    },
    /// Ask a plugin what a table of cases asks, and compare the answers; no registry is needed
    #[command(after_help = CASES)]
    Test {
        /// The table, in YAML
        #[arg(value_name = "FILE")]
        table: PathBuf,

        /// Test this component, instead of the one that the table names
        #[arg(long, value_name = "FILE")]
        plugin: Option<PathBuf>,

        /// Only cases whose name contains this
        #[arg(long, value_name = "TEXT")]
        case: Option<String>,

        /// How to print the outcome
        #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = ListFormat::Text)]
        output: ListFormat,
    },
}

/// What a table looks like.
const CASES: &str = "\
A table names the component, the world that it is tried in, and what it is to answer:

  plugin: target/deny-label.wasm    # relative to the table
  config: {label: stage}            # settings; a case can bring its own
  grants: [\"registry:quay.io\"]      # as in a configuration
  images:
    quay.io/example/app:1.0:
      labels: {stage: beta}         # also annotations, platforms, created, layers
  http:
    https://example.com/list.txt: quay.io/example/app:1.0
  cases:
  - name: a beta is refused         # with `image`, a policy judges it
    image: quay.io/example/app:1.0
    expect: {verdict: deny, code: deny-label}
  - name: everything is collected   # without, a content source collects
    expect: {images: [\"quay.io/example/app:1.0\"]}

Of a policy, `verdict` (allow, warn, deny), `code` and `message` can be expected; of a source `images`, `files`, `resources`
and `warnings`; of settings `problems`; of a plugin that fails a part of its `error`. A layer maps paths to texts.
It ends with 1 if an answer is another one.";
