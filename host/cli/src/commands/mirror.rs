//! The three workflows: `oc-mirror … file://DIR` and `oc-mirror … docker://HOST`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use oc_mirror_engine::report::SharedEvents;
use oc_mirror_engine::transfer::{Parallelism, Retry};
use oc_mirror_engine::workflow::network::Network;
use oc_mirror_engine::workflow::to_disk::{ToDisk, mirror_to_disk};
use oc_mirror_engine::workflow::{
    CarryCompanions, OnError, Run, Wishes, WorkflowError, WorkflowErrorKind, Workspace, direct, from_disk,
};
use oc_mirror_model::config::{self, Configuration, ImageSetConfiguration, StorageConfig};
use oc_mirror_model::reference::Target;
use oc_mirror_model::report::{RunReport, exit};
use uuid::Uuid;

use crate::args::{self, Format, MirrorArgs};
use crate::error::CliError;
use crate::output::{self, Console};
use crate::plugins::{self, Lent};
use crate::{environment, logging, network, signatures};

/// Which way, and from where to where.
enum Way {
    ToDisk { dir: PathBuf },
    FromDisk { from: PathBuf, target: Target },
    Direct { target: Target },
}

/// A configuration that was read.
struct Configured {
    written: Vec<u8>,
    path: PathBuf,
    configuration: ImageSetConfiguration,
}

/// Runs the workflow that the arguments ask for.
pub(crate) fn run(args: &MirrorArgs) -> Result<u8, CliError> {
    let (way, workspace) = way(args)?;
    let configured = args.config.as_deref().map(|path| configuration(path, args.quiet)).transpose()?;
    let workspace = workspace_of(args, workspace, configured.as_ref())?;
    note_accepted(args);
    let workspace = Workspace::open(&workspace)?;
    logging::start(workspace.dir(), args.log_level)?;
    let report = super::runtime()?.block_on(execute(args, &way, configured, &workspace))?;
    workspace.keep_report(&report)?;
    match args.output {
        // Asked for as data, the result is no chatter that --quiet would silence.
        Format::Json => output::line(&serde_json::to_string_pretty(&report).expect("a report serialises")),
        Format::Text if !args.quiet => output::report(&report),
        Format::Text => {}
    }
    output::failures(&report);
    Ok(report.exit_code())
}

async fn execute(
    args: &MirrorArgs,
    way: &Way,
    configured: Option<Configured>,
    workspace: &Workspace,
) -> Result<RunReport, CliError> {
    let events: SharedEvents = Arc::new(Console { quiet: args.quiet });
    let run = settings(args, events.clone())?;
    let stop = run.cancelled.clone();
    let network = network::open(&args.network, &run)?;
    let work = async {
        match way {
            Way::ToDisk { dir } => {
                let configured = configured.ok_or_else(no_configuration)?;
                let to = to_disk(args, dir, &configured)?;
                let wishes = wishes(args, &run, configured, &network).await?;
                Ok(mirror_to_disk(&run, &wishes, network.clone(), workspace, &to).await?)
            }
            Way::FromDisk { from, target } => {
                let destination = network.destination(target, nested(args)).map_err(failed_target(target))?;
                let given = configured.map(|c| c.configuration);
                let is_same = given.map(|given| move |written: &[u8]| is_same(&given, written));
                let is_same = is_same.as_ref().map(|f| f as &(dyn Fn(&[u8]) -> bool + Sync));
                Ok(from_disk::disk_to_mirror(&run, from, workspace, &destination, is_same).await?)
            }
            Way::Direct { target } => {
                let configured = configured.ok_or_else(no_configuration)?;
                let destination = network.destination(target, nested(args)).map_err(failed_target(target))?;
                let wishes = wishes(args, &run, configured, &network).await?;
                Ok(direct::mirror_to_mirror(&run, &wishes, network.clone(), workspace, &destination).await?)
            }
        }
    };
    tokio::select! {
        outcome = work => outcome,
        () = super::interrupted() => {
            stop.store(true, Ordering::Relaxed);
            Err(CliError::new("interrupted").hint("nothing was committed; the same command goes on where this one stopped"))
        }
    }
}

fn no_configuration() -> CliError {
    CliError::new("no configuration is given").hint("name an ImageSetConfiguration with --config FILE")
}

fn failed_target(target: &Target) -> impl Fn(oc_mirror_engine::content::ContentError) -> CliError {
    move |error| {
        let made = CliError::caused(format!("the target `{target}` cannot be used"), &error);
        match WorkflowError::from(WorkflowErrorKind::Content(error)).hint() {
            Some(hint) => made.hint(hint),
            None => made,
        }
    }
}

