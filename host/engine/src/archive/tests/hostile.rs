//! Damaged, incomplete, mixed up and forged imagesets are refused, and the fault is named.

use super::*;
use oc_mirror_model::check::Damage;
use oc_mirror_model::imageset::{EntryPath, FormatVersion, MAX_CHUNKS};
use oc_mirror_model::tar;
use rstest::rstest;

async fn sealed(limit: Option<u64>) -> (tempfile::TempDir, Sample, Vec<std::path::PathBuf>) {
    let dir = tempfile::tempdir().expect("a directory");
    let sample = sample(limit);
    let paths = sample.written(dir.path()).await;
    (dir, sample, paths)
}

fn problems(dir: &Path) -> Vec<ChunkProblem> {
    match Reader::open(dir).expect_err("refused").kind() {
        ArchiveErrorKind::Chunks(problems) => problems.clone(),
        other => panic!("{other}"),
    }
}

async fn damage(dir: &Path) -> Vec<Damage> {
    checked(dir).await.expect("checked").damage
}

#[tokio::test]
async fn missing_and_cut_chunks_are_all_named() {
    let (dir, _, paths) = sealed(Some(256 << 10)).await;
    std::fs::remove_file(&paths[1]).expect("removed");
    std::fs::remove_file(&paths[3]).expect("removed");
    let bytes = std::fs::read(&paths[2]).expect("there");
    std::fs::write(&paths[2], &bytes[..bytes.len() - 1]).expect("cut");
    let expected = [
        ChunkProblem::Missing("mirror_seq1_000001.tar".to_owned()),
        ChunkProblem::Size {
            name: "mirror_seq1_000002.tar".to_owned(),
            expected: bytes.len() as u64,
            actual: bytes.len() as u64 - 1,
        },
        ChunkProblem::Missing("mirror_seq1_000003.tar".to_owned()),
    ];
    assert_eq!(problems(dir.path()), expected);
    let found = damage(dir.path()).await;
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|d| d.images.contains(&"quay.io/team/one:v1".to_owned())));
    std::fs::write(&paths[2], [bytes.as_slice(), b"x"].concat()).expect("grown");
    assert!(problems(dir.path())[1].to_string().contains("something was added"));
    std::fs::remove_file(&paths[0]).expect("removed");
    assert_eq!(problems(dir.path()), [ChunkProblem::Missing("mirror_seq1_000000.tar".to_owned())]);
}

#[tokio::test]
async fn foreign_and_swapped_chunks_are_named() {
    let (dir, sample, paths) = sealed(Some(256 << 10)).await;
    let own = std::fs::read(&paths[1]).expect("there");
    let elsewhere = tempfile::tempdir().expect("a directory");
    let stranger = Sample {
        index: Index { uid: Uuid::from_u128(0xdef), ..sample.index.clone() },
        content: sample.content.clone(),
    };
    let foreign = stranger.written(elsewhere.path()).await;
    std::fs::copy(&foreign[1], &paths[1]).expect("copied");
    let found = problems(dir.path());
    assert_eq!((found.len(), found[0].name()), (1, "mirror_seq1_000001.tar"));
    assert!(found[0].to_string().contains("belongs to chain"), "{}", found[0]);
    std::fs::copy(&paths[2], &paths[1]).expect("copied");
    assert!(problems(dir.path())[0].to_string().contains("is chunk 2"));
    std::fs::write(&paths[1], &own).expect("restored");
    std::fs::copy(&paths[1], dir.path().join(Index::chunk_name(1, 9))).expect("copied");
    assert!(problems(dir.path())[0].to_string().contains("is not of this imageset"));
}

#[tokio::test]
async fn a_chunk_under_the_name_of_another_sequence_is_refused() {
    let (dir, _, paths) = sealed(None).await;
    let other = dir.path().join(Index::chunk_name(2, 0));
    std::fs::rename(&paths[0], &other).expect("renamed");
    let error = Reader::open(&other).expect_err("refused");
    assert!(error.to_string().contains("imageset 1"), "{error}");
    assert!(matches!(Reader::open(&paths[0]).expect_err("gone").kind(), ArchiveErrorKind::NotFound));
    std::fs::copy(&other, &paths[0]).expect("copied");
    assert_eq!(Reader::open(dir.path()).expect_err("two").kind(), &ArchiveErrorKind::Several);
    Reader::open(&paths[0]).expect("valid");
}

