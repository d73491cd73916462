//! The archive of a run of oc-mirror v2: [`Archive`], a tree of docker/distribution's registry with its working directory.
//!
//! | member | what |
//! |---|---|
//! | `docker/registry/v2/blobs/sha256/<xx>/<hex>/data` | what this run brought that no earlier one had |
//! | `docker/registry/v2/repositories/<repository>/_manifests/tags/<tag>/current/link` | what a tag points at; of all that any run has cached |
//! | `…/_manifests/revisions/sha256/<hex>/link`, `…/_layers/sha256/<hex>/link` | what a repository has |
//! | `working-dir/…` | releases, catalogs, charts and signatures as they were found |
//! | `isc_<time>` | the configuration |
//!
//! Neither says which images are meant: see [`Archive::wanted`] for how that is found out.

mod filter_hash;
mod names;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::reference::{Repository, Tag};
use oc_mirror_model::request::Destination;

pub use names::Missing;

use super::V2;
use super::chunks::{Chunks, Contents, Place};
use super::error::{PredecessorError, PredecessorErrorKind as Kind};
use super::headers::{Member, What};

const REPOSITORIES: &str = "docker/registry/v2/repositories/";
const BLOBS: &str = "docker/registry/v2/blobs/";
const WORKING_DIR: &str = "working-dir/";
const CONFIGURATION: &str = "isc_";
/// A link is a digest.
const MAX_LINK: u64 = 256;
/// The largest configuration, or file that says what a release consists of.
const MAX_DOCUMENT: u64 = 16 << 20;
/// The largest signature of a release.
const MAX_SIGNATURE: u64 = 1 << 20;

/// The archive of a run of oc-mirror v2.
#[derive(Debug)]
pub struct Archive {
    /// Its manifests and blobs.
    pub contents: Contents,
    /// What tells this archive from any other.
    pub identity: Digest,
    /// The configuration as it was written, if it is there.
    pub configuration: Option<Vec<u8>>,
    /// Charts, by the name of their file.
    pub charts: BTreeMap<String, Place>,
    /// What was not understood.
    pub warnings: Vec<String>,
    /// What tags pointed at in the cache.
    tags: BTreeMap<Destination, Digest>,
    /// Which repositories of the cache have what the archive does not.
    elsewhere: Arc<HashMap<Digest, Vec<Repository>>>,
    /// Which manifests each repository of the cache has.
    revisions: HashSet<(Repository, Digest)>,
    /// Other files of the working directory, by their path there.
    files: BTreeMap<String, Place>,
}

/// What a scan finds.
#[derive(Default)]
struct Scanned {
    blobs: HashMap<Digest, Place>,
    tags: BTreeMap<Destination, Place>,
    links: HashMap<Digest, Vec<u32>>,
    revisions: HashSet<(u32, Digest)>,
    repositories: Vec<Repository>,
    numbers: HashMap<String, u32>,
    configurations: BTreeMap<String, Place>,
    files: BTreeMap<String, Place>,
    /// A hash of each member, of which the identity is made.
    lines: Vec<[u8; 32]>,
}

impl Scanned {
    fn take(&mut self, member: Member, place: Place) -> Result<(), Kind> {
        let Member { name, what, .. } = member;
        match what {
            What::Directory => return Ok(()),
            What::Symlink(_) => {
                return Err(Kind::Member { name, reason: "links are not followed".to_owned() });
            }
            What::File => {}
        }
        self.lines.push(hash(&format!("{name} {}", place.size)));
        if let Some(rest) = name.strip_prefix(REPOSITORIES) {
            return self.take_link(&name, rest, place);
        }
        let twice = if let Some(rest) = name.strip_prefix(BLOBS) {
            let digest = blob(rest).ok_or_else(|| Kind::Member {
                name: name.clone(),
                reason: "it is not where a blob of that digest is".to_owned(),
            })?;
            self.blobs.insert(digest, place)
        } else if let Some(rest) = name.strip_prefix(WORKING_DIR) {
            if !is_of_use(rest) {
                return Ok(());
            }
            self.files.insert(rest.to_owned(), place)
        } else if name.starts_with(CONFIGURATION) && !name.contains('/') {
            self.configurations.insert(name.clone(), place)
        } else {
            None
        };
        if twice.is_some() { Err(Kind::Twice(name)) } else { Ok(()) }
    }

