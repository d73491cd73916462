//! [`describe`]: what objects of a cluster say about it.

use std::collections::BTreeSet;

use oc_mirror_model::clusters::{
    CatalogKind, ClusterCatalog, ClusterRelease, InspectedCluster, InstalledOperator, OperatorKind,
    ReleaseRecord,
};
use serde_json::Value;

use super::Include;
use super::fetch::Found;

/// What ClusterVersion calls payloads of several architectures.
const MULTI: &str = "Multi";
/// Labels of nodes with a control plane.
const CONTROL_PLANE: [&str; 2] = ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];
/// The property that names the highest version of OpenShift.
const MAX_OPENSHIFT: &str = "olm.maxOpenShiftVersion";

/// Describes a cluster; fails with a reason where something essential is not there.
pub(super) fn describe(found: &Found, called: &str, include: Include) -> Result<InspectedCluster, String> {
    let catalogs = Catalogs { found, include };
    let mut operators: Vec<InstalledOperator> = Vec::new();
    operators.extend(found.subscriptions.iter().filter_map(|s| subscription(found, s, &catalogs, include)));
    operators.extend(found.extensions.iter().filter_map(|e| extension(e, &catalogs, include)));
    operators.sort();
    let mut all = catalogs.all();
    all.sort();
    Ok(InspectedCluster {
        name: called.to_owned(),
        cluster_id: text(&found.version, "/spec/clusterID").filter(|_| include.ids),
        release: release(found, include)?,
        operators,
        catalogs: all,
    })
}

