//! The three workflows: `oc-mirror … file://DIR` and `oc-mirror … docker://HOST`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use oc_mirror_engine::archive::TrustedKeys;
use oc_mirror_engine::bucket::Bucket;
use oc_mirror_engine::report::SharedEvents;
use oc_mirror_engine::transfer::{Parallelism, Retry};
use oc_mirror_engine::workflow::from_disk::Destination;
use oc_mirror_engine::workflow::images::Origins;
use oc_mirror_engine::workflow::imagesets::Imagesets;
use oc_mirror_engine::workflow::network::Network;
use oc_mirror_engine::workflow::recording::{remembered, remembered_http};
use oc_mirror_engine::workflow::stock::Stock;
use oc_mirror_engine::workflow::to_disk::{ChunkLimit, ToDisk, mirror_to_disk};
use oc_mirror_engine::workflow::{
    CarryCompanions, OnError, Run, Wishes, WorkflowError, WorkflowErrorKind, Workspace, direct, from_disk,
    trusted_publishers_in,
};
use oc_mirror_model::bucket::{BucketUrl, InvalidBucket};
use oc_mirror_model::config::{self, Configuration, ImageSetConfiguration, StorageConfig};
use oc_mirror_model::progress::ProgressEvent;
use oc_mirror_model::reference::Target;
use oc_mirror_model::report::{Failure, RunReport, Workflow, exit};
use oc_mirror_model::size::{InvalidSize, Size};
use uuid::Uuid;

use super::plan::{self, Around, Kept, Planning};
use crate::applying::Applying;
use crate::args::{self, Format, MirrorArgs, Output};
use crate::error::CliError;
use crate::metrics::Metrics;
use crate::output;
use crate::plugins::{self, Lent};
use crate::progress::{Progress, tell};
use crate::{
    bucket, cluster_output, components, environment, helm_repositories, keys, logging, network, signatures,
    stock,
};

/// Which way, and from where to where.
enum Way {
    /// Images come from registries, or from what was mirrored before.
    ToDisk {
        dir: PathBuf,
        from: Option<From>,
    },
    ToBucket {
        bucket: BucketUrl,
        from: Option<From>,
    },
    FromDisk {
        from: From,
        targets: Vec<Target>,
    },
    Direct {
        targets: Vec<Target>,
    },
}

impl Way {
    fn workflow(&self) -> Workflow {
        match self {
            Self::ToDisk { .. } | Self::ToBucket { .. } => Workflow::MirrorToDisk,
            Self::FromDisk { .. } => Workflow::DiskToMirror,
            Self::Direct { .. } => Workflow::MirrorToMirror,
        }
    }
}

/// Where imagesets are published from.
enum From {
    Path(PathBuf),
    Bucket(BucketUrl),
}

/// A configuration that was read.
pub(crate) struct Configured {
    written: Vec<u8>,
    path: PathBuf,
    pub(crate) configuration: ImageSetConfiguration,
}

/// Runs the workflow that the arguments ask for.
pub(crate) fn run(args: &MirrorArgs) -> Result<u8, CliError> {
    run_with(args, None)
}

/// The same, with a plan that is made of it, or that it is held to.
pub(super) fn run_with(args: &MirrorArgs, planning: Option<Planning>) -> Result<u8, CliError> {
    let progress = Progress::start(args.progress, args.quiet);
    let metrics =
        args.metrics_file.as_deref().map(|file| Metrics::start(file, progress.look())).transpose()?;
    let outcome = mirror(args, planning, progress, metrics.as_ref());
    if let Some(metrics) = metrics {
        let code = outcome.as_ref().map_or_else(CliError::exit_code, |code| *code);
        if let Err(error) = metrics.finish(code) {
            output::warning(&format!("the metrics cannot be written: {error}"));
        }
    }
    outcome
}

