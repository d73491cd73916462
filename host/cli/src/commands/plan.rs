//! `oc-mirror plan` and `oc-mirror execute`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use oc_mirror_engine::workflow::{Agreement, Taken};
use oc_mirror_model::mirror_plan::{FORMAT, InvalidPlan, KIND, MirrorPlan, Options, PlannedConfiguration};
use oc_mirror_model::report::RunReport;
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
    pub(super) configured: Option<Configured>,
    /// The time that the plan takes for the present.
    pub(super) created: String,
    /// The chain, if it begins with the plan.
    pub(super) uid: Uuid,
}

/// Finds out what a run would do, and writes it down.
pub(crate) fn run(args: &PlanRunArgs) -> Result<u8, CliError> {
    let args = &args.mirror;
    refuse_unplanned(args)?;
    check_output(&args.output)?;
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
    let configured = plan.configuration.as_ref().map(|configuration| {
        let written = configuration.written.clone().into_bytes();
        mirror::parsed(written, Path::new(&configuration.path), args.quiet)
    });
    let kept = Kept {
        configured: configured.transpose()?,
        created: plan.created.clone(),
        uid: plan.builds_on.as_ref().map_or_else(Uuid::new_v4, |builds_on| builds_on.uid),
    };
    let agreement = Agreement::to_keep(plan).map_err(|error| unusable(&shown, &InvalidPlan::Form(error)))?;
    mirror::run_with(args, Some(Planning { agreement: Arc::new(agreement), kept: Some(kept) }))
}

/// Refuses a file that a plan cannot be written to, before it takes any time to make one.
fn check_output(output: &Output) -> Result<(), CliError> {
    let Output::File(file, format) = output else { return Ok(()) };
    let shown = file.display();
    if *format == Format::Yaml {
        return Err(CliError::new(format!("`{shown}` is no name for a plan"))
            .hint("plans are JSON: name a file that ends in .json"));
    }
    match file.parent().filter(|dir| !dir.as_os_str().is_empty() && !dir.is_dir()) {
        Some(dir) => Err(CliError::new(format!(
            "`{shown}` cannot be written: there is no directory `{}`",
            dir.display()
        ))
        .hint("name a file in a directory that is there")),
        None => Ok(()),
    }
}

/// Refuses what is no part of a plan.
fn refuse_unplanned(args: &MirrorArgs) -> Result<(), CliError> {
    if args.prune {
        return Err(CliError::new("--prune is no part of a plan").hint(
            "execute the plan without it; `oc-mirror delete` plans and does deletions, and the next run may prune",
        ));
    }
    if args.repair {
        return Err(CliError::new("--repair is no part of a plan").hint(
            "execute the plan without it; a repair sends what the target lacks, which is seen when it is asked for",
        ));
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
    given.iter().map(|text| from_root(text)).eq(planned.iter().map(|text| from_root(text)))
}

/// Names a directory from the root, since a plan may be executed somewhere else.
fn from_root(place: &str) -> String {
    let dir = place.strip_prefix("file://").or_else(|| (!place.contains("://")).then_some(place));
    let absolute = dir.and_then(|dir| std::path::absolute(dir).ok());
    absolute.map_or_else(|| place.to_owned(), |dir| format!("file://{}", dir.display()))
}

/// Returns the options that decide what is made.
pub(super) fn options(args: &MirrorArgs) -> Options {
    let quarantines = args.continue_on_error || args.skip_missing;
    Options {
        from: args.from.as_deref().map(from_root),
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
    /// Where the configuration was read, and its text.
    pub(super) configuration: Option<(PathBuf, Vec<u8>)>,
    pub(super) created: String,
}

/// Writes or prints a plan.
pub(super) fn hand_out(
    around: Around<'_>,
    agreement: &Agreement,
    report: &RunReport,
) -> Result<(), CliError> {
    let Around { args, configuration, created } = around;
    let plan = || made(args, configuration, created, agreement, report);
    match &args.output {
        Output::Print(Format::Text) => {
            if !args.quiet {
                output::status("no plan was written: name a file for it with -o plan.json");
            }
            Ok(())
        }
        Output::Print(format) => output::data(*format, &plan()),
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
    configuration: Option<(PathBuf, Vec<u8>)>,
    created: String,
    agreement: &Agreement,
    report: &RunReport,
) -> MirrorPlan {
    let Taken { builds_on, targets, imageset, resolved } = agreement.taken();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let configuration = configuration.map(|(path, written)| PlannedConfiguration {
        path: std::path::absolute(&path).unwrap_or(path).display().to_string(),
        written: text(&written),
        resolved: text(&resolved),
    });
    MirrorPlan {
        kind: KIND.to_owned(),
        format: FORMAT,
        created_by: PROGRAM.to_owned(),
        created,
        workflow: report.workflow,
        destinations: args.destinations.iter().map(|text| from_root(text)).collect(),
        workspace: args.workspace.as_deref().map(from_root),
        options: options(args),
        configuration,
        plugins: report.plugins.clone(),
        client: agreement.client(),
        builds_on,
        targets,
        index: imageset.as_ref().map(|index| index.checked().digest()),
        imageset,
        contents: report.contents.clone(),
        forecast: report.forecast.clone().unwrap_or_default(),
        answers: agreement.answers().written(),
    }
}
