//! [`Settings`]: what a user may write, before it is known to make sense.

use serde::Deserialize;

/// The plugin's settings.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Settings {
    /// The images.
    #[serde(default)]
    pub(crate) images: Vec<Entry>,
    /// What a name without tag and digest means.
    #[serde(default)]
    pub(crate) untagged: Untagged,
}

/// One image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Entry {
    /// A reference, or a layout on disk.
    pub(crate) name: String,
    /// The repository at the target.
    #[serde(default)]
    pub(crate) target_repo: Option<String>,
    /// The tag at the target.
    #[serde(default)]
    pub(crate) target_tag: Option<String>,
    /// Which images of an index to take; none takes all.
    #[serde(default)]
    pub(crate) platforms: Option<Vec<Wanted>>,
}

/// A platform.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// The operating system.
    pub(crate) os: String,
    /// The processor architecture.
    pub(crate) architecture: String,
    /// The variant of the architecture.
    #[serde(default)]
    pub(crate) variant: Option<String>,
}

/// What a name without tag and digest means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Untagged {
    /// The tag `latest`, as container tools have it.
    #[default]
    Latest,
    /// An error, as oc-mirror v2 has it.
    Error,
}
