//! Names of objects besides the usual ones: [`Names`], for two chains onto one cluster, or where something goes by a name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use oc_mirror_model::digest::Digest;
use serde_json::json;

use super::Documents;

/// What a name of every kind may have: the characters of a label.
pub(super) const LONGEST: usize = 63;
/// What a suffix may have, so that what is before it can still be read.
const LONGEST_SUFFIX: usize = 20;
/// Characters of a hash, to tell apart what would have the same name.
pub(super) const HASH: usize = 8;

/// A text that cannot name an object of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` cannot {what}: {reason}")]
pub struct InvalidName {
    /// The text.
    pub text: String,
    what: &'static str,
    reason: &'static str,
}

/// A name that an object of any kind may have: a label that begins with a letter, as RFC 1035 has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

/// What is put at the end of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suffix(String);

fn reason_against(text: &str, longest: usize) -> Option<&'static str> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    match text {
        "" => Some("it is empty"),
        _ if !text.bytes().all(plain) => Some("only small letters, digits and `-` can be in it"),
        _ if text.starts_with('-') || text.ends_with('-') => Some("it begins or ends with `-`"),
        _ if text.len() > longest => Some("it is too long"),
        _ => None,
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let is_number = text.starts_with(|c: char| c.is_ascii_digit());
        let reason = reason_against(text, LONGEST).or(is_number.then_some("it begins with a digit"));
        match reason {
            Some(reason) => {
                Err(InvalidName { text: text.to_owned(), what: "name an object of a cluster", reason })
            }
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl FromStr for Suffix {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match reason_against(text, LONGEST_SUFFIX) {
            Some(reason) => Err(InvalidName { text: text.to_owned(), what: "end names of objects", reason }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which names objects get. By default they keep those that they are made with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// What every name ends with.
    pub suffix: Option<Suffix>,
    /// Names that replace others; these have the suffix already.
    pub instead: BTreeMap<String, Name>,
}

impl Names {
    /// Gives every object its name. What cannot be called as it was wished keeps the name that it had.
    pub(super) fn give(&self, documents: &mut Documents) {
        if let Some(suffix) = &self.suffix {
            for resource in &mut documents.resources {
                let name = with_suffix(resource.name(), suffix);
                resource.object["metadata"]["name"] = json!(name);
            }
        }
        let mut unknown: BTreeSet<&String> = self.instead.keys().collect();
        let place = |r: &super::Resource, name: &str| format!("{}/{name}", r.kind());
        let mut taken: BTreeSet<String> = documents.resources.iter().map(|r| place(r, r.name())).collect();
        for resource in &mut documents.resources {
            let old = resource.name().to_owned();
            let Some(new) = self.instead.get(&old) else { continue };
            unknown.remove(&old);
            if taken.insert(place(resource, &new.0)) {
                resource.object["metadata"]["name"] = json!(new.0);
            } else if old != new.0 {
                documents.warnings.push(format!(
                    "the {} `{old}` keeps its name, since another one is called `{new}`",
                    resource.kind()
                ));
            }
        }
        documents.warnings.extend(unknown.into_iter().map(|old| {
            format!(
                "nothing for clusters is called `{old}`, so nothing was renamed to `{}`",
                self.instead[old]
            )
        }));
    }
}

fn with_suffix(name: &str, Suffix(suffix): &Suffix) -> String {
    let whole = format!("{name}-{suffix}");
    if whole.len() <= LONGEST {
        return whole;
    }
    let start = cut(name, LONGEST - suffix.len() - 1);
    format!("{start}-{suffix}")
}

/// Cuts a name that is too long so that no other one is cut to the same. Names are ASCII.
pub(super) fn cut(name: &str, longest: usize) -> String {
    let hash = Digest::of(name.as_bytes());
    let start: String = name.chars().take(longest - HASH - 1).collect();
    format!("{}-{}", start.trim_end_matches('-'), &hash.hex()[..HASH])
}
