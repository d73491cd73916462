//! Tells whether what was made is still whole: [`check_imagesets`], and [`check_target`] for what was published. Nothing is
//! written, and no workspace is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use oc_mirror_model::check::{ChainCheck, CheckReport, Damage, ImagesetCheck, Missing, Part, exit_code_of};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::Index;
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::media_type;
use oc_mirror_model::metadata::{Chain, ImageRecord};
use oc_mirror_model::reference::{Repository, Selector, Tag};
use oc_mirror_model::report::exit;
use oc_mirror_model::request::kind;
use uuid::Uuid;

use super::from_disk::Destination;
use super::imagesets::Imagesets;
use super::prepare::chain_of;
use super::{WorkflowError, WorkflowErrorKind};
use crate::archive::{self, ArchiveErrorKind, ImagesetChunks, Progress, TrustedKeys};
use crate::content::verify::verified;
use crate::content::{ContentError, ContentErrorKind};
use crate::report::{Event, Moving, SharedEvents};
use crate::transfer::fetch::counted;
use crate::transfer::{Retry, retrying};

/// Questions that a target is asked at a time.
const QUESTIONS: usize = 16;
/// Blobs that are read from a target at a time.
const READS: usize = 4;

/// Checks every byte of all imagesets in a place, and that they belong together.
pub async fn check_imagesets(
    from: &Imagesets,
    trusted: &TrustedKeys,
    events: &SharedEvents,
) -> Result<CheckReport, WorkflowError> {
    from.refuse_predecessors()?;
    let sets = from.list().await?;
    if sets.is_empty() {
        return Err(WorkflowErrorKind::NoImageset { path: from.name() }.into());
    }
    let bytes = sizes(&sets).await;
    events.event(Event::Phase { name: "checking", items: Some(sets.len() as u64), bytes });
    let mut report = CheckReport::new(from.name());
    for set in &sets {
        let told = events.clone();
        let progress: Progress = Arc::new(move |count| {
            told.event(Event::Bytes { count: i64::try_from(count).unwrap_or(i64::MAX) })
        });
        report.imagesets.push(match archive::check(set, trusted, progress).await {
            Ok(found) => found,
            Err(error) => match error.kind() {
                ArchiveErrorKind::Store(_) | ArchiveErrorKind::Format { .. } => return Err(error.into()),
                _ => without_index(set, &error),
            },
        });
        events.event(Event::ItemDone { name: &format!("imageset {}", set.sequence) });
    }
    hold_together(&mut report);
    Ok(report)
}

async fn sizes(sets: &[ImagesetChunks]) -> Option<u64> {
    let mut sum = 0_u64;
    for chunk in sets.iter().flat_map(|set| set.chunks.values()) {
        sum = sum.saturating_add(chunk.size().await.ok()?);
    }
    Some(sum)
}

/// What there is to say of an imageset whose index cannot be used: that of all others depends on it.
fn without_index(set: &ImagesetChunks, error: &archive::ArchiveError) -> ImagesetCheck {
    let zero = Index::chunk_name(set.sequence, 0);
    let (what, mend) = match error.kind() {
        ArchiveErrorKind::Distrusted(distrust) => (error.kind().to_string(), distrust.hint().to_owned()),
        kind => {
            let mend = format!(
                "copy {zero} again from where imageset {} was made; the index in it tells of all else",
                set.sequence
            );
            (kind.to_string(), mend)
        }
    };
    let damage =
        Damage { chunks: vec![zero], entry: None, what, images: Vec::new(), mend, exit_code: exit::GENERIC };
    ImagesetCheck {
        sequence: set.sequence,
        uid: None,
        base: 0,
        index: None,
        previous: None,
        images: 0,
        chunks: set.chunks.len(),
        entries: 0,
        bytes: 0,
        unchecked: 0,
        signed_by: Vec::new(),
        verified: Vec::new(),
        damage: vec![damage],
    }
}

