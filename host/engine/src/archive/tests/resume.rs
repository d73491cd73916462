//! Killed at any point, the next run ends with the same files.

use std::collections::BTreeSet;

use futures_util::StreamExt;

use super::*;
use crate::archive::files::{LOCK_NAME, journal_name, partial_name};
use crate::content::{ContentError, ContentErrorKind};
use crate::plan::layout;

/// Copies the state of a directory, as a kill would leave it: all but the lock, which dies with its process.
fn killed(dir: &Path, change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a directory");
    for (name, bytes) in snapshot(dir) {
        if name != LOCK_NAME
            && let Some(bytes) = change(&name, bytes)
        {
            std::fs::write(copy.path().join(name), bytes).expect("written");
        }
    }
    copy
}

async fn complete(dir: &Path, sample: &Sample) -> usize {
    let writer = Writer::create_or_resume(dir, sample.index.clone()).expect("resumed");
    let missing: Vec<String> = writer.missing().map(|e| e.path().into_owned()).collect();
    for path in &missing {
        sample.put(&writer, path).await;
    }
    writer.seal().await.expect("sealed");
    missing.len()
}

/// Many small entries, so that several batches are journalled.
fn many() -> Sample {
    let mut content: BTreeMap<String, Vec<u8>> =
        (0..150).map(|n| (format!("files/{n:03}"), noise(n, 700))).collect();
    content.insert("files/large".to_owned(), noise(1000, 300_000));
    sample_of(Vec::new(), content, Some(200_000))
}

#[tokio::test]
async fn a_journal_cut_anywhere_leads_to_the_same_files() {
    let sample = many();
    let whole = tempfile::tempdir().expect("a directory");
    sample.written(whole.path()).await;
    let expected = snapshot(whole.path());

    let dir = tempfile::tempdir().expect("a directory");
    let writer = Writer::create_or_resume(dir.path(), sample.index.clone()).expect("created");
    for entry in sample.index.entries.iter().take(140) {
        sample.put(&writer, &entry.path()).await;
    }
    let journal = std::fs::read(dir.path().join(journal_name(1))).expect("there");
    let text = String::from_utf8(journal.clone()).expect("text");
    let count = |word: &str| text.lines().filter(|line| line.starts_with(word)).count();
    assert_eq!((count("done "), count("written ")), (128, 140), "two batches are durable");
    // Ends of lines and torn lines; entries that are not journalled may be torn as well.
    for cut in (0..journal.len()).step_by(701).chain([journal.len()]) {
        let whole = text[..cut].rfind('\n').map_or("", |end| &text[..end]);
        let kept: BTreeSet<&str> = whole.lines().skip(1).filter_map(|line| line.split(' ').nth(1)).collect();
        let kept = kept.len();
        let copy = killed(dir.path(), |name, bytes| match name {
            n if n == journal_name(1) => Some(bytes[..cut].to_vec()),
            _ => Some(bytes),
        });
        assert_eq!(interrupted(copy.path(), 1).expect("readable").is_some(), journal[..cut].contains(&b'\n'));
        let missing = complete(copy.path(), &sample).await;
        assert_eq!(missing, sample.index.entries.len() - kept, "nothing journalled is fetched again");
        assert_eq!(snapshot(copy.path()), expected);
    }
}

/// An image with one large layer that lies in several chunks, and the layer.
fn large() -> (Sample, Descriptor, Vec<u8>) {
    let mut content = BTreeMap::new();
    let layer = noise(9, 20_000_000);
    let images = vec![image("large", std::slice::from_ref(&layer), false, &mut content)];
    let blob = images[0].blobs[1].clone();
    (sample_of(images, content, Some(6_000_000)), blob, layer)
}

