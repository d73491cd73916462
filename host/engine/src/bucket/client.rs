//! [`Bucket`]: one prefix of one bucket.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, RetryConfig, UpdateVersion,
};
use oc_mirror_model::bucket::BucketUrl;

use super::chain::Credentials;
use super::error::{Fault, content_error};
use super::http::Connector;
use crate::content::{ContentError, ContentErrorKind};
use crate::net::{Backoff, NetSettings, Retry};
use crate::report::SharedEvents;

/// How a bucket is reached.
#[derive(Clone)]
pub struct BucketSettings {
    /// The bucket and the prefix in it.
    pub url: BucketUrl,
    /// The URL of the store; nothing: that of AWS.
    pub endpoint: Option<String>,
    /// The region; nothing: `us-east-1`.
    pub region: Option<String>,
    /// Whether the bucket is part of the path, and not of the host's name.
    pub path_style: bool,
    /// Who is asking.
    pub credentials: Credentials,
    /// Certificates, proxies, names.
    pub net: NetSettings,
    /// How often to try again.
    pub retry: Retry,
    /// Where to tell of retries.
    pub events: SharedEvents,
}

/// An object as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name: the key without the prefix.
    pub name: String,
    /// How many bytes it has.
    pub size: u64,
    /// Which content exactly, if the store says so.
    pub revision: Option<Revision>,
}

/// Which content of an object exactly: its ETag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision(pub(super) String);

/// What is below a prefix of a bucket. Clones share their connections.
#[derive(Clone)]
pub struct Bucket {
    pub(super) store: Arc<AmazonS3>,
    url: BucketUrl,
    retry: Retry,
    events: SharedEvents,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.url)
    }
}