/// Holds the imagesets of a place against one another: they are of one chain, and each names the one before it.
fn hold_together(report: &mut CheckReport) {
    let uid = most(report.imagesets.iter().filter_map(|set| set.uid));
    let known: BTreeMap<u64, Digest> =
        report.imagesets.iter().filter_map(|set| Some((set.sequence, set.index.clone()?))).collect();
    for set in &mut report.imagesets {
        let (sequence, before) = (set.sequence, set.sequence.saturating_sub(1));
        let own = set.uid.filter(|own| Some(*own) != uid).zip(uid);
        let fault = match (&set.previous, known.get(&before)) {
            _ if own.is_some() => own.map(|(own, uid)| {
                let mend =
                    format!("take imageset {sequence} away, or bring the one of chain {uid} in its place");
                (format!("it belongs to chain {own}, the others to {uid}"), mend)
            }),
            (Some(previous), Some(there)) if previous != there => Some((
                format!(
                    "imageset {before} is not the one that it follows: that one is `{previous}`, this one `{there}`"
                ),
                format!(
                    "bring imagesets {before} and {sequence} again from the workspace that they were made in; one of them is another's"
                ),
            )),
            _ => None,
        };
        set.damage.extend(fault.map(|(what, mend)| Damage {
            chunks: vec![Index::chunk_name(sequence, 0)],
            entry: None,
            what,
            images: Vec::new(),
            mend,
            exit_code: exit::GENERIC,
        }));
        let needs = (before > 0 && set.base > 0 && set.index.is_some()).then_some(set.base);
        if let Some(base) = needs.filter(|base| !known.contains_key(base)) {
            report.notes.push(format!(
                "imageset {sequence} builds on sequence {base}, which is not here; the target has to have it"
            ));
        }
    }
}

/// Returns what comes most often, the first of several.
fn most(uids: impl Iterator<Item = Uuid>) -> Option<Uuid> {
    let mut counts: Vec<(Uuid, usize)> = Vec::new();
    for uid in uids {
        match counts.iter_mut().find(|(known, _)| *known == uid) {
            Some((_, count)) => *count += 1,
            None => counts.push((uid, 1)),
        }
    }
    counts.iter().rev().max_by_key(|(_, count)| *count).map(|(uid, _)| *uid)
}

/// How a target is to be checked.
#[derive(Clone, Copy, Debug)]
pub struct CheckTarget {
    /// The chain, if it is not all that have a record there.
    pub uid: Option<Uuid>,
    /// Whether every blob is read and hashed. Without it, the registry's word is taken for what it has.
    pub deep: bool,
    /// How often to try again what breaks off.
    pub retry: Retry,
}

/// Asks a target for everything that the records of its chains say is there.
pub async fn check_target(
    destination: &Destination,
    how: CheckTarget,
    events: &SharedEvents,
) -> Result<CheckReport, WorkflowError> {
    let target = destination.target.to_string();
    let uids = match how.uid {
        Some(uid) => vec![uid],
        None => destination.records.chains().await?,
    };
    let mut report = CheckReport::new(&target);
    for uid in uids {
        let Some(stored) = destination.records.load(uid).await? else { continue };
        if !stored.chain.deleting.is_empty() {
            let count = stored.chain.deleting.len();
            report.notes.push(format!(
                "{count} images of chain {uid} are being deleted and were not looked at; the same `oc-mirror delete` finishes it"
            ));
        }
        let check = TargetCheck { destination, how, events, chain: &stored.chain };
        report.chains.push(check.run().await?);
    }
    if report.chains.is_empty() {
        return Err(WorkflowErrorKind::NothingPublished { target }.into());
    }
    Ok(report)
}

/// The check of one chain.
struct TargetCheck<'a> {
    destination: &'a Destination,
    how: CheckTarget,
    events: &'a SharedEvents,
    chain: &'a Chain,
}

/// Something that is to be at the target.
struct Promise<'a> {
    repository: &'a Repository,
    digest: &'a Digest,
    media_type: &'a str,
    size: u64,
    sequence: u64,
    /// Whether it is the one place where the content is read.
    reads: bool,
}

impl Promise<'_> {
    fn is_manifest(&self) -> bool {
        media_type::is_manifest(self.media_type)
    }

    fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type, self.digest.clone(), self.size)
    }
}

/// What a place says about a promise.
enum Answer {
    Kept { read: u64 },
    Broken(String),
}

