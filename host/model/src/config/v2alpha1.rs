//! The documents of `v2alpha1`: the frame around the sections, for reading and for writing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extensions::PluginEntry;
use super::operators::Operator;
use super::releases::ReleasePlatform;
use super::storage::Storage;
use super::types::{
    AdditionalImage, ApiVersion, DeleteImageSetConfiguration, GiB, Helm, ImageSetConfiguration, Mirror,
    Sample, SectionPositions,
};

/// What to mirror, as oc-mirror v2 has it.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ImageSetConfiguration")]
pub(super) struct Document {
    /// What this is.
    #[schemars(extend("const" = "ImageSetConfiguration"))]
    kind: String,
    /// The version of this form.
    #[schemars(extend("const" = "mirror.openshift.io/v2alpha1"))]
    api_version: String,
    /// The size no chunk exceeds, in GiB; 0 means 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) archive_size: Option<GiB>,
    /// Where the record of the chain is kept, if not in the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) storage_config: Option<Storage>,
    /// What to mirror.
    pub(super) mirror: Mirror,
}

/// What to delete from a registry.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "DeleteImageSetConfiguration")]
pub(super) struct DeleteDocument {
    /// What this is.
    #[schemars(extend("const" = "DeleteImageSetConfiguration"))]
    kind: String,
    /// The version of this form.
    #[schemars(extend("const" = "mirror.openshift.io/v2alpha1"))]
    api_version: String,
    /// What to delete.
    pub(super) delete: Delete,
}

/// The sections that say what to delete.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Delete {
    /// Releases of the platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<ReleasePlatform>,
    /// Operator catalogs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    operators: Vec<Operator>,
    /// Images by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    additional_images: Vec<AdditionalImage>,
    /// Helm charts, for the images they name.
    #[serde(skip_serializing_if = "Option::is_none")]
    helm: Option<Helm>,
    /// Samples. No version of oc-mirror ever mirrored them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    samples: Vec<Sample>,
    /// Further content sources, as components.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    plugins: Vec<PluginEntry>,
}

impl From<Delete> for Mirror {
    fn from(delete: Delete) -> Self {
        let Delete { platform, operators, additional_images, helm, samples, plugins } = delete;
        Self {
            platform,
            operators,
            additional_images,
            helm,
            samples,
            plugins,
            blocked_images: Vec::new(),
            policies: Vec::new(),
            written_at: SectionPositions::default(),
        }
    }
}

const SERIALISES: &str = "plain data whose keys are text serialises into memory";

impl ImageSetConfiguration {
    fn document(&self) -> Document {
        Document {
            kind: "ImageSetConfiguration".to_owned(),
            api_version: ApiVersion::V2Alpha1.as_str().to_owned(),
            archive_size: self.archive_size,
            storage_config: None,
            mirror: self.mirror.clone(),
        }
    }

    /// Returns the configuration as YAML of `v2alpha1`, the same for the same configuration.
    ///
    /// What only `v1alpha2` has, `minBundle`, is left out, and so is `storageConfig`: it is not about what is mirrored.
    pub fn to_yaml(&self) -> String {
        serde_saphyr::to_string(&self.document()).expect(SERIALISES)
    }

    /// Returns the configuration as YAML of `v2alpha1`, with its `storageConfig`.
    pub(super) fn to_whole_yaml(&self) -> String {
        let storage_config = self.storage.as_ref().map(Storage::from);
        serde_saphyr::to_string(&Document { storage_config, ..self.document() }).expect(SERIALISES)
    }

    /// Returns the configuration as JSON of `v2alpha1`; see [`ImageSetConfiguration::to_yaml`].
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self.document()).expect(SERIALISES)
    }
}

impl DeleteImageSetConfiguration {
    /// Returns the configuration as YAML of `v2alpha1`, the same for the same configuration.
    pub fn to_yaml(&self) -> String {
        let Mirror { platform, operators, additional_images, helm, samples, plugins, .. } =
            self.delete.clone();
        let document = DeleteDocument {
            kind: "DeleteImageSetConfiguration".to_owned(),
            api_version: ApiVersion::V2Alpha1.as_str().to_owned(),
            delete: Delete { platform, operators, additional_images, helm, samples, plugins },
        };
        serde_saphyr::to_string(&document).expect(SERIALISES)
    }
}
