//! `registry.files`: the files below a directory of an image, one after the other, while their layer is being fetched.

use oc_mirror_engine::content::filesystem::{Walk, Walked};
use wasmtime::component::Resource;

use crate::bindings::oc_mirror::plugin::registry::{Entry, HostFiles};
use crate::fault::Answer;
use crate::imports::filesystem::{OpenCount, entry};
use crate::imports::image::Image;
use crate::imports::streams::Reader;
use crate::state::StoreState;

/// The files of a directory that are being read.
pub struct Files {
    walk: Walk,
    _open: OpenCount,
}

impl StoreState {
    /// Starts to read the files of a directory.
    pub(crate) async fn walk_files(&mut self, image: &Resource<Image>, directory: &str) -> Answer<Files> {
        let view = self.view(image)?;
        let layers = view.manifest().image().map_or(0, |image| image.layers.len());
        self.charge_requests(layers as u64 + 1)?;
        let open = self.one_more_open()?;
        Ok(Files { walk: Walk::start(view, directory).await?, _open: open })
    }
}

impl HostFiles for StoreState {
    async fn next(&mut self, files: Resource<Files>) -> Answer<Option<(Entry, Option<Resource<Reader>>)>> {
        let walk = &mut self.table.get_mut(&files)?.walk;
        let Some(Walked { entry: found, content }) = walk.next().await? else { return Ok(None) };
        let size = found.size;
        let content = content.map(|content| self.table.push(Reader::new(content, Some(size)))).transpose()?;
        Ok(Some((entry(found), content)))
    }

    async fn drop(&mut self, files: Resource<Files>) -> wasmtime::Result<()> {
        self.table.delete(files)?;
        Ok(())
    }
}
