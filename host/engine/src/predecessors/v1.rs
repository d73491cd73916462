//! Imagesets of oc-mirror v1: [`Imageset`]. An image is a directory of manifests there, blobs lie flat beside them, each once,
//! and `publish/.metadata.json` says what belongs where.
//!
//! | member | what |
//! |---|---|
//! | `publish/.metadata.json` | chain, sequence, images |
//! | `blobs/sha256:<hex>` | layers, configurations and manifests that earlier imagesets did not have |
//! | `v2/<repository>/manifests/<digest>` | manifests again; tags are links to them |
//! | `catalogs/<name>/<tag or digest>/index/index.json` | what is left of a catalog |
//! | `…/layout/` | the catalog's image as it was, which gets that put on top when it is published |
//! | `charts/`, `release-signatures/`, `cincinnati/` | charts, signatures in ConfigMaps, data of the update graph |

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oc_mirror_model::ImageRequest;
use oc_mirror_model::attributes::Attributes;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, MAX_MANIFEST_BYTES, RawManifest};
use oc_mirror_model::media_type;
use oc_mirror_model::platform::Platform;
use oc_mirror_model::predecessor::{Association, Metadata, PATH};
use oc_mirror_model::reference::{Reference, Repository};
use oc_mirror_model::request::{Destination, kind};
use serde::Deserialize;
use serde_json::json;

use super::chunks::{Chunks, Contents, Place};
use super::error::{PredecessorError, PredecessorErrorKind as Kind};
use super::fbc::Images;
use super::headers::{Member, What};
use super::{V1, Wanted};

/// Above this, metadata would be of more images than any registry has.
const MAX_METADATA: u64 = 1 << 30;
/// A ConfigMap with signatures of one release; a cluster takes no larger one.
const MAX_SIGNATURES: u64 = 1 << 20;
/// Where the data of the update graph is.
const GRAPH: &str = "cincinnati/cincinnati-graph-data.tar.gz";

/// An imageset of oc-mirror v1.
#[derive(Debug)]
pub struct Imageset {
    /// What it says of itself.
    pub metadata: Metadata,
    /// Its manifests and blobs.
    pub contents: Contents,
    /// The catalogs of its configuration.
    pub catalogs: Vec<Catalog>,
    /// Charts, by the name of their file.
    pub charts: BTreeMap<String, Place>,
    /// Data of the update graph, which oc-mirror v1 makes an image of when it publishes.
    pub graph: Option<Place>,
    /// What was not understood.
    pub warnings: Vec<String>,
    signatures: Vec<(String, Place)>,
}

/// A catalog of such an imageset.
#[derive(Clone, Debug)]
pub struct Catalog {
    /// Its name without the registry's, and its tag.
    pub request: ImageRequest,
    /// Where it goes.
    pub destination: Destination,
    /// The image as it was, as a list of the images for all platforms, which may be one.
    pub base: RawManifest,
    /// What is left of the catalog, one document after the other. Nothing: the image stays as it was.
    pub filtered: Option<Place>,
}

/// Answers whether an imageset of oc-mirror v1 may have a member of this name.
pub(super) fn is_member(name: &str) -> bool {
    let directory = name.split_once('/').map_or(name, |(first, _)| first);
    let known = ["publish", "catalogs", "charts", "cincinnati", "release-signatures", "internal", "v2"]
        .contains(&directory);
    known || blob(name).is_some()
}

/// Reads the digest off `blobs/sha256:<hex>`. On Windows, v1 writes `-` for `:`.
fn blob(name: &str) -> Option<Digest> {
    name.strip_prefix("blobs/").and_then(digest)
}

fn digest(text: &str) -> Option<Digest> {
    text.parse().ok().or_else(|| text.replacen('-', ":", 1).parse().ok())
}

