//! Asks policies what they refuse: [`Judge`]. Images are judged side by side, and all that is said keeps their order.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{StreamExt, stream};
use oc_mirror_model::audit::{Answer, PolicyAudit, Said};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::RefusedImage;
use oc_mirror_model::policy::{Decision, Finding, Stage, Verdict};
use oc_mirror_model::request::ImageRequest;
use tokio::task::JoinSet;

use super::images::RunImages;
use super::prepare::chain_of;
use super::resolve::{ResolvedImage, source_of};
use crate::content::{ContentError, ImageView};
use crate::policy::{Mode, OnFailure, Policy};
use crate::report::Event;
use crate::source::{Lent, PluginError, RunInfo, Services};

/// References are shown to policies in batches: one call for each image would cost more than the judging.
pub(super) const BATCH: usize = 500;

/// The code with which a policy that broke refuses.
pub(super) const BROKEN_POLICY: &str = "policy.failed";

/// What one policy answered, by its place in the configuration; why there is no answer, if there is none.
pub(super) type Answers = Vec<(usize, Result<Verdict, String>)>;

/// Judges images by all policies.
pub(super) struct Judge<'a> {
    /// The policies, in the order of the configuration.
    pub policies: &'a [Arc<dyn Policy>],
    /// What they may know.
    pub run: &'a RunInfo,
    /// What they may use.
    pub services: &'a Services,
    /// How many images are judged at a time.
    pub parallel: usize,
}

/// An image whose content is judged.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// What asked for it.
    pub request: ImageRequest,
    /// Its manifest or index.
    pub digest: Digest,
}

/// What policies said about the content of images in this run. Each image is judged once, however often the run is planned.
#[derive(Debug, Default)]
pub(super) struct Judged(HashMap<(String, Digest), Answers>);

impl Judged {
    /// Returns what was said about an image; nothing if it was not judged.
    pub(super) fn of(&self, request: &ImageRequest, digest: &Digest) -> Option<&Answers> {
        self.0.get(&(request.origin.clone(), digest.clone()))
    }

    /// Answers whether nothing was judged.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Returns the account that there will be if no policy has anything against the content of so many images.
pub(super) fn expected(
    policies: &[Arc<dyn Policy>],
    account: &[PolicyAudit],
    images: usize,
) -> Vec<PolicyAudit> {
    let mut account = account.to_vec();
    let judging = policies.iter().zip(&mut account).filter(|(policy, _)| policy.stages().content);
    for (_, account) in judging {
        account.asked += images as u64;
        account.allowed += images as u64;
    }
    account
}

impl Judge<'_> {
    /// Returns an account of what each policy says, on which nothing is yet.
    pub(super) fn account(&self) -> Vec<PolicyAudit> {
        let account = |policy: &Arc<dyn Policy>| {
            let identity = policy.identity();
            PolicyAudit {
                policy: identity.name.clone(),
                id: identity.id.clone(),
                version: identity.version.clone(),
                component: identity.digest.clone(),
                settings: policy.settings(),
                mode: policy.mode(),
                failure: policy.on_failure(),
                asked: 0,
                allowed: 0,
                warned: 0,
                denied: 0,
                failed: 0,
                findings: Vec::new(),
            }
        };
        self.policies.iter().map(account).collect()
    }

    /// Judges references before anything is fetched; returns those that pass, and those that do not.
    pub(super) async fn references(
        &self,
        requests: Vec<(String, ImageRequest)>,
        account: &mut [PolicyAudit],
    ) -> (Vec<(String, ImageRequest)>, Vec<RefusedImage>) {
        let policies = self.asked(|policy| policy.stages().reference);
        if policies.is_empty() || requests.is_empty() {
            return (requests, Vec::new());
        }
        let lent = self.lent(requests.len());
        let (plugins, requests): (Vec<String>, Vec<ImageRequest>) = requests.into_iter().unzip();
        let count = requests.len().div_ceil(BATCH);
        let judged = side_by_side(requests, count, 1, move |requests: Arc<Vec<ImageRequest>>, batch| {
            let (policies, lent) = (policies.clone(), lent.clone());
            async move {
                let end = requests.len().min((batch + 1) * BATCH);
                batch_answers(&policies, &lent, &requests[batch * BATCH..end]).await
            }
        });
        let (requests, answers) = judged.await;
        let (mut passed, mut refused) = (Vec::new(), Vec::new());
        let answers = answers.into_iter().flatten();
        for ((plugin, request), answers) in plugins.into_iter().zip(requests).zip(answers) {
            match self.decide(Stage::Reference, &request, None, answers, account) {
                Some(image) => refused.push(image),
                None => passed.push((plugin, request)),
            }
        }
        (passed, refused)
    }

