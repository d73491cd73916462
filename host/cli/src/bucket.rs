//! Buckets, as the arguments, the configuration and the environment say.

use std::sync::Arc;

use oc_mirror_engine::bucket::{self, Bucket};
use oc_mirror_engine::metadata::in_bucket::InBucket;
use oc_mirror_engine::net::Secret;
use oc_mirror_engine::workflow::network::{BucketPlace, Network};
use oc_mirror_engine::workflow::{WorkflowError, Workspace};
use oc_mirror_model::bucket::BucketUrl;
use oc_mirror_model::config::{StorageConfig, fault_of_endpoint};

use crate::args::{BucketArgs, MirrorArgs};
use crate::environment;
use crate::error::CliError;

/// Opens a bucket. What the configuration says of its own holds for others too, unless an argument says something else.
pub(crate) fn open(
    args: &BucketArgs,
    network: &Network,
    url: &BucketUrl,
    storage: Option<&StorageConfig>,
    tls_verify: bool,
) -> Result<Arc<Bucket>, CliError> {
    let read = |path: &std::path::Path| std::fs::read_to_string(path).ok().map(Secret::new);
    let (credentials, around) = bucket::find(&environment::variable, &read)
        .map_err(|error| CliError::from_error(&error).hint(error.hint()))?;
    let (endpoint, region, path_style) = match storage {
        Some(StorageConfig::S3 { endpoint, region, path_style, .. }) => {
            (endpoint.clone(), region.clone(), *path_style)
        }
        _ => (None, None, true),
    };
    let endpoint = args.s3_endpoint.clone().or(endpoint).or(around.endpoint);
    if let Some(reason) = endpoint.as_deref().and_then(fault_of_endpoint) {
        return Err(CliError::new(format!("the URL of the object store cannot be used: {reason}")).hint(
            "give a URL such as `https://s3.example.com:9000` with --s3-endpoint or in AWS_ENDPOINT_URL",
        ));
    }
    // Keys of the machine are those of AWS; elsewhere, waiting for them only takes time.
    let is_aws = endpoint.as_deref().is_none_or(|e| e.contains(".amazonaws.com"));
    let place = BucketPlace {
        url: url.clone(),
        endpoint,
        region: args.s3_region.clone().or(region).or(around.region),
        path_style,
        credentials: if is_aws { credentials } else { credentials.without_machine() },
    };
    network.bucket(&place, tls_verify).map_err(|error| WorkflowError::from(error).into())
}

/// Makes the workspace keep the chain's record where the configuration says.
pub(crate) fn with_records(
    workspace: Workspace,
    args: &MirrorArgs,
    network: &Network,
    storage: Option<&StorageConfig>,
) -> Result<Workspace, CliError> {
    match storage {
        Some(StorageConfig::Registry { image, skip_tls }) => {
            let records = network.record_in_registry(image, !skip_tls).map_err(|error| {
                CliError::caused(format!("the record in `{image}` cannot be used"), &error)
            })?;
            Ok(workspace.with_records(records))
        }
        Some(StorageConfig::S3 { bucket, .. }) => {
            let bucket = open(&args.bucket, network, bucket, storage, args.network.dest_tls_verify)?;
            Ok(workspace.with_records(Arc::new(InBucket::new(bucket))))
        }
        Some(StorageConfig::Local { .. }) | None => Ok(workspace),
    }
}
