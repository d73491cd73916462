//! Which images an archive of oc-mirror v2 is to publish, and what they are called: [`Archive::wanted`].
//!
//! The tree has the tags of all that any run has cached, under paths without the registry's name. So the names are looked
//! for where the run had them from: in the configuration, in catalogs, in releases. An image is published
//!
//! - that the configuration names, whether the archive has it or only the target does;
//! - whose manifest the archive has, since only runs for this archive put it there;
//! - whose name is known otherwise, if the target has it: then clusters are told of it.
//!
//! Any other was cached for somebody else. What is carried and has no known name is published too: nobody told clusters of
//! it, and this program cannot.

use std::collections::{BTreeMap, BTreeSet};

use oc_mirror_model::ImageRequest;
use oc_mirror_model::attributes::Attributes;
use oc_mirror_model::config::{self, Configuration, Operator};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::reference::{Reference, Repository, Source, Tag};
use oc_mirror_model::request::{Destination, kind, provenance};
use serde::Deserialize;
use serde_json::Value;

use super::super::Wanted;
use super::super::error::PredecessorError;
use super::super::fbc::Images;
use super::super::v1::request;
use super::Archive;
use super::filter_hash;
use crate::content::documents::Documents;

/// Where charts are in the working directory.
pub(super) const CHARTS: &str = "helm/charts/";
/// Where a release says which disk images of virtual machines it has.
pub(super) const BOOT_IMAGES: &str = "0000_50_installer_coreos-bootimages.yaml";
/// What v2 calls such an image.
const DISK_IMAGE: &str = "kube-virt-container";
const RELEASES: &str = "hold-release/";
const GRAPHS: &str = "hold-release/cincinnati-graph-data/";
const CATALOGS: &str = "operator-catalogs/";
/// Where v2 puts payloads, their components, and the update graph.
const PAYLOADS: &str = "openshift/release-images";
const COMPONENTS: &str = "openshift/release";
const GRAPH_IMAGE: &str = "openshift/graph-image";
/// What v2 calls its cache in a mapping.
const CACHE: &str = "localhost:55000";

/// Something that the configuration names and the cache did not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The name in the configuration.
    pub origin: String,
    /// What it is for.
    pub kind: &'static str,
}

/// What is found out about names.
#[derive(Default)]
struct Names {
    wanted: BTreeMap<Destination, Wanted>,
    missing: Vec<Missing>,
    remarks: Vec<String>,
    /// Tags of catalogs that only the cache has: what they were filtered from, and what that was called there.
    internal: BTreeSet<Destination>,
}

impl Archive {
    /// Lists the images that are to be published, what the configuration names and is not there, and remarks.
    pub async fn wanted(&self) -> Result<(Vec<Wanted>, Vec<Missing>, Vec<String>), PredecessorError> {
        let mut names = Names::default();
        self.configured(&mut names).await?;
        self.releases(&mut names)?;
        let graph = Destination { repository: fixed(GRAPH_IMAGE), tag: fixed("latest") };
        if let Some(root) = self.tags.get(&graph) {
            let origin = format!("{CACHE}/{GRAPH_IMAGE}:latest");
            let request = request(kind::GRAPH, &origin, &graph, Attributes::new());
            names.add(graph, request, root, self.contents.holds(root));
        }
        self.unnamed(&mut names);
        let Names { wanted, missing, remarks, .. } = names;
        Ok((wanted.into_values().collect(), missing, remarks))
    }

