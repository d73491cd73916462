//! The arguments of `oc-mirror serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::VerifyArgs;

#[derive(Debug, Args)]
#[command(after_help = "\
Beyond the loopback interface, a directory is served over TLS and to users of the password file;
an imageset, which can only be read, over TLS, and to everybody with --anonymous-read.

A password file is made with: htpasswd -B -c FILE USER")]
pub(crate) struct ServeArgs {
    /// An OCI image layout, made if it is not there, or an imageset: its directory or one of its chunks
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,

    /// Listen on this address; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5000")]
    pub listen: SocketAddr,

    /// Answer over TLS with this certificate and those that lead to its root, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The key of the certificate, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Answer over TLS with a certificate of an authority that is made once, and print how to trust it
    #[arg(long, conflicts_with = "tls_cert")]
    pub tls_self_signed: bool,

    /// A name or address that clients use, for --tls-self-signed; can be given several times
    #[arg(long, value_name = "NAME", requires = "tls_self_signed")]
    pub tls_name: Vec<String>,

    /// Keep the authority of --tls-self-signed in working-dir/serve/ below this directory [default: what is served]
    #[arg(long, value_name = "file://DIR")]
    pub workspace: Option<String>,

    /// Answer only users of this file, with passwords hashed by bcrypt
    #[arg(long, value_name = "FILE")]
    pub htpasswd: Option<PathBuf>,

    /// A user of the password file who may only read; can be given several times
    #[arg(long, value_name = "USER", requires = "htpasswd")]
    pub reader: Vec<String>,

    /// Let everybody read
    #[arg(long)]
    pub anonymous_read: bool,

    #[command(flatten)]
    pub verify: VerifyArgs,

    /// Listen beyond the loopback interface even without TLS or a password file
    #[arg(long)]
    pub insecure: bool,
}
