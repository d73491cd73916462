//! The first half of a run on the connected side: [`Request::prepare`] finds out what is wanted, down to the last blob.
//!
//! Where something that a source wants turns out not to be had, the source is asked again for an answer without it.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use oc_mirror_model::ImageRequest;
use oc_mirror_model::audit::{self, PolicyAudit};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::{ImageEntry, RefusedImage};
use oc_mirror_model::metadata::Chain;
use oc_mirror_model::reference::Source;
use oc_mirror_model::report::{Failure, ImageReport, RunReport, Workflow, exit};
use oc_mirror_model::request::kind;
use serde_json::Value;

use super::collect::{Wanted, collect, prepare};
use super::companions::{self, Beside, Carried, Companions, Table};
use super::error::content_hint;
use super::images::{Guarded, Origins, RunImages};
use super::judge::{BROKEN_POLICY, Judge, Judged, Subject, expected};
use super::kept::{self, Kept};
use super::on_error::{can_be_left_out, note_quarantined, unavailable};
use super::origins::Sources;
use super::resolve::{ResolvedImage, resolve};
use super::to_disk::RESOURCES;
use super::{CarryCompanions, OnError, Run, Wishes, WorkflowError, WorkflowErrorKind, Workspace};
use crate::content::{ContentError, Images};
use crate::plan::imageset::merge;
use crate::report::{Event, Moving};
use crate::source::{Artifact, Reason, RunInfo, Services, Unavailable};

/// What is wanted.
pub(super) struct Prepared {
    /// Images, each name once, in the order of the configuration.
    pub entries: Vec<ImageEntry>,
    /// Where each blob and manifest can be had.
    pub sources: Sources,
    /// The images, which hold on to their manifests.
    pub images: Arc<RunImages>,
    /// Opaque files of sources.
    pub artifacts: Vec<Artifact>,
    /// Cluster resources of sources.
    pub documents: Vec<(String, String)>,
    /// What sources want to be handed back at the next sequence.
    pub plugin_state: BTreeMap<String, Value>,
    /// The images whose content policies want to see, and have not in this run; none where no policy does.
    pub subjects: Vec<Subject>,
}

/// What earlier attempts of a run have found out.
#[derive(Debug, Default)]
pub(super) struct Without {
    /// What cannot be had and can be done without.
    pub missing: Vec<Unavailable>,
    /// What policies said about content.
    pub judged: Judged,
}

impl Prepared {
    /// Notes in reports on images which of them were read from mirrors.
    pub(super) fn note_mirrors(&self, images: &mut [ImageReport]) {
        for image in images {
            let origin = self.sources.of(&image.digest, &image.digest);
            image.found_at = origin.and_then(|o| o.read.found_at(&o.repository, &image.digest));
        }
    }
}

/// What a preparation is made for.
pub(super) struct Request<'a> {
    /// How to go about it.
    pub run: &'a Run,
    /// What is wanted.
    pub wishes: &'a Wishes,
    /// What was mirrored before.
    pub chain: &'a Chain,
    /// Which way.
    pub workflow: Workflow,
    /// Where sources are found.
    pub origins: Arc<dyn Origins>,
    /// Where the run keeps its files.
    pub workspace: &'a Workspace,
    /// Files of this run only.
    pub scratch: &'a Path,
}

/// How often sources are asked again because something they want cannot be had. Each time, less is left.
const MOST_ROUNDS: usize = 16;

