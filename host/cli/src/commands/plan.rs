//! `oc-mirror plan` and `oc-mirror execute`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use oc_mirror_engine::workflow::{Agreement, Taken};
use oc_mirror_model::mirror_plan::{FORMAT, InvalidPlan, KIND, MirrorPlan, Options, PlannedConfiguration};
use oc_mirror_model::report::{RunReport, Workflow};
use uuid::Uuid;

use super::mirror::{self, Configured};
use super::report::write;
use crate::args::{ExecuteArgs, Format, MirrorArgs, OnError, Output, PlanRunArgs};
use crate::environment;
use crate::error::CliError;
use crate::output;

/// The program and its version, as plans name it.
pub(super) const PROGRAM: &str = concat!("oc-mirror ", env!("CARGO_PKG_VERSION"));

/// What a run has to do with a plan.
pub(super) struct Planning {
    pub(super) agreement: Arc<Agreement>,
    /// What the run gets from the plan; nothing while it is made.
    pub(super) kept: Option<Kept>,
}

/// What a run gets from a plan, besides its options.
pub(super) struct Kept {
    pub(super) configured: Configured,
    /// The time that the plan takes for the present.
    pub(super) created: String,
    /// The chain.
    pub(super) uid: Uuid,
}

/// Finds out what a run would do, and writes it down.
pub(crate) fn run(args: &PlanRunArgs) -> Result<u8, CliError> {
    let args = &args.mirror;
    refuse_unplanned(args)?;
    let planning = Planning { agreement: Arc::new(Agreement::to_take(Uuid::new_v4())), kept: None };
    mirror::run_with(args, Some(planning))
}

/// Does what a plan says.
pub(crate) fn execute(args: &mut ExecuteArgs) -> Result<u8, CliError> {
    let plan = read(&args.plan)?;
    let shown = args.plan.display().to_string();
    let args = &mut args.mirror;
    refuse_unplanned(args)?;
    if args.config.is_some() {
        return Err(CliError::new("--config is given, and the plan has its configuration")
            .hint("leave it out; or make a plan of that configuration with `oc-mirror plan`"));
    }
    if !args.destinations.is_empty() && !is_same_place(&args.destinations, &plan.destinations) {
        let planned = plan.destinations.join(" ");
        return Err(CliError::new(format!(
            "the plan is for {planned}, not for {}",
            args.destinations.join(" ")
        ))
        .hint("leave the destination out; or make a plan for that one with `oc-mirror plan`"));
    }
    let otherwise = plan.options.contradicted_by(&options(args));
    if !otherwise.is_empty() {
        return Err(CliError::new(format!("the plan was made without this: {}", otherwise.join(", ")))
            .hint("leave it out; or make the plan anew with it"));
    }
    apply(args, &plan);
    let written = plan.configuration.written.clone().into_bytes();
    let path = PathBuf::from(&plan.configuration.path);
    let kept = Kept {
        configured: mirror::parsed(written, &path, args.quiet)?,
        created: plan.created.clone(),
        uid: plan.builds_on.uid,
    };
    let agreement = Agreement::to_keep(plan).map_err(|error| unusable(&shown, &InvalidPlan::Form(error)))?;
    mirror::run_with(args, Some(Planning { agreement: Arc::new(agreement), kept: Some(kept) }))
}

/// Refuses what is no part of a plan.
fn refuse_unplanned(args: &MirrorArgs) -> Result<(), CliError> {
    if args.prune {
        return Err(CliError::new("--prune is no part of a plan").hint(
            "execute the plan without it; `oc-mirror delete` plans and does deletions, and the next run may prune",
        ));
    }
    let publishes = args.destinations.iter().any(|destination| destination.starts_with("docker://"));
    if publishes && args.from.is_some() {
        return Err(CliError::new("what is published from imagesets is settled by these, and needs no plan")
            .hint("see what would be done with --dry-run, and publish with the same command without it"));
    }
    Ok(())
}

fn read(path: &Path) -> Result<MirrorPlan, CliError> {
    let bytes = environment::read(path, "the plan")?;
    MirrorPlan::read(&bytes, PROGRAM).map_err(|error| unusable(&path.display().to_string(), &error))
}

fn unusable(path: &str, error: &InvalidPlan) -> CliError {
    let hint = match error {
        InvalidPlan::Form(_) => "name a file that `oc-mirror plan -o FILE.json` has written",
        InvalidPlan::Format(_) | InvalidPlan::Program { .. } => {
            "execute it with the program that made it; or make it anew with `oc-mirror plan`"
        }
        InvalidPlan::Changed => "use the file as it was written; or make it anew with `oc-mirror plan`",
    };
    CliError::caused(format!("the plan `{path}` cannot be used"), error).hint(hint)
}

