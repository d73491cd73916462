//! The table. Where each value comes from is in `host/README.md`, with the test that shows what it is for.

use super::{Depth, Mount, Owner, Paths, Product, Profile, Upload};

/// Any number of components.
const ANY: Paths = Paths { least: 1, most: Depth::Any };
/// What distribution takes, and whatever is built on it.
const DISTRIBUTION: Option<u64> = Some(4 << 20);
/// Below what Azure takes in one request, some 20 MB, and little enough to keep for every upload under way.
const ACR_PIECE: u64 = 8 << 20;

/// What holds for any registry; the others differ from it.
const GENERIC: Profile = Profile {
    product: Product::Generic,
    name: "generic",
    title: "a registry",
    upload: Upload::Whole,
    counts_pieces: true,
    mount: Mount::From,
    sees_tags: true,
    manifests_per_second: None,
    paths: ANY,
    owner: Owner::Nobody,
    takes_oci: Some(true),
    largest_manifest: None,
    only_sha256: false,
    takes_sparse: None,
    has_referrers: None,
    deletes: None,
};

pub(super) static PROFILES: [Profile; 14] = [
    GENERIC,
    Profile {
        product: Product::DockerRegistry,
        name: "docker-registry",
        title: "docker-registry",
        largest_manifest: DISTRIBUTION,
        has_referrers: Some(false),
        ..GENERIC
    },
    Profile {
        product: Product::Quay,
        name: "quay",
        title: "Quay",
        paths: Paths { least: 2, most: Depth::Tried },
        owner: Owner::First("organization"),
        takes_oci: None,
        only_sha256: true,
        ..GENERIC
    },
    Profile {
        product: Product::Harbor,
        name: "harbor",
        title: "Harbor",
        paths: Paths { least: 2, most: Depth::Any },
        owner: Owner::First("project"),
        largest_manifest: DISTRIBUTION,
        ..GENERIC
    },
    Profile {
        product: Product::Artifactory,
        name: "artifactory",
        title: "Artifactory",
        upload: Upload::Single,
        takes_oci: None,
        ..GENERIC
    },
    Profile {
        product: Product::Nexus,
        name: "nexus",
        title: "Nexus",
        sees_tags: false,
        takes_oci: None,
        takes_sparse: Some(false),
        ..GENERIC
    },
    Profile {
        product: Product::Ecr,
        name: "ecr",
        title: "Amazon ECR",
        counts_pieces: false,
        manifests_per_second: Some(9),
        owner: Owner::Repository,
        largest_manifest: DISTRIBUTION,
        only_sha256: true,
        takes_sparse: Some(false),
        ..GENERIC
    },
    Profile {
        product: Product::GitLab,
        name: "gitlab",
        title: "GitLab",
        paths: Paths { least: 3, most: Depth::Below(2) },
        owner: Owner::Project(2),
        largest_manifest: DISTRIBUTION,
        ..GENERIC
    },
    Profile {
        product: Product::Zot,
        name: "zot",
        title: "zot",
        mount: Mount::Anywhere,
        has_referrers: Some(true),
        ..GENERIC
    },
    Profile {
        product: Product::OpenShift,
        name: "openshift",
        title: "OpenShift's own registry",
        paths: Paths { least: 2, most: Depth::Of(2) },
        owner: Owner::First("namespace"),
        largest_manifest: DISTRIBUTION,
        has_referrers: Some(false),
        ..GENERIC
    },
    Profile {
        product: Product::Ghcr,
        name: "ghcr",
        title: "GitHub's container registry",
        upload: Upload::Stream,
        paths: Paths { least: 2, most: Depth::Any },
        deletes: Some(false),
        ..GENERIC
    },
    Profile {
        product: Product::Acr,
        name: "acr",
        title: "Azure Container Registry",
        upload: Upload::Chunks(ACR_PIECE),
        ..GENERIC
    },
    Profile {
        product: Product::Gar,
        name: "gar",
        title: "Google Artifact Registry",
        paths: Paths { least: 3, most: Depth::Any },
        owner: Owner::Project(2),
        ..GENERIC
    },
    Profile {
        product: Product::DockerHub,
        name: "docker-hub",
        title: "Docker Hub",
        paths: Paths { least: 2, most: Depth::Of(2) },
        owner: Owner::First("organization"),
        largest_manifest: DISTRIBUTION,
        deletes: Some(false),
        ..GENERIC
    },
];
