//! [`Kind`]: the kinds of resources that are applied, the order in which they are, and what it means that a cluster does
//! not have one.

/// A kind of resource.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// The group of its API; empty for the core.
    pub group: &'static str,
    /// Its version, as this program writes it.
    pub version: &'static str,
    /// Its name.
    pub kind: &'static str,
    /// What the cluster lacks if it does not know the kind. Something that can be done without has no remedy.
    pub absence: Absence,
}

/// What it means that a cluster does not know a kind.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Absence {
    /// The cluster does without, and this is what it lacks.
    Skipped(&'static str),
    /// The cluster cannot use the mirror, and this is what to do.
    Failed(&'static str),
}

/// The kinds in the order in which they are applied: signatures before anything that may start an update, names of
/// mirrors before images that are pulled by them, catalogs, and last the service that offers updates.
pub(super) const KINDS: [Kind; 7] = [
    Kind {
        group: "",
        version: "v1",
        kind: "ConfigMap",
        absence: Absence::Failed("check that the kubeconfig leads to an API server of Kubernetes"),
    },
    Kind {
        group: "config.openshift.io",
        version: "v1",
        kind: "ImageDigestMirrorSet",
        absence: Absence::Failed(
            "OpenShift has it since 4.13; publish with --icsp, which makes policies instead, for older clusters",
        ),
    },
    Kind {
        group: "config.openshift.io",
        version: "v1",
        kind: "ImageTagMirrorSet",
        absence: Absence::Failed(
            "OpenShift has it since 4.13; older clusters have no mirrors for images that are pulled by tag",
        ),
    },
    Kind {
        group: "operator.openshift.io",
        version: "v1alpha1",
        kind: "ImageContentSourcePolicy",
        absence: Absence::Failed("publish with --icsp=false, which makes mirror sets instead"),
    },
    Kind {
        group: "operators.coreos.com",
        version: "v1alpha1",
        kind: "CatalogSource",
        absence: Absence::Skipped("the cluster has no Operator Lifecycle Manager"),
    },
    Kind {
        group: "olm.operatorframework.io",
        version: "v1",
        kind: "ClusterCatalog",
        absence: Absence::Skipped("the cluster has no Operator Lifecycle Manager of version 1"),
    },
    Kind {
        group: "updateservice.operator.openshift.io",
        version: "v1",
        kind: "UpdateService",
        absence: Absence::Skipped(
            "the OpenShift Update Service operator is not installed; install it and apply again",
        ),
    },
];

impl Kind {
    /// Finds a kind by what a document says of itself.
    pub(super) fn of(api_version: &str, kind: &str) -> Option<&'static Self> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        KINDS.iter().find(|known| known.kind == kind && known.group == group)
    }

    /// Returns its place in the order.
    pub(super) fn order(&self) -> usize {
        KINDS.iter().position(|kind| kind == self).unwrap_or(KINDS.len())
    }

    /// Answers whether nodes read it.
    pub(super) fn is_mirror_set(&self) -> bool {
        ["ImageDigestMirrorSet", "ImageTagMirrorSet", "ImageContentSourcePolicy"].contains(&self.kind)
    }
}
