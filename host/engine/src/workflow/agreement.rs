//! Plans that are made now and kept to later: [`Agreement`] takes down what a dry run would do, or holds a run to what was taken
//! down.
//!
//! There is no second way of doing things: a run that keeps to a plan finds out what is wanted like any other, told of the world
//! what the plan was told. Before anything is written, what it found is compared with the plan, to the byte.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::{ImageEntry, Index, QuarantinedImage, RefusedImage};
use oc_mirror_model::metadata::Chain;
use oc_mirror_model::mirror_plan::{MirrorPlan, PlannedImageset, PublishStep, Standing, TargetPlan};
use oc_mirror_model::reference::Target;
use uuid::Uuid;

use super::recording::Answers;
use super::{WorkflowError, WorkflowErrorKind};

/// How many differences are named.
const MOST_NAMED: usize = 3;

/// What a run has to do with a plan.
#[derive(Debug)]
pub struct Agreement {
    answers: Arc<Answers>,
    client: Uuid,
    /// What was agreed on; nothing while it is taken down.
    plan: Option<MirrorPlan>,
    taken: Mutex<Taken>,
}

/// What was taken down of a dry run.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// Where the chain is in the workspace, where that counts.
    pub builds_on: Option<Standing>,
    /// Where targets are, and what is published there.
    pub targets: Vec<TargetPlan>,
    /// What would be made; nothing where there is nothing to do.
    pub imageset: Option<Index>,
    /// The configuration with everything pinned.
    pub resolved: Vec<u8>,
}

/// What became of a plan before a run that keeps to it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is to be done.
    Open,
    /// What it makes is there.
    Done,
}

impl Agreement {
    /// Begins to take down what a dry run does. `client` is whom update servers are told that asks.
    pub fn to_take(client: Uuid) -> Self {
        Self { answers: Arc::default(), client, plan: None, taken: Mutex::default() }
    }

    /// Holds a run to a plan.
    ///
    /// # Errors
    ///
    /// If the answers in it are not in the form of answers.
    pub fn to_keep(mut plan: MirrorPlan) -> serde_json::Result<Self> {
        let answers = Arc::new(Answers::read(&std::mem::take(&mut plan.answers))?);
        Ok(Self { answers, client: plan.client, plan: Some(plan), taken: Mutex::default() })
    }

    /// Returns what the world has answered, and answers.
    pub fn answers(&self) -> &Arc<Answers> {
        &self.answers
    }

    /// Returns whom update servers are told that asks. Their answers are known by what they were asked.
    pub fn client(&self) -> Uuid {
        self.client
    }

    /// Returns what was taken down.
    pub fn taken(&self) -> Taken {
        self.taken.lock().expect("no holder of this lock panics").clone()
    }

    fn take(&self, change: impl FnOnce(&mut Taken)) {
        change(&mut self.taken.lock().expect("no holder of this lock panics"));
    }

    /// Answers whether a run is held to a plan.
    pub(super) fn is_kept(&self) -> bool {
        self.plan.is_some()
    }

    /// Returns the time that what is made says it was made at.
    pub(super) fn created(&self) -> Option<&str> {
        self.plan.as_ref().and_then(|plan| Some(plan.imageset.as_ref()?.created.as_str()))
    }

    /// Notes where the chain is, or compares it.
    pub(super) fn begin(&self, chain: &Chain) -> Result<State, WorkflowError> {
        let standing = standing(chain);
        let Some(plan) = &self.plan else {
            self.take(|taken| taken.builds_on = Some(standing));
            return Ok(State::Open);
        };
        let builds_on = plan.builds_on.clone().unwrap_or_default();
        if builds_on == standing {
            return Ok(State::Open);
        }
        let is_next = standing.uid == builds_on.uid && standing.sequence == builds_on.sequence + 1;
        if is_next && is_made(plan, chain) {
            return Ok(State::Done);
        }
        Err(moved_on(builds_on, standing))
    }

