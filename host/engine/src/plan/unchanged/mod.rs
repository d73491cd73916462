//! What an imageset need not say again: [`split`] tells the images that are as all its targets have them from those that are to
//! be published, and [`ask`] finds out at a target what becomes of the former.
//!
//! An imageset names an unchanged image by what a record says of it ([`RecordId`]). So what it is for a target depends on that
//! target's record: it is there, or it is elsewhere by now, or it was deleted, or was never taken.

mod ask;
mod rebuild;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};

use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::{ImageEntry, Index, UnchangedImage};
use oc_mirror_model::metadata::{Chain, ImageRecord, ImagesetRecord, RecordId};
use oc_mirror_model::reference::Repository;
use oc_mirror_model::request::{kind, provenance};
use oc_mirror_model::shared::Shared;

pub use ask::{Asked, AtHand, There, ask, each, whole};

use super::for_clusters::has_template;
use super::imageset::{is_offered_by, records};
use super::names::Names;

/// The images of a configuration, as an imageset names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Those that it describes.
    pub images: Vec<ImageEntry>,
    /// Their places among all; empty where none is unchanged.
    pub positions: Vec<usize>,
    /// Those that it names.
    pub unchanged: Vec<Shared<UnchangedImage>>,
}

/// Splits images for targets that are anywhere from `base` to the end of the chain. `files` are those that plugins add.
///
/// An image is unchanged if the record of each of these sequences says of it exactly what it would say again, if all that it
/// consists of is known to be in its repository at `base`, and if it cannot be confused with another one. The template of a
/// CatalogSource is in no record of an image, so a catalog that has or may have had another one is described.
pub fn split(
    all: impl Into<Vec<ImageEntry>>,
    files: &BTreeMap<String, Digest>,
    chain: &Chain,
    base: u64,
) -> Split {
    let all = all.into();
    let past: Vec<&ImagesetRecord> = chain.imagesets.iter().filter(|i| i.sequence >= base).collect();
    if past.first().is_none_or(|first| first.sequence != base) {
        return Split { images: all, ..Split::default() };
    }
    let before: Vec<Records<'_>> =
        past.iter().map(|record| Records::of(record, |repository| repository.clone())).collect();
    // What a record would say now is some hundred bytes for each image, so only what it comes to is kept.
    let said = |image| {
        let records = records(image, Repository::clone);
        let ids: Box<[RecordId]> = records.iter().map(own_id).collect();
        let is_said = |before: &Records<'_>| {
            ids.iter().zip(&records).all(|(id, record)| before.get(id) == Some(record))
        };
        let is_recorded = before.iter().all(is_said);
        (ids, is_recorded)
    };
    let now: Vec<(Box<[RecordId]>, bool)> = all.iter().map(said).collect();
    drop(before);
    let mut counts: HashMap<RecordId, usize> = HashMap::new();
    for id in now.iter().flat_map(|(ids, _)| ids) {
        *counts.entry(*id).or_default() += 1;
    }
    let same_files = past.iter().all(|record| record.files == *files);
    let may_be_named =
        |image: &ImageEntry| image.request.kind != kind::CATALOG || (same_files && !has_template(image));
    let is_unchanged: Vec<bool> = all
        .iter()
        .zip(&now)
        .map(|(image, (ids, is_recorded))| {
            let is_alone = || ids.iter().all(|id| counts[id] == 1);
            may_be_named(image) && *is_recorded && is_alone() && is_there(image, chain, base)
        })
        .collect();

    let mut split = Split::default();
    let mut owners: HashMap<(&Repository, &str), usize> = HashMap::new();
    for ((image, (ids, _)), _) in all
        .iter()
        .zip(&now)
        .zip(&is_unchanged)
        .filter(|((image, _), is)| **is && !image.request.is_companion())
    {
        owners.entry((&image.destination.repository, &image.request.origin)).or_insert(split.unchanged.len());
        let unchanged = UnchangedImage {
            origin: image.request.origin.clone(),
            kind: image.request.kind.clone(),
            records: ids.to_vec(),
            about: Vec::new(),
            offered_by: Vec::new(),
        };
        split.unchanged.push(unchanged.into());
    }
    let mut is_described = vec![false; all.len()];
    for (position, image) in all.iter().enumerate() {
        let owner = match (is_unchanged[position], image.request.is_companion()) {
            (true, false) => continue,
            // What is about an image is named with it, so that nobody has to be told what it is called.
            (true, true) => subject_of(image).and_then(|subject| owners.get(&subject)),
            (false, _) => None,
        };
        match owner {
            Some(owner) => split.unchanged[*owner].about.extend_from_slice(&now[position].0),
            None => {
                is_described[position] = true;
                split.positions.push(position);
            }
        }
    }
    note_offers(&mut split, &all, &is_unchanged);
    let described = all.into_iter().zip(is_described).filter(|(_, is)| *is);
    split.images = described.map(|(image, _)| image).collect();
    if split.unchanged.is_empty() {
        split.positions.clear();
    }
    split
}