impl Bucket {
    /// Makes a client. Nothing is asked yet.
    pub fn new(settings: &BucketSettings) -> Result<Self, ContentError> {
        let url = settings.url.clone();
        let subject = url.to_string();
        let connector = Connector::new(&settings.net).map_err(|e| Fault::Net(e).about(&subject))?;
        // Attempts are counted here, where they can be told, and each is signed anew.
        let once = RetryConfig { max_retries: 0, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(url.bucket())
            .with_retry(once)
            .with_virtual_hosted_style_request(!settings.path_style)
            .with_http_connector(connector);
        if let Some(region) = &settings.region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = &settings.endpoint {
            let endpoint =
                if settings.path_style { endpoint.clone() } else { host_of(endpoint, url.bucket()) };
            builder = builder.with_allow_http(endpoint.starts_with("http://")).with_endpoint(endpoint);
        }
        let builder = settings.credentials.give(builder).map_err(|fault| fault.about(&subject))?;
        let store = builder.build().map_err(|e| content_error(&subject, e))?;
        let (retry, events) = (settings.retry, settings.events.clone());
        Ok(Self { store: Arc::new(store), url, retry, events })
    }

    /// Returns where it is.
    pub fn url(&self) -> &BucketUrl {
        &self.url
    }

    /// Returns the URL of an object, for messages.
    pub fn shown(&self, name: &str) -> String {
        format!("s3://{}/{}", self.url.bucket(), self.url.key(name))
    }

    pub(super) fn path(&self, name: &str) -> Result<Path, ContentError> {
        Path::parse(self.url.key(name)).map_err(|error| {
            let kind = ContentErrorKind::Invalid("it cannot be the key of an object".to_owned());
            ContentError::with_source(self.shown(name), kind, error)
        })
    }

    /// Makes a request as often as the settings allow.
    pub(super) async fn attempt<T, F, Fut>(&self, subject: &str, mut request: F) -> Result<T, ContentError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = object_store::Result<T>>,
    {
        let mut backoff = Backoff::new(&self.retry, self.events.as_ref(), subject);
        loop {
            let error = match request().await {
                Ok(answer) => return Ok(answer),
                Err(error) => content_error(subject, error),
            };
            if !error.is_temporary() {
                return Err(error);
            }
            let reason = Fault::among(&error).map_or_else(|| error.kind().to_string(), Fault::to_string);
            match backoff.next(&reason, error.retry_after()) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error.exhausted()),
            }
        }
    }

    /// Reads an object of at most `max` bytes; nothing if there is none.
    pub async fn get(&self, name: &str, max: u64) -> Result<Option<(Bytes, Option<Revision>)>, ContentError> {
        let (path, subject) = (self.path(name)?, self.shown(name));
        let read = self.attempt(&subject, || async {
            let answer = match self.store.get_opts(&path, GetOptions::default()).await {
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                answer => answer?,
            };
            let revision = answer.meta.e_tag.clone().map(Revision);
            if answer.meta.size > max {
                return Ok(Some((None, revision)));
            }
            Ok(Some((Some(answer.bytes().await?), revision)))
        });
        match read.await? {
            None => Ok(None),
            Some((Some(bytes), revision)) => Ok(Some((bytes, revision))),
            Some((None, _)) => {
                let kind = ContentErrorKind::Invalid(format!("it has more than {max} bytes"));
                Err(ContentError::new(subject, kind))
            }
        }
    }

    /// Returns what is known of an object; nothing if there is none.
    pub async fn head(&self, name: &str) -> Result<Option<Entry>, ContentError> {
        let (path, subject) = (self.path(name)?, self.shown(name));
        let found = self.attempt(&subject, || async {
            match self.store.head(&path).await {
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                found => found.map(Some),
            }
        });
        let entry = |meta: object_store::ObjectMeta| Entry {
            name: name.to_owned(),
            size: meta.size,
            revision: meta.e_tag.map(Revision),
        };
        Ok(found.await?.map(entry))
    }

    /// Writes an object if it is still as it was `found`: of that revision, or not there at all. `false`: it is not.
    pub async fn put_if(
        &self,
        name: &str,
        bytes: Bytes,
        found: Option<&Revision>,
    ) -> Result<bool, ContentError> {
        let mode = match found {
            None => PutMode::Create,
            Some(Revision(tag)) => PutMode::Update(UpdateVersion { e_tag: Some(tag.clone()), version: None }),
        };
        let (path, subject) = (self.path(name)?, self.shown(name));
        let mut first = true;
        let written = self
            .attempt(&subject, || {
                let options = PutOptions { mode: mode.clone(), ..PutOptions::default() };
                let (path, payload) = (&path, PutPayload::from_bytes(bytes.clone()));
                let is_first = std::mem::replace(&mut first, false);
                async move {
                    use object_store::Error::{AlreadyExists, Precondition};
                    match self.store.put_opts(path, payload, options).await {
                        Ok(_) => Ok((true, is_first)),
                        Err(Precondition { .. } | AlreadyExists { .. }) => Ok((false, is_first)),
                        Err(error) => Err(error),
                    }
                }
            })
            .await?;
        match written {
            (false, false) => {
                // The answer to an earlier attempt was lost, and that attempt may be what is in the way now.
                let there = self.get(name, bytes.len() as u64).await;
                Ok(matches!(there, Ok(Some((there, _))) if there == bytes))
            }
            (written, _) => Ok(written),
        }
    }

    /// Removes an object; none need be there.
    pub async fn delete(&self, name: &str) -> Result<(), ContentError> {
        let (path, subject) = (self.path(name)?, self.shown(name));
        self.attempt(&subject, || async {
            match self.store.delete(&path).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                other => other,
            }
        })
        .await
    }

    /// Lists the objects right below the prefix, in the order of their names.
    pub async fn list(&self) -> Result<Vec<Entry>, ContentError> {
        let subject = self.url.to_string();
        let prefix = (!self.url.prefix().is_empty()).then(|| Path::parse(self.url.prefix()));
        let prefix = prefix.transpose().map_err(|error| {
            let kind = ContentErrorKind::Invalid("it cannot be a prefix of keys".to_owned());
            ContentError::with_source(&subject, kind, error)
        })?;
        let listed = self
            .attempt(&subject, || async { self.store.list_with_delimiter(prefix.as_ref()).await })
            .await?;
        let mut entries: Vec<Entry> = listed
            .objects
            .into_iter()
            .filter_map(|meta| {
                let name = meta.location.filename()?.to_owned();
                Some(Entry { name, size: meta.size, revision: meta.e_tag.map(Revision) })
            })
            .collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Finds out whether the store minds conditions, and fails if it does not. Nothing is left behind.
    ///
    /// Old servers and some others take any write, and would let one run overwrite what another has just written.
    pub async fn check_conditions(&self, nonce: &str) -> Result<(), ContentError> {
        let name = format!("oc-mirror-probe-{nonce}");
        let fails = |what| Err(Fault::Unconditional(what).about(&self.url.to_string()));
        let probe = async {
            if !self.put_if(&name, Bytes::from_static(b"1"), None).await? {
                return fails("it refuses `If-None-Match: *` for an object that is not there");
            }
            if self.put_if(&name, Bytes::from_static(b"2"), None).await? {
                return fails("it takes `If-None-Match: *` for an object that is there");
            }
            let Some((_, Some(revision))) = self.get(&name, 16).await? else {
                return fails("it gives objects no ETag");
            };
            if !self.put_if(&name, Bytes::from_static(b"3"), Some(&revision)).await? {
                return fails("it refuses `If-Match` with the ETag of the object");
            }
            if self.put_if(&name, Bytes::from_static(b"4"), Some(&revision)).await? {
                return fails("it takes `If-Match` with an ETag of what is no longer there");
            }
            Ok(())
        };
        let outcome = probe.await;
        // An account that may not delete finds out later, when it matters; a probe of one byte may stay.
        let _ = self.delete(&name).await;
        outcome
    }

    pub(super) async fn read_range(
        &self,
        path: &Path,
        subject: &str,
        range: std::ops::Range<u64>,
        revision: Option<&Revision>,
    ) -> Result<impl futures_util::Stream<Item = Result<Bytes, ContentError>> + Send + use<>, ContentError>
    {
        let if_match = revision.map(|r| r.0.clone());
        let answer = self
            .attempt(subject, || {
                let options = GetOptions {
                    range: Some(range.clone().into()),
                    if_match: if_match.clone(),
                    ..GetOptions::default()
                };
                async move { self.store.get_opts(path, options).await }
            })
            .await?;
        let subject: Arc<str> = subject.into();
        Ok(answer.into_stream().map_err(move |e| broken(&subject, e)))
    }

    pub(super) fn backoff<'a>(&'a self, subject: &'a str) -> Backoff<'a> {
        Backoff::new(&self.retry, self.events.as_ref(), subject)
    }
}

/// Words what breaks a body off: always the connection, as the answer itself was good.
fn broken(subject: &str, error: object_store::Error) -> ContentError {
    let known = content_error(subject, error);
    match known.kind() {
        ContentErrorKind::Invalid(_) => ContentError::with_source(
            subject,
            ContentErrorKind::Unavailable("the connection broke".to_owned()),
            known,
        ),
        _ => known,
    }
}

/// Puts the bucket before the host of an endpoint.
fn host_of(endpoint: &str, bucket: &str) -> String {
    match endpoint.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{bucket}.{}", rest.trim_end_matches('/')),
        None => endpoint.to_owned(),
    }
}
