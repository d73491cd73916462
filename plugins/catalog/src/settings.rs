//! [`Entry`]: one entry of `mirror.operators[]`, and how it is identified.

use serde::{Deserialize, Deserializer, Serialize};

/// Which schema's rules decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rules {
    /// `mirror.openshift.io/v1alpha2`.
    #[serde(rename = "v1alpha2")]
    V1Alpha2,
    /// `mirror.openshift.io/v2alpha1`.
    #[serde(rename = "v2alpha1")]
    V2Alpha1,
}

/// One entry of `mirror.operators[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// The reference of the catalog, or `oci://` and a directory.
    pub catalog: String,
    /// Everything instead of heads.
    #[serde(default, deserialize_with = "or_default")]
    pub full: bool,
    /// The repository at the target.
    #[serde(default)]
    pub target_catalog: Option<String>,
    /// The last part of the repository at the target (v1).
    #[serde(default)]
    pub target_name: Option<String>,
    /// The tag at the target.
    #[serde(default)]
    pub target_tag: Option<String>,
    /// A file with a CatalogSource to start from.
    #[serde(default)]
    pub target_catalog_source_template: Option<String>,
    /// Accepted and unused (v1).
    #[serde(default)]
    pub original_ref: Option<String>,
    /// No bundles that others need (v1).
    #[serde(default, deserialize_with = "or_default")]
    pub skip_dependencies: bool,
    /// Which images of an index to take.
    #[serde(default, deserialize_with = "or_default")]
    pub platforms: Vec<Platform>,
    /// The packages; none takes all.
    #[serde(default)]
    pub packages: Option<Vec<PackageEntry>>,
    /// What to do about bundles that others need (v2).
    #[serde(default, deserialize_with = "or_default")]
    pub dependencies: Dependencies,
    /// Whether clusters on bundles mirrored before get a path to the new head (v2).
    #[serde(default, deserialize_with = "or_default")]
    pub keep_upgrade_paths: bool,
    /// What to do about bundles that lack images.
    #[serde(default, deserialize_with = "or_default")]
    pub incomplete_bundles: IncompleteBundles,
}

/// A package of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PackageEntry {
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// The default channel it gets.
    #[serde(default)]
    pub default_channel: Option<String>,
    /// The lowest version, for all channels.
    #[serde(default)]
    pub min_version: Option<String>,
    /// The highest version, for all channels.
    #[serde(default)]
    pub max_version: Option<String>,
    /// The lowest bundle (v1).
    #[serde(default)]
    pub min_bundle: Option<String>,
    /// The channels; none takes all.
    #[serde(default, deserialize_with = "or_default")]
    pub channels: Vec<ChannelFilter>,
    /// Exactly these bundles (v2).
    #[serde(default, deserialize_with = "or_default")]
    pub bundles: Vec<BundleFilter>,
}

/// A channel of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChannelFilter {
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// The lowest version.
    #[serde(default)]
    pub min_version: Option<String>,
    /// The highest version.
    #[serde(default)]
    pub max_version: Option<String>,
    /// The lowest bundle (v1).
    #[serde(default)]
    pub min_bundle: Option<String>,
}

/// A bundle of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BundleFilter {
    /// Its name.
    pub name: String,
}

/// A platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Platform {
    /// The operating system.
    #[serde(default)]
    pub os: String,
    /// The processor architecture.
    #[serde(default)]
    pub architecture: String,
    /// The variant of the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// What to do about bundles that kept bundles need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dependencies {
    /// Keep them too.
    Resolve,
    /// Say what is missing, and where it could be had.
    #[default]
    Warn,
    /// Nothing.
    Ignore,
}

/// What to do about bundles that lack images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IncompleteBundles {
    /// Leave them out.
    #[default]
    Drop,
    /// Keep them.
    Keep,
}

/// Reads a value, for which null is the default.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Returns the text unless it is missing or empty.
pub(crate) fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

impl Entry {
    /// Returns the packages that are asked for; empty if all are.
    pub fn listed(&self) -> &[PackageEntry] {
        self.packages.as_deref().unwrap_or_default()
    }