/// Returns a text that is not empty.
fn text(object: &Value, pointer: &str) -> Option<String> {
    object.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn release(found: &Found, include: Include) -> Result<ClusterRelease, String> {
    let version = &found.version;
    let listed = version.pointer("/status/history").and_then(Value::as_array);
    let record = |entry: &Value| {
        Some(ReleaseRecord {
            version: text(entry, "/version")?,
            state: text(entry, "/state").unwrap_or_default(),
        })
    };
    let history: Vec<ReleaseRecord> = listed.into_iter().flatten().filter_map(record).collect();
    let completed = history.iter().find(|record| record.state == "Completed");
    let newest = history.first();
    // While a cluster is being installed, there is none that was completed.
    let current = completed.or(newest).map(|record| record.version.clone());
    let current = current.or_else(|| text(version, "/status/desired/version"));
    let current = current.ok_or("its ClusterVersion does not say which version it runs")?;
    let updating_to = newest.map(|record| record.version.clone()).filter(|newest| *newest != current);
    let nodes: BTreeSet<String> =
        found.nodes.iter().filter_map(|node| text(node, "/status/nodeInfo/architecture")).collect();
    Ok(ClusterRelease {
        version: current,
        updating_to,
        channel: text(version, "/spec/channel"),
        architecture: architecture(found)?,
        nodes: nodes.into_iter().collect(),
        upstream: text(version, "/spec/upstream").filter(|_| include.addresses),
        history,
    })
}

/// Finds the architecture of the payload: it says so if it has several, else it is that of the control plane.
fn architecture(found: &Found) -> Result<String, String> {
    if text(&found.version, "/status/desired/architecture").as_deref() == Some(MULTI) {
        return Ok("multi".to_owned());
    }
    let is_control_plane = |node: &&Value| {
        let labels = node.pointer("/metadata/labels");
        labels.is_some_and(|labels| CONTROL_PLANE.iter().any(|label| labels.get(label).is_some()))
    };
    // Hosted control planes have no node of their own.
    let first = found.nodes.iter().find(is_control_plane).or(found.nodes.first());
    let first = first.and_then(|node| text(node, "/status/nodeInfo/architecture"));
    first.ok_or_else(|| "it has no node that says which architecture it has".to_owned())
}

fn subscription(
    found: &Found,
    subscription: &Value,
    catalogs: &Catalogs<'_>,
    include: Include,
) -> Option<InstalledOperator> {
    let namespace = text(subscription, "/metadata/namespace").unwrap_or_default();
    let bundle = text(subscription, "/status/installedCSV");
    let csv = bundle.as_deref().and_then(|name| {
        let named = |csv: &&Value| text(csv, "/metadata/name").as_deref() == Some(name);
        let near = |csv: &&Value| text(csv, "/metadata/namespace").as_deref() == Some(namespace.as_str());
        found.csvs.iter().filter(named).find(near).or_else(|| found.csvs.iter().find(named))
    });
    let source = text(subscription, "/spec/source").unwrap_or_default();
    let source_namespace = text(subscription, "/spec/sourceNamespace").unwrap_or_default();
    let current = text(subscription, "/status/currentCSV").filter(|current| Some(current) != bundle.as_ref());
    Some(InstalledOperator {
        package: text(subscription, "/spec/name")?,
        kind: OperatorKind::Subscription,
        name: text(subscription, "/metadata/name").filter(|_| include.names),
        namespace: Some(namespace).filter(|_| include.names),
        channels: text(subscription, "/spec/channel").into_iter().collect(),
        catalogs: catalogs.source(&source, &source_namespace).into_iter().collect(),
        version: csv.and_then(|csv| text(csv, "/spec/version")),
        max_openshift_version: csv.and_then(max_openshift),
        bundle,
        current_csv: current,
        starting_csv: text(subscription, "/spec/startingCSV"),
        install_plan_approval: text(subscription, "/spec/installPlanApproval"),
        version_range: None,
    })
}

/// Finds a property in the annotations that OLM, or the author of an operator, put at a ClusterServiceVersion.
fn max_openshift(csv: &Value) -> Option<String> {
    let annotation = |key: &str| {
        let written = csv.pointer("/metadata/annotations")?.get(key)?.as_str()?;
        serde_json::from_str::<Value>(written).ok()
    };
    let by_olm = annotation("operatorframework.io/properties").map(|mut value| value["properties"].take());
    let lists = [by_olm, annotation("olm.properties")];
    let mut properties = lists.iter().flatten().filter_map(Value::as_array).flatten();
    let property = properties.rfind(|property| property["type"] == MAX_OPENSHIFT)?;
    match &property["value"] {
        Value::String(version) => Some(version.clone()),
        Value::Number(version) => Some(version.to_string()),
        _ => None,
    }
}

fn extension(extension: &Value, catalogs: &Catalogs<'_>, include: Include) -> Option<InstalledOperator> {
    let catalog = extension.pointer("/spec/source/catalog")?;
    let channels = catalog.get("channels").and_then(Value::as_array);
    let channels = channels.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    Some(InstalledOperator {
        package: text(catalog, "/packageName")?,
        kind: OperatorKind::ClusterExtension,
        name: text(extension, "/metadata/name").filter(|_| include.names),
        channels,
        catalogs: catalogs.selected(catalog.pointer("/selector/matchLabels")),
        bundle: text(extension, "/status/install/bundle/name"),
        version: text(extension, "/status/install/bundle/version"),
        version_range: text(catalog, "/version"),
        ..InstalledOperator::default()
    })
}

/// The catalogs of a cluster.
struct Catalogs<'a> {
    found: &'a Found,
    include: Include,
}

