//! [`outline`]: a first configuration for what clusters run.

use std::collections::{BTreeMap, BTreeSet};

use super::{ClusterInventory, InspectedCluster, InstalledOperator};
use crate::config::{Operator, Outline, Package, PackageChannel, ReleaseChannel};
use crate::version::Version;

/// Where the catalogs are that come with OpenShift.
const HOME: &str = "registry.redhat.io/redhat";

/// The catalogs that come with OpenShift. Mirrors keep the last component of their names.
const CATALOGS: [&str; 4] = [
    "redhat-operator-index",
    "certified-operator-index",
    "community-operator-index",
    "redhat-marketplace-index",
];

/// A configuration for clusters, and what it leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterOutline {
    /// What is mirrored.
    pub outline: Outline,
    /// What could not be told from the inventory, a sentence each.
    pub remarks: Vec<String>,
}

/// Makes a configuration that mirrors what these clusters run, and the ways to the newest in the channels that they follow.
///
/// Catalogs that come with OpenShift are named where they are on the internet, wherever a cluster has them from; others are taken
/// as they are, if their registry is known.
pub fn outline(inventory: &ClusterInventory) -> ClusterOutline {
    let mut remarks = BTreeSet::new();
    let mut architectures = BTreeSet::new();
    let mut channels: BTreeMap<String, String> = BTreeMap::new();
    let mut catalogs: BTreeMap<String, Packages> = BTreeMap::new();
    for cluster in &inventory.clusters {
        let release = &cluster.release;
        architectures.insert(release.architecture.clone());
        let minor = minor(&release.version);
        let channel = release.channel.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| {
            remarks.insert(format!("{} follows no channel: stable-{minor} is taken", cluster.name));
            format!("stable-{minor}")
        });
        keep_lowest(channels.entry(channel).or_default(), &release.version);
        for operator in &cluster.operators {
            match catalog(operator, cluster, &minor) {
                Ok(catalog) => add(catalogs.entry(catalog).or_default(), operator),
                Err(remark) => {
                    remarks.insert(remark);
                }
            }
        }
    }
    if architectures.iter().eq(["amd64"]) {
        architectures.clear();
    }
    let channel = |(name, version)| ReleaseChannel {
        name,
        min_version: Some(version),
        shortest_path: true,
        ..ReleaseChannel::default()
    };
    let operator = |(catalog, packages): (String, Packages)| Operator {
        catalog,
        packages: packages.into_iter().map(|(name, channels)| package(name, channels)).collect(),
        ..Operator::default()
    };
    let count = inventory.clusters.len();
    let note = match count {
        1 => "Made of what 1 cluster runs; `minVersion` is what it has.".to_owned(),
        count => format!("Made of what {count} clusters run; `minVersion` is the lowest of what they have."),
    };
    let outline = Outline {
        notes: vec![note],
        graph: count > 0,
        architectures: architectures.into_iter().collect(),
        channels: channels.into_iter().map(channel).collect(),
        operators: catalogs.into_iter().map(operator).collect(),
        ..Outline::default()
    };
    ClusterOutline { outline, remarks: remarks.into_iter().collect() }
}

/// Packages, their channels, and the lowest version that is installed of each; an empty channel is the default one, an empty version
/// none.
type Packages = BTreeMap<String, BTreeMap<String, String>>;

fn add(packages: &mut Packages, operator: &InstalledOperator) {
    let package = packages.entry(operator.package.clone()).or_default();
    let version = operator.version.as_deref().filter(|version| Version::parse(version).is_some());
    let default = [String::new()];
    let channels = if operator.channels.is_empty() { &default[..] } else { &operator.channels };
    for channel in channels {
        keep_lowest(package.entry(channel.clone()).or_default(), version.unwrap_or_default());
    }
}

fn keep_lowest(lowest: &mut String, version: &str) {
    if version.is_empty() {
        return;
    }
    let is_lower = match (Version::parse(version), Version::parse(lowest)) {
        (Some(version), Some(lowest)) => version < lowest,
        _ => lowest.is_empty(),
    };
    if is_lower {
        *lowest = version.to_owned();
    }
}

fn package(name: String, mut channels: BTreeMap<String, String>) -> Package {
    let version = |version: String| Some(version).filter(|version| !version.is_empty());
    // Who follows the default channel may be on any: the package as a whole has it.
    let whole = channels.remove("");
    if let Some(mut lowest) = whole {
        channels.into_values().for_each(|other| keep_lowest(&mut lowest, &other));
        return Package { name, min_version: version(lowest), ..Package::default() };
    }
    let channel =
        |(name, lowest)| PackageChannel { name, min_version: version(lowest), ..PackageChannel::default() };
    Package { name, channels: channels.into_iter().map(channel).collect(), ..Package::default() }
}

/// Says which catalog an operator is from, or why that is not known.
fn catalog(operator: &InstalledOperator, cluster: &InspectedCluster, minor: &str) -> Result<String, String> {
    let InstalledOperator { package, catalogs, .. } = operator;
    if catalogs.is_empty() {
        return Err(format!(
            "{}: which catalog the operator {package} is from is not known; it is left out",
            cluster.name
        ));
    }
    catalogs.iter().find_map(|image| original(image, minor)).ok_or_else(|| {
        format!(
            "{}: the operator {package} is from the catalog {}, whose registry is not known; it is left out",
            cluster.name, catalogs[0]
        )
    })
}