/// What a scan finds.
#[derive(Default)]
struct Scanned {
    metadata: Option<Place>,
    blobs: HashMap<Digest, Place>,
    /// What has been seen, so that a second one is noticed. Manifests are there twice in any case.
    seen: HashSet<String>,
    catalogs: BTreeMap<String, Directory>,
    charts: BTreeMap<String, Place>,
    signatures: Vec<(String, Place)>,
    graph: Option<Place>,
}

/// The directory of a catalog.
#[derive(Default)]
struct Directory {
    filtered: Option<Place>,
    layout: Option<Place>,
}

impl Scanned {
    fn take(&mut self, member: Member, place: Place) -> Result<(), Kind> {
        let Member { name, what, .. } = member;
        let refused = |reason: &str| Kind::Member { name: name.clone(), reason: reason.to_owned() };
        let parts: Vec<&str> = name.split('/').collect();
        let is_tag = matches!(parts.as_slice(), ["v2", _, .., "manifests", _]);
        match what {
            What::Directory => return Ok(()),
            // Tags say nothing that the metadata does not.
            What::Symlink(to) if is_tag && digest(&to).is_some() => return Ok(()),
            What::Symlink(_) => return Err(refused("only tags are links here, and lead to a digest")),
            What::File => {}
        }
        if !self.seen.insert(name.clone()) {
            return Err(Kind::Twice(name));
        }
        match parts.as_slice() {
            _ if name == PATH => self.metadata = Some(place),
            _ if name == GRAPH => self.graph = Some(place),
            ["blobs", _] => {
                let digest = blob(&name).ok_or_else(|| refused("it is not named by a digest"))?;
                self.blobs.insert(digest, place);
            }
            ["v2", _, .., "manifests", last] => {
                let digest = digest(last).ok_or_else(|| refused("it is not named by a digest"))?;
                self.blobs.entry(digest).or_insert(place);
            }
            ["catalogs", directory @ .., "index", "index.json"] => {
                self.catalogs.entry(directory.join("/")).or_default().filtered = Some(place);
            }
            ["catalogs", directory @ .., "layout", "index.json"] => {
                self.catalogs.entry(directory.join("/")).or_default().layout = Some(place);
            }
            ["catalogs", _, .., "layout", "blobs", algorithm, hex] => {
                let digest = format!("{algorithm}:{hex}").parse();
                let digest = digest.map_err(|_| refused("it is not named by a digest"))?;
                self.blobs.entry(digest).or_insert(place);
            }
            ["charts", file] => {
                self.charts.insert((*file).to_owned(), place);
            }
            ["release-signatures", _] => self.signatures.push((name, place)),
            _ => {}
        }
        Ok(())
    }
}

impl Imageset {
    /// Scans the files of an imageset, in the order of their numbers.
    pub(super) fn open(sequence: u64, paths: Vec<PathBuf>) -> Result<Self, PredecessorError> {
        let first = paths.first().cloned().unwrap_or_default();
        let chunks = Chunks::open(paths)?;
        let mut scanned = Scanned::default();
        chunks.scan(|member, place| scanned.take(member, place))?;
        let place = scanned.metadata.ok_or_else(|| PredecessorError::new(&first, Kind::Lacks(PATH)))?;
        let unusable = |e| PredecessorError::caused(chunks.path(place), Kind::Unusable(PATH.to_owned()), e);
        let metadata = Metadata::parse(&chunks.read(place, PATH, MAX_METADATA)?).map_err(unusable)?;
        let content = metadata.past_mirror.sequence;
        if content != sequence {
            let kind = Kind::Sequence { name: sequence, content };
            return Err(PredecessorError::new(chunks.path(place), kind));
        }
        let (mut catalogs, mut warnings) = (Vec::new(), Vec::new());
        for (name, directory) in scanned.catalogs {
            if !metadata.wants_catalog(&name) {
                warnings.push(format!(
                    "`catalogs/{name}` is left out: the configuration of this imageset has no such catalog"
                ));
                continue;
            }
            catalogs.push(catalog(&name, &directory, &chunks, &scanned.blobs)?);
        }
        let contents = Contents::new(format!("imageset {sequence} of {V1}"), chunks, scanned.blobs);
        Ok(Self {
            metadata,
            contents,
            catalogs,
            charts: scanned.charts,
            graph: scanned.graph,
            warnings,
            signatures: scanned.signatures,
        })
    }

