//! [`Known`]: which repositories of a target hold what.

use std::collections::HashMap;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::few::Few;
use oc_mirror_model::reference::Repository;

/// Repositories that hold content, for all that is known.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<Digest, Vec<Held>>);

/// In the order of the repositories; most content is in one.
#[derive(Debug)]
struct Held {
    repository: Repository,
    /// Whether this run has seen it there or put it there. What a record says may have been deleted since.
    is_seen: bool,
}

impl Known {
    /// Takes what a record says.
    pub(super) fn new(recorded: impl IntoIterator<Item = (Digest, Few<Repository>)>) -> Self {
        let held = |repository: &Repository| Held { repository: repository.clone(), is_seen: false };
        Self(
            recorded
                .into_iter()
                .map(|(digest, places)| (digest, places.iter().map(held).collect()))
                .collect(),
        )
    }

    /// Returns all repositories that hold something.
    pub(super) fn repositories(&self) -> impl Iterator<Item = &Repository> {
        self.0.values().flatten().map(|held| &held.repository)
    }

    /// Answers whether content is in a repository.
    pub(super) fn has(&self, digest: &Digest, repository: &Repository) -> bool {
        self.find(digest, repository).is_some()
    }

    /// Answers whether content is in any repository.
    pub(super) fn is_anywhere(&self, digest: &Digest) -> bool {
        self.0.get(digest).is_some_and(|held| !held.is_empty())
    }

    /// Answers whether this run has seen it there.
    pub(super) fn has_seen(&self, digest: &Digest, repository: &Repository) -> bool {
        self.find(digest, repository).is_some_and(|held| held.is_seen)
    }

    fn find(&self, digest: &Digest, repository: &Repository) -> Option<&Held> {
        let places = self.0.get(digest)?;
        let at = places.binary_search_by(|held| held.repository.cmp(repository)).ok()?;
        places.get(at)
    }

    /// Notes that content was seen in a repository.
    pub(super) fn see(&mut self, digest: &Digest, repository: &Repository) {
        let places = self.0.entry(digest.clone()).or_default();
        match places.binary_search_by(|held| held.repository.cmp(repository)) {
            Ok(at) => places[at].is_seen = true,
            Err(at) => {
                if places.is_empty() {
                    places.reserve_exact(1);
                }
                places.insert(at, Held { repository: repository.clone(), is_seen: true });
            }
        }
    }

    /// Notes that content is not in a repository.
    pub(super) fn forget(&mut self, digest: &Digest, repository: &Repository) {
        if let Some(places) = self.0.get_mut(digest) {
            places.retain(|held| held.repository != *repository);
        }
    }

    /// Returns the repositories that hold content, but for one: those first in which this run has seen it.
    pub(super) fn others(&self, digest: &Digest, but: &Repository) -> Vec<Repository> {
        let places = self.0.get(digest).map_or(&[][..], Vec::as_slice);
        let (seen, said): (Vec<&Held>, Vec<&Held>) =
            places.iter().filter(|held| held.repository != *but).partition(|held| held.is_seen);
        seen.into_iter().chain(said).map(|held| held.repository.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_counts_more_than_what_is_said() {
        let [a, b, c] = ["a", "b", "c"].map(|name| name.parse::<Repository>().expect("a repository"));
        let (blob, other) = (Digest::of(b"blob"), Digest::of(b"other"));
        let mut known = Known::new([(blob.clone(), Few::from([a.clone(), b.clone()]))]);
        assert_eq!(known.repositories().count(), 2);
        assert!(known.has(&blob, &a) && !known.has_seen(&blob, &a) && !known.has(&other, &a));
        assert_eq!(known.others(&blob, &c), [a.clone(), b.clone()]);
        known.see(&blob, &b);
        known.see(&other, &c);
        assert!(known.has_seen(&blob, &b) && known.has_seen(&other, &c));
        assert_eq!(known.others(&blob, &c), [b.clone(), a.clone()]);
        assert_eq!(known.others(&blob, &a), std::slice::from_ref(&b));
        known.forget(&blob, &b);
        assert!(!known.has(&blob, &b));
        assert_eq!(known.others(&blob, &c), [a]);
    }
}
