//! Archives that the predecessors made: [`find`] finds those of oc-mirror v1 ([`v1`]) and v2 ([`v2`]) in a directory.
//!
//! Their headers are scanned once; after that everything is read where it lies. Nothing is unpacked, and no name in them
//! becomes a name on the disk but that of a chart, which is one that a file can have. [`Contents`] has their manifests and blobs by digest, checked as everything is: the
//! predecessors did not. What they ask to be published comes as [`Wanted`].

mod chunks;
mod error;
mod fbc;
mod headers;
pub mod v1;
pub mod v2;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use oc_mirror_model::ImageRequest;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::INDEX_NAME;

pub use chunks::{Chunks, Contents, Place};
pub use error::{PredecessorError, PredecessorErrorKind};

use crate::fsx;

/// How a program is called in messages.
const OURS: &str = "this program";
const V1: &str = "oc-mirror v1";
const V2: &str = "oc-mirror v2";

/// Archives of one predecessor.
#[derive(Debug)]
pub enum Found {
    /// Imagesets of oc-mirror v1, in the order of their sequences.
    V1(Vec<v1::Imageset>),
    /// The archive of a run of oc-mirror v2.
    V2(Box<v2::Archive>),
}

impl Found {
    /// Returns the program that made them.
    pub fn maker(&self) -> &'static str {
        match self {
            Self::V1(_) => V1,
            Self::V2(_) => V2,
        }
    }
}

/// One image that an archive asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The request, with the place at the target that the predecessor would have used.
    pub request: ImageRequest,
    /// What its tag is to point at.
    pub root: Digest,
    /// Whether it has to be had. What has not is known by name only, and may belong to another configuration.
    pub certain: bool,
}

/// Finds archives of predecessors in a directory, or the one that a file belongs to. Nothing: there are none.
///
/// Files of this program have names as those of oc-mirror v1, and are told apart by what they begin with. Archives
/// of several programs in one directory are an error.
pub fn find(path: &Path) -> Result<Option<Found>, PredecessorError> {
    let dir = if path.is_file() { fsx::parent(path) } else { path.to_owned() };
    let Ok(names) = list(&dir) else { return Ok(None) };
    let only = path.is_file().then(|| path.file_name().and_then(|n| n.to_str()).unwrap_or_default());
    let (mut sequences, mut second) = (BTreeMap::<u64, BTreeMap<u64, PathBuf>>::new(), BTreeMap::new());
    for name in names {
        match chunk(&name) {
            Some((Some(sequence), number)) => {
                sequences.entry(sequence).or_default().insert(number, dir.join(&name));
            }
            Some((None, number)) => {
                second.insert(number, dir.join(&name));
            }
            None => {}
        }
    }
    match only.map(chunk) {
        // The rest of the directory is none of its business.
        Some(Some((Some(sequence), _))) => {
            sequences.retain(|s, _| *s == sequence);
            second.clear();
        }
        Some(Some((None, _))) => sequences.clear(),
        Some(None) => return Ok(None),
        None => {}
    }
    let mut makers = BTreeSet::new();
    let (mut first, mut others) = (Vec::new(), false);
    for (sequence, chunks) in sequences {
        match maker(chunks.values()) {
            Some(V1) => first.push((sequence, chunks)),
            _ => others = true,
        }
    }
    makers.extend((!first.is_empty()).then_some(V1));
    makers.extend((!second.is_empty()).then_some(V2));
    makers.extend((others && !makers.is_empty()).then_some(OURS));
    let makers: Vec<&'static str> = makers.into_iter().collect();
    if let [a, b, ..] = makers.as_slice() {
        return Err(PredecessorError::new(&dir, PredecessorErrorKind::Mixed { first: a, second: b }));
    }
    if !second.is_empty() {
        let paths = complete(&dir, second, 1, |number| format!("mirror_{number:06}.tar"))?;
        return Ok(Some(Found::V2(Box::new(v2::Archive::open(paths)?))));
    }
    let mut imagesets = Vec::new();
    for (sequence, chunks) in first {
        let name = |number| format!("mirror_seq{sequence}_{number:06}.tar");
        imagesets.push(v1::Imageset::open(sequence, complete(&dir, chunks, 0, name)?)?);
    }
    Ok((!imagesets.is_empty()).then_some(Found::V1(imagesets)))
}