    /// Lists the images that are wanted, those of earlier imagesets included, but for catalogs. `prefix` is that of the target.
    ///
    /// Images that a catalog offers say so. A remark tells of catalogs that cannot be read for that.
    pub async fn images(
        &self,
        prefix: Option<&Repository>,
    ) -> Result<(Vec<Wanted>, Vec<String>), PredecessorError> {
        let (offered, remarks) = self.offered().await;
        let mut images = Vec::new();
        for association in self.metadata.images().into_values() {
            images.push(self.wanted(association, prefix, &offered)?);
        }
        Ok((images, remarks))
    }

    fn wanted(
        &self,
        association: &Association,
        prefix: Option<&Repository>,
        offered: &Offered,
    ) -> Result<Wanted, PredecessorError> {
        let unusable = |e: Box<dyn std::error::Error + Send + Sync>| {
            let first = self.contents.chunks().first();
            PredecessorError::caused(first, Kind::Unusable(format!("{PATH}: {}", association.name)), e)
        };
        let destination = association.destination(prefix).map_err(|e| unusable(e.into()))?;
        let root: Digest = association.id.parse().map_err(|e| unusable(Box::new(e)))?;
        let mut kind = association.kind();
        let mut provenance = Attributes::new();
        if let Some((is_bundle, catalogs)) = offered.of(&association.name, &association.tag_symlink) {
            // v1 calls all images of operators bundles.
            kind = if is_bundle { kind::BUNDLE } else { kind::RELATED };
            provenance.insert("catalog".to_owned(), catalogs.join("\n"));
        }
        let request = request(kind, &association.name, &destination, provenance);
        Ok(Wanted { request, root, certain: true })
    }

    /// Finds out which images catalogs offer.
    async fn offered(&self) -> (Offered, Vec<String>) {
        let (mut offered, mut remarks) = (Offered::default(), Vec::new());
        for catalog in &self.catalogs {
            let Some(place) = catalog.filtered else { continue };
            let origin = &catalog.request.origin;
            let mut images = Images::default();
            let outcome = match self.contents.file(place) {
                Ok(stream) => images.read(stream).await,
                Err(error) => Err(error.to_string()),
            };
            if let Err(reason) = outcome {
                remarks.push(format!("`{origin}` is published, but what it offers cannot be read: {reason}"));
            }
            for (image, is_bundle) in images.0 {
                offered.add(&image, is_bundle, origin);
            }
        }
        (offered, remarks)
    }

    /// Returns which repositories of a target with this prefix have what the imageset does not, but earlier ones did.
    pub fn elsewhere(&self, prefix: Option<&Repository>) -> HashMap<Digest, Vec<Repository>> {
        let mut places: HashMap<Digest, Vec<Repository>> = HashMap::new();
        for association in self.metadata.associations() {
            let Ok(repository) = association.repository(prefix) else { continue };
            let own = association.id.parse().ok();
            for digest in own.iter().chain(association.content()).filter(|d| !self.contents.holds(d)) {
                let known = places.entry(digest.clone()).or_default();
                if !known.contains(&repository) {
                    known.push(repository.clone());
                }
            }
        }
        places
    }

