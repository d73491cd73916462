//! `cache`: what a plugin keeps from run to run, in files of its own.
//!
//! An entry belongs to one version of one plugin: its name is that of the plugin, the digest of the component and the
//! key. It appears whole or not at all.

use std::fs::FileTimes;
use std::path::PathBuf;
use std::time::SystemTime;

use oc_mirror_engine::content::file;
use oc_mirror_model::digest::Digest;
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;
use wasmtime::component::Resource;

use crate::bindings::oc_mirror::plugin::cache::{Host, HostDraft};
use crate::fault::{Answer, Fault};
use crate::grants::Access;
use crate::imports::streams::Reader;
use crate::state::StoreState;

/// The longest key.
const MAX_KEY: usize = 1024;
/// The most bytes of one entry.
const MAX_ENTRY: u64 = 1 << 30;

/// The most bytes of all entries that one call writes.
const MAX_CACHED: u64 = 4 << 30;

/// An entry that is being written.
pub struct Draft {
    key: String,
    /// Nothing until the first bytes come, and after it was committed.
    file: Option<(tokio::fs::File, tempfile::TempPath)>,
    written: u64,
    committed: bool,
}

impl StoreState {
    /// Returns where an entry is; nothing where there is no cache.
    fn cache_path(&self, key: &str) -> Answer<Option<PathBuf>> {
        self.check(Access::Cache)?;
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(Fault::invalid(format!("a key has 1 to {MAX_KEY} bytes")));
        }
        let identity = &self.shared.identity;
        let name = Digest::of(format!("{}\0{}\0{key}", identity.name, identity.digest).as_bytes());
        Ok(self.services()?.cache.as_ref().map(|dir| dir.join(name.hex())))
    }

    async fn write_draft(&mut self, draft: &Resource<Draft>, chunk: &[u8]) -> Answer<()> {
        let key = self.table.get(draft)?.key.clone();
        let path = self.cache_path(&key)?;
        self.meter.cached = self.meter.cached.saturating_add(chunk.len() as u64);
        if self.meter.cached > MAX_CACHED {
            return Err(Fault::limit(format!("used up its {} GiB of the cache", MAX_CACHED >> 30)));
        }
        let draft = self.table.get_mut(draft)?;
        draft.written = draft.written.saturating_add(chunk.len() as u64);
        if draft.written > MAX_ENTRY {
            return Err(Fault::limit(format!("an entry of the cache has at most {} MiB", MAX_ENTRY >> 20)));
        }
        if draft.committed {
            return Err(Fault::invalid("the entry is committed"));
        }
        let Some(dir) = path.as_deref().and_then(std::path::Path::parent) else { return Ok(()) };
        let disk = |e| Fault::disk("the cache cannot be written", &e);
        if draft.file.is_none() {
            std::fs::create_dir_all(dir).map_err(disk)?;
            let (file, path) = NamedTempFile::new_in(dir).map_err(disk)?.into_parts();
            draft.file = Some((tokio::fs::File::from_std(file), path));
        }
        if let Some((file, _)) = &mut draft.file {
            file.write_all(chunk).await.map_err(disk)?;
        }
        Ok(())
    }
}

impl Host for StoreState {
    async fn open(&mut self, key: String) -> Answer<Option<Resource<Reader>>> {
        let Some(path) = self.cache_path(&key)? else { return Ok(None) };
        let opened = std::fs::File::options().read(true).write(true).open(&path);
        let Some((opened, size)) = opened.ok().and_then(|f| f.metadata().ok().map(|m| (f, m.len()))) else {
            return Ok(None);
        };
        // What is asked for is kept for another while.
        let _ = opened.set_times(FileTimes::new().set_modified(SystemTime::now()));
        let reader = Reader::new(file::stream(opened, 0, size, "an entry of the cache"), Some(size));
        Ok(Some(self.table.push(reader)?))
    }
}

impl HostDraft for StoreState {
    async fn new(&mut self, key: String) -> wasmtime::Result<Resource<Draft>> {
        Ok(self.table.push(Draft { key, file: None, written: 0, committed: false })?)
    }

    async fn write(&mut self, draft: Resource<Draft>, chunk: Vec<u8>) -> Answer<()> {
        self.write_draft(&draft, &chunk).await
    }

    async fn commit(&mut self, draft: Resource<Draft>) -> Answer<()> {
        // An empty entry is one too.
        self.write_draft(&draft, &[]).await?;
        let key = self.table.get(&draft)?.key.clone();
        let path = self.cache_path(&key)?;
        let draft = self.table.get_mut(&draft)?;
        draft.committed = true;
        let (Some((mut file, partial)), Some(path)) = (draft.file.take(), path) else { return Ok(()) };
        let disk = |e| Fault::disk("the cache cannot be written", &e);
        file.flush().await.map_err(disk)?;
        // A name without its content, after a loss of power, would look like damage.
        file.sync_data().await.map_err(disk)?;
        partial.persist(path).map_err(|e| Fault::disk("the cache cannot be written", &e.error))
    }

    async fn drop(&mut self, draft: Resource<Draft>) -> wasmtime::Result<()> {
        self.table.delete(draft)?;
        Ok(())
    }
}
