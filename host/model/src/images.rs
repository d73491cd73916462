//! [`Images`]: the images of an imageset in the record of its chain.
//!
//! An imageset has most of its images from the one before. In memory all imagesets share what they have in common, and
//! stored, each says only what is new and which [`Run`]s it has from the one before: a record grows with what a
//! chain has carried, and not with how often it was carried on.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use serde::{Deserialize, Serialize};

use crate::metadata::ImageRecord;

/// The most images that a record may list, each as often as it is listed: of 20,000 images in each of 3,000 imagesets.
pub(crate) const MOST: usize = 60_000_000;

type List = Vec<Arc<ImageRecord>>;

/// A list of images, of which there may be many that have most of them in common.
#[derive(Clone, Debug, Default)]
pub struct Images {
    list: Arc<List>,
    /// What is known of the list before this one: a record is written several times for each change of it.
    since: Option<Arc<Since>>,
}

#[derive(Debug)]
struct Since {
    /// The list before. As long as it is pointed at, no other one has its address, and it does not change.
    before: Weak<List>,
    runs: Vec<Run>,
}

impl PartialEq for Images {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}

impl Eq for Images {}

impl Images {
    /// Iterates over them in their order, which is that of the configuration.
    pub fn iter(&self) -> Iter<'_> {
        self.list.iter().map(Arc::as_ref)
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Answers whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Keeps those of which this is true.
    pub fn retain(&mut self, is_kept: impl Fn(&ImageRecord) -> bool) {
        if !self.iter().all(&is_kept) {
            self.since = None;
            Arc::make_mut(&mut self.list).retain(|image| is_kept(image));
        }
    }

    /// Adds one at the end.
    pub fn push(&mut self, image: ImageRecord) {
        self.since = None;
        Arc::make_mut(&mut self.list).push(Arc::new(image));
    }

    /// Takes from the list before what that has too, so that it is in memory once.
    #[must_use]
    pub fn sharing(self, before: &Self) -> Self {
        let mut found = Finder::new(&before.list);
        let places: Vec<Option<usize>> = self.list.iter().map(|image| found.find(image)).collect();
        if places.len() == before.len() && places.iter().enumerate().all(|(at, place)| *place == Some(at)) {
            return before.clone();
        }
        let shared =
            self.list.iter().zip(&places).map(|(own, place)| place.map_or(own, |at| &before.list[at]));
        let list = shared.cloned().collect();
        Self::known(list, before, runs(places, before.len()))
    }

    fn known(list: List, before: &Self, runs: Vec<Run>) -> Self {
        let since = Since { before: Arc::downgrade(&before.list), runs };
        Self { list: Arc::new(list), since: Some(Arc::new(since)) }
    }

    /// Returns what of this list is not in the one before, and what is.
    pub(crate) fn since(&self, before: &Self) -> (Vec<&ImageRecord>, Vec<Run>) {
        let is_before = |since: &&Arc<Since>| std::ptr::eq(since.before.as_ptr(), &*before.list);
        let runs = match self.since.as_ref().filter(is_before) {
            Some(since) => since.runs.clone(),
            None => {
                let mut found = Finder::new(&before.list);
                runs(self.list.iter().map(|image| found.find(image)), before.len())
            }
        };
        let (mut new, mut next) = (Vec::new(), 0);
        for Run(at, _, count) in &runs {
            new.extend(self.list[next..*at].iter().map(Arc::as_ref));
            next = at + count;
        }
        new.extend(self.list[next..].iter().map(Arc::as_ref));
        (new, runs)
    }

    /// Puts a list together again. Nothing: it cannot be that list.
    pub(crate) fn after(before: &Self, new: Vec<ImageRecord>, runs: &[Run]) -> Option<Self> {
        if new.is_empty() && matches!(runs, [Run(0, 0, count)] if *count == before.len()) {
            return Some(before.clone());
        }
        let mut new = new.into_iter().map(Arc::new);
        let mut images = Vec::new();
        // Each is taken once, so that a short text does not make a long list.
        let mut is_taken = vec![false; if runs.is_empty() { 0 } else { before.len() }];
        for Run(at, from, count) in runs {
            let missing = at.checked_sub(images.len())?;
            images.extend(new.by_ref().take(missing));
            let range = *from..from.checked_add(*count)?;
            if images.len() != *at || is_taken.get(range.clone())?.contains(&true) {
                return None;
            }
            is_taken[range.clone()].fill(true);
            images.extend_from_slice(&before.list[range]);
        }
        images.extend(new);
        // Whoever wrote it may have made shorter runs than we do.
        Some(Self { list: Arc::new(images), since: None }.sharing(before))
    }
}

/// Returns the runs of images of which each is at a place of the list before, or is not in it. None is taken twice.
fn runs(places: impl IntoIterator<Item = Option<usize>>, before: usize) -> Vec<Run> {
    let (mut runs, mut is_taken) = (Vec::<Run>::new(), vec![false; before]);
    for (at, place) in places.into_iter().enumerate() {
        let Some(from) = place.filter(|from| !std::mem::replace(&mut is_taken[*from], true)) else {
            continue;
        };
        match runs.last_mut() {
            Some(Run(start, first, count)) if *start + *count == at && *first + *count == from => *count += 1,
            _ => runs.push(Run(at, from, 1)),
        }
    }
    runs
}

/// So many images that two lists have in common: at which place of this one they begin, at which of the one before, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run(usize, usize, usize);