    /// Reads the signatures of releases: OpenPGP messages by the digest of the payload and their number.
    pub fn signatures(&self) -> Result<BTreeMap<Digest, BTreeMap<u32, Vec<u8>>>, PredecessorError> {
        let chunks = self.contents.chunks();
        let mut found: BTreeMap<Digest, BTreeMap<u32, Vec<u8>>> = BTreeMap::new();
        for (name, place) in &self.signatures {
            let bytes = chunks.read(*place, name, MAX_SIGNATURES)?;
            let unusable = |e: Box<dyn std::error::Error + Send + Sync>| {
                PredecessorError::caused(chunks.path(*place), Kind::Unusable(name.clone()), e)
            };
            let map: ConfigMap = serde_json::from_slice(&bytes).map_err(|e| unusable(e.into()))?;
            for (key, text) in map.binary_data {
                let Some((digest, number)) = signed(&key) else { continue };
                let message = STANDARD.decode(text).map_err(|e| unusable(e.into()))?;
                found.entry(digest).or_default().insert(number, message);
            }
        }
        Ok(found)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigMap {
    #[serde(default)]
    binary_data: BTreeMap<String, String>,
}

/// Takes `sha256-<hex>-<n>` apart.
fn signed(key: &str) -> Option<(Digest, u32)> {
    let (payload, number) = key.rsplit_once('-')?;
    Some((digest(payload)?, number.parse().ok()?))
}

/// Which images catalogs offer, by repository and digest or tag.
#[derive(Default)]
struct Offered(HashMap<(String, String), (bool, Vec<String>)>);

impl Offered {
    fn add(&mut self, image: &str, is_bundle: bool, catalog: &str) {
        let Ok(name) = image.parse::<Reference>() else { return };
        let keys = [name.digest.as_ref().map(Digest::to_string), name.tag.as_ref().map(|t| t.to_string())];
        for key in keys.into_iter().flatten() {
            let (bundle, catalogs) = self.0.entry((name.name(), key)).or_default();
            *bundle |= is_bundle;
            if !catalogs.iter().any(|known| known == catalog) {
                catalogs.push(catalog.to_owned());
            }
        }
    }

    fn of(&self, name: &str, tag: &str) -> Option<(bool, &[String])> {
        let name: Reference = name.parse().ok()?;
        let by = |key: String| self.0.get(&(name.name(), key));
        let found = name.digest.as_ref().and_then(|d| by(d.to_string())).or_else(|| by(tag.to_owned()))?;
        Some((found.0, &found.1))
    }
}

/// Makes a request for an image of an archive.
pub(super) fn request(
    kind: &str,
    origin: &str,
    destination: &Destination,
    provenance: Attributes,
) -> ImageRequest {
    ImageRequest {
        source: origin.to_owned(),
        origin: origin.to_owned(),
        kind: kind.to_owned(),
        target_repository: Some(destination.repository.clone()),
        target_tag: Some(destination.tag.clone()),
        platforms: Vec::new(),
        with_referrers: false,
        provenance,
    }
}

/// Makes a catalog of its directory.
fn catalog(
    name: &str,
    directory: &Directory,
    chunks: &Chunks,
    blobs: &HashMap<Digest, Place>,
) -> Result<Catalog, PredecessorError> {
    let path = format!("catalogs/{name}/layout/index.json");
    let lacking = || PredecessorError::new(chunks.first(), Kind::Unusable(path.clone()));
    let place = directory.layout.ok_or_else(lacking)?;
    let unusable = |e: Box<dyn std::error::Error + Send + Sync>| {
        PredecessorError::caused(chunks.path(place), Kind::Unusable(path.clone()), e)
    };
    let bytes = chunks.read(place, &path, MAX_MANIFEST_BYTES)?;
    let layout = RawManifest::parse(bytes, Some(media_type::OCI_INDEX)).map_err(|e| unusable(e.into()))?;
    let listed = layout.index().map(|index| index.manifests.clone()).unwrap_or_default();
    let base = match listed.as_slice() {
        [] => return Err(unusable("it lists no image".into())),
        [only] if media_type::is_index(&only.media_type) => {
            let place = *blobs
                .get(&only.digest)
                .ok_or_else(|| unusable("the image that it lists is missing".into()))?;
            let bytes = chunks.read(place, &only.digest.to_string(), MAX_MANIFEST_BYTES)?;
            RawManifest::parse(bytes, Some(&only.media_type))
                .and_then(|manifest| manifest.verify(&only.digest))
                .map_err(|e| unusable(e.into()))?
        }
        images => list(images).map_err(|e| unusable(e.into()))?,
    };
    let (origin, destination) = place_of(name).map_err(unusable)?;
    let request = request(kind::CATALOG, &origin, &destination, Attributes::new());
    Ok(Catalog { request, destination, base, filtered: directory.filtered })
}

/// Makes a list of images, of their kind: v1 publishes every catalog as one, of whatever size.
fn list(images: &[Descriptor]) -> Result<RawManifest, oc_mirror_model::manifest::InvalidManifest> {
    let is_docker = images.iter().all(|image| image.media_type == media_type::DOCKER_MANIFEST);
    let media_type = if is_docker { media_type::DOCKER_LIST } else { media_type::OCI_INDEX };
    let images: Vec<Descriptor> = images
        .iter()
        .map(|image| {
            let mut image = Descriptor { annotations: Attributes::new(), ..image.clone() };
            image.platform.get_or_insert_with(|| Box::new(Platform::new("linux", "amd64")));
            image
        })
        .collect();
    let list = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": images });
    RawManifest::parse(list.to_string().into_bytes(), None)
}

/// Returns the name of a catalog, and where v1 puts it: what is taken for a registry is dropped, and what has no tag gets the
/// beginning of its digest.
fn place_of(directory: &str) -> Result<(String, Destination), Box<dyn std::error::Error + Send + Sync>> {
    let (name, id) = directory.rsplit_once('/').ok_or("its directory has no name")?;
    let (origin, tag) = match digest(id) {
        Some(digest) => (format!("{name}@{digest}"), digest.hex().chars().take(6).collect()),
        None => (format!("{name}:{id}"), id.to_owned()),
    };
    let is_registry = |part: &str| part.contains(['.', ':']) || part == "localhost";
    let path = match name.split_once('/') {
        None => format!("library/{name}"),
        Some((first, rest)) if rest.contains('/') || is_registry(first) => rest.to_owned(),
        Some(_) => name.to_owned(),
    };
    Ok((origin, Destination { repository: path.parse()?, tag: tag.parse()? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const HEX: &str = "b4c342f65423d58990772de1d463637f63ba8eb5fbaf40080805562d62af4008";

    #[rstest]
    #[case("127.0.0.1:15001/cat/idx/v1", "127.0.0.1:15001/cat/idx:v1", "cat/idx:v1")]
    #[case("r.example/idx/v1", "r.example/idx:v1", "idx:v1")]
    #[case("team/idx/v1", "team/idx:v1", "team/idx:v1")]
    #[case("tmp/e2e/w/ocicat/sha256:HEX", "tmp/e2e/w/ocicat@sha256:HEX", "e2e/w/ocicat:b4c342")]
    #[case("idx/v1", "idx:v1", "library/idx:v1")]
    fn where_catalogs_go(#[case] directory: &str, #[case] origin: &str, #[case] place: &str) {
        let (named, found) = place_of(&directory.replace("HEX", HEX)).expect("a place");
        assert_eq!(named, origin.replace("HEX", HEX));
        assert_eq!(format!("{}:{}", found.repository, found.tag), place);
    }

    #[test]
    fn keys_of_signatures() {
        let digest: Digest = format!("sha256:{HEX}").parse().expect("a digest");
        assert_eq!(signed(&format!("sha256-{HEX}-2")), Some((digest, 2)));
        assert_eq!(signed("sha256-00-2"), None);
        assert_eq!(signed(&format!("sha256-{HEX}")), None);
    }

    #[rstest]
    #[case("publish/.metadata.json", true)]
    #[case("blobs/sha256:HEX", true)]
    #[case("blobs/sha256-HEX", true)]
    #[case("v2/a/manifests/v1", true)]
    #[case("blobs/sha256/HEX", false)]
    #[case("imageset.json", false)]
    #[case("docker/registry/v2/repositories/a/_manifests/tags/v1/current/link", false)]
    fn members(#[case] name: &str, #[case] expected: bool) {
        assert_eq!(is_member(&name.replace("HEX", HEX)), expected);
    }
}
