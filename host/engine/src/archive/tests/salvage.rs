//! A plan that changes takes over what another one has finished, and nothing that is not whole.

use super::*;
use crate::archive::files::{journal_name, partial_name};
use crate::archive::room_needed;

/// Files named after numbers, in chunks of this size. Other numbers, or another size, make another plan.
fn plan(numbers: impl IntoIterator<Item = u64>, limit: Option<u64>) -> Sample {
    let content = numbers.into_iter().map(|n| (format!("files/{n:03}"), noise(n, size(n)))).collect();
    sample_of(Vec::new(), content, limit)
}

fn size(number: u64) -> usize {
    if number.is_multiple_of(10) { 300_000 } else { 3000 }
}

async fn begin(dir: &Path, sample: &Sample, put: impl Fn(&str) -> bool) {
    let writer = Writer::create_or_resume(dir, sample.index.clone()).expect("created");
    let missing: Vec<String> = writer.missing().map(|e| e.path().into_owned()).collect();
    for path in missing.iter().filter(|path| put(path)) {
        sample.put(&writer, path).await;
    }
}

/// Completes an imageset; returns what of `files/NNN` was still missing.
async fn complete(dir: &Path, sample: &Sample) -> Vec<String> {
    let writer = Writer::create_or_resume(dir, sample.index.clone()).expect("taken up");
    let missing: Vec<String> = writer.missing().map(|e| e.path().into_owned()).collect();
    for path in &missing {
        sample.put(&writer, path).await;
    }
    writer.seal().await.expect("sealed");
    let numbered = |path: &String| path.len() == "files/000".len();
    missing.into_iter().filter(numbered).collect()
}

async fn assert_as_if_undisturbed(dir: &Path, sample: &Sample) {
    let whole = tempfile::tempdir().expect("a directory");
    sample.written(whole.path()).await;
    assert!(snapshot(dir) == snapshot(whole.path()), "the chunks differ");
    let left: Vec<_> = std::fs::read_dir(dir).expect("readable").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left.len(), sample.index.chunks.len(), "chunks and nothing else: {left:?}");
}

#[tokio::test]
async fn another_plan_takes_over_what_is_finished() {
    for limits in [(None, None), (Some(200_000), None), (None, Some(100_000)), (Some(130_000), Some(200_000))]
    {
        let (before, after) = (plan(0..60, limits.0), plan((5..60).chain([99]), limits.1));
        let dir = tempfile::tempdir().expect("a directory");
        begin(dir.path(), &before, |path| path < "files/050").await;
        let missing = complete(dir.path(), &after).await;
        let expected: Vec<String> = (50..60).chain([99]).map(|n| format!("files/{n:03}")).collect();
        assert_eq!(missing, expected);
        assert_as_if_undisturbed(dir.path(), &after).await;
    }
}

#[tokio::test]
async fn what_no_plan_wants_now_waits() {
    let dir = tempfile::tempdir().expect("a directory");
    begin(dir.path(), &plan(0..20, None), |path| path < "files/010").await;
    begin(dir.path(), &plan(5..30, Some(100_000)), |path| path > "files/020").await;
    begin(dir.path(), &plan(40..50, None), |_| true).await;
    let all = plan(0..50, Some(250_000));
    let expected: Vec<String> = (10..=20).chain(30..40).map(|n| format!("files/{n:03}")).collect();
    assert_eq!(complete(dir.path(), &all).await, expected);
    assert_as_if_undisturbed(dir.path(), &all).await;
}

#[tokio::test]
async fn the_first_plan_again_takes_everything_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let (one, other) = (plan(0..40, Some(120_000)), plan(1..41, None));
    begin(dir.path(), &one, |path| path < "files/025").await;
    begin(dir.path(), &other, |path| path == "files/040").await;
    let expected: Vec<String> = (25..40).map(|n| format!("files/{n:03}")).collect();
    assert_eq!(complete(dir.path(), &one).await, expected);
    assert_as_if_undisturbed(dir.path(), &one).await;
}

