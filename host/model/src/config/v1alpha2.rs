//! The form in which `v1alpha2` is written, where it differs, and its translation.

use schemars::JsonSchema;
use serde::Deserialize;

use super::extensions::{BlockedImage, PluginEntry, PolicyEntry};
use super::operators::{Operator, Package, PackageChannel};
use super::releases::{ReleaseChannel, ReleasePlatform};
use super::storage::Storage;
use super::types::{
    AdditionalImage, GiB, Helm, HelmRepository, LocalChart, Mirror, RepositoryChart, Sample, SectionPositions,
};
use crate::reference::{Repository, Source, Tag};

/// What to mirror, as oc-mirror v1 has it.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ImageSetConfiguration")]
pub(super) struct Document {
    /// The version of this form.
    #[schemars(extend("const" = "mirror.openshift.io/v1alpha2"))]
    #[expect(dead_code, reason = "it has been looked at before the rest")]
    api_version: String,
    /// What this is.
    #[schemars(extend("const" = "ImageSetConfiguration"))]
    #[expect(dead_code, reason = "it has been looked at before the rest")]
    kind: String,
    /// The size no chunk exceeds, in GiB; 0 means 500.
    #[serde(default)]
    pub(super) archive_size: Option<GiB>,
    /// Where metadata is kept.
    #[serde(default)]
    pub(super) storage_config: Option<Storage>,
    /// What to mirror.
    #[serde(default)]
    pub(super) mirror: MirrorForm,
}

/// The sections that say what is wanted and what is refused.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "Mirror")]
pub(super) struct MirrorForm {
    /// Releases of the platform.
    platform: Option<PlatformForm>,
    /// Operator catalogs.
    operators: Vec<OperatorForm>,
    /// Images by name.
    additional_images: Vec<ImageForm>,
    /// Helm charts, for the images they name.
    helm: Option<HelmForm>,
    /// Images to refuse.
    blocked_images: Vec<BlockedImage>,
    /// Samples. No version of oc-mirror ever mirrored them.
    samples: Vec<Sample>,
    /// Further content sources, as components.
    plugins: Vec<PluginEntry>,
    /// Further policies, as components.
    policies: Vec<PolicyEntry>,
}

/// Releases of the platform.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "Platform")]
struct PlatformForm {
    /// Whether the data of the update graph is mirrored.
    graph: bool,
    /// Update channels.
    channels: Vec<ReleaseChannel>,
    /// Architectures of the payloads: `amd64`, `arm64`, `ppc64le`, `s390x`, `multi`. Empty means `amd64`.
    architectures: Vec<String>,
}

/// A catalog of operators.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Operator")]
struct OperatorForm {
    /// The catalog's image: `host/path:tag`, `host/path@sha256:…`, both, or `oci://DIRECTORY`.
    catalog: String,
    /// Whether everything is wanted instead of the heads of channels.
    #[serde(default)]
    full: bool,
    /// Whether the packages that a package depends on are left out.
    #[serde(default)]
    skip_dependencies: bool,
    /// The repository at the target, in place of the catalog's own path; wins over `targetName`. A tag may follow.
    #[serde(default)]
    #[schemars(extend("format" = "oci-repository-and-tag"))]
    target_catalog: Option<String>,
    /// The last component of the repository at the target.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("format" = "oci-repository"))]
    target_name: Option<Repository>,
    /// The tag at the target, in place of the catalog's own.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("format" = "oci-tag"))]
    target_tag: Option<Tag>,
    /// Without effect.
    #[serde(default)]
    #[expect(dead_code, reason = "oc-mirror v1 accepts it and does not use it either")]
    original_ref: Option<String>,
    /// The packages wanted; empty takes all.
    #[serde(default)]
    packages: Vec<PackageForm>,
}

/// A package of a catalog.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Package")]
struct PackageForm {
    /// Its name.
    name: String,
    /// The default channel of the mirrored package, for when its own is not mirrored.
    #[serde(default)]
    default_channel: Option<String>,
    /// The lowest version wanted.
    #[serde(default)]
    min_version: Option<String>,
    /// The highest version wanted.
    #[serde(default)]
    max_version: Option<String>,
    /// The lowest bundle wanted.
    #[serde(default)]
    min_bundle: Option<String>,
    /// The channels wanted; empty takes all.
    #[serde(default)]
    channels: Vec<ChannelForm>,
}

/// A channel of a package.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "PackageChannel")]
struct ChannelForm {
    /// Its name.
    name: String,
    /// The lowest version wanted.
    #[serde(default)]
    min_version: Option<String>,
    /// The highest version wanted.
    #[serde(default)]
    max_version: Option<String>,
    /// The lowest bundle wanted.
    #[serde(default)]
    min_bundle: Option<String>,
}

/// An image by name.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "AdditionalImage")]
struct ImageForm {
    /// The image; with neither tag nor digest, `latest` is meant.
    name: String,
}