fn mirror(
    args: &MirrorArgs,
    planning: Option<Planning>,
    progress: Progress,
    metrics: Option<&Metrics>,
) -> Result<u8, CliError> {
    let (agreement, kept) = planning.map(|planning| (planning.agreement, planning.kept)).unzip();
    let kept = kept.flatten();
    // A plan is what a dry run finds out.
    let taking = agreement.clone().filter(|_| kept.is_none());
    let dry_run = args.dry_run || taking.is_some();
    let (way, workspace) = way(args, kept.is_some())?;
    let applying = applying(args, &way, dry_run)?;
    let (configured, pinned) = match kept {
        Some(Kept { configured, created, uid }) => (configured, Some((created, uid))),
        None => (args.config.as_deref().map(|path| configuration(path, args.quiet)).transpose()?, None),
    };
    let workspace = workspace_of(args, workspace, configured.as_ref())?;
    note_accepted(args);
    let trusted = keys::trusted(&args.verify, Some(&workspace))?;
    let workspace = Workspace::open(&workspace)?;
    logging::start(workspace.dir(), &args.log)?;
    let mut run = Run { dry_run, agreement, ..settings(args, progress.events(), trusted)? };
    if let Some((created, uid)) = pinned {
        run = Run { created, created_is_fixed: true, new_uid: uid, ..run };
    }
    let around = taking.as_ref().map(|_| Around {
        args,
        configuration: configured.as_ref().map(|c| (c.path.clone(), c.written.clone())),
        created: run.created.clone(),
    });
    let network = network::open(&args.network, &run)?;
    if let Some(metrics) = metrics {
        metrics.of(way.workflow().as_str(), &network);
    }
    let workspace = match way {
        // What is published is recorded where it is published to.
        Way::FromDisk { .. } => workspace,
        _ => {
            let storage = configured.as_ref().and_then(|c| c.configuration.storage.as_ref());
            bucket::with_records(workspace, args, &network, storage)?
        }
    };
    let runtime = super::runtime()?;
    let executing = execute(args, &way, configured, &workspace, (run, network.clone()), &progress);
    let mut report = match runtime.block_on(executing) {
        Ok(report) => report,
        Err(error) => {
            // Whatever is still at work on the disk can be cut off at any point, and nobody wants to wait for it.
            runtime.shutdown_background();
            // The result of an earlier run must not be taken for that of this one.
            let kept = workspace.keep_report(&failed(way.workflow(), dry_run, &error));
            return Err(kept.map_or_else(CliError::from, |()| error));
        }
    };
    // Clusters are told by themselves, and questions may be asked.
    progress.finish();
    if let Some(forecast) = &mut report.forecast {
        // What was asked to find all of this out, the run itself asks again.
        for (registry, stats) in network.traffic() {
            *forecast.requests.entry(registry.to_string()).or_default() += stats.requests;
        }
        forecast.requests.retain(|_, requests| *requests > 0);
    }
    workspace.keep_report(&report)?;
    if let (Some(applying), Way::FromDisk { targets, .. } | Way::Direct { targets }) = (applying, &way)
        && let [target] = targets.as_slice()
    {
        runtime.block_on(apply(&applying, &workspace, target, &mut report))?;
        workspace.keep_report(&report)?;
    }
    if let Some(metrics) = metrics {
        metrics.note(&report);
    }
    match args.output.printed() {
        Format::Text if !args.quiet => {
            output::report(&report);
            cluster_output::print_results(&report.clusters);
        }
        Format::Text => {}
        // The data is the plan.
        _ if around.is_some() => {}
        // Asked for as data, the result is no chatter that --quiet would silence.
        format => output::data(format, &report)?,
    }
    output::failures(&report);
    cluster_output::failures(&report.clusters);
    match (around, taking, &args.output) {
        (Some(around), Some(agreement), _) if report.failures.is_empty() => {
            plan::hand_out(around, &agreement, &report)?;
        }
        // What cannot be had cannot be planned; that was told.
        (Some(_), ..) => {}
        (None, _, Output::File(file, format)) => {
            super::report::write(file, output::text(*format, &report)?.as_bytes())?
        }
        (None, _, Output::Print(_)) => {}
    }
    tell(ProgressEvent::Result { path: workspace.last_result().display().to_string() });
    Ok(report.exit_code())
}

/// Makes the report of a run that did not get to one.
fn failed(workflow: Workflow, dry_run: bool, error: &CliError) -> RunReport {
    let mut report = RunReport::new(workflow, dry_run);
    report.failures.push(Failure {
        subject: "the run".to_owned(),
        kind: String::new(),
        message: std::iter::once(&error.heading).chain(&error.causes).cloned().collect::<Vec<_>>().join(": "),
        hint: error.hint.clone(),
        exit_code: error.exit_code(),
    });
    report
}

