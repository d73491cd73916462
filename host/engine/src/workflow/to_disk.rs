//! From registries into an imageset: [`mirror_to_disk`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use oc_mirror_model::Size;
use oc_mirror_model::audit::PolicyAudit;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::forecast::Room;
use oc_mirror_model::imageset::{Entry, FORMAT, ImageEntry, Index};
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::metadata::Chain;
use oc_mirror_model::report::{Failure, ImagesetReport, RunReport, Workflow};
use uuid::Uuid;

use super::agreement::State;
use super::aside::Aside;
use super::companions::of_image;
use super::contents::contents;
use super::forecast;
use super::images::{Origin, Origins};
use super::imagesets::Imagesets;
use super::judge::expected;
use super::on_error::{as_failure, do_without, quarantined};
use super::origins::Sources;
use super::outgoing::Outgoing;
use super::prepare::{
    Prepared, Request, Without, chain_of, file_records, image_failure, image_reports, mapping,
};
use super::space::{self, Need};
use super::{OnError, Run, Wishes, WorkflowError, WorkflowErrorKind, Workspace};
use crate::archive::{self, ImagesetChunks, Reader, SigningKeys, Writer};
use crate::bucket::Bucket;
use crate::content::{ContentError, ContentErrorKind, ContentWrite};
use crate::fsx;
use crate::metadata::{MetadataError, Stored};
use crate::plan::imageset::{
    Content, Extras, advance, advance_over, carried, content, is_unchanged, required,
};
use crate::plan::layout::{self, LayoutError, complete, order};
use crate::plan::names::Names;
use crate::plan::unchanged::{Split, split};
use crate::report::Event;
use crate::source::Artifact;
use crate::transfer::ImageTime;
use crate::transfer::fetch::{Missing, Wanted, fetch};

/// Where the configuration is, as it was written.
pub const CONFIGURATION: &str = "files/imageset-config.yaml";

/// Where the configuration is with every image pinned.
pub const PINNED: &str = "files/resolved-config.yaml";

/// Where cluster resources of plugins are.
pub const RESOURCES: &str = "files/cluster-resources/";

/// How the imageset is to be made.
pub struct ToDisk {
    /// Where the chunks are made: in the directory where they are to be, or in one of the workspace.
    pub dir: PathBuf,
    /// Where they go from there.
    pub bucket: Option<Arc<Bucket>>,
    /// No chunk is larger.
    pub chunk_limit: ChunkLimit,
    /// Whether to refuse to split a blob at the end of a chunk.
    pub strict: bool,
    /// The sequence to build on, if not on the last one.
    pub since: Option<u64>,
    /// The chain that the workspace must have, or begin.
    pub uid: Option<Uuid>,
    /// Whether to make one even if it has nothing new.
    pub force: bool,
    /// The keys that sign it; none: it is not signed.
    pub keys: SigningKeys,
}

/// How large a chunk may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkLimit {
    /// The size.
    pub size: Size,
    /// Whether it was asked for with `--archive-size`, and not by `archiveSize`.
    pub is_argument: bool,
}

