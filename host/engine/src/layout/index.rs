//! `index.json`: the images of a layout and their names, [`Index`].
//!
//! Entries that other tools wrote are kept as they are, with every field.

use std::collections::BTreeMap;

use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::media_type;
use oc_mirror_model::reference::{Repository, Tag};
use serde_json::{Map, Value, json};

/// The annotation that names an image of a layout.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Where containerd and its kin put the full name.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// The images of a layout, in the order of the file.
#[derive(Clone, Debug)]
pub(super) struct Index {
    rest: Map<String, Value>,
    entries: Vec<Entry>,
    /// The places in `entries` of names that are `<repository>:<tag>`.
    tags: BTreeMap<Repository, BTreeMap<Tag, usize>>,
}

/// One image of a layout.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    raw: Value,
    pub(super) descriptor: Descriptor,
}

impl Entry {
    /// Returns the name, if it has one.
    pub(super) fn name(&self) -> Option<&str> {
        self.descriptor.annotations.get(REF_NAME)
    }

    /// Answers whether `name` means this image.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.name() == Some(name)
            || self.descriptor.annotations.get(CONTAINERD_NAME).is_some_and(|n| n == name)
    }
}

/// A change to the names of a layout.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// A name points at a manifest from now on.
    Tag(Repository, Tag, Box<Descriptor>),
    /// A name is gone.
    Untag(Repository, Tag),
}

impl Index {
    /// Makes an empty one.
    pub(super) fn empty() -> Self {
        let rest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": []});
        let Value::Object(rest) = rest else { unreachable!("an object was written above") };
        Self { rest, entries: Vec::new(), tags: BTreeMap::new() }
    }

    /// Reads the file's bytes.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let mut rest: Map<String, Value> = serde_json::from_slice(bytes)?;
        let manifests: Vec<Value> = match rest.get_mut("manifests").map(Value::take) {
            None | Some(Value::Null) => Vec::new(),
            Some(value) => serde_json::from_value(value)?,
        };
        let entries = manifests
            .into_iter()
            .map(|raw| Ok(Entry { descriptor: serde_json::from_value(raw.clone())?, raw }))
            .collect::<Result<_, serde_json::Error>>()?;
        let mut index = Self { rest, entries, tags: BTreeMap::new() };
        index.number();
        Ok(index)
    }

    /// Writes the file's bytes.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut file = self.rest.clone();
        file.insert("manifests".to_owned(), self.entries.iter().map(|e| e.raw.clone()).collect());
        serde_json::to_vec(&file).expect("values are always JSON")
    }

    /// Returns all images.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns what a tag points at.
    pub(super) fn tag(&self, repository: &Repository, tag: &Tag) -> Option<&Descriptor> {
        let place = self.tags.get(repository)?.get(tag)?;
        Some(&self.entries[*place].descriptor)
    }

    /// Returns the tags of a repository, sorted.
    pub(super) fn tags(&self, repository: &Repository) -> impl Iterator<Item = (&Tag, &Descriptor)> {
        let tags = self.tags.get(repository).into_iter().flatten();
        tags.map(|(tag, place)| (tag, &self.entries[*place].descriptor))
    }

    /// Makes a change.
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Tag(repository, tag, mut descriptor) => {
                descriptor.annotations.insert(REF_NAME.to_owned(), format!("{repository}:{tag}"));
                let raw = serde_json::to_value(&*descriptor).expect("a descriptor is always JSON");
                let entry = Entry { raw, descriptor: *descriptor };
                let tags = self.tags.entry(repository).or_default();
                match tags.get(&tag) {
                    Some(place) => self.entries[*place] = entry,
                    None => {
                        tags.insert(tag, self.entries.len());
                        self.entries.push(entry);
                    }
                }
            }
            Change::Untag(repository, tag) => {
                let place = self.tags.get(&repository).and_then(|tags| tags.get(&tag));
                if let Some(place) = place {
                    self.entries.remove(*place);
                    self.number();
                }
            }
        }
    }

    fn number(&mut self) {
        self.tags.clear();
        for (place, entry) in self.entries.iter().enumerate() {
            if let Some((repository, tag)) = entry.name().and_then(split_name) {
                self.tags.entry(repository).or_default().entry(tag).or_insert(place);
            }
        }
    }
}

/// Splits `<repository>:<tag>`.
pub(super) fn split_name(name: &str) -> Option<(Repository, Tag)> {
    let (repository, tag) = name.rsplit_once(':')?;
    Some((repository.parse().ok()?, tag.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(index: &Index) -> Vec<&str> {
        index.entries().iter().filter_map(Entry::name).collect()
    }

    #[test]
    fn what_others_wrote_is_kept() {
        let entry = json!({
            "mediaType": media_type::OCI_MANIFEST, "size": 2, "urls": ["x"],
            "digest": oc_mirror_model::digest::Digest::of(b"{}"),
            "annotations": {REF_NAME: "latest", "other": "y"},
        });
        let file = json!({"schemaVersion": 2, "manifests": [entry], "annotations": {"a": "b"}});
        let mut index = Index::parse(file.to_string().as_bytes()).expect("valid");
        let (repository, tag) = split_name("a/b:v1").expect("valid");
        let descriptor = Descriptor::of(media_type::OCI_MANIFEST, b"[]");
        index.apply(Change::Tag(repository.clone(), tag.clone(), Box::new(descriptor)));
        assert_eq!(names(&index), ["latest", "a/b:v1"]);
        index.apply(Change::Untag(repository, tag));
        let again: Value = serde_json::from_slice(&index.to_bytes()).expect("JSON");
        assert_eq!(again, file);
    }

    #[test]
    fn a_tag_moves_in_place() {
        let mut index = Index::empty();
        let (repository, tag) = split_name("a:v1").expect("valid");
        for content in [&b"1"[..], b"22"] {
            let descriptor = Box::new(Descriptor::of(media_type::OCI_MANIFEST, content));
            index.apply(Change::Tag(repository.clone(), tag.clone(), descriptor));
        }
        assert_eq!(names(&index), ["a:v1"]);
        assert_eq!(index.tag(&repository, &tag).map(|d| d.size), Some(2));
        assert_eq!(index.tags(&repository).count(), 1);
        let again = Index::parse(&index.to_bytes()).expect("valid");
        assert_eq!(again.tag(&repository, &tag), index.tag(&repository, &tag));
    }
}
