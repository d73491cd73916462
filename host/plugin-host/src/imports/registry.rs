//! `registry`: finding and opening images. What can be done with an open one is in [`super::image`].

use futures_util::StreamExt;
use oc_mirror_model::reference::Source;
use wasmtime::component::Resource;

use crate::bindings::oc_mirror::plugin::registry::{Host, Resolved};
use crate::bindings::oc_mirror::plugin::types::Error;
use crate::convert;
use crate::fault::{Answer, Fault, content_error};
use crate::grants::Access;
use crate::imports::image::Image;
use crate::state::StoreState;

/// How many references of a batch are looked up side by side; the engine bounds what reaches one registry.
const RESOLVING: usize = 32;
/// The most references in one batch.
const MAX_BATCH: usize = 10_000;
/// The most tags that one call lists.
const MAX_TAGS: u32 = 10_000;

impl StoreState {
    /// Refuses to read from where the plugin may not.
    pub(crate) fn check_source(&self, source: &Source) -> Answer<()> {
        match source {
            Source::Registry(reference) => self.check(Access::Registry(reference)),
            Source::Layout(layout) => self.check(Access::Layout(&layout.path)),
        }
    }

    fn allowed_source(&self, text: &str) -> Answer<Source> {
        let source = convert::source(text)?;
        self.check_source(&source)?;
        Ok(source)
    }
}

impl Host for StoreState {
    async fn resolve(&mut self, references: Vec<String>) -> wasmtime::Result<Vec<Result<Resolved, Error>>> {
        if references.len() > MAX_BATCH {
            let why = format!("a batch has at most {MAX_BATCH} references");
            return Ok(references.iter().map(|_| Err(Error::Invalid(why.clone()))).collect());
        }
        let count = references.len() as u64;
        let images = match self.charge_requests(count).and_then(|()| Ok(self.services()?.images.clone())) {
            Ok(images) => images,
            Err(Fault::Answer(error)) => return Ok(references.iter().map(|_| Err(error.clone())).collect()),
            Err(Fault::Trap(trap)) => return Err(trap),
        };
        let sources: Vec<_> = references.iter().map(|text| self.allowed_source(text)).collect();
        let lookups = sources.into_iter().zip(references).map(|(source, reference)| {
            let images = images.clone();
            async move {
                match images.resolve(&source?).await {
                    Ok(found) => {
                        Ok(Resolved { reference, descriptor: convert::descriptor(&found.descriptor) })
                    }
                    Err(error) => Err(Fault::Answer(content_error(&error))),
                }
            }
        });
        let answers: Vec<Answer<Resolved>> =
            futures_util::stream::iter(lookups).buffered(RESOLVING).collect().await;
        let plain = |answer: Answer<Resolved>| match answer {
            Ok(resolved) => Ok(Ok(resolved)),
            Err(Fault::Answer(error)) => Ok(Err(error)),
            Err(Fault::Trap(trap)) => Err(trap),
        };
        answers.into_iter().map(plain).collect()
    }

    async fn tags(&mut self, repository: String, after: Option<String>, limit: u32) -> Answer<Vec<String>> {
        let repository = convert::reference(&repository)?;
        self.check(Access::Registry(&repository))?;
        self.charge_requests(1)?;
        let images = self.services()?.images.clone();
        let limit = limit.clamp(1, MAX_TAGS) as usize;
        Ok(images.tags(&repository, after.as_deref(), limit).await?)
    }

    async fn open(&mut self, reference: String) -> Answer<Resource<Image>> {
        let source = self.allowed_source(&reference)?;
        self.charge_requests(1)?;
        let images = self.services()?.images.clone();
        let view = images.open(&source).await?;
        Ok(self.table.push(Image::new(view))?)
    }
}
