//! No bit of an imageset can change, no byte can be lost and no chunk be another one without being found.

use super::*;
use crate::content::positioned::ReadAt;
use crate::content::{ContentError, ContentErrorKind};
use async_trait::async_trait;
use oc_mirror_model::tar;
use std::ops::Range;

/// A chunk in memory, so that it can be changed a hundred thousand times.
struct InMemory {
    name: String,
    bytes: Vec<u8>,
}

#[async_trait]
impl ReadAt for InMemory {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn size(&self) -> Result<u64, ContentError> {
        Ok(self.bytes.len() as u64)
    }

    async fn stream(&self, offset: u64, len: u64) -> Result<BlobStream, ContentError> {
        let bytes = self.read(offset, len as usize).await?;
        Ok(stream(&bytes, CHUNK))
    }

    async fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>, ContentError> {
        let bytes = self.bytes.get(offset as usize..offset as usize + len);
        bytes.map(<[u8]>::to_vec).ok_or_else(|| {
            let kind = ContentErrorKind::Disk("it cannot be read".to_owned());
            ContentError::new(self.name.clone(), kind)
        })
    }
}

/// The chunks of an imageset, by number.
type Chunks = BTreeMap<u32, Vec<u8>>;

/// Two images with a layer that is split over two chunks, signed by two keys.
fn small(keys: &SigningKeys, created: &str) -> Sample {
    let mut content = BTreeMap::new();
    let images = vec![
        image("one", &[noise(1, 100), noise(2, 100_000)], false, &mut content),
        image("two", &[noise(1, 100), noise(3, 700)], true, &mut content),
    ];
    let mut sample = sample_by(images, content, Some(90_000), keys.ids());
    created.clone_into(&mut sample.index.created);
    sample
}

async fn chunks_of(sample: &Sample, keys: &SigningKeys) -> Chunks {
    let dir = tempfile::tempdir().expect("a directory");
    let writer = Writer::create_or_resume_signed(dir.path(), sample.index.clone(), keys).expect("created");
    sample.put_all(&writer).await;
    let paths = writer.seal().await.expect("sealed");
    (0..).zip(paths).map(|(n, path)| (n, std::fs::read(path).expect("there"))).collect()
}

fn set_of(chunks: &Chunks) -> ImagesetChunks {
    let chunk = |(number, bytes): (&u32, &Vec<u8>)| {
        let name = Index::chunk_name(1, *number);
        (*number, Arc::new(InMemory { name, bytes: bytes.clone() }) as Arc<dyn ReadAt>)
    };
    ImagesetChunks { place: "memory".into(), sequence: 1, chunks: chunks.iter().map(chunk).collect() }
}

/// What a check says, in words; nothing if all is whole.
async fn faults(chunks: &Chunks) -> Option<(Vec<String>, String)> {
    match check(&set_of(chunks), &TrustedKeys::default(), Arc::new(|_| ())).await {
        Ok(found) if found.damage.is_empty() => None,
        Ok(found) => {
            let chunks = found.damage.iter().flat_map(|damage| damage.chunks.clone()).collect();
            Some((chunks, found.damage.iter().map(|damage| damage.what.as_str()).collect()))
        }
        Err(error) => {
            let chunk = error.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
            let all = match error.kind() {
                ArchiveErrorKind::Chunks(problems) => problems.iter().map(|p| p.name().to_owned()).collect(),
                _ => vec![chunk],
            };
            Some((all, error.to_string()))
        }
    }
}

