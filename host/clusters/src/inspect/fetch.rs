//! [`fetch`]: the objects of a cluster that an inventory is made of, as they are.

use serde_json::Value;

use crate::connect::Cluster;
use crate::error::{ClusterError, ClusterErrorKind};

/// How many objects are asked for at once. ClusterServiceVersions have icons in them.
const PAGE: usize = 100;
/// The most objects of a kind that are read.
const MOST: usize = 100_000;

/// The objects.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) version: Value,
    pub(super) nodes: Vec<Value>,
    pub(super) subscriptions: Vec<Value>,
    /// Without the copies that OLM puts into other namespaces.
    pub(super) csvs: Vec<Value>,
    pub(super) catalog_sources: Vec<Value>,
    pub(super) extensions: Vec<Value>,
    pub(super) cluster_catalogs: Vec<Value>,
}

/// Reads all of them.
pub(super) async fn fetch(cluster: &Cluster) -> Result<Found, ClusterError> {
    const V0: &str = "/apis/operators.coreos.com/v1alpha1";
    const V1: &str = "/apis/olm.operatorframework.io/v1";
    let version = get(cluster, "/apis/config.openshift.io/v1/clusterversions/version").await?;
    let version = version.ok_or_else(|| {
        let message = "it has no ClusterVersion, so it is no cluster of OpenShift".to_owned();
        ClusterError::of(cluster.name(), ClusterErrorKind::NotFound { message })
    })?;
    Ok(Found {
        version,
        nodes: list(cluster, "/api/v1/nodes", "").await?,
        subscriptions: list(cluster, &format!("{V0}/subscriptions"), "").await?,
        csvs: list(cluster, &format!("{V0}/clusterserviceversions"), "%21olm.copiedFrom").await?,
        catalog_sources: list(cluster, &format!("{V0}/catalogsources"), "").await?,
        extensions: list(cluster, &format!("{V1}/clusterextensions"), "").await?,
        cluster_catalogs: list(cluster, &format!("{V1}/clustercatalogs"), "").await?,
    })
}

/// Lists objects that match a selector, which is escaped; none where the API is not there.
async fn list(cluster: &Cluster, path: &str, selector: &str) -> Result<Vec<Value>, ClusterError> {
    let mut items = Vec::new();
    let mut token = String::new();
    loop {
        let mut query = format!("{path}?limit={PAGE}");
        for (key, value) in [("labelSelector", selector), ("continue", &escaped(&token))] {
            if !value.is_empty() {
                query.push_str(&format!("&{key}={value}"));
            }
        }
        let Some(mut page) = get(cluster, &query).await? else { return Ok(items) };
        if let Some(Value::Array(more)) = page.get_mut("items").map(Value::take) {
            items.extend(more);
        }
        let next = page.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default();
        if next.is_empty() || next == token {
            return Ok(items);
        }
        if items.len() > MOST {
            let (server, reason) =
                (cluster.server().to_owned(), format!("`{path}` has more than {MOST} objects"));
            return Err(ClusterError::of(cluster.name(), ClusterErrorKind::Protocol { server, reason }));
        }
        token = next.to_owned();
    }
}

/// Reads one document; nothing where there is none.
async fn get(cluster: &Cluster, path: &str) -> Result<Option<Value>, ClusterError> {
    let request = http::Request::get(path).header(http::header::ACCEPT, "application/json").body(Vec::new());
    let request = request.map_err(|error| {
        let (server, reason) = (cluster.server().to_owned(), error.to_string());
        ClusterError::of(cluster.name(), ClusterErrorKind::Protocol { server, reason })
    })?;
    match cluster.client.request::<Value>(request).await {
        Ok(value) => Ok(Some(value)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(cluster.failed(&error)),
    }
}

/// Escapes what has a meaning of its own in a query.
fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_escaped() {
        assert_eq!(escaped("eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ=="), "eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ%3D%3D");
        assert_eq!(escaped("a&b+c"), "a%26b%2Bc");
    }
}
