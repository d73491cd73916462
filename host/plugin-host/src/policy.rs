//! [`PluginPolicy`]: a component as a policy. Warm instances are kept and used again, and there are only so many.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use oc_mirror_engine::content::ImageView;
use oc_mirror_engine::policy::{Mode, OnFailure, Policy, Stages};
use oc_mirror_engine::source::{PluginError, PluginIdentity, RunInfo, Services};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::policy::Verdict;
use oc_mirror_model::request::ImageRequest;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::convert;
use crate::fault::describe;
use crate::imports::image::Image;
use crate::instance::{Failure, Instance};
use crate::plugin::Plugin;
use crate::state::Run;

/// An instance is dropped after so many calls: the memory of guests never shrinks, and what leaks adds up.
const MOST_CALLS: u32 = 256;
/// How many references one call judges: few enough for its deadline, enough to make the call's cost vanish.
const BATCH: usize = 500;
/// What the instances of a policy may hold of memory together, unless that is too little to keep the processors busy.
const POOL_BYTES: usize = 96 << 20;
/// The most instances of a policy, however small they are. All but a few wait for something of a registry.
const MOST_INSTANCES: usize = 64;
const ON_IMAGES: &str = "evaluate";
const ON_REFERENCES: &str = "evaluate-references";

/// A plugin that judges.
pub(crate) struct PluginPolicy {
    plugin: Plugin,
    mode: Mode,
    on_failure: OnFailure,
    warm: Mutex<Vec<Instance>>,
    /// How many more instances there may be at work. It is raised once it is known how large they are.
    free: Semaphore,
    is_sized: AtomicBool,
}

/// An instance at work, and its place among those that may be.
struct Working<'a> {
    instance: Instance,
    _place: SemaphorePermit<'a>,
}

impl PluginPolicy {
    pub(crate) fn new(plugin: Plugin, mode: Mode, on_failure: OnFailure) -> Self {
        let (warm, free) = (Mutex::new(Vec::new()), Semaphore::new(processors()));
        Self { plugin, mode, on_failure, warm, free, is_sized: AtomicBool::new(false) }
    }

    /// Takes a warm instance, or makes one. It works for this run from now on.
    async fn take(&self, run: &RunInfo, services: &Services) -> Result<Working<'_>, PluginError> {
        let place = self.free.acquire().await.expect("it is never closed");
        let run = Run { info: run.clone(), services: services.clone() };
        let warm = self.warm.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let instance = match warm {
            Some(mut instance) => {
                instance.store.data_mut().run = Some(run);
                instance
            }
            None => self.plugin.start(run).await?,
        };
        Ok(Working { instance, _place: place })
    }

    /// Gives an instance back that has answered as it should. One that trapped never gets here.
    fn give_back(&self, Working { mut instance, _place }: Working<'_>) {
        if !self.is_sized.swap(true, Ordering::Relaxed) {
            let size = instance.store.data().memory.used().max(1);
            let most = (POOL_BYTES / size).clamp(processors(), MOST_INSTANCES);
            self.free.add_permits(most - processors());
        }
        if instance.calls < MOST_CALLS {
            instance.store.data_mut().run = None;
            self.warm.lock().unwrap_or_else(PoisonError::into_inner).push(instance);
        }
    }

    fn failed(&self, call: &str, cause: String) -> PluginError {
        self.plugin.failed(call, Failure { cause, hint: None })
    }

    async fn judge_batch(
        &self,
        run: &RunInfo,
        services: &Services,
        batch: &[ImageRequest],
    ) -> Result<Vec<Verdict>, PluginError> {
        let Some(indices) = &self.plugin.exports.reference_policy else {
            return Err(self.failed(ON_REFERENCES, "it judges no references".to_owned()));
        };
        let mut working = self.take(run, services).await?;
        let instance = &mut working.instance;
        let guest = self.plugin.load(ON_REFERENCES, indices.load(&mut instance.store, &instance.exports))?;
        let requests: Vec<_> = batch.iter().map(convert::request).collect();
        let verdicts = instance
            .call(|store| Box::pin(async move { guest.call_evaluate_references(store, &requests).await }))
            .await
            .map_err(|failure| self.plugin.failed(ON_REFERENCES, failure))?;
        self.give_back(working);
        if verdicts.len() != batch.len() {
            let cause = format!("it gave {} verdicts on {} references", verdicts.len(), batch.len());
            return Err(self.failed(ON_REFERENCES, cause));
        }
        Ok(verdicts.into_iter().map(convert::verdict).collect())
    }
}

/// How many instances can compute at a time.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(MOST_INSTANCES)
}

#[async_trait]
impl Policy for PluginPolicy {
    fn identity(&self) -> &PluginIdentity {
        &self.plugin.shared.identity
    }

    fn mode(&self) -> Mode {
        self.mode
    }

    fn on_failure(&self) -> OnFailure {
        self.on_failure
    }

    fn settings(&self) -> Digest {
        Digest::of(self.plugin.shared.settings.as_bytes())
    }

    fn stages(&self) -> Stages {
        let exports = &self.plugin.exports;
        let (judges_images, is_late) = (exports.image_policy.is_some(), self.plugin.shared.judges_content);
        Stages {
            reference: exports.reference_policy.is_some(),
            manifest: judges_images && !is_late,
            content: judges_images && is_late,
        }
    }

    async fn evaluate_references(
        &self,
        run: &RunInfo,
        services: &Services,
        batch: &[ImageRequest],
    ) -> Result<Vec<Verdict>, PluginError> {
        let mut verdicts = Vec::with_capacity(batch.len());
        for part in batch.chunks(BATCH) {
            verdicts.extend(self.judge_batch(run, services, part).await?);
        }
        Ok(verdicts)
    }

    async fn evaluate(
        &self,
        run: &RunInfo,
        services: &Services,
        request: &ImageRequest,
        image: Arc<dyn ImageView>,
    ) -> Result<Verdict, PluginError> {
        let Some(indices) = &self.plugin.exports.image_policy else {
            return Err(self.failed(ON_IMAGES, "it judges no images".to_owned()));
        };
        let mut working = self.take(run, services).await?;
        let instance = &mut working.instance;
        let guest = self.plugin.load(ON_IMAGES, indices.load(&mut instance.store, &instance.exports))?;
        let request = convert::request(request);
        let answer = instance
            .call(|store| {
                Box::pin(async move {
                    let image = store.data_mut().table.push(Image::new(image))?;
                    guest.call_evaluate(store, &request, image).await
                })
            })
            .await
            .map_err(|failure| self.plugin.failed(ON_IMAGES, failure))?;
        let hint = instance.remedy();
        self.give_back(working);
        answer
            .map(convert::verdict)
            .map_err(|error| self.plugin.failed(ON_IMAGES, Failure { cause: describe(&error), hint }))
    }
}
