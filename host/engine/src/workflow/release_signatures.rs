//! Signatures of releases travel with them, so that nobody further on needs the internet to verify: [`Directory`] keeps them
//! in a workspace, [`InRegistry`] beside payloads at a target.
//!
//! At a target they are an image of their own for each payload, `release-signatures:sha256-<hex>` beside
//! `release-images`, with a layer for each signature. They are no companions of the payload: these are cosign's, found by
//! whoever pulls, while the cluster and this program want the OpenPGP messages that public stores have.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::media_type;
use oc_mirror_model::reference::{Reference, Repository, Selector, Tag};
use serde_json::json;

use super::Workspace;
use super::from_disk::Destination;
use crate::content::verify::{collect, verified};
use crate::content::{BlobStream, ContentError, ContentErrorKind, ContentRead};
use crate::transfer::publish::Endpoint;
use crate::trust::openpgp::MAX_MESSAGE_BYTES;
use crate::trust::release::{MOST_SIGNATURES, SignatureStore};

/// Where the plugin of releases hands them over, and where a workspace keeps them.
pub(super) const DIRECTORY: &str = "release-signatures";
/// The last component of the repository that payloads are in.
const PAYLOADS: &str = "release-images";
/// The whole of it, where nothing comes before it.
const PAYLOADS_AT: &str = "openshift/release-images";
/// What the image of signatures is.
const ARTIFACT: &str = "application/vnd.oc-mirror.release-signatures.v1";
/// What one of its layers is: an OpenPGP message as it is in a store.
const SIGNATURE: &str = "application/vnd.oc-mirror.release-signature.v1";
/// Names the number of a signature.
const TITLE: &str = "org.opencontainers.image.title";

/// Signatures by the digest of the payload, with their numbers.
pub(super) type Found = BTreeMap<Digest, BTreeMap<u32, Vec<u8>>>;

/// Takes a path such as `release-signatures/sha256=<hex>/signature-1` apart.
pub(super) fn parse_path(path: &str) -> Option<(Digest, u32)> {
    let (digest, name) = path.strip_prefix(DIRECTORY)?.strip_prefix('/')?.split_once('/')?;
    let number: u32 = name.strip_prefix("signature-")?.parse().ok()?;
    let digest = digest.replacen('=', ":", 1).parse().ok()?;
    (1..=MOST_SIGNATURES).contains(&number).then_some((digest, number))
}

/// Returns the path of a signature, as [`parse_path`] takes it apart.
pub(super) fn path(digest: &Digest, number: u32) -> String {
    format!("{DIRECTORY}/{}", path_of(digest, number))
}

fn path_of(digest: &Digest, number: u32) -> String {
    format!("{}={}/signature-{number}", digest.algorithm().as_str(), digest.hex())
}

/// Returns the repository of signatures that belongs to one of payloads, if that is what it is.
pub fn beside(payloads: &Repository) -> Option<Repository> {
    let before = payloads.as_str().strip_suffix(PAYLOADS)?;
    format!("{before}{DIRECTORY}").parse().ok()
}

/// Keeps signatures in the workspace and at the target. What a target does not take is a warning: the releases are there,
/// and the next hop can be told of the workspace.
pub(super) async fn keep(workspace: &Workspace, destination: &Destination, found: &Found) -> Vec<String> {
    let mut warnings = Vec::new();
    for (digest, signatures) in found {
        for (number, bytes) in signatures {
            let name = path(digest, *number);
            if let Err(error) = workspace.write(&name, bytes) {
                warnings.push(super::prepare::chain_of(&error));
            }
        }
    }
    let payloads: Repository = PAYLOADS_AT.parse().expect("a constant that is a repository");
    let Some(repository) = beside(&destination.place(&payloads)).filter(|_| !found.is_empty()) else {
        return warnings;
    };
    for (digest, signatures) in found {
        if let Err(error) = put(destination.endpoint.as_ref(), &repository, digest, signatures).await {
            let reason = super::prepare::chain_of(&error);
            warnings.push(format!(
                "signatures of releases are in the workspace only, so whoever mirrors on from here has to be given them: {reason}"
            ));
            break;
        }
    }
    warnings
}

async fn put(
    to: &dyn Endpoint,
    repository: &Repository,
    payload: &Digest,
    signatures: &BTreeMap<u32, Vec<u8>>,
) -> Result<(), ContentError> {
    let mut layers = Vec::new();
    for (number, bytes) in signatures {
        let mut layer = put_blob(to, repository, SIGNATURE, bytes).await?;
        layer.annotations.insert(TITLE.to_owned(), format!("signature-{number}"));
        layers.push(layer);
    }
    // Some registries read configurations and refuse an image whose counts differ.
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|l| &l.digest).collect::<Vec<_>>()},
    });
    let config = put_blob(to, repository, media_type::OCI_CONFIG, config.to_string().as_bytes()).await?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "artifactType": ARTIFACT,
        "config": config,
        "layers": layers,
    });
    let manifest = RawManifest::parse(manifest.to_string().into_bytes(), None).map_err(|error| {
        let kind = ContentErrorKind::Invalid("the manifest of signatures is not valid".to_owned());
        ContentError::with_source(repository.as_str(), kind, error)
    })?;
    let tag = Tag::for_digest(payload);
    let there = to.resolve_tag(repository, &tag).await?;
    if there.is_some_and(|there| there.digest == *manifest.digest()) {
        return Ok(());
    }
    to.put_tag(repository, &tag, &manifest).await
}

