//! [`Settings`]: the catalogs of a configuration, and by which rules they are read.

use oc_mirror_catalog::{Entry, Rules};
use serde::Deserialize;

/// The plugin's settings.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Settings {
    /// Which version of the configuration decides.
    pub(crate) rules: Rules,
    /// The catalogs.
    #[serde(default)]
    pub(crate) catalogs: Vec<CatalogSettings>,
}

/// One catalog.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CatalogSettings {
    /// What is wanted of it.
    pub(crate) entry: Entry,
    /// What its CatalogSource is made of.
    #[serde(default)]
    pub(crate) template: Option<String>,
}
