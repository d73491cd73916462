//! [`inspect`]: what a cluster runs, as far as it matters for mirroring. Only reads.

mod describe;
mod fetch;

use oc_mirror_model::clusters::{InspectedCluster, UnreadReason};

use crate::connect::Cluster;
use crate::error::{ClusterError, ClusterErrorKind};

/// What goes into an inventory besides what a plan needs. Nothing of it is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Include {
    /// Names of Subscriptions, ClusterExtensions, catalogs, and their namespaces.
    pub names: bool,
    /// Hosts of catalogs' images, and update services.
    pub addresses: bool,
    /// The identities by which clusters report to their vendor.
    pub ids: bool,
}

/// Reads what a cluster runs; `called` is its name in the inventory.
///
/// All of it or nothing: a cluster whose operators cannot be read would look like one without operators.
///
/// # Errors
///
/// Fails if anything cannot be read, and if the cluster is none of OpenShift. An API that it does not have is no error:
/// there are clusters without OLM, and of one of its versions only.
pub async fn inspect(
    cluster: &Cluster,
    called: &str,
    include: Include,
) -> Result<InspectedCluster, ClusterError> {
    let found = fetch::fetch(cluster).await?;
    describe::describe(&found, called, include).map_err(|reason| {
        let server = cluster.server().to_owned();
        ClusterError::of(cluster.name(), ClusterErrorKind::Protocol { server, reason })
    })
}

/// Sorts why a cluster could not be read into what an inventory has for it.
pub fn unread_reason(error: &ClusterError) -> UnreadReason {
    match error.kind.as_ref() {
        ClusterErrorKind::Unreachable { .. } => UnreadReason::Unreachable,
        ClusterErrorKind::Unauthorized { .. } | ClusterErrorKind::Credentials { .. } => {
            UnreadReason::Unauthorized
        }
        ClusterErrorKind::Forbidden { .. } => UnreadReason::Forbidden,
        ClusterErrorKind::NotFound { .. } => UnreadReason::NotOpenShift,
        _ => UnreadReason::Failed,
    }
}