    fn take_link(&mut self, name: &str, rest: &str, place: Place) -> Result<(), Kind> {
        let refused = |reason: &str| Kind::Member { name: name.to_owned(), reason: reason.to_owned() };
        let Some((repository, rest)) = ["/_manifests/", "/_layers/"].iter().find_map(|mark| {
            let at = rest.find(mark)?;
            Some((&rest[..at], &rest[at + 1..]))
        }) else {
            // Uploads that were under way.
            return Ok(());
        };
        let number = self.number(repository).ok_or_else(|| refused("its repository has no valid name"))?;
        let parts: Vec<&str> = rest.split('/').collect();
        let digest = |algorithm: &str, hex: &str| {
            let digest: Result<Digest, _> = format!("{algorithm}:{hex}").parse();
            digest.map_err(|_| refused("it is not named by a digest"))
        };
        match parts.as_slice() {
            ["_manifests", "tags", tag, "current", "link"] => {
                let tag: Tag = tag.parse().map_err(|_| refused("its tag has no valid name"))?;
                let repository = self.repositories[number as usize].clone();
                if self.tags.insert(Destination { repository, tag }, place).is_some() {
                    return Err(Kind::Twice(name.to_owned()));
                }
            }
            ["_manifests", "revisions", algorithm, hex, "link"] => {
                let digest = digest(algorithm, hex)?;
                self.links.entry(digest.clone()).or_default().push(number);
                self.revisions.insert((number, digest));
            }
            ["_layers", algorithm, hex, "link"] => {
                self.links.entry(digest(algorithm, hex)?).or_default().push(number);
            }
            _ => {}
        }
        Ok(())
    }

    /// Numbers repositories, since a name may be there a hundred thousand times.
    fn number(&mut self, name: &str) -> Option<u32> {
        if let Some(number) = self.numbers.get(name) {
            return Some(*number);
        }
        let number = u32::try_from(self.repositories.len()).ok()?;
        self.repositories.push(name.parse().ok()?);
        self.numbers.insert(name.to_owned(), number);
        Some(number)
    }
}

fn hash(line: &str) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, line.as_bytes());
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Reads the digest off `sha256/<xx>/<hex>/data`.
fn blob(path: &str) -> Option<Digest> {
    let parts: Vec<&str> = path.split('/').collect();
    let [algorithm, start, hex, "data"] = parts.as_slice() else { return None };
    hex.starts_with(start).then(|| format!("{algorithm}:{hex}").parse().ok()).flatten()
}

/// Answers whether a file of the working directory says something about images.
fn is_of_use(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["signatures", _] | ["helm", "charts", _] | ["hold-release", "cincinnati-graph-data", _] => true,
        ["hold-release", _, _, "release-manifests", file] => {
            ["image-references", names::BOOT_IMAGES].contains(file)
        }
        ["operator-catalogs", _, _, "filtered-catalogs", _, "digest"] => true,
        ["operator-catalogs", _, _, rest @ ..] => rest.contains(&"catalog-config"),
        _ => false,
    }
}

impl Archive {
    /// Scans the files of an archive, in the order of their numbers.
    pub(super) fn open(paths: Vec<PathBuf>) -> Result<Self, PredecessorError> {
        let chunks = Chunks::open(paths)?;
        let mut scanned = Scanned::default();
        chunks.scan(|member, place| scanned.take(member, place))?;
        let mut tags = BTreeMap::new();
        for (place, link) in scanned.tags {
            let name = format!("{}:{}", place.repository, place.tag);
            let text = chunks.read(link, &name, MAX_LINK)?;
            let digest = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
            let digest: Digest = digest.ok_or_else(|| {
                PredecessorError::new(chunks.path(link), Kind::Unusable(format!("the tag {name}")))
            })?;
            scanned.lines.push(hash(&format!("{name} {digest}")));
            tags.insert(place, digest);
        }
        let mut warnings = Vec::new();
        if scanned.configurations.len() > 1 {
            warnings.push(
                "there are configurations of several runs in this archive; the newest is taken".to_owned(),
            );
        }
        // Their names end with a time that sorts as text.
        let configuration = match scanned.configurations.last_key_value() {
            Some((name, place)) => Some(chunks.read(*place, name, MAX_DOCUMENT)?),
            None => None,
        };
        // Whatever the order of the files, the same members make the same archive.
        scanned.lines.sort();
        let identity = Digest::of(scanned.lines.as_flattened());
        let Scanned { blobs, links, revisions, repositories, mut files, .. } = scanned;
        let named =
            |numbers: Vec<u32>| numbers.into_iter().map(|n| repositories[n as usize].clone()).collect();
        let elsewhere = links.into_iter().filter(|(digest, _)| !blobs.contains_key(digest));
        let elsewhere = Arc::new(elsewhere.map(|(digest, numbers)| (digest, named(numbers))).collect());
        let revisions =
            revisions.into_iter().map(|(n, digest)| (repositories[n as usize].clone(), digest)).collect();
        let charts: Vec<String> =
            files.keys().filter(|path| path.starts_with(names::CHARTS)).cloned().collect();
        let charts = charts.into_iter().filter_map(|path| {
            let place = files.remove(&path)?;
            Some((path[names::CHARTS.len()..].to_owned(), place))
        });
        let charts = charts.collect();
        let contents = Contents::new(format!("archive of {V2}"), chunks, blobs);
        Ok(Self { contents, identity, configuration, charts, warnings, tags, elsewhere, revisions, files })
    }

    /// Returns the repositories of the cache that have something which the archive has not. Since the predecessor keeps paths,
    /// the target has it there too, below its prefix.
    pub fn elsewhere(&self) -> Arc<HashMap<Digest, Vec<Repository>>> {
        self.elsewhere.clone()
    }

