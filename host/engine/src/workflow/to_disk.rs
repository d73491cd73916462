//! From registries into an imageset: [`mirror_to_disk`].

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::{FORMAT, Index};
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::metadata::Chain;
use oc_mirror_model::reference::Repository;
use oc_mirror_model::report::{Failure, ImagesetReport, RunReport, Workflow};
use uuid::Uuid;

use super::companions::of_image;
use super::images::Origins;
use super::prepare::{Prepared, Request, do_without, file_records, image_failure, image_reports, mapping};
use super::{Run, Wishes, WorkflowError, WorkflowErrorKind, Workspace};
use crate::archive::{self, Reader, Writer};
use crate::content::{ContentError, ContentWrite};
use crate::metadata::{MetadataStore, Stored};
use crate::plan::imageset::{Content, Extras, advance, content, is_unchanged};
use crate::plan::layout::{Item, finish, order};
use crate::report::Event;
use crate::source::Artifact;
use crate::transfer::fetch::{Wanted, fetch};

/// Where the configuration is, as it was written.
pub const CONFIGURATION: &str = "files/imageset-config.yaml";

/// Where the configuration is with every image pinned.
pub const PINNED: &str = "files/resolved-config.yaml";

/// Where cluster resources of plugins are.
pub const RESOURCES: &str = "files/cluster-resources/";

/// How the imageset is to be made.
pub struct ToDisk {
    /// Where the chunks go.
    pub dir: PathBuf,
    /// No chunk is larger, in bytes.
    pub chunk_limit: u64,
    /// Whether to refuse to split a blob at the end of a chunk.
    pub strict: bool,
    /// The sequence to build on, if not on the last one.
    pub since: Option<u64>,
    /// The chain that the workspace must have, or begin.
    pub uid: Option<Uuid>,
}

/// Makes an imageset of what is new, and commits it to the workspace's record.
pub async fn mirror_to_disk(
    run: &Run,
    wishes: &Wishes,
    origins: Arc<dyn Origins>,
    workspace: &Workspace,
    to: &ToDisk,
) -> Result<RunReport, WorkflowError> {
    let mut report = RunReport::new(Workflow::MirrorToDisk, run.dry_run);
    let store = workspace.metadata();
    let found = load_chain(run, workspace, to).await?;
    let (chain, found) = adopt_sealed(run, store.as_ref(), to, found.0, found.1).await?;
    report.uid = Some(chain.uid);
    let last = chain.sequence();
    let base = to.since.unwrap_or(last);
    if base > last {
        return Err(WorkflowErrorKind::NoSuchSequence { since: base, last }.into());
    }

    let scratch = workspace.scratch()?;
    let request = Request {
        run,
        wishes,
        chain: &chain,
        workflow: Workflow::MirrorToDisk,
        origins,
        workspace,
        scratch: scratch.path(),
    };
    let mut missing = Vec::new();
    // A blob that cannot be had is noticed only when it is fetched; where the user can do without its image, the
    // imageset is planned again. That is another imageset, for which all is fetched again.
    let (prepared, content, index, writer) = loop {
        let prepared = request.prepare(&missing, &mut report).await?;
        let content = content(&prepared.entries, &chain, base);
        let new: HashSet<Digest> = content.new.iter().map(|d| d.digest.clone()).collect();
        report.images = image_reports(&prepared.entries, |digest| new.contains(digest));
        prepared.note_mirrors(&mut report.images);
        if run.dry_run {
            return dry_run(workspace, &chain, base, &prepared, &content, report);
        }
        if !report.failures.is_empty() {
            // What can be had is brought all the same by the next run; an imageset with holes is not made.
            return Ok(report);
        }
        if to.since.is_none()
            && content.new.is_empty()
            && is_unchanged(&prepared.entries, &file_records(&prepared), chain.last())
        {
            report.imagesets.push(imageset_report(last, base, None, Vec::new(), 0, &content, "nothing new"));
            return Ok(report);
        }

        let pinned = (wishes.pinned)(&prepared.entries);
        let files = files(wishes, &prepared, pinned.clone());
        let items = order(files.iter().map(File::item).collect(), &prepared.entries, |d| new.contains(d));
        let draft = draft(run, to, &chain, base, &prepared, &content, &report)?;
        let index = finish(draft, &items, Some(to.chunk_limit), to.strict)?;
        workspace.write("resolved-config.yaml", &pinned)?;
        let writer = Arc::new(Writer::create_or_resume(&to.dir, index.clone())?);
        write_files(&writer, &files).await?;
        let failures = bring(run, &prepared, &content, writer.clone()).await?;
        if failures.is_empty() {
            break (prepared, content, index, writer);
        }
        match do_without(run, &failures, &mut report) {
            Some(more) => missing.extend(more),
            None => {
                report.failures = failures;
                return Ok(report);
            }
        }
    };
    let identity = writer.identity().clone();
    let paths = writer.seal().await?;
    let (state, files) = (prepared.plugin_state.clone(), file_records(&prepared));
    let after = advance(&chain, &index, Some(&identity), Repository::clone, Extras { state, files });
    store.commit(&after, found.as_ref()).await?;

    let bytes = paths.iter().filter_map(|p| p.metadata().ok()).map(|m| m.len()).sum();
    let mut made = imageset_report(index.sequence, base, Some(identity), paths, bytes, &content, "made");
    made.chunks.sort();
    report.imagesets.push(made);
    report.totals.blobs = content.new.iter().filter(|d| !d.is_manifest()).count() as u64;
    report.totals.blob_bytes = content.new_bytes();
    report.totals.manifests = content.new.iter().filter(|d| d.is_manifest()).count() as u64;
    Ok(report)
}