impl Catalogs<'_> {
    fn all(&self) -> Vec<ClusterCatalog> {
        let sources = self.found.catalog_sources.iter().map(|source| ClusterCatalog {
            kind: CatalogKind::CatalogSource,
            image: self.image(source, "/spec/image"),
            name: text(source, "/metadata/name").filter(|_| self.include.names),
            namespace: text(source, "/metadata/namespace").filter(|_| self.include.names),
        });
        let catalogs = self.found.cluster_catalogs.iter().map(|catalog| ClusterCatalog {
            kind: CatalogKind::ClusterCatalog,
            image: self.image(catalog, "/spec/source/image/ref"),
            name: text(catalog, "/metadata/name").filter(|_| self.include.names),
            namespace: None,
        });
        sources.chain(catalogs).collect()
    }

    /// Returns the image of a CatalogSource.
    fn source(&self, name: &str, namespace: &str) -> Option<String> {
        let is_it = |source: &&Value| {
            text(source, "/metadata/name").as_deref() == Some(name)
                && text(source, "/metadata/namespace").as_deref() == Some(namespace)
        };
        self.image(self.found.catalog_sources.iter().find(is_it)?, "/spec/image")
    }

    /// Returns the images of the ClusterCatalogs that are available and have all of some labels.
    fn selected(&self, labels: Option<&Value>) -> Vec<String> {
        let wanted = labels.and_then(Value::as_object);
        let is_it = |catalog: &&Value| {
            let own = catalog.pointer("/metadata/labels");
            let has = |(key, value): (&String, &Value)| own.and_then(|own| own.get(key)) == Some(value);
            text(catalog, "/spec/availabilityMode").as_deref() != Some("Unavailable")
                && wanted.into_iter().flatten().all(has)
        };
        let catalogs = self.found.cluster_catalogs.iter().filter(is_it);
        let images: BTreeSet<String> =
            catalogs.filter_map(|catalog| self.image(catalog, "/spec/source/image/ref")).collect();
        images.into_iter().collect()
    }

    /// Returns an image, without its host unless addresses are wanted.
    fn image(&self, object: &Value, pointer: &str) -> Option<String> {
        let image = text(object, pointer)?;
        Some(if self.include.addresses { image } else { without_host(&image).to_owned() })
    }
}

