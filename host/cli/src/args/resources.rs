//! How resources for clusters are to be: [`ResourceArgs`].

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use oc_mirror_engine::resources::{self, Name, Names, Preferences};

use crate::error::CliError;

const HEADING: &str = "Resources for clusters";

/// What users say of resources for clusters.
#[derive(Debug, Args)]
pub(crate) struct ResourceArgs {
    /// Make ImageContentSourcePolicies, for clusters before 4.13, and no mirror sets [default: after a configuration of v1alpha2]
    #[arg(long, help_heading = HEADING, value_name = "BOOL", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub icsp: Option<bool>,

    /// Say in mirror sets whether clusters may pull from the source what the mirror does not have [default: not said; they may]
    #[arg(long, help_heading = HEADING, value_enum, ignore_case = true, value_name = "POLICY")]
    pub mirror_source_policy: Option<SourcePolicy>,

    /// End the names of all resources with this, so that a cluster can have those of several mirrors
    #[arg(long, help_heading = HEADING, value_name = "TEXT")]
    pub resource_suffix: Option<String>,

    /// Call the resource OLD otherwise, such as cs-redhat-operator-index-v4-20=redhat-operators; can be repeated
    #[arg(long, help_heading = HEADING, value_name = "OLD=NEW")]
    pub resource_name: Vec<String>,
}

/// What clusters do about images that the mirror does not have.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum SourcePolicy {
    /// They do without
    NeverContactSource,
    /// They pull from where it came from
    AllowContactingSource,
}

impl ResourceArgs {
    /// Returns what was said, checked.
    pub(crate) fn preferences(&self) -> Result<Preferences, CliError> {
        if self.icsp == Some(true) && self.mirror_source_policy.is_some() {
            return Err(CliError::new("--icsp and --mirror-source-policy exclude each other")
                .hint("ImageContentSourcePolicies have no such field; leave out one of the two"));
        }
        let suffix = self.resource_suffix.as_deref().map(|text| {
            text.parse().map_err(|error| {
                CliError::caused("--resource-suffix cannot be used", &error)
                    .hint("it is at most 20 small letters, digits and `-`, such as `east`")
            })
        });
        let mut instead = BTreeMap::new();
        for text in &self.resource_name {
            let (old, new) = renamed(text)?;
            if instead.insert(old.clone(), new).is_some() {
                return Err(CliError::new(format!("--resource-name says twice what to call `{old}`"))
                    .hint("leave out one of the two"));
            }
        }
        Ok(Preferences {
            icsp: self.icsp,
            source_policy: self.mirror_source_policy.map(|policy| match policy {
                SourcePolicy::NeverContactSource => resources::SourcePolicy::NeverContactSource,
                SourcePolicy::AllowContactingSource => resources::SourcePolicy::AllowContactingSource,
            }),
            names: Names { suffix: suffix.transpose()?, instead },
        })
    }
}

fn renamed(text: &str) -> Result<(String, Name), CliError> {
    const FORM: &str = "write OLD=NEW: the name it has in `cluster-resources/`, and at most 63 small letters, digits and `-`, the first a letter";
    let Some((old, new)) = text.split_once('=').filter(|(old, _)| !old.is_empty()) else {
        return Err(CliError::new(format!("--resource-name is `{text}`")).hint(FORM));
    };
    let new = new.parse().map_err(|error| {
        CliError::caused(format!("--resource-name `{text}` cannot be used"), &error).hint(FORM)
    })?;
    Ok((old.to_owned(), new))
}
