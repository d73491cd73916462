//! [`PluginPolicy`]: a component as a policy. Warm instances are kept and used again, and there are only so many.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use oc_mirror_engine::content::ImageView;
use oc_mirror_engine::policy::{Mode, OnFailure, Policy, Stages};
use oc_mirror_engine::source::{Lent, PluginError, PluginIdentity};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::policy::Verdict;
use oc_mirror_model::request::ImageRequest;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::bindings::exports::oc_mirror::plugin::{image_policy, reference_policy};
use crate::convert;
use crate::fault::describe;
use crate::imports::image::Image;
use crate::instance::{Failure, Instance};
use crate::plugin::Plugin;

/// An instance is dropped after so many calls, and once its memory has become so much larger than it was when it began:
/// the memory of guests never shrinks, and what leaks adds up.
const MOST_CALLS: u32 = 4_096;
const MOST_GROWTH: usize = 4 << 20;
/// How many references one call judges: few enough for its deadline, enough to make the call's cost vanish.
const BATCH: usize = 500;
/// What the instances of a policy may hold of memory together, unless that is too little to keep the processors busy.
const POOL_BYTES: usize = 96 << 20;
/// The most instances of a policy, however small they are. All but a few wait for something of a registry.
const MOST_INSTANCES: usize = 64;
/// How many calls are made under the limits of one where they are measured.
const UNCOUNTED: usize = 1_000;
const ON_IMAGES: &str = "evaluate";
const ON_REFERENCES: &str = "evaluate-references";

/// What a number of calls cost.
#[derive(Clone, Copy, Debug)]
pub struct CallCost {
    /// As a run makes them.
    pub whole: Duration,
    /// Without all that is around a call: an instance is taken, the call is bounded and accounted for.
    pub bare: Duration,
}

/// A plugin that judges.
pub(crate) struct PluginPolicy {
    plugin: Plugin,
    mode: Mode,
    on_failure: OnFailure,
    warm: Mutex<Vec<Warm>>,
    /// How many more instances there may be at work. It is raised once it is known how large they are.
    free: Semaphore,
    is_sized: AtomicBool,
}

/// An instance that is ready, with what was found of its exports: looking for them takes as long as a call.
struct Warm {
    instance: Instance,
    images: Option<image_policy::Guest>,
    references: Option<reference_policy::Guest>,
    /// The bytes of its memory when it began.
    begun_with: usize,
}

/// An instance at work, and its place among those that may be.
struct Working<'a> {
    warm: Warm,
    _place: SemaphorePermit<'a>,
}

impl PluginPolicy {
    pub(crate) fn new(plugin: Plugin, mode: Mode, on_failure: OnFailure) -> Self {
        let (warm, free) = (Mutex::new(Vec::new()), Semaphore::new(processors()));
        Self { plugin, mode, on_failure, warm, free, is_sized: AtomicBool::new(false) }
    }