async fn wishes(
    args: &MirrorArgs,
    run: &Run,
    configured: Configured,
    network: &Arc<Network>,
) -> Result<Wishes, CliError> {
    let http = network.fetch().map_err(|error| CliError::from_error(&error))?;
    let signatures = signatures::open(args, run, http.clone())?;
    let guard = signatures::guard(args, http.clone())?;
    let lent = Lent { http, signatures, guard, accept_risks: args.accept_risks.clone() };
    let configuration = qualified(configured.configuration, network, args.quiet).await?;
    plugins::wishes(configured.written, &configured.path, configuration, lent).await
}

/// Gives images without a registry the one that `registries.conf` says they are of.
async fn qualified(
    mut configuration: ImageSetConfiguration,
    network: &Network,
    quiet: bool,
) -> Result<ImageSetConfiguration, CliError> {
    let mirror = &mut configuration.mirror;
    let images = mirror.additional_images.iter_mut().map(|image| (&mut image.name, exit::ADDITIONAL));
    let catalogs = mirror.operators.iter_mut().map(|operator| (&mut operator.catalog, exit::OPERATOR));
    for (name, code) in images.chain(catalogs) {
        let stands_for = network.qualify(name).await.map_err(|error| {
            CliError::from_error(&error)
                .hint("write the image with its registry, or make an alias of it in registries.conf")
                .code(code)
        })?;
        if let Some(reference) = stands_for {
            if !quiet {
                output::status(&format!("{name} is {reference}"));
            }
            *name = reference.to_string();
        }
    }
    Ok(configuration)
}

fn is_same(given: &ImageSetConfiguration, written: &[u8]) -> bool {
    let parsed = std::str::from_utf8(written).ok().and_then(|text| config::parse(text).ok());
    matches!(parsed.map(|p| p.configuration), Some(Configuration::Mirror(c)) if c.mirror == given.mirror)
}

fn nested(args: &MirrorArgs) -> Option<usize> {
    (args.max_nested_paths > 0).then_some(args.max_nested_paths)
}

/// Decides which way to go, and where the workspace is unless the user says.
fn way(args: &MirrorArgs) -> Result<(Way, Option<PathBuf>), CliError> {
    const FORMS: &str = "a destination is file://DIR or docker://HOST[:PORT][/PREFIX]; see oc-mirror --help";
    let destination =
        args.destination.as_deref().ok_or_else(|| CliError::new("no destination is given").hint(FORMS))?;
    if let Some(dir) = destination.strip_prefix("file://") {
        if args.from.is_some() {
            return Err(
                CliError::new("--from is for publishing, and `file://` is not a registry").hint(FORMS)
            );
        }
        if args.prune {
            return Err(CliError::new("--prune is for publishing, and nothing is published here")
                .hint("give it with a destination docker://HOST"));
        }
        let dir = directory(dir, destination)?;
        return Ok((Way::ToDisk { dir: dir.clone() }, Some(dir)));
    }
    if !destination.starts_with("docker://") {
        return Err(CliError::new(format!("`{destination}` is not a destination")).hint(FORMS));
    }
    let target: Target = destination.parse().map_err(|e| CliError::from_error(&e).hint(FORMS))?;
    if args.since.is_some() || args.archive_size.is_some() || args.strict_archive {
        return Err(CliError::new("--since, --archive-size and --strict-archive are for making an imageset")
            .hint("give them with a destination file://DIR"));
    }
    match &args.from {
        Some(_) if args.secure_policy => {
            Err(CliError::new("--secure-policy is for images that come from registries").hint(
                "give it when the imageset is made: what was refused then is not in it, and what is in it is as it was",
            ))
        }
        Some(from) => {
            let from = from.strip_prefix("file://").unwrap_or(from);
            let from = directory(from, "--from")?;
            let home = if from.is_file() { from.parent().map(Path::to_owned) } else { Some(from.clone()) };
            Ok((Way::FromDisk { from, target }, home))
        }
        None if args.config.is_none() => {
            Err(CliError::new("it is not said what to publish")
                .hint("name imagesets with --from file://DIR, or a configuration with --config FILE and --workspace file://DIR"))
        }
        None => Ok((Way::Direct { target }, None)),
    }
}

fn directory(path: &str, what: &str) -> Result<PathBuf, CliError> {
    if path.is_empty() {
        return Err(CliError::new(format!("`{what}` names no directory"))
            .hint("write file://DIR, or file:///ABSOLUTE/DIR"));
    }
    Ok(PathBuf::from(path))
}

