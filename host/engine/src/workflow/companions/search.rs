//! Looks for companions: [`Companions`] asks about each manifest of a repository once in a run.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::{StreamExt, TryStreamExt, stream};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, Descriptors, RawManifest};
use oc_mirror_model::media_type;
use oc_mirror_model::reference::{LayoutReference, Reference, Repository, Selector, Source, Tag};
use oc_mirror_model::referrers;
use oc_mirror_model::request::{ImageRequest, kind};
use tokio::sync::OnceCell;

use super::super::images::{Origin, RunImages};
use super::super::resolve::{ResolvedImage, resolve_companion};
use crate::content::memory::Memory;
use crate::content::{ContentError, ContentErrorKind, ContentWrite};
use crate::report::{Event, SharedEvents};

/// How far companions of companions are followed: a signature of a bill of materials is at 2.
const MAX_DEPTH: usize = 3;
/// The most referrers of one manifest: real ones have a handful.
const MAX_REFERRERS: usize = 1000;
/// How many referrers of one manifest are read at once.
const AT_ONCE: usize = 4;
/// Tags of a repository are listed if there are no more: one request then answers for all companions there. Of a repository
/// with more of them, each is asked for by itself.
const MOST_TAGS: usize = 100;
/// So many repositories of a registry that keep no lists of referrers speak for all of it.
const ENOUGH: usize = 3;

/// What cosign tags beside an image, by the end of the tag.
const ATTACHED: [(&str, &str); 3] =
    [(kind::SIGNATURE, "sig"), (kind::ATTESTATION, "att"), (kind::SBOM, "sbom")];

/// Something about a manifest, in the manifest's own repository.
pub(super) struct Companion {
    pub(super) kind: &'static str,
    pub(super) tag: Tag,
    pub(super) root: Descriptor,
    /// Children first, the root last.
    pub(super) manifests: Descriptors,
    pub(super) blobs: Descriptors,
    pub(super) origin: Arc<Origin>,
    /// Where a list of referrers is that was made here.
    pub(super) made: Option<Origin>,
    /// What a list of referrers names.
    pub(super) listed: Vec<Digest>,
    /// Whether the source has a list under its tag.
    pub(super) tagged: bool,
}

impl Companion {
    /// Returns the manifests that may have companions in turn. Signatures are not signed, and nobody refers to a list.
    pub(super) fn subjects(&self) -> Vec<Digest> {
        match self.kind {
            kind::SIGNATURE => Vec::new(),
            kind::REFERRERS => self.listed.clone(),
            _ => self.manifests.iter().map(|m| m.digest.clone()).collect(),
        }
    }
}

/// What was found about one manifest.
type Outcome = Result<Vec<Companion>, ContentError>;

/// A repository of a registry, or an image layout.
pub(super) struct Home {
    key: String,
    /// An image of it.
    source: Source,
    origin: Arc<Origin>,
    /// Whether it keeps lists of referrers; nothing as long as nobody asked.
    lists: tokio::sync::Mutex<Option<bool>>,
    /// Its tags, where they could be listed.
    tags: OnceCell<Option<HashSet<Tag>>>,
    /// How many repositories of its registry keep no lists.
    without_lists: Arc<AtomicUsize>,
}

/// Looks for companions, and remembers what it found.
pub(in super::super) struct Companions<'a> {
    images: &'a RunImages,
    events: SharedEvents,
    parallel: usize,
    homes: Mutex<HashMap<String, Arc<Home>>>,
    /// By registry, how many of its repositories keep no lists of referrers.
    without_lists: Mutex<HashMap<String, Arc<AtomicUsize>>>,
    /// By [`question`]. Nothing: there is nothing about it, as there is about most.
    found: Mutex<HashMap<Digest, Option<Arc<Outcome>>>>,
    /// Lists that were made, since a registry has them in its API only.
    made: Arc<Memory>,
}

impl<'a> Companions<'a> {
    /// Makes a search that asks `parallel` times at once.
    pub(in super::super) fn new(images: &'a RunImages, events: SharedEvents, parallel: usize) -> Self {
        Self {
            images,
            events,
            parallel: parallel.max(1),
            homes: Mutex::default(),
            without_lists: Mutex::default(),
            found: Mutex::default(),
            made: Arc::default(),
        }
    }

    /// Says what follows, and of how many manifests.
    pub(super) fn begin(&self, images: &[ResolvedImage], scratch: &Path) {
        let mut asked = HashSet::new();
        for image in images {
            let Some(home) = home_key(image, scratch) else { continue };
            let unknown = image.entry.manifests.iter().filter(|m| !self.is_known(&home, &m.digest));
            asked.extend(unknown.map(|manifest| question(&home, &manifest.digest)));
        }
        if !asked.is_empty() {
            let items = Some(asked.len() as u64);
            self.events.event(Event::Phase { name: "looking for signatures", items, bytes: None });
        }
    }