/// Every flipped bit is found, and the chunk that it is in is named.
#[rstest]
#[case(None)]
#[case(Some(256 << 10))]
#[tokio::test]
async fn flipped_bits_are_found(#[case] limit: Option<u64>) {
    let (dir, _, paths) = sealed(limit).await;
    for (chunk, path) in paths.iter().enumerate() {
        let bytes = std::fs::read(path).expect("there");
        let step = bytes.len() / 23 + 1;
        let ends = [0, 600, bytes.len() - 1, bytes.len() - 1024];
        for at in (0..bytes.len()).step_by(step).chain(ends) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            std::fs::write(path, &flipped).expect("written");
            match checked(dir.path()).await {
                Ok(report) => {
                    assert!(!report.damage.is_empty(), "chunk {chunk} at {at}");
                    assert!(report.damage[0].chunks.contains(&Index::chunk_name(1, chunk as u32)));
                }
                Err(error) => {
                    let kind = error.kind();
                    let of_index = matches!(kind, ArchiveErrorKind::Index(_) | ArchiveErrorKind::Header(_));
                    assert!(of_index && error.path() == paths[0], "{error}");
                }
            }
        }
        std::fs::write(path, &bytes).expect("restored");
    }
    assert_eq!(damage(dir.path()).await, []);
}

#[tokio::test]
async fn damage_names_entry_and_images() {
    let (dir, sample, paths) = sealed(None).await;
    let layer = &sample.index.images[0].blobs[1];
    let part = sample.index.blob(&layer.digest).expect("there").parts[0];
    let mut bytes = std::fs::read(&paths[0]).expect("there");
    let first = 512 + tar::padded(sample.index.to_bytes().len() as u64);
    bytes[(first + part.offset + 7) as usize] ^= 1;
    std::fs::write(&paths[0], &bytes).expect("written");
    let found = damage(dir.path()).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].entry.as_deref(), Some(layer.digest.layout_path().as_str()));
    assert_eq!(found[0].images, ["quay.io/team/one:v1", "quay.io/team/two:v1"]);
    // The reader hands out what is there, and the wrapper that everyone uses finds it.
    let reader = Reader::open(dir.path()).expect("lengths are right");
    let stream = crate::content::ContentRead::blob(&reader, &repository(), layer, 0).await.expect("there");
    let checked = crate::content::verify::verified(stream, layer, "blob");
    assert!(crate::content::verify::collect(checked, layer).await.is_err());
}

fn with_document(document: &[u8]) -> Vec<u8> {
    // With the time of the sample, since any other header is refused before the index is looked at.
    let mut bytes = tar::header("imageset.json", document.len() as u64, 1_767_323_045);
    bytes.extend_from_slice(document);
    bytes.resize(bytes.len().next_multiple_of(512) + 1024, 0);
    bytes
}

fn open_bytes(bytes: &[u8]) -> ArchiveError {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join(Index::chunk_name(1, 0)), bytes).expect("written");
    Reader::open(dir.path()).expect_err("refused")
}

#[test]
fn newer_formats_are_refused_and_named() {
    for (version, hint) in [((1, 9), true), ((2, 0), true), ((0, 1), false)] {
        let mut index = sample(None).index;
        index.format = FormatVersion { major: version.0, minor: version.1 };
        let error = open_bytes(&with_document(&index.to_bytes()));
        assert_eq!(error.kind(), &ArchiveErrorKind::Format { found: index.format });
        let expected = format!("format {}.{}, this program reads format 1.1", version.0, version.1);
        assert!(error.to_string().contains(&expected), "{error}");
        assert_eq!(error.hint().is_some(), hint);
    }
}

#[test]
fn an_imageset_has_a_longest_list_of_chunks() {
    let open = |count: usize| {
        let mut index = sample(None).index;
        index.chunks = vec![index.chunks[0].clone(); count];
        open_bytes(&with_document(&index.to_bytes())).to_string()
    };
    let error = open(MAX_CHUNKS + 1);
    assert!(error.contains("it names 1000001 chunks, more than the 1000000 that are allowed"), "{error}");
    let error = open(0);
    assert!(error.contains("it names no chunk"), "{error}");
}

