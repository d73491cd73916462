//! What was written is read back, in any order, size and parallelism, and the chunks are always the same.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::content::verify::{collect, verified};
use crate::content::{ContentErrorKind, ContentRead, TagStore};
use futures_util::StreamExt;
use futures_util::future::join_all;
use oc_mirror_model::imageset::INDEX_NAME;
use oc_mirror_model::reference::Selector;
use oc_mirror_model::tar;
use rstest::rstest;

async fn read_back(reader: &Reader, sample: &Sample) {
    for entry in &sample.index.entries {
        let expected = &sample.content[&entry.path];
        let (descriptor, stream) = reader.open_file(&entry.path).await.expect("there");
        let bytes = collect(verified(stream, &descriptor, "entry"), &descriptor).await.expect("right");
        assert_eq!(bytes, *expected);
        for offset in [1, entry.size / 2, entry.size.saturating_sub(1), entry.size] {
            let blob = Descriptor::new("", entry.digest.clone(), entry.size);
            if !entry.path.starts_with("blobs/") || offset > entry.size {
                continue;
            }
            let stream = reader.blob(&repository(), &blob, offset).await.expect("there");
            let pieces: Vec<_> = stream.map(|p| p.expect("readable")).collect().await;
            assert!(pieces.iter().all(|p| p.len() <= CHUNK));
            assert_eq!(pieces.concat(), expected[offset as usize..]);
        }
    }
}

#[rstest]
#[case::one_chunk(None)]
#[case::two_chunks(Some(1 << 20))]
#[case::many_chunks(Some(128 << 10))]
#[tokio::test]
async fn everything_comes_back(#[case] limit: Option<u64>) {
    let dir = tempfile::tempdir().expect("a directory");
    let sample = sample(limit);
    let paths = sample.written(dir.path()).await;
    assert_eq!(paths.len(), sample.index.chunks.len());
    for path in &paths {
        let len = path.metadata().expect("there").len();
        assert!(limit.is_none_or(|limit| len <= limit), "{len}");
    }
    let names: Vec<String> = snapshot(dir.path()).into_keys().collect();
    assert!(names.iter().all(|n| n.ends_with(".tar")), "nothing else is left: {names:?}");
    for path in [dir.path(), &paths[paths.len() - 1]] {
        let reader = Reader::open(path).expect("valid");
        assert_eq!(reader.index(), &sample.index);
        assert_eq!(reader.identity(), &oc_mirror_model::Digest::of(&sample.index.to_bytes()));
        assert_eq!(reader.paths(), paths);
        read_back(&reader, &sample).await;
    }
    let set = ImagesetChunks::from(&ImagesetFiles::at(dir.path()).expect("there"));
    let seen = Arc::new(AtomicU64::new(0));
    let counter = seen.clone();
    let progress: Progress = Arc::new(move |n| {
        counter.fetch_add(n, Ordering::Relaxed);
    });
    let report = check(&set, &TrustedKeys::default(), progress).await.expect("checked");
    assert_eq!((report.damage, report.bytes), (Vec::new(), seen.load(Ordering::Relaxed)));
}

/// The first version printed its index with an indentation, and without a checksum.
#[tokio::test]
async fn an_imageset_of_the_first_version_comes_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let sample = sample(None);
    let chunk = sample.written(dir.path()).await.remove(0);
    let bytes = std::fs::read(&chunk).expect("written");
    let index = Index { format: "1.0".to_owned().try_into().expect("a version"), ..sample.index.clone() };
    let mut document = serde_json::to_vec_pretty(&index).expect("an index serialises");
    document.push(b'\n');
    assert!(document.starts_with(b"{\n  \"format\": \"1.0\",\n"), "it begins as it did");
    let written = tar::padded(sample.index.to_bytes().len() as u64) + tar::BLOCK;
    // Places count from the end of the index, however long it is.
    let mut old =
        tar::header(INDEX_NAME, document.len() as u64, super::super::chunk::mtime(&index).expect("a time"));
    old.extend_from_slice(&document);
    old.resize(old.len().next_multiple_of(tar::BLOCK as usize), 0);
    old.extend_from_slice(&bytes[usize::try_from(written).expect("small")..]);
    std::fs::write(&chunk, old).expect("written");
    let reader = Reader::open(dir.path()).expect("valid");
    assert_eq!(reader.index(), &index);
    read_back(&reader, &sample).await;
    assert_eq!(checked(dir.path()).await.expect("checked").damage, []);
}