    /// Forgets repositories if there are more than `most`. What was found in them stays.
    pub(super) fn leave(&self, most: usize) {
        let mut homes = self.homes.lock().expect("no holder of this lock panics");
        if homes.len() > most {
            *homes = HashMap::new();
        }
    }

    /// Returns where an image is from; nothing if it was built in `scratch`.
    pub(super) fn home_of(&self, image: &ResolvedImage, scratch: &Path) -> Option<Arc<Home>> {
        let (source, repository) = place_of(image, scratch)?;
        let key = key_of(&source, &repository);
        let mut homes = self.homes.lock().expect("no holder of this lock panics");
        let home = homes.entry(key.clone()).or_insert_with(|| {
            let origin = Arc::new(Origin { repository, ..(*image.origin).clone() });
            let without_lists = self.without_lists_at(&source);
            let (lists, tags) = Default::default();
            Arc::new(Home { key, source, origin, lists, tags, without_lists })
        });
        Some(home.clone())
    }

    /// Layouts answer for themselves.
    fn without_lists_at(&self, source: &Source) -> Arc<AtomicUsize> {
        let Source::Registry(reference) = source else { return Arc::default() };
        let mut counts = self.without_lists.lock().expect("no holder of this lock panics");
        counts.entry(reference.registry.to_string()).or_default().clone()
    }

    /// Finds what a tag points at.
    async fn find(&self, home: &Home, tag: &Tag) -> Result<Option<Descriptor>, ContentError> {
        let tags = home.tags.get_or_init(|| home.list_tags()).await;
        match tags {
            Some(tags) if !tags.contains(tag) => Ok(None),
            _ => home.find(tag).await,
        }
    }

    /// Returns what was found about a manifest.
    pub(super) fn found(&self, home: &str, digest: &Digest) -> Option<Arc<Outcome>> {
        let found = self.found.lock().expect("no holder of this lock panics");
        found.get(&question(home, digest)).cloned().flatten()
    }

    /// Answers whether a manifest was asked about.
    fn is_known(&self, home: &str, digest: &Digest) -> bool {
        self.found.lock().expect("no holder of this lock panics").contains_key(&question(home, digest))
    }

    /// Asks about manifests, and about what is found.
    pub(super) async fn search(&self, wanted: Vec<(Arc<Home>, Digest)>) {
        let mut wanted = wanted;
        for _ in 0..MAX_DEPTH {
            let mut asked = HashSet::new();
            wanted.retain(|(home, digest)| {
                !self.is_known(&home.key, digest) && asked.insert(question(&home.key, digest))
            });
            let found: Vec<_> = stream::iter(wanted)
                .map(|(home, digest)| async move {
                    let outcome = self.about(&home, &digest).await;
                    let is_nothing = outcome.as_ref().is_ok_and(Vec::is_empty);
                    (home, digest, (!is_nothing).then(|| Arc::new(outcome)))
                })
                .buffered(self.parallel)
                .collect()
                .await;
            wanted = Vec::new();
            for (home, digest, outcome) in found {
                let companions = outcome.as_deref().and_then(|outcome| outcome.as_ref().ok());
                let subjects = companions.into_iter().flatten().flat_map(Companion::subjects);
                wanted.extend(subjects.map(|subject| (home.clone(), subject)));
                let key = question(&home.key, &digest);
                self.found.lock().expect("no holder of this lock panics").insert(key, outcome);
            }
        }
    }

    /// Asks about one manifest, all questions at once.
    async fn about(&self, home: &Home, digest: &Digest) -> Outcome {
        let attached = ATTACHED.map(|(kind, suffix)| self.attached(home, digest, kind, suffix));
        let attached = futures_util::future::try_join_all(attached);
        let (attached, referrers) =
            futures_util::future::try_join(attached, self.referrers(home, digest)).await?;
        self.events.event(Event::ItemDone { name: &home.key });
        Ok(attached.into_iter().chain([referrers]).flatten().collect())
    }

    async fn attached(
        &self,
        home: &Home,
        digest: &Digest,
        kind: &'static str,
        suffix: &str,
    ) -> Result<Option<Companion>, ContentError> {
        let Some(tag) = Tag::of_attachment(digest, suffix) else { return Ok(None) };
        let Some(there) = self.find(home, &tag).await? else { return Ok(None) };
        let Some(image) = self.resolved(home, &there.digest).await? else { return Ok(None) };
        Ok(Some(Companion {
            kind,
            tag,
            root: image.entry.root,
            manifests: image.entry.manifests,
            blobs: image.entry.blobs,
            origin: home.origin.clone(),
            made: None,
            listed: Vec::new(),
            tagged: false,
        }))
    }

