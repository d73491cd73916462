//! `oc-mirror report`.

use std::path::Path;
use std::sync::Arc;

use oc_mirror_browse::report as page;
use oc_mirror_engine::fsx;
use oc_mirror_engine::report::Silence;
use oc_mirror_engine::workflow::describing::{describe_imagesets, take_inventory};
use oc_mirror_model::inventory::{Inventory, cyclonedx, spdx};
use oc_mirror_model::report::exit;
use serde_json::Value;

use super::check::{What, explained, settings};
use crate::args::{ReportArgs, ReportForm};
use crate::error::CliError;
use crate::output;
use crate::{environment, keys, network};

/// Says what imagesets hold, in a form that others read.
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
    let document: fn(&Inventory) -> Value = match args.output.form {
        ReportForm::Html => {
            let described = super::runtime()?.block_on(async { describe_imagesets(&from, &trusted).await });
            put(args, &page(&described.map_err(explained)?, &run.program, &created))?;
            return Ok(exit::OK);
        }
        ReportForm::Json => |found| serde_json::to_value(found).expect("plain data serialises"),
        ReportForm::Spdx => spdx::document,
        ReportForm::Cyclonedx => cyclonedx::document,
    };
    let found = super::runtime()?
        .block_on(async { take_inventory(&from, &trusted, &created, &run.program).await })
        .map_err(explained)?;
    put(args, &text_of(&document(&found)))?;
    if !found.elsewhere.is_empty() {
        let (images, whose) = match found.elsewhere.len() {
            1 => ("1 image is".to_owned(), "its name is"),
            count => (format!("{count} images are"), "their names are"),
        };
        output::warning(&format!("{images} described by an imageset that is not here: only {whose} known"));
    }
    Ok(exit::OK)
}

/// Prints a report, or writes it to its file.
fn put(args: &ReportArgs, text: &str) -> Result<(), CliError> {
    match &args.output.file {
        None => output::line(text.trim_end()),
        Some(file) => write(file, text.as_bytes())?,
    }
    Ok(())
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