impl ChunkLimit {
    /// Returns what to do about an imageset that does not fit.
    pub(super) fn hint(&self, error: &LayoutError) -> Option<String> {
        let strict = matches!(error, LayoutError::TooLarge { .. });
        let otherwise = if strict { ", or leave out --strict-archive" } else { "" };
        let enough = match error {
            LayoutError::TooManyChunks { .. } => "a larger size".to_owned(),
            _ => {
                let enough = self.size.at_least(error.needed()?);
                let shown =
                    if self.is_argument { enough.to_string() } else { enough.whole_gib().to_string() };
                format!("at least {shown}")
            }
        };
        Some(match self.is_argument {
            true => format!("give --archive-size {enough}{otherwise}").replace("at least ", ""),
            false => format!("set `archiveSize` to {enough}{otherwise}"),
        })
    }
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
    report.plugins.clone_from(&wishes.plugins);
    if !run.dry_run {
        workspace.metadata().rehearse().await?;
    }
    let found = load_chain(run, workspace, to).await?;
    let (chain, found) = adopt_sealed(run, workspace, to, found).await?;
    let (chain, found) = settle_outgoing(run, workspace, to, (chain, found), &mut report).await?;
    report.uid = Some(chain.uid);
    let last = chain.sequence();
    if let Some(agreement) = &run.agreement
        && agreement.begin(&chain)? == State::Done
    {
        report.notes.push(format!("imageset {last} is what the plan makes: it is there"));
        let nothing = imageset_report(last, last, None, Vec::new(), 0, &Content::default(), "nothing new");
        report.imagesets.push(nothing);
        return Ok(report);
    }
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
    let mut without = Without::default();
    // A blob that cannot be had is noticed only when it is fetched; where the user can do without its image, the
    // imageset is planned again. That is another imageset, which takes over all that was fetched for the one before.
    let (prepared, content, index, writer, listed) = loop {
        let mut prepared = request.prepare(&without, &mut report).await?;
        let content = content(&prepared.entries, &chain, base);
        let is_new = |digest: &Digest| chain.was_carried_by(digest, base).is_none();
        report.images = image_reports(&prepared.entries, is_new);
        report.contents = contents(&prepared.entries, is_new);
        prepared.note_mirrors(&mut report.images);
        let making = Making { run, wishes, workspace, to, chain: &chain, base, scratch: scratch.path() };
        let has_failed = !report.failures.is_empty();
        let is_whole = report.quarantined.is_empty();
        let has_nothing_new = !has_failed
            && to.since.is_none()
            && content.has_nothing_new()
            && is_unchanged(&prepared.entries, &file_records(&prepared), chain.last())
            && !(is_whole && lacks_something(&chain));
        let nothing = imageset_report(last, base, None, Vec::new(), 0, &content, "nothing new");
        if has_nothing_new && to.force {
            let sequence = last + 1;
            report.notes.push(format!("imageset {sequence} has nothing new: it is made because of --force"));
        }
        if run.dry_run {
            request.note_unasked(&mut report);
            return making.imagine(
                prepared,
                &content,
                report,
                (has_nothing_new && !to.force).then_some(nothing),
            );
        }
        if has_failed && (run.on_error == OnError::Stop || content.has_nothing_new() || run.keeps_plan()) {
            return Ok(report);
        }
        if has_nothing_new && !to.force {
            run.settle(None)?;
            archive::remove_stale_lock(&to.dir);
            if !request.judge_content(&mut prepared, &mut without, &mut report).await {
                continue;
            }
            report.imagesets.push(nothing);
            return Ok(report);
        }

        // The index has to say what policies will have said.
        let account = expected(&wishes.policies, &report.policies, prepared.subjects.len());
        let listed = Listed::put_aside(scratch.path(), &mut report)?;
        let made = making.fill(&mut prepared, &content, &report, account).await;
        let (index, writer, failures) = match made {
            // What is wrong with images is told even where the rest comes to nothing.
            Err(error) if has_failed => {
                listed.take_back(&mut report)?;
                report.failures.push(as_failure("the rest", &error));
                return Ok(report);
            }
            made => made?,
        };
        if has_failed {
            listed.take_back(&mut report)?;
            // An imageset with holes is not made. What can be had was brought all the same, for the next run to go on from.
            report.failures.extend(failures);
            return Ok(report);
        }
        if failures.is_empty() {
            // What was fetched is read where it is.
            prepared.images.read_first(&writer);
            if request.judge_content(&mut prepared, &mut without, &mut report).await {
                break (prepared, content, index, writer, listed);
            }
            continue;
        }
        match do_without(run, &failures, &mut report) {
            Some(more) => without.missing.extend(more),
            None => {
                listed.take_back(&mut report)?;
                report.failures = failures;
                return Ok(report);
            }
        }
    };
    let identity = writer.identity().clone();
    // Who has lost already does not even seal.
    workspace.check_unchanged(chain.uid, found.as_ref()).await?;
    let paths = writer.seal().await?;
    let bytes = paths.iter().filter_map(|p| p.metadata().ok()).map(|m| m.len()).sum();
    let identified = Some(identity.clone());
    let mut made = imageset_report(index.sequence, base, identified, paths, bytes, &content, "made");
    made.chunks.sort();
    report.totals.blobs = content.blobs;
    report.totals.blob_bytes = content.bytes;
    report.totals.manifests = content.manifests;
    let (state, files) = (prepared.plugin_state.clone(), file_records(&prepared));
    // The record is made of what the index says of images, and has to have room beside it.
    drop((prepared, content, writer));
    run.events.event(Event::Phase { name: "recording", items: None, bytes: None });
    let index = Index { entries: Vec::new(), ..Arc::unwrap_or_clone(index) };
    let after = advance_over(chain, index, Some(&identity), &Names::default(), Extras { state, files });
    hand_over(run, workspace, to, &after, found.as_ref()).await?;
    drop(after);
    listed.take_back(&mut report)?;
    report.imagesets.push(made);
    Ok(report)
}

