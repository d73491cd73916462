//! What `oc-mirror check` and `oc-mirror describe` take.

use clap::Args;
use uuid::Uuid;

use super::{BucketArgs, Format, NetworkArgs, ProgressMode, VerifyArgs};

#[derive(Debug, Args)]
#[command(after_help = "\
Of imagesets every byte is read and held against the index, and that against its signatures.
A target is asked for every tag, manifest and blob that the record of its chain says is there; with --deep
everything is read and hashed, too. Nothing is written anywhere.

Exit codes add up: 0 all is whole, 1 something is damaged that touches no image, or cannot be checked,
2 a release image is touched, 4 an operator image, 8 an additional image or one of a custom plugin,
16 a chart or an image of one")]
pub(crate) struct CheckArgs {
    /// Imagesets: a directory, one of their chunks, file://DIR or s3://BUCKET[/PREFIX]; or what was published, at
    /// docker://HOST[:PORT][/PREFIX]
    #[arg(value_name = "WHAT")]
    pub what: String,

    /// Read every blob of a target and hash it, instead of taking the registry's word for it
    #[arg(long)]
    pub deep: bool,

    /// Of a target with several chains, check this one [default: all of them]
    #[arg(long, value_name = "UUID")]
    pub uid: Option<Uuid>,

    /// Take the keys of the workspace in this directory [default: beside the imagesets]
    #[arg(long, value_name = "file://DIR")]
    pub workspace: Option<String>,

    #[command(flatten)]
    pub verify: VerifyArgs,

    #[command(flatten)]
    pub network: NetworkArgs,

    #[command(flatten)]
    pub bucket: BucketArgs,

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
}

#[derive(Debug, Args)]
#[command(after_help = "\
Only the index in the first chunk of an imageset is needed; content is not looked at, see oc-mirror check.")]
pub(crate) struct DescribeArgs {
    /// Imagesets: a directory, one of their chunks, file://DIR or s3://BUCKET[/PREFIX]
    #[arg(value_name = "WHAT")]
    pub what: String,

    /// Take the keys of the workspace in this directory [default: beside the imagesets]
    #[arg(long, value_name = "file://DIR")]
    pub workspace: Option<String>,

    #[command(flatten)]
    pub verify: VerifyArgs,

    #[command(flatten)]
    pub network: NetworkArgs,

    #[command(flatten)]
    pub bucket: BucketArgs,

    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
}
