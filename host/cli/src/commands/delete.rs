//! `oc-mirror delete`: lists what to delete, deletes it, and tells the connected side.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use oc_mirror_engine::transfer::{Parallelism, Retry};
use oc_mirror_engine::workflow::deletion::{self, Generate, Generated};
use oc_mirror_engine::workflow::from_disk::Destination;
use oc_mirror_engine::workflow::{CarryCompanions, OnError, Run, Workspace};
use oc_mirror_model::config::{self, Configuration, Mirror};
use oc_mirror_model::deletion::DeleteImageList;
use oc_mirror_model::reference::Target;
use oc_mirror_model::report::exit;
use serde_json::{Value, json};
use uuid::Uuid;

use super::stopped;
use crate::args::{DeleteArgs, Format};
use crate::error::CliError;
use crate::output;
use crate::progress::Progress;
use crate::{environment, logging, network};

/// Where all is that is too much for a screen.
const NAMES_ALL: &str = "-o json names all";
/// What a destination looks like.
const FORM: &str = "the target is docker://HOST[:PORT][/PREFIX]; see oc-mirror delete --help";
/// The longest `--delete-id`.
const MOST_ID: usize = 64;

/// Does what the arguments ask for.
pub(crate) fn run(args: &DeleteArgs) -> Result<u8, CliError> {
    let progress = Progress::start(args.progress, args.quiet);
    note_accepted(args);
    let target = args.destination.as_deref().map(target).transpose()?;
    let workspace = args.workspace.as_deref().map(directory).transpose()?;
    match (args.generate, &args.delete_yaml_file, target, workspace) {
        (true, _, Some(target), Some(workspace)) => generate(args, &target, &workspace, progress),
        (true, _, None, _) => Err(CliError::new("it is not said where the images are").hint(FORM)),
        (true, _, _, None) => Err(CliError::new("no workspace is given").hint(
            "name the one that the images were mirrored or published from with --workspace file://DIR",
        )),
        (false, Some(file), Some(target), workspace) => delete(args, file, &target, workspace.as_deref(), progress),
        (false, Some(file), None, Some(workspace)) => note(args, file, &workspace, progress),
        (false, Some(_), None, None) => {
            Err(CliError::new("it is not said where to delete")
                .hint("name the target, docker://HOST[:PORT][/PREFIX]; or, to note on the connected side that the images are deleted, its --workspace file://DIR"))
        }
        (false, None, _, _) => Err(CliError::new("it is not said what to delete").hint(
            "make a list with --generate -c FILE --workspace file://DIR DESTINATION, then name it with --delete-yaml-file FILE",
        )),
    }
}

fn note_accepted(args: &DeleteArgs) {
    if args.quiet {
        return;
    }
    if args.force_cache_delete {
        output::warning("--force-cache-delete has no effect: there is no cache of images");
    }
    if args.cache_dir.is_some() || args.port.is_some() {
        output::warning(
            "--cache-dir and --port have no effect: there is no cache, and no registry in between",
        );
    }
}

fn target(text: &str) -> Result<Target, CliError> {
    text.parse().map_err(|error| CliError::from_error(&error).hint(FORM))
}

fn directory(text: &str) -> Result<PathBuf, CliError> {
    match text.strip_prefix("file://").filter(|dir| !dir.is_empty()) {
        Some(dir) => Ok(PathBuf::from(dir)),
        None => {
            Err(CliError::new(format!("--workspace is `{text}`"))
                .hint("a workspace is a directory: file://DIR"))
        }
    }
}

/// Opens a workspace that is there. One that is not has nothing to say, and must not be made by a slip of the pen.
fn open(dir: &Path, args: &DeleteArgs) -> Result<Workspace, CliError> {
    if !dir.is_dir() {
        return Err(CliError::new(format!("there is no workspace `{}`", dir.display()))
            .hint("name the one that the images were mirrored or published from"));
    }
    let workspace = Workspace::open(dir)?;
    logging::start(workspace.dir(), &args.log)?;
    Ok(workspace)
}

