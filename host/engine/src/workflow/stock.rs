//! What was mirrored before as the source of something smaller: [`Stock`] finds images by their original names in
//! imagesets or in an image layout, and lends what else a run needs: update graphs and signatures of releases.
//!
//! Where it is used ([`FromStock`]), nothing else is asked unless the user allows it. What is in a stock is content of its
//! digest; a catalog that was made smaller is found under the name of the one that it was made of.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::{ImageEntry, Index, UnchangedImage};
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Reference, Repository, Selector, Source, Tag};
use oc_mirror_model::request::kind;

use super::images::{Origin, Origins};
use super::imagesets::Imagesets;
use super::{WorkflowError, WorkflowErrorKind};
use crate::archive::{self, Reader, TrustedKeys};
use crate::content::{BlobStream, ContentError, ContentErrorKind, ContentRead};
use crate::layout::Layout;
use crate::plan::unchanged::{AtHand, in_order};

mod http;
mod signatures;
#[cfg(test)]
mod tests;

pub use http::{GraphServers, StockHttp};

/// Where an imageset keeps what is neither an image nor about one.
const FILES: &str = "files";
/// A file of a layout's directory that is read as a whole may have this size, as in an imageset.
const MAX_FILE: u64 = 64 << 20;

/// Imagesets of one chain, or an image layout, that images are taken from.
pub struct Stock {
    content: Arc<dyn ContentRead>,
    files: Files,
    /// For messages: `the imagesets in DIR`.
    place: String,
    /// The newest first.
    images: Vec<Kept>,
}

enum Files {
    Imagesets(Arc<Together>),
    Directory(PathBuf),
}

/// One image of a stock.
struct Kept {
    /// What it was asked for by, and where it came from.
    names: Vec<String>,
    /// The same, taken apart.
    sources: Vec<Source>,
    kind: String,
    /// Where it is in the stock, unless only its name is.
    spot: Result<Spot, ElsewhereInChain>,
    manifests: Vec<Digest>,
}

/// Where an image is in a stock: what lies beside it bears a tag there.
struct Spot {
    repository: Repository,
    tag: Option<Tag>,
    root: Digest,
}

/// An image is not in the stock, and nothing else may be asked.
#[derive(Debug, thiserror::Error)]
#[error("it is not in {place}, and nothing else is asked")]
pub struct NotInStock {
    place: String,
}

impl NotInStock {
    /// Returns what to do about it.
    pub(super) fn hint(&self) -> &'static str {
        "mirror it where those imagesets are made, or ask registries for what is missing with --online"
    }
}

impl Stock {
    /// Opens a directory or bucket of imagesets, one chunk of an imageset, or an image layout.
    pub async fn open(from: &Imagesets, trusted: &TrustedKeys) -> Result<Self, WorkflowError> {
        if let Imagesets::Path(path) = from {
            if !path.exists() {
                return Err(WorkflowErrorKind::NoImageset { path: from.name() }.into());
            }
            let is_layout = !path.is_file()
                && archive::find_imagesets(path).is_ok_and(|sets| sets.is_empty())
                && path.join("index.json").is_file();
            if is_layout {
                return Self::of_layout(path);
            }
        }
        let place = format!("the imagesets in `{}`", from.name());
        Ok(Self::of_imagesets(Together::open(from, trusted).await?, place))
    }

    fn of_imagesets(imagesets: Together, place: String) -> Self {
        let imagesets = Arc::new(imagesets);
        let images = imagesets.images().into_iter().map(|image| match image {
            Named::Described(image) => {
                let names = vec![image.request.origin.clone(), image.request.source.clone()];
                Kept {
                    sources: names.iter().filter_map(|name| name.parse().ok()).collect(),
                    names,
                    kind: image.request.kind.clone(),
                    spot: Ok(Spot {
                        repository: image.destination.repository.clone(),
                        tag: Some(image.destination.tag.clone()),
                        root: image.root.digest.clone(),
                    }),
                    manifests: image.manifests.iter().map(|m| m.digest.clone()).collect(),
                }
            }
            Named::Elsewhere(image, until) => Kept {
                sources: image.origin.parse().into_iter().collect(),
                names: vec![image.origin.clone()],
                kind: image.kind.clone(),
                spot: Err(ElsewhereInChain::until(until)),
                manifests: Vec::new(),
            },
        });
        Self {
            images: images.collect(),
            place,
            content: imagesets.clone(),
            files: Files::Imagesets(imagesets),
        }
    }