/// Finds the clusters that are told in the end, and what is wrong with them before anything is moved.
fn applying(args: &MirrorArgs, way: &Way, dry_run: bool) -> Result<Option<Applying>, CliError> {
    if !args.apply {
        return match args.apply_options.given() {
            Some(given) => Err(CliError::new(format!("{given} for telling clusters"))
                .hint("add --apply, or use oc-mirror apply")),
            None => Ok(None),
        };
    }
    if let Way::ToDisk { .. } | Way::ToBucket { .. } = way {
        return Err(CliError::new("--apply is for publishing, and an imageset is not a registry")
            .hint("give it on the side where the imageset is published"));
    }
    if let Way::FromDisk { targets, .. } | Way::Direct { targets } = way
        && targets.len() > 1
    {
        return Err(CliError::new("--apply tells clusters of one target, and several are named").hint(
            "publish without it, then use `oc-mirror apply --workspace file://DIR --target docker://HOST`",
        ));
    }
    if dry_run {
        return Err(CliError::new("--dry-run publishes nothing that clusters could be told of").hint(
            "leave out --apply; `oc-mirror apply --dry-run` shows what would change with the resources of a workspace",
        ));
    }
    Applying::prepare(&args.apply_options, false, args.quiet).map(Some)
}

async fn apply(
    applying: &Applying,
    workspace: &Workspace,
    target: &Target,
    report: &mut RunReport,
) -> Result<(), CliError> {
    tokio::select! {
        () = applying.after_run(workspace, target, report) => Ok(()),
        stopped = super::interrupted() => Err(stopped.error(None)
            .hint("all is published; `oc-mirror apply` with the same workspace tells clusters")),
    }
}

async fn execute(
    args: &MirrorArgs,
    way: &Way,
    configured: Option<Configured>,
    workspace: &Workspace,
    (run, network): (Run, Arc<Network>),
    progress: &Progress,
) -> Result<RunReport, CliError> {
    let stop = run.cancelled.clone();
    let storage = configured.as_ref().and_then(|c| c.configuration.storage.clone());
    let given = Given { args, trusted: &run.trusted, network: &network, storage: storage.as_ref() };
    let work = async {
        match way {
            Way::ToDisk { dir, from } => {
                let mut configured = configured.ok_or_else(no_configuration)?;
                let to = to_disk(args, dir, None, &configured)?;
                let stock = given.stock(from.as_ref(), &mut configured).await?;
                let origins = stock::origins(stock.as_ref(), &network, args.online);
                let origins = as_planned(origins, &run, workspace)?;
                let wishes = wishes(args, &run, configured, (&network, &origins), workspace, stock).await?;
                Ok(mirror_to_disk(&run, &wishes, origins, workspace, &to).await?)
            }
            Way::ToBucket { bucket, from } => {
                let mut configured = configured.ok_or_else(no_configuration)?;
                let verify = args.network.dest_tls_verify;
                let bucket = bucket::open(&args.bucket, &network, bucket, storage.as_ref(), verify)?;
                let to = to_disk(args, &workspace.outgoing(), Some(bucket), &configured)?;
                let stock = given.stock(from.as_ref(), &mut configured).await?;
                let origins = stock::origins(stock.as_ref(), &network, args.online);
                let origins = as_planned(origins, &run, workspace)?;
                let wishes = wishes(args, &run, configured, (&network, &origins), workspace, stock).await?;
                Ok(mirror_to_disk(&run, &wishes, origins, workspace, &to).await?)
            }
            Way::FromDisk { from, targets } => {
                let destinations = destinations(args, &network, targets)?;
                let same = configured.map(|c| c.configuration);
                let is_same = same.map(|same| move |written: &[u8]| is_same(&same, written));
                let is_same = is_same.as_ref().map(|f| f as &(dyn Fn(&[u8]) -> bool + Sync));
                let from = given.imagesets(from)?;
                Ok(from_disk::disk_to_mirror(&run, &from, workspace, &destinations, is_same).await?)
            }
            Way::Direct { targets } => {
                let configured = configured.ok_or_else(no_configuration)?;
                let destinations = destinations(args, &network, targets)?;
                let origins = as_planned(network.clone(), &run, workspace)?;
                let wishes = wishes(args, &run, configured, (&network, &origins), workspace, None).await?;
                Ok(direct::mirror_to_mirror(&run, &wishes, origins, workspace, &destinations).await?)
            }
        }
    };
    tokio::select! {
        outcome = work => outcome,
        error = super::stopped(progress) => {
            stop.store(true, Ordering::Relaxed);
            Err(error.hint("nothing was committed; the same command goes on where this one stopped"))
        }
    }
}