    /// Finds what the configuration names: images and catalogs.
    async fn configured(&self, names: &mut Names) -> Result<(), PredecessorError> {
        let text = self.configuration.as_deref().map(String::from_utf8_lossy);
        let Some(text) = text else {
            names.remarks.push("there is no configuration in this archive".to_owned());
            return Ok(());
        };
        let mirror = match config::parse(&text).map(|parsed| parsed.configuration) {
            Ok(Configuration::Mirror(configuration)) => configuration.mirror,
            _ => {
                let remark = "the configuration in this archive cannot be read: what is carried is published, but \
                              where images came from is not known";
                names.remarks.push(remark.to_owned());
                return Ok(());
            }
        };
        // What is blocked was not mirrored, and only v2 knows how it matched that.
        let may_be_blocked = !mirror.blocked_images.is_empty();
        for image in &mirror.additional_images {
            let asked = ImageRequest {
                target_repository: image.target_repo.clone(),
                target_tag: image.target_tag.clone(),
                ..origin_of(kind::ADDITIONAL, &image.name)
            };
            let place = place(&asked);
            match place.as_ref().and_then(|place| self.tags.get(place)) {
                Some(root) => {
                    let place = place.expect("it has a tag there");
                    names.add(
                        place.clone(),
                        request(kind::ADDITIONAL, &image.name, &place, Attributes::new()),
                        root,
                        true,
                    );
                }
                None if may_be_blocked => {
                    names
                        .remarks
                        .push(format!("`{}` is not in the archive; it may have been blocked", image.name));
                }
                None => names.missing.push(Missing { origin: image.name.clone(), kind: kind::ADDITIONAL }),
            }
        }
        let written = written_operators(&text);
        for (number, operator) in mirror.operators.iter().enumerate() {
            self.catalog(operator, written.get(number).unwrap_or(&Value::Null), names).await;
        }
        Ok(())
    }

    /// Finds a catalog, as it was filtered, and the images that it offers.
    async fn catalog(&self, operator: &Operator, written: &Value, names: &mut Names) {
        let missing = Missing { origin: operator.catalog.clone(), kind: kind::CATALOG };
        let Some(cached) = Cached::of(operator) else {
            names.missing.push(missing);
            return;
        };
        let original = Destination { repository: cached.repository.clone(), tag: cached.tag.clone() };
        // Whatever becomes of the catalog, nobody is offered what was not mirrored.
        names.internal.insert(original.clone());
        let unfiltered = self.tags.get(&original).cloned();
        let Some(digest) = cached.digest.clone().or_else(|| unfiltered.clone()) else {
            names.missing.push(missing);
            return;
        };
        let directory = format!("{CATALOGS}{}/{}/", cached.directory, digest.hex());
        let hash = self.filtered(
            &cached.repository,
            &directory,
            &[filter_hash::hash(written, &digest), filter_hash::legacy(written)],
        );
        let is_whole = operator.full && operator.packages.is_empty();
        let (root, content, tag) = match (&hash, unfiltered) {
            (Some((hash, root)), _) => {
                // By digest alone, a filtered catalog has the digest it got.
                let tag = if cached.is_by_digest { Tag::for_digest(root) } else { cached.tag.clone() };
                (root.clone(), format!("{directory}filtered-catalogs/{hash}/catalog-config/"), tag)
            }
            (None, Some(root)) if is_whole => {
                (root, format!("{directory}catalog-config/"), cached.tag.clone())
            }
            _ => {
                names.missing.push(missing);
                return;
            }
        };
        let destination = Destination { repository: cached.repository, tag };
        let asked = request(kind::CATALOG, &operator.catalog, &destination, Attributes::new());
        names.add(destination, asked, &root, true);
        self.offered(&operator.catalog, &content, names).await;
    }

