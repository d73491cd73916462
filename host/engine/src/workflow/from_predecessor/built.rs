//! What is built of an archive before it is published: [`Built`] keeps it in a directory, [`catalog`] and [`graph`] make the two
//! images that oc-mirror v1 leaves to its publisher.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use flate2::read::GzDecoder;
use futures_util::StreamExt;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::reference::{Repository, Selector};
use tokio::io::AsyncWriteExt;

use super::reader::{Together, View};
use crate::content::build::{BuildError, ImageSpec, LayerBuilder};
use crate::content::verify::verified;
use crate::content::{BlobStream, ContentError, ContentErrorKind, ContentRead, ContentWrite, file};
use crate::fsx;
use crate::predecessors::{Contents, Place, v1};

/// Says where a catalog is in its image.
const LABEL: &str = "operators.operatorframework.io.index.configs.v1";
/// Where it is, in images that v1 builds.
const CONFIGS: &str = "configs";
/// Where the image of an update graph has it.
const GRAPH: &str = "var/lib/cincinnati-graph-data";
/// All files of an update graph together. Real ones have a few MiB.
const MAX_GRAPH: u64 = 256 << 20;

/// Content in a directory, by digest.
pub(super) struct Built {
    dir: PathBuf,
}

impl Built {
    /// Makes an empty directory for it.
    pub(super) fn create(dir: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        Ok(Self { dir })
    }

    /// Answers whether it was built.
    pub(super) fn holds(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(format!("{}-{}", digest.algorithm().as_str(), digest.hex()))
    }

    async fn write(&self, digest: &Digest, mut body: BlobStream) -> Result<(), ContentError> {
        let path = self.path(digest);
        let partial = path.with_extension("partial");
        save(&partial, &mut body).await?;
        let failed = |e| ContentError::disk(path.display().to_string(), "cannot be written", e);
        tokio::fs::rename(&partial, &path).await.map_err(failed)
    }
}

async fn save(path: &Path, body: &mut BlobStream) -> Result<(), ContentError> {
    let failed = |e| ContentError::disk(path.display().to_string(), "cannot be written", e);
    let mut file = tokio::fs::File::create(path).await.map_err(failed)?;
    while let Some(piece) = body.next().await {
        file.write_all(&piece?).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)
}

#[async_trait]
impl ContentRead for Built {
    fn name(&self) -> String {
        "what was built".to_owned()
    }

    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<RawManifest, ContentError> {
        let subject = format!("{repository}@{selector}");
        let Selector::Digest(digest) = selector else {
            return Err(ContentError::new(subject, ContentErrorKind::NotFound));
        };
        let bytes = tokio::fs::read(self.path(digest)).await;
        let bytes = bytes.map_err(|e| ContentError::disk(subject.clone(), "it cannot be read", e))?;
        let manifest = RawManifest::parse(bytes, None).and_then(|manifest| manifest.verify(digest));
        let invalid = || ContentErrorKind::Invalid("the manifest is damaged".to_owned());
        manifest.map_err(|e| ContentError::with_source(subject, invalid(), e))
    }

    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError> {
        let subject = format!("{repository}@{}", blob.digest);
        let opened = std::fs::File::open(self.path(&blob.digest));
        let opened = opened.map_err(|e| ContentError::disk(subject.clone(), "it cannot be read", e))?;
        Ok(file::stream(opened, offset, blob.size, subject))
    }
}

#[async_trait]
impl ContentWrite for Built {
    fn name(&self) -> String {
        "what is built".to_owned()
    }

    async fn has_blob(&self, _: &Repository, blob: &Descriptor) -> Result<bool, ContentError> {
        Ok(self.holds(&blob.digest))
    }

    async fn has_manifest(&self, _: &Repository, digest: &Digest) -> Result<bool, ContentError> {
        Ok(self.holds(digest))
    }

    async fn mount(&self, _: &Repository, _: &Repository, blob: &Descriptor) -> Result<bool, ContentError> {
        Ok(self.holds(&blob.digest))
    }

    async fn put_blob(
        &self,
        _: &Repository,
        blob: &Descriptor,
        body: BlobStream,
    ) -> Result<(), ContentError> {
        self.write(&blob.digest, verified(body, blob, blob.digest.to_string())).await
    }

