//! `oc-mirror apply`: tells clusters where mirrored content is, from files that are written already.

use std::path::{Path, PathBuf};

use oc_mirror_clusters::apply::{Mark, Wanted};
use oc_mirror_engine::workflow::{ResourcesOf, resources_in};
use oc_mirror_model::reference::Target;
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
            stopped = interrupted() => Err(stopped.error(None)
                .hint("what was applied stays; the same command goes on where this one stopped")),
        }
    })?;
    match args.output {
        Format::Text if args.dry_run && !args.quiet => cluster_output::print_plans(&reports),
        Format::Text if !args.quiet => cluster_output::print_results(&reports),
        Format::Text => {}
        format => output::data(format, &json!({ "dryRun": args.dry_run, "clusters": reports }))?,
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
    let of = resources_of(&PathBuf::from(dir), args.target.as_deref())?;
    if !of.dir.is_dir() {
        return Err(nothing_there(&of.dir));
    }
    let wanted = applying::read(&[of.dir], Some(Mark::new(of.chain, &of.target)))?;
    not_empty(wanted, "the workspace")
}

/// Finds the resources of a target, which need not be named where there is only one.
fn resources_of(workspace: &Path, target: Option<&str>) -> Result<ResourcesOf, CliError> {
    let mut known = resources_in(workspace)?;
    let listed: Vec<String> = known.iter().map(|of| of.target.clone()).collect();
    let hint = format!("this workspace publishes to {}", listed.join(", "));
    match target {
        _ if known.is_empty() => Err(nothing_there(workspace)),
        None if known.len() == 1 => Ok(known.remove(0)),
        None => {
            Err(CliError::new("it is not said for which target")
                .hint(format!("name it with --target; {hint}")))
        }
        Some(target) => {
            let given: Target = target.parse().map_err(|error| {
                CliError::caused("--target cannot be used", &error)
                    .hint("write docker://HOST[:PORT][/PREFIX]")
            })?;
            let given = given.to_string();
            let found = known.into_iter().find(|of| of.target == given);
            found.ok_or_else(|| {
                CliError::new(format!("nothing was published to `{given}` from here")).hint(hint)
            })
        }
    }
}

fn nothing_there(place: &Path) -> CliError {
    CliError::new(format!("there are no resources for clusters in `{}`", place.display()))
        .hint("they are written when something is published from this workspace")
}

fn not_empty(wanted: Wanted, what: &str) -> Result<Wanted, CliError> {
    match wanted.resources.is_empty() {
        true => Err(CliError::new(format!("there is no resource in {what}"))
            .hint("resources are in files that end with .yaml, .yml or .json")),
        false => Ok(wanted),
    }
}