    /// Finds the filtered form of a catalog: by what was asked of it, else the only one there is.
    fn filtered(
        &self,
        repository: &Repository,
        directory: &str,
        hashes: &[String],
    ) -> Option<(String, Digest)> {
        let cached = |hash: &str| {
            let tag: Tag = hash.parse().ok()?;
            let place = Destination { repository: repository.clone(), tag };
            self.tags.get(&place).map(|root| (hash.to_owned(), root.clone()))
        };
        if let Some(found) = hashes.iter().find_map(|hash| cached(hash)) {
            return Some(found);
        }
        let below = format!("{directory}filtered-catalogs/");
        let others = self.below(&below).filter_map(|(path, _)| path[below.len()..].strip_suffix("/digest"));
        let others: Vec<_> = others.filter_map(cached).collect();
        match others.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        }
    }

    /// Finds the images that a catalog offers.
    async fn offered(&self, catalog: &str, directory: &str, names: &mut Names) {
        let mut images = Images::default();
        for (path, place) in self.below(directory) {
            if !path.ends_with(".json") && !path.ends_with(".yaml") && !path.ends_with(".yml") {
                continue;
            }
            let outcome = match self.contents.file(place) {
                Ok(stream) => images.read(stream).await,
                Err(error) => Err(error.to_string()),
            };
            if let Err(reason) = outcome {
                names.remarks.push(format!("what `{catalog}` offers cannot be read from `{path}`: {reason}"));
            }
        }
        for (image, is_bundle) in images.0 {
            let kind = if is_bundle { kind::BUNDLE } else { kind::RELATED };
            let Some(place) = place(&origin_of(kind, &image)) else { continue };
            let Some(root) = self.tags.get(&place) else { continue };
            let offered_by = Attributes::from([("catalog".to_owned(), catalog.to_owned())]);
            let asked = request(kind, &image, &place, offered_by);
            names.add(place, asked, root, self.contents.holds(root));
        }
    }

    /// Finds releases: payloads, their components, and disk images.
    fn releases(&self, names: &mut Names) -> Result<(), PredecessorError> {
        let payloads = self.payloads()?;
        for (path, place) in self.below(RELEASES) {
            let parts: Vec<&str> = path.split('/').collect();
            let [_, name, version, "release-manifests", file] = parts.as_slice() else { continue };
            let text = self.document(place, path)?;
            if *file == BOOT_IMAGES {
                for (architecture, image) in boot_images(&text) {
                    // Where several architectures were asked for, it is in the name.
                    self.component(version, DISK_IMAGE, &image, names);
                    self.component(version, &format!("{DISK_IMAGE}-{architecture}"), &image, names);
                }
                continue;
            }
            let Ok(stream) = serde_json::from_slice::<ImageStream>(&text) else {
                names
                    .remarks
                    .push(format!("`{path}` cannot be read, so the names of a release are not known"));
                continue;
            };
            for component in &stream.spec.tags {
                self.component(version, &component.name, &component.from.name, names);
            }
            let Ok(tag) = version.parse() else { continue };
            let destination = Destination { repository: fixed(PAYLOADS), tag };
            let Some(root) = self.tags.get(&destination) else { continue };
            // v2 notes where payloads are only in the graph; they are beside their components.
            let beside = stream.spec.tags.first().and_then(|tag| tag.from.name.parse::<Reference>().ok());
            let beside = beside.and_then(|image| {
                let (namespace, _) = image.repository.as_str().rsplit_once('/')?;
                Some(format!("{}/{namespace}/{name}@{root}", image.registry))
            });
            let Some(origin) = payloads.get(root).cloned().or(beside) else { continue };
            let facts = Attributes::from([(provenance::RELEASE.to_owned(), (*version).to_owned())]);
            let asked = request(kind::RELEASE, &origin, &destination, facts);
            names.add(destination, asked, root, self.contents.holds(root));
        }
        Ok(())
    }

    /// Adds a component of a release, if the cache has it.
    fn component(&self, version: &str, name: &str, origin: &str, names: &mut Names) {
        let Ok(tag) = format!("{version}-{name}").parse() else { return };
        let destination = Destination { repository: fixed(COMPONENTS), tag };
        let Some(root) = self.tags.get(&destination) else { return };
        let is_it = origin.parse::<Reference>().is_ok_and(|image| image.digest.as_ref() == Some(root));
        if is_it {
            let facts = Attributes::from([(provenance::RELEASE.to_owned(), version.to_owned())]);
            let asked = request(kind::RELEASE_CONTENT, origin, &destination, facts);
            names.add(destination, asked, root, self.contents.holds(root));
        }
    }

    /// Reads the names of payloads off the graphs, by their digests.
    fn payloads(&self) -> Result<BTreeMap<Digest, String>, PredecessorError> {
        let mut payloads = BTreeMap::new();
        for (path, place) in self.below(GRAPHS) {
            let text = self.document(place, path)?;
            let Ok(graph) = serde_json::from_slice::<Graph>(&text) else { continue };
            for node in graph.nodes {
                if let Some(digest) = node.payload.parse::<Reference>().ok().and_then(|image| image.digest) {
                    payloads.insert(digest, node.payload);
                }
            }
        }
        Ok(payloads)
    }

    /// Adds what is carried and nobody named: signatures and other things beside images, and images of charts.
    fn unnamed(&self, names: &mut Names) {
        let origins: BTreeMap<(Repository, Digest), (String, String)> = names
            .wanted
            .iter()
            .map(|(place, wanted)| {
                let of = (wanted.request.origin.clone(), wanted.request.kind.clone());
                ((place.repository.clone(), wanted.root.clone()), of)
            })
            .collect();
        let mut others = 0;
        for (place, root) in &self.tags {
            if names.wanted.contains_key(place) || names.internal.contains(place) || self.is_filtered(place) {
                continue;
            }
            if !self.contents.holds(root) {
                others += 1;
                continue;
            }
            let cached = format!("{CACHE}/{}:{}", place.repository, place.tag);
            let asked = match attached(&place.tag) {
                Some((kind, subject)) => {
                    let of = origins.get(&(place.repository.clone(), subject.clone()));
                    let mut facts = Attributes::from([(provenance::SUBJECT.to_owned(), subject.to_string())]);
                    let mut origin = cached;
                    if let Some((subject, kind)) = of {
                        facts.insert(provenance::SUBJECT_ORIGIN.to_owned(), subject.clone());
                        facts.insert(provenance::SUBJECT_KIND.to_owned(), kind.clone());
                        if let Ok(Source::Registry(image)) = subject.parse() {
                            origin = format!("{}:{}", image.name(), place.tag);
                        }
                    }
                    request(kind, &origin, place, facts)
                }
                None => request(kind::UNNAMED, &cached, place, Attributes::new()),
            };
            names.add(place.clone(), asked, root, true);
        }
        if others > 0 {
            let images = if others == 1 { "1 image".to_owned() } else { format!("{others} images") };
            names.remarks.push(format!(
                "the cache that this archive is of had {images} besides, for other configurations or earlier archives"
            ));
        }
    }

    /// Answers whether a tag is the name that a filtered catalog has in the cache.
    fn is_filtered(&self, place: &Destination) -> bool {
        let tag = place.tag.as_str();
        let is_hash = tag.len() == 32 && tag.bytes().all(|b| b.is_ascii_hexdigit());
        let mark = format!("/filtered-catalogs/{tag}/");
        is_hash && self.below(CATALOGS).any(|(path, _)| path.contains(&mark))
    }
}

