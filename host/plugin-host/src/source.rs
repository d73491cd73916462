//! [`PluginSource`]: a component as a content source. Each collection gets a new instance.

use async_trait::async_trait;
use oc_mirror_engine::source::{Collected, ContentSource, PluginError, PluginIdentity, RunInfo, Services};

use crate::fault::describe;
use crate::imports::plan::{Collecting, Sink};
use crate::instance::Failure;
use crate::plugin::Plugin;
use crate::state::Run;

const CALL: &str = "collect";

/// A plugin that collects.
pub(crate) struct PluginSource {
    pub(crate) plugin: Plugin,
}

impl PluginSource {
    fn failed(&self, cause: String) -> PluginError {
        self.plugin.failed(CALL, Failure { cause, hint: None })
    }
}

#[async_trait]
impl ContentSource for PluginSource {
    fn identity(&self) -> &PluginIdentity {
        &self.plugin.shared.identity
    }

    async fn collect(&self, run: &RunInfo, services: &Services) -> Result<Collected, PluginError> {
        let plugin = &self.plugin;
        let indices = plugin.exports.source.as_ref().expect("checked when it was loaded");
        let mut instance = plugin.start(Run { info: run.clone(), services: services.clone() }).await?;
        let guest = plugin.load(CALL, indices.load(&mut instance.store, &instance.exports))?;
        let collecting = Collecting::new(&services.scratch)
            .map_err(|e| self.failed(format!("a directory for its files cannot be made: {e}")))?;
        instance.store.data_mut().collecting = Some(collecting);
        let answer = instance
            .call(|store| {
                Box::pin(async move {
                    let sink = store.data_mut().table.push(Sink)?;
                    guest.call_collect(store, sink).await
                })
            })
            .await
            .map_err(|failure| plugin.failed(CALL, failure))?;
        // Only here does anything of it count: a guest that trapped or gave up half-way has found nothing.
        answer.map_err(|error| self.failed(describe(&error)))?;
        let collecting = instance.store.data_mut().collecting.take().expect("put there above");
        collecting.finish().map_err(|why| self.failed(why))
    }
}