async fn load_chain(
    run: &Run,
    workspace: &Workspace,
    to: &ToDisk,
) -> Result<(Chain, Option<Stored>), WorkflowError> {
    let store = workspace.metadata();
    match (workspace.uid().await?, to.uid) {
        (Some(workspace), Some(wanted)) if workspace != wanted => {
            Err(WorkflowErrorKind::OtherChain { workspace, wanted }.into())
        }
        (Some(uid), _) => {
            let found = store.load(uid).await?;
            Ok((found.as_ref().map_or_else(|| Chain::new(uid), |f| f.chain.clone()), found))
        }
        (None, wanted) => Ok((Chain::new(wanted.unwrap_or(run.new_uid)), None)),
    }
}

/// Takes up imagesets that the record does not know: a run ended after it had sealed one and before it could
/// commit, or the record was lost. A dry run takes them into account, and leaves the record as it is.
async fn adopt_sealed(
    run: &Run,
    store: &dyn MetadataStore,
    to: &ToDisk,
    chain: Chain,
    found: Option<Stored>,
) -> Result<(Chain, Option<Stored>), WorkflowError> {
    let (mut chain, mut found) = (chain, found);
    let sets = if to.dir.is_dir() { archive::find_imagesets(&to.dir)? } else { Vec::new() };
    for set in sets {
        if set.sequence != chain.sequence() + 1 {
            continue;
        }
        let reader = Reader::open_files(&set)?;
        let index = reader.index();
        let begins = found.is_none() && to.uid.is_none() && index.sequence == 1;
        if index.uid != chain.uid && !begins {
            return Err(WorkflowErrorKind::OtherChain { workspace: chain.uid, wanted: index.uid }.into());
        }
        let before = Chain { uid: index.uid, ..chain };
        chain = advance(&before, index, Some(reader.identity()), Repository::clone, extras(index));
        if !run.dry_run {
            store.commit(&chain, found.as_ref()).await?;
            found = store.load(chain.uid).await?;
        }
    }
    Ok((chain, found))
}

/// Returns what the record has of an imageset that was made before, besides its images.
pub(super) fn extras(index: &Index) -> Extras {
    let is_plugins = |path: &str| path.starts_with("files/") && path != CONFIGURATION && path != PINNED;
    let files = index.entries.iter().filter(|e| is_plugins(&e.path));
    let files = files.map(|e| (e.path.clone(), e.digest.clone())).collect();
    Extras { files, ..Extras::default() }
}

/// A file of the imageset: in memory, or made by a plugin.
enum File {
    Bytes(String, Vec<u8>),
    Artifact(String, Artifact),
}

impl File {
    fn item(&self) -> Item {
        match self {
            Self::Bytes(path, bytes) => Item::file(path.clone(), bytes),
            Self::Artifact(path, artifact) => Item {
                path: path.clone(),
                digest: artifact.digest.clone(),
                size: artifact.size,
                media_type: None,
            },
        }
    }
}

fn files(wishes: &Wishes, prepared: &Prepared, pinned: Vec<u8>) -> Vec<File> {
    let (oci_layout, index_json) = archive::layout_documents(&prepared.entries);
    let mut files = vec![
        File::Bytes("oci-layout".to_owned(), oci_layout),
        File::Bytes("index.json".to_owned(), index_json),
        File::Bytes(CONFIGURATION.to_owned(), wishes.configuration.clone()),
        File::Bytes(PINNED.to_owned(), pinned),
    ];
    files.extend(
        prepared
            .documents
            .iter()
            .map(|(name, text)| File::Bytes(format!("{RESOURCES}{name}"), text.clone().into_bytes())),
    );
    files.extend(prepared.artifacts.iter().map(|a| File::Artifact(format!("files/{}", a.path), a.clone())));
    files
}