async fn load_chain(
    run: &Run,
    workspace: &Workspace,
    to: &ToDisk,
) -> Result<(Chain, Option<Stored>), WorkflowError> {
    match (workspace.uid().await?, to.uid) {
        (Some(workspace), Some(wanted)) if workspace != wanted => {
            Err(WorkflowErrorKind::OtherChain { workspace, wanted }.into())
        }
        (Some(uid), _) => workspace.load_record(uid).await,
        (None, wanted) => Ok((Chain::new(wanted.unwrap_or(run.new_uid)), None)),
    }
}

/// Commits a sealed imageset. If another one was committed first, nothing of it stays.
///
/// In a directory it can be seen while the record is committed; in a bucket it appears only afterwards.
async fn hand_over(
    run: &Run,
    workspace: &Workspace,
    to: &ToDisk,
    after: &Chain,
    found: Option<&Stored>,
) -> Result<(), WorkflowError> {
    let Some(made) = after.last() else { return Ok(()) };
    let sealed = archive::find_imagesets(&to.dir)?.into_iter().find(|set| set.sequence == made.sequence);
    let (Some(set), Some(identity)) = (sealed, &made.index) else {
        return Err(WorkflowErrorKind::NoImageset { path: to.dir.display().to_string() }.into());
    };
    let outgoing = to.bucket.as_ref().map(|bucket| Outgoing { run, bucket, dir: &to.dir });
    let uploaded = match &outgoing {
        Some(outgoing) => {
            let claim = outgoing.check_claim(after.uid).await?;
            Some((outgoing.upload(&set, identity).await?, claim))
        }
        None => None,
    };
    if let Err(error) = workspace.commit_record(after, found).await {
        let lost = matches!(error.kind.as_ref(), WorkflowErrorKind::Metadata(MetadataError::Conflict { .. }));
        if !lost {
            return Err(error);
        }
        // Equal inputs make equal imagesets: then it does not matter who committed it.
        let same = match workspace.load_record(after.uid).await {
            Ok((now, _)) => now.last().is_some_and(|i| i.sequence == made.sequence && i.index == made.index),
            Err(_) => false,
        };
        if !same {
            match &outgoing {
                Some(outgoing) => outgoing.give_up(&set).await?,
                None => archive::remove(&set)?,
            }
            return Err(error);
        }
    }
    match (outgoing, uploaded) {
        (Some(outgoing), Some((uploaded, claim))) => {
            outgoing.claim(after.uid, claim).await?;
            outgoing.publish(uploaded).await
        }
        _ => Ok(()),
    }
}

