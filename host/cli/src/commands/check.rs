//! `oc-mirror check`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use oc_mirror_engine::report::SharedEvents;
use oc_mirror_engine::transfer::{Parallelism, Retry};
use oc_mirror_engine::workflow::checking::{CheckTarget, check_imagesets, check_target};
use oc_mirror_engine::workflow::imagesets::Imagesets;
use oc_mirror_engine::workflow::network::Network;
use oc_mirror_engine::workflow::{CarryCompanions, OnError, Run, WorkflowError, WorkflowErrorKind};
use oc_mirror_model::bucket::{BucketUrl, InvalidBucket};
use oc_mirror_model::check::{ChainCheck, CheckReport, ImagesetCheck, Missing};
use oc_mirror_model::reference::Target;
use uuid::Uuid;

use super::stopped;
use crate::args::{BucketArgs, CheckArgs, Format, NetworkArgs};
use crate::error::CliError;
use crate::output::{self, clean, size};
use crate::progress::Progress;
use crate::{bucket, environment, keys, network};

/// What can be looked into.
const FORMS: &str = "name a directory of imagesets, one of their chunks, file://DIR, s3://BUCKET[/PREFIX]";
/// How many images are named that a fault touches.
const MOST_NAMED: usize = 5;

/// What is looked into.
pub(super) enum What {
    Target(Target),
    Bucket(BucketUrl),
    Path(PathBuf),
}

impl What {
    pub(super) fn parse(text: &str) -> Result<Self, CliError> {
        if text.starts_with("docker://") {
            let target = text.parse();
            return target.map(Self::Target).map_err(|e| {
                CliError::from_error(&e).hint(format!("{FORMS} or docker://HOST[:PORT][/PREFIX]"))
            });
        }
        if BucketUrl::is_meant(text) {
            return text
                .parse()
                .map(Self::Bucket)
                .map_err(|e: InvalidBucket| CliError::from_error(&e).hint(FORMS));
        }
        let path = PathBuf::from(text.strip_prefix("file://").unwrap_or(text));
        match path.exists() {
            true => Ok(Self::Path(path)),
            false => Err(CliError::new(format!("`{text}` is not there")).hint(FORMS)),
        }
    }

    /// Returns the directory whose workspace says which keys are trusted.
    pub(super) fn workspace(&self, given: Option<&str>) -> Result<Option<PathBuf>, CliError> {
        if let Some(given) = given {
            let dir = given.strip_prefix("file://").filter(|dir| !dir.is_empty());
            return dir.map(|dir| Some(PathBuf::from(dir))).ok_or_else(|| {
                CliError::new(format!("--workspace is `{given}`"))
                    .hint("a workspace is a directory: file://DIR")
            });
        }
        Ok(match self {
            Self::Path(path) if path.is_file() => path.parent().map(Path::to_owned),
            Self::Path(path) => Some(path.clone()),
            Self::Target(_) | Self::Bucket(_) => None,
        })
    }

    /// Returns the imagesets, if it is any.
    pub(super) fn imagesets(
        &self,
        given: &BucketArgs,
        network_args: &NetworkArgs,
        network: &Network,
    ) -> Result<Option<Imagesets>, CliError> {
        Ok(match self {
            Self::Target(_) => None,
            Self::Path(path) => Some(Imagesets::Path(path.clone())),
            Self::Bucket(url) => {
                let bucket = bucket::open(given, network, url, None, network_args.src_tls_verify)?;
                Some(Imagesets::Bucket(bucket))
            }
        })
    }
}

/// Checks what the arguments name.
pub(crate) fn run(args: &CheckArgs) -> Result<u8, CliError> {
    let what = What::parse(&args.what)?;
    if !matches!(what, What::Target(_)) && (args.deep || args.uid.is_some()) {
        return Err(CliError::new("--deep and --uid are for what was published").hint(
            "leave them out: of imagesets every byte is read; or name a target, docker://HOST[:PORT][/PREFIX]",
        ));
    }
    if matches!(what, What::Target(_)) && !args.verify.verify_key.is_empty() {
        return Err(CliError::new(
            "--verify-key is for imagesets, and what was published is not signed by it",
        )
        .hint("leave it out, or name the imagesets"));
    }
    let trusted = keys::trusted(&args.verify, what.workspace(args.workspace.as_deref())?.as_deref())?;
    let progress = Progress::start(args.progress, args.quiet);
    let run = settings(args.retry_times, args.retry_delay.as_deref(), progress.events())?;
    let network = network::open(&args.network, &run)?;
    let report = super::runtime()?.block_on(async {
        let work = async {
            if let Some(from) = what.imagesets(&args.bucket, &args.network, &network)? {
                return check_imagesets(&from, &trusted, &run.events).await.map_err(explained);
            }
            let What::Target(target) = &what else { unreachable!("only a target holds no imagesets") };
            let destination = network
                .destination(target, None)
                .map_err(|error| CliError::caused(format!("the target `{target}` cannot be used"), &error))?;
            let how = CheckTarget { uid: args.uid, deep: args.deep, retry: run.retry };
            Ok(check_target(&destination, how, &run.events).await?)
        };
        tokio::select! {
            outcome = work => outcome,
            error = stopped(&progress) => Err(error.hint("nothing was changed; a check begins anew")),
        }
    })?;
    progress.finish();
    match args.output {
        Format::Text if !args.quiet => print(&report),
        Format::Text => {}
        format => output::data(format, &report)?,
    }
    let code = report.exit_code();
    if code != 0 {
        let faults = match report.faults() {
            1 => "1 fault was found".to_owned(),
            count => format!("{count} faults were found"),
        };
        let error = CliError::new(format!("{}: {faults}", report.what)).code(code);
        return Err(match report.mends().as_slice() {
            [first] => error.hint(*first),
            [first, ..] => {
                error.hint(format!("{first}; what to do about the others is said with each of them"))
            }
            [] => error,
        });
    }
    Ok(code)
}

