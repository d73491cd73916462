//! Tests of the layout: what lies where, and that nothing ever lies outside or twice.

use oc_mirror_model::imageset::FORMAT;
use oc_mirror_model::media_type;
use oc_mirror_model::tar;
use proptest::prelude::*;
use rstest::rstest;
use uuid::Uuid;

use super::*;

const GIB: u64 = 1 << 30;

fn item(number: u64, size: u64) -> Entry {
    let digest = Digest::of(&number.to_be_bytes());
    blob(&Descriptor::new(media_type::OCI_LAYER_GZIP, digest, size))
}

/// Completes an index that has these entries.
fn finish(
    mut index: Index,
    entries: &[Entry],
    chunk_limit: Option<u64>,
    strict: bool,
) -> Result<Index, LayoutError> {
    index.entries = entries.to_vec();
    complete(&mut index, chunk_limit, strict).map(|()| index)
}

fn items(sizes: &[u64]) -> Vec<Entry> {
    sizes.iter().enumerate().map(|(n, size)| item(n as u64, *size)).collect()
}

fn index() -> Index {
    Index {
        format: FORMAT,
        uid: Uuid::from_u128(7),
        sequence: 1,
        base: 0,
        previous: None,
        created: "2026-01-01T00:00:00Z".to_owned(),
        created_by: "oc-mirror 0.1.0".to_owned(),
        chunks: Vec::new(),
        entries: Vec::new(),
        images: Vec::new(),
        unchanged: Vec::new(),
        positions: Vec::new(),
        required: Vec::new(),
        refused: Vec::new(),
        policies: Vec::new(),
        signed_by: Vec::new(),
        quarantined: Vec::new(),
    }
}

/// Walks the finished index as a tar reader would, and returns the sizes of the chunk files.
fn walk(index: &Index) -> Vec<u64> {
    let mut ends = vec![0; index.chunks.len()];
    let mut last = 0;
    for entry in &index.entries {
        let mut sum = 0;
        for (number, part) in entry.parts.iter().enumerate() {
            assert!(part.chunk >= last, "chunks are filled in order");
            last = part.chunk;
            let name = part_name(&entry.path(), number + 1, entry.parts.len());
            let end: &mut u64 = &mut ends[part.chunk as usize];
            assert_eq!(part.offset, *end + tar::header_len(&name, part.size), "no gap and no overlap");
            *end = part.offset + padded(part.size);
            sum += part.size;
        }
        assert_eq!(sum, entry.size, "every byte is placed once");
        assert!(entry.parts.len() == 1 || entry.parts.iter().all(|p| p.size > 0));
    }
    let first_entry = |chunk: usize| match chunk {
        0 => index.to_bytes().len() as u64,
        n => index.chunk_header(n as u32, &Digest::of(b"")).to_bytes().len() as u64,
    };
    index
        .chunks
        .iter()
        .enumerate()
        .map(|(chunk, info)| {
            assert_eq!(info.size, ends[chunk] + END_MARKER);
            BLOCK + padded(first_entry(chunk)) + info.size
        })
        .collect()
}

#[test]
fn without_a_limit_there_is_one_chunk() {
    let index = finish(index(), &items(&[0, 1, 512, 20 * GIB]), None, true).expect("fits");
    assert_eq!(index.chunks.len(), 1);
    walk(&index);
}

#[test]
fn nothing_new_makes_one_small_chunk() {
    let index = finish(index(), &[], Some(GIB), false).expect("fits");
    assert_eq!(walk(&index), [512 + 512 + 1024]);
}

#[test]
fn a_blob_is_split_where_the_chunk_ends() {
    let index = finish(index(), &items(&[100 << 10, 1 << 20]), Some(512 << 10), false).expect("fits");
    let sizes = walk(&index);
    assert_eq!(index.entries[1].parts.len(), 3);
    assert_eq!(index.entries[1].parts[0].chunk, 0);
    assert_eq!(&sizes[..2], [512 << 10, 512 << 10], "chunks are filled to the limit");
}