    /// Judges resolved images; keeps their order.
    pub(super) async fn images(
        &self,
        images: Vec<ResolvedImage>,
        account: &mut [PolicyAudit],
    ) -> (Vec<ResolvedImage>, Vec<RefusedImage>) {
        let policies = self.asked(|policy| policy.stages().manifest);
        if policies.is_empty() || images.is_empty() {
            return (images, Vec::new());
        }
        let (count, lent) = (images.len(), self.lent(images.len()));
        let judged =
            side_by_side(images, count, self.parallel, move |images: Arc<Vec<ResolvedImage>>, at| {
                let (policies, lent) = (policies.clone(), lent.clone());
                async move {
                    let request = &images[at].entry.request;
                    // Its manifest is at hand.
                    let view = match source_of(request) {
                        Ok(source) => lent.services.images.open(&source).await,
                        Err(error) => Err(error),
                    };
                    image_answers(&policies, &lent, request, view).await
                }
            });
        let (images, answers) = judged.await;
        let (mut passed, mut refused) = (Vec::new(), Vec::new());
        for (image, answers) in images.into_iter().zip(answers) {
            let digest = Some(&image.entry.root.digest);
            match self.decide(Stage::Manifest, &image.entry.request, digest, answers, account) {
                Some(refusal) => refused.push(refusal),
                None => passed.push(image),
            }
        }
        (passed, refused)
    }

    /// Applies what is known of the content of images; keeps their order. What nobody has judged yet passes.
    pub(super) fn known(
        &self,
        images: Vec<ResolvedImage>,
        judged: &Judged,
        account: &mut [PolicyAudit],
    ) -> (Vec<ResolvedImage>, Vec<RefusedImage>) {
        if judged.is_empty() {
            return (images, Vec::new());
        }
        let (mut passed, mut refused) = (Vec::new(), Vec::new());
        for image in images {
            let (request, digest) = (&image.entry.request, &image.entry.root.digest);
            let answers = judged.of(request, digest).cloned().unwrap_or_default();
            match self.decide(Stage::Content, request, Some(digest), answers, account) {
                Some(refusal) => refused.push(refusal),
                None => passed.push(image),
            }
        }
        (passed, refused)
    }

    /// Judges images by all that is in them, and notes the answers. Returns whether there is nothing against any of them.
    pub(super) async fn content(
        &self,
        images: &Arc<RunImages>,
        subjects: Vec<Subject>,
        judged: &mut Judged,
    ) -> bool {
        let policies = self.asked(|policy| policy.stages().content);
        let (count, lent, images) = (subjects.len(), self.lent(subjects.len()), images.clone());
        let asked = side_by_side(subjects, count, self.parallel, move |subjects: Arc<Vec<Subject>>, at| {
            let (policies, lent, images) = (policies.clone(), lent.clone(), images.clone());
            async move {
                let Subject { request, digest } = &subjects[at];
                let view = match source_of(request) {
                    Ok(source) => images.open_pinned(&source, digest).await,
                    Err(error) => Err(error),
                };
                let view = view.map(|view| Arc::new(view) as Arc<dyn ImageView>);
                image_answers(&policies, &lent, request, view).await
            }
        });
        let (subjects, answers) = asked.await;
        let mut is_clear = true;
        for (Subject { request, digest }, answers) in subjects.into_iter().zip(answers) {
            is_clear &= answers.iter().all(|(_, answer)| matches!(answer, Ok(Verdict::Allow)));
            judged.0.insert((request.origin, digest), answers);
        }
        is_clear
    }