    /// Returns what identifies the catalog in a configuration, and between runs: the reference without transport,
    /// with the repository and the tag that it gets at the target.
    pub fn unique_name(&self) -> String {
        let (target, name, tag) =
            (given(&self.target_catalog), given(&self.target_name), given(&self.target_tag));
        let bare = without_transport(&self.catalog);
        if target.is_none() && name.is_none() && tag.is_none() {
            return bare.to_owned();
        }
        let parts = Parts::of(bare);
        let path = match (target, name) {
            (Some(target), _) if self.is_oci() => target.to_owned(),
            (Some(target), _) => match parts.path.split_once('/') {
                Some((host, _)) if is_host(host) => format!("{host}/{target}"),
                _ => target.to_owned(),
            },
            (None, Some(name)) => {
                let parent = parts.path.rfind('/').map_or("", |slash| &parts.path[..=slash]);
                format!("{parent}{name}")
            }
            (None, None) => parts.path.to_owned(),
        };
        match (tag.or(parts.tag), parts.digest) {
            (Some(tag), None) => format!("{path}:{tag}"),
            // A target tag stands for the digest.
            (Some(given), Some(_)) if tag.is_some() => format!("{path}:{given}"),
            (_, Some(digest)) => format!("{path}@{digest}"),
            (None, None) => path,
        }
    }

    /// Tells whether the catalog is a directory.
    pub fn is_oci(&self) -> bool {
        self.catalog.starts_with("oci:")
    }
}

/// Removes `docker://`, `oci://` and their like.
pub(crate) fn without_transport(reference: &str) -> &str {
    let bare = ["docker:", "oci:", "file:"].iter().find_map(|scheme| reference.strip_prefix(scheme));
    let bare = bare.unwrap_or(reference);
    bare.strip_prefix("//").unwrap_or(bare)
}

/// The parts of a reference.
pub(crate) struct Parts<'a> {
    pub(crate) path: &'a str,
    pub(crate) tag: Option<&'a str>,
    pub(crate) digest: Option<&'a str>,
}

impl<'a> Parts<'a> {
    pub(crate) fn of(reference: &'a str) -> Self {
        let (named, digest) = match reference.split_once('@') {
            Some((named, digest)) => (named, Some(digest)),
            None => (reference, None),
        };
        // A colon before the last slash belongs to a port.
        let colon = named.rfind(':').filter(|colon| !named[*colon..].contains('/'));
        match colon {
            Some(colon) => Self { path: &named[..colon], tag: Some(&named[colon + 1..]), digest },
            None => Self { path: named, tag: None, digest },
        }
    }
}

fn is_host(part: &str) -> bool {
    part.contains(['.', ':']) || part == "localhost"
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn entry(value: serde_json::Value) -> Entry {
        serde_json::from_value(value).expect("an entry")
    }

    #[test]
    fn nulls_are_nothing() {
        let read = entry(json!({"catalog": "a", "full": null, "targetCatalog": null, "targetTag": null,
            "targetCatalogSourceTemplate": null, "skipDependencies": null, "platforms": null,
            "dependencies": null, "keepUpgradePaths": null, "incompleteBundles": null,
            "packages": [{"name": "p", "defaultChannel": null, "minVersion": null, "maxVersion": null,
                "minBundle": null, "channels": null, "bundles": null}]}));
        let packages = Some(vec![PackageEntry { name: "p".into(), ..PackageEntry::default() }]);
        assert_eq!(read, Entry { catalog: "a".into(), packages, ..Entry::default() });
        assert_eq!(entry(json!({"catalog": "a", "packages": null})).listed(), []);
    }

    #[test]
    fn unknown_fields_are_refused() {
        for value in
            [json!({"catalog": "a", "foo": 1}), json!({"catalog": "a", "packages": [{"name": "p", "x": 1}]})]
        {
            serde_json::from_value::<Entry>(value).expect_err("an unknown field");
        }
    }

    #[rstest]
    #[case(json!({"catalog": "reg.io/ns/index:v1"}), "reg.io/ns/index:v1")]
    #[case(json!({"catalog": "oci:///abs/path"}), "/abs/path")]
    #[case(json!({"catalog": "docker://reg.io/ns/index:v1"}), "reg.io/ns/index:v1")]
    #[case(json!({"catalog": "reg.io:5000/ns/index:v1", "targetTag": "v2"}), "reg.io:5000/ns/index:v2")]
    #[case(json!({"catalog": "reg.io/ns/index@sha256:ab", "targetTag": "v2"}), "reg.io/ns/index:v2")]
    #[case(json!({"catalog": "reg.io/ns/index@sha256:ab", "targetCatalog": "x/y"}), "reg.io/x/y@sha256:ab")]
    #[case(json!({"catalog": "reg.io/ns/index:v1", "targetCatalog": "x/y"}), "reg.io/x/y:v1")]
    #[case(json!({"catalog": "oci:///abs/path", "targetCatalog": "x/y", "targetTag": "v1"}), "x/y:v1")]
    #[case(json!({"catalog": "reg.io/ns/index:v1", "targetName": "other"}), "reg.io/ns/other:v1")]
    fn names(#[case] value: serde_json::Value, #[case] expected: &str) {
        assert_eq!(entry(value).unique_name(), expected);
    }
}