    async fn referrers(&self, home: &Home, subject: &Digest) -> Result<Option<Companion>, ContentError> {
        let tag = Tag::of_referrers(subject);
        let list = self.list_by_tag(home, subject, &tag).await?;
        let by_tag = list.as_ref().and_then(|l| l.index()).map(|i| i.manifests.clone()).unwrap_or_default();
        let mut named = by_tag.clone();
        for descriptor in home.list(subject).await?.unwrap_or_default() {
            if named.iter().all(|known| known.digest != descriptor.digest) {
                named.push(descriptor);
            }
        }
        let (count, only_tag) = (named.len(), named.len() == by_tag.len());
        if count > MAX_REFERRERS {
            let reason = format!("more than {MAX_REFERRERS} manifests refer to it");
            return Err(ContentError::new(home.name(&tag), ContentErrorKind::Invalid(reason)));
        }
        let there: Vec<(Descriptor, ResolvedImage)> = stream::iter(named)
            .map(|descriptor| self.referrer(home, subject, descriptor))
            .buffered(AT_ONCE)
            .try_filter_map(|found| std::future::ready(Ok(found)))
            .try_collect()
            .await?;
        if there.is_empty() {
            return Ok(None);
        }
        let tagged = list.is_some();
        let (root, made) = match list.filter(|_| only_tag && there.len() == count) {
            Some(list) => (list.descriptor().clone(), None),
            None => self.make_list(home, &tag, there.iter().map(|(d, _)| d.clone()).collect()).await?,
        };
        let (mut manifests, mut blobs) = (Vec::new(), Vec::new());
        let mut listed: Vec<Digest> = there.iter().map(|(d, _)| d.digest.clone()).collect();
        listed.sort();
        for (_, image) in &there {
            add(&mut manifests, &image.entry.manifests);
            add(&mut blobs, &image.entry.blobs);
        }
        manifests.push(root.clone());
        Ok(Some(Companion {
            kind: kind::REFERRERS,
            tag,
            manifests: manifests.into(),
            blobs: blobs.into(),
            origin: home.origin.clone(),
            made,
            listed,
            tagged,
            root,
        }))
    }

    /// Opens what a list names; nothing, and a warning, if it is not there: a list may be out of date.
    async fn referrer(
        &self,
        home: &Home,
        subject: &Digest,
        descriptor: Descriptor,
    ) -> Result<Option<(Descriptor, ResolvedImage)>, ContentError> {
        let Some(image) = self.resolved(home, &descriptor.digest).await? else {
            let message = format!("`{}` is in its list of referrers, but is not there", descriptor.digest);
            let list = home.name(&Tag::of_referrers(subject));
            self.events.event(Event::Warning { subject: &list, message: &message });
            return Ok(None);
        };
        Ok(Some((Descriptor { size: image.entry.root.size, ..descriptor }, image)))
    }