impl Request<'_> {
    /// Asks sources and policies, and resolves every image. What goes wrong with one is noted in the report.
    ///
    /// `without` is what is known from earlier attempts of this run.
    pub(super) async fn prepare(
        &self,
        without: &Without,
        report: &mut RunReport,
    ) -> Result<Prepared, WorkflowError> {
        let known = self.chain.blobs.keys().cloned().collect();
        let kept = Kept::open(&self.workspace.cache().join("blobs"));
        kept::prune(&self.workspace.cache().join("plugins"));
        let (retry, events) = (self.run.retry, self.run.events.clone());
        let scratch = self.scratch.to_owned();
        let guard = self.wishes.guard.clone().map(|guard| Guarded { guard, scratch });
        let (origins, scratch) = (self.origins.clone(), Some(self.scratch));
        let images = Arc::new(RunImages::new(origins, retry, events, known, kept, guard, scratch));
        let info = self.info();
        let mut services = self.services(&images);
        services.unavailable = Arc::new(without.missing.clone());
        self.phase("collecting", None);
        let sources = &self.wishes.sources;
        let broken: BTreeMap<usize, Failure> = prepare(sources, &info, &services).await.into_iter().collect();
        let mut wanted = Vec::new();
        for place in 0..sources.len() {
            let collected = match broken.get(&place) {
                Some(failure) => Err(failure.clone()),
                None => collect(sources, place, &info, &services).await,
            };
            let is_enough = self.stops() && collected.is_err();
            wanted.push(collected);
            if is_enough {
                break;
            }
        }
        let mut refused: Vec<RefusedImage> = Vec::new();
        let parallel = self.run.parallelism.images * self.run.parallelism.blobs;
        let companions = Companions::new(&images, self.run.events.clone(), parallel);
        for round in 0.. {
            let judge = self.judge(&info, &services);
            let mut account = judge.account();
            let requests = requests(&mut wanted, &services.unavailable);
            let is_first = round == 0 && without.missing.is_empty() && without.judged.is_empty();
            if requests.is_empty() && wanted.iter().all(Result::is_ok) && is_first {
                return Err(WorkflowErrorKind::NothingSelected.into());
            }
            let found = match self.stops() && wanted.iter().any(Result::is_err) {
                true => Found::default(),
                false => self.find(&images, &judge, &companions, requests, without, &mut account).await,
            };
            audit::replace(&mut report.policies, account);
            let news = self.news(&found, &services.unavailable, report);
            refused
                .extend(found.refused.iter().filter(|r| !refused.contains(r)).cloned().collect::<Vec<_>>());
            let again = affected(&wanted, &news);
            if again.is_empty() || round == MOST_ROUNDS {
                note_broken(&refused, report);
                report.refused = refused;
                self.note(&wanted, report);
                self.settle(found.failures, report);
                report.failures.extend(again.into_iter().map(|place| endless(&wanted[place], &news)));
                let (resolved, carried) = (found.resolved, found.carried);
                return self.finish(images.clone(), wanted, resolved, carried, &without.judged, report);
            }
            self.phase("collecting again, without what cannot be had", Some(news.len() as u64));
            services.unavailable = Arc::new([services.unavailable.as_slice(), &news].concat());
            for place in again {
                wanted[place] = collect(sources, place, &info, &services).await;
            }
        }
        unreachable!("the loop ends by returning")
    }

    /// Answers whether the first failure is the end.
    fn stops(&self) -> bool {
        self.run.on_error == OnError::Stop
    }

    fn phase(&self, name: &str, items: Option<u64>) {
        self.run.events.event(Event::Phase { name, items, bytes: None });
    }

    fn info(&self) -> RunInfo {
        RunInfo {
            host_version: self.run.program.clone(),
            workflow: self.workflow,
            offline: false,
            dry_run: self.run.dry_run,
            time: self.run.created.clone(),
            sequence: self.chain.sequence() + 1,
            platforms: Vec::new(),
            images: None,
        }
    }

    fn judge<'a>(&'a self, run: &'a RunInfo, services: &'a Services) -> Judge<'a> {
        let parallel = self.run.parallelism.images * self.run.parallelism.blobs;
        Judge { policies: &self.wishes.policies, run, services, parallel }
    }

    /// Has policies judge what is in images, which can be read by now. Where they have anything to say, everything is to be
    /// planned again: without what they refuse, and with what they say in the account. Answers whether they have nothing.
    pub(super) async fn judge_content(
        &self,
        prepared: &mut Prepared,
        without: &mut Without,
        report: &mut RunReport,
    ) -> bool {
        let subjects = std::mem::take(&mut prepared.subjects);
        if subjects.is_empty() {
            return true;
        }
        self.phase("judging content", Some(subjects.len() as u64));
        let (info, services) = (self.info(), self.services(&prepared.images));
        let account = expected(&self.wishes.policies, &report.policies, subjects.len());
        let judge = self.judge(&info, &services);
        let is_clear = judge.content(&prepared.images, subjects, &mut without.judged).await;
        if is_clear {
            report.policies = account;
        }
        is_clear
    }

    /// Says which policies a run without content did not ask.
    pub(super) fn note_unasked(&self, report: &mut RunReport) {
        for policy in self.wishes.policies.iter().filter(|policy| policy.stages().content) {
            let name = &policy.identity().name;
            let note = format!("the policy `{name}` judges content, of which a dry run fetches nothing");
            extend(&mut report.notes, [note]);
        }
    }

    fn services(&self, images: &Arc<RunImages>) -> Services {
        Services {
            images: images.clone() as Arc<dyn Images>,
            http: self.wishes.http.clone(),
            events: self.run.events.clone(),
            scratch: self.scratch.to_owned(),
            cancelled: self.run.cancelled.clone(),
            state: Arc::new(self.chain.last().map(|i| i.plugin_state.clone()).unwrap_or_default()),
            cache: Some(self.workspace.cache().join("plugins")),
            unavailable: Arc::default(),
            signatures: self.wishes.signatures.clone(),
        }
    }

    /// Judges and resolves what is wanted.
    async fn find(
        &self,
        images: &RunImages,
        judge: &Judge<'_>,
        companions: &Companions<'_>,
        requests: Vec<(String, ImageRequest)>,
        without: &Without,
        account: &mut [PolicyAudit],
    ) -> Found {
        let (requests, mut refused) = judge.references(requests, account).await;
        self.phase("resolving images", Some(requests.len() as u64));
        let (mut resolved, mut failures) = resolve_all(self.run, images, requests).await;
        let unverified = resolved.extract_if(.., |image| !self.admits(image));
        failures.extend(unverified.map(|image| not_verified(&image)));
        if self.stops() && !failures.is_empty() {
            return Found { resolved, refused, failures, carried: Vec::new() };
        }
        let (resolved, more) = judge.images(resolved, account).await;
        refused.extend(more);
        let (resolved, more) = judge.known(resolved, &without.judged, account);
        refused.extend(more);
        let beside = match self.run.companions {
            CarryCompanions::All => companions.beside(resolved, self.scratch).await,
            CarryCompanions::None => Beside { images: resolved, carried: Vec::new(), failures: Vec::new() },
        };
        failures.extend(beside.failures);
        Found { resolved: beside.images, carried: beside.carried, refused, failures }
    }

    /// Answers whether an image may be mirrored without more ado. A release may only if its signature was verified,
    /// whichever source asks for it.
    fn admits(&self, image: &ResolvedImage) -> bool {
        image.entry.request.kind != kind::RELEASE || self.wishes.signatures.admits(&image.entry.root.digest)
    }

    /// Returns what sources do not yet know to be unavailable. What is missing counts only where the user wants to do
    /// without it, and is noted in the report.
    fn news(&self, found: &Found, known: &[Unavailable], report: &mut RunReport) -> Vec<Unavailable> {
        let refused = found.refused.iter().map(|image| Unavailable {
            origin: image.origin.clone(),
            reason: Reason::Refused,
            message: format!("{} ({}, {})", image.message, image.policy, image.code),
        });
        let leave_out = self.run.on_error == OnError::Quarantine;
        let missing: Vec<_> =
            found.failures.iter().filter(|f| leave_out && can_be_left_out(&f.kind)).collect();
        for failure in &missing {
            note_quarantined(report, (*failure).clone());
        }
        let missing = missing.into_iter().map(unavailable);
        refused.chain(missing).filter(|new| !known.iter().any(|k| k.origin == new.origin)).collect()
    }

    /// Reports what is left of the failures: all of them, or those that nothing can be done without.
    fn settle(&self, failures: Vec<Failure>, report: &mut RunReport) {
        let leave_out = self.run.on_error == OnError::Quarantine;
        let left = failures.into_iter().filter(|f| !(leave_out && can_be_left_out(&f.kind)));
        extend(&mut report.failures, left);
    }

    /// Puts together what the rest of the run needs.
    fn finish(
        &self,
        images: Arc<RunImages>,
        wanted: Vec<Result<Wanted, Failure>>,
        resolved: Vec<ResolvedImage>,
        carried: Vec<Carried>,
        judged: &Judged,
        report: &mut RunReport,
    ) -> Result<Prepared, WorkflowError> {
        let (mut artifacts, mut documents) = (Vec::new(), Vec::new());
        let mut plugin_state = BTreeMap::new();
        for Wanted { plugin, collected, .. } in wanted.into_iter().flatten() {
            artifacts.extend(collected.artifacts);
            documents.extend(collected.documents);
            plugin_state.extend(collected.state.map(|state| (plugin, state)));
        }
        images.settle();
        let mut sources = Sources::default();
        let mut entries = Vec::with_capacity(resolved.len() + carried.len());
        let mut generated = HashSet::new();
        let judges_content = self.wishes.policies.iter().any(|policy| policy.stages().content);
        let mut subjects = Vec::new();
        for mut image in resolved {
            let (request, digest) = (&image.entry.request, &image.entry.root.digest);
            if judges_content && judged.of(request, digest).is_none() {
                subjects.push(Subject { request: request.clone(), digest: digest.clone() });
            }
            sources.note(&image.entry, &image.origin, &entries);
            // Where a generated image was built is of no use to anybody, and another place in each run.
            if matches!(image.entry.request.parsed_source(), Ok(Source::Layout(l)) if l.path.starts_with(self.scratch))
            {
                image.entry.request.source = image.entry.request.origin.clone();
                generated.insert(image.entry.destination.clone());
            }
            entries.push(image.entry);
        }
        let (carried, left_out) = companions::make_room(&mut entries, carried);
        extend(&mut report.warnings, left_out);
        for companion in carried {
            if let Some(made) = companion.made {
                sources.made(&companion.entry.root.digest, made);
            }
            sources.note(&companion.entry, &companion.origin, &entries);
            entries.push(companion.entry);
        }
        if self.run.companions == CarryCompanions::All {
            companions::note(&entries, &generated, report);
        }
        let entries = merge(entries)?;
        Ok(Prepared { entries, sources, images, artifacts, documents, plugin_state, subjects })
    }

    /// Reports what sources remarked, and which of them broke.
    fn note(&self, wanted: &[Result<Wanted, Failure>], report: &mut RunReport) {
        for outcome in wanted {
            match outcome {
                Ok(Wanted { plugin, collected, .. }) => {
                    let line = |(code, text): &(String, String)| format!("{plugin}: {text} ({code})");
                    extend(&mut report.warnings, collected.warnings.iter().map(line));
                    extend(&mut report.notes, collected.notes.iter().map(line));
                }
                Err(failure) => extend(&mut report.failures, [failure.clone()]),
            }
        }
    }
}

