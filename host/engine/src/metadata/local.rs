//! Records in files of a workspace: [`Local`].

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use oc_mirror_model::digest::{Algorithm, Digest};
use oc_mirror_model::metadata::Chain;
use uuid::Uuid;

use super::{MetadataError, MetadataStore, Stored, parse, uid_of};
use crate::fsx;

/// One file that holds the record of one chain.
///
/// Runs that share a workspace hold its lock, so that reading, checking and replacing the file is one step.
#[derive(Clone, Debug)]
pub struct Local {
    path: PathBuf,
}

impl Local {
    /// Uses the file `path`, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self) -> Result<Option<Vec<u8>>, MetadataError> {
        match fsx::read(&self.path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(MetadataError::Disk { path: self.name(), source }),
        }
    }

    /// Hashes the file without holding all of it.
    fn hash(&self) -> Result<Option<Digest>, MetadataError> {
        let failed = |source| MetadataError::Disk { path: self.name(), source };
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut hasher = Algorithm::Sha256.hasher();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(Some(hasher.finish())),
                Ok(len) => hasher.update(&buffer[..len]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

#[async_trait]
impl MetadataStore for Local {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    async fn chains(&self) -> Result<Vec<Uuid>, MetadataError> {
        self.read()?.map(|bytes| uid_of(&bytes, &self.name())).into_iter().collect()
    }

    async fn load(&self, uid: Uuid) -> Result<Option<Stored>, MetadataError> {
        self.read()?.map(|bytes| parse(&bytes, &self.name(), uid)).transpose()
    }

    async fn revision(&self, _: Uuid) -> Result<Option<Digest>, MetadataError> {
        self.hash()
    }

    async fn commit(&self, chain: &Chain, found: Option<&Digest>) -> Result<(), MetadataError> {
        if self.hash()?.as_ref() != found {
            return Err(MetadataError::Conflict { place: self.name() });
        }
        fsx::write_atomic_with(&self.path, |file| chain.write_to(file))
            .map_err(|source| MetadataError::Disk { path: self.name(), source })
    }
}