/// Takes up imagesets that the record does not know: a run ended after it had sealed one and before it could
/// commit, or the record was lost. A dry run takes them into account, and leaves the record as it is.
async fn adopt_sealed(
    run: &Run,
    workspace: &Workspace,
    to: &ToDisk,
    (mut chain, mut found): (Chain, Option<Stored>),
) -> Result<(Chain, Option<Stored>), WorkflowError> {
    let place = match &to.bucket {
        Some(bucket) => Some(Imagesets::Bucket(bucket.clone())),
        None => to.dir.is_dir().then(|| Imagesets::Path(to.dir.clone())),
    };
    let Some(place) = place else { return Ok((chain, found)) };
    for set in place.list().await? {
        if workspace.is_shared() && set.sequence == chain.sequence() {
            check_recorded(&set, &chain).await?;
        }
        // Chunk 0 gets its name last: without it, a run was cut off while it sealed, and the next one does it again.
        if set.sequence != chain.sequence() + 1 || !set.chunks.contains_key(&0) {
            continue;
        }
        let reader = Reader::open_chunks(&set).await?;
        let index = reader.index();
        if index.uid != chain.uid && !begins(index, found.as_ref(), to) {
            return Err(WorkflowErrorKind::OtherChain { workspace: chain.uid, wanted: index.uid }.into());
        }
        let before = Chain { uid: index.uid, ..chain };
        chain = advance(before, index, Some(reader.identity()), &Names::default(), extras(index));
        if !run.dry_run {
            if to.bucket.is_none() {
                // The run that gave it its name may have been killed before that was durable.
                let failed =
                    |source| WorkflowErrorKind::Workspace { path: to.dir.display().to_string(), source };
                fsx::fsync_dir(&to.dir).map_err(failed)?;
            }
            workspace.commit_record(&chain, found.as_ref()).await?;
            found = workspace.metadata().load(chain.uid).await?;
        }
    }
    Ok((chain, found))
}

/// Answers whether an imageset may begin the chain of a workspace that has none.
fn begins(index: &Index, found: Option<&Stored>, to: &ToDisk) -> bool {
    found.is_none() && to.uid.is_none() && index.sequence == 1
}

/// Refuses an imageset that lost to another and could not be removed any more.
async fn check_recorded(set: &ImagesetChunks, chain: &Chain) -> Result<(), WorkflowError> {
    let reader = Reader::open_chunks(set).await?;
    let recorded = chain.last().and_then(|last| last.index.as_ref());
    if reader.index().uid == chain.uid && recorded.is_some_and(|index| index != reader.identity()) {
        let path = set.place.display().to_string();
        return Err(WorkflowErrorKind::NotInRecord { sequence: set.sequence, path }.into());
    }
    Ok(())
}

/// Goes on with imagesets that earlier runs sealed for a bucket and did not get there.
async fn settle_outgoing(
    run: &Run,
    workspace: &Workspace,
    to: &ToDisk,
    (mut chain, mut found): (Chain, Option<Stored>),
    report: &mut RunReport,
) -> Result<(Chain, Option<Stored>), WorkflowError> {
    let Some(bucket) = &to.bucket else { return Ok((chain, found)) };
    let outgoing = Outgoing { run, bucket, dir: &to.dir };
    for set in outgoing.waiting()? {
        let reader = Reader::open_files(&set)?;
        let (index, identity) = (reader.index(), reader.identity());
        let recorded =
            chain.imagesets.iter().find(|i| i.sequence == index.sequence && index.uid == chain.uid);
        let committed = recorded.is_some_and(|i| i.index.as_ref() == Some(identity));
        let is_next = index.sequence == chain.sequence() + 1
            && (index.uid == chain.uid || begins(index, found.as_ref(), to));
        if is_next {
            let before = Chain { uid: index.uid, ..chain };
            chain = advance(before, index, Some(identity), &Names::default(), extras(index));
        }
        match (run.dry_run, committed, is_next) {
            (true, ..) => continue,
            (false, true, _) => {
                let claim = outgoing.check_claim(chain.uid).await?;
                let uploaded = outgoing.upload(&set, identity).await?;
                outgoing.claim(chain.uid, claim).await?;
                outgoing.publish(uploaded).await?;
            }
            (false, false, true) => {
                hand_over(run, workspace, to, &chain, found.as_ref()).await?;
                found = workspace.metadata().load(chain.uid).await?;
            }
            (false, false, false) => {
                outgoing.give_up(&set).await?;
                continue;
            }
        }
        let (sequence, url) = (index.sequence, bucket.url());
        report.notes.push(format!("imageset {sequence}, which an earlier run made, is now in {url}"));
    }
    Ok((chain, found))
}

