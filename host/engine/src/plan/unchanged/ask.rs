//! What becomes of unchanged images at a target: [`ask`]; and of the images of an imageset as a whole: [`whole`].

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use oc_mirror_model::imageset::{ImageEntry, Index, UnchangedImage};
use oc_mirror_model::metadata::{Chain, ImageRecord, RecordId};
use oc_mirror_model::reference::Repository;
use oc_mirror_model::request::kind;

use super::rebuild::rebuild;
use super::{Records, ids_of, in_order};
use crate::plan::names::Names;

/// Images that imagesets at hand describe, by what others call them.
#[derive(Clone, Debug, Default)]
pub struct AtHand<'a>(HashMap<Vec<RecordId>, &'a ImageEntry>);

impl<'a> AtHand<'a> {
    /// Takes them from imagesets of one chain; the later in this order counts.
    pub fn of(indexes: impl IntoIterator<Item = &'a Index>) -> Self {
        let images = indexes.into_iter().flat_map(|index| &index.images);
        Self(images.map(|image| (ids_of(image), image)).collect())
    }

    /// Returns the image that has exactly these records.
    pub fn get(&self, ids: &[RecordId]) -> Option<&'a ImageEntry> {
        let mut ids = ids.to_vec();
        ids.sort();
        self.0.get(&ids).copied()
    }
}

/// What is known where an imageset is published: by the target's record, and by the imagesets at hand.
pub struct There<'a> {
    chain: Option<&'a Chain>,
    names: &'a Names,
    at_hand: &'a AtHand<'a>,
    /// The newest first.
    records: Vec<Records<'a>>,
}

impl<'a> There<'a> {
    /// Takes what a target's record has up to a sequence.
    pub fn new(chain: Option<&'a Chain>, sequence: u64, names: &'a Names, at_hand: &'a AtHand<'a>) -> Self {
        let path = |chain: &Chain, place: &Repository| names.path(chain, place);
        let records = chain.into_iter().flat_map(|chain| {
            let known = chain.imagesets.iter().rev().filter(move |i| i.sequence <= sequence);
            known.map(move |record| Records::of(record, |place| path(chain, place)))
        });
        Self { chain, names, at_hand, records: records.collect() }
    }

    /// Answers whether the newest record has all of these, where they are to be now. Names change with the most components that
    /// they may have.
    fn has(&self, ids: &[RecordId]) -> bool {
        let Some(chain) = self.chain else { return false };
        let is_in_place = |record: &ImageRecord| {
            let place = &record.destination.repository;
            self.names.place(&self.names.path(chain, place)) == *place
        };
        self.newest(ids).is_some_and(|found| found.into_iter().all(is_in_place))
    }

    /// Answers whether this is a list of referrers. Others write to it, so whether ours are still in it has to be asked.
    fn is_list(&self, id: &RecordId) -> bool {
        let found = self.newest(std::slice::from_ref(id));
        found.is_some_and(|found| found.iter().all(|record| record.kind == kind::REFERRERS))
    }

    fn newest(&self, ids: &[RecordId]) -> Option<Vec<&'a ImageRecord>> {
        self.records.first()?.all(ids)
    }

    /// Returns all that is to be known of the image with these records, or about `subject`: from an imageset at hand, or else from
    /// the newest record that has it.
    fn entry(&self, ids: &[RecordId], subject: Option<&UnchangedImage>) -> Option<ImageEntry> {
        if let Some(image) = self.at_hand.get(ids) {
            return Some(image.clone());
        }
        let chain = self.chain?;
        let found = self.records.iter().find_map(|records| records.all(ids))?;
        let path = self.names.path(chain, &found[0].destination.repository);
        rebuild(chain, &found, path, subject)
    }
}

/// What an imageset asks of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The imageset: images that the target's record does not have as it should are described in it, as others at hand or older
    /// records do it, and are to be published.
    pub index: Cow<'a, Index>,
    /// Unchanged images that nobody can tell more of, or not of all that is about them. They are in `index` no more.
    pub lost: Vec<UnchangedImage>,
}