/// Returns the name by which a catalog is asked for: that of one which comes with OpenShift, or its own if it has a host.
fn original(image: &str, minor: &str) -> Option<String> {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let last = name.rsplit('/').next()?;
    let (last, tag) = last.split_once(':').map_or((last, None), |(last, tag)| (last, Some(tag)));
    if CATALOGS.contains(&last) {
        // A digest would be that of what a mirror made of it.
        let tag = tag.filter(|_| digest.is_none()).map_or_else(|| format!("v{minor}"), str::to_owned);
        return Some(format!("{HOME}/{last}:{tag}"));
    }
    let (host, path) = image.split_once('/')?;
    ((host.contains(['.', ':']) || host == "localhost") && !path.is_empty()).then(|| image.to_owned())
}

/// Returns the first two numbers of a version.
fn minor(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clusters::{ClusterRelease, UnreadCluster};
    use rstest::rstest;

    fn operator(package: &str, channels: &[&str], version: &str, catalog: &str) -> InstalledOperator {
        InstalledOperator {
            package: package.to_owned(),
            channels: channels.iter().map(|name| (*name).to_owned()).collect(),
            version: Some(version.to_owned()).filter(|version| !version.is_empty()),
            catalogs: Some(catalog.to_owned()).filter(|catalog| !catalog.is_empty()).into_iter().collect(),
            ..InstalledOperator::default()
        }
    }

    fn cluster(
        name: &str,
        version: &str,
        channel: Option<&str>,
        operators: Vec<InstalledOperator>,
    ) -> InspectedCluster {
        InspectedCluster {
            name: name.to_owned(),
            cluster_id: None,
            release: ClusterRelease {
                version: version.to_owned(),
                channel: channel.map(str::to_owned),
                architecture: "amd64".to_owned(),
                ..ClusterRelease::default()
            },
            operators,
            catalogs: Vec::new(),
        }
    }

    #[test]
    fn the_lowest_of_what_clusters_have_is_where_each_channel_begins() {
        const INDEX: &str = "mirror/redhat/redhat-operator-index:v4.18";
        let a = vec![
            operator("foo", &["stable"], "1.10.0", INDEX),
            operator("bar", &[], "0.2.0", INDEX),
            operator("own", &["alpha"], "1.0.0", "shop/index:v1"),
        ];
        let b = vec![
            operator("foo", &["stable"], "1.9.0", INDEX),
            operator("bar", &["beta"], "0.1.0", INDEX),
            operator("lost", &[], "", ""),
        ];
        let clusters = vec![
            cluster("a", "4.18.10", Some("stable-4.18"), a),
            cluster("b", "4.18.9", Some("stable-4.18"), b),
        ];
        let clusters = [clusters, vec![cluster("c", "4.19.1", None, Vec::new())]].concat();
        let ClusterOutline { outline, remarks } =
            outline(&ClusterInventory::new(clusters, Vec::<UnreadCluster>::new()));
        let channels: Vec<(&str, Option<&str>)> =
            outline.channels.iter().map(|c| (c.name.as_str(), c.min_version.as_deref())).collect();
        assert_eq!(channels, [("stable-4.18", Some("4.18.9")), ("stable-4.19", Some("4.19.1"))]);
        assert!(outline.architectures.is_empty());
        let [catalog] = outline.operators.as_slice() else { panic!("{:?}", outline.operators) };
        assert_eq!(catalog.catalog, "registry.redhat.io/redhat/redhat-operator-index:v4.18");
        let [bar, foo] = catalog.packages.as_slice() else { panic!("{:?}", catalog.packages) };
        assert_eq!(
            (bar.name.as_str(), bar.min_version.as_deref(), bar.channels.len()),
            ("bar", Some("0.1.0"), 0)
        );
        assert_eq!(
            (foo.channels[0].name.as_str(), foo.channels[0].min_version.as_deref()),
            ("stable", Some("1.9.0"))
        );
        assert_eq!(
            remarks,
            [
                "a: the operator own is from the catalog shop/index:v1, whose registry is not known; it is left out",
                "b: which catalog the operator lost is from is not known; it is left out",
                "c follows no channel: stable-4.19 is taken",
            ]
        );
        let text = outline.to_yaml();
        assert!(crate::config::parse(&text).is_ok(), "{text}");
    }

    #[rstest]
    #[case(
        "registry.redhat.io/redhat/redhat-operator-index:v4.18",
        Some("registry.redhat.io/redhat/redhat-operator-index:v4.18")
    )]
    #[case(
        "m.example:8443/a/b/certified-operator-index@sha256:00",
        Some("registry.redhat.io/redhat/certified-operator-index:v4.20")
    )]
    #[case("quay.io/team/index:v1", Some("quay.io/team/index:v1"))]
    #[case("team/index:v1", None)]
    fn catalogs(#[case] image: &str, #[case] expected: Option<&str>) {
        assert_eq!(original(image, "4.20").as_deref(), expected);
    }
}
