//! [`Served`]: a kind of resource as one cluster serves it, with the requests about its objects. A request that may succeed
//! a little later is tried again.

use std::future::Future;
use std::time::Duration;

use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions, ValidationDirective,
};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiResource, Scope, pinned_kind};
use serde_json::Value;

use super::MANAGER;
use crate::connect::Cluster;
use crate::error::{ClusterError, ClusterErrorKind};

/// How often a request is sent, all in all.
const TRIES: u32 = 4;
/// The wait before the second try; it doubles.
const FIRST_DELAY: Duration = Duration::from_millis(250);
/// However long a server asks to wait.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// A kind of resource that a cluster has.
#[derive(Clone)]
pub(super) struct Served {
    cluster: Cluster,
    resource: ApiResource,
    is_namespaced: bool,
}

/// How an object is applied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Change nothing, and answer with what would be.
    pub dry_run: bool,
    /// Take over fields that others have set.
    pub force: bool,
}

impl Served {
    /// Asks whether a cluster has a kind.
    pub(super) async fn find(
        cluster: &Cluster,
        api_version: &str,
        kind: &str,
    ) -> Result<Option<Self>, ClusterError> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let kind = GroupVersionKind::gvk(group, version, kind);
        match patiently(cluster, || pinned_kind(&cluster.client, &kind)).await {
            Ok((resource, capabilities)) => Ok(Some(Self {
                cluster: cluster.clone(),
                resource,
                is_namespaced: capabilities.scope == Scope::Namespaced,
            })),
            Err(kube::Error::Discovery(_)) => Ok(None),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(cluster.failed(&error)),
        }
    }

    /// Answers whether objects of it are in namespaces.
    pub(super) fn is_namespaced(&self) -> bool {
        self.is_namespaced
    }

    /// Returns the object of a name, if there is one.
    pub(super) async fn get(
        &self,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, ClusterError> {
        let api = self.api(namespace);
        let found = patiently(&self.cluster, || api.get_opt(name)).await;
        found.map(|object| object.map(|o| value(&o))).map_err(|error| self.cluster.failed(&error))
    }

    /// Applies an object, and returns it as it is then. The error is the client's: conflicts have details.
    pub(super) async fn apply(
        &self,
        namespace: Option<&str>,
        name: &str,
        object: &Value,
        manner: Manner,
    ) -> Result<Value, kube::Error> {
        let api = self.api(namespace);
        let params = PatchParams {
            dry_run: manner.dry_run,
            force: manner.force,
            field_manager: Some(MANAGER.to_owned()),
            // A field that the cluster does not know would be dropped in silence.
            field_validation: Some(ValidationDirective::Strict),
        };
        let patch = Patch::Apply(object);
        patiently(&self.cluster, || api.patch(name, &params, &patch)).await.map(|object| value(&object))
    }

    /// Returns all objects with a label, in all namespaces.
    pub(super) async fn list(&self, selector: &str) -> Result<Vec<Value>, ClusterError> {
        let api: Api<DynamicObject> = Api::all_with(self.cluster.client.clone(), &self.resource);
        let params = ListParams::default().labels(selector);
        let found = patiently(&self.cluster, || api.list(&params)).await;
        let found = found.map_err(|error| self.cluster.failed(&error))?;
        Ok(found.items.iter().map(value).collect())
    }

    /// Removes an object, if it is still the one that was seen.
    pub(super) async fn remove(
        &self,
        namespace: Option<&str>,
        name: &str,
        seen: Preconditions,
    ) -> Result<(), ClusterError> {
        let api = self.api(namespace);
        let params = DeleteParams { preconditions: Some(seen), ..DeleteParams::background() };
        match patiently(&self.cluster, || api.delete(name, &params)).await {
            Ok(_) => Ok(()),
            // Somebody else was faster.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(self.cluster.failed(&error)),
        }
    }

    fn api(&self, namespace: Option<&str>) -> Api<DynamicObject> {
        let client = self.cluster.client.clone();
        match namespace.filter(|_| self.is_namespaced) {
            Some(namespace) => Api::namespaced_with(client, namespace, &self.resource),
            None => Api::all_with(client, &self.resource),
        }
    }
}

fn value(object: &DynamicObject) -> Value {
    serde_json::to_value(object).expect("what was read from JSON can be written as JSON")
}

/// Sends a request again where that may help.
async fn patiently<T, F, R>(cluster: &Cluster, request: F) -> Result<T, kube::Error>
where
    F: Fn() -> R,
    R: Future<Output = Result<T, kube::Error>>,
{
    let mut delay = FIRST_DELAY;
    for _ in 1..TRIES {
        let error = match request().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        // Whoever cannot be reached at all is not there; servers that are busy say so.
        let kind = ClusterErrorKind::of_request(cluster.server(), &error);
        if !matches!(kind, ClusterErrorKind::Api { .. }) || !kind.is_temporary() {
            return Err(error);
        }
        let asked = match &error {
            kube::Error::Api(status) => {
                status.details.as_ref().map_or(0, |details| details.retry_after_seconds)
            }
            _ => 0,
        };
        tokio::time::sleep(delay.max(Duration::from_secs(asked.into())).min(LONGEST_DELAY)).await;
        delay *= 2;
    }
    request().await
}
