//! [`Mirrored`]: a registry that is read through what `registries.conf` says about it. Whoever reads cannot tell.
//!
//! Places are asked in order, and the next one is asked whatever is wrong with the one before, as containers/image does it.
//! What belongs to an image comes from where its manifest was found: its blobs, unless that place turns out not to
//! have them, and what is beside it, its signatures, in any case.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, Manifest, RawManifest};
use oc_mirror_model::reference::{Reference, Registry, Repository, Selector, Tag};

use super::network::Clients;
use super::prepare::chain_of;
use crate::content::verify::verified;
use crate::content::{BlobStream, ContentError, ContentErrorKind, ContentRead};
use crate::registry::Client;
use crate::registry::conf::{Place, RegistriesConf};
use crate::report::Event;

/// A registry as it is named, and the places that stand in for it.
pub(super) struct Mirrored {
    registry: Registry,
    conf: Arc<RegistriesConf>,
    clients: Arc<Clients>,
    /// Where manifests were found, and so where what they name is looked for first.
    found: Mutex<HashMap<(Repository, Digest), Arc<Place>>>,
    /// Blobs that did not arrive whole from a place.
    broken: Arc<Mutex<HashSet<Broken>>>,
}

type Broken = (Digest, Reference);

/// What a place answers; nothing if it does not have what it was asked for.
type Answer<'q, T> = BoxFuture<'q, Result<Option<T>, ContentError>>;

/// What became of asking one place.
struct Attempt {
    order: usize,
    place: Arc<Place>,
    error: ContentError,
}

/// What the other places said, when the last one failed as well.
#[derive(Debug)]
struct MirrorsFailed(Vec<String>);

impl fmt::Display for MirrorsFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "and before: {}", self.0.join("; "))
    }
}

impl std::error::Error for MirrorsFailed {}

impl Mirrored {
    pub(super) fn new(registry: Registry, conf: Arc<RegistriesConf>, clients: Arc<Clients>) -> Self {
        Self { registry, conf, clients, found: Mutex::default(), broken: Arc::default() }
    }

    /// Lists tags: those of the first place that has the repository. Mirrors for digests only have none to offer.
    pub(super) async fn tags(
        &self,
        repository: &Repository,
        after: Option<&Tag>,
        limit: usize,
    ) -> Result<Vec<Tag>, ContentError> {
        let name = self.name_of(repository, None);
        let (_, tags) = self
            .first(&name, self.places(&name)?, |client, place| {
                Box::pin(async move {
                    client.tags(&place.reference.repository, after, Some(limit)).await.map(Some)
                })
            })
            .await?;
        Ok(tags)
    }