/// Says what to name where nothing is.
pub(super) fn explained(error: WorkflowError) -> CliError {
    let is_nothing = matches!(error.kind.as_ref(), WorkflowErrorKind::NoImageset { .. });
    let made = CliError::from(error);
    if is_nothing {
        made.hint("imagesets are the files mirror_seqN_NNNNNN.tar; name their directory, or one of them")
    } else {
        made
    }
}

/// Makes the settings of a run that changes nothing.
pub(super) fn settings(
    retry_times: u32,
    retry_delay: Option<&str>,
    events: SharedEvents,
) -> Result<Run, CliError> {
    let delay = retry_delay.map(environment::duration).transpose()?;
    Ok(Run {
        program: concat!("oc-mirror ", env!("CARGO_PKG_VERSION")).to_owned(),
        created: String::new(),
        created_is_fixed: false,
        new_uid: Uuid::nil(),
        dry_run: true,
        on_error: OnError::Finish,
        image_timeout: None,
        agreement: None,
        companions: CarryCompanions::All,
        parallelism: Parallelism::default(),
        retry: Retry { times: retry_times, delay: delay.filter(|delay| !delay.is_zero()) },
        prune: false,
        repair: false,
        trusted: Default::default(),
        resources: Default::default(),
        events,
        cancelled: Arc::new(AtomicBool::new(false)),
    })
}

fn print(report: &CheckReport) {
    report.imagesets.iter().for_each(imageset);
    report.chains.iter().for_each(chain);
    report.notes.iter().for_each(|note| output::line(&format!("note: {}", clean(note))));
}

fn imageset(found: &ImagesetCheck) {
    let state = if found.damage.is_empty() { "whole" } else { "damaged" };
    let mut parts = vec![state.to_owned()];
    if found.index.is_some() {
        let bytes = size(found.bytes);
        parts.push(plural(found.images, "image"));
        parts.push(format!(
            "{} of {bytes} in {}",
            plural(found.entries, "entry"),
            plural(found.chunks, "chunk")
        ));
    }
    parts.extend(signatures(&found.signed_by, &found.verified));
    output::line(&format!("imageset {}: {}", found.sequence, parts.join(", ")));
    if found.unchecked > 0 {
        let entries = plural(found.unchecked, "entry");
        output::line(&format!("  {entries} could not be checked: check again once all chunks are there"));
    }
    for damage in &found.damage {
        let at = match &damage.entry {
            Some(entry) => format!("{}: {entry}: ", damage.chunks.join(", ")),
            // What is said of a chunk as a whole names it.
            None if damage.chunks.iter().any(|chunk| damage.what.contains(chunk)) => String::new(),
            None => format!("{}: ", damage.chunks.join(", ")),
        };
        output::line(&format!("  {}{}", clean(&at), clean(&damage.what)));
        touched(&damage.images);
        output::line(&format!("    to mend it: {}", clean(&damage.mend)));
    }
}

/// Says who signed something, and whose signatures are known to hold.
pub(super) fn signatures(
    signed_by: &[oc_mirror_model::Digest],
    verified: &[oc_mirror_model::Digest],
) -> Option<String> {
    if signed_by.is_empty() {
        return None;
    }
    let keys = signed_by.iter().map(|key| match verified.contains(key) {
        true => format!("{key} (trusted)"),
        false => format!("{key} (not verified)"),
    });
    Some(format!("signed by {}", keys.collect::<Vec<_>>().join(" and ")))
}

fn chain(found: &ChainCheck) {
    let state = match found.missing.len() {
        0 => "all is there",
        1 => "1 fault",
        _ => "faults",
    };
    let read = if found.bytes > 0 { format!(", {} read", size(found.bytes)) } else { String::new() };
    output::line(&format!(
        "chain {} at sequence {}: {state}: {}, {} and {}{read}",
        found.uid,
        found.sequence,
        plural(found.tags, "tag"),
        plural(found.manifests, "manifest"),
        plural(found.blobs, "blob"),
    ));
    for missing in &found.missing {
        output::line(&format!("  {} {}", name(missing), clean(&missing.what)));
        touched(&missing.images);
        output::line(&format!("    to mend it: {}", clean(&missing.mend)));
    }
}

fn name(missing: &Missing) -> String {
    let repository = &missing.repository;
    match &missing.tag {
        Some(tag) => format!("{repository}:{tag}"),
        None => format!("{repository}@{}", missing.digest),
    }
}

fn touched(images: &[String]) {
    if images.is_empty() {
        return;
    }
    let named: Vec<String> = images.iter().take(MOST_NAMED).map(|image| clean(image)).collect();
    let more = match images.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    output::line(&format!("    needed by {}{more}", named.join(", ")));
}

pub(super) fn plural(count: usize, noun: &str) -> String {
    match (count, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (count, Some(stem)) => format!("{count} {stem}ies"),
        (count, None) => format!("{count} {noun}s"),
    }
}
