//! What oc-mirror made in real runs and users have published, against what is made here of the same images.
//!
//! The images are those that the published files imply. Everything is compared field by field; what differs has a name
//! in [`DIFFERENCES`], and each of them occurs. The README of the host has them in a table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use oc_mirror_model::digest::Digest;
use oc_mirror_model::images::Images;
use oc_mirror_model::metadata::{Chain, ImageRecord};
use oc_mirror_model::request::kind;
use serde_json::{Value, json};

use super::super::{Names, Preferences, Resource};
use super::{chain, image, of_chain, schemas, sign};

const README: &str = include_str!("../../../../README.md");

/// In what ours differ, as the README of the host calls it.
const DIFFERENCES: [&str; 9] = [
    "no status",
    "marked",
    "no time and version",
    "sorted",
    "no mirrors of catalogs",
    "tags in names of catalogs",
    "for OLM v1 too",
    "namespaces",
    "labelled",
];

/// Files of one run.
struct Run {
    /// The directory, below `results/`.
    dir: &'static str,
    files: &'static [&'static str],
    /// What users called objects, by the names that these are made with.
    renamed: &'static [(&'static str, &'static str)],
    /// The list of all images, where it was published too.
    mapping: Option<&'static str>,
}

const EBEAUDOI: &str = "ebeaudoi__ocp-cluster-catalogs";

const RUNS: [Run; 20] = [
    Run {
        dir: "examples/v2-4.18",
        files: &[
            "idms-oc-mirror.yaml",
            "itms-oc-mirror.yaml",
            "cs-redhat-operator-index-v4-18.yaml",
            "cc-redhat-operator-index-v4-18.yaml",
            "signature-configmap.shape.yaml",
        ],
        renamed: &[],
        mapping: None,
    },
    Run {
        dir: "examples/v2-20250613-kasten",
        files: &[
            "idms-oc-mirror.yaml",
            "cs-redhat-marketplace-index-v4-16.yaml",
            "cc-redhat-marketplace-index-v4-16.yaml",
        ],
        renamed: &[],
        mapping: None,
    },
    plain("examples/v2-4.19-20250830", &["cs-redhat-operator-index-v4-19.yaml"]),
    plain("examples/v2-techpreview-20240904", &["cluster-resources.yaml"]),
    Run {
        dir: "thibor1974__cluster-update",
        files: &[
            "imageContentSourcePolicy.yaml",
            "catalogSource-certified-operator-index.yaml",
            "catalogSource-redhat-operator-index.yaml",
        ],
        renamed: &[],
        mapping: Some("mapping.txt"),
    },
    Run {
        dir: "galaxyspaces77__ocp",
        files: &["imageContentSourcePolicy.yaml", "catalogSource-cs-redhat-operator-index.yaml"],
        renamed: &[
            ("operator-0", "operator-local-storage"),
            ("cs-redhat-operator-index-v4-17", "local-storage"),
        ],
        mapping: None,
    },
    Run {
        dir: "Patthecat249__openshift-image-set-configuration",
        files: &["imageContentSourcePolicy.yaml"],
        renamed: &[("operator-0", "all-operators")],
        mapping: None,
    },
    Run {
        dir: "waynedovey__quay-disconnected",
        files: &["imageContentSourcePolicy.yaml"],
        renamed: &[("operator-0", "redhat-operators")],
        mapping: Some("mapping.txt"),
    },
    plain("schmaustech__oc-mirror-blog", &["README.md"]),
    plain(EBEAUDOI, &["1711479750-imageContentSourcePolicy.yaml"]),
    plain(EBEAUDOI, &["1711481374-imageContentSourcePolicy.yaml"]),
    plain(EBEAUDOI, &["1711568613-imageContentSourcePolicy.yaml"]),
    plain(EBEAUDOI, &["1711568613-generic-redhatv414-imageContentSourcePolicy.yaml"]),
    plain(EBEAUDOI, &["1711568613-operator-redhatv414-imageContentSourcePolicy.yaml"]),
    plain(EBEAUDOI, &["imageContentSourcePolicy.yaml", "catalogSource-cs-my-certified-catalog.yaml"]),
    plain(EBEAUDOI, &["catalogSource-cs-my-redhat-catalog.yaml"]),
    Run {
        dir: EBEAUDOI,
        files: &["combined-operator-redhatv414-imageContentSourcePolicy.yaml"],
        renamed: &[("operator-0", "oc-mirror-combined")],
        mapping: None,
    },
    Run {
        dir: EBEAUDOI,
        files: &["generic-redhatv414-imageContentSourcePolicy.yaml"],
        renamed: &[("generic-0", "generic-redhatv414")],
        mapping: None,
    },
    Run {
        dir: EBEAUDOI,
        files: &["operator-redhatv414-imageContentSourcePolicy.yaml"],
        renamed: &[("operator-0", "operator-redhatv414")],
        mapping: None,
    },
    Run {
        dir: EBEAUDOI,
        files: &["platformv414-imageContentSourcePolicy.yaml"],
        renamed: &[("generic-0", "generic-platformv414"), ("release-0", "release-platformv414")],
        mapping: None,
    },
];

