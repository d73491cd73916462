//! [`filter_hash`]: the tag under which oc-mirror v2 keeps a rebuilt catalog.

use md5::{Digest, Md5};
use serde::Serialize;

use crate::settings::{
    BundleFilter, ChannelFilter, Dependencies, Entry, IncompleteBundles, PackageEntry, Parts, Platform,
    given, without_transport,
};

/// An entry as Go writes it. The order of the members counts.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hashed<'a> {
    packages: Option<Vec<HashedPackage<'a>>>,
    catalog: String,
    #[serde(skip_serializing_if = "is_false")]
    full: bool,
    #[serde(skip_serializing_if = "is_false")]
    skip_dependencies: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    platforms: &'a [Platform],
    // What upstream does not know comes last, and only where it is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    dependencies: Option<Dependencies>,
    #[serde(skip_serializing_if = "is_false")]
    keep_upgrade_paths: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete_bundles: Option<IncompleteBundles>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HashedPackage<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    channels: Vec<HashedChannel<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_bundle: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    bundles: &'a [BundleFilter],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HashedChannel<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_bundle: Option<&'a str>,
}

impl<'a> From<&'a PackageEntry> for HashedPackage<'a> {
    fn from(package: &'a PackageEntry) -> Self {
        Self {
            name: &package.name,
            channels: package.channels.iter().map(HashedChannel::from).collect(),
            default_channel: given(&package.default_channel),
            min_version: given(&package.min_version),
            max_version: given(&package.max_version),
            min_bundle: given(&package.min_bundle),
            bundles: &package.bundles,
        }
    }
}

impl<'a> From<&'a ChannelFilter> for HashedChannel<'a> {
    fn from(channel: &'a ChannelFilter) -> Self {
        Self {
            name: &channel.name,
            min_version: given(&channel.min_version),
            max_version: given(&channel.max_version),
            min_bundle: given(&channel.min_bundle),
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Returns the MD5 of an entry for the catalog of a digest, in hexadecimal.
///
/// It equals oc-mirror v2's wherever the entry has nothing that oc-mirror v2 does not know.
pub fn filter_hash(entry: &Entry, digest_hex: &str) -> String {
    let bare = without_transport(&entry.catalog);
    let path = match entry.is_oci() {
        // The path of a directory stays as typed; it may hold colons.
        true => bare.split_once('@').map_or(bare, |(path, _)| path),
        false => Parts::of(bare).path,
    };
    let hashed = Hashed {
        packages: entry.packages.as_ref().map(|packages| packages.iter().map(HashedPackage::from).collect()),
        catalog: format!("{path}@sha256:{digest_hex}"),
        full: entry.full,
        skip_dependencies: entry.skip_dependencies,
        platforms: &entry.platforms,
        dependencies: Some(entry.dependencies).filter(|value| *value == Dependencies::Resolve),
        keep_upgrade_paths: entry.keep_upgrade_paths,
        incomplete_bundles: Some(entry.incomplete_bundles).filter(|value| *value == IncompleteBundles::Keep),
    };
    let text = go_escapes(&serde_json::to_string(&hashed).unwrap_or_default());
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Escapes what Go's encoder does for the sake of HTML. Outside of texts none of these occurs in JSON.
fn go_escapes(json: &str) -> String {
    let mut text = json.to_owned();
    let escapes = [
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('&', "\\u0026"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ];
    for (from, to) in escapes {
        text = text.replace(from, to);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    const DIGEST: &str = "f30638f60452062aba36a26ee6c036feead2f03b28f2c47f2b0a991e41baebea";

    #[rstest]
    #[case("ac8e314872a499f2c6edb0616489c628", json!({"catalog": "community-operators:v4.7"}))]
    #[case("70eb0b2116707316c6130de415ceeb69", json!({"catalog": "certified-operators:v4.7", "full": true, "packages": [
        {"name": "couchbase-operator"}, {"name": "mongodb-operator", "minVersion": "1.4.0"},
        {"name": "crunchy-postgresql-operator", "channels": [{"name": "stable"}]}]}))]
    #[case("94563f14d54e0ea1d600fa8c002c204b", json!({"catalog": "registry.redhat.io/redhat/redhat-operator-index:v4.14"}))]
    #[case("b6db5253b0a8b995840d4d6b5a8aefca", json!({"catalog": "registry.redhat.io/redhat/redhat-operator-index:v4.17",
        "targetCatalog": "redhat/redhat-filtered-index", "packages": [{"name": "op1"}]}))]
    #[case("37e8b17cf0089fb1de93893cfb41dbfb", json!({"catalog": "registry.redhat.io/redhat/certified-operators:v4.17",
        "full": true, "targetCatalog": "redhat/certified-operators-pinned", "targetTag": "v4.17.0-20241114",
        "packages": [{"name": "op1"}]}))]
    #[case("eaf28fd0a9f205e44fb52a8b0bd8e678", json!({"catalog": "oci://../../../tests/simple-test-bundle"}))]
    #[case("bff06b6d6cc99438ad7a080e38025b52", json!({"catalog": "oci://../../../tests/catalog-on-disk1", "packages": [{"name": "op1"}]}))]
    #[case("04a29cd46d562afadfa317467451756e", json!({"catalog": "oci://../../../tests/catalog-on-disk2", "full": true,
        "targetCatalog": "coffee-shop-index", "packages": [{"name": "op1"}]}))]
    #[case("4b3bae8f9360ced2d4a4473d5481cc9f", json!({"catalog": "oci://../../../tests/catalog-on-disk3",
        "targetCatalog": "tea-shop-index", "targetTag": "v3.14", "packages": [{"name": "op1"}]}))]
    fn known_hashes(#[case] hash: &str, #[case] entry: serde_json::Value) {
        let entry: Entry = serde_json::from_value(entry).expect("an entry");
        assert_eq!(filter_hash(&entry, DIGEST), hash);
    }

    #[test]
    fn what_changes_the_content_changes_the_hash() {
        let plain = Entry { catalog: "a:v1".into(), ..Entry::default() };
        let others = [
            Entry { dependencies: Dependencies::Resolve, ..plain.clone() },
            Entry { keep_upgrade_paths: true, ..plain.clone() },
            Entry { incomplete_bundles: IncompleteBundles::Keep, ..plain.clone() },
            Entry { skip_dependencies: true, ..plain.clone() },
        ];
        for other in others {
            assert_ne!(filter_hash(&other, DIGEST), filter_hash(&plain, DIGEST));
        }
        let same =
            Entry { dependencies: Dependencies::Ignore, target_tag: Some("x".into()), ..plain.clone() };
        assert_eq!(filter_hash(&same, DIGEST), filter_hash(&plain, DIGEST));
    }

    #[test]
    fn html_is_escaped_as_go_does() {
        assert_eq!(go_escapes("<&>"), "\\u003c\\u0026\\u003e");
    }
}
