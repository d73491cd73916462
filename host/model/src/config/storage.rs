//! `storageConfig`: where the record of a chain is kept. The form as it is written, in both versions alike, and the place
//! it means.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Places;
use super::problem::{Problem, Problems};
use super::types::StorageConfig;
use crate::bucket::BucketUrl;
use crate::reference::Reference;

const SECTION: &str = "storageConfig";

/// Where the record of the chain is kept: in one of three places.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Storage {
    /// In a directory, which is the workspace then.
    #[serde(skip_serializing_if = "Option::is_none")]
    local: Option<LocalStorage>,
    /// In a registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    registry: Option<RegistryStorage>,
    /// In a bucket of an S3-compatible store.
    #[serde(skip_serializing_if = "Option::is_none")]
    s3: Option<S3Storage>,
}

/// A directory for metadata.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct LocalStorage {
    /// The directory.
    path: String,
}

/// An image for metadata.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct RegistryStorage {
    /// The image; without a tag, `latest` is meant.
    #[serde(rename = "imageURL")]
    image_url: String,
    /// Whether the registry's certificate is not checked, and plain HTTP is tried too.
    #[serde(rename = "skipTLS", skip_serializing_if = "std::ops::Not::not")]
    skip_tls: bool,
}

/// A bucket for metadata.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct S3Storage {
    /// The name of the bucket.
    bucket: String,
    /// What the keys in it begin with; the record is `<prefix>/metadata.json`.
    #[serde(skip_serializing_if = "String::is_empty")]
    prefix: String,
    /// The URL of the store, where it is not that of AWS. Plain HTTP only where it says `http://`.
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    /// The region; `us-east-1` where neither this nor the environment names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    /// Whether the bucket is part of the path (the default), or of the host's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    path_style: Option<bool>,
}

impl Storage {
    /// Returns the place in use, and reports what is wrong with it. The first of `local`, `registry` and `s3` wins, and what is
    /// empty does not count.
    pub(super) fn place(self, places: &Places, problems: &mut Problems) -> Option<StorageConfig> {
        let local = self.local.filter(|l| !l.path.is_empty());
        let registry = self.registry.filter(|r| !r.image_url.is_empty());
        let s3 = self.s3.filter(|s| !s.bucket.is_empty());
        let given = [("local", local.is_some()), ("registry", registry.is_some()), ("s3", s3.is_some())];
        let mut given = given.into_iter().filter(|(_, is)| *is).map(|(name, _)| name);
        let mut report = Report { places, problems };
        let Some(winner) = given.next() else {
            let hint = "give `local.path`, `registry.imageURL` or `s3.bucket`, or remove it";
            report.warn("it does not say where metadata is kept", hint);
            return None;
        };
        let others: Vec<String> = given.map(|name| format!("`{name}`")).collect();
        if !others.is_empty() {
            let others = others.join(" and ");
            let verb = if others.contains(" and ") { "are" } else { "is" };
            report.warn(
                format!("`{winner}` wins where {others} {verb} given as well"),
                "remove what is not meant",
            );
        }
        if let Some(LocalStorage { path }) = local {
            return Some(StorageConfig::Local { path });
        }
        match (registry, s3) {
            (Some(registry), _) => report.registry(registry),
            (None, Some(s3)) => report.s3(s3),
            (None, None) => None,
        }
    }
}

impl From<&StorageConfig> for Storage {
    fn from(config: &StorageConfig) -> Self {
        match config {
            StorageConfig::Local { path } => {
                Self { local: Some(LocalStorage { path: path.clone() }), ..Self::default() }
            }
            StorageConfig::Registry { image, skip_tls } => {
                let registry = RegistryStorage { image_url: image.to_string(), skip_tls: *skip_tls };
                Self { registry: Some(registry), ..Self::default() }
            }
            StorageConfig::S3 { bucket, endpoint, region, path_style } => {
                let s3 = S3Storage {
                    bucket: bucket.bucket().to_owned(),
                    prefix: bucket.prefix().to_owned(),
                    endpoint: endpoint.clone(),
                    region: region.clone(),
                    path_style: (!path_style).then_some(false),
                };
                Self { s3: Some(s3), ..Self::default() }
            }
        }
    }
}