const fn plain(dir: &'static str, files: &'static [&'static str]) -> Run {
    Run { dir, files, renamed: &[], mapping: None }
}

/// Files of the same kinds that no run made: tests of oc-mirror's own, see [`templates_of_their_tests`].
const NO_OUTPUT: &str = "openshift__oc-mirror/tests/unit/testdata/catalog-source_template";

const CATALOG_KINDS: [&str; 2] = ["CatalogSource", "ClusterCatalog"];
const POLICY: &str = "ImageContentSourcePolicy";

fn results() -> Option<PathBuf> {
    schemas::fixtures().map(|release| release.parent().expect("fixtures").join("results"))
}

/// Returns the objects in a file; in prose, those in blocks of code.
fn objects(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("a published file");
    let is_prose = path.extension().is_some_and(|end| end == "md");
    let text = if is_prose {
        text.split("~~~").filter(|block| block.contains(POLICY)).map(after_prompt).collect::<String>()
    } else {
        text
    };
    let documents = text.split("---\n").filter(|document| !document.trim().is_empty());
    let parse = |document: &str| serde_saphyr::from_str::<Value>(document).expect("YAML");
    documents.map(parse).filter(|object| object["kind"].is_string()).collect()
}

fn after_prompt(block: &str) -> &str {
    block.split_once("---\n").map_or("", |(_, documents)| documents)
}

impl Run {
    fn objects(&self, root: &Path) -> Vec<Value> {
        self.files.iter().flat_map(|file| objects(&root.join(self.dir).join(file))).collect()
    }

    /// Returns the name that an object was made with.
    fn made_as<'a>(&self, name: &'a str) -> &'a str {
        self.renamed.iter().find(|(_, theirs)| *theirs == name).map_or(name, |(ours, _)| ours)
    }

    fn names(&self) -> Names {
        let instead = self.renamed.iter().map(|(ours, theirs)| {
            ((*ours).to_owned(), theirs.parse().expect("what a cluster has taken is a name"))
        });
        Names { suffix: None, instead: instead.collect() }
    }
}

/// What was mirrored, by the files that were published.
#[derive(Default)]
struct Implied {
    registry: String,
    images: Vec<ImageRecord>,
    signatures: Vec<(Digest, u32, String)>,
}

impl Implied {
    fn add(&mut self, kind: &str, origin: &str, name: &str) {
        let (registry, place) = name.split_once('/').expect("REGISTRY/NAME");
        self.registry = registry.to_owned();
        // Each image is in a place of its own.
        let place =
            if place.contains(':') { place.to_owned() } else { format!("{place}:{}", self.images.len()) };
        self.images.push(image(&format!("{kind} {origin} {place}")));
    }

    fn of(run: &Run, root: &Path) -> Self {
        let mut implied = Self::default();
        if let Some(mapping) = run.mapping {
            let text = std::fs::read_to_string(root.join(run.dir).join(mapping)).expect("a mapping");
            text.lines().for_each(|line| implied.add_mapped(line));
        }
        for object in run.objects(root) {
            let name = run.made_as(object["metadata"]["name"].as_str().expect("a name"));
            match object["kind"].as_str().expect("text") {
                _ if run.mapping.is_some() => {}
                "CatalogSource" => implied.add_catalog(&object["spec"]["image"]),
                // There is a CatalogSource of the same one.
                "ClusterCatalog" => {}
                "ConfigMap" => implied.add_signatures(&object),
                _ => implied.add_mirrors(name, &object),
            }
        }
        implied
    }