async fn put_blob(
    to: &dyn Endpoint,
    repository: &Repository,
    media_type: &str,
    bytes: &[u8],
) -> Result<Descriptor, ContentError> {
    let descriptor = Descriptor::of(media_type, bytes);
    if !to.has_blob(repository, &descriptor).await? {
        let body = Ok(Bytes::copy_from_slice(bytes));
        let body: BlobStream = Box::pin(futures_util::stream::iter([body]));
        to.put_blob(repository, &descriptor, body).await?;
    }
    Ok(descriptor)
}

/// Signatures in a directory, laid out as in a store of the web.
pub struct Directory(PathBuf);

impl Directory {
    /// Looks in a directory, which need not be there.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    /// Looks in a workspace.
    pub fn of_workspace(dir: &Path) -> Self {
        Self(dir.join(DIRECTORY))
    }
}

#[async_trait]
impl SignatureStore for Directory {
    fn name(&self) -> String {
        format!("`{}`", self.0.display())
    }

    async fn signatures(&self, payload: &Digest) -> Result<Vec<(u32, Vec<u8>)>, String> {
        let mut found = Vec::new();
        for number in 1..=MOST_SIGNATURES {
            let path = self.0.join(path_of(payload, number));
            match path.metadata() {
                Ok(metadata) if metadata.len() <= MAX_MESSAGE_BYTES as u64 && metadata.is_file() => {
                    found.push((number, std::fs::read(&path).map_err(|e| e.to_string())?));
                }
                Ok(_) => return Err(format!("`{}` is no signature", path.display())),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(found)
    }
}

/// Signatures beside payloads in a registry.
pub struct InRegistry {
    read: Arc<dyn ContentRead>,
    repository: Repository,
    /// For messages.
    name: String,
}

impl InRegistry {
    /// Looks in a repository of signatures, which `read` has; tag and digest do not matter.
    pub fn new(read: Arc<dyn ContentRead>, place: &Reference) -> Self {
        Self { read, repository: place.repository.clone(), name: format!("`{}`", place.name()) }
    }

    async fn find(&self, payload: &Digest) -> Result<Vec<(u32, Vec<u8>)>, ContentError> {
        let tag = Selector::Tag(Tag::for_digest(payload));
        let manifest = match self.read.manifest(&self.repository, &tag).await {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            other => other?,
        };
        let layers = manifest.image().map(|image| image.layers.clone()).unwrap_or_default();
        let mut found = Vec::new();
        for layer in layers.iter().filter(|l| l.media_type == SIGNATURE && l.size <= MAX_MESSAGE_BYTES as u64)
        {
            let number =
                layer.annotations.get(TITLE).and_then(|t| t.strip_prefix("signature-")?.parse().ok());
            let Some(number) = number.filter(|n| (1..=MOST_SIGNATURES).contains(n)) else { continue };
            if found.len() >= MOST_SIGNATURES as usize {
                break;
            }
            let stream = self.read.blob(&self.repository, layer, 0).await?;
            let bytes = collect(verified(stream, layer, layer.digest.to_string()), layer).await?;
            found.push((number, bytes.to_vec()));
        }
        Ok(found)
    }
}

#[async_trait]
impl SignatureStore for InRegistry {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn signatures(&self, payload: &Digest) -> Result<Vec<(u32, Vec<u8>)>, String> {
        self.find(payload).await.map_err(|error| super::prepare::chain_of(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[rstest]
    #[case("release-signatures/sha256=HEX/signature-3", Some(3))]
    #[case("release-signatures/sha256=HEX/signature-0", None)]
    #[case("release-signatures/sha256=HEX/signature-10", None)]
    #[case("release-signatures/sha256=HEX/other", None)]
    #[case("release-signatures/sha256:../signature-1", None)]
    #[case("update-graphs/sha256=HEX/signature-1", None)]
    fn paths(#[case] path: &str, #[case] number: Option<u32>) {
        let parsed = parse_path(&path.replace("HEX", HEX));
        let digest = format!("sha256:{HEX}").parse().expect("a digest");
        assert_eq!(parsed, number.map(|number| (digest, number)));
    }

    #[rstest]
    #[case("openshift/release-images", Some("openshift/release-signatures"))]
    #[case("team/mirror-openshift-release-images", Some("team/mirror-openshift-release-signatures"))]
    #[case("openshift/release", None)]
    fn repositories(#[case] payloads: &str, #[case] expected: Option<&str>) {
        let found = beside(&payloads.parse().expect("a repository"));
        assert_eq!(found.as_ref().map(Repository::as_str), expected);
    }
}