/// Returns where images are found, as a plan says, or noting what one has to say.
fn as_planned(
    origins: Arc<dyn Origins>,
    run: &Run,
    workspace: &Workspace,
) -> Result<Arc<dyn Origins>, CliError> {
    let Some(agreement) = &run.agreement else { return Ok(origins) };
    let scratch = workspace.scratch_path().map_err(|error| {
        CliError::caused(format!("the workspace `{}` cannot be used", workspace.dir().display()), &error)
    })?;
    Ok(remembered(origins, agreement.answers(), &scratch))
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

fn destinations(
    args: &MirrorArgs,
    network: &Network,
    targets: &[Target],
) -> Result<Vec<Destination>, CliError> {
    let open = |target| network.destination(target, nested(args)).map_err(failed_target(target));
    targets.iter().map(open).collect()
}

async fn wishes(
    args: &MirrorArgs,
    run: &Run,
    configured: Configured,
    (network, origins): (&Arc<Network>, &Arc<dyn Origins>),
    workspace: &Workspace,
    stock: Option<Arc<Stock>>,
) -> Result<Wishes, CliError> {
    let credentials = helm_repositories::credentials(configured.configuration.mirror.helm.as_ref())?;
    let http = network.fetch(credentials).map_err(|error| CliError::from_error(&error))?;
    let http = stock::http(stock.as_ref(), http, args.online);
    let http = match &run.agreement {
        Some(agreement) => remembered_http(http, agreement.answers()),
        None => http,
    };
    let ignore = args.ignore_release_signature;
    let signatures = signatures::open(ignore, run, http.clone(), network, Some(workspace), stock)?;
    let guard = signatures::guard(&args.guard, http.clone())?;
    let cache = Some(workspace.cache().join("components"));
    let lent = Lent {
        http,
        signatures,
        guard,
        accept_risks: args.accept_risks.clone(),
        client: run.agreement.as_ref().map_or_else(Uuid::new_v4, |agreement| agreement.client()),
        artifacts: components::artifacts(origins.clone(), cache, run.retry, run.events.clone()),
        publishers: trusted_publishers_in(workspace.dir()),
        quiet: args.quiet,
    };
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
fn way(args: &MirrorArgs, has_configuration: bool) -> Result<(Way, Option<PathBuf>), CliError> {
    let has_configuration = has_configuration || args.config.is_some();
    const FORMS: &str = "a destination is file://DIR, s3://BUCKET[/PREFIX] or docker://HOST[:PORT][/PREFIX]; see oc-mirror --help";
    let destination =
        args.destinations.first().ok_or_else(|| CliError::new("no destination is given").hint(FORMS))?;
    let is_bucket = BucketUrl::is_meant(destination);
    if (is_bucket || destination.starts_with("file://"))
        && let Some(second) = args.destinations.get(1)
    {
        return Err(CliError::new(format!("`{second}` is a second destination"))
            .hint("an imageset is made in one place; only several registries are mirrored to at once"));
    }
    if args.prune && (is_bucket || destination.starts_with("file://")) {
        return Err(CliError::new("--prune is for publishing, and nothing is published here")
            .hint("give it with a destination docker://HOST"));
    }
    check_keys(args, is_bucket || destination.starts_with("file://"))?;
    if is_bucket {
        let bucket = destination.parse().map_err(|e: InvalidBucket| CliError::from_error(&e).hint(FORMS))?;
        let from =
            source_of(args, has_configuration, |from| matches!(from, From::Bucket(from) if *from == bucket))?;
        return Ok((Way::ToBucket { bucket, from }, None));
    }
    if let Some(dir) = destination.strip_prefix("file://") {
        let dir = directory(dir, destination)?;
        let from = source_of(
            args,
            has_configuration,
            |from| matches!(from, From::Path(from) if is_same_place(from, &dir)),
        )?;
        return Ok((Way::ToDisk { dir: dir.clone(), from }, Some(dir)));
    }
    let targets = targets(&args.destinations, FORMS)?;
    if args.since.is_some() || args.force || args.archive_size.is_some() || args.strict_archive {
        return Err(CliError::new(
            "--since, --force, --archive-size and --strict-archive are for making an imageset",
        )
        .hint("give them with a destination file://DIR or s3://BUCKET"));
    }
    if args.prune && targets.len() > 1 {
        return Err(CliError::new("--prune deletes at one target, and several are named")
            .hint("publish without it, then run the same command with --prune for each of them"));
    }
    if args.online {
        return Err(CliError::new("--online is for making an imageset out of others")
            .hint("leave it out: what is published is in the imagesets"));
    }
    match &args.from {
        Some(_) if args.guard.secure_policy => {
            Err(CliError::new("--secure-policy is for images that come from registries").hint(
                "give it when the imageset is made: what was refused then is not in it, and what is in it is as it was",
            ))
        }
        Some(from) if BucketUrl::is_meant(from) => {
            Ok((Way::FromDisk { from: From::Bucket(bucket_of(from)?), targets }, None))
        }
        Some(from) => {
            let from = from.strip_prefix("file://").unwrap_or(from);
            let from = directory(from, "--from")?;
            let home = if from.is_file() { from.parent().map(Path::to_owned) } else { Some(from.clone()) };
            Ok((Way::FromDisk { from: From::Path(from), targets }, home))
        }
        None if !has_configuration => {
            Err(CliError::new("it is not said what to publish")
                .hint("name imagesets with --from file://DIR, or a configuration with --config FILE and --workspace file://DIR"))
        }
        None => Ok((Way::Direct { targets }, None)),
    }
}

/// Refuses keys, and repairs, where there is nothing to do for them.
fn check_keys(args: &MirrorArgs, makes_imageset: bool) -> Result<(), CliError> {
    if !args.sign.sign_key.is_empty() && !makes_imageset {
        return Err(CliError::new("--sign-key is for making an imageset, and none is made here")
            .hint("give it with a destination file://DIR or s3://BUCKET; --verify-key is for publishing"));
    }
    let verifies = !args.verify.verify_key.is_empty() || args.verify.verify_threshold.is_some();
    if verifies && args.from.is_none() {
        return Err(CliError::new("--verify-key is for imagesets that are read, and none is")
            .hint("give it with --from; --sign-key signs an imageset that is made"));
    }
    if args.repair && (makes_imageset || args.from.is_none()) {
        return Err(CliError::new("--repair is for publishing imagesets")
            .hint("give it with --from file://DIR and a destination docker://HOST"));
    }
    Ok(())
}

/// Reads the registries to mirror to, each of them once.
fn targets(destinations: &[String], forms: &str) -> Result<Vec<Target>, CliError> {
    let mut targets: Vec<Target> = Vec::new();
    for destination in destinations {
        if !destination.starts_with("docker://") {
            let is_directory = destination.starts_with("file://");
            let what = if is_directory { "is a second destination" } else { "is not a destination" };
            return Err(CliError::new(format!("`{destination}` {what}")).hint(forms));
        }
        let target: Target = destination.parse().map_err(|e| CliError::from_error(&e).hint(forms))?;
        if targets.contains(&target) {
            return Err(
                CliError::new(format!("`{destination}` is named twice")).hint("name each target once")
            );
        }
        targets.push(target);
    }
    Ok(targets)
}

/// Reads what an imageset is made of instead of what registries have, which is not where it is to be itself.
fn source_of(
    args: &MirrorArgs,
    has_configuration: bool,
    is_same: impl Fn(&From) -> bool,
) -> Result<Option<From>, CliError> {
    let Some(from) = &args.from else { return Ok(None) };
    if !has_configuration {
        return Err(CliError::new("it is not said what to take from there").hint(
            "name a configuration with --config FILE, or a registry to publish to instead of `file://`",
        ));
    }
    if args.guard.secure_policy {
        return Err(CliError::new("--secure-policy is for images that come from registries")
            .hint("give it when the imagesets are made that --from names"));
    }
    let from = match BucketUrl::is_meant(from) {
        true => From::Bucket(bucket_of(from)?),
        false => From::Path(directory(from.strip_prefix("file://").unwrap_or(from), "--from")?),
    };
    if is_same(&from) {
        return Err(CliError::new("an imageset cannot be made where those are that it is made of")
            .hint("name another directory; it begins a chain of its own"));
    }
    Ok(Some(from))
}

fn bucket_of(from: &str) -> Result<BucketUrl, CliError> {
    let hint = "--from takes file://DIR or s3://BUCKET[/PREFIX]";
    from.parse().map_err(|e: InvalidBucket| CliError::from_error(&e).hint(hint))
}

/// Answers whether imagesets, or the one of a chunk, are in a directory.
fn is_same_place(from: &Path, dir: &Path) -> bool {
    let home = if from.is_file() { from.parent().unwrap_or(Path::new("")) } else { from };
    match (home.canonicalize(), dir.canonicalize()) {
        (Ok(home), Ok(dir)) => home == dir,
        _ => home == dir,
    }
}

/// What imagesets are opened with.
struct Given<'a> {
    args: &'a MirrorArgs,
    trusted: &'a TrustedKeys,
    network: &'a Arc<Network>,
    storage: Option<&'a StorageConfig>,
}

impl Given<'_> {
    fn imagesets(&self, from: &From) -> Result<Imagesets, CliError> {
        Ok(match from {
            From::Path(path) => Imagesets::Path(path.clone()),
            From::Bucket(url) => {
                let verify = self.args.network.src_tls_verify;
                Imagesets::Bucket(bucket::open(&self.args.bucket, self.network, url, self.storage, verify)?)
            }
        })
    }

    /// Opens what an imageset is made of, and completes the configuration with it.
    async fn stock(
        &self,
        from: Option<&From>,
        configured: &mut Configured,
    ) -> Result<Option<Arc<Stock>>, CliError> {
        let Some(from) = from else { return Ok(None) };
        let stock = Stock::open(&self.imagesets(from)?, self.trusted).await?;
        stock::complete(&mut configured.configuration, &stock);
        Ok(Some(Arc::new(stock)))
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
        // The record is elsewhere, but reports, logs and caches are kept in a directory all the same.
        Some(StorageConfig::Registry { .. } | StorageConfig::S3 { .. }) | None => {}
    }
    home.ok_or_else(|| {
        CliError::new("mirroring without a directory of imagesets needs a workspace")
            .hint("name one with --workspace file://DIR")
    })
}