    fn of_layout(from: &Path) -> Result<Self, WorkflowError> {
        let layout = Layout::open(from)?;
        let images = layout.images().into_iter().filter_map(|(name, root)| {
            let name = name?;
            // `HOST/PATH:TAG`, as tools name what they copy, or `PATH:TAG`, as this program does what was pushed to it.
            let source: Option<Source> = name.parse().ok();
            let (path, tag) = name.rsplit_once(':')?;
            let repository = match &source {
                Some(Source::Registry(reference)) => reference.repository.clone(),
                _ => path.parse().ok()?,
            };
            Some(Kept {
                names: vec![name.clone()],
                sources: source.into_iter().collect(),
                kind: String::new(),
                spot: Ok(Spot { repository, tag: tag.parse().ok(), root: root.digest.clone() }),
                manifests: vec![root.digest],
            })
        });
        Ok(Self {
            images: images.collect(),
            place: format!("the image layout `{}`", from.display()),
            content: Arc::new(layout),
            files: Files::Directory(from.join(FILES)),
        })
    }

    /// Returns what it is, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Returns the name of the newest image of the update graph's data, if there is one.
    pub fn graph_image(&self) -> Option<&str> {
        let graph = self.images.iter().find(|image| image.kind == kind::GRAPH)?;
        graph.names.first().map(String::as_str)
    }

    /// Reads a file that went along with the images, named as below `files/`; the newest there is.
    async fn file(&self, path: &str) -> Option<Vec<u8>> {
        match &self.files {
            Files::Imagesets(imagesets) => {
                let path = format!("{FILES}/{path}");
                let has = |reader: &&Reader| reader.files().any(|entry| entry.file() == Some(path.as_str()));
                imagesets.readers.iter().rev().find(has)?.file(&path).await.ok()
            }
            Files::Directory(dir) => {
                let path = dir.join(path);
                let is_small = path.metadata().is_ok_and(|m| m.is_file() && m.len() <= MAX_FILE);
                if is_small { std::fs::read(path).ok() } else { None }
            }
        }
    }

    async fn find(&self, source: &Source) -> Result<Option<Origin>, ContentError> {
        let origin = |spot: &Spot, digest: &Digest| Origin {
            read: self.content.clone(),
            repository: spot.repository.clone(),
            selector: Selector::Digest(digest.clone()),
        };
        let called = self.images.iter().find(|image| image.is_called(source)).map(|image| &image.spot);
        if let Some(Ok(spot)) = called {
            return Ok(Some(origin(spot, &spot.root)));
        }
        let Source::Registry(Reference { repository, digest: Some(digest), .. }) = source else {
            return match called {
                Some(Err(cause)) => {
                    Err(ContentError::with_source(source.to_string(), ContentErrorKind::NotFound, *cause))
                }
                _ => Ok(None),
            };
        };
        // Whatever it is called, it is what was asked for.
        let same = self.images.iter().find(|image| image.manifests.contains(digest));
        if let Some(Ok(spot)) = same.map(|image| &image.spot) {
            return Ok(Some(origin(spot, digest)));
        }
        let selector = Selector::Digest(digest.clone());
        let there = self.content.find(repository, &selector).await?;
        match called {
            Some(Err(cause)) if there.is_none() => {
                Err(ContentError::with_source(source.to_string(), ContentErrorKind::NotFound, *cause))
            }
            _ => {
                let read = self.content.clone();
                Ok(there.map(|_| Origin { read, repository: repository.clone(), selector }))
            }
        }
    }

    fn missing(&self, subject: String) -> ContentError {
        let cause = NotInStock { place: self.place.clone() };
        ContentError::with_source(subject, ContentErrorKind::NotFound, cause)
    }
}

impl Kept {
    /// Answers whether a reference means this image. One with a digest means that digest; only a catalog that was made
    /// smaller has another one than it was asked for by.
    fn is_called(&self, wanted: &Source) -> bool {
        match wanted {
            Source::Layout(_) => self.names.contains(&wanted.to_string()),
            Source::Registry(wanted) => {
                self.sources.iter().any(|source| match source {
                    Source::Registry(known) => {
                        let is_same =
                            known.registry == wanted.registry && known.repository == wanted.repository;
                        is_same
                            && match (&wanted.digest, &known.digest) {
                                (None, _) => {
                                    (known.tag.is_some() || known.digest.is_none())
                                        && tag_of(known) == tag_of(wanted)
                                }
                                (Some(wanted), _)
                                    if self.spot.as_ref().is_ok_and(|spot| *wanted == spot.root) =>
                                {
                                    true
                                }
                                (Some(wanted), Some(known)) => {
                                    (self.kind == kind::CATALOG || self.spot.is_err()) && wanted == known
                                }
                                (Some(_), None) => false,
                            }
                    }
                    Source::Layout(_) => false,
                }) || self.spot.as_ref().is_ok_and(|spot| {
                    (self.is_without_host(spot) && spot.repository == wanted.repository)
                        && wanted.digest.is_none()
                        && spot.tag.as_ref().is_some_and(|tag| tag.as_str() == tag_of(wanted))
                })
            }
        }
    }

