//! Plain memory.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use oc_mirror_engine::content::ContentRead;
use oc_mirror_engine::content::memory::Memory;

use crate::content::Content;
use crate::place::{Opened, Place, Rules};

pub(crate) struct InMemory;

#[async_trait]
impl Place for InMemory {
    fn rules(&self) -> Rules {
        Rules { manifests_last: true, repositories_apart: true, small_pieces: false }
    }

    async fn open(&self, _: &Content) -> Opened {
        let memory = Arc::new(Memory::default());
        Opened {
            write: memory.clone(),
            tags: memory.clone(),
            read: Box::new(|| async move { memory as Arc<dyn ContentRead> }.boxed()),
            _keep: Box::new(()),
        }
    }
}
