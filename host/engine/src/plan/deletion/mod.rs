//! Decides about deletions: what of a chain is meant by a configuration ([`select()`]) or has left it ([`leaving`]), what of that can
//! go without taking anything else along ([`decide()`]), and what the record says afterwards ([`without`]).
//!
//! Pure functions of records and of what was found at the target.

mod charts;
mod decide;
mod forget;
mod select;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use oc_mirror_model::digest::Digest;
use oc_mirror_model::metadata::{Chain, ImageRecord};
use oc_mirror_model::request::Destination;

pub use decide::{Action, Ground, Verdict, decide};
pub use forget::without;
pub use select::{Selection, select};

/// An image of a chain that is to go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chosen {
    /// The name users know it by.
    pub origin: String,
    /// What it is for.
    pub kind: String,
    /// Where it is, as the record has it.
    pub destination: Destination,
    /// Its digest.
    pub digest: Digest,
    /// True if another image has taken over its tag since.
    pub superseded: bool,
}

impl Chosen {
    fn of(record: &ImageRecord, current: &BTreeMap<&Destination, &Digest>) -> Self {
        Self {
            origin: record.origin.clone(),
            kind: record.kind.clone(),
            destination: record.destination.clone(),
            digest: record.digest.clone(),
            superseded: current.get(&record.destination) != Some(&&record.digest),
        }
    }
}

/// Returns what each tag of a chain points at: what the newest imageset that has it says.
pub fn current(chain: &Chain) -> BTreeMap<&Destination, &Digest> {
    chain.images().map(|image| (&image.destination, &image.digest)).collect()
}

/// Returns what has left the configuration: images that earlier imagesets have and the newest one does not.
pub fn leaving(chain: &Chain) -> Vec<Chosen> {
    let Some(newest) = chain.last() else { return Vec::new() };
    let wanted: BTreeSet<_> = newest.images.iter().map(|image| (&image.destination, &image.digest)).collect();
    let current = current(chain);
    let left = chain.images().filter(|image| !wanted.contains(&(&image.destination, &image.digest)));
    let left: BTreeSet<Chosen> = left.map(|image| Chosen::of(image, &current)).collect();
    // One that two plugins asked for in turn is one image all the same.
    let mut seen = BTreeSet::new();
    left.into_iter().filter(|c| seen.insert((c.destination.clone(), c.digest.clone()))).collect()
}
