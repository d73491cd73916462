//! The name that oc-mirror v2 gives a filtered catalog in its cache: [`hash`], the MD5 of what was asked of it.
//!
//! The hash is over JSON as Go writes it, with the keys in the order of v2's types, so it is written out by hand here.

use md5::{Digest as _, Md5};
use oc_mirror_model::digest::Digest;
use serde::Serialize;
use serde_json::Value;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Operator<'a> {
    packages: Option<Vec<Package<'a>>>,
    catalog: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    full: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    skip_dependencies: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    platforms: Vec<Platform<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Package<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    channels: Vec<Channel<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    default_channel: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    min_version: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    max_version: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Channel<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    min_version: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    max_version: &'a str,
}

#[derive(Serialize)]
struct Platform<'a> {
    os: &'a str,
    architecture: &'a str,
}

/// Returns the hash of an entry of `operators` as it was written, of a catalog with this digest.
pub(super) fn hash(operator: &Value, digest: &Digest) -> String {
    let catalog = format!("{}@{digest}", bare(text(operator, "catalog")));
    hash_of(operator, &catalog)
}

/// Returns the hash that older versions made, with the catalog as it was written.
pub(super) fn legacy(operator: &Value) -> String {
    hash_of(operator, text(operator, "catalog"))
}

/// Removes transport, tag and digest.
fn bare(catalog: &str) -> &str {
    let (is_layout, name) = match catalog.split_once("://") {
        Some((transport, name)) => (transport == "oci", name),
        None => (false, catalog),
    };
    // A directory's name stays as it was typed.
    if is_layout {
        return name;
    }
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => path,
        _ => name,
    }
}

fn hash_of(operator: &Value, catalog: &str) -> String {
    let packages = operator.get("packages").and_then(Value::as_array);
    let operator = Operator {
        packages: packages.map(|packages| packages.iter().map(package).collect()),
        catalog,
        full: flag(operator, "full"),
        skip_dependencies: flag(operator, "skipDependencies"),
        platforms: list(operator, "platforms").map(platform).collect(),
    };
    let text = serde_json::to_string(&operator).expect("strings serialise");
    // As Go writes it.
    let text = text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn package(package: &Value) -> Package<'_> {
    Package {
        name: text(package, "name"),
        channels: list(package, "channels").map(channel).collect(),
        default_channel: text(package, "defaultChannel"),
        min_version: text(package, "minVersion"),
        max_version: text(package, "maxVersion"),
    }
}

fn channel(channel: &Value) -> Channel<'_> {
    Channel {
        name: text(channel, "name"),
        min_version: text(channel, "minVersion"),
        max_version: text(channel, "maxVersion"),
    }
}

/// A platform is written `linux/amd64`, or with a field for each half.
fn platform(platform: &Value) -> Platform<'_> {
    match platform.as_str().and_then(|text| text.split_once('/')) {
        Some((os, architecture)) => Platform { os, architecture },
        None => Platform { os: text(platform, "os"), architecture: text(platform, "architecture") },
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case(
        "registry.redhat.io/redhat/redhat-operator-index:v4.18",
        "registry.redhat.io/redhat/redhat-operator-index"
    )]
    #[case("docker://r:5000/a/b", "r:5000/a/b")]
    #[case("r:5000/a/b@sha256:00", "r:5000/a/b")]
    #[case("r:5000/a/b:v1@sha256:00", "r:5000/a/b")]
    #[case("oci:///home/user/catalog", "/home/user/catalog")]
    fn names_of_catalogs(#[case] written: &str, #[case] expected: &str) {
        assert_eq!(bare(written), expected);
    }

    #[test]
    fn what_does_not_change_the_content_does_not_change_the_hash() {
        let digest = Digest::of(b"catalog");
        let plain = json!({"catalog": "r/a:v1"});
        let renamed = json!({"catalog": "r/a:v2", "targetCatalog": "b", "targetTag": "v3"});
        assert_eq!(hash(&plain, &digest), hash(&renamed, &digest));
        let filtered = json!({"catalog": "r/a:v1", "packages": [{"name": "p"}]});
        assert_ne!(hash(&plain, &digest), hash(&filtered, &digest));
        assert_ne!(hash(&plain, &digest), legacy(&plain));
    }

    /// What tests of oc-mirror v2 expect, of a catalog with this digest.
    #[rstest]
    #[case("ac8e314872a499f2c6edb0616489c628", json!({"catalog": "community-operators:v4.7"}))]
    #[case("70eb0b2116707316c6130de415ceeb69", json!({
        "catalog": "certified-operators:v4.7",
        "full": true,
        "packages": [
            {"name": "couchbase-operator"},
            {"name": "mongodb-operator", "minVersion": "1.4.0"},
            {"name": "crunchy-postgresql-operator", "channels": [{"name": "stable"}]},
        ],
    }))]
    fn hashes_are_those_of_the_predecessor(#[case] expected: &str, #[case] operator: Value) {
        let digest = "sha256:f30638f60452062aba36a26ee6c036feead2f03b28f2c47f2b0a991e41baebea";
        assert_eq!(hash(&operator, &digest.parse().expect("a digest")), expected);
    }

    #[test]
    fn keys_are_in_the_order_of_the_predecessor() {
        let operator = json!({
            "catalog": "x", "full": true,
            "platforms": ["linux/amd64"],
            "packages": [{"maxVersion": "2", "name": "p", "channels": [{"minVersion": ">1", "name": "c"}]}],
        });
        let text = r#"{"packages":[{"name":"p","channels":[{"name":"c","minVersion":"\u003e1"}],"maxVersion":"2"}],"catalog":"x","full":true,"platforms":[{"os":"linux","architecture":"amd64"}]}"#;
        let expected: String = Md5::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(legacy(&operator), expected);
    }
}