    /// Answers whether it bears the name that it has at a target, as what was pushed into a layout does.
    fn is_without_host(&self, spot: &Spot) -> bool {
        let of_target = spot.tag.as_ref().map(|tag| format!("{}:{tag}", spot.repository));
        of_target.is_some_and(|name| self.names == [name])
    }
}

fn tag_of(reference: &Reference) -> &str {
    reference.tag.as_ref().map_or("latest", Tag::as_str)
}

/// Finds images in a stock, and elsewhere only if that is allowed.
pub struct FromStock {
    stock: Arc<Stock>,
    elsewhere: Arc<dyn Origins>,
    may_ask: MayAsk,
}

/// Answers whether an image that is not in the stock may be asked for elsewhere.
pub type MayAsk = Box<dyn Fn(&Reference) -> bool + Send + Sync>;

impl FromStock {
    /// Takes images out of the stock. `elsewhere` is asked for directories on disk, and for what is missing, if it may be.
    pub fn new(stock: Arc<Stock>, elsewhere: Arc<dyn Origins>, may_ask: MayAsk) -> Self {
        Self { stock, elsewhere, may_ask }
    }
}

#[async_trait]
impl Origins for FromStock {
    async fn origin(&self, source: &Source) -> Result<Origin, ContentError> {
        if let Some(origin) = self.stock.find(source).await? {
            return Ok(origin);
        }
        match source {
            Source::Registry(image) if !(self.may_ask)(image) => Err(self.stock.missing(source.to_string())),
            _ => self.elsewhere.origin(source).await,
        }
    }