    /// A line is `SOURCE@DIGEST=TARGET`. Images that were asked for by digest are tagged with a hash.
    fn add_mapped(&mut self, line: &str) {
        let (origin, name) = line.split_once('=').expect("SOURCE=TARGET");
        let tag = name.rsplit_once('/').and_then(|(_, last)| last.split_once(':')).map(|(_, tag)| tag);
        let is_hash = |tag: &str| tag.len() <= 8 && tag.bytes().all(|b| b.is_ascii_hexdigit());
        let kind = match origin.split(['@', ':']).next().unwrap_or_default() {
            "quay.io/openshift-release-dev/ocp-release" => kind::RELEASE,
            "quay.io/openshift-release-dev/ocp-v4.0-art-dev" => kind::RELEASE_CONTENT,
            _ if origin.contains("/openshift/graph-image:") => kind::GRAPH,
            _ if !origin.contains('@') => kind::CATALOG,
            _ if tag.is_none_or(is_hash) => kind::RELATED,
            _ => kind::ADDITIONAL,
        };
        self.add(kind, origin, name);
    }

    fn add_catalog(&mut self, image: &Value) {
        let image = image.as_str().expect("text");
        let (_, place) = image.split_once('/').expect("REGISTRY/NAME");
        self.add(kind::CATALOG, &format!("registry.redhat.io/{place}"), image);
    }

    fn add_signatures(&mut self, object: &Value) {
        for (key, text) in object["binaryData"].as_object().expect("signatures") {
            let (digest, number) = key.rsplit_once('-').expect("DIGEST-NUMBER");
            let digest: Digest = digest.replacen('-', ":", 1).parse().expect("a digest");
            let place = "openshift/release-images:signed";
            let mut release =
                image(&format!("{} quay.io/openshift-release-dev/ocp-release@ {place}", kind::RELEASE));
            release.digest = digest.clone();
            self.images.push(release);
            let text = text.as_str().expect("text").to_owned();
            self.signatures.push((digest, number.parse().expect("a number"), text));
        }
    }

    fn add_mirrors(&mut self, name: &str, object: &Value) {
        for (source, mirror) in mirrors(object) {
            let (_, to) = mirror.split_once('/').expect("a path");
            let (_, from) = source.split_once('/').expect("a path");
            // A namespace where the path was kept, else a repository.
            let below = if to == from || to.ends_with(&format!("/{from}")) { "/image" } else { "" };
            let kind = match name {
                _ if name.contains("operator") => kind::RELATED,
                _ if !name.contains("release") => kind::ADDITIONAL,
                _ if source.ends_with("art-dev") => kind::RELEASE_CONTENT,
                _ => kind::RELEASE,
            };
            let end = if object["kind"] == "ImageTagMirrorSet" { ":v1" } else { "@" };
            self.add(kind, &format!("{source}{below}{end}"), &format!("{mirror}{below}"));
        }
    }

    fn chain(self) -> (Chain, String) {
        let mut chain = chain(&[&[]]);
        for (digest, number, text) in &self.signatures {
            sign(&mut chain, digest, *number, text);
        }
        chain.imagesets[0].images = self.images.into();
        (chain, self.registry)
    }
}

/// Returns sources and mirrors of a set, in order.
fn mirrors(object: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let fields = object["spec"].as_object().expect("fields").values();
    fields
        .flat_map(list)
        .flat_map(|e| list(&e["mirrors"]).into_iter().map(move |m| (text(&e["source"]), text(&m))))
        .collect()
}