fn note_accepted(args: &MirrorArgs) {
    if args.cache_dir.is_some() && !args.quiet {
        output::warning("--cache-dir has no effect: nothing is cached, every byte is written once");
    }
    if args.guard.is_idle() && !args.quiet {
        output::warning(signatures::IDLE);
    }
    if args.remove_signatures && args.from.is_some() && !args.quiet {
        output::warning("--remove-signatures has no effect here: it is for the side that makes the imageset");
    }
    if args.port.is_some() && !args.quiet {
        output::warning("--port has no effect: no registry runs in between");
    }
}

pub(crate) fn configuration(path: &Path, quiet: bool) -> Result<Configured, CliError> {
    parsed(environment::read(path, "the configuration")?, path, quiet)
}

/// Reads the text of a configuration that was at `path`.
pub(super) fn parsed(written: Vec<u8>, path: &Path, quiet: bool) -> Result<Configured, CliError> {
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

fn to_disk(
    args: &MirrorArgs,
    dir: &Path,
    bucket: Option<Arc<Bucket>>,
    configured: &Configured,
) -> Result<ToDisk, CliError> {
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
        bucket,
        chunk_limit: match &args.archive_size {
            Some(text) => {
                let size = text.parse().map_err(|e: InvalidSize| CliError::from_error(&e).hint(e.hint()))?;
                ChunkLimit { size, is_argument: true }
            }
            None => {
                let size = Size::in_gib(configured.configuration.archive_size_bytes());
                ChunkLimit { size, is_argument: false }
            }
        },
        strict: args.strict_archive,
        since,
        force: args.force,
        uid: args.uid,
        keys: keys::signing(&args.sign, args.quiet)?,
    })
}