impl TargetCheck<'_> {
    async fn run(&self) -> Result<ChainCheck, WorkflowError> {
        let users = Users::of(self.chain);
        let promises = self.promises(&users);
        let bytes = self.how.deep.then(|| promises.iter().filter(|p| p.reads).map(|p| p.size).sum());
        let items = Some((promises.len() + users.tags.len()) as u64);
        self.events.event(Event::Phase { name: "checking", items, bytes });
        let mut check = ChainCheck {
            uid: self.chain.uid,
            sequence: self.chain.sequence(),
            tags: users.tags.len(),
            manifests: promises.iter().filter(|p| p.is_manifest()).count(),
            blobs: promises.iter().filter(|p| !p.is_manifest()).count(),
            bytes: 0,
            missing: Vec::new(),
        };
        let (reads, asks): (Vec<&Promise<'_>>, Vec<&Promise<'_>>) = promises.iter().partition(|p| p.reads);
        for (promises, at_a_time) in [(asks, QUESTIONS), (reads, READS)] {
            let mut answers = stream::iter(promises)
                .map(|promise| async move { (promise, self.answer(promise).await) })
                .buffered(at_a_time);
            while let Some((promise, answer)) = answers.next().await {
                self.events.event(Event::ItemDone { name: promise.repository.as_str() });
                match answer? {
                    Answer::Kept { read } => check.bytes += read,
                    Answer::Broken(what) => check.missing.push(self.missing(&users, promise, what)),
                }
            }
        }
        let mut tags = stream::iter(&users.tags)
            .map(|(place, image)| async move { (place, image, self.tag(place, image).await) })
            .buffered(QUESTIONS);
        while let Some((place, image, fault)) = tags.next().await {
            self.events.event(Event::ItemDone { name: place.0.as_str() });
            let Some(what) = fault? else { continue };
            check.missing.push(Missing {
                part: Part::Tag,
                repository: place.0.clone(),
                digest: image.digest.clone(),
                tag: Some(place.1.clone()),
                what,
                sequence: None,
                images: vec![image.origin.clone()],
                mend: mend(None, self.chain.sequence()),
                exit_code: exit_code_of([image.kind.as_str()]),
            });
        }
        check
            .missing
            .sort_by(|a, b| (&a.repository, a.part, &a.digest).cmp(&(&b.repository, b.part, &b.digest)));
        Ok(check)
    }

    /// Lists what the record says is there.
    fn promises(&self, users: &Users<'_>) -> Vec<Promise<'_>> {
        let mut promises = Vec::new();
        for (digest, blob) in &self.chain.blobs {
            let is_kept = |repository: &&Repository| !users.lists.contains(&(*repository, digest));
            for (number, repository) in blob.repositories.iter().filter(is_kept).enumerate() {
                promises.push(Promise {
                    repository,
                    digest,
                    media_type: &blob.media_type,
                    size: blob.size,
                    sequence: blob.sequence,
                    // What registries link from one repository to another they store once.
                    reads: self.how.deep && number == 0,
                });
            }
        }
        promises
    }

    async fn answer(&self, promise: &Promise<'_>) -> Result<Answer, ContentError> {
        let endpoint = self.destination.endpoint.as_ref();
        let is_there = match promise.is_manifest() {
            true => endpoint.has_manifest(promise.repository, promise.digest).await?,
            false => endpoint.has_blob(promise.repository, &promise.descriptor()).await?,
        };
        if !is_there {
            return Ok(Answer::Broken("is not there".to_owned()));
        }
        if !promise.reads {
            return Ok(Answer::Kept { read: 0 });
        }
        match self.read(promise).await {
            Ok(()) => Ok(Answer::Kept { read: promise.size }),
            Err(error) => match error.kind() {
                ContentErrorKind::NotFound
                | ContentErrorKind::WrongDigest { .. }
                | ContentErrorKind::WrongSize { .. }
                | ContentErrorKind::Invalid(_) => {
                    Ok(Answer::Broken(format!("is damaged there: {}", error.kind())))
                }
                // A registry that has lost the file behind a blob answers with an error of its own.
                ContentErrorKind::Unavailable(_) => {
                    Ok(Answer::Broken(format!("cannot be read there: {}", chain_of(&error))))
                }
                _ => Err(error),
            },
        }
    }

    async fn read(&self, promise: &Promise<'_>) -> Result<(), ContentError> {
        let endpoint = self.destination.endpoint.as_ref();
        if promise.is_manifest() {
            let selector = Selector::Digest(promise.digest.clone());
            let manifest = endpoint.manifest(promise.repository, &selector).await?;
            return match manifest.digest() == promise.digest {
                true => Ok(()),
                false => Err(ContentError::new(
                    format!("{}@{}", promise.repository, promise.digest),
                    ContentErrorKind::WrongDigest {
                        expected: promise.digest.clone(),
                        actual: manifest.digest().clone(),
                    },
                )),
            };
        }
        let descriptor = promise.descriptor();
        let subject = format!("{}@{}", promise.repository, promise.digest);
        let _moving = Moving::begin(self.events.as_ref(), &subject);
        retrying(self.how.retry, self.events.as_ref(), || async {
            let stream = endpoint.blob(promise.repository, &descriptor, 0).await?;
            let stream = verified(stream, &descriptor, subject.clone());
            let (mut stream, moved) = counted(stream, self.events.clone());
            while let Some(piece) = stream.next().await {
                piece?;
            }
            moved.keep(i64::MAX);
            Ok(())
        })
        .await
    }

    /// Returns what is wrong with a tag.
    async fn tag(
        &self,
        place: &(Repository, Tag),
        image: &ImageRecord,
    ) -> Result<Option<String>, ContentError> {
        let found = self.destination.endpoint.resolve_tag(&place.0, &place.1).await?;
        Ok(match found {
            None => Some("is not there".to_owned()),
            Some(found) if found.digest == image.digest => None,
            Some(found) => Some(format!("points at `{}`", found.digest)),
        })
    }

    fn missing(&self, users: &Users<'_>, promise: &Promise<'_>, what: String) -> Missing {
        let images = users.of_content(promise.repository, promise.digest);
        let kinds = images.iter().map(|image| image.kind.as_str());
        let exit_code = exit_code_of(kinds);
        let is_lost = what == "is not there";
        let mend = match is_lost {
            true => mend(Some(promise.sequence), self.chain.sequence()),
            false => format!(
                "delete `{}` from the storage of the registry, as it keeps what it has; then {}",
                promise.digest,
                mend(Some(promise.sequence), self.chain.sequence())
            ),
        };
        let mut names: Vec<String> = images.into_iter().map(|image| image.origin.clone()).collect();
        names.sort();
        names.dedup();
        Missing {
            part: if promise.is_manifest() { Part::Manifest } else { Part::Blob },
            repository: promise.repository.clone(),
            digest: promise.digest.clone(),
            tag: None,
            what,
            sequence: Some(promise.sequence),
            images: names,
            mend,
            exit_code,
        }
    }
}