#[tokio::test]
async fn a_layer_that_was_begun_goes_on_where_it_was() {
    let (sample, blob, layer) = large();
    let whole = tempfile::tempdir().expect("a directory");
    sample.written(whole.path()).await;
    let expected = snapshot(whole.path());

    let dir = tempfile::tempdir().expect("a directory");
    let writer = Writer::create_or_resume(dir.path(), sample.index.clone()).expect("created");
    let broken = ContentError::new("x", ContentErrorKind::Unavailable("reset".to_owned()));
    let body = stream(&layer[..18_000_000], 10_000).chain(futures_util::stream::iter([Err(broken)]));
    writer.put_blob(&repository(), &blob, Box::pin(body)).await.expect_err("it breaks off");
    // The last piece before the break is held back.
    assert_eq!(writer.begun(&repository(), &blob).await, 17_990_000);

    for is_damaged in [false, true] {
        let copy = killed(dir.path(), |name, mut bytes| {
            if is_damaged && name == partial_name(1, 1) {
                bytes[4_000_000] ^= 1;
            }
            Some(bytes)
        });
        let writer = Writer::create_or_resume(copy.path(), sample.index.clone()).expect("resumed");
        let begun = writer.begun(&repository(), &blob).await;
        assert!((16 << 20..18_000_000).contains(&begun), "{begun}");
        let rest = stream(&layer[begun as usize..], 10_000);
        let outcome = writer.put_rest(&repository(), &blob, begun, rest).await;
        if is_damaged {
            assert!(matches!(outcome.expect_err("wrong").kind(), ContentErrorKind::WrongDigest { .. }));
            assert_eq!(writer.begun(&repository(), &blob).await, 0, "all of it is fetched again");
        } else {
            outcome.expect("the right bytes");
        }
        drop(writer);
        complete(copy.path(), &sample).await;
        assert_eq!(snapshot(copy.path()), expected);
    }
}

#[tokio::test]
async fn what_is_written_but_was_lost_with_the_power_is_written_again() {
    let sample = many();
    let dir = tempfile::tempdir().expect("a directory");
    let writer = Writer::create_or_resume(dir.path(), sample.index.clone()).expect("created");
    let paths: Vec<_> = sample.index.entries.iter().map(|e| e.path()).take(20).collect();
    for path in &paths {
        sample.put(&writer, path).await;
    }
    let lost = &sample.content[&*paths[7]];
    let copy = killed(dir.path(), |name, bytes| {
        let at = bytes.windows(lost.len()).position(|window| window == lost);
        let mut bytes = bytes;
        if let Some(at) = at.filter(|_| name == partial_name(1, 0)) {
            bytes[at..at + lost.len()].fill(0);
        }
        Some(bytes)
    });
    let missing = complete(copy.path(), &sample).await;
    assert_eq!(missing, sample.index.entries.len() - 19);
    let whole = tempfile::tempdir().expect("a directory");
    sample.written(whole.path()).await;
    assert_eq!(snapshot(copy.path()), snapshot(whole.path()));
}

#[tokio::test]
async fn entries_of_a_lost_or_short_partial_are_written_again() {
    let sample = many();
    let dir = tempfile::tempdir().expect("a directory");
    let writer = Writer::create_or_resume(dir.path(), sample.index.clone()).expect("created");
    for entry in sample.index.entries.iter().take(130) {
        sample.put(&writer, &entry.path()).await;
    }
    let whole = tempfile::tempdir().expect("a directory");
    sample.written(whole.path()).await;
    for lost in [true, false] {
        let copy = killed(dir.path(), |name, bytes| match name {
            n if n == partial_name(1, 0) => (!lost).then(|| bytes[..1000].to_vec()),
            _ => Some(bytes),
        });
        complete(copy.path(), &sample).await;
        assert_eq!(snapshot(copy.path()), snapshot(whole.path()));
    }
}

#[tokio::test]
async fn a_run_killed_between_two_renames_is_sealed_by_the_next() {
    let sample = many();
    let whole = tempfile::tempdir().expect("a directory");
    sample.written(whole.path()).await;
    let expected = snapshot(whole.path());
    let chunks = sample.index.chunks.len() as u32;
    assert!(chunks >= 3);
    for renamed in 0..=chunks {
        let dir = tempfile::tempdir().expect("a directory");
        let identity = oc_mirror_model::Digest::of(&sample.index.to_bytes());
        let mut journal =
            super::super::journal::Journal::create(&dir.path().join(journal_name(1)), &identity)
                .expect("made");
        let all: Vec<usize> = (0..sample.index.entries.len()).collect();
        journal.done(&sample.index, &all).expect("written");
        journal.sealing().expect("written");
        for chunk in 0..chunks {
            let sealed = Index::chunk_name(1, chunk);
            let name = if chunk >= chunks - renamed { sealed.clone() } else { partial_name(1, chunk) };
            std::fs::write(dir.path().join(name), &expected[&sealed]).expect("written");
        }
        let other = many_but(|index| index.created = "2027-01-01T00:00:00Z".to_owned());
        let copy = killed(dir.path(), |_, bytes| Some(bytes));
        assert_eq!(complete(dir.path(), &sample).await, 0);
        assert_eq!(snapshot(dir.path()), expected);
        // For another plan, half an imageset is litter, and a whole one is not to be touched.
        match Writer::create_or_resume(copy.path(), other.index.clone()) {
            Ok(_) => assert!(renamed < chunks),
            Err(error) => {
                assert_eq!(renamed, chunks);
                assert!(matches!(error.kind(), ArchiveErrorKind::Exists { .. }));
            }
        }
    }
}

