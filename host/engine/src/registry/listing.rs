//! Lists: tags and referrers, page by page.

use std::collections::HashSet;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, IndexManifest, MAX_MANIFEST_BYTES, RawManifest};
use oc_mirror_model::media_type;
use oc_mirror_model::reference::{Repository, Selector, Tag};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::auth::Scope;
use super::client::Client;
use super::link::next_page;
use super::pull::accept_index;
use super::transport::{Call, Small};
use crate::content::{ContentError, ContentErrorKind, ContentRead};

/// The longest page that is read: 100,000 tags of 128 characters are 13 MB.
const MAX_PAGE_BYTES: u64 = 32 << 20;
/// The most pages that are read: there is no end to a list that somebody makes up.
const MAX_PAGES: usize = 10_000;
/// The most tags of a repository: with 128 characters each they take 150 MB.
pub(super) const MAX_TAGS: usize = 1_000_000;
/// The most manifests that are told to be about another one. Of an image that is signed every night for ten years it is a third.
pub(super) const MAX_REFERRERS: usize = 10_000;
/// The most pages that may bring nothing. Some registries filter a page after they have cut it.
const MAX_EMPTY_PAGES: usize = 100;
/// How many tags are asked for at once: ECR refuses more.
const PAGE: usize = 1000;

#[derive(Deserialize)]
struct TagPage {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Client {
    /// Lists the tags of a repository in order: those after a tag, and at most so many, if that is said.
    ///
    /// Names that are no tags are left out. A registry that knows no pages and no order, as docker-registry 2.8, is sorted here.
    pub async fn tags(
        &self,
        repository: &Repository,
        after: Option<&Tag>,
        limit: Option<usize>,
    ) -> Result<Vec<Tag>, ContentError> {
        let subject = format!("{}/{repository}", self.registry());
        let limit = limit.unwrap_or(usize::MAX);
        let asked = limit.clamp(1, PAGE);
        let mut path = format!("{repository}/tags/list?n={asked}");
        if let Some(after) = after {
            path.push_str(&format!("&last={after}"));
        }
        let mut found: Vec<Tag> = Vec::new();
        let mut pages = Pages::new(self, path, Scope::pull(repository), subject);
        while found.len() < limit
            && let Some(answer) = pages.next(None).await?
        {
            if !answer.status.is_success() {
                return Err(answer.error(&pages.subject));
            }
            let page: TagPage = serde_json::from_slice(&answer.body).map_err(|e| {
                let text = "the list of tags cannot be parsed".to_owned();
                ContentError::with_source(&pages.subject, ContentErrorKind::Invalid(text), e)
            })?;
            let before = found.len();
            found.extend(page.tags.unwrap_or_default().into_iter().filter_map(|t| Tag::try_from(t).ok()));
            pages.has_brought(found.len() - before)?;
            at_most(found.len(), MAX_TAGS, "tags", &pages.subject)?;
        }
        if pages.was_single() {
            // This is all there is. In whose order it came does not matter then, but whether `last` was minded does.
            let unpaged = found.len() > asked || after.is_some_and(|after| found.contains(after));
            found.sort();
            found.retain(|tag| !unpaged || after.is_none_or(|after| tag > after));
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Lists what refers to a manifest: signatures, attestations and the like, of one type if that is said.
    ///
    /// A registry without the referrers API is asked for the tag that stands in for it. Being denied the list is an
    /// error and never an empty list.
    pub async fn referrers(
        &self,
        repository: &Repository,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, ContentError> {
        let mut found = match self.referrers_by_api(repository, digest, artifact_type).await? {
            Some(found) => found,
            None => self.referrers_by_tag(repository, digest).await?,
        };
        found.retain(|d| artifact_type.is_none_or(|wanted| d.artifact_type.as_deref() == Some(wanted)));
        Ok(found)
    }

    /// Asks the referrers API; nothing if the registry has none. The list may hold other types than the one asked for.
    pub(super) async fn referrers_by_api(
        &self,
        repository: &Repository,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Option<Vec<Descriptor>>, ContentError> {
        if self.transport.found().is_without_referrers() {
            return Ok(None);
        }
        let mut path = format!("{repository}/referrers/{digest}");
        if let Some(wanted) = artifact_type {
            path.push_str("?artifactType=");
            path.extend(byte_serialize(wanted.as_bytes()));
        }
        let subject = self.subject(repository, '@', digest);
        let mut pages = Pages::new(self, path, Scope::pull(repository), subject);
        let mut found = Vec::new();
        while let Some(answer) = pages.next(Some(accept_index())).await? {
            match answer.status.as_u16() {
                200 => {
                    let page = referrer_page(&answer, &pages.subject)?;
                    pages.has_brought(page.len())?;
                    found.extend(page);
                    at_most(found.len(), MAX_REFERRERS, "entries", &pages.subject)?;
                }
                // What registries without the API say, in their several ways.
                400 | 404 | 405 | 406 | 501 if found.is_empty() => return Ok(None),
                _ => return Err(answer.error(&pages.subject)),
            }
        }
        Ok(Some(found))
    }

    async fn referrers_by_tag(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Vec<Descriptor>, ContentError> {
        match self.manifest(repository, &Selector::Tag(Tag::of_referrers(digest))).await {
            // An image that was mirrored by its digest alone bears this very tag.
            Ok(manifest) if manifest.digest() == digest => Ok(Vec::new()),
            Ok(manifest) => Ok(manifest.index().map(|i| i.manifests.clone()).unwrap_or_default()),
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// Refuses a list that has become longer than any should be, so that its pages do not fill the memory.
fn at_most(count: usize, most: usize, what: &str, subject: &str) -> Result<(), ContentError> {
    if count <= most {
        return Ok(());
    }
    let text = format!("the list has more than {most} {what}");
    Err(ContentError::new(subject, ContentErrorKind::Invalid(text)))
}

fn referrer_page(answer: &Small, subject: &str) -> Result<Vec<Descriptor>, ContentError> {
    let invalid = |text: &str| ContentError::new(subject, ContentErrorKind::Invalid(text.to_owned()));
    let content_type = answer.header(CONTENT_TYPE.as_str()).unwrap_or_default();
    if content_type.split(';').next().map(str::trim) != Some(media_type::OCI_INDEX) {
        // A web server that answers everything with a page says nothing about referrers.
        return Err(invalid("the list of referrers is not an index"));
    }
    let page = RawManifest::parse(answer.body.to_vec(), Some(media_type::OCI_INDEX)).map_err(|e| {
        let text = "the list of referrers cannot be parsed".to_owned();
        ContentError::with_source(subject, ContentErrorKind::Invalid(text), e)
    })?;
    page.index()
        .map(|IndexManifest { manifests, .. }| manifests.clone())
        .ok_or_else(|| invalid("the list of referrers is not an index"))
}

/// Makes an error about a list that somebody makes up.
fn without_end(subject: &str, what: String) -> ContentError {
    ContentError::new(subject, ContentErrorKind::Invalid(format!("the list {what}, and is not read on")))
}

/// Follows a list from page to page.
struct Pages<'a> {
    client: &'a Client,
    scope: Scope,
    subject: String,
    next: Next,
    seen: HashSet<Url>,
    /// How many pages brought nothing.
    empty: usize,
}

enum Next {
    First(String),
    Page(Url),
    End,
}

impl<'a> Pages<'a> {
    fn new(client: &'a Client, path: String, scope: Scope, subject: String) -> Self {
        Self { client, scope, subject, next: Next::First(path), seen: HashSet::new(), empty: 0 }
    }

    /// Answers whether the first page was the whole list.
    fn was_single(&self) -> bool {
        self.seen.len() <= 1 && matches!(self.next, Next::End)
    }

    /// Is told how much a page had of what is listed.
    fn has_brought(&mut self, count: usize) -> Result<(), ContentError> {
        self.empty += usize::from(count == 0);
        if self.empty > MAX_EMPTY_PAGES {
            return Err(without_end(&self.subject, format!("has more than {MAX_EMPTY_PAGES} empty pages")));
        }
        Ok(())
    }

    async fn next(&mut self, accept: Option<HeaderValue>) -> Result<Option<Small>, ContentError> {
        let mut call = match &self.next {
            Next::First(path) => Call::new(Method::GET, path.as_str(), &self.scope, &self.subject),
            Next::Page(url) => Call::of_url(Method::GET, url, &self.scope, &self.subject),
            Next::End => return Ok(None),
        };
        if self.seen.len() >= MAX_PAGES {
            return Err(without_end(&self.subject, format!("has more than {MAX_PAGES} pages")));
        }
        let cap = if accept.is_some() { MAX_MANIFEST_BYTES } else { MAX_PAGE_BYTES };
        if let Some(accept) = accept {
            call = call.header(reqwest::header::ACCEPT, accept);
        }
        let answer = self.client.transport.small(&call, cap).await?;
        self.seen.insert(answer.url.clone());
        self.next = match next_page(&answer.url, &answer.headers) {
            // A page that has been read leads in circles.
            Some(url) if answer.status.is_success() && !self.seen.contains(&url) => Next::Page(url),
            _ => Next::End,
        };
        Ok(Some(answer))
    }
}