/// Says what to do about something that an imageset brought.
fn mend(sequence: Option<u64>, last: u64) -> String {
    let (brought, since) = match sequence {
        Some(sequence) => (sequence, sequence.saturating_sub(1)),
        None => (last, 0),
    };
    format!(
        "publish imageset {brought} again with --repair; if it is no longer at hand, make one with --since {since} on the connected \
         side, and publish that one with --repair"
    )
}

/// Who needs what at a target.
struct Users<'a> {
    /// The images by what they consist of.
    images: BTreeMap<(&'a Repository, &'a Digest), Vec<&'a ImageRecord>>,
    /// What each tag is to point at: the newest image of that name.
    tags: BTreeMap<(Repository, Tag), &'a ImageRecord>,
    /// Lists of referrers. A registry with an API for them need not have any, and others put theirs into them.
    lists: BTreeSet<(&'a Repository, &'a Digest)>,
}

impl<'a> Users<'a> {
    fn of(chain: &'a Chain) -> Self {
        let mut users = Self { images: BTreeMap::new(), tags: BTreeMap::new(), lists: BTreeSet::new() };
        // Every imageset lists all images of its configuration.
        let (mut seen, mut lists) = (BTreeSet::new(), BTreeSet::new());
        for image in chain.images() {
            let place = (image.destination.repository.clone(), image.destination.tag.clone());
            let repository = &image.destination.repository;
            if seen.insert((repository, &image.digest, &image.origin)) {
                let record = chain.blobs.get(&image.digest);
                for digest in record.iter().flat_map(|record| &record.holds).chain([&image.digest]) {
                    users.images.entry((repository, digest)).or_default().push(image);
                }
            }
            if image.kind == kind::REFERRERS {
                users.lists.insert((repository, &image.digest));
                lists.insert(place);
            } else {
                users.tags.insert(place, image);
            }
        }
        // A list may take over the tag of an image.
        users.tags.retain(|place, _| !lists.contains(place));
        users
    }

    fn of_content(&self, repository: &Repository, digest: &Digest) -> Vec<&'a ImageRecord> {
        self.images.get(&(repository, digest)).cloned().unwrap_or_default()
    }
}