    /// Lists what refers to a manifest, where that was found.
    pub(super) async fn referrers(
        &self,
        repository: &Repository,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, ContentError> {
        let Some(place) = self.place_of(repository, digest).await? else { return Ok(Vec::new()) };
        let client = self.clients.of(&place)?;
        client.referrers(&place.reference.repository, digest, artifact_type).await
    }

    fn name_of(&self, repository: &Repository, selector: Option<&Selector>) -> Reference {
        let (tag, digest) = match selector {
            Some(Selector::Tag(tag)) => (Some(tag.clone()), None),
            Some(Selector::Digest(digest)) => (None, Some(digest.clone())),
            None => (None, None),
        };
        Reference { registry: self.registry.clone(), repository: repository.clone(), tag, digest }
    }

    fn places(&self, name: &Reference) -> Result<Vec<Arc<Place>>, ContentError> {
        let places = self.conf.places(name).map_err(|error| {
            let reason = "`registries.conf` leads nowhere".to_owned();
            ContentError::with_source(name.to_string(), ContentErrorKind::Invalid(reason), error)
        })?;
        Ok(places.into_iter().map(Arc::new).collect())
    }

    fn known_place(&self, repository: &Repository, digest: &Digest) -> Option<Arc<Place>> {
        let found = self.found.lock().expect("no holder of this lock panics");
        found.get(&(repository.clone(), digest.clone())).cloned()
    }

    /// Returns where a manifest is; nothing if it is nowhere.
    async fn place_of(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<Arc<Place>>, ContentError> {
        if let Some(place) = self.known_place(repository, digest) {
            return Ok(Some(place));
        }
        let name = self.name_of(repository, Some(&Selector::Digest(digest.clone())));
        self.look(repository, &name, self.places(&name)?).await?;
        Ok(self.known_place(repository, digest))
    }

    /// Returns the places for a manifest. What is beside an image is only where that is.
    async fn places_for(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<Vec<Arc<Place>>, ContentError> {
        let name = self.name_of(repository, Some(selector));
        match selector {
            Selector::Tag(tag) => {
                if let Some(subject) = subject_of(tag)
                    && let Some(place) = self.place_of(repository, &subject).await?
                {
                    return Ok(vec![Arc::new(at(&place, selector))]);
                }
                self.places(&name)
            }
            Selector::Digest(digest) => {
                let places = self.places(&name)?;
                Ok(match self.known_place(repository, digest) {
                    Some(place) => first_of_all(at(&place, selector), places),
                    None => places,
                })
            }
        }
    }

    /// Finds out what a name points at, and notes where.
    async fn look(
        &self,
        repository: &Repository,
        name: &Reference,
        places: Vec<Arc<Place>>,
    ) -> Result<Option<Descriptor>, ContentError> {
        let asked = self.first(name, places, |client, place| {
            Box::pin(
                async move { client.find(&place.reference.repository, &place.reference.selector()).await },
            )
        });
        match asked.await {
            Ok((place, descriptor)) => {
                self.note(repository, &place, [&descriptor.digest]);
                Ok(Some(descriptor))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks one place after the other, and returns which one had it.
    ///
    /// A place that cannot be reached is not waited for as long as there are others; only when none of them has an answer
    /// it is tried as often as the settings allow.
    async fn first<'q, T>(
        &self,
        name: &Reference,
        places: Vec<Arc<Place>>,
        ask: impl Fn(Arc<Client>, Arc<Place>) -> Answer<'q, T> + Send + Sync,
    ) -> Result<(Arc<Place>, T), ContentError> {
        let is_only = places.len() == 1;
        let mut failed: Vec<Attempt> = Vec::new();
        let mut later = Vec::new();
        for (order, place) in places.into_iter().enumerate() {
            let error = match self.client_now(&place, is_only).await {
                Ok(Some(client)) => match ask(client, place.clone()).await {
                    Ok(Some(answer)) => return Ok((place, answer)),
                    Ok(None) => not_found(&place),
                    Err(error) => error,
                },
                Ok(None) => {
                    later.push((order, place));
                    continue;
                }
                Err(error) => error,
            };
            if *error.kind() == ContentErrorKind::Cancelled {
                return Err(error);
            }
            if !is_only {
                self.clients.note_failure(name, &place, &error);
            }
            failed.push(Attempt { order, place, error });
        }
        for (order, place) in later {
            let client = self.clients.of(&place)?;
            let error = match ask(client, place.clone()).await {
                Ok(Some(answer)) => {
                    self.clients.note_success(&place);
                    return Ok((place, answer));
                }
                Ok(None) => not_found(&place),
                Err(error) => error,
            };
            failed.push(Attempt { order, place, error });
        }
        failed.sort_by_key(|attempt| attempt.order);
        Err(combined(name, failed))
    }

    /// Returns the client of a place; nothing if it is known not to answer and there are others.
    async fn client_now(&self, place: &Place, is_only: bool) -> Result<Option<Arc<Client>>, ContentError> {
        let client = self.clients.of(place)?;
        if is_only {
            return Ok(Some(client));
        }
        if self.clients.is_down(place) {
            return Ok(None);
        }
        match client.ping_once().await {
            Ok(()) => Ok(Some(client)),
            Err(error) => {
                self.clients.note_down(place, &error);
                Ok(None)
            }
        }
    }

    fn note<'d>(
        &self,
        repository: &Repository,
        place: &Arc<Place>,
        digests: impl IntoIterator<Item = &'d Digest>,
    ) {
        let mut found = self.found.lock().expect("no holder of this lock panics");
        for digest in digests {
            found.entry((repository.clone(), digest.clone())).or_insert_with(|| place.clone());
        }
    }
}

fn not_found(place: &Place) -> ContentError {
    ContentError::new(place.reference.to_string(), ContentErrorKind::NotFound)
}

/// Returns a place with something else of its repository.
fn at(place: &Place, selector: &Selector) -> Place {
    let (tag, digest) = match selector {
        Selector::Tag(tag) => (Some(tag.clone()), None),
        Selector::Digest(digest) => (None, Some(digest.clone())),
    };
    Place { reference: Reference { tag, digest, ..place.reference.clone() }, ..place.clone() }
}

fn first_of_all(first: Place, places: Vec<Arc<Place>>) -> Vec<Arc<Place>> {
    let others = places.into_iter().filter(|p| p.reference.name() != first.reference.name());
    let others: Vec<_> = others.collect();
    std::iter::once(Arc::new(first)).chain(others).collect()
}

/// Returns the manifest that something is about which is tagged as cosign and the referrers' stand-in do it.
fn subject_of(tag: &Tag) -> Option<Digest> {
    let (algorithm, rest) = tag.as_str().split_once('-')?;
    let hex = rest.split('.').next()?;
    format!("{algorithm}:{hex}").parse().ok()
}

/// Makes one error of all: that of the last place which had a say, with what the others said.
fn combined(name: &Reference, mut failed: Vec<Attempt>) -> ContentError {
    let had_a_say = failed.iter().rposition(|attempt| attempt.place.blocked.is_none());
    let primary = failed.remove(had_a_say.unwrap_or(failed.len() - 1));
    if failed.is_empty() {
        return primary.error;
    }
    let told = failed.iter().map(|attempt| chain_of(&attempt.error)).collect();
    let subject = match primary.place.reference.name() == name.name() {
        true => name.to_string(),
        false => format!("{name}, at {}", primary.place.reference),
    };
    let made = ContentError::with_source(subject, primary.error.kind().clone(), MirrorsFailed(told));
    if primary.error.is_exhausted() { made.exhausted() } else { made }
}

#[async_trait]
impl ContentRead for Mirrored {
    fn name(&self) -> String {
        format!("registry {}", self.registry)
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<RawManifest, ContentError> {
        let name = self.name_of(repository, Some(selector));
        let places = self.places_for(repository, selector).await?;
        let (place, manifest) = self
            .first(&name, places, |client, place| {
                Box::pin(async move {
                    let Reference { repository, .. } = &place.reference;
                    client.manifest(repository, &place.reference.selector()).await.map(Some)
                })
            })
            .await?;
        let named: Vec<&Digest> = match manifest.view() {
            Manifest::Image(image) => image.blobs().map(|blob| &blob.digest).collect(),
            Manifest::Index(index) => index.manifests.iter().map(|child| &child.digest).collect(),
        };
        self.note(repository, &place, named.into_iter().chain([manifest.digest()]));
        if place.reference.name() != name.name() {
            let (subject, place) = (name.to_string(), place.reference.to_string());
            self.clients.events().event(Event::FoundAt { subject: &subject, place: &place });
        }
        Ok(manifest)
    }

    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        let selector = Selector::Digest(blob.digest.clone());
        let name = self.name_of(repository, Some(&selector));
        let mut places = self.places_for(repository, &selector).await?;
        {
            let broken = self.broken.lock().expect("no holder of this lock panics");
            places.sort_by_key(|place| broken.contains(&(blob.digest.clone(), place.reference.clone())));
        }
        let has_others = places.len() > 1;
        let (place, stream) = self
            .first(&name, places, |client, place| {
                Box::pin(
                    async move { client.blob(&place.reference.repository, blob, offset).await.map(Some) },
                )
            })
            .await?;
        if !has_others {
            return Ok(stream);
        }
        // Others check it too, but cannot tell from where wrong bytes came. Here the next attempt goes elsewhere.
        let stream = match offset {
            0 => verified(stream, blob, place.reference.to_string()),
            _ => stream,
        };
        let mark = (blob.digest.clone(), place.reference.clone());
        Ok(Box::pin(Watched { stream, mark: Some(mark), broken: self.broken.clone() }))
    }

    async fn find(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<Option<Descriptor>, ContentError> {
        let places = self.places_for(repository, selector).await?;
        self.look(repository, &self.name_of(repository, Some(selector)), places).await
    }

    fn found_at(&self, repository: &Repository, digest: &Digest) -> Option<String> {
        let place = self.known_place(repository, digest)?;
        let name = self.name_of(repository, None).name();
        (place.reference.name() != name).then(|| format!("{}@{digest}", place.reference.name()))
    }

    async fn list_referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, ContentError> {
        let Some(place) = self.place_of(repository, subject).await? else { return Ok(None) };
        self.clients.of(&place)?.list_referrers(&place.reference.repository, subject).await
    }
}

/// Notes when a blob does not arrive whole.
struct Watched {
    stream: BlobStream,
    mark: Option<Broken>,
    broken: Arc<Mutex<HashSet<Broken>>>,
}

impl Stream for Watched {
    type Item = Result<Bytes, ContentError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.stream.poll_next_unpin(cx);
        if let Poll::Ready(Some(Err(_))) = &polled
            && let Some(mark) = self.mark.take()
        {
            self.broken.lock().expect("no holder of this lock panics").insert(mark);
        }
        polled
    }
}