    async fn tags(
        &self,
        repository: &Reference,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, ContentError> {
        let of = |source: &Source| match source {
            Source::Registry(known)
                if known.registry == repository.registry && known.repository == repository.repository =>
            {
                known.tag.as_ref().map(|tag| tag.as_str().to_owned())
            }
            _ => None,
        };
        let mut tags: Vec<String> =
            self.stock.images.iter().flat_map(|i| &i.sources).filter_map(of).collect();
        if tags.is_empty() && (self.may_ask)(repository) {
            return self.elsewhere.tags(repository, after, limit).await;
        }
        tags.sort();
        tags.dedup();
        tags.retain(|tag| after.is_none_or(|after| tag.as_str() > after));
        tags.truncate(limit);
        Ok(tags)
    }

    async fn referrers(
        &self,
        source: &Source,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, ContentError> {
        let Some(origin) = self.stock.find(source).await? else {
            return match source {
                Source::Registry(image) if !(self.may_ask)(image) => {
                    Err(self.stock.missing(source.to_string()))
                }
                _ => self.elsewhere.referrers(source, digest, artifact_type).await,
            };
        };
        let listed = origin.read.list_referrers(&origin.repository, digest).await?;
        let mut found = match listed {
            Some(found) => found,
            None => {
                let tag = Selector::Tag(Tag::of_referrers(digest));
                match origin.read.manifest(&origin.repository, &tag).await {
                    Ok(list) => list.index().map(|index| index.manifests.clone()).unwrap_or_default(),
                    Err(error) if error.is_not_found() => Vec::new(),
                    Err(error) => return Err(error),
                }
            }
        };
        found.retain(|d| artifact_type.is_none_or(|t| d.artifact_type.as_deref() == Some(t)));
        Ok(found)
    }
}

/// Several imagesets of a chain as one: names are those of the newest that has them, content lies in any.
pub(super) struct Together {
    /// In the order of their sequences.
    readers: Vec<Reader>,
    /// Where images go, and where they are from: what lies beside an image is asked for in the repository it was in. Nothing
    /// where an imageset describes the image that is not at hand.
    tags: HashMap<(Repository, Tag), Option<Digest>>,
}

/// An image of an imageset.
enum Named<'a> {
    /// It is described by one at hand.
    Described(&'a ImageEntry),
    /// It is described by none at hand, but by the one of this sequence or one before.
    Elsewhere(&'a UnchangedImage, u64),
}

/// Something was carried by an imageset that is not at hand.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum ElsewhereInChain {
    #[error("it is in imageset {0}, which is not there")]
    In(u64),
    #[error("it is in imageset {0} or one before, which is not there")]
    Until(u64),
}

impl ElsewhereInChain {
    fn until(sequence: u64) -> Self {
        if sequence == 1 { Self::In(1) } else { Self::Until(sequence) }
    }
}

impl Together {
    /// Opens all imagesets that there are in a place.
    pub(super) async fn open(from: &Imagesets, trusted: &TrustedKeys) -> Result<Self, WorkflowError> {
        let readers = from.open(trusted).await?;
        let mut together = Self { readers, tags: HashMap::new() };
        let mut tags: HashMap<(Repository, Tag), Option<Digest>> = HashMap::new();
        for image in together.images() {
            let (origin, to, root) = match image {
                Named::Described(image) => {
                    let to = image.destination.clone();
                    let root = Some(image.root.digest.clone());
                    (&image.request.origin, Some((to.repository, to.tag)), root)
                }
                Named::Elsewhere(image, _) => (&image.origin, None, None),
            };
            let from = match origin.parse() {
                Ok(Source::Registry(Reference { repository, tag: Some(tag), .. })) => Some((repository, tag)),
                _ => None,
            };
            for name in [to, from].into_iter().flatten() {
                tags.entry(name).or_insert_with(|| root.clone());
            }
        }
        together.tags = tags;
        Ok(together)
    }

    /// Returns what each imageset names, the newest first.
    fn images(&self) -> Vec<Named<'_>> {
        let at_hand = AtHand::of(self.readers.iter().map(Reader::index));
        self.readers.iter().rev().flat_map(|reader| named(reader.index(), &at_hand)).collect()
    }

    /// Returns what the newest imageset names: where it goes, and what it is. What none at hand describes is left out.
    pub(super) fn newest(&self) -> Vec<(Repository, Option<Tag>, Digest)> {
        let at_hand = AtHand::of(self.readers.iter().map(Reader::index));
        let images = self.readers.last().into_iter().flat_map(|reader| named(reader.index(), &at_hand));
        let described = images.filter_map(|image| match image {
            Named::Described(image) => {
                let to = image.destination.clone();
                Some((to.repository, Some(to.tag), image.root.digest.clone()))
            }
            Named::Elsewhere(..) => None,
        });
        described.collect()
    }

    fn holder(&self, digest: &Digest) -> Result<&Reader, ContentError> {
        if let Some(reader) = self.readers.iter().rev().find(|reader| reader.holds(digest)) {
            return Ok(reader);
        }
        let required = self.readers.iter().rev().flat_map(|reader| &reader.index().required);
        let carried = required.into_iter().find(|required| required.descriptor.digest == *digest);
        let subject = digest.to_string();
        Err(match carried {
            Some(required) => {
                let cause = ElsewhereInChain::In(required.sequence);
                ContentError::with_source(subject, ContentErrorKind::NotFound, cause)
            }
            None => ContentError::new(subject, ContentErrorKind::NotFound),
        })
    }
}

#[async_trait]
impl ContentRead for Together {
    fn name(&self) -> String {
        match self.readers.last() {
            Some(reader) => reader.name(),
            None => "no imageset".to_owned(),
        }
    }

    fn is_at_hand(&self, blob: &Descriptor) -> bool {
        self.readers.iter().any(|reader| reader.holds(&blob.digest))
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<RawManifest, ContentError> {
        let digest = match selector {
            Selector::Digest(digest) => digest,
            Selector::Tag(tag) => {
                let known = self.tags.get(&(repository.clone(), tag.clone()));
                known.and_then(Option::as_ref).ok_or_else(|| {
                    ContentError::new(format!("{repository}:{tag}"), ContentErrorKind::NotFound)
                })?
            }
        };
        self.holder(digest)?.manifest(repository, &Selector::Digest(digest.clone())).await
    }

    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        self.holder(&blob.digest)?.blob(repository, blob, offset).await
    }
}

/// Returns what an imageset names, in the order of its configuration.
fn named<'a>(index: &'a Index, at_hand: &AtHand<'a>) -> Vec<Named<'a>> {
    let own = index.unchanged.iter().map(|image| {
        let described = at_hand.get(&image.records).map(Named::Described);
        described.or(Some(Named::Elsewhere(image, index.base)))
    });
    let about = index.unchanged.iter().flat_map(|image| &image.about);
    let about = about.map(|id| at_hand.get(std::slice::from_ref(id)).map(Named::Described));
    let described = index.images.iter().map(|image| Some(Named::Described(image)));
    in_order(index, described, own.chain(about)).into_iter().flatten().collect()
}

/// Makes a body of bytes.
fn body(bytes: Vec<u8>) -> BlobStream {
    Box::pin(futures_util::stream::iter([Ok(Bytes::from(bytes))]))
}