/// Where in a chunk the bytes of the large layer are.
fn large_parts(sample: &Sample, chunks: &Chunks) -> BTreeMap<u32, Range<usize>> {
    let large = sample.index.entries.iter().max_by_key(|entry| entry.size).expect("there are some");
    assert_eq!(large.parts.len(), 2, "the layer is split");
    let range = |part: &oc_mirror_model::imageset::Part| {
        let first = chunks[&part.chunk].len() as u64 - sample.index.chunks[part.chunk as usize].size;
        let start = (first + part.offset) as usize;
        (part.chunk, start..start + part.size as usize)
    };
    large.parts.iter().map(range).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flipped_bit_is_found() {
    let pair = || SigningKey::generate().expect("made").0;
    let keys = SigningKeys::new(vec![pair(), pair()]);
    let sample = small(&keys, "2026-01-02T03:04:05Z");
    let chunks = chunks_of(&sample, &keys).await;
    assert_eq!(faults(&chunks).await, None);
    let large = large_parts(&sample, &chunks);
    let mut flipped = chunks.clone();
    for (number, bytes) in &chunks {
        let name = Index::chunk_name(1, *number);
        // All bytes but for the layer's, of which one in a thousand is as good as any other.
        let is_tried = |at: &usize| !large[number].contains(at) || at.is_multiple_of(997);
        for at in (0..bytes.len()).filter(is_tried) {
            flipped.get_mut(number).expect("there")[at] ^= 1 << (at % 8);
            let found = faults(&flipped).await;
            flipped.get_mut(number).expect("there")[at] = bytes[at];
            let (named, _) = found.unwrap_or_else(|| panic!("byte {at} of {name} was not missed"));
            assert!(named.contains(&name), "byte {at} of {name}: {named:?}");
        }
        // All eight bits of the fields of a header, of what it begins with, and of the end.
        let tail = bytes.len() - 8;
        for at in (0..512).step_by(7).chain(512..640).chain(tail..bytes.len()) {
            for bit in 0..8 {
                flipped.get_mut(number).expect("there")[at] ^= 1 << bit;
                assert!(faults(&flipped).await.is_some(), "bit {bit} of byte {at} of {name}");
                flipped.get_mut(number).expect("there")[at] = bytes[at];
            }
        }
    }
    assert_eq!(faults(&flipped).await, None);
}

#[tokio::test]
async fn every_lost_byte_and_every_other_chunk_is_found() {
    let none = SigningKeys::default();
    let sample = small(&none, "2026-01-02T03:04:05Z");
    let chunks = chunks_of(&sample, &none).await;
    assert_eq!(chunks.len(), 2);
    assert_eq!(faults(&chunks).await, None);
    // The same content at another time: nothing differs but for the index, and what names it.
    let fork = chunks_of(&small(&none, "2026-01-02T03:04:06Z"), &none).await;
    assert_eq!(faults(&fork).await, None);
    for (number, bytes) in &chunks {
        let name = Index::chunk_name(1, *number);
        let cuts = (0..bytes.len()).step_by(509).chain([511, 512, 513, bytes.len() - 1024, bytes.len() - 1]);
        for len in cuts {
            let mut cut = chunks.clone();
            cut.insert(*number, bytes[..len].to_vec());
            let (named, _) = faults(&cut).await.unwrap_or_else(|| panic!("{name} was cut to {len} bytes"));
            assert!(named.contains(&name), "{named:?}");
        }
        let mut longer = chunks.clone();
        longer.insert(*number, [bytes.as_slice(), &[0; 512]].concat());
        assert!(faults(&longer).await.is_some(), "{name} is longer");
        let mut missing = chunks.clone();
        missing.remove(number);
        assert_eq!(faults(&missing).await.expect("found").0, std::slice::from_ref(&name));
        for (other, theirs) in chunks.iter().filter(|(other, _)| *other != number) {
            let mut swapped = chunks.clone();
            swapped.insert(*number, theirs.clone());
            swapped.insert(*other, bytes.clone());
            assert!(faults(&swapped).await.is_some(), "{number} and {other} are swapped");
        }
        let mut foreign = chunks.clone();
        foreign.insert(*number, fork[number].clone());
        let (_, what) = faults(&foreign).await.expect("found");
        assert!(what.contains("belongs to another imageset of sequence 1"), "{what}");
    }
}

/// A bit that changes nothing of an image touches none.
#[tokio::test]
async fn damage_tells_what_it_touches() {
    let none = SigningKeys::default();
    let sample = small(&none, "2026-01-02T03:04:05Z");
    let chunks = chunks_of(&sample, &none).await;
    let entry = sample.index.entries.iter().find(|entry| entry.size == 700).expect("there");
    let part = entry.parts[0];
    let first = chunks[&part.chunk].len() as u64 - sample.index.chunks[part.chunk as usize].size;
    let place = |offset: u64| (first + part.offset + offset) as usize;
    let behind = tar::padded(entry.size) - 1;
    for (at, images) in [
        (place(behind), &[][..]),
        (place(0), &["quay.io/team/two:v1"]),
        (place(0) - 400, &["quay.io/team/two:v1"]),
    ] {
        let mut flipped = chunks.clone();
        flipped.get_mut(&part.chunk).expect("there")[at] ^= 1;
        let found =
            check(&set_of(&flipped), &TrustedKeys::default(), Arc::new(|_| ())).await.expect("checked");
        assert_eq!(found.damage.len(), 1, "{:?}", found.damage);
        assert_eq!(found.damage[0].images, images);
        assert_eq!(found.damage[0].exit_code, if images.is_empty() { 1 } else { 8 });
        assert!(found.damage[0].mend.contains(&Index::chunk_name(1, part.chunk)));
    }
}
