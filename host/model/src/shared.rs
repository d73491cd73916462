//! [`Shared`]: something large of which there are several copies, most of which are never changed.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that copies share until one of them is changed; that one then becomes a value of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shared<T>(Arc<T>);

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

impl<'a, K, V> IntoIterator for &'a Shared<BTreeMap<K, V>> {
    type Item = (&'a K, &'a V);
    type IntoIter = std::collections::btree_map::Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: Serialize> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(T::deserialize(deserializer)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_one_until_they_are_changed() {
        let one = Shared::from(vec![1, 2]);
        let mut two = one.clone();
        assert!(std::ptr::eq(&*one, &*two));
        two.push(3);
        assert_eq!((one.len(), two.len()), (2, 3));
        assert_eq!(two.iter().sum::<i32>(), 6);
        let text = serde_json::to_string(&two).expect("a list");
        assert_eq!((text.as_str(), serde_json::from_str(&text).ok()), ("[1,2,3]", Some(two)));
    }

    #[test]
    fn what_only_one_has_is_changed_in_its_place() {
        let mut one = Shared::from(Vec::with_capacity(10));
        let place = one.as_ptr();
        one.push(1);
        assert_eq!(one.as_ptr(), place);
    }
}