    /// Says that a chain is not where the plan builds on it.
    pub(super) fn moved_on(&self, chain: &Chain) -> WorkflowError {
        let builds_on = self.plan.as_ref().and_then(|plan| plan.builds_on.clone());
        moved_on(builds_on.unwrap_or_default(), standing(chain))
    }

    /// Notes where a chain is at a target and what is published there, or compares it. Nothing is published where images are copied.
    pub(super) fn at_target(
        &self,
        target: &Target,
        chain: Option<&Chain>,
        imagesets: Vec<PlannedImageset>,
    ) -> Result<(), WorkflowError> {
        let sequence = chain.map_or(0, Chain::sequence);
        let found = TargetPlan { target: target.to_string(), sequence, imagesets };
        let Some(plan) = &self.plan else {
            self.take(|taken| taken.targets.push(found));
            return Ok(());
        };
        let Some(planned) = plan.targets.iter().find(|planned| planned.target == found.target) else {
            let difference = format!("it does not publish to {}", found.target);
            return Err(WorkflowErrorKind::NotAsPlanned { differences: vec![difference] }.into());
        };
        let published = published(planned, &found);
        if !published.is_empty() {
            return Err(WorkflowErrorKind::NotAsPlanned { differences: published }.into());
        }
        // What the plan has done there itself, a run of it that was cut off among it, is no other place.
        let own = planned.imagesets.iter().filter(|set| set.step == PublishStep::Publish);
        match planned.sequence == sequence || own.into_iter().any(|set| set.sequence == sequence) {
            true => Ok(()),
            false => Err(WorkflowErrorKind::TargetMovedOn {
                target: found.target,
                planned: planned.sequence,
                found: sequence,
            }
            .into()),
        }
    }

    /// Notes what is going to be made, or compares it; nothing: nothing is.
    pub(super) fn settle(&self, index: Option<&Index>) -> Result<(), WorkflowError> {
        let Some(plan) = &self.plan else {
            self.take(|taken| taken.imageset = index.cloned());
            return Ok(());
        };
        if plan.index == index.map(|index| index.checked().digest()) {
            return Ok(());
        }
        let differences = differences(plan.imageset.as_ref(), index);
        Err(WorkflowErrorKind::NotAsPlanned { differences }.into())
    }

    /// Notes the configuration with everything pinned.
    pub(super) fn note_resolved(&self, pinned: &[u8]) {
        if self.plan.is_none() {
            self.take(|taken| taken.resolved = pinned.to_vec());
        }
    }
}

/// Answers whether the last of a chain is what a plan makes. What was copied has no identity; that it was made at the time of the
/// plan, and of its images, is as good within one chain.
fn is_made(plan: &MirrorPlan, chain: &Chain) -> bool {
    let (Some(planned), Some(last)) = (&plan.imageset, chain.last()) else { return false };
    if last.index.is_some() {
        return last.index == plan.index;
    }
    let recorded: BTreeSet<(&str, &Digest)> =
        last.images.iter().map(|image| (image.origin.as_str(), &image.digest)).collect();
    let is_recorded =
        |image: &ImageEntry| recorded.contains(&(image.request.origin.as_str(), &image.root.digest));
    last.created == planned.created && planned.images.iter().all(is_recorded)
}

/// Says which imagesets are not those that were planned to be published, or not in the way.
fn published(planned: &TargetPlan, found: &TargetPlan) -> Vec<String> {
    let mut said = Vec::new();
    for set in &found.imagesets {
        let sequence = set.sequence;
        match planned.imagesets.iter().find(|planned| planned.sequence == sequence) {
            None => said.push(format!("imageset {sequence} was not among the imagesets")),
            Some(planned) if planned.index != set.index => {
                said.push(format!("imageset {sequence} is another one now"));
            }
            Some(planned)
                if planned.step == set.step
                    || (planned.step, set.step) == (PublishStep::Publish, PublishStep::AlreadyPublished) => {}
            Some(_) => said.push(format!("imageset {sequence} is not to be dealt with as it was planned")),
        }
    }
    let is_gone =
        |planned: &&PlannedImageset| found.imagesets.iter().all(|set| set.sequence != planned.sequence);
    let gone = planned.imagesets.iter().filter(is_gone);
    said.extend(gone.map(|set| format!("imageset {} is no longer among the imagesets", set.sequence)));
    said
}