/// Answers whether destinations are the same, whichever way directories are written.
fn is_same_place(given: &[String], planned: &[String]) -> bool {
    let place = |text: &String| match text.strip_prefix("file://") {
        Some(dir) => std::path::absolute(dir).map_or_else(|_| text.clone(), |dir| dir.display().to_string()),
        None => text.clone(),
    };
    given.iter().map(place).eq(planned.iter().map(place))
}

/// Returns the options that decide what is made.
pub(super) fn options(args: &MirrorArgs) -> Options {
    let quarantines = args.continue_on_error || args.skip_missing;
    Options {
        from: args.from.clone(),
        online: args.online,
        since: args.since.clone(),
        force: args.force,
        archive_size: args.archive_size.clone(),
        strict_archive: args.strict_archive,
        max_nested_paths: args.max_nested_paths,
        on_error: match args.on_error {
            _ if quarantines => Some("quarantine".to_owned()),
            OnError::Finish => None,
            OnError::Stop => Some("stop".to_owned()),
            OnError::Quarantine => Some("quarantine".to_owned()),
        },
        remove_signatures: args.remove_signatures,
        ignore_release_signature: args.ignore_release_signature,
        secure_policy: args.guard.secure_policy,
        accept_risks: args.accept_risks.clone(),
    }
}

/// Sets the arguments as they were when the plan was made.
fn apply(args: &mut MirrorArgs, plan: &MirrorPlan) {
    let options = plan.options.clone();
    args.destinations.clone_from(&plan.destinations);
    args.workspace = args.workspace.take().or_else(|| plan.workspace.clone());
    args.from = options.from;
    args.online = options.online;
    args.since = options.since;
    args.force = options.force;
    args.archive_size = options.archive_size;
    args.strict_archive = options.strict_archive;
    args.max_nested_paths = options.max_nested_paths;
    args.on_error = match options.on_error.as_deref() {
        Some("stop") => OnError::Stop,
        Some("quarantine") => OnError::Quarantine,
        _ => OnError::Finish,
    };
    args.remove_signatures = options.remove_signatures;
    args.ignore_release_signature = options.ignore_release_signature;
    args.guard.secure_policy = options.secure_policy;
    args.accept_risks = options.accept_risks;
}

/// What a plan says besides what was taken down of the run.
pub(super) struct Around<'a> {
    pub(super) args: &'a MirrorArgs,
    pub(super) path: PathBuf,
    pub(super) written: Vec<u8>,
    pub(super) created: String,
}

/// Writes or prints a plan.
pub(super) fn hand_out(
    around: Around<'_>,
    agreement: &Agreement,
    report: &RunReport,
) -> Result<(), CliError> {
    let Around { args, path, written, created } = around;
    let plan = || made(args, (&path, &written), created, agreement, report);
    match &args.output {
        Output::Print(Format::Text) => {
            if !args.quiet {
                output::status("no plan was written: name a file for it with -o plan.json");
            }
            Ok(())
        }
        Output::Print(format) => output::data(*format, &plan()),
        Output::File(file, Format::Yaml) => {
            Err(CliError::new(format!("`{}` is no name for a plan", file.display()))
                .hint("plans are JSON: name a file that ends in .json"))
        }
        Output::File(file, _) => {
            let mut text = serde_json::to_vec_pretty(&plan()).expect("plain data serialises");
            text.push(b'\n');
            write(file, &text)?;
            if !args.quiet {
                output::status(&format!("the plan is in {}", file.display()));
            }
            Ok(())
        }
    }
}

fn made(
    args: &MirrorArgs,
    (path, written): (&Path, &[u8]),
    created: String,
    agreement: &Agreement,
    report: &RunReport,
) -> MirrorPlan {
    let Taken { builds_on, targets, imageset, resolved } = agreement.taken();
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    MirrorPlan {
        kind: KIND.to_owned(),
        format: FORMAT,
        created_by: PROGRAM.to_owned(),
        created,
        workflow: report.workflow,
        destinations: args.destinations.clone(),
        workspace: args.workspace.clone(),
        options: options(args),
        configuration: PlannedConfiguration {
            path: path.display().to_string(),
            written: text(written),
            resolved: text(&resolved),
        },
        plugins: report.plugins.clone(),
        client: agreement.client(),
        builds_on,
        // What is made on a disk is for any target.
        targets: if report.workflow == Workflow::MirrorToMirror { targets } else { Vec::new() },
        index: imageset.as_ref().map(|index| index.checked().digest()),
        imageset,
        contents: report.contents.clone(),
        forecast: report.forecast.clone().unwrap_or_default(),
        answers: agreement.answers().written(),
    }
}
