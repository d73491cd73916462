//! What users bring themselves: [`PluginEntry`], [`PolicyEntry`], and [`BlockedImage`] for the built-in policy.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problem::Position;

/// A content source as a component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginEntry {
    /// A name of one's own choice: lower-case letters, digits and `-`.
    pub name: String,
    /// Where the component is: `file:./source.wasm`; `docker://HOST/REPOSITORY@sha256:…` or `:TAG` in a registry;
    /// `oci:DIR:NAME` in an image layout; or `builtin:NAME` for one that is part of the program.
    pub source: String,
    /// Whose signature it has to have. Without it, the keys in the workspace's file `trust.plugins` count, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<PluginTrust>,
    /// What the component gets as its configuration.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub config: serde_json::Value,
    /// Texts of files for its configuration, by the key that they get there: `keys: [cosign.pub]` adds to the list `keys` of
    /// `config`, `text: notes.txt` makes the text `text`. Paths are relative to this file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config_files: BTreeMap<String, ConfigFiles>,
    /// The capabilities granted to it, of those it asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<String>,
    /// Where its grants are in the text, or would be.
    #[serde(skip)]
    pub grants_at: WrittenAt,
}

/// A policy as a component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyEntry {
    /// A name of one's own choice: lower-case letters, digits and `-`.
    pub name: String,
    /// Where the component is: `file:./policy.wasm`; `docker://HOST/REPOSITORY@sha256:…` or `:TAG` in a registry;
    /// `oci:DIR:NAME` in an image layout; or `builtin:NAME` for one that is part of the program.
    pub source: String,
    /// Whose signature it has to have. Without it, the keys in the workspace's file `trust.plugins` count, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<PluginTrust>,
    /// What the component gets as its configuration.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub config: serde_json::Value,
    /// Texts of files for its configuration, by the key that they get there: `keys: [cosign.pub]` adds to the list `keys` of
    /// `config`, `text: notes.txt` makes the text `text`. Paths are relative to this file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config_files: BTreeMap<String, ConfigFiles>,
    /// The capabilities granted to it, of those it asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<String>,
    /// What its refusals do.
    #[serde(default)]
    pub mode: PolicyMode,
    /// What becomes of an image if the policy breaks instead of answering.
    #[serde(default)]
    pub failure: PolicyFailure,
    /// Where its grants are in the text, or would be.
    #[serde(skip)]
    pub grants_at: WrittenAt,
}

/// Files whose texts become part of the configuration of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ConfigFiles {
    /// The text of one file.
    One(String),
    /// A list of the texts of files.
    Several(Vec<String>),
}

impl ConfigFiles {
    /// Returns the files, as they are named.
    pub fn paths(&self) -> &[String] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Several(paths) => paths,
        }
    }
}

/// Whose signature a plugin has to have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginTrust {
    /// Files with public keys in PEM, relative to this file. One of the keys has to have signed the plugin.
    pub keys: Vec<String>,
}

/// Where something stands in the text it was read from. It is no part of what it says: any two are equal.
#[derive(Clone, Copy, Debug, Default)]
pub struct WrittenAt(pub Option<Position>);

impl PartialEq for WrittenAt {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What becomes of an image that a policy breaks on.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum PolicyFailure {
    /// The image is not mirrored.
    #[default]
    Deny,
    /// The image is mirrored, and the failure reported as a warning.
    Allow,
}

/// What the refusals of a policy do.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum PolicyMode {
    /// The image is not mirrored.
    #[default]
    Protect,
    /// The image is mirrored, and the refusal reported.
    Monitor,
}

/// Which images are refused. Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", from = "BlockedImageEntry")]
pub struct BlockedImage {
    /// A regular expression that is searched for in the image's reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A pattern for the whole reference: `*` and `?` as in a shell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub glob: Option<String>,
    /// An image; what is built on it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_image: Option<String>,
}

/// The forms in which a [`BlockedImage`] is written.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum BlockedImageEntry {
    /// The short form of `name`.
    Name(String),
    /// One of the keys.
    Keys(BlockedImageKeys),
}

/// Which images are refused; exactly one of the keys.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BlockedImageKeys {
    /// A regular expression that is searched for in the image's reference.
    name: Option<String>,
    /// A pattern for the whole reference: `*` and `?` as in a shell.
    glob: Option<String>,
    /// An image; what is built on it is refused.
    base_image: Option<String>,
}

impl From<BlockedImageEntry> for BlockedImage {
    fn from(entry: BlockedImageEntry) -> Self {
        match entry {
            BlockedImageEntry::Name(name) => Self { name: Some(name), ..Self::default() },
            BlockedImageEntry::Keys(BlockedImageKeys { name, glob, base_image }) => {
                Self { name, glob, base_image }
            }
        }
    }
}
