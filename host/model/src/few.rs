//! [`Few`]: a set that mostly has one or a few items, of which there are many thousands.

use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize};

/// A set as a sorted list that takes no more room than its items: a tree takes room for eleven from the first one on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Few<T>(Vec<T>);

/// Up to so many items, there is no room for more.
const EXACT: usize = 8;

impl<T> Few<T> {
    /// Makes an empty set.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Keeps the items of which `is_kept` says so.
    pub fn retain(&mut self, is_kept: impl FnMut(&T) -> bool) {
        self.0.retain(is_kept);
    }

    /// Answers whether it has no items.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes all items.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl<T: Ord> Few<T> {
    /// Adds an item; answers whether it is new.
    pub fn insert(&mut self, item: T) -> bool {
        match self.0.binary_search(&item) {
            Ok(_) => false,
            Err(place) => {
                if self.0.len() < EXACT {
                    self.0.reserve_exact(1);
                }
                self.0.insert(place, item);
                true
            }
        }
    }

    /// Removes an item; answers whether it was there.
    pub fn remove(&mut self, item: &T) -> bool {
        let place = self.0.binary_search(item);
        if let Ok(place) = place {
            self.0.remove(place);
        }
        place.is_ok()
    }

    /// Answers whether an item is in it.
    pub fn contains(&self, item: &T) -> bool {
        self.0.binary_search(item).is_ok()
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'a, T> IntoIterator for &'a Few<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: Ord> Extend<T> for Few<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        self.0.extend(items);
        self.0.sort_unstable();
        self.0.dedup();
        self.0.shrink_to_fit();
    }
}

impl<T: Ord> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut set = Self::new();
        set.extend(items);
        set
    }
}

impl<T: Ord, const N: usize> From<[T; N]> for Few<T> {
    fn from(items: [T; N]) -> Self {
        items.into_iter().collect()
    }
}

impl<'de, T: Ord + Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_set_that_a_tree_is(items in proptest::collection::vec(0u8..32, 0..40), more in proptest::collection::vec(0u8..32, 0..9)) {
            let (mut few, mut tree) = (Few::new(), BTreeSet::new());
            for item in items {
                prop_assert_eq!(few.insert(item), tree.insert(item));
                if item > 24 {
                    prop_assert_eq!(few.remove(&(item - 16)), tree.remove(&(item - 16)));
                }
            }
            few.extend(more.clone());
            tree.extend(more);
            prop_assert!(few.iter().eq(&tree));
            prop_assert!((0..32).all(|item| few.contains(&item) == tree.contains(&item)));
            let text = serde_json::to_string(&few).expect("numbers serialise");
            prop_assert_eq!(&text, &serde_json::to_string(&tree).expect("numbers serialise"));
            prop_assert_eq!(serde_json::from_str::<Few<u8>>(&text).expect("what was written"), few);
        }
    }
}