fn moved_on(planned: Standing, found: Standing) -> WorkflowError {
    WorkflowErrorKind::ChainMovedOn { planned: Box::new(planned), found: Box::new(found) }.into()
}

fn standing(chain: &Chain) -> Standing {
    let index = chain.last().and_then(|last| last.index.clone());
    Standing { uid: chain.uid, sequence: chain.sequence(), index }
}

/// Says what is not as it was planned, the most telling first.
fn differences(planned: Option<&Index>, found: Option<&Index>) -> Vec<String> {
    let (planned, found) = match (planned, found) {
        (Some(planned), Some(found)) => (planned, found),
        (None, Some(_)) => return vec!["it had nothing to do, and now there is something new".to_owned()],
        (Some(_), None) | (None, None) => return vec!["nothing of it is left to do".to_owned()],
    };
    let mut said = Vec::new();
    images(planned, found, &mut said);
    said.extend(left_out(&planned.refused, &found.refused, refused, "is refused now"));
    said.extend(left_out(&found.refused, &planned.refused, refused, "was refused when it was planned"));
    said.extend(left_out(&planned.quarantined, &found.quarantined, quarantined, "cannot be had now"));
    said.extend(left_out(&found.quarantined, &planned.quarantined, quarantined, "could not be had then"));
    if planned.signed_by != found.signed_by {
        let keys = |index: &Index| match index.signed_by.len() {
            0 => "none".to_owned(),
            _ => index.signed_by.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        said.push(format!("it is to be signed by {}, and the keys are {}", keys(planned), keys(found)));
    }
    if said.is_empty() {
        files(planned, found, &mut said);
    }
    if said.is_empty() {
        said.push("what would be made is not the same to the byte".to_owned());
    }
    let more = said.len().saturating_sub(MOST_NAMED);
    said.truncate(MOST_NAMED);
    if more > 0 {
        said.push(format!("and {more} more"));
    }
    said
}

/// Compares the images, by their names.
fn images(planned: &Index, found: &Index, said: &mut Vec<String>) {
    fn all(index: &Index) -> BTreeMap<&str, Option<&Digest>> {
        let described = index.images.iter().map(|i| (i.request.origin.as_str(), Some(&i.root.digest)));
        index.unchanged.iter().map(|i| (i.origin.as_str(), None)).chain(described).collect()
    }
    let (before, now) = (all(planned), all(found));
    for (name, digest) in &before {
        match now.get(name) {
            None => said.push(format!("`{name}` is no longer among the images")),
            Some(other) if other != digest => said.push(format!("`{name}` is another image now")),
            Some(_) => {}
        }
    }
    let new = now.keys().filter(|name| !before.contains_key(*name));
    said.extend(new.map(|name| format!("`{name}` was not among the images")));
}

fn refused(image: &RefusedImage) -> &str {
    &image.origin
}

fn quarantined(image: &QuarantinedImage) -> &str {
    &image.origin
}

/// Names what is left out now, and was not before.
fn left_out<T>(before: &[T], now: &[T], name: fn(&T) -> &str, what: &str) -> Vec<String> {
    let is_new = |image: &&T| before.iter().all(|other| name(other) != name(image));
    now.iter().filter(is_new).map(|image| format!("`{}` {what}", name(image))).collect()
}

/// Compares the files, by their paths.
fn files(planned: &Index, found: &Index, said: &mut Vec<String>) {
    fn all(index: &Index) -> BTreeMap<&str, &Digest> {
        index.entries.iter().filter_map(|entry| Some((entry.file()?, &entry.digest))).collect()
    }
    let (before, now) = (all(planned), all(found));
    let paths = before.keys().chain(now.keys().filter(|path| !before.contains_key(*path)));
    let differ = paths.filter(|path| before.get(*path) != now.get(*path));
    said.extend(differ.map(|path| format!("the file `{path}` is not the same")));
}

#[cfg(test)]
mod tests {
    use oc_mirror_model::images::Images;
    use oc_mirror_model::metadata::ImagesetRecord;
    use serde_json::json;

    use super::*;

    fn index(images: &[(&str, &str)]) -> Index {
        let image = |(name, content): &(&str, &str)| {
            let root = oc_mirror_model::Descriptor::of(
                "application/vnd.oci.image.manifest.v1+json",
                content.as_bytes(),
            );
            json!({
                "plugin": "p", "source": name, "origin": name, "kind": "additional",
                "destination": { "repository": "a", "tag": "b" },
                "root": root, "manifests": [root], "blobs": [],
            })
        };
        serde_json::from_value(json!({
            "format": "1.1", "uid": Uuid::nil(), "sequence": 1, "base": 0,
            "created": "2026-01-02T03:04:05Z", "createdBy": "oc-mirror 0.1.0", "chunks": [], "entries": [],
            "images": images.iter().map(image).collect::<Vec<_>>(),
        }))
        .expect("an index")
    }

    #[test]
    fn differences_are_named() {
        let planned = index(&[("r/a:1", "a"), ("r/b:1", "b")]);
        let found = index(&[("r/a:1", "other"), ("r/c:1", "c")]);
        let expected = [
            "`r/a:1` is another image now",
            "`r/b:1` is no longer among the images",
            "`r/c:1` was not among the images",
        ];
        assert_eq!(differences(Some(&planned), Some(&found)), expected);
        let later = Index { created: "2026-01-02T03:04:06Z".to_owned(), ..planned.clone() };
        assert_eq!(
            differences(Some(&planned), Some(&later)),
            ["what would be made is not the same to the byte"]
        );
    }

    #[test]
    fn a_chain_that_has_moved_on_is_refused() {
        let uid = Uuid::nil();
        let taking = Agreement::to_take(uid);
        let mut chain = Chain::new(uid);
        assert_eq!(taking.begin(&chain).expect("taken"), State::Open);
        let made = index(&[("r/a:1", "a")]);
        taking.settle(Some(&made)).expect("taken");
        let Taken { builds_on, imageset, .. } = taking.taken();
        let plan = json!({
            "kind": "MirrorPlan", "format": 1, "createdBy": "oc-mirror 0.1.0", "created": made.created,
            "workflow": "mirrorToDisk", "destinations": ["file://x"],
            "configuration": { "path": "x", "written": "" },
            "client": uid,
            "buildsOn": builds_on, "index": made.checked().digest(), "imageset": imageset,
        });
        let plan: MirrorPlan = serde_json::from_value(plan).expect("a plan");
        let keeping = Agreement::to_keep(plan).expect("answers");
        assert_eq!(keeping.begin(&chain).expect("as planned"), State::Open);
        keeping.settle(Some(&made)).expect("as planned");
        keeping.settle(None).expect_err("there was something to do");
        keeping.settle(Some(&index(&[]))).expect_err("other images");
        let record = |index: Digest| ImagesetRecord {
            sequence: 1,
            base: 0,
            index: Some(index),
            created: String::new(),
            images: Images::default(),
            plugin_state: BTreeMap::new(),
            files: BTreeMap::new(),
            quarantined: Vec::new(),
        };
        chain.imagesets = vec![record(made.checked().digest())];
        assert_eq!(keeping.begin(&chain).expect("it is there"), State::Done);
        chain.imagesets = vec![record(Digest::of(b"another"))];
        let refused = keeping.begin(&chain).expect_err("moved on");
        assert!(refused.to_string().contains("sequence 1"), "{refused}");
    }
}