fn settings(args: &MirrorArgs, events: SharedEvents, trusted: TrustedKeys) -> Result<Run, CliError> {
    for (name, value) in
        [("--parallel-images", args.parallel_images), ("--parallel-layers", args.parallel_layers)]
    {
        if !(1..=64).contains(&value) {
            return Err(CliError::new(format!("{name} is {value}")).hint("it is a number from 1 to 64"));
        }
    }
    let created = environment::created()?;
    Ok(Run {
        program: plan::PROGRAM.to_owned(),
        created: created.text,
        created_is_fixed: created.is_fixed,
        new_uid: args.uid.unwrap_or_else(Uuid::new_v4),
        dry_run: args.dry_run,
        on_error: match args.on_error {
            _ if args.continue_on_error || args.skip_missing => OnError::Quarantine,
            args::OnError::Finish => OnError::Finish,
            args::OnError::Stop => OnError::Stop,
            args::OnError::Quarantine => OnError::Quarantine,
        },
        image_timeout: args
            .image_timeout
            .as_deref()
            .map(environment::duration)
            .transpose()?
            .filter(|d| !d.is_zero()),
        resources: args.resources.preferences()?,
        companions: if args.remove_signatures { CarryCompanions::None } else { CarryCompanions::All },
        prune: args.prune,
        repair: args.repair,
        trusted,
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
        agreement: None,
    })
}