/// Says that a source did not have a release verified.
fn not_verified(image: &ResolvedImage) -> Failure {
    Failure {
        subject: image.entry.request.origin.clone(),
        kind: kind::RELEASE.to_owned(),
        message: format!(
            "`{}` asks for it as a release, and no signature of it was verified",
            image.entry.plugin
        ),
        hint: Some(
            "a source has releases verified before it asks for them; see `signatures` in wit/".to_owned(),
        ),
        exit_code: exit::RELEASE,
    }
}

/// What became of the wishes of all sources.
#[derive(Default)]
struct Found {
    resolved: Vec<ResolvedImage>,
    carried: Vec<Carried>,
    refused: Vec<RefusedImage>,
    failures: Vec<Failure>,
}

/// Adds to a list what it does not have yet: a run that is planned again says most things again.
fn extend<T: PartialEq>(list: &mut Vec<T>, more: impl IntoIterator<Item = T>) {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}

/// Reports the policies that broke. They have refused what they could not judge, and are failures of the run besides,
/// once each.
fn note_broken(refused: &[RefusedImage], report: &mut RunReport) {
    for image in refused.iter().filter(|image| image.code == BROKEN_POLICY) {
        if report.failures.iter().any(|f| f.subject == image.policy) {
            continue;
        }
        report.failures.push(Failure {
            subject: image.policy.clone(),
            kind: String::new(),
            message: image.message.clone(),
            hint: Some("images that it could not judge are refused; mend or remove the policy".to_owned()),
            exit_code: exit::GENERIC,
        });
    }
}