/// What a header announces is refused unread, although the file is long enough: it has holes.
#[rstest]
#[case::index(0, (512 << 20) + 1)]
#[case::header_of_a_chunk(1, (64 << 10) + 1)]
#[tokio::test]
async fn documents_have_a_longest(#[case] chunk: usize, #[case] len: u64) {
    let (dir, _, paths) = sealed(Some(256 << 10)).await;
    std::fs::write(&paths[chunk], tar::header("imageset.json", len, 0)).expect("written");
    let file = std::fs::File::options().write(true).open(&paths[chunk]).expect("there");
    file.set_len(len + 4096).expect("a hole");
    let error = Reader::open(dir.path()).expect_err("refused").to_string();
    assert!(error.contains(&format!("it is said to have {len} bytes")), "{error}");
}

#[rstest]
#[case::empty(Vec::new())]
#[case::short(vec![0; 100])]
#[case::zeros(vec![0; 4096])]
#[case::no_json(with_document(b"{"))]
#[case::no_index(with_document(br#"{"format":"1.0"}"#))]
#[case::other_name(tar::header("etc/passwd", 0, 0))]
#[case::size_beyond_the_file(tar::header("imageset.json", 1 << 40, 0))]
#[case::size_of_half_a_file(tar::header("imageset.json", 500 << 20, 0))]
#[case::pax_first(tar::header("imageset.json", 1 << 40, 0)[..512].to_vec())]
fn files_that_are_no_imagesets_are_refused(#[case] bytes: Vec<u8>) {
    let error = open_bytes(&bytes);
    assert!(matches!(error.kind(), ArchiveErrorKind::Index(_) | ArchiveErrorKind::Header(_)), "{error}");
}

#[rstest]
#[case::overlap(|i: &mut Index| i.entries[1].parts[0].offset = i.entries[0].parts[0].offset)]
#[case::gap(|i: &mut Index| i.entries[1].parts[0].offset += 512)]
#[case::behind_the_end(|i: &mut Index| i.entries[5].parts[0].offset = u64::MAX)]
#[case::larger_than_its_parts(|i: &mut Index| i.entries[1].size += 1)]
#[case::part_too_large(|i: &mut Index| { i.entries[1].size = u64::MAX; i.entries[1].parts[0].size = u64::MAX })]
#[case::no_parts(|i: &mut Index| i.entries[1].parts = Vec::new().into())]
#[case::other_chunk(|i: &mut Index| i.entries[1].parts[0].chunk = 7)]
#[case::twice(|i: &mut Index| { let e = i.entries[1].clone(); i.entries.push(e) })]
#[case::escape(|i: &mut Index| i.entries[2].path = EntryPath::File("files/../../x".into()))]
#[case::absolute(|i: &mut Index| i.entries[2].path = EntryPath::File("/etc/passwd".into()))]
#[case::index_again(|i: &mut Index| i.entries[2].path = EntryPath::File("imageset.json".into()))]
#[case::other_digest(|i: &mut Index| {
    i.entries[4].path = EntryPath::File(i.entries[4].path().into());
    i.entries[4].digest = oc_mirror_model::Digest::of(b"other");
})]
#[case::more_chunks(|i: &mut Index| i.chunks.push(i.chunks[0].clone()))]
#[case::no_chunks(|i: &mut Index| i.chunks.clear())]
#[case::chunk_size(|i: &mut Index| i.chunks[0].size += 512)]
#[case::sequence_zero(|i: &mut Index| i.sequence = 0)]
#[case::base_ahead(|i: &mut Index| i.base = 1)]
#[tokio::test]
async fn an_index_that_contradicts_itself_is_refused(#[case] forge: fn(&mut Index)) {
    let mut index = sample(None).index;
    forge(&mut index);
    let error = open_bytes(&with_document(&index.to_bytes()));
    assert!(matches!(error.kind(), ArchiveErrorKind::Index(_)), "{error}");
    assert!(!error.to_string().contains("header"), "{error}");
    let dir = tempfile::tempdir().expect("a directory");
    let error = Writer::create_or_resume(dir.path(), index).expect_err("not written either");
    assert!(matches!(error.kind(), ArchiveErrorKind::Index(_)), "{error}");
}