/// Takes a name apart: the sequence of `mirror_seqN_NNNNNN.tar`, none of `mirror_NNNNNN.tar`, and the number.
fn chunk(name: &str) -> Option<(Option<u64>, u64)> {
    let digits = |text: &str| {
        let valid = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        valid.then(|| text.parse().ok()).flatten()
    };
    let number = |text: &str| (text.len() >= 6).then(|| digits(text)).flatten();
    let rest = name.strip_prefix("mirror_")?.strip_suffix(".tar")?;
    match rest.strip_prefix("seq").map(|rest| rest.split_once('_')) {
        Some(parts) => parts.and_then(|(sequence, n)| Some((Some(digits(sequence)?), number(n)?))),
        None => Some((None, number(rest)?)),
    }
}

/// Finds out who made an imageset, if it can be told.
fn maker<'a>(mut chunks: impl Iterator<Item = &'a PathBuf>) -> Option<&'static str> {
    chunks.find_map(|path| {
        let size = chunks::length(path).ok()?;
        let name = headers::first_name(&std::fs::File::open(path).ok()?, size)?;
        match name.as_str() {
            INDEX_NAME => Some(OURS),
            name => v1::is_member(name).then_some(V1),
        }
    })
}

/// Returns the files in order, if none in between is missing. How many there have to be, nobody says.
fn complete(
    dir: &Path,
    chunks: BTreeMap<u64, PathBuf>,
    first: u64,
    name: impl Fn(u64) -> String,
) -> Result<Vec<PathBuf>, PredecessorError> {
    let last = chunks.keys().next_back().copied().unwrap_or(first);
    let missing: Vec<String> = (first..last).filter(|n| !chunks.contains_key(n)).take(20).map(name).collect();
    if missing.is_empty() {
        return Ok(chunks.into_values().collect());
    }
    Err(PredecessorError::new(dir, PredecessorErrorKind::Chunks(missing)))
}

fn list(dir: &Path) -> std::io::Result<Vec<String>> {
    let names = std::fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
    Ok(names.collect::<std::io::Result<Vec<_>>>()?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("mirror_seq1_000000.tar", Some((Some(1), 0)))]
    #[case("mirror_seq12_1000000.tar", Some((Some(12), 1_000_000)))]
    #[case("mirror_000001.tar", Some((None, 1)))]
    #[case("mirror_1.tar", None)]
    #[case("mirror_seq1_000000.tar.gz", None)]
    #[case("mirror_seq_000000.tar", None)]
    #[case("mirror_seq+1_000000.tar", None)]
    #[case(".mirror_000001.tar.partial", None)]
    fn names_of_chunks(#[case] name: &str, #[case] expected: Option<(Option<u64>, u64)>) {
        assert_eq!(chunk(name), expected);
    }

    fn begin_with(dir: &Path, file: &str, member: &str) {
        let mut tar = tar::Builder::new(std::fs::File::create(dir.join(file)).expect("made"));
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        tar.append_data(&mut header, member, std::io::empty()).expect("written");
        tar.finish().expect("written");
    }

    #[rstest]
    #[case::ours_alone(&[("mirror_seq1_000000.tar", "imageset.json")], None)]
    #[case::nothing(&[("other.tar", "x")], None)]
    #[case::ours_and_v1(
        &[("mirror_seq1_000000.tar", "imageset.json"), ("mirror_seq2_000000.tar", "publish/.metadata.json")],
        Some("it holds archives of oc-mirror v1 beside those of this program")
    )]
    #[case::ours_and_v2(
        &[("mirror_seq1_000000.tar", "imageset.json"), ("mirror_000001.tar", "isc_2025")],
        Some("it holds archives of oc-mirror v2 beside those of this program")
    )]
    #[case::v1_and_v2(
        &[("mirror_seq1_000000.tar", "publish/.metadata.json"), ("mirror_000001.tar", "isc_2025")],
        Some("it holds archives of oc-mirror v1 beside those of oc-mirror v2")
    )]
    #[case::a_gap(
        &[("mirror_seq1_000000.tar", "publish/.metadata.json"), ("mirror_seq1_000003.tar", "v2/a/manifests/v1")],
        Some("`mirror_seq1_000001.tar`, `mirror_seq1_000002.tar` are missing")
    )]
    #[case::the_first_is_missing(&[("mirror_000002.tar", "working-dir/x")], Some("`mirror_000001.tar` is missing"))]
    fn whose_archives_there_are(#[case] files: &[(&str, &str)], #[case] error: Option<&str>) {
        let dir = tempfile::tempdir().expect("a directory");
        for (file, member) in files {
            begin_with(dir.path(), file, member);
        }
        match (find(dir.path()), error) {
            (Ok(found), None) => assert!(found.is_none()),
            (Err(found), Some(error)) => assert!(found.to_string().contains(error), "{found}"),
            (found, _) => panic!("{found:?}"),
        }
    }
}
