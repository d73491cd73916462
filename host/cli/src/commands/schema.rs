//! `oc-mirror schema`.

use oc_mirror_model::config::{DocumentKind, schema};

use crate::args::{SchemaArgs, SchemaKind};
use crate::error::CliError;
use crate::output;

/// Prints the JSON Schema of a configuration.
pub(crate) fn run(args: &SchemaArgs) -> Result<u8, CliError> {
    let kind = match args.kind {
        SchemaKind::V2alpha1 => DocumentKind::ImageSetV2Alpha1,
        SchemaKind::V1alpha2 => DocumentKind::ImageSetV1Alpha2,
        SchemaKind::Delete => DocumentKind::Delete,
    };
    output::line(&serde_json::to_string_pretty(&schema(kind)).expect("a JSON value serialises"));
    Ok(0)
}