impl Names {
    /// Adds an image. Of two names for one place, the first stays, and a catalog that offers it is noted.
    fn add(&mut self, place: Destination, request: ImageRequest, root: &Digest, certain: bool) {
        match self.wanted.get_mut(&place) {
            None => {
                self.wanted.insert(place, Wanted { request, root: root.clone(), certain });
            }
            Some(known) => {
                known.certain |= certain;
                if let Some(catalog) = request.provenance.get("catalog") {
                    known.request.provenance.add_line("catalog", catalog);
                }
                known.request.wanted_also(&request);
            }
        }
    }
}

/// Where v2 has a catalog.
struct Cached {
    /// In its cache and at targets.
    repository: Repository,
    /// Before it was filtered.
    tag: Tag,
    /// The directory in `operator-catalogs/`.
    directory: String,
    /// The digest in its name.
    digest: Option<Digest>,
    /// Whether its name has nothing else.
    is_by_digest: bool,
}

impl Cached {
    fn of(operator: &Operator) -> Option<Self> {
        let latest: Tag = fixed("latest");
        let (repository, tag, directory, digest, is_by_digest) = match operator.source().ok()? {
            Source::Registry(image) => {
                let directory = image.repository.as_str().rsplit('/').next()?.to_owned();
                let by_digest = image.digest.as_ref().map(Tag::for_digest);
                let is_by_digest = image.tag.is_none() && by_digest.is_some();
                let tag = image.tag.clone().or(by_digest).unwrap_or(latest);
                (path_of(&operator.catalog, &image), tag, directory, image.digest, is_by_digest)
            }
            Source::Layout(layout) => {
                let directory = layout.path.file_name()?.to_str()?.to_owned();
                (directory.parse().ok(), latest, directory, layout.digest, false)
            }
        };
        let repository = operator.target_catalog.clone().or(repository)?;
        let is_by_digest = is_by_digest && operator.target_tag.is_none();
        let tag = operator.target_tag.clone().unwrap_or(tag);
        Some(Self { repository, tag, directory, digest, is_by_digest })
    }
}