#[tokio::test]
async fn tags_and_digests_lead_to_manifests() {
    let dir = tempfile::tempdir().expect("a directory");
    let sample = sample(None);
    sample.written(dir.path()).await;
    let reader = Reader::open(dir.path()).expect("valid");
    for image in &sample.index.images {
        let by_tag = Selector::Tag(image.destination.tag.clone());
        let by_digest = Selector::Digest(image.root.digest.clone());
        for selector in [by_tag, by_digest] {
            let manifest = reader.manifest(&repository(), &selector).await.expect("there");
            assert_eq!(manifest.digest(), &image.root.digest);
            assert_eq!(manifest.media_type(), image.root.media_type);
        }
    }
    let other = Selector::Tag("three".parse().expect("a tag"));
    assert!(reader.manifest(&repository(), &other).await.expect_err("not there").is_not_found());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_and_parallelism_change_nothing() {
    let sample = sample(Some(256 << 10));
    let one = tempfile::tempdir().expect("a directory");
    sample.written(one.path()).await;
    let other = tempfile::tempdir().expect("a directory");
    let writer = Writer::create_or_resume(other.path(), sample.index.clone()).expect("created");
    // Twice each: the second waits for the first and then does nothing.
    let puts = sample.index.entries.iter().rev().chain(&sample.index.entries);
    join_all(puts.map(|entry| sample.put(&writer, &entry.path))).await;
    writer.seal().await.expect("sealed");
    drop(writer);
    assert_eq!(snapshot(one.path()), snapshot(other.path()));
}

#[tokio::test]
async fn files_come_from_the_disk_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let chart = noise(9, 700_000);
    let content = BTreeMap::from([("files/charts/a-1.0.0.tgz".to_owned(), chart.clone())]);
    let sample = sample_of(Vec::new(), content, Some(300_000));
    let elsewhere = dir.path().join("chart");
    std::fs::write(&elsewhere, &chart).expect("written");
    let out = dir.path().join("out");
    let writer = Writer::create_or_resume(&out, sample.index.clone()).expect("created");
    writer.put_file_from("files/charts/a-1.0.0.tgz", &elsewhere).await.expect("put");
    std::fs::write(&elsewhere, b"other").expect("written");
    sample.put_all(&writer).await;
    writer.seal().await.expect("sealed");
    let reader = Reader::open(&out).expect("valid");
    assert_eq!(reader.file("files/charts/a-1.0.0.tgz").await.expect("there"), chart);
    assert_eq!(reader.files().count(), 4);
    let error = reader.file("files/no").await.expect_err("not there");
    assert!(matches!(error.kind(), ArchiveErrorKind::NoEntry(_)));
}

#[tokio::test]
async fn wrong_content_does_not_get_in() {
    let dir = tempfile::tempdir().expect("a directory");
    let sample = sample(None);
    let writer = Writer::create_or_resume(dir.path(), sample.index.clone()).expect("created");
    let blob = &sample.index.images[0].blobs[1];
    let right = &sample.content[&blob.digest.layout_path()];
    let mut wrong = right.clone();
    wrong[200_000] ^= 1;
    let error = writer.put_blob(&repository(), blob, stream(&wrong, 4096)).await.expect_err("wrong");
    assert!(matches!(error.kind(), ContentErrorKind::WrongDigest { .. }));
    for cut in [stream(&right[..1000], 100), stream(&[right.as_slice(), b"more"].concat(), 4096)] {
        let error = writer.put_blob(&repository(), blob, cut).await.expect_err("wrong");
        assert!(matches!(error.kind(), ContentErrorKind::WrongSize { .. }));
    }
    assert!(!writer.has_blob(&repository(), blob).await.expect("known"));
    let error = writer.seal().await.expect_err("not complete");
    assert!(matches!(error.kind(), ArchiveErrorKind::Incomplete { .. }));
    sample.put_all(&writer).await;
    assert!(writer.has_blob(&repository(), blob).await.expect("known"));
    // Once it is there, nothing can spoil it.
    writer.put_blob(&repository(), blob, stream(&wrong, 4096)).await.expect("already there");
    writer.seal().await.expect("sealed");
    read_back(&Reader::open(dir.path()).expect("valid"), &sample).await;
}

#[tokio::test]
async fn a_put_that_is_dropped_can_be_repeated() {
    let dir = tempfile::tempdir().expect("a directory");
    let sample = sample(None);
    let writer = Writer::create_or_resume(dir.path(), sample.index.clone()).expect("created");
    let blob = &sample.index.images[0].blobs[1];
    let stalled: BlobStream = Box::pin(futures_util::stream::pending());
    let repository = repository();
    let mut put = writer.put_blob(&repository, blob, stalled);
    assert!(futures_util::poll!(&mut put).is_pending());
    drop(put);
    sample.put_all(&writer).await;
    writer.seal().await.expect("sealed");
}

#[tokio::test]
async fn only_what_is_planned_can_be_put() {
    let dir = tempfile::tempdir().expect("a directory");
    let sample = sample(None);
    let writer = Writer::create_or_resume(dir.path(), sample.index.clone()).expect("created");
    let stranger = Descriptor::of(media_type::OCI_LAYER_GZIP, b"stranger");
    let error = writer.put_blob(&repository(), &stranger, stream(b"stranger", 4)).await.expect_err("refused");
    assert!(matches!(error.kind(), ContentErrorKind::Refused(_)));
    assert!(writer.put_file("files/other", b"x".to_vec()).await.is_err());
    let image = &sample.index.images[0];
    let bytes = sample.content[&image.root.digest.layout_path()].clone();
    let manifest = RawManifest::parse(bytes, None).expect("a manifest");
    let tag = "latest".parse().expect("a tag");
    assert!(writer.put_tag(&repository(), &tag, &manifest).await.is_err());
    assert_eq!(writer.resolve_tag(&repository(), &image.destination.tag).await.expect("known"), None);
    writer.put_tag(&repository(), &image.destination.tag, &manifest).await.expect("planned");
    let found = writer.resolve_tag(&repository(), &image.destination.tag).await.expect("known");
    assert_eq!(found.as_ref(), Some(&image.root));
}

#[tokio::test]
async fn nothing_new_makes_kilobytes() {
    let dir = tempfile::tempdir().expect("a directory");
    let sample = sample_of(Vec::new(), BTreeMap::new(), None);
    let paths = sample.written(dir.path()).await;
    assert!(paths[0].metadata().expect("there").len() < 10_000);
}