/// Finds out what becomes of the unchanged images of an imageset at a target whose record goes up to the sequence before it.
///
/// One that the record has stays as it is. One that it has elsewhere, or had earlier, or that an imageset at hand describes, is to be
/// published; so is a list of referrers, to which others write. What none of these has is lost: it was deleted there, or could not
/// be published.
pub fn ask<'a>(index: &'a Index, there: &There<'_>) -> Asked<'a> {
    if index.unchanged.is_empty() {
        return Asked { index: Cow::Borrowed(index), lost: Vec::new() };
    }
    let described: BTreeSet<usize> = index.positions.iter().copied().collect();
    let mut free = (0..).filter(|position| !described.contains(position));
    let places: Vec<usize> = free.by_ref().take(index.unchanged.len()).collect();
    let (mut unchanged, mut lost, mut more) = (Vec::new(), Vec::new(), Vec::new());
    for (image, place) in index.unchanged.iter().zip(places) {
        let about: Vec<(usize, &RecordId)> = free.by_ref().zip(&image.about).collect();
        let is_kept = there.has(&image.records);
        let own = (!is_kept).then(|| (place, there.entry(&image.records, None)));
        let mut kept = Vec::new();
        let mut found: Vec<(usize, Option<ImageEntry>)> = own.into_iter().collect();
        for (place, id) in about {
            let is_there = is_kept && there.has(std::slice::from_ref(id));
            let entry = if is_there && !there.is_list(id) {
                None
            } else {
                there.entry(std::slice::from_ref(id), Some(image))
            };
            match entry {
                None if is_there => kept.push(*id),
                entry => found.push((place, entry)),
            }
        }
        let found: Option<Vec<(usize, ImageEntry)>> =
            found.into_iter().map(|(place, entry)| Some((place, entry?))).collect();
        let Some(found) = found else {
            lost.push(UnchangedImage::clone(image));
            continue;
        };
        more.extend(found);
        match is_kept {
            true if kept == image.about => unchanged.push(image.clone()),
            true => unchanged.push(UnchangedImage { about: kept, ..UnchangedImage::clone(image) }.into()),
            false => {}
        }
    }
    // Whoever made it may not have said where they belong.
    let is_in_order = index.positions.len() == index.images.len() && index.positions.is_sorted();
    if is_in_order && more.is_empty() && unchanged == index.unchanged {
        return Asked { index: Cow::Borrowed(index), lost };
    }
    let positions = index.positions.iter().copied().chain(std::iter::repeat(0));
    let mut images: Vec<(usize, ImageEntry)> = positions.zip(index.images.clone()).chain(more).collect();
    images.sort_by_key(|(place, _)| *place);
    let (positions, images) = images.into_iter().unzip();
    Asked { index: Cow::Owned(Index { images, positions, unchanged, ..index.clone() }), lost }
}

/// Returns all images of an imageset in the order of the configuration, but for unchanged ones that nobody can tell more of.
pub fn whole(index: &Index, there: &There<'_>) -> Vec<ImageEntry> {
    let described = index.images.iter().cloned().map(Some);
    in_order(index, described, named(index, there)).into_iter().flatten().collect()
}

/// Iterates over all images of an imageset in any order, but for unchanged ones that nobody can tell more of. Each is made when its
/// turn comes: all of them at once take much room.
pub fn each<'a>(index: &'a Index, there: &'a There<'_>) -> impl Iterator<Item = ImageEntry> {
    index.images.iter().cloned().chain(named(index, there).flatten())
}

/// Iterates over what is to be known of the unchanged images of an imageset, and then of those that are about them.
fn named<'a>(index: &'a Index, there: &'a There<'_>) -> impl Iterator<Item = Option<ImageEntry>> {
    let own = index.unchanged.iter().map(move |image| there.entry(&image.records, None));
    let about = index.unchanged.iter().flat_map(move |image| {
        image.about.iter().map(move |id| there.entry(std::slice::from_ref(id), Some(image)))
    });
    own.chain(about)
}
