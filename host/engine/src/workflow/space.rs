//! Room on disks, looked at before anything is written: [`check`] and [`rooms`]. What is on one file system is counted together.

use std::collections::BTreeMap;
use std::path::Path;

use oc_mirror_model::forecast::Room;

use super::{WorkflowError, WorkflowErrorKind};
use crate::fsx;

/// What a run keeps besides for each image: a line in reports, in the record and in resources, each written anew before the
/// old one goes.
const PER_IMAGE: u64 = 4 << 10;
/// The same for each blob that the record knows.
const PER_BLOB: u64 = 512;
/// The same for the run as such: its log, its report, the configuration with everything pinned.
const PER_RUN: u64 = 256 << 10;

/// What is going to be written somewhere.
pub(super) struct Need<'a> {
    /// Where.
    pub(super) dir: &'a Path,
    /// So many bytes.
    pub(super) bytes: u64,
    /// What it is, for messages.
    pub(super) what: &'a str,
}

impl<'a> Need<'a> {
    /// What a run writes into its workspace besides an imageset; more than it will be.
    pub(super) fn of_workspace(dir: &'a Path, images: usize, blobs: usize) -> Self {
        let bytes = PER_RUN + images as u64 * PER_IMAGE + blobs as u64 * PER_BLOB;
        Self { dir, bytes, what: "reports and records" }
    }
}

/// Returns how much room there is, and how much is needed, on each file system.
pub(super) fn rooms(needs: &[Need<'_>]) -> Result<Vec<Room>, WorkflowError> {
    let mut by_device: BTreeMap<u64, Vec<&Need<'_>>> = BTreeMap::new();
    for need in needs {
        let (device, _) = fsx::device(need.dir).map_err(|source| unknown(need.dir, source))?;
        by_device.entry(device).or_default().push(need);
    }
    let mut rooms = Vec::new();
    for needs in by_device.values() {
        let needed = needs.iter().fold(0_u64, |sum, need| sum.saturating_add(need.bytes));
        let available = fsx::device(needs[0].dir).and_then(|(_, there)| fsx::available_space(&there));
        let available = available.map_err(|source| unknown(needs[0].dir, source))?;
        let what: Vec<&str> = needs.iter().map(|need| need.what).collect();
        let path = needs[0].dir.display().to_string();
        rooms.push(Room { path, what: what.join(", "), needed, available });
    }
    Ok(rooms)
}

/// Refuses to begin what a disk has no room for.
pub(super) fn check(needs: &[Need<'_>]) -> Result<(), WorkflowError> {
    refuse_small(&rooms(needs)?)
}

/// Refuses to begin where one of these is too small.
pub(super) fn refuse_small(rooms: &[Room]) -> Result<(), WorkflowError> {
    match rooms.iter().find(|room| room.needed > room.available).cloned() {
        Some(Room { path, what, needed, available }) => {
            Err(WorkflowErrorKind::NoRoom { path, what, needed, available }.into())
        }
        None => Ok(()),
    }
}

fn unknown(dir: &Path, source: std::io::Error) -> WorkflowError {
    WorkflowErrorKind::Workspace { path: dir.display().to_string(), source }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_one_disk_is_counted_together() {
        let dir = tempfile::tempdir().expect("a directory");
        let (one, other) = (dir.path().join("one"), dir.path().join("not/there/yet"));
        let free = fsx::available_space(dir.path()).expect("known");
        // Others write here meanwhile, so only large parts of what is free are sure.
        let need = |dir, bytes, what| Need { dir, bytes, what };
        check(&[need(&one, free / 4, "a"), need(&other, free / 4, "b")]).expect("there is room");
        let refused =
            check(&[need(&one, free, "a"), need(&other, free, "b")]).expect_err("twice of what there is");
        let WorkflowErrorKind::NoRoom { path, what, needed, .. } = refused.kind.as_ref() else {
            panic!("{refused}")
        };
        assert_eq!((path.as_str(), what.as_str()), (one.display().to_string().as_str(), "a, b"));
        assert_eq!(*needed, 2 * free);
        assert!(refused.hint().is_some_and(|hint| hint.contains("free ")));
    }
}