/// Says that a source wants something else that cannot be had, each time it is asked.
fn endless(source: &Result<Wanted, Failure>, news: &[Unavailable]) -> Failure {
    let name = source.as_ref().map_or_else(|f| f.subject.clone(), |wanted| wanted.plugin.clone());
    let last = news.first().map_or_else(String::new, |n| format!(", at last `{}`", n.origin));
    Failure {
        subject: name,
        kind: String::new(),
        message: format!("wants more that cannot be had each of the {MOST_ROUNDS} times it is asked{last}"),
        hint: Some(
            "see which images are refused or missing, and leave them out of the configuration".to_owned(),
        ),
        exit_code: exit::GENERIC,
    }
}

/// Returns what is wanted, but for what is known to be missing and can be done without.
///
/// Where no source would answer otherwise, it is taken from what they collected: nobody is going to ask for it again.
fn requests(
    wanted: &mut [Result<Wanted, Failure>],
    unavailable: &[Unavailable],
) -> Vec<(String, ImageRequest)> {
    let missing: HashSet<&str> =
        unavailable.iter().filter(|u| u.reason == Reason::Missing).map(|u| u.origin.as_str()).collect();
    let is_there = |i: &ImageRequest| !missing.contains(i.origin.as_str()) || !can_be_left_out(&i.kind);
    let is_last = wanted.iter().flatten().all(|w| !w.collected.minds_unavailable);
    let mut requests = Vec::new();
    for Wanted { plugin, collected, .. } in wanted.iter_mut().flatten() {
        let images = match is_last {
            true => std::mem::take(&mut collected.images),
            false => collected.images.clone(),
        };
        requests.extend(images.into_iter().filter(is_there).map(|request| (plugin.clone(), request)));
    }
    requests
}