    /// Reads the list that a source has under its tag. An image that was mirrored by its digest alone bears the same tag.
    async fn list_by_tag(
        &self,
        home: &Home,
        subject: &Digest,
        tag: &Tag,
    ) -> Result<Option<Arc<RawManifest>>, ContentError> {
        let there = self.find(home, tag).await?;
        let is_list = |d: &Descriptor| d.digest != *subject && d.media_type == media_type::OCI_INDEX;
        let Some(there) = there.filter(is_list) else { return Ok(None) };
        match self.images.manifest(&home.origin, &there.digest).await {
            Ok(list) => Ok(Some(list)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn make_list(
        &self,
        home: &Home,
        tag: &Tag,
        referrers: Vec<Descriptor>,
    ) -> Result<(Descriptor, Option<Origin>), ContentError> {
        let list = referrers::list(referrers).map_err(|error| {
            let reason = "the list of its referrers cannot be made".to_owned();
            ContentError::with_source(home.name(tag), ContentErrorKind::Invalid(reason), error)
        })?;
        self.made.put_manifest(&home.origin.repository, &list).await?;
        let origin = Origin {
            read: self.made.clone(),
            repository: home.origin.repository.clone(),
            selector: Selector::Digest(list.digest().clone()),
        };
        Ok((list.descriptor().clone(), Some(origin)))
    }

    /// Finds out what a companion consists of; nothing if it is not there after all.
    async fn resolved(&self, home: &Home, digest: &Digest) -> Result<Option<ResolvedImage>, ContentError> {
        let source = match &home.source {
            Source::Registry(reference) => Source::Registry(reference.pinned(digest)),
            Source::Layout(layout) => {
                Source::Layout(LayoutReference { name: None, digest: Some(digest.clone()), ..layout.clone() })
            }
        };
        let request = ImageRequest {
            source: source.to_string(),
            origin: source.to_string(),
            kind: String::new(),
            // It is put where its subject goes, once that is known.
            target_repository: Some(home.origin.repository.clone()),
            target_tag: Some(Tag::for_digest(digest)),
            platforms: Vec::new(),
            with_referrers: false,
            provenance: Default::default(),
        };
        match resolve_companion(self.images, request).await {
            Ok(image) => Ok(Some(image)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Home {
    fn name(&self, tag: &Tag) -> String {
        beside(&self.source, tag).to_string()
    }

    /// Lists the tags; nothing where there are too many, or they cannot be listed.
    async fn list_tags(&self) -> Option<HashSet<Tag>> {
        let Source::Registry(reference) = &self.source else { return None };
        let tags = self.origin.read.some_tags(&self.origin.repository, MOST_TAGS).await.ok()??;
        let all: HashSet<Tag> = (tags.len() < MOST_TAGS).then(|| tags.into_iter().collect())?;
        // A list without the tag that the image has just been found under is not one to rely on.
        let is_whole = reference.tag.as_ref().is_none_or(|tag| all.contains(tag));
        is_whole.then_some(all)
    }

    async fn find(&self, tag: &Tag) -> Result<Option<Descriptor>, ContentError> {
        self.origin.read.find(&self.origin.repository, &Selector::Tag(tag.clone())).await
    }

    /// Asks for the list that the place keeps itself. A repository that keeps none is not asked again, nor are others of the
    /// registry once a few keep none; the first answer is waited for, so that many questions at once do not all find that
    /// out.
    async fn list(&self, subject: &Digest) -> Result<Option<Vec<Descriptor>>, ContentError> {
        let ask = || self.origin.read.list_referrers(&self.origin.repository, subject);
        let mut lists = self.lists.lock().await;
        match *lists {
            Some(false) => Ok(None),
            Some(true) => {
                drop(lists);
                ask().await
            }
            None if self.without_lists.load(Ordering::Relaxed) >= ENOUGH => Ok(None),
            None => {
                let list = ask().await?;
                *lists = Some(list.is_some());
                match list {
                    Some(_) => self.without_lists.store(0, Ordering::Relaxed),
                    None => drop(self.without_lists.fetch_add(1, Ordering::Relaxed)),
                }
                Ok(list)
            }
        }
    }
}

/// Returns the place and the repository that an image is from; nothing if it was built in `scratch`.
fn place_of(image: &ResolvedImage, scratch: &Path) -> Option<(Source, Repository)> {
    let source = image.entry.request.parsed_source().ok()?;
    let repository = match &source {
        Source::Registry(reference) => reference.repository.clone(),
        Source::Layout(layout) if layout.path.starts_with(scratch) => return None,
        Source::Layout(layout) => repository_of(layout).unwrap_or_else(|| image.origin.repository.clone()),
    };
    Some((source, repository))
}

/// Returns the name of the repository or layout that an image is from, by which it is found again.
pub(super) fn home_key(image: &ResolvedImage, scratch: &Path) -> Option<String> {
    place_of(image, scratch).map(|(source, repository)| key_of(&source, &repository))
}

fn key_of(source: &Source, repository: &Repository) -> String {
    match source {
        Source::Registry(Reference { registry, .. }) => format!("{registry}/{repository}"),
        Source::Layout(layout) => format!("oci:{}:{repository}", layout.path.display()),
    }
}

/// Returns what is asked once: a manifest of a repository, in few bytes.
fn question(home: &str, digest: &Digest) -> Digest {
    Digest::of(format!("{home} {digest}").as_bytes())
}

/// Returns the name of what lies beside an image under a tag.
pub(super) fn beside(image: &Source, tag: &Tag) -> Source {
    match image {
        Source::Registry(reference) => {
            Source::Registry(Reference { tag: Some(tag.clone()), digest: None, ..reference.clone() })
        }
        Source::Layout(layout) => {
            let name = match repository_of(layout) {
                Some(repository) => format!("{repository}:{tag}"),
                None => tag.to_string(),
            };
            Source::Layout(LayoutReference { name: Some(name), digest: None, ..layout.clone() })
        }
    }
}

/// Returns the repository of an image in a layout whose images are named `<repository>:<tag>`.
fn repository_of(layout: &LayoutReference) -> Option<Repository> {
    layout.name.as_ref()?.rsplit_once(':')?.0.parse().ok()
}

fn add(to: &mut Vec<Descriptor>, more: &[Descriptor]) {
    for descriptor in more {
        if to.iter().all(|known| known.digest != descriptor.digest) {
            to.push(descriptor.clone());
        }
    }
}
