//! [`Attributes`]: a few texts by key, in little room.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Index;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

type Pair = (Box<str>, Box<str>);

/// Texts by key, in the order of their keys.
///
/// A map for what there is very often and has very little in it. Empty ones have the size of a pointer, and others hold nothing
/// but their texts: a `BTreeMap` has half a KiB for its first pair.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
// A boxed list is one pointer wide where a list is three, which is what this is for.
#[allow(clippy::box_collection)]
pub struct Attributes(Option<Box<Vec<Pair>>>);

impl Attributes {
    /// Makes an empty map.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Answers whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.pairs().is_empty()
    }

    /// Returns the text of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        let at = self.place(key).ok()?;
        self.pairs().get(at).map(|(_, text)| &**text)
    }

    /// Answers whether there is a text of this key.
    pub fn contains_key(&self, key: &str) -> bool {
        self.place(key).is_ok()
    }

    /// Sets the text of a key, in place of the one before.
    pub fn insert(&mut self, key: impl Into<Box<str>>, text: impl Into<Box<str>>) {
        let (key, text) = (key.into(), text.into());
        let place = self.place(&key);
        let pairs = self.0.get_or_insert_with(|| Box::new(Vec::with_capacity(1)));
        match place {
            Ok(at) => pairs[at].1 = text,
            Err(at) => {
                pairs.reserve_exact(1);
                pairs.insert(at, (key, text));
            }
        }
    }

    /// Removes a key and its text.
    pub fn remove(&mut self, key: &str) {
        if let (Ok(at), Some(pairs)) = (self.place(key), &mut self.0) {
            pairs.remove(at);
            if pairs.is_empty() {
                self.0 = None;
            }
        }
    }

    /// Adds a line to the text of a key, unless it has that line.
    pub fn add_line(&mut self, key: &str, line: &str) {
        match self.get(key) {
            Some(text) if text.lines().any(|known| known == line) => {}
            Some(text) if !text.is_empty() => self.insert(key, format!("{text}\n{line}")),
            _ => self.insert(key, line),
        }
    }

    /// Returns keys and texts, in the order of the keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &str)> + Clone {
        self.pairs().iter().map(|(key, text)| (&**key, &**text))
    }

    fn pairs(&self) -> &[Pair] {
        self.0.as_ref().map_or(&[], |pairs| pairs.as_slice())
    }

    fn place(&self, key: &str) -> Result<usize, usize> {
        self.pairs().binary_search_by(|(known, _)| (**known).cmp(key))
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Index<&str> for Attributes {
    type Output = str;

    /// # Panics
    ///
    /// Panics if there is no such key.
    fn index(&self, key: &str) -> &str {
        self.get(key).unwrap_or_else(|| panic!("nothing is said of `{key}`"))
    }
}

impl<K: Into<Box<str>>, T: Into<Box<str>>> Extend<(K, T)> for Attributes {
    fn extend<I: IntoIterator<Item = (K, T)>>(&mut self, pairs: I) {
        for (key, text) in pairs {
            self.insert(key, text);
        }
    }
}

impl<K: Into<Box<str>>, T: Into<Box<str>>> FromIterator<(K, T)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (K, T)>>(pairs: I) -> Self {
        let mut attributes = Self::new();
        attributes.extend(pairs);
        attributes
    }
}

impl<K: Into<Box<str>>, T: Into<Box<str>>, const N: usize> From<[(K, T); N]> for Attributes {
    fn from(pairs: [(K, T); N]) -> Self {
        pairs.into_iter().collect()
    }
}

impl From<BTreeMap<String, String>> for Attributes {
    fn from(map: BTreeMap<String, String>) -> Self {
        map.into_iter().collect()
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;

        impl<'de> Visitor<'de> for Texts {
            type Value = Attributes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("texts by key")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
                let mut attributes = Attributes::new();
                while let Some((key, text)) = map.next_entry::<Box<str>, Box<str>>()? {
                    attributes.insert(key, text);
                }
                Ok(attributes)
            }
        }

        deserializer.deserialize_map(Texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_map_in_the_order_of_its_keys() {
        let mut attributes = Attributes::from([("b", "1"), ("a", "2"), ("b", "3")]);
        assert_eq!(attributes.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "3")]);
        assert_eq!((attributes.get("b"), attributes.get("c")), (Some("3"), None));
        attributes.insert("c".to_owned(), "4".to_owned());
        assert_eq!(&attributes["c"], "4");
        let map: BTreeMap<String, String> =
            attributes.iter().map(|(key, text)| (key.to_owned(), text.to_owned())).collect();
        assert_eq!(Attributes::from(map), attributes);
        attributes.remove("a");
        attributes.remove("d");
        assert_eq!(attributes, Attributes::from([("b", "3"), ("c", "4")]));
        assert!(Attributes::new().is_empty() && !attributes.is_empty());
        attributes.extend([("b", "5")]);
        attributes.remove("b");
        attributes.remove("c");
        assert!(attributes.is_empty() && attributes == Attributes::new());
    }

    #[test]
    fn lines_are_added_once() {
        let mut attributes = Attributes::new();
        for line in ["x", "y", "x"] {
            attributes.add_line("a", line);
        }
        assert_eq!(&attributes["a"], "x\ny");
        attributes.insert("a", "");
        attributes.add_line("a", "z");
        assert_eq!(&attributes["a"], "z");
    }

    #[test]
    fn it_is_written_as_a_map() {
        let attributes = Attributes::from([("b", "1"), ("a", "2")]);
        let text = serde_json::to_string(&attributes).expect("texts serialise");
        assert_eq!(text, r#"{"a":"2","b":"1"}"#);
        assert_eq!(serde_json::from_str::<Attributes>(&text).expect("a map"), attributes);
        assert!(serde_json::from_str::<Attributes>(r#"{"a": 1}"#).is_err());
        assert_eq!(size_of::<Attributes>(), size_of::<usize>());
    }
}
