//! Where imagesets are: [`Imagesets`], in a directory or in a bucket.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{WorkflowError, WorkflowErrorKind};
use crate::archive::{ImagesetChunks, ImagesetFiles, Reader, TrustedKeys, find_imagesets, group_chunks};
use crate::bucket::{Bucket, Object};
use crate::content::positioned::ReadAt;
use crate::predecessors::{self, Found};

/// Imagesets that were made before.
#[derive(Clone, Debug)]
pub enum Imagesets {
    /// All in a directory, or the one that a chunk file belongs to.
    Path(PathBuf),
    /// All below a prefix of a bucket.
    Bucket(Arc<Bucket>),
}

impl From<&Path> for Imagesets {
    fn from(path: &Path) -> Self {
        Self::Path(path.to_owned())
    }
}

impl Imagesets {
    /// Returns a name for messages: a path or a URL.
    pub fn name(&self) -> String {
        match self {
            Self::Path(path) => path.display().to_string(),
            Self::Bucket(bucket) => bucket.url().to_string(),
        }
    }

    /// Opens what is there, if predecessors of this program made it. They knew directories only.
    pub(super) fn of_predecessor(&self) -> Result<Option<Found>, WorkflowError> {
        match self {
            Self::Path(path) => Ok(predecessors::find(path)?),
            Self::Bucket(_) => Ok(None),
        }
    }

    /// Fails where archives of a predecessor are, which have no index.
    pub(super) fn refuse_predecessors(&self) -> Result<(), WorkflowError> {
        match self.of_predecessor()? {
            Some(found) => {
                Err(WorkflowErrorKind::OnlyToPublish { path: self.name(), maker: found.maker() }.into())
            }
            None => Ok(()),
        }
    }

    /// Lists them by their sequences, without opening any.
    pub(super) async fn list(&self) -> Result<Vec<ImagesetChunks>, WorkflowError> {
        match self {
            Self::Path(path) if path.is_file() => {
                Ok(vec![ImagesetChunks::from(&ImagesetFiles::of_chunk(path)?)])
            }
            Self::Path(path) => Ok(find_imagesets(path)?.iter().map(ImagesetChunks::from).collect()),
            Self::Bucket(bucket) => in_bucket(bucket).await,
        }
    }

    /// Opens all of them, checking that there are some, that they belong together, and that they are signed as these keys ask
    /// for.
    pub(super) async fn open(&self, trusted: &TrustedKeys) -> Result<Vec<Reader>, WorkflowError> {
        self.refuse_predecessors()?;
        let mut readers: Vec<Reader> = Vec::new();
        for set in self.list().await? {
            let mut reader = Reader::open_trusted(&set, trusted).await?;
            if let Some(before) = readers.last() {
                reader.share(before);
            }
            if let Some(first) = readers.first().map(|r| r.index().uid)
                && first != reader.index().uid
            {
                let (path, second) = (self.name(), reader.index().uid);
                return Err(WorkflowErrorKind::MixedChains { path, first, second }.into());
            }
            readers.push(reader);
        }
        if readers.is_empty() {
            return Err(WorkflowErrorKind::NoImageset { path: self.name() }.into());
        }
        Ok(readers)
    }
}

/// Lists what is complete in a bucket: chunk 0 comes last, so what lacks it is still on its way, or never arrived.
pub(super) async fn in_bucket(bucket: &Arc<Bucket>) -> Result<Vec<ImagesetChunks>, WorkflowError> {
    let objects = bucket.list().await?.into_iter().map(|entry| {
        let object: Arc<dyn ReadAt> = Arc::new(Object::new(bucket.clone(), entry.clone()));
        (entry.name, object)
    });
    let place = PathBuf::from(bucket.url().to_string());
    let mut sets = group_chunks(&place, objects);
    sets.retain(|set| set.chunks.contains_key(&0));
    Ok(sets)
}
