//! [`SignedImage`]: an image as policies see it, and [`StoredImage`], one that lies where content is.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use oc_mirror_model::attributes::Attributes;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Reference, Repository, Selector, Source, Tag};
use url::Url;

use super::fetch::{FetchFault, fetch};
use super::files::read;
use super::openpgp::MAX_MESSAGE_BYTES;
use super::registries_d::RegistriesD;
use crate::content::verify::{collect, verified};
use crate::content::{ContentError, ContentErrorKind, ContentRead};
use crate::source::HttpFetch;

/// The most signatures of one image that are looked at.
const MOST_SIGNATURES: usize = 128;

/// The media type of what cosign signs.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation with a signature of cosign.
pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// A signature that lies beside the image in its repository, as cosign puts it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// What was signed.
    pub payload: Vec<u8>,
    /// The signature, in base64.
    pub signature: String,
    /// What came with it, by key: certificates and what logs say.
    pub annotations: Attributes,
}

/// An image as policies see it.
#[async_trait]
pub trait SignedImage: Send + Sync {
    /// Returns where it comes from, as it was written.
    fn source(&self) -> &Source;

    /// Returns the digest of its manifest, or of its index.
    fn digest(&self) -> &Digest;

    /// Returns the signatures beside it in its repository. None at all is no error.
    async fn sigstore_attachments(&self) -> Result<Vec<Attachment>, ContentError>;

    /// Returns the OpenPGP signatures that lie in another place. None at all is no error.
    async fn lookaside_signatures(&self) -> Result<Vec<Vec<u8>>, ContentError>;
}

/// An image in a registry or layout.
pub struct StoredImage {
    /// Where it comes from, as it was written.
    pub source: Source,
    /// The digest of its manifest, or of its index.
    pub digest: Digest,
    /// What it is read from, which may be a mirror of what was written.
    pub read: Arc<dyn ContentRead>,
    /// Its repository there.
    pub repository: Repository,
    /// Where its signatures are.
    pub registries_d: Arc<RegistriesD>,
    /// What fetches them.
    pub http: Arc<dyn HttpFetch>,
}

#[async_trait]
impl SignedImage for StoredImage {
    fn source(&self) -> &Source {
        &self.source
    }

    fn digest(&self) -> &Digest {
        &self.digest
    }

    async fn sigstore_attachments(&self) -> Result<Vec<Attachment>, ContentError> {
        if let Source::Registry(reference) = &self.source
            && !self.registries_d.uses_attachments(reference)
        {
            return Ok(Vec::new());
        }
        beside(&*self.read, &self.repository, &self.digest, &self.source).await
    }

    async fn lookaside_signatures(&self) -> Result<Vec<Vec<u8>>, ContentError> {
        let Source::Registry(reference) = &self.source else { return Ok(Vec::new()) };
        let Some(base) = self.registries_d.lookaside(reference) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for number in 1..=MOST_SIGNATURES {
            let url = place(base, reference, &self.digest, number);
            let outcome =
                if base.scheme() == "file" { from_disk(&url) } else { fetch(&*self.http, base, &url).await };
            match outcome {
                Ok(None) => break,
                Ok(Some(bytes)) => found.push(bytes),
                // It counts for nothing, and those after it may.
                Err(FetchFault::TooLong(_)) => {}
                Err(FetchFault::Unavailable(text)) => {
                    return Err(ContentError::new(url, ContentErrorKind::Unavailable(text)));
                }
            }
        }
        Ok(found)
    }
}

/// Reads the signatures beside an image in its repository. None at all is no error.
pub async fn beside(
    read: &dyn ContentRead,
    repository: &Repository,
    digest: &Digest,
    source: &Source,
) -> Result<Vec<Attachment>, ContentError> {
    let name = format!("{}-{}.sig", digest.algorithm().as_str(), digest.hex());
    // The tag of a SHA-512 is longer than tags may be, so there is none.
    let Ok(tag) = name.parse::<Tag>() else { return Ok(Vec::new()) };
    let manifest = match read.manifest(repository, &Selector::Tag(tag)).await {
        Ok(manifest) => manifest,
        Err(e) if e.is_not_found() => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    attachments(read, repository, &manifest, &source.to_string()).await
}

/// Returns the signatures in a manifest of them, as cosign makes it. `subject` is the signed image, for messages.
pub async fn attachments(
    read: &dyn ContentRead,
    repository: &Repository,
    manifest: &RawManifest,
    subject: &str,
) -> Result<Vec<Attachment>, ContentError> {
    let layers = manifest.image().map(|image| &image.layers[..]).unwrap_or_default();
    let mut found = Vec::new();
    for layer in layers.iter().filter(|layer| is_signature(layer)).take(MOST_SIGNATURES) {
        let stream = read.blob(repository, layer, 0).await?;
        let payload = collect(verified(stream, layer, subject), layer).await?;
        found.push(Attachment {
            payload: payload.to_vec(),
            signature: layer.annotations.get(SIGNATURE).unwrap_or_default().to_owned(),
            annotations: layer.annotations.clone(),
        });
    }
    Ok(found)
}

fn is_signature(layer: &Descriptor) -> bool {
    layer.media_type == SIMPLE_SIGNING
        && layer.annotations.contains_key(SIGNATURE)
        && layer.size <= MAX_MESSAGE_BYTES as u64
}

/// Returns the address of a signature: `<base>/<path of the repository>@sha256=<hex>/signature-<number>`.
fn place(base: &Url, reference: &Reference, digest: &Digest, number: usize) -> String {
    let base = base.as_str().trim_end_matches('/');
    let (repository, algorithm, hex) = (&reference.repository, digest.algorithm().as_str(), digest.hex());
    format!("{base}/{repository}@{algorithm}={hex}/signature-{number}")
}

fn from_disk(url: &str) -> Result<Option<Vec<u8>>, FetchFault> {
    let bad = || FetchFault::Unavailable(format!("`{url}` is not the address of a file"));
    let path: PathBuf = Url::parse(url).map_err(|_| bad())?.to_file_path().map_err(|()| bad())?;
    match path.try_exists() {
        Ok(false) => Ok(None),
        _ => read(&path).map(Some).map_err(FetchFault::Unavailable),
    }
}

#[cfg(test)]
mod tests;