/// Returns what the record has of an imageset that was made before, besides its images.
pub(super) fn extras(index: &Index) -> Extras {
    let is_plugins = |path: &str| path.starts_with("files/") && path != CONFIGURATION && path != PINNED;
    let files = index.entries.iter().filter_map(|e| Some((e.file().filter(|path| is_plugins(path))?, e)));
    let files = files.map(|(path, e)| (path.to_owned(), e.digest.clone())).collect();
    Extras { files, ..Extras::default() }
}

/// The lists of a report that have a line for each image, put aside while images are brought.
struct Listed {
    images: Aside,
    unsigned: Aside,
}

impl Listed {
    fn put_aside(scratch: &Path, report: &mut RunReport) -> Result<Self, WorkflowError> {
        Ok(Self {
            images: Aside::put(scratch, "images.json", &mut report.images)?,
            unsigned: Aside::put(scratch, "unsigned.json", &mut report.unsigned)?,
        })
    }

    fn take_back(self, report: &mut RunReport) -> Result<(), WorkflowError> {
        self.images.take_back(&mut report.images)?;
        self.unsigned.take_back(&mut report.unsigned)
    }
}

/// What has more bytes does not wait in memory until it is written.
const MUCH: usize = 1 << 20;

/// A file of the imageset: in memory or on disk.
enum File {
    Bytes(String, Vec<u8>),
    Artifact(String, Artifact),
}

impl File {
    /// Makes a file of bytes. Many of them are written to disk until their turn comes.
    fn new(scratch: &Path, path: &str, bytes: Vec<u8>) -> Result<Self, WorkflowError> {
        if bytes.len() <= MUCH {
            return Ok(Self::Bytes(path.to_owned(), bytes));
        }
        let file = scratch.join(path.replace('/', "-"));
        std::fs::write(&file, &bytes)
            .map_err(|source| WorkflowErrorKind::Workspace { path: file.display().to_string(), source })?;
        let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
        Ok(Self::Artifact(path.to_owned(), Artifact { path: path.to_owned(), file, digest, size }))
    }

    fn entry(&self) -> Entry {
        match self {
            Self::Bytes(path, bytes) => layout::file(path.clone(), bytes),
            Self::Artifact(path, artifact) => {
                layout::file_of(path.clone(), artifact.digest.clone(), artifact.size)
            }
        }
    }
}

fn files(
    wishes: &Wishes,
    prepared: &Prepared,
    described: &[ImageEntry],
    pinned: File,
    scratch: &Path,
) -> Result<Vec<File>, WorkflowError> {
    let (oci_layout, index_json) = archive::layout_documents(described);
    let mut files = vec![
        File::Bytes("oci-layout".to_owned(), oci_layout),
        File::new(scratch, "index.json", index_json)?,
        File::new(scratch, CONFIGURATION, wishes.configuration.clone())?,
        pinned,
    ];
    files.extend(
        prepared
            .documents
            .iter()
            .map(|(name, text)| File::Bytes(format!("{RESOURCES}{name}"), text.clone().into_bytes())),
    );
    files.extend(prepared.artifacts.iter().map(|a| File::Artifact(format!("files/{}", a.path), a.clone())));
    Ok(files)
}

/// Answers whether the last imageset says that it lacks something that was wanted.
fn lacks_something(chain: &Chain) -> bool {
    chain.last().is_some_and(|last| !last.quarantined.is_empty())
}

/// What an imageset is made with.
struct Making<'a> {
    run: &'a Run,
    wishes: &'a Wishes,
    workspace: &'a Workspace,
    to: &'a ToDisk,
    chain: &'a Chain,
    base: u64,
    scratch: &'a Path,
}