#[tokio::test]
async fn what_is_damaged_is_not_taken_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let (before, after) = (plan(0..30, None), plan(1..30, None));
    begin(dir.path(), &before, |_| true).await;
    let path = dir.path().join(partial_name(1, 0));
    let mut bytes = std::fs::read(&path).expect("there");
    let at = bytes.windows(64).position(|w| w == &noise(7, size(7))[..64]).expect("it is in there");
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).expect("written");
    assert_eq!(complete(dir.path(), &after).await, ["files/007"]);
    assert_as_if_undisturbed(dir.path(), &after).await;
}

#[tokio::test]
async fn a_kill_between_any_two_moves_loses_nothing() {
    let (before, after) = (plan(0..40, Some(150_000)), plan(1..41, Some(100_000)));
    let chunks = u32::try_from(before.index.chunks.len()).expect("a few");
    for moved in 0..=chunks {
        let dir = tempfile::tempdir().expect("a directory");
        begin(dir.path(), &before, |path| path < "files/030").await;
        // As a run does it: the journal first, then one chunk after the other.
        let left = dir.path().join(".mirror_seq1.left-0");
        std::fs::create_dir(&left).expect("made");
        std::fs::rename(dir.path().join(journal_name(1)), left.join(journal_name(1))).expect("moved");
        for chunk in 0..moved {
            let name = partial_name(1, chunk);
            std::fs::rename(dir.path().join(&name), left.join(&name)).expect("moved");
        }
        let expected: Vec<String> = (30..=40).map(|n| format!("files/{n:03}")).collect();
        assert_eq!(complete(dir.path(), &after).await, expected, "{moved} chunks moved");
        assert_as_if_undisturbed(dir.path(), &after).await;
    }
}

#[tokio::test]
async fn an_imageset_that_was_being_sealed_is_taken_over_too() {
    let (before, after) = (plan(0..40, Some(150_000)), plan(1..41, Some(100_000)));
    let dir = tempfile::tempdir().expect("a directory");
    begin(dir.path(), &before, |_| true).await;
    let writer = Writer::create_or_resume(dir.path(), before.index.clone()).expect("resumed");
    writer.seal().await.expect("sealed");
    drop(writer);
    // Chunk 0 gets its name last: as if the run had been killed just before.
    std::fs::rename(dir.path().join("mirror_seq1_000000.tar"), dir.path().join(partial_name(1, 0)))
        .expect("moved");
    let again = tempfile::tempdir().expect("a directory");
    begin(again.path(), &before, |_| true).await;
    let mut journal = std::fs::read(again.path().join(journal_name(1))).expect("there");
    journal.extend_from_slice(crate::archive::journal::line("sealing").as_bytes());
    std::fs::write(dir.path().join(journal_name(1)), journal).expect("written");
    assert_eq!(complete(dir.path(), &after).await, ["files/040"]);
    assert_as_if_undisturbed(dir.path(), &after).await;
}

#[tokio::test]
async fn what_makes_no_sense_is_removed() {
    let (before, after) = (plan(0..10, None), plan(1..10, None));
    let dir = tempfile::tempdir().expect("a directory");
    begin(dir.path(), &before, |_| true).await;
    std::fs::write(dir.path().join(partial_name(1, 0)), b"nothing").expect("written");
    for name in [".mirror_seq1.left-3", ".mirror_seq7.left-0"] {
        std::fs::create_dir(dir.path().join(name)).expect("made");
        std::fs::write(dir.path().join(name).join(journal_name(1)), b"torn").expect("written");
    }
    assert_eq!(complete(dir.path(), &after).await.len(), 9);
    assert_as_if_undisturbed(dir.path(), &after).await;
}

#[tokio::test]
async fn room_that_unfinished_imagesets_take_is_not_needed_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let (before, after) = (plan(0..40, None), plan(1..41, Some(400_000)));
    let empty = room_needed(dir.path(), &after.index).expect("known");
    assert!(
        empty > 1_000_000 && empty == room_needed(&dir.path().join("none"), &after.index).expect("known")
    );
    begin(dir.path(), &before, |path| path < "files/030").await;
    let needed = room_needed(dir.path(), &after.index).expect("known");
    assert!(needed < empty / 4, "{needed} of {empty}");
}