/// Runs something that somebody may stop.
fn until_stopped<T>(
    run: &Run,
    progress: Progress,
    work: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    let stop = run.cancelled.clone();
    super::runtime()?.block_on(async {
        tokio::select! {
            outcome = work => outcome,
            error = stopped(&progress) => {
                stop.store(true, Ordering::Relaxed);
                Err(error.hint("run the same command again: it finishes what was begun"))
            }
        }
    })
}

fn destination(
    args: &DeleteArgs,
    run: &Run,
    target: &Target,
    nested: usize,
) -> Result<Destination, CliError> {
    let network = network::open(&args.network, run)?;
    network
        .destination(target, (nested > 0).then_some(nested))
        .map_err(|error| CliError::caused(format!("the target `{target}` cannot be used"), &error))
}

/// The first phase.
fn generate(
    args: &DeleteArgs,
    target: &Target,
    workspace: &Path,
    progress: Progress,
) -> Result<u8, CliError> {
    let path = args.config.as_deref().ok_or_else(|| {
        CliError::new("no configuration is given")
            .hint("name a DeleteImageSetConfiguration with --config FILE")
    })?;
    let id = args.delete_id.as_deref().map(check_id).transpose()?;
    let (written, wanted) = configuration(path, args.quiet)?;
    let workspace = open(workspace, args)?;
    let run = settings(args, &progress)?;
    let destination = destination(args, &run, target, args.max_nested_paths)?;
    let what = Generate {
        wanted: &wanted,
        configuration: &written,
        id,
        companions: args.delete_signatures,
        v1_tags: args.delete_v1_images,
    };
    let made = until_stopped(&run, progress, async {
        Ok(deletion::generate(&workspace, &destination, &what).await?)
    })?;
    if !args.quiet {
        made.warnings.iter().for_each(|warning| output::warning(warning));
    }
    match args.output {
        Format::Text if !args.quiet => output::line(&in_words(&made)),
        Format::Text => {}
        format => output::data(format, &in_data(&made))?,
    }
    output::failed(&made.failures, NAMES_ALL);
    Ok(made.failures.iter().fold(exit::OK, |code, failure| code | failure.exit_code))
}

fn in_words(made: &Generated) -> String {
    let Some(path) = &made.path else { return "no images to delete".to_owned() };
    let images = match made.list.items.len() {
        1 => "1 image".to_owned(),
        count => format!("{count} images"),
    };
    format!("{images} listed in {}; nothing was deleted", path.display())
}

fn in_data(made: &Generated) -> Value {
    json!({
        "path": made.path,
        "list": made.list,
        "warnings": made.warnings,
        "failures": made.failures,
    })
}

fn check_id(id: &str) -> Result<&str, CliError> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    match !id.is_empty() && id.len() <= MOST_ID && id.bytes().all(good) {
        true => Ok(id),
        false => Err(CliError::new(format!("--delete-id is `{id}`"))
            .hint("it becomes part of file names: letters, digits, `.`, `_` and `-`")),
    }
}

/// Reads the configuration: its text, and what it says.
fn configuration(path: &Path, quiet: bool) -> Result<(Vec<u8>, Mirror), CliError> {
    let written = environment::read(path, "the configuration")?;
    let shown = path.display().to_string();
    let text = std::str::from_utf8(&written).map_err(|error| {
        CliError::caused(format!("the configuration `{shown}` is not text"), &error).hint("save it as UTF-8")
    })?;
    let parsed = config::parse(text).map_err(|error| CliError::configuration(&shown, &error))?;
    if !quiet {
        for warning in &parsed.warnings {
            output::warning(&format!("{shown}:{}:{}: {}", warning.line, warning.column, warning.message));
        }
    }
    let Configuration::Delete(configuration) = parsed.configuration else {
        return Err(CliError::new(format!("`{shown}` says what to mirror, not what to delete"))
            .hint("--config takes a DeleteImageSetConfiguration here"));
    };
    refuse_unserved(&shown, &configuration.delete)?;
    Ok((written, configuration.delete))
}

