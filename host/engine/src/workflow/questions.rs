//! Asks a content source what there is to mirror: [`Asking`]. Nothing is mirrored, and no workspace is used.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::Run;
use super::alone::run_info;
use super::images::{Origins, RunImages};
use super::kept::{self, Kept};
use crate::content::Images;
use crate::source::{HttpFetch, Inspector, NoKeys, PluginError, RunInfo, Services};

/// What is lent to a source while it answers.
pub struct Asking {
    run: RunInfo,
    services: Services,
}

impl Asking {
    /// Prepares to ask. What sources find out is kept below `cache`; `scratch` is for files of these questions only.
    pub fn new(
        run: &Run,
        origins: Arc<dyn Origins>,
        http: Arc<dyn HttpFetch>,
        cache: PathBuf,
        scratch: PathBuf,
    ) -> Self {
        let blobs = Kept::open(&cache.join("blobs"));
        let plugins = cache.join("plugins");
        kept::prune(&plugins);
        let images =
            RunImages::new(origins, run.retry, run.events.clone(), HashSet::new(), blobs, None, None);
        let services = Services {
            images: Arc::new(images) as Arc<dyn Images>,
            http,
            events: run.events.clone(),
            scratch,
            cancelled: run.cancelled.clone(),
            state: Arc::default(),
            cache: Some(plugins),
            unavailable: Arc::default(),
            signatures: Arc::new(NoKeys),
        };
        Self { run: run_info(&run.program, &run.created, None), services }
    }

    /// Asks one question.
    pub async fn ask(
        &self,
        inspector: &dyn Inspector,
        question: &str,
        arguments: &Value,
    ) -> Result<Value, PluginError> {
        inspector.query(&self.run, &self.services, question, arguments).await
    }
}