/// Finds images in a list, mostly behind the one that was found last.
struct Finder<'a> {
    list: &'a [Arc<ImageRecord>],
    next: usize,
    places: Option<HashMap<&'a ImageRecord, usize>>,
}

impl<'a> Finder<'a> {
    fn new(list: &'a [Arc<ImageRecord>]) -> Self {
        Self { list, next: 0, places: None }
    }

    fn find(&mut self, image: &ImageRecord) -> Option<usize> {
        let is_next = self
            .list
            .get(self.next)
            .is_some_and(|next| std::ptr::eq(next.as_ref(), image) || **next == *image);
        let at = match is_next {
            true => self.next,
            false => {
                let list = self.list;
                // The first of several that are the same.
                let places =
                    || list.iter().enumerate().rev().map(|(at, image)| (image.as_ref(), at)).collect();
                *self.places.get_or_insert_with(places).get(image)?
            }
        };
        self.next = at + 1;
        Some(at)
    }
}

/// Iterates over [`Images`].
pub type Iter<'a> =
    std::iter::Map<std::slice::Iter<'a, Arc<ImageRecord>>, fn(&'a Arc<ImageRecord>) -> &'a ImageRecord>;

impl<'a> IntoIterator for &'a Images {
    type Item = &'a ImageRecord;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl std::ops::Index<usize> for Images {
    type Output = ImageRecord;

    fn index(&self, place: usize) -> &ImageRecord {
        &self.list[place]
    }
}

impl From<Vec<ImageRecord>> for Images {
    fn from(images: Vec<ImageRecord>) -> Self {
        images.into_iter().collect()
    }
}

impl FromIterator<ImageRecord> for Images {
    fn from_iter<I: IntoIterator<Item = ImageRecord>>(images: I) -> Self {
        Self { list: Arc::new(images.into_iter().map(Arc::new).collect()), since: None }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::digest::Digest;
    use crate::request::Destination;

    fn image(number: u8) -> ImageRecord {
        let repository = "a/b".parse().expect("a repository");
        ImageRecord {
            origin: format!("quay.io/a/b:{number}"),
            kind: "additional".to_owned(),
            destination: Destination { repository, tag: format!("v{number}").parse().expect("a tag") },
            digest: Digest::of(&[number]),
            reasons: Vec::new(),
        }
    }

    fn images(numbers: impl IntoIterator<Item = u8>) -> Images {
        numbers.into_iter().map(image).collect()
    }

    #[test]
    fn what_is_added_and_dropped_is_all_that_is_said() {
        let before = images(0..100);
        let after = images((0..50).chain([200]).chain(60..100).chain([201]));
        let (new, runs) = after.since(&before);
        assert_eq!(new, [&image(200), &image(201)]);
        assert_eq!(runs, [Run(0, 0, 50), Run(51, 60, 40)]);
        assert_eq!(before.since(&before), (Vec::new(), vec![Run(0, 0, 100)]));
    }

    #[test]
    fn a_list_that_is_the_same_is_one() {
        let before = images(0..3);
        let after = images(0..3).sharing(&before);
        assert!(Arc::ptr_eq(&before.list, &after.list));
        let after = images(1..4).sharing(&before);
        assert!(Arc::ptr_eq(&before.list[1], &after.list[0]));
        assert_eq!(after, images(1..4));
        let whole = Images::after(&before, Vec::new(), &[Run(0, 0, 3)]).expect("a list");
        assert!(Arc::ptr_eq(&before.list, &whole.list));
    }

    #[test]
    fn what_is_known_of_the_list_before_is_not_said_of_another() {
        let mut before = images(0..10);
        let mut after = images(0..12).sharing(&before);
        assert_eq!(after.since(&before).1, [Run(0, 0, 10)]);
        before.retain(|image| image.digest != Digest::of(&[0]));
        assert_eq!(after.since(&before).1, [Run(1, 0, 9)]);
        assert_eq!(after.since(&images(5..10)).1, [Run(5, 0, 5)]);
        let before = images(0..10);
        after = images(0..12).sharing(&before);
        after.retain(|image| image.digest != Digest::of(&[1]));
        assert_eq!(after.since(&before).1, [Run(0, 0, 1), Run(1, 2, 8)]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let before = images(0..3);
        for runs in [
            &[Run(0, 0, 4)][..],
            &[Run(0, 3, 1)],
            &[Run(2, 0, 1)],
            &[Run(0, 0, 2), Run(1, 2, 1)],
            &[Run(0, 0, 2), Run(2, 1, 1)],
            &[Run(0, 1, usize::MAX)],
            &[Run(usize::MAX, 0, 1)],
        ] {
            assert_eq!(Images::after(&before, vec![image(9)], runs), None, "{runs:?}");
        }
    }

    proptest! {
        #[test]
        fn every_list_is_put_together_again(
            before in prop::collection::vec(0_u8..12, 0..20),
            after in prop::collection::vec(0_u8..12, 0..20),
        ) {
            let (before, after) = (images(before), images(after));
            let (new, runs) = after.since(&before);
            let read = Images::after(&before, new.into_iter().cloned().collect(), &runs).expect("a list");
            prop_assert_eq!(&read, &after);
            // What is read is written as it was.
            let (again, same) = read.since(&before);
            let (new, runs) = after.since(&before);
            prop_assert_eq!((again, same), (new, runs));
        }
    }
}