    /// Returns what policies are lent that are asked about so many images.
    fn lent(&self, images: usize) -> Arc<Lent> {
        let run = RunInfo { images: Some(images as u64), ..self.run.clone() };
        Arc::new(Lent { run, services: self.services.clone() })
    }

    /// Returns the policies that are asked at a stage, with their places in the configuration.
    fn asked(&self, is_asked: impl Fn(&dyn Policy) -> bool) -> Policies {
        let all = self.policies.iter().enumerate().filter(|(_, policy)| is_asked(policy.as_ref()));
        all.map(|(place, policy)| (place, policy.clone())).collect()
    }

    /// Puts together what all policies said about an image; returns it if they refuse it.
    fn decide(
        &self,
        stage: Stage,
        request: &ImageRequest,
        digest: Option<&Digest>,
        answers: Answers,
        account: &mut [PolicyAudit],
    ) -> Option<RefusedImage> {
        let mut decision = Decision::default();
        for (place, answer) in answers {
            let policy = self.policies[place].as_ref();
            note(&mut account[place], stage, &request.origin, &answer);
            add(&mut decision, policy, answer);
        }
        self.warn(&request.origin, &decision);
        refusal(stage, request, digest, &decision)
    }

    fn warn(&self, origin: &str, decision: &Decision) {
        for warning in &decision.warnings {
            let message =
                format!("{} ({}, {})", warning.finding.message, warning.policy, warning.finding.code);
            self.services.events.event(Event::Warning { subject: origin, message: &message });
        }
    }
}

type Policies = Arc<[(usize, Arc<dyn Policy>)]>;

/// Asks all policies about a batch of references, one after the other. A policy that breaks, or answers for another number of
/// them, has no answer for any.
async fn batch_answers(policies: &Policies, lent: &Arc<Lent>, batch: &[ImageRequest]) -> Vec<Answers> {
    let mut answers = vec![Answers::with_capacity(policies.len()); batch.len()];
    for (place, policy) in policies.iter() {
        let verdicts = policy.evaluate_references(lent, batch).await.map_err(|e| told(&e));
        let verdicts = match verdicts {
            Ok(verdicts) if verdicts.len() != batch.len() => {
                Err(format!("it gave {} verdicts on {} images", verdicts.len(), batch.len()))
            }
            verdicts => verdicts,
        };
        match verdicts {
            Ok(verdicts) => {
                answers.iter_mut().zip(verdicts).for_each(|(of, verdict)| of.push((*place, Ok(verdict))));
            }
            Err(why) => answers.iter_mut().for_each(|of| of.push((*place, Err(why.clone())))),
        }
    }
    answers
}

/// Says how a policy failed, and what to do about it unless the failure says so itself.
fn told(error: &PluginError) -> String {
    match &error.hint {
        Some(hint) if !error.cause.contains(hint.as_str()) => format!("{error}; {hint}"),
        _ => error.to_string(),
    }
}

/// Asks all policies about an image, one after the other.
async fn image_answers(
    policies: &Policies,
    lent: &Arc<Lent>,
    request: &ImageRequest,
    view: Result<Arc<dyn ImageView>, ContentError>,
) -> Answers {
    let view = view.map_err(|error| chain_of(&error));
    let mut answers = Answers::with_capacity(policies.len());
    for (place, policy) in policies.iter() {
        let answer = match &view {
            Ok(view) => {
                let judged = policy.evaluate(lent, request, view.clone()).await;
                judged.map_err(|error| told(&error))
            }
            Err(error) => Err(error.clone()),
        };
        answers.push((*place, answer));
    }
    answers
}