#[test]
fn small_entries_are_moved_and_not_split() {
    let index =
        finish(index(), &items(&[400 << 10, 63 << 10, 63 << 10]), Some(512 << 10), false).expect("fits");
    walk(&index);
    assert_eq!(index.entries.iter().map(|e| e.parts.len()).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(index.entries[2].parts[0].chunk, 1);
}

#[test]
fn no_split_leaves_crumbs() {
    let index = finish(index(), &items(&[480 << 10, 200 << 10]), Some(512 << 10), false).expect("fits");
    walk(&index);
    assert_eq!((index.entries[1].parts.len(), index.entries[1].parts[0].chunk), (1, 1));
}

#[test]
fn a_part_may_be_larger_than_octal_digits_can_say() {
    let index = finish(index(), &items(&[30 * GIB]), Some(10 * GIB), false).expect("fits");
    let sizes = walk(&index);
    assert_eq!(&sizes[..3], [10 * GIB; 3]);
}

#[test]
fn strict_refuses_to_split_and_says_what_it_takes() {
    let all = items(&[5 << 20, 9 << 20, 1]);
    let error = finish(index(), &all, Some(4 << 20), true).expect_err("refused");
    let LayoutError::TooLarge { path, size, needed, .. } = &error else { panic!("{error}") };
    assert_eq!((path, *size), (&all[1].path().into_owned(), 9 << 20));
    let index = finish(index(), &all, Some(*needed), true).expect("enough");
    walk(&index);
    assert!(index.entries.iter().all(|e| e.parts.len() == 1));
    assert!(finish(index, &all, Some(*needed - 1), true).is_err());
}

#[rstest]
#[case::loosely(false)]
#[case::strictly(true)]
fn what_is_needed_is_enough_where_the_index_is_long(#[case] strict: bool) {
    // An entry of the index has some 400 bytes, so the index alone is past the limit.
    let all = items(&[3000; 500]);
    let error = finish(index(), &all, Some(100_000), strict).expect_err("refused");
    let needed = error.needed().expect("a larger limit is enough");
    assert!(needed < 300_000, "{error}");
    walk(&finish(index(), &all, Some(needed), strict).expect("what the error says is true"));
}

#[rstest]
#[case::tiny(4096)]
#[case::zero(0)]
fn a_limit_without_room_is_refused(#[case] limit: u64) {
    let error = finish(index(), &items(&[1]), Some(limit), false).expect_err("refused");
    assert!(matches!(error, LayoutError::LimitTooSmall { .. }));
}

#[rstest]
#[case::escape("files/../../etc/passwd")]
#[case::index("imageset.json")]
#[case::elsewhere("tmp/x")]
fn names_are_checked(#[case] path: &str) {
    let all = [file(path, b"x")];
    assert!(matches!(finish(index(), &all, None, false), Err(LayoutError::Path { .. })));
}

#[test]
fn a_blob_is_named_by_its_digest() {
    let mut wrong = item(1, 5);
    wrong.path = EntryPath::new(wrong.path(), &Digest::of(b"other"));
    assert!(matches!(finish(index(), &[wrong], None, false), Err(LayoutError::Path { .. })));
    let twice = [item(1, 5), item(1, 5)];
    assert!(matches!(finish(index(), &twice, None, false), Err(LayoutError::Duplicate { .. })));
}

#[test]
fn absurd_sizes_are_refused() {
    let all = items(&[u64::MAX - 5, u64::MAX / 2 + 1, u64::MAX / 2]);
    assert_eq!(finish(index(), &all, None, false), Err(LayoutError::Overflow));
    assert_eq!(finish(index(), &all[1..], None, false), Err(LayoutError::Overflow));
    let error = finish(index(), &all[1..], Some(1 << 20), false).expect_err("too many chunks");
    assert!(matches!(error, LayoutError::TooManyChunks { .. }));
}

#[test]
fn order_is_fixed_and_each_thing_is_there_once() {
    let image = |name: &str, manifests: &[u64], blobs: &[u64]| -> ImageEntry {
        let descriptor = |n: &u64| Descriptor::new(media_type::OCI_MANIFEST, Digest::of(&n.to_be_bytes()), 3);
        ImageEntry {
            plugin: "additional".to_owned(),
            request: serde_json::from_value(serde_json::json!({
                "source": name, "origin": name, "kind": "additional"
            }))
            .expect("a request"),
            destination: oc_mirror_model::request::Destination {
                repository: "a/b".parse().expect("valid"),
                tag: "latest".parse().expect("valid"),
            },
            root: descriptor(&manifests[0]),
            manifests: manifests.iter().map(descriptor).collect(),
            blobs: blobs.iter().map(descriptor).collect(),
            sparse: false,
        }
    };
    let images = [image("a", &[1, 2], &[10, 11]), image("b", &[2, 3], &[12, 10, 13])];
    let files = ["files/b", "index.json", "files/a", "oci-layout"].map(|p| file(p, b"x")).to_vec();
    let known = Digest::of(&13_u64.to_be_bytes());
    let ordered = order(files, &images, |d| *d != known);
    let paths: Vec<_> = ordered.iter().map(Entry::path).collect();
    assert_eq!(paths[..4], ["oci-layout", "index.json", "files/a", "files/b"]);
    let mut manifests = [1_u64, 2, 3].map(|n| Digest::of(&n.to_be_bytes()).layout_path());
    manifests.sort();
    assert_eq!(paths[4..7], manifests);
    let blobs = [10_u64, 11, 12].map(|n| Digest::of(&n.to_be_bytes()).layout_path());
    assert_eq!(paths[7..], blobs);
}

proptest! {
    #[test]
    fn any_sizes_fit_any_limit(
        sizes in proptest::collection::vec(
            prop_oneof![0_u64..2000, 60_000_u64..70_000, 0_u64..3_000_000, 1_u64..40 * GIB], 0..40),
        limit in prop_oneof![10_000_u64..200_000, 200_000_u64..5_000_000, 1_u64 << 20..50 * GIB],
        strict: bool,
    ) {
        // Small limits with huge blobs would make millions of parts.
        let sizes: Vec<u64> = sizes.into_iter().map(|s| s.min(limit.saturating_mul(20))).collect();
        match finish(index(), &items(&sizes), Some(limit), strict) {
            Ok(index) => {
                for size in walk(&index) {
                    prop_assert!(size <= limit, "{size} > {limit}");
                }
                prop_assert!(!strict || index.entries.iter().all(|e| e.parts.len() == 1));
                prop_assert_eq!(index.clone(), finish(index, &items(&sizes), Some(limit), strict).expect("again"));
            }
            Err(LayoutError::LimitTooSmall { needed, .. }) => prop_assert!(needed > limit),
            Err(LayoutError::TooLarge { needed, .. }) => prop_assert!(strict && needed > limit),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}
