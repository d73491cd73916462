//! Archives of oc-mirror v1 and v2, which are tar files of any kind: names become names of images and nothing else.

use oc_mirror_engine::predecessors::{Found, find};
use oc_mirror_model::reference::Repository;

use super::aid::{scratch, wait};
use crate::target::{Input, Target};

/// Archives of predecessors.
pub const ARCHIVES: Target = Target { name: "archives", longest: 128 << 10, memory: 64 << 20, check };

fn check(data: &[u8]) {
    let mut input = Input(data);
    let dir = scratch();
    let name = match input.byte() % 2 {
        0 => "mirror_000001.tar",
        _ => "mirror_seq1_000000.tar",
    };
    std::fs::write(dir.path().join(name), input.0).expect("written");
    let prefix: Repository = "pre/fix".parse().expect("a repository");
    match find(dir.path()) {
        Ok(Some(Found::V2(archive))) => {
            let _ = archive.signatures();
            if let Ok((wanted, _, _)) = wait(archive.wanted()) {
                for image in wanted {
                    assert!(!image.request.origin.is_empty(), "{image:?}");
                }
            }
        }
        Ok(Some(Found::V1(imagesets))) => {
            for imageset in imagesets {
                let _ = imageset.signatures();
                let _ = imageset.elsewhere(Some(&prefix));
                let _ = wait(imageset.images(Some(&prefix)));
            }
        }
        Ok(None) | Err(_) => {}
    }
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).expect("there").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, [name], "reading makes no files");
}