impl Making<'_> {
    /// Plans the imageset, and brings everything into its place that can be had. Returns what could not.
    async fn fill(
        &self,
        prepared: &mut Prepared,
        content: &Content,
        report: &RunReport,
        account: Vec<PolicyAudit>,
    ) -> Result<(Arc<Index>, Arc<Writer>, Vec<Failure>), WorkflowError> {
        let pinned = (self.wishes.pinned)(&prepared.entries, &prepared.plugin_state);
        let pinned = File::new(self.scratch, PINNED, pinned)?;
        self.run.events.event(Event::Phase { name: "laying out the imageset", items: None, bytes: None });
        let split = self.split(prepared);
        let files = files(self.wishes, prepared, &split.images, pinned, self.scratch)?;
        let index = Arc::new(self.plan(split, report, account, &files)?);
        self.run.settle(Some(&index))?;
        self.check_room(&index, content)?;
        for file in &files {
            match file {
                File::Bytes(path, pinned) if path == PINNED => {
                    self.workspace.write("resolved-config.yaml", pinned)?;
                }
                File::Artifact(path, pinned) if path == PINNED => {
                    self.workspace.copy("resolved-config.yaml", &pinned.file)?;
                }
                _ => {}
            }
        }
        let (dir, planned, keys) = (self.to.dir.clone(), index.clone(), self.to.keys.clone());
        // What an earlier run left is copied there, which may take a while.
        let making = move || Writer::create_or_resume_signed(&dir, planned, &keys);
        let writer = tokio::task::spawn_blocking(making).await;
        let writer = Arc::new(writer.expect("making chunks does not panic and is not aborted")?);
        write_files(&writer, files).await?;
        let failures = self.bring(prepared, content, &index.images, writer.clone()).await?;
        Ok((index, writer, failures))
    }

    /// Tells the images that are to be published from those that are as they were, and takes them all: the index has
    /// the former, and nobody needs the latter any more.
    fn split(&self, prepared: &mut Prepared) -> Split {
        let files = file_records(prepared);
        split(std::mem::take(&mut prepared.entries), &files, self.chain, self.base)
    }

    /// Decides where everything is going to lie.
    fn plan(
        &self,
        split: Split,
        report: &RunReport,
        account: Vec<PolicyAudit>,
        files: &[File],
    ) -> Result<Index, WorkflowError> {
        let is_new = |digest: &Digest| self.chain.was_carried_by(digest, self.base).is_none();
        // Of what is new, images that are as they were have none.
        let entries = order(files.iter().map(File::entry).collect(), &split.images, is_new);
        self.lay_out(Index { entries, ..self.draft(split, report, account)? })
    }

    /// Brings manifests and configurations that are at hand, and then blobs, each once.
    async fn bring(
        &self,
        prepared: &Prepared,
        content: &Content,
        images: &[ImageEntry],
        writer: Arc<Writer>,
    ) -> Result<Vec<Failure>, WorkflowError> {
        let (run, dir) = (self.run, self.to.dir.as_path());
        for (image, manifest) in carried(images, self.chain, self.base).filter(|(_, c)| c.is_manifest()) {
            let origin = origin_of(&prepared.sources, image, manifest);
            let manifest = prepared.images.manifest(origin, &manifest.digest).await?;
            writer.put_manifest(&origin.repository, &manifest).await?;
        }
        let (items, bytes) = (Some(content.blobs), Some(content.blob_bytes));
        run.events.event(Event::Phase { name: "fetching", items, bytes });
        // Policies have asked for configurations.
        for (image, blob) in carried(images, self.chain, self.base).filter(|(_, c)| !c.is_manifest()) {
            let Some(document) = prepared.images.document(&blob.digest) else { continue };
            let origin = origin_of(&prepared.sources, image, blob);
            let stream = Box::pin(futures_util::stream::iter([Ok(document)]));
            writer.put_blob(&origin.repository, blob, stream).await?;
        }
        // Whoever judges content is going to open them again.
        if prepared.subjects.is_empty() {
            prepared.images.finish();
        }
        let wanted = WantedBlobs { left: carried(images, self.chain, self.base), sources: &prepared.sources };
        let parallel = run.parallelism.images * run.parallelism.blobs;
        let is_ours = |error: &ContentError| {
            matches!(error.kind(), ContentErrorKind::Disk(_)) && Path::new(error.subject()).starts_with(dir)
        };
        let stops = run.on_error == OnError::Stop;
        let time = ImageTime::of(run.image_timeout, images);
        let is_enough = |missing: &Missing| stops || is_ours(&missing.error);
        let missing =
            fetch(wanted, writer, parallel, run.retry, run.events.clone(), time.as_ref(), &is_enough).await;
        let mut failures = Vec::new();
        for missing in missing {
            if is_ours(&missing.error) {
                // The disk has failed, and no image has.
                return Err(missing.error.into());
            }
            note_missing(&missing.blob, &missing.error, images, &mut failures);
        }
        Ok(failures)
    }

    /// Looks whether the disks are large enough for what is going to be written.
    fn check_room(&self, index: &Index, content: &Content) -> Result<(), WorkflowError> {
        space::refuse_small(&self.rooms(index, content)?)
    }

    fn rooms(&self, index: &Index, content: &Content) -> Result<Vec<Room>, WorkflowError> {
        let new = usize::try_from(content.manifests + content.blobs).unwrap_or(usize::MAX);
        let blobs = self.chain.blobs.len().saturating_add(new);
        let bytes = archive::room_needed(&self.to.dir, index)?;
        space::rooms(&[
            Need { dir: &self.to.dir, bytes, what: "the imageset" },
            Need::of_workspace(self.workspace.dir(), index.image_count(), blobs),
        ])
    }

    /// Reports what would be made, and what would be in its way; or that nothing would be.
    fn imagine(
        &self,
        mut prepared: Prepared,
        content: &Content,
        mut report: RunReport,
        nothing: Option<ImagesetReport>,
    ) -> Result<RunReport, WorkflowError> {
        let is_new = |digest: &Digest| self.chain.was_carried_by(digest, self.base).is_none();
        self.keep_mapping(&prepared.entries, is_new)?;
        let left = archive::left_in(&self.to.dir)?;
        let (images, sources, read) = (&prepared.entries, &prepared.sources, &prepared.images);
        let mut forecast =
            forecast::of_imageset(&forecast::Content { images, sources, read, left: &left }, is_new);
        forecast.block(&report.refused);
        if let Some(nothing) = nothing {
            self.run.settle(None)?;
            report.imagesets.push(nothing);
            report.forecast = Some(forecast);
            return Ok(report);
        }
        let mut bytes = content.bytes;
        if report.failures.is_empty() {
            let pinned = (self.wishes.pinned)(&prepared.entries, &prepared.plugin_state);
            if let Some(agreement) = &self.run.agreement {
                agreement.note_resolved(&pinned);
            }
            let pinned = File::new(self.scratch, PINNED, pinned)?;
            let split = self.split(&mut prepared);
            let files = files(self.wishes, &prepared, &split.images, pinned, self.scratch)?;
            // What policies say of content is not known yet; of a plan it is taken to be nothing.
            let account = expected(&self.wishes.policies, &report.policies, prepared.subjects.len());
            let index = self.plan(split, &report, account, &files)?;
            self.run.settle(Some(&index))?;
            forecast.space = self.rooms(&index, content)?;
            if let Err(error) = space::refuse_small(&forecast.space) {
                report.warnings.push(chain_of(&error));
            }
            forecast.chunks = archive::chunk_sizes(&index);
            bytes = forecast.chunks.iter().sum();
        }
        report.forecast = Some(forecast);
        let sequence = self.chain.sequence() + 1;
        report.imagesets.push(imageset_report(
            sequence,
            self.base,
            None,
            Vec::new(),
            bytes,
            content,
            "planned",
        ));
        Ok(report)
    }

    /// Writes which image would be what in an imageset, and of which of them it would carry something.
    fn keep_mapping(
        &self,
        images: &[ImageEntry],
        is_new: impl Fn(&Digest) -> bool,
    ) -> Result<(), WorkflowError> {
        let lines = |images: &[ImageEntry]| {
            mapping(images, |image| {
                format!("file://{}:{}", image.destination.repository, image.destination.tag)
            })
        };
        let has_new =
            |image: &&ImageEntry| image.manifests.iter().chain(&image.blobs).any(|d| is_new(&d.digest));
        let missing: Vec<ImageEntry> = images.iter().filter(has_new).cloned().collect();
        forecast::keep(self.workspace, "dry-run", &lines(images), &lines(&missing))
    }

    fn lay_out(&self, mut draft: Index) -> Result<Index, WorkflowError> {
        let limit = self.to.chunk_limit;
        let done = complete(&mut draft, Some(limit.size.bytes()), self.to.strict);
        done.map_err(|source| {
            let of = |path: &str| {
                let has = |image: &&ImageEntry| image.blobs.iter().any(|b| b.digest.layout_path() == path);
                draft.images.iter().find(has).map(|image| image.request.origin.clone())
            };
            let image = match &source {
                LayoutError::TooLarge { path, .. } => of(path),
                _ => None,
            };
            WorkflowError::from(WorkflowErrorKind::Layout { limit, image, source })
        })?;
        Ok(draft)
    }

    /// The index but for where things lie.
    fn draft(
        &self,
        split: Split,
        report: &RunReport,
        account: Vec<PolicyAudit>,
    ) -> Result<Index, WorkflowError> {
        let (run, chain) = (self.run, self.chain);
        let sequence = chain.sequence() + 1;
        let planned = run.agreement.as_ref().and_then(|agreement| agreement.created()).map(str::to_owned);
        // A run that goes on where another one was cut off keeps that one's time, or nothing would match.
        let created = match planned {
            Some(planned) => planned,
            None => archive::interrupted(&self.to.dir, sequence)?
                .filter(|pending| !run.created_is_fixed && pending.uid == chain.uid)
                .map_or_else(|| run.created.clone(), |pending| pending.created),
        };
        Ok(Index {
            format: FORMAT,
            uid: chain.uid,
            sequence,
            base: self.base,
            previous: chain.last().and_then(|i| i.index.clone()),
            created,
            created_by: run.program.clone(),
            chunks: Vec::new(),
            entries: Vec::new(),
            required: required(&split.images, chain, self.base),
            images: split.images,
            unchanged: split.unchanged,
            positions: split.positions,
            refused: report.refused.clone(),
            policies: account,
            quarantined: quarantined(report),
            signed_by: self.to.keys.ids(),
        })
    }
}

