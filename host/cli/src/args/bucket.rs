//! How an object store is reached.

use clap::Args;

/// How an object store is reached. Credentials come from where tools of AWS look for them.
#[derive(Clone, Debug, Args)]
pub(crate) struct BucketArgs {
    /// Reach the object store at this URL [default: storageConfig.s3.endpoint, else AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile's]
    #[arg(long, value_name = "URL")]
    pub s3_endpoint: Option<String>,

    /// Take the bucket to be in this region [default: storageConfig.s3.region, else AWS_REGION or the profile's]
    #[arg(long, value_name = "REGION")]
    pub s3_region: Option<String>,
}