/// Finds the workspace: as said, else that of `storageConfig.local`, else beside the imagesets.
fn workspace_of(
    args: &MirrorArgs,
    home: Option<PathBuf>,
    configured: Option<&Configured>,
) -> Result<PathBuf, CliError> {
    if let Some(workspace) = &args.workspace {
        let dir = workspace.strip_prefix("file://").ok_or_else(|| {
            CliError::new(format!("--workspace is `{workspace}`"))
                .hint("a workspace is a directory: file://DIR")
        })?;
        return directory(dir, "--workspace");
    }
    match configured.and_then(|c| c.configuration.storage.as_ref()) {
        Some(StorageConfig::Local { path }) => return Ok(PathBuf::from(path)),
        Some(_) => {
            return Err(CliError::new("`storageConfig.registry` is not supported by this version").hint(
                "remove it: the record is kept in the workspace, on the connected side, and at the target",
            ));
        }
        None => {}
    }
    home.ok_or_else(|| {
        CliError::new("mirroring from registry to registry needs a workspace")
            .hint("name one with --workspace file://DIR")
    })
}

fn note_accepted(args: &MirrorArgs) {
    if args.cache_dir.is_some() && !args.quiet {
        output::warning("--cache-dir has no effect: nothing is cached, every byte is written once");
    }
    if (args.policy.is_some() || args.registries_d.is_some()) && !args.secure_policy && !args.quiet {
        output::warning("--policy and --registries.d have no effect without --secure-policy");
    }
    if args.remove_signatures && args.from.is_some() && !args.quiet {
        output::warning("--remove-signatures has no effect here: it is for the side that makes the imageset");
    }
    if args.port.is_some() && !args.quiet {
        output::warning("--port has no effect: no registry runs in between");
    }
}

fn configuration(path: &Path, quiet: bool) -> Result<Configured, CliError> {
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
    match parsed.configuration {
        Configuration::Mirror(configuration) => {
            Ok(Configured { written, path: path.to_owned(), configuration })
        }
        Configuration::Delete(_) => {
            Err(CliError::new(format!("`{shown}` says what to delete, not what to mirror"))
                .hint("--config takes an ImageSetConfiguration here"))
        }
    }
}

fn to_disk(args: &MirrorArgs, dir: &Path, configured: &Configured) -> Result<ToDisk, CliError> {
    let since = args
        .since
        .as_deref()
        .map(|text| {
            text.parse::<u64>().map_err(|_| {
                CliError::new(format!("--since is `{text}`"))
                    .hint("it is the number of the last sequence that the target has; `oc-mirror` counts imagesets, not days")
            })
        })
        .transpose()?;
    Ok(ToDisk {
        dir: dir.to_owned(),
        chunk_limit: match &args.archive_size {
            Some(text) => environment::size(text)?,
            None => configured.configuration.archive_size_bytes(),
        },
        strict: args.strict_archive,
        since,
        uid: args.uid,
    })
}

fn settings(args: &MirrorArgs, events: SharedEvents) -> Result<Run, CliError> {
    for (name, value) in
        [("--parallel-images", args.parallel_images), ("--parallel-layers", args.parallel_layers)]
    {
        if !(1..=64).contains(&value) {
            return Err(CliError::new(format!("{name} is {value}")).hint("it is a number from 1 to 64"));
        }
    }
    let created = environment::created()?;
    Ok(Run {
        program: concat!("oc-mirror ", env!("CARGO_PKG_VERSION")).to_owned(),
        created: created.text,
        created_is_fixed: created.is_fixed,
        new_uid: args.uid.unwrap_or_else(Uuid::new_v4),
        dry_run: args.dry_run,
        on_error: match args.on_error {
            _ if args.continue_on_error || args.skip_missing => OnError::Drop,
            args::OnError::Fail => OnError::Fail,
            args::OnError::Drop => OnError::Drop,
        },
        resources: args.resources.preferences()?,
        companions: if args.remove_signatures { CarryCompanions::None } else { CarryCompanions::All },
        prune: args.prune,
        parallelism: Parallelism { images: args.parallel_images, blobs: args.parallel_layers },
        retry: Retry {
            times: args.retry_times,
            delay: args
                .retry_delay
                .as_deref()
                .map(environment::duration)
                .transpose()?
                .filter(|d| !d.is_zero()),
        },
        events,
        cancelled: Arc::new(AtomicBool::new(false)),
    })
}
