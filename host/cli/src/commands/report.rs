//! `oc-mirror report`.

use std::path::Path;
use std::sync::Arc;

use oc_mirror_engine::fsx;
use oc_mirror_engine::report::Silence;
use oc_mirror_engine::workflow::describing::take_inventory;
use oc_mirror_model::inventory::{cyclonedx, spdx};
use oc_mirror_model::report::exit;
use serde_json::Value;

use super::check::{What, explained, settings};
use crate::args::{ReportArgs, ReportForm};
use crate::error::CliError;
use crate::output;
use crate::{environment, keys, network};

/// Lists the images of imagesets in a form that other programs read.
pub(crate) fn run(args: &ReportArgs) -> Result<u8, CliError> {
    let what = What::parse(&args.what)?;
    let trusted = keys::trusted(&args.verify, what.workspace(args.workspace.as_deref())?.as_deref())?;
    let run = settings(5, None, Arc::new(Silence))?;
    let network = network::open(&args.network, &run)?;
    let from = what.imagesets(&args.bucket, &args.network, &network)?.ok_or_else(|| {
        CliError::new("what was published is no imageset")
            .hint("name the imagesets that it was published from")
    })?;
    let created = environment::created()?.text;
    let found = super::runtime()?
        .block_on(async { take_inventory(&from, &trusted, &created, &run.program).await })
        .map_err(explained)?;
    let document = match args.output.form {
        ReportForm::Json => serde_json::to_value(&found).expect("plain data serialises"),
        ReportForm::Spdx => spdx::document(&found),
        ReportForm::Cyclonedx => cyclonedx::document(&found),
    };
    let text = text_of(&document);
    match &args.output.file {
        None => output::line(text.trim_end()),
        Some(file) => write(file, text.as_bytes())?,
    }
    if !found.elsewhere.is_empty() {
        let (images, whose) = match found.elsewhere.len() {
            1 => ("1 image is".to_owned(), "its name is"),
            count => (format!("{count} images are"), "their names are"),
        };
        output::warning(&format!("{images} described by an imageset that is not here: only {whose} known"));
    }
    Ok(exit::OK)
}

fn text_of(document: &Value) -> String {
    let mut text = serde_json::to_string_pretty(document).expect("a JSON value serialises");
    text.push('\n');
    text
}

/// Writes a file that the user named, replacing it in one step.
pub(super) fn write(file: &Path, bytes: &[u8]) -> Result<(), CliError> {
    fsx::write_atomic(file, bytes).map_err(|error| {
        CliError::caused(format!("`{}` cannot be written", file.display()), &error)
            .hint("name a file in a directory that is there and can be written to")
    })
}
