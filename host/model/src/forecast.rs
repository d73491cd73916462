//! [`Forecast`]: what a dry run says that the run itself would move, ask for and need.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::imageset::RefusedImage;

/// What a run would do, found out from manifests without moving any content.
///
/// Blobs are configurations and layers, each counted once. Manifests are read to find all of this out, and are read again by the
/// run itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// Blobs that have to be read from registries.
    pub fetch: Amount,
    /// The same by the place: the name of a registry.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fetch_from: BTreeMap<String, Amount>,
    /// Blobs that are on this machine already: in a layout, in a cache, or left by a run that was cut off.
    pub at_hand: Amount,
    /// Blobs that are wanted and that earlier sequences of the chain have carried.
    pub shipped: Amount,
    /// Blobs of images that the target has in place; of several targets, at each.
    pub at_target: Amount,
    /// Blobs that would be sent to the target; of several targets, to each.
    pub send: Amount,
    /// Images that policies refuse, by policy and rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<Blocked>,
    /// Bytes of each chunk of the imageset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<u64>,
    /// Room on disks, a line for each file system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub space: Vec<Room>,
    /// Requests by registry, `host` or `host:port`: those that this dry run made, which the run makes again, and those that
    /// content takes. What is found in a cache then, and records that are written at the end, are not accounted for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, u64>,
}

/// How many blobs, and of how many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Amount {
    /// How many.
    pub blobs: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

impl Amount {
    /// Counts one more.
    pub fn add(&mut self, bytes: u64) {
        self.blobs += 1;
        self.bytes += bytes;
    }

    /// Counts several more.
    pub fn add_all(&mut self, others: Self) {
        self.blobs += others.blobs;
        self.bytes += others.bytes;
    }
}

/// Images that one rule keeps out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Blocked {
    /// The policy.
    pub policy: String,
    /// The rule.
    pub code: String,
    /// How many images.
    pub images: u64,
}

/// Room on one file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// A directory on it.
    pub path: String,
    /// What takes it.
    pub what: String,
    /// Bytes that are needed there.
    pub needed: u64,
    /// Bytes that are free.
    pub available: u64,
}

impl Forecast {
    /// Takes up what was found out about one of several targets.
    pub fn add_target(&mut self, other: Self) {
        self.at_target.add_all(other.at_target);
        self.send.add_all(other.send);
        for (registry, requests) in other.requests {
            *self.requests.entry(registry).or_default() += requests;
        }
        for room in other.space {
            match self.space.iter_mut().find(|known| known.path == room.path) {
                Some(known) => known.needed = known.needed.max(room.needed),
                None => self.space.push(room),
            }
        }
    }

    /// Counts images by the rule that keeps them out, in the order in which the rules first come.
    pub fn block(&mut self, refused: &[RefusedImage]) {
        self.blocked.clear();
        for image in refused {
            let is_same = |known: &&mut Blocked| known.policy == image.policy && known.code == image.code;
            match self.blocked.iter_mut().find(is_same) {
                Some(known) => known.images += 1,
                None => self.blocked.push(Blocked {
                    policy: image.policy.clone(),
                    code: image.code.clone(),
                    images: 1,
                }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_counted_by_rule() {
        let refused = |origin: &str, code: &str| RefusedImage {
            origin: origin.to_owned(),
            kind: String::new(),
            digest: None,
            stage: None,
            policy: "block".to_owned(),
            code: code.to_owned(),
            message: String::new(),
            details: BTreeMap::new(),
        };
        let mut forecast = Forecast::default();
        forecast.block(&[refused("a", "name"), refused("b", "glob"), refused("c", "name")]);
        let counts: Vec<_> = forecast.blocked.iter().map(|b| (b.code.as_str(), b.images)).collect();
        assert_eq!(counts, [("name", 2), ("glob", 1)]);
    }

    #[test]
    fn targets_add_up() {
        let of = |requests| Forecast {
            send: Amount { blobs: 1, bytes: 10 },
            requests: BTreeMap::from([("r.example".to_owned(), requests)]),
            space: vec![Room { path: "w".to_owned(), what: String::new(), needed: requests, available: 9 }],
            ..Forecast::default()
        };
        let mut sum = of(2);
        sum.add_target(of(3));
        assert_eq!((sum.send, sum.requests["r.example"]), (Amount { blobs: 2, bytes: 20 }, 5));
        assert_eq!((sum.space.len(), sum.space[0].needed), (1, 3));
    }
}