/// Does something for each number below `count`, on all threads of the runtime and `parallel` at a time; returns the outcomes in
/// order, and what was lent.
pub(super) async fn side_by_side<T, R, F, W>(lent: T, count: usize, parallel: usize, work: W) -> (T, Vec<R>)
where
    T: Send + Sync + 'static,
    R: Send + 'static,
    F: Future<Output = R> + Send + 'static,
    W: Fn(Arc<T>, usize) -> F + Clone + Send + Sync + 'static,
{
    let threads = tokio::runtime::Handle::current().metrics().num_workers().clamp(1, count.max(1));
    let each = parallel.div_ceil(threads).max(1);
    let (lent, next) = (Arc::new(lent), Arc::new(AtomicUsize::new(0)));
    let mut workers = JoinSet::new();
    for _ in 0..threads {
        let (lent, next, work) = (lent.clone(), next.clone(), work.clone());
        workers.spawn(async move {
            let take = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < count);
            let started = stream::iter(std::iter::from_fn(take)).map(|number| {
                let working = work(lent.clone(), number);
                async move { (number, working.await) }
            });
            started.buffer_unordered(each).collect::<Vec<_>>().await
        });
    }
    let mut done: Vec<(usize, R)> = Vec::with_capacity(count);
    while let Some(ended) = workers.join_next().await {
        match ended.map_err(tokio::task::JoinError::try_into_panic) {
            Ok(part) => done.extend(part),
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            Err(Err(_)) => unreachable!("nobody aborts a worker while it is waited for"),
        }
    }
    done.sort_unstable_by_key(|(number, _)| *number);
    let lent = Arc::into_inner(lent).expect("the workers have ended");
    (lent, done.into_iter().map(|(_, outcome)| outcome).collect())
}

/// Puts an answer on the account of its policy, as it was given.
fn note(account: &mut PolicyAudit, stage: Stage, image: &str, answer: &Result<Verdict, String>) {
    let said = |answer| Said { stage, image, answer };
    match answer {
        Ok(Verdict::Allow) => account.allow(),
        Ok(Verdict::Warn(findings)) => account.say(said(Answer::Warn), texts(findings)),
        // A denial without a reason is one all the same, and has to be found.
        Ok(Verdict::Deny(findings)) if findings.is_empty() => {
            account.say(said(Answer::Deny), [("denied", "denied without a reason")]);
        }
        Ok(Verdict::Deny(findings)) => account.say(said(Answer::Deny), texts(findings)),
        Err(why) => account.say(said(Answer::Failed), [(BROKEN_POLICY, why.as_str())]),
    }
}

fn texts(findings: &[Finding]) -> impl Iterator<Item = (&str, &str)> {
    findings.iter().map(|finding| (finding.code.as_str(), finding.message.as_str()))
}

/// Adds the answer of one policy to what all say. One that breaks refuses, unless the user has it otherwise.
fn add(decision: &mut Decision, policy: &dyn Policy, answer: Result<Verdict, String>) {
    let name = &policy.identity().name;
    match (answer, policy.mode(), policy.on_failure()) {
        (Ok(Verdict::Deny(findings)), Mode::Monitor, _) => decision.add(name, Verdict::Warn(findings)),
        (Ok(verdict), ..) => decision.add(name, verdict),
        (Err(why), Mode::Protect, OnFailure::Deny) => decision.add_failure(name, why),
        (Err(why), ..) => {
            let (code, message) = (BROKEN_POLICY.to_owned(), why);
            decision.add(name, Verdict::Warn(vec![Finding { code, message, details: Default::default() }]));
        }
    }
}

fn refusal(
    stage: Stage,
    request: &ImageRequest,
    digest: Option<&Digest>,
    decision: &Decision,
) -> Option<RefusedImage> {
    let first = decision.denied.first()?;
    Some(RefusedImage {
        origin: request.origin.clone(),
        kind: request.kind.clone(),
        digest: digest.cloned(),
        stage: Some(stage),
        policy: first.policy.clone(),
        code: first.finding.code.clone(),
        message: first.finding.message.clone(),
        details: first.finding.details.clone(),
    })
}

#[cfg(test)]
mod tests;