/// Notes which of the described catalogs offer what is unchanged: they are published only where all that they offer is there.
fn note_offers(split: &mut Split, all: &[ImageEntry], is_unchanged: &[bool]) {
    let catalogs: Vec<(usize, &str)> = split
        .positions
        .iter()
        .filter(|position| all[**position].request.kind == kind::CATALOG)
        .map(|position| (*position, all[*position].request.origin.as_str()))
        .collect();
    let unchanged = all.iter().zip(is_unchanged).filter(|(image, is)| **is && !image.request.is_companion());
    for (named, (image, _)) in split.unchanged.iter_mut().zip(unchanged) {
        let offering = catalogs.iter().filter(|(_, catalog)| is_offered_by(&image.request, catalog));
        named.offered_by = offering.map(|(position, _)| *position).collect();
    }
}

/// Returns where the image is that something is about, and what it is called.
fn subject_of(companion: &ImageEntry) -> Option<(&Repository, &str)> {
    let origin = companion.request.provenance.get(provenance::SUBJECT_ORIGIN)?;
    Some((&companion.destination.repository, origin))
}

/// Answers whether every target at `base` has all of an image in its repository, for all the record knows.
fn is_there(image: &ImageEntry, chain: &Chain, base: u64) -> bool {
    let Some(known) = chain.content_of(&image.root.digest) else { return false };
    image.manifests.iter().chain(&image.blobs).all(|descriptor| {
        let carried = chain.was_carried_by(&descriptor.digest, base);
        known.contains(&descriptor.digest)
            && carried.is_some_and(|blob| blob.repositories.contains(&image.destination.repository))
    })
}

/// Returns the id of a record on the connected side, where nothing has a prefix and no name is joined.
fn own_id(record: &ImageRecord) -> RecordId {
    record.id(&record.destination.repository)
}

/// The records of one imageset by their ids, but for those that have one id.
pub(in crate::plan) struct Records<'a>(HashMap<RecordId, Option<&'a ImageRecord>>);

impl<'a> Records<'a> {
    /// `path` tells what a repository is called in imagesets.
    fn of(imageset: &'a ImagesetRecord, path: impl Fn(&Repository) -> Repository) -> Self {
        let mut records = HashMap::new();
        for record in &imageset.images {
            let id = record.id(&path(&record.destination.repository));
            records.entry(id).and_modify(|twice| *twice = None).or_insert(Some(record));
        }
        Self(records)
    }

    /// The same, of the last imageset of a record with these names.
    pub(in crate::plan) fn last(chain: &'a Chain, names: &Names) -> Self {
        match chain.last() {
            Some(last) => Self::of(last, |place| names.path(chain, place)),
            None => Self(HashMap::new()),
        }
    }

    pub(in crate::plan) fn get(&self, id: &RecordId) -> Option<&'a ImageRecord> {
        self.0.get(id).copied().flatten()
    }

    fn all(&self, ids: &[RecordId]) -> Option<Vec<&'a ImageRecord>> {
        let found: Option<Vec<_>> = ids.iter().map(|id| self.get(id)).collect();
        found.filter(|found| !found.is_empty())
    }
}

/// Puts what there is for each described image, for each unchanged one, and for each that is about one of these, into the order
/// of the configuration.
pub fn in_order<T>(
    index: &Index,
    described: impl IntoIterator<Item = T>,
    named: impl IntoIterator<Item = T>,
) -> Vec<T> {
    let mut described =
        described.into_iter().zip(index.positions.iter().copied().chain(std::iter::repeat(0)));
    let mut named = named.into_iter();
    let mut next = described.next();
    let mut all = Vec::new();
    loop {
        let is_due = next.as_ref().is_some_and(|(_, position)| *position <= all.len());
        match if is_due { None } else { named.next() } {
            Some(item) => all.push(item),
            None => {
                let Some((item, _)) = next else { return all };
                all.push(item);
                next = described.next();
            }
        }
    }
}

/// Returns the ids by which other imagesets name an image that one describes.
fn ids_of(image: &ImageEntry) -> Vec<RecordId> {
    let ids: HashSet<RecordId> = records(image, Repository::clone).iter().map(own_id).collect();
    let mut ids: Vec<RecordId> = ids.into_iter().collect();
    ids.sort();
    ids
}