fn without_host(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => path,
        _ => image,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn node(architecture: &str, role: &str) -> Value {
        json!({
            "metadata": {"labels": {format!("node-role.kubernetes.io/{role}"): ""}},
            "status": {"nodeInfo": {"architecture": architecture}},
        })
    }

    fn found() -> Found {
        let properties = json!({"properties": [
            {"type": "olm.package", "value": {"packageName": "foo", "version": "1.0.0"}},
            {"type": "olm.maxOpenShiftVersion", "value": "4.18"},
        ]});
        Found {
            version: json!({
                "spec": {"channel": "stable-4.18", "clusterID": "1-2-3", "upstream": "https://osus.corp.example/graph"},
                "status": {
                    "desired": {"version": "4.18.5"},
                    "history": [
                        {"state": "Partial", "version": "4.18.5"},
                        {"state": "Completed", "version": "4.18.3"},
                        {"state": "Completed", "version": "4.17.9"},
                    ],
                },
            }),
            nodes: vec![node("arm64", "worker"), node("amd64", "master"), node("amd64", "worker")],
            subscriptions: vec![
                json!({
                    "metadata": {"name": "foo-sub", "namespace": "team-a"},
                    "spec": {"name": "foo", "channel": "stable", "source": "cs-index", "sourceNamespace": "openshift-marketplace",
                        "installPlanApproval": "Manual", "startingCSV": "foo.v0.9.0"},
                    "status": {"installedCSV": "foo.v1.0.0", "currentCSV": "foo.v1.1.0"},
                }),
                json!({"metadata": {"name": "bar", "namespace": "b"}, "spec": {"name": "bar", "source": "gone", "sourceNamespace": "b"}}),
            ],
            csvs: vec![json!({
                "metadata": {"name": "foo.v1.0.0", "namespace": "team-a",
                    "annotations": {"operatorframework.io/properties": properties.to_string()}},
                "spec": {"version": "1.0.0"},
            })],
            catalog_sources: vec![json!({
                "metadata": {"name": "cs-index", "namespace": "openshift-marketplace"},
                "spec": {"image": "mirror.corp.example:8443/ocp/redhat/index:v4.18"},
            })],
            extensions: vec![json!({
                "metadata": {"name": "my-baz"},
                "spec": {"source": {"catalog": {"packageName": "baz", "channels": ["a", "b"], "version": "1.x",
                    "selector": {"matchLabels": {"own": "yes"}}}}},
                "status": {"install": {"bundle": {"name": "baz.v1.2.0", "version": "1.2.0"}}},
            })],
            cluster_catalogs: vec![
                json!({"metadata": {"name": "cc-index", "labels": {"own": "yes"}}, "spec": {"source": {"image": {"ref": "mirror.corp.example/redhat/index:v4.18"}}}}),
                json!({"metadata": {"name": "cc-other"}, "spec": {"source": {"image": {"ref": "mirror.corp.example/other/index:v1"}}}}),
            ],
        }
    }

    #[test]
    fn nothing_that_names_the_site_unless_wanted() {
        let cluster = describe(&found(), "cluster-1", Include::default()).expect("a cluster");
        let written = serde_json::to_string(&cluster).expect("JSON");
        for private in ["corp.example", "team-a", "foo-sub", "my-baz", "cs-index", "cc-index", "1-2-3"] {
            assert!(!written.contains(private), "{private}: {written}");
        }
        insta::assert_snapshot!(
            oc_mirror_model::clusters::ClusterInventory::new(vec![cluster], vec![]).to_yaml()
        );
    }

    #[test]
    fn all_of_it_if_wanted() {
        let cluster = describe(&found(), "prod", Include { names: true, addresses: true, ids: true });
        let inventory = oc_mirror_model::clusters::ClusterInventory::new(vec![cluster.expect("one")], vec![]);
        insta::assert_snapshot!(inventory.to_yaml());
    }

    #[rstest]
    #[case(json!({"status": {"desired": {"architecture": "Multi"}}}), vec![node("arm64", "master")], Ok("multi"))]
    #[case(json!({}), vec![node("arm64", "worker"), node("s390x", "control-plane")], Ok("s390x"))]
    #[case(json!({}), vec![node("arm64", "worker")], Ok("arm64"))]
    #[case(json!({}), vec![], Err("it has no node that says which architecture it has"))]
    fn architectures(
        #[case] version: Value,
        #[case] nodes: Vec<Value>,
        #[case] expected: Result<&str, &str>,
    ) {
        let found = Found { version, nodes, ..Found::default() };
        let architecture = architecture(&found);
        assert_eq!(architecture.as_deref().map_err(String::as_str), expected);
    }

    #[rstest]
    #[case(json!([{"state": "Completed", "version": "4.18.3"}]), Some(("4.18.3", None)))]
    #[case(json!([{"state": "Partial", "version": "4.18.3"}]), Some(("4.18.3", None)))]
    #[case(
        json!([{"state": "Partial", "version": "4.18.4"}, {"state": "Completed", "version": "4.18.3"}]),
        Some(("4.18.3", Some("4.18.4")))
    )]
    #[case(
        json!([{"state": "Partial", "version": "4.18.3"}, {"state": "Completed", "version": "4.18.3"}]),
        Some(("4.18.3", None))
    )]
    #[case(json!([]), None)]
    fn versions(#[case] history: Value, #[case] expected: Option<(&str, Option<&str>)>) {
        let version = json!({"status": {"history": history}});
        let found = Found { version, nodes: vec![node("amd64", "master")], ..Found::default() };
        let release = release(&found, Include::default()).ok();
        let versions = release.as_ref().map(|r| (r.version.as_str(), r.updating_to.as_deref()));
        assert_eq!(versions, expected);
    }

    #[test]
    fn what_authors_wrote_counts_too() {
        let written = json!([{"type": "olm.maxOpenShiftVersion", "value": 4.12}]).to_string();
        let csv = json!({"metadata": {"annotations": {"olm.properties": written}}});
        assert_eq!(max_openshift(&csv).as_deref(), Some("4.12"));
        assert_eq!(max_openshift(&json!({"metadata": {"annotations": {"olm.properties": "{"}}})), None);
    }

    #[rstest]
    #[case("r.example/a/b:v1", "a/b:v1")]
    #[case("localhost/a:v1", "a:v1")]
    #[case("r:5000/a@sha256:ab", "a@sha256:ab")]
    #[case("a/b:v1", "a/b:v1")]
    fn hosts(#[case] image: &str, #[case] expected: &str) {
        assert_eq!(without_host(image), expected);
    }
}
