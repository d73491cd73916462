//! Asks content sources what they want, and policies what they refuse: [`collect`].

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use oc_mirror_model::imageset::RefusedImage;
use oc_mirror_model::policy::{Decision, Finding, Verdict};
use oc_mirror_model::report::{Failure, exit};
use oc_mirror_model::request::ImageRequest;

use super::prepare::chain_of;
use super::resolve::{ResolvedImage, source_of};
use crate::content::{ContentError, ImageView};
use crate::policy::{Mode, Policy};
use crate::report::Event;
use crate::source::{Collected, ContentSource, PluginError, RunInfo, Services};

/// References are shown to policies in batches: one call for each image would cost more than the judging.
const BATCH: usize = 1000;

/// What one source wants.
#[derive(Debug)]
pub(super) struct Wanted {
    /// The source's place in the configuration.
    pub place: usize,
    /// Its name.
    pub plugin: String,
    /// What it said.
    pub collected: Collected,
}

/// Lets sources do what they can do ahead, side by side. What breaks is a failure of that source.
pub(super) async fn prepare(
    sources: &[Box<dyn ContentSource>],
    run: &RunInfo,
    services: &Services,
) -> Vec<(usize, Failure)> {
    let preparing = sources.iter().map(|source| source.prepare(run, services));
    let ended = futures_util::future::join_all(preparing).await;
    let failed = ended.into_iter().enumerate();
    failed.filter_map(|(place, ended)| Some((place, plugin_failure(&ended.err()?)))).collect()
}

/// Asks one source.
pub(super) async fn collect(
    sources: &[Box<dyn ContentSource>],
    place: usize,
    run: &RunInfo,
    services: &Services,
) -> Result<Wanted, Failure> {
    let source = &sources[place];
    match source.collect(run, services).await {
        Ok(collected) => Ok(Wanted { place, plugin: source.identity().name.clone(), collected }),
        Err(error) => Err(plugin_failure(&error)),
    }
}

fn plugin_failure(error: &PluginError) -> Failure {
    Failure {
        subject: error.plugin.clone(),
        kind: String::new(),
        message: error.to_string(),
        hint: error.hint.clone(),
        // The built-in sources are named after what they mirror, and fail under that bit.
        exit_code: exit::for_kind(match error.plugin.as_str() {
            "operator" => oc_mirror_model::request::kind::CATALOG,
            other => other,
        }),
    }
}

/// Judges images by all policies.
pub(super) struct Judge<'a> {
    /// The policies, in the order of the configuration.
    pub policies: &'a [Box<dyn Policy>],
    /// What they may know.
    pub run: &'a RunInfo,
    /// What they may use.
    pub services: &'a Services,
}