struct Report<'a> {
    places: &'a Places,
    problems: &'a mut Problems,
}

impl Report<'_> {
    fn warn(&mut self, message: impl Into<String>, hint: &str) {
        let at = self.places.nearest(SECTION);
        self.problems.warn(Problem::new(at, SECTION, message).with_hint(hint));
    }

    fn error(&mut self, key: &str, message: String, hint: &str) {
        let path = format!("{SECTION}.{key}");
        let problem = Problem::new(self.places.nearest(&path), path, message);
        self.problems.error(problem.with_hint(hint));
    }

    fn registry(&mut self, registry: RegistryStorage) -> Option<StorageConfig> {
        let RegistryStorage { image_url, skip_tls } = registry;
        // oc-mirror v1 takes it with a scheme as well.
        let text = image_url.strip_prefix("docker://").unwrap_or(&image_url);
        let hint = "give an image that may be written, such as `registry.example.com/mirror/metadata:latest`";
        match text.parse::<Reference>() {
            Ok(image) if image.digest.is_some() => {
                let message = "an image with a digest cannot be written again".to_owned();
                self.error("registry.imageURL", message, hint);
                None
            }
            Ok(image) => Some(StorageConfig::Registry { image, skip_tls }),
            Err(error) => {
                let message = format!("`{}` cannot be used: {}", error.text, error.reason);
                self.error("registry.imageURL", message, hint);
                None
            }
        }
    }

    fn s3(&mut self, s3: S3Storage) -> Option<StorageConfig> {
        let S3Storage { bucket, prefix, endpoint, region, path_style } = s3;
        let endpoint = endpoint.filter(|e| !e.is_empty());
        let region = region.filter(|r| !r.is_empty());
        let mut sound = true;
        if let Some(reason) = endpoint.as_deref().and_then(fault_of_endpoint) {
            let message = format!("`{}` cannot be used: {reason}", without_user(endpoint.as_deref()));
            self.error("s3.endpoint", message, "give a URL such as `https://s3.example.com:9000`");
            sound = false;
        }
        if region.as_deref().is_some_and(|r| !is_region(r)) {
            let message = format!("`{}` is no region", region.as_deref().unwrap_or_default());
            self.error("s3.region", message, "give a region such as `eu-central-1`, or remove it");
            sound = false;
        }
        match BucketUrl::new(&bucket, &prefix) {
            Ok(bucket) if sound => {
                Some(StorageConfig::S3 { bucket, endpoint, region, path_style: path_style.unwrap_or(true) })
            }
            Ok(_) => None,
            Err(error) => {
                let key = if error.in_prefix { "s3.prefix" } else { "s3.bucket" };
                let hint = "give `bucket: my-bucket`, and a `prefix` such as `mirror/prod`, without `s3://`";
                self.error(key, error.to_string(), hint);
                None
            }
        }
    }
}

fn is_region(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// Names may be followed by a password: what stands before `@` is not shown.
fn without_user(endpoint: Option<&str>) -> &str {
    let endpoint = endpoint.unwrap_or_default();
    endpoint.rsplit_once('@').map_or(endpoint, |(_, rest)| rest)
}

/// Returns what is wrong with the URL of a store.
pub fn fault_of_endpoint(text: &str) -> Option<&'static str> {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return Some("it begins with neither `https://` nor `http://`");
    };
    let host = rest.split('/').next().unwrap_or_default();
    if rest.contains(['@', '?', '#']) {
        return Some("it has a user, a query or a fragment");
    }
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Some("it names no host");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("https://s3.example.com", true)]
    #[case("http://127.0.0.1:9000/", true)]
    #[case("http://[::1]:9000", true)]
    #[case("s3.example.com", false)]
    #[case("ftp://x", false)]
    #[case("https://", false)]
    #[case("https://user:pw@host", false)]
    #[case("https://host/?x", false)]
    fn endpoints(#[case] text: &str, #[case] sound: bool) {
        assert_eq!(fault_of_endpoint(text).is_none(), sound);
    }
}