    /// Takes a warm instance, or makes one. It works for this run from now on.
    async fn take(&self, lent: &Arc<Lent>) -> Result<Working<'_>, PluginError> {
        let place = self.free.acquire().await.expect("it is never closed");
        let warm = self.warm.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let warm = match warm {
            Some(mut warm) => {
                warm.instance.store.data_mut().run = Some(lent.clone());
                warm
            }
            None => {
                let instance = self.plugin.start(lent.clone()).await?;
                let begun_with = instance.store.data().memory.used();
                Warm { instance, images: None, references: None, begun_with }
            }
        };
        Ok(Working { warm, _place: place })
    }

    /// Gives an instance back that has answered as it should. One that trapped never gets here.
    fn give_back(&self, Working { mut warm, _place }: Working<'_>) {
        let size = warm.instance.store.data().memory.used();
        if !self.is_sized.swap(true, Ordering::Relaxed) {
            let most = (POOL_BYTES / size.max(1)).clamp(processors(), MOST_INSTANCES);
            self.free.add_permits(most - processors());
        }
        let has_grown = size.saturating_sub(warm.begun_with) > MOST_GROWTH;
        if warm.instance.calls < MOST_CALLS && !has_grown {
            warm.instance.store.data_mut().run = None;
            self.warm.lock().unwrap_or_else(PoisonError::into_inner).push(warm);
        }
    }

    fn failed(&self, call: &str, cause: String) -> PluginError {
        self.plugin.failed(call, Failure { cause, hint: None })
    }

    async fn judge_batch(
        &self,
        lent: &Arc<Lent>,
        batch: &[ImageRequest],
    ) -> Result<Vec<Verdict>, PluginError> {
        let Some(indices) = &self.plugin.exports.reference_policy else {
            return Err(self.failed(ON_REFERENCES, "it judges no references".to_owned()));
        };
        let mut working = self.take(lent).await?;
        let Warm { instance, references, .. } = &mut working.warm;
        let guest = kept(references, || {
            self.plugin.load(ON_REFERENCES, indices.load(&mut instance.store, &instance.exports))
        })?;
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

impl PluginPolicy {
    /// Measures what calls cost, one after the other: as a run makes them, and without all that is around a call there.
    pub(crate) async fn cost(
        &self,
        lent: &Arc<Lent>,
        request: &ImageRequest,
        image: &Arc<dyn ImageView>,
        times: usize,
    ) -> Result<CallCost, PluginError> {
        let start = Instant::now();
        for _ in 0..times {
            self.evaluate(lent, request, image.clone()).await?;
        }
        let whole = start.elapsed();
        let Some(indices) = &self.plugin.exports.image_policy else {
            return Err(self.failed(ON_IMAGES, "it judges no images".to_owned()));
        };
        let mut working = self.take(lent).await?;
        let Warm { instance, images, .. } = &mut working.warm;
        let guest = kept(images, || {
            self.plugin.load(ON_IMAGES, indices.load(&mut instance.store, &instance.exports))
        })?;
        let request = convert::request(request);
        let start = Instant::now();
        let mut left = times;
        while left > 0 {
            // The time that a call may take is that of many here, and they do not take it.
            let some = left.min(UNCOUNTED);
            left -= some;
            let (guest, request, image) = (guest.clone(), request.clone(), image.clone());
            instance
                .call(|store| {
                    Box::pin(async move {
                        for _ in 0..some {
                            let image = store.data_mut().table.push(Image::new(image.clone()))?;
                            let _ = guest.call_evaluate(&mut *store, &request, image).await?;
                        }
                        Ok(())
                    })
                })
                .await
                .map_err(|failure| self.plugin.failed(ON_IMAGES, failure))?;
        }
        Ok(CallCost { whole, bare: start.elapsed() })
    }
}

/// Returns what is kept, or finds it.
fn kept<T: Clone, E>(place: &mut Option<T>, find: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    match place {
        Some(kept) => Ok(kept.clone()),
        None => Ok(place.insert(find()?).clone()),
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
        lent: &Arc<Lent>,
        batch: &[ImageRequest],
    ) -> Result<Vec<Verdict>, PluginError> {
        let mut verdicts = Vec::with_capacity(batch.len());
        for part in batch.chunks(BATCH) {
            verdicts.extend(self.judge_batch(lent, part).await?);
        }
        Ok(verdicts)
    }

    async fn evaluate(
        &self,
        lent: &Arc<Lent>,
        request: &ImageRequest,
        image: Arc<dyn ImageView>,
    ) -> Result<Verdict, PluginError> {
        let Some(indices) = &self.plugin.exports.image_policy else {
            return Err(self.failed(ON_IMAGES, "it judges no images".to_owned()));
        };
        let mut working = self.take(lent).await?;
        let Warm { instance, images, .. } = &mut working.warm;
        let guest = kept(images, || {
            self.plugin.load(ON_IMAGES, indices.load(&mut instance.store, &instance.exports))
        })?;
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