/// Helm charts.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "Helm")]
struct HelmForm {
    /// Repositories and the charts wanted of them.
    repositories: Vec<RepositoryForm>,
    /// Charts on this host.
    local: Vec<LocalChartForm>,
}

/// A chart repository.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "HelmRepository")]
struct RepositoryForm {
    /// A name for it.
    name: String,
    /// Where it is.
    url: String,
    /// The charts wanted; empty takes every version of every chart.
    #[serde(default)]
    charts: Vec<ChartForm>,
}

/// A chart of a repository.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "RepositoryChart")]
struct ChartForm {
    /// Its name in the repository.
    name: String,
    /// Its version; the newest where none is given.
    #[serde(default)]
    version: Option<String>,
    /// JSONPath expressions that find images, besides the built-in ones.
    #[serde(default)]
    image_paths: Vec<String>,
}

/// A chart on this host.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "LocalChart")]
struct LocalChartForm {
    /// A name for it.
    #[serde(default)]
    name: String,
    /// The directory or the `.tgz`.
    path: String,
    /// JSONPath expressions that find images, besides the built-in ones.
    #[serde(default)]
    image_paths: Vec<String>,
}

fn all<A, B: From<A>>(items: Vec<A>) -> Vec<B> {
    items.into_iter().map(B::from).collect()
}

impl From<MirrorForm> for Mirror {
    fn from(form: MirrorForm) -> Self {
        Self {
            platform: form.platform.map(ReleasePlatform::from),
            operators: all(form.operators),
            additional_images: all(form.additional_images),
            helm: form.helm.map(Helm::from),
            blocked_images: form.blocked_images,
            samples: form.samples,
            plugins: form.plugins,
            policies: form.policies,
            written_at: SectionPositions::default(),
        }
    }
}

impl From<PlatformForm> for ReleasePlatform {
    fn from(form: PlatformForm) -> Self {
        let PlatformForm { graph, channels, architectures } = form;
        Self { graph, channels, architectures, ..Self::default() }
    }
}

impl From<OperatorForm> for Operator {
    fn from(form: OperatorForm) -> Self {
        let renamed = form.target_name.and_then(|name| renamed(&form.catalog, &name));
        let (path, tag) = form.target_catalog.as_deref().map(split_tag).unwrap_or_default();
        Self {
            catalog: form.catalog,
            full: form.full,
            target_catalog: path.or(renamed),
            target_tag: form.target_tag.or(tag),
            skip_dependencies: form.skip_dependencies,
            packages: all(form.packages),
            ..Self::default()
        }
    }
}

/// Splits `path[:tag]`; what was checked before splits into parts that are valid.
fn split_tag(text: &str) -> (Option<Repository>, Option<Tag>) {
    match text.split_once(':') {
        Some((path, tag)) => (path.parse().ok(), tag.parse().ok()),
        None => (text.parse().ok(), None),
    }
}

/// Returns the catalog's path with another last component, which is what `targetName` means.
fn renamed(catalog: &str, name: &Repository) -> Option<Repository> {
    match catalog.parse::<Source>() {
        Ok(Source::Registry(reference)) => match reference.repository.as_str().rsplit_once('/') {
            Some((namespace, _)) => format!("{namespace}/{name}").parse().ok(),
            None => Some(name.clone()),
        },
        _ => Some(name.clone()),
    }
}

impl From<PackageForm> for Package {
    fn from(form: PackageForm) -> Self {
        let PackageForm { name, default_channel, min_version, max_version, min_bundle, channels } = form;
        Self {
            name,
            default_channel,
            min_version,
            max_version,
            min_bundle,
            channels: all(channels),
            ..Self::default()
        }
    }
}

impl From<ChannelForm> for PackageChannel {
    fn from(form: ChannelForm) -> Self {
        let ChannelForm { name, min_version, max_version, min_bundle } = form;
        Self { name, min_version, max_version, min_bundle }
    }
}

impl From<ImageForm> for AdditionalImage {
    fn from(form: ImageForm) -> Self {
        Self { name: form.name, ..Self::default() }
    }
}

impl From<HelmForm> for Helm {
    fn from(form: HelmForm) -> Self {
        Self { repositories: all(form.repositories), local: all(form.local) }
    }
}

impl From<RepositoryForm> for HelmRepository {
    fn from(form: RepositoryForm) -> Self {
        Self { name: form.name, url: form.url, charts: all(form.charts) }
    }
}

impl From<ChartForm> for RepositoryChart {
    fn from(form: ChartForm) -> Self {
        let ChartForm { name, version, image_paths } = form;
        Self { name, version, image_paths, ..Self::default() }
    }
}

impl From<LocalChartForm> for LocalChart {
    fn from(form: LocalChartForm) -> Self {
        let LocalChartForm { name, path, image_paths } = form;
        Self { name, path, image_paths, ..Self::default() }
    }
}