/// Returns the sources that asked for something which is now unavailable, and would answer otherwise.
fn affected(wanted: &[Result<Wanted, Failure>], news: &[Unavailable]) -> Vec<usize> {
    let origins: HashSet<&str> = news.iter().map(|n| n.origin.as_str()).collect();
    let asked = |w: &&Wanted| w.collected.images.iter().any(|i| origins.contains(i.origin.as_str()));
    let minds = wanted.iter().flatten().filter(|w| w.collected.minds_unavailable);
    minds.filter(asked).map(|w| w.place).collect()
}

async fn resolve_all(
    run: &Run,
    images: &RunImages,
    requests: Vec<(String, ImageRequest)>,
) -> (Vec<ResolvedImage>, Vec<Failure>) {
    let parallel = (run.parallelism.images * run.parallelism.blobs).max(1);
    let mut resolved = Vec::with_capacity(requests.len());
    let mut outcomes = stream::iter(requests)
        .map(|(plugin, request)| async move {
            let (origin, kind) = (request.origin.clone(), request.kind.clone());
            let moving = Moving::begin(run.events.as_ref(), &origin);
            let outcome = resolve(images, &plugin, request).await;
            drop(moving);
            run.events.event(match outcome {
                Ok(_) => Event::ItemDone { name: &origin },
                Err(_) => Event::ItemFailed { name: &origin },
            });
            outcome.map_err(|error| image_failure(&origin, &kind, &error))
        })
        .buffered(parallel);
    let mut failures = Vec::new();
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(image) => resolved.push(image),
            Err(failure) => failures.push(failure),
        }
        if run.on_error == OnError::Stop && !failures.is_empty() {
            break;
        }
    }
    drop(outcomes);
    (resolved, failures)
}

