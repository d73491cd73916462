//! The second phase: [`Deletion`] looks at the target, decides, notes in the record what goes, and deletes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt, stream};
use oc_mirror_model::deletion::{DeletedImage, DeletionReport, Outcome};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::media_type;
use oc_mirror_model::metadata::{Chain, Doomed, Leftover, Reason};
use oc_mirror_model::reference::{Reference, Repository, Selector, Tag};
use oc_mirror_model::report::{Failure, RunReport, Workflow, exit};
use oc_mirror_model::request::Destination as Place;
use uuid::Uuid;

use super::super::from_disk::Destination;
use super::super::prepare::image_failure;
use super::super::resources;
use super::super::{Run, WorkflowError, WorkflowErrorKind, Workspace};
use super::ground::{Content, Survey};
use super::{Wanted, recorded};
use crate::content::{ContentError, TagRemoval};
use crate::metadata::Stored;
use crate::plan::deletion::{Action, Ground, Verdict, current, decide, without};
use crate::report::Event;

/// A deletion at a target, with the records of all chains there.
pub(super) struct Deletion<'a> {
    pub(super) run: &'a Run,
    pub(super) destination: &'a Destination,
    pub(super) workspace: Option<&'a Workspace>,
    pub(super) chains: BTreeMap<Uuid, Stored>,
    /// True if the record is that of a publication which is only planned, so that the tags are not yet as it says.
    pub(super) is_planned: bool,
}

/// One image that is to go.
struct Case {
    doomed: Doomed,
    /// What the record has of it.
    gone: BTreeSet<(Place, Digest)>,
    /// Whether the record of the chain has it, or lists it as being deleted.
    is_ours: bool,
    verdict: Verdict,
}

impl Case {
    fn new(doomed: Doomed, gone: BTreeSet<(Place, Digest)>, is_ours: bool) -> Self {
        Self { doomed, gone, is_ours, verdict: Verdict { action: Action::Nothing, reason: String::new() } }
    }

    fn deletes(&self) -> bool {
        matches!(self.verdict.action, Action::Delete(_))
    }
}

/// What is known of the repositories in which something is to go.
#[derive(Default)]
struct Known {
    grounds: BTreeMap<Repository, Ground>,
    /// What was read at the target.
    contents: BTreeMap<(Repository, Digest), Content>,
    /// Roots that are there.
    there: BTreeSet<(Repository, Digest)>,
}

/// What became of a case.
struct Done {
    place: usize,
    outcome: Result<Outcome, ContentError>,
    warning: Option<String>,
}

