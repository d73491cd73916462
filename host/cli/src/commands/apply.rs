//! `oc-mirror apply`: tells clusters where mirrored content is, from files that are written already.

use std::path::PathBuf;

use oc_mirror_clusters::apply::Wanted;
use oc_mirror_engine::workflow::{chain_in, resources_in};
use oc_mirror_model::report::exit;
use serde_json::json;

use super::interrupted;
use crate::applying::{self, Applying};
use crate::args::{ApplyArgs, Format};
use crate::error::CliError;
use crate::{cluster_output, output};

/// Applies what the arguments name.
pub(crate) fn run(args: &ApplyArgs) -> Result<u8, CliError> {
    let wanted = wanted(args)?;
    let applying = Applying::prepare(&args.options, args.dry_run, args.quiet)?;
    let runtime = super::runtime()?;
    let reports = runtime.block_on(async {
        tokio::select! {
            reports = applying.run(wanted) => Ok(reports),
            () = interrupted() => Err(CliError::new("interrupted")
                .hint("what was applied stays; the same command goes on where this one stopped")),
        }
    })?;
    match args.output {
        Format::Json => {
            let answer = json!({ "dryRun": args.dry_run, "clusters": reports });
            output::line(&serde_json::to_string_pretty(&answer).expect("a report serialises"));
        }
        Format::Text if args.dry_run && !args.quiet => cluster_output::print_plans(&reports),
        Format::Text if !args.quiet => cluster_output::print_results(&reports),
        Format::Text => {}
    }
    cluster_output::failures(&reports);
    Ok(reports.iter().fold(exit::OK, |code, report| code | report.exit_code()))
}

/// Reads what clusters should have.
fn wanted(args: &ApplyArgs) -> Result<Wanted, CliError> {
    let Some(workspace) = &args.workspace else {
        if args.paths.is_empty() {
            return Err(CliError::new("it is not said what to apply").hint(
                "name a workspace with --workspace file://DIR, or files and directories that hold resources",
            ));
        }
        if args.options.prune_resources {
            return Err(CliError::new("--prune-resources needs a workspace").hint(
                "files may be a part of what is wanted; only a workspace, --workspace file://DIR, has all of it",
            ));
        }
        let wanted = applying::read(&args.paths, None)?;
        return not_empty(wanted, "the files that are named");
    };
    let dir = workspace.strip_prefix("file://").filter(|dir| !dir.is_empty()).ok_or_else(|| {
        CliError::new(format!("--workspace is `{workspace}`")).hint("a workspace is a directory: file://DIR")
    })?;
    let dir = PathBuf::from(dir);
    let resources = resources_in(&dir);
    if !resources.is_dir() {
        return Err(CliError::new(format!("there is no `{}`", resources.display()))
            .hint("it is written when something is published from this workspace"));
    }
    let wanted = applying::read(&[resources], chain_in(&dir)?)?;
    not_empty(wanted, "the workspace")
}

fn not_empty(wanted: Wanted, what: &str) -> Result<Wanted, CliError> {
    match wanted.resources.is_empty() {
        true => Err(CliError::new(format!("there is no resource in {what}"))
            .hint("resources are in files that end with .yaml, .yml or .json")),
        false => Ok(wanted),
    }
}