/// Returns every field with a value, its path as text. Entries are known by their source, mirrors by themselves.
fn fields(object: &Value) -> BTreeMap<String, Value> {
    fn walk(path: &str, value: &Value, found: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                map.iter().for_each(|(key, value)| walk(&format!("{path}.{key}"), value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| match &item["source"] {
                Value::String(source) => walk(&format!("{path}[{source}]"), item, found),
                _ => walk(&format!("{path}[{item}]"), item, found),
            }),
            _ => {
                found.insert(path.trim_start_matches('.').to_owned(), value.clone());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk("", object, &mut found);
    found
}

/// By what two objects are the same one: catalogs by their image, since their names may differ.
fn key(object: &Value) -> String {
    let kind = object["kind"].as_str().expect("text");
    let name = match kind {
        "CatalogSource" => &object["spec"]["image"],
        "ClusterCatalog" => &object["spec"]["source"]["image"]["ref"],
        _ => &object["metadata"]["name"],
    };
    format!("{kind} {}", name.as_str().expect("text"))
}

/// One field that is not the same.
#[derive(Debug)]
struct Difference<'a> {
    kind: &'a str,
    path: &'a str,
    theirs: Option<&'a Value>,
    ours: Option<&'a Value>,
}

/// Returns the name of a difference that is meant to be, given what was mirrored.
fn named(difference: &Difference<'_>, images: &Images) -> Option<&'static str> {
    let Difference { kind, path, theirs, ours } = *difference;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let source = path.split_once('[').and_then(|(_, rest)| rest.split(']').next()).unwrap_or_default();
    match path {
        "status" if ours.is_none() && theirs == Some(&json!({})) => Some("no status"),
        "metadata.annotations.createdBy" if text(ours) == "oc-mirror" => {
            (theirs.is_none() || text(theirs) == "oc-mirror v2").then_some("marked")
        }
        "metadata.annotations.createdAt" | "metadata.annotations.oc-mirror_version" if ours.is_none() => {
            Some("no time and version")
        }
        "metadata.name" if kind == "CatalogSource" => {
            let (theirs, ours) = (text(theirs), text(ours));
            let plain = theirs.strip_prefix("cs-").unwrap_or(&theirs);
            ours.starts_with(&format!("cs-{plain}-v")).then_some("tags in names of catalogs")
        }
        "metadata.labels.operators.openshift.org/catalog" if kind == POLICY && theirs.is_none() => {
            Some("labelled")
        }
        _ if kind == POLICY && ours.is_none() => {
            let is_below = |i: &&ImageRecord| i.origin.starts_with(&format!("{source}/"));
            let mut below = images.iter().filter(is_below).peekable();
            let only_catalogs = below.peek().is_some() && below.all(|i| i.kind == kind::CATALOG);
            let is_repository = images.iter().any(|i| i.origin.starts_with(&format!("{source}@")));
            match () {
                () if only_catalogs => Some("no mirrors of catalogs"),
                () if is_repository => Some("namespaces"),
                () => None,
            }
        }
        _ if kind == POLICY && theirs.is_none() && path.starts_with("spec.") => {
            let has =
                |i: &ImageRecord| i.kind == kind::RELATED && i.origin.starts_with(&format!("{source}/"));
            images.iter().any(has).then_some("namespaces")
        }
        _ => None,
    }
}

/// Compares one run; returns the names of what differs.
fn compare(run: &Run, root: &Path) -> BTreeSet<&'static str> {
    let published = run.objects(root);
    assert!(!published.is_empty(), "{}", run.dir);
    let (chain, registry) = Implied::of(run, root).chain();
    let images = &chain.imagesets[0].images;
    let is_v1 = published.iter().any(|object| object["kind"] == POLICY) || run.dir == EBEAUDOI;
    let preferences = Preferences { icsp: Some(is_v1), names: run.names(), ..Preferences::default() };
    let documents = of_chain(&chain, &registry, false, &preferences);
    assert_eq!(documents.warnings, Vec::<String>::new(), "{}", run.dir);

    let kinds: BTreeSet<&str> = published.iter().map(|o| o["kind"].as_str().expect("text")).collect();
    let mut ours: BTreeMap<String, &Resource> =
        documents.resources.iter().map(|r| (key(&r.object), r)).collect();
    let mut names = BTreeSet::new();
    for theirs in &published {
        let key = key(theirs);
        let mine =
            ours.remove(&key).unwrap_or_else(|| panic!("{}: no {key} among {:?}", run.dir, ours.keys()));
        let (theirs_fields, ours_fields) = (fields(theirs), fields(&mine.object));
        for path in theirs_fields.keys().chain(ours_fields.keys()).collect::<BTreeSet<_>>() {
            let (theirs, ours) = (theirs_fields.get(path), ours_fields.get(path));
            if theirs != ours {
                let difference = Difference { kind: mine.kind(), path, theirs, ours };
                let name = named(&difference, images);
                names.insert(name.unwrap_or_else(|| panic!("{} {key}: {difference:?}", run.dir)));
            }
        }
        if !CATALOG_KINDS.contains(&mine.kind()) && theirs["spec"].is_object() {
            let (theirs, ours) = (mirrors(theirs), mirrors(&mine.object));
            assert!(ours.is_sorted(), "{ours:?}");
            if !theirs.is_sorted() {
                names.insert("sorted");
            }
        }
    }
    // Of a kind that was published, there is not one object more.
    for (key, more) in ours {
        match more.kind() {
            "ClusterCatalog" if is_v1 => drop(names.insert("for OLM v1 too")),
            kind => assert!(!kinds.contains(kind), "{}: {key} was not published", run.dir),
        }
    }
    names
}

#[test]
fn all_is_as_published_but_for_what_has_a_name() {
    let Some(root) = results() else {
        eprintln!("skipped: no ../shared/fixtures");
        return;
    };
    let mut occurred = BTreeSet::new();
    for run in &RUNS {
        let names = compare(run, &root);
        eprintln!("{} ({}): {names:?}", run.dir, run.files.join(", "));
        occurred.extend(names);
    }
    assert_eq!(occurred, BTreeSet::from(DIFFERENCES), "each difference occurs");
    for name in DIFFERENCES {
        assert!(README.contains(&format!("\n| {name} |")), "the README has a row for `{name}`");
    }
}

#[test]
fn no_published_file_is_left_out() {
    let Some(root) = results() else {
        eprintln!("skipped: no ../shared/fixtures");
        return;
    };
    let compared: BTreeSet<PathBuf> =
        RUNS.iter().flat_map(|run| run.files.iter().map(|file| root.join(run.dir).join(file))).collect();
    let kinds = [
        "ImageDigestMirrorSet",
        "ImageTagMirrorSet",
        POLICY,
        "CatalogSource",
        "ClusterCatalog",
        "UpdateService",
    ];
    let is_resource =
        |line: &str| line.strip_prefix("kind: ").is_some_and(|kind| kinds.contains(&kind.trim()));
    let mut left_out = Vec::new();
    let mut dirs = vec![root.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|end| end == "yaml")
                && std::fs::read_to_string(&path).expect("text").lines().any(is_resource)
                && !path.starts_with(root.join("openshift__oc-mirror"))
                && !compared.contains(&path)
            {
                left_out.push(path);
            }
        }
    }
    assert_eq!(left_out, Vec::<PathBuf>::new());
}

