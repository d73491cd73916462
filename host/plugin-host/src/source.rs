//! [`PluginSource`]: a component as a content source, and [`PluginInspector`]: one as something that answers questions.
//! Each call gets a new instance.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use oc_mirror_engine::source::{
    Collected, ContentSource, Inspector, Lent, PluginError, PluginIdentity, RunInfo, Services,
};
use serde_json::Value;

use crate::bindings::oc_mirror::plugin::types::Error;
use crate::fault::describe;
use crate::imports::plan::{Collecting, Sink};
use crate::instance::{Failure, Instance};
use crate::plugin::Plugin;
use crate::text::{MESSAGE, clean};

const COLLECT: &str = "collect";
const PREPARE: &str = "prepare";
const QUERY: &str = "query";

/// How many parts of a preparation run side by side. Each is bound by one processor core and has memory of its own.
const SIDE_BY_SIDE: usize = 2;
/// The most parts that are prepared; what is beyond is found out by `collect`.
const MOST_PARTS: u32 = 1_000;

/// A plugin that collects.
pub(crate) struct PluginSource {
    pub(crate) plugin: Plugin,
}

fn failed(plugin: &Plugin, call: &str, cause: String) -> PluginError {
    plugin.failed(call, Failure { cause, hint: None })
}

/// Says what a guest answered instead of a result. A message may end with a hint for the user, after `hint: `; where it has
/// none, a grant that was missing is one.
fn answered(plugin: &Plugin, call: &str, error: &Error, instance: &Instance) -> PluginError {
    let text = describe(error);
    let (cause, hint) = match text.rsplit_once("; hint: ") {
        Some((cause, hint)) => (cause.to_owned(), Some(hint.to_owned())),
        None => (text, instance.remedy()),
    };
    plugin.failed(call, Failure { cause, hint })
}

async fn start(plugin: &Plugin, run: &RunInfo, services: &Services) -> Result<Instance, PluginError> {
    plugin.start(Arc::new(Lent { run: run.clone(), services: services.clone() })).await
}

impl PluginSource {
    async fn parts(&self, run: &RunInfo, services: &Services) -> Result<u32, PluginError> {
        let plugin = &self.plugin;
        let Some(indices) = &plugin.exports.preparation else { return Ok(0) };
        let mut instance = start(plugin, run, services).await?;
        let guest = plugin.load(PREPARE, indices.load(&mut instance.store, &instance.exports))?;
        let parts = instance.call(|store| Box::pin(async move { guest.call_parts(store).await })).await;
        parts.map(|parts| parts.min(MOST_PARTS)).map_err(|failure| plugin.failed(PREPARE, failure))
    }

    async fn prepare_part(&self, run: &RunInfo, services: &Services, part: u32) -> Result<(), PluginError> {
        let plugin = &self.plugin;
        let Some(indices) = &plugin.exports.preparation else { return Ok(()) };
        let mut instance = start(plugin, run, services).await?;
        let guest = plugin.load(PREPARE, indices.load(&mut instance.store, &instance.exports))?;
        let answer = instance
            .call(|store| Box::pin(async move { guest.call_prepare(store, part).await }))
            .await
            .map_err(|failure| plugin.failed(PREPARE, failure))?;
        answer.map_err(|error| answered(plugin, PREPARE, &error, &instance))
    }
}

#[async_trait]
impl ContentSource for PluginSource {
    fn identity(&self) -> &PluginIdentity {
        &self.plugin.shared.identity
    }

    async fn prepare(&self, run: &RunInfo, services: &Services) -> Result<(), PluginError> {
        let parts = self.parts(run, services).await?;
        // One part alone is as fast within `collect`.
        let parts = if parts > 1 { 0..parts } else { 0..0 };
        let preparing = stream::iter(parts).map(|part| self.prepare_part(run, services, part));
        preparing.buffer_unordered(SIDE_BY_SIDE).try_collect().await
    }

    async fn collect(&self, run: &RunInfo, services: &Services) -> Result<Collected, PluginError> {
        let plugin = &self.plugin;
        let indices = plugin.exports.source.as_ref().expect("checked when it was loaded");
        let mut instance = start(plugin, run, services).await?;
        let guest = plugin.load(COLLECT, indices.load(&mut instance.store, &instance.exports))?;
        let collecting = Collecting::new(&services.scratch)
            .map_err(|e| failed(plugin, COLLECT, format!("a directory for its files cannot be made: {e}")))?;
        instance.store.data_mut().collecting = Some(collecting);
        let answer = instance
            .call(|store| {
                Box::pin(async move {
                    let sink = store.data_mut().table.push(Sink)?;
                    guest.call_collect(store, sink).await
                })
            })
            .await
            .map_err(|failure| plugin.failed(COLLECT, failure))?;
        // Only here does anything of it count: a guest that trapped or gave up half-way has found nothing.
        answer.map_err(|error| answered(plugin, COLLECT, &error, &instance))?;
        let collecting = instance.store.data_mut().collecting.take().expect("put there above");
        collecting.finish().map_err(|why| failed(plugin, COLLECT, why))
    }
}

/// A plugin that answers questions.
pub(crate) struct PluginInspector {
    pub(crate) plugin: Plugin,
}

#[async_trait]
impl Inspector for PluginInspector {
    async fn query(
        &self,
        run: &RunInfo,
        services: &Services,
        question: &str,
        arguments: &Value,
    ) -> Result<Value, PluginError> {
        let plugin = &self.plugin;
        let indices = plugin.exports.inspection.as_ref().expect("checked when it was loaded");
        let mut instance = start(plugin, run, services).await?;
        let guest = plugin.load(QUERY, indices.load(&mut instance.store, &instance.exports))?;
        let (question, arguments) = (question.to_owned(), arguments.to_string());
        let answer = instance
            .call(|store| Box::pin(async move { guest.call_query(store, &question, &arguments).await }))
            .await
            .map_err(|failure| plugin.failed(QUERY, failure))?;
        let text = answer.map_err(|error| answered(plugin, QUERY, &error, &instance))?;
        serde_json::from_str(&text)
            .map_err(|e| failed(plugin, QUERY, clean(&format!("its answer is not JSON: {e}"), MESSAGE)))
    }
}
