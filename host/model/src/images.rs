//! [`Images`]: the images of an imageset in the record of its chain.
//!
//! An imageset has most of its images from the one before. In memory all imagesets share what they have in common, and
//! stored, each says only what is new and which [`Run`]s it has from the one before: a record grows with what a
//! chain has carried, and not with how often it was carried on.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::metadata::ImageRecord;

/// The most images that a record may list, each as often as it is listed: of 20,000 images in each of 3,000 imagesets.
pub(crate) const MOST: usize = 60_000_000;

/// A list of images, of which there may be many that have most of them in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images(Arc<Vec<Arc<ImageRecord>>>);

impl Images {
    /// Iterates over them in their order, which is that of the configuration.
    pub fn iter(&self) -> Iter<'_> {
        self.0.iter().map(Arc::as_ref)
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Answers whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps those of which this is true.
    pub fn retain(&mut self, is_kept: impl Fn(&ImageRecord) -> bool) {
        if !self.iter().all(&is_kept) {
            Arc::make_mut(&mut self.0).retain(|image| is_kept(image));
        }
    }

    /// Adds one at the end.
    pub fn push(&mut self, image: ImageRecord) {
        Arc::make_mut(&mut self.0).push(Arc::new(image));
    }

    /// Takes from another list what that has too, so that it is in memory once.
    #[must_use]
    pub fn sharing(self, before: &Self) -> Self {
        let mut found = Finder::new(&before.0);
        let places: Vec<Option<usize>> = self.0.iter().map(|image| found.find(image)).collect();
        if places.len() == before.len() && places.iter().enumerate().all(|(at, place)| *place == Some(at)) {
            return before.clone();
        }
        let image = |(own, place): (&Arc<_>, Option<usize>)| place.map_or(own, |at| &before.0[at]).clone();
        Self(Arc::new(self.0.iter().zip(places).map(image).collect()))
    }

    /// Returns what of this list is not in the one before, and what is.
    pub(crate) fn since<'a>(&'a self, before: &Self) -> (Vec<&'a ImageRecord>, Vec<Run>) {
        let (mut new, mut runs) = (Vec::new(), Vec::<Run>::new());
        let mut found = Finder::new(&before.0);
        let mut is_taken = vec![false; before.len()];
        for (at, image) in self.0.iter().enumerate() {
            let from = found.find(image).filter(|from| !std::mem::replace(&mut is_taken[*from], true));
            match (from, runs.last_mut()) {
                (Some(from), Some(Run(start, first, count)))
                    if *start + *count == at && *first + *count == from =>
                {
                    *count += 1;
                }
                (Some(from), _) => runs.push(Run(at, from, 1)),
                (None, _) => new.push(image.as_ref()),
            }
        }
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
            images.extend_from_slice(&before.0[range]);
        }
        images.extend(new);
        Some(Self(Arc::new(images)))
    }
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
        &self.0[place]
    }
}

impl From<Vec<ImageRecord>> for Images {
    fn from(images: Vec<ImageRecord>) -> Self {
        images.into_iter().collect()
    }
}

impl FromIterator<ImageRecord> for Images {
    fn from_iter<I: IntoIterator<Item = ImageRecord>>(images: I) -> Self {
        Self(Arc::new(images.into_iter().map(Arc::new).collect()))
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
        assert!(Arc::ptr_eq(&before.0, &after.0));
        let after = images(1..4).sharing(&before);
        assert!(Arc::ptr_eq(&before.0[1], &after.0[0]));
        assert_eq!(after, images(1..4));
        let whole = Images::after(&before, Vec::new(), &[Run(0, 0, 3)]).expect("a list");
        assert!(Arc::ptr_eq(&before.0, &whole.0));
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