/// Returns the path that v2 takes off a name. It does not know that names without a registry are of Docker Hub.
fn path_of(written: &str, image: &Reference) -> Option<Repository> {
    let written = written.strip_prefix("docker://").unwrap_or(written);
    let has_host = written.starts_with(image.registry.as_str());
    if has_host {
        return Some(image.repository.clone());
    }
    let path = image.repository.as_str();
    let path = path.strip_prefix("library/").unwrap_or(path);
    // What stands before the first slash is the host, whatever it looks like.
    path.split_once('/').map_or(path, |(_, rest)| rest).parse().ok()
}

fn origin_of(kind: &str, name: &str) -> ImageRequest {
    ImageRequest {
        source: name.to_owned(),
        origin: name.to_owned(),
        kind: kind.to_owned(),
        target_repository: None,
        target_tag: None,
        platforms: Vec::new(),
        with_referrers: false,
        provenance: Attributes::new(),
    }
}

/// Returns where v2 puts an image, in its cache and at targets: as this program does, but for names without a registry.
fn place(asked: &ImageRequest) -> Option<Destination> {
    let source: Source = asked.origin.parse().ok()?;
    // Unlike this program, v2 takes nothing for granted of what has neither tag nor digest.
    let mut place = asked.destination(source.digest().unwrap_or(&Digest::of(b""))).ok()?;
    if let (Source::Registry(image), None) = (&source, &asked.target_repository) {
        place.repository = path_of(&asked.origin, image)?;
    }
    Some(place)
}

/// Returns what is attached to which manifest by a tag such as `sha256-<hex>.sig`.
fn attached(tag: &Tag) -> Option<(&'static str, Digest)> {
    let (digest, suffix) = tag.as_str().split_once('.')?;
    let kind = match suffix {
        "sig" => kind::SIGNATURE,
        "att" => kind::ATTESTATION,
        "sbom" => kind::SBOM,
        _ => return None,
    };
    Some((kind, digest.replacen('-', ":", 1).parse().ok()?))
}

fn fixed<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is a constant that is valid"))
}