    async fn put_manifest(&self, _: &Repository, manifest: &RawManifest) -> Result<(), ContentError> {
        let bytes = manifest.bytes().to_vec();
        let body = Box::pin(futures_util::stream::iter([Ok(bytes.into())]));
        self.write(manifest.digest(), body).await
    }
}

/// Builds a catalog: its image as it was, with what is left of the catalog on top.
///
/// Two layers, as those of v1: one takes away what is at `/configs`, the other puts the catalog there. What is left of the
/// labels, and when it was made, stays as it was; so the same archive makes the same image.
pub(super) async fn catalog(
    catalog: &v1::Catalog,
    filtered: Place,
    from: &Together,
    contents: &Contents,
    built: &Built,
) -> Result<Digest, BuildError> {
    let work = tempfile::tempdir_in(&built.dir)
        .map_err(|source| BuildError::Disk { path: built.dir.clone(), source })?;
    let documents = work.path().join("index.json");
    save(&documents, &mut contents.file(filtered)?).await?;
    let mut removal = LayerBuilder::new();
    removal.whiteout(CONFIGS)?;
    let removal = removal.finish(work.path()).await?;
    let mut content = LayerBuilder::new();
    content.directory(CONFIGS, 0o755)?.file(&format!("{CONFIGS}/index.json"), 0o644, documents)?;
    let content = content.finish(work.path()).await?;
    let repository = &catalog.destination.repository;
    let base = View { from: from.clone(), repository: repository.clone(), manifest: catalog.base.clone() };
    let spec = ImageSpec {
        base: Some(&base),
        layers: vec![&removal, &content],
        labels: BTreeMap::from([(LABEL.to_owned(), format!("/{CONFIGS}"))]),
        cmd: Some(vec!["serve".to_owned(), format!("/{CONFIGS}")]),
        created_by: "oc-mirror".to_owned(),
        leave_base: true,
        ..ImageSpec::default()
    };
    Ok(spec.build(built, repository).await?.digest().clone())
}

/// Builds the image of an update graph on another one: the data on top, with the signatures of releases beside it.
pub(super) async fn graph(
    base: &View,
    data: Vec<u8>,
    signatures: &BTreeMap<Digest, BTreeMap<u32, Vec<u8>>>,
    repository: &Repository,
    built: &Built,
) -> Result<Digest, BuildError> {
    let mut layer = LayerBuilder::new();
    for (path, content) in unpacked(&data)? {
        layer.bytes(&format!("{GRAPH}/{path}"), 0o644, content)?;
    }
    for (payload, messages) in signatures {
        for (number, message) in messages {
            let (algorithm, hex) = (payload.algorithm().as_str(), payload.hex());
            let path = format!("{GRAPH}/signatures/{algorithm}/{hex}/signature-{number}");
            layer.bytes(&path, 0o644, message.clone())?;
        }
    }
    let layer = layer.finish(&built.dir).await?;
    let copy = format!("cp -rp /{GRAPH}/* /var/lib/cincinnati/graph-data");
    let spec = ImageSpec {
        base: Some(base),
        layers: vec![&layer],
        cmd: Some(vec!["/bin/bash".to_owned(), "-c".to_owned(), copy]),
        created_by: "oc-mirror".to_owned(),
        leave_base: true,
        ..ImageSpec::default()
    };
    Ok(spec.build(built, repository).await?.digest().clone())
}

/// Reads the files of an update graph. Whoever puts them into a layer checks their names.
fn unpacked(data: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, BuildError> {
    let failed = |source| BuildError::Disk { path: PathBuf::from("cincinnati-graph-data.tar.gz"), source };
    let mut files = BTreeMap::new();
    let mut archive = tar::Archive::new(GzDecoder::new(data).take(MAX_GRAPH));
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path().map_err(failed)?.to_string_lossy().trim_start_matches("./").to_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(failed)?;
        files.insert(path, content);
    }
    Ok(files)
}

/// Makes a directory of its own for what is built.
pub(super) fn place_in(scratch: &Path, number: usize) -> std::io::Result<Built> {
    let built = Built::create(scratch.join(format!("predecessor-{number}")))?;
    fsx::fsync_dir(scratch)?;
    Ok(built)
}