#[test]
fn templates_of_their_tests() {
    let Some(root) = results() else {
        eprintln!("skipped: no ../shared/fixtures");
        return;
    };
    for (end, good) in [(".yaml", true), ("_KO.yaml", false), ("_KO2.yaml", false)] {
        let template = std::fs::read_to_string(root.join(format!("{NO_OUTPUT}{end}"))).expect("a template");
        let line = "catalog q.io/a/index:v1 a/index:v1";
        let documents = super::made_with(&[&[line]], "r.example", false, &[("a/index:v1", &template)]);
        assert_eq!(documents.warnings.is_empty(), good, "{end}: {:?}", documents.warnings);
        let polls = documents.files["cs-index-v1.yaml"].contains("interval: 30m0s");
        assert_eq!(polls, good, "{end}");
    }
}

/// An update service of a cluster, asked for its graph, says where it takes releases from.
#[test]
fn releases_of_a_published_graph() {
    let Some(root) = results() else {
        eprintln!("skipped: no ../shared/fixtures");
        return;
    };
    let text = std::fs::read_to_string(root.join("examples/osus-graph-4.21.10.json")).expect("a graph");
    let graph: Value = serde_json::from_str(&text).expect("JSON");
    let payload = graph["nodes"][0]["payload"].as_str().expect("text");
    let (repository, _) = payload.split_once('@').expect("a digest");
    let (registry, path) = repository.split_once('/').expect("a path");
    let prefix = path.strip_suffix("/openshift/release-images").expect("where releases go");
    let release = format!("release quay.io/openshift-release-dev/ocp-release@ {path}:4.21.10-x86_64");
    let graph = format!("graph {registry}/{prefix}/graph:1 {prefix}/openshift/graph-image:latest");
    let documents = super::made_with(&[&[&release, &graph]], registry, false, &[]);
    let service = documents.resources.iter().find(|r| r.kind() == "UpdateService").expect("there are both");
    assert_eq!(service.object["spec"]["releases"], repository);
}