/// Writes files, each of which is then let go: some have a line for each image.
async fn write_files(writer: &Writer, files: Vec<File>) -> Result<(), WorkflowError> {
    for file in files {
        match file {
            File::Bytes(path, bytes) => writer.put_file(&path, bytes).await?,
            File::Artifact(path, artifact) => writer.put_file_from(&path, &artifact.file).await?,
        }
    }
    Ok(())
}

/// The blobs that are new, each made when its turn comes.
struct WantedBlobs<'a, Left> {
    left: Left,
    sources: &'a Sources,
}

impl<'a, Left: Iterator<Item = (&'a ImageEntry, &'a Descriptor)>> Iterator for WantedBlobs<'a, Left> {
    type Item = Wanted;

    fn next(&mut self) -> Option<Wanted> {
        let (image, blob) = self.left.find(|(_, content)| !content.is_manifest())?;
        let origin = origin_of(self.sources, image, blob);
        // What else is said of it is of no use here.
        let blob = Descriptor::new(&blob.media_type, blob.digest.clone(), blob.size);
        let image = image.request.origin.clone();
        Some(Wanted { blob, from: origin.read.clone(), repository: origin.repository.clone(), image })
    }
}

fn origin_of<'a>(sources: &'a Sources, image: &ImageEntry, content: &Descriptor) -> &'a Arc<Origin> {
    sources.of(&image.root.digest, &content.digest).expect("it was noted where all of an image can be had")
}

/// Reports every image that a missing blob belongs to, once.
fn note_missing(blob: &Descriptor, error: &ContentError, images: &[ImageEntry], failures: &mut Vec<Failure>) {
    let affected = images.iter().filter(|i| i.blobs.iter().any(|b| b.digest == blob.digest));
    for image in affected {
        let failure = image_failure(&image.request.origin, &image.request.kind, error);
        let failure = of_image(failure, images);
        if !failures.iter().any(|f| f.subject == failure.subject) {
            failures.push(failure);
        }
    }
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
        saved_bytes: content.saved_bytes,
        outcome: outcome.to_owned(),
    }
}