impl Deletion<'_> {
    /// Deletes what is wanted of a chain.
    pub(super) async fn carry_out(
        self,
        own: Option<Uuid>,
        wanted: Vec<Wanted>,
    ) -> Result<DeletionReport, WorkflowError> {
        let mut report = DeletionReport::new(&self.destination.target, self.run.dry_run, own);
        self.check_workspace(own).await?;
        let stored = own.and_then(|uid| self.chains.get(&uid));
        let items = Some(wanted.len() as u64);
        self.run.events.event(Event::Phase { name: "looking at what is there", items, bytes: None });
        let mut cases = self.cases(stored.map(|s| &s.chain), wanted, &mut report).await?;
        let known = self.known(stored.map(|s| &s.chain), &cases).await?;
        self.judge(&mut cases, &known);
        self.check_deletion(&cases, &mut report).await?;
        let gone: BTreeSet<(Place, Digest)> =
            cases.iter().filter(|case| !case.verdict.keeps()).flat_map(|case| case.gone.clone()).collect();
        let after = stored.map(|stored| without(&stored.chain, &gone));
        self.count(&cases, &known, stored.map(|s| &s.chain), after.as_ref(), &mut report);
        if self.run.dry_run {
            let outcomes = self.foreseen(&cases, &known).await?;
            self.tell(&cases, outcomes, &mut report);
            return Ok(report);
        }
        self.forget_here(&cases).await?;
        let stored = match (stored, after) {
            (Some(stored), Some(after)) => Some(self.promise_less(stored, after, &cases).await?),
            _ => None,
        };
        let outcomes = self.execute(&cases, &known, &mut report).await;
        if let Some(stored) = stored {
            self.settle(&stored, &cases, &outcomes, &mut report).await?;
        }
        self.tell(&cases, outcomes, &mut report);
        Ok(report)
    }

    /// Refuses a workspace of another chain, whose resources would be overwritten.
    async fn check_workspace(&self, own: Option<Uuid>) -> Result<(), WorkflowError> {
        let Some(workspace) = self.workspace else { return Ok(()) };
        match (workspace.uid().await?, own) {
            (Some(workspace), Some(wanted)) if workspace != wanted => {
                Err(WorkflowErrorKind::OtherChain { workspace, wanted }.into())
            }
            _ => Ok(()),
        }
    }

    fn survey(&self) -> Survey<'_> {
        let parallel = (self.run.parallelism.images * self.run.parallelism.blobs).max(1);
        Survey { endpoint: self.destination.endpoint.as_ref(), parallel }
    }

    /// Finds out what exactly is wanted, and adds what an earlier run has left.
    async fn cases(
        &self,
        chain: Option<&Chain>,
        wanted: Vec<Wanted>,
        report: &mut DeletionReport,
    ) -> Result<Vec<Case>, WorkflowError> {
        let mut cases: Vec<Case> = Vec::new();
        let pending = chain.map(|chain| chain.deleting.as_slice()).unwrap_or_default();
        cases.extend(pending.iter().map(|doomed| Case::new(doomed.clone(), BTreeSet::new(), true)));
        let tags = chain.map(current).unwrap_or_default();
        for one in wanted {
            let is_pending = |d: &&Doomed| {
                d.repository == one.repository
                    && d.tag == one.tag
                    && one.digest.as_ref().is_none_or(|digest| *digest == d.digest)
            };
            let place = one.tag.clone().map(|tag| Place { repository: one.repository.clone(), tag });
            let mirrored = place.as_ref().and_then(|place| tags.get(place)).copied();
            match (mirrored, &one.digest) {
                (Some(now), Some(listed)) if now != listed => {
                    let reason = format!("`{now}` was mirrored there since the list was made");
                    self.refuse(&one, reason, report);
                    continue;
                }
                (None, _) if pending.iter().any(|d| is_pending(&d)) => continue,
                _ => {}
            }
            let gone = chain.map(|c| recorded(c, std::slice::from_ref(&one), Repository::clone));
            let gone = gone.unwrap_or_default();
            let digest = match mirrored.or(one.digest.as_ref()) {
                Some(digest) => Some(digest.clone()),
                None => self.at_target(&one).await?,
            };
            let Some(digest) = digest else {
                report.images.push(self.image(
                    &one.origin,
                    &one.kind,
                    &one.repository,
                    one.tag.as_ref(),
                    None,
                ));
                continue;
            };
            let doomed = Doomed {
                origin: one.origin,
                kind: kind_of(chain, &gone, one.kind),
                repository: one.repository,
                tag: one.tag,
                manifests: chain.map(|chain| manifests(chain, &digest)).unwrap_or_default(),
                digest,
            };
            let is_ours = !gone.is_empty();
            if !cases.iter().any(|case| {
                (&case.doomed.repository, &case.doomed.tag, &case.doomed.digest)
                    == (&doomed.repository, &doomed.tag, &doomed.digest)
            }) {
                cases.push(Case::new(doomed, gone, is_ours));
            }
        }
        Ok(cases)
    }

    async fn at_target(&self, wanted: &Wanted) -> Result<Option<Digest>, WorkflowError> {
        let Some(tag) = &wanted.tag else { return Ok(None) };
        let found = self.destination.endpoint.resolve_tag(&wanted.repository, tag).await?;
        Ok(found.map(|found| found.digest))
    }

    /// Looks at the repositories concerned.
    async fn known(&self, chain: Option<&Chain>, cases: &[Case]) -> Result<Known, WorkflowError> {
        let mut known = Known::default();
        let survey = self.survey();
        let repositories: BTreeSet<&Repository> = cases.iter().map(|case| &case.doomed.repository).collect();
        let gone: BTreeSet<&(Place, Digest)> = cases.iter().flat_map(|case| &case.gone).collect();
        for repository in repositories {
            let mut ground = Ground { tags: survey.tags(repository).await?, ..Ground::default() };
            if self.is_planned {
                let newest = chain.and_then(Chain::last).into_iter().flat_map(|imageset| &imageset.images);
                let here = newest.filter(|image| image.destination.repository == *repository);
                ground.tags.extend(here.map(|image| (image.destination.tag.clone(), image.digest.clone())));
            }
            // Of these only the target can tell what they consist of.
            let mut unknown: BTreeSet<Digest> = BTreeSet::new();
            let mut needed_unknown: BTreeSet<Digest> = BTreeSet::new();
            // Two chains may have mirrored different parts of one index.
            let mut seen: BTreeSet<(Uuid, &Digest)> = BTreeSet::new();
            for (uid, Stored { chain: record, .. }) in &self.chains {
                let is_own = chain.is_some_and(|own| own.uid == *uid);
                ground.leftovers.extend(
                    record
                        .leftovers
                        .iter()
                        .filter(|left| left.destination.repository == *repository)
                        .cloned(),
                );
                for image in record.images().filter(|i| i.destination.repository == *repository) {
                    let key = (image.destination.clone(), image.digest.clone());
                    if is_own && gone.contains(&key) {
                        let about = image.reasons.iter().filter_map(|reason| match reason {
                            Reason::Subject { digest } => Some(digest.clone()),
                            _ => None,
                        });
                        ground.subjects.entry(image.digest.clone()).or_default().extend(about);
                        continue;
                    }
                    ground.recorded.insert((image.destination.tag.clone(), image.digest.clone()));
                    if !seen.insert((*uid, &image.digest)) {
                        continue;
                    }
                    match record.content_of(&image.digest) {
                        Some(content) => ground.needed.extend(content),
                        None => {
                            needed_unknown.insert(image.digest.clone());
                        }
                    }
                }
            }
            let strange = ground.tags.values().filter(|digest| !ground.needed.contains(*digest));
            let doomed = cases.iter().map(|case| &case.doomed).filter(|d| d.repository == *repository);
            let roots: BTreeSet<&Digest> = strange.chain(doomed.clone().map(|d| &d.digest)).collect();
            for root in roots {
                match chain.and_then(|chain| chain.content_of(root)) {
                    Some(content) => {
                        ground.contents.insert(root.clone(), content);
                    }
                    None => {
                        unknown.insert(root.clone());
                    }
                }
            }
            unknown.extend(needed_unknown.iter().cloned());
            for (root, content) in survey.contents(repository, unknown).await? {
                let all: BTreeSet<Digest> = content.keys().cloned().collect();
                if needed_unknown.contains(&root) {
                    ground.needed.insert(root.clone());
                    ground.needed.extend(all.iter().cloned());
                }
                if !content.is_empty() {
                    known.there.insert((repository.clone(), root.clone()));
                }
                ground.contents.insert(root.clone(), all);
                known.contents.insert((repository.clone(), root), content);
            }
            for digest in ground.tags.values() {
                known.there.insert((repository.clone(), digest.clone()));
            }
            for root in doomed.map(|d| &d.digest) {
                let key = (repository.clone(), root.clone());
                let was_asked = known.there.contains(&key) || known.contents.contains_key(&key);
                if !was_asked && self.destination.endpoint.has_manifest(repository, root).await? {
                    known.there.insert(key);
                }
            }
            known.grounds.insert(repository.clone(), ground);
        }
        Ok(known)
    }

    /// Decides, repository by repository.
    fn judge(&self, cases: &mut [Case], known: &Known) {
        for case in cases.iter_mut() {
            // Only read at the target, its manifests are not in the case yet.
            let key = (case.doomed.repository.clone(), case.doomed.digest.clone());
            let read = known.contents.get(&key).into_iter().flatten();
            let read =
                read.filter(|(_, descriptor)| descriptor.is_manifest()).map(|(digest, _)| digest.clone());
            case.doomed.manifests.extend(read);
        }
        for (repository, ground) in &known.grounds {
            let here: Vec<usize> =
                (0..cases.len()).filter(|place| cases[*place].doomed.repository == *repository).collect();
            let doomed: Vec<Doomed> = here.iter().map(|place| cases[*place].doomed.clone()).collect();
            for (place, verdict) in here.into_iter().zip(decide(&doomed, ground)) {
                cases[place].verdict = verdict;
            }
        }
    }

    /// Finds out whether the registry deletes at all, before anything is.
    async fn check_deletion(&self, cases: &[Case], report: &mut DeletionReport) -> Result<(), WorkflowError> {
        let deleting = cases.iter().filter(|case| case.deletes()).map(|case| &case.doomed.repository);
        let repositories: BTreeSet<&Repository> = deleting.collect();
        if repositories.is_empty() {
            return Ok(());
        }
        // Some are known to delete nothing, whatever they answer to the question.
        let is_known_not_to = self.destination.examine.profile().await?.profile.deletes == Some(false);
        for repository in repositories {
            if !is_known_not_to && self.destination.deleter.can_delete(repository).await? {
                continue;
            }
            let error: WorkflowError =
                WorkflowErrorKind::NoDeletion { target: self.destination.target.to_string() }.into();
            if !self.run.dry_run {
                return Err(error);
            }
            let hint = error.hint().unwrap_or_default();
            report.warnings.push(format!("{error}: {hint}"));
            break;
        }
        Ok(())
    }

    /// Counts what is freed: what no image of any chain needs any more, each once.
    fn count(
        &self,
        cases: &[Case],
        known: &Known,
        chain: Option<&Chain>,
        after: Option<&Chain>,
        report: &mut DeletionReport,
    ) {
        let others = self.chains.iter().filter(|(uid, _)| chain.is_none_or(|own| own.uid != **uid));
        let records: Vec<&Chain> = others.map(|(_, stored)| &stored.chain).chain(after).collect();
        let mut needed: BTreeSet<&Digest> =
            known.grounds.values().flat_map(|ground| &ground.needed).collect();
        let (doomed, staying): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| case.deletes());
        for (repository, ground) in &known.grounds {
            let is_doomed = |digest: &Digest| {
                doomed.iter().any(|c| c.doomed.repository == *repository && c.doomed.digest == *digest)
            };
            let strange = ground.tags.values().filter(|digest| !is_doomed(digest));
            let kept =
                staying.iter().map(|c| &c.doomed).filter(|d| d.repository == *repository).map(|d| &d.digest);
            let contents = strange.chain(kept).filter_map(|digest| ground.contents.get(digest));
            needed.extend(contents.flatten());
        }
        let mut counted: BTreeSet<&Digest> = BTreeSet::new();
        let mut manifests: BTreeSet<(&Repository, &Digest)> = BTreeSet::new();
        for case in doomed {
            let key = (case.doomed.repository.clone(), case.doomed.digest.clone());
            let Action::Delete(deleted) = &case.verdict.action else { continue };
            if !known.there.contains(&key) {
                continue;
            }
            manifests.extend(deleted.iter().map(|digest| (&case.doomed.repository, digest)));
            let read = known.contents.get(&key);
            let content = known.grounds.get(&key.0).and_then(|ground| ground.contents.get(&key.1));
            for digest in content.into_iter().flatten() {
                let promised = records.iter().any(|record| record.blobs.contains_key(digest));
                if promised || needed.contains(digest) || !counted.insert(digest) {
                    continue;
                }
                let recorded = chain.and_then(|chain| chain.blobs.get(digest)).map(|blob| blob.size);
                let size = recorded.or_else(|| Some(read?.get(digest)?.size));
                report.freed_bytes += size.unwrap_or_default();
            }
        }
        report.manifests = manifests.len() as u64;
    }

    /// Says what a run would do.
    async fn foreseen(&self, cases: &[Case], known: &Known) -> Result<Vec<Done>, WorkflowError> {
        let mut removes_tags = None;
        let mut outcomes = Vec::new();
        for (place, case) in cases.iter().enumerate() {
            let key = (case.doomed.repository.clone(), case.doomed.digest.clone());
            let outcome = match &case.verdict.action {
                Action::Keep { .. } => Outcome::Kept,
                Action::Nothing => Outcome::Forgotten,
                Action::Delete(_) if known.there.contains(&key) => Outcome::Deleted,
                Action::Delete(_) => Outcome::NotThere,
                Action::Untag => {
                    if removes_tags.is_none() {
                        // Nobody has this tag.
                        let tag: Tag = format!("no-such-tag-{}", Uuid::new_v4()).parse()?;
                        let answer =
                            self.destination.deleter.delete_tag(&case.doomed.repository, &tag).await?;
                        removes_tags = Some(answer != TagRemoval::Unsupported);
                    }
                    if removes_tags == Some(true) { Outcome::Untagged } else { Outcome::TagStays }
                }
            };
            outcomes.push(Done { place, outcome: Ok(outcome), warning: None });
        }
        Ok(outcomes)
    }

    /// Has the record of the connected side forget the images, where it is in the workspace.
    async fn forget_here(&self, cases: &[Case]) -> Result<(), WorkflowError> {
        let Some(workspace) = self.workspace else { return Ok(()) };
        let store = workspace.metadata();
        let Some(uid) = store.chains().await?.first().copied() else { return Ok(()) };
        let Some(found) = store.load(uid).await? else { return Ok(()) };
        let wanted = cases.iter().filter(|case| !case.verdict.keeps()).map(|case| Wanted {
            origin: case.doomed.origin.clone(),
            kind: case.doomed.kind.clone(),
            repository: case.doomed.repository.clone(),
            tag: case.doomed.tag.clone(),
            digest: Some(case.doomed.digest.clone()),
        });
        let wanted: Vec<Wanted> = wanted.collect();
        let gone = recorded(&found.chain, &wanted, |repository| self.destination.place(repository));
        if !gone.is_empty() {
            store.commit(&without(&found.chain, &gone), Some(&found.revision)).await?;
        }
        Ok(())
    }

    /// Has the record at the target promise less, and list what is being deleted.
    async fn promise_less(
        &self,
        stored: &Stored,
        mut after: Chain,
        cases: &[Case],
    ) -> Result<Stored, WorkflowError> {
        let acts =
            |case: &&Case| case.is_ours && matches!(case.verdict.action, Action::Delete(_) | Action::Untag);
        let doomed: BTreeSet<Doomed> = cases.iter().filter(acts).map(|case| case.doomed.clone()).collect();
        after.deleting = doomed.into_iter().collect();
        self.commit(&after, stored).await
    }

    async fn commit(&self, chain: &Chain, stored: &Stored) -> Result<Stored, WorkflowError> {
        if *chain == stored.chain {
            return Ok(stored.clone());
        }
        let records = &self.destination.records;
        records.commit(chain, Some(&stored.revision)).await?;
        let now = records.load(chain.uid).await?.filter(|now| now.chain == *chain);
        let conflict = || crate::metadata::MetadataError::Conflict { place: records.name() };
        Ok(now.ok_or_else(conflict)?)
    }

    /// Deletes, several repositories at a time and in each one after the other.
    async fn execute(&self, cases: &[Case], known: &Known, report: &mut DeletionReport) -> Vec<Done> {
        let items = Some(cases.len() as u64);
        self.run.events.event(Event::Phase { name: "deleting", items, bytes: None });
        let keeps_tags = AtomicBool::new(false);
        let mut done: Vec<Done> = stream::iter(&known.grounds)
            .map(|(repository, ground)| self.execute_in(repository, ground, cases, &keeps_tags))
            .buffer_unordered(self.run.parallelism.images.max(1))
            .flat_map(stream::iter)
            .collect()
            .await;
        done.sort_by_key(|done| done.place);
        report.warnings.extend(done.iter_mut().filter_map(|done| done.warning.take()));
        done
    }

    async fn execute_in(
        &self,
        repository: &Repository,
        ground: &Ground,
        cases: &[Case],
        keeps_tags: &AtomicBool,
    ) -> Vec<Done> {
        let mut deleted: BTreeSet<&Digest> = BTreeSet::new();
        let mut all = Vec::new();
        let here = cases.iter().enumerate().filter(|(_, case)| case.doomed.repository == *repository);
        for (place, case) in here {
            let mut warning = None;
            let outcome = match &case.verdict.action {
                Action::Keep { .. } => Ok(Outcome::Kept),
                Action::Nothing => Ok(Outcome::Forgotten),
                Action::Delete(manifests) => self.delete(repository, manifests, &mut deleted).await,
                Action::Untag if keeps_tags.load(Ordering::Relaxed) => Ok(Outcome::TagStays),
                Action::Untag => match self.untag(&case.doomed, ground, &mut warning).await {
                    Ok(TagRemoval::Unsupported) => {
                        keeps_tags.store(true, Ordering::Relaxed);
                        Ok(Outcome::TagStays)
                    }
                    Ok(TagRemoval::Removed | TagRemoval::NotThere) => Ok(Outcome::Untagged),
                    Err(error) => Err(error),
                },
            };
            self.run.events.event(Event::ItemDone { name: &case.doomed.origin });
            all.push(Done { place, outcome, warning });
        }
        all
    }

    async fn delete<'c>(
        &self,
        repository: &Repository,
        manifests: &'c [Digest],
        deleted: &mut BTreeSet<&'c Digest>,
    ) -> Result<Outcome, ContentError> {
        let mut outcome = Outcome::NotThere;
        for digest in manifests {
            // Two tags of one manifest go with it.
            if deleted.contains(digest)
                || self.destination.deleter.delete_manifest(repository, digest).await?
            {
                deleted.insert(digest);
                outcome = Outcome::Deleted;
            }
        }
        Ok(outcome)
    }

    /// Removes a tag, and sees to it that its manifest stays: some registries delete that along with any of its tags.
    async fn untag(
        &self,
        doomed: &Doomed,
        ground: &Ground,
        warning: &mut Option<String>,
    ) -> Result<TagRemoval, ContentError> {
        let Doomed { repository, tag: Some(tag), digest, .. } = doomed else {
            return Ok(TagRemoval::NotThere);
        };
        let endpoint = self.destination.endpoint.as_ref();
        let manifest = endpoint.manifest(repository, &Selector::Digest(digest.clone())).await?;
        let removal = self.destination.deleter.delete_tag(repository, tag).await?;
        if removal == TagRemoval::Removed && !endpoint.has_manifest(repository, digest).await? {
            endpoint.put_manifest(repository, &manifest).await?;
            for (other, _) in ground.tags.iter().filter(|(other, d)| *d == digest && *other != tag) {
                endpoint.put_tag(repository, other, &manifest).await?;
            }
            *warning = Some(format!(
                "the registry deleted the manifest of `{repository}:{tag}` along with the tag; it was put back, with its \
                 other tags"
            ));
        }
        Ok(removal)
    }

    /// Has the record say what is left, and writes the resources for clusters anew.
    async fn settle(
        &self,
        stored: &Stored,
        cases: &[Case],
        outcomes: &[Done],
        report: &mut DeletionReport,
    ) -> Result<(), WorkflowError> {
        let mut after = stored.chain.clone();
        let mut leftovers: BTreeSet<Leftover> = after.leftovers.iter().cloned().collect();
        for Done { place, outcome, .. } in outcomes {
            let doomed = &cases[*place].doomed;
            if outcome.is_ok() {
                after.deleting.retain(|pending| pending != doomed);
            }
            match (outcome, &doomed.tag) {
                (Ok(Outcome::TagStays), Some(tag)) => {
                    let destination = Place { repository: doomed.repository.clone(), tag: tag.clone() };
                    leftovers.insert(Leftover { destination, digest: doomed.digest.clone() });
                }
                (Ok(Outcome::Deleted | Outcome::NotThere), _) => leftovers.retain(|left| {
                    (&left.destination.repository, &left.digest) != (&doomed.repository, &doomed.digest)
                }),
                (Ok(Outcome::Untagged), Some(tag)) => leftovers.retain(|left| {
                    (&left.destination.repository, &left.destination.tag) != (&doomed.repository, tag)
                }),
                _ => {}
            }
        }
        after.leftovers = leftovers.into_iter().collect();
        self.commit(&after, stored).await?;
        let Some(workspace) = self.workspace else { return Ok(()) };
        if workspace.uid().await? == Some(after.uid) {
            let mut run = RunReport::new(Workflow::DiskToMirror, false);
            resources::write(workspace, self.destination, &after, &self.run.resources)?.tell(&mut run);
            report.warnings.extend(run.warnings);
        }
        Ok(())
    }

    /// Reports what became of each image.
    fn tell(&self, cases: &[Case], outcomes: Vec<Done>, report: &mut DeletionReport) {
        for Done { place, outcome, .. } in outcomes {
            let Case { doomed, verdict, .. } = &cases[place];
            let Doomed { origin, kind, repository, tag, digest, .. } = doomed;
            let mut image = self.image(origin, kind, repository, tag.as_ref(), Some(digest));
            image.reason.clone_from(&verdict.reason);
            match outcome {
                Ok(outcome) => image.outcome = outcome,
                Err(error) => {
                    image.outcome = Outcome::Failed;
                    report.failures.push(image_failure(&image.reference, kind, &error));
                }
            }
            match &verdict.action {
                Action::Delete(manifests) => image.manifests.clone_from(manifests),
                Action::Keep { refused: true } => {
                    report.failures.push(refusal(&image.reference, kind, &verdict.reason));
                }
                _ => {}
            }
            report.images.push(image);
        }
    }

    fn refuse(&self, wanted: &Wanted, reason: String, report: &mut DeletionReport) {
        let Wanted { origin, kind, repository, tag, digest } = wanted;
        let mut image = self.image(origin, kind, repository, tag.as_ref(), digest.as_ref());
        report.failures.push(refusal(&image.reference, kind, &reason));
        image.outcome = Outcome::Kept;
        image.reason = reason;
        report.images.push(image);
    }

    fn image(
        &self,
        origin: &str,
        kind: &str,
        repository: &Repository,
        tag: Option<&Tag>,
        digest: Option<&Digest>,
    ) -> DeletedImage {
        let reference = Reference {
            registry: self.destination.target.registry.clone(),
            repository: repository.clone(),
            tag: tag.cloned(),
            digest: digest.filter(|_| tag.is_none()).cloned(),
        };
        DeletedImage {
            origin: origin.to_owned(),
            kind: kind.to_owned(),
            reference: reference.to_string(),
            digest: digest.cloned(),
            outcome: Outcome::NotThere,
            reason: String::new(),
            manifests: Vec::new(),
        }
    }
}

fn refusal(reference: &str, kind: &str, reason: &str) -> Failure {
    Failure {
        subject: reference.to_owned(),
        kind: kind.to_owned(),
        message: format!("it is left alone: {reason}"),
        hint: Some("see who uses it there; where the list is old, generate it again".to_owned()),
        exit_code: exit::for_kind(kind),
    }
}

/// Returns the kind of image that the record has, which knows more than a list.
fn kind_of(chain: Option<&Chain>, gone: &BTreeSet<(Place, Digest)>, listed: String) -> String {
    let mut images = chain.into_iter().flat_map(Chain::images);
    let known = images.find(|image| gone.contains(&(image.destination.clone(), image.digest.clone())));
    known.map_or(listed, |image| image.kind.clone())
}

/// Returns the manifests of an image, for all that the record knows.
fn manifests(chain: &Chain, root: &Digest) -> BTreeSet<Digest> {
    let is_manifest = |digest: &Digest| {
        digest == root
            || chain.blobs.get(digest).is_some_and(|blob| media_type::is_manifest(&blob.media_type))
    };
    chain.content_of(root).unwrap_or_default().into_iter().filter(is_manifest).collect()
}
