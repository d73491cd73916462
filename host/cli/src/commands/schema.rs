//! `oc-mirror schema`.

use oc_mirror_model::clusters;
use oc_mirror_model::config::{DocumentKind, schema};
use oc_mirror_model::{mirror_plan, progress};

use crate::args::{SchemaArgs, SchemaKind};
use crate::error::CliError;
use crate::output;

/// Prints the JSON Schema of a kind of file.
pub(crate) fn run(args: &SchemaArgs) -> Result<u8, CliError> {
    let schema = match args.kind {
        SchemaKind::V2alpha1 => schema(DocumentKind::ImageSetV2Alpha1),
        SchemaKind::V1alpha2 => schema(DocumentKind::ImageSetV1Alpha2),
        SchemaKind::Delete => schema(DocumentKind::Delete),
        SchemaKind::Clusters => clusters::inventory_schema(),
        SchemaKind::ClusterPlan => clusters::plan_schema(),
        SchemaKind::Plan => mirror_plan::schema(),
        SchemaKind::Progress => progress::schema(),
    };
    output::line(&serde_json::to_string_pretty(&schema).expect("a JSON value serialises"));
    Ok(0)
}