fn many_but(change: impl Fn(&mut Index)) -> Sample {
    let mut sample = many();
    change(&mut sample.index);
    sample
}

#[tokio::test]
async fn another_plan_is_not_taken_for_this_one() {
    let sample = many();
    let dir = tempfile::tempdir().expect("a directory");
    let writer = Writer::create_or_resume(dir.path(), sample.index.clone()).expect("created");
    sample.put_all(&writer).await;
    drop(writer);
    assert_eq!(interrupted(dir.path(), 1).expect("readable").as_ref(), Some(&sample.index));
    assert_eq!(interrupted(dir.path(), 2).expect("readable"), None);
    let error = Reader::open(dir.path()).expect_err("not sealed");
    assert_eq!(error.kind(), &ArchiveErrorKind::Unfinished);
    let other = many_but(|index| index.created = "2027-01-01T00:00:00Z".to_owned());
    // Everything has another place now, and is moved there.
    assert_eq!(complete(dir.path(), &other).await, 0);
    assert!(snapshot(dir.path()).keys().all(|name| name.ends_with(".tar")));
}

#[tokio::test]
async fn a_sealed_imageset_is_found_again_and_never_overwritten() {
    let sample = many();
    let dir = tempfile::tempdir().expect("a directory");
    let paths = sample.written(dir.path()).await;
    let before = snapshot(dir.path());
    let writer = Writer::create_or_resume(dir.path(), sample.index.clone()).expect("the same");
    assert_eq!(writer.missing().count(), 0);
    assert_eq!(writer.seal().await.expect("sealed already"), paths);
    assert_eq!(writer.seal().await.expect("and again"), paths);
    drop(writer);
    let other = many_but(|index| index.created = "2027-01-01T00:00:00Z".to_owned());
    let error = Writer::create_or_resume(dir.path(), other.index.clone()).expect_err("refused");
    assert!(matches!(error.kind(), ArchiveErrorKind::Exists { sequence: 1, .. }), "{error}");
    assert!(error.hint().is_some());
    assert_eq!(snapshot(dir.path()), before);
    // A lost chunk of the very same imageset can be made again.
    std::fs::remove_file(&paths[1]).expect("removed");
    complete(dir.path(), &sample).await;
    assert_eq!(snapshot(dir.path()), before);
    // Chunks without an index belong to somebody.
    std::fs::remove_file(&paths[0]).expect("removed");
    let error = Writer::create_or_resume(dir.path(), sample.index.clone()).expect_err("refused");
    assert!(matches!(error.kind(), ArchiveErrorKind::Exists { .. }));
}

#[tokio::test]
async fn one_writer_at_a_time() {
    let sample = many();
    let dir = tempfile::tempdir().expect("a directory");
    let first = Writer::create_or_resume(dir.path(), sample.index.clone()).expect("free");
    let error = Writer::create_or_resume(dir.path(), sample.index.clone()).expect_err("held");
    assert!(error.is_temporary());
    let source = std::error::Error::source(&error).expect("who holds it").to_string();
    assert!(source.contains(&std::process::id().to_string()), "{source}");
    drop(first);
    Writer::create_or_resume(dir.path(), sample.index.clone()).expect("free again");
}

#[tokio::test]
async fn a_disk_that_is_too_small_is_found_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let huge = Descriptor::new(media_type::OCI_LAYER_GZIP, oc_mirror_model::Digest::of(b"huge"), 1 << 55);
    let mut index = Index { entries: vec![blob(&huge)], chunks: Vec::new(), ..many().index };
    layout::complete(&mut index, None, false).expect("fits");
    let error = Writer::create_or_resume(dir.path(), index).expect_err("no disk is so large");
    assert!(matches!(error.kind(), ArchiveErrorKind::Full { needed, .. } if *needed > 1 << 55), "{error}");
    assert!(snapshot(dir.path()).keys().all(|name| !name.ends_with(".partial")));
}

#[tokio::test]
async fn a_failing_disk_is_said_to_be_one() {
    let sample = many();
    let dir = tempfile::tempdir().expect("a directory");
    let writer = Writer::create_or_resume(dir.path(), sample.index.clone()).expect("created");
    for chunk in 0..sample.index.chunks.len() as u32 {
        std::fs::remove_file(dir.path().join(partial_name(1, chunk))).expect("removed");
    }
    let error = writer.put_file("files/000", sample.content["files/000"].clone()).await.expect_err("gone");
    assert!(matches!(error.kind(), ContentErrorKind::Disk(_)), "{error}");
    assert!(!error.is_temporary());
}