/// A section that nothing serves is an error, as it is when images are mirrored.
fn refuse_unserved(path: &str, wanted: &Mirror) -> Result<(), CliError> {
    const SERVED: [&str; 4] = ["platform", "operators", "additionalImages", "helm"];
    let used = wanted.sections_in_use();
    match used.iter().find(|section| !SERVED.contains(&section.name)) {
        None => Ok(()),
        Some(section) => {
            let place = format!("{path}:{}:{}", section.line, section.column);
            Err(CliError::new(format!(
                "{place}: `delete.{}`: images cannot be found by this section",
                section.name
            ))
            .hint("name the images under `delete.additionalImages`, whatever they were mirrored for"))
        }
    }
}

/// Reads a list.
fn list(path: &Path) -> Result<DeleteImageList, CliError> {
    let shown = path.display();
    if !path.exists() {
        return Err(CliError::new(format!("file not found: `{shown}`"))
            .hint("make a list with --generate; it is in working-dir/delete/ of the workspace"));
    }
    let bytes = environment::read(path, "the list")?;
    let not_one = |error: &dyn std::error::Error| {
        CliError::caused(format!("`{shown}` is not a list of images to delete"), error)
            .hint("--delete-yaml-file takes what --generate has made: working-dir/delete/delete-images.yaml")
    };
    let text = std::str::from_utf8(&bytes).map_err(|error| not_one(&error))?;
    DeleteImageList::parse(text).map_err(|error| not_one(&error))
}

/// The second phase.
fn delete(
    args: &DeleteArgs,
    file: &Path,
    target: &Target,
    workspace: Option<&Path>,
    progress: Progress,
) -> Result<u8, CliError> {
    let list = list(file)?;
    let workspace = workspace.map(|dir| open(dir, args)).transpose()?;
    let run = settings(args, &progress)?;
    let nested =
        if args.max_nested_paths > 0 { args.max_nested_paths } else { list.max_nested_paths.unwrap_or(0) };
    let destination = destination(args, &run, target, nested)?;
    let report = until_stopped(&run, progress, async {
        Ok(deletion::delete(&run, &list, &destination, workspace.as_ref()).await?)
    })?;
    match args.output {
        Format::Text if !args.quiet => {
            output::deletion(&report);
            if workspace.is_none() && !report.dry_run {
                output::status("cluster resources stay as they are; with --workspace file://DIR they follow");
            }
        }
        Format::Text => {}
        format => output::data(format, &report)?,
    }
    output::failed(&report.failures, NAMES_ALL);
    Ok(report.exit_code())
}

/// Tells the connected side.
fn note(args: &DeleteArgs, file: &Path, workspace: &Path, progress: Progress) -> Result<u8, CliError> {
    let list = list(file)?;
    let workspace = open(workspace, args)?;
    let run = settings(args, &progress)?;
    let count = until_stopped(&run, progress, async { Ok(deletion::note(&run, &list, &workspace).await?) })?;
    let images = if count == 1 { "1 image".to_owned() } else { format!("{count} images") };
    match (args.output, args.dry_run) {
        (Format::Text, _) if args.quiet => {}
        (Format::Text, true) => output::line(&format!("the record would forget {images}")),
        (Format::Text, false) => output::line(&format!(
            "the record has forgotten {images}; the next imageset ships again what is wanted of them"
        )),
        (format, _) => output::data(format, &json!({ "forgotten": count, "dryRun": args.dry_run }))?,
    }
    Ok(exit::OK)
}

fn settings(args: &DeleteArgs, progress: &Progress) -> Result<Run, CliError> {
    let created = environment::created()?;
    let delay = args.retry_delay.as_deref().map(environment::duration).transpose()?;
    Ok(Run {
        program: concat!("oc-mirror ", env!("CARGO_PKG_VERSION")).to_owned(),
        created: created.text,
        created_is_fixed: created.is_fixed,
        new_uid: Uuid::nil(),
        dry_run: args.dry_run,
        on_error: OnError::Finish,
        image_timeout: None,
        agreement: None,
        companions: CarryCompanions::All,
        parallelism: Parallelism { images: args.parallel_images.into(), ..Parallelism::default() },
        retry: Retry { times: args.retry_times, delay: delay.filter(|delay| !delay.is_zero()) },
        prune: false,
        repair: false,
        trusted: Default::default(),
        resources: args.resources.preferences()?,
        events: progress.events(),
        cancelled: Arc::new(AtomicBool::new(false)),
    })
}