/// Returns what plugins add besides images, by path.
pub(super) fn file_records(prepared: &Prepared) -> BTreeMap<String, Digest> {
    let documents = prepared.documents.iter();
    let documents = documents.map(|(name, text)| (format!("{RESOURCES}{name}"), Digest::of(text.as_bytes())));
    let artifacts = prepared.artifacts.iter().map(|a| (format!("files/{}", a.path), a.digest.clone()));
    documents.chain(artifacts).collect()
}

/// Turns the error of one image into a line of the report.
pub(super) fn image_failure(origin: &str, kind: &str, error: &ContentError) -> Failure {
    Failure {
        subject: origin.to_owned(),
        kind: kind.to_owned(),
        message: without_subject(origin, &chain_of(error)),
        hint: content_hint(error),
        exit_code: exit::for_kind(kind),
    }
}

/// Removes the name of the image from the beginning of a message that stands beside it.
fn without_subject(origin: &str, message: &str) -> String {
    let rest = message.strip_prefix(&format!("`{origin}`: "));
    rest.unwrap_or(message).to_owned()
}

/// Writes an error with all its causes into one line.
pub(super) fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Lists images in a report, with what of them is new to a chain at `base`. What is beside an image is counted there.
pub(super) fn image_reports(entries: &[ImageEntry], is_new: impl Fn(&Digest) -> bool) -> Vec<ImageReport> {
    let companions = Table::new(entries);
    let report = |image: &ImageEntry| {
        let all = image.manifests.iter().chain(&image.blobs);
        ImageReport {
            origin: image.request.origin.clone(),
            kind: image.request.kind.clone(),
            destination: image.destination.clone(),
            digest: image.root.digest.clone(),
            new_bytes: all.clone().filter(|d| is_new(&d.digest)).map(|d| d.size).sum(),
            total_bytes: all.map(|d| d.size).sum(),
            companions: companions.count(image),
            found_at: None,
        }
    };
    let images = entries.iter().filter(|image| !image.request.is_companion());
    let mut reports: Vec<ImageReport> = images.map(report).collect();
    // They are held to the end of the run.
    reports.shrink_to_fit();
    reports
}

/// The mapping of sources to destinations, a line each, as the predecessors write it.
pub(super) fn mapping(entries: &[ImageEntry], to: impl Fn(&ImageEntry) -> String) -> String {
    let line = |image: &ImageEntry| {
        let origin = &image.request.origin;
        let transport = if origin.starts_with("oci:") { "" } else { "docker://" };
        format!("{transport}{origin}={}\n", to(image))
    };
    entries.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_breaks_is_a_failure_once() {
        let refused = |origin: &str, code: &str| RefusedImage {
            origin: origin.to_owned(),
            policy: "labels".to_owned(),
            code: code.to_owned(),
            message: "it trapped".to_owned(),
            kind: String::new(),
            digest: None,
            stage: None,
            details: BTreeMap::new(),
        };
        let mut report = RunReport::new(Workflow::MirrorToDisk, false);
        note_broken(&[refused("a", "label.denied")], &mut report);
        assert_eq!(report.failures, [], "a judgement is no failure");
        note_broken(&[refused("a", BROKEN_POLICY), refused("b", BROKEN_POLICY)], &mut report);
        let [failure] = report.failures.as_slice() else { panic!("{:?}", report.failures) };
        assert_eq!((failure.subject.as_str(), failure.exit_code), ("labels", exit::GENERIC));
    }
}
