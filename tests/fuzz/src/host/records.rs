//! Documents that lie at targets, in workspaces and with users: what is read is written as what is read the same.

use std::fmt::Debug;

use oc_mirror_model::checksum;
use oc_mirror_model::deletion::DeleteImageList;
use oc_mirror_model::imageset::{ChunkHeader, Index};
use oc_mirror_model::metadata::Chain;
use oc_mirror_model::mirror_plan::MirrorPlan;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::target::{Input, Target};

/// Records of chains, indexes, headers of chunks, plans and lists of what to delete.
pub const RECORDS: Target = Target { name: "records", longest: 32 << 10, memory: 64 << 20, check };

fn check(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() % 5 {
        0 => {
            if let Some(chain) = round_trip::<Chain>(input.0) {
                let bytes = chain.to_bytes();
                assert_eq!(bytes.len() as u64, chain.len_bytes());
                let half = bytes.len() / 2;
                let pieces = [chain.piece(0, half), chain.piece(half as u64, bytes.len())].concat();
                assert!(pieces == bytes, "a record in pieces is another one");
            }
        }
        1 => {
            if let Some(index) = round_trip::<Index>(input.0) {
                let bytes = index.to_bytes();
                assert_eq!(
                    (bytes.len() as u64, checksum::check(&bytes)),
                    (index.len_bytes(), checksum::Checksum::Right)
                );
            }
        }
        2 => drop(round_trip::<ChunkHeader>(input.0)),
        3 => {
            if let Ok(plan) = MirrorPlan::read(input.0, "oc-mirror 0.1.0") {
                let bytes = serde_json::to_vec(&plan).expect("plain data");
                MirrorPlan::read(&bytes, "oc-mirror 0.1.0").expect("what is written can be read");
            }
        }
        _ => {
            let Ok(text) = std::str::from_utf8(input.0) else { return };
            let Ok(list) = DeleteImageList::parse(text) else { return };
            let written = list.to_yaml(&["a\nremark".to_owned()]);
            let again = DeleteImageList::parse(&written)
                .unwrap_or_else(|e| panic!("{text}\n\nbecomes\n\n{written}\n\n{e}"));
            assert_eq!(again, list, "{text}\n\nbecomes\n\n{written}");
        }
    }
}

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(bytes).ok()?;
    let written = serde_json::to_vec(&read).expect("plain data");
    let again: T = serde_json::from_slice(&written).expect("what was written");
    assert_eq!(again, read);
    Some(read)
}