/// The index but for where things lie.
fn draft(
    run: &Run,
    to: &ToDisk,
    chain: &Chain,
    base: u64,
    prepared: &Prepared,
    content: &Content,
    report: &RunReport,
) -> Result<Index, WorkflowError> {
    let sequence = chain.sequence() + 1;
    // A run that goes on where another one was cut off keeps that one's time, or nothing would match.
    let created = archive::interrupted(&to.dir, sequence)?
        .filter(|pending| !run.created_is_fixed && pending.uid == chain.uid)
        .map_or_else(|| run.created.clone(), |pending| pending.created);
    Ok(Index {
        format: FORMAT,
        uid: chain.uid,
        sequence,
        base,
        previous: chain.last().and_then(|i| i.index.clone()),
        created,
        created_by: run.program.clone(),
        chunks: Vec::new(),
        entries: Vec::new(),
        images: prepared.entries.clone(),
        required: content.required.clone(),
        refused: report.refused.clone(),
    })
}

async fn write_files(writer: &Writer, files: &[File]) -> Result<(), WorkflowError> {
    for file in files {
        match file {
            File::Bytes(path, bytes) => writer.put_file(path, bytes.clone()).await?,
            File::Artifact(path, artifact) => writer.put_file_from(path, &artifact.file).await?,
        }
    }
    Ok(())
}

/// Brings manifests, which are in memory, and then blobs, each once.
async fn bring(
    run: &Run,
    prepared: &Prepared,
    content: &Content,
    writer: Arc<Writer>,
) -> Result<Vec<Failure>, WorkflowError> {
    let (manifests, blobs): (Vec<&Descriptor>, Vec<&Descriptor>) =
        content.new.iter().partition(|d| d.is_manifest());
    for descriptor in manifests {
        let origin = &prepared.origins[&descriptor.digest];
        let manifest = prepared.images.manifest(origin, &descriptor.digest).await?;
        writer.put_manifest(&origin.repository, &manifest).await?;
    }
    let bytes = blobs.iter().map(|b| b.size).sum();
    let items = Some(blobs.len() as u64);
    run.events.event(Event::Phase { name: "fetching", items, bytes: Some(bytes) });
    let wanted = blobs
        .iter()
        .map(|blob| {
            let origin = &prepared.origins[&blob.digest];
            Wanted { blob: (*blob).clone(), from: origin.read.clone(), repository: origin.repository.clone() }
        })
        .collect();
    let parallel = run.parallelism.images * run.parallelism.blobs;
    let missing = fetch(wanted, writer, parallel, run.retry, run.events.clone()).await;
    let mut failures = Vec::new();
    for missing in missing {
        note_missing(&missing.blob, &missing.error, prepared, &mut failures);
    }
    Ok(failures)
}

/// Reports every image that a missing blob belongs to, once.
fn note_missing(blob: &Descriptor, error: &ContentError, prepared: &Prepared, failures: &mut Vec<Failure>) {
    let affected = prepared.entries.iter().filter(|i| i.blobs.iter().any(|b| b.digest == blob.digest));
    for image in affected {
        let failure = image_failure(&image.request.origin, &image.request.kind, error);
        let failure = of_image(failure, &prepared.entries);
        if !failures.iter().any(|f| f.subject == failure.subject) {
            failures.push(failure);
        }
    }
}

fn dry_run(
    workspace: &Workspace,
    chain: &Chain,
    base: u64,
    prepared: &Prepared,
    content: &Content,
    mut report: RunReport,
) -> Result<RunReport, WorkflowError> {
    let lines = mapping(&prepared.entries, |image| {
        format!("file://{}:{}", image.destination.repository, image.destination.tag)
    });
    workspace.write("dry-run/mapping.txt", lines.as_bytes())?;
    let sequence = chain.sequence() + 1;
    let bytes = content.new_bytes();
    report.imagesets.push(imageset_report(sequence, base, None, Vec::new(), bytes, content, "planned"));
    Ok(report)
}

fn imageset_report(
    sequence: u64,
    base: u64,
    index: Option<Digest>,
    paths: Vec<PathBuf>,
    bytes: u64,
    content: &Content,
    outcome: &str,
) -> ImagesetReport {
    let name = |p: &Path| p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    ImagesetReport {
        sequence,
        base,
        index,
        chunks: paths.iter().map(|p| name(p)).collect(),
        bytes,
        saved_bytes: content.saved_bytes(),
        outcome: outcome.to_owned(),
    }
}
