//! Keys that sign imagesets, and keys that are trusted to.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// The heading of these options.
const HEADING: &str = "Signatures of imagesets";

/// Which signatures imagesets must have.
#[derive(Clone, Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Take only imagesets that this public key has signed; can be given several times [default: working-dir/trust.keys of
    /// the workspace, if it is there]
    ///
    /// A file is one key in PEM, or several, one behind the other. With no key at all, any imageset is taken.
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    pub verify_key: Vec<PathBuf>,

    /// So many of the keys have to have signed [default: the line `threshold: K` among the keys, else 1]
    #[arg(long, value_name = "K", help_heading = HEADING)]
    pub verify_threshold: Option<usize>,
}

/// How an imageset is signed.
#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// Sign the imageset with this private key of Ed25519, PKCS#8 in PEM, or with the one in the variable of env://NAME;
    /// can be given several times
    #[arg(long, value_name = "FILE|env://NAME", help_heading = HEADING)]
    pub sign_key: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    pub command: KeyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a pair of keys to sign imagesets with
    #[command(after_help = "\
Keep NAME.key on the connected side, and bring NAME.pub to the far side by another way than the imagesets:
  oc-mirror -c isc.yaml --sign-key NAME.key file://DIR
  oc-mirror --from file://DIR --verify-key NAME.pub docker://HOST
To ask for it at every run there: cat NAME.pub >> WORKSPACE/working-dir/trust.keys

The key is as `openssl genpkey -algorithm ed25519` makes it. It has no password; its file is for its owner only.")]
    Generate {
        /// Write PREFIX.key and PREFIX.pub
        #[arg(long, value_name = "PREFIX", default_value = "oc-mirror")]
        output: PathBuf,
    },
    /// Print the identities of the keys in a file, public or private
    Id {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print the public halves of the keys in a file, public or private
    Show {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}
