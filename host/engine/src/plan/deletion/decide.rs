//! What can be deleted in one repository without taking anything else along: [`decide()`].
//!
//! Deleting a manifest removes every tag that points at it, and breaks every index that names it. So one that anything
//! else has stays, and what nobody can account for is not touched.

use std::collections::{BTreeMap, BTreeSet};

use oc_mirror_model::digest::Digest;
use oc_mirror_model::metadata::{Doomed, Leftover};
use oc_mirror_model::reference::Tag;
use oc_mirror_model::request::kind;

/// What is known of one repository at the target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ground {
    /// Its tags as they are now.
    pub tags: BTreeMap<Tag, Digest>,
    /// What the records of all chains have there and is not to be deleted, by tag. One tag may have had several images.
    pub recorded: BTreeSet<(Tag, Digest)>,
    /// All that these images consist of.
    pub needed: BTreeSet<Digest>,
    /// What other images consist of that have a tag there, or are to be deleted; by their digest.
    pub contents: BTreeMap<Digest, BTreeSet<Digest>>,
    /// Tags that keep nothing.
    pub leftovers: Vec<Leftover>,
    /// Of manifests that are about others, what they are about.
    pub subjects: BTreeMap<Digest, BTreeSet<Digest>>,
}

/// What is to be done with one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Delete these manifests, in this order, and with them all tags.
    Delete(Vec<Digest>),
    /// Remove the tag only.
    Untag,
    /// Nothing has to be done at the registry.
    Nothing,
    /// Leave it alone.
    Keep {
        /// True if the user wanted it gone, and it could not be.
        refused: bool,
    },
}

/// The decision about one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What is to be done.
    pub action: Action,
    /// Why, where that needs saying.
    pub reason: String,
}

impl Verdict {
    fn new(action: Action, reason: impl Into<String>) -> Self {
        Self { action, reason: reason.into() }
    }

    fn keep(refused: bool, reason: impl Into<String>) -> Self {
        Self::new(Action::Keep { refused }, reason)
    }

    /// Answers whether the image stays.
    pub fn keeps(&self) -> bool {
        matches!(self.action, Action::Keep { .. })
    }
}

/// Decides about images of one repository, in their order.
pub fn decide(doomed: &[Doomed], ground: &Ground) -> Vec<Verdict> {
    let mut kept: BTreeSet<usize> = BTreeSet::new();
    // An image that stays may be the reason for another one to stay.
    loop {
        let round = Round::new(doomed, ground, &kept);
        let verdicts: Vec<Verdict> = doomed.iter().map(|image| round.verdict(image)).collect();
        let now: BTreeSet<usize> = (0..doomed.len()).filter(|place| verdicts[*place].keeps()).collect();
        if now.is_subset(&kept) {
            return verdicts;
        }
        kept.extend(now);
    }
}

/// What stays, given the images that are known to stay.
struct Round<'a> {
    ground: &'a Ground,
    /// Tags that nobody accounts for, with what they point at.
    strange: Vec<(&'a Tag, &'a Digest)>,
    needed: BTreeSet<&'a Digest>,
}

impl<'a> Round<'a> {
    fn new(doomed: &'a [Doomed], ground: &'a Ground, kept: &BTreeSet<usize>) -> Self {
        let is_doomed = |tag: &Tag, digest: &Digest| {
            doomed.iter().any(|d| d.tag.as_ref() == Some(tag) && d.digest == *digest)
        };
        let is_left = |tag: &Tag, digest: &Digest| {
            ground.leftovers.iter().any(|left| left.destination.tag == *tag && left.digest == *digest)
        };
        let is_recorded =
            |tag: &Tag, digest: &Digest| ground.recorded.contains(&(tag.clone(), digest.clone()));
        let strange: Vec<_> = ground
            .tags
            .iter()
            .filter(|(tag, digest)| {
                !is_doomed(tag, digest) && !is_left(tag, digest) && !is_recorded(tag, digest)
            })
            .collect();
        let mut needed: BTreeSet<&Digest> = ground.needed.iter().collect();
        let staying = kept.iter().map(|place| &doomed[*place].digest);
        for digest in strange.iter().map(|(_, digest)| *digest).chain(staying) {
            needed.insert(digest);
            needed.extend(ground.contents.get(digest).into_iter().flatten());
        }
        Self { ground, strange, needed }
    }

    fn verdict(&self, image: &Doomed) -> Verdict {
        let there = image.tag.as_ref().and_then(|tag| self.ground.tags.get(tag));
        let is_list = image.kind == kind::REFERRERS;
        if let Some(there) = there.filter(|there| **there != image.digest && !is_list) {
            return Verdict::keep(
                true,
                format!("its tag points at `{there}`, which is not what was mirrored"),
            );
        }
        let strange = self.strange.iter().find(|(_, digest)| **digest == image.digest);
        if let Some((tag, _)) = strange {
            let reason =
                format!("the tag `{tag}`, which no chain has put there, points at the same manifest");
            return Verdict::keep(true, reason);
        }
        let subjects = self.ground.subjects.get(&image.digest).into_iter().flatten();
        if let Some(subject) = subjects.into_iter().find(|subject| self.needed.contains(subject)) {
            return Verdict::keep(false, format!("it is about `{subject}`, which stays"));
        }
        if self.needed.contains(&image.digest) {
            let reason = "another image that stays has its manifest";
            return match image.tag.as_ref().filter(|_| there == Some(&image.digest)) {
                Some(tag) if self.ground.recorded.contains(&(tag.clone(), image.digest.clone())) => {
                    Verdict::new(Action::Nothing, "another chain has it too")
                }
                Some(_) => Verdict::new(Action::Untag, reason),
                None => Verdict::new(Action::Nothing, reason),
            };
        }
        let parts = image.manifests.iter().filter(|part| **part != image.digest);
        let parts = parts.filter(|part| !self.needed.contains(part)).cloned();
        // Whoever deletes the parts first leaves a tag that cannot be pulled.
        Verdict::new(Action::Delete([image.digest.clone()].into_iter().chain(parts).collect()), "")
    }
}
