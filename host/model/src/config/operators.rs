//! The section `operators`: [`Operator`] is one catalog with what is wanted of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::platform::Platform;
use crate::reference::{InvalidReference, Reference, Repository, Source, Tag};

/// A catalog of operators.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Operator {
    /// The catalog's image: `host/path:tag`, `host/path@sha256:…`, both, or `oci://DIRECTORY`.
    pub catalog: String,
    /// Whether everything is wanted instead of the heads of channels.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
    /// The repository at the target, in place of the catalog's own path; no tag and no digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "oci-repository"))]
    pub target_catalog: Option<Repository>,
    /// The tag at the target, in place of the catalog's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "oci-tag"))]
    pub target_tag: Option<Tag>,
    /// A file with a template for the catalog's CatalogSource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_catalog_source_template: Option<String>,
    /// Whether the packages that a package depends on are left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_dependencies: bool,
    /// What to do about packages that mirrored bundles need and nobody lists.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dependencies: Dependencies,
    /// Whether clusters on versions that were mirrored before keep a path to the newest one: the bundles in between are
    /// mirrored too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_upgrade_paths: bool,
    /// What to do about bundles of which an image is not mirrored.
    #[serde(default, skip_serializing_if = "is_default")]
    pub incomplete_bundles: IncompleteBundles,
    /// Which images of an index to mirror; empty mirrors all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
    /// The packages wanted; empty takes all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
}

/// What to do about packages that mirrored bundles need and nobody lists.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Dependencies {
    /// Mirror them too.
    Resolve,
    /// Say what is missing, and where it can be had.
    #[default]
    Warn,
    /// Do nothing.
    Ignore,
}

/// What to do about bundles of which an image is not mirrored.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum IncompleteBundles {
    /// The catalog does not offer them.
    #[default]
    Drop,
    /// The catalog offers them all the same, as that of oc-mirror v2 does.
    Keep,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Operator {
    /// Returns the parsed catalog.
    pub fn source(&self) -> Result<Source, InvalidReference> {
        self.catalog.parse()
    }

    /// Returns the name that no two catalogs of a configuration share: what is mirrored, with the target's path and tag.
    pub fn unique_name(&self) -> Result<String, InvalidReference> {
        let mut name = match self.source()? {
            Source::Registry(mut reference) => {
                if let Some(path) = &self.target_catalog {
                    reference.repository = path.clone();
                }
                if self.target_tag.is_some() {
                    return Ok(
                        Reference { tag: self.target_tag.clone(), digest: None, ..reference }.to_string()
                    );
                }
                return Ok(reference.to_string());
            }
            Source::Layout(layout) => match &self.target_catalog {
                Some(path) => path.to_string(),
                None => Source::Layout(layout).to_string(),
            },
        };
        if let Some(tag) = &self.target_tag {
            name.push(':');
            name.push_str(tag.as_str());
        }
        Ok(name)
    }
}

/// A package of a catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// The default channel of the mirrored package, for when its own is not mirrored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_channel: Option<String>,
    /// The lowest version wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_version: Option<String>,
    /// The highest version wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_version: Option<String>,
    /// The lowest bundle wanted (`v1alpha2` only; not written).
    #[serde(skip)]
    pub min_bundle: Option<String>,
    /// The channels wanted; empty takes all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<PackageChannel>,
    /// Exactly these bundles, in place of ranges of versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bundles: Vec<PackageBundle>,
}

/// A bundle of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PackageBundle {
    /// Its name: `foo.v1.2.3`.
    pub name: String,
}

/// A channel of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PackageChannel {
    /// Its name.
    pub name: String,
    /// The lowest version wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_version: Option<String>,
    /// The highest version wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_version: Option<String>,
    /// The lowest bundle wanted (`v1alpha2` only; not written).
    #[serde(skip)]
    pub min_bundle: Option<String>,
}