    /// Answers whether the cache had a manifest in a repository. Of an index only what was asked for was cached.
    pub fn had(&self, repository: &Repository, digest: &Digest) -> bool {
        self.revisions.contains(&(repository.clone(), digest.clone()))
    }

    /// Reads the signatures of releases: OpenPGP messages by the digest of the payload and their number.
    pub fn signatures(&self) -> Result<BTreeMap<Digest, BTreeMap<u32, Vec<u8>>>, PredecessorError> {
        let mut found: BTreeMap<Digest, BTreeMap<u32, Vec<u8>>> = BTreeMap::new();
        for (path, place) in self.below("signatures/") {
            // `4.18.30-x86_64-sha256-<hex>`: v2 keeps one for each payload.
            let Some((_, hex)) = path.rsplit_once("sha256-") else { continue };
            let Ok(digest) = format!("sha256:{hex}").parse() else { continue };
            let message = self.contents.chunks().read(place, path, MAX_SIGNATURE)?;
            found.entry(digest).or_default().insert(1, message);
        }
        Ok(found)
    }

    /// Lists files of the working directory below a path.
    fn below<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, Place)> {
        let files = self.files.range(path.to_owned()..).map(|(name, place)| (name.as_str(), *place));
        files.take_while(move |(name, _)| name.starts_with(path))
    }

    fn document(&self, place: Place, name: &str) -> Result<Vec<u8>, PredecessorError> {
        self.contents.chunks().read(place, name, MAX_DOCUMENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const HEX: &str = "b4c342f65423d58990772de1d463637f63ba8eb5fbaf40080805562d62af4008";

    #[rstest]
    #[case("sha256/b4/HEX/data", true)]
    #[case("sha256/b5/HEX/data", false)]
    #[case("sha256/b4/HEX/other", false)]
    #[case("sha256/b4/../data", false)]
    #[case("HEX", false)]
    fn blobs(#[case] path: &str, #[case] expected: bool) {
        assert_eq!(blob(&path.replace("HEX", HEX)).is_some(), expected);
    }

    fn member(name: &str, what: What) -> Member {
        Member { name: name.replace("HEX", HEX), what, offset: 0, size: 0 }
    }

    fn taken(names: &[&str]) -> Result<Scanned, String> {
        let mut scanned = Scanned::default();
        let chunks = Chunks::open(Vec::new()).expect("no files");
        assert_eq!(chunks.size, 0);
        for name in names {
            scanned.take(member(name, What::File), Place::nowhere()).map_err(|e| e.to_string())?;
        }
        Ok(scanned)
    }

    #[test]
    fn a_tree_is_read() {
        let scanned = taken(&[
            "docker/registry/v2/repositories/a/b/_manifests/tags/v1/current/link",
            "docker/registry/v2/repositories/a/b/_manifests/tags/v1/index/sha256/HEX/link",
            "docker/registry/v2/repositories/a/b/_manifests/revisions/sha256/HEX/link",
            "docker/registry/v2/repositories/c/_layers/sha256/HEX/link",
            "docker/registry/v2/repositories/c/_uploads/1/data",
            "docker/registry/v2/blobs/sha256/b4/HEX/data",
            "working-dir/logs/oc-mirror.log",
            "working-dir/helm/charts/podinfo-5.0.0.tgz",
            "isc_2025-01-01T00:00:00Z",
        ])
        .expect("a tree");
        let names: Vec<&str> = scanned.repositories.iter().map(Repository::as_str).collect();
        assert_eq!(names, ["a/b", "c"]);
        assert_eq!((scanned.tags.len(), scanned.blobs.len(), scanned.revisions.len()), (1, 1, 1));
        assert_eq!(scanned.links.values().cloned().collect::<Vec<_>>(), [[0, 1]]);
        assert_eq!(scanned.files.keys().collect::<Vec<_>>(), ["helm/charts/podinfo-5.0.0.tgz"]);
        assert_eq!(scanned.configurations.len(), 1);
    }

    #[rstest]
    #[case(&["docker/registry/v2/blobs/sha256/00/HEX/data"], "it is not where a blob of that digest is")]
    #[case(&["docker/registry/v2/repositories/A b/_layers/sha256/HEX/link"], "its repository has no valid name")]
    #[case(&["docker/registry/v2/repositories/a/_layers/sha256/xyz/link"], "it is not named by a digest")]
    #[case(&["docker/registry/v2/blobs/sha256/b4/HEX/data", "docker/registry/v2/blobs/sha256/b4/HEX/data"], "is in it twice")]
    fn what_is_refused(#[case] names: &[&str], #[case] why: &str) {
        let error = taken(names).err().expect("refused");
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn links_are_refused_wherever_they_are() {
        let link = member("working-dir/signatures/x", What::Symlink("/etc/passwd".to_owned()));
        let error = Scanned::default().take(link, Place::nowhere()).expect_err("refused");
        assert!(error.to_string().contains("links are not followed"), "{error}");
    }
}