/// Reads the entries of `operators` as they were written, for what was asked of each is part of a name.
fn written_operators(text: &str) -> Vec<Value> {
    let mut documents = Documents::new();
    documents.push(text.as_bytes());
    documents.push(b"");
    let document = documents.next_document().ok().flatten().unwrap_or_default();
    let document: Value = serde_json::from_str(&document).unwrap_or_default();
    document.pointer("/mirror/operators").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// Reads the names of disk images for virtual machines, by architecture.
fn boot_images(text: &[u8]) -> Vec<(String, String)> {
    let mut documents = Documents::new();
    documents.push(text);
    documents.push(b"");
    let document = documents.next_document().ok().flatten().unwrap_or_default();
    let document: Value = serde_json::from_str(&document).unwrap_or_default();
    let stream = document.pointer("/data/stream").and_then(Value::as_str).unwrap_or_default();
    let stream: Value = serde_json::from_str(stream).unwrap_or_default();
    let architectures = stream.get("architectures").and_then(Value::as_object);
    let image = |(architecture, of): (&String, &Value)| {
        let name = of.pointer("/images/kubevirt/digest-ref")?.as_str()?;
        Some((architecture.clone(), name.to_owned()))
    };
    architectures.into_iter().flatten().filter_map(image).collect()
}

#[derive(Deserialize)]
struct ImageStream {
    spec: StreamSpec,
}

#[derive(Deserialize)]
struct StreamSpec {
    #[serde(default)]
    tags: Vec<StreamTag>,
}

#[derive(Deserialize)]
struct StreamTag {
    name: String,
    from: StreamSource,
}

#[derive(Deserialize)]
struct StreamSource {
    name: String,
}

#[derive(Deserialize)]
struct Graph {
    #[serde(default)]
    nodes: Vec<GraphNode>,
}

#[derive(Deserialize)]
struct GraphNode {
    #[serde(default)]
    payload: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const HEX: &str = "b4c342f65423d58990772de1d463637f63ba8eb5fbaf40080805562d62af4008";

    /// The table of the reference: what a name becomes in the cache, and at targets.
    #[rstest]
    #[case("r.example:5000/team/app:v1", "team/app:v1")]
    #[case("docker://r.example/team/app:v1", "team/app:v1")]
    #[case("r.example/team/app@sha256:HEX", "team/app:sha256-HEX")]
    #[case("r.example/team/app:v1@sha256:HEX", "team/app:v1")]
    #[case("team/app:v1", "app:v1")]
    #[case("oci:///folder-a/folder-b/test", "folder-a/folder-b/test:latest")]
    fn where_images_go(#[case] name: &str, #[case] expected: &str) {
        let found = place(&origin_of(kind::ADDITIONAL, &name.replace("HEX", HEX))).expect("a place");
        assert_eq!(format!("{}:{}", found.repository, found.tag), expected.replace("HEX", HEX));
    }

    #[rstest]
    #[case("registry.example/redhat/index:v4.18", None, None, "redhat/index:v4.18 in index")]
    #[case("registry.example/redhat/index:v4.18", Some("mine/index"), None, "mine/index:v4.18 in index")]
    #[case("registry.example/redhat/index:v4.18", None, Some("v1"), "redhat/index:v1 in index")]
    #[case("registry.example/redhat/index@sha256:HEX", None, None, "redhat/index:sha256-HEX in index")]
    #[case("oci:///home/user/catalog", None, None, "catalog:latest in catalog")]
    #[case("oci:///home/user/catalog", Some("mine/index"), Some("v1"), "mine/index:v1 in catalog")]
    fn where_catalogs_go(
        #[case] name: &str,
        #[case] path: Option<&str>,
        #[case] tag: Option<&str>,
        #[case] expected: &str,
    ) {
        let operator = Operator {
            catalog: name.replace("HEX", HEX),
            target_catalog: path.map(fixed),
            target_tag: tag.map(fixed),
            ..Operator::default()
        };
        let found = Cached::of(&operator).expect("a place");
        let text = format!("{}:{} in {}", found.repository, found.tag, found.directory);
        assert_eq!(text, expected.replace("HEX", HEX));
    }

    #[test]
    fn disk_images_have_an_architecture() {
        let stream = r#"{"architectures":{"x86_64":{"images":{"kubevirt":{"digest-ref":"r/a@sha256:0"}}},"aarch64":{}}}"#;
        let document = serde_json::json!({"kind": "ConfigMap", "data": {"stream": stream}});
        let found = boot_images(document.to_string().as_bytes());
        assert_eq!(found, [("x86_64".to_owned(), "r/a@sha256:0".to_owned())]);
        assert_eq!(boot_images(b"- not: what\n  it: should be"), []);
    }

    #[rstest]
    #[case("sha256-HEX.sig", Some(kind::SIGNATURE))]
    #[case("sha256-HEX.att", Some(kind::ATTESTATION))]
    #[case("sha256-HEX", None)]
    #[case("v1.sig", None)]
    fn what_is_attached(#[case] tag: &str, #[case] expected: Option<&str>) {
        let found = attached(&fixed(&tag.replace("HEX", HEX)));
        assert_eq!(found.map(|(kind, _)| kind), expected);
    }
}