impl Judge<'_> {
    /// Judges references before anything is fetched; returns those that pass, and those that do not.
    pub(super) async fn references(
        &self,
        requests: Vec<(String, ImageRequest)>,
    ) -> (Vec<(String, ImageRequest)>, Vec<RefusedImage>) {
        let policies: Vec<_> = self.policies.iter().filter(|p| p.stages().reference).collect();
        if policies.is_empty() {
            return (requests, Vec::new());
        }
        let (mut passed, mut refused) = (Vec::new(), Vec::new());
        for batch in requests.chunks(BATCH) {
            let plain: Vec<ImageRequest> = batch.iter().map(|(_, r)| r.clone()).collect();
            let mut decisions = vec![Decision::default(); batch.len()];
            for policy in &policies {
                let verdicts = policy.evaluate_references(self.run, self.services, &plain).await;
                self.add(policy.as_ref(), verdicts.map_err(|e| e.to_string()), &mut decisions);
            }
            for ((plugin, request), decision) in batch.iter().zip(decisions) {
                self.warn(&request.origin, &decision);
                match refusal(request, None, &decision) {
                    Some(image) => refused.push(image),
                    None => passed.push((plugin.clone(), request.clone())),
                }
            }
        }
        (passed, refused)
    }

    /// Judges resolved images, several at a time; keeps their order.
    pub(super) async fn images(
        &self,
        images: Vec<ResolvedImage>,
        parallel: usize,
    ) -> (Vec<ResolvedImage>, Vec<RefusedImage>) {
        if !self.policies.iter().any(|policy| policy.stages().image) {
            return (images, Vec::new());
        }
        let decisions: Vec<Decision> =
            stream::iter(&images).map(|image| self.image(image)).buffered(parallel.max(1)).collect().await;
        let (mut passed, mut refused) = (Vec::new(), Vec::new());
        for (image, decision) in images.into_iter().zip(decisions) {
            self.warn(&image.entry.request.origin, &decision);
            match refusal(&image.entry.request, Some(&image), &decision) {
                Some(refusal) => refused.push(refusal),
                None => passed.push(image),
            }
        }
        (passed, refused)
    }

    async fn image(&self, image: &ResolvedImage) -> Decision {
        let mut decision = Decision::default();
        for policy in self.policies.iter().filter(|p| p.stages().image) {
            let verdict = match self.view(image).await {
                Ok(view) => {
                    let judged = policy.evaluate(self.run, self.services, &image.entry.request, view).await;
                    judged.map_err(|error| error.to_string())
                }
                Err(error) => Err(chain_of(&error)),
            };
            self.add(policy.as_ref(), verdict.map(|v| vec![v]), std::slice::from_mut(&mut decision));
        }
        decision
    }

    /// Opens an image that has been resolved: its manifest is at hand.
    async fn view(&self, image: &ResolvedImage) -> Result<Arc<dyn ImageView>, ContentError> {
        self.services.images.open(&source_of(&image.entry.request)?).await
    }

    /// Adds the answer of one policy. A policy that breaks, or answers for another number of images, refuses all.
    fn add(&self, policy: &dyn Policy, verdicts: Result<Vec<Verdict>, String>, decisions: &mut [Decision]) {
        let name = &policy.identity().name;
        let verdicts = match verdicts {
            Ok(verdicts) if verdicts.len() == decisions.len() => Ok(verdicts),
            Ok(verdicts) => Err(format!("it gave {} verdicts on {} images", verdicts.len(), decisions.len())),
            Err(message) => Err(message),
        };
        match verdicts {
            Ok(verdicts) => {
                for (decision, verdict) in decisions.iter_mut().zip(verdicts) {
                    decision.add(name, as_mode_has_it(policy.mode(), verdict));
                }
            }
            Err(message) => {
                for decision in decisions {
                    if policy.mode() == Mode::Monitor {
                        decision.add(name, Verdict::Warn(vec![finding("policy.failed", &message)]));
                    } else {
                        decision.add_failure(name, message.clone());
                    }
                }
            }
        }
    }

    fn warn(&self, origin: &str, decision: &Decision) {
        for warning in &decision.warnings {
            let message =
                format!("{} ({}, {})", warning.finding.message, warning.policy, warning.finding.code);
            self.services.events.event(Event::Warning { subject: origin, message: &message });
        }
    }
}

fn as_mode_has_it(mode: Mode, verdict: Verdict) -> Verdict {
    match (mode, verdict) {
        (Mode::Monitor, Verdict::Deny(findings)) => Verdict::Warn(findings),
        (_, verdict) => verdict,
    }
}

fn finding(code: &str, message: &str) -> Finding {
    Finding { code: code.to_owned(), message: message.to_owned(), details: Default::default() }
}

fn refusal(
    request: &ImageRequest,
    image: Option<&ResolvedImage>,
    decision: &Decision,
) -> Option<RefusedImage> {
    let first = decision.denied.first()?;
    Some(RefusedImage {
        origin: request.origin.clone(),
        kind: request.kind.clone(),
        digest: image.map(|i| i.entry.root.digest.clone()),
        policy: first.policy.clone(),
        code: first.finding.code.clone(),
        message: first.finding.message.clone(),
        details: first.finding.details.clone(),
    })
}
