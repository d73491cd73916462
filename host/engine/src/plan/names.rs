//! Names of repositories at a target that takes only short paths: [`Names`], unambiguous and reversible.
//!
//! A path that is too long has its last components joined with `-`, as `--max-nested-paths` of oc-mirror v2 does it. That
//! alone may give two repositories one name, since components have hyphens of their own; then the second one gets a short
//! hash of its whole path as well. Who had a name first keeps it: that is in the record of the chain.

use std::collections::{BTreeMap, BTreeSet};

use oc_mirror_model::digest::Digest;
use oc_mirror_model::metadata::Chain;
use oc_mirror_model::reference::{InvalidReference, Repository};

/// How many characters of a hash tell two repositories apart.
const HASH: usize = 8;

/// Where repositories are at a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    prefix: Option<Repository>,
    most: Option<usize>,
    /// The ones that the rule alone does not tell, by the path before it was joined.
    exceptions: BTreeMap<Repository, Repository>,
}

impl Names {
    /// Makes the names of a target with this prefix, of at most so many components.
    pub fn new(prefix: Option<Repository>, most: Option<usize>) -> Self {
        Self { prefix, most: most.filter(|most| *most > 0), exceptions: BTreeMap::new() }
    }

    /// Returns the most components a name may have.
    pub fn most(&self) -> Option<usize> {
        self.most
    }

    /// Returns where a repository is.
    pub fn place(&self, repository: &Repository) -> Repository {
        self.exceptions.get(repository).cloned().unwrap_or_else(|| self.joined(repository))
    }

    fn joined(&self, repository: &Repository) -> Repository {
        repository.under(self.prefix.as_ref()).with_max_components(self.most)
    }

    fn is_joined(&self, repository: &Repository) -> bool {
        self.joined(repository) != repository.under(self.prefix.as_ref())
    }

    /// Returns the same names, told apart where two of these repositories would get one, given the record of what is there.
    pub fn told_apart<'a>(
        &self,
        chain: Option<&'a Chain>,
        repositories: impl IntoIterator<Item = &'a Repository>,
    ) -> Result<Names, InvalidReference> {
        let mut names = Self { exceptions: BTreeMap::new(), ..self.clone() };
        let recorded = chain.map(|c| &c.names);
        let named = recorded.into_iter().flat_map(BTreeMap::values);
        let wanted: BTreeSet<&Repository> = repositories.into_iter().chain(named).collect();
        // Who has which name: from the record, and whoever needs no joining.
        let mut owners: BTreeMap<Repository, Repository> = BTreeMap::new();
        for (place, path) in recorded.into_iter().flatten() {
            owners.insert(place.clone(), path.clone());
        }
        for path in wanted.iter().filter(|path| !self.is_joined(path)) {
            owners.entry(self.joined(path)).or_insert_with(|| (*path).clone());
        }
        for image in chain.iter().flat_map(|c| &c.imagesets).flat_map(|i| &i.images) {
            let place = &image.destination.repository;
            owners.entry(place.clone()).or_insert_with(|| self.below_prefix(place));
        }
        for path in wanted {
            let rule = self.joined(path);
            let before =
                recorded.and_then(|names| names.iter().find(|(_, of)| *of == path)).map(|(at, _)| at);
            let place = match before {
                // A limit that was changed since changes the names.
                Some(place) if self.is_joined(path) && fits(place, self.most) => place.clone(),
                _ if !self.is_joined(path) => rule.clone(),
                _ => match owners.get(&rule) {
                    Some(owner) if owner != path => with_hash(&rule, path)?,
                    _ => rule.clone(),
                },
            };
            owners.insert(place.clone(), path.clone());
            if place != rule {
                names.exceptions.insert(path.clone(), place);
            }
        }
        Ok(names)
    }

    /// Returns what a repository of a record is called in imagesets: the path that has this place.
    pub fn path(&self, chain: &Chain, place: &Repository) -> Repository {
        chain.names.get(place).cloned().unwrap_or_else(|| self.below_prefix(place))
    }

    fn below_prefix(&self, place: &Repository) -> Repository {
        let prefix = self.prefix.as_ref().map(|p| format!("{p}/")).unwrap_or_default();
        let path = place.as_str().strip_prefix(prefix.as_str()).and_then(|path| path.parse().ok());
        path.unwrap_or_else(|| place.clone())
    }
}

fn fits(place: &Repository, most: Option<usize>) -> bool {
    most.is_none_or(|most| place.depth() <= most)
}

fn with_hash(rule: &Repository, path: &Repository) -> Result<Repository, InvalidReference> {
    let hash = Digest::of(path.as_str().as_bytes());
    format!("{rule}-{}", &hash.hex()[..HASH]).parse()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn path(text: &str) -> Repository {
        text.parse().expect("a repository")
    }

    fn places(names: &Names, chain: Option<&Chain>, paths: &[&str]) -> Vec<String> {
        let paths: Vec<Repository> = paths.iter().map(|p| path(p)).collect();
        let names = names.told_apart(chain, &paths).expect("names");
        paths.iter().map(|p| names.place(p).to_string()).collect()
    }

    #[test]
    fn names_are_those_of_v2_while_they_are_different() {
        let names = Names::new(Some(path("far")), Some(2));
        assert_eq!(places(&names, None, &["a/b-c", "a/d"]), ["far/a-b-c", "far/a-d"]);
        assert_eq!(places(&Names::new(None, None), None, &["a/b-c", "a-b/c"]), ["a/b-c", "a-b/c"]);
    }

    #[test]
    fn two_that_would_get_one_name_are_told_apart() {
        let names = Names::new(None, Some(1));
        let found = places(&names, None, &["a/b-c", "a-b/c", "a-b-c"]);
        // The one that needs no joining keeps its name, whatever the order.
        assert_eq!(found[2], "a-b-c");
        assert_eq!(found[0], format!("a-b-c-{}", &Digest::of(b"a/b-c").hex()[..8]));
        assert_eq!(found[1], format!("a-b-c-{}", &Digest::of(b"a-b/c").hex()[..8]));
        assert_eq!(places(&names, None, &["a-b/c", "a/b-c"]), ["a-b-c".to_owned(), found[0].clone()]);
    }

    #[test]
    fn who_came_first_keeps_the_name() {
        let names = Names::new(None, Some(1));
        let mut chain = Chain::new(Uuid::nil());
        chain.names.insert(path("a-b-c"), path("a/b-c"));
        let found = places(&names, Some(&chain), &["a-b/c", "a/b-c"]);
        assert_eq!(found[1], "a-b-c");
        assert_ne!(found[0], "a-b-c");
        // And the other one keeps what it got then, even when it is alone.
        chain.names.insert(path(&found[0]), path("a-b/c"));
        assert_eq!(places(&names, Some(&chain), &["a-b/c"]), [found[0].clone()]);
    }
}