#[rstest]
#[case::symlink(156, b'2')]
#[case::hard_link(156, b'1')]
#[case::device(156, b'3')]
#[case::block_device(156, b'4')]
#[case::directory(156, b'5')]
#[case::pipe(156, b'6')]
#[case::gnu_sparse(156, b'S')]
#[case::gnu_long_name(156, b'L')]
#[case::pax_for_all(156, b'g')]
#[tokio::test]
async fn an_entry_that_is_no_file_is_refused(#[case] at: usize, #[case] byte: u8) {
    let (dir, sample, paths) = sealed(None).await;
    let entry = &sample.index.entries[2];
    let first = 512 + tar::padded(sample.index.to_bytes().len() as u64);
    let place = (first + entry.parts[0].offset) as usize - 512;
    let mut bytes = std::fs::read(&paths[0]).expect("there");
    let header = &mut bytes[place..place + 512];
    let old = header[at];
    header[at] = byte;
    // The checksum is made to fit, as an attacker would.
    let sum =
        usize::from_str_radix(std::str::from_utf8(&header[148..154]).expect("octal"), 8).expect("octal");
    let sum = sum + usize::from(byte) - usize::from(old);
    header[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
    std::fs::write(&paths[0], &bytes).expect("written");
    let reader = Reader::open(dir.path()).expect("the index is good");
    let error = reader.file(&entry.path()).await.expect_err("refused");
    assert!(error.to_string().contains("are refused"), "{error}");
    assert_eq!(damage(dir.path()).await.len(), 1);
}

fn put(header: &mut [u8], at: usize, text: &str) {
    header[at..at + text.len()].copy_from_slice(text.as_bytes());
}

fn rename(header: &mut [u8], name: &str) {
    header[..100].fill(0);
    put(header, 0, name);
}

/// The index and the tar file disagree on what an entry is, and what the tar says is valid in itself.
#[rstest]
#[case::from_the_root(|h: &mut [u8]| rename(h, "/etc/passwd"), "its header says `/etc/passwd`")]
#[case::out(|h: &mut [u8]| rename(h, "../../etc/passwd"), "its header says `../../etc/passwd`")]
#[case::named_as_another(|h: &mut [u8]| rename(h, "oci-layout"), "its header says `oci-layout`")]
#[case::controls(|h: &mut [u8]| rename(h, "files/\u{1b}[2J"), "its header says `files/\\u{1b}[2J`")]
#[case::larger(|h: &mut [u8]| put(h, 124, "77777777777"), "8589934591 bytes")]
#[case::smaller(|h: &mut [u8]| put(h, 124, "00000000001"), "1 bytes")]
#[case::size_in_binary(|h: &mut [u8]| h[124] = 0x80, "its field `size` is not an octal number")]
#[case::set_user_id(|h: &mut [u8]| put(h, 100, "0004755"), "bytes of its header have changed")]
#[case::of_root_s_group(|h: &mut [u8]| put(h, 116, "0000001"), "bytes of its header have changed")]
#[case::linked(|h: &mut [u8]| put(h, 157, "/etc/passwd"), "it has fields of a link or device")]
#[tokio::test]
async fn a_header_that_disagrees_with_the_index_is_refused(#[case] forge: fn(&mut [u8]), #[case] why: &str) {
    let (dir, sample, paths) = sealed(None).await;
    let entry = &sample.index.entries[2];
    let first = 512 + tar::padded(sample.index.to_bytes().len() as u64);
    let mut bytes = std::fs::read(&paths[0]).expect("there");
    oc_mirror_testkit::RawTar::forge(&mut bytes, (first + entry.parts[0].offset) as usize - 512, forge);
    std::fs::write(&paths[0], &bytes).expect("written");
    let error = Reader::open(dir.path()).expect("the index is good").file(&entry.path()).await;
    let error = error.expect_err("refused");
    assert!(matches!(error.kind(), ArchiveErrorKind::Damaged { .. }), "{error}");
    assert!(error.to_string().contains(why), "{error}");
    let found = damage(dir.path()).await;
    assert_eq!((found.len(), found[0].entry.as_deref()), (1, Some(entry.path().as_ref())));
}

#[cfg(unix)]
#[test]
fn a_pipe_is_not_waited_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join(Index::chunk_name(1, 0));
    let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
    assert!(made.success());
    assert!(Reader::open(dir.path()).is_err());
}
